//! Operators that move data: Transpose, Slice, Split, Concat, Pad, Gather, Expand and their kin.
//!
//! Each is an index map, applied to constants at once and to activations as one
//! [`FloatOp::Gather`], which costs nothing in a proof. What keeps the order of the values (Reshape,
//! Squeeze) gives no node at all.

use super::constant::Constant;
use super::node::Node;
use super::{Activation, Importer, Kind, Outputs, Value, one};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Linear, length};
use ndarray::{Array1, Array2, ArrayD, IxDyn};

/// An index map: where each value of the output comes from.
pub(super) struct Movement {
    map: Vec<Option<usize>>,
    shape: Vec<usize>,
}

impl Movement {
    /// The map whose output at `index` is entry `source(index)` of the input.
    pub(super) fn new(shape: Vec<usize>, source: impl Fn(&[usize]) -> Option<usize>) -> Self {
        let count = length(&shape);
        let mut index = vec![0; shape.len()];
        let mut map = Vec::with_capacity(count);
        for _ in 0..count {
            map.push(source(&index));
            for (place, &size) in index.iter_mut().zip(&shape).rev() {
                *place += 1;
                if *place < size {
                    break;
                }
                *place = 0;
            }
        }
        Movement { map, shape }
    }

    /// The map that takes along every axis of `from` the positions in `picks`; `None` is zero.
    fn select(from: &[usize], picks: &[Vec<Option<usize>>]) -> Self {
        let strides = strides(from);
        let shape = picks.iter().map(Vec::len).collect();
        Movement::new(shape, |index| {
            let places = index.iter().zip(picks).zip(&strides);
            let mut sum = 0;
            for ((&at, pick), stride) in places {
                sum += pick.get(at).copied().flatten()? * stride;
            }
            Some(sum)
        })
    }

    /// Axis `i` of the output is axis `order[i]` of the input.
    pub(super) fn transpose(from: &[usize], order: &[usize]) -> Self {
        let strides = strides(from);
        let of = |values: &[usize]| -> Vec<usize> {
            order
                .iter()
                .filter_map(|&axis| values.get(axis).copied())
                .collect()
        };
        let steps = of(&strides);
        Movement::new(of(from), |index| {
            Some(index.iter().zip(&steps).map(|(i, step)| i * step).sum())
        })
    }

    /// `from` repeated along axes of size 1 until it has the shape `to`.
    pub(super) fn expand(from: &[usize], to: &[usize]) -> Self {
        let mut steps = vec![0; to.len().saturating_sub(from.len())];
        let strides = strides(from);
        steps.extend(
            from.iter()
                .zip(strides)
                .map(|(&size, s)| if size == 1 { 0 } else { s }),
        );
        Movement::new(to.to_vec(), |index| {
            Some(index.iter().zip(&steps).map(|(i, step)| i * step).sum())
        })
    }

    /// Zeros between and around rows and columns: the input of the convolution that a transposed
    /// one is. Position `y` of an axis is `(y - before) / stride` of the input where that is whole.
    pub(super) fn spread(from: &[usize], axes: &[(usize, usize, i64)]) -> Self {
        let plain = from.len() - axes.len();
        let picks: Vec<Vec<Option<usize>>> = from
            .iter()
            .enumerate()
            .map(
                |(axis, &size)| match axis.checked_sub(plain).and_then(|a| axes.get(a)) {
                    None => (0..size).map(Some).collect(),
                    Some(&(total, stride, before)) => (0i64..)
                        .take(total)
                        .map(|y| {
                            let place = usize::try_from(y - before).ok()?;
                            Some(place / stride).filter(|&at| place % stride == 0 && at < size)
                        })
                        .collect(),
                },
            )
            .collect();
        Movement::select(from, &picks)
    }
}

/// Distance of neighbours along every axis, in row-major order.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    let mut step = 1usize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(size);
    }
    strides
}

/// The shape that both broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        let missing = rank - shape.len();
        axis.checked_sub(missing)
            .and_then(|axis| shape.get(axis).copied())
            .unwrap_or(1)
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// All positions of every axis.
fn everything(shape: &[usize]) -> Vec<Vec<Option<usize>>> {
    shape
        .iter()
        .map(|&size| (0..size).map(Some).collect())
        .collect()
}

