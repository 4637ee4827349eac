//! What passes between steps, and how it is hashed.
//!
//! Every preimage is a struct over its element type, so that the native hash and its circuit twin
//! absorb the same things in the same order by construction.

use crate::fold::cyclefold::Operation;
use crate::fold::r1cs::{Fresh, Instance};
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Cycle, endomorphism};
use foldnet_gadgets::eisenstein::{EisensteinError, EisensteinParams, Form};
use foldnet_gadgets::field::CircuitField;
use foldnet_gadgets::hash::{HashConstants, Tag, hash};
use serde::{Deserialize, Serialize};

/// Domain of the state hash `h`.
pub const STATE: Tag = Tag::new("foldnet state");
/// Domain of the digest of a primary running instance.
pub const INSTANCE: Tag = Tag::new("foldnet running instance");
/// Domain of the digest of the CycleFold running instance.
pub const CYCLEFOLD: Tag = Tag::new("foldnet cyclefold instance");
/// Domain of `alpha`.
pub const ALPHA: Tag = Tag::new("foldnet alpha");
/// Domain of the primary folding challenge.
pub const FOLD: Tag = Tag::new("foldnet fold");
/// Domain of the CycleFold folding challenge.
pub const FOLD_CYCLEFOLD: Tag = Tag::new("foldnet fold cyclefold");
/// Domain of the model digest.
pub const MODEL: Tag = Tag::new("foldnet model");
/// Domain of the digest's start value `D0`.
pub const MODEL_START: Tag = Tag::new("foldnet model start");
/// Domain of the batch digest.
pub const BATCH: Tag = Tag::new("foldnet batch");
/// Domain of the digest of the digests of a step's inferences.
pub const GROUP: Tag = Tag::new("foldnet inferences of a step");
/// Domain of the in-circuit transcript of a step.
pub const STEP: Tag = Tag::new("foldnet step");

/// `B0`: the batch digest before any inference.
pub fn batch_start<F: CircuitField>() -> F {
    BATCH.element()
}

/// Constants of a cycle that native hashing and circuits share; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Context<C: Cycle> {
    /// Poseidon over F.
    pub hash: HashConstants<C::F>,
    /// Non-native representation of F'.
    pub eisenstein: EisensteinParams<C::F, C::Q>,
    /// `lambda` of the primary curve, in F.
    pub lambda: C::F,
    /// `(beta, lambda)` of the secondary curve, in F and F'.
    pub secondary: (C::F, C::Q),
}

impl<C: Cycle> Context<C> {
    /// The constants; takes about 0.1 s.
    ///
    /// # Errors
    /// [`EisensteinError`] when the fields admit no such arithmetic, which those of all cycles do.
    pub fn new() -> Result<Self, EisensteinError> {
        Ok(Context {
            hash: HashConstants::default(),
            eisenstein: EisensteinParams::new()?,
            lambda: endomorphism::<C::Primary>().1,
            secondary: endomorphism::<C::Secondary>(),
        })
    }

    /// The Eisenstein components of an element of F', as hashed.
    pub fn components(&self, x: &C::Q) -> [C::F; 2] {
        self.eisenstein.components(x, Form::Short)
    }

    /// The components of both coordinates of a commitment.
    pub fn point(&self, commitment: &Commitment<C::Primary>) -> [C::F; 4] {
        let [x, y] = commitment.coordinates().map(|c| self.components(&c));
        [x[0], x[1], y[0], y[1]]
    }

    /// The canonical 128-bit limbs of both coordinates of a commitment.
    pub fn canonical(&self, commitment: &Commitment<C::Primary>) -> [C::F; 4] {
        let [x, y] = commitment
            .coordinates()
            .map(|c| EisensteinParams::<C::F, C::Q>::canonical_halves(&c));
        [x[0], x[1], y[0], y[1]]
    }

    /// `D0 = RO(tag, pp)`.
    pub fn model_start(&self, pp: C::F) -> C::F {
        hash(&self.hash, MODEL_START, &[pp])
    }

    /// `d' = RO(d, kind, C_step)`; a kind without weights absorbs no commitment.
    pub fn model_step(
        &self,
        digest: C::F,
        kind: usize,
        commitment: Option<&Commitment<C::Primary>>,
    ) -> C::F {
        let limbs = commitment
            .map(|c| self.canonical(c).to_vec())
            .unwrap_or_default();
        hash(
            &self.hash,
            MODEL,
            &model_elements(digest, C::F::from(kind as u64), limbs),
        )
    }

