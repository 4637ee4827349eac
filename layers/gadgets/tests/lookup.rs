//! The lookup argument: what lies in the tables is accepted, every forgery fails by name.

use bellpepper_core::ConstraintSystem;
use ff::Field;
use foldnet_gadgets::field::from_i64;
use foldnet_gadgets::hash::{HashConstants, Tag};
use foldnet_gadgets::lookup::{ClosedLookups, FunctionTable, TABLE_ROWS};
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::Wire;
use halo2curves::bn256::Fr;
use std::sync::LazyLock;

static CONSTANTS: LazyLock<HashConstants<Fr>> = LazyLock::new(HashConstants::default);

const SUM: &str = "lookups/table 0/sums agree";
const OTHER_SUM: &str = "lookups/table 1/sums agree";

fn paths(cs: &MockSystem<Fr>) -> Vec<String> {
    cs.failures()
        .into_iter()
        .map(|failure| failure.path)
        .collect()
}

/// Constrains at challenges that depend on nothing, so that a forger may alter the witness.
fn constrain<CS: ConstraintSystem<Fr>>(cs: &mut CS, lookups: &ClosedLookups<Fr>) {
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("test"));
    transcript.absorb([&Wire::constant(Fr::from(987_654_321))]);
    lookups.constrain(cs, &mut transcript).unwrap();
}

/// `x^2` of `-4..=5`.
fn squares() -> FunctionTable {
    let entries: Vec<i64> = (-4..=5).map(|x| x * x).collect();
    FunctionTable {
        low: -4,
        entries: entries.into(),
    }
}

/// `-3 x` of `0..=6`: (0, 0) is a row of both tables.
fn multiples() -> FunctionTable {
    let entries: Vec<i64> = (0..=6).map(|x| -3 * x).collect();
    FunctionTable {
        low: 0,
        entries: entries.into(),
    }
}

/// Looks up pairs in the squares and in the multiples, and two values in the range table.
fn lookup<CS: ConstraintSystem<Fr>>(cs: &mut CS, pairs: [&[(i64, i64)]; 2]) -> ClosedLookups<Fr> {
    let mut segment = FirstSegment::open(cs);
    segment.alloc_ranged("x", &[7, 255], 2).unwrap();
    for (k, (table, pairs)) in [squares(), multiples()].iter().zip(pairs).enumerate() {
        let id = segment.table(table);
        for (i, (input, output)) in pairs.iter().enumerate() {
            let input = segment.alloc(format!("in {k} {i}"), from_i64(*input));
            let output = segment.alloc(format!("out {k} {i}"), from_i64(*output));
            let (input, output) = (input.unwrap(), output.unwrap());
            segment.lookup_function(id, &input, &output).unwrap();
        }
    }
    let lookups = segment.close().unwrap();
    constrain(cs, &lookups);
    lookups
}

const HONEST: [&[(i64, i64)]; 2] = [&[(-4, 16), (0, 0), (5, 25), (0, 0)], &[(6, -18), (0, 0)]];

fn honest() -> MockSystem<Fr> {
    let mut cs = MockSystem::new();
    lookup(&mut cs, HONEST);
    cs
}

fn rejections(pairs: [&[(i64, i64)]; 2]) -> Vec<String> {
    let mut cs = MockSystem::new();
    lookup(&mut cs, pairs);
    paths(&cs)
}

#[test]
fn a_value_outside_the_table_is_rejected() {
    for (value, accepted) in [(0, true), (255, true), (256, false), (-1, false)] {
        let mut cs = MockSystem::<Fr>::new();
        let mut segment = FirstSegment::open(&mut cs);
        let x = segment.alloc("x", from_i64(value)).unwrap();
        segment.lookup(&x);
        let lookups = segment.close().unwrap();
        constrain(&mut cs, &lookups);
        let expected: Vec<String> = if accepted {
            vec![]
        } else {
            vec!["lookups/sums agree".into()]
        };
        assert_eq!(paths(&cs), expected, "value {value}");
    }
}

#[test]
fn every_row_is_accepted_and_every_variable_is_pinned() {
    let rows = |table: FunctionTable| -> Vec<(i64, i64)> {
        (table.low..).zip(table.entries.iter().copied()).collect()
    };
    let mut cs = MockSystem::new();
    lookup(&mut cs, [&rows(squares()), &rows(multiples())]);
    assert_eq!(paths(&cs), Vec::<String>::new());
    assert_eq!(cs.unpinned(), Vec::<String>::new());
    assert_eq!(cs.duplicates(), &[] as &[String]);
    assert_eq!(rejections(HONEST), Vec::<String>::new());
}

