//! Inputs and calibration samples in the JSON form other provers use.
//!
//! * One input: `{"input_data": [[0.1, 0.2, ...]]}`, one inner list an input tensor, flattened in
//!   row-major order. Models here have one input tensor.
//! * Samples: a list of such objects, or `{"input_data": [[...], [...], ...]}` with one inner list
//!   a sample. A list `labels` of class numbers may stand beside `input_data`.
//!
//! Other keys are ignored. Numbers must be finite in float32.

use super::error::ModelError;
use serde_json::{Map, Value};

/// Inputs with optional labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// The inputs, each flattened in row-major order; not empty.
    pub inputs: Vec<Vec<f32>>,
    /// The class of every input, when the file gives them.
    pub labels: Option<Vec<usize>>,
}

/// Reads one input of `len` values.
///
/// # Errors
/// Text that is not JSON or of another form, numbers that are not finite, and wrong lengths.
pub fn input(text: &str, len: usize) -> Result<Vec<f32>, ModelError> {
    let mut inputs = rows(object(&parse(text)?, "the file")?, "the file")?;
    check_lengths(&inputs, len)?;
    match (inputs.len(), inputs.pop()) {
        (1, Some(input)) => Ok(input),
        (got, _) => Err(ModelError::InputCount { got }),
    }
}

/// Reads samples of `len` values each.
///
/// # Errors
/// Those of [`input`], and files without samples or with another number of labels.
pub fn samples(text: &str, len: usize) -> Result<Samples, ModelError> {
    let samples = match parse(text)? {
        Value::Array(entries) => {
            let mut inputs = Vec::with_capacity(entries.len());
            for (position, entry) in entries.iter().enumerate() {
                let place = format!("entry {position}");
                let mut rows = rows(object(entry, &place)?, &place)?;
                match (rows.len(), rows.pop()) {
                    (1, Some(row)) => inputs.push(row),
                    (got, _) => return Err(ModelError::InputCount { got }),
                }
            }
            Samples {
                inputs,
                labels: None,
            }
        }
        value => {
            let fields = object(&value, "the file")?;
            Samples {
                inputs: rows(fields, "the file")?,
                labels: labels(fields)?,
            }
        }
    };
    check_lengths(&samples.inputs, len)?;
    if samples.inputs.is_empty() {
        return Err(ModelError::NoSamples);
    }
    match &samples.labels {
        Some(labels) if labels.len() != samples.inputs.len() => Err(ModelError::Labels {
            samples: samples.inputs.len(),
            labels: labels.len(),
        }),
        _ => Ok(samples),
    }
}

/// Parses JSON; the tokens Python writes for numbers that are not finite get their own error.
fn parse(text: &str) -> Result<Value, ModelError> {
    serde_json::from_str(text).map_err(|source| {
        let line = text
            .lines()
            .nth(source.line().saturating_sub(1))
            .unwrap_or("");
        // The column counts bytes up to the offending one, which is inside the token.
        let from = source.column().saturating_sub("-Infinity".len());
        let rest: Vec<u8> = line
            .bytes()
            .skip(from)
            .take(2 * "-Infinity".len())
            .collect();
        let rest = String::from_utf8_lossy(&rest);
        match ["NaN", "Infinity"]
            .into_iter()
            .find(|token| rest.contains(token))
        {
            Some(token) => ModelError::JsonNumber {
                place: format!("line {} column {}", source.line(), source.column()),
                got: token.into(),
            },
            None => ModelError::Json { source },
        }
    })
}

fn form(place: &str, expected: &'static str) -> ModelError {
    ModelError::JsonForm {
        place: place.into(),
        expected,
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, ModelError> {
    value.as_object().ok_or_else(|| form(place, "an object"))
}

/// The inner lists of `input_data`.
fn rows(fields: &Map<String, Value>, place: &str) -> Result<Vec<Vec<f32>>, ModelError> {
    let data = fields
        .get("input_data")
        .ok_or_else(|| form(place, "the key `input_data`"))?;
    let rows = data
        .as_array()
        .ok_or_else(|| form(place, "a list under `input_data`"))?;
    rows.iter()
        .enumerate()
        .map(|(i, row)| numbers(row, &format!("{place}, list {i}")))
        .collect()
}

fn numbers(row: &Value, place: &str) -> Result<Vec<f32>, ModelError> {
    let row = row
        .as_array()
        .ok_or_else(|| form(place, "a list of numbers"))?;
    let number = |(i, value): (usize, &Value)| {
        let place = || format!("{place}, value {i}");
        let number = value.as_f64().ok_or_else(|| form(&place(), "a number"))?;
        let single = number as f32;
        if single.is_finite() {
            return Ok(single);
        }
        Err(ModelError::JsonNumber {
            place: place(),
            got: number.to_string(),
        })
    };
    row.iter().enumerate().map(number).collect()
}

fn labels(fields: &Map<String, Value>) -> Result<Option<Vec<usize>>, ModelError> {
    let Some(value) = fields.get("labels") else {
        return Ok(None);
    };
    let wrong = || form("`labels`", "a list of class numbers");
    let list = value.as_array().ok_or_else(wrong)?;
    let class = |v: &Value| {
        v.as_u64()
            .and_then(|v| usize::try_from(v).ok())
            .ok_or_else(wrong)
    };
    list.iter().map(class).collect::<Result<_, _>>().map(Some)
}

fn check_lengths(inputs: &[Vec<f32>], expected: usize) -> Result<(), ModelError> {
    for (sample, input) in inputs.iter().enumerate() {
        if input.len() != expected {
            return Err(ModelError::InputLength {
                sample,
                expected,
                got: input.len(),
            });
        }
    }
    Ok(())
}
