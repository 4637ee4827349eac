//! A run of which every step can be forged and synthesised again.

use crate::common::{Shared, Toy, ToyStep, ToyTrace, tensor, toy_model, toy_program};
use foldnet::fold::augmented::{Inputs, Outcome};
use foldnet::fold::cyclefold::{self, Operation};
use foldnet::fold::params::Params;
use foldnet::fold::prover::{Recursion, Start, Step};
use foldnet::fold::r1cs::Instance;
use foldnet::fold::state::CycleFoldChallenge;
use foldnet::fold::verifier::Statement;
use foldnet::visibility::Sides;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::claims::MergeInput;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::step::WeightTable;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Step 0: a kind with weights.
pub const BASE: usize = 0;
/// A kind without weights, which folds an instance of a kind with weights.
pub const PLAIN: usize = 1;
/// A kind with weights, which folds an instance of a kind without.
pub const WEIGHTED: usize = 2;
/// A kind with weights that ends an inference.
pub const ENDING: usize = 3;
/// The first step of the second inference.
pub const NEXT: usize = 4;
/// The last step.
pub const LAST: usize = 7;

/// The program that the fixture runs on [`INPUTS`]: kinds and weights.
pub const PROGRAM: [(usize, &[i64]); 4] = [
    (1, &[5, -7, 9]),
    (0, &[]),
    (1, &[-2, 1, 1, 1, 1, 1, 1, 8]),
    (2, &[100]),
];
pub const INPUTS: [i64; 2] = [3, 50];

pub use crate::common::{rehash, shorten};

pub type ToyParams<C> = Params<C, Toy<<C as Cycle>::F>>;

/// An honest run with all that led to it.
pub struct Fixture<C: Cycle> {
    pub params: &'static ToyParams<C>,
    pub program: Vec<ToyStep<C>>,
    pub positions: Vec<Position<C>>,
    pub run: Recursion<C>,
    pub statement: Statement<C::F>,
}

/// One step of the run.
pub struct Position<C: Cycle> {
    /// The run before the step.
    pub before: Recursion<C>,
    /// The run after the first half of the step.
    pub folded: Recursion<C>,
    /// What the circuit takes.
    pub inputs: Inputs<C>,
    pub trace: ToyTrace,
    pub next_input: C::F,
    /// The instance's public values.
    pub public: Vec<C::F>,
}

/// The fixtures of both cycles.
pub trait HasFixture: Shared {
    fn fixture() -> &'static Fixture<Self>;
}

impl HasFixture for Bn254 {
    fn fixture() -> &'static Fixture<Self> {
        static FIXTURE: LazyLock<Fixture<Bn254>> = LazyLock::new(Fixture::new);
        &FIXTURE
    }
}

impl HasFixture for Pasta {
    fn fixture() -> &'static Fixture<Self> {
        static FIXTURE: LazyLock<Fixture<Pasta>> = LazyLock::new(Fixture::new);
        &FIXTURE
    }
}

impl<C: Shared> Fixture<C> {
    fn new() -> Self {
        let params = C::shared();
        let program = toy_program(params, &PROGRAM);
        let model = toy_model(params, &program);
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let start = tensor(params, INPUTS[0]);
        let mut run = Recursion::begin(params, model, start, Start::Masked, &mut rng).unwrap();
        let (mut positions, mut inferences) = (Vec::new(), Vec::new());
        for (i, input) in INPUTS.iter().enumerate() {
            let next_input = tensor(params, INPUTS[(i + 1) % INPUTS.len()]);
            let mut x = *input;
            for step in &program {
                let trace = (x, step.output(x));
                let before = run.clone();
                let step = Step {
                    kind: step.kind,
                    trace: &trace,
                    weights: step.weights(),
                    inputs: &[],
                    next_input,
                };
                let inputs = run.fold(params, &step, &mut rng).unwrap();
                let folded = run.clone();
                run.prove(params, &step, &inputs, &mut rng).unwrap();
                positions.push(Position {
                    before,
                    folded,
                    inputs,
                    trace,
                    next_input,
                    public: run.last.as_ref().unwrap().instance.x.clone(),
                });
                x = trace.1;
            }
            inferences.push((tensor(params, *input), tensor(params, x)));
        }
        Fixture {
            params,
            program,
            positions,
            run,
            statement: Statement {
                model,
                sides: Sides::PUBLIC,
                inferences,
            },
        }
    }
}

impl<C: Cycle> Fixture<C> {
    /// The honest inputs of one step, to be forged.
    pub fn at(&self, position: usize) -> Attempt<'_, C> {
        let at = &self.positions[position];
        let step = &self.program[position % self.program.len()];
        Attempt {
            params: self.params,
            kind: step.kind,
            inputs: at.inputs.clone(),
            trace: at.trace,
            table: at.before.table.clone(),
            weights: step.weights.as_ref().map(|w| w.0.clone()),
            alpha: C::F::from(0x5eed),
        }
    }
}

/// The inputs of one step's circuit, perhaps forged.
#[derive(Clone)]
pub struct Attempt<'a, C: Cycle> {
    pub params: &'a ToyParams<C>,
    pub kind: usize,
    pub inputs: Inputs<C>,
    pub trace: ToyTrace,
    /// The accumulated polynomial.
    pub table: Vec<C::F>,
    pub weights: Option<WeightTable>,
    /// Any value will do: nobody in the circuit knows where it comes from.
    pub alpha: C::F,
}

