//! Operators with weights: Conv, ConvTranspose, Gemm, MatMul, BatchNormalization.

use super::movement::{Movement, broadcast};
use super::node::Node;
use super::pool::Sliding;
use super::{Activation, Importer, Kind, Outputs, Value, activation};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Linear, MatrixSizes, Planes, Window, length};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2, IxDyn};

/// A weight tensor of a convolution: its first two axes, and its window.
struct Kernel {
    weights: ArrayD<f64>,
    first: usize,
    second: usize,
    size: [usize; 2],
}

/// The weights of a convolution of an image of the given shape.
fn kernel(node: &Node, weights: ArrayD<f64>, shape: &[usize]) -> Result<Kernel, ModelError> {
    let (first, second, size) = match *weights.shape() {
        [n, c, width] if shape.len() == 3 => (n, c, [1, width]),
        [n, c, height, width] if shape.len() == 4 => (n, c, [height, width]),
        _ => return Err(node.mismatched(shape, weights.shape())),
    };
    if weights.is_empty() {
        return Err(node.mismatched(shape, weights.shape()));
    }
    Ok(Kernel {
        weights,
        first,
        second,
        size,
    })
}

impl Importer {
    fn groups(&self, node: &Node) -> Result<usize, ModelError> {
        let sizes = node.sizes("group", &[node.int("group", 1)?])?;
        Ok(sizes.first().copied().unwrap_or(1))
    }

    /// Operand 2, one value for each of `count` outputs; zeros when it is not given.
    fn biases(&self, node: &Node, count: usize) -> Result<Array1<f64>, ModelError> {
        if !node.has(2) {
            return Ok(Array1::zeros(count));
        }
        let bias = self.floats(node, 2)?;
        if bias.shape() != [count] {
            return Err(node.mismatched(&[count], bias.shape()));
        }
        Ok(bias.iter().copied().collect())
    }

    pub(super) fn conv(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let weights = self.floats(node, 1)?;
        let outputs = weights.shape().first().copied().unwrap_or(0);
        let bias = self.biases(node, outputs)?;
        activation(self.convolution(node, &input, weights, bias)?)
    }

    /// A convolution with the given weights and the window of the node's attributes.
    pub(super) fn convolution(
        &mut self,
        node: &Node,
        input: &Activation,
        weights: ArrayD<f64>,
        bias: Array1<f64>,
    ) -> Result<Activation, ModelError> {
        let planes = planes(node, input)?;
        let Kernel {
            weights,
            first: outputs,
            second: taken,
            size: kernel,
        } = kernel(node, weights, &input.shape)?;
        let groups = self.groups(node)?;
        let fits = taken.checked_mul(groups) == Some(planes.channels) && outputs % groups == 0;
        if !fits {
            return Err(node.mismatched(&input.shape, weights.shape()));
        }
        let window =
            Sliding::read(node, Some(kernel), input.shape.len())?.window(node, planes.size())?;
        let layer = Linear {
            planes,
            groups,
            window,
            weights: matrix(&weights, outputs),
            bias,
        };
        self.push_linear(node, input, layer)
    }

    /// Adds a convolution.
    fn push_linear(
        &mut self,
        node: &Node,
        input: &Activation,
        layer: Linear,
    ) -> Result<Activation, ModelError> {
        let rank = input.shape.len();
        let Some(outputs) = layer.outputs() else {
            return Err(node.mismatched(&input.shape, &layer.window.kernel));
        };
        let mut shape = vec![outputs.batch, outputs.channels];
        shape.extend(if rank == 3 {
            vec![outputs.width]
        } else {
            outputs.size().to_vec()
        });
        self.push(
            node,
            FloatOp::Linear(Box::new(layer)),
            vec![input.id],
            shape,
        )
    }

