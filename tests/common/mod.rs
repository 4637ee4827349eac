//! A toy step for tests of the engine, and keys for it.
#![allow(dead_code)] // Each test binary uses a part.

use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet::fold::params::Params;
use foldnet::fold::prover::{Recursion, Start, Step, StepWeights};
use foldnet::fold::state::StatePreimage;
use foldnet::fold::verifier::Statement;
use foldnet::key::source::KeySource;
use foldnet::progress::Silent;
use foldnet::visibility::Sides;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::{HashConstants, Tag, hash, hash_circuit};
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::{Claim, StepCircuit, StepOutput, WeightTable};
use foldnet_gadgets::transcript::TranscriptCircuit;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Variables of every toy weight polynomial.
pub const VARIABLES: usize = 3;

const TENSOR: Tag = Tag::new("toy tensor");

/// `y = x + 1`, or `y = x + w_0` with the weight polynomial's first entry.
pub struct Toy<F: CircuitField> {
    pub weights: bool,
    pub ends: bool,
    constants: HashConstants<F>,
}

impl<F: CircuitField> Toy<F> {
    pub fn new(weights: bool, ends: bool, constants: &HashConstants<F>) -> Self {
        Toy {
            weights,
            ends,
            constants: constants.clone(),
        }
    }
}

/// Input and output of one toy step.
pub type ToyTrace = (i64, i64);

pub struct ToyCommitted<F: CircuitField> {
    x: FirstWire<F>,
    y: FirstWire<F>,
}

impl<F: CircuitField> StepCircuit<F> for Toy<F> {
    type Trace = ToyTrace;
    type Committed = ToyCommitted<F>;

    fn name(&self) -> String {
        "toy".into()
    }

    fn weight_variables(&self) -> Option<usize> {
        self.weights.then_some(VARIABLES)
    }

    fn ends_inference(&self) -> bool {
        self.ends
    }

    fn dummy_trace(&self) -> ToyTrace {
        (0, 0)
    }

    fn commit<CS: ConstraintSystem<F>>(
        &self,
        trace: &ToyTrace,
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<ToyCommitted<F>, SynthesisError> {
        let x = segment.alloc("x", from_i64(trace.0))?;
        let y = if self.weights {
            segment.alloc("y", from_i64(trace.1))?
        } else {
            x.add_constant(F::ONE)
        };
        Ok(ToyCommitted { x, y })
    }

    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        committed: &ToyCommitted<F>,
        _: Option<&WeightTable>,
        transcript: &mut TranscriptCircuit<F>,
        cs: &mut CS,
    ) -> Result<StepOutput<F>, SynthesisError> {
        let mut digest = |name: &'static str, wire: &FirstWire<F>| {
            let mut cs = cs.namespace(|| name);
            hash_circuit(&mut cs, &self.constants, TENSOR, &[wire.wire().clone()])
        };
        let input_digest = digest("input", &committed.x)?;
        let output_digest = digest("output", &committed.y)?;
        let mut claims = Vec::new();
        if self.weights {
            let value = committed.y.sub(&committed.x).wire().clone();
            transcript.absorb([&value]);
            claims.push(Claim {
                slot: vec![false; VARIABLES],
                rows: 0,
                columns: 0,
                value,
            });
        }
        Ok(StepOutput {
            input_digests: vec![input_digest],
            output_digests: vec![output_digest],
            row_point: Vec::new(),
            column_point: Vec::new(),
            claims,
        })
    }
}

/// Native digest of a toy tensor.
pub fn tensor<C: Cycle>(params: &Params<C, Toy<C::F>>, x: i64) -> C::F {
    hash(&params.context().hash, TENSOR, &[from_i64(x)])
}

/// The kinds of the toy program: plain, weighted, and weighted ending an inference.
pub fn toy_params<C: KeySource>() -> Params<C, Toy<C::F>> {
    toy_params_of(&[(false, false), (true, false), (true, true)], b"toy")
}

/// Parameters of toy kinds, each given by whether it has weights and whether it ends an inference.
pub fn toy_params_of<C: KeySource>(
    kinds: &[(bool, bool)],
    description: &[u8],
) -> Params<C, Toy<C::F>> {
    let constants = HashConstants::default();
    let kinds = kinds
        .iter()
        .map(|(weights, ends)| Toy::new(*weights, *ends, &constants))
        .collect();
    Params::new(kinds, VARIABLES, description, None, &mut Silent).unwrap()
}

/// Parameters that the tests of one binary share: the kinds of [`toy_params`], and as kind 3 a
/// plain one that ends an inference.
pub trait Shared: KeySource {
    fn shared() -> &'static Params<Self, Toy<Self::F>>;
}

const SHARED_KINDS: [(bool, bool); 4] =
    [(false, false), (true, false), (true, true), (false, true)];

impl Shared for Bn254 {
    fn shared() -> &'static Params<Self, Toy<Self::F>> {
        static PARAMS: LazyLock<Params<Bn254, Toy<<Bn254 as Cycle>::F>>> =
            LazyLock::new(|| toy_params_of(&SHARED_KINDS, b"toy"));
        &PARAMS
    }
}

