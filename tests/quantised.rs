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
    let mut saturated = Vec::new();
    for method in ["max", "99.9", "mse"] {
        let options = QuantiseOptions {
            method: method.parse().unwrap(),
            ..QuantiseOptions::default()
        };
        let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
        let report = quantised.report(&float, &held.inputs, None).unwrap();
        println!("{method}: {} of 200 agree", report.agreeing);
        assert!(report.agreeing >= 197, "{method}");
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

/// The integers of onnxruntime, one row an image: with every node by itself, and with its usual fusion.
#[derive(serde::Deserialize)]
struct Expected<T> {
    output: Vec<Vec<T>>,
    fused: Option<Vec<Vec<T>>>,
}

fn expected<T: serde::de::DeserializeOwned>(name: &str) -> Expected<T> {
    let path = format!("examples/networks/{name}.expected.json");
    serde_json::from_str(&std::fs::read_to_string(root(&path)).unwrap()).unwrap()
}

/// How many integers are those of onnxruntime, and the largest difference.
#[derive(Debug, PartialEq, Eq)]
struct Agreement {
    equal: usize,
    most: i64,
}

/// Compares integers with zero point 0 with others whose zero point is the same everywhere.
fn agreement(ours: &[Vec<i64>], theirs: &[Vec<i64>], zero: i64) -> Agreement {
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
    let off: Vec<i64> = pairs.map(|(a, b)| (a + zero - b).abs()).collect();
    assert_eq!(off.len(), 1000);
    Agreement {
        equal: off.iter().filter(|&&off| off == 0).count(),
        most: off.iter().copied().max().unwrap(),
    }
}

/// A file that is quantised already, and how its 1,000 logits compare with those of onnxruntime.
struct File {
    name: &'static str,
    bits: u32,
    /// Of the logits.
    zero: i64,
    /// Node by node, as [`Agreement::equal`] and [`Agreement::most`].
    single: (usize, i64),
    /// With fusion.
    fused: (usize, i64),
}

/// Scales and zero points are in the file; the integers are those of onnxruntime, and of the float graph
/// with its rounding. Where they are not:
///
/// * An average of four integers is often halfway between two. It goes to the even one here, but
///   onnxruntime computes it in float32, whose rounding errors decide (`lenet_qdq*`).
/// * A softmax rounds to its own scale, then to that of the file (`branches_qoperator`).
#[test]
fn quantised_files_keep_their_integers() {
    let held = samples("heldout");
    let file = |name, bits, zero, single, fused| File {
        name,
        bits,
        zero,
        single,
        fused,
    };
    for File {
        name,
        bits,
        zero,
        single,
        fused,
    } in [
        file("lenet_qdq", 8, 0, (664, 2), (1000, 0)),
        file("lenet_qdq_asymmetric", 9, 140, (826, 2), (814, 2)),
        file("lenet_qoperator", 9, 12, (1000, 0), (1000, 0)),
        file("residual_qoperator", 9, 137, (1000, 0), (1000, 0)),
        file("branches_qoperator", 9, 0, (910, 1), (910, 1)),
    ] {
        let float = network(name);
        assert_eq!(float.least_bits(), bits, "{name}");
        let options = QuantiseOptions {
            bits,
            ..QuantiseOptions::default()
        };
        let quantised = Quantised::new(&float, &held.inputs[..1], &options).unwrap();
        let expected: Expected<i64> = expected(name);
        let inputs = &held.inputs[..expected.output.len()];
        let scale = quantised.graph.output_scale();
        let evaluator = quantised.graph.evaluator().unwrap();
        // The file's own rounding, in floats; and the integer network.
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        for input in inputs {
            let logits = float.evaluate(input).unwrap();
            floats.push(logits.iter().map(|y| (y / scale).round() as i64).collect());
            let input = quantised.input(input).unwrap();
            integers.push(evaluator.output(&input.values).unwrap());
        }
        let report = quantised.report(&float, inputs, None).unwrap();
        print(name, &quantised, &report);
        assert_eq!(report.agreeing, 100, "{name}");
        let softmax = name == "branches_qoperator";
        for (theirs, (equal, most)) in [
            (&expected.output, single),
            (expected.fused.as_ref().unwrap(), fused),
        ] {
            let of_floats = agreement(&floats, theirs, zero);
            let of_integers = agreement(&integers, theirs, zero);
            println!("{name}: floats {of_floats:?}, integers {of_integers:?} of 1000");
            assert_eq!(of_integers, Agreement { equal, most }, "{name}");
            // The integer network adds no error but that of a softmax.
            let exact = Agreement {
                equal: 1000,
                most: 0,
            };
            assert_eq!(
                of_floats,
                if softmax { exact } else { of_integers },
                "{name}"
            );
        }
    }
}

/// Convolutions of integers, the rest in floats.
#[test]
fn files_with_some_operators_quantised_agree() {
    let float = network("lenet_qlinear");
    let expected: Expected<f64> = expected("lenet_qlinear");
    let held = samples("heldout");
    let mut most = 0.0f64;
    for (input, theirs) in held.inputs.iter().zip(&expected.output) {
        let ours = float.evaluate(input).unwrap();
        for (a, b) in ours.iter().zip(theirs) {
            most = most.max((a - b).abs());
        }
    }
    println!("largest difference of logits {most:e}");
    // float32 rounding.
    assert!(most < 1e-4, "{most}");
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
