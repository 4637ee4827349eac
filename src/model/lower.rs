//! Static quantisation: a float graph and scales to an integer graph.
//!
//! With scales `s_x` of the operands, `s_y` of the output and shift `s`, a linear layer has
//!
//! ```text
//! W_int = round(W s_x 2^s / s_y),    b_int = round(b 2^s / s_y)
//! ```
//!
//! (Jacob et al. 2018, arXiv 1712.05877, section 2.2, with the multiplier folded into the weights).
//! Weights are field elements in a proof, so their 16 to 24 bits cost nothing there. Where a layer
//! has a single multiplier, the scale of its output is raised until the multiplier is whole, so that
//! it is exact. The range of every tensor is propagated; it bounds accumulators exactly.

use super::calibrate::{Calibration, keeps_values};
use super::error::ModelError;
use super::graph::{self, FloatGraph, FloatNode, FloatOp, Formula, Interval, Pool, Rows};
use super::integer::{EXACT_SCALE, MAX_ACCUMULATOR_BITS, MAX_WEIGHT_BITS, full_range, signed_bits};
use super::network::{IntegerGraph, IntegerNode};
use super::quantise::QuantiseOptions;
use foldnet_layers::argmax::ArgMax;
use foldnet_layers::average_pool::{AveragePool, Pooled};
use foldnet_layers::matmul::MatMul;
use foldnet_layers::max_pool::MaxPool;
use foldnet_layers::multiply::Multiply;
use foldnet_layers::normalise::Normalise;
use foldnet_layers::one_hot::OneHot;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::softmax::Softmax;
use foldnet_layers::table::{MOST_BITS, Table};
use foldnet_layers::{Combine, Gather, Layer, Linear, Window};
use ndarray::{Array1, Array2};
use std::collections::HashMap;

/// By how much shifts differ: one limb of the remainder.
const SHIFT_STEP: u32 = 8;

/// The largest shift, which quantised models have.
const LARGEST_SHIFT: u32 = 24;

/// Signed bits that the weights of quantised models may have: integers of 9 bits times a multiplier
/// that is precise enough for the file's own rounding.
const QUANTISED_WEIGHT_BITS: u32 = 31;

/// The least multiplier whose rounding may raise a scale.
const LEAST_MULTIPLIER: f64 = 64.0;

/// The bound of the sum of exponentials of a row of a softmax that costs two limbs.
const SOFTMAX_SUM: i64 = (1 << 16) - 1;

/// An integer graph and what it came from.
pub(super) struct Lowered {
    pub(super) graph: IntegerGraph,
    /// For every node, whether values are cut off at the lower and at the upper end that the float
    /// node would not cut off.
    pub(super) cuts: Vec<Cuts>,
}

/// Where a node saturates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cuts {
    /// Below the range.
    pub(super) low: bool,
    /// Above the range.
    pub(super) high: bool,
    /// For a table, the smallest input and for every input whether it saturates.
    pub(super) inputs: Option<(i64, Vec<bool>)>,
}

/// Quantises a graph with the given calibration.
pub(super) fn lower(
    graph: &FloatGraph,
    calibration: &Calibration,
    options: &QuantiseOptions,
) -> Result<Lowered, ModelError> {
    let scales = Scales::new(graph, calibration, options)?;
    let range = full_range(options.bits);
    let mut lowering = Lowering {
        options,
        scales: &scales.of,
        ranges: vec![range],
        cuts: Vec::with_capacity(graph.nodes.len()),
        lengths: graph.lengths(),
        vectors: HashMap::new(),
    };
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        nodes.push(lowering.node(node, at + 1)?);
    }
    Ok(Lowered {
        graph: IntegerGraph {
            bits: options.bits,
            input_len: graph.input_len(),
            input_scale: input_scale(graph, &scales),
            nodes,
            output: graph.output,
            reading: graph.reading(),
        },
        cuts: lowering.cuts,
    })
}

/// The scale of the input: [`EXACT_SCALE`] says that it holds integers. The next smaller number rounds
/// every float32 in the same way, also those halfway between two integers.
fn input_scale(graph: &FloatGraph, scales: &Scales) -> f64 {
    match scales.of.first().copied() {
        Some(scale) if scale == EXACT_SCALE && !graph.takes_integers() => scale.next_down(),
        scale => scale.unwrap_or(EXACT_SCALE),
    }
}

