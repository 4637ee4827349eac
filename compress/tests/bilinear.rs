//! The matrices of a shape at a point: circuit and native twin agree, in few constraints.

mod relaxed;

use bellpepper_core::{ConstraintSystem, SynthesisError};
use ff::Field;
use foldnet_compress::arithmetic::{Arithmetic, CircuitPrimary, NativePrimary};
use foldnet_compress::batch;
use foldnet_compress::bilinear::{CircuitMatrices, Tiling};
use foldnet_compress::shape::Shape;
use foldnet_compress::spartan::{self, Claim, MatrixEvaluation};
use foldnet_gadgets::challenge::{Challenge, ChallengeWires};
use foldnet_gadgets::cycle::cube_root;
use foldnet_gadgets::hash::{HashConstants, Tag, hash_circuit};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::point::{MultiplierWires, PointWires, multiply_add};
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::sumcheck::{NoProver, run_circuit};
use foldnet_gadgets::system::{Matrices, ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use foldnet_gadgets::wire::{Wire, WireSystem, bits};
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaxed::Relaxed;
use std::sync::LazyLock;
use std::time::Instant;

const TAG: Tag = Tag::new("test");

static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

/// A random point and combination challenge for a shape.
fn point(shape: &Shape<Fr>) -> (Vec<Fr>, Vec<Fr>, Fr) {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut vector = |n| (0..n).map(|_| Fr::random(&mut rng)).collect::<Vec<_>>();
    let dimensions = shape.dimensions();
    let rows = vector(dimensions.row_variables());
    let columns = vector(dimensions.column_variables());
    (rows, columns, vector(1)[0])
}

fn wires<CS: ConstraintSystem<Fr>>(cs: &mut CS, name: &str, values: &[Fr]) -> Vec<Wire<Fr>> {
    let values = values.iter().enumerate();
    values
        .map(|(i, value)| cs.wire(|| format!("{name} {i}"), *value).unwrap())
        .collect()
}

/// The value in a system that starts with the point, gamma and nothing else.
fn evaluate<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    shape: &Shape<Fr>,
    matrices: &CircuitMatrices<Fr>,
) -> Result<Wire<Fr>, SynthesisError> {
    let (rows, columns, gamma) = point(shape);
    let rows = wires(cs, "row", &rows);
    let columns = wires(cs, "column", &columns);
    let gamma = cs.wire(|| "gamma", gamma)?;
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
    let mut arithmetic = CircuitPrimary::new(cs, &mut transcript);
    matrices.combined(&mut arithmetic, &rows, &columns, &gamma)
}

fn native(shape: &Shape<Fr>) -> Fr {
    let (rows, columns, gamma) = point(shape);
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut arithmetic = NativePrimary::new(&mut transcript);
    shape
        .combined(&mut arithmetic, &rows, &columns, &gamma)
        .unwrap()
}

#[test]
fn circuit_and_native_twin_agree() {
    let shapes: [(usize, &[usize], usize); 7] = [
        (0, &[], 0),
        (1, &[1], 0),
        (0, &[20], 2),
        (7, &[], 0),
        (21, &[11, 19], 2),
        (200, &[64, 100], 2),
        (1000, &[5, 900], 3),
    ];
    for (rows, segments, inputs) in shapes {
        let shape = Relaxed::random(rows, segments, inputs, 3).shape;
        let matrices = CircuitMatrices::new(&shape);
        let mut cs = MockSystem::new();
        let value = evaluate(&mut cs, &shape, &matrices).unwrap();
        assert_eq!(cs.failures(), vec![]);
        assert_eq!(value.value(), native(&shape));
        let mut witness = WitnessSystem::default();
        let same = evaluate(&mut witness, &shape, &matrices).unwrap();
        assert_eq!(same.value(), value.value());
        assert_eq!(witness.auxiliary(), cs.auxiliary_values());
        let mut count = ShapeSystem::default();
        evaluate(&mut count, &shape, &matrices).unwrap();
        assert_eq!(count.rows(), cs.constraint_count());
    }
}

/// Every variable that the evaluation allocates is the product of others, so that no other value of
/// the matrices satisfies the constraints.
#[test]
fn every_variable_is_determined() {
    let shape = Relaxed::random(60, &[30, 40], 2, 4).shape;
    let matrices = CircuitMatrices::new(&shape);
    let mut cs = MockSystem::new();
    let value = evaluate(&mut cs, &shape, &matrices).unwrap();
    cs.enforce_equal(|| "value", &value, &Wire::constant(native(&shape)));
    assert_eq!(cs.failures(), vec![]);
    assert_eq!(cs.unpinned(), [""; 0]);
    for (index, path) in cs.auxiliary_paths().iter().enumerate() {
        let Some(name) = path.strip_prefix("matrices [1]/") else {
            continue;
        };
        let original = cs.auxiliary_values()[index];
        assert!(cs.set(path, original + Fr::ONE));
        let failures = cs.failures_touching(index);
        let named = failures.iter().any(|failure| failure.path == *path);
        assert!(named, "{name}");
        assert!(cs.set(path, original));
    }
}

