//! Division of integers by a divisor that is a wire, rounded to nearest, ties up.
//!
//! * Formula: `q = floor((x + h) / s)` with `h = floor(s / 2)` and `s >= 1`, for `x` of both signs.
//! * Witness, all in the first segment: a bit `b`, so that `h` is the form `(s - b) / 2`, and for each
//!   quotient the remainder `r`.
//! * Enforced: `b (1 - b) = 0`; for each quotient `r >= 0`, `s - 1 - r >= 0` and `q s = x + h - r`.
//! * Assumed: `s`, `q` and `x` are integers in bounds whose products stay below a quarter of the
//!   modulus.
//!
//! Under these bounds `2 x + s - b - 2 r = 2 q s` holds over the integers, so `s - b` is even and `h`
//! is `floor(s / 2)` without a range check of its own. Then `x + h = q s + r` with `0 <= r < s`
//! determines `q` and `r` (Euclid). The range checks of `r` imply `s >= 1`, because their sum `s - 1`
//! is not negative.
//!
//! * Cost: one constraint for a divisor; for a quotient twice the limbs of the divisor and one
//!   constraint.

use crate::range;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};

/// `floor((x + floor(s / 2)) / s)` and its remainder, of a positive `s`.
pub(crate) fn rounded(x: i128, s: i128) -> (i128, i128) {
    let s = s.max(1);
    let shifted = x + s / 2;
    (shifted.div_euclid(s), shifted.rem_euclid(s))
}

/// A divisor in the circuit.
#[derive(Clone, Debug)]
pub(crate) struct Divisor<F: CircuitField> {
    /// `s`.
    pub value: FirstWire<F>,
    /// `b`.
    pub odd: FirstWire<F>,
}

/// Lookups of a remainder of a divisor up to `largest`.
pub(crate) fn remainder_lookups(largest: u64) -> usize {
    2 * remainder_limbs(largest)
}

/// Entries of [`Divisor::constrain`].
pub(crate) const DIVISOR_TERMS: usize = 3;

/// Entries of the lookups of a remainder of a divisor up to `largest`, which is one variable.
pub(crate) fn remainder_terms(largest: u64) -> usize {
    let limbs = remainder_limbs(largest);
    range::limb_terms(limbs) + range::check_terms(limbs + 2, limbs)
}

/// Entries of [`Divisor::constrain_quotient`], given those of quotient and dividend.
pub(crate) fn quotient_terms(largest: u64, quotient: usize, dividend: usize) -> usize {
    // The divisor; in the product half of it, made of two variables, and the remainder.
    quotient + 1 + dividend + 2 + remainder_limbs(largest)
}

fn remainder_limbs(largest: u64) -> usize {
    range::limbs(largest.saturating_sub(1)).max(1)
}

impl<F: CircuitField> Divisor<F> {
    /// Makes a wire of the given value a divisor.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn commit<CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        wire: &FirstWire<F>,
        value: i64,
    ) -> Result<Self, SynthesisError> {
        Ok(Divisor {
            value: wire.clone(),
            odd: segment.alloc("odd", from_i64(value.rem_euclid(2)))?,
        })
    }

    /// `h`.
    fn half(&self) -> FirstWire<F> {
        self.value.sub(&self.odd).scale(F::TWO_INV)
    }

    /// Allocates the remainder of a quotient.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn remainder<CS: ConstraintSystem<F>>(
        &self,
        segment: &mut FirstSegment<'_, F, CS>,
        value: i64,
        largest: u64,
    ) -> Result<FirstWire<F>, SynthesisError> {
        let limbs = remainder_limbs(largest);
        let remainder = range::alloc_limbs(segment, "remainder", value, limbs)?;
        let rest = self.value.sub(&remainder).add_constant(-F::ONE);
        range::check_limbs(segment, "remainder complement", &rest, limbs)?;
        Ok(remainder)
    }

    /// Phase two of the divisor: one constraint.
    pub fn constrain<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
        cs.enforce_boolean(|| "odd", self.odd.wire());
    }

    /// Phase two of a quotient: one constraint.
    pub fn constrain_quotient<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        quotient: &FirstWire<F>,
        dividend: &FirstWire<F>,
        remainder: &FirstWire<F>,
    ) {
        let product: Wire<F> = dividend.add(&self.half()).sub(remainder).wire().clone();
        cs.enforce_product(|| "quotient", quotient.wire(), self.value.wire(), &product);
    }
}

