//! Proving and verifying keys.

use super::circuit::Digest;
use super::key_file::{
    Content, Header, PROVING_KEY, PROVING_MAGIC, VERIFYING_KEY, VERIFYING_MAGIC, check_circuit,
    check_length, write_points,
};
use super::points::{check_g1, check_g2};
use super::reduction::Domain;
use super::setup::Trapdoor;
use super::{Error, Shape, replace_file};
use halo2curves::bn256::{G1Affine, G2Affine};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Largest verifying key that is read: more than 16,000 inputs.
const LARGEST_VERIFYING_KEY: u64 = 1 << 20;

/// What a verifier needs: `e(A, B) = e(alpha, beta) e(sum_s x_s K_s, gamma) e(C, delta)`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    header: Header,
    parts: VerifyingParts,
    identity: Digest,
}

/// The points of a verifying key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerifyingParts {
    /// `alpha` in G1.
    pub(super) alpha: G1Affine,
    /// `beta` in G2.
    pub(super) beta: G2Affine,
    /// `gamma` in G2.
    pub(super) gamma: G2Affine,
    /// `delta` in G2.
    pub(super) delta: G2Affine,
    /// `(beta A_s + alpha B_s + C_s) / gamma` for the constant one and the public inputs.
    pub(super) inputs: Vec<G1Affine>,
}

/// What a prover needs; contains the verifying key.
pub struct ProvingKey {
    verifying: VerifyingKey,
    parts: ProvingParts,
    identity: Digest,
}

/// The points of a proving key that a verifier does not need.
pub(super) struct ProvingParts {
    /// `beta` in G1.
    pub(super) beta: G1Affine,
    /// `delta` in G1.
    pub(super) delta: G1Affine,
    /// `A_s(tau)` for all columns.
    pub(super) a: Vec<G1Affine>,
    /// `B_s(tau)` for all columns.
    pub(super) b: Vec<G1Affine>,
    /// `B_s(tau)` for all columns, in G2.
    pub(super) b_twisted: Vec<G2Affine>,
    /// `(beta A_s + alpha B_s + C_s) / delta` for the auxiliary columns.
    pub(super) auxiliary: Vec<G1Affine>,
    /// `L_(2i+1)(tau) / delta`, see the reduction.
    pub(super) quotient: Vec<G1Affine>,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("identity", &self.identity)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProvingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvingKey")
            .field("identity", &self.identity)
            .field("header", &self.verifying.header)
            .finish_non_exhaustive()
    }
}

fn check_identity(expected: &Digest, got: &Digest) -> Result<(), Error> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Identity {
        expected: *expected,
        got: *got,
    })
}

impl VerifyingKey {
    fn new(header: Header, parts: VerifyingParts) -> VerifyingKey {
        let mut key = VerifyingKey {
            header,
            parts,
            identity: Digest([0; 32]),
        };
        key.identity = digest_of(|hash| key.write_content(hash));
        key
    }

    /// The name of this key: the SHA-256 of its file without the last 32 bytes.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// The circuit that this key is for.
    pub fn circuit(&self) -> &Digest {
        &self.header.circuit
    }

    /// Whether somebody may know the trapdoor: a development key, or a ceremony without
    /// contributions. Whoever knows it can prove anything.
    pub fn insecure(&self) -> bool {
        self.header.insecure
    }

    /// `alpha` in G1.
    pub fn alpha(&self) -> &G1Affine {
        &self.parts.alpha
    }

    /// `beta` in G2.
    pub fn beta(&self) -> &G2Affine {
        &self.parts.beta
    }

    /// `gamma` in G2.
    pub fn gamma(&self) -> &G2Affine {
        &self.parts.gamma
    }

    /// `delta` in G2.
    pub fn delta(&self) -> &G2Affine {
        &self.parts.delta
    }

    /// `K_s` for the constant one, then for each public input.
    pub fn input_points(&self) -> &[G1Affine] {
        &self.parts.inputs
    }

    /// Checks that this is the key with the given identity.
    ///
    /// # Errors
    /// [`Error::Identity`] when it is another.
    pub fn check_identity(&self, expected: &Digest) -> Result<(), Error> {
        check_identity(expected, &self.identity)
    }

    /// Checks that this key is for the given circuit.
    ///
    /// # Errors
    /// [`Error::Circuit`] when it is for another.
    pub fn check_circuit(&self, expected: &Digest) -> Result<(), Error> {
        check_circuit(expected, &self.header.circuit)
    }

    /// The content of the key's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail.
        let _ = self.write_content(&mut bytes);
        bytes.extend_from_slice(&self.identity.0);
        bytes
    }

    /// Reads the content of a key's file. All points are checked: on the curve, in the subgroup,
    /// not infinity.
    ///
    /// # Errors
    /// When the bytes are foreign, of another version, cut off, too long or damaged, or when a
    /// point is unusable.
    pub fn from_bytes(bytes: &[u8]) -> Result<VerifyingKey, Error> {
        let mut content = Content::new(VERIFYING_KEY, bytes);
        let header = Header::read(&VERIFYING_MAGIC, &mut content)?;
        check_length(VERIFYING_KEY, header.verifying_length(), bytes.len() as u64)?;
        content.expected = header.verifying_length();
        let parts = content.verifying_parts(&header)?;
        let identity = content.finish()?;
        parts.check()?;
        Ok(VerifyingKey {
            header,
            parts,
            identity,
        })
    }

    /// Writes the key's file; see [`replace_file`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.to_bytes();
        replace_file(path, |writer| {
            writer
                .write_all(&bytes)
                .map_err(Error::io("writing a verifying key"))
        })
    }

    /// Reads the key's file; the caller decides with [`VerifyingKey::check_identity`] or
    /// [`VerifyingKey::check_circuit`] whether it is the right one.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`VerifyingKey::from_bytes`].
    pub fn load(path: &Path) -> Result<VerifyingKey, Error> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST_VERIFYING_KEY + 1).read_to_end(&mut bytes))
            .map_err(Error::io("reading a verifying key"))?;
        VerifyingKey::from_bytes(&bytes)
    }

    fn write_content(&self, writer: &mut impl Write) -> io::Result<()> {
        self.header.write(&VERIFYING_MAGIC, writer)?;
        self.parts.write(writer)
    }
}

