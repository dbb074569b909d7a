"""The noisy product of one vector by a team: all stages, all rounds.

The equations stand in `rpusim.periphery.mvm`, the stages in `rpusim.periphery.vector_stages`. It
gives the bits of `pass_panels`: the same laws, sums and draws. On a GPU a team is a block of
threads; in plain Python it is one, and this is then the kernel of ``backend="python"``.

`run_vectors` does all in one launch. For large matrices the product is better left to a library:
`send_vectors` is what comes before it, `receive_vectors` what comes after, and `run_vectors` then
repeats the vectors that exceeded the bound.
"""

import numpy as np

from rpusim.kernels.team import meet, member, members
from rpusim.periphery.passage import APART, APART_DIGITAL, ONE, SLICES, settings_at
from rpusim.periphery.passes import (
    ABSOLUTE,
    EXCEEDED,
    FINE,
    NEGATIVE,
    NEGATIVE_ABSOLUTE,
    NEGATIVE_VARIANCE,
    NOT_FINITE,
    VARIANCE,
)
from rpusim.periphery.stages import (
    CURRENT,
    INPUTS_CLIPPED,
    OUTPUTS_CLIPPED,
    REDUCTION,
    ROUND,
    SCALE,
    STATUS,
)
from rpusim.periphery.vector_stages import (
    convert_vector,
    drop_along,
    multiply_vector,
    offset_vector,
    send_vector,
    shake_vector,
    take_part,
)
from rpusim.periphery.vectors import given_back

__all__ = [
    "give_vector",
    "note_inputs",
    "note_outputs",
    "receive_vectors",
    "rooms",
    "run_vectors",
    "send_vectors",
    "sum_part",
]

NAN = float("nan")


def run_vectors(
    begin, end, start, rounds, x, matrix, derived, transposed, values, lines, digital, first, k0,
    k1, y, report, masks, room,
):  # fmt: skip
    """Compute vectors `begin`..`end`, round after round until they do not exceed the bound.

    Parameters
    ----------
    begin, end : int
        Range of vectors.
    start, rounds : int
        First round (if it is not 0, of those vectors that exceeded the bound before) and last one.
    x, matrix, derived, transposed, values, lines, digital, first, k0, k1, y, report, masks
        As for `rpusim.periphery.passes.pass_panels`.
    room : tuple of ndarray
        Memory to work in, see `rooms`.

    Returns
    -------
    int
        The worst of what became of a vector.
    """
    worst, s = FINE, settings_at(values)
    for row in range(begin, end):
        turn, status = start, EXCEEDED
        if start > 0:
            status = int(report[row, STATUS])
        while status == EXCEEDED and turn <= rounds:
            status = pass_vector(
                row, turn, x, matrix, derived, transposed, s, lines, digital, first + row, k0, k1,
                y[row], report, masks, room,
            )  # fmt: skip
            turn += 1
        worst = max(worst, status)
    return worst


def pass_vector(
    row, turn, x, matrix, derived, transposed, s, lines, digital, number, k0, k1, out, report,
    masks, room,
):  # fmt: skip
    """Take a vector through all stages once; return what became of it."""
    panel, work, aux = room[0][row], room[1][row], room[2][row]
    whole, current, lost = room[3][row], room[4][row], room[5][row]
    n, status, clipped = panel.size, FINE, np.float32(0.0)
    most, parts = np.float32(0.0), int(s.parts)
    finite, alpha, reduction, sent = send_vector(
        row, turn, number, x, report[row, SCALE], panel, s, k0, k1, masks
    )
    if not finite:
        status = NOT_FINITE
    elif s.perfect > 0.0:
        multiply_vector(panel, matrix, transposed, out)
    else:
        for part in range(parts):
            read, place, w = panel, np.float32(1.0), matrix
            absolute, variance = derived[ABSOLUTE], derived[VARIANCE]
            if s.passes != ONE:
                place = take_part(panel, work, part, number, turn, s, k0, k1)
                read = work
                if s.passes != SLICES and part == 0 and derived[NEGATIVE].size > 0:
                    w, absolute = derived[NEGATIVE], derived[NEGATIVE_ABSOLUTE]
                    variance = derived[NEGATIVE_VARIANCE]
            multiply_vector(read, w, transposed, out)
            if s.wire > 0.0:
                a = drop_along(read, aux, absolute, w, transposed, out, current, lost, s)
                most = max(most, a)
            if s.offsets > 0.0:
                offset_vector(read, out, lines, s)
            if s.variance > 0.0 or s.w_noise > 0.0:
                shake_vector(
                    read, aux, variance, transposed, out, current, part, number, turn, s, k0, k1
                )
            if s.passes == APART:
                sum_part(whole, out, np.float32(1.0), part, parts)
            if s.passes != APART or part == parts - 1:
                adc = 0 if s.passes == APART else part
                over, beyond = convert_vector(
                    row, n, out, adc, number, turn, lines, s, k0, k1, masks
                )
                clipped += beyond
                status = EXCEEDED if over else status
            if s.passes == SLICES or s.passes == APART_DIGITAL:
                sum_part(whole, out, place, part, parts)
    note_inputs(report, row, turn, alpha, reduction, sent)
    note_outputs(report, row, status, clipped, most)
    give_vector(out, s.out_scale * alpha * reduction, status, digital)
    return status


