//! foldnet: a recursive folding prover for deep networks.
//!
//! * [`model`] reads a float network from ONNX, makes the exact integer network that proofs speak
//!   about, and plans how it is cut into steps.
//! * [`program`] is the compiled network: step kinds, steps, weights.
//! * [`fold`] is the engine: it folds steps that it knows nothing about.
//! * [`decider`] makes small proofs of what was folded, and verifies them.
//! * [`session`] puts the two together: proves that a program maps inputs to outputs, and verifies.
//! * [`run`] is a run between two of its steps, and [`checkpoint`] keeps it on disk.
//! * [`visibility`] is what a statement shows and hides, [`opening`] shows it later, and [`blinds`] hide
//!   the weights of a private model.
//! * [`artefact`], [`proof`], [`key`] and [`files`] keep programs, proofs and commitment keys on disk.
//!
//! The library prints nothing and never ends the process: it reports through [`progress::Progress`]
//! and returns typed errors. Only [`cli`], which the binary is made of, writes to a terminal.

pub mod artefact;
pub mod blinds;
pub mod checkpoint;
pub mod cli;
mod commitments;
pub mod decider;
pub mod error;
pub mod files;
pub mod fold;
pub mod key;
pub mod memory;
pub mod model;
pub mod opening;
pub mod program;
pub mod progress;
pub mod proof;
pub mod run;
pub mod session;
pub mod visibility;
pub mod weights;

pub use error::Error;
