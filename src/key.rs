//! Vector commitment keys: Pedersen generators, or the powers of tau of KZG.
//!
//! ```text
//! Com(v; s) = sum_i v_i B_i + s H        v: [n], B: [n] bases, H: the blind generator
//! ```
//!
//! *Enforced here:* every point is on its curve and not the identity; a key file is intact, belongs
//! to the curve, and, up to [`pins::LARGEST`] points, is the very key this release derives.
//! *Assumed:* no one knows a relation between `B_0, .., B_(n-1), H`. This holds for the hashed
//! generators of Grumpkin, Pallas and Vesta. It does **not** hold for the BN254 development powers:
//! whoever reads [`development_tau`] can open a commitment to anything. Such a key is marked
//! insecure, the mark is part of the key's digest, and the digest enters the parameter digest `pp`.
//!
//! A key file in the cache is trusted beyond the pinned sizes as far as the user's own disk is. A
//! verifier does not depend on it: it compares the digest of its key with the one it was told to
//! expect, and the digest is computed from the points in memory, never read from a file.
//!
//! A prefix of a key is a key: the first `n` points of a key of `m >= n` points, and their digest,
//! are those of the key made for `n` points.
//!
//! Commitments take time that depends on the values (multi-scalar multiplication is not constant
//! time); a prover that shares hardware with an adversary has to know this.
//!
//! Sources: Pedersen 1991 (section 3); Kate, Zaverucha, Goldberg 2010 (section 3.2).

pub mod pins;
pub mod source;

pub use source::{KeyEngine, KeySource, development_powers, development_tau};

use crate::files::{self, Access, AtomicFile, ContainerReader, ContainerWriter, FileError, Kind};
use crate::progress::{Progress, Stage};
use ff::PrimeField;
use foldnet_gadgets::cycle::{Affine, Cycle, Point};
use halo2curves::CurveAffine;
use halo2curves::group::cofactor::CofactorCurveAffine;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most points a key may have: the two-adicity of BN254's scalar field.
pub const LARGEST_KEY: usize = 1 << 28;

/// The fewest points kept in a cache file; shorter keys are prefixes of it.
const SMALLEST_FILE: usize = 1 << 10;

/// Bytes of a point in a file: two canonical coordinates, little-endian.
const POINT_BYTES: usize = 64;

/// Bytes in front of the bases in a file: count, mark, blind generator.
const PREAMBLE_BYTES: usize = 8 + 1 + POINT_BYTES;

/// Points that are read, written and hashed at a time.
const POINTS_PER_BLOCK: usize = 1 << 12;

/// Values of a small commitment that are sorted at a time, which bounds the copies of the bases.
const SMALL_VALUES_PER_BLOCK: usize = 1 << 18;

/// Bit widths that `commit_small` treats separately: one long value among many short ones must not
/// make all of them cost as much as the long one.
const SMALL_WIDTHS: [u32; 4] = [10, 16, 32, 64];

/// Why a key cannot be made, read or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A vector does not fit the key.
    #[error(
        "expected at most {expected} values (as the key has points), got {got}; make a larger key"
    )]
    TooLong {
        /// Points of the key.
        expected: usize,
        /// Values, or points asked for.
        got: usize,
    },
    /// A key of an unreasonable size is asked for.
    #[error("expected a key of at most {limit} points, got {got}; split the model")]
    TooLarge {
        /// [`LARGEST_KEY`].
        limit: usize,
        /// The points asked for.
        got: usize,
    },
    /// A point is not on the curve, or is the identity.
    #[error("point {index} of a {curve} key is not a point of the curve; make the key again")]
    InvalidPoint {
        /// The curve.
        curve: &'static str,
        /// The index of the base, or the number of bases for the blind generator.
        index: usize,
    },
    /// A key file does not hold the key that this release derives.
    #[error(
        "{curve} key of {points} points: expected digest {expected}, got {found}; remove the file"
    )]
    WrongKey {
        /// The curve.
        curve: &'static str,
        /// Points of the key.
        points: usize,
        /// The digest of the derived key.
        expected: String,
        /// The digest of the points in the file.
        found: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The generators of a vector commitment over the group of `E`.
#[derive(Clone)]
pub struct CommitmentKey<E: Engine<GE: DlogGroupExt>> {
    curve: &'static str,
    bases: Vec<Affine<E>>,
    blind: Affine<E>,
    insecure: bool,
    digest: [u8; 32],
}

impl<E: Engine<GE: DlogGroupExt>> fmt::Debug for CommitmentKey<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CommitmentKey")
            .field("curve", &self.curve)
            .field("points", &self.bases.len())
            .field("insecure", &self.insecure)
            .field("digest", &files::hex(&self.digest))
            .finish()
    }
}

