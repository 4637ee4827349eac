//! Openings: what shows a private input or output later.
//!
//! A statement with a private side shows the salted digest of its activations ([`crate::visibility`]). An
//! [`Opening`] holds salt and activations of one side for all inferences of a proof. Whoever gets it
//! recomputes the digests and compares them with those that the proof is about
//! ([`Session::check_opening`]). It is written beside the proof, readable by the owner only, one file a
//! side, so that the owner can give away one and keep the other.

use crate::artefact::{ArtefactError, named};
use crate::error::Error;
use crate::files::{self, Access, Kind, NO_CURVE};
use crate::session::{Inference, Session};
use crate::visibility::{Shown, Side};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::Cycle;
use foldnet_gadgets::field::{from_bytes, to_bytes};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The largest file of an opening.
pub const LARGEST_OPENING: u64 = 1 << 28;

/// The opening of a private side of a proof. It is a secret until it is given away.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The side.
    pub side: Side,
    /// One an inference.
    pub tensors: Vec<Opened>,
}

/// The opening of one commitment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The canonical little-endian bytes of the salt.
    pub salt: [u8; 32],
    /// The activations.
    pub values: Vec<i64>,
}

impl Opened {
    /// The opening of a commitment with this salt.
    pub fn new<F: CircuitField>(values: Vec<i64>, salt: &F) -> Self {
        Opened {
            salt: to_bytes(salt),
            values,
        }
    }
}

/// The debug form shows numbers only.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, count) = (self.side.name(), self.tensors.len());
        write!(f, "Opening({side} of {count} inferences)")
    }
}

/// The debug form shows numbers only.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} values)", self.values.len())
    }
}

impl Opening {
    /// Where the opening of a proof's side is written: the proof's name with `.input.opening` or
    /// `.output.opening` behind it.
    pub fn path(proof: &Path, side: Side) -> PathBuf {
        let mut name = OsString::from(proof);
        name.push(format!(".{}.opening", side.name()));
        PathBuf::from(name)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`ArtefactError::Format`].
    pub fn encode(&self) -> Result<Vec<u8>, ArtefactError> {
        let payload = files::encode_value(self)?;
        Ok(files::encode_container(Kind::Opening, NO_CURVE, &payload)?)
    }

    /// Decodes the bytes of a file; never panics, whatever they are.
    ///
    /// # Errors
    /// [`ArtefactError::Format`].
    pub fn decode(input: impl std::io::Read) -> Result<Self, ArtefactError> {
        let payload = files::decode_container(input, Kind::Opening, NO_CURVE, LARGEST_OPENING)?;
        Ok(files::decode_value(&payload)?)
    }

    /// Writes a file that only its owner may read.
    ///
    /// # Errors
    /// [`ArtefactError::File`] and [`ArtefactError::Format`].
    pub fn write(&self, path: &Path) -> Result<(), ArtefactError> {
        Ok(files::write_bytes(path, Access::Private, &self.encode()?)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ArtefactError::File`] and [`ArtefactError::Content`].
    pub fn read(path: &Path) -> Result<Self, ArtefactError> {
        Self::decode(files::open(path)?).map_err(named(path))
    }
}

impl<C: Cycle> Session<C> {
    /// Accepts iff an opening opens all commitments that a statement shows on its side: the digests of
    /// its activations, with zeros in the slots beyond the tensor's length, are the commitments.
    ///
    /// # Errors
    /// [`Error::Opening`], which is a rejection, naming the first inference whose commitment it does
    /// not open, or none when the numbers of inferences differ.
    pub fn check_opening(&self, inferences: &[Inference], opening: &Opening) -> Result<(), Error> {
        let side = opening.side;
        let refuse = |inference| Error::Opening {
            side: side.name(),
            inference,
        };
        if inferences.len() != opening.tensors.len() {
            return Err(refuse(None));
        }
        for (i, (inference, opened)) in inferences.iter().zip(&opening.tensors).enumerate() {
            let salt = from_bytes::<C::F>(&opened.salt).ok_or(refuse(Some(i)))?;
            let digest = self.side_digest(side, &opened.values, salt);
            let digest = digest.map_err(|_| refuse(Some(i)))?;
            if *inference.side(side) != Shown::commitment(&digest) {
                return Err(refuse(Some(i)));
            }
        }
        Ok(())
    }
}