impl Importer {
    /// Moves the values of the operands, taken one after the other.
    pub(super) fn moved(
        &mut self,
        node: &Node,
        operands: Vec<Value>,
        movement: Movement,
    ) -> Result<Value, ModelError> {
        self.check_size(
            node,
            &movement.shape,
            operands.iter().all(Value::is_constant),
        )?;
        if let Some(constant) = moved_constant(node, &operands, &movement)? {
            return Ok(Value::constant(constant));
        }
        let mut kind = None;
        let mut inputs = Vec::with_capacity(operands.len());
        for operand in operands {
            let activation = match operand {
                Value::Activation(activation) => {
                    kind = kind.or(Some(activation.kind));
                    activation
                }
                Value::Constant(constant) => match constant.as_ref() {
                    Constant::Float(values) => self.constant_activation(node, values)?,
                    other => return Err(node.wrong_type("operand", "FLOAT", other)),
                },
            };
            if kind.is_some_and(|kind| kind != activation.kind) {
                let remedy = "bring all operands to float32 or to one scale and zero point";
                return Err(node.misused("operands of different kinds".into(), remedy));
            }
            inputs.push(activation.id);
        }
        let op = FloatOp::Gather { map: movement.map };
        let mut output = self.push(node, op, inputs, movement.shape)?;
        output.kind = kind.unwrap_or(Kind::Float);
        Ok(Value::Activation(output))
    }

    /// The same for an activation.
    pub(super) fn moved_activation(
        &mut self,
        node: &Node,
        activation: &Activation,
        movement: Movement,
    ) -> Result<Activation, ModelError> {
        self.check_size(node, &movement.shape, false)?;
        let op = FloatOp::Gather { map: movement.map };
        let mut output = self.push(node, op, vec![activation.id], movement.shape)?;
        output.kind = activation.kind;
        Ok(output)
    }

    /// A constant as an activation: the bias of a layer whose weights are zero.
    pub(super) fn constant_activation(
        &mut self,
        node: &Node,
        values: &ArrayD<f64>,
    ) -> Result<Activation, ModelError> {
        node.finite("constant", values.iter())?;
        let bias: Array1<f64> = values.iter().copied().collect();
        let any = Value::Activation(Activation::new(0, vec![self.input_length]));
        let any = self.moved(node, vec![any], Movement::new(vec![1], |_| Some(0)))?;
        let Value::Activation(any) = any else {
            return Err(node.missing(0));
        };
        let layer = Linear::dense(1, Array2::zeros((bias.len(), 1)), bias);
        self.push(
            node,
            FloatOp::Linear(Box::new(layer)),
            vec![any.id],
            values.shape().to_vec(),
        )
    }

    /// Repeats an activation along axes of size 1.
    pub(super) fn expanded(
        &mut self,
        node: &Node,
        activation: Activation,
        shape: &[usize],
    ) -> Result<Activation, ModelError> {
        if length(&activation.shape) == length(shape) {
            return Ok(activation.reshaped(shape.to_vec()));
        }
        self.check_size(node, shape, false)?;
        let movement = Movement::expand(&activation.shape, shape);
        self.moved_activation(node, &activation, movement)
    }

