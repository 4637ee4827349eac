//! Softmax over rows, with exponentials by table.
//!
//! * Formula: `m = max_i x_i`, `e_i = T[m - x_i]` with `2^bits` constants `T`, `S = sum_i e_i`,
//!   `y_i = floor((K e_i + floor(S / 2)) / S)`: the share `e_i / S` in units of `1 / K`, rounded to
//!   nearest, ties up. `T[d]` is a multiple of `exp(-scale d)`, rounded.
//! * Shapes: `x` and `y` are (rows, columns).
//! * Bounds: `T[0] >= 1` and all `T >= 0`, so `1 <= S` and `0 <= y_i <= K`; `K` is at most the largest
//!   activation, so nothing is clamped; `S < 2^40`; `bits <= 12`.
//! * Witness of a row: `m`, `S`; of a value: `e_i`, `y_i` and the remainder `r_i` of the division.
//! * Enforced: the pairs `(m - x_i, e_i)` are rows of the table, so that no difference is negative,
//!   and one difference is zero (`crate::maximum`); `S` is the sum; `y_i` is not negative and is
//!   the rounded quotient (`crate::divide`).
//! * Why `y_i` needs no exact range: the quotient is unique, and `e_i <= S` makes it at most `K`.
//! * Cost of a row of `n` values: two constraints, and `n - 1` (at least one) for `m`. Of a value: a
//!   pair, one constraint, the lookups of `y`, and twice those of `S`. Small tables keep `S` small:
//!   `S <= 2^16` costs four lookups, `S <= 2^8` two.

use crate::divide::{self, Divisor};
use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    whole_operand, wrong_trace,
};
use crate::table::check_rows;
use crate::window::{between, length};
use crate::{maximum, range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::lookup::{FunctionTable, TableId};
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::WireSystem;
use serde::{Deserialize, Serialize};

/// Largest sum of the exponentials of a row.
const LARGEST_SUM: i64 = 1 << 40;

/// What a row allocates besides its values: `m`, `S` and whether `S` is odd.
const ROW_PARTS: usize = 3;

/// What a value allocates besides its output: `e` and `r`.
const VALUE_PARTS: usize = 2;

/// Shares of exponentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax {
    /// Rows.
    pub rows: usize,
    /// Values of a row.
    pub columns: usize,
    /// `T`, by the difference from the row's largest value.
    pub exponentials: Vec<i64>,
    /// `K`: the output of a share of one.
    pub scale: i64,
}

impl Softmax {
    fn exponential(&self, largest: i64, value: i64) -> i64 {
        let row = usize::try_from(largest.wrapping_sub(value)).ok();
        row.and_then(|row| self.exponentials.get(row))
            .copied()
            .unwrap_or(0)
    }

    /// Bound of `S`; saturates.
    fn largest_sum(&self) -> i64 {
        let largest = self.exponentials.iter().max().copied().unwrap_or(0);
        let columns = i64::try_from(self.columns).unwrap_or(i64::MAX);
        largest.saturating_mul(columns)
    }

    /// Bound of `S` as a divisor.
    fn largest_divisor(&self) -> u64 {
        self.largest_sum().unsigned_abs()
    }

    /// Limbs of an output.
    fn limbs(&self) -> usize {
        range::limbs(self.scale.unsigned_abs())
    }

    /// Numbers in the trace besides the outputs.
    fn parts(&self) -> usize {
        self.columns * VALUE_PARTS + 2
    }

    /// Entries of the constraints of a row, with its lookups and pairs.
    fn row_terms(&self) -> usize {
        let (bound, limbs) = (self.largest_divisor(), self.limbs());
        let difference = 1 + tensor::ACTIVATION_TERMS;
        let value = range::pair_terms(difference, 1)
            + range::limb_terms(limbs)
            + divide::remainder_terms(bound)
            + divide::quotient_terms(bound, limbs, 1);
        // The sum of all exponentials is one constraint.
        let row = maximum::terms(self.columns, difference) + 2 + divide::DIVISOR_TERMS;
        self.columns.saturating_mul(value + 1).saturating_add(row)
    }

