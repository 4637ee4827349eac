//! The engine folds a toy program on both cycles, and every verifier's check fires.

mod common;

use common::{toy_params, toy_program, toy_run};
use foldnet::fold::prover::Start;
use foldnet::fold::verifier::verify;
use foldnet::key::source::KeySource;
use foldnet_gadgets::cycle::{Bn254, Pasta};

const WEIGHTS: [&[i64]; 3] = [&[5, -7, 9], &[-2, 1, 1, 1, 1, 1, 1, 8], &[100]];

fn folds_on<C: KeySource>(mode: Start) {
    let params = toy_params::<C>();
    println!(
        "constraints {:?}, cyclefold {:?}",
        params.constraints(),
        params.cyclefold_size()
    );
    let program = toy_program(
        &params,
        &[(1, WEIGHTS[0]), (0, &[]), (1, WEIGHTS[1]), (2, WEIGHTS[2])],
    );
    let (run, statement) = toy_run(&params, &program, &[3, 50], mode);
    verify(&params, &run, &statement).unwrap();
}

#[test]
fn folds_on_bn254() {
    folds_on::<Bn254>(Start::Public);
}

#[test]
fn folds_on_pasta() {
    folds_on::<Pasta>(Start::Public);
}

#[test]
fn folds_from_masked_instances() {
    folds_on::<Bn254>(Start::Masked);
}
