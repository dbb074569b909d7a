"""Where a fit starts: bounds from extremes, steps from increments, noise from second differences.

Several starting points are made, with windows of several widths and shapes drawn at random, for the
best of which the fit is then worked out.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from rpusim.devices.spread import UpDownConvention
from rpusim.errors import ConfigError
from rpusim.studies.fitting.parameters import (
    SHIFT,
    STEPS,
    WINDOW,
    WRITE_NOISE,
    number,
    unit_of,
    without_spread,
)
from rpusim.studies.fitting.problem import Point, Problem

__all__ = ["noise_levels", "relative_spreads", "start_noise", "starting_points"]

WIDENED = (1.0, 1.1, 1.5)  # windows, relative to what most of the weights span
MOST = 0.95  # of the weights
SHAPES = 0.7  # standard deviation of the logarithm of a shape parameter
NOISE = 0.1  # where a noise starts of which nothing is known
FREED = 1e4  # times the squared span: extra noise with which each step stands alone
LEAST = 0.01  # of the mean square of increments: what is taken for the law's at least
UPPER, LOWER = ("w_max", "range_max"), ("w_min", "range_min")


def noise_levels(problem: Problem) -> tuple[float, float]:
    """Return standard deviations of a pulse and of what is seen, from second differences.

    Within a run of equal pulses the mean law cancels, and :math:`D = y_{t+2} - 2 y_{t+1} + y_t` has
    variance :math:`2 g^2 + 6 s^2`, and covariance :math:`-g^2 - 4 s^2` with the next one.
    """
    y, signs = problem.weights, problem.signs
    second = y[:, 2:] - 2.0 * y[:, 1:-1] + y[:, :-2]
    run = (signs[:, 1:] == signs[:, :-1]) & (signs[:, 1:] != 0.0)
    second = np.where(run, second, np.nan)
    products = second[:, 1:] * second[:, :-1]
    if not np.isfinite(products).any():
        step = np.nanmean(np.diff(y, axis=1) ** 2)
        return float(NOISE * np.sqrt(step)), 0.0
    variance, covariance = float(np.nanmean(second**2)), float(np.nanmean(products))
    seen = max(-0.5 * variance - covariance, 0.0)
    return float(np.sqrt(max(0.5 * variance - 3.0 * seen, 0.0))), float(np.sqrt(seen))


def start_noise(problem: Problem) -> float:
    """Set where the noise of a problem starts; return the size of a step, by the mean square."""
    pulse, seen = noise_levels(problem)
    change = np.diff(problem.weights, axis=1)[problem.used]
    square = float(np.nanmean(change**2))
    step = float(np.sqrt(max(square - 2.0 * seen**2 - pulse**2, LEAST * square)))
    known = {
        "dw_min_std": max(pulse, problem.resolution) / step,
        WRITE_NOISE: max(seen, NOISE * pulse, problem.resolution),
    }
    for name in problem.noise:
        problem.noise[name] = known.get(name, number(problem.device, name) or NOISE)
    return step


def starting_points(
    problem: Problem, extra: float, count: int, rng: np.random.Generator
) -> list[Point]:
    """Return starting points, the likeliest first.

    Parameters
    ----------
    problem : Problem
        Whose device has the values that are not derived from the data.
    extra : float
        Variance to add to that of every pulse.
    count : int
        How many are tried; those that the device refuses are left out.
    rng : Generator
        For the shapes.
    """
    points: list[Point] = []
    shapes = [n for n in problem.mean if n not in STEPS + WINDOW + SHIFT + UPPER + LOWER]
    widths: list[float | None] = [*WIDENED, None]
    for k, width in zip(range(count), itertools.cycle(widths), strict=False):
        values = {n: number(problem.device, n) for n in problem.mean}
        if k >= len(widths):
            factors = np.exp(SHAPES * rng.standard_normal(len(shapes)))
            values |= {n: values[n] * f for n, f in zip(shapes, factors, strict=True)}
        try:
            point = _started(problem, {**values, **problem.noise}, width)
        except ConfigError:
            continue
        if all(point.values != other.values for other in points):
            points.append(point)
    return sorted(points, key=lambda point: _misfit(problem, point, extra))


def _misfit(problem: Problem, point: Point, extra: float) -> float:
    value = float(np.sum((problem.residuals(point, extra) / problem.deviation(point, extra)) ** 2))
    return value if np.isfinite(value) else np.inf


def _started(problem: Problem, values: dict[str, float], width: float | None) -> Point:
    """Return the point with window and steps from the data; no `width`: the device's window."""
    z = np.zeros((problem.devices, len(problem.latents)))
    low, high = _windows(problem, width or 1.0)
    if width is not None:
        values |= _window(problem, low.mean(), high.mean())
    for column, (spread, latent) in enumerate(problem.latents.items()):
        d = number(problem.device, spread)
        if latent == "max_bound":
            z[:, column] = (high / high.mean() - 1.0) / d
        elif latent == "min_bound":
            z[:, column] = (low / low.mean() - 1.0) / d
    z = np.clip(z, -3.0, 3.0)
    point = _limited(problem, Point(values, z))
    point = _limited(problem, _scaled(problem, point))
    return point.change(relative_spreads(problem, point))