    /// A transposed convolution is a convolution with the mirrored kernel of an input that has
    /// `stride - 1` zeros between its values and `dilation (kernel - 1) - pad` around them (Dumoulin
    /// and Visin 2016, arXiv 1603.07285, section 4.6).
    pub(super) fn conv_transpose(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let planes = planes(node, &input)?;
        let Kernel {
            weights,
            first: channels,
            second: per_group,
            size: kernel,
        } = kernel(node, self.floats(node, 1)?, &input.shape)?;
        let groups = self.groups(node)?;
        if channels != planes.channels || channels % groups != 0 {
            return Err(node.mismatched(&input.shape, weights.shape()));
        }
        let sliding = Sliding::read(node, Some(kernel), input.shape.len())?;
        let axes = sliding.transposed(node, planes.size())?;
        let axes = if input.shape.len() == 3 {
            axes.get(1..).unwrap_or(&[])
        } else {
            &axes
        };
        let mut spread_shape = input.shape.clone();
        for (size, axis) in spread_shape.iter_mut().rev().zip(axes.iter().rev()) {
            *size = axis.0;
        }
        self.check_size(node, &spread_shape, false)?;
        let spread = self.moved_activation(node, &input, Movement::spread(&input.shape, axes))?;
        let outputs = per_group.saturating_mul(groups);
        let layer = Linear {
            planes: self::planes(node, &spread)?,
            groups,
            window: Window {
                kernel,
                dilation: sliding.dilation,
                ..Window::POINT
            },
            weights: mirrored(&weights, groups, per_group),
            bias: self.biases(node, outputs)?,
        };
        activation(self.push_linear(node, &spread, layer)?)
    }

