r"""Solving a fit: mean law, noise and spreads in turn, until none of them changes.

1. The mean law and the deviations of the devices: least squares of the residuals, each divided by
   its standard deviation, and of the deviations z themselves, which are standard normals. The
   search is for the parameters, with deviations that follow them, and for what these do beyond:
   a device at a bound ties its deviations to the parameters so closely that other searches stall.
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
from scipy.sparse import block_diag, csr_array, hstack, vstack

from rpusim.errors import ConfigError
from rpusim.studies.fitting.noise import SHOWN, normal_rows, solve_noise
from rpusim.studies.fitting.parameters import base_of, unit_of
from rpusim.studies.fitting.problem import Point, Problem
from rpusim.studies.fitting.spread import (
    Blocks,
    blocks,
    followers,
    inverse,
    likeliest,
    pooled,
    solve_spreads,
    spread_cost,
)

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
    rounds : int
        How many it took.
    success : bool
        Whether the last one changed nothing.
    message : str
        What SciPy says of the last least squares.
    """

    point: Point
    errors: dict[str, float]
    rounds: int
    success: bool
    message: str


def solve(problem: Problem, point: Point, spreads: Collection[str], most: int = ROUNDS) -> Solution:
    """Solve for mean law, noise and some spreads, in at most so many rounds."""
    for count in range(1, most + 1):
        old = point
        point, found = solve_mean(problem, point)
        point = _mirrored(problem, point)
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
    return Solution(point, errors, count, done and bool(found.success), found.message)


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
    least, values, errors = spread_cost(made, rho), dict[str, float](), dict[str, float]()
    kept = rho.copy()
    for k, name in enumerate(problem.latents):
        if fitted[k]:
            without = np.where(np.arange(rho.size) == k, 0.0, rho)
            shows = not late or spread_cost(made, without) > least + SHOWN
            kept[k] *= shows
            values[name] = point.values[name] * float(kept[k])
            errors[name] = values[name] * float(log_errors[k]) if shows else np.nan
        elif name in spreads:
            errors[name] = np.nan
    z = point.z / rho * (kept > 0.0)
    if (kept == 0.0).any():  # others make up for a deviation that goes, or the fit may be far off
        z = _better(problem, point, values, z, likeliest(made, kept))
    return point.change(values, z), errors


def _better(
    problem: Problem, point: Point, values: Mapping[str, float], *deviations: NDArray
) -> NDArray:
    """Return those deviations that, with some values changed, fit best."""
    sd = problem.deviation(point)

    def misfit(z: NDArray) -> float:
        off = problem.residuals(point.change(values, z)) / sd
        return float(off @ off + (z**2).sum())

    return min(deviations, key=misfit)


def _mirrored(problem: Problem, point: Point) -> Point:
    """Return the point with smaller deviations that are the same: devices fold negative sizes."""
    device = problem.device_at(point)
    for k, name in enumerate(problem.latents):
        spread, z = point.values[name], point.z.copy()
        if spread > 0.0 and base_of(device, name) is not None:
            other = -z[:, k] - 2.0 * unit_of(device, name) / spread
            folded = np.abs(other) < np.abs(z[:, k])
            if folded.any():
                z[folded, k] = other[folded]
                point = point.change({}, _better(problem, point, {}, point.z, z))
    return point


def mean_errors(problem: Problem, made: Blocks) -> dict[str, float]:
    """Return the standard errors of the mean law."""
    h = pooled(made, np.ones(made.latents))[0].sum(axis=0)
    errors = np.sqrt(np.diag(inverse(h)[0]))
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
    names, free, owner = list(problem.mean), point.z.size, problem.row_owner
    start = np.array([point.values[n] for n in names])
    x, z = (s / sd[:, None] for s in problem.sensitivities(point, extra))
    follow, own = followers(blocks(x, z, np.zeros(sd.size), owner, problem.devices))

    def at(x: NDArray) -> Point:
        values, y = x[: start.size], x[start.size :].reshape(point.z.shape)
        z = point.z + follow @ (values - start) + (own @ y[..., None])[..., 0]
        return point.change(dict(zip(names, values.tolist(), strict=True)), z)

    def residuals(x: NDArray) -> NDArray:
        here = at(x)
        try:
            misfit = problem.residuals(here, extra) / sd
        except ConfigError:  # parameters that exclude each other: a step too far
            misfit = np.full(sd.size, np.inf)
        return np.concatenate([misfit, here.z.ravel()])

    def slopes(x: NDArray) -> Any:
        by_value, by_z = (s / sd[:, None] for s in problem.sensitivities(at(x), extra))
        return _jacobian(by_value, by_z, follow, own, owner) if free else by_value

    low = np.array([problem.mean[n].low for n in names] + [-np.inf] * free)
    high = np.array([problem.mean[n].high for n in names] + [np.inf] * free)
    begin = np.concatenate([start, np.zeros(free)])
    margin = 1e-9 * np.maximum(1e-3, np.abs(begin))  # the start must not lie on a limit
    found = least_squares(
        residuals,
        np.clip(begin, low + margin, high - margin),
        slopes,
        bounds=(low, high),
        x_scale="jac",
        ftol=tolerance,
        xtol=1e-10,
        gtol=1e-10,
        max_nfev=evaluations,
    )
    return at(found.x), found


def _jacobian(
    by_value: NDArray, by_z: NDArray, follow: NDArray, own: NDArray, owner: NDArray
) -> Any:
    """Return the slopes of residuals and deviations by parameters and what deviations do beyond.

    Parameters
    ----------
    by_value, by_z : ndarray of shape (rows, parameters), (rows, latents)
        Slopes of the residuals by parameters and deviations.
    follow, own : ndarray
        See `rpusim.studies.fitting.spread.followers`.
    owner : ndarray of shape (rows,)
        The device of each row.
    """
    shared = by_value + np.einsum("rk,rkp->rp", by_z, follow[owner])
    beyond = np.einsum("rk,rkj->rj", by_z, own[owner])
    rows, columns = np.indices(beyond.shape)
    columns = columns + owner[:, None] * beyond.shape[1]
    free = own.shape[0] * own.shape[1]
    each = csr_array((beyond.ravel(), (rows.ravel(), columns.ravel())), (len(beyond), free))
    below = hstack([csr_array(follow.reshape(free, -1)), block_diag(own)])
    whole = vstack([hstack([csr_array(shared), each]), below]).tocsr()
    return whole.toarray() if whole.shape[1] <= DENSE else whole
