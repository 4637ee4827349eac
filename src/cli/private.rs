//! `--private`: what the statement shows, and the files that go with what it does not show.

use super::args::{Hidden, Private, ProofKind};
use super::output::{self, Report, first_values};
use super::progress::TerminalProgress;
use super::verify::{set_up, set_up_cached};
use super::{Rejected, shown, warn_if_insecure};
use crate::artefact::show_model_id;
use crate::error::Error;
use crate::model::ModelError;
use crate::opening::Opening;
use crate::program::Program;
use crate::proof::Proof;
use crate::session::{Architecture, Committed, Inference, Session};
use crate::visibility::{Shown, Side, Sides, Visibility};
use foldnet_gadgets::cycle::Bn254;
use foldnet_gadgets::field::from_bytes;
use halo2curves::bn256::Fr;
use rand_core::OsRng;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Most inferences that are shown.
pub(super) const SHOWN_INFERENCES: usize = 3;

/// What a command does about the blinds of a private model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blinds {
    /// A prover: draws them when there are none yet, and takes commitments from the cache.
    Prove,
    /// Draws them when there are none yet, and commits to the weights.
    Publish,
    /// Commits to the weights with those that are there.
    Check,
}

impl Private {
    fn hides(&self, what: Hidden) -> bool {
        self.private.contains(&what)
    }

    /// What statements show.
    pub(super) fn sides(&self) -> Sides {
        let visibility = |what| match self.hides(what) {
            true => Visibility::Private,
            false => Visibility::Public,
        };
        Sides {
            input: visibility(Hidden::Input),
            output: visibility(Hidden::Output),
        }
    }

    /// Whether the model is private.
    pub(super) fn model(&self) -> bool {
        self.hides(Hidden::Model)
    }

    /// Refuses what contradicts itself, and kinds of proof that hide nothing.
    pub(super) fn check(&self, proof: Option<ProofKind>) -> anyhow::Result<()> {
        if self.blinds.is_some() && !self.model() {
            anyhow::bail!("--blinds is about a private model; say --private model, too");
        }
        if !self.private.is_empty() && proof == Some(ProofKind::Folded) {
            anyhow::bail!(
                "a folded proof hides nothing: it holds all activations; use --proof spartan or \
                 --proof groth16 with --private"
            );
        }
        Ok(())
    }

    /// An input without its values in an error, if it is private.
    pub(super) fn conceal(&self, input: anyhow::Result<Vec<i64>>) -> anyhow::Result<Vec<i64>> {
        let error = match input {
            Err(error) if self.hides(Hidden::Input) => error,
            result => return result,
        };
        let model = match error.downcast_ref::<Error>() {
            Some(Error::Model(model)) => Some(model),
            _ => error.downcast_ref::<ModelError>(),
        };
        if let Some(
            ModelError::OutsideRange { index, .. }
            | ModelError::InputInteger { index, .. }
            | ModelError::InputIndex { index, .. },
        ) = model
        {
            anyhow::bail!(
                "input value {index} is outside the calibrated range or no integer where tokens are \
                 expected, and not shown since it is private; calibrate with such inputs, or clamp \
                 with --saturate"
            );
        }
        Err(error)
    }

    /// The file with the blinds of a program, if it is private.
    pub(super) fn blinds(&self, model: &Path) -> Option<PathBuf> {
        let path = || model.with_extension("blinds");
        let path = self.blinds.clone().unwrap_or_else(path);
        self.model().then_some(path)
    }

    /// The files that openings of a proof are written into.
    pub(super) fn openings(&self, proof: &Path) -> Vec<PathBuf> {
        let path = |side| Opening::path(proof, side);
        self.sides().private().map(path).collect()
    }

    /// Parameters and weight commitments of a program, with its blinds if it is private.
    pub(super) fn set_up(
        &self,
        (program, model): (&Program, &Path),
        what: Blinds,
        cache: Option<&Path>,
        progress: &mut TerminalProgress,
    ) -> anyhow::Result<(Session<Bn254>, Committed<Bn254>)> {
        let Some(path) = self.blinds(model) else {
            return match what {
                Blinds::Prove => set_up_cached(program, cache, progress),
                Blinds::Publish | Blinds::Check => set_up(program, cache, progress),
            };
        };
        let architecture = Architecture::from(program.outline());
        let session = Session::<Bn254>::new(&architecture, cache, progress)?;
        warn_if_insecure(&session);
        let committed = if what != Blinds::Check && path.symlink_metadata().is_err() {
            let committed = session.publish(program, &path, progress, &mut OsRng)?;
            output::note(format_args!(
                "{}: new blinds; whoever has them can test guesses of the weights, and without them \
                 nothing can be proven for this model id any more",
                path.display()
            ));
            committed
        } else if what == Blinds::Prove {
            session.commit_private_cached(program, &path, cache, progress, &mut OsRng)?
        } else {
            session.commit_private(program, &path, progress)?
        };
        Ok((session, committed))
    }
}

