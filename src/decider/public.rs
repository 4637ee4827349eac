//! The public data of a Groth16 proof and how they are bound.
//!
//! `D = (context, model, count, statement elements, limbs of every commitment, rho, blind, point,
//! value)` in fixed order and length. Three public inputs bind it: `p = Poseidon(D)`, computed in
//! the circuit; `gamma = keccak256(D, p) mod r`, computed by the verifier after `p` is fixed; and
//! `f = sum_j D_j gamma^j`, computed by both. If the circuit's `D` differed from the verifier's, then
//! either Poseidon collides or two different polynomials of low degree agree at `gamma`, which was
//! drawn after both were fixed.

use foldnet_gadgets::hash::Tag;

/// Domain of `p`.
pub const PUBLIC: Tag = Tag::new("foldnet public data");

/// The public data of the circuit, in the order in which
/// [`foldnet_compress::evm::public_data`] gives them to the verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicData<T> {
    /// Against replay: chain, contract and nonce, or zero.
    pub context: T,
    /// The model id.
    pub model: T,
    /// Number of inferences.
    pub count: T,
    /// Packed inputs and outputs.
    pub statement: Vec<T>,
    /// Low and high 128 bits of both coordinates of every commitment.
    pub commitments: Vec<[T; 4]>,
    /// `rho`.
    pub combination: T,
    /// The blind of the combined commitment.
    pub blind: T,
    /// The point at which the combined polynomial is opened.
    pub point: Vec<T>,
    /// Its value there.
    pub value: T,
}

impl<T> PublicData<T> {
    /// `D` in order.
    pub fn elements(self) -> Vec<T> {
        let mut elements = vec![self.context, self.model, self.count];
        elements.extend(self.statement);
        elements.extend(self.commitments.into_iter().flatten());
        elements.extend([self.combination, self.blind]);
        elements.extend(self.point);
        elements.push(self.value);
        elements
    }
}
