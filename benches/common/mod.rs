//! What the benchmarks share: how long they run, networks with parameters, and random values.
#![allow(dead_code)] // Each benchmark uses a part.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use ff::Field;
use foldnet::fold::prover::{Recursion, Start};
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Committed, Inference, Session};
use foldnet_gadgets::cycle::Bn254;
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Duration;

/// A group of ten samples and about two seconds for each benchmark, or ten runs of a slow one.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500));
    group
}

/// A generator that gives the same values in every run.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Random field elements.
pub fn vector(rng: &mut ChaCha20Rng, length: usize) -> Vec<Fr> {
    (0..length).map(|_| Fr::random(&mut *rng)).collect()
}

/// A random network of equal layers with its parameters and commitments.
pub struct Model {
    pub program: Program,
    pub session: Session<Bn254>,
    pub committed: Committed<Bn254>,
    input: Vec<i64>,
}

impl Model {
    /// A network of `depth` layers of `width` inputs and outputs.
    pub fn new(depth: usize, width: usize) -> Self {
        let network = random::network(depth, width, 7).expect("a valid size");
        let program = Program::new("bench", &network, &PlanOptions::default())
            .expect("a network with a plan");
        let architecture = Architecture::from(program.outline());
        let session = Session::new(&architecture, None, &mut Silent).expect("parameters");
        let committed = session.commit(&program, &mut Silent).expect("commitments");
        let input = random::input(width, &mut rng(3));
        Model {
            program,
            session,
            committed,
            input,
        }
    }

    /// Folds all steps.
    pub fn fold(&self, start: Start, rng: &mut ChaCha20Rng) -> (Recursion<Bn254>, Vec<Inference>) {
        let inputs = (std::slice::from_ref(&self.input), start);
        let made = self
            .session
            .prove(&self.program, &self.committed, inputs, &mut Silent, rng);
        let (run, inferences, _) = made.expect("a run");
        (run, inferences)
    }

    /// What identifies the network and its steps in the name of a benchmark.
    pub fn id(&self) -> String {
        let outline = self.program.outline();
        let layers: usize = outline.steps.iter().map(|step| step.layers.len()).sum();
        let (steps, width) = (outline.steps.len(), outline.input.length);
        format!("{layers} layers x {width}, {steps} steps")
    }
}
