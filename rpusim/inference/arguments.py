"""What converters and devices accept: arrays of real numbers, factors of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError

__all__ = ["check_factors", "real_array"]


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
