"""Trains the digits example and writes the model and its data files beside this script.

Network 64 -> 64 -> 64 -> 10 with ReLU, inputs scaled to [0, 1], on scikit-learn's bundled digits.
Deterministic for fixed library versions (written with scikit-learn 1.9.1, numpy 2.4.6,
onnx 1.23.2; one BLAS thread).

Usage: python train.py
Needs: pip install scikit-learn numpy onnx
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

SEED = 7
HELD_OUT = 200
CALIBRATION = 100
HERE = Path(__file__).resolve().parent


def split():
    """Returns (training inputs, training labels, held-out inputs, held-out labels)."""
    inputs, labels = load_digits(return_X_y=True)
    inputs = inputs / 16.0
    order = np.random.RandomState(SEED).permutation(len(inputs))
    held, train = order[:HELD_OUT], order[HELD_OUT:]
    return inputs[train], labels[train], inputs[held], labels[held]


def write_onnx(weights, biases, path):
    """Writes the network as Gemm (transB = 1) and Relu nodes, the way PyTorch exports it."""
    nodes, initialisers, current = [], [], "input"
    for i, (weight, bias) in enumerate(zip(weights, biases), start=1):
        last = i == len(weights)
        names = [f"dense{i}.weight", f"dense{i}.bias"]
        # scikit-learn keeps (inputs x outputs); transB = 1 wants (outputs x inputs).
        matrix = np.ascontiguousarray(weight.T, dtype=np.float32)
        initialisers.append(numpy_helper.from_array(matrix, names[0]))
        initialisers.append(numpy_helper.from_array(bias.astype(np.float32), names[1]))
        output = "logits" if last else f"dense{i}.out"
        nodes.append(helper.make_node("Gemm", [current, *names], [output], f"dense{i}", transB=1))
        current = output
        if not last:
            nodes.append(helper.make_node("Relu", [current], [f"relu{i}.out"], f"relu{i}"))
            current = f"relu{i}.out"
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_json(value, path):
    """Writes compact JSON; whole numbers without a fraction."""

    def short(item):
        if isinstance(item, dict):
            return {key: short(entry) for key, entry in item.items()}
        if isinstance(item, list):
            return [short(entry) for entry in item]
        return int(item) if float(item).is_integer() else item

    path.write_text(json.dumps(short(value), separators=(",", ":")) + "\n")


def main():
    train_x, train_y, held_x, held_y = split()
    classifier = MLPClassifier((64, 64), alpha=1e-3, max_iter=300, random_state=SEED)
    classifier.fit(train_x, train_y)
    write_onnx(classifier.coefs_, classifier.intercepts_, HERE / "mlp.onnx")
    write_json({"input_data": train_x[:CALIBRATION].tolist()}, HERE / "samples.json")
    write_json(
        {"input_data": held_x.tolist(), "labels": held_y.tolist()}, HERE / "heldout.json"
    )
    write_json({"input_data": [held_x[0].tolist()]}, HERE / "input.json")
    print(f"held-out accuracy {classifier.score(held_x, held_y):.4f}")


if __name__ == "__main__":
    main()
