//! Files: atomic writes, reads of bounded size, and the container that artefacts are kept in.
//!
//! # Container
//!
//! | offset | bytes | content |
//! |--------|-------|---------|
//! | 0      | 8     | [`MAGIC`] |
//! | 8      | 4     | [`VERSION`], little-endian |
//! | 12     | 16    | kind ([`Kind::name`]), ASCII padded with zeros |
//! | 28     | 16    | curve, ASCII padded with zeros |
//! | 44     | 8     | payload length `n`, little-endian |
//! | 52     | `n`   | payload |
//! | 52+n   | 32    | SHA-256 of bytes `0 .. 52+n` |
//!
//! The digest finds accidents (a torn copy, a flipped bit), not adversaries: whoever can write the
//! file can write the digest. What must not be forged is checked by what reads the payload. Parsing
//! returns an error on any bytes and allocates no more than the bytes that are there.

use bincode::config::{self, Config};
use bincode::error::{DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// The first bytes of every foldnet file.
pub const MAGIC: [u8; 8] = *b"foldnet\x1a";

/// The version of the container and of the payloads in it.
pub const VERSION: u32 = 2;

/// The curve name of artefacts that depend on no curve.
pub const NO_CURVE: &str = "none";

/// Bytes of a name in the header.
const NAME_BYTES: usize = 16;

/// Bytes before the payload.
const HEADER_BYTES: usize = 52;

/// Bytes of the digest after the payload.
const DIGEST_BYTES: usize = 32;

/// Bytes by which buffers grow while a file is read, so that a false length costs no memory.
const BLOCK_BYTES: u64 = 1 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A vector commitment key.
    CommitmentKey,
    /// A quantised network.
    Model,
    /// A statement to be proven.
    Statement,
    /// The state of an unfinished proof.
    State,
    /// A proof whose folded instances are given in full.
    FoldedProof,
    /// A Spartan proof.
    SpartanProof,
    /// A Groth16 proof, as a contract takes it.
    Groth16Proof,
    /// Weight commitments of a program.
    Commitments,
    /// The blinds of a private model's weight commitments.
    WeightBlinds,
    /// What shows a private input or output.
    Opening,
    /// A proving key of the last proof system.
    ProvingKey,
    /// A verification key of the last proof system.
    VerifyingKey,
}

impl Kind {
    /// The name in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::CommitmentKey => "commitment-key",
            Kind::Model => "model",
            Kind::Statement => "statement",
            Kind::State => "state",
            Kind::FoldedProof => "folded-proof",
            Kind::SpartanProof => "spartan-proof",
            Kind::Groth16Proof => "groth16-proof",
            Kind::Commitments => "commitments",
            Kind::WeightBlinds => "weight-blinds",
            Kind::Opening => "opening",
            Kind::ProvingKey => "proving-key",
            Kind::VerifyingKey => "verifying-key",
        }
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the process's file mode mask lets.
    Public,
    /// The owner only (mode 0600 on Unix; elsewhere the same as [`Access::Public`]).
    Private,
}

/// Why bytes are not the expected container.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes do not start with [`MAGIC`].
    #[error("not a foldnet file; {}", looks_like(found))]
    Foreign {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// Written by an older release.
    #[error(
        "format version {found} is older than {expected}; delete the file, and make or import it again"
    )]
    OlderVersion {
        /// The version read by this release.
        expected: u32,
        /// The version of the file.
        found: u32,
    },
    /// Written by a newer release.
    #[error("format version {found} is newer than {expected}; use a newer foldnet")]
    NewerVersion {
        /// The version read by this release.
        expected: u32,
        /// The version of the file.
        found: u32,
    },
    /// A file of another kind.
    #[error("expected a file of kind {expected:?}, found {found:?}; check which file is given")]
    WrongKind {
        /// The kind that was asked for.
        expected: String,
        /// The kind in the header.
        found: String,
    },
    /// A file for another curve.
    #[error("expected curve {expected:?}, found {found:?}; use one curve throughout")]
    WrongCurve {
        /// The curve that was asked for.
        expected: String,
        /// The curve in the header.
        found: String,
    },
    /// The bytes end early.
    #[error("truncated: expected {expected} bytes, found {found}; copy or make the file again")]
    Truncated {
        /// Bytes needed, as far as known at the place where the bytes end.
        expected: u64,
        /// Bytes present.
        found: u64,
    },
    /// Bytes follow the container.
    #[error("expected {expected} bytes, found more; copy or make the file again")]
    TrailingBytes {
        /// Bytes of the container.
        expected: u64,
    },
    /// The content is larger than the reader allows.
    #[error("{found} bytes, more than the {limit} allowed here; check which file is given")]
    TooLarge {
        /// The most bytes allowed.
        limit: u64,
        /// The bytes announced or found.
        found: u64,
    },
    /// The digest does not match the bytes.
    #[error("damaged: SHA-256 expected {expected}, found {found}; copy or make the file again")]
    Damaged {
        /// The digest in the file.
        expected: String,
        /// The digest of the bytes.
        found: String,
    },
    /// The payload is intact but does not decode as what it should be.
    #[error("damaged, or made by another release ({reason}); make it again")]
    Payload {
        /// What is wrong.
        reason: String,
    },
    /// The payload handed over for writing does not have the announced length or form.
    #[error("cannot be encoded: {reason}")]
    Encoding {
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("input or output failed")]
    Io(#[from] io::Error),
}

