//! The inner product argument, and its verifier as a circuit.
//!
//! # Statement
//!
//! `C = <V, G> + s H` commits to `V` of `N = 2^n` values (a shorter vector is read as padded with
//! zeros), and `v = sum_k t_k V~(p_k)` for coefficients `t_k` and points `p_k` of at most `n`
//! variables, most significant first; a shorter point is that of a shorter vector, and is read as
//! preceded by zeros. With `b = sum_k t_k eq(p_k)` this is `v = <V, b>`.
//!
//! # Argument (Bootle, Cerulli, Chaidos, Groth, Petit 2016; Bowe, Grigg, Hopwood 2019, section 3)
//!
//! The blind `s` is sent. After it a challenge `xi` scales the base `U` of the inner product, so
//! that no claim can be traded against the vector. From `P = C - s H + v xi U` each round halves
//! the vector: with left and right halves
//!
//! ```text
//! L = <a_l, G_r> + <a_l, b_r> xi U        R = <a_r, G_l> + <a_r, b_l> xi U
//! a' = a_r + x a_l     G' = G_l + x G_r     b' = b_l + x b_r     P' = R + x (P + x L)
//! ```
//!
//! and at the end `P = a (G_final + b_final xi U)`, where
//! `G_final = sum_i (prod of x_j over the set bits j of i) G_i`, the first round belonging to the
//! most significant bit, and `b_final = sum_k t_k prod_j (1 + p_(k,j) (x_j - 1))`. There is no
//! inverse of a challenge. Challenges are those of [`foldnet_gadgets::challenge`].
//!
//! # What is assumed
//!
//! Commitment, coefficients, points and value are bound by the transcript before [`verify`] runs,
//! and no one knows a relation between `G`, `H` and `U`. The blind and the last `a` are revealed:
//! this hides nothing about a vector that is not masked by its owner.

pub mod circuit;
mod curve;
mod msm;
pub mod pair;
mod points;
mod scalars;

use crate::arithmetic::{Arithmetic, NativePrimary, NativeSecondary, Oracle};
use crate::error::Rejected;
use ff::Field;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Affine, Point, cube_root, endomorphism};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::sumcheck::eq_table;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use points::Coordinates;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The label from which the base of the inner product and the offset of the circuit are hashed.
const LABEL: &[u8] = b"foldnet inner product argument v1";

/// Why a proof cannot be made, or a key not be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IpaError {
    /// The key is too short.
    #[error("expected a key of at least {expected} generators, got {got}; make a longer key")]
    ShortKey {
        /// Generators that the number of variables asks for.
        expected: usize,
        /// Generators found.
        got: usize,
    },
    /// A vector, or a point, does not fit the key.
    #[error("{what}: expected at most {expected}, got {got}; use a key of more variables")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The most that fits.
        expected: usize,
        /// The length found.
        got: usize,
    },
    /// The vector does not have the value that is to be proven.
    #[error("expected the vector to have the claimed value, got another; prove the value it has")]
    Value,
    /// A generator or the point of a round is the identity, or two points of a sum are equal.
    #[error(
        "expected {what} to be in general position, got an exceptional case; blind the vector anew, \
         fill more than half of it, and use a key of independent generators"
    )]
    Degenerate {
        /// The points.
        what: &'static str,
    },
}

/// The generators of the argument.
///
/// `G` and `H` are the caller's; `U` and `D` are hashed from a label of this module. `D` is used
/// by the circuit only, as the offset of its sums.
#[derive(Clone, Debug)]
pub struct Key<'k, E: CurveEngine> {
    variables: usize,
    generators: &'k [Affine<E>],
    blind: Affine<E>,
    inner: Affine<E>,
    offset: Affine<E>,
}

impl<'k, E: CurveEngine> Key<'k, E> {
    /// The key of the first `2^variables` generators.
    ///
    /// # Errors
    /// [`IpaError::ShortKey`] when there are fewer.
    pub fn new(
        variables: usize,
        generators: &'k [Affine<E>],
        blind: &Affine<E>,
    ) -> Result<Self, IpaError> {
        let count = u32::try_from(variables)
            .ok()
            .and_then(|variables| 1usize.checked_shl(variables))
            .unwrap_or(usize::MAX);
        let short = IpaError::ShortKey {
            expected: count,
            got: generators.len(),
        };
        let generators = generators.get(..count).ok_or(short)?;
        let mut hashed = E::GE::from_label(LABEL, 2).into_iter();
        let (Some(inner), Some(offset)) = (hashed.next(), hashed.next()) else {
            return Err(IpaError::Degenerate {
                what: "hashed generators",
            });
        };
        Ok(Key {
            variables,
            generators,
            blind: *blind,
            inner,
            offset,
        })
    }

