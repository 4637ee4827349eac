//! Random steps for the tests.
#![allow(dead_code)] // Each test binary uses a part.

use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::check::{self, Checked};
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{
    Graph, GraphShape, GraphTrace, Layer, Linear, Node, SaltedTrace, bounds, evaluate, graph, pack,
    required_variables, tensor,
};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::LazyLock;

pub static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

/// A step of one layer, which reads every live tensor, in order.
pub fn alone(layer: Layer, bits: u32) -> GraphShape {
    let inputs = layer.operands();
    GraphShape {
        weight_variables: required_variables([&layer]),
        nodes: vec![Node {
            layer,
            operands: (0..inputs.len()).collect(),
        }],
        outputs: vec![inputs.len()],
        inputs,
        batch: 1,
        bits,
        ends_inference: true,
    }
}

/// Whether a variable is a hint of [`Ties::Even`], which is free where there is nothing to show.
pub fn is_hint(path: &str) -> bool {
    path.ends_with("/odd by remainder") || path.ends_with("/odd by excess")
}

/// Variables that can change alone, but for hints.
pub fn unpinned(checked: &mut Checked<Fr>) -> Vec<String> {
    let mut free = checked.system.unpinned();
    free.retain(|path| !is_hint(path));
    free
}

/// Uniform integers.
pub struct Random(ChaCha20Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Between `low` and `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.0.next_u64() % (high.abs_diff(low) + 1)) as i64
    }
}

/// A step with weights, an input and its trace.
#[derive(Clone, Debug)]
pub struct Case {
    pub shape: GraphShape,
    pub weights: WeightTable,
    pub input: Vec<Vec<i64>>,
    pub trace: GraphTrace,
}

/// The dense parameters that vary in tests.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    pub bits: u32,
    pub shift: u32,
    pub low: i64,
    pub high: i64,
    pub weight_bits: u32,
}

pub const PLAIN: Params = Params {
    bits: 8,
    shift: 11,
    low: -128,
    high: 127,
    weight_bits: 12,
};
pub const RELU: Params = Params { low: 0, ..PLAIN };

/// Random matrices for consecutive widths.
pub fn matrices(
    random: &mut Random,
    widths: &[usize],
    weight_bits: u32,
) -> Vec<(Array2<i64>, Array1<i64>)> {
    let bound = 1 << (weight_bits - 1);
    let mut layer = |rows: usize, columns: usize| {
        let matrix =
            Array2::from_shape_simple_fn((rows, columns), || random.between(-bound, bound));
        let bias = Array1::from_shape_simple_fn(rows, || random.between(-bound * 16, bound * 16));
        (matrix, bias)
    };
    widths
        .windows(2)
        .map(|pair| layer(pair[1], pair[0]))
        .collect()
}

/// The shape of dense layers with these weights, with exact accumulator bounds.
pub fn shape(weights: &[(Array2<i64>, Array1<i64>)], params: Params) -> GraphShape {
    let (mut low, mut high) = tensor::range(params.bits);
    let mut layers = Vec::new();
    for (matrix, bias) in weights {
        let accumulator_bits = bounds::accumulator_bits(matrix, bias, low, high);
        (low, high) = (params.low, params.high);
        let requantise = Requantise {
            shift: params.shift,
            low,
            high,
            accumulator_bits,
            ties: Ties::Up,
        };
        let linear = Linear::dense(matrix.ncols(), matrix.nrows(), requantise);
        layers.push(Layer::Linear(linear));
    }
    graph::chain(layers, params.bits)
}

pub fn input(random: &mut Random, length: usize, bits: u32) -> Vec<i64> {
    let (low, high) = tensor::range(bits);
    (0..length).map(|_| random.between(low, high)).collect()
}

pub fn case(seed: u64, widths: &[usize], params: Params) -> Case {
    let mut random = Random::new(seed);
    let matrices = matrices(&mut random, widths, params.weight_bits);
    let shape = shape(&matrices, params);
    let weights = pack(&shape, &matrices).unwrap();
    let input = vec![input(&mut random, widths[0], params.bits)];
    let trace = evaluate(&shape, &weights, &input).unwrap();
    Case {
        shape,
        weights,
        input,
        trace,
    }
}

pub fn step(shape: &GraphShape) -> Graph<Fr> {
    Graph::new(shape.clone(), CONSTANTS.clone()).unwrap()
}

pub fn salted(shape: &GraphShape, trace: &GraphTrace) -> SaltedTrace<Fr> {
    SaltedTrace::public(trace.clone(), shape.batch)
}

pub fn run(shape: &GraphShape, trace: &GraphTrace, weights: &WeightTable) -> Checked<Fr> {
    let trace = salted(shape, trace);
    check::run(&step(shape), &trace, Some(weights), &CONSTANTS).unwrap()
}

/// The output of a step that leaves one tensor.
pub fn output(shape: &GraphShape, trace: &GraphTrace) -> Vec<i64> {
    trace.outputs(shape).remove(0)
}

/// The digest of public activations.
pub fn digest(values: &[i64], bits: u32) -> Fr {
    tensor::digest(&CONSTANTS, values, bits, Fr::from(0))
}

/// Names of what rejects a trace.
pub fn rejections(case: &Case) -> Vec<String> {
    run(&case.shape, &case.trace, &case.weights).rejections()
}