/// Why a file could not be read or written; the source says more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy(action, source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// The content is not what was expected.
    #[error("cannot use {}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
}

impl FormatError {
    /// What is wrong, without what to do about it: for those who know a better remedy.
    pub(crate) fn problem(&self) -> String {
        let text = self.to_string();
        match text.rsplit_once("; ") {
            Some((problem, _)) => problem.into(),
            None => text,
        }
    }
}

/// What to do about a file that is none of foldnet's, by its first bytes.
fn looks_like(found: &[u8]) -> &'static str {
    match found {
        // The version of the format, a small number in field 1, and then another field.
        [0x08, 1..=32, _, ..] => {
            "it may be an ONNX model: `foldnet compile` makes a program of that first"
        }
        [b'{' | b'[', ..] => "it may be JSON; check which file is given",
        [] => "it is empty; make it again",
        _ => "check which file is given",
    }
}

/// What to do about an error of the operating system.
fn remedy(action: &str, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if action == "create" => "make the directory first",
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check its permissions",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::IsADirectory => "give a file, not a directory",
        io::ErrorKind::AlreadyExists => "move it, or give another name",
        _ => "check the path and the disk",
    }
}

impl FileError {
    /// An error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// An error in the content of `path`.
    pub fn format(path: &Path) -> impl FnOnce(FormatError) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Format { path, source }
    }
}

/// The description at the start of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind, see [`Kind::name`].
    pub kind: String,
    /// The curve or cycle.
    pub curve: String,
    /// Bytes of the payload.
    pub payload_bytes: u64,
}

impl Header {
    /// The header's bytes.
    fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(encode_name(&self.kind)?);
        bytes.extend(encode_name(&self.curve)?);
        bytes.extend(self.payload_bytes.to_le_bytes());
        Ok(bytes)
    }

    /// The header of the first `length` bytes that could be read. The magic and the version come
    /// first, so that a short foreign file is called foreign.
    fn decode(bytes: &[u8; HEADER_BYTES], length: usize) -> Result<Self, FormatError> {
        let present = bytes.get(..length).unwrap_or(bytes);
        if present
            .iter()
            .zip(&MAGIC)
            .any(|(found, expected)| found != expected)
        {
            let found = present.iter().take(MAGIC.len()).copied().collect();
            return Err(FormatError::Foreign { found });
        }
        if length >= 12 {
            check_version(u32::from_le_bytes(array_at(bytes, 8)))?;
        }
        if length < HEADER_BYTES {
            return Err(truncated(
                (HEADER_BYTES + DIGEST_BYTES) as u64,
                length as u64,
            ));
        }
        Ok(Self {
            kind: decode_name(&array_at(bytes, 12)),
            curve: decode_name(&array_at(bytes, 28)),
            payload_bytes: u64::from_le_bytes(array_at(bytes, 44)),
        })
    }

    /// Compares with what the reader wants.
    fn expect(&self, kind: Kind, curve: &str, limit: u64) -> Result<(), FormatError> {
        if self.kind != kind.name() {
            let expected = kind.name().to_string();
            return Err(FormatError::WrongKind {
                expected,
                found: self.kind.clone(),
            });
        }
        if self.curve != curve {
            let expected = curve.to_string();
            return Err(FormatError::WrongCurve {
                expected,
                found: self.curve.clone(),
            });
        }
        if self.payload_bytes > limit {
            return Err(FormatError::TooLarge {
                limit,
                found: self.payload_bytes,
            });
        }
        Ok(())
    }

    /// Bytes of the whole container.
    fn container_bytes(&self) -> u64 {
        self.payload_bytes
            .saturating_add((HEADER_BYTES + DIGEST_BYTES) as u64)
    }
}

