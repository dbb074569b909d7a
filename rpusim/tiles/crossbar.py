"""A crossbar: one matrix of devices, with everything that each of them carries as a named array."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rpusim.devices import operators
from rpusim.devices.base import PulsedDevice
from rpusim.devices.drift import drift_rows
from rpusim.devices.fabrication import Draw
from rpusim.errors import StateError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import copied, namespace, place, put
from rpusim.kernels.streams import Purpose, Streams
from rpusim.pulses.exact import clip_rows
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles import hidden
from rpusim.tiles.crosspoint_pulsing import pulser
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.write_noise import rewrite

__all__ = ["Crossbar"]

OPERATION = 3.0  # nanoseconds per device of an elementwise operation, to judge whether threads pay


class Crossbar:
    """A matrix of pulsed devices.

    Parameters
    ----------
    shape : (int, int)
        Rows (outputs) and columns (inputs).
    device : PulsedDevice
        What they are.
    streams : Streams
        Where its draws come from.
    backend : {"cpu", "cuda", "python"}
        Where it runs.
    bias : bool
        Whether the last column is an analog bias.

    Attributes
    ----------
    weights : ndarray of shape (rows, cols)
        What the product sees: the persistent weights, minus the reference and plus write noise if
        the device has them.
    persistent : ndarray of shape (rows, cols)
        What pulses act on, and the bounds limit.
    version : int
        Grows with every change of the weights.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        device: PulsedDevice,
        streams: Streams,
        backend: str = "cpu",
        bias: bool = False,
    ) -> None:
        self.shape, self.device, self.streams, self.backend = shape, device, streams, backend
        seed = device.construction_seed
        key = (Streams(seed) if seed > 0 else streams.fabrication).key(Purpose.FABRICATE)
        arrays = device.fabricate(shape, Draw(key), bias)
        self.names = device.planes()
        self.planes = place(np.stack([arrays[name] for name in self.names]), backend)
        self.granularity = device.weight_granularity
        zeros = namespace(backend).zeros
        self.persistent = zeros(shape, np.float32)
        apart = device.write_noise > 0.0 or device.subtracts_reference
        self.weights = zeros(shape, np.float32) if apart else self.persistent
        self._carry = zeros(shape if device.lifetime > 0.0 else (0, 0), np.float32)
        self.drifts = device.drift.nu > 0.0  # whether time does anything to them
        self._start = zeros(shape if self.drifts else (0, 0), np.float32)
        self._since = zeros(shape if self.drifts else (0, 0), np.float64)
        self.clock, self.version = 0.0, 0
        self._counts = zeros((2, *(shape if device.count_pulses else (0, 0))), np.int64)
        self._no_hits = zeros((0, 0), np.uint8)
        self._pulser: Any = pulser(device, backend)
        self._model = place(device.model_vector().astype(np.float32), backend)

    # ---------------------------------------------------------------- access

    def plane(self, name: str) -> np.ndarray:
        """Return the (rows, cols) view of one named array."""
        return self.planes[self.names.index(name)]

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest weight of each device that can be seen."""
        low, high = self._bounds()
        return low - self._reference(), high - self._reference()

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of everything each device carries, by name."""
        return hidden.hidden_parameters(self)

    def set_hidden_parameters(
        self, changes: Mapping[str, Any], recompute_derived: bool = True
    ) -> None:
        """Replace some of it; see `rpusim.tiles.hidden`."""
        hidden.set_hidden_parameters(self, changes, recompute_derived)

    def set_weights(self, weights: np.ndarray) -> int:
        """Write weights, limited to the devices' bounds; return how many that changed."""
        self.persistent[:] = place(weights, self.backend) + self._reference()
        clipped = self.limit()
        self._carry[:] = 0.0
        everywhere = namespace(self.backend).ones(self.shape, np.uint8)
        self.touched(everywhere, set_by_user=True)
        return clipped

    # ---------------------------------------------------------------- physics

    def update(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Pulse the devices for a batch of vector pairs; see `Pulser.update`."""
        hits = self._no_hits
        if self._tracked():
            hits = namespace(self.backend).zeros(self.shape, np.uint8)
        report = self._pulser.update(self, x, d, rate, settings, hits, self._counts)
        if hits.size:
            self.touched(hits)
        else:
            self._show()
        return report

    def decay(self, alpha: float = 1.0) -> None:
        """Decay once towards `reset_bias`, `alpha` times as much as one step does."""
        if self.device.lifetime > 0.0:
            with self._clock_running():
                args = (self._carry, self.plane("decay_rates"), self._rest(), *self._bounds())
                self._run(operators.decay_rows, self.persistent, *args, alpha)

    def diffuse(self) -> None:
        """Take one step of the devices' random walks."""
        if self.device.diffusion > 0.0:
            draw = self.streams.draw(Purpose.DIFFUSION)
            with self._clock_running():
                args = (self.plane("diffusion_rates"), *self._bounds(), *draw)
                self._run(operators.diffuse_rows, self.persistent, *args)

    def reset(self, columns: np.ndarray, prob: float = 1.0) -> None:
        """Reset the devices of the marked columns, each with probability `prob`."""
        hits = namespace(self.backend).zeros(self.shape, np.uint8)
        chosen = place(columns.astype(np.uint8), self.backend)
        args = (hits, self._rest(), *self._bounds(), chosen)
        noise = (np.float32(self.device.reset_std), np.float32(prob))
        noise += self.streams.draw(Purpose.RESET)
        self._run(operators.reset_rows, self.persistent, *args, *noise)
        self.touched(hits)

    def clip(self, value: float) -> None:
        """Limit the weights to ``-value..value``, within the devices' bounds."""
        before = self.persistent.copy()
        zero = self._reference()
        np.clip(self.persistent, zero - value, zero + value, out=self.persistent)
        self.limit()
        self.touched(self.persistent != before)

    def drift(self, delta_t: float) -> None:
        """Let a time pass, in the unit of `DriftParameter.t_0`."""
        p = self.device.drift
        if p.nu == 0.0:
            return
        clock = self.clock + delta_t / p.t_0
        names = ("nu_std", "wg_ratio", "g_offset", "w_offset", "nu_k", "log_g0", "w_noise_std")
        settings = np.array([getattr(p, name) for name in names], np.float32)
        g = (self._start - p.w_offset) / p.wg_ratio + p.g_offset if p.nu_k != 0.0 else None
        if g is not None and bool((g <= 0.0).any()):
            raise StateError(
                "drift: nu_k needs positive conductances; choose g_offset and w_offset so that "
                "(w - w_offset) / wg_ratio + g_offset > 0 for all weights."
            )
        held, before = self._held(), self._held().copy()
        args = (held, self._start, self._since, self.plane("drift_nu"), *self.weight_range())
        given = place(settings, self.backend)
        self._run(drift_rows, *args, given, clock, *self.streams.draw(Purpose.DRIFT))
        self.clock = clock
        moved = held != before
        if held is not self.persistent:
            self.persistent[:] = np.where(moved, held + self._reference(), self.persistent)
        self._rewrite(moved)

    def pulse_counts(self) -> dict[str, np.ndarray]:
        """Return how many pulses each device got, ``up`` and ``down``, if it counts them."""
        if not self.device.count_pulses:
            name = type(self.device).__name__
            raise StateError(
                f"pulses are not counted: make the tile with {name}(count_pulses=True)."
            )
        return {"up": copied(self._counts[0]), "down": copied(self._counts[1])}

    # ---------------------------------------------------------------- state

    def state(self) -> dict[str, np.ndarray]:
        """Return everything as plain arrays, by name."""
        state = {f"plane_{name}": copied(self.plane(name)) for name in self.names}
        state |= {name: copied(array) for name, array in self._arrays().items()}
        numbers = {"granularity": self.granularity, "drift_clock": self.clock}
        return state | {name: np.array(value) for name, value in numbers.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned; the caller has checked names and shapes."""
        self.version += 1
        for name in self.names:
            put(self.plane(name), state[f"plane_{name}"])
        for name, array in self._arrays().items():
            put(array, state[name])
        self.granularity, self.clock = float(state["granularity"]), float(state["drift_clock"])

    # ---------------------------------------------------------------- inside

    def _arrays(self) -> dict[str, Any]:
        """Return all that changes, beside the planes, by its name in a state."""
        return {
            "persistent_weights": self.persistent,
            "visible_weights": self.weights,
            "decay_carry": self._carry,
            "drift_start": self._start,
            "drift_since": self._since,
            "pulse_counts": self._counts,
        }

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.plane("min_bound"), self.plane("max_bound")

    def _reference(self) -> Any:
        """Return what is subtracted from the persistent weights to give those that are seen."""
        return self.plane("reference") if self.device.subtracts_reference else np.float32(0.0)

    def _held(self) -> np.ndarray:
        """Return the weights that are seen, before write noise."""
        subtracts = self.device.subtracts_reference
        return self.persistent - self._reference() if subtracts else self.persistent

    def _rest(self) -> np.ndarray:
        """Return the persistent weights to which reset and decay lead."""
        return self.plane("reset_bias") + self._reference()

    def limit(self) -> int:
        """Limit the persistent weights to the bounds; return how many that changed."""
        low, high = self._bounds()
        changed = int(((self.persistent < low) | (self.persistent > high)).sum())
        self._run(clip_rows, self.persistent, low, high)
        return changed

    @contextlib.contextmanager
    def _clock_running(self) -> Iterator[None]:
        """Let weights move without restarting their drift; redraw write noise where they did."""
        if not self._tracked():
            yield
            self._show()
            return
        before = self.persistent.copy()
        yield
        moved = self.persistent - before
        if self._since.size:
            age = np.maximum(self.clock - self._since, 1.0)
            self._start += moved * age ** self.plane("drift_nu")
        self._rewrite(moved != 0.0)

    def _tracked(self) -> bool:
        """Return whether it matters which devices were written."""
        return self.device.write_noise > 0.0 or self._since.size > 0

    def touched(self, hits: np.ndarray, set_by_user: bool = False) -> None:
        """Note that some devices were written: their drift restarts, their write noise is new."""
        if self._since.size:
            written = hits != 0
            self._start[:] = np.where(written, self._held(), self._start)
            self._since[:] = np.where(written, self.clock, self._since)
        if set_by_user and not getattr(self.device, "apply_write_noise_on_set", True):
            self.version += 1
            self.weights[:] = self._held()
        else:
            self._rewrite(hits)

    def _show(self) -> None:
        """Let the weights that are seen follow the persistent ones, without noise."""
        self.version += 1
        if self.weights is not self.persistent:
            np.subtract(self.persistent, self._reference(), out=self.weights)

    def _rewrite(self, hits: np.ndarray) -> None:
        """Show the marked devices' weights with new write noise."""
        if self.device.write_noise == 0.0:
            self._show()
            return
        self.version += rewrite(self, hits)

    def _run(self, rows: Callable[..., int], *args: Any) -> int:
        work = OPERATION * self.persistent.size
        return split(kernel(rows, self.backend), self.shape[0], work, *args)