    /// The digest of the live tensors of a step from those of its inferences: for one inference its
    /// own, for several `RO(t_1, t_2, ...)`.
    pub fn group(&self, digests: &[C::F]) -> C::F {
        match digests {
            [digest] => *digest,
            several => hash(&self.hash, GROUP, several),
        }
    }

    /// The batch digest of finished inferences, each its input and output digest.
    pub fn batch(&self, inferences: &[(C::F, C::F)]) -> C::F {
        inferences
            .iter()
            .fold(batch_start(), |batch, (input, output)| {
                self.batch_step(batch, *input, *output)
            })
    }

    /// `b' = RO(b, t_in, t_out)`.
    pub fn batch_step(&self, batch: C::F, input: C::F, output: C::F) -> C::F {
        hash(&self.hash, BATCH, &[batch, input, output])
    }

    /// `alpha = RO(pp, kind, cm1)`.
    pub fn alpha(&self, pp: C::F, kind: usize, first: &Commitment<C::Primary>) -> C::F {
        let elements = alpha_elements(pp, C::F::from(kind as u64), self.canonical(first));
        hash(&self.hash, ALPHA, &elements)
    }

    /// The digest of a primary running instance.
    pub fn instance(&self, instance: &Instance<C::Primary>) -> C::F {
        let mut elements = Vec::with_capacity(15);
        for commitment in instance.segments.iter().chain([&instance.error]) {
            elements.extend(self.point(commitment));
        }
        elements.push(instance.u);
        elements.extend_from_slice(&instance.x);
        hash(&self.hash, INSTANCE, &elements)
    }

    /// The digest of a CycleFold running instance.
    pub fn cyclefold(&self, instance: &Instance<C::Secondary>) -> C::F {
        let mut elements = Vec::with_capacity(6 + 2 * instance.x.len());
        for commitment in instance.segments.iter().chain([&instance.error]) {
            elements.extend(commitment.coordinates());
        }
        for x in [&instance.u].into_iter().chain(&instance.x) {
            elements.extend(self.components(x));
        }
        hash(&self.hash, CYCLEFOLD, &elements)
    }

    /// The hash from which the folding challenge of a primary fold is read.
    pub fn fold_challenge(
        &self,
        pp: C::F,
        kind: usize,
        running: C::F,
        fresh: &Fresh<C::Primary>,
        cross: &Commitment<C::Primary>,
    ) -> C::F {
        let mut elements = vec![pp, C::F::from(kind as u64), running];
        // The first segment is hashed in the same canonical form as in `alpha`.
        for (i, commitment) in fresh.segments.iter().enumerate() {
            elements.extend(if i == 0 {
                self.canonical(commitment)
            } else {
                self.point(commitment)
            });
        }
        elements.extend_from_slice(&fresh.x);
        elements.extend(self.point(cross));
        hash(&self.hash, FOLD, &elements)
    }

    /// The hash from which the folding challenge of a CycleFold fold is read.
    pub fn cyclefold_challenge(&self, inputs: &CycleFoldChallenge<'_, C>) -> C::F {
        let mut elements = vec![
            inputs.pp,
            inputs.running,
            inputs.fold_hash,
            inputs.folded,
            inputs.accumulate.to_field(),
        ];
        for commitment in inputs.accumulation {
            elements.extend(self.point(commitment));
        }
        elements.extend(inputs.fresh.coordinates());
        elements.extend(inputs.cross.coordinates());
        hash(&self.hash, FOLD_CYCLEFOLD, &elements)
    }

    /// The state hash `h`.
    pub fn state(&self, preimage: StatePreimage<C::F>) -> C::F {
        hash(&self.hash, STATE, &preimage.elements())
    }

    /// The state hash's part that belongs to the accumulator.
    pub fn accumulator(&self, accumulator: &Accumulator<C>) -> AccumulatorElements<C::F> {
        AccumulatorElements {
            commitment: self.point(&accumulator.commitment),
            pending: self.point(&accumulator.pending),
            challenge: accumulator.challenge.to_field(),
            point: accumulator.point.clone(),
            value: accumulator.value,
        }
    }
}

