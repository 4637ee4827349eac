//! Affine points in bulk: chords that share one inversion.
//!
//! All curves here are `y^2 = x^3 + b` over a field of about 254 bits. A chord costs three products
//! for its share of the inversion and three more, less than any projective addition. Exceptional
//! cases (equal abscissas) are reported, never computed with.

use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, DIGITS};
use foldnet_gadgets::commitment::CurveEngine;
use foldnet_gadgets::cycle::Affine;
use foldnet_gadgets::field::{from_bytes, to_bytes};
use halo2curves::CurveAffine;
use rayon::prelude::*;

/// Points that share an inversion when many are multiplied.
const CHUNK: usize = 512;

/// An affine point that is not the identity.
pub(super) type Coordinates<F> = (F, F);

/// The chord of two points: its slope and the sum of the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chord<F> {
    pub(super) slope: F,
    pub(super) sum: Coordinates<F>,
}

/// The coordinates of a key's point; `None` for the identity.
pub(super) fn coordinates<E: CurveEngine>(point: &Affine<E>) -> Option<Coordinates<E::Base>> {
    let coordinates: Option<halo2curves::Coordinates<Affine<E>>> = point.coordinates().into();
    let coordinates = coordinates?;
    let convert = |c: &<Affine<E> as CurveAffine>::Base| from_bytes(&repr_bytes(c));
    Some((convert(coordinates.x())?, convert(coordinates.y())?))
}

/// The point with these coordinates; `None` when they are not on the curve.
pub(super) fn from_coordinates<E: CurveEngine>((x, y): Coordinates<E::Base>) -> Option<Affine<E>> {
    type Base<E> = <Affine<E> as CurveAffine>::Base;
    let convert = |c: E::Base| -> Option<Base<E>> {
        let mut repr = <Base<E> as ff::PrimeField>::Repr::default();
        let target: &mut [u8] = repr.as_mut();
        let source = to_bytes(&c);
        if target.len() != source.len() {
            return None;
        }
        target.copy_from_slice(&source);
        Option::from(<Base<E> as ff::PrimeField>::from_repr(repr))
    };
    // Zeros stand for the identity in affine form, and are not on a curve with b != 0.
    if bool::from(x.is_zero() & y.is_zero()) {
        return None;
    }
    Affine::<E>::from_xy(convert(x)?, convert(y)?).into()
}

/// The canonical bytes of a coordinate.
fn repr_bytes<T: ff::PrimeField>(x: &T) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    for (target, source) in bytes.iter_mut().zip(x.to_repr().as_ref()) {
        *target = *source;
    }
    bytes
}

/// Replaces every value by its inverse (Montgomery's trick); `None` when one is zero.
pub(super) fn invert_all<F: CircuitField>(values: &mut [F]) -> Option<()> {
    let mut prefixes = Vec::with_capacity(values.len());
    let mut product = F::ONE;
    for value in values.iter() {
        prefixes.push(product);
        product *= value;
    }
    let mut inverse: F = Option::from(product.invert())?;
    for (value, prefix) in values.iter_mut().zip(&prefixes).rev() {
        let next = inverse * *value;
        *value = inverse * prefix;
        inverse = next;
    }
    Some(())
}

/// The chords of `p_i` and `q_i`; `None` when a pair has equal abscissas or the lengths differ.
pub(super) fn chords<F: CircuitField>(
    p: &[Coordinates<F>],
    q: &[Coordinates<F>],
) -> Option<Vec<Chord<F>>> {
    if p.len() != q.len() {
        return None;
    }
    let mut inverses: Vec<F> = p.iter().zip(q).map(|(p, q)| q.0 - p.0).collect();
    invert_all(&mut inverses)?;
    let pairs = p.iter().zip(q).zip(inverses);
    Some(
        pairs
            .map(|((p, q), inverse)| {
                let slope = (q.1 - p.1) * inverse;
                let x = slope.square() - p.0 - q.0;
                Chord {
                    slope,
                    sum: (x, slope * (p.0 - x) - p.1),
                }
            })
            .collect(),
    )
}

/// The sums `p_i + q_i`; `None` as for [`chords`].
pub(super) fn sums<F: CircuitField>(
    p: &[Coordinates<F>],
    q: &[Coordinates<F>],
) -> Option<Vec<Coordinates<F>>> {
    let chords = chords(p, q)?;
    Some(chords.into_iter().map(|chord| chord.sum).collect())
}

/// The doubles of points; `None` when an ordinate is zero, which no point of odd order has.
pub(super) fn doubles<F: CircuitField>(p: &[Coordinates<F>]) -> Option<Vec<Coordinates<F>>> {
    let mut inverses: Vec<F> = p.iter().map(|p| p.1.double()).collect();
    invert_all(&mut inverses)?;
    let pairs = p.iter().zip(inverses);
    Some(
        pairs
            .map(|(p, inverse)| {
                let square = p.0.square();
                let slope = (square.double() + square) * inverse;
                let x = slope.square() - p.0.double();
                (x, slope * (p.0 - x) - p.1)
            })
            .collect(),
    )
}

/// `p_i + endo(r) q_i` with the steps of [`foldnet_gadgets::point`]; `None` as for [`chords`].
pub(super) fn multiply_add_all<F: CircuitField>(
    p: &[Coordinates<F>],
    q: &[Coordinates<F>],
    challenge: Challenge,
    beta: F,
) -> Option<Vec<Coordinates<F>>> {
    if p.len() != q.len() {
        return None;
    }
    let chunks: Option<Vec<Vec<_>>> = p
        .par_chunks(CHUNK)
        .zip(q.par_chunks(CHUNK))
        .map(|(p, q)| multiply_add_chunk(p, q, challenge, beta))
        .collect();
    Some(chunks?.concat())
}

fn multiply_add_chunk<F: CircuitField>(
    p: &[Coordinates<F>],
    q: &[Coordinates<F>],
    challenge: Challenge,
    beta: F,
) -> Option<Vec<Coordinates<F>>> {
    let square = beta.square();
    let mut accumulators: Vec<_> = q.iter().map(|(x, y)| (*x * square, -*y)).collect();
    for i in (0..DIGITS).rev() {
        let digits: Vec<_> = q.iter().map(|q| digit(*q, challenge, i, beta)).collect();
        let middle = sums(&accumulators, &digits)?;
        accumulators = sums(&middle, &accumulators)?;
    }
    sums(p, &accumulators)
}

/// `d_i Q` for digit `i` of a challenge.
fn digit<F: CircuitField>(
    (x, y): Coordinates<F>,
    challenge: Challenge,
    i: usize,
    beta: F,
) -> Coordinates<F> {
    let (choice, sign) = challenge.digit(i);
    (if choice { x * beta } else { x }, if sign { -y } else { y })
}
