//! Affine points of `y^2 = x^3 + b` over the circuit's own field, and `P' = P + endo(r) Q`.
//!
//! # Shape of the computation
//!
//! `A = (1 + phi) Q = (beta^2 x, -y)`, then for the digits `d_63, ..., d_0` of the challenge
//! ([`crate::challenge`]) `A = 2 A + S` with `S = d_i Q`, then `P' = P + A`. `2 A + S` is computed
//! as `(A + S) + A` without the ordinate of `A + S` (Eisentraeger, Lauter, Montgomery 2003,
//! section 2), in 5 constraints:
//!
//! ```text
//! s (x_S - x_A)       = y_S - y_A            slope of A, S
//! s^2                 = x_M + x_A + x_S      M = A + S
//! (s + t) (x_A - x_M) = 2 y_A                slope t of M, A, with y_M = s (x_A - x_M) - y_A
//! t^2                 = x' + x_M + x_A
//! t (x_A - x')        = y' + y_A
//! ```
//!
//! Names within an operation are fixed, so each operation needs a namespace of its own.
//!
//! # What is assumed
//!
//! `P` and `Q` lie on the curve ([`PointWires::enforce_on_curve`]) and the curve has prime order
//! above 3 with `[lambda](x, y) = (beta x, y)`, `lambda != 1`, as all four curves of
//! [`crate::cycle`] have. An affine point is never the identity. From this:
//!
//! * No addition but the last meets an exceptional case ([`crate::challenge`]), so each slope and
//!   with it each coordinate is determined by the constraints. The last addition has a
//!   prover-chosen operand and carries a forced inverse: `(x_A - x_P) * inverse = 1`.
//! * No point on the curve has `y = 0` or `x = 0`. A point with `y = 0` has order 2. A point with
//!   `x = 0` is fixed by `phi`, so `lambda - 1` annihilates it; but `lambda - 1` is non-zero modulo
//!   the prime order, so the point would be the identity. (In other words `b` is no square and `-b`
//!   no cube.)
//!
//! # Digits without bits
//!
//! [`multiply_add`] allocates no bits. The constraints `(x_S - x)(x_S - beta x) = 0` and
//! `(y_S - y)(y_S + y) = 0` say, as `x` and `y` are non-zero and `beta != 1`, that
//! `x_S = (1 + (beta - 1) c_i) x` and `y_S = (1 - 2 s_i) y` for unique bits `c_i`, `s_i`. Two
//! constraints a point tie them to the multiplier:
//!
//! ```text
//! sum_i 2^i x_S,i = x ((2^64 - 1) + (beta - 1) choices)
//! sum_i 2^i y_S,i = y ((2^64 - 1) - 2 signs)
//! ```
//!
//! Dividing by `(beta - 1) x` and `-2 y` they say `choices = sum_i 2^i c_i` and
//! `signs = sum_i 2^i s_i` in the field. The right-hand sides are integers below `2^64`, far below
//! the field's size, so the integers determine the digits, and the two wires are proven to be below
//! `2^64`.

use crate::challenge::{Challenge, ChallengeWires, DIGITS};
use crate::field::{CircuitField, from_u128, power_of_two};
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};

/// An affine point as two wires. Nothing is enforced by making one.
#[derive(Clone, Debug)]
pub struct PointWires<F: CircuitField> {
    /// Abscissa.
    pub x: Wire<F>,
    /// Ordinate.
    pub y: Wire<F>,
}

impl<F: CircuitField> PointWires<F> {
    /// The point of two wires.
    pub fn new(x: Wire<F>, y: Wire<F>) -> Self {
        PointWires { x, y }
    }

    /// A constant point.
    pub fn constant(x: F, y: F) -> Self {
        PointWires {
            x: Wire::constant(x),
            y: Wire::constant(y),
        }
    }

    /// Allocates `name x` and `name y`. Nothing is enforced about them.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn alloc<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        name: &str,
        (x, y): (F, F),
    ) -> Result<Self, SynthesisError> {
        let x = cs.wire(|| format!("{name} x"), x)?;
        let y = cs.wire(|| format!("{name} y"), y)?;
        Ok(PointWires { x, y })
    }

    /// The coordinates under the current assignment.
    pub fn value(&self) -> (F, F) {
        (self.x.value(), self.y.value())
    }

    /// Enforces `y^2 = x^3 + b`: 3 constraints.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn enforce_on_curve<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        b: F,
    ) -> Result<(), SynthesisError> {
        let square = cs.product(|| "x squared", &self.x, &self.x)?;
        let cube = cs.product(|| "x cubed", &square, &self.x)?;
        cs.enforce_product(|| "on the curve", &self.y, &self.y, &cube.add_constant(b));
        Ok(())
    }
}

