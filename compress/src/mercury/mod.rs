//! Mercury (2025/385): one multilinear opening on BN254, of constant size.
//!
//! The prover is nova-snark's, run with a transcript of ours ([`OpeningTranscript`]); proof type,
//! decoding and verifier are ours.
//!
//! A polynomial of n variables is its table of 2^n values, most significant variable first, and is
//! committed as the univariate polynomial with these coefficients. With `k = ceil(n / 2)` and
//! `b = 2^k` the last k variables choose a column and the first n - k a row. An odd n is thereby
//! read as n + 1 with a leading zero variable; neither point nor transcript is padded.
//!
//! What is opened is not blinded: subtract `blind * H` from a hiding commitment first.

mod transcript;
mod verify;
pub mod words;

pub use transcript::{MercuryEngine, OpeningTranscript, keccak};
pub use verify::{Challenges, PairingPoints};

use crate::error::Rejected;
use ff::Field;
use foldnet_gadgets::sumcheck;
use halo2curves::bn256::{Fr, G1, G1Affine, G2Affine};
use halo2curves::group::Curve;
use nova_snark::provider::hyperkzg;
use nova_snark::provider::mercury::{EvaluationArgument, EvaluationEngine};
use nova_snark::traits::evaluation::EvaluationEngineTrait;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use words::{Word, decode_point, decode_scalar, point_words, scalar_word};

/// Words of an encoded [`Opening`].
pub const OPENING_WORDS: usize = 22;

/// Fewest variables of a polynomial that is opened.
pub const MIN_VARIABLES: usize = 2;

/// What the prover opens with.
#[derive(Clone, Copy, Debug)]
pub struct OpeningKey<'a> {
    /// `tau^i G`, starting with the generator G of G1; at least as many as the table has entries.
    pub powers: &'a [G1Affine],
    /// `tau H` for the generator H of G2.
    pub tau_h: G2Affine,
}

