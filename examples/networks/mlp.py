"""Trains the multilayer perceptron and writes `mlp.onnx` beside this script.

64 -> 64 -> 64 -> 10 with ReLU. The network of `examples/digits`, on the split of this folder.

Usage: python mlp.py
Needs: pip install -r requirements.txt
"""

from autograd import flatten, gemm, relu
from common import Network, build


class Perceptron(Network):
    """Three dense layers."""

    def dense(self, x, name, outputs):
        """A dense layer."""
        inputs = x.shape[1]
        weight = self.weight(name, outputs, inputs, fan_in=inputs)
        return gemm(x, weight, self.bias(name, outputs))

    def forward(self, x):
        x = relu(self.dense(flatten(x), "fc1", 64))
        x = relu(self.dense(x, "fc2", 64))
        return self.dense(x, "fc3", 10)


if __name__ == "__main__":
    build(Perceptron(), "fc1.weight", "mlp", opset=13, epochs=60, rate=4e-3)
