//! `foldnet verify` and `foldnet model-id`.

use super::args::{ModelId, Verify};
use super::batch::input_files;
use super::output::{self, Report, first_values};
use super::private::{self, Blinds, SHOWN_INFERENCES, check_sides, known, read_openings};
use super::progress::TerminalProgress;
use super::prove::quantised;
use super::succinct::{
    TRUSTED_KEY, call, decider, judge_groth16, judge_spartan, run_contract, verifying_key,
};
use super::{Rejected, check_outputs, open_program, shown, warn_if_insecure};
use crate::artefact::{LARGEST_UNASKED_KEY, show_model_id};
use crate::blinds::WeightBlinds;
use crate::error::Error;
use crate::key::KeyCache;
use crate::model::short;
use crate::opening::Opening;
use crate::program::Program;
use crate::proof::Proof;
use crate::session::{Architecture, Committed, Inference, Session};
use crate::visibility::{Shown, Side, Sides};
use anyhow::Context;
use foldnet_gadgets::cycle::Bn254;
use rand_core::OsRng;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A true proof is rejected, too, when it is judged as something that it is not: what that may be.
#[derive(Debug)]
pub(super) struct MixUp {
    /// The proof.
    name: String,
    /// What to compare.
    pub advice: String,
}

impl fmt::Display for MixUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl MixUp {
    /// What may be mixed up about a proof whose sides are shown as asked for.
    fn new(options: &Verify, proof: &Proof) -> Self {
        let model = match (&options.trusted.model, options.private.model()) {
            (None, _) => {
                "that --model-id is the id of this very program, as `foldnet model-id` prints it under \
                 the same keys (with --private model if the prover keeps the model private)"
            }
            (Some(_), false) => {
                "that --model is the very program that was proven, and whether the prover keeps it \
                 private (then say --private model)"
            }
            (Some(_), true) => {
                "that --model is the very program that was proven, and --blinds the blinds that its id \
                 was made with"
            }
        };
        let key = match proof {
            Proof::Groth16(_) => ", and that the verifying key is the one it was made with",
            Proof::Folded(_) | Proof::Spartan(_) => "",
        };
        MixUp {
            name: options.proof.display().to_string(),
            advice: format!(
                "If the proof should be true, compare: {model}; that the file is the proof of this \
                 inference, unaltered{key}."
            ),
        }
    }
}

