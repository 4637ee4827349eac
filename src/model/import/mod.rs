//! ONNX to a [`FloatGraph`].
//!
//! Read are the operators in `OPERATORS`, of operator sets 7 to 28, on float32 tensors of static
//! shape with a batch of one, and on int64 or int32 inputs that index tables. Whatever else the output depends on is refused with the name of the
//! node: nothing is approximated or dropped. Nodes that no output depends on are ignored.
//!
//! Shapes and constants are propagated from the input, not taken from the file: a node whose
//! operands are all constant is evaluated.

mod arithmetic;
mod constant;
mod elementwise;
mod embedding;
mod folding;
mod linear;
mod movement;
mod node;
mod order;
mod patterns;
mod pool;
mod quantised;
mod rows;

use super::error::ModelError;
use super::graph::{FloatGraph, FloatNode, FloatOp, Grid, Interval, fuse, length};
use super::inspect::OnnxNode;
use constant::Constant;
use ndarray::ArrayD;
use node::Node;
use order::Order;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::Framework;

/// The oldest operator set whose Gemm, Reshape and Dropout are those read here.
const OLDEST_OPERATOR_SET: i64 = 7;

/// The newest operator set whose operators were compared with those read here.
const NEWEST_OPERATOR_SET: i64 = 28;

/// The most values an activation tensor may have.
const MAX_ACTIVATION: usize = 1 << 24;

/// The most values a computed constant may have.
const MAX_CONSTANT: usize = 1 << 26;

/// What a node gives.
type Outputs = Vec<Value>;

/// How an operator is read.
struct Operator {
    name: &'static str,
    /// The most operands.
    operands: usize,
    /// The attributes that are read or make no difference; others are refused.
    attributes: &'static [&'static str],
    read: fn(&mut Importer, &Node) -> Result<Outputs, ModelError>,
}

const fn operator(
    name: &'static str,
    operands: usize,
    attributes: &'static [&'static str],
    read: fn(&mut Importer, &Node) -> Result<Outputs, ModelError>,
) -> Operator {
    Operator {
        name,
        operands,
        attributes,
        read,
    }
}

const WINDOW: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
];
const TRANSPOSED: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "pads",
    "strides",
];
const POOL: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "storage_order",
    "strides",
];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const MANY: usize = usize::MAX;

