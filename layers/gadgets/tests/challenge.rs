//! Challenges: native equals circuit, digits are injective, and forged bits fail by name.

use bellpepper_core::ConstraintSystem;
use ff::{Field, PrimeField};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires, DIGITS};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, cube_root};
use foldnet_gadgets::field::{from_i64, power_of_two, to_bytes};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::wire::WireSystem;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::HashSet;

type F = <Bn254 as Cycle>::F;

fn paths<T: CircuitField>(cs: &MockSystem<T>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

fn build<T: CircuitField>(hash: T) -> (MockSystem<T>, ChallengeWires<T>) {
    let mut cs = MockSystem::new();
    let hash = cs.wire(|| "hash", hash).unwrap();
    let wires = ChallengeWires::from_hash(&mut cs, &hash).unwrap();
    (cs, wires)
}

fn samples<T: CircuitField>() -> Vec<T> {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let ones = power_of_two::<T>(128) - T::ONE;
    let edges = [
        T::ZERO,
        T::ONE,
        -T::ONE,
        ones,
        -ones,
        power_of_two(127),
        power_of_two(64),
    ];
    edges
        .into_iter()
        .chain((0..20).map(|_| T::random(&mut rng)))
        .collect()
}

fn agree<T: CircuitField>() {
    let lambda = cube_root::<T>();
    for hash in samples::<T>() {
        let (cs, wires) = build(hash);
        let native = Challenge::from_hash(&hash);
        assert_eq!(paths(&cs), Vec::<String>::new());
        assert_eq!(wires.value(), native);
        assert_eq!(wires.integer().value(), native.to_field());
        assert_eq!(wires.scalar(lambda).value(), native.scalar(lambda));
        let (a0, a1) = native.components();
        let (w0, w1) = wires.components();
        assert_eq!(w0.value(), T::from_u128(a0 as u128));
        assert_eq!(w1.value(), T::from_u128(a1 as u128));
        for i in 0..DIGITS {
            let bit = |bit: bool| T::from(u64::from(bit));
            let (choice, sign) = native.digit(i);
            assert_eq!(wires.choices()[i].value(), bit(choice));
            assert_eq!(wires.signs()[i].value(), bit(sign));
        }
    }
}

#[test]
fn circuit_equals_native_on_all_fields() {
    agree::<<Bn254 as Cycle>::F>();
    agree::<<Bn254 as Cycle>::Q>();
    agree::<<Pasta as Cycle>::F>();
    agree::<<Pasta as Cycle>::Q>();
}

#[test]
fn components_follow_the_formula_and_its_bounds() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let random = (0..100).map(|_| Challenge::new(rng.next_u64(), rng.next_u64()));
    let all = [0, u64::MAX].map(|c| [0, u64::MAX].map(|s| Challenge::new(c, s)));
    for challenge in random.chain(all.into_iter().flatten()) {
        let mut expected = [1i128 << DIGITS; 2];
        for i in 0..DIGITS {
            let (choice, sign) = challenge.digit(i);
            expected[usize::from(choice)] += if sign { -(1 << i) } else { 1 << i };
        }
        assert_eq!(challenge.components(), (expected[0], expected[1]));
        assert!(expected.iter().all(|c| (1..1 << 65).contains(c)));
    }
    let zero = Challenge::new(0, 0).components();
    assert_eq!(zero, ((1 << 65) - 1, 1 << 64));
}

/// The digits of components, by the parity argument of the module.
fn digits((mut a0, mut a1): (i128, i128)) -> Challenge {
    let (mut choices, mut signs) = (0u64, 0u64);
    for i in 0..DIGITS {
        let choice = a1 & 1 == 1;
        let (odd, even) = if choice { (a1, a0) } else { (a0, a1) };
        let last = i == DIGITS - 1;
        // Before the last digit both components are 1; before any other exactly one is odd.
        let plus = (odd - 1) / 2;
        let sign = if last {
            plus != 1
        } else {
            plus & 1 == (even / 2) & 1
        };
        choices |= u64::from(choice) << i;
        signs |= u64::from(sign) << i;
        let (odd, even) = (if sign { (odd + 1) / 2 } else { plus }, even / 2);
        (a0, a1) = if choice { (even, odd) } else { (odd, even) };
    }
    assert_eq!((a0, a1), (1, 1));
    Challenge::new(choices, signs)
}

