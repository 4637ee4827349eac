//! Sizes of the circuits, pinned in `tests/snapshots`: the step circuit here, the circuit of a
//! `groth16` proof in [`decider`].
//!
//! Snapshots are rewritten when the environment has `FOLDNET_UPDATE_SNAPSHOTS=1`. Limits that the
//! design sets are checked whatever the snapshot says.

#[path = "../common/mod.rs"]
mod common;

mod census;
mod decider;

use bellpepper_core::ConstraintSystem;
use census::Census;
use common::{Toy, tensor, toy_params_of, toy_program};
use foldnet::fold::augmented::{Augmented, Inputs};
use foldnet::fold::cyclefold;
use foldnet::fold::params::MAX_KINDS;
use foldnet::fold::prover::{Recursion, Start, Step};
use foldnet::fold::state::Context;
use foldnet::key::source::KeySource;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{Graph, GraphShape, Layer, Linear, graph, required_variables};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::fmt::Write;
use std::path::Path;

/// Most constraints of the recursion with the four point operations.
const RECURSION_LIMIT: usize = 30_000;
/// Rows, and variables, that the CycleFold circuit is laid out on.
const CYCLEFOLD_LIMIT: usize = 2048;
/// Most constraints of the claims of a step.
const CLAIMS_LIMIT: usize = 12_000;

/// Inputs of the right lengths for any shape; their values do not matter.
struct Samples<C: Cycle> {
    context: Context<C>,
    weighted: Inputs<C>,
    plain: Inputs<C>,
}