/// The operators that are read.
const OPERATORS: &[Operator] = &[
    operator("Abs", 1, &[], Importer::function),
    operator("Add", 2, &[], Importer::add),
    operator(
        "ArgMax",
        1,
        &["axis", "keepdims", "select_last_index"],
        Importer::arg_max,
    ),
    operator("AveragePool", 1, POOL, Importer::average_pool),
    operator(
        "BatchNormalization",
        5,
        &["epsilon", "momentum", "spatial", "training_mode"],
        Importer::batch_normalization,
    ),
    operator("Cast", 1, &["round_mode", "saturate", "to"], Importer::cast),
    operator("Celu", 1, &["alpha"], Importer::function),
    operator("Clip", 3, &["max", "min"], Importer::clip),
    operator("Concat", MANY, &["axis"], Importer::concat),
    operator("Conv", 3, WINDOW, Importer::conv),
    operator("ConvTranspose", 3, TRANSPOSED, Importer::conv_transpose),
    operator(
        "DepthToSpace",
        1,
        &["blocksize", "mode"],
        Importer::depth_to_space,
    ),
    operator(
        "DequantizeLinear",
        3,
        &["axis", "block_size", "output_dtype"],
        Importer::dequantize_linear,
    ),
    operator("Div", 2, &[], Importer::div),
    operator("Dropout", 3, &["ratio", "seed"], Importer::dropout),
    operator("Elu", 1, &["alpha"], Importer::function),
    operator("Erf", 1, &[], Importer::function),
    operator("Exp", 1, &[], Importer::function),
    operator("Expand", 2, &[], Importer::expand),
    operator("Flatten", 1, &["axis"], Importer::flatten),
    operator("Gather", 2, &["axis"], Importer::gather),
    operator("Gelu", 1, &["approximate"], Importer::function),
    operator(
        "Gemm",
        3,
        &["alpha", "beta", "transA", "transB"],
        Importer::gemm,
    ),
    operator("GlobalAveragePool", 1, &[], Importer::global_average_pool),
    operator("GlobalMaxPool", 1, &[], Importer::global_max_pool),
    operator(
        "GroupNormalization",
        3,
        &["epsilon", "num_groups", "stash_type"],
        Importer::group_normalization,
    ),
    operator("HardSigmoid", 1, &["alpha", "beta"], Importer::function),
    operator("HardSwish", 1, &[], Importer::function),
    operator("Identity", 1, &[], Importer::identity),
    operator(
        "InstanceNormalization",
        3,
        &["epsilon"],
        Importer::instance_normalization,
    ),
    operator(
        "LayerNormalization",
        3,
        &["axis", "epsilon", "stash_type"],
        Importer::layer_normalization,
    ),
    operator("LeakyRelu", 1, &["alpha"], Importer::function),
    operator("MatMul", 2, &[], Importer::matmul),
    operator("Max", MANY, &[], Importer::max),
    operator("MaxPool", 1, POOL, Importer::max_pool),
    operator("Min", MANY, &[], Importer::min),
    operator("Mish", 1, &[], Importer::function),
    operator("Mul", 2, &[], Importer::mul),
    operator("Neg", 1, &[], Importer::neg),
    operator("PRelu", 2, &[], Importer::parametric_relu),
    operator("OneHot", 3, &["axis"], Importer::one_hot),
    operator("Pad", 4, &["mode", "pads", "value"], Importer::pad),
    operator("Pow", 2, &[], Importer::pow),
    operator("ReduceMax", 2, REDUCE, Importer::reduce),
    operator("ReduceMean", 2, REDUCE, Importer::reduce),
    operator("ReduceSum", 2, REDUCE, Importer::reduce),
    operator("Relu", 1, &[], Importer::relu),
    operator("QLinearConv", 9, WINDOW, Importer::quantised_conv),
    operator("QLinearMatMul", 8, &[], Importer::quantised_matmul),
    operator(
        "QuantizeLinear",
        3,
        &[
            "axis",
            "block_size",
            "output_dtype",
            "precision",
            "saturate",
        ],
        Importer::quantize_linear,
    ),
    operator("Reshape", 2, &["allowzero"], Importer::reshape),
    operator("Selu", 1, &["alpha", "gamma"], Importer::function),
    operator("Shape", 1, &["end", "start"], Importer::shape),
    operator("Sigmoid", 1, &[], Importer::function),
    operator("Size", 1, &[], Importer::size),
    operator("Slice", 5, &["axes", "ends", "starts"], Importer::slice),
    operator("Softmax", 1, &["axis"], Importer::softmax),
    operator("Softplus", 1, &[], Importer::function),
    operator("Softsign", 1, &[], Importer::function),
    operator(
        "SpaceToDepth",
        1,
        &["blocksize", "mode"],
        Importer::space_to_depth,
    ),
    operator(
        "Split",
        2,
        &["axis", "num_outputs", "split"],
        Importer::split,
    ),
    operator("Squeeze", 2, &["axes"], Importer::squeeze),
    operator("Sub", 2, &[], Importer::sub),
    operator("Sum", MANY, &[], Importer::sum),
    operator("Swish", 1, &["alpha"], Importer::function),
    operator("Tanh", 1, &[], Importer::function),
    operator("Tile", 2, &[], Importer::tile),
    operator("Transpose", 1, &["perm"], Importer::transpose),
    operator("Unsqueeze", 2, &["axes"], Importer::unsqueeze),
];

/// Names of the operators that are read on activations.
pub fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

impl FloatGraph {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`ModelError::Read`] and those of [`FloatGraph::from_onnx`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_onnx(&read(path.as_ref())?)
    }

    /// Reads an ONNX model from its bytes, with neighbouring operations fused.
    ///
    /// # Errors
    /// Whatever the network cannot represent exactly, with the name of the node.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_proto(&decode(bytes)?).map(|read| read.graph)
    }

    /// The graph with the positions of the nodes that it depends on.
    pub(super) fn from_proto(model: &ModelProto) -> Result<Read, ModelError> {
        let (importer, order) = import(model)?;
        if let Some(error) = importer.errors.into_iter().next() {
            return Err(error);
        }
        let output = importer.values.get(&order.output);
        let output = match output {
            Some(Value::Activation(activation)) => activation.clone(),
            _ => {
                return Err(ModelError::Disconnected {
                    output: order.output,
                });
            }
        };
        let graph = fuse::fuse(FloatGraph {
            name: model
                .graph
                .as_ref()
                .map_or_else(String::new, |g| g.name.clone()),
            input_shape: importer.input_shape,
            input_grid: (importer.input_kind == Kind::Index).then_some(Grid::INTEGERS),
            nodes: importer.nodes,
            output: output.id,
            output_shape: output.shape,
        });
        graph.check()?;
        Ok(Read {
            graph,
            used: order.all,
        })
    }
}

