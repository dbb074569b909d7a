"""The stages of a noisy product on a panel of vectors: DAC, slices, wires, noise, ADC.

A panel holds line j of vector b at ``j * lanes + b``, so that loops over b become wide
instructions. The scalar laws stand in `rpusim.periphery.passage`.
"""

import numpy as np

from rpusim.kernels.bind import apart
from rpusim.kernels.product import LANES, multiply_panel
from rpusim.periphery.converters import clip, convert, exceeds, lose
from rpusim.periphery.draws import (
    INPUT_NOISE,
    INPUT_ROUND,
    OUTPUT_NOISE,
    OUTPUT_ROUND,
    WEIGHT_NOISE,
    dithers,
    noise_of,
    normals,
)
from rpusim.periphery.passage import (
    APART,
    APART_DIGITAL,
    bend,
    drop_strength,
    half_of,
    offset_read,
    prepare,
    slice_of,
    voltage_along,
)

__all__ = [
    "add_input_noise",
    "add_weight_noise",
    "convert_inputs",
    "convert_outputs",
    "drop_voltage",
    "offset_lines",
    "take_pass",
]

# rows of the array of per-line parameters, and of the report on each vector
OFFSET, CURVE, FACTOR, NOISE = 0, 1, 2, 3
SCALE, REDUCTION, INPUTS_CLIPPED, OUTPUTS_CLIPPED, CURRENT, STATUS, ROUND = range(7)
REPORT = 7  # columns


