//! Walks over the list of layers: each row keeps the promises of a layer.

mod common;

use common::{CONSTANTS, Random, digest, input, output, run, step, unpinned};
use foldnet_gadgets::SynthesisError;
use foldnet_gadgets::hash::Tag;
use foldnet_gadgets::lookup::FunctionTable;
use foldnet_gadgets::mock::MockSystem;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::WeightTable;
use foldnet_gadgets::system::ShapeSystem;
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::{Wire, WireSystem};
use foldnet_layers::error::Place;
use foldnet_layers::layer::{Challenges, LayerCost, LayerTrace};
use foldnet_layers::{GraphShape, GraphTrace, Layer, Linear, evaluate, layout, pack};
use halo2curves::bn256::Fr;
use ndarray::{Array1, Array2};
use std::collections::HashSet;

fn shape(layer: &Layer) -> GraphShape {
    common::alone(layer.clone(), 8)
}

fn samples() -> impl Iterator<Item = (&'static str, Layer)> {
    Layer::samples().into_iter().flat_map(|(name, samples)| {
        assert!(!samples.is_empty(), "{name} has no samples");
        samples.into_iter().map(move |sample| (name, sample))
    })
}

/// Random weights of a linear layer; none of others.
fn weights(
    layer: &Layer,
    shape: &GraphShape,
    random: &mut Random,
) -> Vec<(Array2<i64>, Array1<i64>)> {
    let linear = layout(shape).into_iter().filter_map(|_| layer.linear());
    let pair = |linear: &Linear| {
        let size = (linear.outputs, linear.columns());
        let mut entry = || random.between(-(1 << 15), 1 << 15);
        let matrix = Array2::from_shape_simple_fn(size, &mut entry);
        (matrix, Array1::from_shape_simple_fn(size.0, entry))
    };
    linear.map(pair).collect()
}

/// A step of the layer alone, its weights, and a trace of it, all random.
fn traced(layer: &Layer, random: &mut Random) -> (GraphShape, WeightTable, GraphTrace) {
    let shape = shape(layer);
    let weights = weights(layer, &shape, random);
    let table = pack(&shape, &weights).unwrap();
    let lengths = shape.inputs.iter();
    let inputs: Vec<_> = lengths.map(|length| input(random, *length, 8)).collect();
    let trace = evaluate(&shape, &table, &inputs).unwrap();
    (shape, table, trace)
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
        let (shape, table, trace) = traced(&layer, &mut random);
        let output = output(&shape, &trace);
        assert_eq!(output.len(), layer.outputs(), "{name}");

        let mut checked = run(&shape, &trace, &table);
        assert_eq!(checked.rejections(), Vec::<String>::new(), "{layer:?}");
        assert_eq!(
            checked.output.output_digests[0].value(),
            digest(&output, 8),
            "{layer:?}"
        );
        assert_eq!(unpinned(&mut checked), Vec::<String>::new(), "{layer:?}");
    }
}

#[test]
fn repeated_layers_compute_every_inference_for_itself() {
    let mut random = Random::new(12);
    for (name, layer) in samples().filter(|(_, layer)| layer.linear().is_none()) {
        let shape = shape(&layer);
        let table = pack(&shape, &[]).unwrap();
        let repeated = shape.repeated(3);
        repeated.validate().unwrap();
        let mut joined = vec![Vec::new(); shape.inputs.len()];
        let mut expected = Vec::new();
        for _ in 0..3 {
            let inputs: Vec<_> = shape
                .inputs
                .iter()
                .map(|n| input(&mut random, *n, 8))
                .collect();
            for (joined, input) in joined.iter_mut().zip(&inputs) {
                joined.extend(input);
            }
            expected.extend(output(&shape, &evaluate(&shape, &table, &inputs).unwrap()));
        }
        let trace = evaluate(&repeated, &table, &joined).unwrap();
        assert_eq!(output(&repeated, &trace), expected, "{name}");
        assert_eq!(
            run(&repeated, &trace, &table).rejections(),
            Vec::<String>::new()
        );
    }
}

