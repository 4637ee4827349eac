//! Compiled programs: an integer network cut into steps of few kinds, with its weights.

use crate::error::Error;
use crate::fold::error::FoldError;
use crate::model::integer::{OutOfRange, QuantisedInput};
use crate::model::network::IntegerGraph;
use crate::model::plan::{Plan, PlanOptions, cost};
use crate::model::reading::Reading;
use crate::weights::WeightStore;
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::graph::{GraphShape, GraphTrace, evaluate};
use foldnet_layers::tensor;
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

/// `values` with zeros up to the capacity, all of them activations of `bits` bits: others would pack
/// to the elements of other values.
///
/// # Errors
/// [`Error::Length`] for another number of values, [`FoldError::Statement`] for a value that no circuit
/// accepts; both name `what` they are.
pub(crate) fn activations(
    what: &'static str,
    values: &[i64],
    (length, capacity): (usize, usize),
    bits: u32,
) -> Result<Vec<i64>, Error> {
    let padded = pad(what, values, (length, capacity))?;
    let (low, high) = tensor::range(bits);
    if padded.iter().any(|value| *value < low || *value > high) {
        return Err(FoldError::Statement { what }.into());
    }
    Ok(padded)
}

fn pad(
    what: &'static str,
    values: &[i64],
    (length, capacity): (usize, usize),
) -> Result<Vec<i64>, Error> {
    if values.len() != length || length > capacity {
        return Err(Error::Length {
            what,
            expected: length,
            got: values.len(),
        });
    }
    let mut padded = values.to_vec();
    padded.resize(capacity, 0);
    Ok(padded)
}

impl Tensor {
    /// `values` with zeros up to the capacity.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of values, naming `what` they are.
    pub fn pad(&self, what: &'static str, values: &[i64]) -> Result<Vec<i64>, Error> {
        pad(what, values, (self.length, self.capacity))
    }

    /// Rounds floats to integers of `bits` bits: `clamp(round(x / scale))`.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of values; [`Error::Model`] for a value that is not
    /// finite, or lies outside the calibrated range when those are rejected.
    pub fn quantise(
        &self,
        input: &[f32],
        bits: u32,
        outside: OutOfRange,
    ) -> Result<QuantisedInput, Error> {
        if input.len() != self.length {
            return Err(Error::Length {
                what: "input",
                expected: self.length,
                got: input.len(),
            });
        }
        let range = tensor::range(bits);
        Ok(QuantisedInput::round(input, self.scale, range, outside)?)
    }
}

/// One step: a kind, and the layers whose weights fill it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStep {
    /// Index into the kinds.
    pub kind: usize,
    /// The network's layers in the step, for messages.
    pub layers: Vec<String>,
}

/// A network ready to be proven: what a `.fold` file holds, without the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// The network's name.
    pub name: String,
    /// Width of the activations in bits.
    pub bits: u32,
    /// The step kinds.
    pub kinds: Vec<GraphShape>,
    /// The steps in order.
    pub steps: Vec<ProgramStep>,
    /// `ell`, the same for all kinds.
    pub weight_variables: usize,
    /// The input.
    pub input: Tensor,
    /// The output.
    pub output: Tensor,
    /// How the output is read.
    pub reading: Reading,
}

/// A program: its outline, and its weights in memory or on disk.
#[derive(Clone, Debug)]
pub struct Program {
    outline: Outline,
    weights: WeightStore,
}

impl Program {
    /// A program read from disk or made in memory.
    pub(crate) fn from_parts(outline: Outline, weights: WeightStore) -> Self {
        Program { outline, weights }
    }

