//! Arithmetic of Q in a circuit over F, with lazy reduction and tracked bounds.
//!
//! # Representation
//!
//! An element of Q is an Eisenstein integer `a + b phi` modulo the prime `pi` of norm `q`
//! ([`foldnet_gadgets::eisenstein`]). An [`Element`] holds
//!
//! * two component wires, and for each a **bound** on the absolute value of the integer that it
//!   stands for, whatever the prover does;
//! * a bound on `sqrt N(a + b phi)` for an honest prover, the **size**. It decides how many bits a
//!   quotient needs. A wrong size would cost completeness, never soundness;
//! * **low parts**: wires that are congruent to the components modulo `2^LOW_BITS`, with bounds of
//!   their own.
//!
//! Addition, subtraction and multiplication by constants are linear and only grow the bounds; a
//! product of short operands, such as two challenges, is left unreduced up to [`LAZY_BITS`].
//!
//! # Congruences
//!
//! Everything else is one congruence `V = 0` over `Z[phi]` with
//!
//! ```text
//! V = sum_i a_i b_i + rest - result - k pi,
//! ```
//!
//! where `result` (absent in an equality) and the quotient `k` are range-checked by bits. The
//! circuit enforces `V = 0` modulo `p`, the modulus of F, on the wires. If the tracked bounds give
//! `|V| < p` for both components, `V` vanishes over the integers. Otherwise the circuit also
//! enforces `V = 0` modulo `2^LOW_BITS`, on the low parts: their value of `V` is
//! `2^LOW_BITS` times a range-checked carry, an equation whose sides are far below `p`. As `p` is
//! odd, `V` is then a multiple of `p 2^LOW_BITS`, and the tracked bounds give
//! `|V| < p 2^LOW_BITS`, so it vanishes over the integers, and the congruence holds modulo `q`.
//!
//! Bounds are compared at synthesis at each use. What does not fit is reduced first; what cannot be
//! reduced either is [`NonNativeError::Bound`].
//!
//! A product in `Z[phi]` is three products: with `m = a1 b1` and `f = a0 b0` it is
//! `(f - m) + ((a0 + a1)(b0 + b1) - f - 2 m) phi`.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{COMPONENT_BITS, ChallengeWires};
use foldnet_gadgets::eisenstein::{Eisenstein, EisensteinParams, element, modulus, signed};
use foldnet_gadgets::field::{from_i64, power_of_two};
use foldnet_gadgets::wire::{Wire, WireSystem};
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};
use std::sync::Arc;
use thiserror::Error;

/// The second modulus of congruences is `2^LOW_BITS`.
pub const LOW_BITS: u32 = 14;

/// Products whose components stay below `2^LAZY_BITS` are not reduced.
pub const LAZY_BITS: u64 = 136;

/// Bits of a range-checked component, which lies in `[-2^127, 2^127)`.
pub const SHORT_BITS: usize = 128;

/// Products that share one reduction.
const PAIRS: usize = 64;

/// Why a circuit cannot be synthesised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NonNativeError {
    /// A congruence could wrap around.
    #[error("{what}: expected below {expected}, got {got}; reduce the operands earlier")]
    Bound {
        /// What is bounded.
        what: &'static str,
        /// The exclusive upper limit.
        expected: BigUint,
        /// The magnitude that can occur.
        got: BigUint,
    },
    /// An element was to be hashed that a native verifier has no components of.
    #[error(
        "expected an element that was received or squeezed, got a computed one; \
         only those are absorbed"
    )]
    Computed,
    /// The constraint system failed.
    #[error(transparent)]
    Synthesis(#[from] SynthesisError),
}

impl From<NonNativeError> for SynthesisError {
    fn from(error: NonNativeError) -> Self {
        match error {
            NonNativeError::Synthesis(error) => error,
            // The only variant with room for a cause.
            error => SynthesisError::IoError(std::io::Error::other(error)),
        }
    }
}

/// A limit on the absolute value of each component.
type Bounds = [BigUint; 2];

/// Where an element comes from.
#[derive(Clone, Debug)]
enum Origin<F: CircuitField> {
    /// A constant of the circuit: the integers are fixed.
    Constant,
    /// Range-checked here; the bits of each component plus `2^127`, least significant first.
    Ranged(Arc<[Vec<Wire<F>>; 2]>),
    /// A challenge.
    Challenge,
    /// Anything else.
    Computed,
}

