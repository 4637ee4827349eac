//! Verifying proofs of every kind.
//!
//! Of a `groth16` proof its two parts: the Groth16 proof itself, whose three public inputs take the
//! same time whatever the circuit, and the opening, which depends on the variables only.

mod common;
#[path = "common/succinct.rs"]
mod succinct;

use common::{Model, group, rng};
use criterion::{Criterion, criterion_group, criterion_main};
use foldnet::decider::spartan::verify;
use foldnet::fold::prover::Start;
use foldnet_compress::{groth16, mercury};
use succinct::{Folded, Opened, Squared};

fn folded(criterion: &mut Criterion) {
    let mut group = group(criterion, "verify folded");
    let model = Model::new(90, 64);
    let (run, inferences) = model.fold(Start::Public, &mut rng(3));
    group.bench_function(model.id(), |bencher| {
        let id = model.committed.model;
        bencher.iter(|| {
            model
                .session
                .verify(&run, id, &inferences)
                .expect("accepted")
        });
    });
    group.finish();
}

fn spartan(criterion: &mut Criterion) {
    let mut group = group(criterion, "verify spartan");
    let folded = Folded::new(8, 32);
    let proof = folded.spartan(folded.run.clone());
    group.bench_function(folded.model.id(), |bencher| {
        let params = folded.model.session.params();
        bencher
            .iter(|| verify(params, &folded.shapes, &folded.statement, &proof).expect("accepted"));
    });
    group.finish();
}

fn groth16(criterion: &mut Criterion) {
    let mut group = group(criterion, "verify groth16");
    let squared = Squared::new(1 << 8);
    let (key, inputs) = (squared.key.verifying_key(), squared.assignment.inputs());
    let proof = groth16::prove(
        &squared.key,
        &squared.shape,
        &squared.assignment,
        &mut rng(7),
    )
    .expect("a proof");
    group.bench_function(format!("{} public inputs", inputs.len()), |bencher| {
        bencher.iter(|| groth16::verify(key, inputs, &proof).expect("accepted"));
    });
    let opened = Opened::new(15);
    let key = opened.key();
    let (commitment, point, value) = (&opened.commitment, &opened.point, opened.value);
    let opening =
        mercury::open(&key, &[1; 32], commitment, &opened.table, point, value).expect("an opening");
    group.bench_function(format!("opening of {} variables", point.len()), |bencher| {
        bencher.iter(|| {
            opening
                .verify(&key.tau_h, &[1; 32], commitment, point, value)
                .expect("accepted");
        });
    });
    group.finish();
}

criterion_group!(benches, folded, spartan, groth16);
criterion_main!(benches);
