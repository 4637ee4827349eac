//! Operators of onnxruntime's domain `com.microsoft`: those that its static quantisation writes in the
//! format QOperator, and the forms of Gelu.
//!
//! A quantised operator is the float operator between a DequantizeLinear of every operand and a
//! QuantizeLinear of the result, and is read as that.

use super::constant::Constant;
use super::node::Node;
use super::quantised::Scheme;
use super::{Activation, Importer, Kind, MANY, Operator, Outputs, Value, activation, operator};
use crate::model::error::ModelError;
use crate::model::graph::Elementary;
use ndarray::ArrayD;
use tract_onnx::pb::NodeProto;

/// The domain.
pub(super) const DOMAIN: &str = "com.microsoft";

const FOLD: &str = "fold constants, for instance with onnxsim";

/// The operators of the domain that are read.
pub(super) const OPERATORS: &[Operator] = &[
    operator("BiasGelu", 2, &[], Importer::biased_gelu),
    operator(
        "DequantizeLinear",
        3,
        &["axis"],
        Importer::dequantize_linear,
    ),
    operator("FastGelu", 2, &[], Importer::biased_gelu),
    operator("Gelu", 1, &[], Importer::biased_gelu),
    operator(
        "QGemm",
        9,
        &["alpha", "transA", "transB"],
        Importer::quantised_gemm,
    ),
    operator("QLinearAdd", 8, &[], Importer::quantised_pair),
    operator(
        "QLinearAveragePool",
        5,
        &[
            "auto_pad",
            "ceil_mode",
            "channels_last",
            "count_include_pad",
            "kernel_shape",
            "pads",
            "strides",
        ],
        Importer::quantised_single,
    ),
    operator("QLinearConcat", MANY, &["axis"], Importer::quantised_concat),
    operator(
        "QLinearGlobalAveragePool",
        5,
        &["channels_last"],
        Importer::quantised_single,
    ),
    operator(
        "QLinearLeakyRelu",
        5,
        &["alpha"],
        Importer::quantised_single,
    ),
    operator("QLinearMul", 8, &[], Importer::quantised_pair),
    operator(
        "QLinearReduceMean",
        5,
        &["axes", "keepdims"],
        Importer::quantised_single,
    ),
    operator("QLinearSigmoid", 5, &[], Importer::quantised_single),
    operator(
        "QLinearSoftmax",
        5,
        &["axis", "opset"],
        Importer::quantised_single,
    ),
    operator("QuantizeLinear", 3, &["axis"], Importer::quantize_linear),
    operator("QuickGelu", 1, &["alpha"], Importer::biased_gelu),
];

/// The attributes that float operators know, too.
const SHARED: &[&str] = &[
    "alpha",
    "auto_pad",
    "axes",
    "axis",
    "ceil_mode",
    "count_include_pad",
    "keepdims",
    "kernel_shape",
    "pads",
    "strides",
    "transA",
    "transB",
];

impl Importer {
    /// Gelu, FastGelu, BiasGelu and QuickGelu: a function of the operand plus a constant, if there is
    /// one.
    fn biased_gelu(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let mut input = self.activation(node, 0)?;
        if node.has(1) {
            let bias = self.floats(node, 1)?;
            let shape = input.shape.clone();
            input = self.affine(node, input, None, Some(&bias))?;
            if input.shape != shape {
                return Err(node.mismatched(&shape, bias.shape()));
            }
        }
        let function = match node.operator() {
            "FastGelu" => Elementary::GeluTanh,
            "QuickGelu" => Elementary::Swish {
                alpha: node.float("alpha", 1.702)?,
            },
            _ => Elementary::Gelu,
        };
        activation(self.mapped(node, &input, function)?)
    }

