//! Tables that the network indexes: Gather of a constant by computed indices, and OneHot.
//!
//! The indices become one-hot vectors ([`FloatOp::OneHot`]), and the table is a dense layer on them.
//! Indices count from the first row: ONNX lets negative ones count from the last, and OneHot gives
//! zeros for those beyond its depth, but here every other index is refused when the network runs.

use super::constant::Constant;
use super::movement::Movement;
use super::node::Node;
use super::{Activation, Importer, Kind, Outputs, Value, activation};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Linear, Rows, length};
use crate::model::integer::{ACTIVATION_BITS, full_range};
use ndarray::{Array1, Array2};

impl Importer {
    /// The rows of the constant `table` at computed indices.
    pub(super) fn looked_up(
        &mut self,
        node: &Node,
        table: &Value,
        axis: usize,
        indices: &Activation,
    ) -> Result<Outputs, ModelError> {
        let Value::Constant(table) = table else {
            let remedy = "index a constant table, or pick values by constant indices";
            return Err(node.misused("computed indices into an activation".into(), remedy));
        };
        let Constant::Float(table) = table.as_ref() else {
            return Err(node.wrong_type(node.operand(0), "FLOAT", table));
        };
        if axis != 0 {
            let usage = format!("computed indices along axis {axis}");
            return Err(node.misused(usage, "transpose the table so that axis 0 is indexed"));
        }
        node.finite(node.operand(0), table.iter())?;
        let (&rows, features) = table.shape().split_first().ok_or_else(|| node.missing(0))?;
        let mut shape = indices.shape.clone();
        shape.extend(features);
        let features = length(features);
        let chosen = self.chosen_rows(node, indices, rows)?;
        let entries: Vec<f64> = table.iter().copied().collect();
        let matrix = Array2::from_shape_vec((rows, features), entries)
            .map_err(|_| node.mismatched(table.shape(), &indices.shape))?;
        let weights = matrix.t().as_standard_layout().into_owned();
        let layer = Linear::dense(length(&indices.shape), weights, Array1::zeros(features));
        let layer = FloatOp::Linear(Box::new(layer));
        activation(self.push(node, layer, vec![chosen.id], shape)?)
    }

    /// ONNX's OneHot with the values 0 and 1.
    pub(super) fn one_hot(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let Value::Activation(indices) = self.operand(node, 0)? else {
            let usage = "constant indices".into();
            return Err(node.misused(usage, "fold constants, for instance with onnxsim"));
        };
        let classes = self.depth(node)?;
        let kind = self.zero_and_one(node)?;
        let rank = indices.shape.len() + 1;
        let axis = node.axis(node.int("axis", -1)?, rank)?;
        let mut vectors = self.chosen_rows(node, &indices, classes)?;
        if axis + 1 != rank {
            // The classes, now innermost, go to their axis.
            let mut order: Vec<usize> = (0..rank - 1).collect();
            order.insert(axis, rank - 1);
            let movement = Movement::transpose(&vectors.shape, &order);
            vectors = self.moved_activation(node, &vectors, movement)?;
        }
        vectors.kind = kind;
        activation(vectors)
    }

    /// The number of classes of OneHot.
    fn depth(&self, node: &Node) -> Result<usize, ModelError> {
        let depth = match self.operand(node, 1)? {
            Value::Constant(constant) if matches!(constant.as_ref(), Constant::Float(_)) => {
                // A conversion of a number that does not fit gives the nearest one that does.
                self.scalar(node, 1)? as i64
            }
            _ => match self.integers(node, 1)?.as_slice() {
                [depth] => *depth,
                several => return Err(node.mismatched(&[1], &[several.len()])),
            },
        };
        let sizes = node.sizes("a depth of", &[depth])?;
        sizes.first().copied().ok_or_else(|| node.missing(1))
    }

    /// Checks that OneHot's values are 0 and 1; what kind they are.
    fn zero_and_one(&self, node: &Node) -> Result<Kind, ModelError> {
        const REMEDY: &str = "use the values 0 and 1, and scale the result";
        let other = || node.misused("other values than 0 and 1".into(), REMEDY);
        let Value::Constant(values) = self.operand(node, 2)? else {
            return Err(node.misused("computed values".into(), REMEDY));
        };
        match values.as_ref() {
            Constant::Float(v) if v.iter().eq(&[0.0, 1.0]) => Ok(Kind::Float),
            Constant::Integer(v, _) if v.iter().eq(&[0, 1]) => Ok(Kind::Index),
            Constant::Float(_) | Constant::Integer(..) => Err(other()),
            constant => Err(node.wrong_type(node.operand(2), "FLOAT", constant)),
        }
    }

    /// One-hot vectors of indices, the classes innermost.
    fn chosen_rows(
        &mut self,
        node: &Node,
        indices: &Activation,
        classes: usize,
    ) -> Result<Activation, ModelError> {
        if indices.kind != Kind::Index {
            let remedy = "take the indices from an int64 or int32 graph input or from ArgMax, \
                          with Cast, Reshape, Slice, Concat and the like in between";
            return Err(node.misused("indices that are computed in floats".into(), remedy));
        }
        let (_, most) = full_range(*ACTIVATION_BITS.end());
        if usize::try_from(most).is_ok_and(|most| classes > most + 1) {
            let usage = format!("a table of {classes} rows");
            let remedy = "indices are integers of at most 16 bits with sign: use at most 32768 \
                          rows, for instance those that occur";
            return Err(node.misused(usage, remedy));
        }
        let rows = Rows {
            rows: length(&indices.shape),
            columns: classes,
        };
        let mut shape = indices.shape.clone();
        shape.push(classes);
        self.push(node, FloatOp::OneHot(rows), vec![indices.id], shape)
    }
}
