//! Range checks by logarithmic derivatives (LogUp, eprint 2022/1530, section 3, equation 3).
//!
//! Values `f_i` lie in the table `{0, ..., 2^LIMB_BITS - 1}` iff there are multiplicities `m_j`
//! with `sum_i 1/(g + f_i) = sum_j m_j/(g + j)` as rational functions of `g`. The challenge `g` is
//! drawn after the values and the multiplicities are committed, so a false statement survives with
//! probability at most `(number of values + 2^LIMB_BITS) / |F|`.
//!
//! * Enforced: every queued value lies in the table; every denominator is non-zero.
//! * Assumed: the number of values is below the characteristic of the field, and the challenge
//!   depends on the commitment to the first segment.
//! * Cost: one constraint a value, two a table row, one for the sum.

use crate::field::CircuitField;
use crate::segment::FirstWire;
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};

/// Bits of one limb: the table has `2^LIMB_BITS` rows.
pub const LIMB_BITS: u32 = 8;

/// Rows of the table.
pub const TABLE_ROWS: usize = 1 << LIMB_BITS;

/// Values waiting to be looked up.
#[derive(Clone, Debug)]
pub struct Lookups<F: CircuitField> {
    values: Vec<FirstWire<F>>,
}

impl<F: CircuitField> Default for Lookups<F> {
    fn default() -> Self {
        Lookups { values: Vec::new() }
    }
}

impl<F: CircuitField> Lookups<F> {
    /// Queues a value.
    pub fn push(&mut self, wire: &FirstWire<F>) {
        self.values.push(wire.clone());
    }

    /// The queued values.
    pub(crate) fn into_values(self) -> Vec<FirstWire<F>> {
        self.values
    }

    /// Counts how often each row is used and allocates the counts with `alloc`, which must
    /// allocate in the first segment.
    pub(crate) fn close(
        self,
        mut alloc: impl FnMut(String, F) -> Result<FirstWire<F>, SynthesisError>,
    ) -> Result<ClosedLookups<F>, SynthesisError> {
        let mut counts = vec![0u64; TABLE_ROWS];
        for value in &self.values {
            if let Some(count) = row(value.value()).and_then(|row| counts.get_mut(row)) {
                *count += 1;
            }
        }
        let multiplicities = counts
            .iter()
            .enumerate()
            .map(|(row, count)| alloc(format!("multiplicity {row}"), F::from(*count)))
            .collect::<Result<_, _>>()?;
        Ok(ClosedLookups {
            values: self.values,
            multiplicities,
        })
    }
}

/// The table row of a value, if it lies in the table.
fn row<F: CircuitField>(value: F) -> Option<usize> {
    let bytes = crate::field::to_bytes(&value);
    let (low, high) = bytes.split_at(1);
    high.iter()
        .all(|byte| *byte == 0)
        .then(|| usize::from(low[0]))
}

/// Values and multiplicities of a closed first segment.
#[derive(Clone, Debug)]
pub struct ClosedLookups<F: CircuitField> {
    values: Vec<FirstWire<F>>,
    multiplicities: Vec<FirstWire<F>>,
}

impl<F: CircuitField> ClosedLookups<F> {
    /// Number of values looked up.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is looked up.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Enforces the lookup at challenge `g`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        g: &Wire<F>,
    ) -> Result<(), SynthesisError> {
        let shifted: Vec<Wire<F>> = self.values.iter().map(|v| v.wire().add(g)).collect();
        let rows: Vec<Wire<F>> = (0..TABLE_ROWS)
            .map(|row| g.add_constant(F::from(row as u64)))
            .collect();
        let mut inverses: Vec<F> = shifted.iter().chain(&rows).map(Wire::value).collect();
        invert_all(&mut inverses);
        let (value_inverses, row_inverses) = inverses.split_at(shifted.len());

        let mut sum = Wire::zero();
        for (i, (wire, inverse)) in shifted.iter().zip(value_inverses).enumerate() {
            let inverse = cs.wire(|| format!("value {i} inverse"), *inverse)?;
            cs.enforce_product(
                || format!("value {i} inverse"),
                wire,
                &inverse,
                &Wire::one(),
            );
            sum.add_assign(&inverse);
        }
        let multiplicities = rows.iter().zip(row_inverses).zip(&self.multiplicities);
        for (i, ((wire, inverse), multiplicity)) in multiplicities.enumerate() {
            let inverse = cs.wire(|| format!("row {i} inverse"), *inverse)?;
            cs.enforce_product(|| format!("row {i} inverse"), wire, &inverse, &Wire::one());
            let used = cs.product(|| format!("row {i} use"), &inverse, multiplicity.wire())?;
            sum.add_scaled(-F::ONE, &used);
        }
        cs.enforce_equal(|| "sums agree", &sum, &Wire::zero());
        Ok(())
    }
}

/// Inverts every non-zero element in place with one inversion (Montgomery's trick); zeros stay.
pub fn invert_all<F: CircuitField>(elements: &mut [F]) {
    let mut products = Vec::with_capacity(elements.len());
    let mut product = F::ONE;
    for element in elements.iter() {
        products.push(product);
        if !bool::from(element.is_zero()) {
            product *= element;
        }
    }
    let mut inverse = product.invert().unwrap_or(F::ZERO);
    for (element, before) in elements.iter_mut().zip(products).rev() {
        if !bool::from(element.is_zero()) {
            let next = inverse * *element;
            *element = inverse * before;
            inverse = next;
        }
    }
}