def send_vectors(begin, end, x, values, first, k0, k1, panel, report, masks):
    """Fill rows `begin`..`end` of `panel` with vectors behind the DAC, and `report` on these."""
    s = settings_at(values)
    for row in range(begin, end):
        finite, alpha, reduction, sent = send_vector(
            row, 0, first + row, x, report[row, SCALE], panel[row], s, k0, k1, masks
        )
        note_inputs(report, row, 0, alpha, reduction, sent)
        status = FINE if finite else NOT_FINITE
        note_outputs(report, row, status, np.float32(0.0), np.float32(0.0))
    return 0


def receive_vectors(
    begin, end, variance, values, lines, digital, first, k0, k1, panel, y, report, masks
):
    """Take rows `begin`..`end` of `y`, products of one pass without wires, through the ADC."""
    s = settings_at(values)
    for row in range(begin, end):
        read, out, status = panel[row], y[row], int(report[row, STATUS])
        factor = s.out_scale * report[row, SCALE] * report[row, REDUCTION]
        meet()
        if status == FINE and s.perfect == 0.0:
            if s.offsets > 0.0:
                offset_vector(read, out, lines, s)
            if s.w_noise > 0.0:
                shake_vector(read, read, variance, False, out, out, 0, first + row, 0, s, k0, k1)
            over, clipped = convert_vector(
                row, read.size, out, 0, first + row, 0, lines, s, k0, k1, masks
            )
            status = EXCEEDED if over else FINE
            note_outputs(report, row, status, clipped, np.float32(0.0))
        give_vector(out, factor, status, digital)
    return 0


def sum_part(whole, out, place, part, parts):
    """Add the results of one pass, times their place value; the last one receives the sum."""
    for i in range(member(), out.size, members()):
        a = place * out[i] if part == 0 else whole[i] + place * out[i]
        whole[i] = a
        if part == parts - 1:
            out[i] = a
    meet()


def note_inputs(report, row, turn, alpha, reduction, clipped):
    """Report how a vector was sent."""
    if member() == 0:
        report[row, SCALE], report[row, REDUCTION] = alpha, reduction
        report[row, INPUTS_CLIPPED], report[row, ROUND] = clipped, turn


def note_outputs(report, row, status, clipped, current):
    """Report what became of a vector."""
    if member() == 0:
        report[row, STATUS], report[row, OUTPUTS_CLIPPED] = status, clipped
        report[row, CURRENT] = current


def give_vector(out, factor, status, digital):
    """Scale results back; those of a vector that is not finite are NaN."""
    for i in range(member(), out.size, members()):
        out[i] = NAN if status == NOT_FINITE else given_back(out[i], factor, digital, i)
    meet()


def rooms(passage, batch, n, m, derived, empty):
    """Return memory for `run_vectors`: arrays with a row for each vector.

    Parameters
    ----------
    passage : Passage
        Settings.
    batch, n, m : int
        Numbers of vectors, inputs and outputs.
    derived : tuple of ndarray
        As the kernel takes it.
    empty : callable
        ``empty(shape, dtype)`` returns an array.
    """
    several, noisy = passage.parts > 1.0, passage.variance > 0.0 or passage.w_noise > 0.0
    wired = passage.wire > 0.0
    inputs = (True, several, wired or passage.variance > 0.0)
    outputs = (several, wired or noisy, wired)
    widths = [n * used for used in inputs] + [m * used for used in outputs]
    return tuple(empty((batch, width), np.float32) for width in widths)
