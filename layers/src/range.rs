//! Range checks of first-segment integers by looked-up limbs.
//!
//! * Formula: `x = sum_i 2^(8 i) x_i` with limbs `x_i` in the table `{0, ..., 255}`.
//! * Enforced: `0 <= x < 2^(8 limbs)`, or exactly `0 <= x <= maximum`, of values allocated here or
//!   of linear forms.
//! * Assumed: the lookups of the segment are constrained in the second segment.
//! * Cost: one lookup a limb; an exact bound that is no power of `2^8` costs one more lookup when
//!   it is a power of two or below 256, otherwise one more a limb.
//!
//! A value that does not fit stays what it is: the top limb takes whatever is left of it, lies
//! outside the table, and the lookup rejects it.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::{from_i64, to_bytes};
use foldnet_gadgets::lookup::LIMB_BITS;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};

/// Number of limbs of the integers up to `maximum`; none for zero.
pub fn limbs(maximum: u64) -> usize {
    (u64::BITS - maximum.leading_zeros()).div_ceil(LIMB_BITS) as usize
}

/// Number of lookups of [`alloc_at_most`].
pub fn lookups(maximum: u64) -> usize {
    let limbs = limbs(maximum);
    match bound(maximum) {
        Bound::Limbs => limbs,
        Bound::PowerOfTwo(_) => limbs + 1,
        Bound::Other => 2 * limbs,
    }
}

/// Entries of the constraint that looks up a form of some entries: the form with the challenge, its
/// inverse, the constant one, and the inverse in the sum.
pub(crate) fn lookup_terms(entries: usize) -> usize {
    entries.saturating_add(4)
}

/// Entries of the constraints that look up a pair of forms: the product with the challenge of rows
/// and what [`lookup_terms`] has.
pub(crate) fn pair_terms(input: usize, output: usize) -> usize {
    input.saturating_add(output).saturating_add(7)
}

/// Entries of the lookups of [`alloc_limbs`].
pub(crate) fn limb_terms(limbs: usize) -> usize {
    limbs.saturating_mul(lookup_terms(1))
}

/// Entries of the lookups of [`check_limbs`] of a form of some entries.
pub(crate) fn check_terms(entries: usize, limbs: usize) -> usize {
    let lower = limbs.saturating_sub(1);
    limb_terms(lower).saturating_add(lookup_terms(entries.saturating_add(lower)))
}

/// Entries of the lookups of [`alloc_at_most`].
pub(crate) fn terms(maximum: u64) -> usize {
    let limbs = limbs(maximum);
    limb_terms(limbs)
        + match bound(maximum) {
            Bound::Limbs => 0,
            Bound::PowerOfTwo(_) => lookup_terms(1),
            Bound::Other => check_terms(limbs + 1, limbs),
        }
}

/// How an exact bound is enforced on top of the limbs.
enum Bound {
    /// All limbs are full: nothing more to enforce.
    Limbs,
    /// The top limb times this power of two is looked up again.
    PowerOfTwo(u32),
    /// `maximum - x` is decomposed too.
    Other,
}

fn bound(maximum: u64) -> Bound {
    let bits = u64::BITS - maximum.leading_zeros();
    match bits % LIMB_BITS {
        _ if maximum.count_ones() != bits => Bound::Other,
        0 => Bound::Limbs,
        used => Bound::PowerOfTwo(LIMB_BITS - used),
    }
}

/// Allocates `x` with `0 <= x < 2^(8 limbs)`.
///
/// # Errors
/// Only those of the underlying system.
pub fn alloc_limbs<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: i64,
    limbs: usize,
) -> Result<FirstWire<F>, SynthesisError> {
    let (total, _) = alloc_with_top(segment, name, value, limbs)?;
    Ok(total)
}