impl Shared for Pasta {
    fn shared() -> &'static Params<Self, Toy<Self::F>> {
        static PARAMS: LazyLock<Params<Pasta, Toy<<Pasta as Cycle>::F>>> =
            LazyLock::new(|| toy_params_of(&SHARED_KINDS, b"toy"));
        &PARAMS
    }
}

/// One step of a toy program: its kind and its weights.
pub struct ToyStep<C: Cycle> {
    pub kind: usize,
    pub weights: Option<(WeightTable, Commitment<C::Primary>, C::F)>,
}

/// Commits to the weights of `(kind, entries)` steps.
pub fn toy_program<C: Cycle>(
    params: &Params<C, Toy<C::F>>,
    steps: &[(usize, &[i64])],
) -> Vec<ToyStep<C>> {
    steps
        .iter()
        .enumerate()
        .map(|(i, (kind, entries))| ToyStep {
            kind: *kind,
            weights: params.kinds()[*kind].weights.then(|| {
                let table = WeightTable::new(entries.to_vec(), VARIABLES).unwrap();
                let values: Vec<C::F> = entries.iter().map(|e| from_i64(*e)).collect();
                let blind = C::F::from(1000 + i as u64);
                let commitment = Commitment::new(params.key().commit(&values, blind).unwrap());
                (table, commitment, blind)
            }),
        })
        .collect()
}

/// The model id of a toy program.
pub fn toy_model<C: Cycle>(params: &Params<C, Toy<C::F>>, program: &[ToyStep<C>]) -> C::F {
    let steps: Vec<_> = program
        .iter()
        .map(|s| (s.kind, s.weights.as_ref().map(|w| w.1)))
        .collect();
    params.model_id(&steps).unwrap()
}

/// Runs `program` on every input and returns the run with its true statement.
pub fn toy_run<C: Cycle>(
    params: &Params<C, Toy<C::F>>,
    program: &[ToyStep<C>],
    inputs: &[i64],
    mode: Start,
) -> (Recursion<C>, Statement<C::F>) {
    let model = toy_model(params, program);
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let start = tensor(params, inputs[0]);
    let run = Recursion::begin(params, model, start, mode, &mut rng).unwrap();
    toy_continue(params, run, program, inputs)
}

/// Folds `program` on every input into `run`, whose model id may be that of another program, and
/// returns the result with what it claims.
pub fn toy_continue<C: Cycle>(
    params: &Params<C, Toy<C::F>>,
    mut run: Recursion<C>,
    program: &[ToyStep<C>],
    inputs: &[i64],
) -> (Recursion<C>, Statement<C::F>) {
    let model = run.state.model;
    let mut inferences = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let next = tensor(params, *inputs.get(i + 1).unwrap_or(&inputs[0]));
        let mut x = *input;
        for step in program {
            let y = step.output(x);
            toy_step(params, &mut run, step, (x, y), next);
            x = y;
        }
        inferences.push((tensor(params, *input), tensor(params, x)));
    }
    (
        run,
        Statement {
            model,
            sides: Sides::PUBLIC,
            inferences,
        },
    )
}

impl<C: Cycle> ToyStep<C> {
    /// What the step computes.
    pub fn output(&self, x: i64) -> i64 {
        x + self.weights.as_ref().map_or(1, |w| w.0.entries()[0])
    }

    /// The weights as the prover takes them.
    pub fn weights(&self) -> Option<StepWeights<'_, C>> {
        let weights = self.weights.as_ref();
        weights.map(|(table, commitment, blind)| StepWeights {
            table,
            commitment: *commitment,
            blind: *blind,
        })
    }
}

/// Folds one toy step.
pub fn toy_step<C: Cycle>(
    params: &Params<C, Toy<C::F>>,
    run: &mut Recursion<C>,
    step: &ToyStep<C>,
    trace: ToyTrace,
    next_input: C::F,
) {
    let mut rng = ChaCha20Rng::seed_from_u64(run.index + 77);
    let step = Step {
        kind: step.kind,
        trace: &trace,
        weights: step.weights(),
        inputs: &[],
        next_input,
    };
    run.step(params, &step, &mut rng).unwrap();
}

/// Gives the last instance the state hash and the `alpha` that a verifier recomputes.
pub fn rehash<C: Cycle>(params: &Params<C, Toy<C::F>>, run: &mut Recursion<C>) {
    let context = params.context();
    let last = run.last.as_mut().unwrap();
    let state = &run.state;
    let hash = context.state(StatePreimage {
        pp: params.digest(),
        index: C::F::from(run.index),
        model: state.model,
        start: run.start,
        digest: state.digest,
        input: state.input,
        tensors: state.tensors,
        batch: state.batch,
        count: C::F::from(state.count),
        entries: run
            .running
            .iter()
            .map(|(u, _)| context.instance(u))
            .collect(),
        cyclefold: context.cyclefold(&run.cyclefold.0),
        accumulator: context.accumulator(&run.accumulator),
        kind: C::F::from(last.kind as u64),
    });
    let first = &last.instance.segments[0];
    last.instance.x = vec![hash, context.alpha(params.digest(), last.kind, first)];
}

/// Removes the last element.
pub fn shorten<T>(list: &mut Vec<T>) {
    list.pop().unwrap();
}
