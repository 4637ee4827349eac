//! The linear layer: dense layers, also applied to many positions, and convolutions.
//!
//! * Formula: `y[b,n,p] = bias[n] + sum_(c,k) W[n,(c,k)] x[b, g C/G + c, p stride + k dilation -
//!   padding]` with `g` the group of output channel `n`, then [`crate::requantise`]. Positions in the
//!   padding read zero.
//! * Shapes: `x` is (batch, channels, height, width), `y` is (batch, outputs, height', width'), with
//!   the channels innermost if `channels_last`; `W` is (outputs, channels / groups * taps) in the
//!   order of ONNX, `bias` is (outputs). A dense layer has one position and one tap; applied to `T`
//!   tokens it has a batch of `T`. Capacities of a dense layer may exceed the layer: it is padded
//!   with zero weights and reads zero inputs.
//! * Bounds: `|y| < 2^accumulator_bits`, which the compiler proves from the weights with
//!   [`crate::bounds::accumulator_bits`].
//! * Enforced here: the outputs are the requantised accumulators. Enforced by the step: the
//!   accumulators are the products, by a sum-check ([`crate::product`]; Thaler 2013/351, section 4).
//! * Padding is no variable: what lies outside of the tensor takes no part in any sum (SECURITY,
//!   case 16).
//! * Cost of an output: its lookups and the constraints of the clamp; nothing per weight.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
};
use crate::layout::variables;
use crate::requantise::{Requantise, Ties};
use crate::window::{Axis, Planes, Window, length, within};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

/// Most pairs of a tap and an output along an axis: each may cost a constraint.
const MOST_READS: usize = 1 << 20;

/// Most bits of the weight matrix with its padding.
const MOST_MATRIX_BITS: usize = 40;

/// A linear layer with requantisation; ReLU when the clamp's `low` is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// Images, or positions of a dense layer.
    pub batch: usize,
    /// Groups of channels that do not mix; as many as channels make a depthwise convolution.
    pub groups: usize,
    /// Input channels.
    pub channels: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Columns of an input image.
    pub width: usize,
    /// Output channels.
    pub outputs: usize,
    /// What an output reads.
    pub window: Window,
    /// Whether channels are the innermost dimension of input and output.
    pub channels_last: bool,
    /// From accumulators to outputs.
    pub requantise: Requantise,
}

/// Variables of a layer's blocks in the weight polynomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixBits {
    /// Of the output channels of a group: the matrix has `2^rows` rows.
    pub rows: usize,
    /// Of (group, tap row, tap column, channel of the group), padded each: `2^columns` columns.
    pub columns: usize,
    /// Of all output channels, (group, channel of the group), padded each.
    pub bias: usize,
}

/// The sizes of a linear layer that its products are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Input positions.
    pub input: Planes,
    /// Output positions.
    pub output: Planes,
    /// How outputs read rows and columns.
    pub axes: [Axis; 2],
    /// Input channels of a group.
    pub group_channels: usize,
    /// Output channels of a group.
    pub group_outputs: usize,
    /// Bits of group, tap row, tap column and channel of the group, in this order.
    pub column_bits: [usize; 4],
}

impl Linear {
    /// A dense layer.
    pub fn dense(inputs: usize, outputs: usize, requantise: Requantise) -> Self {
        Linear {
            batch: 1,
            groups: 1,
            channels: inputs,
            height: 1,
            width: 1,
            outputs,
            window: Window::ONE,
            channels_last: false,
            requantise,
        }
    }

    /// Whether the layer is a plain matrix product at each of its positions, so that it may be
    /// smaller than its capacities.
    pub fn is_dense(&self) -> bool {
        self.groups == 1 && (self.height, self.width) == (1, 1) && self.window == Window::ONE
    }

    /// Whether the layer has more than one position, so that its products need a challenge for
    /// them.
    pub fn has_positions(&self) -> bool {
        self.sizes()
            .is_some_and(|sizes| sizes.output.batch * sizes.output.height * sizes.output.width > 1)
    }

