//! A chain of layers as one step circuit.
//!
//! * Formula: the outputs of a layer are the inputs of the next; the digests are those of the
//!   chain's inputs and outputs ([`crate::tensor`]).
//! * Enforced: every input activation is range-checked, also in the first step (SECURITY, case 33);
//!   every layer's own constraints; every matrix product up to the two claims a layer that it
//!   returns.
//! * Assumed: the caller constrains the closed lookups at a challenge squeezed after the first
//!   segment was committed, and checks the claims.

use crate::error::{LayerError, Place};
use crate::layer::{Layer, LayerTrace, LayerWires};
use crate::layout::{LayerBlocks, layout, required_variables};
use crate::product::{self, Product};
use crate::tensor;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::{StepCircuit, StepOutput, WeightTable};
use foldnet_gadgets::transcript::TranscriptCircuit;
use serde::{Deserialize, Serialize};

/// Largest number of variables of a weight polynomial.
const LARGEST_WEIGHT_VARIABLES: u32 = 30;

/// The constants of a chain: all that its R1CS shape depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainShape {
    /// The layers; each reads the outputs of the one before.
    pub layers: Vec<Layer>,
    /// Width of the activations, 2 to 16.
    pub bits: u32,
    /// `ell`: the weight polynomial has `2^ell` entries.
    pub weight_variables: usize,
    /// Whether the chain ends an inference.
    pub ends_inference: bool,
}

impl ChainShape {
    /// Checks every constant.
    ///
    /// # Errors
    /// [`LayerError::NoLayers`]; [`LayerError::ChainParameter`] for the width and the number of
    /// weight variables; what the layers refuse; [`LayerError::Length`] where a layer does not read
    /// as many activations as the one before gives; [`LayerError::WeightVariables`] when the
    /// weights do not fit.
    pub fn validate(&self) -> Result<(), LayerError> {
        check(
            "activation bits",
            *tensor::WIDTHS.start(),
            *tensor::WIDTHS.end(),
            self.bits,
        )?;
        let variables = u32::try_from(self.weight_variables).unwrap_or(u32::MAX);
        check("weight variables", 0, LARGEST_WEIGHT_VARIABLES, variables)?;
        let mut width = self.layers.first().ok_or(LayerError::NoLayers)?.inputs();
        for (place, layer) in self.places() {
            layer.validate(place, self.bits)?;
            let (expected, got) = (width, layer.inputs());
            if got != expected {
                let advice = "give it as many inputs as the layer before has outputs";
                return Err(LayerError::Length {
                    place,
                    what: "inputs",
                    expected,
                    got,
                    advice,
                });
            }
            width = layer.outputs();
        }
        let (expected, got) = (required_variables(&self.layers), self.weight_variables);
        if got < expected {
            return Err(LayerError::WeightVariables { expected, got });
        }
        Ok(())
    }

    /// Capacity of the input vector.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    /// Capacity of the output vector.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// The cost of the chain.
    pub fn cost(&self) -> ChainCost {
        let layers: Vec<_> = self.layers.iter().map(Layer::cost).collect();
        let matrices: Vec<_> = self.layers.iter().filter_map(Layer::matrix).collect();
        let shapes: Vec<_> = matrices
            .iter()
            .map(|matrix| (matrix.rows, matrix.columns))
            .collect();
        let (products, mut hashes) = product::cost(&shapes);
        hashes.push(tensor::digest_elements(self.inputs(), self.bits));
        hashes.push(tensor::digest_elements(self.outputs(), self.bits));
        let inputs = self.inputs() * crate::range::lookups(tensor::unsigned_maximum(self.bits));
        ChainCost {
            lookups: inputs + layers.iter().map(|cost| cost.lookups).sum::<usize>(),
            layers: layers.iter().map(|cost| cost.constraints).sum(),
            products,
            hashes,
        }
    }

    fn places(&self) -> impl Iterator<Item = (Place, &Layer)> {
        let place = |(index, layer): (usize, &Layer)| Place {
            index,
            name: layer.name(),
        };
        self.layers
            .iter()
            .enumerate()
            .map(move |(i, layer)| (place((i, layer)), layer))
    }
}

fn check(what: &'static str, low: u32, high: u32, got: u32) -> Result<(), LayerError> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(LayerError::ChainParameter {
        what,
        low: i64::from(low),
        high: i64::from(high),
        got: i64::from(got),
        advice: "choose another value",
    })
}

