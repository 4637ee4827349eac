//! Powers of tau from the file of a ceremony (`.ptau`, as snarkjs reads and writes them).
//!
//! ```text
//! "ptau", version 1 (4 bytes), number of sections (4), and for each section:
//!     id (4 bytes), length (8), content
//! 1: bytes of a base field element (4), the prime (32), power k (4), the ceremony's power (4)
//! 2: tau^i G1 for i = 0, 1, ..: up to 2^(k+1) - 1 points of 64 bytes
//! 3: tau^i G2 for i = 0, 1, ..: up to 2^k points of 128 bytes
//! ```
//!
//! Numbers are little-endian, coordinates in Montgomery form; other sections are not looked at.
//! Files that were cut to fewer points or sections, and headers without the last number, are read
//! too.
//!
//! *Enforced:* section lengths agree with each other and with the file; the prime is BN254's; the
//! points used lie in their groups and are not the identity; the first ones are the standard
//! generators; and with `r_i` of 128 random bits, drawn after the file was read,
//!
//! ```text
//! e(sum_i r_i B_(i+1), G2) = e(sum_i r_i B_i, tau G2)
//! ```
//!
//! which holds with probability at most `2^-128` unless `B_(i+1) = tau B_i` for all `i`. A file
//! without a contribution (`tau = 1`) and the development powers are refused.
//! *Assumed:* one contributor of the ceremony deleted their share of `tau`. Whether the file is that
//! of a ceremony is for the importer to compare, by the ceremony's published hash.
//!
//! Sources: Bowe, Gabizon, Miers 2017 (section 4); Bellare, Garay, Rabin 1998 (section 3, the small
//! exponents test); the format as documented by snarkjs.

use super::{CommitmentKey, KeyEngine, KeyError, LARGEST_KEY, is_generator, opening};
use crate::files::FileError;
use ff::{Field, PrimeField};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq, Fr, G1, G1Affine, G2Affine};
use halo2curves::group::Group;
use halo2curves::serde::SerdeObject;
use nova_snark::provider::Bn256EngineKZG;
use nova_snark::provider::traits::DlogGroupExt;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use thiserror::Error;

/// The first bytes of the file.
const MAGIC: [u8; 4] = *b"ptau";

/// The version of the format.
const VERSION: u32 = 1;

/// The most sections a file may have; snarkjs writes up to 11.
const MAX_SECTIONS: u32 = 64;

/// The largest power: that of [`LARGEST_KEY`].
const MAX_POWER: u32 = LARGEST_KEY.ilog2();

/// Bytes of a base field element.
const ELEMENT_BYTES: usize = 32;

/// Bytes of a point of G1.
const G1_BYTES: u64 = 64;

/// Bytes of a point of G2.
const G2_BYTES: u64 = 128;

/// Bytes of the header, without and with the ceremony's power.
const HEADER_BYTES: [u64; 2] = [40, 44];

/// Points that are read and decoded at a time.
const POINTS_PER_BLOCK: usize = 1 << 12;

/// Points of one multiplication of the test of powers.
const POINTS_PER_SUM: usize = 1 << 16;

