//! Checks on points and pairs of points, and their form in other libraries.

use super::{Error, Fr};
use ff::PrimeField;
use foldnet_gadgets::field::to_bytes;
use halo2curves::CurveAffine;
use halo2curves::bn256::{Bn256, Fq, Fq2, G1Affine, G2Affine};
use halo2curves::group::prime::PrimeCurveAffine;
use halo2curves::pairing::Engine;

/// Whether a point is on the curve; infinity is.
pub(super) fn on_curve<C: CurveAffine>(point: &C) -> bool {
    point.is_on_curve().into()
}

/// Whether a point is infinity.
pub(super) fn infinite<C: PrimeCurveAffine>(point: &C) -> bool {
    point.is_identity().into()
}

/// Whether a point on the twist has order r or 1. The check is that of arkworks: that of
/// halo2curves prints to the standard output.
pub(super) fn in_subgroup(point: &G2Affine) -> bool {
    ark_g2(point).is_in_correct_subgroup_assuming_on_curve()
}

/// Checks a point of G1 that must not be infinity.
pub(super) fn check_g1(what: &'static str, point: &G1Affine) -> Result<(), Error> {
    if infinite(point) {
        return Err(invalid(what, "infinity"));
    }
    if !on_curve(point) {
        return Err(invalid(what, "not on the curve"));
    }
    Ok(())
}

/// Checks a point of G2 that must not be infinity.
pub(super) fn check_g2(what: &'static str, point: &G2Affine) -> Result<(), Error> {
    if infinite(point) {
        return Err(invalid(what, "infinity"));
    }
    if !on_curve(point) {
        return Err(invalid(what, "not on the curve"));
    }
    if !in_subgroup(point) {
        return Err(invalid(what, "not in the subgroup of order r"));
    }
    Ok(())
}

/// Checks that two points are the same multiple of the generators of G1 and G2.
pub(super) fn check_same(
    what: &'static str,
    first: &G1Affine,
    second: &G2Affine,
) -> Result<(), Error> {
    let left = Bn256::pairing(first, &G2Affine::generator());
    let right = Bn256::pairing(&G1Affine::generator(), second);
    if left == right {
        Ok(())
    } else {
        Err(invalid(what, "not the same multiple in both groups"))
    }
}

pub(super) fn invalid(what: &'static str, problem: &'static str) -> Error {
    Error::Invalid { what, problem }
}

fn base_field(x: &Fq) -> ark_bn254::Fq {
    ark_ff::PrimeField::from_le_bytes_mod_order(x.to_repr().as_ref())
}

fn extension(x: &Fq2) -> ark_bn254::Fq2 {
    ark_bn254::Fq2::new(base_field(x.c0()), base_field(x.c1()))
}

/// A scalar in the form of arkworks.
pub(super) fn ark_scalar(x: &Fr) -> ark_bn254::Fr {
    ark_ff::PrimeField::from_le_bytes_mod_order(&to_bytes(x))
}

/// A point of G1 in the form of arkworks. Both libraries write infinity as (0, 0).
pub(super) fn ark_g1(point: &G1Affine) -> ark_bn254::G1Affine {
    ark_bn254::G1Affine::new_unchecked(base_field(&point.x), base_field(&point.y))
}

/// A point of G2 in the form of arkworks.
pub(super) fn ark_g2(point: &G2Affine) -> ark_bn254::G2Affine {
    ark_bn254::G2Affine::new_unchecked(extension(&point.x), extension(&point.y))
}
