//! Quantised graphs against float graphs: the networks of examples/networks, bounds and errors.

mod document;

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
        report.agreeing.unwrap(),
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
    let mut saturated = Vec::new();
    for method in ["max", "99.9", "mse"] {
        let options = QuantiseOptions {
            method: method.parse().unwrap(),
            ..QuantiseOptions::default()
        };
        let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
        let report = quantised.report(&float, &held.inputs, None).unwrap();
        println!("{method}: {} of 200 agree", report.agreeing.unwrap());
        assert!(report.agreeing.unwrap() >= 197, "{method}");
        let report = quantised.report(&float, &calibration.inputs, None).unwrap();
        let count: usize = report.layers.iter().map(|layer| layer.saturated).sum();
        println!("{count} cut off on the samples");
        saturated.push(count);
    }
    // By largest magnitudes, only what rounding adds can reach beyond the range.
    assert!(
        saturated[0] < saturated[2] && saturated[2] < saturated[1],
        "{saturated:?}"
    );
}

/// The rows of a file of expected integers.
#[derive(serde::Deserialize)]
struct Expected {
    output: Vec<Vec<f64>>,
}

/// How a file's logits compare with those of onnxruntime, in steps of the integer network.
struct Compared {
    bits: u32,
    /// Of the float graph, with the file's own rounding: logits that are equal, and the largest difference.
    floats: (usize, f64),
    /// Of the integer network.
    integers: (usize, f64),
    /// Both ours, on the inputs of the file.
    report: Report,
    quantised: Quantised,
}

/// The scales of quantised layers are in the file; others are calibrated.
fn compared(name: &str) -> Compared {
    let (calibration, held) = (samples("samples"), samples("heldout"));
    let float = network(name);
    let bits = float.least_bits().max(8);
    let options = QuantiseOptions {
        bits,
        ..QuantiseOptions::default()
    };
    let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
    let text = std::fs::read_to_string(root(&format!("examples/networks/{name}.expected.json")));
    let expected: Expected = serde_json::from_str(&text.unwrap()).unwrap();
    let inputs = &held.inputs[..expected.output.len()];
    let scale = quantised.graph.output_scale();
    let evaluator = quantised.graph.evaluator().unwrap();
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for input in inputs {
        let logits = float.evaluate(input).unwrap();
        floats.push(logits.iter().map(|y| y / scale).collect::<Vec<_>>());
        let input = quantised.input(input).unwrap();
        let output = evaluator.output(&input.values).unwrap();
        integers.push(output.iter().map(|&q| q as f64).collect::<Vec<_>>());
    }
    // What is expected of a quantised output are its integers, with the file's zero point.
    let (unit, zero) = if name == "lenet_qlinear" {
        (scale, 0.0)
    } else {
        (1.0, (expected.output[0][0] - floats[0][0]).round())
    };
    let off = |rows: &[Vec<f64>]| {
        let pairs = rows.iter().flatten().zip(expected.output.iter().flatten());
        let off: Vec<f64> = pairs
            .map(|(ours, theirs)| (ours + zero - theirs / unit).abs())
            .collect();
        let equal = off.iter().filter(|&&off| off < 0.5).count();
        (equal, off.iter().copied().fold(0.0, f64::max))
    };
    Compared {
        bits,
        floats: off(&floats),
        integers: off(&integers),
        report: quantised.report(&float, inputs, None).unwrap(),
        quantised,
    }
}

/// The integers are those of onnxruntime but for ties: averages of four integers are often halfway
/// between two, and float32, float64 and the integer network, which rounds up, each decide in their own
/// way. What comes before the average is exact.
#[test]
fn quantised_files_keep_their_integers() {
    let mut table = String::from(
        "| file | bits | logits equal, ours in float64 | largest difference | logits equal, integers | \
         largest difference | predictions agree |\n|---|---|---|---|---|---|---|\n",
    );
    // Bounds of both differences in steps.
    for (name, bits, of_floats, of_integers) in [
        ("lenet_qdq", 8, 2.5, 3.5),
        ("lenet_qdq_asymmetric", 9, 2.5, 3.5),
        ("lenet_qlinear", 8, 1.0, 3.5),
    ] {
        let Compared {
            bits: needed,
            floats,
            integers,
            report,
            quantised,
        } = compared(name);
        assert_eq!(needed, bits, "{name}");
        print(name, &quantised, &report);
        println!("{name}: floats {floats:?}, integers {integers:?} of 1000");
        assert!(floats.1 < of_floats && integers.1 < of_integers, "{name}");
        assert!(report.agreeing.unwrap() >= 99, "{name}");
        let pool = report.layers.iter();
        let pool = pool
            .map(|layer| layer.layer)
            .position(|layer| layer == "average pool");
        let pool = pool.unwrap();
        for layer in &report.layers[..pool] {
            assert!(layer.signal_to_noise > 60.0, "{name}: {layer:?}");
        }
        // Where the file gives no scale, an input beyond the samples saturates the average.
        if network(name).nodes[pool].step.is_some() {
            let step = quantised.graph.nodes[pool].scale;
            assert!(report.layers[pool].largest_error < 1.1 * step, "{name}");
        }
        table += &format!(
            "| `{name}.onnx` | {bits} | {} of 1,000 | {:.1} | {} of 1,000 | {:.1} | {} of 100 |\n",
            floats.0,
            floats.1,
            integers.0,
            integers.1,
            report.agreeing.unwrap()
        );
    }
    document::compare("quantised", &table);
}

#[test]
fn branches_of_different_scales_are_requantised() {
    let float = FloatGraph::open(root("tests/fixtures/quantised_branches.onnx")).unwrap();
    let operations: Vec<_> = float.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(
        operations,
        [
            "Linear", "Linear", "Function", "Combine", "Combine", "Gather", "Combine"
        ]
    );
    assert_eq!(float.least_bits(), 8);
    let samples: Vec<Vec<f32>> = (0..20)
        .map(|i| {
            (0..6)
                .map(|j| ((i * 7 + j * 5) % 23) as f32 / 12.0 - 0.9)
                .collect()
        })
        .collect();
    let quantised = Quantised::new(&float, &samples, &QuantiseOptions::default()).unwrap();
    let report = quantised.report(&float, &samples, None).unwrap();
    print("branches", &quantised, &report);
    let step = f64::from(3.0f32 / 127.0);
    assert!((quantised.graph.output_scale() - step).abs() < 1e-9);
    // Rounded once to the scale of the whole, once to that of the file.
    assert!(report.largest_error < 1.6 * step, "{report:?}");
}
