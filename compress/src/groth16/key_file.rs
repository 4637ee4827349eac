//! The files of keys.
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
use super::keys::{ProvingParts, VerifyingParts};
use super::reduction::Domain;
use super::{Error, Shape};
use halo2curves::serde::SerdeObject;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};

/// First bytes of a proving key.
pub(super) const PROVING_MAGIC: [u8; 8] = *b"FNG16prv";
/// First bytes of a verifying key.
pub(super) const VERIFYING_MAGIC: [u8; 8] = *b"FNG16ver";
const VERSION: u32 = 1;
const CURVE: [u8; 8] = *b"bn254\0\0\0";
const INSECURE: u32 = 1;
const HEADER: u64 = 80;
const DIGEST: u64 = 32;

/// Bytes of a point of G1 in a file.
pub(super) const G1_BYTES: u64 = 64;
/// Bytes of a point of G2 in a file.
pub(super) const G2_BYTES: u64 = 128;

/// A proving key in messages.
pub(super) const PROVING_KEY: &str = "Groth16 proving key";
/// A verifying key in messages.
pub(super) const VERIFYING_KEY: &str = "Groth16 verifying key";

/// What a key says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether somebody may know the trapdoor.
    pub(super) insecure: bool,
    /// The circuit.
    pub(super) circuit: Digest,
    /// Public inputs.
    pub(super) inputs: u64,
    /// Auxiliary variables.
    pub(super) auxiliary: u64,
    /// Elements of the domain.
    pub(super) domain: u64,
}

impl Header {
    /// The header of a key for `shape`.
    pub(super) fn new(shape: &Shape, domain: &Domain, insecure: bool) -> Header {
        Header {
            insecure,
            circuit: *shape.digest(),
            inputs: shape.inputs() as u64,
            auxiliary: shape.auxiliary() as u64,
            domain: domain.size() as u64,
        }
    }

    /// Writes magic, version, curve and the rest.
    pub(super) fn write(&self, magic: &[u8; 8], writer: &mut impl Write) -> io::Result<()> {
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

    /// Reads and checks everything that does not depend on the circuit.
    pub(super) fn read(magic: &[u8; 8], reader: &mut Content<impl Read>) -> Result<Header, Error> {
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
    pub(super) fn verifying_length(&self) -> u64 {
        let inputs = self.inputs.saturating_add(1).saturating_mul(G1_BYTES);
        (HEADER + G1_BYTES + 3 * G2_BYTES + DIGEST).saturating_add(inputs)
    }

    /// Bytes of a proving key, with header and digest; saturates on absurd counts.
    pub(super) fn proving_length(&self) -> u64 {
        let variables = self.inputs.saturating_add(self.auxiliary).saturating_add(1);
        let per_variable = variables.saturating_mul(2 * G1_BYTES + G2_BYTES);
        let others = self.auxiliary.saturating_add(self.domain);
        self.verifying_length()
            .saturating_add(2 * G1_BYTES)
            .saturating_add(per_variable)
            .saturating_add(others.saturating_mul(G1_BYTES))
    }

    /// Checks that the key belongs to `shape`.
    pub(super) fn check(&self, shape: &Shape) -> Result<(), Error> {
        check_circuit(shape.digest(), &self.circuit)?;
        let expected = Header::new(shape, &Domain::of(shape)?, self.insecure);
        Error::field("number of public inputs", expected.inputs, self.inputs)?;
        Error::field("auxiliary variables", expected.auxiliary, self.auxiliary)?;
        Error::field("domain size", expected.domain, self.domain)
    }
}

/// Checks that a key is for the circuit at hand.
pub(super) fn check_circuit(expected: &Digest, got: &Digest) -> Result<(), Error> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Circuit {
        expected: *expected,
        got: *got,
    })
}

/// Points that are serialised before they are written.
const WRITE_CHUNK: usize = 1 << 13;

/// Writes the raw form of points.
pub(super) fn write_points<P: SerdeObject>(
    points: &[P],
    writer: &mut impl Write,
) -> io::Result<()> {
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

/// Checks a number of bytes.
pub(super) fn check_length(what: &'static str, expected: u64, got: u64) -> Result<(), Error> {
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
pub(super) struct Content<R> {
    what: &'static str,
    reader: R,
    hash: Sha256,
    /// Bytes that the file should have, as far as is known.
    pub(super) expected: u64,
    got: u64,
}

impl<R: Read> Content<R> {
    /// Nothing is read yet.
    pub(super) fn new(what: &'static str, reader: R) -> Self {
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

    /// The points of the verifying key. The caller has compared the length with the header.
    pub(super) fn verifying_parts(&mut self, header: &Header) -> Result<VerifyingParts, Error> {
        Ok(VerifyingParts {
            alpha: self.point(G1_BYTES)?,
            beta: self.point(G2_BYTES)?,
            gamma: self.point(G2_BYTES)?,
            delta: self.point(G2_BYTES)?,
            inputs: self.points(header.inputs as usize + 1, G1_BYTES)?,
        })
    }

    /// The further points of the proving key. The caller has compared the header with the shape.
    pub(super) fn proving_parts(
        &mut self,
        shape: &Shape,
        header: &Header,
    ) -> Result<ProvingParts, Error> {
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
    pub(super) fn finish(mut self) -> Result<Digest, Error> {
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
