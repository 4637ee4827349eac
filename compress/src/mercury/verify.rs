//! The verifier of an opening.

use super::words::{Word, point_words, scalar_word};
use super::{MIN_VARIABLES, Opening, OpeningTranscript};
use crate::error::Rejected;
use ff::{Field, PrimeField};
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine, G2Affine};
use halo2curves::group::{Curve, Group};
use halo2curves::pairing::{MillerLoopResult, MultiMillerLoop};

/// Two points with `e(left, H) = e(right, tau H)` if the opening holds, H the generator of G2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairingPoints {
    /// Paired with H.
    pub left: G1Affine,
    /// Paired with `tau H`.
    pub right: G1Affine,
}

impl PairingPoints {
    /// Checks the pairing equation.
    ///
    /// # Errors
    /// [`Rejected::Check`] when it does not hold.
    pub fn check(&self, tau_h: &G2Affine) -> Result<(), Rejected> {
        let generator = G2Affine::generator();
        let terms = [(&self.left, &generator), (&-self.right, tau_h)];
        let product = Bn256::multi_miller_loop(&terms).final_exponentiation();
        if bool::from(product.is_identity()) {
            Ok(())
        } else {
            Err(Rejected::Check {
                check: "the pairing equation of the opening",
            })
        }
    }
}

/// The challenges of an opening, in the order in which they are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenges {
    /// f is divided by `X^b - alpha`.
    pub alpha: Fr,
    /// Combines the two inner products.
    pub gamma: Fr,
    /// Where everything is evaluated.
    pub zeta: Fr,
    /// Combines g, h, s and d.
    pub beta: Fr,
    /// Where the batched opening is evaluated.
    pub z: Fr,
    /// Combines the two pairing equations.
    pub delta: Fr,
}

impl Challenges {
    /// Runs the transcript: absorbs commitment, point, value, h; alpha; q, g; gamma; s, d; zeta;
    /// the six evaluations, the quotient; beta; w; z; w'; delta.
    pub fn derive(
        seed: &Word,
        commitment: &G1Affine,
        point: &[Fr],
        value: &Fr,
        opening: &Opening,
    ) -> Self {
        let mut transcript = OpeningTranscript::seeded(seed);
        transcript.absorb_words(&point_words(commitment));
        transcript.absorb_words(&point.iter().map(scalar_word).collect::<Vec<_>>());
        transcript.absorb_words(&[scalar_word(value)]);
        transcript.absorb_words(&point_words(&opening.h));
        let alpha = transcript.challenge();
        transcript.absorb_words(&point_words(&opening.q));
        transcript.absorb_words(&point_words(&opening.g));
        let gamma = transcript.challenge();
        transcript.absorb_words(&point_words(&opening.s));
        transcript.absorb_words(&point_words(&opening.d));
        let zeta = transcript.challenge();
        transcript.absorb_words(&opening.evaluations.each_ref().map(scalar_word));
        transcript.absorb_words(&point_words(&opening.quotient));
        let beta = transcript.challenge();
        transcript.absorb_words(&point_words(&opening.w));
        let z = transcript.challenge();
        transcript.absorb_words(&point_words(&opening.w_prime));
        let delta = transcript.challenge();
        Challenges {
            alpha,
            gamma,
            zeta,
            beta,
            z,
            delta,
        }
    }
}

/// `sum_i eq(point, bits of i) x^i = prod_j (u_j x^(2^j) + 1 - u_j)`, u_0 the last variable.
fn eq_polynomial(point: &[Fr], x: Fr) -> Fr {
    let factors = point.iter().rev().scan(x, |power, u| {
        let factor = *u * (*power - Fr::ONE) + Fr::ONE;
        *power = power.square();
        Some(factor)
    });
    factors.product()
}

/// `x^(2^k)`.
fn power(x: Fr, k: usize) -> Fr {
    (0..k).fold(x, |power, _| power.square())
}

fn invert(x: Fr) -> Result<Fr, Rejected> {
    Option::from(x.invert()).ok_or(Rejected::Check {
        check: "the challenges of the opening are distinct",
    })
}

/// What multiplies the commitments in the batched opening.
pub(super) struct BatchFactors {
    /// Factors of g, h, s, d.
    pub factors: [Fr; 4],
    /// `(z - alpha)(z - zeta)(z - y)`, the factor of w.
    pub vanishing: Fr,
}

impl BatchFactors {
    /// The factor of a polynomial is its power of beta times `z - x` for each of alpha, zeta and y
    /// at which that polynomial is not opened.
    pub fn new(alpha: Fr, beta: Fr, zeta: Fr, y: Fr, z: Fr) -> Self {
        BatchFactors {
            factors: [
                z - alpha,
                beta,
                beta.square() * (z - alpha),
                beta.square() * beta * (z - alpha) * (z - y),
            ],
            vanishing: (z - alpha) * (z - zeta) * (z - y),
        }
    }
}

