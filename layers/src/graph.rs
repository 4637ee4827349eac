//! Layers wired into one step circuit.
//!
//! * A step reads the live tensors before it and leaves the live tensors after it. Tensors are
//!   numbered: first the inputs, then the outputs of the layers in order; a layer reads tensors with
//!   smaller numbers than its own output.
//! * A step carries `batch` inferences: every tensor holds one slice an inference, one after the
//!   other, and every inference has a digest of its own slices of the live tensors, with a salt
//!   ([`crate::tensor`]).
//! * Enforced: every input activation is range-checked, also in the first step (SECURITY, case 33);
//!   every layer's own constraints; every product with weights up to the two claims a layer that it
//!   returns; the digests.
//! * Assumed: the caller constrains the closed lookups at a challenge squeezed after the first
//!   segment was committed, and checks the claims.

use crate::error::{LayerError, Place};
use crate::layer::{Layer, LayerTrace, LayerWires};
use crate::layout::{LayerBlocks, layout, required_variables};
use crate::linear::Linear;
use crate::product::{self, Product};
use crate::tensor;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet_gadgets::CircuitField;
use foldnet_gadgets::hash::HashConstants;
use foldnet_gadgets::lookup::FunctionTable;
use foldnet_gadgets::segment::{FirstSegment, FirstWire};
use foldnet_gadgets::step::{StepCircuit, StepOutput, WeightTable};
use foldnet_gadgets::transcript::TranscriptCircuit;
use foldnet_gadgets::wire::Wire;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Largest number of variables of a weight polynomial.
const LARGEST_WEIGHT_VARIABLES: u32 = 30;

/// Most inferences in one step.
pub const LARGEST_BATCH: usize = 1 << 12;

/// Most live tensors at a cut.
const MOST_LIVE: usize = 256;

/// Most entries of the linear combinations of a step's constraints, with what its tensors stand for; those
/// of hashes are not counted, since activations and inferences have bounds of their own.
pub const MOST_TERMS: usize = 1 << 26;

/// Entries that a value of a layer's operands or outputs counts as, since it takes memory in synthesis
/// though no constraint may read it: some hundred bytes.
const VALUE_TERMS: usize = 32;

/// The constants of a step: all that its R1CS shape depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphShape {
    /// Lengths of the live tensors before the step.
    pub inputs: Vec<usize>,
    /// The layers in order, each with the tensors that it reads.
    pub nodes: Vec<Node>,
    /// The live tensors after the step.
    pub outputs: Vec<usize>,
    /// Inferences in the step.
    pub batch: usize,
    /// Width of the activations, 2 to 16.
    pub bits: u32,
    /// `ell`: the weight polynomial has `2^ell` entries.
    pub weight_variables: usize,
    /// Whether the step ends an inference.
    pub ends_inference: bool,
}

/// A layer of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The layer.
    pub layer: Layer,
    /// The tensors that it reads: the step's inputs are numbered first, then the layers' outputs.
    pub operands: Vec<usize>,
}

/// A step of layers of one operand each of which reads the one before.
pub fn chain(layers: Vec<Layer>, bits: u32) -> GraphShape {
    let inputs = layers
        .first()
        .and_then(|layer| layer.operands().first().copied());
    let last = layers.len();
    let nodes = layers.into_iter().enumerate().map(|(i, layer)| Node {
        layer,
        operands: vec![i],
    });
    let nodes: Vec<Node> = nodes.collect();
    GraphShape {
        inputs: inputs.into_iter().collect(),
        weight_variables: required_variables(nodes.iter().map(|node| &node.layer)),
        nodes,
        outputs: vec![last],
        batch: 1,
        bits,
        ends_inference: false,
    }
}

