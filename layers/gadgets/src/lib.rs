//! Circuit gadgets shared by the layers and the compressor of foldnet.
//!
//! The package knows fields, wires, constraints and curve points. It knows nothing of layers and
//! nothing of folding. Every gadget has a native twin that reaches the same verdict.

pub mod challenge;
pub mod claims;
pub mod commitment;
pub mod cycle;
pub mod eisenstein;
pub mod field;
pub mod hash;
pub mod lookup;
pub mod mock;
pub mod msm;
pub mod point;
pub mod segment;
pub mod small;
pub mod step;
pub mod sumcheck;
pub mod system;
pub mod transcript;
pub mod wire;

pub use bellpepper_core::{ConstraintSystem, SynthesisError};
pub use field::CircuitField;
pub use wire::{Wire, WireSystem};
