//! The parts that steps are made of: hashes, lookups, sum-checks, sums of points, elements of the
//! other field.
//!
//! Ids name what drives the cost, so that one divides by it; circuits only give their witness here, as
//! while folding. Set `RAYON_NUM_THREADS=1` for one core.

mod common;

use bellpepper_core::ConstraintSystem;
use common::{group, rng, vector};
use criterion::{Criterion, criterion_group, criterion_main};
use ff::Field;
use foldnet::key::development_powers;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::cycle::{Bn254, Cycle, endomorphism};
use foldnet_gadgets::eisenstein::{EisensteinParams, FoldWires, Form};
use foldnet_gadgets::hash::{HashConstants, Tag, hash, hash_circuit};
use foldnet_gadgets::msm::Bases;
use foldnet_gadgets::point::multiply_add_native;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::sumcheck::{eq_table, evaluate};
use foldnet_gadgets::system::WitnessSystem;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::WireSystem;
use halo2curves::bn256::{Fq, Fr};
use rand_core::RngCore;

const TAG: Tag = Tag::new("bench");

/// Poseidon: one call of the narrow permutation, and ten of the wide one.
fn hashes(criterion: &mut Criterion) {
    let constants = HashConstants::<Fr>::default();
    let mut group = group(criterion, "hash");
    for length in [5, 239] {
        let elements = vector(&mut rng(1), length);
        group.bench_function(format!("{length} elements"), |bencher| {
            bencher.iter(|| hash(&constants, TAG, &elements));
        });
        group.bench_function(format!("{length} elements, circuit"), |bencher| {
            bencher.iter(|| hash_witness(&constants, &elements));
        });
    }
    group.finish();
}

fn hash_witness(constants: &HashConstants<Fr>, elements: &[Fr]) -> Fr {
    let mut cs = WitnessSystem::<Fr>::default();
    let wires: Vec<_> = elements
        .iter()
        .map(|value| cs.wire(|| "element", *value).expect("a wire"))
        .collect();
    let digest = hash_circuit(&mut cs, constants, TAG, &wires);
    digest.expect("a hash").value()
}

/// The range table: bytes that are allocated, counted and looked up.
fn lookups(criterion: &mut Criterion) {
    let constants = HashConstants::<Fr>::default();
    let mut bytes = vec![0; 8192];
    rng(2).fill_bytes(&mut bytes);
    let mut group = group(criterion, "lookup");
    group.bench_function(format!("{} bytes, circuit", bytes.len()), |bencher| {
        bencher.iter(|| lookup_witness(&constants, &bytes));
    });
    group.finish();
}

fn lookup_witness(constants: &HashConstants<Fr>, bytes: &[u8]) -> WitnessSystem<Fr> {
    let mut cs = WitnessSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    segment
        .alloc_ranged("byte", bytes, bytes.len())
        .expect("bytes");
    let closed = segment.close().expect("multiplicities");
    let mut transcript = TranscriptCircuit::new(constants, TAG);
    let mut second = cs.namespace(|| "second segment");
    closed
        .constrain(&mut second, &mut transcript)
        .expect("lookups");
    drop(second);
    cs
}

/// Tables of multilinear polynomials.
fn sumchecks(criterion: &mut Criterion) {
    let mut group = group(criterion, "sum-check");
    let point = vector(&mut rng(3), 16);
    let table = vector(&mut rng(4), 1 << 16);
    group.bench_function("eq table of 2^16", |bencher| {
        bencher.iter(|| eq_table(&point));
    });
    group.bench_function("evaluate 2^16", |bencher| {
        bencher.iter(|| evaluate(&table, &point));
    });
    group.finish();
}

/// Commitments: scalars of full size, as in cross terms, and bytes, as in witnesses.
fn sums(criterion: &mut Criterion) {
    let key = development_powers(1 << 15).expect("a key");
    let bases = Bases::new(key.bases());
    let scalars = vector(&mut rng(5), bases.len());
    let mut random = rng(6);
    let bytes: Vec<i64> = scalars
        .iter()
        .map(|_| (random.next_u32() >> 24).into())
        .collect();
    let mut group = group(criterion, "sum of 2^15 points");
    group.bench_function("full-size scalars", |bencher| {
        bencher.iter(|| bases.multiply(&scalars));
    });
    group.bench_function("bytes", |bencher| {
        bencher.iter(|| bases.multiply_integers(&bytes));
    });
    group.finish();
}

/// The other field inside the step circuit, and the points of the CycleFold circuit.
fn other_field(criterion: &mut Criterion) {
    let params = EisensteinParams::<Fr, Fq>::new().expect("parameters");
    let mut random = rng(7);
    let [x, y] = [(); 2].map(|()| Fq::random(&mut random));
    let challenge = Challenge::new(random.next_u64(), random.next_u64());
    let mut group = group(criterion, "other field");
    group.bench_function("fold of an element, circuit", |bencher| {
        bencher.iter(|| {
            let mut cs = WitnessSystem::<Fr>::default();
            let mut segment = FirstSegment::open(&mut cs);
            let fresh = (&y, Form::Short);
            FoldWires::alloc(&mut segment, &params, "x", &x, fresh, challenge).expect("a fold")
        });
    });
    let (beta, _) = endomorphism::<<Bn254 as Cycle>::Primary>();
    let key = development_powers(4).expect("a key");
    let [p, q] = [&key.bases()[2], &key.bases()[3]].map(|point| (point.x, point.y));
    group.bench_function("multiply and add a point", |bencher| {
        bencher.iter(|| multiply_add_native(p, q, challenge, beta).expect("other abscissas"));
    });
    group.finish();
}

criterion_group!(benches, hashes, lookups, sumchecks, sums, other_field);
criterion_main!(benches);
