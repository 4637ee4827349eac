"""Trains the depthwise-separable network and writes `separable.onnx` beside this script.

A stem, then three pairs of a depthwise 3x3 and a pointwise 1x1 convolution (8 -> 16 -> 24 -> 32
channels, the second pair with stride 2), each with batch normalisation; ReLU6 after depthwise and
HardSwish after pointwise convolutions; global average pool, dense. After Howard et al. 2017,
section 3.1, with the activations of Howard et al. 2019, section 5.2.

Usage: python separable.py
Needs: pip install -r requirements.txt
"""

from autograd import batch_norm, conv, flatten, gemm, global_average_pool, hard_swish, relu6
from common import Network, build


class Separable(Network):
    """A stem and three depthwise-separable pairs."""

    def unit(self, x, name, outputs, kernel, stride=1, groups=1):
        """A convolution without bias, and its batch normalisation."""
        inputs = x.shape[1] // groups
        fan_in = inputs * kernel * kernel
        weight = self.weight(f"{name}.conv", outputs, inputs, kernel, kernel, fan_in=fan_in)
        x = conv(x, weight, stride=stride, padding=kernel // 2, groups=groups)
        mean, variance = self.running(f"{name}.bn", outputs)
        scale, bias = self.scale(f"{name}.bn", outputs), self.bias(f"{name}.bn", outputs)
        return batch_norm(x, scale, bias, mean, variance, self.training)

    def pair(self, x, name, outputs, stride=1):
        """Each channel on its own, then each pixel on its own."""
        inputs = x.shape[1]
        x = relu6(self.unit(x, f"{name}.depthwise", inputs, 3, stride=stride, groups=inputs))
        return hard_swish(self.unit(x, f"{name}.pointwise", outputs, 1))

    def forward(self, x):
        x = hard_swish(self.unit(x, "stem", 8, 3))
        x = self.pair(x, "pair1", 16)
        x = self.pair(x, "pair2", 24, stride=2)
        x = self.pair(x, "pair3", 32)
        x = flatten(global_average_pool(x))
        return gemm(x, self.weight("fc", 10, 32, fan_in=32), self.bias("fc", 10))


if __name__ == "__main__":
    build(Separable(), "stem.conv.weight", "separable", opset=14, epochs=60, rate=1e-2)
