//! Point operations with prover-chosen operands, and the multiplication by a full-size scalar.
//!
//! [`add`] carries a forced inverse, so each result is determined whatever the operands are; only
//! the sums of [`super::msm`], whose operands are fixed points, do without.
//!
//! # A full-size scalar
//!
//! The bits of `c = c_0 + c_1 phi` with `c_k = sum_i 2^i b_(k,i) - 2^(m - 1)` are read as digits
//! `e = 2 b - 1` in `{+1, -1}`: `sum_i 2^i e_(k,i) = 2 c_k + 1`. A digit pair selects one of
//! `+-(1 + phi) M` and `+-(1 - phi) M`, and double-and-add from the top gives
//! `Z = 2 c M + (1 + phi) M`. The accumulator has odd components, so `2 A +- S` is no exception as
//! long as components are far below the shortest lattice vector; the last digits come near to it.
//! Each addition therefore forces an inverse, the last ones because soundness asks for it. Doubling
//! divides by `2 y`, and no point of odd order has `y = 0`.

use super::points::Coordinates;
use crate::arithmetic::ScalarBits;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::point::PointWires;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// A constant point as wires.
pub(super) fn constant<F: CircuitField>((x, y): Coordinates<F>) -> PointWires<F> {
    PointWires::constant(x, y)
}

/// `-P`.
pub(super) fn negate<F: CircuitField>(p: &PointWires<F>) -> PointWires<F> {
    PointWires::new(p.x.clone(), p.y.scale(-F::ONE))
}

/// The third point of a line of known slope through `P` and `Q`, reflected: 2 constraints.
fn reflect<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    slope: &Wire<F>,
    p: &PointWires<F>,
    q_x: &Wire<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let x = slope.value().square() - p.x.value() - q_x.value();
    let x = cs.wire(|| "x", x)?;
    cs.enforce_product(|| "x", slope, slope, &x.add(&p.x).add(q_x));
    let dx = p.x.sub(&x);
    let y = cs.wire(|| "y", slope.value() * dx.value() - p.y.value())?;
    cs.enforce_product(|| "y", slope, &dx, &y.add(&p.y));
    Ok(PointWires::new(x, y))
}

/// `P + Q` for points with different abscissas, which is enforced: 4 constraints.
///
/// # Errors
/// Only those of the underlying system.
pub(super) fn add<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    p: &PointWires<F>,
    q: &PointWires<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let inverse = cs.inverse(|| "different abscissas", &q.x.sub(&p.x))?;
    let slope = cs.product(|| "slope", &q.y.sub(&p.y), &inverse)?;
    reflect(cs, &slope, p, &q.x)
}

/// `2 P` for a point of odd order: 4 constraints.
fn double<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    p: &PointWires<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let square = cs.product(|| "square", &p.x, &p.x)?;
    let twice = p.y.scale(F::from(2));
    let numerator = square.scale(F::from(3));
    let slope = numerator.value() * twice.value().invert().unwrap_or(F::ZERO);
    let slope = cs.wire(|| "slope", slope)?;
    cs.enforce_product(|| "slope", &slope, &twice, &numerator);
    reflect(cs, &slope, p, &p.x)
}

/// Enforces `B = c M` for scalar bits `c`: 12 constraints a digit pair. Refuses `c = 0`.
///
/// Assumed: both points lie on the curve, of prime order above 3. Compared are `2 B` and
/// `2 c M = Z - (1 + phi) M`; the order is odd, so the halves are equal too.
///
/// # Errors
/// [`SynthesisError::IncompatibleLengthVector`] when the components have different lengths or none.
pub(super) fn enforce_multiple<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    b: &PointWires<F>,
    m: &PointWires<F>,
    scalar: &ScalarBits<F>,
    beta: F,
) -> Result<(), SynthesisError> {
    // (1 + phi) M = -phi^2 M and (1 - phi) M.
    let plus = PointWires::new(m.x.scale(beta.square()), m.y.scale(-F::ONE));
    let image = PointWires::new(m.x.scale(beta), m.y.scale(-F::ONE));
    let minus = add(&mut cs.namespace(|| "difference"), m, &image)?;
    let z = odd_multiple(cs, &plus, &minus, scalar)?;
    let multiple = add(&mut cs.namespace(|| "remove one"), &z, &negate(&plus))?;
    let twice = double(&mut cs.namespace(|| "twice"), b)?;
    cs.enforce_equal(|| "argument holds x", &multiple.x, &twice.x);
    cs.enforce_equal(|| "argument holds y", &multiple.y, &twice.y);
    Ok(())
}

/// `Z` of the module's text, from `(1 + phi) M` and `(1 - phi) M`.
fn odd_multiple<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    plus: &PointWires<F>,
    minus: &PointWires<F>,
    scalar: &ScalarBits<F>,
) -> Result<PointWires<F>, SynthesisError> {
    let [first, second] = &scalar.components;
    if first.len() != second.len() {
        let message = format!("components of {} and {} bits", first.len(), second.len());
        return Err(SynthesisError::IncompatibleLengthVector(message));
    }
    let mut accumulator: Option<PointWires<F>> = None;
    for (i, bits) in first.iter().zip(second).enumerate().rev() {
        let mut cs = cs.namespace(|| format!("digit {i}"));
        let digit = select(&mut cs, plus, minus, bits)?;
        accumulator = Some(match accumulator {
            None => digit,
            Some(point) => {
                let twice = double(&mut cs.namespace(|| "double"), &point)?;
                add(&mut cs.namespace(|| "add"), &twice, &digit)?
            }
        });
    }
    accumulator.ok_or_else(|| {
        SynthesisError::IncompatibleLengthVector("components without bits".to_string())
    })
}

/// `(e_0 + e_1 phi) M` for `e = 2 b - 1`: 4 constraints.
fn select<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    plus: &PointWires<F>,
    minus: &PointWires<F>,
    (first, second): (&Wire<F>, &Wire<F>),
) -> Result<PointWires<F>, SynthesisError> {
    let both = cs.product(|| "both", first, second)?;
    let differ = first.add(second).sub(&both.scale(F::from(2)));
    let x = cs.select(|| "digit x", &differ, &minus.x, &plus.x)?;
    let y = cs.select(|| "digit y", &differ, &minus.y, &plus.y)?;
    let sign = first.scale(F::from(2)).add_constant(-F::ONE);
    let y = cs.product(|| "signed digit y", &sign, &y)?;
    Ok(PointWires::new(x, y))
}
