//! Small proofs of relaxed R1CS instances.
//!
//! * [`spartan`] proves that a relaxed instance is satisfied and leaves claims about committed
//!   polynomials; [`batch`] merges claims into one.
//! * [`mercury`] opens that one claim on BN254, [`ipa`] on curves without a pairing.
//! * [`arithmetic`] is what verifiers are written against, so that the native verifier and its
//!   circuit are the same text; [`nonnative`], [`bilinear`] and [`structured`] are the parts of a
//!   circuit that have no native counterpart.
//! * [`groth16`] proves a circuit; [`evm`] runs the contract that verifies it.
//!
//! Nothing here knows what the instances are about.

pub mod arithmetic;
pub mod batch;
pub mod bilinear;
pub mod error;
pub mod evm;
pub mod groth16;
pub mod ipa;
pub mod mercury;
pub mod nonnative;
pub mod shape;
pub mod spartan;
pub mod structured;
mod tables;
