//! Runs to their proofs, with or without a checkpoint.

use super::args::{Keep, ProofKind};
use super::estimate::Measured;
use super::output::{self, Report};
use super::prove::times;
use super::succinct::{Backend, Run};
use crate::artefact::{self, FoldedProof};
use crate::checkpoint::{Checkpoint, CheckpointError, Found, Goal, Interval, Opened};
use crate::decider::statement::StatementShape;
use crate::error::Error;
use crate::files::{self, Access, hex};
use crate::fold::prover::Start;
use crate::opening::Opening;
use crate::program::{Outline, Program};
use crate::progress::Progress;
use crate::proof::Proof;
use crate::run::{Job, RunState};
use crate::session::{Architecture, Committed, Inference, Session, Timing};
use crate::visibility::Sides;
use anyhow::Context;
use foldnet_gadgets::cycle::Bn254;
use halo2curves::bn256::Fr;
use rand_core::OsRng;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds between two checkpoints when nothing else is asked for.
const CHECKPOINT_SECONDS: u64 = 60;

/// Most statement elements that a contract takes, without the context.
pub(super) const CONTRACT_ELEMENTS: usize = 1_023;

/// Refuses statements that no verifier takes.
pub(super) fn check_statement(
    outline: &Outline,
    (kind, sides): (ProofKind, Sides),
    inferences: usize,
) -> anyhow::Result<()> {
    let architecture = Architecture::from(outline);
    let shape = StatementShape::new(&architecture, 1).hiding(sides);
    let each = shape.elements();
    let (most, advice) = match kind {
        ProofKind::Groth16 => (
            CONTRACT_ELEMENTS / each.max(1),
            "a contract takes no more; make spartan proofs, or several",
        ),
        _ => (artefact::most_inferences(&architecture), "make several"),
    };
    if inferences > most {
        let kind = kind.name();
        anyhow::bail!(
            "at most {most} inferences of this model fit into a {kind} proof, not {inferences}: \
             {advice}"
        );
    }
    Ok(())
}

/// The checkpoint of a run that has not begun.
#[derive(Debug)]
pub(super) enum Kept {
    /// None is wanted.
    Nothing,
    /// One that is to be made.
    New(PathBuf, Interval),
    /// One that is to be continued.
    Old(Box<Opened<Bn254>>, Interval),
}

impl Kept {
    /// Opens what is to be continued; refuses to replace what is not.
    pub(super) fn open(options: &Keep) -> anyhow::Result<Self> {
        let Some(path) = &options.checkpoint else {
            return Ok(Kept::Nothing);
        };
        let time = match (options.checkpoint_seconds, options.checkpoint_every) {
            (None, Some(_)) => None,
            (seconds, _) => Some(Duration::from_secs(seconds.unwrap_or(CHECKPOINT_SECONDS))),
        };
        let interval = Interval {
            steps: options.checkpoint_every,
            time,
        };
        let exists = path.symlink_metadata().is_ok();
        if exists && options.resume {
            let opened = Opened::open(path).map_err(Error::from)?;
            return Ok(Kept::Old(Box::new(opened), interval));
        }
        if exists {
            let path = path.clone();
            return Err(Error::from(CheckpointError::Exists { path }).into());
        }
        if options.resume {
            let path = path.display();
            output::note(format_args!("{path}: no checkpoint yet, starting the run"));
        }
        Ok(Kept::New(path.clone(), interval))
    }
}

/// Everything that making proofs of one model takes beside the inputs.
#[derive(Debug)]
pub(super) struct Prover<'a> {
    /// Parameters.
    pub session: &'a Session<Bn254>,
    /// The program.
    pub program: &'a Program,
    /// Its commitments.
    pub committed: &'a Committed<Bn254>,
    /// What succinct proofs need.
    pub backend: Backend<'a>,
    /// The kind of proof to make.
    pub kind: ProofKind,
    /// The context of a groth16 proof.
    pub context: Fr,
}

/// A proof that is written, and what it took.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// What it claims.
    pub inferences: Vec<Inference>,
    /// Its bytes.
    pub bytes: u64,
    /// Times of folding in this process.
    timing: Timing,
    /// Steps of the run; none when the proof was found finished.
    steps: Option<u64>,
    /// The step that was continued from.
    resumed: Option<u64>,
    /// Saving states.
    checkpoints: Option<(u64, Duration)>,
    /// What making the proof of the finished run says.
    compress: Report,
    /// How long that took, without keys.
    compress_time: Duration,
}

