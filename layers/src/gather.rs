//! Data movement: transposes, slices, padding with zeros, concatenation.
//!
//! * Formula: `y_i = x_(map_i)`, where `x` is the concatenation of the operands, or `y_i = 0` where
//!   the map has nothing.
//! * Enforced: nothing needs to be. An output is the very wire of its input, or the constant zero.
//! * Cost: none.

use crate::error::{LayerError, Place};
use crate::layer::{
    Challenges, IntegerLayer, LayerCost, LayerTrace, LayerWires, Weights, check_trace,
};
use crate::window::{length, within};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use serde::{Deserialize, Serialize};

/// Most operands of a concatenation.
const MOST_OPERANDS: usize = 64;

/// A fixed choice of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// Lengths of the operands.
    pub operands: Vec<usize>,
    /// For every output the position in the concatenated operands; none is zero.
    pub map: Vec<Option<usize>>,
}

impl Gather {
    /// Concatenates tensors of these lengths.
    pub fn concatenation(operands: &[usize]) -> Self {
        Gather {
            operands: operands.to_vec(),
            map: (0..operands.iter().sum()).map(Some).collect(),
        }
    }

    /// Where `count` inferences of this layer read: the operands hold one inference after the other.
    fn repeated_map(&self, count: usize) -> Vec<Option<usize>> {
        let source = |inference: usize, position: usize| {
            let mut rest = position;
            let mut before = 0;
            for length in &self.operands {
                if rest < *length {
                    return before * count + inference * length + rest;
                }
                rest -= length;
                before += length;
            }
            before * count
        };
        let one = |inference: usize| {
            let map = self.map.iter();
            map.map(move |position| position.map(|position| source(inference, position)))
        };
        (0..count).flat_map(one).collect()
    }
}

impl IntegerLayer for Gather {
    const NAME: &'static str = "gather";

    fn operands(&self) -> Vec<usize> {
        self.operands.clone()
    }

    fn outputs(&self) -> usize {
        self.map.len()
    }

    fn validate(&self, place: Place, _: u32) -> Result<(), LayerError> {
        let advice = "concatenate fewer tensors at once";
        within(
            place,
            "operands",
            (1, MOST_OPERANDS),
            self.operands.len(),
            advice,
        )?;
        length(place, "outputs", &[self.map.len()])?;
        let mut total = 0;
        for operand in &self.operands {
            total += length(place, "inputs", &[*operand])?;
        }
        let largest = self.map.iter().flatten().max().copied().unwrap_or(0);
        within(
            place,
            "position",
            (0, total - 1),
            largest,
            "read inside of the operands",
        )
    }

    fn repeated(&self, count: usize) -> Self {
        Gather {
            operands: self.operands.iter().map(|length| length * count).collect(),
            map: self.repeated_map(count),
        }
    }

    fn evaluate(
        &self,
        _: Place,
        _: Weights<'_>,
        operands: &[&[i64]],
    ) -> Result<LayerTrace, LayerError> {
        let values = operands.concat();
        let read =
            |position: &Option<usize>| position.and_then(|p| values.get(p).copied()).unwrap_or(0);
        Ok(LayerTrace::of_values(self.map.iter().map(read).collect()))
    }

    fn dummy_trace(&self) -> LayerTrace {
        LayerTrace::of_values(vec![0; self.map.len()])
    }

    fn commit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        trace: &LayerTrace,
        operands: &[&[FirstWire<F>]],
        _: &mut FirstSegment<'_, F, CS>,
    ) -> Result<LayerWires<F>, SynthesisError> {
        check_trace(Self::NAME, self.map.len(), trace.values.len())?;
        let wires: Vec<&FirstWire<F>> =
            operands.iter().flat_map(|operand| operand.iter()).collect();
        check_trace(Self::NAME, self.operands.iter().sum(), wires.len())?;
        let zero = FirstWire::constant(F::ZERO);
        let read = |position: &Option<usize>| {
            let wire = position.and_then(|p| wires.get(p).copied());
            wire.unwrap_or(&zero).clone()
        };
        Ok(LayerWires {
            values: self.map.iter().map(read).collect(),
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
        LayerCost::default()
    }

    fn samples() -> Vec<Self> {
        let transpose = Gather {
            operands: vec![6],
            map: [0, 2, 4, 1, 3, 5].map(Some).to_vec(),
        };
        let padded = Gather {
            operands: vec![2, 3],
            map: vec![None, Some(4), Some(0), None],
        };
        vec![
            Gather::concatenation(&[2, 3]).repeated(2),
            transpose,
            padded.repeated(3),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Gather;
    use crate::layer::IntegerLayer;

    #[test]
    fn inferences_are_gathered_one_by_one() {
        let joined = Gather::concatenation(&[2, 1]).repeated(2);
        assert_eq!(joined.operands, [4, 2]);
        // The operands hold (a0 a1 | b0 b1) and (c | d): the outputs are a0 a1 c, b0 b1 d.
        assert_eq!(joined.map, [0, 1, 4, 2, 3, 5].map(Some));
    }
}
