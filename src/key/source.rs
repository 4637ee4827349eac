//! Where the generators of each curve come from.

use super::{CommitmentKey, KeyError, decode_element, opening};
use ff::{Field, PrimeField};
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta};
use foldnet_gadgets::field::from_uniform;
use halo2curves::bn256::{Fr, G1, G1Affine, G2, G2Affine};
use halo2curves::group::{Curve, Group};
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine, PallasEngine, VestaEngine};
use nova_snark::traits::Engine;
use pasta_curves::arithmetic::CurveExt as PastaCurve;
use rayon::prelude::*;
use sha2::{Digest, Sha512};
use std::ops::Range;

/// The seed of [`development_tau`]. It is public: that is what makes the powers insecure.
const DEVELOPMENT_SEED: &[u8] = b"foldnet development powers of tau v1, insecure";

/// Points derived between two progress reports.
const POINTS_PER_BLOCK: usize = 1 << 15;

/// Points that one thread derives at a time and normalises with one inversion.
const POINTS_PER_CHUNK: usize = 1 << 8;

/// The widest window of the fixed-base table. Wider tables leave the cache of most processors.
const WIDEST_WINDOW: u32 = 13;

/// A curve whose generators this release can derive, the same on every machine.
pub trait KeyEngine: Engine<GE: DlogGroupExt> {
    /// The name of the curve in files, messages and digests.
    const CURVE: &'static str;

    /// Whether relations between the derived generators are known.
    const INSECURE: bool;

    /// Whether keys carry `tau G2`, which openings are verified with by a pairing.
    const PAIRING: bool = false;

    /// `B_0, .., B_(n-1)`; `advance` is told how many there are so far.
    ///
    /// # Errors
    /// [`KeyError::InvalidPoint`] when a generator is the identity, which no one will ever see.
    fn derive_bases(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<Affine<Self>>, KeyError>;

    /// `H`.
    ///
    /// # Errors
    /// As for [`KeyEngine::derive_bases`].
    fn derive_blind() -> Result<Affine<Self>, KeyError>;

    /// `tau G2` of the derived key, for a curve with a pairing.
    fn derive_tau_h() -> Option<G2Affine> {
        None
    }

    /// Checks that `tau_h` is `tau G2` for bases that start with `G1, tau G1`, or absent for a curve
    /// without a pairing.
    ///
    /// # Errors
    /// What is wrong.
    fn check_opening(
        _bases: &[Affine<Self>],
        tau_h: Option<&G2Affine>,
        _insecure: bool,
    ) -> Result<(), &'static str> {
        match tau_h {
            None => Ok(()),
            Some(_) => Err("the curve has no pairing, but the key has a point for one"),
        }
    }
}

/// A cycle of curves for both of which generators can be derived.
pub trait KeySource: Cycle<Primary: KeyEngine, Secondary: KeyEngine> {}

impl KeySource for Bn254 {}
impl KeySource for Pasta {}

/// BN254: development powers of tau `B_i = tau^i G`; insecure.
impl KeyEngine for Bn256EngineKZG {
    const CURVE: &'static str = "bn254-g1";
    const INSECURE: bool = true;
    const PAIRING: bool = true;

    fn derive_bases(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<Affine<Self>>, KeyError> {
        let table = WindowTable::new(n);
        let tau = development_tau();
        in_blocks(n, advance, |range| Ok(powers(&table, tau, range)))
    }

    fn derive_blind() -> Result<Affine<Self>, KeyError> {
        labelled_blind::<Self>(b"foldnet bn254 blind v1")
    }

    fn derive_tau_h() -> Option<G2Affine> {
        Some((G2::generator() * development_tau()).to_affine())
    }

    fn check_opening(
        bases: &[G1Affine],
        tau_h: Option<&G2Affine>,
        insecure: bool,
    ) -> Result<(), &'static str> {
        let tau_h = tau_h.ok_or("it lacks tau G2")?;
        opening::check(bases, tau_h)?;
        let development = Self::derive_tau_h();
        if !insecure && (Some(*tau_h) == development || *tau_h == G2Affine::generator()) {
            return Err("everyone knows its tau, but it is not marked insecure");
        }
        Ok(())
    }
}