/// The layer alone in a segment of its own: its cost and the rows of its function table.
fn alone(layer: &Layer) -> (LayerCost, Vec<usize>) {
    let mut cs = ShapeSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    let operands: Vec<Vec<_>> = layer
        .operands()
        .iter()
        .enumerate()
        .map(|(k, length)| {
            let alloc = |i| {
                segment
                    .alloc(format!("input {k} {i}"), Fr::from(0))
                    .unwrap()
            };
            (0..*length).map(alloc).collect()
        })
        .collect();
    let operands: Vec<_> = operands.iter().map(Vec::as_slice).collect();
    let wires = layer
        .commit(&layer.dummy_trace(), &operands, &mut segment)
        .unwrap();
    let lookups = segment.close().unwrap();
    let challenges = Challenges {
        output: Wire::constant(Fr::from(5)),
        position: Wire::constant(Fr::from(7)),
    };
    let challenges = layer.needs_challenges().then_some(&challenges);
    layer
        .constrain(&wires, &operands, challenges, &mut cs)
        .unwrap();
    let cost = LayerCost {
        lookups: lookups.len(),
        pairs: lookups.pairs(),
        constraints: cs.rows(),
        terms: layer.cost().terms,
    };
    (cost, lookups.table_rows())
}

#[test]
fn the_declared_cost_of_every_sample_is_the_actual_cost() {
    for (_, layer) in samples() {
        let tables: Vec<_> = layer.table().iter().map(|t| t.entries.len()).collect();
        assert_eq!(alone(&layer), (layer.cost(), tables), "{layer:?}");
    }
}

/// Lookups, pairs, other constraints, and entries of all samples, in the order of the list.
const PINNED: &str = include_str!("counts.txt");

#[test]
fn the_counts_of_all_samples_are_pinned() {
    let row = |(name, layer): (&str, Layer)| {
        let cost = layer.cost();
        let (lookups, pairs, constraints) = (cost.lookups, cost.pairs, cost.constraints);
        format!("{name}: {lookups} {pairs} {constraints} {}", layer.terms())
    };
    let rows: Vec<_> = samples().map(row).collect();
    assert_eq!(rows.join("\n"), PINNED.trim());
}

/// What ties the accumulators of a layer to its inputs.
fn tie(name: &str, output: usize) -> String {
    match name {
        "linear" => "step/products/final check".into(),
        "matrix product" => "step/layer 0/products agree".into(),
        "multiply" => format!("step/layer 0/product {output}"),
        _ => format!("step/layer 0/sum {output}"),
    }
}

#[test]
fn accumulators_of_every_sample_are_tied_to_the_inputs_by_name() {
    let mut random = Random::new(13);
    for (name, layer) in samples() {
        let (shape, table, trace) = traced(&layer, &mut random);
        let outputs = trace.layers[0].requantised.len();
        // The first, some in between and the last.
        let some = (0..outputs).step_by(outputs / 3 + 1);
        for output in some.chain(outputs.checked_sub(1)) {
            // Another accumulator in the same range, split as it should be.
            let mut forged = trace.clone();
            let requantise = layer.clone().requantise_mut().copied().unwrap();
            let parts = &mut forged.layers[0].requantised[output];
            let accumulator = requantise.accumulator(parts);
            let other = accumulator - accumulator.signum().max(0) * 2 + 1;
            *parts = requantise.evaluate(other).unwrap();
            let failed = run(&shape, &forged, &table).rejections();
            assert_eq!(failed, [tie(name, output)], "{layer:?}");
        }
    }
}

