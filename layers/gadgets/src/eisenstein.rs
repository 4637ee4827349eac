//! Arithmetic of the other field `Q` inside a circuit over `F`, on Eisenstein integers.
//!
//! # Representation
//!
//! Let `q` be the modulus of `Q` and `lambda` the cube root of unity [`cube_root`]. The map
//! `a + b phi -> a + b lambda` from `Z[phi]`, `phi^2 = -phi - 1`, onto `Q` has as kernel the
//! multiples of a prime `pi` of norm `q` (the norm is `N(a + b phi) = a^2 - a b + b^2`). Every
//! element of `Q` has a representative with `N <= q / 3`, whose components are thus at most
//! `sqrt(4 N / 3) = (2 / 3) sqrt q < 2^127` in absolute value. Representatives are not unique and
//! need not be: the transcript hashes components, and equality is equality modulo `pi`.
//!
//! # Congruences
//!
//! Each congruence is an equation `V = 0` over `Z[phi]` with a witnessed quotient `k`, for example
//! `V = x + r y - x' - k pi`. Both components of `V` are enforced to vanish modulo `p`, the modulus
//! of `F`; since the bounds of all operands give `|V_i| < p` they vanish over the integers, and the
//! congruence holds modulo `q`. [`EisensteinParams::new`] proves that bound from the bounds of
//! every [`Form`], and that honest quotients fit their limbs, and fails otherwise: soundness rests
//! on it.
//!
//! A canonical value `sum_i 2^(8 i) byte_i` would exceed `p` if the powers were taken as integers.
//! They are replaced by short representatives `t_i` of `2^(8 i)`, so that
//! `sum_i byte_i t_i` has components below `2^139`, and no check modulo a second number is needed.
//!
//! # Range checks
//!
//! Components, quotients and bytes are first-segment values whose limbs are looked up as they are
//! allocated. A signed value `v` of `n` limbs is the unsigned `v + 2^(8 n - 1)`, so that
//! `-2^(8 n - 1) <= v < 2^(8 n - 1)`. Nothing is range-checked in the second segment.
//!
//! | value | limbs |
//! |---|---|
//! | element in [`Form::Short`] | 2 x 16 |
//! | quotient of a fold | 2 x [`Form::quotient_limbs`] |
//! | quotient of an equality | 2 x [`EQUALITY_LIMBS`] |
//! | canonical value | 32, and 32 of its complement |

use crate::challenge::{COMPONENT_BITS, Challenge, ChallengeWires};
use crate::cycle::cube_root;
use crate::field::{CircuitField, power_of_two, to_bytes};
use crate::lookup::LIMB_BITS;
use crate::segment::{FirstSegment, FirstWire};
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, Zero};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use thiserror::Error;

/// Limbs of a component in [`Form::Short`].
pub const COMPONENT_LIMBS: usize = 16;

/// Limbs of a component of the quotient of an [`EqualityWires`].
pub const EQUALITY_LIMBS: usize = 2;

/// Bytes of a canonical value.
pub const CANONICAL_BYTES: usize = 32;

/// Bytes of the low half of a canonical value.
const HALF_BYTES: usize = CANONICAL_BYTES / 2;

/// Why a pair of fields cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EisensteinError {
    /// The cube root of unity of `Q` gives no prime of norm `q`.
    #[error(
        "expected an Eisenstein prime of norm {expected}, got {got}; use a field of q = 1 mod 3"
    )]
    NoPrime {
        /// The modulus of `Q`.
        expected: BigInt,
        /// The norm that the half-gcd ended with.
        got: BigInt,
    },
    /// A bound that soundness or completeness rests on does not hold for these fields.
    #[error("{what}: expected below {expected}, got {got}; use fields of 254 or 255 bits")]
    Bound {
        /// What is bounded.
        what: &'static str,
        /// The exclusive upper limit.
        expected: BigInt,
        /// The magnitude that can occur.
        got: BigInt,
    },
}

/// An Eisenstein integer `a + b phi`, `phi^2 = -phi - 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eisenstein {
    /// The component of 1.
    pub a: BigInt,
    /// The component of `phi`.
    pub b: BigInt,
}

impl Eisenstein {
    /// `a + b phi`.
    pub fn new(a: impl Into<BigInt>, b: impl Into<BigInt>) -> Self {
        Eisenstein {
            a: a.into(),
            b: b.into(),
        }
    }

