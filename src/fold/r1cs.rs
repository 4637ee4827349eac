//! Relaxed R1CS with witness segments: instances, witnesses, folding (Nova, eprint 2021/370,
//! section 4.1), and the complete check of a folded instance.
//!
//! A relaxed instance is `(cm_1, ..., cm_s, cmE, u, X)`; its witness satisfies
//! `A z ∘ B z = u C z + E` with `z = (W_1, ..., W_s, u, X)`. Segments are committed, hashed and
//! opened separately and never merged into one point. Primary instances have two segments, those
//! of the CycleFold circuit one.

use crate::fold::error::FoldError;
use crate::fold::sparse::{Builder, Sparse};
use crate::key::CommitmentKey;
use ff::Field;
use foldnet_compress::shape::ShapeError;
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::field::to_bytes;
use foldnet_gadgets::system::Matrices;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Rows that are multiplied in one task.
const ROWS_TASK: usize = 256;

/// A relaxed instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Instance<E: CurveEngine> {
    /// One commitment a witness segment.
    pub segments: Vec<Commitment<E>>,
    /// Commitment to the error vector.
    pub error: Commitment<E>,
    /// The relaxation scalar.
    pub u: E::Scalar,
    /// Public input and output.
    pub x: Vec<E::Scalar>,
}

/// A fresh instance: relaxed with `E = 0` and `u = 1`, which are therefore not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Fresh<E: CurveEngine> {
    /// One commitment a witness segment.
    pub segments: Vec<Commitment<E>>,
    /// Public input and output.
    pub x: Vec<E::Scalar>,
}

/// The witness of a fresh instance.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct FreshWitness<E: CurveEngine> {
    /// The segments in order.
    pub segments: Vec<Vec<E::Scalar>>,
    /// One blind a segment.
    pub blinds: Vec<E::Scalar>,
}

/// The witness of a relaxed instance.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Witness<E: CurveEngine> {
    /// The segments in order.
    pub segments: Vec<Vec<E::Scalar>>,
    /// One blind a segment.
    pub blinds: Vec<E::Scalar>,
    /// The error vector, one entry a row.
    pub error: Vec<E::Scalar>,
    /// The blind of the error commitment.
    pub error_blind: E::Scalar,
}

/// A running instance with its witness.
pub type Running<E> = (Instance<E>, Witness<E>);

/// A fresh instance with its witness.
pub type Proven<E> = (Fresh<E>, FreshWitness<E>);

/// Witnesses are secrets: their debug form shows lengths only.
macro_rules! opaque_debug {
    ($name:ident) => {
        impl<E: CurveEngine> std::fmt::Debug for $name<E> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let lengths: Vec<usize> = self.segments.iter().map(Vec::len).collect();
                write!(f, "{}(segments of {lengths:?} values)", stringify!($name))
            }
        }
    };
}
opaque_debug!(FreshWitness);
opaque_debug!(Witness);

/// The cross term of one fold: what turns `(U, u)` into the next running instance.
#[derive(Clone, Debug)]
pub struct CrossTerm<E: CurveEngine> {
    /// Commitment to the vector.
    pub commitment: Commitment<E>,
    vector: Vec<E::Scalar>,
    blind: E::Scalar,
}

/// The shape of an R1CS whose variables are divided into segments.
#[derive(Clone, Debug)]
pub struct Shape<E: CurveEngine> {
    matrices: [Sparse; 3],
    coefficients: Vec<E::Scalar>,
    inputs: usize,
    segments: Vec<usize>,
}

impl<E: CurveEngine> Shape<E> {
    /// The shape of `matrices` with the given segment lengths.
    ///
    /// # Errors
    /// [`FoldError::Length`] when the lengths do not add up to the number of variables;
    /// [`FoldError::Shape`] when an entry lies outside the matrices, or entries are not in order.
    pub fn new(matrices: Matrices<E::Scalar>, segments: Vec<usize>) -> Result<Self, FoldError> {
        let total: usize = segments.iter().sum();
        if total != matrices.variables {
            let (expected, got) = (matrices.variables, total);
            return Err(FoldError::Length {
                what: "segments of a shape",
                expected,
                got,
            });
        }
        let columns = matrices.variables + 1 + matrices.inputs;
        let mut builder = Builder::new(matrices.rows, columns);
        let [a, b, c] =
            [matrices.a, matrices.b, matrices.c].map(|entries| builder.matrix(&entries));
        Ok(Shape {
            matrices: [a?, b?, c?],
            coefficients: builder.into_coefficients(),
            inputs: matrices.inputs,
            segments,
        })
    }