impl<E: Engine<GE: DlogGroupExt>> CommitmentKey<E> {
    /// Points of the key: the most values it commits to.
    pub fn len(&self) -> usize {
        self.bases.len()
    }

    /// Whether the key has no base.
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty()
    }

    /// `B_0, .., B_(n-1)`.
    pub fn bases(&self) -> &[Affine<E>] {
        &self.bases
    }

    /// `H`.
    pub fn blind_generator(&self) -> &Affine<E> {
        &self.blind
    }

    /// The name of the curve.
    pub fn curve(&self) -> &'static str {
        self.curve
    }

    /// Whether relations between the points are known, so that commitments do not bind.
    pub fn insecure(&self) -> bool {
        self.insecure
    }

    /// `SHA-256(domain, curve, mark, H, B_0, .., B_(n-1), n)`: what identifies the key.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// `sum_i values[i] B_i + blind H`.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when there are more values than bases.
    pub fn commit(&self, values: &[E::Scalar], blind: E::Scalar) -> Result<Point<E>, KeyError> {
        let bases = self.first(values.len())?;
        Ok(E::GE::vartime_multiscalar_mul(values, bases) + self.blinding(blind))
    }

    /// The same as [`CommitmentKey::commit`] for signed integers, without field elements in memory.
    ///
    /// A negative value adds the negated base, so only `|v_i|` is multiplied; values are grouped by
    /// bit length, and zeros cost nothing. `commit` finds short values too, so the time saved is
    /// small (up to a fifth); both are several times cheaper than for values of full length.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when there are more values than bases.
    pub fn commit_small(&self, values: &[i64], blind: E::Scalar) -> Result<Point<E>, KeyError> {
        let bases = self.first(values.len())?;
        let blocks = bases.chunks(SMALL_VALUES_PER_BLOCK);
        let start = self.blinding(blind);
        Ok(values
            .chunks(SMALL_VALUES_PER_BLOCK)
            .zip(blocks)
            .fold(start, |sum, (values, bases)| {
                sum + small_sum::<E>(values, bases)
            }))
    }

    /// The key of the first `n` points.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when the key has fewer.
    pub fn prefix(&self, n: usize) -> Result<Self, KeyError> {
        let bases = self.first(n)?.to_vec();
        let digest = digest_of::<E>(self.curve, self.insecure, &self.blind, &bases);
        Ok(Self {
            curve: self.curve,
            bases,
            blind: self.blind,
            insecure: self.insecure,
            digest,
        })
    }

    /// The first `n` bases.
    fn first(&self, n: usize) -> Result<&[Affine<E>], KeyError> {
        self.bases.get(..n).ok_or(KeyError::TooLong {
            expected: self.bases.len(),
            got: n,
        })
    }

    /// `blind H`.
    fn blinding(&self, blind: E::Scalar) -> Point<E> {
        E::GE::group(&self.blind) * blind
    }
}

impl<E: KeyEngine> CommitmentKey<E> {
    /// A key from points made elsewhere, for example in a ceremony.
    ///
    /// `insecure` says whether someone may know relations between the points; nothing here can
    /// check it.
    ///
    /// # Errors
    /// [`KeyError::InvalidPoint`] for the identity or a point that is not on the curve, and
    /// [`KeyError::TooLarge`].
    pub fn from_points(
        bases: Vec<Affine<E>>,
        blind: Affine<E>,
        insecure: bool,
    ) -> Result<Self, KeyError> {
        check_size(bases.len())?;
        let invalid = bases
            .par_iter()
            .position_first(|point| !is_generator::<E>(point));
        let blind_index = (!is_generator::<E>(&blind)).then_some(bases.len());
        if let Some(index) = invalid.or(blind_index) {
            return Err(KeyError::InvalidPoint {
                curve: E::CURVE,
                index,
            });
        }
        let digest = digest_of::<E>(E::CURVE, insecure, &blind, &bases);
        Ok(Self {
            curve: E::CURVE,
            bases,
            blind,
            insecure,
            digest,
        })
    }

