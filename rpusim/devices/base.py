"""What all devices share: `Device`, and `PulsedDevice` with its common parameters.

A pulsed device is a configuration, a law (the scalar function `pulse`) and a factory of the arrays
that differ from device to device; the loops over crosspoints and pulses live in
`rpusim.pulses.walk`.
"""

from __future__ import annotations

import dataclasses
import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rpusim.config import Config, param
from rpusim.devices.drift import DriftParameter
from rpusim.devices.fabrication import BASE_PLANES, Draw, base_arrays
from rpusim.errors import ConfigError
from rpusim.kernels.law import BoundLaw, bind_law

__all__ = ["Device", "PulsedDevice"]


class Device(Config):
    """Base of everything that can stand at the crosspoints of a tile."""


def check_lifetime(device: Any) -> None:
    """Refuse a lifetime below one step."""
    if 0.0 < device.lifetime < 1.0:
        name = type(device).__name__
        raise ConfigError(
            f"{name}.lifetime must be 0 (none) or >= 1 step, got {device.lifetime!r}."
        )


class PulsedDevice(Device):
    r"""Base of devices that voltage pulses move step by step; subclass it to make your own.

    A subclass defines the static method ``pulse(w, sign, dev, model, z)``: the weight after one
    pulse. `w` is the weight before; `sign` is +1.0 (up) or -1.0 (down); ``dev.name`` is a parameter
    or state of this one device; ``model.name`` any number of the configuration; z a standard normal
    of this pulse. It is a plain scalar function: no arrays, ``math.sqrt`` and the like for
    functions. The weight it returns is then limited to the device's bounds.

    Every device holds `max_bound`, `min_bound`, `dwmin_up` and `dwmin_down` (both positive), drawn
    at fabrication:

    .. math::
        b_\pm = w_\text{max/min} (1 + \sigma_\text{dtod} z), \qquad
        \Delta_+ = \text{dw\_min} (G + \min(\beta, 0) + q), \quad
        \Delta_- = \text{dw\_min} (G - \max(\beta, 0) - q)

    with :math:`\beta` = `up_down`, :math:`q = \text{up\_down\_dtod}\, z` and the gain
    :math:`G = 1 + \text{dw\_min\_dtod}\, z` (or its exponential). So an `up_down` of 0.3 leaves the
    up step and takes 30 % off the down step. Fields made with `per_device` add planes of their own.

    Notes
    -----
    Class attributes that a law may set: ``state`` (names of per-device fields that the law changes;
    it then returns ``(w, *state)``), ``draws`` (normals per pulse: with 2 or 4, z is a tuple),
    ``step_depends_on_weight = False`` (a constant step: pulses are then summed where no bound is
    near), ``noise_parameters`` (fields which, all zero, make z irrelevant, so that none is drawn).
    Source of the common model: Gokmen and Vlasov, Front. Neurosci. 10 (2016).
    """

    state: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[int] = 1
    step_depends_on_weight: ClassVar[bool] = True
    noise_parameters: ClassVar[tuple[str, ...] | None] = None

    construction_seed: int = param(
        0, low=0, doc="> 0: every tile of this shape gets the same devices"
    )
    corrupt_devices_prob: float = param(0.0, low=0.0, high=1.0, doc="probability of a stuck device")
    corrupt_devices_range: float = param(
        0.1, low=0.0, unit="weight", doc="they are stuck within +- this"
    )
    diffusion: float = param(
        0.0, low=0.0, unit="weight/step", doc="mean random walk per optimizer step"
    )
    diffusion_dtod: float = param(0.0, low=0.0, unit="relative", doc="spread of diffusion")
    drift: DriftParameter = param(DriftParameter(), doc="drift with time, on request only")
    dw_min: float = param(0.001, above=0.0, unit="weight", doc="mean step of one pulse at w = 0")
    dw_min_dtod: float = param(
        0.3, low=0.0, unit="relative", doc="spread of the step, both directions"
    )
    dw_min_dtod_log_normal: bool = param(False, doc="that spread is log-normal (median 1)")
    dw_min_std: float = param(0.3, low=0.0, unit="of a step", doc="cycle-to-cycle noise of a pulse")
    enforce_consistency: bool = param(True, doc="fold steps to be positive and bounds around 0")
    lifetime: float = param(
        0.0, low=0.0, unit="steps", doc="decay constant in optimizer steps; 0: none"
    )
    lifetime_dtod: float = param(0.0, low=0.0, unit="relative", doc="spread of lifetime")
    perfect_bias: bool = param(False, doc="devices of an analog bias: symmetric, unbounded")
    reset: float = param(0.0, unit="weight", doc="where reset and decay lead to")
    reset_dtod: float = param(0.0, low=0.0, unit="weight", doc="spread of it")
    reset_std: float = param(0.01, low=0.0, unit="weight", doc="noise of each reset")
    up_down: float = param(
        0.0, low=-1.0, high=1.0, unit="of dw_min", doc="> 0: down steps are smaller"
    )
    up_down_dtod: float = param(0.01, low=0.0, unit="of dw_min", doc="spread of up_down")
    w_max: float = param(0.6, low=0.0, unit="weight", doc="mean upper bound")
    w_max_dtod: float = param(0.3, low=0.0, unit="relative", doc="spread of the upper bound")
    w_min: float = param(-0.6, high=0.0, unit="weight", doc="mean lower bound")
    w_min_dtod: float = param(0.3, low=0.0, unit="relative", doc="spread of the lower bound")
    count_pulses: bool = param(False, doc="keep pulse counts of every device")

    pulse: ClassVar[Callable[..., Any]]

    def check(self) -> None:
        """Refuse windows without width, lifetimes below one step and steps float32 cannot add."""
        super().check()
        name = type(self).__name__
        check_lifetime(self)
        largest = max(self.w_max, -self.w_min)
        if self.dw_min < 4.0 * np.finfo(np.float32).eps * largest:
            raise ConfigError(
                f"{name}.dw_min is {self.dw_min!r}, too small to be added to weights near "
                f"{largest:g} in single precision; it must be "
                f">= {4.0 * np.finfo(np.float32).eps * largest:.1g}."
            )

    # ---------------------------------------------------------------- the law

    def law(self) -> Callable[..., Any]:
        """Return the scalar law; override it to choose among several by the configuration."""
        return type(self).pulse

    def bound_law(self) -> BoundLaw:
        """Return the law as functions of a crossbar's arrays."""
        if self.draws not in (1, 2, 4):
            raise ConfigError(f"{type(self).__name__}.draws must be 1, 2 or 4, got {self.draws!r}.")
        quiet = self.noise_parameters is not None and not any(
            getattr(self, name) for name in self.noise_parameters
        )
        return bind_law(
            self.law(), self.planes(), self._model_names(), self.state, 0 if quiet else self.draws
        )

    def model(self) -> Any:
        """Return the numbers of the configuration by name, as the law sees them in ``model``."""
        names = self._model_names()
        values = [float(getattr(self, name)) for name in names]
        return namedtuple("Model", names)(*values)  # type: ignore[misc, arg-type]

    def _model_names(self) -> tuple[str, ...]:
        numbers = (bool, int, float)
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return tuple(f.name for f in fields if type(f.default) in numbers)

    # ---------------------------------------------------------------- fabrication

    def planes(self) -> tuple[str, ...]:
        """Return the names of everything that differs from device to device, in order."""
        return BASE_PLANES + self.own_planes()

    def own_planes(self) -> tuple[str, ...]:
        """Return the names of the planes that this kind of device adds."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return tuple(f.name for f in fields if "companion" in f.metadata)

    def fabricate(
        self, shape: tuple[int, int], draw: Draw, bias: bool = False
    ) -> dict[str, np.ndarray]:
        """Draw a crossbar's worth of devices.

        Parameters
        ----------
        shape : (int, int)
            Rows (outputs) and columns (inputs).
        draw : Draw
            Named sources of normals and uniforms: one array never shifts another.
        bias : bool
            Whether the last column is an analog bias.

        Returns
        -------
        dict of str to ndarray
            One float32 array per name of `planes`.
        """
        arrays = self._draw(shape, draw, bias)
        return {name: np.asarray(arrays[name], np.float32) for name in self.planes()}

    def _draw(self, shape: tuple[int, int], draw: Draw, bias: bool) -> dict[str, np.ndarray]:
        """Return the planes in double precision."""
        arrays = base_arrays(self, shape, draw, bias)
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if "companion" in f.metadata:
                mean, spread = getattr(self, f.name), getattr(self, f"{f.name}_dtod")
                noise = spread * draw.normal(f.name, shape)
                value = mean * (1.0 + noise) if f.metadata["relative"] else mean + noise
                if f.metadata["low"] == 0.0 or f.metadata["above"] == 0.0:
                    value = np.abs(value)
                arrays[f.name] = value
        arrays.update(self.derive(arrays, draw))
        return arrays

    def derive(self, arrays: dict[str, np.ndarray], draw: Draw) -> dict[str, np.ndarray]:
        """Return the planes that follow from the common ones; override with `own_planes`."""
        return {}

    def rederive(
        self, old: dict[str, np.ndarray], new: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the derived planes after the user changed others; override with `derive`."""
        return {}

    # ---------------------------------------------------------------- key figures

    def mean_device(self) -> Any:
        """Return ``dev`` of the device without any spread, as the law sees it."""
        spreads = {f.name: 0.0 for f in dataclasses.fields(self) if f.name.endswith("_dtod")}  # type: ignore[arg-type]
        flat = self.replace(**spreads, corrupt_devices_prob=0.0, dw_min_dtod_log_normal=False)
        arrays = flat._draw((1, 1), Draw((0, 0)), False)
        gain = math.exp(0.5 * self.dw_min_dtod**2) if self.dw_min_dtod_log_normal else 1.0
        for name in ("dwmin_up", "dwmin_down"):
            arrays[name] = arrays[name] * gain
        arrays.update(flat.derive(arrays, Draw((0, 0))))
        return namedtuple("Device", arrays)(*(float(a[0, 0]) for a in arrays.values()))  # type: ignore[misc, arg-type]

    def mean_step(self, w: float, sign: float) -> float:
        """Return the mean change by one pulse of the mean device at weight `w`; `sign` is +1 or -1.

        Examples
        --------
        >>> from rpusim import SoftBoundsDevice
        >>> round(SoftBoundsDevice(dw_min=0.01, w_max=0.5).mean_step(0.25, +1), 6)
        0.005
        """
        dev, model = self.mean_device(), self.model()
        quiet: Any = 0.0 if self.draws == 1 else (0.0,) * self.draws
        new = self.law()(float(w), float(sign), dev, model, quiet)
        new = new[0] if self.state else new
        return float(min(max(new, dev.min_bound), dev.max_bound)) - float(w)

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted: mean of the mean device's steps at w = 0."""
        steps = [abs(self.mean_step(0.0, sign)) for sign in (1.0, -1.0)]
        return sum(steps) / 2.0 or self.dw_min

    @property
    def num_states(self) -> float:
        """Mean number of steps between the mean bounds."""
        return (self.w_max - self.w_min) / self.weight_granularity

    @property
    def write_noise(self) -> float:
        """Standard deviation of the write noise, in weight units (0 where a device has none)."""
        return float(getattr(self, "write_noise_std", 0.0)) * self.dw_min
