//! Circuit arithmetic over F, the native field of the circuit.
//!
//! Elements are linear forms, so that additions and constant factors are free and a product costs
//! one constraint. Challenges are full field elements, as in [`super::NativePrimary`].

use super::Arithmetic;
use bellpepper_core::{ConstraintSystem, Namespace, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};

/// Arithmetic on wires, on a transcript that outlives it.
///
/// Names get a running number, so that a verifier may run many times in one namespace; two
/// arithmetics need two namespaces.
#[derive(Debug)]
pub struct CircuitPrimary<'a, F: CircuitField, CS: ConstraintSystem<F>> {
    cs: &'a mut CS,
    transcript: &'a mut TranscriptCircuit<F>,
    names: usize,
}

impl<'a, F: CircuitField, CS: ConstraintSystem<F>> CircuitPrimary<'a, F, CS> {
    /// Arithmetic in a system, on a transcript.
    pub fn new(cs: &'a mut CS, transcript: &'a mut TranscriptCircuit<F>) -> Self {
        CircuitPrimary {
            cs,
            transcript,
            names: 0,
        }
    }

    /// The system, for constraints on wires.
    pub fn system(&mut self) -> &mut CS {
        self.cs
    }

    /// The transcript, for what is absorbed beside the elements.
    pub fn transcript(&mut self) -> &mut TranscriptCircuit<F> {
        self.transcript
    }

    /// A namespace of its own for a part that makes its own constraints.
    pub fn namespace(&mut self, name: &str) -> Namespace<'_, F, CS::Root> {
        let number = self.number();
        self.cs.namespace(|| numbered(name, number))
    }

    fn number(&mut self) -> usize {
        self.names += 1;
        self.names
    }
}

fn numbered(name: &str, number: usize) -> String {
    format!("{name} [{number}]")
}

impl<F: CircuitField, CS: ConstraintSystem<F>> Arithmetic for CircuitPrimary<'_, F, CS> {
    type Field = F;
    type Element = Wire<F>;
    type Error = SynthesisError;

    fn constant(&self, value: F) -> Wire<F> {
        Wire::constant(value)
    }

    fn value(&self, x: &Wire<F>) -> F {
        x.value()
    }

    fn receive(&mut self, name: &str, value: F) -> Result<Wire<F>, SynthesisError> {
        let number = self.number();
        self.cs.wire(|| numbered(name, number), value)
    }

    fn add(&self, a: &Wire<F>, b: &Wire<F>) -> Wire<F> {
        a.add(b)
    }

    fn sub(&self, a: &Wire<F>, b: &Wire<F>) -> Wire<F> {
        a.sub(b)
    }

    fn scale(&self, factor: i64, a: &Wire<F>) -> Wire<F> {
        a.scale(from_i64(factor))
    }

    fn multiply(
        &mut self,
        name: &str,
        a: &Wire<F>,
        b: &Wire<F>,
    ) -> Result<Wire<F>, SynthesisError> {
        let number = self.number();
        self.cs.product(|| numbered(name, number), a, b)
    }

    /// One constraint a pair; the last one also allocates the sum.
    fn inner_product(
        &mut self,
        name: &str,
        pairs: &[(Wire<F>, Wire<F>)],
    ) -> Result<Wire<F>, SynthesisError> {
        let Some(((a, b), rest)) = pairs.split_last() else {
            return Ok(Wire::zero());
        };
        let mut cs = self.namespace(name);
        let mut partial = Wire::zero();
        for (i, (a, b)) in rest.iter().enumerate() {
            partial.add_assign(&cs.product(|| format!("product {i}"), a, b)?);
        }
        let sum = cs.wire(|| "sum", partial.value() + a.value() * b.value())?;
        cs.enforce_product(|| "sum", a, b, &sum.sub(&partial));
        Ok(sum)
    }

    fn enforce_equal(
        &mut self,
        check: &'static str,
        a: &Wire<F>,
        b: &Wire<F>,
    ) -> Result<(), SynthesisError> {
        let number = self.number();
        self.cs.enforce_equal(|| numbered(check, number), a, b);
        Ok(())
    }

    fn absorb(&mut self, elements: &[Wire<F>]) -> Result<(), SynthesisError> {
        self.transcript.absorb(elements);
        Ok(())
    }

    fn challenge(&mut self, name: &str) -> Result<Wire<F>, SynthesisError> {
        let number = self.number();
        let mut cs = self.cs.namespace(|| numbered(name, number));
        self.transcript.squeeze(&mut cs)
    }
}
