//! What is kept on disk between commands: compiled programs and folded proofs.
//!
//! * A program (`.fold`) is a container of kind [`Kind::Model`] without a curve: a [`Program`].
//! * A folded proof is a container of kind [`Kind::FoldedProof`]: a [`FoldedProof`].
//!
//! A folded proof hides nothing: it holds witnesses, from which activations and sums of weights can
//! be read. It is therefore written for its owner only (mode 0600 on Unix).
//!
//! Both readers take arbitrary bytes. Everything that sizes an allocation or a circuit is bounded
//! here, before anything is built from it: [`check_architecture`], [`check_program`],
//! [`FoldedProof::check`]. A proof must be at least as long as the circuits that its architecture
//! asks for, so that a short file cannot cause long work, and a verifier derives no key for a proof
//! of unknown origin beyond [`LARGEST_UNASKED_KEY`]. None of this makes a proof true: the
//! model id is the verifier's argument, and [`crate::session::Session::verify`] decides.

use crate::error::Error;
use crate::files::{self, Access, FileError, FormatError, Kind};
use crate::fold::params::{MAX_KINDS, MAX_WEIGHT_VARIABLES};
use crate::fold::prover::Recursion;
use crate::program::{Outline, Program, Tensor};
use crate::session::{Architecture, Inference};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::cycle::{Bn254, Cycle};
use foldnet_gadgets::field::{from_bytes, to_bytes};
use foldnet_layers::error::LayerError;
use foldnet_layers::graph::GraphShape;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The largest folded proof.
pub const LARGEST_PROOF: u64 = 1 << 30;

/// Most layers in one step kind.
pub const MAX_LAYERS: usize = 64;

/// Most steps of a program.
pub const MAX_STEPS: usize = 1 << 24;

/// Most constraints of all kinds together, without those of the recursion and of hashes.
pub const MAX_CONSTRAINTS: usize = 1 << 20;

/// Most activations, of all kinds together, that are live before or after a step; they are hashed.
pub const MAX_LIVE: usize = 1 << 22;

/// What the digests of an inference count as, in activations: each costs some hundred constraints.
const DIGEST_VALUES: usize = 1 << 9;

/// Most activations in the statement of a proof, padding included.
pub const MAX_STATEMENT: usize = 1 << 24;

/// Most points of a commitment key that verifying a proof of unknown origin may derive, see
/// [`crate::key::KeyCache::deriving_at_most`].
pub const LARGEST_UNASKED_KEY: usize = 1 << 20;

/// Why an artefact is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtefactError {
    /// The file cannot be read or written, or is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are no container of the kind.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The content of a file is refused; the source says why.
    #[error("cannot use {}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ArtefactError>,
    },
    /// A step kind has no circuit.
    #[error("step kind {kind}: {source}")]
    Kind {
        /// The kind.
        kind: usize,
        /// What is wrong with it.
        source: LayerError,
    },
    /// A number lies outside what this release handles.
    #[error("{what}: expected {least} to {most}, got {got}; {}", artefact.on_limit())]
    Limit {
        /// What has the number.
        artefact: Artefact,
        /// What is counted.
        what: &'static str,
        /// The least allowed.
        least: usize,
        /// The most allowed.
        most: usize,
        /// The number found.
        got: usize,
    },
    /// Two parts do not belong together.
    #[error("{what}: expected {expected}, got {got}; {}", artefact.on_contradiction())]
    Mismatch {
        /// What has the parts.
        artefact: Artefact,
        /// What is compared.
        what: &'static str,
        /// The value that the other parts ask for.
        expected: usize,
        /// The value found.
        got: usize,
    },
    /// A scale is not a positive number.
    #[error(
        "the {what} scale is {got}, expected a positive number; {}",
        artefact.on_contradiction()
    )]
    Scale {
        /// What has the scale.
        artefact: Artefact,
        /// Input or output.
        what: &'static str,
        /// The scale.
        got: f64,
    },
    /// Text that is no model id.
    #[error(
        "`{text}` is no model id: {reason}; take it from `foldnet model-id`, 0x and 64 hex digits"
    )]
    ModelId {
        /// The text.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What an error is about, which decides who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// A program: its owner can compile it again.
    Program,
    /// A proof: a verifier can only ask for another one.
    Proof,
}

/// What a verifier can do about a proof that is not one.
const ASK: &str = "the proof was altered or is of another release; ask the prover for a new one";

