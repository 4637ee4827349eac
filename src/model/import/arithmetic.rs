//! Sums, products and extrema of tensors and constants.

use super::movement::broadcast;
use super::node::Node;
use super::{Activation, Constant, Importer, Outputs, Value, activation};
use crate::model::error::ModelError;
use crate::model::graph::{FloatOp, Formula, Interval, Planes, Pool, Step, Window, length};
use ndarray::{ArrayD, IxDyn};

/// The largest exponent of Pow.
const LARGEST_EXPONENT: f64 = 16.0;

impl Importer {
    pub(super) fn add(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.weighted_sum(node, &[1.0, 1.0])
    }

    pub(super) fn sub(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.weighted_sum(node, &[1.0, -1.0])
    }

    pub(super) fn sum(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.weighted_sum(node, &vec![1.0; node.proto.input.len()])
    }

    /// The sum of all operands, each with its coefficient.
    fn weighted_sum(&mut self, node: &Node, coefficients: &[f64]) -> Result<Outputs, ModelError> {
        let (mut terms, mut factors, mut constants) = (Vec::new(), Vec::new(), Vec::new());
        for (index, &coefficient) in coefficients.iter().enumerate() {
            match self.operand(node, index)? {
                Value::Activation(_) => {
                    terms.push(self.activation(node, index)?);
                    factors.push(coefficient);
                }
                Value::Constant(_) => {
                    constants.push(self.floats(node, index)?.mapv(|v| v * coefficient));
                }
            }
        }
        let mut sum = match (terms.len(), terms.pop()) {
            (1, Some(term)) => self.scaled(node, term, factors.first().copied().unwrap_or(1.0))?,
            (_, Some(last)) => {
                terms.push(last);
                self.combined(node, terms, factors)?
            }
            (_, None) => return Err(node.missing(0)),
        };
        for constant in &constants {
            sum = self.affine(node, sum, None, Some(constant))?;
        }
        activation(sum)
    }

    /// The shape that all operands of a node broadcast to.
    fn common_shape(&self, node: &Node, terms: &[Activation]) -> Result<Vec<usize>, ModelError> {
        let mut shape = Vec::new();
        for term in terms {
            let wider = broadcast(&shape, &term.shape);
            shape = wider.ok_or_else(|| node.mismatched(&shape, &term.shape))?;
        }
        Ok(shape)
    }

    fn combined(
        &mut self,
        node: &Node,
        terms: Vec<Activation>,
        coefficients: Vec<f64>,
    ) -> Result<Activation, ModelError> {
        let shape = self.common_shape(node, &terms)?;
        let mut inputs = Vec::with_capacity(terms.len());
        for term in terms {
            inputs.push(self.expanded(node, term, &shape)?.id);
        }
        self.push(node, FloatOp::Combine { coefficients }, inputs, shape)
    }

    pub(super) fn combine(
        &mut self,
        node: &Node,
        terms: Vec<Activation>,
        coefficients: Vec<f64>,
    ) -> Result<Outputs, ModelError> {
        activation(self.combined(node, terms, coefficients)?)
    }

    /// `factor x`.
    pub(super) fn scaled(
        &mut self,
        node: &Node,
        input: Activation,
        factor: f64,
    ) -> Result<Activation, ModelError> {
        if factor == 1.0 {
            return Ok(input);
        }
        let width = length(&input.shape);
        self.push_diagonal(node, &input, [1, width], (&[factor], &[0.0]))
    }

