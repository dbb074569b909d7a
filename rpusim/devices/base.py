"""What all pulsed devices share: `PulsedDevice`.

A pulsed device is a configuration, a law (the scalar function `pulse`) and a factory of the arrays
that differ from device to device; the loops over crosspoints and pulses live in
`rpusim.pulses.walk`.
"""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rpusim.devices import figures
from rpusim.devices.fabrication import BASE_PLANES, Draw, base_arrays
from rpusim.devices.parameters import PulsedParameters
from rpusim.devices.spread import STUCK, mean_gain
from rpusim.errors import ConfigError
from rpusim.kernels.crosspoint_law import CrosspointLaw, bind_crosspoint
from rpusim.kernels.law import BoundLaw, bind_law, pack_model

if TYPE_CHECKING:
    from rpusim.devices.summary import DeviceSummary

__all__ = ["PulsedDevice"]


class PulsedDevice(PulsedParameters):
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
    near), ``noise_parameters`` (fields which, all zero, make z irrelevant, so that none is drawn),
    ``subtracts_reference`` (the plane `reference` is subtracted from the weight that pulses act on
    to give the one that is seen), ``mirror_negates`` (fields and planes that change sign in the
    mirror, see `rpusim.devices.mirror`). A field that is a sequence of numbers is an array in the
    law: ``model.name[k]``. For exponentials and powers use `rpusim.kernels.elementary`: they are
    several times as fast there as those of ``math``.
    Source of the common model: Gokmen and Vlasov, Front. Neurosci. 10 (2016).
    """

    state: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[int] = 1
    step_depends_on_weight: ClassVar[bool] = True
    noise_parameters: ClassVar[tuple[str, ...] | None] = None
    subtracts_reference: ClassVar[bool] = False
    mirror_negates: ClassVar[tuple[str, ...]] = ()

    pulse: ClassVar[Callable[..., Any]]

    # ---------------------------------------------------------------- the law

    def law(self) -> Callable[..., Any]:
        """Return the scalar law; override it to choose among several by the configuration."""
        return type(self).pulse

    def bound_law(self, draws: int | None = None) -> BoundLaw:
        """Return the law as functions of a crossbar's arrays; `draws` 0: as if without noise."""
        return self._bound(bind_law, draws)

    def crosspoint_law(self) -> CrosspointLaw:
        """Return the law as functions of one crosspoint at a time."""
        return self._bound(bind_crosspoint, None)

    def _bound(self, bind: Callable[..., Any], draws: int | None) -> Any:
        if self.draws not in (1, 2, 4):
            raise ConfigError(f"{type(self).__name__}.draws must be 1, 2 or 4, got {self.draws!r}.")
        if draws is None:
            quiet = self.noise_parameters is not None and not any(
                getattr(self, name) for name in self.noise_parameters
            )
            draws = 0 if quiet else self.draws
        numbers, tables = self._model_names()
        return bind(self.law(), self.planes(), numbers, self.state, draws, tables)

    def model(self) -> Any:
        """Return the numbers of the configuration by name, as the law sees them in ``model``."""
        numbers, tables = self._model_names()
        values: list[Any] = [float(getattr(self, name)) for name in numbers]
        values += [np.ravel(getattr(self, name)).astype(np.float64) for name in tables]
        return namedtuple("Model", numbers + tables)(*values)  # type: ignore[misc, arg-type]

    def model_vector(self) -> np.ndarray:
        """Return the same as one float64 vector: see `rpusim.kernels.law.pack_model`."""
        model = self.model()
        numbers, _ = self._model_names()
        return pack_model(model[: len(numbers)], model[len(numbers) :])

    def _model_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of all fields that are numbers, and of those that are tables."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        numbers = tuple(k for k, v in values.items() if type(v) in (bool, int, float))
        return numbers, tuple(k for k, v in values.items() if type(v) is tuple)

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
        self._add_own(arrays, draw)
        return arrays

    def _add_own(self, arrays: dict[str, np.ndarray], draw: Draw) -> None:
        """Add the planes beyond the common ones, in double precision."""
        shape = arrays["max_bound"].shape
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if "companion" in f.metadata:
                mean, spread = getattr(self, f.name), getattr(self, f"{f.name}_dtod")
                noise = spread * draw.normal(f.name, shape)
                value = mean * (1.0 + noise) if f.metadata["relative"] else mean + noise
                if f.metadata["low"] == 0.0 or f.metadata["above"] == 0.0:
                    value = np.abs(value)
                arrays[f.name] = value
        arrays.update(self.derive(arrays, draw))

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
        names = [f.name for f in dataclasses.fields(self)]  # type: ignore[arg-type]
        spreads = {n: 0.0 for n in names if n.endswith("_dtod") or n == "reference_std"}
        healthy = {name: 0.0 for name in ("corrupt_devices_prob", *STUCK)}
        flat = self.replace(**spreads, **healthy, dw_min_dtod_log_normal=False)
        arrays = base_arrays(flat, (1, 1), Draw((0, 0)), False)
        for name in ("dwmin_up", "dwmin_down"):
            arrays[name] = arrays[name] * mean_gain(self)
        flat._add_own(arrays, Draw((0, 0)))
        return namedtuple("Device", arrays)(*(float(a[0, 0]) for a in arrays.values()))  # type: ignore[misc, arg-type]

    def mean_step(self, w: float, sign: float) -> float:
        """Return the mean change by one pulse of the mean device at weight `w`; `sign` is +1 or -1.

        Examples
        --------
        >>> from rpusim import SoftBoundsDevice
        >>> round(SoftBoundsDevice(dw_min=0.01, w_max=0.5).mean_step(0.25, +1), 6)
        0.005
        """
        return figures.mean_step(self, float(w), float(sign))

    def symmetry_point(self) -> float:
        """Return the weight at which up and down steps of the mean device are equal.

        Random pulses lead there. NaN if there is none (a constant step with `up_down`); 0 if all
        weights are.

        Examples
        --------
        >>> from rpusim import SoftBoundsDevice
        >>> round(SoftBoundsDevice(w_max=1.0, w_min=-0.5, up_down=0.3).symmetry_point(), 6)
        0.125
        """
        return figures.symmetry_point(self)

    def summary(self) -> DeviceSummary:
        """Return the key figures of the mean device; print them to read them."""
        from rpusim.devices.summary import summary  # late: it names this class

        return summary(self)

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted.

        The mean of the mean device's up and down step at its symmetry point (at w = 0 if it has
        none). With `reference_granularity` it is the figure that aihwkit uses.
        """
        if self.reference_granularity:
            return self._reference_granularity()
        return figures.granularity(self)

    def _reference_granularity(self) -> float:
        """Return what aihwkit takes for the granularity of this kind of device."""
        return self.dw_min

    @property
    def num_states(self) -> float:
        """Mean number of steps between the mean bounds."""
        return (self.w_max - self.w_min) / self.weight_granularity

    @property
    def write_noise(self) -> float:
        """Standard deviation of the write noise, in weight units; see `WriteNoiseDevice`."""
        return 0.0