impl Made {
    /// What is compared with a prediction; nothing when only a part of the run was done here.
    pub(super) fn measured(&self) -> Option<Measured> {
        if self.resumed.is_some() || self.steps.is_none() {
            return None;
        }
        Some(Measured {
            fold: self.timing.fold.as_secs_f64(),
            compress: match self.compress_time {
                Duration::ZERO => 0.0,
                time => (self.timing.start + time).as_secs_f64(),
            },
            proof: self.bytes,
        })
    }

    /// Whether steps were folded here, and not a finished proof found.
    pub(super) fn folded(&self) -> bool {
        self.steps.is_some()
    }

    /// What the run took.
    pub(super) fn report(self, report: &mut Report) {
        match self.steps {
            Some(steps) => report.number("steps", "steps", steps),
            None => report.text("the proof was finished; it was only written"),
        }
        if let Some(step) = self.resumed {
            report.number("continued from step", "resumed_step", step);
        }
        times(&self.timing, report);
        if let Some((count, time)) = self.checkpoints {
            report.number("checkpoints", "checkpoints", count);
            report.seconds("saving them", "checkpoint_seconds", time);
        }
        report.append(self.compress);
    }
}

/// The checkpoint of a run under way, which may fail without harm.
struct Watch<'a> {
    checkpoint: Option<&'a mut Checkpoint<Bn254>>,
    saved: u64,
    time: Duration,
}

impl Watch<'_> {
    /// Saves a state if it is time.
    fn see(&mut self, state: &RunState<Bn254>, last: bool) {
        let index = state.recursion.index;
        let Some(checkpoint) = self.checkpoint.as_deref_mut() else {
            return;
        };
        if !checkpoint.is_due(index) && (!last || checkpoint.is_at(index)) {
            return;
        }
        let clock = Instant::now();
        match checkpoint.save(state) {
            Ok(()) => self.saved += 1,
            Err(error) => warn("the run goes on, and the last checkpoint is kept", error),
        }
        self.time += clock.elapsed();
    }
}

/// Says that something failed that the run does not depend on.
fn warn(consequence: impl Display, error: CheckpointError) {
    output::error("warning", &anyhow::Error::from(error));
    output::note(format_args!("warning: {consequence}"));
}