impl GraphShape {
    /// Checks every constant.
    ///
    /// # Errors
    /// [`LayerError::NoLayers`]; [`LayerError::StepParameter`] for the width, the number of
    /// inferences, of weight variables and of live tensors; what the layers refuse;
    /// [`LayerError::Operands`] for a layer that reads what is not there; [`LayerError::Length`]
    /// where a tensor has not the length that the layer reads; [`LayerError::Terms`] where the
    /// constraints have more than [`MOST_TERMS`] entries; [`LayerError::WeightVariables`] when the
    /// weights do not fit.
    pub fn validate(&self) -> Result<(), LayerError> {
        self.validate_after(0).map(|_| ())
    }

    /// [`Self::validate`] where others have some entries already: the entries with those of this step.
    ///
    /// # Errors
    /// Those of [`Self::validate`]; [`LayerError::Terms`] for the first layer with which they exceed
    /// [`MOST_TERMS`].
    pub fn validate_after(&self, entries: usize) -> Result<usize, LayerError> {
        self.validate_within(entries, MOST_TERMS)
    }

    /// [`Self::validate`] without the bound of entries, which is that of a step: all layers of a network
    /// together may have more.
    ///
    /// # Errors
    /// Those of [`Self::validate`] but [`LayerError::Terms`].
    pub fn validate_unbounded(&self) -> Result<(), LayerError> {
        self.validate_within(0, usize::MAX).map(|_| ())
    }

    fn validate_within(&self, others: usize, most: usize) -> Result<usize, LayerError> {
        if self.nodes.is_empty() {
            return Err(LayerError::NoLayers);
        }
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (narrowest, widest) = (*tensor::WIDTHS.start(), *tensor::WIDTHS.end());
        for (what, low, high, got) in [
            (
                "activation bits",
                i64::from(narrowest),
                i64::from(widest),
                i64::from(self.bits),
            ),
            (
                "weight variables",
                0,
                i64::from(LARGEST_WEIGHT_VARIABLES),
                number(self.weight_variables),
            ),
            ("inferences", 1, number(LARGEST_BATCH), number(self.batch)),
            (
                "live tensors before",
                1,
                number(MOST_LIVE),
                number(self.inputs.len()),
            ),
            (
                "live tensors after",
                1,
                number(MOST_LIVE),
                number(self.outputs.len()),
            ),
        ] {
            check(what, low, high, got)?;
        }
        let (lengths, entries) = self.validate_nodes(others, most)?;
        let mut total = 0usize;
        for (i, live) in self.outputs.iter().enumerate() {
            check("a live tensor", 0, number(lengths.len() - 1), number(*live))?;
            let again = self.outputs.iter().take(i).any(|before| before == live);
            check("repetitions of a live tensor", 0, 0, i64::from(again))?;
            total = total.saturating_add(lengths.get(*live).copied().unwrap_or(0));
        }
        let largest = number(crate::window::LARGEST_LENGTH);
        let before = self
            .inputs
            .iter()
            .fold(0, |n: usize, length| n.saturating_add(*length));
        check("live values before", 1, largest, number(before))?;
        check("live values after", 1, largest, number(total))?;
        if self.ends_inference && self.batch > 1 {
            check(
                "outputs of several inferences",
                1,
                1,
                number(self.outputs.len()),
            )?;
        }
        let (expected, got) = (required_variables(self.layers()), self.weight_variables);
        if got < expected {
            return Err(LayerError::WeightVariables { expected, got });
        }
        Ok(entries)
    }

