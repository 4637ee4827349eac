//! Integer layers of foldnet: reference evaluation, witness and constraints.
//!
//! A quantised network is a function on integers, defined by [`chain::evaluate`] and by nothing
//! else. Each layer is one file with its reference evaluation, its witness, its constraints and its
//! tests, and one row of the list in [`layer`]. Several layers make a [`chain::Chain`], the step
//! circuit that the folding engine folds. Everything here can be checked without folding, with
//! [`check`].
//!
//! Weights never enter the constraints: all matrix products of a chain share one sum-check
//! ([`product`]), which leaves two claims a layer about the chain's weight polynomial
//! ([`mod@layout`]).

pub mod bounds;
pub mod chain;
pub mod check;
pub mod dense;
pub mod error;
pub mod layer;
pub mod layout;
pub mod product;
pub mod range;
pub mod requantise;
pub mod tensor;

pub use chain::{Chain, ChainShape, ChainTrace, evaluate};
pub use dense::Dense;
pub use error::LayerError;
pub use layer::Layer;
pub use layout::{layout, pack, required_variables};
