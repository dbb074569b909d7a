r"""Mixed precision with an integer accumulator: inputs and errors become a few levels, chi counts.

With moving averages :math:`m_x, m_d` of the largest magnitude of the vectors (but those of zeros)
and h = bins // 2 levels, of width :math:`\omega = m / h`, to either side:

.. math:: \chi \leftarrow \chi + q_d q_x^\mathsf{T}, \qquad
          q = \mathrm{clip}(\mathrm{round}(x / \omega_x), \pm h_x)

so that a count is worth :math:`v = \eta\,\omega_d\,\omega_x`. A whole step is
:math:`\theta = \max(\mathrm{round}(\epsilon / v), 1)` counts: with
:math:`n = \mathrm{trunc}(\chi / \theta)` the weight is sent :math:`-v\,\theta n` and
:math:`\chi \leftarrow \chi - \mathrm{round}((1 - \mu_\chi)\,\theta n)`. What is sent is what the
counts are worth, whatever the rate, also where a count is worth more than
:math:`\epsilon`. With `momentum_chi` :math:`\mu_\chi` > 0 a part of it stays to be sent again.

Source: as for `rpusim.tiles.compounds.mixed_precision`, of which this is the form without digital
multiplications of real numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import host, namespace, place
from rpusim.kernels.primitives import bits_float
from rpusim.kernels.random import philox, uniform
from rpusim.kernels.streams import Purpose, Streams
from rpusim.kernels.team import member, members
from rpusim.pulses.plan import largest_bits
from rpusim.tiles.compounds.cell import Box
from rpusim.tiles.compounds.mixed_precision import (
    MixedPrecisionCell,
    MixedPrecisionCompound,
    fitting,
)
from rpusim.tiles.pulsing import PER_PRODUCT

__all__ = ["IntegerMixedPrecisionCell", "IntegerMixedPrecisionCompound"]

MASK = 0xFFFFFFFF
LONGEST = 2**62  # counts of a step


class IntegerMixedPrecisionCompound(MixedPrecisionCompound):
    """Device with an accumulator of counts, sent to it in whole steps."""

    n_x_bins: int = param(5, low=3, unit="bins", doc="levels of inputs")
    n_d_bins: int = param(3, low=3, unit="bins", doc="levels of errors")
    stoc_round_x = False
    stoc_round_d = False
    momentum_chi: float = param(0.0, low=0.0, high=1.0, doc="what stays in chi of what is sent")
    momentum_nm: float = param(0.9, low=0.0, high=1.0, doc="of the averages of the magnitudes")

    def check(self) -> None:
        """Refuse to send the same for ever."""
        super().check()
        if self.momentum_chi == 1.0:
            raise ConfigError(f"{type(self).__name__}.momentum_chi must be < 1, got 1.0.")

    def _cell(self, part: Box, streams: Streams) -> IntegerMixedPrecisionCell:
        return IntegerMixedPrecisionCell(self, part, streams)


class IntegerMixedPrecisionCell(MixedPrecisionCell):
    """The device of an `IntegerMixedPrecisionCompound`, named W, and its accumulator."""

    device: IntegerMixedPrecisionCompound

    def __init__(self, device: IntegerMixedPrecisionCompound, part: Box, streams: Streams) -> None:
        super().__init__(device, part, streams)
        self.arrays["chi"] = namespace(self.backend).zeros(self.shape, np.int64)
        self.arrays["m_x"], self.arrays["m_d"] = np.zeros((2, 1), np.float32)

    def _accumulate(self, x: np.ndarray, d: np.ndarray, rate: float) -> None:
        """Add ``q_d q_x^T`` to chi, vector after vector."""
        p, chi = self.device, self.arrays["chi"]
        first = self.streams.take(Purpose.TRANSFER, len(x))
        q_x = self._levels(x, "m_x", p.n_x_bins, p.stoc_round_x, first, 0)
        q_d = self._levels(d, "m_d", p.n_d_bins, p.stoc_round_d, first, 1)
        work = PER_PRODUCT * chi.size * len(x)
        sides = place(q_x, self.backend), place(q_d, self.backend)
        split(kernel(add_counts, self.backend), len(chi), work, chi, *sides)

    def _levels(
        self, values: np.ndarray, mean: str, bins: int, stochastic: bool, first: int, side: int
    ) -> np.ndarray:
        """Return the level of every element; let the average of the magnitudes follow."""
        out, key = np.empty(values.shape, np.int64), self.streams.key(Purpose.TRANSFER)
        numbers = (np.float32(self.device.momentum_nm), np.float32(bins // 2))
        args = (*numbers, stochastic, first, side, *key)
        kernel(level_rows, self._digital)(0, len(values), values, self.arrays[mean], *args, out)
        return out

    def _take(self, rows: np.ndarray, rate: float, top: float) -> tuple[np.ndarray, float]:
        """Take what is sent out of chi; see `MixedPrecisionCell._take`. Its steps are counts."""
        p, arrays = self.device, namespace(self.backend)
        n = arrays.zeros((len(rows), self.shape[1]), np.float32)
        width_x, width_d = (
            float(self.arrays[mean][0]) / (bins // 2)
            for mean, bins in (("m_x", p.n_x_bins), ("m_d", p.n_d_bins))
        )
        worth = rate * width_d * width_x
        if worth == 0.0:
            return host(n), 1.0
        epsilon = p.granularity or self.parts[0].granularity
        theta = int(min(max(math.floor(epsilon / worth + 0.5), 1), LONGEST))
        most = min(fitting(p.transfer_lr * theta * worth, top), LONGEST)
        shares = (p.transfer_lr, 1.0 - p.momentum_chi)
        take, places = kernel(take_counts, self.backend), place(rows, self.backend)
        split(take, len(rows), n.size, self.arrays["chi"], places, theta, int(most), *shares, n)
        return host(n), worth

    def _checked(self, name: str, values: Any) -> np.ndarray:
        array = np.asarray(values, np.float64)
        if array.shape != self.shape:
            raise ShapeError(f"{name} must have shape {self.shape}, got {array.shape}.")
        if not (np.abs(array) < 2.0**53).all() or (array != np.rint(array)).any():
            raise DataError(f"{name} must hold integers: it counts.")
        return array.astype(np.int64)


def level_rows(begin, end, values, mean, momentum, levels, stochastic, first, side, k0, k1, out):
    """Write the levels of vectors `begin`..`end`, one after the other, to `out`."""
    for b in range(begin, end):
        top = bits_float(np.int32(largest_bits(values[b])))
        if mean[0] > 0.0 and top > 0.0:
            top = momentum * mean[0] + (1.0 - momentum) * top
        mean[0] = top if top > 0.0 else mean[0]
        width = mean[0] / levels
        width = width if width > 0.0 else np.float32(1.0)
        sample, high = (first + b) & MASK, k1 ^ ((first + b) >> 32)
        for j in range(values.shape[1]):
            level = values[b, j] / width
            if stochastic:
                level += uniform(philox(j, 0, sample, side, k0, high)[0]) - 0.5
            whole = int(min(math.floor(abs(level) + 0.5), levels))
            out[b, j] = whole if level > 0.0 else -whole
    return 0


def add_counts(begin, end, chi, q_x, q_d):
    """Add ``q_d q_x^T`` to rows `begin`..`end` of chi, vector after vector."""
    for i in range(begin, end):
        for b in range(q_x.shape[0]):
            for j in range(member(), chi.shape[1], members()):
                chi[i, j] += q_d[b, i] * q_x[b, j]
    return 0


def take_counts(begin, end, chi, rows, theta, most, share, leaves, n):
    """Move the `share` of whole steps of `theta` counts in rows of chi, `most` at most, to `n`."""
    for k in range(begin, end):
        i = rows[k]
        for j in range(member(), chi.shape[1], members()):
            steps = min(abs(chi[i, j]) // theta, most)
            sent = math.floor(share * (theta * steps) + 0.5)
            gone = int(math.floor(leaves * sent + 0.5))
            n[k, j] = sent if chi[i, j] > 0 else -sent
            chi[i, j] -= gone if chi[i, j] > 0 else -gone
    return 0
