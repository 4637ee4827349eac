//! Functions of every value by itself.

use super::node::Node;
use super::{Activation, Importer, Kind, Outputs, Value, activation, one};
use crate::model::error::ModelError;
use crate::model::graph::{Elementary, FloatOp, Interval, length};
use tract_onnx::pb::tensor_proto::DataType;

impl Importer {
    /// Operators that are one function.
    pub(super) fn function(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        activation(self.mapped(node, &input, elementary(node)?)?)
    }

    /// A function of every value.
    pub(super) fn mapped(
        &mut self,
        node: &Node,
        input: &Activation,
        function: Elementary,
    ) -> Result<Activation, ModelError> {
        let op = FloatOp::Function(function.into());
        self.push(node, op, vec![input.id], input.shape.clone())
    }

    pub(super) fn relu(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        activation(self.clipped(node, &input, Interval::POSITIVE)?)
    }

    fn clipped(
        &mut self,
        node: &Node,
        input: &Activation,
        interval: Interval,
    ) -> Result<Activation, ModelError> {
        self.push(
            node,
            FloatOp::Clip(interval),
            vec![input.id],
            input.shape.clone(),
        )
    }

    /// Bounds are attributes before operator set 11, and operands from there on.
    pub(super) fn clip(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let mut interval = Interval {
            low: node.float("min", f32::MIN)?,
            high: node.float("max", f32::MAX)?,
        };
        for (index, bound) in [(1, &mut interval.low), (2, &mut interval.high)] {
            if node.has(index) {
                *bound = self.bound(node, index)?;
            }
        }
        if interval.low <= f64::from(f32::MIN) {
            interval.low = f64::NEG_INFINITY;
        }
        if interval.high >= f64::from(f32::MAX) {
            interval.high = f64::INFINITY;
        }
        activation(self.clipped(node, &input, interval)?)
    }

    /// A constant that may be infinite.
    fn bound(&self, node: &Node, index: usize) -> Result<f64, ModelError> {
        if let Value::Constant(constant) = self.operand(node, index)?
            && let super::Constant::Float(values) = constant.as_ref()
            && let (1, Some(value)) = (values.len(), values.first())
            && value.is_infinite()
        {
            return Ok(*value);
        }
        self.scalar(node, index)
    }

    /// `x` where it is positive, `slope x` elsewhere, with a slope for each channel.
    pub(super) fn parametric_relu(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        let slopes = self.floats(node, 1)?;
        if let (1, Some(&slope)) = (slopes.len(), slopes.first()) {
            return activation(self.mapped(node, &input, Elementary::LeakyRelu { slope })?);
        }
        let above = self.clipped(node, &input, Interval::POSITIVE)?;
        let below = self.clipped(node, &input, Interval::NEGATIVE)?;
        let below = self.affine(node, below, Some(&slopes), None)?;
        if length(&below.shape) != length(&input.shape) {
            return Err(node.mismatched(&input.shape, slopes.shape()));
        }
        self.combine(node, vec![above, below], vec![1.0, 1.0])
    }

    /// Casts between float types, and of indices to floats.
    pub(super) fn cast(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let Value::Activation(input) = self.operand(node, 0)? else {
            return Err(node.missing(0));
        };
        let to = i32::try_from(node.int("to", 0)?)
            .ok()
            .and_then(|to| DataType::try_from(to).ok());
        let kind = match to {
            Some(DataType::Float) if matches!(input.kind, Kind::Float | Kind::Index) => Kind::Float,
            Some(DataType::Int64 | DataType::Int32) if input.kind == Kind::Index => Kind::Index,
            _ => {
                let usage = format!("to = {}", to.map_or("?", |to| to.as_str_name()));
                return Err(node.misused(usage, "compute in float32; a proof fixes its own widths"));
            }
        };
        one(Value::Activation(Activation { kind, ..input }))
    }
}

/// The function of a node.
fn elementary(node: &Node) -> Result<Elementary, ModelError> {
    let plain = |alpha: f64| Elementary::Elu {
        alpha,
        beta: 1.0,
        gamma: 1.0,
    };
    Ok(match node.operator() {
        "Abs" => Elementary::Abs,
        "Celu" => {
            let alpha = node.float("alpha", 1.0)?;
            Elementary::Elu {
                alpha,
                beta: alpha,
                gamma: 1.0,
            }
        }
        "Elu" => plain(node.float("alpha", 1.0)?),
        "Erf" => Elementary::Erf,
        "Exp" => Elementary::Exp,
        "Gelu" => match node.text("approximate", "none")?.as_str() {
            "none" => Elementary::Gelu,
            "tanh" => Elementary::GeluTanh,
            other => {
                let usage = format!("approximate = {other}");
                return Err(node.misused(usage, "use none or tanh"));
            }
        },
        "HardSigmoid" => Elementary::HardSigmoid {
            alpha: node.float("alpha", 0.2)?,
            beta: node.float("beta", 0.5)?,
        },
        "HardSwish" => Elementary::HardSwish,
        "LeakyRelu" => Elementary::LeakyRelu {
            slope: node.float("alpha", 0.01)?,
        },
        "Mish" => Elementary::Mish,
        "Selu" => Elementary::Elu {
            alpha: node.float("alpha", 1.673_263_2)?,
            beta: 1.0,
            gamma: node.float("gamma", 1.050_701)?,
        },
        "Sigmoid" => Elementary::Sigmoid,
        "Softplus" => Elementary::Softplus,
        "Softsign" => Elementary::Softsign,
        "Swish" => Elementary::Swish {
            alpha: node.float("alpha", 1.0)?,
        },
        "Tanh" => Elementary::Tanh,
        _ => return Err(super::unsupported(node)),
    })
}
