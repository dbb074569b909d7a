"""The way from a batch of vector pairs to crosspoints, one by one: on a GPU, in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.devices.base import PulsedDevice
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import namespace, place
from rpusim.kernels.streams import MASK, Purpose
from rpusim.pulses.crosspoint import (
    aggregate_crosspoint,
    crosspoint_rows,
    mean_field_crosspoints,
    pulse_crosspoints,
    walk_crosspoint,
)
from rpusim.pulses.exact import count_rows
from rpusim.pulses.plan import Plan
from rpusim.pulses.settings import UpdateParameters
from rpusim.pulses.train_lines import count_vectors, fire_vectors, layout
from rpusim.pulses.trains import STOCHASTIC, coincide, count_product, options
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.pulsing import UPDATE_KEYS, Pulser

__all__ = ["CrosspointPulser", "pulser"]


class CrosspointPulser(Pulser):
    """A `Pulser` that gives each crosspoint its pulses by itself.

    Parameters
    ----------
    device, rises_only
        As for `Pulser`.
    backend : {"python", "cuda"}
        Where it runs.
    """

    _places = staticmethod(pulse_crosspoints)
    _mean_field = staticmethod(mean_field_crosspoints)

    def __init__(self, device: PulsedDevice, rises_only: bool, backend: str) -> None:
        self.backend = backend
        super().__init__(device, rises_only)

    def _law(self, device: PulsedDevice) -> dict[str, Any]:
        """Return what the free names of kernels stand for."""
        body = aggregate_crosspoint if self._sums else walk_crosspoint
        law = device.crosspoint_law()._asdict()
        return {**law, "crosspoint": body, "RISES_ONLY": self._rises_only}

    def _body(self) -> Callable[..., int]:
        """Return the plain kernel over rows, which gives each crosspoint to `crosspoint`."""
        return crosspoint_rows

    def _send(
        self,
        crossbar: Any,
        x: Any,
        d: Any,
        drawn: Plan,
        settings: UpdateParameters,
        hits: Any,
        counts: Any,
        report: UpdateReport,
    ) -> None:
        """Send the pulses of a batch: one launch for the trains, one for the devices."""
        streams, w, backend = crossbar.streams, crossbar.persistent, self.backend
        first = streams.take(Purpose.TRAIN_X, len(x))
        keys = (*streams.key(Purpose.TRAIN_X), *streams.key(Purpose.TRAIN_D))
        counted = settings.pulse_type not in STOCHASTIC
        starts, bounds, offsets = layout(drawn, counted)
        step = streams.take(Purpose.UPDATE_BATCH, len(bounds) - 1)
        if drawn.slots == 0:
            return
        xw, xs, dw, ds = room_for_words(int(bounds[-1]), x.shape[1], d.shape[1], counted, backend)
        numbers = place(np.concatenate([starts, bounds, offsets]), backend)  # one copy, not three
        starts, bounds, offsets = np.split(numbers, [len(x), len(x) + len(bounds)])
        args = [place(a, backend) for a in (x, d, drawn.table)] + [starts]
        with np.errstate(all="ignore"):  # of laws in plain Python
            fire = kernel(count_vectors if counted else fire_vectors, backend)
            split(fire, len(x), 0.0, *args, first, keys, *options(settings), xw, xs, dw, ds)
            meet = count_product if counted else coincide
            noise_keys = tuple(streams.keys(UPDATE_KEYS, step >> 32).tolist())
            total = namespace(backend).zeros((w.shape[0], 2), np.int64)
            sides = (xw, xs, dw, ds, offsets)
            args = [w, crossbar.planes, crossbar._model, *sides, bounds]
            rows = self._kernel(meet)
            split(rows, w.shape[0], 0.0, *args, step & MASK, noise_keys, hits, total)
            if counts.size:
                count = kernel(count_rows, backend, coincide=meet)
                split(count, w.shape[0], 0.0, *sides, *counts)
        report.await_pulses(total)


def room_for_words(
    words: int, columns: int, rows: int, counted: bool, backend: str
) -> tuple[Any, Any, Any, Any]:
    """Return zeros for words and signs of both sides, of the shapes of `Trains`, in one piece."""
    widths = (columns, columns, rows, rows)
    whole = namespace(backend).zeros(words * sum(widths), np.int64)
    ends = np.cumsum(widths) * words
    xw, xs, dw, ds = (
        whole[end - words * width : end].reshape(words, width)
        for end, width in zip(ends.tolist(), widths, strict=True)
    )
    return (xw.view(np.float64), xs, dw.view(np.float64), ds) if counted else (xw, xs, dw, ds)


def pulser(device: PulsedDevice, backend: str, rises_only: bool = False) -> Pulser:
    """Return a device's law, ready to be applied to crossbars; see `Pulser`."""
    if backend == "cpu":
        return Pulser(device, rises_only)
    return CrosspointPulser(device, rises_only, backend)
