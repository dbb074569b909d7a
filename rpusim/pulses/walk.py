"""The pulsed update, pulse by pulse: coincidences become moved weights.

Every coincidence is one pulse of the device's law, in the order of the slots; pulses of different
crosspoints do not affect each other, so the crosspoints of a row that have about as many pulses
are worked on together.

The free names `advance`, `prepare`, `split_tables`, `load`, `save`, `FIELDS`, `DRAWS`, `PER_BLOCK`
and `TABLES` (the law) and `coincide` (the pulse type) are bound to what a crossbar is made of; see
`rpusim.kernels.law` and `rpusim.pulses.trains`.
"""

import numpy as np

from rpusim.kernels.bind import apart
from rpusim.kernels.law import FIRST, LANES
from rpusim.kernels.random import normal_pair, philox
from rpusim.pulses.lineup import (
    RUN,
    firing,
    gather,
    gather_word,
    sort_by_number,
    transposed,
)
from rpusim.pulses.trains import SLOTS

__all__ = ["fields", "normals_of_block", "walk_lanes", "walk_rows", "workspace"]

PART, PART_FULL = 28, (1 << 28) - 1  # and those that a lane holds, in 32 bits
# of the law: normals per pulse, pulses per block, rows of fields, whether it reads tables
DRAWS, PER_BLOCK, FIELDS, TABLES = 1, 4, 2, False


def advance(w, sign, local, tables, c, active, z0, z1, z2, z3):
    """Stand for the law: return the weight after one pulse if `active`, else `w`."""
    raise NotImplementedError


def prepare(local, model):
    """Stand for copying the law's numbers of the configuration to all lanes."""
    raise NotImplementedError


def split_tables(model):
    """Stand for the tables of the configuration as a tuple of arrays."""
    raise NotImplementedError


def load(local, planes, i, j, c):
    """Stand for copying the law's fields of a crosspoint to lane `c`."""
    raise NotImplementedError


def save(local, planes, i, j, c):
    """Stand for copying the law's state back."""
    raise NotImplementedError


def one_pulse(w, rises, active, local, tables, c, z0, z1, z2, z3):
    """Return the weight after one pulse, up if `rises`, or as it was if not `active`."""
    sign = np.float32(1.0) if rises else np.float32(-1.0)
    return advance(w, sign, local, tables, c, active, z0, z1, z2, z3)


def normals_of_block(i, j, step, block, k0, k1, whole):
    """Return the normals of a Philox block, the last two only if the `whole` block is needed."""
    z0 = z1 = z2 = z3 = np.float32(0.0)
    if DRAWS > 0:
        r0, r1, r2, r3 = philox(i, j, step, block, k0, k1)
        z0, z1 = normal_pair(r0, r1)
        if DRAWS == 4 or whole:
            z2, z3 = normal_pair(r2, r3)
    return z0, z1, z2, z3


def pulse_block(w, rises, n, local, tables, c, z0, z1, z2, z3, whole):
    """Apply the first of `n` pulses, as many as a Philox block has normals for.

    Bit r of `rises`: pulse r goes up. Unless `whole`, it is known that n does not exceed half of
    what a block has normals for.
    """
    w = one_pulse(w, rises & 1 != 0, n > 0, local, tables, c, z0, z1, z2, z3)
    if DRAWS < 2:
        w = one_pulse(w, rises & 2 != 0, n > 1, local, tables, c, z1, z1, z1, z1)
        if whole:
            w = one_pulse(w, rises & 4 != 0, n > 2, local, tables, c, z2, z2, z2, z2)
            w = one_pulse(w, rises & 8 != 0, n > 3, local, tables, c, z3, z3, z3, z3)
    elif DRAWS == 2 and whole:
        w = one_pulse(w, rises & 2 != 0, n > 1, local, tables, c, z2, z3, z2, z3)
    return w


def walk_rows(begin, end, w, planes, model, xw, xs, dw, ds, offsets, step, keys, hits, counts):
    """Apply a chunk's pulses to rows `begin`..`end`.

    Columns are taken in order of their number of pulses, `LANES` at a time, so that lanes finish
    together.

    Parameters
    ----------
    begin, end : int
        The rows.
    w : ndarray of shape (rows, cols)
        Weights, float32, changed in place.
    planes : ndarray of shape (names, rows, cols)
        Parameters and state of the devices.
    model : ndarray of float32
        Parameters common to all devices.
    xw, xs, dw, ds : ndarray of shape (words, lines)
        Words and signs of both sides, see `rpusim.pulses.trains`.
    offsets : ndarray of shape (words,)
        For `coincide`.
    step : int
        Number of this chunk, by which draws are keyed.
    keys : ndarray of int64, shape (4,)
        Keys for the normals of sums and of pulses.
    hits : ndarray of shape (rows, cols) or (0, 0)
        Set to 1 where a pulse fell.
    counts : ndarray of shape (rows, 2)
        Pulses up and down are added.
    """
    cols, words = w.shape[1], xw.shape[0]
    room = workspace(cols, words, model)
    number, rises = room[0], room[1]
    xt, st = transposed(xw), transposed(xs)
    d, minus = np.empty(words, dw.dtype), np.empty(words, np.int64)
    first, last = firing(xw)
    for i in range(begin, end):
        low, high = words, 0  # outside no slot of this row fires
        for q in range(words):
            d[q], minus[q] = dw[q, i], ds[q, i]
            if d[q] != 0:
                low, high = min(low, q), q + 1
        if high == 0:
            continue
        n_up, n_all = 0, 0
        if high - low == 1 and last - first == cols:
            n_all, n_up = gather_word(
                xw[low], xs[low], d[low], minus[low], offsets[low], rises, number
            )
        else:
            for j in range(first, last):
                n, up = gather(j, low, high, xt, st, d, minus, offsets, rises)
                number[j] = n
                n_all += n
                n_up += up
        counts[i, 0] += n_up
        counts[i, 1] += n_all - n_up
        if n_all > 0:
            walk_lanes(i, first, last, w, planes, step, keys, hits, room)
    return 0


