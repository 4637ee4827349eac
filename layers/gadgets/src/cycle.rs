//! The two curve cycles, and the endomorphism that all four curves have.
//!
//! Every curve here is `y^2 = x^3 + b` over a field with a primitive cube root of unity `beta`, so
//! `phi(x, y) = (beta x, y)` is an endomorphism; it multiplies points by a cube root of unity
//! `lambda` of the scalar field (Gallant, Lambert, Vanstone 2001, section 3).

use crate::field::CircuitField;
use ff::Field;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine, PallasEngine, VestaEngine};
use nova_snark::traits::{Engine, Group};
use std::fmt::Debug;

/// The group of an engine.
pub type Point<E> = <E as Engine>::GE;

/// The affine form of a point, which keys are made of.
pub type Affine<E> = <<E as Engine>::GE as DlogGroup>::AffineGroupElement;

/// A cycle of curves: the scalar field of each is the base field of the other.
pub trait Cycle: Clone + Copy + Debug + Default + Send + Sync + 'static {
    /// F: the scalar field of the primary curve; step circuits are written over it.
    type F: CircuitField;
    /// F': the scalar field of the secondary curve, in which the primary curve's coordinates lie.
    type Q: CircuitField;
    /// The primary curve G.
    type Primary: Engine<Scalar = Self::F, Base = Self::Q, GE: DlogGroupExt>;
    /// The secondary curve H.
    type Secondary: Engine<Scalar = Self::Q, Base = Self::F, GE: DlogGroupExt>;

    /// The name used in files and messages.
    const NAME: &'static str;
}

/// BN254 and Grumpkin: needs powers of tau, ends on Ethereum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bn254;

impl Cycle for Bn254 {
    type F = <Bn256EngineKZG as Engine>::Scalar;
    type Q = <Bn256EngineKZG as Engine>::Base;
    type Primary = Bn256EngineKZG;
    type Secondary = GrumpkinEngine;
    const NAME: &'static str = "bn254";
}

/// Pallas and Vesta: no trusted set-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pasta;

impl Cycle for Pasta {
    type F = <PallasEngine as Engine>::Scalar;
    type Q = <PallasEngine as Engine>::Base;
    type Primary = PallasEngine;
    type Secondary = VestaEngine;
    const NAME: &'static str = "pasta";
}

/// A primitive cube root of unity: `g^((p-1)/3)` for the field's multiplicative generator `g`.
///
/// The other one is its square. Both fields of every cycle here have `p = 1 mod 3`.
pub fn cube_root<F: CircuitField>() -> F {
    let minus_one = num_bigint::BigUint::from_bytes_le(&crate::field::to_bytes(&-F::ONE));
    let exponent = minus_one / 3u32;
    F::MULTIPLICATIVE_GENERATOR.pow_vartime(exponent.to_u64_digits())
}

/// The matching pair `(beta, lambda)` of a curve: `[lambda](x, y) = (beta x, y)` with
/// `lambda = cube_root()`.
pub fn endomorphism<E: Engine<GE: DlogGroupExt>>() -> (E::Base, E::Scalar)
where
    E::Base: CircuitField,
    E::Scalar: CircuitField,
{
    let lambda = cube_root::<E::Scalar>();
    let generator = E::GE::r#gen();
    let (x, _, _) = generator.to_coordinates();
    let (image, _, _) = (generator * lambda).to_coordinates();
    let beta = cube_root::<E::Base>();
    if image == x * beta {
        (beta, lambda)
    } else {
        (beta.square(), lambda)
    }
}

/// The coefficient `b` of a curve `y^2 = x^3 + b`.
pub fn curve_b<G: Group>() -> G::Base {
    G::group_params().1
}
