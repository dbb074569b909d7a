r"""What each pass of a product reads: the moments of inputs behind scale, DAC, noise and slices.

An input behind the DAC has one value, or two of known chance if the DAC rounds stochastically;
with the noise after it, it is a mixture of normals, of which the loss of negative inputs and the
split into signs leave closed forms (`rectified_normal`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rpusim.periphery.moment_laws import rectified_normal
from rpusim.periphery.settings import (
    POS_NEG,
    SLICED,
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    SliceADC,
)

__all__ = ["Feed", "feeds", "rounds_of", "scale_of_each"]

Law = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


class Feed(NamedTuple):
    """The inputs of one pass, (batch, n)."""

    place: float  # factor of its result in the digital sum
    negative: bool  # whether it is the phase of negative inputs
    mean: np.ndarray
    size: np.ndarray  # mean magnitude
    noise: np.ndarray  # variance by input noise
    rounding: np.ndarray  # variance by stochastic rounding
    error: np.ndarray  # square of the rounding error


def scale_of_each(io: IOParameters, x: np.ndarray, average: float) -> np.ndarray:
    """Return the scale of each vector in the first round; 0 for one that is not read."""
    kind, top = io.noise_management, np.abs(x).max(axis=1, initial=0.0)
    if kind is NoiseManagementType.NONE:
        return np.ones(len(x))
    if kind is NoiseManagementType.CONSTANT:
        return np.full(len(x), io.nm_thres if io.nm_thres > 0.0 else 1.0)
    if kind is NoiseManagementType.AVERAGE_ABS_MAX:
        return top if average < 0.0 else np.full(len(x), average)
    if kind is NoiseManagementType.MAX:
        largest = x.max(axis=1, initial=-np.inf)
        return np.where(largest > 0.0, saturated(io, largest), (top > 0.0).astype(np.float64))
    return worst_case(io, x) if kind is NoiseManagementType.ABS_MAX_NP_SUM else saturated(io, top)


def saturated(io: IOParameters, scale: np.ndarray) -> np.ndarray:
    """Return scales, at most `nm_thres`."""
    return np.minimum(scale, io.nm_thres) if io.nm_thres > 0.0 else scale


def worst_case(io: IOParameters, x: np.ndarray) -> np.ndarray:
    """Return the scale at which lines full of weights `nm_assumed_wmax` stay within the bound."""
    top, step = saturated(io, np.abs(x).max(axis=1, initial=0.0)), io.dac[1]
    positive, negative = np.maximum(x, 0.0).sum(axis=1), np.maximum(-x, 0.0).sum(axis=1)
    scale = np.maximum(positive, negative) * io.nm_assumed_wmax / (io.adc[0] or 1.0)
    if step > 0.0:
        scale = np.minimum(scale, top * io.max_bm_res / step)
    return np.maximum(top, scale)


def rounds_of(
    io: IOParameters, x: np.ndarray, alpha: np.ndarray, backward: bool
) -> list[tuple[np.ndarray, float]]:
    """Return the scale of each vector, and the reduction, in every round that there may be."""
    kind = io.bound_management
    if backward or kind is BoundManagementType.NONE or io.adc[0] == 0.0:
        return [(alpha, 1.0)]
    step, reductions = io.dac[1], [1.0]
    limit = min(io.max_bm_factor, io.max_bm_res / step if step > 0.0 else np.inf)
    while reductions[-1] <= limit:
        reductions.append(2.0 * reductions[-1])
    worst = kind is BoundManagementType.ITERATIVE_WORST_CASE
    if worst and io.noise_management is not NoiseManagementType.ABS_MAX_NP_SUM:
        larger = worst_case(io, x)
        return [(alpha, 1.0)] + [(larger, reduction) for reduction in reductions]
    return [(alpha, reduction) for reduction in reductions]


def feeds(io: IOParameters, v: np.ndarray) -> tuple[list[Feed], np.ndarray | None]:
    """Return what each pass reads of scaled inputs `v`, and the covariances of its passes.

    The covariances, (batch, n), are those of all pairs of passes, summed with their places; None
    if there are none.
    """
    low, high, chance, error = convert(io, v)
    branches = [(low, 1.0 - chance), (high, chance)] if chance.any() else [(low, 1.0 - chance)]
    made = [Feed(place, False, *mixture(branches, law), error) for place, law in laws(io)]
    if io.mv_type in SLICED:
        first, *others = made
        made = [first._replace(error=error / first.place**2)]
        made += [feed._replace(error=0.0 * error) for feed in others]
    elif io.mv_type in POS_NEG:
        made = [
            made[0]._replace(negative=True, error=error * (v < 0.0)),
            made[1]._replace(error=error * (v >= 0.0)),
        ]
    if len(made) == 1 or (len(branches) == 1 and io.inp_noise == 0.0):
        return made, None
    return made, shared(io, branches, made)


def convert(io: IOParameters, v: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the DAC's output: lower and upper value, chance of the upper one, square error."""
    bound, step = io.dac
    limit = bound if bound > 0.0 else np.inf
    chance = np.zeros(v.shape)
    low = v.astype(np.float64)
    if step > 0.0:
        codes = (v / np.float32(step)).astype(np.float64)  # in float32: ties round as they do there
        if io.inp_sto_round:
            chance = codes - np.floor(codes)
            low = step * np.floor(codes)
        else:
            low = step * np.rint(codes)
    high = low + step * (chance > 0.0)
    error = np.where(np.abs(v) <= limit, low - v + chance * (high - low), 0.0) ** 2
    low, high = np.clip(low, -limit, limit), np.clip(high, -limit, limit)
    return low, high, chance, error + chance * (1.0 - chance) * (high - low) ** 2


