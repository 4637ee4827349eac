//! Every decoder and verifier of outside data on damaged bytes: the targets of `tests/fuzz`, with
//! random changes of honest bytes instead of a fuzzer.
//!
//! With `FOLDNET_HOSTILE_SECONDS` a target runs that long instead of for a fixed number of cases.

#[path = "fuzz/src/targets.rs"]
mod targets;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::time::{Duration, Instant};
use targets::TARGETS;

/// Changes tried of every honest input.
const CASES: usize = 300;

/// A position below `end`, more often near one of both ends.
fn position(end: usize, rng: &mut ChaCha20Rng) -> usize {
    let end = end.max(1);
    let at = rng.next_u64() as usize;
    match rng.next_u32() % 4 {
        0 => at % end.min(128),
        1 => end - 1 - at % end.min(128),
        _ => at % end,
    }
}

/// Honest bytes with one to three changes.
fn changed(honest: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    for _ in 0..=rng.next_u32() % 3 {
        change(&mut bytes, rng);
    }
    bytes
}

/// Flips a bit, writes an extreme byte or number, cuts, extends, or copies one part over another.
fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    const EXTREMES: [u64; 6] = [0, 1, 1 << 20, u32::MAX as u64, i64::MAX as u64, u64::MAX];
    let at = position(bytes.len(), rng);
    let word = EXTREMES[rng.next_u32() as usize % EXTREMES.len()].to_le_bytes();
    match rng.next_u32() % 8 {
        0..=2 => overwrite(bytes, at, |byte| *byte ^= word[0].max(1), 1),
        3 => overwrite(bytes, at, |byte| *byte = 0xff, 1),
        4 => {
            let mut word = word.into_iter();
            overwrite(bytes, at, |byte| *byte = word.next().unwrap_or(0), 8);
        }
        5 => bytes.truncate(at),
        6 => bytes.extend_from_slice(&word[..1 + at % 8]),
        _ => {
            let from = position(bytes.len(), rng);
            let part: Vec<u8> = bytes.iter().skip(from).take(1 + at % 64).copied().collect();
            let mut copy = part.iter();
            let length = part.len();
            overwrite(
                bytes,
                at,
                |byte| *byte = *copy.next().unwrap_or(byte),
                length,
            );
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, mut with: impl FnMut(&mut u8), length: usize) {
    bytes.iter_mut().skip(at).take(length).for_each(&mut with);
}

/// Runs a target on its honest inputs and on `cases` changes of each.
fn attack(name: &str, cases: usize) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target");
    let honest = (target.seeds)();
    honest.iter().for_each(|bytes| (target.run)(bytes));
    (target.run)(&[]);
    let seconds = std::env::var("FOLDNET_HOSTILE_SECONDS");
    let seconds = seconds.map(|seconds| Duration::from_secs(seconds.parse().expect("a number")));
    let clock = Instant::now();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut done = 0;
    while seconds
        .as_ref()
        .map_or(done < cases, |limit| clock.elapsed() < *limit)
    {
        for bytes in &honest {
            (target.run)(&changed(bytes, &mut rng));
        }
        done += 1;
    }
    println!("{name}: {} cases", done * honest.len());
}

#[test]
fn proof_files() {
    attack("proof_file", 40);
}

#[test]
fn checkpoints() {
    attack("checkpoint", 8);
}

#[test]
fn private_files() {
    attack("private_file", CASES);
}

#[test]
fn private_statements() {
    attack("private_statement", 40);
}

#[test]
fn openings() {
    attack("opening", CASES);
}

#[test]
fn contract_proofs() {
    attack("contract_proof", CASES);
}

#[test]
fn groth16_proofs() {
    attack("groth16_proof", CASES);
}

#[test]
fn verifying_keys() {
    attack("verifying_key", CASES);
}

#[test]
fn proving_keys() {
    attack("proving_key", CASES);
}

#[test]
fn circuit_files() {
    attack("circuit_file", CASES);
}

#[test]
fn ceremony_keys() {
    attack("zkey", CASES);
}

#[test]
fn powers_of_tau() {
    attack("ptau", CASES);
}

#[test]
fn key_files() {
    attack("key_file", CASES);
}

#[test]
fn spartan_proofs() {
    attack("spartan", CASES);
}
