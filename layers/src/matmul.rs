//! Products of two tensors of activations: attention scores and their application to values.
//!
//! * Formula: `y[h,p,n] = c sum_k A[h,p,k] B[h,k,n]` with a constant `c`, or `B[h,n,k]` if the right
//!   operand is transposed, then [`crate::requantise`].
//! * Shapes: `A` is (batch, rows, inner), `B` is (batch, inner, columns) or (batch, columns, inner),
//!   `y` is (batch, rows, columns).
//! * Bounds: `|y| < 2^accumulator_bits`, proven by the compiler.
//! * Enforced: the outputs are the requantised accumulators, and with challenges `s` and `t` and `P`
//!   rows,
//!
//!   `sum_(h,p,n) s^(h P + p) t^n y[h,p,n] = c sum_h s^(h P) sum_k (sum_p s^p A[h,p,k]) (sum_n t^n
//!   B[h,k,n])`,
//!
//!   one equation for the whole layer (Freivalds 1977; Thaler, eprint 2013/351, section 4).
//! * Assumed: `A`, `B` and `y` lie in the first segment, to whose commitment the challenges are
//!   bound.
//!
//! Soundness: if some accumulator is wrong, the difference of both sides is a polynomial in `s` and
//! `t` with a non-zero coefficient, because `h P + p` and `n` name every accumulator once. Its
//! degree is below `batch * rows + columns`, so it vanishes with probability below
//! `(batch * rows + columns) / |F|` (Schwartz-Zippel). Sums by Horner's rule cost one product a term.
//!
//! * Cost, with `H`, `P`, `K`, `N` for batch, rows, inner and columns: `H (P N + P K + K N - K)`
//!   products and what `s^P` costs, besides the lookups and clamps of the outputs.

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
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// Matrix products of two tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul {
    /// `H`: products.
    pub batch: usize,
    /// `P`: rows of the left matrices.
    pub rows: usize,
    /// `K`: length of the sums.
    pub inner: usize,
    /// `N`: columns of the outputs.
    pub columns: usize,
    /// Whether the right matrices are given as (columns, inner).
    pub transposed_right: bool,
    /// `c`.
    pub multiplier: i64,
    /// From accumulators to outputs.
    pub requantise: Requantise,
}

impl MatMul {
    fn left(&self) -> usize {
        product(&[self.batch, self.rows, self.inner])
    }

    fn right(&self) -> usize {
        product(&[self.batch, self.inner, self.columns])
    }

    /// The position of `B[h,k,n]`.
    fn right_index(&self, h: usize, k: usize, n: usize) -> usize {
        if self.transposed_right {
            (h * self.columns + n) * self.inner + k
        } else {
            (h * self.inner + k) * self.columns + n
        }
    }

    /// Entries of the constraints of the product, without those of the requantisation.
    ///
    /// A product of Horner's rule, one a value but the first, has the sum so far, one variable, with
    /// the value before it; the challenge; and the result.
    fn product_terms(&self) -> usize {
        let horner = |values: usize, entries: usize| product(&[values, entries + 3]);
        let [h, p, k, n] = [self.batch, self.rows, self.inner, self.columns];
        let [p1, n1] = [p, n].map(|count| count.saturating_sub(1));
        let accumulator = self.requantise.accumulator_terms();
        let rows = horner(product(&[h, p]).saturating_sub(1), accumulator + 1);
        let outputs = horner(product(&[h, p, n1]), accumulator);
        let operands = horner(product(&[h, k, p1 + n1]), ACTIVATION_TERMS);
        let combined = 2 * (ACTIVATION_TERMS + 1) + 1;
        let sums = product(&[h, k]).saturating_mul(combined + 1);
        let last = accumulator + k + 4 + 3 * (power_products(p) + h);
        [rows, outputs, operands, sums, last]
            .iter()
            .fold(0, |sum: usize, terms| sum.saturating_add(*terms))
    }

    /// `sum_(h,p,n) s^(h P + p) t^n y[h,p,n]`.
    fn combine_outputs<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        wires: &LayerWires<F>,
        challenges: &Challenges<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let mut rows = Vec::with_capacity(self.batch * self.rows);
        for (i, row) in wires.requantised.chunks(self.columns.max(1)).enumerate() {
            let row = row.iter().map(|parts| parts.accumulator.wire());
            let mut cs = cs.namespace(|| format!("output row {i}"));
            rows.push(horner(&mut cs, &challenges.output, row)?);
        }
        let mut cs = cs.namespace(|| "output rows");
        horner(&mut cs, &challenges.position, rows.iter())
    }

    /// `sum_k (sum_p s^p A[h,p,k]) (sum_n t^n B[h,k,n])` of one product.
    fn combine_operands<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        (left, right): (&[FirstWire<F>], &[FirstWire<F>]),
        h: usize,
        challenges: &Challenges<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let mut sum = Wire::zero();
        for k in 0..self.inner {
            let column =
                (0..self.rows).filter_map(|p| left.get((h * self.rows + p) * self.inner + k));
            let row = (0..self.columns).filter_map(|n| right.get(self.right_index(h, k, n)));
            let mut cs = cs.namespace(|| format!("term {k}"));
            let column = column.map(FirstWire::wire);
            let a = horner(&mut cs.namespace(|| "left"), &challenges.position, column)?;
            let row = row.map(FirstWire::wire);
            let b = horner(&mut cs.namespace(|| "right"), &challenges.output, row)?;
            sum.add_assign(&cs.product(|| "product", &a, &b)?);
        }
        Ok(sum)
    }
}

fn product(factors: &[usize]) -> usize {
    factors
        .iter()
        .fold(1, |n, factor| n.saturating_mul(*factor))
}

