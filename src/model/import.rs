//! ONNX to a chain of dense layers, and the float reference evaluation by tract.
//!
//! Read are the operators of a multilayer perceptron at inference: Gemm, MatMul with a constant
//! operand on either side, Add of a constant right after them, Relu, Flatten, Reshape, Identity,
//! Dropout and Constant (ONNX operator sets 7 and newer). Whatever else a graph contains is refused
//! with the name of the node: nothing is approximated or dropped.

use super::error::ModelError;
use super::tensor::{Constant, attribute};
use ndarray::{Array1, Array2, ArrayD, ArrayView1, Ix1, Ix2, IxDyn};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TypedSimplePlan, tvec,
};

/// The oldest operator set whose Gemm, Reshape and Dropout are those read here.
const OLDEST_OPERATOR_SET: i64 = 7;

/// The operators that are read, for messages.
const DEFAULT_REMEDY: &str = "supported are Gemm, MatMul, Add of a constant, Relu, Flatten, \
     Reshape, Identity, Dropout and Constant; fold constants or rewrite the model with these";

/// A dense layer of floats: `y = W x + b`, then `max(y, 0)` if `relu`.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatDense {
    /// The node it was read from.
    pub name: String,
    /// `W`, outputs x inputs.
    pub weights: Array2<f32>,
    /// `b`, one entry an output.
    pub bias: Array1<f32>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A chain of dense layers.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNetwork {
    /// Name of the graph.
    pub name: String,
    /// Shape of the input tensor with a batch of one; inputs are read in row-major order.
    pub input_shape: Vec<usize>,
    /// The layers, first to last; not empty.
    pub layers: Vec<FloatDense>,
}

impl FloatNetwork {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`ModelError::Read`] and those of [`FloatNetwork::from_onnx`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_onnx(&read(path.as_ref())?)
    }

    /// Reads an ONNX model from its bytes.
    ///
    /// # Errors
    /// Whatever the network cannot represent exactly, with the name of the node.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_proto(&decode(bytes)?)
    }

    fn from_proto(model: &ModelProto) -> Result<Self, ModelError> {
        let graph = graph_of(model)?;
        let constants = constants_of(graph)?;
        let input = single_input(graph)?;
        let input_shape = input_shape(input)?;
        let mut chain = Chain::start(&input.name, &input_shape, constants);
        for (position, node) in graph.node.iter().enumerate() {
            chain.read(node, position)?;
        }
        chain.finish(graph)?;
        let network = FloatNetwork {
            name: graph.name.clone(),
            input_shape,
            layers: chain.layers,
        };
        network.check()?;
        Ok(network)
    }

    /// Number of values of an input.
    pub fn input_len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weights.ncols())
    }

    /// Number of values of an output.
    pub fn output_len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weights.nrows())
    }

    /// Checks that the layers fit together and hold finite numbers.
    ///
    /// # Errors
    /// [`ModelError::NoLayers`], [`ModelError::LayerShape`] and [`ModelError::NotFinite`].
    pub fn check(&self) -> Result<(), ModelError> {
        if self.layers.is_empty() {
            return Err(ModelError::NoLayers);
        }
        let mut inputs = self.input_shape.iter().product();
        for layer in &self.layers {
            let (outputs, columns) = layer.weights.dim();
            super::integer::expect(&layer.name, "inputs", inputs, columns)?;
            super::integer::expect(&layer.name, "biases", outputs, layer.bias.len())?;
            finite(&layer.name, "weights", layer.weights.iter())?;
            finite(&layer.name, "bias", layer.bias.iter())?;
            inputs = outputs;
        }
        Ok(())
    }

    /// The activations after every layer, computed in float64.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] when `input` has another length than the model takes.
    pub fn trace(&self, input: &[f32]) -> Result<Vec<Vec<f64>>, ModelError> {
        let (expected, got) = (self.input_len(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        let mut current: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
        let mut trace = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            super::integer::expect(&layer.name, "inputs", current.len(), layer.weights.ncols())?;
            current = layer.forward(&current);
            trace.push(current.clone());
        }
        Ok(trace)
    }
}

