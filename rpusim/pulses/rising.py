"""The pulsed update of devices that are only ever stepped up: half of the coincidences.

Coincidences that would step down send nothing; each of the others is one up pulse of the device's
law, as in `rpusim.pulses.walk`, whose free names these are. As all pulses are alike, only their
number matters.
"""

import numpy as np

from rpusim.kernels.primitives import popcount
from rpusim.pulses.lineup import RUN_FULL, coincide
from rpusim.pulses.walk import walk_lanes, workspace

__all__ = ["rising_pairs", "rising_rows"]


def rising_pairs(x, d):
    """Return (x, d) of twice as many pairs, whose products are those that raise weights, or 0.

    Raising are pairs of a positive x and a negative d, and the reverse: ``-d x^T > 0``.
    """
    zero = np.float32(0.0)
    xs = np.stack([np.maximum(x, zero), np.minimum(x, zero)], axis=1)
    ds = np.stack([np.minimum(d, zero), np.maximum(d, zero)], axis=1)
    return xs.reshape(-1, x.shape[1]), ds.reshape(-1, d.shape[1])


def rising_rows(begin, end, w, planes, model, xw, xs, dw, ds, offsets, step, keys, hits, counts):
    """Apply a chunk's up pulses to rows `begin`..`end`; see `rpusim.pulses.walk.walk_rows`."""
    cols, words = w.shape[1], xw.shape[0]
    room = workspace(cols, words, model)
    number, rises = room[0], room[1]
    rises[:] = RUN_FULL
    first, last = reach(xw)
    for i in range(begin, end):
        number[:] = 0
        for q in range(words):
            d, minus, offset = dw[q, i], ds[q, i], offsets[q]
            if d != 0:
                for j in range(first[q], last[q]):
                    live = coincide(xw[q, j], d, offset)
                    number[j] += popcount(live & (xs[q, j] ^ minus))
        n = number.sum()
        if n > 0:
            counts[i, 0] += n
            walk_lanes(i, 0, cols, w, planes, step, keys, hits, room)
    return 0


def reach(xw):
    """Return for each word the range of columns that have any slot in it: few, for single lines."""
    words, cols = xw.shape
    first, last = np.zeros(words, np.int64), np.zeros(words, np.int64)
    for q in range(words):
        begin, end = 0, cols
        while begin < end and xw[q, begin] == 0:
            begin += 1
        while end > begin and xw[q, end - 1] == 0:
            end -= 1
        first[q], last[q] = begin, end
    return first, last