    /// Checks the layers one by one; returns the lengths of all tensors, and the entries with those of
    /// `others`.
    fn validate_nodes(
        &self,
        others: usize,
        most: usize,
    ) -> Result<(Vec<usize>, usize), LayerError> {
        let mut lengths = Vec::with_capacity(self.inputs.len() + self.nodes.len());
        for length in &self.inputs {
            let largest = crate::window::LARGEST_LENGTH as i64;
            let got = i64::try_from(*length).unwrap_or(i64::MAX);
            check("length of a live tensor", 1, largest, got)?;
            self.check_batch(*length)?;
            lengths.push(*length);
        }
        let mut entries = others;
        for (place, node) in self.places() {
            node.layer.validate(place, self.bits)?;
            // Before the next layer is looked at: what comes later takes time in proportion.
            entries = add_terms(place, (entries, most), node)?;
            let expected = node.layer.operands();
            let got: Option<Vec<usize>> = node
                .operands
                .iter()
                .map(|operand| lengths.get(*operand).copied())
                .collect();
            let got = got.filter(|got| got.len() == expected.len());
            let Some(got) = got else {
                return Err(LayerError::Operands {
                    place,
                    expected: expected.len(),
                    got: node.operands.clone(),
                    tensors: lengths.len(),
                });
            };
            for (expected, got) in expected.into_iter().zip(got) {
                same_length(place, "operand", expected, got)?;
            }
            self.check_batch(node.layer.outputs())?;
            lengths.push(node.layer.outputs());
        }
        Ok((lengths, entries))
    }

    /// Every tensor has one slice an inference.
    fn check_batch(&self, length: usize) -> Result<(), LayerError> {
        let rest = i64::try_from(length % self.batch.max(1)).unwrap_or(i64::MAX);
        check("rest of a tensor divided by the inferences", 0, 0, rest)
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.nodes.iter().map(|node| &node.layer)
    }

    /// The layer at an index, if it is linear.
    pub(crate) fn linear(&self, index: usize) -> Option<(Place, &Linear)> {
        let (place, node) = self.places().nth(index)?;
        Some((place, node.layer.linear()?))
    }

    /// Lengths of the live tensors after the step, of a valid shape.
    pub fn output_lengths(&self) -> Vec<usize> {
        let length = |live: &usize| match live.checked_sub(self.inputs.len()) {
            None => self.inputs.get(*live).copied(),
            Some(node) => self.nodes.get(node).map(|node| node.layer.outputs()),
        };
        self.outputs
            .iter()
            .map(|live| length(live).unwrap_or(0))
            .collect()
    }

    /// Activations of one inference that the step reads.
    pub fn input_len(&self) -> usize {
        self.inputs.iter().sum::<usize>() / self.batch.max(1)
    }

    /// Activations of one inference that the step leaves.
    pub fn output_len(&self) -> usize {
        self.output_lengths().iter().sum::<usize>() / self.batch.max(1)
    }

    /// The step for `count` times as many inferences.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        GraphShape {
            inputs: self.inputs.iter().map(|length| length * count).collect(),
            nodes: self
                .nodes
                .iter()
                .map(|node| Node {
                    layer: node.layer.repeated(count),
                    operands: node.operands.clone(),
                })
                .collect(),
            batch: self.batch * count,
            ..self.clone()
        }
    }

    /// How many challenges the step squeezes for its products and layers.
    fn challenges(&self) -> usize {
        let all = self.layers().any(Layer::needs_challenges);
        let linear = || self.layers().filter_map(Layer::linear);
        match (all || linear().any(Linear::has_positions), linear().next()) {
            (true, _) => 2,
            (false, Some(_)) => 1,
            (false, None) => 0,
        }
    }

    /// The cost of the step.
    pub fn cost(&self) -> StepCost {
        let layers: Vec<_> = self.layers().map(Layer::cost).collect();
        let linears = self.nodes.iter().filter_map(|node| {
            let linear = node.layer.linear()?;
            Some((linear, *node.operands.first()?))
        });
        let linears: Vec<(&Linear, usize)> = linears.collect();
        let (products, mut hashes) = product::cost(&linears, self.challenges());
        let digest = |length| tensor::digest_elements(length, self.bits);
        for length in [self.input_len(), self.output_len()] {
            hashes.extend(std::iter::repeat_n(digest(length), self.batch));
        }
        let checks = crate::range::lookups(tensor::unsigned_maximum(self.bits));
        let inputs = self.inputs.iter().sum::<usize>() * checks;
        StepCost {
            lookups: inputs + layers.iter().map(|cost| cost.lookups).sum::<usize>(),
            pairs: layers.iter().map(|cost| cost.pairs).sum(),
            tables: self.table_rows(),
            layers: layers.iter().map(|cost| cost.constraints).sum(),
            products,
            hashes,
        }
    }

    /// Rows of each function table of the step; equal tables are one.
    fn table_rows(&self) -> Vec<usize> {
        let mut tables: Vec<FunctionTable> = Vec::new();
        for table in self.layers().filter_map(Layer::table) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        tables.iter().map(|table| table.entries.len()).collect()
    }

    fn places(&self) -> impl Iterator<Item = (Place, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| {
            let name = node.layer.name();
            (Place { index, name }, node)
        })
    }
}

