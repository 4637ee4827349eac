//! What the command says: predictions of single outputs, refusals in words, warnings, hints.

use crate::{ACCEPTED, INPUT, Place, REJECTED, Ran, UNDECIDED, samples, shared, source};
use foldnet::files::{self, Kind};
use foldnet::model::Reading;
use foldnet::proof::Proof;
use serde_json::{Value, json};

/// A network of one output.
fn fixture(name: &str) -> String {
    source(&format!("tests/fixtures/{name}.onnx"))
        .display()
        .to_string()
}

/// An input whose logit is the value: see `single_outputs` of `tests/fixtures/make.py`.
fn input(logit: f64) -> String {
    json!({ "input_data": [[logit - 0.0625, 0.0, 0.0, 0.0, 0.0, 0.0]] }).to_string()
}

/// Samples with the classes that the logit's sign gives.
fn labelled() -> String {
    let weights = [1.0, -0.5, 0.75, 0.25, -1.0, 0.5];
    let row = |i: usize| -> Vec<f64> {
        let value = |j: usize| ((i * i + 3 * i * j + j * 5) % 21) as f64 / 10.0 - 1.0;
        (0..6).map(value).collect()
    };
    let inputs: Vec<Vec<f64>> = (0..21).map(row).collect();
    let logit = |x: &Vec<f64>| x.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() + 0.0625;
    let labels: Vec<u8> = inputs.iter().map(|x| u8::from(logit(x) > 0.0)).collect();
    json!({ "input_data": inputs, "labels": labels }).to_string()
}

fn compile(place: &Place, model: &str, more: &[&str]) -> Ran {
    let start = ["compile", model, "--samples", "samples.json", "-o"];
    place.expect(ACCEPTED, &[&start[..], &["m.fold"], more].concat(), &[])
}

/// A sigmoid's output is above zero whatever the class is: every command compares it with one half.
#[test]
fn a_probability_is_compared_with_one_half() {
    let place = Place::new();
    place.write("samples.json", labelled());
    let ran = compile(&place, &fixture("probability"), &["--json", "c.json"]);
    assert!(ran.stdout.contains("6 inputs, 1 output)"), "{}", ran.stdout);
    let json = place.json("c.json");
    assert_eq!(json["reading"], "probability");
    assert_eq!(json["correct_float"], 21);
    for right in ["agreeing", "correct_integer"] {
        assert!(json[right].as_u64().is_some_and(|n| n >= 20), "{json}");
    }
    std::fs::create_dir(place.path("in")).expect("created");
    for (logit, class) in [(-0.8, 0), (0.9, 1)] {
        place.write("in/input.json", input(logit));
        let given = ["--input", "in/input.json", "--json", "j.json"];
        let says = |ran: &Ran, json: &Value| {
            let line = format!("prediction            {class}\n");
            assert!(ran.stdout.contains(&line), "{}", ran.stdout);
            assert_eq!(json["prediction"], class);
            let scale = json["output_scale"].as_f64().expect("a scale");
            let float = json["output_floats"][0].as_f64().expect("a float");
            let integer = float / scale;
            assert!((integer - integer.round()).abs() < 1e-6, "{json}");
            assert_eq!(float > 0.5, class == 1, "{json}");
        };
        let ran = place.expect(ACCEPTED, &[&["mock", "m.fold"][..], &given].concat(), &[]);
        says(&ran, &place.json("j.json"));
        assert!(
            ran.stdout.contains("that is               [0."),
            "{}",
            ran.stdout
        );
        let kind = ["--proof", "spartan", "-o", "p.proof"];
        let prove = [&["prove", "m.fold"][..], &given, &kind].concat();
        says(&place.expect(ACCEPTED, &prove, &[]), &place.json("j.json"));
        let id = place.json("j.json")["model_id"].clone();
        let id = id.as_str().expect("an id");
        let verify = ["verify", "p.proof", "--model-id", id, "--json", "v.json"];
        let ran = place.expect(ACCEPTED, &verify, &[]);
        says(&ran, &place.json("v.json"));
        assert_eq!(place.json("v.json")["inferences"][0]["prediction"], class);
        let batch = ["batch", "m.fold", "--inputs", "in", "--proof", "spartan"];
        let batch = [&batch[..], &["-o", "out"]].concat();
        for status in ["proven", "kept"] {
            let ran = place.expect(ACCEPTED, &batch, &[]);
            let line: Value = serde_json::from_str(&ran.stdout).expect("a line");
            assert_eq!(
                (&line["status"], &line["prediction"]),
                (&status.into(), &class.into())
            );
            assert!(line["output_scale"].is_f64(), "{line}");
        }
        // The reading is the model's: a proof that claims another one is about another model.
        let Ok(Proof::Spartan(mut lie)) = Proof::read(&place.path("p.proof")) else {
            panic!("a spartan proof")
        };
        assert_eq!(lie.about.architecture.reading, Reading::Probability);
        lie.about.architecture.reading = Reading::Scores;
        lie.write(&place.path("lie.proof")).expect("written");
        place.expect(REJECTED, &["verify", "lie.proof", "--model-id", id], &[]);
        let by_model = ["verify", "lie.proof", "--model", "m.fold"];
        place.expect(REJECTED, &by_model, &["another architecture"]);
    }
}

