"""Soft-bounds device: steps fade linearly towards the device's own bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.linear_step import LinearStepDevice, ends_of_steps, slopes_to
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.errors import ConfigError

__all__ = ["SoftBoundsDevice"]

Arrays = dict[str, np.ndarray]


class SoftBoundsDevice(WriteNoiseDevice):
    r"""Device whose steps fade linearly towards its bounds.

    .. math:: \Delta w_\pm = \pm \Delta_\pm (1 - w / b_\pm)(1 + \sigma z)

    so up pulses alone lead exponentially to the upper bound :math:`b_+`. It is the linear step with
    :math:`\gamma = 1` referred to the device's own bounds, and holds the same planes `slope_up`,
    `slope_down`.

    Notes
    -----
    Source: Fusi and Abbott, Nature Neuroscience 10, 485 (2007), for soft bounds; Rasch et al.,
    arXiv 2303.04721, eq. 3.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> round(SoftBoundsDevice(dw_min=0.01).mean_step(0.0, +1), 6)
    0.01
    """

    noise_parameters = ("dw_min_std",)
    mirror_negates = ("slope_up", "slope_down")

    mult_noise: bool = param(
        True, doc="noise is proportional to the step, not to the step at w = 0"
    )
    reverse_up: bool = param(False, doc="up steps grow towards the upper bound")
    reverse_down: bool = param(False, doc="down steps grow towards the lower bound")
    reverse_offset: float = param(0.01, low=0.0, unit="weight", doc="keeps reversed steps above 0")

    pulse = LinearStepDevice.__dict__["pulse"]
    pulse_with_additive_noise = LinearStepDevice.__dict__["pulse_with_additive_noise"]

    def check(self) -> None:
        """Refuse reversed steps with additive noise."""
        super().check()
        if (self.reverse_up or self.reverse_down) and not self.mult_noise:
            raise ConfigError(
                f"{type(self).__name__}: reverse_up and reverse_down need mult_noise=True."
            )

    def law(self) -> Callable[..., Any]:
        """Return the linear-step law for the chosen kind of noise."""
        return type(self).pulse if self.mult_noise else type(self).pulse_with_additive_noise

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("slope_up", "slope_down", *super().own_planes())

    def derive(self, arrays: Arrays, draw: Draw) -> Arrays:
        """Return the slopes."""
        return self.rederive(arrays, arrays)

    def rederive(self, old: Arrays, new: Arrays) -> Arrays:
        """Return the slopes for changed bounds and steps."""
        return slopes_to(*ends_of_steps(self, new["max_bound"], new["min_bound"]), new)
