r"""Tiki-Taka (TTv1): a fast crossbar A learns, and is carried slice by slice to slow ones.

.. math::
    A &\leftarrow A - \eta_A\, d x^\mathsf{T} && \text{every vector pair, by pulses} \\
    v &= A e_s, \quad C_{\cdot s} \leftarrow C_{\cdot s} + \rho\, v
        && \text{every } T \text{ pairs, } s \leftarrow s + 1 \\
    W &= \textstyle\sum_k \gamma_k w_k

with one-hot reads :math:`e_s` of columns s (or of rows, by the transpose) and pulsed writes, each
part by its own granularity. Of more than two parts, A is carried to C1, C1 to C2, and so on; within
one vector pair in this order.

**Periods.** Part k + 1 is carried once for a full sweep over part k: :math:`T_{k+1} = T_k S / r`, S
slices of which r are read at a time. In vector pairs the period is :math:`\lceil T_k M \rceil` in
batches of M, or :math:`T_k` rounded.

**Rates.** With the learning rate :math:`\eta`: :math:`\eta_A` = `fast_lr`, an absolute rate, unless
`scale_fast_lr` (then times :math:`\eta`) or `fast_lr` = 0 (then :math:`\eta` itself);
:math:`\rho` = `transfer_lr`, times :math:`\eta` if `scale_transfer_lr`.

Reads ignore noise and bound management: the input is 1. All slices of a transfer are read, then
reset if so drawn, then written. Each slow crossbar may be another device, or a cell: one with a
reference is read as the difference.

Source: Gokmen and Haensch, Front. Neurosci. 14 (2020) 103.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rpusim.config import param
from rpusim.config_fields import check_numbers
from rpusim.errors import ConfigError
from rpusim.kernels.random import uniforms
from rpusim.kernels.streams import Purpose, Streams
from rpusim.periphery import IOParameters
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.slices import Slices, unmanaged
from rpusim.tiles.compounds.unit_cell import UnitCell
from rpusim.tiles.ledger import UpdateReport

__all__ = ["TransferCell", "TransferCompound", "add_segment"]

ROUNDING = 1e-6  # a product of floats that would be an integer may come out larger by this


class TransferCompound(UnitCell):
    r"""A fast device A whose content is carried to slow ones, C or C1, C2, ...: Tiki-Taka.

    The first device is A, each other one a slow one. Weights that are set go to the last, the
    others are set to 0 as they are seen, and counters begin anew. Columns that are reset are those
    of A. See `rpusim.tiles.compounds.transfer` for the equations.

    Notes
    -----
    Source: Gokmen and Haensch, Front. Neurosci. 14 (2020) 103.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> TransferCompound([SoftBoundsDevice(), SoftBoundsDevice(dw_min=0.01)], gamma=0.1).gammas()
    (0.1, 1.0)
    """

    fewest: ClassVar[int] = 2

    gamma: float = param(
        0.0, doc="weight of a part relative to the next one; that of the last is 1"
    )
    gamma_vec: tuple = param((), doc="weights of the parts instead, the last one not 0")
    transfer_every: float = param(1.0, low=0.0, unit="period", doc="between transfers; 0: never")
    no_self_transfer: bool = param(True, doc="the last part has no next one, whatever this says")
    transfer_every_vec: tuple = param((), unit="period", doc="period of each part instead")
    units_in_mbatch: bool = param(True, doc="periods are in batches, else in vector pairs")
    n_reads_per_transfer: int = param(1, low=1, unit="slices", doc="carried at a time")
    transfer_columns: bool = param(True, doc="slices are columns, read forward; else rows")
    with_reset_prob: float = param(
        0.0, low=0.0, high=1.0, unit="probability", doc="reset of a column that was read"
    )
    random_selection: bool = param(
        False, doc="the first slice of a transfer is drawn, not the next"
    )
    fast_lr: float = param(1.0, low=0.0, unit="rate", doc="rate of A; 0: the learning rate")
    scale_fast_lr: bool = param(False, doc="fast_lr is relative to the learning rate")
    transfer_lr: float = param(1.0, low=0.0, unit="rate", doc="rate of transfers; 0: none")
    transfer_lr_vec: tuple = param((), unit="rate", doc="rate of transfers from each part instead")
    scale_transfer_lr: bool = param(True, doc="transfer_lr is relative to the learning rate")
    transfer_forward: IOParameters = param(
        IOParameters(), doc="reads, without noise and bound management"
    )
    transfer_update: UpdateParameters = param(UpdateParameters(), doc="pulses of writes")

    def check(self) -> None:
        """Refuse what does not fit the devices, and options that would have no effect."""
        super().check()
        where, count = type(self).__name__, len(self.unit_cell_devices)
        for name in ("gamma_vec", "transfer_every_vec", "transfer_lr_vec"):
            values = getattr(self, name)
            check_numbers(f"{where}.{name}", values)
            if values and count and len(values) != count:
                raise ConfigError(
                    f"{where}.{name} must have one number for each of {count} devices, "
                    f"got {len(values)}."
                )
            if name != "gamma_vec" and any(value < 0.0 for value in values):
                raise ConfigError(f"{where}.{name} must hold numbers >= 0, got {values!r}.")
        if self.gamma_vec and self.gamma_vec[-1] == 0.0:
            raise ConfigError(
                f"{where}.gamma_vec must not end with 0: weights are set on the last device."
            )
        if self.with_reset_prob > 0.0 and not self.transfer_columns:
            raise ConfigError(
                f"{where}.with_reset_prob resets columns: it needs transfer_columns=True."
            )
        unmanaged(self.transfer_forward, f"{where}.transfer_forward")

    def gammas(self) -> tuple[float, ...]:
        """Return the weight of each part in the visible sum."""
        last = len(self.unit_cell_devices) - 1
        return self.gamma_vec or tuple(self.gamma ** (last - k) for k in range(last + 1))

    def periods(self, sweep: float) -> tuple[float, ...]:
        """Return the period of each part but the last, as configured: in batches or vector pairs.

        Parameters
        ----------
        sweep : float
            Number of transfers that make up a full sweep over the slices.
        """
        last = len(self.unit_cell_devices) - 1
        chain = tuple(self.transfer_every * sweep**k for k in range(last))
        return (self.transfer_every_vec or chain)[:last]

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return TransferCell(self, self.parts(shape, streams, backend, bias), streams)


class TransferCell(Cell):
    """The crossbars of a `TransferCompound`: A, and C or C1, C2, ...

    Its arrays: ``transfer_count``, the vector pairs so far (u), and ``slice``, the next slice to be
    read of each part but the last (s).
    """

    device: Any

    def __init__(self, device: TransferCompound, parts: list, streams: Streams) -> None:
        last = len(parts) - 1
        names = ("A", "C") if last == 1 else ("A", *(f"C{k}" for k in range(1, last + 1)))
        super().__init__(device, parts, device.gammas(), streams, names)
        io = unmanaged(device.transfer_forward, f"{type(device).__name__}.transfer_forward")
        self.slices = Slices(
            self.shape, device.transfer_columns, io, device.transfer_update, streams, self.backend
        )
        self.reads = min(device.n_reads_per_transfer, self.slices.count)
        self.every = device.periods(self.slices.count / self.reads)
        self.arrays["transfer_count"] = np.zeros((), np.int64)
        self.arrays["slice"] = np.zeros(last, np.int64)

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Let A learn up to the next transfer, transfer, and so on."""
        u, periods, fast = self.arrays["transfer_count"], self._periods(len(x)), self._fast(rate)
        report, begin = UpdateReport(), 0
        while begin < len(x):
            wait = min((t - int(u) % t for t in periods if t), default=len(x))
            end = min(begin + wait, len(x))
            segment = slice(begin, end)
            add_segment(report, self.parts[0].update(x[segment], d[segment], fast, settings))
            u += end - begin
            for k, t in enumerate(periods):
                if t and int(u) % t == 0:
                    self._transfer(k, rate, report)
            begin = end
        return report

    def _periods(self, batch: int) -> list[int]:
        """Return the period of each part but the last in vector pairs; 0: never."""
        if self.device.units_in_mbatch:
            return [math.ceil(t * batch * (1.0 - ROUNDING)) for t in self.every]
        return [max(math.floor(t + 0.5), 1) if t else 0 for t in self.every]

    def _fast(self, rate: float) -> float:
        """Return the rate of A."""
        p = self.device
        if p.fast_lr == 0.0:
            return rate
        return p.fast_lr * rate if p.scale_fast_lr else p.fast_lr

    def _transfer(self, k: int, rate: float, report: UpdateReport) -> None:
        """Carry the next slices of part k to part k + 1."""
        p = self.device
        rho = (p.transfer_lr_vec or (p.transfer_lr,) * len(self.parts))[k]
        rho *= rate if p.scale_transfer_lr else 1.0
        if rho == 0.0:
            return
        s = self._next(k)
        v = self.slices.read(self.parts[k].weights, s)
        if p.with_reset_prob > 0.0:
            self._reset(k, s[self._uniforms(len(s)) <= p.with_reset_prob])
        report.add_pulses(self._carry(k, s, v, rho))
        report.transfers += len(s)

    def _next(self, k: int) -> np.ndarray:
        """Return the slices of part k that are carried now, and move on."""
        count, place = self.slices.count, self.arrays["slice"]
        if self.device.random_selection:
            place[k] = int(self._uniforms(1)[0] * count) % count
        s = (place[k] + np.arange(self.reads)) % count
        place[k] = (place[k] + self.reads) % count
        return s

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        """Add ``rho * v``, what slices s of part k were read as, to those of part k + 1."""
        return self.slices.write(self.parts[k + 1], s, v, rho)

    def _reset(self, k: int, columns: np.ndarray) -> None:
        marked = np.zeros(self.shape[1], np.uint8)
        marked[columns] = 1
        self.parts[k].reset(marked)

    def _uniforms(self, count: int) -> np.ndarray:
        step, *key = self.streams.draw(Purpose.TRANSFER)
        return uniforms(count, key, step=step)

    def reset(self, columns: np.ndarray, prob: float = 1.0) -> None:
        """Reset the marked columns of A, each device with probability `prob`."""
        self.parts[0].reset(columns, prob)
        self.refresh()


def add_segment(report: UpdateReport, segment: UpdateReport) -> None:
    """Add to the report of a batch that of its next vector pairs."""
    before, active = report.vectors - report.silent, segment.vectors - segment.silent
    slots = report.mean_length * before + segment.mean_length * active
    report.mean_length = slots / max(before + active, 1)
    report.vectors += segment.vectors
    report.silent += segment.silent
    report.saturated += segment.saturated
    report.add_pulses(segment)
