r"""The pulsed update of laws whose step does not depend on the weight: many pulses at once.

n up and m down pulses with steps :math:`\mu_\pm` and noise :math:`\sigma_\pm` sum to

.. math:: \Delta w = n \mu_+ + m \mu_- + \sqrt{n \sigma_+^2 + m \sigma_-^2}\; z

as long as no bound is met on the way. That one normal is drawn if the worst order of the pulses,
and eight standard deviations of noise, stay clear of both bounds (a miss has probability below
1e-14), or if the actual order, word by word, does. All other crosspoints take their pulses one by
one, as in `rpusim.pulses.walk`. Which way is taken depends on the configuration and the data only.

The free names are those of `rpusim.pulses.walk`, and `unbounded`.
"""

import math

import numpy as np

from rpusim.kernels.bind import apart
from rpusim.kernels.law import FIRST, LANES
from rpusim.kernels.primitives import popcount
from rpusim.kernels.random import normals4
from rpusim.pulses.lineup import coincide, gather, transposed
from rpusim.pulses.walk import load, walk_lanes, workspace

__all__ = ["aggregate_rows", "lower", "path_is_clear", "settle", "unbounded", "upper"]

MARGIN = 8.0  # standard deviations
DRAWS = 1  # of the law: normals per pulse


def unbounded(w, sign, local, tables, c, z):
    """Stand for the law without bounds."""
    raise NotImplementedError


def upper(local, c):
    """Return the upper bound of lane `c`."""
    return local[FIRST * LANES + c]


def lower(local, c):
    """Return the lower bound of lane `c`."""
    return local[(FIRST + 1) * LANES + c]


def steps(n_up, n_down, local, tables, c):
    """Return the mean step up, the mean step down, and the standard deviation of the sum."""
    zero, one = np.float32(0.0), np.float32(1.0)
    rise = unbounded(zero, one, local, tables, c, zero)
    fall = unbounded(zero, -one, local, tables, c, zero)
    rise_std = unbounded(zero, one, local, tables, c, one) - rise
    fall_std = unbounded(zero, -one, local, tables, c, one) - fall
    up, down = np.float32(np.int32(n_up)), np.float32(np.int32(n_down))
    spread = np.float32(math.sqrt(up * rise_std * rise_std + down * fall_std * fall_std))
    return rise, fall, spread


def settle(w, n_up, n_down, z, local, tables, c):
    """Return (weight after all pulses, whether no bound can have been met in any order of them)."""
    rise, fall, spread = steps(n_up, n_down, local, tables, c)
    up, down = np.float32(np.int32(n_up)), np.float32(np.int32(n_down))
    top = w + up * max(rise, 0.0) + down * max(fall, 0.0) + MARGIN * spread
    bottom = w + up * min(rise, 0.0) + down * min(fall, 0.0) - MARGIN * spread
    clear = (top < upper(local, c)) & (bottom > lower(local, c))
    return w + (up * rise + down * fall) + spread * z, clear


@apart
def path_is_clear(w, n_up, n_down, local, tables, c, xw, xs, dw, ds, offsets, begin, end, i, j):
    """Return whether the path through words `begin`..`end` stays clear of both bounds.

    As in `settle`, but only within a word are all orders of the pulses allowed for.
    """
    rise, fall, spread = steps(n_up, n_down, local, tables, c)
    margin = MARGIN * spread
    highest = lowest = mean = w
    for q in range(begin, end):
        live = int(coincide(xw[q, j], dw[q, i], offsets[q]))
        rises = live & int(xs[q, j] ^ ds[q, i])
        up = np.float32(np.int32(popcount(rises)))
        down = np.float32(np.int32(popcount(live ^ rises)))
        highest = max(highest, mean + up * max(rise, 0.0) + down * max(fall, 0.0))
        lowest = min(lowest, mean + up * min(rise, 0.0) + down * min(fall, 0.0))
        mean = mean + (up * rise + down * fall)
    return highest + margin < upper(local, c) and lowest - margin > lower(local, c)


def aggregate_rows(begin, end, w, planes, model, xw, xs, dw, ds, offsets, step, keys, hits, counts):
    """Apply a chunk's pulses of a law whose step does not depend on the weight; see `walk_rows`."""
    cols, words, k0, k1 = w.shape[1], xw.shape[0], keys[0], keys[1]
    padded = (cols + LANES - 1) // LANES * LANES
    blocks = (cols + 3) // 4
    z = np.zeros((4, blocks), np.float32)
    noise = z.reshape(4 * blocks)
    room = workspace(cols, words, model)
    xt, st, dt, mt = transposed(xw), transposed(xs), transposed(dw), transposed(ds)
    number, rises, local, tables = room[0], room[1], room[4], room[7]
    ups, alls = np.zeros(padded, np.int64), np.zeros(padded, np.int64)
    moved, near = np.zeros(LANES, np.float32), np.zeros(LANES, np.int64)
    for i in range(begin, end):
        ups[:] = 0
        alls[:] = 0
        for q in range(words):
            d, minus, offset = dw[q, i], ds[q, i], offsets[q]
            if d != 0:
                for j in range(cols):
                    live = coincide(xw[q, j], d, offset)
                    ups[j] += popcount(live & (xs[q, j] ^ minus))
                    alls[j] += popcount(live)
        if DRAWS > 0:
            for b in range(blocks):
                z[0, b], z[1, b], z[2, b], z[3, b] = normals4(i, b, step, 0, k0, k1)
        some = 0
        for start in range(0, cols, LANES):
            size = min(LANES, cols - start)
            for c in range(size):
                local[c] = w[i, start + c]
                local[LANES + c] = noise[start + c]
                load(local, planes, i, start + c, c)
            close = 0
            for c in range(LANES):
                up, down = ups[start + c], alls[start + c] - ups[start + c]
                moved[c], clear = settle(local[c], up, down, local[LANES + c], local, tables, c)
                near[c] = 0 if clear else up + down
                close += near[c]
            if close == 0:
                for c in range(size):
                    w[i, start + c] = moved[c]
                continue
            for c in range(size):
                j = start + c
                n_up, n_down = ups[j], alls[j] - ups[j]
                if near[c] == 0 or path_is_clear(
                    local[c],
                    n_up,
                    n_down,
                    local,
                    tables,
                    c,
                    xw,
                    xs,
                    dw,
                    ds,
                    offsets,
                    0,
                    words,
                    i,
                    j,
                ):
                    w[i, j] = moved[c]
                else:
                    number[j], _ = gather(j, 0, words, xt, st, dt[i], mt[i], offsets, rises)
                    some += 1
        n_all, n_up = alls.sum(), ups.sum()
        counts[i, 0] += n_up
        counts[i, 1] += n_all - n_up
        if hits.size > 0:
            for j in range(cols):
                hits[i, j] |= alls[j] > 0
        if some > 0:
            walk_lanes(i, 0, cols, w, planes, step, keys, hits, room)
            number[:] = 0
    return 0
