//! The float network as a graph of few operations, and its evaluator.
//!
//! The operations mirror the integer layers: what ONNX calls Transpose, Slice, Pad or Concat is one
//! [`FloatOp::Gather`], what it calls Gemm, Conv or BatchNormalization is one [`FloatOp::Linear`].
//! Tensors are flat vectors of float64 in row-major order; shapes are kept for people.
//!
//! Tensor 0 is the input, tensor `i + 1` the output of node `i`. Nodes are in topological order.

mod evaluate;
mod formula;
pub(super) mod fuse;

use super::error::ModelError;
pub use formula::{Elementary, Formula, Step};
use ndarray::{Array1, Array2};

/// A closed interval of float64; its ends may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// All numbers.
    pub const ALL: Interval = Interval {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };
    /// What a ReLU keeps.
    pub const POSITIVE: Interval = Interval {
        low: 0.0,
        high: f64::INFINITY,
    };

    /// `min(max(x, low), high)`, as ONNX orders the two.
    pub fn clamp(&self, value: f64) -> f64 {
        value.max(self.low).min(self.high)
    }

    /// The interval whose clamp is the clamp to `self` followed by that to `after`.
    pub fn then(&self, after: Interval) -> Interval {
        Interval {
            low: after.clamp(self.low),
            high: after.clamp(self.high),
        }
    }

    /// Whether it holds `value`.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A window that slides over height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distance between neighbouring entries.
    pub dilation: [usize; 2],
    /// Rows and columns added at the top, left, bottom and right.
    pub padding: [usize; 4],
}

impl Window {
    /// A window of one entry.
    pub const POINT: Window = Window {
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [0; 4],
    };

    /// Height and width of the output for an input of `size`: per axis
    /// `floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1`. `None` when the window
    /// does not fit.
    pub fn output(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.padding;
        let axis = |size: usize, pads: [usize; 2], [kernel, stride, dilation]: [usize; 3]| {
            let extent = kernel
                .checked_sub(1)?
                .checked_mul(dilation)?
                .checked_add(1)?;
            let room = size.checked_add(pads[0])?.checked_add(pads[1])?;
            room.checked_sub(extent)?
                .checked_div(stride)?
                .checked_add(1)
        };
        let [[kh, kw], [sh, sw], [dh, dw]] = [self.kernel, self.stride, self.dilation];
        let [height, width] = size;
        Some([
            axis(height, [top, bottom], [kh, sh, dh])?,
            axis(width, [left, right], [kw, sw, dw])?,
        ])
    }

    /// Entries of the window.
    pub fn entries(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// For the window at output position `(y, x)`: the entries that lie inside the input, each as
    /// its position in the kernel and its position in a plane of `size`.
    pub(super) fn taps(&self, size: [usize; 2], at: [usize; 2]) -> Vec<(usize, usize)> {
        let [height, width] = size;
        let axis = |axis: usize, kernel: usize| {
            let place = at[axis] * self.stride[axis] + kernel * self.dilation[axis];
            place
                .checked_sub(self.padding[axis])
                .filter(|&place| place < size[axis])
        };
        let [kh, kw] = self.kernel;
        // An input of no rows or columns has no entries.
        if height == 0 || width == 0 {
            return Vec::new();
        }
        let columns: Vec<_> = (0..kw).filter_map(|x| Some((x, axis(1, x)?))).collect();
        let rows = (0..kh).filter_map(|y| Some((y, axis(0, y)?)));
        rows.flat_map(|(ky, y)| {
            let row = columns.iter();
            row.map(move |&(kx, x)| (ky * kw + kx, y * width + x))
        })
        .collect()
    }
}

/// How a tensor is read as images: `batch x channels x height x width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Positions that are treated alike, outermost.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Planes {
    /// `batch x channels`, every image a point.
    pub fn points(batch: usize, channels: usize) -> Self {
        Planes {
            batch,
            channels,
            height: 1,
            width: 1,
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        [self.channels, self.height, self.width]
            .iter()
            .fold(self.batch, |product, &size| product.saturating_mul(size))
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of one image.
    pub fn area(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }
}

/// A linear layer: dense, token by token, or a convolution.
///
/// With groups `G`, output channel `n` of group `g` is
/// `y[n] = b[n] + sum_(c in g, ky, kx) w[n][c][ky][kx] x[c][..]`; padding reads as zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The input.
    pub planes: Planes,
    /// Groups; they divide the channels and the outputs.
    pub groups: usize,
    /// The window.
    pub window: Window,
    /// Outputs x (channels / groups * kernel height * kernel width).
    pub weights: Array2<f64>,
    /// One entry an output channel.
    pub bias: Array1<f64>,
}

impl Linear {
    /// A dense layer on `batch` vectors.
    pub fn dense(batch: usize, weights: Array2<f64>, bias: Array1<f64>) -> Self {
        Linear {
            planes: Planes::points(batch, weights.ncols()),
            groups: 1,
            window: Window::POINT,
            weights,
            bias,
        }
    }

