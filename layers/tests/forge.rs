//! Forged witnesses, and the name of the constraint that rejects each.
//!
//! A dishonest trace goes through the whole circuit, so everything that follows from it is
//! consistent and only what really stops the forgery fails.

mod common;

use common::*;
use ff::Field;
use foldnet_gadgets::field::power_of_two;
use foldnet_gadgets::hash::Tag;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::step::{StepCircuit, WeightTable};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::WireSystem;
use foldnet_layers::check::{self, evaluate_claims};
use foldnet_layers::requantise::{Requantise, Requantised, Ties};
use foldnet_layers::{Combine, GraphShape, Layer, Multiply, Node, evaluate, layout, pack};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};

const LOOKUP: &str = "lookups/sums agree";
const FINAL: &str = "step/products/final check";

/// Changes the parts of one output and returns what rejects the result.
fn forge(case: &Case, output: usize, change: impl Fn(&mut Requantised)) -> Vec<String> {
    let mut case = case.clone();
    let last = case.trace.layers.last_mut().unwrap();
    change(&mut last.requantised[output]);
    rejections(&case)
}

/// A case whose outputs hold one inside, one at the upper and one at the lower end of the clamp.
fn mixed(params: Params) -> (Case, [usize; 3]) {
    let case = (0..)
        .map(|seed| case(seed, &[6, 40], params))
        .find_map(|case| {
            let parts = &case.trace.layers[0].requantised;
            let inside = parts.iter().position(|p| {
                p.over == 0
                    && p.under == 0
                    && p.quotient > params.low + 1
                    && p.quotient < params.high - 1
            })?;
            let above = parts.iter().position(|p| p.over > 0)?;
            let below = parts.iter().position(|p| p.under > 0)?;
            Some((case, [inside, above, below]))
        });
    case.unwrap()
}

fn name(output: usize, constraint: &str) -> String {
    format!("step/layer 0/output {output}/{constraint}")
}

#[test]
fn a_quotient_off_by_one_with_the_remainder_compensated() {
    for params in [
        PLAIN,
        RELU,
        Params {
            shift: 16,
            weight_bits: 18,
            ..PLAIN
        },
    ] {
        let (case, [inside, ..]) = mixed(params);
        for step in [1, -1] {
            let failed = forge(&case, inside, |parts| {
                parts.quotient += step;
                parts.remainder -= step << params.shift;
            });
            assert_eq!(failed, [LOOKUP], "{params:?} {step}");
        }
    }
}

#[test]
fn a_quotient_off_by_one_with_the_excess_compensated() {
    for params in [PLAIN, RELU] {
        let (case, [inside, above, below]) = mixed(params);
        let raised = |parts: &mut Requantised| {
            parts.quotient += 1;
            parts.under += 1;
        };
        let lowered = |parts: &mut Requantised| {
            parts.quotient -= 1;
            parts.over += 1;
        };
        let (over, under) = ("over only at high", "under only at low");
        assert_eq!(
            forge(&case, inside, raised),
            [name(inside, over), name(inside, under)]
        );
        assert_eq!(forge(&case, inside, lowered), [name(inside, over)]);
        assert_eq!(forge(&case, above, lowered), [name(above, over)]);
        assert_eq!(
            forge(&case, below, raised),
            [name(below, over), name(below, under)]
        );
    }
}

#[test]
fn an_excess_inside_the_clamp() {
    // A magnitude of 255 with u = 127 - q satisfies the first constraint at every quotient. The value
    // is q + 255 - 2 u = 3 q + 1, which another quotient fits only in the clamp.
    for seed in 0..20 {
        let case = case(seed, &[6, 40], PLAIN);
        let inside = case.trace.layers[0]
            .requantised
            .iter()
            .position(|parts| (parts.over, parts.under) == (0, 0) && (parts.quotient - 1) % 3 == 0);
        let Some(inside) = inside else {
            continue;
        };
        let failed = forge(&case, inside, |parts| {
            parts.quotient = (parts.quotient - 1) / 3;
            parts.under = PLAIN.high - parts.quotient;
            parts.over = 255 - parts.under;
        });
        assert_eq!(failed, [name(inside, "under only at low")]);
        return;
    }
    panic!("no output fits");
}

