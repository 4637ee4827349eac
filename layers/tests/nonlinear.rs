//! Layers with tables, comparisons, divisions and products of activations: definitions at several
//! widths, and forged witnesses with the name of what rejects each.
//!
//! A dishonest trace goes through the whole circuit. Where the forgery is no integer, single
//! variables are overwritten, and the lookups' own variables follow.

mod common;

use common::{Random, input, output, run, unpinned};
use ff::Field;
use foldnet_gadgets::mock::MockSystem;
use foldnet_layers::average_pool::Pooled;
use foldnet_layers::check::Checked;
use foldnet_layers::error::Place;
use foldnet_layers::layer::LayerTrace;
use foldnet_layers::requantise::{Requantise, Requantised, Ties};
use foldnet_layers::{
    ArgMax, Combine, GraphShape, GraphTrace, Layer, MatMul, MaxPool, Multiply, Node, Normalise,
    OneHot, Softmax, Table, Window, evaluate, pack, tensor,
};
use halo2curves::bn256::Fr;

const LOOKUP: &str = "lookups/sums agree";
const TABLE: &str = "lookups/table 0/sums agree";
const NONE: [&str; 0] = [];

/// A step of one layer, and its trace.
#[derive(Clone, Debug)]
struct Case {
    shape: GraphShape,
    trace: GraphTrace,
}

impl Case {
    fn new(layer: impl Into<Layer>, bits: u32, inputs: &[&[i64]]) -> Case {
        let shape = common::alone(layer.into(), bits);
        let inputs: Vec<Vec<i64>> = inputs.iter().map(|input| input.to_vec()).collect();
        let trace = evaluate(&shape, &pack(&shape, &[]).unwrap(), &inputs).unwrap();
        Case { shape, trace }
    }

    fn random(layer: impl Into<Layer>, bits: u32, random: &mut Random) -> Case {
        let layer = layer.into();
        let lengths = layer.operands().into_iter();
        let inputs: Vec<_> = lengths.map(|n| input(random, n, bits)).collect();
        let inputs: Vec<_> = inputs.iter().map(Vec::as_slice).collect();
        Case::new(layer, bits, &inputs)
    }

    fn output(&self) -> Vec<i64> {
        output(&self.shape, &self.trace)
    }

    fn run(&self) -> Checked<Fr> {
        let weights = pack(&self.shape, &[]).unwrap();
        run(&self.shape, &self.trace, &weights)
    }

    /// What rejects the trace after a change.
    fn forge(&self, change: impl FnOnce(&mut LayerTrace)) -> Vec<String> {
        let mut case = self.clone();
        change(&mut case.trace.layers[0]);
        case.run().rejections()
    }

    /// Adds to variables of the layer, lets the lookups follow, and returns what rejects the result.
    fn shift(&self, changes: &[(&str, Fr)]) -> Vec<String> {
        let mut checked = self.run();
        for (path, difference) in changes {
            let path = format!("layer 0/{path}");
            let value = checked.system.get(&path);
            let value = value.unwrap_or_else(|| panic!("no variable {path}"));
            assert!(checked.system.set(&path, value + difference));
        }
        repair_lookups(&mut checked.system);
        // The digest of the outputs follows them.
        let mut rejections = checked.rejections();
        rejections.retain(|path| !path.starts_with("step/output digest/"));
        rejections
    }

    fn check(&self) {
        let mut checked = self.run();
        assert_eq!(checked.rejections(), NONE, "{:?}", self.shape);
        assert_eq!(unpinned(&mut checked), NONE, "{:?}", self.shape);
    }
}

/// Gives inverses of altered range lookups their right values, and rows the right multiplicities.
fn repair_lookups(system: &mut MockSystem<Fr>) {
    let squeezed = [1, 2].map(|i| system.get(&format!("lookup challenge/squeeze {i}/digest")));
    let g = squeezed.into_iter().flatten().next().unwrap();
    for failure in system.failures() {
        if failure.path.starts_with("lookups/value ") {
            assert!(system.set(&failure.path, failure.a.invert().unwrap()));
            move_multiplicity(system, failure.b.invert().unwrap() - g, -Fr::ONE);
            move_multiplicity(system, failure.a - g, Fr::ONE);
        }
    }
}

/// Adds to the multiplicity of a value's row, if there is one.
fn move_multiplicity(system: &mut MockSystem<Fr>, value: Fr, difference: Fr) {
    let Some(row) = (0..256).find(|row| Fr::from(*row) == value) else {
        return;
    };
    let multiplicity = system.get(&format!("multiplicity {row}")).unwrap() + difference;
    let inverse = system.get(&format!("lookups/row {row} inverse")).unwrap();
    assert!(system.set(&format!("multiplicity {row}"), multiplicity));
    assert!(system.set(&format!("lookups/row {row} use"), multiplicity * inverse));
}

fn inverse(x: i64) -> Fr {
    foldnet_gadgets::field::from_i64::<Fr>(x).invert().unwrap()
}

fn step(path: &str) -> String {
    format!("step/layer 0/{path}")
}

// Max pool.

fn max_pool(size: [usize; 3], window: Window, bits: u32) -> MaxPool {
    let [channels, height, width] = size;
    MaxPool {
        planes: Pooled {
            batch: 1,
            channels,
            height,
            width,
            channels_last: false,
        },
        window,
        bits,
    }
}

#[test]
fn max_pool_is_the_maximum_of_windows_at_every_width() {
    let window = Window {
        stride: [1, 2],
        padding: [1, 0, 1, 1],
        ..Window::tiles([2, 2])
    };
    for bits in [2, 4, 8, 9, 16] {
        let case = Case::random(max_pool([2, 3, 4], window, bits), bits, &mut Random::new(1));
        let x = &case.trace.inputs[0];
        let mut expected = Vec::new();
        for (c, y, o) in
            (0..2).flat_map(|c| (0..4).flat_map(move |y| (0..2).map(move |o| (c, y, o))))
        {
            let rows = [y - 1, y].into_iter().filter(|row| (0..3).contains(row));
            let positions = rows.flat_map(|row| [2 * o, 2 * o + 1].map(|column| (row, column)));
            let values = positions.map(|(row, column)| x[(c * 12 + row * 4 + column) as usize]);
            expected.push(values.max().unwrap());
        }
        assert_eq!(case.output(), expected, "{bits}");
        case.check();
    }
}

