r"""Closed forms of a normal that passes a converter: its moments, its chance to leave the range.

For :math:`v \sim N(\mu, s^2)`, with :math:`\varphi, \Phi` of the standard normal and
:math:`A, B = (a - \mu)/s, (b - \mu)/s`, clipping to a..b gives the moments

.. math::
    E v &= a \Phi(A) + b (1 - \Phi(B)) + \mu (\Phi(B) - \Phi(A)) - s (\varphi(B) - \varphi(A)) \\
    E v^2 &= a^2 \Phi(A) + b^2 (1 - \Phi(B)) + (\mu^2 + s^2)(\Phi(B) - \Phi(A))
             - s \big((\mu + b) \varphi(B) - (\mu + a) \varphi(A)\big)

and a converter with levels :math:`L_j` those of a sum over its thresholds :math:`t_j`,

.. math:: E f(L) = f(L_0) + \sum_{j > 0} \big(f(L_j) - f(L_{j-1})\big) P(v \ge t_j)

Arrays of float64 throughout. Source: textbook integrals of the normal; Widrow and Kollar,
Quantization Noise (2008), for the series of a rounded normal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Reading",
    "clip_probability",
    "clipped_normal",
    "converted_normal",
    "rectified_normal",
    "rounded_normal",
    "stochastic_rounding",
]

FAR = 9.0  # standard deviations: 1e-19 of a normal lies beyond
TERMS = 8  # of the series: the ninth is below exp(-60) of the first where it is used
SERIES_FROM = 0.2  # standard deviation, in steps
ON_GRID = 1e-6  # of a step: whether the bound counts as a level


class Reading(NamedTuple):
    """Moments of what an ADC returns, all in all and where it does not call for another round."""

    mean: np.ndarray
    square: np.ndarray
    inside: np.ndarray  # probability of not being clipped
    ok: np.ndarray  # probability of not exceeding a bound that counts
    ok_mean: np.ndarray  # mean, 0 where it does
    ok_square: np.ndarray


def density(z: np.ndarray) -> np.ndarray:
    """Return the density of a standard normal."""
    return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def above(mean: np.ndarray, std: np.ndarray, threshold: ArrayLike) -> np.ndarray:
    """Return the probability that a normal exceeds a threshold; 0 or 1 if it has no spread."""
    from scipy.special import ndtr  # slow to import

    distance = mean - threshold
    normal = ndtr(distance / np.where(std > 0.0, std, 1.0))
    return np.where(std > 0.0, normal, (distance > 0.0).astype(np.float64))


def excess(mean: np.ndarray, std: np.ndarray, threshold: ArrayLike) -> np.ndarray:
    r"""Return :math:`E \max(v - t, 0)` of a normal."""
    z = (mean - threshold) / np.where(std > 0.0, std, 1.0)
    return (mean - threshold) * above(mean, std, threshold) + std * density(z)


def rectified_normal(mean: ArrayLike, std: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and mean square of the positive part of a normal.

    .. math:: E v^+ = \mu \Phi(\mu / s) + s \varphi(\mu / s), \qquad
              E (v^+)^2 = (\mu^2 + s^2) \Phi(\mu / s) + \mu s \varphi(\mu / s)

    Parameters
    ----------
    mean, std : array_like
        Of the normal; std >= 0.
    """
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    first = excess(m, s, 0.0)
    return first, m * first + s * s * above(m, s, 0.0)


def clip_probability(mean: ArrayLike, std: ArrayLike, bound: float) -> np.ndarray:
    """Return the probability that a normal lies outside ``-bound..bound``.

    Parameters
    ----------
    mean, std : array_like
        Of the normal.
    bound : float
        > 0.
    """
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    return above(m, s, bound) + above(-m, s, bound)