    /// Everything but the weights.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// What identifies a program that is on disk, weights included.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        self.weights.digest()
    }

    /// The weights of a step, from memory or from disk.
    ///
    /// # Errors
    /// [`Error::Program`] for an unknown step; [`Error::File`] when the file cannot be read or the
    /// weights do not have the digest that the outline was stored with.
    pub fn weights(&self, step: usize) -> Result<WeightTable, Error> {
        self.weights.load(step, self.outline.weight_variables)
    }

    /// Cuts an integer network into steps and packs its weights.
    ///
    /// # Errors
    /// [`Error::Model`] when no plan exists or a circuit refuses a layer.
    pub fn new(name: &str, network: &IntegerGraph, options: &PlanOptions) -> Result<Self, Error> {
        let plan = Plan::new(network, options)?;
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut tables = Vec::with_capacity(plan.steps.len());
        for (index, step) in plan.steps.iter().enumerate() {
            tables.push(plan.weights(index)?);
            steps.push(ProgramStep {
                kind: step.kind,
                layers: plan.nodes(step).map(|node| node.name.clone()).collect(),
            });
        }
        let edge = |step: Option<&ProgramStep>| step.and_then(|step| plan.kinds.get(step.kind));
        let input = Tensor {
            length: network.input_len,
            capacity: edge(steps.first()).map_or(0, GraphShape::input_len),
            scale: network.input_scale,
        };
        let output = Tensor {
            length: network.output_len(),
            capacity: edge(steps.last()).map_or(0, GraphShape::output_len),
            scale: network.output_scale(),
        };
        let outline = Outline {
            name: name.into(),
            bits: network.bits,
            kinds: plan.kinds,
            steps,
            weight_variables: plan.weight_variables,
            input,
            output,
            reading: network.reading,
        };
        Ok(Program {
            outline,
            weights: WeightStore::Memory(tables),
        })
    }
}

impl Outline {
    /// Rounds an input to integers, see [`Tensor::quantise`].
    ///
    /// # Errors
    /// Those of [`Tensor::quantise`].
    pub fn quantise(&self, input: &[f32], outside: OutOfRange) -> Result<QuantisedInput, Error> {
        self.input.quantise(input, self.bits, outside)
    }

    /// Checks an outline that comes from a file.
    ///
    /// # Errors
    /// [`Error::Layer`] for a kind that is not valid; [`Error::Program`] when kinds, steps and
    /// tensors contradict each other.
    pub fn check(&self) -> Result<(), Error> {
        let ensure = |holds: bool, what| {
            if holds {
                Ok(())
            } else {
                Err(Error::Program(what))
            }
        };
        for kind in &self.kinds {
            kind.validate()?;
            let agrees = kind.bits == self.bits && kind.weight_variables == self.weight_variables;
            ensure(agrees, "a kind has other bits or weight variables")?;
        }
        let shapes: Option<Vec<&GraphShape>> = self
            .steps
            .iter()
            .map(|step| self.kinds.get(step.kind))
            .collect();
        let shapes = shapes.ok_or(Error::Program("a step names no kind"))?;
        let (Some(first), Some(last)) = (shapes.first(), shapes.last()) else {
            return Err(Error::Program("it has no steps"));
        };
        let joined = shapes.windows(2).all(|pair| match pair {
            [before, after] => before.output_lengths() == after.inputs && !before.ends_inference,
            _ => true,
        });
        ensure(
            joined && last.ends_inference,
            "steps do not follow each other",
        )?;
        for (tensor, capacity) in [
            (&self.input, first.input_len()),
            (&self.output, last.output_len()),
        ] {
            let fits = tensor.capacity == capacity && (1..=capacity).contains(&tensor.length);
            ensure(fits, "a tensor does not fit its step")?;
            let scale = tensor.scale.is_finite() && tensor.scale > 0.0;
            ensure(scale, "a scale is not positive")?;
        }
        Ok(())
    }

    /// Runs step `step` of the integer network on the live tensors before it.
    ///
    /// # Errors
    /// [`Error::Program`] for an unknown step; [`Error::Layer`] for a value out of range, naming
    /// the layer.
    pub fn run_step(
        &self,
        step: usize,
        weights: &WeightTable,
        inputs: &[Vec<i64>],
    ) -> Result<GraphTrace, Error> {
        let kind = self
            .steps
            .get(step)
            .and_then(|step| self.kinds.get(step.kind));
        let shape = kind.ok_or(Error::Program("a step names no kind"))?;
        Ok(evaluate(shape, weights, inputs)?)
    }

    /// Multiplications of one inference, padding included.
    pub fn multiplications(&self) -> usize {
        let kinds = self
            .steps
            .iter()
            .filter_map(|step| self.kinds.get(step.kind));
        let of = |kind: &GraphShape| cost::multiplications(kind) / kind.batch.max(1);
        kinds.map(of).sum()
    }
}
