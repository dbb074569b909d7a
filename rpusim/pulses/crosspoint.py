"""The pulsed update one crosspoint at a time: what a GPU does, and plain Python.

The physics is that of `rpusim.pulses.walk`, `rpusim.pulses.aggregate` and `rpusim.pulses.rising`,
and so are the draws; here nobody shares anything with the neighbours of a row. All chunks of a
batch are applied in one go.

The free names `pulse_once`, `unbounded`, `upper`, `lower`, `take`, `give`, `split_tables`, `DRAWS`
and `PER_BLOCK` are the law's, see `rpusim.kernels.crosspoint_law`; `coincide` is the pulse type's;
`crosspoint` is one of the functions below; `RISES_ONLY` says whether devices are only stepped up.
"""

import numpy as np

from rpusim.kernels.primitives import popcount
from rpusim.kernels.random import normal_at
from rpusim.kernels.team import add_at, member, members
from rpusim.pulses.aggregate import lower, path_is_clear, settle, unbounded, upper
from rpusim.pulses.lineup import coincide
from rpusim.pulses.walk import normals_of_block, split_tables

__all__ = [
    "aggregate_crosspoint",
    "crosspoint_rows",
    "lower",
    "mean_field_crosspoints",
    "pulse_crosspoints",
    "unbounded",
    "upper",
    "walk_crosspoint",
]

MASK = 0xFFFFFFFF
DRAWS, PER_BLOCK, RISES_ONLY = 1, 4, False


def pulse_once(w, rises, own, tables, z0, z1, z2, z3):
    """Stand for the law: return weight and `own` after one pulse, up if it `rises`."""
    raise NotImplementedError


def take(planes, model, i, j):
    """Stand for what the law reads of a crosspoint and of the configuration, as a tuple."""
    raise NotImplementedError


def give(planes, own, i, j):
    """Stand for putting the law's state back."""
    raise NotImplementedError


def crosspoint(i, j, w, planes, model, xw, xs, dw, ds, offsets, begin, end, step, keys, hits):
    """Stand for one of `walk_crosspoint` and `aggregate_crosspoint`."""
    raise NotImplementedError


def crosspoint_rows(
    first, last, w, planes, model, xw, xs, dw, ds, offsets, bounds, step, keys, hits, counts
):
    """Apply the pulses of all chunks to rows `first`..`last`.

    Parameters
    ----------
    first, last : int
        The rows.
    bounds : ndarray of int64, shape (chunks + 1,)
        First word of each chunk, and the number of words.
    step : int
        Number of the first chunk, by which draws are keyed.
    keys : tuple of int
        Keys for the normals of sums and of pulses.
    w, planes, model, xw, xs, dw, ds, offsets, hits, counts
        As for `rpusim.pulses.walk.walk_rows`.
    """
    for i in range(first, last):
        ups = downs = 0
        for j in range(member(), w.shape[1], members()):
            for chunk in range(bounds.shape[0] - 1):
                begin, end, number = bounds[chunk], bounds[chunk + 1], (step + chunk) & MASK
                n_up, n_down = crosspoint(
                    i, j, w, planes, model, xw, xs, dw, ds, offsets, begin, end, number, keys, hits
                )
                ups += n_up
                downs += n_down
        if ups + downs > 0:
            add_at(counts, i, 0, ups)
            add_at(counts, i, 1, downs)
    return 0


def in_turn(place, z0, z1, z2, z3):
    """Return the normals of the pulse at a place of a block."""
    if DRAWS == 4 or place == 0:
        return z0, z1, z2, z3
    if DRAWS == 2:
        return z2, z3, z2, z3
    z = z1 if place == 1 else (z2 if place == 2 else z3)
    return z, z, z, z


