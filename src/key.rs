//! Vector commitment keys: Pedersen generators, or the powers of tau of KZG.
//!
//! ```text
//! Com(v; s) = sum_i v_i B_i + s H        v: [n], B: [n] bases, H: the blind generator
//! ```
//!
//! A BN254 key has `B_i = tau^i G1` and carries `tau G2`, which openings are verified with.
//!
//! *Enforced here:* every point is on its curve and not the identity; `tau G2` is of the prime-order
//! group, and `e(B_1, G2) = e(B_0, tau G2)`; a key file is intact, belongs to the curve, and, if it
//! is derived and has up to [`pins::LARGEST`] points, is the very key this release derives. That all
//! `B_i` are powers of one `tau` is checked when a ceremony's file is imported ([`ptau`]).
//! *Assumed:* no one knows a relation between `B_0, .., B_(n-1), H` (nor `tau`). This holds for the
//! hashed generators of Grumpkin, Pallas and Vesta, and for imported powers of tau if one contributor
//! of the ceremony was honest. It does **not** hold for the BN254 development powers: whoever reads
//! [`development_tau`] can open a commitment to anything. Such a key is marked insecure, the mark is
//! part of the key's digest, and the digest enters the parameter digest `pp`.
//!
//! A key file in the cache is trusted beyond the pinned sizes as far as the user's own disk is. A
//! verifier does not depend on it: it compares the digest of its key with the one it was told to
//! expect, and the digest is computed from the points in memory, never read from a file.
//!
//! A prefix of a key is a key: the first `n` points of a key of `m >= n` points, and their digest,
//! are those of the key made for `n` points. One ceremony's files of any length give the same keys.
//!
//! Commitments take time that depends on the values (multi-scalar multiplication is not constant
//! time); a prover that shares hardware with an adversary has to know this.
//!
//! Sources: Pedersen 1991 (section 3); Kate, Zaverucha, Goldberg 2010 (section 3.2).

pub mod cache;
mod opening;
pub mod pins;
pub mod ptau;
pub mod source;

pub use cache::{CachedKey, KeyCache, ListedKey};
pub use ptau::PtauError;
pub use source::{KeyEngine, KeySource, development_powers, development_tau};

use crate::files::{
    self, Access, AtomicFile, ContainerReader, ContainerWriter, FileError, FormatError, Kind,
};
use ff::PrimeField;
use foldnet_gadgets::cycle::{Affine, Point};
use foldnet_gadgets::msm::{BLOCK, Bases, sum_in_blocks};
use halo2curves::CurveAffine;
use halo2curves::bn256::G2Affine;
use halo2curves::group::cofactor::CofactorCurveAffine;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use thiserror::Error;

/// The most points a key may have: the two-adicity of BN254's scalar field.
pub const LARGEST_KEY: usize = 1 << 28;

/// Bytes of a point in a file: two canonical coordinates, little-endian.
const POINT_BYTES: usize = 64;

/// Bytes of `G2` and `tau G2` in a file, for curves with a pairing.
const OPENING_BYTES: usize = opening::BYTES;

/// Points that are read, written and hashed at a time.
const POINTS_PER_BLOCK: usize = 1 << 12;

