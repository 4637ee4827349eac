//! Outputs for people and programs: integers, the floats that they stand for, the class that they name.

use super::output::{Report, first_floats, first_values};
use crate::model::short;
use crate::session::Architecture;
use crate::visibility::Shown;
use serde_json::Value;

/// The integers of an output, what they stand for, and the class.
pub(super) fn output(architecture: &Architecture, values: &[i64], report: &mut Report) {
    let scale = architecture.output.scale;
    let integers = first_values(values);
    let each = format_args!("{integers}, each times {}", short(scale)).to_string();
    report.line("output", each);
    report.line("that is", first_floats(values, scale));
    report.line("prediction", class(architecture, values));
}

/// The class, or why there is none.
fn class(architecture: &Architecture, values: &[i64]) -> String {
    match architecture.class(values) {
        Some(class) => class.to_string(),
        None => format!(
            "none, since the output is read as: {}",
            architecture.reading.name()
        ),
    }
}

/// What programs get of an output: the class is null where the output names none.
pub(super) fn values(architecture: &Architecture, output: &[i64]) -> [(&'static str, Value); 2] {
    [
        (
            "output_floats",
            floats(output, architecture.output.scale).into(),
        ),
        ("prediction", architecture.class(output).into()),
    ]
}

/// Integers times their scale.
fn floats(integers: &[i64], scale: f64) -> Vec<f64> {
    integers
        .iter()
        .map(|&integer| integer as f64 * scale)
        .collect()
}

/// What programs get of the outputs of all inferences of a proof.
pub(super) fn of_inference(
    architecture: &Architecture,
    output: &Shown,
) -> Vec<(&'static str, Value)> {
    let shown = output.values().map(|output| values(architecture, output));
    shown.into_iter().flatten().collect()
}
