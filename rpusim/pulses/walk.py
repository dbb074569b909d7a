"""The pulsed update, pulse by pulse: coincidences become moved weights.

Every coincidence is one pulse of the device's law, in the order of the slots; pulses of different
crosspoints do not affect each other, so the crosspoints of a row that have about as many pulses are worked on
together.

The free names `advance`, `load`, `save`, `FIELDS`, `DRAWS` and `PER_BLOCK` (the law) and `coincide` (the pulse
type) are bound to what a crossbar is made of; see `rpusim.kernels.law` and `rpusim.pulses.trains`.
"""

import numpy as np

from rpusim.kernels.law import FIRST, LANES
from rpusim.kernels.primitives import compress, popcount
from rpusim.kernels.random import normals4
from rpusim.pulses.trains import SLOTS

__all__ = ["gather", "walk_lanes", "walk_plainly", "walk_rows", "workspace"]

RUN, RUN_FULL = (
    60,
    (1 << 60) - 1,
)  # pulses whose directions share a word: whole blocks, never negative
DRAWS, PER_BLOCK, FIELDS = 1, 4, 2  # of the law: normals per pulse, pulses per block, fields


def advance(w, sign, local, model, c, active, z0, z1, z2, z3):
    """Stand for the law: return the weight after one pulse if `active`, else `w`."""
    raise NotImplementedError


def load(local, planes, i, j, c):
    """Stand for copying the law's fields of a crosspoint to lane `c`."""
    raise NotImplementedError


def save(local, planes, i, j, c):
    """Stand for copying the law's state back."""
    raise NotImplementedError


def coincide(x, d, offset):
    """Stand for the slots in which both lines fire."""
    raise NotImplementedError


def one_pulse(w, rises, active, local, model, c, z0, z1, z2, z3):
    """Return the weight after one pulse, up if `rises`, or as it was if not `active`."""
    sign = np.float32(1.0) if rises else np.float32(-1.0)
    return advance(w, sign, local, model, c, active, z0, z1, z2, z3)


def pulse_block(w, rises, n, local, model, c, i, j, step, block, k0, k1):
    """Apply the first of `n` pulses, as many as a Philox block has normals for; bit r of `rises`: r goes up."""
    if DRAWS == 0:
        z0 = z1 = z2 = z3 = np.float32(0.0)
    else:
        z0, z1, z2, z3 = normals4(i, j, step, block, k0, k1)
    w = one_pulse(w, rises & 1 != 0, n > 0, local, model, c, z0, z1, z2, z3)
    if DRAWS == 2:
        w = one_pulse(w, rises & 2 != 0, n > 1, local, model, c, z2, z3, z2, z3)
    elif DRAWS < 2:
        w = one_pulse(w, rises & 2 != 0, n > 1, local, model, c, z1, z1, z1, z1)
        w = one_pulse(w, rises & 4 != 0, n > 2, local, model, c, z2, z2, z2, z2)
        w = one_pulse(w, rises & 8 != 0, n > 3, local, model, c, z3, z3, z3, z3)
    return w


def walk(w, rises, n, local, model, c, i, j, step, block, k0, k1):
    """Apply `n` pulses to one crosspoint; their normals start at `block`."""
    while n > 0:
        w = pulse_block(w, rises, n, local, model, c, i, j, step, block, k0, k1)
        rises >>= PER_BLOCK
        n -= PER_BLOCK
        block += 1
    return w


def walk_plainly(i, j, w, planes, model, xw, xs, dw, ds, offsets, step, keys, hits, counts):
    """Apply a chunk's pulses to one crosspoint: what `walk_rows` does, for one (i, j)."""
    rises = n = 0
    for q in range(xw.shape[1]):
        live = int(coincide(xw[j, q], dw[i, q], offsets[q]))
        up = live & int(xs[j, q] ^ ds[i, q])
        rises |= compress(up, live) << n
        n += popcount(live)
        counts[i, 0] += popcount(up)
        counts[i, 1] += popcount(live ^ up)
    if n > 0:
        local = np.ones((FIRST + FIELDS) * LANES, np.float32)
        load(local, planes, i, j, 0)
        k0, k1 = int(keys[2]), int(keys[3])
        w[i, j] = walk(w[i, j], rises, n, local, model, 0, i, j, step, 0, k0, k1)
        save(local, planes, i, j, 0)
        if hits.size > 0:
            hits[i, j] = 1