/// The most bases that are kept in the form that multiplication takes; more are prepared in blocks of
/// this size for each commitment.
const PREPARED_POINTS: usize = BLOCK;

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
    #[error(
        "point {index} of a {curve} key is not a point of the curve; delete the key, and make or \
         import it again"
    )]
    InvalidPoint {
        /// The curve.
        curve: &'static str,
        /// The index of the base, or the number of bases for the blind generator.
        index: usize,
    },
    /// A key file does not hold the key that this release derives.
    #[error(
        "{curve} key of {points} points: expected digest {expected}, got {found}; delete the file"
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
    /// What a key holds for openings does not belong to its bases, or its `tau` is known.
    #[error(
        "the {curve} key cannot be used for openings: {reason}; delete the key, and make or import \
         it again"
    )]
    Opening {
        /// The curve.
        curve: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A key file is no key, or is damaged.
    #[error(
        "cannot use the key file {}: {}; delete it: a derived key is then made again, and an imported \
         one has to be imported again",
        path.display(),
        error.problem()
    )]
    Unusable {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it; its advice is about files that are no keys.
        error: FormatError,
    },
    /// A key file was read but is refused; the source says why.
    #[error("cannot use the key file {}", path.display())]
    Content {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KeyError>,
    },
    /// A file of powers of tau is refused; the source says why.
    #[error("cannot import {}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PtauError>,
    },
    /// The imported key is too short. It is not replaced by an insecure one.
    #[error(
        "the imported {curve} key {} has {got} points, but {expected} are needed; import a file of \
         power {power} or more (`foldnet keys import --ptau FILE --power {power}`)",
        path.display()
    )]
    ImportedTooShort {
        /// The key file.
        path: PathBuf,
        /// The curve.
        curve: &'static str,
        /// The points needed.
        expected: usize,
        /// The points of the imported key.
        got: usize,
        /// The least `k` with `2^k` points or more.
        power: u32,
    },
    /// The cache has an imported key of another ceremony.
    #[error(
        "the key {} comes from another ceremony, and model ids made with it would change; delete it \
         first, or import into another directory (--cache)",
        path.display()
    )]
    OtherCeremony {
        /// The key file.
        path: PathBuf,
    },
    /// A key that is not in the cache is larger than what may be derived.
    #[error(
        "a {curve} key of {got} points is asked for, and the cache has none; at most {limit} points \
         are derived for a proof of unknown origin; if you expect a model of this size, verify with \
         --model or with --allow-large-keys"
    )]
    NotDerived {
        /// The curve.
        curve: &'static str,
        /// The most points that may be derived, see [`KeyCache::deriving_at_most`].
        limit: usize,
        /// The points asked for.
        got: usize,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl KeyError {
    /// Whether the cause is a key file, whatever the key was needed for.
    pub fn is_about_a_file(&self) -> bool {
        matches!(
            self,
            KeyError::File(_)
                | KeyError::Unusable { .. }
                | KeyError::Content { .. }
                | KeyError::Import { .. }
                | KeyError::OtherCeremony { .. }
        )
    }
}

/// An error about the content of a key file, with what to do about it.
fn of_key_file(error: KeyError) -> KeyError {
    match error {
        KeyError::File(FileError::Format { path, source }) => KeyError::Unusable {
            path,
            error: source,
        },
        other => other,
    }
}

/// Puts a key file's name to an error that lacks it.
fn name(path: &Path) -> impl FnOnce(KeyError) -> KeyError {
    move |error| match error {
        KeyError::InvalidPoint { .. } | KeyError::WrongKey { .. } | KeyError::Opening { .. } => {
            KeyError::Content {
                path: path.to_path_buf(),
                source: Box::new(error),
            }
        }
        other => other,
    }
}

/// The generators of a vector commitment over the group of `E`.
#[derive(Clone)]
pub struct CommitmentKey<E: Engine<GE: DlogGroupExt>> {
    curve: &'static str,
    bases: Vec<Affine<E>>,
    blind: Affine<E>,
    tau_h: Option<G2Affine>,
    insecure: bool,
    digest: [u8; 32],
    prepared: Prepared<E>,
}

/// The first bases in the form that multiplication takes, as many as have been needed.
type Prepared<E> = Arc<RwLock<Arc<Bases<Affine<E>>>>>;

/// No bases.
fn unprepared<E: Engine<GE: DlogGroupExt>>() -> Prepared<E> {
    Arc::new(RwLock::new(Arc::new(Bases::new(&[]))))
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

    /// `tau G2`, for a BN254 key whose bases are `tau^i G1`; other curves have none.
    ///
    /// `G1 = B_0` and `G2` are the standard generators of `halo2curves`, those of EIP-197.
    pub fn tau_h(&self) -> Option<&G2Affine> {
        self.tau_h.as_ref()
    }

    /// The name of the curve.
    pub fn curve(&self) -> &'static str {
        self.curve
    }

    /// Whether relations between the points are known, so that commitments do not bind.
    pub fn insecure(&self) -> bool {
        self.insecure
    }

    /// `SHA-256(domain, curve, mark, H, B_0, .., B_(n-1), n)`, with `G2, tau G2` after `H` for a key
    /// that has them: what identifies the key.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// `sum_i values[i] B_i + blind H`.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when there are more values than bases.
    pub fn commit(&self, values: &[E::Scalar], blind: E::Scalar) -> Result<Point<E>, KeyError> {
        self.sum(values, blind, Bases::multiply)
    }

    /// The same as [`CommitmentKey::commit`] for signed integers, without field elements in memory.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when there are more values than bases.
    pub fn commit_small(&self, values: &[i64], blind: E::Scalar) -> Result<Point<E>, KeyError> {
        self.sum(values, blind, Bases::multiply_integers)
    }

    /// The sum over `values`, as `multiply` takes it, plus `blind H`.
    fn sum<T>(
        &self,
        values: &[T],
        blind: E::Scalar,
        multiply: impl Fn(&Bases<Affine<E>>, &[T]) -> <Affine<E> as CurveAffine>::CurveExt,
    ) -> Result<Point<E>, KeyError> {
        let bases = self.first(values.len())?;
        let add = |sum: Point<E>, part: <Affine<E> as CurveAffine>::CurveExt| {
            sum + E::GE::group(&part.into())
        };
        let start = self.blinding(blind);
        if values.len() <= PREPARED_POINTS {
            return Ok(add(start, multiply(&self.prepared(values.len()), values)));
        }
        let sum = sum_in_blocks(bases, values, multiply).ok_or(KeyError::TooLong {
            expected: bases.len(),
            got: values.len(),
        })?;
        Ok(add(start, sum))
    }

    /// The first `n` bases, prepared.
    fn prepared(&self, n: usize) -> Arc<Bases<Affine<E>>> {
        let known = Arc::clone(&self.prepared.read().unwrap_or_else(PoisonError::into_inner));
        if known.len() >= n {
            return known;
        }
        // The lock is not held meanwhile: preparing runs tasks that might wait for it.
        let bases = self
            .bases
            .get(..n.next_power_of_two())
            .unwrap_or(&self.bases);
        let longer = Arc::new(Bases::new(bases));
        let mut known = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() < longer.len() {
            *known = Arc::clone(&longer);
        }
        longer
    }

    /// The key of the first `n` points.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] when the key has fewer.
    pub fn prefix(&self, n: usize) -> Result<Self, KeyError> {
        let bases = self.first(n)?.to_vec();
        Ok(Self::identified(Self {
            curve: self.curve,
            bases,
            blind: self.blind,
            tau_h: self.tau_h,
            insecure: self.insecure,
            digest: [0; 32],
            prepared: unprepared::<E>(),
        }))
    }

    /// The key with its digest. The length comes last, so that the digests of all prefixes can be
    /// had in one pass; the curve fixes whether there are points for openings.
    fn identified(mut self) -> Self {
        let mut hasher = Sha256::new_with_prefix(b"foldnet commitment key v1");
        hasher.update((self.curve.len() as u64).to_le_bytes());
        hasher.update(self.curve);
        hasher.update([u8::from(self.insecure)]);
        hasher.update(encode_point::<E>(&self.blind));
        if let Some(tau_h) = &self.tau_h {
            hasher.update(opening::encode(tau_h));
        }
        for block in self.bases.chunks(POINTS_PER_BLOCK) {
            hasher.update(encode_points::<E>(block));
        }
        hasher.update((self.bases.len() as u64).to_le_bytes());
        self.digest = hasher.finalize().into();
        self
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
    /// A key from points made elsewhere; `tau_h` is `tau G2` for BN254, none for other curves.
    ///
    /// `insecure` says whether someone may know relations between the points; nothing here can
    /// check it, but a BN254 key with a `tau` that everyone knows must be marked. Only `B_0` and
    /// `B_1` are compared with `tau_h`.
    ///
    /// # Errors
    /// [`KeyError::InvalidPoint`] for the identity or a point that is not on the curve,
    /// [`KeyError::Opening`] and [`KeyError::TooLarge`].
    pub fn from_points(
        bases: Vec<Affine<E>>,
        blind: Affine<E>,
        tau_h: Option<G2Affine>,
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
        Self::from_valid(bases, blind, tau_h, insecure)
    }

    /// A key from points that are known to be generators of the curve.
    fn from_valid(
        bases: Vec<Affine<E>>,
        blind: Affine<E>,
        tau_h: Option<G2Affine>,
        insecure: bool,
    ) -> Result<Self, KeyError> {
        E::check_opening(&bases, tau_h.as_ref(), insecure).map_err(|reason| KeyError::Opening {
            curve: E::CURVE,
            reason,
        })?;
        Ok(Self::identified(Self {
            curve: E::CURVE,
            bases,
            blind,
            tau_h,
            insecure,
            digest: [0; 32],
            prepared: unprepared::<E>(),
        }))
    }

    /// The key of `n` points that this release derives for the curve; `advance` is told how many
    /// points are there.
    ///
    /// # Errors
    /// [`KeyError::TooLarge`].
    pub fn derive(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Self, KeyError> {
        check_size(n)?;
        let bases = E::derive_bases(n, advance)?;
        Self::from_points(bases, E::derive_blind()?, E::derive_tau_h(), E::INSECURE)
    }

    /// Writes the key as a file of kind [`Kind::CommitmentKey`]: count, mark, `H`, for BN254 `G2` and
    /// `tau G2`, bases, in uncompressed coordinates.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let error = FileError::format(path);
        let payload_bytes = payload_bytes::<E>(self.bases.len() as u64);
        let file = AtomicFile::create(path, Access::Public)?;
        let file = ContainerWriter::new(file, Kind::CommitmentKey, self.curve, payload_bytes)
            .and_then(|mut writer| {
                writer.write(&(self.bases.len() as u64).to_le_bytes())?;
                writer.write(&[u8::from(self.insecure)])?;
                writer.write(&encode_point::<E>(&self.blind))?;
                if let Some(tau_h) = &self.tau_h {
                    writer.write(&opening::encode(tau_h))?;
                }
                for block in self.bases.chunks(POINTS_PER_BLOCK) {
                    writer.write(&encode_points::<E>(block))?;
                }
                writer.finish()
            })
            .map_err(error)?;
        Ok(file.commit()?)
    }

    /// Reads a key file. Every point is checked to be on the curve, and `tau G2` to belong to the
    /// bases.
    ///
    /// # Errors
    /// [`KeyError::File`] for a file that is foreign, damaged, truncated, of another format version
    /// or for another curve, and [`KeyError::Content`] for points that are refused.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::load_first(path, LARGEST_KEY)
    }

    /// The key of the first `n` points of a file, or of all if it has fewer. The whole file is read
    /// and its digest checked; the points after the first `n` are not decoded.
    ///
    /// # Errors
    /// As for [`CommitmentKey::load`].
    pub fn load_first(path: &Path, n: usize) -> Result<Self, KeyError> {
        let error = || FileError::format(path);
        let input = files::open(path)?;
        let limit = payload_bytes::<E>(LARGEST_KEY as u64);
        let mut reader =
            ContainerReader::new(input, Kind::CommitmentKey, E::CURVE, limit).map_err(error())?;
        let preamble = read_preamble::<E, _>(&mut reader).map_err(error())?;
        let mut bases = Vec::new();
        let mut index = 0;
        while index < preamble.count {
            let points = POINTS_PER_BLOCK.min(preamble.count - index);
            let mut block = vec![0; points * POINT_BYTES];
            reader.read(&mut block).map_err(error())?;
            block.truncate(points.min(n.saturating_sub(index)) * POINT_BYTES);
            bases.extend(decode_points::<E>(&block, index).map_err(name(path))?);
            index += points;
        }
        reader.finish().map_err(error())?;
        preamble.key(bases).map_err(name(path))
    }

    /// Compares with the key that this release derives, for the sizes whose digest is pinned.
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

/// Bytes in front of the bases in a file: count, mark, blind generator, points for openings.
const fn preamble_bytes<E: KeyEngine>() -> u64 {
    let opening = if E::PAIRING { OPENING_BYTES } else { 0 };
    (8 + 1 + POINT_BYTES + opening) as u64
}

/// Bytes of the payload of a key of `count` points.
const fn payload_bytes<E: KeyEngine>(count: u64) -> u64 {
    count
        .saturating_mul(POINT_BYTES as u64)
        .saturating_add(preamble_bytes::<E>())
}

/// What precedes the bases in a file.
struct Preamble {
    count: usize,
    insecure: bool,
    blind: [u8; POINT_BYTES],
    opening: Option<[u8; OPENING_BYTES]>,
}

impl Preamble {
    /// The key with bases that are known to be generators of the curve.
    fn key<E: KeyEngine>(&self, bases: Vec<Affine<E>>) -> Result<CommitmentKey<E>, KeyError> {
        let blind = decode_point::<E>(&self.blind).ok_or(KeyError::InvalidPoint {
            curve: E::CURVE,
            index: self.count,
        })?;
        let tau_h = match &self.opening {
            None => None,
            Some(bytes) => Some(opening::decode(bytes).map_err(|reason| KeyError::Opening {
                curve: E::CURVE,
                reason,
            })?),
        };
        CommitmentKey::from_valid(bases, blind, tau_h, self.insecure)
    }
}

/// Reads the preamble and checks it against the length of the payload.
fn read_preamble<E: KeyEngine, R: std::io::Read>(
    reader: &mut ContainerReader<R>,
) -> Result<Preamble, FormatError> {
    let (mut count, mut mark, mut blind) = ([0; 8], [0; 1], [0; POINT_BYTES]);
    reader.read(&mut count)?;
    reader.read(&mut mark)?;
    reader.read(&mut blind)?;
    let mut opening = E::PAIRING.then_some([0; OPENING_BYTES]);
    if let Some(bytes) = &mut opening {
        reader.read(bytes)?;
    }
    let count = u64::from_le_bytes(count);
    let expected = payload_bytes::<E>(count);
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
            opening,
        }),
        _ => Err(payload(format!(
            "{count} points need {expected} bytes, got {got}"
        ))),
    }
}

/// An error in the payload.
fn payload(reason: String) -> FormatError {
    FormatError::Payload { reason }
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
