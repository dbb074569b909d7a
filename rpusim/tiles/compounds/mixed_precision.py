r"""Mixed precision: gradients add up in digital, whole steps of them go to the devices as pulses.

.. math:: \chi \leftarrow \chi + \eta\, d_q x_q^\mathsf{T}; \qquad
          n = \mathrm{trunc}(\chi / \epsilon), \quad
          E[\Delta W] = -\alpha \epsilon\, n, \quad \chi \leftarrow \chi - \alpha \epsilon\, n

with the granularity :math:`\epsilon` and :math:`\alpha` = `transfer_lr`. Nothing is lost: what
leaves :math:`\chi` is what W is sent. Where the largest n of a row needs more pulses than a train
has slots, the rest waits in :math:`\chi`. Rows are sent at the end of every `transfer_every`-th
batch, by trains of just the length that each needs.

Source: Nandakumar et al., Mixed-precision deep learning based on computational memory, Front.
Neurosci. 14:406 (2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rpusim.config import nearest, param
from rpusim.devices import ConstantStepDevice, Device, PulsedDevice
from rpusim.errors import ConfigError, StateError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import copied, host, namespace, place, put
from rpusim.kernels.primitives import bits_float
from rpusim.kernels.random import philox, uniform
from rpusim.kernels.streams import Purpose, Streams
from rpusim.kernels.team import member, members
from rpusim.pulses.plan import check_pairs, largest_bits
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Box, Cell
from rpusim.tiles.compounds.unit_cell import CompoundDevice, build_box
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.pulsing import EXACT, PER_DEVICE, subtract

__all__ = ["DigitalRankUpdateCell", "MixedPrecisionCell", "MixedPrecisionCompound"]

MASK = 0xFFFFFFFF
TOGETHER = 256  # rows that are written at a time
ROUNDING = 1e-6  # what is whole up to this counts as whole


class DigitalRankUpdateCell(CompoundDevice):
    """Base of the cells that compute the outer product of an update in digital."""

    positional: ClassVar[str] = "device"

    device: Device = param(
        ConstantStepDevice(), family=Device, doc="what multiplies, and is pulsed"
    )
    construction_seed: int = param(0, low=0, doc="> 0: every tile of this shape has these devices")

    def check(self) -> None:
        """Refuse what takes no pulses."""
        super().check()
        if not isinstance(self.device, PulsedDevice | CompoundDevice):
            raise ConfigError(
                f"{type(self).__name__}.device must be a pulsed device or a cell, "
                f"got {self.device!r}."
            )


class MixedPrecisionCompound(DigitalRankUpdateCell):
    """Device with a digital accumulator of the gradient, sent to it in whole steps.

    Inputs and errors are rounded to ``2 * (bins // 2) + 1`` levels up to their largest magnitude.
    """

    transfer_every: int = param(1, low=0, unit="batches", doc="between transfers; 0: none")
    n_rows_per_transfer: int = param(-1, low=-1, unit="rows", doc="sent at a time; -1: all")
    random_row: bool = param(False, doc="start at a random row, if not all are sent")
    granularity: float = param(
        0.0, low=0.0, unit="weight", doc="what leaves chi at a time; 0: that of the device"
    )
    transfer_lr: float = param(1.0, low=0.0, high=2.0, doc="how much of whole steps is sent")
    n_x_bins: int = param(0, low=0, unit="bins", doc="levels of inputs; 0: not rounded")
    n_d_bins: int = param(0, low=0, unit="bins", doc="levels of errors; 0: not rounded")
    stoc_round_x: bool = param(True, doc="inputs round stochastically")
    stoc_round_d: bool = param(True, doc="errors round stochastically")

    def check(self) -> None:
        """Refuse a single level."""
        super().check()
        for name in ("n_x_bins", "n_d_bins"):
            if getattr(self, name) == 1:
                raise ConfigError(f"{type(self).__name__}.{name} must be 0 (off) or >= 2, got 1.")

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        inner = streams.child(0, (), self.construction_seed)
        return self._cell(build_box(self.device, shape, inner, backend, bias), streams)

    def _cell(self, part: Any, streams: Streams) -> MixedPrecisionCell:
        return MixedPrecisionCell(self, part, streams)


class MixedPrecisionCell(Cell):
    """The device of a `MixedPrecisionCompound`, named W, and its accumulator."""

    device: MixedPrecisionCompound

    def __init__(self, device: MixedPrecisionCompound, part: Box, streams: Streams) -> None:
        super().__init__(device, [part], (1.0,), streams, ("W",))
        self.arrays["chi"] = namespace(self.backend).zeros(self.shape, np.float32)
        self.arrays["row"], self.arrays["samples"] = np.array(0), np.array(0)
        self.shown["hidden_weights_chi"] = "chi"
        self._given: Any = None
        # vectors are rounded where they come from; whole matrices are worked on with the devices
        self._digital = "cpu" if self.backend == "cuda" else self.backend
        self._sends = device.n_rows_per_transfer != 0 and device.transfer_lr > 0.0

    # ---------------------------------------------------------------- learning

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        x, d = host(x), host(d)
        check_pairs(x, d)
        report, samples = UpdateReport(vectors=len(x)), self.arrays["samples"]
        period = self.device.transfer_every * len(x) if self._sends else 0
        due = period - int(samples) % period if period else len(x) + 1
        self._accumulate(x[:due], d[:due], rate)
        if due <= len(x):
            report.add_pulses(self._transfer(rate, settings))
            if due < len(x):
                self._accumulate(x[due:], d[due:], rate)
        samples += len(x)
        return report

    def _accumulate(self, x: np.ndarray, d: np.ndarray, rate: float) -> None:
        """Add ``rate * d x^T`` to chi, vector after vector."""
        p = self.device
        first = self.streams.take(Purpose.TRANSFER, len(x))
        x = self._quantised(x, p.n_x_bins, p.stoc_round_x, first, 0)
        d = self._quantised(d, p.n_d_bins, p.stoc_round_d, first, 1)
        subtract(self.arrays["chi"], x, d, -rate, self.backend)

    def _quantised(
        self, values: np.ndarray, bins: int, stochastic: bool, first: int, side: int
    ) -> np.ndarray:
        if bins == 0:
            return values
        levels, out = np.float32(bins // 2), np.empty_like(values)
        rows, key = kernel(quantise_rows, self._digital), self.streams.key(Purpose.TRANSFER)
        work = PER_DEVICE * values.size
        split(rows, len(values), work, values, levels, stochastic, first, side, *key, out)
        return out

    def _transfer(self, rate: float, settings: UpdateParameters) -> UpdateReport:
        """Send whole steps of some rows of chi to the device."""
        rows, part = self._chosen(), self.parts[0]
        top = math.inf if settings.pulse_type in EXACT else settings.desired_bl * part.granularity
        n, unit = self._take(rows, rate, top)
        some = n.any(axis=1)
        rows, n = rows[some], n[some]
        # several trains where even one step is more than a train brings
        trains = max(math.ceil(unit * np.abs(n).max(initial=0.0) / top * (1.0 - ROUNDING)), 1)
        report, managed = UpdateReport(transfers=len(rows)), self._managed(settings)
        for start in range(0, len(rows), TOGETHER):
            here, x = rows[start : start + TOGETHER], n[start : start + TOGETHER]
            d = np.zeros((len(here), self.shape[0]), np.float32)
            d[np.arange(len(here)), here] = 1.0
            for _ in range(trains):
                report.add_pulses(part.update(x, d, unit / trains, managed))
        return report

    def _managed(self, settings: UpdateParameters) -> UpdateParameters:
        """Return the settings by which a row gets just the pulses it needs."""
        if self._given is not settings:
            changes = {"update_management": True, "update_bl_management": True}
            self._given, self._changed = settings, settings.replace(**changes, um_grad_scale=1.0)
        return self._changed

    def _chosen(self) -> np.ndarray:
        """Return the numbers of the rows to be sent, and go on."""
        total, number = self.shape[0], self.device.n_rows_per_transfer
        number = total if number < 0 else min(number, total)
        start = int(self.arrays["row"])
        if self.device.random_row and number < total:
            step, *key = self.streams.draw(Purpose.TRANSFER)
            start = int(np.random.default_rng([*key, step]).integers(total))
        self.arrays["row"][...] = (start + number) % total
        return (start + np.arange(number)) % total

    def _take(self, rows: np.ndarray, rate: float, top: float) -> tuple[np.ndarray, float]:
        """Take what is sent out of chi, for changes of weights up to `top`.

        Returns
        -------
        n : ndarray of shape (len(rows), cols)
            Numbers of steps.
        unit : float
            What a step is to change the weight by.
        """
        epsilon = self.device.granularity or self.parts[0].granularity
        unit = self.device.transfer_lr * epsilon
        numbers = (np.float32(v) for v in (epsilon, unit, fitting(unit, top)))
        n = namespace(self.backend).empty((len(rows), self.shape[1]), np.float32)
        take, places = kernel(take_rows, self.backend), place(rows, self.backend)
        split(take, len(rows), n.size, self.arrays["chi"], places, *numbers, n)
        return host(n), unit

    # ---------------------------------------------------------------- access

    def _visible(self, parts: list[Box] | None = None) -> np.ndarray:
        return self.parts[0].weights

    def set_weights(self, weights: np.ndarray) -> int:
        """Write to the device, forget chi; return how many weights its bounds changed."""
        clipped = self.parts[0].set_weights(weights)
        self.begin_anew()
        self.refresh()
        return clipped

    def pulse_counts(self) -> dict[str, np.ndarray]:
        """Return the pulses of the device."""
        return self.parts[0].pulse_counts()

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of what the device carries, under its own names, and of chi."""
        own = {name: copied(self.arrays[array]) for name, array in self.shown.items()}
        return self.parts[0].hidden_parameters() | own

    def _set_hidden(self, changes: Mapping[str, Any], recompute_derived: bool) -> None:
        known = self.hidden_parameters()
        for name in changes:
            if name not in known:
                raise StateError(f"no hidden parameter is called {name!r}{nearest(name, known)}")
        own = {n: self._checked(n, values) for n, values in changes.items() if n in self.shown}
        inner = {n: values for n, values in changes.items() if n not in own}
        if inner:
            self.parts[0].set_hidden_parameters(inner, recompute_derived)
        for name, array in own.items():
            put(self.arrays[self.shown[name]], array)
        self.refresh()


def fitting(unit: float, top: float) -> float:
    """Return how often a change of `unit` fits into one of `top`; at least once."""
    return max(math.floor(top / unit * (1.0 + ROUNDING)), 1) if top < math.inf else math.inf


def quantise_rows(begin, end, values, levels, stochastic, first, side, k0, k1, out):
    """Round vectors `begin`..`end` to `levels` levels up to their largest magnitude."""
    for b in range(begin, end):
        width = bits_float(np.int32(largest_bits(values[b]))) / levels
        width = width if width > 0.0 else np.float32(1.0)
        sample, high = (first + b) & MASK, k1 ^ ((first + b) >> 32)
        for j in range(values.shape[1]):
            level = values[b, j] / width
            if stochastic:
                level += uniform(philox(j, 0, sample, side, k0, high)[0]) - 0.5
            out[b, j] = min(max(np.rint(level), -levels), levels) * width
    return 0


def truncated(v):
    """Return the integer part of a number."""
    return v if abs(v) >= 8388608.0 else np.float32(np.int32(v))  # from 2**23 on all are whole


def take_rows(begin, end, chi, rows, epsilon, unit, most, n):
    """Move `unit` for each whole `epsilon` in rows of chi, `most` times at most, to `n`."""
    for k in range(begin, end):
        i = rows[k]
        for j in range(member(), chi.shape[1], members()):
            steps = min(max(truncated(chi[i, j] / epsilon), -most), most)
            chi[i, j] -= unit * steps
            n[k, j] = steps
    return 0
