"""Converts ONNX's backend tests into vectors for a reader of models with one input.

Sources, both inside the `onnx` package: the node tests (`onnx.backend.test.case.node`) and the
modules that PyTorch exported (`onnx/backend/test/data/pytorch-converted`), restricted to the operators
that foldnet reads. Each test becomes one or more models with one live input; its other inputs become
initialisers. Every model is evaluated with `onnx.reference` and must give the expected output.

Writes `onnx_nodes/index.json` and `onnx_nodes/vectors.bin`; `onnx_nodes/README.md` has their format.
Deterministic for the versions in requirements.txt.

Usage: python onnx_nodes.py [--extract NAME DIRECTORY]
Needs: pip install -r requirements.txt
"""

import argparse
import json
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.backend.test.case import node as node_cases
from onnx.reference import ReferenceEvaluator

HERE = Path(__file__).resolve().parent / "onnx_nodes"

# The operators asked for, then those that exports of the same layers bring along.
OPERATORS = set(
    """Conv ConvTranspose MaxPool AveragePool GlobalAveragePool BatchNormalization Add Sub Mul Concat
    Slice Pad Transpose Reshape Flatten Squeeze Unsqueeze Clip Relu LeakyRelu HardSwish Sigmoid Tanh
    Gelu Swish Softmax ReduceMean ReduceSum ArgMax Gemm MatMul LayerNormalization Gather
    QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul
    Constant Div Dropout Erf Identity""".split()
)
# Operators whose operands may all be activations.
JOINED = {"Add", "Sub", "Mul", "MatMul", "Concat"}
# Operators that only select values: integers and equal floats are treated alike.
SELECTING = {"Pad", "MaxPool", "Clip"}
# Operators that take or give integers as such.
INTEGERS = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "Gather", "ArgMax"}
TYPES = set(map(np.dtype, ("float32", "uint8", "int8", "uint16", "int16", "int32", "int64")))
LARGEST = 10_000
RTOL, ATOL = 1e-3, 1e-7  # as onnx's own runner
QUANTISED_OPSET = 21  # of models with QuantizeLinear and DequantizeLinear around
LEGACY_OPSET = 15  # what the PyTorch exports, of operator set 6, are converted to


class Skip(Exception):
    """Why a test has no vector."""


@dataclass
class Case:
    """A test while it is rewritten: a model, its live input and what must come out."""

    source: str
    name: str
    model: onnx.ModelProto
    inputs: list
    outputs: list
    form: str = "plain"
    flat: bool = False
    tested: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    @property
    def operators(self):
        return list(dict.fromkeys(node.op_type for node in self.model.graph.node))

    def with_model(self, **changes):
        """A copy with a model of its own."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        return replace(self, model=model, notes=list(self.notes), **changes)


def collect():
    """All tests of both sources that consist of the chosen operators, and what is left out at once."""
    cases, skipped = [], []
    listed = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = sorted(node_cases.collect_testcases(None), key=lambda test: test.name)
    for test in tests:
        if {node.op_type for node in test.model.graph.node} <= OPERATORS:
            listed.add(test.name)
    for test in tests:
        foreign = sorted({node.op_type for node in test.model.graph.node} - OPERATORS)
        inputs, outputs = test.data_sets[0]
        case = Case("node", test.name, test.model, list(inputs), list(outputs))
        if not foreign:
            cases.append(case)
        elif test.name.split("_expanded")[0] in listed:
            skipped.append((case, f"the operator spelt with others: {', '.join(foreign)}"))
    folder = Path(onnx.__file__).parent / "backend/test/data/pytorch-converted"
    for path in sorted(folder.iterdir()):
        model = onnx.load(path / "model.onnx")
        if {node.op_type for node in model.graph.node} <= OPERATORS:
            cases.append(exported(path, model))
    return cases, skipped


def exported(path, model):
    """A module that PyTorch exported; its files hold one data set."""

    def tensors(kind):
        files = sorted((path / "test_data_set_0").glob(f"{kind}_*.pb"))
        return [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]

    return Case("pytorch-converted", path.name, model, tensors("input"), tensors("output"))


def admit(case):
    """Refuses what no vector is made of; brings the rest to one output and plain floats."""
    graph = case.model.graph
    if not case.inputs:
        raise Skip("no input")
    for array in [*case.inputs, *case.outputs]:
        if isinstance(array, TensorProto):
            raise Skip(f"element type {TensorProto.DataType.Name(array.data_type)}")
        if isinstance(array, list):
            raise Skip("a sequence of tensors")
    if any(value > LARGEST for value in map(np.size, [*case.inputs, *case.outputs])):
        raise Skip(f"more than {LARGEST} values in a tensor")
    if not all(map(np.size, [*case.inputs[:1], *case.outputs[:1]])):
        raise Skip("a tensor without elements")
    for node in graph.node:
        training = {a.name: a for a in node.attribute}.get("training_mode")
        if training is not None and training.i:
            raise Skip("training mode")
    if case.name.startswith("test_training_dropout"):
        raise Skip("training mode")
    case = first_output(modern(case))
    case.tested = case.operators
    if set(case.operators) <= SELECTING and case.inputs[0].dtype != np.float32:
        case = as_float(case)
    for array in (case.inputs[0], case.outputs[0]):
        if array.dtype not in TYPES:
            raise Skip(f"element type {array.dtype}")
        if array.dtype != np.float32 and not set(case.operators) & INTEGERS:
            raise Skip(f"arithmetic on {array.dtype}, which wraps")
        if not np.isfinite(array).all():
            raise Skip("a value that is not finite")
    if any(array.dtype == np.float16 for array in case.inputs):
        raise Skip("element type float16")
    return case


def modern(case):
    """PyTorch's exports in an operator set that is still read, without initialisers as inputs."""
    if case.source == "node":
        return case
    case = case.with_model()
    try:
        case.model = version_converter.convert_version(case.model, LEGACY_OPSET)
    except Exception as error:
        raise Skip(f"onnx cannot convert it to operator set {LEGACY_OPSET}: {error}") from error
    case.model.ir_version = 8
    live = drop_constants(case.model.graph)
    case.notes.append(f"converted from operator set 6 to {LEGACY_OPSET} with onnx.version_converter")
    case.inputs = case.inputs[: len(live)]
    return case


