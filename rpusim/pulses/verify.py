r"""Single devices read and pulsed: what a closed loop does to those that are not yet right.

One read of a device shows :math:`w + \sigma z`; one pulse is one pulse of its law. Devices are
given by number, row by row, and worked on `LANES` at a time. Every draw is counted by crosspoint
and by round of the loop, so it does not depend on which other devices are still in it.

The free names are those of `rpusim.pulses.walk`.
"""

import numpy as np

from rpusim.kernels.law import LANES
from rpusim.kernels.random import normals4
from rpusim.kernels.team import member, members
from rpusim.pulses.walk import fields, load, normals_of_block, one_pulse, save, split_tables

__all__ = ["pulse_places", "read_places"]


def read_places(begin, end, places, seen, goal, errors, std, step, k0, k1):
    """Read devices `begin`..`end` of `places`: ``errors = seen + std * z - goal``."""
    cols = seen.shape[1]
    for p in range(begin + member(), end, members()):
        i, j = int(places[p]) // cols, int(places[p]) % cols
        error = seen[i, j] - goal[i, j]
        if std > 0.0:
            error += std * normals4(i, j, step, 0, k0, k1)[0]
        errors[i, j] = error
    return 0


def pulse_places(begin, end, places, rises, w, planes, model, step, k0, k1):
    """Send one pulse to each of the devices `begin`..`end` of `places`, no two of them the same.

    Parameters
    ----------
    begin, end : int
        Which of them.
    places : ndarray of int64
        Numbers of the devices, row by row.
    rises : ndarray of bool
        Whether the pulse goes up, for each of `places`.
    w : ndarray of shape (rows, cols)
        Weights, float32, changed in place.
    planes : ndarray of shape (names, rows, cols)
        Parameters and state of the devices.
    model : ndarray of float32
        Parameters common to all devices.
    step, k0, k1 : int
        By which the normals are drawn.
    """
    cols = w.shape[1]
    local, tables = fields(model), split_tables(model)
    row, col = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    for start in range(begin, end, LANES):
        size = min(LANES, end - start)
        for c in range(size):
            row[c], col[c] = places[start + c] // cols, places[start + c] % cols
            local[c] = w[row[c], col[c]]
            load(local, planes, row[c], col[c], c)
        for c in range(size):
            i, j = int(row[c]), int(col[c])
            z0, z1, z2, z3 = normals_of_block(i, j, step, 0, k0, k1, False)
            up = rises[start + c]
            local[c] = one_pulse(local[c], up, True, local, tables, c, z0, z1, z2, z3)
        for c in range(size):
            w[row[c], col[c]] = local[c]
            save(local, planes, row[c], col[c], c)
    return 0