    /// `y = scale[c] x + offset[c]` for every channel `c` of a tensor `batch x channels x width`.
    pub fn diagonal(batch: usize, width: usize, scale: &[f64], offset: &[f64]) -> Self {
        let channels = scale.len();
        let planes = Planes {
            width,
            ..Planes::points(batch, channels)
        };
        Linear {
            planes,
            groups: channels,
            window: Window::POINT,
            weights: Array2::from_shape_fn((channels, 1), |(c, _)| {
                scale.get(c).copied().unwrap_or(0.0)
            }),
            bias: Array1::from_shape_fn(channels, |c| offset.get(c).copied().unwrap_or(0.0)),
        }
    }

    /// Whether it multiplies every value by a number of its own channel and adds another.
    pub fn is_diagonal(&self) -> bool {
        let channels = self.planes.channels;
        self.window == Window::POINT
            && self.groups == channels
            && self.weights.dim() == (channels, 1)
    }

    /// The output, batch x outputs x height x width.
    pub fn outputs(&self) -> Option<Planes> {
        let [height, width] = self.window.output(self.planes.size())?;
        Some(Planes {
            channels: self.weights.nrows(),
            height,
            width,
            ..self.planes
        })
    }
}

/// A pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The input; every channel is treated alike.
    pub planes: Planes,
    /// The window; every position holds at least one entry of the input.
    pub window: Window,
}

impl Pool {
    /// The output.
    pub fn outputs(&self) -> Option<Planes> {
        let [height, width] = self.window.output(self.planes.size())?;
        Some(Planes {
            height,
            width,
            ..self.planes
        })
    }
}

/// Sizes of products of matrices of activations: `batch` times `rows x inner` by `inner x columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixSizes {
    /// Number of products.
    pub batch: usize,
    /// Rows of the left operand.
    pub rows: usize,
    /// Columns of the left operand.
    pub inner: usize,
    /// Columns of the product.
    pub columns: usize,
}

/// A tensor read as rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Number of rows.
    pub rows: usize,
    /// Values of a row.
    pub columns: usize,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    /// A linear layer.
    Linear(Box<Linear>),
    /// `y = sum_k coefficients[k] x_k`, the operands of one length.
    Combine {
        /// One an operand.
        coefficients: Vec<f64>,
    },
    /// `y = factor x_0 x_1`, element by element.
    Multiply {
        /// A constant.
        factor: f64,
    },
    /// The largest entry of each window; padding never wins.
    MaxPool(Pool),
    /// `y = factors[n] sum` over the `n` entries of each window that lie in the input.
    AveragePool {
        /// Input and window.
        pool: Pool,
        /// By number of entries; the first is not used.
        factors: Vec<f64>,
    },
    /// `y[i]` is entry `map[i]` of the operands put one after the other, or zero.
    Gather {
        /// One an output.
        map: Vec<Option<usize>>,
    },
    /// `min(max(x, low), high)`.
    Clip(Interval),
    /// A function of every value.
    Function(Formula),
    /// `exp(x_i) / sum_j exp(x_j)` over each row.
    Softmax(Rows),
    /// `(x - mean) / sqrt(variance + epsilon)` over each row.
    Normalise {
        /// The rows.
        rows: Rows,
        /// Added to the variance.
        epsilon: f64,
    },
    /// `y = factor x_0 x_1`, products of matrices.
    MatMul {
        /// The matrices.
        sizes: MatrixSizes,
        /// A constant.
        factor: f64,
    },
    /// Position of the first largest value of each row.
    ArgMax(Rows),
    /// For each of `rows` integers from zero on, below `columns`, as many zeros and a one.
    OneHot(Rows),
}

