//! Checkpoints: a run's state on disk, from which it is continued after it was stopped or killed.
//!
//! A checkpoint is a container of kind [`Kind::State`], readable by its owner only: it holds witnesses.
//! Its payload is
//!
//! | bytes | content |
//! |-------|---------|
//! | 8 | length of the identity, little-endian |
//! | length | [`Identity`]: what the run is of, as named texts |
//! | rest | one of the stages below |
//!
//! | stage | content | continued by |
//! |-------|---------|--------------|
//! | started | nothing | starting from the first step |
//! | folding | a [`RunState`] | folding what is left, then proving |
//! | publishing | the finished proof, byte for byte | writing exactly these bytes |
//! | spent | nothing | nothing: [`CheckpointError::Spent`] |
//!
//! # One masked start, one published proof
//!
//! A succinct proof hides the computation behind the uniform instances that the run started from. Two
//! different proofs from one start would show what they hide, as would two messages under one key
//! stream. So a state of a masked run must not be continued once a proof of it is out, and every stage
//! is put in the place of the one before by a rename of a synced file:
//!
//! 1. The proof is made in memory. Nothing of it is outside yet.
//! 2. The stage *publishing* replaces the state, with the proof inside ([`Checkpoint::publishing`]).
//!    From here on there is nothing that a second proof could be made of.
//! 3. The proof is written to where it was wanted. What opens its private sides was written before 2,
//!    since the salts are lost with the state.
//! 4. The stage *spent* replaces *publishing* ([`Checkpoint::spend`]).
//!
//! A kill before 2 leaves a state whose proofs nobody has seen; a kill after it leaves the one proof,
//! and whoever resumes writes the same bytes again. A kill at any moment therefore loses neither the
//! run nor the rule. A failure of 2 is an error, and the proof is not written.
//!
//! One process at a time: the file is locked from before it appears until the process ends, where the
//! file system has locks. Copies of the file, and file systems that bring back older ones, are beyond
//! what a program can see: never continue a copy.
//!
//! A state of a run that masks nothing (`folded` proofs, which hide nothing) is removed when its proof
//! is written.

use crate::error::Error;
use crate::files::{
    self, Access, AtomicFile, ContainerReader, ContainerWriter, FileError, FormatError, Kind,
    Placement, hex,
};
use crate::run::{Job, RunState};
use crate::visibility::Sides;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::to_bytes;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// The largest checkpoint.
pub const LARGEST_STATE: u64 = 1 << 38;

/// The largest identity.
const LARGEST_IDENTITY: u64 = 1 << 12;

/// The name of the part of an identity that is compared with nothing.
const SALT: &str = "salt";

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written, or is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is a checkpoint already, and nobody asked to continue it.
    #[error(
        "{} exists; continue it with --resume, or remove it, or choose another name",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process works with it.
    #[error("{} is in use by another process; wait for it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is of another run than the one at hand.
    #[error(
        "{} is of another {what}: this run has {expected}, the checkpoint has {found}; continue it \
         with what it was made with, or choose another name",
        path.display()
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
        /// The identity at hand.
        expected: String,
        /// The identity in the checkpoint.
        found: String,
    },
    /// Its proof was published.
    #[error(
        "{} is spent: its proof was published ({identity}), and a second one from the same masks \
         would show what both hide; remove it and start again",
        path.display()
    )]
    Spent {
        /// The file.
        path: PathBuf,
        /// What it was of.
        identity: Identity,
    },
    /// It is of this run by its identity, but cannot be a state of it.
    #[error("{} does not fit its run: {what}; remove it and start again", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
}

/// What a run is of, as texts with names, so that every release can read and show it.
///
/// Digests tell what to compare; the inputs' is salted, since inputs may be easy to guess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(Vec<(String, String)>);