#[test]
fn tables_without_pairs_and_values_are_accepted_and_pinned() {
    let mut cs = MockSystem::new();
    assert!(!lookup(&mut cs, [&[], &[]]).is_empty());
    assert_eq!(paths(&cs), Vec::<String>::new());
    assert_eq!(cs.unpinned(), Vec::<String>::new());
}

#[test]
fn a_wrong_output_for_a_right_input() {
    for output in [15, 17, -16, 0, 256] {
        assert_eq!(rejections([&[(4, output)], &[]]), [SUM], "{output}");
    }
}

#[test]
fn an_input_outside_the_table() {
    // The function is right beyond the interval, and at the ends of other tables.
    for (input, output) in [(-5, 25), (6, 36), (-1 << 40, 0), (1 << 40, 0), (16, 4)] {
        assert_eq!(rejections([&[(input, output)], &[]]), [SUM], "{input}");
    }
}

#[test]
fn one_false_pair_among_true_ones() {
    assert_eq!(rejections([&[(1, 1), (2, 5), (3, 9)], &[(1, -3)]]), [SUM]);
}

#[test]
fn a_row_of_the_other_table() {
    assert_eq!(rejections([&[(1, -3)], &[]]), [SUM]);
    assert_eq!(rejections([&[], &[(1, 1)]]), [OTHER_SUM]);
    // Tables swapped: as a multiset over both tables nothing changes.
    assert_eq!(rejections([&[(1, -3)], &[(1, 1)]]), [SUM, OTHER_SUM]);
    // The rows that both tables share are accepted in both.
    assert_eq!(rejections([&[(0, 0)], &[(0, 0)]]), Vec::<String>::new());
}

/// Adds to a multiplicity, and to its share what follows.
fn add_multiplicity(cs: &mut MockSystem<Fr>, table: usize, row: usize, difference: Fr) {
    let path = format!("table {table} multiplicity {row}");
    let multiplicity = cs.get(&path).unwrap() + difference;
    assert!(cs.set(&path, multiplicity));
    let share = format!("lookups/table {table}/row {row} share");
    let failure = cs.failures().into_iter().find(|f| f.path == share).unwrap();
    // The constraint says share * (g + row) = multiplicity.
    let value = multiplicity * failure.b.invert().unwrap();
    assert!(cs.set(&share, value));
}

#[test]
fn wrong_multiplicities() {
    for (row, difference) in [(4, Fr::ONE), (4, -Fr::ONE), (9, Fr::from(1 << 40))] {
        let mut cs = honest();
        add_multiplicity(&mut cs, 0, row, difference);
        assert_eq!(paths(&cs), [SUM], "{row}");
    }
    // One use moved to the next row.
    let mut cs = honest();
    add_multiplicity(&mut cs, 0, 4, -Fr::ONE);
    add_multiplicity(&mut cs, 0, 5, Fr::ONE);
    assert_eq!(paths(&cs), [SUM]);
    // One use moved to the same row of the other table.
    let mut cs = honest();
    add_multiplicity(&mut cs, 0, 4, -Fr::ONE);
    add_multiplicity(&mut cs, 1, 0, Fr::ONE);
    assert_eq!(paths(&cs), [SUM, OTHER_SUM]);
}

/// Gives the product and the inverse of a pair what its input and output imply.
fn repair(cs: &mut MockSystem<Fr>, pair: &str, eta: Fr, output: Fr) {
    assert!(cs.set(&format!("{pair} output"), eta * output));
    let inverse = format!("{pair} inverse");
    let failure = cs.failures().into_iter().find(|f| f.path == inverse);
    let value = failure.unwrap().a.invert().unwrap();
    assert!(cs.set(&inverse, value));
}

#[test]
fn a_pair_chosen_after_the_challenge_meets_a_row() {
    // Why pairs must lie in the first segment: once eta is known, (x + eta, y - 1) is looked up as
    // (x, y) is.
    let mut cs = honest();
    let eta = cs.get("row challenge/squeeze 1/digest").unwrap();
    let (input, output) = (cs.get("in 0 0").unwrap(), cs.get("out 0 0").unwrap());
    assert!(cs.set("in 0 0", input + eta));
    assert!(cs.set("out 0 0", output - Fr::ONE));
    let pair = "lookups/table 0/pair 0";
    assert_eq!(
        paths(&cs),
        [format!("{pair} output"), format!("{pair} inverse")]
    );
    assert!(cs.set(&format!("{pair} output"), eta * (output - Fr::ONE)));
    assert_eq!(paths(&cs), Vec::<String>::new());
}

#[test]
fn a_repaired_pair_fails_only_the_sum() {
    let mut cs = honest();
    let eta = cs.get("row challenge/squeeze 1/digest").unwrap();
    assert!(cs.set("out 0 0", Fr::from(17)));
    repair(&mut cs, "lookups/table 0/pair 0", eta, Fr::from(17));
    assert_eq!(paths(&cs), [SUM]);
}

