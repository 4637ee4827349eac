//! The verifier of [`super::pair`] as a circuit over the base field of the curve.
//!
//! Points are native, scalars are elements of a [`CircuitArithmetic`]. The verdict is that of
//! [`super::pair::verify`], except that sums of prover-chosen points with equal abscissas and the
//! final scalar zero are refused; honest proofs meet them with negligible probability, and refusing
//! is always sound.
//!
//! # Parts
//!
//! | part | constraints |
//! |---|---|
//! | a round | two multiplications of 452, two points on the curve, one challenge |
//! | row sums, `rows = 2^(n - low)`, `w` windows | `3 w rows`, and 57 monomials a window of 6 bits |
//! | folding the rows by the challenges of the high variables | `452 (rows - 1)` |
//! | `-s H + v xi U` and `a b_final xi U` | 4 for 2 bits |
//! | `a G_final` | 12 for 2 bits |
//!
//! # `G_final`
//!
//! `G_final = sum_a s_hi[a] Q_a` with `Q_a = sum_b s_lo[b] G_(a,b)`, where `s_lo[b]` is the product
//! of the low challenges over the set bits of `b`: 1 for `b = 0`, a challenge with its digits for
//! one bit, otherwise an element with the bits of its components. The row sums come from
//! `msm`; `s_hi` is never computed: with the most significant variable first,
//! `Q' = Q_l + x Q_r` halves the rows as the prover halves the generators.
//!
//! # What is assumed
//!
//! The statement is bound by the transcript. Elements of points and values are those of the
//! arithmetic. Enforced: the commitments and all points of the proof lie on the curve, and what the
//! native verifier checks.

use super::curve::{add, constant, enforce_multiple};
use super::msm::{Scalar, Sum, corrected, linear_sums, window_count};
use super::points::{self, Coordinates};
use super::scalars::{Values, batched_value, folded_eq};
use super::{Key, pair};
use crate::arithmetic::{Arithmetic, CircuitArithmetic};
use crate::error::Rejected;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::ChallengeWires;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{curve_b, endomorphism};
use foldnet_gadgets::point::{PointWires, multiply_add_bits};

/// Bits of a window of the row sums: monomials and non-zeros double with each.
const ROW_WIDTH: usize = 6;

/// Bits of a window of a sum with one row, which pays for its own monomials.
const SINGLE_WIDTH: usize = 2;

/// Bits of a component, for the choice of a layout.
const COMPONENT_BITS: usize = 128;

/// Constraints of a multiplication by a challenge, for the choice of a layout.
const MULTIPLICATION: usize = 452;

/// Constraints of a product of two elements, for the choice of a layout.
const PRODUCT: usize = 570;

/// How the generators are cut into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    low: usize,
}

impl Layout {
    /// Rows of `2^low` generators.
    pub fn new(low: usize) -> Self {
        Layout { low }
    }

    /// The layout with the fewest constraints for `2^variables` generators.
    pub fn cheapest(variables: usize) -> Self {
        let low = (1..=variables.min(5)).min_by_key(|low| estimate(variables, *low));
        Layout {
            low: low.unwrap_or(0),
        }
    }

    /// The number of variables within a row.
    pub fn low(self) -> usize {
        self.low
    }
}

/// Constraints of `G_final` with `low` variables in a row.
fn estimate(variables: usize, low: usize) -> usize {
    let rows = 1 << (variables - low);
    let products = (1 << low) - 1 - low;
    let windows = window_count(low, products, COMPONENT_BITS, ROW_WIDTH);
    let monomials = (1 << ROW_WIDTH) - 1 - ROW_WIDTH;
    rows * 3 * windows + windows * monomials + rows * MULTIPLICATION + products * PRODUCT
}

/// A claim that Spartan left, in the circuit; see [`pair::Claim`].
#[derive(Clone, Debug)]
pub struct Claim<F: CircuitField, T> {
    /// The commitment. Enforced here to lie on the curve.
    pub commitment: PointWires<F>,
    /// The point, most significant variable first.
    pub point: Vec<T>,
    /// The value.
    pub value: T,
}

/// Two claims; see [`pair::Statement`].
#[derive(Clone, Debug)]
pub struct Statement<F: CircuitField, T> {
    /// `W` at `p_1`.
    pub first: Claim<F, T>,
    /// `E` at `p_2`.
    pub second: Claim<F, T>,
}

/// The constants of the curve and the key.
struct Constants<F> {
    generators: Vec<Coordinates<F>>,
    minus_blind: Coordinates<F>,
    inner: Coordinates<F>,
    minus_inner: Coordinates<F>,
    offset: Coordinates<F>,
    beta: F,
    b: F,
}

