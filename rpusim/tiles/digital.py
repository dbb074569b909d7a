"""A matrix of numbers: the counterpart of a crossbar for devices that are updated exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.devices import FloatingPointDevice, IdealDevice
from rpusim.errors import StateError
from rpusim.kernels.device_arrays import copied, namespace, place, put
from rpusim.kernels.random import normal
from rpusim.kernels.streams import Purpose, Streams
from rpusim.pulses.plan import check_pairs
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.pulsing import subtract

__all__ = ["DigitalMatrix"]


class DigitalMatrix:
    """A matrix without bounds and hidden parameters; it has the methods of a `Crossbar`.

    Parameters
    ----------
    shape : (int, int)
        Rows (outputs) and columns (inputs).
    device : IdealDevice or FloatingPointDevice
        Its decay, diffusion and drift.
    streams : Streams
        Where its draws come from.
    backend : {"cpu", "cuda", "python"}
        Where it runs.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        device: IdealDevice | FloatingPointDevice,
        streams: Streams,
        backend: str = "cpu",
    ) -> None:
        self.shape, self.device, self.streams, self.backend = shape, device, streams, backend
        zeros = namespace(backend).zeros
        self.weights = self.persistent = zeros(shape, np.float32)
        self._carry = zeros(shape if device.lifetime > 0.0 else (0, 0), np.float32)
        self._start, self._since, self.clock = self.weights.copy(), 0.0, 0.0
        self.version = 0

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return nothing: numbers hide nothing."""
        return {}

    def set_hidden_parameters(
        self, changes: Mapping[str, Any], recompute_derived: bool = True
    ) -> None:
        """Refuse any change."""
        if changes:
            name = type(self.device).__name__
            raise StateError(f"{name} has no hidden parameters, got {', '.join(changes)}.")

    def set_weights(self, weights: np.ndarray) -> int:
        """Write weights; none is ever clipped."""
        put(self.persistent, weights)
        self._carry[:] = 0.0
        self._written()
        return 0

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return minus infinity and infinity: nothing limits numbers."""
        infinity = np.full(self.shape, np.inf, np.float32)
        return -infinity, infinity

    def update(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Subtract ``rate * d^T x``."""
        check_pairs(x, d)
        subtract(self.persistent, x, d, rate, self.backend)
        self._written()
        return UpdateReport(vectors=len(x))

    def add(self, step: np.ndarray) -> None:
        """Move all weights by a step of their own."""
        self.persistent += place(step, self.backend)
        self._written()

    def decay(self, alpha: float = 1.0) -> None:
        """Shrink all weights once by ``alpha / lifetime``; what rounding leaves is kept."""
        if self.device.lifetime > 0.0:
            exact = self.persistent.astype(np.float64) + self._carry
            exact *= 1.0 - min(alpha / self.device.lifetime, 1.0)
            self.persistent[:] = exact
            self._carry[:] = exact - self.persistent
            self._written()

    def diffuse(self) -> None:
        """Take one step of the random walk."""
        if self.device.diffusion > 0.0:
            step, *key = self.streams.draw(Purpose.DIFFUSION)
            z = place(normal(self.shape, tuple(key), step=step), self.backend)
            self.persistent += self.device.diffusion * z
            self._written()

    def reset(self, columns: np.ndarray, prob: float = 1.0) -> None:
        """Set the marked columns to noise around 0, each weight with probability `prob`."""
        if not isinstance(self.device, IdealDevice):
            raise StateError(f"{type(self.device).__name__} has no reset.")
        step, *key = self.streams.draw(Purpose.RESET)
        fresh = self.device.reset_std * normal(self.shape, tuple(key), step=step)
        chosen = np.random.default_rng([*key, step]).random(self.shape) < prob
        chosen &= columns.astype(bool)
        fresh, chosen = place(fresh, self.backend), place(chosen, self.backend)
        self.persistent[:] = np.where(chosen, fresh, self.persistent)
        self._written()

    def clip(self, value: float) -> None:
        """Limit the weights to ``-value..value``."""
        np.clip(self.persistent, -value, value, out=self.persistent)
        self._written()

    def drift(self, delta_t: float) -> None:
        """Let a time pass: weights fall as ``(t / t_0)**-nu`` since they were last written."""
        p = getattr(self.device, "drift", None)
        if p is None or p.nu == 0.0:
            return
        self.clock += delta_t / p.t_0
        self.version += 1
        self.persistent[:] = self._start * max(self.clock - self._since, 1.0) ** -p.nu

    @property
    def drifts(self) -> bool:
        """Whether time does anything to the weights."""
        drift = getattr(self.device, "drift", None)
        return drift is not None and drift.nu > 0.0

    def state(self) -> dict[str, np.ndarray]:
        """Return everything as plain arrays, by name."""
        return {
            "persistent_weights": copied(self.persistent),
            "decay_carry": copied(self._carry),
            "drift_start": copied(self._start),
            "drift_times": np.array([self._since, self.clock]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned."""
        self.version += 1
        put(self.persistent, state["persistent_weights"])
        put(self._carry, state["decay_carry"])
        put(self._start, state["drift_start"])
        self._since, self.clock = (float(t) for t in state["drift_times"])

    def _written(self) -> None:
        """Restart the drift, note the change."""
        self.version += 1
        if getattr(self.device, "drift", None) is not None:
            self._start[:] = self.persistent
            self._since = self.clock
