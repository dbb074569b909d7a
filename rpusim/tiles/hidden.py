"""What the devices of a crossbar carry, by name: reading it, and changing it all or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.config import nearest
from rpusim.devices.base import PulsedDevice
from rpusim.errors import DataError, ShapeError, StateError
from rpusim.kernels.device_arrays import copied, host, place, put

__all__ = ["hidden_parameters", "set_hidden_parameters"]

Arrays = dict[str, np.ndarray]


def hidden_parameters(crossbar: Any) -> Arrays:
    """Return a copy of everything each device of a crossbar carries, by name."""
    hidden: Arrays = {}
    for name in crossbar.names:
        if name == "decay_rates":  # a rate of 1e-9 is a float32, 1 minus it is not
            hidden["decay_scales"] = 1.0 - host(crossbar.plane(name)).astype(np.float64)
        else:
            hidden[name] = copied(crossbar.plane(name))
    hidden["persistent_weights"] = copied(crossbar.persistent)
    return hidden


def set_hidden_parameters(
    crossbar: Any, changes: Mapping[str, Any], recompute_derived: bool = True
) -> None:
    """Replace some of the named arrays; nothing changes if any of them is refused.

    Parameters
    ----------
    crossbar : Crossbar
        Whose devices are changed.
    changes : dict of str to array_like
        Arrays of shape (rows, cols) by name, any of `hidden_parameters`, in any order.
    recompute_derived : bool
        Whether planes that follow from changed ones, and are not given, follow them.
    """
    old = dict(zip(crossbar.names, copied(crossbar.planes), strict=True))
    new, persistent = changed_planes(crossbar.device, old, changes, recompute_derived)
    put(crossbar.planes, np.stack([new[name] for name in crossbar.names]))
    before = crossbar.persistent.copy()
    if persistent is not None:
        put(crossbar.persistent, persistent)
    crossbar.limit()
    moved = crossbar.persistent != before
    if crossbar.device.subtracts_reference:
        moved |= place(new["reference"] != old["reference"], crossbar.backend)
    crossbar.touched(moved)


def changed_planes(
    device: PulsedDevice, old: Arrays, changes: Mapping[str, Any], recompute_derived: bool
) -> tuple[Arrays, np.ndarray | None]:
    """Return all planes after some changes, and the persistent weights if they are among them.

    Parameters
    ----------
    device : PulsedDevice
        What the devices are.
    old : dict of str to ndarray
        The planes now.
    changes : dict of str to array_like
        Arrays by the names that `hidden_parameters` uses.
    recompute_derived : bool
        Whether planes that follow from changed ones, and are not given, follow them.
    """
    new, persistent = {name: plane.copy() for name, plane in old.items()}, None
    known = ["decay_scales" if name == "decay_rates" else name for name in old]
    known.append("persistent_weights")
    shape = old["max_bound"].shape
    for name, values in changes.items():
        if name not in known:
            raise StateError(f"no hidden parameter is called {name!r}{nearest(name, known)}")
        array = np.array(values, np.float64)
        if array.shape != shape:
            raise ShapeError(f"{name} must have shape {shape}, got {array.shape}.")
        unbounded = name in ("max_bound", "min_bound")
        if np.isnan(array).any() or not (unbounded or np.isfinite(array).all()):
            raise DataError(f"{name} must be finite, got NaN or infinity.")
        _refuse_without_effect(device, name, array)
        if name == "persistent_weights":
            persistent = array.astype(np.float32)
        elif name == "decay_scales":
            new["decay_rates"] = (1.0 - array).astype(np.float32)
        else:
            new[name] = array.astype(np.float32)
    if (new["min_bound"] > new["max_bound"]).any():
        raise DataError("min_bound must not exceed max_bound for any device.")
    if recompute_derived:
        moved = np.any([new[name] != old[name] for name in old], axis=0)
        for name, derived in device.rederive(old, new).items():
            if name not in changes:
                new[name] = np.where(moved, derived, new[name])
    return new, persistent


def _refuse_without_effect(device: PulsedDevice, name: str, array: np.ndarray) -> None:
    """Raise if a parameter is set that the device's configuration has switched off."""
    switches = {
        "decay_scales": ("lifetime", device.lifetime, 1.0),
        "diffusion_rates": ("diffusion", device.diffusion, 0.0),
        "drift_nu": ("drift.nu", device.drift.nu, 0.0),
    }
    field, value, neutral = switches.get(name, ("", 1.0, 0.0))
    if value == 0.0 and (array != neutral).any():
        where = type(device).__name__
        raise StateError(f"{name} has no effect: make the tile with {where}.{field} > 0.")
