//! Elements of Q in a circuit over F: values, bounds, counts, forged witnesses.

use ff::Field;
use foldnet_compress::nonnative::{Element, LOW_BITS, NonNative, NonNativeError, SHORT_BITS};
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, cube_root};
use foldnet_gadgets::eisenstein::{Eisenstein, EisensteinParams, Form, element, modulus};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::{CircuitField, ConstraintSystem, Wire, WireSystem};
use num_bigint::{BigInt, BigUint};
use num_traits::{One, Signed};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

fn arithmetic<C: Cycle>() -> NonNative<C::F, C::Q> {
    NonNative::new(&EisensteinParams::new().unwrap())
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A challenge element with its scalar.
fn challenge<C: Cycle>(
    cs: &mut MockSystem<C::F>,
    nn: &NonNative<C::F, C::Q>,
    name: &str,
    rng: &mut impl RngCore,
) -> (Element<C::F>, C::Q) {
    let hash = C::F::random(rng);
    let mut cs = cs.namespace(|| name.to_string());
    let hash = cs.wire(|| "hash", hash).unwrap();
    let wires = ChallengeWires::from_hash(&mut cs, &hash).unwrap();
    let scalar = wires.value().scalar(cube_root::<C::Q>());
    (nn.from_challenge(&wires), scalar)
}

fn counted<S: CircuitField, T>(
    cs: &mut MockSystem<S>,
    run: impl FnOnce(&mut MockSystem<S>) -> T,
) -> (usize, T) {
    let before = cs.constraint_count();
    let result = run(cs);
    (cs.constraint_count() - before, result)
}

fn satisfied<S: CircuitField>(cs: &MockSystem<S>) {
    let failures: Vec<_> = cs.failures().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

/// `[receive, challenge product, challenge times challenge, full product, 8 products, equality of
/// received elements, equality of a difference of products, reduction of a sum]`.
fn counts<C: Cycle>() -> [usize; 8] {
    let nn = arithmetic::<C>();
    let mut rng = rng(1);
    let mut cs = MockSystem::default();
    let x = C::Q::random(&mut rng);
    let (receive, a) = counted(&mut cs, |cs| nn.alloc(cs, "a", &x).unwrap());
    let y = C::Q::random(&mut rng);
    let b = nn.alloc(&mut cs, "b", &y).unwrap();
    let (r, s) = challenge::<C>(&mut cs, &nn, "r", &mut rng);
    let (by_challenge, p) = counted(&mut cs, |cs| nn.multiply(cs, "ra", &r, &a).unwrap());
    assert_eq!(nn.value(&p), s * x);
    let (lazy, p) = counted(&mut cs, |cs| nn.multiply(cs, "rr", &r, &r).unwrap());
    assert_eq!(nn.value(&p), s * s);
    let (full, p) = counted(&mut cs, |cs| nn.multiply(cs, "ab", &a, &b).unwrap());
    assert_eq!(nn.value(&p), x * y);
    let pairs = vec![(a.clone(), b.clone()); 8];
    let (eight, p8) = counted(&mut cs, |cs| nn.inner_product(cs, "8", &pairs).unwrap());
    assert_eq!(nn.value(&p8), x * y * C::Q::from(8));
    let again = nn.alloc(&mut cs, "p again", &(x * y)).unwrap();
    let (equal, ()) = counted(&mut cs, |cs| {
        nn.enforce_equal(cs, "received", &p, &again).unwrap();
    });
    let (equal_sum, ()) = counted(&mut cs, |cs| {
        nn.enforce_equal(cs, "eight", &p8, &p.scale(8)).unwrap();
    });
    let (reduce, _) = counted(&mut cs, |cs| nn.reduce(cs, "sum", &a.add(&b)).unwrap());
    satisfied(&cs);
    [
        receive,
        by_challenge,
        lazy,
        full,
        eight,
        equal,
        equal_sum,
        reduce,
    ]
}

#[test]
fn counts_are_pinned() {
    let expected = [256, 391, 6, 550, 604, 6, 10, 264];
    assert_eq!(counts::<Bn254>(), expected);
    assert_eq!(counts::<Pasta>(), expected);
}

/// Overwrites a range-checked integer of `n` bits; `variable` when it has one of its own.
fn set_signed(cs: &mut MockSystem<F>, path: &str, value: &BigInt, n: usize, variable: bool) {
    let shifted = value + (BigInt::one() << (n - 1));
    let bits = if variable {
        assert!(cs.set(path, element(value)));
        n - 1
    } else {
        n
    };
    for i in 0..bits {
        let bit = shifted.magnitude().bit(i as u64) && !shifted.is_negative();
        assert!(cs.set(&format!("{path} bit {i}"), F::from(u64::from(bit))));
    }
}

/// The number of bits allocated under a path.
fn width(cs: &MockSystem<F>, path: &str) -> usize {
    (0..)
        .take_while(|i| cs.get(&format!("{path} bit {i}")).is_some())
        .count()
}

fn set_pair(cs: &mut MockSystem<F>, path: &str, value: &Eisenstein, variable: bool) {
    for (name, value) in [("a", &value.a), ("b", &value.b)] {
        let path = format!("{path} {name}");
        let n = width(cs, &path) + usize::from(variable);
        set_signed(cs, &path, value, n, variable);
    }
}

fn failing(cs: &MockSystem<F>) -> Vec<String> {
    cs.failures().into_iter().map(|f| f.path).collect()
}

/// A full product `ab` of 8 times a received element by another, with the integers. The factor
/// makes the quotient wide enough for forgeries to fit.
struct Product {
    cs: MockSystem<F>,
    nn: NonNative<F, Q>,
    a: Eisenstein,
    b: Eisenstein,
}

fn product() -> Product {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let mut rng = rng(2);
    let (x, y) = (Q::random(&mut rng), Q::random(&mut rng));
    let a = nn.alloc(&mut cs, "a", &x).unwrap();
    let b = nn.alloc(&mut cs, "b", &y).unwrap();
    nn.multiply(&mut cs, "ab", &a.scale(8), &b).unwrap();
    satisfied(&cs);
    let (a, b) = (nn.params().decompose(&x), nn.params().decompose(&y));
    let a = Eisenstein::new(8, 0).mul(&a);
    Product { cs, nn, a, b }
}

impl Product {
    /// Sets result and quotient so that `V = a b - result - k pi` takes a value.
    fn forge(&mut self, result: &Eisenstein, v: &Eisenstein) {
        let rest = self.a.mul(&self.b).sub(result).sub(v);
        let k = rest.divide(self.nn.params().pi());
        assert_eq!(k.mul(self.nn.params().pi()), rest, "not a multiple of pi");
        set_pair(&mut self.cs, "ab/result", result, true);
        set_pair(&mut self.cs, "ab/quotient", &k, false);
    }

    fn shortest(&self, x: &Eisenstein) -> Eisenstein {
        let params = self.nn.params();
        params.decompose(&params.recompose(x))
    }
}

#[test]
fn every_variable_of_a_product_is_pinned() {
    let mut product = product();
    let free = product.cs.unpinned();
    assert!(free.is_empty(), "{free:?}");
}

#[test]
fn mutations_fail_the_named_constraint() {
    let cases = [
        ("ab/result a", "ab/result a top bit"),
        ("ab/result a bit 3", "ab/result a bit 3"),
        ("ab/result b bit 126", "ab/result b bit 126"),
        ("ab/quotient a bit 0", "ab/quotient a bit 0"),
        ("ab/quotient b bit 100", "ab/quotient b bit 100"),
        ("ab/component cross", "ab/component cross"),
        ("ab/low cross", "ab/low cross"),
        ("ab/carry a bit 2", "ab/carry a bit 2"),
        ("a a", "a a top bit"),
    ];
    for (variable, constraint) in cases {
        let mut cs = product().cs;
        let value = cs.get(variable).unwrap();
        assert!(cs.set(variable, value + F::from(2)));
        assert!(failing(&cs).contains(&constraint.to_string()), "{variable}");
    }
}

#[test]
fn flipped_bits_fail_the_congruence() {
    let cases = [
        ("ab/quotient a bit 0", "ab/component a"),
        ("ab/quotient b bit 100", "ab/component a"),
        ("ab/carry a bit 2", "ab/low a"),
        ("ab/carry b bit 0", "ab/low b"),
        ("ab/result a bit 3", "ab/result a top bit"),
    ];
    for (variable, constraint) in cases {
        let mut cs = product().cs;
        let value = cs.get(variable).unwrap();
        assert!(cs.set(variable, F::ONE - value));
        assert!(failing(&cs).contains(&constraint.to_string()), "{variable}");
    }
}

#[test]
fn another_product_is_rejected() {
    let mut product = product();
    let honest = product.shortest(&product.a.mul(&product.b));
    set_pair(
        &mut product.cs,
        "ab/result",
        &honest.add(&Eisenstein::new(1, 0)),
        true,
    );
    assert_eq!(failing(&product.cs)[0], "ab/component a");
}

/// The congruence holds modulo `p` but not over the integers: `V = p`. Only the second modulus
/// catches it.
#[test]
fn wrap_around_the_native_modulus_is_rejected_by_the_second_modulus() {
    // The second component is checked on top of the first.
    let both = ["ab/low a", "ab/low b"];
    for (v, expected) in [
        ((1, 0), &both[..]),
        ((0, 1), &both[1..]),
        ((-3, 0), &both[..]),
    ] {
        let mut product = product();
        let p = Eisenstein::new(modulus::<F>(), 0);
        let v = Eisenstein::new(v.0, v.1).mul(&p);
        let result = product.shortest(&product.a.mul(&product.b).sub(&v));
        product.forge(&result, &v);
        assert_eq!(failing_but_carries(&mut product.cs), expected);
    }
}

/// What fails whatever the carries are: they are set to the best value for the low constraints.
fn failing_but_carries(cs: &mut MockSystem<F>) -> Vec<String> {
    let mut last = failing(cs);
    for name in ["a", "b"] {
        let constraint = format!("ab/low {name}");
        let Some(failure) = cs.failures().into_iter().find(|f| f.path == constraint) else {
            continue;
        };
        // The carry enters the right-hand side with weight 2^LOW_BITS.
        let missing = failure.a * failure.b - failure.c;
        let radix = F::from(1 << LOW_BITS).invert().unwrap();
        let path = format!("ab/carry {name}");
        let n = width(cs, &path);
        let old = (0..n).fold(BigInt::default(), |sum, i| {
            let bit = cs.get(&format!("{path} bit {i}")).unwrap() == F::ONE;
            sum + (BigInt::from(u8::from(bit)) << i)
        }) - (BigInt::one() << (n - 1));
        let new = foldnet_gadgets::eisenstein::signed(&(element::<F>(&old) + missing * radix));
        if new.bits() < n as u64 {
            set_signed(cs, &path, &new, n, false);
        }
        last = failing(cs);
    }
    last
}

/// `result + u pi` is the same element; it is accepted only within the range.
#[test]
fn representatives_beyond_the_bounds_are_rejected() {
    let mut product = product();
    let honest = product.shortest(&product.a.mul(&product.b));
    let pi = product.nn.params().pi().clone();
    let far = honest.add(&Eisenstein::new(8, 0).mul(&pi));
    assert!(far.a.abs() >= BigInt::one() << (SHORT_BITS - 1));
    product.forge(&far, &Eisenstein::default());
    let failures = failing(&product.cs);
    assert!(
        failures.contains(&"ab/result a top bit".to_string()),
        "{failures:?}"
    );
}

/// Which representative within the range is taken is free, as documented.
#[test]
fn representatives_within_the_bounds_are_accepted() {
    let mut accepted = 0;
    for (a, b) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)] {
        let mut product = product();
        let honest = product.shortest(&product.a.mul(&product.b));
        let pi = product.nn.params().pi().clone();
        let other = honest.add(&Eisenstein::new(a, b).mul(&pi));
        let limit: BigInt = BigInt::one() << (SHORT_BITS - 1);
        if other.a.abs() >= limit || other.b.abs() >= limit {
            continue;
        }
        product.forge(&other, &Eisenstein::default());
        assert_eq!(failing_but_carries(&mut product.cs), Vec::<String>::new());
        accepted += 1;
    }
    assert!(accepted > 0);
}

