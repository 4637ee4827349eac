//! From constraints to polynomials, exactly as `snarkjs` and circom's tools do it.
//!
//! With m constraints and l public inputs, the rows are the m constraints and `1 + l` further
//! rows with `A = z_s`, `B = C = 0` for `s <= l`, which make the public columns of A linearly
//! independent, as in libsnark. The domain is the group of order `n = 2^k >= m + 1 + l` generated
//! by w, where roots of unity are powers of the non-residue 5.
//!
//! The quotient is never divided out: with v a square root of w, the polynomial
//! `P = A B - (A B mod (X^n - 1))` of degree below 2n vanishes on the powers of w, so
//! `P(tau) = sum_i P(v^(2i+1)) L_(2i+1)(tau)` with L the Lagrange basis of the powers of v. The
//! key holds `L_(2i+1)(tau) / delta`, the prover computes the values of P on the odd powers of v.

use super::circuit::SparseMatrix;
use super::fixed_base::invert_all;
use super::{Error, Fr, Shape};
use ff::{Field, PrimeField};
use foldnet_gadgets::field::to_bytes;
use halo2curves::fft::best_fft;
use num_bigint::BigUint;
use rayon::prelude::*;

/// Entries that one task works on.
const CHUNK: usize = 1 << 12;

/// The group of order n over which the constraints are interpolated.
pub(super) struct Domain {
    log: u32,
    root: Fr,
    half: Fr,
}

impl Domain {
    /// The smallest domain for the rows of `shape`.
    pub(super) fn of(shape: &Shape) -> Result<Domain, Error> {
        let rows = shape.rows() + 1 + shape.inputs();
        let log = rows.next_power_of_two().ilog2();
        if log >= Fr::S {
            let limit = Fr::S - 1;
            return Err(Error::TooLarge { rows, limit });
        }
        let half = root_of_unity(log + 1);
        Ok(Domain {
            log,
            root: half.square(),
            half,
        })
    }

    /// The number of elements n.
    pub(super) fn size(&self) -> usize {
        1 << self.log
    }

    /// The values at `tau` of the Lagrange basis of the domain.
    pub(super) fn basis(&self, tau: &Fr) -> Vec<Fr> {
        self.lagrange(tau, Fr::ONE, self.log)
    }

    /// The values at `tau` of the odd half of the Lagrange basis of the domain of twice the size.
    pub(super) fn odd_basis(&self, tau: &Fr) -> Vec<Fr> {
        self.lagrange(tau, self.half, self.log + 1)
    }

    /// `(tau^N - 1) / N * x_i / (tau - x_i)` with `N = 2^log` and `x_i = first * w^i`, for n
    /// values of i.
    fn lagrange(&self, tau: &Fr, first: Fr, log: u32) -> Vec<Fr> {
        let order = Fr::from(1 << log);
        let vanishing = tau.pow_vartime([1u64 << log]) - Fr::ONE;
        let factor = vanishing * order.invert().unwrap_or(Fr::ZERO);
        let mut values = powers(first, self.root, self.size());
        values.par_chunks_mut(CHUNK).for_each(|nodes| {
            let mut inverses: Vec<Fr> = nodes.iter().map(|node| *tau - node).collect();
            invert_all(&mut inverses);
            for (node, inverse) in nodes.iter_mut().zip(&inverses) {
                *node *= factor * inverse;
            }
        });
        values
    }

    /// Moves values on the domain to values on its coset of odd powers of v, in place.
    fn shift(&self, values: &mut [Fr]) {
        let inverse = self.root.invert().unwrap_or(Fr::ZERO);
        best_fft(values, inverse, self.log);
        let scale = Fr::from(1 << self.log).invert().unwrap_or(Fr::ZERO);
        values
            .par_chunks_mut(CHUNK)
            .enumerate()
            .for_each(|(i, values)| {
                let mut power = scale * self.half.pow_vartime([(i * CHUNK) as u64]);
                for value in values {
                    *value *= power;
                    power *= self.half;
                }
            });
        best_fft(values, self.root, self.log);
    }
}

/// `5^((p-1) / 2^log)`, a primitive root of unity of order `2^log`.
fn root_of_unity(log: u32) -> Fr {
    let exponent = BigUint::from_bytes_le(&to_bytes(&-Fr::ONE)) >> log;
    Fr::from(5).pow_vartime(exponent.to_u64_digits())
}

/// `first * ratio^i` for `i < count`.
fn powers(first: Fr, ratio: Fr, count: usize) -> Vec<Fr> {
    let mut values = vec![Fr::ZERO; count];
    values
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(i, values)| {
            let mut power = first * ratio.pow_vartime([(i * CHUNK) as u64]);
            for value in values {
                *value = power;
                power *= ratio;
            }
        });
    values
}