/// The scale of every tensor.
struct Scales {
    of: Vec<f64>,
    /// Whether the model itself gives it, by class.
    fixed: Vec<bool>,
}

impl Scales {
    fn new(
        graph: &FloatGraph,
        calibration: &Calibration,
        options: &QuantiseOptions,
    ) -> Result<Self, ModelError> {
        let high = full_range(options.bits).1 as f64;
        let classes = &calibration.classes;
        let count = calibration.thresholds.len();
        let mut of: Vec<f64> = calibration.thresholds.iter().map(|t| t / high).collect();
        let mut fixed = vec![false; count];
        let mut producers = vec![0usize; count];
        let nodes = graph.nodes.iter().map(|node| node.name.as_str());
        let names = std::iter::once("the input").chain(nodes);
        for (tensor, name) in names.enumerate() {
            let step = graph.given_step(tensor);
            let class = classes.of(tensor);
            let node = tensor.checked_sub(1).and_then(|at| graph.nodes.get(at));
            let makes = node.is_none_or(|node| !keeps_values(&node.op));
            if let Some(count) = producers.get_mut(class).filter(|_| makes) {
                *count += 1;
            }
            let Some(step) = step else {
                continue;
            };
            let known = fixed.get(class) == Some(&true);
            let other = of.get(class).copied().unwrap_or(step);
            if known && other != step {
                return Err(ModelError::Scales {
                    node: name.into(),
                    scale: step,
                    other,
                });
            }
            set(&mut of, class, step);
            set(&mut fixed, class, true);
        }
        let mut scales = Scales { of, fixed };
        for (at, node) in graph.nodes.iter().enumerate() {
            let class = classes.of(at + 1);
            if scales.fixed.get(class) == Some(&true) || keeps_values(&node.op) {
                continue;
            }
            let old = scales.of.get(class).copied().unwrap_or(1.0);
            let operands: Vec<f64> = node
                .inputs
                .iter()
                .filter_map(|&tensor| scales.of.get(classes.of(tensor)).copied())
                .collect();
            let alone = producers.get(class) == Some(&1);
            match (&node.op, multiplier(node, &operands)) {
                // The outputs of a softmax are multiples of one over a whole number.
                (FloatOp::Softmax(_), _) => {
                    let levels = (1.0 / old).floor().clamp(1.0, high);
                    set(&mut scales.of, class, 1.0 / levels);
                    set(&mut scales.fixed, class, true);
                }
                (_, Some(factor)) if alone => {
                    let shift = shift_for(factor / old, options.shift);
                    let wanted = factor * power(shift) / old;
                    if wanted >= 1.0 {
                        set(
                            &mut scales.of,
                            class,
                            factor * power(shift) / wanted.floor(),
                        );
                    }
                }
                _ => {}
            }
        }
        let of_class = |tensor| scales.of.get(classes.of(tensor)).copied().unwrap_or(1.0);
        Ok(Scales {
            of: (0..count).map(of_class).collect(),
            ..scales
        })
    }
}

fn set<T>(values: &mut [T], at: usize, value: T) {
    if let Some(slot) = values.get_mut(at) {
        *slot = value;
    }
}

/// What a node multiplies a product or sum of integers with to give the float, if that is one
/// positive number.
fn multiplier(node: &FloatNode, scales: &[f64]) -> Option<f64> {
    let product: f64 = scales.iter().product();
    let factor = match &node.op {
        FloatOp::Multiply { factor } | FloatOp::MatMul { factor, .. } => factor * product,
        FloatOp::AveragePool { pool, factors } => {
            let whole = pool.window.padding == [0; 4];
            factors.last().filter(|_| whole)? * product
        }
        _ => return None,
    };
    (factor.is_normal() && factor > 0.0).then_some(factor)
}