    /// The sizes, of a layer that [`IntegerLayer::validate`] accepts.
    pub(crate) fn sizes(&self) -> Option<Sizes> {
        self.checked_sizes(Place {
            index: 0,
            name: Self::NAME,
        })
        .ok()
    }

    fn checked_sizes(&self, place: Place) -> Result<Sizes, LayerError> {
        let advice = "give every group the same number of channels";
        within(
            place,
            "groups",
            (1, self.channels.min(self.outputs)),
            self.groups,
            advice,
        )?;
        for (what, channels) in [("channels", self.channels), ("outputs", self.outputs)] {
            let rest = channels % self.groups.max(1);
            if rest != 0 {
                return Err(LayerError::Parameter {
                    place,
                    what,
                    low: 0,
                    high: 0,
                    got: i64::try_from(rest).unwrap_or(i64::MAX),
                    advice,
                });
            }
        }
        length(
            place,
            "inputs",
            &[self.batch, self.channels, self.height, self.width],
        )?;
        let axes = self.window.axes(place, [self.height, self.width])?;
        let [rows, columns] = axes.map(|axis| axis.outputs);
        length(place, "outputs", &[self.batch, self.outputs, rows, columns])?;
        for axis in axes {
            let reads = axis.outputs.saturating_mul(axis.kernel);
            let advice = "use a smaller window";
            within(place, "reads along an axis", (1, MOST_READS), reads, advice)?;
        }
        let planes = |channels, height, width| Planes {
            batch: self.batch,
            channels,
            height,
            width,
            channels_last: self.channels_last,
        };
        let group_channels = self.channels / self.groups;
        let [taps_y, taps_x] = axes.map(|axis| variables(axis.kernel));
        Ok(Sizes {
            input: planes(self.channels, self.height, self.width),
            output: planes(self.outputs, rows, columns),
            axes,
            group_channels,
            group_outputs: self.outputs / self.groups,
            column_bits: [
                variables(self.groups),
                taps_y,
                taps_x,
                variables(group_channels),
            ],
        })
    }

    /// The sizes of the layer's blocks; none of a layer that is not valid.
    pub fn matrix_bits(&self) -> MatrixBits {
        let Some(sizes) = self.sizes() else {
            return MatrixBits {
                rows: 0,
                columns: 0,
                bias: 0,
            };
        };
        let rows = variables(sizes.group_outputs);
        MatrixBits {
            rows,
            columns: sizes.column_bits.iter().sum(),
            bias: variables(self.groups) + rows,
        }
    }

    /// Columns of the weight matrix before padding: channels of a group times taps.
    pub fn columns(&self) -> usize {
        let [height, width] = self.window.kernel;
        self.channels / self.groups.max(1) * height * width
    }

    /// Weights and multiplications of one execution, without padding.
    pub fn multiplications(&self) -> usize {
        self.sizes()
            .map_or(0, |sizes| sizes.output.len() * self.columns())
    }

    /// The position in the padded matrix block of column `j` of the first group's first row.
    pub(crate) fn column(&self, j: usize) -> usize {
        let [height, width] = self.window.kernel;
        let (channel, tap) = (j / (height * width).max(1), j % (height * width).max(1));
        let (y, x) = (tap / width.max(1), tap % width.max(1));
        let [_, _, bits_x, bits_c] = self.sizes().map_or([0; 4], |sizes| sizes.column_bits);
        (((y << bits_x) | x) << bits_c) | channel
    }

    /// Where output channel `n` begins in the matrix block, and its place in the bias block.
    pub(crate) fn row(&self, n: usize) -> (usize, usize) {
        let outputs = (self.outputs / self.groups.max(1)).max(1);
        let (group, row) = (n / outputs, n % outputs);
        let bits = self.matrix_bits();
        let group_bits = bits.columns - variables(self.groups).min(bits.columns);
        let first = (row << bits.columns) | (group << group_bits);
        (first, (group << bits.rows) | row)
    }

