r"""Solving a fit: mean law, noise and spreads in turn, until none of them changes.

1. The mean law and the deviations of the devices: least squares of the residuals, each divided by
   its standard deviation, and of the deviations z themselves, which are standard normals.
2. The noise: maximum likelihood, see `rpusim.studies.fitting.noise`.
3. The spreads: the same, see `rpusim.studies.fitting.spread`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import csr_array, diags_array, hstack, vstack

from rpusim.errors import ConfigError
from rpusim.studies.fitting.noise import SHOWN, normal_rows, solve_noise
from rpusim.studies.fitting.problem import Point, Problem
from rpusim.studies.fitting.spread import Blocks, blocks, pooled, solve_spreads, spread_cost

__all__ = ["ROUNDS", "Solution", "solve", "solve_mean", "telling_rows"]

DENSE = 64  # unknowns up to which the equations of least squares are solved directly
ROUNDS = 30
EARLY = 3  # rounds before which no spread is ruled out
SETTLED = 0.03  # of a standard error: a smaller change is none
RELATIVE = 1e-7  # or of the value


@dataclasses.dataclass(frozen=True)
class Solution:
    """What `solve` found.

    Attributes
    ----------
    point : Point
        The parameters.
    errors : dict of str to float
        Their standard errors; NaN for a noise or spread that does not show and is 0.
    blocks : Blocks
        Of the devices, at the point.
    rounds : int
        How many it took.
    success : bool
        Whether the last one changed nothing.
    message : str
        What SciPy says of the last least squares.
    """

    point: Point
    errors: dict[str, float]
    blocks: Blocks
    rounds: int
    success: bool
    message: str


def solve(problem: Problem, point: Point, spreads: Collection[str], most: int = ROUNDS) -> Solution:
    """Solve for mean law, noise and some spreads, in at most so many rounds."""
    for count in range(1, most + 1):
        old = point
        point, found = solve_mean(problem, point)
        if count <= EARLY:  # settled later, or solutions may alternate with them
            rows = normal_rows(problem, point)
        point, noise_errors = solve_noise(problem, point, rows)
        made = device_blocks(problem, point)
        point, spread_errors = _with_spreads(problem, point, made, spreads, count >= EARLY)
        errors = {**mean_errors(problem, made), **noise_errors, **spread_errors}
        done = count >= EARLY and _settled(old, point, errors)
        if done:
            break
    point = _unfolded(problem, point)
    return Solution(point, errors, made, count, done and bool(found.success), found.message)


def _unfolded(problem: Problem, point: Point) -> Point:
    """Return the point with negative values made positive where the device folds them."""
    here = problem.residuals(point)
    for name in problem.mean:
        value = point.values[name]
        if value < 0.0 and problem.mean[name].high > 0.0:
            positive = point.change({name: -value})
            if np.array_equal(problem.residuals(positive), here):
                point = positive
    return point


def _settled(old: Point, new: Point, errors: Mapping[str, float]) -> bool:
    """Return whether no parameter changed by as much as matters."""
    return all(
        not abs(value - old.values[name])
        > max(SETTLED * np.nan_to_num(errors.get(name, 0.0)), RELATIVE * abs(value))
        for name, value in new.values.items()
    )


def _with_spreads(
    problem: Problem, point: Point, made: Blocks, spreads: Collection[str], late: bool
) -> tuple[Point, dict[str, float]]:
    """Return the point with the likeliest spreads, and their standard errors.

    Once it is `late`, a spread that the data do not show becomes 0.
    """
    fitted = np.array([n in spreads and point.values[n] > 0.0 for n in problem.latents], bool)
    rho, log_errors = solve_spreads(made, fitted)
    z, errors = point.z / rho, dict[str, float]()
    least = spread_cost(made, rho)
    values = {}
    for k, name in enumerate(problem.latents):
        if fitted[k]:
            without = np.where(np.arange(rho.size) == k, 0.0, rho)
            shows = not late or spread_cost(made, without) > least + SHOWN
            values[name] = point.values[name] * float(rho[k]) if shows else 0.0
            z[:, k] *= shows
            errors[name] = values[name] * float(log_errors[k]) if shows else np.nan
        elif name in spreads:
            errors[name] = np.nan
    return point.change(values, z), errors


def mean_errors(problem: Problem, made: Blocks) -> dict[str, float]:
    """Return the standard errors of the mean law."""
    h = pooled(made, np.ones(made.zz.shape[1]))[0].sum(axis=0)
    size = np.sqrt(np.maximum(np.diag(h), 1e-300))
    covariance = np.linalg.pinv(h / np.outer(size, size), rcond=1e-12, hermitian=True)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0)) / size
    return dict(zip(problem.mean, errors.tolist(), strict=True))


def device_blocks(problem: Problem, point: Point) -> Blocks:
    """Return the blocks of the devices at a point."""
    x, z, w = telling_rows(problem, point)
    return blocks(x, z, w, problem.row_owner[: len(w)], problem.devices)


def telling_rows(problem: Problem, point: Point) -> tuple[NDArray, NDArray, NDArray]:
    """Return what `blocks` needs of the measured steps, without what only limits bounds."""
    rows = int(problem.used.sum())
    sd = problem.deviation(point)[:rows, None]
    x, z = (-slope[:rows] / sd for slope in problem.sensitivities(point))
    w = problem.residuals(point)[:rows] / sd[:, 0]
    return x, z, w + (z * point.z[problem.row_owner[:rows]]).sum(axis=1)


def solve_mean(
    problem: Problem,
    point: Point,
    extra: float = 0.0,
    evaluations: int = 50,
    tolerance: float = 1e-8,
) -> tuple[Point, Any]:
    """Return the point of least squares, and SciPy's result.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    point : Point
        Where to start; it also sets the weights of the residuals.
    extra : float
        Variance added to that of every pulse: far from the solution it keeps steps apart.
    evaluations : int
        At most so many.
    tolerance : float
        Relative change of the sum of squares that ends it.
    """
    sd = problem.deviation(point, extra)
    names, shape, free = list(problem.mean), point.z.shape, point.z.size

    def at(x: NDArray) -> Point:
        values = dict(zip(names, x.tolist(), strict=False))
        return point.change(values, x[len(names) :].reshape(shape))

    def residuals(x: NDArray) -> NDArray:
        try:
            misfit = problem.residuals(at(x), extra) / sd
        except ConfigError:  # parameters that exclude each other: a step too far
            misfit = np.full(sd.size, np.inf)
        return np.concatenate([misfit, x[len(names) :]])

    def slopes(x: NDArray) -> Any:
        by_value, by_z = (s / sd[:, None] for s in problem.sensitivities(at(x), extra))
        if not free:
            return by_value
        rows, columns = np.indices(by_z.shape)
        columns = columns + problem.row_owner[:, None] * shape[1]
        own = csr_array((by_z.ravel(), (rows.ravel(), columns.ravel())), (sd.size, free))
        prior = hstack([csr_array((free, len(names))), diags_array(np.ones(free))])
        whole = vstack([hstack([csr_array(by_value), own]), prior]).tocsr()
        return whole.toarray() if whole.shape[1] <= DENSE else whole

    low = np.array([problem.mean[n].low for n in names] + [-np.inf] * free)
    high = np.array([problem.mean[n].high for n in names] + [np.inf] * free)
    x = np.concatenate([[point.values[n] for n in names], point.z.ravel()])
    margin = 1e-9 * np.maximum(1e-3, np.abs(x))  # the start must not lie on a limit
    found = least_squares(
        residuals,
        np.clip(x, low + margin, high - margin),
        slopes,
        bounds=(low, high),
        x_scale="jac",
        ftol=tolerance,
        xtol=1e-10,
        gtol=1e-10,
        max_nfev=evaluations,
    )
    return at(found.x), found
