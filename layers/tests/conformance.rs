//! Walks over the list of layers: each row keeps the promises of a layer.

mod common;

use common::{CONSTANTS, Random, chain, input, run};
use foldnet_gadgets::segment::FirstSegment;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_layers::error::Place;
use foldnet_layers::{ChainShape, Layer, evaluate, layout, pack, required_variables, tensor};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};
use std::collections::HashSet;

fn shape(layer: &Layer) -> ChainShape {
    let layers = vec![layer.clone()];
    let weight_variables = required_variables(&layers);
    ChainShape {
        layers,
        bits: 8,
        weight_variables,
        ends_inference: true,
    }
}

fn samples() -> impl Iterator<Item = (&'static str, Layer)> {
    Layer::samples().into_iter().flat_map(|(name, samples)| {
        assert!(!samples.is_empty(), "{name} has no samples");
        samples.into_iter().map(move |sample| (name, sample))
    })
}

#[test]
fn names_are_unique_and_documented_by_samples() {
    let names: HashSet<_> = Layer::NAMES.iter().collect();
    assert_eq!(names.len(), Layer::NAMES.len());
    for (name, layer) in samples() {
        assert_eq!(layer.name(), name);
        layer.validate(Place { index: 0, name }, 8).unwrap();
    }
}

#[test]
fn every_sample_is_satisfied_agrees_with_the_reference_and_is_pinned() {
    let mut random = Random::new(11);
    for (name, layer) in samples() {
        let shape = shape(&layer);
        let weights: Vec<_> = layout(&shape)
            .iter()
            .map(|_| {
                let matrix = layer.matrix().unwrap();
                let size = (matrix.rows, matrix.columns);
                let entry = |random: &mut Random| random.between(-(1 << 15), 1 << 15);
                let entries = Array2::from_shape_simple_fn(size, || entry(&mut random));
                (
                    entries,
                    Array1::from_shape_simple_fn(matrix.rows, || entry(&mut random)),
                )
            })
            .collect();
        let table = pack(&shape, &weights).unwrap();
        let input = input(&mut random, layer.inputs(), 8);
        let trace = evaluate(&shape, &table, &input).unwrap();
        assert_eq!(trace.output().len(), layer.outputs(), "{name}");

        let mut checked = run(&shape, &trace, &table);
        assert_eq!(checked.rejections(), Vec::<String>::new(), "{layer:?}");
        let digest = tensor::digest::<Fr>(&CONSTANTS, &trace.output(), 8);
        assert_eq!(checked.output.output_digest.value(), digest, "{layer:?}");
        assert_eq!(checked.system.unpinned(), Vec::<String>::new(), "{layer:?}");
    }
}

#[test]
fn the_declared_cost_of_every_sample_is_the_actual_cost() {
    for (_, layer) in samples() {
        let mut cs = ShapeSystem::<Fr>::default();
        let mut segment = FirstSegment::open(&mut cs);
        let alloc = |i| segment.alloc(format!("input {i}"), Fr::from(0)).unwrap();
        let input: Vec<_> = (0..layer.inputs()).map(alloc).collect();
        let wires = layer
            .commit(&layer.dummy_trace(), &input, &mut segment)
            .unwrap();
        let lookups = segment.close().unwrap().len();
        layer.constrain(&wires, &mut cs).unwrap();
        assert_eq!(
            (lookups, cs.rows()),
            (layer.cost().lookups, layer.cost().constraints)
        );
    }
}

#[test]
fn a_dummy_trace_has_the_lengths_of_a_real_one() {
    for (_, layer) in samples() {
        let shape = shape(&layer);
        let size = foldnet_layers::check::measure(&chain(&shape), &CONSTANTS).unwrap();
        assert_eq!(size.lookups, shape.cost().lookups);
        assert_eq!(layer.dummy_trace().outputs().len(), layer.outputs());
    }
}

#[test]
fn a_trace_of_the_wrong_length_is_refused() {
    for (_, layer) in samples() {
        let mut trace = layer.dummy_trace();
        trace.requantised.pop();
        let mut cs = ShapeSystem::<Fr>::default();
        let mut segment = FirstSegment::open(&mut cs);
        assert!(layer.commit(&trace, &[], &mut segment).is_err());
    }
}
