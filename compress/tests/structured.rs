//! Matrices that repeat a block: their parts are the matrices, and the value is that of the
//! entries.

use ff::Field;
use foldnet_compress::arithmetic::{Arithmetic, CircuitSecondary, NativePrimary, NativeSecondary};
use foldnet_compress::error::Rejected;
use foldnet_compress::spartan::MatrixEvaluation;
use foldnet_compress::structured::{Entry, Layout, StructureError, StructuredMatrices};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::field::{from_i64, power_of_two};
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::sumcheck::eq_table;
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::sync::LazyLock;

type F = <Bn254 as Cycle>::F;
type Q = <Bn254 as Cycle>::Q;

const TAG: Tag = Tag::new("foldnet test structured");
const OPERATIONS: usize = 2;
const DIGITS: usize = 8;
const SLOTS: usize = 4;
const PUBLIC: usize = 16;
const BLOCK: usize = OPERATIONS * DIGITS * SLOTS;

const LAYOUT: Layout = Layout {
    operations: 1,
    digits: 3,
    slots: 2,
    public: 4,
    stride: 5,
};

static CONSTANTS: LazyLock<HashConstants<F>> = LazyLock::new(HashConstants::default);

type Triples<S> = [Vec<Entry<S>>; 3];

/// Row point, column point and gamma in one list, and the value there.
type Evaluation<S> = (Vec<S>, S);

fn at(operation: usize, digit: usize, slot: usize) -> usize {
    (operation * DIGITS + digit) * SLOTS + slot
}

fn public(i: usize) -> usize {
    BLOCK + i
}

/// One matrix with every part once; slot 3 is for what a digit does not have.
fn every_part<S: CircuitField>() -> Vec<Entry<S>> {
    let small = from_i64::<S>;
    let mut entries = Vec::new();
    for o in 0..OPERATIONS {
        for t in 0..DIGITS {
            // Local, shift, and public values of the operation and of all.
            entries.push((at(o, t, 0), at(o, t, 1), small(3)));
            entries.push((at(o, t, 1), public(3 + 5 * o), small(-1)));
            entries.push((at(o, t, 2), public(0), small(2)));
            if t > 0 {
                entries.push((at(o, t, 2), at(o, t - 1, 1), small(-2)));
            }
            // Powers.
            let weight = power_of_two::<S>((DIGITS - 1 - t) as u32) * small(5);
            entries.push((at(o, 2, 3), at(o, t, 1), weight));
        }
        // Single rows.
        entries.push((at(o, 0, 2), public(4 + 5 * o), small(-2)));
        entries.push((at(o, 1, 3), at(o, 7, 1), small(1)));
        // Another column in each operation.
        entries.push((at(o, 3, 3), at(0, 4 + o, 3), small(7)));
    }
    entries.push((at(1, 5, 3), at(0, 2, 2), small(11)));
    entries
}

fn fixture<S: CircuitField>() -> Triples<S> {
    let a = every_part::<S>();
    let b = a.iter().step_by(2).copied().collect();
    let c = a.iter().map(|(i, j, v)| (*i, *j, -*v)).skip(4).collect();
    [a, b, c]
}

fn structured<S: CircuitField>([a, b, c]: &Triples<S>) -> StructuredMatrices<S> {
    StructuredMatrices::new(LAYOUT, [a, b, c]).unwrap()
}

fn merged<S: CircuitField>(entries: &[Entry<S>]) -> Vec<Entry<S>> {
    let mut cells = BTreeMap::new();
    for (row, column, value) in entries {
        *cells.entry((*row, *column)).or_insert(S::ZERO) += *value;
    }
    let cells = cells.into_iter().filter(|(_, value)| *value != S::ZERO);
    cells
        .map(|((row, column), value)| (row, column, value))
        .collect()
}

fn exact<S: CircuitField>(triples: &Triples<S>) {
    let expanded = structured(triples).expand();
    for (expected, got) in triples.iter().zip(&expanded) {
        assert_eq!(merged(expected), *got);
    }
}

fn direct<S: CircuitField>([a, b, c]: &Triples<S>, x: &[S], y: &[S], gamma: S) -> S {
    let (x, y) = (eq_table(x), eq_table(y));
    let value = |entries: &[Entry<S>]| {
        let terms = entries.iter().map(|(i, j, v)| *v * x[*i] * y[*j]);
        terms.fold(S::ZERO, |sum, term| sum + term)
    };
    value(a) + gamma * (value(b) + gamma * value(c))
}

/// The points and the value at squeezed points, as field elements.
fn evaluate<A: Arithmetic>(
    arithmetic: &mut A,
    matrices: &StructuredMatrices<A::Field>,
) -> Result<Evaluation<A::Field>, A::Error> {
    let count = LAYOUT.row_bits() + LAYOUT.column_bits() + 1;
    let mut point = Vec::new();
    for _ in 0..count {
        point.push(arithmetic.challenge("point")?);
    }
    let (rows, rest) = point.split_at(LAYOUT.row_bits());
    let (columns, gamma) = rest.split_at(LAYOUT.column_bits());
    let value = matrices.combined(arithmetic, rows, columns, &gamma[0])?;
    let values = point.iter().map(|x| arithmetic.value(x)).collect();
    Ok((values, arithmetic.value(&value)))
}

