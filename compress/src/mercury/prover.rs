//! The prover of an opening (2025/385, section 6, with the batched opening of 2020/081,
//! section 4.1).
//!
//! Two sums over all powers of tau make nearly all of the cost: the commitments to the two
//! quotients. All other polynomials have about as many coefficients as the square root of the
//! table has entries.

use super::transcript::OpeningTranscript;
use super::verify::BatchFactors;
use super::words::{Word, point_words, scalar_word};
use super::{MIN_VARIABLES, Opening};
use crate::error::Rejected;
use ff::{Field, PrimeField};
use foldnet_gadgets::msm::{Bases, sum_in_blocks};
use foldnet_gadgets::sumcheck;
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fr, G1Affine, G2Affine};
use halo2curves::fft::best_fft;
use halo2curves::group::Curve;
use halo2curves::group::cofactor::CofactorCurveAffine;
use rayon::prelude::*;
use thiserror::Error;

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
    /// A power of tau is off the curve or the identity.
    #[error("power {0} of tau is the identity or off the curve; load a valid set-up")]
    Power(usize),
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
    /// A commitment of the proof is the identity, which no proof contains.
    #[error("a commitment of the proof is the identity; open a polynomial that is masked")]
    Identity,
    /// The finished opening does not verify.
    #[error("{0}; check that the commitment is the table's and that the key is of one set-up")]
    Rejected(#[from] Rejected),
}

/// Proves `f~(point) = value` for the table f with this commitment `sum_i f_i tau^i G`.
///
/// A table shorter than `2^(variables)` is read as padded with zeros. The finished opening is
/// verified, which also tells when the commitment is not that of the table. The table is assumed
/// masked: for a table or point with structure (constant rows, one entry, a corner of the cube) a
/// polynomial of the proof may vanish, and then nothing is opened.
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
    let prover = Prover::new(key, table, point)?;
    let mut transcript = OpeningTranscript::seeded(seed);
    transcript.absorb_words(&point_words(commitment));
    transcript.absorb_words(&point.iter().map(scalar_word).collect::<Vec<_>>());
    transcript.absorb_words(&[scalar_word(&value)]);
    let opening = prover.prove(&mut transcript, value)?;
    opening.verify(&key.tau_h, seed, commitment, point, value)?;
    Ok(opening)
}

/// A table read as a matrix, and the weights of its rows and columns at the point.
struct Prover<'a> {
    powers: &'a [G1Affine],
    table: &'a [Fr],
    /// k, of b = 2^k columns.
    column_variables: usize,
    /// `eq(column part of the point, .)`: b entries.
    columns: Vec<Fr>,
    /// `eq(row part of the point, .)`: b entries, or half as many.
    rows: Vec<Fr>,
}

/// The short polynomials, lowest coefficient first, in the order of the batched opening.
struct Short {
    g: Vec<Fr>,
    h: Vec<Fr>,
    s: Vec<Fr>,
    d: Vec<Fr>,
}

impl<'a> Prover<'a> {
    fn new(key: &OpeningKey<'a>, table: &'a [Fr], point: &[Fr]) -> Result<Self, OpeningError> {
        let entries = check_sizes(key, table, point)?;
        let powers = check_powers(key.powers, entries)?;
        let column_variables = point.len().div_ceil(2);
        let (row, column) = point.split_at(point.len() - column_variables);
        Ok(Prover {
            powers,
            table,
            column_variables,
            columns: sumcheck::eq_table(column),
            rows: sumcheck::eq_table(row),
        })
    }

    /// The proof; steps and names as in the paper. Divisions drop their remainders, which for a true
    /// claim are the ones that the verifier's equation expects: [`open`] checks that equation.
    fn prove(
        &self,
        transcript: &mut OpeningTranscript,
        value: Fr,
    ) -> Result<Opening, OpeningError> {
        let h = self.row_values();
        if inner_product(&h, &self.rows) != value {
            return Err(OpeningError::Value);
        }
        let h_point = self.commit(&h)?;
        let alpha = challenge(transcript, &[h_point]);

        let (q, g) = divide_by_binomial(self.table, self.columns.len(), alpha);
        let (q_point, g_point) = self.commit_both(&q, &g)?;
        let gamma = challenge(transcript, &[q_point, g_point]);

        let s = self.symmetric_part(&g, &h, gamma);
        let d: Vec<Fr> = g.iter().rev().copied().collect();
        let (s_point, d_point) = self.commit_both(&s, &d)?;
        let zeta = challenge(transcript, &[s_point, d_point]);

        let y = invert(zeta)?;
        let short = Short { g, h, s, d };
        let evaluations = short.evaluations(zeta, y);
        transcript.absorb_words(&evaluations.each_ref().map(scalar_word));
        let zeta_b = (0..self.column_variables).fold(zeta, |power, _| power.square());
        let mut quotient = combination(&[(Fr::ONE, self.table), (alpha - zeta_b, &q)]);
        drop(q);
        divide(&mut quotient, zeta);
        let quotient_point = self.commit(&quotient)?;
        drop(quotient);
        let beta = challenge(transcript, &[quotient_point]);

        let w = short.batched_quotient(alpha, beta, zeta, y);
        let w_point = self.commit(&w)?;
        let z = challenge(transcript, &[w_point]);
        let batch = BatchFactors::new(alpha, beta, zeta, y, z);
        let w_prime = short.opening_quotient(&batch, &w, z);
        Ok(Opening {
            h: h_point,
            q: q_point,
            g: g_point,
            s: s_point,
            d: d_point,
            evaluations,
            quotient: quotient_point,
            w: w_point,
            w_prime: self.commit(&w_prime)?,
        })
    }

