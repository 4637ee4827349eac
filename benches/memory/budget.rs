//! The budget file, and what is compared with it.

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The budget, as `budget.json` has it. A megabyte is a million bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Threads of every process: each has buffers of its own.
    pub threads: usize,
    /// Processes for a point, whose median counts.
    pub runs: usize,
    /// Random networks of different depths.
    pub depths: Depths,
    /// Networks of `benches/peers`.
    pub networks: Vec<Network>,
}

/// Networks of equal layers whose steps are of the same kinds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depths {
    /// Inputs and outputs of every layer.
    pub width: usize,
    /// The most variables of a step's weights.
    pub step_variables: usize,
    /// How far the last point may exceed the first, in percent.
    pub growth_percent: f64,
    /// The networks, in order of their depth.
    pub points: Vec<Depth>,
}

/// A random network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depth {
    /// Its layers.
    pub layers: usize,
    /// The most memory that proving may take.
    pub megabytes: f64,
}

/// A network of `benches/peers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The name of its files.
    pub name: String,
    /// The kind of proof.
    pub proof: String,
    /// The most memory that proving may take.
    pub megabytes: f64,
}

impl Budget {
    /// Reads the file that is compiled in.
    ///
    /// # Errors
    /// When it is no budget, or one that nothing could fail.
    pub fn load() -> anyhow::Result<Self> {
        let budget: Self = serde_json::from_str(include_str!("budget.json"))
            .context("benches/memory/budget.json")?;
        ensure!(
            budget.threads > 0 && budget.runs > 0,
            "threads and runs are at least 1"
        );
        let points = &budget.depths.points;
        let rising = points
            .windows(2)
            .all(|pair| pair[0].layers < pair[1].layers);
        ensure!(points.len() > 1 && rising, "two depths or more, in order");
        Ok(budget)
    }
}

/// A line of the result: what was measured against what is allowed.
#[derive(Debug)]
pub struct Line {
    /// What was measured.
    pub point: String,
    /// The outcome, or why there is none.
    pub measured: Result<f64, String>,
    /// The budget.
    pub budget: f64,
    /// The unit of both.
    pub unit: &'static str,
}

impl Line {
    /// Whether it was measured and is within the budget.
    pub fn holds(&self) -> bool {
        self.measured.as_ref().is_ok_and(|got| *got <= self.budget)
    }

    /// Prints the line.
    pub fn print(&self) {
        let Line {
            point,
            budget,
            unit,
            ..
        } = self;
        let verdict = if self.holds() { "" } else { "  EXCEEDED" };
        match &self.measured {
            Ok(got) => {
                let ratio = got / budget;
                println!(
                    "{point:28} {got:10.2} {unit:3} {budget:10.2} {unit:3} {ratio:7.2}{verdict}"
                );
            }
            Err(reason) => println!("{point:28} FAILED: {reason}"),
        }
    }
}

/// The heading of the lines.
pub fn print_heading() {
    println!(
        "{:28} {:>14} {:>14} {:>7}",
        "point", "measured", "budget", "ratio"
    );
}
