//! The `spartan` proof of a finished run.
//!
//! The proof holds the last fold, a Spartan proof for every running instance and for the CycleFold
//! instance, the opening of the latter, and one opening for all polynomials on the primary curve.
//! Everything runs in one Poseidon transcript in fixed order: statement and folded instances; kinds
//! in order; CycleFold; batching. [`check`] is the part that the circuit of [`super::circuit`] runs as well.

use crate::decider::error::DeciderError;
use crate::decider::opening::{self, FinalOpening, prove_error};
use crate::fold::cyclefold::{self, OPERATIONS, PUBLIC_INPUTS};
use crate::fold::ending::{Ending, Remaining, RemainingWitness};
use crate::fold::params::Params;
use crate::fold::prover::Recursion;
use crate::fold::r1cs::Instance;
use crate::fold::verifier::Statement;
use crate::visibility::{Sides, Visibility};
use ff::Field;
use foldnet_compress::arithmetic::{NativePrimary, NativeSecondary};
use foldnet_compress::error::Rejected;
use foldnet_compress::shape::Shape;
use foldnet_compress::structured::{self, StructuredMatrices};
use foldnet_compress::{batch, ipa, spartan};
use foldnet_gadgets::challenge::DIGITS;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::hash::Tag;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::transcript::Transcript;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Domain of the transcript: one for each kind of statement, so that a proof about values is none about
/// a commitment, and the other way round.
pub fn domain(sides: Sides) -> Tag {
    use Visibility::{Private, Public};
    match (sides.input, sides.output) {
        (Public, Public) => Tag::new("foldnet decider"),
        (Private, Public) => Tag::new("foldnet decider, private input"),
        (Public, Private) => Tag::new("foldnet decider, private output"),
        (Private, Private) => Tag::new("foldnet decider, private both"),
    }
}

/// The part of a proof whose verification a circuit can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Argument<C: Cycle> {
    /// The last fold.
    pub ending: Ending<C>,
    /// The proofs of what it leaves.
    pub proofs: Proofs<C>,
}

/// The proofs that folded instances are satisfied, up to one opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Proofs<C: Cycle> {
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
    /// Its matrices, by what they repeat.
    pub structured: StructuredMatrices<C::Q>,
}

/// The one claim that is left of an argument.
#[derive(Clone, Debug)]
pub struct Left<C: Cycle> {
    /// The commitments that are combined: three of each kind, then the accumulated weights.
    pub commitments: Vec<Commitment<C::Primary>>,
    /// `rho`: commitment `i` has coefficient `rho^i`.
    pub combination: C::F,
    /// The point.
    pub point: Vec<C::F>,
    /// The value of the combined polynomial there.
    pub value: C::F,
    /// The transcript that binds all of it.
    pub transcript: Transcript<C::F>,
}

/// What a prover holds once the argument is made: its claim, and what opens it.
pub struct Argued<C: Cycle> {
    /// The argument.
    pub argument: Argument<C>,
    /// What it leaves.
    pub left: Left<C>,
    /// The combined polynomial.
    pub table: Vec<C::F>,
    /// The blind of its commitment.
    pub blind: C::F,
}

/// The combined polynomial is a secret: the debug form shows its length only.
impl<C: Cycle> fmt::Debug for Argued<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Argued({} entries)", self.table.len())
    }
}

