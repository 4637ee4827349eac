//! Steps are accepted, agree with the reference evaluator and with plain matrix arithmetic, and
//! determine every witness.

mod common;

use common::*;
use ff::Field;
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::system::{ShapeSystem, WitnessSystem};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::Wire;
use foldnet_layers::{GraphShape, Layer, LayerError, Linear, evaluate, pack, tensor};
use halo2curves::bn256::Fr;
use ndarray::Array1;
use proptest::prelude::*;

#[test]
fn a_chain_of_different_sizes_is_accepted() {
    for widths in [
        &[4, 4][..],
        &[7, 5, 3],
        &[3, 9, 1, 6],
        &[1, 1],
        &[33, 2, 20],
    ] {
        for params in [PLAIN, RELU] {
            let case = case(1, widths, params);
            let checked = run(&case.shape, &case.trace, &case.weights);
            assert_eq!(checked.rejections(), Vec::<String>::new(), "{widths:?}");
            let bits = case.shape.bits;
            let output = output(&case.shape, &case.trace);
            let (before, after) = (
                &checked.output.input_digests,
                &checked.output.output_digests,
            );
            assert_eq!(before[0].value(), digest(&case.input[0], bits));
            assert_eq!(after[0].value(), digest(&output, bits));
            assert_eq!((before.len(), after.len()), (1, 1));
            assert_eq!(checked.output.claims.len(), 2 * (widths.len() - 1));
        }
    }
}

#[test]
fn every_witness_is_pinned() {
    for (widths, params) in [
        (&[7, 5, 3][..], PLAIN),
        (&[5, 4], RELU),
        (
            &[4, 6],
            Params {
                low: -100,
                high: 99,
                ..PLAIN
            },
        ),
        (
            &[4, 3],
            Params {
                bits: 11,
                low: -1000,
                high: 1000,
                ..PLAIN
            },
        ),
        (
            &[3, 3],
            Params {
                low: 5,
                high: 5,
                ..PLAIN
            },
        ),
    ] {
        let case = case(2, widths, params);
        let mut checked = run(&case.shape, &case.trace, &case.weights);
        assert_eq!(checked.rejections(), Vec::<String>::new());
        assert_eq!(
            checked.system.unpinned(),
            Vec::<String>::new(),
            "{widths:?}"
        );
    }
}

/// The linear layer at an index.
fn linear(shape: &mut GraphShape, index: usize) -> &mut Linear {
    match &mut shape.nodes[index].layer {
        Layer::Linear(linear) => linear,
        other => panic!("layer {index} is {}", other.name()),
    }
}

/// Runs both phases in any system, as the engine does.
fn synthesise<CS: bellpepper_core::ConstraintSystem<Fr>>(case: &Case, cs: &mut CS, prove: bool) {
    let step = step(&case.shape);
    let mut segment = FirstSegment::open(cs);
    let committed = step
        .commit(&salted(&case.shape, &case.trace), &mut segment)
        .unwrap();
    let lookups = segment.close().unwrap();
    let mut transcript =
        TranscriptCircuit::new(&CONSTANTS, foldnet_gadgets::hash::Tag::new("test"));
    transcript.absorb([&Wire::constant(Fr::from(77))]);
    lookups.constrain(cs, &mut transcript).unwrap();
    let weights = prove.then_some(&case.weights);
    step.constrain(&committed, weights, &mut transcript, cs)
        .unwrap();
}

#[test]
fn all_systems_allocate_the_same() {
    let case = case(3, &[9, 6, 5], RELU);
    let mut mock = foldnet_gadgets::mock::MockSystem::<Fr>::default();
    let mut witness = WitnessSystem::<Fr>::default();
    let mut shape = ShapeSystem::<Fr>::default();
    synthesise(&case, &mut mock, true);
    synthesise(&case, &mut witness, true);
    synthesise(&case, &mut shape, false);
    assert_eq!(mock.auxiliary_values(), witness.auxiliary());
    assert_eq!(mock.constraint_count(), shape.rows());
    assert_eq!(mock.auxiliary_count(), shape.auxiliary());
    assert_eq!(mock.failures(), vec![]);
}

