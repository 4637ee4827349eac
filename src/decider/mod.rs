//! Succinct proofs of a finished run.
//!
//! [`spartan`] proves, in one transcript, that every running instance is satisfied after the last
//! fold and that the accumulated weights evaluate as claimed; [`groth16`] proves that a Spartan
//! proof verifies, by the circuit in [`circuit`]. [`statement`] says how inputs and outputs look to
//! both, [`public`] what the Groth16 proof shows a contract.

pub mod circuit;
pub mod error;
pub mod groth16;
pub mod keys;
pub mod opening;
pub mod public;
pub mod spartan;
pub mod statement;