#[test]
fn a_denominator_of_zero_has_no_inverse() {
    let mut cs = honest();
    let eta = cs.get("row challenge/squeeze 1/digest").unwrap();
    let g = cs.get("lookup challenge/squeeze 2/digest").unwrap();
    let output = cs.get("out 0 0").unwrap();
    assert!(cs.set("in 0 0", -(g + eta * output)));
    for inverse in [Fr::ZERO, Fr::ONE, g] {
        assert!(cs.set("lookups/table 0/pair 0 inverse", inverse));
        let failed = cs.failures();
        assert_eq!(failed[0].path, "lookups/table 0/pair 0 inverse");
        assert_eq!(failed[0].a, Fr::ZERO);
    }
}

/// Constraints of one squeeze after one absorbed element, and of one after none.
fn squeezes() -> [usize; 2] {
    let mut cs = ShapeSystem::<Fr>::default();
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("test"));
    let seed = Wire::constant(Fr::from(1));
    transcript.absorb([&seed]);
    transcript.squeeze(&mut cs).unwrap();
    let first = cs.rows();
    transcript.squeeze(&mut cs).unwrap();
    [first, cs.rows() - first]
}

#[test]
fn a_pair_costs_two_constraints_and_a_row_one() {
    let [first, second] = squeezes();
    let mut cs = ShapeSystem::<Fr>::default();
    let lookups = lookup(&mut cs, HONEST);
    assert_eq!((lookups.len(), lookups.pairs()), (2, 6));
    assert_eq!(lookups.table_rows(), [10, 7]);
    let range = 2 + 2 * TABLE_ROWS + 1;
    assert_eq!(lookups.constraints(), range + 2 * 6 + 10 + 7 + 2);
    assert_eq!(cs.rows(), first + second + lookups.constraints());
}

#[test]
fn without_function_tables_there_is_one_challenge() {
    let [first, _] = squeezes();
    let mut cs = ShapeSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    segment.alloc_ranged("x", &[7, 0, 9], 3).unwrap();
    let lookups = segment.close().unwrap();
    constrain(&mut cs, &lookups);
    assert_eq!(cs.rows(), first + 3 + 2 * TABLE_ROWS + 1);
    assert_eq!(cs.rows(), first + lookups.constraints());
}

#[test]
fn every_range_lookup_witness_is_pinned() {
    let mut cs = MockSystem::<Fr>::new();
    let mut segment = FirstSegment::open(&mut cs);
    segment.alloc_ranged("x", &[7, 0, 9], 3).unwrap();
    let lookups = segment.close().unwrap();
    constrain(&mut cs, &lookups);
    assert_eq!(paths(&cs), Vec::<String>::new());
    assert_eq!(cs.unpinned(), Vec::<String>::new());
}

#[test]
fn all_systems_allocate_the_same() {
    let mock = honest();
    let mut witness = WitnessSystem::<Fr>::default();
    let mut shape = ShapeSystem::<Fr>::default();
    lookup(&mut witness, HONEST);
    lookup(&mut shape, HONEST);
    assert_eq!(mock.auxiliary_values(), witness.auxiliary());
    assert_eq!(mock.auxiliary_count(), shape.auxiliary());
    assert_eq!(mock.constraint_count(), shape.rows());
}

#[test]
fn equal_tables_share_an_id_and_ids_follow_the_order() {
    let mut cs = ShapeSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    let first = segment.table(&squares());
    let second = segment.table(&multiples());
    assert_ne!(first, second);
    assert_eq!(
        (segment.table(&squares()), segment.table(&multiples())),
        (first, second)
    );
    let mut moved = squares();
    moved.low += 1;
    let third = segment.table(&moved);
    assert!(third != first && third != second);
    assert_eq!(segment.close().unwrap().table_rows(), [10, 7, 10]);
}

#[test]
fn an_id_of_another_segment_is_refused() {
    let mut other = ShapeSystem::<Fr>::default();
    let mut other = FirstSegment::open(&mut other);
    other.table(&squares());
    let foreign = other.table(&multiples());
    let mut cs = ShapeSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    segment.table(&squares());
    let x = segment.alloc("x", Fr::ZERO).unwrap();
    let error = segment.lookup_function(foreign, &x, &x).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("function table 1: expected one of 1"),
        "{error}"
    );
}

#[test]
fn closing_by_bits_refuses_function_tables() {
    let mut cs = MockSystem::<Fr>::new();
    let mut segment = FirstSegment::open(&mut cs);
    let x = segment.alloc("x", Fr::ZERO).unwrap();
    segment.lookup(&x);
    segment.table(&squares());
    let error = segment.close_by_bits().unwrap_err();
    assert!(error.to_string().contains("expected 0, got 1"), "{error}");
    assert_eq!(cs.constraint_count(), 0);
}
