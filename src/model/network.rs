//! The integer network: layers on integer tensors, wired into a graph.
//!
//! Tensor 0 is the input, tensor `i + 1` the output of node `i`; a node reads tensors with smaller
//! numbers. All tensors hold signed integers of one width, with zero point 0 and a scale each. What a
//! layer computes is defined by its reference evaluator ([`foldnet_layers::graph::evaluate`]) and by
//! nothing else.

use super::error::ModelError;
use super::reading::Reading;
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::graph::{self, GraphShape, GraphTrace, Node};
use foldnet_layers::layer::Layer;
use foldnet_layers::{pack, required_variables};
use ndarray::{Array1, Array2};

/// A quantised network.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerGraph {
    /// Width of all activations, 2 to 16 bits.
    pub bits: u32,
    /// Length of the input.
    pub input_len: usize,
    /// What an input integer is multiplied with to give the float.
    pub input_scale: f64,
    /// The layers in topological order.
    pub nodes: Vec<IntegerNode>,
    /// The tensor that is the output.
    pub output: usize,
    /// How it is read.
    pub reading: Reading,
}

/// A layer of an integer network.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerNode {
    /// The node of the float model that it comes from, for messages.
    pub name: String,
    /// What it computes, with proven accumulator bounds.
    pub layer: Layer,
    /// The tensors that it reads.
    pub operands: Vec<usize>,
    /// Matrix (outputs x columns) and bias (outputs) of a linear layer.
    pub weights: Option<(Array2<i64>, Array1<i64>)>,
    /// What an output integer is multiplied with to give the float.
    pub scale: f64,
}

impl IntegerGraph {
    /// Length of a tensor; zero for one that is not there.
    pub fn length(&self, tensor: usize) -> usize {
        match tensor.checked_sub(1) {
            None => self.input_len,
            Some(node) => self.nodes.get(node).map_or(0, |node| node.layer.outputs()),
        }
    }

    /// Length of the output.
    pub fn output_len(&self) -> usize {
        self.length(self.output)
    }

    /// Scale of the output.
    pub fn output_scale(&self) -> f64 {
        match self.output.checked_sub(1) {
            None => self.input_scale,
            Some(node) => self.nodes.get(node).map_or(1.0, |node| node.scale),
        }
    }

    /// The whole network as one step.
    pub fn shape(&self) -> GraphShape {
        let node = |node: &IntegerNode| Node {
            layer: node.layer.clone(),
            operands: node.operands.clone(),
        };
        GraphShape {
            inputs: vec![self.input_len],
            nodes: self.nodes.iter().map(node).collect(),
            outputs: vec![self.output],
            batch: 1,
            bits: self.bits,
            weight_variables: required_variables(self.nodes.iter().map(|node| &node.layer)),
            ends_inference: true,
        }
    }

    /// Checks layers, wiring and weights.
    ///
    /// # Errors
    /// [`ModelError::Layer`], naming the node where there is one.
    pub fn check(&self) -> Result<(), ModelError> {
        self.evaluator().map(|_| ())
    }

    /// What evaluates the network.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn evaluator(&self) -> Result<Evaluator, ModelError> {
        let shape = self.shape();
        let weights: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|node| node.weights.clone())
            .collect();
        let table = pack(&shape, &weights).map_err(|error| self.layer_error(error))?;
        Ok(Evaluator { shape, table })
    }

    /// A layer's error with the name of its node.
    pub fn layer_error(&self, source: foldnet_layers::LayerError) -> ModelError {
        let node = source.place().and_then(|place| self.nodes.get(place.index));
        ModelError::Layer {
            node: node.map_or_else(String::new, |node| node.name.clone()),
            source: Box::new(source),
        }
    }
}

/// A network with its weights in place.
#[derive(Clone, Debug)]
pub struct Evaluator {
    shape: GraphShape,
    table: WeightTable,
}

impl Evaluator {
    /// All tensors for one input, tensor 0 first.
    ///
    /// # Errors
    /// [`foldnet_layers::LayerError`] for an input of another length or width, and for an accumulator
    /// that exceeds its bound.
    pub fn run(&self, input: &[i64]) -> Result<Vec<Vec<i64>>, foldnet_layers::LayerError> {
        let trace = graph::evaluate(&self.shape, &self.table, &[input.to_vec()])?;
        let outputs = trace.layers.iter().map(|layer| layer.outputs());
        Ok(std::iter::once(input.to_vec()).chain(outputs).collect())
    }

    /// All layers' values for one input.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub fn trace(&self, input: &[i64]) -> Result<GraphTrace, foldnet_layers::LayerError> {
        graph::evaluate(&self.shape, &self.table, &[input.to_vec()])
    }

    /// The output for one input.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub fn output(&self, input: &[i64]) -> Result<Vec<i64>, foldnet_layers::LayerError> {
        let trace = graph::evaluate(&self.shape, &self.table, &[input.to_vec()])?;
        Ok(trace.outputs(&self.shape).concat())
    }
}