    /// `N(a + b phi) = a^2 - a b + b^2`.
    pub fn norm(&self) -> BigInt {
        &self.a * &self.a - &self.a * &self.b + &self.b * &self.b
    }

    /// The conjugate `a + b phi^2 = (a - b) - b phi`.
    #[must_use]
    pub fn conjugate(&self) -> Self {
        Eisenstein {
            a: &self.a - &self.b,
            b: -&self.b,
        }
    }

    /// `self + other`.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        Eisenstein {
            a: &self.a + &other.a,
            b: &self.b + &other.b,
        }
    }

    /// `self - other`.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        Eisenstein {
            a: &self.a - &other.a,
            b: &self.b - &other.b,
        }
    }

    /// `(a + b phi)(c + d phi) = (a c - b d) + (a d + b c - b d) phi`.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        let bd = &self.b * &other.b;
        Eisenstein {
            a: &self.a * &other.a - &bd,
            b: &self.a * &other.b + &self.b * &other.a - bd,
        }
    }

    /// The larger absolute value of the two components.
    fn magnitude(&self) -> BigInt {
        self.a.abs().max(self.b.abs())
    }

    /// `self / divisor` with each component rounded to nearest; exact when the division is.
    #[must_use]
    pub fn divide(&self, divisor: &Self) -> Self {
        let norm = divisor.norm();
        let numerator = self.mul(&divisor.conjugate());
        Eisenstein {
            a: nearest(&numerator.a, &norm),
            b: nearest(&numerator.b, &norm),
        }
    }
}

/// `numerator / denominator` to nearest, halves up; the denominator is positive.
fn nearest(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    if denominator.is_zero() {
        return BigInt::zero();
    }
    let twice: BigInt = denominator * 2;
    let shifted: BigInt = numerator * 2 + denominator;
    shifted.div_floor(&twice)
}

/// Which representative of an element of `Q` is used: a constant of the circuit, which decides the
/// bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// The constant 1.
    Unit,
    /// The shortest representative; components at most `2^127` in absolute value.
    Short,
    /// The integer `v + 0 phi`, `0 <= v < 2^128`, of a challenge.
    Integer,
    /// `sum_i byte_i t_i` over the bytes of the canonical value, where `t_i` is the shortest
    /// representative of `2^(8 i)`; components at most `2^139` in absolute value.
    Spread,
}

impl Form {
    /// All forms.
    pub const ALL: [Form; 4] = [Form::Unit, Form::Short, Form::Integer, Form::Spread];

    /// Components are at most `2^bits` in absolute value.
    pub fn bits(self) -> u32 {
        match self {
            Form::Unit => 0,
            Form::Short => COMPONENT_LIMBS as u32 * LIMB_BITS - 1,
            Form::Integer => 128,
            Form::Spread => 139,
        }
    }

    /// Limbs of a component of the quotient when an element of this form is multiplied by a
    /// challenge in a [`FoldWires`].
    pub fn quotient_limbs(self) -> usize {
        match self {
            Form::Unit => 1,
            Form::Short | Form::Integer => 9,
            Form::Spread => 10,
        }
    }
}

/// Everything about a pair of fields that gadgets need; cloning shares it.
#[derive(Clone)]
pub struct EisensteinParams<F: CircuitField, Q: CircuitField> {
    inner: Arc<Params<F>>,
    other: PhantomData<fn(Q) -> Q>,
}

#[derive(Debug)]
struct Params<F> {
    modulus: BigInt,
    pi: Eisenstein,
    /// The six associates `u pi` of `pi`: the shortest vectors of the lattice.
    associates: Vec<Eisenstein>,
    /// `t_i`, the shortest representative of `2^(8 i)`.
    powers: Vec<Eisenstein>,
    pi_components: [F; 2],
    power_components: Vec<[F; 2]>,
    /// Low 128 bits and the rest of `q - 1`.
    limit: [F; 2],
}

impl<F: CircuitField, Q: CircuitField> fmt::Debug for EisensteinParams<F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EisensteinParams(pi = {} + {} phi)",
            self.inner.pi.a, self.inner.pi.b
        )
    }
}