/// The shift, from the given one upwards, at which a multiplier is precise enough.
fn shift_for(ratio: f64, least: u32) -> u32 {
    let precise = |shift: &u32| ratio.abs() * power(*shift) >= LEAST_MULTIPLIER;
    let shifts = (0..)
        .map(|i| least + i * SHIFT_STEP)
        .take_while(|&shift| shift <= LARGEST_SHIFT);
    let mut last = least;
    for shift in shifts {
        last = shift;
        if precise(&shift) {
            break;
        }
    }
    last
}

fn power(shift: u32) -> f64 {
    2f64.powi(i32::try_from(shift).unwrap_or(i32::MAX))
}

/// `round(value)`; a value that does not fit gives the nearest i64, which later checks refuse.
fn round(value: f64) -> i64 {
    value.round() as i64
}

/// The graph read so far.
struct Lowering<'a> {
    options: &'a QuantiseOptions,
    scales: &'a [f64],
    /// Smallest and largest integer of every tensor.
    ranges: Vec<(i64, i64)>,
    cuts: Vec<Cuts>,
    lengths: Vec<usize>,
    /// The tensors that hold one-hot vectors.
    vectors: HashMap<usize, Rows>,
}

/// A layer with its weights.
type Weighted = (Layer, Option<(Array2<i64>, Array1<i64>)>);