#[test]
fn points_of_another_shape_are_errors() {
    let shape = Relaxed::random(60, &[30, 40], 2, 4).shape;
    let other = Relaxed::random(70, &[30, 40], 2, 4).shape;
    let matrices = CircuitMatrices::new(&shape);
    assert!(evaluate(&mut MockSystem::new(), &other, &matrices).is_err());
    let other = Relaxed::random(60, &[30, 140], 2, 4).shape;
    assert!(evaluate(&mut MockSystem::new(), &other, &matrices).is_err());
}

/// Constraints and tiling for `(rows, segments)` of shapes with entries all over the place, which
/// is the worst case, and for a shape of one band.
#[test]
fn constraints_are_counted() {
    let band = |rows: usize| {
        let matrix = |shift: usize| (0..rows).map(|i| (i, i + shift, Fr::from(3))).collect();
        Shape::new(rows, vec![rows + 2], 2, [0, 1, 2].map(matrix)).unwrap()
    };
    let shapes = [
        Relaxed::random(1000, &[5, 900], 3, 3).shape,
        band(1000),
        band(1 << 16),
    ];
    let counts = shapes.map(|shape| {
        let mut count = ShapeSystem::default();
        let matrices = CircuitMatrices::new(&shape);
        evaluate(&mut count, &shape, &matrices).unwrap();
        let Tiling {
            low,
            monomials,
            tiles,
        } = matrices.tiling();
        (low, monomials, tiles, count.rows())
    });
    let expected = [
        ([4, 5], 1_526, 1_828, 3_529),
        ([5, 5], 96, 63, 345),
        ([8, 8], 768, 512, 2_819),
    ];
    assert_eq!(counts, expected);
}

/// A circuit with the parts that step circuits are made of, about 20 k constraints a unit.
fn step<CS: ConstraintSystem<Fr>>(cs: &mut CS, units: usize) -> Result<usize, SynthesisError> {
    let mut segment = FirstSegment::open(cs);
    let mut values = Vec::new();
    for i in 0..units * 3000 {
        values.push(segment.alloc_ranged(&format!("value {i}"), &[7, 1], 2)?);
    }
    let lookups = segment.close()?;
    let mut counted = ShapeSystem::<Fr>::default();
    let mut copy = FirstSegment::open(&mut counted);
    for _ in 0..units * 3000 {
        copy.alloc_ranged("value", &[7, 1], 2)?;
    }
    copy.close()?;
    let first = counted.auxiliary();

    let seed = cs.wire(|| "seed", Fr::from(9))?;
    let packed: Vec<Wire<Fr>> = values
        .chunks(15)
        .map(|chunk| {
            let mut weight = Fr::ONE;
            let mut sum = Wire::zero();
            for value in chunk {
                sum.add_scaled(weight, value.wire());
                weight *= Fr::from(1 << 16);
            }
            sum
        })
        .collect();
    let digest = hash_circuit(&mut cs.namespace(|| "pack"), &CONSTANTS, TAG, &packed)?;
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
    transcript.absorb([&digest, &seed]);
    lookups.constrain(cs, &mut transcript)?;
    for unit in 0..units {
        let mut cs = cs.namespace(|| format!("unit {unit}"));
        let mut rounds = cs.namespace(|| "sum-check");
        let (challenges, claim) =
            run_circuit(&mut rounds, &mut transcript, &seed, 8, &mut NoProver)?;
        drop(rounds);
        for (i, r) in challenges.iter().enumerate().take(4) {
            bits(&mut cs.namespace(|| format!("bits {i}")), r, 254)?;
        }
        let p = PointWires::alloc(&mut cs, "p", (Fr::ZERO, Fr::ZERO))?;
        let q = PointWires::alloc(&mut cs, "q", (Fr::ZERO, Fr::ZERO))?;
        let choices = ChallengeWires::from_hash(&mut cs.namespace(|| "digits"), &claim)?;
        drop(choices);
        let mut multiplication = cs.namespace(|| "multiply");
        let r = MultiplierWires::from_integer(&mut multiplication, &claim, Challenge::default())?;
        let beta = cube_root::<Fr>();
        multiply_add(&mut multiplication, &p, &q, &r, Challenge::default(), beta)?;
        drop(multiplication);
        let inputs: Vec<Wire<Fr>> = packed.iter().take(100).cloned().collect();
        let state = hash_circuit(&mut cs.namespace(|| "state"), &CONSTANTS, TAG, &inputs)?;
        let mut sum = Wire::zero();
        for (i, value) in values.iter().skip(3000 * unit).take(2900).enumerate() {
            let weighted = cs.product(|| format!("weighted {i}"), value.wire(), &state)?;
            sum.add_assign(&weighted);
        }
        cs.enforce_equal(|| "total", &sum, &claim);
    }
    Ok(first)
}