impl<F: CircuitField, Q: CircuitField> EisensteinParams<F, Q> {
    /// Computes the prime `pi` and proves all bounds.
    ///
    /// # Errors
    /// [`EisensteinError`] when the fields admit no such arithmetic; all cycles of
    /// [`crate::cycle`] do.
    pub fn new() -> Result<Self, EisensteinError> {
        let modulus = modulus::<Q>();
        let pi = prime(&modulus, &integer(&cube_root::<Q>()))?;
        let units = [(1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)];
        let associates: Vec<_> = units
            .iter()
            .map(|(a, b)| Eisenstein::new(*a, *b).mul(&pi))
            .collect();
        let powers: Vec<_> = (0..CANONICAL_BYTES)
            .map(|i| (BigInt::one() << (i as u32 * LIMB_BITS)).mod_floor(&modulus))
            .map(|power| shorten(&power, &pi, &associates))
            .collect();
        check_bounds(&modulus, &self::modulus::<F>(), &pi, &powers)?;
        let inner = Params {
            pi_components: components(&pi),
            power_components: powers.iter().map(components).collect(),
            limit: Self::canonical_halves(&-Q::ONE),
            modulus,
            pi,
            associates,
            powers,
        };
        Ok(EisensteinParams {
            inner: Arc::new(inner),
            other: PhantomData,
        })
    }

    /// The prime `pi`.
    pub fn pi(&self) -> &Eisenstein {
        &self.inner.pi
    }

    /// The modulus `q`.
    pub fn modulus(&self) -> &BigInt {
        &self.inner.modulus
    }

    /// A shortest representative of `x`: `N <= q / 3`. Deterministic.
    pub fn decompose(&self, x: &Q) -> Eisenstein {
        shorten(&integer(x), &self.inner.pi, &self.inner.associates)
    }

    /// The element `a + b lambda` that an Eisenstein integer represents.
    pub fn recompose(&self, x: &Eisenstein) -> Q {
        element::<Q>(&x.a) + element::<Q>(&x.b) * cube_root::<Q>()
    }

    /// The representative of `x` in a form. For [`Form::Unit`] it is 1 and `x` is ignored.
    pub fn represent(&self, x: &Q, form: Form) -> Eisenstein {
        match form {
            Form::Unit => Eisenstein::new(1, 0),
            Form::Short => self.decompose(x),
            Form::Integer => Eisenstein {
                a: integer(x),
                b: BigInt::zero(),
            },
            Form::Spread => {
                let terms = to_bytes(x).into_iter().zip(&self.inner.powers);
                terms.fold(Eisenstein::default(), |sum, (byte, power)| {
                    sum.add(&Eisenstein::new(byte, 0).mul(power))
                })
            }
        }
    }

    /// The components of [`Self::represent`] as elements of `F`: the native twin of
    /// [`ElementWires::components`], for hashing.
    pub fn components(&self, x: &Q, form: Form) -> [F; 2] {
        components(&self.represent(x, form))
    }

    /// Low 128 bits and the rest of the canonical value: the native twin of [`CanonicalWires`].
    pub fn canonical_halves(x: &Q) -> [F; 2] {
        let bytes = to_bytes(x);
        let (low, high) = bytes.split_at(HALF_BYTES);
        [low, high].map(|half| element(&BigInt::from_bytes_le(Sign::Plus, half)))
    }

    /// `x + (r0 + r1 lambda) y`: the native twin of [`FoldWires`].
    pub fn fold(x: &Q, y: &Q, challenge: Challenge) -> Q {
        *x + challenge.scalar(cube_root::<Q>()) * y
    }
}

/// The modulus of a field.
pub fn modulus<S: CircuitField>() -> BigInt {
    integer(&-S::ONE) + 1
}

/// The canonical value of a field element.
fn integer<S: CircuitField>(x: &S) -> BigInt {
    BigInt::from_bytes_le(Sign::Plus, &to_bytes(x))
}

/// The field element of a signed integer, reduced modulo the field.
pub fn element<S: CircuitField>(x: &BigInt) -> S {
    let radix = power_of_two::<S>(64);
    let digits = x.magnitude().to_u64_digits();
    let magnitude = digits
        .iter()
        .rev()
        .fold(S::ZERO, |acc, digit| acc * radix + S::from(*digit));
    if x.is_negative() {
        -magnitude
    } else {
        magnitude
    }
}

fn components<S: CircuitField>(x: &Eisenstein) -> [S; 2] {
    [element(&x.a), element(&x.b)]
}