#[test]
fn components_determine_the_digits() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for _ in 0..1000 {
        let challenge = Challenge::new(rng.next_u64(), rng.next_u64());
        assert_eq!(digits(challenge.components()), challenge);
    }
    // All digit strings that differ in the four lowest and the highest digit.
    let lambda = cube_root::<F>();
    let mut scalars = HashSet::new();
    for bits in 0..1u64 << 10 {
        let word = |bits: u64| (bits & 15) | (bits >> 4 & 1) << 63;
        let challenge = Challenge::new(word(bits & 31), word(bits >> 5));
        assert!(scalars.insert(to_bytes(&challenge.scalar(lambda))));
        assert_eq!(digits(challenge.components()), challenge);
    }
}

#[test]
fn every_witness_is_pinned() {
    let (mut cs, _) = build(F::random(ChaCha20Rng::seed_from_u64(6)));
    // The hint of an `is_zero` at zero is free by construction: it is multiplied by zero and no
    // other constraint reads it.
    let hint = |path: &String| path.starts_with("canonical run") && path.ends_with("hint");
    let free: Vec<_> = cs
        .unpinned()
        .into_iter()
        .filter(|path| !hint(path))
        .collect();
    assert_eq!(free, Vec::<String>::new());
    assert_eq!(cs.duplicates(), &[] as &[String]);
}

#[test]
fn forged_digits_and_components_fail_by_name() {
    let hash = F::random(ChaCha20Rng::seed_from_u64(7));
    let (cs, wires) = build(hash);
    let (c0, s0) = wires.value().digit(0);
    let flipped = |bit: bool| F::from(u64::from(!bit));

    let mut forged = cs.clone();
    assert!(forged.set("bit 0", flipped(c0)));
    assert!(paths(&forged).contains(&"bits recompose".to_string()));
    let mut forged = cs.clone();
    assert!(forged.set("bit 64", flipped(s0)));
    assert!(paths(&forged).contains(&"bits recompose".to_string()));
    let mut forged = cs.clone();
    assert!(forged.set("digit 3 choice and sign", F::from(2)));
    assert!(paths(&forged).contains(&"digit 3 choice and sign".to_string()));
    for component in ["component 0", "component 1"] {
        let mut forged = cs.clone();
        let value = forged.get(component).unwrap();
        assert!(forged.set(component, value + F::ONE));
        assert_eq!(paths(&forged), vec![component.to_string()]);
    }
}

#[test]
fn the_value_plus_the_modulus_is_rejected() {
    // The hash 5 with the bits of 5 + r would give another challenge.
    let (mut cs, _) = build(F::from(5));
    let mut carry = 6u16;
    for (i, byte) in (-F::ONE).to_repr().as_ref().iter().enumerate() {
        let sum = u16::from(*byte) + carry;
        carry = sum >> 8;
        for j in (0..8).filter(|j| i * 8 + j < F::NUM_BITS as usize) {
            assert!(cs.set(
                &format!("bit {}", i * 8 + j),
                from_i64(i64::from(sum >> j & 1))
            ));
        }
    }
    let failed = paths(&cs);
    assert!(!failed.contains(&"bits recompose".to_string()));
    assert!(
        failed.iter().any(|path| path.contains("canonical")),
        "{failed:?}"
    );
}

#[test]
fn the_public_integer_gives_the_challenge_back() {
    let challenge = Challenge::new(0x0123_4567_89ab_cdef, u64::MAX);
    assert_eq!(Challenge::from_hash(&challenge.to_field::<F>()), challenge);
}
