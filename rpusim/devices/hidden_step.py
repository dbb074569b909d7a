"""Hidden-step device: pulses fill a hidden accumulator, and only full ones move the weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.devices.base import PulsedDevice
from rpusim.devices.fabrication import Draw

__all__ = ["HiddenStepDevice"]


def fill(sign, dev, model, noise):
    """Return the accumulator after a pulse, and -1, 0 or 1: the step that it releases."""
    scale = dev.hs_scale_up if sign > 0.0 else dev.hs_scale_down
    h = dev.hidden_weights + sign * scale * (1.0 + noise)
    full, carry = model.hs_hidden_states, model.carry_over > 0.0
    enough = abs(h) >= full if carry else abs(h) > full
    step = (1.0 if h > 0.0 else -1.0) if enough else 0.0
    return h - step * full if carry else (0.0 if enough else h), step


def moved(w, step, dev, model, noise):
    """Return the weight after a step."""
    size = dev.dwmin_up if step > 0.0 else dev.dwmin_down
    return w + step * size * (1.0 + model.dw_min_std * noise)


class HiddenStepDevice(PulsedDevice):
    r"""Device with hidden states between the visible ones.

    A pulse adds :math:`\pm h_\pm (1 + \sigma_h z_1)` to a hidden accumulator, with
    :math:`h_\pm \approx 1`. When that reaches :math:`\pm H`, H = `hs_hidden_states`, the weight
    takes one constant step of H times the common size, :math:`\pm \Delta_\pm (1 + \sigma z_2)`, and
    the accumulator keeps what is left over.

    Hidden planes: `hs_scale_up`, `hs_scale_down` (h, in pulses), `hidden_weights` (the
    accumulators, in pulses); `dwmin_up`, `dwmin_down` are the visible steps, H times as large.

    Notes
    -----
    With `carry_over` off the accumulator must exceed H and restarts at 0, so that a step takes
    H + 1 equal pulses; the remainder is lost. Operators (decay, reset, ...) leave the accumulators.

    Examples
    --------
    >>> from rpusim import HiddenStepDevice
    >>> HiddenStepDevice(hs_hidden_states=4, dw_min=0.01).weight_granularity
    0.01
    """

    hs_hidden_states: int = param(2, low=1, unit="pulses", doc="pulses per visible step")
    hs_dw_min_std: float = param(0.0, low=0.0, unit="of a pulse", doc="noise of the accumulator")
    hs_dw_min_dtod: float = param(
        0.3, low=0.0, unit="relative", doc="spread of what a pulse adds, both directions"
    )
    hs_up_down: float = param(
        0.0, low=-1.0, high=1.0, unit="relative", doc="> 0: down pulses add less"
    )
    hs_up_down_dtod: float = param(0.01, low=0.0, unit="relative", doc="spread of hs_up_down")
    carry_over: bool = param(True, doc="keep what is left over when a step is taken")

    state = ("hidden_weights",)
    mirror_negates = ("hs_up_down", "hidden_weights")

    @property
    def draws(self) -> int:  # type: ignore[override]
        """Normals per pulse."""
        return 2 if self.hs_dw_min_std > 0.0 else 1

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Fill the accumulator; step if it is full."""
        h, step = fill(sign, dev, model, 0.0)
        return moved(w, step, dev, model, z), h

    @staticmethod
    def pulse_with_noisy_accumulator(w, sign, dev, model, z):
        """Fill the accumulator by a noisy amount; step if it is full."""
        h, step = fill(sign, dev, model, model.hs_dw_min_std * z[0])
        return moved(w, step, dev, model, z[1]), h

    def law(self) -> Callable[..., Any]:
        """Return the law with or without noise of the accumulator."""
        noisy = self.hs_dw_min_std > 0.0
        return type(self).pulse_with_noisy_accumulator if noisy else type(self).pulse

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return ("hs_scale_up", "hs_scale_down", "hidden_weights", *super().own_planes())

    def derive(self, arrays: dict[str, np.ndarray], draw: Draw) -> dict[str, np.ndarray]:
        """Return the visible steps, what pulses add, and empty accumulators."""
        shape, beta = arrays["max_bound"].shape, self.hs_up_down
        gain = 1.0 + self.hs_dw_min_dtod * draw.normal("hs_gain", shape)  # type: ignore[arg-type]
        q = self.hs_up_down_dtod * draw.normal("hs_up_down", shape)  # type: ignore[arg-type]
        up, down = gain + min(beta, 0.0) + q, gain - max(beta, 0.0) - q
        if self.enforce_consistency:
            up, down = np.abs(up), np.abs(down)
        bounded = np.isfinite(arrays["max_bound"])  # not a perfect bias
        return {
            "dwmin_up": arrays["dwmin_up"] * self.hs_hidden_states,
            "dwmin_down": arrays["dwmin_down"] * self.hs_hidden_states,
            "hs_scale_up": np.where(bounded, up, 1.0),
            "hs_scale_down": np.where(bounded, down, 1.0),
            "hidden_weights": np.zeros(shape),
        }

    def _rates(self) -> tuple[float, float]:
        """Return the mean change by an up and by a down pulse, over a full step."""
        dev, full = self.mean_device(), self.hs_hidden_states
        return dev.dwmin_up * dev.hs_scale_up / full, dev.dwmin_down * dev.hs_scale_down / full

    def symmetry_point(self) -> float:
        """Return 0 if up and down pulses have the same effect, at all weights; else NaN."""
        rise, fall = self._rates()
        return 0.0 if math.isclose(rise, fall) else math.nan

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted: the mean one of a pulse, over a full step."""
        return self.dw_min if self.reference_granularity else sum(self._rates()) / 2.0