/// `N` bytes of the header from `offset`, zeros where the header ends.
fn array_at<const N: usize>(bytes: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    for (target, source) in array.iter_mut().zip(bytes.iter().skip(offset)) {
        *target = *source;
    }
    array
}

/// Refuses every version but [`VERSION`].
fn check_version(found: u32) -> Result<(), FormatError> {
    let expected = VERSION;
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(FormatError::OlderVersion { expected, found }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(FormatError::NewerVersion { expected, found }),
    }
}

/// A name as 16 bytes padded with zeros.
fn encode_name(name: &str) -> Result<[u8; NAME_BYTES], FormatError> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > NAME_BYTES || !printable {
        let reason = format!("the name {name:?} is not 1 to {NAME_BYTES} printable bytes");
        return Err(FormatError::Encoding { reason });
    }
    let mut bytes = [0; NAME_BYTES];
    for (target, source) in bytes.iter_mut().zip(name.bytes()) {
        *target = source;
    }
    Ok(bytes)
}

/// The name in 16 bytes. Only trailing zeros are removed, so distinct bytes give distinct names.
fn decode_name(bytes: &[u8; NAME_BYTES]) -> String {
    let length = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes
        .iter()
        .take(length)
        .map(|byte| char::from(*byte))
        .collect()
}

/// The error of bytes that end early.
fn truncated(expected: u64, found: u64) -> FormatError {
    FormatError::Truncated { expected, found }
}

/// Lower-case hexadecimal digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads until `buffer` is full or the input ends; the number of bytes read.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes a container whose payload is produced piece by piece.
#[derive(Debug)]
pub struct ContainerWriter<W> {
    output: W,
    hasher: Sha256,
    left: u64,
}

impl<W: Write> ContainerWriter<W> {
    /// Writes the header of a container with `payload_bytes` bytes of payload.
    ///
    /// # Errors
    /// When the curve's name does not fit the header, or writing fails.
    pub fn new(
        output: W,
        kind: Kind,
        curve: &str,
        payload_bytes: u64,
    ) -> Result<Self, FormatError> {
        let header = Header {
            kind: kind.name().to_string(),
            curve: curve.to_string(),
            payload_bytes,
        };
        let mut writer = Self {
            output,
            hasher: Sha256::new(),
            left: payload_bytes,
        };
        writer.put(&header.encode()?)?;
        Ok(writer)
    }

    /// Appends bytes to the payload.
    ///
    /// # Errors
    /// When there are more bytes than announced, or writing fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.left =
            self.left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| FormatError::Encoding {
                    reason: "the payload is longer than announced".to_string(),
                })?;
        self.put(bytes)
    }

    /// Appends the bytes of [`encode_value`] without holding them in memory.
    ///
    /// # Errors
    /// Those of [`ContainerWriter::write`], and when the value refuses to be serialised.
    pub fn write_value(&mut self, value: &impl Serialize) -> Result<(), FormatError> {
        let mut output = BufWriter::with_capacity(BLOCK_BYTES as usize, PayloadWriter(self));
        encode_into(value, &mut output)?;
        Ok(output.flush()?)
    }

    /// Writes the digest and returns the output.
    ///
    /// # Errors
    /// When there are fewer bytes than announced, or writing fails.
    pub fn finish(mut self) -> Result<W, FormatError> {
        if self.left != 0 {
            let reason = format!("the payload is {} bytes shorter than announced", self.left);
            return Err(FormatError::Encoding { reason });
        }
        let digest = self.hasher.finalize();
        self.output.write_all(&digest)?;
        Ok(self.output)
    }

    /// Writes and hashes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.hasher.update(bytes);
        self.output.write_all(bytes)?;
        Ok(())
    }
}

/// Reads a container piece by piece.
///
/// The pieces are authenticated only once [`ContainerReader::finish`] returns; until then they are
/// to be treated as arbitrary bytes.
#[derive(Debug)]
pub struct ContainerReader<R> {
    input: R,
    hasher: Sha256,
    header: Header,
    left: u64,
}

