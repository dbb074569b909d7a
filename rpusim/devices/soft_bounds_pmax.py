"""Soft bounds given as in a measurement: a range, and the number of pulses through it."""

import math

from rpusim.config import derived, param
from rpusim.devices.soft_bounds import SoftBoundsDevice
from rpusim.devices.spread import UpDownConvention
from rpusim.errors import ConfigError

__all__ = ["SoftBoundsPmaxDevice"]


class SoftBoundsPmaxDevice(SoftBoundsDevice):
    r"""Soft-bounds device defined by a range and by the pulses it takes to cross it.

    `p_max` up pulses lead from `range_min` to `range_max`, and as many down pulses back:

    .. math::
        w_\uparrow(n) = r_- + B (1 - e^{-\alpha n}), \quad
        w_\downarrow(n) = r_+ - B (1 - e^{-\alpha n}), \qquad
        B = \frac{r_+ - r_-}{1 - e^{-\alpha p_\text{max}}}

    which a soft-bounds device with bounds :math:`r_- + B` and :math:`r_+ - B` and with steps
    :math:`(1 - e^{-\alpha})` times these does exactly. `w_max`, `w_min`, `dw_min` and `up_down`
    follow and cannot be set.

    Notes
    -----
    `reference_pmax` takes the bounds and steps that aihwkit derives from the same numbers; it then
    moves up to twice as fast and ends elsewhere.

    Examples
    --------
    >>> from rpusim import SoftBoundsPmaxDevice
    >>> device = SoftBoundsPmaxDevice(p_max=100, alpha=0.01)
    >>> round(device.w_max, 4), round(device.w_min, 4)
    (2.164, -2.164)
    """

    w_max: float = derived(unit="weight", doc="asymptote of up pulses")
    w_min: float = derived(unit="weight", doc="asymptote of down pulses")
    dw_min: float = derived(
        unit="weight", doc="mean step at w = 0: the larger, or the mean of both"
    )
    up_down: float = derived(unit="of dw_min", doc="their asymmetry")
    p_max: int = param(1000, low=1, unit="pulses", doc="pulses from one end to the other")
    alpha: float = param(0.0005, above=0.0, unit="per pulse", doc="relative approach to the bound")
    range_min: float = param(-1.0, unit="weight", doc="weight before the up pulses")
    range_max: float = param(1.0, unit="weight", doc="weight after them")
    reference_pmax: bool = param(False, doc="derive bounds and steps as aihwkit does")

    def check(self) -> None:
        """Derive bounds and steps; refuse ranges that do not contain 0 between the bounds."""
        name = type(self).__name__
        if not self.range_min < self.range_max:
            raise ConfigError(
                f"{name}.range_max must be > range_min, got {self.range_max} and {self.range_min}."
            )
        if self.range_max - self.range_min > -1e6 * math.expm1(-self.p_max * self.alpha):
            raise ConfigError(f"{name}: p_max * alpha is too small to cross the range.")
        reach = (self.range_max - self.range_min) / -math.expm1(-self.p_max * self.alpha)
        high, low = self.range_min + reach, self.range_max - reach
        rate = -math.expm1(-self.alpha)
        if self.reference_pmax:
            step, asymmetry = reach * self.alpha, 1.0 + 2.0 * self.range_min / reach
            low = self.range_min
        elif self.up_down_convention is UpDownConvention.MEAN:
            step, asymmetry = rate * (high - low) / 2.0, (high + low) / (high - low)
        else:
            step, asymmetry = rate * max(high, -low), (high + low) / max(high, -low)
        if not low <= 0.0 <= high or abs(asymmetry) > 1.0:
            raise ConfigError(
                f"{name}: 0 must lie between the asymptotes, got {low:g} and {high:g}."
            )
        self.settle(w_max=high, w_min=low, dw_min=step, up_down=asymmetry)
        super().check()
