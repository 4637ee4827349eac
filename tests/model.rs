//! Import, quantisation and planning: against tract, against floats, and every error.

use foldnet::model::graph::{Elementary, FloatOp};
use foldnet::model::{
    Accuracy, Calibration, FloatDense, FloatGraph, FloatNetwork, FloatReference, IntegerDense,
    IntegerGraph, IntegerNetwork, ModelError, OutOfRange, Plan, PlanOptions, QuantiseOptions, json,
    random,
};
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

/// A float network of one layer.
fn single(weights: Array2<f32>, relu: bool) -> FloatNetwork {
    let bias = Array1::zeros(weights.nrows());
    let input_shape = vec![1, weights.ncols()];
    let layer = FloatDense {
        name: "dense".into(),
        weights,
        bias,
        relu,
    };
    FloatNetwork {
        name: "single".into(),
        input_shape,
        layers: vec![layer],
    }
}

/// An integer network of the given widths; weights are small and count upwards.
fn integers(widths: &[usize]) -> IntegerNetwork {
    let layer = |(position, pair): (usize, &[usize])| IntegerDense {
        name: format!("layer {position}"),
        weights: Array2::from_shape_fn((pair[1], pair[0]), |(i, j)| {
            ((i * 7 + j * 3 + position) % 23) as i64 - 11
        }),
        bias: Array1::from_shape_fn(pair[1], |i| i as i64 - 2),
        shift: 4,
        low: if position + 2 == widths.len() {
            -128
        } else {
            0
        },
        high: 127,
    };
    let layers = widths.windows(2).enumerate().map(layer).collect();
    IntegerNetwork {
        bits: 8,
        input_scale: 0.01,
        layers,
        output_scale: 0.01,
    }
}

mod import {
    use super::*;

    /// Models that are read, with the operations that are left after fusion.
    const READ: [(&str, &[&str]); 25] = [
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
                "Gather", "MaxPool", "Linear", "Linear", "Gather", "MaxPool", "Linear", "Clip",
                "Clip", "Clip", "Linear", "Combine",
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
        let network = FloatNetwork::open(fixture("matmul_add")).unwrap();
        let summary: Vec<_> = network
            .layers
            .iter()
            .map(|layer| (layer.name.as_str(), layer.weights.dim(), layer.relu))
            .collect();
        assert_eq!(
            summary,
            [("first", (7, 12), true), ("second", (3, 7), false)]
        );
        assert_eq!(network.input_shape, [1, 3, 2, 2]);
        assert_eq!((network.input_len(), network.output_len()), (12, 3));
        let network = FloatNetwork::open(root("examples/digits/mlp.onnx")).unwrap();
        assert_eq!((network.name.as_str(), network.layers.len()), ("digits", 3));
        assert_eq!(network.input_shape, [1, 64]);
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
        let file = root("examples/digits/mlp.onnx");
        let network = FloatNetwork::open(&file).unwrap();
        let reference = FloatReference::open(&file).unwrap();
        let samples = json::samples(&text("examples/digits/samples.json"), 64).unwrap();
        let held = json::samples(&text("examples/digits/heldout.json"), 64).unwrap();
        let input = json::input(&text("examples/digits/input.json"), 64).unwrap();
        assert_eq!(input, held.inputs[0]);
        assert_eq!((samples.inputs.len(), held.inputs.len()), (100, 200));
        let options = QuantiseOptions::default();
        let quantised = IntegerNetwork::quantise(&network, &samples.inputs, &options).unwrap();
        let labels = held.labels.as_deref();
        let accuracy = Accuracy::measure(&reference, &quantised, &held.inputs, labels).unwrap();
        println!("accumulator bits {:?}", quantised.check().unwrap());
        println!(
            "{} agree, {:?} correct",
            accuracy.agreeing, accuracy.correct
        );
        println!(
            "error {}, scale {}",
            accuracy.largest_error, quantised.output_scale
        );
        println!(
            "saturated {} {:?}",
            accuracy.saturated_inputs, accuracy.saturated
        );
        assert!(accuracy.agreeing >= 199, "{accuracy:?}");
        assert_eq!((accuracy.float.len(), accuracy.integer.len()), (200, 200));
        assert!(accuracy.correct.unwrap().1 >= 190, "{accuracy:?}");
        let on_samples = Accuracy::measure(&reference, &quantised, &samples.inputs, None).unwrap();
        assert_eq!(on_samples.saturated_inputs, 0);
        assert_eq!(
            on_samples.saturated.last(),
            Some(&0),
            "logits saturate on calibration"
        );
        assert_eq!(on_samples.correct, None);
    }