    /// `scale x + offset` with constants that broadcast with `x`. The axes along which a constant
    /// varies, and those between them, are the channels of the layer.
    pub(super) fn affine(
        &mut self,
        node: &Node,
        input: Activation,
        scale: Option<&ArrayD<f64>>,
        offset: Option<&ArrayD<f64>>,
    ) -> Result<Activation, ModelError> {
        let constant = scale.or(offset).ok_or_else(|| node.missing(1))?;
        let shape = broadcast(&input.shape, constant.shape());
        let shape = shape.ok_or_else(|| node.mismatched(&input.shape, constant.shape()))?;
        let input = self.expanded(node, input, &shape)?;
        let missing = shape.len() - constant.ndim();
        let varies =
            |axis: &usize| *axis >= missing && constant.shape().get(axis - missing) > Some(&1);
        let first = (0..shape.len()).find(varies).unwrap_or(shape.len());
        let end = (0..shape.len())
            .rev()
            .find(varies)
            .map_or(first, |last| last + 1);
        let channels = shape.get(first..end).unwrap_or(&[]);
        let values = |constant: Option<&ArrayD<f64>>, absent: f64| -> Option<Vec<f64>> {
            let Some(constant) = constant else {
                return Some(vec![absent; length(channels)]);
            };
            let kept = constant
                .shape()
                .get(first.saturating_sub(missing)..end.saturating_sub(missing))?;
            let inner = constant.to_shape(IxDyn(kept)).ok()?;
            Some(inner.broadcast(IxDyn(channels))?.iter().copied().collect())
        };
        let mismatch = || node.mismatched(&input.shape, constant.shape());
        let scales = values(scale, 1.0).ok_or_else(mismatch)?;
        let offsets = values(offset, 0.0).ok_or_else(mismatch)?;
        let batch = length(shape.get(..first).unwrap_or(&[]));
        let width = length(shape.get(end..).unwrap_or(&[]));
        self.push_diagonal(node, &input, [batch, width], (&scales, &offsets))
    }

