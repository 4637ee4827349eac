//! How a network is cut into steps, and which steps share a kind (PROTOCOL, section 3 of the
//! design).
//!
//! A *step* holds consecutive layers. A *kind* is the shape of a step: for every layer slot the
//! *capacities* (vector lengths), shift and clamps. Steps of one kind may hold layers smaller than
//! the capacities: these are padded with zero rows, columns and biases. A padded output is
//! `clamp(floor(2^(s-1) / 2^s)) = 0`, since `low <= 0 <= high`, and meets zero columns in the next
//! layer, so padding changes no value. The outputs of a step's last slot and the inputs of the next
//! step's first slot have one capacity. The last step ends the inference and is the only one of its
//! kind.
//!
//! # Weight table
//! The weights of a step are one table of `2^ell` entries, `ell` being [`Plan::weight_variables`]
//! for all kinds. A layer with capacities `outputs x inputs` takes a block of `2^a 2^b` entries for
//! its matrix and one of `2^a` for its bias, `a = ceil(log2(outputs))`, `b = ceil(log2(inputs))`.
//! Blocks are powers of two and placed largest first, hence aligned without gaps: a step fits iff
//! its block sizes sum to at most `2^ell`.
//!
//! # Search
//! For every `ell` and every number of layers per step, layers are cut greedily from the front;
//! steps of equal dimensions share a kind; while there are too many kinds, or time is saved, the
//! two kinds whose union costs least are merged. The cheapest plan under a [`CostModel`] is taken.
//! The search is deterministic; it is a heuristic, not an optimum over all cuts.

use super::error::ModelError;
use super::integer::{IntegerDense, IntegerNetwork};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// The largest `ell` there can be.
pub const MAX_WEIGHT_VARIABLES: usize = 22;

/// Above this many kinds, all kinds that can be merged are, instead of trying pairs: the number of
/// pairs times the number of layers bounds the running time.
const PAIRED_KINDS: usize = 12;

/// The largest number of layers per step that is tried.
const MAX_LAYERS_PER_STEP: usize = 64;

/// A cut of a network into steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `ell`: the weight table of every step has `2^ell` entries.
    pub weight_variables: usize,
    /// The kinds, in the order of their first step.
    pub kinds: Vec<PlannedKind>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// The shape of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedKind {
    /// The layer slots; the outputs of a slot are the inputs of the next one.
    pub layers: Vec<PlannedLayer>,
    /// Whether the step ends an inference.
    pub ends_inference: bool,
}

/// A layer slot of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLayer {
    /// Capacity of the input vector.
    pub inputs: usize,
    /// Capacity of the output vector.
    pub outputs: usize,
    /// The requantisation shift.
    pub shift: u32,
    /// The lower clamp.
    pub low: i64,
    /// The upper clamp.
    pub high: i64,
    /// Signed bits of an accumulator, the most over all layers put into this slot
    /// ([`IntegerDense::accumulator_bits`]).
    pub accumulator_bits: u32,
}

/// A step: which layers of the network, in which kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Position in [`Plan::kinds`].
    pub kind: usize,
    /// Positions in [`IntegerNetwork::layers`].
    pub layers: Range<usize>,
}

/// Matrix (outputs x inputs) and bias of a layer, padded with zeros to the capacities of its slot.
pub type PaddedLayer = (Array2<i64>, Array1<i64>);

/// Predicted sizes and times; targets to be replaced by measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// Constraints of a step without layers: recursion and claims.
    pub step_constraints: usize,
    /// Constraints of a layer without activations: its evaluation claims.
    pub layer_constraints: usize,
    /// Constraints of an output: accumulator, quotient, clamp.
    pub output_constraints: usize,
    /// Constraints of an input: its part in the evaluation claims.
    pub input_constraints: usize,
    /// Seconds to fold a constraint.
    pub fold_constraint: f64,
    /// Seconds to fold an entry of the weight table.
    pub fold_weight: f64,
    /// Seconds of the final proof for a constraint of a kind, padded to a power of two.
    pub compress_constraint: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel {
            step_constraints: 28_000,
            layer_constraints: 60,
            output_constraints: 14,
            input_constraints: 2,
            fold_constraint: 3e-6,
            fold_weight: 150e-9,
            compress_constraint: 20e-6,
        }
    }
}

