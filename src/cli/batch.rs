//! `foldnet batch`: many inputs of one model, one proof each or one proof for all.
//!
//! Standard output gets one JSON object a line, for every input as soon as it is decided; everything
//! else goes to standard error.

use super::args::Batch;
use super::estimate::{Estimate, Measured};
use super::output::{self, Report};
use super::private::{Blinds, known};
use super::progress::TerminalProgress;
use super::prove::{check_context, constraints, quantised};
use super::runs::{Kept, Prover, check_statement};
use super::succinct::Backend;
use super::{about_program, check_outputs, open_program};
use crate::artefact::{ArtefactError, show_model_id};
use crate::files::{self, Access, FileError, FormatError};
use crate::memory::peak_resident_bytes;
use crate::opening::Opening;
use crate::progress::{Progress, Silent, Stage};
use crate::proof::Proof;
use crate::session::{Architecture, Inference};
use crate::visibility::Side;
use anyhow::Context;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The name of the proof of all inputs.
const AGGREGATE: &str = "aggregate.proof";

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// A proof was made.
    Proven,
    /// There was a proof, which is accepted.
    Kept,
    /// There is no proof.
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Proven => "proven",
            Status::Kept => "kept",
            Status::Failed => "failed",
        }
    }
}

/// The inputs of a directory: its files whose names end in `.json`, in the order of their names.
pub(super) fn input_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = || directory.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(name)? {
        let path = entry.with_context(name)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && path.is_file()
        {
            files.push(path);
        }
    }
    if files.is_empty() {
        anyhow::bail!("{} has no input, no file NAME.json", directory.display());
    }
    files.sort();
    Ok(files)
}

/// The lines about all inputs.
#[derive(Debug, Default)]
struct Summary {
    text: String,
    counts: [usize; 3],
}

impl Summary {
    /// Writes the line of an input.
    fn add(
        &mut self,
        (file, status): (&Path, Status),
        time: Duration,
        more: Map<String, Value>,
    ) -> anyhow::Result<()> {
        let mut line = Map::new();
        line.insert("file".into(), file.display().to_string().into());
        line.insert("status".into(), status.name().into());
        line.insert("seconds".into(), time.as_secs_f64().into());
        line.extend(more);
        let line = Value::Object(line).to_string();
        output::line(&line)?;
        self.text.push_str(&line);
        self.text.push('\n');
        if let Some(count) = self.counts.get_mut(status as usize) {
            *count += 1;
        }
        Ok(())
    }

    /// Writes the line of an input that has no proof.
    fn fail(&mut self, file: &Path, time: Duration, error: &anyhow::Error) -> anyhow::Result<()> {
        let text = output::chain(error);
        output::note(format_args!("error: {text}"));
        let more = [("error".to_owned(), Value::from(text))];
        self.add((file, Status::Failed), time, more.into_iter().collect())
    }

    fn count(&self, status: Status) -> usize {
        self.counts.get(status as usize).copied().unwrap_or(0)
    }

    /// The result of the command: all inputs have proofs.
    fn verdict(&self) -> anyhow::Result<()> {
        let (failed, all) = (
            self.count(Status::Failed),
            self.counts.iter().sum::<usize>(),
        );
        if failed > 0 {
            anyhow::bail!("{failed} of {all} inputs have no proof; their lines say why");
        }
        Ok(())
    }
}

/// A proof that is there.
struct There {
    status: Status,
    bytes: u64,
    /// What it is about.
    inferences: Vec<Inference>,
}

impl There {
    /// What a line says about the proof and one of its inferences.
    fn about(&self, path: &Path, index: usize, architecture: &Architecture) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.into(), value);
        put("proof", path.display().to_string().into());
        put("bytes", self.bytes.into());
        put("output_scale", architecture.output.scale.into());
        let inference = self.inferences.get(index);
        if let Some(output) = inference.and_then(|inference| inference.output.values()) {
            put("prediction", architecture.class(output).into());
        }
        fields
    }
}