#[test]
fn excess_on_both_sides() {
    let (case, [inside, above, below]) = mixed(PLAIN);
    let both = |parts: &mut Requantised| {
        parts.over += 1;
        parts.under += 1;
    };
    let (over, under) = ("over only at high", "under only at low");
    assert_eq!(
        forge(&case, inside, both),
        [name(inside, over), name(inside, under)]
    );
    assert_eq!(
        forge(&case, above, both),
        [name(above, over), name(above, under)]
    );
    assert_eq!(forge(&case, below, both), [name(below, over)]);
}

#[test]
fn a_clamp_that_is_skipped() {
    for params in [
        PLAIN,
        RELU,
        Params {
            low: -100,
            high: 99,
            ..PLAIN
        },
    ] {
        let (case, [_, above, below]) = mixed(params);
        for output in [above, below] {
            let failed = forge(&case, output, |parts| {
                parts.quotient += std::mem::take(&mut parts.over);
                parts.quotient -= std::mem::take(&mut parts.under);
            });
            assert_eq!(failed, [LOOKUP], "{params:?}");
        }
    }
}

#[test]
fn an_altered_output_or_accumulator() {
    let (case, [inside, above, _]) = mixed(PLAIN);
    assert_eq!(forge(&case, inside, |parts| parts.quotient += 1), [FINAL]);
    assert_eq!(forge(&case, inside, |parts| parts.remainder ^= 1), [FINAL]);
    assert_eq!(forge(&case, above, |parts| parts.over += 1), [FINAL]);
}

#[test]
fn negative_parts() {
    let (case, [inside, above, _]) = mixed(PLAIN);
    assert!(forge(&case, inside, |parts| parts.remainder = -1).contains(&LOOKUP.into()));
    let negative = forge(&case, above, |parts| {
        parts.over = -1;
        parts.under = -1;
    });
    assert!(negative.contains(&LOOKUP.into()), "{negative:?}");
}

#[test]
fn a_wrap_modulo_the_field() {
    // The remainder grows by one and the excess falls by 2^-s, a field element that is no small
    // integer: the accumulator stays, only the lookup can tell.
    let params = Params {
        shift: 16,
        weight_bits: 20,
        ..PLAIN
    };
    let (case, [_, above, _]) = mixed(params);
    let mut checked = run(&case.shape, &case.trace, &case.weights);
    let paths = checked.system.auxiliary_paths();
    let inverse: Fr = power_of_two::<Fr>(params.shift).invert().unwrap();
    let mut shift = |part: &str, by: Fr| {
        let path = format!("layer 0/output {above}/{part}");
        // Each variable before the multiplicities but `under` is looked up once, in the order of
        // allocation.
        let before = paths.iter().take_while(|other| **other != path);
        let index = before.filter(|other| !other.ends_with("/under")).count();
        let lookup = format!("lookups/value {index} inverse");
        let system = &mut checked.system;
        let denominator: Fr = system.get(&lookup).unwrap().invert().unwrap() + by;
        let value = system.get(&path).unwrap() + by;
        assert!(system.set(&path, value));
        assert!(system.set(&lookup, denominator.invert().unwrap()));
    };
    shift("remainder 0", Fr::ONE);
    shift("excess 0", -inverse);
    assert_eq!(checked.rejections(), [LOOKUP]);
}

/// A chain whose first two columns are zero, so that outputs do not depend on these inputs.
fn blind_case() -> Case {
    let mut random = Random::new(21);
    let mut weights = matrices(&mut random, &[6, 4], PLAIN.weight_bits);
    weights[0].0.column_mut(0).fill(0);
    weights[0].0.column_mut(1).fill(0);
    let shape = shape(&weights, PLAIN);
    let table = pack(&shape, &weights).unwrap();
    let input = vec![input(&mut random, 6, 8)];
    let trace = evaluate(&shape, &table, &input).unwrap();
    Case {
        shape,
        weights: table,
        input,
        trace,
    }
}

#[test]
fn a_carry_between_packed_activations() {
    let mut case = blind_case();
    let honest = digest(&case.input[0], 8);
    case.trace.inputs[0][0] += 256;
    case.trace.inputs[0][1] -= 1;
    assert_eq!(digest(&case.trace.inputs[0], 8), honest);
    assert_eq!(rejections(&case), [LOOKUP]);
}