impl<C: Cycle> Attempt<'_, C> {
    /// Makes everything that follows from the inputs consistent again: the fold, its challenge, the
    /// point operations and the CycleFold challenge.
    pub fn recompute(&mut self) {
        let context = self.params.context();
        let hash = self.fold_hash();
        let inputs = &mut self.inputs;
        let challenge = Challenge::from_hash(&hash);
        let r = challenge.scalar(context.lambda);
        inputs.folded = inputs.running.fold(r, &inputs.fresh, &inputs.cross);
        inputs.operations.fold = challenge;
        let running = inputs
            .running
            .segments
            .iter()
            .chain([&inputs.running.error]);
        let fresh = inputs.fresh.segments.iter().chain([&inputs.cross]);
        let folded = inputs.folded.segments.iter().chain([&inputs.folded.error]);
        let slots = inputs.operations.operations.iter_mut();
        for (slot, ((p, q), result)) in slots.zip(running.zip(fresh).zip(folded)) {
            *slot = Operation {
                p: *p,
                q: *q,
                result: *result,
            };
        }
        if inputs.weights.is_some() {
            let accumulator = &inputs.accumulator;
            let beta = accumulator.challenge.scalar(context.lambda);
            inputs.operations.accumulate = accumulator.challenge;
            inputs.operations.operations[3] =
                Operation::perform(accumulator.commitment, accumulator.pending, beta);
        }
        self.rebind();
    }

    /// The hash of the folding challenge, as the circuit computes it.
    pub fn fold_hash(&self) -> C::F {
        let (context, inputs) = (self.params.context(), &self.inputs);
        let before = context.instance(&inputs.running);
        context.fold_challenge(inputs.pp, inputs.kind, before, &inputs.fresh, &inputs.cross)
    }

    /// Makes the CycleFold challenge the one that the circuit computes from its own wires.
    pub fn rebind(&mut self) {
        let context = self.params.context();
        let fold_hash = self.fold_hash();
        let inputs = &mut self.inputs;
        let r = Challenge::from_hash(&fold_hash).scalar(context.lambda);
        let folded = Instance {
            segments: inputs.folded.segments.clone(),
            error: inputs.folded.error,
            ..inputs.running.fold(r, &inputs.fresh, &inputs.cross)
        };
        let idle = cyclefold::idle_accumulation::<C>();
        let accumulator = &inputs.accumulator;
        let (accumulate, accumulation) = match inputs.weights {
            Some(_) => (
                accumulator.challenge,
                [
                    &accumulator.commitment,
                    &accumulator.pending,
                    &inputs.operations.operations[3].result,
                ],
            ),
            None => (
                cyclefold::idle_challenge(),
                [&idle.p, &idle.q, &idle.result],
            ),
        };
        let hash = context.cyclefold_challenge(&CycleFoldChallenge {
            pp: inputs.pp,
            running: context.cyclefold(&inputs.cyclefold),
            fold_hash,
            folded: context.instance(&folded),
            accumulate,
            accumulation,
            fresh: inputs.cyclefold_fresh,
            cross: inputs.cyclefold_cross,
        });
        inputs.cyclefold_challenge = Challenge::from_hash(&hash);
    }

    /// Synthesises the step's circuit, with `h` as it computes it.
    pub fn synthesise(&self) -> (MockSystem<C::F>, Outcome<C>) {
        let circuit = self.params.circuit(self.kind).unwrap();
        let mut system = MockSystem::default();
        let closed = circuit
            .commit(&mut system, &self.inputs, &self.trace)
            .unwrap();
        let merge = self.weights.as_ref().map(|weights| MergeInput {
            accumulator: &self.table,
            weights,
        });
        let outcome = circuit
            .constrain(&mut system, &closed, self.alpha, merge)
            .unwrap();
        assert!(system.set("h", outcome.hash));
        (system, outcome)
    }

    /// The paths of the constraints that fail.
    pub fn failures(&self) -> Vec<String> {
        paths(&self.synthesise().0)
    }
}

/// The paths of the constraints that fail.
pub fn paths<F: CircuitField>(system: &MockSystem<F>) -> Vec<String> {
    system.failures().into_iter().map(|f| f.path).collect()
}

/// Applies `forge` to the honest inputs of a step, makes what follows consistent, and returns the
/// constraints that fail.
pub fn forge<C: HasFixture>(
    position: usize,
    forge: impl FnOnce(&mut Attempt<'_, C>),
) -> Vec<String> {
    let mut attempt = C::fixture().at(position);
    forge(&mut attempt);
    attempt.recompute();
    attempt.failures()
}

/// Adds `difference` to the variable at `path`.
pub fn add<F: CircuitField>(system: &mut MockSystem<F>, path: &str, difference: F) {
    let value = system
        .get(path)
        .unwrap_or_else(|| panic!("no variable {path}"));
    assert!(system.set(path, value + difference));
}

/// Gives the inverses of altered lookups their right values, and returns how many were wrong.
pub fn repair_lookups<F: CircuitField>(system: &mut MockSystem<F>) -> usize {
    let mut repaired = 0;
    for failure in system.failures() {
        if failure.path.starts_with("lookups/value ") {
            let inverse: F = Option::from(failure.a.invert()).unwrap();
            assert!(system.set(&failure.path, inverse));
            repaired += 1;
        }
    }
    repaired
}