#[test]
fn unequal_elements_are_rejected() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let a = nn.alloc(&mut cs, "a", &Q::from(5)).unwrap();
    let b = nn.alloc(&mut cs, "b", &Q::from(6)).unwrap();
    nn.enforce_equal(&mut cs, "equal", &a, &b).unwrap();
    assert_eq!(failing(&cs), ["equal/component a"]);
}

#[test]
fn bounds_that_wrap_around_are_errors() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let a = nn.alloc(&mut cs, "a", &Q::from(5)).unwrap();
    let wide = a.scale(i64::MAX).scale(i64::MAX).scale(i64::MAX);
    let results = [
        nn.multiply(&mut cs, "product", &wide, &a).map(|_| ()),
        nn.reduce(&mut cs, "reduce", &wide).map(|_| ()),
        nn.enforce_equal(&mut cs, "equal", &wide, &a),
    ];
    for result in results {
        assert!(matches!(result, Err(NonNativeError::Bound { .. })));
    }
    let wires = [Wire::one(), Wire::zero()];
    let taken = nn.from_components(wires, &(BigUint::one() << 253u32));
    assert!(matches!(taken, Err(NonNativeError::Bound { .. })));
    let message = nn.reduce(&mut cs, "again", &wide).unwrap_err().to_string();
    assert!(message.contains("reduce the operands earlier"), "{message}");
}

