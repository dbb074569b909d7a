r"""The error of programmed weights for a way to place them on pairs of devices, without draws.

Mean m and variance v of what a read sees of a device depend on its target conductance and on the
time only, so they are tabulated once (`rpusim.inference.conductance_moments`). A weight w with
devices at :math:`g^\pm_k`, which go back to weights by factors :math:`\pm f_k/\kappa`, then has

.. math::
    \mu(t) = \frac1\kappa \sum_k f_k \big(m(g^+_k, t) - m(g^-_k, t)\big), \qquad
    \sigma^2(t) = \frac1{\kappa^2} \sum_k f_k^2 \big(v(g^+_k, t) + v(g^-_k, t)\big)

and with a compensation :math:`\alpha(t) = \mathrm E|W_\mathrm{prog}| / \mathrm E|W(t)|`, or
:math:`\mathrm E|w| / \mathrm E|W(t)|` if it leads back to the exact targets, the loss is

.. math:: L = \frac{100}{w_\max^2}\,\Big\langle (\alpha\mu - w)^2 + \alpha^2 \sigma^2
          \Big\rangle_{w, t} .

The mean of :math:`|W| = |X - Y|` is that of two log-normals X and Y, what all devices with a plus
and all with a minus make, of their means and variances:

.. math::
    \mathrm E|X - Y| = x\,\mathrm{erf}\frac{d + s/2}{\sqrt 2} - y\,\mathrm{erf}\frac{d - s/2}
    {\sqrt 2}, \qquad d = \frac1s \ln\frac xy, \qquad
    s^2 = \ln\Big(1 + \frac{\sigma_x^2}{x^2}\Big)\Big(1 + \frac{\sigma_y^2}{y^2}\Big)

because conductances are not negative: a device whose drift scatters by as much as its mean has lost
its weight, but not changed its sign, as a normal would have. (Where a mean is not positive the
formula is that of a folded normal.)

The weights are represented by the means of 256 groups of neighbours, the least and the largest
value being groups of their own. A compensation of every column is like that of all, but for the
scatter of short columns.

Source: Mackin et al., Nat. Commun. 13 (2022) 3765, for the loss; Margrabe, J. Finance 33 (1978)
177, for the mean of a difference of log-normals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError
from rpusim.inference.compensation import (
    GlobalDriftCompensation,
    PerColumnDriftCompensation,
)
from rpusim.inference.conductance_moments import conductance_moments
from rpusim.inference.converters import PairConverter
from rpusim.inference.programming_rows import (
    EXACT,
    NONE,
    PROGRAMMED,
    devices_error,
    population_rows,
)
from rpusim.inference.programming_space import ProgrammingSpace
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel

__all__ = ["ProgrammingLoss", "WeightPoints"]

GROUPS, GRID = 256, 129
# Nanoseconds of one core for a candidate, to judge whether threads pay: a seventh of what it takes,
# so that the thousands of small calls of a descent do not wait for a thread each.
PER_WEIGHT = 20.0


class WeightPoints:
    """A distribution of weights, by groups of neighbouring values.

    Parameters
    ----------
    weights : array_like
        Finite, not all zero; of any shape.

    Attributes
    ----------
    w : ndarray of shape (groups,)
        Mean of each group, relative to the largest magnitude.
    share : ndarray of shape (groups,)
        What part of all weights each stands for.
    w_max : float
        The largest magnitude.
    """

    def __init__(self, weights: Any) -> None:
        flat = np.sort(np.asarray(weights, np.float64).ravel())
        if not flat.size or not np.isfinite(flat).all() or not flat.any():
            raise DataError("WeightPoints: weights must be finite, one or more, not all zero.")
        self.w_max = float(np.abs(flat[[0, -1]]).max())
        flat = flat / self.w_max
        starts = np.flatnonzero(np.diff(flat, prepend=-2.0))  # of equal values
        if starts.size > GROUPS:
            first, last = starts[1], starts[-1]
            inner = flat[first:last]
            # as many weights in each, but in the tails as wide
            depth = np.arange(inner.size) / inner.size + (inner - inner[0]) / np.ptp(inner)
            cuts = np.searchsorted(depth, np.linspace(0.0, depth[-1], GROUPS - 1)[:-1])
            starts = np.unique(np.concatenate([[0], first + cuts, [last]]))
        counts = np.diff(starts, append=flat.size)
        self.w = np.add.reduceat(flat, starts) / counts
        self.w[[0, -1]] = flat[[0, -1]]
        self.share = counts / flat.size


class ProgrammingLoss:
    r"""The loss of tables and converters for a noise model, weights and times.

    Parameters
    ----------
    model : BaseNoiseModel
        The devices; its converter says what they can hold, and converts nothing here.
    points : WeightPoints
        The weights.
    t_steps : sequence of float
        Times after programming, in seconds.
    compensation : BaseDriftCompensation or None
        The correction for drift: a factor for all outputs, or for each column.
    g_range : (float, float)
        Conductances that occur, in uS.

    Attributes
    ----------
    evaluations : int
        How many candidates were evaluated.
    """

    def __init__(
        self,
        model: Any,
        points: WeightPoints,
        t_steps: Any,
        compensation: Any = None,
        g_range: tuple[float, float] = (0.0, 25.0),
    ) -> None:
        self.points, self.mode = points, _mode(compensation)
        self.low, self.span = g_range[0], g_range[1] - g_range[0]
        g = self.low + self.span * np.linspace(0.0, 1.0, GRID) ** 2
        moments = [conductance_moments(model, g, t) for t in (None, *t_steps)]
        self.grid = np.array([m for m, _ in moments] + [v for _, v in moments]).T.copy()
        self.evaluations = 0

    def of_points(self, space: ProgrammingSpace, x: Any) -> np.ndarray:
        """Return the losses of many tables at once.

        Parameters
        ----------
        space : ProgrammingSpace
            The tables.
        x : ndarray of shape (candidates, dimensions)
            Points of the space.

        Returns
        -------
        ndarray of shape (candidates,)
        """
        x = np.ascontiguousarray(np.atleast_2d(x), np.float64)
        w, nodes, out = self.points.w, space.nodes, np.empty(len(x))
        place = np.clip(np.searchsorted(nodes, w, "right") - 1, 0, len(nodes) - 2)
        between = (w - nodes[place]) / (nodes[place + 1] - nodes[place])
        run = kernel(population_rows, "double")
        work = PER_WEIGHT * w.size * len(x)
        with np.errstate(all="ignore"):
            split(run, len(x), work, x, *space.arguments, place, between, *self._arguments(), out)
        self.evaluations += len(x)
        return out

    def of_converter(self, converter: Any) -> tuple[float, np.ndarray]:
        """Return the loss of a converter to pairs, and what it is at each time.

        Parameters
        ----------
        converter : BaseConductanceConverter
            A single, N, dual or custom pair, with one scale for all weights; it is asked for the
            devices of each weight, so that its kinks are where they are.

        Raises
        ------
        ConfigError
            If it is another kind of converter.
        """
        if not isinstance(converter, PairConverter) or converter.columnwise:
            raise ConfigError(
                "ProgrammingLoss.of_converter: the converter must be to pairs of devices, with one "
                f"scale for all weights, got {converter!r}."
            )
        g, params = converter.convert_to_conductances(self.points.w * self.points.w_max)
        factors = converter.way_back(params).factors.ravel() / self.points.w_max
        work = np.empty((6, self.grid.shape[1]))
        run = kernel(devices_error, "double")
        with np.errstate(all="ignore"):
            loss = run(np.ascontiguousarray(g), factors, *self._arguments(), work)
        self.evaluations += 1
        return float(loss), work[1, 1 : self.grid.shape[1] // 2].copy()

    def _arguments(self) -> tuple[Any, ...]:
        """Return what `error_of` needs behind the devices."""
        points = self.points
        return points.w, points.share, self.grid, self.low, self.span, self.mode


def _mode(compensation: Any) -> int:
    """Return what a compensation leads back to; refuse one that is no factor."""
    if compensation is None:
        return NONE
    if not isinstance(compensation, GlobalDriftCompensation | PerColumnDriftCompensation):
        raise ConfigError(
            "ProgrammingLoss: compensation must be global or for each column, or None, got "
            f"{compensation!r}: its effect on the mean error is not known in closed form."
        )
    return EXACT if compensation.exact_reference else PROGRAMMED