impl Artefact {
    fn on_limit(self) -> &'static str {
        match self {
            Artefact::Program => "cut the model into smaller steps",
            Artefact::Proof => ASK,
        }
    }

    fn on_contradiction(self) -> &'static str {
        match self {
            Artefact::Program => "make the file again",
            Artefact::Proof => ASK,
        }
    }
}

impl ArtefactError {
    /// The same error as a verifier has to read it.
    pub(crate) fn of_proof(mut self) -> Self {
        match &mut self {
            ArtefactError::Limit { artefact, .. }
            | ArtefactError::Mismatch { artefact, .. }
            | ArtefactError::Scale { artefact, .. } => *artefact = Artefact::Proof,
            ArtefactError::Kind { source, .. } => match source {
                LayerError::StepParameter { advice, .. }
                | LayerError::Parameter { advice, .. }
                | LayerError::Length { advice, .. } => *advice = ASK,
                LayerError::WeightVariables { expected, got } => {
                    let (expected, got) = (*expected, *got);
                    return ArtefactError::Mismatch {
                        artefact: Artefact::Proof,
                        what: "weight variables of a kind",
                        expected,
                        got,
                    };
                }
                _ => {}
            },
            _ => {}
        }
        self
    }
}

/// A proof whose running instances are given in full, on BN254.
///
/// It hides nothing. The architecture says what circuits it is about, and the inferences what it
/// claims; a verifier compares both with the model id that it already trusts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldedProof {
    /// What parameters are rebuilt from.
    pub architecture: Architecture,
    /// The inputs and outputs.
    pub inferences: Vec<Inference>,
    /// Running instances, their witnesses, the last step and the accumulator.
    pub recursion: Recursion<Bn254>,
}

impl FoldedProof {
    /// Checks all sizes, before circuits are built.
    ///
    /// # Errors
    /// Those of [`check_architecture`]; [`ArtefactError::Limit`] for a statement that is too large;
    /// [`ArtefactError::Mismatch`] when the recursion is shorter than the architecture asks for.
    pub fn check(&self) -> Result<(), ArtefactError> {
        self.check_sizes().map_err(ArtefactError::of_proof)
    }

