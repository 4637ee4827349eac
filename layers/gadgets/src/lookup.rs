//! Lookups by logarithmic derivatives (LogUp, eprint 2022/1530, section 3, equation 3): range checks
//! and functions given by tables, all in one argument with the same challenges.
//!
//! * Formula: values `f_i` lie in a table with rows `t_j` iff there are multiplicities `m_j` with
//!   `sum_i 1/(g + f_i) = sum_j m_j/(g + t_j)` as rational functions of `g`. The range table has the
//!   rows `0, ..., 2^LIMB_BITS - 1`. A function table has the rows `x_j + eta y_j`, and a pair
//!   `(x, y)` is looked up as `x + eta y`. Each table has a sum of its own, so that a row of one is
//!   no row of another.
//! * Order: values, pairs and the multiplicities of all tables lie in the first segment; then `eta`
//!   is squeezed, if there are function tables, and then `g`.
//! * Enforced: every queued value lies in the range table, every queued pair is a row of its table,
//!   every denominator of a value is non-zero.
//! * Assumed: the number of values is below the characteristic of the field, and the transcript
//!   depends on the commitment to the first segment.
//! * Cost: a value costs one constraint, a row of the range table two; a pair two, a row of a
//!   function table one; one for each sum. Function tables in all cost one more squeeze.
//!
//! Soundness, for a table of `R` rows and `n` values or pairs, at most `n` of them distinct. A pair
//! `(x, y)` that is no row differs from each row `(x_j, y_j)`, so `(x - x_j) + eta (y - y_j)` is a
//! non-zero polynomial of degree at most one, and `x + eta y` meets a row for at most `R` of the
//! `|F|` values of `eta`. Otherwise some `f_i` is no `t_j`. Then the left sum has a pole at `-f_i`,
//! with the number of its occurrences for a residue, which the characteristic does not divide, and
//! the right sum has none: the difference is not zero, its numerator has a degree below `n + R`, so
//! at most `n + R` values of `g` are roots. A row of a function table is enforced as
//! `share_j (g + t_j) = m_j`, which leaves the share free for at most `R` values of `g`. So a false
//! statement about any table survives with probability at most the sum of `(n R + n + 2 R) / |F|`
//! over the function tables, plus `(n + R) / |F|` for the range table; with `n < 2^28` and
//! `R <= 2^16` each is below `2^45 / |F|`.
//!
//! The product `eta y` of a pair cannot be saved: one constraint a pair would need the inverse of
//! a form that is linear in the wires of the first segment, so with constant coefficients. Such a
//! form `x + K y` binds `y` only within a range, and that range check costs as much as the product.

use crate::field::{CircuitField, from_i64};
use crate::segment::FirstWire;
use crate::transcript::TranscriptCircuit;
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use std::sync::Arc;

/// Bits of one limb: the range table has `2^LIMB_BITS` rows.
pub const LIMB_BITS: u32 = 8;

/// Rows of the range table.
pub const TABLE_ROWS: usize = 1 << LIMB_BITS;

/// A function on an interval of integers: its rows are `(low + i, entries[i])`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionTable {
    /// The smallest input.
    pub low: i64,
    /// The outputs, by input.
    pub entries: Arc<Vec<i64>>,
}

impl FunctionTable {
    /// The row of an input, if it lies in the interval.
    fn row<F: CircuitField>(&self, input: F) -> Option<usize> {
        let row = small(input - from_i64::<F>(self.low))?;
        (row < self.entries.len()).then_some(row)
    }

    /// `x_j + eta y_j` of every row.
    fn rows<F: CircuitField>(&self, eta: &Wire<F>) -> Vec<Wire<F>> {
        let row = |(input, output): (i64, &i64)| {
            eta.scale(from_i64(*output))
                .add_constant(from_i64::<F>(self.low) + from_i64::<F>(input))
        };
        (0..).zip(self.entries.iter()).map(row).collect()
    }
}

/// A function table of one first segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableId(usize);

/// What a function table maps to what.
type Pair<F> = (FirstWire<F>, FirstWire<F>);

/// Values and pairs waiting to be looked up.
#[derive(Clone, Debug)]
pub struct Lookups<F: CircuitField> {
    values: Vec<FirstWire<F>>,
    functions: Vec<(FunctionTable, Vec<Pair<F>>)>,
}