impl CostModel {
    /// Predicted constraints of a kind.
    pub fn constraints(&self, kind: &PlannedKind) -> usize {
        let layer = |l: &PlannedLayer| {
            self.layer_constraints
                + self.output_constraints * l.outputs
                + self.input_constraints * l.inputs
        };
        self.step_constraints + kind.layers.iter().map(layer).sum::<usize>()
    }

    /// Predicted seconds to fold all steps once and to prove all kinds.
    pub fn seconds(&self, plan: &Plan) -> f64 {
        let sizes: Vec<usize> = plan
            .kinds
            .iter()
            .map(|kind| self.constraints(kind))
            .collect();
        let weights = self.fold_weight * table_size(plan.weight_variables) as f64;
        let step = |s: &PlannedStep| {
            weights + self.fold_constraint * sizes.get(s.kind).map_or(0.0, |&size| size as f64)
        };
        let kind = |&size: &usize| self.compress_constraint * size.next_power_of_two() as f64;
        plan.steps.iter().map(step).sum::<f64>() + sizes.iter().map(kind).sum::<f64>()
    }
}

/// Bounds of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// The largest `ell`, at most [`MAX_WEIGHT_VARIABLES`].
    pub max_weight_variables: usize,
    /// The largest number of kinds.
    pub max_kinds: usize,
    /// What is minimised.
    pub cost: CostModel,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            max_weight_variables: 20,
            max_kinds: 8,
            cost: CostModel::default(),
        }
    }
}

impl Plan {
    /// Plans `network`.
    ///
    /// # Errors
    /// Those of [`IntegerNetwork::check`], [`ModelError::WeightVariables`],
    /// [`ModelError::LayerTooLarge`], and [`ModelError::TooManyKinds`] when no cut tried has few
    /// enough kinds.
    pub fn new(network: &IntegerNetwork, options: &PlanOptions) -> Result<Self, ModelError> {
        let accumulator_bits = network.check()?;
        let most = options.max_weight_variables;
        if most > MAX_WEIGHT_VARIABLES {
            let (got, most) = (most, MAX_WEIGHT_VARIABLES);
            return Err(ModelError::WeightVariables { got, most });
        }
        let mut least = 0;
        for layer in &network.layers {
            let (outputs, inputs) = layer.weights.dim();
            let needed = variables(block_size(outputs, inputs));
            if needed > most {
                let layer = layer.name.clone();
                return Err(ModelError::LayerTooLarge {
                    layer,
                    outputs,
                    inputs,
                    needed,
                    most,
                });
            }
            least = least.max(needed);
        }
        Search {
            network,
            options,
            accumulator_bits,
        }
        .best(least)
        .ok_or(ModelError::TooManyKinds {
            most: options.max_kinds,
        })
    }

    /// The integer matrices (outputs x inputs) and biases of the layers of step `step`, padded with
    /// zeros to the capacities of its kind.
    ///
    /// # Errors
    /// [`ModelError::PlanMismatch`] when the step does not exist, or its kind does not hold the
    /// layers of `network`.
    pub fn padded(
        &self,
        network: &IntegerNetwork,
        step: usize,
    ) -> Result<Vec<PaddedLayer>, ModelError> {
        let mismatch = |reason: String| ModelError::PlanMismatch { reason };
        let planned = self
            .steps
            .get(step)
            .ok_or_else(|| mismatch(format!("no step {step}")))?;
        let kind = self.kinds.get(planned.kind);
        let kind = kind.ok_or_else(|| mismatch(format!("step {step} has no kind")))?;
        let layers = network.layers.get(planned.layers.clone());
        let layers = layers.filter(|layers| layers.len() == kind.layers.len());
        let layers = layers.ok_or_else(|| mismatch(format!("step {step} has other layers")))?;
        let padded = |(slot, layer): (&PlannedLayer, &IntegerDense)| {
            slot.padded(layer)
                .ok_or_else(|| mismatch(format!("layer `{}` is not of its slot", layer.name)))
        };
        kind.layers.iter().zip(layers).map(padded).collect()
    }