/// Rejects a proof that shows something else than the verifier asked for.
pub(super) fn check_sides(options: &Private, proof: &Proof) -> anyhow::Result<()> {
    let sides = options.sides();
    for inference in proof.inferences() {
        for side in Side::ALL {
            let message = match (side, sides.of(side), inference.side(side).visibility()) {
                (_, asked, shown) if asked == shown => continue,
                (Side::Input, Visibility::Public, _) => {
                    "the proof shows a commitment in place of the input; accept that with --private \
                     input, or ask for a proof of a public input"
                }
                (Side::Output, Visibility::Public, _) => {
                    "the proof shows a commitment in place of the output; accept that with --private \
                     output, or ask for a proof of a public output"
                }
                (Side::Input, Visibility::Private, _) => {
                    "the proof shows its input, where --private input asks for a commitment"
                }
                (Side::Output, Visibility::Private, _) => {
                    "the proof shows its output, where --private output asks for a commitment"
                }
            };
            return Err(Rejected(message).into());
        }
    }
    Ok(())
}

/// Reads openings, at most one a side, and only of sides that are private.
pub(super) fn read_openings(paths: &[PathBuf], options: &Private) -> anyhow::Result<Vec<Opening>> {
    let mut openings: Vec<Opening> = Vec::new();
    for path in paths {
        let opening = Opening::read(path)?;
        let (side, name) = (opening.side, opening.side.name());
        if !options.sides().of(side).is_private() {
            anyhow::bail!(
                "{} opens a private {name}; say --private {name}, too",
                path.display()
            );
        }
        if openings.iter().any(|other| other.side == side) {
            anyhow::bail!(
                "{} is a second opening of the {name}; give one",
                path.display()
            );
        }
        openings.push(opening);
    }
    Ok(openings)
}

/// The activations of a side that a proof shows, or that an opening says it is about.
pub(super) fn known<'a>(
    proof: &'a Proof,
    openings: &'a [Opening],
    side: Side,
) -> Option<Vec<&'a [i64]>> {
    if let Some(opening) = openings.iter().find(|opening| opening.side == side) {
        let values = opening
            .tensors
            .iter()
            .map(|opened| opened.values.as_slice());
        return Some(values.collect());
    }
    let shown = proof.inferences().iter();
    shown.map(|i| i.side(side).values()).collect()
}

/// A commitment as text.
pub(super) fn show_commitment(bytes: &[u8; 32]) -> String {
    // What is shown was accepted, and is a field element then.
    show_model_id(&from_bytes::<Fr>(bytes).unwrap_or_default())
}

/// What a statement shows, for programs.
pub(super) fn value(shown: &Shown) -> Value {
    match shown {
        Shown::Values(values) => json!(values),
        Shown::Commitment(bytes) => json!({ "commitment": show_commitment(bytes) }),
    }
}

/// An inference, for programs.
pub(super) fn inference_value(architecture: &Architecture, inference: &Inference) -> Value {
    let sides = [("input", &inference.input), ("output", &inference.output)];
    let sides = sides.map(|(name, side)| (name, value(side)));
    let output = shown::of_inference(architecture, &inference.output);
    let fields = sides.into_iter().chain(output);
    let fields = fields.map(|(key, value)| (key.to_owned(), value));
    Value::Object(fields.collect())
}

/// What is private about a proof that was made, and where it can be found.
pub(super) fn report_prover(options: &Private, openings: &[PathBuf], report: &mut Report) {
    self::report(options, report);
    for path in openings {
        report.line("opening", path.display());
    }
}

/// What is private about a proof.
pub(super) fn report(options: &Private, report: &mut Report) {
    let names = [Hidden::Input, Hidden::Output, Hidden::Model];
    let names = names.into_iter().filter(|what| options.hides(*what));
    let names: Vec<&str> = names.map(Hidden::name).collect();
    if !names.is_empty() {
        report.line("private", names.join(", "));
    }
    report.value("private", names);
}

/// The activations that openings show, for people and programs.
pub(super) fn report_openings(openings: &[Opening], report: &mut Report) {
    for opening in openings {
        let name = opening.side.name();
        let values: Vec<&Vec<i64>> = opening.tensors.iter().map(|o| &o.values).collect();
        for values in values.iter().take(SHOWN_INFERENCES) {
            report.line(&format!("{name} opened"), first_values(values));
        }
        if values.len() > SHOWN_INFERENCES {
            report.text("the others are in what --json writes");
        }
        report.value(&format!("{name}_opened"), json!(values));
    }
}
