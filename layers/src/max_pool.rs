//! The largest value of each window.
//!
//! * Formula: `y = max` of the values of the window that lie inside of the tensor; padding takes no
//!   part (ONNX, operator `MaxPool`).
//! * Shapes: the input is (batch, channels, height, width) or channels innermost; every channel is
//!   pooled for itself.
//! * Bounds: an output is one of the inputs. Every window reads at least one of them.
//! * Enforced: no value of the window exceeds the output, which is one of them (`crate::maximum`).
//! * Assumed: the inputs are activations of `bits` bits, so that a difference that is not negative
//!   fits the limbs of `bits` bits.
//! * Cost of an output that reads `k` values: `k` lookups, twice as many above 8 bits, and `k - 1`
//!   constraints, but at least one.

use crate::average_pool::Pooled;
use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    same_width, whole_operand,
};
use crate::window::{Axis, Window, within};
use crate::{maximum, range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use serde::{Deserialize, Serialize};

/// Largest values of windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// The input's dimensions.
    pub planes: Pooled,
    /// What an output reads.
    pub window: Window,
    /// Width of the activations.
    pub bits: u32,
}

impl MaxPool {
    /// The positions that each output reads; none for sizes that are out of range.
    fn windows(&self) -> Vec<Vec<usize>> {
        let place = Place {
            index: 0,
            name: Self::NAME,
        };
        self.planes.windows(place, &self.window).unwrap_or_default()
    }

    fn limbs(&self) -> usize {
        range::limbs(tensor::unsigned_maximum(self.bits))
    }
}

/// The values that a window reads.
fn read<'a, T>(input: &'a [T], window: &'a [usize]) -> impl Iterator<Item = &'a T> {
    window.iter().filter_map(|position| input.get(*position))
}

impl IntegerLayer for MaxPool {
    const NAME: &'static str = "max pool";

    fn operands(&self) -> Vec<usize> {
        vec![self.planes.len()]
    }

    fn outputs(&self) -> usize {
        self.planes.outputs(&self.window)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        let axes = self.planes.check(place, &self.window)?;
        let fewest = axes.iter().map(Axis::fewest_taps).product();
        let advice = "choose padding smaller than the window";
        let most = self.planes.len();
        within(place, "values of a window", (1, most), fewest, advice)?;
        same_width(place, bits, self.bits)
    }

    fn repeated(&self, count: usize) -> Self {
        MaxPool {
            planes: self.planes.repeated(count),
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        _: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let input = operand(operands, 0);
        let windows = self.windows();
        let largest = windows.iter().map(|window| read(input, window).max());
        Ok(LayerTrace::of_values(
            largest.map(|value| value.copied().unwrap_or(0)).collect(),
        ))
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace::of_values(vec![0; self.outputs()])
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let input = whole_operand(Self::NAME, operands, 0, self.planes.len())?;
        let windows = self.windows();
        check_trace(Self::NAME, windows.len(), trace.values.len())?;
        let limbs = self.limbs();
        let mut values = Vec::with_capacity(windows.len());
        for (n, (window, value)) in windows.iter().zip(&trace.values).enumerate() {
            let value = segment.namespace(format!("output {n}"), |segment| {
                let value = segment.alloc("maximum", from_i64(*value))?;
                let differences = maximum::differences(&value, read(input, window));
                for (i, difference) in differences.iter().enumerate() {
                    range::check_limbs(segment, &format!("difference {i}"), difference, limbs)?;
                }
                Ok(value)
            })?;
            values.push(value);
        }
        Ok(LayerWires {
            values,
            ..LayerWires::default()
        })
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        operands: &[&[FirstWire<F>]],
        _: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let input = whole_operand(Self::NAME, operands, 0, self.planes.len())?;
        for (n, (window, value)) in self.windows().iter().zip(&wires.values).enumerate() {
            let differences = maximum::differences(value, read(input, window));
            maximum::constrain(&mut cs.namespace(|| format!("output {n}")), &differences)?;
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let reads = self.planes.count(&self.window);
        let windows = self.outputs();
        let difference = 1 + tensor::ACTIVATION_TERMS;
        let check = range::check_terms(difference, self.limbs());
        LayerCost {
            lookups: reads.all * self.limbs(),
            // One a value but the first of each window, and one for windows without another.
            constraints: reads.all + reads.single + 2 * reads.empty - windows,
            terms: maximum::terms(reads.all, difference)
                .saturating_add(reads.all.saturating_mul(check)),
            ..LayerCost::default()
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |[channels, height, width]: [usize; 3], channels_last, window| MaxPool {
            planes: Pooled {
                batch: 1,
                channels,
                height,
                width,
                channels_last,
            },
            window,
            bits: 8,
        };
        let overlapping = Window {
            stride: [2, 1],
            padding: [1, 1, 0, 1],
            ..Window::tiles([3, 3])
        };
        let spread = Window {
            dilation: [1, 2],
            stride: [1, 1],
            ..Window::tiles([2, 2])
        };
        vec![
            sample([2, 4, 4], false, Window::tiles([2, 2])),
            sample([2, 4, 3], true, overlapping).repeated(2),
            sample([1, 3, 4], false, spread),
            sample([3, 1, 2], false, Window::tiles([1, 1])),
        ]
    }
}