/// A challenge as two integers, for circuits that have no bits of it.
#[derive(Clone, Debug)]
pub struct MultiplierWires<F: CircuitField> {
    /// `sum_i 2^i c_i` over the choice bits.
    pub choices: Wire<F>,
    /// `sum_i 2^i s_i` over the sign bits.
    pub signs: Wire<F>,
}

impl<F: CircuitField> MultiplierWires<F> {
    /// Splits `integer = choices + 2^64 signs` ([`Challenge::to_field`]): one variable, no
    /// constraint.
    ///
    /// Enforced later: [`multiply_add`] proves both parts below `2^64`, which makes the split
    /// unique.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn from_integer<CS: ConstraintSystem<F>>(
        cs: &mut CS,
        integer: &Wire<F>,
        challenge: Challenge,
    ) -> Result<Self, SynthesisError> {
        let choices = cs.wire(|| "choices", F::from(challenge.choices()))?;
        let inverse = power_of_two::<F>(DIGITS as u32).invert().unwrap_or(F::ZERO);
        let signs = integer.sub(&choices).scale(inverse);
        Ok(MultiplierWires { choices, signs })
    }
}

/// `P + endo(r) Q` where the bits of the challenge are wires: 452 constraints.
///
/// Assumed: what the module says; the bits are boolean, as [`ChallengeWires`] enforces. Enforced:
/// the result.
///
/// # Errors
/// Only those of the underlying system.
pub fn multiply_add_bits<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    p: &PointWires<F>,
    q: &PointWires<F>,
    r: &ChallengeWires<F>,
    beta: F,
) -> Result<PointWires<F>, SynthesisError> {
    let mut accumulator = start(q, beta);
    for (i, (choice, sign)) in r.choices().iter().zip(r.signs()).enumerate().rev() {
        let mut cs = cs.namespace(|| format!("digit {i}"));
        let shift = cs
            .product(|| "choice x", choice, &q.x)?
            .scale(beta - F::ONE);
        let flip = cs.product(|| "sign y", sign, &q.y)?.scale(F::from(2));
        let digit = PointWires::new(q.x.add(&shift), q.y.sub(&flip));
        accumulator = double_add(&mut cs, &accumulator, &digit)?;
    }
    add(&mut cs.namespace(|| "sum"), p, &accumulator)
}

/// `P + endo(r) Q` where the challenge is given as two integers: 454 constraints.
///
/// `challenge` is the hint for the digits. Assumed: what the module says. Enforced: the result, and
/// that both integers are below `2^64`.
///
/// # Errors
/// Only those of the underlying system.
pub fn multiply_add<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    p: &PointWires<F>,
    q: &PointWires<F>,
    r: &MultiplierWires<F>,
    challenge: Challenge,
    beta: F,
) -> Result<PointWires<F>, SynthesisError> {
    let mut accumulator = start(q, beta);
    let mut sum = PointWires::constant(F::ZERO, F::ZERO);
    for i in (0..DIGITS).rev() {
        let mut cs = cs.namespace(|| format!("digit {i}"));
        let digit = alloc_digit(&mut cs, q, challenge.digit(i), beta)?;
        accumulator = double_add(&mut cs, &accumulator, &digit)?;
        let weight = power_of_two::<F>(i as u32);
        sum.x.add_scaled(weight, &digit.x);
        sum.y.add_scaled(weight, &digit.y);
    }
    let ones = from_u128::<F>((1 << DIGITS) - 1);
    let choices = r.choices.scale(beta - F::ONE).add_constant(ones);
    cs.enforce_product(|| "choices add up", &q.x, &choices, &sum.x);
    let signs = r.signs.scale(-F::from(2)).add_constant(ones);
    cs.enforce_product(|| "signs add up", &q.y, &signs, &sum.y);
    add(&mut cs.namespace(|| "sum"), p, &accumulator)
}

/// `(1 + phi) Q = -phi^2 Q`.
fn start<F: CircuitField>(q: &PointWires<F>, beta: F) -> PointWires<F> {
    PointWires::new(q.x.scale(beta.square()), q.y.scale(-F::ONE))
}