impl FloatDense {
    fn forward(&self, input: &[f64]) -> Vec<f64> {
        let row = |(weights, &bias): (ArrayView1<'_, f32>, &f32)| {
            let terms = weights
                .into_iter()
                .zip(input)
                .map(|(&w, &x)| f64::from(w) * x);
            let y = terms.sum::<f64>() + f64::from(bias);
            if self.relu { y.max(0.0) } else { y }
        };
        self.weights
            .rows()
            .into_iter()
            .zip(&self.bias)
            .map(row)
            .collect()
    }
}

/// The float network as tract runs it: an implementation that shares nothing with
/// [`FloatNetwork`] but the file.
#[derive(Clone, Debug)]
pub struct FloatReference {
    plan: Arc<TypedSimplePlan>,
    input_shape: Vec<usize>,
}

impl FloatReference {
    /// Loads an ONNX file.
    ///
    /// # Errors
    /// Those of [`FloatNetwork::open`], and [`ModelError::Reference`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_onnx(&read(path.as_ref())?)
    }

    /// Loads an ONNX model from its bytes. Only models that [`FloatNetwork::from_onnx`] accepts are
    /// handed to tract.
    ///
    /// # Errors
    /// Those of [`FloatNetwork::from_onnx`], and [`ModelError::Reference`].
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut model = decode(bytes)?;
        let input_shape = FloatNetwork::from_proto(&model)?.input_shape;
        if let Some(graph) = model.graph.as_mut() {
            keep_used_initialisers(graph);
            fix_input_shape(graph, &input_shape);
        }
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let plan = onnx
            .parse(&model, None)
            .and_then(|parsed| parsed.model.into_optimized())
            .and_then(|optimised| optimised.into_runnable())
            .map_err(reference)?;
        Ok(FloatReference { plan, input_shape })
    }

    /// The output for one input.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] and [`ModelError::Reference`].
    pub fn evaluate(&self, input: &[f32]) -> Result<Vec<f32>, ModelError> {
        let (expected, got) = (self.input_shape.iter().product(), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        let tensor = Tensor::from_shape(&self.input_shape, input).map_err(reference)?;
        let outputs = self
            .plan
            .run(tvec!(tensor.into_tvalue()))
            .map_err(reference)?;
        let output = outputs.first().ok_or_else(|| reference("no output"))?;
        let values = output.to_plain_array_view::<f32>().map_err(reference)?;
        Ok(values.iter().copied().collect())
    }
}

fn reference(reason: impl std::fmt::Display) -> ModelError {
    ModelError::Reference {
        reason: format!("{reason:#}"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })
}

fn decode(mut bytes: &[u8]) -> Result<ModelProto, ModelError> {
    tract_onnx::onnx()
        .proto_model_for_read(&mut bytes)
        .map_err(|e| ModelError::Decode {
            reason: format!("{e:#}"),
        })
}

/// The graph of a model of a known operator set.
fn graph_of(model: &ModelProto) -> Result<&GraphProto, ModelError> {
    let graph = model.graph.as_ref().ok_or_else(|| ModelError::Decode {
        reason: "the model has no graph".into(),
    })?;
    let default = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let versions = model
        .opset_import
        .iter()
        .filter(|o| default(&o.domain))
        .map(|o| o.version);
    let got = versions.max().unwrap_or(0);
    if got < OLDEST_OPERATOR_SET {
        return Err(ModelError::OperatorSet {
            got,
            least: OLDEST_OPERATOR_SET,
        });
    }
    Ok(graph)
}

fn constants_of(graph: &GraphProto) -> Result<HashMap<String, Constant>, ModelError> {
    let mut constants = HashMap::with_capacity(graph.initializer.len());
    for tensor in &graph.initializer {
        if constants
            .insert(tensor.name.clone(), Constant::decode(tensor)?)
            .is_some()
        {
            return Err(ModelError::DuplicateTensor {
                tensor: tensor.name.clone(),
            });
        }
    }
    Ok(constants)
}