/// `clamp(floor((W x + b + 2^(s-1)) / 2^s))` on ndarray, written independently of the evaluator.
fn plain(
    weights: &[(ndarray::Array2<i64>, Array1<i64>)],
    params: Params,
    input: &[i64],
) -> Vec<i64> {
    let mut x = Array1::from_vec(input.to_vec());
    for (matrix, bias) in weights {
        let half = if params.shift == 0 {
            0
        } else {
            1 << (params.shift - 1)
        };
        let divide = |y: i64| (y + half).div_euclid(1 << params.shift);
        x = (matrix.dot(&x) + bias).mapv(|y| divide(y).clamp(params.low, params.high));
    }
    x.to_vec()
}

fn params() -> impl Strategy<Value = Params> {
    (2u32..=16, 0u32..=18, 2u32..=18).prop_flat_map(|(bits, shift, weight_bits)| {
        let (smallest, largest) = tensor::range(bits);
        (smallest..=largest, smallest..=largest).prop_map(move |(a, b)| {
            let (low, high) = (a.min(b), a.max(b));
            Params {
                bits,
                shift,
                low,
                high,
                weight_bits,
            }
        })
    })
}

proptest! {
    // A case takes about 30 ms: a hundred of each keep the test near three seconds.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn random_chains_are_accepted(
        widths in prop::collection::vec(1usize..12, 2..5),
        params in params(),
        seed in any::<u64>(),
    ) {
        let case = case(seed, &widths, params);
        prop_assert_eq!(rejections(&case), Vec::<String>::new());
    }

    #[test]
    fn the_evaluator_equals_plain_arithmetic(
        widths in prop::collection::vec(1usize..12, 2..5),
        params in params(),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let weights = matrices(&mut random, &widths, params.weight_bits);
        let shape = shape(&weights, params);
        let table = pack(&shape, &weights).unwrap();
        let input = input(&mut random, widths[0], params.bits);
        let trace = evaluate(&shape, &table, std::slice::from_ref(&input)).unwrap();
        prop_assert_eq!(output(&shape, &trace), plain(&weights, params, &input));
    }
}

#[test]
fn a_smaller_layer_is_padded() {
    let mut random = Random::new(5);
    let small = matrices(&mut random, &[3, 2, 3], PLAIN.weight_bits);
    let large = matrices(&mut random, &[6, 5, 7], PLAIN.weight_bits);
    let mut shape = shape(&large, PLAIN);
    shape.weight_variables += 2;
    let table = pack(&shape, &small).unwrap();
    let mut input = input(&mut random, 3, 8);
    let expected = plain(&small, PLAIN, &input);
    input.resize(6, 0);
    let trace = evaluate(&shape, &table, &[input]).unwrap();
    let output = output(&shape, &trace);
    assert_eq!(output[..3], expected);
    assert_eq!(output[3..], [0; 4]);
    let checked = run(&shape, &trace, &table);
    assert_eq!(checked.rejections(), Vec::<String>::new());
}

#[test]
fn wrong_inputs_are_refused_with_their_place() {
    let case = case(6, &[3, 4, 2], PLAIN);
    let run = |input: &[i64]| evaluate(&case.shape, &case.weights, &[input.to_vec()]).unwrap_err();
    assert_eq!(
        run(&[1, 200, 3]),
        LayerError::Activation {
            tensor: 0,
            index: 1,
            low: -128,
            high: 127,
            got: 200
        }
    );
    assert!(matches!(
        run(&[1, 2]),
        LayerError::Length {
            expected: 3,
            got: 2,
            ..
        }
    ));

    let mut narrow = case.shape.clone();
    linear(&mut narrow, 1).requantise.accumulator_bits = 2;
    let error = evaluate(&narrow, &case.weights, &[vec![127, -128, 127]]).unwrap_err();
    assert!(matches!(&error, LayerError::Accumulator { place, bits: 2, .. } if place.index == 1));
    assert!(
        error
            .to_string()
            .starts_with("layer 1 (linear): accumulator 0: expected"),
        "{error}"
    );
}

