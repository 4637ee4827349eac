//! Operators along axes: Softmax, reductions, ArgMax, normalisations.

use super::movement::Movement;
use super::node::Node;
use super::patterns::Pattern;
use super::{Activation, Importer, Kind, Outputs, Value, activation, one};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Planes, Pool, Rows, Window, length};
use ndarray::{ArrayD, IxDyn};

impl Importer {
    /// From operator set 13 along one axis, before over all axes from the given one on.
    pub(super) fn softmax(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let rank = input.shape.len();
        let axis = node.axis(
            node.int("axis", if node.opset < 13 { 1 } else { -1 })?,
            rank,
        )?;
        if node.opset < 13 {
            let (rows, columns) = input.shape.split_at_checked(axis).unwrap_or((&[], &[]));
            let rows = Rows {
                rows: length(rows),
                columns: length(columns),
            };
            let shape = input.shape.clone();
            return activation(self.push(node, FloatOp::Softmax(rows), vec![input.id], shape)?);
        }
        let order = last(rank, &[axis]);
        let moved = self.ordered(node, &input, &order)?;
        let columns = input.shape.get(axis).copied().unwrap_or(1);
        let rows = rows_of(&input, columns);
        let shape = moved.shape.clone();
        let result = self.push(node, FloatOp::Softmax(rows), vec![moved.id], shape)?;
        let mut back = vec![0; rank];
        for (place, &axis) in order.iter().enumerate() {
            if let Some(slot) = back.get_mut(axis) {
                *slot = place;
            }
        }
        activation(self.ordered(node, &result, &back)?)
    }

    /// A transposition, unless it keeps the order of the values.
    fn ordered(
        &mut self,
        node: &Node,
        input: &Activation,
        order: &[usize],
    ) -> Result<Activation, ModelError> {
        if order.iter().copied().eq(0..order.len()) {
            return Ok(input.clone());
        }
        self.moved_activation(node, input, Movement::transpose(&input.shape, order))
    }

    /// ReduceMean, ReduceSum and ReduceMax.
    pub(super) fn reduce(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let rank = input.shape.len();
        let given = self.axes(node, 1, rank)?.filter(|axes| !axes.is_empty());
        let keep = node.flag("keepdims", true)?;
        let axes = match given {
            Some(axes) => axes,
            None if node.flag("noop_with_empty_axes", false)? => return activation(input),
            None => (0..rank).collect(),
        };
        let entries = |axis: &usize| input.shape.get(*axis).copied().unwrap_or(1);
        let count: usize = axes.iter().map(entries).product();
        let shape = reduced(&input.shape, &axes, keep);
        let pooled = self.pooled(node, &input, &axes, |pool| match node.operator() {
            "ReduceMax" => FloatOp::MaxPool(pool),
            operator => {
                let mut factors = vec![0.0; count + 1];
                if let Some(factor) = factors.last_mut() {
                    *factor = if operator == "ReduceSum" {
                        1.0
                    } else {
                        1.0 / count as f64
                    };
                }
                FloatOp::AveragePool { pool, factors }
            }
        })?;
        activation(pooled.reshaped(shape))
    }

    /// A pool over some axes; without data movement if they are neighbours.
    fn pooled(
        &mut self,
        node: &Node,
        input: &Activation,
        axes: &[usize],
        op: impl FnOnce(Pool) -> FloatOp,
    ) -> Result<Activation, ModelError> {
        let size = |axis: usize| input.shape.get(axis).copied().unwrap_or(1);
        // Axes of size 1 may stand anywhere.
        let wide: Vec<usize> = (0..input.shape.len())
            .filter(|&axis| size(axis) > 1)
            .collect();
        let place = |axis: &usize| wide.iter().position(|other| other == axis);
        let mut places: Vec<usize> = axes.iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        let neighbours = places
            .windows(2)
            .all(|pair| matches!(*pair, [a, b] if a + 1 == b));
        let (moved, planes) = if neighbours {
            let first = places.first().copied().unwrap_or(wide.len());
            let product = |from: usize, to: usize| {
                wide.get(from..to)
                    .unwrap_or(&[])
                    .iter()
                    .map(|&axis| size(axis))
                    .product()
            };
            let end = first + places.len();
            let planes = Planes {
                batch: product(0, first),
                channels: 1,
                height: product(first, end),
                width: product(end, wide.len()),
            };
            (input.clone(), planes)
        } else {
            let order = last(input.shape.len(), axes);
            let height = axes.iter().map(|&axis| size(axis)).product();
            let planes = Planes {
                height,
                ..Planes::points(length(&input.shape) / std::cmp::max(height, 1), 1)
            };
            (self.ordered(node, input, &order)?, planes)
        };
        let window = Window {
            kernel: [planes.height, 1],
            ..Window::POINT
        };
        let shape = vec![planes.batch, planes.width];
        self.push(node, op(Pool { planes, window }), vec![moved.id], shape)
    }

    pub(super) fn arg_max(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let (input, _) = self.comparable(node, 0)?;
        let axis = node.axis(node.int("axis", 0)?, input.shape.len())?;
        if node.flag("select_last_index", false)? {
            let remedy = "take the first of equal values";
            return Err(node.misused("select_last_index".into(), remedy));
        }
        let shape = reduced(&input.shape, &[axis], node.flag("keepdims", true)?);
        let moved = self.ordered(node, &input, &last(input.shape.len(), &[axis]))?;
        let rows = rows_of(&input, input.shape.get(axis).copied().unwrap_or(1));
        let mut result = self.push(node, FloatOp::ArgMax(rows), vec![moved.id], shape)?;
        result.kind = Kind::Index;
        one(Value::Activation(result))
    }

