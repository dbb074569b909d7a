"""Convolutions as loops over positions, in double precision."""

import itertools

import numpy as np


def pad(x, padding):
    return np.pad(np.asarray(x, float), ((0, 0), (0, 0), *padding))


def windows(shape, kernel, stride, dilation):
    """Yield each position of a kernel in a padded image of this size, and where it looks."""
    axes = []
    for n, k, s, e in zip(shape, kernel, stride, dilation, strict=True):
        axes.append(range((n - e * (k - 1) - 1) // s + 1))
    for place in itertools.product(*axes):
        look = [
            slice(o * s, o * s + e * (k - 1) + 1, e)
            for o, k, s, e in zip(place, kernel, stride, dilation, strict=True)
        ]
        yield place, tuple(look)


def places(shape, kernel, stride, dilation):
    found = [p for p, _ in windows(shape, kernel, stride, dilation)]
    return tuple(int(v) + 1 for v in np.max(found, axis=0))


def convolve(x, w, b, stride, padding, dilation):
    """Return y for x, (batch, channels, *size), and w, (out, channels, *kernel)."""
    xp, kernel = pad(x, padding), w.shape[2:]
    y = np.zeros((len(x), len(w), *places(xp.shape[2:], kernel, stride, dilation)))
    axes = tuple(range(1, w.ndim))
    for place, look in windows(xp.shape[2:], kernel, stride, dilation):
        patch = xp[(slice(None), slice(None), *look)]
        y[(slice(None), slice(None), *place)] = np.tensordot(patch, w, (axes, axes))
    return y if b is None else y + b.reshape(1, -1, *[1] * len(kernel))


def gradients(x, w, d, stride, padding, dilation):
    """Return the gradients of x and w for that of y."""
    xp, kernel = pad(x, padding), w.shape[2:]
    gx, gw = np.zeros(xp.shape), np.zeros(w.shape)
    for place, look in windows(xp.shape[2:], kernel, stride, dilation):
        at = (slice(None), slice(None), *look)
        own = d[(slice(None), slice(None), *place)]
        gx[at] += np.tensordot(own, w, (1, 0))
        gw += np.tensordot(own, xp[at], (0, 0))
    inner = tuple(slice(before, n - after) for n, (before, after) in
                  zip(xp.shape[2:], padding, strict=True))  # fmt: skip
    return gx[(slice(None), slice(None), *inner)], gw