    /// Number of constraints.
    pub fn rows(&self) -> usize {
        self.matrices[0].rows()
    }

    /// Lengths of the witness segments.
    pub fn segments(&self) -> &[usize] {
        &self.segments
    }

    /// Number of non-zero entries of the three matrices.
    pub fn entries(&self) -> usize {
        self.matrices.iter().map(Sparse::len).sum()
    }

    /// Length of the longest vector that is committed.
    pub fn key_size(&self) -> usize {
        self.segments
            .iter()
            .copied()
            .chain([self.rows()])
            .max()
            .unwrap_or(0)
    }

    /// The shape in the layout of Spartan.
    ///
    /// # Errors
    /// [`ShapeError`] for dimensions that no circuit here has.
    pub fn layout(&self) -> Result<foldnet_compress::shape::Shape<E::Scalar>, ShapeError> {
        let entries = |matrix: &Sparse| matrix.iter(&self.coefficients).collect::<Vec<_>>();
        let matrices = self.matrices.each_ref().map(entries);
        let segments = self.segments.clone();
        foldnet_compress::shape::Shape::new(self.rows(), segments, self.inputs, matrices)
    }

    /// A digest of the matrices and of the segment lengths, as bytes to hash.
    pub fn absorb_into(&self, hasher: &mut impl sha2::Digest) {
        let dimensions = [self.rows(), self.inputs, self.segments.len()];
        for number in dimensions.iter().chain(&self.segments) {
            hasher.update((*number as u64).to_le_bytes());
        }
        for matrix in &self.matrices {
            hasher.update((matrix.len() as u64).to_le_bytes());
            for (row, column, value) in matrix.iter(&self.coefficients) {
                hasher.update((row as u64).to_le_bytes());
                hasher.update((column as u64).to_le_bytes());
                hasher.update(to_bytes(&value));
            }
        }
    }

    /// `z = (W, u, X)`.
    fn assemble(
        &self,
        segments: &[Vec<E::Scalar>],
        u: E::Scalar,
        x: &[E::Scalar],
    ) -> Vec<E::Scalar> {
        let mut z = Vec::with_capacity(self.columns());
        for segment in segments {
            z.extend_from_slice(segment);
        }
        z.push(u);
        z.extend_from_slice(x);
        z
    }

    /// Variables, the constant one, public inputs.
    fn columns(&self) -> usize {
        self.segments.iter().sum::<usize>() + 1 + self.inputs
    }

    /// `combine(i, (A z)_i, (B z)_i, (C z)_i)` for every row `i`, after checking the length of `z`.
    fn multiply<T: Send>(
        &self,
        z: &[E::Scalar],
        combine: impl Fn(usize, [E::Scalar; 3]) -> T + Sync,
    ) -> Result<Vec<T>, FoldError> {
        check_length("assignment", self.columns(), z.len())?;
        let row = |i| {
            let product = |matrix: &Sparse| matrix.row_product(i, &self.coefficients, z);
            combine(i, self.matrices.each_ref().map(product))
        };
        let rows = (0..self.rows()).into_par_iter().with_min_len(ROWS_TASK);
        Ok(rows.map(row).collect())
    }

    /// The first row for which `holds(i, (A z)_i, (B z)_i, (C z)_i)` is false.
    fn first_violation(
        &self,
        z: &[E::Scalar],
        holds: impl Fn(usize, [E::Scalar; 3]) -> bool + Sync,
    ) -> Result<Option<usize>, FoldError> {
        let satisfied = self.multiply(z, holds)?;
        Ok(satisfied.iter().position(|satisfied| !satisfied))
    }

    fn check_segments(&self, segments: &[Vec<E::Scalar>]) -> Result<(), FoldError> {
        check_length("witness segments", self.segments.len(), segments.len())?;
        for (expected, segment) in self.segments.iter().zip(segments) {
            check_length("a witness segment", *expected, segment.len())?;
        }
        Ok(())
    }