/// Why a file of powers of tau is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PtauError {
    /// The file does not start with `ptau`.
    #[error(
        "not a powers-of-tau file: it starts with {found:02x?}, expected {MAGIC:02x?}; give a .ptau \
         file"
    )]
    Foreign {
        /// The first bytes.
        found: [u8; 4],
    },
    /// A version of the format that is not known.
    #[error("expected format version {expected}, found {found}; give a file of that version")]
    Version {
        /// The version read by this release.
        expected: u32,
        /// The version of the file.
        found: u32,
    },
    /// The file ends early.
    #[error("truncated: expected {expected} bytes or more, found {found}; download it again")]
    Truncated {
        /// Bytes needed, as far as known at the place where the file ends.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Bytes follow the last section.
    #[error("expected {expected} bytes, found {found}; download it again")]
    TrailingBytes {
        /// Bytes of all sections.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// A section is missing, present twice, or contradicts the others.
    #[error("{what}: expected {expected}, found {found}; download it again")]
    Section {
        /// What is counted.
        what: &'static str,
        /// What would be right.
        expected: String,
        /// What the file says.
        found: u64,
    },
    /// The file is for another curve.
    #[error("the powers are not for BN254 (bn128); give a file of a BN254 ceremony")]
    OtherCurve,
    /// The file has too few points.
    #[error("it has {found} powers, but 2^{power} are asked for; give a larger file or --power")]
    TooShort {
        /// The logarithm of the number asked for.
        power: u32,
        /// The powers of the file.
        found: u64,
    },
    /// A point does not lie in its group, or is the identity.
    #[error("point {index} of {group} is not a point of the group; download it again")]
    InvalidPoint {
        /// G1 or G2.
        group: &'static str,
        /// Its place in the section.
        index: usize,
    },
    /// The points are not `G, tau G, tau^2 G, ..`.
    #[error("the points are not the powers of one tau: {reason}; download it again")]
    NotPowers {
        /// What is wrong.
        reason: &'static str,
    },
    /// `tau` is known to everyone.
    #[error("{reason}; give the file of a ceremony with contributions")]
    KnownTau {
        /// Why it is known.
        reason: &'static str,
    },
    /// Reading failed.
    #[error("input failed")]
    Io(#[from] io::Error),
}

impl CommitmentKey<Bn256EngineKZG> {
    /// The key of the first `2^power` powers of tau of a ceremony's file, or of all `2^k` that the
    /// file's power `k` promises; not marked insecure. `advance` is told how many points were read.
    ///
    /// The same ceremony gives the same key for the same length, whatever file it comes from.
    ///
    /// # Errors
    /// [`KeyError::Import`] naming the file and the reason; [`KeyError::File`] when it cannot be
    /// opened.
    pub fn import(
        path: &Path,
        power: Option<u32>,
        advance: &mut dyn FnMut(u64),
    ) -> Result<Self, KeyError> {
        let error = |source| FileError::Io {
            action: "open",
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(error)?;
        let length = file.metadata().map_err(error)?.len();
        let input = BufReader::with_capacity(1 << 16, file);
        let (bases, tau_h) =
            read(input, length, power, advance).map_err(|source| KeyError::Import {
                path: path.to_path_buf(),
                source: Box::new(source),
            })?;
        // `read` has checked every base.
        Self::from_valid(bases, Bn256EngineKZG::derive_blind()?, Some(tau_h), false)
    }
}

/// The content of a section.
#[derive(Clone, Copy, Debug)]
struct Section {
    start: u64,
    bytes: u64,
}

/// The sections that are read.
#[derive(Clone, Copy, Debug)]
struct Sections {
    header: Section,
    g1: Section,
    g2: Section,
}

/// Reads and checks the first powers: `tau^i G1` and `tau G2`.
fn read(
    mut input: impl Read + Seek,
    length: u64,
    power: Option<u32>,
    advance: &mut dyn FnMut(u64),
) -> Result<(Vec<G1Affine>, G2Affine), PtauError> {
    let sections = find_sections(&mut input, length)?;
    let promised = read_header(&mut input, sections.header)?;
    let available = check_lengths(&sections, promised)?;
    let power = power.unwrap_or(promised.min(available.ilog2()));
    if power == 0 || power > MAX_POWER || available >> power == 0 {
        return Err(PtauError::TooShort {
            power,
            found: available,
        });
    }
    let tau_h = read_tau_h(&mut input, sections.g2)?;
    let bases = read_bases(&mut input, sections.g1, 1 << power, advance)?;
    check_powers(&bases, &tau_h)?;
    Ok((bases, tau_h))
}

/// Walks over all sections.
fn find_sections(input: &mut (impl Read + Seek), length: u64) -> Result<Sections, PtauError> {
    let mut head = Numbers {
        input,
        position: 0,
        length,
    };
    let found = head.array::<4>()?;
    if found != MAGIC {
        return Err(PtauError::Foreign { found });
    }
    let found = head.u32()?;
    if found != VERSION {
        return Err(PtauError::Version {
            expected: VERSION,
            found,
        });
    }
    let count = head.u32()?;
    if count > MAX_SECTIONS {
        let what = "sections of the file";
        return Err(section(
            what,
            format!("at most {MAX_SECTIONS}"),
            count.into(),
        ));
    }
    let mut wanted = [None; 3];
    for _ in 0..count {
        let id = head.u32()?;
        let content = head.skip()?;
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        if let Some(place) = index.and_then(|index| wanted.get_mut(index))
            && place.replace(content).is_some()
        {
            return Err(section("sections of one number", "1".into(), 2));
        }
    }
    if head.position != length {
        return Err(PtauError::TrailingBytes {
            expected: head.position,
            found: length,
        });
    }
    match wanted {
        [Some(header), Some(g1), Some(g2)] => Ok(Sections { header, g1, g2 }),
        _ => {
            let found = wanted.iter().flatten().count() as u64;
            Err(section("sections 1, 2 and 3", "all of them".into(), found))
        }
    }
}

/// Reads numbers one after the other, knowing where the file ends.
struct Numbers<'a, R> {
    input: &'a mut R,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Numbers<'_, R> {
    /// Moves on by `bytes`, if the file has them.
    fn advance(&mut self, bytes: u64) -> Result<(), PtauError> {
        let end = self.position.saturating_add(bytes);
        if end > self.length {
            return Err(PtauError::Truncated {
                expected: end,
                found: self.length,
            });
        }
        self.position = end;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PtauError> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, PtauError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads a length and skips that many bytes.
    fn skip(&mut self) -> Result<Section, PtauError> {
        let bytes = u64::from_le_bytes(self.array()?);
        let start = self.position;
        self.advance(bytes)?;
        self.input.seek(SeekFrom::Start(self.position))?;
        Ok(Section { start, bytes })
    }
}

/// Checks the curve; returns the power.
fn read_header(input: &mut (impl Read + Seek), header: Section) -> Result<u32, PtauError> {
    if !HEADER_BYTES.contains(&header.bytes) {
        return Err(section("bytes of the header", "44".into(), header.bytes));
    }
    input.seek(SeekFrom::Start(header.start))?;
    let mut numbers = Numbers {
        input,
        position: 0,
        length: header.bytes,
    };
    let bytes = numbers.u32()?;
    let prime = numbers.array::<ELEMENT_BYTES>()?;
    // The prime is one more than the largest element; it is odd, so adding one carries nothing.
    let mut expected = (-Fq::ONE).to_repr();
    if let Some(lowest) = expected.as_mut().first_mut() {
        *lowest |= 1;
    }
    if bytes != ELEMENT_BYTES as u32 || prime.as_slice() != expected.as_ref() {
        return Err(PtauError::OtherCurve);
    }
    let power = numbers.u32()?;
    if !(1..=MAX_POWER).contains(&power) {
        let expected = format!("1 to {MAX_POWER}");
        return Err(section("the power", expected, power.into()));
    }
    Ok(power)
}

/// Checks that the sections of points hold whole points, at least two and no more than the power
/// allows; returns the number of points of G1.
fn check_lengths(sections: &Sections, power: u32) -> Result<u64, PtauError> {
    let count = |what, section_bytes: u64, point_bytes: u64, most: u64| {
        let points = section_bytes / point_bytes;
        if !section_bytes.is_multiple_of(point_bytes) || !(2..=most).contains(&points) {
            let expected = format!("2 to {most} points of {point_bytes} bytes");
            return Err(section(what, expected, section_bytes));
        }
        Ok(points)
    };
    count(
        "bytes of G2 powers",
        sections.g2.bytes,
        G2_BYTES,
        1 << power,
    )?;
    let most = (2 << power) - 1;
    count("bytes of G1 powers", sections.g1.bytes, G1_BYTES, most)
}

fn section(what: &'static str, expected: String, found: u64) -> PtauError {
    PtauError::Section {
        what,
        expected,
        found,
    }
}

/// `tau G2`.
fn read_tau_h(input: &mut (impl Read + Seek), g2: Section) -> Result<G2Affine, PtauError> {
    input.seek(SeekFrom::Start(g2.start))?;
    let mut point = |index| {
        let mut bytes = [0; G2_BYTES as usize];
        input.read_exact(&mut bytes)?;
        opening::decode_point(&bytes, Fq::from_raw_bytes)
            .ok_or(PtauError::InvalidPoint { group: "G2", index })
    };
    if point(0)? != G2Affine::generator() {
        let reason = "the first one of G2 is not the standard generator";
        return Err(PtauError::NotPowers { reason });
    }
    let tau_h = point(1)?;
    if tau_h == G2Affine::generator() {
        let reason = "no one has contributed to it: tau is 1";
        return Err(PtauError::KnownTau { reason });
    }
    if Bn256EngineKZG::derive_tau_h() == Some(tau_h) {
        let reason = "it has the development powers, whose tau is public";
        return Err(PtauError::KnownTau { reason });
    }
    Ok(tau_h)
}

/// The first `n` points of G1.
fn read_bases(
    input: &mut (impl Read + Seek),
    g1: Section,
    n: usize,
    advance: &mut dyn FnMut(u64),
) -> Result<Vec<G1Affine>, PtauError> {
    input.seek(SeekFrom::Start(g1.start))?;
    let mut bases = Vec::with_capacity(n);
    while bases.len() < n {
        let start = bases.len();
        let mut block = vec![0; POINTS_PER_BLOCK.min(n - start) * G1_BYTES as usize];
        input.read_exact(&mut block)?;
        let points: Vec<G1Affine> = block
            .par_chunks(G1_BYTES as usize)
            .enumerate()
            .map(|(offset, bytes)| {
                decode_base(bytes).ok_or(PtauError::InvalidPoint {
                    group: "G1",
                    index: start + offset,
                })
            })
            .collect::<Result<_, _>>()?;
        bases.extend(points);
        advance(bases.len() as u64);
    }
    Ok(bases)
}

/// A point of G1 from coordinates in Montgomery form.
fn decode_base(bytes: &[u8]) -> Option<G1Affine> {
    let (x, y) = bytes.split_at_checked(ELEMENT_BYTES)?;
    let (x, y) = (Fq::from_raw_bytes(x)?, Fq::from_raw_bytes(y)?);
    let point: Option<G1Affine> = G1Affine::from_xy(x, y).into();
    point.filter(is_generator::<Bn256EngineKZG>)
}

/// Checks that the bases are `G1, tau G1, tau^2 G1, ..`.
fn check_powers(bases: &[G1Affine], tau_h: &G2Affine) -> Result<(), PtauError> {
    if bases.first() != Some(&G1Affine::generator()) {
        let reason = "the first one of G1 is not the standard generator";
        return Err(PtauError::NotPowers { reason });
    }
    let mut rng = ChaCha20Rng::from_entropy();
    let (mut sum, mut next) = (G1::identity(), G1::identity());
    let later = bases.get(1..).unwrap_or_default();
    for (these, following) in bases
        .chunks(POINTS_PER_SUM)
        .zip(later.chunks(POINTS_PER_SUM))
    {
        // The last base has no successor, so the last chunk of successors may be shorter.
        let these = these.get(..following.len()).unwrap_or_default();
        let weights: Vec<Fr> = these.iter().map(|_| short_scalar(&mut rng)).collect();
        sum += G1::vartime_multiscalar_mul(&weights, these);
        next += G1::vartime_multiscalar_mul(&weights, following);
    }
    if opening::are_consecutive(&sum, &next, tau_h) {
        return Ok(());
    }
    let reason = "consecutive points do not have the ratio tau";
    Err(PtauError::NotPowers { reason })
}

/// 128 random bits.
fn short_scalar(rng: &mut impl RngCore) -> Fr {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Fr::from_u128(u128::from_le_bytes(bytes))
}
