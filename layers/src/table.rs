//! Unary functions given by a table: sigmoid, GELU, exponentials, everything that is no clamp.
//!
//! * Formula: `y_i = T[x_i + 2^(bits - 1)]` with `2^bits` constants `T`.
//! * Shapes: operand and output have `length` values.
//! * Bounds: every entry is an activation of `bits` bits; `bits <= 12`.
//! * Enforced: every pair `(x_i, y_i)` is a row of the table ([`foldnet_gadgets::lookup`]).
//! * Cost: two constraints a value, one a row and one; equal tables of a step share their rows.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    same_width, whole_operand,
};
use crate::window::{between, length};
use crate::{range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::lookup::FunctionTable;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use serde::{Deserialize, Serialize};

/// Largest width of activations that index a table.
pub const MOST_BITS: u32 = 12;

/// A function of one activation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Values of the operand.
    pub length: usize,
    /// `T`: the output for every input, from the smallest.
    pub entries: Vec<i64>,
}

/// The width of activations that index a table of `rows` rows; 0 when there is none.
pub(crate) fn width(rows: usize) -> u32 {
    if rows.is_power_of_two() {
        rows.trailing_zeros()
    } else {
        0
    }
}

/// Refuses tables that are too long or of another length than `2^bits`.
pub(crate) fn check_rows(place: Place, bits: u32, rows: usize) -> Result<(), LayerError> {
    between(
        place,
        "bits of a layer with a table",
        (1, i64::from(MOST_BITS)),
        i64::from(bits),
        "quantise to fewer bits",
    )?;
    same_width(place, bits, width(rows))
}

impl Table {
    /// The smallest input: half of the rows are negative.
    fn low(&self) -> i64 {
        -i64::try_from(self.entries.len() / 2).unwrap_or(i64::MAX)
    }

    fn entry(&self, input: i64) -> i64 {
        let row = usize::try_from(input.wrapping_sub(self.low())).ok();
        row.and_then(|row| self.entries.get(row))
            .copied()
            .unwrap_or(0)
    }
}

impl IntegerLayer for Table {
    const NAME: &'static str = "table";

    fn operands(&self) -> Vec<usize> {
        vec![self.length]
    }

    fn outputs(&self) -> usize {
        self.length
    }

    fn table(&self) -> Option<FunctionTable> {
        Some(FunctionTable {
            low: self.low(),
            entries: self.entries.clone().into(),
        })
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "outputs", &[self.length])?;
        check_rows(place, bits, self.entries.len())?;
        let range = tensor::range(bits);
        let advice = "clamp the function to the range of the activations";
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| between(place, "entry", range, *entry, advice))
    }

    fn repeated(&self, count: usize) -> Self {
        Table {
            length: self.length * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        _: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let inputs = operand(operands, 0).iter();
        Ok(LayerTrace::of_values(
            inputs.map(|input| self.entry(*input)).collect(),
        ))
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace::of_values(vec![0; self.length])
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let inputs = whole_operand(Self::NAME, operands, 0, self.length)?;
        check_trace(Self::NAME, self.length, trace.values.len())?;
        let id = self.table().map(|table| segment.table(&table));
        let mut values = Vec::with_capacity(self.length);
        for (n, (input, value)) in inputs.iter().zip(&trace.values).enumerate() {
            let value = segment.alloc(format!("output {n}"), from_i64(*value))?;
            if let Some(id) = id {
                segment.lookup_function(id, input, &value)?;
            }
            values.push(value);
        }
        Ok(LayerWires {
            values,
            ..LayerWires::default()
        })
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        _: &LayerWires<F>,
        _: &[&[FirstWire<F>]],
        _: Option<&Challenges<F>>,
        _: &mut CS,
    ) -> Result<(), SynthesisError> {
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        LayerCost {
            pairs: self.length,
            terms: self
                .length
                .saturating_mul(range::pair_terms(tensor::ACTIVATION_TERMS, 1)),
            ..LayerCost::default()
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |function: fn(i64) -> i64| Table {
            length: 7,
            entries: (-128..128).map(function).collect(),
        };
        vec![
            sample(|x| (x * x) / 128 - 3),
            sample(|x| -(x / 2)).repeated(2),
            sample(|x| if x < 0 { -128 } else { 127 }),
        ]
    }
}
