"""Groups of parameters with a learning rate and options of their own, checked."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rpusim.config import nearest
from rpusim.errors import ConfigError
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter

__all__ = ["Group", "Slot", "as_number", "groups_of", "has_column", "slots_of"]

PARAMETERS = "params"


@dataclasses.dataclass
class Group:
    """Parameters that are trained alike.

    Attributes
    ----------
    digital : list of Parameter
        Those that are arrays.
    analog : list of AnalogParameter
        Those that are in tiles.
    options : dict
        What their optimizer offers beside the learning rate, by name.
    lr : float or None
        The group's own rate at the optimizer's first; None: the optimizer's.
    """

    digital: list[Parameter]
    analog: list[AnalogParameter]
    options: dict[str, Any]
    lr: float | None = None


@dataclasses.dataclass
class Slot:
    """One parameter, its group, and what an optimizer remembers about it.

    Attributes
    ----------
    parameter : Parameter or AnalogParameter
        The parameter.
    group : Group
        Its group.
    memory : dict of str to ndarray
        Arrays by name, changed in place.
    steps : int
        Steps taken, for optimizers that count.
    """

    parameter: Any
    group: Group
    memory: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    steps: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a step: that of the array, or of a tile's matrix with an analog bias."""
        if isinstance(self.parameter, Parameter):
            return self.parameter.shape
        tile = self.parameter.tile
        return tile.out_size, tile.in_size + has_column(tile)


def has_column(tile: Any) -> bool:
    """Return whether a tile holds its bias as a column beside the weights."""
    return bool(tile.has_bias) and tile.bias is None


def as_number(value: Any, where: str, top: float = math.inf) -> float:
    """Return `value` if it is finite, >= 0 and < `top`; raise `ConfigError` naming `where`."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0.0 <= value < top):
        must = "finite and >= 0" if top == math.inf else f"in 0 <= value < {top:g}"
        raise ConfigError(f"{where} must be {must}, got {value!r}.")
    return float(value)


def groups_of(given: Any, lr: float, options: Mapping[str, Any], where: str) -> list[Group]:
    """Return the groups that were given: parameters, or dicts of parameters and options.

    Parameters
    ----------
    given : iterable of parameters, or of dicts
        A dict has ``params`` and, if they differ, ``lr`` and options.
    lr : float
        The optimizer's rate.
    options : dict
        The optimizer's options and their values.
    where : str
        The optimizer, named in errors.
    """
    try:
        entries = list(given)
    except TypeError:
        entries = [given]
    if any(isinstance(entry, Mapping) for entry in entries):
        if not all(isinstance(entry, Mapping) for entry in entries):
            raise ConfigError(f"{where}.parameters must be parameters, or dicts, not both.")
        groups = [_group(dict(entry), lr, options, where) for entry in entries]
    else:
        groups = [Group(*_sorted(entries, where), options=dict(options))]
    digital = [p for group in groups for p in group.digital]
    analog = [p for group in groups for p in group.analog]
    keys = [id(p) for p in digital] + [id(p.tile) for p in analog]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"{where}.parameters must name each parameter and each tile once.")
    return groups


def _group(entry: dict[str, Any], lr: float, options: Mapping[str, Any], where: str) -> Group:
    if PARAMETERS not in entry:
        raise ConfigError(
            f"{where}.parameters: a group is a dict with {PARAMETERS!r}, got {sorted(entry)}."
        )
    parameters, own = entry.pop(PARAMETERS), entry.pop("lr", None)
    for name in entry:
        if name not in options:
            known = [PARAMETERS, "lr", *options]
            raise ConfigError(f"{where} has no option {name!r}{nearest(name, known)}.")
    rate = None if own is None else as_number(own, f"{where}.parameters: lr of a group")
    if rate is not None and lr == 0.0:
        raise ConfigError(
            f"{where}: a group has a rate of its own, {rate}, which follows that of the optimizer "
            "in proportion; lr must then be > 0, got 0."
        )
    return Group(*_sorted(parameters, where), options={**options, **entry}, lr=rate)


def _sorted(parameters: Iterable[Any], where: str) -> tuple[list[Any], list[Any]]:
    """Return digital and analog parameters, checked; a bias column goes with its tile."""
    try:
        given = list(parameters)
    except TypeError:
        given = [parameters]
    digital = [p for p in given if isinstance(p, Parameter)]
    analog = [p for p in given if isinstance(p, AnalogParameter)]
    columns = [p for p in given if isinstance(p, AnalogBias)]
    wrong = [p for p in given if not isinstance(p, Parameter | AnalogParameter | AnalogBias)]
    if wrong or not given:
        got = type(wrong[0]).__name__ if wrong else "none"
        raise ConfigError(
            f"{where}.parameters must be parameters, as from model.parameters(), got {got}."
        )
    if not {id(p.tile) for p in columns} <= {id(p.tile) for p in analog}:
        raise ConfigError(
            f"{where}.parameters has the AnalogBias of a tile without its weight; a bias column "
            "is pulsed together with the weights, so give both."
        )
    return digital, analog


def slots_of(groups: list[Group]) -> tuple[list[Slot], list[Slot]]:
    """Return the slots of digital and of analog parameters, in order."""
    digital = [Slot(p, group) for group in groups for p in group.digital]
    return digital, [Slot(p, group) for group in groups for p in group.analog]
