"""Windows that slide over planes: the largest value of each, or the mean, and the ways back.

Arrays are (planes, depth, height, width), C-contiguous; `size`, `stride` and `padding` are three
integers each. A window meets the values inside the plane only. Loops run over the outputs of a row
for one place in the window at a time: their bodies are free of branches. Kernels return 0.
"""

import numpy as np

__all__ = ["largest", "largest_back", "mean", "mean_back"]


def reach(offset, stride, length, count):
    """Return (first, end) of the outputs k in 0..count for which k stride + offset is inside."""
    first = max(0, (stride - 1 - offset) // stride)
    return first, min(count, (length - 1 - offset) // stride + 1)


def largest(first, last, x, y, place, size, stride, padding):
    """Fill `y` with the largest value of each window, `place` with its index in the plane.

    The first of equal values wins; NaN is larger than all.
    """
    depth, height, width = x.shape[1:]
    for p in range(first, last):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for k in range(y.shape[3]):
                    place[p, i, j, k] = -1
                for a in range(size[0]):
                    r = i * stride[0] + a - padding[0]
                    for b in range(size[1]):
                        s = j * stride[1] + b - padding[1]
                        if r < 0 or r >= depth or s < 0 or s >= height:
                            continue
                        for c in range(size[2]):
                            offset = c - padding[2]
                            start, end = reach(offset, stride[2], width, y.shape[3])
                            row = (r * height + s) * width + offset
                            for k in range(start, end):
                                v = x[p, r, s, k * stride[2] + offset]
                                best, here = y[p, i, j, k], place[p, i, j, k]
                                better = (here < 0) | (v > best) | (v != v)
                                y[p, i, j, k] = v if better else best
                                at = np.int32(row + k * stride[2])
                                place[p, i, j, k] = at if better else here
    return 0


def largest_back(first, last, d, place, dx):
    """Fill `dx` with zeros, plus each value of `d` at the index in the plane that `place` says."""
    for p in range(first, last):
        plane, errors, places = dx[p].ravel(), d[p].ravel(), place[p].ravel()
        plane[:] = 0.0
        for o in range(errors.size):
            plane[places[o]] += errors[o]
    return 0


def mean(first, last, x, y, size, stride, padding):
    """Fill `y` with the sum of each window divided by its size, padding included."""
    depth, height, width = x.shape[1:]
    share = np.float32(1.0 / (size[0] * size[1] * size[2]))
    for p in range(first, last):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for k in range(y.shape[3]):
                    y[p, i, j, k] = 0.0
                for a in range(size[0]):
                    r = i * stride[0] + a - padding[0]
                    for b in range(size[1]):
                        s = j * stride[1] + b - padding[1]
                        if r < 0 or r >= depth or s < 0 or s >= height:
                            continue
                        for c in range(size[2]):
                            offset = c - padding[2]
                            start, end = reach(offset, stride[2], width, y.shape[3])
                            for k in range(start, end):
                                y[p, i, j, k] += x[p, r, s, k * stride[2] + offset]
                for k in range(y.shape[3]):
                    y[p, i, j, k] *= share
    return 0


def mean_back(first, last, d, dx, size, stride, padding):
    """Fill `dx` with what each value gets of `d` from the windows that it is in."""
    depth, height, width = dx.shape[1:]
    share = np.float32(1.0 / (size[0] * size[1] * size[2]))
    for p in range(first, last):
        dx[p] = 0.0
        for i in range(d.shape[1]):
            for j in range(d.shape[2]):
                for a in range(size[0]):
                    r = i * stride[0] + a - padding[0]
                    for b in range(size[1]):
                        s = j * stride[1] + b - padding[1]
                        if r < 0 or r >= depth or s < 0 or s >= height:
                            continue
                        for c in range(size[2]):
                            offset = c - padding[2]
                            start, end = reach(offset, stride[2], width, d.shape[3])
                            for k in range(start, end):
                                dx[p, r, s, k * stride[2] + offset] += d[p, i, j, k] * share
    return 0
