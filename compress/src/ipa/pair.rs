//! Two commitments opened at two points as one argument.
//!
//! The witness `W` and the error `E` of a relaxed instance are opened where Spartan left claims:
//! `W~(p_1)` and `E~(p_2)`. The prover adds the cross values `E~(p_1)` and `W~(p_2)`. After them
//! the challenge `tau` merges the commitments, `V = W + tau E`, then `sigma` merges the points,
//! `b = eq(p_1) + sigma eq(p_2)`:
//!
//! ```text
//! v = (W~(p_1) + tau E~(p_1)) + sigma (W~(p_2) + tau E~(p_2))
//! ```
//!
//! A wrong value among the four makes `v` wrong but for a chance of about `2^-127`: all four are
//! absorbed, or bound by the transcript, before `tau` and `sigma`.

use super::scalars::{Values, batched_value};
use super::{IpaError, Key, PointOracle, Verifier, not_identity, scalar};
use crate::error::Rejected;
use ff::Field;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::sumcheck::eq_table;
use nova_snark::provider::traits::DlogGroup;
use serde::{Deserialize, Serialize};

/// A claim that Spartan left: the polynomial in a commitment has a value at a point.
///
/// The point has at most as many variables as the key, most significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<E: CurveEngine> {
    /// The commitment.
    pub commitment: Commitment<E>,
    /// The point.
    pub point: Vec<E::Scalar>,
    /// The value.
    pub value: E::Scalar,
}

/// Two claims; all of both is bound by the transcript before the argument runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<E: CurveEngine> {
    /// `W` at `p_1`.
    pub first: Claim<E>,
    /// `E` at `p_2`.
    pub second: Claim<E>,
}

/// What the prover knows: two vectors, each with its blind.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'w, S> {
    /// `W`.
    pub first: (&'w [S], S),
    /// `E`.
    pub second: (&'w [S], S),
}

/// A proof: the two cross values and the opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Proof<E: CurveEngine> {
    /// `E~(p_1)` and `W~(p_2)`.
    pub cross: [E::Scalar; 2],
    /// The opening of `W + tau E`.
    pub opening: super::Proof<E>,
}

impl<E: CurveEngine> Proof<E> {
    /// A proof of the right shape that proves nothing, for the synthesis of shapes.
    pub fn sample(variables: usize) -> Self {
        let generator = Commitment::<E>::new(E::GE::r#gen());
        Proof {
            cross: [E::Scalar::ONE; 2],
            opening: super::Proof {
                rounds: vec![[generator; 2]; variables],
                scalar: E::Scalar::ONE,
                blind: E::Scalar::ONE,
            },
        }
    }
}

/// The four values, known and sent.
fn values<E: CurveEngine>(
    statement: &Statement<E>,
    [second_at_first, first_at_second]: [E::Scalar; 2],
) -> Values<E::Scalar> {
    Values {
        first: statement.first.value,
        second_at_first,
        first_at_second,
        second: statement.second.value,
    }
}

/// The statement of the one opening.
fn merge<E: CurveEngine>(
    statement: &Statement<E>,
    value: E::Scalar,
    tau: E::Scalar,
    sigma: E::Scalar,
) -> super::Statement<E> {
    let Statement { first, second } = statement;
    super::Statement {
        commitment: first.commitment.fold(tau, &second.commitment),
        claims: vec![
            (E::Scalar::ONE, first.point.clone()),
            (sigma, second.point.clone()),
        ],
        value,
    }
}

/// The multilinear extension of a vector at a point; what exceeds the point's cube must be zero.
fn evaluate<S: foldnet_gadgets::CircuitField>(
    variables: usize,
    vector: &[S],
    point: &[S],
) -> Result<S, IpaError> {
    if point.len() > variables {
        return Err(IpaError::TooLong {
            what: "variables of a point",
            expected: variables,
            got: point.len(),
        });
    }
    Ok(super::inner_product(vector, &eq_table(point)))
}

/// `first_i + tau second_i`, the shorter one padded with zeros.
fn combine<S: Field>(first: &[S], second: &[S], tau: S) -> Vec<S> {
    let mut sum = first.to_vec();
    sum.resize(first.len().max(second.len()), S::ZERO);
    for (sum, second) in sum.iter_mut().zip(second) {
        *sum += tau * second;
    }
    sum
}

/// Proves both claims. The oracle has absorbed the statement.
///
/// # Errors
/// Those of [`super::prove`]; [`IpaError::Value`] when a claim of the statement is wrong.
pub fn prove<E: CurveEngine>(
    key: &Key<'_, E>,
    oracle: &mut impl PointOracle<E>,
    statement: &Statement<E>,
    witness: &Witness<'_, E::Scalar>,
) -> Result<Proof<E>, IpaError> {
    let (first, first_blind) = witness.first;
    let (second, second_blind) = witness.second;
    let variables = key.variables();
    let cross = [
        evaluate(variables, second, &statement.first.point)?,
        evaluate(variables, first, &statement.second.point)?,
    ];
    oracle.absorb_scalars(&cross);
    let tau = scalar::<E>(oracle.digits());
    let sigma = scalar::<E>(oracle.digits());
    let four = values(statement, cross);
    let low = four.first + tau * four.second_at_first;
    let high = four.first_at_second + tau * four.second;
    let merged = merge(statement, low + sigma * high, tau, sigma);
    let vector = combine(first, second, tau);
    let blind = first_blind + tau * second_blind;
    let opening = super::prove(key, oracle, &merged, &vector, blind)?;
    Ok(Proof { cross, opening })
}

/// Verifies a proof of both claims. The oracle has absorbed the statement.
///
/// # Errors
/// Those of [`super::verify`].
pub fn verify<E: CurveEngine>(
    key: &Key<'_, E>,
    oracle: &mut impl Verifier<E>,
    statement: &Statement<E>,
    proof: &Proof<E>,
) -> Result<(), Rejected> {
    for claim in [&statement.first, &statement.second] {
        not_identity(&claim.commitment)?;
    }
    oracle.absorb_scalars(&proof.cross);
    let tau = scalar::<E>(oracle.digits());
    let sigma = scalar::<E>(oracle.digits());
    let value = batched_value(oracle, &values(statement, proof.cross), &tau, &sigma)?;
    let merged = merge(statement, value, tau, sigma);
    super::verify(key, oracle, &merged, &proof.opening)
}
