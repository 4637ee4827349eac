//! What a run will take, predicted from sizes before anything is built.
//!
//! Seconds and bytes are those of the planner's models ([`CostModel`], [`MemoryModel`]). Seconds are for
//! two idle cores, and tell minutes from hours; set-up and the making of keys are not in them.
//!
//! # Size and gas
//!
//! Words of a groth16 proof are exact (`docs/gas.md`); gas is linear in commitments, variables and
//! statement elements, within one percent.

use super::args::ProofKind;
use super::output::{self, Report, size};
use crate::decider::statement::StatementShape;
use crate::files::encoded_length;
use crate::memory::peak_resident_bytes;
use crate::model::plan::cost::{CostModel, MemoryModel, Sizes};
use crate::program::Outline;
use crate::session::Architecture;

/// The prediction for a run.
#[derive(Debug)]
pub(super) struct Estimate {
    kind: ProofKind,
    /// Of the step circuit of each kind.
    constraints: Vec<usize>,
    steps: usize,
    /// To set up parameters, their keys read from the cache.
    set_up: f64,
    /// To fold.
    seconds: f64,
    /// To make start instances, and the proof of what was folded.
    compress: f64,
    /// The peak.
    bytes: u64,
    /// Of the proof's file.
    proof: u64,
    gas: Option<u64>,
}

impl Estimate {
    /// For one proof about some inferences.
    pub(super) fn new(program: &Outline, proof: ProofKind, inferences: usize) -> Self {
        let variables = program.weight_variables;
        let sizes = Sizes::of(&program.kinds, variables);
        let model = CostModel::default();
        let steps = program.steps.iter().map(|step| step.kind);
        let each = model.fold_seconds(&program.kinds, &sizes, steps);
        let (start, spartan) = (model.start.seconds(&sizes), model.compress.seconds(&sizes));
        let (start, compress) = match proof {
            ProofKind::Folded => (0.0, 0.0),
            ProofKind::Spartan => (start, spartan),
            ProofKind::Groth16 => (start, spartan + model.groth16),
        };
        let bytes = match proof {
            ProofKind::Folded => MemoryModel::FOLDED.bytes(&sizes),
            ProofKind::Spartan => MemoryModel::SPARTAN.bytes(&sizes),
            ProofKind::Groth16 => MemoryModel::GROTH16
                .bytes(&sizes)
                .max(MemoryModel::SPARTAN.bytes(&sizes)),
        };
        let opened = sizes.point_variables();
        let architecture = Architecture::from(program);
        let groups = inferences.div_ceil(architecture.batch());
        let statement = StatementShape::new(&architecture, groups * architecture.batch());
        Estimate {
            kind: proof,
            steps: program.steps.len() * groups,
            set_up: model.set_up.seconds(&sizes),
            seconds: each * groups as f64,
            compress: start + compress,
            bytes,
            proof: about_bytes(&architecture, &statement) + proof_bytes(proof, &sizes),
            gas: (proof == ProofKind::Groth16)
                .then(|| gas(sizes.constraints.len(), opened, statement.elements())),
            constraints: sizes.constraints,
        }
    }

    /// The peak in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Times for `proofs` proofs of this kind, memory, and the size of a proof.
    fn amounts(&self, proofs: usize) -> String {
        let mut text = format!("{:.1} s to fold", self.seconds * proofs as f64);
        if self.compress > 0.0 {
            text.push_str(&format!(
                ", {:.1} s to compress",
                self.compress * proofs as f64
            ));
        }
        text.push_str(&format!(
            ", {} of memory, {} a proof",
            size(self.bytes),
            size(self.proof)
        ));
        if let Some(gas) = self.gas {
            text.push_str(&format!(", {gas} gas"));
        }
        text
    }

    /// Says what is predicted, and refuses what does not fit into a budget.
    ///
    /// # Errors
    /// When the prediction exceeds the budget; it names the smallest one that does not.
    pub(super) fn announce(&self, budget: Option<u64>, proofs: usize) -> anyhow::Result<()> {
        let largest = self.constraints.iter().max().copied().unwrap_or(0);
        let steps = self.steps * proofs;
        output::note(format_args!(
            "estimate: {steps} {} of about {largest} constraints, {:.1} s to set up, {}",
            if steps == 1 { "step" } else { "steps" },
            self.set_up,
            self.amounts(proofs)
        ));
        match budget {
            Some(budget) if self.bytes > budget => {
                let error = too_little(budget, self.bytes, self.kind);
                Err(error
                    .context("the program does not fit; `compile --memory` makes smaller steps"))
            }
            _ => Ok(()),
        }
    }

