"""Data, training and checks that the networks of this folder share."""

import json
import time
from pathlib import Path

from autograd import Tensor, cross_entropy
from export import write_onnx

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SEED = 7
HELD_OUT = 1000
CALIBRATION = 100
SCALE = 16


def split():
    """Returns training images, training labels, held-out images, held-out labels.

    Images are batch x 1 x 8 x 8 with whole numbers from 0 to 16. Of 1,797 images 1,000 are held out.
    """
    inputs, labels = load_digits(return_X_y=True)
    images = inputs.astype(np.float32).reshape(-1, 1, 8, 8)
    order = np.random.RandomState(SEED).permutation(len(images))
    held, train = order[:HELD_OUT], order[HELD_OUT:]
    return images[train], labels[train], images[held], labels[held]


def write_json(images, labels, path):
    """Writes whole-numbered inputs, one flat list each, and their labels."""
    rows = images.reshape(len(images), -1).astype(int).tolist()
    value = {"input_data": rows, "labels": labels.tolist()}
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def write_data():
    """Writes calibration samples (from the training images), held-out images and one input."""
    train_x, train_y, held_x, held_y = split()
    write_json(train_x[:CALIBRATION], train_y[:CALIBRATION], HERE / "samples.json")
    write_json(held_x, held_y, HERE / "heldout.json")
    write_json(held_x[:1], held_y[:1], HERE / "input.json")


class Network:
    """Parameters by name, and the layers that the networks are made of. Subclasses add `forward`.

    Names follow PyTorch: `conv1.weight`, `bn1.running_mean`.
    """

    def __init__(self):
        self.random = np.random.RandomState(SEED)
        self.parameters = {}
        self.statistics = {}
        self.training = True

    def parameter(self, name, make):
        """The parameter of that name, made by `make` when it is first asked for."""
        if name not in self.parameters:
            self.parameters[name] = Tensor(make(), name=name)
        return self.parameters[name]

    def weight(self, name, *shape, fan_in):
        """A weight with variance 2 / fan_in (He et al. 2015, section 2.2)."""
        deviation = np.sqrt(2 / fan_in)
        return self.parameter(f"{name}.weight", lambda: self.random.normal(0, deviation, shape))

    def bias(self, name, length):
        """A bias that starts at zero."""
        return self.parameter(f"{name}.bias", lambda: np.zeros(length))

    def scale(self, name, length):
        """A factor that starts at one."""
        return self.parameter(f"{name}.weight", lambda: np.ones(length))

    def running(self, name, length):
        """Running mean and variance of a batch normalisation, which gradients do not reach."""
        if name not in self.statistics:
            mean = Tensor(np.zeros(length), name=f"{name}.running_mean")
            variance = Tensor(np.ones(length), name=f"{name}.running_var")
            self.statistics[name] = (mean, variance)
        return self.statistics[name]

    def logits(self, images):
        """The numpy forward pass out of training, a thousand images at a time."""
        self.training = False
        return self.forward(Tensor(images)).data


def augment(images, random):
    """Moves each image by at most one pixel, one in three, and adds noise of half a grey level."""
    moved = images.copy()
    for i, choice in enumerate(random.randint(0, 12, len(images))):
        if choice < 4:
            axis, step = 1 + choice // 2, 2 * (choice % 2) - 1
            moved[i] = np.roll(images[i], step, axis=axis)
            edge = [slice(None)] * 3
            edge[axis] = 0 if step == 1 else -1
            moved[i][tuple(edge)] = 0
    return moved + random.normal(0, 0.5, images.shape).astype(np.float32)


class Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    def __init__(self, parameters, decay):
        self.parameters = parameters
        self.decay = decay
        self.count = 0
        self.first = {name: 0 for name in parameters}
        self.second = {name: 0 for name in parameters}

    def step(self, rate):
        """Moves every parameter against its gradient."""
        self.count += 1
        for name, tensor in self.parameters.items():
            self.first[name] = 0.9 * self.first[name] + 0.1 * tensor.grad
            self.second[name] = 0.999 * self.second[name] + 0.001 * tensor.grad**2
            mean = self.first[name] / (1 - 0.9**self.count)
            spread = self.second[name] / (1 - 0.999**self.count)
            change = rate * mean / (np.sqrt(spread) + 1e-8)
            if tensor.data.ndim > 1:
                change = change + rate * self.decay * tensor.data
            tensor.data = (tensor.data - change).astype(np.float32)


def train(network, images, labels, epochs, rate, batch=32, decay=0.05):
    """Trains on images scaled to [0, 1], with a rate that falls along a half cosine."""
    random = np.random.RandomState(SEED)
    network.training = True
    network.forward(Tensor(images[:batch] / SCALE))
    network.training = True
    optimiser = Adam(network.parameters, decay)
    steps = epochs * (len(images) // batch)
    for step in range(steps):
        if step % (len(images) // batch) == 0:
            order = random.permutation(len(images))
        chosen, order = order[:batch], order[batch:]
        inputs = Tensor(augment(images[chosen], random) / SCALE)
        cross_entropy(network.forward(inputs), labels[chosen]).backward()
        warm = min(1, (step + 1) / 50)
        optimiser.step(rate * warm * 0.5 * (1 + np.cos(np.pi * step / steps)))


def accuracy(logits, labels):
    """Share of rows whose first largest entry is the label."""
    return float((logits.argmax(axis=1) == labels).mean())


def check(network, path, images, labels):
    """Runs the file with onnxruntime, image by image; returns its accuracy and the largest
    difference to the numpy forward pass."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    rows = [session.run(None, {"input": image[None]})[0][0] for image in images]
    logits = np.array(rows)
    difference = np.abs(logits - network.logits(images)).max()
    return accuracy(logits, labels), float(difference)


def build(network, first, stem, opset, epochs, rate, batch="batch", also=(), **options):
    """Trains a network, writes it, checks the file, prints what came out.

    `first` names the weight that meets the input: the factor 1/16 that scales images to [0, 1] is
    moved into it, so that the file takes the whole numbers of the data set. `also` holds further
    (suffix, opset) pairs to write.
    """
    start = time.perf_counter()
    train_x, train_y, held_x, held_y = split()
    train(network, train_x, train_y, epochs, rate, **options)
    network.parameters[first].data /= SCALE
    network.training = False
    image = Tensor(held_x[:1])
    logits = network.forward(image)
    for suffix, version in [("", opset), *also]:
        path = HERE / f"{stem}{suffix}.onnx"
        write_onnx(image, logits, path, version, batch)
        share, difference = check(network, path, held_x, held_y)
        count = sum(tensor.data.size for tensor in network.parameters.values())
        print(
            f"{path.name}: {count} parameters, {path.stat().st_size} bytes, opset {version}; "
            f"train {accuracy(network.logits(train_x), train_y):.4f}, "
            f"held out {accuracy(network.logits(held_x), held_y):.4f}; "
            f"onnxruntime {share:.4f}, largest difference {difference:.1e}; "
            f"{time.perf_counter() - start:.0f} s"
        )
    write_data()
