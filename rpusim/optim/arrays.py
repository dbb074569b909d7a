"""The state of what takes steps, as arrays by name: checked as a whole before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import StateError
from rpusim.tiles.state import check_array, check_names

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
        check_array(now[name], array, f"{where}: {name}")
    return arrays