    /// The same key with another offset, to which no one may know a relation from the other
    /// generators: the soundness of the circuit's sums rests on it.
    #[must_use]
    pub fn with_offset(mut self, offset: &Affine<E>) -> Self {
        self.offset = *offset;
        self
    }

    /// `n`, where vectors have at most `2^n` values.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// `G`: `2^n` generators.
    pub fn generators(&self) -> &'k [Affine<E>] {
        self.generators
    }

    /// `H`, the generator of blinds.
    pub fn blind(&self) -> &Affine<E> {
        &self.blind
    }

    /// `U`, the base of the inner product.
    pub fn inner(&self) -> &Affine<E> {
        &self.inner
    }

    /// `D`, the offset of sums in the circuit.
    pub fn offset(&self) -> &Affine<E> {
        &self.offset
    }
}

/// A transcript that binds points of a curve and scalars of it.
pub trait PointOracle<E: CurveEngine> {
    /// Absorbs a point by its affine coordinates.
    fn absorb_point(&mut self, point: &Commitment<E>);

    /// Absorbs scalars in order.
    fn absorb_scalars(&mut self, scalars: &[E::Scalar]);

    /// The challenge that binds everything absorbed so far, with its digits.
    fn digits(&mut self) -> Challenge;
}

/// Coordinates are elements of F, which the transcript is over, and are absorbed as they are.
impl<E: CurveEngine> PointOracle<E> for NativeSecondary<'_, E::Base, E::Scalar> {
    fn absorb_point(&mut self, point: &Commitment<E>) {
        self.absorb_native(&point.coordinates());
    }

    fn absorb_scalars(&mut self, scalars: &[E::Scalar]) {
        Oracle::absorb(self, scalars);
    }

    fn digits(&mut self) -> Challenge {
        NativeSecondary::digits(self)
    }
}

/// Coordinates are elements of Q, and are absorbed as the low 128 bits and the rest of their
/// canonical values.
impl<E: CurveEngine> PointOracle<E> for NativePrimary<'_, E::Scalar> {
    fn absorb_point(&mut self, point: &Commitment<E>) {
        for coordinate in point.coordinates() {
            let halves = EisensteinParams::<E::Scalar, E::Base>::canonical_halves(&coordinate);
            Oracle::absorb(self, &halves);
        }
    }

    fn absorb_scalars(&mut self, scalars: &[E::Scalar]) {
        Oracle::absorb(self, scalars);
    }

    fn digits(&mut self) -> Challenge {
        Challenge::from_hash(&Oracle::challenge(self))
    }
}

/// What a native verifier runs on: arithmetic over the scalars and a transcript that binds points.
pub trait Verifier<E: CurveEngine>:
    PointOracle<E> + Arithmetic<Field = E::Scalar, Element = E::Scalar, Error = Rejected>
{
}

impl<E: CurveEngine, V> Verifier<E> for V where
    V: PointOracle<E> + Arithmetic<Field = E::Scalar, Element = E::Scalar, Error = Rejected>
{
}

/// What is proven: `v = sum_k t_k V~(p_k)` for the `V` in `C`.
#[derive(Clone, Debug)]
pub struct Statement<E: CurveEngine> {
    /// `C`.
    pub commitment: Commitment<E>,
    /// `(t_k, p_k)`.
    pub claims: Vec<(E::Scalar, Vec<E::Scalar>)>,
    /// `v`.
    pub value: E::Scalar,
}

/// A proof: two points a round, the last value of the folded vector, and the blind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Proof<E: CurveEngine> {
    /// `(L, R)` of each round.
    pub rounds: Vec<[Commitment<E>; 2]>,
    /// `a`, the last value.
    pub scalar: E::Scalar,
    /// `s`, the blind of the commitment.
    pub blind: E::Scalar,
}

/// The scalar that a challenge stands for.
fn scalar<E: CurveEngine>(challenge: Challenge) -> E::Scalar {
    challenge.scalar(cube_root::<E::Scalar>())
}