def fields(model):
    """Return the array for the law's fields, with the numbers of the configuration in it."""
    local = np.ones((FIRST + FIELDS) * LANES, np.float32)
    prepare(local, model)
    return local


def workspace(cols, words, model):
    """Return the arrays that `walk_lanes` works in: pulses by column, which rise, and others."""
    number, order = np.zeros(cols, np.int64), np.empty((3, cols + 1), np.int64)
    rises = np.empty((cols, words + words // 8 + 2), np.int64)
    place = np.empty(words * SLOTS + 2, np.int64)
    lanes, noise = np.zeros(3 * LANES, np.int32), np.zeros(4 * LANES, np.float32)
    local, tables = fields(model), split_tables(model)
    return number, rises, order, place, local, lanes, noise, tables


@apart
def walk_lanes(i, first, last, w, planes, step, keys, hits, room):
    """Apply what `gather` lined up for row `i`, columns `first`..`last`, `LANES` at a time."""
    number, rises, order, place, local, lanes, noise, tables = room
    k0, k1 = keys[2], keys[3]
    active = sort_by_number(number, first, last, order, place)
    for start in range(0, active, LANES):
        size, longest = min(LANES, active - start), 0
        for c in range(LANES):
            j = order[0, start + min(c, size - 1)]
            lanes[c] = j
            lanes[LANES + c] = number[j] if c < size else 0
            longest = max(longest, number[j])
            lanes[2 * LANES + c] = rises[j, 0] & PART_FULL
            local[c] = w[i, j]
            load(local, planes, i, j, c)
        for block in range((longest + PER_BLOCK - 1) // PER_BLOCK):
            done = block * PER_BLOCK
            if block > 0 and done % PART == 0:
                for c in range(LANES):
                    part = rises[lanes[c], done // RUN] >> (done % RUN)
                    lanes[2 * LANES + c] = part & PART_FULL
            if 2 * (longest - done) > PER_BLOCK:
                pulse_lanes(i, local, tables, lanes, noise, done, step, block, k0, k1, True)
            else:
                pulse_lanes(i, local, tables, lanes, noise, done, step, block, k0, k1, False)
            for c in range(LANES):
                lanes[2 * LANES + c] >>= PER_BLOCK
        for c in range(size):
            w[i, lanes[c]] = local[c]
            save(local, planes, i, lanes[c], c)
        if hits.size > 0:
            for c in range(size):
                hits[i, lanes[c]] = 1


def pulse_lanes(i, local, tables, lanes, noise, done, step, block, k0, k1, whole):
    """Apply one block of pulses to every lane, of which `done` pulses are behind it."""
    for c in range(LANES):
        z0, z1, z2, z3 = normals_of_block(i, lanes[c], step, block, k0, k1, whole)
        if TABLES:
            noise[c], noise[LANES + c] = z0, z1
            noise[2 * LANES + c], noise[3 * LANES + c] = z2, z3
        else:
            left, rises = lanes[LANES + c] - done, lanes[2 * LANES + c]
            local[c] = pulse_block(local[c], rises, left, local, tables, c, z0, z1, z2, z3, whole)
    if TABLES:
        pulse_lanes_in_turn(local, tables, lanes, noise, done, whole)


def pulse_lanes_in_turn(local, tables, lanes, noise, done, whole):
    """Apply one block of pulses of a law that reads tables.

    A look-up keeps the compiler from working on several lanes at once; so that the processor can,
    the first pulse of every lane comes first, then the second.
    """
    for r in range(PER_BLOCK if whole else (PER_BLOCK + 1) // 2):
        second = DRAWS * r + (1 if DRAWS > 1 else 0)
        for c in range(LANES):
            z0, z1 = noise[DRAWS * r * LANES + c], noise[second * LANES + c]
            z2, z3 = noise[2 * LANES + c], noise[3 * LANES + c]  # of a law with four draws
            rises, active = lanes[2 * LANES + c] >> r & 1 != 0, lanes[LANES + c] - done > r
            local[c] = one_pulse(local[c], rises, active, local, tables, c, z0, z1, z2, z3)