impl Prover<'_> {
    /// Proves what the program gives for the inputs, and writes the proof.
    pub(super) fn prove(
        &self,
        inputs: &[Vec<i64>],
        kept: Kept,
        output: &Path,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<Made> {
        let job = Job {
            session: self.session,
            program: self.program,
            committed: self.committed,
            inputs,
        };
        let goal = Goal {
            proof: self.kind.name(),
            context: self.context,
            sides: self.backend.sides(),
        };
        let (mut checkpoint, found) = match kept {
            Kept::Nothing => (None, Found::Start),
            Kept::New(path, interval) => {
                let made = Checkpoint::create(&path, &job, &goal, interval, &mut OsRng);
                (Some(made.map_err(Error::from)?), Found::Start)
            }
            Kept::Old(opened, interval) => {
                let (checkpoint, found) =
                    opened.resume(&job, &goal, interval).map_err(Error::from)?;
                (Some(checkpoint), found)
            }
        };
        let mut made = Made::default();
        let clock = Instant::now();
        let mut state = match found {
            Found::Proof(bytes) => return self.write_found(checkpoint, &bytes, output),
            Found::State(state) => {
                made.resumed = Some(state.recursion.index);
                *state
            }
            Found::Start => self.begin(inputs)?,
        };
        made.timing.start = clock.elapsed();
        let mut watch = Watch {
            checkpoint: checkpoint.as_mut(),
            saved: 0,
            time: Duration::ZERO,
        };
        let last = job.steps();
        let mut see = |state: &RunState<Bn254>| {
            watch.see(state, state.recursion.index == last);
        };
        job.fold(&mut state, &mut made.timing, progress, &mut see, &mut OsRng)?;
        made.steps = Some(last);
        if watch.checkpoint.is_some() {
            made.checkpoints = Some((watch.saved, watch.time));
        }
        made.inferences = state.inferences(self.session, inputs)?;
        let openings = state.openings(inputs)?;
        let run = Run {
            session: self.session,
            model: self.committed.model,
            recursion: state.recursion,
            inferences: made.inferences.clone(),
        };
        made.bytes = match self.kind {
            ProofKind::Folded => self.write_folded(run, checkpoint, output)?,
            ProofKind::Spartan | ProofKind::Groth16 => {
                let (bytes, time) = self.compress(run, &mut made.compress, progress)?;
                made.compress_time = time;
                // Before the state is spent: with it the salts are lost.
                for opening in openings {
                    opening.write(&Opening::path(output, opening.side))?;
                }
                self.publish(checkpoint, &bytes, output)?
            }
        };
        Ok(made)
    }

    /// The state before the first step: masked, unless the proof hides nothing anyway.
    fn begin(&self, inputs: &[Vec<i64>]) -> anyhow::Result<RunState<Bn254>> {
        let (session, model) = (self.session, self.committed.model);
        let sides = self.backend.sides();
        let private = sides != Sides::PUBLIC || self.committed.blinds.is_private();
        let run = match self.kind {
            ProofKind::Folded if private => return Err(Error::Unmasked.into()),
            ProofKind::Folded => RunState::begin(session, model, inputs, Start::Public, &mut OsRng),
            ProofKind::Spartan | ProofKind::Groth16 => {
                RunState::begin_hiding(session, model, inputs, sides, &mut OsRng)
            }
        };
        Ok(run?)
    }

    /// A proof that hides nothing; its state is of no more use.
    fn write_folded(
        &self,
        run: Run<'_>,
        checkpoint: Option<Checkpoint<Bn254>>,
        output: &Path,
    ) -> anyhow::Result<u64> {
        let proof = FoldedProof {
            architecture: run.session.architecture().clone(),
            inferences: run.inferences,
            recursion: run.recursion,
        };
        let bytes = proof.write(output)?;
        if let Some(Err(error)) = checkpoint.map(Checkpoint::remove) {
            warn(
                "the proof is written, and its checkpoint is of no more use",
                error,
            );
        }
        Ok(bytes)
    }

    /// The bytes of a succinct proof's file, and how long it took to make the proof.
    fn compress(
        &self,
        run: Run<'_>,
        report: &mut Report,
        progress: &mut dyn Progress,
    ) -> anyhow::Result<(Vec<u8>, Duration)> {
        if self.kind == ProofKind::Spartan {
            let (proof, time) = self.backend.spartan(run, progress)?;
            report.seconds("spartan", "spartan_seconds", time);
            return Ok((proof.encode()?, time));
        }
        let (proof, [keys, time]) = self.backend.groth16(run, self.context, progress)?;
        report.number("verifying key", "verifying_key", hex(&proof.key));
        report.seconds("groth16 keys", "groth16_keys_seconds", keys);
        report.seconds("groth16", "groth16_seconds", time);
        Ok((proof.encode()?, time))
    }

    /// Writes a succinct proof, in the order that [`crate::checkpoint`] describes.
    fn publish(
        &self,
        checkpoint: Option<Checkpoint<Bn254>>,
        bytes: &[u8],
        output: &Path,
    ) -> anyhow::Result<u64> {
        let Some(mut checkpoint) = checkpoint else {
            files::write_bytes(output, Access::Public, bytes)?;
            return Ok(bytes.len() as u64);
        };
        // A state that was damaged in a way that nothing has seen yet must not be spent on a proof
        // that is worth nothing.
        self.check(
            "the proof that was made of this checkpoint",
            &Proof::decode(bytes)?,
        )?;
        let marked = checkpoint.publishing(bytes).map_err(Error::from);
        marked.context(
            "the proof is not written, because the checkpoint cannot be marked as spent; resume it \
             when this is mended",
        )?;
        Self::write_out(checkpoint, bytes, output)
    }

    /// Verifies an own proof; that it is false is a failure of this run, and no verdict for others.
    fn check(&self, what: &str, proof: &Proof) -> anyhow::Result<()> {
        let verdict = self.backend.judge(self.committed.model, proof);
        verdict.map_err(|error| {
            anyhow::anyhow!("{what} is false; remove the checkpoint and start again: {error:#}")
        })
    }

    /// Writes a proof that the checkpoint holds, and marks that as spent.
    fn write_out(
        checkpoint: Checkpoint<Bn254>,
        bytes: &[u8],
        output: &Path,
    ) -> anyhow::Result<u64> {
        files::write_bytes(output, Access::Public, bytes)?;
        if let Err(error) = checkpoint.spend() {
            warn(
                "the proof is written, and its checkpoint makes no other one",
                error,
            );
        }
        Ok(bytes.len() as u64)
    }

    /// Writes the finished proof that a checkpoint holds: these bytes, and no other proof.
    fn write_found(
        &self,
        checkpoint: Option<Checkpoint<Bn254>>,
        bytes: &[u8],
        output: &Path,
    ) -> anyhow::Result<Made> {
        let proof = Proof::decode(bytes)?;
        self.check("the proof in the checkpoint", &proof)?;
        let checkpoint =
            checkpoint.context("no checkpoint for a finished proof; this is a defect")?;
        Ok(Made {
            inferences: proof.inferences().to_vec(),
            bytes: Self::write_out(checkpoint, bytes, output)?,
            ..Made::default()
        })
    }
}