/// The shape of [`step`] with its first segment and two public inputs.
fn step_shape(units: usize) -> Shape<Fr> {
    let mut system = ShapeSystem::default();
    system.public_wire(|| "h", Fr::ZERO).unwrap();
    system.public_wire(|| "alpha", Fr::ZERO).unwrap();
    let first = step(&mut system, units).unwrap();
    let Matrices {
        rows,
        variables,
        inputs,
        a,
        b,
        c,
    } = system.into_matrices();
    Shape::new(rows, vec![first, variables - first], inputs, [a, b, c]).unwrap()
}

/// Times and counts on shapes like those of steps; run with `--nocapture`.
#[test]
fn step_shapes_cost_less_than_one_constraint_a_row() {
    for units in [1, 3] {
        let start = Instant::now();
        let shape = step_shape(units);
        let rows = shape.dimensions().rows();
        println!(
            "shape: {rows} rows, segments {:?}, {} entries, {:?}",
            shape.dimensions().segments(),
            shape.entries(),
            start.elapsed()
        );
        let start = Instant::now();
        let matrices = CircuitMatrices::new(&shape);
        println!("{:?} arranged in {:?}", matrices.tiling(), start.elapsed());
        let start = Instant::now();
        let mut count = ShapeSystem::default();
        let value = evaluate(&mut count, &shape, &matrices).unwrap();
        let time = start.elapsed();
        let constraints = count.rows();
        let counted = count.into_matrices();
        let terms = counted.a.len() + counted.b.len() + counted.c.len();
        println!(
            "{constraints} constraints, {:.3} a row, {terms} terms, {time:?}",
            constraints as f64 / rows as f64
        );
        let start = Instant::now();
        let mut witness = WitnessSystem::default();
        let same = evaluate(&mut witness, &shape, &matrices).unwrap();
        println!("witness in {:?}", start.elapsed());
        assert_eq!(value.value(), same.value());
        let start = Instant::now();
        assert_eq!(native(&shape), value.value());
        println!("native in {:?}", start.elapsed());
        assert!(constraints < rows);
    }
}

/// Time of the native evaluation; run with `--ignored --nocapture`.
#[test]
#[ignore = "measures time"]
fn evaluation_time() {
    let shape = step_shape(1);
    let (rows, columns, _) = point(&shape);
    let start = Instant::now();
    for _ in 0..100 {
        shape.evaluate(&rows, &columns).unwrap();
    }
    println!("{} entries in {:?}", shape.entries(), start.elapsed() / 100);
}

/// Prover times at full size; run with `--ignored --nocapture`.
#[test]
#[ignore = "measures time"]
fn prover_times() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let instance = Relaxed::assign(step_shape(3), &mut rng);
    let Relaxed {
        shape, u, x, error, ..
    } = &instance;
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut oracle = NativePrimary::new(&mut transcript);
    let start = Instant::now();
    let segments = instance.segments();
    let (proof, _) = spartan::prove(shape, *u, x, &segments, error, &mut oracle).unwrap();
    println!("spartan proved in {:?}", start.elapsed());
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut arithmetic = NativePrimary::new(&mut transcript);
    let start = Instant::now();
    spartan::verify(&mut arithmetic, shape.dimensions(), u, x, &proof, shape).unwrap();
    println!("spartan verified in {:?}", start.elapsed());

    let sizes = [16usize, 16, 16, 16, 16, 16, 20];
    let mut vector = |n: usize| (0..n).map(|_| Fr::random(&mut rng)).collect::<Vec<_>>();
    let tables: Vec<Vec<Fr>> = sizes.iter().map(|n| vector(1 << n)).collect();
    let claims = tables.iter().zip(sizes).map(|(table, n)| {
        let point = vector(n);
        let value = foldnet_gadgets::sumcheck::evaluate(table, &point);
        Claim { point, value }
    });
    let claims: Vec<Claim<Fr>> = claims.collect();
    let tables: Vec<&[Fr]> = tables.iter().map(Vec::as_slice).collect();
    let start = Instant::now();
    let (_, combined) = batch::prove(&tables, &claims, &mut arithmetic).unwrap();
    println!("batch proved in {:?}", start.elapsed());
    let start = Instant::now();
    let combined = batch::combine(&tables, arithmetic.value(&combined.rho));
    println!(
        "{} entries combined in {:?}",
        combined.len(),
        start.elapsed()
    );
}
