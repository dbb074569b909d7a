"""Key figures of each of many devices, vectorised: symmetry point, granularity, noise of a step.

The mean device's are in `rpusim.devices.figures`; the definitions are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.devices.exact import ExactLaw
from rpusim.devices.figures import GRID, HALVINGS

__all__ = ["granularities", "references", "step_noise", "symmetry_points"]

SMALL = 1e-3  # normal by which the noise is measured: too small for a bound to matter

Floats = NDArray[np.float64]


def references(law: ExactLaw) -> Floats:
    """Return what is subtracted from each device's raw weight to give the one that is seen."""
    return law.plane("reference") if law.device.subtracts_reference else np.zeros(law.size)


def symmetry_points(law: ExactLaw) -> Floats:
    """Return the seen weight at which the steps up and down of each device are equal.

    Where there are several, the one nearest to 0 that attracts; where all weights are, 0 (or the
    nearest that the device can hold); NaN where there is none, and for devices whose single pulses
    do nothing because they only fill a hidden state.
    """
    low, high, reference = law.plane("min_bound"), law.plane("max_bound"), references(law)
    bounded = np.isfinite(high) & np.isfinite(low)
    first, last = (np.where(bounded, bound, reference) for bound in (low, high))
    grid = np.linspace(first, last, GRID)
    steps = np.stack([law.free_steps(w) for w in grid])
    drive, size = steps.sum(axis=1), np.abs(steps).max(axis=(0, 1))
    falls = (drive[:-1] >= 0.0) & (drive[1:] < 0.0)
    away = np.where(falls, np.abs(0.5 * (grid[:-1] + grid[1:]) - reference), np.inf)
    k, every = away.argmin(axis=0), np.arange(law.size)
    a, b = grid[k, every], grid[k + 1, every]
    for _ in range(HALVINGS):
        middle = 0.5 * (a + b)
        rising = law.free_steps(middle).sum(axis=0) >= 0.0
        a, b = np.where(rising, middle, a), np.where(rising, b, middle)
    root = np.where(falls.any(axis=0), 0.5 * (a + b), np.nan)
    anywhere = ~bounded | (np.abs(drive).max(axis=0) <= 1e-12 * size)
    root = np.where(anywhere, np.clip(reference, low, high), root)
    idle = (size == 0.0) & (low < high)
    return np.where(idle, np.nan, root - reference)


def granularities(law: ExactLaw) -> Floats:
    """Return the mean of each device's two steps at its symmetry point, or at 0 without one.

    0 for a stuck device; the mean device's where single pulses do nothing because they only fill a
    hidden state.
    """
    w = np.nan_to_num(symmetry_points(law)) + references(law)
    mean = 0.5 * (np.abs(law.step(w, 1.0)) + np.abs(law.step(w, -1.0)))
    idle = (mean == 0.0) & (law.plane("min_bound") < law.plane("max_bound"))
    return np.where(idle, law.device.weight_granularity, mean)


def step_noise(law: ExactLaw, w: ArrayLike, sign: float) -> Floats:
    r"""Return the standard deviation of one pulse from raw weights `w`, cycle to cycle.

    .. math:: s^2 = \sum_k (\partial \Delta w / \partial z_k)^2

    over the normals of the law: exact if it is linear in them, away from the bounds.

    Parameters
    ----------
    law : ExactLaw
        Of the devices.
    w : float or array_like of shape (devices,)
        Raw weights.
    sign : float
        +1 up, -1 down.
    """
    mean, variance = law.step(w, sign), np.zeros(law.size)
    for k in range(law.device.draws):
        z: Any = np.zeros((law.device.draws, law.size))
        z[k] = SMALL
        sides = [np.abs(law.step(w, sign, side * z) - mean) for side in (1.0, -1.0)]
        variance += (np.maximum(*sides) / SMALL) ** 2  # a bound can stop one side only
    return np.sqrt(variance)