impl Identity {
    /// Release, proof, context, keys, architecture, model and inputs of a run.
    pub fn of<C: Cycle>(job: &Job<'_, C>, goal: &Goal<C>, salt: [u8; 16]) -> Self {
        let params = job.session.params();
        let mut keys = Sha256::new();
        keys.update(params.primary.digest());
        keys.update(params.secondary.digest());
        let number = |element: &C::F| {
            let mut bytes = to_bytes(element);
            bytes.reverse();
            hex(&bytes)
        };
        let parts = [
            ("release", env!("CARGO_PKG_VERSION").into()),
            ("kind of proof", goal.proof.into()),
            ("context", format!("0x{}", number(&goal.context))),
            ("choice of private sides", goal.sides.name().into()),
            ("commitment key", hex(&keys.finalize())),
            ("architecture", hex(&to_bytes(&params.digest()))),
            ("model", format!("0x{}", number(&job.committed.model))),
            ("input", hex(&digest_of(job.inputs, &salt))),
            (SALT, hex(&salt)),
        ];
        Identity(parts.map(|(name, text)| (name.into(), text)).to_vec())
    }

    /// The text of a part.
    pub fn part(&self, name: &str) -> Option<&str> {
        let part = self.0.iter().find(|(other, _)| other == name);
        part.map(|(_, text)| text.as_str())
    }