impl<R: Read> ContainerReader<R> {
    /// Reads and checks the header; the payload may have at most `limit` bytes.
    ///
    /// # Errors
    /// Any [`FormatError`] about the header.
    pub fn new(mut input: R, kind: Kind, curve: &str, limit: u64) -> Result<Self, FormatError> {
        let (header, hasher) = read_header_from(&mut input)?;
        header.expect(kind, curve, limit)?;
        let left = header.payload_bytes;
        Ok(Self {
            input,
            hasher,
            header,
            left,
        })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the payload not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Fills `buffer` with the next bytes of the payload.
    ///
    /// # Errors
    /// When the payload or the input has fewer bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), FormatError> {
        let wanted = buffer.len() as u64;
        let left = self
            .left
            .checked_sub(wanted)
            .ok_or_else(|| FormatError::Payload {
                reason: format!("expected {wanted} more bytes, found {}", self.left),
            })?;
        let count = fill(&mut self.input, buffer)?;
        if (count as u64) < wanted {
            let before = self.header.payload_bytes - self.left;
            let found = HEADER_BYTES as u64 + before + count as u64;
            return Err(truncated(self.header.container_bytes(), found));
        }
        self.hasher.update(&*buffer);
        self.left = left;
        Ok(())
    }

    /// Reads over bytes of the payload.
    ///
    /// # Errors
    /// Those of [`ContainerReader::read`].
    pub fn skip(&mut self, bytes: u64) -> Result<(), FormatError> {
        let mut block = vec![0; bytes.min(BLOCK_BYTES) as usize];
        let mut left = bytes;
        while left > 0 {
            let size = left.min(BLOCK_BYTES);
            self.read(block.get_mut(..size as usize).unwrap_or_default())?;
            left -= size;
        }
        Ok(())
    }

    /// Decodes a value from all that is left of the payload, with the bound on memory of
    /// [`decode_value`], without holding the bytes in memory.
    ///
    /// # Errors
    /// Those of [`decode_value`].
    pub fn read_value<T: DeserializeOwned>(&mut self) -> Result<T, FormatError> {
        let claims = self.left.saturating_mul(16);
        let mut input = BufReader::with_capacity(BLOCK_BYTES as usize, PayloadReader(self));
        let value = decode_from(&mut input, claims)?;
        match input.buffer().len() as u64 + self.left {
            0 => Ok(value),
            left => Err(left_over(left)),
        }
    }

    /// Checks that the payload was read in full, that the digest matches and that nothing follows.
    ///
    /// # Errors
    /// [`FormatError::Payload`], [`FormatError::Truncated`], [`FormatError::Damaged`] or
    /// [`FormatError::TrailingBytes`].
    pub fn finish(mut self) -> Result<(), FormatError> {
        if self.left != 0 {
            let reason = format!("{} bytes follow the value", self.left);
            return Err(FormatError::Payload { reason });
        }
        let total = self.header.container_bytes();
        let mut expected = [0; DIGEST_BYTES];
        let count = fill(&mut self.input, &mut expected)?;
        if count < DIGEST_BYTES {
            return Err(truncated(total, total - (DIGEST_BYTES - count) as u64));
        }
        let found: [u8; DIGEST_BYTES] = self.hasher.finalize().into();
        if found != expected {
            return Err(FormatError::Damaged {
                expected: hex(&expected),
                found: hex(&found),
            });
        }
        match fill(&mut self.input, &mut [0])? {
            0 => Ok(()),
            _ => Err(FormatError::TrailingBytes { expected: total }),
        }
    }
}

/// The payload of a container that is written, as a plain output.
struct PayloadWriter<'a, W>(&'a mut ContainerWriter<W>);

impl<W: Write> Write for PayloadWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The payload of a container that is read, as a plain input.
struct PayloadReader<'a, R>(&'a mut ContainerReader<R>);

impl<R: Read> Read for PayloadReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = (buffer.len() as u64).min(self.0.left) as usize;
        let target = buffer.get_mut(..size).unwrap_or_default();
        self.0.read(target).map_err(into_io)?;
        Ok(size)
    }
}

