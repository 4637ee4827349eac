//! Which nodes the output depends on, and in what order they are read.

use super::node::Node;
use super::patterns::Pattern;
use crate::model::error::ModelError;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use tract_onnx::pb::GraphProto;

/// The part of a graph that its output depends on.
pub(super) struct Order {
    /// Positions of the nodes, operands first, otherwise in the order of the file.
    pub(super) nodes: Vec<usize>,
    /// The same with the nodes that patterns stand for.
    pub(super) all: HashSet<usize>,
    /// The tensors that those nodes read, and the output.
    pub(super) tensors: HashSet<String>,
    /// The graph output.
    pub(super) output: String,
}

impl Order {
    /// Finds the needed nodes of `graph`. A node that a pattern starts from reads the pattern's
    /// input only.
    ///
    /// # Errors
    /// [`ModelError::GraphOutputs`], [`ModelError::DuplicateTensor`], and [`ModelError::Cycle`].
    pub(super) fn new(
        graph: &GraphProto,
        input: &str,
        patterns: &HashMap<usize, Pattern>,
    ) -> Result<Self, ModelError> {
        let [output] = graph.output.as_slice() else {
            let got = graph.output.iter().map(|o| o.name.clone()).collect();
            return Err(ModelError::GraphOutputs { got });
        };
        let makers = makers(graph, input)?;
        let written = |at: usize| -> Vec<&str> {
            let node = graph.node.get(at);
            node.map_or(Vec::new(), |n| n.input.iter().map(String::as_str).collect())
        };
        let operands = |at: usize| match patterns.get(&at) {
            Some(pattern) => vec![pattern.input.as_str()],
            None => written(at),
        };
        let (needed, mut tensors) = reached(&makers, &output.name, operands);
        let (all, _) = reached(&makers, &output.name, written);
        tensors.insert(output.name.clone());
        let nodes = sorted(&needed, |at| {
            let makers = operands(at)
                .into_iter()
                .filter_map(|tensor| makers.get(tensor));
            makers.copied().collect()
        });
        if nodes.len() < needed.len() {
            let sorted: HashSet<usize> = nodes.into_iter().collect();
            let at = needed.difference(&sorted).min().copied().unwrap_or(0);
            let node = graph.node.get(at).map(|proto| Node::new(proto, at, 0).name);
            let node = node.unwrap_or_default();
            return Err(ModelError::Cycle { node });
        }
        Ok(Order {
            nodes,
            all,
            tensors,
            output: output.name.clone(),
        })
    }
}

/// The nodes that a tensor depends on, and the tensors that they read.
fn reached<'a>(
    makers: &HashMap<&str, usize>,
    tensor: &str,
    operands: impl Fn(usize) -> Vec<&'a str>,
) -> (HashSet<usize>, HashSet<String>) {
    let (mut nodes, mut tensors) = (HashSet::new(), HashSet::new());
    let mut waiting: Vec<usize> = makers.get(tensor).copied().into_iter().collect();
    while let Some(at) = waiting.pop() {
        if !nodes.insert(at) {
            continue;
        }
        for tensor in operands(at) {
            tensors.insert(tensor.into());
            waiting.extend(makers.get(tensor));
        }
    }
    (nodes, tensors)
}

/// The node that gives each tensor.
fn makers<'a>(graph: &'a GraphProto, input: &str) -> Result<HashMap<&'a str, usize>, ModelError> {
    let mut makers = HashMap::new();
    let mut constants = HashSet::new();
    let duplicate = |tensor: &str| ModelError::DuplicateTensor {
        tensor: tensor.into(),
    };
    for tensor in &graph.initializer {
        if !constants.insert(tensor.name.as_str()) {
            return Err(duplicate(&tensor.name));
        }
    }
    for (at, node) in graph.node.iter().enumerate() {
        for tensor in node.output.iter().filter(|name| !name.is_empty()) {
            let known = tensor == input || constants.contains(tensor.as_str());
            if known || makers.insert(tensor.as_str(), at).is_some() {
                return Err(duplicate(tensor));
            }
        }
    }
    Ok(makers)
}

/// The nodes that can be put after all they depend on, the earliest in the file first.
fn sorted(needed: &HashSet<usize>, operands: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut missing: HashMap<usize, usize> = HashMap::with_capacity(needed.len());
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for &at in needed {
        let operands = operands(at);
        if operands.is_empty() {
            ready.push(Reverse(at));
        }
        missing.insert(at, operands.len());
        for operand in operands {
            readers.entry(operand).or_default().push(at);
        }
    }
    let mut order = Vec::with_capacity(needed.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for &reader in readers.get(&at).into_iter().flatten() {
            let count = missing.entry(reader).or_insert(1);
            *count -= 1;
            if *count == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    order
}
