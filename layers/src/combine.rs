//! Sums of tensors: residual connections, differences, changes of scale.
//!
//! * Formula: `y_i = sum_k c_k x_k,i` with constants `c_k`, then [`crate::requantise`].
//! * Shapes: every operand and the output have `length` values.
//! * Enforced: the requantised accumulator of every output is the sum, one equality each.
//! * Cost of an output: its lookups, the constraints of the clamp, and one.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace,
};
use crate::requantise::{Requantise, Ties};
use crate::tensor::ACTIVATION_TERMS;
use crate::window::{length, within};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// Most operands of a sum.
const MOST_OPERANDS: usize = 64;

/// A linear combination of tensors with constant coefficients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Combine {
    /// Values of each operand.
    pub length: usize,
    /// One constant an operand.
    pub coefficients: Vec<i64>,
    /// From accumulators to outputs.
    pub requantise: Requantise,
}

impl IntegerLayer for Combine {
    const NAME: &'static str = "combine";

    fn operands(&self) -> Vec<usize> {
        vec![self.length; self.coefficients.len()]
    }

    fn outputs(&self) -> usize {
        self.length
    }

    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        Some(&mut self.requantise)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        let advice = "sum fewer tensors at once";
        within(
            place,
            "operands",
            (1, MOST_OPERANDS),
            self.coefficients.len(),
            advice,
        )?;
        length(place, "outputs", &[self.length])?;
        self.requantise.validate(place, bits)
    }

    fn repeated(&self, count: usize) -> Self {
        Combine {
            length: self.length * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        place: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let mut sums = vec![0i128; self.length];
        for (coefficient, operand) in self.coefficients.iter().zip(operands) {
            for (sum, value) in sums.iter_mut().zip(*operand) {
                let product = i128::from(*coefficient) * i128::from(*value);
                *sum = sum.saturating_add(product);
            }
        }
        self.requantise.trace(place, sums)
    }

    fn dummy_trace(&self) -> LayerTrace {
        self.requantise.dummy_trace(self.length)
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        _: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        check_trace(Self::NAME, self.length, trace.requantised.len())?;
        self.requantise.commit_all(segment, trace)
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        operands: &[&[FirstWire<F>]],
        _: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        self.requantise.constrain_all(cs, wires);
        for (i, parts) in wires.requantised.iter().enumerate() {
            let values = operands.iter().filter_map(|operand| operand.get(i));
            let terms = self.coefficients.iter().map(|c| from_i64(*c)).zip(values);
            let sum = Wire::weighted_sum(terms.map(|(c, value)| (c, value.wire())));
            cs.enforce_equal(|| format!("sum {i}"), parts.accumulator.wire(), &sum);
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let operands = self.coefficients.len().saturating_mul(ACTIVATION_TERMS);
        let sum = self.requantise.accumulator_terms() + operands + 1;
        let cost = self.requantise.cost(self.length).plus(self.length);
        cost.plus_terms(self.length.saturating_mul(sum))
    }

    fn samples() -> Vec<Self> {
        let sample = |coefficients: &[i64], shift, low, high| Combine {
            length: 5,
            coefficients: coefficients.to_vec(),
            requantise: Requantise {
                shift,
                low,
                high,
                accumulator_bits: 24,
                ties: Ties::Up,
            },
        };
        let even = |mut layer: Combine| {
            layer.requantise.ties = Ties::Even;
            layer
        };
        vec![
            sample(&[300, -211], 9, -128, 127),
            sample(&[1000], 10, 0, 127),
            sample(&[77, 5, -90], 6, -100, 99),
            sample(&[1, 1], 0, -128, 127),
            even(sample(&[1, 1], 1, -128, 127)),
            even(sample(&[1, -1], 2, 0, 127)),
            even(Combine {
                requantise: Requantise {
                    accumulator_bits: 9,
                    ..sample(&[1, 1], 2, -128, 127).requantise
                },
                ..sample(&[1, 1], 2, -128, 127)
            }),
        ]
    }
}
