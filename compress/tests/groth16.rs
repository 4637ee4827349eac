//! Groth16: prove and verify, what a verifier refuses, and how fast it is.

use bellpepper_core::{ConstraintSystem, LinearCombination, SynthesisError};
use ff::{Field, PrimeField};
use foldnet_compress::error::Rejected;
use foldnet_compress::groth16::{
    Assignment, Circuit, Error, Fr, PROOF_BYTES, Proof, ProvingKey, Shape, VerifyingKey,
    decode_inputs, encode_inputs, prove, verify,
};
use halo2curves::bn256::{Fq, Fq2, G2Affine};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;
use std::time::Instant;

/// `y = x^(2^squarings) + x` and `z = x y` for a secret x; y and z are public.
struct Squares {
    x: u64,
    squarings: usize,
    /// Added to the public y, to make the witness wrong.
    error: u64,
}

impl Circuit for Squares {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let mut power = Fr::from(self.x);
        let x = cs.alloc(|| "x", || Ok(power))?;
        let mut last = x;
        for i in 0..self.squarings {
            power = power.square();
            let next = cs.alloc(|| format!("power {i}"), || Ok(power))?;
            cs.enforce(
                || format!("square {i}"),
                |lc| lc + last,
                |lc| lc + last,
                |lc| lc + next,
            );
            last = next;
        }
        let sum = power + Fr::from(self.x + self.error);
        let y = cs.alloc_input(|| "y", || Ok(sum))?;
        let z = cs.alloc_input(|| "z", || Ok(sum * Fr::from(self.x)))?;
        cs.enforce(
            || "sum",
            |lc| lc + last + x,
            |lc| lc + CS::one(),
            |lc| lc + y,
        );
        cs.enforce(
            || "product",
            |lc| lc + x,
            |lc| lc + (Fr::from(3), y),
            |lc| lc + (Fr::from(3), z),
        );
        Ok(())
    }
}

fn squares(x: u64) -> Squares {
    Squares {
        x,
        squarings: 20,
        error: 0,
    }
}

struct Setup {
    shape: Shape,
    key: ProvingKey,
    inputs: Vec<Fr>,
    proof: Proof,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| setup(1));

fn setup(seed: u64) -> Setup {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let shape = Shape::of(&squares(0)).unwrap();
    let key = ProvingKey::development(&shape, &mut rng).unwrap();
    let assignment = Assignment::of(&squares(5)).unwrap();
    let proof = prove(&key, &shape, &assignment, &mut rng).unwrap();
    let inputs = assignment.inputs().to_vec();
    Setup {
        shape,
        key,
        inputs,
        proof,
    }
}

fn key() -> &'static VerifyingKey {
    SETUP.key.verifying_key()
}

const EQUATION: Rejected = Rejected::Check {
    check: "Groth16 pairing equation",
};

#[test]
fn shape_counts_and_reuses_coefficients() {
    let shape = &SETUP.shape;
    assert_eq!(
        (shape.rows(), shape.inputs(), shape.auxiliary()),
        (22, 2, 21)
    );
    assert_eq!(shape.variables(), 24);
    assert_eq!(shape.terms(), 67);
    let other = Shape::of(&Squares {
        squarings: 21,
        ..squares(0)
    });
    assert_ne!(shape.digest(), other.unwrap().digest());
    assert_eq!(shape.digest(), Shape::of(&squares(9)).unwrap().digest());
}

#[test]
fn proofs_verify_and_are_blinded() {
    let Setup {
        shape,
        key,
        inputs,
        proof,
    } = &*SETUP;
    assert_eq!(verify(key.verifying_key(), inputs, proof), Ok(()));
    assert!(key.insecure());
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let assignment = Assignment::of(&squares(5)).unwrap();
    let again = prove(key, shape, &assignment, &mut rng).unwrap();
    assert_eq!(verify(key.verifying_key(), inputs, &again), Ok(()));
    assert!(again.a() != proof.a() && again.b() != proof.b() && again.c() != proof.c());
}