fn check<S: CircuitField>(triples: &Triples<S>, (point, value): &Evaluation<S>) {
    let (rows, rest) = point.split_at(LAYOUT.row_bits());
    let (columns, gamma) = rest.split_at(LAYOUT.column_bits());
    assert_eq!(*value, direct(triples, rows, columns, gamma[0]));
}

/// Full field elements as points.
fn evaluates_natively(triples: &Triples<F>, seed: u64) {
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    transcript.absorb(&[F::from(seed)]);
    let mut native = NativePrimary::new(&mut transcript);
    check(
        triples,
        &evaluate(&mut native, &structured(triples)).unwrap(),
    );
}

#[test]
fn every_part_is_found() {
    let terms = structured(&fixture::<Q>()).terms();
    // Single terms of A: linked, common, powers, first digit, last digit, two columns, one entry.
    assert_eq!(terms[0], [1, 1, 8]);
}

#[test]
fn parts_are_the_matrices() {
    exact(&fixture::<Q>());
    exact(&[Vec::new(), Vec::new(), Vec::<Entry<Q>>::new()]);
}

#[test]
fn the_value_is_that_of_the_entries() {
    for seed in 0..4 {
        evaluates_natively(&fixture(), seed);
    }
}

#[test]
fn the_circuit_computes_the_native_value() {
    let triples = fixture::<Q>();
    let structured = structured(&triples);
    let params = EisensteinParams::new().unwrap();
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut native = NativeSecondary::new(&mut transcript, &params);
    let native = evaluate(&mut native, &structured).unwrap();
    check(&triples, &native);
    let mut cs = MockSystem::<F>::default();
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, TAG);
    let mut circuit = CircuitSecondary::new(&mut cs, &mut transcript, &params);
    assert_eq!(evaluate(&mut circuit, &structured).unwrap(), native);
    let failures = cs.failures();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn points_of_another_length_are_rejected() {
    let structured = structured(&fixture::<F>());
    let mut transcript = Transcript::new(&CONSTANTS, TAG);
    let mut native = NativePrimary::new(&mut transcript);
    for (rows, columns) in [(5, 7), (6, 6), (7, 7)] {
        let (x, y) = (vec![F::ONE; rows], vec![F::ONE; columns]);
        let result = structured.combined(&mut native, &x, &y, &F::ONE);
        assert!(matches!(result, Err(Rejected::Length { .. })));
    }
}

#[test]
fn entries_outside_are_refused() {
    for (row, column, what) in [(BLOCK, 0, "row"), (0, BLOCK + PUBLIC, "column")] {
        let entries = [(row, column, Q::ONE)];
        let result = StructuredMatrices::new(LAYOUT, [&entries, &[], &[]]);
        assert!(matches!(result, Err(StructureError::Range { what: w, .. }) if w == what));
    }
}

#[test]
fn layouts_that_address_nothing_are_refused() {
    let wide = [
        Layout {
            digits: 7,
            ..LAYOUT
        },
        Layout {
            public: 7,
            ..LAYOUT
        },
        Layout {
            slots: 30,
            ..LAYOUT
        },
    ];
    for layout in wide {
        let result = StructuredMatrices::<Q>::new(layout, [&[], &[], &[]]);
        assert!(matches!(result, Err(StructureError::Layout { .. })));
    }
}

/// Whatever the entries are: structure that is broken somewhere is not structure.
fn perturbed(seed: u64, changes: usize) -> Triples<F> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut triples = fixture::<F>();
    for matrix in &mut triples {
        for _ in 0..changes {
            let length = matrix.len().max(1);
            let i = rng.next_u32() as usize % length;
            match rng.next_u32() % 4 {
                0 => drop(matrix.remove(i)),
                1 => matrix[i].2 = F::random(&mut rng),
                2 => matrix[i].1 = rng.next_u32() as usize % (BLOCK + PUBLIC),
                _ => {
                    let row = rng.next_u32() as usize % BLOCK;
                    let column = rng.next_u32() as usize % (BLOCK + PUBLIC);
                    matrix.push((row, column, F::ONE));
                }
            }
        }
    }
    triples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn broken_structure_stays_exact(seed: u64, changes in 0usize..12) {
        let triples = perturbed(seed, changes);
        exact(&triples);
        evaluates_natively(&triples, seed);
    }

    #[test]
    fn layouts_without_bits_of_a_part(seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for layout in [
            Layout { operations: 0, digits: 3, slots: 3, public: 4, stride: 5 },
            Layout { operations: 3, digits: 0, slots: 3, public: 4, stride: 1 },
            Layout { operations: 3, digits: 3, slots: 0, public: 4, stride: 0 },
        ] {
            let triples = perturbed(rng.next_u64(), 3);
            let [a, b, c] = &triples;
            let structured = StructuredMatrices::new(layout, [a, b, c]).unwrap();
            for (expected, got) in triples.iter().zip(&structured.expand()) {
                prop_assert_eq!(&merged(expected), got);
            }
            let mut transcript = Transcript::new(&CONSTANTS, TAG);
            let mut native = NativePrimary::new(&mut transcript);
            check(&triples, &evaluate(&mut native, &structured).unwrap());
        }
    }
}
