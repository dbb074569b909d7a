"""What converters and devices accept: times, factors of pairs, ranges of conductances."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError
from rpusim.kernels.device_arrays import is_device_array

__all__ = ["as_time", "check_factors", "check_range", "largest"]


def as_time(t: Any, where: str) -> float:
    """Return a time as a float; raise `DataError` if it is none.

    Parameters
    ----------
    t : float
        In seconds, >= 0.
    where : str
        Named in errors.
    """
    number = isinstance(t, numbers.Real) and not isinstance(t, bool)
    if not (number and 0.0 <= float(t) < math.inf):
        raise DataError(f"{where} must be a time >= 0, in seconds, got {t!r}.")
    return float(t)


def check_factors(converter: Any) -> None:
    """Refuse an `f_lst` that is no sequence of positive numbers.

    Parameters
    ----------
    converter : BaseConductanceConverter
        Whose `f_lst`.
    """
    factors = converter.f_lst
    if not factors or not all(isinstance(f, float) and f > 0.0 for f in factors):
        raise ConfigError(
            f"{type(converter).__name__}.f_lst must be one or more numbers > 0, one for each pair, "
            f"got {factors!r}."
        )


def check_range(converter: Any) -> None:
    """Refuse an empty range of conductances.

    Parameters
    ----------
    converter : BaseConductanceConverter
        Whose `g_min` and `g_max`.
    """
    if converter.g_min >= converter.g_max:
        raise ConfigError(
            f"{type(converter).__name__}.g_min must be below g_max, got {converter.g_min!r} and "
            f"{converter.g_max!r}."
        )


def largest(weights: Any, columnwise: bool) -> Any:
    """Return the largest magnitude of weights, 0 where there are none.

    Parameters
    ----------
    weights : ndarray
        Here or on a GPU, where the result is, too.
    columnwise : bool
        Whether of each output, in shape (outputs, 1), instead of all.
    """
    axis, sizes = (1 if columnwise else None), np.abs(weights)
    if is_device_array(sizes):
        return sizes.max(axis=axis, keepdims=columnwise)
    return sizes.max(axis=axis, keepdims=columnwise, initial=0.0)
