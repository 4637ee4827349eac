//! The inner product argument: it accepts what holds, refuses everything else, and is fast.

use ff::Field;
use foldnet_compress::arithmetic::{NativePrimary, NativeSecondary};
use foldnet_compress::error::Rejected;
use foldnet_compress::ipa::{self, IpaError, Key, PointOracle, Proof, Statement, pair};
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta, Point};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::sumcheck::evaluate;
use foldnet_gadgets::transcript::Transcript;
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;
use std::time::Instant;

type Grumpkin = <Bn254 as Cycle>::Secondary;
type Vesta = <Pasta as Cycle>::Secondary;
type Pallas = <Pasta as Cycle>::Primary;

const TAG: Tag = Tag::new("ipa test");
const ARGUMENT: Rejected = Rejected::Check {
    check: "the inner product argument",
};
const IDENTITY: Rejected = Rejected::Check {
    check: "a point of an opening is not the identity",
};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn random<S: Field>(count: usize, seed: u64) -> Vec<S> {
    let mut rng = rng(seed);
    (0..count).map(|_| S::random(&mut rng)).collect()
}

/// `2^variables` generators and the blind's.
fn generators<E: CurveEngine>(variables: usize) -> (Vec<Affine<E>>, Affine<E>) {
    let bases = Point::<E>::from_label(b"test bases", 1 << variables);
    (bases, Point::<E>::from_label(b"test blind", 1)[0])
}

fn commit<E: CurveEngine>(
    (bases, blind): &(Vec<Affine<E>>, Affine<E>),
    vector: &[E::Scalar],
    s: E::Scalar,
) -> Commitment<E> {
    let sum = Point::<E>::vartime_multiscalar_mul(vector, &bases[..vector.len()]);
    Commitment::new(sum + Point::<E>::group(blind) * s)
}

/// Runs something with the oracle of a curve.
macro_rules! with_oracle {
    (secondary $engine:ty, $oracle:ident => $body:expr) => {{
        type Base = <$engine as Engine>::Base;
        type Scalar = <$engine as Engine>::Scalar;
        static CONSTANTS: LazyLock<HashConstants<Base>> = LazyLock::new(HashConstants::default);
        let mut transcript = Transcript::<Base>::new(&CONSTANTS, TAG);
        let params = EisensteinParams::<Base, Scalar>::new().unwrap();
        let $oracle = &mut NativeSecondary::new(&mut transcript, &params);
        $body
    }};
    (primary $engine:ty, $oracle:ident => $body:expr) => {{
        type Scalar = <$engine as Engine>::Scalar;
        static CONSTANTS: LazyLock<HashConstants<Scalar>> = LazyLock::new(HashConstants::default);
        let mut transcript = Transcript::<Scalar>::new(&CONSTANTS, TAG);
        let $oracle = &mut NativePrimary::new(&mut transcript);
        $body
    }};
}

/// A statement with two claims, one of a shorter point, its vector and its blind.
#[allow(clippy::type_complexity)]
fn example<E: CurveEngine>(
    key: &(Vec<Affine<E>>, Affine<E>),
    variables: usize,
) -> (Statement<E>, Vec<E::Scalar>, E::Scalar) {
    let vector = random::<E::Scalar>((1 << variables) - 3, 1);
    let blind = random::<E::Scalar>(1, 2)[0];
    let coefficients = random::<E::Scalar>(2, 3);
    let points = [
        random::<E::Scalar>(variables, 4),
        random::<E::Scalar>(variables - 1, 5),
    ];
    let mut extended = vec![E::Scalar::ZERO];
    extended.extend(&points[1]);
    let value = coefficients[0] * evaluate(&vector, &points[0])
        + coefficients[1] * evaluate(&vector, &extended);
    let statement = Statement {
        commitment: commit(key, &vector, blind),
        claims: coefficients.into_iter().zip(points).collect(),
        value,
    };
    (statement, vector, blind)
}

