//! From a float model to an integer network cut into steps.
//!
//! * [`import`]: ONNX to [`FloatNetwork`], a chain of dense layers, and the float reference.
//! * [`json`]: inputs and calibration samples as other tools write them.
//! * [`quantise`]: static calibration, [`FloatNetwork`] to [`IntegerNetwork`], accuracy report.
//! * [`integer`]: the integer network and its evaluator, which define what is proven.
//! * [`plan`]: the cut into steps and step kinds.
//! * [`random`]: deep random networks for benchmarks.
//!
//! Floats occur before quantisation only (PROTOCOL, section 2 of the design): a proof is about the
//! integers of [`IntegerNetwork::evaluate`].

mod error;
pub mod import;
pub mod integer;
pub mod json;
pub mod network;
pub mod plan;
pub mod quantise;
pub mod random;
mod tensor;

pub use error::ModelError;
pub use import::{FloatDense, FloatNetwork, FloatReference};
pub use integer::{Evaluation, IntegerDense, IntegerNetwork, OutOfRange, QuantisedInput};
pub use json::Samples;
pub use plan::{CostModel, PaddedLayer, Plan, PlanOptions, PlannedKind, PlannedLayer, PlannedStep};
pub use quantise::{Accuracy, Calibration, QuantiseOptions};