    pub(super) fn layer_normalization(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let axis = node.axis(node.int("axis", -1)?, input.shape.len())?;
        let columns = length(input.shape.get(axis..).unwrap_or(&[]));
        let epsilon = node.float("epsilon", 1e-5)?;
        let mut result = self.normalise(node, &input, columns, epsilon)?;
        let shape = result.shape.clone();
        for index in [1, 2] {
            if !node.has(index) {
                continue;
            }
            let values = self.floats(node, index)?;
            result = match index {
                1 => self.affine(node, result, Some(&values), None)?,
                _ => self.affine(node, result, None, Some(&values))?,
            };
            if result.shape != shape {
                return Err(node.mismatched(&shape, values.shape()));
            }
        }
        activation(result)
    }

    fn normalise(
        &mut self,
        node: &Node,
        input: &Activation,
        columns: usize,
        epsilon: f64,
    ) -> Result<Activation, ModelError> {
        if epsilon < 0.0 {
            return Err(node.misused(format!("epsilon {epsilon}"), "use a positive epsilon"));
        }
        let rows = rows_of(input, columns);
        let op = FloatOp::Normalise { rows, epsilon };
        self.push(node, op, vec![input.id], input.shape.clone())
    }

    pub(super) fn instance_normalization(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let channels = input.shape.get(1).copied().unwrap_or(1);
        self.grouped(node, &input, channels)
    }

    pub(super) fn group_normalization(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let channels = input.shape.get(1).copied().unwrap_or(1);
        let groups = node.sizes("num_groups", &[node.int("num_groups", 0)?])?;
        let groups = groups
            .first()
            .copied()
            .filter(|groups| channels % groups == 0);
        let groups = groups.ok_or_else(|| node.mismatched(&input.shape, &[channels]))?;
        if node.opset < 21 {
            // Scale and offset belong to groups there, which exporters do not agree on.
            return Err(node.misused("operator set 18".into(), "export with opset_version 21"));
        }
        self.grouped(node, &input, groups)
    }

    /// Normalises groups of channels, then scales and shifts every channel.
    fn grouped(
        &mut self,
        node: &Node,
        input: &Activation,
        groups: usize,
    ) -> Result<Outputs, ModelError> {
        let &[batch, channels, ref image @ ..] = input.shape.as_slice() else {
            return Err(node.mismatched(&input.shape, &[1, 1]));
        };
        let columns = channels / groups.max(1) * length(image);
        let mut result = self.normalise(node, input, columns, node.float("epsilon", 1e-5)?)?;
        let mut vectors = [const { Vec::new() }; 2];
        for (vector, index) in vectors.iter_mut().zip(1..) {
            let values = self.floats(node, index)?;
            if values.shape() != [channels] {
                return Err(node.mismatched(&input.shape, values.shape()));
            }
            *vector = values.iter().copied().collect();
        }
        let [scale, offset] = &vectors;
        result = self.push_diagonal(node, &result, [batch, length(image)], (scale, offset))?;
        activation(result)
    }

    /// The end of a normalisation that is written as several nodes.
    pub(super) fn normalised(
        &mut self,
        node: &Node,
        pattern: &Pattern,
    ) -> Result<Outputs, ModelError> {
        let value = self.values.get(&pattern.input).cloned();
        let Some(Value::Activation(input)) = value else {
            return Err(ModelError::MissingTensor {
                node: node.name.clone(),
                tensor: pattern.input.clone(),
            });
        };
        let columns = input.shape.last().copied().unwrap_or(1);
        activation(self.normalise(node, &input, columns, pattern.epsilon)?)
    }

    /// The dimensions of a value as a constant; also of an activation, whose shape is static.
    pub(super) fn shape(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let shape = self.shape_of(node, &value)?;
        let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
        let bound = |key: &str, default: i64| -> Result<usize, ModelError> {
            let at = node.int(key, default)?;
            let at = if at < 0 { at.saturating_add(rank) } else { at };
            Ok(usize::try_from(at.clamp(0, rank)).unwrap_or(0))
        };
        let taken = shape
            .get(bound("start", 0)?..bound("end", rank)?)
            .unwrap_or(&[]);
        let sizes: Vec<i64> = taken
            .iter()
            .map(|&s| i64::try_from(s).unwrap_or(i64::MAX))
            .collect();
        one(int64(node, vec![sizes.len()], sizes)?)
    }

    pub(super) fn size(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let value = self.operand(node, 0)?;
        let size = length(&self.shape_of(node, &value)?);
        one(int64(
            node,
            vec![],
            vec![i64::try_from(size).unwrap_or(i64::MAX)],
        )?)
    }
}

fn int64(node: &Node, shape: Vec<usize>, values: Vec<i64>) -> Result<Value, ModelError> {
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values);
    let array = array.map_err(|_| node.mismatched(&shape, &[]))?;
    Ok(Value::constant(super::Constant::int64(array)))
}

fn rows_of(input: &Activation, columns: usize) -> Rows {
    Rows {
        rows: length(&input.shape) / columns.max(1),
        columns,
    }
}

/// The order of axes that puts `axes` last.
fn last(rank: usize, axes: &[usize]) -> Vec<usize> {
    let (moved, kept): (Vec<usize>, Vec<usize>) = (0..rank).partition(|axis| axes.contains(axis));
    [kept, moved].concat()
}

/// `shape` with `axes` of size 1, or without them.
fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let size = |(axis, &size): (usize, &usize)| match axes.contains(&axis) {
        true => keep.then_some(1),
        false => Some(size),
    };
    shape.iter().enumerate().filter_map(size).collect()
}
