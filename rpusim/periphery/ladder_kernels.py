"""The kernel of the product through wires: panels of vectors through all stages.

The equations stand in `rpusim.periphery.ladder`. Converters, slices and noise are the stages of
`rpusim.periphery.stages`; between them stand pulses, charges and their counts.
"""

import math

import numpy as np

from rpusim.kernels.bind import apart
from rpusim.kernels.elementary import log
from rpusim.kernels.product import LANES, multiply_panel
from rpusim.periphery.draws import WEIGHT_NOISE, noise_of
from rpusim.periphery.passage import SLICES, settings_at
from rpusim.periphery.stages import (
    add_input_noise,
    convert_inputs,
    convert_outputs,
    draw_normals,
    take_pass,
)
from rpusim.periphery.vectors import add_part, give_results, pick_vectors, scale_inputs

__all__ = ["counted", "pass_ladder", "sampled", "strengths_after"]

# columns of the clock, one row for each slice: duration of a step as an input, charge of a count,
# duration of the slice, samples in it (0: exact), samples per step, what the trapezoid adds
UNIT, COUNT, WINDOW, SAMPLES, RATE, EXTRA = 0, 1, 2, 3, 4, 5
FIXED, SQUARE, MIXED, PLAIN = 0, 1, 2, 3  # kinds of variance: of no duration; slope, both, offset
ALMOST = 1e-3  # of a sample: a pulse that ends there ends before it
LOG_10 = 2.302585093
# of the read noise of PCM, in powers of log10 of the duration: per uS, and in uS
SLOPE_0, SLOPE_1, SLOPE_2, SLOPE_3, SLOPE_4 = (
    2.578764e-2, -1.46159e-2, 6.55714e-3, -1.87352e-3, 2.1926e-4,
)  # fmt: skip
OFFSET_0, OFFSET_1, OFFSET_2, OFFSET_3, OFFSET_4 = (
    1.17763144e-1, -6.77079241e-2, 3.07015063e-2, -9.08576764e-3, 1.11906167e-3,
)  # fmt: skip


def pass_ladder(
    begin, end, rows, x, matrix, derived, transposed, values, lines, digital, first, turn, k0, k1,
    y, report, masks,
):  # fmt: skip
    """Compute panels `begin`..`end` of the vectors in `rows`, in round `turn`.

    Parameters as for `rpusim.periphery.passes.pass_panels`, but for

    matrix, transposed
        Not used.
    derived : tuple of ndarray
        Effective weights of all pairs, (pairs * m, n); results of idle lines per duration, (pairs,
        m); the pairs' factors; the variances of weights, (kinds * m, n); their kinds; the clock.
    """
    status = 0
    s = settings_at(values)
    weights, idle, factors, variances, kinds, clock = derived
    n, m, parts = x.shape[1], digital.shape[1], clock.shape[0]
    panel, out = np.empty(n * LANES, np.float32), np.empty(m * LANES, np.float32)
    work = np.empty(n * LANES, np.float32)
    charge = np.empty(weights.shape[0] * LANES, np.float32)
    total = np.empty(m * LANES if parts > 1 else 0, np.float32)
    spread = np.empty(variances.shape[0] * LANES, np.float32)
    scratch, strengths = np.empty(0, np.float32), np.ones((4, LANES), np.float32)
    number, picked = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    scale, factor = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    z, u = np.zeros((2, 4, LANES), np.float32)
    span = np.zeros((2, LANES), np.float32)
    for p in range(begin, end):
        start = p * LANES
        used = min(LANES, rows.size - start)
        lanes = LANES if 2 * used > LANES else LANES // 2
        pick_vectors(rows, start, used, lanes, first, picked, number)
        # 1. scale, DAC
        scale_inputs(panel, lanes, used, picked, x, turn, scale, factor, s, report, masks)
        convert_inputs(panel, lanes, n, used, picked, number, turn, u, s, k0, k1, report, masks)
        for part in range(parts):
            place = np.float32(1.0)
            if s.passes == SLICES:
                place = take_pass(panel, work, lanes, n, part, s)
            else:
                work[: n * lanes] = panel[: n * lanes]
            add_input_noise(work, lanes, n, part, number, turn, z, s, k0, k1)
            # 2. charges
            if variances.shape[0] > 0:
                find_strengths(work, lanes, n, clock[part, UNIT], kinds, strengths)
            if clock[part, SAMPLES] > 0.0:
                sample_pulses(work, n * lanes, clock, part)
            multiply_panel(work, lanes, weights, False, charge, scratch)
            count_charges(charge, out, lanes, m, idle, factors, clock, part)
            # 3. weight noise
            if variances.shape[0] > 0:
                for e in range(n * lanes):
                    work[e] = work[e] * work[e]
                multiply_panel(work, lanes, variances, False, spread, scratch)
                add_noise(out, spread, lanes, m, kinds, strengths, part, number, turn, z, k0, k1)
            # 4. ADC, sum of the slices
            convert_outputs(
                out, lanes, m, part, used, picked, number, turn, z, u, span, lines, s, k0, k1,
                report, masks, n,
            )  # fmt: skip
            if parts > 1:
                add_part(total, out, m * lanes, place, part)
                if part == parts - 1:
                    out[: m * lanes] = total[: m * lanes]
        status = max(status, give_results(out, lanes, used, picked, factor, digital, y, report))
    return status


