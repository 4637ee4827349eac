"""Quantises networks with onnxruntime's static quantisation and writes the files beside this script.

* `lenet_qdq.onnx`: QuantizeLinear and DequantizeLinear around every node; int8, all zero points 0, one
  scale per tensor.
* `lenet_qdq_asymmetric.onnx`: the same with uint8 activations, zero points, and one scale per output
  channel of weights: what onnxruntime writes unless told otherwise.
* `lenet_qlinear.onnx`: convolutions as QLinearConv, the rest in float; int8, zero points 0.
* `lenet_qoperator.onnx`, `residual_qoperator.onnx`: every node in the format QOperator, with operators of
  the domain com.microsoft; int8 and uint8 activations, zero points, a scale per channel of weights.
  Batch normalisations are folded first, by onnxruntime's preprocessing.
* `branches_qoperator.onnx`: a network with random weights of all other operators that the format has.

For each, `NAME.expected.json` has the integers behind the logits of the first 100 held-out images
(logit = scale (integer - zero_point)): `output` evaluated node by node without any fusion, `fused` as
onnxruntime does it unless told otherwise. For `lenet_qlinear`, whose logits are floats, the logits.

Usage: python quantised.py      after lenet.py and residual.py
Needs: pip install -r requirements.txt
"""

import json
import logging
import tempfile
from pathlib import Path

from common import HERE, accuracy, split

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION = 100
EXPECTED = 100
LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True}
VARIANTS = {
    "lenet_qdq": {"extra_options": SYMMETRIC},
    "lenet_qdq_asymmetric": {"activation_type": QuantType.QUInt8, "per_channel": True},
    "lenet_qlinear": {
        "quant_format": QuantFormat.QOperator,
        "op_types_to_quantize": ["Conv", "MaxPool"],
        "extra_options": SYMMETRIC,
    },
    "lenet_qoperator": {"quant_format": QuantFormat.QOperator, "per_channel": True},
    "residual_qoperator": {
        "quant_format": QuantFormat.QOperator,
        "activation_type": QuantType.QUInt8,
        "per_channel": True,
    },
    "branches_qoperator": {
        "quant_format": QuantFormat.QOperator,
        "activation_type": QuantType.QUInt8,
    },
}


class Samples(CalibrationDataReader):
    """Calibration images, one by one."""

    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


def branches(path):
    """Writes a small network with random weights, whose branches are multiplied, added and joined."""
    random = np.random.RandomState(5)
    weights = {
        "one": random.normal(0, 0.02, (4, 1, 3, 3)),
        "two": random.normal(0, 0.02, (4, 1, 3, 3)),
        "dense": random.normal(0, 0.3, (12, 10)),
        "bias": random.normal(0, 0.3, 10),
        "offset": random.normal(0, 0.3, (1, 4, 1, 1)),
    }
    nodes = [
        helper.make_node(kind, operands, [result], name=result, **attributes)
        for kind, operands, result, attributes in [
            ("Conv", ["input", "one"], "c", {"pads": [1, 1, 1, 1]}),
            ("LeakyRelu", ["c"], "leaky", {"alpha": 0.1}),
            ("Conv", ["input", "two"], "d", {"pads": [1, 1, 1, 1]}),
            ("Sigmoid", ["d"], "gate", {}),
            ("Mul", ["leaky", "gate"], "gated", {}),
            ("Add", ["gated", "offset"], "shifted", {}),
            ("AveragePool", ["leaky"], "mean", {"kernel_shape": [3, 3], "strides": [2, 2]}),
            ("MaxPool", ["shifted"], "most", {"kernel_shape": [3, 3], "strides": [2, 2]}),
            ("Add", ["mean", "most"], "sum", {}),
            ("Concat", ["mean", "most", "sum"], "joined", {"axis": 1}),
            ("GlobalAveragePool", ["joined"], "pooled", {}),
            ("Flatten", ["pooled"], "flat", {}),
            ("MatMul", ["flat", "dense"], "product", {}),
            ("Add", ["product", "bias"], "biased", {}),
            ("Softmax", ["biased"], "logits", {"axis": 1}),
        ]
    ]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    constants = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "branches", [image], [logits], constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def write_model(name, options, images):
    """Quantises, and writes the result without the version of the tool in it."""
    path = HERE / f"{name}.onnx"
    defaults = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    network = name.split("_")[0]
    with tempfile.TemporaryDirectory() as folder:
        source = HERE / f"{network}.onnx"
        if network == "branches":
            source = Path(folder) / "branches.onnx"
            branches(source)
        if network == "residual":
            folded = Path(folder) / "residual.onnx"
            quant_pre_process(source, folded, skip_symbolic_shape=True)
            source = folded
        quantize_static(source, path, Samples(images), **{**defaults, **options})
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path, model


def integers(model, logits):
    """The integers behind logits that come out of a DequantizeLinear, or the logits themselves."""
    result = model.graph.output[0].name
    (last,) = (node for node in model.graph.node if result in node.output)
    if last.op_type != "DequantizeLinear":
        return logits.tolist()
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    scale, zero = arrays[last.input[1]], arrays[last.input[2]]
    values = np.round(logits / scale) + zero
    assert np.abs((values - zero) * scale - logits).max() < 1e-5
    return values.astype(int).tolist()


def evaluate(path, level, images):
    """The logits of every image, one by one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {"input": image[None]})[0][0] for image in images])


def main():
    logging.disable(logging.WARNING)
    train_x, _, held_x, held_y = split()
    for name, variant in VARIANTS.items():
        path, model = write_model(name, variant, train_x[:CALIBRATION])
        plain, fused = (evaluate(path, level, held_x) for level in LEVELS)
        expected = {key: integers(model, logits[:EXPECTED]) for key, logits in
                    (("output", plain), ("fused", fused))}
        if name == "lenet_qlinear":
            del expected["fused"]
        expected = json.dumps(expected, separators=(",", ":"))
        (HERE / f"{name}.expected.json").write_text(expected + "\n")
        kinds = sorted({node.op_type for node in model.graph.node})
        print(
            f"{path.name}: {path.stat().st_size} bytes, held out {accuracy(plain, held_y):.4f}; "
            f"{', '.join(kinds)}"
        )


if __name__ == "__main__":
    main()