    /// The first operand with the same values in another shape.
    fn with_shape(&mut self, node: &Node, shape: Vec<usize>) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        if length(&from) != length(&shape) {
            return Err(node.mismatched(&from, &shape));
        }
        let reshape = |constant: &Constant| -> Option<Constant> {
            let to = IxDyn(&shape);
            Some(match constant {
                Constant::Float(v) => Constant::Float(v.to_shape(to).ok()?.into_owned()),
                Constant::Integer(v, kind) => {
                    Constant::Integer(v.to_shape(to).ok()?.into_owned(), kind)
                }
                Constant::Flag(v) => Constant::Flag(v.to_shape(to).ok()?.into_owned()),
                Constant::Other(_) => return None,
            })
        };
        one(match value {
            Value::Activation(activation) => Value::Activation(activation.reshaped(shape)),
            Value::Constant(constant) => {
                let reshaped = reshape(&constant);
                Value::constant(reshaped.ok_or_else(|| node.mismatched(&from, &shape))?)
            }
        })
    }

    pub(super) fn identity(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        one(self.operand(node, 0)?)
    }

    /// Dropout at inference is the identity; its ratio and flag must be plain constants.
    pub(super) fn dropout(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        const REMEDY: &str = "export the model in evaluation mode";
        for index in [1, 2] {
            if !node.has(index) {
                continue;
            }
            match (index, self.operand(node, index)?) {
                (_, Value::Activation(_)) => {
                    return Err(node.misused("a computed ratio".into(), REMEDY));
                }
                (2, Value::Constant(constant)) => match constant.as_ref() {
                    Constant::Flag(flags) if flags.iter().all(|flag| !flag) => {}
                    _ => return Err(node.misused("training_mode".into(), REMEDY)),
                },
                _ => {}
            }
        }
        one(self.operand(node, 0)?)
    }

    pub(super) fn reshape(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let target = self.integers(node, 1)?;
        let keep_zero = node.flag("allowzero", false)?;
        let shape = reshaped(&from, &target, keep_zero).ok_or_else(|| {
            let right: Vec<_> = target
                .iter()
                .map(|&d| usize::try_from(d).unwrap_or(0))
                .collect();
            node.mismatched(&from, &right)
        })?;
        self.with_shape(node, shape)
    }

    pub(super) fn flatten(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let rank = from.len();
        let axis = match node.int("axis", 1)? {
            axis if usize::try_from(axis) == Ok(rank) => rank,
            axis => node.axis(axis, rank)?,
        };
        let (rows, columns) = from.split_at_checked(axis).unwrap_or((&from, &[]));
        self.with_shape(node, vec![length(rows), length(columns)])
    }

    pub(super) fn squeeze(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let dropped: Vec<usize> = match self.axes(node, 1, from.len())? {
            Some(axes) => axes,
            None => (0..from.len())
                .filter(|&axis| from.get(axis) == Some(&1))
                .collect(),
        };
        let kept = from
            .iter()
            .enumerate()
            .filter(|(axis, _)| !dropped.contains(axis));
        let shape = kept.map(|(_, &size)| size).collect();
        self.with_shape(node, shape)
    }

    pub(super) fn unsqueeze(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let mut sizes = self.shape_of(node, &value)?.into_iter();
        let given = match node.ints("axes")? {
            Some(axes) => axes.to_vec(),
            None => self.integers(node, 1)?,
        };
        let rank = sizes.len() + given.len();
        let mut added = given
            .iter()
            .map(|&a| node.axis(a, rank))
            .collect::<Result<Vec<_>, _>>()?;
        added.sort_unstable();
        added.dedup();
        if added.len() != given.len() {
            return Err(node.misused("a repeated axis".into(), "name every axis once"));
        }
        let size = |axis| {
            if added.contains(&axis) {
                Some(1)
            } else {
                sizes.next()
            }
        };
        let shape = (0..rank).filter_map(size).collect();
        self.with_shape(node, shape)
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let order: Vec<usize> = match node.ints("perm")? {
            None => (0..from.len()).rev().collect(),
            Some(order) => order
                .iter()
                .map(|&axis| node.axis(axis, from.len()))
                .collect::<Result<_, _>>()?,
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..from.len()) {
            return Err(node.misused("perm that is no permutation".into(), "name every axis once"));
        }
        one(self.moved(node, vec![value], Movement::transpose(&from, &order))?)
    }

    pub(super) fn expand(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let target = node.sizes("a dimension of", &self.integers(node, 1)?)?;
        let shape = broadcast(&from, &target).ok_or_else(|| node.mismatched(&from, &target))?;
        self.check_size(node, &shape, value.is_constant())?;
        one(self.moved(node, vec![value], Movement::expand(&from, &shape))?)
    }

    pub(super) fn tile(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let repeats = node.sizes("repeats", &self.integers(node, 1)?)?;
        if repeats.len() != from.len() {
            return Err(node.mismatched(&from, &repeats));
        }
        let shape: Vec<usize> = from
            .iter()
            .zip(&repeats)
            .map(|(s, r)| s.saturating_mul(*r))
            .collect();
        self.check_size(node, &shape, value.is_constant())?;
        let strides = strides(&from);
        let movement = Movement::new(shape, |index| {
            let places = index.iter().zip(&from).zip(&strides);
            Some(places.map(|((i, size), step)| i % size * step).sum())
        });
        one(self.moved(node, vec![value], movement)?)
    }

    pub(super) fn concat(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let mut operands = Vec::with_capacity(node.proto.input.len());
        let mut shapes = Vec::with_capacity(node.proto.input.len());
        for index in 0..node.proto.input.len() {
            let value = self.operand(node, index)?;
            shapes.push(self.shape_of(node, &value)?);
            operands.push(value);
        }
        let first = shapes.first().cloned().ok_or_else(|| node.missing(0))?;
        let axis = node.axis(node.int("axis", 0)?, first.len())?;
        let mut shape = first.clone();
        let mut total = 0usize;
        for other in &shapes {
            let fits = other.len() == first.len()
                && (0..first.len()).all(|i| i == axis || other.get(i) == first.get(i));
            if !fits {
                return Err(node.mismatched(&first, other));
            }
            total = total.saturating_add(other.get(axis).copied().unwrap_or(0));
        }
        if let Some(size) = shape.get_mut(axis) {
            *size = total;
        }
        let constants = operands.iter().all(Value::is_constant);
        self.check_size(node, &shape, constants)?;
        // For every position of the axis: where its operand starts, its strides, its own position.
        let mut places = Vec::with_capacity(total);
        let mut start = 0;
        for other in &shapes {
            let steps = strides(other);
            for at in 0..other.get(axis).copied().unwrap_or(0) {
                places.push((start, steps.clone(), at));
            }
            start += length(other);
        }
        let movement = Movement::new(shape, |index| {
            let (start, steps, own) = places.get(*index.get(axis)?)?;
            let offset = index.iter().zip(steps).enumerate().map(|(i, (&at, step))| {
                if i == axis { own * step } else { at * step }
            });
            Some(start + offset.sum::<usize>())
        });
        one(self.moved(node, operands, movement)?)
    }

    pub(super) fn slice(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let list = |importer: &Self, key: &str, index: usize| match node.ints(key)? {
            Some(values) => Ok(Some(values.to_vec())),
            None if node.has(index) => importer.integers(node, index).map(Some),
            None => Ok(None),
        };
        let starts = list(self, "starts", 1)?.ok_or_else(|| node.missing(1))?;
        let ends = list(self, "ends", 2)?.ok_or_else(|| node.missing(2))?;
        let axes = list(self, "axes", 3)?.unwrap_or_else(|| (0i64..).take(starts.len()).collect());
        let steps = list(self, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            let usage = "lists of different lengths".into();
            return Err(node.misused(usage, "check the model with onnx.checker"));
        }
        let mut picks = everything(&from);
        for (((start, end), axis), step) in starts.iter().zip(ends).zip(axes).zip(steps) {
            let axis = node.axis(axis, from.len())?;
            let size = from.get(axis).copied().unwrap_or(0);
            let taken = sliced(size, *start, end, step).ok_or_else(|| {
                node.misused("a step of 0".into(), "check the model with onnx.checker")
            })?;
            if let Some(pick) = picks.get_mut(axis) {
                *pick = taken;
            }
        }
        one(self.moved(node, vec![value], Movement::select(&from, &picks))?)
    }

    pub(super) fn split(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let axis = node.axis(node.int("axis", 0)?, from.len())?;
        let size = from.get(axis).copied().unwrap_or(0);
        let parts = node.proto.output.len();
        let given = match node.ints("split")? {
            Some(sizes) => Some(node.sizes("a part of", sizes)?),
            None if node.has(1) => Some(node.sizes("a part of", &self.integers(node, 1)?)?),
            None => None,
        };
        let sizes = given.unwrap_or_else(|| {
            // Equal parts, the last one smaller if the size is not divisible.
            let part = size.div_ceil(parts.max(1)).max(1);
            (0..parts)
                .map(|i| size.saturating_sub(i * part).min(part))
                .collect()
        });
        let total = sizes
            .iter()
            .fold(0usize, |sum, &size| sum.saturating_add(size));
        if total != size || sizes.len() != parts || sizes.contains(&0) {
            return Err(node.mismatched(&from, &sizes));
        }
        let mut outputs = Vec::with_capacity(parts);
        let mut start = 0;
        for part in sizes {
            let mut picks = everything(&from);
            if let Some(pick) = picks.get_mut(axis) {
                *pick = (start..start + part).map(Some).collect();
            }
            start += part;
            outputs.push(self.moved(node, vec![value.clone()], Movement::select(&from, &picks))?);
        }
        Ok(outputs)
    }

    pub(super) fn pad(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let pads = match node.ints("pads")? {
            Some(pads) => pads.to_vec(),
            None => self.integers(node, 1)?,
        };
        let axes = match node.has(3) {
            true => self.axis_list(node, &self.integers(node, 3)?, from.len())?,
            false => (0..from.len()).collect(),
        };
        if pads.len() != 2 * axes.len() {
            let given: Vec<_> = pads
                .iter()
                .map(|&p| usize::try_from(p).unwrap_or(0))
                .collect();
            return Err(node.mismatched(&from, &given));
        }
        let mode = node.text("mode", "constant")?;
        let fill = if node.has(2) {
            self.scalar(node, 2)?
        } else {
            node.float("value", 0.0)?
        };
        let mut picks = everything(&from);
        for (&axis, (&before, &after)) in axes
            .iter()
            .zip(pads.iter().zip(pads.iter().skip(axes.len())))
        {
            let size = from.get(axis).copied().unwrap_or(0);
            let padded = padded(size, [before, after], &mode).ok_or_else(|| {
                let usage = format!("mode {mode} and pads {before} and {after} of {size}");
                node.misused(
                    usage,
                    "pad by less than the size, with zeros, edge, reflect or wrap",
                )
            })?;
            if let Some(pick) = picks.get_mut(axis) {
                *pick = padded;
            }
        }
        let shape: Vec<usize> = picks.iter().map(Vec::len).collect();
        self.check_size(node, &shape, value.is_constant())?;
        let mut movement = Movement::select(&from, &picks);
        let mut operands = vec![value];
        if mode == "constant" && fill != 0.0 {
            // The constant is a second operand of one value.
            let last = length(&from);
            movement
                .map
                .iter_mut()
                .for_each(|entry| *entry = entry.or(Some(last)));
            let fill = ArrayD::from_elem(IxDyn(&[1]), fill);
            operands.push(Value::constant(Constant::Float(fill)));
        }
        one(self.moved(node, operands, movement)?)
    }

    /// Picks along an axis by constant indices, or rows of a constant by computed ones.
    pub(super) fn gather(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let axis = node.axis(node.int("axis", 0)?, from.len())?;
        let size = from.get(axis).copied().unwrap_or(0);
        let indices = match self.operand(node, 1)? {
            Value::Constant(constant) => constant,
            Value::Activation(indices) => return self.looked_up(node, &value, axis, &indices),
        };
        let Constant::Integer(indices, _) = indices.as_ref() else {
            return Err(node.wrong_type(node.operand(1), "INT64", &indices));
        };
        let picked = indices
            .iter()
            .map(|&index| node.axis(index, size).map(Some));
        let mut picks = everything(&from);
        if let Some(pick) = picks.get_mut(axis) {
            *pick = picked.collect::<Result<_, _>>()?;
        }
        let mut shape: Vec<usize> = picks.iter().map(Vec::len).collect();
        self.check_size(node, &shape, value.is_constant())?;
        let mut movement = Movement::select(&from, &picks);
        shape.splice(axis..=axis, indices.shape().iter().copied());
        movement.shape = shape;
        one(self.moved(node, vec![value], movement)?)
    }

    pub(super) fn depth_to_space(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let block = self.block(node)?;
        let &[batch, channels, height, width] = from.as_slice() else {
            return Err(node.mismatched(&from, &[block, block]));
        };
        let area = block.saturating_mul(block);
        if channels % area != 0 {
            return Err(node.mismatched(&from, &[block, block]));
        }
        let depth = channels / area;
        // Where the blocks stand among the channels.
        let (split, order): ([usize; 6], [usize; 6]) = match node.text("mode", "DCR")?.as_str() {
            "DCR" => (
                [batch, block, block, depth, height, width],
                [0, 3, 4, 1, 5, 2],
            ),
            "CRD" => (
                [batch, depth, block, block, height, width],
                [0, 1, 4, 2, 5, 3],
            ),
            mode => return Err(node.misused(format!("mode {mode}"), "use DCR or CRD")),
        };
        let mut movement = Movement::transpose(&split, &order);
        movement.shape = vec![batch, depth, height * block, width * block];
        one(self.moved(node, vec![value], movement)?)
    }

    pub(super) fn space_to_depth(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let from = self.shape_of(node, &value)?;
        let block = self.block(node)?;
        let &[batch, channels, height, width] = from.as_slice() else {
            return Err(node.mismatched(&from, &[block, block]));
        };
        if height % block != 0 || width % block != 0 || node.text("mode", "DCR")? != "DCR" {
            return Err(node.mismatched(&from, &[block, block]));
        }
        let (rows, columns) = (height / block, width / block);
        let split = [batch, channels, rows, block, columns, block];
        let mut movement = Movement::transpose(&split, &[0, 3, 5, 1, 2, 4]);
        movement.shape = vec![batch, channels * block * block, rows, columns];
        one(self.moved(node, vec![value], movement)?)
    }

    fn block(&self, node: &Node) -> Result<usize, ModelError> {
        let sizes = node.sizes("blocksize", &[node.int("blocksize", 0)?])?;
        sizes.first().copied().ok_or_else(|| node.missing(0))
    }
}

