"""Writes the networks that other provers were measured on, as ONNX with samples.

* `mlp_784_128_128_10`, `mlp_128x64`, `mlp_512x64`: what EZKL is measured on, see `ezkl_run.py`.
* `policy_784_64_64_10`: a small policy network.
* `depth_N`: N dense layers, 784 in, widths 100, 200, 100, ..., 1000 out (N = 50, 75, 100, 150, 200, 350,
  500), the depth suite of the benchmark of zkCNN, Plonky2, Halo2, Groth16 and Gemini ("paper0").
* `parameters_W`: 30 dense layers, 784 in, widths W, 1.1 W, 1.1^2 W, ... rounded down, 1000 out, its
  parameter suite: W = 16, 19, 27, 39, 55, 78, 95, 110, 123 (18.27 M parameters).
* `zator_510`: 510 convolutions of 2 channels to 2, 3x3 with padding 1, on 28x28, with ReLU: the backbone
  of Zator (2023).

ReLU stands between layers, not after the last, except in `zator_510`, which ends in one. Weights are
random, seeded by the name, and arranged as in the looks-linear initialisation (Balduzzi et al. 2017):
units come in pairs relu(z), relu(-z), and a layer computes A z from them with an isometry A. So
activations keep mean and variance over any depth, depend on the input all the way, and a rounding
error is not amplified. A prover sees dense matrices and nothing of the arrangement.

For NAME, writes NAME.onnx (batch of one), NAME.samples.json (100 inputs between 0 and 1 with two
decimals; labels: the float network's predictions) and NAME.input.json (one more input).

Usage: python make.py TARGET [NAME ...]      without names: all, about 370 MB
Needs: pip install -r requirements.txt
"""

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 100
DEPTHS = (50, 75, 100, 150, 200, 350, 500)
WIDTHS = (16, 19, 27, 39, 55, 78, 95, 110, 123)
CONVOLUTIONS, CHANNELS, SIDE = 510, 2, 28
SPREAD = 0.01  # deviation of biases, and of kernels around the identity


def dense_sizes():
    """Sizes of input, hidden layers and output of each dense network, by name."""
    sizes = {
        "mlp_784_128_128_10": [784, 128, 128, 10],
        "mlp_128x64": [64] * 129,
        "mlp_512x64": [64] * 513,
        "policy_784_64_64_10": [784, 64, 64, 10],
    }
    for layers in DEPTHS:
        hidden = [100 if i % 2 == 0 else 200 for i in range(layers - 1)]
        sizes[f"depth_{layers}"] = [784, *hidden, 1000]
    for width in WIDTHS:
        sizes[f"parameters_{width}"] = [784, *(int(width * 1.1**i) for i in range(29)), 1000]
    return sizes


def frame(random, rows, columns):
    """A matrix with orthonormal columns, scaled so that a vector keeps its variance per entry."""
    return np.linalg.qr(random.normal(size=(rows, columns)))[0] * np.sqrt(rows / columns)


def paired(random, matrix, outputs, inputs):
    """The layer that computes `matrix` z from relu(z), relu(-z) and gives z', -z' to the next ReLU.

    A size that is odd leaves a unit without a partner, with small weights of its own.
    """
    rows, columns = matrix.shape
    weight = random.normal(0, SPREAD, (outputs, inputs))
    weight[: 2 * rows, : 2 * columns] = np.block([[matrix, -matrix], [-matrix, matrix]])
    return weight


