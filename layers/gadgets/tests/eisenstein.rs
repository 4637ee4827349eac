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
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::lookup::ClosedLookups;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, Zero};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::any::Any;
use std::sync::Mutex;

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

/// The constants of a field, which take long to make, once for all tests.
fn constants<T: CircuitField>() -> HashConstants<T> {
    static MADE: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    let known = made
        .iter()
        .find_map(|c| c.downcast_ref::<HashConstants<T>>());
    if let Some(known) = known {
        return known.clone();
    }
    let constants = HashConstants::<T>::default();
    made.push(Box::new(constants.clone()));
    constants
}

fn constrain_lookups<T: CircuitField>(cs: &mut MockSystem<T>, lookups: &ClosedLookups<T>) {
    let mut transcript = TranscriptCircuit::new(&constants(), Tag::new("test"));
    transcript.absorb([&Wire::constant(T::from(987_654_321))]);
    lookups.constrain(cs, &mut transcript).unwrap();
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

/// Overwrites a limb together with the inverse that its lookup uses, as a forger would. Every
/// first-segment variable before the multiplicities is a limb, in the order of its lookups.
fn forge(cs: &mut MockSystem<F>, path: &str, value: F) {
    let index = cs.auxiliary_paths().iter().position(|p| p == path).unwrap();
    assert!(cs.set(path, value));
    let challenge = cs.get("lookup challenge/squeeze 1/digest").unwrap();
    let inverse = (value + challenge).invert().unwrap();
    assert!(cs.set(&format!("lookups/value {index} inverse"), inverse));
}

/// Overwrites the signed value of `limbs` limbs at `name`.
fn forge_signed(cs: &mut MockSystem<F>, name: &str, value: &BigInt, limbs: usize) {
    let shifted: BigInt = value + (BigInt::one() << (8 * limbs - 1));
    let (sign, bytes) = shifted.to_bytes_le();
    assert!(
        sign != Sign::Minus && bytes.len() <= limbs,
        "the forgery must be in range"
    );
    for i in 0..limbs {
        let byte = bytes.get(i).copied().unwrap_or(0);
        forge(cs, &format!("{name} {i}"), F::from(u64::from(byte)));
    }
}

/// The signed value of `limbs` limbs at `name`.
fn read_signed(cs: &MockSystem<F>, name: &str, limbs: usize) -> BigInt {
    let bytes: Vec<u8> = (0..limbs)
        .map(|i| to_bytes(&cs.get(&format!("{name} {i}")).unwrap())[0])
        .collect();
    BigInt::from_bytes_le(Sign::Plus, &bytes) - (BigInt::one() << (8 * limbs - 1))
}

/// What fails apart from the multiplicities, which a forger fixes last.
fn congruences(cs: &MockSystem<F>) -> Vec<String> {
    paths(cs)
        .into_iter()
        .filter(|path| path != "lookups/sums agree")
        .collect()
}

fn params() -> EisensteinParams<F, Q> {
    EisensteinParams::new().unwrap()
}

/// A satisfied fold of random elements.
fn instance(form: Form) -> MockSystem<F> {
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let (x, y) = (Q::random(&mut rng), Q::random(&mut rng));
    let r = Challenge::new(rng.next_u64(), rng.next_u64());
    let y = match form {
        Form::Unit => Q::ONE,
        Form::Integer => r.to_field(),
        _ => y,
    };
    fold::<F, Q>((&x, &y), form, r).0
}

const BOTH: [&str; 2] = ["fold/component a", "fold/component b"];

#[test]
fn every_fold_witness_is_pinned() {
    for form in Form::ALL {
        let mut cs = instance(form);
        // See the test of the challenge for the one kind of free hint.
        let hint =
            |path: &String| path.starts_with("challenge/canonical run") && path.ends_with("hint");
        let free: Vec<_> = cs
            .unpinned()
            .into_iter()
            .filter(|path| !hint(path))
            .collect();
        assert_eq!(free, Vec::<String>::new(), "{form:?}");
        assert_eq!(cs.duplicates(), &[] as &[String]);
    }
}

#[test]
fn a_forged_quotient_is_rejected() {
    for form in Form::ALL {
        let cs = instance(form);
        let limbs = form.quotient_limbs();
        for (component, change) in [("a", 1), ("a", -1), ("b", 1), ("b", -1)] {
            let mut forged = cs.clone();
            let name = format!("fold quotient {component}");
            let value = read_signed(&forged, &name, limbs) + change;
            forge_signed(&mut forged, &name, &value, limbs);
            assert_eq!(congruences(&forged), BOTH, "{form:?} {component} {change}");
        }
    }
}

#[test]
fn a_forged_result_is_rejected() {
    let cs = instance(Form::Short);
    for (component, failing) in [("a", &BOTH[..]), ("b", &BOTH[1..])] {
        let name = format!("fold result {component}");
        let value = read_signed(&cs, &name, 16);
        for wrong in [&value + 1, &value - 1, -&value] {
            let mut forged = cs.clone();
            forge_signed(&mut forged, &name, &wrong, 16);
            assert_eq!(congruences(&forged), failing);
        }
    }
    // The components exchanged.
    let mut forged = cs.clone();
    let (a, b) = (
        read_signed(&cs, "fold result a", 16),
        read_signed(&cs, "fold result b", 16),
    );
    forge_signed(&mut forged, "fold result a", &b, 16);
    forge_signed(&mut forged, "fold result b", &a, 16);
    // The second constraint is about the sum of the components, which stays.
    assert_eq!(congruences(&forged), BOTH[..1]);
}

#[test]
fn another_representative_needs_another_quotient() {
    // The one freedom of a fold: `x' + u pi` with `k - u` represents the same element of Q.
    let cs = instance(Form::Short);
    let pi = params().pi().clone();
    let limbs = Form::Short.quotient_limbs();
    let units = [(1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)];
    let mut in_range = 0;
    for (u, v) in units {
        let unit = Eisenstein::new(u, v);
        let a = read_signed(&cs, "fold result a", 16);
        let b = read_signed(&cs, "fold result b", 16);
        let shifted = Eisenstein::new(a, b).add(&unit.mul(&pi));
        let limit: BigInt = BigInt::one() << 127u32;
        if shifted.a >= limit || shifted.b >= limit || shifted.a < -&limit || shifted.b < -&limit {
            continue;
        }
        in_range += 1;
        let mut forged = cs.clone();
        forge_signed(&mut forged, "fold result a", &shifted.a, 16);
        forge_signed(&mut forged, "fold result b", &shifted.b, 16);
        let failed = congruences(&forged);
        assert!(!failed.is_empty() && failed.iter().all(|path| BOTH.contains(&path.as_str())));
        let ka = read_signed(&cs, "fold quotient a", limbs) - u;
        let kb = read_signed(&cs, "fold quotient b", limbs) - v;
        forge_signed(&mut forged, "fold quotient a", &ka, limbs);
        forge_signed(&mut forged, "fold quotient b", &kb, limbs);
        assert_eq!(congruences(&forged), Vec::<String>::new());
    }
    assert!(in_range > 0);
}

#[test]
fn a_carry_moved_between_limbs_is_rejected() {
    // 256 units of limb 0 are one of limb 1: the value is unchanged, so only the lookup can tell.
    let cs = instance(Form::Spread);
    let names = [
        "x a",
        "x b",
        "fold result a",
        "fold quotient b",
        "y byte",
        "y complement low",
    ];
    for name in names {
        let limb = |i: usize| cs.get(&format!("{name} {i}")).unwrap();
        let mut forged = cs.clone();
        forge(&mut forged, &format!("{name} 0"), limb(0) + F::from(256));
        forge(&mut forged, &format!("{name} 1"), limb(1) - F::ONE);
        let failed = paths(&forged);
        assert!(failed.contains(&"lookups/sums agree".to_string()), "{name}");
        if name != "y byte" {
            assert_eq!(failed, vec!["lookups/sums agree"], "{name}");
        }
    }
}

#[test]
fn a_limb_in_another_place_is_rejected() {
    // All limbs stay in the table and keep their multiplicities.
    let cs = instance(Form::Short);
    for name in ["fold result a", "fold quotient a", "x a"] {
        let limb = |i: usize| cs.get(&format!("{name} {i}")).unwrap();
        let (first, second) = (limb(0), limb(1));
        assert_ne!(first, second);
        let mut forged = cs.clone();
        forge(&mut forged, &format!("{name} 0"), second);
        forge(&mut forged, &format!("{name} 1"), first);
        let failed = paths(&forged);
        assert!(failed.contains(&BOTH[0].to_string()), "{name}: {failed:?}");
        assert!(
            failed.iter().all(|path| BOTH.contains(&path.as_str())),
            "{name}: {failed:?}"
        );
    }
}

#[test]
fn a_quotient_that_solves_the_equations_modulo_p_is_out_of_range() {
    // For a result that is wrong by one, some k in F^2 satisfies both congruences: solve
    // k pi = -1 in F[phi]. Its limbs are not in the table.
    let mut cs = instance(Form::Short);
    let result = cs.get("fold result a 0").unwrap();
    forge(&mut cs, "fold result a 0", result + F::ONE);
    let to_f = |x: &BigInt| {
        let (_, digits) = x.abs().to_u64_digits();
        let value = digits
            .iter()
            .rev()
            .fold(F::ZERO, |v, d| v * power_of_two::<F>(64) + F::from(*d));
        if x.is_negative() { -value } else { value }
    };
    let pi = params().pi().clone();
    let norm = to_f(&pi.norm()).invert().unwrap();
    let inverse = pi.conjugate();
    for (component, value) in [("a", &inverse.a), ("b", &inverse.b)] {
        let name = format!("fold quotient {component} 0");
        let limb = cs.get(&name).unwrap();
        forge(&mut cs, &name, limb - to_f(value) * norm);
    }
    assert_eq!(paths(&cs), vec!["lookups/sums agree"]);
}

#[test]
fn forged_products_fail_by_name() {
    let mut cs = instance(Form::Short);
    let value = cs.get("fold/r1 yb").unwrap();
    assert!(cs.set("fold/r1 yb", value + F::ONE));
    assert!(paths(&cs).contains(&"fold/r1 yb".to_string()));
}

/// A canonical value, and an element of a form that is enforced to be equal to it.
fn canonical<T: CircuitField, S: CircuitField>(
    value: &S,
    other: &S,
) -> (MockSystem<T>, CanonicalWires<T>) {
    let params = EisensteinParams::<T, S>::new().unwrap();
    let mut cs = MockSystem::new();
    let mut segment = FirstSegment::open(&mut cs);
    let limbs = CanonicalLimbs::alloc(&mut segment, &params, "v", value).unwrap();
    let element = ElementWires::alloc(&mut segment, &params, "x", other).unwrap();
    let forms = (Form::Spread, Form::Short);
    let equality = EqualityWires::alloc(&mut segment, &params, "equality", value, forms).unwrap();
    let lookups = segment.close().unwrap();
    let wires = limbs.constrain(&mut cs).unwrap();
    wires
        .enforce_equal_to(&mut cs, &element, &equality)
        .unwrap();
    constrain_lookups(&mut cs, &lookups);
    (cs, wires)
}

fn canonical_agrees<C: Cycle>() {
    let params = EisensteinParams::<C::F, C::Q>::new().unwrap();
    for value in samples::<C::Q>(10) {
        let (cs, wires) = canonical::<C::F, C::Q>(&value, &value);
        assert_eq!(paths(&cs), Vec::<String>::new());
        let halves = EisensteinParams::<C::F, C::Q>::canonical_halves(&value);
        assert_eq!([wires.low().value(), wires.high().value()], halves);
        assert_eq!(wires.element().value(&params), value);
        let components = params.components(&value, Form::Spread);
        assert_eq!(wires.element().components().map(Wire::value), components);
        assert_eq!(wires.element().form(), Form::Spread);
    }
}

#[test]
fn canonical_values_agree_with_the_native_twin_on_both_cycles() {
    canonical_agrees::<Bn254>();
    canonical_agrees::<Pasta>();
}

#[test]
fn every_canonical_witness_is_pinned() {
    let value = Q::random(ChaCha20Rng::seed_from_u64(21));
    let (mut cs, _) = canonical::<F, Q>(&value, &value);
    assert_eq!(cs.unpinned(), Vec::<String>::new());
    assert_eq!(cs.duplicates(), &[] as &[String]);
}

fn forge_bytes(cs: &mut MockSystem<F>, name: &str, value: &BigInt, count: usize) {
    let (_, bytes) = value.to_bytes_le();
    for i in 0..count {
        let byte = bytes.get(i).copied().unwrap_or(0);
        forge(cs, &format!("{name} {i}"), F::from(u64::from(byte)));
    }
}

#[test]
fn the_value_plus_the_modulus_is_not_canonical() {
    let q = params().modulus().clone();
    let half: BigInt = BigInt::one() << 128u32;
    for v in [0u64, 5, u64::MAX] {
        let (cs, _) = canonical::<F, Q>(&Q::from(v), &Q::from(v));
        let forged_value = BigInt::from(v) + &q;
        // The complement is negative. Nearby complements: zero, modulo 2^256, and such that the
        // low halves agree without or with a borrow.
        let negative: BigInt = -BigInt::from(v) - 1;
        let wrapped: BigInt = (BigInt::one() << 256u32) + &negative;
        let mut complements = vec![BigInt::zero(), wrapped.clone(), &wrapped % &half];
        complements.push(&q - 1 - BigInt::from(v));
        for complement in complements {
            let mut forged = cs.clone();
            forge_bytes(&mut forged, "v byte", &forged_value, CANONICAL_BYTES);
            forge_bytes(&mut forged, "v complement low", &(&complement % &half), 16);
            forge_bytes(&mut forged, "v complement high", &(&complement / &half), 16);
            let failed = congruences(&forged);
            let canonical = ["canonical borrow", "canonical value"];
            assert!(
                failed.iter().any(|path| canonical.contains(&path.as_str())),
                "{v}: {failed:?}"
            );
        }
    }
}

#[test]
fn a_forged_borrow_fails_by_name() {
    // Moving 2^128 of the complement between its halves, and any change of one half alone.
    let value = Q::random(ChaCha20Rng::seed_from_u64(22));
    let (cs, _) = canonical::<F, Q>(&value, &value);
    for change in [F::ONE, -F::ONE] {
        let mut forged = cs.clone();
        let limb = forged.get("v complement high 0").unwrap();
        forge(&mut forged, "v complement high 0", limb + change);
        let failed = congruences(&forged);
        assert!(
            failed.contains(&"canonical value".to_string()),
            "{failed:?}"
        );
        let mut forged = cs.clone();
        let limb = forged.get("v complement low 0").unwrap();
        forge(&mut forged, "v complement low 0", limb + change);
        assert_eq!(congruences(&forged), vec!["canonical value"]);
    }
    let mut forged = cs.clone();
    let limb = forged.get("v complement high 0").unwrap();
    forge(&mut forged, "v complement high 0", limb + F::from(2));
    let failed = congruences(&forged);
    assert!(
        failed.contains(&"canonical borrow".to_string()),
        "{failed:?}"
    );
}

#[test]
fn unequal_elements_are_rejected() {
    let value = Q::random(ChaCha20Rng::seed_from_u64(23));
    for other in [value + Q::ONE, -value, value * cube_root::<Q>(), Q::ZERO] {
        let (cs, _) = canonical::<F, Q>(&value, &other);
        let failed = paths(&cs);
        assert!(!failed.is_empty());
        assert!(
            failed
                .iter()
                .all(|path| path.starts_with("equal component")),
            "{failed:?}"
        );
    }
    let (cs, _) = canonical::<F, Q>(&value, &value);
    for (component, change) in [("a", 1), ("a", -1), ("b", 1), ("b", -1)] {
        let name = format!("equality quotient {component}");
        let mut forged = cs.clone();
        let wrong = read_signed(&forged, &name, EQUALITY_LIMBS) + change;
        forge_signed(&mut forged, &name, &wrong, EQUALITY_LIMBS);
        assert_eq!(
            congruences(&forged),
            vec!["equal component a", "equal component b"]
        );
    }
}

#[test]
fn constants_and_selections_keep_values_and_forms() {
    let params = params();
    let mut rng = ChaCha20Rng::seed_from_u64(24);
    let (x, y) = (Q::random(&mut rng), Q::random(&mut rng));
    for chosen in [false, true] {
        let mut cs = MockSystem::<F>::new();
        let mut segment = FirstSegment::open(&mut cs);
        let limbs = CanonicalLimbs::alloc(&mut segment, &params, "x", &x).unwrap();
        let lookups = segment.close().unwrap();
        let wires = limbs.constrain(&mut cs).unwrap();
        let constant = ElementWires::constant(&params, &y);
        assert_eq!(constant.value(&params), y);
        let bit = cs.boolean(|| "bit", chosen).unwrap();
        let selected =
            ElementWires::select(&mut cs, "selected", &bit, wires.element(), &constant).unwrap();
        assert_eq!(selected.value(&params), if chosen { x } else { y });
        assert_eq!(selected.form(), Form::Spread);
        constrain_lookups(&mut cs, &lookups);
        assert_eq!(paths(&cs), Vec::<String>::new());
        let value = cs.get("selected a").unwrap();
        assert!(cs.set("selected a", value + from_i64::<F>(1)));
        assert_eq!(paths(&cs), vec!["selected a"]);
    }
    assert_eq!(ElementWires::<F>::unit().value(&params), Q::ONE);
}

#[test]
fn fields_whose_bounds_do_not_hold_are_refused() {
    // The base field of secp256k1 has 256 bits: its shortest representatives need more limbs.
    let error = EisensteinParams::<F, halo2curves::secp256k1::Fp>::new().unwrap_err();
    assert!(matches!(error, EisensteinError::Bound { .. }), "{error}");
    assert!(error.to_string().contains("254 or 255 bits"));
}

#[test]
fn fields_that_do_not_fit_32_bytes_are_refused() {
    let error = EisensteinParams::<F, halo2curves::pluto_eris::Fp>::new().unwrap_err();
    assert!(matches!(error, EisensteinError::NoPrime { .. }), "{error}");
    assert!(error.to_string().contains("1 mod 3"));
}
