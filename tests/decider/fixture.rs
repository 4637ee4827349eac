//! Honest runs and proofs that the tests of this binary share.

use crate::common::{Toy, ToyStep, toy_params_of, toy_program, toy_run};
use ff::Field;
use foldnet::decider::groth16::{Claimed, Decider};
use foldnet::decider::opening::FinalOpening;
use foldnet::decider::spartan::{Proof, Shapes, prove, verify};
use foldnet::decider::statement::StatementShape;
use foldnet::fold::params::Params;
use foldnet::fold::prover::{Recursion, Start};
use foldnet::fold::verifier::Statement;
use foldnet::model::network::IntegerGraph;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Committed, Session};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_layers::graph::Graph;
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

pub use crate::common::{rehash, shorten};

pub type ToyParams<C> = Params<C, Toy<<C as Cycle>::F>>;

/// Kind 0 has weights; kind 1 has none and ends an inference.
pub const KINDS: [(bool, bool); 2] = [(true, false), (false, true)];
/// The program: kinds and weights.
pub const PROGRAM: [(usize, &[i64]); 3] = [(0, &[5, -7]), (0, &[2, 1, 1]), (1, &[])];
pub const INPUTS: [i64; 2] = [3, 50];

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Parameters, and an honest run of two inferences with its proof.
pub struct Fixture<C: FinalOpening> {
    pub params: ToyParams<C>,
    pub shapes: Shapes<C>,
    pub program: Vec<ToyStep<C>>,
    pub run: Recursion<C>,
    pub statement: Statement<C::F>,
    pub proof: Proof<C>,
}

/// The fixtures of both cycles.
pub trait HasFixture: FinalOpening {
    /// How the error about a false last opening begins.
    const OPENING: &'static str;

    fn fixture() -> &'static Fixture<Self>;
}

impl HasFixture for Bn254 {
    const OPENING: &'static str = "the proof is rejected: the pairing equation of the opening";

    fn fixture() -> &'static Fixture<Self> {
        static FIXTURE: LazyLock<Fixture<Bn254>> = LazyLock::new(Fixture::new);
        &FIXTURE
    }
}

impl HasFixture for Pasta {
    const OPENING: &'static str = "the proof is rejected: the inner product argument";

    fn fixture() -> &'static Fixture<Self> {
        static FIXTURE: LazyLock<Fixture<Pasta>> = LazyLock::new(Fixture::new);
        &FIXTURE
    }
}

impl<C: FinalOpening> Fixture<C> {
    fn new() -> Self {
        let params = toy_params_of(&KINDS, b"toy decider");
        let shapes = Shapes::new(&params).unwrap();
        let program = toy_program(&params, &PROGRAM);
        let (run, statement) = toy_run(&params, &program, &INPUTS, Start::Masked);
        let proof = prove(&params, &shapes, run.clone(), &statement, &mut rng(1)).unwrap();
        Fixture {
            params,
            shapes,
            program,
            run,
            statement,
            proof,
        }
    }

    /// The verdict on a proof: the error's message, or `accepted`.
    pub fn verdict(&self, statement: &Statement<C::F>, proof: &Proof<C>) -> String {
        let result = verify(&self.params, &self.shapes, statement, proof);
        result.map_or_else(
            |error| {
                assert!(error.is_rejection(), "{error}");
                error.to_string()
            },
            |()| "accepted".into(),
        )
    }
}

/// A network of the shared architecture with its commitments.
pub struct Model {
    pub program: Program,
    pub committed: Committed<Bn254>,
}

/// One architecture and two models of it, of different depth and weights.
pub struct Networks {
    pub session: Session<Bn254>,
    pub shapes: Shapes<Bn254>,
    pub models: [Model; 2],
}

/// Width of both networks.
pub const WIDTH: usize = 12;

/// A run of a model with everything that is claimed about it.
pub struct Inferred {
    pub run: Recursion<Bn254>,
    pub digests: Statement<Fr>,
    pub elements: Vec<Fr>,
}

impl Networks {
    pub fn shared() -> &'static Networks {
        static NETWORKS: LazyLock<Networks> = LazyLock::new(Networks::new);
        &NETWORKS
    }

    fn new() -> Self {
        let shallow = random::network(3, WIDTH, 5).unwrap();
        let programs = [shallow.clone(), deepened(shallow)].map(|network| {
            // One layer a step: the last one is a kind of its own.
            let options = PlanOptions {
                max_weight_variables: 9,
                ..PlanOptions::default()
            };
            Program::new("test", &network, &options).unwrap()
        });
        let [shallow, deep] = programs.each_ref().map(Program::outline);
        assert_eq!(shallow.kinds, deep.kinds);
        assert_eq!([shallow.steps.len(), deep.steps.len()], [3, 5]);
        let session = Session::new(&Architecture::from(shallow), None, &mut Silent).unwrap();
        let shapes = session.shapes().unwrap();
        let models = programs.map(|program| Model {
            committed: session.commit(&program, &mut Silent).unwrap(),
            program,
        });
        assert_ne!(models[0].committed.model, models[1].committed.model);
        Networks {
            session,
            shapes,
            models,
        }
    }

    pub fn decider(&self) -> Decider<'_, Graph<Fr>> {
        Decider {
            params: self.session.params(),
            shapes: &self.shapes,
            statement: StatementShape::new(self.session.architecture(), 1),
        }
    }

    /// Runs a model on a random input.
    pub fn infer(&self, model: usize, seed: u64) -> Inferred {
        let mut rng = rng(seed);
        let inputs = [random::input(WIDTH, &mut rng)];
        let Model { program, committed } = &self.models[model];
        let (run, inferences, _) = self
            .session
            .prove(
                program,
                committed,
                (&inputs, Start::Masked),
                &mut Silent,
                &mut rng,
            )
            .unwrap();
        let digests = self
            .session
            .statement(committed.model, &inferences)
            .unwrap();
        let elements = self.decider().statement.pack::<Fr>(&inferences).unwrap();
        Inferred {
            run,
            digests,
            elements,
        }
    }
}

/// The same layers and two more, the inner ones in another order and with exchanged rows: other
/// weights, of the same size and with the same bounds.
fn deepened(mut network: IntegerGraph) -> IntegerGraph {
    let inner: Vec<_> = network.nodes.drain(..2).collect();
    let mirrored = inner.iter().rev().cloned().map(|mut node| {
        let (matrix, bias) = node.weights.as_mut().unwrap();
        matrix.invert_axis(ndarray::Axis(0));
        bias.invert_axis(ndarray::Axis(0));
        node
    });
    let inner: Vec<_> = mirrored.chain(inner.iter().cloned()).collect();
    network.nodes.splice(..0, inner);
    for (i, node) in network.nodes.iter_mut().enumerate() {
        node.name = format!("layer {i}");
        node.operands = vec![i];
    }
    network.output = network.nodes.len();
    network
}

impl Inferred {
    pub fn claimed(&self, context: Fr) -> Claimed<'_> {
        Claimed {
            digests: &self.digests,
            elements: &self.elements,
            context,
        }
    }
}

/// Adds one.
pub fn bump<F: Field>(value: &mut F) {
    *value += F::ONE;
}