/// `sum_i base^i values_i`: one product a value but the first.
fn horner<'a, F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    base: &Wire<F>,
    values: impl DoubleEndedIterator<Item = &'a Wire<F>>,
) -> Result<Wire<F>, SynthesisError> {
    let mut values = values.rev();
    let mut sum = values.next().cloned().unwrap_or_else(Wire::zero);
    for (i, value) in values.enumerate() {
        sum = cs.product(|| format!("Horner {i}"), &sum, base)?.add(value);
    }
    Ok(sum)
}

/// `base^exponent` by squaring, for `exponent >= 1`.
fn power<F: CircuitField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    base: &Wire<F>,
    exponent: usize,
) -> Result<Wire<F>, SynthesisError> {
    let mut power = base.clone();
    for bit in (0..exponent.max(1).ilog2()).rev() {
        power = cs.product(|| format!("square {bit}"), &power, &power)?;
        if exponent >> bit & 1 == 1 {
            power = cs.product(|| format!("multiple {bit}"), &power, base)?;
        }
    }
    Ok(power)
}

/// The products of [`power`].
fn power_products(exponent: usize) -> usize {
    (exponent.max(1).ilog2() + exponent.max(1).count_ones() - 1) as usize
}

impl IntegerLayer for MatMul {
    const NAME: &'static str = "matrix product";

    fn operands(&self) -> Vec<usize> {
        vec![self.left(), self.right()]
    }

    fn outputs(&self) -> usize {
        product(&[self.batch, self.rows, self.columns])
    }

    fn needs_challenges(&self) -> bool {
        true
    }

    fn requantise_mut(&mut self) -> Option<&mut Requantise> {
        Some(&mut self.requantise)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "left values", &[self.batch, self.rows, self.inner])?;
        length(
            place,
            "right values",
            &[self.batch, self.inner, self.columns],
        )?;
        length(place, "outputs", &[self.batch, self.rows, self.columns])?;
        self.requantise.validate(place, bits)
    }

    fn repeated(&self, count: usize) -> Self {
        MatMul {
            batch: self.batch * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        place: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let (left, right) = (operand(operands, 0), operand(operands, 1));
        let mut accumulators = Vec::with_capacity(self.outputs());
        for (i, row) in left.chunks(self.inner.max(1)).enumerate() {
            let h = i / self.rows.max(1);
            for n in 0..self.columns {
                let column = (0..self.inner).filter_map(|k| right.get(self.right_index(h, k, n)));
                let products = row.iter().zip(column);
                let sum = products.fold(0i128, |sum, (a, b)| {
                    sum.saturating_add(i128::from(*a) * i128::from(*b))
                });
                accumulators.push(sum.saturating_mul(i128::from(self.multiplier)));
            }
        }
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
        challenges: Option<&Challenges<F>>,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        self.requantise.constrain_all(cs, wires);
        let challenges = challenges.ok_or(SynthesisError::AssignmentMissing)?;
        let left = whole_operand(Self::NAME, operands, 0, self.left())?;
        let right = whole_operand(Self::NAME, operands, 1, self.right())?;
        let outputs = self.combine_outputs(cs, wires, challenges)?;
        let mut products = Vec::with_capacity(self.batch);
        for h in 0..self.batch {
            let mut cs = cs.namespace(|| format!("product {h}"));
            products.push(self.combine_operands(&mut cs, (left, right), h, challenges)?);
        }
        let mut products_cs = cs.namespace(|| "products");
        let operands = if self.batch > 1 {
            let step = power(&mut products_cs, &challenges.position, self.rows)?;
            horner(&mut products_cs, &step, products.iter())?
        } else {
            Wire::sum(&products)
        };
        drop(products_cs);
        let scaled = operands.scale(from_i64(self.multiplier));
        cs.enforce_equal(|| "products agree", &outputs, &scaled);
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let [h, p, k, n] = [self.batch, self.rows, self.inner, self.columns];
        let outputs = (h * p * n).saturating_sub(1);
        let operands = h * k * (p + n).saturating_sub(1);
        let products = if h > 1 { h - 1 + power_products(p) } else { 0 };
        let cost = self.requantise.cost(self.outputs());
        cost.plus(outputs + operands + products + 1)
            .plus_terms(self.product_terms())
    }

    fn samples() -> Vec<Self> {
        let sample =
            |[batch, rows, inner, columns]: [usize; 4], transposed_right, multiplier| MatMul {
                batch,
                rows,
                inner,
                columns,
                transposed_right,
                multiplier,
                requantise: Requantise {
                    shift: 12,
                    low: -128,
                    high: 127,
                    accumulator_bits: 27,
                    ties: Ties::Up,
                },
            };
        vec![
            sample([1, 3, 4, 5], false, 100),
            sample([2, 4, 3, 4], true, -70),
            sample([3, 5, 2, 1], false, 200),
            sample([1, 1, 6, 1], true, 33),
            sample([2, 1, 1, 3], false, 127).repeated(2),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{power, power_products};
    use ff::Field;
    use foldnet_gadgets::mock::MockSystem;
    use foldnet_gadgets::wire::WireSystem;
    use halo2curves::bn256::Fr;

    #[test]
    fn powers_are_right_and_cost_what_they_say() {
        for exponent in 1..40usize {
            let mut cs = MockSystem::<Fr>::default();
            let base = cs.wire(|| "base", Fr::from(5)).unwrap();
            let value = power(&mut cs, &base, exponent).unwrap().value();
            assert_eq!(value, Fr::from(5).pow_vartime([exponent as u64]));
            assert_eq!(cs.constraint_count(), power_products(exponent));
            assert!(cs.failures().is_empty());
        }
    }
}