#[test]
fn wrong_shapes_are_refused() {
    let case = case(7, &[3, 4, 2], PLAIN);
    let change = |change: &dyn Fn(&mut GraphShape)| {
        let mut shape = case.shape.clone();
        change(&mut shape);
        shape.validate().unwrap_err()
    };
    let parameter = |name: &'static str, set: &dyn Fn(&mut Linear)| match change(&|shape| {
        set(linear(shape, 1))
    }) {
        LayerError::Parameter { place, what, .. } => {
            assert_eq!((place.index, what), (1, name));
        }
        other => panic!("{name}: {other}"),
    };
    parameter("shift", &|linear| linear.requantise.shift = 63);
    parameter("accumulator bits", &|linear| {
        linear.requantise.accumulator_bits = 63
    });
    parameter("accumulator bits", &|linear| {
        linear.requantise.accumulator_bits = 0
    });
    parameter("low", &|linear| linear.requantise.low = -129);
    parameter("high", &|linear| linear.requantise.high = 128);
    parameter("high", &|linear| {
        (linear.requantise.low, linear.requantise.high) = (1, 0)
    });
    parameter("groups", &|linear| linear.outputs = 0);
    assert_eq!(change(&|shape| shape.nodes.clear()), LayerError::NoLayers);
    assert!(matches!(
        change(&|shape| shape.bits = 17),
        LayerError::StepParameter { .. }
    ));
    assert!(matches!(
        change(&|shape| shape.bits = 1),
        LayerError::StepParameter { .. }
    ));
    assert!(matches!(
        change(&|shape| shape.weight_variables -= 1),
        LayerError::WeightVariables { .. }
    ));
    assert!(matches!(
        change(&|shape| linear(shape, 1).channels = 5),
        LayerError::Length {
            expected: 5,
            got: 4,
            ..
        }
    ));
}

#[test]
fn wrong_weights_are_refused() {
    let mut random = Random::new(8);
    let weights = matrices(&mut random, &[3, 4, 2], PLAIN.weight_bits);
    let shape = shape(&weights, PLAIN);
    assert_eq!(
        pack(&shape, &weights[..1]).unwrap_err(),
        LayerError::LayerCount {
            expected: 2,
            got: 1
        }
    );
    let mut short_bias = weights.clone();
    short_bias[0].1 = Array1::zeros(3);
    assert!(matches!(
        pack(&shape, &short_bias).unwrap_err(),
        LayerError::Length {
            what: "bias",
            expected: 4,
            got: 3,
            ..
        }
    ));
    let large = matrices(&mut random, &[3, 5, 2], PLAIN.weight_bits);
    assert!(matches!(
        pack(&shape, &large).unwrap_err(),
        LayerError::Length {
            what: "rows of the weight matrix",
            expected: 4,
            got: 5,
            ..
        }
    ));
    let other = foldnet_gadgets::step::WeightTable::new(vec![], 9).unwrap();
    assert_eq!(
        evaluate(&shape, &other, &[vec![0; 3]]).unwrap_err(),
        LayerError::WeightTable {
            expected: shape.weight_variables,
            got: 9
        }
    );
}

#[test]
fn zero_weights_give_satisfied_zero_claims() {
    let case = case(9, &[4, 4], PLAIN);
    let weights =
        foldnet_gadgets::step::WeightTable::new(vec![], case.weights.variables()).unwrap();
    let trace = evaluate(&case.shape, &weights, &case.input).unwrap();
    let checked = run(&case.shape, &trace, &weights);
    assert_eq!(checked.rejections(), Vec::<String>::new());
    assert!(
        checked
            .output
            .claims
            .iter()
            .all(|claim| claim.value.value() == Fr::ZERO)
    );
}
