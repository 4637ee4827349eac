//! Chains of dense layers: kinds whose steps hold layers smaller than their capacities.
//!
//! Steps of one kind may hold layers smaller than the capacities: these are padded with zero rows,
//! columns and biases. A padded output is `clamp(floor(2^(s-1) / 2^s)) = 0`, since
//! `low <= 0 <= high`, and meets zero columns in the next layer, so padding changes no value. The
//! outputs of a step's last slot and the inputs of the next step's first slot have one capacity. The
//! last step ends the inference and is the only one of its kind.
//!
//! For every `ell` and every number of layers per step, layers are cut greedily from the front;
//! steps of equal dimensions share a kind; while there are too many kinds, or time is saved, the
//! two kinds whose union costs least are merged.

use super::super::network::{IntegerGraph, IntegerNode};
use super::{Best, MAX_LAYERS_PER_STEP, Part, Plan, PlanOptions, PlannedStep, Sizes};
use foldnet_layers::graph::{GraphShape, Node};
use foldnet_layers::layer::Layer;
use foldnet_layers::requantise::Requantise;
use foldnet_layers::{Gather, Linear};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Above this many kinds, all kinds that can be merged are, instead of trying pairs: the number of
/// pairs times the number of layers bounds the running time.
const PAIRED_KINDS: usize = 12;

/// Entries of the weight table that must be saved by one more block of a matrix: a block costs some
/// hundred constraints.
const WORTH_A_PIECE: usize = 1 << 15;

/// Most blocks of a matrix.
const MOST_PIECES: usize = 4;

/// A chain of dense layers.
#[derive(Debug)]
pub(super) struct Chain {
    layers: Vec<Dense>,
}

/// The sizes and constants of a dense layer, or the capacities of a slot for one.
#[derive(Clone, Copy, Debug)]
struct Dense {
    inputs: usize,
    outputs: usize,
    requantise: Requantise,
}

/// A way to cut the chain, with its kinds.
#[derive(Clone, Debug)]
struct Candidate {
    variables: usize,
    kinds: Vec<Vec<Dense>>,
    steps: Vec<(usize, Range<usize>)>,
}

impl Dense {
    fn of(node: &IntegerNode) -> Option<Self> {
        let linear = node.layer.linear()?;
        let requantise = linear.requantise;
        // Only then are padded outputs zero.
        let padded = requantise.low <= 0 && requantise.high >= 0;
        (linear.is_dense() && linear.batch == 1 && padded).then_some(Dense {
            inputs: linear.channels,
            outputs: linear.outputs,
            requantise,
        })
    }

    fn layer(&self) -> Layer {
        Linear::dense(self.inputs, self.outputs, self.requantise).into()
    }

    /// What cannot be padded: everything but the accumulator's bound.
    fn constants(&self) -> Requantise {
        Requantise {
            accumulator_bits: 1,
            ..self.requantise
        }
    }

    /// Constraints, nearly.
    fn constraints(&self) -> usize {
        let output = self.requantise.lookups() + self.requantise.constraints() + 1;
        60 * self.pieces().len() + output * self.outputs + 2 * self.inputs
    }

    /// The output channels of the blocks that hold the matrix: one block, unless several of different
    /// powers of two save many entries of the table.
    fn pieces(&self) -> Vec<Range<usize>> {
        let columns = 1usize << variables(self.inputs).min(40);
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < self.outputs {
            let left = self.outputs - start;
            let whole = left.next_power_of_two();
            let saved = (whole - left).saturating_mul(columns);
            let rows = if saved < WORTH_A_PIECE || pieces.len() + 1 == MOST_PIECES {
                left
            } else {
                whole / 2
            };
            pieces.push(start..start + rows);
            start += rows;
        }
        pieces
    }

    /// Entries of the weight table that the layer's blocks take, saturating.
    fn table_entries(&self) -> usize {
        let pieces = self.pieces();
        let sizes = pieces
            .iter()
            .map(|rows| block_size(rows.len(), self.inputs));
        sizes.fold(0, usize::saturating_add)
    }

    /// The layers that make the slot, each with the tensor that it reads, where `input` is the slot's.
    /// The last one gives the slot's output.
    fn nodes(&self, input: usize, next: usize) -> Vec<Node> {
        let pieces = self.pieces();
        if pieces.len() == 1 {
            let operands = vec![input];
            let layer = self.layer();
            return vec![Node { layer, operands }];
        }
        let piece = |rows: &Range<usize>| Node {
            layer: Linear::dense(self.inputs, rows.len(), self.requantise).into(),
            operands: vec![input],
        };
        let mut nodes: Vec<Node> = pieces.iter().map(piece).collect();
        let lengths: Vec<usize> = pieces.iter().map(ExactSizeIterator::len).collect();
        nodes.push(Node {
            layer: Gather::concatenation(&lengths).into(),
            operands: (next..next + pieces.len()).collect(),
        });
        nodes
    }

