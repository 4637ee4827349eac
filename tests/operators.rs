//! The importer on ONNX's own backend tests (tests/vectors/onnx_nodes), one model at a time.

use foldnet::model::{FloatGraph, FloatReference, ModelError, QuantiseOptions, Quantised};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Bounds of an operator's error in units of its largest output, at 8 and at 12 bits.
const NARROW: f64 = 0.04;
const COARSE: f64 = 0.07;
const WIDE: f64 = 0.006;

/// The rows of `index.json`.
#[derive(Deserialize)]
struct Index {
    rtol: f64,
    atol: f64,
    vectors: Vec<Vector>,
}

/// A model with one input, and what it gives.
#[derive(Deserialize)]
struct Vector {
    name: String,
    form: String,
    flat: bool,
    leading_one: bool,
    integer_input: bool,
    operators: Vec<String>,
    model: Piece,
    input: Tensor,
    output: Tensor,
}

#[derive(Deserialize)]
struct Piece {
    offset: usize,
    length: usize,
}

#[derive(Deserialize)]
struct Tensor {
    r#type: String,
    shape: Vec<usize>,
    offset: usize,
}

impl Tensor {
    /// The values as float64; all types here are exact in it.
    fn values(&self, data: &[u8]) -> Vec<f64> {
        let count: usize = self.shape.iter().product();
        let bytes = |size: usize| data[self.offset..][..count * size].chunks(size);
        match self.r#type.as_str() {
            "float32" => bytes(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            "int64" => bytes(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                .collect(),
            "int32" => bytes(4)
                .map(|b| i32::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            "uint8" => bytes(1).map(|b| b[0].into()).collect(),
            "int8" => bytes(1).map(|b| (b[0] as i8).into()).collect(),
            "uint16" => bytes(2)
                .map(|b| u16::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            "int16" => bytes(2)
                .map(|b| i16::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            other => panic!("type {other}"),
        }
    }
}

impl Vector {
    fn title(&self) -> String {
        let flat = if self.flat { " flat" } else { "" };
        format!("{} ({}{flat})", self.name, self.form)
    }
}

fn vectors() -> (Index, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/onnx_nodes");
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let data = std::fs::read(folder.join("vectors.bin")).unwrap();
    (serde_json::from_str(&index).unwrap(), data)
}

/// The largest difference in units of what ONNX's runner allows.
fn difference(index: &Index, ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let pairs = ours.iter().zip(theirs);
    pairs
        .map(|(a, b)| (a - b).abs() / (index.atol + index.rtol * b.abs()))
        .fold(0.0, f64::max)
}

#[test]
fn float_vectors_are_read_and_agree() {
    let (index, data) = vectors();
    let mut refused = BTreeMap::new();
    let mut table: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in &index.vectors {
        if !vector.leading_one || vector.integer_input {
            continue;
        }
        let model = &data[vector.model.offset..][..vector.model.length];
        let operator = vector.operators.first().map_or("", String::as_str);
        let counts = table.entry(operator).or_default();
        match FloatGraph::from_onnx(model) {
            Ok(graph) => {
                let input: Vec<f32> = vector
                    .input
                    .values(&data)
                    .iter()
                    .map(|&x| x as f32)
                    .collect();
                let ours = graph.evaluate(&input).unwrap();
                let theirs = vector.output.values(&data);
                assert_eq!(ours.len(), theirs.len(), "{}", vector.title());
                let difference = difference(&index, &ours, &theirs);
                if difference > 1.0 {
                    wrong.push(format!("{}: {difference}", vector.title()));
                }
                counts[0] += 1;
            }
            Err(ModelError::NoLayers) => counts[0] += 1,
            Err(error) => {
                counts[1] += 1;
                refused.insert(vector.title(), error.to_string());
            }
        }
    }
    for (operator, [read, refused]) in &table {
        println!("{operator:24} {read:4} read {refused:4} refused");
    }
    for (title, error) in &refused {
        println!("refused {title}: {error}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Random inputs, where tract can run the model.
#[test]
fn float_vectors_agree_with_tract() {
    let (index, data) = vectors();
    let mut random = ChaCha20Rng::seed_from_u64(7);
    let (mut compared, mut not_run) = (0, BTreeMap::new());
    for vector in &index.vectors {
        // tract leaves the factor of Swish out.
        let swish = vector.operators.iter().any(|operator| operator == "Swish");
        if !vector.leading_one || vector.integer_input || swish {
            continue;
        }
        let model = &data[vector.model.offset..][..vector.model.length];
        let Ok(graph) = FloatGraph::from_onnx(model) else {
            continue;
        };
        let reference = match FloatReference::from_onnx(model) {
            Ok(reference) => reference,
            Err(error) => {
                not_run.insert(vector.title(), error.to_string());
                continue;
            }
        };
        for _ in 0..5 {
            let input: Vec<f32> = (0..graph.input_len())
                .map(|_| (random.next_u32() >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
                .collect();
            let ours = graph.evaluate(&input).unwrap();
            match reference.evaluate(&input) {
                Ok(theirs) => {
                    assert_eq!(ours.len(), theirs.len(), "{}", vector.title());
                    for (a, &b) in ours.iter().zip(&theirs) {
                        // float32 rounding of sums of at most some hundred terms.
                        let bound = 1e-4 * f64::from(b).abs().max(1.0);
                        let error = (a - f64::from(b)).abs();
                        assert!(error <= bound, "{}: {a} {b}", vector.title());
                    }
                    compared += 1;
                }
                Err(error) => {
                    not_run.insert(vector.title(), error.to_string());
                }
            }
        }
    }
    for (title, error) in &not_run {
        println!("not run {title}: {error}");
    }
    println!(
        "{compared} comparisons, {} models that tract does not run",
        not_run.len()
    );
    assert!(compared > 500);
}

/// Operators of models that are quantised already, as floats: rounding included.
#[test]
fn quantised_vectors_agree() {
    let (index, data) = vectors();
    let (mut compared, mut refused) = (0, Vec::new());
    for vector in index
        .vectors
        .iter()
        .filter(|v| v.form == "qdq" && v.leading_one)
    {
        let model = &data[vector.model.offset..][..vector.model.length];
        let input: Vec<f32> = vector
            .input
            .values(&data)
            .iter()
            .map(|&x| x as f32)
            .collect();
        let graph = match FloatGraph::from_onnx(model) {
            Ok(graph) => graph,
            Err(ModelError::NoLayers) => continue,
            Err(error) => {
                refused.push(format!("{}: {error}", vector.title()));
                continue;
            }
        };
        let ours = graph.evaluate(&input).unwrap();
        let theirs = vector.output.values(&data);
        let difference = difference(&index, &ours, &theirs);
        assert!(difference <= 1.0, "{}: {difference}", vector.title());
        compared += 1;
        let bits = graph.least_bits();
        if bits > 16 {
            refused.push(format!("{}: {bits} bits", vector.title()));
            continue;
        }
        let options = QuantiseOptions {
            bits,
            ..QuantiseOptions::default()
        };
        match Quantised::new(&graph, std::slice::from_ref(&input), &options) {
            Ok(quantised) => {
                let integers = quantised.input(&input).unwrap().values;
                let output = quantised
                    .graph
                    .evaluator()
                    .unwrap()
                    .output(&integers)
                    .unwrap();
                let scale = quantised.graph.output_scale();
                for (integer, float) in output.iter().zip(&theirs) {
                    let error = (*integer as f64 - float / scale).abs();
                    // float32 rounding of the expected values.
                    assert!(
                        error < 1e-2,
                        "{}: {integer} {}",
                        vector.title(),
                        float / scale
                    );
                }
            }
            Err(error) => refused.push(format!("{}: {error}", vector.title())),
        }
    }
    println!("{compared} compared");
    refused.iter().for_each(|line| println!("refused {line}"));
    assert!(compared >= 5);
}

/// Files of the same network, one with operators of the domain com.microsoft.
#[test]
fn contributed_operators_are_those_of_the_default_domain() {
    let mut random = ChaCha20Rng::seed_from_u64(11);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (theirs, plain) in [
        ("contrib_gelu", "default_gelu"),
        ("optional_qoperator", "optional_qdq"),
    ] {
        let open = |name: &str| FloatGraph::open(folder.join(format!("{name}.onnx"))).unwrap();
        let (graph, plain) = (open(theirs), open(plain));
        assert_eq!(graph.least_bits(), plain.least_bits(), "{theirs}");
        for _ in 0..100 {
            let input: Vec<f32> = (0..graph.input_len())
                .map(|_| (random.next_u32() >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
                .collect();
            let (ours, expected) = (graph.evaluate(&input), plain.evaluate(&input));
            let (ours, expected) = (ours.unwrap(), expected.unwrap());
            for (a, b) in ours.iter().zip(&expected) {
                // The bias of one of the files is rounded to float32.
                assert!((a - b).abs() < 1e-6, "{theirs}: {ours:?} {expected:?}");
            }
        }
    }
}

/// Every vector in integers, calibrated on its own input: the largest error in units of the largest
/// output, by operator.
#[test]
fn integers_follow_the_vectors() {
    let (index, data) = vectors();
    let mut worst: BTreeMap<&str, (usize, [f64; 2], String)> = BTreeMap::new();
    let mut refused = Vec::new();
    for vector in &index.vectors {
        if !vector.leading_one || vector.integer_input || vector.form == "qdq" {
            continue;
        }
        // Its inputs reach 10,003 and differ by 1, which is less than a step of 8 or 12 bits.
        if vector.name == "test_softmax_large_number" {
            continue;
        }
        let model = &data[vector.model.offset..][..vector.model.length];
        let Ok(graph) = FloatGraph::from_onnx(model) else {
            continue;
        };
        let input: Vec<f32> = vector
            .input
            .values(&data)
            .iter()
            .map(|&x| x as f32)
            .collect();
        let theirs = vector.output.values(&data);
        let largest = theirs.iter().fold(0.0f64, |most, y| most.max(y.abs()));
        let operator = vector.operators.first().map_or("", String::as_str);
        for (place, bits) in [8, 12].into_iter().enumerate() {
            let options = QuantiseOptions {
                bits,
                ..QuantiseOptions::default()
            };
            let quantised = match Quantised::new(&graph, std::slice::from_ref(&input), &options) {
                Ok(quantised) => quantised,
                Err(error) => {
                    refused.push(format!("{} at {bits} bits: {error}", vector.title()));
                    continue;
                }
            };
            let integers = quantised.input(&input).unwrap().values;
            let output = quantised
                .graph
                .evaluator()
                .unwrap()
                .output(&integers)
                .unwrap();
            let scale = quantised.graph.output_scale();
            let errors = output.iter().zip(&theirs);
            let error = errors
                .map(|(&q, y)| (q as f64 * scale - y).abs() / largest)
                .fold(0.0, f64::max);
            let entry = worst
                .entry(operator)
                .or_insert((0, [0.0; 2], String::new()));
            entry.0 += usize::from(place == 0);
            if error > entry.1[place] {
                entry.1[place] = error;
                if place == 0 {
                    entry.2 = vector.title();
                }
            }
        }
    }
    for (operator, (count, [narrow, wide], title)) in &worst {
        println!("{operator:20} {count:3} {narrow:8.5} {wide:8.5} {title}");
    }
    refused.iter().for_each(|line| println!("refused {line}"));
    for (operator, (_, [narrow, wide], title)) in &worst {
        // Probabilities have one scale for the largest there can be, so small ones are coarse.
        let narrow_bound = if *operator == "Softmax" {
            COARSE
        } else {
            NARROW
        };
        assert!(
            *narrow <= narrow_bound && *wide <= WIDE,
            "{operator}: {title}"
        );
    }
}
