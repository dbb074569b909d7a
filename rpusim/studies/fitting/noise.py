"""The noise of pulses and of what is seen: how much of it makes the residuals likeliest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from rpusim.studies.fitting.problem import Point, Problem

__all__ = ["SHOWN", "NoiseCost", "curvature", "largest_hidden", "normal_rows", "solve_noise"]

FREE = 0.1  # variance taken away by bounds, over what is left, from which a residual is not normal
SHOWN = 2.0  # gain of the log likelihood by which a noise, or a spread, shows
HIDDEN = 1.92  # loss at the upper end of a 95 % interval that begins at 0
SMALL = 0.1  # of its start: from where a noise that was 0 is looked for again


def normal_rows(problem: Problem, point: Point) -> NDArray[np.bool_]:
    """Return which steps, (traces, pulses), are far enough from bounds to have normal residuals."""
    found = problem.filter(point)
    return problem.used & (found.lost < FREE * found.variances)


class NoiseCost:
    """Minus the logarithm of the likelihood of some residuals, up to a constant.

    Squares count for a little more than their number, since the mean law was fitted to them.
    """

    def __init__(self, problem: Problem, point: Point, rows: NDArray[np.bool_]) -> None:
        self.problem, self.point, self.rows = problem, point, rows
        unknowns = len(problem.mean) + point.z.size
        self.share = 1.0 - min(unknowns / max(self.rows.sum(), 1), 0.5)

    def each(self, values: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the contribution of every step, of shape (traces, pulses)."""
        found = self.problem.filter(self.point.change(values))
        e, variances = found.innovations[self.rows], found.variances[self.rows]
        out = np.zeros(self.rows.shape)
        out[self.rows] = 0.5 * (e**2 / variances / self.share + np.log(variances))
        return out

    def __call__(self, values: Mapping[str, float]) -> float:
        """Return the sum of all contributions."""
        return float(self.each(values).sum())


def solve_noise(
    problem: Problem, point: Point, rows: NDArray[np.bool_]
) -> tuple[Point, dict[str, float]]:
    """Return the point with the noise that makes some residuals likeliest, and standard errors.

    A noise that the data do not show is set to 0; its standard error is NaN.
    """
    cost, names = NoiseCost(problem, point, rows), list(problem.noise)
    if not names:
        return point, {}

    def at(logarithms: NDArray) -> dict[str, float]:
        return dict(zip(names, np.exp(logarithms).tolist(), strict=True))

    x = np.log([point.values[n] or SMALL * problem.noise[n] for n in names])
    simplex = x + np.concatenate([np.zeros((1, x.size)), 0.5 * np.eye(x.size)])
    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-3}
    best = minimize(lambda x: cost(at(x)), x, method="Nelder-Mead", options=options)
    values, least = at(best.x), float(best.fun)
    for name in names:
        without = cost({**values, name: 0.0})
        if without < least + SHOWN:
            values, least = {**values, name: 0.0}, without
    shown = [n for n in names if values[n] > 0.0]
    errors = dict.fromkeys(names, np.nan)
    if shown:

        def near(factors: NDArray) -> float:
            moved = {n: values[n] * f for n, f in zip(shown, np.exp(factors), strict=True)}
            return cost({**values, **moved})

        variances = np.diag(np.linalg.pinv(curvature(near, len(shown))))
        for name, variance in zip(shown, variances, strict=True):
            errors[name] = values[name] * float(np.sqrt(abs(variance)))
    return point.change(values), errors


def largest_hidden(cost: Callable[[float], float], start: float) -> float:
    """Return up to where a noise or spread that does not show may be: the likelihood says no more.

    Parameters
    ----------
    cost : callable
        Minus the logarithm of the likelihood, of the noise.
    start : float
        A small value, > 0.
    """
    allowed, value = cost(0.0) + HIDDEN, start
    while cost(value) < allowed and value < 1e12 * start:
        value *= 2.0
    low, high = 0.0, value
    for _ in range(10):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if cost(middle) < allowed else (low, middle)
    return high


def curvature(cost: Callable[[NDArray], float], size: int, h: float = 0.02) -> NDArray[np.float64]:
    """Return the second derivatives at 0 of a function of a vector, by finite differences."""
    steps = h * np.eye(size)
    out = np.empty((size, size))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps[: i + 1]):
            mixed = cost(a + b) - cost(a - b) - cost(b - a) + cost(-a - b)
            out[i, j] = out[j, i] = mixed / (4.0 * h * h)
    return out