/// The factors, and the values at z of the polynomials of least degree through the claimed
/// evaluations.
struct Batch {
    factors: BatchFactors,
    /// Sum of the factors times the interpolated values.
    sum: Fr,
}

impl Opening {
    /// The evaluations that the verifier derives: `(d(zeta), h(alpha))`.
    ///
    /// `d(zeta) = zeta^(b - 1) g(y)` bounds the degree of g; h(alpha) is what the two inner
    /// products `<eq_columns, g> = h(alpha)` and `<eq_rows, h> = value` leave of
    /// `g(X) c(1/X) + g(1/X) c(X) + gamma (h(X) r(1/X) + h(1/X) r(X))
    ///  = 2 (h(alpha) + gamma value) + X s(X) + s(1/X) / X` at zeta (2025/385, section 4).
    fn derived(&self, challenges: &Challenges, y: Fr, point: &[Fr], value: Fr) -> Option<[Fr; 2]> {
        let Challenges { gamma, zeta, .. } = *challenges;
        let [gz, gy, hz, hy, sz, sy] = self.evaluations;
        let columns = point.len().div_ceil(2);
        let (row, column) = point.split_at_checked(point.len() - columns)?;
        let d = power(zeta, columns) * y * gy;
        let first = gz * eq_polynomial(column, y) + gy * eq_polynomial(column, zeta);
        let second = hz * eq_polynomial(row, y) + hy * eq_polynomial(row, zeta) - value.double();
        let twice = first + gamma * second - zeta * sz - y * sy;
        Some([d, twice * Fr::TWO_INV])
    }

    fn batch(&self, challenges: &Challenges, y: Fr, derived: [Fr; 2]) -> Result<Batch, Rejected> {
        let Challenges {
            alpha,
            zeta,
            beta,
            z,
            ..
        } = *challenges;
        let [gz, gy, hz, hy, sz, sy] = self.evaluations;
        let [d_zeta, h_alpha] = derived;
        let slope = invert(zeta - y)?;
        let line = |at_zeta: Fr, at_y: Fr, x: Fr| (at_zeta * (x - y) - at_y * (x - zeta)) * slope;
        let bend = (h_alpha - line(hz, hy, alpha)) * invert((alpha - zeta) * (alpha - y))?;
        let h_star = line(hz, hy, z) + bend * (z - zeta) * (z - y);
        let factors = BatchFactors::new(alpha, beta, zeta, y, z);
        let values = [line(gz, gy, z), h_star, line(sz, sy, z), d_zeta];
        Ok(Batch {
            sum: factors
                .factors
                .iter()
                .zip(&values)
                .map(|(f, v)| *f * v)
                .sum(),
            factors,
        })
    }

    /// Everything but the pairing: the two points that satisfy the pairing equation exactly when
    /// the opening of `commitment` at `point` to `value` holds.
    ///
    /// # Errors
    /// [`Rejected::Length`] for fewer than two variables, [`Rejected::Check`] for challenges that
    /// coincide (probability below 2^-250).
    pub fn pairing_points(
        &self,
        seed: &Word,
        commitment: &G1Affine,
        point: &[Fr],
        value: Fr,
    ) -> Result<PairingPoints, Rejected> {
        let too_few = Rejected::Length {
            what: "variables of an opening",
            expected: MIN_VARIABLES,
            got: point.len(),
        };
        if point.len() < MIN_VARIABLES {
            return Err(too_few);
        }
        let challenges = Challenges::derive(seed, commitment, point, &value, self);
        let Challenges {
            alpha,
            zeta,
            z,
            delta,
            ..
        } = challenges;
        let y = invert(zeta)?;
        let derived = self.derived(&challenges, y, point, value).ok_or(too_few)?;
        let batch = self.batch(&challenges, y, derived)?;
        let zeta_b = power(zeta, point.len().div_ceil(2));
        let [g_zeta, ..] = self.evaluations;
        let division = G1::from(*commitment) - self.q * (zeta_b - alpha) + self.quotient * zeta
            - G1::generator() * g_zeta;
        let BatchFactors { factors, vanishing } = batch.factors;
        let [g, h, s, d] = factors;
        let opening = self.g * g + self.h * h + self.s * s + self.d * d
            - G1::generator() * batch.sum
            - self.w * vanishing
            + self.w_prime * z;
        Ok(PairingPoints {
            left: (division + opening * delta).to_affine(),
            right: (self.w_prime * delta + self.quotient).to_affine(),
        })
    }

    /// Verifies `f~(point) = value` for the committed f; `tau_h` is of the key.
    ///
    /// # Errors
    /// Those of [`Opening::pairing_points`], and [`Rejected::Check`] when the pairing equation
    /// does not hold.
    pub fn verify(
        &self,
        tau_h: &G2Affine,
        seed: &Word,
        commitment: &G1Affine,
        point: &[Fr],
        value: Fr,
    ) -> Result<(), Rejected> {
        self.pairing_points(seed, commitment, point, value)?
            .check(tau_h)
    }
}
