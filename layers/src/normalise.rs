//! Normalisation of rows: subtract the mean, divide by the standard deviation.
//!
//! * Formula, for a row of `n` values: `t = sum_i x_i`, `d_i = n x_i - t`, `V = sum_i d_i^2 + E`,
//!   `s = floor(sqrt(V))`, `v_i = floor((M d_i + floor(s / 2)) / s)`, `y_i = clamp(v_i, low, high)`.
//!   Since `d_i = n (x_i - mean)` and `V = n^3 (variance + E / n^3)`, this is `M / sqrt(n)` times the
//!   normalised value, rounded to nearest, ties up (layer normalisation, arXiv 1607.06450, section
//!   3; a gain and a bias are a linear layer after this one).
//! * Shapes: `x` and `y` are (rows, columns).
//! * Bounds: `E >= 1`, so `s >= 1`. `V <= n^3 (2^bits - 1)^2 / 4 + E < 2^62` (Popoviciu's inequality).
//!   `d_i^2 < V` makes `|d_i| <= s` and `|v_i| <= M`, which bounds what the clamp cuts off.
//! * Witness of a row: `t`, `s` and `p = V - s^2`. Of a value: `y`, the remainder `r` of the division,
//!   and `over` and `under` where `M` exceeds the clamp.
//! * Enforced: `t` is the sum; `s^2 + p = V` with `0 <= p <= 2 s`, so `s^2 <= V < (s + 1)^2`;
//!   `y + over - under` is the rounded quotient (`crate::divide`); `low <= y <= high`,
//!   `over (y - high) = 0`, `under (y - low) = 0`, which is the clamp as in [`crate::requantise`].
//! * Why `s` needs no range check of its own: `c = 2 s` is the sum of `p` and `2 s - p`, an integer
//!   that is small and not negative, and `c^2 = 4 (V - p)` makes it even.
//! * Assumed: the inputs are activations of `bits` bits, so that all of these are equations of
//!   integers.
//! * Cost of a row of `n` values: `n + 3` constraints and twice the lookups of `2 s`.
//!   Of a value: one constraint, the lookups of `y`, twice those of `s`, and two for each end of the
//!   clamp that `M` exceeds by less than 256.

use crate::divide::{self, Divisor};
use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    same_width, whole_operand, wrong_trace,
};
use crate::tensor::ACTIVATION_TERMS;
use crate::window::{between, length, within};
use crate::{range, tensor};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// Largest bound of `V`.
const LARGEST_VARIANCE: i128 = 1 << 62;

/// Largest `M`.
const LARGEST_MULTIPLIER: i64 = 1 << 32;

/// Numbers that a row keeps besides those of its values: `t`, `s` and `p` in a trace; `t`, `s`, `b`
/// and `p` as wires.
const ROW_PARTS: usize = 3;
const ROW_WIRES: usize = 4;

/// Numbers and wires that a value keeps besides its output: `r`, `over` and `under`.
const VALUE_PARTS: usize = 3;

/// Rows with mean zero and a common deviation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalise {
    /// Rows.
    pub rows: usize,
    /// `n`: values of a row.
    pub columns: usize,
    /// Width of the activations.
    pub bits: u32,
    /// `E`: `n^3` times what is added to the variance, in units of the inputs.
    pub epsilon: i64,
    /// `M`: `sqrt(n)` times the output of a deviation of one.
    pub multiplier: i64,
    /// Smallest output.
    pub low: i64,
    /// Largest output.
    pub high: i64,
}

/// The numbers of one normalised value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    output: i64,
    remainder: i64,
    over: i64,
    under: i64,
}

/// `floor(sqrt(x))` of a number that is not negative.
fn square_root(x: i128) -> i128 {
    u128::try_from(x).map_or(0, u128::isqrt).cast_signed()
}

impl Normalise {
    /// Bound of `V`; saturates.
    fn largest_variance(&self) -> i128 {
        let columns = i128::try_from(self.columns).unwrap_or(i128::MAX);
        let cube = columns.saturating_mul(columns).saturating_mul(columns);
        let spread = i128::from(tensor::unsigned_maximum(self.bits.min(32)));
        cube.saturating_mul(spread * spread / 4 + 1)
            .saturating_add(i128::from(self.epsilon))
    }

    /// Bound of `s`.
    fn largest_root(&self) -> u64 {
        u64::try_from(square_root(self.largest_variance())).unwrap_or(u64::MAX)
    }