def walk_rows(begin, end, w, planes, model, xw, xs, dw, ds, offsets, step, keys, hits, counts):
    """Apply a chunk's pulses to rows `begin`..`end`.

    Columns are taken in order of their number of pulses, `LANES` at a time, so that lanes finish together.

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
    xw, xs, dw, ds : ndarray of shape (lines, words)
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
    cols = w.shape[1]
    number, rises, order, place, local, lanes = workspace(cols, xw.shape[1])
    for i in range(begin, end):
        for j in range(cols):
            number[j], n_up = gather(i, j, xw, xs, dw, ds, offsets, rises)
            counts[i, 0] += n_up
            counts[i, 1] += number[j] - n_up
        walk_lanes(i, w, planes, model, step, keys, hits, number, rises, order, place, local, lanes)
    return 0


def workspace(cols, words):
    """Return the arrays that `walk_lanes` works in."""
    most = words * SLOTS // PER_BLOCK + 2  # blocks of one crosspoint, at most
    number, order = np.empty(cols, np.int64), np.empty(cols, np.int64)
    rises, place = np.empty((cols, words + words // 30 + 2), np.int64), np.empty(most, np.int64)
    local, lanes = np.ones((FIRST + FIELDS) * LANES, np.float32), np.zeros(3 * LANES, np.int64)
    return number, rises, order, place, local, lanes


def gather(i, j, xw, xs, dw, ds, offsets, rises):
    """Line up the pulses of a crosspoint: which rise, `RUN` to a word; return (number, number that rise)."""
    n, n_up, word, room, kept = 0, 0, 0, RUN, 0
    for q in range(xw.shape[1]):
        live = coincide(xw[j, q], dw[i, q], offsets[q])
        if live != 0:
            up = live & (xs[j, q] ^ ds[i, q])
            n_up += popcount(up)
            bits, m = compress(up, live), popcount(live)
            n += m
            kept |= (bits << (RUN - room)) & RUN_FULL
            while m >= room:
                rises[j, word] = kept
                word += 1
                bits >>= room
                m -= room
                room = RUN
                kept = bits & RUN_FULL
            room -= m
    rises[j, word] = kept
    return n, n_up


def walk_lanes(i, w, planes, model, step, keys, hits, number, rises, order, place, local, lanes):
    """Apply the pulses that `gather` lined up for the columns of row `i`, `LANES` columns at a time."""
    k0, k1 = keys[2], keys[3]
    active = sort_by_blocks(number, order, place)
    for start in range(0, active, LANES):
        size = min(LANES, active - start)
        for c in range(LANES):
            j = order[start + min(c, size - 1)]
            lanes[c] = j
            lanes[LANES + c] = number[j] if c < size else 0
            local[c] = w[i, j]
            load(local, planes, i, j, c)
        longest = lanes[LANES + size - 1]
        for block in range((longest + PER_BLOCK - 1) // PER_BLOCK):
            if block * PER_BLOCK % RUN == 0:
                for c in range(LANES):
                    lanes[2 * LANES + c] = rises[lanes[c], block * PER_BLOCK // RUN]
            for c in range(LANES):
                local[c] = pulse_block(
                    local[c], lanes[2 * LANES + c], lanes[LANES + c] - block * PER_BLOCK,
                    local, model, c, i, lanes[c], step, block, k0, k1,
                )  # fmt: skip
                lanes[2 * LANES + c] >>= PER_BLOCK
        for c in range(size):
            w[i, lanes[c]] = local[c]
            save(local, planes, i, lanes[c], c)
            if hits.size > 0:
                hits[i, lanes[c]] = 1


def sort_by_blocks(number, order, place):
    """Fill `order` with the columns that have pulses, by rising number of blocks; return how many."""
    place[:] = 0
    for j in range(number.size):
        place[(number[j] + PER_BLOCK - 1) // PER_BLOCK] += 1
    active = 0
    for b in range(1, place.size):
        count = place[b]
        place[b] = active
        active += count
    for j in range(number.size):
        b = (number[j] + PER_BLOCK - 1) // PER_BLOCK
        if b > 0:
            order[place[b]] = j
            place[b] += 1
    return active
