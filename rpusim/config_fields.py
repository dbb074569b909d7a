"""Fields of configurations: how they are declared, and what a number must be to fit one."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import math
import numbers
from typing import Any

from rpusim.errors import ConfigError

__all__ = [
    "Choice",
    "check_coefficients",
    "check_number",
    "check_numbers",
    "derived",
    "nearest",
    "param",
    "per_device",
]


class Choice(enum.Enum):
    """An enumeration whose members print as ``Class.MEMBER`` and are found by name or by value."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    @classmethod
    def find(cls, value: Any) -> Choice | None:
        """Return the member of this name or value, or None."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return next((m for m in cls if value in (m.name, m.value)), None)
        return None


def param(
    default: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    finite: bool = True,
    family: type | None = None,
    like: Any = None,
    optional: bool = False,
    keyed: bool = False,
    unit: str = "",
    doc: str = "",
) -> Any:
    """Declare a field of a configuration.

    Parameters
    ----------
    default : float, int, bool, str, Choice, Config, tuple or None
        The default; its type is the type of the field.
    low, above, high : float, optional
        The value must be >= `low`, > `above`, <= `high`.
    finite : bool, default True
        Whether infinity is refused. NaN always is.
    family : type, optional
        What a nested configuration must be an instance of; default: the class of `default`.
    like : object, optional
        With a default of None: a value of the type that the field has if it is not None.
    optional : bool, default False
        Whether the value may be None; implied by `like`.
    keyed : bool, default False
        Whether a sequence may be given as a dict, too: it is kept as (key, value) pairs.
    unit, doc : str
        What the number counts, and what it means; shown by `Config.describe`.
    """
    meta: dict[str, Any] = {"low": low, "above": above, "high": high, "finite": finite}
    meta |= {"keyed": keyed, "unit": unit, "doc": doc}
    if family is not None:
        meta["family"] = family
    if like is not None:
        meta["like"] = like
    meta["optional"] = optional or like is not None
    return dataclasses.field(default=default, metadata=meta)


def per_device(
    default: float,
    *,
    dtod: float = 0.0,
    relative: bool = True,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    unit: str = "",
    doc: str = "",
) -> Any:
    """Declare a field that every device of the crossbar draws for itself.

    ``name: float = per_device(1.0, dtod=0.1)`` declares `name`, the mean, and `name_dtod`, the
    spread: device (i, j) holds ``name * (1 + name_dtod * z)``, or ``name + name_dtod * z`` if not
    `relative`, with a standard normal z. The law finds it as ``dev.name``, the user as a hidden
    parameter.

    Parameters
    ----------
    default : float
        The mean.
    dtod : float, default 0.0
        Default of the device-to-device spread.
    relative : bool, default True
        Whether the spread is a fraction of the mean.
    low, above, high : float, optional
        Range of the mean. With ``low=0`` or ``above=0`` negative draws are folded to their
        magnitude.
    unit, doc : str
        As for `param`.
    """
    field = param(default, low=low, above=above, high=high, unit=unit, doc=doc)
    spread = "relative" if relative else unit or "absolute"
    companion = param(dtod, low=0.0, unit=spread, doc="device-to-device spread of the line above")
    meta = {**field.metadata, "companion": companion, "relative": relative}
    return dataclasses.field(default=default, metadata=meta)


def derived(*, unit: str = "", doc: str = "") -> Any:
    """Declare a field that follows from others: `Config.check` sets it by `Config.settle`.

    It cannot be given, is not stored and does not count in comparisons.
    """
    return dataclasses.field(
        default=None, init=False, compare=False, metadata={"unit": unit, "doc": doc}
    )


def check_numbers(where: str, values: Any) -> None:
    """Refuse a sequence that holds anything but numbers."""
    for value in values or ():
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ConfigError(f"{where} must hold numbers, got {value!r}.")


def check_coefficients(where: str, values: Any) -> None:
    """Refuse coefficients, if any are given, that are not one or more numbers."""
    if values is None:
        return
    if not (isinstance(values, tuple) and values and all(isinstance(v, float) for v in values)):
        raise ConfigError(f"{where} must be one or more numbers, got {values!r}.")


def nearest(name: str, names: Any) -> str:
    """Return ``; did you mean 'x'?`` for the closest of `names`, or nothing."""
    known = {str(n).lower(): str(n) for n in names}
    known |= {n: n for n in known.values()}  # the same spelling is nearer than the same letters
    for spelling in (str(name), str(name).lower()):
        if close := difflib.get_close_matches(spelling, known, n=1, cutoff=0.5):
            return f"; did you mean {known[close[0]]!r}?"
    return ""


def check_number(where: str, field: Any, value: Any) -> int | float:
    """Check a number against the kind and the range of its field."""
    whole = isinstance(field.metadata.get("like", field.default), int)
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(
            f"{where} must be {'an integer' if whole else 'a number'}, got {value!r}."
        )
    value = int(value) if whole else float(value)  # type: ignore[call-overload]
    limits = field.metadata
    if math.isnan(value) or (limits.get("finite", True) and math.isinf(value)):
        raise ConfigError(f"{where} must be finite, got {value!r}.")
    if limits.get("above") is not None and not value > limits["above"]:
        raise ConfigError(f"{where} must be > {limits['above']:g}, got {value!r}.")
    low, high = limits.get("low"), limits.get("high")
    if low is not None and high is not None and not low <= value <= high:
        raise ConfigError(f"{where} must be in {low:g}..{high:g}, got {value!r}.")
    if low is not None and value < low:
        raise ConfigError(f"{where} must be >= {low:g}, got {value!r}.")
    if high is not None and value > high:
        raise ConfigError(f"{where} must be <= {high:g}, got {value!r}.")
    return value
