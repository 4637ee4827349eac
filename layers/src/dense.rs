//! The dense layer.
//!
//! * Formula: `y = W x + bias`, `q = clamp(floor((y + 2^(s - 1)) / 2^s), low, high)`.
//! * Shapes: `W` is (outputs, inputs), `x` is (inputs), `bias`, `y` and `q` are (outputs). They are
//!   capacities: a smaller layer is padded with zero weights and reads zero inputs.
//! * Bounds: `|y| < 2^accumulator_bits`, which the compiler proves from the weights with
//!   [`crate::bounds::accumulator_bits`].
//! * Enforced here: `q` is the requantised accumulator ([`crate::requantise`]). Enforced by the
//!   chain: the accumulator is `W x + bias`, by a sum-check ([`crate::product`]; Thaler 2013/351,
//!   section 4).
//! * Cost of an output: its lookups and the constraints of the clamp; nothing per weight.

use crate::error::{LayerError, Place};
use crate::layer::{IntegerLayer, LayerCost, LayerTrace, LayerWires, MatrixShape, Weights};
use crate::requantise::Requantise;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use serde::{Deserialize, Serialize};

/// Largest capacity of a vector.
const LARGEST_CAPACITY: usize = 1 << 24;

/// A dense layer with requantisation; ReLU when `low` is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dense {
    /// Capacity of the input vector.
    pub inputs: usize,
    /// Capacity of the output vector.
    pub outputs: usize,
    /// `s`: the accumulator is divided by `2^s`, rounded to nearest, ties up.
    pub shift: u32,
    /// Smallest output.
    pub low: i64,
    /// Largest output.
    pub high: i64,
    /// `|y| < 2^accumulator_bits`, proven when compiling.
    pub accumulator_bits: u32,
}

impl Dense {
    /// The requantisation of the layer's accumulators.
    pub fn requantise(&self) -> Requantise {
        Requantise {
            shift: self.shift,
            low: self.low,
            high: self.high,
            accumulator_bits: self.accumulator_bits,
        }
    }
}

impl IntegerLayer for Dense {
    const NAME: &'static str = "dense";

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn matrix(&self) -> Option<MatrixShape> {
        Some(MatrixShape {
            rows: self.outputs,
            columns: self.inputs,
        })
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        for (what, got) in [("inputs", self.inputs), ("outputs", self.outputs)] {
            if !(1..=LARGEST_CAPACITY).contains(&got) {
                return Err(LayerError::Parameter {
                    place,
                    what,
                    low: 1,
                    high: LARGEST_CAPACITY as i64,
                    got: i64::try_from(got).unwrap_or(i64::MAX),
                    advice: "split the layer by rows",
                });
            }
        }
        self.requantise().validate(place, bits)
    }

    fn evaluate(
        &self,
        place: Place,
        weights: Weights<'_>,
        input: &[i64],
    ) -> Result<LayerTrace, LayerError> {
        let requantise = self.requantise();
        let mut rows = weights.matrix.chunks(weights.row_length.max(1));
        let mut requantised = Vec::with_capacity(self.outputs);
        for index in 0..self.outputs {
            let row = rows.next().unwrap_or(&[]);
            let bias = i128::from(weights.bias.get(index).copied().unwrap_or(0));
            let products = row
                .iter()
                .zip(input)
                .map(|(w, x)| i128::from(*w) * i128::from(*x));
            let got = products.fold(bias, i128::saturating_add);
            let bits = self.accumulator_bits;
            let error = LayerError::Accumulator {
                place,
                index,
                bits,
                got,
            };
            requantised.push(requantise.evaluate(got).ok_or(error)?);
        }
        Ok(LayerTrace { requantised })
    }

    fn dummy_trace(&self) -> LayerTrace {
        let parts = self.requantise().evaluate(0).unwrap_or_default();
        LayerTrace {
            requantised: vec![parts; self.outputs],
        }
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        _: &[FirstWire<F>],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let got = trace.requantised.len();
        if got != self.outputs {
            let message = format!("dense layer: expected {} outputs, got {got}", self.outputs);
            return Err(SynthesisError::IncompatibleLengthVector(message));
        }
        let requantise = self.requantise();
        let commit = |(n, parts)| {
            segment.namespace(format!("output {n}"), |segment| {
                requantise.commit(segment, parts)
            })
        };
        let requantised = trace.requantised.iter().enumerate().map(commit);
        Ok(LayerWires {
            requantised: requantised.collect::<Result<_, _>>()?,
        })
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let requantise = self.requantise();
        for (n, wires) in wires.requantised.iter().enumerate() {
            requantise.constrain(&mut cs.namespace(|| format!("output {n}")), wires);
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let requantise = self.requantise();
        LayerCost {
            lookups: self.outputs * requantise.lookups(),
            constraints: self.outputs * requantise.constraints(),
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |inputs, outputs, shift, low, high, accumulator_bits| Dense {
            inputs,
            outputs,
            shift,
            low,
            high,
            accumulator_bits,
        };
        vec![
            sample(8, 8, 16, -128, 127, 28),
            sample(5, 3, 11, 0, 127, 27),
            sample(1, 1, 0, -128, 127, 24),
            sample(3, 6, 8, -100, 99, 26),
            sample(4, 7, 20, 3, 3, 26),
            sample(9, 1, 40, -1, 2, 28),
        ]
    }
}
