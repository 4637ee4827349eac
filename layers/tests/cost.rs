//! The cost of a dense layer: at most 20 constraints an activation at every size, none per weight.

mod common;

use common::CONSTANTS;
use foldnet_gadgets::hash::{Tag, hash_circuit};
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_gadgets::wire::Wire;
use foldnet_layers::check::{self, Size};
use foldnet_layers::{Chain, ChainShape, Dense, required_variables};
use halo2curves::bn256::Fr;
use std::collections::HashMap;

/// Measured constraints of hashes, by their number of elements.
#[derive(Default)]
struct Hashes(HashMap<usize, usize>);

impl Hashes {
    fn constraints(&mut self, elements: usize) -> usize {
        *self.0.entry(elements).or_insert_with(|| {
            let mut cs = ShapeSystem::<Fr>::default();
            let inputs = vec![Wire::constant(Fr::from(7)); elements - 1];
            hash_circuit(&mut cs, &CONSTANTS, Tag::new("cost"), &inputs).unwrap();
            cs.rows()
        })
    }
}

/// 8-bit activations, 16-bit weights: 7 + 15 bits and one for each doubling of the inputs.
fn dense(inputs: usize, outputs: usize, low: i64, shift: u32) -> Dense {
    let accumulator_bits = 23 + inputs.ilog2();
    Dense {
        inputs,
        outputs,
        shift,
        low,
        high: 127,
        accumulator_bits,
    }
}

fn shape(layers: Vec<Dense>) -> ChainShape {
    let layers: Vec<_> = layers.into_iter().map(Into::into).collect();
    let weight_variables = required_variables(&layers);
    ChainShape {
        layers,
        bits: 8,
        weight_variables,
        ends_inference: false,
    }
}

fn measure(shape: &ChainShape) -> Size {
    let chain = Chain::new(shape.clone(), CONSTANTS.clone()).unwrap();
    check::measure(&chain, &CONSTANTS).unwrap()
}

/// What does not grow with the vectors (the table, the hashes and products of the challenges), and
/// the two digests.
fn separate(shape: &ChainShape, hashes: &mut Hashes) -> (usize, usize) {
    let cost = shape.cost();
    let (challenges, digests) = cost.hashes.split_at(cost.hashes.len() - 2);
    let rounds = challenges.len() - 2;
    let mut sum = |list: &[usize]| list.iter().map(|n| hashes.constraints(*n)).sum::<usize>();
    (2 * 256 + 1 + sum(challenges) + 2 * rounds, sum(digests))
}

#[test]
fn the_declared_cost_is_the_actual_cost() {
    let mut hashes = Hashes::default();
    for shape in [
        shape(vec![dense(5, 3, 0, 18)]),
        shape(vec![dense(1, 1, 0, 18)]),
        shape(vec![
            dense(64, 10, -128, 18),
            dense(10, 33, 0, 18),
            dense(33, 1, -128, 18),
        ]),
        shape(vec![dense(100, 70, 0, 18), dense(70, 100, 0, 18)]),
    ] {
        let size = measure(&shape);
        let cost = shape.cost();
        let declared = cost.constraints(|elements| hashes.constraints(elements)) + 2 * 256 + 1;
        assert_eq!(size.constraints, declared, "{cost:?}");
        assert_eq!(size.lookups, cost.lookups);
    }
}

#[test]
fn at_most_twenty_constraints_an_activation_and_none_a_weight() {
    let mut hashes = Hashes::default();
    println!("constraints = fixed + digests + vectors, at n inputs and n outputs:");
    for (name, low, shift) in [
        ("clamp to 8 bits, shift 16", -128, 16),
        ("ReLU, shift 16", 0, 16),
        ("ReLU, shift 18", 0, 18),
        ("ReLU, shift 20", 0, 20),
    ] {
        let mut each = Vec::new();
        for n in [64, 256, 1024] {
            let shape = shape(vec![dense(n, n, low, shift)]);
            let size = measure(&shape);
            let (fixed, digests) = separate(&shape, &mut hashes);
            let vectors = size.constraints - fixed - digests;
            println!(
                "{name}, {n} x {n}: {} = {fixed} + {digests} + {vectors}; an output {:.2}, with \
                 the digests {:.2}; {} lookups, W1 {}, W {}",
                size.constraints,
                vectors as f64 / n as f64,
                (digests + vectors) as f64 / n as f64,
                size.lookups,
                size.first_variables,
                size.variables,
            );
            // Without the digests an output costs less than 20 even if the inputs cost nothing;
            // with them, inputs and outputs together do. A short digest costs a whole permutation.
            assert!(vectors <= 20 * n, "{n}: {vectors}");
            assert!(
                digests + vectors <= 20 * 2 * n,
                "{n}: {digests} + {vectors}"
            );
            each.push(vectors as f64 / n as f64);
        }
        // From one size to the next the weights grow sixteen times and the cost of an activation
        // only by the limb that a larger accumulator may need at both ends of the clamp, plus the
        // logarithmic number of constraints of the row point.
        assert!(
            each[1] <= each[0] + 2.0 && each[2] <= each[1] + 2.0,
            "{each:?}"
        );
    }
}

#[test]
fn an_inner_activation_costs_its_lookups_and_four_constraints() {
    // Two chains that differ by one layer of the same width share everything but that layer.
    let n = 256;
    let layer = dense(n, n, 0, 16);
    let lookups = layer.requantise().lookups();
    assert_eq!(lookups, 8);
    let one = measure(&shape(vec![layer.clone()]));
    let two = measure(&shape(vec![layer.clone(), layer]));
    // Per output two ends of the clamp, Horner's rule and folding; twice a product with gamma.
    assert_eq!(two.constraints - one.constraints, (lookups + 4) * n + 2);
}

#[test]
fn the_name_tells_the_layers() {
    let chain = Chain::new(shape(vec![dense(5, 3, 0, 18)]), CONSTANTS.clone()).unwrap();
    assert_eq!(StepCircuit::<Fr>::name(&chain), "dense 3x5");
}