    #[test]
    fn integer_weights_are_scaled_and_rounded() {
        let mut network = single(array![[0.5, -0.25], [1.0, 0.75]], true);
        network.layers[0].bias = array![0.5, -0.125];
        let samples = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let options = options_of(4, 8);
        let calibration = Calibration::from_samples(&network, &samples).unwrap();
        assert_eq!((calibration.input, calibration.layers), (1.0, vec![1.0]));
        let quantised = IntegerNetwork::quantise(&network, &samples, &options).unwrap();
        let layer = &quantised.layers[0];
        assert_eq!(layer.weights, array![[128, -64], [256, 192]]);
        // 0.5 * 2^8 * 7 and -0.125 * 2^8 * 7.
        assert_eq!(layer.bias, array![896, -224]);
        assert_eq!((layer.shift, layer.low, layer.high), (8, 0, 7));
        let input = quantised
            .quantise_input(&[1.0, 0.0], OutOfRange::Reject)
            .unwrap();
        assert_eq!(input.values, [7, 0]);
        let evaluation = quantised.evaluate(&input.values).unwrap();
        assert_eq!(evaluation.output(), [7, 6]);
        assert_eq!(evaluation.saturated, [0]);
    }

    #[test]
    fn requantisation_rounds_halves_up_and_clamps() {
        let layer = IntegerDense {
            name: "dense".into(),
            weights: array![[1]],
            bias: array![0],
            shift: 2,
            low: -8,
            high: 7,
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
        for (accumulator, expected) in cases {
            assert_eq!(layer.requantise(accumulator), expected, "{accumulator}");
        }
        assert!(layer.saturates(30) && !layer.saturates(29));
        assert!(layer.saturates(-35) && !layer.saturates(-34));
        let rectified = IntegerDense { low: 0, ..layer };
        assert!(rectified.saturates(30) && !rectified.saturates(-1000));
        assert_eq!(rectified.quotient(i64::MAX), 1i64 << 61);
        assert_eq!(rectified.quotient(i64::MIN), -(1i64 << 61));
    }

    #[test]
    fn large_weights_lower_the_shift() {
        let network = single(array![[300.0, 0.0], [0.0, 1.0]], false);
        // The larger output is small on the samples, so its weight is large at this scale.
        let samples = [vec![0.003, 0.9], vec![0.0, -1.0]];
        let options = QuantiseOptions::default();
        let quantised = IntegerNetwork::quantise(&network, &samples, &options).unwrap();
        assert_eq!(quantised.layers[0].shift, 8);
        assert_eq!(quantised.layers[0].weights, array![[76800, 0], [0, 256]]);
    }

    #[test]
    fn values_outside_the_range_are_refused_or_counted() {
        let network = single(array![[1.0, 1.0]], false);
        let samples = [vec![1.0, -1.0], vec![1.0, 1.0]];
        let quantised =
            IntegerNetwork::quantise(&network, &samples, &QuantiseOptions::default()).unwrap();
        let error = quantised
            .quantise_input(&[0.0, 1.5], OutOfRange::Reject)
            .unwrap_err();
        assert!(
            matches!(error, ModelError::OutsideRange { index: 1, .. }),
            "{error}"
        );
        let input = quantised
            .quantise_input(&[-2.0, 1.5], OutOfRange::Saturate)
            .unwrap();
        assert_eq!((input.values, input.saturated), (vec![-128, 127], 2));
        assert!(
            quantised
                .quantise_input(&[f32::NAN, 0.0], OutOfRange::Saturate)
                .is_err()
        );
    }

    #[test]
    fn survives_serialisation() {
        let network = integers(&[5, 4, 3]);
        let bytes = bincode::serde::encode_to_vec(&network, bincode::config::standard()).unwrap();
        let (read, _): (IntegerNetwork, usize) =
            bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
        assert_eq!(read, network);
    }

    proptest! {
        // 64 cases: each tries 16 corners of the input range, where the bound is attained.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn accumulator_bits_are_exact(
            weights in prop::collection::vec(-1000i64..1000, 4),
            bias in -5000i64..5000,
            shift in 1u32..12,
        ) {
            let layer = IntegerDense {
                name: "dense".into(),
                weights: Array2::from_shape_vec((1, 4), weights).unwrap(),
                bias: array![bias],
                shift,
                low: 0,
                high: 127,
            };
            let (low, high) = (-128, 127);
            let bits = layer.accumulator_bits(low, high).unwrap();
            let fits = |bits: u32, y: i64| {
                let half = 1i64 << (bits - 1);
                -half <= y && y + (1 << (shift - 1)) < half
            };
            let corner = |mask: usize| -> Vec<i64> {
                (0..4).map(|i| if mask >> i & 1 == 1 { high } else { low }).collect()
            };
            let sums: Vec<i64> =
                (0..16).map(|mask| layer.accumulate(&corner(mask)).unwrap()[0]).collect();
            prop_assert!(sums.iter().all(|&y| fits(bits, y)));
            prop_assert!(bits == shift + 1 || sums.iter().any(|&y| !fits(bits - 1, y)));
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
        let outputs: Vec<_> = (0..4)
            .map(|_| network.evaluate(&random::input(64, &mut random)).unwrap())
            .collect();
        for evaluation in &outputs {
            for activations in &evaluation.layers {
                let active = activations.iter().filter(|&&q| q != 0).count();
                assert!(active >= 8, "{active} units active");
            }
            let saturated: usize = evaluation.saturated.iter().sum();
            assert!(
                saturated < 512 * 64 / 20,
                "{saturated} activations saturate"
            );
        }
        assert_ne!(outputs[0].output(), outputs[1].output());
        let bits = network.check().unwrap();
        println!("accumulator bits at most {:?}", bits.iter().max());
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
                "node `dense`: operator Gemm is not supported",
            ),
            ("unknown_attribute", "Gemm with the attribute `transC`"),
            ("trans_a", "node `dense`: operand shapes [1, 6] and [6, 4]"),
            ("embedding", "node `lookup`: Gather with computed indices"),
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
        let chain = FloatNetwork::open(fixture("branch")).unwrap_err();
        errors.push((chain, "node `residual` (Combine) is no dense layer"));
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
        let quantise = |weights: Array2<f32>, samples: &[Vec<f32>], bits: u32, shift: u32| {
            let options = options_of(bits, shift);
            IntegerNetwork::quantise(&single(weights, true), samples, &options).unwrap_err()
        };
        let ones = || array![[1.0f32, 1.0]];
        let sample = [vec![1.0, 1.0]];
        let cancelling = {
            let network = single(array![[1.0, -1.0]], false);
            let samples = [vec![1.0, 1.0], vec![0.5, 0.49]];
            let options = options_of(2, 8);
            IntegerNetwork::quantise(&network, &samples, &options).unwrap_err()
        };
        let steep = quantise(array![[1e6, -1e6]], &[vec![1.0, 0.999_999]], 8, 8);
        vec![
            (quantise(ones(), &sample, 17, 16), "activations of 17 bits"),
            (
                quantise(ones(), &sample, 8, 0),
                "layer `dense`: a shift of 0",
            ),
            (quantise(ones(), &[], 8, 16), "there are no samples"),
            (
                quantise(ones(), &[vec![1.0]], 8, 16),
                "sample 0 has 1 values",
            ),
            (
                quantise(-ones(), &sample, 8, 16),
                "the output of layer `dense`: a largest magnitude",
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

    /// What `check`, `evaluate` and `quantise_input` refuse.
    fn of_integers() -> Vec<(ModelError, &'static str)> {
        let good = integers(&[3, 2]);
        let changed = |change: fn(&mut IntegerNetwork)| {
            let mut network = integers(&[3, 2]);
            change(&mut network);
            network.check().unwrap_err()
        };
        vec![
            (changed(|n| n.bits = 1), "activations of 1 bits"),
            (changed(|n| n.layers.clear()), "no layer to prove"),
            (
                changed(|n| n.output_scale = f64::NAN),
                "scale of the output",
            ),
            (
                changed(|n| n.layers[0].bias = array![1]),
                "expected 2 biases, got 1",
            ),
            (changed(|n| n.layers[0].shift = 25), "a shift of 25"),
            (
                changed(|n| n.layers[0].low = 1),
                "clamp [1, 127] does not contain 0",
            ),
            (changed(|n| n.layers[0].high = 128), "clamp [-128, 128]"),
            (
                changed(|n| n.layers[0].weights[(0, 0)] = 1 << 23),
                "need 25 bits",
            ),
            (
                changed(|n| n.layers[0].bias[0] = 1 << 61),
                "accumulators need 63 bits",
            ),
            (good.evaluate(&[1, 2]).unwrap_err(), "sample 0 has 2 values"),
            (
                good.evaluate(&[1, 2, 128]).unwrap_err(),
                "quantised input value 2 is 128",
            ),
            (
                good.quantise_input(&[0.0, 9.0, 0.0], OutOfRange::Reject)
                    .unwrap_err(),
                "input value 1 is 9, outside the calibrated range [-1.28, 1.27]",
            ),
        ]
    }

    fn of_plans() -> Vec<(ModelError, &'static str)> {
        let plan = |widths: &[usize], change: &dyn Fn(&mut PlanOptions)| {
            let mut options = PlanOptions::default();
            change(&mut options);
            Plan::new(&(&integers(widths)).into(), &options).unwrap_err()
        };
        let planned = Plan::new(&(&integers(&[8, 8])).into(), &PlanOptions::default()).unwrap();
        let mut graph = IntegerGraph::from(&integers(&[8, 8]));
        graph.nodes[0].operands = vec![7];
        vec![
            (
                plan(&[8, 8], &|options| options.max_weight_variables = 23),
                "step polynomials of 23 variables",
            ),
            (
                plan(&[64, 64], &|options| options.max_weight_variables = 6),
                "(64 x 64) needs a step polynomial of 13 variables",
            ),
            (
                plan(&[8, 8, 8], &|options| {
                    (options.max_weight_variables, options.max_kinds) = (7, 1);
                }),
                "has at most 1 step kinds",
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

#[test]
fn one_output_is_a_logit_and_several_are_scores() {
    use foldnet::model::quantise::class;
    assert_eq!(class(&[-0.5]), 0);
    assert_eq!(class(&[0.5]), 1);
    assert_eq!(class(&[-3i64, 7, 7]), 1);
}
