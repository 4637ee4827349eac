"""A small tape for training with numpy: tensors, the operators of the networks, their gradients.

Every operator returns a tensor that knows its operands, how a gradient flows back to them, and the
ONNX node that computes it, so that `export.py` writes exactly what was evaluated. All arithmetic is
float32. Images are batch x channels x height x width, as in ONNX.
"""

import os

# One thread, said before numpy is loaded: sums, hence weights, depend on the number of threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from scipy.special import erf

EPSILON = 1e-5


class Tensor:
    """An array, and how it came about.

    `parents` are the operands that gradients reach; `backward` maps the gradient of this tensor to
    theirs; `node` is (ONNX operator, operands, attributes), or None for parameters and inputs.
    """

    def __init__(self, data, parents=(), backward=None, node=None, name=None):
        self.data = np.asarray(data, dtype=np.float32)
        self.parents = parents
        self.backward_of = backward
        self.node = node
        self.name = name
        self.grad = None

    @property
    def shape(self):
        return self.data.shape

    def backward(self):
        """Fills `grad` of every tensor that this one depends on; seeds with ones."""
        order = topological(self)
        for tensor in order:
            tensor.grad = None
        self.grad = np.ones_like(self.data)
        for tensor in reversed(order):
            if tensor.backward_of is None:
                continue
            for parent, grad in zip(tensor.parents, tensor.backward_of(tensor.grad)):
                parent.grad = grad if parent.grad is None else parent.grad + grad


def topological(output):
    """All tensors that `output` depends on, operands before results."""
    order, seen, stack = [], set(), [(output, False)]
    while stack:
        tensor, expanded = stack.pop()
        if expanded:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            operands = tensor.parents if tensor.node is None else tensor.node[1]
            stack.extend((operand, False) for operand in reversed(operands))
    return order


def unbroadcast(grad, shape):
    """Sums a gradient over the axes along which an operand of `shape` was repeated."""
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    repeated = tuple(i for i, size in enumerate(shape) if size == 1 and grad.shape[i] != 1)
    return grad.sum(axis=repeated, keepdims=True) if repeated else grad


def add(a, b):
    """a + b, broadcast."""
    return Tensor(
        a.data + b.data,
        (a, b),
        lambda grad: (unbroadcast(grad, a.shape), unbroadcast(grad, b.shape)),
        ("Add", (a, b), {}),
    )


def matmul(a, b):
    """Matrix product over the last two axes; `b` may lack the leading ones."""

    def backward(grad):
        left = grad @ b.data.swapaxes(-1, -2)
        right = a.data.swapaxes(-1, -2) @ grad
        return left, unbroadcast(right, b.shape)

    return Tensor(a.data @ b.data, (a, b), backward, ("MatMul", (a, b), {}))


def divide_by(a, constant):
    """a / constant."""
    return Tensor(
        a.data / np.float32(constant),
        (a,),
        lambda grad: (grad / np.float32(constant),),
        ("Div", (a, scalar(constant)), {}),
    )


def scalar(value):
    """A constant without a gradient."""
    return Tensor(value)


def gemm(x, weight, bias):
    """x W^T + b, for x of batch x inputs and W of outputs x inputs."""
    return Tensor(
        x.data @ weight.data.T + bias.data,
        (x, weight, bias),
        lambda grad: (grad @ weight.data, grad.T @ x.data, grad.sum(axis=0)),
        ("Gemm", (x, weight, bias), {"alpha": 1.0, "beta": 1.0, "transB": 1}),
    )