#[test]
fn computed_elements_are_not_hashed() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let a = nn.alloc(&mut cs, "a", &Q::from(5)).unwrap();
    assert!(a.hashed().is_ok());
    assert!(matches!(a.add(&a).hashed(), Err(NonNativeError::Computed)));
    assert!(nn.constant(&Q::ONE).hashed().is_err());
}

/// Elements without low parts are reduced before the second modulus needs them.
#[test]
fn components_from_elsewhere_are_reduced_when_needed() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let mut rng = rng(3);
    let x = Q::random(&mut rng);
    let components = nn.params().components(&x, Form::Short);
    let wires = ["x a", "x b"].map(|name| name.to_string());
    let wires = [
        cs.wire(|| wires[0].clone(), components[0]).unwrap(),
        cs.wire(|| wires[1].clone(), components[1]).unwrap(),
    ];
    let bound = BigUint::one() << 127u32;
    let a = nn.from_components(wires, &bound).unwrap();
    let (r, s) = challenge::<Bn254>(&mut cs, &nn, "r", &mut rng);
    let cheap = nn.multiply(&mut cs, "cheap", &r, &a).unwrap();
    assert_eq!(nn.value(&cheap), s * x);
    let square = nn.multiply(&mut cs, "square", &a, &a).unwrap();
    assert_eq!(nn.value(&square), x * x);
    assert!(cs.get("square/operand 0/result a").is_some());
    assert!(cs.get("cheap/operand 0/result a").is_none());
    satisfied(&cs);
}

