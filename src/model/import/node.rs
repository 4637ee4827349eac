//! A node of an ONNX graph: its attributes, and the errors that name it.

use super::constant::Constant;
use crate::model::error::ModelError;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A node under the operator set of its model.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// Its name, or failing that its output or its position.
    pub(super) name: String,
    /// Version of the default operator set.
    pub(super) opset: i64,
}

impl<'a> Node<'a> {
    pub(super) fn new(proto: &'a NodeProto, position: usize, opset: i64) -> Self {
        let output = proto.output.iter().find(|output| !output.is_empty());
        let name = match (proto.name.is_empty(), output) {
            (false, _) => proto.name.clone(),
            (true, Some(output)) => output.clone(),
            (true, None) => format!("node {position}"),
        };
        Node { proto, name, opset }
    }

    pub(super) fn operator(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Whether operand `index` is given.
    pub(super) fn has(&self, index: usize) -> bool {
        self.proto
            .input
            .get(index)
            .is_some_and(|name| !name.is_empty())
    }

    /// Name of operand `index`.
    pub(super) fn operand(&self, index: usize) -> &'a str {
        self.proto.input.get(index).map_or("", String::as_str)
    }

    /// The attribute `key`, checked to be of a type.
    fn attribute(
        &self,
        key: &str,
        expected: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, ModelError> {
        let Some(found) = attribute(self.proto, key) else {
            return Ok(None);
        };
        // Files of the first version do not store the type.
        let known = [expected as i32, AttributeType::Undefined as i32];
        if known.contains(&found.r#type) {
            Ok(Some(found))
        } else {
            let usage = format!("an attribute `{key}` of another type");
            Err(self.misused(usage, "check the model with onnx.checker"))
        }
    }

    pub(super) fn int(&self, key: &str, default: i64) -> Result<i64, ModelError> {
        let found = self.attribute(key, AttributeType::Int)?;
        Ok(found.map_or(default, |a| a.i))
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        Ok(self.int(key, i64::from(default))? != 0)
    }

    pub(super) fn float(&self, key: &str, default: f32) -> Result<f64, ModelError> {
        let found = self.attribute(key, AttributeType::Float)?;
        let value = found.map_or(default, |a| a.f);
        if value.is_finite() {
            return Ok(value.into());
        }
        Err(ModelError::NotFinite {
            node: self.name.clone(),
            tensor: key.into(),
            index: 0,
            value: value.into(),
        })
    }

    pub(super) fn ints(&self, key: &str) -> Result<Option<&'a [i64]>, ModelError> {
        let found = self.attribute(key, AttributeType::Ints)?;
        Ok(found.map(|a| a.ints.as_slice()))
    }

    pub(super) fn text(&self, key: &str, default: &'static str) -> Result<String, ModelError> {
        let found = self.attribute(key, AttributeType::String)?;
        Ok(found.map_or_else(
            || default.into(),
            |a| String::from_utf8_lossy(&a.s).into_owned(),
        ))
    }

    /// `axis`, which counts from the end when negative, of a tensor of `rank` axes.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, ModelError> {
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let from_start = if axis < 0 {
            axis.saturating_add(signed)
        } else {
            axis
        };
        usize::try_from(from_start)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| {
                let usage = format!("axis {axis} of a tensor with {rank} axes");
                self.misused(usage, "check the input shape the model was exported with")
            })
    }

    /// Sizes that are positive.
    pub(super) fn sizes(&self, what: &str, values: &[i64]) -> Result<Vec<usize>, ModelError> {
        let size = |&value: &i64| {
            usize::try_from(value)
                .ok()
                .filter(|&v| v > 0)
                .ok_or_else(|| {
                    self.misused(
                        format!("{what} {value}"),
                        "check the model with onnx.checker",
                    )
                })
        };
        values.iter().map(size).collect()
    }

    pub(super) fn misused(&self, usage: String, remedy: &'static str) -> ModelError {
        ModelError::UnsupportedUse {
            node: self.name.clone(),
            operator: self.proto.op_type.clone(),
            usage,
            remedy,
        }
    }

    pub(super) fn mismatched(&self, left: &[usize], right: &[usize]) -> ModelError {
        ModelError::OperandShapes {
            node: self.name.clone(),
            left: left.to_vec(),
            right: right.to_vec(),
        }
    }

    pub(super) fn wrong_type(
        &self,
        tensor: &str,
        expected: &'static str,
        got: &Constant,
    ) -> ModelError {
        ModelError::WeightType {
            node: self.name.clone(),
            tensor: tensor.into(),
            expected,
            got: got.type_name().into(),
        }
    }

    pub(super) fn missing(&self, index: usize) -> ModelError {
        let tensor = self.operand(index);
        ModelError::MissingTensor {
            node: self.name.clone(),
            tensor: if tensor.is_empty() {
                format!("operand {index}")
            } else {
                tensor.into()
            },
        }
    }
}

/// The attribute `key` of a node.
pub(super) fn attribute<'a>(node: &'a NodeProto, key: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == key)
}
