//! Constants of an ONNX model, decoded with every length checked.

use super::error::ModelError;
use ndarray::{ArrayD, IxDyn};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// A constant of the graph.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    /// float32 values.
    Float(ArrayD<f32>),
    /// int64 values, for shapes.
    Integer(Vec<i64>),
    /// One boolean, for flags.
    Flag(bool),
    /// Any other type, which may exist but not be used.
    Other(&'static str),
}

impl Constant {
    /// The type, as error messages name it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Constant::Float(_) => "float32",
            Constant::Integer(_) => "int64",
            Constant::Flag(_) => "bool",
            Constant::Other(name) => name,
        }
    }

    /// Decodes a tensor.
    ///
    /// # Errors
    /// External data, and data whose length disagrees with the dimensions.
    pub(super) fn decode(tensor: &TensorProto) -> Result<Self, ModelError> {
        if tensor.data_location == Some(DataLocation::External as i32) {
            return Err(ModelError::ExternalData {
                tensor: tensor.name.clone(),
            });
        }
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) => {
                let values = little_endian(tensor, &tensor.float_data, f32::from_le_bytes)?;
                Ok(Constant::Float(shaped(tensor, values)?))
            }
            Ok(DataType::Int64) => {
                let values = little_endian(tensor, &tensor.int64_data, i64::from_le_bytes)?;
                Ok(Constant::Integer(
                    shaped(tensor, values)?.into_iter().collect(),
                ))
            }
            Ok(DataType::Bool) => {
                let stored: Vec<u8> = tensor
                    .int32_data
                    .iter()
                    .map(|&v| u8::from(v != 0))
                    .collect();
                let values = little_endian(tensor, &stored, |[byte]: [u8; 1]| byte)?;
                let values = shaped(tensor, values)?;
                let flag = values.first().filter(|_| values.len() == 1);
                Ok(flag.map_or(Constant::Other("bool tensor"), |&v| Constant::Flag(v != 0)))
            }
            Ok(kind) => Ok(Constant::Other(kind.as_str_name())),
            Err(_) => Ok(Constant::Other("of an unknown type")),
        }
    }

    /// The value of a Constant node.
    ///
    /// # Errors
    /// Those of [`Constant::decode`], and attributes other than tensors and numbers.
    pub(super) fn of_node(node: &NodeProto, name: &str) -> Result<Self, ModelError> {
        let found = |key: &str| attribute(node, key);
        if let Some(tensor) = found("value").and_then(|a| a.t.as_ref()) {
            return Constant::decode(tensor);
        }
        if let Some(value) = found("value_float") {
            return Ok(Constant::Float(ArrayD::from_elem(IxDyn(&[]), value.f)));
        }
        if let Some(values) = found("value_floats") {
            return Ok(Constant::Float(
                ndarray::Array1::from(values.floats.clone()).into_dyn(),
            ));
        }
        if let Some(value) = found("value_int") {
            return Ok(Constant::Integer(vec![value.i]));
        }
        if let Some(values) = found("value_ints") {
            return Ok(Constant::Integer(values.ints.clone()));
        }
        Err(ModelError::UnsupportedUse {
            node: name.into(),
            operator: node.op_type.clone(),
            usage: "a value that is no tensor or number".into(),
            remedy: "store the constant as an initialiser",
        })
    }
}

/// The attribute `key` of a node.
pub(super) fn attribute<'a>(node: &'a NodeProto, key: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == key)
}

/// The values of a tensor: `raw_data` if there is any, else those of the typed field.
fn little_endian<T: Copy, const N: usize>(
    tensor: &TensorProto,
    typed: &[T],
    convert: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, ModelError> {
    if tensor.raw_data.is_empty() {
        return Ok(typed.to_vec());
    }
    let (chunks, rest) = tensor.raw_data.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(wrong_length(tensor, chunks.len()));
    }
    Ok(chunks.iter().map(|&chunk| convert(chunk)).collect())
}

/// `values` in the dimensions of `tensor`.
fn shaped<T>(tensor: &TensorProto, values: Vec<T>) -> Result<ArrayD<T>, ModelError> {
    let got = values.len();
    let dimensions: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|&d| usize::try_from(d).ok())
        .collect();
    dimensions
        .and_then(|d| ArrayD::from_shape_vec(IxDyn(&d), values).ok())
        .ok_or_else(|| wrong_length(tensor, got))
}

fn wrong_length(tensor: &TensorProto, got: usize) -> ModelError {
    ModelError::TensorData {
        tensor: tensor.name.clone(),
        dimensions: tensor.dims.clone(),
        got,
    }
}
