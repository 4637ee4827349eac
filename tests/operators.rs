//! The importer on ONNX's own backend tests (tests/vectors/onnx_nodes), one model at a time.

mod document;

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

/// The operators of exports of the networks that are meant to be proven.
const ASKED_FOR: &str = "Conv ConvTranspose MaxPool AveragePool GlobalAveragePool BatchNormalization Add \
    Sub Mul Concat Slice Pad Transpose Reshape Flatten Squeeze Unsqueeze Clip Relu LeakyRelu HardSwish \
    Sigmoid Tanh Gelu Swish Softmax ReduceMean ReduceSum ArgMax Gemm MatMul LayerNormalization Gather";

/// Names that operators have elsewhere.
const ALSO: [(&str, &str); 3] = [
    ("Clip", "Relu6"),
    ("Swish", "Silu"),
    ("Gather", "Embedding"),
];

/// What no width of activations in use represents.
const NOT_REPRESENTABLE: [(&str, &str); 1] = [(
    "test_softmax_large_number",
    "its inputs reach 10,003 and differ by 1, which is less than a step of 8 or 12 bits",
)];

/// What became of a vector.
enum Outcome {
    /// Its output is its input: there is no layer.
    Nothing,
    /// The largest error at 8 and at 12 bits, in units of the largest output.
    Follows([f64; 2]),
    /// Already quantised, and taken exactly.
    Exact,
    Refused(String),
}

/// Quantises for one input and returns the integer outputs with their scale.
fn integers(graph: &FloatGraph, input: &[f32], bits: u32) -> Result<(Vec<i64>, f64), ModelError> {
    let options = QuantiseOptions {
        bits,
        ..QuantiseOptions::default()
    };
    let quantised = Quantised::new(graph, &[input.to_vec()], &options)?;
    let integers = quantised.input(input)?.values;
    let output = quantised.graph.evaluator()?.output(&integers).unwrap();
    Ok((output, quantised.graph.output_scale()))
}

/// Quantises a vector calibrated on its own input.
fn outcome(vector: &Vector, data: &[u8]) -> Result<Outcome, ModelError> {
    let model = &data[vector.model.offset..][..vector.model.length];
    let graph = FloatGraph::from_onnx(model)?;
    let input: Vec<f32> = vector
        .input
        .values(data)
        .iter()
        .map(|&x| x as f32)
        .collect();
    let theirs = vector.output.values(data);
    let largest = theirs
        .iter()
        .fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()));
    if vector.form == "qdq" {
        let (output, scale) = integers(&graph, &input, graph.least_bits())?;
        let pairs = output.iter().zip(&theirs);
        // float32 rounding of the expected values.
        let exact = |(q, y): (&i64, &f64)| (*q as f64 - y / scale).abs() < 1e-2;
        assert!(pairs.map(exact).all(|exact| exact), "{}", vector.title());
        return Ok(Outcome::Exact);
    }
    let mut errors = [0.0; 2];
    for (error, bits) in errors.iter_mut().zip([8, 12]) {
        let (output, scale) = integers(&graph, &input, bits)?;
        assert_eq!(output.len(), theirs.len(), "{}", vector.title());
        let pairs = output.iter().zip(&theirs);
        *error = pairs
            .map(|(&q, y)| (q as f64 * scale - y).abs() / largest)
            .fold(0.0, f64::max);
    }
    Ok(Outcome::Follows(errors))
}

/// A row of the document.
#[derive(Default)]
struct Row {
    vectors: usize,
    follow: usize,
    exact: usize,
    nothing: usize,
    refused: usize,
    errors: [f64; 2],
}

impl Row {
    fn line(&self, operator: &str) -> String {
        let also = ALSO.iter().find(|(name, _)| *name == operator);
        let name = also.map_or_else(
            || operator.into(),
            |(_, also)| format!("{operator} ({also})"),
        );
        let [narrow, wide] = self.errors;
        let errors = match (self.follow, self.exact) {
            (0, 0) => "- | -".into(),
            (0, _) => "exact | exact".into(),
            _ => format!("{:.1} % | {:.2} %", 100.0 * narrow, 100.0 * wide),
        };
        let Row {
            vectors,
            follow,
            exact,
            nothing,
            refused,
            ..
        } = self;
        let passed = follow + exact;
        format!("| {name} | {vectors} | {passed} | {nothing} | {refused} | {errors} |\n")
    }
}

/// A reason without the name of the node.
fn reason(message: &str) -> String {
    let behind = |rest: &str| rest.split_once("`: ").map(|(_, reason)| reason.to_owned());
    let node = message.strip_prefix("node `").and_then(behind);
    node.unwrap_or_else(|| message.into()).replace('|', "\\|")
}

/// Every vector in integers, calibrated on its own input: it stays within the bound, or is refused for a
/// reason, as the document says.
#[test]
fn the_document_says_what_becomes_of_every_vector() {
    let (index, data) = vectors();
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut reasons: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    let batches = index.vectors.iter().filter(|vector| vector.leading_one);
    for vector in batches.clone() {
        let mut operators = vector.operators.iter().map(String::as_str);
        let first = operators.clone().next().unwrap_or_default();
        let operator = operators.find(|name| *name != "Constant").unwrap_or(first);
        let row = rows.entry(operator).or_default();
        row.vectors += 1;
        let given = NOT_REPRESENTABLE
            .iter()
            .find(|(name, _)| *name == vector.name);
        let outcome = match given {
            Some((_, reason)) => Outcome::Refused((*reason).into()),
            None => match outcome(vector, &data) {
                Ok(outcome) => outcome,
                Err(ModelError::NoLayers) => Outcome::Nothing,
                Err(error) => Outcome::Refused(reason(&error.to_string())),
            },
        };
        match outcome {
            Outcome::Nothing => row.nothing += 1,
            Outcome::Exact => row.exact += 1,
            Outcome::Follows(errors) => {
                row.follow += 1;
                // Probabilities have one scale for the largest there can be, so small ones are coarse.
                let narrow = if operator == "Softmax" {
                    COARSE
                } else {
                    NARROW
                };
                let within = errors[0] <= narrow && errors[1] <= WIDE;
                assert!(within, "{}: {errors:?}", vector.title());
                for (most, error) in row.errors.iter_mut().zip(errors) {
                    *most = most.max(error);
                }
            }
            Outcome::Refused(reason) => {
                row.refused += 1;
                let title = format!("`{}`", vector.title());
                reasons.entry((operator, reason)).or_default().push(title);
            }
        }
    }
    let missing: Vec<&str> = ASKED_FOR
        .split_whitespace()
        .filter(|operator| !rows.contains_key(operator))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let of = |count: fn(&Row) -> usize| rows.values().map(count).sum::<usize>();
    let mut text = format!(
        "{} vectors: {} pass, {} have nothing to prove, {} are refused.\n\n\
         | operator | vectors | pass | nothing to prove | refused | largest error at 8 bits | at 12 bits |\n\
         |---|---|---|---|---|---|---|\n",
        batches.count(),
        of(|row| row.follow + row.exact),
        of(|row| row.nothing),
        of(|row| row.refused),
    );
    let asked: Vec<&str> = ASKED_FOR.split_whitespace().collect();
    let others = rows.keys().copied().filter(|name| !asked.contains(name));
    for operator in asked.iter().copied().chain(others) {
        text += &rows[operator].line(operator);
    }
    text += "\n| refused | reason | vectors |\n|---|---|---|\n";
    for ((operator, reason), titles) in &reasons {
        text += &format!("| {operator} | {reason} | {} |\n", titles.join(", "));
    }
    document::compare("operators", &text);
}
