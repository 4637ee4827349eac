//! The index of the first largest value of each row.
//!
//! * Formula: `i = min { j : x_j = max_k x_k }`.
//! * Shapes: `x` is (rows, columns), the output is (rows).
//! * Bounds: `columns <= 2^(bits - 1)`, so that an index is an activation of `bits` bits.
//! * Witness of a row: `i` with `0 <= i < C`, where `C` is the number of columns, and the largest
//!   value `m`, an activation.
//! * Enforced: with the keys `k_j = C x_j + C - 1 - j` and `k = C m + C - 1 - i`, `k - k_j >= 0` for
//!   every `j`, and `k` is one of the keys (`crate::maximum`).
//!
//! Keys order values by size and equal values by position, the first one largest, and no two are
//! equal. So `k` is the key of the first largest value `x_j`. Then `C (m - x_j) = i - j`, over the
//! integers because all are small, and `|i - j| < C` leaves `i = j` and `m = x_j`.
//!
//! * Assumed: the inputs are activations of `bits` bits.
//! * Cost of a row of `C` values: the range checks of `i` and `m`; `C` differences of as many limbs as
//!   `C 2^bits - 1` has, one lookup each; `C - 1` constraints, but at least one.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    same_width, whole_operand,
};
use crate::window::{length, within};
use crate::{maximum, range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use serde::{Deserialize, Serialize};

/// Indices of largest values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgMax {
    /// Rows.
    pub rows: usize,
    /// `C`: values of a row.
    pub columns: usize,
    /// Width of the activations.
    pub bits: u32,
}

impl ArgMax {
    /// Index and value of the first largest of a row.
    fn first_largest(row: &[i64]) -> (i64, i64) {
        let mut best = (0, row.first().copied().unwrap_or(0));
        for (index, value) in (0..).zip(row) {
            if *value > best.1 {
                best = (index, *value);
            }
        }
        best
    }

    /// Limbs of the difference of two keys.
    fn limbs(&self) -> usize {
        let columns = self.columns as u64;
        range::limbs((columns << self.bits.min(16)).saturating_sub(1))
    }

    /// Entries of the constraints of a row, with its lookups.
    fn row_terms(&self) -> usize {
        let largest = tensor::unsigned_maximum(self.bits);
        // The largest value, another one, whose constant is merged, and the index.
        let limbs = range::limbs(largest) + range::limbs(self.last());
        let difference = limbs + tensor::ACTIVATION_TERMS;
        let value = range::check_terms(difference, self.limbs());
        let row = range::terms(self.last()) + range::terms(largest);
        self.columns
            .saturating_mul(value)
            .saturating_add(maximum::terms(self.columns, difference))
            .saturating_add(row)
    }

    /// The largest index.
    fn last(&self) -> u64 {
        self.columns.saturating_sub(1) as u64
    }

    /// `k - k_j` of a row.
    fn differences<F: CircuitField>(
        &self,
        row: &[FirstWire<F>],
        index: &FirstWire<F>,
        largest: &FirstWire<F>,
    ) -> Vec<FirstWire<F>> {
        let columns = F::from(self.columns as u64);
        let difference = |(j, value): (u64, &FirstWire<F>)| {
            let values = largest.sub(value).scale(columns);
            values.sub(index).add_constant(F::from(j))
        };
        (0..).zip(row).map(difference).collect()
    }
}

impl IntegerLayer for ArgMax {
    const NAME: &'static str = "arg max";

    fn operands(&self) -> Vec<usize> {
        vec![self.rows.saturating_mul(self.columns)]
    }

    fn outputs(&self) -> usize {
        self.rows
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "inputs", &[self.rows, self.columns])?;
        same_width(place, bits, self.bits)?;
        let (_, high) = tensor::range(bits);
        let most = usize::try_from(high).unwrap_or(0) + 1;
        let advice = "use wider activations or fewer columns";
        within(place, "columns", (1, most), self.columns, advice)
    }

    fn repeated(&self, count: usize) -> Self {
        ArgMax {
            rows: self.rows * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        _: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let rows = operand(operands, 0).chunks(self.columns.max(1));
        let (values, auxiliary) = rows.map(Self::first_largest).unzip();
        Ok(LayerTrace {
            values,
            auxiliary,
            ..LayerTrace::default()
        })
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace {
            values: vec![0; self.rows],
            auxiliary: vec![0; self.rows],
            ..LayerTrace::default()
        }
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let input = whole_operand(Self::NAME, operands, 0, self.rows * self.columns)?;
        for got in [trace.values.len(), trace.auxiliary.len()] {
            check_trace(Self::NAME, self.rows, got)?;
        }
        let limbs = self.limbs();
        let mut wires = LayerWires::default();
        let rows = input.chunks(self.columns.max(1));
        let parts = trace.values.iter().zip(&trace.auxiliary);
        for (n, (row, (index, largest))) in rows.zip(parts).enumerate() {
            segment.namespace(format!("row {n}"), |segment| {
                let index = range::alloc_at_most(segment, "index", *index, self.last())?;
                let largest = tensor::alloc_activation(segment, "largest", *largest, self.bits)?;
                let differences = self.differences(row, &index, &largest);
                for (j, difference) in differences.iter().enumerate() {
                    range::check_limbs(segment, &format!("difference {j}"), difference, limbs)?;
                }
                wires.values.push(index);
                wires.auxiliary.push(largest);
                Ok(())
            })?;
        }
        Ok(wires)
    }

    fn constrain<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        wires: &LayerWires<F>,
        operands: &[&[FirstWire<F>]],
        _: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let input = whole_operand(Self::NAME, operands, 0, self.rows * self.columns)?;
        let rows = input.chunks(self.columns.max(1));
        let parts = wires.values.iter().zip(&wires.auxiliary);
        for (n, (row, (index, largest))) in rows.zip(parts).enumerate() {
            let differences = self.differences(row, index, largest);
            maximum::constrain(&mut cs.namespace(|| format!("row {n}")), &differences)?;
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let largest = range::lookups(tensor::unsigned_maximum(self.bits));
        let row = range::lookups(self.last()) + largest + self.columns * self.limbs();
        LayerCost {
            lookups: self.rows * row,
            constraints: self.rows * maximum::constraints(self.columns),
            terms: self.rows.saturating_mul(self.row_terms()),
            ..LayerCost::default()
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |rows, columns| ArgMax {
            rows,
            columns,
            bits: 8,
        };
        vec![
            sample(3, 10),
            sample(1, 1),
            sample(2, 128),
            sample(2, 2).repeated(3),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::ArgMax;

    #[test]
    fn the_first_of_equal_values_counts() {
        for (row, index) in [
            (&[3, 1, 3, 2][..], 0),
            (&[-5, -2, -7, -2], 1),
            (&[0, 0, 0], 0),
            (&[-128, 127], 1),
            (&[4], 0),
        ] {
            assert_eq!(ArgMax::first_largest(row).0, index, "{row:?}");
        }
    }
}
