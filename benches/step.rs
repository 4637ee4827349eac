//! Folding steps of a deep network: what one more step costs, set-up excluded.
//!
//! Divide by the steps that the id names for the time of one step. Compare two runs with
//! `--save-baseline` and `--baseline`.

mod common;

use common::{Model, group, rng};
use criterion::{Criterion, criterion_group, criterion_main};
use foldnet::fold::prover::Start;

fn fold(criterion: &mut Criterion) {
    let mut group = group(criterion, "fold");
    for (depth, width) in [(90, 64), (180, 64)] {
        let model = Model::new(depth, width);
        let mut rng = rng(3);
        group.bench_function(model.id(), |bencher| {
            bencher.iter(|| model.fold(Start::Public, &mut rng));
        });
    }
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