/// A graph and the nodes of the model that it was read from.
pub(super) struct Read {
    pub(super) graph: FloatGraph,
    /// Positions of the nodes that the output depends on.
    pub(super) used: HashSet<usize>,
}

/// What a model consists of.
pub(super) struct Survey {
    pub(super) name: String,
    pub(super) operator_set: i64,
    pub(super) input_shape: Vec<usize>,
    pub(super) parameters: u64,
    pub(super) nodes: Vec<OnnxNode>,
    pub(super) problems: Vec<ModelError>,
}

/// Reads as much of a model as can be read.
pub(super) fn survey(model: &ModelProto) -> Result<Survey, ModelError> {
    let (importer, order) = import(model)?;
    let (graph, operator_set) = graph_of(model)?;
    let used: HashSet<usize> = order.nodes.iter().copied().collect();
    let listed = |(position, proto): (usize, &NodeProto)| {
        let output = proto
            .output
            .first()
            .and_then(|name| importer.values.get(name));
        let shape = match output {
            Some(Value::Activation(activation)) => Some(activation.shape.clone()),
            Some(Value::Constant(constant)) => constant.shape().map(<[usize]>::to_vec),
            None => None,
        };
        OnnxNode {
            name: Node::new(proto, position, operator_set).name,
            operator: proto.op_type.clone(),
            shape,
            used: used.contains(&position),
        }
    };
    let values = |tensor: &TensorProto| {
        let sizes = tensor.dims.iter().map(|&d| u64::try_from(d).unwrap_or(0));
        sizes.fold(1u64, u64::saturating_mul)
    };
    Ok(Survey {
        name: graph.name.clone(),
        operator_set,
        input_shape: importer.input_shape.clone(),
        parameters: graph
            .initializer
            .iter()
            .map(values)
            .fold(0, u64::saturating_add),
        nodes: graph.node.iter().enumerate().map(listed).collect(),
        problems: importer.errors,
    })
}

/// Reads every node that the output depends on; errors of nodes are kept in the importer.
fn import(model: &ModelProto) -> Result<(Importer, Order), ModelError> {
    let (graph, opset) = graph_of(model)?;
    let input = single_input(graph)?;
    let (input_shape, input_kind) = input_shape(input)?;
    let normalisations = patterns::normalisations(graph);
    let order = Order::new(graph, &input.name, &normalisations)?;
    let mut importer = Importer::new(input_shape, input_kind);
    importer.values.insert(input.name.clone(), importer.input());
    for tensor in &graph.initializer {
        if order.tensors.contains(&tensor.name) {
            let constant = Constant::decode(tensor)?;
            importer
                .values
                .insert(tensor.name.clone(), Value::constant(constant));
        }
    }
    for &position in &order.nodes {
        let Some(proto) = graph.node.get(position) else {
            continue;
        };
        let node = Node::new(proto, position, opset);
        let pattern = normalisations.get(&position);
        let read = match pattern {
            Some(pattern) => importer.normalised(&node, pattern),
            None => importer.read(&node),
        };
        let named = read.and_then(|outputs| importer.name_outputs(&node, outputs, &order));
        if let Err(error) = named {
            importer.failed(proto, error);
        }
    }
    Ok((importer, order))
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })
}

/// Decodes a model.
pub(super) fn decode(mut bytes: &[u8]) -> Result<ModelProto, ModelError> {
    tract_onnx::onnx()
        .proto_model_for_read(&mut bytes)
        .map_err(|e| ModelError::Decode {
            reason: format!("{e:#}"),
        })
}

