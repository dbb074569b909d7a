r"""Gradient programming: the error of a tile's products with random inputs is descended by pulses.

In every iteration B new inputs X are drawn, with second moments s, and the products are compared
with those of the target; each device is pulsed as the gradient of the squared error says:

.. math::
    E = \text{tile}(X) - X T^T, \qquad D = \frac{E^T X}{B s}, \qquad
    W \leftarrow W - \eta D \text{ by pulses, none where } |\eta D| < \theta

D is an estimate of :math:`W - T`, so :math:`\eta` is the fraction of an error that one iteration
corrects. For n normal inputs, m outputs with noise :math:`\sigma_y` and devices that follow exactly
the squared error :math:`\lVert W - T \rVert^2` shrinks by :math:`\rho` in each iteration, down to
F, on average:

.. math::
    \rho = 1 - 2 \eta + \eta^2 \Big(1 + \frac{n + 1}{B}\Big), \qquad
    F = \frac{\eta^2 \sigma_y^2\, n\, m}{B s (1 - \rho)}

Products, and not devices, are made right: whatever is wrong with them and does not change, wires
and converters included, is part of the error. Stuck devices are made up for by others if the inputs
are correlated, as real ones are (`x_values`): what is descended to is the least-squares solution
around them.

Source: Büchel et al., IEEE JETCAS 13 (2023), arXiv 2305.16647, for the idea; step size, stop rule
and dead zone here are not theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.kernels.streams import Purpose
from rpusim.tiles.arguments import as_rate, as_size, as_vectors
from rpusim.tiles.programming_job import Job, ProgrammingResult, as_positive
from rpusim.tiles.readout import largest_input

__all__ = ["program_by_gradient"]


def program_by_gradient(
    tile: Any,
    target: Any = None,
    batch: int = 64,
    learning_rate: float | None = None,
    input_std: float | None = None,
    x_values: Any = None,
    dead_zone: float = 0.0,
    patience: int = 50,
    max_iter: int = 10000,
    tolerance: float = 0.01,
    w_init: Any = None,
    on_iteration: Callable[[int, float], Any] | None = None,
) -> ProgrammingResult:
    r"""Program the devices of a tile so that its products with random inputs are right.

    Parameters
    ----------
    tile : AnalogTile
        With devices that take pulses, several at a crosspoint or one.
    target : array_like of shape (rows, cols), optional
        What the devices are to hold, an analog bias as last column; default: what they hold now.
    batch : int
        Inputs B of an iteration.
    learning_rate : float, optional
        :math:`\eta` > 0; stable below :math:`2 / (1 + (n + 1)/B)`. Default: a quarter of that, half
        of what is fastest without noise.
    input_std : float, optional
        Standard deviation of the normal inputs before they are clipped to what the tile takes.
        Default: :math:`1/\sqrt{3}` of the largest input that is not clipped (of 1 if there is no
        limit).
    x_values : array_like of shape (..., in_size), optional
        Vectors from which the inputs are drawn instead, those that a network sees for example.
    dead_zone : float
        :math:`\theta`, as a weight of devices: smaller changes are not made.
    patience : int
        It stops after so many iterations without a smaller error.
    max_iter : int
        Largest number of iterations.
    tolerance : float
        Error to reach, relative to the products, both as rms.
    w_init : float or array_like of shape (rows, cols), optional
        The devices start uniformly within ``-w_init..w_init``, at these weights, or (default) as
        they are.
    on_iteration : callable, optional
        Called with the number of updates done and the error after each read; if it returns True,
        that was the last.

    Returns
    -------
    ProgrammingResult
        Its `error` is that of the last inputs, which the devices have not been pulsed for, with the
        noise of these reads; its `standard_error` follows from the scatter over these inputs.

    Warns
    -----
    UserWarning
        If the tolerance was not reached; it names the noise of the reads, which may be why.

    Raises
    ------
    StateError
        If the devices take no pulses.
    DataError, ShapeError, ConfigError
        If an argument does not fit; then nothing is changed.

    Notes
    -----
    D is computed in digital and written column after column by the tile's own kind of update, so a
    device gets :math:`\eta D` divided by its step pulses on average, at most the length of a train.
    The devices end as the last pulses left them: better weights of an earlier iteration cannot be
    had back. For `x_values` s is the largest eigenvalue of :math:`X^T X / N`, and the sum of all
    divided by the largest stands for n. The relative error is the absolute one where all target
    outputs are 0.

    Examples
    --------
    >>> import rpusim as rs
    >>> perfect = rs.IOParameters(is_perfect=True)
    >>> config = rs.RPUConfig(device=rs.SoftBoundsDevice(), forward=perfect)
    >>> tile = rs.AnalogTile(2, 3, config, rng=1)
    >>> result = tile.program_weights(np.full((2, 3), 0.2), method="gradient")
    >>> (result.success, bool(np.abs(tile.get_weights()[0] - 0.2).max() < 0.01))
    (True, True)
    """
    job = Job(tile, target, w_init, on_iteration)
    where = job.where
    size = as_size(batch, f"{where}: batch")
    inputs = _Inputs(tile, input_std, x_values, where)
    rate = 0.5 / (1.0 + (inputs.spread + 1.0) / size)
    if learning_rate is not None:
        rate = as_positive(learning_rate, f"{where}: learning_rate")
    dead = as_rate(dead_zone, f"{where}: dead_zone")
    patience = as_size(patience, f"{where}: patience")
    last = as_size(max_iter, f"{where}: max_iter")
    tolerance = as_rate(tolerance, f"{where}: tolerance")
    job.begin()
    rng = np.random.default_rng(tile._streams.draw(Purpose.READ))
    products, lines = _Products(tile, job.goal), np.eye(job.goal.shape[1], dtype=np.float32)
    best, stale = math.inf, 0
    for done in range(last + 1):
        x = inputs.draw(size, rng)
        error = products.read(x)
        best, stale = (error, 0) if error < best else (best, stale + 1)
        if job.note(error) or error < tolerance or done == last or stale >= patience:
            break
        change = rate * (products.gradient(x) / inputs.power / size)
        change[np.abs(change) < dead] = 0.0
        d = np.ascontiguousarray(change.T, np.float32)
        tile.stats.record(job.box.update(lines, d, 1.0, tile._update_settings()))
    more = {"standard_error": products.standard_error()}
    if error < tolerance:
        return job.result(True, math.nan, **more)
    floor = products.noise_floor(x)
    job.warn(tolerance, floor, "the products")
    return job.result(False, floor, **more)


class _Inputs:
    """Inputs to be drawn, and their second moments `power` and `spread`, which stands for n."""

    def __init__(self, tile: Any, std: float | None, x_values: Any, where: str) -> None:
        self._values: np.ndarray | None = None
        top = largest_input(tile)
        self._top, n = top, tile.in_size
        self._shape = (n,)
        if x_values is not None:
            if std is not None:
                raise DataError(f"{where}: give input_std or x_values, not both.")
            x, _ = as_vectors(x_values, n, f"{where}: x_values", "inputs")
            if not (np.isfinite(x).all() and x.any()):
                raise DataError(f"{where}: x_values must be finite and not all 0.")
            known = tile._mapping.with_line(x).astype(np.float64)
            largest = np.linalg.norm(known, 2) ** 2
            self._values, self.power = x, np.array(largest / len(x))
            self.spread = float(np.sum(known**2) / largest)
            return
        whole = top if math.isfinite(top) else 1.0
        named = f"{where}: input_std"
        self._std = whole / math.sqrt(3.0) if std is None else as_positive(std, named)
        variances = np.full(n, self._std**2 * _clipped_variance(top / self._std))
        line = np.ones(int(tile._mapping.analog_bias))  # of an analog bias, always driven by 1
        self.power, self.spread = np.append(variances, line), float(n + line.size)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return `count` vectors."""
        if self._values is not None:
            return self._values[rng.integers(0, len(self._values), count)]
        x = self._std * rng.standard_normal((count, *self._shape))
        return np.clip(x, -self._top, self._top).astype(np.float32)