    fn check_sizes(&self) -> Result<(), ArtefactError> {
        let architecture = &self.architecture;
        check_architecture(architecture)?;
        check_statement(architecture, &self.inferences)?;
        let recursion = &self.recursion;
        equal(
            "running instances",
            architecture.kinds.len(),
            recursion.running.len(),
        )?;
        let entries = 1 << architecture.weight_variables.min(MAX_WEIGHT_VARIABLES);
        equal("accumulated weights", entries, recursion.table.len())?;
        for (shape, (_, witness)) in architecture.kinds.iter().zip(&recursion.running) {
            let (expected, got) = (constraints(shape), witness.error.len());
            if got < expected {
                let what = "rows of a running instance";
                return Err(ArtefactError::Mismatch {
                    artefact: Artefact::Proof,
                    what,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }

    /// The payload of a proof file.
    ///
    /// # Errors
    /// [`ArtefactError::Format`].
    pub fn encode(&self) -> Result<Vec<u8>, ArtefactError> {
        Ok(files::encode_container(
            Kind::FoldedProof,
            Bn254::NAME,
            &files::encode_value(self)?,
        )?)
    }

    /// Decodes and [checks](Self::check) a proof file; never panics, whatever the bytes are.
    ///
    /// # Errors
    /// [`ArtefactError::Format`] and those of [`Self::check`].
    pub fn decode(input: impl Read) -> Result<Self, ArtefactError> {
        let payload =
            files::decode_container(input, Kind::FoldedProof, Bn254::NAME, LARGEST_PROOF)?;
        let proof: FoldedProof = files::decode_value(&payload)?;
        proof.check()?;
        Ok(proof)
    }

    /// Writes a file that only its owner may read; returns its length in bytes.
    ///
    /// # Errors
    /// [`ArtefactError::File`] and [`ArtefactError::Format`].
    pub fn write(&self, path: &Path) -> Result<u64, ArtefactError> {
        let bytes = self.encode()?;
        files::write_bytes(path, Access::Private, &bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ArtefactError::File`], and [`ArtefactError::Content`] for those of [`Self::check`].
    pub fn read(path: &Path) -> Result<Self, ArtefactError> {
        Self::decode(files::open(path)?).map_err(named(path))
    }
}

/// Checks the number of inferences of a statement.
///
/// # Errors
/// [`ArtefactError::Limit`].
pub fn check_statement(
    architecture: &Architecture,
    inferences: &[Inference],
) -> Result<(), ArtefactError> {
    let most = most_inferences(architecture);
    limit("inferences of the proof", 1, most, inferences.len())
}

/// Most inferences that a proof may be about.
pub(crate) fn most_inferences(architecture: &Architecture) -> usize {
    let (input, output) = (&architecture.input, &architecture.output);
    MAX_STATEMENT / input.capacity.max(output.capacity).max(1)
}

/// Puts the file's name to an error that lacks it.
pub(crate) fn named(path: &Path) -> impl FnOnce(ArtefactError) -> ArtefactError {
    move |error| match error {
        ArtefactError::Format(source) => FileError::format(path)(source).into(),
        ArtefactError::File(_) => error,
        other => ArtefactError::Content {
            path: path.to_path_buf(),
            source: Box::new(other),
        },
    }
}

/// Writes a compiled program.
///
/// # Errors
/// Those of [`check_program`] and of [`Program::write`].
pub fn write_program(path: &Path, program: &Program) -> Result<(), Error> {
    check_program(program.outline())?;
    program.write(path)
}

/// Opens a compiled program; its weights stay on disk.
///
/// # Errors
/// Those of [`Program::open`], and [`ArtefactError::Content`] for those of [`check_program`].
pub fn read_program(path: &Path) -> Result<Program, Error> {
    let program = Program::open(path)?;
    check_program(program.outline()).map_err(named(path))?;
    Ok(program)
}

/// Checks every number that the size of a circuit or of a vector depends on.
///
/// # Errors
/// [`ArtefactError::Limit`], [`ArtefactError::Kind`], also for constraints of all kinds with too many
/// entries ([`foldnet_layers::graph::MOST_TERMS`]), [`ArtefactError::Mismatch`] when the edges
/// have capacities that no kind has, and [`ArtefactError::Scale`].
pub fn check_architecture(architecture: &Architecture) -> Result<(), ArtefactError> {
    limit("step kinds", 1, MAX_KINDS, architecture.kinds.len())?;
    limit(
        "weight variables",
        0,
        MAX_WEIGHT_VARIABLES,
        architecture.weight_variables,
    )?;
    let bits = architecture.bits as usize;
    limit("activation bits", 2, 16, bits)?;
    let (mut total, mut live, mut terms) = (0usize, 0usize, 0usize);
    for (kind, shape) in architecture.kinds.iter().enumerate() {
        // The number of layers first: everything after it takes time and memory in proportion.
        limit("layers of a step kind", 1, MAX_LAYERS, shape.nodes.len())?;
        equal("activation bits of a kind", bits, shape.bits as usize)?;
        equal("inferences of a kind", architecture.batch(), shape.batch)?;
        let variables = shape.weight_variables;
        equal(
            "weight variables of a kind",
            architecture.weight_variables,
            variables,
        )?;
        let of_kind = |source| ArtefactError::Kind { kind, source };
        // Few constraints may have many entries, and synthesis takes time and memory for each.
        terms = shape.validate_after(terms).map_err(of_kind)?;
        // Activations are hashed at both ends of a step, and every inference has digests of its own.
        let lives =
            shape.inputs.iter().sum::<usize>() + shape.output_lengths().iter().sum::<usize>();
        live = live
            .saturating_add(lives)
            .saturating_add(DIGEST_VALUES.saturating_mul(shape.batch));
        limit("live values of all kinds", 0, MAX_LIVE, live)?;
        total = total.saturating_add(constraints(shape));
        limit("constraints of all layers", 0, MAX_CONSTRAINTS, total)?;
    }
    let kinds = &architecture.kinds;
    let inputs = kinds.iter().map(GraphShape::input_len).collect::<Vec<_>>();
    let ends = kinds.iter().filter(|kind| kind.ends_inference);
    let outputs = ends.map(GraphShape::output_len).collect::<Vec<_>>();
    check_edge("input", &architecture.input, &inputs)?;
    check_edge("output", &architecture.output, &outputs)
}

/// Constraints of a kind's layers: fewer than its circuit has, since hashes and recursion are left
/// out.
fn constraints(shape: &GraphShape) -> usize {
    shape.cost().constraints(|_| 0)
}

/// Checks that an edge of the network is an edge of some kind.
fn check_edge(
    what: &'static str,
    edge: &Tensor,
    capacities: &[usize],
) -> Result<(), ArtefactError> {
    if !capacities.contains(&edge.capacity) {
        let expected = capacities.first().copied().unwrap_or(0);
        return Err(ArtefactError::Mismatch {
            artefact: Artefact::Program,
            what,
            expected,
            got: edge.capacity,
        });
    }
    limit(what, 1, edge.capacity, edge.length)?;
    if !edge.scale.is_finite() || edge.scale <= 0.0 {
        return Err(ArtefactError::Scale {
            artefact: Artefact::Program,
            what,
            got: edge.scale,
        });
    }
    Ok(())
}

/// Checks a compiled program: its architecture, that steps follow one another, that only the last
/// one ends the inference.
///
/// # Errors
/// Those of [`check_architecture`]; [`ArtefactError::Limit`] and [`ArtefactError::Mismatch`].
pub fn check_program(program: &Outline) -> Result<(), ArtefactError> {
    let architecture = Architecture::from(program);
    check_architecture(&architecture)?;
    limit("steps", 1, MAX_STEPS, program.steps.len())?;
    let batch = architecture.batch();
    let mut live = vec![program.input.capacity.saturating_mul(batch)];
    for (index, step) in program.steps.iter().enumerate() {
        let Some(shape) = program.kinds.get(step.kind) else {
            let most = program.kinds.len().saturating_sub(1);
            return Err(ArtefactError::Limit {
                artefact: Artefact::Program,
                what: "kind of a step",
                least: 0,
                most,
                got: step.kind,
            });
        };
        equal("live tensors before a step", live.len(), shape.inputs.len())?;
        for (expected, got) in live.iter().zip(&shape.inputs) {
            equal("inputs of a step", *expected, *got)?;
        }
        let last = index + 1 == program.steps.len();
        equal(
            "ends of the inference",
            usize::from(last),
            usize::from(shape.ends_inference),
        )?;
        live = shape.output_lengths();
    }
    let outputs = program.output.capacity.saturating_mul(batch);
    equal("outputs of the last step", outputs, live.iter().sum())
}

fn limit(what: &'static str, least: usize, most: usize, got: usize) -> Result<(), ArtefactError> {
    if (least..=most).contains(&got) {
        return Ok(());
    }
    Err(ArtefactError::Limit {
        artefact: Artefact::Program,
        what,
        least,
        most,
        got,
    })
}

fn equal(what: &'static str, expected: usize, got: usize) -> Result<(), ArtefactError> {
    if expected == got {
        return Ok(());
    }
    Err(ArtefactError::Mismatch {
        artefact: Artefact::Program,
        what,
        expected,
        got,
    })
}

/// A model id as text: `0x` and the canonical bytes in hex, most significant first.
pub fn show_model_id<F: CircuitField>(id: &F) -> String {
    let digits = to_bytes(id)
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("0x{digits}")
}

/// Reads what [`show_model_id`] wrote.
///
/// # Errors
/// [`ArtefactError::ModelId`] for text of another form, and for numbers that are not below the
/// modulus.
pub fn parse_model_id<F: CircuitField>(text: &str) -> Result<F, ArtefactError> {
    let refuse = |reason| ArtefactError::ModelId {
        text: text.into(),
        reason,
    };
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| refuse("it does not begin with 0x"))?;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return Err(refuse("it does not have 64 digits"));
    }
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().rev().zip(pairs) {
        let digit = |digit: u8| {
            (digit as char)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(refuse("it has a character that is no hex digit"));
        };
        *byte = high << 4 | low;
    }
    from_bytes(&bytes).ok_or_else(|| refuse("it is not below the field's modulus"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reading::Reading;
    use foldnet_layers::average_pool::{AveragePool, Pooled};
    use foldnet_layers::graph::{self, Node};
    use foldnet_layers::layer::Layer;
    use foldnet_layers::linear::Linear;
    use foldnet_layers::requantise::{Requantise, Ties};
    use foldnet_layers::window::Window;

    type F = <Bn254 as Cycle>::F;

    fn architecture() -> Architecture {
        let requantise = Requantise {
            shift: 8,
            low: 0,
            high: 127,
            accumulator_bits: 20,
            ties: Ties::Up,
        };
        let kind = GraphShape {
            weight_variables: 5,
            ends_inference: true,
            ..graph::chain(vec![Linear::dense(4, 3, requantise).into()], 8)
        };
        Architecture {
            kinds: vec![kind],
            weight_variables: 5,
            bits: 8,
            input: Tensor {
                length: 4,
                capacity: 4,
                scale: 0.5,
            },
            output: Tensor {
                length: 2,
                capacity: 3,
                scale: 0.5,
            },
            reading: Reading::default(),
        }
    }

    /// The message of the error that a changed architecture gives.
    fn refused(change: impl FnOnce(&mut Architecture)) -> String {
        let mut changed = architecture();
        change(&mut changed);
        check_architecture(&changed)
            .expect_err("refused")
            .to_string()
    }

    fn dense(architecture: &mut Architecture) -> &mut Linear {
        match &mut architecture.kinds[0].nodes[0].layer {
            Layer::Linear(linear) => linear,
            other => panic!("{}", other.name()),
        }
    }

    #[test]
    fn sizes_are_bounded_before_anything_is_built() {
        check_architecture(&architecture()).expect("valid");
        assert!(refused(|a| a.kinds.clear()).starts_with("step kinds: expected 1 to 8, got 0"));
        assert!(refused(|a| a.kinds = vec![a.kinds[0].clone(); 9]).contains("got 9"));
        assert!(refused(|a| a.weight_variables = 23).starts_with("weight variables"));
        assert!(refused(|a| a.kinds[0].weight_variables = 6).starts_with("weight variables of a"));
        for bits in [0, 1, 17, u32::MAX] {
            assert!(refused(|a| a.bits = bits).starts_with("activation bits"));
        }
        let node = architecture().kinds[0].nodes[0].clone();
        assert!(refused(|a| a.kinds[0].nodes = vec![node; 65]).starts_with("layers of a step"));
        assert!(refused(|a| a.kinds[0].nodes.clear()).starts_with("layers of a step"));
        for size in [0, 1 << 13, usize::MAX] {
            assert!(refused(|a| dense(a).outputs = size).starts_with("step kind 0: "));
        }
        assert!(refused(|a| dense(a).requantise.shift = 63).contains("shift"));
        assert!(
            refused(|a| dense(a).requantise.accumulator_bits = u32::MAX)
                .contains("accumulator bits")
        );
        assert!(refused(|a| dense(a).requantise.high = i64::MAX).contains("high"));
        assert!(refused(|a| a.input.capacity = usize::MAX).starts_with("input"));
        assert!(refused(|a| a.output.length = 4).starts_with("output"));
        assert!(refused(|a| a.kinds[0].ends_inference = false).starts_with("output"));
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(refused(|a| a.input.scale = scale).starts_with("the input scale"));
        }
    }

    #[test]
    fn large_circuits_are_refused() {
        let message = refused(|a| {
            (a.weight_variables, a.kinds[0].weight_variables) = (22, 22);
            dense(a).channels = 1;
            a.kinds[0].inputs = vec![1];
            a.input = Tensor {
                length: 1,
                capacity: 1,
                scale: 0.5,
            };
            dense(a).outputs = 1 << 18;
        });
        assert!(
            message.starts_with("constraints of all layers"),
            "{message}"
        );
    }

    #[test]
    fn entries_of_all_kinds_are_counted_together() {
        let window = Window {
            kernel: [1, 1 << 11],
            ..Window::ONE
        };
        let planes = Pooled {
            batch: 1,
            channels: 1,
            height: 1,
            width: 1 << 12,
            channels_last: false,
        };
        let requantise = Requantise {
            shift: 0,
            low: 0,
            high: 1,
            accumulator_bits: 1,
            ties: Ties::Up,
        };
        let pool = AveragePool {
            planes,
            window,
            multipliers: vec![0; (1 << 11) + 1],
            requantise,
        };
        let node = Node {
            layer: Layer::AveragePool(pool),
            operands: vec![0],
        };
        // About 2^23.6 entries a layer: five fit into a kind, ten do not.
        let message = refused(|a| {
            a.kinds[0].inputs = vec![1 << 12];
            a.kinds[0].nodes = vec![node; 5];
            a.kinds = vec![a.kinds[0].clone(); 2];
        });
        let expected = "step kind 1: layer 0 (average pool): entries of the constraints up to this \
                        layer: expected at most 67108864";
        assert!(message.starts_with(expected), "{message}");
    }

    #[test]
    fn model_ids_are_canonical_text() {
        for id in [F::from(0), F::from(0x1234), -F::from(1)] {
            let text = show_model_id(&id);
            assert_eq!(text.len(), 66);
            assert_eq!(parse_model_id::<F>(&text).expect("canonical"), id);
        }
        assert!(show_model_id(&F::from(0x1234)).ends_with("001234"));
        let long = format!("0x{}", "f".repeat(64));
        let odd = format!("0x{}g", "0".repeat(63));
        for text in [
            "",
            "12",
            "0x12",
            long.as_str(),
            odd.as_str(),
            &"0".repeat(66),
        ] {
            assert!(parse_model_id::<F>(text).is_err(), "{text}");
        }
    }
}
