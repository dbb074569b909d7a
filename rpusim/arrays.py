"""Arrays of real numbers, from whatever a user gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import DataError

__all__ = ["real_array", "real_numbers"]


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


def real_numbers(values: Any, where: str) -> np.ndarray:
    """Return `values` as float32 if they are real numbers, too large ones as infinity.

    Parameters
    ----------
    values : array_like
        What was given.
    where : str
        Named in errors.
    """
    with np.errstate(over="ignore"):
        return real_array(values, where).astype(np.float32)