/// The one graph input that is no initialiser.
fn single_input(graph: &GraphProto) -> Result<&ValueInfoProto, ModelError> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<_> = graph
        .input
        .iter()
        .filter(|i| !weights.contains(i.name.as_str()))
        .collect();
    match inputs.as_slice() {
        [input] => Ok(input),
        _ => {
            let got = inputs.iter().map(|i| i.name.clone()).collect();
            Err(ModelError::GraphInputs { got })
        }
    }
}

/// The shape of the graph input with a batch of one. A tensor of one dimension has no batch.
fn input_shape(input: &ValueInfoProto) -> Result<Vec<usize>, ModelError> {
    let wrong_type = |got: String| ModelError::InputType {
        input: input.name.clone(),
        got,
    };
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(wrong_type("untyped".into()));
    };
    match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => {}
        Ok(kind) => return Err(wrong_type(kind.as_str_name().into())),
        Err(_) => return Err(wrong_type(format!("type {}", tensor.elem_type))),
    }
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |s| s.dim.as_slice());
    let batched = dimensions.len() > 1;
    let mut shape = Vec::with_capacity(dimensions.len());
    for (axis, dimension) in dimensions.iter().enumerate() {
        let symbol = match &dimension.value {
            Some(Dimension::DimValue(size)) => {
                shape.push(*size);
                continue;
            }
            Some(Dimension::DimParam(symbol)) => symbol.clone(),
            None => "?".into(),
        };
        if axis > 0 || !batched {
            return Err(ModelError::DynamicShape {
                input: input.name.clone(),
                axis,
                symbol,
            });
        }
        shape.push(1);
    }
    positive_shape(&shape, batched).ok_or_else(|| ModelError::InputShape {
        input: input.name.clone(),
        got: shape,
    })
}

/// `shape` as sizes, if it is positive, has a batch of one and a product that fits.
fn positive_shape(shape: &[i64], batched: bool) -> Option<Vec<usize>> {
    let sizes: Option<Vec<usize>> = shape
        .iter()
        .map(|&s| usize::try_from(s).ok().filter(|&s| s > 0))
        .collect();
    let sizes = sizes?;
    sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))?;
    (!sizes.is_empty() && (!batched || sizes.first() == Some(&1))).then_some(sizes)
}

/// Drops initialisers that no node reads: their types and lengths have not been checked.
fn keep_used_initialisers(graph: &mut GraphProto) {
    let used: HashSet<String> = graph
        .node
        .iter()
        .flat_map(|n| n.input.iter().cloned())
        .collect();
    graph.initializer.retain(|t| used.contains(&t.name));
    graph.sparse_initializer.clear();
}

/// Replaces a symbolic batch dimension by 1.
fn fix_input_shape(graph: &mut GraphProto, shape: &[usize]) {
    let weights: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for input in graph
        .input
        .iter_mut()
        .filter(|i| !weights.contains(&i.name))
    {
        let value = input.r#type.as_mut().and_then(|t| t.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = value else {
            continue;
        };
        let dimensions = tensor.shape.iter_mut().flat_map(|s| s.dim.iter_mut());
        for (dimension, &size) in dimensions.zip(shape) {
            dimension.value = i64::try_from(size).ok().map(Dimension::DimValue);
        }
    }
}

/// Checks that every value is finite.
fn finite<'a>(
    node: &str,
    tensor: &str,
    values: impl Iterator<Item = &'a f32>,
) -> Result<(), ModelError> {
    for (index, &value) in values.enumerate() {
        if !value.is_finite() {
            return Err(ModelError::NotFinite {
                node: node.into(),
                tensor: tensor.into(),
                index,
                value,
            });
        }
    }
    Ok(())
}

/// An operand of a node.
enum Operand<'a> {
    /// The latest tensor of the chain.
    Latest,
    /// A constant and its name.
    Constant(&'a str, &'a Constant),
}

