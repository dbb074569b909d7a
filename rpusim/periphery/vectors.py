"""Vectors into a panel, scaled for the DAC, and results out of it.

The scales of the noise managements stand in `rpusim.periphery.passage`.
"""

import numpy as np

from rpusim.kernels.primitives import bits_float, float_bits
from rpusim.periphery.passage import GIVEN, MAX, NP_SUM, scale_of, worst_case
from rpusim.periphery.stages import (
    CURRENT,
    INPUTS_CLIPPED,
    OUTPUTS_CLIPPED,
    REDUCTION,
    ROUND,
    SCALE,
    STATUS,
)

__all__ = [
    "add_part",
    "choose_factor",
    "give_results",
    "given_back",
    "largest_finite",
    "pick_vectors",
    "scale_inputs",
]

SMALLEST = 1.2e-38  # below the normal numbers a scale has no reciprocal: such a vector is zero
LARGEST = 3.4e38
INFINITY_BITS = 0x7F800000
BLOCK = 64  # lines copied together, so that what a panel's vectors share stays in the cache


def pick_vectors(rows, start, used, lanes, first, picked, number):
    """Note which vectors a panel holds; lanes without one repeat the first."""
    for b in range(lanes):
        row = rows[start + b] if b < used else rows[start]
        picked[b], number[b] = row, first + row


def scale_inputs(panel, lanes, used, picked, x, turn, scale, factor, s, report, masks):
    """Fill a panel with scaled vectors; `factor` scales their results back."""
    n = x.shape[1]
    for b in range(lanes):
        row = picked[b]
        top, infinite = 0, False
        for j in range(n):
            top = max(top, float_bits(x[row, j]) & 0x7FFFFFFF)
        if top == INFINITY_BITS and s.saturate > 0.0:
            top, infinite = largest_finite(x, row, n), True
        absmax = bits_float(np.int32(top))
        alpha, reduction, scale[b] = choose_factor(
            x, row, n, absmax, infinite, report[row, SCALE], turn, s
        )
        factor[b] = s.out_scale * alpha * reduction
        if b < used:
            report[row, SCALE], report[row, REDUCTION] = alpha, reduction
            report[row, INPUTS_CLIPPED] = report[row, OUTPUTS_CLIPPED] = 0.0
            report[row, CURRENT], report[row, ROUND] = 0.0, turn
            report[row, STATUS] = 0.0 if top < INFINITY_BITS else 2.0
            if masks.size > 0:
                masks[row] = 0
    for block in range(0, n, BLOCK):
        for b in range(lanes):
            for j in range(block, min(block + BLOCK, n)):
                panel[j * lanes + b] = x[picked[b], j] * scale[b]


def give_results(out, lanes, used, picked, factor, digital, y, report):
    """Scale results back into `y`; return the worst of what became of their vectors."""
    m, status = digital.shape[1], 0
    for block in range(0, m, BLOCK):
        for b in range(used):
            for i in range(block, min(block + BLOCK, m)):
                y[picked[b], i] = given_back(out[i * lanes + b], factor[b], digital, i)
    for b in range(used):
        status = max(status, int(report[picked[b], STATUS]))
    return status


def given_back(a, factor, digital, i):
    """Return a result of line i as the tile gives it."""
    return a * factor * digital[0, i] + digital[1, i]


def add_part(total, out, size, place, part):
    """Add the results of one pass, times their place value, to the sum of all."""
    for e in range(size):
        total[e] = place * out[e] if part == 0 else total[e] + place * out[e]


def largest_finite(x, row, n):
    """Return the bits of the largest finite magnitude of a vector."""
    top = 0
    for j in range(n):
        bits = float_bits(x[row, j]) & 0x7FFFFFFF
        if bits < INFINITY_BITS:
            top = max(top, bits)
    return top


def choose_factor(x, row, n, absmax, infinite, given, turn, s):
    """Return a vector's scale, its reduction, and by what its inputs are multiplied."""
    one = np.float32(1.0)
    if s.perfect > 0.0:
        return one, one, one
    alpha, reduction = choose_scale(x, row, n, absmax, given, turn, s)
    if infinite and alpha <= SMALLEST:
        alpha = one
    if alpha > SMALLEST:
        return alpha, reduction, one / alpha / reduction
    if s.shortcut == 0.0:
        return one, reduction, one / reduction
    return alpha, reduction, np.float32(0.0)


def choose_scale(x, row, n, absmax, given, turn, s):
    """Return the scale of a vector and its reduction in round `turn`."""
    worst = s.worst > 0.0 and turn > 0
    reduction = np.float32(1 << (turn - 1 if worst else turn))
    if s.scaling == GIVEN and not worst:
        return given, reduction
    top = positive = negative = np.float32(0.0)
    if s.scaling == MAX or s.scaling == NP_SUM or worst:
        for j in range(n):
            v = x[row, j]
            if abs(v) > LARGEST:  # what saturates does not count
                v = np.float32(0.0)
            top = max(top, v)
            positive += max(v, np.float32(0.0))
            negative += max(-v, np.float32(0.0))
    if s.scaling == NP_SUM or worst:
        return worst_case(absmax, positive, negative, s), reduction
    return scale_of(absmax, top, s), reduction
