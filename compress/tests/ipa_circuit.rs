//! The circuit that verifies an opening of two commitments: same verdicts as the native verifier,
//! every forgery fails by name, and its size is pinned.

use bellpepper_core::{ConstraintSystem, LinearCombination, SynthesisError, Variable};
use ff::Field;
use foldnet_compress::arithmetic::{Arithmetic, CircuitSecondary, NativeSecondary};
use foldnet_compress::ipa::circuit::{self, Layout};
use foldnet_compress::ipa::{Key, PointOracle, pair};
use foldnet_gadgets::commitment::{Commitment, CurveEngine};
use foldnet_gadgets::cycle::{Affine, Bn254, Cycle, Pasta, Point, cube_root};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::point::PointWires;
use foldnet_gadgets::sumcheck::evaluate;
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use nova_snark::provider::traits::{DlogGroup, DlogGroupExt};
use nova_snark::traits::Engine;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::time::Instant;

type Grumpkin = <Bn254 as Cycle>::Secondary;
type Vesta = <Pasta as Cycle>::Secondary;
type F = <Grumpkin as Engine>::Base;
type Q = <Grumpkin as Engine>::Scalar;

const TAG: Tag = Tag::new("ipa circuit test");
const ARGUMENT: &str = "opening end/argument holds x";

fn random<S: Field>(count: usize, seed: u64) -> Vec<S> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| S::random(&mut rng)).collect()
}

/// Everything about a curve that tests share.
struct Setup<E: CurveEngine> {
    constants: HashConstants<E::Base>,
    params: EisensteinParams<E::Base, E::Scalar>,
    bases: Vec<Affine<E>>,
    blind: Affine<E>,
    variables: usize,
    /// Whether coordinates of points are challenges, as they are behind Spartan: products with
    /// them are cheaper. Their values are then not those of the statement.
    drawn: bool,
}

impl<E: CurveEngine> Setup<E> {
    fn new(variables: usize) -> Self {
        Setup {
            constants: HashConstants::default(),
            params: EisensteinParams::new().unwrap(),
            bases: Point::<E>::from_label(b"test bases", 1 << variables),
            blind: Point::<E>::from_label(b"test blind", 1)[0],
            variables,
            drawn: false,
        }
    }

