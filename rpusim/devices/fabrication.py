"""Drawing the devices of a crossbar: the arrays that all pulsed devices have.

Each array has a random sub-stream of its own, named after it, so that adding a property to a
device never shifts the draws of another. The law of the draws is that of Gokmen and Vlasov, Front.
Neurosci. 10 (2016), as the established toolkit implements it.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from rpusim.devices.spread import relative_spread, steps, stuck_devices
from rpusim.kernels.random import normal, uniforms

__all__ = ["BASE_PLANES", "Draw", "base_arrays"]

#: what every pulsed device has; the bounds come first
BASE_PLANES = (
    "max_bound",
    "min_bound",
    "dwmin_up",
    "dwmin_down",
    "decay_rates",
    "diffusion_rates",
    "reset_bias",
    "drift_nu",
)


class Draw:
    """Random arrays by name, under one key."""

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key

    def normal(self, name: str, shape: int | tuple[int, int]) -> np.ndarray:
        """Return standard normals, float64, of the sub-stream `name`."""
        return normal(shape, self.key, index=zlib.crc32(name.encode())).astype(np.float64)

    def uniform(self, name: str, shape: int | tuple[int, int]) -> np.ndarray:
        """Return uniforms in (0, 1], float64, of the sub-stream `name`."""
        return uniforms(shape, self.key, index=zlib.crc32(name.encode())).astype(np.float64)


def base_arrays(
    device: Any, shape: tuple[int, int], draw: Draw, bias: bool
) -> dict[str, np.ndarray]:
    """Return the arrays named in `BASE_PLANES`, float64, for the parameters of a device."""
    law = device.w_dtod_law
    high = device.w_max * relative_spread(law, device.w_max_dtod, "max_bound", shape, draw)
    low = device.w_min * relative_spread(law, device.w_min_dtod, "min_bound", shape, draw)
    up, down = steps(device, shape, draw)
    crossed = low > high
    if device.enforce_consistency:
        up, down = np.abs(up), np.abs(down)
        low, high = np.where(crossed, high, low), np.where(crossed, low, high)
        low, high = -np.abs(low), np.abs(high)
    else:
        middle = 0.5 * (low + high)
        low, high = np.where(crossed, middle, low), np.where(crossed, middle, high)
    stuck, value = stuck_devices(device, low, high, draw)
    low, high = np.where(stuck, value, low), np.where(stuck, value, high)
    up, down = np.where(stuck, 0.0, up), np.where(stuck, 0.0, down)
    if device.perfect_bias and bias:
        up[:, -1] = down[:, -1] = device.dw_min
        low[:, -1], high[:, -1] = -np.inf, np.inf
    rates = np.zeros(shape)
    if device.lifetime > 0.0:
        life = device.lifetime * (1.0 + device.lifetime_dtod * draw.normal("lifetime", shape))
        rates = np.where(life > 1.0, 1.0 / np.maximum(life, 1.0), 1.0)
    diffusion = device.diffusion * (1.0 + device.diffusion_dtod * draw.normal("diffusion", shape))
    nu = device.drift.nu * (1.0 + device.drift.nu_dtod * draw.normal("drift_nu", shape))
    return {
        "max_bound": high,
        "min_bound": low,
        "dwmin_up": up,
        "dwmin_down": down,
        "decay_rates": rates,
        "diffusion_rates": np.abs(diffusion),
        "reset_bias": device.reset + device.reset_dtod * draw.normal("reset_bias", shape),
        "drift_nu": nu,
    }