#[test]
fn an_activation_outside_its_width() {
    for (value, bits) in [
        (128, 8),
        (-129, 8),
        (64, 7),
        (-65, 7),
        (1024, 11),
        (-1025, 11),
    ] {
        let mut random = Random::new(22);
        let params = Params {
            bits,
            low: -2,
            high: 2,
            ..PLAIN
        };
        let mut weights = matrices(&mut random, &[3, 2], 8);
        weights[0].0.column_mut(1).fill(0);
        let shape = shape(&weights, params);
        let table = pack(&shape, &weights).unwrap();
        let mut trace = evaluate(&shape, &table, &[vec![1, 2, 3]]).unwrap();
        trace.inputs[0][1] = value;
        assert_eq!(
            run(&shape, &trace, &table).rejections(),
            [LOOKUP],
            "{value} of {bits} bits"
        );
    }
}

#[test]
fn other_weights_than_the_trace_uses() {
    // The prover sends rounds and claims of a table that differs in one entry. All messages are
    // consistent with that table, so only the final check can tell.
    let case = case(23, &[5, 6, 3], PLAIN);
    for blocks in layout(&case.shape) {
        for offset in [
            blocks.matrix.offset,
            blocks.matrix.offset + 1,
            blocks.bias.offset,
        ] {
            let mut entries = case.weights.entries().to_vec();
            entries[offset] += 1;
            let table = WeightTable::new(entries, case.weights.variables()).unwrap();
            let failed = run(&case.shape, &case.trace, &table).rejections();
            assert_eq!(failed, [FINAL], "{blocks:?} {offset}");
        }
    }
}

#[test]
fn an_execution_of_another_model() {
    // Trace and rounds are those of other weights: the circuit is satisfied, the claims are false.
    let case = case(24, &[5, 6, 3], PLAIN);
    for (l, blocks) in layout(&case.shape).into_iter().enumerate() {
        for (claim, offset) in [
            (2 * l, blocks.matrix.offset),
            (2 * l + 1, blocks.bias.offset),
        ] {
            let mut entries = case.weights.entries().to_vec();
            entries[offset] += 1;
            let other = WeightTable::new(entries, case.weights.variables()).unwrap();
            let trace = evaluate(&case.shape, &other, &case.input).unwrap();
            let mut checked = run(&case.shape, &trace, &other);
            assert_eq!(checked.rejections(), Vec::<String>::new());
            checked.evaluations = evaluate_claims(&checked.output, Some(&case.weights));
            assert_eq!(checked.rejections(), [format!("claim {claim}")]);
        }
    }
}

#[test]
fn a_wrong_weight_evaluation() {
    let case = case(25, &[5, 6, 3], PLAIN);
    let mut checked = run(&case.shape, &case.trace, &case.weights);
    let value = checked.system.get("step/products/weights 0").unwrap() + Fr::ONE;
    assert!(checked.system.set("step/products/weights 0", value));
    let product = "step/products/inputs 0/inputs times weights";
    let failed: Vec<_> = checked.system.failures();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].path, product);
    assert!(checked.system.set(product, failed[0].a * failed[0].b));
    assert_eq!(checked.rejections(), [FINAL]);
}

#[test]
fn a_forged_round_or_bias_evaluation() {
    let case = case(26, &[5, 6, 3], PLAIN);
    for (variable, hash) in [
        ("round 0/c0", "round 0/squeeze"),
        ("round 2/c2", "round 2/squeeze"),
        ("bias 0", "gamma/squeeze"),
        ("bias 1", "gamma/squeeze"),
    ] {
        let mut checked = run(&case.shape, &case.trace, &case.weights);
        let path = format!("step/products/{variable}");
        let value = checked.system.get(&path).unwrap() + Fr::ONE;
        assert!(checked.system.set(&path, value));
        let hash = format!("step/products/{hash}");
        let failed = checked.rejections();
        assert!(
            failed.iter().any(|name| name.starts_with(&hash)),
            "{variable}: {failed:?}"
        );
    }
}