    fn key(&self) -> Key<'_, E> {
        Key::new(self.variables, &self.bases, &self.blind).unwrap()
    }

    fn commit(&self, vector: &[E::Scalar], s: E::Scalar) -> Commitment<E> {
        let sum = Point::<E>::vartime_multiscalar_mul(vector, &self.bases[..vector.len()]);
        Commitment::new(sum + Point::<E>::group(&self.blind) * s)
    }

    /// Two claims on vectors of different lengths, and their proof.
    fn example(&self) -> (pair::Statement<E>, pair::Proof<E>) {
        let vectors = [
            random::<E::Scalar>(1 << self.variables, 11),
            random::<E::Scalar>(1 << (self.variables - 1), 12),
        ];
        let blinds = [random(1, 13)[0], random(1, 14)[0]];
        let claim = |i: usize, variables: usize| {
            let point = random(variables, 15 + i as u64);
            pair::Claim {
                commitment: self.commit(&vectors[i], blinds[i]),
                value: evaluate(&vectors[i], &point),
                point,
            }
        };
        let statement = pair::Statement {
            first: claim(0, self.variables),
            second: claim(1, self.variables - 1),
        };
        let witness = pair::Witness {
            first: (&vectors[0], blinds[0]),
            second: (&vectors[1], blinds[1]),
        };
        let mut transcript = Transcript::new(&self.constants, TAG);
        let oracle = &mut NativeSecondary::new(&mut transcript, &self.params);
        let proof = pair::prove(&self.key(), oracle, &statement, &witness).unwrap();
        (statement, proof)
    }

    /// The native verdict and the challenge that the transcript ends with.
    fn native(&self, statement: &pair::Statement<E>, proof: &pair::Proof<E>) -> (bool, E::Base) {
        let mut transcript = Transcript::new(&self.constants, TAG);
        let oracle = &mut NativeSecondary::new(&mut transcript, &self.params);
        let verdict = pair::verify(&self.key(), oracle, statement, proof);
        (verdict.is_ok(), transcript.squeeze())
    }

    /// The circuit in a system; returns the challenge that the transcript ends with.
    fn synthesise<CS: ConstraintSystem<E::Base>>(
        &self,
        cs: &mut CS,
        key: &Key<'_, E>,
        layout: Layout,
        statement: &pair::Statement<E>,
        proof: &pair::Proof<E>,
    ) -> Result<E::Base, SynthesisError> {
        let mut transcript = TranscriptCircuit::new(&self.constants, TAG);
        let points =
            [&statement.first, &statement.second].map(|claim| claim.commitment.coordinates());
        let [first, second] = points;
        let first = PointWires::alloc(cs, "first", (first[0], first[1]))?;
        let second = PointWires::alloc(cs, "second", (second[0], second[1]))?;
        let arithmetic = &mut CircuitSecondary::new(cs, &mut transcript, &self.params);
        let claims = [(first, &statement.first), (second, &statement.second)];
        let [first, second] = claims.map(|(commitment, claim)| circuit::Claim {
            commitment,
            point: claim
                .point
                .iter()
                .map(|p| {
                    if self.drawn {
                        arithmetic.challenge("coordinate").unwrap()
                    } else {
                        arithmetic.receive("coordinate", *p).unwrap()
                    }
                })
                .collect(),
            value: arithmetic.receive("value", claim.value).unwrap(),
        });
        let statement = circuit::Statement { first, second };
        circuit::verify(arithmetic, key, layout, &statement, proof)?;
        Ok(transcript.squeeze(cs)?.value())
    }

    fn mock(
        &self,
        layout: Layout,
        statement: &pair::Statement<E>,
        proof: &pair::Proof<E>,
    ) -> (MockSystem<E::Base>, E::Base) {
        let mut cs = MockSystem::new();
        let last = self.synthesise(&mut cs, &self.key(), layout, statement, proof);
        (cs, last.unwrap())
    }
}

