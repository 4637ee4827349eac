//! Errors about layers: where, what was expected, what was got, what to do.

use std::fmt;

/// Which layer of a chain an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the layer in its chain, from zero.
    pub index: usize,
    /// Name of the layer's type.
    pub name: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {} ({})", self.index, self.name)
    }
}

/// Why a chain, its weights or its input were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A chain needs at least one layer.
    #[error("the chain has no layers; give it at least one")]
    NoLayers,
    /// A parameter of the whole chain lies outside its range.
    #[error("chain: {what}: expected {low} to {high}, got {got}; {advice}")]
    ChainParameter {
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
        "{place}: activation {index}: expected {low} to {high}, got {got}; \
         quantise the input to the chain's width"
    )]
    Activation {
        /// The layer whose input it is.
        place: Place,
        /// Index of the activation.
        index: usize,
        /// Smallest value allowed.
        low: i64,
        /// Largest value allowed.
        high: i64,
        /// The value.
        got: i64,
    },
    /// An accumulator exceeds the bound that the layer was compiled with.
    #[error(
        "{place}: accumulator {index}: expected an absolute value below 2^{bits}, got {got}; \
         compile the layer with the bound of `bounds::accumulator_bits`"
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
    /// The weight polynomial has too few variables for the chain's weights.
    #[error(
        "the weights need a polynomial of {expected} variables, got {got}; \
         raise `weight_variables` or split the chain"
    )]
    WeightVariables {
        /// Variables needed.
        expected: usize,
        /// Variables given.
        got: usize,
    },
    /// The weight table has another number of variables than the chain.
    #[error(
        "expected a weight table of {expected} variables, got {got}; \
         pack the weights with the shape of this chain"
    )]
    WeightTable {
        /// Variables of the chain's weight polynomial.
        expected: usize,
        /// Variables of the table.
        got: usize,
    },
}
