"""Exponential-step device: steps that fade, or grow, exponentially with the weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rpusim.config import param
from rpusim.devices.parameters import WIDE
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.kernels.elementary import exp

__all__ = ["ExpStepDevice"]


def fading(w, sign, dev, model):
    """Return the size of the step at `w`, relative to that of the device."""
    span = dev.max_bound - dev.min_bound
    x = 2.0 * model.a * w / (span if span > 0.0 else 1.0) + model.b
    up = sign > 0.0
    strength = model.A_up if up else model.A_down
    steepness = model.gamma_up if up else -model.gamma_down
    return max(1.0 - strength * exp(steepness * x), 0.0) if span < WIDE else 1.0


class ExpStepDevice(WriteNoiseDevice):
    r"""Device whose steps depend exponentially on its weight.

    .. math::
        \Delta w_\pm = \pm \Delta_\pm y_\pm (1 + \sigma z), \qquad
        y_\pm = \max(1 - A_\pm e^{\pm \gamma_\pm x}, 0), \quad
        x = \frac{2 a w}{b_+ - b_-} + b

    With positive A the steps fade towards the bound they lead to; a negative A makes them grow.
    If `dw_min_std_add` or `dw_min_std_slope` is set the noise is
    :math:`\sigma (|\Delta w| + \text{add} + \text{slope}\,|w|)\, z` instead.

    Notes
    -----
    :math:`b_+ - b_-` is the device's own window; x is not centred on it. No parameter of its own
    varies from device to device. Source: Gong et al., Nature Communications 9, 2102 (2018), for the
    law; Nandakumar et al., Front. Neurosci. 14, 406 (2020), for the noise.

    Examples
    --------
    >>> from rpusim import ExpStepDevice
    >>> round(ExpStepDevice(dw_min=0.01).mean_step(0.5, +1), 5)
    0.00792
    """

    noise_parameters = ("dw_min_std",)
    mirror_negates = ("b",)

    A_up: float = param(0.00081, doc="prefactor of the exponential, up")
    A_down: float = param(0.36833, doc="prefactor of the exponential, down")
    gamma_up: float = param(12.44625, doc="exponent, up")
    gamma_down: float = param(12.78785, doc="exponent, down")
    a: float = param(0.244, doc="slope of the exponent with the weight")
    b: float = param(0.2425, doc="offset of the exponent")
    dw_min_std_add: float = param(
        0.0, low=0.0, unit="weight", doc="constant part of the noise, times dw_min_std"
    )
    dw_min_std_slope: float = param(
        0.0, low=0.0, doc="part of the noise proportional to |w|, times dw_min_std"
    )

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by an exponentially varying step, with noise proportional to it."""
        step = sign * (dev.dwmin_up if sign > 0.0 else dev.dwmin_down)
        return w + step * fading(w, sign, dev, model) * (1.0 + model.dw_min_std * z)

    @staticmethod
    def pulse_with_complex_noise(w, sign, dev, model, z):
        """Move by an exponentially varying step, with noise that depends on the weight too."""
        size = (dev.dwmin_up if sign > 0.0 else dev.dwmin_down) * fading(w, sign, dev, model)
        spread = abs(size) + model.dw_min_std_add + model.dw_min_std_slope * abs(w)
        return w + sign * size + model.dw_min_std * spread * z

    def law(self) -> Callable[..., Any]:
        """Return the law for the chosen kind of noise."""
        simple = self.dw_min_std_add == 0.0 and self.dw_min_std_slope == 0.0
        return type(self).pulse if simple else type(self).pulse_with_complex_noise

    def _reference_granularity(self) -> float:
        fall = max(1.0 - self.A_down * math.exp(-self.gamma_down * self.b), 0.0)
        return self.dw_min * (1.0 - max(self.up_down, 0.0)) * fall or self.dw_min
