//! The `foldnet` command: every flag, every exit code, bad input, and hostile proofs.
//!
//! Each test works in its own directory. One tiny model is compiled and proven once for all of
//! them, and commitment keys are cached between runs.

mod batch;
mod checkpoints;
mod hostile;
mod inspect;
mod keys;
mod memory;
mod private;
mod proofs;
mod succinct;
mod words;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Accepted or done.
const ACCEPTED: i32 = 0;
/// Understood and false.
const REJECTED: i32 = 1;
/// Any other error.
const UNDECIDED: i32 = 2;

/// An input within the range of [`samples`].
const INPUT: &str = r#"{"input_data": [[0.5, -0.25, 1.0, -1.0, 0.0, 0.75]]}"#;

/// A file beside the sources.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The key cache that all tests share.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys")
}

/// Calibration samples of six values with labels.
fn samples() -> String {
    let row = |i: usize| {
        (0..6)
            .map(|j| ((i * 7 + j * 5) % 21) as f64 / 10.0 - 1.0)
            .collect()
    };
    let inputs: Vec<Vec<f64>> = (0..12).map(row).collect();
    serde_json::json!({ "input_data": inputs, "labels": vec![0; 12] }).to_string()
}

/// A directory to run the command in.
struct Place(TempDir);

/// What a run left behind.
struct Ran {
    /// The exit code.
    code: i32,
    /// Standard output.
    stdout: String,
    /// Standard error.
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).expect("written");
        self.path(name)
    }

    /// The command in this directory, with the shared key cache.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foldnet"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("FOLDNET_CACHE", cache());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(self
            .command(arguments)
            .output()
            .expect("the command starts"))
    }

    /// Runs and checks the exit code and that standard error has every part.
    fn expect(&self, code: i32, arguments: &[&str], parts: &[&str]) -> Ran {
        let ran = self.run(arguments);
        let Ran { stdout, stderr, .. } = &ran;
        let shown = format!("{arguments:?}\nstdout: {stdout}\nstderr: {stderr}");
        assert_eq!(ran.code, code, "{shown}");
        assert!(!stderr.contains("panicked"), "{shown}");
        for part in parts {
            assert!(stderr.contains(part), "`{part}` is missing: {shown}");
        }
        ran
    }

    /// The names of the files here.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a directory");
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry.expect("an entry")))
            .collect();
        names.sort();
        names
    }

    fn json(&self, name: &str) -> Value {
        let bytes = std::fs::read(self.path(name)).expect("the JSON file");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The tiny model, compiled and proven.
struct Shared {
    fold: String,
    proof: String,
    id: String,
    bytes: Vec<u8>,
}

/// Compiles and proves the tiny model once.
fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared");
        std::fs::create_dir_all(&directory).expect("created");
        let place = Place::new();
        place.write("samples.json", samples());
        place.write("input.json", INPUT);
        let text = |name| directory.join(name).to_str().expect("text").to_string();
        let (fold, proof) = (text("tiny.fold"), text("tiny.proof"));
        let model = source("tests/fixtures/gemm.onnx");
        let model = model.to_str().expect("text");
        place.expect(
            ACCEPTED,
            &["compile", model, "--samples", "samples.json", "-o", &fold],
            &[],
        );
        place.expect(
            ACCEPTED,
            &[
                "prove",
                &fold,
                "--input",
                "input.json",
                "--proof",
                "folded",
                "-o",
                &proof,
            ],
            &["estimate: ", "development keys: anyone can forge"],
        );
        let id = place
            .expect(ACCEPTED, &["model-id", &fold], &[])
            .stdout
            .trim()
            .to_string();
        let bytes = std::fs::read(&proof).expect("the proof");
        Shared {
            fold,
            proof,
            id,
            bytes,
        }
    })
}

#[test]
fn usage_errors_are_no_verdict() {
    let place = Place::new();
    place.expect(UNDECIDED, &["verify", "x.proof"], &["--model-id"]);
    place.expect(
        UNDECIDED,
        &["verify", "x", "--model-id", "0x12"],
        &["is no model id"],
    );
    let both = [
        "verify",
        "x",
        "--model",
        "y",
        "--model-id",
        &format!("0x{}", "0".repeat(64)),
    ];
    place.expect(UNDECIDED, &both, &["cannot be used with"]);
    place.expect(UNDECIDED, &["no-such-command"], &["unrecognized"]);
    place.expect(UNDECIDED, &[], &["Usage"]);
    let help = place.expect(ACCEPTED, &["--help"], &[]);
    assert!(help.stdout.contains("Exit codes: 0"), "{}", help.stdout);
    let version = place.expect(ACCEPTED, &["--version"], &[]);
    assert!(version.stdout.starts_with("foldnet "));
}

