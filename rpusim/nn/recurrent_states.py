"""States of recurrent layers: zeros, and what a user gives, checked.

Inside, the state of a cell is a tuple of arrays, (h,) or (h, c). Outside it is an array or, for an
LSTM, a tuple; a layer has a list with one of them per layer, or, if it goes both ways, a list with
a list of two per layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.errors import ShapeError
from rpusim.nn.checks import as_finite

__all__ = ["zeros", "plain", "read_state", "read_states", "nested"]

State = tuple[NDArray[np.float32], ...]


def zeros(names: tuple[str, ...], shape: tuple[int, ...]) -> State:
    """Return a state of zeros."""
    return tuple(np.zeros(shape, np.float32) for _ in names)


def plain(state: State) -> Any:
    """Return a state as the user sees it: an array if it is one, else a tuple."""
    return state[0] if len(state) == 1 else state


def read_state(given: Any, names: tuple[str, ...], shape: tuple[int, ...], where: str) -> State:
    """Return the state of one cell that a user gave.

    Parameters
    ----------
    given : array_like, or tuple of array_like if there are several names
        The state.
    names : tuple of str
        What it consists of.
    shape : tuple of int
        Of each array.
    where : str
        For messages.
    """
    if len(names) == 1:
        return (as_finite(given, shape, where),)
    _check_entries(given, len(names), f"{where} must be a tuple ({', '.join(names)})", "arrays")
    pairs = zip(given, names, strict=True)
    return tuple(as_finite(array, shape, f"{where}, {name},") for array, name in pairs)


def read_states(
    given: Any,
    names: tuple[str, ...],
    layers: int,
    directions: int,
    shape: tuple[int, ...],
    where: str,
) -> list[State]:
    """Return the states of all cells, layer by layer; None, also for one cell, stands for zeros.

    Parameters
    ----------
    given : list or None
        One entry per layer; each a list of two if there are two directions.
    names, shape, where
        As for `read_state`.
    layers, directions : int
        How many there are.
    """
    if given is None:
        return [zeros(names, shape) for _ in range(layers * directions)]
    _check_entries(given, layers, f"{where} must be a list with one entry per layer", "entries")
    found = []
    for number, entry in enumerate(given):
        here = f"{where}[{number}]"
        if directions == 1 or entry is None:
            cells, places = [entry] * directions, [here] * directions
        else:
            text = f"{here} must be a list of two, for the forward and the reverse direction"
            _check_entries(entry, directions, text, "entries")
            cells, places = entry, [f"{here}[{way}]" for way in range(directions)]
        for state, place in zip(cells, places, strict=True):
            none = state is None
            found.append(zeros(names, shape) if none else read_state(state, names, shape, place))
    return found


def nested(states: list[Any], directions: int) -> list[Any]:
    """Return one entry per layer, each a list of two if there are two directions."""
    if directions == 1:
        return states
    return [states[i : i + directions] for i in range(0, len(states), directions)]


def _check_entries(given: Any, count: int, text: str, kind: str) -> None:
    """Refuse what is no list or tuple of `count` entries.

    An array has entries, too, but it is more likely meant otherwise: all layers in one array.
    """
    if not isinstance(given, list | tuple):
        shape = f" of shape {given.shape}" if isinstance(given, np.ndarray) else ""
        raise ShapeError(f"{text}, of {count} {kind}, got {type(given).__name__}{shape}.")
    if len(given) != count:
        raise ShapeError(f"{text}, of {count} {kind}, got {len(given)}.")