impl<C: KeySource> Samples<C> {
    fn new() -> Self {
        let params = toy_params_of::<C>(&[(true, false), (false, true)], b"counts");
        let program = toy_program(&params, &[(0, &[1]), (1, &[])]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let digest = tensor(&params, 0);
        let inputs: Vec<_> = program
            .iter()
            .map(|step| {
                let begin = Recursion::begin(&params, digest, digest, Start::Public, &mut rng);
                let step = Step {
                    kind: step.kind,
                    trace: &(0, 0),
                    weights: step.weights(),
                    inputs: &[],
                    next_input: digest,
                };
                begin.unwrap().fold(&params, &step, &mut rng).unwrap()
            })
            .collect();
        let [weighted, plain] = inputs.try_into().unwrap();
        Samples {
            context: params.context().clone(),
            weighted,
            plain,
        }
    }

    fn inputs(&self, weights: bool, kinds: usize, variables: usize) -> Inputs<C> {
        let source = if weights { &self.weighted } else { &self.plain };
        let mut inputs = source.clone();
        inputs.entries.resize(kinds, inputs.pp);
        inputs.accumulator.point.resize(variables, inputs.pp);
        inputs
    }

    fn synthesise<S: StepCircuit<C::F>, CS: ConstraintSystem<C::F>>(
        &self,
        step: &S,
        (kinds, variables): (usize, usize),
        cs: &mut CS,
        closed_at: impl FnOnce(&mut CS),
    ) {
        let inputs = self.inputs(step.weight_variables().is_some(), kinds, variables);
        let circuit = Augmented {
            context: &self.context,
            step,
            kind: 0,
            kinds,
            start: &self.weighted.cyclefold,
        };
        let closed = circuit.commit(cs, &inputs, &step.dummy_trace()).unwrap();
        closed_at(cs);
        let alpha = inputs.pp;
        circuit.constrain(cs, &closed, alpha, None).unwrap();
    }

    /// Constraints, and a line for the snapshot.
    fn size<S: StepCircuit<C::F>>(&self, step: &S, sizes: (usize, usize)) -> (usize, String) {
        let mut system = ShapeSystem::default();
        let mut first = 0;
        self.synthesise(step, sizes, &mut system, |cs| first = cs.auxiliary());
        let matrices = system.into_matrices();
        let entries = matrices.a.len() + matrices.b.len() + matrices.c.len();
        let line = format!(
            "{} constraints, W1 {first}, W2 {}, {entries} non-zeros",
            matrices.rows,
            matrices.variables - first
        );
        (matrices.rows, line)
    }

    fn toys(&self, report: &mut String) {
        for kinds in [2, MAX_KINDS] {
            for (name, weights, ends) in [
                ("without weights", false, false),
                ("with weights", true, false),
                ("with weights, ending an inference", true, true),
            ] {
                let toy = Toy::new(weights, ends, &self.context.hash);
                let (rows, line) = self.size(&toy, (kinds, common::VARIABLES));
                assert!(
                    rows <= RECURSION_LIMIT,
                    "{}, {kinds} kinds: {rows}",
                    C::NAME
                );
                writeln!(report, "{}, {kinds} kinds, toy {name}: {line}", C::NAME).unwrap();
            }
        }
    }

    fn cyclefold(report: &mut String) {
        let shape = cyclefold::shape::<C>().unwrap();
        let padded: usize = shape.segments().iter().sum();
        assert_eq!((shape.rows(), padded), (CYCLEFOLD_LIMIT, CYCLEFOLD_LIMIT));
        let (rows, variables) = cyclefold::filled::<C>().unwrap();
        let entries = shape.entries();
        let line = format!(
            "{rows} constraints, {variables} variables, laid out on {padded} each, {entries} \
             non-zeros"
        );
        writeln!(report, "{}, CycleFold: {line}", C::NAME).unwrap();
    }

    /// A dense layer of 8-bit activations and 16-bit weights.
    fn dense(&self, outputs: usize, inputs: usize, variables: usize, report: &mut String) {
        let requantise = Requantise {
            shift: 16,
            low: 0,
            high: 127,
            accumulator_bits: 23 + inputs.ilog2(),
            ties: Ties::Up,
        };
        let layer: Layer = Linear::dense(inputs, outputs, requantise).into();
        let required = required_variables([&layer]);
        assert!(
            required <= variables,
            "{outputs} x {inputs} needs {required}"
        );
        let shape = GraphShape {
            weight_variables: variables,
            ..graph::chain(vec![layer], 8)
        };
        let step = Graph::new(shape, self.context.hash.clone()).unwrap();
        let mut census = Census::new();
        self.synthesise(&step, (2, variables), &mut census, |_| {});
        let rounds = census
            .of(|path| path.starts_with("step/products/round"))
            .rows;
        let merge = census.of(|path| path.starts_with("accumulator/")).rows;
        let claims = rounds + merge;
        assert!(rounds > 0 && merge > 0);
        assert!(claims <= CLAIMS_LIMIT, "{outputs} x {inputs}: {claims}");
        let (_, line) = self.size(&step, (2, variables));
        writeln!(
            report,
            "{}, dense {outputs}x{inputs}, ell {variables}: claims {claims} = rounds {rounds} + \
             accumulator {merge}; step in all {line}",
            C::NAME
        )
        .unwrap();
    }
}

#[test]
fn sizes_are_those_of_the_snapshot() {
    let mut report = String::new();
    let bn254 = Samples::<Bn254>::new();
    let pasta = Samples::<Pasta>::new();
    Samples::<Bn254>::cyclefold(&mut report);
    Samples::<Pasta>::cyclefold(&mut report);
    bn254.toys(&mut report);
    pasta.toys(&mut report);
    // The bias of a layer of 2^20 weights does not fit beside them: 1024 x 1024 needs ell = 21.
    for (outputs, inputs, variables) in [
        (64, 64, 20),
        (256, 256, 20),
        (512, 1024, 20),
        (1024, 1024, 21),
    ] {
        bn254.dense(outputs, inputs, variables, &mut report);
    }
    compare("counts.txt", &report);
}

/// Compares a report with the snapshot of this name, or replaces the snapshot.
fn compare(name: &str, report: &str) {
    print!("{report}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("FOLDNET_UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, report).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == report,
        "sizes changed; if on purpose, run with FOLDNET_UPDATE_SNAPSHOTS=1\nexpected:\n{expected}"
    );
}