/// Wires congruent to the components modulo `2^LOW_BITS`.
#[derive(Clone, Debug)]
struct Low<F: CircuitField> {
    wires: [Wire<F>; 2],
    bounds: Bounds,
}

impl<F: CircuitField> Low<F> {
    /// The exact low part of a constant.
    fn fixed(integers: &Eisenstein) -> Self {
        let parts = [&integers.a, &integers.b].map(centred);
        Low {
            wires: [&parts[0], &parts[1]].map(|x| Wire::constant(element(x))),
            bounds: parts.map(|x| x.into_parts().1),
        }
    }
}

/// An element of Q: see the module.
#[derive(Clone, Debug)]
pub struct Element<F: CircuitField> {
    wires: [Wire<F>; 2],
    integers: Eisenstein,
    bounds: Bounds,
    size: BigUint,
    low: Option<Low<F>>,
    origin: Origin<F>,
}

impl<F: CircuitField> Element<F> {
    /// The component wires.
    pub fn components(&self) -> [&Wire<F>; 2] {
        let [a, b] = &self.wires;
        [a, b]
    }

    /// The components of an element that was received, reduced or squeezed, for hashing.
    ///
    /// # Errors
    /// [`NonNativeError::Computed`] for others: their components are no function of the value.
    pub fn hashed(&self) -> Result<[&Wire<F>; 2], NonNativeError> {
        match self.origin {
            Origin::Ranged(_) | Origin::Challenge => Ok(self.components()),
            Origin::Constant | Origin::Computed => Err(NonNativeError::Computed),
        }
    }

    /// The tracked bounds on the absolute values of the components.
    pub fn bounds(&self) -> &[BigUint; 2] {
        &self.bounds
    }

    /// The bits of both components plus `2^127`, least significant first, of an element that was
    /// range-checked here.
    pub fn bits(&self) -> Option<&[Vec<Wire<F>>; 2]> {
        match &self.origin {
            Origin::Ranged(bits) => Some(bits),
            _ => None,
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self.origin, Origin::Constant)
    }

    fn is_zero(&self) -> bool {
        self.is_constant() && self.integers == Eisenstein::default()
    }

    /// The exact constant.
    fn fixed(integers: Eisenstein) -> Self {
        let parts = [&integers.a, &integers.b];
        Element {
            wires: parts.map(|x| Wire::constant(element(x))),
            bounds: parts.map(|x| x.magnitude().clone()),
            size: ceil_sqrt(&integers.norm().into_parts().1),
            low: Some(Low::fixed(&integers)),
            origin: Origin::Constant,
            integers,
        }
    }

    /// `self + other`: free.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return other.clone();
        }
        let integers = self.integers.add(&other.integers);
        if self.is_constant() && other.is_constant() {
            return Self::fixed(integers);
        }
        let low = self.low.as_ref().zip(other.low.as_ref());
        Element {
            wires: sum(&self.wires, &other.wires),
            integers,
            bounds: total(&self.bounds, &other.bounds),
            size: &self.size + &other.size,
            low: low.map(|(left, right)| Low {
                wires: sum(&left.wires, &right.wires),
                bounds: total(&left.bounds, &right.bounds),
            }),
            origin: Origin::Computed,
        }
    }

    /// `self - other`: free.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.scale(-1))
    }

    /// `factor * self`: free.
    #[must_use]
    pub fn scale(&self, factor: i64) -> Self {
        if factor == 1 {
            return self.clone();
        }
        let exact = Eisenstein::new(factor, 0);
        if self.is_constant() {
            return Self::fixed(self.integers.mul(&exact));
        }
        let field = from_i64::<F>(factor);
        let magnitude = factor.unsigned_abs();
        let low_factor = centred(&BigInt::from(factor));
        let low_field = element::<F>(&low_factor);
        Element {
            wires: [&self.wires[0], &self.wires[1]].map(|x| x.scale(field)),
            integers: self.integers.mul(&exact),
            bounds: [&self.bounds[0], &self.bounds[1]].map(|x| x * magnitude),
            size: &self.size * magnitude,
            low: self.low.as_ref().map(|low| Low {
                wires: [&low.wires[0], &low.wires[1]].map(|x| x.scale(low_field)),
                bounds: [&low.bounds[0], &low.bounds[1]].map(|x| x * low_factor.magnitude()),
            }),
            origin: Origin::Computed,
        }
    }

    /// `constant * self`: linear.
    fn times_constant(&self, constant: &Self) -> Self {
        let c = &constant.integers;
        if self.is_constant() {
            return Self::fixed(self.integers.mul(c));
        }
        let low = self.low.as_ref().zip(constant.low.as_ref());
        Element {
            wires: rotate(&self.wires, [element(&c.a), element(&c.b)]),
            integers: self.integers.mul(c),
            bounds: product_bounds(&self.bounds, &constant.bounds),
            size: &self.size * &constant.size,
            low: low.map(|(low, factor)| Low {
                wires: rotate(
                    &low.wires,
                    [factor.wires[0].value(), factor.wires[1].value()],
                ),
                bounds: product_bounds(&low.bounds, &factor.bounds),
            }),
            origin: Origin::Computed,
        }
    }
}