#[test]
fn long_inner_products_are_split() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let mut rng = rng(4);
    let (x, y) = (Q::random(&mut rng), Q::random(&mut rng));
    let a = nn.alloc(&mut cs, "a", &x).unwrap();
    let b = nn.alloc(&mut cs, "b", &y).unwrap();
    let pairs = vec![(a, b); 150];
    let sum = nn.inner_product(&mut cs, "sum", &pairs).unwrap();
    assert_eq!(nn.value(&sum), x * y * Q::from(150));
    satisfied(&cs);
}

/// Extreme values: the largest components, zero, one, minus one.
#[test]
fn corner_values() {
    let nn = arithmetic::<Bn254>();
    let values = [
        Q::ZERO,
        Q::ONE,
        -Q::ONE,
        Q::from(u64::MAX),
        cube_root::<Q>(),
        (Q::ONE + Q::ONE).invert().unwrap(),
        Q::from(3).invert().unwrap(),
    ];
    for (i, x) in values.iter().enumerate() {
        for (j, y) in values.iter().enumerate() {
            let mut cs = MockSystem::default();
            let a = nn.alloc(&mut cs, "a", x).unwrap();
            let b = nn.alloc(&mut cs, "b", y).unwrap();
            let c = nn.multiply(&mut cs, "c", &a, &b).unwrap();
            let expected = nn.constant(&(*x * y));
            nn.enforce_equal(&mut cs, "equal", &c, &expected).unwrap();
            let d = nn.multiply(&mut cs, "d", &a, &nn.constant(y)).unwrap();
            nn.enforce_equal(&mut cs, "same", &c, &d).unwrap();
            assert!(cs.failures().is_empty(), "{i} {j}: {:?}", failing(&cs));
        }
    }
}

