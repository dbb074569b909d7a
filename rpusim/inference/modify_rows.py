"""Kernels of modified copies of weights, row by row: rounding, noise, dropped weights.

Those named ``..._rows`` are for "cpu", those named ``..._team`` for all other backends
(`rpusim.inference.rows`).
"""

import numpy as np

from rpusim.inference.rows import (
    fill_normals,
    fill_polynomial,
    fill_uniforms,
    polynomial,
    uniforms4,
)
from rpusim.kernels.random import normals4
from rpusim.kernels.team import member, members

__all__ = ["STAGES", "drop_rows", "drop_team", "noisy_rows", "noisy_team"]

NOISE, ROUNDING, DROP, STAGES = 0, 1, 2, 8  # stages of a weight's draws; pcm_noise has one more
HALF_EVEN = 12582912.0  # 1.5 * 2**23: adding it leaves no fractional bits in a float32
NOTHING = (0.0, 0.0, 0.0, 0.0)  # a block where nothing is drawn


def nearest(v, grid):
    """Round `v` to a multiple of `grid`, halves to even."""
    return grid * ((v / grid + HALF_EVEN) - HALF_EVEN)


def dithered(v, grid, u):
    """Round `v` up to a multiple of `grid` with the probability that makes the mean `v`."""
    v = v / grid
    below = (v + HALF_EVEN) - HALF_EVEN
    below = below - 1.0 if below > v else below
    return grid * (below + 1.0 if u <= v - below else below)


def noisy_rows(begin, end, out, w, spread, numbers, step, stage, k0, k1):
    """Fill rows `begin`..`end` of `out`: `w` rounded, plus noise of the polynomial `spread`."""
    largest, grid = numbers[0], numbers[1]
    stochastic, folded = numbers[2] > 0.0, numbers[3] > 0.0
    columns = w.shape[1]
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    z = drawn.reshape(drawn.size)
    a, sigma = np.zeros((2, columns), np.float32)
    for i in range(begin, end):
        if stochastic:
            fill_uniforms(drawn, i, step, stage + ROUNDING, k0, k1)
            for j in range(columns):
                out[i, j] = dithered(w[i, j], grid, z[j])
        elif grid > 0.0:
            for j in range(columns):
                out[i, j] = nearest(w[i, j], grid)
        else:
            for j in range(columns):
                out[i, j] = w[i, j]
        if spread.shape[0] > 0:
            fill_normals(drawn, i, step, stage + NOISE, k0, k1)
            for j in range(columns):
                a[j] = abs(w[i, j]) / largest
            fill_polynomial(sigma, a, spread)
            for j in range(columns):
                v = out[i, j] + sigma[j] * z[j]
                v = (-abs(v) if w[i, j] < 0.0 else abs(v)) if folded else v
                out[i, j] = v
    return 0


def drop_rows(begin, end, out, numbers, step, stage, k0, k1):
    """Drop weights of rows `begin`..`end` with a probability, and multiply the others."""
    prob, kept = numbers[0], numbers[1]
    columns = out.shape[1]
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    u = drawn.reshape(drawn.size)
    for i in range(begin, end):
        fill_uniforms(drawn, i, step, stage + DROP, k0, k1)
        for j in range(columns):
            out[i, j] = 0.0 if u[j] <= prob else kept * out[i, j]
    return 0


def noisy_team(begin, end, out, w, spread, numbers, step, stage, k0, k1):
    """Do what `noisy_rows` does, and copy a matrix whose largest weight is 0."""
    largest, grid = numbers[0], numbers[1]
    stochastic, folded = numbers[2] > 0.0, numbers[3] > 0.0
    columns = w.shape[1]
    blocks = (columns + 3) // 4
    noisy = spread.shape[0] > 0
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            u = uniforms4(i, b, step, stage + ROUNDING, k0, k1) if stochastic else NOTHING
            z = normals4(i, b, step, stage + NOISE, k0, k1) if noisy else NOTHING
            for r in range(4):
                j = b + r * blocks
                if j < columns:
                    v = w[i, j]
                    if grid > 0.0:
                        v = dithered(v, grid, u[r]) if stochastic else nearest(v, grid)
                    if noisy and largest > 0.0:
                        v += polynomial(abs(w[i, j]) / largest, spread) * z[r]
                        v = (-abs(v) if w[i, j] < 0.0 else abs(v)) if folded else v
                    out[i, j] = v
    return 0


def drop_team(begin, end, out, numbers, step, stage, k0, k1):
    """Do what `drop_rows` does."""
    prob, kept = numbers[0], numbers[1]
    columns = out.shape[1]
    blocks = (columns + 3) // 4
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            u = uniforms4(i, b, step, stage + DROP, k0, k1)
            for r in range(4):
                j = b + r * blocks
                if j < columns:
                    out[i, j] = 0.0 if u[r] <= prob else kept * out[i, j]
    return 0
