//! Averages and sums over windows: average pools, global averages, means over an axis.
//!
//! * Formula: `y = m_k * sum of the window`, where `k` is the number of positions of the window that
//!   lie inside of the tensor and `m_k` a constant, then [`crate::requantise`].
//! * Shapes: the input is (batch, channels, height, width) or channels innermost; every channel is
//!   pooled for itself.
//! * Enforced: the requantised accumulator of every output is the multiple of the sum, one equality
//!   each. Padding takes no part.
//! * Cost of an output: its lookups, the constraints of the clamp, and one.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
};
use crate::linear::pairs;
use crate::requantise::{Requantise, Ties};
use crate::tensor::ACTIVATION_TERMS;
use crate::window::{Axis, Planes, Reads, Window, length, within};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// Multiples of sums over windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool {
    /// The input's dimensions.
    pub planes: Pooled,
    /// What an output reads.
    pub window: Window,
    /// `m_k` for `k = 0, 1, ...` positions inside of the tensor, up to the size of the window.
    pub multipliers: Vec<i64>,
    /// From accumulators to outputs.
    pub requantise: Requantise,
}

/// The dimensions of a tensor that is pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooled {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Whether channels are the innermost dimension.
    pub channels_last: bool,
}

impl Pooled {
    /// Number of values; saturates.
    pub fn len(&self) -> usize {
        let factors = [self.batch, self.channels, self.height, self.width];
        factors
            .iter()
            .fold(1, |n: usize, factor| n.saturating_mul(*factor))
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn planes(&self, height: usize, width: usize) -> Planes {
        Planes {
            batch: self.batch,
            channels: self.channels,
            height,
            width,
            channels_last: self.channels_last,
        }
    }

    /// For every output the positions that it reads, in the order of the outputs.
    ///
    /// # Errors
    /// [`LayerError::Parameter`] for sizes that are out of range.
    pub fn windows(&self, place: Place, window: &Window) -> Result<Vec<Vec<usize>>, LayerError> {
        let axes = self.check(place, window)?;
        let [axis_y, axis_x] = axes;
        let input = self.planes(self.height, self.width);
        let output = self.planes(axis_y.outputs, axis_x.outputs);
        let mut windows = vec![Vec::new(); output.len()];
        for (b, c) in pairs(self.batch, self.channels) {
            for (y, x) in pairs(axis_y.outputs, axis_x.outputs) {
                let (rows, columns) = (axis_y.taps(y), axis_x.taps(x));
                let taps = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
                let read = taps.filter_map(|(tap_y, tap_x)| {
                    Some(input.index(b, c, axis_y.input(y, tap_y)?, axis_x.input(x, tap_x)?))
                });
                if let Some(window) = windows.get_mut(output.index(b, c, y, x)) {
                    *window = read.collect();
                }
            }
        }
        Ok(windows)
    }

    /// Checks all sizes, also that of all windows together.
    ///
    /// # Errors
    /// [`LayerError::Parameter`].
    pub fn check(&self, place: Place, window: &Window) -> Result<[Axis; 2], LayerError> {
        length(
            place,
            "inputs",
            &[self.batch, self.channels, self.height, self.width],
        )?;
        let axes = window.axes(place, [self.height, self.width])?;
        let [y, x] = axes;
        let factors = [
            self.batch,
            self.channels,
            y.outputs,
            x.outputs,
            y.kernel,
            x.kernel,
        ];
        length(place, "positions of all windows", &factors)?;
        Ok(axes)
    }

    /// What all windows read; nothing for sizes that are out of range. Time in proportion to the
    /// outputs along the axes, whatever the windows are.
    pub(crate) fn count(&self, window: &Window) -> Reads {
        let place = Place {
            index: 0,
            name: "pool",
        };
        let Ok(axes) = self.check(place, window) else {
            return Reads::default();
        };
        let outputs = axes.map(|axis| axis.outputs);
        let [y, x] = axes.map(|axis| axis.count());
        let planes = self.batch * self.channels;
        let [rows, columns] = outputs;
        // A window reads rows times columns.
        let some = (rows - y.empty) * (columns - x.empty);
        Reads {
            all: planes * y.all * x.all,
            single: planes * y.single * x.single,
            empty: planes * (rows * columns - some),
        }
    }

    /// Number of outputs; zero for sizes that are out of range.
    pub fn outputs(&self, window: &Window) -> usize {
        let place = Place {
            index: 0,
            name: "pool",
        };
        let axes = self.check(place, window);
        axes.map_or(0, |[y, x]| self.planes(y.outputs, x.outputs).len())
    }

    /// The same for `count` inferences.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        Pooled {
            batch: self.batch * count,
            ..*self
        }
    }
}

