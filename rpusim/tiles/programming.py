r"""Programming by pulses: a tile is pulsed until its own products show the target weights.

From small random weights, with known inputs X and the results T that the target would give,

.. math::
    Y = \text{tile}(X), \qquad E = Y - T, \qquad W \leftarrow W - \eta\, E^T X \text{ by pulses}

until :math:`\langle |E| \rangle / \max |T|` is below a tolerance. The rate is
:math:`\eta = \text{learning\_rate} / \lambda`, :math:`\lambda` being the largest eigenvalue of
:math:`X^T X` (1 for one input at a time), so that the same fraction of an error is corrected for
any X. Noise of the reads leaves :math:`\langle |E| \rangle = \sigma \sqrt{2 / \pi}` at best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import nearest
from rpusim.errors import ConfigError, DataError, RpusimError
from rpusim.kernels.device_arrays import host
from rpusim.tiles.arguments import as_rate, as_size, as_vectors
from rpusim.tiles.gradient_programming import program_by_gradient
from rpusim.tiles.programming_job import Job, ProgrammingResult, as_positive
from rpusim.tiles.readout import hadamard, largest_input
from rpusim.tiles.write_verify import program_by_verifying

__all__ = ["METHODS", "ProgrammingResult", "program", "program_by_pulses"]

LONG = 10.0  # times the iterations in which an error shrinks to 1/e


def program_by_pulses(
    tile: Any,
    target: Any = None,
    x_values: Any = None,
    learning_rate: float = 0.1,
    max_iter: int = 10000,
    tolerance: float = 0.01,
    w_init: Any = 0.01,
    on_iteration: Callable[[int, float], Any] | None = None,
) -> ProgrammingResult:
    """Program the devices of a tile from small random weights by reading and pulsing.

    Parameters
    ----------
    tile : AnalogTile
        With devices that take pulses.
    target : array_like of shape (rows, cols), optional
        What the devices are to hold, an analog bias as last column; default: what they hold now.
    x_values : array_like of shape (..., in_size), optional
        Inputs X to read and pulse with. Default: one input at a time, as large as the tile takes;
        with an analog bias, whose line is always on, the rows of a Hadamard matrix.
    learning_rate : float
        Fraction of an error that one iteration corrects, > 0; below 2 to converge.
    max_iter : int
        Largest number of iterations.
    tolerance : float
        Error to reach, relative to the largest target output.
    w_init : float or array_like of shape (rows, cols)
        The devices start uniformly within ``-w_init..w_init``, or at these weights.
    on_iteration : callable, optional
        Called with the number of updates done and the error after each read; if it returns True,
        that was the last.

    Returns
    -------
    ProgrammingResult

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
    It gives up before `max_iter` when the mean error of the last ``10 / learning_rate`` iterations
    is not below that of as many before them: the noise, the devices' steps or their bounds do not
    allow more. The relative error is the absolute one where all target outputs are 0.

    Examples
    --------
    >>> import rpusim as rs
    >>> perfect = rs.IOParameters(is_perfect=True)
    >>> config = rs.RPUConfig(device=rs.SoftBoundsDevice(), forward=perfect)
    >>> result = program_by_pulses(rs.AnalogTile(2, 3, config, rng=1), np.full((2, 3), 0.2))
    >>> (result.success, result.error < 0.01)
    (True, True)
    """
    job = Job(tile, target, w_init, on_iteration, limited=True)
    where = job.where
    x = _inputs(tile, x_values, where)
    rate = as_positive(learning_rate, f"{where}: learning_rate") / _largest_eigenvalue(tile, x)
    last = as_size(max_iter, f"{where}: max_iter")
    tolerance = as_rate(tolerance, f"{where}: tolerance")
    job.begin()
    loop, window = _Loop(tile, x, job.goal), math.ceil(LONG / learning_rate)
    for done in range(last + 1):
        error = loop.read()
        enough = job.note(error)
        if enough or error < tolerance or done == last or _is_stuck(job.history, window):
            break
        tile.update(x, loop.error_of_weights(), rate)
    if error < tolerance:
        return job.result(True, math.nan)
    floor = loop.noise_floor()
    job.warn(tolerance, floor, "the largest output")
    return job.result(False, floor)


#: Ways to program: with fixed inputs, device by device, or against the error of random products.
METHODS: dict[str, Callable[..., ProgrammingResult]] = {
    "fixed_inputs": program_by_pulses,
    "write_verify": program_by_verifying,
    "gradient": program_by_gradient,
}


def program(
    tile: Any, weights: Any, bias: Any, scaled: bool, where: str, options: dict[str, Any]
) -> ProgrammingResult:
    """Program weights and bias as `set_weights` takes them; scales stay if an option is refused.

    Parameters
    ----------
    tile : AnalogTile
        With devices that take pulses.
    weights, bias : array_like or None
        What is not given stays as it is.
    scaled : bool
        Whether they are logical.
    where : str
        Named in errors.
    options : dict
        The `method`, one of `METHODS`, and its parameters.
    """
    now, mapping = host(tile._pulsed().weights), tile._mapping
    method = options.pop("method", "fixed_inputs")
    if not isinstance(method, str) or method not in METHODS:
        raise ConfigError(
            f"{where}: method must be one of {', '.join(METHODS)}, got {method!r}"
            f"{nearest(method, METHODS) or '.'}"
        )
    if weights is None and bias is None:
        return METHODS[method](tile, **options)
    before = mapping.state()
    w = mapping.logical(now, scaled)[0] if weights is None else weights
    target = mapping.physical(w, bias, scaled, now, where)
    try:
        return METHODS[method](tile, target, **options)
    except (RpusimError, TypeError):
        mapping.restore(before)
        raise


class _Loop:
    """Reads of a tile beside what its target would give."""

    def __init__(self, tile: Any, x: np.ndarray, goal: np.ndarray) -> None:
        self._tile, self._x = tile, x
        product = tile._mapping.with_line(x).astype(np.float64) @ goal.T * tile._mapping.total()
        self._scale = float(np.abs(product).max()) or 1.0
        bias = 0.0 if tile.bias is None else tile.bias
        self._wanted = (product + bias).astype(np.float32)

    def read(self) -> float:
        """Read the tile; return the error, and keep the differences."""
        self.difference = self._tile.forward(self._x, is_test=True) - self._wanted
        return self._mean(self.difference)

    def error_of_weights(self) -> np.ndarray:
        """Return the differences such that an update moves logical weights by them."""
        o = self._tile._mapping.out_scaling  # update follows the gradient, which has o once more
        return self.difference if o is None else self.difference / np.where(o == 0.0, 1.0, o * o)

    def noise_floor(self) -> float:
        """Return the mean error that reads of the target itself would show: it is measured."""
        one, other = (self._tile.forward(self._x, is_test=True) for _ in range(2))
        return self._mean(one - other) / math.sqrt(2.0)

    def _mean(self, difference: np.ndarray) -> float:
        return float(np.abs(difference).mean(dtype=np.float64)) / self._scale


def _inputs(tile: Any, x_values: Any, where: str) -> np.ndarray:
    """Return the vectors to read and pulse with."""
    n = tile.in_size
    if x_values is not None:
        x, _ = as_vectors(x_values, n, f"{where}: x_values", "inputs")
        if not (np.isfinite(x).all() and x.any()):
            raise DataError(f"{where}: x_values must be finite and not all 0.")
        return x
    top = largest_input(tile)
    x = hadamard(n + 1)[:, 1 : n + 1] if tile._mapping.analog_bias else np.eye(n)
    return (x * (top if np.isfinite(top) else 1.0)).astype(np.float32)


def _largest_eigenvalue(tile: Any, x: np.ndarray) -> float:
    known = tile._mapping.with_line(x).astype(np.float64)
    return float(np.linalg.norm(known, 2)) ** 2


def _is_stuck(past: list[float], window: int) -> bool:
    """Return whether the last `window` errors are no better than those before them."""
    return len(past) >= 2 * window and sum(past[-window:]) >= sum(past[-2 * window : -window])