def drop_constants(graph):
    """Removes initialisers from the graph's inputs; returns the names that are left."""
    constant = {initialiser.name for initialiser in graph.initializer}
    kept = [info for info in graph.input if info.name not in constant]
    del graph.input[:]
    graph.input.extend(kept)
    return [info.name for info in kept]


def first_output(case):
    """Removes optional outputs behind the first (masks, indices, statistics)."""
    surplus = len(case.model.graph.output) - 1
    if surplus == 0:
        return case
    case = case.with_model(outputs=case.outputs[:1])
    del case.model.graph.output[1:]
    for node in case.model.graph.node:
        del node.output[1:]
    case.notes.append(f"{surplus} optional outputs removed")
    return case


def as_float(case):
    """The same test with float32 in place of small integers."""
    kind = case.inputs[0].dtype
    case = case.with_model()

    def cast(array):
        return array.astype(np.float32) if array.dtype == kind else array

    case.inputs, case.outputs = list(map(cast, case.inputs)), list(map(cast, case.outputs))
    for info in [*case.model.graph.input, *case.model.graph.output]:
        if info.type.tensor_type.elem_type == helper.np_dtype_to_tensor_dtype(kind):
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    case.notes.append(f"written for {kind}, given as float32")
    return case


def constants(case, live=0):
    """Turns all inputs but one into initialisers."""
    case = case.with_model()
    graph = case.model.graph
    infos = list(graph.input)
    for i, (info, array) in enumerate(zip(infos, case.inputs, strict=True)):
        if i != live:
            graph.initializer.append(numpy_helper.from_array(array, info.name))
    del graph.input[:]
    graph.input.append(infos[live])
    case.inputs = [case.inputs[live]]
    return case


def integers(graph, name, values):
    """Adds an int64 initialiser and returns its name."""
    array = np.array(values, dtype=np.int64)
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def surround(case, before, after, live, result):
    """Puts nodes before and after those of a model whose input and output become those given.

    `live` and `result` are (name, array). Node order stays topological.
    """
    graph = case.model.graph
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(info(*live))
    graph.output.append(info(*result))
    case.inputs, case.outputs = [live[1]], [result[1]]
    return case


