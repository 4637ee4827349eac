//! The complete check of a `folded` proof.

use crate::fold::error::FoldError;
use crate::fold::params::Params;
use crate::fold::prover::Recursion;
use crate::fold::state::StatePreimage;
use crate::visibility::Sides;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::sumcheck;

/// What a proof is checked against: all of it comes from the verifier, nothing from the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<F> {
    /// The model id.
    pub model: F,
    /// Which sides of the inferences are private. Proofs of two statements that differ in nothing but
    /// this are different: transcripts of succinct proofs start with it.
    pub sides: Sides,
    /// Input and output digest of every inference, in order.
    pub inferences: Vec<(F, F)>,
}

/// Accepts iff the run proves the statement: `z_0` and the end state, the state hash, `alpha`, the
/// last instance, every running instance, the CycleFold instance and the accumulated claim.
///
/// What is verified holds witnesses: a statement with private sides is refused.
///
/// # Errors
/// [`FoldError::Shows`], [`FoldError::Statement`] and [`FoldError::Unsatisfied`] reject; the others say
/// that the data do not fit the parameters.
pub fn verify<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    proof: &Recursion<C>,
    statement: &Statement<C::F>,
) -> Result<(), FoldError> {
    if statement.sides != Sides::PUBLIC {
        let sides = statement.sides.name();
        return Err(FoldError::Shows { sides });
    }
    check_statement(params, proof, statement)?;
    check_hashes(params, proof)?;
    check_instances(params, proof)?;
    check_accumulator(params, proof)
}

fn ensure(holds: bool, what: &'static str) -> Result<(), FoldError> {
    if holds {
        Ok(())
    } else {
        Err(FoldError::Statement { what })
    }
}

/// `z_0` and the end state have exactly the values that the statement fixes.
fn check_statement<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    proof: &Recursion<C>,
    statement: &Statement<C::F>,
) -> Result<(), FoldError> {
    let state = &proof.state;
    let count = statement.inferences.len() as u64;
    ensure(
        proof.index >= 1 && proof.index < 1 << 32,
        "the number of steps",
    )?;
    ensure(
        count >= 1 && state.count == count,
        "the number of inferences",
    )?;
    ensure(state.model == statement.model, "the model id")?;
    let finished = state.digest == params.context.model_start(params.pp);
    ensure(
        finished && state.tensors == state.input,
        "the end of the last inference",
    )?;
    let start = params.first_input(statement)?;
    ensure(start == proof.start, "the first input")?;
    let batch = params.context.batch(&statement.inferences);
    ensure(state.batch == batch, "the inputs and outputs")
}

/// The last instance's public values are the hashes of exactly the state that is checked here.
fn check_hashes<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    proof: &Recursion<C>,
) -> Result<(), FoldError> {
    let Some(last) = &proof.last else {
        return Err(FoldError::Statement {
            what: "the last step",
        });
    };
    params.kind(last.kind)?;
    let context = &params.context;
    let state = &proof.state;
    let preimage = StatePreimage {
        pp: params.pp,
        index: C::F::from(proof.index),
        model: state.model,
        start: proof.start,
        digest: state.digest,
        input: state.input,
        tensors: state.tensors,
        batch: state.batch,
        count: C::F::from(state.count),
        entries: proof
            .running
            .iter()
            .map(|(u, _)| context.instance(u))
            .collect(),
        cyclefold: context.cyclefold(&proof.cyclefold.0),
        accumulator: context.accumulator(&proof.accumulator),
        kind: C::F::from(last.kind as u64),
    };
    let [first, _] = last.instance.segments.as_slice() else {
        let (expected, got) = (2, last.instance.segments.len());
        return Err(FoldError::Length {
            what: "segments of the last instance",
            expected,
            got,
        });
    };
    let expected = [
        context.state(preimage),
        context.alpha(params.pp, last.kind, first),
    ];
    let [h, alpha] = last.instance.x.as_slice() else {
        let (expected, got) = (2, last.instance.x.len());
        return Err(FoldError::Length {
            what: "public values of the last instance",
            expected,
            got,
        });
    };
    ensure(*h == expected[0], "the state hash")?;
    ensure(*alpha == expected[1], "alpha")
}

fn check_instances<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    proof: &Recursion<C>,
) -> Result<(), FoldError> {
    let (expected, got) = (params.shapes.len(), proof.running.len());
    if expected != got {
        return Err(FoldError::Length {
            what: "running instances",
            expected,
            got,
        });
    }
    if let Some(last) = &proof.last {
        let shape = params.shape(last.kind)?;
        shape.check_fresh(
            &params.primary,
            &last.instance,
            &last.witness,
            "the last instance",
        )?;
    }
    for (shape, (instance, witness)) in params.shapes.iter().zip(&proof.running) {
        shape.check_relaxed(&params.primary, instance, witness, "a running instance")?;
    }
    let (instance, witness) = &proof.cyclefold;
    params.cyclefold.check_relaxed(
        &params.secondary,
        instance,
        witness,
        "the CycleFold instance",
    )
}

/// The accumulated polynomial is the one committed and evaluates as claimed.
fn check_accumulator<C: Cycle, S: StepCircuit<C::F>>(
    params: &Params<C, S>,
    proof: &Recursion<C>,
) -> Result<(), FoldError> {
    let accumulator = &proof.accumulator;
    let (expected, got) = (1 << params.weight_variables, proof.table.len());
    if expected != got {
        return Err(FoldError::Length {
            what: "the accumulated polynomial",
            expected,
            got,
        });
    }
    let (expected, got) = (params.weight_variables, accumulator.point.len());
    if expected != got {
        return Err(FoldError::Length {
            what: "the accumulated point",
            expected,
            got,
        });
    }
    let what = "the accumulated claim";
    let scalar = accumulator.challenge.scalar(params.context.lambda);
    let commitment = accumulator.commitment.fold(scalar, &accumulator.pending);
    if Commitment::new(params.primary.commit(&proof.table, proof.blind)?) != commitment {
        return Err(FoldError::Unsatisfied {
            what,
            detail: "commitment".into(),
        });
    }
    if sumcheck::evaluate(&proof.table, &accumulator.point) != accumulator.value {
        return Err(FoldError::Unsatisfied {
            what,
            detail: "value".into(),
        });
    }
    Ok(())
}
