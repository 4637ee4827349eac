//! Succinct proofs on disk.
//!
//! * A `spartan` proof is a container of kind [`Kind::SpartanProof`].
//! * A `groth16` proof is a container of kind [`Kind::Groth16Proof`]; its bytes are those that the
//!   contract takes.
//!
//! Both carry the architecture, which says what circuits they are about, and the inferences that they
//! claim. A verifier compares both with the model id that it trusts; nothing else is taken from a
//! proof. Readers take arbitrary bytes, and bound whatever sizes an allocation or a circuit before
//! anything is built from it.

use crate::artefact::{ArtefactError, FoldedProof, check_architecture, check_statement, named};
use crate::decider::spartan;
use crate::files::{self, Access, Kind};
use crate::session::{Architecture, Inference};
use foldnet_gadgets::cycle::{Bn254, Cycle};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// The largest succinct proof: statements are most of it.
pub const LARGEST_SUCCINCT_PROOF: u64 = 1 << 28;

/// What a proof is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// What parameters are rebuilt from.
    pub architecture: Architecture,
    /// The inputs and outputs.
    pub inferences: Vec<Inference>,
}

/// A `spartan` proof on BN254.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpartanProof {
    /// What it is about.
    pub about: About,
    /// The proof.
    pub proof: spartan::Proof<Bn254>,
}

/// A `groth16` proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groth16Proof {
    /// What it is about.
    pub about: About,
    /// Against replay: chain, contract and nonce, or zero.
    pub context: <Bn254 as Cycle>::F,
    /// The identity of the verifying key that it was made for. A hint for messages: which key is
    /// trusted is the verifier's decision.
    pub key: [u8; 32],
    /// The bytes that the contract takes.
    pub proof: Vec<u8>,
}

/// A proof of any kind.
#[derive(Debug)]
pub enum Proof {
    /// Running instances in full.
    Folded(Box<FoldedProof>),
    /// A Spartan proof.
    Spartan(Box<SpartanProof>),
    /// A Groth16 proof.
    Groth16(Box<Groth16Proof>),
}

impl Proof {
    /// Reads a proof of whatever kind the file is.
    ///
    /// # Errors
    /// [`ArtefactError`] for a file that cannot be read, is no proof, or asks for too much.
    pub fn read(path: &Path) -> Result<Self, ArtefactError> {
        let kind = files::read_header(path)?.kind;
        let file = files::open(path)?;
        Self::decode_kind(&kind, file).map_err(named(path))
    }

    /// Decodes a succinct proof from the bytes of its file; never panics, whatever the bytes are.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtefactError> {
        let kind = files::read_header_from(&mut &*bytes)?.0.kind;
        Self::decode_kind(&kind, bytes)
    }

    /// Decodes a proof of the kind that the header names.
    fn decode_kind(kind: &str, input: impl Read) -> Result<Self, ArtefactError> {
        if kind == Kind::SpartanProof.name() {
            let proof: SpartanProof = decode(input, Kind::SpartanProof)?;
            check(&proof.about)?;
            Ok(Proof::Spartan(Box::new(proof)))
        } else if kind == Kind::Groth16Proof.name() {
            let proof: Groth16Proof = decode(input, Kind::Groth16Proof)?;
            check(&proof.about)?;
            Ok(Proof::Groth16(Box::new(proof)))
        } else {
            Ok(Proof::Folded(Box::new(FoldedProof::decode(input)?)))
        }
    }

    /// The name of the kind, as `--proof` takes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Proof::Folded(_) => "folded",
            Proof::Spartan(_) => "spartan",
            Proof::Groth16(_) => "groth16",
        }
    }

    /// The architecture.
    pub fn architecture(&self) -> &Architecture {
        match self {
            Proof::Folded(proof) => &proof.architecture,
            Proof::Spartan(proof) => &proof.about.architecture,
            Proof::Groth16(proof) => &proof.about.architecture,
        }
    }

    /// The claimed inputs and outputs.
    pub fn inferences(&self) -> &[Inference] {
        match self {
            Proof::Folded(proof) => &proof.inferences,
            Proof::Spartan(proof) => &proof.about.inferences,
            Proof::Groth16(proof) => &proof.about.inferences,
        }
    }
}

fn check(about: &About) -> Result<(), ArtefactError> {
    let sizes = check_architecture(&about.architecture);
    let statement = sizes.and_then(|()| check_statement(&about.architecture, &about.inferences));
    statement.map_err(ArtefactError::of_proof)
}

fn decode<T: DeserializeOwned>(input: impl Read, kind: Kind) -> Result<T, ArtefactError> {
    let payload = files::decode_container(input, kind, Bn254::NAME, LARGEST_SUCCINCT_PROOF)?;
    Ok(files::decode_value(&payload)?)
}

fn encode(kind: Kind, value: &impl Serialize) -> Result<Vec<u8>, ArtefactError> {
    let payload = files::encode_value(value)?;
    Ok(files::encode_container(kind, Bn254::NAME, &payload)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<u64, ArtefactError> {
    files::write_bytes(path, Access::Public, bytes)?;
    Ok(bytes.len() as u64)
}

impl SpartanProof {
    /// The bytes of the proof's file.
    ///
    /// # Errors
    /// [`ArtefactError::Format`].
    pub fn encode(&self) -> Result<Vec<u8>, ArtefactError> {
        encode(Kind::SpartanProof, self)
    }

    /// Writes the proof; returns its length in bytes.
    ///
    /// # Errors
    /// [`ArtefactError::File`] and [`ArtefactError::Format`].
    pub fn write(&self, path: &Path) -> Result<u64, ArtefactError> {
        write(path, &self.encode()?)
    }
}

impl Groth16Proof {
    /// The bytes of the proof's file.
    ///
    /// # Errors
    /// [`ArtefactError::Format`].
    pub fn encode(&self) -> Result<Vec<u8>, ArtefactError> {
        encode(Kind::Groth16Proof, self)
    }

    /// Writes the proof; returns its length in bytes.
    ///
    /// # Errors
    /// [`ArtefactError::File`] and [`ArtefactError::Format`].
    pub fn write(&self, path: &Path) -> Result<u64, ArtefactError> {
        write(path, &self.encode()?)
    }
}
