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

/// What onnxruntime computes, one row an image.
#[derive(serde::Deserialize)]
struct Expected {
    /// Node by node.
    output: Vec<Vec<f64>>,
    /// With its usual fusion of nodes.
    fused: Option<Vec<Vec<f64>>>,
}

/// How many logits are those of onnxruntime, and the largest difference, in steps of the logits' scale.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Agreement {
    equal: usize,
    most: f64,
}

impl Agreement {
    const EXACT: Agreement = Agreement {
        equal: 1000,
        most: 0.0,
    };

    /// Of logits in steps, whose zero point in the file is `zero`, with those of the file in units.
    fn new(ours: &[Vec<f64>], theirs: &[Vec<f64>], (zero, unit): (f64, f64)) -> Self {
        assert_eq!(ours.len(), theirs.len());
        let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
        let off: Vec<f64> = pairs.map(|(a, b)| (a + zero - b / unit).abs()).collect();
        assert_eq!(off.len(), 1000);
        Agreement {
            equal: off.iter().filter(|&&off| off < 0.5).count(),
            most: off.iter().copied().fold(0.0, f64::max),
        }
    }

    fn cells(self) -> String {
        let equal = match self.equal {
            1000 => "all".into(),
            equal => equal.to_string(),
        };
        format!("{equal} of 1,000 | {:.1}", self.most)
    }
}

/// A file that is quantised already, and its logits on 100 inputs.
struct Compared {
    bits: u32,
    /// Of the float graph, with the file's own rounding, in steps.
    floats: Vec<Vec<f64>>,
    integers: Vec<Vec<f64>>,
    expected: Expected,
    /// Of the integer network against the float graph.
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
        let steps = |y: &f64| {
            let steps = y / scale;
            // Logits with a step in the file are multiples of it, but for float64's rounding.
            if expected.fused.is_some() {
                steps.round()
            } else {
                steps
            }
        };
        floats.push(float.evaluate(input).unwrap().iter().map(steps).collect());
        let input = quantised.input(input).unwrap();
        let output = evaluator.output(&input.values).unwrap();
        integers.push(output.iter().map(|&q| q as f64).collect());
    }
    Compared {
        bits,
        floats,
        integers,
        report: quantised.report(&float, inputs, None).unwrap(),
        expected,
        quantised,
    }
}

/// Scales, zero points and roundings are in the file, and the integers are those of onnxruntime but for
/// three reasons, which docs/operators.md explains: ties of averages, which onnxruntime computes in
/// float32 (`lenet_qdq*`); a softmax (`branches_qoperator`); layers that the file leaves in float
/// (`lenet_qlinear`).
#[test]
fn quantised_files_keep_their_integers() {
    let mut table = String::from(
        "| file | bits | equal, node by node | largest difference | equal, fused | largest difference | \
         predictions agree |\n|---|---|---|---|---|---|---|\n",
    );
    // Of the integer network: the least numbers of equal logits, and the largest differences.
    for (name, bits, zero, single, fused) in [
        ("lenet_qdq", 8, 0.0, (664, 2.0), (1000, 0.0)),
        ("lenet_qdq_asymmetric", 9, 140.0, (826, 2.0), (814, 2.0)),
        ("lenet_qoperator", 9, 12.0, (1000, 0.0), (1000, 0.0)),
        ("residual_qoperator", 9, 137.0, (1000, 0.0), (1000, 0.0)),
        ("branches_qoperator", 9, 0.0, (910, 1.0), (910, 1.0)),
        ("lenet_qlinear", 8, 0.0, (0, 3.5), (0, 3.5)),
    ] {
        let found = compared(name);
        assert_eq!(found.bits, bits, "{name}");
        print(name, &found.quantised, &found.report);
        assert!(found.report.agreeing.unwrap() >= 99, "{name}");
        table += &format!("| `{name}.onnx` | {bits} | ");
        let unit = match found.expected.fused {
            Some(_) => 1.0,
            None => found.quantised.graph.output_scale(),
        };
        for (theirs, (equal, most)) in [
            (Some(&found.expected.output), single),
            (found.expected.fused.as_ref(), fused),
        ] {
            let Some(theirs) = theirs else {
                table += "- | - | ";
                continue;
            };
            let of_floats = Agreement::new(&found.floats, theirs, (zero, unit));
            let of_integers = Agreement::new(&found.integers, theirs, (zero, unit));
            println!("{name}: floats {of_floats:?}, integers {of_integers:?}");
            let kept = of_integers.equal >= equal && of_integers.most <= most;
            assert!(kept, "{name}: {of_integers:?}");
            // The file's own rounding in float64: the integer network adds no error but that of a softmax.
            match name {
                "lenet_qlinear" => assert!(of_floats.most < 0.01, "{of_floats:?}"),
                "branches_qoperator" => assert_eq!(of_floats, Agreement::EXACT, "{name}"),
                _ => assert_eq!(of_floats, of_integers, "{name}"),
            }
            table += &format!("{} | ", of_integers.cells());
        }
        table += &format!("{} of 100 |\n", found.report.agreeing.unwrap());
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
