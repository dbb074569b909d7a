r"""Residual learning that looks for the symmetry point while it trains: RIDER and E-RIDER.

Experimental: of E-RIDER the line of W is inferred from the text of the paper, whose display is
lost; this includes R (the paper's Q tilde) in place of Q. P, Q and the mixed weight stand there.

A chopper :math:`c = \pm 1` reverses what P learns and how it is seen, the asymmetry of its steps
does not follow, so the slow mean Q of P goes to the symmetry point. The reference R takes Q over at
flips. For slice s of P, read as v:

.. math::
    \bar W &= W + \gamma\, c\, (P - R) \\
    P &\leftarrow U_P(P, -\alpha\, c\, g) && \text{every vector pair, by pulses} \\
    W_{\cdot s} &\leftarrow U_W(W_{\cdot s}, \rho\, c\, (v - R))
        && \text{or through the buffer of residual learning} \\
    Q &\leftarrow (1 - \eta)\, Q + \eta\, v \\
    c &\leftarrow -c, \quad R \leftarrow Q && \text{with probability } p

RIDER is p = 0 and `sync` "always": R follows Q at every read. Then, where W's device is ideal,
:math:`W - (\rho / \eta) Q` is conserved: Q ends wherever W had to go and the symmetry point is not
found. With p > 0 it is. An asymmetric device W is then drawn to its own symmetry point by the
chopping, the more the larger p; the buffer takes most of that away. So: chopper and buffer on, p
small, W's zero shifted.

Q and R are exact numbers here; that R is programmed into devices is not modelled.

Source: Xiao, Li, Wu, Gokmen and Chen, arXiv 2602.21321 (2026).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from rpusim.config import Choice, param
from rpusim.kernels.device_arrays import host, place
from rpusim.kernels.streams import Streams
from rpusim.pulses.plan import check_pairs
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.choppers import SIGN, Choppers
from rpusim.tiles.compounds.residual import ResidualBuffer, ResidualCell, ResidualTransferCompound
from rpusim.tiles.compounds.transfer import add_segment
from rpusim.tiles.ledger import UpdateReport

__all__ = ["ChopperScope", "ERiderCell", "ERiderTransferCompound", "ReferenceSync"]


class ChopperScope(Choice):
    """What has a chopper of its own."""

    LINE = "line"
    TILE = "tile"


class ReferenceSync(Choice):
    """When the reference of P takes over the mean of P."""

    ON_FLIP = "on_flip"
    ALWAYS = "always"
    NEVER = "never"


class ERiderTransferCompound(ResidualTransferCompound):
    r"""Residual learning with a chopper and a tracked symmetry point: E-RIDER. Experimental.

    Two devices, P and W. Hidden parameters ``buffered_FP_weight_0`` (H), ``running_mean_weight``
    (Q) and ``past_mean_weight`` (R). Setting weights sets these to 0 and all choppers to 1. See
    `rpusim.tiles.compounds.residual_tracking` for the equations, and for what is inferred in them.

    Notes
    -----
    Settings of the paper: p 0.05, regular; :math:`\gamma` 0.1; `transfer_lr` 0.05; a column per
    batch; devices of 4 to 5 states. In theory :math:`\eta` goes with :math:`\alpha`, and `fast_lr`
    is :math:`\alpha`. With p = 0 `ModelRangeWarning` is given.

    Source: Xiao, Li, Wu, Gokmen and Chen, arXiv 2602.21321 (2026).
    """

    most: ClassVar[int] = 2

    gamma = 0.1
    buffer = ResidualBuffer.LEAKY

    chop_prob: float = param(
        0.05, low=0.0, high=1.0, unit="per read", doc="p: flips of a chopper; 0: none"
    )
    chop_random: bool = param(True, doc="flips are drawn; else every round(1 / p) reads")
    chop: ChopperScope = param(ChopperScope.LINE, doc="a chopper for each slice, or for the tile")
    track_reference: float = param(
        0.02, low=0.0, high=1.0, unit="per read", doc="eta: how fast Q follows P"
    )
    sync: ReferenceSync = param(ReferenceSync.ON_FLIP, doc="when R takes Q over")

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return ERiderCell(self, self.parts(shape, streams, backend, bias), streams)


class ERiderCell(ResidualCell):
    """The crossbars P and W of an `ERiderTransferCompound`.

    Its arrays: those of `ResidualCell`, ``chopper`` (one bit for each slice, set where c = -1),
    ``Q``, ``R`` and ``reads``, how often each slice was read.
    """

    def __init__(self, device: ERiderTransferCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        count, length = self.slices.count, self.slices.length
        self.choppers = Choppers(count, length, self.slices.columns, streams)
        self.arrays["chopper"] = self.choppers.a
        self.arrays["reads"] = np.zeros(count, np.int64)
        for name, hidden in (("Q", "running_mean_weight"), ("R", "past_mean_weight")):
            self.arrays[name] = np.zeros(self.shape, np.float32)
            self.shown[hidden] = name

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Let P learn, chopped, up to the next transfer, transfer, and so on."""
        x, d = host(x), host(d)
        check_pairs(x, d)
        u, period = self.arrays["transfer_count"], self._periods(len(x))[0]
        report, begin, fast = UpdateReport(), 0, self._fast(rate)
        self._warn()
        while begin < len(x):
            wait = period - int(u) % period if period else len(x)
            end = min(begin + wait, len(x))
            rows, cols = self.choppers.lines()
            some = (x[begin:end] * cols, d[begin:end] * rows)
            add_segment(report, self.parts[0].update(*some, fast, settings))
            u += end - begin
            if period and int(u) % period == 0:
                self._transfer(0, rate, report)
            begin = end
        return report

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        """Bring what P shows beyond R to W; let Q follow; flip choppers."""
        eta = np.float32(self.device.track_reference)
        q, r = self._lines("Q"), self._lines("R")
        beyond = SIGN[self.choppers.a[s]][:, None] * (v - r[s])
        q[s] = (np.float32(1.0) - eta) * q[s] + eta * v
        report = super()._carry(k, s, beyond, rho)
        flipped = self._flips(s)
        self.choppers.a[flipped] ^= 1
        if self.device.sync is ReferenceSync.ALWAYS:
            r[s] = q[s]
        elif self.device.sync is ReferenceSync.ON_FLIP:
            r[flipped] = q[flipped]
        return report

    def _flips(self, s: np.ndarray) -> np.ndarray:
        """Count the reads of slices; return those whose choppers flip now."""
        p, reads = self.device, self.arrays["reads"]
        reads[s] += 1
        if p.chop_prob == 0.0:
            return s[:0]
        together = p.chop is ChopperScope.TILE
        count = 1 if together else len(s)
        if p.chop_random:
            flips = self.choppers.happens(p.chop_prob, count)
        else:
            every = max(round(1.0 / p.chop_prob), 1)
            events = [int(reads.sum()) // len(s)] if together else reads[s]
            flips = np.asarray(events) % every == 0
        if together:
            return np.arange(self.slices.count if flips[0] else 0)
        return s[flips]

    # ---------------------------------------------------------------- weights

    def _visible(self, parts: list | None = None) -> np.ndarray:
        """Return what some parts, the first ones, add up to: P beyond its reference, chopped."""
        return super()._visible(parts) + self._beyond(self.parts[0].weights)

    def _held(self, parts: list | None = None) -> np.ndarray:
        """Return the same before write noise."""
        return super()._held(parts) + self._beyond(self.parts[0]._held())

    def _beyond(self, p: np.ndarray) -> np.ndarray:
        """Return by how much P beyond its reference, chopped, is more than P, as it is seen."""
        signs, r = self._signs_and_r()
        return self.gammas[0] * ((signs - 1.0) * p - signs * r)

    def _signs_and_r(self) -> tuple[Any, Any]:
        """Return the signs of all crosspoints, and R, where the parts are."""
        signs, r = self.choppers.signs(), self.arrays["R"]
        return place(signs, self.backend), place(r, self.backend)

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest visible weight, as choppers and R are now."""
        p, w = (part.weight_range() for part in self.parts)
        signs, r = self._signs_and_r()
        ends_p = [self.gammas[0] * signs * (end - r) for end in p]
        ends_w = [self.gammas[1] * end for end in w]
        return np.minimum(*ends_p) + np.minimum(*ends_w), np.maximum(*ends_p) + np.maximum(*ends_w)

    # ---------------------------------------------------------------- warnings

    def _doubts_of_reference(self) -> Iterator[str]:
        if self.device.chop_prob == 0.0:
            yield (
                "with chop_prob = 0 (RIDER) the symmetry point of P is not found: transfers "
                "conserve W - transfer_lr / track_reference * Q wherever W's steps are alike."
            )