/// The representative of `x` modulo `2^LOW_BITS` in `[-2^(LOW_BITS - 1), 2^(LOW_BITS - 1))`.
fn centred(x: &BigInt) -> BigInt {
    let half = BigInt::one() << (LOW_BITS - 1);
    (x + &half).mod_floor(&(BigInt::one() << LOW_BITS)) - half
}

fn ceil_sqrt(x: &BigUint) -> BigUint {
    let root = x.sqrt();
    if &root * &root == *x {
        root
    } else {
        root + 1u32
    }
}

fn sum<F: CircuitField>([a, b]: &[Wire<F>; 2], [c, d]: &[Wire<F>; 2]) -> [Wire<F>; 2] {
    [a.add(c), b.add(d)]
}

fn difference<F: CircuitField>([a, b]: &[Wire<F>; 2], [c, d]: &[Wire<F>; 2]) -> [Wire<F>; 2] {
    [a.sub(c), b.sub(d)]
}

fn total([a, b]: &Bounds, [c, d]: &Bounds) -> Bounds {
    [a + c, b + d]
}

/// `(a + b phi)(c0 + c1 phi)` for constants `c0`, `c1`.
fn rotate<F: CircuitField>([a, b]: &[Wire<F>; 2], [c0, c1]: [F; 2]) -> [Wire<F>; 2] {
    let first = a.scale(c0).sub(&b.scale(c1));
    let second = a.scale(c1).add(&b.scale(c0 - c1));
    [first, second]
}

/// Bounds of the components `a0 b0 - a1 b1` and `a0 b1 + a1 b0 - a1 b1`.
fn product_bounds([a0, a1]: &Bounds, [b0, b1]: &Bounds) -> Bounds {
    let cross = a1 * b1;
    [a0 * b0 + &cross, a0 * b1 + a1 * b0 + cross]
}

fn largest([a, b]: &Bounds) -> BigUint {
    a.max(b).clone()
}

/// A signed integer of `n` bits: `sum_i 2^i bit_i - 2^(n - 1)`.
struct Signed<F: CircuitField> {
    wire: Wire<F>,
    bits: Vec<Wire<F>>,
}

impl<F: CircuitField> Signed<F> {
    /// The bits of `value + 2^(n - 1)`; a value that does not fit is cut, which the constraints
    /// that use it then reject.
    fn pattern(value: &BigInt, n: usize) -> Vec<bool> {
        let offset: BigInt = (BigInt::one() << n) >> 1;
        let shifted: BigInt = value + offset;
        let shifted = shifted.to_biguint().unwrap_or_default();
        (0..n as u64).map(|i| shifted.bit(i)).collect()
    }

