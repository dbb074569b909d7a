r"""What becomes of a programmed conductance: the contract of noise models, and a base of their own.

A model is a configuration and up to four laws, plain scalar functions of one device, in uS:

=============================================  ===================================================
law                                            returns
=============================================  ===================================================
``program(g, model, z)``                       the conductance that programming to g leaves
``coefficient(g, model, z, z_program)``        what this device's drift depends on, drawn once, at
                                               programming: an exponent, say
``drift(g, target, c, model)``                 the conductance at some time after programming, from
                                               that which programming left, g, and the coefficient
``read(g, programmed, target, model, z)``      what a read sees of the drifted conductance g
=============================================  ===================================================

z is a standard normal of this device, another one for each law; `z_program` that of its
programming. ``model.name`` is a number of the configuration (or a tuple of them), of `numbers`, or
of `at`, which holds what depends on the time. Laws left out change nothing and cost nothing.

Examples
--------
A memory that loses its conductance with the square root of time:

>>> import rpusim as rs
>>> class Leaky(rs.BaseNoiseModel):
...     error: float = rs.param(0.5, low=0.0, unit="uS", doc="programming error")
...     loss: float = rs.param(0.001, low=0.0, doc="lost after one second")
...
...     def at(self, t):
...         return {"root": t**0.5}
...
...     @staticmethod
...     def program(g, model, z):
...         return max(g + model.error * z, 0.0)
...
...     @staticmethod
...     def drift(g, target, c, model):
...         return g / (1.0 + model.loss * model.root)
>>> tile = rs.InferenceTile(2, 3, rs.InferenceRPUConfig(noise_model=Leaky()), rng=1)
>>> tile.program_weights()
>>> tile.drift_weights(3600.0)
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from rpusim.config import Choice, Config, param
from rpusim.errors import ConfigError
from rpusim.inference.converters import BaseConductanceConverter, SinglePairConductanceConverter
from rpusim.kernels.law import unpacker

__all__ = ["BaseNoiseModel", "ReadNoiseTime", "polynomial"]

LAWS = ("program", "coefficient", "drift", "read")


class ReadNoiseTime(Choice):
    """When reads of programmed devices draw their noise.

    PER_DRIFT: at each `drift_weights`; it stays until the next. PER_CALL: at each forward.
    """

    PER_DRIFT = "per_drift"
    PER_CALL = "per_call"


def polynomial(coeffs, x):
    """Return ``coeffs[0] + coeffs[1] * x + ...``, for use in laws."""
    value = coeffs[len(coeffs) - 1] + 0.0 * x
    for k in range(len(coeffs) - 2, -1, -1):
        value = value * x + coeffs[k]
    return value


class BaseNoiseModel(Config):
    """Base of the models of programmed devices; subclass it to make your own.

    `rpusim.inference.noise_models` says which laws there are.
    """

    g_converter: BaseConductanceConverter | None = param(
        None,
        like=SinglePairConductanceConverter(),
        family=BaseConductanceConverter,
        doc="from weights to conductances; none: the model's own",
    )
    read_noise: ReadNoiseTime = param(ReadNoiseTime.PER_DRIFT, doc="when reads draw their noise")

    #: whether every drift draws coefficients of its own, instead of those of programming
    redraws: ClassVar[bool] = False

    @staticmethod
    def program(g, model, z):  # type: ignore[no-untyped-def]
        """Return what programming to `g` leaves: here, exactly that."""
        return g

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return what a device's drift depends on: here, nothing."""
        return 0.0 * g

    @staticmethod
    def drift(g, target, c, model):  # type: ignore[no-untyped-def]
        """Return the conductance at a later time: here, the same."""
        return g

    @staticmethod
    def read(g, programmed, target, model, z):  # type: ignore[no-untyped-def]
        """Return what a read sees: here, the conductance."""
        return g

    @property
    def converter(self) -> Any:
        """The converter that applies."""
        return self.g_converter or self._own_converter()

    def _own_converter(self) -> BaseConductanceConverter:
        """Return the converter that applies if none is given."""
        g_max = getattr(self, "g_max", None)
        if g_max is None:
            return SinglePairConductanceConverter()
        return SinglePairConductanceConverter(g_max=g_max)

    def check(self) -> None:
        """Refuse a converter beside another largest conductance."""
        super().check()
        g_max = getattr(self, "g_max", None)
        if self.g_converter is not None and g_max is not None:
            own = getattr(self.g_converter, "g_max", g_max)
            if own != g_max:
                raise ConfigError(
                    f"{type(self).__name__}.g_max is {g_max!r} but g_converter has {own!r}: give "
                    "one of them."
                )

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model`` whatever the time: numbers, and tuples of numbers.

        By default the fields that are such; extend it with ``super()``. `g_max` and `g_min` are
        those of the converter.
        """
        found: dict[str, Any] = {}
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            flat = isinstance(value, tuple) and all(isinstance(v, float) for v in value)
            if isinstance(value, bool | int | float) or (flat and value):
                found[f.name] = value
        for name in ("g_max", "g_min"):
            if (value := getattr(self.converter, name, None)) is not None:
                found[name] = value
        return found

    def at(self, t: float) -> dict[str, Any]:
        """Return what laws find in ``model`` at the time `t` after programming, in seconds.

        Raise `DataError` if the model knows nothing of this time.
        """
        return {}

    def packed(self, t: float = 0.0) -> tuple[tuple[tuple[str, int], ...], np.ndarray]:
        """Return names with lengths, and values, of all that laws find in ``model``.

        Parameters
        ----------
        t : float
            Time after programming, in seconds.
        """
        found = {**self.numbers(), **self.at(t)}
        fields = tuple((k, len(v) if isinstance(v, tuple) else 0) for k, v in found.items())
        values = [np.ravel(np.asarray(v, np.float64)) for v in found.values()]
        return fields, np.concatenate(values) if values else np.zeros(1)

    def bound(self, fields: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """Return what the free names of `rpusim.inference.device_rows` stand for.

        Parameters
        ----------
        fields : tuple
            As `packed` returned them.
        """
        laws: dict[str, Any] = {name: getattr(type(self), name) for name in LAWS}
        return {**laws, "unpack": unpacker(fields), "NOISY": self.has("read")}

    def check_laws(self) -> None:
        """Refuse laws that read what the model does not have; a compiler says it in fifty lines."""
        fields, values = self.packed()
        one, model = np.float32(1.0), unpacker(fields)(values.astype(np.float32))
        arguments: dict[str, tuple[Any, ...]] = {
            "program": (one, model, one),
            "coefficient": (one, model, one, one),
            "drift": (one, one, one, model),
            "read": (one, one, one, model, one),
        }
        for law, given in arguments.items():
            try:
                with np.errstate(all="ignore"):
                    getattr(type(self), law)(*given)
            except AttributeError as error:
                raise ConfigError(
                    f"{type(self).__name__}.{law} reads a number that the model does not have: "
                    f"{error}."
                ) from error

    @classmethod
    def has(cls, law: str) -> bool:
        """Return whether this model has a law of its own.

        Parameters
        ----------
        law : str
            One of program, coefficient, drift, read.
        """
        return getattr(cls, law) is not getattr(BaseNoiseModel, law)
