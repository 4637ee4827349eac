//! Runs: folding all steps of all inferences, one after the other, from any step on.
//!
//! Between two steps a run is a [`RunState`]: the recursion, the live tensors and the outputs so far.
//! Its size does not depend on the depth of the network. Weights are read one step at a time, and
//! they and the step's values are dropped as soon as the step is folded. A state holds no state of a
//! random generator: whoever goes on draws afresh.

use crate::error::Error;
use crate::fold::cyclefold::PUBLIC_INPUTS;
use crate::fold::params::Params;
use crate::fold::prover::{LastStep, Recursion, Start, Step, StepWeights};
use crate::fold::r1cs::{FreshWitness, Instance, Running, Shape};
use crate::program::{Outline, Program};
use crate::progress::{Progress, Stage};
use crate::session::{Committed, Inference, PUBLIC_BLIND, Session, Timing};
use foldnet_gadgets::commitment::CurveEngine;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::step::StepCircuit;
use foldnet_layers::tensor;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Instant;

/// A run between two steps.
///
/// It is a secret unless everything is public. A run that was started masked serves one published
/// proof: see [`crate::checkpoint`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RunState<C: Cycle> {
    /// Running instances, accumulator, last step.
    pub recursion: Recursion<C>,
    /// The live tensors, with their padding; none between two inferences.
    pub live: Vec<Vec<i64>>,
    /// The outputs of the finished inferences.
    pub outputs: Vec<Vec<i64>>,
}

/// Activations are secrets: the debug form shows numbers only.
impl<C: Cycle> fmt::Debug for RunState<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steps, outputs) = (self.recursion.index, self.outputs.len());
        write!(f, "RunState({steps} steps, {outputs} outputs)")
    }
}

/// Where a run is: how many inferences are finished, and which step of the next one comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    inference: usize,
    step: usize,
}

impl Position {
    fn after(index: u64, outline: &Outline) -> Self {
        let steps = outline.steps.len().max(1) as u64;
        let inference = usize::try_from(index / steps).unwrap_or(usize::MAX);
        Position {
            inference,
            step: (index % steps) as usize,
        }
    }
}

/// What is folded: the inputs of one run, and what they go through.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a, C: Cycle> {
    /// Parameters.
    pub session: &'a Session<C>,
    /// The program.
    pub program: &'a Program,
    /// Its commitments.
    pub committed: &'a Committed<C>,
    /// The inputs in order.
    pub inputs: &'a [Vec<i64>],
}