    /// Allocates the bits; the integer is a linear form of them. `n` constraints.
    fn alloc<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        name: &str,
        value: &BigInt,
        n: usize,
    ) -> Result<Self, SynthesisError> {
        let pattern = Self::pattern(value, n);
        let bits = Self::alloc_bits(cs, name, &pattern)?;
        let wire = match n.checked_sub(1) {
            None => Wire::zero(),
            Some(top) => Self::weigh(&bits).add_constant(-power_of_two::<F>(top as u32)),
        };
        Ok(Signed { wire, bits })
    }

    /// Allocates a variable and all bits but the top one, which is the linear form that is left.
    /// `n` constraints.
    fn alloc_variable<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        name: &str,
        value: &BigInt,
        n: usize,
    ) -> Result<Self, SynthesisError> {
        let wire = cs.wire(|| name, element(value))?;
        let mut pattern = Self::pattern(value, n);
        pattern.pop();
        let mut bits = Self::alloc_bits(cs, name, &pattern)?;
        let half = power_of_two::<F>(pattern.len() as u32);
        let top = wire.add_constant(half).sub(&Self::weigh(&bits));
        let top = top.scale(half.invert().unwrap_or(F::ZERO));
        cs.enforce_boolean(|| format!("{name} top bit"), &top);
        bits.push(top);
        Ok(Signed { wire, bits })
    }

    fn alloc_bits<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        name: &str,
        pattern: &[bool],
    ) -> Result<Vec<Wire<F>>, SynthesisError> {
        let bits = pattern.iter().enumerate();
        bits.map(|(i, bit)| cs.boolean(|| format!("{name} bit {i}"), *bit))
            .collect()
    }

    fn weigh(bits: &[Wire<F>]) -> Wire<F> {
        let mut weight = F::ONE;
        let mut sum = Wire::zero();
        for bit in bits {
            sum.add_scaled(weight, bit);
            weight = weight.double();
        }
        sum
    }

    fn bound(&self) -> BigUint {
        match self.bits.len().checked_sub(1) {
            None => BigUint::zero(),
            Some(top) => BigUint::one() << top,
        }
    }

    /// The low part and its bound: the low bits, as the offset is a multiple of `2^LOW_BITS`; the
    /// integer itself if it is shorter.
    fn low(&self) -> (Wire<F>, BigUint) {
        let count = LOW_BITS as usize;
        match self.bits.get(..count) {
            Some(low) if self.bits.len() > count => {
                (Self::weigh(low), (BigUint::one() << LOW_BITS) - 1u32)
            }
            _ => (self.wire.clone(), self.bound()),
        }
    }
}

/// An Eisenstein integer with range-checked components.
struct Ranged<F: CircuitField>([Signed<F>; 2]);

impl<F: CircuitField> Ranged<F> {
    fn wires(&self) -> [Wire<F>; 2] {
        let Ranged([a, b]) = self;
        [a.wire.clone(), b.wire.clone()]
    }

    fn bounds(&self) -> Bounds {
        let Ranged([a, b]) = self;
        [a.bound(), b.bound()]
    }

    fn low(&self) -> Low<F> {
        let Ranged([a, b]) = self;
        let ((a, first), (b, second)) = (a.low(), b.low());
        Low {
            wires: [a, b],
            bounds: [first, second],
        }
    }

    /// The quotient of a congruence, `n` bits a component.
    fn quotient<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        value: &Eisenstein,
        n: usize,
    ) -> Result<Self, SynthesisError> {
        let a = Signed::alloc(cs, "quotient a", &value.a, n)?;
        let b = Signed::alloc(cs, "quotient b", &value.b, n)?;
        Ok(Ranged([a, b]))
    }
}

/// `sum_i a_i b_i + rest`.
#[derive(Clone, Debug)]
struct Sum<F: CircuitField> {
    pairs: Vec<(Element<F>, Element<F>)>,
    rest: Element<F>,
}

impl<F: CircuitField> Sum<F> {
    /// Products with constants are linear and join the rest.
    fn new(pairs: &[(Element<F>, Element<F>)], rest: Element<F>) -> Self {
        let empty = Sum {
            pairs: Vec::new(),
            rest,
        };
        pairs.iter().fold(empty, |mut sum, (a, b)| {
            if b.is_constant() {
                sum.rest = sum.rest.add(&a.times_constant(b));
            } else if a.is_constant() {
                sum.rest = sum.rest.add(&b.times_constant(a));
            } else {
                sum.pairs.push((a.clone(), b.clone()));
            }
            sum
        })
    }

    fn integers(&self) -> Eisenstein {
        let products = self.pairs.iter().map(|(a, b)| a.integers.mul(&b.integers));
        products.fold(self.rest.integers.clone(), |sum, x| sum.add(&x))
    }

    fn bounds(&self) -> Bounds {
        let products = self.pairs.iter();
        let products = products.map(|(a, b)| product_bounds(&a.bounds, &b.bounds));
        products.fold(self.rest.bounds.clone(), |sum, x| total(&sum, &x))
    }

    /// Norms are multiplicative.
    fn size(&self) -> BigUint {
        let products = self.pairs.iter().map(|(a, b)| &a.size * &b.size);
        products.fold(self.rest.size.clone(), |sum, x| sum + x)
    }

    fn operands(&mut self) -> impl Iterator<Item = &mut Element<F>> {
        let pairs = self.pairs.iter_mut().flat_map(|(a, b)| [a, b]);
        pairs.chain(std::iter::once(&mut self.rest))
    }

