//! What can go wrong while making and checking succinct proofs.

use crate::fold::error::FoldError;
use bellpepper_core::SynthesisError;
use foldnet_compress::error::Rejected;
use std::path::PathBuf;
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
    /// A file of a Groth16 key or circuit cannot be used.
    #[error("cannot use {}: {source}; delete it to have it made again", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: foldnet_compress::groth16::Error,
    },
    /// A file of a Groth16 key or circuit is under the name of another.
    #[error(
        "{} is of circuit {got}, and its name stands for {expected}; delete it to have it made again",
        path.display()
    )]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// What the name stands for.
        expected: String,
        /// What the file says.
        got: String,
    },
    /// The proving key of a verifying key is missing.
    #[error(
        "{} has no proving key beside it; put that file back, or delete this one to have another \
         key made, under which contracts and proofs of the old one are worth nothing",
        path.display()
    )]
    Alone {
        /// The verifying key.
        path: PathBuf,
    },
    /// A file beside the keys cannot be read or written.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// The verifying key is of another circuit.
    #[error(
        "the verifying key is of circuit {got}, expected {expected}; it belongs to another \
         architecture or release"
    )]
    Circuit {
        /// The circuit of the proof's architecture.
        expected: String,
        /// The circuit of the key.
        got: String,
    },
    /// A file or directory cannot be read or made.
    #[error("cannot open {}: {source}; check the path and its permissions", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The contract's twin refuses a proof.
    #[error("the proof is rejected: {0}")]
    Refused(#[from] foldnet_compress::evm::Refusal),
    /// The embedded machine failed.
    #[error(transparent)]
    Machine(#[from] foldnet_compress::evm::EvmError),
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
            DeciderError::Rejected(_) | DeciderError::Refused(_) => true,
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