#[test]
fn circuits_of_all_small_sizes_prove() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for squarings in (0..8).chain([13, 59, 60, 61, 124, 125]) {
        let circuit = Squares {
            x: 3,
            squarings,
            error: 0,
        };
        let shape = Shape::of(&circuit).unwrap();
        let key = ProvingKey::development(&shape, &mut rng).unwrap();
        let assignment = Assignment::of(&circuit).unwrap();
        let proof = prove(&key, &shape, &assignment, &mut rng).unwrap();
        assert_eq!(
            verify(key.verifying_key(), assignment.inputs(), &proof),
            Ok(())
        );
    }
}

#[test]
fn debug_output_of_a_witness_shows_no_value() {
    let assignment = Assignment::of(&squares(5)).unwrap();
    assert_eq!(
        format!("{assignment:?}"),
        "Assignment { variables: 24, inputs: 2 }"
    );
}

#[test]
fn wrong_witness_is_refused_before_proving() {
    let wrong = Assignment::of(&Squares {
        error: 1,
        ..squares(5)
    });
    let wrong = wrong.unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let refused = prove(&SETUP.key, &SETUP.shape, &wrong, &mut rng);
    assert!(matches!(refused, Err(Error::Unsatisfied { row: 20 })));
    let refused = SETUP.shape.check(&wrong);
    assert!(matches!(refused, Err(Error::Unsatisfied { row: 20 })));
    let right = Assignment::of(&squares(5)).unwrap();
    assert!(SETUP.shape.check(&right).is_ok());
}

#[test]
fn witness_of_another_circuit_is_refused() {
    let other = Assignment::of(&Squares {
        squarings: 21,
        ..squares(5)
    });
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let refused = prove(&SETUP.key, &SETUP.shape, &other.unwrap(), &mut rng);
    assert!(matches!(
        refused,
        Err(Error::Assignment {
            what: "variables",
            expected: 24,
            got: 25
        })
    ));
}

#[test]
fn key_of_another_circuit_is_refused() {
    let other = Squares {
        squarings: 21,
        ..squares(5)
    };
    let shape = Shape::of(&other).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let refused = prove(
        &SETUP.key,
        &shape,
        &Assignment::of(&other).unwrap(),
        &mut rng,
    );
    assert!(matches!(refused, Err(Error::Circuit { .. })));
}

#[test]
fn wrong_inputs_and_keys_are_rejected() {
    let Setup { inputs, proof, .. } = &*SETUP;
    for i in 0..inputs.len() {
        let mut wrong = inputs.clone();
        wrong[i] += Fr::ONE;
        assert_eq!(verify(key(), &wrong, proof), Err(EQUATION));
    }
    let length = |got| Rejected::Length {
        what: "public inputs",
        expected: 2,
        got,
    };
    assert_eq!(verify(key(), &inputs[..1], proof), Err(length(1)));
    assert_eq!(
        verify(key(), &[inputs[0], inputs[1], Fr::ZERO], proof),
        Err(length(3))
    );
    let other = setup(7);
    assert_eq!(
        verify(other.key.verifying_key(), inputs, proof),
        Err(EQUATION)
    );
}

#[test]
fn every_word_of_a_proof_counts() {
    let bytes = SETUP.proof.to_bytes();
    assert_eq!(Proof::from_bytes(&bytes).as_ref(), Ok(&SETUP.proof));
    for word in 0..8 {
        for bit in 0..8 {
            let mut wrong = bytes;
            wrong[32 * word + 31] ^= 1 << bit;
            let verdict =
                Proof::from_bytes(&wrong).and_then(|proof| verify(key(), &SETUP.inputs, &proof));
            assert!(verdict.is_err(), "word {word}, bit {bit}");
        }
    }
}