@apart
def sample_pulses(work, size, clock, part):
    """Replace inputs by how long their pulses seem to last from samples of the currents."""
    samples, rate = clock[part, SAMPLES], clock[part, RATE]
    unit, extra = clock[part, UNIT], clock[part, EXTRA]
    for e in range(size):
        work[e] = sampled(work[e], samples, rate, unit, extra)


def sampled(v, samples, rate, unit, extra):
    """Return how long a pulse seems to last from samples of the current."""
    seen = min(np.float32(math.ceil(abs(v) / unit * rate - ALMOST)), samples)
    if seen > 0.0:
        seen += extra
    if seen > samples:
        seen -= extra
    return seen / rate * unit if v > 0.0 else -(seen / rate * unit)


@apart
def count_charges(charge, out, lanes, m, idle, factors, clock, part):
    """Add what idle lines carry, count charges, and sum the pairs with their factors."""
    count, window = clock[part, COUNT], clock[part, WINDOW]
    for pair in range(factors.size):
        for i in range(m):
            rest, start = idle[pair, i] * window, (pair * m + i) * lanes
            for b in range(lanes):
                a = counted(charge[start + b] + rest, count)
                before = out[i * lanes + b] if pair > 0 else np.float32(0.0)
                out[i * lanes + b] = before + factors[pair] * a


def counted(a, count):
    """Return a charge as the ADC counts it, in units of `count`; as it is if that is 0."""
    return count * np.float32(np.int32(a / count)) if count > 0.0 else a


@apart
def find_strengths(work, lanes, n, unit, kinds, strengths):
    """Find by what the kinds of variance are multiplied, from the mean duration of the inputs."""
    if kinds[kinds.size - 1] == FIXED:
        return
    for b in range(lanes):
        total = np.float32(0.0)
        for j in range(n):
            total += abs(work[j * lanes + b])
        _, strengths[SQUARE, b], strengths[MIXED, b], strengths[PLAIN, b] = strengths_after(
            total / unit / np.float32(n)
        )


def strengths_after(duration):
    """Return by what FIXED, SQUARE, MIXED and PLAIN are multiplied at a mean duration."""
    slope = offset = np.float32(0.0)
    if duration > 0.0:
        z = log(duration) / LOG_10
        slope = SLOPE_0 + z * (SLOPE_1 + z * (SLOPE_2 + z * (SLOPE_3 + z * SLOPE_4)))
        offset = OFFSET_0 + z * (OFFSET_1 + z * (OFFSET_2 + z * (OFFSET_3 + z * OFFSET_4)))
    return np.float32(1.0), slope * slope, 2.0 * slope * offset, offset * offset


@apart
def add_noise(out, spread, lanes, m, kinds, strengths, part, number, turn, z, k0, k1):
    """Add to the results what independent noise of all weights amounts to."""
    for line in range(-(-m // 4)):
        draw_normals(line, part, lanes, number, turn, WEIGHT_NOISE, z, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            for b in range(lanes):
                variance = np.float32(0.0)
                for k in range(kinds.size):
                    variance += strengths[kinds[k], b] * spread[(k * m + i) * lanes + b]
                out[i * lanes + b] += noise_of(variance, z[r, b])
