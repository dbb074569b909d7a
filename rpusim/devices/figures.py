"""Key figures of the mean device: step, symmetry point, granularity, in double precision.

Everything here takes the device's configuration; nothing is drawn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.kernels.bind import bind

__all__ = ["granularity", "mean_step", "root_of_steps", "symmetry_point"]

GRID, HALVINGS = 65, 60  # of the search for a symmetry point


def mean_step(device: Any, w: float, sign: float) -> float:
    """Return the change of the weight seen, from `w`, by one noise-free pulse."""
    dev, step = _law(device)
    raw = w + _reference(dev)
    new = raw + step(raw, sign)
    return float(min(max(new, dev.min_bound), dev.max_bound)) - raw


@functools.lru_cache(256)
def symmetry_point(device: Any) -> float:
    """Return the weight seen at which both steps are equal; NaN if there is none, 0 if any is."""
    dev, step = _law(device)
    root = root_of_steps(step, dev.min_bound, dev.max_bound, _reference(dev))
    return root - _reference(dev)


@functools.lru_cache(256)
def granularity(device: Any) -> float:
    """Return the mean of both steps at the symmetry point, else at 0, else `dw_min`."""
    point = symmetry_point(device) if device.step_depends_on_weight else 0.0
    dev, step = _law(device)  # a bound in reach does not make a pulse smaller
    for w in (0.0 if math.isnan(point) else point, 0.0):
        size = sum(abs(step(w + _reference(dev), sign)) for sign in (1.0, -1.0)) / 2.0
        if size > 0.0:
            return size
    return device.dw_min


def root_of_steps(
    step: Callable[[float, float], float], low: float, high: float, preferred: float
) -> float:
    """Return the weight in low..high to which equally many up and down pulses lead.

    Parameters
    ----------
    step : callable
        ``step(w, sign)``: the signed change by a pulse, without bounds.
    low, high : float
        The bounds.
    preferred : float
        The root nearest to this is taken; itself, limited to the bounds, if all weights are roots.

    Returns
    -------
    float
        NaN if there is none.
    """

    def drive(w: float) -> float:
        return step(w, 1.0) + step(w, -1.0)

    grid = np.linspace(low, high, GRID)
    values = np.array([drive(w) for w in grid])
    size = max(abs(step(w, sign)) for w in grid for sign in (1.0, -1.0))
    if size == 0.0 and low < high:  # a pulse by itself only fills a hidden state
        return math.nan
    if not math.isfinite(size) or np.abs(values).max() <= 1e-12 * size:
        return min(max(preferred, low), high)
    falls = np.flatnonzero((values[:-1] >= 0.0) & (values[1:] < 0.0))
    roots = []
    for k in falls:
        a, b = grid[k], grid[k + 1]
        for _ in range(HALVINGS):
            middle = 0.5 * (a + b)
            a, b = (middle, b) if drive(middle) >= 0.0 else (a, middle)
        roots.append(0.5 * (a + b))
    return float(min(roots, key=lambda w: abs(w - preferred))) if roots else math.nan


@functools.lru_cache(256)
def _law(device: Any) -> tuple[Any, Callable[[float, float], float]]:
    """Return the mean device and its noise-free step, ``step(w, sign)``."""
    dev, model, law = device.mean_device(), device.model(), bind(device.law(), "exact")
    quiet: Any = 0.0 if device.draws == 1 else (0.0,) * device.draws

    def step(w: float, sign: float) -> float:
        new = law(w, sign, dev, model, quiet)
        return float(new[0] if device.state else new) - w

    return dev, step


def _reference(dev: Any) -> float:
    return float(getattr(dev, "reference", 0.0))