    pub(super) fn mul(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Value::Activation(_), Value::Activation(_)) => {
                let (a, b) = (self.activation(node, 0)?, self.activation(node, 1)?);
                activation(self.multiplied(node, a, b)?)
            }
            (Value::Activation(_), Value::Constant(_)) => {
                let scale = self.floats(node, 1)?;
                let input = self.activation(node, 0)?;
                activation(self.affine(node, input, Some(&scale), None)?)
            }
            (Value::Constant(_), _) => {
                let scale = self.floats(node, 0)?;
                let input = self.activation(node, 1)?;
                activation(self.affine(node, input, Some(&scale), None)?)
            }
        }
    }

    fn multiplied(
        &mut self,
        node: &Node,
        a: Activation,
        b: Activation,
    ) -> Result<Activation, ModelError> {
        let terms = [a, b];
        let shape = self.common_shape(node, &terms)?;
        let mut inputs = Vec::with_capacity(2);
        for term in terms {
            inputs.push(self.expanded(node, term, &shape)?.id);
        }
        self.push(node, FloatOp::Multiply { factor: 1.0 }, inputs, shape)
    }

    pub(super) fn div(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let Value::Constant(_) = self.operand(node, 1)? else {
            let remedy = "divide by constants only, or normalise with LayerNormalization";
            return Err(node.misused("an activation as divisor".into(), remedy));
        };
        let input = self.activation(node, 0)?;
        let inverse = self.floats(node, 1)?.mapv(|v| 1.0 / v);
        if let Some(index) = inverse.iter().position(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite {
                node: node.name.clone(),
                tensor: format!("1 / {}", node.operand(1)),
                index,
                value: f64::INFINITY,
            });
        }
        activation(self.affine(node, input, Some(&inverse), None)?)
    }

    pub(super) fn neg(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let input = self.activation(node, 0)?;
        activation(self.scaled(node, input, -1.0)?)
    }

    /// Powers with a small whole exponent.
    pub(super) fn pow(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        const REMEDY: &str = "use whole exponents from 1 to 16";
        let input = self.activation(node, 0)?;
        let exponent = match self.operand(node, 1)? {
            Value::Constant(constant) => match constant.as_ref() {
                Constant::Integer(values, _) if values.len() == 1 => {
                    values.first().map_or(0.0, |&v| v as f64)
                }
                _ => self.scalar(node, 1)?,
            },
            Value::Activation(_) => return Err(node.misused("a computed exponent".into(), REMEDY)),
        };
        if exponent.fract() != 0.0 || !(1.0..=LARGEST_EXPONENT).contains(&exponent) {
            return Err(node.misused(format!("the exponent {exponent}"), REMEDY));
        }
        if exponent == 1.0 {
            return activation(input);
        }
        if exponent == 2.0 {
            return activation(self.multiplied(node, input.clone(), input)?);
        }
        let mut formula = Formula::default();
        // Exact: the exponent is a small whole number.
        for _ in 1..exponent as usize {
            let last = formula.steps.len();
            formula.steps.push(Step::Product {
                factor: 1.0,
                of: [last, 0],
            });
        }
        let shape = input.shape;
        activation(self.push(node, FloatOp::Function(formula), vec![input.id], shape)?)
    }

    pub(super) fn max(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.extremum(node, false)
    }

    pub(super) fn min(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        self.extremum(node, true)
    }

    /// Constants of one value give a clamp, others a clamp between two sums; several activations a
    /// pool over pairs of values.
    fn extremum(&mut self, node: &Node, least: bool) -> Result<Outputs, ModelError> {
        let (mut terms, mut constants) = (Vec::new(), Vec::new());
        let mut bound = Interval::ALL;
        for index in 0..node.proto.input.len() {
            if let Value::Activation(_) = self.operand(node, index)? {
                terms.push(self.activation(node, index)?);
                continue;
            }
            let constant = self.floats(node, index)?;
            match constant.first() {
                Some(&value) if constant.len() == 1 && least => bound.high = bound.high.min(value),
                Some(&value) if constant.len() == 1 => bound.low = bound.low.max(value),
                _ => constants.push(constant),
            }
        }
        let mut result = self.largest(node, terms, least)?;
        if bound != Interval::ALL {
            let shape = result.shape;
            result = self.push(node, FloatOp::Clip(bound), vec![result.id], shape)?;
        }
        for constant in &constants {
            result = self.bounded(node, result, constant, least)?;
        }
        activation(result)
    }

    /// `max(x, c) = max(x - c, 0) + c`, and `min` alike.
    fn bounded(
        &mut self,
        node: &Node,
        input: Activation,
        constant: &ArrayD<f64>,
        least: bool,
    ) -> Result<Activation, ModelError> {
        let difference = self.affine(node, input, None, Some(&constant.mapv(|c| -c)))?;
        let kept = match least {
            true => Interval::NEGATIVE,
            false => Interval::POSITIVE,
        };
        let shape = difference.shape;
        let difference = self.push(node, FloatOp::Clip(kept), vec![difference.id], shape)?;
        self.affine(node, difference, None, Some(constant))
    }

    fn largest(
        &mut self,
        node: &Node,
        mut terms: Vec<Activation>,
        least: bool,
    ) -> Result<Activation, ModelError> {
        let count = terms.len();
        if let (1, Some(only)) = (count, terms.pop()) {
            return Ok(only);
        }
        let terms = {
            let mut all = Vec::with_capacity(count);
            for index in 0..node.proto.input.len() {
                if let Value::Activation(_) = self.operand(node, index)? {
                    let term = self.activation(node, index)?;
                    all.push(if least {
                        self.scaled(node, term, -1.0)?
                    } else {
                        term
                    });
                }
            }
            all
        };
        let shape = self.common_shape(node, &terms)?;
        let mut operands = Vec::with_capacity(count);
        for term in terms {
            operands.push(Value::Activation(self.expanded(node, term, &shape)?));
        }
        let size = length(&shape);
        self.check_size(node, &[size, count], false)?;
        let pairs = super::movement::Movement::new(vec![size, count], |index| match *index {
            [at, operand] => Some(operand * size + at),
            _ => None,
        });
        let Value::Activation(pairs) = self.moved(node, operands, pairs)? else {
            return Err(node.missing(0));
        };
        let pool = Pool {
            planes: Planes {
                width: count,
                ..Planes::points(size, 1)
            },
            window: Window {
                kernel: [1, count],
                ..Window::POINT
            },
        };
        let result = self.push(node, FloatOp::MaxPool(pool), vec![pairs.id], shape)?;
        if least {
            self.scaled(node, result, -1.0)
        } else {
            Ok(result)
        }
    }
}