    /// The key of `n` points that this release derives for the curve; `advance` is told how many
    /// points are there.
    ///
    /// # Errors
    /// [`KeyError::TooLarge`].
    pub fn derive(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Self, KeyError> {
        check_size(n)?;
        let bases = E::derive_bases(n, advance)?;
        Self::from_points(bases, E::derive_blind()?, E::INSECURE)
    }

    /// Writes the key as a file of kind [`Kind::CommitmentKey`]: count, mark, `H`, bases, in
    /// uncompressed coordinates.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let error = FileError::format(path);
        let payload_bytes = payload_bytes(self.bases.len() as u64);
        let file = AtomicFile::create(path, Access::Public)?;
        let file = ContainerWriter::new(file, Kind::CommitmentKey, self.curve, payload_bytes)
            .and_then(|mut writer| {
                writer.write(&(self.bases.len() as u64).to_le_bytes())?;
                writer.write(&[u8::from(self.insecure)])?;
                writer.write(&encode_point::<E>(&self.blind))?;
                for block in self.bases.chunks(POINTS_PER_BLOCK) {
                    writer.write(&encode_points::<E>(block))?;
                }
                writer.finish()
            })
            .map_err(error)?;
        Ok(file.commit()?)
    }

    /// Reads a key file. Every point is checked to be on the curve.
    ///
    /// # Errors
    /// [`KeyError::File`] for a file that is foreign, damaged, truncated or for another curve, and
    /// [`KeyError::InvalidPoint`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let input = files::open(path)?;
        let limit = payload_bytes(LARGEST_KEY as u64);
        let error = || FileError::format(path);
        let mut reader =
            ContainerReader::new(input, Kind::CommitmentKey, E::CURVE, limit).map_err(error())?;
        let preamble = read_preamble(&mut reader).map_err(error())?;
        let mut bases = Vec::new();
        while bases.len() < preamble.count {
            let points = POINTS_PER_BLOCK.min(preamble.count - bases.len());
            let mut block = vec![0; points * POINT_BYTES];
            reader.read(&mut block).map_err(error())?;
            bases.extend(decode_points::<E>(&block, bases.len())?);
        }
        reader.finish().map_err(error())?;
        let blind = decode_point::<E>(&preamble.blind).ok_or(KeyError::InvalidPoint {
            curve: E::CURVE,
            index: bases.len(),
        })?;
        // `from_points` is not needed again: decoding has checked every point.
        let digest = digest_of::<E>(E::CURVE, preamble.insecure, &blind, &bases);
        Ok(Self {
            curve: E::CURVE,
            bases,
            blind,
            insecure: preamble.insecure,
            digest,
        })
    }

    /// Compares with the key this release derives, for the sizes whose digest is pinned.
    fn check_pin(&self) -> Result<(), KeyError> {
        let found = files::hex(&self.digest);
        match pins::expected(E::CURVE, self.bases.len()) {
            Some(expected) if expected != found => Err(KeyError::WrongKey {
                curve: E::CURVE,
                points: self.bases.len(),
                expected: expected.to_string(),
                found,
            }),
            _ => Ok(()),
        }
    }

    /// The key of `n` points from the smallest cache file that has them; otherwise derived and,
    /// rounded up to a power of two, written to the cache.
    pub(crate) fn load_or_create(
        cache: Option<&Path>,
        n: usize,
        advance: &mut dyn FnMut(u64),
    ) -> Result<Self, KeyError> {
        check_size(n)?;
        let Some(directory) = cache else {
            return Self::derive(n, advance);
        };
        let smallest = n.max(SMALLEST_FILE).next_power_of_two();
        let sizes = std::iter::successors(Some(smallest), |size| size.checked_mul(2))
            .take_while(|size| *size <= LARGEST_KEY);
        let paths = sizes.map(|size| cache_path::<E>(directory, size));
        let key = match paths.into_iter().find(|path| path.exists()) {
            Some(path) => Self::load(&path)?,
            None => {
                let key = Self::derive(smallest, advance)?;
                create_directory(directory)?;
                key.save(&cache_path::<E>(directory, smallest))?;
                key
            }
        };
        key.check_pin()?;
        advance(n as u64);
        if key.len() == n {
            Ok(key)
        } else {
            key.prefix(n)
        }
    }
}

/// Refuses sizes beyond [`LARGEST_KEY`].
fn check_size(got: usize) -> Result<(), KeyError> {
    match got {
        0..=LARGEST_KEY => Ok(()),
        _ => Err(KeyError::TooLarge {
            limit: LARGEST_KEY,
            got,
        }),
    }
}

