"""Layers as literal float64 functions of plain arrays; loops where a formula has sums."""

import itertools
import math

import numpy as np

__all__ = [
    "adaptive_avg_pool",
    "avg_pool",
    "batch_norm",
    "bce",
    "conv",
    "gelu",
    "layer_norm",
    "leaky_relu",
    "max_pool",
    "pad_channels",
    "softplus",
]


def leaky_relu(x, slope):
    return np.where(x > 0, x, slope * x)


def softplus(x):
    return np.vectorize(lambda v: math.log1p(math.exp(-abs(v))) + max(v, 0.0))(x)


def gelu(x):
    return np.vectorize(lambda v: 0.5 * v * math.erfc(-v / math.sqrt(2.0)))(x)


def windows(x, dims, size, stride, padding):
    """Yield (leading index, output, values of its window that are inside, in reading order)."""
    inner = x.shape[-dims:]
    axes = range(dims)
    outer = [(inner[a] + 2 * padding[a] - size[a]) // stride[a] + 1 for a in axes]
    for lead in np.ndindex(x.shape[:-dims]):
        for out in np.ndindex(*outer):
            values = []
            for place in np.ndindex(*size):
                at = [out[a] * stride[a] + place[a] - padding[a] for a in axes]
                if all(0 <= at[a] < inner[a] for a in axes):
                    values.append(x[(*lead, *at)])
            yield lead, out, values


def pooled(x, dims, size, stride, padding, figure):
    found = [(lead + out, figure(v)) for lead, out, v in windows(x, dims, size, stride, padding)]
    y = np.full(np.max([at for at, _ in found], axis=0) + 1, np.nan)
    for at, value in found:
        y[at] = value
    return y


def max_pool(x, dims, size, stride, padding):
    return pooled(x, dims, size, stride, padding, max)


def avg_pool(x, dims, size, stride, padding):
    count = math.prod(size)
    return pooled(x, dims, size, stride, padding, lambda values: sum(values) / count)


def adaptive_avg_pool(x, dims, size):
    parts = [x.shape[a - dims] // size[a] for a in range(dims)]
    return avg_pool(x, dims, parts, parts, [0] * dims)


def batch_norm(x, weight, bias, mean=None, var=None, eps=1e-5):
    y = np.empty_like(x, np.float64)
    for c in range(x.shape[1]):
        values = x[:, c]
        m = values.mean() if mean is None else mean[c]
        v = ((values - m) ** 2).mean() if var is None else var[c]
        y[:, c] = (values - m) / math.sqrt(v + eps) * weight[c] + bias[c]
    return y


def layer_norm(x, weight, bias, eps=1e-5):
    y = np.empty_like(x, np.float64)
    for lead in np.ndindex(x.shape[: x.ndim - weight.ndim]):
        values = x[lead]
        var = ((values - values.mean()) ** 2).mean()
        y[lead] = (values - values.mean()) / math.sqrt(var + eps) * weight + bias
    return y


def conv(x, w, b, stride, sides, dilation, groups):
    """Return the convolution of a batch; `sides` are the zeros before and behind, by axis."""
    axes, kernel, inner = range(len(stride)), w.shape[2:], x.shape[2:]
    outer = [
        (inner[a] + sum(sides[a]) - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
        for a in axes
    ]
    y = np.zeros((len(x), len(w), *outer))
    per_in, per_out = x.shape[1] // groups, len(w) // groups
    for n, o, out in itertools.product(range(len(x)), range(len(w)), np.ndindex(*outer)):
        total = 0.0 if b is None else b[o]
        for c, place in itertools.product(range(per_in), np.ndindex(*kernel)):
            at = [out[a] * stride[a] + place[a] * dilation[a] - sides[a][0] for a in axes]
            if all(0 <= at[a] < inner[a] for a in axes):
                total += w[(o, c, *place)] * x[(n, o // per_out * per_in + c, *at)]
        y[(n, o, *out)] = total
    return y


def pad_channels(x, channels, stride):
    taken = x[(slice(None), slice(None), *[slice(None, None, stride)] * (x.ndim - 2))]
    y = np.zeros((len(x), channels, *taken.shape[2:]))
    before = (channels - x.shape[1]) // 2
    for c in range(x.shape[1]):
        y[:, before + c] = taken[:, c]
    return y


def bce(z, t):
    """Return the mean binary cross entropy, by the definition: overflows for large z."""
    p = 1.0 / (1.0 + np.exp(-z))
    return np.mean(-t * np.log(p) - (1.0 - t) * np.log(1.0 - p))
