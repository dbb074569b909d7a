r"""The scale that brings a matrix of any size onto devices.

The devices hold :math:`W \omega / \max|W|` with :math:`\omega` the median bound of the devices, in
the direction of their weight: the largest weight fits a typical device. Weaker devices cut off what
they cannot hold; a scale that fits the weakest device of all would let noise bury the rest. Devices
without bounds get weights of at most 1, by a power of two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.errors import ConfigError

__all__ = ["fitting_omega"]


def fitting_omega(w: np.ndarray, tile: Any) -> float:
    """Return the largest weight on devices that brings a matrix onto those of a tile.

    Parameters
    ----------
    w : ndarray of shape (n, m)
        The matrix.
    tile : AnalogTile or TileGrid
        Whose devices they are.
    """
    used, largest = w != 0.0, float(np.abs(w).max())
    if largest == 0.0:
        return 1.0
    low, high = tile.weight_range()
    typical = float(np.median(np.where(w > 0.0, high, -low)[used]))
    if typical <= 0.0:
        raise ConfigError(
            "AnalogMatrix: most devices cannot hold weights of the sign that they need (see "
            "weight_range() of the tile)."
        )
    if math.isfinite(typical):
        return typical
    return math.ldexp(largest, -math.frexp(largest)[1])