/// Entries of all constraints of a layer alone on activations that are forms of three entries each,
/// as those of 16 bits are, without what its function tables have by themselves.
fn entries_alone(layer: &Layer) -> usize {
    let entries = |layer: Option<&Layer>, table: Option<FunctionTable>| {
        let mut cs = MockSystem::<Fr>::default();
        let mut segment = FirstSegment::open(&mut cs);
        table.map(|table| segment.table(&table));
        let alloc = |segment: &mut FirstSegment<'_, Fr, _>, name: String| {
            let [low, high] = [0, 1].map(|limb| {
                let name = format!("input {name} limb {limb}");
                segment.alloc(name, Fr::from(0)).unwrap()
            });
            low.add(&high.scale(Fr::from(256)))
                .add_constant(-Fr::from(77))
        };
        let lengths = layer.map(Layer::operands).unwrap_or_default();
        let operands: Vec<Vec<_>> = lengths
            .into_iter()
            .enumerate()
            .map(|(k, length)| {
                let name = |i| format!("{k} {i}");
                (0..length).map(|i| alloc(&mut segment, name(i))).collect()
            })
            .collect();
        let operands: Vec<_> = operands.iter().map(Vec::as_slice).collect();
        let wires = layer.map(|layer| {
            layer
                .commit(&layer.dummy_trace(), &operands, &mut segment)
                .unwrap()
        });
        let lookups = segment.close().unwrap();
        let mut transcript = TranscriptCircuit::new(&CONSTANTS, Tag::new("entries"));
        transcript.absorb([&Wire::constant(Fr::from(3))]);
        lookups.constrain(&mut cs, &mut transcript).unwrap();
        let mut challenge = |name: &str| cs.wire(|| name.to_string(), Fr::from(5)).unwrap();
        let challenges = Challenges {
            output: challenge("output challenge"),
            position: challenge("position challenge"),
        };
        if let Some((layer, wires)) = layer.zip(wires) {
            let challenges = layer.needs_challenges().then_some(&challenges);
            layer
                .constrain(&wires, &operands, challenges, &mut cs)
                .unwrap();
        }
        cs.entries().map(|(_, entries)| entries).sum::<usize>()
    };
    entries(Some(layer), layer.table()) - entries(None, layer.table())
}

#[test]
fn the_declared_entries_of_every_sample_bound_the_actual_ones() {
    for (_, layer) in samples() {
        let (declared, actual) = (layer.cost().terms, entries_alone(&layer));
        assert!(
            actual <= declared && declared <= 2 * actual,
            "{actual} entries, {declared} declared: {layer:?}"
        );
    }
}

#[test]
fn a_dummy_trace_has_the_lengths_of_a_real_one() {
    for (_, layer) in samples() {
        let shape = shape(&layer);
        let size = foldnet_layers::check::measure(&step(&shape), &CONSTANTS).unwrap();
        let cost = shape.cost();
        assert_eq!(size.lookups, cost.lookups);
        let tables: usize = cost.tables.iter().map(|rows| rows + 1).sum();
        let lookups = cost.lookups + 2 * cost.pairs + tables + 2 * 256 + 1;
        assert_eq!(size.lookup_constraints, lookups);
        assert_eq!(layer.dummy_trace().outputs().len(), layer.outputs());
    }
}

/// Phase one of a layer alone.
fn commit_alone(layer: &Layer, trace: &LayerTrace) -> Result<(), SynthesisError> {
    let mut cs = ShapeSystem::<Fr>::default();
    let mut segment = FirstSegment::open(&mut cs);
    let zeros = |length: usize| vec![FirstWire::constant(Fr::from(0)); length];
    let operands: Vec<Vec<_>> = layer.operands().into_iter().map(zeros).collect();
    let operands: Vec<_> = operands.iter().map(Vec::as_slice).collect();
    layer.commit(trace, &operands, &mut segment).map(|_| ())
}

#[test]
fn a_trace_of_the_wrong_length_is_refused() {
    for (_, layer) in samples() {
        let mut short = layer.dummy_trace();
        short.requantised.pop();
        short.values.pop();
        let mut partial = layer.dummy_trace();
        let traces = match partial.auxiliary.pop() {
            Some(_) => vec![short, partial],
            None => vec![short],
        };
        for trace in traces {
            let error = commit_alone(&layer, &trace).err();
            assert!(error.is_some(), "{layer:?}");
        }
    }
}
