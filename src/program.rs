//! Compiled programs: an integer network cut into steps of few kinds, with its weights.

use crate::error::Error;
use crate::model::integer::{IntegerNetwork, OutOfRange, QuantisedInput};
use crate::model::plan::{Plan, PlanOptions};
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::bounds::accumulator_bits;
use foldnet_layers::chain::{ChainShape, ChainTrace, evaluate};
use foldnet_layers::dense::Dense;
use foldnet_layers::layer::Layer;
use foldnet_layers::layout::pack;
use foldnet_layers::tensor;
use ndarray::{Array1, Array2};
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
    /// Cuts an integer network into steps and packs its weights.
    ///
    /// # Errors
    /// [`Error::Model`] when no plan exists; [`Error::Layer`] when a circuit refuses a layer.
    pub fn new(
        name: &str,
        network: &IntegerNetwork,
        options: &PlanOptions,
    ) -> Result<Self, Error> {
        let plan = Plan::new(network, options)?;
        let padded = (0..plan.steps.len())
            .map(|step| plan.padded(network, step))
            .collect::<Result<Vec<_>, _>>()?;
        let kinds = shapes(&plan, &padded, network.bits);
        let mut steps = Vec::with_capacity(plan.steps.len());
        for (step, matrices) in plan.steps.iter().zip(&padded) {
            let shape = kinds.get(step.kind).ok_or(Error::Program("a plan names no such kind"))?;
            let layers = network.layers.get(step.layers.clone()).unwrap_or_default();
            steps.push(ProgramStep {
                kind: step.kind,
                weights: pack(shape, matrices)?,
                layers: layers.iter().map(|layer| layer.name.clone()).collect(),
            });
        }
        let edge = |step: Option<&ProgramStep>| step.and_then(|step| kinds.get(step.kind));
        let input = Tensor {
            length: network.input_len(),
            capacity: edge(steps.first()).map_or(0, ChainShape::inputs),
            scale: network.input_scale,
        };
        let output = Tensor {
            length: network.output_len(),
            capacity: edge(steps.last()).map_or(0, ChainShape::outputs),
            scale: network.output_scale,
        };
        let weight_variables = plan.weight_variables;
        let bits = network.bits;
        Ok(Program { name: name.into(), bits, kinds, steps, weight_variables, input, output })
    }

    /// Rounds an input to integers: `clamp(round(x / scale))`.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of values; [`Error::Model`] for a value that is not
    /// finite, or lies outside the calibrated range when those are rejected.
    pub fn quantise(&self, input: &[f32], outside: OutOfRange) -> Result<QuantisedInput, Error> {
        if input.len() != self.input.length {
            let (expected, got) = (self.input.length, input.len());
            return Err(Error::Length { what: "input", expected, got });
        }
        Ok(QuantisedInput::round(input, self.input.scale, tensor::range(self.bits), outside)?)
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

/// The kinds of a plan, with the exact accumulator bounds of the layers that fill each slot.
fn shapes(
    plan: &Plan,
    padded: &[Vec<(Array2<i64>, Array1<i64>)>],
    bits: u32,
) -> Vec<ChainShape> {
    let mut kinds: Vec<ChainShape> = plan
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
                        accumulator_bits: 1,
                    })
                })
                .collect(),
            bits,
            weight_variables: plan.weight_variables,
            ends_inference: kind.ends_inference,
        })
        .collect();
    for (step, matrices) in plan.steps.iter().zip(padded) {
        let mut range = tensor::range(bits);
        let slots = kinds.get_mut(step.kind).map(|kind| kind.layers.as_mut_slice());
        for (layer, (weights, bias)) in slots.unwrap_or_default().iter_mut().zip(matrices) {
            let Layer::Dense(dense) = layer;
            let needed = accumulator_bits(weights, bias, range.0, range.1);
            dense.accumulator_bits = dense.accumulator_bits.max(needed);
            range = (dense.low, dense.high);
        }
    }
    kinds
}
