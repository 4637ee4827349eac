//! Making small proofs of a folded run.
//!
//! A `groth16` proof of a run takes ten seconds and keys of minutes: its parts are measured here, a
//! Groth16 proof of a small circuit and an opening; time grows with the constraints and the entries
//! that the ids name. `benches/peers` measures whole proofs.

mod common;
#[path = "common/succinct.rs"]
mod succinct;

use common::{group, rng};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use foldnet_compress::{groth16, mercury};
use succinct::{Folded, Opened, Squared};

fn spartan(criterion: &mut Criterion) {
    let mut group = group(criterion, "spartan");
    let folded = Folded::new(8, 32);
    group.bench_function(folded.model.id(), |bencher| {
        let run = || folded.run.clone();
        bencher.iter_batched(run, |run| folded.spartan(run), BatchSize::PerIteration);
    });
    group.finish();
}

fn groth16(criterion: &mut Criterion) {
    let mut group = group(criterion, "groth16");
    let squared = Squared::new(1 << 15);
    let Squared {
        key,
        shape,
        assignment,
    } = &squared;
    let mut rng = rng(7);
    group.bench_function(format!("{} constraints", shape.rows()), |bencher| {
        bencher.iter(|| groth16::prove(key, shape, assignment, &mut rng).expect("a proof"));
    });
    group.finish();
}

fn opening(criterion: &mut Criterion) {
    let mut group = group(criterion, "opening");
    let opened = Opened::new(15);
    group.bench_function(format!("{} entries", opened.table.len()), |bencher| {
        bencher.iter(|| {
            let (commitment, point) = (&opened.commitment, &opened.point);
            let key = opened.key();
            mercury::open(
                &key,
                &[1; 32],
                commitment,
                &opened.table,
                point,
                opened.value,
            )
            .expect("an opening")
        });
    });
    group.finish();
}

criterion_group!(benches, spartan, groth16, opening);
criterion_main!(benches);
