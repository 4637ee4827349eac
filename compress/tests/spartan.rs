//! Spartan: honest proofs hold natively and in a circuit, every altered part fails by name.

mod relaxed;

use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_compress::arithmetic::{Arithmetic, CircuitPrimary, NativePrimary, NativeSecondary};
use foldnet_compress::bilinear::CircuitMatrices;
use foldnet_compress::error::Rejected;
use foldnet_compress::shape::{Content, Dimensions, Shape, ShapeError};
use foldnet_compress::spartan::{self, Claim, Claims, MatrixEvaluation, Proof};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::sumcheck;
use foldnet_gadgets::system::WitnessSystem;
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::wire::{Wire, WireSystem};
use halo2curves::bn256::{Fq, Fr};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaxed::Relaxed;
use std::sync::LazyLock;

const TAG: Tag = Tag::new("test");

static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

fn prove(instance: &Relaxed<Fr>) -> (Proof<Fr>, Claims<Fr>) {
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut oracle = NativePrimary::new(&mut transcript);
    let Relaxed {
        shape, u, x, error, ..
    } = instance;
    spartan::prove(shape, *u, x, &instance.segments(), error, &mut oracle).unwrap()
}

fn verify(instance: &Relaxed<Fr>, proof: &Proof<Fr>) -> Result<Claims<Fr>, Rejected> {
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut arithmetic = NativePrimary::new(&mut transcript);
    let Relaxed { shape, u, x, .. } = instance;
    spartan::verify(&mut arithmetic, shape.dimensions(), u, x, proof, shape)
}

fn circuit<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    instance: &Relaxed<Fr>,
    proof: &Proof<Fr>,
) -> Result<Claims<Wire<Fr>>, SynthesisError> {
    let matrices = CircuitMatrices::new(&instance.shape);
    let u = cs.wire(|| "u", instance.u)?;
    let x = instance.x.iter().enumerate();
    let x: Vec<Wire<Fr>> = x
        .map(|(i, x)| cs.wire(|| format!("x {i}"), *x))
        .collect::<Result<_, _>>()?;
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
    let mut arithmetic = CircuitPrimary::new(cs, &mut transcript);
    let dimensions = instance.shape.dimensions();
    spartan::verify(&mut arithmetic, dimensions, &u, &x, proof, &matrices)
}

fn values(claims: &Claims<Wire<Fr>>) -> Claims<Fr> {
    let value = |claim: &Claim<Wire<Fr>>| Claim {
        point: claim.point.iter().map(Wire::value).collect(),
        value: claim.value.value(),
    };
    Claims {
        segments: claims.segments.iter().map(value).collect(),
        error: value(&claims.error),
    }
}

/// Names of the constraints that fail, without the running numbers.
fn failing(instance: &Relaxed<Fr>, proof: &Proof<Fr>) -> Vec<String> {
    let mut cs = MockSystem::new();
    circuit(&mut cs, instance, proof).unwrap();
    let failures = cs.failures().into_iter();
    failures
        .map(|failure| {
            failure
                .path
                .split(" [")
                .next()
                .unwrap_or_default()
                .to_string()
        })
        .collect()
}

/// Rows and columns that are no powers of two, two segments of different sizes.
fn instance() -> Relaxed<Fr> {
    Relaxed::random(21, &[11, 19], 2, 1)
}

#[test]
fn honest_proofs_are_accepted_natively_and_in_circuit() {
    let shapes: [(usize, &[usize], usize); 9] = [
        (21, &[11, 19], 2),
        (64, &[64, 32], 31),
        (1, &[1], 0),
        (0, &[3], 1),
        (0, &[], 0),
        (5, &[0, 7], 1),
        (2, &[0], 0),
        (33, &[40], 26),
        (300, &[100, 129, 5], 3),
    ];
    for (rows, segments, inputs) in shapes {
        let instance = Relaxed::<Fr>::random(rows, segments, inputs, 2);
        let (proof, claims) = prove(&instance);
        assert_eq!(
            verify(&instance, &proof),
            Ok(claims.clone()),
            "{rows} {segments:?}"
        );
        for (claim, segment) in claims.segments.iter().zip(&instance.segments) {
            assert_eq!(claim.value, sumcheck::evaluate(segment, &claim.point));
        }
        let error = &claims.error;
        assert_eq!(
            error.value,
            sumcheck::evaluate(&instance.error, &error.point)
        );

        let mut cs = MockSystem::new();
        let wires = circuit(&mut cs, &instance, &proof).unwrap();
        assert_eq!(cs.failures(), vec![], "{rows} {segments:?}");
        assert_eq!(values(&wires), claims);
        let mut witness = WitnessSystem::default();
        circuit(&mut witness, &instance, &proof).unwrap();
        assert_eq!(witness.auxiliary(), cs.auxiliary_values());
    }
}