/// Every change that a test makes to a statement or a proof, with the check that must fire.
fn forgeries<E: CurveEngine>(
    statement: &Statement<E>,
    proof: &Proof<E>,
) -> Vec<(&'static str, Statement<E>, Proof<E>, Rejected)> {
    let one = E::Scalar::ONE;
    let generator = Commitment::<E>::new(Point::<E>::r#gen());
    let mut list = Vec::new();
    let mut change = |name, expected, change: &dyn Fn(&mut Statement<E>, &mut Proof<E>)| {
        let (mut statement, mut proof) = (statement.clone(), proof.clone());
        change(&mut statement, &mut proof);
        list.push((name, statement, proof, expected));
    };
    change("scalar", ARGUMENT, &|_, p| p.scalar += one);
    change("blind", ARGUMENT, &|_, p| p.blind += one);
    for round in 0..proof.rounds.len() {
        for side in 0..2 {
            change("a round's point", ARGUMENT, &|_, p| {
                p.rounds[round][side] = p.rounds[round][side].fold(one, &generator);
            });
            change("identity", IDENTITY, &|_, p| {
                p.rounds[round][side] = Commitment::new(Point::<E>::zero());
            });
        }
        change("points swapped", ARGUMENT, &|_, p| {
            p.rounds[round].swap(0, 1)
        });
        change("L = R", ARGUMENT, &|_, p| {
            p.rounds[round][0] = p.rounds[round][1]
        });
    }
    change("rounds swapped", ARGUMENT, &|_, p| p.rounds.swap(0, 1));
    let length = |got| Rejected::Length {
        what: "rounds of an opening",
        expected: proof.rounds.len(),
        got,
    };
    let rounds = proof.rounds.len();
    change("a round less", length(rounds - 1), &|_, p| {
        p.rounds.pop();
    });
    change("no rounds", length(0), &|_, p| p.rounds.clear());
    change("a round more", length(rounds + 1), &|_, p| {
        p.rounds.push([generator, generator]);
    });
    change("value", ARGUMENT, &|s, _| s.value += one);
    change("commitment", ARGUMENT, &|s, _| {
        s.commitment = s.commitment.fold(one, &generator);
    });
    change("negated", ARGUMENT, &|s, _| {
        s.commitment = Commitment::new(Point::<E>::zero() - s.commitment.point());
    });
    for claim in 0..2 {
        change("coefficient", ARGUMENT, &|s, _| s.claims[claim].0 += one);
        for j in 0..statement.claims[claim].1.len() {
            change("coordinate", ARGUMENT, &|s, _| s.claims[claim].1[j] += one);
        }
    }
    change("claim dropped", ARGUMENT, &|s, _| {
        s.claims.pop();
    });
    let too_long = Rejected::Length {
        what: "variables of a point",
        expected: rounds,
        got: rounds + 1,
    };
    change("long point", too_long, &|s, _| s.claims[0].1.push(one));
    list
}

macro_rules! check_curve {
    ($name:ident, $side:ident, $engine:ty) => {
        #[test]
        fn $name() {
            type E = $engine;
            let variables = 4;
            let generators = generators::<E>(variables);
            let key = Key::<E>::new(variables, &generators.0, &generators.1).unwrap();
            let (statement, vector, blind) = example::<E>(&generators, variables);
            let proof = with_oracle!($side E, oracle =>
                ipa::prove(&key, oracle, &statement, &vector, blind)).unwrap();
            let verdict = |key: &Key<'_, E>, statement: &Statement<E>, proof: &Proof<E>| with_oracle!($side E, oracle =>
                ipa::verify(key, oracle, statement, proof));
            assert_eq!(verdict(&key, &statement, &proof), Ok(()));
            for (name, statement, proof, expected) in forgeries(&statement, &proof) {
                assert_eq!(verdict(&key, &statement, &proof), Err(expected), "{name}");
            }
            let other = Point::<E>::from_label(b"other bases", 1 << variables);
            let wrong = Key::<E>::new(variables, &other, &generators.1).unwrap();
            assert_eq!(verdict(&wrong, &statement, &proof), Err(ARGUMENT));
            let wrong = Key::<E>::new(variables, &generators.0, &other[0]).unwrap();
            assert_eq!(verdict(&wrong, &statement, &proof), Err(ARGUMENT));

            let bytes = bincode::serde::encode_to_vec(&proof, bincode::config::legacy()).unwrap();
            let decode = |bytes: &[u8]| bincode::serde::decode_from_slice::<Proof<E>, _>(
                bytes, bincode::config::legacy()).map(|(proof, _)| proof);
            assert_eq!(decode(&bytes).unwrap(), proof);
            let mut off = bytes.clone();
            off[8] ^= 1;
            assert!(decode(&off).is_err(), "a point off the curve");
            off[8..72].fill(0);
            assert!(decode(&off).is_err(), "the identity");
            for end in [0, 7, 8, 100, bytes.len() - 1] {
                assert!(decode(&bytes[..end]).is_err(), "truncated to {end}");
            }
        }
    };
}

