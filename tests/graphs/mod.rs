//! Small integer networks for the tests.
#![allow(dead_code)] // Each test binary uses a part.

use foldnet::model::{IntegerGraph, IntegerNode, Reading};
use foldnet_layers::average_pool::Pooled;
use foldnet_layers::layer::Layer;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{AveragePool, Combine, Linear, Window, bounds};
use ndarray::{Array1, Array2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

const BITS: u32 = 8;

pub fn between(random: &mut impl RngCore, low: i64, high: i64) -> i64 {
    low + (random.next_u64() % (high.abs_diff(low) + 1)) as i64
}

/// A network under construction.
pub struct Builder {
    random: ChaCha20Rng,
    pub graph: IntegerGraph,
}

impl Builder {
    pub fn new(input_len: usize, seed: u64) -> Self {
        Builder {
            random: ChaCha20Rng::seed_from_u64(seed),
            graph: IntegerGraph {
                bits: BITS,
                input_len,
                input_scale: 1.0,
                nodes: Vec::new(),
                output: 0,
                reading: Reading::default(),
            },
        }
    }

    /// Adds a layer; returns its tensor.
    pub fn push(&mut self, layer: impl Into<Layer>, operands: &[usize]) -> usize {
        let mut layer = layer.into();
        let weights = layer
            .linear()
            .map(|linear| (linear.outputs, linear.columns()));
        let weights = weights.map(|(rows, columns)| {
            let mut entry = |_| between(&mut self.random, -300, 300);
            let matrix = Array2::from_shape_fn((rows, columns), |_| entry(0));
            (matrix, Array1::from_shape_fn(rows, |_| entry(0)))
        });
        if let (Some((matrix, bias)), Some(requantise)) = (&weights, layer.requantise_mut()) {
            requantise.accumulator_bits = bounds::accumulator_bits(matrix, bias, -128, 127);
        }
        self.graph.nodes.push(IntegerNode {
            name: format!("node {}", self.graph.nodes.len()),
            layer,
            operands: operands.to_vec(),
            weights,
            scale: 1.0,
        });
        self.graph.output = self.graph.nodes.len();
        self.graph.output
    }
}

pub fn requantise(low: i64) -> Requantise {
    Requantise {
        shift: 12,
        low,
        high: 127,
        accumulator_bits: 24,
        ties: Ties::Up,
    }
}

pub fn convolution(channels: usize, outputs: usize, side: usize, low: i64) -> Linear {
    Linear {
        height: side,
        width: side,
        window: Window {
            kernel: [3; 2],
            padding: [1; 4],
            ..Window::ONE
        },
        ..Linear::dense(channels, outputs, requantise(low))
    }
}

/// A stem, residual blocks of two convolutions, a global average and a classifier.
pub fn residual(blocks: usize, seed: u64) -> IntegerGraph {
    let (channels, side) = (3, 4);
    let mut network = Builder::new(side * side, seed);
    let mut x = network.push(convolution(1, channels, side, 0), &[0]);
    for _ in 0..blocks {
        let inner = network.push(convolution(channels, channels, side, 0), &[x]);
        let outer = network.push(convolution(channels, channels, side, -128), &[inner]);
        let sum = Combine {
            length: channels * side * side,
            coefficients: vec![3000, 2500],
            requantise: requantise(0),
        };
        x = network.push(sum, &[x, outer]);
    }
    let planes = Pooled {
        batch: 1,
        channels,
        height: side,
        width: side,
        channels_last: false,
    };
    let multipliers = (0..=side * side).map(|k| 4096 / k.max(1) as i64).collect();
    let pool = AveragePool {
        planes,
        window: Window::tiles([side, side]),
        multipliers,
        requantise: requantise(-128),
    };
    let pooled = network.push(pool, &[x]);
    network.push(Linear::dense(channels, 5, requantise(-128)), &[pooled]);
    network.graph
}

/// A chain of dense layers.
pub fn dense(widths: &[usize], seed: u64) -> IntegerGraph {
    let mut network = Builder::new(widths[0], seed);
    for (i, pair) in widths.windows(2).enumerate() {
        network.push(Linear::dense(pair[0], pair[1], requantise(0)), &[i]);
    }
    network.graph
}

pub fn input(graph: &IntegerGraph, seed: u64) -> Vec<i64> {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    (0..graph.input_len)
        .map(|_| between(&mut random, -128, 127))
        .collect()
}
