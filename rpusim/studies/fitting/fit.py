"""Fitting devices to measured pulse responses: from data to a configuration that is ready to use.

`rpusim.studies.fitting.filter` predicts measured weights, `rpusim.studies.fitting.solve` searches,
with SciPy, for the parameters that predict them best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rpusim.devices import PulsedDevice
from rpusim.errors import ConfigError
from rpusim.kernels.streams import Streams
from rpusim.studies.fitting.bootstrap import FEWEST_DEVICES, intervals
from rpusim.studies.fitting.choice import drop_equivalent, drop_unseen
from rpusim.studies.fitting.data import PulseData, checked_data, from_units
from rpusim.studies.fitting.kinds import Kinds, kinds
from rpusim.studies.fitting.parameters import (
    WINDOW,
    WRITE_NOISE,
    asked_for,
    base_of,
    latent_of,
    number,
    replaced,
    unit_of,
    unknown_spread,
    without_spread,
)
from rpusim.studies.fitting.problem import Point, Problem
from rpusim.studies.fitting.quality import quality
from rpusim.studies.fitting.result import Fit
from rpusim.studies.fitting.solve import ROUNDS, Solution, solve, solve_mean
from rpusim.studies.fitting.start import relative_spreads, start_noise, starting_points

__all__ = ["fit"]

ROUNDING = 1e-7  # of the largest weight: the resolution of data in single precision
FOLLOWED = 3  # of the starting points, the likeliest
APART = 0.5  # of a step: extra noise of each pulse while the law is still far from the data
NOT_CARRIED = ("decay_rates", "diffusion_rates", "reset_bias", "drift_nu")  # not told by pulses


def fit(
    device: PulsedDevice,
    pulses: ArrayLike,
    weights: ArrayLike,
    parameters: Sequence[str] | Mapping[str, Sequence[float]] | None = None,
    *,
    noise: Sequence[str] | None = None,
    spreads: Sequence[str] | None = None,
    units: Sequence[float] | None = None,
    resolution: float | None = None,
    starts: int = 8,
    bootstrap: int = 500,
    level: float = 0.95,
    rng: Any = 0,
) -> Fit:
    """Fit a device, built in or of your own, to measured weights before and after pulses.

    Parameters of the mean law, cycle-to-cycle noise and device-to-device spreads are found
    together, by weighted least squares and maximum likelihood. What is not fitted stays as it is in
    the device given.

    Parameters
    ----------
    device : PulsedDevice
        What kind of device it is; values that are not fitted, and starting points of shapes.
    pulses : array_like of shape (T,), (T, devices) or (T, devices, repeats)
        +1 up, -1 down, 0 none.
    weights : array_like of shape (T + 1,), (T + 1, devices) or (T + 1, devices, repeats)
        ``weights[t]`` was measured before pulse t, the last one after all; NaN: not measured.
        Repeats are further traces of the same device.
    parameters : sequence of str, or dict of str to (start, low, high), optional
        Parameters of the mean law to fit: fields of the device, or entries of its tables as
        ``"piecewise_up[0]"``. Default: all that these data can tell.
    noise, spreads : sequence of str, optional
        Parameters of the noise, and spreads from device to device, to fit; ``[]`` for none.
        Default: those that the device has, spreads from 6 devices on.
    units : (float, float), optional
        The data are conductances: these two become `w_min` and `w_max` of the device given, and
        what lies between is scaled linearly.
    resolution : float, optional
        Standard deviation of the measurement itself, in weight units. Default: that of rounding to
        single precision.
    starts : int, default 8
        Starting points that are tried.
    bootstrap : int, default 500
        Resamples for the confidence intervals.
    level : float, default 0.95
        Probability of these intervals.
    rng : None, int, SeedSequence or Generator
        Source of starting points and resamples.

    Returns
    -------
    Fit

    Raises
    ------
    ConfigError
        If there is no such parameter, or the data cannot tell apart those that are named.
    DataError, ShapeError
        If the data are no pulses or weights, or do not fit each other.

    Notes
    -----
    Sources: Lindstrom and Bates, Biometrics 46, 673 (1990), for devices that differ; Arasaratnam
    et al., Proc. IEEE 95, 953 (2007), for the prediction of a trace with noise.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> weights = [0.0, 0.1, 0.19, 0.271, 0.144, 0.0296]
    >>> found = fit(SoftBoundsDevice(), [1, 1, 1, -1, -1], weights)
    >>> round(found.device.dw_min, 3), round(found.device.w_max, 3)
    (0.1, 1.0)
    """
    _check(device, starts, bootstrap, level)
    data = checked_data(pulses, weights)
    if units is not None:
        data = PulseData(data.pulses, from_units(data.weights, units, device))
    seed = Streams(rng).seed
    generator = np.random.default_rng(seed)
    known = kinds(device)
    problem, chosen = _problem(device, data, known, parameters, noise, spreads, resolution)
    point = _first_look(problem, starts, generator, alike=parameters is None)
    try:
        solution = _solved(problem, point, chosen, None if parameters else device)
        within = intervals(problem, solution, level, bootstrap, generator)
    except np.linalg.LinAlgError:
        raise ConfigError(
            "fit: these data do not determine these parameters; name fewer of them, or give starts "
            "and limits: parameters={name: (start, low, high)}."
        ) from None
    return _result(device, data, problem, solution, known, within, level, seed)


def _check(device: Any, starts: Any, bootstrap: Any, level: Any) -> None:
    if not isinstance(device, PulsedDevice):
        raise ConfigError(f"fit: device must be a pulsed device, got {device!r}.")
    for name, value in (("starts", starts), ("bootstrap", bootstrap)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"fit: {name} must be a positive integer, got {value!r}.")
    if not 0.0 < level < 1.0:
        raise ConfigError(f"fit: level must be between 0 and 1, got {level!r}.")


def _problem(
    device: Any,
    data: PulseData,
    known: Kinds,
    parameters: Any,
    noise: Any,
    spreads: Any,
    resolution: float | None,
) -> tuple[Problem, list[str]]:
    """Return the problem, and the names of the spreads to fit."""
    flat, devices = without_spread(device), data.weights.shape[1]
    mean = asked_for(
        flat, known.mean if parameters is None else parameters, known.mean, "parameters"
    )
    usual = [n for n in known.noise if n in ("dw_min_std", WRITE_NOISE) or number(device, n) > 0.0]
    noises = asked_for(flat, usual if noise is None else noise, known.noise, "noise")
    if spreads and devices < FEWEST_DEVICES:
        raise ConfigError(f"fit: spreads need {FEWEST_DEVICES} devices or more, got {devices}.")
    several = known.spreads if devices >= FEWEST_DEVICES else []
    chosen = list(
        asked_for(flat, several if spreads is None else spreads, known.spreads, "spreads")
    )
    differ = [n for n in known.spreads if n in chosen or (devices > 1 and number(device, n) > 0.0)]
    start = {n: number(device, n) or unknown_spread(device, n) for n in differ}
    latents = {n: str(latent_of(device, n)) for n in differ}
    if resolution is None:
        resolution = ROUNDING * float(np.nanmax(np.abs(data.weights)))
    if not 0.0 < resolution < np.inf:
        raise ConfigError(f"fit: resolution must be > 0, got {resolution!r}.")
    work = replaced(flat, start)
    return Problem(work, data, mean, list(noises), latents, float(resolution)), chosen


def _first_look(problem: Problem, starts: int, rng: np.random.Generator, alike: bool) -> Point:
    """Return the best point that least squares finds quickly.

    If parameters are found to do what others do (`alike`), they are left out.
    """
    extra = (APART * start_noise(problem)) ** 2
    points = starting_points(problem, extra, starts, rng)
    if not points:
        raise ConfigError("fit: no starting point is a valid device; name parameters with starts.")
    if alike:
        before = len(problem.mean)
        drop_equivalent(problem, points[0], keep=WINDOW)  # at the start, none may be met
        if len(problem.mean) < before:
            points = starting_points(problem, extra, starts, rng)
    looks = [solve_mean(problem, p, extra, 25, 1e-4) for p in points[:FOLLOWED]]
    point = min(looks, key=lambda look: look[1].cost)[0]
    return point.change(relative_spreads(problem, point))


def _solved(problem: Problem, point: Point, spreads: Sequence[str], device: Any) -> Solution:
    """Return the solution; if a `device` is given, parameters that the data cannot tell are its."""

    def left() -> list[str]:
        return [n for n in spreads if n in problem.latents]

    if device is None:
        drop_equivalent(problem, point, refuse=True)
        return solve(problem, point, left())
    rounds = 1  # enough to know the noise, and so what can be told
    while True:
        solution = solve(problem, point, left(), rounds)
        before = len(problem.mean) + len(problem.latents)
        point = drop_equivalent(problem, drop_unseen(problem, solution.point, device))
        if len(problem.mean) + len(problem.latents) == before and rounds > 1:
            return solution
        rounds = ROUNDS


def _result(
    device: Any,
    data: PulseData,
    problem: Problem,
    solution: Solution,
    known: Kinds,
    within: Mapping[str, tuple[float, float]],
    level: float,
    seed: int,
) -> Fit:
    point, at = solution.point, problem.device_at(solution.point)
    names = [n for n in (*problem.mean, *problem.noise, *problem.latents) if n in solution.errors]
    ready = replaced(device, {n: number(at, n) for n in (*known.mean, *names)})
    errors = {n: _error(problem, solution, at, n) for n in names}
    good = quality(problem, point)
    shape = data.weights.shape[1:]

    def by_device(array: Any) -> Any:
        return np.ascontiguousarray(array.T).reshape(-1, *shape)

    planes = dict(zip(at.planes(), problem.planes(point), strict=True))
    hidden = {n: p for n, p in planes.items() if n not in (*NOT_CARRIED, *at.state)}
    return Fit(
        device=ready,
        parameters={n: number(ready, n) for n in names},
        standard_errors=errors,
        intervals={n: within[n] for n in names},
        level=float(level),
        per_device=hidden,
        pulses=data.pulses,
        weights=data.weights,
        trace=by_device(good.trace),
        spread=by_device(good.spread),
        residuals=by_device(good.residuals),
        standard_residuals=by_device(good.standard),
        r2=good.r2,
        reduced_chi2=good.reduced_chi2,
        shape_p=good.shape_p,
        white_p=good.white_p,
        evaluations=problem.evaluations,
        success=solution.success,
        message=solution.message,
        seed=seed,
    )


def _error(problem: Problem, solution: Solution, at: Any, name: str) -> float:
    """Return a standard error in the unit of the configuration."""
    error, value = solution.errors[name], solution.point.values[name]
    if name != WRITE_NOISE and name not in problem.latents:
        return error
    base = base_of(at, name) or ""
    relative = solution.errors.get(base, 0.0) / solution.point.values.get(base, 1.0)
    return float(np.hypot(error, value * relative)) / unit_of(at, name)
