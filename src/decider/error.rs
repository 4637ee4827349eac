//! What can go wrong while making and checking succinct proofs.

use crate::fold::error::FoldError;
use bellpepper_core::SynthesisError;
use foldnet_compress::error::Rejected;
use thiserror::Error;

/// An error of succinct proofs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeciderError {
    /// The last fold, the statement or a key is refused.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A check of the verifier failed.
    #[error("the proof is rejected: {0}")]
    Rejected(#[from] Rejected),
    /// A Spartan proof or a batch could not be made.
    #[error("the {part} could not be proven: {reason}; fold the run again")]
    Prove {
        /// Which part.
        part: &'static str,
        /// What the prover said.
        reason: String,
    },
    /// A part of Groth16 failed.
    #[error(transparent)]
    Groth16(#[from] foldnet_compress::groth16::Error),
    /// The key cannot open commitments.
    #[error(
        "the commitment key has no tau in G2; delete it from the cache or import powers of tau \
         again with `foldnet keys import`"
    )]
    NoOpeningKey,
    /// The circuit could not be synthesised.
    #[error("the decider circuit could not be built: {0}; the proof has parts of wrong lengths")]
    Synthesis(#[from] SynthesisError),
}

impl DeciderError {
    /// Whether the error is a verdict: the proof is false, or of something else.
    pub fn is_rejection(&self) -> bool {
        match self {
            DeciderError::Rejected(_) => true,
            DeciderError::Fold(error) => matches!(
                error,
                FoldError::Statement { .. }
                    | FoldError::Unsatisfied { .. }
                    | FoldError::Length { .. }
                    | FoldError::Kind { .. }
            ),
            _ => false,
        }
    }
}