/// The integer in `(-p/2, p/2)` of a field element.
pub fn signed<S: CircuitField>(x: &S) -> BigInt {
    let (positive, negative) = (integer(x), integer(&-*x));
    if positive <= negative {
        positive
    } else {
        -negative
    }
}

/// An Eisenstein prime above `q` with `pi(lambda) = 0`, by half-gcd of `q` and `lambda`.
///
/// The Euclidean algorithm keeps `r = t lambda` modulo `q`, so `r - t phi` maps to zero and its
/// norm is a multiple of `q`. At the first `r < sqrt q` also `|t| < sqrt q` (`|t|` times the
/// remainder before is at most `q`), so the norm `r^2 + r t + t^2` is below `3 q`; it is not `2 q`, because 2
/// is inert in `Z[phi]` and divides norms evenly often. Hence it is `q`.
fn prime(q: &BigInt, lambda: &BigInt) -> Result<Eisenstein, EisensteinError> {
    let root = q.sqrt();
    let (mut previous, mut current) = (q.clone(), lambda.clone());
    let (mut previous_t, mut current_t) = (BigInt::zero(), BigInt::one());
    while current > root {
        let quotient = &previous / &current;
        let next = &previous - &quotient * &current;
        let next_t = &previous_t - &quotient * &current_t;
        (previous, current) = (current, next);
        (previous_t, current_t) = (current_t, next_t);
    }
    let pi = Eisenstein {
        a: current,
        b: -current_t,
    };
    let image = (&pi.a + &pi.b * lambda).mod_floor(q);
    if pi.norm() == *q && image.is_zero() {
        Ok(pi)
    } else {
        Err(EisensteinError::NoPrime {
            expected: q.clone(),
            got: pi.norm(),
        })
    }
}

/// A shortest representative of an integer.
///
/// Rounding both components of `x / pi` leaves `e pi`, `e` in `[-1/2, 1/2]^2`, so `N(e) <= 3/4`.
/// If the nearest point `v` to `e` is not 0 then `|v| <= |e| + |e - v| <= sqrt(3/4) + sqrt(1/3) <
/// sqrt 3`, so `N(v) = 1`, for no norm is 2: `v` is one of the six units, all of which are tried.
fn shorten(x: &BigInt, pi: &Eisenstein, associates: &[Eisenstein]) -> Eisenstein {
    let x = Eisenstein::new(x.clone(), 0);
    let rest = x.sub(&x.divide(pi).mul(pi));
    let candidates = associates.iter().map(|associate| rest.sub(associate));
    let (mut best, mut norm) = (rest.clone(), rest.norm());
    for candidate in candidates {
        let candidate_norm = candidate.norm();
        if candidate_norm < norm {
            (best, norm) = (candidate, candidate_norm);
        }
    }
    best
}

/// `2^bits`.
fn power(bits: u32) -> BigInt {
    BigInt::one() << bits
}

/// The offset `2^(8 limbs - 1)` of a signed value.
fn offset(limbs: usize) -> BigInt {
    power(limbs as u32 * LIMB_BITS - 1)
}

fn below(what: &'static str, expected: BigInt, got: BigInt) -> Result<(), EisensteinError> {
    if got < expected {
        Ok(())
    } else {
        Err(EisensteinError::Bound {
            what,
            expected,
            got,
        })
    }
}

/// Proves the bounds of every value and every congruence, by arithmetic on the largest operands.
fn check_bounds(
    q: &BigInt,
    p: &BigInt,
    pi: &Eisenstein,
    powers: &[Eisenstein],
) -> Result<(), EisensteinError> {
    // Components are at most sqrt(4 N / 3), and N <= q / 3.
    let short: BigInt = q * 4 / 9;
    below(
        "components in short form",
        offset(COMPONENT_LIMBS),
        short.sqrt() + 1,
    )?;
    let spread = powers
        .iter()
        .fold(BigInt::zero(), |sum, power| sum + power.magnitude() * 255);
    below(
        "components in spread form",
        power(Form::Spread.bits()),
        spread,
    )?;
    below(
        "canonical values",
        power(CANONICAL_BYTES as u32 * LIMB_BITS),
        q.clone(),
    )?;
    below(
        "halves of canonical values",
        p.clone(),
        power(HALF_BYTES as u32 * LIMB_BITS + 2),
    )?;
    check_soundness(p, pi)?;
    check_completeness(q)
}

