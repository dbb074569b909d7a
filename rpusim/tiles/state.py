"""The state of a tile as plain arrays: what it consists of, and whether another one fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.config import Config
from rpusim.errors import DataError, ShapeError, StateError

__all__ = ["VERSION", "check_array", "check_names", "check_state", "restore_tile", "tile_state"]

VERSION = 1
#: arrays whose first axis is as long as there are devices, read-outs, or nothing
VARIABLE = ("programmed_conductances", "drift_coefficients", "drift_baseline")


def tile_state(tile: Any) -> dict[str, np.ndarray]:
    """Return everything of a tile that changes, as arrays by name."""
    state = tile.crossbar.state()
    state |= tile._streams.state()
    state |= tile._mapping.state()
    state |= tile._extra_state()
    state |= {"ledger": tile.stats.state(), "version": np.array(VERSION)}
    state["device"] = np.array(list(_device_name(tile.rpu_config.device).encode()), np.uint8)
    return state


def _device_name(device: Any) -> str:
    """Return the class of a device, and of its parts: 'VectorUnitCell(ExpStepDevice, ...)'."""
    parts = getattr(device, "unit_cell_devices", None) or [getattr(device, "device", None)]
    names = [_device_name(part) for part in parts if isinstance(part, Config)]
    return type(device).__name__ + (f"({', '.join(names)})" if names else "")


def restore_tile(tile: Any, state: Mapping[str, np.ndarray]) -> None:
    """Continue from `state`; raise before anything changes if it does not fit."""
    now = tile_state(tile)
    check_state(now, state, type(tile).__name__)
    try:
        _restore(tile, state)
    except BaseException:  # a value that only its owner can judge
        _restore(tile, now)
        raise


def _restore(tile: Any, state: Mapping[str, np.ndarray]) -> None:
    tile._streams.restore(state)
    tile.crossbar.restore(state)
    tile._mapping.restore(state)
    tile._restore_extra(state)
    tile.stats.restore(state["ledger"])


def check_names(now: Mapping[str, Any], state: Mapping[str, Any], problem: str) -> None:
    """Raise, beginning with the `problem`, unless `state` has the names of `now`."""
    missing, unknown = sorted(set(now) - set(state)), sorted(set(state) - set(now))
    parts = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    if parts:
        raise StateError(f"{problem}; {'; '.join(parts)}.")


def check_state(now: Mapping[str, Any], state: Mapping[str, Any], where: str) -> None:
    """Raise unless `state` has the names, shapes and types of the arrays `now`.

    Parameters
    ----------
    now, state : dict of str to ndarray
        The state there is, and the one to be loaded.
    where : str
        Named in errors.
    """
    if not isinstance(state, Mapping):
        raise StateError(
            f"{where}.load_state_dict: state must be a dict of arrays, got {state!r}; files are "
            "read by rpusim.load."
        )
    version = _version(state.get("version", 0), where)
    if version > VERSION:
        raise StateError(
            f"{where}: the state has version {version}, this rpusim reads up to {VERSION}."
        )
    devices = [name for name in now if name.rpartition(".")[2] == "device"]
    state = {**{name: now[name] for name in devices}, **state}  # older states do not name them
    check_names(now, state, f"{where}.load_state_dict: the state is of another kind of tile")
    for name in devices:
        mine, theirs = (bytes(np.asarray(s[name])).decode(errors="replace") for s in (now, state))
        if mine != theirs:
            raise StateError(f"{where}.load_state_dict: {name} must be {mine}, got {theirs}.")
    for name, value in now.items():
        variable = name.rpartition(".")[2] in VARIABLE
        check_array(value, np.asarray(state[name]), f"{where}.load_state_dict: {name}", variable)


def check_array(now: np.ndarray, given: np.ndarray, where: str, variable: bool = False) -> None:
    """Raise unless an array has the shape and kind of `now`, and no NaN.

    Parameters
    ----------
    now, given : ndarray
        What there is, and what is to be loaded.
    where : str
        Named in errors.
    variable : bool
        Whether the first axis may have another length.
    """
    first = int(variable and given.ndim == now.ndim)
    if given.shape[first:] != now.shape[first:]:
        raise ShapeError(f"{where} must have shape {now.shape}, got {given.shape}.")
    if given.dtype.kind != now.dtype.kind:
        raise DataError(f"{where} must be {now.dtype}, got {given.dtype}.")
    if now.dtype.kind == "f" and np.isnan(given).any():
        raise DataError(f"{where} must not hold NaN.")


def _version(value: Any, where: str) -> int:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "iu":
        raise StateError(f"{where}.load_state_dict: version must be an integer, got {value!r}.")
    return int(array)
