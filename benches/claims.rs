//! Time per weight of what a step does with its weights: `combine_rows` for the matrix product,
//! the merge of its claims, `accumulate` for the next accumulator.
//!
//! The table holds a matrix of 1024 by 1024 weights, or one of 1000 by 1000 in the same block, and
//! a bias behind it when `ell` leaves room for it. Divide by the number of weights that the name
//! gives; set `RAYON_NUM_THREADS=1` for one core.

mod common;

use common::vector;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ff::Field;
use foldnet_gadgets::claims::{BlockClaim, MergeInput, MergeProver, RunningClaim, StepClaims};
use foldnet_gadgets::small;
use foldnet_gadgets::step::WeightTable;
use foldnet_gadgets::sumcheck::RoundProver;
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::hint::black_box;

/// Columns of the matrix as packed: a power of two.
const STRIDE: usize = 1024;

struct Setup {
    table: WeightTable,
    accumulator: Vec<Fr>,
    running: RunningClaim<Fr>,
    claims: StepClaims<Fr>,
}

/// A matrix of `size` by `size` weights of `bits` bits in a table of `ell` variables.
fn setup(ell: usize, size: usize, bits: u32) -> Setup {
    let mut rng = ChaCha20Rng::seed_from_u64(ell as u64);
    let mut weight = || (rng.next_u64() as i64) >> (64 - bits);
    let mut entries = vec![0i64; STRIDE * size];
    for row in entries.chunks_mut(STRIDE) {
        row[..size].fill_with(&mut weight);
    }
    let block = |slot: &[bool], columns| BlockClaim {
        slot: slot.to_vec(),
        rows: 10,
        columns,
        value: Fr::ZERO,
    };
    let mut claims = vec![block(&vec![false; ell - 20], 10)];
    if ell > 20 {
        entries.resize(STRIDE * STRIDE, 0);
        entries.extend((0..size).map(|_| weight()));
        let mut slot = vec![false; ell - 10];
        slot[ell - 21] = true;
        claims.push(block(&slot, 0));
    }
    Setup {
        table: WeightTable::new(entries, ell).expect("the matrix fits"),
        accumulator: vector(&mut rng, 1 << ell),
        running: RunningClaim {
            point: vector(&mut rng, ell),
            value: Fr::ZERO,
        },
        claims: StepClaims {
            row_point: vector(&mut rng, 10),
            column_point: vector(&mut rng, 10),
            claims,
        },
    }
}

fn merge(setup: &Setup) -> Option<(Fr, Fr)> {
    let input = MergeInput {
        accumulator: &setup.accumulator,
        weights: &setup.table,
    };
    let g = setup.running.point[0];
    let mut prover = MergeProver::new(input, &setup.running, &setup.claims, g).ok()?;
    for challenge in setup.running.point.iter().rev() {
        black_box(prover.message(Fr::ZERO));
        prover.bind(*challenge);
    }
    prover.evaluations()
}

fn claims(c: &mut Criterion) {
    let rng = &mut ChaCha20Rng::seed_from_u64(0);
    let eq = vector(rng, STRIDE);
    for (ell, size, bits) in [(20, 1024, 16), (20, 1000, 16), (21, 1024, 24)] {
        let mut setup = setup(ell, size, bits);
        let mut group = common::group(c, &format!("ell {ell}, {size} x {size}, {bits} bits"));
        group.throughput(Throughput::Elements((size * size) as u64));
        group.bench_function("combine rows", |b| {
            b.iter(|| small::combine_rows(setup.table.entries(), STRIDE, &eq));
        });
        group.bench_function("merge", |b| b.iter(|| merge(&setup)));
        group.bench_function("accumulate", |b| {
            b.iter(|| small::accumulate(&mut setup.accumulator, eq[0], setup.table.entries()));
        });
        group.bench_function("evaluate", |b| {
            b.iter(|| small::evaluate(setup.table.entries(), &setup.running.point));
        });
    }
}

criterion_group!(benches, claims);
criterion_main!(benches);