#[test]
fn a_wrong_maximum() {
    for (bits, values) in [(8, [3, -5, 90, 7]), (16, [300, -5000, 20_000, 7])] {
        let case = Case::new(
            max_pool([1, 2, 2], Window::tiles([2, 2]), bits),
            bits,
            &[&values],
        );
        assert_eq!(case.output(), [values[2]]);
        // Another value of the window, something larger, something smaller that is no value.
        for value in [values[0], values[1], values[3]] {
            assert_eq!(
                case.forge(|trace| trace.values[0] = value),
                [LOOKUP],
                "{value}"
            );
        }
        let product = step("output 0/one difference is zero");
        let larger = case.forge(|trace| trace.values[0] += 1);
        assert_eq!(larger, std::slice::from_ref(&product));
        let smaller = case.forge(|trace| trace.values[0] -= 1);
        assert_eq!(smaller, [LOOKUP.into(), product]);
    }
}

#[test]
fn the_maximum_of_one_value_is_that_value() {
    let case = Case::new(max_pool([1, 1, 2], Window::ONE, 8), 8, &[&[5, -6]]);
    assert_eq!(case.output(), [5, -6]);
    let expected = [step("output 1/one difference is zero")];
    assert_eq!(case.forge(|trace| trace.values[1] = -5), expected);
}

#[test]
fn windows_of_padding_alone_are_refused() {
    let window = Window {
        padding: [2, 0, 0, 0],
        ..Window::tiles([2, 2])
    };
    let error = refusal(max_pool([1, 4, 4], window, 8), 8);
    assert!(
        error.contains("values of a window: expected 1 to 16, got 0"),
        "{error}"
    );
    let error = refusal(max_pool([1, 4, 4], Window::ONE, 8), 9);
    assert!(
        error.contains("bits of the layer: expected 9 to 9, got 8"),
        "{error}"
    );
}

fn refusal(layer: impl Into<Layer>, bits: u32) -> String {
    let layer = layer.into();
    let name = layer.name();
    layer
        .validate(Place { index: 0, name }, bits)
        .unwrap_err()
        .to_string()
}

// Multiply.

const REQUANTISE: Requantise = Requantise {
    shift: 9,
    low: -128,
    high: 127,
    accumulator_bits: 21,
    ties: Ties::Up,
};

fn multiply() -> Multiply {
    Multiply {
        length: 3,
        multiplier: -50,
        requantise: REQUANTISE,
    }
}

#[test]
fn products_follow_the_formula() {
    let case = Case::new(multiply(), 8, &[&[3, -100, 7], &[40, 30, -9]]);
    // floor((-50 a b + 256) / 512)
    assert_eq!(case.output(), [-12, 127, 6]);
    case.check();
}

#[test]
fn a_wrong_product() {
    let case = Case::new(multiply(), 8, &[&[3, -100, 7], &[40, 30, -9]]);
    let forge = |change: fn(&mut LayerTrace)| case.forge(change);
    assert_eq!(
        forge(|t| t.requantised[0].remainder ^= 1),
        [step("product 0")]
    );
    assert_eq!(
        forge(|t| t.requantised[2].quotient = -6),
        [step("product 2")]
    );
    let off_by_one = forge(|t| {
        t.requantised[2].quotient += 1;
        t.requantised[2].remainder -= 512;
    });
    assert_eq!(off_by_one, [LOOKUP]);
    let unclamped = forge(|t| {
        t.requantised[1].quotient -= 1;
        t.requantised[1].over += 1;
    });
    assert_eq!(unclamped, [step("output 1/over only at high")]);
    let swapped = forge(|t| t.requantised.swap(0, 2));
    assert_eq!(swapped, [step("product 0"), step("product 2")]);
}

#[test]
fn products_beyond_the_bound_are_refused() {
    let mut layer = multiply();
    layer.requantise.accumulator_bits = 12;
    let shape = Case::new(multiply(), 8, &[&[0; 3], &[0; 3]]).shape;
    let mut shape = shape.clone();
    shape.nodes[0].layer = layer.into();
    let weights = pack(&shape, &[]).unwrap();
    let error = evaluate(&shape, &weights, &[vec![0, 9, 0], vec![0, 10, 0]]).unwrap_err();
    assert!(error.to_string().contains("accumulator 1"), "{error}");
}

// Tables.

fn table(bits: u32, function: impl Fn(i64) -> i64) -> Table {
    let (low, high) = tensor::range(bits);
    Table {
        length: 4,
        entries: (low..=high).map(function).collect(),
    }
}

#[test]
fn tables_are_functions_at_every_width() {
    for bits in [2, 5, 8, 12] {
        let (low, high) = tensor::range(bits);
        let function = |x: i64| (x * x * 3 + 1) % (high + 1) + low / 2;
        let inputs = [low, high, 0, -1];
        let case = Case::new(table(bits, function), bits, &[&inputs]);
        assert_eq!(case.output(), inputs.map(function), "{bits}");
        case.check();
    }
}

#[test]
fn a_wrong_output_of_a_table() {
    let case = Case::new(table(8, |x| x / 2), 8, &[&[-128, 127, 0, 10]]);
    for (n, value) in [(0, -63), (1, 64), (2, 127), (3, -5), (3, 5 + 256)] {
        assert_eq!(
            case.forge(|trace| trace.values[n] = value),
            [TABLE],
            "{value}"
        );
    }
    // All outputs are right for another order of the inputs.
    assert_eq!(case.forge(|trace| trace.values.swap(0, 1)), [TABLE]);
    // An input that is another one modulo the width is no activation, and no row.
    let mut forged = case.clone();
    forged.trace.inputs[0][3] += 256;
    assert_eq!(forged.run().rejections(), [LOOKUP, TABLE]);
}

#[test]
fn layers_with_equal_tables_share_the_rows() {
    let layer: Layer = table(8, |x| -x / 3).into();
    let mut shape = Case::new(layer.clone(), 8, &[&[0; 4]]).shape;
    let second = Node {
        layer,
        operands: vec![1],
    };
    let other = Node {
        layer: table(8, |x| x / 5).into(),
        operands: vec![2],
    };
    shape.nodes.extend([second, other]);
    shape.outputs = vec![3];
    assert_eq!(
        (shape.cost().pairs, shape.cost().tables),
        (12, vec![256, 256])
    );
    let inputs = vec![vec![100, -128, 127, 3]];
    let trace = evaluate(&shape, &pack(&shape, &[]).unwrap(), &inputs).unwrap();
    let expected = inputs[0].iter().map(|x| (-(-x / 3) / 3) / 5);
    assert_eq!(output(&shape, &trace), expected.collect::<Vec<_>>());
    let case = Case { shape, trace };
    case.check();
    let size = foldnet_layers::check::measure(&common::step(&case.shape), &common::CONSTANTS);
    let cost = case.shape.cost();
    let expected = 2 * 256 + 1 + cost.lookups + 2 * 12 + 2 * 257;
    assert_eq!(size.unwrap().lookup_constraints, expected);
}

