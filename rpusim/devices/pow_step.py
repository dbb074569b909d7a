"""Power-step device: steps that fade as a power of the distance to the bound."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.parameters import WIDE
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.kernels.elementary import power

__all__ = ["PowStepDevice"]


class PowStepDevice(WriteNoiseDevice):
    r"""Device whose steps fade as a power of the part of its window that is left.

    .. math::
        \Delta w_\pm = \pm \Delta_\pm \omega_\pm^{\gamma_\pm} (1 + \sigma z), \qquad
        \omega_\pm = \pm \frac{b_\pm - w}{b_+ - b_-}

    Hidden planes: the exponents `gamma_up`, `gamma_down`. With both exponents 1 the steps are those
    of soft bounds, in another scale: here :math:`\Delta_+` is the step at the lower bound, there
    at w = 0.

    Notes
    -----
    :math:`\gamma_+ = \gamma (G + \min(\beta, 0) + q)`, :math:`\gamma_- = \gamma (G - \max(\beta, 0)
    - q)` with :math:`\beta` = `pow_up_down`, :math:`G = 1 + \text{pow\_gamma\_dtod}\, z` and
    :math:`q = \text{pow\_up\_down\_dtod}\, z`: as for `up_down`, one direction is reduced. Source:
    Frascaroli et al., Scientific Reports 8, 7178 (2018), for steps of this kind.

    Examples
    --------
    >>> from rpusim import PowStepDevice
    >>> round(PowStepDevice(dw_min=0.01, pow_gamma=2.0).mean_step(0.0, +1), 6)
    0.0025
    """

    noise_parameters = ("dw_min_std",)
    mirror_negates: ClassVar[tuple[str, ...]] = ("pow_up_down",)

    pow_gamma: float = param(1.0, low=0.0, doc="mean exponent")
    pow_gamma_dtod: float = param(0.1, low=0.0, unit="relative", doc="spread of the exponent")
    pow_up_down: float = param(
        0.0, low=-1.0, high=1.0, unit="of pow_gamma", doc="> 0: the down exponent is smaller"
    )
    pow_up_down_dtod: float = param(0.0, low=0.0, unit="of pow_gamma", doc="spread of pow_up_down")

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a step that fades as a power of what is left of the window."""
        up = sign > 0.0
        span = dev.max_bound - dev.min_bound
        room = dev.max_bound - w if up else w - dev.min_bound
        exponent = dev.gamma_up if up else dev.gamma_down
        fading = power(room / (span if span > 0.0 else 1.0), exponent) if span < WIDE else 1.0
        step = sign * (dev.dwmin_up if up else dev.dwmin_down)
        return w + step * fading * (1.0 + model.dw_min_std * z)

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("gamma_up", "gamma_down", *super().own_planes())

    def derive(self, arrays: dict[str, np.ndarray], draw: Draw) -> dict[str, Any]:
        """Draw the exponents."""
        shape, beta = arrays["max_bound"].shape, self.pow_up_down
        gain = 1.0 + self.pow_gamma_dtod * draw.normal("pow_gamma", shape)  # type: ignore[arg-type]
        q = self.pow_up_down_dtod * draw.normal("pow_up_down", shape)  # type: ignore[arg-type]
        up = self.pow_gamma * (gain + min(beta, 0.0) + q)
        down = self.pow_gamma * (gain - max(beta, 0.0) - q)
        if self.enforce_consistency:
            up, down = np.abs(up), np.abs(down)
        return {"gamma_up": up, "gamma_down": down}

    def _reference_granularity(self) -> float:
        return self.dw_min * 0.5**self.pow_gamma
