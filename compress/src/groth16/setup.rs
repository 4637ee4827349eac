//! Development set-up: the secrets of a key, and its points from them.

use super::fixed_base::Multiples;
use super::keys::{ProvingParts, VerifyingParts};
use super::reduction::{Columns, Domain, columns};
use super::{Fr, Shape};
use ff::Field;
use halo2curves::bn256::{G1, G1Affine, G2, G2Affine};
use halo2curves::group::Curve;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;

/// The secrets of a set-up; `gamma` is one, as in every ceremony of snarkjs, and the contract relies
/// on it.
pub(super) struct Trapdoor {
    alpha: Fr,
    beta: Fr,
    delta: Fr,
    tau: Fr,
}

impl Trapdoor {
    /// Uniform secrets: none is zero, and tau is outside the domain of twice the size.
    pub(super) fn random(domain: &Domain, rng: &mut (impl RngCore + CryptoRng)) -> Trapdoor {
        let mut nonzero = || loop {
            let value = Fr::random(&mut *rng);
            if !value.is_zero_vartime() {
                return value;
            }
        };
        let [alpha, beta, delta] = [(); 3].map(|()| nonzero());
        let tau = loop {
            let tau = nonzero();
            if tau.pow_vartime([2 * domain.size() as u64]) != Fr::ONE {
                break tau;
            }
        };
        Trapdoor {
            alpha,
            beta,
            delta,
            tau,
        }
    }

    /// The points of a key for `shape`.
    pub(super) fn parts(&self, shape: &Shape, domain: &Domain) -> (VerifyingParts, ProvingParts) {
        let columns = columns(shape, &domain.basis(&self.tau));
        let combined = self.combined(&columns);
        let (public, auxiliary) = combined.split_at(1 + shape.inputs());
        let count = 2 * shape.variables() + shape.auxiliary() + domain.size();
        let first = Multiples::<G1Affine>::new(&G1::generator(), count);
        let second = Multiples::<G2Affine>::new(&G2::generator(), shape.variables());
        let scaled = |values: &[Fr], divisor: &Fr| {
            let factor = divisor.invert().unwrap_or(Fr::ZERO);
            let values: Vec<Fr> = values.par_iter().map(|value| factor * value).collect();
            first.all(&values)
        };
        let verifying = VerifyingParts {
            alpha: (G1::generator() * self.alpha).to_affine(),
            beta: (G2::generator() * self.beta).to_affine(),
            gamma: G2Affine::generator(),
            delta: (G2::generator() * self.delta).to_affine(),
            inputs: first.all(public),
        };
        let proving = ProvingParts {
            beta: (G1::generator() * self.beta).to_affine(),
            delta: (G1::generator() * self.delta).to_affine(),
            a: first.all(&columns.a),
            b: first.all(&columns.b),
            b_twisted: second.all(&columns.b),
            auxiliary: scaled(auxiliary, &self.delta),
            quotient: scaled(&domain.odd_basis(&self.tau), &self.delta),
        };
        (verifying, proving)
    }

    /// `beta A_s + alpha B_s + C_s` for all columns.
    fn combined(&self, columns: &Columns) -> Vec<Fr> {
        let Columns { a, b, c } = columns;
        a.par_iter()
            .zip(b)
            .zip(c)
            .map(|((a, b), c)| self.beta * a + self.alpha * b + c)
            .collect()
    }
}
