//! What a run will take, predicted from sizes before anything is built.
//!
//! # Memory
//!
//! The peak does not depend on the number of steps. With `R` the constraints of all kinds together and
//! `P` the points of the commitment key (the least power of two that holds `2^ell` weights and the
//! rows of every kind),
//!
//! `bytes = base + row R + weight 2^ell + point P`
//!
//! with the constants of [`MemoryModel`] for each kind of proof. Where they come from: a row is its
//! entries in three sparse matrices (40 bytes each, about 15 a row), the running and the last
//! witness, error and cross term (32 bytes each), and for succinct proofs the tables of the
//! sum-checks; a weight is its integer, the accumulator's element, and copies that are folded or
//! opened; a point is an affine point of the key. The constants are fitted to measured peaks (the test
//! data below), a little above them. A groth16 proof also holds the decider's proving key, circuit and
//! witness, which is most of its peak and nearly constant.
//!
//! # Time
//!
//! Seconds are for two idle cores, and tell minutes from hours. Set-up and the making of keys are
//! not in them.
//!
//! # Size and gas
//!
//! Words of a groth16 proof are exact (`docs/gas.md`); gas is linear in commitments, variables and
//! statement elements, within one percent.

use super::args::ProofKind;
use super::output::{self, Report, size};
use crate::decider::statement::StatementShape;
use crate::memory::peak_resident_bytes;
use crate::model::plan::cost;
use crate::program::Outline;
use crate::session::Architecture;
use foldnet_layers::graph::GraphShape;

/// Seconds to fold a constraint.
const CONSTRAINT_SECONDS: f64 = 10e-6;
/// Seconds to fold an entry of the weight table.
const WEIGHT_SECONDS: f64 = 100e-9;
/// Seconds to prove an entry of the largest polynomial that is opened.
const OPENING_SECONDS: f64 = 4e-6;
/// Seconds to prove a constraint of a running instance.
const INSTANCE_SECONDS: f64 = 8e-6;
/// Seconds of a Groth16 proof, its keys read from the cache.
const GROTH16_SECONDS: f64 = 10.0;

/// Bytes of a run that makes one kind of proof.
#[derive(Clone, Copy, Debug)]
struct MemoryModel {
    base: f64,
    row: f64,
    weight: f64,
    point: f64,
}

const FOLDED: MemoryModel = MemoryModel {
    base: 31e6,
    row: 3_000.0,
    weight: 120.0,
    point: 70.0,
};
const SPARTAN: MemoryModel = MemoryModel {
    base: 46e6,
    row: 4_200.0,
    weight: 235.0,
    point: 70.0,
};
/// With the making of keys; when they are in the cache the base is about 0.45 GB less.
const GROTH16: MemoryModel = MemoryModel {
    base: 1.6e9,
    row: 4_200.0,
    weight: 120.0,
    point: 70.0,
};

impl MemoryModel {
    fn bytes(&self, rows: usize, variables: usize, points: f64) -> u64 {
        let weights = power_of_two(variables);
        (self.base + self.row * rows as f64 + self.weight * weights + self.point * points) as u64
    }
}

fn power_of_two(exponent: usize) -> f64 {
    f64::from(1u32 << exponent.min(31))
}

