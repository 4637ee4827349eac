//! The folding engine: Nova with CycleFold, non-uniform, with committed witness segments and
//! accumulated weight claims.
//!
//! [`params::Params`] holds what is public, [`prover::Recursion`] runs step by step,
//! [`verifier::verify`] checks a finished run completely.

pub mod augmented;
pub mod cyclefold;
pub mod ending;
pub mod error;
pub mod params;
pub mod prover;
pub mod r1cs;
pub(crate) mod recursion;
pub(crate) mod sparse;
pub mod state;
pub mod verifier;
