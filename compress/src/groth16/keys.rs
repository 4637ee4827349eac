//! Proving and verifying keys, and their files.
//!
//! A file is a header, the points, and the SHA-256 of both, which is the identity of the key:
//!
//! ```text
//! magic (8)  version (4)  curve (8)  flags (4, bit 0: insecure)  circuit (32)
//! inputs (8)  auxiliary (8)  domain (8)
//! verifying key: alpha (G1)  beta gamma delta (G2)  1 + inputs points (G1)
//! proving key, after those: beta delta (G1)  A (G1)  B (G1)  B (G2)  auxiliary (G1)  quotient (G1)
//! identity (32)
//! ```
//!
//! Numbers are little-endian. Points are pairs of coordinates in Montgomery form with
//! R = 2^256, 64 bytes in G1 and 128 in G2; zeros stand for infinity. A proving key is read in one
//! pass; its points are only compared with the digest, not checked one by one.

use super::circuit::Digest;
use super::fixed_base::Multiples;
use super::points::{check_g1, check_g2};
use super::reduction::{Columns, Domain, columns};
use super::{Error, Fr, Shape, replace_file};
use ff::Field;
use halo2curves::bn256::{G1, G1Affine, G2, G2Affine};
use halo2curves::group::Curve;
use halo2curves::serde::SerdeObject;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

const PROVING_MAGIC: [u8; 8] = *b"FNG16prv";
const VERIFYING_MAGIC: [u8; 8] = *b"FNG16ver";
const VERSION: u32 = 1;
const CURVE: [u8; 8] = *b"bn254\0\0\0";
const INSECURE: u32 = 1;
const HEADER: u64 = 80;
const DIGEST: u64 = 32;

/// Bytes of a point of G1 in a file.
pub(super) const G1_BYTES: u64 = 64;
/// Bytes of a point of G2 in a file.
pub(super) const G2_BYTES: u64 = 128;

const PROVING_KEY: &str = "Groth16 proving key";
const VERIFYING_KEY: &str = "Groth16 verifying key";

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

/// What a key says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    insecure: bool,
    circuit: Digest,
    inputs: u64,
    auxiliary: u64,
    domain: u64,
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

impl Header {
    fn new(shape: &Shape, domain: &Domain, insecure: bool) -> Header {
        Header {
            insecure,
            circuit: *shape.digest(),
            inputs: shape.inputs() as u64,
            auxiliary: shape.auxiliary() as u64,
            domain: domain.size() as u64,
        }
    }

    fn write(&self, magic: &[u8; 8], writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(magic)?;
        writer.write_all(&VERSION.to_le_bytes())?;
        writer.write_all(&CURVE)?;
        writer.write_all(&(if self.insecure { INSECURE } else { 0 }).to_le_bytes())?;
        writer.write_all(&self.circuit.0)?;
        for count in [self.inputs, self.auxiliary, self.domain] {
            writer.write_all(&count.to_le_bytes())?;
        }
        Ok(())
    }

