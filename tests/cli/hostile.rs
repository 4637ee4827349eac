//! Proof files made by an adversary: no panic, no acceptance, no work beyond the file's own size.

use crate::{Place, REJECTED, UNDECIDED, cache, shared};
use ff::Field;
use foldnet::artefact::{ArtefactError, FoldedProof, parse_model_id, read_program};
use foldnet::files::{self, Kind};
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_layers::layer::Layer;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of the container before and after the payload.
const HEADER: usize = 52;
const DIGEST: usize = 32;

/// How messages about a proof end.
const ASK: &str = "ask the prover for a new one";

/// The payload of the shared proof: architecture, inferences, recursion.
fn payload() -> Vec<u8> {
    let bytes = &shared().bytes;
    bytes[HEADER..bytes.len() - DIGEST].to_vec()
}

/// Decodes a payload in a container whose digest is right.
fn decode(payload: &[u8]) -> Result<FoldedProof, ArtefactError> {
    let bytes = files::encode_container(Kind::FoldedProof, Bn254::NAME, payload).expect("encoded");
    FoldedProof::decode(bytes.as_slice())
}

#[test]
fn changed_proofs_are_never_accepted() {
    let shared = shared();
    let id = parse_model_id::<<Bn254 as Cycle>::F>(&shared.id).expect("an id");
    let program = read_program(Path::new(&shared.fold)).expect("the program");
    let architecture = Architecture::from(program.outline());
    let session =
        Session::<Bn254>::new(&architecture, Some(&cache()), &mut Silent).expect("a session");
    let accepted = |proof: &FoldedProof| {
        // The model id binds the architecture: another one has other parameters.
        proof.architecture == architecture
            && session
                .verify(&proof.recursion, id, &proof.inferences)
                .is_ok()
    };
    let payload = payload();
    assert!(accepted(&decode(&payload).expect("valid")));

    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut random = |below: usize| rng.next_u64() as usize % below;
    let head = (0..160).map(|i| i % payload.len());
    let anywhere = (0..24).map(|_| random(payload.len())).collect::<Vec<_>>();
    // The accumulator and the last step are at the end.
    let positions = head
        .chain(anywhere)
        .chain(payload.len() - 40..payload.len() - 32);
    let mut decoded = 0;
    for position in positions {
        let mut changed = payload.clone();
        changed[position] ^= 1 << (position % 8);
        if let Ok(proof) = decode(&changed) {
            decoded += 1;
            assert!(
                !accepted(&proof),
                "a change of byte {position} was accepted"
            );
        }
    }
    assert!(decoded > 20, "{decoded} changes reached the verifier");
}

#[test]
fn cut_and_flipped_files_are_refused() {
    let bytes = &shared().bytes;
    for length in (0..64).chain([100, bytes.len() / 2, bytes.len() - 1]) {
        assert!(
            FoldedProof::decode(&bytes[..length]).is_err(),
            "{length} bytes"
        );
    }
    for position in [
        0,
        9,
        13,
        30,
        45,
        51,
        HEADER,
        bytes.len() / 3,
        bytes.len() - 1,
    ] {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(
            FoldedProof::decode(changed.as_slice()).is_err(),
            "byte {position}"
        );
    }
    let payload = payload();
    for length in (0..200).chain([payload.len() / 2, payload.len() - 1]) {
        assert!(
            decode(&payload[..length]).is_err(),
            "a payload of {length} bytes"
        );
    }
}

#[test]
fn short_files_cannot_ask_for_large_circuits() {
    let mut proof = FoldedProof::decode(shared().bytes.as_slice()).expect("valid");
    proof.recursion.table.clear();
    let message = proof.check().expect_err("refused").to_string();
    assert!(message.starts_with("accumulated weights"), "{message}");
    assert!(message.ends_with(ASK), "{message}");

    let mut proof = FoldedProof::decode(shared().bytes.as_slice()).expect("valid");
    proof.recursion.running[0].1.error.clear();
    let message = proof.check().expect_err("refused").to_string();
    assert!(
        message.starts_with("rows of a running instance"),
        "{message}"
    );

    let mut proof = FoldedProof::decode(shared().bytes.as_slice()).expect("valid");
    proof.recursion.running.clear();
    let message = proof.check().expect_err("refused").to_string();
    assert!(message.starts_with("running instances"), "{message}");

    let mut proof = FoldedProof::decode(shared().bytes.as_slice()).expect("valid");
    proof.inferences.clear();
    let message = proof.check().expect_err("refused").to_string();
    assert!(message.starts_with("inferences of the proof"), "{message}");
    assert!(message.ends_with(ASK), "{message}");
}

#[test]
fn a_verifier_is_not_told_to_change_the_model() {
    let refused = |change: fn(&mut Architecture)| {
        let mut proof = FoldedProof::decode(shared().bytes.as_slice()).expect("valid");
        change(&mut proof.architecture);
        proof.check().expect_err("refused").to_string()
    };
    for message in [
        refused(|a| a.weight_variables = 23),
        refused(|a| a.bits = 40),
        refused(|a| a.output.length = usize::MAX),
        refused(|a| a.input.scale = -1.0),
        refused(|a| a.kinds[0].weight_variables += 1),
        refused(|a| {
            a.weight_variables = 0;
            a.kinds
                .iter_mut()
                .for_each(|kind| kind.weight_variables = 0);
        }),
        refused(|a| {
            if let Layer::Linear(linear) = &mut a.kinds[0].nodes[0].layer {
                linear.outputs = 1 << 18;
            }
        }),
    ] {
        assert!(message.ends_with(ASK), "{message}");
        assert!(!message.contains("split"), "{message}");
    }
}

#[test]
fn a_large_file_cannot_ask_for_a_large_key() {
    let (place, shared) = (Place::new(), shared());
    let mut proof = FoldedProof::decode(shared.bytes.as_slice()).expect("valid");
    let architecture = &mut proof.architecture;
    architecture.weight_variables = 21;
    for kind in &mut architecture.kinds {
        kind.weight_variables = 21;
    }
    proof.recursion.table.resize(1 << 21, Field::ZERO);
    proof.write(&place.path("large.proof")).expect("written");
    let id = shared.id.as_str();
    let clock = Instant::now();
    let parts = [
        "large.proof: a bn254-g1 key of 2097152 points",
        "at most 1048576 points",
        "--allow-large-keys",
    ];
    let arguments = ["--cache", "keys", "verify", "large.proof", "--model-id", id];
    place.expect(UNDECIDED, &arguments, &parts);
    assert!(clock.elapsed() < Duration::from_secs(60), "long work");
    assert!(!place.path("keys").exists(), "no key is made");
    // A model that the verifier has is of another architecture: no key is needed to say so.
    let by_model = [
        "--cache",
        "none",
        "verify",
        "large.proof",
        "--model",
        &shared.fold,
    ];
    place.expect(REJECTED, &by_model, &["another architecture"]);
}
