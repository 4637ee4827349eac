//! Sum-check (Lund, Fortnow, Karloff, Nisan 1992; Thaler 2022, section 4.1) for products of two
//! multilinear polynomials.
//!
//! Variables are bound from the most significant bit of the index to the least. A round sends the
//! constant and the quadratic coefficient `(c0, c2)` of
//! `p(X) = sum over the rest of the cube`; the linear one follows from `p(0) + p(1) = claim`, so
//! that check cannot fail and needs no constraint. The challenge of a round binds all messages so
//! far.

use crate::field::CircuitField;
use crate::transcript::{Transcript, TranscriptCircuit};
use crate::wire::{Wire, WireSystem};
use bellpepper_core::{ConstraintSystem, SynthesisError};

/// The constant and the quadratic coefficient of a round polynomial.
pub type Message<F> = [F; 2];

/// The prover's side: a quadratic round polynomial at a time.
pub trait RoundProver<F: CircuitField> {
    /// The round polynomial's coefficients `(c0, c2)`, given the claim that it sums to.
    fn message(&mut self, claim: F) -> Message<F>;

    /// Binds the current variable to the round's challenge.
    fn bind(&mut self, challenge: F);
}

/// A prover that knows nothing and sends zeros, for shape synthesis.
#[derive(Clone, Copy, Debug)]
pub struct NoProver;

impl<F: CircuitField> RoundProver<F> for NoProver {
    fn message(&mut self, _: F) -> Message<F> {
        [F::ZERO; 2]
    }

    fn bind(&mut self, _: F) {}
}

/// Reads messages from a list, for verifiers and for forged proofs in tests.
#[derive(Clone, Debug)]
pub struct Replay<F> {
    messages: std::vec::IntoIter<Message<F>>,
}

impl<F: CircuitField> Replay<F> {
    /// Replays `messages` in order; missing ones read as zeros.
    pub fn new(messages: Vec<Message<F>>) -> Self {
        Replay {
            messages: messages.into_iter(),
        }
    }
}

impl<F: CircuitField> RoundProver<F> for Replay<F> {
    fn message(&mut self, _: F) -> Message<F> {
        self.messages.next().unwrap_or([F::ZERO; 2])
    }

    fn bind(&mut self, _: F) {}
}

/// `p(r)` for the quadratic with coefficients `c0`, `c2` and `p(0) + p(1) = claim`.
pub fn evaluate_round<F: CircuitField>(claim: F, [c0, c2]: Message<F>, r: F) -> F {
    let c1 = claim - c0.double() - c2;
    c0 + r * (c1 + r * c2)
}

/// Runs `rounds` rounds natively. Returns the challenges, most significant variable first, and the
/// claim that is left.
pub fn run<F: CircuitField>(
    transcript: &mut Transcript<F>,
    claim: F,
    rounds: usize,
    prover: &mut dyn RoundProver<F>,
) -> (Vec<F>, F) {
    let mut claim = claim;
    let mut point = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let message = prover.message(claim);
        transcript.absorb(&message);
        let r = transcript.squeeze();
        prover.bind(r);
        claim = evaluate_round(claim, message, r);
        point.push(r);
    }
    (point, claim)
}

/// The circuit twin of [`run`]: two products and one hash a round.
///
/// # Errors
/// Only those of the underlying system.
pub fn run_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    transcript: &mut TranscriptCircuit<F>,
    claim: &Wire<F>,
    rounds: usize,
    prover: &mut dyn RoundProver<F>,
) -> Result<(Vec<Wire<F>>, Wire<F>), SynthesisError> {
    let mut claim = claim.clone();
    let mut point = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut cs = cs.namespace(|| format!("round {round}"));
        let [c0, c2] = prover.message(claim.value());
        let c0 = cs.wire(|| "c0", c0)?;
        let c2 = cs.wire(|| "c2", c2)?;
        transcript.absorb([&c0, &c2]);
        let r = transcript.squeeze(&mut cs)?;
        prover.bind(r.value());
        let c1 = claim.sub(&c0.scale(F::from(2))).sub(&c2);
        let high = cs.product(|| "r c2", &r, &c2)?.add(&c1);
        claim = cs.product(|| "r (c1 + r c2)", &r, &high)?.add(&c0);
        point.push(r);
    }
    Ok((point, claim))
}

/// `eq(point, b)` for every corner `b` of the cube, most significant variable first:
/// `table[b] = prod_i (b_i point_i + (1 - b_i)(1 - point_i))`.
pub fn eq_table<F: CircuitField>(point: &[F]) -> Vec<F> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(F::ONE);
    for r in point {
        // Appending a less significant variable doubles every entry in place.
        table = table
            .iter()
            .flat_map(|entry| {
                let high = *entry * r;
                [*entry - high, high]
            })
            .collect();
    }
    table
}

/// The first `count` entries of the circuit twin of [`eq_table`]: about one product an entry.
///
/// # Errors
/// Only those of the underlying system.
pub fn eq_table_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    point: &[Wire<F>],
    count: usize,
) -> Result<Vec<Wire<F>>, SynthesisError> {
    let mut table = vec![Wire::one()];
    for (i, r) in point.iter().enumerate() {
        let keep = count.div_ceil(1 << (point.len() - 1 - i));
        let mut next = Vec::with_capacity(keep);
        for (b, entry) in table.iter().enumerate() {
            if next.len() >= keep {
                break;
            }
            let high = if i == 0 {
                r.clone()
            } else {
                cs.product(|| format!("eq {i} {b}"), entry, r)?
            };
            next.push(entry.sub(&high));
            next.push(high);
        }
        next.truncate(keep);
        table = next;
    }
    table.truncate(count);
    Ok(table)
}

/// `eq(x, y) = prod_i (x_i y_i + (1 - x_i)(1 - y_i))`; a shorter list decides the length.
pub fn eq_eval<F: CircuitField>(x: &[F], y: &[F]) -> F {
    x.iter().zip(y).fold(F::ONE, |product, (x, y)| {
        let xy = *x * y;
        product * (xy.double() - x - y + F::ONE)
    })
}

/// The circuit twin of [`eq_eval`]: at most two products a variable.
///
/// # Errors
/// [`SynthesisError::IncompatibleLengthVector`] when the lengths differ.
pub fn eq_eval_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    x: &[Wire<F>],
    y: &[Wire<F>],
) -> Result<Wire<F>, SynthesisError> {
    if x.len() != y.len() {
        let message = format!("eq of {} and {} variables", x.len(), y.len());
        return Err(SynthesisError::IncompatibleLengthVector(message));
    }
    let mut product = Wire::one();
    for (i, (x, y)) in x.iter().zip(y).enumerate() {
        let xy = cs.product(|| format!("eq {i} product"), x, y)?;
        let factor = xy.scale(F::from(2)).sub(x).sub(y).add_constant(F::ONE);
        product = if i == 0 {
            factor
        } else {
            cs.product(|| format!("eq {i} prefix"), &product, &factor)?
        };
    }
    Ok(product)
}

/// The multilinear extension of `table` at `point`, most significant variable first; a short table
/// is read as padded with zeros.
pub fn evaluate<F: CircuitField>(table: &[F], point: &[F]) -> F {
    let eq = eq_table(point);
    table
        .iter()
        .zip(&eq)
        .fold(F::ZERO, |sum, (value, weight)| sum + *value * weight)
}
