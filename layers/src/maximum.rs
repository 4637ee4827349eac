//! The largest of some values, in the circuit.
//!
//! * Formula: `m = max_i x_i`, as `m - x_i >= 0` for every `i` and `prod_i (m - x_i) = 0`.
//! * Enforced here: the product is zero, so `m` is one of the values, and needs no range check.
//! * Assumed: whoever uses the differences range-checks every one of them; each check must bound it
//!   far below half of the modulus, so that it is the difference of integers.
//! * Cost: one constraint a value but the first, and one for a single value.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::FirstWire;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// `m - x_i`.
pub(crate) fn differences<'a, F: CircuitField>(
    maximum: &FirstWire<F>,
    values: impl IntoIterator<Item = &'a FirstWire<F>>,
) -> Vec<FirstWire<F>> {
    values.into_iter().map(|x| maximum.sub(x)).collect()
}

/// The constraints of [`constrain`] for `count` values.
pub(crate) fn constraints(count: usize) -> usize {
    count.saturating_sub(1).max(1)
}

/// Entries of the constraints of [`constrain`] for `count` differences of some entries each: every
/// difference once, and each product twice.
pub(crate) fn terms(count: usize, entries: usize) -> usize {
    count.saturating_mul(entries.saturating_add(2))
}

/// Enforces that one of the differences is zero.
///
/// # Errors
/// Only those of the underlying system.
pub(crate) fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    differences: &[FirstWire<F>],
) -> Result<(), SynthesisError> {
    let mut product = Wire::one();
    let Some((last, others)) = differences.split_last() else {
        // Nothing has no maximum: this cannot be satisfied.
        cs.enforce_equal(|| "one difference is zero", &product, &Wire::zero());
        return Ok(());
    };
    for (i, difference) in others.iter().enumerate() {
        product = if i == 0 {
            difference.wire().clone()
        } else {
            cs.product(
                || format!("differences to {i}"),
                &product,
                difference.wire(),
            )?
        };
    }
    let zero = Wire::zero();
    cs.enforce_product(|| "one difference is zero", &product, last.wire(), &zero);
    Ok(())
}