/// Proves what a program gives for the inputs of a directory.
pub(super) fn run(options: &Batch, cache: Option<&Path>) -> anyhow::Result<()> {
    check_context(options.proof, options.context.is_some())?;
    if options.keep.checkpoint.is_some() && !options.aggregate {
        anyhow::bail!(
            "--checkpoint is for --aggregate; without it every proof is a run of its own, and those \
             that are there are kept when the command is run again"
        );
    }
    let private = &options.private;
    private.check(Some(options.proof))?;
    let files = input_files(&options.inputs)?;
    let name = || options.output.display().to_string();
    fs::create_dir_all(&options.output).with_context(name)?;
    let aggregate = options.output.join(AGGREGATE);
    let keep = &options.keep;
    let blinds = private.blinds(&options.model);
    let mut inputs = vec![Some(options.model.as_path()), blinds.as_deref()];
    inputs.extend(files.iter().map(|file| Some(file.as_path())));
    check_outputs(
        &[
            Some(&aggregate),
            options.summary.as_deref(),
            options.json.as_deref(),
            keep.checkpoint.as_deref(),
        ],
        &inputs,
    )?;
    // A spent checkpoint is no error when its proof is there.
    let kept = match Kept::open(keep) {
        Err(error) if !aggregate.exists() => return Err(error),
        kept => kept,
    };
    let program = open_program(&options.model)?;
    let outline = program.outline();
    let inferences = if options.aggregate { files.len() } else { 1 };
    let inferences = inferences.next_multiple_of(Architecture::from(outline).batch());
    check_statement(outline, (options.proof, private.sides()), inferences)?;
    let estimate = Estimate::new(outline, options.proof, inferences);
    let proofs = if options.aggregate { 1 } else { files.len() };
    estimate.announce(options.memory, proofs)?;
    let mut progress = TerminalProgress::new();
    let clock = Instant::now();
    let source = (&program, options.model.as_path());
    let (session, committed) = private.set_up(source, Blinds::Prove, cache, &mut progress)?;
    let set_up = clock.elapsed();
    let job = Work {
        options,
        estimate,
        prover: Prover {
            session: &session,
            program: &program,
            committed: &committed,
            backend: Backend::new(&session, cache).hiding(private.sides()),
            kind: options.proof,
            context: options.context.unwrap_or_default(),
        },
    };
    let clock = Instant::now();
    let mut summary = Summary::default();
    let mut report = Report::default();
    report.number("model id", "model_id", show_model_id(&committed.model));
    report.value("output_scale", outline.output.scale);
    constraints(&session, &mut report);
    report.seconds("set-up", "setup_seconds", set_up);
    if options.aggregate {
        job.together(
            &files,
            kept,
            &aggregate,
            (&mut summary, &mut report),
            &mut progress,
        )?;
    } else {
        job.one_by_one(&files, (&mut summary, &mut report), &mut progress)?;
    }
    if let Some(path) = &options.summary {
        files::write_bytes(path, Access::Public, summary.text.as_bytes())?;
    }
    for status in [Status::Proven, Status::Kept, Status::Failed] {
        report.number(status.name(), status.name(), summary.count(status));
    }
    report.seconds("all inputs", "batch_seconds", clock.elapsed());
    if let Some(bytes) = peak_resident_bytes() {
        report.bytes("peak memory", "peak_memory_bytes", bytes);
    }
    report.print_aside(options.json.as_deref())?;
    summary.verdict()
}

/// A batch that is set up.
struct Work<'a> {
    options: &'a Batch,
    /// Of one proof.
    estimate: Estimate,
    prover: Prover<'a>,
}