def convert_inputs(panel, lanes, n, used, picked, number, turn, u, s, k0, k1, report, masks):
    """Pass all inputs of a panel through the DAC; count, and mark in `masks`, what it clips."""
    if s.inp_dither == 0.0:
        for e in range(n * lanes):
            panel[e] = prepare(panel[e], s, 0.0)
    else:
        for line in range(-(-n // 4)):
            draw_dithers(line, 0, lanes, number, turn, INPUT_ROUND, u, k0, k1)
            for r in range(min(4, n - 4 * line)):
                start = (4 * line + r) * lanes
                for b in range(lanes):
                    panel[start + b] = prepare(panel[start + b], s, u[r, b])
    if s.watch > 0.0:
        for b in range(used):
            clipped = 0
            for j in range(n):
                clipped += abs(panel[j * lanes + b]) > s.inp_bound
            report[picked[b], INPUTS_CLIPPED] = clipped
            if clipped > 0 and masks.size > 0:
                for j in range(n):
                    masks[picked[b], j] = abs(panel[j * lanes + b]) > s.inp_bound
    if s.inp_bound > 0.0:
        for e in range(n * lanes):
            panel[e] = clip(panel[e], s.inp_bound)


def add_input_noise(panel, lanes, n, part, number, turn, z, s, k0, k1):
    """Add the noise of pass `part`, then the loss of negative inputs, behind the DAC."""
    if s.inp_noise > 0.0:
        for line in range(-(-n // 4)):
            draw_normals(line, part, lanes, number, turn, INPUT_NOISE, z, k0, k1)
            for r in range(min(4, n - 4 * line)):
                start = (4 * line + r) * lanes
                for b in range(lanes):
                    panel[start + b] = panel[start + b] + s.inp_noise * z[r, b]
    if s.inp_loss != 0.0:
        for e in range(n * lanes):
            panel[e] = lose(panel[e], s.inp_loss)


def take_pass(panel, work, lanes, n, part, s):
    """Copy what pass `part` reads of a panel to `work`; return its place value in the sum."""
    place = np.float32(1.0)
    if s.passes == APART or s.passes == APART_DIGITAL:
        for e in range(n * lanes):
            work[e] = half_of(panel[e], part)
    else:
        for e in range(n * lanes):
            work[e], place = slice_of(panel[e], part, s)
    return place


@apart
def drop_voltage(
    panel, aux, lanes, absolute, matrix, transposed, out, more, s, used, picked, report
):
    """Subtract what the wires take from the results `out` of the inputs in `panel`.

    ``more`` has two rows of the shape of `out`, and one for a transposed product's scratch.
    """
    n, m = panel.size // LANES, out.size // LANES
    for e in range(n * lanes):
        aux[e] = abs(panel[e])
    multiply_panel(aux, lanes, absolute, transposed, more[0], more[2])
    for j in range(n):
        weight = voltage_along(j, n, s)
        for b in range(lanes):
            aux[j * lanes + b] = panel[j * lanes + b] * weight
    multiply_panel(aux, lanes, matrix, transposed, more[1], more[2])
    for b in range(lanes):
        most = np.float32(0.0)
        for i in range(m):
            e = i * lanes + b
            a, drop = drop_strength(more[0][e], n, s)
            most = max(most, a)
            out[e] -= s.wire * drop * more[1][e]
        if b < used:
            report[picked[b], CURRENT] = max(report[picked[b], CURRENT], most)


@apart
def offset_lines(panel, lanes, out, lines, s):
    """Apply voltage offsets and series resistances to the results of the inputs in `panel`."""
    n, m = panel.size // LANES, out.size // LANES
    for b in range(lanes):
        total = np.float32(0.0)
        for j in range(n):
            total += panel[j * lanes + b]
        for i in range(m):
            e = i * lanes + b
            out[e] = offset_read(out[e], lines[OFFSET, i], total, s)


@apart
def add_weight_noise(
    panel, aux, lanes, variance, transposed, out, more, part, number, turn, z, s, k0, k1
):
    """Add to the results what independent noise of all weights amounts to."""
    n, m = panel.size // LANES, out.size // LANES
    square = np.zeros(LANES, np.float32)
    for j in range(n):
        for b in range(lanes):
            x = panel[j * lanes + b]
            aux[j * lanes + b] = x * x
            square[b] += x * x
    if s.variance > 0.0:
        multiply_panel(aux, lanes, variance, transposed, more[0], more[2])
    else:
        more[0][:] = 0.0
    for line in range(-(-m // 4)):
        draw_normals(line, part, lanes, number, turn, WEIGHT_NOISE, z, k0, k1)
        for r in range(min(4, m - 4 * line)):
            start = (4 * line + r) * lanes
            for b in range(lanes):
                total = more[0][start + b] + s.w_noise * s.w_noise * square[b]
                out[start + b] += noise_of(total, z[r, b])


def convert_outputs(
    out, lanes, m, part, used, picked, number, turn, z, u, span, lines, s, k0, k1, report, masks, n
):
    """Pass all outputs of a panel through noise and ADC; note which vectors exceed its bound."""
    if s.bends > 0.0 or s.out_loss != 0.0:
        bend_outputs(out, lanes, m, lines, s)
    noise = s.out_noise
    if s.shift > 0.0:
        shift_outputs(out, lanes, m, part, number, turn, z, lines, s, k0, k1)
        noise = np.float32(0.0)
    z[:] = 0.0
    u[:] = 0.0
    span[:] = 0.0
    for line in range(-(-m // 4)):
        if noise > 0.0:
            draw_normals(line, part, lanes, number, turn, OUTPUT_NOISE, z, k0, k1)
        if s.out_dither > 0.0:
            draw_dithers(line, part, lanes, number, turn, OUTPUT_ROUND, u, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            sigma = lines[NOISE, i] if lines.size > 0 and noise > 0.0 else noise
            start = i * lanes
            for b in range(lanes):
                a = out[start + b] + sigma * z[r, b]
                if s.out_step > 0.0:
                    a = convert(a, s.out_step, u[r, b])
                span[0, b] = min(span[0, b], a)
                span[1, b] = max(span[1, b], a)
                out[start + b] = a
    if s.out_bound > 0.0:
        for b in range(lanes):
            if max(-span[0, b], span[1, b]) > s.out_bound:
                over = exceeds(span[0, b], span[1, b], s.out_bound, s.negative)
                clipped = 0
                for i in range(m):
                    a = out[i * lanes + b]
                    beyond = abs(a) > s.out_bound
                    clipped += beyond
                    out[i * lanes + b] = clip(a, s.out_bound)
                    if masks.size > 0 and b < used and beyond:
                        masks[picked[b], n + i] = 1
                if b < used:
                    report[picked[b], OUTPUTS_CLIPPED] += clipped
                    if over:
                        report[picked[b], STATUS] = 1.0


def bend_outputs(out, lanes, m, lines, s):
    """Bend outputs by the S-shape of their line, then take the loss of negative ones."""
    for i in range(m):
        for b in range(lanes):
            a = out[i * lanes + b]
            if s.bends > 0.0:
                a = bend(a, lines[CURVE, i], lines[FACTOR, i])
            out[i * lanes + b] = lose(a, s.out_loss)


def shift_outputs(out, lanes, m, part, number, turn, z, lines, s, k0, k1):
    """Add the noise, then lower all outputs of a vector until the largest is within the bound."""
    top = np.full(LANES, -3.0e38, np.float32)
    z[:] = 0.0
    for line in range(-(-m // 4)):
        if s.out_noise > 0.0:
            draw_normals(line, part, lanes, number, turn, OUTPUT_NOISE, z, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            sigma = lines[NOISE, i] if lines.size > 0 else s.out_noise
            for b in range(lanes):
                out[i * lanes + b] += sigma * z[r, b]
                top[b] = max(top[b], out[i * lanes + b])
    for i in range(m):
        for b in range(lanes):
            out[i * lanes + b] += min(s.out_bound - top[b], 0.0)


def draw_normals(line, part, lanes, number, turn, stage, z, k0, k1):
    """Fill `z`, (4, LANES), with normals for four lines of all vectors in one pass."""
    for b in range(lanes):
        z[0, b], z[1, b], z[2, b], z[3, b] = normals(line, part, number[b], turn, stage, k0, k1)


def draw_dithers(line, part, lanes, number, turn, stage, u, k0, k1):
    """Fill `u`, (4, LANES), with dithers for four lines of all vectors in one pass."""
    for b in range(lanes):
        u[0, b], u[1, b], u[2, b], u[3, b] = dithers(line, part, number[b], turn, stage, k0, k1)
