"""The stages of a noisy product on one vector, whose lines the members of a team share.

The scalar laws stand in `rpusim.periphery.passage`, the same stages for panels of vectors in
`rpusim.periphery.stages`. Members take lines one by one, or four at a time where they draw. What is
summed over all lines each member sums for itself, in the order of the lines: that takes as long as
one output line does, and leaves the bits of a CPU, however many members there are. A stage ends
with `meet`: what it wrote, the next one reads.
"""

import numpy as np

from rpusim.kernels.primitives import bits_float, float_bits
from rpusim.kernels.product import fma
from rpusim.kernels.team import largest, meet, member, members, total
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
    SLICES,
    bend,
    drop_strength,
    half_of,
    offset_read,
    prepare,
    slice_of,
    voltage_along,
)
from rpusim.periphery.stages import CURVE, FACTOR, NOISE, OFFSET
from rpusim.periphery.vectors import INFINITY_BITS, choose_factor

__all__ = [
    "convert_vector",
    "drop_along",
    "multiply_vector",
    "offset_vector",
    "send_vector",
    "shake_vector",
    "take_part",
]

ZERO = 0.0


def send_vector(row, turn, number, x, given, panel, s, k0, k1, masks):
    """Scale a vector, send it through the DAC and add noise; `panel` receives it.

    Returns
    -------
    finite : bool
        Whether the product can take it.
    alpha, reduction : float
        Its scale, by what bound management reduced it.
    clipped : int
        How many inputs the DAC clipped.
    """
    n, counted = x.shape[1], 0
    absmax, kind = magnitude(x, row, n)
    infinite = kind == 1 and s.saturate > 0.0 and s.inp_bound > 0.0 and s.perfect == 0.0
    alpha, reduction, scale = choose_factor(x, row, n, absmax, infinite, given, turn, s)
    for line in range(member(), -(-n // 4), members()):
        u = dithers_if(s.inp_dither, line, 0, number, turn, INPUT_ROUND, k0, k1)
        z = normals_if(sent_noise(s), line, 0, number, turn, INPUT_NOISE, k0, k1)
        for r in range(min(4, n - 4 * line)):
            j, beyond = 4 * line + r, False
            v = x[row, j] * scale
            if s.perfect == 0.0:
                v = prepare(v, s, u[r])
                beyond = s.watch > 0.0 and abs(v) > s.inp_bound
                counted += beyond
                if s.inp_bound > 0.0:
                    v = clip(v, s.inp_bound)
                if s.passes != SLICES:
                    v = behind_dac(v, z[r], s)
            panel[j] = v
            if masks.size > 0:
                masks[row, j] = beyond
    if masks.size > 0:
        for e in range(n + member(), masks.shape[1], members()):
            masks[row, e] = 0
    clipped = total(np.float32(counted))
    meet()
    return kind == 0 or infinite, alpha, reduction, clipped


def take_part(panel, work, part, number, turn, s, k0, k1):
    """Copy what pass `part` reads of a vector to `work`; return its place value in the sum."""
    n, sliced = panel.size, s.passes == SLICES
    noise, place = s.inp_noise if sliced else ZERO, np.float32(1.0)
    if sliced:
        _, place = slice_of(np.float32(0.0), part, s)
    for line in range(member(), -(-n // 4), members()):
        z = normals_if(noise, line, part, number, turn, INPUT_NOISE, k0, k1)
        for r in range(min(4, n - 4 * line)):
            v = panel[4 * line + r]
            if sliced:
                v, _ = slice_of(v, part, s)
                work[4 * line + r] = behind_dac(v, z[r], s)
            else:
                work[4 * line + r] = half_of(v, part)
    meet()
    return place


def multiply_vector(v, matrix, transposed, out):
    """Multiply a matrix, or its transpose, with a vector.

    A member takes a line of the output at a time. Neighbours then walk along neighbouring rows of a
    matrix that is not transposed: every access of theirs touches as many pieces of memory, but each
    piece serves the next steps of the same member out of the cache; and the order of a sum is the
    CPU's, which a row shared by the team would not leave.
    """
    n = v.size
    for i in range(member(), out.size, members()):
        y = np.float32(0.0)
        for j in range(n):
            y = fma(v[j], matrix[j, i] if transposed else matrix[i, j], y)
        out[i] = y
    meet()


def drop_along(read, aux, absolute, matrix, transposed, out, current, lost, s):
    """Subtract what the wires take from results; return the largest current of a line."""
    n = read.size
    for j in range(member(), n, members()):
        aux[j] = abs(read[j])
    meet()
    multiply_vector(aux, absolute, transposed, current)
    for j in range(member(), n, members()):
        aux[j] = read[j] * voltage_along(j, n, s)
    meet()
    multiply_vector(aux, matrix, transposed, lost)
    most = np.float32(0.0)
    for i in range(member(), out.size, members()):
        a, drop = drop_strength(current[i], n, s)
        most = max(most, a)
        out[i] -= s.wire * drop * lost[i]
    most = largest(most)
    meet()
    return most


def offset_vector(read, out, lines, s):
    """Apply voltage offsets and series resistances to the results of the inputs in `read`."""
    inputs = np.float32(0.0)
    for j in range(read.size):
        inputs += read[j]
    for i in range(member(), out.size, members()):
        out[i] = offset_read(out[i], lines[OFFSET, i], inputs, s)
    meet()


def shake_vector(read, aux, variance, transposed, out, more, part, number, turn, s, k0, k1):
    """Add to the results what independent noise of all weights amounts to."""
    m, square = out.size, np.float32(0.0)
    for j in range(read.size):
        square += read[j] * read[j]
    if s.variance > 0.0:
        for j in range(member(), read.size, members()):
            aux[j] = read[j] * read[j]
        meet()
        multiply_vector(aux, variance, transposed, more)
    for line in range(member(), -(-m // 4), members()):
        z = normals(line, part, number, turn, WEIGHT_NOISE, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            own = more[i] if s.variance > 0.0 else ZERO
            out[i] += noise_of(own + s.w_noise * s.w_noise * square, z[r])
    meet()


def convert_vector(row, n, out, part, number, turn, lines, s, k0, k1, masks):
    """Pass results through noise and ADC.

    Returns
    -------
    over : bool
        Whether they exceed its bound.
    clipped : float
        How many it clipped.
    """
    m, noise = out.size, s.out_noise
    if s.bends > 0.0 or s.out_loss != 0.0:
        for i in range(member(), m, members()):
            a = bend(out[i], lines[CURVE, i], lines[FACTOR, i]) if s.bends > 0.0 else out[i]
            out[i] = lose(a, s.out_loss)
        meet()
    if s.shift > 0.0:
        shift_vector(out, part, number, turn, lines, s, k0, k1)
        noise = ZERO
    low = high = np.float32(0.0)
    for line in range(member(), -(-m // 4), members()):
        z = normals_if(noise, line, part, number, turn, OUTPUT_NOISE, k0, k1)
        u = dithers_if(s.out_dither, line, part, number, turn, OUTPUT_ROUND, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            sigma = lines[NOISE, i] if lines.size > 0 and noise > 0.0 else noise
            a = out[i] + sigma * z[r]
            if s.out_step > 0.0:
                a = convert(a, s.out_step, u[r])
            low, high = min(low, a), max(high, a)
            out[i] = a
    low, high = -largest(-low), largest(high)
    meet()
    over, clipped = False, np.float32(0.0)
    if s.out_bound > 0.0 and max(-low, high) > s.out_bound:
        over = exceeds(low, high, s.out_bound, s.negative)
        for i in range(member(), m, members()):
            a = out[i]
            if abs(a) > s.out_bound:
                out[i] = clip(a, s.out_bound)
                clipped += 1.0
                if masks.size > 0:
                    masks[row, n + i] = 1
        clipped = total(clipped)
        meet()
    return over, clipped


def shift_vector(out, part, number, turn, lines, s, k0, k1):
    """Add the noise, then lower all results until the largest is within the bound."""
    m, top = out.size, np.float32(-3.0e38)
    for line in range(member(), -(-m // 4), members()):
        z = normals_if(s.out_noise, line, part, number, turn, OUTPUT_NOISE, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            out[i] += (lines[NOISE, i] if lines.size > 0 else s.out_noise) * z[r]
            top = max(top, out[i])
    top = largest(top)
    meet()
    for i in range(member(), m, members()):
        out[i] += min(s.out_bound - top, 0.0)
    meet()


def magnitude(x, row, n):
    """Return the largest finite magnitude of a vector; and 1 if it has infinity, 2 if NaN, or 0."""
    top = kind = 0
    for j in range(member(), n, members()):
        bits = float_bits(x[row, j]) & 0x7FFFFFFF
        if bits < INFINITY_BITS:
            top = max(top, bits)
        else:
            kind = max(kind, 1 if bits == INFINITY_BITS else 2)
    return largest(bits_float(np.int32(top))), int(largest(np.float32(kind)))


def sent_noise(s):
    """Return the noise that inputs are sent with; slices have noise of their own."""
    return s.inp_noise if s.passes != SLICES and s.perfect == 0.0 else ZERO


def behind_dac(v, z, s):
    """Return an input with noise, then with the loss of negative ones."""
    if s.inp_noise > 0.0:
        v = v + s.inp_noise * z
    return lose(v, s.inp_loss) if s.inp_loss != 0.0 else v


def normals_if(wanted, line, part, number, turn, stage, k0, k1):
    """Return four normals if something is above 0, else zeros."""
    if wanted > 0.0:
        return normals(line, part, number, turn, stage, k0, k1)
    return ZERO, ZERO, ZERO, ZERO


def dithers_if(wanted, line, part, number, turn, stage, k0, k1):
    """Return four dithers if something is above 0, else zeros."""
    if wanted > 0.0:
        return dithers(line, part, number, turn, stage, k0, k1)
    return ZERO, ZERO, ZERO, ZERO