fn failures<T: foldnet_gadgets::CircuitField>(cs: &MockSystem<T>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

/// A system that counts constraints and non-zeros by part: the first namespace or name, without
/// numbers.
#[derive(Default)]
struct Tally {
    namespaces: Vec<String>,
    parts: BTreeMap<String, (usize, usize)>,
    variables: usize,
}

impl ConstraintSystem<F> for Tally {
    type Root = Self;

    fn new() -> Self {
        Self::default()
    }

    fn alloc<V, A, AR>(&mut self, _: A, _: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.variables += 1;
        let index = bellpepper_core::Index::Aux(self.variables - 1);
        Ok(Variable::new_unchecked(index))
    }

    fn alloc_input<V, A, AR>(&mut self, name: A, value: V) -> Result<Variable, SynthesisError>
    where
        V: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.alloc(name, value)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, name: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let forms = [
            a(LinearCombination::zero()),
            b(LinearCombination::zero()),
            c(LinearCombination::zero()),
        ];
        let terms: usize = forms.iter().map(|form| form.iter().count()).sum();
        let mut path = self.namespaces.clone();
        path.push(name().into());
        let kept = if path[0] == "opening generators" {
            2
        } else {
            1
        };
        let mut words: Vec<&str> = path[..kept.min(path.len())]
            .iter()
            .flat_map(|part| part.split(' '))
            .filter(|word| word.parse::<usize>().is_err())
            .collect();
        words.dedup();
        let entry = self.parts.entry(words.join(" ")).or_default();
        entry.0 += 1;
        entry.1 += terms;
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, name: N) {
        self.namespaces.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.namespaces.pop();
    }

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

fn agrees<E: CurveEngine>() {
    for (variables, low) in [(1, 0), (1, 1), (2, 1), (4, 1), (4, 2), (4, 4), (5, 3)] {
        let setup = Setup::<E>::new(variables);
        let (statement, proof) = setup.example();
        let (verdict, challenge) = setup.native(&statement, &proof);
        assert!(verdict);
        let (cs, last) = setup.mock(Layout::new(low), &statement, &proof);
        assert_eq!(failures(&cs), Vec::<String>::new(), "{variables} {low}");
        assert_eq!(last, challenge, "transcripts differ");
    }
}

#[test]
fn circuit_accepts_what_the_native_verifier_accepts() {
    agrees::<Grumpkin>();
    agrees::<Vesta>();
}

/// Changes of statement and proof with the constraint that must fail among others.
fn forgeries(
    statement: &pair::Statement<Grumpkin>,
    proof: &pair::Proof<Grumpkin>,
) -> Vec<(String, pair::Statement<Grumpkin>, pair::Proof<Grumpkin>)> {
    type Change<'c> = dyn Fn(&mut pair::Statement<Grumpkin>, &mut pair::Proof<Grumpkin>) + 'c;
    let generator = Commitment::<Grumpkin>::new(Point::<Grumpkin>::r#gen());
    let mut list = Vec::new();
    let mut change = |name: String, change: &Change<'_>| {
        let (mut statement, mut proof) = (statement.clone(), proof.clone());
        change(&mut statement, &mut proof);
        list.push((name, statement, proof));
    };
    change("scalar".into(), &|_, p| p.opening.scalar += Q::ONE);
    change("wrong blind".into(), &|_, p| p.opening.blind += Q::ONE);
    change("cross 0".into(), &|_, p| p.cross[0] += Q::ONE);
    change("cross 1".into(), &|_, p| p.cross[1] += Q::ONE);
    for round in 0..proof.opening.rounds.len() {
        for side in 0..2 {
            change(format!("round {round} point {side}"), &|_, p| {
                let point = &mut p.opening.rounds[round][side];
                *point = point.fold(Q::ONE, &generator);
            });
        }
        change(format!("round {round} swapped"), &|_, p| {
            p.opening.rounds[round].swap(0, 1);
        });
        change(format!("round {round} L = R"), &|_, p| {
            p.opening.rounds[round][0] = p.opening.rounds[round][1];
        });
    }
    change("rounds swapped".into(), &|_, p| p.opening.rounds.swap(0, 1));
    change("claims swapped".into(), &|s, _| {
        std::mem::swap(&mut s.first, &mut s.second);
    });
    change("value".into(), &|s, _| s.first.value += Q::ONE);
    change("second value".into(), &|s, _| s.second.value += Q::ONE);
    change("point".into(), &|s, _| s.first.point[0] += Q::ONE);
    change("second point".into(), &|s, _| s.second.point[1] += Q::ONE);
    change("commitment".into(), &|s, _| {
        s.first.commitment = s.first.commitment.fold(Q::ONE, &generator);
    });
    change("second commitment".into(), &|s, _| {
        s.second.commitment = s.second.commitment.fold(Q::ONE, &generator);
    });
    list
}

#[test]
fn forged_proofs_fail_natively_and_at_the_last_equation() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    for (name, statement, proof) in forgeries(&statement, &proof) {
        assert!(!setup.native(&statement, &proof).0, "{name}");
        let (cs, _) = setup.mock(Layout::new(2), &statement, &proof);
        let failed = failures(&cs);
        assert!(
            failed.iter().any(|path| path == ARGUMENT),
            "{name}: {failed:?}"
        );
        assert!(
            failed
                .iter()
                .all(|path| path.starts_with("opening end/argument holds"))
        );
    }
}

#[test]
fn lengths_are_checked() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let attempt = |statement: &pair::Statement<Grumpkin>, proof: &pair::Proof<Grumpkin>| {
        let mut cs = MockSystem::<F>::new();
        setup.synthesise(&mut cs, &setup.key(), Layout::new(2), statement, proof)
    };
    let mut short = proof.clone();
    short.opening.rounds.pop();
    assert!(attempt(&statement, &short).is_err());
    let mut long = statement.clone();
    long.first.point.push(Q::ONE);
    assert!(attempt(&long, &proof).is_err());
}

