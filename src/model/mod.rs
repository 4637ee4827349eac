//! From a float model to an integer network cut into steps.
//!
//! * [`graph`]: the float network, a graph of few operations, and its evaluator.
//! * [`import`]: ONNX to [`FloatGraph`]; [`inspect`] lists what a file consists of.
//! * [`mod@reference`]: the float network in another implementation, to compare with.
//! * [`json`]: inputs and calibration samples as other tools write them.
//! * [`calibrate`], [`quantise`]: scales from samples, [`FloatGraph`] to [`IntegerGraph`].
//! * [`reading`]: which class the outputs name.
//! * [`report`]: how well the integers follow the floats.
//! * [`network`]: the integer network and its evaluator, which define what is proven.
//! * [`integer`]: the bounds that all integers have, and the rounding of inputs.
//! * [`plan`]: the cut into steps and step kinds.
//! * [`random`]: deep random networks for benchmarks.
//!
//! Floats occur before quantisation only (PROTOCOL, section 2 of the design): a proof is about the
//! integers of [`IntegerGraph`].

pub mod calibrate;
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
pub mod reading;
pub mod reference;
pub mod report;

pub use calibrate::{Calibration, Method};
pub use error::ModelError;
pub(crate) use error::short;
pub use graph::{FloatGraph, FloatNode, FloatOp};
pub use inspect::Inspection;
pub use integer::{OutOfRange, QuantisedInput};
pub use json::Samples;
pub use network::{Evaluator, IntegerGraph, IntegerNode};
pub use plan::{CostModel, Plan, PlanOptions, PlannedStep};
pub use quantise::{QuantiseOptions, Quantised};
pub use reading::Reading;
pub use reference::FloatReference;
pub use report::{LayerReport, Report};