/// The moved constant, if all operands are constants of one type.
fn moved_constant(
    node: &Node,
    operands: &[Value],
    movement: &Movement,
) -> Result<Option<Constant>, ModelError> {
    let mut constants = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Value::Constant(constant) => constants.push(constant.as_ref()),
            Value::Activation(_) => return Ok(None),
        }
    }
    let mismatch = || {
        let usage = "constants of different or unknown types".into();
        node.misused(usage, "store them in one type")
    };
    let constant = match constants.first() {
        Some(Constant::Float(_)) => {
            let values = constants.iter().map(|c| match c {
                Constant::Float(values) => Some(values),
                _ => None,
            });
            picked(values, movement, 0.0).map(Constant::Float)
        }
        Some(Constant::Integer(_, kind)) => {
            let values = constants.iter().map(|c| match c {
                Constant::Integer(values, other) if other == kind => Some(values),
                _ => None,
            });
            picked(values, movement, 0).map(|values| Constant::Integer(values, kind))
        }
        Some(Constant::Flag(_)) => {
            let values = constants.iter().map(|c| match c {
                Constant::Flag(values) => Some(values),
                _ => None,
            });
            picked(values, movement, false).map(Constant::Flag)
        }
        _ => None,
    };
    constant.map(Some).ok_or_else(mismatch)
}

