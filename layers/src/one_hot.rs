//! Integers as one-hot vectors: with a linear layer after it, a look-up in a table of weights.
//!
//! * Formula: `b[p,v] = 1` if `i_p = v + offset`, else 0, for the classes `v = 0, ..., C - 1`.
//! * Shapes: `i` is (positions), `b` is (positions, classes).
//! * Bounds: every `v + offset` is an activation. An index that is none of them has no one-hot vector:
//!   the evaluator refuses it, and no witness satisfies the constraints.
//! * Enforced: `b (1 - b) = 0` for every entry (`bit`); for every position `sum_v b[p,v] = 1` (`one`)
//!   and `sum_v (v + offset) b[p,v] = i_p` (`index`).
//! * Why that is the formula: the entries are bits, and there are fewer than the modulus, so that exactly
//!   one of a position is set. The index is then `v + offset` of that one, in the field and, because both
//!   are small, over the integers.
//! * Use: a table `T` of (classes, features) that is indexed by `i` is the matrix product of `b` with it
//!   (ONNX, operator `Gather`), a dense layer ([`crate::linear`]) on as many tokens as there are positions,
//!   which costs nothing per entry of the table.
//! * Cost of a position: a constraint a class and two.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace, operand,
    whole_operand,
};
use crate::tensor::{self, ACTIVATION_TERMS};
use crate::window::{between, length};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::wire::{Wire, WireSystem};
use serde::{Deserialize, Serialize};

/// One-hot vectors of indices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    /// Number of indices.
    pub positions: usize,
    /// `C`: length of each vector.
    pub classes: usize,
    /// The index whose vector has its first entry set.
    pub offset: i64,
}

impl OneHot {
    /// The largest index.
    fn last(&self) -> i64 {
        let classes = i64::try_from(self.classes).unwrap_or(i64::MAX);
        self.offset.saturating_add(classes.saturating_sub(1))
    }

    /// The indices of the classes.
    fn indices(&self) -> impl Iterator<Item = i64> {
        (self.offset..=self.last()).take(self.classes)
    }
}

impl IntegerLayer for OneHot {
    const NAME: &'static str = "one hot";

    fn operands(&self) -> Vec<usize> {
        vec![self.positions]
    }

    fn outputs(&self) -> usize {
        self.positions.saturating_mul(self.classes)
    }

    fn validate(&self, place: Place, bits: u32) -> Result<(), LayerError> {
        length(place, "outputs", &[self.positions, self.classes])?;
        let range = tensor::range(bits);
        let advice = "use wider activations or fewer classes";
        between(place, "smallest index", range, self.offset, advice)?;
        between(place, "largest index", range, self.last(), advice)
    }

    fn repeated(&self, count: usize) -> Self {
        OneHot {
            positions: self.positions * count,
            ..self.clone()
        }
    }

    fn evaluate(
        &self,
        place: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let mut values = Vec::with_capacity(self.outputs());
        for (position, index) in operand(operands, 0).iter().enumerate() {
            if !(self.offset..=self.last()).contains(index) {
                return Err(LayerError::Index {
                    place,
                    position,
                    low: self.offset,
                    high: self.last(),
                    got: *index,
                });
            }
            values.extend(self.indices().map(|class| i64::from(class == *index)));
        }
        Ok(LayerTrace::of_values(values))
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace::of_values(vec![0; self.outputs()])
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        _: &[&[FirstWire<F>]],
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        check_trace(Self::NAME, self.outputs(), trace.values.len())?;
        let mut values = Vec::with_capacity(self.outputs());
        for (p, bits) in trace.values.chunks(self.classes.max(1)).enumerate() {
            segment.namespace(format!("position {p}"), |segment| {
                for (v, bit) in bits.iter().enumerate() {
                    values.push(segment.alloc(format!("bit {v}"), from_i64(*bit))?);
                }
                Ok(())
            })?;
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
        let indices = whole_operand(Self::NAME, operands, 0, self.positions)?;
        let vectors = wires.values.chunks(self.classes.max(1));
        for (p, (index, bits)) in indices.iter().zip(vectors).enumerate() {
            let mut cs = cs.namespace(|| format!("position {p}"));
            for (v, bit) in bits.iter().enumerate() {
                cs.enforce_boolean(|| format!("bit {v}"), bit.wire());
            }
            let sum = Wire::sum(bits.iter().map(FirstWire::wire));
            cs.enforce_equal(|| "one", &sum, &Wire::one());
            let classes = self.indices().map(from_i64::<F>);
            let chosen = Wire::weighted_sum(classes.zip(bits.iter().map(FirstWire::wire)));
            cs.enforce_equal(|| "index", &chosen, index.wire());
        }
        Ok(())
    }

    fn cost(&self) -> LayerCost {
        let bits = self.outputs();
        // A bit and its complement, and each bit in both sums.
        let sums = self.positions.saturating_mul(ACTIVATION_TERMS + 3);
        LayerCost {
            constraints: bits.saturating_add(self.positions.saturating_mul(2)),
            terms: bits.saturating_mul(5).saturating_add(sums),
            ..LayerCost::default()
        }
    }

    fn samples() -> Vec<Self> {
        // Every activation of 8 bits is an index.
        let all = |positions| OneHot {
            positions,
            classes: 256,
            offset: -128,
        };
        vec![all(3), all(1).repeated(2)]
    }
}
