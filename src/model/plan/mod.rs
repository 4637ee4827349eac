//! How a network is cut into steps, and which steps share a kind (PROTOCOL, section 3 of the
//! design).
//!
//! A *step* holds consecutive layers of the network in topological order. The tensors that layers
//! after a cut still read are *live* there and pass through the state. A *kind* is the shape of a
//! step: steps with equal layers, wiring and live tensors share one. Layers with more weights than a
//! step may have are split by output channels first (`split.rs`).
//!
//! # Chains of dense layers
//! For these, steps of one kind may also hold layers smaller than the kind's capacities (`dense.rs`):
//! they are padded with zero rows, columns and biases.
//!
//! # Search
//! For every `ell` and several sizes of steps, layers are cut greedily from the front. The cheapest
//! plan under a [`CostModel`] is taken that has few enough kinds, weights and constraints, and fits
//! into the memory. The search is deterministic; it is a heuristic, not an optimum over all cuts.

pub mod cost;
mod cuts;
mod dense;
mod split;

use super::error::ModelError;
use super::network::{IntegerGraph, IntegerNode};
pub use cost::{CostModel, MemoryModel, OnceModel, Sizes};
use foldnet_gadgets::step::WeightTable;
use foldnet_layers::graph::GraphShape;
use foldnet_layers::{LayerError, pack};
use ndarray::{Array1, Array2, Axis, Slice};
use std::ops::Range;
use std::sync::Arc;

/// The largest `ell` there can be.
pub const MAX_WEIGHT_VARIABLES: usize = 22;

/// The largest number of layers of a step.
pub const MAX_LAYERS_PER_STEP: usize = 64;

/// A cut of a network into steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network with large layers split; steps name its nodes.
    pub graph: Arc<IntegerGraph>,
    /// `ell`: the weight table of every step has `2^ell` entries.
    pub weight_variables: usize,
    /// The kinds, in the order of their first step.
    pub kinds: Vec<GraphShape>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// A step: which nodes of the network, in which kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Position in [`Plan::kinds`].
    pub kind: usize,
    /// What fills each layer of the kind.
    pub parts: Vec<Part>,
}

/// What fills a layer of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The node of [`Plan::graph`].
    pub node: usize,
    /// Which of its output channels, where the layer holds a piece of it; channels that the node does
    /// not have are padding.
    pub rows: Option<Range<usize>>,
}

impl Part {
    /// A whole node.
    pub fn whole(node: usize) -> Self {
        Part { node, rows: None }
    }

    /// The node's weights that belong here.
    fn weights(&self, node: &IntegerNode) -> Option<(Array2<i64>, Array1<i64>)> {
        let (matrix, bias) = node.weights.as_ref()?;
        let Some(rows) = &self.rows else {
            return Some((matrix.clone(), bias.clone()));
        };
        let rows = rows.start.min(matrix.nrows())..rows.end.min(matrix.nrows());
        let rows = Slice::from(rows);
        Some((
            matrix.slice_axis(Axis(0), rows).to_owned(),
            bias.slice_axis(Axis(0), rows).to_owned(),
        ))
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// The largest `ell`, at most [`MAX_WEIGHT_VARIABLES`].
    pub max_weight_variables: usize,
    /// The largest number of kinds.
    pub max_kinds: usize,
    /// The largest number of constraints of all kinds together: a Groth16 proof pays for each.
    pub max_constraints: usize,
    /// The most bytes that folding may take.
    pub memory: Option<u64>,
    /// Inferences that every step carries.
    pub batch: usize,
    /// What is minimised.
    pub cost: CostModel,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            max_weight_variables: 20,
            max_kinds: 8,
            max_constraints: 250_000,
            memory: None,
            batch: 1,
            cost: CostModel::default(),
        }
    }
}

impl Plan {
    /// Plans `network`.
    ///
    /// # Errors
    /// Those of [`IntegerGraph::check`]; [`ModelError::WeightVariables`];
    /// [`ModelError::LayerTooLarge`]; [`ModelError::Memory`] when only the memory is too small;
    /// [`ModelError::TooManyConstraints`] when every cut with few enough kinds has too many;
    /// [`ModelError::TooManyKinds`] when there is no such cut.
    pub fn new(network: &IntegerGraph, options: &PlanOptions) -> Result<Self, ModelError> {
        network.check()?;
        let most = options.max_weight_variables;
        if most > MAX_WEIGHT_VARIABLES {
            let (got, most) = (most, MAX_WEIGHT_VARIABLES);
            return Err(ModelError::WeightVariables { got, most });
        }
        let mut best = Best::new(options);
        let split = split::split(network, most)?;
        if let Some(chain) = dense::Chain::of(network) {
            chain.search(&Arc::new(network.clone()), options, &mut best);
        }
        cuts::search(&Arc::new(split), options, &mut best);
        best.result()
    }

