"""The product of one vector through wires by a team: `pass_vector` of `run_vectors`, for ladders.

The equations stand in `rpusim.periphery.ladder`, the laws in `rpusim.periphery.ladder_kernels`, the
stages that it shares with every product in `rpusim.periphery.vector_stages`.
"""

import numpy as np

from rpusim.kernels.team import meet, member, members
from rpusim.periphery.draws import WEIGHT_NOISE, noise_of, normals
from rpusim.periphery.ladder_kernels import (
    COUNT,
    EXTRA,
    FIXED,
    RATE,
    SAMPLES,
    UNIT,
    WINDOW,
    counted,
    sampled,
    strengths_after,
)
from rpusim.periphery.one_vector import give_vector, note_inputs, note_outputs, sum_part
from rpusim.periphery.passage import SLICES
from rpusim.periphery.passes import EXCEEDED, FINE, NOT_FINITE
from rpusim.periphery.stages import SCALE
from rpusim.periphery.vector_stages import convert_vector, multiply_vector, send_vector, take_part

__all__ = ["ladder_rooms", "pass_ladder_vector"]


def pass_ladder_vector(
    row, turn, x, matrix, derived, transposed, s, lines, digital, number, k0, k1, out, report,
    masks, room,
):  # fmt: skip
    """Take a vector through all stages once; return what became of it.

    Parameters as for `rpusim.periphery.one_vector.pass_vector`, but for

    matrix, transposed
        Not used.
    derived : tuple of ndarray
        As for `rpusim.periphery.ladder_kernels.pass_ladder`.
    room : tuple of ndarray
        See `ladder_rooms`.
    """
    weights, idle, factors, variances, kinds, clock = derived
    panel, work, whole = room[0][row], room[1][row], room[2][row]
    charge, spread = room[3][row], room[4][row]
    status, clipped, parts = FINE, np.float32(0.0), clock.shape[0]
    finite, alpha, reduction, sent = send_vector(
        row, turn, number, x, report[row, SCALE], panel, s, k0, k1, masks
    )
    if not finite:
        status, parts = NOT_FINITE, 0
    for part in range(parts):
        read, place = panel, np.float32(1.0)
        if s.passes == SLICES:
            place = take_part(panel, work, part, number, turn, s, k0, k1)
            read = work
        strengths = strengths_of(read, clock[part, UNIT], kinds)
        meet()
        if clock[part, SAMPLES] > 0.0:
            sample_vector(read, clock, part)
        multiply_vector(read, weights, False, charge)
        count_vector(charge, out, idle, factors, clock, part)
        if variances.shape[0] > 0:
            square_vector(read)
            multiply_vector(read, variances, False, spread)
            add_noise_of(out, spread, kinds, strengths, part, number, turn, k0, k1)
        over, beyond = convert_vector(
            row, read.size, out, part, number, turn, lines, s, k0, k1, masks
        )
        clipped += beyond
        status = EXCEEDED if over else status
        if parts > 1:
            sum_part(whole, out, place, part, parts)
    note_inputs(report, row, turn, alpha, reduction, sent)
    note_outputs(report, row, status, clipped, np.float32(0.0))
    give_vector(out, s.out_scale * alpha * reduction, status, digital)
    return status


def strengths_of(read, unit, kinds):
    """Return by what the kinds of variance are multiplied, from the mean duration of the inputs."""
    one, total = np.float32(1.0), np.float32(0.0)
    if kinds.size == 0 or kinds[kinds.size - 1] == FIXED:
        return one, one, one, one
    for j in range(read.size):
        total += abs(read[j])
    return strengths_after(total / unit / np.float32(read.size))


def sample_vector(read, clock, part):
    """Replace inputs by how long their pulses seem to last from samples of the currents."""
    samples, rate = clock[part, SAMPLES], clock[part, RATE]
    unit, extra = clock[part, UNIT], clock[part, EXTRA]
    for j in range(member(), read.size, members()):
        read[j] = sampled(read[j], samples, rate, unit, extra)
    meet()


def count_vector(charge, out, idle, factors, clock, part):
    """Add what idle lines carry, count charges, and sum the pairs with their factors."""
    count, window, m = clock[part, COUNT], clock[part, WINDOW], out.size
    for i in range(member(), m, members()):
        y = np.float32(0.0)
        for pair in range(factors.size):
            a = charge[pair * m + i] + idle[pair, i] * window
            y = y + factors[pair] * counted(a, count)
        out[i] = y
    meet()


def square_vector(read):
    """Square inputs."""
    for j in range(member(), read.size, members()):
        read[j] = read[j] * read[j]
    meet()


def add_noise_of(out, spread, kinds, strengths, part, number, turn, k0, k1):
    """Add to the results what independent noise of all weights amounts to."""
    m = out.size
    for line in range(member(), -(-m // 4), members()):
        z = normals(line, part, number, turn, WEIGHT_NOISE, k0, k1)
        for r in range(min(4, m - 4 * line)):
            i = 4 * line + r
            variance = np.float32(0.0)
            for k in range(kinds.size):
                variance += strengths[kinds[k]] * spread[k * m + i]
            out[i] += noise_of(variance, z[r])
    meet()


def ladder_rooms(passage, batch, n, m, derived, empty):
    """Return memory for `pass_ladder_vector`; parameters as for `one_vector.rooms`.

    Of the width of: inputs, twice; outputs; all pairs' outputs; all variances' outputs.
    """
    several = passage.parts > 1.0
    widths = (n, n * several, m * several, derived[0].shape[0], derived[3].shape[0])
    return tuple(empty((batch, width), np.float32) for width in widths)