/// Cross values chosen after `tau`: they cancel a wrong claim, but the challenges move.
#[test]
fn claims_altered_after_the_batching_challenges_are_refused() {
    let setup = Setup::<Grumpkin>::new(3);
    let (mut statement, mut proof) = setup.example();
    let mut transcript = Transcript::new(&setup.constants, TAG);
    let oracle = &mut NativeSecondary::new(&mut transcript, &setup.params);
    PointOracle::<Grumpkin>::absorb_scalars(oracle, &proof.cross);
    let tau: Q = PointOracle::<Grumpkin>::digits(oracle).scalar(cube_root::<Q>());
    statement.first.value += Q::ONE;
    proof.cross[0] -= tau.invert().unwrap();
    assert!(!setup.native(&statement, &proof).0);
    let (cs, _) = setup.mock(Layout::new(2), &statement, &proof);
    assert!(failures(&cs).contains(&ARGUMENT.to_string()));
}

#[test]
fn another_key_is_another_circuit() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let other = Point::<Grumpkin>::from_label(b"other bases", 8);
    let swapped = {
        let mut bases = setup.bases.clone();
        bases.swap(0, 5);
        bases
    };
    let keys = [
        Key::new(3, &other, &setup.blind).unwrap(),
        Key::new(3, &swapped, &setup.blind).unwrap(),
        Key::new(3, &setup.bases, &other[0]).unwrap(),
    ];
    for key in &keys {
        let mut cs = MockSystem::<F>::new();
        setup
            .synthesise(&mut cs, key, Layout::new(2), &statement, &proof)
            .unwrap();
        assert!(failures(&cs).contains(&ARGUMENT.to_string()));
    }
    // The offset cancels: any independent one gives the same verdict.
    let key = setup.key().with_offset(&other[1]);
    let mut cs = MockSystem::<F>::new();
    setup
        .synthesise(&mut cs, &key, Layout::new(2), &statement, &proof)
        .unwrap();
    assert_eq!(failures(&cs), Vec::<String>::new());
}

/// An offset with a known relation to the bases meets exceptional cases, and is refused when the
/// tables are made.
#[test]
fn a_related_offset_is_refused() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let inner = *setup.key().inner();
    let minus_blind = (Point::<Grumpkin>::zero() - Point::<Grumpkin>::group(&setup.blind)).affine();
    for offset in [inner, minus_blind] {
        let key = setup.key().with_offset(&offset);
        let mut cs = MockSystem::<F>::new();
        let result = setup.synthesise(&mut cs, &key, Layout::new(2), &statement, &proof);
        assert!(matches!(result, Err(SynthesisError::DivisionByZero)));
    }
}

fn affine_of(cs: &MockSystem<F>, path: &str) -> Point<Grumpkin> {
    let coordinate = |c| cs.get(&format!("{path}/{c}")).unwrap();
    commitment::<Grumpkin>(coordinate("x"), coordinate("y")).point()
}

/// Why fixed additions need no inverse: after window `w`, counted from 0, an accumulator holds
/// the offset `w + 2` times and the next entry once, so that they are neither equal nor opposite
/// unless the offset is related to the bases. Seen by exchanging the offset.
#[test]
fn accumulators_hold_growing_multiples_of_the_offset() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let offsets = Point::<Grumpkin>::from_label(b"test offsets", 2);
    let systems = [0, 1].map(|i| {
        let key = setup.key().with_offset(&offsets[i]);
        let mut cs = MockSystem::<F>::new();
        setup
            .synthesise(&mut cs, &key, Layout::new(2), &statement, &proof)
            .unwrap();
        cs
    });
    let difference = Point::<Grumpkin>::group(&offsets[1]) - Point::<Grumpkin>::group(&offsets[0]);
    for (part, windows) in [
        ("terms/row 0", 255),
        ("generators/row 1", 85),
        ("end/row 0", 127),
    ] {
        for window in 1..=windows {
            let path = format!("opening {part} window {window}");
            let change = affine_of(&systems[1], &path) - affine_of(&systems[0], &path);
            assert_eq!(change, difference * Q::from(window + 2), "{path}");
        }
    }
    let path = "opening generators/row 1 correction";
    assert_eq!(affine_of(&systems[1], path), affine_of(&systems[0], path));
}

