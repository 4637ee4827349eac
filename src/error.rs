//! The library's error.

use crate::artefact::ArtefactError;
use crate::blinds::BlindsError;
use crate::checkpoint::CheckpointError;
use crate::decider::error::DeciderError;
use crate::files::FileError;
use crate::fold::error::FoldError;
use crate::key::KeyError;
use crate::model::ModelError;
use foldnet_layers::error::LayerError;
use thiserror::Error;

/// Whatever can go wrong between an ONNX file and a verdict.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A model, a sample or an input cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A layer cannot be evaluated or proven.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Folding failed, or a proof is false.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A succinct proof cannot be made, or is false.
    #[error(transparent)]
    Decider(Box<DeciderError>),
    /// A commitment key cannot be made or loaded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A program or a proof is not what it should be.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(Box<CheckpointError>),
    /// The blinds of a private model cannot be used.
    #[error(transparent)]
    Blinds(Box<BlindsError>),
    /// Something private would be folded into instances that hide nothing.
    #[error(
        "what is private can only be proven from masked start instances; use `Start::Masked` and a \
         succinct proof"
    )]
    Unmasked,
    /// An opening does not open what a proof is about.
    #[error(
        "the opening does not open the commitment to the {side}{}; it is of another proof, or was \
         altered",
        inference.map(|i| format!(" of inference {i}")).unwrap_or_default()
    )]
    Opening {
        /// Input or output.
        side: &'static str,
        /// The first inference that it does not open; none when it is about another number of them.
        inference: Option<usize>,
    },
    /// A vector has the wrong length.
    #[error("{what}: expected {expected} values, got {got}; use the shape that the model declares")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that the program has.
        expected: usize,
        /// The length found.
        got: usize,
    },
    /// A compiled program contradicts itself.
    #[error("the compiled program is inconsistent: {0}; compile the model again")]
    Program(&'static str),
}

impl From<DeciderError> for Error {
    fn from(error: DeciderError) -> Self {
        Error::Decider(Box::new(error))
    }
}

impl Error {
    /// Whether the cause is a file of a commitment key, and not the program or proof at hand.
    pub fn is_about_a_key_file(&self) -> bool {
        match self {
            Error::Key(error) | Error::Fold(FoldError::Key(error)) => error.is_about_a_file(),
            _ => false,
        }
    }

    /// Whether the error is a verdict: the proof was understood and is false.
    pub fn is_rejection(&self) -> bool {
        match self {
            Error::Fold(
                FoldError::Unsatisfied { .. }
                | FoldError::Statement { .. }
                | FoldError::Shows { .. },
            ) => true,
            Error::Decider(error) => error.is_rejection(),
            Error::Opening { .. } => true,
            _ => false,
        }
    }
}