/// What the last operation on the chain was.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// None: the tensor is the input.
    Input,
    /// A linear layer, to which a bias or a ReLU can still be added.
    Linear,
    /// A ReLU.
    Rectified,
}

/// The chain of layers read so far.
struct Chain {
    constants: HashMap<String, Constant>,
    /// Names of tensors that were the latest once.
    earlier: HashSet<String>,
    latest: String,
    shape: Vec<usize>,
    stage: Stage,
    layers: Vec<FloatDense>,
}

impl Chain {
    fn start(input: &str, shape: &[usize], constants: HashMap<String, Constant>) -> Self {
        Chain {
            constants,
            earlier: HashSet::new(),
            latest: input.into(),
            shape: shape.to_vec(),
            stage: Stage::Input,
            layers: Vec::new(),
        }
    }

    /// Reads one node.
    fn read(&mut self, node: &NodeProto, position: usize) -> Result<(), ModelError> {
        let name = node_name(node, position);
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return Err(unsupported(&name, node));
        }
        let tensor = output_of(node);
        let known = tensor == self.latest || self.earlier.contains(&tensor);
        if known || self.constants.contains_key(&tensor) {
            return Err(ModelError::DuplicateTensor { tensor });
        }
        match node.op_type.as_str() {
            "Constant" => {
                let constant = Constant::of_node(node, &name)?;
                self.constants.insert(output_of(node), constant);
            }
            "Gemm" => self.gemm(node, &name)?,
            "MatMul" => self.matmul(node, &name)?,
            "Add" => self.add(node, &name)?,
            "Relu" => self.relu(node, &name)?,
            "Flatten" => self.flatten(node, &name)?,
            "Reshape" => self.reshape(node, &name)?,
            "Identity" => self.identity(node, &name)?,
            "Dropout" => self.dropout(node, &name)?,
            _ => return Err(unsupported(&name, node)),
        }
        Ok(())
    }

    /// Checks that the graph output is the end of the chain and that there is a layer.
    fn finish(&self, graph: &GraphProto) -> Result<(), ModelError> {
        let [output] = graph.output.as_slice() else {
            let got = graph.output.iter().map(|o| o.name.clone()).collect();
            return Err(ModelError::GraphOutputs { got });
        };
        if output.name != self.latest {
            let (output, last) = (output.name.clone(), self.latest.clone());
            return Err(ModelError::OutputNotLast { output, last });
        }
        if self.layers.is_empty() {
            Err(ModelError::NoLayers)
        } else {
            Ok(())
        }
    }

    /// Operand `index` of a node.
    fn operand<'a>(
        &'a self,
        node: &'a NodeProto,
        name: &str,
        index: usize,
    ) -> Result<Operand<'a>, ModelError> {
        let tensor = node.input.get(index).map_or("", String::as_str);
        if tensor == self.latest {
            return Ok(Operand::Latest);
        }
        if let Some(constant) = self.constants.get(tensor) {
            return Ok(Operand::Constant(tensor, constant));
        }
        if self.earlier.contains(tensor) {
            return Err(ModelError::Branch {
                node: name.into(),
                tensor: tensor.into(),
                latest: self.latest.clone(),
            });
        }
        let tensor = if tensor.is_empty() {
            format!("operand {index}")
        } else {
            tensor.into()
        };
        Err(ModelError::MissingTensor {
            node: name.into(),
            tensor,
        })
    }

    /// Requires operand `index` to be the latest tensor.
    fn expect_latest(
        &self,
        node: &NodeProto,
        name: &str,
        index: usize,
        remedy: &'static str,
    ) -> Result<(), ModelError> {
        match self.operand(node, name, index)? {
            Operand::Latest => Ok(()),
            Operand::Constant(tensor, _) => Err(misused(
                name,
                node,
                format!("constant operand `{tensor}`"),
                remedy,
            )),
        }
    }

    /// Operand `index` as a constant of floats.
    fn weights(
        &self,
        node: &NodeProto,
        name: &str,
        index: usize,
    ) -> Result<ArrayD<f32>, ModelError> {
        match self.operand(node, name, index)? {
            Operand::Latest => {
                let remedy = "products and sums of two activations cannot be represented";
                Err(misused(
                    name,
                    node,
                    format!("activation as operand {index}"),
                    remedy,
                ))
            }
            Operand::Constant(tensor, Constant::Float(values)) => {
                finite(name, tensor, values.iter())?;
                Ok(values.clone())
            }
            Operand::Constant(tensor, other) => Err(wrong_type(name, tensor, "float32", other)),
        }
    }

    /// The latest tensor is now `tensor`.
    fn advance(&mut self, tensor: String) {
        let before = std::mem::replace(&mut self.latest, tensor);
        self.earlier.insert(before);
    }

    fn push(&mut self, name: &str, weights: Array2<f32>, bias: Array1<f32>) {
        self.layers.push(FloatDense {
            name: name.into(),
            weights,
            bias,
            relu: false,
        });
        self.stage = Stage::Linear;
    }

    /// `Y = alpha A B + beta C` with `A` the latest tensor (1 x inputs), `B` (inputs x outputs, or
    /// outputs x inputs if transB) and `C` constant.
    fn gemm(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        const REMEDY: &str = "use Gemm(activation, weight, bias) with transA = 0";
        self.expect_latest(node, name, 0, REMEDY)?;
        if attribute(node, "transA").is_some_and(|a| a.i != 0) {
            return Err(misused(name, node, "transA = 1".into(), REMEDY));
        }
        let factor = |key| attribute(node, key).map_or(1.0, |a| a.f);
        let stored = self.weights(node, name, 1)?;
        let mismatch = || self.mismatch(name, stored.shape());
        let alpha = factor("alpha");
        let matrix = stored.mapv(|w| alpha * w).into_dimensionality::<Ix2>();
        let matrix = matrix.map_err(|_| mismatch())?;
        let transposed = attribute(node, "transB").is_some_and(|a| a.i != 0);
        let matrix = if transposed {
            matrix
        } else {
            matrix.reversed_axes()
        };
        let (outputs, inputs) = matrix.dim();
        if self.shape != [1, inputs] || outputs == 0 {
            return Err(mismatch());
        }
        let mut bias = Array1::zeros(outputs);
        if node.input.get(2).is_some_and(|c| !c.is_empty()) {
            let (beta, stored) = (factor("beta"), self.weights(node, name, 2)?);
            bias = broadcast(&stored, &[1, outputs])
                .ok_or_else(|| mismatched(name, &[1, outputs], stored.shape()))?
                .mapv(|b| beta * b);
        }
        self.push(name, matrix.as_standard_layout().into_owned(), bias);
        self.shape = vec![1, outputs];
        self.advance(output_of(node));
        Ok(())
    }

    /// Latest tensor (.. x inputs) times constant (inputs x outputs), or constant
    /// (outputs x inputs) times latest tensor (inputs, or .. x inputs x 1).
    fn matmul(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        let left = matches!(self.operand(node, name, 0)?, Operand::Constant(..));
        let stored = self.weights(node, name, usize::from(!left))?;
        let matrix = stored.view().into_dimensionality::<Ix2>();
        let matrix = matrix.map_err(|_| self.mismatch(name, stored.shape()))?;
        if left {
            self.expect_latest(node, name, 1, "fold products of constants")?;
        }
        let matrix = if left { matrix } else { matrix.reversed_axes() };
        let (outputs, inputs) = matrix.dim();
        // In column form the last dimension is the one column of the product.
        let axis = self
            .shape
            .len()
            .checked_sub(if left && self.shape.len() > 1 { 2 } else { 1 });
        let axis = axis.ok_or_else(|| self.mismatch(name, stored.shape()))?;
        let vector = self.shape.iter().product::<usize>() == inputs;
        match self.shape.get_mut(axis) {
            Some(size) if vector && *size == inputs && outputs > 0 => *size = outputs,
            _ => return Err(self.mismatch(name, stored.shape())),
        }
        self.push(
            name,
            matrix.as_standard_layout().into_owned(),
            Array1::zeros(outputs),
        );
        self.advance(output_of(node));
        Ok(())
    }

    /// Adds a constant to the bias of the layer just read.
    fn add(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        let left = matches!(self.operand(node, name, 0)?, Operand::Constant(..));
        let stored = self.weights(node, name, usize::from(!left))?;
        self.expect_latest(node, name, usize::from(left), "fold sums of constants")?;
        let added = broadcast(&stored, &self.shape);
        let added = added.ok_or_else(|| self.mismatch(name, stored.shape()))?;
        match self.layers.last_mut() {
            Some(layer) if self.stage == Stage::Linear => layer.bias += &added,
            _ => {
                let remedy = "add constants right after MatMul or Gemm";
                return Err(misused(
                    name,
                    node,
                    "no linear layer before it".into(),
                    remedy,
                ));
            }
        }
        self.advance(output_of(node));
        Ok(())
    }

    fn relu(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        self.expect_latest(node, name, 0, "fold constants")?;
        match self.layers.last_mut() {
            // A ReLU after a ReLU changes nothing, so the stage need not be looked at.
            Some(layer) => layer.relu = true,
            None => {
                let remedy = "apply it to the inputs before they are given";
                return Err(misused(
                    name,
                    node,
                    "no linear layer before it".into(),
                    remedy,
                ));
            }
        }
        self.stage = Stage::Rectified;
        self.advance(output_of(node));
        Ok(())
    }

    fn flatten(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        self.expect_latest(node, name, 0, "fold constants")?;
        let axis = attribute(node, "axis").map_or(1, |a| a.i);
        let rank = i64::try_from(self.shape.len()).unwrap_or(i64::MAX);
        let axis = if axis < 0 {
            axis.saturating_add(rank)
        } else {
            axis
        };
        let parts = usize::try_from(axis)
            .ok()
            .and_then(|axis| self.shape.split_at_checked(axis));
        let Some((rows, columns)) = parts else {
            return Err(misused(
                name,
                node,
                format!("axis = {axis}"),
                "use axis = 1",
            ));
        };
        self.shape = vec![rows.iter().product(), columns.iter().product()];
        self.advance(output_of(node));
        Ok(())
    }

    fn reshape(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        self.expect_latest(node, name, 0, "fold constants")?;
        let target = match self.operand(node, name, 1)? {
            Operand::Constant(_, Constant::Integer(target)) => target.clone(),
            Operand::Constant(tensor, other) => {
                return Err(wrong_type(name, tensor, "int64", other));
            }
            Operand::Latest => {
                let remedy = "export with a constant shape";
                return Err(misused(name, node, "a computed shape".into(), remedy));
            }
        };
        let keep_zero = attribute(node, "allowzero").is_some_and(|a| a.i != 0);
        let shape = reshaped(&self.shape, &target, keep_zero);
        self.shape = shape.ok_or_else(|| {
            let right = target
                .iter()
                .map(|&d| usize::try_from(d).unwrap_or(0))
                .collect::<Vec<_>>();
            self.mismatch(name, &right)
        })?;
        self.advance(output_of(node));
        Ok(())
    }

    fn identity(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        match self.operand(node, name, 0)? {
            Operand::Latest => self.advance(output_of(node)),
            Operand::Constant(_, constant) => {
                let constant = constant.clone();
                self.constants.insert(output_of(node), constant);
            }
        }
        Ok(())
    }

    /// Dropout at inference is the identity; its ratio and flag must be plain constants.
    fn dropout(&mut self, node: &NodeProto, name: &str) -> Result<(), ModelError> {
        const REMEDY: &str = "export the model in evaluation mode";
        self.expect_latest(node, name, 0, REMEDY)?;
        for index in [1, 2] {
            if node.input.get(index).is_none_or(String::is_empty) {
                continue;
            }
            match (index, self.operand(node, name, index)?) {
                (1, Operand::Constant(_, Constant::Float(_)))
                | (2, Operand::Constant(_, Constant::Flag(false))) => {}
                (1, _) => return Err(misused(name, node, "a computed ratio".into(), REMEDY)),
                _ => return Err(misused(name, node, "training_mode".into(), REMEDY)),
            }
        }
        self.advance(output_of(node));
        Ok(())
    }

    fn mismatch(&self, name: &str, right: &[usize]) -> ModelError {
        mismatched(name, &self.shape, right)
    }
}

