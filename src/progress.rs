//! Progress reports of long computations.
//!
//! The library reports and prints nothing; whoever calls it decides what to show.

use std::fmt;

/// What is being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Deriving or loading commitment keys; the unit is one generator.
    Keys,
    /// Importing and committing to a model; the unit is one step of the network.
    Model,
    /// Making the circuit shapes and parameters; the unit is one shape.
    Shapes,
    /// Folding; the unit is one step.
    Fold,
    /// Proving the folded instances; the unit is one instance.
    Prove,
    /// Making or loading the keys of the small proof; the unit is one file.
    DeciderKeys,
    /// Proving many inputs; the unit is one input.
    Inputs,
    /// Making the final small proof; the unit is one phase.
    Compress,
    /// Verifying; the unit is one check.
    Verify,
}

impl Stage {
    /// A short description, as shown in front of a progress bar.
    pub fn title(self) -> &'static str {
        match self {
            Stage::Keys => "commitment keys",
            Stage::Model => "model",
            Stage::Shapes => "circuit shapes",
            Stage::Fold => "folding",
            Stage::Prove => "proving",
            Stage::DeciderKeys => "groth16 keys",
            Stage::Inputs => "inputs",
            Stage::Compress => "compressing",
            Stage::Verify => "verifying",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.title())
    }
}

/// A receiver of progress reports.
///
/// Reports come as `start`, any number of `advance`, `finish`, for one stage after the other. When
/// a computation fails, `finish` may be missing. An implementation must not fail or block.
pub trait Progress: Send {
    /// A stage of `total` units begins.
    fn start(&mut self, stage: Stage, total: u64);

    /// `done` units of the stage are done by now; a running count, not an increment.
    fn advance(&mut self, done: u64);

    /// The stage is complete.
    fn finish(&mut self);
}

/// Ignores every report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silent;

impl Progress for Silent {
    fn start(&mut self, _stage: Stage, _total: u64) {}
    fn advance(&mut self, _done: u64) {}
    fn finish(&mut self) {}
}
