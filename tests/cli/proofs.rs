//! Proving and verifying: flags, verdicts, bad input.

use crate::{ACCEPTED, INPUT, Place, REJECTED, UNDECIDED, cache, shared};
use foldnet::artefact::{FoldedProof, parse_model_id};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use std::process::Stdio;

fn prove<'a>(fold: &'a str, kind: &'a str) -> Vec<&'a str> {
    vec![
        "prove",
        fold,
        "--input",
        "input.json",
        "--proof",
        kind,
        "-o",
        "out.proof",
    ]
}

#[test]
fn the_demo_proves_and_verifies() {
    let place = Place::new();
    let ran = place.expect(
        ACCEPTED,
        &["demo", "--json", "demo.json"],
        &["development keys", "compressing: 1 in "],
    );
    for label in [
        "verdict",
        "prediction",
        "constraints per step",
        "peak memory",
        "right label",
        "gas",
    ] {
        assert!(ran.stdout.contains(label), "{}", ran.stdout);
    }
    let json = place.json("demo.json");
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(json["prediction"], json["label"]);
    assert!(
        json["agreeing"].as_u64().is_some_and(|count| count >= 195),
        "{json}"
    );
    let length = std::fs::metadata(place.path("digit.proof"))
        .expect("the proof")
        .len();
    assert_eq!(json["proof_bytes"], length);
    assert_eq!(place.files(), ["demo.json", "digit.proof"]);
    let id = json["model_id"].as_str().expect("an id");
    place.expect(ACCEPTED, &["verify", "digit.proof", "--model-id", id], &[]);
}

#[test]
fn a_proof_is_accepted_for_its_model() {
    let (place, shared) = (Place::new(), shared());
    let by_id = [
        "verify",
        &shared.proof,
        "--model-id",
        &shared.id,
        "--json",
        "v.json",
    ];
    let ran = place.expect(ACCEPTED, &by_id, &["development keys"]);
    assert!(
        ran.stdout.starts_with("verdict               accepted\n"),
        "{}",
        ran.stdout
    );
    let json = place.json("v.json");
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(json["model_id"], shared.id);
    assert_eq!(
        json["inferences"][0]["output"].as_array().map(Vec::len),
        Some(3)
    );
    place.expect(
        ACCEPTED,
        &["verify", &shared.proof, "--model", &shared.fold],
        &[],
    );
}

