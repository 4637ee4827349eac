"""Writes what `autograd.py` evaluated as an ONNX file, node by node, as PyTorch names things."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autograd import topological


class Writer:
    """Collects nodes and initialisers of one graph."""

    def __init__(self, opset, batch):
        self.opset = opset
        self.batch = batch
        self.nodes = []
        self.initialisers = []
        self.names = {}
        self.counts = {}

    def fresh(self, operator):
        """A node name that no other node has."""
        number = self.counts.get(operator, 0)
        self.counts[operator] = number + 1
        return f"/{operator}_{number}" if number else f"/{operator}"

    def emit(self, operator, inputs, **attributes):
        """Appends a node and returns the name of its output."""
        name = self.fresh(operator)
        output = f"{name}_output_0"
        self.nodes.append(helper.make_node(operator, inputs, [output], name, **attributes))
        return output

    def constant(self, value):
        """Appends a Constant node and returns the name of its output."""
        return self.emit("Constant", [], value=numpy_helper.from_array(np.asarray(value)))

    def leaf(self, tensor):
        """An initialiser for a parameter, a Constant node for an anonymous number."""
        if tensor.name is None:
            return self.constant(tensor.data)
        array = np.ascontiguousarray(tensor.data)
        self.initialisers.append(numpy_helper.from_array(array, tensor.name))
        return tensor.name

    def visit(self, tensor):
        """Writes one tensor, whose operands are written, and remembers its name."""
        if tensor.node is None:
            self.names[id(tensor)] = self.leaf(tensor)
            return
        operator, operands, attributes = tensor.node
        inputs = [self.names[id(operand)] for operand in operands]
        special = getattr(self, f"write_{operator}", None)
        if special is not None:
            self.names[id(tensor)] = special(inputs, attributes)
        else:
            self.names[id(tensor)] = self.emit(operator, inputs, **attributes)

    def write_Reshape(self, inputs, attributes):
        """The target shape is a constant that starts with the batch."""
        leading = self.batch if isinstance(self.batch, int) else -1
        shape = self.constant(np.array([leading, *attributes["shape"]], dtype=np.int64))
        return self.emit("Reshape", [inputs[0], shape])

    def write_ReduceMean(self, inputs, attributes):
        """From operator set 18 on the axes are an input."""
        if self.opset < 18:
            return self.emit("ReduceMean", inputs, **attributes)
        axes = self.constant(np.array(attributes["axes"], dtype=np.int64))
        return self.emit("ReduceMean", [inputs[0], axes], keepdims=attributes["keepdims"])

    def write_Gelu(self, inputs, _):
        """Before operator set 20 there is no Gelu; PyTorch writes x (1 + erf(x / sqrt 2)) / 2."""
        if self.opset >= 20:
            return self.emit("Gelu", inputs)
        (x,) = inputs
        scaled = self.emit("Div", [x, self.constant(np.float32(np.sqrt(2)))])
        shifted = self.emit("Add", [self.emit("Erf", [scaled]), self.constant(np.float32(1))])
        product = self.emit("Mul", [x, shifted])
        return self.emit("Mul", [product, self.constant(np.float32(0.5))])


def write_onnx(input_tensor, logits, path, opset, batch="batch"):
    """Writes the graph from `input_tensor` to `logits`; `batch` names or fixes the first axis."""
    writer = Writer(opset, batch)
    writer.names[id(input_tensor)] = "input"
    for tensor in topological(logits):
        if tensor is not input_tensor:
            writer.visit(tensor)
    writer.nodes[-1].output[0] = "logits"

    def info(name, tensor):
        shape = [batch, *tensor.shape[1:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        writer.nodes,
        path.stem,
        [info("input", input_tensor)],
        [info("logits", logits)],
        writer.initialisers,
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