    /// Commits to the polynomial with these coefficients, unless it vanishes.
    fn commit(&self, coefficients: &[Fr]) -> Result<G1Affine, OpeningError> {
        let trailing = coefficients.iter().rev();
        let zeros = trailing.take_while(|c| bool::from(c.is_zero())).count();
        let (used, _) = coefficients.split_at(coefficients.len() - zeros);
        let sum = sum_in_blocks(self.powers, used, Bases::multiply);
        let point = sum.ok_or(OpeningError::Key {
            expected: used.len(),
            got: self.powers.len(),
        })?;
        let point = point.to_affine();
        if bool::from(point.is_identity()) {
            return Err(OpeningError::Identity);
        }
        Ok(point)
    }

    fn commit_both(&self, a: &[Fr], b: &[Fr]) -> Result<(G1Affine, G1Affine), OpeningError> {
        let (a, b) = rayon::join(|| self.commit(a), || self.commit(b));
        Ok((a?, b?))
    }

    /// h: the rows of the table evaluated at the column part of the point.
    fn row_values(&self) -> Vec<Fr> {
        let rows = self.table.par_chunks(self.columns.len());
        rows.map(|row| inner_product(row, &self.columns)).collect()
    }

    /// s, for which `p(X) + p(1/X) = 2 p_0 + X s(X) + s(1/X) / X` with
    /// `p(X) = g(X) c(1/X) + gamma h(X) r(1/X)`; c and r have the weights of the columns and rows
    /// as coefficients (section 4).
    ///
    /// `X^(b - 1) p(X)` is a polynomial of degree below 2 b: with c and r reversed it is read off
    /// two products.
    fn symmetric_part(&self, g: &[Fr], h: &[Fr], gamma: Fr) -> Vec<Fr> {
        let b = self.columns.len();
        let log_size = self.column_variables + 1;
        let reversed = |weights: &[Fr]| {
            let padding = std::iter::repeat_n(Fr::ZERO, b.saturating_sub(weights.len()));
            padding.chain(weights.iter().rev().copied()).collect()
        };
        let columns: Vec<Fr> = reversed(&self.columns);
        let rows: Vec<Fr> = reversed(&self.rows);
        let values: Vec<Vec<Fr>> = [g, &columns, h, &rows]
            .into_par_iter()
            .map(|coefficients| values_at_roots(coefficients, log_size))
            .collect();
        let [g, columns, h, rows] = values.as_slice() else {
            return Vec::new();
        };
        let first = g.iter().zip(columns).map(|(a, b)| *a * b);
        let second = h.iter().zip(rows).map(|(a, b)| *a * b);
        let mut product: Vec<Fr> = first.zip(second).map(|(a, b)| a + gamma * b).collect();
        interpolate(&mut product, log_size);
        let (low, high) = product.split_at(b.min(product.len()));
        let low = low.iter().rev().skip(1);
        high.iter().zip(low).map(|(a, b)| *a + b).collect()
    }
}

impl Short {
    /// `g(zeta), g(y), h(zeta), h(y), s(zeta), s(y)`.
    fn evaluations(&self, zeta: Fr, y: Fr) -> [Fr; 6] {
        let Short { g, h, s, .. } = self;
        [(g, zeta), (g, y), (h, zeta), (h, y), (s, zeta), (s, y)]
            .map(|(polynomial, x)| evaluate(polynomial, x))
    }

    /// w: the sum of `(g - g*) / (X - zeta)(X - y)`, `beta (h - h*) / (X - zeta)(X - y)(X - alpha)`,
    /// `beta^2 (s - s*) / (X - zeta)(X - y)` and `beta^3 (d - d*) / (X - zeta)`, where p* is the
    /// remainder of p, that is, of least degree with the same values at the roots.
    fn batched_quotient(&self, alpha: Fr, beta: Fr, zeta: Fr, y: Fr) -> Vec<Fr> {
        let quotient = |polynomial: &[Fr], roots: &[Fr]| {
            let mut quotient = polynomial.to_vec();
            for root in roots {
                divide(&mut quotient, *root);
            }
            quotient
        };
        combination(&[
            (Fr::ONE, &quotient(&self.g, &[zeta, y])),
            (beta, &quotient(&self.h, &[zeta, y, alpha])),
            (beta.square(), &quotient(&self.s, &[zeta, y])),
            (beta.square() * beta, &quotient(&self.d, &[zeta])),
        ])
    }

