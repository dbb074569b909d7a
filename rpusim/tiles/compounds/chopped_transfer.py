r"""Tiki-Taka with choppers (c-TTv2): `ChoppedTransferCompound`.

A fast crossbar A learns from the gradient. Its slices s (columns or rows) are read in turn, and a
digital buffer H turns what is read, element l by element, into pulses on a slow crossbar C. The
choppers :math:`a_s, b_l \in \{0, 1\}` reverse signs on the way in and out, so that what A shows
without a gradient (an offset of its reference) cancels. With :math:`\sigma_{sl} = 1` if
:math:`a_s = b_l`, else -1:

.. math::
    A &\leftarrow A - \lambda\, \sigma \circ d x^\mathsf{T}, \qquad v = A e_s \\
    \omega_l &= H_{sl} + f \sigma_{sl} v_l, \qquad
    n_l = \mathrm{trunc}\,\omega_l \ (\text{at most } BL) \\
    C_{sl} &\leftarrow C_{sl} + \text{step}\, g_C\, n_l, \qquad
    H_{sl} = \omega_l, \text{ or where } n_l \ne 0 \text{: } \mu \omega_l
    \text{ or } \omega_l - (1 - \mu) n_l \\
    W &= \gamma_A\, \sigma \circ A + \gamma_C\, C

**Rates.** :math:`f = \rho / \theta` with :math:`\rho` = `transfer_lr` (times the learning rate) and
the threshold :math:`\theta` = `buffer_granularity` :math:`g_A`, times `auto_granularity` over (S
`transfer_every`) if that is set, S the number of slices; with `correct_gradient_magnitudes` also
times :math:`\lambda g_C / g_A`, so that what C gains does not depend on the steps. It is in units
of A's steps: the threshold of `BufferedTransferCompound` is in those of C. With both gammas > 0,
:math:`\rho` is multiplied by :math:`\gamma_A / \gamma_C`. With `auto_scale`
:math:`\lambda = \text{fast\_lr}\, BL\, g_A / (m_x m_d)`, for every vector, with running means m of
max|x| and max|d|: the strongest crosspoint then gets `fast_lr` BL pulses.

**Choppers.** :math:`a_s` flips after a read of s, with probability `in_chop_prob` or, regularly, in
sweeps P, 2P, ... with :math:`P = \max(\lceil 1/p \rceil, 2)`; each :math:`b_l` with `out_chop_prob`
after a sweep.

Pulses onto A count in its own granularity. Sources: Rasch, Carta, Fagbohungbe and Gokmen, Nature
Communications 15, 7133 (2024); Gokmen, Front. Artif. Intell. 4, 699148 (2021).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.kernels.device_arrays import host, place
from rpusim.kernels.streams import Streams
from rpusim.pulses.plan import check_pairs
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.choppers import Choppers
from rpusim.tiles.compounds.transfer import ROUNDING, TransferCell, TransferCompound, add_segment
from rpusim.tiles.crossbar import Crossbar
from rpusim.tiles.ledger import UpdateReport

__all__ = ["ChoppedCell", "ChoppedTransferCompound"]


class ChoppedTransferCompound(TransferCompound):
    """Fast device A, slow device C, a digital buffer between them, and choppers: Tiki-Taka c-TTv2.

    Exactly two devices or cells. The buffer is read and set as ``buffered_FP_weight_0``. Setting
    weights empties it and switches all choppers off. See `rpusim.tiles.compounds.chopped_transfer`
    for the equations.

    Notes
    -----
    `no_buffer` is not TTv1: what does not make a whole pulse is lost, and pulses are at most
    `desired_bl`. One slice is read at a time, in turn, and A is never reset; other settings of
    `n_reads_per_transfer`, `random_selection` and `with_reset_prob` are refused.
    """

    most: ClassVar[int] = 2

    transfer_every: float = param(
        1.0, unit="period", doc="between transfers; 0: never; < 0: in states of A, over slices"
    )
    units_in_mbatch = False
    transfer_update = UpdateParameters(
        desired_bl=1, update_bl_management=False, update_management=False
    )

    in_chop_prob: float = param(
        0.1, low=0.0, high=1.0, unit="per read", doc="p: flips of a slice's chopper; 0: none"
    )
    in_chop_random: bool = param(True, doc="flips are drawn, not regular")
    out_chop_prob: float = param(
        0.0, low=0.0, high=1.0, unit="per sweep", doc="flips of each element's chopper"
    )
    buffer_granularity: float = param(1.0, unit="steps of A", doc="threshold; <= 0: as 1")
    auto_granularity: float = param(
        0.0, low=0.0, unit="vectors", doc="of constant gradient until a pulse; 0: off"
    )
    step: float = param(1.0, above=0.0, unit="steps of C", doc="what is written for each")
    momentum: float = param(0.0, low=0.0, high=1.0, doc="share of the buffer that a write leaves")
    forget_buffer: bool = param(True, doc="of the whole buffer; else of what was written")
    no_buffer: bool = param(False, doc="begin every read with an empty buffer")
    auto_scale: bool = param(False, doc="rate of A from recent maxima of x and d")
    auto_momentum: float = param(0.99, low=0.0, high=1.0, doc="memory of these maxima, per batch")
    correct_gradient_magnitudes: bool = param(False, doc="undo rate and step of A in the buffer")

    def check(self) -> None:
        """Refuse what this algorithm does not have, and options that would have no effect."""
        super().check()
        where = type(self).__name__
        for name, only in (
            ("n_reads_per_transfer", 1),
            ("random_selection", False),
            ("with_reset_prob", 0.0),
        ):
            if getattr(self, name) != only:
                raise ConfigError(f"{where}.{name} must be {only}, got {getattr(self, name)!r}.")
        if self.transfer_every < 0.0 and self.units_in_mbatch:
            raise ConfigError(f"{where}.transfer_every < 0 needs units_in_mbatch=False.")
        if self.auto_scale and not self.fast_lr:
            raise ConfigError(f"{where}.auto_scale needs fast_lr > 0, got 0.")

    @property
    def chop_period(self) -> int:
        """P: sweeps from one regular flip to the next."""
        return max(math.ceil((1.0 - ROUNDING) / self.in_chop_prob), 2)

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return ChoppedCell(self, self.parts(shape, streams, backend, bias), streams)


class ChoppedCell(TransferCell):
    """The crossbars A and C of a `ChoppedTransferCompound`.

    Its arrays: those of `TransferCell`, ``H``, ``in_chopper`` (a), ``out_chopper`` (b), ``sweep``,
    and the maxima ``m_x``, ``m_d``.
    """

    def __init__(self, device: ChoppedTransferCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        columns = self.slices.columns
        self.choppers = Choppers(self.slices.count, self.slices.length, columns, streams)
        self.arrays["in_chopper"], self.arrays["out_chopper"] = self.choppers.a, self.choppers.b
        self.arrays["sweep"] = np.zeros((), np.int64)
        self.arrays["m_x"], self.arrays["m_d"] = np.zeros(()), np.zeros(())
        self.arrays["H"] = np.zeros(self.shape, np.float32)
        self._gradient_rate = 0.0  # of the vector pair before a transfer
        self.shown = {"buffered_FP_weight_0": "H"}

    # ---------------------------------------------------------------- learning

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Let A learn up to the next transfer, or one vector pair; transfer; and so on."""
        x, d = host(x), host(d)
        check_pairs(x, d)
        u, period, report = self.arrays["transfer_count"], self._periods(len(x))[0], UpdateReport()
        top_x, top_d = (np.abs(side).max(axis=1, initial=0.0).tolist() for side in (x, d))
        begin = 0
        while begin < len(x):
            wait = period - int(u) % period if period else len(x)
            end = min(begin + (1 if self.device.auto_scale else wait), len(x))
            row_signs, col_signs = self.choppers.lines()
            fast = self._fast(rate)
            if self.device.auto_scale:
                fast *= self._scale((top_x[begin], top_d[begin]), settings.desired_bl, len(x))
            some_x, some_d = x[begin:end] * col_signs, d[begin:end] * row_signs
            segment = self.parts[0].update(some_x, some_d, fast, settings)
            add_segment(report, segment)
            u += end - begin
            if period and end - begin == wait:
                self._gradient_rate = fast
                self._transfer(0, rate, report)
            begin = end
        return report

    def _periods(self, batch: int) -> list[int]:
        """Return the period of A in vector pairs; 0: never."""
        if self.every[0] >= 0.0:
            return super()._periods(batch)
        part = self.parts[0]
        low, high = part.weight_range()
        if isinstance(part, Crossbar):
            low, high = part.device.w_min, part.device.w_max
        states = float(np.mean(high - low)) / part.granularity
        return [max(math.floor(-self.every[0] * states / self.slices.count + 0.5), 1)]

    def _scale(self, tops: tuple[float, float], longest: int, batch: int) -> float:
        """Return the factor of A's rate for a vector pair of a batch, from its largest elements."""
        tau, product = (1.0 - self.device.auto_momentum) / batch, 1.0
        for name, top in zip(("m_x", "m_d"), tops, strict=True):
            mean = float(self.arrays[name])
            if mean <= 0.0:
                mean = top
            elif top > 0.0:
                mean = (1.0 - tau) * mean + tau * top
            self.arrays[name][...] = mean
            product *= mean
        return longest * self.parts[0].granularity / (product or 1.0)

    # ---------------------------------------------------------------- transfer

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        """Add what slice s of A was read as to the buffer; write what that releases to C."""
        n, target, report = self._release(int(s[0]), v[0], self._gain(rho)), self.parts[1], None
        if n.any():
            report = self.slices.write(target, s, n[None], self.device.step * target.granularity)
        self._chop(int(s[0]))
        if s[0] == self.slices.count - 1:
            self._end_sweep()
        return report or UpdateReport()

    def _gain(self, rho: float) -> float:
        """Return f, by which a read is multiplied on its way into the buffer."""
        p, (gamma_a, gamma_c) = self.device, self.gammas
        g_a, g_c = (part.granularity for part in self.parts)
        if gamma_a > 0.0 and gamma_c > 0.0:
            rho *= float(gamma_a / gamma_c)
        threshold = g_a * (p.buffer_granularity if p.buffer_granularity > 0.0 else 1.0)
        if p.auto_granularity > 0.0:
            threshold *= p.auto_granularity / (self.slices.count * abs(self.every[0]))
        if p.correct_gradient_magnitudes:
            threshold *= self._gradient_rate * g_c / g_a
        return rho / threshold

    def line(self, name: str, s: int) -> np.ndarray:
        """Return the view of a slice of one of the cell's arrays."""
        array = self.arrays[name]
        return array[:, s] if self.slices.columns else array[s]

    def _release(self, s: int, v: np.ndarray, f: float) -> np.ndarray:
        """Add what a slice was read as to its buffer; return the pulses for C."""
        gain = self.choppers.of_slice(s) * v * np.float32(f)
        return self._discharge(s, gain if self.device.no_buffer else self.line("H", s) + gain)

    def _discharge(self, s: int, omega: np.ndarray) -> np.ndarray:
        """Return the whole pulses in a buffer that holds `omega`, and keep the rest in it."""
        n, h = np.trunc(omega), self.line("H", s)
        h[:] = omega
        if n.any():
            most = np.float32(self.device.transfer_update.desired_bl)
            n = np.clip(n, -most, most)
            np.copyto(h, self._rest(omega, n), where=n != 0.0)
        return n

    def _rest(self, omega: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Return what is left of a buffer that sent pulses."""
        momentum = np.float32(self.device.momentum)
        return momentum * omega if self.device.forget_buffer else omega - (1.0 - momentum) * n

    # ---------------------------------------------------------------- choppers

    def _chop(self, s: int) -> None:
        """Flip the chopper of a slice that was read, if it is time."""
        p = self.device
        if p.in_chop_prob > 0.0:
            drawn = p.in_chop_random and self.choppers.happens(p.in_chop_prob)[0]
            self.choppers.a[s] ^= bool(drawn if p.in_chop_random else self._period_ends())

    def _period_ends(self) -> bool:
        """Return whether this sweep is the last of a regular period."""
        return (int(self.arrays["sweep"]) + 1) % self.device.chop_period == 0

    def _end_sweep(self) -> None:
        """Count the sweep; flip the choppers of elements, each if so drawn."""
        self.arrays["sweep"] += 1
        if self.device.out_chop_prob > 0.0:
            length = self.slices.length
            self.choppers.b[:] ^= self.choppers.happens(self.device.out_chop_prob, length)

    # ---------------------------------------------------------------- weights

    def _visible(self, parts: list | None = None) -> np.ndarray:
        """Return what some parts, the first ones, add up to, A with the signs of its choppers."""
        total = super()._visible(parts)
        if self.gammas[0] != 0.0:
            beyond = place(self.choppers.signs() - 1.0, self.backend)
            total += beyond * (self.gammas[0] * self.parts[0].weights)
        return total

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest visible weight, as the choppers are now."""
        ends_a, ends_c = (
            [gamma * end for end in part.weight_range()]
            for gamma, part in zip(self.gammas, self.parts, strict=True)
        )
        signs = place(self.choppers.signs(), self.backend)
        ends_a = [signs * end for end in ends_a]
        low, high = np.minimum(*ends_c), np.maximum(*ends_c)
        return low + np.minimum(*ends_a), high + np.maximum(*ends_a)