    /// The prediction, to be read beside what was measured; programs also get the ratios of both.
    pub(super) fn compare(&self, measured: &Measured, report: &mut Report) {
        report.line("predicted", self.amounts(1));
        let peak = peak_resident_bytes().map(|bytes| (self.bytes as f64, bytes as f64));
        let pairs = [
            ("fold_seconds", Some((self.seconds, measured.fold))),
            ("compress_seconds", Some((self.compress, measured.compress))),
            (
                "proof_bytes",
                Some((self.proof as f64, measured.proof as f64)),
            ),
            ("peak_memory_bytes", peak),
        ];
        for (key, pair) in pairs {
            let Some((predicted, measured)) = pair else {
                continue;
            };
            report.value(&format!("predicted_{key}"), predicted);
            if measured > 0.0 {
                report.value(
                    &format!("predicted_to_measured_{key}"),
                    predicted / measured,
                );
            }
        }
        if let Some(gas) = self.gas {
            report.value("predicted_gas", gas);
        }
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// Seconds of folding.
    pub fold: f64,
    /// Seconds of start instances and of making the proof of what was folded, without keys.
    pub compress: f64,
    /// Bytes of the proof.
    pub proof: u64,
}

impl Measured {
    /// The mean of some runs.
    pub(super) fn mean(runs: &[Measured]) -> Option<Measured> {
        let count = runs.len() as f64;
        let mean = |of: fn(&Measured) -> f64| runs.iter().map(of).sum::<f64>() / count;
        (!runs.is_empty()).then(|| Measured {
            fold: mean(|run| run.fold),
            compress: mean(|run| run.compress),
            proof: mean(|run| run.proof as f64) as u64,
        })
    }
}

/// Bytes of what a proof is about: the architecture and the statement.
fn about_bytes(architecture: &Architecture, statement: &StatementShape) -> u64 {
    let activations = statement.inferences * (statement.input.length + statement.output.length);
    // An integer of more than 7 bits and a sign takes three bytes.
    let width = if statement.input.bits <= 8 { 1 } else { 3 };
    encoded_length(architecture).unwrap_or(0) + (width * activations) as u64
}

/// Bytes of the proof itself.
fn proof_bytes(proof: ProofKind, sizes: &Sizes) -> u64 {
    let (kinds, opened) = (sizes.constraints.len(), sizes.point_variables());
    let bytes = match proof {
        // Two segments and the error of every running instance, the last instance, the accumulator.
        ProofKind::Folded => {
            let largest = sizes.constraints.iter().max().copied().unwrap_or(0);
            let cyclefold = 120_000;
            cyclefold + 35 * (2 * sizes.rows() + largest) + (32 << sizes.variables.min(32))
        }
        ProofKind::Spartan => 5_600 + 2_660 * kinds + 100 * opened,
        ProofKind::Groth16 => 200 + 32 * proof_words(kinds, opened),
    };
    bytes as u64
}

/// Words of the proof that a contract takes: commitments of two words each, the point, and 34 more.
fn proof_words(kinds: usize, opened: usize) -> usize {
    34 + 2 * (3 * kinds + 1) + opened
}

/// Gas of verifying, by `docs/gas.md`: 20 variables, 7 commitments and 7 statement elements, context
/// included, as the point to start from.
fn gas(kinds: usize, opened: usize, elements: usize) -> u64 {
    let (variables, commitments, elements) = (opened, 3 * kinds + 1, elements + 1);
    let at = 443_327.0
        + 1_025.0 * (variables as f64 - 20.0)
        + 8_344.0 * (commitments as f64 - 7.0)
        + 372.0 * (elements as f64 - 7.0);
    at as u64
}

/// The refusal of a budget of memory, with the least one that would do.
pub(super) fn too_little(budget: u64, needed: u64, kind: ProofKind) -> anyhow::Error {
    anyhow::anyhow!(
        "a {} proof takes about {} of memory, and {} are given; use --memory {}M or more, or another \
         kind of proof",
        kind.name(),
        size(needed),
        size(budget),
        needed.div_ceil(1 << 20)
    )
}

/// Reads a size: a number and K, M, G or T, powers of 1024, behind it B or iB if wanted.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text
        .get(digits.len()..)
        .unwrap_or_default()
        .to_ascii_uppercase();
    let unit = unit
        .strip_suffix("IB")
        .or(unit.strip_suffix('B'))
        .unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => {
            return Err(format!(
                "`{text}` has no unit of K, M, G or T; write 800M or 1.5G"
            ));
        }
    };
    let number: f64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is no size; write 800M or 1.5G"))?;
    let bytes = number * (1u64 << shift) as f64;
    if !bytes.is_finite() || !(1.0..9e15).contains(&bytes) {
        return Err(format!("`{text}` is no size; write 800M or 1.5G"));
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gas of runs in the embedded machine, see `docs/gas.md`: kinds, variables, elements.
    #[test]
    fn gas_is_near_what_was_measured() {
        for (kinds, variables, elements, measured) in [
            (2, 18, 6, 441_275),
            (2, 20, 6, 443_327),
            (2, 15, 6, 438_557),
            (1, 15, 2, 412_340),
        ] {
            let predicted = gas(kinds, variables, elements);
            assert!(
                predicted.abs_diff(measured) < 4_000,
                "{predicted} for {measured}"
            );
        }
        assert_eq!(32 * proof_words(2, 15), 2_016);
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("1000", 1000),
            ("2K", 2048),
            ("800M", 800 << 20),
            ("800MiB", 800 << 20),
            ("1.5g", 3 << 29),
            ("1 TB", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1X", "-1G", "nan", "inf", "0", "1e30T", "1 2M"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
    use crate::model::plan::PlanOptions;
    use crate::model::random;
    use crate::program::Program;
    use crate::progress::Silent;
    use crate::session::Session;
    use foldnet_gadgets::cycle::Bn254;

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
            let estimate = Estimate::new(program.outline(), ProofKind::Folded, 1);
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