    /// Checks that weights fit the layer.
    pub(crate) fn check_weights(
        &self,
        place: Place,
        matrix: &Array2<i64>,
        bias: &Array1<i64>,
    ) -> Result<(), LayerError> {
        let advice = "raise the capacity or split the layer";
        for (what, most, got) in [
            ("rows of the weight matrix", self.outputs, matrix.nrows()),
            (
                "columns of the weight matrix",
                self.columns(),
                matrix.ncols(),
            ),
        ] {
            if got > most || (got < most && !self.is_dense()) {
                return Err(LayerError::Length {
                    place,
                    what,
                    expected: most,
                    got,
                    advice,
                });
            }
        }
        if bias.len() == matrix.nrows() {
            return Ok(());
        }
        Err(LayerError::Length {
            place,
            what: "bias",
            expected: matrix.nrows(),
            got: bias.len(),
            advice: "give one bias a row of the matrix",
        })
    }

    /// The accumulators, in the order of the outputs.
    fn accumulators(&self, sizes: &Sizes, weights: Weights<'_>, input: &[i64]) -> Vec<i128> {
        if self.is_dense() && self.batch == 1 {
            return dense_accumulators(self.outputs, weights, input);
        }
        let [axis_y, axis_x] = sizes.axes;
        let columns: Vec<usize> = (0..self.columns()).map(|j| self.column(j)).collect();
        let mut accumulators = vec![0; sizes.output.len()];
        for n in 0..self.outputs {
            let (first, bias) = self.row(n);
            let bias = i128::from(weights.bias.get(bias).copied().unwrap_or(0));
            let group = n / sizes.group_outputs.max(1);
            let row: Vec<i64> = columns
                .iter()
                .map(|column| weights.matrix.get(first + column).copied().unwrap_or(0))
                .collect();
            for (b, y) in pairs(sizes.output.batch, axis_y.outputs) {
                for x in 0..axis_x.outputs {
                    let sum = self.window_sum(sizes, &row, (b, group, y, x), input);
                    let index = sizes.output.index(b, n, y, x);
                    if let Some(accumulator) = accumulators.get_mut(index) {
                        *accumulator = bias.saturating_add(sum);
                    }
                }
            }
        }
        accumulators
    }

    /// `sum_(c,k) W[n,(c,k)] x[...]` for one output.
    fn window_sum(
        &self,
        sizes: &Sizes,
        row: &[i64],
        (batch, group, y, x): (usize, usize, usize, usize),
        input: &[i64],
    ) -> i128 {
        let [axis_y, axis_x] = sizes.axes;
        let mut sum = 0i128;
        let mut weights = row.iter();
        for c in 0..sizes.group_channels {
            let channel = group * sizes.group_channels + c;
            for (tap_y, tap_x) in pairs(axis_y.kernel, axis_x.kernel) {
                let weight = weights.next().copied().unwrap_or(0);
                let (Some(y), Some(x)) = (axis_y.input(y, tap_y), axis_x.input(x, tap_x)) else {
                    continue;
                };
                let index = sizes.input.index(batch, channel, y, x);
                let value = input.get(index).copied().unwrap_or(0);
                sum = sum.saturating_add(i128::from(weight) * i128::from(value));
            }
        }
        sum
    }
}

/// All pairs, the second running faster.
pub(crate) fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

/// `W x + bias` of a plain matrix.
fn dense_accumulators(outputs: usize, weights: Weights<'_>, input: &[i64]) -> Vec<i128> {
    let mut rows = weights.matrix.chunks(weights.row_length.max(1));
    let accumulator = |n: usize| {
        let row = rows.next().unwrap_or(&[]);
        let bias = i128::from(weights.bias.get(n).copied().unwrap_or(0));
        bias.saturating_add(dot(row, input))
    };
    (0..outputs).map(accumulator).collect()
}

