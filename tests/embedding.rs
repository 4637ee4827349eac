//! Networks that index tables by computed integers: read, compared with tract and with floats, quantised
//! exactly, proven, and refused where an index is none.

use foldnet::error::Error;
use foldnet::fold::prover::Start;
use foldnet::model::graph::FloatOp;
use foldnet::model::{
    FloatGraph, FloatReference, IntegerGraph, ModelError, OutOfRange, PlanOptions, QuantiseOptions,
    Quantised,
};
use foldnet::program::Program;
use foldnet::progress::Silent;
use foldnet::session::{Architecture, Session};
use foldnet_gadgets::cycle::Bn254;
use foldnet_layers::layer::Layer;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    let path = format!("tests/fixtures/{name}.onnx");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Model, length of its input, rows of its table, and the operations that it becomes.
const MODELS: [(&str, usize, u64, &[&str]); 4] = [
    (
        "tokens",
        5,
        12,
        &[
            "OneHot",
            "Linear",
            "Linear",
            "Normalise",
            "Linear",
            "AveragePool",
            "Linear",
        ],
    ),
    (
        "moved_tokens",
        4,
        9,
        &["Gather", "OneHot", "Linear", "Linear"],
    ),
    ("one_hot", 3, 7, &["OneHot", "Linear", "AveragePool"]),
    ("one_hot_first", 3, 7, &["OneHot", "Gather", "Linear"]),
];

fn tokens(random: &mut impl RngCore, length: usize, rows: u64) -> Vec<f32> {
    (0..length)
        .map(|_| (random.next_u64() % rows) as f32)
        .collect()
}

fn samples(length: usize, rows: u64, count: usize) -> Vec<Vec<f32>> {
    let mut random = ChaCha20Rng::seed_from_u64(3);
    (0..count)
        .map(|_| tokens(&mut random, length, rows))
        .collect()
}

fn with_bits(bits: u32) -> QuantiseOptions {
    QuantiseOptions {
        bits,
        ..QuantiseOptions::default()
    }
}

fn quantised(name: &str, length: usize, rows: u64) -> (FloatGraph, Quantised) {
    let float = FloatGraph::open(fixture(name)).unwrap();
    let samples = samples(length, rows, 40);
    let quantised = Quantised::new(&float, &samples, &QuantiseOptions::default()).unwrap();
    (float, quantised)
}

