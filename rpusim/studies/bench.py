"""A bench for devices: a tile on which every vector pair is exactly one pulse for everybody."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.errors import ClippedWeightsWarning, ConfigError, DataError, StateError
from rpusim.pulses import UpdateParameters
from rpusim.tiles import AnalogTile, CompoundDevice, FloatingPointRPUConfig
from rpusim.tiles.settings import as_config

__all__ = ["Bench", "CellBench", "as_count", "bench_of", "pulsed_device"]

ONE_PULSE = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
CERTAIN = 4.0  # granularities: both lines would fire with probability 2, so they do


class Bench:
    """Fabricated devices, and copies of them, that get one pulse at a time.

    Every pulse is one update with a train of one slot in which both lines fire for certain. Decay,
    diffusion and drift, which take steps or time, do not act. The same `rng` gives the same devices
    in every study.

    Parameters
    ----------
    study : str
        Whose it is, for messages.
    given : PulsedDevice or configuration
        The device, or a configuration that holds it.
    devices, copies : int
        How many different devices, and how many that are equal but for the noise of their pulses.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation and of the noise.

    Attributes
    ----------
    device : PulsedDevice
        The device.
    law : ExactLaw
        The law of the `devices`, as they were fabricated.
    low, high : ndarray of shape (devices,)
        The weights that each can show, without write noise.
    seed : int
        As `rng`, it makes the same again.
    """

    def __init__(
        self, study: str, given: Any, devices: int, rng: Any = None, copies: int = 1
    ) -> None:
        self._study = study
        self.device: Any = pulsed_device(given, study)
        devices, copies = as_count(devices, f"{study}: devices"), as_count(copies, "copies")
        tile = self._tile(1, devices, rng)
        planes = {name: tile.crossbar.plane(name) for name in self.device.planes()}
        if copies > 1:
            tile = self._tile(copies, devices, tile.seed)
        self._pulser, self._sent, self.seed = tile, 0, tile.seed
        self._make(planes)

    def average(self) -> None:
        """Make every device the mean one."""
        shape = self.low.shape
        mean = self.device.mean_device()._asdict()
        self._make({name: np.full(shape, value, np.float32) for name, value in mean.items()})

    def _make(self, planes: dict[str, NDArray[np.float32]]) -> None:
        """Let the devices carry these planes."""
        for name, plane in planes.items():
            self._pulser.crossbar.plane(name)[:] = plane
        self.law = ExactLaw(self.device, planes)
        low, high = self._pulser.weight_range()
        self.low, self.high = low[0], high[0]

    def _tile(self, rows: int, cols: int, rng: Any) -> Any:
        config = as_config(self.device, self._study).replace(update=ONE_PULSE)
        with warnings.catch_warnings():  # initial weights that do not fit are replaced anyway
            warnings.simplefilter("ignore", ClippedWeightsWarning)
            return AnalogTile(rows, cols, config, rng=rng)

    @property
    def states(self) -> float:
        """How many steps cross the range."""
        return self.device.num_states

    @property
    def weights(self) -> NDArray[np.float32]:
        """What is seen of the devices, of shape (copies, devices)."""
        return self._pulser.get_weights(apply_weight_scaling=False)[0]

    def start(self, given: Any, otherwise: NDArray[np.float32]) -> None:
        """Write weights: those that a user has given, if any; else `otherwise`."""
        w = otherwise if given is None else np.asarray(given)
        if w.shape not in ((), self.low.shape) or w.dtype.kind not in "fiu":
            raise DataError(f"{self._study}: start must be a weight, or {self.low.size} of them.")
        with warnings.catch_warnings():
            if np.all((w >= self.low) & (w <= self.high)):  # but for a rounding error, maybe
                warnings.simplefilter("ignore", ClippedWeightsWarning)
            shape = (self._pulser.out_size, self._pulser.in_size)
            held = np.broadcast_to(w, self.weights.shape).reshape(shape)
            self._pulser.set_weights(held, apply_weight_scaling=False)

    def pulse(self, rows: ArrayLike, cols: ArrayLike = 1.0) -> None:
        """Send every device one pulse after another.

        Parameters
        ----------
        rows : array_like of shape (pulses,) or (pulses, copies)
            +1 up, -1 down.
        cols : array_like, broadcast to (pulses, devices)
            Factors of the direction, +1 or -1.
        """
        tile, signs = self._pulser, np.asarray(rows, np.float32)
        signs = signs[:, None] if signs.ndim == 1 else signs
        d = np.ascontiguousarray(np.broadcast_to(signs, (len(signs), tile.out_size)))
        x = np.broadcast_to(-np.asarray(cols, np.float32), (len(signs), tile.in_size))
        tile.update(np.ascontiguousarray(x), d, learning_rate=CERTAIN * tile.weight_granularity)
        self._sent += len(signs) * tile.out_size * tile.in_size
        if tile.stats.pulses != self._sent:
            raise StateError(
                f"{self._study}: {self._sent} pulses were to be sent in all, but "
                f"{tile.stats.pulses} arrived."
            )


class CellBench(Bench):
    """Cells of several devices, in one column, that get one update at a time.

    Every update is one vector pair worth a mean step of the cell, at most one pulse to a device.
    What else a cell does with updates, transfers and refreshes among them, it does here too.
    """

    def __init__(self, study: str, cell: CompoundDevice, cells: int, rng: Any = None) -> None:
        self._study, self.device = study, cell
        tile = self._pulser = self._tile(as_count(cells, f"{study}: devices"), 1, rng)
        self.low, self.high = (bound[:, 0] for bound in tile.weight_range())
        self.seed = tile.seed

    @property
    def states(self) -> float:
        """How many steps cross the range."""
        return float((self.high - self.low).mean(dtype=float) / self._pulser.weight_granularity)

    @property
    def weights(self) -> NDArray[np.float32]:
        """What is seen of the cells, of shape (1, cells)."""
        return super().weights.T

    def pulse(self, rows: ArrayLike, cols: ArrayLike = 1.0) -> None:
        """Send every cell one update after another; `rows` are +1 up or -1 down."""
        x = -np.broadcast_to(np.asarray(cols, np.float32), (np.size(rows), 1))
        d = np.repeat(np.reshape(np.asarray(rows, np.float32), (-1, 1)), self.low.size, axis=1)
        self._pulser.update(x, d, learning_rate=self._pulser.weight_granularity)


def bench_of(study: str, given: Any, devices: int, rng: Any = None) -> Bench:
    """Return a bench for a device or a cell, or for that of a configuration."""
    device = as_config(given, study).device
    if isinstance(device, CompoundDevice):
        return CellBench(study, device, devices, rng)
    return Bench(study, given, devices, rng)


def pulsed_device(given: Any, study: str) -> PulsedDevice:
    """Return the pulsed device of a device or configuration, or raise `ConfigError`."""
    config = as_config(given, study)
    device = config.device
    if isinstance(device, CompoundDevice):
        raise ConfigError(
            f"{study}: {type(device).__name__} is several devices: give it each by itself."
        )
    if isinstance(config, FloatingPointRPUConfig) or not isinstance(device, PulsedDevice):
        raise ConfigError(f"{study}: {type(device).__name__} takes no pulses.")
    return device


def as_count(value: Any, where: str) -> int:
    """Return a positive integer, or raise `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{where} must be a positive integer, got {value!r}.")
    return int(value)