/// Allocates `x` with `0 <= x <= maximum` exactly.
///
/// * `maximum = 2^k - 1`: the top limb `t`, below 256, is looked up once more as `2^(8 - k mod 8)
///   t`, an integer below `2^16`, so it lies in the table iff `t < 2^(k mod 8)`.
/// * Otherwise `maximum - x` is a sum of limbs too; its top limb is the linear form
///   `(maximum - x - lower limbs) / 2^(8 (limbs - 1))`. Both sums are far below the modulus, so
///   `x >= 0` and `maximum - x >= 0` as integers.
///
/// # Errors
/// Only those of the underlying system.
pub fn alloc_at_most<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: i64,
    maximum: u64,
) -> Result<FirstWire<F>, SynthesisError> {
    let (total, top) = alloc_with_top(segment, name, value, limbs(maximum))?;
    match bound(maximum) {
        Bound::Limbs => {}
        Bound::PowerOfTwo(exponent) => segment.lookup(&top.scale(F::from(1 << exponent))),
        Bound::Other => {
            let rest = total.scale(-F::ONE).add_constant(F::from(maximum));
            check_limbs(
                segment,
                &format!("{name} complement"),
                &rest,
                limbs(maximum),
            )?;
        }
    }
    Ok(total)
}

/// Enforces `0 <= x < 2^(8 limbs)` of a linear form: all limbs but the top one are allocated, and
/// the top one is the form `(x - lower limbs) / 2^(8 (limbs - 1))`. Without limbs, one is taken.
///
/// Cost: one lookup a limb.
///
/// # Errors
/// Only those of the underlying system.
pub fn check_limbs<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    x: &FirstWire<F>,
    limbs: usize,
) -> Result<(), SynthesisError> {
    let lower = limbs.saturating_sub(1);
    if lower == 0 {
        segment.lookup(x);
        return Ok(());
    }
    let mut rest = x.clone();
    let mut weight = F::ONE;
    let inverse_radix = radix::<F>().invert().unwrap_or(F::ZERO);
    let mut inverse_weight = F::ONE;
    let bytes = to_bytes(&x.value());
    for (i, byte) in bytes.into_iter().take(lower).enumerate() {
        let limb = segment.alloc(format!("{name} {i}"), F::from(u64::from(byte)))?;
        segment.lookup(&limb);
        rest = rest.sub(&limb.scale(weight));
        weight *= radix::<F>();
        inverse_weight *= inverse_radix;
    }
    segment.lookup(&rest.scale(inverse_weight));
    Ok(())
}

/// `2^8`.
fn radix<F: CircuitField>() -> F {
    F::from(1 << LIMB_BITS)
}

/// Allocates limbs and returns their sum and the top one.
fn alloc_with_top<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: i64,
    limbs: usize,
) -> Result<(FirstWire<F>, FirstWire<F>), SynthesisError> {
    let mut total = FirstWire::constant(F::ZERO);
    let mut top = total.clone();
    let mut weight = F::ONE;
    for i in 0..limbs {
        let last = i + 1 == limbs;
        let limb = if last { rest(value, i) } else { limb(value, i) };
        top = segment.alloc(format!("{name} {i}"), from_i64(limb))?;
        segment.lookup(&top);
        total = total.add(&top.scale(weight));
        weight *= radix::<F>();
    }
    Ok((total, top))
}

/// Limb `i` of a value, as if the value were non-negative.
fn limb(value: i64, i: usize) -> i64 {
    rest(value, i) & ((1 << LIMB_BITS) - 1)
}

/// `floor(value / 2^(8 i))`.
fn rest(value: i64, i: usize) -> i64 {
    let bits = u32::try_from(i)
        .unwrap_or(u32::MAX)
        .saturating_mul(LIMB_BITS);
    value >> bits.min(i64::BITS - 1)
}