#[test]
#[cfg(unix)]
fn proofs_are_private_files() {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&shared().proof)
        .expect("the proof")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn another_model_is_rejected() {
    let (place, shared) = (Place::new(), shared());
    let other = format!("0x{}", "0".repeat(64));
    let arguments = [
        "verify",
        &shared.proof,
        "--model-id",
        &other,
        "--json",
        "v.json",
    ];
    let ran = place.expect(REJECTED, &arguments, &["rejected: ", "the model id"]);
    assert!(
        ran.stdout.starts_with("verdict               rejected\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(place.json("v.json")["verdict"], "rejected");
}

#[test]
fn a_changed_output_is_rejected() {
    let (place, shared) = (Place::new(), shared());
    let mut proof = FoldedProof::decode(shared.bytes.as_slice()).expect("valid");
    let output = &mut proof.inferences[0].output.values_mut().expect("values")[0];
    *output = if *output > 0 {
        *output - 1
    } else {
        *output + 1
    };
    proof.write(&place.path("lie.proof")).expect("written");
    let arguments = ["verify", "lie.proof", "--model", &shared.fold];
    place.expect(REJECTED, &arguments, &["the inputs and outputs"]);
    proof.inferences[0].output.values_mut().expect("values")[0] = 1 << 40;
    proof.write(&place.path("lie.proof")).expect("written");
    place.expect(REJECTED, &arguments, &["rejected: "]);
}

#[test]
fn another_architecture_is_rejected() {
    let (place, shared) = (Place::new(), shared());
    let mut proof = FoldedProof::decode(shared.bytes.as_slice()).expect("valid");
    proof.architecture.output.scale *= 2.0;
    proof.write(&place.path("lie.proof")).expect("written");
    let by_model = ["verify", "lie.proof", "--model", &shared.fold];
    place.expect(REJECTED, &by_model, &["another architecture"]);
    let by_id = ["verify", "lie.proof", "--model-id", &shared.id];
    place.expect(REJECTED, &by_id, &["rejected: "]);
}

#[test]
fn inputs_are_checked() {
    let (place, shared) = (Place::new(), shared());
    let arguments = prove(&shared.fold, "folded");
    place.expect(UNDECIDED, &arguments, &["cannot open input.json"]);
    let refused = |content: &str, part: &str| {
        place.write("input.json", content);
        place.expect(UNDECIDED, &arguments, &["input.json", part]);
    };
    refused("{\"input_data\": [[1, 2]]}", "the model takes 6");
    refused("{\"input_data\": [[1, 2, 3, 4, 5, NaN]]}", "NaN");
    refused(
        "{\"input_data\": [[1e40, 2, 3, 4, 5, 6]]}",
        "not a finite float32",
    );
    refused(
        "{\"input_data\": [[0.5, 9, 0, 0, 0, 0]]}",
        "outside the calibrated range",
    );
    assert_eq!(place.files(), ["input.json"]);
    place.write("input.json", "{\"input_data\": [[0.5, 9, 0, 0, 0, 0]]}");
    let saturate = [&arguments[..], &["--saturate", "--json", "p.json"]].concat();
    let ran = place.expect(ACCEPTED, &saturate, &["1 input values were clamped"]);
    assert!(ran.stdout.contains("prediction"), "{}", ran.stdout);
    let json = place.json("p.json");
    assert!(
        json["fold_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    assert_eq!(json["model_id"], shared.id);
    assert_eq!(place.files(), ["input.json", "out.proof", "p.json"]);
}

#[test]
fn unknown_kinds_of_proof_are_named() {
    let (place, shared) = (Place::new(), shared());
    place.write("input.json", INPUT);
    let magic = prove(&shared.fold, "magic");
    place.expect(UNDECIDED, &magic, &["magic", "folded, spartan, groth16"]);
    let context = [&prove(&shared.fold, "folded")[..], &["--context", "0x1"]].concat();
    place.expect(UNDECIDED, &context, &["--proof groth16"]);
    assert_eq!(place.files(), ["input.json"]);
}

#[test]
fn foreign_and_damaged_files_are_named() {
    let (place, shared) = (Place::new(), shared());
    let id = shared.id.as_str();
    let swapped = ["verify", &shared.fold, "--model-id", id];
    place.expect(
        UNDECIDED,
        &swapped,
        &["tiny.fold", "expected a file of kind"],
    );
    place.expect(
        UNDECIDED,
        &["model-id", &shared.proof],
        &["tiny.proof", "file of kind"],
    );
    place.write("noise", "not a proof at all");
    place.expect(
        UNDECIDED,
        &["verify", "noise", "--model-id", id],
        &["not a foldnet file"],
    );
    place.expect(
        UNDECIDED,
        &["model-id", "noise"],
        &["noise", "not a foldnet file"],
    );
    place.expect(
        UNDECIDED,
        &["verify", "absent", "--model-id", id],
        &["cannot open absent"],
    );
    for (name, path) in [("cut.proof", &shared.proof), ("cut.fold", &shared.fold)] {
        let bytes = std::fs::read(path).expect("read");
        place.write(name, &bytes[..bytes.len() / 2]);
    }
    let cut = ["verify", "cut.proof", "--model-id", id];
    place.expect(UNDECIDED, &cut, &["cut.proof", "truncated"]);
    place.expect(
        UNDECIDED,
        &["model-id", "cut.fold"],
        &["cut.fold", "truncated"],
    );
}

#[test]
fn keys_are_cached_and_checked() {
    let (place, shared) = (Place::new(), shared());
    let names = |directory: &std::path::Path| -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(directory).expect("the cache");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    };
    let key = names(&cache())
        .into_iter()
        .find(|n| n.to_string_lossy().starts_with("bn254"));
    let key = key.expect("a cached key");
    let bytes = std::fs::read(cache().join(&key)).expect("a key");
    std::fs::create_dir(place.path("keys")).expect("created");
    // All keys but a truncated one, so that nothing is derived.
    for name in names(&cache()) {
        std::fs::copy(cache().join(&name), place.path("keys").join(&name)).expect("copied");
    }
    for name in names(&cache())
        .iter()
        .filter(|n| n.to_string_lossy().starts_with("bn254"))
    {
        std::fs::write(place.path("keys").join(name), &bytes[..bytes.len() / 3]).expect("written");
    }
    let arguments = ["--cache", "keys", "model-id", &shared.fold];
    place.expect(UNDECIDED, &arguments, &["keys", "bn254-g1", "truncated"]);
    let fold = std::fs::read(&shared.fold).expect("read");
    for name in names(&cache())
        .iter()
        .filter(|n| n.to_string_lossy().starts_with("bn254"))
    {
        std::fs::write(place.path("keys").join(name), &fold).expect("written");
    }
    place.expect(
        UNDECIDED,
        &arguments,
        &["bn254-g1", "expected a file of kind"],
    );
    // Verifying blames the key and not the proof.
    let verify = [
        "--cache",
        "keys",
        "verify",
        &shared.proof,
        "--model-id",
        &shared.id,
    ];
    let ran = place.expect(
        UNDECIDED,
        &verify,
        &["keys/bn254-g1", "expected a file of kind"],
    );
    assert!(!ran.stderr.contains("tiny.proof"), "{}", ran.stderr);
}

#[test]
fn the_input_is_compared() {
    let (place, shared) = (Place::new(), shared());
    let by_id = [
        "verify",
        &shared.proof,
        "--model-id",
        &shared.id,
        "--input",
        "input.json",
    ];
    let by_model = [
        "verify",
        &shared.proof,
        "--model",
        &shared.fold,
        "--input",
        "input.json",
    ];
    place.expect(UNDECIDED, &by_id, &["cannot open input.json"]);
    place.write("input.json", INPUT);
    let json = [&by_id[..], &["--json", "v.json"]].concat();
    let ran = place.expect(
        ACCEPTED,
        &json,
        &["rounded with the scale", "from the proof"],
    );
    assert!(
        ran.stdout.contains("input compared        equal"),
        "{}",
        ran.stdout
    );
    assert_eq!(place.json("v.json")["input_compared"], true);
    place.expect(ACCEPTED, &by_model, &["from the model"]);

    place.write("input.json", INPUT.replace("0.5", "0.25"));
    let rejected = "tiny.proof: the proof is about another input";
    let ran = place.expect(REJECTED, &json, &[rejected]);
    assert!(
        ran.stdout.starts_with("verdict               rejected"),
        "{}",
        ran.stdout
    );
    assert_eq!(place.json("v.json")["verdict"], "rejected");
    place.expect(REJECTED, &by_model, &[rejected]);

    // What cannot be compared is no verdict, and the error is about the input.
    for (content, part) in [
        ("{", "not JSON"),
        (r#"{"input_data": [[1]]}"#, "the model takes 6"),
    ] {
        place.write("input.json", content);
        let ran = place.expect(UNDECIDED, &by_id, &["error: input.json", part]);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    place.write("input.json", r#"{"input_data": [[0.5, 9, 0, 0, 0, 0]]}"#);
    place.expect(
        UNDECIDED,
        &by_id,
        &["outside the calibrated range", "--saturate"],
    );
    let saturated = [&by_id[..], &["--saturate"]].concat();
    place.expect(
        REJECTED,
        &saturated,
        &["1 input values were clamped", rejected],
    );
    let alone = [
        "verify",
        &shared.proof,
        "--model-id",
        &shared.id,
        "--saturate",
    ];
    place.expect(UNDECIDED, &alone, &["--input"]);

    // A proof about two inputs is not one about the given input.
    let mut proof = FoldedProof::decode(shared.bytes.as_slice()).expect("valid");
    proof.inferences.push(proof.inferences[0].clone());
    proof.write(&place.path("two.proof")).expect("written");
    place.write("input.json", INPUT);
    let two = [
        "verify",
        "two.proof",
        "--model-id",
        &shared.id,
        "--input",
        "input.json",
    ];
    place.expect(REJECTED, &two, &["another input"]);
}

#[test]
fn a_closed_pipe_is_not_acceptance() {
    let (place, shared) = (Place::new(), shared());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = place
        .command(&["verify", &shared.proof, "--model-id", &shared.id])
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .expect("the command starts");
    assert_eq!(status.code(), Some(UNDECIDED));
}

#[test]
fn nothing_is_written_where_it_cannot_be() {
    let (place, shared) = (Place::new(), shared());
    let id = shared.id.as_str();
    assert!(parse_model_id::<<Bn254 as Cycle>::F>(id).is_ok(), "{id}");
    let verify = [
        "verify",
        &shared.proof,
        "--model-id",
        id,
        "--json",
        "no/such/v.json",
    ];
    let ran = place.expect(UNDECIDED, &verify, &["no/such/v.json"]);
    assert!(!ran.stdout.contains("accepted"), "{}", ran.stdout);
    assert!(place.files().is_empty());
}
