"""Soft-bounds device: steps fade linearly towards the device's own bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.linear_step import LinearStepDevice
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.errors import ConfigError

__all__ = ["SoftBoundsDevice"]


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

    def check(self) -> None:
        """Refuse reversed steps with additive noise."""
        super().check()
        if (self.reverse_up or self.reverse_down) and not self.mult_noise:
            raise ConfigError(
                f"{type(self).__name__}: reverse_up and reverse_down need mult_noise=True."
            )

    def law(self) -> Callable[..., Any]:
        """Return the linear-step law for the chosen kind of noise."""
        return self._as_linear().law()

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("slope_up", "slope_down", *super().own_planes())

    def derive(self, arrays: dict[str, np.ndarray], draw: Draw) -> dict[str, np.ndarray]:
        """Return the slopes."""
        return self._as_linear().derive(arrays, draw)

    def rederive(
        self, old: dict[str, np.ndarray], new: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the slopes for changed bounds and steps."""
        return self._as_linear().derive(new, Draw((0, 0)))

    def _as_linear(self) -> LinearStepDevice:
        """Return the linear-step device with the same steps: gamma 1, its own bounds."""
        return LinearStepDevice(
            gamma_up=1.0,
            gamma_down=1.0,
            gamma_up_dtod=0.0,
            gamma_down_dtod=0.0,
            mean_bound_reference=False,
            w_max=self.w_max,
            w_min=self.w_min,
            mult_noise=self.mult_noise,
            reverse_up=self.reverse_up,
            reverse_down=self.reverse_down,
            reverse_offset=self.reverse_offset,
        )
