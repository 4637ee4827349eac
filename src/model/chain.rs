//! Float networks that are chains of dense layers.

use super::error::ModelError;
use super::graph::{FloatGraph, FloatNode, FloatOp, Interval, Planes, Window};
use ndarray::{Array1, Array2, ArrayView1};
use std::path::Path;

/// A dense layer of floats: `y = W x + b`, then `max(y, 0)` if `relu`.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatDense {
    /// The node it was read from.
    pub name: String,
    /// `W`, outputs x inputs.
    pub weights: Array2<f32>,
    /// `b`, one entry an output.
    pub bias: Array1<f32>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A chain of dense layers.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNetwork {
    /// Name of the graph.
    pub name: String,
    /// Shape of the input tensor with a batch of one; inputs are read in row-major order.
    pub input_shape: Vec<usize>,
    /// The layers, first to last; not empty.
    pub layers: Vec<FloatDense>,
}

impl FloatNetwork {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// Those of [`FloatGraph::open`], and [`ModelError::NoChain`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_graph(&FloatGraph::open(path)?)
    }

    /// Reads an ONNX model from its bytes.
    ///
    /// # Errors
    /// Those of [`FloatGraph::from_onnx`], and [`ModelError::NoChain`].
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_graph(&FloatGraph::from_onnx(bytes)?)
    }

    /// The layers of a graph that is a chain.
    ///
    /// # Errors
    /// [`ModelError::NoChain`], naming the first node that is no dense layer of the one before.
    pub fn from_graph(graph: &FloatGraph) -> Result<Self, ModelError> {
        let mut layers = Vec::with_capacity(graph.nodes.len());
        for (at, node) in graph.nodes.iter().enumerate() {
            let dense = dense(node).filter(|_| node.inputs == [at]);
            layers.push(dense.ok_or_else(|| ModelError::NoChain {
                node: node.name.clone(),
                operation: node.op.name(),
            })?);
        }
        Ok(FloatNetwork {
            name: graph.name.clone(),
            input_shape: graph.input_shape.clone(),
            layers,
        })
    }

    /// Number of values of an input.
    pub fn input_len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weights.ncols())
    }

    /// Number of values of an output.
    pub fn output_len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weights.nrows())
    }

    /// Checks that the layers fit together and hold finite numbers.
    ///
    /// # Errors
    /// [`ModelError::NoLayers`], [`ModelError::LayerShape`] and [`ModelError::NotFinite`].
    pub fn check(&self) -> Result<(), ModelError> {
        if self.layers.is_empty() {
            return Err(ModelError::NoLayers);
        }
        let mut inputs = self.input_shape.iter().product();
        for layer in &self.layers {
            let (outputs, columns) = layer.weights.dim();
            super::integer::expect(&layer.name, "inputs", inputs, columns)?;
            super::integer::expect(&layer.name, "biases", outputs, layer.bias.len())?;
            finite(&layer.name, "weights", layer.weights.iter())?;
            finite(&layer.name, "bias", layer.bias.iter())?;
            inputs = outputs;
        }
        Ok(())
    }

    /// The activations after every layer, computed in float64.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] when `input` has another length than the model takes.
    pub fn trace(&self, input: &[f32]) -> Result<Vec<Vec<f64>>, ModelError> {
        let (expected, got) = (self.input_len(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        let mut current: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
        let mut trace = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            super::integer::expect(&layer.name, "inputs", current.len(), layer.weights.ncols())?;
            current = layer.forward(&current);
            trace.push(current.clone());
        }
        Ok(trace)
    }
}

impl FloatDense {
    fn forward(&self, input: &[f64]) -> Vec<f64> {
        let row = |(weights, &bias): (ArrayView1<'_, f32>, &f32)| {
            let terms = weights
                .into_iter()
                .zip(input)
                .map(|(&w, &x)| f64::from(w) * x);
            let y = terms.sum::<f64>() + f64::from(bias);
            if self.relu { y.max(0.0) } else { y }
        };
        self.weights
            .rows()
            .into_iter()
            .zip(&self.bias)
            .map(row)
            .collect()
    }
}

fn dense(node: &FloatNode) -> Option<FloatDense> {
    let FloatOp::Linear(layer) = &node.op else {
        return None;
    };
    let points = layer.planes == Planes::points(1, layer.planes.channels);
    let plain = points && layer.groups == 1 && layer.window == Window::POINT;
    let known = [Interval::ALL, Interval::POSITIVE].contains(&node.clip);
    (plain && known).then(|| FloatDense {
        name: node.name.clone(),
        weights: layer.weights.mapv(|w| w as f32),
        bias: layer.bias.mapv(|b| b as f32),
        relu: node.clip == Interval::POSITIVE,
    })
}

/// Checks that every value is finite.
fn finite<'a>(
    node: &str,
    tensor: &str,
    values: impl Iterator<Item = &'a f32>,
) -> Result<(), ModelError> {
    for (index, &value) in values.enumerate() {
        if !value.is_finite() {
            return Err(ModelError::NotFinite {
                node: node.into(),
                tensor: tensor.into(),
                index,
                value: value.into(),
            });
        }
    }
    Ok(())
}