/// The prediction for a run.
#[derive(Debug)]
pub(super) struct Estimate {
    kind: ProofKind,
    /// Of the step circuit of each kind.
    constraints: Vec<usize>,
    steps: usize,
    /// To fold.
    seconds: f64,
    /// To make the proof of what was folded.
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
        let of = |kind: &GraphShape| cost::constraints(kind, variables);
        let constraints: Vec<usize> = program.kinds.iter().map(of).collect();
        let table = power_of_two(variables);
        let of = |kind: usize| constraints.get(kind).map_or(0.0, |&count| count as f64);
        let seconds = |kind| CONSTRAINT_SECONDS * of(kind) + WEIGHT_SECONDS * table;
        let rows: usize = constraints.iter().sum();
        let largest = constraints.iter().max().copied().unwrap_or(0);
        let points = (largest.next_power_of_two() as f64).max(table);
        let (model, compress) = match proof {
            ProofKind::Folded => (FOLDED, 0.0),
            ProofKind::Spartan => (SPARTAN, spartan_seconds(rows, table)),
            ProofKind::Groth16 => (GROTH16, spartan_seconds(rows, table) + GROTH16_SECONDS),
        };
        let spartan = SPARTAN.bytes(rows, variables, points);
        let bytes = match proof {
            ProofKind::Groth16 => model.bytes(rows, variables, points).max(spartan),
            _ => model.bytes(rows, variables, points),
        };
        let opened = variables.max(largest.next_power_of_two().ilog2() as usize);
        let architecture = Architecture::from(program);
        let groups = inferences.div_ceil(architecture.batch());
        let statement = StatementShape::new(&architecture, groups * architecture.batch());
        let each: f64 = program.steps.iter().map(|step| seconds(step.kind)).sum();
        Estimate {
            kind: proof,
            steps: program.steps.len() * groups,
            seconds: each * groups as f64,
            compress,
            bytes,
            proof: proof_bytes(proof, &constraints, opened, &statement, table),
            gas: (proof == ProofKind::Groth16)
                .then(|| gas(constraints.len(), opened, statement.elements())),
            constraints,
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
            "estimate: {steps} steps of about {largest} constraints, {}",
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
    /// Seconds of making the proof of what was folded, without keys.
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

/// Seconds of a Spartan proof.
fn spartan_seconds(constraints: usize, table: f64) -> f64 {
    0.5 + INSTANCE_SECONDS * constraints as f64 + OPENING_SECONDS * table.max(constraints as f64)
}

/// Bytes of a proof's file.
fn proof_bytes(
    proof: ProofKind,
    constraints: &[usize],
    opened: usize,
    statement: &StatementShape,
    table: f64,
) -> u64 {
    let activations = statement.inferences * (statement.input.length + statement.output.length);
    // An integer beyond 7 bits takes three bytes.
    let width = if statement.input.bits <= 8 { 1 } else { 3 };
    let about = 100 + 100 * constraints.len() + width * activations;
    let kinds = constraints.len();
    let proof = match proof {
        // Two segments and the error of every running instance, the last instance, the accumulator.
        ProofKind::Folded => {
            let rows: usize = constraints.iter().sum();
            let largest = constraints.iter().max().copied().unwrap_or(0);
            let cyclefold = 120_000;
            cyclefold + 35 * (2 * rows + largest) + 32 * table as usize
        }
        ProofKind::Spartan => 5_200 + 2_500 * kinds + 100 * opened,
        ProofKind::Groth16 => 32 * proof_words(kinds, opened),
    };
    (about + proof) as u64
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

    /// Peaks in megabytes, measured with `prove --json` on Linux: kind of proof, constraints of all
    /// kinds, variables of the weights, points of the key.
    const PEAKS: [(ProofKind, usize, usize, usize, f64); 17] = [
        (ProofKind::Folded, 24_700, 8, 15, 105.0),
        (ProofKind::Folded, 47_955, 7, 15, 176.9),
        (ProofKind::Folded, 55_109, 13, 15, 192.6),
        (ProofKind::Folded, 59_875, 15, 15, 205.9),
        (ProofKind::Folded, 83_558, 17, 17, 304.2),
        (ProofKind::Folded, 86_289, 20, 20, 439.4),
        (ProofKind::Folded, 91_153, 21, 21, 652.0),
        (ProofKind::Spartan, 24_700, 8, 15, 150.0),
        (ProofKind::Spartan, 47_955, 7, 15, 249.5),
        (ProofKind::Spartan, 55_109, 13, 15, 267.9),
        (ProofKind::Spartan, 59_875, 15, 15, 277.3),
        (ProofKind::Spartan, 86_289, 20, 20, 673.3),
        (ProofKind::Spartan, 83_558, 17, 17, 358.9),
        (ProofKind::Spartan, 91_153, 21, 21, 1_057.2),
        (ProofKind::Groth16, 24_700, 8, 15, 1_626.5),
        (ProofKind::Groth16, 55_350, 13, 15, 1_774.8),
        (ProofKind::Groth16, 86_289, 20, 20, 1_936.0),
    ];

    #[test]
    fn the_memory_model_covers_measured_peaks() {
        for (kind, rows, variables, points, measured) in PEAKS {
            let model = match kind {
                ProofKind::Folded => FOLDED,
                ProofKind::Spartan => SPARTAN,
                ProofKind::Groth16 => GROTH16,
            };
            let predicted = model.bytes(rows, variables, power_of_two(points)) as f64 / 1e6;
            let ratio = predicted / measured;
            assert!(
                (1.0..1.25).contains(&ratio),
                "{kind:?} {rows}: {predicted} for {measured}"
            );
        }
    }

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