/// The graph of a model of a known operator set, and the version of the set.
fn graph_of(model: &ModelProto) -> Result<(&GraphProto, i64), ModelError> {
    let graph = model.graph.as_ref().ok_or_else(|| ModelError::Decode {
        reason: "the model has no graph".into(),
    })?;
    let versions = model
        .opset_import
        .iter()
        .filter(|o| is_default(&o.domain))
        .map(|o| o.version);
    let got = versions.max().unwrap_or(0);
    if (OLDEST_OPERATOR_SET..=NEWEST_OPERATOR_SET).contains(&got) {
        return Ok((graph, got));
    }
    Err(ModelError::OperatorSet {
        got,
        least: OLDEST_OPERATOR_SET,
        most: NEWEST_OPERATOR_SET,
    })
}

fn is_default(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
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

/// The shape of the graph input with a batch of one, and what its values stand for. A tensor of one
/// dimension has no batch.
fn input_shape(input: &ValueInfoProto) -> Result<(Vec<usize>, Kind), ModelError> {
    let wrong_type = |got: String| ModelError::InputType {
        input: input.name.clone(),
        got,
    };
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(wrong_type("untyped".into()));
    };
    let kind = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => Kind::Float,
        Ok(DataType::Int64 | DataType::Int32) => Kind::Index,
        Ok(kind) => return Err(wrong_type(kind.as_str_name().into())),
        Err(_) => return Err(wrong_type(format!("type {}", tensor.elem_type))),
    };
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
    let sizes = positive_shape(&shape, batched).ok_or_else(|| ModelError::InputShape {
        input: input.name.clone(),
        got: shape,
    })?;
    Ok((sizes, kind))
}

/// `shape` as sizes, if it is positive, has a batch of one and a product that is no larger than
/// activations may be.
fn positive_shape(shape: &[i64], batched: bool) -> Option<Vec<usize>> {
    let sizes: Option<Vec<usize>> = shape
        .iter()
        .map(|&s| usize::try_from(s).ok().filter(|&s| s > 0))
        .collect();
    let sizes = sizes?;
    let batch = !batched || sizes.first() == Some(&1);
    (!sizes.is_empty() && length(&sizes) <= MAX_ACTIVATION && batch).then_some(sizes)
}

/// A tensor that depends on the input.
#[derive(Clone, Debug)]
struct Activation {
    /// Its id in the graph.
    id: usize,
    shape: Vec<usize>,
    kind: Kind,
}

/// What the values of an activation stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Themselves.
    Float,
    /// Integers: those of an integer input, and indices that ArgMax gives.
    Index,
    /// The integers `value / scale + zero`.
    Quantised { scale: f64, zero: i64 },
}

impl Activation {
    fn new(id: usize, shape: Vec<usize>) -> Self {
        Activation {
            id,
            shape,
            kind: Kind::Float,
        }
    }

    fn reshaped(self, shape: Vec<usize>) -> Self {
        Activation { shape, ..self }
    }
}

/// A tensor of the model.
#[derive(Clone, Debug)]
enum Value {
    Activation(Activation),
    Constant(Arc<Constant>),
}

impl Value {
    fn constant(constant: Constant) -> Self {
        Value::Constant(Arc::new(constant))
    }

    fn is_constant(&self) -> bool {
        matches!(self, Value::Constant(_))
    }
}

/// The outputs of a node with one.
fn one(value: Value) -> Result<Outputs, ModelError> {
    Ok(vec![value])
}

/// The outputs of a node that gives one activation.
fn activation(activation: Activation) -> Result<Outputs, ModelError> {
    one(Value::Activation(activation))
}

/// The graph read so far.
struct Importer {
    input_shape: Vec<usize>,
    input_length: usize,
    input_kind: Kind,
    values: HashMap<String, Value>,
    /// Tensors of nodes that could not be read.
    unknown: HashSet<String>,
    nodes: Vec<FloatNode>,
    /// What was wrong, in the order of the nodes; never with what follows from an earlier error.
    errors: Vec<ModelError>,
}

