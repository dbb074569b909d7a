"""The kernels of the noisy product: panels of vectors on the CPU, and the same one by one.

The equations stand in `rpusim.periphery.mvm`, the scalar laws in `rpusim.periphery.passage`.
"""

import numpy as np

from rpusim.kernels.primitives import bits_float, float_bits
from rpusim.kernels.product import LANES, fma, multiply_panel
from rpusim.kernels.random import normals4
from rpusim.periphery.converters import clip
from rpusim.periphery.passage import (
    INPUT_NOISE,
    INPUT_ROUND,
    OUTPUT_NOISE,
    OUTPUT_ROUND,
    STAGES,
    WEIGHT_NOISE,
    digitise,
    dithers,
    prepare,
    scale_of,
    settings_at,
)

__all__ = ["EXCEEDED", "FINE", "NOT_FINITE", "pass_panels", "pass_plainly"]

MASK = 0xFFFFFFFF
SMALLEST = 1.2e-38  # below the normal numbers a scale has no reciprocal: such a vector is zero
INFINITY_BITS = 0x7F800000
FINE, EXCEEDED, NOT_FINITE = 0, 1, 2  # what became of a vector
BLOCK = 64  # lines copied together, so that what a panel's vectors share stays in the cache


def pass_panels(
    begin, end, rows, x, matrix, transposed, values, gain, offset, first, turn, k0, k1, y, failed
):
    """Compute panels `begin`..`end` of the vectors in `rows`; `turn` is log2 of the reduction.

    ``failed[row]`` becomes EXCEEDED if an output exceeded the bound, NOT_FINITE if an input is not
    finite; the largest of them is returned.
    """
    status = FINE
    s = settings_at(values)
    n, m = x.shape[1], gain.size
    panel, out = np.empty(n * LANES, np.float32), np.empty(m * LANES, np.float32)
    scratch = np.empty((m + LANES) * LANES if transposed else 0, np.float32)
    number, scale = np.empty(LANES, np.int64), np.empty(LANES, np.float32)
    norm, factor = np.zeros(LANES, np.float32), np.empty(LANES, np.float32)
    peak = np.zeros(LANES, np.float32)
    z, u, zw = np.zeros((3, 4, LANES), np.float32)
    for p in range(begin, end):
        start = p * LANES
        used = min(LANES, rows.size - start)
        lanes = LANES if 2 * used > LANES else LANES // 2
        # 1. scale
        for b in range(lanes):
            row = rows[start + b] if b < used else rows[start]
            number[b] = first + row
            peak[b] = 0.0
            top = 0
            for j in range(n):
                top = max(top, float_bits(x[row, j]) & 0x7FFFFFFF)
            if top >= INFINITY_BITS:
                failed[row] = status = NOT_FINITE
            scale[b] = 0.0
            factor[b] = s.out_scale
            if s.perfect == 0.0:
                alpha = scale_of(bits_float(np.int32(top)), s)
                reduction = np.float32(1 << turn)
                if alpha > SMALLEST:
                    scale[b] = 1.0 / alpha / reduction
                factor[b] = s.out_scale * alpha * reduction
            else:
                scale[b] = 1.0
        for block in range(0, n, BLOCK):  # in blocks, so that the panel's lines stay in the cache
            for b in range(lanes):
                row = rows[start + b] if b < used else rows[start]
                for j in range(block, min(block + BLOCK, n)):
                    panel[j * lanes + b] = x[row, j] * scale[b]
        # 2. DAC
        if s.perfect == 0.0:
            pass_inputs(panel, lanes, n, number, turn, z, u, s, k0, k1)
            if s.w_noise > 0.0:
                for b in range(lanes):
                    norm[b] = 0.0
                for j in range(n):
                    for b in range(lanes):
                        norm[b] = norm[b] + panel[j * lanes + b] * panel[j * lanes + b]
                for b in range(lanes):
                    norm[b] = np.sqrt(norm[b])
        # 3. product
        multiply_panel(panel, lanes, matrix, transposed, out, scratch)
        # 4. ADC
        if s.perfect == 0.0:
            pass_outputs(out, lanes, m, number, turn, z, u, zw, norm, peak, s, k0, k1)
        for block in range(0, m, BLOCK):
            for b in range(used):
                row = rows[start + b]
                for i in range(block, min(block + BLOCK, m)):
                    y[row, i] = out[i * lanes + b] * factor[b] * gain[i] + offset[i]
        for b in range(used):
            if 0.0 < s.out_bound < peak[b] and failed[rows[start + b]] == FINE:
                failed[rows[start + b]] = EXCEEDED
                status = max(status, EXCEEDED)
    return status


