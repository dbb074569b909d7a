r"""A pair of devices that are only ever stepped up: :math:`W = g_+ - g_-`.

.. math::
    \Delta g_+ = \max(-\eta\, d x^\mathsf{T}, 0), \qquad
    \Delta g_- = \max(\eta\, d x^\mathsf{T}, 0)

coincidence by coincidence of the same trains: those that should raise W are up pulses of
:math:`g_+`, the others are up pulses of :math:`g_-`. Pulses are counted in the mean up step at
w = 0, each device's own: what a down step would do is irrelevant.

**Refresh.** As both only grow, they fill up. After every `refresh_every`-th batch (or vector pair)
all columns of both are read as p and m. With :math:`w_\text{max}` of each device, where

.. math:: \max(p, m) / w_\text{max} > \text{upper}, \quad \min(p, m) / w_\text{max} > \text{lower}

both are reset, and the difference is written to the larger one by as many pulses as take the mean
device there, in several updates if trains are too short. What is then missing of p - m stands in
the array ``residual``. Trains of these writes are just as long as needed, whatever `refresh_update`
says of managements.

Source: Nandakumar et al., Front. Neurosci. 14, 406 (2020); Burr et al., IEEE Trans. Electron
Devices 62, 3498 (2015), for the pair and its refresh.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from rpusim.config import param
from rpusim.devices import PulsedDevice
from rpusim.devices.mirror import mirror, mirror_planes
from rpusim.errors import ConfigError, ModelRangeWarning, warn_caller
from rpusim.kernels.device_arrays import host, place
from rpusim.kernels.random import normal
from rpusim.kernels.streams import Purpose, Streams
from rpusim.periphery import IOParameters
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.rising import RisingPulser, pulses_to, up_step
from rpusim.tiles.compounds.slices import Slices, unmanaged
from rpusim.tiles.compounds.transfer import add_segment
from rpusim.tiles.compounds.unit_cell import TRAINS, UnitCell
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.pulsing import EXACT

__all__ = ["DifferenceUnitCell", "OneSidedCell", "OneSidedUnitCell"]

MOST = 1000  # updates of one refresh
ROUNDING = 1e-6  # a ratio of floats that would be an integer may come out larger by this
ELSEWHERE = 1 << 40  # numbers of the trains of refreshes begin here


class OneSidedUnitCell(UnitCell):
    r"""A pair of devices that are only stepped up, the first one g-, the second one g+.

    One device given stands for both, drawn independently; with `copy_inverted` the second is the
    mirror image of the first, device by device: its up steps are the first one's down steps.
    Weights that are set go to :math:`g_+ = \max(w, 0)` and :math:`g_- = \max(-w, 0)`; what one
    cannot hold the other one takes, if it can. See `rpusim.tiles.compounds.one_sided` for the
    equations.

    Examples
    --------
    >>> from rpusim import ExpStepDevice
    >>> OneSidedUnitCell([ExpStepDevice(w_min=0.0)], refresh_every=10).pair()[0].w_min
    0.0
    """

    fewest: ClassVar[int] = 1
    most: ClassVar[int] = 2

    refresh_every: int = param(0, low=0, unit="period", doc="between refreshes; 0: never")
    units_in_mbatch: bool = param(True, doc="refresh_every is in batches, else in vector pairs")
    refresh_upper_thres: float = param(
        0.75, low=0.0, unit="of w_max", doc="the larger device must exceed this"
    )
    refresh_lower_thres: float = param(
        0.25, low=0.0, unit="of w_max", doc="the smaller device must exceed this"
    )
    refresh_forward: IOParameters = param(
        IOParameters(), doc="reads, without noise and bound management"
    )
    refresh_update: UpdateParameters = param(UpdateParameters(), doc="pulses of writes")
    copy_inverted: bool = param(False, doc="the second device is the mirror image of the first")

    def check(self) -> None:
        """Refuse cells as parts, and pairs that have nothing to refresh."""
        super().check()
        where = type(self).__name__
        for device in self.unit_cell_devices:
            if not isinstance(device, PulsedDevice):
                raise ConfigError(
                    f"{where}.unit_cell_devices must hold single devices, got {device!r}: "
                    "each is only stepped up, which a cell is not."
                )
        if self.copy_inverted and len(set(self.unit_cell_devices)) > 1:
            raise ConfigError(
                f"{where}.copy_inverted makes the second device from the first: give one device."
            )
        if self.unit_cell_devices:
            pair = self.pair()
            if self.copy_inverted and pair[1].w_max == 0.0:
                raise ConfigError(
                    f"{where}.copy_inverted needs a device with w_min < 0: its mirror image "
                    "has no weights above 0."
                )
            if self.refresh_every and min(device.w_max for device in pair) == 0.0:
                raise ConfigError(f"{where}.refresh_every needs devices with w_max > 0.")
        unmanaged(self.refresh_forward, f"{where}.refresh_forward")

    def pair(self) -> tuple[PulsedDevice, PulsedDevice]:
        """Return the devices for g- and g+."""
        first, second = self.unit_cell_devices[0], self.unit_cell_devices[-1]
        return first, mirror(first) if self.copy_inverted else second

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        both = self
        if self.unit_cell_devices:
            both = self.replace(unit_cell_devices=self.pair(), copy_inverted=False)
        parts = both.parts(shape, streams, backend, bias, TRAINS)
        if self.copy_inverted:
            first, second = parts
            planes = dict(zip(first.names, first.planes, strict=True))
            planes = mirror_planes(first.device, planes)
            second.planes[:] = np.stack([planes[name] for name in second.names])
        return OneSidedCell(self, parts, streams)


DifferenceUnitCell = OneSidedUnitCell


class OneSidedCell(Cell):
    """The devices of a `OneSidedUnitCell`, named g- and g+.

    Its arrays: ``count``, the vector pairs so far, and ``residual``, what the last refresh of each
    crosspoint left missing of its weight.
    """

    device: Any

    def __init__(self, device: OneSidedUnitCell, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, (-1.0, 1.0), streams, ("g-", "g+"))
        for part in parts:
            part.granularity = up_step(part.device)
            part._pulser = RisingPulser(part.device, self.backend)
        rows, cols = self.shape
        io = unmanaged(device.refresh_forward, f"{type(device).__name__}.refresh_forward")
        write = device.refresh_update.replace(
            update_management=True, update_bl_management=True, um_grad_scale=1.0
        )
        self.slices = Slices((2 * rows, cols), True, io, write, streams, self.backend)
        self.arrays["count"] = np.zeros((), np.int64)
        self.arrays["residual"] = np.zeros(self.shape, np.float32)

    # ---------------------------------------------------------------- learning

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Learn up to the next refresh, refresh, and so on."""
        p, count = self.device, self.arrays["count"]
        period = p.refresh_every * (len(x) if p.units_in_mbatch else 1)
        report, begin = UpdateReport(), 0
        while begin < len(x):
            wait = period - int(count) % period if period else len(x)
            segment = slice(begin, min(begin + wait, len(x)))
            add_segment(report, self._step(x[segment], d[segment], rate, settings))
            count += segment.stop - begin
            begin = segment.stop
            if period and int(count) % period == 0:
                self._renew(report)
        return report

    def _step(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        minus, plus = self.parts
        report = plus.update(x, d, rate, settings)
        lowered = minus.update(x, -d, rate, settings)
        report.pulses_up, report.pulses_down = report.pulses_up, lowered.pulses_up
        return report

    # ---------------------------------------------------------------- refresh

    def _renew(self, report: UpdateReport) -> None:
        """Read all pairs; reset, and write anew, those that fill up."""
        p, rows, (minus, plus) = self.device, self.shape[0], self.parts
        together = np.concatenate([minus.weights, plus.weights])
        read = self.slices.read(together, np.arange(self.shape[1]))
        g_minus, g_plus = read[:, :rows], read[:, rows:]
        ends = (g_minus / minus.device.w_max, g_plus / plus.device.w_max)
        full = np.maximum(*ends) > p.refresh_upper_thres
        full &= np.minimum(*ends) > p.refresh_lower_thres
        columns = np.flatnonzero(full.any(axis=1))
        if columns.size == 0:
            return
        full, wanted = full[columns], g_plus[columns] - g_minus[columns]
        wanted[~full] = 0.0
        k, i = np.nonzero(full)
        spots = (i, columns[k])
        self._reset_pairs(spots)
        report.pulses_down += self._write(minus, columns, np.maximum(-wanted, 0.0))
        report.pulses_up += self._write(plus, columns, np.maximum(wanted, 0.0))
        reached = host(plus.weights[spots]) - host(minus.weights[spots])
        self.arrays["residual"][spots] = wanted[full] - reached

    def _reset_pairs(self, spots: tuple[np.ndarray, np.ndarray]) -> None:
        """Reset both devices of some crosspoints, each with noise of its own."""
        step, *key = self.streams.draw(Purpose.TRANSFER)
        noise = normal((2, spots[0].size), key, step=step)
        hits = np.zeros(self.shape, np.uint8)
        hits[spots] = 1
        for part, z in zip(self.parts, noise, strict=True):
            low, high = (host(bound[spots]) for bound in part._bounds())
            new = host(part._rest()[spots]) + np.float32(part.device.reset_std) * z
            part.persistent[spots] = place(np.clip(new, low, high), self.backend)
            part.touched(place(hits, self.backend))

    def _write(self, part: Any, columns: np.ndarray, rises: np.ndarray) -> int:
        """Raise columns of a part, from where reset leads, by pulses; return their number."""
        settings, sent = self.slices.settings, 0
        exact = settings.pulse_type in EXACT
        left, some = rises.copy(), rises > 0.0
        if not exact:
            left[some] = part.granularity * pulses_to(part.device, rises[some])
        top = math.inf if exact else settings.desired_bl * part.granularity
        updates = math.ceil(left.max() / top * (1.0 - ROUNDING))
        if updates > MOST:
            warn_caller(
                f"{type(self.device).__name__}: a refresh needs {updates} updates with "
                f"refresh_update.desired_bl = {settings.desired_bl}, and stops after {MOST}: "
                "weights come back too small. Use longer trains.",
                ModelRangeWarning,
            )
        with trains_elsewhere(part.streams):
            for _ in range(min(max(updates, 1), MOST)):
                now = np.minimum(left, np.float32(top))
                some = now.any(axis=1)
                sent += self.slices.write(part, columns[some], now[some], 1.0).pulses_up
                left = left - now
        return sent

    # ---------------------------------------------------------------- weights

    def set_weights(self, weights: np.ndarray) -> int:
        """Write to one device of each pair; return how many weights their bounds changed."""
        minus, plus = self.parts
        weights = place(weights, self.backend)
        plus.set_weights(np.maximum(weights, 0.0))
        minus.set_weights(plus._held() - weights)
        plus.set_weights(minus._held() + weights)
        self.begin_anew()
        self.refresh()
        return self.missed(weights)


@contextlib.contextmanager
def trains_elsewhere(streams: Streams) -> Iterator[None]:
    """Draw trains that updates never draw: those of updates stay what other parts draw too."""
    steps, (x, spare) = streams.steps, TRAINS  # both sides of a train use the number of x
    kept, steps[x] = int(steps[x]), ELSEWHERE + steps[spare]
    try:
        yield
    finally:
        steps[spare], steps[x] = steps[x] - ELSEWHERE, kept
