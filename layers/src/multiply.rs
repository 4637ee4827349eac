//! Products of tensors, value by value: gates and attention masks that depend on the input.
//!
//! * Formula: `y_i = c a_i b_i` with a constant `c`, then [`crate::requantise`].
//! * Shapes: both operands and the output have `length` values.
//! * Bounds: `|y| < 2^accumulator_bits`, proven by the compiler.
//! * Enforced: the requantised accumulator of every output is the product, one constraint each.
//! * Cost of an output: its lookups, the constraints of the clamp, and one.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    whole_operand,
};
use crate::requantise::{Requantise, Ties};
use crate::tensor::ACTIVATION_TERMS;
use crate::window::length;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::WireSystem;
use serde::{Deserialize, Serialize};

/// Products of two tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply {
    /// Values of each operand.
    pub length: usize,
    /// `c`.
    pub multiplier: i64,
    /// From accumulators to outputs.
    pub requantise: Requantise,
}

impl IntegerLayer for Multiply {
    const NAME: &'static str = "multiply";

    fn operands(&self) -> Vec<usize> {
        vec![self.length; 2]
    }

    fn outputs(&self) -> usize {
        self.length
    }

    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        Some(&mut self.requantise)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "outputs", &[self.length])?;
        self.requantise.validate(place, bits)
    }

    fn repeated(&self, count: usize) -> Self {
        Multiply {
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
        let pairs = operand(operands, 0).iter().zip(operand(operands, 1));
        let product = |(a, b): (&i64, &i64)| {
            let product = i128::from(*a) * i128::from(*b);
            product.saturating_mul(i128::from(self.multiplier))
        };
        self.requantise.trace(place, pairs.map(product).collect())
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
        let a = whole_operand(Self::NAME, operands, 0, self.length)?;
        let b = whole_operand(Self::NAME, operands, 1, self.length)?;
        for (i, (parts, (a, b))) in wires.requantised.iter().zip(a.iter().zip(b)).enumerate() {
            let scaled = a.wire().scale(from_i64(self.multiplier));
            let accumulator = parts.accumulator.wire();
            cs.enforce_product(|| format!("product {i}"), &scaled, b.wire(), accumulator);
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let product = 2 * ACTIVATION_TERMS + self.requantise.accumulator_terms();
        let cost = self.requantise.cost(self.length).plus(self.length);
        cost.plus_terms(self.length.saturating_mul(product))
    }

    fn samples() -> Vec<Self> {
        let sample = |multiplier, shift, low, high, accumulator_bits| Multiply {
            length: 6,
            multiplier,
            requantise: Requantise {
                shift,
                low,
                high,
                accumulator_bits,
                ties: Ties::Up,
            },
        };
        vec![
            sample(1, 7, -128, 127, 15),
            sample(-300, 15, -128, 127, 23),
            sample(77, 12, 0, 127, 21).repeated(2),
            sample(1, 0, -100, 100, 15),
        ]
    }
}
