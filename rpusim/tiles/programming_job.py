"""What all ways to program a tile by pulses share: target, start, what is counted, the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.errors import DataError, warn_caller
from rpusim.kernels.device_arrays import copied, host
from rpusim.kernels.random import uniforms
from rpusim.kernels.streams import Purpose
from rpusim.tiles.arguments import as_matrix, as_rate

__all__ = ["Job", "ProgrammingResult", "as_positive"]


@dataclasses.dataclass(frozen=True)
class ProgrammingResult:
    """What became of programming a tile by pulses.

    Attributes
    ----------
    success : bool
        Whether the last error that was read is below the tolerance; with "write_verify", whether
        every device's is.
    iterations : int
        Updates; with "write_verify" the pulses of the device that got most.
    error : float
        The last error that was read: a mean over all outputs, relative to the largest target
        output. With "write_verify" the same of devices and weights; with "gradient" the rms of the
        products' errors relative to that of the products.
    noise_floor : float
        The same of the noise of one read, measured (with "write_verify": computed) after a failure;
        NaN after a success.
    pulses : int
        Pulses that the devices received.
    clipped : int
        Target weights beyond the devices' bounds; "fixed_inputs" aims at the bounds instead.
    history : ndarray of shape (iterations + 1,)
        The error before each update, and the last one.
    reads : int
        Vectors that were multiplied; with "write_verify" reads of single devices.
    failed : ndarray of bool, shape (rows, cols), or None
        With "write_verify": devices that did not come within the tolerance.
    standard_error : float
        With "gradient": standard error of `error`; NaN otherwise.
    """

    success: bool
    iterations: int
    error: float
    noise_floor: float
    pulses: int
    clipped: int
    history: np.ndarray
    reads: int = 0
    failed: np.ndarray | None = None
    standard_error: float = math.nan


class Job:
    """Devices to be programmed. All is checked here; nothing is changed before `begin`.

    Parameters
    ----------
    tile : AnalogTile
        With devices that take pulses.
    target : array_like of shape (rows, cols), optional
        What the devices are to hold; default: what they hold now.
    w_init : float, array_like of shape (rows, cols), or None
        They start uniformly within ``-w_init..w_init``, at these weights, or (None) as they are.
    on_iteration : callable, optional
        Called with the number of updates and the error after each read; True ends the work.
    limited : bool
        Whether to aim at no more than the devices can hold.

    Attributes
    ----------
    box : Crossbar or Cell
        The devices.
    goal : ndarray of shape (rows, cols)
        The target, within their bounds if it is `limited`.
    history : list of float
        Errors so far.
    """

    def __init__(
        self,
        tile: Any,
        target: Any,
        w_init: Any,
        on_iteration: Callable[[int, float], Any] | None,
        limited: bool = False,
    ) -> None:
        self.where = f"{type(tile).__name__}.program_weights"
        self._tile, self.box, self._on_iteration = tile, tile._pulsed(), on_iteration
        shape = self.box.shape
        wanted = (
            copied(self.box.weights) if target is None else as_matrix(target, shape, self.where)
        )
        reachable = np.clip(wanted, *(host(end) for end in self.box.weight_range()))
        self.goal, self._limited = reachable if limited else wanted, limited
        self._clipped = int((reachable != wanted).sum())
        if w_init is not None:
            check = as_matrix(w_init, shape, self._named("w_init")) if np.ndim(w_init) > 0 else None
            w_init = as_rate(w_init, self._named("w_init")) if check is None else check
        self._w_init = w_init
        self.history: list[float] = []

    def begin(self) -> None:
        """Count what was limited, and write the weights to start from."""
        tile = self._tile
        if self._limited:
            tile._count_clipped(self._clipped, self.goal.size)
        self._before = tile.stats.pulses, tile.stats.reads_forward
        start = self._w_init
        if isinstance(start, float):
            step = tile._streams.take(Purpose.INITIALISE) + 1  # 0 were those of a new tile
            draw = uniforms(self.goal.shape, tile._streams.key(Purpose.INITIALISE), step=step)
            start = start * (2.0 * draw - 1.0)
        if start is not None:
            tile._write(start, "weights to start from")

    def note(self, error: float) -> bool:
        """Keep the error of a read; return whether the user has seen enough."""
        self.history.append(error)
        told = self._on_iteration
        return told is not None and told(len(self.history) - 1, error) is True

    def result(self, success: bool, floor: float, **more: Any) -> ProgrammingResult:
        """Return the result, with what the tile has counted since `begin`."""
        pulses, reads = self._before
        stats, history = self._tile.stats, np.array(self.history)
        counted = {"reads": stats.reads_forward - reads, **more}
        return ProgrammingResult(
            success,
            len(history) - 1,
            self.history[-1],
            floor,
            stats.pulses - pulses,
            self._clipped,
            history,
            **counted,
        )

    def warn(self, tolerance: float, floor: float, unit: str) -> None:
        """Say that the tolerance was not reached, and what the noise of the reads alone makes."""
        reason = (
            "the noise of the reads alone"
            if floor >= tolerance
            else "more iterations, or devices with finer steps or wider bounds, may help: the noise"
            " of the reads alone"
        )
        warn_caller(
            f"{self.where}: tolerance {tolerance:g} was not reached in {len(self.history) - 1} "
            f"iterations, the error is {self.history[-1]:.3g} of {unit}; {reason} makes "
            f"{floor:.3g}.",
            UserWarning,
        )

    def _named(self, name: str) -> str:
        return f"{self.where}: {name}"


def as_positive(value: Any, where: str) -> float:
    """Return a finite number > 0."""
    rate = as_rate(value, where, "a number > 0")
    if rate == 0.0:
        raise DataError(f"{where} must be a number > 0, got {value!r}.")
    return rate