impl<C: Cycle> Shapes<C> {
    /// The shapes of some parameters.
    ///
    /// # Errors
    /// [`DeciderError::Prove`] when a circuit has no such layout, which none of these has.
    pub fn new<S: StepCircuit<C::F>>(params: &Params<C, S>) -> Result<Self, DeciderError> {
        let unlaid = |error| prove_error("shape", error);
        let kinds = params.shapes.iter().map(|shape| shape.layout());
        let matrices = cyclefold::matrices::<C>()?;
        let layout = structured::Layout {
            operations: OPERATIONS.trailing_zeros() as usize,
            digits: DIGITS.trailing_zeros() as usize,
            slots: cyclefold::SLOT_BITS,
            public: (1 + PUBLIC_INPUTS).next_power_of_two().trailing_zeros() as usize,
            stride: PUBLIC_INPUTS / OPERATIONS,
        };
        let entries = [&matrices.a, &matrices.b, &matrices.c].map(Vec::as_slice);
        Ok(Shapes {
            kinds: kinds.collect::<Result<_, _>>().map_err(unlaid)?,
            cyclefold: params.cyclefold.layout().map_err(unlaid)?,
            structured: StructuredMatrices::new(layout, entries)
                .map_err(|error| prove_error("CycleFold shape", error))?,
        })
    }
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
    let mut transcript = Transcript::new(&context.hash, domain(statement.sides));
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

impl<C: Cycle> Left<C> {
    /// The claim about the combined commitment `sum_i rho^i C_i`, which has this blind.
    ///
    /// # Errors
    /// [`DeciderError::Rejected`] when there are no commitments.
    pub fn claim(&self, blind: C::F) -> Result<opening::Claim<C>, DeciderError> {
        let mut rest = self.commitments.iter().rev();
        let Some(last) = rest.next() else {
            return Err(Rejected::Check {
                check: "the combined commitment",
            }
            .into());
        };
        Ok(opening::Claim {
            commitment: rest.fold(*last, |sum, next| next.fold(self.combination, &sum)),
            blind,
            point: self.point.clone(),
            value: self.value,
        })
    }
}

/// The CycleFold instance's two claims, to be opened together.
fn pair_statement<C: Cycle>(
    instance: &Instance<C::Secondary>,
    claims: spartan::Claims<C::Q>,
) -> Result<ipa::pair::Statement<C::Secondary>, DeciderError> {
    let claim =
        |commitment: &Commitment<C::Secondary>, claim: spartan::Claim<C::Q>| ipa::pair::Claim {
            commitment: *commitment,
            point: claim.point,
            value: claim.value,
        };
    let witness = claims.segments.into_iter().zip(&instance.segments).next();
    let Some((witness, commitment)) = witness else {
        return Err(Rejected::Check {
            check: "the CycleFold instance's segment",
        }
        .into());
    };
    Ok(ipa::pair::Statement {
        first: claim(commitment, witness),
        second: claim(&instance.error, claims.error),
    })
}

/// Variables of the CycleFold instance's longest vector.
pub(crate) fn pair_variables<C: Cycle, S>(params: &Params<C, S>) -> usize {
    let size = params.cyclefold.key_size().next_power_of_two();
    size.trailing_zeros() as usize
}

/// The generators of the inner product argument for the CycleFold instance.
pub(crate) fn pair_key<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
) -> Result<ipa::Key<'_, C::Secondary>, DeciderError> {
    let key = &params.secondary;
    ipa::Key::new(pair_variables(params), key.bases(), key.blind_generator())
        .map_err(|error| prove_error("opening of the CycleFold instance", error))
}

/// Ends a run and makes the argument for a statement.
///
/// # Errors
/// [`DeciderError::Fold`] before the first step; [`DeciderError::Prove`] when a part fails.
pub fn argue<C: Cycle, S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    run: Recursion<C>,
    statement: &Statement<C::F>,
    rng: &mut R,
) -> Result<Argued<C>, DeciderError> {
    argue_ended(params, shapes, run.end(params, rng)?, statement)
}

/// Makes the argument for a run that has ended. A false witness gives an argument that is rejected.
///
/// # Errors
/// Those of [`argue`].
pub fn argue_ended<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    (ending, witness): (Ending<C>, RemainingWitness<C>),
    statement: &Statement<C::F>,
) -> Result<Argued<C>, DeciderError> {
    let remaining = ending.verify(params, statement)?;
    let mut transcript = transcript(params, statement, &ending, &remaining)?;
    let (kinds, mut claims) = prove_kinds(shapes, &remaining, &witness, &mut transcript)?;
    let (cyclefold, pair) = prove_cyclefold(params, shapes, &remaining, &witness, &mut transcript)?;
    claims.push(spartan::Claim {
        point: remaining.point.clone(),
        value: remaining.value,
    });
    let instances = witness.running.iter();
    let mut tables: Vec<&[C::F]> = instances
        .flat_map(|w| w.segments.iter().chain([&w.error]))
        .map(Vec::as_slice)
        .collect();
    tables.push(&witness.table);
    let mut oracle = NativePrimary::new(&mut transcript);
    let (batch, combined) = batch::prove(&tables, &claims, &mut oracle)
        .map_err(|error| prove_error("batch of claims", error))?;
    let left = Left {
        commitments: commitments(&remaining),
        combination: combined.rho,
        point: combined.point,
        value: combined.value,
        transcript,
    };
    Ok(Argued {
        argument: Argument {
            ending,
            proofs: Proofs {
                kinds,
                cyclefold,
                pair,
                batch,
            },
        },
        table: batch::combine(&tables, left.combination),
        blind: combined_blind(&witness, left.combination),
        left,
    })
}

