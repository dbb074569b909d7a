r"""Pulse trains as words of bits, and the coincidences of two trains.

The slots of all vectors of a chunk stand one after the other in words of 62 slots (a word stays a
positive 64-bit integer, and two trains of the default length fill it). ``words[q, line]`` has a
bit where the line fires, ``signs[q, line]`` has ones in the slots of vectors for which its value
is negative. Coincidences of row i and column j are then ``xw[q, j] & dw[q, i]``, and they step up
where the two signs differ.

For the deterministic pulse types the "words" are numbers instead, whose rounded product is the
count of pulses of a vector pair: :math:`n_{ij} = \mathrm{rint}(v_i v_j)`.
"""

from typing import Any

import numpy as np

from rpusim.kernels.bind import apart, kernel
from rpusim.kernels.random import philox, uniform
from rpusim.pulses.plan import Plan
from rpusim.pulses.settings import PulseType, UpdateParameters

__all__ = [
    "SLOTS",
    "STOCHASTIC",
    "Trains",
    "chunks",
    "coincide",
    "count_product",
    "number_of_pulses",
    "options",
    "quantise",
    "trains",
]

SLOTS = 62  # of a word
FULL = (1 << 62) - 1
MASK = 0xFFFFFFFF
CHUNK = 32 * SLOTS  # slots drawn at a time: their words stay in the cache
STOCHASTIC = (PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED)
RINT = 6755399441055744.0  # 1.5 * 2**52: adding it to a float64 leaves no fractional bits


def chunks(plan: Plan) -> list[tuple[int, int, int]]:
    """Cut a batch into ranges (first, last, slots) of vectors: one, or at most `CHUNK` slots."""
    if plan.slots <= CHUNK:
        return [(0, plan.length.size, plan.slots)] if plan.slots else []
    ends = np.cumsum(plan.length)
    cuts, first, base = [], 0, 0
    while ends[-1] > base:
        last = max(int(np.searchsorted(ends, base + CHUNK, side="right")), first + 1)
        cuts.append((first, last, int(ends[last - 1]) - base))
        first, base = last, int(ends[last - 1])
    return cuts


class Trains:
    """The words and signs of both sides of a chunk.

    Attributes
    ----------
    xw, xs : ndarray of shape (words, cols)
        Of the activations; words are int64, or float64 for the deterministic types.
    dw, ds : ndarray of shape (words, rows)
        Of the errors.
    offsets : ndarray of shape (words,)
        Deterministic types: pulses of the vector before this word.
    """

    def __init__(self, words: int, cols: int, rows: int, counted: bool) -> None:
        self.xw: np.ndarray
        self.dw: np.ndarray
        if counted:
            self.xw, self.dw = np.zeros((words, cols)), np.zeros((words, rows))
            self.xs, self.ds = np.zeros((words, cols), np.int64), np.zeros((words, rows), np.int64)
        else:
            self.xw, self.xs = np.zeros((words, cols), np.int64), np.zeros((words, cols), np.int64)
            self.dw, self.ds = np.zeros((words, rows), np.int64), np.zeros((words, rows), np.int64)
        self.offsets = np.zeros(words, np.int64)


