//! Weight commitments that are kept between runs.
//!
//! Committing to the weights of a deep network takes as long as a good part of its proof, and the
//! result is the same every time. It is kept beside the commitment keys, under a name made of the
//! digest of the program's file and of the parameters, which bind the keys.
//!
//! What is read is checked for damage by the container, for its length, and one step, drawn at random,
//! is committed to again. Nothing more, because nobody has to trust it: a wrong commitment gives a
//! wrong model id and a proof that does not verify. So only provers read it. Whoever tells others what
//! to trust, or decides for himself (`model-id`, `verify --model`), commits to the weights.

use crate::blinds::WeightBlinds;
use crate::error::Error;
use crate::files::{self, Access, Kind, hex};
use crate::program::Program;
use crate::progress::{Progress, Stage};
use crate::session::{Committed, Session};
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::to_bytes;
use foldnet_gadgets::step::StepCircuit;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The largest file: 64 bytes a step.
const LARGEST_FILE: u64 = 1 << 31;

/// One a step that has weights.
type StepCommitments<C> = Vec<Option<Commitment<<C as Cycle>::Primary>>>;

/// What is kept.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Kept<C: Cycle> {
    /// Of the program and the parameters.
    digest: [u8; 32],
    /// One a step that has weights.
    commitments: Vec<Option<Commitment<C::Primary>>>,
}

impl<C: Cycle> Session<C> {
    /// [`Session::commit_with`], from a directory if the same program was committed to before with the
    /// same blinds under the same parameters. For provers: see the module's description.
    ///
    /// A file that cannot be used is made again; one that cannot be written is no error.
    ///
    /// # Errors
    /// Those of [`Session::commit_with`].
    pub fn commit_cached<R: RngCore + CryptoRng>(
        &self,
        program: &Program,
        blinds: &WeightBlinds<C::F>,
        directory: Option<&Path>,
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<Committed<C>, Error> {
        let Some((directory, digest)) = directory.zip(self.digest_with(program, blinds)) else {
            return self.commit_with(program, blinds, progress);
        };
        blinds.check(program.outline().steps.len())?;
        let path = path(directory, &digest);
        if let Some(commitments) = self.kept((program, blinds), &path, &digest, progress, rng)? {
            return self.committed(program, commitments, blinds.clone());
        }
        let committed = self.commit_with(program, blinds, progress)?;
        let kept = Kept::<C> {
            digest,
            commitments: committed.commitments.clone(),
        };
        // Only the next run is slower without it.
        let _ = std::fs::create_dir_all(directory);
        let _ = files::write_value(&path, Kind::Commitments, C::NAME, Access::Private, &kept);
        Ok(committed)
    }

    /// The commitment to the weights of one step; none where its kind has no weights.
    ///
    /// # Errors
    /// Those of the weights and of the key; [`Error::Length`] for a step without a blind.
    pub(crate) fn commit_step(
        &self,
        program: &Program,
        blinds: &WeightBlinds<C::F>,
        step: usize,
    ) -> Result<Option<Commitment<C::Primary>>, Error> {
        let kind = program
            .outline()
            .steps
            .get(step)
            .map_or(0, |step| step.kind);
        if self.params().kind(kind)?.weight_variables().is_none() {
            return Ok(None);
        }
        let weights = program.weights(step)?;
        let blind = blinds.of(step)?;
        let point = self.params().key().commit_small(weights.entries(), blind)?;
        Ok(Some(Commitment::new(point)))
    }

    /// The model id that the commitments of all steps make.
    ///
    /// # Errors
    /// Those of [`crate::fold::params::Params::model_id`].
    pub(crate) fn committed(
        &self,
        program: &Program,
        commitments: Vec<Option<Commitment<C::Primary>>>,
        blinds: WeightBlinds<C::F>,
    ) -> Result<Committed<C>, Error> {
        let kinds = program.outline().steps.iter().map(|step| step.kind);
        let steps: Vec<_> = kinds.zip(commitments.iter().copied()).collect();
        let model = self.params().model_id(&steps)?;
        Ok(Committed {
            commitments,
            model,
            blinds,
        })
    }

    /// A digest of the program's file, of these parameters and of the blinds; none for a program in
    /// memory.
    fn digest_with(&self, program: &Program, blinds: &WeightBlinds<C::F>) -> Option<[u8; 32]> {
        let mut hasher = Sha256::new_with_prefix(b"foldnet weight commitments 2");
        hasher.update(program.digest()?);
        hasher.update(to_bytes(&self.params().digest()));
        blinds.absorb_into(&mut hasher);
        Some(hasher.finalize().into())
    }

    /// The commitments in a file, if they can be used.
    fn kept<R: RngCore + CryptoRng>(
        &self,
        (program, blinds): (&Program, &WeightBlinds<C::F>),
        path: &Path,
        digest: &[u8; 32],
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<Option<StepCommitments<C>>, Error> {
        let kept = files::read_value(path, Kind::Commitments, C::NAME, LARGEST_FILE);
        let Ok(Kept::<C> {
            digest: found,
            commitments,
        }) = kept
        else {
            return Ok(None);
        };
        let steps = program.outline().steps.len();
        if found != *digest || commitments.len() != steps || steps == 0 {
            return Ok(None);
        }
        progress.start(Stage::Model, 1);
        let drawn = (rng.next_u64() % steps as u64) as usize;
        let same = commitments.get(drawn) == Some(&self.commit_step(program, blinds, drawn)?);
        progress.finish();
        Ok(same.then_some(commitments))
    }
}

/// The file in a directory.
fn path(directory: &Path, digest: &[u8; 32]) -> PathBuf {
    let name = hex(digest.get(..8).unwrap_or_default());
    directory.join(format!("commitments-{name}"))
}
