//! Big-endian 32-byte words: how the EVM sees scalars and points.

use crate::error::Rejected;
use ff::{Field, FromUniformBytes, PrimeField};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq, Fr, G1Affine, G2, G2Affine};
use halo2curves::group::Group;
use halo2curves::group::cofactor::CofactorCurveAffine;

/// One word of the EVM: an unsigned integer of 256 bits, big-endian.
pub type Word = [u8; 32];

fn reversed(mut word: Word) -> Word {
    word.reverse();
    word
}

/// The word of a small integer.
pub fn word(x: u64) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&x.to_be_bytes());
    word
}

/// The word of a scalar.
pub fn scalar_word(x: &Fr) -> Word {
    reversed(x.to_repr().into())
}

/// The word of a coordinate.
pub fn coordinate_word(x: &Fq) -> Word {
    reversed(x.to_repr().into())
}

/// The words `(x, y)` of a point; two zeros for the identity, as in EIP-196.
pub fn point_words(point: &G1Affine) -> [Word; 2] {
    [coordinate_word(&point.x), coordinate_word(&point.y)]
}

/// The words `(x_imaginary, x_real, y_imaginary, y_real)` of a point of G2, as in EIP-197.
pub fn g2_words(point: &G2Affine) -> [Word; 4] {
    let [x, y] = [&point.x, &point.y];
    [x.c1(), x.c0(), y.c1(), y.c0()].map(coordinate_word)
}

/// The scalar of a word, if the word is below r.
pub fn decode_scalar(word: &Word) -> Option<Fr> {
    Fr::from_repr(reversed(*word).into()).into()
}

/// The coordinate of a word, if the word is below q.
pub fn decode_coordinate(word: &Word) -> Option<Fq> {
    Fq::from_repr(reversed(*word).into()).into()
}

/// The scalar congruent to a word.
///
/// The quotient `2^256 / r` lies between 5 and 6: for a uniform word no scalar is more likely than
/// `6 / 2^256 < 1.14 / r`.
pub fn reduce(word: &Word) -> Fr {
    let mut wide = [0; 64];
    wide[..32].copy_from_slice(&reversed(*word));
    Fr::from_uniform_bytes(&wide)
}

/// The point of G1 with these coordinates; `None` for coordinates not below q, points off the
/// curve, and the identity.
pub fn decode_point([x, y]: &[Word; 2]) -> Option<G1Affine> {
    let point = G1Affine::from_xy(decode_coordinate(x)?, decode_coordinate(y)?);
    let point: G1Affine = Option::from(point)?;
    (!bool::from(point.is_identity())).then_some(point)
}

/// The point of the group of order r in G2 with these coordinates; `None` otherwise and for the
/// identity.
pub fn decode_g2([x1, x0, y1, y0]: &[Word; 4]) -> Option<G2Affine> {
    use halo2curves::bn256::Fq2;
    let x = Fq2::new(decode_coordinate(x0)?, decode_coordinate(x1)?);
    let y = Fq2::new(decode_coordinate(y0)?, decode_coordinate(y1)?);
    let point: G2Affine = Option::from(G2Affine::from_xy(x, y))?;
    (has_order_r(&point) && !bool::from(point.is_identity())).then_some(point)
}

/// Whether `r P = 0`. The curve library has a faster test, which prints to standard output.
fn has_order_r(point: &G2Affine) -> bool {
    let minus_one = G2::from(*point) * -Fr::ONE;
    bool::from((minus_one + point).is_identity())
}

/// Splits bytes into words.
///
/// # Errors
/// [`Rejected::Length`] when there are not `32 * expected` bytes.
pub fn split(what: &'static str, bytes: &[u8], expected: usize) -> Result<Vec<Word>, Rejected> {
    Rejected::lengths(what, 32 * expected, bytes.len())?;
    Ok(bytes
        .chunks_exact(32)
        .map(|chunk| {
            let mut word = [0; 32];
            word.copy_from_slice(chunk);
            word
        })
        .collect())
}