    /// The low parts of all operands, if all have them.
    fn low(&self) -> Option<LowSum<F>> {
        let rest = self.rest.low.clone()?;
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|(a, b)| Some((a.low.clone()?, b.low.clone()?)));
        Some(LowSum {
            pairs: pairs.collect::<Option<_>>()?,
            rest,
        })
    }

    fn wires(&self) -> Vec<Factors<F>> {
        let pairs = self.pairs.iter();
        pairs
            .map(|(a, b)| (a.wires.clone(), b.wires.clone()))
            .collect()
    }
}

/// A [`Sum`] of low parts.
struct LowSum<F: CircuitField> {
    pairs: Vec<(Low<F>, Low<F>)>,
    rest: Low<F>,
}

/// The components of two factors.
type Factors<F> = ([Wire<F>; 2], [Wire<F>; 2]);

/// How a congruence is checked.
struct Plan<F: CircuitField> {
    quotient_bits: usize,
    /// Present when it is also checked modulo `2^LOW_BITS`.
    low: Option<LowSum<F>>,
}

/// `a b` as two linear forms of three new products named `name ...`.
fn expand<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    ([a0, a1], [b0, b1]): &Factors<F>,
) -> Result<[Wire<F>; 2], SynthesisError> {
    let cross = cs.product(|| format!("{name} a1 b1"), a1, b1)?;
    let first = cs.product(|| format!("{name} a0 b0"), a0, b0)?;
    let sums = cs.product(|| format!("{name} sums"), &a0.add(a1), &b0.add(b1))?;
    let second = sums.sub(&first).sub(&cross.scale(F::from(2)));
    Ok([first.sub(&cross), second])
}

/// `sum_i a_i b_i = target` modulo `p`: three constraints a product, two in all without products.
fn enforce_sum<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    name: &str,
    pairs: &[Factors<F>],
    target: [Wire<F>; 2],
) -> Result<(), SynthesisError> {
    let (component_a, component_b) = (format!("{name} a"), format!("{name} b"));
    let Some((([a0, a1], [b0, b1]), others)) = pairs.split_last() else {
        let [first, second] = &target;
        cs.enforce_equal(|| component_a, first, &Wire::zero());
        cs.enforce_equal(|| component_b, second, &Wire::zero());
        return Ok(());
    };
    let mut target = target;
    for (i, factors) in others.iter().enumerate() {
        let product = expand(cs, &format!("{name} product {i}"), factors)?;
        target = difference(&target, &product);
    }
    let cross = cs.product(|| format!("{name} cross"), a1, b1)?;
    let [first, second] = target;
    let first = first.add(&cross);
    cs.enforce_product(|| component_a, a0, b0, &first);
    let second = second.add(&first).add(&cross.scale(F::from(2)));
    cs.enforce_product(|| component_b, &a0.add(a1), &b0.add(b1), &second);
    Ok(())
}

/// Arithmetic of Q over F.
///
/// Names of allocations and constraints are fixed within an operation, which runs in a namespace of
/// the name given; names must differ.
#[derive(Clone, Debug)]
pub struct NonNative<F: CircuitField, Q: CircuitField> {
    params: EisensteinParams<F, Q>,
    /// `p`.
    native: BigUint,
    /// `q`.
    other: BigUint,
    pi: Element<F>,
    pi_low: Low<F>,
}

impl<F: CircuitField, Q: CircuitField> NonNative<F, Q> {
    /// Arithmetic for a pair of fields.
    pub fn new(params: &EisensteinParams<F, Q>) -> Self {
        NonNative {
            params: params.clone(),
            native: modulus::<F>().into_parts().1,
            other: modulus::<Q>().into_parts().1,
            pi: Element::fixed(params.pi().clone()),
            pi_low: Low::fixed(params.pi()),
        }
    }

    /// The pair of fields.
    pub fn params(&self) -> &EisensteinParams<F, Q> {
        &self.params
    }

    /// The constant of a value: its shortest representative, which is exact.
    pub fn constant(&self, value: &Q) -> Element<F> {
        Element::fixed(self.params.decompose(value))
    }

    /// The element of Q under the current assignment.
    pub fn value(&self, x: &Element<F>) -> Q {
        self.params.recompose(&x.integers)
    }

    /// The size of shortest representatives: `N <= q / 3`.
    fn short_size(&self) -> BigUint {
        ceil_sqrt(&(&self.other / 3u32))
    }

