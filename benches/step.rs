//! Folding steps of a deep network: what one more step costs, set-up excluded.
//!
//! The id names the layers of the network; divide by the steps that the example `deep_network`
//! prints for the time of one step. Compare two runs with `--save-baseline` and `--baseline`.

use criterion::{Criterion, criterion_group, criterion_main};
use foldnet::fold::prover::Start;
use foldnet::model::plan::PlanOptions;
use foldnet::model::random;
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    group.sample_size(10);
    for (depth, width) in [(30, 64), (90, 64)] {
        let network = random::network(depth, width, 7).expect("a valid size");
        let program = Program::new("bench", &network, &PlanOptions::default())
            .expect("a network with a plan");
        let session =
            Session::<Bn254>::new(&Architecture::from(program.outline()), None, &mut Silent)
                .expect("parameters");
        let committed = session.commit(&program, &mut Silent).expect("commitments");
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let input = [random::input(width, &mut rng)];
        group.bench_function(format!("{depth} layers x {width}"), |bencher| {
            bencher.iter(|| {
                session
                    .prove(
                        &program,
                        &committed,
                        (&input, Start::Public),
                        &mut Silent,
                        &mut rng,
                    )
                    .expect("a proof")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
