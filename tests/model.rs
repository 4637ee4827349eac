//! Import, quantisation and planning: against tract, against floats, and every error.

use foldnet::model::graph::{Elementary, FloatOp, Formula, Interval, Linear, Step};
use foldnet::model::{
    Calibration, FloatGraph, FloatNode, FloatReference, Inspection, IntegerGraph, IntegerNode,
    Method, ModelError, OutOfRange, Plan, PlanOptions, QuantiseOptions, Quantised, QuantisedInput,
    Reading, json, random,
};
use foldnet_layers::bounds::accumulator_bits;
use foldnet_layers::requantise::{Requantise, Requantised, Ties};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn fixture(name: &str) -> PathBuf {
    root("tests/fixtures").join(format!("{name}.onnx"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap()
}

/// Uniform in [-1, 1).
fn uniform(random: &mut impl RngCore, len: usize) -> Vec<f32> {
    (0..len)
        .map(|_| (random.next_u32() >> 8) as f32 / (1u32 << 23) as f32 - 1.0)
        .collect()
}

fn options_of(bits: u32, shift: u32) -> QuantiseOptions {
    QuantiseOptions {
        bits,
        shift,
        ..QuantiseOptions::default()
    }
}

/// A node of a float graph.
fn node(op: FloatOp, inputs: &[usize], len: usize) -> FloatNode {
    FloatNode {
        name: op.name().into(),
        op,
        clip: Interval::ALL,
        step: None,
        inputs: inputs.to_vec(),
        shape: vec![len],
    }
}

fn float_graph(inputs: usize, nodes: Vec<FloatNode>) -> FloatGraph {
    FloatGraph {
        name: "graph".into(),
        input_shape: vec![1, inputs],
        input_grid: None,
        output: nodes.len(),
        output_shape: nodes.last().unwrap().shape.clone(),
        nodes,
    }
}

fn dense(weights: Array2<f64>) -> FloatOp {
    let bias = Array1::zeros(weights.nrows());
    FloatOp::Linear(Box::new(Linear::dense(1, weights, bias)))
}

/// A float network of one dense layer.
fn single(weights: Array2<f64>, relu: bool) -> FloatGraph {
    let (outputs, inputs) = weights.dim();
    let mut layer = node(dense(weights), &[0], outputs);
    layer.name = "dense".into();
    if relu {
        layer.clip = Interval::POSITIVE;
    }
    float_graph(inputs, vec![layer])
}

/// An integer network of the given widths; weights are small and count upwards.
fn integers(widths: &[usize]) -> IntegerGraph {
    let layer = |(position, pair): (usize, &[usize])| {
        let weights = Array2::from_shape_fn((pair[1], pair[0]), |(i, j)| {
            ((i * 7 + j * 3 + position) % 23) as i64 - 11
        });
        let bias = Array1::from_shape_fn(pair[1], |i| i as i64 - 2);
        let last = position + 2 == widths.len();
        let requantise = Requantise {
            shift: 4,
            low: if last { -128 } else { 0 },
            high: 127,
            accumulator_bits: accumulator_bits(&weights, &bias, -128, 127),
            ties: Ties::Up,
        };
        IntegerNode {
            name: format!("layer {position}"),
            layer: foldnet_layers::Linear::dense(pair[0], pair[1], requantise).into(),
            operands: vec![position],
            weights: Some((weights, bias)),
            scale: 0.01,
        }
    };
    let nodes: Vec<_> = widths.windows(2).enumerate().map(layer).collect();
    IntegerGraph {
        bits: 8,
        input_len: widths[0],
        input_scale: 0.01,
        output: nodes.len(),
        reading: Reading::default(),
        nodes,
    }
}

mod import {
    use super::*;

    /// Models that are read, with the operations that are left after fusion.
    const READ: [(&str, &[&str]); 26] = [
        ("gemm", &["Linear"; 3]),
        ("matmul_add", &["Linear"; 2]),
        ("left", &["Linear"; 2]),
        ("conv_bn_relu", &["Linear", "MaxPool"]),
        ("scaled_inputs", &["Linear"]),
        ("silu", &["Linear", "Function"]),
        ("hard_swish", &["Linear", "Function"]),
        ("gelu_erf", &["Linear", "Function"]),
        ("gelu_tanh", &["Linear", "Function"]),
        ("layer_norm", &["Normalise", "Linear"]),
        ("class_token", &["Gather", "Linear", "Gather", "Linear"]),
        (
            "attention",
            &[
                "Linear",
                "Linear",
                "Gather",
                "MatMul",
                "Softmax",
                "MatMul",
                "Combine",
                "AveragePool",
            ],
        ),
        (
            "experts",
            &["Gather", "Linear", "Gather", "MaxPool", "Gather"],
        ),
        (
            "extrema",
            &[
                "Gather", "Gather", "Gather", "MaxPool", "Linear", "Linear", "Gather", "MaxPool",
                "Linear", "Clip", "Clip", "Linear", "Combine",
            ],
        ),
        (
            "gate",
            &[
                "Linear",
                "AveragePool",
                "Linear",
                "Function",
                "Gather",
                "Multiply",
            ],
        ),
        ("bounds_by_channel", &["Linear"; 4]),
        ("decoder", &["Gather", "Linear", "Function", "Gather"]),
        ("classes", &["Linear", "Softmax", "ArgMax"]),
        ("unsorted", &["Linear"]),
        ("early", &["Clip", "Linear"]),
        ("branch", &["Linear", "Linear", "Combine"]),
        ("dead_node", &["Linear"]),
        ("../../examples/digits/mlp", &["Linear"; 3]),
        (
            "../../examples/networks/lenet",
            &[
                "Linear",
                "MaxPool",
                "Linear",
                "AveragePool",
                "Linear",
                "Linear",
            ],
        ),
        (
            "../../examples/networks/residual",
            &[
                "Linear",
                "Linear",
                "Linear",
                "Combine",
                "Linear",
                "Linear",
                "Linear",
                "Combine",
                "AveragePool",
                "Linear",
            ],
        ),
        (
            "../../examples/networks/transformer",
            &[
                "Linear",
                "Gather",
                "Linear",
                "Normalise",
                "Linear",
                "Linear",
                "Gather",
                "Linear",
                "Gather",
                "MatMul",
                "Softmax",
                "Linear",
                "Gather",
                "MatMul",
                "Gather",
                "Linear",
                "Combine",
                "Normalise",
                "Linear",
                "Function",
                "Linear",
                "Combine",
                "Normalise",
                "Linear",
                "AveragePool",
                "Linear",
            ],
        ),
    ];

    #[test]
    fn equals_tract_on_random_inputs() {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        for (file, operations) in READ {
            let graph = FloatGraph::open(fixture(file)).unwrap();
            let left: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
            assert_eq!(left, operations, "{file}");
            // tract reads nodes in the order of the file.
            if file == "unsorted" {
                continue;
            }
            let reference = FloatReference::open(fixture(file)).unwrap();
            for _ in 0..20 {
                let input = uniform(&mut random, graph.input_len());
                let ours = graph.evaluate(&input).unwrap();
                let theirs = reference.evaluate(&input).unwrap();
                assert_eq!(ours.len(), theirs.len());
                for (a, &b) in ours.iter().zip(&theirs) {
                    // float32 rounding of short sums; the largest outputs are about 10.
                    let bound = 1e-4 * f64::from(b).abs().max(1.0);
                    assert!((a - f64::from(b)).abs() < bound, "{file}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn an_unsorted_model_is_its_sorted_one() {
        let graph = FloatGraph::open(fixture("unsorted")).unwrap();
        let [node] = graph.nodes.as_slice() else {
            panic!("{graph:?}");
        };
        assert_eq!((node.name.as_str(), node.clip.low), ("dense", 0.0));
    }

    #[test]
    fn functions_of_one_value_become_one() {
        for (file, function) in [
            ("silu", Elementary::Swish { alpha: 1.0 }),
            ("hard_swish", Elementary::HardSwish),
            ("gelu_erf", Elementary::Gelu),
            ("gelu_tanh", Elementary::GeluTanh),
        ] {
            let graph = FloatGraph::open(fixture(file)).unwrap();
            let FloatOp::Function(formula) = &graph.nodes[1].op else {
                panic!("{file}: {graph:?}");
            };
            for x in -40..40 {
                let x = f64::from(x) / 8.0;
                // The constants of the models are float32.
                let error = (formula.at(x) - function.at(x)).abs();
                assert!(error < 1e-6, "{file} at {x}: {error}");
            }
        }
    }

    #[test]
    fn what_the_output_does_not_depend_on_is_ignored() {
        let graph = FloatGraph::open(fixture("dead_node")).unwrap();
        assert_eq!((graph.nodes.len(), graph.output), (1, 1));
        assert!(FloatReference::open(fixture("dead_node")).is_ok());
    }

    #[test]
    fn a_graph_put_together_wrongly_is_refused() {
        type Change = fn(&mut FloatGraph);
        let changes: [(Change, &str); 8] = [
            (|g| g.nodes.clear(), "no layer"),
            (|g| g.nodes[0].inputs = vec![2], "earlier operands"),
            (|g| g.nodes[0].inputs = vec![0, 0], "expected 1 operands"),
            (|g| g.nodes[2].inputs = vec![0, 1], "values of an operand"),
            (|g| g.nodes[1].shape = vec![5], "expected 6 values, got 5"),
            (|g| g.output_shape = vec![5], "expected 5 values, got 6"),
            (
                |g| {
                    if let FloatOp::Combine { coefficients } = &mut g.nodes[2].op {
                        coefficients[0] = f64::NAN;
                    }
                },
                "entry 0 of `coefficients`",
            ),
            (
                |g| {
                    if let FloatOp::Linear(layer) = &mut g.nodes[0].op {
                        layer.groups = 4;
                    }
                },
                "divisible groups",
            ),
        ];
        for (change, shown) in changes {
            let mut graph = FloatGraph::open(fixture("branch")).unwrap();
            graph.check().unwrap();
            // The first node reads 6 values, the sum two tensors of 6.
            if shown == "values of an operand" {
                graph.input_shape = vec![1, 7];
            }
            change(&mut graph);
            let error = graph.check().unwrap_err().to_string();
            assert!(error.contains(shown), "`{error}` does not show `{shown}`");
        }
    }

    #[test]
    fn layers_are_read_in_order() {
        let graph = FloatGraph::open(fixture("matmul_add")).unwrap();
        let summary: Vec<_> = graph
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.shape.as_slice(), node.clip))
            .collect();
        assert_eq!(
            summary,
            [
                ("first", &[1, 7][..], Interval::POSITIVE),
                ("second", &[1, 3], Interval::ALL)
            ]
        );
        assert_eq!(graph.input_shape, [1, 3, 2, 2]);
        assert_eq!((graph.input_len(), graph.output_len()), (12, 3));
        let graph = FloatGraph::open(root("examples/digits/mlp.onnx")).unwrap();
        assert_eq!((graph.name.as_str(), graph.nodes.len()), ("digits", 3));
        assert_eq!(graph.input_shape, [1, 64]);
    }

    #[test]
    fn inspection_lists_every_problem() {
        let bytes = std::fs::read(fixture("extrema")).unwrap();
        let found = Inspection::new(&bytes).unwrap();
        assert!(found.problems.is_empty() && found.graph.is_some());
        let split = &found.nodes[0];
        assert_eq!((split.operator.as_str(), split.used), ("Split", true));
        assert_eq!(split.shape.as_deref(), Some(&[1, 2, 6][..]));
        let bytes = std::fs::read(fixture("two_problems")).unwrap();
        let found = Inspection::new(&bytes).unwrap();
        let shown: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(
            shown[0].contains("node `first`: operator LSTM"),
            "{shown:?}"
        );
        assert!(
            shown[1].contains("node `third`: operator Hardmax"),
            "{shown:?}"
        );
        // Advice that every such node would repeat is kept apart.
        let brief: Vec<String> = found.problems.iter().map(ModelError::brief).collect();
        assert_eq!(brief[0], shown[0]);
        assert_eq!(brief[1], "node `third`: operator Hardmax is not supported");
        assert_eq!(found.problems[0].common_advice(), None);
        let advice = found.problems[1].common_advice().unwrap();
        assert!(advice.contains("README"), "{advice}");
        assert!(shown[1].ends_with(advice), "{shown:?}");
        assert_eq!(found.nodes[0].shape, None);
        assert!(!found.nodes[4].used && found.graph.is_none());
        let bytes = std::fs::read(fixture("gemm")).unwrap();
        let multiplications = Inspection::new(&bytes).unwrap().multiplications();
        assert_eq!(multiplications, Some(6 * 5 + 5 * 4 + 4 * 3));
    }

    #[test]
    fn damaged_bytes_are_errors_not_panics() {
        for (name, _) in &READ[..21] {
            let bytes = std::fs::read(fixture(name)).unwrap();
            for position in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[position] ^= 0x15;
                // A changed weight is still a model; everything else must be refused quietly.
                let _ = FloatGraph::from_onnx(&damaged);
                let _ = FloatGraph::from_onnx(&bytes[..position]);
                if ["gemm", "matmul_add", "left"].contains(name) {
                    let _ = FloatReference::from_onnx(&damaged);
                }
            }
        }
    }
}

mod quantise {
    use super::*;

    #[test]
    fn digits_agree_with_the_float_network() {
        let network = FloatGraph::open(root("examples/digits/mlp.onnx")).unwrap();
        let samples = json::samples(&text("examples/digits/samples.json"), 64).unwrap();
        let held = json::samples(&text("examples/digits/heldout.json"), 64).unwrap();
        let input = json::input(&text("examples/digits/input.json"), 64).unwrap();
        assert_eq!(input, held.inputs[0]);
        assert_eq!((samples.inputs.len(), held.inputs.len()), (100, 200));
        let options = QuantiseOptions::default();
        let quantised = Quantised::new(&network, &samples.inputs, &options).unwrap();
        let report = quantised
            .report(&network, &held.inputs, held.labels.as_deref())
            .unwrap();
        assert!(report.agreeing.unwrap() >= 199, "{report:?}");
        assert_eq!((report.float.len(), report.integer.len()), (200, 200));
        assert!(report.correct.unwrap().1 >= 190, "{report:?}");
        let on_samples = quantised.report(&network, &samples.inputs, None).unwrap();
        assert_eq!(on_samples.saturated_inputs, 0);
        assert_eq!(on_samples.layers.last().unwrap().saturated, 0);
        assert_eq!(on_samples.correct, None);
    }

    /// The integer layer of a network of one dense layer, and its weights.
    fn linear(quantised: &Quantised) -> (&foldnet_layers::Linear, &Array2<i64>, &Array1<i64>) {
        let node = &quantised.graph.nodes[0];
        let (weights, bias) = node.weights.as_ref().unwrap();
        (node.layer.linear().unwrap(), weights, bias)
    }

    #[test]
    fn integer_weights_are_scaled_and_rounded() {
        let mut network = single(array![[0.5, -0.25], [1.0, 0.75]], true);
        if let FloatOp::Linear(layer) = &mut network.nodes[0].op {
            layer.bias = array![0.5, -0.125];
        }
        let samples = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let calibration = Calibration::new(&network, &samples, 4, Method::MinMax).unwrap();
        assert_eq!(calibration.thresholds, [1.0, 1.0]);
        let quantised = Quantised::new(&network, &samples, &options_of(4, 8)).unwrap();
        let (layer, weights, bias) = linear(&quantised);
        assert_eq!(weights, array![[128, -64], [256, 192]]);
        // 0.5 * 2^8 * 7 and -0.125 * 2^8 * 7.
        assert_eq!(bias, array![896, -224]);
        let requantise = layer.requantise;
        assert_eq!(
            (requantise.shift, requantise.low, requantise.high),
            (8, 0, 7)
        );
        // 256 * 7 + 192 * 7 - 224 and -256 * 8 - 192 * 8 - 224.
        assert_eq!(requantise.accumulator_bits, 12);
        let output = quantised
            .graph
            .evaluator()
            .unwrap()
            .output(&[7, 0])
            .unwrap();
        assert_eq!(output, [7, 6]);
    }

    #[test]
    fn requantisation_rounds_halves_up_and_clamps() {
        let requantise = Requantise {
            shift: 2,
            low: -8,
            high: 7,
            accumulator_bits: 62,
            ties: Ties::Up,
        };
        let cases = [
            (0, 0),
            (1, 0),
            (2, 1),
            (-2, 0),
            (-3, -1),
            (29, 7),
            (30, 7),
            (-35, -8),
        ];
        let parts = |accumulator| requantise.evaluate(accumulator).unwrap();
        for (accumulator, expected) in cases {
            assert_eq!(parts(accumulator).quotient, expected, "{accumulator}");
        }
        assert!(parts(30).over == 1 && parts(29).over == 0);
        assert!(parts(-35).under == 1 && parts(-34).under == 0);
        let rectified = Requantise {
            low: 0,
            ..requantise
        };
        let most = (1i128 << 62) - 1;
        assert_eq!(rectified.evaluate(most).unwrap().over, (1 << 60) - 7);
        assert_eq!(rectified.evaluate(-most).unwrap().under, 1 << 60);
        assert_eq!(rectified.evaluate(1 << 62), None);
    }

    #[test]
    fn large_weights_lower_the_shift() {
        let network = single(array![[300.0, 0.0], [0.0, 1.0]], false);
        // The larger output is small on the samples, so its weight is large at this scale.
        let samples = [vec![0.003, 0.9], vec![0.0, -1.0]];
        let options = QuantiseOptions::default();
        let quantised = Quantised::new(&network, &samples, &options).unwrap();
        let (layer, weights, _) = linear(&quantised);
        assert_eq!(layer.requantise.shift, 8);
        assert_eq!(weights, array![[76800, 0], [0, 256]]);
    }

    #[test]
    fn a_single_multiplier_is_exact() {
        let op = FloatOp::Multiply { factor: 0.3 };
        let mut square = float_graph(2, vec![node(op, &[0, 0], 2)]);
        square.nodes.push(node(dense(array![[1.0, 1.0]]), &[1], 1));
        (square.output, square.output_shape) = (2, vec![1]);
        let samples = [vec![0.7, -0.2]];
        let quantised = Quantised::new(&square, &samples, &QuantiseOptions::default()).unwrap();
        let nodes = &quantised.graph.nodes;
        let foldnet_layers::Layer::Multiply(layer) = &nodes[0].layer else {
            panic!("{nodes:?}");
        };
        let unit = 2f64.powi(layer.requantise.shift as i32);
        let product = 0.3 * quantised.graph.input_scale.powi(2) / nodes[0].scale * unit;
        assert!(
            (product - layer.multiplier as f64).abs() < 1e-6,
            "{product}"
        );
    }

    #[test]
    fn what_keeps_values_keeps_the_scale() {
        let graph = float_graph(
            4,
            vec![
                node(dense(Array2::eye(4) * 3.0), &[0], 4),
                node(
                    FloatOp::Gather {
                        map: vec![Some(0), Some(5), None],
                    },
                    &[0, 1],
                    3,
                ),
                node(
                    FloatOp::Clip(Interval {
                        low: -1.0,
                        high: 2.0,
                    }),
                    &[2],
                    3,
                ),
            ],
        );
        let samples = [vec![1.0, 0.5, -1.0, 0.25]];
        let quantised = Quantised::new(&graph, &samples, &QuantiseOptions::default()).unwrap();
        let scale = quantised.graph.input_scale;
        assert!((scale - 3.0 / 127.0).abs() < 1e-12, "{scale}");
        assert!(quantised.graph.nodes.iter().all(|node| node.scale == scale));
        let report = quantised.report(&graph, &samples, None).unwrap();
        assert!(report.largest_error <= scale / 2.0 + 1e-9, "{report:?}");
        assert_eq!(report.layers.iter().map(|l| l.saturated).sum::<usize>(), 0);
    }

    #[test]
    fn without_samples_only_scales_are_made_up() {
        // A unit that is always zero has no scale.
        let dead = single(array![[0.0, 0.0]], true);
        let samples = [vec![1.0, -1.0]];
        let options = QuantiseOptions::default();
        let error = Quantised::new(&dead, &samples, &options).unwrap_err();
        assert!(matches!(error, ModelError::Range { .. }), "{error}");
        let network = Quantised::without_samples(&dead, &options).unwrap();
        network.graph.check().unwrap();
        // What no scale represents stays an error.
        let tanh = FloatOp::Function(Elementary::Tanh.into());
        let table = float_graph(1, vec![node(tanh, &[0], 1)]);
        let wide = Quantised::without_samples(&table, &options_of(16, 16)).unwrap_err();
        assert!(matches!(wide, ModelError::TableBits { .. }), "{wide}");
        let float = FloatGraph::open(fixture("attention")).unwrap();
        let made_up = Quantised::without_samples(&float, &options).unwrap().graph;
        assert_eq!(
            made_up,
            Quantised::without_samples(&float, &options).unwrap().graph
        );
        assert_eq!(made_up.nodes.len(), float.nodes.len());
        assert_eq!(made_up.output_len(), float.output_len());
    }

    #[test]
    fn saturation_is_counted_but_not_what_the_model_clamps() {
        let network = single(array![[1.0, 1.0]], true);
        let samples = [vec![1.0, -1.0], vec![1.0, 1.0]];
        let quantised = Quantised::new(&network, &samples, &QuantiseOptions::default()).unwrap();
        let cut_off = |inputs: &[Vec<f32>]| {
            let report = quantised.report(&network, inputs, None).unwrap();
            (report.saturated_inputs, report.layers[0].saturated)
        };
        assert_eq!(cut_off(&samples), (0, 0));
        assert_eq!(cut_off(&[vec![-1.0, -1.0]]), (0, 0));
        assert_eq!(cut_off(&[vec![3.0, -2.0]]), (2, 0));
        // The clamped input is 127 + 127, one more than twice the half of 254.
        let wide = single(array![[1.0, 1.0], [1.5, 1.0]], true);
        let quantised = Quantised::new(&wide, &samples[..1], &QuantiseOptions::default()).unwrap();
        let report = quantised.report(&wide, &samples, None).unwrap();
        assert_eq!(report.layers[0].saturated, 2);
    }

    proptest! {
        // 64 cases: each tries 16 corners of the input range, where the bound is attained.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn accumulator_bits_are_exact(
            weights in prop::collection::vec(-1000i64..1000, 4),
            bias in -5000i64..5000,
        ) {
            let weights = Array2::from_shape_vec((1, 4), weights).unwrap();
            let (low, high) = (-128, 127);
            let bits = accumulator_bits(&weights, &array![bias], low, high);
            let fits = |bits: u32, y: i64| y.abs() < 1 << bits;
            let corner = |mask: usize| -> i64 {
                let end = |i: usize| if mask >> i & 1 == 1 { high } else { low };
                bias + (0..4).map(|i| weights[(0, i)] * end(i)).sum::<i64>()
            };
            let sums: Vec<i64> = (0..16).map(corner).collect();
            prop_assert!(sums.iter().all(|&y| fits(bits, y)));
            prop_assert!(bits == 1 || sums.iter().any(|&y| !fits(bits - 1, y)));
        }
    }
}

mod benchmark {
    use super::*;

    #[test]
    fn deep_random_network_stays_alive() {
        let network = random::network(512, 64, 1).unwrap();
        assert_eq!(network, random::network(512, 64, 1).unwrap());
        let mut random = ChaCha20Rng::seed_from_u64(99);
        let evaluator = network.evaluator().unwrap();
        let mut outputs = Vec::new();
        for _ in 0..4 {
            let input = random::input(64, &mut random);
            let tensors = evaluator.run(&input).unwrap();
            for activations in &tensors[1..] {
                let active = activations.iter().filter(|&&q| q != 0).count();
                assert!(active >= 8, "{active} units active");
            }
            let trace = evaluator.trace(&input).unwrap();
            let layers = network.nodes.iter().zip(&trace.layers);
            let saturated: usize = layers
                .map(|(node, layer)| {
                    let linear = node.layer.linear().unwrap().requantise.low < 0;
                    let cut = |parts: &&Requantised| parts.over > 0 || linear && parts.under > 0;
                    layer.requantised.iter().filter(cut).count()
                })
                .sum();
            assert!(
                saturated < 512 * 64 / 20,
                "{saturated} activations saturate"
            );
            outputs.push(tensors[network.output].clone());
        }
        assert_ne!(outputs[0], outputs[1]);
        network.check().unwrap();
    }
}

mod errors {
    use super::*;

    /// Reads a fixture that must be refused, by the importer and by the reference alike.
    fn refused(name: &str) -> ModelError {
        let error = FloatGraph::open(fixture(name)).unwrap_err();
        let other = FloatReference::open(fixture(name)).unwrap_err();
        assert_eq!(error.to_string(), other.to_string());
        error
    }

    /// Models that are refused, with what the message must show.
    fn of_models() -> Vec<(ModelError, &'static str)> {
        let cases = [
            (
                "recurrent",
                "node `lstm_one`: operator LSTM is not supported; unroll",
            ),
            ("log_softmax", "node `scores`: operator LogSoftmax"),
            (
                "other_domain",
                "node `dense`: operator Gemm of the domain com.example is not supported; the README",
            ),
            (
                "contrib_unknown",
                "node `fused`: operator FusedConv of the domain com.microsoft is not supported",
            ),
            (
                "dynamic_scale",
                "node `scale`: operator DynamicQuantizeLinear is not supported; its scale is computed",
            ),
            (
                "volume",
                "node `conv`: Conv with an image of 3 dimensions is not supported; use images of 1 or 2",
            ),
            (
                "huge_input",
                "graph input `x` has shape [1, 1099511627776], which is more than 16777216 values",
            ),
            (
                "constant_output",
                "graph output `y` does not depend on the graph input",
            ),
            (
                "declared_output",
                "graph output `y` is declared with shape [0, 5], but its nodes give [1, 4]",
            ),
            ("unknown_attribute", "Gemm with the attribute `transC`"),
            ("trans_a", "node `dense`: operand shapes [1, 6] and [6, 4]"),
            (
                "quotient",
                "node `ratio`: Div with an activation as divisor",
            ),
            (
                "computed_shape",
                "node `shape`: Reshape with a computed shape",
            ),
            ("mask", "node `dropout`: Dropout with its output `mask`"),
            ("string_tensor", "constant `s` is STRING, expected FLOAT"),
            ("huge_integer", "node `reshape`: operand shapes [1, 6]"),
            (
                "huge_tensor",
                "node `expand`: a tensor of shape [1073741824, 6]",
            ),
            ("cycle", "node `one` depends on its own output"),
            (
                "disconnected",
                "graph output `y` does not depend on the graph input",
            ),
            ("old_opset", "operator set 5 is not read, only 7 to 28 are"),
            ("new_opset", "operator set 99 is not read"),
            ("nan_weight", "node `dense`: entry 9 of `w` is NaN"),
            ("infinite_weight", "node `dense`: entry 9 of `w` is inf"),
            ("float64", "constant `w` is DOUBLE, expected FLOAT"),
            ("float16", "constant `w` is FLOAT16, expected FLOAT"),
            ("missing_initialiser", "node `dense` reads `absent`"),
            (
                "short_data",
                "tensor `w` of dimensions [6, 4] holds 23 values",
            ),
            ("external_data", "tensor `w` is kept outside the model file"),
            ("duplicate", "tensor `w` is defined twice"),
            (
                "dynamic",
                "dimension 1 of graph input `x` is dynamic (`length`)",
            ),
            ("batch_of_two", "graph input `x` has shape [2, 6]"),
            (
                "wrong_width",
                "node `dense`: operand shapes [1, 7] and [6, 4]",
            ),
            ("wrong_bias", "node `dense`: operand shapes [1, 4] and [3]"),
            ("half_input", "graph input `x` is FLOAT16, expected float32"),
            (
                "two_inputs",
                "expected one graph input, got [\"x\", \"extra\"]",
            ),
            (
                "two_outputs",
                "expected one graph output, got [\"y\", \"h\"]",
            ),
            ("no_layers", "the network has no layer to prove"),
        ];
        let mut errors: Vec<_> = cases.map(|(name, shown)| (refused(name), shown)).into();
        errors.push((refused("absent_file"), "absent_file.onnx"));
        let text = FloatGraph::from_onnx(b"no model").unwrap_err();
        errors.push((text, "not an ONNX model"));
        let reference = ModelError::Reference {
            reason: "reason".into(),
        };
        errors.push((reference, "the float reference failed: reason"));
        errors
    }

    fn of_json() -> Vec<(ModelError, &'static str)> {
        let input = |text: &str| json::input(text, 2).unwrap_err();
        let samples = |text: &str| json::samples(text, 2).unwrap_err();
        vec![
            (input("{"), "not JSON"),
            (
                input(r#"{"input_data": [[1, NaN]]}"#),
                "NaN is not a finite float32 number",
            ),
            (
                input(r#"{"input_data": [[-Infinity, 1]]}"#),
                "Infinity is not a finite",
            ),
            (
                input(r#"{"input_data": [[1, 1e300]]}"#),
                "the file, list 0, value 1",
            ),
            (
                input(r#"{"input": [[1, 2]]}"#),
                "expected the key `input_data`",
            ),
            (
                input(r#"{"input_data": [1, 2]}"#),
                "the file, list 0: expected a list of numbers",
            ),
            (
                input(r#"{"input_data": [["1", 2]]}"#),
                "list 0, value 0: expected a number",
            ),
            (input(r#"[1]"#), "the file: expected an object"),
            (
                input(r#"{"input_data": [[1, 2]], "input_data": [[3, 4]]}"#),
                "the key `input_data` stands twice at line 1 column 37: which of both is meant",
            ),
            (
                samples(r#"[{"input_data": [[1, 2]], "x": {"y": 1, "y": 2}}]"#),
                "the key `y` stands twice",
            ),
            (
                samples(r#"{"input_data": [[1, 2]], "lables": [1]}"#),
                "the key `lables` is not known, and would change nothing; the keys are `input_data` and",
            ),
            (
                samples(r#"[{"input_data": [[1, 2]], "labels": [1]}]"#),
                "entry 0: the key `labels` is not known",
            ),
            (
                json::samples("\u{feff}{\"input_data\": [[1, 2]], \"labels\": [2]}", 2)
                    .unwrap()
                    .check_labels(2)
                    .unwrap_err(),
                "label 0 is 2, and the model tells 2 classes apart, 0 to 1",
            ),
            (
                input(r#"{"input_data": [[1, 2, 3]]}"#),
                "sample 0 has 3 values, the model takes 2",
            ),
            (
                input(r#"{"input_data": [[1, 2], [3, 4]]}"#),
                "expected one input, got 2",
            ),
            (
                samples(r#"[{"input_data": [[1, 2], [3, 4]]}]"#),
                "expected one input, got 2",
            ),
            (
                samples(r#"[{"input_data": [[1, 2]]}, 3]"#),
                "entry 1: expected an object",
            ),
            (samples("[]"), "there are no samples"),
            (
                samples(r#"{"input_data": [[1, 2]], "labels": [1, 2]}"#),
                "1 samples and 2 labels",
            ),
            (
                samples(r#"{"input_data": [[1, 2]], "labels": [-1]}"#),
                "a list of class numbers",
            ),
        ]
    }

    fn of_quantisation() -> Vec<(ModelError, &'static str)> {
        let quantise = |weights: Array2<f64>, samples: &[Vec<f32>], bits: u32, shift: u32| {
            let options = options_of(bits, shift);
            Quantised::new(&single(weights, true), samples, &options).unwrap_err()
        };
        let ones = || array![[1.0, 1.0]];
        let sample = [vec![1.0, 1.0]];
        let cancelling = {
            let network = single(array![[1.0, -1.0]], false);
            let samples = [vec![1.0, 1.0], vec![0.5, 0.49]];
            let options = options_of(2, 8);
            Quantised::new(&network, &samples, &options).unwrap_err()
        };
        let steep = quantise(array![[1e6, -1e6]], &[vec![1.0, 0.999_999]], 8, 8);
        vec![
            (quantise(ones(), &sample, 17, 16), "activations of 17 bits"),
            (
                quantise(ones(), &sample, 8, 0),
                "layer `graph`: a shift of 0",
            ),
            (quantise(ones(), &[], 8, 16), "there are no samples"),
            (
                quantise(ones(), &[vec![1.0]], 8, 16),
                "sample 0 has 1 values",
            ),
            (
                quantise(-ones(), &sample, 8, 16),
                "the output of node `dense`: a largest magnitude",
            ),
            (
                quantise(ones(), &[vec![0.0, 0.0]], 8, 16),
                "the input: a largest magnitude of 0",
            ),
            (
                steep,
                "layer `dense`: integer weights need 29 bits with a shift of 8",
            ),
            (cancelling, "layer `dense`: the logits saturate"),
        ]
    }

    /// What cannot be represented in integers.
    fn of_lowering() -> Vec<(ModelError, &'static str)> {
        let quantise = |graph: &FloatGraph, sample: Vec<f32>, bits: u32| {
            Quantised::new(graph, &[sample], &options_of(bits, 16)).unwrap_err()
        };
        let method = |method: Method| {
            let options = QuantiseOptions {
                method,
                strict: true,
                ..QuantiseOptions::default()
            };
            // Half of the hidden values are zero, the others are not kept.
            let hidden = node(dense(array![[1.0, 1.0], [1.0, -1.0]]), &[0], 2);
            let graph = float_graph(2, vec![hidden, node(dense(array![[1.0, 1.0]]), &[1], 1)]);
            let samples: Vec<_> = (0..100).map(|i| vec![i as f32; 2]).collect();
            Quantised::new(&graph, &samples, &options).unwrap_err()
        };
        let gather = |map: &[usize], inputs: &[usize]| {
            let map: Vec<_> = map.iter().copied().map(Some).collect();
            let len = map.len();
            node(FloatOp::Gather { map }, inputs, len)
        };
        let rounded = |step: f64, bound: f64| {
            let mut rounded = node(dense(Array2::eye(2)), &[0], 2);
            (rounded.step, rounded.clip) = (
                Some(step),
                Interval {
                    low: -bound,
                    high: bound,
                },
            );
            rounded
        };
        let joined = float_graph(
            2,
            vec![
                rounded(0.5, 60.0),
                rounded(0.25, 30.0),
                gather(&[0, 3], &[1, 2]),
            ],
        );
        let table =
            |formula: Formula| float_graph(1, vec![node(FloatOp::Function(formula), &[0], 1)]);
        let undefined = Formula {
            steps: vec![
                Step::Apply(Elementary::Exp, 0),
                Step::Sum(vec![(1.0, 0), (0.0, 1)]),
            ],
        };
        let vanishing = float_graph(
            2,
            vec![
                node(dense(array![[1.0, 0.0]]), &[0], 1),
                node(FloatOp::Multiply { factor: 1e-3 }, &[1, 1], 1),
                node(dense(array![[0.0, 1e9]]), &[0], 1),
                gather(&[0, 1], &[2, 3]),
            ],
        );
        let cancelling = FloatOp::Combine {
            coefficients: vec![1e18, -(1e18 - 1e3)],
        };
        let cancelling = float_graph(1, vec![node(cancelling, &[0, 0], 1)]);
        vec![
            (
                quantise(&cancelling, vec![1.0], 8),
                "layer `Combine`: accumulators need",
            ),
            (method(Method::Percentile(10.0)), "10 percent of the values"),
            ("most".parse::<Method>().unwrap_err(), "calibration `most`"),
            (
                method(Method::Percentile(50.0)),
                "node `Linear`: 99 values saturate on the samples",
            ),
            (
                quantise(&joined, vec![1.0, 2.0], 8),
                "the scale 0.25 meets 0.5",
            ),
            (
                quantise(
                    &float_graph(2, vec![rounded(0.25, 60.0)]),
                    vec![1.0, 2.0],
                    8,
                ),
                "its quantised values need 9 bits, got 8",
            ),
            (
                quantise(&table(Elementary::Tanh.into()), vec![1.0], 16),
                "node `Function` looks its values up, which takes activations of at most 12 bits",
            ),
            (
                quantise(&table(undefined), vec![-1000.0], 8),
                "node `Function` has no value at",
            ),
            (
                quantise(&vanishing, vec![1.0, 1.0], 8),
                "node `Multiply`: the multiplier",
            ),
        ]
    }

    /// Inputs, and graphs put together wrongly.
    fn of_integers() -> Vec<(ModelError, &'static str)> {
        let outside =
            QuantisedInput::round(&[0.0, 9.0, 0.0], 0.01, (-128, 127), OutOfRange::Reject);
        let mut graph = FloatGraph::open(fixture("branch")).unwrap();
        graph.output_shape = vec![5];
        let tokens = FloatGraph::open(fixture("tokens")).unwrap();
        let sample = vec![0.0, 3.0, 11.0, 1.0, 2.0];
        let narrow = Quantised::new(&tokens, &[sample], &options_of(4, 16));
        let token = |value: f32| {
            QuantisedInput::round(&[value], 1.0, (-128, 127), OutOfRange::Saturate).unwrap_err()
        };
        vec![
            (
                tokens.evaluate(&[0.0, 3.0, 12.0, 1.0, 2.0]).unwrap_err(),
                "node `lookup`: index 2 is 12, expected 0 to 11",
            ),
            (
                narrow.unwrap_err(),
                "node `lookup`: indices up to 11 need activations of 5 bits, got 4",
            ),
            (
                token(0.5),
                "input value 0 is 0.5, the network takes integers",
            ),
            (
                token(300.0),
                "input value 0 is 300, outside of the integers -128 to 127",
            ),
            (
                outside.unwrap_err(),
                "input value 1 is 9, outside the calibrated range [-1.28, 1.27]",
            ),
            (graph.check().unwrap_err(), "expected 5 values, got 6"),
        ]
    }

    fn of_plans() -> Vec<(ModelError, &'static str)> {
        let plan = |widths: &[usize], change: &dyn Fn(&mut PlanOptions)| {
            let mut options = PlanOptions::default();
            change(&mut options);
            Plan::new(&integers(widths), &options).unwrap_err()
        };
        let planned = Plan::new(&integers(&[8, 8]), &PlanOptions::default()).unwrap();
        let mut graph = integers(&[8, 8]);
        graph.nodes[0].operands = vec![7];
        vec![
            (
                plan(&[8, 8], &|options| options.max_weight_variables = 23),
                "step polynomials of 23 variables",
            ),
            (
                plan(&[64, 64], &|options| options.max_weight_variables = 6),
                "(64 x 64): the least part of it takes a step of 2^7 weights, and a step has at most \
                 2^6; raise --step-variables to 7",
            ),
            (
                plan(&[8, 8, 8], &|options| {
                    (options.max_weight_variables, options.max_kinds) = (7, 1);
                }),
                "has at most 1 step kinds",
            ),
            (
                plan(&[8, 8], &|options| options.max_constraints = 1_000),
                "at most 1000 are allowed; lower --batch",
            ),
            (
                plan(&[8, 8], &|options| options.memory = Some(1_000)),
                "or more, or use narrower layers",
            ),
            (planned.weights(1).unwrap_err(), "no step 1"),
            (
                graph.check().unwrap_err(),
                "node `layer 0`: layer 0 (linear)",
            ),
        ]
    }

    #[test]
    fn every_variant_is_built_and_shows_its_data() {
        let groups = [
            of_models(),
            of_json(),
            of_quantisation(),
            of_lowering(),
            of_integers(),
            of_plans(),
        ];
        let mut built = BTreeSet::new();
        for (error, shown) in groups.into_iter().flatten() {
            let message = error.to_string();
            assert!(
                message.contains(shown),
                "`{message}` does not show `{shown}`"
            );
            let debug = format!("{error:?}");
            let name: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
            built.insert(name);
        }
        let source = text("src/model/error.rs");
        let declared: BTreeSet<String> = source
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
            .map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect())
            .collect();
        assert_eq!(built, declared);
    }
}

/// The operation that makes a single output says what it is.
#[test]
fn outputs_are_read_as_what_makes_them() {
    let of = |name: &str| {
        let path = root(&format!("tests/fixtures/{name}.onnx"));
        let graph = FloatGraph::open(path).unwrap();
        (graph.reading(), graph.classes())
    };
    assert_eq!(of("gemm"), (Reading::Scores, Some(3)));
    assert_eq!(of("probability"), (Reading::Probability, Some(2)));
    assert_eq!(of("amount"), (Reading::Amount, None));
    assert_eq!(of("logit"), (Reading::Scores, Some(2)));
    assert_eq!(of("classes"), (Reading::Number, Some(4)));
}

/// A sigmoid is above zero for every input: its sign names no class.
#[test]
fn a_probability_names_the_class_of_its_logit() {
    let path = |name: &str| root(&format!("tests/fixtures/{name}.onnx"));
    let value = |i: usize, j: usize| ((i * i + 3 * i * j + j * 5) % 21) as f32 / 10.0 - 1.0;
    let row = |i: usize| (0..6).map(|j| value(i, j)).collect();
    let samples: Vec<Vec<f32>> = (0..64).map(row).collect();
    let logit = FloatGraph::open(path("logit")).unwrap();
    let labels: Vec<usize> = samples
        .iter()
        .map(|sample| usize::from(logit.evaluate(sample).unwrap()[0] > 0.0))
        .collect();
    let ones = labels.iter().sum::<usize>();
    assert!((16..48).contains(&ones), "{ones}");
    for name in ["logit", "probability"] {
        let float = FloatGraph::open(path(name)).unwrap();
        let quantised = Quantised::new(&float, &samples, &QuantiseOptions::default()).unwrap();
        let report = quantised.report(&float, &samples, Some(&labels)).unwrap();
        let (of_floats, of_integers) = report.correct.unwrap();
        assert_eq!(of_floats, 64, "{name}");
        assert!(of_integers >= 62, "{name}: {of_integers}");
        assert!(report.agreeing.unwrap() >= 62, "{name}");
    }
}
