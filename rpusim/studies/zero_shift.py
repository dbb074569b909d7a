r"""Zero shifting: pulses lead devices to their symmetry points, to be taken for zero from then on.

With pulses of alternating or random sign, :math:`w \leftarrow U(w, \pm \Delta w_\text{min})`. Where
steps fall linearly, by :math:`\Delta_+ (1 - w / b_+)` up and :math:`\Delta_- (1 - w / b_-)` down,
random pulses lead there as

.. math::
    E[w_N] - w_s = \Big(1 - \tfrac{1}{2}\big(\tfrac{\Delta_+}{b_+} - \tfrac{\Delta_-}{b_-}\big)
    \Big)^N (w_0 - w_s)

and stay within a spread of the order of :math:`\sqrt{\Delta w_\text{min}}`; a pair of alternating
ones contracts by :math:`(1 - \Delta_+ / b_+)(1 + \Delta_- / b_-)` to a point within a step of
:math:`w_s`. An error :math:`\delta` of the squared asymmetry :math:`G^2` costs of the order of
:math:`1 / (\delta\, \Delta w_\text{min})` pulses.

Source: Wu et al., arXiv 2502.06309; Xiao, Li, Wu, Gokmen and Chen, arXiv 2602.21321.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.errors import ConfigError, StateError
from rpusim.kernels.device_arrays import host
from rpusim.pulses import UpdateParameters
from rpusim.studies.bench import as_count
from rpusim.studies.result import Result
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.vector import ReferenceCell
from rpusim.tiles.crossbar import Crossbar

__all__ = ["ZeroShift", "zero_shift"]

ONE_PULSE = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
CHUNK = 1024  # pulses that are prepared at a time


@dataclasses.dataclass(frozen=True)
class ZeroShift(Result):
    """What zero shifting found.

    Attributes
    ----------
    estimate : ndarray of shape (rows, cols)
        Where the pulses led each device: the weight on which they act, before a reference.
    pulses : int
        How many each device received.
    stored : bool
        Whether the estimate was written to the references.
    """

    estimate: NDArray[np.float64]
    pulses: int
    stored: bool

    def _table(self) -> dict[str, Any]:
        return {"estimate": self.estimate.ravel()}

    def _draw(self, ax: Any) -> None:
        ax.hist(self.estimate.ravel(), bins=50)
        ax.set_xlabel(f"weight after {self.pulses} pulses")
        ax.set_ylabel("devices")


def zero_shift(
    tile: Any,
    n_pulses: int,
    alternating: bool = True,
    rng: Any = 0,
    part: int | None = None,
    store: bool | None = None,
) -> ZeroShift:
    """Lead the devices of a tile to their symmetry points by pulses, and make these their zeros.

    The weights of the devices are lost.

    Parameters
    ----------
    tile : AnalogTile
        Its devices are pulsed, with their noise.
    n_pulses : int
        How many each device receives.
    alternating : bool, default True
        One up, one down, beginning with up; or of random signs, independent for any two devices.
    rng : None, int, SeedSequence or Generator
        Source of random signs.
    part : int, optional
        Which part of a compound; 0 by default, the fast one of Tiki-Taka and residual learning.
    store : bool, optional
        Whether to write the estimate to the references; by default if there are some: the second
        devices of a `ReferenceUnitCell` (limited to their bounds), or the plane `reference` of a
        device that subtracts it. Devices with a reference then show about 0.

    Returns
    -------
    ZeroShift

    Raises
    ------
    ConfigError, StateError
        If there is nothing to be pulsed, or no reference to store to.

    Examples
    --------
    >>> import rpusim as rs
    >>> device = rs.SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=-0.5, up_down=0.3)
    >>> tile = rs.AnalogTile(4, 5, rs.ReferenceUnitCell([device, device]), rng=0)
    >>> found = zero_shift(tile, 2000)
    >>> found.stored, bool(abs(tile.get_weights()[0]).max() < 1e-6)
    (True, True)
    """
    count = as_count(n_pulses, "zero_shift: n_pulses")
    box, pair = _box(tile, part), None
    if isinstance(box, ReferenceCell):
        box, pair = box.parts[0], box
    if not isinstance(box, Crossbar):
        raise StateError(f"zero_shift: {type(box).__name__} is several devices: name one part.")
    subtracts = box.device.subtracts_reference
    if store and not (pair or subtracts):
        raise StateError(f"zero_shift: {type(box.device).__name__} has no reference to store to.")
    _pulse(box, count, None if alternating else np.random.default_rng(rng))
    estimate = host(box.persistent).astype(np.float64)
    stored = bool(pair or subtracts) if store is None else store
    if stored and pair:
        pair.parts[1].set_weights(box._held().copy())
        pair.refresh()
    elif stored:
        box.set_hidden_parameters({"reference": estimate})
    if isinstance(tile.crossbar, Cell):
        tile.crossbar.refresh()
    return ZeroShift(estimate, count, stored)


def _box(tile: Any, part: int | None) -> Any:
    """Return the crossbar or the cell that is to be pulsed."""
    box = getattr(tile, "crossbar", None)
    if isinstance(box, Crossbar | ReferenceCell):
        if part not in (None, 0):
            raise ConfigError(f"zero_shift: part must be 0 here, got {part!r}.")
        return box
    if not isinstance(box, Cell):
        raise StateError(f"zero_shift: tile must be one with pulsed devices, got {tile!r}.")
    k = 0 if part is None else part
    if k not in range(len(box.parts)):
        raise ConfigError(f"zero_shift: part must be in 0..{len(box.parts) - 1}, got {part!r}.")
    return box.parts[k]


def _pulse(box: Crossbar, count: int, rng: np.random.Generator | None) -> None:
    """Send every device single pulses: alternating ones, or of random signs."""
    rows, cols = box.shape
    for begin in range(0, count, CHUNK):
        k = np.arange(begin, min(begin + CHUNK, count))
        x = np.ones((k.size, cols), np.float32)
        d = np.ones((k.size, rows), np.float32)
        if rng is None:
            d *= (2.0 * (k % 2) - 1.0)[:, None]  # w moves against d
        else:  # products of two signs: any two devices go independent ways
            x *= rng.choice([-1.0, 1.0], x.shape)
            d *= rng.choice([-1.0, 1.0], d.shape)
        box.update(x, d, 4.0 * box.granularity, ONE_PULSE)  # both lines fire for certain
