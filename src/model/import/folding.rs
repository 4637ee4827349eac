//! Evaluation of nodes whose operands are all constant, mostly computations of shapes.
//!
//! Data movements of constants are evaluated where they are read; here are the operators that
//! compute.

use super::constant::Constant;
use super::movement::broadcast;
use super::node::Node;
use super::{Importer, Outputs, Value, one};
use crate::model::error::ModelError;
use ndarray::{ArrayD, IxDyn, Zip};
use tract_onnx::pb::tensor_proto::DataType;

impl Importer {
    /// The value of a node, if its operator computes and its operands are constant.
    pub(super) fn fold(&mut self, node: &Node) -> Result<Option<Outputs>, ModelError> {
        match node.operator() {
            "Constant" => return one(Value::constant(Constant::of_node(node)?)).map(Some),
            "ConstantOfShape" => return self.constant_of_shape(node).map(Some),
            _ => {}
        }
        let mut operands = Vec::with_capacity(node.proto.input.len());
        for index in 0..node.proto.input.len() {
            match self.values.get(node.operand(index)) {
                Some(Value::Constant(constant)) => operands.push(constant.clone()),
                _ => return Ok(None),
            }
        }
        let operands: Vec<&Constant> = operands.iter().map(AsRef::as_ref).collect();
        let folded = match operands.as_slice() {
            [a] => self.fold_one(node, a)?,
            [a, b] => self.fold_two(node, a, b)?,
            [a, b, c] => self.fold_three(node, a, b, c)?,
            _ => None,
        };
        folded
            .map(|constant| one(Value::constant(constant)))
            .transpose()
    }

    fn constant_of_shape(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let sizes = self.integers(node, 0)?;
        let size = |&s: &i64| {
            usize::try_from(s).map_err(|_| {
                node.misused(format!("the dimension {s}"), "export with constant shapes")
            })
        };
        let shape = sizes.iter().map(size).collect::<Result<Vec<_>, _>>()?;
        self.check_size(node, &shape, true)?;
        let value = super::node::attribute(node.proto, "value").and_then(|a| a.t.as_ref());
        let value = value.map(Constant::decode).transpose()?;
        let to = IxDyn(&shape);
        let filled = match &value {
            None => Constant::Float(ArrayD::zeros(to)),
            Some(Constant::Float(v)) => {
                Constant::Float(ArrayD::from_elem(to, v.first().copied().unwrap_or(0.0)))
            }
            Some(Constant::Integer(v, kind)) => {
                Constant::Integer(ArrayD::from_elem(to, v.first().copied().unwrap_or(0)), kind)
            }
            Some(Constant::Flag(v)) => {
                Constant::Flag(ArrayD::from_elem(to, v.first().copied().unwrap_or(false)))
            }
            Some(other) => return Err(node.wrong_type("value", "FLOAT", other)),
        };
        one(Value::constant(filled))
    }

    fn fold_one(&self, node: &Node, a: &Constant) -> Result<Option<Constant>, ModelError> {
        Ok(match (node.operator(), a) {
            ("Cast", _) => Some(cast(node, a)?),
            ("Neg", Constant::Float(v)) => Some(Constant::Float(v.mapv(|v| -v))),
            ("Sqrt", Constant::Float(v)) => Some(Constant::Float(v.mapv(f64::sqrt))),
            ("Reciprocal", Constant::Float(v)) => Some(Constant::Float(v.mapv(f64::recip))),
            ("Exp", Constant::Float(v)) => Some(Constant::Float(v.mapv(f64::exp))),
            ("Floor", Constant::Float(v)) => Some(Constant::Float(v.mapv(f64::floor))),
            ("Ceil", Constant::Float(v)) => Some(Constant::Float(v.mapv(f64::ceil))),
            ("Not", Constant::Flag(v)) => Some(Constant::Flag(v.mapv(|v| !v))),
            _ => None,
        })
    }

