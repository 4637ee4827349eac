//! Errors about layers: where, what was expected, what was got, what to do.

use std::fmt;

/// Which layer of a step an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the layer in its step, from zero.
    pub index: usize,
    /// Name of the layer's type.
    pub name: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {} ({})", self.index, self.name)
    }
}

/// Why a step, its weights or its input were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A step needs at least one layer.
    #[error("the step has no layers; give it at least one")]
    NoLayers,
    /// A parameter of the whole step lies outside its range.
    #[error("step: {what}: expected {low} to {high}, got {got}; {advice}")]
    StepParameter {
        /// The parameter.
        what: &'static str,
        /// Smallest value allowed.
        low: i64,
        /// Largest value allowed.
        high: i64,
        /// The value.
        got: i64,
        /// What to do.
        advice: &'static str,
    },
    /// A parameter of a layer lies outside its range.
    #[error("{place}: {what}: expected {low} to {high}, got {got}; {advice}")]
    Parameter {
        /// The layer.
        place: Place,
        /// The parameter.
        what: &'static str,
        /// Smallest value allowed.
        low: i64,
        /// Largest value allowed.
        high: i64,
        /// The value.
        got: i64,
        /// What to do.
        advice: &'static str,
    },
    /// The constraints of the layers up to this one have too many entries.
    #[error(
        "{place}: entries of the constraints up to this layer: expected at most {most}, got {got}; \
         use smaller windows or fewer values"
    )]
    Terms {
        /// The layer.
        place: Place,
        /// Most entries.
        most: usize,
        /// The entries; saturates.
        got: usize,
    },
    /// A vector or a side of a matrix has the wrong length.
    #[error("{place}: {what}: expected length {expected}, got {got}; {advice}")]
    Length {
        /// The layer.
        place: Place,
        /// The vector or side.
        what: &'static str,
        /// Length expected, or the largest one allowed.
        expected: usize,
        /// The length.
        got: usize,
        /// What to do.
        advice: &'static str,
    },
    /// A layer reads another number of tensors than it has operands, or one that is not there.
    #[error(
        "{place}: expected {expected} operands among the {tensors} tensors before it, got {got:?}; \
         let layers read the step's inputs and earlier layers only"
    )]
    Operands {
        /// The layer.
        place: Place,
        /// Number of operands.
        expected: usize,
        /// The tensors named.
        got: Vec<usize>,
        /// Number of tensors before the layer.
        tensors: usize,
    },
    /// A step got another number of live tensors.
    #[error("expected {expected} live tensors, got {got}; run the step before this one first")]
    LiveTensors {
        /// Live tensors before the step.
        expected: usize,
        /// Tensors given.
        got: usize,
    },
    /// The list of weights has not one entry a layer.
    #[error(
        "expected weights of {expected} layers, got {got}; give one pair (matrix, bias) a layer"
    )]
    LayerCount {
        /// Number of layers with weights.
        expected: usize,
        /// Number of pairs.
        got: usize,
    },
    /// An activation lies outside the range of its width.
    #[error(
        "live tensor {tensor}: activation {index}: expected {low} to {high}, got {got}; \
         quantise the input to the step's width"
    )]
    Activation {
        /// The live tensor.
        tensor: usize,
        /// Index of the activation.
        index: usize,
        /// Smallest value allowed.
        low: i64,
        /// Largest value allowed.
        high: i64,
        /// The value.
        got: i64,
    },
    /// An index is none of those that a layer knows.
    #[error(
        "{place}: index {position}: expected {low} to {high}, got {got}; give indices of the table's \
         rows, counted from the first"
    )]
    Index {
        /// The layer.
        place: Place,
        /// Position of the index.
        position: usize,
        /// Smallest index.
        low: i64,
        /// Largest index.
        high: i64,
        /// The index.
        got: i64,
    },
    /// An accumulator exceeds the bound that the layer was compiled with.
    #[error(
        "{place}: accumulator {index}: expected an absolute value below 2^{bits}, got {got}; \
         the weights are not those that the layer was compiled with; compile the model again"
    )]
    Accumulator {
        /// The layer.
        place: Place,
        /// Index of the output.
        index: usize,
        /// The bound's exponent.
        bits: u32,
        /// The accumulator.
        got: i128,
    },
    /// The weight polynomial has too few variables for the step's weights.
    #[error(
        "the weights need a polynomial of {expected} variables, got {got}; \
         compile the model again, with other --step-variables"
    )]
    WeightVariables {
        /// Variables needed.
        expected: usize,
        /// Variables given.
        got: usize,
    },
    /// The weight table has another number of variables than the step.
    #[error(
        "expected a weight table of {expected} variables, got {got}; \
         pack the weights with the shape of this step"
    )]
    WeightTable {
        /// Variables of the step's weight polynomial.
        expected: usize,
        /// Variables of the table.
        got: usize,
    },
}

impl LayerError {
    /// The layer that the error is about, if it is about one.
    pub fn place(&self) -> Option<Place> {
        match self {
            LayerError::Parameter { place, .. }
            | LayerError::Terms { place, .. }
            | LayerError::Index { place, .. }
            | LayerError::Length { place, .. }
            | LayerError::Operands { place, .. }
            | LayerError::Accumulator { place, .. } => Some(*place),
            _ => None,
        }
    }
}
