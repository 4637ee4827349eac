//! Why a proof is rejected.

use bellpepper_core::SynthesisError;
use thiserror::Error;

/// A verifier's verdict against a proof.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// A check failed.
    #[error("{check} does not hold; the proof is wrong or belongs to another statement")]
    Check {
        /// The equation or condition.
        check: &'static str,
    },
    /// A part has the wrong length.
    #[error("{what}: expected {expected}, got {got}; the proof belongs to another architecture")]
    Length {
        /// The part.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length found.
        got: usize,
    },
}

impl Rejected {
    /// Checks that two lengths agree.
    ///
    /// # Errors
    /// [`Rejected::Length`] when they do not.
    pub fn lengths(what: &'static str, expected: usize, got: usize) -> Result<(), Self> {
        if expected == got {
            Ok(())
        } else {
            Err(Rejected::Length {
                what,
                expected,
                got,
            })
        }
    }
}

impl From<Rejected> for SynthesisError {
    fn from(error: Rejected) -> Self {
        match error {
            Rejected::Length { .. } => SynthesisError::IncompatibleLengthVector(error.to_string()),
            // The only variant with room for a cause.
            Rejected::Check { .. } => SynthesisError::IoError(std::io::Error::other(error)),
        }
    }
}