/// Adds the entries of a layer's constraints, and those that its tensors stand for.
fn add_terms(
    place: Place,
    (before, most): (usize, usize),
    node: &Node,
) -> Result<usize, LayerError> {
    let within = |got: usize| {
        if got <= most {
            return Ok(got);
        }
        Err(LayerError::Terms { place, most, got })
    };
    // The tensors first: counting entries takes time in proportion to them.
    let operands = node.layer.operands().into_iter();
    let values = operands.fold(node.layer.outputs(), usize::saturating_add);
    let held = within(before.saturating_add(values.saturating_mul(VALUE_TERMS)))?;
    within(held.saturating_add(node.layer.terms()))
}

fn same_length(
    place: Place,
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), LayerError> {
    if expected == got {
        return Ok(());
    }
    Err(LayerError::Length {
        place,
        what,
        expected,
        got,
        advice: "the layers before it were made for another network; compile the model again",
    })
}

fn check(what: &'static str, low: i64, high: i64, got: i64) -> Result<(), LayerError> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(LayerError::StepParameter {
        what,
        low,
        high,
        got,
        advice: "choose another value",
    })
}

/// What a step costs, without the range table's own `2 * 256 + 1` constraints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCost {
    /// Values looked up, one constraint each.
    pub lookups: usize,
    /// Pairs looked up in function tables, two constraints each.
    pub pairs: usize,
    /// Rows of each function table, one constraint each and one a table.
    pub tables: Vec<usize>,
    /// Constraints of the layers themselves.
    pub layers: usize,
    /// Constraints of the products with weights, without hashes.
    pub products: usize,
    /// Number of elements in each hash.
    pub hashes: Vec<usize>,
}

impl StepCost {
    /// All constraints, given those of a hash of some number of elements.
    pub fn constraints(&self, mut hash: impl FnMut(usize) -> usize) -> usize {
        let hashes: usize = self.hashes.iter().map(|elements| hash(*elements)).sum();
        let tables: usize = self.tables.iter().map(|rows| rows + 1).sum();
        let lookups = self.lookups + 2 * self.pairs + tables;
        lookups + self.layers + self.products + hashes
    }
}

/// The values of one execution of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphTrace {
    /// The live tensors before.
    pub inputs: Vec<Vec<i64>>,
    /// One trace a layer.
    pub layers: Vec<LayerTrace>,
}

impl GraphTrace {
    /// A tensor of the step, if there is one with this number.
    pub fn tensor(&self, number: usize) -> Option<Cow<'_, [i64]>> {
        match number.checked_sub(self.inputs.len()) {
            None => self.inputs.get(number).map(|input| input.as_slice().into()),
            Some(layer) => self.layers.get(layer).map(|trace| trace.outputs().into()),
        }
    }

    /// The live tensors after the step.
    pub fn outputs(&self, shape: &GraphShape) -> Vec<Vec<i64>> {
        let outputs = shape.outputs.iter().filter_map(|live| self.tensor(*live));
        outputs.map(Cow::into_owned).collect()
    }
}

/// A trace with the salts of the digests before and after, one an inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaltedTrace<F> {
    /// The values.
    pub trace: GraphTrace,
    /// Salts of the digests before the step.
    pub before: Vec<F>,
    /// Salts of the digests after the step.
    pub after: Vec<F>,
}

