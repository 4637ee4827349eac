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
use crate::opening::{Opened, Opening};
use crate::program::{Outline, Program};
use crate::progress::{Progress, Stage};
use crate::session::{Committed, Inference, Session, Timing};
use crate::visibility::{Salts, Shown, Side, Sides};
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::step::{StepCircuit, WeightTable};
use foldnet_layers::graph::{GraphShape, SaltedTrace};
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
    /// The salts of private inputs and outputs, drawn when the run began.
    pub salts: Salts<C::F>,
}

/// Activations are secrets: the debug form shows numbers only.
impl<C: Cycle> fmt::Debug for RunState<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steps, outputs) = (self.recursion.index, self.outputs.len());
        write!(f, "RunState({steps} steps, {outputs} outputs)")
    }
}

/// Where a run is: how many groups of inferences are finished, which a step carries together, and
/// which step of the next group comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    group: usize,
    step: usize,
}

impl Position {
    fn after(index: u64, outline: &Outline) -> Self {
        let steps = outline.steps.len().max(1) as u64;
        let group = usize::try_from(index / steps).unwrap_or(usize::MAX);
        Position {
            group,
            step: (index % steps) as usize,
        }
    }
}

/// The inferences of a group.
fn group_of<T>(all: &[T], group: usize, batch: usize) -> &[T] {
    let start = group.saturating_mul(batch);
    all.get(start..start.saturating_add(batch))
        .unwrap_or_default()
}