#[test]
fn proofs_over_the_other_field_are_accepted() {
    let instance = Relaxed::<Fq>::random(40, &[50], 26, 3);
    let params = EisensteinParams::<Fr, Fq>::new().unwrap();
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut oracle = NativeSecondary::new(&mut transcript, &params);
    let Relaxed {
        shape, u, x, error, ..
    } = &instance;
    let (proof, claims) =
        spartan::prove(shape, *u, x, &instance.segments(), error, &mut oracle).unwrap();
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut arithmetic = NativeSecondary::new(&mut transcript, &params);
    let verified = spartan::verify(&mut arithmetic, shape.dimensions(), u, x, &proof, shape);
    assert_eq!(verified, Ok(claims));
}

#[test]
fn every_altered_field_is_rejected_by_name() {
    let instance = instance();
    let (honest, _) = prove(&instance);
    let mut altered: Vec<(&str, Proof<Fr>)> = Vec::new();
    let mut alter = |check, change: &dyn Fn(&mut Proof<Fr>)| {
        let mut proof = honest.clone();
        change(&mut proof);
        altered.push((check, proof));
    };
    for round in 0..honest.outer.len() {
        for k in 0..2 {
            alter("outer sum-check", &|p| p.outer[round][k] += Fr::ONE);
        }
    }
    for k in 0..3 {
        alter("outer sum-check", &|p| p.products[k] += Fr::ONE);
    }
    alter("outer sum-check", &|p| p.error += Fr::ONE);
    for round in 0..honest.inner.len() {
        for k in 0..2 {
            alter("inner sum-check", &|p| p.inner[round][k] += Fr::ONE);
        }
    }
    for k in 0..2 {
        alter("inner sum-check", &|p| p.segments[k] += Fr::ONE);
    }
    // The outer equation still holds: only the inner sum-check ties the product to the witness.
    alter("inner sum-check", &|p| {
        p.products[2] += Fr::ONE;
        p.error -= instance.u;
    });
    assert_eq!(altered.len(), 2 * 5 + 4 + 2 * 6 + 2 + 1);
    for (check, proof) in altered {
        assert_eq!(verify(&instance, &proof), Err(Rejected::Check { check }));
        let names = failing(&instance, &proof);
        assert_eq!(names.first().map(String::as_str), Some(check));
        assert!(names.iter().all(|name| name.ends_with("sum-check")));
    }
}

#[test]
fn a_wrong_instance_is_rejected() {
    let honest = instance();
    let (proof, _) = prove(&honest);
    let mut other = honest.clone();
    other.u += Fr::ONE;
    let outer = Err(Rejected::Check {
        check: "outer sum-check",
    });
    assert_eq!(verify(&other, &proof), outer);
    assert_eq!(failing(&other, &proof)[0], "outer sum-check");
    for i in 0..honest.x.len() {
        let mut other = honest.clone();
        other.x[i] += Fr::ONE;
        let inner = Err(Rejected::Check {
            check: "inner sum-check",
        });
        assert_eq!(verify(&other, &proof), inner);
        assert_eq!(failing(&other, &proof), ["inner sum-check"]);
    }
}

#[test]
fn a_proof_for_another_shape_is_rejected() {
    let honest = instance();
    let (proof, _) = prove(&honest);
    let mut other = Relaxed::random(21, &[11, 19], 2, 99);
    (other.u, other.x) = (honest.u, honest.x.clone());
    let inner = Err(Rejected::Check {
        check: "inner sum-check",
    });
    assert_eq!(verify(&other, &proof), inner);
    assert_eq!(failing(&other, &proof), ["inner sum-check"]);
}

#[test]
fn an_unsatisfied_assignment_is_rejected() {
    let mut instance = instance();
    instance.error[20] += Fr::ONE;
    let (proof, _) = prove(&instance);
    let outer = Err(Rejected::Check {
        check: "outer sum-check",
    });
    assert_eq!(verify(&instance, &proof), outer);
    assert_eq!(failing(&instance, &proof), ["outer sum-check"]);
}

