//! The `spartan` proof of a finished run.
//!
//! The proof holds the last fold, a Spartan proof for every running instance and for the CycleFold
//! instance, the opening of the latter, and one opening for all polynomials on the primary curve.
//! Everything runs in one Poseidon transcript in fixed order: statement and folded instances; kinds
//! in order; CycleFold; batching. [`verify_arithmetic`] is the part that a circuit runs as well.

use crate::decider::error::DeciderError;
use crate::decider::opening::FinalOpening;
use crate::fold::ending::{Ending, Remaining, RemainingWitness};
use crate::fold::params::Params;
use crate::fold::prover::Recursion;
use crate::fold::verifier::Statement;
use ff::Field;
use foldnet_compress::arithmetic::{Arithmetic, NativePrimary, NativeSecondary};
use foldnet_compress::error::Rejected;
use foldnet_compress::shape::Shape;
use foldnet_compress::{batch, ipa, spartan};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::hash::Tag;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::transcript::Transcript;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

/// Domain of the transcript.
pub const DECIDER: Tag = Tag::new("foldnet decider");

/// The part of a proof whose verification a circuit can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Argument<C: Cycle> {
    /// The last fold.
    pub ending: Ending<C>,
    /// One proof a kind.
    pub kinds: Vec<spartan::Proof<C::F>>,
    /// The proof of the CycleFold instance.
    pub cyclefold: spartan::Proof<C::Q>,
    /// The opening of its witness and error.
    pub pair: ipa::pair::Proof<C::Secondary>,
    /// All claims on the primary curve become one.
    pub batch: batch::Proof<C::F>,
}

/// A `spartan` proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Proof<C: FinalOpening> {
    /// Everything but the last opening.
    pub argument: Argument<C>,
    /// The blind of the combined commitment.
    pub blind: C::F,
    /// The opening of the combined polynomial.
    pub opening: C::Opening,
}

/// The shapes of an architecture in the layout that Spartan needs.
#[derive(Debug)]
pub struct Shapes<C: Cycle> {
    /// One a kind.
    pub kinds: Vec<Shape<C::F>>,
    /// The CycleFold circuit.
    pub cyclefold: Shape<C::Q>,
}

/// The one claim that is left of an argument: `commitment` opens to `value` at `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalClaim<C: Cycle> {
    /// The commitments that are combined: three of each kind, then the accumulated weights.
    pub commitments: Vec<Commitment<C::Primary>>,
    /// `rho`: commitment `i` has coefficient `rho^i`.
    pub combination: C::F,
    /// The point.
    pub point: Vec<C::F>,
    /// The value.
    pub value: C::F,
}

impl<C: Cycle> Shapes<C> {
    /// The shapes of some parameters.
    ///
    /// # Errors
    /// [`DeciderError::Prove`] when a circuit has no such layout, which none of these has.
    pub fn new<S: StepCircuit<C::F>>(params: &Params<C, S>) -> Result<Self, DeciderError> {
        let kinds = params.shapes.iter().map(|shape| shape.layout());
        Ok(Shapes {
            kinds: kinds.collect::<Result<_, _>>().map_err(unlaid)?,
            cyclefold: params.cyclefold.layout().map_err(unlaid)?,
        })
    }
}

fn unlaid(error: foldnet_compress::shape::ShapeError) -> DeciderError {
    prove_error("shape", error)
}

/// The start of the transcript: statement, folded instances, accumulator.
fn transcript<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    statement: &Statement<C::F>,
    ending: &Ending<C>,
    remaining: &Remaining<C>,
) -> Result<Transcript<C::F>, DeciderError> {
    let context = &params.context;
    let state = params.end_state(statement, ending.index, ending.next)?;
    let mut transcript = Transcript::new(&context.hash, DECIDER);
    transcript.absorb(&[
        params.pp,
        state.model,
        C::F::from(ending.index),
        C::F::from(state.count),
        state.batch,
        params.first_input(statement)?,
        ending.next,
    ]);
    for instance in &remaining.running {
        transcript.absorb(&[context.instance(instance)]);
    }
    transcript.absorb(&[context.cyclefold(&remaining.cyclefold)]);
    transcript.absorb(&context.point(&remaining.accumulated));
    transcript.absorb(&remaining.point);
    transcript.absorb(&[remaining.value]);
    Ok(transcript)
}

/// Commitments in the order of the batch: three of each kind, then the accumulated weights.
fn commitments<C: Cycle>(remaining: &Remaining<C>) -> Vec<Commitment<C::Primary>> {
    let instances = remaining.running.iter();
    instances
        .flat_map(|u| u.segments.iter().chain([&u.error]))
        .chain([&remaining.accumulated])
        .copied()
        .collect()
}

/// `sum_i rho^i C_i`.
fn combine<C: Cycle>(
    commitments: &[Commitment<C::Primary>],
    rho: C::F,
) -> Option<Commitment<C::Primary>> {
    let mut rest = commitments.iter().rev();
    let last = *rest.next()?;
    Some(rest.fold(last, |sum, commitment| commitment.fold(rho, &sum)))
}

/// The CycleFold instance's two claims, to be opened together.
fn pair_statement<C: Cycle>(
    instance: &Instance<C::Secondary>,
    claims: spartan::Claims<C::Q>,
) -> Result<ipa::pair::Statement<C::Secondary>, DeciderError> {
    let mut segments = claims.segments.into_iter();
    let (Some(witness), Some(commitment)) = (segments.next(), instance.segments.first()) else {
        return Err(Rejected::lengths("segments of the CycleFold instance", 1, 0)
            .err()
            .map_or(DeciderError::NoOpeningKey, DeciderError::from));
    };
    let claim = |commitment: Commitment<C::Secondary>, claim: spartan::Claim<C::Q>| {
        ipa::pair::Claim {
            commitment,
            point: claim.point,
            value: claim.value,
        }
    };
    Ok(ipa::pair::Statement {
        first: claim(*commitment, witness),
        second: claim(instance.error, claims.error),
    })
}

/// The generators of the inner product argument for the CycleFold instance.
pub(crate) fn pair_key<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
) -> Result<ipa::Key<'_, C::Secondary>, DeciderError> {
    let variables = params.cyclefold.key_size().next_power_of_two().trailing_zeros() as usize;
    let key = &params.secondary;
    ipa::Key::new(variables, key.bases(), key.blind_generator())
        .map_err(|error| prove_error("opening of the CycleFold instance", error))
}

/// Ends a run and proves the statement.
///
/// # Errors
/// [`DeciderError::Fold`] before the first step; [`DeciderError::Prove`] when a part fails.
pub fn prove<C: FinalOpening, S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    run: Recursion<C>,
    statement: &Statement<C::F>,
    rng: &mut R,
) -> Result<Proof<C>, DeciderError> {
    let (argument, claim, table) = argue(params, shapes, run, statement, rng)?;
    let ArguedTranscript { mut transcript, .. } = claim.1;
    let claim = claim.0;
    let opening = C::open(&params.primary, &mut transcript, &claim, &table)?;
    Ok(Proof {
        argument,
        blind: claim.blind,
        opening,
    })
}
