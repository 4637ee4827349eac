//! `foldnet inspect`: nodes, and the plan with and without samples.

use crate::{ACCEPTED, Place, UNDECIDED, samples, source};
use serde_json::Value;

/// Inspects a file; returns standard output and the plan.
fn inspect(place: &Place, file: &str, more: &[&str]) -> (String, Value) {
    let arguments = [&["inspect", file, "--json", "i.json"][..], more].concat();
    let ran = place.expect(ACCEPTED, &arguments, &[]);
    (ran.stdout, place.json("i.json")["plan"].clone())
}

fn constraints(plan: &Value) -> Vec<u64> {
    let kinds = plan["kinds"].as_array().expect("kinds");
    let of = |kind: &Value| kind["constraints"].as_u64().expect("a number");
    kinds.iter().map(of).collect()
}

#[test]
fn the_plan_is_shown_with_and_without_samples() {
    let place = Place::new();
    let model = source("tests/fixtures/gemm.onnx").display().to_string();
    place.write("samples.json", samples());
    let (stdout, made_up) = inspect(&place, &model, &[]);
    for part in ["made-up inputs", "memory, groth16", "kind 0: ", "step 0 "] {
        assert!(stdout.contains(part), "`{part}` is missing: {stdout}");
    }
    assert_eq!(made_up["scales"], "made-up inputs");
    let compile = ["compile", &model, "--samples", "samples.json"];
    let output = ["-o", "m.fold", "--json", "c.json"];
    place.expect(ACCEPTED, &[&compile[..], &output].concat(), &[]);
    let (stdout, sampled) = inspect(&place, &model, &["--samples", "samples.json"]);
    assert!(stdout.contains("as `compile` makes it"), "{stdout}");
    let (stdout, program) = inspect(&place, "m.fold", &[]);
    assert!(stdout.contains("activation bits"), "{stdout}");

    // With samples it is the plan of `compile`, which the program has.
    for key in ["steps", "kinds", "weight_variables"] {
        assert_eq!(sampled[key], program[key], "{key}");
        let compiled = &place.json("c.json")[key];
        let count = sampled[key].as_array().map(Vec::len);
        assert_eq!(
            compiled.as_u64(),
            count.map(|n| n as u64).or(sampled[key].as_u64()),
            "{key}"
        );
    }
    let memory = &sampled["predicted_peak_memory_bytes"];
    assert_eq!(
        memory["groth16"],
        place.json("c.json")["predicted_peak_memory_bytes"]
    );
    // Without them constraints differ by the widths of accumulators.
    assert_eq!(made_up["steps"], sampled["steps"]);
    for (a, b) in constraints(&made_up).iter().zip(constraints(&sampled)) {
        assert!(a.abs_diff(b) < b / 50, "{a} {b}");
    }
    let both = ["inspect", "m.fold", "--samples", "samples.json"];
    place.expect(UNDECIDED, &both, &["--samples is for models"]);
}

/// Every model of the examples that can be compiled has a plan without samples.
#[test]
fn every_example_has_a_plan() {
    let place = Place::new();
    for name in [
        "mlp",
        "lenet",
        "lenet_qdq",
        "lenet_qdq_asymmetric",
        "lenet_qlinear",
        "residual",
        "separable",
        "transformer",
        "transformer_gelu",
    ] {
        let model = source(&format!("examples/networks/{name}.onnx"));
        let (stdout, plan) = inspect(&place, &model.display().to_string(), &[]);
        assert!(!constraints(&plan).is_empty(), "{name}: {stdout}");
    }
}

/// A model whose plan does not exist is inspected all the same, and the reason is shown.
#[test]
fn a_plan_that_does_not_exist_is_no_error() {
    let place = Place::new();
    let zeros = serde_json::json!({ "input_data": [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]] });
    place.write("zeros.json", zeros.to_string());
    let model = source("tests/fixtures/gemm.onnx").display().to_string();
    let (stdout, plan) = inspect(&place, &model, &["--samples", "zeros.json"]);
    assert!(stdout.contains("gives no scale"), "{stdout}");
    let reason = plan["reason"].as_str().expect("a reason");
    assert!(reason.contains("a largest magnitude of 0"), "{reason}");
}
