"""A matrix of targets, and the devices that were programmed to hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.inference import BaseNoiseModel, ProgrammedDevices, ReadNoiseTime
from rpusim.kernels.device_arrays import copied
from rpusim.kernels.streams import Purpose
from rpusim.tiles.digital import DigitalMatrix

__all__ = ["ProgrammedMatrix"]

NEVER = -1.0  # time of devices that have not drifted yet


class ProgrammedMatrix(DigitalMatrix):
    """Weights that are trained in digital, `persistent`, and what devices make of them, `weights`.

    Parameters are those of `DigitalMatrix`. Until devices are programmed, and after any change of
    the targets, the two are the same array.

    Attributes
    ----------
    devices : ProgrammedDevices or None
        The devices, if they are programmed.
    time : float or None
        When they were last read, in seconds after programming; None: not since.
    on_restore : callable
        Called when the devices are given up.
    """

    devices: ProgrammedDevices | None = None
    time: float | None = None
    on_restore: Callable[[], Any] = staticmethod(lambda: None)
    _read = 0  # number of the last read

    def program(self, model: BaseNoiseModel, exact: bool = False) -> None:
        """Program devices to hold the targets; `exact`: they hold them already."""
        old, w = self.devices, self.persistent
        try:
            devices = ProgrammedDevices(model, w, self.streams, self.backend, exact, old)
        finally:  # their memory is used again
            self.restore_targets()
        self._take(devices, None, 0)

    def drift_to(self, t: float) -> None:
        """Let the devices be what they are at a time, and read them."""
        if self.devices is not None:
            self.devices.relax()
            read = self.streams.peek(Purpose.READ)
            self._take(self.devices, t, read, self.devices.weights(t))

    @property
    def reads_anew(self) -> bool:
        """Whether every product draws a read noise of its own."""
        devices = self.devices
        if devices is None or self.time is None or not devices.model.has("read"):
            return False
        return devices.model.read_noise is ReadNoiseTime.PER_CALL

    def read(self) -> tuple[np.ndarray, Any]:
        """Return what a product sees now, and a mark that changes with it."""
        if self.devices is None or not self.reads_anew:
            return self.weights, self.version
        step = self.streams.peek(Purpose.READ)
        return self.devices.weights(self.time, step, waits=False), (self.version, step)

    def finish_read(self) -> None:
        """Let the next product see another read; after one that was refused this is not called."""
        if self.reads_anew:
            self.streams.take(Purpose.READ)

    def conductances(self) -> tuple[np.ndarray, Mapping[str, Any]] | None:
        """Return the conductances that make the present weights, and what converts them back."""
        return self._conductances(self._read)

    def conductances_read(self) -> tuple[np.ndarray, Mapping[str, Any]] | None:
        """Return the same for what a product sees now."""
        return self._conductances(
            self.streams.peek(Purpose.READ) if self.reads_anew else self._read
        )

    def _conductances(self, step: int) -> tuple[np.ndarray, Mapping[str, Any]] | None:
        if self.devices is None:
            return None
        return self.devices.conductances(self.time, step=step), self.devices.params

    def restore_targets(self) -> None:
        """Give up the devices: the targets are seen again."""
        if self.devices is not None:
            self.devices, self.time, self._read = None, None, 0
            self.weights = self.persistent
            self.version += 1
            self.on_restore()

    @property
    def drifts(self) -> bool:
        """Whether time does anything: once devices are programmed, yes."""
        return True

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return what each programmed device carries, by name; nothing without them."""
        return {} if self.devices is None else self.devices.hidden_parameters()

    def state(self) -> dict[str, np.ndarray]:
        """Return everything as plain arrays, by name."""
        none, devices = np.zeros((0, *self.shape), np.float32), self.devices
        return {
            **super().state(),
            "programmed_conductances": none if devices is None else copied(devices.programmed),
            "drift_coefficients": none if devices is None else copied(devices.coefficients),
            "inference_time": np.array(NEVER if self.time is None else self.time),
            "last_read": np.array(self._read),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned; the caller has checked names and shapes."""
        self.restore_targets()
        super().restore(state)

    def restore_devices(self, state: Mapping[str, np.ndarray], model: BaseNoiseModel) -> None:
        """Continue with the devices of a state, if it has some."""
        names = ("programmed_conductances", "drift_coefficients")
        for name in (*names, "drift_alpha", "drift_offset", "drift_baseline"):
            if not np.isfinite(state[name]).all():
                raise DataError(f"load_state_dict: {name} must be finite.")
        programmed, coefficients = (np.asarray(state[name], np.float32) for name in names)
        if not len(programmed):
            return
        devices = ProgrammedDevices.restored(
            model, self.persistent, programmed, coefficients, self.streams, self.backend
        )
        t, read = float(state["inference_time"]), int(state["last_read"])
        if not (t == NEVER or 0.0 <= t < np.inf) or read < 0:
            raise DataError(
                f"load_state_dict: inference_time and last_read must be >= 0, got {t!r} and {read}."
            )
        self._take(devices, None if t == NEVER else t, read)

    def _take(
        self,
        devices: ProgrammedDevices,
        time: float | None,
        read: int,
        weights: np.ndarray | None = None,
    ) -> None:
        """See these devices from now on, at a time, by the read of a number."""
        self.devices, self.time, self._read = devices, time, read
        self.weights = devices.weights(time, read) if weights is None else weights
        self.version += 1

    def _written(self) -> None:
        self.restore_targets()
        super()._written()
