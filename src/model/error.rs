//! What can be wrong with a model, its inputs, its quantisation or its plan.

use std::path::PathBuf;

/// The advice for operators that are in no list.
pub(super) const UNLISTED: &str =
    "the README, section Operators, lists those that are; rewrite the model with these";

/// An error of [`crate::model`]; every message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No plan fits into the memory.
    #[error(
        "the memory: expected at least {least} bytes for any plan, got {got}; give {least} or more, \
         or use narrower layers"
    )]
    Memory {
        /// Bytes allowed.
        got: u64,
        /// Bytes of the plan that takes least.
        least: u64,
    },
    /// A layer of the integer network is refused.
    #[error("node `{node}`: {source}")]
    Layer {
        /// The node's name; empty when the error is about the whole network.
        node: String,
        /// What is wrong.
        source: Box<foldnet_layers::LayerError>,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {reason}; export the model again")]
    Decode {
        /// What the decoder said.
        reason: String,
    },
    /// The operator set is older or newer than the operators read here.
    #[error(
        "operator set {got} is not read, only {least} to {most} are; export with another \
         opset_version, for instance 17"
    )]
    OperatorSet {
        /// Version of the default operator set; 0 when there is none.
        got: i64,
        /// The oldest version that is read.
        least: i64,
        /// The newest version that is read.
        most: i64,
    },
    /// The graph has no input or several.
    #[error("expected one graph input, got {got:?}; export a model of a single tensor")]
    GraphInputs {
        /// The inputs that are not initialisers.
        got: Vec<String>,
    },
    /// The graph has no output or several.
    #[error("expected one graph output, got {got:?}; export the logits only")]
    GraphOutputs {
        /// The outputs.
        got: Vec<String>,
    },
    /// The graph output does not depend on the input, or nothing gives it.
    #[error(
        "graph output `{output}` does not depend on the graph input; connect them, or export the \
         model again"
    )]
    Disconnected {
        /// The graph output.
        output: String,
    },
    /// Nodes depend on one another.
    #[error(
        "node `{node}` depends on its own output; a network has to be free of cycles, export the \
         model again"
    )]
    Cycle {
        /// A node of the cycle, or one that depends on it.
        node: String,
    },
    /// A tensor without values, or with too many.
    #[error(
        "node `{node}`: a tensor of shape {shape:?} has no values or more than {most}; use smaller \
         inputs"
    )]
    TensorSize {
        /// The node.
        node: String,
        /// The shape.
        shape: Vec<usize>,
        /// The most values there may be.
        most: usize,
    },
    /// The graph input is neither a float32 nor an integer tensor.
    #[error(
        "graph input `{input}` is {got}, expected float32, or int64 or int32 for numbers of tokens; \
         export the model with such an input"
    )]
    InputType {
        /// The graph input.
        input: String,
        /// Its type.
        got: String,
    },
    /// The graph input has a shape that is no single vector or tensor of known size.
    #[error(
        "graph input `{input}` has shape {got:?}, expected a batch dimension of 1 (or symbolic) \
         followed by positive dimensions; export with a batch of one"
    )]
    InputShape {
        /// The graph input.
        input: String,
        /// Its dimensions.
        got: Vec<i64>,
    },
    /// The graph input has too many values.
    #[error(
        "graph input `{input}` has shape {got:?}, which is more than {most} values; use smaller inputs"
    )]
    InputSize {
        /// The graph input.
        input: String,
        /// Its dimensions.
        got: Vec<i64>,
        /// The most values there may be.
        most: usize,
    },
    /// The model declares its output with another shape than it has.
    #[error(
        "graph output `{output}` is declared with shape {declared:?}, but its nodes give {computed:?}; \
         the file contradicts itself, export the model again"
    )]
    OutputShape {
        /// The graph output.
        output: String,
        /// The dimensions in the file; 0 for those that are left open.
        declared: Vec<i64>,
        /// What follows from the input's shape.
        computed: Vec<usize>,
    },
    /// A dimension other than the batch dimension is symbolic.
    #[error(
        "dimension {axis} of graph input `{input}` is dynamic (`{symbol}`), only the batch \
         dimension may be; export without dynamic axes"
    )]
    DynamicShape {
        /// The graph input.
        input: String,
        /// Position of the dimension, from 0.
        axis: usize,
        /// Its name in the model, if any.
        symbol: String,
    },
    /// An operator that is not read.
    #[error("node `{node}`: operator {operator} is not supported; {remedy}")]
    UnsupportedOperator {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// An operator that is read, used in a way that is not.
    #[error("node `{node}`: {operator} with {usage} is not supported; {remedy}")]
    UnsupportedUse {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The attribute or operand that is not read.
        usage: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A node reads a tensor that no initialiser and no node defines.
    #[error(
        "node `{node}` reads `{tensor}`, which no initialiser or node defines; export with the \
         weights included"
    )]
    MissingTensor {
        /// The node.
        node: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is defined twice, so that a node reading it has no single meaning.
    #[error("tensor `{tensor}` is defined twice; give every initialiser and output its own name")]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
    },
    /// Weights are kept in another file.
    #[error(
        "tensor `{tensor}` is kept outside the model file; save the model as one file \
         (onnx.save_model(..., save_as_external_data=False))"
    )]
    ExternalData {
        /// The tensor.
        tensor: String,
    },
    /// A constant has a type that is not read.
    #[error(
        "node `{node}`: constant `{tensor}` is {got}, expected {expected}; export the model in \
         float32"
    )]
    WeightType {
        /// The node that uses it.
        node: String,
        /// The constant.
        tensor: String,
        /// The type expected.
        expected: &'static str,
        /// Its type.
        got: String,
    },
    /// A constant does not hold as many values as its dimensions say.
    #[error(
        "tensor `{tensor}` of dimensions {dimensions:?} holds {got} values; the file is damaged, \
         export the model again"
    )]
    TensorData {
        /// The constant.
        tensor: String,
        /// Its dimensions.
        dimensions: Vec<i64>,
        /// How many values are stored.
        got: usize,
    },
    /// A weight or bias is not a finite number.
    #[error(
        "node `{node}`: entry {index} of `{tensor}` is {value}, expected a finite number; the \
         training diverged or the file is damaged"
    )]
    NotFinite {
        /// The node that uses it.
        node: String,
        /// The constant.
        tensor: String,
        /// Position of the entry in row-major order.
        index: usize,
        /// The value.
        value: f64,
    },
    /// The operands of a node do not fit together.
    #[error(
        "node `{node}`: operand shapes {left:?} and {right:?} do not fit together; check the \
         input shape the model was exported with"
    )]
    OperandShapes {
        /// The node.
        node: String,
        /// Shape of the activation.
        left: Vec<usize>,
        /// Shape of the constant, or the shape asked for.
        right: Vec<usize>,
    },
    /// The network does nothing.
    #[error("the network has no layer to prove; its output is its input, export the right model")]
    NoLayers,
    /// The float reference implementation failed.
    #[error("the float reference failed: {reason}; check the model with onnx.checker")]
    Reference {
        /// What it said.
        reason: String,
    },
    /// A file of inputs is not JSON.
    #[error("not JSON: {source}; expected {{\"input_data\": [[...]]}}")]
    Json {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A file of inputs is JSON of another form.
    #[error("{place}: expected {expected}; write {{\"input_data\": [[...]]}}")]
    JsonForm {
        /// Where in the file.
        place: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A file of inputs has a key twice, so that it is not one input but two.
    #[error("{reason}: which of both is meant? remove one")]
    JsonTwice {
        /// The key and the place.
        reason: String,
    },
    /// A file of inputs has a key that means nothing here.
    #[error("{place}: the key `{key}` is not known, and would change nothing; {known}")]
    JsonKey {
        /// Where in the file.
        place: String,
        /// The key.
        key: String,
        /// Which keys there are.
        known: &'static str,
    },
    /// A file of inputs holds a number that is not finite in float32.
    #[error("{place}: {got} is not a finite float32 number; remove the value or rescale it")]
    JsonNumber {
        /// Where in the file.
        place: String,
        /// What is there.
        got: String,
    },
    /// An input has a wrong length.
    #[error(
        "sample {sample} has {got} values, the model takes {expected}; flatten each sample into \
         one list"
    )]
    InputLength {
        /// Position of the sample, from 0.
        sample: usize,
        /// Length the model takes.
        expected: usize,
        /// Length of the sample.
        got: usize,
    },
    /// A file of one input holds none or several.
    #[error("expected one input, got {got}; the model has one input tensor, give one list")]
    InputCount {
        /// How many there are.
        got: usize,
    },
    /// There are no samples.
    #[error("there are no samples; give some typical inputs, about 100")]
    NoSamples,
    /// Labels do not belong to the samples.
    #[error("there are {samples} samples and {labels} labels; give one label a sample")]
    Labels {
        /// How many samples.
        samples: usize,
        /// How many labels.
        labels: usize,
    },
    /// A label is not the number of a class.
    #[error(
        "label {position} is {got}, and the model tells {classes} classes apart, 0 to {}; correct it, \
         or leave labels out",
        classes.saturating_sub(1)
    )]
    Label {
        /// Position of the label, from 0.
        position: usize,
        /// The label.
        got: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// The activation width is not supported.
    #[error("activations of {got} bits are not supported; choose 2 to 16, usually 8")]
    Bits {
        /// The width asked for.
        got: u32,
    },
    /// The requantisation shift is not supported.
    #[error("layer `{layer}`: a shift of {got} is not supported; choose 1 to 24, usually 16")]
    Shift {
        /// The layer.
        layer: String,
        /// The shift.
        got: u32,
    },
    /// A tensor has no usable scale.
    #[error(
        "{tensor}: a largest magnitude of {got} gives no scale; calibrate with more samples, or \
         remove a layer that is always zero"
    )]
    Range {
        /// The tensor.
        tensor: String,
        /// Its largest magnitude, or its scale.
        got: f64,
    },
    /// A method of calibration that is not known.
    #[error("calibration `{got}` is not known; choose max, mse, or a percentage from 50 to 100")]
    Method {
        /// What was asked for.
        got: String,
    },
    /// A share of values that calibration cannot keep.
    #[error("{got} percent of the values cannot be kept; choose 50 to 100, for instance 99.99")]
    Percentile {
        /// The percentage asked for.
        got: f64,
    },
    /// Tensors that have to have one scale have two.
    #[error(
        "node `{node}`: the scale {scale} meets {other} where values pass unchanged; requantise \
         before the tensors are joined"
    )]
    Scales {
        /// The node.
        node: String,
        /// Its scale.
        scale: f64,
        /// That of what it is joined with.
        other: f64,
    },
    /// A model that is quantised already needs wider activations.
    #[error(
        "node `{node}`: its quantised values need {needed} bits, got {bits}; compile with more \
         bits"
    )]
    GridBits {
        /// The node.
        node: String,
        /// The width asked for.
        bits: u32,
        /// The width needed.
        needed: u32,
    },
    /// Indices of a table need wider activations.
    #[error(
        "node `{node}`: indices up to {most} need activations of {needed} bits, got {bits}; compile \
         with --bits {needed}"
    )]
    IndexBits {
        /// The node.
        node: String,
        /// The largest index.
        most: usize,
        /// The width asked for.
        bits: u32,
        /// The width needed.
        needed: u32,
    },
    /// An index is none of a table's rows.
    #[error(
        "node `{node}`: index {position} is {value}, expected 0 to {most}; give indices of the table's \
         rows, counted from the first"
    )]
    Index {
        /// The node.
        node: String,
        /// Position of the index.
        position: usize,
        /// The index.
        value: f64,
        /// The largest index.
        most: usize,
    },
    /// An input value of a network that takes integers is none.
    #[error(
        "input value {index} is {value}, the network takes integers; give numbers of tokens as they \
         are, without scaling"
    )]
    InputInteger {
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// An integer of the input does not fit the activations.
    #[error(
        "input value {index} is {value}, outside of the integers {low} to {high} of the activations; \
         give a smaller one, or compile with more --bits if the network knows it"
    )]
    InputIndex {
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
        /// The smallest integer.
        low: i64,
        /// The largest integer.
        high: i64,
    },
    /// A function needs a table that is too long.
    #[error(
        "node `{node}` looks its values up, which takes activations of at most {most} bits, got \
         {got}; compile with fewer bits"
    )]
    TableBits {
        /// The node.
        node: String,
        /// The width asked for.
        got: u32,
        /// The largest width.
        most: u32,
    },
    /// A function has no value.
    #[error("node `{node}` has no value at {at}; calibrate with samples of its domain")]
    Undefined {
        /// The node.
        node: String,
        /// Where.
        at: f64,
    },
    /// A multiplier rounds to zero.
    #[error(
        "node `{node}`: the multiplier {ratio} rounds to zero at every shift; calibrate with \
         typical samples, or scale its operands up"
    )]
    Multiplier {
        /// The node.
        node: String,
        /// Its operands' scales over that of its output.
        ratio: f64,
    },
    /// Activations saturate on the calibration samples, which was not allowed.
    #[error(
        "node `{node}`: {count} values saturate on the samples; calibrate by largest magnitudes \
         (--calibration max), or leave out --strict to allow it"
    )]
    Saturated {
        /// The node.
        node: String,
        /// How many values.
        count: usize,
    },
    /// Integer weights are too large at every shift.
    #[error(
        "layer `{layer}`: integer weights need {got} bits with a shift of {shift}, at most \
         {most} are allowed; scale the layer's weights down or calibrate with typical samples"
    )]
    WeightRange {
        /// The layer.
        layer: String,
        /// The shift.
        shift: u32,
        /// Signed bits needed.
        got: u32,
        /// Signed bits allowed.
        most: u32,
    },
    /// The logits saturate on calibration samples.
    #[error(
        "layer `{layer}`: the logits saturate on the calibration samples at every scale tried; \
         use more bits for the activations"
    )]
    LogitsSaturate {
        /// The last layer.
        layer: String,
    },
    /// An input value lies outside the calibrated range.
    #[error(
        "input value {index} is {}, outside the calibrated range [{}, {}]; calibrate with samples \
         that reach it, or allow saturation",
        short(*value), short(*low), short(*high)
    )]
    OutsideRange {
        /// Position of the value.
        index: usize,
        /// The value.
        value: f64,
        /// Least value of the range.
        low: f64,
        /// Largest value of the range.
        high: f64,
    },
    /// The layers of an integer network do not fit together.
    #[error(
        "layer `{layer}`: expected {expected} {what}, got {got}; the network was put together \
         wrongly"
    )]
    LayerShape {
        /// The layer.
        layer: String,
        /// What is counted.
        what: &'static str,
        /// The number expected.
        expected: usize,
        /// The number found.
        got: usize,
    },
    /// Accumulators could exceed 64-bit integers.
    #[error(
        "layer `{layer}`: accumulators need {got} bits, at most {most} are allowed; lower the \
         shift or the number of activation bits"
    )]
    Accumulator {
        /// The layer.
        layer: String,
        /// Signed bits needed.
        got: u32,
        /// Signed bits allowed.
        most: u32,
    },
    /// The bound on step polynomials is out of range.
    #[error("step polynomials of {got} variables are not supported; choose at most {most}")]
    WeightVariables {
        /// The number asked for.
        got: usize,
        /// The largest allowed.
        most: usize,
    },
    /// A layer does not fit into one step.
    #[error(
        "layer `{layer}` ({outputs} x {inputs}): the least part of it takes a step of 2^{needed} \
         weights, and a step has at most 2^{most}; raise --step-variables to {needed} or more (22 at \
         most), or narrow the layer"
    )]
    LayerTooLarge {
        /// The layer.
        layer: String,
        /// Its outputs.
        outputs: usize,
        /// Its inputs.
        inputs: usize,
        /// Variables that its smallest piece needs.
        needed: usize,
        /// The bound.
        most: usize,
    },
    /// The network has too many different layers.
    #[error(
        "no cut of the network has at most {most} step kinds; allow larger steps \
         (--step-variables, up to 22), or make hidden layers of one width"
    )]
    TooManyKinds {
        /// Kinds allowed.
        most: usize,
    },
    /// All plans have kinds with too many constraints.
    #[error(
        "the smallest plan of the network has {least} constraints in all its step kinds, and at most \
         {most} are allowed; lower --batch, or compile for a proof that allows more (--proof spartan)"
    )]
    TooManyConstraints {
        /// Constraints of the plan that has fewest.
        least: usize,
        /// Constraints allowed.
        most: usize,
    },
    /// A plan and a network do not belong together.
    #[error("the plan does not fit the network: {reason}; plan this network again")]
    PlanMismatch {
        /// What differs.
        reason: String,
    },
}

impl ModelError {
    /// The message without advice that is the same for every operator that is not read.
    pub fn brief(&self) -> String {
        let message = self.to_string();
        match message
            .strip_suffix(UNLISTED)
            .and_then(|m| m.strip_suffix("; "))
        {
            Some(brief) => brief.into(),
            None => message,
        }
    }

    /// Advice that [`ModelError::brief`] leaves out.
    pub fn common_advice(&self) -> Option<&'static str> {
        match self {
            ModelError::UnsupportedOperator { remedy, .. } if *remedy == UNLISTED => Some(UNLISTED),
            _ => None,
        }
    }
}

/// A number for people: six digits.
pub(crate) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value != 0.0 && value.is_finite() && !(1e-4..1e9).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let whole = magnitude.max(1.0).log10() as usize;
    let text = format!("{value:.*}", 5usize.saturating_sub(whole));
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if text.contains('.') {
        trimmed.into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (-1.0078740157480315, "-1.00787"),
            (9.0, "9"),
            (0.0, "0"),
            (1200.0, "1200"),
            (12_345.678, "12345.7"),
            (123_456_789.0, "123456789"),
            (2.904_760_671_495_446e28, "2.90476e28"),
            (1.5e-7, "1.50000e-7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