impl<F: CircuitField> Constants<F> {
    fn new<E: CurveEngine<Base = F>>(key: &Key<'_, E>) -> Result<Self, SynthesisError> {
        let affine = |point| points::coordinates::<E>(point).ok_or(SynthesisError::DivisionByZero);
        let negative = |(x, y): Coordinates<F>| (x, -y);
        let inner = affine(key.inner())?;
        Ok(Constants {
            generators: key
                .generators()
                .iter()
                .map(affine)
                .collect::<Result<_, _>>()?,
            minus_blind: negative(affine(key.blind())?),
            inner,
            minus_inner: negative(inner),
            offset: affine(key.offset())?,
            beta: endomorphism::<E>().0,
            b: curve_b::<E::GE>(),
        })
    }

    /// Row sums with windows of some width.
    fn setting(&self, width: usize) -> (Coordinates<F>, F, usize) {
        (self.offset, self.beta, width)
    }
}

/// What a round leaves: the folded `P` and its challenge.
struct Round<F: CircuitField, T> {
    commitment: PointWires<F>,
    digits: ChallengeWires<F>,
    element: T,
}

/// Enforces that a proof of both claims is accepted.
///
/// Names start with `opening`, so one system holds one opening, unless namespaces tell them apart.
///
/// # Errors
/// [`Rejected::Length`] when the proof or a point belongs to another size;
/// [`SynthesisError::DivisionByZero`] when constants of the key meet an exceptional case; those of
/// the arithmetic and the system.
pub fn verify<E, CS, A>(
    arithmetic: &mut A,
    key: &Key<'_, E>,
    layout: Layout,
    statement: &Statement<E::Base, A::Element>,
    proof: &pair::Proof<E>,
) -> Result<(), A::Error>
where
    E: CurveEngine,
    CS: ConstraintSystem<E::Base>,
    A: CircuitArithmetic<E::Base, CS, Field = E::Scalar, Error: From<SynthesisError>>,
{
    let opening = &proof.opening;
    Rejected::lengths(
        "rounds of an opening",
        key.variables(),
        opening.rounds.len(),
    )?;
    let constants = Constants::new(key)?;
    let merged = merge(arithmetic, &constants, statement, proof)?;
    let start = add_terms(arithmetic, &constants, &merged, proof)?;
    let mut commitment = start.commitment;
    let mut rounds = Vec::with_capacity(opening.rounds.len());
    for (i, message) in opening.rounds.iter().enumerate() {
        let round = fold(arithmetic, &constants, i, &commitment, message)?;
        commitment = round.commitment.clone();
        rounds.push(round);
    }
    let weight = weight(arithmetic, statement, &merged.sigma, &rounds)?;
    let generator = final_generator(arithmetic, &constants, layout, &rounds)?;
    let last = Last {
        commitment,
        generator,
        weight,
        xi: start.xi,
        scalar: opening.scalar,
    };
    finish(arithmetic, &constants, &last)
}

/// The two claims as one.
struct Merged<F: CircuitField, T> {
    commitment: PointWires<F>,
    value: T,
    sigma: T,
}

/// Receives the cross values and merges commitments and values.
fn merge<E, CS, A>(
    arithmetic: &mut A,
    constants: &Constants<E::Base>,
    statement: &Statement<E::Base, A::Element>,
    proof: &pair::Proof<E>,
) -> Result<Merged<E::Base, A::Element>, A::Error>
where
    E: CurveEngine,
    CS: ConstraintSystem<E::Base>,
    A: CircuitArithmetic<E::Base, CS, Field = E::Scalar, Error: From<SynthesisError>>,
{
    let [second_at_first, first_at_second] = proof.cross;
    let values = Values {
        first: statement.first.value.clone(),
        second_at_first: arithmetic.receive("opening cross value 0", second_at_first)?,
        first_at_second: arithmetic.receive("opening cross value 1", first_at_second)?,
        second: statement.second.value.clone(),
    };
    arithmetic.absorb(&[
        values.second_at_first.clone(),
        values.first_at_second.clone(),
    ])?;
    let (digits, tau) = arithmetic.challenge_wires("opening tau")?;
    let sigma = arithmetic.challenge("opening sigma")?;
    let value = batched_value(arithmetic, &values, &tau, &sigma)?;
    let (first, second) = (&statement.first.commitment, &statement.second.commitment);
    let mut cs = arithmetic.system().namespace(|| "opening commitment");
    first.enforce_on_curve(&mut cs.namespace(|| "first"), constants.b)?;
    second.enforce_on_curve(&mut cs.namespace(|| "second"), constants.b)?;
    let commitment = multiply_add_bits(&mut cs, first, second, &digits, constants.beta)?;
    Ok(Merged {
        commitment,
        value,
        sigma,
    })
}