def info(name, array):
    """A description of a graph input or output."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def reshape(graph, name, source, target, shape):
    """A Reshape node."""
    shape = integers(graph, f"{name}_shape", shape)
    return helper.make_node("Reshape", [source, shape], [target], name)


def flattened(case):
    """The model with an input of 1 x n and an output of 1 x m."""
    case = case.with_model(flat=True)
    graph = case.model.graph
    (old_in,), (old_out,) = graph.input, graph.output
    live, result = case.inputs[0].reshape(1, -1), case.outputs[0].reshape(1, -1)
    before = reshape(graph, "unflatten", "flat_input", old_in.name, case.inputs[0].shape)
    after = reshape(graph, "flatten", old_out.name, "flat_output", result.shape)
    return surround(case, [before], [after], ("flat_input", live), ("flat_output", result))


def joined(case):
    """The model with all operands live: slices of one input of 1 x n; the output is 1 x m."""
    case = case.with_model(form="joined", flat=True)
    graph = case.model.graph
    axes, before, start = integers(graph, "join_axes", [1]), [], 0
    for i, (operand, array) in enumerate(zip(graph.input, case.inputs, strict=True)):
        begin = integers(graph, f"join_begin_{i}", [start])
        start += array.size
        end = integers(graph, f"join_end_{i}", [start])
        cut = [f"join_part_{i}"]
        before.append(helper.make_node("Slice", ["all", begin, end, axes], cut, f"join_cut_{i}"))
        before.append(reshape(graph, f"join_form_{i}", cut[0], operand.name, array.shape))
    live = np.concatenate([array.reshape(-1) for array in case.inputs]).reshape(1, -1)
    result = case.outputs[0].reshape(1, -1)
    after = reshape(graph, "flatten", graph.output[0].name, "flat_output", result.shape)
    return surround(case, before, [after], ("all", live), ("flat_output", result))


def dequantised(case):
    """The model from float to float: QuantizeLinear before, DequantizeLinear after, where missing."""
    operator = case.operators[0]
    names = [info.name for info in case.model.graph.input]
    arrays = dict(zip(names, case.inputs, strict=True))
    count = {"DequantizeLinear": 3, "QuantizeLinear": 3, "QLinearConv": 8, "QLinearMatMul": 8}
    if len(names) != count[operator]:
        raise Skip("no zero point")
    case = constants(case.with_model(form="qdq"))
    graph, before, after = case.model.graph, [], []
    live, result = (names[0], case.inputs[0]), (graph.output[0].name, case.outputs[0])
    scale, zero = (names[1], names[2]) if operator != "QuantizeLinear" else (None, None)
    attributes = {a.name: helper.get_attribute_value(a) for a in graph.node[0].attribute}
    if scale is not None:
        before.append(quantise("QuantizeLinear", "real_input", live[0], scale, zero, attributes))
        live = ("real_input", real(live[1], arrays[scale], arrays[zero], attributes))
    if operator != "DequantizeLinear":
        scale, zero = names[1:3] if operator == "QuantizeLinear" else names[6:8]
        after.append(quantise("DequantizeLinear", result[0], "real_output", scale, zero, attributes))
        result = ("real_output", real(result[1], arrays[scale], arrays[zero], attributes))
    if operator.startswith("QLinear"):
        scalars(graph, set(names) - {names[0], names[3]})
    case.model.opset_import[0].version = QUANTISED_OPSET
    case.model.ir_version = 10
    return surround(case, before, after, live, result)


def quantise(operator, source, target, scale, zero, attributes):
    """A node that quantises or dequantises, along the axis of the case if it has one."""
    along = {key: value for key, value in attributes.items() if key in ("axis", "block_size")}
    return helper.make_node(operator, [source, scale, zero], [target], operator.lower(), **along)


def real(array, scale, zero, attributes):
    """scale (q - zero) in float32."""
    if attributes.get("block_size"):
        raise Skip("scales for blocks of an axis")
    if scale.size > 1:
        along = [1] * array.ndim
        along[attributes.get("axis", 1)] = -1
        scale, zero = scale.reshape(along), zero.reshape(along)
    else:
        scale, zero = scale.reshape(()), zero.reshape(())
    return ((array.astype(np.int32) - zero.astype(np.int32)) * scale).astype(np.float32)


def scalars(graph, names):
    """Makes scalars of vectors with one entry, which Quantize- and DequantizeLinear insist on."""
    for initialiser in graph.initializer:
        if initialiser.name in names and list(initialiser.dims) == [1]:
            del initialiser.dims[:]


def forms(case):
    """All models that a test becomes, and the reasons why some forms are missing."""
    operators, found, missing = set(case.operators), [], []
    several = len(case.inputs) > 1
    found.append(constants(case))
    if operators <= JOINED and several and len(case.operators) == 1:
        found.append(joined(case))
    if operators == {"Gather"} and several:
        found.append(constants(replace(case, form="indices"), live=1))
    if case.operators[0] in ("QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear"):
        try:
            found.append(dequantised(case))
        except Skip as reason:
            missing.append((replace(case, form="qdq"), str(reason)))
    flat = [flattened(form) for form in found if not form.flat and not leading_one(form)]
    return found + flat, missing


def leading_one(case):
    """Whether input and output are a batch of one."""
    return all(array.ndim > 1 and len(array) == 1 for array in (case.inputs[0], case.outputs[0]))


def verify(case):
    """Evaluates a model with onnx's reference implementation; refuses it if it disagrees."""
    onnx.checker.check_model(case.model)
    name = case.model.graph.input[0].name
    (result,) = ReferenceEvaluator(case.model).run(None, {name: case.inputs[0]})
    expected = case.outputs[0]
    same = np.shape(result) == expected.shape and np.asarray(result).dtype == expected.dtype
    if not same or not np.allclose(result, expected, rtol=RTOL, atol=ATOL):
        raise Skip("onnx.reference does not give the expected output")


