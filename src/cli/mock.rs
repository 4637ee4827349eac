//! `foldnet mock`: the integer network, and every constraint of every step, without proving.

use super::args::Mock;
use super::output::Report;
use super::prove::quantised;
use super::{Rejected, about_program, check_outputs, open_program, shown};
use crate::program::{Program, ProgramStep};
use crate::session::Architecture;
use anyhow::Context;
use foldnet_gadgets::hash::HashConstants;
use foldnet_layers::check;
use foldnet_layers::graph::{Graph, SaltedTrace};
use halo2curves::bn256::Fr;

/// Failures that are listed.
const LISTED: usize = 10;

/// Evaluates the network on an input and checks the circuit of every step on what it computed.
pub(super) fn run(options: &Mock) -> anyhow::Result<()> {
    check_outputs(
        &[options.json.as_deref()],
        &[Some(&options.model), Some(&options.input)],
    )?;
    let program = open_program(&options.model)?;
    let outline = program.outline();
    let input = quantised(
        &options.input,
        &outline.input,
        outline.bits,
        options.saturate,
    )?;
    let padded = outline.input.pad("input", &input)?;
    let architecture = Architecture::from(outline);
    let batch = architecture.batch();
    let mut report = Report::default();
    let mut live = vec![padded.repeat(batch)];
    let mut failed = Vec::new();
    let mut constraints = 0;
    let constants = HashConstants::<Fr>::default();
    for (index, step) in outline.steps.iter().enumerate() {
        let checked;
        let ran = check_step(&program, index, &live, &constants);
        (live, checked) = ran.map_err(about_program(&options.model))?;
        constraints += checked.0;
        let named = checked.1.iter().map(|path| explain(index, step, path));
        failed.extend(named);
    }
    let mut output = live.concat();
    output.truncate(outline.output.length);
    report.number("steps", "steps", outline.steps.len());
    report.number("constraints checked", "constraints", constraints);
    shown::output(&architecture, &output, &mut report);
    report.values(shown::values(&architecture, &output));
    report.value("output_scale", architecture.output.scale);
    report.value("output", output);
    report.number("failed", "failed", failed.len());
    failed
        .iter()
        .take(LISTED)
        .for_each(|line| report.text(format!("  {line}")));
    report.print(options.json.as_deref())?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Rejected("constraints fail; the program's circuits and its integers disagree").into())
    }
}

/// The live tensors after a step, the number of its constraints, and the paths of those that fail.
type Checked = (Vec<Vec<i64>>, (usize, Vec<String>));

fn check_step(
    program: &Program,
    index: usize,
    live: &[Vec<i64>],
    constants: &HashConstants<Fr>,
) -> anyhow::Result<Checked> {
    let outline = program.outline();
    let kind = outline.steps.get(index).map_or(0, |step| step.kind);
    let shape = outline.kinds.get(kind).context("a step names no kind")?;
    let weights = program.weights(index)?;
    let trace = outline.run_step(index, &weights, live)?;
    let after = trace.outputs(shape);
    let step = Graph::new(shape.clone(), constants.clone())?;
    let salted = SaltedTrace::public(trace, shape.batch);
    let checked = check::run(&step, &salted, Some(&weights), constants)?;
    let failed = checked.rejections();
    Ok((after, (checked.system.constraint_count(), failed)))
}

/// A failing constraint with the layer that it belongs to.
fn explain(index: usize, step: &ProgramStep, path: &str) -> String {
    let layer = path.split('/').find_map(|part| part.strip_prefix("layer "));
    let name = layer.and_then(|layer| step.layers.get(layer.parse::<usize>().ok()?));
    match name {
        Some(name) => format!("step {index}, layer `{name}`: {path}"),
        None => format!("step {index}: {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::program::ProgramStep;

    #[test]
    fn failures_name_the_layer() {
        let step = ProgramStep {
            kind: 0,
            layers: vec!["/Conv".into(), "/Relu".into()],
        };
        let text = explain(2, &step, "step/layer 1/output 4/over only at high");
        assert!(text.starts_with("step 2, layer `/Relu`: "), "{text}");
        assert!(explain(0, &step, "lookups/sums agree").starts_with("step 0: lookups"));
    }
}