/// What is never below zero and no probability names no class.
#[test]
fn an_amount_names_no_class() {
    let place = Place::new();
    place.write("samples.json", labelled());
    place.write("input.json", input(0.4));
    let ran = compile(&place, &fixture("amount"), &["--json", "c.json"]);
    assert!(
        ran.stdout.contains("none: the output names no class"),
        "{}",
        ran.stdout
    );
    let json = place.json("c.json");
    assert_eq!(
        (&json["agreeing"], json.get("correct_float")),
        (&Value::Null, None)
    );
    let mock = [
        "mock",
        "m.fold",
        "--input",
        "input.json",
        "--json",
        "m.json",
    ];
    let ran = place.expect(ACCEPTED, &mock, &[]);
    assert!(ran.stdout.contains("is read as: amount"), "{}", ran.stdout);
    assert_eq!(place.json("m.json")["prediction"], Value::Null);
}

/// Files of samples and inputs that can be read in two ways, or hold what changes nothing.
#[test]
fn inputs_mean_one_thing() {
    let place = Place::new();
    place.write("samples.json", samples());
    compile(&place, &fixture("gemm"), &[]);
    let row = "[0.5, -0.25, 1.0, -1.0, 0.0, 0.75]";
    let mock = ["mock", "m.fold", "--input", "input.json"];
    let refused = |content: String, parts: &[&str]| {
        place.write("input.json", content);
        let parts = [&["input.json"], parts].concat();
        place.expect(UNDECIDED, &mock, &parts);
    };
    let twice = format!(r#"{{"input_data": [{row}], "input_data": [{row}]}}"#);
    refused(
        twice,
        &["the key `input_data` stands twice", "line 1 column"],
    );
    let unknown = format!(r#"{{"input_data": [{row}], "lables": [1]}}"#);
    refused(
        unknown,
        &["`lables` is not known", "`input_data` and `labels`"],
    );
    place.write("input.json", format!("\u{feff}{INPUT}"));
    place.expect(ACCEPTED, &mock, &[]);

    let wide: Value = serde_json::from_str(&samples()).expect("JSON");
    let mut labels = vec![0; 12];
    labels[7] = 3;
    let wrong = json!({ "input_data": wide["input_data"], "labels": labels });
    place.write("samples.json", wrong.to_string());
    let gemm = fixture("gemm");
    let start = [
        "compile",
        &gemm,
        "--samples",
        "samples.json",
        "-o",
        "n.fold",
    ];
    let parts = ["samples.json", "label 7 is 3", "3 classes apart, 0 to 2"];
    place.expect(UNDECIDED, &start, &parts);
    place.write("samples.json", INPUT);
    place.expect(
        ACCEPTED,
        &start,
        &["warning: only 1 sample: ", "about 100 typical"],
    );
}

/// A refusal names the option that it is about.
#[test]
fn refusals_name_their_options() {
    let (place, shared) = (Place::new(), shared());
    place.write("input.json", INPUT);
    for text in ["10", "2a"] {
        let verify = ["verify", "p", "--model-id", &shared.id, "--context", text];
        place.expect(UNDECIDED, &verify, &["expected 0x in front of hex digits"]);
    }
    place.write("samples.json", samples());
    let gemm = fixture("gemm");
    let start = [
        "compile",
        &gemm,
        "--samples",
        "samples.json",
        "-o",
        "m.fold",
    ];
    let percentile = ["--calibration", "60", "--strict"];
    let parts = ["(--calibration max)", "leave out --strict"];
    place.expect(UNDECIDED, &[&start[..], &percentile].concat(), &parts);
    place.write("samples.json", labelled());
    let logit = fixture("logit");
    compile(&place, &logit, &[]);
    let export = ["export", "contract", "--model", "m.fold", "-o", "out"];
    let parts = ["no verifying key", "foldnet prove --proof groth16"];
    let ran = place.expect(UNDECIDED, &export, &parts);
    assert!(!ran.stderr.contains("--verifying-key"), "{}", ran.stderr);
    let nowhere = ["--json", "no/such/j.json"];
    let mock = ["mock", "m.fold", "--input", "input.json"];
    let nowhere = [&mock[..], &nowhere].concat();
    place.expect(UNDECIDED, &nowhere, &["make the directory first"]);
}

/// Bytes that are none of a proof or program, under a digest that is right: no word of a debugger.
#[test]
fn undecodable_files_are_named_in_words() {
    let (place, shared) = (Place::new(), shared());
    let verify = |name| ["verify", name, "--model-id", shared.id.as_str()];
    let plain = |ran: &Ran| {
        for word in [
            "OtherString",
            "Invalid",
            "Unexpected",
            "LimitExceeded",
            "{",
            "\"",
        ] {
            assert!(!ran.stderr.contains(word), "`{word}`: {}", ran.stderr);
        }
    };
    let damaged = "damaged, or made by another release (";
    for (kind, name) in [(Kind::FoldedProof, "f"), (Kind::SpartanProof, "s")] {
        for payload in [
            &[0xff; 40][..],
            &[7; 40],
            &[0; 40],
            &[1, 0, 9, 9, 9, 9],
            &[],
        ] {
            let bytes = files::encode_container(kind, "bn254", payload).expect("encoded");
            place.write(name, bytes);
            let ran = place.run(&verify(name));
            assert_eq!(ran.code, UNDECIDED, "{}", ran.stderr);
            plain(&ran);
        }
        place.expect(UNDECIDED, &verify(name), &[name, damaged]);
    }
    let mut description = 8u64.to_le_bytes().to_vec();
    description.extend([0xff; 8]);
    let bytes = files::encode_container(Kind::Model, "none", &description).expect("encoded");
    place.write("m.fold", bytes);
    plain(&place.expect(UNDECIDED, &["model-id", "m.fold"], &["m.fold", damaged]));

    let model = fixture("gemm");
    let hint = ["gemm.onnx", "may be an ONNX model", "foldnet compile"];
    place.expect(UNDECIDED, &["model-id", &model], &hint);
    place.write("input.json", INPUT);
    let json = ["mock", "input.json", "--input", "input.json"];
    place.expect(UNDECIDED, &json, &["not a foldnet file; it may be JSON"]);
}

/// A rejection says what may have been mixed up, the same for all kinds of proof, and an acceptance by an id
/// alone what is not known of the weights.
#[test]
fn verdicts_say_what_they_depend_on() {
    let (place, shared) = (Place::new(), shared());
    place.write("input.json", INPUT);
    let prove = ["prove", &shared.fold, "--input", "input.json", "-o"];
    let prove = [&prove[..], &["s.proof", "--proof", "spartan"]].concat();
    place.expect(ACCEPTED, &prove, &[]);
    let other = format!("0x{}1", "0".repeat(63));
    let advice = [
        "If the proof should be true, compare: that --model-id is the id of this very program",
        "--private model",
    ];
    for proof in [shared.proof.as_str(), "s.proof"] {
        place.expect(REJECTED, &["verify", proof, "--model-id", &other], &advice);
        let by_id = ["verify", proof, "--model-id", &shared.id];
        let ran = place.expect(ACCEPTED, &by_id, &[]);
        let caveat = "if the id is that of a private model, the weights are whatever";
        assert!(ran.stdout.contains(caveat), "{}", ran.stdout);
        let by_model = ["verify", proof, "--model", &shared.fold];
        let ran = place.expect(ACCEPTED, &by_model, &[]);
        assert!(!ran.stdout.contains("the weights are"), "{}", ran.stdout);
    }
    // A public model's proof against the id under blinds, as when `model` is left out of --private.
    std::fs::copy(&shared.fold, place.path("m.fold")).expect("copied");
    let private = ["prove", "m.fold", "--input", "input.json", "-o", "p.proof"];
    let private = [&private[..], &["--proof", "spartan", "--private", "model"]].concat();
    place.expect(ACCEPTED, &private, &[]);
    let by_model = ["verify", "p.proof", "--model", "m.fold"];
    let advice = [
        "that --model is the very program",
        "then say --private model",
    ];
    place.expect(REJECTED, &by_model, &advice);
}

/// A directory of proofs of one kind is not turned into one of another.
#[test]
fn proofs_of_another_kind_are_not_replaced() {
    let (place, shared) = (Place::new(), shared());
    std::fs::create_dir(place.path("in")).expect("created");
    std::fs::create_dir(place.path("out")).expect("created");
    place.write("in/a.json", INPUT);
    place.write("out/a.proof", &shared.bytes);
    let start = ["batch", &shared.fold, "--inputs", "in", "-o", "out"];
    let spartan = [&start[..], &["--proof", "spartan"]].concat();
    let parts = ["out/a.proof is a folded proof and is not replaced by a spartan one"];
    place.expect(UNDECIDED, &spartan, &parts);
    let bytes = std::fs::read(place.path("out/a.proof")).expect("kept");
    assert!(bytes == shared.bytes);
}

/// A cache of nothing but damaged keys is no success, and a key file has its own remedy.
#[test]
fn a_cache_of_damaged_keys_is_an_error() {
    let place = Place::new();
    std::fs::create_dir(place.path("keys")).expect("created");
    place.write("keys/noise.key", "noise");
    let list = ["--cache", "keys", "keys", "list"];
    let parts = [
        "noise.key: not a foldnet file; delete it",
        "none of the key files",
    ];
    place.expect(UNDECIDED, &list, &parts);
}

/// A private input is in no message, also where it consists of tokens.
#[test]
fn private_tokens_are_not_shown() {
    let place = Place::new();
    let rows: Vec<Vec<usize>> = (0..12)
        .map(|i| (0..5).map(|j| (i + j) % 12).collect())
        .collect();
    place.write("samples.json", json!({ "input_data": rows }).to_string());
    compile(&place, &fixture("tokens"), &[]);
    for (token, is) in [(3.8125, "no integer"), (98765.0, "outside")] {
        let input = json!({ "input_data": [[0, 1, 2, 3, token]] });
        place.write("input.json", input.to_string());
        let prove = ["prove", "m.fold", "--input", "input.json", "-o", "p"];
        let private = ["--proof", "spartan", "--private", "input"];
        let private = [&prove[..], &private].concat();
        let ran = place.expect(UNDECIDED, &private, &["input value 4 is", is]);
        let shown = token.to_string();
        assert!(!ran.stderr.contains(&shown), "{}", ran.stderr);
    }
}