impl FloatOp {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            FloatOp::Linear(_) => "Linear",
            FloatOp::Combine { .. } => "Combine",
            FloatOp::Multiply { .. } => "Multiply",
            FloatOp::MaxPool(_) => "MaxPool",
            FloatOp::AveragePool { .. } => "AveragePool",
            FloatOp::Gather { .. } => "Gather",
            FloatOp::Clip(_) => "Clip",
            FloatOp::Function(_) => "Function",
            FloatOp::Softmax(_) => "Softmax",
            FloatOp::Normalise { .. } => "Normalise",
            FloatOp::MatMul { .. } => "MatMul",
            FloatOp::ArgMax(_) => "ArgMax",
            FloatOp::OneHot(_) => "OneHot",
        }
    }

    /// Whether its values are integers, which have a scale of one.
    pub fn gives_integers(&self) -> bool {
        matches!(self, FloatOp::ArgMax(_) | FloatOp::OneHot(_))
    }

    /// Whether its integer counterpart ends in a requantisation, whose clamp is free.
    pub fn requantises(&self) -> bool {
        matches!(
            self,
            FloatOp::Linear(_)
                | FloatOp::Combine { .. }
                | FloatOp::Multiply { .. }
                | FloatOp::AveragePool { .. }
                | FloatOp::MatMul { .. }
        )
    }

    /// Multiplications and additions of one evaluation that involve weights or two activations.
    pub fn multiplications(&self) -> u64 {
        let count = |sizes: &[usize]| {
            let sizes = sizes.iter().map(|&s| s as u64);
            sizes.fold(1u64, u64::saturating_mul)
        };
        match self {
            FloatOp::Linear(linear) => {
                let outputs = linear.outputs().map_or(0, |planes| planes.len());
                count(&[outputs, linear.weights.ncols()])
            }
            FloatOp::MatMul { sizes, .. } => {
                count(&[sizes.batch, sizes.rows, sizes.inner, sizes.columns])
            }
            _ => 0,
        }
    }
}

/// An operation on tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNode {
    /// The ONNX node that it was read from.
    pub name: String,
    /// The operation.
    pub op: FloatOp,
    /// What its result is clamped to; only where [`FloatOp::requantises`] and for functions.
    pub clip: Interval,
    /// What its result is then rounded to multiples of, where the model is quantised; only where
    /// [`FloatOp::requantises`] and for functions.
    pub step: Option<f64>,
    /// Its operands.
    pub inputs: Vec<usize>,
    /// Shape of its output.
    pub shape: Vec<usize>,
}

/// The values that a quantised tensor can have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// They are the multiples of this.
    pub step: f64,
    /// They lie in this interval, whose ends are multiples.
    pub range: Interval,
}

impl Grid {
    /// All integers: what the input of a network holds that takes integers. They are taken as they are,
    /// and nothing else is.
    pub const INTEGERS: Grid = Grid {
        step: 1.0,
        range: Interval::ALL,
    };

    /// The nearest value; of two, the even multiple.
    pub fn round(&self, value: f64) -> f64 {
        let multiple = (value / self.step).round_ties_even();
        self.range.clamp(multiple * self.step)
    }
}

/// A float network.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatGraph {
    /// Name of the ONNX graph.
    pub name: String,
    /// Shape of the input with a batch of one.
    pub input_shape: Vec<usize>,
    /// What the input is rounded to, where the model is quantised, or [`Grid::INTEGERS`].
    pub input_grid: Option<Grid>,
    /// The nodes in topological order.
    pub nodes: Vec<FloatNode>,
    /// The tensor that is the output.
    pub output: usize,
    /// Its shape.
    pub output_shape: Vec<usize>,
}

impl FloatGraph {
    /// Number of values of an input.
    pub fn input_len(&self) -> usize {
        length(&self.input_shape)
    }

    /// Number of values of an output.
    pub fn output_len(&self) -> usize {
        length(&self.output_shape)
    }

    /// Whether the input holds integers, such as numbers of tokens.
    pub fn takes_integers(&self) -> bool {
        self.input_grid == Some(Grid::INTEGERS)
    }

    /// The scale that a tensor has by itself: of integers, and of what the model quantises.
    pub fn given_step(&self, tensor: usize) -> Option<f64> {
        let Some(at) = tensor.checked_sub(1) else {
            return self.input_grid.map(|grid| grid.step);
        };
        let node = self.nodes.get(at)?;
        node.step.or(node.op.gives_integers().then_some(1.0))
    }

    /// Number of values of every tensor, the input first.
    pub fn lengths(&self) -> Vec<usize> {
        let nodes = self.nodes.iter().map(|node| length(&node.shape));
        std::iter::once(self.input_len()).chain(nodes).collect()
    }

    /// How many nodes read each tensor; the graph output counts as a reader.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len() + 1];
        let read = self.nodes.iter().flat_map(|node| &node.inputs);
        for &tensor in read.chain([&self.output]) {
            if let Some(count) = readers.get_mut(tensor) {
                *count += 1;
            }
        }
        readers
    }

    /// Checks that operands come before their readers, that lengths agree, and that numbers are
    /// finite.
    ///
    /// # Errors
    /// [`ModelError::NoLayers`], [`ModelError::LayerShape`] and [`ModelError::NotFinite`], naming
    /// the node.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.nodes.is_empty() {
            return Err(ModelError::NoLayers);
        }
        let lengths = self.lengths();
        for (index, node) in self.nodes.iter().enumerate() {
            let operands: Vec<usize> = node
                .inputs
                .iter()
                .filter(|&&tensor| tensor <= index)
                .filter_map(|&tensor| lengths.get(tensor).copied())
                .collect();
            expect(node, "earlier operands", node.inputs.len(), operands.len())?;
            node.check(&operands)?;
        }
        let length = lengths.get(self.output).copied().unwrap_or(0);
        super::integer::expect("output", "values", self.output_len(), length)
    }
}

