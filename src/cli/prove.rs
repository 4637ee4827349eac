//! `foldnet prove`.

use super::args::{ProofKind, Prove};
use super::estimate::Estimate;
use super::output::{self, Report};
use super::private::{self, Blinds};
use super::progress::TerminalProgress;
use super::runs::{Kept, Prover, check_statement};
use super::succinct::Backend;
use super::{about_program, check_outputs, open_program, read_text, shown};
use crate::artefact::show_model_id;
use crate::memory::peak_resident_bytes;
use crate::model::{OutOfRange, json};
use crate::program::Tensor;
use crate::session::{Architecture, Session, Timing};
use anyhow::Context;
use foldnet_gadgets::cycle::Bn254;
use std::path::Path;
use std::time::Instant;

/// Proves what a program gives for one input.
pub(super) fn run(options: &Prove, cache: Option<&Path>) -> anyhow::Result<()> {
    check_context(options.proof, options.context.is_some())?;
    let (keep, private) = (&options.keep, &options.private);
    private.check(Some(options.proof))?;
    let mut outputs = vec![
        Some(options.output.as_path()),
        options.json.as_deref(),
        keep.checkpoint.as_deref(),
    ];
    let openings = private.openings(&options.output);
    outputs.extend(openings.iter().map(|path| Some(path.as_path())));
    let blinds = private.blinds(&options.model);
    check_outputs(
        &outputs,
        &[
            Some(&options.model),
            Some(&options.input),
            blinds.as_deref(),
        ],
    )?;
    // Before any work: a state that is spent or in use will not be another one later.
    let kept = Kept::open(keep)?;
    let program = open_program(&options.model)?;
    let outline = program.outline();
    let architecture = Architecture::from(outline);
    check_statement(
        outline,
        (options.proof, private.sides()),
        architecture.batch(),
    )?;
    let (path, bits) = (&options.input, outline.bits);
    let input = quantised(path, &outline.input, bits, options.saturate);
    let input = private.conceal(input)?;
    let estimate = Estimate::new(outline, options.proof, 1);
    estimate.announce(options.memory, 1)?;
    let mut progress = TerminalProgress::new();
    let clock = Instant::now();
    let source = (&program, options.model.as_path());
    let (session, committed) = private.set_up(source, Blinds::Prove, cache, &mut progress)?;
    let set_up = clock.elapsed();
    let prover = Prover {
        session: &session,
        program: &program,
        committed: &committed,
        backend: Backend::new(&session, cache).hiding(private.sides()),
        kind: options.proof,
        context: options.context.unwrap_or_default(),
    };
    let inputs = architecture.fill_steps(vec![input]);
    let made = prover.prove(&inputs, kept, &options.output, &mut progress);
    let made = made.map_err(about_program(&options.model))?;

    let mut report = Report::default();
    report.number("model id", "model_id", show_model_id(&committed.model));
    if inputs.len() > 1 {
        report.number("repeated inputs", "repeated", inputs.len() - 1);
    }
    if let Some(inference) = made.inferences.first() {
        // What is private reaches no terminal and no file but the opening.
        if let Some(output) = inference.output.values() {
            shown::output(&architecture, output, &mut report);
            report.values(shown::values(&architecture, output));
        }
        report.value("output", private::value(&inference.output));
        report.value("output_scale", architecture.output.scale);
    }
    private::report_prover(private, &openings, &mut report);
    constraints(&session, &mut report);
    report.seconds("set-up", "setup_seconds", set_up);
    let (bytes, measured, folded) = (made.bytes, made.measured(), made.folded());
    made.report(&mut report);
    sizes(bytes, &mut report);
    // Of a run that was continued only a part was measured, of a finished one nothing.
    if folded {
        estimate.compare(&measured.unwrap_or_default(), &mut report);
    }
    report.print(options.json.as_deref())
}

/// A context is shown by contracts alone.
pub(super) fn check_context(proof: ProofKind, given: bool) -> anyhow::Result<()> {
    if given && proof != ProofKind::Groth16 {
        anyhow::bail!("--context is part of what a contract sees; use it with --proof groth16");
    }
    Ok(())
}

/// Reads an input and rounds it to the integers of `tensor`.
pub(super) fn quantised(
    path: &Path,
    tensor: &Tensor,
    bits: u32,
    saturate: bool,
) -> anyhow::Result<Vec<i64>> {
    let name = || path.display().to_string();
    let text = read_text(path)?;
    let input = json::input(&text, tensor.length).with_context(name)?;
    let (outside, advice) = if saturate {
        (OutOfRange::Saturate, "")
    } else {
        (OutOfRange::Reject, " (--saturate clamps)")
    };
    let quantised = tensor
        .quantise(&input, bits, outside)
        .with_context(|| format!("{}{advice}", path.display()))?;
    if quantised.saturated > 0 {
        let count = quantised.saturated;
        output::note(format_args!(
            "warning: {}: {count} input values were clamped to the range",
            path.display()
        ));
    }
    Ok(quantised.values)
}

/// Constraints of the step circuits.
pub(super) fn constraints(session: &Session<Bn254>, report: &mut Report) {
    let constraints = session.params().constraints();
    let shown: Vec<String> = constraints.iter().map(ToString::to_string).collect();
    report.line(
        "constraints per step",
        format_args!("{} (one a kind)", shown.join(", ")),
    );
    report.value("constraints_per_step", constraints);
}

/// Times of the run.
pub(super) fn times(timing: &Timing, report: &mut Report) {
    report.seconds("witness", "witness_seconds", timing.witness);
    report.seconds("start instances", "start_seconds", timing.start);
    report.seconds("fold", "fold_seconds", timing.fold);
}

/// Size of the proof and peak memory.
pub(super) fn sizes(proof_bytes: u64, report: &mut Report) {
    report.bytes("proof", "proof_bytes", proof_bytes);
    if let Some(bytes) = peak_resident_bytes() {
        report.bytes("peak memory", "peak_memory_bytes", bytes);
    }
}
