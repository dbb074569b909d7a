"""From objects of aihwkit to configurations of rpusim: `from_config`.

Objects are read by the names of their classes and attributes; aihwkit is not imported. Everything
that cannot be converted is collected on the way and named at the end, all at once.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from rpusim.aihwkit.cautions import cautions, repeat_reference
from rpusim.aihwkit.states import READ
from rpusim.aihwkit.vocabulary import (
    CLASSES,
    DROPPED,
    NO_COUNTERPART,
    PARTS,
    SILENT,
    TORCH,
    fields_of,
)
from rpusim.config import Config, nearest
from rpusim.errors import ConfigError, ConversionWarning, warn_caller
from rpusim.inference import WeightModifierParameter
from rpusim.periphery import IOParameters
from rpusim.tiles import RPUConfig

__all__ = ["from_config"]

FAILED = object()  # stands for what could not be converted
CODE = (FunctionType, classmethod, staticmethod, property)


def from_config(rpu_config: Any, *, reference_behaviour: bool = False) -> Any:
    """Return the configuration of rpusim that says what an object of aihwkit says.

    Parameters
    ----------
    rpu_config : object
        A configuration of aihwkit, a preset, or a part of one: a device, a compound, the settings
        of a product, a noise model. Only names and values are read, so an object of another class
        with the same class name and attributes will do.
    reference_behaviour : bool, default False
        Whether to set also the options by which rpusim repeats what aihwkit 1.1.0 does where
        that is not what its fields say: `reference_granularity`, `reference_pmax`,
        `fresh_relaxation`, `ir_drop_integration`, `slice_adc`.

    Returns
    -------
    Config
        Of the class with the same name; `RPUConfig` for the configurations of analog tiles,
        `InferenceRPUConfig` for all of those for inference.

    Raises
    ------
    ConfigError
        If a field is unknown, has no counterpart and is not at its default, or is out of range:
        all of them in one message, each with its path.

    Warns
    -----
    ConversionWarning
        For each setting that rpusim will follow in another way than aihwkit does.

    Examples
    --------
    An object by hand, as aihwkit would make it:

    >>> class UpdateParameters:
    ...     def __init__(self, **values):
    ...         self.__dict__.update(values)
    >>> from_config(UpdateParameters(desired_bl=10, update_management=False, d_sparsity=False))
    UpdateParameters(desired_bl=10, update_management=False)
    >>> from_config(UpdateParameters(desired_bll=10))
    Traceback (most recent call last):
    rpusim.errors.ConfigError: from_config: desired_bll: UpdateParameters has no such field, ...
    """
    reader = _Reader(reference_behaviour)
    made = reader.value(rpu_config, "")
    if made is not FAILED and not isinstance(made, Config):
        reader.problem("", f"needs a configuration object of aihwkit, got {rpu_config!r}.")
    if reader.problems:
        kind = type(rpu_config).__name__
        if len(reader.problems) == 1:
            raise ConfigError(f"from_config: {reader.problems[0]}")
        lines = "".join(f"\n- {problem}" for problem in reader.problems)
        raise ConfigError(
            f"from_config: {len(reader.problems)} things in this {kind} cannot be converted:{lines}"
        )
    for caution in reader.cautions:
        warn_caller(f"from_config: {caution}", ConversionWarning)
    return made


class _Reader:
    """Reads a tree of objects; keeps what cannot be converted, and what will behave differently."""

    def __init__(self, reference_behaviour: bool) -> None:
        self.reference_behaviour = reference_behaviour
        self.problems: list[str] = []
        self.cautions: list[str] = []

    def problem(self, path: str, text: str) -> Any:
        """Note what cannot be converted, and where; return `FAILED`."""
        self.problems.append(f"{path}: {text}" if path else text)
        return FAILED

    def value(self, value: Any, path: str) -> Any:
        """Return a value as rpusim takes it, or `FAILED`."""
        if isinstance(value, enum.Enum):
            return value.name
        if isinstance(value, list | tuple):
            items = [self.value(item, f"{path}[{k}]") for k, item in enumerate(value)]
            return FAILED if any(item is FAILED for item in items) else items
        if value is None or isinstance(value, bool | int | float | str | dict):
            return value
        if isinstance(value, type):
            return self.problem(path, f"is the class {value.__name__}; call it to make an object.")
        if isinstance(value, Config):
            name = type(value).__name__
            return self.problem(path, f"{name} is a configuration of rpusim already.")
        if hasattr(value, "tolist"):
            return self.value(value.tolist(), path)
        if hasattr(value, "__dict__") or dataclasses.is_dataclass(value):
            return self.object(value, path)
        return value

    def object(self, obj: Any, path: str) -> Any:
        """Return the configuration that an object stands for, or `FAILED`."""
        name = self.name(obj, path)
        if name is None:
            return FAILED
        given = self.fields(obj, name, path)
        if any(value is FAILED for value in given.values()):
            return FAILED
        if name not in CLASSES:  # part of another object
            return given
        if name in READ:
            given = READ[name](given)
        if name in TORCH:
            self.torch(given, path)
        elif "backward" in given and CLASSES[name] is RPUConfig:
            given["backward"] = _once(given["backward"])
        try:
            made = CLASSES[name](**given)
        except ConfigError as error:
            return self.problem(path, str(error))
        if self.reference_behaviour:
            made = repeat_reference(made)
        if not path:
            self.cautions = cautions(name, made)
        return made

    def name(self, obj: Any, path: str) -> str | None:
        """Return the class of aihwkit that an object is one of, or None."""
        kinds = type(obj).__mro__
        known = {*CLASSES, *NO_COUNTERPART}
        found = next((k for k, kind in enumerate(kinds) if kind.__name__ in known), None)
        own = kinds[0].__name__
        if found is None:
            hint = nearest(own, CLASSES) or "."
            self.problem(path, f"{own} is no configuration of aihwkit{hint}")
            return None
        name = kinds[found].__name__
        methods = [
            m for kind in kinds[:found] for m, code in vars(kind).items()
            if isinstance(code, CODE) and not m.startswith("__")
        ]  # fmt: skip
        if methods:
            self.problem(
                path,
                f"{own} is a {name} with code of its own ({', '.join(methods)}), which cannot be "
                f"converted: write it as a subclass of an rpusim configuration.",
            )
            return None
        inside = path.split(".")[-1] == PARTS.get(name)
        if name in NO_COUNTERPART and not inside:
            self.problem(path, f"{name} {NO_COUNTERPART[name]}.")
            return None
        return name

    def fields(self, obj: Any, name: str, path: str) -> dict[str, Any]:
        """Return the fields of an object that have a counterpart, converted."""
        known = fields_of(name)
        dropped, silent = DROPPED.get(name, {}), SILENT.get(name, ())
        given = {}
        for field, value in _attributes(obj, known):
            where = f"{path}.{field}" if path else field
            if field in known:
                given[field] = self.value(value, where)
            elif field in dropped:
                self.drop(name, field, value, where)
            elif field not in silent:
                hint = nearest(field, {*known, *dropped}) or "."
                self.problem(where, f"{name} has no such field, got {value!r}{hint}")
        return given

    def drop(self, name: str, field: str, value: Any, where: str) -> None:
        """Leave out a field without a counterpart, if it is at its default."""
        default, reason = DROPPED[name][field]
        if field == "runtime" and hasattr(value, "__dict__"):
            self.object(value, where)
        elif (found := _plainly(value)) != default:
            self.problem(
                where, f"{name}.{field} must be {default!r}, its default, got {found!r}: {reason}."
            )

    def torch(self, given: dict[str, Any], path: str) -> None:
        """Take account of tiles written in torch: their grid of weights has steps twice as wide."""
        modifier = given.get("modifier")
        if not isinstance(modifier, WeightModifierParameter) or modifier.res <= 0.0:
            return
        if modifier.type.name != "DISCRETIZE":
            return
        step = 2.0 * (modifier.res if modifier.res <= 1.0 else 1.0 / modifier.res)
        if step <= 1.0:
            given["modifier"] = modifier.replace(res=step)
        else:
            where = f"{path}.modifier.res" if path else "modifier.res"
            self.problem(
                where,
                f"must be at most 0.5 for {TORCH[0]}, whose grid has steps of twice that, got "
                f"{modifier.res!r}.",
            )


def _once(io: Any) -> Any:
    """Return the settings of a product that is not repeated; aihwkit repeats forward ones only."""
    if not isinstance(io, IOParameters):
        return io
    repeated = io.bound_management.name in ("SHIFT", "ITERATIVE_WORST_CASE") and not io.perfect
    return io.replace(bound_management="NONE") if repeated else io


def _attributes(obj: Any, known: Iterable[str]) -> list[tuple[str, Any]]:
    """Return names and values: fields, other attributes, and `known` ones that the class has."""
    names = [f.name for f in dataclasses.fields(obj)] if dataclasses.is_dataclass(obj) else []
    names += [name for name in getattr(obj, "__dict__", {}) if name not in names]
    for name in sorted(known):
        shared = getattr(type(obj), name, None)
        if name not in names and shared is not None and not isinstance(shared, CODE):
            names.append(name)
    return [(name, getattr(obj, name)) for name in names if hasattr(obj, name)]


def _plainly(value: Any) -> Any:
    """Return a value as the tables of defaults have it: enumerations and classes by name."""
    if isinstance(value, enum.Enum):
        return value.name
    return value.__name__ if isinstance(value, type) else value