def pass_inputs(panel, lanes, n, number, turn, z, u, s, k0, k1):
    """Pass all inputs of a panel through the DAC, four lines at a time if something is drawn."""
    if s.inp_noise == 0.0 and s.inp_dither == 0.0:
        for e in range(n * lanes):
            panel[e] = prepare(panel[e], s, 0.0, 0.0)
        return
    z[:] = 0.0
    u[:] = 0.0
    for line in range(-(-n // 4)):
        draw_lines(line, lanes, number, turn, INPUT_NOISE, s.inp_noise, z, k0, k1)
        draw_dithers(line, lanes, number, turn, INPUT_ROUND, s.inp_dither, u, k0, k1)
        for r in range(min(4, n - 4 * line)):
            start = (4 * line + r) * lanes
            for b in range(lanes):
                panel[start + b] = prepare(panel[start + b], s, u[r, b], z[r, b])


def pass_outputs(out, lanes, m, number, turn, z, u, zw, norm, peak, s, k0, k1):
    """Pass all outputs of a panel through noise and ADC; `peak` is each vector's largest output."""
    z[:] = 0.0
    u[:] = 0.0
    for line in range(-(-m // 4)):
        draw_lines(line, lanes, number, turn, OUTPUT_NOISE, s.out_noise, z, k0, k1)
        draw_lines(line, lanes, number, turn, WEIGHT_NOISE, s.w_noise, zw, k0, k1)
        draw_dithers(line, lanes, number, turn, OUTPUT_ROUND, s.out_dither, u, k0, k1)
        for r in range(min(4, m - 4 * line)):
            start = (4 * line + r) * lanes
            for b in range(lanes):
                a = digitise(out[start + b], s, norm[b], u[r, b], z[r, b], zw[r, b])
                peak[b] = max(peak[b], a, -a * s.negative)
                out[start + b] = clip(a, s.out_bound) if s.out_bound > 0.0 else a


def draw_lines(line, lanes, number, turn, stage, strength, z, k0, k1):
    """Fill `z`, (4, LANES), with normals for four lines of all vectors, if of any strength."""
    if strength > 0.0:
        for b in range(lanes):
            sample = number[b]
            z[0, b], z[1, b], z[2, b], z[3, b] = normals4(
                line, 0, sample & MASK, stage + STAGES * turn, k0, k1 ^ (sample >> 32)
            )


def draw_dithers(line, lanes, number, turn, stage, strength, u, k0, k1):
    """Fill `u`, (4, LANES), with dithers for four lines of all vectors, if they are asked for."""
    if strength > 0.0:
        for b in range(lanes):
            sample = number[b]
            u[0, b], u[1, b], u[2, b], u[3, b] = dithers(
                line, sample & MASK, stage + STAGES * turn, k0, k1 ^ (sample >> 32)
            )


def pass_plainly(
    begin, end, rows, x, matrix, transposed, values, gain, offset, first, turn, k0, k1, y, failed
):
    """Compute the same as `pass_panels`, one vector and one line after the other."""
    s = settings_at(values)
    n, m, status = x.shape[1], gain.size, FINE
    for row in rows[begin * LANES : end * LANES]:
        sample = int(first + row)
        low, high, draw = sample & MASK, k1 ^ (sample >> 32), STAGES * turn
        xs, alpha, reduction = [x[row, j] for j in range(n)], np.float32(1.0), np.float32(1 << turn)
        if not np.isfinite(x[row]).all():
            failed[row] = status = NOT_FINITE
            continue
        square = np.float32(0.0)
        if s.perfect == 0.0:
            alpha = scale_of(np.max(np.abs(x[row])), s)
            scale = 1.0 / alpha / reduction if alpha > SMALLEST else np.float32(0.0)
            for j in range(n):
                z = u = np.float32(0.0)
                if s.inp_noise > 0.0:
                    z = normals4(j // 4, 0, low, INPUT_NOISE + draw, k0, high)[j % 4]
                if s.inp_dither > 0.0:
                    u = dithers(j // 4, low, INPUT_ROUND + draw, k0, high)[j % 4]
                xs[j] = prepare(x[row, j] * scale, s, u, z)
                square = square + xs[j] * xs[j]
        norm = np.sqrt(square)
        factor = s.out_scale * alpha * reduction if s.perfect == 0.0 else s.out_scale
        for i in range(m):
            a = np.float32(0.0)
            for j in range(n):
                a = fma(matrix[j, i] if transposed else matrix[i, j], xs[j], a)
            if s.perfect == 0.0:
                z = zw = u = np.float32(0.0)
                if s.out_noise > 0.0:
                    z = normals4(i // 4, 0, low, OUTPUT_NOISE + draw, k0, high)[i % 4]
                if s.w_noise > 0.0:
                    zw = normals4(i // 4, 0, low, WEIGHT_NOISE + draw, k0, high)[i % 4]
                if s.out_dither > 0.0:
                    u = dithers(i // 4, low, OUTPUT_ROUND + draw, k0, high)[i % 4]
                a = digitise(a, s, norm, u, z, zw)
                if 0.0 < s.out_bound < max(a, -a * s.negative):
                    failed[row] = EXCEEDED
                    status = max(status, EXCEEDED)
                a = clip(a, s.out_bound) if s.out_bound > 0.0 else a
            y[row, i] = a * factor * gain[i] + offset[i]
    return status
