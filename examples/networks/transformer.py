"""Trains a one-block transformer encoder and writes `transformer.onnx` beside this script.

The image is cut into 16 patches of 2x2, embedded in 32 features (as a convolution with stride 2)
with a learned position; then x + attention(norm(x)) with two heads, x + mlp(norm(x)) with GELU, a
last normalisation, the mean over the patches and a dense layer; after Dosovitskiy et al. 2021,
section 3.1. The batch is fixed to one, which is what PyTorch exports unless told otherwise.

`transformer.onnx` has operator set 17, where GELU is spelt with Erf as PyTorch does.
`transformer_gelu.onnx` is the same network with operator set 20 and its Gelu node.

Usage: python transformer.py
Needs: pip install -r requirements.txt
"""

from autograd import (
    add,
    conv,
    divide_by,
    gelu,
    gemm,
    layer_norm,
    matmul,
    mean_tokens,
    reshape,
    softmax,
    transpose,
)
from common import Network, build

PATCHES = 16
FEATURES = 32
HEADS = 2
HIDDEN = 64


class Transformer(Network):
    """Patch embedding, one encoder block, classifier."""

    def linear(self, x, name, outputs):
        """A dense layer on each token: MatMul with inputs x outputs, then Add, as PyTorch writes."""
        inputs = x.shape[-1]
        weight = self.weight(name, inputs, outputs, fan_in=2 * inputs)
        return add(self.bias(name, outputs), matmul(x, weight))

    def norm(self, x, name):
        """Layer normalisation of each token."""
        return layer_norm(x, self.scale(name, FEATURES), self.bias(name, FEATURES))

    def heads(self, x, name, *order):
        """A projection, cut into heads: batch x tokens x features, permuted to `order`."""
        split = reshape(self.linear(x, name, FEATURES), PATCHES, HEADS, FEATURES // HEADS)
        return transpose(split, *order)

    def attention(self, x):
        """softmax(Q K^T / sqrt d) V for each head, then a projection."""
        query = self.heads(x, "attention.query", 0, 2, 1, 3)
        key = self.heads(x, "attention.key", 0, 2, 3, 1)
        value = self.heads(x, "attention.value", 0, 2, 1, 3)
        scores = divide_by(matmul(query, key), (FEATURES // HEADS) ** 0.5)
        mixed = transpose(matmul(softmax(scores), value), 0, 2, 1, 3)
        return self.linear(reshape(mixed, PATCHES, FEATURES), "attention.out", FEATURES)

    def mlp(self, x):
        """Two dense layers with GELU between."""
        return self.linear(gelu(self.linear(x, "mlp.0", HIDDEN)), "mlp.1", FEATURES)

    def position(self):
        """What is added to each patch to tell where it is, at the start."""
        return self.random.normal(0, 0.5, (1, PATCHES, FEATURES))

    def forward(self, x):
        weight = self.weight("embed", FEATURES, 1, 2, 2, fan_in=8)
        x = conv(x, weight, self.bias("embed", FEATURES), stride=2)
        x = transpose(reshape(x, FEATURES, PATCHES), 0, 2, 1)
        x = add(x, self.parameter("position", self.position))
        x = add(x, self.attention(self.norm(x, "norm1")))
        x = add(x, self.mlp(self.norm(x, "norm2")))
        x = mean_tokens(self.norm(x, "norm3"))
        return gemm(x, self.weight("fc", 10, FEATURES, fan_in=2 * FEATURES), self.bias("fc", 10))


if __name__ == "__main__":
    build(
        Transformer(),
        "embed.weight",
        "transformer",
        opset=17,
        epochs=150,
        rate=4e-3,
        batch=1,
        also=[("_gelu", 20)],
    )