    /// The weight table of a step.
    ///
    /// # Errors
    /// [`ModelError::PlanMismatch`] when there is no such step; [`ModelError::Layer`] for weights that
    /// do not fit the kind.
    pub fn weights(&self, step: usize) -> Result<WeightTable, ModelError> {
        let missing = || ModelError::PlanMismatch {
            reason: format!("no step {step}"),
        };
        let planned = self.steps.get(step).ok_or_else(missing)?;
        let kind = self.kinds.get(planned.kind).ok_or_else(missing)?;
        let slots = kind.layers().zip(&planned.parts);
        let weights = slots.filter(|(layer, _)| layer.linear().is_some());
        let weights = weights.filter_map(|(_, part)| {
            let node = self.graph.nodes.get(part.node)?;
            part.weights(node)
        });
        let weights: Vec<(Array2<i64>, Array1<i64>)> = weights.collect();
        pack(kind, &weights).map_err(|source: LayerError| {
            let place = source
                .place()
                .and_then(|place| planned.parts.get(place.index));
            let node = place.and_then(|part| self.graph.nodes.get(part.node));
            ModelError::Layer {
                node: node.map_or_else(String::new, |node| node.name.clone()),
                source: Box::new(source),
            }
        })
    }

    /// The nodes of a step, one for each layer of its kind.
    pub fn nodes(&self, step: &PlannedStep) -> impl Iterator<Item = &IntegerNode> {
        let parts = step.parts.iter();
        parts.filter_map(|part| self.graph.nodes.get(part.node))
    }

    /// What times and memory depend on.
    pub fn sizes(&self) -> Sizes {
        Sizes::of(&self.kinds, self.weight_variables)
    }

    /// Predicted seconds to fold all steps once.
    pub fn seconds(&self, model: &CostModel, sizes: &Sizes) -> f64 {
        let steps = self.steps.iter().map(|step| step.kind);
        model.fold_seconds(&self.kinds, sizes, steps)
    }
}

/// The best plan so far.
#[derive(Debug)]
struct Best<'a> {
    options: &'a PlanOptions,
    best: Option<(f64, Plan)>,
    /// The least bytes of a plan that was dropped for its memory only.
    least_bytes: Option<u64>,
    /// The fewest constraints of a plan that was dropped for them.
    fewest_constraints: Option<usize>,
}

impl<'a> Best<'a> {
    fn new(options: &'a PlanOptions) -> Self {
        Best {
            options,
            best: None,
            least_bytes: None,
            fewest_constraints: None,
        }
    }

    /// Offers a plan for single inferences.
    fn offer(&mut self, mut plan: Plan) {
        if self.options.batch > 1 {
            let kinds = plan.kinds.iter();
            plan.kinds = kinds
                .map(|kind| kind.repeated(self.options.batch))
                .collect();
        }
        let sizes = plan.sizes();
        let constraints = sizes.rows();
        if plan.kinds.len() > self.options.max_kinds {
            return;
        }
        if constraints > self.options.max_constraints {
            let fewest = self.fewest_constraints.unwrap_or(usize::MAX);
            self.fewest_constraints = Some(fewest.min(constraints));
            return;
        }
        let bytes = self.options.cost.memory.bytes(&sizes);
        if self.options.memory.is_some_and(|memory| bytes > memory) {
            self.least_bytes = Some(self.least_bytes.map_or(bytes, |least| least.min(bytes)));
            return;
        }
        let cost = &self.options.cost;
        let seconds = plan.seconds(cost, &sizes) + cost.once_seconds(&sizes);
        if self.best.as_ref().is_none_or(|(least, _)| seconds < *least) {
            self.best = Some((seconds, plan));
        }
    }

    fn result(self) -> Result<Plan, ModelError> {
        let options = self.options;
        match (self.best, self.least_bytes, self.fewest_constraints) {
            (Some((_, plan)), ..) => Ok(plan),
            (None, Some(least), _) => Err(ModelError::Memory {
                got: options.memory.unwrap_or(0),
                least,
            }),
            (None, None, Some(least)) => Err(ModelError::TooManyConstraints {
                least,
                most: options.max_constraints,
            }),
            (None, None, None) => Err(ModelError::TooManyKinds {
                most: options.max_kinds,
            }),
        }
    }
}