#[test]
fn tables_of_another_width_or_range_are_refused() {
    let wrong_width = refusal(table(8, |x| x), 9);
    assert!(wrong_width.contains("bits of the layer"), "{wrong_width}");
    let too_wide = refusal(table(13, |x| x), 13);
    assert!(
        too_wide.contains("bits of a layer with a table: expected 1 to 12"),
        "{too_wide}"
    );
    let out_of_range = refusal(table(8, |x| x + 1), 8);
    assert!(
        out_of_range.contains("entry: expected -128 to 127, got 128"),
        "{out_of_range}"
    );
    let empty = Table {
        length: 1,
        entries: Vec::new(),
    };
    assert!(refusal(empty, 8).contains("bits of the layer"));
}

// Matrix products.

fn mat_mul([batch, rows, inner, columns]: [usize; 4], transposed_right: bool) -> MatMul {
    MatMul {
        batch,
        rows,
        inner,
        columns,
        transposed_right,
        multiplier: 30,
        requantise: Requantise {
            shift: 11,
            low: -128,
            high: 127,
            accumulator_bits: 23,
            ties: Ties::Up,
        },
    }
}

#[test]
fn matrix_products_follow_the_formula() {
    for (size, transposed) in [
        ([1, 2, 3, 4], false),
        ([3, 2, 4, 5], true),
        ([2, 1, 7, 1], false),
    ] {
        let case = Case::random(mat_mul(size, transposed), 8, &mut Random::new(2));
        let [a, b] = [&case.trace.inputs[0], &case.trace.inputs[1]];
        let [batch, rows, inner, columns] = size;
        let mut expected = Vec::new();
        for h in 0..batch {
            for (p, n) in (0..rows).flat_map(|p| (0..columns).map(move |n| (p, n))) {
                let right = |k: usize| match transposed {
                    true => b[h * inner * columns + n * inner + k],
                    false => b[h * inner * columns + k * columns + n],
                };
                let left = |k: usize| a[h * rows * inner + p * inner + k];
                let sum: i64 = (0..inner).map(|k| left(k) * right(k)).sum();
                expected.push(((30 * sum + 1024) >> 11).clamp(-128, 127));
            }
        }
        assert_eq!(case.output(), expected);
        case.check();
    }
}

#[test]
fn a_wrong_matrix_product() {
    let agree = [step("products agree")];
    for transposed in [false, true] {
        let case = Case::random(mat_mul([2, 3, 4, 2], transposed), 8, &mut Random::new(3));
        for n in 0..12 {
            assert_eq!(
                case.forge(|t| t.requantised[n].remainder ^= 1),
                agree,
                "{n}"
            );
        }
        // Errors that cancel in the sum of all outputs, of a row, of a column, of both products.
        for (up, down) in [(0, 11), (0, 1), (0, 2), (1, 7)] {
            let failed = case.forge(|t| {
                let parts = &mut t.requantised;
                let (mut a, mut b) = (parts[up].remainder, parts[down].remainder);
                let by = if a < 2047 && b > 0 { 1 } else { -1 };
                a += by;
                b -= by;
                (parts[up].remainder, parts[down].remainder) = (a, b);
            });
            assert_eq!(failed, agree, "{up} {down}");
        }
        assert_eq!(case.forge(|t| t.requantised.swap(0, 6)), agree);
        let below = |parts: &Requantised| parts.under > 0;
        let clamped = case.trace.layers[0]
            .requantised
            .iter()
            .position(below)
            .unwrap();
        let unclamped = case.forge(|t| {
            t.requantised[clamped].quotient += 1;
            t.requantised[clamped].under += 1;
        });
        let expected = ["over only at high", "under only at low"]
            .map(|end| step(&format!("output {clamped}/{end}")));
        assert_eq!(unclamped, expected);
    }
}

#[test]
fn operands_are_not_exchanged() {
    // The outputs of the transposed product on the same operands, which have the same lengths.
    let mut random = Random::new(4);
    let plain = Case::random(mat_mul([1, 3, 3, 3], false), 8, &mut random);
    let inputs: Vec<_> = plain.trace.inputs.iter().map(Vec::as_slice).collect();
    let transposed = Case::new(mat_mul([1, 3, 3, 3], true), 8, &inputs);
    let exchanged = Case::new(mat_mul([1, 3, 3, 3], false), 8, &[inputs[1], inputs[0]]);
    for other in [transposed, exchanged] {
        let parts = other.trace.layers[0].clone();
        assert_eq!(
            plain.forge(|trace| *trace = parts),
            [step("products agree")]
        );
    }
}

// Softmax.

fn exponentials(bits: u32, unit: f64) -> Vec<i64> {
    let exponential =
        |d: u32| (unit * (-f64::from(d) * 8.0 / f64::from(1u32 << bits)).exp()).round();
    (0..1 << bits).map(|d| exponential(d) as i64).collect()
}

fn softmax(columns: usize, bits: u32, unit: f64) -> Softmax {
    let (_, high) = tensor::range(bits);
    Softmax {
        rows: 2,
        columns,
        exponentials: exponentials(bits, unit),
        scale: high,
    }
}

#[test]
fn softmax_is_the_rounded_share_at_every_width() {
    for (bits, unit) in [(2, 3.0), (4, 100.0), (8, 1000.0), (12, 60_000.0)] {
        let layer = softmax(5, bits, unit);
        let case = Case::random(layer.clone(), bits, &mut Random::new(5));
        let mut expected = Vec::new();
        for row in case.trace.inputs[0].chunks(5) {
            let largest = row.iter().max().unwrap();
            let e: Vec<i64> = row
                .iter()
                .map(|x| layer.exponentials[(largest - x) as usize])
                .collect();
            let sum: i64 = e.iter().sum();
            expected.extend(e.iter().map(|e| (e * layer.scale + sum / 2) / sum));
        }
        assert_eq!(case.output(), expected, "{bits}");
        case.check();
    }
}