/// Checks a proof for the model that the caller trusts. What the proof says about itself is used
/// only to rebuild parameters, whose digest the model id binds.
pub(super) fn run(options: &Verify, cache: Option<&Path>) -> anyhow::Result<()> {
    let inputs = [
        Some(options.proof.as_path()),
        options.trusted.model.as_deref(),
        options.input.as_deref(),
    ];
    if options.saturate && options.input.is_none() && options.inputs.is_none() {
        anyhow::bail!("--saturate is about --input or --inputs; give one of them");
    }
    check_outputs(&[options.json.as_deref()], &inputs)?;
    options.private.check(None)?;
    let trusted = options
        .trusted
        .model
        .as_deref()
        .map(open_program)
        .transpose()?;
    let proof = Proof::read(&options.proof)?;
    let contract = options.evm || options.verifying_key.is_some() || options.context.is_some();
    if contract && !matches!(proof, Proof::Groth16(_)) {
        anyhow::bail!(
            "--evm, --context and --verifying-key are for groth16 proofs, and {} is a {} proof; make one with \
             `foldnet prove --proof groth16`",
            options.proof.display(),
            proof.kind()
        );
    }
    match verdict(options, &proof, trusted.as_ref(), cache) {
        Ok(report) => report.print(options.json.as_deref()),
        Err(error) => {
            if super::is_rejection(&error) {
                reject(options);
            }
            Err(error)
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

/// The report on an accepted proof. Errors name the file that they are about.
fn verdict(
    options: &Verify,
    proof: &Proof,
    trusted: Option<&Program>,
    cache: Option<&Path>,
) -> anyhow::Result<Report> {
    let name = || options.proof.display().to_string();
    if trusted.is_some_and(|program| Architecture::from(program.outline()) != *proof.architecture())
    {
        return Err(Rejected(
            "the proof is about a model of another architecture, or the same one compiled with \
             other scales or steps",
        ))
        .with_context(name);
    }
    check_sides(&options.private, proof).with_context(name)?;
    let openings = read_openings(&options.opening, &options.private)?;
    let inputs = given_inputs(options, proof)?;
    let claimed = known(proof, &openings, Side::Input);
    if inputs.is_some() && claimed.is_none() {
        anyhow::bail!(
            "{} shows a commitment in place of its input; compare it with what opens that: --opening \
             FILE",
            options.proof.display()
        );
    }
    // In this order, and no others.
    let is_about = |inputs: &Vec<Vec<i64>>| claimed.iter().flatten().eq(inputs);
    if inputs.as_ref().is_some_and(|inputs| !is_about(inputs)) {
        return Err(Rejected(match options.input {
            Some(_) => "the proof is about another input than the one given",
            None => "the proof is about other inputs than those given, or in another order",
        }))
        .with_context(name);
    }
    let judged = judge(options, (proof, &openings), trusted, cache);
    let mut report = judged.map_err(|error| {
        // A key file at fault has its own name, and the proof has nothing to do with it.
        let about_key = error.downcast_ref().is_some_and(Error::is_about_a_key_file);
        if about_key {
            error
        } else if super::is_rejection(&error) {
            error.context(MixUp::new(options, proof))
        } else {
            error.context(name())
        }
    })?;
    if inputs.is_some() {
        show_compared(options, proof, &mut report);
    }
    Ok(report)
}

/// The inputs that the caller has, rounded with the proof's scale.
///
/// This is the trusted model's scale, too, if the proof is accepted: its architecture is compared
/// with the proof's, and a model id binds the scales.
fn given_inputs(options: &Verify, proof: &Proof) -> anyhow::Result<Option<Vec<Vec<i64>>>> {
    let (files, place) = match (&options.input, &options.inputs) {
        (Some(file), _) => (vec![file.clone()], file),
        (None, Some(directory)) => (input_files(directory)?, directory),
        (None, None) => return Ok(None),
    };
    let Architecture { input, bits, .. } = proof.architecture();
    let values = files
        .iter()
        .map(|file| quantised(file, input, *bits, options.saturate))
        .collect::<anyhow::Result<_>>();
    let values = match options.inputs {
        Some(_) => values.context(
            "the proof is compared with every NAME.json of --inputs; move those that `batch \
             --aggregate` left out",
        )?,
        None => values?,
    };
    let values = proof.architecture().fill_steps(values);
    output::note(format_args!(
        "{}: rounded with the scale {}, from the {}",
        place.display(),
        short(input.scale),
        scale_source(options),
    ));
    Ok(Some(values))
}

/// Where the scale of a comparison comes from.
fn scale_source(options: &Verify) -> &'static str {
    match options.trusted.model {
        Some(_) => "model",
        None => "proof, where the model id binds it",
    }
}

/// Says that the inputs were compared, and how.
fn show_compared(options: &Verify, proof: &Proof, report: &mut Report) {
    let scale = proof.architecture().input.scale;
    let source = scale_source(options);
    let (label, key) = match options.input {
        Some(_) => ("input compared", "input_compared"),
        None => ("inputs compared", "inputs_compared"),
    };
    report.line(
        label,
        format_args!("equal, with the scale {} from the {source}", short(scale)),
    );
    report.value(key, true);
}

/// The keys to verify with. What a proof of unknown origin asks for is bounded; a program that the
/// caller trusts has the proof's architecture.
fn keys<'a>(options: &Verify, cache: Option<&'a Path>) -> KeyCache<'a> {
    let keys = KeyCache::new(cache);
    if options.allow_large_keys || options.trusted.model.is_some() {
        keys
    } else {
        keys.deriving_at_most(LARGEST_UNASKED_KEY)
    }
}

