"""The way from a batch of vector pairs to a crossbar's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.devices.base import PulsedDevice
from rpusim.errors import ConfigError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import place
from rpusim.kernels.streams import MASK, Purpose
from rpusim.pulses.aggregate import aggregate_rows
from rpusim.pulses.exact import clip_rows, count_rows, exact_rows, subtract_rows
from rpusim.pulses.mean_field import mean_field_rows
from rpusim.pulses.plan import Plan, check_pairs, plan
from rpusim.pulses.rising import rising_rows
from rpusim.pulses.settings import PulseType, UpdateParameters
from rpusim.pulses.trains import STOCHASTIC, chunks, coincide, count_product, trains
from rpusim.pulses.verify import pulse_places
from rpusim.pulses.walk import walk_rows
from rpusim.tiles.ledger import UpdateReport

__all__ = ["EXACT", "PER_DEVICE", "UPDATE_KEYS", "Pulser", "subtract"]

# nanoseconds of one core, to judge whether threads pay
PER_DEVICE, PER_WORD, PER_SLOT, PER_PRODUCT = 10.0, 1.0, 0.3, 0.15

EXACT = (PulseType.NONE, PulseType.NONE_WITH_DEVICE, PulseType.MEAN_FIELD)  # without trains
UPDATE_KEYS = (Purpose.UPDATE_BATCH, Purpose.UPDATE_PULSE)


class Pulser:
    """A device's law, ready to be applied to crossbars row by row, by machine code.

    Parameters
    ----------
    device : PulsedDevice
        Whose law it is. If its step does not depend on the weight, pulses are summed where that is
        exact.
    rises_only : bool
        Whether coincidences that should step down send nothing.
    """

    backend = "cpu"
    _places: Callable[..., Any] = staticmethod(pulse_places)
    _mean_field: Callable[..., Any] = staticmethod(mean_field_rows)

    def __init__(self, device: PulsedDevice, rises_only: bool = False) -> None:
        self._sums = not device.step_depends_on_weight and not rises_only
        self._rises_only = rises_only
        self._names = self._law(device)
        self._rows: dict[Any, Callable[..., int]] = {}

    def _law(self, device: PulsedDevice) -> dict[str, Any]:
        """Return what the free names of kernels stand for."""
        return device.bound_law()._asdict()

    def update(
        self,
        crossbar: Any,
        x: np.ndarray,
        d: np.ndarray,
        rate: float,
        settings: UpdateParameters,
        hits: np.ndarray,
        counts: np.ndarray,
    ) -> UpdateReport:
        """Apply ``w <- w - rate * d x^T`` to a crossbar, by pulses, vector pairs in order.

        Parameters
        ----------
        crossbar : Crossbar
            Whose persistent weights and planes are changed.
        x, d : ndarray of shape (batch, cols), (batch, rows)
            C-contiguous float32.
        rate : float
            Learning rate > 0 as the devices see it.
        settings : UpdateParameters
            Kind and length of the trains.
        hits : ndarray of shape (rows, cols) or (0, 0)
            Where a pulse fell, if wanted.
        counts : ndarray of shape (2, rows, cols) or (2, 0, 0)
            Pulses up and down of every device are added, if wanted.
        """
        if settings.pulse_type in EXACT:
            return self._exactly(crossbar, x, d, rate, settings, hits)
        drawn = plan(x, d, rate, crossbar.granularity, settings)
        report = UpdateReport(
            vectors=len(x),
            silent=len(x) - drawn.active,
            saturated=drawn.saturated,
            mean_length=drawn.slots / max(drawn.active, 1),
        )
        self._send(crossbar, x, d, drawn, settings, hits, counts, report)
        return report

    def _send(
        self,
        crossbar: Any,
        x: np.ndarray,
        d: np.ndarray,
        drawn: Plan,
        settings: UpdateParameters,
        hits: np.ndarray,
        counts: np.ndarray,
        report: UpdateReport,
    ) -> None:
        """Send the pulses of a batch, chunk after chunk; note their number in the report."""
        streams, w = crossbar.streams, crossbar.persistent
        first = streams.take(Purpose.TRAIN_X, len(x))
        keys = (*streams.key(Purpose.TRAIN_X), *streams.key(Purpose.TRAIN_D))
        meet = coincide if settings.pulse_type in STOCHASTIC else count_product
        rows = self._kernel(meet)
        total = np.zeros((w.shape[0], 2), np.int64)
        for chunk in chunks(drawn):
            t = trains(x, d, drawn, chunk, settings, first, keys)
            step = streams.take(Purpose.UPDATE_BATCH)
            noise_keys = streams.keys(UPDATE_KEYS, step >> 32)
            each = PER_WORD * len(t.offsets) if self._sums else PER_SLOT * chunk[2]
            work = w.size * (PER_DEVICE + each)
            sides = (t.xw, t.xs, t.dw, t.ds, t.offsets)
            args = (
                w,
                crossbar.planes,
                crossbar._model,
                *sides,
                step & MASK,
                noise_keys,
                hits,
                total,
            )
            split(rows, w.shape[0], work, *args)
            if counts.size:
                count = kernel(count_rows, coincide=meet)
                split(count, w.shape[0], work, *sides, *counts)
        report.pulses_up, report.pulses_down = np.add.reduce(total).tolist()

    def pulse(self, crossbar: Any, places: np.ndarray, rises: np.ndarray) -> UpdateReport:
        """Send one pulse to each of some devices, without trains.

        Parameters
        ----------
        crossbar : Crossbar
            Whose devices they are.
        places : ndarray of int64
            Their numbers, row by row, no two the same.
        rises : ndarray of bool
            Whether the pulse goes up, for each of `places`.
        """
        step, backend = crossbar.streams.take(Purpose.UPDATE_BATCH), self.backend
        _, _, k0, k1 = crossbar.streams.keys(UPDATE_KEYS, step >> 32).tolist()
        rows = kernel(self._places, backend, **self._names)
        devices = (place(places, backend), place(rises, backend), crossbar.persistent)
        args = (*devices, crossbar.planes, crossbar._model, step & MASK, k0, k1)
        with np.errstate(all="ignore"):  # of laws in plain Python
            split(rows, len(places), PER_DEVICE * len(places), *args)
        hits = np.zeros(crossbar.shape, np.uint8)
        hits.flat[places] = 1
        crossbar.touched(place(hits, backend))
        if crossbar._counts.size:
            more = np.zeros(crossbar._counts.shape, np.int64)
            for counts, chosen in zip(more, (rises, ~rises), strict=True):
                counts.flat[places[chosen]] = 1
            crossbar._counts += place(more, backend)
        up = int(np.count_nonzero(rises))
        return UpdateReport(pulses_up=up, pulses_down=len(places) - up)

    def _kernel(self, meet: Callable[..., Any]) -> Callable[..., int]:
        """Return the kernel over rows for one way in which trains coincide."""
        if meet not in self._rows:
            self._rows[meet] = kernel(self._body(), self.backend, **self._names, coincide=meet)
        return self._rows[meet]

    def _body(self) -> Callable[..., int]:
        """Return the plain kernel over rows."""
        if self._sums:
            return aggregate_rows
        return rising_rows if self._rises_only else walk_rows

    def _exactly(
        self,
        crossbar: Any,
        x: np.ndarray,
        d: np.ndarray,
        rate: float,
        settings: UpdateParameters,
        hits: np.ndarray,
    ) -> UpdateReport:
        """Update without pulses, within the devices' bounds: after the batch or each vector."""
        w, backend = crossbar.persistent, self.backend
        check_pairs(x, d)
        x, d = place(x, backend), place(d, backend)
        low, high = crossbar.plane("min_bound"), crossbar.plane("max_bound")
        if settings.pulse_type is PulseType.NONE:
            subtract(w, x, d, rate, backend)
            split(kernel(clip_rows, backend), w.shape[0], PER_DEVICE * w.size, w, low, high)
        elif settings.pulse_type is PulseType.MEAN_FIELD:
            self._by_mean_steps(crossbar, x, d, rate)
        else:
            work = PER_PRODUCT * w.size * len(x)
            args = (w, low, high, x, d, np.float32(rate))
            split(kernel(exact_rows, backend), w.shape[0], work, *args)
        hits[:] = 1
        return UpdateReport(vectors=len(x))

    def _by_mean_steps(self, crossbar: Any, x: np.ndarray, d: np.ndarray, rate: float) -> None:
        """Update by real numbers of noise-free steps."""
        if crossbar.device.state:
            name = type(crossbar.device).__name__
            raise ConfigError(f"PulseType.MEAN_FIELD: {name} has hidden state, which needs pulses.")
        w = crossbar.persistent
        rows = kernel(self._mean_field, self.backend, **self._names)
        per_step = np.float32(rate / crossbar.granularity)
        work = PER_DEVICE * w.size * len(x)
        split(rows, w.shape[0], work, w, crossbar.planes, crossbar._model, x, d, per_step)


def subtract(w: np.ndarray, x: np.ndarray, d: np.ndarray, rate: float, backend: str) -> None:
    """Subtract ``rate * d^T x`` from `w`, vector after vector; they passed `check_pairs`."""
    work = PER_PRODUCT * w.size * len(x)
    args = (w, place(x, backend), place(d, backend), np.float32(rate))
    split(kernel(subtract_rows, backend), w.shape[0], work, *args)