def trains(
    x: np.ndarray,
    d: np.ndarray,
    plan: Plan,
    chunk: tuple[int, int, int],
    settings: UpdateParameters,
    first: int,
    keys: tuple[int, int, int, int],
    backend: str = "cpu",
) -> Trains:
    """Return the trains of a chunk of vector pairs.

    Parameters
    ----------
    x, d : ndarray of shape (batch, cols), (batch, rows)
        Activations and errors, float32.
    plan : Plan
        Their train lengths and factors.
    chunk : (int, int, int)
        Which of them, see `chunks`.
    settings : UpdateParameters
        Pulse type and resolutions.
    first : int
        Number of the first vector of the batch, by which draws are keyed.
    keys : (int, int, int, int)
        Keys of the draws for `x` and for `d`.
    backend : {"cpu", "python"}
        Where it runs.
    """
    start, end, slots = chunk
    if settings.pulse_type in STOCHASTIC:
        made = Trains(-(-slots // SLOTS), x.shape[1], d.shape[1], counted=False)
        fire = kernel(fire_slots, backend)
    else:
        each = -(-plan.length[start:end].astype(np.int64) // SLOTS)
        made = Trains(int(each.sum()), x.shape[1], d.shape[1], counted=True)
        made.offsets[:] = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        made.offsets *= SLOTS
        fire = kernel(fire_counts, backend)
    args = (x, d, plan.table, start, end, first, *keys, *options(settings))
    fire(*args, made.xw, made.xs, made.dw, made.ds)
    return made


def options(settings: UpdateParameters) -> tuple[Any, ...]:
    """Return what kernels of trains need of the settings."""
    implicit = settings.pulse_type is PulseType.DETERMINISTIC_IMPLICIT
    x_res, d_res = settings.res, settings.res
    if implicit:
        x_res, d_res = settings.x_res_implicit, settings.d_res_implicit
    x_res = 1.0 / x_res if x_res > 1.0 else x_res
    d_res = 1.0 / d_res if d_res > 1.0 else d_res
    steps = (settings.sto_round, x_res, d_res)
    return steps if settings.pulse_type in STOCHASTIC else (*steps, implicit)


def whole(v):
    """Return the integer nearest to a float64, the even one of two."""
    return (v + RINT) - RINT


def quantise(p, res, sto_round, line, sample, k0, k1):
    """Return a probability in steps of `res`, if that is > 0."""
    if res > 0.0:
        dither = 0.0
        if sto_round:
            dither = uniform(philox(line, 0, sample, 1, k0, k1)[0]) - 0.5
        p = whole(p / res + dither) * res
    return p


def fire_slots(
    x, d, table, start, end, first, x0, x1, d0, d1, sto_round, x_res, d_res, xw, xs, dw, ds
):
    """Draw the stochastic trains of vectors `start`..`end`, both sides."""
    fire_side(x, table[0], table[1], start, end, first, x0, x1, x_res, sto_round, xw, xs)
    fire_side(d, table[0], table[2], start, end, first, d0, d1, d_res, sto_round, dw, ds)
    return 0


@apart
def fire_side(values, length, factor, begin, end, first, k0, k1, res, sto_round, words, signs):
    """Draw trains: in each slot line j fires with probability ``abs(values[b, j]) * factor[b]``."""
    lines = values.shape[1]
    threshold, nibble = np.empty(lines, np.int64), np.empty(lines, np.int64)
    start = 0
    for b in range(begin, end):
        slots = int(length[b])
        if slots == 0:
            continue
        sample = (first + b) & MASK
        high = k1 ^ ((first + b) >> 32)
        for j in range(lines):
            p = quantise(abs(values[b, j]) * factor[b], res, sto_round, j, sample, k0, high)
            threshold[j] = int(min(p, 1.0) * 4294967296.0 + 0.5)
        for group in range((slots + 3) // 4):
            valid = (1 << min(4, slots - 4 * group)) - 1
            q, shift = divmod(start + 4 * group, SLOTS)
            for j in range(lines):
                r0, r1, r2, r3 = philox(j, group, sample, 0, k0, high)
                t = threshold[j]
                bits = int(r0 < t) | int(r1 < t) << 1 | int(r2 < t) << 2 | int(r3 < t) << 3
                nibble[j] = bits & valid
                words[q, j] |= (nibble[j] << shift) & FULL
            if valid >> (SLOTS - shift) != 0:
                for j in range(lines):
                    words[q + 1, j] |= nibble[j] >> (SLOTS - shift)
        stop = start + slots
        for q in range(start // SLOTS, (stop + SLOTS - 1) // SLOTS):
            low, top = max(start - q * SLOTS, 0), min(stop - q * SLOTS, SLOTS)
            span = ((1 << (top - low)) - 1) << low
            for j in range(lines):
                signs[q, j] |= span if values[b, j] < 0.0 else 0
        start = stop


def fire_counts(
    x,
    d,
    table,
    start,
    end,
    first,
    x0,
    x1,
    d0,
    d1,
    sto_round,
    x_res,
    d_res,
    implicit,
    xw,
    xs,
    dw,
    ds,
):
    """Fill the numbers whose products, rounded, are the counts of pulses, for both sides."""
    count_side(x, table, 1, start, end, first, x0, x1, x_res, sto_round, implicit, xw, xs)
    count_side(d, table, 2, start, end, first, d0, d1, d_res, sto_round, implicit, dw, ds)
    return 0


@apart
def count_side(
    values, table, side, begin, end, first, k0, k1, res, sto_round, implicit, words, signs
):
    """Fill one side; the errors (`side` 2) carry the train length."""
    q = 0
    for b in range(begin, end):
        slots = int(table[0, b])
        sample = (first + b) & MASK
        high = k1 ^ ((first + b) >> 32)
        for _ in range((slots + SLOTS - 1) // SLOTS):
            for j in range(values.shape[1]):
                p = abs(values[b, j]) * table[side, b]
                p = quantise(p, res, sto_round, j, sample, k0, high)
                words[q, j] = number_of_pulses(p, slots, implicit, side == 2)
                signs[q, j] = FULL if values[b, j] < 0.0 else 0
            q += 1


def number_of_pulses(p, slots, implicit, carries_length):
    """Return the number of a line whose product with that of the other side counts pulses."""
    if implicit:
        v = min(p, 1.0)
        return v * slots if carries_length else v
    v = min(whole(slots * p), np.float64(slots))
    return v / slots if carries_length else v


def coincide(x, d, offset):
    """Return the slots in which both lines fire."""
    return x & d


def count_product(x, d, offset):
    """Return as many ones as the deterministic types send pulses beyond the first `offset`."""
    n = int(whole(x * d)) - offset
    return (1 << min(max(n, 0), SLOTS)) - 1
