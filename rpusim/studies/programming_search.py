"""The search for a table of conductances: differential evolution, then a descent along gradients.

The objective is deterministic (`rpusim.inference.programming_loss`), so the best of many is the
best, and finite differences are slopes. Descents begin at the baseline, at tables that fill one
pair after the other, and where the evolution ends; that one begins with random tables only, because
a good one among them would draw all others to itself.

A factor and the weights at which a table bends belong together, but nodes stand where they are:
where factors are free, they are found on the given nodes first. With the factors known there are
nodes at the kinks of filling pair after pair, and the search goes on.

Source: Storn and Price, J. Glob. Optim. 11 (1997) 341, as implemented in SciPy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution, minimize

from rpusim.inference.converters import NPairConductanceConverter
from rpusim.inference.custom_pair import CustomPairConductanceConverter
from rpusim.inference.programming_loss import ProgrammingLoss
from rpusim.inference.programming_space import ProgrammingSpace
from rpusim.studies.programming_options import ProgrammingSearch
from rpusim.studies.programming_tables import (
    converter_of,
    fill_in_order,
    kinks_in_order,
    least_first,
    with_nodes,
)

__all__ = ["GAIN", "Search"]

GAIN = 1e-4  # of the loss: what counts as better; tables and groups of weights are as exact
SLOPE = 1e-4  # half width of finite differences, in the unit cube
STEPS = 200  # of a descent
TRIED = 9  # values of free factors from which descents start
SMALLEST = 5  # candidates of a generation, for SciPy

Found = tuple[np.ndarray, float]  # a point, and its loss


class Search:
    """A search among the tables of a space.

    Parameters
    ----------
    loss : ProgrammingLoss
        The objective.
    options : ProgrammingSearch
        How to look.
    rng : Generator
        Source of the draws.
    step : callable
        Called after each generation.
    """

    def __init__(
        self,
        loss: ProgrammingLoss,
        options: ProgrammingSearch,
        rng: np.random.Generator,
        step: Callable[[], Any],
    ) -> None:
        self.loss, self.options, self.rng, self.step = loss, options, rng, step

    def table(
        self, space: ProgrammingSpace, starts: list[np.ndarray]
    ) -> CustomPairConductanceConverter:
        """Return the best table.

        Parameters
        ----------
        space : ProgrammingSpace
            Where to look.
        starts : list of ndarray
            Points to begin with, beside that of filling pair after pair.
        """
        ordered = self.factors(space)
        others = [self._filled(space, logs).f_lst for logs in self._grid(space)[::2]]
        starts = [*starts, *(fill_in_order(space, f) for f in (ordered, *others))]
        best, _ = self._evolved(space, self._descended(space, starts))
        tables = least_first(space, space.tables(best))
        if not space.free or not self.options.extra_nodes:
            return converter_of(space, tables)
        finer, ends = [], []
        for f in (tables.f[0].tolist(), ordered):
            nodes = with_nodes(space.nodes, kinks_in_order(f), space.symmetric)
            finer.append(dataclasses.replace(space, f_lst=f, nodes=nodes))
            g = np.array([np.interp(nodes, space.nodes, row) for row in tables.g[0]])
            same = [] if f is ordered else [finer[-1].point(f, g)]
            ends.append(self._descended(finer[-1], [*same, fill_in_order(finer[-1], f)]))
        k = int(np.argmin([min(value for _, value in end) for end in ends]))
        best, _ = self._evolved(finer[k], ends[k])
        made = converter_of(space, tables), converter_of(finer[k], finer[k].tables(best))
        return min(made, key=lambda table: self.loss.of_converter(table)[0])

    def factors(self, space: ProgrammingSpace) -> list[float]:
        """Return factors, free ones as they are best if one pair is filled after the other.

        Parameters
        ----------
        space : ProgrammingSpace
            Its factors and their range are used.
        """
        if not space.free:
            return list(space.f_lst)

        def objective(logs: Any) -> float:
            return self.loss.of_converter(self._filled(space, logs))[0]

        first = min(self._grid(space), key=objective)
        bounds = [(np.log(space.f_min), np.log(space.f_max))] * len(space.free)
        found = minimize(objective, first, method="Nelder-Mead", bounds=bounds)
        return list(self._filled(space, found.x).f_lst)

    def _grid(self, space: ProgrammingSpace) -> list[list[float]]:
        """Return logarithms of the free factors to begin with, if there are any."""
        values = np.linspace(np.log(space.f_min), np.log(space.f_max), TRIED)
        return [[float(value)] * len(space.free) for value in values] if space.free else []

    def _filled(self, space: ProgrammingSpace, logs: Any) -> NPairConductanceConverter:
        """Return the converter that fills one pair after the other, with these free factors."""
        f = list(space.f_lst)
        for j, value in zip(space.free, logs, strict=True):
            f[j] = float(np.clip(np.exp(value), space.f_min, space.f_max))
        return NPairConductanceConverter(f_lst=f, g_min=space.g_min, g_max=space.g_max)

    def _descended(self, space: ProgrammingSpace, starts: list[np.ndarray]) -> list[Found]:
        """Return the starts, and where descents from them end."""
        before = [(x, float(self.loss.of_points(space, x)[0])) for x in starts]
        return before + ([self._descent(space, x) for x in starts] if self.options.polish else [])

    def _evolved(self, space: ProgrammingSpace, known: list[Found]) -> Found:
        """Return the best of what is known, and of an evolution with a descent behind it."""
        found = [*known, self._evolution(space)]
        if self.options.polish:
            found.append(self._descent(space, found[-1][0]))
        return min(found, key=lambda end: end[1])

    def _evolution(self, space: ProgrammingSpace) -> Found:
        """Return the best point of an evolution."""
        options = self.options
        size = max(options.popsize * space.dimensions, SMALLEST)
        lowest, best, since = np.inf, np.inf, 0

        def losses(x: np.ndarray) -> np.ndarray:
            nonlocal lowest
            values = self.loss.of_points(space, x.T)
            lowest = min(lowest, float(values.min()))
            return values

        def watch(x: np.ndarray, convergence: float = 0.0) -> bool:
            nonlocal best, since
            self.step()
            since += 1
            if lowest < best * (1.0 - GAIN):
                best, since = lowest, 0
            return since >= options.patience

        found = differential_evolution(
            losses,
            [(0.0, 1.0)] * space.dimensions,
            strategy=options.strategy,
            maxiter=options.maxiter,
            init=self.rng.random((size, space.dimensions)),
            tol=options.tol,
            atol=options.atol,
            mutation=options.mutation,
            recombination=options.recombination,
            seed=self.rng,
            callback=watch,
            polish=False,
            updating="deferred",
            vectorized=True,
        )
        return found.x, float(found.fun)

    def _descent(self, space: ProgrammingSpace, start: np.ndarray) -> Found:
        """Return where a descent from a point ends."""
        count = space.dimensions
        each = np.arange(count)

        def value_and_slope(x: np.ndarray) -> tuple[float, np.ndarray]:
            up, down = np.minimum(x + SLOPE, 1.0), np.maximum(x - SLOPE, 0.0)
            around = np.repeat(x[None], 2 * count + 1, axis=0)
            around[each, each], around[count + each, each] = up, down
            values = self.loss.of_points(space, around)
            return values[-1], (values[:count] - values[count:-1]) / (up - down)

        bounds, steps = [(0.0, 1.0)] * count, {"maxiter": STEPS}
        found = minimize(
            value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options=steps
        )
        return found.x, float(found.fun)