fn into_io(error: FormatError) -> io::Error {
    match error {
        FormatError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The header at the start of an input, and the digest state after it.
pub(crate) fn read_header_from(input: &mut impl Read) -> Result<(Header, Sha256), FormatError> {
    let mut bytes = [0; HEADER_BYTES];
    let length = fill(input, &mut bytes)?;
    let header = Header::decode(&bytes, length)?;
    Ok((header, Sha256::new_with_prefix(bytes)))
}

/// The bytes of a container.
///
/// # Errors
/// When the curve's name does not fit the header.
pub fn encode_container(kind: Kind, curve: &str, payload: &[u8]) -> Result<Vec<u8>, FormatError> {
    let bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + DIGEST_BYTES);
    let mut writer = ContainerWriter::new(bytes, kind, curve, payload.len() as u64)?;
    writer.write(payload)?;
    writer.finish()
}

/// The payload of a container of the given kind and curve, of at most `limit` bytes.
///
/// # Errors
/// Any [`FormatError`]; never panics, whatever the bytes are.
pub fn decode_container(
    input: impl Read,
    kind: Kind,
    curve: &str,
    limit: u64,
) -> Result<Vec<u8>, FormatError> {
    let mut reader = ContainerReader::new(input, kind, curve, limit)?;
    let mut payload = Vec::new();
    while reader.left() > 0 {
        let start = payload.len();
        payload.resize(start + reader.left().min(BLOCK_BYTES) as usize, 0);
        reader.read(payload.get_mut(start..).unwrap_or_default())?;
    }
    reader.finish()?;
    Ok(payload)
}

/// The bytes of a value: `bincode` 2, little-endian, integers of variable length.
///
/// # Errors
/// When the value refuses to be serialised.
pub fn encode_value(value: &impl Serialize) -> Result<Vec<u8>, FormatError> {
    bincode::serde::encode_to_vec(value, config::standard()).map_err(|error| {
        FormatError::Encoding {
            reason: error.to_string(),
        }
    })
}

/// Bytes that [`encode_value`] gives for a value.
///
/// # Errors
/// When the value refuses to be serialised.
pub fn encoded_length(value: &impl Serialize) -> Result<u64, FormatError> {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    encode_into(value, &mut count)?;
    Ok(count.0)
}

/// Writes the bytes of [`encode_value`]. What the output refuses is an error of the output.
fn encode_into(value: &impl Serialize, output: &mut impl Write) -> Result<(), FormatError> {
    match bincode::serde::encode_into_std_write(value, output, config::standard()) {
        Ok(_) => Ok(()),
        Err(EncodeError::Io { inner, .. }) => Err(FormatError::Io(inner)),
        Err(error) => Err(FormatError::Encoding {
            reason: error.to_string(),
        }),
    }
}

/// The value that all of `bytes` encode.
///
/// Memory is bounded: the decoder may claim 16 bytes for every byte present (the widest integer in
/// its shortest form), rounded up to one of a few limits, since `bincode` fixes limits at compile
/// time.
///
/// # Errors
/// [`FormatError::Payload`] when the bytes decode to no value, or when bytes are left over.
pub fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    let mut rest = bytes;
    let value = decode_from(&mut rest, (bytes.len() as u64).saturating_mul(16))?;
    match rest.len() as u64 {
        0 => Ok(value),
        left => Err(left_over(left)),
    }
}

/// Decodes a value under the least limit that lets the decoder claim `claims` bytes.
fn decode_from<T: DeserializeOwned>(input: &mut impl Read, claims: u64) -> Result<T, FormatError> {
    const SMALL: usize = 1 << 20;
    const MEDIUM: usize = 1 << 26;
    const LARGE: usize = u32::MAX as usize;
    let standard = config::standard();
    if claims <= SMALL as u64 {
        decode_with(input, standard.with_limit::<SMALL>())
    } else if claims <= MEDIUM as u64 {
        decode_with(input, standard.with_limit::<MEDIUM>())
    } else if claims <= LARGE as u64 {
        decode_with(input, standard.with_limit::<LARGE>())
    } else {
        decode_with(input, standard.with_limit::<{ isize::MAX as usize }>())
    }
}

/// Decodes under one configuration.
fn decode_with<T: DeserializeOwned>(
    input: &mut impl Read,
    limits: impl Config,
) -> Result<T, FormatError> {
    bincode::serde::decode_from_std_read(input, limits).map_err(undecoded)
}

