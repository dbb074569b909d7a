"""The mirror image of a device: what an up pulse did to w, a down pulse does to -w.

Two devices of one kind make a pair whose difference is the weight; the second is then best thought
of, and drawn, as the mirror image of one that is pulsed like the first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from rpusim.devices.spread import STUCK
from rpusim.errors import ConfigError

__all__ = ["mirror", "mirror_planes"]

#: exchanged with a change of sign
OPPOSITE = {"w_max": "w_min", "range_max": "range_min", "max_bound": "min_bound"}
OPPOSITE |= {low: high for high, low in OPPOSITE.items()}
#: exchanged as they are
PARTNER = {"w_max_dtod": "w_min_dtod", "w_min_dtod": "w_max_dtod"}
PARTNER |= dict(zip(STUCK, reversed(STUCK), strict=True))
#: of the common fields and planes
NEGATED = ("up_down", "reset", "reset_bias")


def mirror(device: Any) -> Any:
    """Return the configuration of the mirror image of a pulsed device.

    Fields called ``..._up`` and ``..._down`` change places, tables also their order; bounds change
    places and sign; `PulsedDevice.mirror_negates` names further fields that change sign.

    Raises
    ------
    ConfigError
        If a field has no mirror image: `reference_pmax`, `DriftParameter.nu_k`.
    """
    if getattr(device, "reference_pmax", False):
        raise ConfigError(
            "reference_pmax makes up and down differ in form: it has no mirror image."
        )
    if device.drift.nu_k != 0.0:
        raise ConfigError("DriftParameter.nu_k knows the sign of a weight: it has no mirror image.")
    values = device._values()
    drift = device.drift.replace(g_offset=-device.drift.g_offset, w_offset=-device.drift.w_offset)
    return type(device)(**{**_mirrored(device, values, values), "drift": drift})


def mirror_planes(device: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the planes of the mirror images of devices, for a crossbar of ``mirror(device)``.

    Parameters
    ----------
    device : PulsedDevice
        What the given devices are.
    arrays : dict of str to ndarray
        Their planes, as `PulsedDevice.fabricate` returns them.
    """
    return _mirrored(device, arrays, arrays)


def _mirrored(device: Any, values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    negated = NEGATED + device.mirror_negates
    out = {}
    for name in values:
        if name in OPPOSITE:
            out[name] = -values[OPPOSITE[name]]
        elif name in PARTNER:
            out[name] = values[PARTNER[name]]
        else:
            value = values[_other_direction(name, names)]
            if isinstance(value, tuple):
                value = tuple(np.flip(np.array(value), -1).tolist())
            out[name] = -value if name in negated else value
    return out


def _other_direction(name: str, names: Collection[str]) -> str:
    """Return the name for the other direction, if there is one."""
    for ending, other in (("_up", "_down"), ("_down", "_up")):
        for tail in ("", "_dtod"):
            if name.endswith(ending + tail):
                partner = name.removesuffix(ending + tail) + other + tail
                return partner if partner in names else name
    return name