impl AveragePool {
    fn windows(&self, place: Place) -> Result<Vec<Vec<usize>>, LayerError> {
        self.planes.windows(place, &self.window)
    }

    fn multiplier(&self, window: &[usize]) -> i64 {
        self.multipliers.get(window.len()).copied().unwrap_or(0)
    }
}

impl IntegerLayer for AveragePool {
    const NAME: &'static str = "average pool";

    fn operands(&self) -> Vec<usize> {
        vec![self.planes.len()]
    }

    fn outputs(&self) -> usize {
        self.planes.outputs(&self.window)
    }

    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        Some(&mut self.requantise)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        let [y, x] = self.planes.check(place, &self.window)?;
        let (expected, got) = (y.kernel * x.kernel + 1, self.multipliers.len());
        let advice = "give one multiplier for every number of positions, from zero";
        within(place, "multipliers", (expected, expected), got, advice)?;
        self.requantise.validate(place, bits)
    }

    fn repeated(&self, count: usize) -> Self {
        AveragePool {
            planes: self.planes.repeated(count),
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        place: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let input = operand(operands, 0);
        let accumulate = |window: &Vec<usize>| {
            let values = window.iter().filter_map(|i| input.get(*i));
            let sum = values.fold(0i128, |sum, value| sum + i128::from(*value));
            sum.saturating_mul(i128::from(self.multiplier(window)))
        };
        let accumulators = self.windows(place)?.iter().map(accumulate).collect();
        self.requantise.trace(place, accumulators)
    }

    fn dummy_trace(&self) -> LayerTrace {
        self.requantise.dummy_trace(self.outputs())
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        _: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        check_trace(Self::NAME, self.outputs(), trace.requantised.len())?;
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
        let place = Place {
            index: 0,
            name: Self::NAME,
        };
        let windows = self
            .windows(place)
            .map_err(|error| SynthesisError::IncompatibleLengthVector(error.to_string()))?;
        let input = operand(operands, 0);
        for (i, (parts, window)) in wires.requantised.iter().zip(&windows).enumerate() {
            let read = window.iter().filter_map(|position| input.get(*position));
            let sum = Wire::sum(read.map(FirstWire::wire));
            let multiple = sum.scale(from_i64(self.multiplier(window)));
            cs.enforce_equal(|| format!("sum {i}"), parts.accumulator.wire(), &multiple);
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let outputs = self.outputs();
        let reads = self.planes.count(&self.window).all;
        let sums = outputs.saturating_mul(self.requantise.accumulator_terms() + 1);
        let cost = self.requantise.cost(outputs).plus(outputs);
        cost.plus_terms(sums)
            .plus_terms(reads.saturating_mul(ACTIVATION_TERMS))
    }

    fn samples() -> Vec<Self> {
        let sample = |planes, window: Window, shift| {
            let [height, width] = window.kernel;
            let largest = (height * width) as i64;
            let multiplier = |k: i64| if k == 0 { 0 } else { (1i64 << shift) / k };
            AveragePool {
                planes,
                window,
                multipliers: (0..=largest).map(multiplier).collect(),
                requantise: Requantise {
                    shift,
                    low: -128,
                    high: 127,
                    accumulator_bits: 26,
                    ties: Ties::Up,
                },
            }
        };
        let even = |mut layer: AveragePool| {
            layer.requantise.ties = Ties::Even;
            layer
        };
        let planes = |channels, height, width, channels_last| Pooled {
            batch: 1,
            channels,
            height,
            width,
            channels_last,
        };
        let padded = Window {
            padding: [1, 0, 1, 1],
            stride: [1, 2],
            ..Window::tiles([2, 2])
        };
        vec![
            sample(planes(2, 4, 4, false), Window::tiles([2, 2]), 12),
            sample(planes(2, 3, 3, true), padded, 10).repeated(2),
            sample(planes(4, 1, 5, false), Window::tiles([1, 5]), 8),
            even(sample(planes(1, 4, 4, false), Window::tiles([2, 2]), 12)),
        ]
    }
}