#[test]
fn small_constants_cost_nothing() {
    let nn = arithmetic::<Bn254>();
    let mut cs = MockSystem::default();
    let x = Q::from(77);
    let a = nn.alloc(&mut cs, "a", &x).unwrap();
    let before = cs.constraint_count();
    let two = nn
        .multiply(&mut cs, "two", &nn.constant(&Q::from(2)), &a)
        .unwrap();
    let minus = nn
        .multiply(&mut cs, "minus", &nn.constant(&-Q::ONE), &a)
        .unwrap();
    let phi = nn.constant(&cube_root::<Q>());
    let image = nn.multiply(&mut cs, "phi", &phi, &a).unwrap();
    assert_eq!(cs.constraint_count(), before);
    assert_eq!(nn.value(&two), x + x);
    assert_eq!(nn.value(&minus), -x);
    assert_eq!(nn.value(&image), x * cube_root::<Q>());
}

/// A step of a random expression on a growing list of elements.
#[derive(Clone, Debug)]
enum Operation {
    Add(usize, usize),
    Sub(usize, usize),
    Scale(i64, usize),
    Multiply(usize, usize),
    Inner(Vec<(usize, usize)>),
    Constant(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let index = || any::<usize>();
    prop_oneof![
        (index(), index()).prop_map(|(a, b)| Operation::Add(a, b)),
        (index(), index()).prop_map(|(a, b)| Operation::Sub(a, b)),
        (-9i64..9, index()).prop_map(|(f, a)| Operation::Scale(f, a)),
        (index(), index()).prop_map(|(a, b)| Operation::Multiply(a, b)),
        prop::collection::vec((index(), index()), 1..5).prop_map(Operation::Inner),
        any::<u64>().prop_map(Operation::Constant),
    ]
}

fn run<C: Cycle>(seed: u64, operations: &[Operation]) {
    let nn = arithmetic::<C>();
    let mut rng = rng(seed);
    let mut cs = MockSystem::default();
    let mut values = Vec::new();
    for i in 0..2 {
        let x = C::Q::random(&mut rng);
        values.push((nn.alloc(&mut cs, &format!("x {i}"), &x).unwrap(), x));
        values.push(challenge::<C>(&mut cs, &nn, &format!("r {i}"), &mut rng));
    }
    let wide = Challenge::new(u64::MAX, 0);
    let wide = nn.constant(&wide.scalar(cube_root::<C::Q>()));
    values.push((wide.clone(), nn.value(&wide)));
    for (i, operation) in operations.iter().enumerate() {
        let get = |i: &usize| &values[i % values.len()];
        let name = format!("operation {i}");
        let next = match operation {
            Operation::Add(a, b) => (get(a).0.add(&get(b).0), get(a).1 + get(b).1),
            Operation::Sub(a, b) => (get(a).0.sub(&get(b).0), get(a).1 - get(b).1),
            Operation::Scale(f, a) => (
                get(a).0.scale(*f),
                foldnet_gadgets::field::from_i64::<C::Q>(*f) * get(a).1,
            ),
            Operation::Multiply(a, b) => {
                let product = nn.multiply(&mut cs, &name, &get(a).0, &get(b).0);
                (product.unwrap(), get(a).1 * get(b).1)
            }
            Operation::Inner(pairs) => {
                let value = pairs.iter().map(|(a, b)| get(a).1 * get(b).1).sum();
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(a, b)| (get(a).0.clone(), get(b).0.clone()))
                    .collect();
                (nn.inner_product(&mut cs, &name, &pairs).unwrap(), value)
            }
            Operation::Constant(c) => (nn.constant(&C::Q::from(*c)), C::Q::from(*c)),
        };
        values.push(next);
    }
    for (i, (element, value)) in values.iter().enumerate() {
        assert_eq!(nn.value(element), *value, "{i}");
        let expected = nn.constant(value);
        nn.enforce_equal(&mut cs, &format!("check {i}"), element, &expected)
            .unwrap();
    }
    satisfied(&cs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_expressions(seed: u64, operations in prop::collection::vec(operation(), 1..14)) {
        run::<Bn254>(seed, &operations);
        run::<Pasta>(seed, &operations);
    }
}