class _Products:
    """Products of a tile beside those of its target."""

    def __init__(self, tile: Any, goal: np.ndarray) -> None:
        self._tile, self._goal = tile, goal

    def read(self, x: np.ndarray) -> float:
        """Multiply; return the relative error, and keep the errors."""
        mapping, bias = self._tile._mapping, self._tile.bias
        known = mapping.with_line(x).astype(np.float64)
        self._wanted = known @ self._goal.T.astype(np.float64) * mapping.total()
        y = self._tile.forward(x, is_test=True).astype(np.float64)
        self._error = y - self._wanted - (0.0 if bias is None else bias)
        return self._relative(self._error)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to what the devices hold."""
        total = self._tile._mapping.total().astype(np.float64)
        known = self._tile._mapping.with_line(x).astype(np.float64)
        return (self._error / np.where(total == 0.0, 1.0, total)).T @ known

    def standard_error(self) -> float:
        """Return that of the last relative error, a ratio of two means over the inputs."""
        e, t = (np.square(a).sum(axis=1) for a in (self._error, self._wanted))
        if len(e) < 2 or e.sum() == 0.0:
            return math.nan
        if not t.any():
            t[:] = self._error.shape[1]
        ratio = e.sum() / t.sum()
        return float(np.std(e - ratio * t, ddof=1) / t.mean() / math.sqrt(4.0 * ratio * len(e)))

    def noise_floor(self, x: np.ndarray) -> float:
        """Return the error that reads of the target itself would show: it is measured."""
        one, other = (self._tile.forward(x, is_test=True).astype(np.float64) for _ in range(2))
        return self._relative(one - other) / math.sqrt(2.0)

    def _relative(self, error: np.ndarray) -> float:
        whole = float(np.linalg.norm(self._wanted)) or math.sqrt(error.size)
        return float(np.linalg.norm(error)) / whole


def _clipped_variance(a: float) -> float:
    """Return the variance of a standard normal number that is clipped to ``-a..a``."""
    if math.isinf(a):
        return 1.0
    beyond = math.erfc(a / math.sqrt(2.0))
    return 1.0 - beyond - math.sqrt(2.0 / math.pi) * a * math.exp(-0.5 * a * a) + a * a * beyond
