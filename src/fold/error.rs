//! What can go wrong while folding and while checking what was folded.

use crate::key::KeyError;
use bellpepper_core::SynthesisError;
use thiserror::Error;

/// An error of the folding engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FoldError {
    /// A vector does not have the length that the shape asks for.
    #[error(
        "{what}: expected length {expected}, got {got}; the data belong to another program or \
         were altered"
    )]
    Length {
        /// What the vector is.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length found.
        got: usize,
    },
    /// The matrices of a circuit are not a valid shape.
    #[error(
        "the circuit has no valid shape: {0}; this is a defect of the program, please report it"
    )]
    Shape(String),
    /// An instance is not satisfied by its witness.
    #[error("{what} is not satisfied ({detail}); the proof is false or was altered")]
    Unsatisfied {
        /// Which instance.
        what: &'static str,
        /// What fails about it.
        detail: String,
    },
    /// A value that every verifier enforces differs.
    #[error(
        "{what} does not have the value that the statement fixes; the proof is for something else"
    )]
    Statement {
        /// Which value.
        what: &'static str,
    },
    /// A statement with private sides about a proof that shows its witnesses.
    #[error(
        "the statement says that the {sides} of the inferences is private, and a folded proof shows \
         every value; ask for a `spartan` or `groth16` proof"
    )]
    Shows {
        /// The private sides.
        sides: &'static str,
    },
    /// A step kind that the program does not have.
    #[error("step kind {got} of a program with {kinds} kinds; the data belong to another program")]
    Kind {
        /// The kind asked for.
        got: usize,
        /// How many kinds there are.
        kinds: usize,
    },
    /// The program cannot be folded as it is.
    #[error("the program cannot be folded: {0}")]
    Program(String),
    /// A step could not be synthesised.
    #[error(
        "step {step} of kind {kind} could not be built: {source}; check that its trace comes \
             from the same program"
    )]
    Step {
        /// The index of the step.
        step: u64,
        /// The name of its kind.
        kind: String,
        /// What the circuit said.
        source: SynthesisError,
    },
    /// The commitment key is too short or unusable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The fields admit no non-native arithmetic.
    #[error(transparent)]
    Fields(#[from] foldnet_gadgets::eisenstein::EisensteinError),
    /// A circuit could not be synthesised.
    #[error("a circuit could not be built: {0}; this is a defect of the program, please report it")]
    Synthesis(#[from] SynthesisError),
}
