r"""What a law predicts of the next measured weight, from all weights measured before.

The weight that pulses act on is known up to a normal of mean m and variance P. A pulse moves it,

.. math:: u = w + f(w) + \textstyle\sum_k g_k(w)\, z_k, \qquad w' = \min(\max(u, b_-), b_+)

with mean step f and noise gains :math:`g_k`. Mean and variance of w' are averages over w, by a
Gauss-Hermite sum of three points, of the closed forms for a limited normal. A measured weight
:math:`y = w' - r + \sigma_w z` then corrects both: the innovation is e = y - m' + r, with variance
:math:`S = P' + \sigma_w^2`, and

.. math:: m \leftarrow m' + (P'/S)\, e, \qquad P \leftarrow P' \sigma_w^2 / S

Without write noise this is the law's step from the last measured weight; without noise of pulses it
is the free-running trace. Source: Arasaratnam, Haykin and Elliott, Proc. IEEE 95, 953 (2007).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rpusim.kernels.bind import kernel
from rpusim.kernels.law import FIRST, LANES

__all__ = ["Filtered", "run_filter"]

FIELDS, DRAWS = 2, 1  # of the law
FAR = 8.0  # standard deviations: a bound beyond does not matter


def advance(w, sign, local, tables, c, active, z0, z1, z2, z3):
    """Stand for the law, see `rpusim.kernels.law`."""
    raise NotImplementedError


def unbounded(w, sign, local, tables, c, z):
    """Stand for the law without bounds, all normals being z."""
    raise NotImplementedError


def prepare(local, model):
    """Stand for copying the law's numbers of the configuration."""
    raise NotImplementedError


def split_tables(model):
    """Stand for the tables of the configuration as a tuple of arrays."""
    raise NotImplementedError


def load(local, planes, i, j, c):
    """Stand for copying the law's fields of a crosspoint."""
    raise NotImplementedError


def save(local, planes, i, j, c):
    """Stand for putting the law's state back."""
    raise NotImplementedError


def limited(u, variance, low, high):
    """Return mean and variance of a normal that is limited to `low`..`high`."""
    if variance <= 0.0:
        return min(max(u, low), high), 0.0
    sd = math.sqrt(variance)
    a, b = (low - u) / sd, (high - u) / sd
    if a < -FAR and b > FAR:
        return u, variance
    below, above = 0.5 * math.erfc(-a * math.sqrt(0.5)), 0.5 * math.erfc(b * math.sqrt(0.5))
    at_low = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    at_high = math.exp(-0.5 * b * b) / math.sqrt(2.0 * math.pi)
    shift = a * below + b * above + at_low - at_high
    square = a * a * below + b * b * above + (1.0 - below - above) + a * at_low - b * at_high
    return u + sd * shift, variance * max(square - shift * shift, 0.0)


def noise_variance(w, sign, local, tables, planes, n, low, high):
    """Return the variance that the law's normals give to one pulse, without bounds."""
    if DRAWS < 2:
        gain = unbounded(w, sign, local, tables, 0, 1.0) - unbounded(
            w, sign, local, tables, 0, -1.0
        )
        return 0.25 * gain * gain
    # one normal at a time comes with bounds only: so from where they are not met
    u = unbounded(w, sign, local, tables, 0, 0.0)
    v = min(max(w - 2.0 * (u - min(max(u, low), high)), low), high)
    total = 0.0
    for k in range(DRAWS):
        z0, z1 = 1.0 if k == 0 else 0.0, 1.0 if k == 1 else 0.0
        z2, z3 = 1.0 if k == 2 else 0.0, 1.0 if k == 3 else 0.0
        load(local, planes, 0, n, 0)
        quiet = advance(v, sign, local, tables, 0, True, 0.0, 0.0, 0.0, 0.0)
        load(local, planes, 0, n, 0)
        more = abs(advance(v, sign, local, tables, 0, True, z0, z1, z2, z3) - quiet)
        load(local, planes, 0, n, 0)
        less = abs(advance(v, sign, local, tables, 0, True, -z0, -z1, -z2, -z3) - quiet)
        load(local, planes, 0, n, 0)
        total += max(more, less) ** 2
    return total