def conv(x, weight, bias=None, stride=1, padding=0, groups=1):
    """Convolution with square stride and padding; W is outputs x inputs/groups x kernel."""
    batch, channels, _, _ = x.shape
    outputs, _, *kernel = weight.shape
    padded = np.pad(x.data, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    height, width = windows.shape[2:4]
    # batch x groups x (inputs/groups * kernel) x positions
    columns = np.ascontiguousarray(windows.transpose(0, 1, 4, 5, 2, 3))
    columns = columns.reshape(batch, groups, -1, height * width)
    matrix = weight.data.reshape(groups, outputs // groups, -1)
    result = (matrix @ columns).reshape(batch, outputs, height, width)
    if bias is not None:
        result = result + bias.data[:, None, None]

    def backward(grad):
        flat = grad.reshape(batch, groups, outputs // groups, height * width)
        to_weight = (flat @ columns.swapaxes(-1, -2)).sum(axis=0).reshape(weight.shape)
        spread = (matrix.swapaxes(-1, -2) @ flat).reshape(batch, channels, *kernel, height, width)
        image = np.zeros_like(padded)
        for y in range(kernel[0]):
            for z in range(kernel[1]):
                rows = slice(y, y + stride * height, stride)
                image[:, :, rows, z : z + stride * width : stride] += spread[:, :, y, z]
        inner = slice(padding, -padding or None)
        grads = (image[:, :, inner, inner], to_weight)
        return grads if bias is None else (*grads, grad.sum(axis=(0, 2, 3)))

    operands = (x, weight) if bias is None else (x, weight, bias)
    attributes = {
        "dilations": [1, 1],
        "group": groups,
        "kernel_shape": list(kernel),
        "pads": [padding] * 4,
        "strides": [stride] * 2,
    }
    return Tensor(result, operands, backward, ("Conv", operands, attributes))


def batch_norm(x, scale, bias, mean, variance, training, momentum=0.1):
    """Normalises each channel: by the batch in training (updating the running statistics in place),
    by the running statistics otherwise."""
    axes, column = (0, 2, 3), (slice(None), None, None)
    if training:
        centre, spread = x.data.mean(axis=axes), x.data.var(axis=axes)
        count = x.data.size // x.shape[1]
        mean.data += momentum * (centre - mean.data)
        variance.data += momentum * (spread * count / (count - 1) - variance.data)
    else:
        centre, spread = mean.data, variance.data
    inverse = 1 / np.sqrt(spread + np.float32(EPSILON))
    normal = (x.data - centre[column]) * inverse[column]

    def backward(grad):
        inner = grad * scale.data[column]
        if training:
            inner = inner - inner.mean(axis=axes)[column]
            inner = inner - normal * (inner * normal).mean(axis=axes)[column]
        return inner * inverse[column], (grad * normal).sum(axis=axes), grad.sum(axis=axes)

    attributes = {"epsilon": EPSILON, "momentum": 1 - momentum}
    return Tensor(
        normal * scale.data[column] + bias.data[column],
        (x, scale, bias),
        backward,
        ("BatchNormalization", (x, scale, bias, mean, variance), attributes),
    )


def layer_norm(x, scale, bias):
    """Normalises the last axis, then scales and shifts it."""
    centred = x.data - x.data.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    normal = centred * inverse

    def backward(grad):
        inner = grad * scale.data
        inner = inner - inner.mean(axis=-1, keepdims=True)
        inner = inner - normal * (inner * normal).mean(axis=-1, keepdims=True)
        leading = tuple(range(grad.ndim - 1))
        return inner * inverse, (grad * normal).sum(axis=leading), grad.sum(axis=leading)

    attributes = {"axis": -1, "epsilon": EPSILON}
    return Tensor(
        normal * scale.data + bias.data,
        (x, scale, bias),
        backward,
        ("LayerNormalization", (x, scale, bias), attributes),
    )


def unary(operator, x, value, slope, operands=(), attributes=None):
    """An elementwise function with its value and its derivative at x."""
    node = (operator, (x, *operands), attributes or {})
    return Tensor(value, (x,), lambda grad: (grad * slope,), node)


def relu(x):
    """max(x, 0)."""
    return unary("Relu", x, np.maximum(x.data, 0), x.data > 0)


def relu6(x):
    """min(max(x, 0), 6), as the node Clip."""
    slope = (x.data > 0) & (x.data < 6)
    return unary("Clip", x, np.clip(x.data, 0, 6), slope, (scalar(0.0), scalar(6.0)))


def hard_swish(x):
    """x min(max(x / 6 + 1/2, 0), 1)."""
    gate = np.clip(x.data / 6 + np.float32(0.5), 0, 1)
    return unary("HardSwish", x, x.data * gate, gate + x.data / 6 * (np.abs(x.data) < 3))


def gelu(x):
    """x Phi(x), Phi the normal distribution function."""
    phi = (0.5 + 0.5 * erf(x.data / np.sqrt(2))).astype(np.float32)
    density = np.exp(-(x.data**2) / 2) / np.float32(np.sqrt(2 * np.pi))
    return unary("Gelu", x, x.data * phi, phi + x.data * density)


def softmax(x):
    """exp(x) over its sum, along the last axis."""
    weights = np.exp(x.data - x.data.max(axis=-1, keepdims=True))
    result = weights / weights.sum(axis=-1, keepdims=True)

    def backward(grad):
        return (result * (grad - (grad * result).sum(axis=-1, keepdims=True)),)

    return Tensor(result, (x,), backward, ("Softmax", (x,), {"axis": -1}))


def blocks(x, size):
    """The non-overlapping size x size windows: batch, channels, rows, columns, size * size."""
    batch, channels, height, width = x.shape
    split = x.data.reshape(batch, channels, height // size, size, width // size, size)
    return split.transpose(0, 1, 2, 4, 3, 5).reshape(*split.shape[:3], width // size, size * size)


def unblocks(values, size):
    """The image whose `blocks` are `values`."""
    batch, channels, rows, columns, _ = values.shape
    split = values.reshape(batch, channels, rows, columns, size, size).transpose(0, 1, 2, 4, 3, 5)
    return split.reshape(batch, channels, rows * size, columns * size)


def pool_attributes(size):
    """Attributes of a pooling node with windows of size x size that touch and do not overlap."""
    return {"ceil_mode": 0, "kernel_shape": [size] * 2, "pads": [0] * 4, "strides": [size] * 2}


def max_pool(x, size=2):
    """Largest value of each window; the gradient goes to the first of equals."""
    windows = blocks(x, size)
    winner = windows.argmax(axis=-1)[..., None] == np.arange(size * size)
    return Tensor(
        windows.max(axis=-1),
        (x,),
        lambda grad: (unblocks(grad[..., None] * winner, size),),
        ("MaxPool", (x,), {"dilations": [1, 1], **pool_attributes(size)}),
    )


def average_pool(x, size=2):
    """Mean of each window."""
    area = size * size

    def backward(grad):
        return (unblocks(np.repeat(grad[..., None] / area, area, axis=-1), size),)

    attributes = {"count_include_pad": 1, **pool_attributes(size)}
    return Tensor(blocks(x, size).mean(axis=-1), (x,), backward, ("AveragePool", (x,), attributes))


def global_average_pool(x):
    """Mean of each channel, height and width becoming 1."""
    area = x.shape[2] * x.shape[3]
    return Tensor(
        x.data.mean(axis=(2, 3), keepdims=True),
        (x,),
        lambda grad: (np.broadcast_to(grad / area, x.shape),),
        ("GlobalAveragePool", (x,), {}),
    )


def mean_tokens(x):
    """Mean over axis 1 of batch x tokens x features."""
    count = x.shape[1]
    return Tensor(
        x.data.mean(axis=1),
        (x,),
        lambda grad: (np.repeat(grad[:, None] / count, count, axis=1),),
        ("ReduceMean", (x,), {"axes": [1], "keepdims": 0}),
    )


def flatten(x):
    """Keeps the batch axis and joins the others."""
    return Tensor(
        x.data.reshape(len(x.data), -1),
        (x,),
        lambda grad: (grad.reshape(x.shape),),
        ("Flatten", (x,), {"axis": 1}),
    )


def reshape(x, *shape):
    """Gives each item of the batch the given shape."""
    return Tensor(
        x.data.reshape(len(x.data), *shape),
        (x,),
        lambda grad: (grad.reshape(x.shape),),
        ("Reshape", (x,), {"shape": shape}),
    )


def transpose(x, *order):
    """Permutes the axes."""
    return Tensor(
        x.data.transpose(order),
        (x,),
        lambda grad: (grad.transpose(np.argsort(order)),),
        ("Transpose", (x,), {"perm": list(order)}),
    )


def cross_entropy(logits, labels):
    """Mean negative logarithm of the probability of the label."""
    shifted = logits.data - logits.data.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))

    def backward(grad):
        slope = np.exp(log)
        slope[rows, labels] -= 1
        return (grad * slope / np.float32(len(labels)),)

    return Tensor(-log[rows, labels].mean(), (logits,), backward)