/// A row whose shares are neither zero nor one, and its sum. The trace of a row is the largest value,
/// the sum, and the exponential and the remainder of each value.
fn shares() -> (Case, i64) {
    let case = Case::new(softmax(3, 8, 1000.0), 8, &[&[20, -3, 41, 0, 0, 1]]);
    let trace = &case.trace.layers[0];
    assert_eq!(trace.auxiliary.len(), 2 * (2 + 3 * 2));
    assert!(
        trace.values.iter().all(|y| (5..122).contains(y)),
        "{trace:?}"
    );
    let sum = trace.auxiliary[1];
    (case, sum)
}

#[test]
fn a_share_off_by_one_with_the_remainder_compensated() {
    let (case, sum) = shares();
    for by in [1, -1] {
        let failed = case.forge(|t| {
            t.values[0] += by;
            t.auxiliary[3] -= by * sum;
        });
        assert_eq!(failed, [LOOKUP], "{by}");
    }
    assert_eq!(
        case.forge(|t| t.values[0] += 1),
        [step("row 0/value 0/quotient")]
    );
    assert_eq!(
        case.forge(|t| t.auxiliary[3] -= 1),
        [step("row 0/value 0/quotient")]
    );
    assert_eq!(
        case.forge(|t| t.values.swap(0, 1)),
        [
            step("row 0/value 0/quotient"),
            step("row 0/value 1/quotient")
        ]
    );
}

/// Divides all exponentials of the first row by another sum.
fn divide(trace: &mut LayerTrace, scale: i64, sum: i64) {
    trace.auxiliary[1] = sum;
    for i in 0..3 {
        let dividend = trace.auxiliary[2 + 2 * i] * scale + sum / 2;
        trace.values[i] = dividend / sum;
        trace.auxiliary[3 + 2 * i] = dividend % sum;
    }
}

#[test]
fn a_division_by_another_sum() {
    let (case, sum) = shares();
    for other in [sum + 1, sum + 2, sum - 1, sum / 2] {
        let failed = case.forge(|t| divide(t, 127, other));
        assert_eq!(failed, [step("row 0/sum")], "{other}");
    }
}

#[test]
fn a_wrong_exponential() {
    let (case, sum) = shares();
    let failed = case.forge(|t| {
        t.auxiliary[2] += 1;
        divide(t, 127, sum + 1);
    });
    assert_eq!(failed, [TABLE]);
    // Exponentials of two values exchanged: the sum is the same.
    let failed = case.forge(|t| {
        t.auxiliary.swap(2, 4);
        t.auxiliary.swap(3, 5);
        t.values.swap(0, 1);
    });
    assert_eq!(failed, [TABLE]);
}

/// Takes the first row's exponentials relative to another value than the largest.
fn rebase(trace: &mut LayerTrace, layer: &Softmax, inputs: &[i64], largest: i64) {
    trace.auxiliary[0] = largest;
    for (i, x) in inputs.iter().enumerate() {
        let row = usize::try_from(largest - x).unwrap_or(0);
        trace.auxiliary[2 + 2 * i] = layer.exponentials[row];
    }
    let sum = [2, 4, 6].map(|i| trace.auxiliary[i]).iter().sum();
    divide(trace, layer.scale, sum);
}

#[test]
fn a_softmax_relative_to_another_value() {
    let (case, _) = shares();
    let layer = softmax(3, 8, 1000.0);
    let inputs = &case.trace.inputs[0][..3];
    let larger = case.forge(|t| rebase(t, &layer, inputs, 42));
    assert_eq!(larger, [step("row 0/one difference is zero")]);
    // A value that is in the row but not the largest has a negative difference, which is no row.
    let smaller = case.forge(|t| rebase(t, &layer, inputs, 20));
    assert_eq!(smaller, [TABLE]);
}

#[test]
fn a_share_that_is_no_integer() {
    // The remainder grows by one and the share shrinks by 1 / S, a field element that is no small
    // integer: the quotient holds, only the lookup of the share can tell.
    let (case, sum) = shares();
    let failed = case.shift(&[
        ("row 0/value 0/remainder 0", Fr::ONE),
        ("row 0/value 0/remainder complement 0", -Fr::ONE),
        ("row 0/value 0/output 0", -inverse(sum)),
    ]);
    assert_eq!(failed, [LOOKUP]);
}

/// Shifts the bit of a row's divisor, and every remainder of its values by as much as its half.
fn shift_half(case: &Case, values: usize, bit: i64, remainder: Fr) -> Vec<String> {
    let mut changes = vec![("row 0/odd".to_string(), Fr::from(bit.unsigned_abs()))];
    if bit < 0 {
        changes[0].1 = -changes[0].1;
    }
    for i in 0..values {
        let name = format!("row 0/value {i}/remainder");
        changes.push((format!("{name} 0"), remainder));
        changes.push((format!("{name} complement 0"), -remainder));
    }
    let changes: Vec<_> = changes
        .iter()
        .map(|(path, by)| (path.as_str(), *by))
        .collect();
    case.shift(&changes)
}

#[test]
fn another_half_of_the_sum() {
    let (case, sum) = shares();
    let remainders = &case.trace.layers[0].auxiliary;
    assert!([3, 5, 7].iter().all(|i| remainders[*i] % 256 > 0));
    // With b + 2 for the bit b the half is one less, and so is what every remainder has to be.
    assert_eq!(shift_half(&case, 3, 2, -Fr::ONE), [step("row 0/odd")]);
    // With the other bit neither the half nor a remainder is an integer.
    let other = 1 - 2 * (sum % 2);
    let remainder = if other < 0 { inverse(2) } else { -inverse(2) };
    assert_eq!(shift_half(&case, 3, other, remainder), [LOOKUP]);
}

#[test]
fn softmax_refuses_constants_out_of_range() {
    let refused = |change: fn(&mut Softmax)| {
        let mut layer = softmax(3, 8, 1000.0);
        change(&mut layer);
        refusal(layer, 8)
    };
    assert!(refused(|l| l.scale = 128).contains("scale: expected 1 to 127, got 128"));
    assert!(refused(|l| l.scale = 0).contains("scale"));
    assert!(refused(|l| l.exponentials[0] = 0).contains("first exponential"));
    assert!(refused(|l| l.exponentials[9] = -1).contains("exponential: expected 0"));
    assert!(refused(|l| l.exponentials[0] = 1 << 39).contains("sum of exponentials"));
    assert!(refused(|l| l.exponentials.truncate(128)).contains("bits of the layer"));
    assert!(refused(|l| l.columns = 0).contains("inputs"));
}