/// `sum_j w_j x_j`, exact; in machine words where no sum can leave them.
fn dot(weights: &[i64], values: &[i64]) -> i128 {
    /// Products below `2^47`, so `2^16` of them stay below `2^63`.
    const CHUNK: usize = 1 << 16;
    let small = |values: &[i64], bits: u32| {
        let bits_set = values
            .iter()
            .fold(0, |set, v| set | (*v ^ (*v >> 63)) as u64);
        bits_set >> bits == 0
    };
    let chunks = weights.chunks(CHUNK).zip(values.chunks(CHUNK));
    chunks.fold(0i128, |sum, (weights, values)| {
        let products = weights.iter().zip(values);
        let part = if small(weights, 31) && small(values, 16) {
            i128::from(
                products
                    .map(|(w, x)| w.wrapping_mul(*x))
                    .fold(0, i64::wrapping_add),
            )
        } else {
            products
                .map(|(w, x)| i128::from(*w) * i128::from(*x))
                .fold(0, i128::saturating_add)
        };
        sum.saturating_add(part)
    })
}

impl IntegerLayer for Linear {
    const NAME: &'static str = "linear";

    fn operands(&self) -> Vec<usize> {
        let factors = [self.batch, self.channels, self.height, self.width];
        vec![
            factors
                .iter()
                .fold(1, |n: usize, factor| n.saturating_mul(*factor)),
        ]
    }

    fn outputs(&self) -> usize {
        self.sizes().map_or(0, |sizes| sizes.output.len())
    }

    fn linear(&self) -> Option<&Linear> {
        Some(self)
    }

    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        Some(&mut self.requantise)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        self.checked_sizes(place)?;
        let matrix = self.matrix_bits();
        let advice = "split the layer by rows";
        let variables = matrix.rows + matrix.columns;
        within(
            place,
            "variables of the matrix",
            (0, MOST_MATRIX_BITS),
            variables,
            advice,
        )?;
        self.requantise.validate(place, bits)
    }

    fn repeated(&self, count: usize) -> Self {
        Linear {
            batch: self.batch * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        place: Place,
        weights: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let sizes = self.checked_sizes(place)?;
        let accumulators = self.accumulators(&sizes, weights, operand(operands, 0));
        self.requantise.trace(place, accumulators)
    }

    fn dummy_trace(&self) -> LayerTrace {
        self.requantise.dummy_trace(self.outputs())
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        _: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        check_trace(Self::NAME, self.outputs(), trace.requantised.len())?;
        self.requantise.commit_all(segment, trace)
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        _: &[&[FirstWire<F>]],
        _: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        self.requantise.constrain_all(cs, wires);
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        self.requantise.cost(self.outputs())
    }

    fn samples() -> Vec<Self> {
        let requantise = |shift, low, high, accumulator_bits| Requantise {
            shift,
            low,
            high,
            accumulator_bits,
            ties: Ties::Up,
        };
        let dense = |inputs, outputs, shift, low, high, bits| {
            Linear::dense(inputs, outputs, requantise(shift, low, high, bits))
        };
        let image = |channels, height, width, outputs, window| Linear {
            height,
            width,
            window,
            ..dense(channels, outputs, 11, -128, 127, 29)
        };
        let window = |kernel, stride, dilation, padding| Window {
            kernel,
            stride,
            dilation,
            padding,
        };
        vec![
            dense(8, 8, 16, -128, 127, 28),
            dense(5, 3, 11, 0, 127, 27),
            dense(1, 1, 0, -128, 127, 24),
            dense(3, 6, 8, -100, 99, 26),
            dense(4, 7, 20, 3, 3, 26),
            dense(9, 1, 40, -1, 2, 28),
            dense(5, 3, 11, 0, 127, 27).repeated(4),
            image(2, 4, 4, 2, window([3, 3], [1, 1], [1, 1], [1, 1, 1, 1])),
            image(3, 5, 4, 2, window([2, 3], [2, 1], [1, 1], [0, 1, 1, 0])).repeated(2),
            Linear {
                channels_last: true,
                ..image(2, 6, 5, 3, window([3, 2], [2, 2], [2, 1], [1, 0, 2, 1]))
            },
            Linear {
                groups: 3,
                ..image(3, 3, 3, 3, window([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]))
            },
            Linear {
                groups: 2,
                ..image(6, 2, 3, 4, window([1, 2], [1, 1], [1, 1], [0, 0, 0, 0]))
            }
            .repeated(2),
            Linear {
                groups: 5,
                ..dense(5, 5, 9, -128, 127, 24)
            },
        ]
    }
}