    /// Checks a plan that was not made by [`Plan::new`] for this network: that the steps cover the
    /// layers in order, that capacities and clamps hold them and agree between slots and steps,
    /// that accumulators are as wide as needed, that tables fit, and that exactly the last step
    /// ends the inference and is alone in its kind.
    ///
    /// # Errors
    /// Those of [`IntegerNetwork::check`], and [`ModelError::PlanMismatch`].
    pub fn check(&self, network: &IntegerNetwork) -> Result<(), ModelError> {
        let accumulator_bits = network.check()?;
        let mismatch = |reason: String| Err(ModelError::PlanMismatch { reason });
        if self.weight_variables > MAX_WEIGHT_VARIABLES {
            return mismatch(format!("ell = {} is too large", self.weight_variables));
        }
        let mut position = 0;
        let mut width = None;
        for (index, step) in self.steps.iter().enumerate() {
            self.padded(network, index)?;
            let Some(kind) = self.kinds.get(step.kind) else {
                continue;
            };
            if step.layers.start != position || step.layers.is_empty() {
                return mismatch(format!("step {index} does not follow the step before"));
            }
            let ends = index + 1 == self.steps.len();
            let alone = self.steps.iter().filter(|s| s.kind == step.kind).count() == 1;
            if kind.ends_inference != ends || (ends && !alone) {
                return mismatch(format!("step {index} ends or does not end the inference"));
            }
            if kind.table_entries() > table_size(self.weight_variables) {
                return mismatch(format!("step {index} has more weights than the table"));
            }
            for (slot, &bits) in kind
                .layers
                .iter()
                .zip(accumulator_bits.iter().skip(position))
            {
                if width.is_some_and(|width| width != slot.inputs) {
                    return mismatch(format!("capacities in or before step {index} disagree"));
                }
                if slot.accumulator_bits < bits {
                    return mismatch(format!("step {index} has too narrow an accumulator"));
                }
                width = Some(slot.outputs);
            }
            position = step.layers.end;
        }
        if position != network.layers.len() {
            return mismatch(format!("{position} layers are planned"));
        }
        Ok(())
    }
}

impl PlannedKind {
    /// Entries of the weight table that blocks take, see the [module](self).
    pub fn table_entries(&self) -> usize {
        let blocks = self
            .layers
            .iter()
            .map(|slot| block_size(slot.outputs, slot.inputs));
        blocks.fold(0, usize::saturating_add)
    }
}

impl PlannedLayer {
    /// The padded matrix and bias of `layer`, if the slot holds it.
    fn padded(&self, layer: &IntegerDense) -> Option<PaddedLayer> {
        let (outputs, inputs) = layer.weights.dim();
        let same = (self.shift, self.low, self.high) == (layer.shift, layer.low, layer.high);
        let biases = layer.bias.len() == outputs;
        if !same || !biases || outputs > self.outputs || inputs > self.inputs {
            return None;
        }
        let weight = |at: (usize, usize)| layer.weights.get(at).copied().unwrap_or(0);
        let bias = |at: usize| layer.bias.get(at).copied().unwrap_or(0);
        Some((
            Array2::from_shape_fn((self.outputs, self.inputs), weight),
            Array1::from_shape_fn(self.outputs, bias),
        ))
    }
}

fn table_size(variables: usize) -> usize {
    1 << variables.min(MAX_WEIGHT_VARIABLES)
}

/// `ceil(log2(size))`.
fn variables(size: usize) -> usize {
    size.checked_next_power_of_two()
        .map_or(usize::BITS, usize::trailing_zeros) as usize
}

/// `2^a (2^b + 1)`: the entries of a layer's two blocks; `usize::MAX` when they do not fit.
fn block_size(outputs: usize, inputs: usize) -> usize {
    let (rows, columns) = (variables(outputs), variables(inputs));
    if rows + columns > 40 {
        usize::MAX
    } else {
        (1 << (rows + columns)) + (1 << rows)
    }
}

/// One run of the planner.
struct Search<'a> {
    network: &'a IntegerNetwork,
    options: &'a PlanOptions,
    accumulator_bits: Vec<u32>,
}

/// Steps grouped into kinds, with the capacities this implies.
///
/// Activation position `i` is the vector before layer `i`. Positions that must have one capacity
/// are in one class: a step's last position is the next step's first by construction, and steps of
/// one kind share their positions slot by slot.
#[derive(Clone)]
struct Grouping {
    /// The steps of every kind, by their position in the cut.
    kinds: Vec<Vec<usize>>,
    /// The class of every activation position.
    classes: Vec<usize>,
    /// The capacity of every class.
    capacities: Vec<usize>,
}

