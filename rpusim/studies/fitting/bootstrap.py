r"""Confidence intervals by the bootstrap: the same fit, of devices or stretches drawn with repeats.

A resample is solved where the model was made linear, at the estimate: the mean law by the normal
equations of `rpusim.studies.fitting.spread`, with resampled sums; noise by one Newton step of the
logarithms of its values, :math:`\Delta = -K^{-1} \sum_u v_u s_u`, with the slope :math:`s_u` and
the curvature K of minus the log likelihood, and counts :math:`v_u` of the units u. That takes
microseconds where a fit takes seconds.

The interval of a spread is that of its likelihood, :math:`\rho\, e^{\pm q \epsilon}`, with the
standard error :math:`\epsilon` of its logarithm and the quantile q of a normal. Resamples of few
devices lack the extremes that tell of a spread: of 6 normal devices 95 % of the intervals from
resamples hold the true spread 69 times in 100, these 92 times; of 40 devices 90 and 95 times.

Source: Davison and Hinkley, Bootstrap methods and their application (1997), chapters 2 and 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rpusim.studies.fitting.noise import NoiseCost, curvature, largest_hidden, normal_rows
from rpusim.studies.fitting.parameters import WRITE_NOISE, base_of, unit_of
from rpusim.studies.fitting.problem import Problem
from rpusim.studies.fitting.solve import Solution, device_blocks, telling_rows
from rpusim.studies.fitting.spread import Blocks, blocks, inverse, pooled, spread_cost

__all__ = ["FEWEST_DEVICES", "intervals"]

FEWEST_DEVICES = 6  # from so many on, devices are resampled; and spreads are fitted
STRETCHES = 25  # of consecutive pulses, into which a trace is cut otherwise
H = 0.02  # of finite differences of logarithms
TINY = 1e-4  # relative noise or spread from where one is looked for that would show


def intervals(
    problem: Problem, solution: Solution, level: float, resamples: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return the confidence intervals of all fitted parameters.

    Parameters
    ----------
    problem, solution
        What was solved, and how.
    level : float
        Probability that an interval holds the true value.
    resamples : int
        How many are drawn.
    rng : Generator
        Of the resamples.
    """
    counts, unit = _resamples(problem, resamples, rng)
    drawn = _mean_laws(problem, solution, counts, unit)
    drawn |= _noises(problem, solution, counts, unit)
    device, found = problem.device_at(solution.point), {}
    for name, values in drawn.items():
        if name == WRITE_NOISE:  # absolute in a point
            base = base_of(device, name)
            values = values / np.abs(drawn.get(base or "", unit_of(device, name)))
        low, high = np.quantile(values, [0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        found[name] = (float(low), float(high))
    return found | _spreads(problem, solution, level) | _hidden(problem, solution)


def _resamples(
    problem: Problem, resamples: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Return how often every unit counts, (resamples, units), and the unit of every step.

    Units are devices, or, of fewer devices, stretches of each: then every device keeps its number.
    """
    if problem.devices >= FEWEST_DEVICES:
        even = np.full(problem.devices, 1.0 / problem.devices)
        counts = rng.multinomial(problem.devices, even, size=resamples)
        return counts, np.broadcast_to(problem.owner[:, None], problem.used.shape)
    rank = np.cumsum(problem.used, axis=1) - 1
    steps = np.maximum(problem.used.sum(axis=1), 1)[:, None]
    stretch = np.minimum(rank * STRETCHES // steps, STRETCHES - 1)
    repeat = (np.arange(len(problem.owner)) % problem.repeats)[:, None]
    size = problem.repeats * STRETCHES
    unit = problem.owner[:, None] * size + repeat * STRETCHES + stretch
    even = np.full(size, 1.0 / size)
    counts = rng.multinomial(size, even, size=(resamples, problem.devices))
    return counts.reshape(resamples, -1), unit


def _mean_laws(
    problem: Problem, solution: Solution, counts: NDArray, unit: NDArray
) -> dict[str, NDArray]:
    """Return the values of every parameter of the mean law, (resamples,)."""
    x, z, w = telling_rows(problem, solution.point)
    made = blocks(x, z, w, unit[problem.used], counts.shape[1])
    ones = np.ones(z.shape[1])
    if problem.devices >= FEWEST_DEVICES:
        h, g, _ = pooled(made, ones)
        h, g = np.tensordot(counts, h, 1), counts @ g
        h0, g0 = (part.sum(axis=0) for part in pooled(made, ones)[:2])
    else:
        parts = counts.reshape(len(counts), problem.devices, -1)
        sums = [pooled(made.joined(v), ones) for v in parts]
        h, g = (np.array([s[k].sum(axis=0) for s in sums]) for k in (0, 1))
        whole = made.joined(np.ones(parts.shape[1:]))
        h0, g0 = (part.sum(axis=0) for part in pooled(whole, ones)[:2])
    values = np.array([solution.point.values[n] for n in problem.mean])
    values = values + (inverse(h)[0] @ g[..., None])[..., 0] - inverse(h0)[0] @ g0
    return dict(zip(problem.mean, values.T, strict=True))


def _noises(
    problem: Problem, solution: Solution, counts: NDArray, unit: NDArray
) -> dict[str, NDArray]:
    """Return the values of every noise parameter that shows."""
    values = solution.point.values
    names = [n for n in problem.noise if values[n] > 0.0]
    if not names:
        return {}
    cost = NoiseCost(problem, solution.point, normal_rows(problem, solution.point))

    def each(logarithms: NDArray) -> NDArray:
        moved = zip(names, np.exp(logarithms), strict=True)
        rows = cost.each({n: values[n] * factor for n, factor in moved})
        return np.bincount(unit[problem.used], rows[problem.used], counts.shape[1])

    steps = H * np.eye(len(names))
    slopes = np.stack([(each(s) - each(-s)) / (2.0 * H) for s in steps], axis=1)
    slopes -= slopes.mean(axis=0)
    inverted = np.linalg.pinv(curvature(lambda x: float(each(x).sum()), len(names)))
    logarithms = -(counts @ slopes) @ inverted
    return {n: values[n] * np.exp(logarithms[:, k]) for k, n in enumerate(names)}


def _spreads(problem: Problem, solution: Solution, level: float) -> dict[str, tuple[float, float]]:
    """Return the intervals of the spreads that show: their logarithms are normal."""
    point, errors = solution.point, solution.errors
    device, values = problem.device_at(point), point.values
    wide, found = float(norm.ppf(0.5 + 0.5 * level)), {}
    for name in problem.latents:
        if errors.get(name, 0.0) > 0.0:
            base = base_of(device, name) or ""
            relative = errors.get(base, 0.0) / values.get(base, 1.0)
            factor = np.exp(wide * np.hypot(errors[name] / values[name], relative))
            value = values[name] / unit_of(device, name)
            found[name] = (float(value / factor), float(value * factor))
    return found


def _hidden(problem: Problem, solution: Solution) -> dict[str, tuple[float, float]]:
    """Return the intervals of noises and spreads that are 0, since they do not show."""
    point, found = solution.point, {}
    device, noise_cost = (
        problem.device_at(point),
        NoiseCost(problem, point, normal_rows(problem, point)),
    )
    for name in problem.noise:
        if point.values[name] == 0.0:
            unit = unit_of(device, name) if name == WRITE_NOISE else 1.0
            high = largest_hidden(lambda v, n=name, u=unit: noise_cost({n: v * u}), TINY)  # type: ignore[misc]
            found[name] = (0.0, high)
    for k, name in enumerate(problem.latents):
        if np.isnan(solution.errors.get(name, 0.0)):
            shown = point.change({name: TINY * unit_of(device, name)})
            made, alone = device_blocks(problem, shown), np.arange(len(problem.latents)) == k

            def cost(rho: float, made: Blocks = made, alone: NDArray = alone) -> float:
                return spread_cost(made, np.where(alone, rho, 1.0))

            found[name] = (0.0, TINY * largest_hidden(cost, 1.0))
    return found
