//! Blinds of weight commitments: what makes a model private.
//!
//! A commitment to the weights of a step is `C_step = Com(w; s)`. A public model has a fixed `s`, so that
//! whoever has the weights gets the same model id. A private model has a fresh uniform `s` for every step,
//! which hides the weights perfectly. The blinds are drawn once for a model and kept in a file that only
//! its owner may read, so that the model id can be published once and holds for all proofs; other blinds
//! give another id.
//!
//! What a private model id says: the output is a function of model id and input, and all accumulators
//! are proven to lie in their ranges. It does not say that the weights are small integers: they are
//! whatever field elements were committed to, and some inputs may have no proof. Nobody recomputes the
//! commitments but who has the blinds.
//!
//! Not hidden: the architecture, which every proof carries. It holds the shapes, shifts, clamps, tables
//! and scales, and for every layer the number of bits of the largest accumulator that its weights allow.
//! The number of steps of a run is shown, too.

use crate::artefact::show_model_id;
use crate::error::Error;
use crate::files::{self, Access, AtomicFile, FileError, Kind, Placement};
use crate::program::Program;
use crate::progress::Progress;
use crate::session::{Committed, Session};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::to_bytes;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The blind of every public weight commitment: fixed, and not zero, so that a block of zeros does
/// not commit to the identity.
const PUBLIC_BLIND: u64 = 1;

/// The largest file of blinds: 32 bytes a step.
const LARGEST_FILE: u64 = 1 << 30;

/// Why a file of blinds cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlindsError {
    /// There is one already.
    #[error(
        "{} exists, and the model id that was published with it needs it; use it, or choose another \
         name for new blinds",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The program has another number of steps.
    #[error(
        "{} has blinds for {expected} steps and belongs to the model id {published}, but the program \
         has {got} steps; use the program that the blinds were drawn for, or draw new ones into \
         another file",
        path.display()
    )]
    Steps {
        /// The file.
        path: PathBuf,
        /// The model id that the blinds were drawn for.
        published: String,
        /// Blinds in the file.
        expected: usize,
        /// Steps of the program.
        got: usize,
    },
    /// The program and these blinds have another model id than the one that the blinds were drawn for.
    #[error(
        "{} belongs to the model id {published}, but with it this program has the id {found}; use the \
         program and the commitment key that the blinds were drawn for, or draw new ones into another \
         file",
        path.display()
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// The model id that the blinds were drawn for.
        published: String,
        /// The model id at hand.
        found: String,
    },
}

impl From<BlindsError> for Error {
    fn from(error: BlindsError) -> Self {
        Error::Blinds(Box::new(error))
    }
}

/// What the weights of a program are committed with.
#[derive(Clone, PartialEq, Eq)]
pub enum WeightBlinds<F> {
    /// One blind that everybody knows.
    Public,
    /// One a step, known to the owner of the model.
    Private(Arc<[F]>),
}

/// The debug form shows no blind.
impl<F> fmt::Debug for WeightBlinds<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WeightBlinds::Public => f.write_str("Public"),
            WeightBlinds::Private(blinds) => write!(f, "Private({} steps)", blinds.len()),
        }
    }
}

impl<F: CircuitField> WeightBlinds<F> {
    /// Fresh uniform blinds for some steps.
    pub fn draw<R: RngCore + CryptoRng>(steps: usize, rng: &mut R) -> Self {
        WeightBlinds::Private((0..steps).map(|_| F::random(&mut *rng)).collect())
    }

    /// Whether they are a secret.
    pub fn is_private(&self) -> bool {
        matches!(self, WeightBlinds::Private(_))
    }

    /// The blind of a step.
    ///
    /// # Errors
    /// [`Error::Length`] for a step without one.
    pub(crate) fn of(&self, step: usize) -> Result<F, Error> {
        match self {
            WeightBlinds::Public => Ok(F::from(PUBLIC_BLIND)),
            WeightBlinds::Private(blinds) => {
                let (expected, got) = (step + 1, blinds.len());
                let missing = length(expected, got);
                blinds.get(step).copied().ok_or(missing)
            }
        }
    }

    /// Whether there is one for every step.
    pub(crate) fn check(&self, steps: usize) -> Result<(), Error> {
        match self {
            WeightBlinds::Private(blinds) if blinds.len() != steps => {
                Err(length(steps, blinds.len()))
            }
            _ => Ok(()),
        }
    }

