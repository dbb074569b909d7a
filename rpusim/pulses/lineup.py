"""Lining up the pulses of a row: which rise, and columns in order of how many they have.

The free name `coincide` is bound to the pulse type, see `rpusim.pulses.trains`.
"""

import numpy as np

from rpusim.kernels.primitives import compress, popcount

__all__ = ["RUN", "coincide", "gather", "sort_by_number", "transposed"]

RUN, RUN_FULL = 56, (1 << 56) - 1  # pulses whose directions share a word


def coincide(x, d, offset):
    """Stand for the slots in which both lines fire."""
    raise NotImplementedError


def transposed(words):
    """Return a contiguous copy of the transpose."""
    out = np.empty((words.shape[1], words.shape[0]), words.dtype)
    for q in range(words.shape[0]):
        for j in range(words.shape[1]):
            out[j, q] = words[q, j]
    return out


def gather(j, xt, st, d, minus, offsets, rises):
    """Line up the pulses of column `j`: which rise, `RUN` to a word; return (number, rising)."""
    n, n_up, word, held, kept = 0, 0, 0, 0, 0
    for q in range(d.size):
        live = coincide(xt[j, q], d[q], offsets[q])
        up = live & (st[j, q] ^ minus[q])
        bits, m = compress(up, live), popcount(live)
        n += m
        n_up += popcount(up)
        kept |= (bits << held) & RUN_FULL
        while held + m >= RUN:
            rises[j, word] = kept
            word += 1
            bits >>= RUN - held
            m -= RUN - held
            held = 0
            kept = bits & RUN_FULL
        held += m
    rises[j, word] = kept
    return n, n_up


def sort_by_number(number, order, place):
    """Fill `order` with the columns by rising number of pulses, those without at the end.

    Return how many have any.
    """
    place[:] = 0
    for j in range(number.size):
        place[number[j]] += 1
    active = 0
    for n in range(1, place.size):
        count = place[n]
        place[n] = active
        active += count
    place[0] = active
    for j in range(number.size):
        n = number[j]
        order[place[n]] = j
        place[n] += 1
    return active