/// Why bytes decode to no value, in words: the decoder's own are those of a debugger.
fn undecoded(error: DecodeError) -> FormatError {
    let reason = match error {
        // Of the reader below, which has its own words.
        DecodeError::Io { inner, .. } if inner.kind() != io::ErrorKind::UnexpectedEof => {
            return match inner.downcast::<FormatError>() {
                Ok(error) => error,
                Err(inner) => FormatError::Io(inner),
            };
        }
        DecodeError::Io { .. } | DecodeError::UnexpectedEnd { .. } => {
            "it ends within a value".into()
        }
        DecodeError::LimitExceeded => "it announces more than it holds".into(),
        // Of the type that is read, which has its own words, too.
        DecodeError::OtherString(reason) => reason,
        DecodeError::Utf8 { .. } => "a name is no text".into(),
        _ => "a value is none of those that there are".into(),
    };
    FormatError::Payload { reason }
}

/// Bytes follow what should be the end of a payload.
fn left_over(left: u64) -> FormatError {
    FormatError::Payload {
        reason: format!("{left} bytes follow the value"),
    }
}

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a new file in the same directory; [`AtomicFile::commit`] flushes it to the disk and
/// renames it, which replaces what was there (a symbolic link too). A file dropped without `commit`
/// is removed; when the process is killed, a hidden `.tmp` file stays behind and does no harm.
#[derive(Debug)]
pub struct AtomicFile {
    output: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl AtomicFile {
    /// Starts writing what will be the file `target`.
    ///
    /// # Errors
    /// [`FileError::Io`] when the directory cannot be written or `target` has no file name.
    pub fn create(target: &Path, access: Access) -> Result<Self, FileError> {
        let error = FileError::io("create", target);
        let (file, temporary) = create_temporary(target, access).map_err(error)?;
        let output = BufWriter::with_capacity(1 << 16, file);
        Ok(Self {
            output,
            temporary,
            target: target.to_path_buf(),
            renamed: false,
        })
    }

    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// [`FileError::Io`]; the target is then what it was before.
    pub fn commit(mut self) -> Result<(), FileError> {
        self.place(Placement::Replace)?;
        // Not every file system can do this, and the content is safe either way.
        let _ = sync_directory(directory_of(&self.target));
        Ok(())
    }

    /// [`AtomicFile::commit`] for a file that one process at a time works with: it is locked before
    /// it appears, until the returned handle is dropped or the process ends, and it is on the disk
    /// under its name when this returns. Where a file system knows no locks there is none.
    ///
    /// # Errors
    /// [`FileError::Io`]. Unless the directory could not be synced, the target is what it was before;
    /// with [`Placement::New`] also when there is one.
    pub fn commit_locked(mut self, placement: Placement) -> Result<File, FileError> {
        let failed = || FileError::io("lock", &self.target);
        let file = self.output.get_ref().try_clone().map_err(failed())?;
        // The name is not known to others yet, so nobody else holds a lock.
        let _ = file.try_lock();
        self.place(placement)?;
        let directory = directory_of(&self.target);
        match sync_directory(directory) {
            Err(error) if !cannot_sync(&error) => Err(FileError::io("sync", directory)(error)),
            _ => Ok(file),
        }
    }

    /// Flushes the content to the disk and gives it its name.
    fn place(&mut self, placement: Placement) -> Result<(), FileError> {
        let target = &self.target;
        self.output
            .flush()
            .and_then(|()| self.output.get_ref().sync_all())
            .map_err(FileError::io("write", target))?;
        match placement {
            Placement::Replace => {
                fs::rename(&self.temporary, target).map_err(FileError::io("replace", target))?;
                self.renamed = true;
            }
            // A link never replaces a file. The temporary name goes when this value is dropped.
            Placement::New => match fs::hard_link(&self.temporary, target) {
                Err(error) if target.symlink_metadata().is_ok() => {
                    return Err(FileError::io("create", target)(error));
                }
                // A file system without links.
                Err(_) => return self.place(Placement::Replace),
                Ok(()) => {}
            },
        }
        Ok(())
    }
}

/// What [`AtomicFile::commit_locked`] does about a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Replaces it.
    Replace,
    /// Fails, with [`io::ErrorKind::AlreadyExists`].
    New,
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.renamed {
            // The file is of no use to anyone; there is nobody to tell if it cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The directory a path lies in.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a new hidden file beside `target`.
fn create_temporary(target: &Path, access: Access) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path has no file name; give one",
        )
    })?;
    loop {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        hidden.push(format!(".{}.{counter}.tmp", std::process::id()));
        let path = directory_of(target).join(hidden);
        match open_new(&path, access) {
            // Left behind by a killed process that had the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|file| (file, path)),
        }
    }
}

