"""Parameters of a device that data can tell: their names, kinds, limits and defaults.

A parameter is a number of the configuration: a field, ``"dw_min"``, or an entry of a table,
``"piecewise_up[3]"``. What it does is found by trying: one that moves a noise-free trace belongs to
the mean law, one that moves only noisy traces to the noise, and a spread makes devices differ.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from rpusim.config import nearest
from rpusim.devices.fabrication import Draw
from rpusim.devices.spread import STUCK, SpreadLaw
from rpusim.errors import ConfigError

__all__ = [
    "Deviations",
    "Limits",
    "asked_for",
    "base_of",
    "latent_of",
    "limits",
    "number",
    "planes_of",
    "replaced",
    "spread_names",
    "unit_of",
    "unknown_spread",
    "without_spread",
]

#: spreads whose name does not end in ``_dtod``
SPREADS = ("reference_std",)
WRITE_NOISE = "write_noise_std"
STEPS, WINDOW, SHIFT = ("dw_min", "up_down"), ("w_max", "w_min"), ("reference_mean",)
#: what built-in spreads, and the write noise, are relative to
BASES = {
    WRITE_NOISE: "dw_min",
    "dw_min_dtod": "dw_min",
    "up_down_dtod": "dw_min",
    "w_max_dtod": "w_max",
    "w_min_dtod": "w_min",
    "pow_gamma_dtod": "pow_gamma",
    "pow_up_down_dtod": "pow_gamma",
}
SPREAD, ABSOLUTE_SPREAD = 0.2, 0.05  # usual sizes

Limits = namedtuple("Limits", "start low high")
Limits.__doc__ = "Where a parameter starts (None: derived from the data), and its range."


class Deviations(Draw):
    """Draws that are given: devices with prescribed deviations from the mean one.

    Parameters
    ----------
    given : dict of str to array_like
        Standard normals by the name of their sub-stream; all others are 0.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__((0, 0))
        self.given, self.asked = given, dict[str, None]()

    def normal(self, name: str, shape: int | tuple[int, int]) -> np.ndarray:
        """Return what is given, as an array of that shape."""
        self.asked[name] = None
        return np.array(np.broadcast_to(self.given.get(name, 0.0), shape), np.float64)

    def uniform(self, name: str, shape: int | tuple[int, int]) -> np.ndarray:
        """Return the uniforms that those normals stand for."""
        return 1.0 - ndtr(self.normal(name, shape))


def planes_of(device: Any, given: Mapping[str, Any], size: int) -> np.ndarray:
    """Return the planes of `size` devices with given deviations, (planes, size)."""
    arrays = device._draw((1, size), Deviations(given), False)
    return np.concatenate([np.broadcast_to(arrays[name], (1, size)) for name in device.planes()])


# ---------------------------------------------------------------- names and values


def numbers(device: Any) -> Iterator[str]:
    """Yield the names of all numbers that are no counts, tables entry by entry."""
    for f in dataclasses.fields(device):
        value = getattr(device, f.name)
        if f.init and type(value) is float:
            yield f.name
        elif f.init and type(value) is tuple:
            shape = np.shape(value)
            yield from (f"{f.name}[{','.join(map(str, k))}]" for k in np.ndindex(shape))


def number(device: Any, name: str) -> float:
    """Return the value of a parameter."""
    field, place = _split(name)
    value = getattr(device, field)
    return float(np.array(value)[place] if place else value)