    fn read(magic: &[u8; 8], reader: &mut Content<impl Read>) -> Result<Header, Error> {
        let what = reader.what;
        let got: [u8; 8] = reader.array()?;
        if got != *magic {
            return Err(Error::Foreign {
                expected: what,
                got: got.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
        }
        let got = u32::from_le_bytes(reader.array()?);
        if got != VERSION {
            let expected = VERSION;
            return Err(Error::Version {
                what,
                expected,
                got,
            });
        }
        let curve: [u8; 8] = reader.array()?;
        Error::field(
            "curve",
            String::from_utf8_lossy(&CURVE),
            String::from_utf8_lossy(&curve),
        )?;
        let flags = u32::from_le_bytes(reader.array()?);
        Error::field("unknown flags", 0, flags & !INSECURE)?;
        Ok(Header {
            insecure: flags & INSECURE != 0,
            circuit: Digest(reader.array()?),
            inputs: u64::from_le_bytes(reader.array()?),
            auxiliary: u64::from_le_bytes(reader.array()?),
            domain: u64::from_le_bytes(reader.array()?),
        })
    }

    /// Bytes of a verifying key, with header and digest; saturates on absurd counts.
    fn verifying_length(&self) -> u64 {
        let inputs = self.inputs.saturating_add(1).saturating_mul(G1_BYTES);
        (HEADER + G1_BYTES + 3 * G2_BYTES + DIGEST).saturating_add(inputs)
    }

    /// Bytes of a proving key, with header and digest; saturates on absurd counts.
    fn proving_length(&self) -> u64 {
        let variables = self.inputs.saturating_add(self.auxiliary).saturating_add(1);
        let per_variable = variables.saturating_mul(2 * G1_BYTES + G2_BYTES);
        let others = self.auxiliary.saturating_add(self.domain);
        self.verifying_length()
            .saturating_add(2 * G1_BYTES)
            .saturating_add(per_variable)
            .saturating_add(others.saturating_mul(G1_BYTES))
    }

    /// Checks that the key belongs to `shape`.
    fn check(&self, shape: &Shape) -> Result<(), Error> {
        check_circuit(shape.digest(), &self.circuit)?;
        let expected = Header::new(shape, &Domain::of(shape)?, self.insecure);
        Error::field("number of public inputs", expected.inputs, self.inputs)?;
        Error::field("auxiliary variables", expected.auxiliary, self.auxiliary)?;
        Error::field("domain size", expected.domain, self.domain)
    }
}

fn check_circuit(expected: &Digest, got: &Digest) -> Result<(), Error> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Circuit {
        expected: *expected,
        got: *got,
    })
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
    /// trapdoor `(alpha, beta, gamma, delta, tau)`.
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

/// The secrets of a set-up.
struct Trapdoor {
    alpha: Fr,
    beta: Fr,
    gamma: Fr,
    delta: Fr,
    tau: Fr,
}

impl Trapdoor {
    fn random(domain: &Domain, rng: &mut (impl RngCore + CryptoRng)) -> Trapdoor {
        let mut nonzero = || loop {
            let value = Fr::random(&mut *rng);
            if !value.is_zero_vartime() {
                return value;
            }
        };
        let [alpha, beta, gamma, delta] = [(); 4].map(|()| nonzero());
        let tau = loop {
            let tau = nonzero();
            if tau.pow_vartime([2 * domain.size() as u64]) != Fr::ONE {
                break tau;
            }
        };
        Trapdoor {
            alpha,
            beta,
            gamma,
            delta,
            tau,
        }
    }

    fn parts(&self, shape: &Shape, domain: &Domain) -> (VerifyingParts, ProvingParts) {
        let columns = columns(shape, &domain.basis(&self.tau));
        let combined = self.combined(&columns);
        let (public, auxiliary) = combined.split_at(1 + shape.inputs());
        let count = 2 * shape.variables() + shape.auxiliary() + domain.size();
        let first = Multiples::<G1Affine>::new(&G1::generator(), count);
        let second = Multiples::<G2Affine>::new(&G2::generator(), shape.variables());
        let scaled = |values: &[Fr], divisor: &Fr| {
            let factor = divisor.invert().unwrap_or(Fr::ZERO);
            let values: Vec<Fr> = values.par_iter().map(|value| factor * value).collect();
            first.all(&values)
        };
        let verifying = VerifyingParts {
            alpha: (G1::generator() * self.alpha).to_affine(),
            beta: (G2::generator() * self.beta).to_affine(),
            gamma: (G2::generator() * self.gamma).to_affine(),
            delta: (G2::generator() * self.delta).to_affine(),
            inputs: scaled(public, &self.gamma),
        };
        let proving = ProvingParts {
            beta: (G1::generator() * self.beta).to_affine(),
            delta: (G1::generator() * self.delta).to_affine(),
            a: first.all(&columns.a),
            b: first.all(&columns.b),
            b_twisted: second.all(&columns.b),
            auxiliary: scaled(auxiliary, &self.delta),
            quotient: scaled(&domain.odd_basis(&self.tau), &self.delta),
        };
        (verifying, proving)
    }

