//! Inputs and calibration samples in the JSON form other provers use.
//!
//! * One input: `{"input_data": [[0.1, 0.2, ...]]}`, one inner list an input tensor, flattened in
//!   row-major order. Models here have one input tensor.
//! * Samples: a list of such objects, or `{"input_data": [[...], [...], ...]}` with one inner list
//!   a sample. A list `labels` of class numbers may stand beside `input_data`.
//!
//! Another key is refused, and so is one that stands twice in an object: what was meant is not known.
//! `labels` beside one input change nothing. Numbers must be finite in float32; a byte order mark before
//! the text is skipped.

use super::error::ModelError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};
use std::fmt;

/// The keys of a file.
const KEYS: [&str; 2] = ["input_data", "labels"];
const KNOWN: &str = "the keys are `input_data` and `labels`";

/// The key of an entry of a list of inputs.
const ENTRY_KEYS: [&str; 1] = ["input_data"];
const KNOWN_OF_ENTRY: &str =
    "an entry of a list has the key `input_data`; `labels` stand beside it in one object for all";

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
    let mut inputs = rows(
        object(&parse(text)?, "the file", (&KEYS, KNOWN))?,
        "the file",
    )?;
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
                let fields = object(entry, &place, (&ENTRY_KEYS, KNOWN_OF_ENTRY))?;
                let mut rows = rows(fields, &place)?;
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
            let fields = object(&value, "the file", (&KEYS, KNOWN))?;
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

impl Samples {
    /// Refuses labels of classes that there are not.
    ///
    /// # Errors
    /// [`ModelError::Label`] for the first one.
    pub fn check_labels(&self, classes: usize) -> Result<(), ModelError> {
        let labels = self.labels.iter().flatten().enumerate();
        match labels.into_iter().find(|(_, label)| **label >= classes) {
            None => Ok(()),
            Some((position, &got)) => Err(ModelError::Label {
                position,
                got,
                classes,
            }),
        }
    }
}

/// Parses JSON; the tokens Python writes for numbers that are not finite get their own error.
fn parse(text: &str) -> Result<Value, ModelError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = serde_json::from_str(text).map(|Unambiguous(value)| value);
    value.map_err(|source| {
        // Any value is read, so that this is about keys.
        if source.classify() == Category::Data {
            let reason = source.to_string();
            return ModelError::JsonTwice { reason };
        }
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

/// An object that has none but some keys.
fn object<'a>(
    value: &'a Value,
    place: &str,
    (keys, known): (&[&str], &'static str),
) -> Result<&'a Map<String, Value>, ModelError> {
    let fields = value.as_object().ok_or_else(|| form(place, "an object"))?;
    match fields.keys().find(|key| !keys.contains(&key.as_str())) {
        // Without inputs that is what is missing, whatever the other key is.
        Some(key) if fields.contains_key("input_data") => Err(ModelError::JsonKey {
            place: place.into(),
            key: key.clone(),
            known,
        }),
        _ => Ok(fields),
    }
}

/// A value in which no object has a key twice. `serde_json` keeps the last of several.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Unambiguous)
    }
}

/// Reads any value.
struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice")));
            }
            let Unambiguous(value) = object.next_value()?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
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
