//! Everything about a step that can be checked without folding.
//!
//! [`run`] plays the folding engine on a [`MockSystem`]: it runs both phases with a transcript that
//! is seeded with a hash of the first segment, constrains the lookups, and evaluates every claim
//! about the weights natively. [`measure`] counts constraints without a witness. The engine's own
//! constraints (state hash, claim merge, folding) are not part of it.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::{HashConstants, Tag, hash};
use foldnet_gadgets::lookup::ClosedLookups;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::step::{Claim, StepCircuit, StepOutput, WeightTable};
use foldnet_gadgets::sumcheck;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// The domain tag of the seed that stands for `alpha`.
const SEED: Tag = Tag::new("foldnet check seed");

/// The domain tag of the transcript.
const TRANSCRIPT: Tag = Tag::new("foldnet check transcript");

/// A step that was run on a mock system.
#[derive(Clone, Debug)]
pub struct Checked<F: CircuitField> {
    /// The system with all constraints and values; tests overwrite values in it.
    pub system: MockSystem<F>,
    /// What the step gives to the engine.
    pub output: StepOutput<F>,
    /// Variables of the first segment, with the multiplicities.
    pub first_variables: usize,
    /// Values looked up.
    pub lookups: usize,
    /// For each claim, the evaluation of the weight table at the claim's point.
    pub evaluations: Vec<F>,
}

impl<F: CircuitField> Checked<F> {
    /// Names everything that fails: constraints by their paths, claims as `claim i`. Empty iff the
    /// step is accepted.
    pub fn rejections(&self) -> Vec<String> {
        let claims = self.output.claims.iter().zip(&self.evaluations).enumerate();
        let wrong = claims.filter(|(_, (claim, evaluation))| claim.value.value() != **evaluation);
        let constraints = self
            .system
            .failures()
            .into_iter()
            .map(|failure| failure.path);
        constraints
            .chain(wrong.map(|(i, _)| format!("claim {i}")))
            .collect()
    }
}

/// The size of a step's circuit, without the engine's constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Variables of the first segment, with the multiplicities.
    pub first_variables: usize,
    /// Variables of both segments.
    pub variables: usize,
    /// All constraints.
    pub constraints: usize,
    /// Values looked up.
    pub lookups: usize,
    /// The constraints of the lookups, without their challenges
    /// ([`ClosedLookups::constraints`]).
    pub lookup_constraints: usize,
}

/// Runs a step on a mock system. `weights` proves, and its table is what claims are checked
/// against.
///
/// # Errors
/// Those of the step.
pub fn run<F: CircuitField, S: StepCircuit<F>>(
    step: &S,
    trace: &S::Trace,
    weights: Option<&WeightTable>,
    constants: &HashConstants<F>,
) -> Result<Checked<F>, SynthesisError> {
    let mut system = MockSystem::new();
    let mut segment = FirstSegment::open(&mut system);
    let committed = step.commit(trace, &mut segment)?;
    let lookups = segment.close()?;
    let first_variables = system.auxiliary_count();
    let seed = hash(constants, SEED, &system.auxiliary_values());
    let seed = system.public_wire(|| "alpha", seed)?;
    let mut transcript = start(&mut system, constants, &seed, &lookups)?;
    let mut namespace = system.namespace(|| "step");
    let output = step.constrain(&committed, weights, &mut transcript, &mut namespace)?;
    drop(namespace);
    let evaluations = evaluate_claims(&output, weights);
    let lookups = lookups.len();
    Ok(Checked {
        system,
        output,
        first_variables,
        lookups,
        evaluations,
    })
}

/// Measures a step's circuit without a witness.
///
/// # Errors
/// Those of the step.
pub fn measure<F: CircuitField, S: StepCircuit<F>>(
    step: &S,
    constants: &HashConstants<F>,
) -> Result<Size, SynthesisError> {
    let mut system = ShapeSystem::<F>::default();
    let mut segment = FirstSegment::open(&mut system);
    let committed = step.commit(&step.dummy_trace(), &mut segment)?;
    let lookups = segment.close()?;
    let first_variables = system.auxiliary();
    let seed = system.public_wire(|| "alpha", F::ZERO)?;
    let mut transcript = start(&mut system, constants, &seed, &lookups)?;
    let before = system.rows();
    step.constrain(&committed, None, &mut transcript, &mut system)?;
    let lookup_constraints = lookups.constraints();
    Ok(Size {
        first_variables,
        variables: system.auxiliary(),
        constraints: system.rows() - before + lookup_constraints,
        lookups: lookups.len(),
        lookup_constraints,
    })
}

/// The transcript after the seed, with the lookups constrained at its first challenges.
fn start<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    constants: &HashConstants<F>,
    seed: &Wire<F>,
    lookups: &ClosedLookups<F>,
) -> Result<TranscriptCircuit<F>, SynthesisError> {
    let mut transcript = TranscriptCircuit::new(constants, TRANSCRIPT);
    transcript.absorb([seed]);
    lookups.constrain(cs, &mut transcript)?;
    Ok(transcript)
}

/// The evaluation of a weight table at the point of each claim: what the claims should say.
pub fn evaluate_claims<F: CircuitField>(
    output: &StepOutput<F>,
    weights: Option<&WeightTable>,
) -> Vec<F> {
    let entries = weights.map_or(&[][..], WeightTable::entries);
    let table: Vec<F> = entries.iter().map(|entry| from_i64(*entry)).collect();
    let claims = output.claims.iter();
    claims
        .map(|claim| sumcheck::evaluate(&table, &claim_point(output, claim)))
        .collect()
}

/// The point that a claim is about: its slot bits, then the suffixes of the shared points.
pub fn claim_point<F: CircuitField>(output: &StepOutput<F>, claim: &Claim<F>) -> Vec<F> {
    let slot = claim
        .slot
        .iter()
        .map(|bit| if *bit { F::ONE } else { F::ZERO });
    slot.chain(suffix(&output.row_point, claim.rows))
        .chain(suffix(&output.column_point, claim.columns))
        .collect()
}

fn suffix<F: CircuitField>(point: &[Wire<F>], count: usize) -> impl Iterator<Item = F> + '_ {
    point
        .iter()
        .skip(point.len().saturating_sub(count))
        .map(Wire::value)
}