// Normalisation.

fn normalise(columns: usize, bits: u32, multiplier: i64) -> Normalise {
    let (low, high) = tensor::range(bits);
    Normalise {
        rows: 2,
        columns,
        bits,
        epsilon: 1000,
        multiplier,
        low,
        high,
    }
}

#[test]
fn normalisation_follows_the_formula_at_every_width() {
    for (bits, columns, multiplier) in [
        (2, 3, 1),
        (4, 6, 20),
        (8, 8, 300),
        (12, 5, 700),
        (16, 32, 1 << 20),
    ] {
        let layer = normalise(columns, bits, multiplier);
        let case = Case::random(layer.clone(), bits, &mut Random::new(6));
        let mut expected = Vec::new();
        for row in case.trace.inputs[0].chunks(columns) {
            let total: i64 = row.iter().sum();
            let d: Vec<i64> = row.iter().map(|x| columns as i64 * x - total).collect();
            let variance = d
                .iter()
                .map(|d| i128::from(*d) * i128::from(*d))
                .sum::<i128>()
                + 1000;
            let s = (0..).take_while(|s| s * s <= variance).last();
            let s = if bits < 16 {
                s.unwrap()
            } else {
                (variance as f64).sqrt().floor() as i128
            };
            assert!(s * s <= variance && variance < (s + 1) * (s + 1));
            let quotient = |d: i64| (i128::from(d) * i128::from(multiplier) + s / 2).div_euclid(s);
            let clamp = |v: i128| (v as i64).clamp(layer.low, layer.high);
            expected.extend(d.into_iter().map(|d| clamp(quotient(d))));
        }
        assert_eq!(case.output(), expected, "{bits}");
        case.check();
    }
}

/// A normalised row with values inside and at both ends of the clamp; the trace of a row is the sum,
/// the root and its rest, and remainder, over and under of each value.
struct Normalised {
    case: Case,
    layer: Normalise,
    row: Vec<i64>,
}

fn normalised() -> Normalised {
    let row = vec![3, -100, 22, 110, -7];
    let layer = Normalise {
        rows: 1,
        low: -90,
        high: 100,
        ..normalise(5, 8, 180)
    };
    let case = Case::new(layer.clone(), 8, &[&row]);
    assert_eq!(case.output()[1], -90);
    assert_eq!(case.output()[3], 100);
    Normalised { case, layer, row }
}

impl Normalised {
    /// The trace with another sum, root and epsilon than the right ones, consistent otherwise.
    fn trace(&self, total: i64, root: Option<i64>, epsilon: i64) -> LayerTrace {
        let d: Vec<i64> = self.row.iter().map(|x| 5 * x - total).collect();
        let variance = d.iter().map(|d| d * d).sum::<i64>() + epsilon;
        let root = root.unwrap_or(variance.isqrt());
        let mut trace = LayerTrace {
            auxiliary: vec![total, root, variance - root * root],
            ..LayerTrace::default()
        };
        for d in d {
            let dividend = d * self.layer.multiplier + root.div_euclid(2);
            let v = dividend.div_euclid(root);
            let y = v.clamp(self.layer.low, self.layer.high);
            trace.values.push(y);
            let parts = [dividend.rem_euclid(root), (v - y).max(0), (y - v).max(0)];
            trace.auxiliary.extend(parts);
        }
        trace
    }

    fn forge(&self, total: i64, root: Option<i64>, epsilon: i64) -> Vec<String> {
        let forged = self.trace(total, root, epsilon);
        self.case.forge(|trace| *trace = forged)
    }
}

#[test]
fn a_wrong_sum_root_or_variance() {
    let n = normalised();
    let honest = n.case.trace.layers[0].clone();
    let (total, root, rest) = (
        honest.auxiliary[0],
        honest.auxiliary[1],
        honest.auxiliary[2],
    );
    assert_eq!(n.trace(total, None, 1000), honest);
    for by in [1, -1, 256] {
        assert_eq!(
            n.forge(total + by, None, 1000),
            [step("row 0/total")],
            "{by}"
        );
    }
    for by in [1, -1, 20, -20] {
        assert_eq!(n.forge(total, Some(root + by), 1000), [LOOKUP], "{by}");
    }
    for epsilon in [999, 1001, 0] {
        assert_eq!(
            n.forge(total, None, epsilon),
            [step("row 0/root")],
            "{epsilon}"
        );
    }
    assert!(rest > 0);
    assert_eq!(n.case.forge(|t| t.auxiliary[2] -= 1), [step("row 0/root")]);
    // The negative root has the same square.
    let failed = n.case.forge(|t| {
        t.auxiliary[1] = -root;
        for i in 0..5 {
            t.values[i] = 0;
            let d = 5 * n.row[i] - total;
            t.auxiliary[3 + 3 * i] = d * n.layer.multiplier + (-root).div_euclid(2);
            t.auxiliary[4 + 3 * i] = 0;
            t.auxiliary[5 + 3 * i] = 0;
        }
    });
    assert_eq!(failed, [LOOKUP]);
}

#[test]
fn another_half_of_the_root() {
    let n = normalised();
    let parts = &n.case.trace.layers[0].auxiliary;
    assert!((0..5).all(|i| parts[3 + 3 * i] % 256 > 0), "{parts:?}");
    assert_eq!(shift_half(&n.case, 5, 2, -Fr::ONE), [step("row 0/odd")]);
    let other = 1 - 2 * (parts[1] % 2);
    let remainder = if other < 0 { inverse(2) } else { -inverse(2) };
    assert_eq!(shift_half(&n.case, 5, other, remainder), [LOOKUP]);
}

