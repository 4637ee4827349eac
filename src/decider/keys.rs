//! Groth16 keys of an architecture: made or imported once, kept beside the commitment keys.
//!
//! These files belong together: the circuit, the proving key, the verifying key, and the name of the
//! circuit for those who only verify. Their own name is a digest of everything that fixes the circuit:
//! its version, `pp`, which binds shapes and commitment keys, the number of inferences, which sides of
//! them are private, and the packing of inputs and outputs. It is the whole SHA-256, since proofs choose
//! what is digested: a shorter one could be made to collide, and the key of another circuit used.
//!
//! The name of the circuit is kept as a line of text that ends in the digest of the files' own name.
//! Circuit and keys are compared with it, so that a file under the wrong name is refused.

use crate::decider::circuit::VERSION;
use crate::decider::error::DeciderError;
use crate::decider::groth16::Decider;
use crate::decider::statement::Packing;
use crate::files::{self, Access, hex};
use crate::progress::{Progress, Stage};
use foldnet_compress::groth16::{
    Error as Groth16Error, ProvingKey, Shape, VerifyingKey, import_zkey,
};
use foldnet_gadgets::field::to_bytes;
use foldnet_gadgets::step::StepCircuit;
use halo2curves::bn256::Fr;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Most bytes of a circuit's name.
const LARGEST_NAME: u64 = 1 << 10;

/// A proving key and the circuit that it is for.
#[derive(Debug)]
pub struct Groth16Keys {
    /// The constraints.
    pub shape: Shape,
    /// The key.
    pub proving: ProvingKey,
}

/// Where the Groth16 keys of one decider are kept.
#[derive(Clone, Debug)]
pub struct Groth16Cache<'a> {
    directory: Option<&'a Path>,
    digest: String,
}

impl<'a> Groth16Cache<'a> {
    /// The files of a decider in a directory; without one, nothing is kept.
    pub fn new<S: StepCircuit<Fr>>(decider: &Decider<'_, S>, directory: Option<&'a Path>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"foldnet groth16 keys");
        hasher.update(VERSION.to_le_bytes());
        hasher.update(to_bytes(&decider.params.digest()));
        hasher.update((decider.statement.inferences as u64).to_le_bytes());
        for packing in [decider.statement.input, decider.statement.output] {
            let Packing {
                length,
                capacity,
                bits,
            } = packing;
            for number in [length as u64, capacity as u64, u64::from(bits)] {
                hasher.update(number.to_le_bytes());
            }
        }
        for side in decider.statement.sides.private() {
            hasher.update(side.name());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        Groth16Cache {
            directory,
            digest: hex(&digest),
        }
    }

    /// The file of a part: `circuit`, `proving`, `verifying` or `name`.
    pub fn path(&self, part: &str) -> Option<PathBuf> {
        let name = format!("groth16-{}.{part}", self.digest);
        self.directory.map(|directory| directory.join(name))
    }

    /// The circuit, from its file or synthesised.
    ///
    /// # Errors
    /// Those of synthesis; [`DeciderError::Key`] for a file that cannot be used,
    /// [`DeciderError::Misnamed`] for one of another circuit.
    pub fn shape<S: StepCircuit<Fr>>(
        &self,
        decider: &Decider<'_, S>,
    ) -> Result<Shape, DeciderError> {
        let path = self.path("circuit");
        let kept = path.as_deref().filter(|path| path.exists());
        if let (Some(path), Some(expected)) = (kept, self.kept_name()?) {
            let shape = Shape::load(path).map_err(about(path))?;
            check_name(path, &expected, &shape.digest().to_string())?;
            return Ok(shape);
        }
        let shape = decider.shape()?;
        if let Some(path) = path.as_deref() {
            self.keep_name(&shape.digest().to_string())?;
            shape.save(path).map_err(about(path))?;
        }
        Ok(shape)
    }

    /// The name of the circuit: what a verifying key is compared with. It is synthesised once and kept
    /// as a line of text, since verifiers need no more of it.
    ///
    /// # Errors
    /// Those of synthesis; [`DeciderError::File`] when the line cannot be read or written,
    /// [`DeciderError::Misnamed`] when it is under the name of another.
    pub fn circuit<S: StepCircuit<Fr>>(
        &self,
        decider: &Decider<'_, S>,
    ) -> Result<String, DeciderError> {
        if let Some(name) = self.kept_name()? {
            return Ok(name);
        }
        let name = decider.shape()?.digest().to_string();
        self.keep_name(&name)?;
        Ok(name)
    }

    /// The name of the circuit, if it is kept.
    fn kept_name(&self) -> Result<Option<String>, DeciderError> {
        let Some(path) = self.path("name").filter(|path| path.exists()) else {
            return Ok(None);
        };
        let bytes = files::read_bytes(&path, LARGEST_NAME)?;
        let text = String::from_utf8_lossy(&bytes);
        let (name, digest) = text.trim().split_once(' ').unwrap_or_default();
        check_name(&path, &self.digest, digest)?;
        Ok(Some(name.to_owned()))
    }

    fn keep_name(&self, name: &str) -> Result<(), DeciderError> {
        let Some(path) = self.path("name") else {
            return Ok(());
        };
        create_directory(self.directory)?;
        let line = format!("{name} {}\n", self.digest);
        Ok(files::write_bytes(&path, Access::Public, line.as_bytes())?)
    }