impl VerifyingParts {
    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        write_points(&[self.alpha], writer)?;
        write_points(&[self.beta, self.gamma, self.delta], writer)?;
        write_points(&self.inputs, writer)
    }

    /// Checks every point: on the curve, in the subgroup, not infinity.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_g1("alpha", &self.alpha)?;
        check_g2("beta", &self.beta)?;
        check_g2("gamma", &self.gamma)?;
        check_g2("delta", &self.delta)?;
        self.inputs
            .iter()
            .try_for_each(|point| check_g1("a point of the public inputs", point))
    }
}

impl ProvingKey {
    /// A key of fresh randomness for `shape`, marked insecure: this machine has known the
    /// trapdoor `(alpha, beta, delta, tau)`.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn development(
        shape: &Shape,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<ProvingKey, Error> {
        let domain = Domain::of(shape)?;
        let trapdoor = Trapdoor::random(&domain, rng);
        let (verifying, proving) = trapdoor.parts(shape, &domain);
        ProvingKey::from_parts(shape, true, verifying, proving)
    }

    /// A key of the given points, whose numbers must fit `shape`.
    pub(super) fn from_parts(
        shape: &Shape,
        insecure: bool,
        verifying: VerifyingParts,
        parts: ProvingParts,
    ) -> Result<ProvingKey, Error> {
        let header = Header::new(shape, &Domain::of(shape)?, insecure);
        let mut key = ProvingKey {
            verifying: VerifyingKey::new(header, verifying),
            parts,
            identity: Digest([0; 32]),
        };
        key.identity = digest_of(|hash| key.write_content(hash));
        Ok(key)
    }

    /// The name of this key: the SHA-256 of its file without the last 32 bytes.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// The verifying key of the same set-up.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// See [`VerifyingKey::insecure`].
    pub fn insecure(&self) -> bool {
        self.verifying.insecure()
    }

    /// The points for the prover.
    pub(super) fn parts(&self) -> &ProvingParts {
        &self.parts
    }

    /// Checks that this key is for `shape`.
    pub(super) fn check_shape(&self, shape: &Shape) -> Result<(), Error> {
        self.verifying.header.check(shape)
    }

    /// Checks that this is the key with the given identity.
    ///
    /// # Errors
    /// [`Error::Identity`] when it is another.
    pub fn check_identity(&self, expected: &Digest) -> Result<(), Error> {
        check_identity(expected, &self.identity)
    }

    /// Writes the key's file; see [`replace_file`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        replace_file(path, |mut writer| self.write(&mut writer))
    }

    /// Writes the content of the key's file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, writer: &mut impl Write) -> Result<(), Error> {
        self.write_content(writer)
            .and_then(|()| writer.write_all(&self.identity.0))
            .map_err(Error::io("writing a proving key"))
    }

    /// Reads the file of a key for `shape`.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`ProvingKey::read`].
    pub fn load(path: &Path, shape: &Shape) -> Result<ProvingKey, Error> {
        let file = File::open(path).map_err(Error::io("opening a proving key"))?;
        ProvingKey::read(file, shape)
    }

    /// Reads the content of the file of a key for `shape`, in one pass, and compares it with its
    /// digest. The prover's points are not checked further: a prover verifies its own proofs.
    ///
    /// # Errors
    /// When the content is foreign, of another version or circuit, cut off, too long or damaged,
    /// or when a point of the verifying key is unusable.
    pub fn read(reader: impl Read, shape: &Shape) -> Result<ProvingKey, Error> {
        let mut content = Content::new(PROVING_KEY, reader);
        let header = Header::read(&PROVING_MAGIC, &mut content)?;
        header.check(shape)?;
        content.expected = header.proving_length();
        let verifying = content.verifying_parts(&header)?;
        let parts = content.proving_parts(shape, &header)?;
        let identity = content.finish()?;
        verifying.check()?;
        Ok(ProvingKey {
            verifying: VerifyingKey::new(header, verifying),
            parts,
            identity,
        })
    }

    fn write_content(&self, writer: &mut impl Write) -> io::Result<()> {
        let parts = &self.parts;
        self.verifying.header.write(&PROVING_MAGIC, writer)?;
        self.verifying.parts.write(writer)?;
        write_points(&[parts.beta, parts.delta], writer)?;
        write_points(&parts.a, writer)?;
        write_points(&parts.b, writer)?;
        write_points(&parts.b_twisted, writer)?;
        write_points(&parts.auxiliary, writer)?;
        write_points(&parts.quotient, writer)
    }
}

fn digest_of(write: impl FnOnce(&mut Sha256) -> io::Result<()>) -> Digest {
    let mut hash = Sha256::new();
    // Hashing cannot fail.
    let _ = write(&mut hash);
    Digest(hash.finalize().into())
}
