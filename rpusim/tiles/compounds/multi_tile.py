r"""Many crossbars for devices of few states: multi-tile residual learning with a warm start.

Experimental: of the paper only the abstract was read; schedule and figures are those of the
authors' code. With tile 0 the fast one and tile n the most significant of n + 1,

.. math::
    \bar W &= \sum_{k=0}^{n} \gamma^{n-k} w_k \\
    w_0 &\leftarrow U(w_0, -\alpha g) && \text{every vector pair, by pulses} \\
    w_{k+1} &\leftarrow U(w_{k+1}, \rho_k\, w_k e_s), \quad \rho_k = \rho\, r^{n-k}
        && \text{every } T\, c^k \text{ batches}

with `clock_ratio` c and `rate_growth` r. A tile learns what the more significant ones leave over,
so the error falls with the number of tiles, if their clocks are well apart (c = 2 is worse than a
single tile) and the range of each covers a step of the next: :math:`\gamma` at least 1 over the
number of states.

**Warm start.** The fast tile is first carried straight to the most significant one; when the loss
no longer falls, to the one below, and so on; after tile 1 the chain runs. The loss is told at the
end of each epoch, by `MultiTileCell.end_epoch`. It no longer falls if it rises by more than 1e-4
(first four times), later if two of its last five changes are above -0.01.

Source: Li, Wu, Liu, Gokmen and Chen, arXiv 2510.02516 (2025).
"""

from __future__ import annotations

import math

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.streams import Streams
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.residual import ResidualBuffer, ResidualCell, ResidualTransferCompound
from rpusim.tiles.ledger import UpdateReport

__all__ = ["MultiTileCell", "MultiTileResidualCompound"]

EARLY_SWITCHES, RISE = 4, 1e-4
LATE_CHANGES, LATE_FLAT, FLAT = 5, 2, -0.01


class MultiTileResidualCompound(ResidualTransferCompound):
    r"""Several devices, each learning what the more significant ones leave over. Experimental.

    Devices fastest and least significant first. `transfer_every_vec` and `transfer_lr_vec`, if
    given, stand for the periods and rates that follow from `clock_ratio` and `rate_growth`. See
    `rpusim.tiles.compounds.multi_tile` for the equations and the warm start.

    Notes
    -----
    Settings of the authors: devices of 4 states (``dw_min=0.5`` in -1..1), 7 tiles for a small
    convolutional network, rate 0.05, batch 8; 8 for a residual network, periods :math:`3 \cdot
    2^k` there, `transfer_lr` 0.3 relative to the rate, batch 128.

    Source: Li, Wu, Liu, Gokmen and Chen, arXiv 2510.02516 (2025).

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> config = MultiTileResidualCompound([SoftBoundsDevice(dw_min=0.5)] * 3)
    >>> config.gammas(), config.periods(1.0), [round(rate, 3) for rate in config.rates()]
    ((0.25, 0.5, 1.0), (2.0, 10.0), [0.144, 0.12, 0.1])
    """

    gamma = 0.5
    transfer_every = 2.0
    transfer_lr = 0.1

    clock_ratio: float = param(5.0, low=1.0, doc="c: period of a tile relative to the one before")
    rate_growth: float = param(1.2, above=0.0, doc="r: transfer rate relative to the next tile's")
    warm_start: bool = param(False, doc="carry the fast tile straight on, to one after the other")

    def check(self) -> None:
        """Refuse a buffer in a warm start."""
        super().check()
        if self.warm_start and self.buffer is not ResidualBuffer.NONE:
            raise ConfigError(
                f"{type(self).__name__}.warm_start needs buffer NONE, got {self.buffer.name}."
            )

    def periods(self, sweep: float) -> tuple[float, ...]:
        """Return the period of each part but the last, as configured: in batches or vector pairs.

        Parameters
        ----------
        sweep : float
            Of no influence here.
        """
        last = len(self.unit_cell_devices) - 1
        chain = tuple(self.transfer_every * self.clock_ratio**k for k in range(last))
        return (self.transfer_every_vec or chain)[:last]

    def rates(self) -> tuple[float, ...]:
        """Return the transfer rate of each part; the last has no next one."""
        last = len(self.unit_cell_devices) - 1
        growing = tuple(self.transfer_lr * self.rate_growth ** (last - k) for k in range(last + 1))
        return self.transfer_lr_vec or growing

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        settled = self.replace(transfer_lr_vec=self.rates())
        return MultiTileCell(settled, self.parts(shape, streams, backend, bias), streams)


class MultiTileCell(ResidualCell):
    """The crossbars of a `MultiTileResidualCompound`.

    Its arrays: those of `ResidualCell`, ``target`` (the tile that the fast one is carried to in a
    warm start; 0: the chain runs), ``switches``, and the ``losses`` since the last switch with
    their number, ``loss_count``.
    """

    def __init__(self, device: MultiTileResidualCompound, parts: list, streams: Streams) -> None:
        super().__init__(device, parts, streams)
        self.arrays |= {name: np.zeros((), np.int64) for name in ("target", "switches")}
        self.arrays["losses"] = np.zeros(LATE_CHANGES + 1)
        self.arrays["loss_count"] = np.zeros((), np.int64)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Empty the buffers and begin with the warm start."""
        super().begin_anew()
        if self.device.warm_start:
            self.arrays["target"][...] = len(self.parts) - 1

    def end_epoch(self, loss: float) -> bool:
        """Take note of the loss of an epoch; return whether the warm start moved on.

        Parameters
        ----------
        loss : float
            Mean loss, finite.
        """
        if not math.isfinite(loss):
            raise DataError(f"end_epoch: loss must be finite, got {loss!r}.")
        losses, count = self.arrays["losses"], self.arrays["loss_count"]
        if self.arrays["target"] == 0:
            return False
        losses[:-1], losses[-1] = losses[1:].copy(), loss
        count[...] = min(int(count) + 1, len(losses))
        changes = np.diff(losses[len(losses) - int(count) :])
        if self.arrays["switches"] < EARLY_SWITCHES:
            flat = (changes[-1:] > RISE).any()
        else:
            flat = (changes >= FLAT).sum() >= LATE_FLAT
        if flat:
            self.arrays["target"] -= 1
            self.arrays["switches"] += 1
            count[...] = 0
        return bool(flat)

    def _transfer(self, k: int, rate: float, report: UpdateReport) -> None:
        """Carry the next slices of part k, in a warm start those of the fast one only."""
        if k == 0 or self.arrays["target"] == 0:
            super()._transfer(k, rate, report)

    def _carry(self, k: int, s: np.ndarray, v: np.ndarray, rho: float) -> UpdateReport:
        """Bring ``rho * v`` to part k + 1, or to the target of a warm start."""
        target = int(self.arrays["target"])
        if target == 0:
            return super()._carry(k, s, v, rho)
        return self.slices.write(self.parts[target], s, v, rho)
