r"""Tiki-Taka with a dynamic reference (AGAD): `DynamicTransferCompound`.

As `rpusim.tiles.compounds.chopped_transfer`, but what slice s of A shows is compared with a
reference R that is found on the way: the mean M of its reads in the chopper period before, in which
the gradient had the other sign. In sweep c, with P sweeps to a period:

.. math::
    R_{sl} &\leftarrow M_{sl} && \text{at the first read after a flip of } a_s \\
    \omega_l &= H_{sl} + f \sigma_{sl} (v_l - R_{sl}) && \text{if } c > P \\
    M_{sl} &\leftarrow (1 - \beta) M_{sl} + \beta v_l, \qquad \beta = \min(\tau / P, 1)

with :math:`\tau` = `tail_weightening`: large, and the end of a period weighs most. The choppers
:math:`a_s` flip after reads in sweeps P, 2P, ...; with `in_chop_random` also with probability
`in_chop_prob`. A constant added to A leaves C as it is: no zero point has to be programmed.

Until the first reference is a mean over a period (:math:`c \le P`) nothing is written, and the
buffer waits, empty. With `experimental_correct_accumulation` f is divided by min(i, 1 / g_A), i the
place of the sweep in its period. The paper's test of significance (no pulse for a difference within
the standard error) is not built: no variance is kept.

Source: Rasch, Carta, Fagbohungbe and Gokmen, Nature Communications 15, 7133 (2024).
"""

from __future__ import annotations

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.kernels.streams import Streams
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.chopped_transfer import ChoppedCell, ChoppedTransferCompound

__all__ = ["DynamicCell", "DynamicTransferCompound"]


class DynamicTransferCompound(ChoppedTransferCompound):
    """Fast and slow device, buffer, choppers, and a reference that is found on the way: AGAD.

    Hidden parameters ``buffered_FP_weight`` (H), ``running_mean_weight`` (M) and
    ``past_mean_weight`` (R). See `rpusim.tiles.compounds.dynamic_transfer` for the equations.

    Notes
    -----
    References belong to periods of in-choppers, and differences have to be summed: `in_chop_prob`
    must be > 0, `out_chop_prob` 0 and `no_buffer` off.
    """

    in_chop_random = False

    tail_weightening: float = param(5.0, above=0.0, doc="tau: weight of the end of a period in M")
    buffer_cap: float = param(
        0.0, low=0.0, unit="of desired_bl", doc="limit of a buffer that has sent pulses; 0: none"
    )
    experimental_correct_accumulation: bool = param(
        False, doc="divide what is read by the place in the period"
    )

    def check(self) -> None:
        """Refuse what leaves no periods, and options that would have no effect."""
        super().check()
        where = type(self).__name__
        if self.in_chop_prob == 0.0:
            raise ConfigError(f"{where}.in_chop_prob must be > 0, got 0: there is no period.")
        for name, only in (("out_chop_prob", 0.0), ("no_buffer", False)):
            if getattr(self, name) != only:
                raise ConfigError(f"{where}.{name} must be {only}, got {getattr(self, name)!r}.")
        if not 0.0 < self.auto_momentum < 1.0:
            raise ConfigError(
                f"{where}.auto_momentum must be > 0 and < 1, got {self.auto_momentum!r}."
            )
        if self.buffer_cap > 0.0 and self.forget_buffer:
            raise ConfigError(f"{where}.buffer_cap needs forget_buffer=False.")

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return DynamicCell(self, self.parts(shape, streams, backend, bias), streams)


class DynamicCell(ChoppedCell):
    """The crossbars A and C of a `DynamicTransferCompound`.

    Its arrays: those of `ChoppedCell`, ``M``, ``R``, and ``switched``, whether a slice's chopper
    flipped after its last read.
    """

    def __init__(self, device: DynamicTransferCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        self.arrays["M"] = np.zeros(self.shape, np.float32)
        self.arrays["R"] = np.zeros(self.shape, np.float32)
        self.arrays["switched"] = np.zeros(self.slices.count, np.uint8)
        self.shown = {
            "buffered_FP_weight": "H",
            "running_mean_weight": "M",
            "past_mean_weight": "R",
        }

    def _release(self, s: int, v: np.ndarray, f: float) -> np.ndarray:
        """Add what a slice showed beyond its reference to its buffer; return the pulses for C."""
        p, sweep, period = self.device, int(self.arrays["sweep"]), self.device.chop_period
        mean, reference = self.line("M", s), self.line("R", s)
        if self.arrays["switched"][s]:
            reference[:] = mean
            self.arrays["switched"][s] = 0
        n = np.zeros_like(v)
        if sweep > period:
            if p.experimental_correct_accumulation:
                f /= min(sweep % period + 1.0, 1.0 / self.parts[0].granularity)
            gain = self.choppers.of_slice(s) * (v - reference) * np.float32(f)
            n = self._discharge(s, self.line("H", s) + gain)
        beta = np.float32(min(p.tail_weightening / period, 1.0))
        mean[:] = (np.float32(1.0) - beta) * mean + beta * v
        return n

    def _rest(self, omega: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Return what is left of a buffer that sent pulses, at most the cap."""
        rest, p = super()._rest(omega, n), self.device
        if p.buffer_cap == 0.0:
            return rest
        cap = np.float32(p.buffer_cap * p.transfer_update.desired_bl)
        return np.clip(rest, -cap, cap)

    def _chop(self, s: int) -> None:
        """Flip the chopper of a slice that was read, if its period ends or it is so drawn."""
        p = self.device
        drawn = p.in_chop_random and self.choppers.happens(p.in_chop_prob)[0]
        if drawn or self._period_ends():
            self.choppers.a[s] ^= 1
            self.arrays["switched"][s] = 1
