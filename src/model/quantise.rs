//! Static quantisation with scales from samples.
//!
//! [`super::calibrate`] finds the scales, the integer layers follow from them, and [`super::report`]
//! says how well they follow the floats.

use super::calibrate::{Calibration, Method};
use super::error::ModelError;
use super::graph::{FloatGraph, FloatOp};
use super::integer::{ACTIVATION_BITS, MAX_SHIFT};
use super::lower::{Cuts, Lowered, least_bits, lower};
use super::network::IntegerGraph;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// The factor by which the scale of the logits grows while they saturate, and how often it may.
const LOGIT_MARGIN: f64 = 1.05;
const LOGIT_ATTEMPTS: usize = 8;

/// Ranges of the inputs that [`Quantised::without_samples`] makes up, in the order in which they are
/// tried: normalised values, shares, pixels, small values.
const MADE_UP_RANGES: [&[[f32; 2]]; 4] = [
    &[[-1.0, 1.0], [0.0, 1.0]],
    &[[0.0, 1.0]],
    &[[0.0, 255.0]],
    &[[-0.01, 0.01]],
];

/// How many inputs are made up in each range.
const MADE_UP_INPUTS: usize = 6;

/// Choices of quantisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantiseOptions {
    /// Width of the signed activations, 2 to 16.
    pub bits: u32,
    /// The shift that layers start from; lowered by 8 while integer weights exceed
    /// [`super::integer::MAX_WEIGHT_BITS`], raised by 8 where a multiplier would be imprecise.
    pub shift: u32,
    /// How scales follow from samples.
    pub method: Method,
    /// Whether values that saturate on the samples are an error.
    pub strict: bool,
}

impl Default for QuantiseOptions {
    fn default() -> Self {
        QuantiseOptions {
            bits: 8,
            shift: 16,
            method: Method::MinMax,
            strict: false,
        }
    }
}

/// An integer graph with what is needed to count saturation.
#[derive(Clone, Debug)]
pub struct Quantised {
    /// The network.
    pub graph: IntegerGraph,
    /// For every node, where it cuts off what the float node keeps.
    pub(super) cuts: Vec<Cuts>,
}

impl FloatGraph {
    /// The least width of activations: 2, or what a model needs that is quantised already.
    pub fn least_bits(&self) -> u32 {
        least_bits(self).max(*ACTIVATION_BITS.start())
    }
}

impl Quantised {
    /// Quantises `float` with scales calibrated on `samples`.
    ///
    /// The scale of the output grows by 5 % up to eight times until no sample saturates it.
    ///
    /// # Errors
    /// Those of [`Calibration::new`] and [`IntegerGraph::check`]; [`ModelError::Bits`],
    /// [`ModelError::Shift`], what a layer cannot represent, [`ModelError::LogitsSaturate`], and
    /// [`ModelError::Saturated`] when saturation on the samples is an error.
    pub fn new(
        float: &FloatGraph,
        samples: &[Vec<f32>],
        options: &QuantiseOptions,
    ) -> Result<Self, ModelError> {
        if !ACTIVATION_BITS.contains(&options.bits) {
            return Err(ModelError::Bits { got: options.bits });
        }
        if !(1..=MAX_SHIFT).contains(&options.shift) {
            return Err(ModelError::Shift {
                layer: float.name.clone(),
                got: options.shift,
            });
        }
        let mut calibration = Calibration::new(float, samples, options.bits, options.method)?;
        let output = calibration.classes.of(float.output);
        for _ in 0..LOGIT_ATTEMPTS {
            let lowered = lower(float, &calibration, options)?;
            let quantised = Quantised {
                graph: lowered.graph,
                cuts: lowered.cuts,
            };
            let saturated = quantised.saturated_on(samples)?;
            let at = float.output.checked_sub(1);
            let logits = at.and_then(|at| saturated.get(at)).copied().unwrap_or(0);
            if logits == 0 || quantised.is_given(float) {
                return quantised.allowed(&saturated, options.strict);
            }
            let classes = &calibration.classes;
            for (tensor, threshold) in calibration.thresholds.iter_mut().enumerate() {
                if classes.of(tensor) == output {
                    *threshold *= LOGIT_MARGIN;
                }
            }
        }
        let node = float
            .output
            .checked_sub(1)
            .and_then(|at| float.nodes.get(at));
        Err(ModelError::LogitsSaturate {
            layer: node.map_or_else(String::new, |node| node.name.clone()),
        })
    }

    /// A network of about the size that [`Self::new`] gives, for plans of models whose samples are not at
    /// hand. Its scales come from made-up inputs, so that its values are of no use: only widths of
    /// accumulators, and with them constraints, differ from those of a network with real samples.
    ///
    /// # Errors
    /// Those of [`FloatGraph::check`], and what a layer cannot represent at any of the scales tried.
    pub fn without_samples(
        float: &FloatGraph,
        options: &QuantiseOptions,
    ) -> Result<Self, ModelError> {
        let mut first = None;
        for ranges in MADE_UP_RANGES {
            let inputs = if float.takes_integers() {
                made_up_indices(float)
            } else {
                made_up_inputs(float.input_len(), ranges)
            };
            let lowered = Calibration::made_up(float, &inputs)
                .and_then(|calibration| lower(float, &calibration, options));
            match lowered {
                Ok(Lowered { graph, cuts }) => return Ok(Quantised { graph, cuts }),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(ModelError::NoSamples))
    }

    /// Whether the model itself gives the scale of its output.
    fn is_given(&self, float: &FloatGraph) -> bool {
        let node = float
            .output
            .checked_sub(1)
            .and_then(|at| float.nodes.get(at));
        node.is_some_and(|node| node.step.is_some())
    }

    fn allowed(self, saturated: &[usize], strict: bool) -> Result<Self, ModelError> {
        let first = saturated.iter().position(|&count| count > 0);
        match first.filter(|_| strict) {
            None => Ok(self),
            Some(at) => Err(ModelError::Saturated {
                node: self
                    .graph
                    .nodes
                    .get(at)
                    .map_or_else(String::new, |n| n.name.clone()),
                count: saturated.get(at).copied().unwrap_or(0),
            }),
        }
    }
}

/// Uniform inputs in ranges; the same every time.
fn made_up_inputs(length: usize, ranges: &[[f32; 2]]) -> Vec<Vec<f32>> {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let mut input = |[low, high]: [f32; 2]| -> Vec<f32> {
        let mut value = || (random.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
        (0..length).map(|_| low + (high - low) * value()).collect()
    };
    let ranges = ranges.iter().flat_map(|&range| [range; MADE_UP_INPUTS]);
    ranges.map(&mut input).collect()
}

/// Indices that every table has, each in turn at every position.
fn made_up_indices(float: &FloatGraph) -> Vec<Vec<f32>> {
    let rows = float.nodes.iter().filter_map(|node| match &node.op {
        FloatOp::OneHot(rows) => Some(rows.columns),
        _ => None,
    });
    let rows = rows.min().unwrap_or(1).clamp(1, MADE_UP_INPUTS);
    let input = |first: usize| {
        let indices = (0..float.input_len()).map(|position| (first + position) % rows);
        // Exact: below the number of inputs.
        indices.map(|index| index as f32).collect()
    };
    (0..rows).map(input).collect()
}

/// Position of the first largest value; 0 when there is none.
pub fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    let mut best: Option<(usize, &T)> = None;
    for (position, value) in values.iter().enumerate() {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((position, value));
        }
    }
    best.map_or(0, |(position, _)| position)
}