def mixture(
    branches: list[tuple[np.ndarray, np.ndarray]], law: Law
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, mean magnitude, and variances within and between branches, under a law."""
    mean, square, means, size = np.zeros((4, *branches[0][0].shape))
    for value, chance in branches:
        own, own_square, own_size = law(value)
        mean += chance * own
        square += chance * own_square
        means += chance * own**2
        size += chance * own_size
    return mean, size, np.maximum(square - means, 0.0), np.maximum(means - mean**2, 0.0)


def laws(io: IOParameters) -> list[tuple[float, Law]]:
    """Return the place of each pass, and what it makes of an input behind the DAC."""
    if io.mv_type in POS_NEG:
        return [(1.0, lambda v: noisy(io, v, -1)), (1.0, lambda v: noisy(io, v, 1))]
    if io.mv_type in SLICED:
        return [slice_law(io, first, width) for first, width in slices(io)]
    return [(1.0, lambda v: noisy(io, v, 0))]


def noisy(io: IOParameters, v: np.ndarray, sign: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, mean square and mean magnitude of an input with noise and loss, or of a part.

    `sign` takes the negative (-1) or positive (1) part, or all (0).
    """
    keep = 1.0 - io.inp_asymmetry
    none = np.zeros(v.shape), np.zeros(v.shape)
    up, up_square = rectified_normal(v, io.inp_noise) if sign >= 0 else none
    down, down_square = rectified_normal(-v, io.inp_noise) if sign <= 0 else none
    return up - keep * down, up_square + keep**2 * down_square, up + keep * down


def slices(io: IOParameters) -> list[tuple[int, int]]:
    """Return (first bit, width) of each slice."""
    if io.mv_type is AnalogMVType.BIT_WISE:
        return [(bit, 1) for bit in range(io.bits - 1)]
    low = io.split_mode_bit_shift
    return [(0, low), (low, io.bits - 1 - low)]


def slice_law(io: IOParameters, first: int, width: int) -> tuple[float, Law]:
    """Return the place of a slice, and what it reads of an input behind the DAC."""
    bound, step = io.dac
    most = 2**width - 1
    scaled = io.slice_adc is SliceADC.SCALED
    unit = bound / most if scaled else step

    def law(v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        code = np.rint(v / step).astype(np.int64)
        return noisy(io, unit * np.sign(code) * ((np.abs(code) >> first) & most), 0)

    return 2.0**first * step / unit, law


def shared(
    io: IOParameters, branches: list[tuple[np.ndarray, np.ndarray]], made: list[Feed]
) -> np.ndarray | None:
    """Return the variance of the sum of all passes' inputs beyond the sum of their variances."""
    if io.mv_type in POS_NEG:  # one of both parts is 0: E x+ x- = 0
        return -2.0 * made[0].mean * made[1].mean
    if len(branches) == 1:
        return None
    low, high = (sum(place * law(v)[0] for place, law in laws(io)) for v, _ in branches)
    chance = branches[1][1]
    separate = sum(feed.place**2 * feed.rounding for feed in made)
    return chance * (1.0 - chance) * (high - low) ** 2 - separate