check_curve!(
    grumpkin_accepts_proofs_and_refuses_forgeries,
    secondary,
    Grumpkin
);
check_curve!(vesta_accepts_proofs_and_refuses_forgeries, secondary, Vesta);
check_curve!(pallas_accepts_proofs_and_refuses_forgeries, primary, Pallas);

#[test]
fn provers_refuse_what_they_cannot_prove() {
    type E = Grumpkin;
    let generators = generators::<E>(3);
    let key = Key::<E>::new(3, &generators.0, &generators.1).unwrap();
    assert_eq!(key.variables(), 3);
    let (statement, vector, blind) = example::<E>(&generators, 3);
    let prove = |statement: &Statement<E>, vector: &[_]| {
        with_oracle!(secondary E, oracle => ipa::prove(&key, oracle, statement, vector, blind))
            .unwrap_err()
    };
    let mut wrong = statement.clone();
    wrong.value += <E as Engine>::Scalar::ONE;
    assert_eq!(prove(&wrong, &vector), IpaError::Value);

    let long = random(9, 1);
    let what = "values of a vector";
    let (expected, got) = (8, 9);
    assert_eq!(
        prove(&statement, &long),
        IpaError::TooLong {
            what,
            expected,
            got
        }
    );

    let mut wrong = statement.clone();
    wrong.claims[0].1 = random(4, 1);
    let what = "variables of a point";
    let (expected, got) = (3, 4);
    assert_eq!(
        prove(&wrong, &vector),
        IpaError::TooLong {
            what,
            expected,
            got
        }
    );

    // Nothing in the upper half: R of the first round is the identity.
    let vector = random(4, 1);
    let claims = vec![(<E as Engine>::Scalar::ONE, random(2, 4))];
    let value = evaluate(&vector, &claims[0].1);
    let commitment = commit(&generators, &vector, blind);
    let statement = Statement {
        commitment,
        claims,
        value,
    };
    let what = "the points of a round";
    assert_eq!(prove(&statement, &vector), IpaError::Degenerate { what });

    let (expected, got) = (16, 8);
    let short = Key::<E>::new(4, &generators.0, &generators.1).unwrap_err();
    assert_eq!(short, IpaError::ShortKey { expected, got });
    let absurd = Key::<E>::new(usize::MAX, &generators.0, &generators.1).unwrap_err();
    assert_eq!(
        absurd,
        IpaError::ShortKey {
            expected: usize::MAX,
            got
        }
    );
}

/// Two claims on vectors of different lengths.
#[allow(clippy::type_complexity)]
fn pair_example<E: CurveEngine>(
    generators: &(Vec<Affine<E>>, Affine<E>),
    variables: usize,
) -> (pair::Statement<E>, [Vec<E::Scalar>; 2], [E::Scalar; 2]) {
    let vectors = [
        random::<E::Scalar>((1 << variables) - 3, 11),
        random::<E::Scalar>((1 << (variables - 1)) - 2, 12),
    ];
    let blinds = [random(1, 13)[0], random(1, 14)[0]];
    let claim = |i: usize, variables: usize| {
        let point = random(variables, 15 + i as u64);
        pair::Claim {
            commitment: commit(generators, &vectors[i], blinds[i]),
            value: evaluate(&vectors[i], &point),
            point,
        }
    };
    let statement = pair::Statement {
        first: claim(0, variables),
        second: claim(1, variables - 1),
    };
    (statement, vectors, blinds)
}

fn pair_witness<'w, S: Copy>(vectors: &'w [Vec<S>; 2], blinds: &[S; 2]) -> pair::Witness<'w, S> {
    pair::Witness {
        first: (&vectors[0], blinds[0]),
        second: (&vectors[1], blinds[1]),
    }
}

