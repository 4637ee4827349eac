//! foldnet: a recursive folding prover for deep networks.
//!
//! The library prints nothing and never ends the process: it reports through [`progress::Progress`]
//! and returns typed errors. Only [`cli`], which the binary is made of, writes to a terminal.

pub mod cli;
pub mod files;
pub mod fold;
pub mod key;
pub mod memory;
pub mod progress;
