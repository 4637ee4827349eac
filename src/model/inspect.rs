//! What an ONNX model consists of, and everything in it that cannot be proven.

use super::error::ModelError;
use super::graph::FloatGraph;
use super::import::{Survey, decode, survey};

/// A node of an ONNX model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxNode {
    /// Its name, or failing that its output or its position.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Shape of its first output, if it is known.
    pub shape: Option<Vec<usize>>,
    /// Whether the model's output depends on it.
    pub used: bool,
}

/// What is known about a model.
#[derive(Debug)]
pub struct Inspection {
    /// Name of the graph.
    pub name: String,
    /// Version of the default operator set.
    pub operator_set: i64,
    /// Shape of the input with a batch of one.
    pub input_shape: Vec<usize>,
    /// Values of all initialisers.
    pub parameters: u64,
    /// The nodes in the order of the file.
    pub nodes: Vec<OnnxNode>,
    /// Everything that is not read, in the order of the nodes.
    pub problems: Vec<ModelError>,
    /// The float network after fusion, if everything is read.
    pub graph: Option<FloatGraph>,
}

impl Inspection {
    /// Inspects an ONNX model.
    ///
    /// # Errors
    /// [`ModelError`] for what is wrong with the whole model: bytes that are no model, an operator
    /// set that is not read, inputs, outputs and cycles. What is wrong with nodes is listed.
    pub fn new(bytes: &[u8]) -> Result<Self, ModelError> {
        let model = decode(bytes)?;
        let Survey {
            name,
            operator_set,
            input_shape,
            parameters,
            nodes,
            mut problems,
        } = survey(&model)?;
        let mut graph = None;
        if problems.is_empty() {
            match FloatGraph::from_proto(&model) {
                Ok(read) => graph = Some(read.graph),
                Err(error) => problems.push(error),
            }
        }
        Ok(Inspection {
            name,
            operator_set,
            input_shape,
            parameters,
            nodes,
            problems,
            graph,
        })
    }

    /// Multiplications of one inference, if everything is read.
    pub fn multiplications(&self) -> Option<u64> {
        let nodes = self.graph.as_ref()?.nodes.iter();
        Some(
            nodes
                .map(|node| node.op.multiplications())
                .fold(0, u64::saturating_add),
        )
    }
}