def relative_spreads(problem: Problem, point: Point) -> dict[str, float]:
    """Return the absolute spreads that are as large, relatively, as those of the device given."""
    at = problem.device_at(point)
    return {n: number(problem.device, n) * unit_of(at, n) for n in problem.latents}


def _windows(problem: Problem, width: float) -> tuple[NDArray, NDArray]:
    """Return what most weights of each device span, widened."""
    by_device = problem.weights.reshape(problem.devices, -1)
    # a constant step says nothing of its bounds before it meets them: they start where none is met
    most = MOST if problem.device.step_depends_on_weight else 1.0
    low, high = np.nanquantile(by_device, [1.0 - most, most], axis=1)
    mean_device = without_spread(problem.device).mean_device()
    reference = getattr(mean_device, "reference", 0.0)
    middle, half = 0.5 * (low + high) + reference, 0.5 * width * (high - low)
    return middle - half, middle + half


def _window(problem: Problem, low: float, high: float) -> dict[str, float]:
    """Return the values of those fitted parameters that are bounds; 0 lies between them."""
    small = 0.05 * (high - low)
    found = dict.fromkeys(UPPER, max(high, small)) | dict.fromkeys(LOWER, min(low, -small))
    return {name: value for name, value in found.items() if name in problem.mean}


def _limited(problem: Problem, point: Point) -> Point:
    """Return the point within the limits of the parameters, at the user's starts if given."""
    values = {}
    for name, limit in problem.mean.items():
        value = point.values[name] if limit.start is None else limit.start
        values[name] = min(max(value, limit.low), limit.high)
    return point.change(values)


def _scaled(problem: Problem, point: Point) -> Point:
    """Return the point with steps, up and down, that fit the measured increments."""
    found = problem.filter(point, FREED * float(np.ptp(problem.extremes)) ** 2)
    change = np.diff(problem.weights, axis=1)
    predicted = change - found.innovations
    usable = problem.used & np.isfinite(change) & (predicted * problem.signs > 0.0)
    factor = {}
    for sign in (1.0, -1.0):
        part = usable & (problem.signs == sign)
        squares = np.sum(predicted[part] ** 2)
        ratio = np.sum(predicted[part] * change[part]) / squares if squares > 0.0 else np.nan
        factor[sign] = ratio
    good = [f for f in factor.values() if np.isfinite(f) and f > 0.0]
    if not good:
        return point
    up, down = (f if np.isfinite(f) and f > 0.0 else float(np.mean(good)) for f in factor.values())
    device, dev = problem.device_at(point), problem.device_at(point).mean_device()
    rise, fall = dev.dwmin_up * up, dev.dwmin_down * down
    mean, tables = 0.5 * (rise + fall), [n for n in problem.mean if "[" in n]
    values = {}
    if "dw_min" in problem.mean and "up_down" in problem.mean and not tables:
        symmetric = device.up_down_convention is UpDownConvention.MEAN
        values["dw_min"] = mean if symmetric else max(rise, fall)
        values["up_down"] = (
            0.5 * (rise - fall) / mean if symmetric else (rise - fall) / max(rise, fall)
        )
    elif "dw_min" in problem.mean:
        values["dw_min"] = point.values["dw_min"] * mean / (0.5 * (dev.dwmin_up + dev.dwmin_down))
    elif "alpha" in problem.mean:
        values["alpha"] = point.values["alpha"] * 0.5 * (up + down)
    else:
        factors = {n: up if "_up[" in n else down if "_down[" in n else 1.0 for n in tables}
        values |= {n: point.values[n] * factor for n, factor in factors.items()}
    return point.change(values)
