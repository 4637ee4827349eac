//! Cuts of any network: consecutive nodes, with the tensors that are live between them.

use super::super::network::{IntegerGraph, IntegerNode};
use super::{Best, MAX_LAYERS_PER_STEP, Part, Plan, PlanOptions, PlannedStep};
use foldnet_layers::graph::{GraphShape, Node};
use foldnet_layers::layer::Layer;
use foldnet_layers::required_variables;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Constraints of the layers of a step that are tried as its largest size.
const SIZES: [usize; 6] = [10_000, 20_000, 40_000, 80_000, 160_000, 320_000];

/// Offers plans of steps of a fixed number of layers, and of steps of a fixed size.
pub(super) fn search(graph: &Arc<IntegerGraph>, options: &PlanOptions, best: &mut Best<'_>) {
    let network = Network::new(graph);
    let layers = || graph.nodes.iter().map(|node| &node.layer);
    let least = layers()
        .map(|layer| required_variables([layer]))
        .max()
        .unwrap_or(0);
    let all = required_variables(layers());
    for variables in least..=options.max_weight_variables.min(all.max(least)) {
        let mut tried = Vec::new();
        let counts = (1..=MAX_LAYERS_PER_STEP).map(|count| (count, usize::MAX));
        let sizes = SIZES.map(|size| (MAX_LAYERS_PER_STEP, size));
        for (count, size) in counts.chain(sizes) {
            let cut = network.cut(variables, count, size);
            if tried.contains(&cut) {
                continue;
            }
            if let Some(plan) = network.plan(variables, &cut, options.max_kinds) {
                best.offer(plan);
            }
            tried.push(cut);
        }
    }
}

/// A network with what cuts need to know about it.
struct Network<'a> {
    graph: &'a Arc<IntegerGraph>,
    /// For every tensor the last node that reads it, if one does; the number of nodes for the output.
    last_reader: Vec<Option<usize>>,
    /// Numbers of the layers, equal for layers that are equal but for accumulator bounds.
    classes: Vec<usize>,
    /// Constraints of every layer by itself, nearly.
    sizes: Vec<usize>,
}

impl<'a> Network<'a> {
    fn new(graph: &'a Arc<IntegerGraph>) -> Self {
        let mut last_reader = vec![None; graph.nodes.len() + 1];
        for (index, node) in graph.nodes.iter().enumerate() {
            for operand in &node.operands {
                if let Some(last) = last_reader.get_mut(*operand) {
                    *last = Some(index);
                }
            }
        }
        if let Some(last) = last_reader.get_mut(graph.output) {
            *last = Some(graph.nodes.len());
        }
        let mut classes: HashMap<Vec<u8>, usize> = HashMap::new();
        let class = |node: &IntegerNode| {
            let bytes = format!("{:?}", unbounded(&node.layer)).into_bytes();
            let next = classes.len();
            *classes.entry(bytes).or_insert(next)
        };
        Network {
            graph,
            last_reader,
            classes: graph.nodes.iter().map(class).collect(),
            sizes: graph.nodes.iter().map(size).collect(),
        }
    }

    /// The live tensors before node `position`, in order: those that some node from there on reads.
    fn live(&self, position: usize) -> Vec<usize> {
        let produced = self.last_reader.iter().take(position + 1).enumerate();
        let live = produced.filter(|(_, last)| last.is_some_and(|last| last >= position));
        live.map(|(tensor, _)| tensor).collect()
    }

    /// Steps of at most `count` layers and about `size` constraints whose weights fit.
    fn cut(&self, variables: usize, count: usize, size: usize) -> Vec<Range<usize>> {
        let nodes = &self.graph.nodes;
        let mut steps = Vec::new();
        let (mut start, mut used) = (0, 0usize);
        let mut layers: Vec<&Layer> = Vec::new();
        for (position, node) in nodes.iter().enumerate() {
            let own = self.sizes.get(position).copied().unwrap_or(0);
            layers.push(&node.layer);
            let full = position - start >= count
                || used.saturating_add(own) > size
                || (node.layer.linear().is_some()
                    && required_variables(layers.iter().copied()) > variables);
            if position > start && full {
                steps.push(start..position);
                (start, used) = (position, 0);
                layers = vec![&node.layer];
            }
            used = used.saturating_add(own);
        }
        steps.push(start..nodes.len());
        steps
    }