/// `sum_k t_k eq(p_k)` over the whole cube.
fn weights<E: CurveEngine>(
    variables: usize,
    claims: &[(E::Scalar, Vec<E::Scalar>)],
) -> Result<Vec<E::Scalar>, IpaError> {
    let mut weights = vec![E::Scalar::ZERO; 1 << variables];
    for (coefficient, point) in claims {
        if point.len() > variables {
            return Err(IpaError::TooLong {
                what: "variables of a point",
                expected: variables,
                got: point.len(),
            });
        }
        for (weight, eq) in weights.iter_mut().zip(eq_table(point)) {
            *weight += *coefficient * eq;
        }
    }
    Ok(weights)
}

fn inner_product<S: Field>(a: &[S], b: &[S]) -> S {
    a.iter().zip(b).fold(S::ZERO, |sum, (a, b)| sum + *a * b)
}

/// `low_i + x high_i`.
fn fold_scalars<S: Field>(low: &[S], high: &[S], x: S) -> Vec<S> {
    let pairs = low.iter().zip(high);
    pairs.map(|(low, high)| *low + x * high).collect()
}

/// The prover's state between rounds.
struct Folding<E: CurveEngine> {
    values: Vec<E::Scalar>,
    weights: Vec<E::Scalar>,
    generators: Vec<Affine<E>>,
    coordinates: Vec<Coordinates<E::Base>>,
    /// `xi U`.
    inner: Point<E>,
    beta: E::Base,
}

impl<E: CurveEngine> Folding<E> {
    fn new(
        key: &Key<'_, E>,
        values: Vec<E::Scalar>,
        weights: Vec<E::Scalar>,
        xi: E::Scalar,
    ) -> Result<Self, IpaError> {
        let coordinates: Option<Vec<_>> = key
            .generators
            .iter()
            .map(points::coordinates::<E>)
            .collect();
        Ok(Folding {
            values,
            weights,
            generators: key.generators.to_vec(),
            coordinates: coordinates.ok_or(IpaError::Degenerate { what: "generators" })?,
            inner: E::GE::group(&key.inner) * xi,
            beta: endomorphism::<E>().0,
        })
    }

    /// `(L, R)`.
    fn message(&self) -> Result<[Commitment<E>; 2], IpaError> {
        let half = self.values.len() / 2;
        let (a_left, a_right) = self.values.split_at(half);
        let (b_left, b_right) = self.weights.split_at(half);
        let (g_left, g_right) = self.generators.split_at(half);
        let cross = |a: &[E::Scalar], g: &[Affine<E>], b: &[E::Scalar]| {
            let sum = E::GE::vartime_multiscalar_mul(a, g) + self.inner * inner_product(a, b);
            Commitment::<E>::new(sum)
        };
        let (left, right) = rayon::join(
            || cross(a_left, g_right, b_right),
            || cross(a_right, g_left, b_left),
        );
        if left.is_identity() || right.is_identity() {
            return Err(IpaError::Degenerate {
                what: "the points of a round",
            });
        }
        Ok([left, right])
    }

    /// Folds everything by the round's challenge.
    fn bind(&mut self, challenge: Challenge) -> Result<(), IpaError> {
        let half = self.values.len() / 2;
        let x = scalar::<E>(challenge);
        let (left, right) = self.values.split_at(half);
        self.values = fold_scalars(right, left, x);
        let (left, right) = self.weights.split_at(half);
        self.weights = fold_scalars(left, right, x);
        let (left, right) = self.coordinates.split_at(half);
        let folded = points::multiply_add_all(left, right, challenge, self.beta);
        let generators: Option<Vec<_>> = folded
            .iter()
            .flatten()
            .map(|point| points::from_coordinates::<E>(*point))
            .collect();
        let (Some(coordinates), Some(generators)) = (folded, generators) else {
            return Err(IpaError::Degenerate { what: "generators" });
        };
        self.coordinates = coordinates;
        self.generators = generators;
        Ok(())
    }
}

