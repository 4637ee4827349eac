//! Proofs: prover, verifier, and the bytes that a contract takes.

use super::points::{ark_g1, ark_g2, ark_scalar, in_subgroup, infinite, on_curve};
use super::reduction::{Domain, evaluate, quotient};
use super::{Assignment, Error, Fr, ProvingKey, Shape, VerifyingKey};
use crate::error::Rejected;
use ark_groth16::Groth16;
use ff::{Field, PrimeField};
use foldnet_gadgets::field::{from_bytes, to_bytes};
use foldnet_gadgets::msm::{Bases, sum_in_blocks};
use halo2curves::bn256::{Fq, Fq2, G1, G1Affine, G2, G2Affine};
use halo2curves::group::Curve;
use nova_snark::provider::msm::msm;
use rand_core::{CryptoRng, RngCore};

/// Bytes of an encoded proof: eight words of 32 bytes.
pub const PROOF_BYTES: usize = 256;

const WORD: usize = 32;

/// A Groth16 proof: A and C in G1, B in G2, all on their curves, in the subgroup of order r, and
/// not infinity.
///
/// Proofs are malleable: anyone can turn one into another of the same statement. Their bytes are
/// no identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    a: G1Affine,
    b: G2Affine,
    c: G1Affine,
}

impl Proof {
    /// A proof of checked points.
    fn new(a: G1Affine, b: G2Affine, c: G1Affine) -> Result<Proof, Rejected> {
        check("A of the proof is finite", !infinite(&a))?;
        check("A of the proof is on the curve", on_curve(&a))?;
        check("B of the proof is finite", !infinite(&b))?;
        check("B of the proof is on the twist", on_curve(&b))?;
        check("B of the proof is in the subgroup", in_subgroup(&b))?;
        check("C of the proof is finite", !infinite(&c))?;
        check("C of the proof is on the curve", on_curve(&c))?;
        Ok(Proof { a, b, c })
    }

    /// The point A.
    pub fn a(&self) -> &G1Affine {
        &self.a
    }

    /// The point B.
    pub fn b(&self) -> &G2Affine {
        &self.b
    }

    /// The point C.
    pub fn c(&self) -> &G1Affine {
        &self.c
    }

    /// Eight big-endian words: `A.x, A.y, B.x, B.y, C.x, C.y` with the coordinates of B imaginary
    /// part first (EIP-197).
    pub fn to_bytes(&self) -> [u8; PROOF_BYTES] {
        let mut bytes = [0; PROOF_BYTES];
        for (target, word) in bytes.chunks_exact_mut(WORD).zip(self.words()) {
            for (target, source) in target.iter_mut().rev().zip(word.to_repr().as_ref()) {
                *target = *source;
            }
        }
        bytes
    }

    fn words(&self) -> [Fq; 8] {
        let (x, y) = (&self.b.x, &self.b.y);
        [
            self.a.x,
            self.a.y,
            *x.c1(),
            *x.c0(),
            *y.c1(),
            *y.c0(),
            self.c.x,
            self.c.y,
        ]
    }

    /// Decodes [`Proof::to_bytes`]. There is one encoding of each proof.
    ///
    /// # Errors
    /// When the length is wrong, a coordinate is not below the modulus, or a point is infinity,
    /// off its curve or outside the subgroup.
    pub fn from_bytes(bytes: &[u8]) -> Result<Proof, Rejected> {
        let bytes: &[u8; PROOF_BYTES] = bytes.try_into().map_err(|_| Rejected::Length {
            what: "bytes of a Groth16 proof",
            expected: PROOF_BYTES,
            got: bytes.len(),
        })?;
        let mut words = [Fq::ZERO; 8];
        for (target, word) in words.iter_mut().zip(bytes.chunks_exact(WORD)) {
            *target = decode_word(word).ok_or(Rejected::Check {
                check: "coordinate of the proof below q",
            })?;
        }
        let [ax, ay, bx1, bx0, by1, by0, cx, cy] = words;
        Proof::new(
            G1Affine { x: ax, y: ay },
            G2Affine {
                x: Fq2::new(bx0, bx1),
                y: Fq2::new(by0, by1),
            },
            G1Affine { x: cx, y: cy },
        )
    }
}

fn check(check: &'static str, holds: bool) -> Result<(), Rejected> {
    if holds {
        Ok(())
    } else {
        Err(Rejected::Check { check })
    }
}

/// The field element of a canonical big-endian word.
fn decode_word<F: foldnet_gadgets::CircuitField>(word: &[u8]) -> Option<F> {
    let mut bytes: [u8; WORD] = word.try_into().ok()?;
    bytes.reverse();
    from_bytes(&bytes)
}

/// Public inputs as big-endian words of 32 bytes.
pub fn encode_inputs(inputs: &[Fr]) -> Vec<u8> {
    inputs
        .iter()
        .flat_map(|input| to_bytes(input).into_iter().rev())
        .collect()
}

