"""The state of a grid: its own arrays, and those of its tiles under their names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import ClippedWeightsWarning
from rpusim.tiles.state import VERSION, check_state

__all__ = ["remake", "restore", "state_of"]

Arrays = Mapping[str, np.ndarray]


def state_of(grid: Any) -> dict[str, np.ndarray]:
    """Return everything of a grid that changes, as arrays by name."""
    state = grid._streams.state()
    if grid.bias is not None:
        state["bias"] = grid.bias.copy()
    if grid._quantiser is not None:
        state |= grid._quantiser.state()
    state["version"] = np.array(VERSION)
    for name, tile in grid.named_tiles().items():
        state |= {f"{name}.{part}": array for part, array in tile.state_dict().items()}
    return state


def restore(grid: Any, state: Arrays) -> None:
    """Continue from `state`; if any of it is refused, nothing has changed."""
    now = state_of(grid)
    check_state(now, state, type(grid).__name__)
    try:
        _restore(grid, state)
    except BaseException:
        _restore(grid, now)
        raise


def _restore(grid: Any, state: Arrays) -> None:
    for name, tile in grid.named_tiles().items():
        parts = {part: f"{name}.{part}" for part in tile.state_dict()}
        tile.load_state_dict({part: state[key] for part, key in parts.items() if key in state})
    grid._streams.restore(state)
    if grid.bias is not None:
        grid.bias[:] = state["bias"]
    if grid._quantiser is not None:
        grid._quantiser.restore({name: state[name] for name in grid._quantiser.state()})
    grid.last_forward = None


def remake(kind: type, made: tuple[Any, ...], configs: Mapping[str, Any], state: Arrays) -> Any:
    """Return a grid in a state, for pickle and copy."""
    out_size, in_size, unit, config, bias, backend = made
    with warnings.catch_warnings():  # of weights that are replaced at once
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        grid = kind(out_size, in_size, config, bias, rng=0, backend=backend, in_unit=unit)
        grid.take_configs(configs)
    grid.load_state_dict(state)
    return grid