    /// Limbs of `p` and of `2 s - p`.
    fn rest_limbs(&self) -> usize {
        range::limbs(self.largest_root().saturating_mul(2))
    }

    /// Limbs of `over` and of `under`: none where `M` does not reach beyond the clamp.
    fn excess_limbs(&self) -> [usize; 2] {
        let limbs = |excess: i64| range::limbs(u64::try_from(excess).unwrap_or(0));
        [
            limbs(self.multiplier.saturating_sub(self.high)),
            limbs(self.multiplier.saturating_add(self.low)),
        ]
    }

    /// `high - low`.
    fn width(&self) -> u64 {
        self.high.abs_diff(self.low)
    }

    /// Entries of the constraints of a row, with its lookups.
    fn row_terms(&self) -> usize {
        let (bound, rest) = (self.largest_root(), self.rest_limbs());
        let deviation = ACTIVATION_TERMS + 1;
        // `s^2 + p = V`, the sum of the row, and the ranges of `p` and `2 s - p`.
        let root = 2 + 1 + rest;
        let ranges = range::limb_terms(rest) + range::check_terms(1 + rest, rest);
        let row = root + 2 + ranges + divide::DIVISOR_TERMS;
        let [over, under] = self.excess_limbs();
        let output = range::limbs(self.width()) + 1;
        let end = |limbs: usize| {
            let constraint = if limbs > 0 { limbs + output } else { 0 };
            range::limb_terms(limbs) + constraint
        };
        let square = 2 * deviation + 1;
        let value = square
            + range::terms(self.width())
            + divide::remainder_terms(bound)
            + divide::quotient_terms(bound, output + over + under, deviation)
            + end(over)
            + end(under);
        // Each value and each square is in a sum of the row, too.
        let value = value + ACTIVATION_TERMS + 1;
        self.columns.saturating_mul(value).saturating_add(row)
    }

    /// Numbers in the trace besides the outputs.
    fn parts(&self) -> usize {
        self.columns * VALUE_PARTS + ROW_PARTS
    }

    fn evaluate_value(&self, deviation: i128, root: i128) -> Value {
        let dividend = deviation * i128::from(self.multiplier);
        let (value, remainder) = divide::rounded(dividend, root);
        let output = value.max(i128::from(self.low)).min(i128::from(self.high));
        let excess = value - output;
        let narrow = |x: i128| i64::try_from(x).unwrap_or(i64::MAX);
        Value {
            output: narrow(output),
            remainder: narrow(remainder),
            over: narrow(excess.max(0)),
            under: narrow(-excess.min(0)),
        }
    }

    /// The outputs of a row, and `t`, `s`, `p` and what each value keeps.
    fn evaluate_row(&self, row: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let total: i64 = row.iter().sum();
        let columns = i128::try_from(row.len()).unwrap_or(i128::MAX);
        let deviations: Vec<i128> = row
            .iter()
            .map(|x| columns * i128::from(*x) - i128::from(total))
            .collect();
        let squares = deviations.iter().map(|d| d * d);
        let variance = squares.sum::<i128>() + i128::from(self.epsilon);
        let root = square_root(variance);
        let rest = variance - root * root;
        let narrow = |x: i128| i64::try_from(x).unwrap_or(i64::MAX);
        let mut outputs = Vec::with_capacity(row.len());
        let mut parts = vec![total, narrow(root), narrow(rest)];
        for deviation in deviations {
            let value = self.evaluate_value(deviation, root);
            outputs.push(value.output);
            parts.extend([value.remainder, value.over, value.under]);
        }
        (outputs, parts)
    }

    /// `d_i`.
    fn deviations<F: CircuitField>(
        &self,
        row: &[FirstWire<F>],
        total: &FirstWire<F>,
    ) -> Vec<FirstWire<F>> {
        let columns = F::from(self.columns as u64);
        row.iter().map(|x| x.scale(columns).sub(total)).collect()
    }

