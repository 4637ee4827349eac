//! Quantised graphs against float graphs: the networks of examples/networks, bounds and errors.

use foldnet::model::{FloatGraph, LayerReport, QuantiseOptions, Quantised, Report, Samples, json};
use std::path::{Path, PathBuf};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn network(name: &str) -> FloatGraph {
    FloatGraph::open(root(&format!("examples/networks/{name}.onnx"))).unwrap()
}

fn samples(name: &str) -> Samples {
    let text = std::fs::read_to_string(root(&format!("examples/networks/{name}.json"))).unwrap();
    json::samples(&text, 64).unwrap()
}

fn print(name: &str, quantised: &Quantised, report: &Report) {
    println!(
        "{name}: {} of {} agree, {:?} correct, largest error {:.3}, scale {:.4}",
        report.agreeing,
        report.float.len(),
        report.correct,
        report.largest_error,
        quantised.graph.output_scale()
    );
    for layer in &report.layers {
        let LayerReport {
            name,
            layer,
            mean_error,
            largest_error,
            signal_to_noise,
            saturated,
            accumulator_bits,
        } = layer;
        println!(
            "  {name:30} {layer:14} mean {mean_error:9.5} most {largest_error:9.5} \
             {signal_to_noise:6.1} dB {saturated:6} cut off, {accumulator_bits:?} bits"
        );
    }
}

#[test]
fn networks_keep_their_accuracy() {
    let (calibration, held) = (samples("samples"), samples("heldout"));
    for name in [
        "mlp",
        "lenet",
        "residual",
        "separable",
        "transformer",
        "transformer_gelu",
    ] {
        let float = network(name);
        let options = QuantiseOptions::default();
        let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
        let report = quantised
            .report(&float, &held.inputs, held.labels.as_deref())
            .unwrap();
        print(name, &quantised, &report);
        let (of_floats, of_integers) = report.correct.unwrap();
        assert_eq!(held.inputs.len(), 1000);
        // Half a point of 1,000 predictions.
        assert!(
            of_floats <= of_integers + 5,
            "{name}: {of_floats} {of_integers}"
        );
    }
}

#[test]
fn every_method_keeps_the_accuracy() {
    let (calibration, mut held) = (samples("samples"), samples("heldout"));
    held.inputs.truncate(200);
    let float = network("separable");
    for method in ["max", "99.9", "mse"] {
        let options = QuantiseOptions {
            method: method.parse().unwrap(),
            ..QuantiseOptions::default()
        };
        let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
        let report = quantised.report(&float, &held.inputs, None).unwrap();
        println!("{method}: {} of 200 agree", report.agreeing);
        assert!(report.agreeing >= 197, "{method}");
        let saturated: usize = quantised
            .report(&float, &calibration.inputs, None)
            .unwrap()
            .layers
            .iter()
            .map(|layer| layer.saturated)
            .sum();
        // By largest magnitudes, what rounding adds can still reach beyond the range.
        assert_eq!(saturated > 100, method != "max", "{method}: {saturated}");
    }
}

/// The rows of a file of expected integers.
#[derive(serde::Deserialize)]
struct Expected {
    output: Vec<Vec<f64>>,
}

#[test]
fn quantised_files_are_taken_exactly() {
    let held = samples("heldout");
    for (name, bits) in [("lenet_qdq", 8), ("lenet_qdq_asymmetric", 9)] {
        let float = network(name);
        assert_eq!(float.least_bits(), bits, "{name}");
        let options = QuantiseOptions {
            bits,
            ..QuantiseOptions::default()
        };
        let quantised = Quantised::new(&float, &held.inputs[..1], &options).unwrap();
        let text =
            std::fs::read_to_string(root(&format!("examples/networks/{name}.expected.json")));
        let expected: Expected = serde_json::from_str(&text.unwrap()).unwrap();
        let evaluator = quantised.graph.evaluator().unwrap();
        let (mut equal, mut total, mut off) = (0, 0, 0.0f64);
        for (input, expected) in held.inputs.iter().zip(&expected.output) {
            let input = quantised.input(input).unwrap();
            let output = evaluator.output(&input.values).unwrap();
            assert_eq!(output.len(), expected.len());
            // The zero point of the logits is the same for all of them.
            let shift = output[0] as f64 - expected[0];
            for (ours, theirs) in output.iter().zip(expected) {
                let difference = (*ours as f64 - theirs - shift).abs();
                off = off.max(difference);
                equal += usize::from(difference == 0.0);
                total += 1;
            }
        }
        println!("{name}: {equal} of {total} integers equal, at most {off} off");
        assert!(off <= 1.0 && equal * 100 >= total * 99, "{name}");
    }
}