/// What a chain costs, without the lookup table's own `2 * 256 + 1` constraints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainCost {
    /// Values looked up, one constraint each.
    pub lookups: usize,
    /// Constraints of the layers themselves.
    pub layers: usize,
    /// Constraints of the matrix products, without hashes.
    pub products: usize,
    /// Number of elements in each hash.
    pub hashes: Vec<usize>,
}

impl ChainCost {
    /// All constraints, given those of a hash of some number of elements.
    pub fn constraints(&self, mut hash: impl FnMut(usize) -> usize) -> usize {
        let hashes: usize = self.hashes.iter().map(|elements| hash(*elements)).sum();
        self.lookups + self.layers + self.products + hashes
    }
}

/// The values of one execution of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainTrace {
    /// The input activations.
    pub input: Vec<i64>,
    /// One trace a layer.
    pub layers: Vec<LayerTrace>,
}

impl ChainTrace {
    /// The output activations; the input when there are no layers.
    pub fn output(&self) -> Vec<i64> {
        self.layers
            .last()
            .map_or_else(|| self.input.clone(), LayerTrace::outputs)
    }
}

/// The reference evaluator: what the chain computes.
///
/// `input` has the length of the chain's capacity; shorter data are padded with zeros by the
/// caller.
///
/// # Errors
/// Those of [`ChainShape::validate`]; [`LayerError::WeightTable`], [`LayerError::Length`] and
/// [`LayerError::Activation`] for weights and inputs that do not fit the shape; what the layers
/// refuse.
pub fn evaluate(
    shape: &ChainShape,
    weights: &WeightTable,
    input: &[i64],
) -> Result<ChainTrace, LayerError> {
    shape.validate()?;
    let (expected, got) = (shape.weight_variables, weights.variables());
    if got != expected {
        return Err(LayerError::WeightTable { expected, got });
    }
    check_input(shape, input)?;
    let blocks = layout(shape);
    let empty = crate::layer::Weights {
        matrix: &[],
        row_length: 1,
        bias: &[],
    };
    let mut layers: Vec<LayerTrace> = Vec::with_capacity(shape.layers.len());
    let mut activations = input.to_vec();
    for (place, layer) in shape.places() {
        let blocks = blocks.iter().find(|blocks| blocks.layer == place.index);
        let weights = blocks.map_or(empty, |blocks| blocks.weights(weights));
        let trace = layer.evaluate(place, weights, &activations)?;
        activations = trace.outputs();
        layers.push(trace);
    }
    Ok(ChainTrace {
        input: input.to_vec(),
        layers,
    })
}

fn check_input(shape: &ChainShape, input: &[i64]) -> Result<(), LayerError> {
    let Some((place, layer)) = shape.places().next() else {
        return Err(LayerError::NoLayers);
    };
    let (expected, got) = (layer.inputs(), input.len());
    if got != expected {
        let advice = "pad the input with zeros to the capacity";
        return Err(LayerError::Length {
            place,
            what: "input",
            expected,
            got,
            advice,
        });
    }
    let (low, high) = tensor::range(shape.bits);
    match input
        .iter()
        .enumerate()
        .find(|(_, x)| !(low..=high).contains(*x))
    {
        Some((index, got)) => Err(LayerError::Activation {
            place,
            index,
            low,
            high,
            got: *got,
        }),
        None => Ok(()),
    }
}

/// A chain with what its circuit needs: the step circuit.
#[derive(Clone, Debug)]
pub struct Chain<F: CircuitField> {
    shape: ChainShape,
    blocks: Vec<LayerBlocks>,
    constants: HashConstants<F>,
}

impl<F: CircuitField> Chain<F> {
    /// The circuit of a shape.
    ///
    /// # Errors
    /// Those of [`ChainShape::validate`].
    pub fn new(shape: ChainShape, constants: HashConstants<F>) -> Result<Self, LayerError> {
        shape.validate()?;
        let blocks = layout(&shape);
        Ok(Chain {
            shape,
            blocks,
            constants,
        })
    }

    /// The constants of the chain.
    pub fn shape(&self) -> &ChainShape {
        &self.shape
    }

    /// The products of all layers with weights.
    fn products<'a>(
        &self,
        committed: &'a ChainWires<F>,
        weights: Option<&'a WeightTable>,
    ) -> Vec<Product<'a, F>> {
        let product = |blocks: &LayerBlocks| {
            let layer = committed.layers.get(blocks.layer)?;
            Some(Product {
                blocks: *blocks,
                accumulators: layer
                    .requantised
                    .iter()
                    .map(|wires| &wires.accumulator)
                    .collect(),
                inputs: committed.inputs_of(blocks.layer),
                weights: weights.map(|table| blocks.weights(table)),
            })
        };
        self.blocks.iter().filter_map(product).collect()
    }
}

