"""Lookup-table device: measured steps as a function of the weight, and of the pulse number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.config import derived, param
from rpusim.devices.fabrication import Draw
from rpusim.devices.parameters import WIDE
from rpusim.devices.piecewise_step import check_tables, interpolate
from rpusim.devices.write_noise import WriteNoiseDevice
from rpusim.errors import ConfigError
from rpusim.kernels.primitives import real

__all__ = ["LookupTableDevice"]


def place(w, model):
    """Return where `w` lies between the mean bounds, as a part of 1."""
    return (w - model.w_min) / (model.w_max - model.w_min)


def gain(sign, dev, model):
    """Return a device's step relative to the mean one."""
    return (dev.dwmin_up if sign > 0.0 else dev.dwmin_down) / model.dw_min


class LookupTableDevice(WriteNoiseDevice):
    r"""Device whose steps are tables, linear between nodes.

    .. math:: \Delta w_\pm = \pm G_\pm\, T_\pm(w, n) (1 + \sigma z)

    Columns of a table are weights, equally spaced from `w_min` to `w_max`; entries are steps in
    weight units, down steps too as positive numbers. A table with several rows depends also on the
    number n of pulses a device has received before in the same direction without a break (or, with
    `count_restarts` off, of all pulses in both directions): row k is for n = k `pulse_interval`,
    the last one for all beyond.
    :math:`G_\pm` is the device's own gain, of mean 1.

    Hidden state, with several rows: `pulse_number`, negative after down pulses if it restarts.

    Notes
    -----
    `dw_min` is the mean of the first rows; it is the unit of `write_noise_std`. For data at other
    weights use ``numpy.interp``. `rpusim.studies.fit` makes tables from measured pulses.

    Examples
    --------
    >>> from rpusim import LookupTableDevice
    >>> device = LookupTableDevice(
    ...     w_min=-1.0, w_max=1.0, steps_up=[0.03, 0.01, 0.0], steps_down=[0.0, 0.01, 0.03]
    ... )
    >>> round(device.mean_step(-0.5, +1), 6)
    0.02
    """

    noise_parameters = ("dw_min_std",)

    dw_min: float = derived(unit="weight", doc="mean of the steps in the first rows")
    steps_up: tuple = param((0.001,), unit="weight", doc="up steps, from w_min to w_max; or rows")
    steps_down: tuple = param((0.001,), unit="weight", doc="down steps, as positive numbers")
    pulse_interval: float = param(1.0, above=0.0, unit="pulses", doc="between two rows of a table")
    count_restarts: bool = param(True, doc="count anew when the direction changes")
    rows: int = derived(doc="rows of the tables")

    def check(self) -> None:
        """Refuse tables that do not fit each other."""
        check_tables(self, "steps_up", "steps_down", dimensions=2)
        first = [np.atleast_2d(table)[0] for table in (self.steps_up, self.steps_down)]
        shape = np.shape(self.steps_up)
        if not np.any(first):
            raise ConfigError("LookupTableDevice: the first rows of its tables must not be all 0.")
        self.settle(
            dw_min=float(np.abs(first).mean()), rows=int(shape[0] if len(shape) == 2 else 1)
        )
        if not self.w_max > self.w_min:
            raise ConfigError("LookupTableDevice needs w_max > w_min: its tables span them.")
        super().check()

    @property
    def state(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the planes that pulses change."""
        return ("pulse_number",) if self.rows > 1 else ()

    @property
    def mirror_negates(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of what changes sign in the mirror."""
        return ("pulse_number",) if self.count_restarts else ()

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a step that depends on the weight."""
        table = model.steps_up if sign > 0.0 else model.steps_down
        step = interpolate(table, 0, len(table), place(w, model))
        step = step if dev.max_bound < WIDE else model.dw_min
        return w + sign * gain(sign, dev, model) * step * (1.0 + model.dw_min_std * z)

    @staticmethod
    def pulse_with_number(w, sign, dev, model, z):
        """Move by a step that depends on the weight and on the number of the pulse."""
        table = model.steps_up if sign > 0.0 else model.steps_down
        restarts = model.count_restarts > 0.0
        n = dev.pulse_number
        n = (n if n * sign > 0.0 else 0.0) if restarts else n
        rows, columns = np.int32(model.rows), np.int32(len(table)) // np.int32(model.rows)
        row = min(abs(n) / model.pulse_interval, real(rows - np.int32(1)))
        k = np.int32(row)
        part = place(w, model)
        here = interpolate(table, k * columns, columns, part)
        k_next = min(k + np.int32(1), rows - np.int32(1))
        there = interpolate(table, k_next * columns, columns, part)
        step = here + (row - real(k)) * (there - here) if dev.max_bound < WIDE else model.dw_min
        change = sign * gain(sign, dev, model) * step * (1.0 + model.dw_min_std * z)
        return w + change, n + (sign if restarts else 1.0)

    def law(self) -> Callable[..., Any]:
        """Return the law for tables of one or of several rows."""
        return type(self).pulse if self.rows == 1 else type(self).pulse_with_number

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes beyond the common ones."""
        return (*self.state, *super().own_planes())

    def derive(self, arrays: dict[str, np.ndarray], draw: Draw) -> dict[str, np.ndarray]:
        """Return the pulse numbers of new devices: 0."""
        return {name: np.zeros_like(arrays["max_bound"]) for name in self.state}