def walk_crosspoint(i, j, w, planes, model, xw, xs, dw, ds, offsets, begin, end, step, keys, hits):
    """Apply the pulses of words `begin`..`end` to one crosspoint, one after the other.

    Returns (pulses up, pulses down).
    """
    own, tables = take(planes, model, i, j), split_tables(model)
    v, n, n_up = w[i, j], 0, 0
    z0 = z1 = z2 = z3 = np.float32(0.0)
    for q in range(begin, end):
        live = int(coincide(xw[q, j], dw[q, i], offsets[q]))
        up = live & int(xs[q, j] ^ ds[q, i])
        if RISES_ONLY:
            live = up
        n_up += popcount(up)
        while live != 0:
            slot, place = live & -live, n % PER_BLOCK
            if place == 0:
                z0, z1, z2, z3 = normals_of_block(
                    i, j, step, n // PER_BLOCK, keys[2], keys[3], True
                )
            a, b, c, d = in_turn(place, z0, z1, z2, z3)
            v, own = pulse_once(v, up & slot != 0, own, tables, a, b, c, d)
            live ^= slot
            n += 1
    if n > 0:
        w[i, j] = v
        give(planes, own, i, j)
        if hits.size > 0:
            hits[i, j] = 1
    return n_up, n - n_up


def aggregate_crosspoint(
    i, j, w, planes, model, xw, xs, dw, ds, offsets, begin, end, step, keys, hits
):
    """Apply the pulses of words `begin`..`end` to one crosspoint, as one step where that is exact.

    Returns (pulses up, pulses down). See `rpusim.pulses.aggregate`.
    """
    n_up = n_down = 0
    for q in range(begin, end):
        live = int(coincide(xw[q, j], dw[q, i], offsets[q]))
        up = live & int(xs[q, j] ^ ds[q, i])
        n_up += popcount(up)
        n_down += popcount(live ^ up)
    if n_up + n_down == 0:
        return 0, 0
    own, tables = take(planes, model, i, j), split_tables(model)
    z = np.float32(0.0)
    if DRAWS > 0:
        z = normal_at(i, j, w.shape[1], step, keys[0], keys[1])
    settled, clear = settle(w[i, j], n_up, n_down, z, own, tables, 0)
    if not clear:
        clear = path_is_clear(
            w[i, j], n_up, n_down, own, tables, 0, xw, xs, dw, ds, offsets, begin, end, i, j
        )
    if not clear:
        return walk_crosspoint(
            i, j, w, planes, model, xw, xs, dw, ds, offsets, begin, end, step, keys, hits
        )
    w[i, j] = settled
    if hits.size > 0:
        hits[i, j] = 1
    return n_up, n_down


def mean_field_crosspoints(first, last, w, planes, model, x, d, rate):
    """Do what `rpusim.pulses.mean_field.mean_field_rows` does."""
    for i in range(first, last):
        for j in range(member(), w.shape[1], members()):
            own, tables = take(planes, model, i, j), split_tables(model)
            v = w[i, j]
            for b in range(x.shape[0]):
                pulses = rate * x[b, j] * d[b, i]
                sign = np.float32(-1.0) if pulses > 0.0 else np.float32(1.0)
                step = unbounded(v, sign, own, tables, 0, np.float32(0.0)) - v
                v = min(max(v + abs(pulses) * step, lower(own, 0)), upper(own, 0))
            w[i, j] = v
    return 0


def pulse_crosspoints(first, last, places, rises, w, planes, model, step, k0, k1):
    """Do what `rpusim.pulses.verify.pulse_places` does."""
    for p in range(first, last):
        if member() == 0:
            i, j = int(places[p]) // w.shape[1], int(places[p]) % w.shape[1]
            own, tables = take(planes, model, i, j), split_tables(model)
            z0, z1, z2, z3 = normals_of_block(i, j, step, 0, k0, k1, False)
            v, own = pulse_once(w[i, j], rises[p], own, tables, z0, z1, z2, z3)
            w[i, j] = v
            give(planes, own, i, j)
    return 0