impl<F: CircuitField> Default for Lookups<F> {
    fn default() -> Self {
        Lookups {
            values: Vec::new(),
            functions: Vec::new(),
        }
    }
}

impl<F: CircuitField> Lookups<F> {
    /// Queues a value for the range table.
    pub fn push(&mut self, wire: &FirstWire<F>) {
        self.values.push(wire.clone());
    }

    /// Declares a function table; equal tables share an id.
    pub fn table(&mut self, table: &FunctionTable) -> TableId {
        let known = self.functions.iter().position(|(known, _)| known == table);
        TableId(known.unwrap_or_else(|| {
            self.functions.push((table.clone(), Vec::new()));
            self.functions.len() - 1
        }))
    }

    /// Queues a pair for a function table.
    ///
    /// # Errors
    /// [`SynthesisError::IncompatibleLengthVector`] for an id of another segment that is none here.
    pub fn push_pair(
        &mut self,
        table: TableId,
        input: &FirstWire<F>,
        output: &FirstWire<F>,
    ) -> Result<(), SynthesisError> {
        let declared = self.functions.len();
        let Some((_, pairs)) = self.functions.get_mut(table.0) else {
            let message = format!(
                "function table {}: expected one of {declared}; declare it in this segment",
                table.0
            );
            return Err(SynthesisError::IncompatibleLengthVector(message));
        };
        pairs.push((input.clone(), output.clone()));
        Ok(())
    }

    /// The queued values, when there are no function tables.
    ///
    /// # Errors
    /// [`SynthesisError::IncompatibleLengthVector`] for function tables.
    pub(crate) fn into_values(self) -> Result<Vec<FirstWire<F>>, SynthesisError> {
        if !self.functions.is_empty() {
            let message = format!(
                "function tables of a segment closed by bits: expected 0, got {}; \
                 close the segment with a lookup argument",
                self.functions.len()
            );
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        Ok(self.values)
    }

    /// Counts how often each row is used and allocates the counts with `alloc`, which must
    /// allocate in the first segment.
    pub(crate) fn close(
        self,
        mut alloc: impl FnMut(String, F) -> Result<FirstWire<F>, SynthesisError>,
    ) -> Result<ClosedLookups<F>, SynthesisError> {
        let rows = self.values.iter().map(|value| small(value.value()));
        let multiplicities = count(rows, TABLE_ROWS)
            .into_iter()
            .enumerate()
            .map(|(row, count)| alloc(format!("multiplicity {row}"), count))
            .collect::<Result<_, _>>()?;
        let mut functions = Vec::with_capacity(self.functions.len());
        for (id, (table, pairs)) in self.functions.into_iter().enumerate() {
            let rows = pairs.iter().map(|(input, _)| table.row(input.value()));
            let multiplicities = count(rows, table.entries.len())
                .into_iter()
                .enumerate()
                .map(|(row, count)| alloc(format!("table {id} multiplicity {row}"), count))
                .collect::<Result<_, _>>()?;
            functions.push(ClosedFunction {
                table,
                pairs,
                multiplicities,
            });
        }
        Ok(ClosedLookups {
            values: self.values,
            multiplicities,
            functions,
        })
    }
}

/// How often each of `length` rows occurs; what is no row is skipped, and fails the sum later.
fn count<F: CircuitField>(rows: impl Iterator<Item = Option<usize>>, length: usize) -> Vec<F> {
    let mut counts = vec![0u64; length];
    for row in rows.flatten() {
        if let Some(count) = counts.get_mut(row) {
            *count += 1;
        }
    }
    counts.into_iter().map(F::from).collect()
}

/// The value as an integer below `2^32`, if it is one.
fn small<F: CircuitField>(value: F) -> Option<usize> {
    let bytes = crate::field::to_bytes(&value);
    let (low, high) = bytes.split_at(4);
    let low = low
        .iter()
        .rev()
        .fold(0, |low, byte| low << 8 | usize::from(*byte));
    high.iter().all(|byte| *byte == 0).then_some(low)
}

/// Values, pairs and multiplicities of a closed first segment.
#[derive(Clone, Debug)]
pub struct ClosedLookups<F: CircuitField> {
    values: Vec<FirstWire<F>>,
    multiplicities: Vec<FirstWire<F>>,
    functions: Vec<ClosedFunction<F>>,
}

/// One function table of a closed first segment.
#[derive(Clone, Debug)]
struct ClosedFunction<F: CircuitField> {
    table: FunctionTable,
    pairs: Vec<Pair<F>>,
    multiplicities: Vec<FirstWire<F>>,
}

impl<F: CircuitField> ClosedLookups<F> {
    /// Number of values looked up in the range table.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is looked up.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.pairs() == 0
    }

