"""The state of a model as a flat dict of arrays with dotted names, and back.

Digital parameters are one array each, and so are buffers, which nobody trains; a tile contributes
its own arrays below its name, among them the digital bias it adds. What a tile's arrays must be,
the tile alone knows and checks.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from rpusim.config import nearest
from rpusim.errors import RpusimError, StateError
from rpusim.nn.checks import as_finite

if TYPE_CHECKING:
    from rpusim.nn.module import Module

__all__ = ["state_dict", "load_state_dict"]

#: How many names a message lists.
LISTED = 8


def state_dict(module: Module) -> dict[str, np.ndarray]:
    """Return copies of all arrays that make up the state of `module`, by dotted name."""
    state = {name: array.copy() for name, array in _digital(module).items()}
    for path, tile in module.named_tiles():
        state |= {f"{path}.{name}": array for name, array in tile.state_dict().items()}
    return state


def load_state_dict(module: Module, arrays: dict[str, np.ndarray]) -> None:
    """Restore what `state_dict` returned, all of it or, on any error, nothing.

    Parameters
    ----------
    module : Module
        Built like the one whose state it was.
    arrays : dict of str to ndarray
        The state.
    """
    where = f"{type(module).__name__}.load_state_dict"
    digital, tiles = _digital(module), dict(module.named_tiles())
    own, parts = _sort(arrays, tiles)
    missing = [name for name in digital if name not in own]
    missing += [f"{path}.*" for path in tiles if not parts[path]]
    _check_names(where, module, missing, [name for name in own if name not in digital])
    values = {
        name: as_finite(own[name], array.shape, f"{where}: {name}")
        for name, array in digital.items()
    }
    _load_tiles(where, tiles, parts)
    for name, array in digital.items():
        array[...] = values[name]


def _digital(module: Module) -> dict[str, np.ndarray]:
    """Return the arrays, not copies, of buffers and of parameters that are not kept in a tile."""
    own = {name: p.data for name, p in module.named_parameters() if p.tile is None}
    return own | dict(module.named_buffers())


def _sort(arrays: dict, tiles: dict) -> tuple[dict, dict[str, dict]]:
    """Separate the arrays below each tile's name from the rest."""
    own: dict = {}
    parts: dict[str, dict] = {path: {} for path in tiles}
    for name, array in arrays.items():
        paths = accumulate(name.split("."), "{}.{}".format)
        path = next((path for path in paths if path in parts), None)
        if path is None or path == name:
            own[name] = array
        else:
            parts[path][name[len(path) + 1 :]] = array
    return own, parts


def _check_names(where: str, module: Module, missing: list[str], unexpected: list[str]) -> None:
    if missing or unexpected:
        known = state_dict(module)
        lines = [("missing", repr(name)) for name in missing]
        lines += [("unexpected", f"{name!r}{nearest(name, known)}") for name in unexpected]
        shown = "".join(f"\n  {kind}: {text}" for kind, text in lines[:LISTED])
        more = f"\n  and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
        raise StateError(
            f"{where}: the names must be those of this model's state_dict(); nothing was loaded."
            f"{shown}{more}"
        )


def _load_tiles(where: str, tiles: dict[str, Any], parts: dict[str, dict]) -> None:
    """Load tile by tile; if one refuses, restore those before it."""
    before: list[tuple[Any, dict]] = []
    for path, tile in tiles.items():
        old = tile.state_dict()
        try:
            tile.load_state_dict(parts[path])
        except BaseException as error:
            for done, state in before:
                done.load_state_dict(state)
            if isinstance(error, RpusimError):
                raise type(error)(f"{where}: {path}: {error} Nothing was loaded.") from error
            raise
        before.append((tile, old))