/// `values` broadcast to `shape`, in row-major order; `None` if they do not broadcast to it.
fn broadcast(values: &ArrayD<f32>, shape: &[usize]) -> Option<Array1<f32>> {
    let view = values.broadcast(IxDyn(shape))?;
    let flat = view.iter().copied().collect::<Array1<f32>>();
    flat.into_dimensionality::<Ix1>().ok()
}

/// The shape an ONNX Reshape gives: 0 keeps a dimension (unless `keep_zero`), one -1 is inferred.
fn reshaped(from: &[usize], target: &[i64], keep_zero: bool) -> Option<Vec<usize>> {
    let total: usize = from.iter().product();
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (axis, &dimension) in target.iter().enumerate() {
        shape.push(match dimension {
            0 if !keep_zero => *from.get(axis)?,
            -1 if inferred.is_none() => {
                inferred = Some(axis);
                1
            }
            _ => usize::try_from(dimension).ok().filter(|&d| d > 0)?,
        });
    }
    let known = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))?;
    if let Some(size) = inferred.and_then(|axis| shape.get_mut(axis)) {
        *size = total / known;
    }
    let product = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))?;
    (product == total && !shape.is_empty()).then_some(shape)
}

/// The node's name, or failing that its output or its position.
fn node_name(node: &NodeProto, position: usize) -> String {
    let output = output_of(node);
    match (node.name.is_empty(), output.is_empty()) {
        (false, _) => node.name.clone(),
        (true, false) => output,
        (true, true) => format!("node {position}"),
    }
}