impl Grouping {
    /// Puts two activation positions into one class.
    fn unite(&mut self, a: usize, b: usize) {
        let (Some(&keep), Some(&drop)) = (self.classes.get(a), self.classes.get(b)) else {
            return;
        };
        if keep == drop {
            return;
        }
        let other = self.capacities.get(drop).copied().unwrap_or(0);
        if let Some(capacity) = self.capacities.get_mut(keep) {
            *capacity = (*capacity).max(other);
        }
        for class in self.classes.iter_mut().filter(|class| **class == drop) {
            *class = keep;
        }
    }

    /// The capacity at an activation position.
    fn capacity(&self, position: usize) -> usize {
        self.classes
            .get(position)
            .and_then(|&c| self.capacities.get(c))
            .copied()
            .unwrap_or(0)
    }
}

impl Search<'_> {
    /// The cheapest plan with at least `least` variables.
    fn best(&self, least: usize) -> Option<Plan> {
        let mut best: Option<(f64, Plan)> = None;
        for ell in least..=self.options.max_weight_variables {
            let mut before = Vec::new();
            for per_step in 1..=MAX_LAYERS_PER_STEP {
                let cut = self.cut(ell, per_step);
                if cut == before {
                    break;
                }
                if let Some(candidate) = self.grouped(ell, &cut) {
                    let seconds = self.options.cost.seconds(&candidate);
                    if best.as_ref().is_none_or(|(least, _)| seconds < *least) {
                        best = Some((seconds, candidate));
                    }
                }
                before = cut;
            }
        }
        best.map(|(_, plan)| plan)
    }

    /// Steps of at most `per_step` layers that fit `ell` without padding of capacities.
    fn cut(&self, ell: usize, per_step: usize) -> Vec<Range<usize>> {
        let mut steps = Vec::new();
        let (mut start, mut used) = (0, 0usize);
        for (position, layer) in self.network.layers.iter().enumerate() {
            let (outputs, inputs) = layer.weights.dim();
            let size = block_size(outputs, inputs);
            let full = used.saturating_add(size) > table_size(ell);
            if position > start && (full || position - start == per_step) {
                steps.push(start..position);
                (start, used) = (position, 0);
            }
            used = used.saturating_add(size);
        }
        steps.push(start..self.network.layers.len());
        steps
    }

    /// The cheapest plan found for a cut, if one is within the bounds.
    fn grouped(&self, ell: usize, cut: &[Range<usize>]) -> Option<Plan> {
        let mut grouping = self.equal_steps(cut);
        if grouping.kinds.len() > PAIRED_KINDS {
            grouping = self.merge_all(&grouping, cut);
        }
        let mut best = self.plan(ell, cut, &grouping);
        loop {
            let too_many = grouping.kinds.len() > self.options.max_kinds;
            let mut next: Option<(f64, Grouping, Plan)> = None;
            for a in 0..grouping.kinds.len() {
                for b in a + 1..grouping.kinds.len() {
                    let Some(merged) = self.merge(&grouping, cut, a, b) else {
                        continue;
                    };
                    let Some(plan) = self.plan(ell, cut, &merged) else {
                        continue;
                    };
                    let seconds = self.options.cost.seconds(&plan);
                    if next.as_ref().is_none_or(|(least, ..)| seconds < *least) {
                        next = Some((seconds, merged, plan));
                    }
                }
            }
            let current = best.as_ref().map(|plan| self.options.cost.seconds(plan));
            match next {
                Some((seconds, merged, plan))
                    if too_many || current.is_none_or(|current| seconds < current) =>
                {
                    (grouping, best) = (merged, Some(plan));
                }
                _ => return best.filter(|plan| plan.kinds.len() <= self.options.max_kinds),
            }
        }
    }

    /// One kind for all steps of equal dimensions; the last step alone.
    fn equal_steps(&self, cut: &[Range<usize>]) -> Grouping {
        let dimensions: Vec<usize> = std::iter::once(self.network.input_len())
            .chain(
                self.network
                    .layers
                    .iter()
                    .map(|layer| layer.weights.nrows()),
            )
            .collect();
        let mut grouping = Grouping {
            kinds: Vec::new(),
            classes: (0..dimensions.len()).collect(),
            capacities: dimensions,
        };
        let mut known = HashMap::new();
        for (step, layers) in cut.iter().enumerate() {
            let sizes: Vec<usize> = (layers.start..=layers.end)
                .map(|p| grouping.capacities.get(p).copied().unwrap_or(0))
                .collect();
            let last = step + 1 == cut.len();
            let fresh = grouping.kinds.len();
            let kind = *known
                .entry((self.constants(layers), sizes, last))
                .or_insert(fresh);
            match grouping.kinds.get_mut(kind) {
                Some(steps) => steps.push(step),
                None => grouping.kinds.push(vec![step]),
            }
        }
        self.unite_kinds(&mut grouping, cut);
        grouping
    }

    /// Puts positions of all steps of a kind into common classes.
    fn unite_kinds(&self, grouping: &mut Grouping, cut: &[Range<usize>]) {
        for kind in grouping.kinds.clone() {
            let steps: Vec<&Range<usize>> = kind.iter().filter_map(|&s| cut.get(s)).collect();
            for pair in steps.windows(2) {
                let [a, b] = pair else { continue };
                for (p, q) in (a.start..=a.end).zip(b.start..=b.end) {
                    grouping.unite(p, q);
                }
            }
        }
    }

    /// Shift and clamps of a range of layers: what cannot be padded.
    fn constants(&self, layers: &Range<usize>) -> Vec<(u32, i64, i64)> {
        let layers = self.network.layers.get(layers.clone()).unwrap_or(&[]);
        layers
            .iter()
            .map(|layer| (layer.shift, layer.low, layer.high))
            .collect()
    }

    /// Kinds `a < b` as one, if their layers have equal constants and neither ends the inference.
    fn merge(
        &self,
        grouping: &Grouping,
        cut: &[Range<usize>],
        a: usize,
        b: usize,
    ) -> Option<Grouping> {
        let first = |kind: usize| {
            let step = *grouping.kinds.get(kind)?.first()?;
            cut.get(step).filter(|_| step + 1 < cut.len())
        };
        let (x, y) = (first(a)?, first(b)?);
        if self.constants(x) != self.constants(y) {
            return None;
        }
        let mut merged = grouping.clone();
        let moved = merged.kinds.remove(b);
        merged.kinds.get_mut(a)?.extend(moved);
        for (p, q) in (x.start..=x.end).zip(y.start..=y.end) {
            merged.unite(p, q);
        }
        Some(merged)
    }

    /// Merges every kind into the first one it can be merged with.
    fn merge_all(&self, grouping: &Grouping, cut: &[Range<usize>]) -> Grouping {
        let mut merged = grouping.clone();
        let mut b = 1;
        while b < merged.kinds.len() {
            match (0..b).find_map(|a| self.merge(&merged, cut, a, b)) {
                Some(next) => merged = next,
                None => b += 1,
            }
        }
        merged
    }

    /// The plan of a grouping, if every kind fits into `2^ell` entries.
    fn plan(&self, ell: usize, cut: &[Range<usize>], grouping: &Grouping) -> Option<Plan> {
        let mut steps: Vec<PlannedStep> = cut
            .iter()
            .map(|layers| PlannedStep {
                kind: 0,
                layers: layers.clone(),
            })
            .collect();
        let mut kinds = Vec::with_capacity(grouping.kinds.len());
        for (index, members) in grouping.kinds.iter().enumerate() {
            let kind = self.kind(cut, grouping, members)?;
            if kind.table_entries() > table_size(ell) {
                return None;
            }
            kinds.push(kind);
            for &step in members {
                steps.get_mut(step)?.kind = index;
            }
        }
        Some(Plan {
            weight_variables: ell,
            kinds,
            steps,
        })
    }

    fn kind(
        &self,
        cut: &[Range<usize>],
        grouping: &Grouping,
        members: &[usize],
    ) -> Option<PlannedKind> {
        let first = members.first()?;
        let ends_inference = first + 1 == cut.len();
        let mut layers = Vec::new();
        for (slot, position) in cut.get(*first)?.clone().enumerate() {
            let layer = self.network.layers.get(position)?;
            let widths = members.iter().filter_map(|&step| {
                self.accumulator_bits
                    .get(cut.get(step)?.start + slot)
                    .copied()
            });
            layers.push(PlannedLayer {
                inputs: grouping.capacity(position),
                outputs: grouping.capacity(position + 1),
                shift: layer.shift,
                low: layer.low,
                high: layer.high,
                accumulator_bits: widths.max()?,
            });
        }
        Some(PlannedKind {
            layers,
            ends_inference,
        })
    }
}
