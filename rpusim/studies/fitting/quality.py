"""How good a fit is: what it explains without data, and whether what is left is noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from rpusim.studies.fitting.filter import run_filter
from rpusim.studies.fitting.noise import normal_rows
from rpusim.studies.fitting.problem import Point, Problem

__all__ = ["Quality", "quality"]

BINS = 10  # of the weight, for each direction, in which residuals must be 0 on average


class Quality(NamedTuple):
    """What `quality` finds; arrays are of shape (traces, pulses) or (traces, pulses + 1).

    Attributes
    ----------
    trace, spread : ndarray
        Mean and standard deviation of the weights, given the first measured one only.
    residuals, standard : ndarray
        Measured weight minus that predicted from all before, and over its standard deviation.
    r2, reduced_chi2, shape_p, white_p : float
        See `rpusim.studies.Fit`.
    """

    trace: NDArray[np.float64]
    spread: NDArray[np.float64]
    residuals: NDArray[np.float64]
    standard: NDArray[np.float64]
    r2: float
    reduced_chi2: float
    shape_p: float
    white_p: float


def quality(problem: Problem, point: Point) -> Quality:
    """Return how well a point fits."""
    found = problem.filter(point)
    residuals = np.where(problem.used, found.innovations, np.nan)
    standard = residuals / np.sqrt(found.variances + found.lost)
    normal = normal_rows(problem, point)
    trace, spread = _unaided(problem, point)
    known = np.isfinite(problem.weights)
    off = (problem.weights - trace)[known]
    around = problem.weights[known] - problem.weights[known].mean()
    freedom = max(int(normal.sum()) - len(problem.mean) - point.z.size, 1)
    return Quality(
        trace,
        spread,
        residuals,
        standard,
        1.0 - float(np.sum(off**2) / np.sum(around**2)),
        float(np.sum(standard[normal] ** 2)) / freedom,
        _shape_p(problem, standard, normal),
        _white_p(standard, normal),
    )


def _unaided(problem: Problem, point: Point) -> tuple[NDArray, NDArray]:
    """Return mean and spread of every weight, from the first measured one on."""
    device, planes = problem.device_at(point), problem.planes(point)[:, problem.owner]
    known = np.isfinite(problem.weights)
    first = known & (np.cumsum(known, axis=1) == 1)
    start = np.where(first, problem.weights, np.nan)
    found = run_filter(device, planes, start, problem.signs, problem.seen(point))
    trace, spread = start.copy(), np.where(first, 0.0, np.nan)
    trace[:, 1:] = np.where(first[:, 1:], trace[:, 1:], found.means)
    spread[:, 1:] = np.where(first[:, 1:], spread[:, 1:], np.sqrt(found.variances))
    return trace, spread


def _shape_p(problem: Problem, standard: NDArray, normal: NDArray) -> float:
    """Return the probability of means, over bins of weight, farther from 0 than these."""
    before = problem.weights[:, :-1]
    total, bins = 0.0, 0
    for sign in (1.0, -1.0):
        rows = normal & (problem.signs == sign) & np.isfinite(before)
        if rows.sum() < BINS * BINS:
            continue
        edges = np.quantile(before[rows], np.linspace(0.0, 1.0, BINS + 1)[1:-1])
        place = np.searchsorted(edges, before[rows])
        count = np.bincount(place, minlength=BINS)
        sums = np.bincount(place, standard[rows], minlength=BINS)
        total += float(np.sum(sums[count > 0] ** 2 / count[count > 0]))
        bins += int((count > 0).sum())
    return float(chi2.sf(total, max(bins - len(problem.mean), 1))) if bins else float("nan")


def _white_p(standard: NDArray, normal: NDArray) -> float:
    """Return the probability of successive residuals more alike, or unlike, than these."""
    pairs = normal[:, 1:] & normal[:, :-1]
    if not pairs.any():
        return float("nan")
    products = (standard[:, 1:] * standard[:, :-1])[pairs]
    spread = np.sqrt(np.sum(products**2)) or 1.0
    return float(2.0 * norm.sf(abs(products.sum()) / spread))