#[test]
fn weight_evaluations_are_absorbed() {
    let case = case(27, &[5, 6, 3], PLAIN);
    let step = step(&case.shape);
    let mut cs = MockSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    let committed = step
        .commit(&salted(&case.shape, &case.trace), &mut segment)
        .unwrap();
    segment.close().unwrap();
    let seed = cs.wire(|| "seed", Fr::from(5)).unwrap();
    let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("test"));
    transcript.absorb([&seed]);
    step.constrain(&committed, Some(&case.weights), &mut transcript, &mut cs)
        .unwrap();
    transcript.squeeze(&mut cs).unwrap();
    for l in 0..2 {
        let path = format!("products/weights {l}");
        let value = cs.get(&path).unwrap();
        assert!(cs.set(&path, value + Fr::ONE));
        let failed: Vec<_> = cs
            .failures()
            .into_iter()
            .map(|failure| failure.path)
            .collect();
        assert!(
            failed.iter().any(|name| name.starts_with("squeeze")),
            "{failed:?}"
        );
        assert!(cs.set(&path, value));
    }
}

#[test]
fn no_variable_can_change_alone() {
    let case = case(28, &[5, 4, 3], RELU);
    let mut system = run(&case.shape, &case.trace, &case.weights).system;
    let paths = system.auxiliary_paths();
    let variables = paths.iter().zip(system.auxiliary_values()).enumerate();
    // The insides of hashes are the gadget's own business.
    for (index, (path, value)) in variables.filter(|(_, (path, _))| !path.contains("sponge")) {
        for change in [
            -Fr::ONE,
            Fr::from(256),
            power_of_two::<Fr>(11).invert().unwrap(),
        ] {
            assert!(system.set_auxiliary(index, value + change));
            assert!(
                !system.failures_touching(index).is_empty(),
                "{path} is free"
            );
        }
        assert!(system.set_auxiliary(index, value));
    }
}

/// Weights of (2, 3) in a layer of capacity (5, 6).
fn padded() -> (GraphShape, WeightTable, Vec<Vec<i64>>) {
    let mut random = Random::new(29);
    let small = matrices(&mut random, &[3, 2], PLAIN.weight_bits);
    let shape = shape(
        &[(Array2::from_elem((5, 6), 4000), Array1::zeros(5))],
        PLAIN,
    );
    let table = pack(&shape, &small).unwrap();
    (shape, table, vec![vec![9, -9, 4, 0, 0, 0]])
}

#[test]
fn a_padded_output_that_is_not_zero() {
    let (shape, weights, input) = padded();
    let trace = evaluate(&shape, &weights, &input).unwrap();
    let case = Case {
        shape,
        weights,
        input,
        trace,
    };
    assert_eq!(rejections(&case), Vec::<String>::new());
    assert_eq!(forge(&case, 4, |parts| parts.quotient = 1), [FINAL]);
    let compensated = forge(&case, 4, |parts| {
        parts.quotient = 1;
        parts.remainder -= 1 << 11;
    });
    assert_eq!(compensated, [LOOKUP]);
}

#[test]
fn a_padded_input_that_is_not_zero_changes_the_digest_and_no_output() {
    let (shape, weights, mut input) = padded();
    let honest = evaluate(&shape, &weights, &input).unwrap();
    input[0][5] = 1;
    let other = evaluate(&shape, &weights, &input).unwrap();
    assert_eq!(output(&shape, &other), output(&shape, &honest));
    let digest = |trace| run(&shape, trace, &weights).output.input_digests[0].value();
    assert_ne!(digest(&honest), digest(&other));
}

#[test]
fn equal_ends_of_the_clamp_fix_the_output() {
    let params = Params {
        low: 5,
        high: 5,
        ..PLAIN
    };
    let case = case(30, &[4, 3], params);
    assert_eq!(output(&case.shape, &case.trace), [5; 3]);
    // The quotient has no variable: another one only makes the accumulator wrong.
    assert_eq!(forge(&case, 1, |parts| parts.over += 1), [FINAL]);
    // The split of the excess is free, as documented, and nothing depends on it.
    let mut split = case.clone();
    split.trace.layers[0].requantised[1].over += 1;
    split.trace.layers[0].requantised[1].under += 1;
    let digest = |case: &Case| {
        let checked = run(&case.shape, &case.trace, &case.weights);
        assert_eq!(checked.rejections(), Vec::<String>::new());
        checked.output.output_digests[0].value()
    };
    assert_eq!(digest(&case), digest(&split));
}