/// Decodes [`encode_inputs`].
///
/// # Errors
/// When the length is no multiple of 32 or an input is not below r.
pub fn decode_inputs(bytes: &[u8]) -> Result<Vec<Fr>, Rejected> {
    let words = bytes.chunks_exact(WORD);
    Rejected::lengths("bytes of public inputs", words.len() * WORD, bytes.len())?;
    words
        .map(|word| {
            decode_word(word).ok_or(Rejected::Check {
                check: "public input below r",
            })
        })
        .collect()
}

/// Checks `e(A, B) = e(alpha, beta) e(K_0 + sum_s x_s K_s, gamma) e(C, delta)`.
///
/// Whether the key is the right one, and whether an insecure key is acceptable, is for the caller
/// to decide.
///
/// # Errors
/// [`Rejected::Length`] for a wrong number of inputs, [`Rejected::Check`] when the equation does
/// not hold.
pub fn verify(key: &VerifyingKey, inputs: &[Fr], proof: &Proof) -> Result<(), Rejected> {
    let expected = key.input_points().len().saturating_sub(1);
    Rejected::lengths("public inputs", expected, inputs.len())?;
    let key = ark_groth16::VerifyingKey::<ark_bn254::Bn254> {
        alpha_g1: ark_g1(key.alpha()),
        beta_g2: ark_g2(key.beta()),
        gamma_g2: ark_g2(key.gamma()),
        delta_g2: ark_g2(key.delta()),
        gamma_abc_g1: key.input_points().iter().map(ark_g1).collect(),
    };
    let proof = ark_groth16::Proof {
        a: ark_g1(&proof.a),
        b: ark_g2(&proof.b),
        c: ark_g1(&proof.c),
    };
    let inputs: Vec<_> = inputs.iter().map(ark_scalar).collect();
    let key = ark_groth16::prepare_verifying_key(&key);
    let verdict = Groth16::<ark_bn254::Bn254>::verify_proof(&key, &proof, &inputs);
    check("Groth16 pairing equation", matches!(verdict, Ok(true)))
}

/// Proves that `assignment` satisfies `shape`, with fresh blinding (Groth 2016/260, section 3.2).
///
/// Every constraint is checked before the work, and the finished proof is verified.
///
/// # Errors
/// When key, shape and assignment do not belong together, when a constraint fails, or when the
/// proof does not verify because the key is wrong.
pub fn prove(
    key: &ProvingKey,
    shape: &Shape,
    assignment: &Assignment,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, Error> {
    key.check_shape(shape)?;
    assignment.check_counts(shape)?;
    let quotient = quotient_point(key, shape, assignment)?;
    let (r, s) = (Fr::random(&mut *rng), Fr::random(&mut *rng));
    let proof = assemble(key, assignment, quotient, &r, &s).map_err(|_| Error::SelfCheck)?;
    verify(key.verifying_key(), assignment.inputs(), &proof).map_err(|_| Error::SelfCheck)?;
    Ok(proof)
}

/// `P(tau) / delta` in G1, see the reduction.
fn quotient_point(key: &ProvingKey, shape: &Shape, assignment: &Assignment) -> Result<G1, Error> {
    let domain = Domain::of(shape)?;
    let (a, b) = evaluate(shape, &domain, assignment.values())?;
    let values = quotient(&domain, a, b);
    sum(&key.parts().quotient, &values).map_err(|_| Error::SelfCheck)
}

/// `sum_i values[i] points[i]`.
fn sum(points: &[G1Affine], values: &[Fr]) -> Result<G1, Rejected> {
    let lengths = Rejected::Length {
        what: "points of the proving key",
        expected: values.len(),
        got: points.len(),
    };
    let equal = points.len() == values.len();
    let sum = sum_in_blocks(points, values, Bases::multiply);
    sum.filter(|_| equal).ok_or(lengths)
}

/// `A = alpha + A(tau) + r delta`, `B = beta + B(tau) + s delta`,
/// `C = (private part + P(tau)) / delta + s A + r B - r s delta`.
fn assemble(
    key: &ProvingKey,
    assignment: &Assignment,
    quotient: G1,
    r: &Fr,
    s: &Fr,
) -> Result<Proof, Rejected> {
    let (points, public) = (key.parts(), key.verifying_key());
    let z = assignment.values();
    let a: G1 = sum(&points.a, z)? + public.alpha() + points.delta * r;
    let b: G1 = sum(&points.b, z)? + points.beta + points.delta * s;
    let b_twisted: G2 = msm(z, &points.b_twisted) + public.beta() + *public.delta() * s;
    let private: G1 = sum(&points.auxiliary, assignment.auxiliary())?;
    let c = private + quotient + a * s + b * r - points.delta * (*r * s);
    Proof::new(a.to_affine(), b_twisted.to_affine(), c.to_affine())
}