impl<C: Cycle> Job<'_, C> {
    /// Number of steps of the whole run.
    pub fn steps(&self) -> u64 {
        (self.program.outline().steps.len() * self.inputs.len()) as u64
    }

    /// Folds what is left of a run; `watch` sees the state after every step.
    ///
    /// # Errors
    /// Those of the reference evaluation and of folding; [`Error::File`] for weights that do not
    /// have their digest, before their step is folded. The state is then of no further use.
    pub fn fold<R: RngCore + CryptoRng>(
        &self,
        run: &mut RunState<C>,
        timing: &mut Timing,
        progress: &mut dyn Progress,
        watch: &mut dyn FnMut(&RunState<C>),
        rng: &mut R,
    ) -> Result<(), Error> {
        let outline = self.program.outline();
        let total = self.steps();
        progress.start(Stage::Fold, total);
        progress.advance(run.recursion.index);
        while run.recursion.index < total {
            let position = Position::after(run.recursion.index, outline);
            let input = self.inputs.get(position.inference).map(Vec::as_slice);
            if position.step == 0 {
                let input = input.unwrap_or_default();
                run.live = vec![outline.input.pad("input", input)?];
            }
            self.step(run, position, timing, rng)?;
            watch(run);
            progress.advance(run.recursion.index);
        }
        progress.finish();
        Ok(())
    }

    /// Evaluates and folds one step.
    fn step<R: RngCore + CryptoRng>(
        &self,
        run: &mut RunState<C>,
        position: Position,
        timing: &mut Timing,
        rng: &mut R,
    ) -> Result<(), Error> {
        let outline = self.program.outline();
        let unknown = || Error::Program("a program has no such step");
        let kind = outline.steps.get(position.step).ok_or_else(unknown)?.kind;
        let commitment = self.committed.commitments.get(position.step);
        let commitment = *commitment.ok_or_else(unknown)?;
        let last = position.step + 1 == outline.steps.len();
        let clock = Instant::now();
        let table = self.program.weights(position.step)?;
        let live = run.live.first().map(Vec::as_slice).unwrap_or_default();
        let trace = outline.run_step(position.step, &table, live)?;
        let mut output = trace.output();
        timing.witness += clock.elapsed();
        let clock = Instant::now();
        let step = Step {
            kind,
            trace: &trace,
            weights: Some(StepWeights {
                table: &table,
                commitment,
                blind: C::F::from(PUBLIC_BLIND),
            }),
            next_input: if last {
                self.input_after(position.inference, run)?
            } else {
                run.recursion.start
            },
        };
        run.recursion.step(self.session.params(), &step, rng)?;
        if last {
            output.truncate(outline.output.length);
            run.live.clear();
            run.outputs.push(output);
        } else {
            run.live = vec![output];
        }
        timing.fold += clock.elapsed();
        Ok(())
    }

    /// The digest of the input after an inference; that of the first after the last.
    fn input_after(&self, inference: usize, run: &RunState<C>) -> Result<C::F, Error> {
        match self.inputs.get(inference + 1) {
            Some(input) => self.session.input_digest(input),
            None => Ok(run.recursion.start),
        }
    }
}