    pub(super) fn batch_normalization(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        const REMEDY: &str = "export the model in evaluation mode";
        if node.flag("training_mode", false)? || !node.flag("spatial", true)? {
            return Err(node.misused("training_mode or without spatial".into(), REMEDY));
        }
        let input = self.activation(node, 0)?;
        let channels = input.shape.get(1).copied().unwrap_or(1);
        let mut vectors = [const { Vec::new() }; 4];
        for (vector, index) in vectors.iter_mut().zip(1..) {
            let values = self.floats(node, index)?;
            if values.shape() != [channels] {
                return Err(node.mismatched(&input.shape, values.shape()));
            }
            *vector = values.iter().copied().collect();
        }
        let epsilon = node.float("epsilon", 1e-5)?;
        let [gamma, beta, mean, variance] = vectors;
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| g / (v + epsilon).sqrt())
            .collect();
        let offset: Vec<f64> = beta
            .iter()
            .zip(mean.iter().zip(&scale))
            .map(|(b, (m, s))| b - m * s)
            .collect();
        if let Some(index) = scale.iter().position(|s| !s.is_finite()) {
            let value = variance.get(index).copied().unwrap_or(0.0);
            return Err(ModelError::NotFinite {
                node: node.name.clone(),
                tensor: "gamma / sqrt(variance + epsilon)".into(),
                index,
                value,
            });
        }
        let batch = input.shape.first().copied().unwrap_or(1);
        let width = length(input.shape.get(2..).unwrap_or(&[]));
        activation(self.push_diagonal(node, &input, [batch, width], (&scale, &offset))?)
    }

    /// `scale[c] x + offset[c]` of a tensor `batch x channels x width`.
    pub(super) fn push_diagonal(
        &mut self,
        node: &Node,
        input: &Activation,
        [batch, width]: [usize; 2],
        (scale, offset): (&[f64], &[f64]),
    ) -> Result<Activation, ModelError> {
        let layer = Linear::diagonal(batch, width, scale, offset);
        self.push(
            node,
            FloatOp::Linear(Box::new(layer)),
            vec![input.id],
            input.shape.clone(),
        )
    }

    /// `Y = alpha A' B' + beta C`.
    pub(super) fn gemm(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let alpha = node.float("alpha", 1.0)?;
        let mut factors = Vec::with_capacity(2);
        for (index, key) in [(0, "transA"), (1, "transB")] {
            let value = self.operand(node, index)?;
            let shape = self.shape_of(node, &value)?;
            if shape.len() != 2 {
                return Err(node.mismatched(&shape, &[0, 0]));
            }
            if let Value::Constant(_) = value {
                self.floats(node, index)?;
            }
            factors.push(match node.flag(key, false)? {
                true => self.moved(node, vec![value], Movement::transpose(&shape, &[1, 0]))?,
                false => value,
            });
        }
        let mut stored = Vec::with_capacity(2);
        for index in 0..2 {
            let value = self.operand(node, index)?;
            stored.push(self.shape_of(node, &value)?);
        }
        let [a, b]: [Value; 2] = factors.try_into().map_err(|_| node.missing(1))?;
        let product = self.product(node, a, b);
        // The shapes as they are stored say more than those after transposition.
        let product = product.map_err(|error| match (error, stored.as_slice()) {
            (ModelError::OperandShapes { .. }, [a, b]) => node.mismatched(a, b),
            (error, _) => error,
        })?;
        let product = self.scaled(node, product, alpha)?;
        if !node.has(2) {
            return activation(product);
        }
        let beta = node.float("beta", 1.0)?;
        match self.operand(node, 2)? {
            Value::Constant(_) => {
                let added = self.floats(node, 2)?.mapv(|c| c * beta);
                if broadcast(added.shape(), &product.shape).as_ref() != Some(&product.shape) {
                    return Err(node.mismatched(&product.shape, added.shape()));
                }
                activation(self.affine(node, product, None, Some(&added))?)
            }
            Value::Activation(_) => {
                let added = self.activation(node, 2)?;
                self.combine(node, vec![product, added], vec![1.0, beta])
            }
        }
    }

    pub(super) fn matmul(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let (a, b) = (self.operand(node, 0)?, self.operand(node, 1)?);
        activation(self.product(node, a, b)?)
    }

    /// The matrix product of two values, at least one an activation.
    pub(super) fn product(
        &mut self,
        node: &Node,
        a: Value,
        b: Value,
    ) -> Result<Activation, ModelError> {
        match (a, b) {
            (Value::Activation(a), Value::Activation(b)) => self.activation_product(node, a, b),
            (Value::Activation(a), Value::Constant(b)) => {
                let weights = self.weights_of(node, &b, 1)?;
                self.right_product(node, &a, weights)
            }
            (Value::Constant(a), Value::Activation(b)) => {
                let weights = self.weights_of(node, &a, 0)?;
                self.left_product(node, &weights, &b)
            }
            (Value::Constant(_), Value::Constant(_)) => {
                let usage = "constant operands only".into();
                Err(node.misused(usage, "fold constants, for instance with onnxsim"))
            }
        }
    }

    /// A constant operand, with axes of size 1 in front of a matrix removed.
    fn weights_of(
        &self,
        node: &Node,
        constant: &super::Constant,
        index: usize,
    ) -> Result<ArrayD<f64>, ModelError> {
        let super::Constant::Float(values) = constant else {
            return Err(node.wrong_type(node.operand(index), "FLOAT", constant));
        };
        node.finite(node.operand(index), values.iter())?;
        let mut weights = values.clone();
        while weights.ndim() > 2 && weights.shape().first() == Some(&1) {
            weights = weights.index_axis_move(Axis(0), 0);
        }
        Ok(weights)
    }

    /// Activation (.. x inputs) times constant (inputs x outputs).
    pub(super) fn right_product(
        &mut self,
        node: &Node,
        a: &Activation,
        weights: ArrayD<f64>,
    ) -> Result<Activation, ModelError> {
        let mismatch = node.mismatched(&a.shape, weights.shape());
        if weights.ndim() > 2 {
            return self.batched_product(node, a, &weights);
        }
        let vector = weights.ndim() == 1;
        let matrix = if vector {
            weights.insert_axis(Axis(1))
        } else {
            weights
        };
        let Ok(matrix) = matrix.into_dimensionality::<Ix2>() else {
            return Err(mismatch);
        };
        let (inputs, outputs) = matrix.dim();
        if a.shape.last() != Some(&inputs) || inputs == 0 || outputs == 0 {
            return Err(mismatch);
        }
        let mut shape = a.shape.clone();
        shape.pop();
        let batch = length(&shape);
        if !vector {
            shape.push(outputs);
        }
        let weights = matrix.t().as_standard_layout().into_owned();
        let layer = Linear::dense(batch, weights, Array1::zeros(outputs));
        self.push(node, FloatOp::Linear(Box::new(layer)), vec![a.id], shape)
    }

    /// Constant (outputs x inputs) times activation (inputs, or .. x inputs x width).
    fn left_product(
        &mut self,
        node: &Node,
        weights: &ArrayD<f64>,
        b: &Activation,
    ) -> Result<Activation, ModelError> {
        let mismatch = || node.mismatched(&b.shape, weights.shape());
        let vector = weights.ndim() == 1;
        let matrix = match vector {
            true => weights.clone().insert_axis(Axis(0)),
            false => weights.clone(),
        };
        let matrix = matrix
            .into_dimensionality::<Ix2>()
            .map_err(|_| mismatch())?;
        let (outputs, inputs) = matrix.dim();
        let (lead, width) = match b.shape.as_slice() {
            [only] if *only == inputs => (&[][..], None),
            [lead @ .., rows, width] if *rows == inputs => (lead, Some(*width)),
            _ => return Err(mismatch()),
        };
        if inputs == 0 || outputs == 0 {
            return Err(mismatch());
        }
        let mut shape = lead.to_vec();
        shape.extend((!vector).then_some(outputs));
        shape.extend(width);
        let planes = Planes {
            width: width.unwrap_or(1),
            ..Planes::points(length(lead), inputs)
        };
        let layer = Linear {
            planes,
            groups: 1,
            window: Window::POINT,
            weights: matrix,
            bias: Array1::zeros(outputs),
        };
        self.push(node, FloatOp::Linear(Box::new(layer)), vec![b.id], shape)
    }

    /// Activation (batch.. x rows x inputs) times a constant matrix for each of the batch: with the
    /// rows outermost, a layer with a group for each matrix.
    fn batched_product(
        &mut self,
        node: &Node,
        a: &Activation,
        weights: &ArrayD<f64>,
    ) -> Result<Activation, ModelError> {
        let mismatch = || node.mismatched(&a.shape, weights.shape());
        let &[ref lead @ .., inputs, outputs] = weights.shape() else {
            return Err(mismatch());
        };
        // A vector is a row.
        let (own, rows) = match a.shape.as_slice() {
            [_] => (&[][..], None),
            [own @ .., rows, _] => (own, Some(*rows)),
            [] => return Err(mismatch()),
        };
        let batch = broadcast(own, lead).filter(|_| a.shape.last() == Some(&inputs));
        let batch = batch.ok_or_else(mismatch)?;
        if length(weights.shape()) == 0 {
            return Err(mismatch());
        }
        let full = |tail: &[usize]| [batch.as_slice(), tail].concat();
        self.check_size(node, &full(&[inputs, outputs]), true)?;
        let weights = weights.broadcast(IxDyn(&full(&[inputs, outputs])));
        let weights: Vec<f64> = weights.ok_or_else(mismatch)?.iter().copied().collect();
        let (count, height) = (length(&batch), rows.unwrap_or(1));
        let with_row = [own, &[height, inputs]].concat();
        let a = a.clone().reshaped(with_row);
        let a = self.expanded(node, a, &full(&[height, inputs]))?;
        let order = Movement::transpose(&[count, height, inputs], &[1, 0, 2]);
        let a = self.moved_activation(node, &a, order)?;
        let by_output = |(n, k): (usize, usize)| {
            let (matrix, column) = (n / outputs, n % outputs);
            let at = (matrix * inputs + k) * outputs + column;
            weights.get(at).copied().unwrap_or(0.0)
        };
        let total = count.saturating_mul(outputs);
        let layer = Linear {
            planes: Planes::points(height, count * inputs),
            groups: count,
            window: Window::POINT,
            weights: Array2::from_shape_fn((total, inputs), by_output),
            bias: Array1::zeros(total),
        };
        let shape = vec![height, count, outputs];
        let y = self.push(node, FloatOp::Linear(Box::new(layer)), vec![a.id], shape)?;
        let order = Movement::transpose(&[height, count, outputs], &[1, 0, 2]);
        let y = self.moved_activation(node, &y, order)?;
        let tail: Vec<usize> = rows.into_iter().chain([outputs]).collect();
        Ok(y.reshaped(full(&tail)))
    }

    pub(super) fn activation_product(
        &mut self,
        node: &Node,
        a: Activation,
        b: Activation,
    ) -> Result<Activation, ModelError> {
        if [a.kind, b.kind] != [Kind::Float; 2] {
            return Err(node.misused("integers".into(), "cast or dequantise them first"));
        }
        let mismatch = || node.mismatched(&a.shape, &b.shape);
        // A vector is a row on the left and a column on the right.
        let (lead_a, rows, inner) = match a.shape.as_slice() {
            [inner] => (&[][..], None, *inner),
            [lead @ .., rows, inner] => (lead, Some(*rows), *inner),
            [] => return Err(mismatch()),
        };
        let (lead_b, taken, columns) = match b.shape.as_slice() {
            [inner] => (&[][..], *inner, None),
            [lead @ .., inner, columns] => (lead, *inner, Some(*columns)),
            [] => return Err(mismatch()),
        };
        let lead = broadcast(lead_a, lead_b)
            .filter(|_| inner == taken)
            .ok_or_else(mismatch)?;
        let sizes = MatrixSizes {
            batch: length(&lead),
            rows: rows.unwrap_or(1),
            inner,
            columns: columns.unwrap_or(1),
        };
        let mut shape = lead.clone();
        shape.extend(rows);
        shape.extend(columns);
        let full = |tail: [usize; 2]| [lead.as_slice(), &tail].concat();
        let with_row = [lead_a, &[sizes.rows, inner]].concat();
        let with_column = [lead_b, &[inner, sizes.columns]].concat();
        let left = self.expanded(node, a.reshaped(with_row), &full([sizes.rows, inner]))?;
        let right = self.expanded(node, b.reshaped(with_column), &full([inner, sizes.columns]))?;
        let op = FloatOp::MatMul { sizes, factor: 1.0 };
        self.push(node, op, vec![left.id, right.id], shape)
    }
}