    /// w': the quotient of `a_g g + a_h h + a_s s + a_d d - v w` by `X - z`, with the verifier's
    /// factors.
    fn opening_quotient(&self, batch: &BatchFactors, w: &[Fr], z: Fr) -> Vec<Fr> {
        let [g, h, s, d] = batch.factors;
        let mut quotient = combination(&[
            (g, &self.g),
            (h, &self.h),
            (s, &self.s),
            (d, &self.d),
            (-batch.vanishing, w),
        ]);
        divide(&mut quotient, z);
        quotient
    }
}

/// The entries that the variables of the point count, if key and table have fitting sizes.
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

/// The first `entries` powers. The sums below are only defined for points of the curve.
fn check_powers(powers: &[G1Affine], entries: usize) -> Result<&[G1Affine], OpeningError> {
    let powers = powers.get(..entries).unwrap_or(powers);
    let wrong = powers
        .par_iter()
        .position_any(|power| !bool::from(power.is_on_curve()) || bool::from(power.is_identity()));
    match wrong {
        Some(index) => Err(OpeningError::Power(index)),
        None => Ok(powers),
    }
}

/// Absorbs commitments and draws a challenge.
fn challenge(transcript: &mut OpeningTranscript, points: &[G1Affine]) -> Fr {
    for point in points {
        transcript.absorb_words(&point_words(point));
    }
    transcript.challenge()
}

/// `sum_i a_i b_i` over the shorter length.
fn inner_product(a: &[Fr], b: &[Fr]) -> Fr {
    a.iter().zip(b).map(|(a, b)| *a * b).sum()
}

/// `sum_i p_i x^i`.
fn evaluate(polynomial: &[Fr], x: Fr) -> Fr {
    let high_first = polynomial.iter().rev();
    high_first.fold(Fr::ZERO, |sum, coefficient| sum * x + coefficient)
}

/// `sum_j factor_j p_j`, as long as the longest polynomial.
fn combination(terms: &[(Fr, &[Fr])]) -> Vec<Fr> {
    let size = terms.iter().map(|(_, p)| p.len()).max().unwrap_or(0);
    let coefficient = |i: usize| {
        let summands = terms
            .iter()
            .filter_map(|(factor, p)| p.get(i).map(|c| *factor * c));
        summands.sum()
    };
    (0..size).into_par_iter().map(coefficient).collect()
}

/// Replaces a polynomial by its quotient by `X - root` and drops the remainder. The length stays;
/// the highest coefficient is zero.
fn divide(polynomial: &mut [Fr], root: Fr) {
    let mut carry = Fr::ZERO;
    for coefficient in polynomial.iter_mut().rev() {
        let next = carry * root + *coefficient;
        *coefficient = carry;
        carry = next;
    }
}

/// q and g with `f = (X^b - alpha) q + g` and g of degree below b: Horner's rule on rows of b
/// coefficients, whose intermediate sums are the rows of q. The highest row of q is zero.
fn divide_by_binomial(f: &[Fr], b: usize, alpha: Fr) -> (Vec<Fr>, Vec<Fr>) {
    let mut q = vec![Fr::ZERO; f.len().next_multiple_of(b)];
    let mut sum = vec![Fr::ZERO; b];
    for (row, quotient) in f.chunks(b).zip(q.chunks_mut(b)).rev() {
        quotient.copy_from_slice(&sum);
        sum.iter_mut().for_each(|entry| *entry *= alpha);
        sum.iter_mut().zip(row).for_each(|(entry, c)| *entry += c);
    }
    (q, sum)
}

/// `base^(2^k)` for the root of unity `base` of order `2^S`, where `2^log_size` is left of the
/// order.
fn root_of_order(base: Fr, log_size: usize) -> Fr {
    (log_size..Fr::S as usize).fold(base, |root, _| root.square())
}

/// The values of a polynomial at the `2^log_size` roots of unity.
fn values_at_roots(polynomial: &[Fr], log_size: usize) -> Vec<Fr> {
    let mut values = polynomial.to_vec();
    values.resize(1 << log_size, Fr::ZERO);
    let root = root_of_order(Fr::ROOT_OF_UNITY, log_size);
    best_fft(&mut values, root, log_size as u32);
    values
}

/// The inverse of [`values_at_roots`], in place.
fn interpolate(values: &mut [Fr], log_size: usize) {
    let root = root_of_order(Fr::ROOT_OF_UNITY_INV, log_size);
    best_fft(values, root, log_size as u32);
    let scale = (0..log_size).fold(Fr::ONE, |scale, _| scale * Fr::TWO_INV);
    values.iter_mut().for_each(|value| *value *= scale);
}

/// `zeta^-1`; zero is drawn with probability below 2^-250.
fn invert(zeta: Fr) -> Result<Fr, Rejected> {
    Option::from(zeta.invert()).ok_or(Rejected::Check {
        check: "the challenges of the opening are distinct",
    })
}
