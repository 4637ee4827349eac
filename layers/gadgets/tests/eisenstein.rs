//! Arithmetic of the other field: native equals circuit, and forged witnesses fail by name.

use bellpepper_core::ConstraintSystem;
use ff::Field;
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, cube_root};
use foldnet_gadgets::eisenstein::{
    CANONICAL_BYTES, CanonicalLimbs, CanonicalWires, EQUALITY_LIMBS, Eisenstein, EisensteinError,
    EisensteinParams, ElementWires, EqualityWires, FoldWires, Form,
};
use foldnet_gadgets::field::{from_i64, power_of_two, to_bytes};
use foldnet_gadgets::lookup::ClosedLookups;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::wire::{Wire, WireSystem};
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, Zero};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

fn paths<T: CircuitField>(cs: &MockSystem<T>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

/// 0, 1, q - 1, the cube roots, small and large powers of two, and random elements.
fn samples<S: CircuitField>(random: usize) -> Vec<S> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let lambda = cube_root::<S>();
    let edges = [
        S::ZERO,
        S::ONE,
        -S::ONE,
        lambda,
        -lambda,
        lambda.square(),
        S::ONE.double().invert().unwrap(),
    ];
    let powers = [64, 127, 128, 253].map(power_of_two::<S>);
    let random: Vec<S> = (0..random).map(|_| S::random(&mut rng)).collect();
    edges.into_iter().chain(powers).chain(random).collect()
}

fn challenges() -> Vec<Challenge> {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut list = vec![
        Challenge::new(0, 0),
        Challenge::new(u64::MAX, u64::MAX),
        Challenge::new(0, u64::MAX),
        Challenge::new(u64::MAX, 0),
    ];
    list.extend((0..3).map(|_| Challenge::new(rng.next_u64(), rng.next_u64())));
    list
}

fn constrain_lookups<T: CircuitField>(cs: &mut MockSystem<T>, lookups: &ClosedLookups<T>) {
    let g = Wire::constant(T::from(987_654_321));
    lookups
        .constrain(&mut cs.namespace(|| "lookups"), &g)
        .unwrap();
}

fn challenge_wires<T: CircuitField>(cs: &mut MockSystem<T>, r: Challenge) -> ChallengeWires<T> {
    let hash = cs.wire(|| "hash", r.to_field::<T>()).unwrap();
    ChallengeWires::from_hash(&mut cs.namespace(|| "challenge"), &hash).unwrap()
}

fn decomposition<C: Cycle>() {
    let params = EisensteinParams::<C::F, C::Q>::new().unwrap();
    let limit: BigInt = BigInt::one() << 127u32;
    assert_eq!(params.pi().norm(), *params.modulus());
    assert_eq!(params.recompose(params.pi()), C::Q::ZERO);
    for x in samples::<C::Q>(200) {
        let short = params.decompose(&x);
        assert_eq!(params.recompose(&short), x);
        assert!(short.norm() * 3 <= *params.modulus());
        assert!(short.a.abs() < limit && short.b.abs() < limit);
        let spread = params.represent(&x, Form::Spread);
        assert_eq!(params.recompose(&spread), x);
        let bound = BigInt::one() << Form::Spread.bits();
        assert!(spread.a.abs() <= bound && spread.b.abs() <= bound);
    }
    assert_eq!(params.decompose(&C::Q::ZERO), Eisenstein::new(0, 0));
    assert_eq!(params.decompose(&C::Q::ONE), Eisenstein::new(1, 0));
}

#[test]
fn decomposition_is_short_and_recomposes_on_both_cycles() {
    decomposition::<Bn254>();
    decomposition::<Pasta>();
}

/// A fold of one running and one fresh element in a form, with everything around it.
fn fold<T: CircuitField, S: CircuitField>(
    (x, y): (&S, &S),
    form: Form,
    r: Challenge,
) -> (MockSystem<T>, ElementWires<T>) {
    let params = EisensteinParams::<T, S>::new().unwrap();
    let mut cs = MockSystem::new();
    let mut segment = FirstSegment::open(&mut cs);
    let running = ElementWires::alloc(&mut segment, &params, "x", x).unwrap();
    let short = match form {
        Form::Short => Some(ElementWires::alloc(&mut segment, &params, "y", y).unwrap()),
        _ => None,
    };
    let limbs = match form {
        Form::Spread => Some(CanonicalLimbs::alloc(&mut segment, &params, "y", y).unwrap()),
        _ => None,
    };
    let fold = FoldWires::alloc(&mut segment, &params, "fold", x, (y, form), r).unwrap();
    let lookups = segment.close().unwrap();
    let challenge = challenge_wires(&mut cs, r);
    let fresh = match form {
        Form::Unit => ElementWires::unit(),
        Form::Short => short.unwrap(),
        Form::Integer => ElementWires::from_challenge(&challenge),
        Form::Spread => {
            let wires = limbs.unwrap().constrain(&mut cs.namespace(|| "y")).unwrap();
            wires.element().clone()
        }
    };
    let mut namespace = cs.namespace(|| "fold");
    let result = fold
        .constrain(&mut namespace, &running, &fresh, &challenge)
        .unwrap();
    drop(namespace);
    constrain_lookups(&mut cs, &lookups);
    (cs, result)
}

fn folds<C: Cycle>() {
    let params = EisensteinParams::<C::F, C::Q>::new().unwrap();
    let values = samples::<C::Q>(3);
    for (i, r) in challenges().into_iter().enumerate() {
        for (j, form) in Form::ALL.into_iter().enumerate() {
            // Every value meets every form, as the running and as the fresh element.
            for (k, x) in values.iter().enumerate() {
                let y = match form {
                    Form::Unit => C::Q::ONE,
                    Form::Integer => r.to_field(),
                    _ => values[(k + i + j) % values.len()],
                };
                let (cs, result) = fold::<C::F, C::Q>((x, &y), form, r);
                let expected = EisensteinParams::<C::F, C::Q>::fold(x, &y, r);
                assert_eq!(paths(&cs), Vec::<String>::new(), "{form:?} {r:?}");
                assert_eq!(result.value(&params), expected);
                let components = params.components(&expected, Form::Short);
                assert_eq!(result.components().map(Wire::value), components);
            }
        }
    }
}

#[test]
fn folds_agree_with_the_native_twin_in_every_form_on_both_cycles() {
    folds::<Bn254>();
    folds::<Pasta>();
}
