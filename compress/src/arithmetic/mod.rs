//! What verifiers are written against: field arithmetic and a transcript, native or in a circuit.
//!
//! A verifier that is generic in [`Arithmetic`] is one text for four uses: natively over F and over
//! Q, and in a circuit over F on native wires and on non-native elements. The verdict of the
//! circuit is therefore that of the native verifier, up to the arithmetic itself.
//!
//! The transcript lies over F, the field of the circuit. Elements of F are absorbed as they are,
//! elements of Q as their two short Eisenstein components, which only received elements have.
//! Challenges over F are full field elements; challenges over Q are endomorphism challenges of
//! 128 bits ([`foldnet_gadgets::challenge`]).

mod native;
mod primary;
mod secondary;

pub use native::{NativePrimary, NativeSecondary};
pub use primary::CircuitPrimary;
pub use secondary::CircuitSecondary;

use bellpepper_core::ConstraintSystem;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::ChallengeWires;
use foldnet_gadgets::wire::Wire;
use std::fmt::Debug;

/// Field arithmetic with a Fiat-Shamir transcript.
///
/// Names are for circuits: they say which constraint failed. An implementation makes them unique.
pub trait Arithmetic {
    /// The field of the values.
    type Field: CircuitField;
    /// A value in this arithmetic.
    type Element: Clone + Debug;
    /// [`crate::error::Rejected`] natively, a synthesis error in circuits.
    type Error: From<crate::error::Rejected>;

    /// A constant.
    fn constant(&self, value: Self::Field) -> Self::Element;

    /// The value under the current assignment.
    fn value(&self, x: &Self::Element) -> Self::Field;

    /// A value of the proof: in circuits it is allocated, and range-checked where it needs to be.
    ///
    /// # Errors
    /// Those of the circuit.
    fn receive(&mut self, name: &str, value: Self::Field) -> Result<Self::Element, Self::Error>;

    /// `a + b`.
    fn add(&self, a: &Self::Element, b: &Self::Element) -> Self::Element;

    /// `a - b`.
    fn sub(&self, a: &Self::Element, b: &Self::Element) -> Self::Element;

    /// `factor * a` for a small constant factor.
    fn scale(&self, factor: i64, a: &Self::Element) -> Self::Element;

    /// `a * b`.
    ///
    /// # Errors
    /// Those of the circuit.
    fn multiply(
        &mut self,
        name: &str,
        a: &Self::Element,
        b: &Self::Element,
    ) -> Result<Self::Element, Self::Error>;

    /// `sum_i a_i * b_i`, with one reduction where reductions cost something.
    ///
    /// # Errors
    /// Those of the circuit.
    fn inner_product(
        &mut self,
        name: &str,
        pairs: &[(Self::Element, Self::Element)],
    ) -> Result<Self::Element, Self::Error>;

    /// Enforces `a = b` as elements of the field.
    ///
    /// # Errors
    /// Natively [`crate::error::Rejected::Check`] naming `check` when they differ.
    fn enforce_equal(
        &mut self,
        check: &'static str,
        a: &Self::Element,
        b: &Self::Element,
    ) -> Result<(), Self::Error>;

    /// Absorbs elements that were [received](Self::receive) or squeezed, in order.
    ///
    /// # Errors
    /// Those of the circuit.
    fn absorb(&mut self, elements: &[Self::Element]) -> Result<(), Self::Error>;

    /// The challenge that binds everything absorbed so far.
    ///
    /// # Errors
    /// Those of the circuit.
    fn challenge(&mut self, name: &str) -> Result<Self::Element, Self::Error>;
}

/// The bits of a scalar of the other curve: `s = c_0 + c_1 lambda` with
/// `c_k = sum_i 2^i bit_(k, i) - 2^(n - 1)` for `n` bits, least significant first.
#[derive(Clone, Debug)]
pub struct ScalarBits<F: CircuitField> {
    /// Boolean wires of both components.
    pub components: [Vec<Wire<F>>; 2],
}

/// The circuit side of an arithmetic over Q: what verifiers that also use points need.
pub trait CircuitArithmetic<F: CircuitField, CS: ConstraintSystem<F>>: Arithmetic {
    /// The system, for constraints on wires.
    fn system(&mut self) -> &mut CS;

    /// Absorbs wires of the native field in order.
    fn absorb_wires(&mut self, wires: &[Wire<F>]);

    /// A challenge with its digits, for point operations.
    ///
    /// # Errors
    /// Those of the circuit.
    fn challenge_wires(
        &mut self,
        name: &str,
    ) -> Result<(ChallengeWires<F>, Self::Element), Self::Error>;

    /// The bits of an element's range-checked components; reduces it first if it has none.
    ///
    /// # Errors
    /// Those of the circuit.
    fn scalar_bits(&mut self, name: &str, x: &Self::Element) -> Result<ScalarBits<F>, Self::Error>;
}

/// Prover and native verifier share this view of the transcript.
pub trait Oracle<S> {
    /// Absorbs elements in order.
    fn absorb(&mut self, elements: &[S]);

    /// The challenge that binds everything absorbed so far.
    fn challenge(&mut self) -> S;
}
