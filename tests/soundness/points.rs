//! The CycleFold circuit by itself: operations that are false, and points that it refuses.

use ff::Field;
use foldnet::fold::cyclefold::{self, Operation, Operations};
use foldnet::fold::r1cs::Shape;
use foldnet::key::CommitmentKey;
use foldnet::key::source::{KeyEngine, KeySource};
use foldnet_gadgets::challenge::Challenge;
use foldnet_gadgets::commitment::Commitment;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta, endomorphism};
use nova_snark::provider::traits::DlogGroup;
use nova_snark::traits::Engine;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

struct Circuit<C: KeySource> {
    shape: Shape<C::Secondary>,
    key: CommitmentKey<C::Secondary>,
}

impl<C: KeySource> Circuit<C>
where
    C::Secondary: KeyEngine,
{
    fn new() -> Self {
        let shape = cyclefold::shape::<C>().unwrap();
        let key = CommitmentKey::derive(shape.key_size(), &mut |_| {}).unwrap();
        Circuit { shape, key }
    }

    /// Whether an instance of these operations, with the witness that the prover computes, is
    /// satisfied.
    fn accepts(&self, operations: &Operations<C>) -> bool {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (fresh, witness) =
            cyclefold::prove(&self.shape, &self.key, operations, &mut rng).unwrap();
        self.shape
            .check_fresh(&self.key, &fresh, &witness, "it")
            .is_ok()
    }
}

fn multiple<C: Cycle>(n: u64) -> Commitment<C::Primary> {
    let generator = <<C::Primary as Engine>::GE as DlogGroup>::r#gen();
    Commitment::new(generator * C::F::from(n))
}

fn operations<C: Cycle>() -> (Operations<C>, [C::F; 4]) {
    let (_, lambda) = endomorphism::<C::Primary>();
    let fold = Challenge::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    let accumulate = Challenge::new(0xdead_beef, 0x1357_9bdf);
    let scalars = [fold, fold, fold, accumulate].map(|challenge| challenge.scalar(lambda));
    let operations = std::array::from_fn(|j| {
        let (p, q) = (
            multiple::<C>(10 + 2 * j as u64),
            multiple::<C>(11 + 2 * j as u64),
        );
        Operation::perform(p, q, scalars[j])
    });
    let operations = Operations {
        fold,
        accumulate,
        operations,
    };
    (operations, scalars)
}

fn rejects_on<C: KeySource>()
where
    C::Secondary: KeyEngine,
{
    let circuit = Circuit::<C>::new();
    let (honest, scalars) = operations::<C>();
    assert!(circuit.accepts(&honest));
    let stranger = multiple::<C>(99);
    let identity = Commitment::new(stranger.point() * C::F::ZERO);
    for (j, r) in scalars.into_iter().enumerate() {
        let alter = |change: &dyn Fn(&mut Operation<C::Primary>)| {
            let mut forged = honest.clone();
            change(&mut forged.operations[j]);
            circuit.accepts(&forged)
        };
        // SECURITY 3: another point in one place.
        assert!(!alter(&|o| o.p = stranger), "p {j}");
        assert!(!alter(&|o| o.q = stranger), "q {j}");
        assert!(!alter(&|o| o.result = stranger), "result {j}");
        // The negated result has the right abscissa.
        let negated = |o: &mut Operation<C::Primary>| {
            o.result = Commitment::new(o.result.point() * -C::F::ONE);
        };
        assert!(!alter(&negated), "negated {j}");
        // SECURITY 14: the identity is not a point of the curve, wherever it stands.
        assert!(
            !alter(&|o| *o = Operation::perform(identity, o.q, r)),
            "P = O {j}"
        );
        assert!(
            !alter(&|o| *o = Operation::perform(o.p, identity, r)),
            "Q = O {j}"
        );
        // SECURITY 14: equal abscissas in the last addition carry a forced inverse.
        let opposite = |o: &mut Operation<C::Primary>| {
            *o = Operation::perform(Commitment::new(o.q.point() * -r), o.q, r);
        };
        assert!(!alter(&opposite), "P = -rQ {j}");
        let equal = |o: &mut Operation<C::Primary>| {
            *o = Operation::perform(Commitment::new(o.q.point() * r), o.q, r);
        };
        assert!(!alter(&equal), "P = rQ {j}");
        // A result that pretends that the sum is one of the operands.
        assert!(!alter(&|o| o.result = o.p), "result = P {j}");
    }
    // Another challenge for one of the two, with results for the honest one.
    let mut forged = honest.clone();
    forged.fold = honest.accumulate;
    assert!(!circuit.accepts(&forged));
    let mut forged = honest;
    forged.accumulate = forged.fold;
    assert!(!circuit.accepts(&forged));
}

#[test]
fn line_14_false_and_exceptional_operations_are_rejected_on_bn254() {
    rejects_on::<Bn254>();
}

#[test]
fn line_14_false_and_exceptional_operations_are_rejected_on_pasta() {
    rejects_on::<Pasta>();
}

/// Doubling and the digits at their extremes are no exceptions before the last addition.
#[test]
fn line_14_equal_operands_and_extreme_challenges_are_accepted() {
    let circuit = Circuit::<Bn254>::new();
    let (_, lambda) = endomorphism::<<Bn254 as Cycle>::Primary>();
    for (choices, signs) in [(0, 0), (0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        let challenge = Challenge::new(choices, signs);
        let scalar = challenge.scalar(lambda);
        assert_ne!(scalar, <Bn254 as Cycle>::F::ZERO);
        let point = multiple::<Bn254>(5);
        let operation = Operation::perform(point, point, scalar);
        let operations = Operations {
            fold: challenge,
            accumulate: challenge,
            operations: [operation; 4],
        };
        assert!(circuit.accepts(&operations), "{choices:x} {signs:x}");
    }
}