    /// What fills the layers of the slot.
    fn parts(&self, node: usize) -> Vec<Part> {
        let pieces = self.pieces();
        if pieces.len() == 1 {
            return vec![Part::whole(node)];
        }
        let part = |rows| Part { node, rows };
        let joined = std::iter::once(part(None));
        pieces
            .into_iter()
            .map(|rows| part(Some(rows)))
            .chain(joined)
            .collect()
    }
}

impl Chain {
    /// The chain that a network is, if it is one.
    pub(super) fn of(network: &IntegerGraph) -> Option<Self> {
        let nodes = network.nodes.iter().enumerate();
        let layers = nodes.map(|(i, node)| {
            let dense = Dense::of(node)?;
            (node.operands == [i]).then_some(dense)
        });
        let layers = layers.collect::<Option<Vec<_>>>()?;
        (network.output == layers.len() && !layers.is_empty()).then_some(Chain { layers })
    }

    /// Offers the cheapest plan for every `ell` and number of layers per step.
    pub(super) fn search(
        &self,
        network: &Arc<IntegerGraph>,
        options: &PlanOptions,
        best: &mut Best<'_>,
    ) {
        let needed = |layer: &Dense| variables(layer.table_entries());
        let least = self.layers.iter().map(needed).max().unwrap_or(0);
        let entries = self.layers.iter().map(Dense::table_entries);
        let all = variables(entries.fold(0, usize::saturating_add)).max(least);
        for variables in least..=options.max_weight_variables.min(all) {
            let mut before = Vec::new();
            for per_step in 1..=MAX_LAYERS_PER_STEP {
                let cut = self.cut(variables, per_step);
                if cut == before {
                    break;
                }
                if let Some(candidate) = self.grouped((variables, options), &cut) {
                    best.offer(self.plan_of(network, candidate));
                }
                before = cut;
            }
        }
    }

    fn plan_of(&self, network: &Arc<IntegerGraph>, candidate: Candidate) -> Plan {
        let last = candidate.steps.last().map(|(kind, _)| *kind);
        let shape = |(kind, slots): (usize, &Vec<Dense>)| GraphShape {
            weight_variables: candidate.variables,
            ends_inference: Some(kind) == last,
            ..shape_of(slots, network.bits)
        };
        let step = |(kind, layers): &(usize, Range<usize>)| {
            let slots = candidate.kinds.get(*kind).into_iter().flatten();
            let parts = slots.zip(layers.clone());
            PlannedStep {
                kind: *kind,
                parts: parts.flat_map(|(slot, node)| slot.parts(node)).collect(),
            }
        };
        Plan {
            graph: Arc::clone(network),
            weight_variables: candidate.variables,
            kinds: candidate.kinds.iter().enumerate().map(shape).collect(),
            steps: candidate.steps.iter().map(step).collect(),
        }
    }
}

/// The step that the slots make, each reading the one before.
fn shape_of(slots: &[Dense], bits: u32) -> GraphShape {
    let mut nodes = Vec::with_capacity(slots.len());
    let mut tensor = 0;
    for slot in slots {
        // Tensor 0 is the input, so the next node's output has the number of nodes plus one.
        nodes.extend(slot.nodes(tensor, nodes.len() + 1));
        tensor = nodes.len();
    }
    GraphShape {
        inputs: slots.first().map(|slot| slot.inputs).into_iter().collect(),
        nodes,
        outputs: vec![tensor],
        batch: 1,
        bits,
        weight_variables: 0,
        ends_inference: false,
    }
}

impl Candidate {
    /// What is minimised among plans of one cut: seconds to fold all steps once and to prove all
    /// kinds.
    fn seconds(&self, options: &PlanOptions) -> f64 {
        let step = super::cost::step_constraints(self.variables);
        let size = |kind: &Vec<Dense>| step + kind.iter().map(Dense::constraints).sum::<usize>();
        let sizes: Vec<usize> = self.kinds.iter().map(size).collect();
        let seconds = |(kind, _): &(usize, Range<usize>)| {
            let constraints = sizes.get(*kind).copied().unwrap_or(0);
            options.cost.step_seconds(constraints, 0, self.variables)
        };
        let steps: f64 = self.steps.iter().map(seconds).sum();
        let sizes = Sizes {
            constraints: sizes,
            variables: self.variables,
        };
        steps + options.cost.once_seconds(&sizes)
    }
}

/// Entries of the weight table that a layer's two blocks take, saturating.
fn block_size(outputs: usize, inputs: usize) -> usize {
    let (rows, columns) = (variables(outputs), variables(inputs));
    if rows + columns > 40 {
        usize::MAX
    } else {
        (1 << (rows + columns)) + (1 << rows)
    }
}

