//! Arithmetic over Q in a circuit over F: the same verdicts and transcripts as natively.

use ff::Field;
use foldnet_compress::arithmetic::{
    Arithmetic, CircuitArithmetic, CircuitSecondary, NativeSecondary, Oracle,
};
use foldnet_compress::error::Rejected;
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, cube_root};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::{CircuitField, SynthesisError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const TAG: Tag = Tag::new("foldnet test secondary");

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

/// Rounds of a quadratic sum-check with the eq factor taken out, then the check of the claim.
struct Proof<S> {
    tau: usize,
    rounds: Vec<[S; 2]>,
    last: S,
}

/// The text that runs natively and in the circuit. Returns every challenge and the claim.
fn verify<A: Arithmetic>(
    arithmetic: &mut A,
    proof: &Proof<A::Field>,
) -> Result<Vec<A::Field>, A::Error> {
    let mut challenges = Vec::new();
    let mut tau = Vec::new();
    for _ in 0..proof.tau {
        tau.push(arithmetic.challenge("tau")?);
    }
    let one = arithmetic.constant(A::Field::ONE);
    let mut claim = arithmetic.constant(A::Field::ZERO);
    for (tau, [c1, c2]) in tau.iter().zip(&proof.rounds) {
        let c1 = arithmetic.receive("c1", *c1)?;
        let c2 = arithmetic.receive("c2", *c2)?;
        arithmetic.absorb(&[c1.clone(), c2.clone()])?;
        let r = arithmetic.challenge("r")?;
        let square = arithmetic.multiply("r squared", &r, &r)?;
        // c0 + r c1 + r^2 c2 with c0 = claim - tau (c1 + c2).
        let pairs = [
            (one.clone(), claim),
            (arithmetic.sub(&r, tau), c1),
            (arithmetic.sub(&square, tau), c2),
        ];
        claim = arithmetic.inner_product("claim", &pairs)?;
        challenges.push(arithmetic.value(&r));
    }
    let last = arithmetic.receive("last", proof.last)?;
    arithmetic.absorb(std::slice::from_ref(&last))?;
    arithmetic.enforce_equal("the claim", &claim, &last)?;
    let end = arithmetic.challenge("end")?;
    challenges.push(arithmetic.value(&end));
    challenges.push(arithmetic.value(&claim));
    Ok(challenges)
}

struct Fixture<C: Cycle> {
    constants: HashConstants<C::F>,
    params: EisensteinParams<C::F, C::Q>,
}

impl<C: Cycle> Fixture<C> {
    fn new() -> Self {
        Fixture {
            constants: HashConstants::default(),
            params: EisensteinParams::new().unwrap(),
        }
    }

    fn native(&self, proof: &Proof<C::Q>) -> Result<Vec<C::Q>, Rejected> {
        let mut transcript = Transcript::new(&self.constants, TAG);
        verify(
            &mut NativeSecondary::new(&mut transcript, &self.params),
            proof,
        )
    }

    fn circuit(
        &self,
        cs: &mut MockSystem<C::F>,
        proof: &Proof<C::Q>,
    ) -> Result<Vec<C::Q>, SynthesisError> {
        let mut transcript = TranscriptCircuit::new(&self.constants, TAG);
        verify(
            &mut CircuitSecondary::new(cs, &mut transcript, &self.params),
            proof,
        )
    }

    /// A proof whose last value is right.
    fn proof(&self, rounds: usize, seed: u64) -> Proof<C::Q> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut proof = Proof {
            tau: rounds,
            rounds: (0..rounds)
                .map(|_| [C::Q::random(&mut rng), C::Q::random(&mut rng)])
                .collect(),
            last: C::Q::ZERO,
        };
        let mut transcript = Transcript::new(&self.constants, TAG);
        let mut arithmetic = NativeSecondary::new(&mut transcript, &self.params);
        let tau: Vec<C::Q> = (0..rounds)
            .map(|_| Oracle::challenge(&mut arithmetic))
            .collect();
        for (tau, [c1, c2]) in tau.iter().zip(&proof.rounds) {
            Oracle::absorb(&mut arithmetic, &[*c1, *c2]);
            let r = Oracle::challenge(&mut arithmetic);
            let c0 = proof.last - *tau * (*c1 + c2);
            proof.last = c0 + r * (*c1 + r * c2);
        }
        proof
    }
}

