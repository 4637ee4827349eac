"""Compares every gradient of `autograd.py` with a finite difference; exits 1 if one is off.

Usage: python check_gradients.py
Needs: pip install -r requirements.txt
"""

import autograd as ad

import numpy as np

STEP = 1e-2
TOLERANCE = 2e-2
RANDOM = np.random.RandomState(3)


def away_from_kinks(*shape):
    """Random values that a step does not carry over 0, 3, 6 or past one another in a window."""
    values = RANDOM.permutation(int(np.prod(shape))) - np.prod(shape) / 2
    return (values * 0.17 + 0.085).reshape(shape)


def cases():
    """(name, function of tensors, operand arrays)."""
    image, line = away_from_kinks(2, 4, 4, 4), RANDOM.normal(size=(2, 3, 5))
    kernel, deep = RANDOM.normal(size=(6, 4, 3, 3)), RANDOM.normal(size=(4, 1, 3, 3))
    six, five = RANDOM.normal(size=6), RANDOM.normal(size=5)
    yield "add", ad.add, [line, five]
    yield "matmul", ad.matmul, [line, RANDOM.normal(size=(5, 4))]
    yield "divide_by", lambda x: ad.divide_by(x, 1.5), [line]
    yield "gemm", ad.gemm, [line[0], RANDOM.normal(size=(6, 5)), six]
    yield "conv", lambda x, w, b: ad.conv(x, w, b, padding=1), [image, kernel, six]
    yield "strided", lambda x, w: ad.conv(x, w, stride=2, padding=1), [image, kernel]
    yield "depthwise", lambda x, w: ad.conv(x, w, padding=1, groups=4), [image, deep]
    yield "patches", lambda x, w: ad.conv(x, w, stride=2), [image, kernel[:, :, :2, :2]]
    for training in (False, True):
        mean, variance = ad.Tensor(np.zeros(4)), ad.Tensor(np.ones(4))
        norm = lambda x, s, b: ad.batch_norm(x, s, b, mean, variance, training, momentum=0)
        yield f"batch_norm, training {training}", norm, [image, five[:4], six[:4]]
    yield "layer_norm", ad.layer_norm, [line, five, six[:5]]
    for function in (ad.relu, ad.relu6, ad.hard_swish, ad.max_pool, ad.average_pool):
        yield function.__name__, function, [image]
    for function in (ad.gelu, ad.softmax, ad.flatten, ad.mean_tokens):
        yield function.__name__, function, [line]
    yield "global_average_pool", ad.global_average_pool, [image]
    yield "reshape", lambda x: ad.reshape(x, 5, 3), [line]
    yield "transpose", lambda x: ad.transpose(x, 0, 2, 1), [line]
    yield "cross_entropy", lambda x: ad.cross_entropy(x, np.array([1, 0])), [line[0, :2]]


def worst(function, arrays):
    """Largest relative difference between gradient and finite difference, over all operands."""
    tensors = [ad.Tensor(array) for array in arrays]
    output = function(*tensors)
    mixture = RANDOM.normal(size=output.shape)
    slopes = output.backward_of(mixture.astype(np.float32))

    def value(position, change):
        moved = [ad.Tensor(array) for array in arrays]
        moved[position].data = moved[position].data + change.astype(np.float32)
        return float((function(*moved).data.astype(np.float64) * mixture).sum())

    difference = 0
    for position, array in enumerate(arrays):
        for _ in range(5):
            change = STEP * RANDOM.normal(size=array.shape).clip(-2, 2)
            measured = (value(position, change) - value(position, -change)) / 2
            expected = float((slopes[position] * change).sum())
            scale = STEP * np.linalg.norm(slopes[position])
            difference = max(difference, abs(measured - expected) / scale)
    return difference


def main():
    wrong = []
    for name, function, arrays in cases():
        difference = worst(function, arrays)
        if not difference < TOLERANCE:
            wrong.append(f"{name}: {difference:.1e}")
    print("\n".join(wrong) or "every gradient agrees")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
