//! Deep random ReLU networks of integers, for benchmarks.
//!
//! A random matrix alone does not do: over hundreds of layers magnitudes drift to zero or to the
//! clamp, and all inputs come to the same output. So each layer is normalised on a few random
//! probes, as batch normalisation does: every output is centred over the probes and divided by its
//! spread, so that about half of the units stay active and outputs still depend on the input.

use super::error::ModelError;
use super::integer::full_range;
use super::network::{IntegerGraph, IntegerNode};
use super::reading::Reading;
use foldnet_layers::Linear;
use foldnet_layers::bounds::accumulator_bits;
use foldnet_layers::requantise::{Requantise, Ties};
use ndarray::{Array1, Array2};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

const BITS: u32 = 8;
const SHIFT: u32 = 16;
const PROBES: usize = 16;
/// Three spreads of a unit fill the range of activations.
const SPREADS: f64 = 3.0;

/// A chain of `depth` layers of `width` inputs and outputs: ReLU layers, the last one linear, with
/// 8-bit activations and shift 16. Equal arguments give equal networks on every machine.
///
/// # Errors
/// [`ModelError::NoLayers`] when `depth` or `width` is 0, and those of [`IntegerGraph::check`].
pub fn network(depth: usize, width: usize, seed: u64) -> Result<IntegerGraph, ModelError> {
    if depth == 0 || width == 0 {
        return Err(ModelError::NoLayers);
    }
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let mut probes: Vec<Vec<i64>> = (0..PROBES).map(|_| input(width, &mut random)).collect();
    let mut nodes = Vec::with_capacity(depth);
    for position in 0..depth {
        let node = normalised_layer(position, position + 1 == depth, &probes, &mut random);
        let alone = IntegerNode {
            operands: vec![0],
            ..node.clone()
        };
        let layer = chain(width, vec![alone]);
        let evaluator = layer.evaluator()?;
        for probe in &mut probes {
            let output = evaluator.output(probe);
            *probe = output.map_err(|error| layer.layer_error(error))?;
        }
        nodes.push(node);
    }
    Ok(chain(width, nodes))
}

/// A network whose last node is the output.
fn chain(input_len: usize, nodes: Vec<IntegerNode>) -> IntegerGraph {
    IntegerGraph {
        bits: BITS,
        input_len,
        input_scale: scale(),
        output: nodes.len(),
        reading: Reading::default(),
        nodes,
    }
}

/// The scale at which activations lie between -1 and 1.
fn scale() -> f64 {
    1.0 / full_range(BITS).1 as f64
}

/// A random input of `width` 8-bit integers.
pub fn input(width: usize, random: &mut impl RngCore) -> Vec<i64> {
    let (low, high) = full_range(BITS);
    (0..width)
        .map(|_| low + (uniform(random) * (high - low + 1) as f64) as i64)
        .collect()
}

/// Uniform in `[0, 1)`, with 53 bits.
fn uniform(random: &mut impl RngCore) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn normalised_layer(
    position: usize,
    last: bool,
    probes: &[Vec<i64>],
    random: &mut impl RngCore,
) -> IntegerNode {
    let width = probes.first().map_or(0, Vec::len);
    let (low, high) = full_range(BITS);
    let target = high as f64 / SPREADS * f64::from(1u32 << SHIFT);
    let mut weights = Array2::zeros((width, width));
    let mut bias = Array1::zeros(width);
    for (mut row, bias) in weights.rows_mut().into_iter().zip(&mut bias) {
        let drawn: Vec<f64> = (0..width).map(|_| 2.0 * uniform(random) - 1.0).collect();
        let (mean, spread) = moments(&drawn, probes);
        // A row that sees no spread is left at the size of a row with spread 1.
        let factor = target / spread.max(1.0);
        for (weight, w) in row.iter_mut().zip(drawn) {
            *weight = (w * factor).round() as i64;
        }
        *bias = (-mean * factor).round() as i64;
    }
    // The bound for any activation as input, so that layers of equal sizes are of one kind more often.
    let requantise = Requantise {
        shift: SHIFT,
        low: if last { low } else { 0 },
        high,
        accumulator_bits: accumulator_bits(&weights, &bias, low, high),
        ties: Ties::Up,
    };
    IntegerNode {
        name: format!("layer {position}"),
        layer: Linear::dense(width, width, requantise).into(),
        operands: vec![position],
        weights: Some((weights, bias)),
        scale: scale(),
    }
}

/// Mean and standard deviation of `weights . probe` over the probes.
fn moments(weights: &[f64], probes: &[Vec<i64>]) -> (f64, f64) {
    let product =
        |probe: &Vec<i64>| -> f64 { weights.iter().zip(probe).map(|(&w, &x)| w * x as f64).sum() };
    let products: Vec<f64> = probes.iter().map(product).collect();
    let count = products.len().max(1) as f64;
    let mean = products.iter().sum::<f64>() / count;
    let variance = products
        .iter()
        .map(|p| (p - mean) * (p - mean))
        .sum::<f64>()
        / count;
    (mean, variance.sqrt())
}