#[test]
fn equal_ends_of_the_clamp_leave_no_accumulator_free() {
    let params = Params {
        low: 5,
        high: 5,
        ..PLAIN
    };
    let case = case(30, &[4, 3], params);
    // The magnitude stays in its limbs, and `u` alone carries the accumulator beyond its bound.
    let lower = |parts: &mut Requantised, by: i64| {
        parts.under += by;
        parts.over -= by;
    };
    for by in [1, -1, 1 << 40, -(1 << 40)] {
        assert_eq!(forge(&case, 1, |parts| lower(parts, by)), [FINAL], "{by}");
        // Two accumulators whose errors cancel in their sum.
        let mut pair = case.clone();
        let parts = &mut pair.trace.layers[0].requantised;
        lower(&mut parts[0], by);
        lower(&mut parts[2], -by);
        assert_eq!(rejections(&pair), [FINAL], "{by}");
    }
}

#[test]
fn equal_ends_of_the_clamp_leave_no_sum_free() {
    let requantise = Requantise {
        shift: 3,
        low: -2,
        high: -2,
        accumulator_bits: 20,
        ties: Ties::Up,
    };
    let combine = Combine {
        length: 2,
        coefficients: vec![700],
        requantise,
    };
    let multiply = Multiply {
        length: 2,
        multiplier: 5,
        requantise,
    };
    for (layer, equation) in [(Layer::from(combine), "sum"), (multiply.into(), "product")] {
        let operands = layer.operands().len();
        let shape = GraphShape {
            inputs: layer.operands(),
            nodes: vec![Node {
                layer,
                operands: (0..operands).collect(),
            }],
            outputs: vec![operands],
            batch: 1,
            bits: 8,
            weight_variables: 0,
            ends_inference: true,
        };
        let weights = pack(&shape, &[]).unwrap();
        let input = vec![vec![100, -3]; operands];
        let trace = evaluate(&shape, &weights, &input).unwrap();
        let case = Case {
            shape,
            weights,
            input,
            trace,
        };
        assert_eq!(output(&case.shape, &case.trace), [-2; 2]);
        for by in [1, 1 << 40] {
            let failed = forge(&case, 1, |parts| {
                parts.under += by;
                parts.over -= by;
            });
            assert_eq!(failed, [format!("step/layer 0/{equation} 1")], "{by}");
        }
    }
}

#[test]
fn inner_outputs_are_bound_too() {
    let mut case = case(31, &[4, 5, 3], PLAIN);
    let requantise = case.shape.nodes[1].layer.linear().unwrap().requantise;
    // An inner output is raised and the last layer recomputed from it: its accumulators are those
    // of the forged activations, so only the first layer is wrong.
    case.trace.layers[0].requantised[2].quotient += 1;
    let activations = case.trace.layers[0].outputs();
    let blocks = layout(&case.shape)[1];
    let weights = blocks.weights(&case.weights);
    let rows = weights.matrix.chunks(weights.row_length).zip(weights.bias);
    let sums = rows.map(|(row, bias)| {
        let products = row.iter().zip(&activations).map(|(w, x)| i128::from(w * x));
        products.sum::<i128>() + i128::from(*bias)
    });
    case.trace.layers[1].requantised = sums
        .take(3)
        .map(|sum| requantise.evaluate(sum).unwrap())
        .collect();
    assert_eq!(rejections(&case), [FINAL]);
}

#[test]
fn traces_and_weights_of_the_wrong_size_are_errors() {
    let case = case(32, &[4, 5, 3], PLAIN);
    let step = step(&case.shape);
    let run = |trace: &_, weights| {
        check::run(
            &step,
            &salted(&case.shape, trace),
            Some(weights),
            &CONSTANTS,
        )
    };
    let mut trace = case.trace.clone();
    trace.inputs[0].pop();
    assert!(run(&trace, &case.weights).is_err());
    let mut trace = case.trace.clone();
    trace.layers.pop();
    assert!(run(&trace, &case.weights).is_err());
    let other = WeightTable::new(vec![], 3).unwrap();
    assert!(run(&case.trace, &other).is_err());
}