/// `sum_i rho^i blind_i`, in the order of the commitments.
fn combined_blind<C: Cycle>(witness: &RemainingWitness<C>, rho: C::F) -> C::F {
    let instances = witness.running.iter();
    let blinds: Vec<C::F> = instances
        .flat_map(|w| w.blinds.iter().chain([&w.error_blind]))
        .chain([&witness.blind])
        .copied()
        .collect();
    let blinds = blinds.iter().rev();
    blinds.fold(C::F::ZERO, |sum, blind| sum * rho + blind)
}

/// A Spartan proof a kind, and the claims on its commitments in order.
#[allow(clippy::type_complexity)]
fn prove_kinds<C: Cycle>(
    shapes: &Shapes<C>,
    remaining: &Remaining<C>,
    witness: &RemainingWitness<C>,
    transcript: &mut Transcript<C::F>,
) -> Result<(Vec<spartan::Proof<C::F>>, Vec<spartan::Claim<C::F>>), DeciderError> {
    let mut proofs = Vec::with_capacity(shapes.kinds.len());
    let mut claims = Vec::with_capacity(3 * shapes.kinds.len() + 1);
    let kinds = shapes.kinds.iter().zip(&remaining.running);
    for ((shape, instance), witness) in kinds.zip(&witness.running) {
        let segments: Vec<&[C::F]> = witness.segments.iter().map(Vec::as_slice).collect();
        let mut oracle = NativePrimary::new(transcript);
        let (u, x) = (instance.u, &instance.x);
        let (proof, left) = spartan::prove(shape, u, x, &segments, &witness.error, &mut oracle)
            .map_err(|error| prove_error("running instance", error))?;
        proofs.push(proof);
        claims.extend(left.segments);
        claims.push(left.error);
    }
    Ok((proofs, claims))
}

/// The Spartan proof of the CycleFold instance, and the opening of its commitments.
#[allow(clippy::type_complexity)]
fn prove_cyclefold<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    remaining: &Remaining<C>,
    witness: &RemainingWitness<C>,
    transcript: &mut Transcript<C::F>,
) -> Result<(spartan::Proof<C::Q>, ipa::pair::Proof<C::Secondary>), DeciderError> {
    let failed = |error: String| prove_error("CycleFold instance", error);
    let (instance, witness) = (&remaining.cyclefold, &witness.cyclefold);
    let (Some(segment), Some(blind)) = (witness.segments.first(), witness.blinds.first()) else {
        return Err(failed("no witness".into()));
    };
    let mut oracle = NativeSecondary::new(transcript, &params.context.eisenstein);
    let (shape, segments, error) = (&shapes.cyclefold, [segment.as_slice()], &witness.error);
    let (u, x) = (instance.u, &instance.x);
    let (proof, claims) = spartan::prove(shape, u, x, &segments, error, &mut oracle)
        .map_err(|error| failed(error.to_string()))?;
    let statement = pair_statement::<C>(instance, claims)?;
    let witness = ipa::pair::Witness {
        first: (segment, *blind),
        second: (error, witness.error_blind),
    };
    let pair = ipa::pair::prove(&pair_key(params)?, &mut oracle, &statement, &witness)
        .map_err(|error| failed(error.to_string()))?;
    Ok((proof, pair))
}

/// Verifies an argument for a statement; what it leaves must be opened.
///
/// # Errors
/// [`DeciderError::Fold`] or [`DeciderError::Rejected`], naming the check.
pub fn check<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    statement: &Statement<C::F>,
    argument: &Argument<C>,
) -> Result<Left<C>, DeciderError> {
    let Batched {
        remaining,
        claims,
        mut transcript,
    } = check_instances(params, shapes, statement, argument)?;
    let mut arithmetic = NativePrimary::new(&mut transcript);
    let combined = batch::verify(&mut arithmetic, &claims, &argument.proofs.batch)?;
    Ok(Left {
        commitments: commitments(&remaining),
        combination: combined.rho,
        point: combined.point,
        value: combined.value,
        transcript,
    })
}