#[cfg(test)]
mod tests {
    use super::{alloc_at_most, alloc_limbs, check_limbs, limbs, lookups};
    use foldnet_gadgets::field::from_i64;
    use foldnet_gadgets::hash::{HashConstants, Tag};
    use foldnet_gadgets::lookup::ClosedLookups;
    use foldnet_gadgets::mock::MockSystem;
    use foldnet_gadgets::segment::FirstSegment;
    use foldnet_gadgets::transcript::TranscriptCircuit;
    use foldnet_gadgets::wire::Wire;
    use halo2curves::bn256::Fr;
    use std::sync::LazyLock;

    static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

    const MAXIMA: [u64; 17] = [
        1,
        2,
        3,
        7,
        100,
        127,
        128,
        255,
        256,
        300,
        511,
        1000,
        65535,
        65536,
        99_999,
        1 << 40,
        3 << 50,
    ];

    fn accepts(cs: &mut MockSystem<Fr>, lookups: &ClosedLookups<Fr>) -> bool {
        let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("test"));
        transcript.absorb([&Wire::constant(Fr::from(987_654_321))]);
        lookups.constrain(cs, &mut transcript).unwrap();
        cs.failures().is_empty()
    }

    #[test]
    fn exactly_the_range_is_accepted() {
        for maximum in MAXIMA {
            let top = maximum as i64;
            for value in [
                0,
                1,
                top / 2,
                top - 1,
                top,
                top + 1,
                top * 2 + 1,
                -1,
                -256,
                i64::MIN,
            ] {
                let mut cs = MockSystem::<Fr>::default();
                let mut segment = FirstSegment::open(&mut cs);
                let x = alloc_at_most(&mut segment, "x", value, maximum).unwrap();
                assert_eq!(x.value(), from_i64(value));
                let closed = segment.close().unwrap();
                assert_eq!(closed.len(), lookups(maximum));
                let inside = (0..=top).contains(&value);
                assert_eq!(accepts(&mut cs, &closed), inside, "{value} of {maximum}");
                if inside {
                    assert_eq!(cs.unpinned(), Vec::<String>::new());
                }
            }
        }
    }

    #[test]
    fn limbs_accept_whole_bytes() {
        for (value, count, inside) in [
            (0, 1, true),
            (255, 1, true),
            (256, 1, false),
            (65_535, 2, true),
            (65_536, 2, false),
            (-1, 2, false),
        ] {
            let mut cs = MockSystem::<Fr>::default();
            let mut segment = FirstSegment::open(&mut cs);
            let x = alloc_limbs(&mut segment, "x", value, count).unwrap();
            assert_eq!(x.value(), from_i64(value));
            let closed = segment.close().unwrap();
            assert_eq!(
                accepts(&mut cs, &closed),
                inside,
                "{value} in {count} limbs"
            );
        }
    }

    #[test]
    fn a_linear_form_is_checked_without_a_variable_of_its_own() {
        for (value, count, inside) in [
            (0, 0, true),
            (255, 1, true),
            (256, 1, false),
            (-1, 1, false),
            (65_535, 2, true),
            (65_536, 2, false),
            (-1, 2, false),
            (-(1 << 40), 3, false),
            ((1 << 24) - 1, 3, true),
            (1 << 24, 3, false),
        ] {
            let mut cs = MockSystem::<Fr>::default();
            let mut segment = FirstSegment::open(&mut cs);
            let x = segment.alloc("x", from_i64(value - 5));
            let x = x.unwrap();
            let form = x.add_constant(Fr::from(5));
            check_limbs(&mut segment, "limb", &form, count).unwrap();
            let closed = segment.close().unwrap();
            assert_eq!(closed.len(), count.max(1));
            assert_eq!(
                accepts(&mut cs, &closed),
                inside,
                "{value} in {count} limbs"
            );
        }
    }

    #[test]
    fn zero_needs_no_limbs() {
        assert_eq!((limbs(0), lookups(0)), (0, 0));
        assert_eq!((limbs(255), limbs(256), limbs(u64::MAX)), (1, 2, 8));
    }
}