#[test]
fn wrong_lengths_of_an_assignment_are_errors() {
    let honest = instance();
    let attempt = |instance: &Relaxed<Fr>| {
        let mut transcript = Transcript::new(&CONSTANTS, TAG);
        let mut oracle = NativePrimary::new(&mut transcript);
        let Relaxed {
            shape, u, x, error, ..
        } = instance;
        spartan::prove(shape, *u, x, &instance.segments(), error, &mut oracle).map(|_| ())
    };
    let length = |what, expected, got| {
        Err(ShapeError::Length {
            what,
            expected,
            got,
        })
    };
    // SECURITY 19: a short, an empty and a long error vector.
    for got in [20, 0, 22, 32] {
        let mut instance = honest.clone();
        instance.error.resize(got, Fr::ZERO);
        assert_eq!(attempt(&instance), length("error vector", 21, got));
    }
    let mut instance = honest.clone();
    instance.segments[1].push(Fr::ZERO);
    assert_eq!(attempt(&instance), length("witness segment", 19, 20));
    let mut instance = honest.clone();
    instance.segments.pop();
    assert_eq!(attempt(&instance), length("witness segments", 2, 1));
    let mut instance = honest.clone();
    instance.x.pop();
    assert_eq!(attempt(&instance), length("public inputs", 2, 1));
}

#[test]
fn wrong_lengths_of_a_proof_are_rejected() {
    let instance = instance();
    let (honest, _) = prove(&instance);
    let check = |what, expected, got, change: &dyn Fn(&mut Proof<Fr>)| {
        let mut proof = honest.clone();
        change(&mut proof);
        let rejected = Rejected::Length {
            what,
            expected,
            got,
        };
        assert_eq!(verify(&instance, &proof), Err(rejected));
        let mut cs = MockSystem::new();
        assert!(circuit(&mut cs, &instance, &proof).is_err());
    };
    check("outer rounds", 5, 4, &|p| p.outer.truncate(4));
    check("outer rounds", 5, 6, &|p| p.outer.push([Fr::ZERO; 2]));
    check("inner rounds", 6, 5, &|p| p.inner.truncate(5));
    check("inner rounds", 6, 0, &|p| p.inner.clear());
    check("segment evaluations", 2, 3, &|p| p.segments.push(Fr::ZERO));
    let mut other = instance.clone();
    other.x.push(Fr::ZERO);
    let rejected = Rejected::Length {
        what: "public inputs",
        expected: 2,
        got: 3,
    };
    assert_eq!(verify(&other, &honest), Err(rejected));
}

#[test]
fn every_witness_value_is_pinned() {
    let instance = Relaxed::<Fr>::random(9, &[5, 4], 2, 5);
    let (proof, _) = prove(&instance);
    let mut cs = MockSystem::new();
    circuit(&mut cs, &instance, &proof).unwrap();
    assert_eq!(cs.failures(), vec![]);
    assert_eq!(cs.unpinned(), [""; 0]);
}

#[test]
fn columns_are_laid_out_by_size() {
    let dimensions = Dimensions::new(9, vec![3, 9, 4, 0], 2).unwrap();
    let blocks: Vec<_> = dimensions
        .blocks()
        .iter()
        .map(|block| (block.content, block.offset, block.variables))
        .collect();
    let expected = [
        (Content::Segment(1), 0, 4),
        (Content::Segment(0), 16, 2),
        (Content::Segment(2), 20, 2),
        (Content::Public, 24, 2),
        (Content::Segment(3), 28, 0),
    ];
    assert_eq!(blocks, expected);
    assert_eq!(dimensions.column_variables(), 5);
    assert_eq!(dimensions.row_variables(), 4);
    assert_eq!(dimensions.columns(), 19);
    let positions: Vec<_> = (0..20).map(|j| dimensions.position(j)).collect();
    let expected: Vec<Option<usize>> = (16..19)
        .chain(0..9)
        .chain(20..24)
        .chain(24..27)
        .map(Some)
        .chain([None])
        .collect();
    assert_eq!(positions, expected);
}

