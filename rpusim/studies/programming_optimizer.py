r"""How to place weights on pairs of devices with the least error: `WeightProgrammingOptimizer`.

A table gives the conductances of the pairs of a weight at some nodes; it, and factors of the pairs
that are free, are sought by `rpusim.studies.programming_search` among those of
`rpusim.inference.programming_space`, for the least loss of `rpusim.inference.programming_loss`.

Source: Mackin et al., Nat. Commun. 13 (2022) 3765.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, StateError, warn_caller
from rpusim.inference.converters import PairConverter, SinglePairConductanceConverter
from rpusim.inference.custom_pair import CustomPairConductanceConverter
from rpusim.inference.programming_loss import ProgrammingLoss, WeightPoints
from rpusim.inference.programming_space import ProgrammingSpace, uniform_nodes
from rpusim.kernels.streams import Streams
from rpusim.studies.optional import progress
from rpusim.studies.pictures import figure
from rpusim.studies.programming_check import MonteCarlo, resampled, sampled_loss
from rpusim.studies.programming_options import as_factors, as_options, as_times, as_weights
from rpusim.studies.programming_pictures import draw_errors, draw_table
from rpusim.studies.programming_search import GAIN, Search
from rpusim.studies.programming_tables import (
    as_table,
    kinks_in_order,
    kinks_of,
    placed,
    with_nodes,
)
from rpusim.studies.result import Result
from rpusim.tiles.settings import InferenceRPUConfig

__all__ = ["WeightProgrammingOptimizer"]

APART = 3.0  # standard errors by which a confirmation contradicts
STAGES = 2  # evolutions, where factors are free


class WeightProgrammingOptimizer(Result):
    r"""Search for the conductances that a noise model treats best, over given weights and times.

    Parameters
    ----------
    weights : array_like
        The weights that are to be programmed, or as many of their kind; of any shape.
    f_lst : sequence of float or None
        Significance of each pair; None where it is free.
    rpu_config : InferenceRPUConfig
        Its noise model and drift compensation, which must be global, for each column, or none; its
        converter is not used.
    t_steps : sequence of float
        Times after programming over which the loss is averaged, in seconds.
    g_converter_baseline : SinglePair-, NPair-, DualPair- or CustomPairConductanceConverter
        What the result is compared with. It is part of the search, and the result if nothing better
        is found.
    symmetric : bool, default True
        Whether a weight and its negative exchange the devices of the pairs.
    rng : None, int, SeedSequence or Generator
        Source of everything drawn.
    **options
        Fields of `rpusim.studies.programming_search.ProgrammingSearch`.

    Attributes
    ----------
    loss, loss_baseline : float
        Hundred times the mean squared error relative to the largest weight, computed.
    loss_stderr : float
        Standard error of the loss when confirmed by programming.
    monte_carlo : MonteCarlo
        Losses as confirmed by repeated programming.
    errors, errors_baseline : ndarray of shape (times,)
        The losses at each time.
    evaluations, generations : int
        How many candidates were evaluated, in how many generations.
    seed : int
        As `rng`, it makes the same again.
    converter : CustomPairConductanceConverter
        The result.
    success : bool
        Whether it is better than the baseline.

    Raises
    ------
    ConfigError, DataError
        If an option is unknown, or something does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import rpusim as rs
    >>> weights = np.random.default_rng(1).normal(size=(64, 64))
    >>> optimizer = rs.WeightProgrammingOptimizer(
    ...     weights, [1.0, 3.0], rs.InferenceRPUConfig(), [1.0, 86400.0],
    ...     rs.SinglePairConductanceConverter(), rng=1, maxiter=20)
    >>> converter, success = optimizer.run_optimizer()
    >>> converter.f_lst, success, bool(optimizer.loss < 0.5 * optimizer.loss_baseline)
    ((1.0, 3.0), True, True)
    """

    def __init__(
        self,
        weights: Any,
        f_lst: Any,
        rpu_config: Any,
        t_steps: Any,
        g_converter_baseline: Any,
        symmetric: bool = True,
        *,
        rng: Any = None,
        **options: Any,
    ) -> None:
        where = type(self).__name__
        self.options = as_options(where, options)
        if not isinstance(rpu_config, InferenceRPUConfig):
            raise ConfigError(
                f"{where}: rpu_config must be an InferenceRPUConfig, got {rpu_config!r}."
            )
        baseline = g_converter_baseline
        if not isinstance(baseline, PairConverter) or baseline.columnwise:
            raise ConfigError(
                f"{where}: g_converter_baseline must be a converter to pairs of devices "
                "(SinglePair-, NPair-, DualPair-, CustomPairConductanceConverter) with one scale "
                f"for all weights, got {baseline!r}."
            )
        if not isinstance(symmetric, bool):
            raise ConfigError(f"{where}: symmetric must be True or False, got {symmetric!r}.")
        self.rpu_config, self.baseline = rpu_config, baseline
        self.t_steps = as_times(where, t_steps)
        self.weights = as_weights(where, weights)
        self.seed = Streams(rng).seed
        points = WeightPoints(self.weights)
        self._relative = 1.0 if baseline.w_max is None else baseline.w_max / points.w_max
        self.space = self._space(as_factors(where, f_lst, self.options), symmetric)
        own, g_range = self.space, (baseline.g_min, baseline.g_max)
        devices = SinglePairConductanceConverter(g_min=own.g_min, g_max=own.g_max)
        self._objective = self._loss(devices, points)
        same = (own.g_min, own.g_max) == g_range
        self._yardstick = self._objective if same else self._loss(baseline, points)
        self.loss_baseline, self.errors_baseline = self._yardstick.of_converter(baseline)
        self.loss = self.loss_stderr = np.nan
        self.generations = 0

    def _space(self, factors: tuple[float | None, ...], symmetric: bool) -> ProgrammingSpace:
        """Return the tables among which to search."""
        o, baseline = self.options, self.baseline
        g_min = baseline.g_min if o.g_min is None else o.g_min
        g_max = baseline.g_max if o.g_max is None else o.g_max
        nodes = uniform_nodes(o.nbins)
        if o.extra_nodes:
            nodes = with_nodes(nodes, kinks_of(baseline, self._relative), symmetric)
            if None not in factors:
                nodes = with_nodes(nodes, kinks_in_order(factors), symmetric)
        return ProgrammingSpace(
            factors, nodes, g_min, g_max, symmetric, o.f_min, o.f_max, o.g_err, o.use_max_kw
        )

    def _loss(self, converter: PairConverter, points: WeightPoints) -> ProgrammingLoss:
        """Return the objective for devices of the range of a converter."""
        held = [converter.g_min, converter.g_max]
        held += [g for table in getattr(self.baseline, "g_lst", ()) for g in table]
        model = self.rpu_config.noise_model.replace(g_converter=converter)
        factor, g_range = self.rpu_config.drift_compensation, (min(held), max(held))
        return ProgrammingLoss(model, points, self.t_steps, factor, g_range)

    @property
    def evaluations(self) -> int:
        """How many candidates were evaluated."""
        apart = 0 if self._yardstick is self._objective else self._yardstick.evaluations
        return self._objective.evaluations + apart

    def run_optimizer(self) -> tuple[CustomPairConductanceConverter, bool]:
        """Search, and confirm the result by programming.

        Returns
        -------
        converter : CustomPairConductanceConverter
            The best table, or the baseline as a table.
        success : bool
            Whether it is better than the baseline: ``loss < loss_baseline``. A gain of less than
            1e-4 of the loss, the accuracy of tables and groups, is none.

        Warns
        -----
        RuntimeWarning
            If programming contradicts the gain by more than three standard errors; the baseline is
            returned.
        """
        self._objective.evaluations = self._yardstick.evaluations = 0
        search, check = np.random.SeedSequence(self.seed).spawn(2)
        best = self._searched(np.random.default_rng(search))
        loss, errors = self._objective.of_converter(best)
        success = bool(loss < self.loss_baseline * (1.0 - GAIN))
        seeds = check.spawn(2)
        against = self._sampled(self.baseline, seeds[0])
        sampled = self._sampled(best, seeds[1]) if success else against
        self.monte_carlo = MonteCarlo(*sampled, *against)
        if success and sampled[0] - against[0] > APART * np.hypot(sampled[1], against[1]):
            warn_caller(
                f"{type(self).__name__}: by programming, the best table has a loss of "
                f"{sampled[0]:.4g} and the baseline {against[0]:.4g}, although {loss:.4g} and "
                f"{self.loss_baseline:.4g} were computed: the baseline is returned.",
                RuntimeWarning,
            )
            success, sampled = False, against
        if not success:
            best, loss, errors = as_table(self.baseline), self.loss_baseline, self.errors_baseline
        self.converter, self.loss, self.errors, self.success = best, loss, errors, success
        self.loss_stderr = sampled[1]
        return best, success

    def _searched(self, rng: np.random.Generator) -> CustomPairConductanceConverter:
        """Return the best table of the search."""
        own = placed(self.baseline, self.space, self._relative)
        starts = [] if own is None else [self.space.point(*own)]
        self.generations = 0
        stages = STAGES if self.space.free and self.options.extra_nodes else 1
        shown = progress(stages * self.options.maxiter, "generations")
        with shown if self.options.disp else contextlib.nullcontext() as bar:

            def step() -> None:
                self.generations += 1
                if bar is not None:
                    bar.update()

            return Search(self._objective, self.options, rng, step).table(self.space, starts)

    def _sampled(
        self, converter: PairConverter, rng: np.random.SeedSequence
    ) -> tuple[float, float]:
        """Return the loss of a converter by programming, and its standard error."""
        tile, o = resampled(self.weights), self.options
        return sampled_loss(self.rpu_config, converter, tile, self.t_steps, o.repeats, rng)

    # ---------------------------------------------------------------- what it looks like

    def _made(self) -> CustomPairConductanceConverter:
        """Return the result; there has to be one."""
        if np.isnan(self.loss):
            name = type(self).__name__
            raise StateError(f"{name}: there is no result yet; run_optimizer().")
        return self.converter

    def picture(self) -> Any:
        """Return a figure: the table over the weight, and beside it the errors over time.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        self._made()
        fig = figure(9.0, 3.8)
        left, right = fig.subplots(1, 2)
        self._draw(left)
        draw_errors(self, right)
        return fig

    def _draw(self, ax: Any) -> None:
        draw_table(self._made(), ax)

    def _table(self) -> dict[str, Any]:
        table = self._made()
        names = [f"g_{sign}_{j}" for j in range(len(table.f_lst)) for sign in ("plus", "minus")]
        columns = {name: np.array(g) for name, g in zip(names, table.g_lst, strict=True)}
        return {"weight": table.node_weights * np.abs(self.weights).max(), **columns}