#[test]
fn lookups_equal_tract() {
    for (name, length, rows, operations) in MODELS {
        let graph = FloatGraph::open(fixture(name)).unwrap();
        assert!(graph.takes_integers(), "{name}");
        let read: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(read, operations, "{name}");
        let reference = FloatReference::open(fixture(name)).unwrap();
        for input in samples(length, rows, 20) {
            let ours = graph.evaluate(&input).unwrap();
            let theirs = reference.evaluate(&input).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (a, &b) in ours.iter().zip(&theirs) {
                assert!((a - f64::from(b)).abs() < 1e-4, "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn indices_of_an_arg_max_choose_rows() {
    let graph = FloatGraph::open(fixture("embedding")).unwrap();
    let reference = FloatReference::open(fixture("embedding")).unwrap();
    let operations: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(operations, ["ArgMax", "OneHot", "Linear"]);
    let inputs: Vec<Vec<f32>> = (0..6u8)
        .map(|largest| {
            (0..6u8)
                .map(|i| f32::from(u8::from(i == largest)))
                .collect()
        })
        .collect();
    for input in &inputs {
        let ours = graph.evaluate(input).unwrap();
        let theirs = reference.evaluate(input).unwrap();
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - f64::from(b)).abs() < 1e-6, "{a} {b}");
        }
    }
    // Samples that always give index zero leave the indices exact, too.
    let network = Quantised::new(&graph, &inputs[..1], &QuantiseOptions::default()).unwrap();
    assert_eq!(network.graph.nodes[0].scale, 1.0);
    let report = network.report(&graph, &inputs[..1], None).unwrap();
    assert_eq!(report.layers[0].largest_error, 0.0);
    assert_eq!(report.layers[1].largest_error, 0.0);
}

#[test]
fn integers_follow_floats_and_indices_are_exact() {
    for (name, length, rows, _) in MODELS {
        let (float, network) = quantised(name, length, rows);
        assert_eq!(network.graph.input_scale, 1.0, "{name}");
        let inputs = samples(length, rows, 60);
        let report = network.report(&float, &inputs, None).unwrap();
        assert_eq!(report.saturated_inputs, 0);
        for (node, layer) in float.nodes.iter().zip(&report.layers) {
            let integers = matches!(node.op, FloatOp::OneHot(_));
            assert!(!integers || layer.largest_error == 0.0, "{name}: {layer:?}");
            assert!(layer.signal_to_noise > 25.0, "{name}: {layer:?}");
        }
        let largest = float.evaluate(&inputs[0]).unwrap();
        let largest = largest.iter().fold(0.1f64, |most, x| most.max(x.abs()));
        assert!(
            report.largest_error < 0.1 * largest.max(1.0),
            "{name}: {report:?}"
        );
    }
}

#[test]
fn a_row_of_a_table_is_rounded_once() {
    // 8 bits: the error of an embedding is half of a unit of its scale, whatever the table's size.
    let (float, network) = quantised("moved_tokens", 4, 9);
    let table = &network.graph.nodes[2];
    let report = network.report(&float, &samples(4, 9, 30), None).unwrap();
    assert!(report.layers[2].largest_error <= 0.5 * table.scale * 1.01);
    // One weight at a time: the accumulator is not larger than an output.
    let Layer::Linear(linear) = &table.layer else {
        panic!("{table:?}");
    };
    assert!(linear.requantise.accumulator_bits <= linear.requantise.shift + 7);
}

/// Proves and verifies an input; returns the output that is proven.
fn prove(graph: &IntegerGraph, plan: &PlanOptions, input: &[f32]) -> Vec<i64> {
    let program = Program::new("tokens", graph, plan).unwrap();
    let outline = program.outline();
    let quantised = outline
        .input
        .quantise(input, outline.bits, OutOfRange::Reject);
    let quantised = quantised.unwrap().values;
    let session = Session::<Bn254>::new(&Architecture::from(outline), None, &mut Silent).unwrap();
    let committed = session.commit(&program, &mut Silent).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let (run, mut inferences, _) = session
        .prove(
            &program,
            &committed,
            (&[quantised], Start::Public),
            &mut Silent,
            &mut rng,
        )
        .unwrap();
    session.verify(&run, committed.model, &inferences).unwrap();
    // Another index has another statement.
    let mut altered = inferences.clone();
    altered[0].input.values_mut().unwrap()[0] ^= 1;
    assert!(session.verify(&run, committed.model, &altered).is_err());
    inferences[0].output.values_mut().unwrap().to_vec()
}

#[test]
fn token_models_are_proven() {
    for (name, length, rows, _) in MODELS {
        let (_, network) = quantised(name, length, rows);
        let input = &samples(length, rows, 1)[0];
        let integers = network.input(input).unwrap().values;
        let expected = network
            .graph
            .evaluator()
            .unwrap()
            .output(&integers)
            .unwrap();
        let proven = prove(&network.graph, &PlanOptions::default(), input);
        assert_eq!(proven, expected, "{name}");
    }
}

#[test]
fn a_cut_may_lie_between_vectors_and_table() {
    let (_, network) = quantised("tokens", 5, 12);
    let plan = PlanOptions {
        max_weight_variables: 7,
        ..PlanOptions::default()
    };
    let steps = Program::new("tokens", &network.graph, &plan).unwrap();
    assert!(steps.outline().steps.len() > 1);
    let input = &samples(5, 12, 1)[0];
    let whole = prove(&network.graph, &PlanOptions::default(), input);
    assert_eq!(prove(&network.graph, &plan, input), whole);
}

fn refused(name: &str) -> String {
    FloatGraph::open(fixture(name)).unwrap_err().to_string()
}

#[test]
fn what_indexes_no_constant_table_is_refused_with_advice() {
    for (name, shown) in [
        (
            "table_axis",
            "node `lookup`: Gather with computed indices along axis 1 is not supported; transpose",
        ),
        (
            "table_computed",
            "node `lookup`: Gather with computed indices into an activation is not supported; index a \
             constant table",
        ),
        (
            "table_integers",
            "node `lookup`: constant `table` is INT64, expected FLOAT",
        ),
        (
            "token_sum",
            "node `shift`: Add with the integers `x` is not supported; look them up with Gather or \
             OneHot",
        ),
        (
            "large_depth",
            "node `vectors`: OneHot with a table of 40000 rows is not supported; indices are",
        ),
        (
            "one_hot_values",
            "node `vectors`: OneHot with other values than 0 and 1 is not supported; use",
        ),
        (
            "float_index",
            "node `vectors`: OneHot with indices that are computed in floats is not supported; take",
        ),
        (
            "unsigned_input",
            "graph input `x` is UINT8, expected float32, or int64 or int32",
        ),
    ] {
        let message = refused(name);
        assert!(message.starts_with(shown), "{name}: {message}");
    }
}

#[test]
fn indices_beyond_the_table_are_refused_by_name() {
    let (float, network) = quantised("tokens", 5, 12);
    let evaluator = network.graph.evaluator().unwrap();
    for (index, value) in [(12.0, 12), (-1.0, -1), (127.0, 127)] {
        let input = vec![0.0, 3.0, index, 1.0, 2.0];
        let error = float.evaluate(&input).unwrap_err().to_string();
        let expected = format!("node `lookup`: index 2 is {value}, expected 0 to 11; give indices");
        assert!(error.starts_with(&expected), "{error}");
        let integers = network.input(&input).unwrap().values;
        let error = network
            .graph
            .layer_error(evaluator.run(&integers).unwrap_err());
        let expected = format!(
            "node `lookup`: layer 0 (one hot): index 2: expected 0 to 11, got {value}; give indices"
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn inputs_that_are_no_integers_or_too_large_are_refused() {
    let (float, network) = quantised("tokens", 5, 12);
    let program = Program::new("tokens", &network.graph, &PlanOptions::default()).unwrap();
    let outline = program.outline();
    let round = |input: &[f32], outside| {
        let error = outline.input.quantise(input, outline.bits, outside);
        match error.unwrap_err() {
            Error::Model(error) => error.to_string(),
            other => panic!("{other}"),
        }
    };
    for outside in [OutOfRange::Reject, OutOfRange::Saturate] {
        let fraction = round(&[0.0, 1.5, 0.0, 0.0, 0.0], outside);
        assert!(
            fraction.starts_with("input value 1 is 1.5, the network takes integers; give numbers"),
            "{fraction}"
        );
        let large = round(&[0.0, 1.0, 0.0, 128.0, 0.0], outside);
        assert!(
            large.starts_with("input value 3 is 128, outside of the integers -128 to 127"),
            "{large}"
        );
        assert!(large.contains("--bits"), "{large}");
    }
    let nan = round(&[f32::NAN, 1.0, 0.0, 0.0, 0.0], OutOfRange::Reject);
    assert!(nan.starts_with("input value 0 is NaN"), "{nan}");
    let error = float.trace(&[0.0, 1.0, 0.5, 0.0, 0.0]).unwrap_err();
    assert!(
        matches!(error, ModelError::InputInteger { index: 2, .. }),
        "{error}"
    );
    let samples = [vec![0.0, 1.0, 0.5, 0.0, 0.0]];
    let error = Quantised::new(&float, &samples, &QuantiseOptions::default()).unwrap_err();
    assert!(
        matches!(error, ModelError::InputInteger { index: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_table_asks_for_the_bits_of_its_indices() {
    let float = FloatGraph::open(fixture("tokens")).unwrap();
    assert_eq!(float.least_bits(), 5);
    let samples = samples(5, 12, 10);
    let error = Quantised::new(&float, &samples, &with_bits(4)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `lookup`: indices up to 11 need activations of 5 bits, got 4; compile with --bits 5"
    );
    Quantised::new(&float, &samples, &with_bits(5)).unwrap();
}

#[test]
fn plans_without_samples_make_indices_up() {
    for (name, ..) in MODELS {
        let float = FloatGraph::open(fixture(name)).unwrap();
        let network = Quantised::without_samples(&float, &QuantiseOptions::default()).unwrap();
        let layers = network.graph.nodes.iter().map(|node| node.layer.name());
        assert!(layers.into_iter().any(|layer| layer == "one hot"), "{name}");
        assert_eq!(network.graph.input_scale, 1.0);
    }
}

#[test]
fn integers_that_are_numbers_keep_their_scale_apart_from_other_values() {
    let float = FloatGraph::open(fixture("cast_tokens")).unwrap();
    let reference = FloatReference::open(fixture("cast_tokens")).unwrap();
    let inputs = samples(3, 100, 30);
    let network = Quantised::new(&float, &inputs, &QuantiseOptions::default()).unwrap();
    assert_eq!(network.graph.input_scale, 1.0);
    for input in &inputs {
        let ours = float.evaluate(input).unwrap();
        for (a, b) in ours.iter().zip(reference.evaluate(input).unwrap()) {
            assert!((a - f64::from(b)).abs() < 1e-3, "{a} {b}");
        }
    }
    // Joined with a sigmoid, the tokens are requantised; by themselves they are exact.
    let report = network.report(&float, &inputs, None).unwrap();
    let sigmoid = float
        .nodes
        .iter()
        .position(|node| matches!(node.op, FloatOp::Function(_)));
    let sigmoid = &report.layers[sigmoid.unwrap()];
    assert!(sigmoid.largest_error < 0.01, "{sigmoid:?}");
}

#[test]
fn an_input_that_is_rounded_has_no_scale_of_integers() {
    // Samples up to 127 at 8 bits have the scale one.
    let float = FloatGraph::open(fixture("gemm")).unwrap();
    let sample = vec![127.0, -3.0, 50.5, 0.25, -127.0, 9.0];
    let negated = sample.iter().map(|x| -x).collect();
    let samples = [sample, negated];
    let network = Quantised::new(&float, &samples, &QuantiseOptions::default()).unwrap();
    let scale = network.graph.input_scale;
    assert!(scale < 1.0 && scale > 1.0 - 1e-15, "{scale}");
    let rounded = network.input(&[0.75, -3.4, 200.0, 0.5, -0.5, -126.5]);
    let rounded = rounded.unwrap();
    assert_eq!(rounded.values, [1, -3, 127, 1, -1, -127]);
    assert_eq!(rounded.saturated, 1);
}
