//! What can go wrong with circuits, keys and their files.

use super::Digest;
use bellpepper_core::SynthesisError;
use std::io;
use thiserror::Error;

/// Why a circuit cannot be proven or a key cannot be used.
///
/// Verdicts about proofs are [`crate::error::Rejected`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The circuit could not be written down.
    #[error("the circuit cannot be synthesised: {0}; check its parameters")]
    Synthesis(#[from] SynthesisError),
    /// The evaluation domain does not exist in the field.
    #[error(
        "{rows} rows need a domain larger than 2^{limit}; split the statement into smaller circuits"
    )]
    TooLarge {
        /// Constraints and consistency rows.
        rows: usize,
        /// Logarithm of the largest domain.
        limit: u32,
    },
    /// Witness and shape come from different circuits.
    #[error(
        "{what}: the shape has {expected}, the witness has {got}; synthesise both from the same circuit"
    )]
    Assignment {
        /// What was counted.
        what: &'static str,
        /// The count in the shape.
        expected: usize,
        /// The count in the witness.
        got: usize,
    },
    /// The witness violates a constraint.
    #[error(
        "constraint {row} is not satisfied; the statement is wrong or the witness was not computed for it"
    )]
    Unsatisfied {
        /// Index of the first constraint that fails, from 0.
        row: usize,
    },
    /// The finished proof does not verify.
    #[error(
        "the proof does not verify under its own key; the key file is not the one of this circuit, import or generate it again"
    )]
    SelfCheck,
    /// A file operation failed.
    #[error("{doing}: {source}; check that the path exists and that the disk has room")]
    Io {
        /// The operation.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("this is not a {expected}: it begins with {got}; check the path")]
    Foreign {
        /// The kind of file that was asked for.
        expected: &'static str,
        /// The first bytes, in hexadecimal.
        got: String,
    },
    /// The file was written in another version of its format.
    #[error(
        "the {what} has format version {got}, expected {expected}; make or convert it with a matching release"
    )]
    Version {
        /// The kind of file.
        what: &'static str,
        /// The version that is read.
        expected: u32,
        /// The version found.
        got: u32,
    },
    /// The key belongs to another circuit.
    #[error("the key is for circuit {got}, expected {expected}; use the key of this architecture")]
    Circuit {
        /// Digest of the circuit at hand.
        expected: Digest,
        /// Digest in the key.
        got: Digest,
    },
    /// Another key than the one asked for.
    #[error("the key is {got}, expected {expected}; fetch the key with the expected identity")]
    Identity {
        /// The identity asked for.
        expected: Digest,
        /// The identity found.
        got: Digest,
    },
    /// The content does not match the digest at its end.
    #[error("the {what} has digest {got}, expected {expected}; it is damaged, fetch it again")]
    Damaged {
        /// The kind of file.
        what: &'static str,
        /// The digest stored at the end of the file.
        expected: Digest,
        /// The digest of the content.
        got: Digest,
    },
    /// A file or a part of it has the wrong length.
    #[error(
        "{what}: expected {expected} bytes, got {got}; the file is cut off or not of this circuit"
    )]
    Length {
        /// The part.
        what: &'static str,
        /// Bytes that the circuit asks for.
        expected: u64,
        /// Bytes found.
        got: u64,
    },
    /// A field of a file has the wrong value.
    #[error(
        "{what}: expected {expected}, got {got}; the file was made for another circuit or curve"
    )]
    Field {
        /// The field.
        what: &'static str,
        /// The value that the circuit asks for.
        expected: String,
        /// The value found.
        got: String,
    },
    /// A point or a number of a file is outside its group or field.
    #[error("{what} is {problem}; do not use this file")]
    Invalid {
        /// The value.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Error {
    /// Names the operation that an input or output error interrupted.
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { doing, source }
    }

    /// Checks that a field of a file has the value that the circuit asks for.
    pub(super) fn field<T: PartialEq + ToString>(
        what: &'static str,
        expected: T,
        got: T,
    ) -> Result<(), Error> {
        if expected == got {
            return Ok(());
        }
        Err(Error::Field {
            what,
            expected: expected.to_string(),
            got: got.to_string(),
        })
    }
}