impl Lowering<'_> {
    fn scale(&self, tensor: usize) -> f64 {
        self.scales.get(tensor).copied().unwrap_or(1.0)
    }

    fn range(&self, tensor: usize) -> (i64, i64) {
        self.ranges.get(tensor).copied().unwrap_or((0, 0))
    }

    fn length(&self, tensor: usize) -> usize {
        self.lengths.get(tensor).copied().unwrap_or(0)
    }

    fn node(&mut self, node: &FloatNode, tensor: usize) -> Result<IntegerNode, ModelError> {
        let (layer, weights) = self.layer(node, tensor)?;
        Ok(IntegerNode {
            name: node.name.clone(),
            layer,
            operands: node.inputs.clone(),
            weights,
            scale: self.scale(tensor),
        })
    }

    /// The integer layer of a node; notes the range of its output.
    fn layer(&mut self, node: &FloatNode, tensor: usize) -> Result<Weighted, ModelError> {
        let first = node.inputs.first().copied().unwrap_or(0);
        let length = self.length(first);
        let bits = self.options.bits;
        let plain = |layer: Layer| Ok((layer, None));
        match &node.op {
            FloatOp::Linear(layer) => self.linear(node, tensor, layer),
            FloatOp::Combine { coefficients } => self
                .combine(node, tensor, coefficients)
                .map(|layer| (layer, None)),
            FloatOp::Multiply { factor } => {
                let (multiplier, shift) = self.multiplier(node, tensor, *factor)?;
                let bound = self.product_bound(node, 1, multiplier);
                let requantise = self.requantise(node, tensor, shift, bound)?;
                plain(Layer::Multiply(Multiply {
                    length,
                    multiplier,
                    requantise,
                }))
            }
            FloatOp::MatMul { sizes, factor } => {
                let (multiplier, shift) = self.multiplier(node, tensor, *factor)?;
                let bound = self.product_bound(node, sizes.inner, multiplier);
                let requantise = self.requantise(node, tensor, shift, bound)?;
                plain(Layer::MatMul(MatMul {
                    batch: sizes.batch,
                    rows: sizes.rows,
                    inner: sizes.inner,
                    columns: sizes.columns,
                    transposed_right: false,
                    multiplier,
                    requantise,
                }))
            }
            FloatOp::AveragePool { pool, factors } => self
                .average_pool(node, tensor, pool, factors)
                .map(|layer| (layer, None)),
            FloatOp::MaxPool(pool) => {
                self.passes(self.range(first));
                plain(Layer::MaxPool(MaxPool {
                    planes: pooled(pool),
                    window: window(&pool.window),
                    bits,
                }))
            }
            FloatOp::Gather { map } => {
                let zero = map.iter().any(Option::is_none).then_some((0, 0));
                let ranges = node
                    .inputs
                    .iter()
                    .map(|&input| self.range(input))
                    .chain(zero);
                let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                self.passes(range.unwrap_or((0, 0)));
                plain(Layer::Gather(Gather {
                    operands: node
                        .inputs
                        .iter()
                        .map(|&input| self.length(input))
                        .collect(),
                    map: map.clone(),
                }))
            }
            FloatOp::Clip(interval) => {
                let clip = FloatNode {
                    clip: *interval,
                    ..node.clone()
                };
                let (low, high) = self.range(first);
                let requantise = self.requantise(&clip, tensor, 0, magnitude(low, high))?;
                plain(Layer::Combine(Combine {
                    length,
                    coefficients: vec![1],
                    requantise,
                }))
            }
            FloatOp::Function(formula) => self.table(node, tensor, formula).map(|l| (l, None)),
            FloatOp::Softmax(rows) => self.softmax(node, tensor, rows).map(|l| (l, None)),
            FloatOp::Normalise { rows, epsilon } => self
                .normalise(node, tensor, rows, *epsilon)
                .map(|l| (l, None)),
            FloatOp::ArgMax(rows) => {
                let last = i64::try_from(rows.columns)
                    .unwrap_or(i64::MAX)
                    .saturating_sub(1);
                self.passes((0, last));
                plain(Layer::ArgMax(ArgMax {
                    rows: rows.rows,
                    columns: rows.columns,
                    bits,
                }))
            }
            FloatOp::OneHot(rows) => {
                self.check_index_bits(node, rows)?;
                self.passes((0, 1));
                self.vectors.insert(tensor, *rows);
                plain(Layer::OneHot(OneHot {
                    positions: rows.rows,
                    classes: rows.columns,
                    offset: 0,
                }))
            }
        }
    }

    /// Checks that all indices of a table are activations.
    fn check_index_bits(&self, node: &FloatNode, rows: &Rows) -> Result<(), ModelError> {
        let needed = index_bits(rows);
        if needed <= self.options.bits {
            return Ok(());
        }
        Err(ModelError::IndexBits {
            node: node.name.clone(),
            most: rows.columns.saturating_sub(1),
            bits: self.options.bits,
            needed,
        })
    }

    /// Notes the range of an output that cuts nothing off.
    fn passes(&mut self, range: (i64, i64)) {
        self.ranges.push(range);
        self.cuts.push(Cuts::default());
    }

    /// The clamp of a node in integers, and whether each end cuts off what the float node keeps.
    fn clamp(&self, clip: Interval, tensor: usize) -> ((i64, i64), (bool, bool)) {
        let (least, most) = full_range(self.options.bits);
        let scale = self.scale(tensor);
        // Infinite and large ends give the nearest i64.
        let (low, high) = (round(clip.low / scale), round(clip.high / scale));
        let (low, high) = (low.min(high), high);
        let range = (low.clamp(least, most), high.clamp(least, most));
        (range, (low < least, high > most))
    }

    /// Checks that a node that is quantised already has no values that do not fit.
    fn check_grid(
        &self,
        node: &FloatNode,
        tensor: usize,
        cut: (bool, bool),
    ) -> Result<(), ModelError> {
        if node.step.is_none() || cut == (false, false) {
            return Ok(());
        }
        Err(ModelError::GridBits {
            node: node.name.clone(),
            bits: self.options.bits,
            needed: needed_bits(node.clip, self.scale(tensor)),
        })
    }

    /// The requantisation of a node whose accumulators have at most the given magnitude.
    fn requantise(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        shift: u32,
        bound: u128,
    ) -> Result<Requantise, ModelError> {
        let accumulator_bits = (u128::BITS - bound.leading_zeros()).max(1);
        if accumulator_bits > MAX_ACCUMULATOR_BITS {
            return Err(ModelError::Accumulator {
                layer: node.name.clone(),
                got: accumulator_bits,
                most: MAX_ACCUMULATOR_BITS,
            });
        }
        let ((low, high), cut) = self.clamp(node.clip, tensor);
        self.check_grid(node, tensor, cut)?;
        let (cut_low, cut_high) = cut;
        self.ranges.push((low, high));
        self.cuts.push(Cuts {
            low: cut_low,
            high: cut_high,
            inputs: None,
        });
        Ok(Requantise {
            shift,
            low,
            high,
            accumulator_bits,
            // ONNX's QuantizeLinear rounds halves to even.
            ties: match node.step {
                Some(_) => Ties::Even,
                None => Ties::Up,
            },
        })
    }

    /// The shift that a node starts from: models that are quantised already are taken as precisely
    /// as weights allow.
    fn first_shift(&self, node: &FloatNode) -> u32 {
        if node.step.is_some() {
            LARGEST_SHIFT
        } else {
            self.options.shift
        }
    }

    fn linear(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        layer: &graph::Linear,
    ) -> Result<Weighted, ModelError> {
        let input = node.inputs.first().copied().unwrap_or(0);
        let (scale_in, scale_out) = (self.scale(input), self.scale(tensor));
        let largest = layer
            .weights
            .iter()
            .fold(0.0f64, |most, w| most.max(w.abs()));
        let bits = |shift: u32| {
            signed_bits(i128::from(round(
                largest * scale_in * power(shift) / scale_out,
            )))
        };
        let most = weight_bits(node);
        let mut shift = self.first_shift(node);
        while bits(shift) > most {
            if shift <= SHIFT_STEP {
                return Err(ModelError::WeightRange {
                    layer: node.name.clone(),
                    shift,
                    got: bits(shift),
                    most,
                });
            }
            shift -= SHIFT_STEP;
        }
        let unit = power(shift) / scale_out;
        let weights = layer.weights.mapv(|w| round(w * scale_in * unit));
        let bias = layer.bias.mapv(|b| round(b * unit));
        // Padding reads zero.
        let (low, high) = self.range(input);
        let (low, high) = (low.min(0), high.max(0));
        let chosen = self.vectors.get(&input).is_some_and(|rows| {
            let vectors = graph::Planes::points(rows.rows, rows.columns);
            layer.planes == vectors && layer.window == graph::Window::POINT
        });
        let bits = if chosen {
            chosen_bits(&weights, &bias)
        } else {
            foldnet_layers::bounds::accumulator_bits(&weights, &bias, low, high)
        };
        let bound = 1u128.checked_shl(bits).map_or(u128::MAX, |limit| limit - 1);
        let requantise = self.requantise(node, tensor, shift, bound)?;
        let graph::Planes {
            batch,
            channels,
            height,
            width,
        } = layer.planes;
        let integer = Linear {
            batch,
            groups: layer.groups,
            channels,
            height,
            width,
            outputs: layer.weights.nrows(),
            window: window(&layer.window),
            channels_last: false,
            requantise,
        };
        Ok((Layer::Linear(integer), Some((weights, bias))))
    }

    fn combine(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        coefficients: &[f64],
    ) -> Result<Layer, ModelError> {
        let scale_out = self.scale(tensor);
        let terms = node.inputs.iter().zip(coefficients);
        let ratios: Vec<f64> = terms.map(|(&x, c)| c * self.scale(x) / scale_out).collect();
        let most = ratios.iter().fold(0.0f64, |most, r| most.max(r.abs()));
        let bits = |shift: u32| signed_bits(i128::from(round(most * power(shift))));
        let mut shift = self.first_shift(node);
        while bits(shift) > weight_bits(node) && shift > SHIFT_STEP {
            shift -= SHIFT_STEP;
        }
        let coefficients: Vec<i64> = ratios.iter().map(|r| round(r * power(shift))).collect();
        let bound = node
            .inputs
            .iter()
            .zip(&coefficients)
            .fold(0u128, |sum, (&x, c)| {
                let (low, high) = self.range(x);
                let term = magnitude(low, high).saturating_mul(u128::from(c.unsigned_abs()));
                sum.saturating_add(term)
            });
        let requantise = self.requantise(node, tensor, shift, bound)?;
        Ok(Layer::Combine(Combine {
            length: self.length(tensor),
            coefficients,
            requantise,
        }))
    }

    /// The integer multiplier and the shift of a product of the operands.
    fn multiplier(
        &self,
        node: &FloatNode,
        tensor: usize,
        factor: f64,
    ) -> Result<(i64, u32), ModelError> {
        let scales: f64 = node.inputs.iter().map(|&x| self.scale(x)).product();
        let ratio = factor * scales / self.scale(tensor);
        let shift = shift_for(ratio, self.first_shift(node));
        let multiplier = round(ratio * power(shift));
        if multiplier == 0 && factor != 0.0 {
            return Err(ModelError::Multiplier {
                node: node.name.clone(),
                ratio,
            });
        }
        Ok((multiplier, shift))
    }

    /// Bound of `multiplier` times a sum of `count` products of two operands.
    fn product_bound(&self, node: &FloatNode, count: usize, multiplier: i64) -> u128 {
        let operands = node.inputs.iter().map(|&x| self.range(x));
        let product = operands.fold(1u128, |product, (low, high)| {
            product.saturating_mul(magnitude(low, high))
        });
        product
            .saturating_mul(count as u128)
            .saturating_mul(u128::from(multiplier.unsigned_abs()))
    }

    fn average_pool(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        pool: &Pool,
        factors: &[f64],
    ) -> Result<Layer, ModelError> {
        let input = node.inputs.first().copied().unwrap_or(0);
        let ratio = self.scale(input) / self.scale(tensor);
        // The factor of a full window has to be precise; those of windows with fewer entries,
        // if there are any, are larger.
        let least = factors.last().copied().unwrap_or(1.0) * ratio;
        let shift = shift_for(least, self.first_shift(node));
        let multipliers: Vec<i64> = factors
            .iter()
            .map(|f| round(f * ratio * power(shift)))
            .collect();
        let (low, high) = self.range(input);
        let bound = (0u128..).zip(&multipliers).fold(0u128, |most, (count, m)| {
            let sum = magnitude(low, high).saturating_mul(count);
            most.max(sum.saturating_mul(u128::from(m.unsigned_abs())))
        });
        let requantise = self.requantise(node, tensor, shift, bound)?;
        Ok(Layer::AveragePool(AveragePool {
            planes: pooled(pool),
            window: window(&pool.window),
            multipliers,
            requantise,
        }))
    }

    fn check_table_bits(&self, node: &FloatNode) -> Result<(), ModelError> {
        if self.options.bits <= MOST_BITS {
            return Ok(());
        }
        Err(ModelError::TableBits {
            node: node.name.clone(),
            got: self.options.bits,
            most: MOST_BITS,
        })
    }

    /// The table of a function; what exceeds the range saturates.
    fn table(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        formula: &Formula,
    ) -> Result<Layer, ModelError> {
        self.check_table_bits(node)?;
        let input = node.inputs.first().copied().unwrap_or(0);
        let (least, most) = full_range(self.options.bits);
        let (low, high) = self.range(input);
        let (scale_in, scale_out) = (self.scale(input), self.scale(tensor));
        let (range, cut) = self.clamp(node.clip, tensor);
        self.check_grid(node, tensor, cut)?;
        let mut entries = Vec::new();
        let mut saturates = Vec::new();
        for x in least..=most {
            // An input that never occurs has the value of the nearest that does.
            let value = formula.at(x.clamp(low, high) as f64 * scale_in);
            if value.is_nan() {
                return Err(ModelError::Undefined {
                    node: node.name.clone(),
                    at: x as f64 * scale_in,
                });
            }
            let rounded = match node.step {
                Some(_) => (value / scale_out).round_ties_even() as i64,
                None => round(value / scale_out),
            };
            entries.push(rounded.clamp(range.0, range.1));
            saturates.push((cut.0 && rounded < least) || (cut.1 && rounded > most));
        }
        let range = entries
            .iter()
            .fold((most, least), |(low, high), &y| (low.min(y), high.max(y)));
        self.ranges.push(range);
        self.cuts.push(Cuts {
            inputs: saturates.contains(&true).then_some((least, saturates)),
            ..Cuts::default()
        });
        Ok(Layer::Table(Table {
            length: self.length(tensor),
            entries,
        }))
    }

    /// The table of exponentials is as fine as sums of 16 bits allow, but no coarser than twice the
    /// activations.
    fn softmax(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        rows: &Rows,
    ) -> Result<Layer, ModelError> {
        self.check_table_bits(node)?;
        let input = node.inputs.first().copied().unwrap_or(0);
        let columns = i64::try_from(rows.columns).unwrap_or(i64::MAX);
        let (_, most) = full_range(self.options.bits);
        let unit = (SOFTMAX_SUM / columns.max(1)).max(2 * most) as f64;
        let scale_in = self.scale(input);
        let differences = 0..(1i64 << self.options.bits);
        let exponentials = differences
            .map(|d| round(unit * (-scale_in * d as f64).exp()))
            .collect();
        let scale = round(1.0 / self.scale(tensor));
        self.passes((0, scale));
        Ok(Layer::Softmax(Softmax {
            rows: rows.rows,
            columns: rows.columns,
            exponentials,
            scale,
        }))
    }

    fn normalise(
        &mut self,
        node: &FloatNode,
        tensor: usize,
        rows: &Rows,
        epsilon: f64,
    ) -> Result<Layer, ModelError> {
        let input = node.inputs.first().copied().unwrap_or(0);
        let columns = rows.columns as f64;
        let epsilon = epsilon * columns.powi(3) / self.scale(input).powi(2);
        let ((low, high), (cut_low, cut_high)) = self.clamp(node.clip, tensor);
        self.ranges.push((low, high));
        self.cuts.push(Cuts {
            low: cut_low,
            high: cut_high,
            inputs: None,
        });
        Ok(Layer::Normalise(Normalise {
            rows: rows.rows,
            columns: rows.columns,
            bits: self.options.bits,
            epsilon: round(epsilon).max(1),
            multiplier: round(columns.sqrt() / self.scale(tensor)),
            low,
            high,
        }))
    }
}

