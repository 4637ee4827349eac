//! The cost of a dense layer: at most 20 constraints an activation at every size, none per weight.

mod common;

use common::CONSTANTS;
use foldnet_gadgets::hash::{Tag, hash_circuit};
use foldnet_gadgets::step::StepCircuit;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_gadgets::wire::Wire;
use foldnet_layers::check::{self, Size};
use foldnet_layers::layer::IntegerLayer;
use foldnet_layers::requantise::{Requantise, Ties};
use foldnet_layers::{Graph, GraphShape, Layer, Linear, Window, graph};
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
fn requantise(inputs: usize, low: i64, shift: u32) -> Requantise {
    Requantise {
        shift,
        low,
        high: 127,
        accumulator_bits: 23 + inputs.ilog2(),
        ties: Ties::Up,
    }
}

fn dense(inputs: usize, outputs: usize, low: i64, shift: u32) -> Linear {
    Linear::dense(inputs, outputs, requantise(inputs, low, shift))
}

fn shape(layers: Vec<Linear>) -> GraphShape {
    graph::chain(layers.into_iter().map(Layer::from).collect(), 8)
}

fn measure(shape: &GraphShape) -> Size {
    let step = Graph::new(shape.clone(), CONSTANTS.clone()).unwrap();
    check::measure(&step, &CONSTANTS).unwrap()
}

/// What does not grow with the vectors (the table, the hashes and products of the challenges), and
/// the two digests.
fn separate(shape: &GraphShape, hashes: &mut Hashes) -> (usize, usize) {
    let cost = shape.cost();
    let (challenges, digests) = cost.hashes.split_at(cost.hashes.len() - 2);
    let rounds = challenges.iter().filter(|elements| **elements == 3).count();
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
        shape(vec![
            dense(20, 7, 0, 18).repeated(6),
            dense(7, 9, 0, 18).repeated(6),
        ]),
        shape(vec![convolution(3, 5, 8, 1), convolution(5, 10, 8, 5)]).repeated(3),
        shape(vec![convolution(4, 4, 7, 4), convolution(4, 1, 7, 1)]),
        shape(vec![strided(4, 6, 9)]),
    ] {
        let size = measure(&shape);
        let cost = shape.cost();
        let declared = cost.constraints(|elements| hashes.constraints(elements)) + 2 * 256 + 1;
        assert_eq!(size.constraints, declared, "{cost:?}");
        assert_eq!(size.lookups, cost.lookups);
    }
}

/// Entries of a step's constraints without hashes and without those of the range table itself.
fn entries(shape: &GraphShape) -> usize {
    let step = Graph::new(shape.clone(), CONSTANTS.clone()).unwrap();
    let trace = StepCircuit::<Fr>::dummy_trace(&step);
    let checked = check::run(&step, &trace, None, &CONSTANTS).unwrap();
    let own = |path: &str| {
        let hash = path.contains("sponge") || path.contains("squeeze");
        !(hash || path.contains("digest") || path.starts_with("lookups/row "))
    };
    let entries = checked.system.entries();
    entries.filter(|(path, _)| own(path)).map(|(_, n)| n).sum()
}

#[test]
fn the_declared_entries_of_products_bound_the_actual_ones() {
    let groups = |groups| Linear {
        groups,
        ..convolution(8, 8, 6, 1)
    };
    let wide = Linear {
        window: Window {
            kernel: [5, 30],
            padding: [2, 15, 2, 14],
            ..Window::ONE
        },
        requantise: requantise(150, 0, 16),
        ..convolution(1, 1, 30, 1)
    };
    // Every window reads one value, with the entry of the eq table as it is.
    let one_tap = Linear {
        batch: 8,
        channels: 4,
        height: 1,
        width: 1,
        window: Window {
            kernel: [16, 16],
            padding: [0, 0, 15, 15],
            ..Window::ONE
        },
        ..convolution(4, 1, 30, 1)
    };
    let mut shapes: Vec<_> = [
        dense(5, 3, 0, 18),
        dense(64, 10, 0, 18),
        dense(10, 70, 0, 18),
        dense(7, 9, 0, 18).repeated(6),
        convolution(3, 5, 8, 1),
        convolution(4, 4, 7, 4),
        groups(2),
        groups(8),
        strided(4, 6, 9),
        wide,
        one_tap,
    ]
    .into_iter()
    .map(|linear| shape(vec![linear]))
    .collect();
    shapes.push(shape(vec![convolution(3, 5, 8, 1), convolution(5, 10, 8, 5)]).repeated(3));
    for shape in shapes {
        // Inputs of 8 bits are one limb, looked up by itself.
        let inputs = 5 * shape.inputs.iter().sum::<usize>();
        let layers = shape.layers().map(Layer::terms).sum::<usize>();
        let declared = layers + inputs + 256;
        let actual = entries(&shape);
        assert!(
            actual <= declared && declared <= 3 * actual,
            "{actual} entries, {declared} declared: {shape:?}"
        );
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
    let lookups = layer.requantise.lookups();
    assert_eq!(lookups, 6);
    let one = measure(&shape(vec![layer.clone()]));
    let two = measure(&shape(vec![layer.clone(), layer]));
    // Per output two ends of the clamp, Horner's rule and folding; twice a product with gamma.
    assert_eq!(two.constraints - one.constraints, (lookups + 4) * n + 2);
}

/// A convolution of 3 x 3 with padding on squares of side `n`.
fn convolution(channels: usize, outputs: usize, n: usize, groups: usize) -> Linear {
    Linear {
        groups,
        height: n,
        width: n,
        window: Window {
            kernel: [3; 2],
            padding: [1; 4],
            ..Window::ONE
        },
        requantise: requantise(channels / groups * 9, 0, 16),
        ..dense(channels, outputs, 0, 16)
    }
}

/// A convolution of 3 x 2 with gaps that halves the rows, channels last.
fn strided(channels: usize, outputs: usize, n: usize) -> Linear {
    Linear {
        height: n,
        width: n,
        channels_last: true,
        window: Window {
            kernel: [3, 2],
            stride: [2, 1],
            dilation: [1, 2],
            padding: [1, 0, 1, 2],
        },
        requantise: requantise(channels * 6, 0, 16),
        ..dense(channels, outputs, 0, 16)
    }
}

/// Nothing per weight or multiplication: the cost of 2 -> 2, 16 -> 16 and 64 -> 64 channels with 3 x 3
/// taps on 28 x 28 is linear in the activations.
#[test]
fn a_convolution_is_linear_in_its_activations() {
    let mut hashes = Hashes::default();
    for channels in [2, 16, 64] {
        let shape = shape(vec![convolution(channels, channels, 28, 1)]);
        let size = measure(&shape);
        let activations = channels * 28 * 28;
        let fixed = separate(&shape, &mut hashes).0;
        let each = (size.constraints - fixed) as f64 / activations as f64;
        println!(
            "{channels} channels: {} constraints for {activations} activations and {} \
             multiplications; {each:.2} an activation",
            size.constraints,
            9 * channels * activations,
        );
        assert!(each <= 18.0, "{channels}: {each}");
    }
}

#[test]
fn the_name_tells_the_layers() {
    let step = Graph::new(shape(vec![dense(5, 3, 0, 18)]), CONSTANTS.clone()).unwrap();
    assert_eq!(StepCircuit::<Fr>::name(&step), "linear 5 -> 3");
}