/// A point with `x_S` in `{x, beta x}` and `y_S` in `{y, -y}`.
fn alloc_digit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    q: &PointWires<F>,
    (choice, sign): (bool, bool),
    beta: F,
) -> Result<PointWires<F>, SynthesisError> {
    let image = q.x.scale(beta);
    let negative = q.y.scale(-F::ONE);
    let x = cs.wire(
        || "digit x",
        if choice { image.value() } else { q.x.value() },
    )?;
    let y = cs.wire(
        || "digit y",
        if sign { negative.value() } else { q.y.value() },
    )?;
    cs.enforce_product(|| "digit x", &x.sub(&q.x), &x.sub(&image), &Wire::zero());
    cs.enforce_product(|| "digit y", &y.sub(&q.y), &y.sub(&negative), &Wire::zero());
    Ok(PointWires { x, y })
}

/// `numerator / denominator`, or zero when the denominator is.
fn quotient<F: CircuitField>(numerator: F, denominator: F) -> F {
    numerator * denominator.invert().unwrap_or(F::ZERO)
}

/// `2 A + S` as `(A + S) + A`: 5 constraints. Assumed: no exceptional case.
fn double_add<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    a: &PointWires<F>,
    s: &PointWires<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let (dx, dy) = (s.x.sub(&a.x), s.y.sub(&a.y));
    let first = cs.wire(|| "first slope", quotient(dy.value(), dx.value()))?;
    cs.enforce_product(|| "first slope", &first, &dx, &dy);

    let middle = first.value().square() - a.x.value() - s.x.value();
    let middle = cs.wire(|| "middle x", middle)?;
    cs.enforce_product(|| "middle x", &first, &first, &middle.add(&a.x).add(&s.x));

    let dx = a.x.sub(&middle);
    let twice = a.y.scale(F::from(2));
    let second = quotient(twice.value(), dx.value()) - first.value();
    let second = cs.wire(|| "second slope", second)?;
    cs.enforce_product(|| "second slope", &first.add(&second), &dx, &twice);

    let x = second.value().square() - middle.value() - a.x.value();
    let x = cs.wire(|| "x", x)?;
    cs.enforce_product(|| "x", &second, &second, &x.add(&middle).add(&a.x));
    let dx = a.x.sub(&x);
    let y = cs.wire(|| "y", second.value() * dx.value() - a.y.value())?;
    cs.enforce_product(|| "y", &second, &dx, &y.add(&a.y));
    Ok(PointWires { x, y })
}

/// `P + A` for points with different abscissas, which is enforced: 4 constraints.
fn add<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    p: &PointWires<F>,
    a: &PointWires<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let inverse = cs.inverse(|| "different abscissas", &a.x.sub(&p.x))?;
    let slope = cs.product(|| "slope", &a.y.sub(&p.y), &inverse)?;
    let x = slope.value().square() - p.x.value() - a.x.value();
    let x = cs.wire(|| "x", x)?;
    cs.enforce_product(|| "x", &slope, &slope, &x.add(&p.x).add(&a.x));
    let dx = p.x.sub(&x);
    let y = cs.wire(|| "y", slope.value() * dx.value() - p.y.value())?;
    cs.enforce_product(|| "y", &slope, &dx, &y.add(&p.y));
    Ok(PointWires { x, y })
}

/// The native twin of [`multiply_add`] and [`multiply_add_bits`] on affine coordinates; `None` when
/// an addition meets equal abscissas, which for points on the curve only the last can.
pub fn multiply_add_native<F: CircuitField>(
    p: (F, F),
    q: (F, F),
    challenge: Challenge,
    beta: F,
) -> Option<(F, F)> {
    let mut accumulator = (q.0 * beta.square(), -q.1);
    for i in (0..DIGITS).rev() {
        let (choice, sign) = challenge.digit(i);
        let x = if choice { q.0 * beta } else { q.0 };
        let y = if sign { -q.1 } else { q.1 };
        let middle = add_native(accumulator, (x, y))?;
        accumulator = add_native(middle, accumulator)?;
    }
    add_native(p, accumulator)
}

/// The chord of two points with different abscissas.
fn add_native<F: CircuitField>(p: (F, F), q: (F, F)) -> Option<(F, F)> {
    let inverse: Option<F> = (q.0 - p.0).invert().into();
    let slope = (q.1 - p.1) * inverse?;
    let x = slope.square() - p.0 - q.0;
    Some((x, slope * (p.0 - x) - p.1))
}
