//! Random chains for the tests.
#![allow(dead_code)] // Each test binary uses a part.

use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::check::{self, Checked};
use foldnet_layers::{
    Chain, ChainShape, ChainTrace, Dense, Layer, bounds, evaluate, pack, required_variables, tensor,
};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::LazyLock;

pub static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

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

/// A chain with weights, an input and its trace.
#[derive(Clone, Debug)]
pub struct Case {
    pub shape: ChainShape,
    pub weights: WeightTable,
    pub input: Vec<i64>,
    pub trace: ChainTrace,
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
pub fn shape(weights: &[(Array2<i64>, Array1<i64>)], params: Params) -> ChainShape {
    let (mut low, mut high) = tensor::range(params.bits);
    let mut layers = Vec::new();
    for (matrix, bias) in weights {
        let accumulator_bits = bounds::accumulator_bits(matrix, bias, low, high);
        (low, high) = (params.low, params.high);
        layers.push(Layer::Dense(Dense {
            inputs: matrix.ncols(),
            outputs: matrix.nrows(),
            shift: params.shift,
            low,
            high,
            accumulator_bits,
        }));
    }
    let weight_variables = required_variables(&layers);
    ChainShape {
        layers,
        bits: params.bits,
        weight_variables,
        ends_inference: false,
    }
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
    let input = input(&mut random, widths[0], params.bits);
    let trace = evaluate(&shape, &weights, &input).unwrap();
    Case {
        shape,
        weights,
        input,
        trace,
    }
}

pub fn chain(shape: &ChainShape) -> Chain<Fr> {
    Chain::new(shape.clone(), CONSTANTS.clone()).unwrap()
}

pub fn run(shape: &ChainShape, trace: &ChainTrace, weights: &WeightTable) -> Checked<Fr> {
    check::run(&chain(shape), trace, Some(weights), &CONSTANTS).unwrap()
}

/// Names of what rejects a trace.
pub fn rejections(case: &Case) -> Vec<String> {
    run(&case.shape, &case.trace, &case.weights).rejections()
}
