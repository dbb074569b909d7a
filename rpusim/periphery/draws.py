"""What a product draws: each draw by the vector's number, line, pass, stage and round.

A counter's words are a quarter of the line's number, the pass, the vector's number, and stage +
STAGES * round; the upper half of the vector's number goes into the key.
"""

import math

import numpy as np

from rpusim.kernels.random import normals4, philox, uniform

__all__ = ["dithers", "noise_of", "normals"]

MASK = 0xFFFFFFFF
INPUT_NOISE, INPUT_ROUND, WEIGHT_NOISE, OUTPUT_NOISE, OUTPUT_ROUND, STAGES = 0, 1, 2, 3, 4, 8


def normals(line, part, sample, turn, stage, k0, k1):
    """Return four standard normals for lines 4 * `line`.. of a vector in one pass and round."""
    return normals4(line, part, sample & MASK, stage + STAGES * turn, k0, k1 ^ (sample >> 32))


def dithers(line, part, sample, turn, stage, k0, k1):
    """Return four dithers in (-1/2, 1/2] for lines 4 * `line`.. of a vector in one pass."""
    stage = stage + STAGES * turn
    r0, r1, r2, r3 = philox(line, part, sample & MASK, stage, k0, k1 ^ (sample >> 32))
    return uniform(r0) - 0.5, uniform(r1) - 0.5, uniform(r2) - 0.5, uniform(r3) - 0.5


def noise_of(variance, z):
    """Return a normal of this variance from a standard one."""
    return np.float32(math.sqrt(variance)) * z