impl Importer {
    fn new(input_shape: Vec<usize>, input_kind: Kind) -> Self {
        Importer {
            input_kind,
            input_length: length(&input_shape),
            input_shape,
            values: HashMap::new(),
            unknown: HashSet::new(),
            nodes: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn input(&self) -> Value {
        Value::Activation(Activation {
            kind: self.input_kind,
            ..Activation::new(0, self.input_shape.clone())
        })
    }

    /// Reads a node.
    fn read(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        if !is_default(&node.proto.domain) {
            return Err(unsupported(node));
        }
        if let Some(folded) = self.fold(node)? {
            return Ok(folded);
        }
        let found = OPERATORS
            .iter()
            .find(|operator| operator.name == node.operator());
        let operator = found.ok_or_else(|| unsupported(node))?;
        let unknown = node
            .proto
            .attribute
            .iter()
            .find(|a| !operator.attributes.contains(&a.name.as_str()));
        if let Some(attribute) = unknown {
            let usage = format!("the attribute `{}`", attribute.name);
            return Err(node.misused(usage, "check the model with onnx.checker"));
        }
        if node.proto.input.len() > operator.operands {
            let usage = format!("{} operands", node.proto.input.len());
            return Err(node.misused(usage, "check the model with onnx.checker"));
        }
        (operator.read)(self, node)
    }

    /// Gives the outputs of a node their names.
    fn name_outputs(
        &mut self,
        node: &Node,
        outputs: Outputs,
        order: &Order,
    ) -> Result<(), ModelError> {
        let mut outputs = outputs.into_iter();
        for name in &node.proto.output {
            match outputs.next() {
                Some(value) => {
                    self.values.insert(name.clone(), value);
                }
                None if order.tensors.contains(name) && !name.is_empty() => {
                    let usage = format!("its output `{name}`");
                    return Err(node.misused(usage, "use the first output only"));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Notes that a node could not be read, unless that follows from another error.
    fn failed(&mut self, node: &NodeProto, error: ModelError) {
        let follows = matches!(error, ModelError::MissingTensor { .. })
            && node.input.iter().any(|input| self.unknown.contains(input));
        if !follows {
            self.errors.push(error);
        }
        self.unknown.extend(node.output.iter().cloned());
    }

    /// Operand `index` of a node.
    fn operand(&self, node: &Node, index: usize) -> Result<Value, ModelError> {
        let value = self.values.get(node.operand(index)).cloned();
        match value.ok_or_else(|| node.missing(index))? {
            Value::Constant(constant) if constant.shape().is_none() => {
                Err(node.wrong_type(node.operand(index), "FLOAT", &constant))
            }
            value => Ok(value),
        }
    }

    /// Operand `index`, which must depend on the input and hold floats.
    fn activation(&mut self, node: &Node, index: usize) -> Result<Activation, ModelError> {
        match self.operand(node, index)? {
            Value::Activation(activation) => match activation.kind {
                Kind::Float => Ok(activation),
                Kind::Index => {
                    let usage = format!("the integers `{}`", node.operand(index));
                    let remedy = "look them up with Gather or OneHot, cast them to float, or end \
                                  with ArgMax";
                    Err(node.misused(usage, remedy))
                }
                Kind::Quantised { .. } => {
                    let usage = format!("the quantised tensor `{}`", node.operand(index));
                    Err(node.misused(usage, "dequantise it first"))
                }
            },
            Value::Constant(constant) => match constant.as_ref() {
                Constant::Float(_) => {
                    let usage = format!("constant operand `{}`", node.operand(index));
                    Err(node.misused(usage, "fold constants, for instance with onnxsim"))
                }
                other => Err(node.wrong_type(node.operand(index), "FLOAT", other)),
            },
        }
    }

    /// Operand `index`, which must be a constant of finite floats.
    fn floats(&self, node: &Node, index: usize) -> Result<ArrayD<f64>, ModelError> {
        let tensor = node.operand(index);
        match self.operand(node, index)? {
            Value::Activation(_) => {
                let usage = format!("the activation `{tensor}` as operand {index}");
                Err(node.misused(usage, "only a constant can stand there"))
            }
            Value::Constant(constant) => match constant.as_ref() {
                Constant::Float(values) => {
                    node.finite(tensor, values.iter())?;
                    Ok(values.clone())
                }
                other => Err(node.wrong_type(tensor, "FLOAT", other)),
            },
        }
    }

    /// Operand `index`, which must be a constant with one float.
    fn scalar(&self, node: &Node, index: usize) -> Result<f64, ModelError> {
        let values = self.floats(node, index)?;
        let value = values.first().filter(|_| values.len() == 1);
        let value = value.ok_or_else(|| node.mismatched(&[], values.shape()));
        value.copied()
    }

    /// Operand `index`, which must be constant integers.
    fn integers(&self, node: &Node, index: usize) -> Result<Vec<i64>, ModelError> {
        match self.operand(node, index)? {
            Value::Activation(_) => {
                let usage = "a computed shape or index".into();
                Err(node.misused(usage, "export with constant shapes"))
            }
            Value::Constant(constant) => match constant.as_ref() {
                Constant::Integer(values, _) => Ok(values.iter().copied().collect()),
                other => Err(node.wrong_type(node.operand(index), "INT64", other)),
            },
        }
    }

    /// Axes from the attribute or operand `index`; `None` when there are none.
    fn axes(
        &self,
        node: &Node,
        index: usize,
        rank: usize,
    ) -> Result<Option<Vec<usize>>, ModelError> {
        let given = match node.ints("axes")? {
            Some(axes) => axes.to_vec(),
            None if node.has(index) => self.integers(node, index)?,
            None => return Ok(None),
        };
        self.axis_list(node, &given, rank).map(Some)
    }

    fn axis_list(&self, node: &Node, given: &[i64], rank: usize) -> Result<Vec<usize>, ModelError> {
        given.iter().map(|&axis| node.axis(axis, rank)).collect()
    }

    /// The shape of a value.
    fn shape_of(&self, node: &Node, value: &Value) -> Result<Vec<usize>, ModelError> {
        match value {
            Value::Activation(activation) => Ok(activation.shape.clone()),
            Value::Constant(constant) => match constant.shape() {
                Some(shape) => Ok(shape.to_vec()),
                None => Err(node.wrong_type("operand", "FLOAT", constant)),
            },
        }
    }

    /// Checks that a tensor is neither empty nor too large to be proven.
    fn check_size(&self, node: &Node, shape: &[usize], constant: bool) -> Result<(), ModelError> {
        let (least, most) = if constant {
            (0, MAX_CONSTANT)
        } else {
            (1, MAX_ACTIVATION)
        };
        if (least..=most).contains(&length(shape)) {
            return Ok(());
        }
        Err(ModelError::TensorSize {
            node: node.name.clone(),
            shape: shape.to_vec(),
            most,
        })
    }

    /// Adds an operation.
    fn push(
        &mut self,
        node: &Node,
        op: FloatOp,
        inputs: Vec<usize>,
        shape: Vec<usize>,
    ) -> Result<Activation, ModelError> {
        self.check_size(node, &shape, false)?;
        self.nodes.push(FloatNode {
            name: node.name.clone(),
            op,
            clip: Interval::ALL,
            step: None,
            inputs,
            shape: shape.clone(),
        });
        Ok(Activation::new(self.nodes.len(), shape))
    }
}

impl Node<'_> {
    /// Checks that every value is finite.
    fn finite<'v>(
        &self,
        tensor: &str,
        values: impl Iterator<Item = &'v f64>,
    ) -> Result<(), ModelError> {
        for (index, &value) in values.enumerate() {
            if !value.is_finite() {
                return Err(ModelError::NotFinite {
                    node: self.name.clone(),
                    tensor: tensor.into(),
                    index,
                    value,
                });
            }
        }
        Ok(())
    }
}

fn unsupported(node: &Node) -> ModelError {
    let remedy = match node.operator() {
        "LogSoftmax" => "export the logits: they decide the prediction",
        "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" | "If" => {
            "unroll it, or use a network without recurrence and control flow"
        }
        "Sqrt" | "Reciprocal" | "Log" | "ReduceMin" | "ReduceProd" | "TopK" => {
            "rewrite the model without it, or apply it after the proof"
        }
        "Resize" | "Upsample" => "use ConvTranspose, or resize before the network",
        "NonMaxSuppression" | "ZipMap" | "ArrayFeatureExtractor" => {
            "export the network without what follows its scores"
        }
        _ => "`foldnet inspect` lists the operators that are read; rewrite the model with these",
    };
    ModelError::UnsupportedOperator {
        node: node.name.clone(),
        operator: node.operator().into(),
        remedy,
    }
}
