//! Two networks of one architecture, of different depth and weights, under one Groth16 key.

use crate::fixture::*;
use foldnet_compress::evm::{Machine, Parameters, Refusal, calldata, verify_public};
use foldnet_compress::groth16::{ProvingKey, Shape};
use foldnet_compress::mercury::words::{Word, scalar_word};
use halo2curves::bn256::Fr;
use num_bigint::BigUint;
use std::sync::LazyLock;

const CONTEXT: u64 = 7;

/// A proof as it is sent to a contract.
struct Sent {
    words: Vec<Word>,
    bytes: Vec<u8>,
}

struct Proven {
    parameters: [Parameters; 2],
    proofs: [Sent; 2],
}

static PROVEN: LazyLock<Proven> = LazyLock::new(|| {
    let networks = Networks::shared();
    let decider = networks.decider();
    let shape: Shape = decider.shape().unwrap();
    let key = ProvingKey::development(&shape, &mut rng(31)).unwrap();
    let prove = |model| {
        let inferred = networks.infer(model, 32 + model as u64);
        let claimed = inferred.claimed(Fr::from(CONTEXT));
        let proof = decider
            .prove((&key, &shape), inferred.run.clone(), &claimed, &mut rng(34))
            .unwrap();
        let context = [Fr::from(CONTEXT)];
        let words = context.iter().chain(&inferred.elements).map(scalar_word);
        Sent {
            words: words.collect(),
            bytes: proof.to_bytes(),
        }
    };
    let parameters = [0, 1].map(|model| {
        let model = networks.models[model].committed.model;
        decider.parameters(key.verifying_key(), model).unwrap()
    });
    Proven {
        parameters,
        proofs: [prove(0), prove(1)],
    }
});

/// The verdict of the contract's code, which is that of its native twin.
fn verdict(model: usize, words: &[Word], bytes: &[u8]) -> Result<(), Refusal> {
    let parameters = &PROVEN.parameters[model];
    let native = verify_public(parameters, words, bytes);
    assert_eq!(called(model, &calldata(words, bytes)), native);
    native
}

/// The verdict of the contract's code on any bytes.
fn called(model: usize, data: &[u8]) -> Result<(), Refusal> {
    let mut machine = Machine::deploy(&PROVEN.parameters[model]).unwrap();
    machine.call(data).unwrap().verdict
}

/// SECURITY 5 and 11: depth and weights are no part of the circuit, and the model id tells the
/// models apart.
#[test]
fn line_11_two_models_share_a_key_and_are_told_apart() {
    let [shallow, deep] = &PROVEN.proofs;
    assert_eq!(verdict(0, &shallow.words, &shallow.bytes), Ok(()));
    assert_eq!(verdict(1, &deep.words, &deep.bytes), Ok(()));
    let refused = Err(Refusal::ProofInvalid);
    assert_eq!(verdict(1, &shallow.words, &shallow.bytes), refused);
    assert_eq!(verdict(0, &deep.words, &deep.bytes), refused);
    // The statement of one with the proof of the other.
    assert_eq!(verdict(0, &deep.words, &shallow.bytes), refused);
    assert_eq!(verdict(1, &shallow.words, &deep.bytes), refused);
}

/// `word + r`.
fn unreduced(word: &Word) -> Word {
    let modulus = BigUint::from_bytes_be(&scalar_word(&-Fr::from(1))) + 1u32;
    let bytes = (BigUint::from_bytes_be(word) + modulus).to_bytes_be();
    let mut unreduced = [0; 32];
    unreduced[32 - bytes.len()..].copy_from_slice(&bytes);
    unreduced
}

/// SECURITY 20, 30 and 39: another statement, and other encodings of the same.
#[test]
fn line_20_another_statement_or_encoding_is_rejected() {
    let Sent { words, bytes } = &PROVEN.proofs[0];
    let invalid = Err(Refusal::ProofInvalid);
    let altered = |alter: &dyn Fn(&mut Vec<Word>)| {
        let mut words = words.clone();
        alter(&mut words);
        verdict(0, &words, bytes)
    };
    assert_eq!(
        altered(&|w| w[0] = scalar_word(&Fr::from(CONTEXT + 1))),
        invalid
    );
    assert_eq!(altered(&|w| w.swap(1, 2)), invalid);
    assert_eq!(altered(&|w| w[1][31] ^= 1), invalid);
    assert_eq!(altered(&|w| w[2][31] ^= 1), invalid);
    for index in 0..words.len() {
        let refusal = Refusal::StatementOutOfRange {
            index: index as u64,
        };
        assert_eq!(altered(&|w| w[index] = unreduced(&w[index])), Err(refusal));
    }
    let (expected, got) = (words.len() as u64, words.len() as u64 - 1);
    assert_eq!(
        altered(&|w| shorten(w)),
        Err(Refusal::StatementLength { expected, got })
    );
    let got = expected + 1;
    assert_eq!(
        altered(&|w| w.push([0; 32])),
        Err(Refusal::StatementLength { expected, got })
    );
}

/// SECURITY 20 and 23: truncated and longer calldata, and every word of the proof altered.
#[test]
fn line_20_altered_calldata_is_rejected() {
    let Sent { words, bytes } = &PROVEN.proofs[0];
    let expected = bytes.len() as u64;
    for got in [0, expected - 32, expected - 1, expected + 1, expected + 32] {
        let mut bytes = bytes.clone();
        bytes.resize(got as usize, 0);
        let refusal = Refusal::ProofLength { expected, got };
        assert_eq!(verdict(0, words, &bytes), Err(refusal));
    }
    let data = calldata(words, bytes);
    assert_eq!(called(0, &data), Ok(()));
    for length in [0, 3, 4, 100, data.len() - 32, data.len() - 1] {
        let refused = called(0, &data[..length]);
        assert!(refused.is_err(), "{length} of {}", data.len());
    }
    for more in [1, 32] {
        let mut longer = data.clone();
        longer.resize(data.len() + more, 0);
        assert_eq!(
            called(0, &longer),
            Err(Refusal::CalldataLayout),
            "{more} more"
        );
    }
    for word in 0..bytes.len() / 32 {
        let mut bytes = bytes.clone();
        bytes[32 * word + 31] ^= 1;
        let refusal = verify_public(&PROVEN.parameters[0], words, &bytes).unwrap_err();
        let allowed = matches!(
            refusal,
            Refusal::ProofInvalid | Refusal::PointNotOnCurve | Refusal::PairingInputInvalid
        );
        assert!(allowed, "word {word}: {refusal}");
        if word % 8 == 0 {
            assert_eq!(
                called(0, &calldata(words, &bytes)),
                Err(refusal),
                "word {word}"
            );
        }
    }
}
