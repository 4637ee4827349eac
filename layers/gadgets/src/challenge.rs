//! The 128-bit folding challenge: 64 digits of the curve endomorphism.
//!
//! # Formula
//!
//! Digit `d_i` is `+1`, `-1`, `+phi` or `-phi`, where `phi` is the endomorphism
//! `(x, y) -> (beta x, y)` of [`crate::cycle`], a root of `phi^2 + phi + 1`. A *choice* bit (0: 1,
//! 1: `phi`) and a *sign* bit (0: `+`, 1: `-`) give the digit. The multiplier is the Eisenstein
//! integer
//!
//! ```text
//! a = a0 + a1 phi = 2^64 (1 + phi) + sum_i 2^i d_i
//! ```
//!
//! that is, the value of `A = (1 + phi) Q` after `A = 2 A + d_i Q` for `i = 63, ..., 0`. The start
//! `(1 + phi) Q = -phi^2 Q = (beta^2 x, -y)` costs nothing.
//!
//! # Bounds
//!
//! Each component starts at 1 and goes from `c` to `2 c + e` with `e` in `{-1, 0, 1}`, so every
//! component of every intermediate value is in `[1, 2^65 - 1]`.
//!
//! # Digits to scalars is injective
//!
//! *Digits to components.* Exactly one component of `d_0` is odd and `a - d_0` is even, so the
//! parities of `a` tell the choice bit. For the sign, say that `d_0` lies in component `c`: the
//! value before the digit is `(a - d_0) / 2`, whose component `c` is `(a_c - 1) / 2` or
//! `(a_c + 1) / 2`, of different parity, while its other component does not depend on the sign. If
//! a digit precedes, exactly one component of that value is odd; if none precedes, both are. Either
//! way one sign is left. By induction the components determine all digits.
//!
//! *Components to scalars.* `a0 + a1 lambda` and `b0 + b1 lambda` agree modulo the group order `n`
//! only if `a - b` lies in the prime ideal of norm `n`, whose non-zero elements have norm at least
//! `n > 2^253`; but components of `a - b` are below `2^65`, so its norm is below `3 * 2^130`.
//!
//! # No exceptional addition
//!
//! [`crate::point`] computes `2 A + S` as `(A + S) + A` with affine chords, which fail only for
//! `A = +-S` and `A + S = +-A`. With `A = a Q`, `S = d Q` and `Q` not the identity in a group of
//! prime order `n`, an equation holds iff the multiplier `a -+ d`, `d` or `2 a + d` lies in the
//! ideal above. All have norms between 1 and `3 * 2^132`: `a` has both components at least 1 while
//! `d` has a component 0, so `a != +-d`; `d != 0`; and `2 a + d` has components at least 1.

use crate::field::{CircuitField, from_u128, power_of_two, to_bytes};
use crate::wire::{Wire, WireSystem, bits};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use serde::{Deserialize, Serialize};

/// Number of digits.
pub const DIGITS: usize = 64;

/// Every component of a multiplier is in `[1, 2^COMPONENT_BITS - 1]`.
pub const COMPONENT_BITS: u32 = 65;

/// The digits of a challenge: bit `i` of each word belongs to digit `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Challenge {
    choices: u64,
    signs: u64,
}

impl Challenge {
    /// The challenge of given choice and sign bits; any bits are valid.
    pub fn new(choices: u64, signs: u64) -> Self {
        Challenge { choices, signs }
    }

    /// The challenge of a hash: bits 0 to 63 of its canonical value are the choices, bits 64 to
    /// 127 the signs.
    pub fn from_hash<F: CircuitField>(hash: &F) -> Self {
        let low = to_bytes(hash)
            .iter()
            .take(16)
            .rev()
            .fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
        Challenge {
            choices: low as u64,
            signs: (low >> DIGITS) as u64,
        }
    }

    /// The choice bits: bit `i` set means that digit `i` is `+-phi`.
    pub fn choices(&self) -> u64 {
        self.choices
    }

    /// The sign bits: bit `i` set means that digit `i` is negative.
    pub fn signs(&self) -> u64 {
        self.signs
    }

    /// Choice and sign of digit `i`; both false from digit 64 on.
    pub fn digit(&self, i: usize) -> (bool, bool) {
        let bit = |word: u64| i < DIGITS && word >> i & 1 == 1;
        (bit(self.choices), bit(self.signs))
    }

    /// The components `(a0, a1)` of the multiplier `a0 + a1 phi`, each in `[1, 2^65 - 1]`.
    pub fn components(&self) -> (i128, i128) {
        (0..DIGITS)
            .rev()
            .map(|i| self.digit(i))
            .fold((1, 1), |(a0, a1), (choice, sign)| {
                let unit = if sign { -1 } else { 1 };
                let (d0, d1) = if choice { (0, unit) } else { (unit, 0) };
                (2 * a0 + d0, 2 * a1 + d1)
            })
    }

    /// The scalar `a0 + a1 lambda`, where `[lambda](x, y) = (beta x, y)`.
    pub fn scalar<S: CircuitField>(&self, lambda: S) -> S {
        let (a0, a1) = self.components();
        from_u128::<S>(a0.unsigned_abs()) + from_u128::<S>(a1.unsigned_abs()) * lambda
    }