#[test]
fn two_commitments_open_at_two_points() {
    type E = Grumpkin;
    type S = <E as Engine>::Scalar;
    let generators = generators::<E>(4);
    let key = Key::<E>::new(4, &generators.0, &generators.1).unwrap();
    let (statement, vectors, blinds) = pair_example::<E>(&generators, 4);
    let witness = pair_witness(&vectors, &blinds);
    let prove = |statement: &pair::Statement<E>, witness: &pair::Witness<'_, S>| with_oracle!(secondary E, oracle => pair::prove(&key, oracle, statement, witness));
    let verdict = |statement: &pair::Statement<E>, proof: &pair::Proof<E>| with_oracle!(secondary E, oracle => pair::verify(&key, oracle, statement, proof));
    let proof = prove(&statement, &witness).unwrap();
    assert_eq!(verdict(&statement, &proof), Ok(()));

    for i in 0..2 {
        let mut wrong = proof.clone();
        wrong.cross[i] += S::ONE;
        assert_eq!(verdict(&statement, &wrong), Err(ARGUMENT));
    }
    let swapped = pair::Statement {
        first: statement.second.clone(),
        second: statement.first.clone(),
    };
    assert_eq!(verdict(&swapped, &proof), Err(ARGUMENT));
    let changes: [fn(&mut pair::Claim<E>); 4] = [
        |claim| claim.value += S::ONE,
        |claim| claim.point[0] += S::ONE,
        |claim| claim.point[2] += S::ONE,
        |claim| {
            claim.commitment = claim
                .commitment
                .fold(S::ONE, &Commitment::new(Point::<E>::r#gen()))
        },
    ];
    for change in changes {
        let mut wrong = statement.clone();
        change(&mut wrong.first);
        assert_eq!(verdict(&wrong, &proof), Err(ARGUMENT));
        let mut wrong = statement.clone();
        change(&mut wrong.second);
        assert_eq!(verdict(&wrong, &proof), Err(ARGUMENT));
    }
    let mut wrong = statement.clone();
    wrong.second.commitment = Commitment::new(Point::<E>::zero());
    assert_eq!(verdict(&wrong, &proof), Err(IDENTITY));
    let mut wrong = statement.clone();
    wrong.first.value += S::ONE;
    assert_eq!(prove(&wrong, &witness).unwrap_err(), IpaError::Value);
}

/// Cross values chosen after `tau` and `sigma` could hide a wrong claim: `e_1` off by `-d / tau`
/// cancels `w_1` off by `d`. Since they are absorbed before, the challenges move.
#[test]
fn claims_altered_after_the_batching_challenges_are_refused() {
    type E = Grumpkin;
    type S = <E as Engine>::Scalar;
    let generators = generators::<E>(3);
    let key = Key::<E>::new(3, &generators.0, &generators.1).unwrap();
    let (mut statement, vectors, blinds) = pair_example::<E>(&generators, 3);
    let witness = pair_witness(&vectors, &blinds);
    let mut proof = with_oracle!(secondary E, oracle =>
        pair::prove(&key, oracle, &statement, &witness))
    .unwrap();
    let tau: S = with_oracle!(secondary E, oracle => {
        PointOracle::<E>::absorb_scalars(oracle, &proof.cross);
        PointOracle::<E>::digits(oracle).scalar(foldnet_gadgets::cycle::cube_root::<S>())
    });
    statement.first.value += S::ONE;
    proof.cross[0] -= tau.invert().unwrap();
    let verdict = with_oracle!(secondary E, oracle =>
        pair::verify(&key, oracle, &statement, &proof));
    assert_eq!(verdict, Err(ARGUMENT));
}

/// Times of the sizes in use; run by name with `--ignored --nocapture`.
#[test]
#[ignore = "minutes; prints times"]
fn times() {
    macro_rules! time {
        ($side:ident $engine:ty, $variables:expr) => {{
            type E = $engine;
            let variables = $variables;
            // Deriving a million generators takes minutes: multiples of one serve for timing.
            let first = Point::<E>::from_label(b"test bases", 1)[0];
            let mut power = Point::<E>::group(&first);
            let bases: Vec<_> = (0..1usize << variables)
                .map(|_| {
                    power += Point::<E>::group(&first);
                    power.affine()
                })
                .collect();
            let generators = (bases, Point::<E>::from_label(b"test blind", 1)[0]);
            let key = Key::<E>::new(variables, &generators.0, &generators.1).unwrap();
            let (statement, vector, blind) = example::<E>(&generators, variables);
            // The second run finds the constants of the transcript made.
            for run in 0..2 {
                let start = Instant::now();
                let proof = with_oracle!($side E, oracle =>
                    ipa::prove(&key, oracle, &statement, &vector, blind)).unwrap();
                let proving = start.elapsed();
                let start = Instant::now();
                let verdict = with_oracle!($side E, oracle =>
                    ipa::verify(&key, oracle, &statement, &proof));
                println!("{} 2^{variables} run {run}: prove {proving:?}, verify {:?}",
                    stringify!($engine), start.elapsed());
                assert_eq!(verdict, Ok(()));
            }
        }};
    }
    time!(secondary Grumpkin, 11);
    time!(primary Pallas, 11);
    time!(primary Pallas, 20);
}