/// Every operand of a fold with forms at their largest, so that soundness does not depend on the
/// forms that the caller names: `|V| <= |x| + |x'| + |r y| + |k pi| < p`. A component of a product
/// of Eisenstein integers has at most three products. The terms of an equality are among these.
fn check_soundness(p: &BigInt, pi: &Eisenstein) -> Result<(), EisensteinError> {
    let largest = |of: fn(Form) -> u32| Form::ALL.into_iter().map(of).max().unwrap_or(0);
    let operand = power(largest(Form::bits));
    let limbs = largest(|form| form.quotient_limbs().max(EQUALITY_LIMBS) as u32) as usize;
    let product = power(COMPONENT_BITS) * &operand * 3;
    let multiple = offset(limbs) * pi.magnitude() * 3;
    below(
        "the terms of a congruence",
        p.clone(),
        operand * 2 + product + multiple,
    )
}

/// Honest quotients fit their limbs.
///
/// With `|v| = sqrt N(v)`, a value with components up to `m` has `|v| <= sqrt 3 m`, and `v` has
/// components up to `sqrt(4/3) |v|`. So the components of `k = v / pi` are at most
/// `2 m / sqrt q` for `|v| <= sqrt 3 m`. A challenge has positive components below `2^65`, so
/// `|r| < 2^65`, and `|x + r y - x'| <= sqrt 3 (m_x + 2^65 m_y + m_x')`.
fn check_completeness(q: &BigInt) -> Result<(), EisensteinError> {
    let fits = |limbs: usize, m: BigInt| {
        below(
            "the quotient of a congruence",
            offset(limbs),
            m * 2 / q.sqrt() + 1,
        )
    };
    let short = power(Form::Short.bits());
    for form in Form::ALL {
        fits(
            form.quotient_limbs(),
            &short * 2 + power(COMPONENT_BITS + form.bits()),
        )?;
    }
    fits(EQUALITY_LIMBS, power(Form::Spread.bits() + 1))
}

/// Allocates a signed integer of `limbs` limbs: `-2^(8 limbs - 1) <= value < 2^(8 limbs - 1)`.
///
/// A value that does not fit is truncated, which the constraints that use it then reject.
fn alloc_signed<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: &BigInt,
    limbs: usize,
) -> Result<FirstWire<F>, SynthesisError> {
    let offset = offset(limbs);
    let shifted = (value + &offset).to_biguint().unwrap_or_else(BigUint::zero);
    let wire = segment.alloc_ranged(name, &shifted.to_bytes_le(), limbs)?;
    Ok(wire.add_constant(-element::<F>(&offset)))
}

/// `name a` and `name b` with `limbs` limbs each.
fn alloc_pair<F: CircuitField, CS: ConstraintSystem<F>>(
    segment: &mut FirstSegment<'_, F, CS>,
    name: &str,
    value: &Eisenstein,
    limbs: usize,
) -> Result<[FirstWire<F>; 2], SynthesisError> {
    let a = alloc_signed(segment, &format!("{name} a"), &value.a, limbs)?;
    let b = alloc_signed(segment, &format!("{name} b"), &value.b, limbs)?;
    Ok([a, b])
}

/// An element of `Q`: two signed components whose bounds are those of the form.
///
/// Every constructor enforces the bounds. The representative is any within them.
#[derive(Clone, Debug)]
pub struct ElementWires<F: CircuitField> {
    components: [Wire<F>; 2],
    form: Form,
    constant: Option<[F; 2]>,
}