    fn fold_two(
        &self,
        node: &Node,
        a: &Constant,
        b: &Constant,
    ) -> Result<Option<Constant>, ModelError> {
        match (a, b) {
            (Constant::Float(a), Constant::Float(b)) => {
                let function: fn(f64, f64) -> f64 = match node.operator() {
                    "Add" => |a, b| a + b,
                    "Sub" => |a, b| a - b,
                    "Mul" => |a, b| a * b,
                    "Div" => |a, b| a / b,
                    "Pow" => f64::powf,
                    "Max" => f64::max,
                    "Min" => f64::min,
                    _ => return Ok(None),
                };
                self.zipped(node, a, b, |a, b| Some(function(a, b)))
                    .map(|v| Some(Constant::Float(v)))
            }
            (Constant::Integer(a, kind), Constant::Integer(b, other)) if kind == other => {
                let function: fn(i64, i64) -> Option<i64> = match node.operator() {
                    "Add" => i64::checked_add,
                    "Sub" => i64::checked_sub,
                    "Mul" => i64::checked_mul,
                    "Div" => i64::checked_div,
                    "Max" => |a, b| Some(a.max(b)),
                    "Min" => |a, b| Some(a.min(b)),
                    "Equal" | "Greater" | "Less" => return self.compare(node, a, b).map(Some),
                    _ => return Ok(None),
                };
                let values = self.zipped(node, a, b, function)?;
                fits(node, &values, kind)?;
                Ok(Some(Constant::Integer(values, kind)))
            }
            _ => Ok(None),
        }
    }

    fn compare(
        &self,
        node: &Node,
        a: &ArrayD<i64>,
        b: &ArrayD<i64>,
    ) -> Result<Constant, ModelError> {
        let function: fn(i64, i64) -> bool = match node.operator() {
            "Equal" => |a, b| a == b,
            "Greater" => |a, b| a > b,
            _ => |a, b| a < b,
        };
        self.zipped(node, a, b, |a, b| Some(function(a, b)))
            .map(Constant::Flag)
    }

    fn fold_three(
        &self,
        node: &Node,
        a: &Constant,
        b: &Constant,
        c: &Constant,
    ) -> Result<Option<Constant>, ModelError> {
        match (node.operator(), a, b, c) {
            (
                "Range",
                Constant::Integer(a, kind),
                Constant::Integer(b, _),
                Constant::Integer(c, _),
            ) => {
                let ends = (a.first(), b.first(), c.first());
                let (Some(&start), Some(&limit), Some(&step)) = ends else {
                    return Ok(None);
                };
                self.range(node, start, limit, step)
                    .map(|v| Some(Constant::Integer(v, kind)))
            }
            ("Where", Constant::Flag(condition), Constant::Float(x), Constant::Float(y)) => self
                .chosen(node, condition, x, y)
                .map(|v| Some(Constant::Float(v))),
            (
                "Where",
                Constant::Flag(condition),
                Constant::Integer(x, kind),
                Constant::Integer(y, _),
            ) => self
                .chosen(node, condition, x, y)
                .map(|v| Some(Constant::Integer(v, kind))),
            _ => Ok(None),
        }
    }

    fn range(
        &self,
        node: &Node,
        start: i64,
        limit: i64,
        step: i64,
    ) -> Result<ArrayD<i64>, ModelError> {
        let (start, limit, step) = (i128::from(start), i128::from(limit), i128::from(step));
        let remedy = "check the model with onnx.checker";
        let distance = if step < 0 {
            start - limit
        } else {
            limit - start
        };
        let count = distance.max(0).checked_add(step.abs() - 1);
        let count = count.and_then(|sum| sum.checked_div(step.abs()));
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or_else(|| node.misused("a step of 0".into(), remedy))?;
        self.check_size(node, &[count], true)?;
        let value = |at: i128| i64::try_from(start + at * step).ok();
        let values: Option<Vec<i64>> = (0i128..).take(count).map(value).collect();
        let values = values.ok_or_else(|| overflow(node))?;
        Ok(ndarray::Array1::from(values).into_dyn())
    }

