r"""Residual learning: a fast crossbar P learns what a slow one, W, does not hold.

The product sees the mixed weight :math:`\bar W = W + \gamma P`, so the gradient g is that at
:math:`\bar W`, and W settles where P is 0. For slice s of P, column or row, that is read as v:

.. math::
    P &\leftarrow U_P(P, -\alpha\, g) && \text{every vector pair, by pulses} \\
    W_{\cdot s} &\leftarrow U_W(W_{\cdot s}, \rho\, v) && \text{version 1: no buffer} \\
    H &\leftarrow m H + (1 - m)\, \rho\, v && \text{version 2: a leaky one} \\
    W_{\cdot s} &\leftarrow W_{\cdot s} + g_W\, \mathrm{sgn} H, \quad
        H \leftarrow H - q\, \mathrm{sgn} H && \text{where } |H| \ge q = \text{threshold}\, g_W

with the analog update :math:`U(w, \Delta) = w + \Delta\, F(w) - |\Delta|\, G(w)` of a device whose
pulses move it by :math:`F \mp G`, the granularity :math:`g_W` of W and m = `momentum`. With
`threshold` = 0 the buffer is a filter: H itself is written, :math:`U_W(W, H)`, and stays.

Rates, periods and chains are those of `TransferCompound`; here `fast_lr` = 0 and so :math:`\alpha`
is the learning rate, and :math:`\rho` = `transfer_lr` is absolute. With :math:`\gamma` = 0 this is
Tiki-Taka.

**Symmetry point.** The limit is exact if :math:`G_P(0) = 0`: P has to be read relative to its
symmetry point (`rpusim.studies.zero_shift`). For one of 0.1 (0.3) of the range W errs by 0.012
(0.06) where the gradient noise is 0.3.

**Damping.** Near the optimum of a loss of curvature h, with the mean magnitude :math:`\Sigma` of
the gradients and steps of P that fade over :math:`\tau`, the modes of (P, W) decay as
:math:`e^{\lambda t}`, :math:`\lambda^2 + \alpha (h \gamma + \Sigma / \tau) \lambda + \alpha \beta h
= 0`: :math:`\gamma` damps; W moves by :math:`\beta` P per vector pair.

Sources: Wu, Xiao, Gokmen, Fagbohungbe and Chen, NeurIPS 2025, arXiv 2502.06309; Wu, Gokmen, Rasch
and Chen, NeurIPS 2024, arXiv 2406.12774.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rpusim.config import Choice, param
from rpusim.devices.exact import ExactLaw
from rpusim.errors import ConfigError, ModelRangeWarning, warn_caller
from rpusim.kernels.device_arrays import host
from rpusim.kernels.streams import Streams
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.transfer import TransferCell, TransferCompound
from rpusim.tiles.compounds.vector import ReferenceCell
from rpusim.tiles.crossbar import Crossbar
from rpusim.tiles.ledger import UpdateReport

__all__ = ["ResidualBuffer", "ResidualCell", "ResidualTransferCompound", "asymmetry"]

ASYMMETRIC = 0.05  # mean |G / F| at zero above which P is taken for one that was not zero-shifted
LEAST_CLOCK_RATIO = 4.0
SAMPLE = 4096  # devices that are looked at


class ResidualBuffer(Choice):
    """What stands between what was read of P and what is written to W."""

    NONE = "none"
    LEAKY = "leaky"


class ResidualTransferCompound(TransferCompound):
    r"""Residual learning (RL): a fast device P, a slow one W, and gradients at their mixed weight.

    Version 1 with ``buffer="none"``, version 2 with ``buffer="leaky"``; that of TTv2 is in
    `BufferedTransferCompound`, which takes a `gamma` as well. Devices fastest first, two or more. A
    buffer is read and set as ``buffered_FP_weight_k``. See `rpusim.tiles.compounds.residual` for
    the equations.

    Notes
    -----
    Settings of the paper: version 1, digits and a dense network, batch 10: :math:`\alpha` 0.05,
    W by 0.01 P per step; :math:`\gamma` 0.4, 0.1 to 0.4 alike. Version 2: `momentum` 0.9,
    `transfer_lr` 1.

    A read below ``threshold * granularity / transfer_lr`` never leaves a leaky buffer. At the first
    update `ModelRangeWarning` is given for a P whose steps at zero differ, for a `gamma` below
    which P cannot cover a step of W, and in a chain for periods of ratio below 4.

    Source: Wu et al., NeurIPS 2025, arXiv 2502.06309.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> ResidualTransferCompound([SoftBoundsDevice(), SoftBoundsDevice()]).gammas()
    (0.4, 1.0)
    """

    gamma = 0.4
    fast_lr = 0.0
    scale_transfer_lr = False

    buffer: ResidualBuffer = param(ResidualBuffer.NONE, doc="none: version 1; leaky: version 2")
    threshold: float = param(
        1.0, low=0.0, unit="steps of W", doc="buffered value that sends a pulse; 0: no threshold"
    )
    momentum: float = param(
        0.9, low=0.0, high=1.0, doc="m: share of the buffer that stays at a read"
    )

    def check(self) -> None:
        """Refuse resets, and a buffer that takes nothing up."""
        super().check()
        where = type(self).__name__
        if self.with_reset_prob > 0.0:
            raise ConfigError(
                f"{where}.with_reset_prob must be 0, got {self.with_reset_prob!r}: the weight that "
                "is seen holds P."
            )
        if self.momentum == 1.0:
            raise ConfigError(f"{where}.momentum must be < 1, got 1.0: the buffer would stay 0.")

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return ResidualCell(self, self.parts(shape, streams, backend, bias), streams)


class ResidualCell(TransferCell):
    """The crossbars of a `ResidualTransferCompound`, P and W or P, W1, W2, ...

    Its arrays: those of `TransferCell`, and with a leaky buffer ``H_k`` for each part but the last.
    """

    def __init__(self, device: ResidualTransferCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        last = len(parts) - 1
        self.names = ("P", "W") if last == 1 else ("P", *(f"W{k}" for k in range(1, last + 1)))
        if device.buffer is ResidualBuffer.LEAKY:
            for k in range(last):
                self.arrays[f"H_{k}"] = np.zeros(self.shape, np.float32)
                self.shown[f"buffered_FP_weight_{k}"] = f"H_{k}"

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Let P learn up to the next transfer, and so on."""
        self._warn()
        return super()._learn(x, d, rate, settings)

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        """Bring ``rho * v``, what slices s of part k were read as, to those of part k + 1."""
        p, target = self.device, self.parts[k + 1]
        if p.buffer is ResidualBuffer.NONE:
            return super()._carry(k, s, v, rho)
        h, m = self._lines(f"H_{k}"), np.float32(p.momentum)
        filled = m * h[s] + (np.float32(1.0) - m) * np.float32(rho) * v
        q = np.float32(p.threshold * target.granularity)
        if q == 0.0:
            h[s] = filled
            return self.slices.write(target, s, filled, 1.0)
        n = np.where(np.abs(filled) >= q, np.sign(filled), np.float32(0.0))
        h[s] = filled - q * n
        sent = n.any(axis=1)
        if not sent.any():
            return UpdateReport()
        return self.slices.write(target, s[sent], n[sent], target.granularity)

    def _lines(self, name: str) -> np.ndarray:
        """Return the view of one of the cell's arrays whose first index is the slice."""
        return self.arrays[name].T if self.slices.columns else self.arrays[name]

    # ---------------------------------------------------------------- warnings

    def _warn(self) -> None:
        """Say before the first vector pair what will not work."""
        if int(self.arrays["transfer_count"]) == 0:
            for doubt in self._doubts():
                warn_caller(f"{type(self.device).__name__}: {doubt}", ModelRangeWarning)

    def _doubts(self) -> Iterator[str]:
        """Yield what of the settings and devices will not lead where the algorithm should."""
        yield from self._doubts_of_reference()
        names, parts = self.names, self.parts
        for k in range(len(parts) - 1):
            low, high = parts[k].weight_range()
            ratio = abs(float(self.gammas[k] / self.gammas[k + 1]))
            if 0.0 < ratio * float((high - low).mean()) < parts[k + 1].granularity:
                yield (
                    f"the range of {names[k]}, as it is seen, is less than one step of "
                    f"{names[k + 1]}: gamma {ratio:g} is below 1 over the number of its states."
                )
        for k in range(len(self.every) - 1):
            if 0.0 < self.every[k + 1] < LEAST_CLOCK_RATIO * self.every[k]:
                yield (
                    f"{names[k + 1]} is carried on every {self.every[k + 1]:g}, {names[k]} every "
                    f"{self.every[k]:g} periods: a chain needs a ratio of 4 or more."
                )

    def _doubts_of_reference(self) -> Iterator[str]:
        r = asymmetry(self.parts[0])
        if r > ASYMMETRIC:
            yield (
                f"up and down steps of P at zero differ (|G| / F is {r:.2f}, must be 0), so that "
                "W will be wrong: shift its zero to its symmetry point (rpusim.studies.zero_shift)."
            )


def asymmetry(part: Any) -> float:
    r"""Return the mean of :math:`|G| / F` over devices that show 0; 0 if that is not known.

    Parameters
    ----------
    part : Crossbar or Cell
        A crossbar, or one with a reference.
    """
    raw: np.ndarray | float = 0.0
    if isinstance(part, ReferenceCell):
        part, raw = part.parts[0], part.parts[1]._held()
    if not isinstance(part, Crossbar):
        return 0.0
    stride = max(part.persistent.size // SAMPLE, 1)
    zero = np.ravel(np.broadcast_to(host(raw + part._reference()), part.shape))[::stride]
    planes = {name: np.ravel(host(part.plane(name)))[::stride] for name in part.names}
    up, down = np.abs(ExactLaw(part.device, planes).free_steps(zero))
    mean = up + down
    return float(np.mean(np.divide(np.abs(down - up), mean, np.zeros_like(mean), where=mean > 0.0)))