/// A step that is evaluated: what folding it takes, and the tensors after it.
struct Evaluated<F> {
    /// Which step of the program.
    step: usize,
    kind: usize,
    table: WeightTable,
    trace: SaltedTrace<F>,
    /// The live tensors after the step, the outputs after the last one.
    live: Vec<Vec<i64>>,
    /// The digests of the group's inputs, for the last step of groups of several.
    inputs: Vec<F>,
    /// The digest of the inputs after the step.
    next_input: F,
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
        let groups = self.inputs.len() / self.batch();
        (self.program.outline().steps.len() * groups) as u64
    }

    /// Inferences that a step carries.
    fn batch(&self) -> usize {
        self.session.params().inferences().max(1)
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
        let total = self.steps();
        progress.start(Stage::Fold, total);
        progress.advance(run.recursion.index);
        while run.recursion.index < total {
            let clock = Instant::now();
            let about = (&run.salts, run.recursion.start);
            let step = self.evaluate(run.recursion.index, &run.live, about)?;
            timing.witness += clock.elapsed();
            let clock = Instant::now();
            self.fold_step(&mut run.recursion, &step, rng)?;
            self.advance(run, step);
            timing.fold += clock.elapsed();
            watch(run);
            progress.advance(run.recursion.index);
        }
        progress.finish();
        Ok(())
    }

    /// Evaluates step `index` of the run on the live tensors before it; `start` is the digest of the
    /// run's first inputs.
    fn evaluate(
        &self,
        index: u64,
        live: &[Vec<i64>],
        (salts, start): (&Salts<C::F>, C::F),
    ) -> Result<Evaluated<C::F>, Error> {
        let outline = self.program.outline();
        let unknown = || Error::Program("a program has no such step");
        let Position { group, step } = Position::after(index, outline);
        let kind = outline.steps.get(step).ok_or_else(unknown)?.kind;
        let shape = outline.kinds.get(kind).ok_or_else(unknown)?;
        let (first, last) = (step == 0, step + 1 == outline.steps.len());
        let table = self.program.weights(step)?;
        let trace = if first {
            outline.run_step(step, &table, &[self.group_input(group)?])?
        } else {
            outline.run_step(step, &table, live)?
        };
        let live = trace.outputs(shape);
        let mut trace = SaltedTrace::public(trace, shape.batch);
        if first {
            trace.before = self.salts(salts, Side::Input, group)?;
        }
        let (mut inputs, mut next_input) = (Vec::new(), start);
        if last {
            trace.after = self.salts(salts, Side::Output, group)?;
            next_input = self.input_after(group, salts, start)?;
            if self.batch() > 1 {
                inputs = self.digests(salts, group)?;
            }
        }
        Ok(Evaluated {
            step,
            kind,
            table,
            trace,
            live,
            inputs,
            next_input,
        })
    }

    /// The inputs of a group with their padding, one after the other.
    fn group_input(&self, group: usize) -> Result<Vec<i64>, Error> {
        let tensor = &self.program.outline().input;
        let inputs = group_of(self.inputs, group, self.batch()).iter();
        let padded = inputs.map(|input| tensor.pad("input", input));
        Ok(padded.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Folds an evaluated step.
    fn fold_step<R: RngCore + CryptoRng>(
        &self,
        recursion: &mut Recursion<C>,
        evaluated: &Evaluated<C::F>,
        rng: &mut R,
    ) -> Result<(), Error> {
        let unknown = || Error::Program("a program has no such step");
        let commitment = self.committed.commitments.get(evaluated.step);
        let commitment = *commitment.ok_or_else(unknown)?;
        let blind = self.committed.blinds.of(evaluated.step)?;
        let step = Step {
            kind: evaluated.kind,
            trace: &evaluated.trace,
            weights: commitment.map(|commitment: Commitment<C::Primary>| StepWeights {
                table: &evaluated.table,
                commitment,
                blind,
            }),
            inputs: &evaluated.inputs,
            next_input: evaluated.next_input,
        };
        Ok(recursion.step(self.session.params(), &step, rng)?)
    }

    /// Moves a run whose recursion has folded a step behind it.
    fn advance(&self, run: &mut RunState<C>, evaluated: Evaluated<C::F>) {
        let outline = self.program.outline();
        if evaluated.step + 1 == outline.steps.len() {
            run.live.clear();
            run.finish(outline, &evaluated.live.concat());
        } else {
            run.live = evaluated.live;
        }
    }

    /// The salts of one side of a group.
    fn salts(&self, salts: &Salts<C::F>, side: Side, group: usize) -> Result<Vec<C::F>, Error> {
        let first = group.saturating_mul(self.batch());
        let inferences = (0..self.batch()).map(|i| first.saturating_add(i));
        inferences.map(|i| salts.of(side, i)).collect()
    }

    /// The input digests of a group.
    fn digests(&self, salts: &Salts<C::F>, group: usize) -> Result<Vec<C::F>, Error> {
        let inputs = group_of(self.inputs, group, self.batch());
        let first = group.saturating_mul(self.batch());
        let digest = |(i, input): (usize, &Vec<i64>)| {
            let salt = salts.of(Side::Input, first.saturating_add(i))?;
            self.session.side_digest(Side::Input, input, salt)
        };
        inputs.iter().enumerate().map(digest).collect()
    }

    /// The digest of the inputs after a group; `start`, that of the first, after the last.
    fn input_after(&self, group: usize, salts: &Salts<C::F>, start: C::F) -> Result<C::F, Error> {
        match self.digests(salts, group + 1)?.as_slice() {
            [] => Ok(start),
            digests => Ok(self.session.params().context.group(digests)),
        }
    }
}

impl<C: Cycle> RunState<C> {
    /// The state before the first step of a run about public inputs and outputs.
    ///
    /// # Errors
    /// [`Error::Length`] for no inputs, a number of inputs that is no multiple of those that a step
    /// carries, and an input of another length; those of the keys.
    pub fn begin<R: RngCore + CryptoRng>(
        session: &Session<C>,
        model: C::F,
        inputs: &[Vec<i64>],
        start: Start,
        rng: &mut R,
    ) -> Result<Self, Error> {
        Self::begin_salted(session, model, (inputs, Salts::public()), start, rng)
    }

    /// The state before the first step of a masked run that shows what `sides` says: fresh salts are
    /// drawn for the private ones.
    ///
    /// # Errors
    /// Those of [`Self::begin`].
    pub fn begin_hiding<R: RngCore + CryptoRng>(
        session: &Session<C>,
        model: C::F,
        inputs: &[Vec<i64>],
        sides: Sides,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let salts = Salts::draw(sides, inputs.len(), rng);
        Self::begin_salted(session, model, (inputs, salts), Start::Masked, rng)
    }

    fn begin_salted<R: RngCore + CryptoRng>(
        session: &Session<C>,
        model: C::F,
        (inputs, salts): (&[Vec<i64>], Salts<C::F>),
        start: Start,
        rng: &mut R,
    ) -> Result<Self, Error> {
        let digest = |(i, input): (usize, &Vec<i64>)| {
            session.side_digest(Side::Input, input, salts.of(Side::Input, i)?)
        };
        let digests = inputs.iter().enumerate().map(digest);
        let digests = digests.collect::<Result<Vec<_>, _>>()?;
        let batch = session.params().inferences();
        let Some(first) = digests.get(..batch).filter(|_| digests.len() % batch == 0) else {
            return Err(Error::Length {
                what: "inputs, which must fill whole steps",
                expected: inputs.len().next_multiple_of(batch).max(batch),
                got: inputs.len(),
            });
        };
        let first = session.params().context.group(first);
        Ok(RunState {
            recursion: Recursion::begin(session.params(), model, first, start, rng)?,
            live: Vec::new(),
            outputs: Vec::new(),
            salts,
        })
    }

    /// Adds the outputs of a group, which lie one after the other.
    fn finish(&mut self, outline: &Outline, outputs: &[i64]) {
        for output in outputs.chunks(outline.output.capacity.max(1)) {
            let length = outline.output.length.min(output.len());
            self.outputs.push(output[..length].to_vec());
        }
    }

    /// What the run claims by now: values of public sides, commitments of private ones.
    ///
    /// # Errors
    /// [`Error::Length`] for inputs that are not those of the run.
    pub fn inferences(
        &self,
        session: &Session<C>,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<Inference>, Error> {
        let sides = self.salts.sides();
        let shown = |side: Side, inference: usize, values: &[i64]| {
            if !sides.of(side).is_private() {
                return Ok(Shown::Values(values.to_vec()));
            }
            let salt = self.salts.of(side, inference)?;
            let digest = session.side_digest(side, values, salt)?;
            Ok::<_, Error>(Shown::commitment(&digest))
        };
        let pairs = inputs.iter().zip(&self.outputs).enumerate();
        let inference = |(i, (input, output)): (usize, (&Vec<i64>, &Vec<i64>))| {
            Ok(Inference {
                input: shown(Side::Input, i, input)?,
                output: shown(Side::Output, i, output)?,
            })
        };
        pairs.map(inference).collect()
    }

    /// What opens the commitments that the run claims by now: one opening a private side.
    ///
    /// # Errors
    /// [`Error::Length`] for inputs that are not those of the run.
    pub fn openings(&self, inputs: &[Vec<i64>]) -> Result<Vec<Opening>, Error> {
        let opening = |side: Side| {
            let tensors = match side {
                Side::Input => inputs.get(..self.outputs.len()).unwrap_or(inputs),
                Side::Output => &self.outputs,
            };
            let opened = |(i, values): (usize, &Vec<i64>)| {
                let salt = self.salts.of(side, i)?;
                Ok::<_, Error>(Opened::new(values.clone(), &salt))
            };
            Ok(Opening {
                side,
                tensors: tensors
                    .iter()
                    .enumerate()
                    .map(opened)
                    .collect::<Result<_, _>>()?,
            })
        };
        self.salts.sides().private().map(opening).collect()
    }

    /// Whether a state of unknown origin can be continued as a run of this job: every length is that
    /// of the parameters, and position, tensors and finished inferences are those that the recursion
    /// has hashed. What it cannot see, a wrong witness for instance, makes a proof that does not
    /// verify.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, job: &Job<'_, C>) -> Result<(), &'static str> {
        ensure(self.salts.fit(job.inputs.len()), "the salts")?;
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
        let batch = job.batch();
        let outputs = self.outputs.len() == position.group.saturating_mul(batch);
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
        let fits = |kind: &GraphShape| {
            let tensors = self.live.iter().zip(&kind.inputs);
            self.live.len() == kind.inputs.len()
                && tensors
                    .into_iter()
                    .all(|(live, length)| activations(live, *length))
        };
        let live = match position.step {
            0 => self.live.is_empty(),
            step => kind(step)
                .and_then(|kind| outline.kinds.get(kind))
                .is_some_and(fits),
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
        let context = &job.session.params().context;
        let digest = |group: usize| match job.digests(&self.salts, group).ok()?.as_slice() {
            [] => None,
            digests => Some(context.group(digests)),
        };
        let first = digest(0);
        ensure(first == Some(self.recursion.start), "the first input")?;
        let input = digest(self.outputs.len() / job.batch()).or(first);
        ensure(input == Some(state.input), "the input of the inference")?;
        let tensors = if self.live.is_empty() {
            state.input
        } else {
            job.session.live_digest(&self.live)
        };
        ensure(tensors == state.tensors, "the live tensors")?;
        let inferences = self.inferences(job.session, job.inputs);
        let sides = self.salts.sides();
        let statement =
            inferences.and_then(|shown| job.session.statement_showing(sides, state.model, &shown));
        let batch = statement.map(|s| context.batch(&s.inferences));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::verifier::{self, Statement};
    use crate::model::plan::PlanOptions;
    use crate::model::random;
    use crate::progress::Silent;
    use crate::session::Architecture;
    use crate::visibility::Visibility;
    use crate::weights::WeightStore;
    use foldnet_gadgets::cycle::Bn254;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// A program of three steps that carry two inferences each.
    fn paired(width: usize) -> Program {
        let options = PlanOptions {
            max_weight_variables: 7,
            ..PlanOptions::default()
        };
        let network = random::network(3, width, 4).unwrap();
        let single = Program::new("single", &network, &options).unwrap();
        let mut outline = single.outline().clone();
        assert_eq!(outline.steps.len(), 3);
        outline.kinds = outline.kinds.iter().map(|kind| kind.repeated(2)).collect();
        let tables = (0..3).map(|step| single.weights(step));
        let tables = tables.collect::<Result<_, _>>().unwrap();
        Program::from_parts(outline, WeightStore::Memory(tables))
    }

    /// Every inference of a step has salts of its own.
    #[test]
    fn steps_of_several_inferences_salt_each() {
        const WIDTH: usize = 8;
        let program = paired(WIDTH);
        let architecture = Architecture::from(program.outline());
        let session = Session::<Bn254>::new(&architecture, None, &mut Silent).unwrap();
        let committed = session.commit(&program, &mut Silent).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let inputs: Vec<_> = (0..4).map(|_| random::input(WIDTH, &mut rng)).collect();
        let job = Job {
            session: &session,
            program: &program,
            committed: &committed,
            inputs: &inputs,
        };
        for (input, output) in [
            (Visibility::Private, Visibility::Public),
            (Visibility::Private, Visibility::Private),
        ] {
            let (sides, model) = (Sides { input, output }, committed.model);
            let begun = RunState::begin_hiding(&session, model, &inputs, sides, &mut rng);
            let mut run = begun.unwrap();
            let check = &mut |state: &RunState<Bn254>| state.check(&job).unwrap();
            job.fold(
                &mut run,
                &mut Timing::default(),
                &mut Silent,
                check,
                &mut rng,
            )
            .unwrap();
            let shown = run.inferences(&session, &inputs).unwrap();
            for opening in run.openings(&inputs).unwrap() {
                session.check_opening(&shown, &opening).unwrap();
            }
            let verify = |shown: &[Inference]| {
                let statement = session.statement_showing(sides, model, shown).unwrap();
                // The digests are salted; the run that is verified shows all the same.
                let statement = Statement {
                    sides: Sides::PUBLIC,
                    ..statement
                };
                verifier::verify(session.params(), &run.recursion, &statement)
            };
            verify(&shown).unwrap();
            // Inferences of one step are no more exchangeable than others.
            let mut altered = shown.clone();
            altered.swap(2, 3);
            let message = verify(&altered).unwrap_err().to_string();
            assert!(message.starts_with("the inputs and outputs"), "{message}");
            altered.swap(2, 3);
            altered.swap(0, 1);
            let message = verify(&altered).unwrap_err().to_string();
            assert!(message.starts_with("the first input"), "{message}");
        }
    }
}
