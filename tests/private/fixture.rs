//! One small network, two models of it, and proofs that show what is asked for.

use foldnet::blinds::WeightBlinds;
use foldnet::decider::groth16::Decider;
use foldnet::decider::spartan::{self, Proof, Shapes};
use foldnet::decider::statement::StatementShape;
use foldnet::error::Error;
use foldnet::model::IntegerGraph;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::opening::Opening;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::proof::{About, SpartanProof};
use foldnet::run::{Job, RunState};
use foldnet::session::{Architecture, Committed, Inference, Session, Timing};
use foldnet::visibility::{Sides, Visibility};
use foldnet_gadgets::cycle::Bn254;
use foldnet_layers::graph::Graph;
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Width of the network.
pub const WIDTH: usize = 12;

/// The input that the network does not read: it makes two inputs of one output.
pub const IGNORED: usize = 5;

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub const INPUT: Sides = Sides {
    input: Visibility::Private,
    output: Visibility::Public,
};
pub const OUTPUT: Sides = Sides {
    input: Visibility::Public,
    output: Visibility::Private,
};
pub const BOTH: Sides = Sides {
    input: Visibility::Private,
    output: Visibility::Private,
};
pub const ALL: [Sides; 4] = [Sides::PUBLIC, INPUT, OUTPUT, BOTH];

/// A network of three steps and two kinds, as a public and as a private model.
pub struct Fixture {
    pub program: Program,
    pub session: Session<Bn254>,
    pub shapes: Shapes<Bn254>,
    pub public: Committed<Bn254>,
    pub private: Committed<Bn254>,
}

/// A finished run.
pub struct Run {
    pub state: RunState<Bn254>,
    pub inferences: Vec<Inference>,
    pub openings: Vec<Opening>,
    /// The live tensors at every cut.
    pub live: Vec<Vec<i64>>,
}

/// A `spartan` proof with everything that belongs to it.
pub struct Proven {
    pub sides: Sides,
    pub model: Fr,
    pub inferences: Vec<Inference>,
    pub openings: Vec<Opening>,
    /// The live tensors at every cut.
    pub live: Vec<Vec<i64>>,
    pub proof: Proof<Bn254>,
}

/// Three layers, of which the first does not read [`IGNORED`].
pub fn network() -> IntegerGraph {
    let mut network = random::network(3, WIDTH, 5).unwrap();
    let (weights, _) = network.nodes[0].weights.as_mut().unwrap();
    weights.column_mut(IGNORED).fill(0);
    network
}

impl Fixture {
    pub fn shared() -> &'static Fixture {
        static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::new);
        &FIXTURE
    }

    fn new() -> Self {
        let network = network();
        // One layer a step: the last one is a kind of its own.
        let options = PlanOptions {
            max_weight_variables: 9,
            ..PlanOptions::default()
        };
        let program = Program::new("test", &network, &options).unwrap();
        let outline = program.outline();
        assert_eq!((outline.steps.len(), outline.kinds.len()), (3, 2));
        let session = Session::new(&Architecture::from(outline), None, &mut Silent).unwrap();
        let blinds = WeightBlinds::draw(3, &mut rng(1));
        Fixture {
            shapes: session.shapes().unwrap(),
            public: session.commit(&program, &mut Silent).unwrap(),
            private: session.commit_with(&program, &blinds, &mut Silent).unwrap(),
            program,
            session,
        }
    }

    pub fn committed(&self, model: Visibility) -> &Committed<Bn254> {
        match model {
            Visibility::Public => &self.public,
            Visibility::Private => &self.private,
        }
    }

    /// Folds inputs into a run that shows what is asked for.
    pub fn run(&self, sides: Sides, model: Visibility, inputs: &[Vec<i64>], seed: u64) -> Run {
        let committed = self.committed(model);
        let mut rng = rng(seed);
        let (session, id) = (&self.session, committed.model);
        let mut state = RunState::begin_hiding(session, id, inputs, sides, &mut rng).unwrap();
        let job = Job {
            session,
            program: &self.program,
            committed,
            inputs,
        };
        let timing = &mut Timing::default();
        let mut live = Vec::new();
        let mut watch = |state: &RunState<Bn254>| live.extend(state.live.iter().cloned());
        job.fold(&mut state, timing, &mut Silent, &mut watch, &mut rng)
            .unwrap();
        state.check(&job).unwrap();
        Run {
            inferences: state.inferences(session, inputs).unwrap(),
            openings: state.openings(inputs).unwrap(),
            state,
            live,
        }
    }

    /// A `spartan` proof.
    pub fn prove(&self, sides: Sides, model: Visibility, inputs: &[Vec<i64>], seed: u64) -> Proven {
        let run = self.run(sides, model, inputs, seed);
        let id = self.committed(model).model;
        let statement = self.session.statement_showing(sides, id, &run.inferences);
        let recursion = run.state.recursion;
        let (params, shapes) = (self.session.params(), &self.shapes);
        let rng = &mut rng(seed + 1000);
        let proof = spartan::prove(params, shapes, recursion, &statement.unwrap(), rng).unwrap();
        Proven {
            sides,
            model: id,
            inferences: run.inferences,
            openings: run.openings,
            live: run.live,
            proof,
        }
    }

    /// The verdict on a proof by a verifier who asks for `sides`.
    pub fn verify(
        &self,
        sides: Sides,
        (model, inferences): (Fr, &[Inference]),
        proof: &Proof<Bn254>,
    ) -> Result<(), Error> {
        let statement = self.session.statement_showing(sides, model, inferences)?;
        spartan::verify(self.session.params(), &self.shapes, &statement, proof)?;
        Ok(())
    }

    /// The verdict on a proof as it was made.
    pub fn accepts(&self, proven: &Proven) -> Result<(), Error> {
        let claimed = (proven.model, proven.inferences.as_slice());
        self.verify(proven.sides, claimed, &proven.proof)
    }

    pub fn decider(&self, sides: Sides) -> Decider<'_, Graph<Fr>> {
        Decider {
            params: self.session.params(),
            shapes: &self.shapes,
            statement: StatementShape::new(self.session.architecture(), 1).hiding(sides),
        }
    }

    /// The file of a proof.
    pub fn file(&self, proven: &Proven) -> SpartanProof {
        SpartanProof {
            about: About {
                architecture: self.session.architecture().clone(),
                inferences: proven.inferences.clone(),
            },
            proof: proven.proof.clone(),
        }
    }
}

/// A random input.
pub fn input(seed: u64) -> Vec<i64> {
    random::input(WIDTH, &mut rng(seed))
}

/// An input that the network maps to the same output.
pub fn sibling(input: &[i64]) -> Vec<i64> {
    let mut other = input.to_vec();
    other[IGNORED] = if other[IGNORED] == 77 { -78 } else { 77 };
    other
}

/// The message of a rejection.
pub fn rejection<T>(result: Result<T, Error>) -> String {
    let error = result.map(|_| ()).expect_err("a rejection");
    assert!(error.is_rejection(), "no verdict: {error}");
    error.to_string()
}