    fn salt(&self) -> [u8; 16] {
        let text = self.part(SALT).unwrap_or_default();
        let mut salt = [0; 16];
        for (i, byte) in salt.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        }
        salt
    }

    /// The first part that differs from `self`, the identity at hand.
    fn compare(&self, found: &Identity, path: &Path) -> Result<(), CheckpointError> {
        for (name, expected) in self.0.iter().filter(|(name, _)| name != SALT) {
            let found = found.part(name).unwrap_or("none");
            if found != expected {
                return Err(CheckpointError::Another {
                    path: path.to_path_buf(),
                    what: name.clone(),
                    expected: expected.clone(),
                    found: found.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Without the salt, which makes the digest of inputs say nothing to those who do not have the file.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = ["model", "input", "kind of proof"];
        let shown = parts.map(|name| format!("{name} {}", self.part(name).unwrap_or("none")));
        f.write_str(&shown.join(", "))
    }
}

/// The salted digest of all inputs and their lengths.
fn digest_of(inputs: &[Vec<i64>], salt: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(salt);
    hasher.update((inputs.len() as u64).to_le_bytes());
    for input in inputs {
        hasher.update((input.len() as u64).to_le_bytes());
        for value in input {
            hasher.update(value.to_le_bytes());
        }
    }
    hasher.finalize().into()
}

/// What a run is to end in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal<C: Cycle> {
    /// The kind of proof, see [`crate::proof::Proof::kind`].
    pub proof: &'static str,
    /// Its context, or zero.
    pub context: C::F,
    /// What its statement shows.
    pub sides: Sides,
}

/// What a checkpoint says after the identity.
#[derive(Deserialize)]
#[serde(bound = "")]
enum Stage<C: Cycle> {
    Started,
    Folding(Box<RunState<C>>),
    Publishing(Vec<u8>),
    Spent,
}

/// [`Stage`], to be written.
#[derive(Serialize)]
#[serde(bound = "")]
enum StageRef<'a, C: Cycle> {
    Started,
    Folding(&'a RunState<C>),
    Publishing(&'a [u8]),
    Spent,
}

/// How a checkpoint is continued.
#[derive(Debug)]
pub enum Found<C: Cycle> {
    /// From the first step.
    Start,
    /// From this state.
    State(Box<RunState<C>>),
    /// By writing these bytes of a proof, and no other proof.
    Proof(Vec<u8>),
}

/// When states are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// After so many steps.
    pub steps: Option<u64>,
    /// After so much time.
    pub time: Option<Duration>,
}

/// The checkpoint of a run under way.
#[derive(Debug)]
pub struct Checkpoint<C: Cycle> {
    path: PathBuf,
    identity: Identity,
    interval: Interval,
    /// Step and time of the last attempt to save.
    saved: (u64, Instant),
    /// The lock on the file.
    held: File,
    curve: PhantomData<C>,
}

/// A checkpoint that was opened and locked, and whose content is undamaged and not spent.
#[derive(Debug)]
pub struct Opened<C: Cycle> {
    path: PathBuf,
    identity: Identity,
    file: File,
    curve: PhantomData<C>,
}

impl<C: Cycle> Checkpoint<C> {
    /// Starts a checkpoint for a new run: the file says that nothing is folded yet.
    ///
    /// # Errors
    /// [`CheckpointError::Exists`], or those of writing.
    pub fn create<R: RngCore + CryptoRng>(
        path: &Path,
        job: &Job<'_, C>,
        goal: &Goal<C>,
        interval: Interval,
        rng: &mut R,
    ) -> Result<Self, CheckpointError> {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let identity = Identity::of(job, goal, salt);
        let stage = StageRef::<C>::Started;
        let held = match write(path, &identity, &stage, Placement::New) {
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                let path = path.to_path_buf();
                return Err(CheckpointError::Exists { path });
            }
            result => result?,
        };
        Ok(Checkpoint {
            path: path.canonicalize().unwrap_or(path.to_path_buf()),
            identity,
            interval,
            saved: (0, Instant::now()),
            held,
            curve: PhantomData,
        })
    }

    /// Whether a state after `index` steps is to be saved.
    pub fn is_due(&self, index: u64) -> bool {
        let (step, time) = self.saved;
        let Interval { steps, time: wait } = self.interval;
        steps.is_some_and(|steps| index.saturating_sub(step) >= steps)
            || wait.is_some_and(|wait| time.elapsed() >= wait)
    }

    /// Saves a state in the place of the one before.
    ///
    /// # Errors
    /// [`CheckpointError::File`]; the checkpoint is then what it was before, and the run can go on.
    pub fn save(&mut self, state: &RunState<C>) -> Result<(), CheckpointError> {
        // A failure counts, too: the next attempt is one interval later.
        self.saved = (state.recursion.index, Instant::now());
        self.replace(&StageRef::Folding(state))
    }

    /// Whether a state of this index was saved, or the attempt failed.
    pub fn is_at(&self, index: u64) -> bool {
        self.saved.0 == index
    }

    /// Replaces the state by the proof that was made of it. Only when this has succeeded may the proof
    /// be written anywhere.
    ///
    /// # Errors
    /// [`CheckpointError::File`]: the proof must not be written.
    pub fn publishing(&mut self, proof: &[u8]) -> Result<(), CheckpointError> {
        self.replace(&StageRef::Publishing(proof))
    }

    /// Marks the state as spent; to be called when the proof is written.
    ///
    /// # Errors
    /// [`CheckpointError::File`]; the file then still holds the proof, which does no harm.
    pub fn spend(mut self) -> Result<(), CheckpointError> {
        self.replace(&StageRef::Spent)
    }

    /// Removes the checkpoint of a run that masks nothing.
    ///
    /// # Errors
    /// [`CheckpointError::File`].
    pub fn remove(self) -> Result<(), CheckpointError> {
        Ok(files::remove(&self.path)?)
    }

    fn replace(&mut self, stage: &StageRef<'_, C>) -> Result<(), CheckpointError> {
        // The new file is locked before the old one is let go.
        self.held = write(&self.path, &self.identity, stage, Placement::Replace)?;
        Ok(())
    }
}

fn write<C: Cycle>(
    path: &Path,
    identity: &Identity,
    stage: &StageRef<'_, C>,
    placement: Placement,
) -> Result<File, FileError> {
    let failed = || FileError::format(path);
    let identity = files::encode_value(identity).map_err(failed())?;
    let body = files::encoded_length(stage).map_err(failed())?;
    let length = identity.len() as u64;
    let file = AtomicFile::create(path, Access::Private)?;
    let mut writer =
        ContainerWriter::new(file, Kind::State, C::NAME, 8 + length + body).map_err(failed())?;
    writer.write(&length.to_le_bytes()).map_err(failed())?;
    writer.write(&identity).map_err(failed())?;
    writer.write_value(stage).map_err(failed())?;
    let file = writer.finish().map_err(failed())?;
    file.commit_locked(placement)
}

impl<C: Cycle> Opened<C> {
    /// Opens and locks a checkpoint, and checks that it is undamaged and not spent.
    ///
    /// # Errors
    /// [`CheckpointError::File`], [`CheckpointError::InUse`], [`CheckpointError::Spent`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        // A state is replaced under its own name; under that of a link, the old one would stay.
        let path = path.canonicalize().map_err(FileError::io("open", path))?;
        let Some(file) = files::open_locked(&path)? else {
            return Err(CheckpointError::InUse { path });
        };
        // States of a run that was killed while it saved them are copies, too.
        files::remove_left_behind(&path);
        let identity = check::<C>(&file).map_err(FileError::format(&path))?;
        let opened = Opened {
            path,
            identity,
            file,
            curve: PhantomData::<C>,
        };
        if opened.is_spent()? {
            return Err(CheckpointError::Spent {
                path: opened.path,
                identity: opened.identity,
            });
        }
        Ok(opened)
    }

    /// Whether the stage is `spent`: its number is the first byte, and no other stage is one byte
    /// long but `started`.
    fn is_spent(&self) -> Result<bool, CheckpointError> {
        let failed = FileError::format(&self.path);
        let spent = || {
            let (_, mut reader) = stage::<C>(&self.file)?;
            Ok(reader.left() == 1 && matches!(reader.read_value()?, Stage::<C>::Spent))
        };
        Ok(spent().map_err(failed)?)
    }

    /// Continues the checkpoint, if it is one of this run.
    ///
    /// # Errors
    /// [`CheckpointError::Another`], [`CheckpointError::State`], and those of reading.
    pub fn resume(
        self,
        job: &Job<'_, C>,
        goal: &Goal<C>,
        interval: Interval,
    ) -> Result<(Checkpoint<C>, Found<C>), CheckpointError> {
        let Opened {
            path,
            identity,
            file,
            ..
        } = self;
        Identity::of(job, goal, identity.salt()).compare(&identity, &path)?;
        let read = || {
            let (_, mut reader) = stage::<C>(&file)?;
            let stage = reader.read_value::<Stage<C>>()?;
            reader.finish()?;
            Ok(stage)
        };
        let found = match read().map_err(FileError::format(&path))? {
            Stage::Started => Found::Start,
            Stage::Folding(state) => match state.check(job) {
                Ok(()) => Found::State(state),
                Err(what) => return Err(CheckpointError::State { path, what }),
            },
            Stage::Publishing(proof) => Found::Proof(proof),
            Stage::Spent => return Err(CheckpointError::Spent { path, identity }),
        };
        let index = match &found {
            Found::State(state) => state.recursion.index,
            _ => 0,
        };
        let checkpoint = Checkpoint {
            path,
            identity,
            interval,
            saved: (index, Instant::now()),
            held: file,
            curve: PhantomData,
        };
        Ok((checkpoint, found))
    }
}

/// Reads the whole file, checks its digest, and returns the identity.
fn check<C: Cycle>(file: &File) -> Result<Identity, FormatError> {
    let (identity, mut reader) = stage::<C>(file)?;
    reader.skip(reader.left())?;
    reader.finish()?;
    Ok(identity)
}

/// The identity, and a reader of the stage that follows it.
fn stage<C: Cycle>(
    mut file: &File,
) -> Result<(Identity, ContainerReader<BufReader<&File>>), FormatError> {
    file.rewind()?;
    let input = BufReader::with_capacity(1 << 20, file);
    let mut reader = ContainerReader::new(input, Kind::State, C::NAME, LARGEST_STATE)?;
    let mut prefix = [0; 8];
    reader.read(&mut prefix)?;
    let length = u64::from_le_bytes(prefix);
    if length > reader.left().min(LARGEST_IDENTITY) {
        let reason = format!("an identity of {length} bytes does not fit");
        return Err(FormatError::Payload { reason });
    }
    let mut bytes = vec![0; length as usize];
    reader.read(&mut bytes)?;
    Ok((files::decode_value(&bytes)?, reader))
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Self {
        Error::Checkpoint(Box::new(error))
    }
}