def predicted(m, p, sign, local, tables, planes, n, low, high):
    """Return mean and variance after a pulse, and the variance that there is without bounds."""
    spread = math.sqrt(3.0 * p)
    centre, center_free = 0.0, 0.0
    first, second, free_first, free_second = 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        part = 2.0 / 3.0 if k == 0 else 1.0 / 6.0
        w = m if k == 0 else (m - spread if k == 1 else m + spread)
        w = min(max(w, low), high)
        u = unbounded(w, sign, local, tables, 0, 0.0)
        variance = noise_variance(w, sign, local, tables, planes, n, low, high)
        mean, kept = limited(u, variance, low, high)
        if k == 0:
            centre, center_free = mean, u
        first += part * (mean - centre)
        second += part * ((mean - centre) ** 2 + kept)
        free_first += part * (u - center_free)
        free_second += part * ((u - center_free) ** 2 + variance)
    return centre + first, second - first * first, free_second - free_first * free_first


def filter_each(out, y, signs, reference, planes, model, seen, extra):
    """Set ``out[:, n, t]`` for trace n after pulse t, from the first measured weight on.

    To the mean of the weight that will be seen, its variance, and the variance that the bounds took
    away. `seen` is the variance of what is seen, `extra` one added to every pulse.
    """
    local, tables = np.ones((FIRST + FIELDS) * LANES), split_tables(model)
    prepare(local, model)
    for n in range(y.shape[0]):
        low, high = planes[1, 0, n], planes[0, 0, n]
        begun, m, p = False, 0.0, 0.0
        for t in range(-1, signs.shape[1]):
            sign, w = signs[n, t] if t >= 0 else 0.0, y[n, t + 1] + reference[n]
            lost = 0.0
            if begun and sign != 0.0:
                load(local, planes, 0, n, 0)
                before = m
                m, p, free = predicted(m, p, sign, local, tables, planes, n, low, high)
                advance(before, sign, local, tables, 0, True, 0.0, 0.0, 0.0, 0.0)
                save(local, planes, 0, n, 0)
                lost, p = max(free - p, 0.0), p + extra
            if begun:
                variance = p + seen
                out[0, n, t], out[1, n, t], out[2, n, t] = m - reference[n], variance, lost
                if w == w and sign != 0.0:
                    m = min(max(m + p / variance * (w - m), low), high)
                    p = p * seen / variance
            elif w == w:
                begun, m, p = True, min(max(w, low), high), seen


class Filtered(NamedTuple):
    """Predictions of shape (traces, pulses), NaN up to the first measured weight.

    Attributes
    ----------
    means, variances : ndarray
        Of the weight that is seen after each pulse.
    lost : ndarray
        Variance that the bounds took away.
    innovations : ndarray
        Measured minus predicted weight; NaN where nothing was measured.
    """

    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    lost: NDArray[np.float64]
    innovations: NDArray[np.float64]


def run_filter(
    device: Any,
    planes: NDArray[np.float64],
    weights: NDArray[np.float64],
    signs: NDArray[np.float64],
    seen: float,
    extra: float = 0.0,
) -> Filtered:
    """Predict each weight from those before it.

    Parameters
    ----------
    device : PulsedDevice
        The configuration.
    planes : ndarray of shape (planes, traces)
        What the device of each trace carries, in the order of `PulsedDevice.planes`.
    weights : ndarray of shape (traces, pulses + 1)
        As they are seen; NaN where nothing is known.
    signs : ndarray of shape (traces, pulses)
        Of the pulses.
    seen : float
        Variance of a weight that is seen, around that on which pulses act.
    extra : float
        A variance to add to that of every pulse.
    """
    names = device.bound_law(device.draws)._asdict()
    reference = np.zeros(len(weights))
    if device.subtracts_reference:
        reference = np.ascontiguousarray(planes[device.planes().index("reference")])
    out = np.full((3, *signs.shape), np.nan)
    state = planes[:, None, :].copy()
    kernel(filter_each, "double", **names)(
        out, weights, signs, reference, state, device.model_vector(), seen, extra
    )
    return Filtered(out[0], out[1], out[2], weights[:, 1:] - out[0])