/// A commitment with a part in `U` shifts the value that it opens to. With `xi` drawn after the
/// claims the shift is `1 / xi`, which no claim can be prepared for.
#[test]
fn the_base_of_the_inner_product_is_scaled_after_the_claims() {
    let setup = Setup::<Grumpkin>::new(3);
    let (mut statement, proof) = setup.example();
    let mut transcript = Transcript::new(&setup.constants, TAG);
    let oracle = &mut NativeSecondary::new(&mut transcript, &setup.params);
    PointOracle::<Grumpkin>::absorb_scalars(oracle, &proof.cross);
    oracle.digits();
    oracle.digits();
    PointOracle::<Grumpkin>::absorb_scalars(oracle, &[proof.opening.blind]);
    let xi: Q = oracle.digits().scalar(cube_root::<Q>());
    let inner = Commitment::new(Point::<Grumpkin>::group(setup.key().inner()));
    statement.first.commitment = statement.first.commitment.fold(Q::ONE, &inner);
    let value = statement.first.value;
    // What a base that is not scaled would accept, and what only hindsight finds.
    for (shift, accepted) in [(Q::ONE, false), (xi.invert().unwrap(), true)] {
        statement.first.value = value - shift;
        assert_eq!(setup.native(&statement, &proof).0, accepted);
        let (cs, _) = setup.mock(Layout::new(2), &statement, &proof);
        assert_eq!(failures(&cs).is_empty(), accepted);
    }
}

/// Single variables of an accepted proof overwritten, with a constraint that must fail.
#[test]
fn overwritten_variables_fail_by_name() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let (mut cs, _) = setup.mock(Layout::new(2), &statement, &proof);
    let cases = [
        ("first y", "opening commitment/first/on the curve"),
        ("second y", "opening commitment/second/on the curve"),
        ("opening commitment/sum/x", "opening commitment/sum/x"),
        (
            "opening terms/window 3/monomial 3",
            "opening terms/window 3/monomial 3",
        ),
        (
            "opening terms/row 0 window 9/slope",
            "opening terms/row 0 window 9/slope",
        ),
        (
            "opening terms/sum/different abscissas",
            "opening terms/sum/different abscissas",
        ),
        ("opening terms/correction/y", "opening terms/correction/y"),
        (
            "opening round 0/left y",
            "opening round 0/left/on the curve",
        ),
        ("opening round 2/left x", "opening round 2/left/x squared"),
        (
            "opening round 1/right y",
            "opening round 1/right/on the curve",
        ),
        (
            "opening round 1 fold/inner/sum/different abscissas",
            "opening round 1 fold/inner/sum/different abscissas",
        ),
        (
            "opening round 1 fold/outer/sum/different abscissas",
            "opening round 1 fold/outer/sum/different abscissas",
        ),
        (
            "opening round 1 fold/inner/sum/x",
            "opening round 1 fold/inner/sum/x",
        ),
        (
            "opening round 1 fold/outer/sum/y",
            "opening round 1 fold/outer/sum/y",
        ),
        (
            "opening generators/window 7/monomial 63",
            "opening generators/window 7/monomial 63",
        ),
        (
            "opening generators/row 1 window 1/slope",
            "opening generators/row 1 window 1/slope",
        ),
        (
            "opening generators/row 0 window 30/x",
            "opening generators/row 0 window 30/x",
        ),
        (
            "opening generators/row 1 window 50/y",
            "opening generators/row 1 window 50/y",
        ),
        (
            "opening generators/row 1 correction/y",
            "opening generators/row 1 correction/y",
        ),
        (
            "opening generators/fold 0 row 0/sum/x",
            "opening generators/fold 0 row 0/sum/x",
        ),
        (
            "opening end/difference/slope",
            "opening end/difference/slope",
        ),
        ("opening end/digit 127/both", "opening end/digit 127/both"),
        ("opening end/digit 5/digit x", "opening end/digit 5/digit x"),
        (
            "opening end/digit 5/signed digit y",
            "opening end/digit 5/signed digit y",
        ),
        (
            "opening end/digit 0/double/slope",
            "opening end/digit 0/double/slope",
        ),
        (
            "opening end/digit 0/add/different abscissas",
            "opening end/digit 0/add/different abscissas",
        ),
        ("opening end/digit 0/add/y", "opening end/remove one/slope"),
        ("opening end/remove one/x", "opening end/argument holds x"),
        ("opening end/remove one/y", "opening end/argument holds y"),
        ("opening end/twice/x", "opening end/argument holds x"),
    ];
    for (variable, constraint) in cases {
        let original = cs
            .get(variable)
            .unwrap_or_else(|| panic!("no variable {variable}"));
        assert!(cs.set(variable, original + F::ONE));
        let failed = failures(&cs);
        assert!(
            failed.iter().any(|path| path == constraint),
            "{variable}: {failed:?}"
        );
        assert!(cs.set(variable, original));
    }
    assert_eq!(failures(&cs), Vec::<String>::new());
}