/// The values that `movement` picks out of the operands.
fn picked<'a, T: Copy + 'a>(
    operands: impl Iterator<Item = Option<&'a ArrayD<T>>>,
    movement: &Movement,
    zero: T,
) -> Option<ArrayD<T>> {
    let mut values = Vec::new();
    for operand in operands {
        values.extend(operand?.iter().copied());
    }
    let value = |from: &Option<usize>| from.and_then(|at| values.get(at).copied()).unwrap_or(zero);
    let moved = movement.map.iter().map(value).collect();
    ArrayD::from_shape_vec(IxDyn(&movement.shape), moved).ok()
}

/// The positions that `start:end:step` takes, as ONNX clamps them; `None` for a step of 0.
fn sliced(size: usize, start: i64, end: i64, step: i64) -> Option<Vec<Option<usize>>> {
    let size = i64::try_from(size).ok()?;
    let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = (from_start(start), from_start(end));
    let mut taken = Vec::new();
    let mut at = match step {
        0 => return None,
        1.. => start.clamp(0, size),
        _ => start.clamp(-1, size - 1),
    };
    let end = if step > 0 {
        end.clamp(0, size)
    } else {
        end.clamp(-1, size - 1)
    };
    while if step > 0 { at < end } else { at > end } {
        taken.push(usize::try_from(at).ok());
        at = at.saturating_add(step);
    }
    Some(taken)
}