impl<F: CircuitField> SaltedTrace<F> {
    /// A trace of public activations: all salts are zero.
    pub fn public(trace: GraphTrace, batch: usize) -> Self {
        SaltedTrace {
            trace,
            before: vec![F::ZERO; batch],
            after: vec![F::ZERO; batch],
        }
    }
}

/// The reference evaluator: what the step computes on live tensors of the lengths of its inputs.
///
/// # Errors
/// Those of [`GraphShape::validate_unbounded`]; [`LayerError::WeightTable`], [`LayerError::LiveTensors`],
/// [`LayerError::Length`] and [`LayerError::Activation`] for weights and inputs that do not fit the
/// shape; what the layers refuse.
pub fn evaluate(
    shape: &GraphShape,
    weights: &WeightTable,
    inputs: &[Vec<i64>],
) -> Result<GraphTrace, LayerError> {
    shape.validate_unbounded()?;
    let (expected, got) = (shape.weight_variables, weights.variables());
    if got != expected {
        return Err(LayerError::WeightTable { expected, got });
    }
    check_inputs(shape, inputs)?;
    let blocks = layout(shape);
    let empty = crate::layer::Weights {
        matrix: &[],
        row_length: 1,
        bias: &[],
    };
    let mut trace = GraphTrace {
        inputs: inputs.to_vec(),
        layers: Vec::with_capacity(shape.nodes.len()),
    };
    for (place, node) in shape.places() {
        let blocks = blocks.iter().find(|blocks| blocks.layer == place.index);
        let weights = blocks.map_or(empty, |blocks| blocks.weights(weights));
        let operands: Vec<_> = node
            .operands
            .iter()
            .filter_map(|i| trace.tensor(*i))
            .collect();
        let operands: Vec<&[i64]> = operands.iter().map(AsRef::as_ref).collect();
        let layer = node.layer.evaluate(place, weights, &operands)?;
        trace.layers.push(layer);
    }
    Ok(trace)
}

fn check_inputs(shape: &GraphShape, inputs: &[Vec<i64>]) -> Result<(), LayerError> {
    let (expected, got) = (shape.inputs.len(), inputs.len());
    if got != expected {
        return Err(LayerError::LiveTensors { expected, got });
    }
    let (low, high) = tensor::range(shape.bits);
    for (tensor, (expected, input)) in shape.inputs.iter().zip(inputs).enumerate() {
        let place = Place {
            index: tensor,
            name: "live tensor",
        };
        same_length(place, "input", *expected, input.len())?;
        let outside = |(_, x): &(usize, &i64)| !(low..=high).contains(*x);
        if let Some((index, got)) = input.iter().enumerate().find(outside) {
            return Err(LayerError::Activation {
                tensor,
                index,
                low,
                high,
                got: *got,
            });
        }
    }
    Ok(())
}

/// A shape with what its circuit needs: the step circuit.
#[derive(Clone, Debug)]
pub struct Graph<F: CircuitField> {
    shape: GraphShape,
    blocks: Vec<LayerBlocks>,
    constants: HashConstants<F>,
}

impl<F: CircuitField> Graph<F> {
    /// The circuit of a shape.
    ///
    /// # Errors
    /// Those of [`GraphShape::validate`].
    pub fn new(shape: GraphShape, constants: HashConstants<F>) -> Result<Self, LayerError> {
        shape.validate()?;
        let blocks = layout(&shape);
        Ok(Graph {
            shape,
            blocks,
            constants,
        })
    }

    /// The constants of the step.
    pub fn shape(&self) -> &GraphShape {
        &self.shape
    }