/// No variable of the point arithmetic can be changed alone.
#[test]
fn every_variable_of_the_points_is_pinned() {
    let setup = Setup::<Grumpkin>::new(2);
    let (statement, proof) = setup.example();
    let (mut cs, _) = setup.mock(Layout::new(1), &statement, &proof);
    let free: Vec<_> = cs
        .unpinned()
        .into_iter()
        .filter(|path| !path.contains("canonical run"))
        .collect();
    assert_eq!(free, Vec::<String>::new());
}

fn commitment<E: CurveEngine>(x: E::Base, y: E::Base) -> Commitment<E> {
    let bytes = [x, y].map(|c| foldnet_gadgets::field::to_bytes(&c));
    let config = bincode::config::legacy();
    let encoded = bincode::serde::encode_to_vec(bytes, config).unwrap();
    bincode::serde::decode_from_slice(&encoded, config)
        .unwrap()
        .0
}

/// A prover-chosen point with the abscissa of what it is added to would leave a slope free. The
/// commitment here is made to meet each sum, equal or opposite; the forced inverse fails.
#[test]
fn equal_abscissas_are_refused_wherever_the_prover_chooses_a_point() {
    let setup = Setup::<Grumpkin>::new(2);
    let layout = Layout::new(1);
    let (statement, proof) = setup.example();
    let (cs, _) = setup.mock(layout, &statement, &proof);
    let read = |path: &str| affine_of(&cs, path);
    // C = W + tau E; the transcript of this test does not bind W, so tau stays.
    let merged = read("opening commitment/sum");
    let first = statement.first.commitment.point();
    let scaled_second = merged - first;
    let accumulator = read("opening terms/row 0 window 255");
    let cases = [
        (scaled_second, "opening commitment/sum/different abscissas"),
        (
            accumulator - scaled_second,
            "opening terms/sum/different abscissas",
        ),
    ];
    for (target, constraint) in cases {
        let zero = Point::<Grumpkin>::zero();
        let opposite = if constraint.contains("terms") {
            zero - accumulator - scaled_second
        } else {
            zero - target
        };
        for point in [target, opposite] {
            let mut forged = statement.clone();
            forged.first.commitment = Commitment::new(point);
            let (cs, _) = setup.mock(layout, &forged, &proof);
            let failed = failures(&cs);
            assert!(failed.iter().any(|path| path == constraint), "{failed:?}");
        }
    }
}

/// A shape made without a proof is the shape of every proof.
#[test]
fn the_shape_does_not_depend_on_the_proof() {
    let setup = Setup::<Grumpkin>::new(3);
    let (statement, proof) = setup.example();
    let shape = |proof: &pair::Proof<Grumpkin>| {
        let mut cs = ShapeSystem::<F>::new();
        setup
            .synthesise(&mut cs, &setup.key(), Layout::new(2), &statement, proof)
            .unwrap();
        cs.into_matrices()
    };
    let (real, sample) = (shape(&proof), shape(&pair::Proof::sample(3)));
    assert_eq!((real.rows, real.variables), (sample.rows, sample.variables));
    assert!(real.a == sample.a && real.b == sample.b && real.c == sample.c);

    let mut witness = WitnessSystem::<F>::new();
    setup
        .synthesise(
            &mut witness,
            &setup.key(),
            Layout::new(2),
            &statement,
            &proof,
        )
        .unwrap();
    let (cs, _) = setup.mock(Layout::new(2), &statement, &proof);
    assert_eq!(witness.auxiliary(), cs.auxiliary_values());
}