    /// The keys, from their files or made for development.
    ///
    /// # Errors
    /// Those of [`Self::shape`] and of set-up; [`DeciderError::Key`] for a file that cannot be used,
    /// [`DeciderError::Misnamed`] for one of another circuit.
    pub fn load_or_create<S: StepCircuit<Fr>, R: RngCore + CryptoRng>(
        &self,
        decider: &Decider<'_, S>,
        progress: &mut dyn Progress,
        rng: &mut R,
    ) -> Result<Groth16Keys, DeciderError> {
        progress.start(Stage::DeciderKeys, 2);
        let shape = self.shape(decider)?;
        progress.advance(1);
        let proving = match self.proving(&shape)? {
            Some(key) => key,
            None => {
                self.check_alone()?;
                let key = ProvingKey::development(&shape, rng)?;
                self.keep(&key)?;
                key
            }
        };
        progress.advance(2);
        progress.finish();
        Ok(Groth16Keys { shape, proving })
    }

    /// The proving key, if it was made or imported here. A verifying key that is missing beside it is
    /// written again.
    fn proving(&self, shape: &Shape) -> Result<Option<ProvingKey>, DeciderError> {
        let Some(path) = self.path("proving").filter(|path| path.exists()) else {
            return Ok(None);
        };
        let key = ProvingKey::load(&path, shape).map_err(|error| match error {
            Groth16Error::Circuit { expected, got } => DeciderError::Misnamed {
                path: path.clone(),
                expected: expected.to_string(),
                got: got.to_string(),
            },
            error => about(&path)(error),
        })?;
        if let Some(path) = self.path("verifying").filter(|path| !path.exists()) {
            key.verifying_key().save(&path).map_err(about(&path))?;
        }
        Ok(Some(key))
    }

    /// A verifying key without its proving key is not replaced: contracts and proofs may depend on it.
    fn check_alone(&self) -> Result<(), DeciderError> {
        match self.path("verifying").filter(|path| path.exists()) {
            Some(path) => Err(DeciderError::Alone { path }),
            None => Ok(()),
        }
    }

    /// Writes a proving key and its verifying key, which [`Self::proving`] writes again if it is
    /// missing.
    fn keep(&self, key: &ProvingKey) -> Result<(), DeciderError> {
        let (Some(verifying), Some(proving)) = (self.path("verifying"), self.path("proving"))
        else {
            return Ok(());
        };
        create_directory(self.directory)?;
        // An interruption must not leave the verifying key of another proving key.
        if verifying.exists() {
            fs::remove_file(&verifying).map_err(|source| DeciderError::Read {
                path: verifying.clone(),
                source,
            })?;
        }
        key.save(&proving).map_err(about(&proving))?;
        let verifying_key = key.verifying_key();
        verifying_key.save(&verifying).map_err(about(&verifying))
    }

    /// Keeps the key that a ceremony ended with, in place of any other.
    ///
    /// # Errors
    /// Those of [`Self::shape`]; [`DeciderError::Key`] for a file that is of another circuit or no
    /// such file.
    pub fn import<S: StepCircuit<Fr>>(
        &self,
        decider: &Decider<'_, S>,
        zkey: &Path,
    ) -> Result<VerifyingKey, DeciderError> {
        let shape = self.shape(decider)?;
        let file = File::open(zkey).map_err(|source| DeciderError::Read {
            path: zkey.to_path_buf(),
            source,
        })?;
        let key = import_zkey(BufReader::new(file), &shape).map_err(about(zkey))?;
        self.keep(&key)?;
        Ok(key.verifying_key().clone())
    }

    /// The verifying key, if it was made or imported here.
    ///
    /// # Errors
    /// Those of [`Self::circuit`]; [`DeciderError::Key`] for a file that cannot be used,
    /// [`DeciderError::Misnamed`] for one of another circuit.
    pub fn verifying<S: StepCircuit<Fr>>(
        &self,
        decider: &Decider<'_, S>,
    ) -> Result<Option<VerifyingKey>, DeciderError> {
        let Some(path) = self.path("verifying").filter(|path| path.exists()) else {
            return Ok(None);
        };
        let key = VerifyingKey::load(&path).map_err(about(&path))?;
        check_name(&path, &self.circuit(decider)?, &key.circuit().to_string())?;
        Ok(Some(key))
    }
}

/// A file holds what its name stands for.
fn check_name(path: &Path, expected: &str, got: &str) -> Result<(), DeciderError> {
    if expected == got {
        return Ok(());
    }
    Err(DeciderError::Misnamed {
        path: path.to_path_buf(),
        expected: expected.into(),
        got: got.into(),
    })
}

fn create_directory(directory: Option<&Path>) -> Result<(), DeciderError> {
    let Some(path) = directory else {
        return Ok(());
    };
    fs::create_dir_all(path).map_err(|source| DeciderError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Puts the name of a file to an error about it.
fn about(path: &Path) -> impl FnOnce(Groth16Error) -> DeciderError {
    let path = path.to_path_buf();
    move |source| DeciderError::Key { path, source }
}
