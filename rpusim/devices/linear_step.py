"""Linear-step device: the step falls or rises linearly with the weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.fabrication import Draw
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.errors import ConfigError

__all__ = ["LinearStepDevice", "ends_of_steps", "slopes_to"]

Arrays = dict[str, np.ndarray]


class LinearStepDevice(WriteNoiseDevice):
    r"""Device whose steps are linear in its weight.

    .. math::
        \Delta w_+ = +(\Delta_+ + a_+ w)(1 + \sigma z), \qquad \Delta w_- = -(\Delta_- + a_- w)(1 +
        \sigma z)

    or, with `mult_noise` off, :math:`\Delta w_\pm = \pm(\Delta_\pm (1 + \sigma z) + a_\pm w)`. The
    slopes are
    :math:`a_\pm = -\gamma_\pm \Delta_\pm / b_\pm`, so that a device with :math:`\gamma = 1` stops
    at the bound
    :math:`b_\pm`: the mean one, or its own if `mean_bound_reference` is off. With
    `write_noise_std` the weight that is seen is the persistent one plus noise, redrawn when a
    device is written.

    Hidden planes: `slope_up`, `slope_down`, in weight units per weight unit.

    Notes
    -----
    `gamma_up_dtod` is added to gamma, not multiplied; unless `allow_increasing` negative gammas
    are folded, so that the default of 0 with a spread of 0.05 has a mean of 0.04.
    """

    noise_parameters = ("dw_min_std",)
    mirror_negates = ("slope_up", "slope_down")

    gamma_up: float = param(0.0, doc="relative loss of the up step at the reference bound")
    gamma_down: float = param(0.0, doc="relative loss of the down step at the reference bound")
    gamma_up_dtod: float = param(0.05, low=0.0, unit="absolute", doc="spread of gamma_up")
    gamma_down_dtod: float = param(0.05, low=0.0, unit="absolute", doc="spread of gamma_down")
    allow_increasing: bool = param(False, doc="whether gammas may be negative")
    mean_bound_reference: bool = param(
        True, doc="gammas refer to the mean bound, not the device's own"
    )
    mult_noise: bool = param(
        True, doc="noise is proportional to the step, not to the step at w = 0"
    )
    reverse_up: bool = param(False, doc="up steps grow towards the upper bound")
    reverse_down: bool = param(False, doc="down steps grow towards the lower bound")
    reverse_offset: float = param(0.01, low=0.0, unit="weight", doc="keeps reversed steps above 0")

    def check(self) -> None:
        """Refuse reversed steps with additive noise."""
        super().check()
        if (self.reverse_up or self.reverse_down) and not self.mult_noise:
            raise ConfigError(
                f"{type(self).__name__}: reverse_up and reverse_down need mult_noise=True."
            )

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a step linear in the weight, with noise proportional to it."""
        rise = dev.dwmin_up + dev.slope_up * w
        fall = -(dev.dwmin_down + dev.slope_down * w)
        step = rise if sign > 0.0 else fall
        return w + step * (1.0 + model.dw_min_std * z)

    @staticmethod
    def pulse_with_additive_noise(w, sign, dev, model, z):
        """Move by a step linear in the weight, with noise proportional to the step at w = 0."""
        noise = 1.0 + model.dw_min_std * z
        rise = dev.dwmin_up * noise + dev.slope_up * w
        fall = -(dev.dwmin_down * noise + dev.slope_down * w)
        return w + (rise if sign > 0.0 else fall)

    def law(self) -> Callable[..., Any]:
        """Return the law for the chosen kind of noise."""
        return type(self).pulse if self.mult_noise else type(self).pulse_with_additive_noise

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("slope_up", "slope_down", *super().own_planes())

    def gammas(self, shape: tuple[int, ...], draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        """Draw gamma of both directions for every device."""
        up = self.gamma_up + self.gamma_up_dtod * draw.normal("gamma_up", shape)  # type: ignore[arg-type]
        down = self.gamma_down + self.gamma_down_dtod * draw.normal("gamma_down", shape)  # type: ignore[arg-type]
        return (up, down) if self.allow_increasing else (np.abs(up), np.abs(down))

    def reference_bounds(self, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights at which a step with gamma = 1 vanishes, up and down."""
        high, low = arrays["max_bound"], arrays["min_bound"]
        if self.mean_bound_reference:
            high, low = np.full_like(high, self.w_max), np.full_like(low, self.w_min)
        return ends_of_steps(self, high, low)

    def derive(self, arrays: Arrays, draw: Draw) -> Arrays:
        """Return the slopes."""
        gammas = self.gammas(arrays["max_bound"].shape, draw)
        return slopes_to(*self.reference_bounds(arrays), arrays, *gammas)

    def rederive(self, old: Arrays, new: Arrays) -> Arrays:
        """Return the slopes with unchanged gammas for changed bounds and steps."""
        unit = slopes_to(*self.reference_bounds(old), old)
        gammas = [
            np.divide(old[name], slope, out=np.zeros_like(slope), where=slope != 0.0)
            for name, slope in unit.items()
        ]
        return slopes_to(*self.reference_bounds(new), new, *gammas)


def ends_of_steps(device: Any, high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights at which up and down steps end: bounds, or beyond the opposite ones."""
    up = low - device.reverse_offset if device.reverse_up else high
    down = high + device.reverse_offset if device.reverse_down else low
    return up, down


def slopes_to(
    up: np.ndarray, down: np.ndarray, arrays: Arrays, gamma_up: Any = 1.0, gamma_down: Any = 1.0
) -> Arrays:
    """Return the slopes of steps that, with gamma 1, vanish at the weights `up` and `down`."""
    slopes = {}
    bounded = np.isfinite(arrays["max_bound"])  # not a perfect bias
    for name, gamma, bound in (("up", gamma_up, up), ("down", gamma_down, down)):
        step = -gamma * arrays[f"dwmin_{name}"]
        zero = np.zeros(np.shape(step), step.dtype)
        slopes[f"slope_{name}"] = np.divide(step, bound, out=zero, where=bounded & (bound != 0.0))
    return slopes