/// Why nothing is opened.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpeningError {
    /// The key is too short.
    #[error("expected at least {expected} powers of tau, got {got}; load a larger set-up")]
    Key {
        /// Entries of the table.
        expected: usize,
        /// Powers in the key.
        got: usize,
    },
    /// The point has too few variables.
    #[error("expected at least {MIN_VARIABLES} variables, got {0}; pad the polynomial")]
    Variables(usize),
    /// The table is longer than the point allows.
    #[error("expected at most {expected} values, got {got}; the point belongs to another table")]
    Table {
        /// Entries that the variables of the point count.
        expected: usize,
        /// Entries of the table.
        got: usize,
    },
    /// The value is not the one of the polynomial.
    #[error("the claimed value is not the polynomial's value at the point; check the claim")]
    Value,
    /// The commitment is the identity, which no proof contains.
    #[error("a commitment is the identity; open a polynomial that is masked")]
    Identity,
    /// The prover failed.
    #[error("the prover failed: {0}; check that the key consists of points of the curve")]
    Prover(String),
}

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
    fn points(&self) -> [&G1Affine; 8] {
        [
            &self.h,
            &self.q,
            &self.g,
            &self.s,
            &self.d,
            &self.quotient,
            &self.w,
            &self.w_prime,
        ]
    }

    /// The words in the order of the fields: 22 words of 32 bytes.
    pub fn words(&self) -> Vec<Word> {
        let points = self.points().map(point_words);
        let (first, last) = points.split_at(5);
        let evaluations = self.evaluations.iter().map(scalar_word);
        let mut words = first.as_flattened().to_vec();
        words.extend(evaluations);
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

/// The fields of nova-snark's proof, which are private there and come out by serialising.
#[derive(Deserialize)]
struct NovaArgument {
    comm_h: NovaCommitment,
    comm_g: NovaCommitment,
    comm_q: NovaCommitment,
    comm_s: NovaCommitment,
    comm_d: NovaCommitment,
    comm_quot_f: NovaCommitment,
    comm_w: NovaCommitment,
    comm_w_prime: NovaCommitment,
    g_zeta: Fr,
    g_zeta_inv: Fr,
    h_zeta: Fr,
    h_zeta_inv: Fr,
    s_zeta: Fr,
    s_zeta_inv: Fr,
}

#[derive(Serialize, Deserialize)]
struct NovaCommitment {
    comm: G1,
}

impl From<NovaArgument> for Opening {
    fn from(argument: NovaArgument) -> Self {
        let affine = |commitment: NovaCommitment| commitment.comm.to_affine();
        Opening {
            h: affine(argument.comm_h),
            q: affine(argument.comm_q),
            g: affine(argument.comm_g),
            s: affine(argument.comm_s),
            d: affine(argument.comm_d),
            evaluations: [
                argument.g_zeta,
                argument.g_zeta_inv,
                argument.h_zeta,
                argument.h_zeta_inv,
                argument.s_zeta,
                argument.s_zeta_inv,
            ],
            quotient: affine(argument.comm_quot_f),
            w: affine(argument.comm_w),
            w_prime: affine(argument.comm_w_prime),
        }
    }
}

/// Proves `f~(point) = value` for the table f with this commitment `sum_i f_i tau^i G`.
///
/// A table shorter than `2^(variables)` is read as padded with zeros. The point is assumed random
/// and the table masked or at least not constant: nova-snark's prover does not expect the
/// polynomials that it divides to vanish.
///
/// # Errors
/// See [`OpeningError`].
pub fn open(
    key: &OpeningKey<'_>,
    seed: &Word,
    commitment: &G1Affine,
    table: &[Fr],
    point: &[Fr],
    value: Fr,
) -> Result<Opening, OpeningError> {
    let entries = check_sizes(key, table, point)?;
    if table.iter().all(|x| bool::from(x.is_zero())) {
        return Err(OpeningError::Identity);
    }
    if sumcheck::evaluate(table, point) != value {
        return Err(OpeningError::Value);
    }
    let nova_key = nova_key(key, entries)?;
    let (prover_key, _) =
        EvaluationEngine::<MercuryEngine>::setup(&nova_key).map_err(prover_error)?;
    let mut padded = table.to_vec();
    padded.resize(entries, Fr::ZERO);
    let argument = EvaluationEngine::prove(
        &nova_key,
        &prover_key,
        &mut OpeningTranscript::seeded(seed),
        &hyperkzg::Commitment::new(G1::from(*commitment)),
        &padded,
        point,
        &value,
    )
    .map_err(prover_error)?;
    let opening = from_nova(&argument)?;
    let identity = |point: &&G1Affine| point_words(point) == [[0; 32]; 2];
    if opening.points().iter().any(identity) {
        return Err(OpeningError::Identity);
    }
    Ok(opening)
}

fn prover_error(error: impl ToString) -> OpeningError {
    OpeningError::Prover(error.to_string())
}

fn check_sizes(key: &OpeningKey<'_>, table: &[Fr], point: &[Fr]) -> Result<usize, OpeningError> {
    let variables = point.len();
    if variables < MIN_VARIABLES {
        return Err(OpeningError::Variables(variables));
    }
    let entries = u32::try_from(variables)
        .ok()
        .and_then(|shift| 1usize.checked_shl(shift))
        .unwrap_or(usize::MAX);
    if key.powers.len() < entries {
        return Err(OpeningError::Key {
            expected: entries,
            got: key.powers.len(),
        });
    }
    if table.len() > entries {
        return Err(OpeningError::Table {
            expected: entries,
            got: table.len(),
        });
    }
    Ok(entries)
}

/// nova-snark's key; its blind generator is not used by openings.
fn nova_key(
    key: &OpeningKey<'_>,
    entries: usize,
) -> Result<hyperkzg::CommitmentKey<MercuryEngine>, OpeningError> {
    let powers = key.powers.get(..entries).unwrap_or_default().to_vec();
    hyperkzg::CommitmentKey::new(powers, G1Affine::generator(), key.tau_h).map_err(prover_error)
}

/// Reads nova-snark's proof through its serialised form.
fn from_nova(argument: &EvaluationArgument<MercuryEngine>) -> Result<Opening, OpeningError> {
    let value = serde_json::to_value(argument).map_err(prover_error)?;
    let argument: NovaArgument = serde_json::from_value(value).map_err(prover_error)?;
    Ok(argument.into())
}

/// nova-snark's form of an opening, for its verifier.
pub fn to_nova(opening: &Opening) -> EvaluationArgument<MercuryEngine> {
    let commitment = |point: &G1Affine| hyperkzg::Commitment::new(G1::from(*point));
    let [gz, gy, hz, hy, sz, sy] = opening.evaluations;
    EvaluationArgument::new(
        commitment(&opening.h),
        commitment(&opening.g),
        commitment(&opening.q),
        commitment(&opening.s),
        commitment(&opening.d),
        commitment(&opening.quotient),
        commitment(&opening.w),
        commitment(&opening.w_prime),
        gz,
        gy,
        hz,
        hy,
        sz,
        sy,
    )
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