#[cfg(test)]
mod tests {
    use super::{Divisor, remainder_lookups, rounded};
    use foldnet_gadgets::field::from_i64;
    use foldnet_gadgets::hash::{HashConstants, Tag};
    use foldnet_gadgets::mock::MockSystem;
    use foldnet_gadgets::segment::FirstSegment;
    use foldnet_gadgets::transcript::TranscriptCircuit;
    use foldnet_gadgets::wire::Wire;
    use halo2curves::bn256::Fr;
    use std::sync::LazyLock;

    static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

    /// `q`, `x`, `r`, `s` and the bit that is claimed of `s`.
    type Forged = (i64, i64, i64, i64, i64);

    const LARGEST: u64 = 700;

    fn rejections((q, x, r, s, odd): Forged) -> Vec<String> {
        let mut cs = MockSystem::<Fr>::default();
        let mut segment = FirstSegment::open(&mut cs);
        let [q, x, s_wire] = [("q", q), ("x", x), ("s", s)]
            .map(|(name, value)| segment.alloc(name, from_i64(value)).unwrap());
        let divisor = Divisor::commit(&mut segment, &s_wire, odd).unwrap();
        let remainder = divisor.remainder(&mut segment, r, LARGEST).unwrap();
        let lookups = segment.close().unwrap();
        assert_eq!(lookups.len(), remainder_lookups(LARGEST));
        divisor.constrain(&mut cs);
        divisor.constrain_quotient(&mut cs, &q, &x, &remainder);
        assert_eq!(cs.constraint_count(), 2);
        let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("test"));
        transcript.absorb([&Wire::constant(Fr::from(3))]);
        lookups.constrain(&mut cs, &mut transcript).unwrap();
        cs.failures().into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn quotients_are_rounded_to_nearest_with_ties_up() {
        for (x, s, q) in [
            (7, 2, 4),
            (-7, 2, -3),
            (5, 3, 2),
            (-5, 3, -2),
            (-4, 3, -1),
            (0, 1, 0),
            (-9, 1, -9),
            (10, 4, 3),
            (-10, 4, -2),
        ] {
            let definition = (x as f64 / s as f64 + 0.5).floor() as i128;
            assert_eq!((rounded(x, s).0, definition), (q, q), "{x} / {s}");
        }
    }

    #[test]
    fn every_honest_division_is_accepted() {
        for s in [1, 2, 3, 255, 256, 257, 700] {
            for x in [-2000, -701, -350, -1, 0, 1, 349, 350, 351, 1999] {
                let (q, r) = rounded(i128::from(x), i128::from(s));
                let forged = (q as i64, x, r as i64, s, s % 2);
                assert_eq!(rejections(forged), Vec::<String>::new(), "{x} / {s}");
            }
        }
    }

    #[test]
    fn forged_divisions_fail_by_name() {
        const LOOKUP: &str = "lookups/sums agree";
        // 100 = 14 * 7 + 2 with h = 3: 103 = 14 * 7 + 5.
        assert_eq!(rejections((14, 100, 5, 7, 1)), Vec::<String>::new());
        assert_eq!(rejections((15, 100, -2, 7, 1)), [LOOKUP]);
        assert_eq!(rejections((13, 100, 12, 7, 1)), [LOOKUP]);
        assert_eq!(rejections((14, 100, 4, 7, 1)), ["quotient"]);
        assert_eq!(rejections((-14, -100, 1, 7, 1)), Vec::<String>::new());
        assert_eq!(rejections((14, -100, 1, 7, 1)), ["quotient"]);
        // The wrong bit makes a half that is no integer.
        assert_eq!(rejections((14, 100, 5, 7, 0)), ["quotient"]);
        // No remainder fits a divisor of zero or below.
        assert_eq!(rejections((0, 0, 0, 0, 0)), [LOOKUP]);
        assert_eq!(rejections((0, 0, -1, -2, 0)), [LOOKUP]);
    }

    #[test]
    fn the_bit_is_a_bit() {
        // 7 = 2 * 2 + 3: with a half of 2 the dividend is rounded otherwise.
        let mut cs = MockSystem::<Fr>::default();
        let mut segment = FirstSegment::open(&mut cs);
        let s = segment.alloc("s", Fr::from(7)).unwrap();
        let divisor = Divisor::commit(&mut segment, &s, 1).unwrap();
        segment.close().unwrap();
        divisor.constrain(&mut cs);
        assert!(cs.failures().is_empty());
        assert!(cs.set("odd", Fr::from(3)));
        assert_eq!(cs.failures()[0].path, "odd");
    }
}
