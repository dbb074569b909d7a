"""From configurations of rpusim to objects of aihwkit, which has to be installed: `to_config`."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import rpusim as rs
from rpusim.aihwkit.cautions import OPTION, REFERENCE, cautions
from rpusim.aihwkit.states import WRITE
from rpusim.aihwkit.vocabulary import CLASSES, TORCH
from rpusim.config import Choice, Config
from rpusim.errors import ConfigError, ConversionWarning, warn_caller
from rpusim.optional import need
from rpusim.periphery.settings import SLICED

__all__ = ["to_config"]

# where aihwkit keeps its classes
PLACES = (
    "simulator.configs", "simulator.configs.configs", "simulator.configs.devices",
    "simulator.configs.compounds", "simulator.parameters", "simulator.parameters.pre_post",
    "simulator.parameters.quantization",
    "inference", "inference.noise.hermes", "inference.converter.fusion",
    "inference.compensation.drift", "inference.compensation.base",
)  # fmt: skip
REQUIRED = {
    "CustomDriftPCMLikeNoiseModel": ("custom_drift_model",),
    "NPairConductanceConverter": ("f_lst",),
    "DualPairConductanceConverter": ("f_lst",),
    "CustomPairConductanceConverter": ("f_lst", "g_lst"),
}
SPENT = {"StateIndependentNoiseModel": ("read_q",)}  # what `WRITE` puts into other attributes


def to_config(config: Any) -> Any:
    """Return the object of aihwkit that says what a configuration says.

    Parameters
    ----------
    config : Config
        A configuration of a tile, or a part of one. Nothing of it may be set that aihwkit does not
        have.

    Returns
    -------
    object
        For an `RPUConfig` a SingleRPUConfig, UnitCellRPUConfig or DigitalRankUpdateRPUConfig, as
        its device asks; for an `InferenceRPUConfig` an InferenceRPUConfig, or that of the tile
        written in torch where only that has what is set (wires over time, a copy of the weights for
        each vector, scales of few bits); else the class of the same name.

    Raises
    ------
    MissingPackage
        If aihwkit is not installed.
    ConfigError
        If something is set that aihwkit does not have: all of it in one message.

    Warns
    -----
    ConversionWarning
        For each setting that aihwkit will follow in another way than rpusim does.
    """
    if not isinstance(config, Config):
        raise ConfigError(f"to_config needs a configuration of rpusim, got {config!r}.")
    need("aihwkit.simulator.configs", "aihwkit", "to_config")
    writer = _Writer()
    made = writer.object(config, "")
    if writer.lost:
        lines = "".join(f"\n- {text}" for text in writer.lost)
        raise ConfigError(f"to_config: aihwkit has nothing for{lines}")
    for caution in cautions(type(made).__name__, config):
        warn_caller(f"to_config: {caution.replace(OPTION, '')}", ConversionWarning)
    return made


class _Writer:
    """Builds a tree of aihwkit's objects; keeps what they cannot say."""

    def __init__(self) -> None:
        self.lost: list[str] = []

    def object(self, config: Any, path: str) -> Any:
        """Return the object of aihwkit for a configuration; None if there is none."""
        name = _name(config)
        kind = _find(name) if type(config) is CLASSES.get(name) else None
        if kind is None:
            self.lost.append(f"{path or 'this'}: {type(config).__name__}")
            return None
        attributes = WRITE[name](config) if name in WRITE else {}
        for attribute, value in attributes.items():
            where = f"{path}.{attribute}" if path else attribute
            attributes[attribute] = self.value(value, None, where)
        values = {**config._values(), **attributes}
        required = REQUIRED.get(name, ())
        obj = kind(**{n: self.value(values[n], None, path) for n in required})
        for field in dataclasses.fields(config):
            if field.init and field.name not in (*attributes, *SPENT.get(name, ())):
                self.field(obj, config, field, path)
        for attribute, value in attributes.items():
            setattr(obj, attribute, value)
        if name in TORCH and config.modifier.type.name == "DISCRETIZE":
            obj.modifier.res /= 2.0  # the step of its grid is twice that
        return obj

    def field(self, obj: Any, config: Any, field: Any, path: str) -> None:
        """Give an object the value of a field, or note that it has no such field."""
        name, value = field.name, getattr(config, field.name)
        where = f"{path}.{name}" if path else name
        holder = obj
        if not hasattr(obj, name):  # quantisers keep the options of their estimator apart
            holder = getattr(obj, "range_estimator_params", None)
        if isinstance(config, rs.IOParameters) and _names_only(config, name):
            self.lost.append(f"{where}={value!r}: it has the name, but no tile that takes it")
        elif hasattr(holder, name):
            setattr(holder, name, self.value(value, getattr(holder, name), where))
        elif value != field.default and value != _repeats(name, value):
            self.lost.append(f"{where}={value!r}")

    def value(self, value: Any, like: Any, path: str) -> Any:
        """Return a value as aihwkit takes it; `like` is that of its default object."""
        if isinstance(value, Config):
            return self.object(value, path)
        if isinstance(value, Choice):
            if value.name in type(like).__members__:
                return type(like)[value.name]
            self.lost.append(f"{path}={value!r}")
            return like
        if isinstance(value, tuple | list):
            return [self.value(item, None, f"{path}[{k}]") for k, item in enumerate(value)]
        return value


def _name(config: Any) -> str:
    """Return the name of the class of aihwkit for a configuration."""
    if isinstance(config, rs.RPUConfig):
        if isinstance(config.device, rs.DigitalRankUpdateCell):
            return "DigitalRankUpdateRPUConfig"
        compound = isinstance(config.device, rs.CompoundDevice)
        return "UnitCellRPUConfig" if compound else "SingleRPUConfig"
    if isinstance(config, rs.InferenceRPUConfig):
        if isinstance(config.pre_post, rs.PrePostProcessingParameterQuant):
            return "QuantizedTorchInferenceRPUConfig"
        if isinstance(config.forward, rs.IOParametersIRDropT):
            return "TorchInferenceRPUConfigIRDropT"
        if config.modifier.per_batch_sample:
            return "TorchInferenceRPUConfig"
    return type(config).__name__


def _find(name: str) -> Any:
    """Return a class of aihwkit, or None."""
    for place in PLACES:
        try:
            module = importlib.import_module(f"aihwkit.{place}")
        except ModuleNotFoundError:  # versions differ
            continue
        if hasattr(module, name):
            return getattr(module, name)
    return None


def _names_only(io: Any, field: str) -> bool:
    """Return whether aihwkit has a member of an enumeration that none of its tiles takes."""
    sliced = io.mv_type in SLICED and not isinstance(io, rs.IOParametersIRDropT)
    shifted = io.bound_management is rs.BoundManagementType.SHIFT
    return (field == "mv_type" and sliced) or (field == "bound_management" and shifted)


def _repeats(field: str, value: Any) -> Any:
    """Return the value of a field with which rpusim does as aihwkit, or None."""
    found = REFERENCE.get(field)
    return value if isinstance(value, Choice) and value.name == found else found