/// The column polynomials of the three matrices at one point.
pub(super) struct Columns {
    /// `A_s(tau)` for all columns s.
    pub(super) a: Vec<Fr>,
    /// `B_s(tau)` for all columns s.
    pub(super) b: Vec<Fr>,
    /// `C_s(tau)` for all columns s.
    pub(super) c: Vec<Fr>,
}

/// Evaluates all column polynomials at the point at which `basis` is the Lagrange basis.
pub(super) fn columns(shape: &Shape, basis: &[Fr]) -> Columns {
    let [a, b, c] = shape.matrices();
    let (mut a, (b, c)) = rayon::join(
        || transpose_multiply(shape, a, basis),
        || {
            rayon::join(
                || transpose_multiply(shape, b, basis),
                || transpose_multiply(shape, c, basis),
            )
        },
    );
    let consistency = basis.iter().skip(shape.rows());
    for (column, value) in a.iter_mut().zip(consistency).take(1 + shape.inputs()) {
        *column += value;
    }
    Columns { a, b, c }
}

fn transpose_multiply(shape: &Shape, matrix: &SparseMatrix, basis: &[Fr]) -> Vec<Fr> {
    let mut columns = vec![Fr::ZERO; shape.variables()];
    for (row, weight) in basis.iter().enumerate().take(shape.rows()) {
        for (column, value) in matrix.row(row) {
            let sum = &mut columns[column as usize];
            *sum = shape.add_term(*sum, value, weight);
        }
    }
    columns
}

/// The values of A z and B z on the domain, after a check of every constraint.
///
/// # Errors
/// [`Error::Unsatisfied`] with the first constraint that fails.
pub(super) fn evaluate(
    shape: &Shape,
    domain: &Domain,
    z: &[Fr],
) -> Result<(Vec<Fr>, Vec<Fr>), Error> {
    let [a, b, c] = shape.matrices();
    let mut az = shape.multiply(a, z);
    let mut bz = shape.multiply(b, z);
    let cz = shape.multiply(c, z);
    let failed = az
        .par_iter()
        .zip(&bz)
        .zip(&cz)
        .position_first(|((a, b), c)| a * b != *c);
    if let Some(row) = failed {
        return Err(Error::Unsatisfied { row });
    }
    az.extend_from_slice(&z[..=shape.inputs()]);
    az.resize(domain.size(), Fr::ZERO);
    bz.resize(domain.size(), Fr::ZERO);
    Ok((az, bz))
}

/// The values of P on the odd powers of v, from the values of A and B on the domain.
pub(super) fn quotient(domain: &Domain, mut a: Vec<Fr>, mut b: Vec<Fr>) -> Vec<Fr> {
    let mut c: Vec<Fr> = a.par_iter().zip(&b).map(|(a, b)| a * b).collect();
    rayon::join(
        || domain.shift(&mut a),
        || {
            rayon::join(|| domain.shift(&mut b), || domain.shift(&mut c));
        },
    );
    a.par_iter_mut()
        .zip(&b)
        .zip(&c)
        .for_each(|((a, b), c)| *a = *a * b - c);
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::FftField;

    #[test]
    fn roots_are_those_of_circom() {
        // arkworks has the same generator, 5.
        let theirs = ark_bn254::Fr::TWO_ADIC_ROOT_OF_UNITY;
        let ours = super::super::points::ark_scalar(&root_of_unity(Fr::S));
        assert_eq!(ours, theirs);
        assert_eq!(root_of_unity(5).square(), root_of_unity(4));
        assert_eq!(root_of_unity(0), Fr::ONE);
        assert_eq!(root_of_unity(1), -Fr::ONE);
    }

    #[test]
    fn odd_values_and_odd_basis_give_the_multiple_of_the_vanishing_polynomial() {
        let log = 4;
        let half = root_of_unity(log + 1);
        let domain = Domain {
            log,
            root: half.square(),
            half,
        };
        let a: Vec<Fr> = (0..16).map(|i| Fr::from(i * i + 3)).collect();
        let b: Vec<Fr> = (0..16).map(|i| Fr::from(7 * i + 1)).collect();
        let c: Vec<Fr> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        let tau = Fr::from(1234567);
        let inner = |values: &[Fr], basis: &[Fr]| -> Fr {
            values.iter().zip(basis).map(|(x, y)| x * y).sum()
        };
        let basis = domain.basis(&tau);
        let [at, bt, ct] = [&a, &b, &c].map(|values| inner(values, &basis));
        let values = quotient(&domain, a, b);
        assert_eq!(inner(&values, &domain.odd_basis(&tau)), at * bt - ct);
    }
}