class Pack:
    """The bytes of all vectors, each piece once."""

    def __init__(self):
        self.data = bytearray()
        self.places = {}

    def put(self, piece):
        """Stores bytes, unless they are there; returns their offset."""
        if piece not in self.places:
            self.data += b"\0" * (-len(self.data) % 8)
            self.places[piece] = len(self.data)
            self.data += piece
        return self.places[piece]

    def tensor(self, array):
        """Stores an array in little-endian order; returns its description."""
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        return {"type": array.dtype.name, "shape": list(array.shape), "offset": self.put(data)}


def entry(case, pack):
    """The row of a vector in the index."""
    case.model.producer_name = ""
    data = case.model.SerializeToString(deterministic=True)
    row = {
        "name": case.name,
        "source": case.source,
        "form": case.form,
        "flat": case.flat,
        "leading_one": leading_one(case),
        "integer_input": case.inputs[0].dtype != np.float32,
        "integer_output": case.outputs[0].dtype != np.float32,
        "operators": case.tested,
        "nodes": case.operators,
        "opset": case.model.opset_import[0].version,
        "model": {"offset": pack.put(data), "length": len(data)},
        "input": pack.tensor(case.inputs[0]),
        "output": pack.tensor(case.outputs[0]),
    }
    return {**row, "notes": case.notes} if case.notes else row


def convert():
    """Returns the rows of all vectors, the rows of what was left out, and the bytes."""
    cases, left_out = collect()
    rows, pack = [], Pack()
    for case in cases:
        try:
            found, missing = forms(admit(case))
        except Skip as reason:
            left_out.append((case, str(reason)))
            continue
        left_out += missing
        for form in found:
            try:
                verify(form)
                rows.append(entry(form, pack))
            except Skip as reason:
                left_out.append((form, str(reason)))
    skipped = [
        {
            "name": case.name,
            "source": case.source,
            "form": case.form,
            "operators": case.tested or case.operators,
            "reason": reason,
        }
        for case, reason in left_out
    ]
    return rows, skipped, bytes(pack.data)


def write_index(rows, skipped):
    """Writes the index, one vector a line."""
    head = {
        "generator": "tests/vectors/onnx_nodes.py",
        "onnx": onnx.__version__,
        "numpy": np.__version__,
        "rtol": RTOL,
        "atol": ATOL,
    }

    def lines(items):
        return ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)

    text = json.dumps(head)[:-1]
    text += f',\n"vectors": [\n{lines(rows)}\n],\n"skipped": [\n{lines(skipped)}\n]}}\n'
    json.loads(text)
    (HERE / "index.json").write_text(text)


def extract(name, directory):
    """Writes the models of one test as files, to look at them with other tools."""
    index = json.loads((HERE / "index.json").read_text())
    data = (HERE / "vectors.bin").read_bytes()
    for row in index["vectors"]:
        if row["name"] == name:
            place = row["model"]
            path = Path(directory) / f"{name}.{row['form']}{'.flat' if row['flat'] else ''}.onnx"
            path.write_bytes(data[place["offset"] : place["offset"] + place["length"]])
            print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extract", nargs=2, metavar=("NAME", "DIRECTORY"))
    options = parser.parse_args()
    if options.extract:
        extract(*options.extract)
        return
    rows, skipped, data = convert()
    HERE.mkdir(exist_ok=True)
    write_index(rows, skipped)
    (HERE / "vectors.bin").write_bytes(data)
    print(f"{len(rows)} vectors of {len({(r['source'], r['name']) for r in rows})} tests")
    print(f"{len(data)} bytes, {len(skipped)} left out")
    for reason, count in Counter(row["reason"] for row in skipped).most_common():
        print(f"{count:4} {reason}")


if __name__ == "__main__":
    main()