def dense_layers(sizes, random):
    """Yields (weight, bias) of each layer."""
    halves = [size // 2 for size in sizes[1:-1]]
    core = min(halves)
    last = frame(random, halves[0], core)
    # Inputs are uniform between 0 and 1: mean 1/2, variance 1/12.
    first = last @ random.normal(0, np.sqrt(12 / sizes[0]), (core, sizes[0]))
    weight = random.normal(0, SPREAD, (sizes[1], sizes[0]))
    weight[: 2 * halves[0]] = np.concatenate([first, -first])
    yield weight, -weight.sum(axis=1) / 2
    for i, half in enumerate(halves[1:], start=1):
        following = frame(random, half, core)
        matrix = following @ last.T * (core / len(last))
        bias = random.normal(0, SPREAD, sizes[i + 1])
        yield paired(random, matrix, sizes[i + 1], sizes[i]), bias
        last = following
    out = random.normal(0, np.sqrt(1 / halves[-1]), (sizes[-1], halves[-1]))
    weight = random.normal(0, SPREAD, (sizes[-1], sizes[-2]))
    weight[:, : 2 * halves[-1]] = np.concatenate([out, -out], axis=1)
    yield weight, random.normal(0, SPREAD, sizes[-1])


def convolve(images, weight, bias):
    """A 3x3 convolution with padding 1 over batch x channels x height x width."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("bcyxij,ncij->bnyx", windows, weight, optimize=True) + bias[:, None, None]


def convolutions(random, images):
    """Yields (weight, bias) of each convolution: nearly the identity on z, scaled by what it does to
    `images`, which would drift at the edges otherwise."""
    for i in range(CONVOLUTIONS):
        kernel = random.normal(0, SPREAD, (3, 3))
        kernel[1, 1] += 1
        weight = np.array([[kernel, -kernel], [-kernel, kernel]])
        bias = random.normal(0, SPREAD, 1) * np.array([1, -1])
        if i == 0:
            weight, bias = weight / images.std(), bias - weight.sum(axis=(1, 2, 3)) / 2
        raw = convolve(images, weight, np.zeros(CHANNELS))
        weight = weight / raw.std()
        weight, bias = weight.astype(np.float32), bias.astype(np.float32)
        images = np.maximum(convolve(images, weight, bias), 0)
        yield weight, bias


def inputs(random, count, shape):
    """Random inputs between 0 and 1 with two decimals."""
    return random.randint(0, 101, (count, *shape)) / 100


def operation(i, arrays, source, target):
    """The node of layer `i`, whose initialisers have the names that PyTorch gives."""
    names = [f"layers.{i}.weight", f"layers.{i}.bias"]
    if arrays[0].ndim == 2:
        return helper.make_node("Gemm", [source, *names], [target], f"dense_{i}", transB=1)
    shape = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1]}
    return helper.make_node("Conv", [source, *names], [target], f"conv_{i}", **shape)


def write_onnx(layers, shape, result, path, ends_in_relu):
    """Writes layers with ReLU between them."""
    nodes, initialisers, current = [], [], "input"
    for i, arrays in enumerate(layers):
        last = i == len(layers) - 1
        plain = last and not ends_in_relu
        target = "output" if plain else f"dense_{i}.out" if arrays[0].ndim == 2 else f"conv_{i}.out"
        nodes.append(operation(i, arrays, current, target))
        for kind, array in zip(("weight", "bias"), arrays, strict=True):
            initialisers.append(numpy_helper.from_array(array, f"layers.{i}.{kind}"))
        current = target
        if not plain:
            current = "output" if last else f"relu_{i}.out"
            nodes.append(helper.make_node("Relu", [target], [current], f"relu_{i}"))
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, *result])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_json(rows, path, **more):
    """Writes flat inputs."""
    value = {"input_data": rows.reshape(len(rows), -1).tolist(), **more}
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def write(name, layers, samples, folder, macs, ends_in_relu=False):
    """Writes one network with its samples, and prints its size and how large its activations are."""
    layers = [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]
    values, spreads = samples.astype(np.float32), []
    for i, (weight, bias) in enumerate(layers):
        dense = weight.ndim == 2
        values = values @ weight.T + bias if dense else convolve(values, weight, bias)
        if ends_in_relu or i < len(layers) - 1:
            values = np.maximum(values, 0)
            spreads.append(float(values.std()))
    write_onnx(layers, samples.shape[1:], values.shape[1:], folder / f"{name}.onnx", ends_in_relu)
    labels = {} if ends_in_relu else {"labels": values[:SAMPLES].argmax(axis=1).tolist()}
    write_json(samples[:SAMPLES], folder / f"{name}.samples.json", **labels)
    write_json(samples[SAMPLES:], folder / f"{name}.input.json")
    parameters = sum(weight.size + bias.size for weight, bias in layers)
    print(
        f"{name}: {len(layers)} layers, {parameters} parameters, {macs} MACs; deviation of activations "
        f"{min(spreads):.2f} to {max(spreads):.2f}; over samples {values.std(axis=0).mean():.2f}, "
        f"{len(set(labels.get('labels', [])))} labels",
        flush=True,
    )


def make_dense(name, sizes, folder):
    """Writes a dense network."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    layers = list(dense_layers(sizes, random))
    macs = sum(a * b for a, b in zip(sizes, sizes[1:]))
    write(name, layers, inputs(random, SAMPLES + 1, (sizes[0],)), folder, macs)


def make_zator(name, folder):
    """Writes the convolutional backbone."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    samples = inputs(random, SAMPLES + 1, (CHANNELS, SIDE, SIDE))
    layers = list(convolutions(random, samples[:8]))
    macs = CONVOLUTIONS * CHANNELS * CHANNELS * 9 * SIDE * SIDE
    write(name, layers, samples, folder, macs, ends_in_relu=True)


def main():
    sizes = dense_sizes()
    known = [*sizes, f"zator_{CONVOLUTIONS}"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    options = parser.parse_args()
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no network {sorted(unknown)}; choose among {', '.join(known)}")
    options.target.mkdir(parents=True, exist_ok=True)
    for name in options.names or known:
        if name in sizes:
            make_dense(name, sizes[name], options.target)
        else:
            make_zator(name, options.target)


if __name__ == "__main__":
    main()
