//! Compiled programs: an integer network cut into steps of few kinds, with its weights.

use crate::error::Error;
use crate::model::import::{FloatNetwork, FloatReference};
use crate::model::plan::Plan;
use crate::model::quantise::{IntegerNetwork, QuantiseOptions, quantise};
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::chain::{ChainShape, ChainTrace, evaluate};
use foldnet_layers::dense::Dense;
use foldnet_layers::layer::Layer;
use foldnet_layers::layout::pack;
use serde::{Deserialize, Serialize};

/// A vector of activations at the edge of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Values that mean something.
    pub length: usize,
    /// Length in the circuit; the values after `length` are zero.
    pub capacity: usize,
    /// A float is about `scale` times its integer.
    pub scale: f64,
}

impl Tensor {
    /// `values` with zeros up to the capacity.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of values, naming `what` they are.
    pub fn pad(&self, what: &'static str, values: &[i64]) -> Result<Vec<i64>, Error> {
        if values.len() != self.length || self.length > self.capacity {
            return Err(Error::Length { what, expected: self.length, got: values.len() });
        }
        let mut padded = values.to_vec();
        padded.resize(self.capacity, 0);
        Ok(padded)
    }
}

/// One step: a kind and the weights that fill it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStep {
    /// Index into the kinds.
    pub kind: usize,
    /// The step polynomial's evaluation table.
    pub weights: WeightTable,
    /// The network's layers in the step, for messages.
    pub layers: Vec<String>,
}

/// A network ready to be proven: what a `.fold` file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The network's name.
    pub name: String,
    /// Width of the activations in bits.
    pub bits: u32,
    /// The step kinds.
    pub kinds: Vec<ChainShape>,
    /// The steps in order.
    pub steps: Vec<ProgramStep>,
    /// `ell`, the same for all kinds.
    pub weight_variables: usize,
    /// The input.
    pub input: Tensor,
    /// The output.
    pub output: Tensor,
}

impl Program {
    /// Compiles an ONNX model: imports, calibrates on `samples`, quantises and plans.
    ///
    /// # Errors
    /// [`Error::Model`] naming the node, layer or sample; [`Error::Layer`] for a layer that no
    /// circuit represents exactly.
    pub fn compile(
        onnx: &[u8],
        samples: &[Vec<f32>],
        options: &QuantiseOptions,
    ) -> Result<(Self, IntegerNetwork), Error> {
        let float = FloatNetwork::from_onnx(onnx)?;
        let reference = FloatReference::from_onnx(onnx)?;
        let network = quantise(&float, &reference, samples, options)?;
        Ok((Self::from_network(&float.name, &network)?, network))
    }

    /// Cuts an integer network into steps and packs its weights.
    ///
    /// # Errors
    /// [`Error::Model`] when no plan exists; [`Error::Layer`] when a circuit refuses a layer.
    pub fn from_network(name: &str, network: &IntegerNetwork) -> Result<Self, Error> {
        let plan = Plan::greedy(network)?;
        let kinds: Vec<ChainShape> = plan
            .kinds
            .iter()
            .map(|kind| ChainShape {
                layers: kind
                    .layers
                    .iter()
                    .map(|layer| {
                        Layer::Dense(Dense {
                            inputs: layer.inputs,
                            outputs: layer.outputs,
                            shift: layer.shift,
                            low: layer.low,
                            high: layer.high,
                            accumulator_bits: layer.accumulator_bits,
                        })
                    })
                    .collect(),
                bits: network.bits,
                weight_variables: plan.weight_variables,
                ends_inference: kind.ends_inference,
            })
            .collect();
        for kind in &kinds {
            kind.validate()?;
        }
        let mut steps = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let shape = kinds.get(step.kind).ok_or(Error::Program("a plan names no such kind"))?;
            let layers = network.layers.get(step.layers.clone()).unwrap_or_default();
            steps.push(ProgramStep {
                kind: step.kind,
                weights: pack(shape, &plan.padded(network, step)?)?,
                layers: layers.iter().map(|layer| layer.name.clone()).collect(),
            });
        }
        let edge = |kind: Option<&ProgramStep>| kind.and_then(|step| kinds.get(step.kind));
        let (first, last) = (edge(steps.first()), edge(steps.last()));
        let input = Tensor {
            length: network.layers.first().map_or(0, |layer| layer.weights.ncols()),
            capacity: first.map_or(0, ChainShape::inputs),
            scale: network.input_scale,
        };
        let output = Tensor {
            length: network.layers.last().map_or(0, |layer| layer.weights.nrows()),
            capacity: last.map_or(0, ChainShape::outputs),
            scale: network.output_scale,
        };
        let weight_variables = plan.weight_variables;
        let bits = network.bits;
        Ok(Program { name: name.into(), bits, kinds, steps, weight_variables, input, output })
    }

    /// Runs the integer network: one trace a step. `input` has `input.length` values.
    ///
    /// # Errors
    /// [`Error::Length`] for an input of another length; [`Error::Layer`] for a value out of range,
    /// naming the step's layers.
    pub fn run(&self, input: &[i64]) -> Result<Vec<ChainTrace>, Error> {
        let mut activations = self.input.pad("input", input)?;
        let mut traces = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let shape = self.kinds.get(step.kind).ok_or(Error::Program("a step names no kind"))?;
            let trace = evaluate(shape, &step.weights, &activations)?;
            activations = trace.output();
            traces.push(trace);
        }
        Ok(traces)
    }

    /// Multiplications of one inference, padding included.
    pub fn multiplications(&self) -> usize {
        let of = |step: &ProgramStep| {
            let layers = self.kinds.get(step.kind).map(|kind| kind.layers.as_slice());
            layers.unwrap_or_default().iter().map(|l| l.inputs() * l.outputs()).sum::<usize>()
        };
        self.steps.iter().map(of).sum()
    }
}