#[test]
fn a_normalised_value_off_by_one() {
    let n = normalised();
    let root = n.case.trace.layers[0].auxiliary[1];
    for by in [1, -1] {
        let failed = n.case.forge(|t| {
            t.values[0] += by;
            t.auxiliary[3] -= by * root;
        });
        assert_eq!(failed, [LOOKUP], "{by}");
    }
    let quotient = |i: usize| step(&format!("row 0/value {i}/quotient"));
    assert_eq!(n.case.forge(|t| t.values[0] += 1), [quotient(0)]);
    assert_eq!(n.case.forge(|t| t.auxiliary[3] ^= 1), [quotient(0)]);
    // Sign flips, of one value and of the whole row.
    assert_eq!(n.case.forge(|t| t.values[2] = -t.values[2]), [quotient(2)]);
    let negated: Vec<i64> = n.row.iter().map(|x| -x).collect();
    let other = Case::new(n.layer.clone(), 8, &[&negated]);
    let failed = n.case.forge(|t| *t = other.trace.layers[0].clone());
    assert!(failed.contains(&step("row 0/total")), "{failed:?}");
}

#[test]
fn a_clamp_that_does_not_clamp_or_clamps_too_much() {
    let n = normalised();
    // Value 3 is above the clamp, value 1 below, value 0 inside.
    let over = step("row 0/value 3/over only at high");
    let under = step("row 0/value 1/under only at low");
    let forged = n.case.forge(|t| {
        t.values[3] -= 1;
        t.auxiliary[4 + 9] += 1;
    });
    assert_eq!(forged, [over]);
    let forged = n.case.forge(|t| {
        t.values[1] += 1;
        t.auxiliary[5 + 3] += 1;
    });
    assert_eq!(forged, [under]);
    let beyond = n.case.forge(|t| {
        t.values[3] += 1;
        t.auxiliary[4 + 9] -= 1;
    });
    assert_eq!(
        beyond,
        [LOOKUP.into(), step("row 0/value 3/over only at high")]
    );
    let inside = n.case.forge(|t| {
        t.values[0] -= 1;
        t.auxiliary[4] += 1;
    });
    assert_eq!(inside, [step("row 0/value 0/over only at high")]);
    let both = n.case.forge(|t| {
        t.auxiliary[4 + 9] += 1;
        t.auxiliary[5 + 9] += 1;
    });
    assert_eq!(both, [step("row 0/value 3/under only at low")]);
}

#[test]
fn an_excess_that_is_no_integer() {
    // As with shares: the excess takes what the remainder does not, at either end of the clamp.
    let n = normalised();
    let root = n.case.trace.layers[0].auxiliary[1];
    for (value, excess, by) in [(3, "over", -inverse(root)), (1, "under", inverse(root))] {
        let failed = n.case.shift(&[
            (&format!("row 0/value {value}/remainder 0"), Fr::ONE),
            (
                &format!("row 0/value {value}/remainder complement 0"),
                -Fr::ONE,
            ),
            (&format!("row 0/value {value}/{excess} 0"), by),
        ]);
        assert_eq!(failed, [LOOKUP], "{excess}");
    }
}

#[test]
fn normalisation_refuses_constants_out_of_range() {
    let refused = |change: fn(&mut Normalise)| {
        let mut layer = normalise(5, 8, 180);
        change(&mut layer);
        refusal(layer, 8)
    };
    assert!(refused(|l| l.epsilon = 0).contains("epsilon"));
    assert!(refused(|l| l.epsilon = i64::MAX).contains("epsilon"));
    assert!(refused(|l| l.multiplier = 0).contains("multiplier"));
    assert!(refused(|l| l.multiplier = i64::MAX).contains("multiplier"));
    assert!(refused(|l| l.low = -129).contains("low"));
    assert!(refused(|l| l.high = -128).contains("high: expected -127 to 127"));
    assert!(refused(|l| l.columns = 1 << 20).contains("columns"));
    assert!(refused(|l| l.columns = 1 << 30).contains("inputs"));
    assert!(refused(|l| l.bits = 7).contains("bits of the layer"));
}

// Arg max.

fn arg_max(columns: usize, bits: u32) -> ArgMax {
    ArgMax {
        rows: 1,
        columns,
        bits,
    }
}

#[test]
fn arg_max_is_the_first_largest_at_every_width() {
    for (bits, columns) in [(3, 4), (4, 8), (8, 10), (9, 200), (16, 10)] {
        let mut random = Random::new(7);
        let layer = ArgMax {
            rows: 3,
            ..arg_max(columns, bits)
        };
        let case = Case::random(layer, bits, &mut random);
        let index = |row: &[i64]| row.iter().position(|x| x == row.iter().max().unwrap());
        let expected = case.trace.inputs[0]
            .chunks(columns)
            .map(|row| index(row).unwrap() as i64);
        assert_eq!(case.output(), expected.collect::<Vec<_>>(), "{bits}");
        case.check();
    }
}

#[test]
fn a_wrong_index() {
    for bits in [8, 16] {
        let case = Case::new(arg_max(5, bits), bits, &[&[3, 70, -4, 70, 69]]);
        assert_eq!(
            (case.output(), &case.trace.layers[0].auxiliary),
            (vec![1], &vec![70])
        );
        let forge = |index, largest| {
            case.forge(|trace| (trace.values[0], trace.auxiliary[0]) = (index, largest))
        };
        // The second of two equal values, and smaller ones.
        for (index, largest) in [(3, 70), (4, 69), (0, 3), (2, -4)] {
            assert_eq!(forge(index, largest), [LOOKUP], "{index}");
        }
        // An earlier position of the largest value, where there is another.
        assert_eq!(forge(0, 70), [step("row 0/one difference is zero")]);
        assert_eq!(forge(1, 71), [step("row 0/one difference is zero")]);
        // The same key from an index beyond the row.
        assert_eq!(forge(6, 71), [LOOKUP]);
        assert_eq!(forge(-4, 69), [LOOKUP]);
        // The same key from a largest value that is no integer.
        let failed = case.shift(&[
            ("row 0/index 0", -Fr::ONE),
            ("row 0/largest 0", -inverse(5)),
        ]);
        assert_eq!(failed, [LOOKUP]);
    }
}

#[test]
fn rows_too_long_for_an_index_are_refused() {
    let error = refusal(arg_max(129, 8), 8);
    assert!(
        error.contains("columns: expected 1 to 128, got 129"),
        "{error}"
    );
    assert!(refusal(arg_max(0, 8), 8).contains("inputs"));
    assert!(refusal(arg_max(5, 8), 7).contains("bits of the layer"));
}

// Together.

