//! Point operations: native equals circuit equals the group law, and forged witnesses fail by name.

use bellpepper_core::ConstraintSystem;
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, curve_b, endomorphism};
use foldnet_gadgets::field::{power_of_two, to_bytes};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::point::{
    MultiplierWires, PointWires, multiply_add, multiply_add_bits, multiply_add_native,
};
use foldnet_gadgets::wire::WireSystem;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use num_bigint::BigUint;
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

/// Two random points.
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
    let integer = cs.public_wire(|| "integer", r.to_field()).unwrap();
    let result = match way {
        Way::Bits => {
            let r = ChallengeWires::from_hash(&mut cs.namespace(|| "r"), &integer).unwrap();
            multiply_add_bits(&mut cs, &p, &q, &r, beta).unwrap()
        }
        Way::Integers => {
            let wires = MultiplierWires::from_integer(&mut cs, &integer, r).unwrap();
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

/// The facts that the module's argument about `x = 0` and `y = 0` amounts to.
fn coordinates_never_vanish<E: Engine<GE: DlogGroupExt>>()
where
    E::Base: CircuitField,
{
    let b = curve_b::<E::GE>();
    let order = BigUint::from_bytes_le(&to_bytes(&-E::Base::ONE));
    let residue = |x: E::Base, degree: u32| x.pow_vartime((&order / degree).to_u64_digits());
    assert_ne!(
        residue(b, 2),
        E::Base::ONE,
        "b is a square: x = 0 on the curve"
    );
    assert_ne!(
        residue(-b, 3),
        E::Base::ONE,
        "-b is a cube: y = 0 on the curve"
    );
}

#[test]
fn no_point_has_a_zero_coordinate_on_all_four_curves() {
    coordinates_never_vanish::<<Bn254 as Cycle>::Primary>();
    coordinates_never_vanish::<<Bn254 as Cycle>::Secondary>();
    coordinates_never_vanish::<<Pasta as Cycle>::Primary>();
    coordinates_never_vanish::<<Pasta as Cycle>::Secondary>();
}

/// A satisfied instance on Grumpkin with a random challenge.
fn instance(way: Way) -> (MockSystem<F>, Challenge) {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let (p, q) = operands::<Grumpkin>(&mut rng);
    let r = Challenge::new(rng.next_u64(), rng.next_u64());
    let points = (affine::<Grumpkin>(p), affine::<Grumpkin>(q));
    (build(points, r, curve(), way).0, r)
}

/// `(beta, b)` of Grumpkin.
fn curve() -> (F, F) {
    (
        endomorphism::<Grumpkin>().0,
        curve_b::<<Grumpkin as Engine>::GE>(),
    )
}

#[test]
fn every_witness_is_pinned() {
    for way in [Way::Bits, Way::Integers] {
        let (mut cs, _) = instance(way);
        // See the test of the challenge for the one kind of free hint.
        let hint = |path: &String| path.starts_with("r/canonical run") && path.ends_with("hint");
        let free: Vec<_> = cs
            .unpinned()
            .into_iter()
            .filter(|path| !hint(path))
            .collect();
        assert_eq!(free, Vec::<String>::new());
        assert_eq!(cs.duplicates(), &[] as &[String]);
    }
}

#[test]
fn points_off_the_curve_are_rejected() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let (p, q) = operands::<Grumpkin>(&mut rng);
    let (p, q) = (affine::<Grumpkin>(p), affine::<Grumpkin>(q));
    let r = Challenge::new(rng.next_u64(), rng.next_u64());
    for way in [Way::Bits, Way::Integers] {
        let off = |point: (F, F)| (point.0, point.1 + F::ONE);
        let (cs, _) = build((off(p), q), r, curve(), way);
        assert_eq!(paths(&cs), vec!["p/on the curve"]);
        let (cs, _) = build((p, off(q)), r, curve(), way);
        assert_eq!(paths(&cs), vec!["q/on the curve"]);
        // The origin, which coordinates of the identity are often encoded as.
        let (cs, _) = build((p, (F::ZERO, F::ZERO)), r, curve(), way);
        assert!(paths(&cs).contains(&"q/on the curve".to_string()));
    }
}

#[test]
fn the_last_addition_rejects_equal_abscissas() {
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let (_, q) = operands::<Grumpkin>(&mut rng);
    let r = Challenge::new(rng.next_u64(), rng.next_u64());
    let product = q * r.scalar(endomorphism::<Grumpkin>().1);
    for p in [product, -product] {
        let points = (affine::<Grumpkin>(p), affine::<Grumpkin>(q));
        assert_eq!(multiply_add_native(points.0, points.1, r, curve().0), None);
        for way in [Way::Bits, Way::Integers] {
            let (cs, _) = build(points, r, curve(), way);
            assert_eq!(paths(&cs), vec!["sum/different abscissas"]);
        }
    }
}

/// A complete honest witness for one challenge, against the integers of another.
fn mismatch(integers: (F, F), hint: Challenge) -> Vec<String> {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let (p, q) = operands::<Grumpkin>(&mut rng);
    let mut cs = MockSystem::new();
    let p = PointWires::alloc(&mut cs, "p", affine::<Grumpkin>(p)).unwrap();
    let q = PointWires::alloc(&mut cs, "q", affine::<Grumpkin>(q)).unwrap();
    let choices = cs.public_wire(|| "choices", integers.0).unwrap();
    let signs = cs.public_wire(|| "signs", integers.1).unwrap();
    let wires = MultiplierWires { choices, signs };
    multiply_add(&mut cs, &p, &q, &wires, hint, curve().0).unwrap();
    paths(&cs)
}

#[test]
fn digits_of_another_challenge_are_rejected() {
    let parts = |r: Challenge| (F::from(r.choices()), F::from(r.signs()));
    let r = Challenge::new(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
    assert_eq!(mismatch(parts(r), r), Vec::<String>::new());
    let choices = || vec!["choices add up".to_string()];
    let signs = || vec!["signs add up".to_string()];
    for bit in [0, 1, 17, 63] {
        let other = Challenge::new(r.choices() ^ 1 << bit, r.signs());
        assert_eq!(mismatch(parts(r), other), choices());
        let other = Challenge::new(r.choices(), r.signs() ^ 1 << bit);
        assert_eq!(mismatch(parts(r), other), signs());
    }
    // Choices and signs exchanged: the same 128 bits in other places.
    let other = Challenge::new(r.signs(), r.choices());
    assert_eq!(mismatch(parts(r), other), [choices(), signs()].concat());
    // Integers that agree with the digits only modulo 2^64.
    let (c, s) = parts(r);
    assert_eq!(mismatch((c + power_of_two::<F>(64), s), r), choices());
    assert_eq!(mismatch((c, s + power_of_two::<F>(64)), r), signs());
}

#[test]
fn the_split_of_the_integer_is_unique() {
    let (cs, r) = instance(Way::Integers);
    // Moving 2^64 from the choices to the signs keeps the integer; moving one sign does too.
    for shift in [power_of_two::<F>(64), -power_of_two::<F>(64)] {
        let mut forged = cs.clone();
        assert!(forged.set("choices", F::from(r.choices()) + shift));
        assert_eq!(paths(&forged), vec!["choices add up", "signs add up"]);
    }
    let mut forged = cs.clone();
    assert!(forged.set("integer", r.to_field::<F>() + power_of_two::<F>(128)));
    assert_eq!(paths(&forged), vec!["signs add up"]);
}

#[test]
fn forged_digit_points_fail_by_name() {
    let (cs, _) = instance(Way::Integers);
    let beta = curve().0;
    let failed = |name: &str, value: F| {
        let mut forged = cs.clone();
        assert!(forged.set(name, value));
        paths(&forged)
    };
    let (x, y) = (cs.get("q x").unwrap(), cs.get("q y").unwrap());
    for i in [0, 1, 40, 63] {
        let (name_x, name_y) = (format!("digit {i}/digit x"), format!("digit {i}/digit y"));
        let here = cs.get(&name_x).unwrap();
        let other = if here == x { x * beta } else { x };
        assert!(failed(&name_x, other).contains(&"choices add up".to_string()));
        assert!(!failed(&name_x, other).contains(&name_x));
        // The third conjugate and a carry, `1 + 2 (beta - 1)`, are no digits.
        for value in [x * beta.square(), x * (beta.double() - F::ONE), F::ZERO] {
            assert!(failed(&name_x, value).contains(&name_x));
        }
        let flipped = -cs.get(&name_y).unwrap();
        assert!(failed(&name_y, flipped).contains(&"signs add up".to_string()));
        assert!(!failed(&name_y, flipped).contains(&name_y));
        for value in [y * F::from(3), -y * F::from(3), F::ZERO] {
            assert!(failed(&name_y, value).contains(&name_y));
        }
    }
}

#[test]
fn forged_slopes_and_coordinates_fail_by_name() {
    for way in [Way::Bits, Way::Integers] {
        let (cs, _) = instance(way);
        for name in ["first slope", "middle x", "second slope", "x", "y"] {
            for place in ["digit 63", "digit 7", "digit 0"] {
                let path = format!("{place}/{name}");
                let mut forged = cs.clone();
                assert!(forged.set(&path, cs.get(&path).unwrap() + F::ONE));
                assert!(paths(&forged).contains(&path));
            }
        }
        for name in ["different abscissas", "slope", "x", "y"] {
            let path = format!("sum/{name}");
            let mut forged = cs.clone();
            assert!(forged.set(&path, cs.get(&path).unwrap() + F::ONE));
            assert!(paths(&forged).contains(&path));
        }
    }
}

#[test]
fn forged_bit_products_fail_by_name() {
    let (cs, _) = instance(Way::Bits);
    for name in ["digit 5/choice x", "digit 5/sign y"] {
        let mut forged = cs.clone();
        assert!(forged.set(name, cs.get(name).unwrap() + F::ONE));
        assert!(paths(&forged).contains(&name.to_string()));
    }
}