    /// Commits to the segments of a fresh witness with uniform blinds.
    ///
    /// # Errors
    /// Those of the commitment key.
    pub fn commit_segment(
        key: &CommitmentKey<E>,
        segment: &[E::Scalar],
        blind: E::Scalar,
    ) -> Result<Commitment<E>, FoldError> {
        Ok(Commitment::new(key.commit(segment, blind)?))
    }

    /// The cross term `T = A(z1+z2) ∘ B(z1+z2) - (u1+1) C(z1+z2) - E1` of a running and a fresh
    /// instance: the usual `Az1∘Bz2 + Az2∘Bz1 - u1 Cz2 - Cz1`, because both satisfy the shape.
    ///
    /// # Errors
    /// [`FoldError::Length`] when a vector does not have the shape's length.
    pub fn cross_term<R: RngCore + CryptoRng>(
        &self,
        key: &CommitmentKey<E>,
        running: (&Instance<E>, &Witness<E>),
        fresh: (&Fresh<E>, &FreshWitness<E>),
        rng: &mut R,
    ) -> Result<CrossTerm<E>, FoldError> {
        self.check_segments(&running.1.segments)?;
        self.check_segments(&fresh.1.segments)?;
        check_length("error vector", self.rows(), running.1.error.len())?;
        check_length("public input", running.0.x.len(), fresh.0.x.len())?;
        let mut z = self.assemble(&running.1.segments, running.0.u, &running.0.x);
        let other = self.assemble(&fresh.1.segments, E::Scalar::ONE, &fresh.0.x);
        z.par_iter_mut()
            .zip(&other)
            .for_each(|(z, other)| *z += other);
        let u = running.0.u + E::Scalar::ONE;
        let error = &running.1.error;
        let vector = self.multiply(&z, |i, [a, b, c]| a * b - u * c - error[i])?;
        let blind = E::Scalar::random(rng);
        let commitment = Commitment::new(key.commit(&vector, blind)?);
        Ok(CrossTerm {
            commitment,
            vector,
            blind,
        })
    }

    /// Whether `witness` satisfies the relaxed instance: every row, full-length error, and every
    /// commitment.
    ///
    /// # Errors
    /// [`FoldError::Length`] or [`FoldError::Unsatisfied`], naming `what` is checked.
    pub fn check_relaxed(
        &self,
        key: &CommitmentKey<E>,
        instance: &Instance<E>,
        witness: &Witness<E>,
        what: &'static str,
    ) -> Result<(), FoldError> {
        self.check_segments(&witness.segments)?;
        check_length("error vector", self.rows(), witness.error.len())?;
        check_length("public input", self.inputs, instance.x.len())?;
        let z = self.assemble(&witness.segments, instance.u, &instance.x);
        let (u, error) = (instance.u, &witness.error);
        let holds = |i: usize, [a, b, c]: [E::Scalar; 3]| a * b == u * c + error[i];
        if let Some(row) = self.first_violation(&z, holds)? {
            return Err(FoldError::Unsatisfied {
                what,
                detail: format!("constraint {row}"),
            });
        }
        check_commitments(
            key,
            &instance.segments,
            &witness.segments,
            &witness.blinds,
            what,
        )?;
        let error = Commitment::new(key.commit(&witness.error, witness.error_blind)?);
        if error != instance.error {
            return Err(FoldError::Unsatisfied {
                what,
                detail: "commitment to the error".into(),
            });
        }
        Ok(())
    }

    /// Whether `witness` satisfies the fresh instance strictly.
    ///
    /// # Errors
    /// [`FoldError::Length`] or [`FoldError::Unsatisfied`], naming `what` is checked.
    pub fn check_fresh(
        &self,
        key: &CommitmentKey<E>,
        fresh: &Fresh<E>,
        witness: &FreshWitness<E>,
        what: &'static str,
    ) -> Result<(), FoldError> {
        self.check_segments(&witness.segments)?;
        check_length("public input", self.inputs, fresh.x.len())?;
        let z = self.assemble(&witness.segments, E::Scalar::ONE, &fresh.x);
        let holds = |_, [a, b, c]: [E::Scalar; 3]| a * b == c;
        if let Some(row) = self.first_violation(&z, holds)? {
            return Err(FoldError::Unsatisfied {
                what,
                detail: format!("constraint {row}"),
            });
        }
        check_commitments(
            key,
            &fresh.segments,
            &witness.segments,
            &witness.blinds,
            what,
        )
    }

