"""What converters and devices accept: arrays of real numbers, factors of pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError

__all__ = ["as_time", "check_factors", "real_array"]


def real_array(values: Any, where: str) -> np.ndarray:
    """Return `values` as an array if they are real numbers; raise `DataError` if they are not.

    Parameters
    ----------
    values : array_like
        What was given.
    where : str
        Named in errors.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{where} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold real numbers, got {array.dtype}.")
    return array


def as_time(t: Any, where: str) -> float:
    """Return a time as a float; raise `DataError` if it is none.

    Parameters
    ----------
    t : float
        In seconds, >= 0.
    where : str
        Named in errors.
    """
    number = isinstance(t, int | float | np.number) and not isinstance(t, bool)
    if not (number and 0.0 <= t < math.inf):
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
