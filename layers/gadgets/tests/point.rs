//! Point operations: native equals circuit equals the group law, and forged witnesses fail by name.

use bellpepper_core::ConstraintSystem;
use ff::{Field, PrimeField};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, curve_b, endomorphism};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::point::{
    MultiplierWires, PointWires, multiply_add, multiply_add_bits, multiply_add_native,
};
use foldnet_gadgets::wire::{Wire, WireSystem};
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

type Grumpkin = <Bn254 as Cycle>::Secondary;
type F = <Grumpkin as Engine>::Base;

fn paths<T: CircuitField>(cs: &MockSystem<T>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

fn challenges(random: usize) -> Vec<Challenge> {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let mut list: Vec<_> = [(0, 0), (0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)].into();
    list.extend([(1, 0), (0, 1), (1 << 63, 0), (0, 1 << 63)]);
    list.extend((0..random).map(|_| (rng.next_u64(), rng.next_u64())));
    list.into_iter()
        .map(|(choices, signs)| Challenge::new(choices, signs))
        .collect()
}

fn affine<E: Engine<GE: DlogGroupExt>>(point: E::GE) -> (E::Base, E::Base) {
    let (x, y, infinity) = point.to_coordinates();
    assert!(!infinity);
    (x, y)
}

/// Two points, with the same for `same`.
fn operands<E: Engine<GE: DlogGroupExt>>(rng: &mut ChaCha20Rng) -> (E::GE, E::GE)
where
    E::Scalar: CircuitField,
{
    let generator = E::GE::r#gen();
    (
        generator * E::Scalar::random(&mut *rng),
        generator * E::Scalar::random(&mut *rng),
    )
}

/// Which of the two circuits to build.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Bits,
    Integers,
}

fn build<T: CircuitField>(
    (p, q): ((T, T), (T, T)),
    r: Challenge,
    (beta, b): (T, T),
    way: Way,
) -> (MockSystem<T>, PointWires<T>) {
    let mut cs = MockSystem::new();
    let p = PointWires::alloc(&mut cs, "p", p).unwrap();
    let q = PointWires::alloc(&mut cs, "q", q).unwrap();
    p.enforce_on_curve(&mut cs.namespace(|| "p"), b).unwrap();
    q.enforce_on_curve(&mut cs.namespace(|| "q"), b).unwrap();
    let integer = cs.wire(|| "integer", r.to_field()).unwrap();
    let result = match way {
        Way::Bits => {
            let r = ChallengeWires::from_hash(&mut cs.namespace(|| "r"), &integer).unwrap();
            multiply_add_bits(&mut cs, &p, &q, &r, beta).unwrap()
        }
        Way::Integers => {
            let wires = MultiplierWires::from_integer(&mut cs, &integer, r).unwrap();
            // The public value itself, which the two parts add up to.
            let expected = Wire::constant(r.to_field());
            cs.enforce_equal(|| "public integer", &integer, &expected);
            multiply_add(&mut cs, &p, &q, &wires, r, beta).unwrap()
        }
    };
    (cs, result)
}

fn agree<E: Engine<GE: DlogGroupExt>>()
where
    E::Base: CircuitField,
    E::Scalar: CircuitField,
{
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (beta, lambda) = endomorphism::<E>();
    let b = curve_b::<E::GE>();
    for r in challenges(4) {
        let (p, q) = operands::<E>(&mut rng);
        let expected = affine::<E>(p + q * r.scalar(lambda));
        let points = (affine::<E>(p), affine::<E>(q));
        assert_eq!(
            multiply_add_native(points.0, points.1, r, beta),
            Some(expected)
        );
        for way in [Way::Bits, Way::Integers] {
            let (cs, result) = build(points, r, (beta, b), way);
            assert_eq!(result.value(), expected);
            assert_eq!(paths(&cs), Vec::<String>::new());
        }
    }
}
#[test]
fn circuits_and_native_twin_equal_the_group_law_on_all_four_curves() {
    agree::<<Bn254 as Cycle>::Primary>();
    agree::<<Bn254 as Cycle>::Secondary>();
    agree::<<Pasta as Cycle>::Primary>();
    agree::<<Pasta as Cycle>::Secondary>();
}