    /// The products of all layers with weights.
    fn products<'a>(
        &'a self,
        committed: &'a GraphWires<F>,
        weights: Option<&'a WeightTable>,
    ) -> Vec<Product<'a, F>> {
        let product = |blocks: &LayerBlocks| {
            let node = self.shape.nodes.get(blocks.layer)?;
            let layer = committed.layers.get(blocks.layer)?;
            let accumulators = layer.requantised.iter();
            Some(Product {
                linear: node.layer.linear()?,
                blocks: *blocks,
                operand: *node.operands.first()?,
                accumulators: accumulators.map(|wires| &wires.accumulator).collect(),
                inputs: committed.tensor(*node.operands.first()?)?,
                weights: weights.map(|table| blocks.weights(table)),
            })
        };
        self.blocks.iter().filter_map(product).collect()
    }

    /// The digests of the live tensors, one an inference.
    fn digests<CS: ConstraintSystem<F>>(
        &self,
        cs: &mut CS,
        live: &[&[FirstWire<F>]],
        salts: &[FirstWire<F>],
    ) -> Result<Vec<Wire<F>>, SynthesisError> {
        let digest = |(inference, salt): (usize, &FirstWire<F>)| {
            let slice = |tensor: &&'_ [FirstWire<F>]| {
                let length = tensor.len() / self.shape.batch;
                (inference * length, length)
            };
            let slices = live.iter().flat_map(|tensor| {
                let (start, length) = slice(tensor);
                tensor.iter().skip(start).take(length)
            });
            let wires: Vec<&FirstWire<F>> = slices.collect();
            let cs = &mut cs.namespace(|| format!("inference {inference}"));
            tensor::digest_circuit(cs, &self.constants, &wires, self.shape.bits, salt.wire())
        };
        salts.iter().enumerate().map(digest).collect()
    }
}

/// The first-segment wires of a step.
#[derive(Clone, Debug)]
pub struct GraphWires<F: CircuitField> {
    /// All tensors: inputs, then outputs of the layers.
    tensors: Vec<Vec<FirstWire<F>>>,
    layers: Vec<LayerWires<F>>,
    before: Vec<FirstWire<F>>,
    after: Vec<FirstWire<F>>,
}

impl<F: CircuitField> GraphWires<F> {
    fn tensor(&self, number: usize) -> Option<&[FirstWire<F>]> {
        self.tensors.get(number).map(Vec::as_slice)
    }

    /// Some tensors in order.
    fn select(&self, numbers: &[usize]) -> Vec<&[FirstWire<F>]> {
        numbers
            .iter()
            .filter_map(|number| self.tensor(*number))
            .collect()
    }
}

fn incompatible(what: &str, expected: usize, got: usize) -> SynthesisError {
    SynthesisError::IncompatibleLengthVector(format!("{what}: expected {expected}, got {got}"))
}

fn expect(what: &str, expected: usize, got: usize) -> Result<(), SynthesisError> {
    if expected == got {
        Ok(())
    } else {
        Err(incompatible(what, expected, got))
    }
}

impl<F: CircuitField> StepCircuit<F> for Graph<F> {
    type Trace = SaltedTrace<F>;
    type Committed = GraphWires<F>;

