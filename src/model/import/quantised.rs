//! Models that are quantised already: QuantizeLinear, DequantizeLinear, QLinearConv, QLinearMatMul.
//!
//! A quantised tensor holds integers `q` for the floats `scale (q - zero)`. Here it holds those
//! floats, rounded to multiples of the scale and clamped to what the integer type can hold: the
//! integer network then takes the scale over, and `q - zero` are its integers. So `zero = 0` and int8
//! need 8 bits, every other pair 9. Weights are dequantised in float64, where nothing is rounded.

use super::constant::Constant;
use super::node::Node;
use super::{Activation, Importer, Kind, Outputs, Value, activation, one};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Grid, Interval};
use ndarray::{Array1, ArrayD, IxDyn};
use std::ops::RangeInclusive;

/// Scale, zero point and type of a quantised tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scheme {
    pub(super) scale: f64,
    pub(super) zero: i64,
    /// What the type can hold.
    low: i64,
    high: i64,
}

/// The integers of a type.
fn range_of(kind: &str) -> Option<RangeInclusive<i64>> {
    match kind {
        "INT8" => Some(-128..=127),
        "UINT8" => Some(0..=255),
        "INT16" => Some(-32768..=32767),
        "UINT16" => Some(0..=65535),
        _ => None,
    }
}

impl Scheme {
    /// The same scale and zero point with the type of another scheme.
    pub(super) fn of_type(self, other: Scheme) -> Self {
        Scheme {
            low: other.low,
            high: other.high,
            ..self
        }
    }

    /// The floats that a tensor of the scheme can hold.
    pub(super) fn grid(&self) -> Grid {
        // Exact: the integers have at most 17 bits.
        let bound = |q: i64| (q - self.zero) as f64 * self.scale;
        Grid {
            step: self.scale,
            range: Interval {
                low: bound(self.low),
                high: bound(self.high),
            },
        }
    }
}

impl Importer {
    /// The scheme of an activation from its scale and zero point operands.
    pub(super) fn scheme(
        &self,
        node: &Node,
        scale: usize,
        zero: usize,
    ) -> Result<Scheme, ModelError> {
        const REMEDY: &str = "quantise activations per tensor, with int8 or uint8";
        let scales = self.floats(node, scale)?;
        let (1, Some(&value)) = (scales.len(), scales.first()) else {
            let usage = "a scale for each channel of an activation".into();
            return Err(node.misused(usage, REMEDY));
        };
        if value <= 0.0 || !value.is_normal() {
            return Err(node.misused(format!("the scale {value}"), REMEDY));
        }
        let (zero_point, name) = match node.has(zero) {
            true => {
                let (values, name) = self.typed_integers(node, zero)?;
                (values.first().copied().unwrap_or(0), name)
            }
            false => (0, "UINT8"),
        };
        let range = range_of(name).ok_or_else(|| node.misused(format!("type {name}"), REMEDY))?;
        Ok(Scheme {
            scale: value,
            zero: zero_point,
            low: *range.start(),
            high: *range.end(),
        })
    }

    /// A constant of integers and its type.
    pub(super) fn typed_integers(
        &self,
        node: &Node,
        index: usize,
    ) -> Result<(ArrayD<i64>, &'static str), ModelError> {
        match self.operand(node, index)? {
            Value::Constant(constant) => match constant.as_ref() {
                Constant::Integer(values, name) => Ok((values.clone(), name)),
                other => Err(node.wrong_type(node.operand(index), "INT8", other)),
            },
            Value::Activation(_) => {
                let usage = format!("the activation `{}`", node.operand(index));
                Err(node.misused(usage, "quantise with constants"))
            }
        }
    }

    /// Rounds a float activation as a scheme says.
    pub(super) fn rounded(
        &mut self,
        node: &Node,
        input: &Activation,
        scheme: Scheme,
    ) -> Result<Activation, ModelError> {
        let op = FloatOp::Combine {
            coefficients: vec![1.0],
        };
        let mut result = self.push(node, op, vec![input.id], input.shape.clone())?;
        let grid = scheme.grid();
        if let Some(added) = self.nodes.last_mut() {
            (added.clip, added.step) = (grid.range, Some(grid.step));
        }
        result.kind = Kind::Quantised(scheme);
        Ok(result)
    }

    pub(super) fn quantize_linear(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        self.plain_blocks(node)?;
        if node.int("output_dtype", 0)? != 0 && !node.has(2) {
            let usage = "output_dtype without a zero point".into();
            return Err(node.misused(usage, "give the zero point, which has the type"));
        }
        let scheme = self.scheme(node, 1, 2)?;
        activation(self.rounded(node, &input, scheme)?)
    }

    fn plain_blocks(&self, node: &Node) -> Result<(), ModelError> {
        if node.int("block_size", 0)? == 0 {
            return Ok(());
        }
        Err(node.misused("block_size".into(), "quantise per tensor or per channel"))
    }