fn failing<S: CircuitField>(cs: &MockSystem<S>) -> Vec<String> {
    cs.failures().into_iter().map(|f| f.path).collect()
}

fn agree<C: Cycle>() {
    let fixture = Fixture::<C>::new();
    for seed in 0..3 {
        let proof = fixture.proof(4, seed);
        let native = fixture.native(&proof).unwrap();
        let mut cs = MockSystem::default();
        let circuit = fixture.circuit(&mut cs, &proof).unwrap();
        assert_eq!(native, circuit);
        assert!(failing(&cs).is_empty(), "{:?}", failing(&cs));
        assert!(cs.duplicates().is_empty());
    }
}

#[test]
fn challenges_and_claims_are_those_of_the_native_verifier() {
    agree::<Bn254>();
    agree::<Pasta>();
}

#[test]
fn verdicts_are_those_of_the_native_verifier() {
    let fixture = Fixture::<Bn254>::new();
    for change in 0..3 {
        let mut proof = fixture.proof(2, 9);
        match change {
            0 => proof.last += Q::ONE,
            1 => proof.rounds[0][0] += Q::ONE,
            _ => proof.rounds[1][1] += Q::ONE,
        }
        let check = "the claim";
        assert_eq!(fixture.native(&proof), Err(Rejected::Check { check }));
        let mut cs = MockSystem::default();
        fixture.circuit(&mut cs, &proof).unwrap();
        let failures = failing(&cs);
        assert!(!failures.is_empty());
        assert!(
            failures.iter().all(|path| path.starts_with("the claim ")),
            "{failures:?}"
        );
    }
}

/// Every variable class: whatever single variable changes, some constraint fails.
#[test]
fn every_variable_is_pinned() {
    let fixture = Fixture::<Bn254>::new();
    let mut cs = MockSystem::default();
    fixture.circuit(&mut cs, &fixture.proof(1, 5)).unwrap();
    // The hint of a zero test is free where the value is zero, and the result does not depend on it.
    let free = cs.unpinned().into_iter();
    let free: Vec<_> = free
        .filter(|path| !(path.contains("canonical run") && path.ends_with("hint")))
        .collect();
    assert_eq!(free, Vec::<String>::new());
}

#[test]
fn counts_are_pinned() {
    let fixture = Fixture::<Bn254>::new();
    let mut counts = Vec::new();
    let mut cs = MockSystem::<F>::default();
    let mut transcript = TranscriptCircuit::new(&fixture.constants, TAG);
    let mut arithmetic = CircuitSecondary::new(&mut cs, &mut transcript, &fixture.params);
    let mut mark = |name, arithmetic: &mut CircuitSecondary<'_, F, Q, MockSystem<F>>| {
        counts.push((name, arithmetic.system().constraint_count()));
    };
    let x = arithmetic.receive("x", Q::from(5).invert().unwrap());
    let x = x.unwrap();
    mark("receive", &mut arithmetic);
    arithmetic.absorb(&[x.clone(), x.clone()]).unwrap();
    let r = arithmetic.challenge("r").unwrap();
    mark("challenge after two elements", &mut arithmetic);
    let tau = arithmetic.challenge("tau").unwrap();
    mark("challenge", &mut arithmetic);
    arithmetic.multiply("rx", &r, &x).unwrap();
    mark("product by a challenge", &mut arithmetic);
    let square = arithmetic.multiply("rr", &r, &r).unwrap();
    mark("product of challenges", &mut arithmetic);
    arithmetic.multiply("xx", &x, &x).unwrap();
    mark("full product", &mut arithmetic);
    let claim = [
        (arithmetic.constant(Q::ONE), x.clone()),
        (arithmetic.sub(&r, &tau), x.clone()),
        (arithmetic.sub(&square, &tau), x),
    ];
    arithmetic.inner_product("claim", &claim).unwrap();
    mark("next claim of a sum-check", &mut arithmetic);
    for i in (1..counts.len()).rev() {
        counts[i].1 -= counts[i - 1].1;
    }
    let expected = [
        ("receive", 256),
        ("challenge after two elements", 790),
        ("challenge", 790),
        ("product by a challenge", 391),
        ("product of challenges", 6),
        ("full product", 550),
        ("next claim of a sum-check", 594),
    ];
    assert_eq!(counts, expected);
}

