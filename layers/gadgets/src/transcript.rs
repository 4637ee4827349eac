//! A Fiat-Shamir transcript on Poseidon, native and in-circuit.
//!
//! The state is a list that starts with the domain tag. Absorbing appends; squeezing hashes the
//! list and replaces it by the result, which is the challenge. Since each hash binds its number of
//! elements and chains on the one before, equal challenges mean equal sequences of absorptions.
//! Challenges are full field elements.

use crate::field::CircuitField;
use crate::hash::{HashConstants, Tag, permute, permute_circuit};
use crate::wire::Wire;
use bellpepper_core::{ConstraintSystem, SynthesisError};

/// The native transcript.
#[derive(Clone, Debug)]
pub struct Transcript<F: CircuitField> {
    constants: HashConstants<F>,
    state: Vec<F>,
}

impl<F: CircuitField> Transcript<F> {
    /// A transcript for one purpose.
    pub fn new(constants: &HashConstants<F>, tag: Tag) -> Self {
        Transcript {
            constants: constants.clone(),
            state: vec![tag.element()],
        }
    }

    /// Absorbs elements in order.
    pub fn absorb(&mut self, elements: &[F]) {
        self.state.extend_from_slice(elements);
    }

    /// The challenge that binds everything absorbed so far.
    pub fn squeeze(&mut self) -> F {
        let challenge = permute(&self.constants, &self.state);
        self.state = vec![challenge];
        challenge
    }
}

/// The circuit twin of [`Transcript`].
#[derive(Clone, Debug)]
pub struct TranscriptCircuit<F: CircuitField> {
    constants: HashConstants<F>,
    state: Vec<Wire<F>>,
    squeezed: usize,
}

impl<F: CircuitField> TranscriptCircuit<F> {
    /// A transcript for one purpose.
    pub fn new(constants: &HashConstants<F>, tag: Tag) -> Self {
        TranscriptCircuit {
            constants: constants.clone(),
            state: vec![Wire::constant(tag.element())],
            squeezed: 0,
        }
    }

    /// Absorbs wires in order.
    pub fn absorb<'a>(&mut self, wires: impl IntoIterator<Item = &'a Wire<F>>) {
        self.state.extend(wires.into_iter().cloned());
    }

    /// The challenge that binds everything absorbed so far.
    ///
    /// # Errors
    /// Only those of the underlying system.
    pub fn squeeze<CS: ConstraintSystem<F>>(
        &mut self,
        cs: &mut CS,
    ) -> Result<Wire<F>, SynthesisError> {
        self.squeezed += 1;
        let squeezed = self.squeezed;
        let mut namespace = cs.namespace(|| format!("squeeze {squeezed}"));
        let challenge = permute_circuit(&mut namespace, &self.constants, &self.state)?;
        self.state = vec![challenge.clone()];
        Ok(challenge)
    }
}
