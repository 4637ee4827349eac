//! The layout of the CycleFold circuit, and what its matrices cost where they are evaluated.

use ff::Field;
use foldnet::fold::cyclefold::{self, ADDRESSES, OPERATIONS, PUBLIC_INPUTS, SLOT_BITS};
use foldnet_compress::arithmetic::{Arithmetic, CircuitSecondary, NativeSecondary};
use foldnet_compress::spartan::MatrixEvaluation;
use foldnet_compress::structured::{Entry, Layout, StructuredMatrices};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::challenge::DIGITS;
use foldnet_gadgets::cycle::{Bn254, Cycle, Pasta};
use foldnet_gadgets::eisenstein::EisensteinParams;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::sumcheck::eq_table;
use foldnet_gadgets::system::Matrices;
use foldnet_gadgets::transcript::{Transcript, TranscriptCircuit};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const LAYOUT: Layout = Layout {
    operations: OPERATIONS.ilog2() as usize,
    digits: DIGITS.ilog2() as usize,
    slots: SLOT_BITS,
    public: (PUBLIC_INPUTS + 1).next_power_of_two().ilog2() as usize,
    stride: 6,
};

const TAG: Tag = Tag::new("foldnet test cyclefold layout");

fn structured<S: CircuitField>(matrices: &Matrices<S>) -> StructuredMatrices<S> {
    StructuredMatrices::new(LAYOUT, [&matrices.a, &matrices.b, &matrices.c]).unwrap()
}

/// Equal columns of a row merged, zeros dropped, ordered.
fn merged<S: CircuitField>(entries: &[Entry<S>]) -> Vec<Entry<S>> {
    let mut cells = std::collections::BTreeMap::new();
    for (row, column, value) in entries {
        *cells.entry((*row, *column)).or_insert(S::ZERO) += *value;
    }
    let cells = cells.into_iter().filter(|(_, value)| *value != S::ZERO);
    cells
        .map(|((row, column), value)| (row, column, value))
        .collect()
}

fn direct<S: CircuitField>(matrices: &Matrices<S>, x: &[S], y: &[S], gamma: S) -> S {
    let (x, y) = (eq_table(x), eq_table(y));
    let value = |entries: &[Entry<S>]| {
        entries
            .iter()
            .fold(S::ZERO, |sum, (i, j, v)| sum + *v * x[*i] * y[*j])
    };
    value(&matrices.a) + gamma * (value(&matrices.b) + gamma * value(&matrices.c))
}

/// The value at squeezed points.
fn value<A: Arithmetic>(
    arithmetic: &mut A,
    matrices: &StructuredMatrices<A::Field>,
) -> Result<[Vec<A::Element>; 3], A::Error> {
    let point = |arithmetic: &mut A, n: usize| {
        (0..n)
            .map(|_| arithmetic.challenge("point"))
            .collect::<Result<Vec<_>, _>>()
    };
    let rows = point(arithmetic, LAYOUT.row_bits())?;
    let columns = point(arithmetic, LAYOUT.column_bits())?;
    let gamma = point(arithmetic, 1)?;
    let value = matrices.combined(arithmetic, &rows, &columns, &gamma[0])?;
    Ok([rows, columns, vec![gamma[0].clone(), value]])
}

/// Constraints of the evaluation, after checking the value natively and in the circuit.
fn cost<C: Cycle>() -> usize {
    let matrices = cyclefold::matrices::<C>().unwrap();
    assert_eq!((matrices.rows, matrices.variables), (ADDRESSES, ADDRESSES));
    let structured = structured(&matrices);
    let expanded = structured.expand();
    for (expected, got) in [&matrices.a, &matrices.b, &matrices.c]
        .iter()
        .zip(&expanded)
    {
        assert_eq!(merged(expected), merged(got));
    }
    println!(
        "{}: local, shift, single terms {:?}",
        C::NAME,
        structured.terms()
    );

    let constants = HashConstants::default();
    let params = EisensteinParams::new().unwrap();
    let mut transcript = Transcript::new(&constants, TAG);
    let mut native = NativeSecondary::new(&mut transcript, &params);
    let [rows, columns, last] = value(&mut native, &structured).unwrap();
    assert_eq!(last[1], direct(&matrices, &rows, &columns, last[0]));

    let mut cs = MockSystem::<C::F>::default();
    let mut transcript = TranscriptCircuit::new(&constants, TAG);
    let mut circuit = CircuitSecondary::new(&mut cs, &mut transcript, &params);
    let [_, _, elements] = value(&mut circuit, &structured).unwrap();
    assert_eq!(circuit.value(&elements[1]), last[1]);
    assert!(cs.failures().is_empty());

    let mut cs = MockSystem::<C::F>::default();
    let mut transcript = TranscriptCircuit::new(&constants, TAG);
    let mut circuit = CircuitSecondary::new(&mut cs, &mut transcript, &params);
    for _ in 0..LAYOUT.row_bits() + LAYOUT.column_bits() + 1 {
        circuit.challenge("point").unwrap();
    }
    let challenges = cs.constraint_count();
    let mut cs = MockSystem::<C::F>::default();
    let mut transcript = TranscriptCircuit::new(&constants, TAG);
    let mut circuit = CircuitSecondary::new(&mut cs, &mut transcript, &params);
    value(&mut circuit, &structured).unwrap();
    cs.constraint_count() - challenges
}

#[test]
fn matrices_are_their_parts() {
    let counts = [cost::<Bn254>(), cost::<Pasta>()];
    assert_eq!(counts, [60_212; 2]);
}

/// Few entries are left that belong to no repeated part.
#[test]
fn rows_and_columns_outside_the_circuit_are_empty() {
    let matrices = cyclefold::matrices::<Bn254>().unwrap();
    let (rows, variables) = cyclefold::filled::<Bn254>().unwrap();
    let entries = || matrices.a.iter().chain(&matrices.b).chain(&matrices.c);
    let used: std::collections::BTreeSet<_> = entries().map(|(row, _, _)| *row).collect();
    assert_eq!(used.len(), rows);
    let columns = entries().map(|(_, column, _)| *column);
    let used: std::collections::BTreeSet<_> = columns.filter(|c| *c < ADDRESSES).collect();
    assert_eq!(used.len(), variables);
}

#[test]
fn random_field_elements_are_not_structured() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut matrices = cyclefold::matrices::<Bn254>().unwrap();
    for (_, _, value) in matrices.a.iter_mut().step_by(97) {
        *value = Field::random(&mut rng);
    }
    let structured = structured(&matrices);
    let [a, _, _] = structured.expand();
    assert_eq!(merged(&a), merged(&matrices.a));
}
