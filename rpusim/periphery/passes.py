"""The kernel of the noisy product: panels of vectors through all stages.

The equations stand in `rpusim.periphery.mvm`, the stages in `rpusim.periphery.stages`.
"""

import numpy as np

from rpusim.kernels.product import LANES, multiply_panel
from rpusim.periphery.passage import APART, APART_DIGITAL, ONE, SLICES, settings_at
from rpusim.periphery.stages import (
    add_input_noise,
    add_weight_noise,
    convert_inputs,
    convert_outputs,
    drop_voltage,
    offset_lines,
    take_pass,
)
from rpusim.periphery.vectors import add_part, give_results, pick_vectors, scale_inputs

__all__ = ["EXCEEDED", "FINE", "NOT_FINITE", "pass_panels"]

FINE, EXCEEDED, NOT_FINITE = 0, 1, 2  # what became of a vector
# places of derived matrices: magnitudes and variances of the weights, the weights that negative
# inputs see, and the same of these
ABSOLUTE, VARIANCE, NEGATIVE, NEGATIVE_ABSOLUTE, NEGATIVE_VARIANCE = 0, 1, 2, 3, 4


def pass_panels(
    begin, end, rows, x, matrix, derived, transposed, values, lines, digital, first, turn, k0, k1,
    y, report, masks,
):  # fmt: skip
    """Compute panels `begin`..`end` of the vectors in `rows`, in round `turn`.

    Parameters
    ----------
    begin, end : int
        Range of panels.
    rows : ndarray of int
        Which vectors.
    x : ndarray of shape (batch, n)
        All vectors.
    matrix, derived : ndarray of shape (rows, cols), tuple of five more, empty if not needed
        The weights, and what follows from them: ABSOLUTE, ....
    transposed : bool
        Whether to multiply with their transpose.
    values : ndarray
        Settings, see `settings_at`.
    lines : ndarray of shape (4, m), or empty
        Parameters of each output line.
    digital : ndarray of shape (2, m)
        Digital factor and summand of each output.
    first, turn, k0, k1 : int
        Number of vector 0, round, key.
    y, report, masks : ndarray of shape (batch, m), (batch, REPORT), (batch, n + m) or empty
        Receive results, what became of each vector, and what was clipped.

    Returns
    -------
    int
        The worst of what became of a vector.
    """
    status = FINE
    s = settings_at(values)
    n, m = x.shape[1], digital.shape[1]
    parts = int(s.parts) if s.perfect == 0.0 else 1
    extra = s.wire > 0.0 or s.variance > 0.0 or s.w_noise > 0.0
    panel, out = np.empty(n * LANES, np.float32), np.empty(m * LANES, np.float32)
    work = np.empty(n * LANES if parts > 1 else 0, np.float32)
    total = np.empty(m * LANES if parts > 1 else 0, np.float32)
    aux = np.empty(n * LANES if extra else 0, np.float32)
    more = np.empty((3, (m + LANES) * LANES if extra else 0), np.float32)
    scratch = np.empty((m + LANES) * LANES if transposed else 0, np.float32)
    number, picked = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    scale, factor = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    z, u = np.zeros((2, 4, LANES), np.float32)
    span = np.zeros((2, LANES), np.float32)
    for p in range(begin, end):
        start = p * LANES
        used = min(LANES, rows.size - start)
        lanes = LANES if 2 * used > LANES else LANES // 2
        pick_vectors(rows, start, used, lanes, first, picked, number)
        # 1. scale
        scale_inputs(panel, lanes, used, picked, x, turn, scale, factor, s, report, masks)
        if s.perfect > 0.0:
            multiply_panel(panel, lanes, matrix, transposed, out, scratch)
        else:
            # 2. DAC
            convert_inputs(panel, lanes, n, used, picked, number, turn, u, s, k0, k1, report, masks)
            if s.passes != SLICES:
                add_input_noise(panel, lanes, n, 0, number, turn, z, s, k0, k1)
            for part in range(parts):
                # 3. product
                read, place, w = panel, np.float32(1.0), matrix
                absolute, variance = derived[ABSOLUTE], derived[VARIANCE]
                if s.passes != ONE:
                    place = take_pass(panel, work, lanes, n, part, s)
                    read = work
                    if s.passes == SLICES:
                        add_input_noise(work, lanes, n, part, number, turn, z, s, k0, k1)
                    elif part == 0 and derived[NEGATIVE].size > 0:
                        w, absolute = derived[NEGATIVE], derived[NEGATIVE_ABSOLUTE]
                        variance = derived[NEGATIVE_VARIANCE]
                multiply_panel(read, lanes, w, transposed, out, scratch)
                # 4. wires, lines, weight noise
                if s.wire > 0.0:
                    drop_voltage(
                        read, aux, lanes, absolute, w, transposed, out, more, s, used, picked,
                        report,
                    )  # fmt: skip
                if s.offsets > 0.0:
                    offset_lines(read, lanes, out, lines, s)
                if s.variance > 0.0 or s.w_noise > 0.0:
                    add_weight_noise(
                        read, aux, lanes, variance, transposed, out, more, part, number, turn, z, s,
                        k0, k1,
                    )  # fmt: skip
                # 5. ADC, of each pass or of their sum
                last = part == parts - 1
                if s.passes == APART:
                    add_part(total, out, m * lanes, np.float32(1.0), part)
                    if last:
                        out[: m * lanes] = total[: m * lanes]
                if s.passes != APART or last:
                    adc = 0 if s.passes == APART else part
                    convert_outputs(
                        out, lanes, m, adc, used, picked, number, turn, z, u, span, lines, s, k0,
                        k1, report, masks, n,
                    )  # fmt: skip
                    if s.passes == SLICES or s.passes == APART_DIGITAL:
                        add_part(total, out, m * lanes, place, part)
                        if last:
                            out[: m * lanes] = total[: m * lanes]
        status = max(status, give_results(out, lanes, used, picked, factor, digital, y, report))
    return status
