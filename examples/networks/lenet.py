"""Trains the LeNet-style network and writes `lenet.onnx` beside this script.

Conv 1 -> 8 (3x3), ReLU, max pool, Conv 8 -> 16 (3x3), ReLU, average pool, dense 64 -> 32, ReLU,
dense 32 -> 10; after LeCun et al. 1998, section II.B, for images of 8 x 8.

Usage: python lenet.py
Needs: pip install -r requirements.txt
"""

from autograd import average_pool, conv, flatten, gemm, max_pool, relu
from common import Network, build


class LeNet(Network):
    """Two convolutions with pooling, two dense layers."""

    def forward(self, x):
        x = conv(x, self.weight("conv1", 8, 1, 3, 3, fan_in=9), self.bias("conv1", 8), padding=1)
        x = max_pool(relu(x))
        x = conv(x, self.weight("conv2", 16, 8, 3, 3, fan_in=72), self.bias("conv2", 16), padding=1)
        x = flatten(average_pool(relu(x)))
        x = relu(gemm(x, self.weight("fc1", 32, 64, fan_in=64), self.bias("fc1", 32)))
        return gemm(x, self.weight("fc2", 10, 32, fan_in=32), self.bias("fc2", 10))


if __name__ == "__main__":
    build(LeNet(), "conv1.weight", "lenet", opset=13, epochs=60, rate=4e-3)