    /// A satisfying relaxed instance to start from.
    ///
    /// With `mask` it is uniform: segments, `u`, `X` and all blinds, with `E` computed, so that the
    /// folded witness is uniform too. Without, everything is zero but the blinds, which keeps every
    /// commitment away from the identity.
    ///
    /// # Errors
    /// Those of the commitment key.
    pub fn start<R: RngCore + CryptoRng>(
        &self,
        key: &CommitmentKey<E>,
        mask: bool,
        rng: &mut R,
    ) -> Result<Running<E>, FoldError> {
        let mut scalar = |uniform: bool| {
            if uniform {
                E::Scalar::random(&mut *rng)
            } else {
                E::Scalar::ZERO
            }
        };
        let segments: Vec<Vec<E::Scalar>> = self
            .segments
            .iter()
            .map(|n| (0..*n).map(|_| scalar(mask)).collect())
            .collect();
        let u = scalar(mask);
        let x: Vec<E::Scalar> = (0..self.inputs).map(|_| scalar(mask)).collect();
        let blinds: Vec<E::Scalar> = segments.iter().map(|_| scalar(true)).collect();
        let error_blind = scalar(true);
        let z = self.assemble(&segments, u, &x);
        let error = self.multiply(&z, |_, [a, b, c]| a * b - u * c)?;
        let commit =
            |v: &[E::Scalar], blind| Ok::<_, FoldError>(Commitment::new(key.commit(v, blind)?));
        let instance = Instance {
            segments: segments
                .iter()
                .zip(&blinds)
                .map(|(segment, blind)| commit(segment, *blind))
                .collect::<Result<_, _>>()?,
            error: commit(&error, error_blind)?,
            u,
            x,
        };
        Ok((
            instance,
            Witness {
                segments,
                blinds,
                error,
                error_blind,
            },
        ))
    }
}

pub(crate) fn check_length(
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), FoldError> {
    if expected == got {
        Ok(())
    } else {
        Err(FoldError::Length {
            what,
            expected,
            got,
        })
    }
}

fn check_commitments<E: CurveEngine>(
    key: &CommitmentKey<E>,
    commitments: &[Commitment<E>],
    segments: &[Vec<E::Scalar>],
    blinds: &[E::Scalar],
    what: &'static str,
) -> Result<(), FoldError> {
    check_length("segment commitments", segments.len(), commitments.len())?;
    check_length("segment blinds", segments.len(), blinds.len())?;
    for (i, ((segment, blind), commitment)) in
        segments.iter().zip(blinds).zip(commitments).enumerate()
    {
        if Commitment::new(key.commit(segment, *blind)?) != *commitment {
            let detail = format!("commitment to segment {}", i + 1);
            return Err(FoldError::Unsatisfied { what, detail });
        }
    }
    Ok(())
}

impl<E: CurveEngine> Instance<E> {
    /// The fold `U + r u` with cross-term commitment `cross`; lengths are those of the shorter.
    #[must_use]
    pub fn fold(&self, r: E::Scalar, fresh: &Fresh<E>, cross: &Commitment<E>) -> Self {
        Instance {
            segments: self
                .segments
                .iter()
                .zip(&fresh.segments)
                .map(|(running, fresh)| running.fold(r, fresh))
                .collect(),
            error: self.error.fold(r, cross),
            u: self.u + r,
            x: self
                .x
                .iter()
                .zip(&fresh.x)
                .map(|(running, fresh)| *running + r * fresh)
                .collect(),
        }
    }
}

impl<E: CurveEngine> Witness<E> {
    /// Folds a fresh witness in place; the lengths were checked with the cross term.
    pub fn fold(&mut self, r: E::Scalar, fresh: &FreshWitness<E>, cross: &CrossTerm<E>) {
        for (running, fresh) in self.segments.iter_mut().zip(&fresh.segments) {
            running
                .par_iter_mut()
                .zip(fresh)
                .for_each(|(running, fresh)| {
                    if !bool::from(fresh.is_zero()) {
                        *running += r * fresh;
                    }
                });
        }
        for (running, fresh) in self.blinds.iter_mut().zip(&fresh.blinds) {
            *running += r * fresh;
        }
        self.error
            .par_iter_mut()
            .zip(&cross.vector)
            .for_each(|(e, t)| *e += r * t);
        self.error_blind += r * cross.blind;
    }
}