    fn commit_row<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        (outputs, parts): (&[i64], &[i64]),
        segment: &mut FirstSegment<'_, F, CS>,
        wires: &mut LayerWires<F>,
    ) -> Result<(), SynthesisError> {
        let [total, root, rest, parts @ ..] = parts else {
            return Err(wrong_trace(Self::NAME, self.parts(), parts.len()));
        };
        let total = segment.alloc("total", from_i64(*total))?;
        let bound = self.largest_root();
        let root_wire = segment.alloc("root", from_i64(*root))?;
        let divisor = Divisor::commit(segment, &root_wire, *root)?;
        let limbs = self.rest_limbs();
        let rest = range::alloc_limbs(segment, "rest of the root", *rest, limbs)?;
        let complement = divisor.value.add(&divisor.value).sub(&rest);
        range::check_limbs(segment, "complement of the rest", &complement, limbs)?;
        let head = [total, root_wire, divisor.odd.clone(), rest];
        wires.auxiliary.extend(head);
        let [over_limbs, under_limbs] = self.excess_limbs();
        for (i, (parts, output)) in parts.chunks(VALUE_PARTS).zip(outputs).enumerate() {
            let [remainder, over, under] = parts else {
                return Err(wrong_trace(Self::NAME, VALUE_PARTS, parts.len()));
            };
            segment.namespace(format!("value {i}"), |segment| {
                let above = output.wrapping_sub(self.low);
                let output = range::alloc_at_most(segment, "output", above, self.width())?;
                let output = output.add_constant(from_i64(self.low));
                wires.values.push(output);
                let remainder = divisor.remainder(segment, *remainder, bound)?;
                let over = range::alloc_limbs(segment, "over", *over, over_limbs)?;
                let under = range::alloc_limbs(segment, "under", *under, under_limbs)?;
                wires.auxiliary.extend([remainder, over, under]);
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
        let [total, root, odd, rest, parts @ ..] = parts else {
            return Err(wrong_trace(Self::NAME, self.parts(), parts.len()));
        };
        let sum = FirstWire::sum(row);
        cs.enforce_equal(|| "total", total.wire(), sum.wire());
        let divisor = Divisor {
            value: root.clone(),
            odd: odd.clone(),
        };
        divisor.constrain(cs);
        let deviations = self.deviations(row, total);
        let mut square = Wire::constant(from_i64::<F>(self.epsilon)).sub(rest.wire());
        for (i, d) in deviations.iter().enumerate() {
            square.add_assign(&cs.product(|| format!("square {i}"), d.wire(), d.wire())?);
        }
        cs.enforce_product(|| "root", root.wire(), root.wire(), &square);
        let values = parts.chunks(VALUE_PARTS).zip(outputs);
        for (i, (deviation, (parts, output))) in deviations.iter().zip(values).enumerate() {
            let [remainder, over, under] = parts else {
                return Err(wrong_trace(Self::NAME, VALUE_PARTS, parts.len()));
            };
            let cs = &mut cs.namespace(|| format!("value {i}"));
            let dividend = deviation.scale(from_i64(self.multiplier));
            let quotient = output.add(over).sub(under);
            divisor.constrain_quotient(cs, &quotient, &dividend, remainder);
            self.constrain_clamp(cs, output, [over, under]);
        }
        Ok(())
    }

    /// The clamp cuts off only at its ends.
    fn constrain_clamp<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        output: &FirstWire<F>,
        [over, under]: [&FirstWire<F>; 2],
    ) {
        let [over_limbs, under_limbs] = self.excess_limbs();
        let distance = |end: i64| output.wire().add_constant(-from_i64::<F>(end));
        let zero = Wire::zero();
        if over_limbs > 0 {
            let distance = distance(self.high);
            cs.enforce_product(|| "over only at high", over.wire(), &distance, &zero);
        }
        if under_limbs > 0 {
            let distance = distance(self.low);
            cs.enforce_product(|| "under only at low", under.wire(), &distance, &zero);
        }
    }
}

impl IntegerLayer for Normalise {
    const NAME: &'static str = "normalise";

    fn operands(&self) -> Vec<usize> {
        vec![self.rows.saturating_mul(self.columns)]
    }

    fn outputs(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "inputs", &[self.rows, self.columns])?;
        same_width(place, bits, self.bits)?;
        let advice = "add a positive constant to the variance";
        let range = (1, 1 << 60);
        between(place, "epsilon", range, self.epsilon, advice)?;
        let advice = "choose a finer scale of the inputs or a coarser one of the outputs";
        let range = (1, LARGEST_MULTIPLIER);
        between(place, "multiplier", range, self.multiplier, advice)?;
        let (smallest, largest) = tensor::range(bits);
        let advice = "choose a clamp inside the range of the activations";
        between(place, "low", (smallest, largest - 1), self.low, advice)?;
        between(place, "high", (self.low + 1, largest), self.high, advice)?;
        if self.largest_variance() < LARGEST_VARIANCE {
            return Ok(());
        }
        let most = self.columns.saturating_sub(1);
        within(
            place,
            "columns",
            (1, most),
            self.columns,
            "normalise shorter rows",
        )
    }

    fn repeated(&self, count: usize) -> Self {
        Normalise {
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
        whole_operand(Self::NAME, operands, 0, outputs)?;
        for (expected, got) in [
            (outputs, trace.values.len()),
            (self.rows * self.parts(), trace.auxiliary.len()),
        ] {
            check_trace(Self::NAME, expected, got)?;
        }
        let rows = trace.values.chunks(self.columns.max(1));
        let rows = rows.zip(trace.auxiliary.chunks(self.parts()));
        let mut wires = LayerWires::default();
        for (n, trace) in rows.enumerate() {
            segment.namespace(format!("row {n}"), |segment| {
                self.commit_row(trace, segment, &mut wires)
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
        let parts = wires.auxiliary.chunks(columns * VALUE_PARTS + ROW_WIRES);
        let rows = input.chunks(columns).zip(wires.values.chunks(columns));
        for (n, ((row, outputs), parts)) in rows.zip(parts).enumerate() {
            let mut cs = cs.namespace(|| format!("row {n}"));
            self.constrain_row((outputs, parts), row, &mut cs)?;
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let bound = self.largest_root();
        let excess = self.excess_limbs();
        let clamp = excess.iter().filter(|limbs| **limbs > 0).count();
        let value = range::lookups(self.width())
            + divide::remainder_lookups(bound)
            + excess.iter().sum::<usize>();
        let row = 2 * self.rest_limbs();
        LayerCost {
            lookups: self.rows * (row + self.columns * value),
            constraints: self.rows * (3 + self.columns * (2 + clamp)),
            terms: self.rows.saturating_mul(self.row_terms()),
            ..LayerCost::default()
        }
    }

    fn samples() -> Vec<Self> {
        let sample = |rows, columns, epsilon, multiplier, (low, high)| Normalise {
            rows,
            columns,
            bits: 8,
            epsilon,
            multiplier,
            low,
            high,
        };
        vec![
            sample(2, 9, 100, 150, (-128, 127)),
            sample(3, 4, 1, 60, (-128, 127)),
            sample(1, 6, 3000, 100, (-20, 30)).repeated(2),
            sample(2, 1, 7, 5, (0, 127)),
            sample(1, 12, 1 << 40, 900, (-128, 100)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{Normalise, square_root};
    use crate::layer::IntegerLayer;

    #[test]
    fn outputs_are_close_to_the_normalised_values() {
        let layer = &Normalise::samples()[0];
        let row = [-100, 20, 35, 35, 0, 120, -128, 5, 6];
        let (outputs, _) = layer.evaluate_row(&row);
        let n = row.len() as f64;
        let mean = row.iter().sum::<i64>() as f64 / n;
        let squares = row.iter().map(|x| (*x as f64 - mean).powi(2));
        let deviation = (squares.sum::<f64>() / n + 100.0 / n.powi(3)).sqrt();
        for (output, x) in outputs.iter().zip(row) {
            let exact = (x as f64 - mean) / deviation * 150.0 / n.sqrt();
            assert!((*output as f64 - exact).abs() < 0.6, "{outputs:?} {exact}");
        }
    }

    #[test]
    fn constant_rows_become_zero_and_extremes_stay_in_bounds() {
        for layer in Normalise::samples() {
            let n = layer.columns;
            let (outputs, _) = layer.evaluate_row(&vec![77; n]);
            assert_eq!(outputs, vec![0.max(layer.low); n]);
            let alternating: Vec<i64> = (0..n)
                .map(|i| if i % 2 == 0 { -128 } else { 127 })
                .collect();
            let mut peak = vec![-128; n];
            peak[0] = 127;
            for row in [alternating, peak] {
                let (_, parts) = layer.evaluate_row(&row);
                assert!(parts[1] as u64 <= layer.largest_root());
                for value in parts[3..].chunks(3) {
                    let excess = (layer.multiplier - layer.high).max(0);
                    assert!(value[1] <= excess, "{layer:?} {value:?}");
                    let excess = (layer.multiplier + layer.low).max(0);
                    assert!(value[2] <= excess, "{layer:?} {value:?}");
                }
            }
        }
    }

    #[test]
    fn roots_are_exact_around_squares() {
        for root in [1i128, 2, 3, 255, 256, 65_535, (1 << 31) - 1] {
            let square = root * root;
            let roots = [square - 1, square, square + 2 * root].map(square_root);
            assert_eq!(roots, [root - 1, root, root]);
        }
        assert_eq!(square_root(-1), 0);
    }
}