fn output_of(node: &NodeProto) -> String {
    node.output.first().cloned().unwrap_or_default()
}

fn unsupported(name: &str, node: &NodeProto) -> ModelError {
    let remedy = match node.op_type.as_str() {
        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "GlobalAveragePool" => {
            "only dense layers are proven; use a multilayer perceptron"
        }
        "Softmax" | "LogSoftmax" | "ArgMax" => {
            "export the logits: they decide the prediction and the verifier can apply it"
        }
        "Sigmoid" | "Tanh" | "Gelu" | "Elu" | "LeakyRelu" | "Clip" | "HardSwish" => {
            "use ReLU as the activation"
        }
        "BatchNormalization" => "fold it into the layer before it",
        "Sub" | "Mul" | "Div" => "fold it into the weights, or scale inputs before they are given",
        _ => DEFAULT_REMEDY,
    };
    ModelError::UnsupportedOperator {
        node: name.into(),
        operator: node.op_type.clone(),
        remedy,
    }
}

fn misused(name: &str, node: &NodeProto, usage: String, remedy: &'static str) -> ModelError {
    ModelError::UnsupportedUse {
        node: name.into(),
        operator: node.op_type.clone(),
        usage,
        remedy,
    }
}

fn mismatched(name: &str, left: &[usize], right: &[usize]) -> ModelError {
    ModelError::OperandShapes {
        node: name.into(),
        left: left.to_vec(),
        right: right.to_vec(),
    }
}

fn wrong_type(name: &str, tensor: &str, expected: &'static str, got: &Constant) -> ModelError {
    ModelError::WeightType {
        node: name.into(),
        tensor: tensor.into(),
        expected,
        got: got.type_name().into(),
    }
}
