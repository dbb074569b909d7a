"""Which parameters the data can tell: those that change what is measured, each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.studies.fitting.parameters import WINDOW, number, unit_of, unknown_spread
from rpusim.studies.fitting.problem import Point, Problem
from rpusim.studies.fitting.solve import telling_rows

__all__ = ["drop_equivalent", "drop_unseen"]

ALIKE = 1e-4  # sine between what a parameter does and what those before it can do together
VAGUE = 3.0  # standard errors beyond so many times the usual size tell nothing
AWAY = 10.0  # how many times farther out a bound is put to see whether it matters
MATTERS = 4.0  # loss of log likelihood that says so
TOLD = 1.0  # information on a device's deviation, in units of a usual spread, that tells of it


def drop_equivalent(
    problem: Problem, point: Point, refuse: bool = False, keep: Sequence[str] = ()
) -> Point:
    """Leave out parameters whose effect others can have: they stay what they are at the point.

    Parameters
    ----------
    problem : Problem
        Its `mean` loses them, from its end, and its device gets their values.
    point : Point
        Where effects are compared.
    refuse : bool
        Raise `ConfigError` instead.
    keep : sequence of str
        Never leave out these.

    Returns
    -------
    Point
        Without them.
    """
    effects = telling_rows(problem, point)[0]
    kept = np.zeros((len(effects), 0))
    for effect, name in zip(effects.T, list(problem.mean), strict=True):
        rest = effect - kept @ (kept.T @ effect)
        rest -= kept @ (kept.T @ rest)
        own, whole = np.linalg.norm(rest), np.linalg.norm(effect)
        if own > ALIKE * whole:
            kept = np.column_stack([kept, rest / own])
        elif whole > 0.0 and name not in keep:
            if refuse:
                others = ", ".join(n for n in problem.mean if n != name)
                raise ConfigError(
                    f"fit: these data cannot tell {name!r} apart from {others}: leave it, or one "
                    "of them, out."
                )
            point = problem.fix(point, name, point.values[name])
    return point


def drop_unseen(problem: Problem, point: Point, device: Any) -> Point:
    """Leave out what does not matter for these data: it becomes, or stays, that of `device`.

    Bounds do not matter if they might as well be far away; other parameters, if their standard
    errors are larger than anything usual; spreads, if single deviations cannot be told.
    """
    for name, extremes in zip(WINDOW, problem.extremes, strict=True):
        farther = _without_bound(problem, point, name)
        if farther is not None:
            point = problem.forget(farther, f"{name}_dtod")
            given = number(device, name)
            beyond = np.abs(extremes).max() > abs(given)
            widest = extremes[np.abs(extremes).argmax()]
            point = problem.fix(point, name, float(widest) if beyond else given)
    span = float(np.ptp(problem.extremes))
    for name in reversed(list(problem.mean)):
        effects = telling_rows(problem, point)[0]
        errors = np.sqrt(np.abs(np.diag(np.linalg.pinv(effects.T @ effects))))
        k = list(problem.mean).index(name)
        size = max(abs(number(device, name)), span, 1.0)
        if not effects[:, k].any() or errors[k] > VAGUE * size:
            point = problem.fix(point, name, number(device, name))
    at = problem.device_at(point)
    told = (telling_rows(problem, point)[1] ** 2).sum(axis=0) / problem.devices
    for name, information in zip(list(problem.latents), told, strict=True):
        usual = unknown_spread(device, name) * unit_of(at, name)
        if information * usual**2 < TOLD * point.values[name] ** 2:
            point = problem.forget(point, name)
    return point


def _without_bound(problem: Problem, point: Point, name: str) -> Point | None:
    """Return the point with a bound far away, if it fits as well."""
    if name not in problem.mean:
        return None
    z = point.z.copy()
    z[:, [spread == f"{name}_dtod" for spread in problem.latents]] = 0.0
    away = point.change({name: AWAY * point.values[name]}, z)
    try:
        return away if _cost(problem, away) < _cost(problem, point) + MATTERS else None
    except ConfigError:
        return None


def _cost(problem: Problem, point: Point) -> float:
    """Return minus the logarithm of the likelihood of all steps, those at bounds included."""
    found = problem.filter(point)
    e, variances = found.innovations[problem.used], found.variances[problem.used]
    return 0.5 * float(np.sum(e**2 / variances + np.log(variances)))