/// Grumpkin: SHAKE-256 of a label, hashed to the curve (`DlogGroup::from_label` of nova-snark).
impl KeyEngine for GrumpkinEngine {
    const CURVE: &'static str = "grumpkin";
    const INSECURE: bool = false;

    fn derive_bases(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<Affine<Self>>, KeyError> {
        let bases = <Self as Engine>::GE::from_label(b"foldnet grumpkin bases v1", n);
        advance(n as u64);
        Ok(bases)
    }

    fn derive_blind() -> Result<Affine<Self>, KeyError> {
        labelled_blind::<Self>(b"foldnet grumpkin blind v1")
    }
}

/// Pallas: `hash_to_curve` of the `pasta_curves` package on `base || i` (i in 8 bytes,
/// little-endian) and on `blind`.
impl KeyEngine for PallasEngine {
    const CURVE: &'static str = "pallas";
    const INSECURE: bool = false;

    fn derive_bases(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<Affine<Self>>, KeyError> {
        in_blocks(
            n,
            advance,
            hashed_bases::<Self, pasta_curves::pallas::Point>,
        )
    }

    fn derive_blind() -> Result<Affine<Self>, KeyError> {
        hashed_blind::<Self, pasta_curves::pallas::Point>()
    }
}

/// Vesta: as Pallas.
impl KeyEngine for VestaEngine {
    const CURVE: &'static str = "vesta";
    const INSECURE: bool = false;

