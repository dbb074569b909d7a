"""Lining up the pulses of a row: which rise, and columns in order of how many they have.

The free name `coincide` is bound to the pulse type, see `rpusim.pulses.trains`.
"""

import numpy as np

from rpusim.kernels.primitives import compress, popcount

__all__ = ["RUN", "coincide", "firing", "gather", "gather_word", "sort_by_number", "transposed"]

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


def firing(words):
    """Return (first, last): the lines that fire are among them; all lines if they are many."""
    lines = words.shape[1]
    first, last = lines, 0
    for j in range(lines):
        fires = False
        for q in range(words.shape[0]):
            fires = fires or words[q, j] != 0
        if fires:
            first, last = min(first, j), j + 1
    return (0, lines) if 2 * (last - first) > lines else (first, last)


def gather(j, low, high, xt, st, d, minus, offsets, rises):
    """Line up the pulses of column `j` in words `low`..`high`; return (number, rising).

    Which rise stands in `rises`, `RUN` to a word.
    """
    n, n_up, word, held, kept = 0, 0, 0, 0, 0
    for q in range(low, high):
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


def gather_word(x, signs, d, minus, offset, rises, number):
    """Line up the pulses of all columns where one word holds them; return (number, rising)."""
    n_all, n_up = 0, 0
    for j in range(x.size):
        live = coincide(x[j], d, offset)
        up = live & (signs[j] ^ minus)
        m = popcount(live)
        bits = compress(up, live)
        rises[j, 0], rises[j, 1] = bits & RUN_FULL, bits >> RUN
        number[j] = m
        n_all += m
        n_up += popcount(up)
    return n_all, n_up


def sort_by_number(number, first, last, order, place):
    """Fill ``order[0]`` with the columns of `first`..`last` with pulses, roughly by rising number.

    Columns with one or two pulses come first, then those with three or four, unsorted; the others
    are sorted. Return how many there are. The other rows of `order` are room to work in.
    """
    few, some, many = 0, 0, 0
    for j in range(first, last):  # without a jump: which way a column goes is as good as random
        n = number[j]
        order[0, few] = order[1, some] = order[2, many] = j
        few += 1 if 0 < n < 3 else 0
        some += 1 if 2 < n < 5 else 0
        many += 1 if n > 4 else 0
    for k in range(some):
        order[0, few + k] = order[1, k]
    if many > 0:
        place[:] = 0
        for k in range(many):
            place[number[order[2, k]]] += 1
        active = few + some
        for n in range(5, place.size):
            count = place[n]
            place[n] = active
            active += count
        for k in range(many):
            j = order[2, k]
            order[0, place[number[j]]] = j
            place[number[j]] += 1
    return few + some + many