    /// The floats of a quantised activation, or of constant weights.
    pub(super) fn dequantize_linear(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.plain_blocks(node)?;
        if let Value::Constant(_) = self.operand(node, 0)? {
            let axis = node.int("axis", 1)?;
            let values = self.dequantised(node, [0, 1, 2], axis)?;
            return one(Value::constant(Constant::Float(values)));
        }
        activation(self.real(node, 0, [1, 2])?)
    }

    /// The floats of the quantised activation `index`, whose scheme must be the given one.
    pub(super) fn real(
        &mut self,
        node: &Node,
        index: usize,
        [scale, zero]: [usize; 2],
    ) -> Result<Activation, ModelError> {
        let Value::Activation(input) = self.operand(node, index)? else {
            return Err(node.misused("constant operands only".into(), "fold constants"));
        };
        let scheme = self.scheme(node, scale, zero)?;
        let same = |other: Scheme| (other.scale, other.zero) == (scheme.scale, scheme.zero);
        if !matches!(input.kind, Kind::Quantised(other) if same(other)) {
            let usage = "another scale or zero point than its operand was quantised with".into();
            return Err(node.misused(usage, "use the scale and zero point of the tensor"));
        }
        Ok(Activation {
            kind: Kind::Float,
            ..input
        })
    }

    /// `scale (q - zero)` of constants, with a scale for each position along `axis` if there are
    /// several.
    pub(super) fn dequantised(
        &self,
        node: &Node,
        [values, scale, zero]: [usize; 3],
        axis: i64,
    ) -> Result<ArrayD<f64>, ModelError> {
        let (integers, _) = self.typed_integers(node, values)?;
        let scales = self.floats(node, scale)?;
        let along = |count: usize, shape: &[usize]| -> Result<Vec<usize>, ModelError> {
            let mut to = vec![1; integers.ndim()];
            if count != 1 {
                let axis = node.axis(axis, integers.ndim())?;
                match to.get_mut(axis) {
                    Some(size)
                        if integers.shape().get(axis) == Some(&count) && shape.len() == 1 =>
                    {
                        *size = count;
                    }
                    _ => return Err(node.mismatched(integers.shape(), shape)),
                }
            }
            Ok(to)
        };
        let spread = |given: &ArrayD<f64>| -> Result<ArrayD<f64>, ModelError> {
            let to = along(given.len(), given.shape())?;
            let given = given.to_shape(IxDyn(&to)).map(|given| given.into_owned());
            given.map_err(|_| node.mismatched(integers.shape(), &to))
        };
        let scales = spread(&scales)?;
        // Exact: the integers have at most 32 bits.
        let mut result = integers.mapv(|q| q as f64);
        if node.has(zero) {
            let (zeros, _) = self.typed_integers(node, zero)?;
            result -= &spread(&zeros.mapv(|q| q as f64))?;
        }
        result *= &scales;
        Ok(result)
    }

    /// `y = requantise(conv(x, w) + b)`, every operand with its scale and zero point.
    pub(super) fn quantised_conv(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.real(node, 0, [1, 2])?;
        let scheme = self.scheme(node, 6, 7)?;
        let weights = self.dequantised(node, [3, 4, 5], 0)?;
        let outputs = weights.shape().first().copied().unwrap_or(0);
        let mut bias = Array1::zeros(outputs);
        if node.has(8) {
            let (integers, _) = self.typed_integers(node, 8)?;
            let input_scale = self.scheme(node, 1, 2)?.scale;
            let scales = self.floats(node, 4)?;
            let scales = scales.broadcast(IxDyn(&[outputs]));
            let scales = scales.ok_or_else(|| node.mismatched(&[outputs], integers.shape()))?;
            if integers.shape() != [outputs] {
                return Err(node.mismatched(&[outputs], integers.shape()));
            }
            let pairs = integers.iter().zip(scales);
            bias = pairs.map(|(&q, s)| q as f64 * s * input_scale).collect();
        }
        let result = self.convolution(node, &input, weights, bias)?;
        activation(self.rounded(node, &result, scheme)?)
    }

    /// `y = requantise(a b)` of an activation and constant weights, or two activations.
    pub(super) fn quantised_matmul(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let a = self.real(node, 0, [1, 2])?;
        let scheme = self.scheme(node, 6, 7)?;
        let product = match self.operand(node, 3)? {
            Value::Activation(_) => {
                let b = self.real(node, 3, [4, 5])?;
                self.activation_product(node, a, b)?
            }
            Value::Constant(_) => {
                let weights = self.dequantised(node, [3, 4, 5], -1)?;
                self.right_product(node, &a, weights)?
            }
        };
        activation(self.rounded(node, &product, scheme)?)
    }
}