/// Signed bits that the weights of a node may have.
fn weight_bits(node: &FloatNode) -> u32 {
    match node.step {
        Some(_) => QUANTISED_WEIGHT_BITS,
        None => MAX_WEIGHT_BITS,
    }
}

/// The bound of accumulators that are one weight and the bias each: what one-hot vectors choose, and
/// zeros of padding.
fn chosen_bits(weights: &Array2<i64>, bias: &Array1<i64>) -> u32 {
    let rows = weights.rows().into_iter().zip(bias);
    let largest = rows.map(|(row, bias)| {
        let sums = row
            .iter()
            .map(|w| (i128::from(*w) + i128::from(*bias)).unsigned_abs());
        sums.max().unwrap_or(0).max(bias.unsigned_abs().into())
    });
    let largest = largest.max().unwrap_or(0);
    (u128::BITS - largest.leading_zeros()).max(1)
}

/// The largest magnitude in a range.
fn magnitude(low: i64, high: i64) -> u128 {
    low.unsigned_abs().max(high.unsigned_abs()).into()
}

/// The width that holds the integers of a grid.
fn needed_bits(clip: Interval, scale: f64) -> u32 {
    let bits = |value: f64| signed_bits(i128::from(round(value / scale)));
    bits(clip.low).max(bits(clip.high))
}