/// The cache file of a key. The format version is part of the name: another release makes its own.
fn cache_path<E: KeyEngine>(directory: &Path, size: usize) -> PathBuf {
    directory.join(format!("{}-{size}.v{}.key", E::CURVE, files::VERSION))
}

/// Creates the cache directory.
fn create_directory(path: &Path) -> Result<(), KeyError> {
    let error = |source| FileError::Io {
        action: "create",
        path: path.to_path_buf(),
        source,
    };
    Ok(std::fs::create_dir_all(path).map_err(error)?)
}

/// Bytes of the payload of a key of `count` points.
fn payload_bytes(count: u64) -> u64 {
    count
        .saturating_mul(POINT_BYTES as u64)
        .saturating_add(PREAMBLE_BYTES as u64)
}

/// What precedes the bases in a file.
struct Preamble {
    count: usize,
    insecure: bool,
    blind: [u8; POINT_BYTES],
}

/// Reads the preamble and checks it against the length of the payload.
fn read_preamble<R: std::io::Read>(
    reader: &mut ContainerReader<R>,
) -> Result<Preamble, files::FormatError> {
    let (mut count, mut mark, mut blind) = ([0; 8], [0; 1], [0; POINT_BYTES]);
    reader.read(&mut count)?;
    reader.read(&mut mark)?;
    reader.read(&mut blind)?;
    let count = u64::from_le_bytes(count);
    let expected = payload_bytes(count);
    let got = reader.header().payload_bytes;
    let insecure = match mark {
        [0] => false,
        [1] => true,
        [other] => return Err(payload(format!("the mark is {other}, expected 0 or 1"))),
    };
    match usize::try_from(count) {
        Ok(count) if expected == got => Ok(Preamble {
            count,
            insecure,
            blind,
        }),
        _ => Err(payload(format!(
            "{count} points need {expected} bytes, got {got}"
        ))),
    }
}

/// An error in the payload.
fn payload(reason: String) -> files::FormatError {
    files::FormatError::Payload { reason }
}

/// Whether a point is on the curve and not the identity.
fn is_generator<E: Engine<GE: DlogGroupExt>>(point: &Affine<E>) -> bool {
    bool::from(CurveAffine::is_on_curve(point))
        && !bool::from(CofactorCurveAffine::is_identity(point))
}

/// The coordinates of a point that is not the identity; zeros for the identity.
fn encode_point<E: Engine<GE: DlogGroupExt>>(point: &Affine<E>) -> [u8; POINT_BYTES] {
    let mut bytes = [0; POINT_BYTES];
    if let Some(coordinates) = Option::from(point.coordinates()) {
        let coordinates: halo2curves::Coordinates<Affine<E>> = coordinates;
        let (x, y) = (coordinates.x().to_repr(), coordinates.y().to_repr());
        let (first, second) = bytes.split_at_mut(POINT_BYTES / 2);
        first
            .iter_mut()
            .zip(x.as_ref())
            .for_each(|(target, source)| *target = *source);
        second
            .iter_mut()
            .zip(y.as_ref())
            .for_each(|(target, source)| *target = *source);
    }
    bytes
}

/// The coordinates of several points.
fn encode_points<E: Engine<GE: DlogGroupExt>>(points: &[Affine<E>]) -> Vec<u8> {
    points
        .par_iter()
        .flat_map_iter(|point| encode_point::<E>(point))
        .collect()
}

/// The field element of 32 canonical bytes.
fn decode_element<F: PrimeField>(bytes: &[u8]) -> Option<F> {
    let mut repr = F::Repr::default();
    if repr.as_ref().len() != bytes.len() {
        return None;
    }
    repr.as_mut().copy_from_slice(bytes);
    Option::from(F::from_repr(repr))
}

/// The point of two canonical coordinates, unless it is the identity or not on the curve.
fn decode_point<E: Engine<GE: DlogGroupExt>>(bytes: &[u8]) -> Option<Affine<E>> {
    let (x, y) = bytes.split_at_checked(POINT_BYTES / 2)?;
    let point = Affine::<E>::from_xy(decode_element(x)?, decode_element(y)?);
    Option::from(point).filter(is_generator::<E>)
}