impl Work<'_> {
    /// One proof for every input.
    fn one_by_one(
        &self,
        files: &[PathBuf],
        (summary, report): (&mut Summary, &mut Report),
        progress: &mut dyn Progress,
    ) -> anyhow::Result<()> {
        let mut runs = Vec::new();
        progress.start(Stage::Inputs, files.len() as u64);
        for (i, file) in files.iter().enumerate() {
            let clock = Instant::now();
            let name = file.with_extension("proof");
            let output = self
                .options
                .output
                .join(name.file_name().unwrap_or_default());
            match self.one(file, &output) {
                Ok((there, measured)) => {
                    runs.extend(measured);
                    let more = there.about(&output, 0, self.prover.session.architecture());
                    summary.add((file, there.status), clock.elapsed(), more)?;
                }
                Err(error) => summary.fail(file, clock.elapsed(), &error)?,
            }
            progress.advance(i as u64 + 1);
        }
        progress.finish();
        if let Some(mean) = Measured::mean(&runs) {
            report.number("fold, mean", "fold_seconds", mean.fold);
            report.number("compress, mean", "compress_seconds", mean.compress);
            self.estimate.compare(&mean, report);
        }
        Ok(())
    }

    /// The proof of one input, made unless there is one; its bytes, and what it took.
    fn one(&self, file: &Path, output: &Path) -> anyhow::Result<(There, Option<Measured>)> {
        let inputs = self.filled(vec![self.input(file)?]);
        if let Some(there) = self.existing(output, &inputs)? {
            return Ok((there, None));
        }
        let made = self
            .prover
            .prove(&inputs, Kept::Nothing, output, &mut Silent);
        let made = made.map_err(about_program(&self.options.model));
        let made = made.with_context(|| file.display().to_string())?;
        let measured = made.measured();
        let there = There {
            status: Status::Proven,
            bytes: made.bytes,
            inferences: made.inferences,
        };
        Ok((there, measured))
    }

    /// One proof for all inputs that can be read.
    fn together(
        &self,
        files: &[PathBuf],
        kept: anyhow::Result<Kept>,
        output: &Path,
        (summary, report): (&mut Summary, &mut Report),
        progress: &mut dyn Progress,
    ) -> anyhow::Result<()> {
        let (mut good, mut inputs) = (Vec::new(), Vec::new());
        for file in files {
            let clock = Instant::now();
            match self.input(file) {
                Ok(input) => {
                    good.push(file);
                    inputs.push(input);
                }
                Err(error) => summary.fail(file, clock.elapsed(), &error)?,
            }
        }
        if inputs.is_empty() {
            anyhow::bail!("no input can be used; their lines say why");
        }
        let inputs = self.filled(inputs);
        if inputs.len() > good.len() {
            report.number("repeated inputs", "repeated", inputs.len() - good.len());
        }
        let clock = Instant::now();
        let there = match self.existing(output, &inputs)? {
            Some(there) => there,
            None => {
                let made = self.prover.prove(&inputs, kept?, output, progress);
                let mut made = made.map_err(about_program(&self.options.model))?;
                let (measured, folded) = (made.measured(), made.folded());
                let there = There {
                    status: Status::Proven,
                    bytes: made.bytes,
                    inferences: std::mem::take(&mut made.inferences),
                };
                made.report(report);
                // Of a run that was continued only a part was measured, of a finished one nothing.
                if folded {
                    self.estimate.compare(&measured.unwrap_or_default(), report);
                }
                there
            }
        };
        report.bytes("proof", "proof_bytes", there.bytes);
        let architecture = self.prover.session.architecture();
        let each = clock.elapsed() / u32::try_from(good.len()).unwrap_or(u32::MAX).max(1);
        for (i, file) in good.into_iter().enumerate() {
            let mut more = there.about(output, i, architecture);
            more.insert("index".into(), i.into());
            summary.add((file, there.status), each, more)?;
        }
        Ok(())
    }

    /// Inputs for whole steps: those given, the last one repeated as often as needed.
    fn filled(&self, inputs: Vec<Vec<i64>>) -> Vec<Vec<i64>> {
        self.prover.session.architecture().fill_steps(inputs)
    }

    /// Reads an input.
    fn input(&self, file: &Path) -> anyhow::Result<Vec<i64>> {
        let outline = self.prover.program.outline();
        let input = quantised(file, &outline.input, outline.bits, self.options.saturate);
        let named = || file.display().to_string();
        self.options.private.conceal(input).with_context(named)
    }

    /// The openings beside a proof, one for each private side; none unless all are there and open it.
    fn openings(&self, path: &Path, proof: &Proof) -> Option<Vec<Opening>> {
        let open = |side| {
            let opening = Opening::read(&Opening::path(path, side)).ok()?;
            let checked = self
                .prover
                .session
                .check_opening(proof.inferences(), &opening);
            (opening.side == side && checked.is_ok()).then_some(opening)
        };
        let sides = self.prover.backend.sides();
        sides.private().map(open).collect()
    }

    /// A proof that is there already, is about these inputs, and is accepted. Any other proof is to be
    /// made again, also one whose openings are lost; a file that is none is not replaced, and neither is
    /// a proof of another kind.
    fn existing(&self, path: &Path, inputs: &[Vec<i64>]) -> anyhow::Result<Option<There>> {
        if !path.exists() {
            return Ok(None);
        }
        let proof = match Proof::read(path) {
            Ok(proof) => proof,
            Err(error) if is_foreign(&error) => {
                let error = anyhow::Error::from(error);
                return Err(error.context(format!(
                    "{} is no proof and is not replaced; move it",
                    path.display()
                )));
            }
            Err(_) => return Ok(None),
        };
        let prover = &self.prover;
        let (is, wanted) = (proof.kind(), prover.kind.name());
        if is != wanted {
            anyhow::bail!(
                "{} is a {is} proof and is not replaced by a {wanted} one; move it, or give another \
                 directory",
                path.display()
            );
        }
        let Some(openings) = self.openings(path, &proof) else {
            return Ok(None);
        };
        let claimed = known(&proof, &openings, Side::Input);
        let same = proof.architecture() == prover.session.architecture()
            && claimed.iter().flatten().eq(inputs);
        let context = match &proof {
            Proof::Groth16(proof) => proof.context == prover.context,
            _ => true,
        };
        let model = prover.committed.model;
        if !same || !context || prover.backend.judge(model, &proof).is_err() {
            return Ok(None);
        }
        Ok(Some(There {
            status: Status::Kept,
            bytes: fs::metadata(path)?.len(),
            inferences: proof.inferences().to_vec(),
        }))
    }
}

/// Whether a file is not one of foldnet's.
fn is_foreign(error: &ArtefactError) -> bool {
    let format = match error {
        ArtefactError::File(FileError::Format { source, .. }) | ArtefactError::Format(source) => {
            source
        }
        _ => return false,
    };
    matches!(
        format,
        FormatError::Foreign { .. } | FormatError::WrongKind { .. }
    )
}
