//! `foldnet demo`: a handwritten digit, from ONNX to a proof that a contract verifies.

use super::args::Demo;
use super::compile::Compiled;
use super::output::{Report, note};
use super::progress::TerminalProgress;
use super::prove::{constraints, sizes, times};
use super::succinct::{Backend, Run, call, decider, judge_groth16, run_contract};
use super::verify::set_up;
use crate::artefact::show_model_id;
use crate::decider::keys::Groth16Cache;
use crate::error::Error;
use crate::fold::prover::Start;
use crate::model::plan::PlanOptions;
use crate::model::{FloatGraph, OutOfRange, Samples, json};
use crate::proof::Proof;
use anyhow::Context;
use ff::Field;
use halo2curves::bn256::Fr;
use rand_core::OsRng;
use std::path::Path;
use std::time::Instant;

/// The network, made by `train.py` beside it.
const MODEL: &[u8] = include_bytes!("../../examples/digits/mlp.onnx");
/// Digits that scales are calibrated on.
const SAMPLES: &str = include_str!("../../examples/digits/samples.json");
/// Digits and labels that nothing was fitted to.
const HELD_OUT: &str = include_str!("../../examples/digits/heldout.json");

/// Steps have at most `2^13` weights: the least that holds the largest layer, 64 x 64 with biases.
const STEP_VARIABLES: usize = 13;

/// Pixels in a row.
const SIDE: usize = 8;
/// Shades from white to black.
const SHADES: &[u8; 10] = b" .:-=+*#%@";

/// Runs the demonstration.
pub(super) fn run(options: &Demo, cache: Option<&Path>) -> anyhow::Result<()> {
    let float = FloatGraph::from_onnx(MODEL)?;
    let samples = json::samples(SAMPLES, float.input_len())?;
    let held_out = json::samples(HELD_OUT, float.input_len())?;
    // Small steps: the whole network would fit into one, and there would be nothing to fold.
    let plan = PlanOptions {
        max_weight_variables: STEP_VARIABLES,
        ..PlanOptions::default()
    };
    let compiled = Compiled::new(&float, &samples.inputs, &plan)?;
    let (pixels, label) = first(&held_out).context("the built-in digits are empty")?;
    let mut report = Report::default();
    report.text(picture(pixels));

    let mut progress = TerminalProgress::new();
    let clock = Instant::now();
    let (session, committed) = set_up(&compiled.program, cache, &mut progress)?;
    let set_up = clock.elapsed();
    let input = compiled
        .program
        .outline()
        .quantise(pixels, OutOfRange::Saturate)?;
    let start = (&[input.values][..], Start::Masked);
    let program = &compiled.program;
    let (recursion, inferences, timing) =
        session.prove(program, &committed, start, &mut progress, &mut OsRng)?;
    let run = Run {
        session: &session,
        model: committed.model,
        recursion,
        inferences,
    };
    let backend = Backend::new(&session, cache);
    let (proof, [keys, compress]) = backend.groth16(run, Fr::ZERO, &mut progress)?;
    let bytes = proof.write(&options.output)?;
    note(format_args!(
        "proof written to {}",
        options.output.display()
    ));

    // From here on nothing but the file, the model id, the parameters and the verifying key is used.
    let Proof::Groth16(proof) = Proof::read(&options.output)? else {
        anyhow::bail!("the proof that was written is of another kind; this is a defect");
    };
    let shapes = session.shapes()?;
    let decider = decider(&session, &shapes, 1);
    let key = match Groth16Cache::new(&decider, cache).verifying(&decider) {
        Ok(Some(key)) => key,
        Ok(None) => anyhow::bail!("the demonstration keeps keys; give a directory with --cache"),
        Err(error) => return Err(Error::from(error).into()),
    };
    let call = call(&session, (committed.model, &key), &decider, &proof)?;
    let clock = Instant::now();
    judge_groth16(&call, &proof)?;
    let verify = clock.elapsed();
    let mut contract = Report::default();
    run_contract(&call, &proof, &mut contract)?;

    let inference = proof
        .about
        .inferences
        .first()
        .context("the proof has no inference")?;
    report.number("verdict", "verdict", "accepted");
    report.number(
        "prediction",
        "prediction",
        session
            .architecture()
            .class(inference.output.values().unwrap_or_default()),
    );
    report.number("label", "label", label);
    report.number("model id", "model_id", show_model_id(&committed.model));
    compiled.report(&mut report);
    compiled.accuracy(&float, &held_out, &mut report)?;
    constraints(&session, &mut report);
    report.seconds("set-up", "setup_seconds", set_up);
    times(&timing, &mut report);
    report.seconds("groth16 keys", "groth16_keys_seconds", keys);
    report.seconds("groth16", "groth16_seconds", compress);
    report.seconds("verify", "verify_seconds", verify);
    sizes(bytes, &mut report);
    report.append(contract);
    report.print(options.json.as_deref())
}

/// The first digit and its label.
fn first(samples: &Samples) -> Option<(&[f32], usize)> {
    let label = *samples.labels.as_ref()?.first()?;
    Some((samples.inputs.first()?, label))
}

/// Pixels between 0 and 1 as characters, two a pixel.
fn picture(pixels: &[f32]) -> String {
    let shade = |pixel: &f32| {
        let level = (pixel.clamp(0.0, 1.0) * (SHADES.len() - 1) as f32).round() as usize;
        char::from(SHADES.get(level).copied().unwrap_or(b' '))
    };
    let row = |row: &[f32]| {
        row.iter()
            .map(shade)
            .flat_map(|c| [c, c])
            .collect::<String>()
    };
    let rows: Vec<String> = pixels.chunks(SIDE).map(row).collect();
    rows.iter()
        .map(|row| row.trim_end())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_characters() {
        let mut pixels = [0.0; 2 * SIDE];
        (pixels[1], pixels[SIDE]) = (1.0, 0.5);
        assert_eq!(picture(&pixels), "  @@\n++");
    }
}
