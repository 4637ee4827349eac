"""Quantises `lenet.onnx` with onnxruntime's static quantisation and writes the files beside this script.

* `lenet_qdq.onnx`: QuantizeLinear and DequantizeLinear around every node; int8, all zero points 0, one
  scale per tensor.
* `lenet_qdq_asymmetric.onnx`: the same with uint8 activations, zero points, and one scale per output
  channel of weights: what onnxruntime writes unless told otherwise.
* `lenet_qlinear.onnx`: convolutions as QLinearConv, the rest in float; int8, zero points 0.

For each, `NAME.expected.json` has the integers behind the logits of the first 100 held-out images
(logit = scale (integer - zero_point)), evaluated node by node without any fusion; for the last file,
whose logits are floats, the logits.

Usage: python quantised.py      after lenet.py
Needs: pip install -r requirements.txt
"""

import json
import logging

from common import HERE, accuracy, split

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

CALIBRATION = 100
EXPECTED = 100
SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True}
VARIANTS = {
    "lenet_qdq": {"extra_options": SYMMETRIC},
    "lenet_qdq_asymmetric": {"activation_type": QuantType.QUInt8, "per_channel": True},
    "lenet_qlinear": {
        "quant_format": QuantFormat.QOperator,
        "op_types_to_quantize": ["Conv", "MaxPool"],
        "extra_options": SYMMETRIC,
    },
}


class Samples(CalibrationDataReader):
    """Calibration images, one by one."""

    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


def write_model(name, options, images):
    """Quantises, and writes the result without the version of the tool in it."""
    path = HERE / f"{name}.onnx"
    defaults = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    quantize_static(HERE / "lenet.onnx", path, Samples(images), **{**defaults, **options})
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


def main():
    logging.disable(logging.WARNING)
    train_x, _, held_x, held_y = split()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, variant in VARIANTS.items():
        path, model = write_model(name, variant, train_x[:CALIBRATION])
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        logits = np.array([session.run(None, {"input": image[None]})[0][0] for image in held_x])
        expected = json.dumps({"output": integers(model, logits[:EXPECTED])}, separators=(",", ":"))
        (HERE / f"{name}.expected.json").write_text(expected + "\n")
        kinds = sorted({node.op_type for node in model.graph.node})
        print(
            f"{path.name}: {path.stat().st_size} bytes, held out {accuracy(logits, held_y):.4f}; "
            f"{', '.join(kinds)}"
        )


if __name__ == "__main__":
    main()