/// `P` before the first round, and `xi`.
struct Start<F: CircuitField, T> {
    commitment: PointWires<F>,
    xi: T,
}

/// `P = C - s H + v xi U`.
fn add_terms<E, CS, A>(
    arithmetic: &mut A,
    constants: &Constants<E::Base>,
    merged: &Merged<E::Base, A::Element>,
    proof: &pair::Proof<E>,
) -> Result<Start<E::Base, A::Element>, A::Error>
where
    E: CurveEngine,
    CS: ConstraintSystem<E::Base>,
    A: CircuitArithmetic<E::Base, CS, Field = E::Scalar, Error: From<SynthesisError>>,
{
    let blind = arithmetic.receive("opening blind", proof.opening.blind)?;
    arithmetic.absorb(std::slice::from_ref(&blind))?;
    let xi = arithmetic.challenge("opening xi")?;
    let scaled = arithmetic.multiply("opening scaled value", &merged.value, &xi)?;
    let scalars = [
        Scalar::Bits(arithmetic.scalar_bits("opening blind bits", &blind)?),
        Scalar::Bits(arithmetic.scalar_bits("opening value bits", &scaled)?),
    ];
    let bases = [vec![constants.minus_blind], vec![constants.inner]];
    let mut cs = arithmetic.system().namespace(|| "opening terms");
    let setting = constants.setting(SINGLE_WIDTH);
    let sums = linear_sums(&mut cs, &scalars, &bases, None, setting)?;
    let commitment = add_sums(&mut cs, &merged.commitment, &sums)?;
    Ok(Start { commitment, xi })
}

/// A prover-chosen point plus a sum of fixed ones. Every addition forces an inverse.
fn add_sums<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    point: &PointWires<F>,
    sums: &[Sum<F>],
) -> Result<PointWires<F>, SynthesisError> {
    let mut total = point.clone();
    for sum in sums {
        total = add(&mut cs.namespace(|| "sum"), &total, &sum.accumulator)?;
        let correction = constant(sum.correction);
        total = add(&mut cs.namespace(|| "correction"), &total, &correction)?;
    }
    Ok(total)
}

/// `P' = R + x (P + x L)`.
fn fold<E, CS, A>(
    arithmetic: &mut A,
    constants: &Constants<E::Base>,
    index: usize,
    commitment: &PointWires<E::Base>,
    message: &[Commitment<E>; 2],
) -> Result<Round<E::Base, A::Element>, A::Error>
where
    E: CurveEngine,
    CS: ConstraintSystem<E::Base>,
    A: CircuitArithmetic<E::Base, CS, Field = E::Scalar, Error: From<SynthesisError>>,
{
    let [left, right] = message.map(|point| point.coordinates());
    let mut cs = arithmetic
        .system()
        .namespace(|| format!("opening round {index}"));
    let left = PointWires::alloc(&mut cs, "left", (left[0], left[1]))?;
    let right = PointWires::alloc(&mut cs, "right", (right[0], right[1]))?;
    left.enforce_on_curve(&mut cs.namespace(|| "left"), constants.b)?;
    right.enforce_on_curve(&mut cs.namespace(|| "right"), constants.b)?;
    drop(cs);
    let coordinates = [&left.x, &left.y, &right.x, &right.y].map(Clone::clone);
    arithmetic.absorb_wires(&coordinates);
    let name = format!("opening round {index} challenge");
    let (digits, element) = arithmetic.challenge_wires(&name)?;
    let mut cs = arithmetic
        .system()
        .namespace(|| format!("opening round {index} fold"));
    let beta = constants.beta;
    let inner = multiply_add_bits(
        &mut cs.namespace(|| "inner"),
        commitment,
        &left,
        &digits,
        beta,
    )?;
    let commitment =
        multiply_add_bits(&mut cs.namespace(|| "outer"), &right, &inner, &digits, beta)?;
    Ok(Round {
        commitment,
        digits,
        element,
    })
}

/// `b_final = eq(p_1) folded + sigma eq(p_2) folded`.
fn weight<F: CircuitField, A: Arithmetic>(
    arithmetic: &mut A,
    statement: &Statement<F, A::Element>,
    sigma: &A::Element,
    rounds: &[Round<F, A::Element>],
) -> Result<A::Element, A::Error> {
    let challenges: Vec<_> = rounds.iter().map(|round| round.element.clone()).collect();
    let Statement { first, second } = statement;
    let first = folded_eq(arithmetic, "opening first point", &first.point, &challenges)?;
    let second = folded_eq(
        arithmetic,
        "opening second point",
        &second.point,
        &challenges,
    )?;
    let second = arithmetic.multiply("opening weight", sigma, &second)?;
    Ok(arithmetic.add(&first, &second))
}