/// The width that holds the indices of a table.
fn index_bits(rows: &Rows) -> u32 {
    let last = i128::try_from(rows.columns.saturating_sub(1)).unwrap_or(i128::MAX);
    signed_bits(last)
}

/// The bits that a model needs that is quantised already, or that indexes tables.
pub(super) fn least_bits(graph: &FloatGraph) -> u32 {
    let nodes = graph
        .nodes
        .iter()
        .filter_map(|node| Some((node.clip, node.step?)));
    let input = graph.input_grid.map(|grid| (grid.range, grid.step));
    let grids = nodes
        .chain(input)
        .filter(|(clip, _)| clip.low.is_finite() && clip.high.is_finite());
    let tables = graph.nodes.iter().filter_map(|node| match &node.op {
        FloatOp::OneHot(rows) => Some(index_bits(rows)),
        _ => None,
    });
    grids
        .map(|(clip, step)| needed_bits(clip, step))
        .chain(tables)
        .max()
        .unwrap_or(0)
}

fn window(window: &graph::Window) -> Window {
    Window {
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
        padding: window.padding,
    }
}

fn pooled(pool: &Pool) -> Pooled {
    let graph::Planes {
        batch,
        channels,
        height,
        width,
    } = pool.planes;
    Pooled {
        batch,
        channels,
        height,
        width,
        channels_last: false,
    }
}