def clipped_normal(
    mean: ArrayLike, std: ArrayLike, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of a normal clipped to ``low..high``.

    Parameters
    ----------
    mean, std : array_like
        Of the normal.
    low, high : float
        The bounds.
    """
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    centred = np.asarray(mean, np.float64) - middle
    reading = converted_normal(centred, std, half, 0.0)
    return reading.mean + middle, reading.square - reading.mean**2


def rounded_normal(mean: ArrayLike, std: ArrayLike, step: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of a normal rounded to multiples of `step`.

    With :math:`d_k = e^{-2 \pi^2 k^2 s^2 / \Delta^2}` and :math:`t = 2 \pi k \mu / \Delta` the
    rounding error has

    .. math::
        e = \frac{\Delta}{\pi} \sum_k \frac{(-1)^k}{k} d_k \sin t, \qquad
        E e^2 = \frac{\Delta^2}{12} + \frac{\Delta^2}{\pi^2} \sum_k \frac{(-1)^k}{k^2} d_k \cos t

    and the variance is :math:`s^2 + 4 s^2 \sum_k (-1)^k d_k \cos t + E e^2 - e^2`. Below
    s = 0.2 steps the few levels in reach are summed instead.

    Parameters
    ----------
    mean, std : array_like
        Of the normal.
    step : float
        > 0.
    """
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    k = np.arange(1.0, TERMS + 1.0).reshape(-1, *(1,) * m.ndim)
    weight = (-1.0) ** k * np.exp(-2.0 * (np.pi * k * s / step) ** 2)
    phase = 2.0 * np.pi * k * m / step
    bias = step / np.pi * np.sum(weight / k * np.sin(phase), axis=0)
    square = step**2 / 12.0 + (step / np.pi) ** 2 * np.sum(weight / k**2 * np.cos(phase), axis=0)
    variance = s**2 * (1.0 + 4.0 * np.sum(weight * np.cos(phase), axis=0)) + square - bias**2
    nearest = step * np.rint(m / step)
    few = converted_normal(m - nearest, np.minimum(s, SERIES_FROM * step), 3.0 * step, step)
    wide = s > SERIES_FROM * step
    return (
        np.where(wide, m + bias, nearest + few.mean),
        np.where(wide, variance, few.square - few.mean**2),
    )


def stochastic_rounding(value: ArrayLike, step: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of a number rounded up or down by chance.

    .. math:: E = v, \qquad V = \Delta^2 f (1 - f)

    with f the fraction of v above the lower multiple of the step.

    Parameters
    ----------
    value : array_like
        What is rounded.
    step : float
        > 0.
    """
    v = np.asarray(value, np.float64)
    fraction = v / step - np.floor(v / step)
    return v, step**2 * fraction * (1.0 - fraction)


def converted_normal(
    mean: ArrayLike,
    std: ArrayLike,
    bound: float,
    step: float,
    stochastic: bool = False,
    negative: bool = True,
) -> Reading:
    """Return the moments of a normal that is rounded, then clipped: exact, by a sum over levels.

    Parameters
    ----------
    mean, std : array_like
        Of the normal.
    bound : float
        Clips at ``-bound..bound``; 0: never.
    step : float
        Rounds to its multiples; 0: not at all.
    stochastic : bool
        Whether it rounds up or down by chance.
    negative : bool
        Whether `ok` counts what is below ``-bound`` as exceeding, too.
    """
    m, s = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    if bound == 0.0:
        one, square = np.ones(m.shape), m * m + s * s
        return Reading(m, square, one, one, m, square)
    if step == 0.0:
        high, low = above(m, s, bound), above(-m, s, bound)
        safe = np.where(s > 0.0, s, 1.0)
        right, left = s * density((bound - m) / safe), s * density((bound + m) / safe)
        within = 1.0 - high - low
        first = m * within - right + left + bound * (high - low)
        second = (m * m + s * s) * within - (m + bound) * right + (m - bound) * left
        second = second + bound**2 * (high + low)
    else:
        first, second, high, low = sum_levels(m, s, bound, step, stochastic)
    counted = low if negative else 0.0 * low
    return Reading(
        first,
        second,
        1.0 - high - low,
        1.0 - high - counted,
        first - bound * (high - counted),
        second - bound**2 * (high + counted),
    )


def sum_levels(
    m: np.ndarray, s: np.ndarray, bound: float, step: float, stochastic: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, mean square, and the probabilities of being clipped above and below."""
    top = int(np.floor(bound / step + ON_GRID))  # the last level within the bound

    def reached(level: ArrayLike) -> np.ndarray:
        if stochastic:
            edge = step * np.asarray(level, np.float64)
            return (excess(m, s, edge - step) - excess(m, s, edge)) / step
        sharp = (np.rint(m / step) >= level).astype(np.float64)
        return np.where(s > 0.0, above(m, s, step * (np.asarray(level) - 0.5)), sharp)

    reach = FAR * s / step + 1.0
    first = np.clip(np.floor(m / step - reach), -top, top + 1)
    count = min(2 * top + 2, int(np.ceil(2.0 * np.max(reach, initial=0.0))) + 2)
    below = np.clip(step * (first - 1.0), -bound, bound)
    mean, square = below.copy(), below**2
    for i in range(count):
        level = np.clip(step * (first + i), -bound, bound)
        chance = reached(first + i)
        mean += (level - below) * chance
        square += (level**2 - below**2) * chance
        below = level
    return mean, square, reached(top + 1), 1.0 - reached(-top)