/// Proves that `vector`, committed with `blind` in the statement's commitment, has the statement's
/// value. The oracle has absorbed the statement.
///
/// # Errors
/// [`IpaError`] when the vector or a point does not fit, when the value is not that of the vector,
/// and when a round is degenerate, as for a vector that is zero in one half.
pub fn prove<E: CurveEngine>(
    key: &Key<'_, E>,
    oracle: &mut impl PointOracle<E>,
    statement: &Statement<E>,
    vector: &[E::Scalar],
    blind: E::Scalar,
) -> Result<Proof<E>, IpaError> {
    let count = key.generators.len();
    if vector.len() > count {
        return Err(IpaError::TooLong {
            what: "values of a vector",
            expected: count,
            got: vector.len(),
        });
    }
    let weights = weights::<E>(key.variables, &statement.claims)?;
    if inner_product(vector, &weights) != statement.value {
        return Err(IpaError::Value);
    }
    let mut values = vector.to_vec();
    values.resize(count, E::Scalar::ZERO);
    oracle.absorb_scalars(&[blind]);
    let xi = scalar::<E>(oracle.digits());
    let mut folding = Folding::new(key, values, weights, xi)?;
    let mut rounds = Vec::with_capacity(key.variables);
    for _ in 0..key.variables {
        let message = folding.message()?;
        for point in &message {
            oracle.absorb_point(point);
        }
        folding.bind(oracle.digits())?;
        rounds.push(message);
    }
    let scalar = folding.values.first().copied().unwrap_or(E::Scalar::ZERO);
    Ok(Proof {
        rounds,
        scalar,
        blind,
    })
}

/// Verifies a proof. The oracle has absorbed the statement.
///
/// # Errors
/// [`Rejected::Length`] when the proof or a point belongs to another size, [`Rejected::Check`]
/// when a point is the identity or the argument does not hold.
pub fn verify<E: CurveEngine>(
    key: &Key<'_, E>,
    oracle: &mut impl Verifier<E>,
    statement: &Statement<E>,
    proof: &Proof<E>,
) -> Result<(), Rejected> {
    Rejected::lengths("rounds of an opening", key.variables, proof.rounds.len())?;
    oracle.absorb_scalars(&[proof.blind]);
    let xi = scalar::<E>(oracle.digits());
    let mut challenges = Vec::with_capacity(proof.rounds.len());
    for message in &proof.rounds {
        for point in message {
            not_identity(point)?;
            oracle.absorb_point(point);
        }
        challenges.push(scalar::<E>(oracle.digits()));
    }
    let mut weight = E::Scalar::ZERO;
    for (coefficient, point) in &statement.claims {
        weight += *coefficient * scalars::folded_eq(oracle, "claim", point, &challenges)?;
    }
    let last = proof.scalar * weight * xi;
    let left = folded_commitment(key, statement, proof, &challenges, xi);
    let right = folded_generators(key, &challenges, proof.scalar) + E::GE::group(&key.inner) * last;
    if left == right {
        Ok(())
    } else {
        let check = "the inner product argument";
        Err(Rejected::Check { check })
    }
}

/// Refuses the identity, which has no affine coordinates.
fn not_identity<E: CurveEngine>(point: &Commitment<E>) -> Result<(), Rejected> {
    if point.is_identity() {
        let check = "a point of an opening is not the identity";
        return Err(Rejected::Check { check });
    }
    Ok(())
}

/// `P` after all rounds: `prod_j x_j (C - s H + v xi U) + sum_j prod_(k > j) x_k (R_j + x_j^2 L_j)`.
fn folded_commitment<E: CurveEngine>(
    key: &Key<'_, E>,
    statement: &Statement<E>,
    proof: &Proof<E>,
    challenges: &[E::Scalar],
    xi: E::Scalar,
) -> Point<E> {
    let mut factor = E::Scalar::ONE;
    let mut scalars = Vec::with_capacity(2 * challenges.len() + 3);
    let mut bases = Vec::with_capacity(2 * challenges.len() + 3);
    for ([left, right], x) in proof.rounds.iter().zip(challenges).rev() {
        scalars.extend([factor * x.square(), factor]);
        bases.extend([left.point().affine(), right.point().affine()]);
        factor *= x;
    }
    scalars.extend([factor, -factor * proof.blind, factor * statement.value * xi]);
    bases.extend([statement.commitment.point().affine(), key.blind, key.inner]);
    E::GE::vartime_multiscalar_mul(&scalars, &bases)
}

/// `a G_final` as one multi-scalar multiplication.
fn folded_generators<E: CurveEngine>(
    key: &Key<'_, E>,
    challenges: &[E::Scalar],
    scalar: E::Scalar,
) -> Point<E> {
    let mut scalars = Vec::with_capacity(key.generators.len());
    scalars.push(scalar);
    for x in challenges {
        scalars = scalars.iter().flat_map(|s| [*s, *s * x]).collect();
    }
    E::GE::vartime_multiscalar_mul(&scalars, key.generators)
}