    /// The integer `choices + 2^64 signs`, below `2^128`, as a field element: the form in which a
    /// challenge appears among public values.
    pub fn to_field<S: CircuitField>(&self) -> S {
        from_u128(u128::from(self.choices) | u128::from(self.signs) << DIGITS)
    }
}

/// The circuit twin of [`Challenge`].
///
/// Enforced: all bits are boolean, they are the 128 low bits of the canonical value of the hash,
/// and the two components are those of the digits.
#[derive(Clone, Debug)]
pub struct ChallengeWires<F: CircuitField> {
    choices: Vec<Wire<F>>,
    signs: Vec<Wire<F>>,
    both: Vec<Wire<F>>,
    components: (Wire<F>, Wire<F>),
    value: Challenge,
}

impl<F: CircuitField> ChallengeWires<F> {
    /// The challenge of a hash.
    ///
    /// Names are fixed, so each challenge needs a namespace of its own.
    ///
    /// Cost: the canonical decomposition of [`crate::wire::bits`], 64 products and 2 components.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn from_hash<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        hash: &Wire<F>,
    ) -> Result<Self, SynthesisError> {
        let all = bits(cs, hash, F::NUM_BITS as usize)?;
        let choices: Vec<_> = all.iter().take(DIGITS).cloned().collect();
        let signs: Vec<_> = all.iter().skip(DIGITS).take(DIGITS).cloned().collect();
        let both = Self::constrain_digits(cs, &choices, &signs)?;
        let components = Self::constrain_components(cs, &choices, &signs, &both)?;
        Ok(ChallengeWires {
            choices,
            signs,
            both,
            components,
            value: Challenge::from_hash(&hash.value()),
        })
    }

    /// The product of choice and sign of each digit.
    fn constrain_digits<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        choices: &[Wire<F>],
        signs: &[Wire<F>],
    ) -> Result<Vec<Wire<F>>, SynthesisError> {
        let digits = choices.iter().zip(signs).enumerate();
        digits
            .map(|(i, (c, s))| cs.product(|| format!("digit {i} choice and sign"), c, s))
            .collect()
    }

    /// With choice `c` and sign `s`, digit `i` adds `2^i (1 - 2 s)(1 - c)` to the first component
    /// and `2^i (1 - 2 s) c` to the second: their sums over the digits given.
    fn weigh(choices: &[Wire<F>], signs: &[Wire<F>], both: &[Wire<F>]) -> (Wire<F>, Wire<F>) {
        let (mut a0, mut a1) = (Wire::zero(), Wire::zero());
        let mut weight = F::ONE;
        for ((choice, sign), both) in choices.iter().zip(signs).zip(both) {
            let second = choice.sub(&both.scale(F::from(2)));
            let digit = Wire::one().sub(&sign.scale(F::from(2)));
            a0.add_scaled(weight, &digit.sub(&second));
            a1.add_scaled(weight, &second);
            weight = weight.double();
        }
        (a0, a1)
    }

    /// The components are variables of their own because they are used often and would otherwise
    /// drag 192 terms along.
    fn constrain_components<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        choices: &[Wire<F>],
        signs: &[Wire<F>],
        both: &[Wire<F>],
    ) -> Result<(Wire<F>, Wire<F>), SynthesisError> {
        let (a0, a1) = Self::weigh(choices, signs, both);
        let start = power_of_two(DIGITS as u32);
        let (a0, a1) = (a0.add_constant(start), a1.add_constant(start));
        let first = cs.wire(|| "component 0", a0.value())?;
        cs.enforce_equal(|| "component 0", &first, &a0);
        let second = cs.wire(|| "component 1", a1.value())?;
        cs.enforce_equal(|| "component 1", &second, &a1);
        Ok((first, second))
    }

    /// Linear forms `(l0, l1)` with `l_k = a_k mod 2^count` and `|l_k| < 2^count`: the sums of the
    /// `count` lowest digits; all of them when there are fewer.
    pub fn low_components(&self, count: usize) -> (Wire<F>, Wire<F>) {
        let count = count.min(DIGITS);
        let low = |wires: &[Wire<F>]| wires.iter().take(count).cloned().collect::<Vec<_>>();
        Self::weigh(&low(&self.choices), &low(&self.signs), &low(&self.both))
    }

    /// The choice bits, least significant digit first: 64 boolean wires.
    pub fn choices(&self) -> &[Wire<F>] {
        &self.choices
    }

    /// The sign bits, least significant digit first: 64 boolean wires.
    pub fn signs(&self) -> &[Wire<F>] {
        &self.signs
    }

    /// `choices + 2^64 signs`, linear in the bits; see [`Challenge::to_field`].
    pub fn integer(&self) -> Wire<F> {
        let mut weight = F::ONE;
        let mut total = Wire::zero();
        for bit in self.choices.iter().chain(&self.signs) {
            total.add_scaled(weight, bit);
            weight = weight.double();
        }
        total
    }

    /// The components `(a0, a1)`, each in `[1, 2^65 - 1]`.
    pub fn components(&self) -> (Wire<F>, Wire<F>) {
        self.components.clone()
    }

    /// The scalar `a0 + a1 lambda`, linear in the components.
    pub fn scalar(&self, lambda: F) -> Wire<F> {
        self.components.0.add(&self.components.1.scale(lambda))
    }

    /// The native challenge.
    pub fn value(&self) -> Challenge {
        self.value
    }
}
