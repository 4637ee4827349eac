//! From a float model to an integer network cut into steps.
//!
//! * [`graph`]: the float network, a graph of few operations, and its evaluator.
//! * [`import`]: ONNX to [`FloatGraph`].
//! * [`reference`]: the float network in another implementation, to compare with.
//! * [`chain`]: float networks that are chains of dense layers, [`FloatNetwork`].
//! * [`json`]: inputs and calibration samples as other tools write them.
//! * [`quantise`]: static calibration, [`FloatNetwork`] to [`IntegerNetwork`], accuracy report.
//! * [`integer`]: the integer network and its evaluator, which define what is proven.
//! * [`plan`]: the cut into steps and step kinds.
//! * [`random`]: deep random networks for benchmarks.
//!
//! Floats occur before quantisation only (PROTOCOL, section 2 of the design): a proof is about the
//! integers of [`IntegerNetwork::evaluate`].

pub mod calibrate;
pub mod chain;
mod error;
pub mod graph;
pub mod import;
pub mod inspect;
pub mod integer;
pub mod json;
mod lower;
pub mod network;
pub mod plan;
pub mod quantise;
pub mod random;
pub mod reference;
pub mod report;

pub use calibrate::Method;
pub use chain::{FloatDense, FloatNetwork};
pub use error::ModelError;
pub use graph::{FloatGraph, FloatNode, FloatOp};
pub use inspect::Inspection;
pub use integer::{Evaluation, IntegerDense, IntegerNetwork, OutOfRange, QuantisedInput};
pub use json::Samples;
pub use network::{Evaluator, IntegerGraph, IntegerNode};
pub use plan::{CostModel, Plan, PlanOptions, PlannedStep};
pub use quantise::{Accuracy, Calibration, QuantiseOptions};
pub use reference::FloatReference;
pub use report::{LayerReport, Quantised, Report};
