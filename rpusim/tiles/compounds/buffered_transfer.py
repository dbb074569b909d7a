r"""Tiki-Taka with a digital buffer (TTv2): a slow crossbar moves only when enough has been read.

Between each two parts k and t = k + 1 of a `TransferCompound` stands a buffer H, in weight units.
Elementwise for a slice that was read as v:

.. math::
    \omega &= H + \rho\, v, \qquad q = \text{thres\_scale} \cdot g_t \\
    n &= \mathrm{clip}\big(\mathrm{trunc}(\omega / q), \pm \text{desired\_bl}\big) \\
    H &\leftarrow \begin{cases}
        \omega & n = 0 \\
        m\, \omega & n \ne 0, \text{forget\_buffer} \\
        \omega - (1 - m)\, n\, q & n \ne 0, \text{else} \end{cases} \\
    w_t &\leftarrow w_t + \text{step} \cdot g_t\, n \quad \text{by pulses}

with m = `momentum` and the granularity :math:`g_t` of the part that is written, the target.
:math:`\rho` is that of `TransferCompound`, times :math:`\gamma_k / \gamma_t` if both are positive.

A write of one slot (`desired_bl` = 1, the default) gives one pulse where n is not 0, with
probability `step` if that is below 1. With more slots and without `update_management` it gives
:math:`\sqrt{BL}\,\min(1, n / \sqrt{BL})` pulses on average, with it n.

Source: Gokmen, Front. Artif. Intell. 4 (2021) 699148.
"""

from __future__ import annotations

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.kernels.streams import Streams
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.transfer import TransferCell, TransferCompound
from rpusim.tiles.ledger import UpdateReport

__all__ = ["BufferedTransferCompound"]


class BufferedTransferCompound(TransferCompound):
    r"""A fast device A that is read into a digital buffer H, from which slow ones are pulsed: TTv2.

    The threshold of the buffer counts in steps of the device that is written. Setting weights
    empties the buffer, which is read and set as ``buffered_FP_weight_k`` (from part k on). See
    `rpusim.tiles.compounds.buffered_transfer` for the equations.

    Notes
    -----
    Source: Gokmen, Front. Artif. Intell. 4 (2021) 699148.
    """

    transfer_update = UpdateParameters(
        desired_bl=1, update_bl_management=False, update_management=False
    )

    thres_scale: float = param(
        1.0, above=0.0, unit="steps of the target", doc="buffered value that triggers a write"
    )
    step: float = param(1.0, above=0.0, unit="steps of the target", doc="what is written for each")
    momentum: float = param(0.1, low=0.0, high=1.0, doc="share of the buffer that a write leaves")
    forget_buffer: bool = param(True, doc="of the whole buffer; else of what was written")

    def check(self) -> None:
        """Refuse resets, which this algorithm does not have."""
        super().check()
        if self.with_reset_prob > 0.0:
            raise ConfigError(
                f"{type(self).__name__}.with_reset_prob must be 0, got {self.with_reset_prob!r}: "
                "A is not reset, the buffer follows it."
            )

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        return BufferedTransferCell(self, self.parts(shape, streams, backend, bias), streams)


class BufferedTransferCell(TransferCell):
    """The crossbars of a `BufferedTransferCompound`, and a buffer ``H_k`` for each but the last."""

    def __init__(self, device: BufferedTransferCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        for k in range(len(parts) - 1):
            self.arrays[f"H_{k}"] = np.zeros(self.shape, np.float32)
            self.shown[f"buffered_FP_weight_{k}"] = f"H_{k}"

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        p, target, h = self.device, self.parts[k + 1], self.arrays[f"H_{k}"]
        h = h.T if self.slices.columns else h  # slices first
        gamma, gamma_t = self.gammas[k : k + 2]
        if gamma > 0.0 and gamma_t > 0.0:
            rho *= float(gamma / gamma_t)
        q, most = p.thres_scale * target.granularity, p.transfer_update.desired_bl
        omega = h[s] + np.float32(rho) * v
        n = np.clip(np.trunc(omega / np.float32(q)), -most, most)
        kept = p.momentum * omega if p.forget_buffer else omega - (1.0 - p.momentum) * n * q
        h[s] = np.where(n != 0.0, kept, omega)
        sent = n.any(axis=1)
        if not sent.any():
            return UpdateReport()
        return self.slices.write(target, s[sent], n[sent], p.step * target.granularity)