/// Creates a file that must not exist yet. The mode is set at creation, so that a private file is
/// at no time readable by others.
fn open_new(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match access {
            Access::Public => 0o666,
            Access::Private => 0o600,
        });
    }
    #[cfg(not(unix))]
    let _ = access;
    options.open(path)
}

/// Asks for the directory entry to reach the disk.
fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

/// Whether a file system says that it cannot sync directories, and not that syncing failed.
fn cannot_sync(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// Opens a file and locks it, until the handle is dropped or the process ends; `None` when another
/// process holds the lock. Where a file system knows no locks there is none.
///
/// # Errors
/// [`FileError::Io`].
pub fn open_locked(path: &Path) -> Result<Option<File>, FileError> {
    loop {
        let file = File::open(path).map_err(FileError::io("open", path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Ok(None);
        }
        // The holder of the lock may have replaced the file in between.
        if is_at(&file, path).map_err(FileError::io("open", path))? {
            return Ok(Some(file));
        }
    }
}

/// Whether the file that has this name is the one that was opened.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (opened, named) = (file.metadata()?, fs::metadata(path)?);
        Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(true)
    }
}

/// Writes a file of any format atomically.
///
/// # Errors
/// [`FileError::Io`].
pub fn write_bytes(path: &Path, access: Access, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path, access)?;
    file.write_all(bytes)
        .map_err(FileError::io("write", path))?;
    file.commit()
}

/// Removes the hidden files that killed processes left behind while they wrote `target`. To be called
/// by a process that nobody else writes `target` beside. What cannot be removed stays.
pub(crate) fn remove_left_behind(target: &Path) {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let is_left = |file: &str| {
        let numbers = file
            .strip_prefix('.')
            .and_then(|file| file.strip_prefix(name.as_ref()))
            .and_then(|file| file.strip_suffix(".tmp"));
        numbers.is_some_and(|numbers| {
            let mut parts = numbers.split('.');
            parts.next() == Some("")
                && parts.clone().count() == 2
                && parts.all(|part| part.parse::<u64>().is_ok())
        })
    };
    let entries = fs::read_dir(directory_of(target));
    for entry in entries.into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_left) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes a file.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    fs::remove_file(path).map_err(FileError::io("remove", path))
}

/// Reads a file of any format that has at most `limit` bytes.
///
/// # Errors
/// [`FileError::Io`], or [`FormatError::TooLarge`].
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    let mut bounded = file.take(limit.saturating_add(1));
    bounded
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    match bytes.len() as u64 {
        found if found > limit => Err(FileError::format(path)(FormatError::TooLarge {
            limit,
            found,
        })),
        _ => Ok(bytes),
    }
}

/// Opens a file for piecewise reading.
///
/// # Errors
/// [`FileError::Io`].
pub fn open(path: &Path) -> Result<BufReader<File>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// The header of a container file; neither the payload nor the digest is looked at.
///
/// # Errors
/// [`FileError`].
pub fn read_header(path: &Path) -> Result<Header, FileError> {
    let (header, _) = read_header_from(&mut open(path)?).map_err(FileError::format(path))?;
    Ok(header)
}

/// Writes a value as a container file, atomically.
///
/// # Errors
/// [`FileError`].
pub fn write_value(
    path: &Path,
    kind: Kind,
    curve: &str,
    access: Access,
    value: &impl Serialize,
) -> Result<(), FileError> {
    let bytes = encode_value(value)
        .and_then(|payload| encode_container(kind, curve, &payload))
        .map_err(FileError::format(path))?;
    write_bytes(path, access, &bytes)
}

/// Reads a value from a container file whose payload has at most `limit` bytes.
///
/// # Errors
/// [`FileError`]; never panics, whatever the file holds.
pub fn read_value<T: DeserializeOwned>(
    path: &Path,
    kind: Kind,
    curve: &str,
    limit: u64,
) -> Result<T, FileError> {
    decode_container(open(path)?, kind, curve, limit)
        .and_then(|payload| decode_value(&payload))
        .map_err(FileError::format(path))
}