/// Positions along an axis after padding; negative pads crop. `None` for an unknown mode, or one
/// that would read outside.
fn padded(size: usize, pads: [i64; 2], mode: &str) -> Option<Vec<Option<usize>>> {
    let size = i64::try_from(size).ok()?;
    let [before, after] = pads;
    let most = i64::try_from(super::MAX_CONSTANT).ok()?;
    if before.max(after) > most || before.min(after) < -size || size + before + after < 0 {
        return None;
    }
    let inside = |at: i64| usize::try_from(at).ok().filter(|_| at < size);
    let place = |at: i64| match mode {
        "constant" => Some(inside(at)),
        "edge" => inside(at.clamp(0, size - 1)).map(Some),
        "reflect" => {
            let folded = if at < 0 { -at } else { at };
            let folded = if folded < size {
                folded
            } else {
                2 * (size - 1) - folded
            };
            inside(folded).map(Some)
        }
        "wrap" => inside(at.rem_euclid(size.max(1))).map(Some),
        _ => None,
    };
    (-before..size + after).map(place).collect()
}

/// The shape an ONNX Reshape gives: 0 keeps a dimension (unless `keep_zero`), one -1 is inferred.
fn reshaped(from: &[usize], target: &[i64], keep_zero: bool) -> Option<Vec<usize>> {
    let total = length(from);
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (axis, &dimension) in target.iter().enumerate() {
        shape.push(match dimension {
            0 if !keep_zero => *from.get(axis)?,
            -1 if inferred.is_none() => {
                inferred = Some(axis);
                1
            }
            _ => usize::try_from(dimension).ok().filter(|&d| d > 0)?,
        });
    }
    let known = length(&shape);
    if let Some(size) = inferred.and_then(|axis| shape.get_mut(axis)) {
        *size = total.checked_div(known)?;
    }
    (length(&shape) == total).then_some(shape)
}