    /// A function of two constants that broadcast.
    pub(super) fn zipped<A: Copy, B: Copy, T: Clone + Default>(
        &self,
        node: &Node,
        a: &ArrayD<A>,
        b: &ArrayD<B>,
        function: impl Fn(A, B) -> Option<T>,
    ) -> Result<ArrayD<T>, ModelError> {
        let mismatch = || node.mismatched(a.shape(), b.shape());
        let shape = broadcast(a.shape(), b.shape()).ok_or_else(mismatch)?;
        self.check_size(node, &shape, true)?;
        let to = IxDyn(&shape);
        let left = a.broadcast(to.clone()).ok_or_else(mismatch)?;
        let right = b.broadcast(to.clone()).ok_or_else(mismatch)?;
        let mut result = ArrayD::from_elem(to, T::default());
        let mut whole = true;
        Zip::from(&mut result)
            .and(&left)
            .and(&right)
            .for_each(|result, &a, &b| match function(a, b) {
                Some(value) => *result = value,
                None => whole = false,
            });
        if whole {
            Ok(result)
        } else {
            Err(overflow(node))
        }
    }

    fn chosen<T: Copy + Default>(
        &self,
        node: &Node,
        condition: &ArrayD<bool>,
        x: &ArrayD<T>,
        y: &ArrayD<T>,
    ) -> Result<ArrayD<T>, ModelError> {
        let first = self.zipped(node, condition, x, |c, x| Some(c.then_some(x)))?;
        self.zipped(node, &first, y, |x, y| Some(x.unwrap_or(y)))
    }
}

fn overflow(node: &Node) -> ModelError {
    let usage = "integers that overflow, or a division by 0".into();
    node.misused(usage, "check the input shape the model was exported with")
}

/// Checks that results are of their type.
fn fits(node: &Node, values: &ArrayD<i64>, kind: &str) -> Result<(), ModelError> {
    let range = match kind {
        "INT8" => i64::from(i8::MIN)..=i64::from(i8::MAX),
        "UINT8" => 0..=i64::from(u8::MAX),
        "INT32" => i64::from(i32::MIN)..=i64::from(i32::MAX),
        _ => i64::MIN..=i64::MAX,
    };
    if values.iter().all(|value| range.contains(value)) {
        Ok(())
    } else {
        Err(overflow(node))
    }
}

/// A constant in another type, if every value has an equal one there or, from floats to integers,
/// after truncation.
fn cast(node: &Node, constant: &Constant) -> Result<Constant, ModelError> {
    let to = i32::try_from(node.int("to", 0)?)
        .ok()
        .and_then(|to| DataType::try_from(to).ok());
    let to = to.unwrap_or(DataType::Undefined);
    let name = to.as_str_name();
    let integers = |values: ArrayD<i64>| {
        fits(node, &values, name)?;
        Ok(Constant::Integer(values, name))
    };
    let whole = matches!(
        to,
        DataType::Int64 | DataType::Int32 | DataType::Int8 | DataType::Uint8
    );
    match constant {
        Constant::Float(v) if to == DataType::Float => Ok(Constant::Float(v.clone())),
        Constant::Integer(v, _) if to == DataType::Float => {
            Ok(Constant::Float(v.mapv(|v| v as f64)))
        }
        Constant::Flag(v) if to == DataType::Float => {
            Ok(Constant::Float(v.mapv(|v| f64::from(u8::from(v)))))
        }
        Constant::Integer(v, _) if whole => integers(v.clone()),
        Constant::Flag(v) if whole => integers(v.mapv(i64::from)),
        Constant::Float(v) if whole => {
            let inside = |v: &f64| v.is_finite() && v.abs() < 2f64.powi(62);
            if !v.iter().all(inside) {
                return Err(overflow(node));
            }
            // Exact: the truncated value is below 2^62.
            integers(v.mapv(|v| v.trunc() as i64))
        }
        Constant::Integer(v, _) if to == DataType::Bool => Ok(Constant::Flag(v.mapv(|v| v != 0))),
        other => Err(node.wrong_type(node.operand(0), "FLOAT", other)),
    }
}