/// Self-attention on `x` of 4 tokens with 3 features, normalised, and the largest feature of each
/// token.
fn attention(batch: usize) -> GraphShape {
    let scores = mat_mul([batch, 4, 3, 4], true);
    let mixed = mat_mul([batch, 4, 4, 3], false);
    let shares = Softmax {
        rows: 4 * batch,
        ..softmax(4, 8, 1000.0)
    };
    let normalised = Normalise {
        rows: 4 * batch,
        ..normalise(3, 8, 150)
    };
    let largest = ArgMax {
        rows: 4 * batch,
        ..arg_max(3, 8)
    };
    let node = |layer: Layer, operands: &[usize]| Node {
        layer,
        operands: operands.to_vec(),
    };
    GraphShape {
        inputs: vec![12 * batch],
        nodes: vec![
            node(scores.into(), &[0, 0]),
            node(shares.into(), &[1]),
            node(mixed.into(), &[2, 0]),
            node(normalised.into(), &[3]),
            node(largest.into(), &[4]),
        ],
        outputs: vec![4, 5],
        batch,
        bits: 8,
        weight_variables: 0,
        ends_inference: false,
    }
}

#[test]
fn attention_of_several_inferences_in_one_step() {
    let mut random = Random::new(8);
    let shape = attention(2);
    assert_eq!(shape, attention(1).repeated(2));
    let inputs = vec![input(&mut random, 24, 8)];
    let weights = pack(&shape, &[]).unwrap();
    let trace = evaluate(&shape, &weights, &inputs).unwrap();
    let case = Case { shape, trace };
    case.check();
    let outputs = case.trace.outputs(&case.shape);
    for (half, slice) in inputs[0].chunks(12).enumerate() {
        let trace = evaluate(&attention(1), &weights, &[slice.to_vec()]).unwrap();
        for (all, one) in outputs.iter().zip(trace.outputs(&attention(1))) {
            assert_eq!(all[half * one.len()..][..one.len()], one);
        }
    }
}

/// Lookups, pairs and other constraints.
fn cost(layer: impl Into<Layer>) -> [usize; 3] {
    let cost = layer.into().cost();
    [cost.lookups, cost.pairs, cost.constraints]
}

#[test]
fn costs_are_those_of_the_headers() {
    // One output of four 8-bit values; above 8 bits differences have two limbs.
    let pool = |bits| cost(max_pool([1, 2, 2], Window::tiles([2, 2]), bits));
    assert_eq!((pool(8), pool(9)), ([4, 0, 3], [8, 0, 3]));
    assert_eq!(cost(table(8, |x| x)), [0, 4, 0]);
    // Ten scores: two limbs a difference; index and value in range.
    assert_eq!(cost(arg_max(10, 8)), [2 * 10 + 2 + 1, 0, 9]);
    // 2 rows of 16 values with a sum below 2^16: share and twice two limbs of the remainder.
    assert_eq!(
        cost(softmax(16, 8, 4000.0)),
        [32 * 5, 32, 32 + 2 * (15 + 2)]
    );
    // 2 rows of 64 values: roots up to 65 280, output, two limbs twice, both ends of the clamp.
    let layer = normalise(64, 8, 300);
    assert_eq!(cost(layer), [128 * 7 + 2 * 6, 0, 128 * 4 + 2 * 3]);
    // An output: 1 lookup of the value, 3 of the remainder, 2 of what the clamp cuts off.
    let layer = mat_mul([1, 8, 16, 8], false);
    let (lookups, clamp) = (layer.requantise.lookups(), layer.requantise.constraints());
    let products = 8 * 8 + 8 * 16 + 16 * 8 - 16;
    assert_eq!(cost(layer), [64 * lookups, 0, 64 * clamp + products]);
    assert_eq!((lookups, clamp), (1 + 3 + 2, 2));
}

// Ties to even.

/// Half the sum of two numbers.
fn half_sums() -> (Case, Combine) {
    let layer = Combine {
        length: 6,
        coefficients: vec![1, 1],
        requantise: Requantise {
            shift: 1,
            low: -127,
            high: 126,
            accumulator_bits: 10,
            ties: Ties::Even,
        },
    };
    let inputs: [&[i64]; 2] = [&[1, 2, 1, 127, 127, -128], &[0, 1, 1, 126, 127, -127]];
    (Case::new(layer.clone(), 8, &inputs), layer)
}

#[test]
fn halves_go_to_the_even_neighbour() {
    let (case, _) = half_sums();
    // 1/2, 3/2, 1, 253/2, 127 and -255/2: the last two beyond the clamp.
    assert_eq!(case.output(), [0, 2, 1, 126, 126, -127]);
    case.check();
    let mut random = Random::new(31);
    for bits in [2, 8, 9, 16] {
        let (low, high) = tensor::range(bits);
        for (shift, coefficients) in [(1, [1, 1]), (2, [1, -1]), (3, [2, 3]), (0, [1, 1])] {
            let layer = Combine {
                length: 40,
                coefficients: coefficients.to_vec(),
                requantise: Requantise {
                    shift,
                    low,
                    high,
                    accumulator_bits: bits + 3,
                    ties: Ties::Even,
                },
            };
            let inputs = [(); 2].map(|()| input(&mut random, 40, bits));
            let case = Case::new(layer, bits, &[&inputs[0], &inputs[1]]);
            let expected = inputs[0].iter().zip(&inputs[1]).map(|(a, b)| {
                let sum = (coefficients[0] * a + coefficients[1] * b) as f64;
                let value = (sum / f64::from(1u32 << shift)).round_ties_even();
                (value as i64).clamp(low, high)
            });
            assert_eq!(case.output(), expected.collect::<Vec<_>>());
            case.check();
        }
    }
}

#[test]
fn a_tie_that_goes_the_wrong_way() {
    let (case, layer) = half_sums();
    let forge = |output: usize, quotient: i64, down: i64| {
        case.forge(|trace| {
            let parts = &mut trace.requantised[output];
            assert_eq!(parts.over + parts.under, 0);
            (parts.quotient, parts.down) = (quotient, down);
            let rest = layer.requantise.accumulator(parts) - i128::from(parts.remainder);
            let sum = [1, 3, 2, 253][output];
            parts.remainder = sum - rest as i64;
        })
    };
    let named = |output: usize, name: &str| step(&format!("output {output}/{name}"));
    let odd = "odd output of a tie exceeds the clamp";
    // 1/2 up to 1, 3/2 down to 1.
    assert_eq!(forge(0, 1, 0), [named(0, odd)]);
    assert_eq!(forge(1, 1, 1), [named(1, odd)]);
    // 253/2 down to 125, by 2.
    assert_eq!(forge(3, 125, 2), [named(3, "down is a bit"), named(3, odd)]);
    // 1 is no tie.
    assert_eq!(forge(2, 0, 1), [named(2, "down only for ties")]);
}

