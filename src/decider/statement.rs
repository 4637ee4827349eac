//! What succinct proofs state, as field elements: packed inputs and outputs.
//!
//! A statement element packs as many activations as fit ([`foldnet_layers::tensor::pack`]). Slots
//! beyond a tensor's length are zero, and the Groth16 circuit enforces it, so that whoever reads
//! elements from a contract's calldata may ignore them.
//!
//! A private side has one element, its commitment: the salted digest that the network's first or last
//! step hashed. The circuit takes it as it is and opens nothing ([`crate::visibility`]). Which sides are
//! private is a constant of the circuit.

use crate::error::Error;
use crate::program::{Tensor, activations};
use crate::session::{Architecture, Inference};
use crate::visibility::{Shown, Side, Sides, Visibility, expect};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::wire::{Wire, WireSystem, bits};
use foldnet_layers::tensor;

/// How activations are packed into statement elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Activations that mean something.
    pub length: usize,
    /// Activations with padding.
    pub capacity: usize,
    /// Width of an activation.
    pub bits: u32,
}

impl Packing {
    /// Number of statement elements.
    pub fn elements(&self) -> usize {
        self.capacity.div_ceil(tensor::per_element(self.bits))
    }

    /// The elements of some activations.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of activations, `FoldError::Statement` for one that no
    /// circuit would accept; both name `what` they are.
    pub fn pack<F: CircuitField>(
        &self,
        what: &'static str,
        values: &[i64],
    ) -> Result<Vec<F>, Error> {
        let padded = activations(what, values, (self.length, self.capacity), self.bits)?;
        Ok(tensor::pack(&padded, self.bits))
    }

    /// The digest of packed elements whose padding is enforced to be zero.
    ///
    /// Cost: one hash, and one decomposition of the element in which the tensor ends.
    ///
    /// # Errors
    /// Those of the system; [`SynthesisError::IncompatibleLengthVector`] for another number of
    /// elements.
    pub fn digest_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        constants: &HashConstants<F>,
        elements: &[Wire<F>],
    ) -> Result<Wire<F>, SynthesisError> {
        let zeros: Vec<F> = tensor::pack(&vec![0; self.capacity], self.bits);
        let per = tensor::per_element(self.bits);
        for (i, (element, zeros)) in elements.iter().zip(zeros).enumerate() {
            let used = self.length.saturating_sub(i * per).min(per);
            if used < per {
                self.enforce_padding(
                    &mut cs.namespace(|| format!("padding {i}")),
                    element,
                    zeros,
                    used,
                )?;
            }
        }
        let salt = Wire::zero();
        tensor::digest_packed_circuit(cs, constants, (self.capacity, self.bits), elements, &salt)
    }

    /// All slots from `used` on are those of `zeros`.
    fn enforce_padding<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        element: &Wire<F>,
        zeros: F,
        used: usize,
    ) -> Result<(), SynthesisError> {
        let width = self.bits as usize * used;
        let low: F = tensor::pack(&vec![0; used], self.bits)
            .first()
            .copied()
            .unwrap_or(F::ZERO);
        // `zeros - low` are the padded slots alone; what is left must fit the used ones.
        let rest = element.add_constant(low - zeros);
        if width == 0 {
            cs.enforce_equal(|| "no activations", &rest, &Wire::zero());
            return Ok(());
        }
        bits(cs, &rest, width).map(|_| ())
    }
}

/// What a Groth16 key fixes about statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementShape {
    /// Number of inferences.
    pub inferences: usize,
    /// Of an input.
    pub input: Packing,
    /// Of an output.
    pub output: Packing,
    /// Which sides are private: their packing is of no account.
    pub sides: Sides,
}

impl StatementShape {
    /// The shape of statements that show the inputs and outputs of `inferences` inferences of an
    /// architecture.
    pub fn new(architecture: &Architecture, inferences: usize) -> Self {
        let packing = |tensor: &Tensor| Packing {
            length: tensor.length,
            capacity: tensor.capacity,
            bits: architecture.bits,
        };
        StatementShape {
            inferences,
            input: packing(&architecture.input),
            output: packing(&architecture.output),
            sides: Sides::PUBLIC,
        }
    }

    /// The shape of statements that hide some sides.
    #[must_use]
    pub fn hiding(self, sides: Sides) -> Self {
        StatementShape { sides, ..self }
    }

    fn packing(&self, side: Side) -> Packing {
        match side {
            Side::Input => self.input,
            Side::Output => self.output,
        }
    }