/// The first-segment wires of a chain.
#[derive(Clone, Debug)]
pub struct ChainWires<F: CircuitField> {
    input: Vec<FirstWire<F>>,
    layers: Vec<LayerWires<F>>,
}

impl<F: CircuitField> ChainWires<F> {
    /// The wires that a layer reads: the outputs of the one before.
    fn inputs_of(&self, layer: usize) -> Vec<&FirstWire<F>> {
        let before = layer
            .checked_sub(1)
            .and_then(|before| self.layers.get(before));
        match before {
            Some(wires) => wires
                .requantised
                .iter()
                .map(|wires| &wires.quotient)
                .collect(),
            None => self.input.iter().collect(),
        }
    }

    /// The chain's outputs.
    fn output(&self) -> Vec<FirstWire<F>> {
        self.inputs_of(self.layers.len())
            .into_iter()
            .cloned()
            .collect()
    }
}

fn incompatible(what: &str, expected: usize, got: usize) -> SynthesisError {
    SynthesisError::IncompatibleLengthVector(format!("{what}: expected {expected}, got {got}"))
}

impl<F: CircuitField> StepCircuit<F> for Chain<F> {
    type Trace = ChainTrace;
    type Committed = ChainWires<F>;

    fn name(&self) -> String {
        let layer =
            |layer: &Layer| format!("{} {}x{}", layer.name(), layer.outputs(), layer.inputs());
        self.shape
            .layers
            .iter()
            .map(layer)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn weight_variables(&self) -> Option<usize> {
        (!self.blocks.is_empty()).then_some(self.shape.weight_variables)
    }

    fn ends_inference(&self) -> bool {
        self.shape.ends_inference
    }

    fn dummy_trace(&self) -> ChainTrace {
        ChainTrace {
            input: vec![0; self.shape.inputs()],
            layers: self.shape.layers.iter().map(Layer::dummy_trace).collect(),
        }
    }

    fn commit<CS: ConstraintSystem<F>>(
        &self,
        trace: &ChainTrace,
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<ChainWires<F>, SynthesisError> {
        let shape = &self.shape;
        if trace.input.len() != shape.inputs() {
            return Err(incompatible("input", shape.inputs(), trace.input.len()));
        }
        if trace.layers.len() != shape.layers.len() {
            return Err(incompatible(
                "layer traces",
                shape.layers.len(),
                trace.layers.len(),
            ));
        }
        let input = trace.input.iter().enumerate().map(|(i, x)| {
            tensor::alloc_activation(segment, &format!("input {i} limb"), *x, shape.bits)
        });
        let input = input.collect::<Result<_, _>>()?;
        let mut wires = ChainWires {
            input,
            layers: Vec::with_capacity(shape.layers.len()),
        };
        for (l, (layer, trace)) in shape.layers.iter().zip(&trace.layers).enumerate() {
            let input = wires.output();
            let committed = segment.namespace(format!("layer {l}"), |segment| {
                layer.commit(trace, &input, segment)
            })?;
            wires.layers.push(committed);
        }
        Ok(wires)
    }

    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        committed: &ChainWires<F>,
        weights: Option<&WeightTable>,
        transcript: &mut TranscriptCircuit<F>,
        cs: &mut CS,
    ) -> Result<StepOutput<F>, SynthesisError> {
        if let Some(table) = weights
            && table.variables() != self.shape.weight_variables
        {
            let (expected, got) = (self.shape.weight_variables, table.variables());
            return Err(incompatible("weight variables", expected, got));
        }
        let layers = self.shape.layers.iter().zip(&committed.layers);
        for (l, (layer, wires)) in layers.enumerate() {
            layer.constrain(wires, &mut cs.namespace(|| format!("layer {l}")))?;
        }
        let digest = |cs: &mut CS, name: &'static str, wires: &[FirstWire<F>]| {
            let cs = &mut cs.namespace(|| name);
            tensor::digest_circuit(cs, &self.constants, wires, self.shape.bits)
        };
        let input_digest = digest(cs, "input digest", &committed.input)?;
        let output_digest = digest(cs, "output digest", &committed.output())?;
        let reduced = product::constrain(
            &mut cs.namespace(|| "products"),
            transcript,
            self.shape.weight_variables,
            &self.products(committed, weights),
        )?;
        Ok(StepOutput {
            input_digest,
            output_digest,
            row_point: reduced.row_point,
            column_point: reduced.column_point,
            claims: reduced.claims,
        })
    }
}
