"""Piecewise-linear steps: their size is given at equally spaced nodes of the device's window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import derived, param
from rpusim.devices.parameters import WIDE
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.errors import ConfigError
from rpusim.kernels.primitives import real

__all__ = ["PiecewiseStepDevice", "check_tables", "interpolate"]


def interpolate(table, first, count, part):
    """Return what `count` equally spaced nodes of a table, from `first` on, give at 0 <= part <= 1.

    Beyond the ends it is the end's value.
    """
    last = np.int32(count - 1)
    place = min(max(part, 0.0), 1.0) * real(last)
    k = np.int32(place)
    t = place - real(k)
    low, high = table[first + k], table[first + min(k + np.int32(1), last)]
    return low + t * (high - low)


class PiecewiseStepDevice(WriteNoiseDevice):
    r"""Device whose relative steps are given at equally spaced nodes, linear between them.

    .. math::
        \Delta w_\pm = \pm \Delta_\pm v_\pm(c) (1 + \sigma z), \qquad
        c = \frac{w - b_-}{b_+ - b_-}

    The first node is at the device's own lower bound, the last one at its upper bound; a single
    node is a constant step.

    Notes
    -----
    Source: none; it is the linear interpolation of a measured response.

    Examples
    --------
    >>> from rpusim import PiecewiseStepDevice
    >>> device = PiecewiseStepDevice(dw_min=0.01, piecewise_up=[2, 1], piecewise_down=[1, 2])
    >>> round(device.mean_step(0.0, +1), 6)
    0.015
    """

    noise_parameters = ("dw_min_std",)

    piecewise_up: tuple = param(
        (1.0,), unit="of the step", doc="up steps at the nodes, from lower to upper bound"
    )
    piecewise_down: tuple = param(
        (1.0,), unit="of the step", doc="down steps at the same nodes, as positive numbers"
    )

    level_up: float = derived(unit="of the step", doc="first node of piecewise_up")
    level_down: float = derived(unit="of the step", doc="first node of piecewise_down")

    def check(self) -> None:
        """Refuse tables that are empty or of different lengths."""
        super().check()
        check_tables(self, "piecewise_up", "piecewise_down")
        self.settle(level_up=self.piecewise_up[0], level_down=self.piecewise_down[0])

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a step that is interpolated between nodes."""
        up = sign > 0.0
        table = model.piecewise_up if up else model.piecewise_down
        span = dev.max_bound - dev.min_bound
        bounded = span < WIDE
        part = (w - dev.min_bound) / (span if span > 0.0 else 1.0) if bounded else 0.0
        size = interpolate(table, 0, len(table), part) if bounded else 1.0
        step = sign * (dev.dwmin_up if up else dev.dwmin_down)
        return w + step * size * (1.0 + model.dw_min_std * z)

    @staticmethod
    def pulse_of_one_node(w, sign, dev, model, z):
        """Move by a constant step."""
        bounded = dev.max_bound < WIDE
        rise = dev.dwmin_up * (model.level_up if bounded else 1.0)
        fall = -dev.dwmin_down * (model.level_down if bounded else 1.0)
        return w + (rise if sign > 0.0 else fall) * (1.0 + model.dw_min_std * z)

    def law(self) -> Callable[..., Any]:
        """Return the law; that of one node needs no table."""
        single = len(self.piecewise_up) == 1
        return type(self).pulse_of_one_node if single else type(self).pulse

    def _reference_granularity(self) -> float:
        return self.dw_min * float(self.piecewise_up[len(self.piecewise_up) // 2])


def check_tables(device: Any, up: str, down: str, dimensions: int = 1) -> None:
    """Refuse tables for up and down steps that are empty, no numbers or of different shapes."""
    shapes = []
    for name in (up, down):
        where = f"{type(device).__name__}.{name}"
        try:
            table = np.array(getattr(device, name), np.float64)
        except (TypeError, ValueError):
            raise ConfigError(f"{where} must hold numbers, in rows of equal length.") from None
        if table.size == 0:
            raise ConfigError(f"{where} must not be empty.")
        if table.ndim > dimensions:
            shape = "a row of numbers" if dimensions == 1 else "a row of numbers, or rows"
            raise ConfigError(f"{where} must be {shape}, got the shape {table.shape}.")
        shapes.append(table.shape)
    if shapes[0] != shapes[1]:
        raise ConfigError(
            f"{type(device).__name__}: {up} and {down} must have as many nodes, got shapes "
            f"{shapes[0]} and {shapes[1]}."
        )