    /// Number of statement elements of one side of an inference.
    pub fn side_elements(&self, side: Side) -> usize {
        match self.sides.of(side) {
            Visibility::Public => self.packing(side).elements(),
            Visibility::Private => 1,
        }
    }

    /// Number of statement elements: those of every input and output.
    pub fn elements(&self) -> usize {
        let sides = Side::ALL.map(|side| self.side_elements(side));
        self.inferences * sides.iter().sum::<usize>()
    }

    /// The statement elements: input and output of every inference in order.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of inferences or activations, `FoldError::Statement` for
    /// activations that no circuit would accept, for values of a private side, and for a commitment of
    /// a public one.
    pub fn pack<F: CircuitField>(&self, inferences: &[Inference]) -> Result<Vec<F>, Error> {
        if inferences.len() != self.inferences {
            return Err(Error::Length {
                what: "inferences",
                expected: self.inferences,
                got: inferences.len(),
            });
        }
        let mut elements = Vec::with_capacity(self.elements());
        for inference in inferences {
            for side in Side::ALL {
                let shown = inference.side(side);
                expect(side, self.sides.of(side), shown)?;
                match shown {
                    Shown::Values(values) => {
                        elements.extend(self.packing(side).pack::<F>(side.name(), values)?);
                    }
                    Shown::Commitment(bytes) => elements.push(Shown::element(bytes)?),
                }
            }
        }
        Ok(elements)
    }

    /// The digest of one side from its elements: enforced for a public side, and the element itself
    /// for a private one.
    ///
    /// # Errors
    /// Those of [`Packing::digest_circuit`].
    pub fn digest_circuit<F: CircuitField, CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        constants: &HashConstants<F>,
        side: Side,
        elements: &[Wire<F>],
    ) -> Result<Wire<F>, SynthesisError> {
        match (self.sides.of(side), elements) {
            (Visibility::Public, _) => self.packing(side).digest_circuit(cs, constants, elements),
            (Visibility::Private, [commitment]) => Ok(commitment.clone()),
            (Visibility::Private, _) => {
                let message = format!("commitment: expected 1 element, got {}", elements.len());
                Err(SynthesisError::IncompatibleLengthVector(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::error::FoldError;
    use foldnet_gadgets::field::power_of_two;
    use foldnet_gadgets::mock::MockSystem;
    use halo2curves::bn256::Fr;

    const PACKING: Packing = Packing {
        length: 33,
        capacity: 64,
        bits: 8,
    };

    fn digest_of(elements: &[Fr]) -> (Fr, Vec<String>) {
        let constants = HashConstants::default();
        let mut cs = MockSystem::<Fr>::default();
        let wires: Vec<_> = elements
            .iter()
            .enumerate()
            .map(|(i, e)| cs.wire(|| format!("element {i}"), *e).unwrap())
            .collect();
        let digest = PACKING.digest_circuit(&mut cs, &constants, &wires).unwrap();
        let failures = cs.failures();
        (
            digest.value(),
            failures.into_iter().map(|f| f.path).collect(),
        )
    }

    #[test]
    fn the_digest_of_packed_elements_is_that_of_the_padded_activations() {
        let constants = HashConstants::<Fr>::default();
        let mut values: Vec<i64> = (0..33).map(|i| i * 7 % 256 - 128).collect();
        let elements = PACKING.pack::<Fr>("input", &values).unwrap();
        assert_eq!(elements.len(), PACKING.elements());
        values.resize(64, 0);
        let expected = tensor::digest(&constants, &values, 8, Fr::from(0));
        assert_eq!(digest_of(&elements), (expected, vec![]));
    }

    #[test]
    fn activations_outside_their_range_are_refused() {
        // 255 and -1 + 256 in the next slot would be the same element.
        for values in [[128; 33], [-129; 33]] {
            let error = PACKING.pack::<Fr>("an output", &values).unwrap_err();
            let statement = Error::Fold(FoldError::Statement { what: "an output" });
            assert_eq!(error.to_string(), statement.to_string());
            assert!(error.is_rejection());
        }
    }

    #[test]
    fn padding_that_is_not_zero_is_rejected() {
        let elements = PACKING.pack::<Fr>("input", &[5; 33]).unwrap();
        for (element, slot) in [(1, 2), (1, 30), (2, 0), (2, 1)] {
            let mut changed = elements.clone();
            changed[element] += power_of_two::<Fr>(8 * slot);
            let (_, failures) = digest_of(&changed);
            let name = format!("padding {element}/");
            assert_eq!(failures.len(), 1, "{element} {slot}");
            assert!(failures[0].starts_with(&name), "{failures:?}");
        }
    }
}