/// `s = c_0 + c_1 lambda` with `c_k = sum_i 2^i bit_i - 2^127`.
#[test]
fn scalar_bits_recompose() {
    let fixture = Fixture::<Bn254>::new();
    let mut cs = MockSystem::<F>::default();
    let mut transcript = TranscriptCircuit::new(&fixture.constants, TAG);
    let mut arithmetic = CircuitSecondary::new(&mut cs, &mut transcript, &fixture.params);
    let x = arithmetic.receive("x", -Q::from(77)).unwrap();
    let r = arithmetic.challenge("r").unwrap();
    let cases = [x.clone(), r.clone(), arithmetic.add(&x, &r)];
    for case in &cases {
        let bits = arithmetic.scalar_bits("bits", case).unwrap();
        let recomposed = bits.components.map(|bits| {
            assert_eq!(bits.len(), 128);
            let bits = bits.iter().rev();
            let sum = bits.fold(Q::ZERO, |sum, bit| {
                assert!(bit.value() == F::ZERO || bit.value() == F::ONE);
                sum.double() + Q::from(u64::from(bit.value() == F::ONE))
            });
            sum - Q::from(2).pow_vartime([127])
        });
        let scalar = recomposed[0] + recomposed[1] * cube_root::<Q>();
        assert_eq!(scalar, arithmetic.value(case));
    }
    assert!(failing(&cs).is_empty());
}

#[test]
fn challenge_wires_are_the_native_digits() {
    let fixture = Fixture::<Bn254>::new();
    let mut cs = MockSystem::<F>::default();
    let mut transcript = TranscriptCircuit::new(&fixture.constants, TAG);
    let mut native = Transcript::new(&fixture.constants, TAG);
    let mut arithmetic = CircuitSecondary::new(&mut cs, &mut transcript, &fixture.params);
    let (wires, element) = arithmetic.challenge_wires("r").unwrap();
    let digits: Challenge = NativeSecondary::new(&mut native, &fixture.params).digits();
    assert_eq!(wires.value(), digits);
    assert_eq!(arithmetic.value(&element), digits.scalar(cube_root::<Q>()));
    // A squeezed element may be absorbed: its components are the shortest.
    arithmetic.absorb(std::slice::from_ref(&element)).unwrap();
    let next = arithmetic.challenge("next").unwrap();
    let next = arithmetic.value(&next);
    let mut twin = NativeSecondary::new(&mut native, &fixture.params);
    Oracle::absorb(&mut twin, &[digits.scalar(cube_root::<Q>())]);
    assert_eq!(next, Oracle::challenge(&mut twin));
}

#[test]
fn computed_elements_are_not_absorbed() {
    let fixture = Fixture::<Bn254>::new();
    let mut cs = MockSystem::<F>::default();
    let mut transcript = TranscriptCircuit::new(&fixture.constants, TAG);
    let mut arithmetic = CircuitSecondary::new(&mut cs, &mut transcript, &fixture.params);
    let x = arithmetic.receive("x", Q::from(5)).unwrap();
    let sum = arithmetic.add(&x, &x);
    let error = arithmetic.absorb(&[sum]).unwrap_err().to_string();
    assert!(error.contains("only those are absorbed"), "{error}");
}