impl<F: CircuitField> ElementWires<F> {
    /// Allocates the shortest representative of `value` in 32 limbs; [`Form::Short`].
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<Q: CircuitField, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        params: &EisensteinParams<F, Q>,
        name: &str,
        value: &Q,
    ) -> Result<Self, SynthesisError> {
        let pair = alloc_pair(segment, name, &params.decompose(value), COMPONENT_LIMBS)?;
        Ok(Self::short(&pair))
    }

    /// Allocates the shortest representative of `value` without range checks; [`Form::Short`].
    ///
    /// Assumed: the element is used only as the running operand of a [`FoldWires`], which bounds it
    /// through its other operands (`x = x' + k pi - r y`, all range-checked), or is proven to be in
    /// range elsewhere.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc_proven_elsewhere<Q: CircuitField, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        params: &EisensteinParams<F, Q>,
        name: &str,
        value: &Q,
    ) -> Result<Self, SynthesisError> {
        let [a, b] = params.components(value, Form::Short);
        let a = segment.alloc(format!("{name} a"), a)?;
        let b = segment.alloc(format!("{name} b"), b)?;
        Ok(Self::short(&[a, b]))
    }

    /// Allocates the integer of a challenge in 16 limbs; [`Form::Integer`].
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc_integer<CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        name: &str,
        challenge: Challenge,
    ) -> Result<Self, SynthesisError> {
        let bytes = to_bytes(&challenge.to_field::<F>());
        let integer = segment.alloc_ranged(name, &bytes, HALF_BYTES)?;
        let components = [integer.wire().clone(), Wire::zero()];
        Ok(ElementWires {
            components,
            form: Form::Integer,
            constant: None,
        })
    }

    /// The element of two components of [`COMPONENT_LIMBS`] limbs.
    fn short([a, b]: &[FirstWire<F>; 2]) -> Self {
        let components = [a.wire().clone(), b.wire().clone()];
        ElementWires {
            components,
            form: Form::Short,
            constant: None,
        }
    }

    /// A constant; [`Form::Short`].
    pub fn constant<Q: CircuitField>(params: &EisensteinParams<F, Q>, value: &Q) -> Self {
        Self::fixed(params.components(value, Form::Short), Form::Short)
    }

    /// The constant 1; [`Form::Unit`].
    pub fn unit() -> Self {
        Self::fixed([F::ONE, F::ZERO], Form::Unit)
    }

    fn fixed(values: [F; 2], form: Form) -> Self {
        ElementWires {
            components: values.map(Wire::constant),
            form,
            constant: Some(values),
        }
    }

    /// The integer of a challenge, `choices + 2^64 signs`, as an element of `Q`; [`Form::Integer`].
    pub fn from_challenge(challenge: &ChallengeWires<F>) -> Self {
        let components = [challenge.integer(), Wire::zero()];
        ElementWires {
            components,
            form: Form::Integer,
            constant: None,
        }
    }

    /// The components, for hashing.
    pub fn components(&self) -> [&Wire<F>; 2] {
        let [a, b] = &self.components;
        [a, b]
    }

    /// The form, which says the bounds.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The element of `Q` under the current assignment.
    pub fn value<Q: CircuitField>(&self, params: &EisensteinParams<F, Q>) -> Q {
        let [a, b] = &self.components;
        params.recompose(&Eisenstein {
            a: signed(&a.value()),
            b: signed(&b.value()),
        })
    }

    /// `then` if `bit` is set, else `otherwise`: two constraints. `bit` must be boolean already.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn select<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        name: &str,
        bit: &Wire<F>,
        then: &Self,
        otherwise: &Self,
    ) -> Result<Self, SynthesisError> {
        let ([a, b], [c, d]) = (&then.components, &otherwise.components);
        let first = cs.select(|| format!("{name} a"), bit, a, c)?;
        let second = cs.select(|| format!("{name} b"), bit, b, d)?;
        let form = then.form.max(otherwise.form);
        Ok(ElementWires {
            components: [first, second],
            form,
            constant: None,
        })
    }
}

/// `k pi` for the components of `k`.
fn multiple_of_pi<F: CircuitField>([k0, k1]: &[FirstWire<F>; 2], [c0, c1]: [F; 2]) -> [Wire<F>; 2] {
    let (k0, k1) = (k0.wire(), k1.wire());
    let first = k0.scale(c0).sub(&k1.scale(c1));
    let second = k0.scale(c1).add(&k1.scale(c0 - c1));
    [first, second]
}

/// `x' = x + (r0 + r1 phi) y` modulo `q`, folded in two phases.
///
/// Enforced: the congruence, and the bounds of `x'`. Assumed: nothing; the operands carry their
/// bounds. Cost: 3 constraints, or 2 for a constant `y`, and `32 + 2 * quotient_limbs` lookups.
/// Free: which representative of `x'` is taken (`x' + u pi` with `k - u`), as long as it is in
/// bounds; whoever hashes `x'` hashes the components.
#[derive(Clone, Debug)]
pub struct FoldWires<F: CircuitField> {
    result: ElementWires<F>,
    quotient: [FirstWire<F>; 2],
    pi: [F; 2],
}

