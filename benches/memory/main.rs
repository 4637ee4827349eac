//! Peak memory of `foldnet prove` against `budget.json`: a fresh process for every measurement.
//!
//! `cargo bench --bench memory -- [FOLDER]` prints a line for every point and fails when one exceeds
//! its budget. FOLDER, or `FOLDNET_PEERS`, is where `benches/peers/make.py` wrote its networks;
//! without it only random networks are measured. `cargo test --benches` checks the budget file alone.

mod budget;
mod command;

use anyhow::Context;
use budget::{Budget, Depths, Line, Network, print_heading};
use command::{Run, Scratch};
use foldnet::model::plan::{CostModel, OnceModel, PlanOptions};
use foldnet::model::random;
use foldnet::program::Program;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let budget = Budget::load()?;
    let (flags, rest): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    // Cargo says so when it is to be measured, and not only tested.
    if !flags.iter().any(|flag| flag == "--bench") {
        return Ok(ExitCode::SUCCESS);
    }
    let given = rest.first().map(PathBuf::from);
    let folder = given.or_else(|| std::env::var_os("FOLDNET_PEERS").map(PathBuf::from));
    print_heading();
    let mut hold = depths(&budget)?;
    match folder {
        Some(folder) => {
            for network in &budget.networks {
                let measured =
                    peer(&budget, network, &folder).map_err(|error| format!("{error:#}"));
                hold &= show(
                    format!("{}, {}", network.name, network.proof),
                    measured,
                    network.megabytes,
                );
            }
        }
        None => println!("networks of benches/peers: not given, not measured"),
    }
    Ok(if hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the line of a peak; whether it holds.
fn show(point: String, measured: Result<f64, String>, budget: f64) -> bool {
    let line = Line {
        point,
        measured,
        budget,
        unit: "MB",
    };
    line.print();
    line.holds()
}

/// Measures the random networks; whether all are within the budget, and memory does not grow: neither
/// what processes take, nor what they hold.
fn depths(budget: &Budget) -> anyhow::Result<bool> {
    let mut scratch = Scratch::new(budget.threads)?;
    let depths = &budget.depths;
    let mut hold = true;
    let mut runs = Vec::with_capacity(depths.points.len());
    for point in &depths.points {
        let run = depth(&scratch, budget.runs, depths, point.layers);
        let run = run.map_err(|error| format!("{error:#}"));
        let measured = run.as_ref().map(|run| run.megabytes).map_err(String::clone);
        let name = format!("{} layers x {}", point.layers, depths.width);
        hold &= show(name, measured, point.megabytes);
        runs.extend(run);
    }
    hold &= show_growth("growth", growth(&runs, depths.points.len()), depths);
    scratch.return_freed_memory();
    let ends = [depths.points.first(), depths.points.last()]
        .into_iter()
        .flatten();
    let held: anyhow::Result<Vec<Run>> = ends
        .map(|point| depth(&scratch, budget.runs, depths, point.layers))
        .collect();
    let held = held.map_err(|error| format!("{error:#}"));
    hold &= show_growth(
        "growth of what is held",
        held.and_then(|runs| growth(&runs, 2)),
        depths,
    );
    Ok(hold)
}

/// Prints how memory grows from the first point to the last; whether that is within the budget.
fn show_growth(point: &str, measured: Result<f64, String>, depths: &Depths) -> bool {
    let line = Line {
        point: point.into(),
        measured,
        budget: depths.growth_percent,
        unit: "%",
    };
    line.print();
    line.holds()
}

/// How many percent the last run took more than the first. Only runs of equal kinds can be compared.
fn growth(runs: &[Run], expected: usize) -> Result<f64, String> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return Err("nothing was measured".into());
    };
    if runs.len() != expected {
        return Err("a point is missing".into());
    }
    match runs.iter().find(|run| run.constraints != first.constraints) {
        Some(run) => Err(format!(
            "steps of different kinds, {} and {} constraints: choose other depths",
            first.constraints, run.constraints
        )),
        None => Ok(100.0 * (last.megabytes / first.megabytes - 1.0)),
    }
}

/// Proves a random network. The last step is a kind of its own with the layers that are left, so that
/// depths of equal remainder have equal kinds.
fn depth(scratch: &Scratch, runs: usize, depths: &Depths, layers: usize) -> anyhow::Result<Run> {
    let options = PlanOptions {
        max_weight_variables: depths.step_variables,
        // The fewest steps, however few there are; of these the smallest kinds: full steps, and what is
        // left.
        cost: CostModel {
            fold_step: 1e3,
            fold_entry: 0.0,
            start: OnceModel {
                base: 0.0,
                constraint: 1e-4,
                point: 0.0,
            },
            ..CostModel::folding()
        },
        ..PlanOptions::default()
    };
    let network = random::network(layers, depths.width, 7)?;
    let program = Program::new("deep", &network, &options)?;
    let (path, input) = (scratch.path("deep.fold"), scratch.path("input.json"));
    program.write(&path)?;
    let values = random::input(depths.width, &mut ChaCha20Rng::seed_from_u64(11));
    let scale = program.outline().input.scale;
    let values: Vec<f64> = values.iter().map(|value| *value as f64 * scale).collect();
    let text = serde_json::json!({ "input_data": [values] }).to_string();
    std::fs::write(&input, text).context("the input is not written")?;
    scratch.median(runs, &path, &input, "folded")
}

/// Compiles and proves a network of `benches/peers`.
fn peer(budget: &Budget, network: &Network, folder: &Path) -> anyhow::Result<f64> {
    let scratch = Scratch::new(budget.threads)?;
    let file = |end: &str| folder.join(format!("{}.{end}", network.name));
    let program = scratch.path("model.fold");
    let (model, samples, input) = (file("onnx"), file("samples.json"), file("input.json"));
    let arguments = [
        model.as_os_str(),
        "--samples".as_ref(),
        samples.as_os_str(),
        "--output".as_ref(),
        program.as_os_str(),
    ];
    scratch.run("compile", &arguments)?;
    Ok(scratch
        .median(budget.runs, &program, &input, &network.proof)?
        .megabytes)
}
