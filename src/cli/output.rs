//! Where text goes: results to standard output, everything else to standard error.

use crate::files::{self, Access};
use crate::model::short;
use anyhow::Context;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Width of the labels.
const LABEL: usize = 22;

/// Most values of a tensor that are shown.
const SHOWN: usize = 16;

/// The results of a command: lines for people, and the same numbers for programs.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<String>,
    values: Map<String, Value>,
}

impl Report {
    /// A line without a value.
    pub fn text(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// A labelled line.
    pub fn line(&mut self, label: &str, shown: impl Display) {
        self.lines.push(format!("{label:LABEL$}{shown}"));
    }

    /// A value for programs only.
    pub fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.into(), value.into());
    }

    /// Values for programs only.
    pub fn values<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, Value)>) {
        let owned = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        self.values.extend(owned);
    }

    /// A labelled line whose value programs get, too.
    pub fn number(&mut self, label: &str, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match &value {
            Value::String(text) => self.line(label, text),
            other => self.line(label, other),
        }
        self.value(key, value);
    }

    /// The lines and values of another report, after those of this one.
    pub fn append(&mut self, other: Report) {
        self.lines.extend(other.lines);
        self.values.extend(other.values);
    }

    /// A duration; programs get seconds.
    pub fn seconds(&mut self, label: &str, key: &str, duration: Duration) {
        self.line(label, format_args!("{:.2} s", duration.as_secs_f64()));
        self.value(key, duration.as_secs_f64());
    }

    /// A size; programs get bytes.
    pub fn bytes(&mut self, label: &str, key: &str, bytes: u64) {
        self.line(label, size(bytes));
        self.value(key, bytes);
    }

    /// Writes the JSON file, if one is wanted, then the lines to standard output.
    ///
    /// # Errors
    /// When either cannot be written, a closed pipe included: a verdict that nobody could read must
    /// not look like one.
    pub fn print(&self, json: Option<&Path>) -> anyhow::Result<()> {
        self.write(json)?;
        let mut output = io::stdout().lock();
        self.lines
            .iter()
            .try_for_each(|line| writeln!(output, "{line}"))
            .and_then(|()| output.flush())
            .context("cannot write the result to standard output; the exit code is no verdict")
    }

    /// Writes the JSON file, if one is wanted, and the lines to standard error, for commands whose
    /// standard output is something else.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn print_aside(&self, json: Option<&Path>) -> anyhow::Result<()> {
        self.write(json)?;
        self.lines.iter().for_each(note);
        Ok(())
    }

    fn write(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let Some(path) = json else {
            return Ok(());
        };
        let mut text = serde_json::to_vec_pretty(&self.values)?;
        text.push(b'\n');
        Ok(files::write_bytes(path, Access::Public, &text)?)
    }
}

/// A line on standard output.
///
/// # Errors
/// When it cannot be written.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")
        .and_then(|()| output.flush())
        .context("cannot write to standard output")
}

/// The first values of a tensor for people, and how many there are when these are not all.
pub fn first_values(values: &[i64]) -> String {
    let first: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    if values.len() > SHOWN {
        format!("[{}, ...], {} values", first.join(", "), values.len())
    } else {
        format!("[{}]", first.join(", "))
    }
}

/// The first floats of integers with a scale.
pub fn first_floats(values: &[i64], scale: f64) -> String {
    let float = |&value: &i64| short(value as f64 * scale);
    let first: Vec<String> = values.iter().take(SHOWN).map(float).collect();
    let more = if values.len() > SHOWN { ", ..." } else { "" };
    format!("[{}{more}]", first.join(", "))
}

/// A number of things: `1 step`, `2 steps`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A float in a table of five decimals, or six digits where that would be too wide.
pub fn cell(value: f64) -> String {
    if value.abs() < 1e4 {
        format!("{value:.5}")
    } else {
        short(value)
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1.0 {
        format!("{bytes} bytes")
    } else {
        format!("{mebibytes:.1} MiB")
    }
}

/// A line on standard error. A closed standard error is no reason to stop.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An error with all its causes, on standard error.
pub fn error(label: &str, error: &anyhow::Error) {
    note(format_args!("{label}: {}", chain(error)));
}

/// The causes of an error, joined; one that repeats what its cause says is left out.
pub fn chain(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let mut text = String::new();
    for (i, cause) in causes.iter().enumerate() {
        let next = causes.get(i + 1);
        if next.is_some_and(|next| next.contains(cause.as_str())) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(cause);
        if next.is_some_and(|next| cause.contains(next.as_str())) {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_not_repeated() {
        let inner = anyhow::anyhow!("file `x`: broken");
        assert_eq!(
            chain(&inner.context("while reading")),
            "while reading: file `x`: broken"
        );
        let inner = anyhow::anyhow!("broken");
        assert_eq!(
            chain(&inner.context("x: broken; make it again")),
            "x: broken; make it again"
        );
    }

    #[test]
    fn names_are_not_repeated() {
        let inner = anyhow::anyhow!("cannot use x");
        assert_eq!(chain(&inner.context("x")), "cannot use x");
    }

    #[test]
    fn numbers_are_short_and_tables_keep_their_width() {
        assert_eq!(cell(2.904_760_671_495_446e28), "2.90476e28");
        assert_eq!(cell(0.25), "0.25000");
        assert_eq!(
            (count(1, "step"), count(2, "step")),
            ("1 step".into(), "2 steps".into())
        );
        assert_eq!(first_floats(&[1, -2], 1.0 / 127.0), "[0.00787, -0.01575]");
        assert!(first_floats(&[1; 17], 1.0).ends_with("1, ...]"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size(1000), "1000 bytes");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