/// `ceil(log2(size))`.
fn variables(size: usize) -> usize {
    size.checked_next_power_of_two()
        .map_or(usize::BITS, usize::trailing_zeros) as usize
}

fn table_size(variables: usize) -> usize {
    1 << variables.min(super::MAX_WEIGHT_VARIABLES)
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

impl Chain {
    /// Steps of at most `per_step` layers that fit `ell` without padding of capacities.
    fn cut(&self, ell: usize, per_step: usize) -> Vec<Range<usize>> {
        let mut steps = Vec::new();
        let (mut start, mut used) = (0, 0usize);
        for (position, layer) in self.layers.iter().enumerate() {
            let size = layer.table_entries();
            let full = used.saturating_add(size) > table_size(ell);
            if position > start && (full || position - start == per_step) {
                steps.push(start..position);
                (start, used) = (position, 0);
            }
            used = used.saturating_add(size);
        }
        steps.push(start..self.layers.len());
        steps
    }

    /// The cheapest plan found for a cut, if one is within the bounds.
    fn grouped(
        &self,
        (ell, options): (usize, &PlanOptions),
        cut: &[Range<usize>],
    ) -> Option<Candidate> {
        let mut grouping = self.equal_steps(cut);
        if grouping.kinds.len() > PAIRED_KINDS {
            grouping = self.merge_all(&grouping, cut);
        }
        let mut best = self.plan(ell, cut, &grouping);
        loop {
            let too_many = grouping.kinds.len() > options.max_kinds;
            let mut next: Option<(f64, Grouping, Candidate)> = None;
            for a in 0..grouping.kinds.len() {
                for b in a + 1..grouping.kinds.len() {
                    let Some(merged) = self.merge(&grouping, cut, a, b) else {
                        continue;
                    };
                    let Some(plan) = self.plan(ell, cut, &merged) else {
                        continue;
                    };
                    let seconds = plan.seconds(options);
                    if next.as_ref().is_none_or(|(least, ..)| seconds < *least) {
                        next = Some((seconds, merged, plan));
                    }
                }
            }
            let current = best.as_ref().map(|plan| plan.seconds(options));
            match next {
                Some((seconds, merged, plan))
                    if too_many || current.is_none_or(|current| seconds < current) =>
                {
                    (grouping, best) = (merged, Some(plan));
                }
                _ => return best.filter(|plan| plan.kinds.len() <= options.max_kinds),
            }
        }
    }

    /// One kind for all steps of equal dimensions; the last step alone.
    fn equal_steps(&self, cut: &[Range<usize>]) -> Grouping {
        let inputs = self.layers.first().map_or(0, |layer| layer.inputs);
        let outputs = self.layers.iter().map(|layer| layer.outputs);
        let dimensions: Vec<usize> = std::iter::once(inputs).chain(outputs).collect();
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
    fn constants(&self, layers: &Range<usize>) -> Vec<Requantise> {
        let layers = self.layers.get(layers.clone()).unwrap_or(&[]);
        layers.iter().map(Dense::constants).collect()
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
    fn plan(&self, ell: usize, cut: &[Range<usize>], grouping: &Grouping) -> Option<Candidate> {
        let mut steps: Vec<(usize, Range<usize>)> =
            cut.iter().map(|layers| (0, layers.clone())).collect();
        let mut kinds = Vec::with_capacity(grouping.kinds.len());
        for (index, members) in grouping.kinds.iter().enumerate() {
            let kind = self.kind(cut, grouping, members)?;
            let sizes = kind.iter().map(Dense::table_entries);
            if sizes.fold(0, usize::saturating_add) > table_size(ell) {
                return None;
            }
            kinds.push(kind);
            for &step in members {
                steps.get_mut(step)?.0 = index;
            }
        }
        Some(Candidate {
            variables: ell,
            kinds,
            steps,
        })
    }

    fn kind(
        &self,
        cut: &[Range<usize>],
        grouping: &Grouping,
        members: &[usize],
    ) -> Option<Vec<Dense>> {
        let first = members.first()?;
        let slot = |(slot, position): (usize, usize)| {
            let layer = self.layers.get(position)?;
            let widths = members.iter().filter_map(|&step| {
                let layer = self.layers.get(cut.get(step)?.start + slot)?;
                Some(layer.requantise.accumulator_bits)
            });
            Some(Dense {
                inputs: grouping.capacity(position),
                outputs: grouping.capacity(position + 1),
                requantise: Requantise {
                    accumulator_bits: widths.max()?,
                    ..layer.requantise
                },
            })
        };
        cut.get(*first)?.clone().enumerate().map(slot).collect()
    }
}
