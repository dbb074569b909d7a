"""What layers, losses and batches accept: sizes, flags, numbers, finite values of one shape."""

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import real_array
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.kernels.device_arrays import is_device_array

__all__ = [
    "as_size",
    "as_sizes",
    "as_number",
    "as_flag",
    "as_float32",
    "as_finite",
    "check_errors",
    "check_shape",
    "not_finite",
]


def as_size(value: Any, where: str) -> int:
    """Return `value` if it is a positive integer, else raise `ConfigError` naming `where`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigError(f"{where} must be an integer >= 1, got {value!r}.")
    return int(value)


def as_sizes(value: Any, count: int, where: str, least: int = 1) -> tuple[int, ...]:
    """Return `count` integers, those given or one for all; refuse any below `least`."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    good = all(isinstance(v, numbers.Integral) and not isinstance(v, bool) for v in values)
    if not good or len(values) != count or min(values) < least:
        several = f" or {count} of them" if count > 1 else ""
        raise ConfigError(f"{where} must be an integer >= {least}{several}, got {value!r}.")
    return tuple(int(v) for v in values)


def as_number(value: Any, where: str, highest: float = math.inf, *, or_less: bool = True) -> float:
    """Return `value` if it is a number in 0..`highest`, that itself excluded if not `or_less`."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if real else math.nan
    if not 0.0 <= number <= highest or math.isinf(number) or (number == highest and not or_less):
        limits = f"in 0..{highest:g}" if math.isfinite(highest) else ">= 0 and finite"
        excluded = "" if or_less else f", {highest:g} excluded"
        raise ConfigError(f"{where} must be a number {limits}{excluded}, got {value!r}.")
    return number


def as_flag(value: Any, where: str) -> bool:
    """Return `value` if it is True or False, else raise `ConfigError` naming `where`."""
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{where} must be True or False, got {value!r}.")
    return bool(value)


def as_float32(values: ArrayLike, where: str) -> NDArray[np.float32]:
    """Return `values` as a float32 array, the same if it is one; refuse what has no real value.

    An array of a GPU stays there: it is for layers whose tiles live there.
    """
    if is_device_array(values):
        return values.astype(np.float32, copy=False)  # type: ignore[union-attr]
    return real_array(values, where).astype(np.float32, copy=False)


def as_finite(values: ArrayLike, shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    """Return `values` as a float32 array of this shape without NaN and infinity."""
    array = as_float32(values, where)
    if array.shape != shape:
        raise ShapeError(f"{where} must have shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise not_finite(array, where)
    return array


def check_shape(array: np.ndarray, shape: tuple[int, ...], layer: Any) -> None:
    """Raise `ShapeError` unless the gradient given to a layer has the shape of its output."""
    if array.shape != shape:
        raise ShapeError(
            f"{type(layer).__name__}.backward: grad must have the shape of the output, {shape}, "
            f"got {array.shape}."
        )


def check_errors(d: np.ndarray, shape: tuple[int, ...], layer: Any, learns: bool) -> None:
    """Check a gradient that devices learn from: also finite, or an update would stop half-way.

    A GPU is not asked; an update looks for itself.
    """
    check_shape(d, shape, layer)
    if learns and not is_device_array(d) and not np.isfinite(d).all():
        raise not_finite(d, f"{type(layer).__name__}.backward: grad")


def not_finite(array: np.ndarray, where: str) -> DataError:
    """Return the error that tells how many values are NaN or infinite, or that squares overflow."""
    found = array[~np.isfinite(array)]
    if not found.size:
        return DataError(f"{where} must be small enough for float32, got {np.abs(array).max()}.")
    return DataError(
        f"{where} must be finite, got {found[0]} ({found.size} of {array.size} are not)."
    )