    /// `beta A_s + alpha B_s + C_s` for all columns.
    fn combined(&self, columns: &Columns) -> Vec<Fr> {
        let Columns { a, b, c } = columns;
        a.par_iter()
            .zip(b)
            .zip(c)
            .map(|((a, b), c)| self.beta * a + self.alpha * b + c)
            .collect()
    }
}

/// Points that are serialised before they are written.
const WRITE_CHUNK: usize = 1 << 13;

fn write_points<P: SerdeObject>(points: &[P], writer: &mut impl Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    for chunk in points.chunks(WRITE_CHUNK) {
        buffer.clear();
        for point in chunk {
            point.write_raw(&mut buffer)?;
        }
        writer.write_all(&buffer)?;
    }
    Ok(())
}

fn digest_of(write: impl FnOnce(&mut Sha256) -> io::Result<()>) -> Digest {
    let mut hash = Sha256::new();
    // Hashing cannot fail.
    let _ = write(&mut hash);
    Digest(hash.finalize().into())
}

fn check_length(what: &'static str, expected: u64, got: u64) -> Result<(), Error> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Length {
        what,
        expected,
        got,
    })
}

/// The content of a key's file while it is read and hashed.
struct Content<R> {
    what: &'static str,
    reader: R,
    hash: Sha256,
    expected: u64,
    got: u64,
}

impl<R: Read> Content<R> {
    fn new(what: &'static str, reader: R) -> Self {
        Content {
            what,
            reader,
            hash: Sha256::new(),
            expected: HEADER,
            got: 0,
        }
    }

    /// Fills the buffer, or says how long the file is.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => {
                    let got = self.got + filled as u64;
                    return check_length(self.what, self.expected, got);
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::io("reading a key")(source)),
            }
        }
        self.got += filled as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    /// Reads points whose coordinates are below the modulus. The caller has bounded `count`.
    fn points<P: SerdeObject>(&mut self, count: usize, size: u64) -> Result<Vec<P>, Error> {
        let size = size as usize;
        let mut points = Vec::with_capacity(count);
        let mut buffer = vec![0; size * WRITE_CHUNK.min(count)];
        while points.len() < count {
            let chunk = WRITE_CHUNK.min(count - points.len());
            let bytes = &mut buffer[..size * chunk];
            self.fill(bytes)?;
            self.hash.update(&*bytes);
            for mut bytes in bytes.chunks_exact(size) {
                let point = P::read_raw(&mut bytes).map_err(|_| Error::Invalid {
                    what: "a coordinate of the key",
                    problem: "not below the modulus",
                })?;
                points.push(point);
            }
        }
        Ok(points)
    }

    fn point<P: SerdeObject + Copy>(&mut self, size: u64) -> Result<P, Error> {
        let points = self.points(1, size)?;
        points.first().copied().ok_or(Error::Length {
            what: self.what,
            expected: self.expected,
            got: self.got,
        })
    }

    fn verifying_parts(&mut self, header: &Header) -> Result<VerifyingParts, Error> {
        Ok(VerifyingParts {
            alpha: self.point(G1_BYTES)?,
            beta: self.point(G2_BYTES)?,
            gamma: self.point(G2_BYTES)?,
            delta: self.point(G2_BYTES)?,
            inputs: self.points(header.inputs as usize + 1, G1_BYTES)?,
        })
    }

    fn proving_parts(&mut self, shape: &Shape, header: &Header) -> Result<ProvingParts, Error> {
        let variables = shape.variables();
        Ok(ProvingParts {
            beta: self.point(G1_BYTES)?,
            delta: self.point(G1_BYTES)?,
            a: self.points(variables, G1_BYTES)?,
            b: self.points(variables, G1_BYTES)?,
            b_twisted: self.points(variables, G2_BYTES)?,
            auxiliary: self.points(shape.auxiliary(), G1_BYTES)?,
            quotient: self.points(header.domain as usize, G1_BYTES)?,
        })
    }

    /// Compares the digest and checks that nothing follows.
    fn finish(mut self) -> Result<Digest, Error> {
        let got = Digest(self.hash.clone().finalize().into());
        let expected = Digest(self.array()?);
        let rest =
            io::copy(&mut self.reader, &mut io::sink()).map_err(Error::io("reading a key"))?;
        check_length(self.what, self.expected, self.got.saturating_add(rest))?;
        if expected == got {
            return Ok(got);
        }
        Err(Error::Damaged {
            what: self.what,
            expected,
            got,
        })
    }
}