    /// Reads a node as an operator of the default domain with other operands.
    fn as_float(
        &mut self,
        node: &Node,
        operator: &str,
        operands: Vec<Value>,
    ) -> Result<Activation, ModelError> {
        let name = |index| format!("float operand {index} of {}", node.name);
        let names: Vec<String> = (0..operands.len()).map(name).collect();
        let attributes = node.proto.attribute.iter();
        let proto = NodeProto {
            name: node.proto.name.clone(),
            op_type: operator.into(),
            input: names.clone(),
            output: node.proto.output.clone(),
            attribute: attributes
                .filter(|a| SHARED.contains(&a.name.as_str()))
                .cloned()
                .collect(),
            ..NodeProto::default()
        };
        let float = Node {
            proto: &proto,
            name: node.name.clone(),
            opset: node.int("opset", node.opset)?,
        };
        let insert = |(name, value): (&String, Value)| self.values.insert(name.clone(), value);
        let hidden: Vec<Option<Value>> = names.iter().zip(operands).map(insert).collect();
        let read = self.read(&float);
        for (name, value) in names.into_iter().zip(hidden) {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        let outputs = read.map_err(|error| match error {
            ModelError::UnsupportedUse { usage, remedy, .. } => node.misused(usage, remedy),
            error => error,
        })?;
        match outputs.into_iter().next() {
            Some(Value::Activation(activation)) => Ok(activation),
            _ => Err(node.misused("constant operands only".into(), FOLD)),
        }
    }

    /// The floats of operand `index` with its scale and its zero point.
    fn real_value(&mut self, node: &Node, places: [usize; 3]) -> Result<Value, ModelError> {
        let [index, scale, zero] = places;
        match self.operand(node, index)? {
            Value::Activation(_) => self.real(node, index, [scale, zero]).map(Value::Activation),
            Value::Constant(_) => {
                // Scales are those of whole tensors.
                self.scheme(node, scale, zero)?;
                let values = self.dequantised(node, places, 0)?;
                Ok(Value::constant(Constant::Float(values)))
            }
        }
    }

    /// The scheme of a result; without a zero point it has the type of operand 0.
    fn result_scheme(&self, node: &Node, [scale, zero]: [usize; 2]) -> Result<Scheme, ModelError> {
        let scheme = self.scheme(node, scale, zero)?;
        if node.has(zero) {
            return Ok(scheme);
        }
        match self.operand(node, 0)? {
            Value::Activation(Activation {
                kind: Kind::Quantised(operand),
                ..
            }) => Ok(scheme.of_type(operand)),
            _ => Ok(scheme),
        }
    }

    /// An operator of one quantised operand.
    fn quantised_single(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        if node.flag("channels_last", false)? {
            let usage = "channels_last".into();
            return Err(node.misused(usage, "put the channels before rows and columns"));
        }
        let operator = float_operator(node);
        let scheme = self.result_scheme(node, [3, 4])?;
        let operand = self.real_value(node, [0, 1, 2])?;
        let result = self.as_float(node, operator, vec![operand])?;
        activation(self.rounded(node, &result, scheme)?)
    }

    /// An operator of two quantised operands.
    fn quantised_pair(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let operator = float_operator(node);
        let scheme = self.result_scheme(node, [6, 7])?;
        let operands = vec![
            self.real_value(node, [0, 1, 2])?,
            self.real_value(node, [3, 4, 5])?,
        ];
        let result = self.as_float(node, operator, operands)?;
        activation(self.rounded(node, &result, scheme)?)
    }

    /// Every operand is brought to the scale of the result before they are joined.
    fn quantised_concat(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let scheme = self.scheme(node, 0, 1)?;
        let mut operands = Vec::new();
        for index in (2..node.proto.input.len()).step_by(3) {
            operands.push(
                match self.real_value(node, [index, index + 1, index + 2])? {
                    Value::Activation(operand) => Value::Activation(Activation {
                        kind: Kind::Float,
                        ..self.rounded(node, &operand, scheme)?
                    }),
                    Value::Constant(constant) => match constant.as_ref() {
                        Constant::Float(values) => {
                            let grid = scheme.grid();
                            Value::constant(Constant::Float(values.mapv(|v| grid.round(v))))
                        }
                        other => return Err(node.wrong_type(node.operand(index), "INT8", other)),
                    },
                },
            );
        }
        let mut result = self.as_float(node, "Concat", operands)?;
        result.kind = Kind::Quantised(scheme);
        activation(result)
    }

    /// `y = requantise(alpha A' B' + C)`; without the scale of `y`, the floats.
    fn quantised_gemm(&mut self, node: &Node) -> Result<Outputs, ModelError> {
        let a = self.real_value(node, [0, 1, 2])?;
        let b = match self.operand(node, 3)? {
            Value::Activation(_) => self.real(node, 3, [4, 5]).map(Value::Activation)?,
            Value::Constant(_) => {
                let columns = if node.flag("transB", false)? { 0 } else { 1 };
                let weights = self.dequantised(node, [3, 4, 5], columns)?;
                Value::constant(Constant::Float(weights))
            }
        };
        let mut operands = vec![a, b];
        if node.has(6) {
            let added = self.gemm_bias(node)?;
            operands.push(Value::constant(Constant::Float(added)));
        }
        let result = self.as_float(node, "Gemm", operands)?;
        if !node.has(7) {
            return activation(result);
        }
        let scheme = self.result_scheme(node, [7, 8])?;
        activation(self.rounded(node, &result, scheme)?)
    }

    /// Operand `C` of QGemm, whose scale is `alpha` times those of `A` and of the columns of `B`.
    fn gemm_bias(&self, node: &Node) -> Result<ArrayD<f64>, ModelError> {
        let (integers, _) = self.typed_integers(node, 6)?;
        let scale = node.float("alpha", 1.0)? * self.scheme(node, 1, 2)?.scale;
        let scales = self.floats(node, 4)?;
        // Exact: the integers have 32 bits.
        self.zipped(node, &integers, &scales, |q, s| Some(q as f64 * s * scale))
    }
}

/// The float operator behind a quantised one.
fn float_operator<'a>(node: &Node<'a>) -> &'a str {
    let name = node.operator();
    name.strip_prefix("QLinear").unwrap_or(name)
}
