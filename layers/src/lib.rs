//! Integer layers of foldnet: reference evaluation, witness and constraints.
//!
//! A quantised network is a function on integers, defined by [`graph::evaluate`] and by nothing
//! else. Each layer is one file with its reference evaluation, its witness, its constraints and its
//! tests, and one row of the list in [`layer`]. Several layers make a [`graph::Graph`], the step
//! circuit that the folding engine folds. Everything here can be checked without folding, with
//! [`check`].
//!
//! Weights never enter the constraints: all products with weights of a step share one sum-check
//! ([`product`]), which leaves two claims a layer about the step's weight polynomial
//! ([`mod@layout`]).

pub mod argmax;
pub mod average_pool;
pub mod bounds;
pub mod check;
pub mod combine;
mod divide;
pub mod error;
pub mod gather;
pub mod graph;
pub mod layer;
pub mod layout;
pub mod linear;
pub mod matmul;
pub mod max_pool;
mod maximum;
pub mod multiply;
pub mod normalise;
pub mod one_hot;
pub mod product;
pub mod range;
pub mod requantise;
pub mod softmax;
pub mod table;
pub mod tensor;
pub mod window;

pub use argmax::ArgMax;
pub use average_pool::AveragePool;
pub use combine::Combine;
pub use error::LayerError;
pub use gather::Gather;
pub use graph::{Graph, GraphShape, GraphTrace, Node, SaltedTrace, evaluate};
pub use layer::Layer;
pub use layout::{layout, pack, required_variables};
pub use linear::Linear;
pub use matmul::MatMul;
pub use max_pool::MaxPool;
pub use multiply::Multiply;
pub use normalise::Normalise;
pub use one_hot::OneHot;
pub use softmax::Softmax;
pub use table::Table;
pub use window::Window;
