"""Kernels of the error of programmed weights; `programming_loss` has the equations.

One call goes through a population: from a point of the hypercube to a table, from the table to the
conductances that weights are programmed to, and from these to moments by linear interpolation.
"""

import math

import numpy as np

from rpusim.inference.programming_space import fill_table

__all__ = ["EXACT", "NONE", "PROGRAMMED", "devices_error", "mean_magnitude", "population_rows"]

NONE, PROGRAMMED, EXACT = 0, 1, 2  # what a compensation leads back to
ROOT_2, ROOT_2_PI = math.sqrt(2.0), math.sqrt(2.0 / math.pi)
CERTAIN = 16.0  # squared: beyond four standard deviations the sign is that of the mean


def mean_magnitude(plus, plus_variance, minus, minus_variance):  # type: ignore[no-untyped-def]
    """Return the mean of |X - Y|, from mean and variance of each: both log-normal, else normal."""
    mean, variance = plus - minus, plus_variance + minus_variance
    if mean * mean >= CERTAIN * variance:
        return abs(mean)
    if plus <= 0.0 or minus <= 0.0:
        std = math.sqrt(variance)
        tail = math.exp(-0.5 * mean * mean / variance)
        return std * ROOT_2_PI * tail + mean * math.erf(mean / (std * ROOT_2))
    ratios = (1.0 + plus_variance / (plus * plus)) * (1.0 + minus_variance / (minus * minus))
    width = math.sqrt(math.log(ratios))
    middle, half = math.log(plus / minus) / width, 0.5 * width
    upper, lower = math.erf((middle + half) / ROOT_2), math.erf((middle - half) / ROOT_2)
    return plus * upper - minus * lower


def error_of(g, factors, w, share, grid, low, span, mode, work):  # type: ignore[no-untyped-def]
    """Return the loss of weights whose devices have given targets; infinite if it is undefined.

    Parameters
    ----------
    g : ndarray of shape (devices, weights)
        Targets, in uS.
    factors : ndarray of shape (devices,)
        Of the way back to weights relative to the largest.
    w, share : ndarray of shape (weights,)
        Weights relative to the largest, and what part of all weights they stand for.
    grid : ndarray of shape (points, 2 * times)
        Means, then variances at the times, of which the first is right after programming; at
        conductances that grow with the square of the row.
    low, span : float
        Of these conductances.
    mode : int
        Which alpha multiplies the outputs: NONE, PROGRAMMED or EXACT.
    work : ndarray of shape (6, 2 * times)
        Room; the losses at the times are left in ``work[1, 1:times]``.
    """
    times, last = grid.shape[1] // 2, grid.shape[0] - 1
    work[:] = 0.0
    plus, minus, single = work[0], work[5], work[1]
    folded, square, cross = work[2], work[3], work[4]
    wanted, magnitude = 0.0, 0.0
    for q in range(w.shape[0]):
        plus[:] = 0.0
        minus[:] = 0.0
        for k in range(g.shape[0]):
            root = math.sqrt(max((g[k, q] - low) / span, 0.0)) * last
            i = min(int(root), last - 1)
            # linear in the conductance between rows i and i + 1
            r = (root * root - i * i) / (2.0 * i + 1.0)
            a, b, f = grid[i], grid[i + 1], abs(factors[k])
            side = plus if factors[k] > 0.0 else minus
            for c in range(times):
                side[c] += f * (a[c] + r * (b[c] - a[c]))
            for c in range(times, 2 * times):
                side[c] += f * f * (a[c] + r * (b[c] - a[c]))
        wanted += share[q] * w[q] * w[q]
        magnitude += share[q] * abs(w[q])
        for c in range(times):
            vp, vm = plus[times + c], minus[times + c]
            mean, variance = plus[c] - minus[c], vp + vm
            if mode != NONE:
                folded[c] += share[q] * mean_magnitude(plus[c], vp, minus[c], vm)
            square[c] += share[q] * (mean * mean + variance)
            cross[c] += share[q] * mean * w[q]
    before = magnitude if mode == EXACT else folded[0]
    loss = 0.0
    for c in range(1, times):
        alpha = before / folded[c] if mode != NONE else 1.0
        single[c] = 100.0 * (alpha * alpha * square[c] - 2.0 * alpha * cross[c] + wanted)
        loss += single[c] / (times - 1)
    return loss if loss < np.inf else np.inf


def population_rows(  # type: ignore[no-untyped-def]
    begin,
    end,
    x,
    factors,
    nodes,
    limits,
    whole,
    symmetric,
    place,
    between,
    w,
    share,
    grid,
    low,
    span,
    mode,
    out,
):
    """Fill `out` with the losses of points of a `ProgrammingSpace`, see `fill_table`, `error_of`.

    Parameters
    ----------
    begin, end : int
        Range of candidates.
    x : ndarray of shape (candidates, dimensions)
        The points.
    factors, nodes, limits, whole, symmetric
        Of the space.
    place, between : ndarray of shape (weights,)
        The node below each weight, and where between it and the next the weight lies.
    w, share, grid, low, span, mode
        As for `error_of`.
    out : ndarray of shape (candidates,)
        The losses.
    """
    pairs, count = factors.shape[0], nodes.shape[0]
    f, table = np.empty(pairs), np.empty((2 * pairs, count))
    g, signed = np.empty((2 * pairs, w.shape[0])), np.empty(2 * pairs)
    work = np.empty((6, grid.shape[1]))
    for s in range(begin, end):
        fill_table(x[s], factors, nodes, limits, whole, symmetric, f, table)
        largest = 0.0
        for i in range(count):
            total = 0.0
            for j in range(pairs):
                total += f[j] * (table[2 * j, i] - table[2 * j + 1, i])
            largest = max(largest, abs(total))
        for k in range(2 * pairs):
            signed[k] = (f[k // 2] if k % 2 == 0 else -f[k // 2]) / largest
            for q in range(w.shape[0]):
                i = place[q]
                g[k, q] = table[k, i] + between[q] * (table[k, i + 1] - table[k, i])
        out[s] = error_of(g, signed, w, share, grid, low, span, mode, work)
    return 0


def devices_error(g, factors, w, share, grid, low, span, mode, work):  # type: ignore[no-untyped-def]
    """Return `error_of`; Python calls it."""
    return error_of(g, factors, w, share, grid, low, span, mode, work)
