//! Quantised graphs against float graphs: the networks of examples/networks, bounds and errors.

use foldnet::model::{
    FloatGraph, LayerReport, Method, QuantiseOptions, Quantised, Report, Samples, json,
};
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
fn methods_compare() {
    let (calibration, held) = (samples("samples"), samples("heldout"));
    for name in ["separable", "transformer"] {
        let float = network(name);
        for method in [
            Method::MinMax,
            Method::Percentile(99.9),
            Method::MeanSquaredError,
        ] {
            let options = QuantiseOptions {
                method,
                ..QuantiseOptions::default()
            };
            let quantised = Quantised::new(&float, &calibration.inputs, &options).unwrap();
            let report = quantised
                .report(&float, &held.inputs, held.labels.as_deref())
                .unwrap();
            println!(
                "{name} {method:?}: {:?} agree {}",
                report.correct, report.agreeing
            );
            let (of_floats, of_integers) = report.correct.unwrap();
            assert!(
                of_floats <= of_integers + 20,
                "{name}: {of_floats} {of_integers}"
            );
        }
    }
}
