//! `foldnet prove`.

use super::args::{ProofKind, Prove};
use super::output::{self, Report, size};
use super::private::{self, Blinds};
use super::progress::TerminalProgress;
use super::runs::{Kept, Prover};
use super::succinct::Backend;
use super::{check_outputs, open_program, read_text};
use crate::artefact::show_model_id;
use crate::memory::peak_resident_bytes;
use crate::model::quantise::class;
use crate::model::{OutOfRange, json};
use crate::program::{Outline, Tensor};
use crate::session::{Session, Timing};
use anyhow::Context;
use foldnet_gadgets::cycle::Bn254;
use foldnet_gadgets::hash::NARROW_LIMIT;
use foldnet_layers::graph::GraphShape;
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
    let input = quantised(
        &options.input,
        &outline.input,
        outline.bits,
        options.saturate,
    )?;
    output::note(Estimate::new(program.outline(), options.proof).text());
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
    let made = prover.prove(&[input], kept, &options.output, &mut progress)?;

    let mut report = Report::default();
    report.number("model id", "model_id", show_model_id(&committed.model));
    if let [inference] = made.inferences.as_slice() {
        // What is private reaches no terminal and no file but the opening.
        if let Some(output) = inference.output.values() {
            report.line("output", format_args!("{output:?}"));
            report.number("prediction", "prediction", class(output));
        }
        report.value("output", private::value(&inference.output));
    }
    private::report_prover(private, &openings, &mut report);
    constraints(&session, &mut report);
    report.seconds("set-up", "setup_seconds", set_up);
    let bytes = made.bytes;
    made.report(&mut report);
    sizes(bytes, &mut report);
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
            "warning: {count} input values were clamped to the range"
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

/// What a run will take, predicted from sizes.
///
/// The constants are fitted to runs of `examples/deep_network.rs` on two busy cores; they tell
/// minutes from hours, no more.
#[derive(Debug)]
struct Estimate {
    constraints: Vec<usize>,
    steps: usize,
    seconds: f64,
    compress: f64,
    bytes: f64,
}

/// Constraints of the recursion in every step.
const STEP_CONSTRAINTS: usize = 19_000;
/// Constraints of a round of the claim merge, one for each variable of the weight polynomial.
const ROUND_CONSTRAINTS: usize = 360;
/// Constraints of the two permutations of Poseidon, of rates 5 and 24.
const PERMUTATION_CONSTRAINTS: [usize; 2] = [324, 780];
/// Seconds to fold a constraint.
const CONSTRAINT_SECONDS: f64 = 10e-6;
/// Seconds to fold an entry of the weight table.
const WEIGHT_SECONDS: f64 = 100e-9;
/// Bytes of a constraint of a kind: its rows in the matrices, and the witnesses.
const CONSTRAINT_BYTES: f64 = 2_400.0;
/// Bytes of an entry of the weight table while it is folded.
const WEIGHT_BYTES: f64 = 210.0;
/// Bytes of everything else.
const BASE_BYTES: f64 = 20e6;

/// Seconds to prove an entry of the largest polynomial that is opened.
const OPENING_SECONDS: f64 = 4e-6;
/// Seconds to prove a constraint of a running instance.
const INSTANCE_SECONDS: f64 = 8e-6;
/// Seconds of a Groth16 proof, its keys read from the cache.
const GROTH16_SECONDS: f64 = 10.0;
/// Peak bytes of a Groth16 proof.
const GROTH16_BYTES: f64 = 1.3e9;

/// Seconds of a Spartan proof.
fn spartan_seconds(constraints: usize, table: f64) -> f64 {
    0.5 + INSTANCE_SECONDS * constraints as f64 + OPENING_SECONDS * table.max(constraints as f64)
}

impl Estimate {
    fn new(program: &Outline, proof: ProofKind) -> Self {
        let variables = program.weight_variables;
        let of = |kind: &GraphShape| {
            STEP_CONSTRAINTS + ROUND_CONSTRAINTS * variables + kind.cost().constraints(hash)
        };
        let constraints: Vec<usize> = program.kinds.iter().map(of).collect();
        let table = f64::from(1u32 << variables.min(31));
        let of = |kind: usize| constraints.get(kind).map_or(0.0, |&count| count as f64);
        let seconds = |kind| CONSTRAINT_SECONDS * of(kind) + WEIGHT_SECONDS * table;
        let total: usize = constraints.iter().sum();
        let (compress, least) = match proof {
            ProofKind::Folded => (0.0, 0.0),
            ProofKind::Spartan => (spartan_seconds(total, table), 0.0),
            ProofKind::Groth16 => (
                spartan_seconds(total, table) + GROTH16_SECONDS,
                GROTH16_BYTES,
            ),
        };
        let bytes = BASE_BYTES + CONSTRAINT_BYTES * total as f64 + WEIGHT_BYTES * table;
        Estimate {
            steps: program.steps.len(),
            seconds: program.steps.iter().map(|step| seconds(step.kind)).sum(),
            compress,
            bytes: bytes.max(least),
            constraints,
        }
    }

    fn text(&self) -> String {
        let largest = self.constraints.iter().max().copied().unwrap_or(0);
        format!(
            "estimate: {} steps of about {largest} constraints, {:.0} s to fold, {:.0} s to \
             compress, {} of memory",
            self.steps,
            self.seconds.ceil(),
            self.compress.ceil(),
            size(self.bytes as u64),
        )
    }
}

/// Constraints of a hash of some elements.
fn hash(elements: usize) -> usize {
    let [narrow, wide] = PERMUTATION_CONSTRAINTS;
    if elements <= NARROW_LIMIT {
        narrow * elements.div_ceil(5)
    } else {
        wide * elements.div_ceil(24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::PlanOptions;
    use crate::model::random;
    use crate::program::Program;
    use crate::progress::Silent;
    use crate::session::Architecture;

    #[test]
    fn estimates_are_near_the_circuits() {
        for (depth, width, variables) in [(2, 8, 12), (20, 64, 15), (2, 200, 17)] {
            let options = PlanOptions {
                max_weight_variables: variables,
                ..PlanOptions::default()
            };
            let network = random::network(depth, width, 1).expect("a network");
            let program = Program::new("test", &network, &options).expect("a program");
            let architecture = Architecture::from(program.outline());
            let session =
                Session::<Bn254>::new(&architecture, None, &mut Silent).expect("a session");
            let estimate = Estimate::new(program.outline(), ProofKind::Folded);
            for (predicted, exact) in estimate
                .constraints
                .iter()
                .zip(session.params().constraints())
            {
                assert!(
                    predicted.abs_diff(exact) < exact / 10,
                    "{predicted} for {exact}"
                );
            }
        }
    }
}
