"""Trains the residual network and writes `residual.onnx` beside this script.

Conv, batch normalisation and ReLU, then two residual blocks (8 channels; 16 channels with stride 2
and a 1x1 convolution on the shortcut), global average pool, dense; after He et al. 2016, section 3.3.
The file keeps its BatchNormalization nodes, as an export without constant folding does.

Usage: python residual.py
Needs: pip install -r requirements.txt
"""

from autograd import add, batch_norm, conv, flatten, gemm, global_average_pool, relu
from common import Network, build


class Residual(Network):
    """A stem and two residual blocks."""

    def unit(self, x, name, outputs, kernel=3, stride=1):
        """A convolution without bias, and its batch normalisation."""
        inputs = x.shape[1]
        fan_in = inputs * kernel * kernel
        weight = self.weight(f"{name}.conv", outputs, inputs, kernel, kernel, fan_in=fan_in)
        x = conv(x, weight, stride=stride, padding=kernel // 2)
        mean, variance = self.running(f"{name}.bn", outputs)
        scale, bias = self.scale(f"{name}.bn", outputs), self.bias(f"{name}.bn", outputs)
        return batch_norm(x, scale, bias, mean, variance, self.training)

    def block(self, x, name, outputs, stride=1):
        """Two units and a shortcut around them."""
        inner = relu(self.unit(x, f"{name}.0", outputs, stride=stride))
        inner = self.unit(inner, f"{name}.1", outputs)
        if stride != 1:
            x = self.unit(x, f"{name}.shortcut", outputs, kernel=1, stride=stride)
        return relu(add(inner, x))

    def forward(self, x):
        x = relu(self.unit(x, "stem", 8))
        x = self.block(x, "block1", 8)
        x = self.block(x, "block2", 16, stride=2)
        x = flatten(global_average_pool(x))
        return gemm(x, self.weight("fc", 10, 16, fan_in=16), self.bias("fc", 10))


if __name__ == "__main__":
    build(Residual(), "stem.conv.weight", "residual", opset=13, epochs=60, rate=1e-2)
