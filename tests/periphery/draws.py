"""The draws of a tile's products, from the documented counters, as the naive product takes them."""

import numpy as np

from rpusim.kernels.bind import bind
from rpusim.kernels.random import normals4, philox, uniform
from rpusim.kernels.streams import Purpose, Streams

__all__ = ["draws_of", "phases_of"]

INPUT_NOISE, INPUT_ROUND, WEIGHT_NOISE, OUTPUT_NOISE, OUTPUT_ROUND = range(5)
STAGES = 8  # per round


def phases_of(io):
    """Return how many passes a product has."""
    kind = io.mv_type.name
    return {"ONE_PASS": 1, "SPLIT_MODE": 2, "BIT_WISE": io.bits - 1}.get(kind, 2)


def draws_of(io, seed, rounds, shape, first=0, backward=False):
    """Return the draws of vectors `first`.. of a tile made with this seed.

    Parameters
    ----------
    shape : (int, int, int)
        Vectors, inputs, outputs of a product in this direction.
    """
    key = Streams(seed).key(Purpose.BACKWARD if backward else Purpose.FORWARD)
    batch, n, m = shape
    normals, words, dither = (
        bind(normals4, "python"),
        bind(philox, "python"),
        bind(uniform, "python"),
    )

    def dithers(*counter):
        return [dither(word) - 0.5 for word in words(*counter)]

    def array(stage, lines, phases, block):
        out = np.empty((rounds, batch, phases, -(-lines // 4), 4))
        for turn, b, phase, line in np.ndindex(out.shape[:4]):
            out[turn, b, phase, line] = block(line, phase, first + b, stage + STAGES * turn, *key)
        return out.reshape(rounds, batch, phases, -1)[..., :lines]

    phases = phases_of(io)
    sliced = io.mv_type.name in ("SPLIT_MODE", "BIT_WISE")
    draws = {}
    if io.inp_noise:
        draws["inp_noise"] = array(INPUT_NOISE, n, phases if sliced else 1, normals)
    if io.inp_sto_round:
        draws["inp_round"] = array(INPUT_ROUND, n, 1, dithers)
    if io.w_noise or io.read_noise is not None:
        draws["w_noise"] = array(WEIGHT_NOISE, m, phases, normals)
    if io.out_noise:
        draws["out_noise"] = array(OUTPUT_NOISE, m, phases, normals)
    if io.out_sto_round:
        draws["out_round"] = array(OUTPUT_ROUND, m, phases, dithers)
    return draws
