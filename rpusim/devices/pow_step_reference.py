"""Power steps with a reference: the conductance of a second, fixed device is subtracted."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.pow_step import PowStepDevice
from rpusim.devices.soft_bounds_reference import references

__all__ = ["PowStepReferenceDevice"]

HALVINGS = 60

Arrays = dict[str, np.ndarray]


class PowStepReferenceDevice(PowStepDevice):
    r"""Power-step device with a reference that is subtracted from its raw weight v.

    The law is that of `PowStepDevice` for v, and :math:`w = v - r` is seen, with :math:`r =
    \text{reference\_mean} + \text{reference\_std}\, z`, plus the device's own symmetry point with
    `subtract_symmetry_point`.

    Hidden planes: `gamma_up`, `gamma_down`, `reference`; bounds and `persistent_weights` are raw.

    Examples
    --------
    >>> from rpusim import PowStepReferenceDevice
    >>> round(PowStepReferenceDevice(w_max=1.0, w_min=-0.5, reference_mean=0.1).symmetry_point(), 6)
    0.15
    """

    subtracts_reference = True
    mirror_negates = ("pow_up_down", "reference", "reference_mean")

    reference_mean: float = param(0.0, unit="weight", doc="mean reference")
    reference_std: float = param(0.0, low=0.0, unit="weight", doc="spread of the reference")
    subtract_symmetry_point: bool = param(
        False, doc="add each device's symmetry point to its reference"
    )
    n_estimation_steps: int = param(
        -1, low=-1, unit="pulse pairs", doc="> 0: estimate it by so many from v = 0; else exactly"
    )

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return (*super().own_planes(), "reference")

    def derive(self, arrays: Arrays, draw: Draw) -> Arrays:
        """Draw the exponents and the reference."""
        made = super().derive(arrays, draw)
        low, high = arrays["min_bound"], arrays["max_bound"]
        made["reference"] = references(self, low.shape, draw)
        if self.subtract_symmetry_point:
            window = (low < 0.0) & (high > 0.0) & np.isfinite(high)
            estimate = self._paired_pulses if self.n_estimation_steps > 0 else self._bisected
            low, high = np.where(window, low, -1.0), np.where(window, high, 1.0)
            made["reference"] += np.where(window, estimate(arrays, made, low, high), 0.0)
        return made

    def _drive(self, v: Any, arrays: Arrays, gammas: Arrays, low: Any, high: Any) -> np.ndarray:
        """Return the sum of an up and a down step from `v`."""
        left = np.clip((high - v) / (high - low), 0.0, 1.0)
        up = arrays["dwmin_up"] * left ** gammas["gamma_up"]
        return up - arrays["dwmin_down"] * (1.0 - left) ** gammas["gamma_down"]

    def _bisected(self, arrays: Arrays, gammas: Arrays, low: Any, high: Any) -> np.ndarray:
        """Return where both steps are equal."""
        a, b = low.copy(), high.copy()
        for _ in range(HALVINGS):
            middle = 0.5 * (a + b)
            rising = self._drive(middle, arrays, gammas, low, high) > 0.0
            a, b = np.where(rising, middle, a), np.where(rising, b, middle)
        return 0.5 * (a + b)

    def _paired_pulses(self, arrays: Arrays, gammas: Arrays, low: Any, high: Any) -> np.ndarray:
        """Return where so many pairs of one up and one down step lead from 0."""
        v = np.zeros_like(low)
        for _ in range(self.n_estimation_steps):
            v = v + self._drive(v, arrays, gammas, low, high)
        return v