/// The image that an activation is: batch x channels x width, or batch x channels x height x width.
pub(super) fn planes(node: &Node, input: &Activation) -> Result<Planes, ModelError> {
    let (batch, channels, height, width) = match *input.shape.as_slice() {
        [batch, channels, width] => (batch, channels, 1, width),
        [batch, channels, height, width] => (batch, channels, height, width),
        _ => {
            let usage = format!("an input of {} axes", input.shape.len());
            return Err(node.misused(usage, "use images of 1 or 2 dimensions"));
        }
    };
    Ok(Planes {
        batch,
        channels,
        height,
        width,
    })
}

/// A weight tensor as a matrix with the given rows.
fn matrix(weights: &ArrayD<f64>, rows: usize) -> Array2<f64> {
    let columns = weights.len() / rows.max(1);
    let values: Vec<f64> = weights.iter().copied().collect();
    Array2::from_shape_vec((rows, columns), values).unwrap_or_default()
}

/// Weights (channels, outputs per group, window) of a transposed convolution as those of a
/// convolution: (outputs, channels per group, mirrored window).
fn mirrored(weights: &ArrayD<f64>, groups: usize, per_group: usize) -> Array2<f64> {
    let values: Vec<f64> = weights.iter().copied().collect();
    let channels = weights.shape().first().copied().unwrap_or(0) / groups.max(1);
    let entries = values.len() / (channels * groups * per_group).max(1);
    let entry = |(n, column): (usize, usize)| {
        let (group, output) = (n / per_group, n % per_group);
        let (channel, place) = (column / entries, column % entries);
        let at = ((group * channels + channel) * per_group + output) * entries;
        values.get(at + entries - 1 - place).copied().unwrap_or(0.0)
    };
    Array2::from_shape_fn((groups * per_group, channels * entries), entry)
}