/// Verifies, and reports on what is accepted.
fn judge(
    options: &Verify,
    (proof, openings): (&Proof, &[Opening]),
    trusted: Option<&Program>,
    cache: Option<&Path>,
) -> anyhow::Result<Report> {
    let mut progress = TerminalProgress::new();
    let keys = keys(options, cache);
    let session = Session::<Bn254>::with_keys(proof.architecture(), keys, &mut progress)?;
    warn_if_insecure(&session);
    let blinds = |path: &Path| options.private.blinds(path);
    let blinds = options.trusted.model.as_deref().and_then(blinds);
    let model = match (trusted, options.trusted.model_id) {
        (Some(program), _) => match blinds {
            None => session.commit(program, &mut progress)?.model,
            Some(path) => session.commit_private(program, &path, &mut progress)?.model,
        },
        (None, Some(id)) => id,
        (None, None) => anyhow::bail!("no model to check for; give --model-id or --model"),
    };
    let sides = options.private.sides();
    let mut contract = Report::default();
    let time = match proof {
        Proof::Folded(proof) => timed(|| {
            session.verify(&proof.recursion, model, &proof.inferences)?;
            Ok(())
        })?,
        Proof::Spartan(proof) => timed(|| judge_spartan(&session, (model, sides), proof))?,
        Proof::Groth16(proof) => {
            let shapes = session.shapes()?;
            let inferences = proof.about.inferences.len();
            let decider = decider(&session, &shapes, inferences).hiding(sides);
            let given = options.verifying_key.as_deref();
            let key = verifying_key(&decider, (given, TRUSTED_KEY), cache)?;
            let call = call(&session, (model, &key), &decider, proof)?;
            contract.number("verifying key", "verifying_key", key.identity().to_string());
            if options
                .context
                .is_some_and(|expected| expected != proof.context)
            {
                return Err(Rejected("the proof has another context than the one given").into());
            }
            contract.number("context", "context", show_model_id(&proof.context));
            if options.evm {
                run_contract(&call, proof, &mut contract)?;
            }
            timed(|| judge_groth16(&call, proof))?
        }
    };
    for opening in openings {
        session.check_opening(proof.inferences(), opening)?;
    }
    let mut report = Report::default();
    report.number("verdict", "verdict", "accepted");
    report.number("proof", "proof", proof.kind());
    report.number("model id", "model_id", show_model_id(&model));
    private::report(&options.private, &mut report);
    if let Some(caveat) = about_weights(options) {
        report.text(caveat);
    }
    let claimed = proof.inferences();
    if claimed.len() > 1 {
        report.line("inferences", claimed.len());
    }
    for inference in claimed.iter().take(SHOWN_INFERENCES) {
        show_inference(inference, proof, &mut report);
    }
    if claimed.len() > SHOWN_INFERENCES {
        report.text("the others are in what --json writes");
    }
    let inferences = proof
        .inferences()
        .iter()
        .map(|inference| private::inference_value(proof.architecture(), inference))
        .collect::<Vec<_>>();
    report.value("inferences", inferences);
    report.value("input_scale", proof.architecture().input.scale);
    report.value("output_scale", proof.architecture().output.scale);
    if let ([_], Some([output])) = (claimed, known(proof, openings, Side::Output).as_deref()) {
        report.values(shown::values(proof.architecture(), output));
    }
    private::report_openings(openings, &mut report);
    report.append(contract);
    report.seconds("verified in", "verify_seconds", time);
    Ok(report)
}

/// What is not known of the weights. Of a program that the verifier has everything is; an id does not say
/// whether it is that of a private model.
fn about_weights(options: &Verify) -> Option<&'static str> {
    match (&options.trusted.model, options.private.model()) {
        (Some(_), _) => None,
        (None, true) => Some(
            "the weights are whatever the model id commits to; see the README, Public, private",
        ),
        (None, false) => Some(
            "if the id is that of a private model, the weights are whatever the model id commits to; \
             see the README, Public, private",
        ),
    }
}

/// How long a check took that succeeded.
fn timed(check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let clock = Instant::now();
    check()?;
    Ok(clock.elapsed())
}

/// The integers of an inference and what they stand for.
fn show_inference(inference: &Inference, proof: &Proof, report: &mut Report) {
    let architecture = proof.architecture();
    let hidden = |bytes| format!("private: commitment {}", private::show_commitment(bytes));
    let scale = short(architecture.input.scale);
    match &inference.input {
        Shown::Values(values) => {
            let integers = first_values(values);
            report.line("input", format_args!("{integers}, each times {scale}"));
        }
        Shown::Commitment(bytes) => report.line("input", hidden(bytes)),
    }
    match &inference.output {
        Shown::Values(values) => shown::output(architecture, values, report),
        Shown::Commitment(bytes) => report.line("output", hidden(bytes)),
    }
}

/// Prints the id of a program.
pub(super) fn model_id(options: &ModelId, cache: Option<&Path>) -> anyhow::Result<()> {
    let program = open_program(&options.model)?;
    options.private.check(None)?;
    if options.private.sides() != Sides::PUBLIC {
        anyhow::bail!(
            "a model id does not depend on inputs and outputs; --private model is for it"
        );
    }
    let source = (&program, options.model.as_path());
    let mut progress = TerminalProgress::new();
    let set_up = options
        .private
        .set_up(source, Blinds::Publish, cache, &mut progress);
    let (_, committed) = set_up?;
    let mut report = Report::default();
    report.text(show_model_id(&committed.model));
    report.print(None)
}

/// [`set_up`] for a prover: commitments may come from the cache.
pub(super) fn set_up_cached(
    program: &Program,
    cache: Option<&Path>,
    progress: &mut TerminalProgress,
) -> anyhow::Result<(Session<Bn254>, Committed<Bn254>)> {
    let session = Session::<Bn254>::new(&Architecture::from(program.outline()), cache, progress)?;
    warn_if_insecure(&session);
    let committed =
        session.commit_cached(program, &WeightBlinds::Public, cache, progress, &mut OsRng)?;
    Ok((session, committed))
}

/// Parameters and weight commitments of a program, computed from the weights.
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
