"""Pulse trains one line at a time, vectors of a batch side by side: for a GPU, and plain Python.

The draws and the words are those of `rpusim.pulses.trains`; the words of all chunks stand one after
the other.
"""

import numpy as np

from rpusim.kernels.random import philox
from rpusim.kernels.team import member, members, set_bits
from rpusim.pulses.plan import Plan
from rpusim.pulses.trains import FULL, MASK, SLOTS, chunks, number_of_pulses, quantise

__all__ = ["count_vectors", "fire_vectors", "layout"]


def layout(plan: Plan, counted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the trains of a batch stand.

    Parameters
    ----------
    plan : Plan
        Their lengths.
    counted : bool
        Whether a vector begins a word of its own: for the deterministic types.

    Returns
    -------
    starts : ndarray of int64, shape (batch,)
        First slot of each vector, or first word if `counted`.
    bounds : ndarray of int64, shape (chunks + 1,)
        First word of each chunk, and the number of words.
    offsets : ndarray of int64, shape (words,)
        Pulses of a vector before each of its words, if `counted`.
    """
    length = plan.length.astype(np.int64)
    if counted:
        each = -(-length // SLOTS)
        starts = np.cumsum(each) - each
        bounds = [0, *(int(each[:last].sum()) for _, last, _ in chunks(plan))]
        offsets = (np.arange(each.sum()) - np.repeat(starts, each)) * SLOTS
        return starts, np.array(bounds, np.int64), offsets
    starts, bounds = np.zeros(len(length), np.int64), [0]
    for first, last, slots in chunks(plan):
        before = np.cumsum(length[first:last]) - length[first:last]
        starts[first:last] = bounds[-1] * SLOTS + before
        bounds.append(bounds[-1] - (-slots // SLOTS))
    return starts, np.array(bounds, np.int64), np.zeros(bounds[-1], np.int64)


def fire_vectors(
    begin, end, x, d, table, starts, first, keys, sto_round, x_res, d_res, xw, xs, dw, ds
):
    """Draw the stochastic trains of vectors `begin`..`end`, both sides."""
    n, m = x.shape[1], d.shape[1]
    for b in range(begin, end):
        slots, start = int(table[0, b]), starts[b]
        sample, high = (first + b) & MASK, (first + b) >> 32
        if slots > 0:
            for j in range(member(), n + m, members()):
                if j < n:
                    p = abs(x[b, j]) * table[1, b]
                    p = quantise(p, x_res, sto_round, j, sample, keys[0], keys[1] ^ high)
                    fire_line(p, j, slots, start, sample, keys[0], keys[1] ^ high, xw)
                    mark_negative(x[b, j], j, slots, start, xs)
                else:
                    i = j - n
                    p = abs(d[b, i]) * table[2, b]
                    p = quantise(p, d_res, sto_round, i, sample, keys[2], keys[3] ^ high)
                    fire_line(p, i, slots, start, sample, keys[2], keys[3] ^ high, dw)
                    mark_negative(d[b, i], i, slots, start, ds)
    return 0


def fire_line(p, j, slots, start, sample, k0, k1, words):
    """Let line `j` fire in each of its slots with probability `p`."""
    t = int(min(p, 1.0) * 4294967296.0 + 0.5)
    for group in range((slots + 3) // 4):
        valid = (1 << min(4, slots - 4 * group)) - 1
        r0, r1, r2, r3 = philox(j, group, sample, 0, k0, k1)
        bits = int(r0 < t) | int(r1 < t) << 1 | int(r2 < t) << 2 | int(r3 < t) << 3
        bits &= valid
        q, shift = (start + 4 * group) // SLOTS, (start + 4 * group) % SLOTS
        if bits != 0:
            set_bits(words, q, j, (bits << shift) & FULL)
        if bits >> (SLOTS - shift) != 0:
            set_bits(words, q + 1, j, bits >> (SLOTS - shift))


def mark_negative(value, j, slots, start, signs):
    """Set the slots of a vector in the signs of line `j` if its value is negative."""
    if value < 0.0:
        stop = start + slots
        for q in range(start // SLOTS, (stop + SLOTS - 1) // SLOTS):
            low, top = max(start - q * SLOTS, 0), min(stop - q * SLOTS, SLOTS)
            set_bits(signs, q, j, ((1 << (top - low)) - 1) << low)


def count_vectors(
    begin, end, x, d, table, starts, first, keys, sto_round, x_res, d_res, implicit, xw, xs, dw, ds
):
    """Fill the numbers whose products, rounded, are the counts of pulses, for both sides."""
    n, m = x.shape[1], d.shape[1]
    for b in range(begin, end):
        slots = int(table[0, b])
        sample, high = (first + b) & MASK, (first + b) >> 32
        for j in range(member(), n + m, members()):
            i = j - n
            if j < n:
                p = abs(x[b, j]) * table[1, b]
                p = quantise(p, x_res, sto_round, j, sample, keys[0], keys[1] ^ high)
                count_line(
                    number_of_pulses(p, slots, implicit, False),
                    x[b, j],
                    j,
                    slots,
                    starts[b],
                    xw,
                    xs,
                )
            else:
                p = abs(d[b, i]) * table[2, b]
                p = quantise(p, d_res, sto_round, i, sample, keys[2], keys[3] ^ high)
                count_line(
                    number_of_pulses(p, slots, implicit, True), d[b, i], i, slots, starts[b], dw, ds
                )
    return 0


def count_line(v, value, j, slots, start, words, signs):
    """Set the words of a vector on one line."""
    for q in range(start, start + (slots + SLOTS - 1) // SLOTS):
        words[q, j] = v
        signs[q, j] = FULL if value < 0.0 else 0
