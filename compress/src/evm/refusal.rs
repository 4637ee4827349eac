//! The contract's errors.

use crate::mercury::keccak;
use crate::mercury::words::Word;
use thiserror::Error;

/// Why the contract does not accept; names and fields are those of its custom errors.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Calldata is longer than its arrays, or they do not lie one after another.
    #[error("calldata is not laid out as expected; encode it with this library")]
    CalldataLayout,
    /// Wrong number of elements.
    #[error("statement: expected {expected} elements, got {got}; use the contract's model")]
    StatementLength {
        /// Elements, with the context.
        expected: u64,
        /// Elements found.
        got: u64,
    },
    /// Wrong length.
    #[error("proof: expected {expected} bytes, got {got}; it belongs to another contract")]
    ProofLength {
        /// Bytes.
        expected: u64,
        /// Bytes found.
        got: u64,
    },
    /// Not below r.
    #[error("element {index} of the statement: expected less than r; reduce it")]
    StatementOutOfRange {
        /// Its place.
        index: u64,
    },
    /// Not below r.
    #[error("word {word} of the proof: expected a scalar below r; the proof is damaged")]
    ScalarOutOfRange {
        /// Its place.
        word: u64,
    },
    /// Not below q.
    #[error("word {word} of the proof: expected a coordinate below q; the proof is damaged")]
    CoordinateOutOfRange {
        /// Its place.
        word: u64,
    },
    /// The identity.
    #[error("word {word} of the proof: the point is the identity; the proof is damaged")]
    PointAtInfinity {
        /// The place of its first coordinate.
        word: u64,
    },
    /// A commitment or a point of the opening.
    #[error("a point is not on the curve; the proof is damaged")]
    PointNotOnCurve,
    /// A, B or C.
    #[error("a point of the Groth16 proof is not in its group; the proof is damaged")]
    PairingInputInvalid,
    /// Two challenges are equal.
    #[error("challenges coincide; make another proof")]
    ChallengeDegenerate,
    /// The equations do not hold.
    #[error("the proof is wrong or belongs to another statement, model or key; make a new one")]
    ProofInvalid,
    /// The constructor's arguments.
    #[error("a parameter is not a key; check the arguments of the constructor")]
    ParameterInvalid,
    /// Solidity's decoder reverts without data.
    #[error("calldata cannot be decoded; encode it with this library")]
    Undecodable,
    /// Something that the contract does not declare, as the bytes that it returned.
    #[error("unknown error {0:02x?}; the code at this address is another contract's")]
    Unknown(Vec<u8>),
}

fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak(&[signature.as_bytes()]);
    [a, b, c, d]
}

/// The selector of `verify`.
pub(super) fn verify_selector() -> [u8; 4] {
    selector("verify(uint256[],bytes)")
}

/// A word that fits; anything larger is shown as the largest number.
fn number(word: &[u8]) -> u64 {
    let word: Option<Word> = word.try_into().ok();
    word.filter(|word| word.iter().take(24).all(|byte| *byte == 0))
        .and_then(|word| word.last_chunk().copied())
        .map_or(u64::MAX, u64::from_be_bytes)
}

impl Refusal {
    /// Reads the data of a revert.
    pub fn decode(data: &[u8]) -> Self {
        let Some((head, tail)) = data.split_first_chunk::<4>() else {
            return Refusal::Undecodable;
        };
        let arguments: Vec<u64> = tail.chunks(32).map(number).collect();
        let is = |signature| *head == selector(signature);
        match arguments.as_slice() {
            [] if is("CalldataLayout()") => Refusal::CalldataLayout,
            [] if is("PointNotOnCurve()") => Refusal::PointNotOnCurve,
            [] if is("PairingInputInvalid()") => Refusal::PairingInputInvalid,
            [] if is("ChallengeDegenerate()") => Refusal::ChallengeDegenerate,
            [] if is("ProofInvalid()") => Refusal::ProofInvalid,
            [] if is("ParameterInvalid()") => Refusal::ParameterInvalid,
            [index] if is("StatementOutOfRange(uint256)") => {
                Refusal::StatementOutOfRange { index: *index }
            }
            [word] if is("ScalarOutOfRange(uint256)") => Refusal::ScalarOutOfRange { word: *word },
            [word] if is("CoordinateOutOfRange(uint256)") => {
                Refusal::CoordinateOutOfRange { word: *word }
            }
            [word] if is("PointAtInfinity(uint256)") => Refusal::PointAtInfinity { word: *word },
            [expected, got] if is("StatementLength(uint256,uint256)") => Refusal::StatementLength {
                expected: *expected,
                got: *got,
            },
            [expected, got] if is("ProofLength(uint256,uint256)") => Refusal::ProofLength {
                expected: *expected,
                got: *got,
            },
            _ => Refusal::Unknown(data.to_vec()),
        }
    }
}