/// The points of a block whose first point has index `start`.
fn decode_points<E: KeyEngine>(block: &[u8], start: usize) -> Result<Vec<Affine<E>>, KeyError> {
    let decode = |(offset, bytes)| {
        let index = start + offset;
        decode_point::<E>(bytes).ok_or(KeyError::InvalidPoint {
            curve: E::CURVE,
            index,
        })
    };
    block
        .par_chunks(POINT_BYTES)
        .enumerate()
        .map(decode)
        .collect()
}

/// The digest of a key, see [`CommitmentKey::digest`]. The length comes last, so that the digests
/// of all prefixes can be had in one pass.
fn digest_of<E: Engine<GE: DlogGroupExt>>(
    curve: &str,
    insecure: bool,
    blind: &Affine<E>,
    bases: &[Affine<E>],
) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(b"foldnet commitment key v1");
    hasher.update((curve.len() as u64).to_le_bytes());
    hasher.update(curve);
    hasher.update([u8::from(insecure)]);
    hasher.update(encode_point::<E>(blind));
    for block in bases.chunks(POINTS_PER_BLOCK) {
        hasher.update(encode_points::<E>(block));
    }
    hasher.update((bases.len() as u64).to_le_bytes());
    hasher.finalize().into()
}

/// `sum_i values[i] bases[i]` for signed integers.
fn small_sum<E: Engine<GE: DlogGroupExt>>(values: &[i64], bases: &[Affine<E>]) -> Point<E> {
    let mut groups = SMALL_WIDTHS.map(|width| (width, Vec::new(), Vec::new()));
    for (value, base) in values.iter().zip(bases).filter(|(value, _)| **value != 0) {
        let magnitude = value.unsigned_abs();
        let length = u64::BITS - magnitude.leading_zeros();
        if let Some((_, magnitudes, points)) =
            groups.iter_mut().find(|(width, _, _)| length <= *width)
        {
            magnitudes.push(magnitude);
            points.push(if *value < 0 { -*base } else { *base });
        }
    }
    groups
        .iter()
        .filter(|(_, magnitudes, _)| !magnitudes.is_empty())
        .fold(E::GE::zero(), |sum, (_, magnitudes, points)| {
            sum + E::GE::vartime_multiscalar_mul_small(magnitudes, points)
        })
}

/// The two keys of a cycle of curves.
#[derive(Clone)]
pub struct Keys<C: Cycle> {
    /// Commits to the witnesses of the step circuits and to weights.
    pub primary: CommitmentKey<C::Primary>,
    /// Commits to the witness of the CycleFold circuit.
    pub secondary: CommitmentKey<C::Secondary>,
}

impl<C: Cycle> fmt::Debug for Keys<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keys")
            .field("primary", &self.primary)
            .field("secondary", &self.secondary)
            .finish()
    }
}

impl<C: Cycle> Keys<C> {
    /// `SHA-256(domain, cycle, digest of the primary key, digest of the secondary key)`; it enters
    /// the parameter digest.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(b"foldnet keys v1");
        hasher.update((C::NAME.len() as u64).to_le_bytes());
        hasher.update(C::NAME);
        hasher.update(self.primary.digest());
        hasher.update(self.secondary.digest());
        hasher.finalize().into()
    }

    /// Whether either key is insecure; a proof under such keys proves nothing to a stranger.
    pub fn insecure(&self) -> bool {
        self.primary.insecure() || self.secondary.insecure()
    }
}

impl<C: KeySource> Keys<C> {
    /// The keys of the given sizes, from the cache directory if it has them, otherwise derived and
    /// added to it. Without a cache they are derived.
    ///
    /// # Errors
    /// [`KeyError::TooLarge`]; [`KeyError::File`] when a cache file cannot be read or written or is
    /// damaged; [`KeyError::WrongKey`] when it holds another key.
    pub fn load_or_create(
        cache: Option<&Path>,
        primary_size: usize,
        secondary_size: usize,
        progress: &mut dyn Progress,
    ) -> Result<Self, KeyError> {
        check_size(primary_size)?;
        check_size(secondary_size)?;
        let (first, second) = (primary_size as u64, secondary_size as u64);
        progress.start(Stage::Keys, first + second);
        // Cache files may be larger than what is asked for; the report stays within the total.
        let primary = CommitmentKey::load_or_create(cache, primary_size, &mut |done| {
            progress.advance(done.min(first));
        })?;
        let secondary = CommitmentKey::load_or_create(cache, secondary_size, &mut |done| {
            progress.advance(first + done.min(second));
        })?;
        progress.finish();
        Ok(Self { primary, secondary })
    }
}
