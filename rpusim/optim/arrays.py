"""The state of what takes steps, as arrays by name: checked as a whole before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError, ShapeError, StateError
from rpusim.tiles.state import check_names

__all__ = ["check_arrays"]


def check_arrays(now: Mapping[str, np.ndarray], given: Any, where: str) -> dict[str, np.ndarray]:
    """Return a given state as arrays of the names, shapes and kinds of the state there is.

    Parameters
    ----------
    now : dict of str to ndarray
        The state there is.
    given : dict of str to array_like
        The state to be loaded.
    where : str
        Named in errors.
    """
    where = f"{where}.load_state_dict"
    if not isinstance(given, Mapping):
        raise StateError(f"{where}: state must be a dict of arrays, got {given!r}.")
    check_names(now, given, f"{where}: the state is of another kind, or of other parameters")
    arrays = {name: np.asarray(given[name]) for name in now}
    for name, array in arrays.items():
        if array.shape != now[name].shape:
            raise ShapeError(
                f"{where}: {name} must have shape {now[name].shape}, got {array.shape}."
            )
        if array.dtype.kind != now[name].dtype.kind:
            raise DataError(f"{where}: {name} must be {now[name].dtype}, got {array.dtype}.")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise DataError(f"{where}: {name} must not hold NaN.")
    return arrays
