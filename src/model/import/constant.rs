//! Constants of an ONNX model, decoded with every length checked.

use super::node::{Node, attribute};
use crate::model::error::ModelError;
use ndarray::{Array1, ArrayD, IxDyn};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

/// A constant of the graph.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    /// float32 values, or what float64 gives for dequantised ones.
    Float(ArrayD<f64>),
    /// Integers of the named type.
    Integer(ArrayD<i64>, &'static str),
    /// Booleans.
    Flag(ArrayD<bool>),
    /// Any other type, which may exist but not be used.
    Other(&'static str),
}

impl Constant {
    /// int64 values.
    pub(super) fn int64(values: ArrayD<i64>) -> Self {
        Constant::Integer(values, "INT64")
    }

    /// The type, as error messages name it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Constant::Float(_) => "FLOAT",
            Constant::Integer(_, name) | Constant::Other(name) => name,
            Constant::Flag(_) => "BOOL",
        }
    }

    /// The shape, if the type is read.
    pub(super) fn shape(&self) -> Option<&[usize]> {
        match self {
            Constant::Float(values) => Some(values.shape()),
            Constant::Integer(values, _) => Some(values.shape()),
            Constant::Flag(values) => Some(values.shape()),
            Constant::Other(_) => None,
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
        let Ok(kind) = DataType::try_from(tensor.data_type) else {
            return Ok(Constant::Other("of an unknown type"));
        };
        let name = kind.as_str_name();
        let small = |convert: fn([u8; 1]) -> i64| {
            let typed: Vec<i64> = tensor.int32_data.iter().map(|&v| v.into()).collect();
            little_endian(tensor, typed, convert)
        };
        let integers = match kind {
            DataType::Float => {
                let typed = tensor.float_data.clone();
                let values = little_endian(tensor, typed, f32::from_le_bytes)?;
                let values = values.into_iter().map(f64::from).collect();
                return Ok(Constant::Float(shaped(tensor, values)?));
            }
            DataType::Bool => {
                let values = small(|[byte]| byte.into())?;
                let flags = values.into_iter().map(|v| v != 0).collect();
                return Ok(Constant::Flag(shaped(tensor, flags)?));
            }
            DataType::Int64 => {
                little_endian(tensor, tensor.int64_data.clone(), i64::from_le_bytes)?
            }
            DataType::Int32 => {
                let typed = tensor.int32_data.iter().map(|&v| v.into()).collect();
                little_endian(tensor, typed, |bytes| i32::from_le_bytes(bytes).into())?
            }
            DataType::Int16 => {
                let typed = tensor.int32_data.iter().map(|&v| v.into()).collect();
                little_endian(tensor, typed, |bytes| i16::from_le_bytes(bytes).into())?
            }
            DataType::Uint16 => {
                let typed = tensor.int32_data.iter().map(|&v| v.into()).collect();
                little_endian(tensor, typed, |bytes| u16::from_le_bytes(bytes).into())?
            }
            DataType::Int8 => small(|bytes| i8::from_le_bytes(bytes).into())?,
            DataType::Uint8 => small(|[byte]| byte.into())?,
            _ => return Ok(Constant::Other(name)),
        };
        Ok(Constant::Integer(shaped(tensor, integers)?, name))
    }

    /// The value of a Constant node.
    ///
    /// # Errors
    /// Those of [`Constant::decode`], and attributes other than tensors and numbers.
    pub(super) fn of_node(node: &Node) -> Result<Self, ModelError> {
        if let Some(tensor) = attribute(node.proto, "value").and_then(|a| a.t.as_ref()) {
            return Constant::decode(tensor);
        }
        let found = |key: &str| attribute(node.proto, key);
        if let Some(value) = found("value_float") {
            return Ok(Constant::Float(ArrayD::from_elem(
                IxDyn(&[]),
                value.f.into(),
            )));
        }
        if let Some(values) = found("value_floats") {
            return Ok(Constant::Float(
                Array1::from_iter(values.floats.iter().map(|&v| f64::from(v))).into_dyn(),
            ));
        }
        if let Some(value) = found("value_int") {
            return Ok(Constant::int64(ArrayD::from_elem(IxDyn(&[]), value.i)));
        }
        if let Some(values) = found("value_ints") {
            return Ok(Constant::int64(
                Array1::from(values.ints.clone()).into_dyn(),
            ));
        }
        Err(node.misused(
            "a value that is no tensor or number".into(),
            "store the constant as an initialiser",
        ))
    }
}

/// The values of a tensor: `raw_data` if there is any, else those of the typed field.
fn little_endian<T, const N: usize>(
    tensor: &TensorProto,
    typed: Vec<T>,
    convert: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, ModelError> {
    if tensor.raw_data.is_empty() {
        return Ok(typed);
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