#[test]
fn exchanged_points_are_rejected() {
    let bytes = SETUP.proof.to_bytes();
    let mut exchanged = bytes;
    exchanged[..64].copy_from_slice(&bytes[192..]);
    exchanged[192..].copy_from_slice(&bytes[..64]);
    let proof = Proof::from_bytes(&exchanged).unwrap();
    assert_eq!(verify(key(), &SETUP.inputs, &proof), Err(EQUATION));
}

fn rejection(bytes: &[u8]) -> Rejected {
    Proof::from_bytes(bytes).unwrap_err()
}

fn named(check: &'static str) -> Rejected {
    Rejected::Check { check }
}

#[test]
fn infinity_is_rejected() {
    let points = [
        (0..64, "A of the proof is finite"),
        (64..192, "B of the proof is finite"),
        (192..256, "C of the proof is finite"),
    ];
    for (range, check) in points {
        let mut bytes = SETUP.proof.to_bytes();
        bytes[range].fill(0);
        assert_eq!(rejection(&bytes), named(check));
    }
}

#[test]
fn points_off_the_curve_are_rejected() {
    let points = [
        (63, "A of the proof is on the curve"),
        (191, "B of the proof is on the twist"),
        (255, "C of the proof is on the curve"),
    ];
    for (byte, check) in points {
        let mut bytes = SETUP.proof.to_bytes();
        bytes[byte] ^= 1;
        assert_eq!(rejection(&bytes), named(check));
    }
}

/// A point on the twist outside the subgroup.
fn outside_subgroup() -> G2Affine {
    let b = {
        let g = G2Affine::generator();
        g.y.square() - g.x.square() * g.x
    };
    let on_twist = (1u64..)
        .map(|x| Fq2::new(Fq::from(x), Fq::ONE))
        .find_map(|x| {
            let y: Option<Fq2> = (x.square() * x + b).sqrt().into();
            y.map(|y| G2Affine { x, y })
        });
    on_twist.unwrap()
}

fn big_endian(x: &Fq) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(x.to_repr().as_ref());
    bytes.reverse();
    bytes
}

#[test]
fn points_outside_the_subgroup_are_rejected() {
    let point = outside_subgroup();
    let mut bytes = SETUP.proof.to_bytes();
    let words = [point.x.c1(), point.x.c0(), point.y.c1(), point.y.c0()];
    for (i, word) in words.into_iter().enumerate() {
        bytes[64 + 32 * i..96 + 32 * i].copy_from_slice(&big_endian(word));
    }
    assert_eq!(
        rejection(&bytes),
        named("B of the proof is in the subgroup")
    );
}

/// Adds a big-endian number to a big-endian word; the sum must fit.
fn add(word: &mut [u8], number: &[u8; 32]) {
    let mut carry = 0u16;
    for (digit, addend) in word.iter_mut().zip(number).rev() {
        let sum = u16::from(*digit) + u16::from(*addend) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}

fn modulus(minus_one: [u8; 32]) -> [u8; 32] {
    let mut modulus = minus_one;
    modulus[31] += 1;
    modulus
}

#[test]
fn coordinates_plus_modulus_are_rejected() {
    let q = modulus(big_endian(&-Fq::ONE));
    for word in 0..8 {
        let mut bytes = SETUP.proof.to_bytes();
        add(&mut bytes[32 * word..32 * word + 32], &q);
        assert_eq!(rejection(&bytes), named("coordinate of the proof below q"));
    }
}

#[test]
fn inputs_plus_modulus_are_rejected() {
    let bytes = encode_inputs(&SETUP.inputs);
    assert_eq!(decode_inputs(&bytes).as_ref(), Ok(&SETUP.inputs));
    let minus_one: [u8; 32] = encode_inputs(&[-Fr::ONE]).try_into().unwrap();
    for i in 0..SETUP.inputs.len() {
        let mut wrong = bytes.clone();
        add(&mut wrong[32 * i..32 * i + 32], &modulus(minus_one));
        assert_eq!(decode_inputs(&wrong), Err(named("public input below r")));
    }
    assert_eq!(
        decode_inputs(&bytes[..63]),
        Err(Rejected::Length {
            what: "bytes of public inputs",
            expected: 32,
            got: 63
        })
    );
}

#[test]
fn proofs_of_other_lengths_are_rejected() {
    let mut bytes = SETUP.proof.to_bytes().to_vec();
    bytes.push(0);
    for length in [0, 1, PROOF_BYTES - 1, PROOF_BYTES + 1] {
        let expected = Rejected::Length {
            what: "bytes of a Groth16 proof",
            expected: PROOF_BYTES,
            got: length,
        };
        assert_eq!(rejection(&bytes[..length]), expected);
    }
}

proptest! {
    #[test]
    fn decoders_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Proof::from_bytes(&bytes);
        let _ = decode_inputs(&bytes);
        let _ = VerifyingKey::from_bytes(&bytes);
    }

    #[test]
    fn changed_proofs_are_rejected(byte in 0..PROOF_BYTES, value: u8) {
        let mut bytes = SETUP.proof.to_bytes();
        prop_assume!(bytes[byte] != value);
        bytes[byte] = value;
        let verdict = Proof::from_bytes(&bytes)
            .and_then(|proof| verify(key(), &SETUP.inputs, &proof));
        prop_assert!(verdict.is_err());
    }
}

