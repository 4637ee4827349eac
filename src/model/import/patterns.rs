//! Normalisations that exporters write as several nodes.
//!
//! `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)` over the last axis, as PyTorch writes a
//! LayerNorm before operator set 17. It is recognised by its last node, the Div; the nodes before
//! are then not read unless something else needs them.

use super::constant::Constant;
use super::is_default;
use super::node::Node;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto};

/// A normalisation over the last axis.
pub(super) struct Pattern {
    /// What is normalised.
    pub(super) input: String,
    /// What is added to the variance.
    pub(super) epsilon: f64,
}

/// The patterns of a graph by the position of their last node.
pub(super) fn normalisations(graph: &GraphProto) -> HashMap<usize, Pattern> {
    let tensors = Tensors::new(graph);
    let nodes = graph.node.iter().enumerate();
    nodes
        .filter(|(_, node)| is_default(&node.domain))
        .filter_map(|(at, node)| Some((at, tensors.normalisation(node)?)))
        .collect()
}

struct Tensors<'a> {
    makers: HashMap<&'a str, &'a NodeProto>,
    constants: HashMap<&'a str, Constant>,
}

impl<'a> Tensors<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let mut tensors = Tensors {
            makers: HashMap::new(),
            constants: HashMap::new(),
        };
        // Only small constants matter here.
        for tensor in graph
            .initializer
            .iter()
            .filter(|t| t.dims.iter().product::<i64>() <= 8)
        {
            if let Ok(constant) = Constant::decode(tensor) {
                tensors.constants.insert(&tensor.name, constant);
            }
        }
        for (at, node) in graph.node.iter().enumerate() {
            for output in &node.output {
                if node.op_type == "Constant"
                    && let Ok(constant) = Constant::of_node(&Node::new(node, at, 0))
                {
                    tensors.constants.insert(output, constant);
                }
                if is_default(&node.domain) {
                    tensors.makers.insert(output, node);
                }
            }
        }
        tensors
    }

    /// The node of the given operator that makes a tensor.
    fn made_by(&self, tensor: &str, operator: &str) -> Option<&'a NodeProto> {
        let node = self.makers.get(tensor).copied()?;
        (node.op_type == operator && node.domain.is_empty()).then_some(node)
    }

    fn number(&self, tensor: &str) -> Option<f64> {
        match self.constants.get(tensor)? {
            Constant::Float(values) if values.len() == 1 => values.first().copied(),
            Constant::Integer(values, _) if values.len() == 1 => values.first().map(|&v| v as f64),
            _ => None,
        }
    }

    /// The operand that `node`, a ReduceMean over the last axis with that axis kept, reduces.
    fn mean_of(&self, tensor: &str) -> Option<&'a str> {
        let node = self.made_by(tensor, "ReduceMean")?;
        let read = Node::new(node, 0, 0);
        let axis = match (read.ints("axes").ok()?, node.input.get(1)) {
            (Some([axis]), None) => *axis as f64,
            (None, Some(axes)) => self.number(axes)?,
            _ => return None,
        };
        let kept = read.flag("keepdims", true).ok()?;
        (axis == -1.0 && kept).then(|| node.input.first().map(String::as_str))?
    }

    fn normalisation(&self, node: &NodeProto) -> Option<Pattern> {
        let ([centred, spread], "Div", "") = (
            node.input.as_slice(),
            node.op_type.as_str(),
            node.domain.as_str(),
        ) else {
            return None;
        };
        let [input, mean] = self.made_by(centred, "Sub")?.input.as_slice() else {
            return None;
        };
        if self.mean_of(mean)? != input {
            return None;
        }
        let [under] = self.made_by(spread, "Sqrt")?.input.as_slice() else {
            return None;
        };
        let [a, b] = self.made_by(under, "Add")?.input.as_slice() else {
            return None;
        };
        let (variance, epsilon) = match self.number(b) {
            Some(epsilon) => (a, epsilon),
            None => (b, self.number(a)?),
        };
        let squares = self.mean_of(variance)?;
        let squared = match self.made_by(squares, "Pow") {
            Some(power) => match power.input.as_slice() {
                [base, exponent] if self.number(exponent) == Some(2.0) => base,
                _ => return None,
            },
            None => match self.made_by(squares, "Mul")?.input.as_slice() {
                [a, b] if a == b => a,
                _ => return None,
            },
        };
        (squared == centred && epsilon >= 0.0).then(|| Pattern {
            input: input.clone(),
            epsilon,
        })
    }
}
