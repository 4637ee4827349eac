//! Commitments as points: what instances are made of and proofs carry.

use crate::cycle::{Affine, Point};
use crate::field::{CircuitField, to_bytes};
use halo2curves::CurveAffine;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The engines of both curves of a cycle.
pub trait CurveEngine: Engine<Scalar: CircuitField, Base: CircuitField, GE: DlogGroupExt> {}

impl<E> CurveEngine for E where E: Engine<Scalar: CircuitField, Base: CircuitField, GE: DlogGroupExt>
{}

/// A commitment: a point that is not the identity.
///
/// Its encoding is the two canonical affine coordinates, 32 bytes little-endian each; decoding
/// refuses points off the curve, coordinates that are not canonical, and the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment<E: CurveEngine>(Point<E>);

impl<E: CurveEngine> Commitment<E> {
    /// The commitment that is this group element.
    pub fn new(point: Point<E>) -> Self {
        Commitment(point)
    }

    /// The group element.
    pub fn point(&self) -> Point<E> {
        self.0
    }

    /// Whether the point is the identity, which no commitment with a blind is.
    pub fn is_identity(&self) -> bool {
        self.0.to_coordinates().2
    }

    /// The affine coordinates; those of the identity, which no honest commitment is, are zeros.
    pub fn coordinates(&self) -> [E::Base; 2] {
        let (x, y, _) = self.0.to_coordinates();
        [x, y]
    }

    /// `self + r * other`.
    #[must_use]
    pub fn fold(&self, r: E::Scalar, other: &Self) -> Self {
        Commitment(self.0 + other.0 * r)
    }
}

impl<E: CurveEngine> Serialize for Commitment<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.coordinates()
            .map(|c| to_bytes(&c))
            .serialize(serializer)
    }
}

impl<'de, E: CurveEngine> Deserialize<'de> for Commitment<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <[[u8; 32]; 2]>::deserialize(deserializer)?;
        decode_point::<E>(&bytes)
            .map(Commitment)
            .ok_or_else(|| serde::de::Error::custom("a commitment is not a point of the curve"))
    }
}

/// The point with these canonical coordinates, if there is one.
fn decode_point<E: CurveEngine>(bytes: &[[u8; 32]; 2]) -> Option<Point<E>> {
    type Base<E> = <Affine<E> as CurveAffine>::Base;
    let coordinate = |bytes: &[u8; 32]| -> Option<Base<E>> {
        let mut repr = <Base<E> as ff::PrimeField>::Repr::default();
        let target: &mut [u8] = repr.as_mut();
        if target.len() != bytes.len() {
            return None;
        }
        target.copy_from_slice(bytes);
        Option::from(<Base<E> as ff::PrimeField>::from_repr(repr))
    };
    let affine = Affine::<E>::from_xy(coordinate(&bytes[0])?, coordinate(&bytes[1])?);
    let point = E::GE::group(&Option::from(affine)?);
    (!point.to_coordinates().2).then_some(point)
}