    /// Number of pairs looked up in function tables.
    pub fn pairs(&self) -> usize {
        self.functions.iter().map(|f| f.pairs.len()).sum()
    }

    /// Number of rows of each function table.
    pub fn table_rows(&self) -> Vec<usize> {
        let rows = self.functions.iter().map(|f| f.multiplicities.len());
        rows.collect()
    }

    /// The constraints of [`Self::constrain`] without the squeezed challenges.
    pub fn constraints(&self) -> usize {
        let functions: usize = self.table_rows().iter().map(|rows| rows + 1).sum();
        self.len() + 2 * TABLE_ROWS + 1 + 2 * self.pairs() + functions
    }

    /// Enforces all lookups at challenges squeezed here, so that nothing else can be used. The
    /// transcript must have absorbed the commitment to the first segment.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        transcript: &mut TranscriptCircuit<F>,
    ) -> Result<(), SynthesisError> {
        let eta = if self.functions.is_empty() {
            Wire::zero()
        } else {
            transcript.squeeze(&mut cs.namespace(|| "row challenge"))?
        };
        let g = transcript.squeeze(&mut cs.namespace(|| "lookup challenge"))?;
        let mut cs = cs.namespace(|| "lookups");
        self.constrain_range(&mut cs, &g)?;
        for (id, function) in self.functions.iter().enumerate() {
            function.constrain(&mut cs.namespace(|| format!("table {id}")), &eta, &g)?;
        }
        Ok(())
    }

    /// The range table at challenge `g`.
    fn constrain_range<CS: ConstraintSystem<F>>(
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

        let mut sum = sum_inverses(cs, "value", &shifted, value_inverses)?;
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

impl<F: CircuitField> ClosedFunction<F> {
    /// The table at challenges `eta` and `g`.
    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        eta: &Wire<F>,
        g: &Wire<F>,
    ) -> Result<(), SynthesisError> {
        let mut shifted = Vec::with_capacity(self.pairs.len());
        for (i, (input, output)) in self.pairs.iter().enumerate() {
            let output = cs.product(|| format!("pair {i} output"), eta, output.wire())?;
            shifted.push(g.add(input.wire()).add(&output));
        }
        let rows = self.table.rows(eta);
        let rows: Vec<Wire<F>> = rows.iter().map(|row| row.add(g)).collect();
        let mut inverses: Vec<F> = shifted.iter().chain(&rows).map(Wire::value).collect();
        invert_all(&mut inverses);
        let (pair_inverses, row_inverses) = inverses.split_at(shifted.len());

        let mut sum = sum_inverses(cs, "pair", &shifted, pair_inverses)?;
        let multiplicities = rows.iter().zip(row_inverses).zip(&self.multiplicities);
        for (i, ((wire, inverse), multiplicity)) in multiplicities.enumerate() {
            let share = multiplicity.value() * inverse;
            let share = cs.wire(|| format!("row {i} share"), share)?;
            let multiplicity = multiplicity.wire();
            cs.enforce_product(|| format!("row {i} share"), &share, wire, multiplicity);
            sum.add_scaled(-F::ONE, &share);
        }
        cs.enforce_equal(|| "sums agree", &sum, &Wire::zero());
        Ok(())
    }
}

/// Allocates `1 / wires_i`, enforces each and adds them up.
fn sum_inverses<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &'static str,
    wires: &[Wire<F>],
    inverses: &[F],
) -> Result<Wire<F>, SynthesisError> {
    let mut sum = Wire::zero();
    for (i, (wire, inverse)) in wires.iter().zip(inverses).enumerate() {
        let name = || format!("{name} {i} inverse");
        let inverse = cs.wire(name, *inverse)?;
        cs.enforce_product(name, wire, &inverse, &Wire::one());
        sum.add_assign(&inverse);
    }
    Ok(sum)
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
