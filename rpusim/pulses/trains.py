r"""Pulse trains as words of bits, and the coincidences of two trains.

The slots of all vectors of a chunk stand one after the other in words of 62 slots (a word stays a positive 64-bit
integer, and two trains of the default length fill it). ``words[line, q]`` has a bit where the line fires,
``signs[line, q]`` has ones in the slots of vectors for which its value is negative. Coincidences of row i and
column j are then ``words_x[j, q] & words_d[i, q]``, and they step up where the two signs differ.

For the deterministic pulse types the "words" are numbers instead, whose rounded product is the count of pulses of
a vector pair: :math:`n_{ij} = \mathrm{rint}(v_i v_j)`.
"""

from typing import Any

import numpy as np

from rpusim.kernels.bind import kernel
from rpusim.kernels.random import philox, uniform
from rpusim.pulses.plan import Plan
from rpusim.pulses.settings import PulseType, UpdateParameters

__all__ = ["SLOTS", "chunks", "coincide", "count_product", "trains"]

SLOTS = 62  # of a word
FULL = (1 << 62) - 1
MASK = 0xFFFFFFFF
CHUNK = 32 * SLOTS  # slots drawn at a time: their words stay in the cache
RINT = 6755399441055744.0  # 1.5 * 2**52: adding it to a float64 leaves no fractional bits


def chunks(plan: Plan) -> list[tuple[int, int]]:
    """Cut a batch into ranges of vectors with at most `CHUNK` slots (or one vector)."""
    ends = np.cumsum(plan.length)
    cuts, first, base = [], 0, 0
    while first < ends.size and ends[-1] > base:
        last = max(int(np.searchsorted(ends, base + CHUNK, side="right")), first + 1)
        cuts.append((first, last))
        first, base = last, int(ends[last - 1])
    return cuts


def trains(
    values: np.ndarray,
    factor: np.ndarray,
    length: np.ndarray,
    settings: UpdateParameters,
    error: bool,
    first: int,
    key: tuple[int, int],
    backend: str = "cpu",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (words, signs, offsets) of one side of a chunk.

    Parameters
    ----------
    values : ndarray of shape (batch, lines)
        Activations or errors, float32.
    factor : ndarray of shape (batch,)
        What turns magnitudes into probabilities.
    length : ndarray of shape (batch,)
        Slots of each vector's train.
    settings : UpdateParameters
        Pulse type and resolutions.
    error : bool
        Whether these are the errors d (which carry the train length in the deterministic types).
    first : int
        Number of the first vector, by which draws are keyed.
    key : (int, int)
        Key of the draws.
    backend : {"cpu", "python"}
        Where it runs.

    Returns
    -------
    words : ndarray of shape (lines, words)
        int64, or float64 for the deterministic types.
    signs : ndarray of shape (lines, words)
        int64.
    offsets : ndarray of shape (words,)
        Deterministic types: pulses of the vector before this word.
    """
    kind, lines = settings.pulse_type, values.shape[1]
    implicit = kind is PulseType.DETERMINISTIC_IMPLICIT
    res = settings.res
    if implicit:
        res = settings.d_res_implicit if error else settings.x_res_implicit
    res = 1.0 / res if res > 1.0 else res
    if kind in (PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED):
        count = -(-int(length.sum()) // SLOTS)
        words, signs = np.zeros((2, count, lines), np.int64)
        fire, offsets = kernel(fire_slots, backend), np.zeros(count, np.int64)
        args: tuple[Any, ...] = ()
    else:
        each = -(-length // SLOTS)
        count = int(each.sum())
        words, signs = np.empty((count, lines)), np.empty((count, lines), np.int64)
        starts = np.repeat(np.cumsum(each) - each, each)
        offsets = (np.arange(count) - starts) * SLOTS
        fire, args = kernel(fire_counts, backend), (error, implicit)
    fire(values, factor, length, res, settings.sto_round, *args, first, *key, words, signs)
    return np.ascontiguousarray(words.T), np.ascontiguousarray(signs.T), offsets


def quantise(p, res, sto_round, line, sample, k0, k1):
    """Return a probability in steps of `res`, if that is > 0."""
    if res > 0.0:
        dither = 0.0
        if sto_round:
            dither = uniform(philox(line, 0, sample, 1, k0, k1)[0]) - 0.5
        p = np.rint(p / res + dither) * res
    return p


def fire_slots(values, factor, length, res, sto_round, first, k0, k1, words, signs):
    """Draw stochastic trains: in each slot line j fires with probability ``abs(values[b, j]) * factor[b]``."""
    lines = values.shape[1]
    threshold, nibble = np.empty(lines, np.int64), np.empty(lines, np.int64)
    start = 0
    for b in range(values.shape[0]):
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
        end = start + slots
        for q in range(start // SLOTS, (end + SLOTS - 1) // SLOTS):
            low, top = max(start - q * SLOTS, 0), min(end - q * SLOTS, SLOTS)
            span = ((1 << (top - low)) - 1) << low
            for j in range(lines):
                signs[q, j] |= span if values[b, j] < 0.0 else 0
        start = end
    return 0


def fire_counts(
    values, factor, length, res, sto_round, error, implicit, first, k0, k1, words, signs
):
    """Fill `words` with the numbers whose products, rounded, are the counts of pulses."""
    q = 0
    for b in range(values.shape[0]):
        slots = int(length[b])
        sample = (first + b) & MASK
        high = k1 ^ ((first + b) >> 32)
        for part in range((slots + SLOTS - 1) // SLOTS):
            for j in range(values.shape[1]):
                p = quantise(abs(values[b, j]) * factor[b], res, sto_round, j, sample, k0, high)
                if implicit:
                    v = min(p, 1.0)
                    v = v * slots if error else v
                else:
                    v = min(np.rint(slots * p), np.float64(slots))
                    v = v / slots if error else v
                words[q, j] = v
                signs[q, j] = FULL if values[b, j] < 0.0 else 0
            q += 1
    return 0


def coincide(x, d, offset):
    """Return the slots in which both lines fire."""
    return x & d


def count_product(x, d, offset):
    """Return as many ones as the deterministic types send pulses, beyond the first `offset` of them."""
    n = int((x * d + RINT) - RINT) - offset
    return (1 << min(max(n, 0), SLOTS)) - 1