/// What the CycleFold folding challenge binds: the running instance, and through their digests and
/// components everything the fresh instance's public IO is made of.
#[derive(Clone, Debug)]
pub struct CycleFoldChallenge<'a, C: Cycle> {
    /// The parameter digest.
    pub pp: C::F,
    /// Digest of the CycleFold running instance.
    pub running: C::F,
    /// The hash of the primary folding challenge: binds U, the fresh instance and cmT.
    pub fold_hash: C::F,
    /// Digest of the folded primary instance: binds the results of the first three operations.
    pub folded: C::F,
    /// The accumulation challenge.
    pub accumulate: Challenge,
    /// The three points of the last operation.
    pub accumulation: [&'a Commitment<C::Primary>; 3],
    /// Commitment to the fresh CycleFold witness.
    pub fresh: Commitment<C::Secondary>,
    /// Commitment to the CycleFold cross term.
    pub cross: Commitment<C::Secondary>,
}

/// Elements of the model digest.
pub fn model_elements<T>(digest: T, kind: T, commitment: Vec<T>) -> Vec<T> {
    let mut elements = vec![digest, kind];
    elements.extend(commitment);
    elements
}

/// Elements of `alpha`.
pub fn alpha_elements<T>(pp: T, kind: T, first: [T; 4]) -> Vec<T> {
    let mut elements = vec![pp, kind];
    elements.extend(first);
    elements
}

/// The accumulator's part of the state hash.
#[derive(Clone, Debug)]
pub struct AccumulatorElements<T> {
    /// Components of the commitment.
    pub commitment: [T; 4],
    /// Components of the pending commitment.
    pub pending: [T; 4],
    /// The pending challenge's integer.
    pub challenge: T,
    /// The point.
    pub point: Vec<T>,
    /// The value.
    pub value: T,
}

/// The preimage of the state hash.
#[derive(Clone, Debug)]
pub struct StatePreimage<T> {
    /// Parameter digest.
    pub pp: T,
    /// Number of steps so far.
    pub index: T,
    /// Model id: the same in `z_0` and `z_i`.
    pub model: T,
    /// `t_0`: with the constants `D0`, `B0` and 0 it is all of `z_0`.
    pub start: T,
    /// Running model digest `d`.
    pub digest: T,
    /// `t_in`: digest of this inference's input.
    pub input: T,
    /// `t`: digest of the live tensors.
    pub tensors: T,
    /// `b`: digest of the finished inferences.
    pub batch: T,
    /// `c`: their number.
    pub count: T,
    /// One digest a kind.
    pub entries: Vec<T>,
    /// Digest of the CycleFold running instance.
    pub cyclefold: T,
    /// The claim accumulator.
    pub accumulator: AccumulatorElements<T>,
    /// The kind of the step that made this state.
    pub kind: T,
}

impl<T> StatePreimage<T> {
    /// The elements in hashing order.
    pub fn elements(self) -> Vec<T> {
        let mut elements = vec![self.pp, self.index, self.model, self.start];
        elements.extend([
            self.digest,
            self.input,
            self.tensors,
            self.batch,
            self.count,
        ]);
        elements.extend(self.entries);
        elements.push(self.cyclefold);
        elements.extend(self.accumulator.commitment);
        elements.extend(self.accumulator.pending);
        elements.push(self.accumulator.challenge);
        elements.extend(self.accumulator.point);
        elements.extend([self.accumulator.value, self.kind]);
        elements
    }
}

/// The state `z` between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct State<F: CircuitField> {
    /// `m`: the model id.
    pub model: F,
    /// `d`: the running model digest.
    pub digest: F,
    /// `t_in`: the digest of this inference's input.
    pub input: F,
    /// `t`: the digest of the live tensors.
    pub tensors: F,
    /// `b`: the digest of the finished inferences.
    pub batch: F,
    /// `c`: their number.
    pub count: u64,
}

/// The claim accumulator: the polynomial committed in `commitment + endo(challenge) * pending`
/// evaluates to `value` at `point`.
///
/// The last step's commitment is added one step late, when its challenge is known before the step's
/// first segment is committed (docs/decisions/001).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Accumulator<C: Cycle> {
    /// `C_acc` without the last step.
    pub commitment: Commitment<C::Primary>,
    /// `C_step` of the last step that had weights.
    pub pending: Commitment<C::Primary>,
    /// Its challenge.
    pub challenge: Challenge,
    /// `rho`.
    pub point: Vec<C::F>,
    /// `a`.
    pub value: C::F,
}

impl<C: Cycle> Accumulator<C> {
    /// The operation that adds the pending commitment, and its challenge.
    pub fn join(&self, lambda: C::F) -> (Challenge, Operation<C::Primary>) {
        let scalar = self.challenge.scalar(lambda);
        let operation = Operation::perform(self.commitment, self.pending, scalar);
        (self.challenge, operation)
    }
}
