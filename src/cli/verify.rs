//! `foldnet verify` and `foldnet model-id`.

use super::args::{ModelId, Verify};
use super::output::{self, Report};
use super::progress::TerminalProgress;
use super::{Rejected, check_outputs, open_program, warn_if_insecure};
use crate::artefact::{FoldedProof, show_model_id};
use crate::model::quantise::class;
use crate::program::Program;
use crate::session::{Architecture, Committed, Inference, Session};
use foldnet_gadgets::cycle::Bn254;
use std::path::Path;
use std::time::Instant;

/// Most values of a vector that are shown.
const SHOWN: usize = 10;

/// Checks a proof for the model that the caller trusts. What the proof says about itself is used
/// only to rebuild parameters, whose digest the model id binds.
pub(super) fn run(options: &Verify, cache: Option<&Path>) -> anyhow::Result<()> {
    let inputs = [
        Some(options.proof.as_path()),
        options.trusted.model.as_deref(),
    ];
    check_outputs(&[options.json.as_deref()], &inputs)?;
    let trusted = options
        .trusted
        .model
        .as_deref()
        .map(open_program)
        .transpose()?;
    let proof = FoldedProof::read(&options.proof)?;
    match verdict(options, &proof, trusted.as_ref(), cache) {
        Ok(report) => report.print(options.json.as_deref()),
        Err(error) => {
            if super::is_rejection(&error) {
                reject(options);
            }
            Err(error.context(options.proof.display().to_string()))
        }
    }
}

/// Prints the verdict. The exit code says the same, so a failure to print is only noted.
fn reject(options: &Verify) {
    let mut report = Report::default();
    report.number("verdict", "verdict", "rejected");
    if let Err(error) = report.print(options.json.as_deref()) {
        output::error("error", &error);
    }
}

fn verdict(
    options: &Verify,
    proof: &FoldedProof,
    trusted: Option<&Program>,
    cache: Option<&Path>,
) -> anyhow::Result<Report> {
    if trusted.is_some_and(|program| Architecture::from(program.outline()) != proof.architecture) {
        return Err(Rejected(
            "the proof is about a model of another architecture, or the same one compiled with other \
             scales or steps",
        ).into());
    }
    let mut progress = TerminalProgress::new();
    let session = Session::<Bn254>::new(&proof.architecture, cache, &mut progress)?;
    warn_if_insecure(&session);
    let model = match (trusted, options.trusted.model_id) {
        (Some(program), _) => session.commit(program, &mut progress)?.model,
        (None, Some(id)) => id,
        (None, None) => anyhow::bail!("no model to check for; give --model-id or --model"),
    };
    let clock = Instant::now();
    session.verify(&proof.recursion, model, &proof.inferences)?;
    let time = clock.elapsed();
    let mut report = Report::default();
    report.number("verdict", "verdict", "accepted");
    report.number("model id", "model_id", show_model_id(&model));
    for inference in &proof.inferences {
        show_inference(inference, proof, &mut report);
    }
    let inferences = proof
        .inferences
        .iter()
        .map(|i| serde_json::json!(i))
        .collect::<Vec<_>>();
    report.value("inferences", inferences);
    report.number("steps", "steps", proof.recursion.index);
    report.seconds("verified in", "verify_seconds", time);
    Ok(report)
}

/// The integers of an inference and what they stand for.
fn show_inference(inference: &Inference, proof: &FoldedProof, report: &mut Report) {
    let Architecture { input, output, .. } = &proof.architecture;
    report.line("input", shown(&inference.input, input.scale));
    report.line("output", shown(&inference.output, output.scale));
    report.line("prediction", class(&inference.output));
}

fn shown(values: &[i64], scale: f64) -> String {
    let first: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    let rest = if values.len() > SHOWN { ", ..." } else { "" };
    format!(
        "[{}{rest}], {} values, each times {scale:.6}",
        first.join(", "),
        values.len()
    )
}

/// Prints the id of a program.
pub(super) fn model_id(options: &ModelId, cache: Option<&Path>) -> anyhow::Result<()> {
    let program = open_program(&options.model)?;
    let (_, committed) = set_up(&program, cache, &mut TerminalProgress::new())?;
    let mut report = Report::default();
    report.text(show_model_id(&committed.model));
    report.print(None)
}

/// Parameters and weight commitments of a program.
pub(super) fn set_up(
    program: &Program,
    cache: Option<&Path>,
    progress: &mut TerminalProgress,
) -> anyhow::Result<(Session<Bn254>, Committed<Bn254>)> {
    let session = Session::<Bn254>::new(&Architecture::from(program.outline()), cache, progress)?;
    warn_if_insecure(&session);
    let committed = session.commit(program, progress)?;
    Ok((session, committed))
}