#[test]
fn a_wrong_parity() {
    let (case, _) = half_sums();
    let forge = |output: usize, change: Fr| {
        let half = format!("output {output}/half 0");
        case.shift(&[(&half, change)])
    };
    // An even output whose parity is said to be -2 or 2, and half of an odd number.
    for change in [Fr::ONE, -Fr::ONE] {
        let failed = forge(1, change);
        assert!(
            failed.contains(&step("output 1/parity is a bit")),
            "{failed:?}"
        );
    }
    let failed = forge(2, Fr::from(2).invert().unwrap());
    assert!(
        failed
            .iter()
            .any(|path| path == LOOKUP || path.starts_with("lookups/")),
        "{failed:?}"
    );
}

#[test]
fn hints_for_what_is_not_so() {
    let (case, _) = half_sums();
    // Output 2 is 1, odd, with the remainder 1: the hint is pinned, and so is what it shows.
    let named = |name: &str| step(&format!("output 2/{name}"));
    assert_eq!(
        case.shift(&[("output 2/odd by remainder", Fr::ONE)]),
        [named("odd output is no tie")]
    );
    assert_eq!(
        case.shift(&[("output 2/odd without tie", Fr::ONE)]),
        [
            named("odd output is no tie"),
            named("odd output of a tie exceeds the clamp")
        ]
    );
}

// One-hot vectors.

fn one_hot() -> OneHot {
    OneHot {
        positions: 3,
        classes: 5,
        offset: -1,
    }
}

#[test]
fn one_hot_vectors_mark_the_index() {
    let case = Case::new(one_hot(), 8, &[&[-1, 3, 0]]);
    assert_eq!(
        case.output(),
        [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]].concat()
    );
    case.check();
}

#[test]
fn every_index_of_every_width_has_its_vector() {
    for (bits, classes, offset) in [(2, 4, -2), (8, 128, 0), (9, 200, -3), (16, 30, 32_738)] {
        let layer = OneHot {
            positions: classes,
            classes,
            offset,
        };
        let indices: Vec<i64> = (0..classes as i64).map(|v| v + offset).collect();
        let case = Case::new(layer, bits, &[&indices]);
        let expected = (0..classes * classes).map(|i| i64::from(i / classes == i % classes));
        assert_eq!(case.output(), expected.collect::<Vec<_>>(), "{bits}");
        if classes < 100 {
            case.check();
        }
    }
}

#[test]
fn a_wrong_one_hot_vector() {
    let case = Case::new(one_hot(), 8, &[&[-1, 3, 0]]);
    let index = step("position 0/index");
    let one = step("position 0/one");
    // Another class; two classes whose indices add up to the index; none.
    let moved = case.forge(|t| t.values.swap(0, 2));
    assert_eq!(moved, [index.as_str()]);
    let pair = case.forge(|t| {
        // -1 = -1 + 0: the class of index 0 adds nothing.
        t.values[1] = 1;
    });
    assert_eq!(pair, [one.as_str()]);
    let none = case.forge(|t| t.values[0] = 0);
    assert_eq!(none, [one.clone(), index.clone()]);
    // Entries that are no bits: sum and index hold, 2 [-1] - 2 [0] + [1] = -1 with sum 1 ...
    let entries = case.forge(|t| t.values[..3].copy_from_slice(&[2, -2, 1]));
    let bits = [0, 1].map(|v| step(&format!("position 0/bit {v}")));
    assert_eq!(entries, bits);
    // ... and halves of two neighbours of the index 0.
    let half = inverse(2);
    let failed = case.shift(&[
        ("position 2/bit 1", -Fr::ONE),
        ("position 2/bit 0", half),
        ("position 2/bit 2", half),
    ]);
    let bits = [0, 2].map(|v| step(&format!("position 2/bit {v}")));
    assert_eq!(failed, bits);
    // The vectors of two positions exchanged.
    let failed = case.forge(|t| t.values.rotate_left(5));
    let indices = [0, 1, 2].map(|p| step(&format!("position {p}/index")));
    assert_eq!(failed, indices);
}

#[test]
fn an_index_without_a_class_has_no_vector() {
    let case = Case::new(one_hot(), 8, &[&[-1, 3, 0]]);
    let weights = pack(&case.shape, &[]).unwrap();
    for index in [-2, 4, 127, -128] {
        let error = evaluate(&case.shape, &weights, &[vec![-1, index, 0]]).unwrap_err();
        let expected = format!("layer 0 (one hot): index 1: expected -1 to 3, got {index}; give");
        assert!(error.to_string().starts_with(&expected), "{error}");
        // Whatever the vector is, some constraint of the position fails.
        for class in 0..=5 {
            let mut forged = case.clone();
            forged.trace.inputs[0][1] = index;
            let vector = (0..5).map(|v| i64::from(v == class));
            forged.trace.layers[0].values.splice(5..10, vector);
            let failed = forged.run().rejections();
            assert!(
                failed.contains(&step("position 1/index")) || failed == [step("position 1/one")],
                "{index} {class}: {failed:?}"
            );
        }
    }
}

#[test]
fn one_hot_vectors_are_counted() {
    assert_eq!(cost(one_hot()), [0, 0, 3 * (5 + 2)]);
    let embedding = OneHot {
        positions: 16,
        classes: 128,
        offset: 0,
    };
    assert_eq!(cost(embedding), [0, 0, 16 * 130]);
}

#[test]
fn classes_beyond_the_activations_are_refused() {
    let refused = |change: fn(&mut OneHot)| {
        let mut layer = one_hot();
        change(&mut layer);
        refusal(layer, 8)
    };
    assert!(refused(|l| l.classes = 130).contains("largest index: expected -128 to 127, got 128"));
    assert!(refused(|l| l.offset = -129).contains("smallest index"));
    assert!(refused(|l| l.offset = i64::MAX).contains("smallest index"));
    assert!(refused(|l| l.classes = usize::MAX).contains("outputs"));
    assert!(refused(|l| l.classes = 0).contains("outputs"));
    assert!(refused(|l| l.positions = 0).contains("outputs"));
}