impl<F: CircuitField> FoldWires<F> {
    /// Phase one: allocates the result and the quotient. `running` is in [`Form::Short`], `fresh`
    /// in the form given; see [`Form`].
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<Q: CircuitField, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        params: &EisensteinParams<F, Q>,
        name: &str,
        running: &Q,
        (fresh, form): (&Q, Form),
        challenge: Challenge,
    ) -> Result<Self, SynthesisError> {
        let (a0, a1) = challenge.components();
        let y = params.represent(fresh, form);
        let x = params
            .decompose(running)
            .add(&Eisenstein::new(a0, a1).mul(&y));
        let result = params.decompose(&params.recompose(&x));
        let k = x.sub(&result).divide(params.pi());
        let result = alloc_pair(segment, &format!("{name} result"), &result, COMPONENT_LIMBS)?;
        let limbs = form.quotient_limbs();
        let quotient = alloc_pair(segment, &format!("{name} quotient"), &k, limbs)?;
        let pi = params.inner.pi_components;
        Ok(FoldWires {
            result: ElementWires::short(&result),
            quotient,
            pi,
        })
    }

    /// Phase two: enforces the congruence and returns `x'`. With `V = x + r y - x' - k pi`,
    ///
    /// ```text
    /// m = r1 yb
    /// r0 ya               = x'_a - x_a + (k pi)_a + m
    /// (r0 + r1) (ya + yb) = (x'_b - x_b + (k pi)_b) + r0 ya + 2 m
    /// ```
    ///
    /// which are `V_a = 0` and `V_b = 0`, as `V_b` contains `r0 yb + r1 ya - r1 yb`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        running: &ElementWires<F>,
        fresh: &ElementWires<F>,
        r: &ChallengeWires<F>,
    ) -> Result<ElementWires<F>, SynthesisError> {
        let (r0, r1) = r.components();
        let [first, second] = multiple_of_pi(&self.quotient, self.pi);
        let first = first
            .add(self.result.components()[0])
            .sub(running.components()[0]);
        let second = second
            .add(self.result.components()[1])
            .sub(running.components()[1]);
        if let Some([ya, yb]) = fresh.constant {
            let real = r0.scale(ya).sub(&r1.scale(yb));
            let imaginary = r0.scale(yb).add(&r1.scale(ya - yb));
            cs.enforce_equal(|| "component a", &real, &first);
            cs.enforce_equal(|| "component b", &imaginary, &second);
        } else {
            let [ya, yb] = fresh.components();
            let cross = cs.product(|| "r1 yb", &r1, yb)?;
            let first = first.add(&cross);
            cs.enforce_product(|| "component a", &r0, ya, &first);
            let second = second.add(&first).add(&cross.scale(F::from(2)));
            cs.enforce_product(|| "component b", &r0.add(&r1), &ya.add(yb), &second);
        }
        Ok(self.result.clone())
    }
}

/// `left = right` modulo `q` for elements of any forms: `left - right = k pi`.
///
/// Enforced: the congruence. Cost: 2 constraints and 4 lookups.
#[derive(Clone, Debug)]
pub struct EqualityWires<F: CircuitField> {
    quotient: [FirstWire<F>; 2],
    pi: [F; 2],
}

impl<F: CircuitField> EqualityWires<F> {
    /// Phase one: allocates the quotient for a value that has both forms.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<Q: CircuitField, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        params: &EisensteinParams<F, Q>,
        name: &str,
        value: &Q,
        (left, right): (Form, Form),
    ) -> Result<Self, SynthesisError> {
        let difference = params
            .represent(value, left)
            .sub(&params.represent(value, right));
        let k = difference.divide(params.pi());
        let quotient = alloc_pair(segment, &format!("{name} quotient"), &k, EQUALITY_LIMBS)?;
        Ok(EqualityWires {
            quotient,
            pi: params.inner.pi_components,
        })
    }

    /// Phase two: enforces the congruence.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        left: &ElementWires<F>,
        right: &ElementWires<F>,
    ) -> Result<(), SynthesisError> {
        let names = ["equal component a", "equal component b"];
        let multiple = multiple_of_pi(&self.quotient, self.pi);
        let pairs = left.components.iter().zip(&right.components).zip(&multiple);
        for (name, ((left, right), multiple)) in names.into_iter().zip(pairs) {
            cs.enforce_equal(|| name, &left.sub(right), multiple);
        }
        Ok(())
    }
}

/// Phase one of a canonical value: 32 bytes of `v` and 32 of `q - 1 - v`, all looked up.
#[derive(Clone, Debug)]
pub struct CanonicalLimbs<F: CircuitField> {
    halves: [FirstWire<F>; 2],
    complement: [FirstWire<F>; 2],
    element: ElementWires<F>,
    limit: [F; 2],
}