/// What is left before the batching: the claims on [`Left::commitments`], in their order.
#[derive(Clone, Debug)]
pub struct Batched<C: Cycle> {
    /// The folded instances and the accumulated claim.
    pub remaining: Remaining<C>,
    /// Three claims of each kind, then the accumulated one.
    pub claims: Vec<spartan::Claim<C::F>>,
    /// The transcript that binds all of it.
    pub transcript: Transcript<C::F>,
}

/// Verifies the last fold and the proofs of all instances.
///
/// # Errors
/// Those of [`check`].
pub fn check_instances<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    statement: &Statement<C::F>,
    argument: &Argument<C>,
) -> Result<Batched<C>, DeciderError> {
    let remaining = argument.ending.verify(params, statement)?;
    let mut transcript = transcript(params, statement, &argument.ending, &remaining)?;
    let proofs = &argument.proofs;
    Rejected::lengths("proofs of kinds", shapes.kinds.len(), proofs.kinds.len())?;
    let mut claims = Vec::with_capacity(3 * shapes.kinds.len() + 1);
    let kinds = shapes.kinds.iter().zip(&remaining.running);
    for ((shape, instance), proof) in kinds.zip(&proofs.kinds) {
        let mut arithmetic = NativePrimary::new(&mut transcript);
        let (u, x) = (&instance.u, &instance.x);
        let left = spartan::verify(&mut arithmetic, shape.dimensions(), u, x, proof, shape)?;
        claims.extend(left.segments);
        claims.push(left.error);
    }
    check_cyclefold(params, shapes, &remaining, proofs, &mut transcript)?;
    claims.push(spartan::Claim {
        point: remaining.point.clone(),
        value: remaining.value,
    });
    Ok(Batched {
        remaining,
        claims,
        transcript,
    })
}

fn check_cyclefold<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    remaining: &Remaining<C>,
    proofs: &Proofs<C>,
    transcript: &mut Transcript<C::F>,
) -> Result<(), DeciderError> {
    let instance = &remaining.cyclefold;
    let mut arithmetic = NativeSecondary::new(transcript, &params.context.eisenstein);
    let shape = &shapes.cyclefold;
    let (u, x) = (&instance.u, &instance.x);
    let proof = &proofs.cyclefold;
    let claims = spartan::verify(&mut arithmetic, shape.dimensions(), u, x, proof, shape)?;
    let statement = pair_statement::<C>(instance, claims)?;
    let key = pair_key(params)?;
    Ok(ipa::pair::verify(
        &key,
        &mut arithmetic,
        &statement,
        &proofs.pair,
    )?)
}

/// Ends a run and proves a statement.
///
/// # Errors
/// Those of [`argue`] and of the opening.
pub fn prove<C: FinalOpening, S: StepCircuit<C::F>, R: RngCore + CryptoRng>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    run: Recursion<C>,
    statement: &Statement<C::F>,
    rng: &mut R,
) -> Result<Proof<C>, DeciderError> {
    open(params, argue(params, shapes, run, statement, rng)?)
}

/// Opens what an argument leaves.
///
/// # Errors
/// Those of the opening.
pub fn open<C: FinalOpening, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    argued: Argued<C>,
) -> Result<Proof<C>, DeciderError> {
    let claim = argued.left.claim(argued.blind)?;
    let mut transcript = argued.left.transcript;
    transcript.absorb(&[argued.blind]);
    let opening = C::open(&params.primary, &mut transcript, &claim, &argued.table)?;
    Ok(Proof {
        argument: argued.argument,
        blind: argued.blind,
        opening,
    })
}

/// Accepts iff the proof proves the statement.
///
/// # Errors
/// [`DeciderError::is_rejection`] tells a false proof from keys that cannot judge it.
pub fn verify<C: FinalOpening, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    shapes: &Shapes<C>,
    statement: &Statement<C::F>,
    proof: &Proof<C>,
) -> Result<(), DeciderError> {
    let left = check(params, shapes, statement, &proof.argument)?;
    let claim = left.claim(proof.blind)?;
    let mut transcript = left.transcript;
    transcript.absorb(&[proof.blind]);
    C::verify(&params.primary, &mut transcript, &claim, &proof.opening)
}