impl<C: Cycle> RunState<C> {
    /// The state before the first step.
    ///
    /// # Errors
    /// [`Error::Length`] for no inputs or one of another length; those of the keys.
    pub fn begin<R: RngCore + CryptoRng>(
        session: &Session<C>,
        model: C::F,
        inputs: &[Vec<i64>],
        start: Start,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let mut first = None;
        for input in inputs {
            let digest = session.input_digest(input)?;
            first = first.or(Some(digest));
        }
        let Some(first) = first else {
            return Err(Error::Length {
                what: "inputs",
                expected: 1,
                got: 0,
            });
        };
        Ok(RunState {
            recursion: Recursion::begin(session.params(), model, first, start, rng)?,
            live: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// What the run claims by now.
    pub fn inferences(&self, inputs: &[Vec<i64>]) -> Vec<Inference> {
        inputs
            .iter()
            .zip(&self.outputs)
            .map(|(input, output)| Inference {
                input: input.clone(),
                output: output.clone(),
            })
            .collect()
    }

    /// Whether a state of unknown origin can be continued as a run of this job: every length is that
    /// of the parameters, and position, tensors and finished inferences are those that the recursion
    /// has hashed. What it cannot see, a wrong witness for instance, makes a proof that does not
    /// verify.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, job: &Job<'_, C>) -> Result<(), &'static str> {
        self.check_position(job)?;
        self.check_statement(job)?;
        check_recursion(&self.recursion, job.session.params())
    }

    /// Tensors, outputs and last step are those of the position in the program.
    fn check_position(&self, job: &Job<'_, C>) -> Result<(), &'static str> {
        let outline = job.program.outline();
        let index = self.recursion.index;
        ensure(index <= job.steps(), "the number of steps")?;
        let position = Position::after(index, outline);
        let outputs = self.outputs.len() == position.inference;
        ensure(outputs, "the number of outputs")?;
        let (low, high) = tensor::range(outline.bits);
        let activations = |values: &[i64], length: usize| {
            values.len() == length && values.iter().all(|v| (low..=high).contains(v))
        };
        let lengths = self.outputs.iter();
        let fit = lengths
            .into_iter()
            .all(|o| activations(o, outline.output.length));
        ensure(fit, "an output")?;
        let kind = |step: usize| outline.steps.get(step).map(|step| step.kind);
        let live = match (self.live.as_slice(), position.step) {
            ([], 0) => true,
            ([live], 1..) => kind(position.step)
                .and_then(|kind| outline.kinds.get(kind))
                .is_some_and(|kind| activations(live, kind.inputs())),
            _ => false,
        };
        ensure(live, "the live tensors")?;
        let before = match position.step {
            0 => outline.steps.len().checked_sub(1),
            step => step.checked_sub(1),
        };
        let expected = before.filter(|_| index > 0).and_then(kind);
        let last = self.recursion.last.as_ref().map(|last| last.kind);
        ensure(last == expected, "the last step")
    }

    /// The state that the recursion hashes is the one of these inputs and outputs.
    fn check_statement(&self, job: &Job<'_, C>) -> Result<(), &'static str> {
        let state = &self.recursion.state;
        ensure(state.model == job.committed.model, "the model id")?;
        let count = state.count == self.outputs.len() as u64;
        ensure(count, "the number of finished inferences")?;
        let digest = |input: &Vec<i64>| job.session.input_digest(input).ok();
        let first = job.inputs.first().and_then(digest);
        ensure(first == Some(self.recursion.start), "the first input")?;
        let input = match job.inputs.get(self.outputs.len()) {
            Some(input) => digest(input),
            None => first,
        };
        ensure(input == Some(state.input), "the input of the inference")?;
        let tensors = match self.live.first() {
            Some(live) => job.session.tensor_digest(live),
            None => state.input,
        };
        ensure(tensors == state.tensors, "the live tensors")?;
        let inferences = self.inferences(job.inputs);
        let statement = job.session.statement(state.model, &inferences);
        let batch = statement.map(|s| job.session.params().context.batch(&s.inferences));
        let batch = batch.is_ok_and(|batch| batch == state.batch);
        ensure(batch, "the finished inferences")
    }
}

fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

/// Every vector has the length that the parameters ask for.
fn check_recursion<C: Cycle, S: StepCircuit<C::F>>(
    recursion: &Recursion<C>,
    params: &Params<C, S>,
) -> Result<(), &'static str> {
    let kinds = recursion.running.len() == params.shapes.len();
    ensure(kinds, "the number of running instances")?;
    let running = params.shapes.iter().zip(&recursion.running);
    let fit = running
        .into_iter()
        .all(|(shape, running)| fits(shape, running, 2));
    ensure(fit, "a running instance")?;
    let cyclefold = fits(&params.cyclefold, &recursion.cyclefold, PUBLIC_INPUTS);
    ensure(cyclefold, "the CycleFold instance")?;
    let last = match &recursion.last {
        None => true,
        Some(last) => params
            .shape(last.kind)
            .is_ok_and(|shape| last_fits(shape, last)),
    };
    ensure(last, "the last instance")?;
    let variables = params.weight_variables;
    let point = recursion.accumulator.point.len() == variables;
    let table = recursion.table.len() == 1 << variables;
    ensure(point && table, "the accumulated weights")
}

fn fits<E: CurveEngine>(shape: &Shape<E>, (instance, witness): &Running<E>, inputs: usize) -> bool {
    let Instance { segments, x, .. } = instance;
    segments.len() == shape.segments().len()
        && x.len() == inputs
        && segments_fit(shape, &witness.segments, &witness.blinds)
        && witness.error.len() == shape.rows()
}

fn last_fits<C: Cycle>(shape: &Shape<C::Primary>, last: &LastStep<C>) -> bool {
    let FreshWitness { segments, blinds } = &last.witness;
    last.instance.segments.len() == shape.segments().len()
        && last.instance.x.len() == 2
        && segments_fit(shape, segments, blinds)
}

fn segments_fit<E: CurveEngine>(
    shape: &Shape<E>,
    segments: &[Vec<E::Scalar>],
    blinds: &[E::Scalar],
) -> bool {
    let lengths = segments.iter().map(Vec::len);
    blinds.len() == segments.len() && lengths.eq(shape.segments().iter().copied())
}
