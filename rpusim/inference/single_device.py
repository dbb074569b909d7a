r"""One device for a weight: between two conductances, or with a sign kept elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.inference.arguments import check_range, largest
from rpusim.inference.converters import SMALLEST, BaseConductanceConverter, LinearMap
from rpusim.kernels.device_arrays import as_it_is, is_device_array

__all__ = ["FusionConductanceConverter", "SingleDeviceConductanceConverter"]

SMALLEST_ROW = 1e-10  # largest weight of an output that has none, for the fusion chip


class SingleDeviceConductanceConverter(BaseConductanceConverter):
    r"""One device for a weight, from the smallest to the largest.

    .. math:: g = (w - w_\min)\,\kappa + g_\min, \qquad
              \kappa = \frac{g_\max - g_\min}{w_\max - w_\min}

    with the extremes of the tile, of each output (`columnwise`), or :math:`\pm w_\max` if it is
    given.

    Examples
    --------
    >>> converter = SingleDeviceConductanceConverter()
    >>> converter.convert_to_conductances([1.0, -0.8])[0].round(3).tolist()
    [[88.2, 9.0]]
    """

    g_max: float = param(88.199997, above=0.0, unit="uS", doc="conductance of the largest weight")
    g_min: float = param(9.0, low=0.0, unit="uS", doc="conductance of the smallest weight")

    def check(self) -> None:
        """Refuse an empty range."""
        super().check()
        check_range(self)

    @property
    def devices(self) -> int:
        """How many devices a weight has."""
        return 1

    def to_devices(self, weights: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return one conductance for each weight."""
        if self.w_max is not None:
            low, high = -self.w_max, self.w_max
        elif is_device_array(weights):
            axis, keep = (1, True) if self.columnwise else (None, False)
            low, high = (f(weights, axis=axis, keepdims=keep) for f in (np.min, np.max))
        elif self.columnwise:
            low = weights.min(axis=1, keepdims=True, initial=np.inf)
            high = weights.max(axis=1, keepdims=True, initial=-np.inf)
        else:
            low, high = (float(f(weights)) if weights.size else 0.0 for f in (np.min, np.max))
        scale = (self.g_max - self.g_min) / np.maximum(high - low, SMALLEST)
        g = np.clip((weights - low) * scale + self.g_min, self.g_min, self.g_max)
        return g[None].astype(weights.dtype), {"scale_ratio": scale, "min": low}

    def way_back(self, params: dict[str, Any]) -> LinearMap:
        """Return the line through the two extremes."""
        factor = 1.0 / as_it_is(params["scale_ratio"])
        return LinearMap(factor[None], params["min"] - self.g_min * factor)


class FusionConductanceConverter(BaseConductanceConverter):
    r"""One device for the magnitude of a weight; its sign is kept in digital.

    .. math:: g = \mathrm{clip}(|w|\,\kappa_i, 0, g_\max), \qquad
              \kappa_i = g_\max / \max_j |w_{ij}|

    with a scale for each output i.

    Examples
    --------
    >>> converter = FusionConductanceConverter()
    >>> converter.convert_to_conductances([[0.3, -0.8, 0.05], [1.0, -0.2, 0.0]])[0].tolist()
    [[[15.0, 40.0, 2.5], [40.0, 8.0, 0.0]]]
    """

    columnwise: bool = param(True, doc="a scale for every output: always")
    g_max: float = param(40.0, low=10.0, high=40.0, unit="uS", doc="largest conductance")

    def check(self) -> None:
        """Refuse a single scale."""
        super().check()
        if not self.columnwise:
            raise ConfigError("FusionConductanceConverter.columnwise is always True.")

    @property
    def g_min(self) -> float:
        """Smallest conductance."""
        return 0.0

    @property
    def devices(self) -> int:
        """How many devices a weight has."""
        return 1

    def to_devices(self, weights: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the magnitudes, each output scaled to the range of the device."""
        scale = self.g_max / np.maximum(largest(weights, True), weights.dtype.type(SMALLEST_ROW))
        sign = np.where(weights < 0.0, -1.0, 1.0).astype(weights.dtype)
        g = np.clip(np.abs(weights) * scale, 0.0, self.g_max).astype(weights.dtype)
        return g[None], {"scale_ratio": scale, "sign": sign}

    def way_back(self, params: dict[str, Any]) -> LinearMap:
        """Return the signs, divided by the scales."""
        return LinearMap((params["sign"] / params["scale_ratio"])[None], 0.0)
