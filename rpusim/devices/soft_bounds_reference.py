r"""Soft bounds with a reference: the conductance of a second, fixed device is subtracted.

Pulses act on the raw weight v, which the bounds limit; what is seen is :math:`w = v - r`, so a
device can show :math:`b_- - r` to :math:`b_+ - r`. Reset and decay lead to the seen weight `reset`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.linear_step import LinearStepDevice, slopes_to
from rpusim.devices.write_noise import WriteNoiseDevice

__all__ = ["SoftBoundsReferenceDevice", "references"]

Arrays = dict[str, np.ndarray]


class SoftBoundsReferenceDevice(WriteNoiseDevice):
    r"""Soft-bounds device with a reference that is subtracted from its raw weight v.

    .. math:: \Delta v_\pm = \pm \Delta_\pm (1 - v / b_\pm + \sigma z), \qquad w = v - r

    or, with `mult_noise`, :math:`\pm \Delta_\pm (1 - v / b_\pm)(1 + \sigma z)`. The reference is
    :math:`r = \text{reference\_mean} + \text{reference\_std}\, z`, plus the device's own symmetry
    point with `subtract_symmetry_point`: random pulses then lead to w = 0.

    Hidden planes: `slope_up`, `slope_down`, `reference`; bounds and `persistent_weights` are raw.

    Notes
    -----
    A spread of the slopes divides the bounds: :math:`b_\pm / |1 + \text{slope\_dtod}\, z|`.
    Source: Rasch et al., Nature Communications 15, 7133 (2024), arXiv 2303.04721.

    Examples
    --------
    >>> from rpusim import SoftBoundsReferenceDevice
    >>> device = SoftBoundsReferenceDevice(w_min=-0.3, up_down=0.2, subtract_symmetry_point=True)
    >>> round(abs(device.symmetry_point()), 9)
    0.0
    """

    noise_parameters = ("dw_min_std",)
    subtracts_reference = True
    mirror_negates = ("slope_up", "slope_down", "reference", "reference_mean")

    mult_noise: bool = param(
        False, doc="noise is proportional to the step, not to the step at v = 0"
    )
    slope_up_dtod: float = param(
        0.0, low=0.0, unit="relative", doc="spread of the up slope; divides the upper bound"
    )
    slope_down_dtod: float = param(
        0.0, low=0.0, unit="relative", doc="spread of the down slope; divides the lower bound"
    )
    reference_mean: float = param(0.0, unit="weight", doc="mean reference")
    reference_std: float = param(0.0, low=0.0, unit="weight", doc="spread of the reference")
    subtract_symmetry_point: bool = param(
        False, doc="add each device's symmetry point to its reference"
    )

    pulse = LinearStepDevice.__dict__["pulse"]
    pulse_with_additive_noise = LinearStepDevice.__dict__["pulse_with_additive_noise"]

    def law(self) -> Callable[..., Any]:
        """Return the linear-step law for the chosen kind of noise."""
        return type(self).pulse if self.mult_noise else type(self).pulse_with_additive_noise

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("slope_up", "slope_down", "reference", *super().own_planes())

    def derive(self, arrays: Arrays, draw: Draw) -> Arrays:
        """Return bounds with spread slopes, the slopes, and the reference."""
        low, high = arrays["min_bound"], arrays["max_bound"]
        window = (low < 0.0) & (high > 0.0) & np.isfinite(high)
        down = np.abs(1.0 + self.slope_down_dtod * draw.normal("slope_down", low.shape))
        up = np.abs(1.0 + self.slope_up_dtod * draw.normal("slope_up", low.shape))
        bounds = {
            "min_bound": np.divide(low, down, out=low.copy(), where=window),
            "max_bound": np.divide(high, up, out=high.copy(), where=window),
        }
        made = {**bounds, **self.rederive(arrays, {**arrays, **bounds})}
        made["reference"] = references(self, low.shape, draw)
        if self.subtract_symmetry_point:
            rise, fall = arrays["dwmin_up"], arrays["dwmin_down"]
            steeper = made["slope_down"] - made["slope_up"]
            made["reference"] += np.divide(
                rise - fall, steeper, out=np.zeros_like(rise), where=window & (steeper > 0.0)
            )
        return made

    def rederive(self, old: Arrays, new: Arrays) -> Arrays:
        """Return the slopes for changed bounds and steps."""
        high, low = new["max_bound"], new["min_bound"]
        return slopes_to(np.maximum(high, 0.0), np.minimum(low, 0.0), new)


def references(device: Any, shape: tuple[int, ...], draw: Draw) -> np.ndarray:
    """Draw the part of the references that does not depend on the devices."""
    return device.reference_mean + device.reference_std * draw.normal("reference", shape)  # type: ignore[arg-type]