/// The canonical value `low + 2^128 high < q` of an element of `Q`, with `low, high < 2^128`.
#[derive(Clone, Debug)]
pub struct CanonicalWires<F: CircuitField> {
    low: FirstWire<F>,
    high: FirstWire<F>,
    element: ElementWires<F>,
}

impl<F: CircuitField> CanonicalLimbs<F> {
    /// Allocates the canonical value of `value`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<Q: CircuitField, CS: ConstraintSystem<F>>(
        segment: &mut FirstSegment<'_, F, CS>,
        params: &EisensteinParams<F, Q>,
        name: &str,
        value: &Q,
    ) -> Result<Self, SynthesisError> {
        let zero = FirstWire::constant(F::ZERO);
        let mut halves = [zero.clone(), zero.clone()];
        let mut components = [zero.clone(), zero];
        let bytes = to_bytes(value);
        for (i, (byte, [a, b])) in bytes.iter().zip(&params.inner.power_components).enumerate() {
            let limb = segment.alloc(format!("{name} byte {i}"), F::from(u64::from(*byte)))?;
            segment.lookup(&limb);
            let half = &mut halves[i / HALF_BYTES];
            *half = half.add(&limb.scale(power_of_two((i % HALF_BYTES) as u32 * LIMB_BITS)));
            components = [
                components[0].add(&limb.scale(*a)),
                components[1].add(&limb.scale(*b)),
            ];
        }
        let bytes = to_bytes(&(-Q::ONE - value));
        let (low, high) = bytes.split_at(HALF_BYTES);
        let low = segment.alloc_ranged(&format!("{name} complement low"), low, HALF_BYTES)?;
        let high = segment.alloc_ranged(&format!("{name} complement high"), high, HALF_BYTES)?;
        let components = components.map(|component| component.wire().clone());
        let element = ElementWires {
            components,
            form: Form::Spread,
            constant: None,
        };
        Ok(CanonicalLimbs {
            halves,
            complement: [low, high],
            element,
            limit: params.inner.limit,
        })
    }

    /// Phase two: enforces `v < q` by `v + w = q - 1` with `w >= 0`: 2 constraints.
    ///
    /// With `v`, `w` and `q - 1` in halves of 128 bits and a borrow `c` from the high half,
    ///
    /// ```text
    /// v_high + w_high + c = (q - 1)_high,   c in {0, 1}
    /// v_low + w_low       = (q - 1)_low + 2^128 c
    /// ```
    ///
    /// The first line defines `c`, the constraint says that it is a bit. Both sides of both lines
    /// are below `2^130 < p`, so they hold over the integers.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn constrain<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
    ) -> Result<CanonicalWires<F>, SynthesisError> {
        let [low, high] = &self.halves;
        let [complement_low, complement_high] = &self.complement;
        let [limit_low, limit_high] = self.limit;
        let carry = high
            .add(complement_high)
            .scale(-F::ONE)
            .add_constant(limit_high);
        cs.enforce_boolean(|| "canonical borrow", carry.wire());
        let radix = power_of_two::<F>(HALF_BYTES as u32 * LIMB_BITS);
        let expected = carry.scale(radix).add_constant(limit_low);
        cs.enforce_equal(
            || "canonical value",
            low.add(complement_low).wire(),
            expected.wire(),
        );
        Ok(CanonicalWires {
            low: low.clone(),
            high: high.clone(),
            element: self.element.clone(),
        })
    }
}

impl<F: CircuitField> CanonicalWires<F> {
    /// The low 128 bits.
    pub fn low(&self) -> &FirstWire<F> {
        &self.low
    }

    /// The bits from 128 on.
    pub fn high(&self) -> &FirstWire<F> {
        &self.high
    }

    /// The same value as an element; [`Form::Spread`], a linear form of the bytes, so free.
    pub fn element(&self) -> &ElementWires<F> {
        &self.element
    }

    /// Enforces that an element has this canonical value; `equality` must have been allocated with
    /// `(Form::Spread, element.form())`.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn enforce_equal_to<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        element: &ElementWires<F>,
        equality: &EqualityWires<F>,
    ) -> Result<(), SynthesisError> {
        equality.constrain(cs, &self.element, element)
    }
}