def replaced(device: Any, values: Mapping[str, float]) -> Any:
    """Return a copy of a device with some parameters changed."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        field, place = _split(name)
        if place:
            changes.setdefault(field, np.array(getattr(device, field)))[place] = value
        else:
            changes[field] = float(value)
    return device.replace(**changes)


def _split(name: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"(\w+)\[(\d+(?:,\d+)?)\]", name)
    return (match[1], tuple(map(int, match[2].split(",")))) if match else (name, ())


def limits(device: Any, name: str) -> tuple[float, float]:
    """Return the range that the configuration allows."""
    field, place = _split(name)
    if place:
        return -math.inf, math.inf
    meta = next(f for f in dataclasses.fields(device) if f.name == field).metadata
    low = meta["low"] if meta["above"] is None else meta["above"]
    return -math.inf if low is None else low, math.inf if meta["high"] is None else meta["high"]


def asked_for(device: Any, given: Any, allowed: Sequence[str], what: str) -> dict[str, Limits]:
    """Return the parameters that the user names, with where they start and their range.

    Parameters
    ----------
    device : PulsedDevice
        Whose they are.
    given : sequence of str, or dict of str to (start, low, high)
        What the user wrote.
    allowed : sequence of str
        Those that make sense there.
    what : str
        The argument: the subject of messages.
    """
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise ConfigError(
            f"fit: {what} must be a list of names, or a dict of name: (start, low, high), "
            f"got {given!r}."
        )
    names, found = list(numbers(device)), {}
    for name in given:
        if name not in names:
            raise ConfigError(
                f"fit: {type(device).__name__} has no number {name!r} to fit{nearest(name, names)}"
            )
        if name not in allowed:
            raise ConfigError(
                f"fit: {name!r} cannot be fitted as one of {what}: those are {', '.join(allowed)}."
            )
        start = _start(device, name, given[name], what) if isinstance(given, Mapping) else None
        found[name] = start or Limits(None, *limits(device, name))
    return found


def _start(device: Any, name: str, given: Any, what: str) -> Limits:
    """Return what the user says of one parameter."""
    low, high = limits(device, name)
    try:
        start, least, most = (float(v) for v in given)
    except (TypeError, ValueError):
        start = least = most = math.nan
    if not (low <= least <= start <= most <= high and least < most):
        raise ConfigError(
            f"fit: {what}[{name!r}] must be (start, low, high), in this order within "
            f"{low:g}..{high:g}, got {given!r}."
        )
    return Limits(start, least, most)


# ---------------------------------------------------------------- kinds


def spread_names(device: Any) -> list[str]:
    """Return the names of the spreads from device to device."""
    return [n for n in numbers(device) if n.endswith("_dtod") or n in SPREADS]


def without_spread(device: Any) -> Any:
    """Return the device with all its copies alike and healthy."""
    names = [*spread_names(device), "corrupt_devices_prob", *STUCK]
    return device.replace(**dict.fromkeys(names, 0.0))


def latent_of(device: Any, spread: str) -> str | None:
    """Return the name of the draws that a spread multiplies."""
    wide = without_spread(device).replace(**{spread: 0.1})
    draws = Deviations({})
    wide._draw((1, 1), draws, False)
    mean = planes_of(wide, {}, 1)
    names = (n for n in draws.asked if not np.array_equal(planes_of(wide, {n: 1.0}, 1), mean))
    return next(names, None)


def base_of(device: Any, name: str) -> str | None:
    """Return the field that a spread, or the write noise, is relative to; None if it is none."""
    if name in logarithmic(device):
        return None
    if name in BASES:
        return BASES[name]
    field = name.removesuffix("_dtod")
    meta: dict[str, Any] = {f.name: f.metadata for f in dataclasses.fields(device)}
    return field if meta.get(field, {}).get("relative", False) else None


def logarithmic(device: Any) -> tuple[str, ...]:
    """Return the names of the spreads that are those of a logarithm."""
    bounds = device.w_dtod_law is SpreadLaw.LOG_NORMAL
    gain = ("dw_min_dtod",) if device.dw_min_dtod_log_normal else ()
    return gain + (("w_max_dtod", "w_min_dtod") if bounds else ())


def unit_of(device: Any, name: str) -> float:
    """Return what a spread, or the write noise, is relative to; 1 if it is absolute."""
    base = base_of(device, name)
    return 1.0 if base is None else abs(float(getattr(device, base))) or 1.0


def unknown_spread(device: Any, name: str) -> float:
    """Return a usual size of a spread."""
    return ABSOLUTE_SPREAD if base_of(device, name) is None else SPREAD