    /// Allocates the shortest representative of a value and range-checks its components:
    /// `2 * SHORT_BITS` constraints.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        value: &Q,
    ) -> Result<Element<F>, NonNativeError> {
        let integers = self.params.decompose(value);
        let a = Signed::alloc_variable(cs, &format!("{name} a"), &integers.a, SHORT_BITS)?;
        let b = Signed::alloc_variable(cs, &format!("{name} b"), &integers.b, SHORT_BITS)?;
        let ranged = Ranged([a, b]);
        let (wires, bounds, low) = (ranged.wires(), ranged.bounds(), ranged.low());
        let Ranged([a, b]) = ranged;
        Ok(Element {
            wires,
            integers,
            bounds,
            size: self.short_size(),
            low: Some(low),
            origin: Origin::Ranged(Arc::new([a.bits, b.bits])),
        })
    }

    /// The element of two components that are proven elsewhere to be at most `bound` in absolute
    /// value, as integers in `(-p/2, p/2)`. It has no low parts: where they are needed it is
    /// reduced first.
    ///
    /// # Errors
    /// [`NonNativeError::Bound`] when `bound` is not below `p / 2`.
    pub fn from_components(
        &self,
        wires: [Wire<F>; 2],
        bound: &BigUint,
    ) -> Result<Element<F>, NonNativeError> {
        self.below("components taken in", &self.native, &(bound * 2u32))?;
        let integers = Eisenstein {
            a: signed(&wires[0].value()),
            b: signed(&wires[1].value()),
        };
        Ok(Element {
            wires,
            integers,
            bounds: [bound.clone(), bound.clone()],
            // The largest norm in the square is that of opposite corners, 3 bound^2.
            size: ceil_sqrt(&(bound * bound * 3u32)),
            low: None,
            origin: Origin::Computed,
        })
    }

    /// The element `a0 + a1 phi` of a challenge; components below `2^65`. Free.
    pub fn from_challenge(&self, challenge: &ChallengeWires<F>) -> Element<F> {
        let (a0, a1) = challenge.components();
        let (value0, value1) = challenge.value().components();
        let (low0, low1) = challenge.low_components(LOW_BITS as usize);
        let bound = BigUint::one() << COMPONENT_BITS;
        let low_bound = (BigUint::one() << LOW_BITS) - 1u32;
        Element {
            wires: [a0, a1],
            integers: Eisenstein::new(value0, value1),
            bounds: [bound.clone(), bound.clone()],
            // Both components are positive, so the norm is below the larger one's square.
            size: bound,
            low: Some(Low {
                wires: [low0, low1],
                bounds: [low_bound.clone(), low_bound],
            }),
            origin: Origin::Challenge,
        }
    }

    /// `a b`: unreduced if it is short, otherwise one congruence.
    ///
    /// # Errors
    /// [`NonNativeError::Bound`] when an operand is too large to be reduced.
    pub fn multiply<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        a: &Element<F>,
        b: &Element<F>,
    ) -> Result<Element<F>, NonNativeError> {
        self.inner_product(cs, name, &[(a.clone(), b.clone())])
    }

    /// `sum_i a_i b_i`: unreduced if it is short, otherwise one congruence per `PAIRS` products.
    ///
    /// # Errors
    /// [`NonNativeError::Bound`] when an operand is too large to be reduced.
    pub fn inner_product<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        pairs: &[(Element<F>, Element<F>)],
    ) -> Result<Element<F>, NonNativeError> {
        let zero = Element::fixed(Eisenstein::default());
        let sum = Sum::new(pairs, zero);
        if largest(&sum.bounds()).bits() <= LAZY_BITS {
            return self.expand(&mut cs.namespace(|| name), sum);
        }
        let Sum {
            mut pairs,
            mut rest,
        } = sum;
        let mut part = 0;
        while pairs.len() > PAIRS {
            let tail = pairs.split_off(PAIRS);
            let sum = Sum { pairs, rest };
            rest = self.reduce_sum(cs, &format!("{name} part {part}"), sum)?;
            pairs = tail;
            part += 1;
        }
        self.reduce_sum(cs, name, Sum { pairs, rest })
    }

    /// A short sum of products, left unreduced.
    fn expand<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        sum: Sum<F>,
    ) -> Result<Element<F>, NonNativeError> {
        let mut result = sum.rest;
        for (i, (a, b)) in sum.pairs.iter().enumerate() {
            let factors = (a.wires.clone(), b.wires.clone());
            let wires = expand(cs, &format!("product {i}"), &factors)?;
            let low = match a.low.as_ref().zip(b.low.as_ref()) {
                None => None,
                Some((a, b)) => {
                    let factors = (a.wires.clone(), b.wires.clone());
                    let wires = expand(cs, &format!("low product {i}"), &factors)?;
                    let bounds = product_bounds(&a.bounds, &b.bounds);
                    Some(Low { wires, bounds })
                }
            };
            result = result.add(&Element {
                wires,
                integers: a.integers.mul(&b.integers),
                bounds: product_bounds(&a.bounds, &b.bounds),
                size: &a.size * &b.size,
                low,
                origin: Origin::Computed,
            });
        }
        Ok(result)
    }

    /// The same value with range-checked components. Free if it has them already.
    ///
    /// # Errors
    /// [`NonNativeError::Bound`] when the element is too large.
    pub fn reduce<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        x: &Element<F>,
    ) -> Result<Element<F>, NonNativeError> {
        if x.bits().is_some() {
            return Ok(x.clone());
        }
        let sum = Sum::new(&[], x.clone());
        self.reduce_sum(cs, name, sum)
    }

    /// Enforces `a = b` modulo `q`.
    ///
    /// # Errors
    /// [`NonNativeError::Bound`] when an operand is too large.
    pub fn enforce_equal<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        a: &Element<F>,
        b: &Element<F>,
    ) -> Result<(), NonNativeError> {
        let mut cs = cs.namespace(|| name);
        let sum = Sum::new(&[], a.sub(b));
        let (sum, plan) = self.prepare(&mut cs, sum, false)?;
        self.congruence(&mut cs, &sum, plan, None)
    }

    /// The sum as an element with range-checked components.
    fn reduce_sum<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        name: &str,
        sum: Sum<F>,
    ) -> Result<Element<F>, NonNativeError> {
        let mut cs = cs.namespace(|| name);
        let (sum, plan) = self.prepare(&mut cs, sum, true)?;
        let value = self.params.recompose(&sum.integers());
        let result = self.alloc(&mut cs, "result", &value)?;
        self.congruence(&mut cs, &sum, plan, Some(&result))?;
        Ok(result)
    }

    /// Reduces the largest operands until the congruence cannot wrap around.
    fn prepare<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        mut sum: Sum<F>,
        with_result: bool,
    ) -> Result<(Sum<F>, Plan<F>), NonNativeError> {
        let mut reduced = 0;
        loop {
            let failure = match self.plan(&sum, with_result) {
                Ok(plan) => return Ok((sum, plan)),
                Err(failure) => failure,
            };
            if sum.pairs.is_empty() {
                return Err(failure);
            }
            let operands = sum
                .operands()
                .filter(|x| x.bits().is_none() && !x.is_constant());
            // An operand without low parts rules the second modulus out, whatever its size.
            let widest = operands.max_by_key(|x| (x.low.is_none(), largest(&x.bounds)));
            let Some(operand) = widest else {
                return Err(failure);
            };
            let part = Sum::new(&[], operand.clone());
            if self.plan(&part, true).is_err() {
                return Err(failure);
            }
            *operand = self.reduce_sum(cs, &format!("operand {reduced}"), part)?;
            reduced += 1;
        }
    }

    /// Bits of a component of the quotient for an honest prover.
    ///
    /// With `|x| = sqrt N(x)`, a component of `x` is at most `sqrt(4/3) |x|`, and
    /// `|k| = |sum - result| / sqrt q`.
    fn quotient_bits(&self, size: &BigUint) -> usize {
        let square = size * size * 4u32 / (&self.other * 3u32);
        match square.sqrt().bits() {
            0 => 0,
            bits => bits as usize + 1,
        }
    }

    /// Proves `|V| < p`, or `|V| < p 2^LOW_BITS` if all operands have low parts.
    fn plan(&self, sum: &Sum<F>, with_result: bool) -> Result<Plan<F>, NonNativeError> {
        let size = match with_result {
            true => sum.size() + self.short_size(),
            false => sum.size(),
        };
        let quotient_bits = self.quotient_bits(&size);
        let magnitude = |bits: usize| (BigUint::one() << bits) >> 1;
        let quotient = [magnitude(quotient_bits), magnitude(quotient_bits)];
        let multiple = product_bounds(&quotient, &self.pi.bounds);
        let mut bounds = total(&sum.bounds(), &multiple);
        if with_result {
            let result = [magnitude(SHORT_BITS), magnitude(SHORT_BITS)];
            bounds = total(&bounds, &result);
        }
        let got = largest(&bounds);
        if got < self.native {
            let low = None;
            return Ok(Plan { quotient_bits, low });
        }
        let low = sum.low();
        let limit = match low {
            Some(_) => &self.native << LOW_BITS,
            None => self.native.clone(),
        };
        self.below("the terms of a congruence", &limit, &got)?;
        Ok(Plan { quotient_bits, low })
    }

    fn below(
        &self,
        what: &'static str,
        expected: &BigUint,
        got: &BigUint,
    ) -> Result<(), NonNativeError> {
        if got < expected {
            Ok(())
        } else {
            Err(NonNativeError::Bound {
                what,
                expected: expected.clone(),
                got: got.clone(),
            })
        }
    }

    /// Enforces `sum - result - k pi = 0` over `Z[phi]`.
    fn congruence<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        sum: &Sum<F>,
        plan: Plan<F>,
        result: Option<&Element<F>>,
    ) -> Result<(), NonNativeError> {
        let mut integers = sum.integers();
        if let Some(result) = result {
            integers = integers.sub(&result.integers);
        }
        let k = integers.divide(self.params.pi());
        let quotient = Ranged::quotient(cs, &k, plan.quotient_bits)?;
        let [a, b] = &self.pi.wires;
        let mut target = rotate(&quotient.wires(), [a.value(), b.value()]);
        if let Some(result) = result {
            target = self::sum(&target, &result.wires);
        }
        let target = difference(&target, &sum.rest.wires);
        enforce_sum(cs, "component", &sum.wires(), target)?;
        match plan.low {
            None => Ok(()),
            Some(low) => self.low_congruence(cs, &low, &quotient, result),
        }
    }

    /// The same modulo `2^LOW_BITS`: `V` of the low parts is `2^LOW_BITS` times a carry.
    fn low_congruence<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        sum: &LowSum<F>,
        quotient: &Ranged<F>,
        result: Option<&Element<F>>,
    ) -> Result<(), NonNativeError> {
        let quotient = quotient.low();
        let [a, b] = &self.pi_low.wires;
        let mut target = rotate(&quotient.wires, [a.value(), b.value()]);
        let mut bounds = product_bounds(&quotient.bounds, &self.pi_low.bounds);
        if let Some(low) = result.and_then(|result| result.low.as_ref()) {
            target = self::sum(&target, &low.wires);
            bounds = total(&bounds, &low.bounds);
        }
        target = difference(&target, &sum.rest.wires);
        bounds = total(&bounds, &sum.rest.bounds);
        for (a, b) in &sum.pairs {
            bounds = total(&bounds, &product_bounds(&a.bounds, &b.bounds));
        }
        let pairs = sum.pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|(a, b)| (a.wires.clone(), b.wires.clone()))
            .collect();
        let carry = self.carry(cs, &pairs, &target, &largest(&bounds))?;
        enforce_sum(cs, "low", &pairs, self::sum(&target, &carry))?;
        Ok(())
    }

    /// `2^LOW_BITS` times the range-checked carry that makes up `sum_i a_i b_i - target`, whose
    /// components are at most `bound`.
    fn carry<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        pairs: &[Factors<F>],
        target: &[Wire<F>; 2],
        bound: &BigUint,
    ) -> Result<[Wire<F>; 2], NonNativeError> {
        let integers = |[a, b]: &[Wire<F>; 2]| Eisenstein {
            a: signed(&a.value()),
            b: signed(&b.value()),
        };
        let products = pairs.iter().map(|(a, b)| integers(a).mul(&integers(b)));
        let sum = products.fold(Eisenstein::default(), |sum, x| sum.add(&x));
        let rest = sum.sub(&integers(target));
        let bits = (bound >> LOW_BITS).bits() as usize + 1;
        // Both sides of the equation are below p, so that it holds over the integers.
        let terms = bound + (BigUint::one() << (bits + LOW_BITS as usize));
        self.below("the low parts of a congruence", &self.native, &terms)?;
        let shift = |x: &BigInt| x >> LOW_BITS;
        let a = Signed::alloc(cs, "carry a", &shift(&rest.a), bits)?;
        let b = Signed::alloc(cs, "carry b", &shift(&rest.b), bits)?;
        let radix = power_of_two::<F>(LOW_BITS);
        Ok([a.wire.scale(radix), b.wire.scale(radix)])
    }
}