impl FloatNode {
    /// Checks number and lengths of the operands, and the length of the output.
    fn check_lengths(&self, operands: &[usize]) -> Result<(), ModelError> {
        let (count, length, outputs) = self.sizes(operands);
        expect(self, "operands", count, operands.len())?;
        for &got in operands {
            if let Some(length) = length {
                expect(self, "values of an operand", length, got)?;
            }
        }
        expect(self, "values", outputs, self::length(&self.shape))
    }

    /// Checks the operation on operands of the given lengths.
    fn check(&self, operands: &[usize]) -> Result<(), ModelError> {
        self.check_lengths(operands)?;
        match &self.op {
            FloatOp::Linear(linear) => self.check_linear(linear),
            FloatOp::AveragePool { pool, factors } => {
                let entries = pool.window.entries();
                expect(self, "factors", entries.saturating_add(1), factors.len())?;
                self.finite("factors", factors.iter())
            }
            FloatOp::Gather { map } => {
                let total: usize = operands.iter().sum();
                let outside = map.iter().flatten().filter(|&&from| from >= total).count();
                expect(self, "entries outside its operands", 0, outside)
            }
            FloatOp::Combine { coefficients } => self.finite("coefficients", coefficients.iter()),
            FloatOp::Multiply { factor } | FloatOp::MatMul { factor, .. } => {
                self.finite("factor", std::iter::once(factor))
            }
            _ => Ok(()),
        }
    }

    /// Number of operands, length of each when it is one, and length of the output.
    fn sizes(&self, operands: &[usize]) -> (usize, Option<usize>, usize) {
        let first = operands.first().copied().unwrap_or(0);
        let rows = |rows: &Rows| rows.rows.saturating_mul(rows.columns);
        match &self.op {
            FloatOp::Linear(linear) => {
                let outputs = linear.outputs().map_or(0, |planes| planes.len());
                (1, Some(linear.planes.len()), outputs)
            }
            FloatOp::Combine { coefficients } => (coefficients.len(), Some(first), first),
            FloatOp::Multiply { .. } => (2, Some(first), first),
            FloatOp::MaxPool(pool) | FloatOp::AveragePool { pool, .. } => {
                let outputs = pool.outputs().map_or(0, |planes| planes.len());
                (1, Some(pool.planes.len()), outputs)
            }
            FloatOp::Gather { map } => (operands.len(), None, map.len()),
            FloatOp::Clip(_) | FloatOp::Function(_) => (1, None, first),
            FloatOp::Softmax(r) | FloatOp::Normalise { rows: r, .. } => (1, Some(rows(r)), rows(r)),
            FloatOp::ArgMax(r) => (1, Some(rows(r)), r.rows),
            FloatOp::OneHot(r) => (1, Some(r.rows), rows(r)),
            FloatOp::MatMul { sizes, .. } => {
                let [left, right, outputs] = sizes.lengths();
                let fits = operands.get(1) == Some(&right);
                (2, None, if fits && first == left { outputs } else { 0 })
            }
        }
    }

    fn check_linear(&self, linear: &Linear) -> Result<(), ModelError> {
        let (outputs, columns) = linear.weights.dim();
        let groups = linear.groups.max(1);
        let whole = linear.planes.channels.is_multiple_of(groups) && outputs % groups == 0;
        expect(self, "divisible groups", 1, usize::from(whole))?;
        let taken = (linear.planes.channels / groups).saturating_mul(linear.window.entries());
        expect(self, "inputs", taken, columns)?;
        expect(self, "biases", outputs, linear.bias.len())?;
        self.finite("weights", linear.weights.iter())?;
        self.finite("bias", linear.bias.iter())
    }

    fn finite<'a>(
        &self,
        tensor: &str,
        mut values: impl Iterator<Item = &'a f64>,
    ) -> Result<(), ModelError> {
        match values.position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(ModelError::NotFinite {
                node: self.name.clone(),
                tensor: tensor.into(),
                index,
                value: f64::INFINITY,
            }),
        }
    }
}

impl MatrixSizes {
    /// Lengths of the operands and of the product.
    pub fn lengths(&self) -> [usize; 3] {
        let of = |a: usize, b: usize| self.batch.saturating_mul(a).saturating_mul(b);
        [
            of(self.rows, self.inner),
            of(self.inner, self.columns),
            of(self.rows, self.columns),
        ]
    }
}

/// Number of values of a tensor of the given shape.
pub(super) fn length(shape: &[usize]) -> usize {
    shape
        .iter()
        .fold(1, |product, &s| product.saturating_mul(s))
}

fn expect(
    node: &FloatNode,
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), ModelError> {
    super::integer::expect(&node.name, what, expected, got)
}