    /// The outputs of a row, and `m`, `S` and all `e_i, r_i`.
    fn evaluate_row(&self, row: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let largest = row.iter().max().copied().unwrap_or(0);
        let exponentials: Vec<i64> = row
            .iter()
            .map(|value| self.exponential(largest, *value))
            .collect();
        let sum = exponentials
            .iter()
            .fold(0i64, |sum, e| sum.saturating_add(*e));
        let mut outputs = Vec::with_capacity(row.len());
        let mut parts = vec![largest, sum];
        for exponential in exponentials {
            let dividend = i128::from(exponential) * i128::from(self.scale);
            let (quotient, remainder) = divide::rounded(dividend, i128::from(sum));
            outputs.push(i64::try_from(quotient).unwrap_or(i64::MAX));
            parts.extend([exponential, i64::try_from(remainder).unwrap_or(i64::MAX)]);
        }
        (outputs, parts)
    }

    /// `T`.
    fn exponential_table(&self) -> FunctionTable {
        FunctionTable {
            low: 0,
            entries: self.exponentials.clone().into(),
        }
    }

    fn commit_row<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        (outputs, parts): (&[i64], &[i64]),
        row: &[FirstWire<F>],
        table: TableId,
        segment: &mut FirstSegment<'_, F, CS>,
        wires: &mut LayerWires<F>,
    ) -> Result<(), SynthesisError> {
        let [largest, sum, parts @ ..] = parts else {
            return Err(wrong_trace(Self::NAME, self.parts(), parts.len()));
        };
        let largest = segment.alloc("largest", from_i64(*largest))?;
        let sum_wire = segment.alloc("sum", from_i64(*sum))?;
        let bound = self.largest_divisor();
        let divisor = Divisor::commit(segment, &sum_wire, *sum)?;
        let differences = maximum::differences(&largest, row);
        let head = [largest, sum_wire, divisor.odd.clone()];
        wires.auxiliary.extend(head);
        let parts = parts.chunks(VALUE_PARTS).zip(outputs);
        for (i, (difference, (parts, output))) in differences.iter().zip(parts).enumerate() {
            let [exponential, remainder] = parts else {
                return Err(wrong_trace(Self::NAME, VALUE_PARTS, parts.len()));
            };
            segment.namespace(format!("value {i}"), |segment| {
                let exponential = segment.alloc("exponential", from_i64(*exponential))?;
                segment.lookup_function(table, difference, &exponential)?;
                let output = range::alloc_limbs(segment, "output", *output, self.limbs())?;
                wires.values.push(output);
                wires.auxiliary.push(exponential);
                let remainder = divisor.remainder(segment, *remainder, bound)?;
                wires.auxiliary.push(remainder);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn constrain_row<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        (outputs, parts): (&[FirstWire<F>], &[FirstWire<F>]),
        row: &[FirstWire<F>],
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let [largest, sum, odd, parts @ ..] = parts else {
            return Err(wrong_trace(Self::NAME, self.parts(), parts.len()));
        };
        maximum::constrain(cs, &maximum::differences(largest, row))?;
        let exponentials = parts.iter().step_by(VALUE_PARTS);
        let total = FirstWire::sum(exponentials);
        cs.enforce_equal(|| "sum", sum.wire(), total.wire());
        let divisor = Divisor {
            value: sum.clone(),
            odd: odd.clone(),
        };
        divisor.constrain(cs);
        for (i, (parts, output)) in parts.chunks(VALUE_PARTS).zip(outputs).enumerate() {
            let [exponential, remainder] = parts else {
                return Err(wrong_trace(Self::NAME, VALUE_PARTS, parts.len()));
            };
            let dividend = exponential.scale(from_i64(self.scale));
            let mut cs = cs.namespace(|| format!("value {i}"));
            divisor.constrain_quotient(&mut cs, output, &dividend, remainder);
        }
        Ok(())
    }
}

impl IntegerLayer for Softmax {
    const NAME: &'static str = "softmax";

    fn operands(&self) -> Vec<usize> {
        vec![self.rows.saturating_mul(self.columns)]
    }

    fn outputs(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    fn table(&self) -> Option<FunctionTable> {
        Some(self.exponential_table())
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "inputs", &[self.rows, self.columns])?;
        check_rows(place, bits, self.exponentials.len())?;
        let (_, high) = tensor::range(bits);
        let advice = "give a share of one an output inside of the range of the activations";
        between(place, "scale", (1, high), self.scale, advice)?;
        let advice = "round multiples of exp(-d) that fit, with a positive one first";
        let first = self.exponentials.first().copied().unwrap_or(0);
        between(place, "first exponential", (1, LARGEST_SUM), first, advice)?;
        for entry in &self.exponentials {
            between(place, "exponential", (0, LARGEST_SUM), *entry, advice)?;
        }
        let advice = "use a smaller multiple of the exponentials";
        let range = (1, LARGEST_SUM);
        between(
            place,
            "sum of exponentials",
            range,
            self.largest_sum(),
            advice,
        )
    }

    fn repeated(&self, count: usize) -> Self {
        Softmax {
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
        let mut trace = LayerTrace::default();
        for row in operand(operands, 0).chunks(self.columns.max(1)) {
            let (outputs, parts) = self.evaluate_row(row);
            trace.values.extend(outputs);
            trace.auxiliary.extend(parts);
        }
        Ok(trace)
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace {
            values: vec![0; self.rows * self.columns],
            auxiliary: vec![0; self.rows * self.parts()],
            ..LayerTrace::default()
        }
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        let outputs = self.outputs();
        let input = whole_operand(Self::NAME, operands, 0, outputs)?;
        for (expected, got) in [
            (outputs, trace.values.len()),
            (self.rows * self.parts(), trace.auxiliary.len()),
        ] {
            check_trace(Self::NAME, expected, got)?;
        }
        let table = segment.table(&self.exponential_table());
        let columns = self.columns.max(1);
        let rows = input.chunks(columns).zip(trace.values.chunks(columns));
        let rows = rows.zip(trace.auxiliary.chunks(self.parts()));
        let mut wires = LayerWires::default();
        for (n, ((row, outputs), parts)) in rows.enumerate() {
            segment.namespace(format!("row {n}"), |segment| {
                self.commit_row((outputs, parts), row, table, segment, &mut wires)
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
        let input = whole_operand(Self::NAME, operands, 0, self.outputs())?;
        let columns = self.columns.max(1);
        let parts = wires.auxiliary.chunks(columns * VALUE_PARTS + ROW_PARTS);
        let rows = input.chunks(columns).zip(wires.values.chunks(columns));
        for (n, ((row, outputs), parts)) in rows.zip(parts).enumerate() {
            let mut cs = cs.namespace(|| format!("row {n}"));
            self.constrain_row((outputs, parts), row, &mut cs)?;
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let bound = self.largest_divisor();
        let value = self.limbs() + divide::remainder_lookups(bound);
        LayerCost {
            lookups: self.rows * self.columns * value,
            pairs: self.rows * self.columns,
            constraints: self.rows * (2 + maximum::constraints(self.columns) + self.columns),
            terms: self.rows.saturating_mul(self.row_terms()),
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |rows, columns, unit: f64, steepness: f64, scale| Softmax {
            rows,
            columns,
            exponentials: (0..256)
                .map(|d| (unit * (-f64::from(d) * steepness).exp()).round() as i64)
                .collect(),
            scale,
        };
        vec![
            sample(3, 7, 4096.0, 0.05, 127),
            sample(2, 1, 1.0, 0.0, 100),
            sample(1, 10, 65_535.0, 0.02, 127).repeated(2),
            sample(2, 3, 60.0, 0.5, 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Softmax;
    use crate::layer::IntegerLayer;

    #[test]
    fn shares_are_close_to_the_softmax_and_ordered_like_the_inputs() {
        let layer = &Softmax::samples()[0];
        let row = [10, -20, 35, 35, 0, 12, -128];
        let (outputs, _) = layer.evaluate_row(&row);
        let exponentials = row.map(|x| (f64::from(x as i32) * 0.05).exp());
        let sum: f64 = exponentials.iter().sum();
        for (output, e) in outputs.iter().zip(exponentials) {
            let exact = e / sum * 127.0;
            assert!((*output as f64 - exact).abs() < 0.6, "{outputs:?} {exact}");
        }
        assert_eq!(outputs[2], outputs[3]);
    }

    #[test]
    fn a_share_of_one_is_the_scale() {
        let layer = &Softmax::samples()[0];
        let (outputs, _) = layer.evaluate_row(&[127, -128, -128, -128, -128, -128, -128]);
        assert_eq!(outputs, [127, 0, 0, 0, 0, 0, 0]);
        let (outputs, _) = Softmax::samples()[1].evaluate_row(&[-5]);
        assert_eq!(outputs, [100]);
    }
}