/// Constraints and non-zeros by part, with points that are challenges.
fn tally(setup: &mut Setup<Grumpkin>, layout: Layout) -> BTreeMap<String, (usize, usize)> {
    setup.drawn = true;
    let (statement, proof) = setup.example();
    let mut tally = Tally::new();
    setup
        .synthesise(&mut tally, &setup.key(), layout, &statement, &proof)
        .unwrap();
    tally.parts
}

/// Constraints by part at N = 2048 with rows of 16; the first words of names decide. Products of
/// elements depend on the arithmetic and are counted together.
const COUNTS: [(&str, usize); 14] = [
    ("opening generators fold row", 57404),
    ("opening generators row window", 212736),
    ("opening generators window", 31589),
    ("opening generators row correction", 384),
    ("opening generators scalar component top bit", 22),
    ("opening round fold", 9944),
    ("opening round challenge", 8690),
    ("opening round", 66),
    ("opening commitment", 458),
    ("opening terms", 1033),
    ("opening end", 2061),
    ("opening tau", 790),
    ("opening sigma", 790),
    ("opening xi", 790),
];

#[test]
fn counts_at_2048_are_pinned() {
    let lows = [4, 9, 10, 11, 12].map(|variables| Layout::cheapest(variables).low());
    assert_eq!(lows, [1, 3, 3, 4, 4]);
    let mut setup = Setup::<Grumpkin>::new(11);
    let mut parts = tally(&mut setup, Layout::cheapest(11));
    let non_zeros: usize = parts.values().map(|(_, terms)| terms).sum();
    assert!(non_zeros < 16_000_000, "{non_zeros}");
    let counted = COUNTS.map(|(part, _)| (part, parts.remove(part).unwrap_or_default().0));
    assert_eq!(counted, COUNTS);
    assert_eq!(COUNTS.iter().map(|(_, count)| count).sum::<usize>(), 326757);
    // Elements that the opening receives and multiplies; what the test itself receives has no
    // such name.
    parts.retain(|part, _| part.starts_with("opening"));
    let elements: usize = parts.values().map(|(count, _)| count).sum();
    assert!(elements < 20_000, "{elements}");
}

#[test]
fn counts_at_16_are_pinned() {
    let mut setup = Setup::<Grumpkin>::new(4);
    let parts = tally(&mut setup, Layout::new(2));
    let count = |part: &str| parts.get(part).map(|(count, _)| *count);
    assert_eq!(count("opening generators fold row"), Some(3 * 452));
    assert_eq!(count("opening generators row window"), Some(3 * 4 * 85));
    assert_eq!(count("opening generators window"), Some(85 * 57 + 1));
    assert_eq!(count("opening generators row correction"), Some(3 * 4));
    assert_eq!(count("opening round fold"), Some(4 * 2 * 452));
    assert_eq!(count("opening round"), Some(4 * 6));
}

/// Times of shape and witness at N = 2048; run by name with `--ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn times() {
    let setup = Setup::<Grumpkin>::new(11);
    let (statement, proof) = setup.example();
    let (key, layout) = (setup.key(), Layout::cheapest(11));
    let mut shape = ShapeSystem::<F>::new();
    let start = Instant::now();
    let sample = pair::Proof::sample(11);
    setup
        .synthesise(&mut shape, &key, layout, &statement, &sample)
        .unwrap();
    println!("shape of {} rows: {:?}", shape.rows(), start.elapsed());
    drop(shape);
    for _ in 0..2 {
        let mut witness = WitnessSystem::<F>::new();
        let start = Instant::now();
        setup
            .synthesise(&mut witness, &key, layout, &statement, &proof)
            .unwrap();
        println!("witness: {:?}", start.elapsed());
    }
}
