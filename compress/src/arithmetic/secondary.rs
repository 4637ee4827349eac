//! Arithmetic over Q in a circuit over F.

use super::{Arithmetic, CircuitArithmetic, ScalarBits};
use crate::nonnative::{Element, NonNative};
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::ChallengeWires;
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::Wire;

/// The circuit twin of [`super::NativeSecondary`], on the elements of [`crate::nonnative`].
///
/// * [`Arithmetic::multiply`] and [`Arithmetic::inner_product`] choose the cheapest way that the
///   tracked bounds admit: none for constants, three or six constraints for short products, a
///   congruence modulo `p` for products by a challenge, and modulo `p 2^LOW_BITS` otherwise.
/// * Every operation that allocates runs in the namespace `name counter`, so names are unique; two
///   arithmetics on one system need different namespaces.
/// * Enforced: all operations, and the ranges of everything received. The representative of a
///   received element is any within its range; the transcript binds the one that was absorbed.
#[derive(Debug)]
pub struct CircuitSecondary<'a, F: CircuitField, Q: CircuitField, CS: ConstraintSystem<F>> {
    cs: &'a mut CS,
    transcript: &'a mut TranscriptCircuit<F>,
    nonnative: NonNative<F, Q>,
    counter: usize,
}

impl<'a, F: CircuitField, Q: CircuitField, CS: ConstraintSystem<F>> CircuitSecondary<'a, F, Q, CS> {
    /// Arithmetic in a system, on a transcript.
    pub fn new(
        cs: &'a mut CS,
        transcript: &'a mut TranscriptCircuit<F>,
        params: &EisensteinParams<F, Q>,
    ) -> Self {
        CircuitSecondary {
            cs,
            transcript,
            nonnative: NonNative::new(params),
            counter: 0,
        }
    }

    /// The operations on elements, for those that come from elsewhere.
    pub fn nonnative(&self) -> &NonNative<F, Q> {
        &self.nonnative
    }

    fn unique(&mut self, name: &str) -> String {
        self.counter += 1;
        format!("{name} {}", self.counter)
    }
}

impl<F: CircuitField, Q: CircuitField, CS: ConstraintSystem<F>> Arithmetic
    for CircuitSecondary<'_, F, Q, CS>
{
    type Field = Q;
    type Element = Element<F>;
    type Error = SynthesisError;

    fn constant(&self, value: Q) -> Element<F> {
        self.nonnative.constant(&value)
    }

    fn value(&self, x: &Element<F>) -> Q {
        self.nonnative.value(x)
    }

    fn receive(&mut self, name: &str, value: Q) -> Result<Element<F>, SynthesisError> {
        let name = self.unique(name);
        Ok(self.nonnative.alloc(self.cs, &name, &value)?)
    }

    fn add(&self, a: &Element<F>, b: &Element<F>) -> Element<F> {
        a.add(b)
    }

    fn sub(&self, a: &Element<F>, b: &Element<F>) -> Element<F> {
        a.sub(b)
    }

    fn scale(&self, factor: i64, a: &Element<F>) -> Element<F> {
        a.scale(factor)
    }

    fn multiply(
        &mut self,
        name: &str,
        a: &Element<F>,
        b: &Element<F>,
    ) -> Result<Element<F>, SynthesisError> {
        let name = self.unique(name);
        Ok(self.nonnative.multiply(self.cs, &name, a, b)?)
    }

    fn inner_product(
        &mut self,
        name: &str,
        pairs: &[(Element<F>, Element<F>)],
    ) -> Result<Element<F>, SynthesisError> {
        let name = self.unique(name);
        Ok(self.nonnative.inner_product(self.cs, &name, pairs)?)
    }

    fn enforce_equal(
        &mut self,
        check: &'static str,
        a: &Element<F>,
        b: &Element<F>,
    ) -> Result<(), SynthesisError> {
        let name = self.unique(check);
        Ok(self.nonnative.enforce_equal(self.cs, &name, a, b)?)
    }

    fn absorb(&mut self, elements: &[Element<F>]) -> Result<(), SynthesisError> {
        for element in elements {
            self.transcript.absorb(element.hashed()?);
        }
        Ok(())
    }

    fn challenge(&mut self, name: &str) -> Result<Element<F>, SynthesisError> {
        let (_, element) = self.challenge_wires(name)?;
        Ok(element)
    }
}

impl<F: CircuitField, Q: CircuitField, CS: ConstraintSystem<F>> CircuitArithmetic<F, CS>
    for CircuitSecondary<'_, F, Q, CS>
{
    fn system(&mut self) -> &mut CS {
        self.cs
    }

    fn absorb_wires(&mut self, wires: &[Wire<F>]) {
        self.transcript.absorb(wires);
    }

    fn challenge_wires(
        &mut self,
        name: &str,
    ) -> Result<(ChallengeWires<F>, Element<F>), SynthesisError> {
        let name = self.unique(name);
        let mut cs = self.cs.namespace(|| name);
        let hash = self.transcript.squeeze(&mut cs)?;
        let challenge = ChallengeWires::from_hash(&mut cs, &hash)?;
        let element = self.nonnative.from_challenge(&challenge);
        Ok((challenge, element))
    }

    fn scalar_bits(&mut self, name: &str, x: &Element<F>) -> Result<ScalarBits<F>, SynthesisError> {
        let name = self.unique(name);
        let reduced = self.nonnative.reduce(self.cs, &name, x)?;
        match reduced.bits() {
            Some(components) => Ok(ScalarBits {
                components: components.clone(),
            }),
            None => Err(SynthesisError::AssignmentMissing),
        }
    }
}