    fn derive_bases(n: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<Affine<Self>>, KeyError> {
        in_blocks(n, advance, hashed_bases::<Self, pasta_curves::vesta::Point>)
    }

    fn derive_blind() -> Result<Affine<Self>, KeyError> {
        hashed_blind::<Self, pasta_curves::vesta::Point>()
    }
}

/// The development `tau`: 64 bytes of SHA-512 of a constant text, reduced modulo the group order.
///
/// Anyone can compute it, and with it open any commitment to any vector. It exists so that every
/// function works, and can be tested and measured, without a file from a ceremony.
pub fn development_tau() -> Fr {
    from_uniform(&Sha512::digest(DEVELOPMENT_SEED).into())
}

/// The development key of `n` points on BN254: `B_i = tau^i G`, marked insecure.
///
/// # Errors
/// [`KeyError::TooLarge`].
pub fn development_powers(n: usize) -> Result<CommitmentKey<Bn256EngineKZG>, KeyError> {
    CommitmentKey::derive(n, &mut |_| {})
}

/// Calls `derive` for consecutive ranges of indices that together are `0 .. n`; chunks of a block
/// run in parallel.
fn in_blocks<T: Send>(
    n: usize,
    advance: &mut dyn FnMut(u64),
    derive: impl Fn(Range<usize>) -> Result<Vec<T>, KeyError> + Sync,
) -> Result<Vec<T>, KeyError> {
    let mut all = Vec::with_capacity(n);
    for block in split(0..n, POINTS_PER_BLOCK) {
        let end = block.end;
        let chunks: Vec<Range<usize>> = split(block, POINTS_PER_CHUNK).collect();
        let derived: Vec<Vec<T>> = chunks
            .into_par_iter()
            .map(&derive)
            .collect::<Result<_, KeyError>>()?;
        all.extend(derived.into_iter().flatten());
        advance(end as u64);
    }
    Ok(all)
}

/// A range in pieces of at most `size`.
fn split(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |start| start..(start + size).min(end))
}

/// `tau^i G` for the indices of a range.
fn powers(table: &WindowTable, tau: Fr, range: Range<usize>) -> Vec<G1Affine> {
    let mut power = tau.pow_vartime([range.start as u64]);
    let products: Vec<G1> = range
        .map(|_| {
            let product = table.multiply(&power);
            power *= tau;
            product
        })
        .collect();
    normalise(&products)
}

/// Affine points, with one inversion.
fn normalise(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::default(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine
}

/// `d 2^(w k) G` for every window `k` and every digit `d` in `1 .. 2^w`: fixed-base multiplication
/// without doublings (Brickell, Gordon, McCurley, Wilson 1992, section 2).
struct WindowTable {
    width: u32,
    windows: Vec<Vec<G1Affine>>,
}

impl WindowTable {
    /// A table whose cost is small beside that of `n` multiplications.
    fn new(n: usize) -> Self {
        let width = n.max(2).ilog2().saturating_sub(4).clamp(4, WIDEST_WINDOW);
        let mut starts = vec![G1::generator()];
        for _ in 1..Fr::NUM_BITS.div_ceil(width) {
            let next = starts.last().copied().unwrap_or_else(G1::generator);
            starts.push((0..width).fold(next, |point, _| point.double()));
        }
        let windows = starts
            .into_par_iter()
            .map(|start| {
                let multiples = std::iter::successors(Some(start), |point| Some(point + start));
                normalise(&multiples.take((1 << width) - 1).collect::<Vec<G1>>())
            })
            .collect();
        Self { width, windows }
    }

    /// `scalar G`.
    fn multiply(&self, scalar: &Fr) -> G1 {
        let repr = scalar.to_repr();
        let mut sum = G1::identity();
        for (window, position) in self.windows.iter().zip((0..).step_by(self.width as usize)) {
            let digit = digit(repr.as_ref(), position, self.width);
            if let Some(point) = digit.checked_sub(1).and_then(|index| window.get(index)) {
                sum += point;
            }
        }
        sum
    }
}

/// Bits `position .. position + width` of a little-endian number, `width` at most 17.
fn digit(bytes: &[u8], position: usize, width: u32) -> usize {
    let window = bytes.iter().skip(position / 8).take(3);
    let word = window
        .rev()
        .fold(0usize, |word, byte| (word << 8) | usize::from(*byte));
    (word >> (position % 8)) & ((1 << width) - 1)
}

/// The blind generator of a label.
fn labelled_blind<E: KeyEngine>(label: &'static [u8]) -> Result<Affine<E>, KeyError> {
    let invalid = KeyError::InvalidPoint {
        curve: E::CURVE,
        index: 0,
    };
    E::GE::from_label(label, 1)
        .into_iter()
        .next()
        .ok_or(invalid)
}

/// The domain of the hashed generators; the package adds the name of the curve.
const PASTA_DOMAIN: &str = "foldnet-commitment-key-v1";

/// The bases of a range of indices on Pallas or Vesta.
fn hashed_bases<E: KeyEngine, P: PastaCurve>(
    range: Range<usize>,
) -> Result<Vec<Affine<E>>, KeyError> {
    let hash = P::hash_to_curve(PASTA_DOMAIN);
    let start = range.start;
    let points: Vec<P> = range
        .map(|index| {
            let mut message = b"base".to_vec();
            message.extend((index as u64).to_le_bytes());
            hash(&message)
        })
        .collect();
    convert::<E, P>(&points).map_err(|offset| KeyError::InvalidPoint {
        curve: E::CURVE,
        index: start + offset,
    })
}

/// The blind generator on Pallas or Vesta.
fn hashed_blind<E: KeyEngine, P: PastaCurve>() -> Result<Affine<E>, KeyError> {
    let invalid = KeyError::InvalidPoint {
        curve: E::CURVE,
        index: 0,
    };
    let points = convert::<E, P>(&[P::hash_to_curve(PASTA_DOMAIN)(b"blind")]);
    points
        .ok()
        .and_then(|points| points.into_iter().next())
        .ok_or(invalid)
}

/// Points of `pasta_curves` as points of the same curve in `halo2curves`, by their coordinates;
/// otherwise the offset of the first point that has none.
fn convert<E: KeyEngine, P: PastaCurve>(points: &[P]) -> Result<Vec<Affine<E>>, usize> {
    use halo2curves::CurveAffine as _;
    use pasta_curves::arithmetic::CurveAffine as _;
    let mut affine = vec![P::AffineExt::default(); points.len()];
    P::batch_normalize(points, &mut affine);
    let convert = |point: &P::AffineExt| {
        let coordinates = Option::<pasta_curves::arithmetic::Coordinates<P::AffineExt>>::from(
            point.coordinates(),
        )?;
        let x = decode_element(coordinates.x().to_repr().as_ref())?;
        let y = decode_element(coordinates.y().to_repr().as_ref())?;
        Option::from(Affine::<E>::from_xy(x, y))
    };
    affine
        .iter()
        .enumerate()
        .map(|(offset, point)| convert(point).ok_or(offset))
        .collect()
}
