//! foldnet: a recursive folding prover for deep networks.
//!
//! * [`model`] reads a float network from ONNX, makes the exact integer network that proofs speak
//!   about, and plans how it is cut into steps.

pub mod model;