    fn name(&self) -> String {
        let lengths = |node: &Node| {
            let operands: Vec<_> = node.layer.operands().iter().map(usize::to_string).collect();
            format!(
                "{} {} -> {}",
                node.layer.name(),
                operands.join("+"),
                node.layer.outputs()
            )
        };
        self.shape
            .nodes
            .iter()
            .map(lengths)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn weight_variables(&self) -> Option<usize> {
        (!self.blocks.is_empty()).then_some(self.shape.weight_variables)
    }

    fn ends_inference(&self) -> bool {
        self.shape.ends_inference
    }

    fn inferences(&self) -> usize {
        self.shape.batch
    }

    fn dummy_trace(&self) -> SaltedTrace<F> {
        let trace = GraphTrace {
            inputs: self
                .shape
                .inputs
                .iter()
                .map(|length| vec![0; *length])
                .collect(),
            layers: self.shape.layers().map(Layer::dummy_trace).collect(),
        };
        SaltedTrace::public(trace, self.shape.batch)
    }

    fn commit<CS: ConstraintSystem<F>>(
        &self,
        SaltedTrace {
            trace,
            before,
            after,
        }: &SaltedTrace<F>,
        segment: &mut FirstSegment<'_, F, CS>,
    ) -> Result<GraphWires<F>, SynthesisError> {
        let shape = &self.shape;
        expect("live tensors", shape.inputs.len(), trace.inputs.len())?;
        expect("layer traces", shape.nodes.len(), trace.layers.len())?;
        expect("salts before", shape.batch, before.len())?;
        expect("salts after", shape.batch, after.len())?;
        let mut tensors = Vec::with_capacity(shape.inputs.len() + shape.nodes.len());
        for (i, (length, input)) in shape.inputs.iter().zip(&trace.inputs).enumerate() {
            expect("input", *length, input.len())?;
            let activation = |(k, x): (usize, &i64)| {
                tensor::alloc_activation(segment, &format!("input {i} {k} limb"), *x, shape.bits)
            };
            let wires = input.iter().enumerate().map(activation);
            tensors.push(wires.collect::<Result<Vec<_>, _>>()?);
        }
        let mut wires = GraphWires {
            tensors,
            layers: Vec::with_capacity(shape.nodes.len()),
            before: Vec::new(),
            after: Vec::new(),
        };
        for (l, (node, trace)) in shape.nodes.iter().zip(&trace.layers).enumerate() {
            let operands = wires.select(&node.operands);
            let committed = segment.namespace(format!("layer {l}"), |segment| {
                node.layer.commit(trace, &operands, segment)
            })?;
            wires.tensors.push(committed.outputs().cloned().collect());
            wires.layers.push(committed);
        }
        let mut salts = |name: &str, salts: &[F]| {
            let alloc = |(i, salt): (usize, &F)| segment.alloc(format!("salt {name} {i}"), *salt);
            salts
                .iter()
                .enumerate()
                .map(alloc)
                .collect::<Result<Vec<_>, _>>()
        };
        wires.before = salts("before", before)?;
        wires.after = salts("after", after)?;
        Ok(wires)
    }

    fn constrain<CS: ConstraintSystem<F>>(
        &self,
        committed: &GraphWires<F>,
        weights: Option<&WeightTable>,
        transcript: &mut TranscriptCircuit<F>,
        cs: &mut CS,
    ) -> Result<StepOutput<F>, SynthesisError> {
        let shape = &self.shape;
        if let Some(table) = weights {
            expect(
                "weight variables",
                shape.weight_variables,
                table.variables(),
            )?;
        }
        let inputs: Vec<usize> = (0..shape.inputs.len()).collect();
        let input_digests = self.digests(
            &mut cs.namespace(|| "input digest"),
            &committed.select(&inputs),
            &committed.before,
        )?;
        let output_digests = self.digests(
            &mut cs.namespace(|| "output digest"),
            &committed.select(&shape.outputs),
            &committed.after,
        )?;
        let mut products_cs = cs.namespace(|| "products");
        let challenges = product::challenges(&mut products_cs, transcript, shape.challenges())?;
        drop(products_cs);
        let challenges = challenges.as_ref();
        for (l, (node, wires)) in shape.nodes.iter().zip(&committed.layers).enumerate() {
            let operands = committed.select(&node.operands);
            let needed = challenges.filter(|_| node.layer.needs_challenges());
            let cs = &mut cs.namespace(|| format!("layer {l}"));
            node.layer.constrain(wires, &operands, needed, cs)?;
        }
        let reduced = product::constrain(
            &mut cs.namespace(|| "products"),
            transcript,
            challenges,
            shape.weight_variables,
            &self.products(committed, weights),
        )?;
        Ok(StepOutput {
            input_digests,
            output_digests,
            row_point: reduced.row_point,
            column_point: reduced.column_point,
            claims: reduced.claims,
        })
    }
}