/// `s_lo` without its first entry, which is 1: entry `b - 1` is the product of the challenges at
/// the set bits of `b`, the last round's challenge belonging to the lowest bit.
fn low_scalars<F, CS, A>(
    arithmetic: &mut A,
    low: &[Round<F, A::Element>],
) -> Result<Vec<Scalar<F>>, A::Error>
where
    F: CircuitField,
    CS: ConstraintSystem<F>,
    A: CircuitArithmetic<F, CS>,
{
    let mut scalars = Vec::new();
    let mut elements: Vec<A::Element> = Vec::new();
    for round in low.iter().rev() {
        let smaller = elements.clone();
        elements.push(round.element.clone());
        scalars.push(Scalar::Challenge(round.digits.clone()));
        for (i, element) in smaller.iter().enumerate() {
            let name = format!("opening product {}", smaller.len() + i + 2);
            let product = arithmetic.multiply(&name, element, &round.element)?;
            scalars.push(Scalar::Bits(arithmetic.scalar_bits(&name, &product)?));
            elements.push(product);
        }
    }
    Ok(scalars)
}

/// `G_final`.
fn final_generator<F, CS, A>(
    arithmetic: &mut A,
    constants: &Constants<F>,
    layout: Layout,
    rounds: &[Round<F, A::Element>],
) -> Result<PointWires<F>, A::Error>
where
    F: CircuitField,
    CS: ConstraintSystem<F>,
    A: CircuitArithmetic<F, CS, Error: From<SynthesisError>>,
{
    let low = layout.low.min(rounds.len());
    let (high, low) = rounds.split_at(rounds.len() - low);
    let scalars = low_scalars(arithmetic, low)?;
    let row = scalars.len() + 1;
    let column = |b: usize| constants.generators.iter().skip(b).step_by(row).copied();
    let bases: Vec<Vec<_>> = (1..row).map(|b| column(b).collect()).collect();
    let ones: Vec<_> = column(0).collect();
    let mut cs = arithmetic.system().namespace(|| "opening generators");
    let mut rows = if scalars.is_empty() {
        ones.into_iter().map(constant).collect()
    } else {
        let setting = constants.setting(ROW_WIDTH);
        let sums = linear_sums(&mut cs, &scalars, &bases, Some(&ones), setting)?;
        corrected(&mut cs, &sums)?
    };
    for (j, round) in high.iter().enumerate() {
        let (left, right) = rows.split_at(rows.len() / 2);
        let pairs = left.iter().zip(right).enumerate();
        let folded: Result<Vec<_>, SynthesisError> = pairs
            .map(|(i, (left, right))| {
                let mut cs = cs.namespace(|| format!("fold {j} row {i}"));
                multiply_add_bits(&mut cs, left, right, &round.digits, constants.beta)
            })
            .collect();
        rows = folded?;
    }
    let missing = || A::Error::from(SynthesisError::AssignmentMissing);
    rows.into_iter().next().ok_or_else(missing)
}

/// What the last equation is about.
struct Last<F: CircuitField, T, S> {
    commitment: PointWires<F>,
    generator: PointWires<F>,
    weight: T,
    xi: T,
    scalar: S,
}

/// `P - a b_final xi U = a G_final`.
fn finish<F, CS, A>(
    arithmetic: &mut A,
    constants: &Constants<F>,
    last: &Last<F, A::Element, A::Field>,
) -> Result<(), A::Error>
where
    F: CircuitField,
    CS: ConstraintSystem<F>,
    A: CircuitArithmetic<F, CS, Error: From<SynthesisError>>,
{
    let scalar = arithmetic.receive("opening scalar", last.scalar)?;
    let scaled = arithmetic.multiply("opening scaled weight", &last.weight, &last.xi)?;
    let product = arithmetic.multiply("opening last product", &scaled, &scalar)?;
    let bits = arithmetic.scalar_bits("opening scalar bits", &scalar)?;
    let product = arithmetic.scalar_bits("opening last product bits", &product)?;
    let mut cs = arithmetic.system().namespace(|| "opening end");
    let bases = [vec![constants.minus_inner]];
    let scalars = [Scalar::Bits(product)];
    let setting = constants.setting(SINGLE_WIDTH);
    let sums = linear_sums(&mut cs, &scalars, &bases, None, setting)?;
    let rest = add_sums(&mut cs, &last.commitment, &sums)?;
    enforce_multiple(&mut cs, &rest, &last.generator, &bits, constants.beta)?;
    Ok(())
}
