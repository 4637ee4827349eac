//! Mercury (2025/385): one multilinear opening on BN254, of constant size.
//!
//! The proof is that of nova-snark 0.76 for the same challenges; the transcript
//! ([`OpeningTranscript`]) is another, made for contracts.
//!
//! A polynomial of n variables is its table of 2^n values, most significant variable first, and is
//! committed as the univariate polynomial with these coefficients. With `k = ceil(n / 2)` and
//! `b = 2^k` the last k variables choose a column and the first n - k a row. An odd n is thereby
//! read as n + 1 with a leading zero variable; neither point nor transcript is padded.
//!
//! What is opened is not blinded: subtract `blind * H` from a hiding commitment first.

mod prover;
mod transcript;
mod verify;
pub mod words;

pub use prover::{OpeningError, OpeningKey, open};
pub use transcript::{OpeningTranscript, keccak};
pub use verify::{Challenges, PairingPoints};

use crate::error::Rejected;
use ff::Field;
use halo2curves::bn256::{Fr, G1Affine};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use words::{Word, decode_point, decode_scalar, point_words, scalar_word};

/// Words of an encoded [`Opening`].
pub const OPENING_WORDS: usize = 22;

/// Fewest variables of a polynomial that is opened.
pub const MIN_VARIABLES: usize = 2;

/// A proof that a committed polynomial has a value at a point.
///
/// Names as in the paper, section 6; `y` is `zeta^-1`. Encoded in the order of the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Commitment to h, the rows of f evaluated at the column part of the point.
    pub h: G1Affine,
    /// Commitment to the quotient of f by `X^b - alpha`.
    pub q: G1Affine,
    /// Commitment to the remainder g.
    pub g: G1Affine,
    /// Commitment to s, the inner-product argument.
    pub s: G1Affine,
    /// Commitment to d, g with its coefficients reversed.
    pub d: G1Affine,
    /// `g(zeta), g(y), h(zeta), h(y), s(zeta), s(y)`.
    pub evaluations: [Fr; 6],
    /// Commitment to the quotient of `f - (zeta^b - alpha) q - g(zeta)` by `X - zeta`.
    pub quotient: G1Affine,
    /// First commitment of the batched opening of g, h, s, d (2020/081, section 4.1).
    pub w: G1Affine,
    /// Second commitment of the batched opening.
    pub w_prime: G1Affine,
}

impl Opening {
    /// The words in the order of the fields: 22 words of 32 bytes.
    pub fn words(&self) -> Vec<Word> {
        let first = [&self.h, &self.q, &self.g, &self.s, &self.d].map(point_words);
        let last = [&self.quotient, &self.w, &self.w_prime].map(point_words);
        let mut words = first.as_flattened().to_vec();
        words.extend(self.evaluations.iter().map(scalar_word));
        words.extend_from_slice(last.as_flattened());
        words
    }

    /// The encoding: [`OPENING_WORDS`] words.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words().concat()
    }

    /// The inverse of [`Opening::to_bytes`].
    ///
    /// # Errors
    /// For another length, coordinates not below q, points off the curve, the identity (which is
    /// in no honest proof of a masked polynomial), and scalars not below r.
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        let words = words::split("opening", bytes, OPENING_WORDS)?;
        let mut words = words.into_iter();
        let mut next = || words.next().unwrap_or([0xff; 32]);
        let mut point = || {
            let pair = [next(), next()];
            decode_point(&pair).ok_or(Rejected::Check {
                check: "a point of the opening is on the curve and not the identity",
            })
        };
        let [h, q, g, s, d] = [point()?, point()?, point()?, point()?, point()?];
        let mut evaluations = [Fr::ZERO; 6];
        for evaluation in &mut evaluations {
            *evaluation = decode_scalar(&next()).ok_or(Rejected::Check {
                check: "an evaluation of the opening is below r",
            })?;
        }
        let mut point = || {
            let pair = [next(), next()];
            decode_point(&pair).ok_or(Rejected::Check {
                check: "a point of the opening is on the curve and not the identity",
            })
        };
        Ok(Opening {
            h,
            q,
            g,
            s,
            d,
            evaluations,
            quotient: point()?,
            w: point()?,
            w_prime: point()?,
        })
    }
}

/// The encoding is that of [`Opening::to_bytes`].
impl Serialize for Opening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

/// Decoding is as strict as [`Opening::decode`].
impl<'de> Deserialize<'de> for Opening {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Opening::decode(&bytes).map_err(serde::de::Error::custom)
    }
}