/// A circuit of the given size: four of five variables are bits, each full variable is used in
/// a product of linear combinations of `width` terms.
struct Load {
    rows: usize,
    width: usize,
}

impl Circuit for Load {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let mut value = Fr::from(3);
        let result = cs.alloc_input(|| "first", || Ok(value))?;
        let mut last = result;
        let mut bits = Vec::new();
        for row in 0..self.rows {
            if row % 5 != 4 {
                let bit = cs.alloc(|| "bit", || Ok(Fr::from((row % 2) as u64)))?;
                cs.enforce(|| "bit", |lc| lc + bit, |lc| lc + CS::one() - bit, |lc| lc);
                bits.push((Fr::from((row % 2) as u64), bit));
                continue;
            }
            let recent = &bits[bits.len().saturating_sub(self.width)..];
            let mut sum = LinearCombination::zero() + last;
            let mut total = value;
            for (i, (bit, variable)) in recent.iter().enumerate() {
                let weight = Fr::from(1 << (i % 60));
                sum = sum + (weight, *variable);
                total += weight * bit;
            }
            value *= total;
            let next = cs.alloc(|| "product", || Ok(value))?;
            cs.enforce(|| "product", |lc| lc + last, |_| sum, |lc| lc + next);
            last = next;
        }
        Ok(())
    }
}

/// The largest memory that this process has used, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

/// Processor time that this process has used, in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.split_whitespace().skip(13).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Prints what a circuit of `FOLDNET_GROTH16_ROWS` rows costs (default 2^18 - 2, which fills its
/// domain). Run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let rows = std::env::var("FOLDNET_GROTH16_ROWS").map_or((1 << 18) - 2, |n| n.parse().unwrap());
    let circuit = Load { rows, width: 60 };
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let step = |what: &str, (start, used): (Instant, f64)| {
        let used = processor_time() - used;
        println!(
            "{what}: {:.2?}, processor time {used:.2} s, peak {} MiB",
            start.elapsed(),
            peak()
        );
        (Instant::now(), processor_time())
    };
    let start = (Instant::now(), 0.0);
    let shape = Shape::of(&circuit).unwrap();
    println!("{shape:?}");
    let start = step("shape", start);
    let key = ProvingKey::development(&shape, &mut rng).unwrap();
    let start = step("set-up", start);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    key.save(&path).unwrap();
    drop(key);
    let start = step("write", start);
    let key = ProvingKey::load(&path, &shape).unwrap();
    let start = step("read", start);
    let assignment = Assignment::of(&circuit).unwrap();
    let start = step("witness", start);
    let proof = prove(&key, &shape, &assignment, &mut rng).unwrap();
    let start = step("prove", start);
    verify(key.verifying_key(), assignment.inputs(), &proof).unwrap();
    step("verify", start);
}