#[test]
fn matrices_are_evaluated_as_their_dense_extensions() {
    let instance = instance();
    let dimensions = instance.shape.dimensions();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut point = |n| (0..n).map(|_| Fr::random(&mut rng)).collect::<Vec<_>>();
    let rows = point(dimensions.row_variables());
    let columns = point(dimensions.column_variables());
    let (row_weights, column_weights) = (sumcheck::eq_table(&rows), sumcheck::eq_table(&columns));
    let direct = instance.shape.matrices().each_ref().map(|matrix| {
        let mut sum = Fr::ZERO;
        for (i, weight) in row_weights.iter().enumerate() {
            for (j, value) in matrix.row(i) {
                sum += weight * value * column_weights[dimensions.position(j).unwrap()];
            }
        }
        sum
    });
    assert_eq!(instance.shape.evaluate(&rows, &columns), Ok(direct));
    let short = instance.shape.evaluate(&rows[1..], &columns);
    let expected = ShapeError::Length {
        what: "row point",
        expected: 5,
        got: 4,
    };
    assert_eq!(short, Err(expected));
}

#[test]
fn entries_outside_and_shapes_too_large_are_errors() {
    let outside = Shape::new(2, vec![3], 1, [vec![], vec![(1, 5, Fr::ONE)], vec![]]);
    let expected = ShapeError::Entry {
        matrix: 1,
        row: 1,
        column: 5,
        rows: 2,
        columns: 5,
    };
    assert_eq!(outside, Err(expected));
    let huge = Dimensions::new(1, vec![usize::MAX, 1], 0);
    assert!(matches!(huge, Err(ShapeError::Size { .. })));
}

/// A received value changed alone: what ties it to the others fails by name.
#[test]
fn received_values_are_tied_by_named_constraints() {
    let instance = instance();
    let (proof, _) = prove(&instance);
    let mut cs = MockSystem::new();
    circuit(&mut cs, &instance, &proof).unwrap();
    let paths = cs.auxiliary_paths();
    let ties = [
        ("outer round 2 second coefficient", "outer round 2 r c2"),
        ("outer round 2 first coefficient", "outer round 2 change"),
        ("A z", "A z B z - u C z"),
        ("B z", "gamma B z + gamma^2 C z"),
        ("C z", "gamma B z + gamma^2 C z"),
        ("E", "outer sum-check"),
        ("round 1 second coefficient", "round 1 r c2"),
        ("round 1 first coefficient", "round 1 r (c1 + r c2)"),
        ("segment 1", "blocks 0 6"),
    ];
    for (received, tie) in ties {
        let index = paths
            .iter()
            .position(|path| path.starts_with(&format!("{received} [")));
        let index = index.unwrap();
        let original = cs.auxiliary_values()[index];
        assert!(cs.set(&paths[index], original + Fr::ONE));
        let failures = cs.failures_touching(index);
        let tied = failures
            .iter()
            .any(|failure| failure.path.starts_with(&format!("{tie} [")));
        assert!(tied, "{received}: {failures:?}");
        // It is absorbed as well; the segments are before the caller's next challenge.
        let absorbed = failures
            .iter()
            .any(|failure| failure.path.contains("squeeze"));
        assert_eq!(absorbed, received != "segment 1", "{received}");
        assert!(cs.set(&paths[index], original));
    }
}

/// Stands for the matrices where only the rest of the verifier is of interest.
struct NoMatrices;

impl<A: Arithmetic> MatrixEvaluation<A> for NoMatrices {
    fn combined(
        &self,
        _: &mut A,
        _: &[A::Element],
        _: &[A::Element],
        gamma: &A::Element,
    ) -> Result<A::Element, A::Error> {
        Ok(gamma.clone())
    }
}

/// Constraints of the verifier without the matrices, for `(rows, segments, inputs)`.
#[test]
fn constraints_are_counted() {
    let shapes = [
        (21, vec![11, 19], 2),
        (1 << 15, vec![1 << 13, 1 << 15], 2),
        (1 << 16, vec![1 << 14, 1 << 16], 2),
    ];
    let counts = shapes.map(|(rows, segments, inputs)| {
        let dimensions = Dimensions::new(rows, segments, inputs).unwrap();
        let mut cs = MockSystem::new();
        let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
        let u = cs.wire(|| "u", Fr::ONE).unwrap();
        let x = [u.clone(), u.clone()];
        let mut arithmetic = CircuitPrimary::new(&mut cs, &mut transcript);
        let proof = Proof::zero(&dimensions);
        spartan::verify(&mut arithmetic, &dimensions, &u, &x, &proof, &NoMatrices).unwrap();
        assert_eq!(cs.duplicates(), [""; 0]);
        cs.constraint_count()
    });
    assert_eq!(counts, [5_365, 14_815, 15_760]);
}