    /// The plan of a cut; none with more than `max_kinds` kinds.
    fn plan(&self, variables: usize, cut: &[Range<usize>], max_kinds: usize) -> Option<Plan> {
        let mut known: HashMap<Signature, usize> = HashMap::new();
        let mut steps = Vec::with_capacity(cut.len());
        let mut kinds: Vec<GraphShape> = Vec::new();
        for nodes in cut {
            let ends = nodes.end == self.graph.nodes.len();
            let wiring = self.wiring(nodes);
            let classes = nodes
                .clone()
                .filter_map(|node| self.classes.get(node).copied());
            let signature = (classes.collect(), wiring.clone(), ends);
            let next = kinds.len();
            let kind = *known.entry(signature).or_insert(next);
            let layers = self.graph.nodes.get(nodes.clone())?;
            match kinds.get_mut(kind) {
                Some(shape) => widen(shape, layers),
                None if kind < max_kinds => {
                    kinds.push(self.shape(layers, wiring, (variables, ends)));
                }
                None => return None,
            }
            steps.push(PlannedStep {
                kind,
                parts: nodes.clone().map(Part::whole).collect(),
            });
        }
        Some(Plan {
            graph: Arc::clone(self.graph),
            weight_variables: variables,
            kinds,
            steps,
        })
    }

    /// How a step's layers read tensors, numbered as in the step.
    fn wiring(&self, nodes: &Range<usize>) -> Wiring {
        let before = self.live(nodes.start);
        let number = |tensor: &usize| {
            let live = before.iter().position(|live| live == tensor);
            live.or_else(|| Some(before.len() + tensor.checked_sub(nodes.start + 1)?))
        };
        let layers = self.graph.nodes.get(nodes.clone()).unwrap_or_default();
        let reads = |node: &IntegerNode| node.operands.iter().filter_map(number).collect();
        let after = if nodes.end == self.graph.nodes.len() {
            vec![self.graph.output]
        } else {
            self.live(nodes.end)
        };
        Wiring {
            inputs: before
                .iter()
                .map(|tensor| self.graph.length(*tensor))
                .collect(),
            operands: layers.iter().map(reads).collect(),
            outputs: after.iter().filter_map(number).collect(),
        }
    }

    fn shape(
        &self,
        layers: &[IntegerNode],
        wiring: Wiring,
        (weight_variables, ends_inference): (usize, bool),
    ) -> GraphShape {
        let nodes = layers.iter().zip(wiring.operands);
        GraphShape {
            inputs: wiring.inputs,
            nodes: nodes
                .map(|(node, operands)| Node {
                    layer: node.layer.clone(),
                    operands,
                })
                .collect(),
            outputs: wiring.outputs,
            batch: 1,
            bits: self.graph.bits,
            weight_variables,
            ends_inference,
        }
    }
}

/// What steps of one kind have in common: classes of layers, wiring, whether an inference ends.
type Signature = (Vec<usize>, Wiring, bool);

/// How the layers of a step read tensors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wiring {
    /// Lengths of the live tensors before.
    inputs: Vec<usize>,
    /// The tensors that each layer reads.
    operands: Vec<Vec<usize>>,
    /// The live tensors after.
    outputs: Vec<usize>,
}

/// The layer with the least accumulator bound, so that layers which differ in it are equal.
fn unbounded(layer: &Layer) -> Layer {
    let mut layer = layer.clone();
    if let Some(requantise) = layer.requantise_mut() {
        requantise.accumulator_bits = 1;
    }
    layer
}

/// Raises the accumulator bounds of a kind to those of one more step.
fn widen(shape: &mut GraphShape, layers: &[IntegerNode]) {
    for (node, other) in shape.nodes.iter_mut().zip(layers) {
        let mut other = other.layer.clone();
        let pair = node.layer.requantise_mut().zip(other.requantise_mut());
        if let Some((own, other)) = pair {
            own.accumulator_bits = own.accumulator_bits.max(other.accumulator_bits);
        }
    }
}

/// Constraints of a layer, nearly: its own, and a product for each of its activations.
fn size(node: &IntegerNode) -> usize {
    let cost = node.layer.cost();
    let products = match node.layer.linear() {
        Some(_) => node.layer.outputs() + node.layer.operands().iter().sum::<usize>(),
        None => 0,
    };
    cost.lookups + cost.constraints + products
}
