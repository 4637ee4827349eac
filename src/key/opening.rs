//! What a BN254 key holds for openings: `tau G2`, its encoding and its checks.
//!
//! *Enforced:* coordinates are canonical, the point lies on the twist, has the group's prime order
//! and is not the identity, and `e(B_1, G2) = e(B_0, tau G2)` with `B_0 = G1`. The order has to be
//! checked because the twist has a cofactor.
//!
//! Source: Kate, Zaverucha, Goldberg 2010 (section 3.2).

use super::decode_element;
use ff::{Field, PrimeField};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq, Fq2, Fr, G1, G1Affine, G2, G2Affine};
use halo2curves::group::prime::PrimeCurveAffine;
use nova_snark::provider::traits::PairingGroup;

/// Bytes of a coordinate in the base field.
const ELEMENT_BYTES: usize = 32;

/// Bytes of a point of the twist: `x_0, x_1, y_0, y_1` with `x = x_0 + x_1 u`, little-endian.
const POINT_BYTES: usize = 4 * ELEMENT_BYTES;

/// Bytes of `G2` and `tau G2`.
pub(super) const BYTES: usize = 2 * POINT_BYTES;

/// `G2` and `tau G2` in canonical coordinates.
pub(super) fn encode(tau_h: &G2Affine) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let elements = [G2Affine::generator(), *tau_h]
        .into_iter()
        .flat_map(|point| [point.x, point.y])
        .flat_map(|coordinate| [*coordinate.c0(), *coordinate.c1()]);
    for (target, element) in bytes.chunks_exact_mut(ELEMENT_BYTES).zip(elements) {
        target.copy_from_slice(element.to_repr().as_ref());
    }
    bytes
}

/// `tau G2` of what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8; BYTES]) -> Result<G2Affine, &'static str> {
    let (first, second) = bytes.split_at(POINT_BYTES);
    if decode_point(first, decode_element) != Some(G2Affine::generator()) {
        return Err("its generator of G2 is not the standard one");
    }
    decode_point(second, decode_element).ok_or("tau G2 is not a point of the group")
}

/// The point of four base field elements, each read by `element`, if it lies on the twist, is not
/// the identity and has the group's order.
pub(super) fn decode_point(
    bytes: &[u8],
    element: impl Fn(&[u8]) -> Option<Fq>,
) -> Option<G2Affine> {
    if bytes.len() != POINT_BYTES {
        return None;
    }
    let mut elements = bytes.chunks_exact(ELEMENT_BYTES).map(element);
    let mut coordinate = || Some(Fq2::new(elements.next()??, elements.next()??));
    let point: Option<G2Affine> = G2Affine::from_xy(coordinate()?, coordinate()?).into();
    point.filter(is_in_group)
}

/// Whether a point lies on the twist, is not the identity and has order `r`: `(r - 1) P = -P`.
fn is_in_group(point: &G2Affine) -> bool {
    let on_curve = bool::from(CurveAffine::is_on_curve(point));
    let identity = bool::from(PrimeCurveAffine::is_identity(point));
    on_curve && !identity && point * -Fr::ONE == G2::from(-*point)
}

/// Checks that bases which start with `B_0, B_1` belong to `tau_h`.
pub(super) fn check(bases: &[G1Affine], tau_h: &G2Affine) -> Result<(), &'static str> {
    if !is_in_group(tau_h) {
        return Err("tau G2 is not a point of the group");
    }
    if bases
        .first()
        .is_some_and(|base| *base != G1Affine::generator())
    {
        return Err("its first base is not the standard generator of G1");
    }
    match bases {
        [first, second, ..] if !are_consecutive(&G1::from(*first), &G1::from(*second), tau_h) => {
            Err("tau G2 belongs to other bases")
        }
        _ => Ok(()),
    }
}

/// `e(next, G2) = e(this, tau G2)`: whether `next = tau this`.
pub(super) fn are_consecutive(this: &G1, next: &G1, tau_h: &G2Affine) -> bool {
    G1::pairing(next, &G2::generator()) == G1::pairing(this, &G2::from(*tau_h))
}