    /// Absorbs private blinds: what is made with others has another digest.
    pub(crate) fn absorb_into(&self, hasher: &mut Sha256) {
        if let WeightBlinds::Private(blinds) = self {
            for blind in blinds.iter() {
                hasher.update(to_bytes(blind));
            }
        }
    }
}

fn length(expected: usize, got: usize) -> Error {
    Error::Length {
        what: "weight blinds",
        expected,
        got,
    }
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Kept<C: Cycle> {
    /// The model id that they were drawn for.
    model: C::F,
    /// One a step.
    blinds: Vec<C::F>,
}

impl<C: Cycle> Session<C> {
    /// Makes a model private: draws blinds, commits to the weights with them, and writes the blinds into
    /// a new file that only its owner may read.
    ///
    /// # Errors
    /// [`BlindsError::Exists`], before anything is drawn or when another process was faster; those of
    /// [`Session::commit`] and of writing.
    pub fn publish<R: RngCore + CryptoRng>(
        &self,
        program: &Program,
        path: &Path,
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<Committed<C>, Error> {
        let exists = || BlindsError::Exists {
            path: path.to_path_buf(),
        };
        if path.symlink_metadata().is_ok() {
            return Err(exists().into());
        }
        let blinds = WeightBlinds::draw(program.outline().steps.len(), rng);
        let committed = self.commit_with(program, &blinds, progress)?;
        match write(path, &committed) {
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists().into())
            }
            result => {
                result?;
                Ok(committed)
            }
        }
    }

    /// Commits to the weights of a private model with the blinds of a file.
    ///
    /// # Errors
    /// [`BlindsError::Steps`] and [`BlindsError::Another`] for the blinds of another model; those of
    /// reading and of [`Session::commit`].
    pub fn commit_private(
        &self,
        program: &Program,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Committed<C>, Error> {
        let kept = read::<C>(program, path)?;
        let blinds = WeightBlinds::Private(kept.blinds.into());
        let committed = self.commit_with(program, &blinds, progress)?;
        same_id(path, &kept.model, committed)
    }

    /// [`Self::commit_private`] for provers, with a cache: see [`Session::commit_cached`].
    ///
    /// # Errors
    /// Those of [`Self::commit_private`].
    pub fn commit_private_cached<R: RngCore + CryptoRng>(
        &self,
        program: &Program,
        path: &Path,
        directory: Option<&Path>,
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<Committed<C>, Error> {
        let kept = read::<C>(program, path)?;
        let blinds = WeightBlinds::Private(kept.blinds.into());
        let committed = self.commit_cached(program, &blinds, directory, progress, rng)?;
        same_id(path, &kept.model, committed)
    }
}

fn write<C: Cycle>(path: &Path, committed: &Committed<C>) -> Result<(), FileError> {
    let blinds = match &committed.blinds {
        WeightBlinds::Public => Vec::new(),
        WeightBlinds::Private(blinds) => blinds.to_vec(),
    };
    let kept = Kept::<C> {
        model: committed.model,
        blinds,
    };
    let bytes = files::encode_value(&kept)
        .and_then(|payload| files::encode_container(Kind::WeightBlinds, C::NAME, &payload))
        .map_err(FileError::format(path))?;
    let mut file = AtomicFile::create(path, Access::Private)?;
    file.write_all(&bytes)
        .map_err(FileError::io("write", path))?;
    // Never in the place of others: the model id that was published with them would be lost.
    file.commit_locked(Placement::New).map(drop)
}

/// Reads blinds for every step of a program.
fn read<C: Cycle>(program: &Program, path: &Path) -> Result<Kept<C>, Error> {
    let kept: Kept<C> = files::read_value(path, Kind::WeightBlinds, C::NAME, LARGEST_FILE)?;
    let (expected, got) = (kept.blinds.len(), program.outline().steps.len());
    if expected != got {
        return Err(BlindsError::Steps {
            path: path.to_path_buf(),
            published: show_model_id(&kept.model),
            expected,
            got,
        }
        .into());
    }
    Ok(kept)
}

/// The commitments, if they make the model id that the blinds were drawn for.
fn same_id<C: Cycle>(
    path: &Path,
    published: &C::F,
    committed: Committed<C>,
) -> Result<Committed<C>, Error> {
    if committed.model == *published {
        return Ok(committed);
    }
    Err(BlindsError::Another {
        path: path.to_path_buf(),
        published: show_model_id(published),
        found: show_model_id(&committed.model),
    }
    .into())
}