#[test]
fn compile_reports_and_writes() {
    let place = Place::new();
    place.write("samples.json", samples());
    let model = source("tests/fixtures/gemm.onnx");
    let model = model.to_str().expect("text");
    let start = [
        "compile",
        model,
        "--samples",
        "samples.json",
        "-o",
        "m.fold",
    ];
    let ran = place.expect(
        ACCEPTED,
        &[&start[..], &["--bits", "10", "--json", "m.json"]].concat(),
        &[],
    );
    for label in [
        "layers",
        "multiplications",
        "step kinds",
        "same prediction",
        "cut off",
    ] {
        assert!(ran.stdout.contains(label), "{}", ran.stdout);
    }
    let json = place.json("m.json");
    assert_eq!(
        (&json["bits"], &json["layers"]),
        (&Value::from(10), &Value::from(3))
    );
    assert_eq!(
        (&json["samples"], &json["steps"]),
        (&Value::from(12), &Value::from(1))
    );
    assert!(
        json["agreeing"].as_u64().is_some_and(|count| count >= 10),
        "{json}"
    );
    assert!(json["correct_float"].is_u64());
    place.expect(
        UNDECIDED,
        &[&start[..], &["--bits", "17"]].concat(),
        &["2..=16"],
    );
    let digits = |name: &str| source("examples/digits").join(name).display().to_string();
    let (model, inputs) = (digits("mlp.onnx"), digits("samples.json"));
    let small = [
        "compile",
        &model,
        "--samples",
        &inputs,
        "-o",
        "m.fold",
        "--json",
        "m.json",
    ];
    place.expect(
        ACCEPTED,
        &[&small[..], &["--step-variables", "13"]].concat(),
        &[],
    );
    assert_eq!(place.json("m.json")["steps"], 2);
    let tiny = [&start[..], &["--step-variables", "1"]].concat();
    place.expect(
        UNDECIDED,
        &tiny,
        &[
            "layer `first`",
            "the least part of it takes",
            "raise --step-variables to",
        ],
    );
    place.expect(
        UNDECIDED,
        &[&start[..], &["--step-variables", "23"]].concat(),
        &["0..=22"],
    );
    assert_eq!(place.files(), ["m.fold", "m.json", "samples.json"]);
}

#[test]
fn bad_models_are_named() {
    let place = Place::new();
    place.write("samples.json", samples());
    let refused = |fixture: &str, parts: &[&str]| {
        let model = source(&format!("tests/fixtures/{fixture}.onnx"));
        let model = model.to_str().expect("text");
        let name = format!("{fixture}.onnx");
        let parts = [parts, &[name.as_str()]].concat();
        let arguments = [
            "compile",
            model,
            "--samples",
            "samples.json",
            "-o",
            "m.fold",
        ];
        place.expect(UNDECIDED, &arguments, &parts);
    };
    refused("recurrent", &["node `lstm_one`", "LSTM is not supported"]);
    refused(
        "table_axis",
        &["node `lookup`", "transpose the table so that axis 0"],
    );
    refused("nan_weight", &["NaN", "expected a finite number"]);
    refused("infinite_weight", &["inf", "expected a finite number"]);
    refused("wrong_width", &["do not fit together"]);
    refused("short_data", &["the file is damaged"]);
    refused("absent", &["cannot open"]);
    place.write("noise.onnx", [0xff; 100]);
    let arguments = [
        "compile",
        "noise.onnx",
        "--samples",
        "samples.json",
        "-o",
        "m.fold",
    ];
    place.expect(UNDECIDED, &arguments, &["noise.onnx", "not an ONNX model"]);
    assert_eq!(place.files(), ["noise.onnx", "samples.json"]);
}

#[test]
fn bad_samples_are_named() {
    let place = Place::new();
    let model = source("tests/fixtures/gemm.onnx");
    let model = model.to_str().expect("text");
    let refused = |content: &str, part: &str| {
        place.write("s.json", content);
        let arguments = ["compile", model, "--samples", "s.json", "-o", "m.fold"];
        place.expect(UNDECIDED, &arguments, &["s.json", part]);
    };
    refused("{", "not JSON");
    refused(r#"{"input_data": [[1, 2, 3]]}"#, "the model takes 6");
    refused(r#"{"input_data": []}"#, "no samples");
    refused(
        r#"{"input_data": [[1, 2, 3, 4, 5, 6]], "labels": [1, 2]}"#,
        "2 labels",
    );
    assert_eq!(place.files(), ["s.json"]);
}

#[test]
fn an_output_never_replaces_an_input_and_is_writable_before_the_work() {
    let place = Place::new();
    place.write("input.json", INPUT);
    std::fs::copy(&shared().fold, place.path("m.fold")).expect("copied");
    std::fs::copy(&shared().proof, place.path("m.proof")).expect("copied");
    let before = place.files();
    let prove = [
        "prove",
        "m.fold",
        "--input",
        "input.json",
        "--proof",
        "folded",
        "-o",
    ];
    let same = "choose another name";
    for arguments in [
        [&prove[..], &["m.fold"]].concat(),
        [&prove[..], &["./input.json"]].concat(),
        [&prove[..], &["p.proof", "--json", "p.proof"]].concat(),
        vec![
            "verify", "m.proof", "--model", "m.fold", "--json", "m.proof",
        ],
    ] {
        place.expect(UNDECIDED, &arguments, &[same]);
    }
    let missing = [&prove[..], &["missing/p.proof"]].concat();
    let ran = place.expect(UNDECIDED, &missing, &["missing/p.proof"]);
    assert!(!ran.stderr.contains("development keys"), "{}", ran.stderr);
    assert_eq!(place.files(), before);
    assert_eq!(
        std::fs::read(place.path("m.proof")).expect("kept"),
        shared().bytes
    );
}
