//! `--memory`: what does not fit is refused before the work, with the least budget that does.

use crate::{ACCEPTED, INPUT, Place, UNDECIDED, shared, source};

/// The number of mebibytes that a refusal asks for.
fn asked(stderr: &str) -> u64 {
    let (_, rest) = stderr.split_once("use --memory ").expect("an advice");
    let (number, _) = rest.split_once('M').expect("a number and M");
    number.parse().expect("a number")
}

#[test]
fn a_proof_that_does_not_fit_is_refused_with_the_least_budget() {
    let (place, shared) = (Place::new(), shared());
    place.write("input.json", INPUT);
    let prove = |memory: &str| {
        let start = [
            "prove",
            &shared.fold,
            "--input",
            "input.json",
            "-o",
            "s.proof",
        ];
        let rest = ["--proof", "spartan", "--json", "s.json", "--memory", memory];
        let arguments: Vec<String> = [&start[..], &rest]
            .concat()
            .iter()
            .map(|a| a.to_string())
            .collect();
        arguments
    };
    let run = |code: i32, memory: &str, parts: &[&str]| {
        let arguments = prove(memory);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        place.expect(code, &arguments, parts)
    };
    let ran = run(
        UNDECIDED,
        "10M",
        &["estimate: ", "10.0 MiB are given", "or more"],
    );
    assert!(!ran.stderr.contains("development keys"), "{}", ran.stderr);
    assert_eq!(place.files(), ["input.json"]);
    let least = asked(&ran.stderr);
    run(UNDECIDED, &format!("{}MiB", least - 1), &["are given"]);
    run(ACCEPTED, &format!("{least}m"), &["estimate: "]);

    // What was predicted stands beside what was measured, and is near it.
    let json = place.json("s.json");
    let number = |key: &str| {
        json[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {json}"))
    };
    assert_eq!(
        number("predicted_peak_memory_bytes") as u64 >> 20,
        least - 1
    );
    let memory = number("predicted_to_measured_peak_memory_bytes");
    assert!((0.9..1.6).contains(&memory), "{memory}");
    let proof = number("predicted_to_measured_proof_bytes");
    assert!((0.8..1.25).contains(&proof), "{proof}");
    assert!(number("predicted_fold_seconds") > 0.0);

    for memory in ["", "much", "1X", "nan", "1e30T"] {
        run(UNDECIDED, memory, &["--memory"]);
    }
}

#[test]
fn a_budget_makes_smaller_steps() {
    let place = Place::new();
    let digits = |name: &str| source("examples/digits").join(name).display().to_string();
    let (model, inputs) = (digits("mlp.onnx"), digits("samples.json"));
    let compile = |memory: &str, code: i32, parts: &[&str]| {
        let start = ["compile", &model, "--samples", &inputs, "-o", "m.fold"];
        let rest = ["--json", "m.json", "--proof", "spartan", "--memory", memory];
        place.expect(code, &[&start[..], &rest].concat(), parts)
    };
    compile("4G", ACCEPTED, &[]);
    let large = place.json("m.json");
    assert_eq!(large["steps"], 1);
    let bytes = |json: &serde_json::Value| json["predicted_peak_memory_bytes"].as_u64();
    let predicted = bytes(&large).expect("a prediction");
    std::fs::remove_file(place.path("m.fold")).expect("removed");

    let ran = compile(
        "20M",
        UNDECIDED,
        &["mlp.onnx", "a spartan proof takes", "or more"],
    );
    assert!(!place.path("m.fold").exists());
    let least = asked(&ran.stderr);
    compile(&format!("{}M", least - 1), UNDECIDED, &["or more"]);
    compile(&format!("{least}M"), ACCEPTED, &[]);
    assert!(bytes(&place.json("m.json")) <= Some(least << 20));
    assert!(least << 20 <= predicted + (1 << 20));
}
