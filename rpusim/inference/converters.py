"""From weights to pairs of conductances."""

from __future__ import annotations

import numpy as np

from rpusim.config import Config, param
from rpusim.errors import ConfigError

__all__ = ["BaseConductanceConverter", "SinglePairConductanceConverter"]

SMALLEST = 1e-7  # largest weight of a tile that holds none


class BaseConductanceConverter(Config):
    """Base of the maps from a matrix of weights to conductances."""


class SinglePairConductanceConverter(BaseConductanceConverter):
    r"""Two devices for a weight, of which one stays at its smallest conductance.

    .. math::
        g^\pm = \mathrm{clip}(\pm\kappa w, 0, g_\mathrm{max}) + g_\mathrm{min}, \qquad
        \kappa = \frac{g_\mathrm{max} - g_\mathrm{min}}{\max |w|}
    """

    g_max: float = param(25.0, above=0.0, unit="uS", doc="largest conductance")
    g_min: float = param(0.0, low=0.0, unit="uS", doc="smallest conductance")

    def check(self) -> None:
        """Refuse an empty range."""
        super().check()
        if self.g_min >= self.g_max:
            raise ConfigError(
                f"{type(self).__name__}.g_min must be below g_max, got {self.g_min!r} and "
                f"{self.g_max!r}."
            )

    def convert_to_conductances(self, weights: np.ndarray) -> tuple[list[np.ndarray], float]:
        """Return the two matrices of conductances, in uS, and how many uS a weight of 1 is."""
        scale = (self.g_max - self.g_min) / max(float(np.abs(weights).max()), SMALLEST)
        up, down = (np.clip(s * scale * weights, 0.0, self.g_max) + self.g_min for s in (1.0, -1.0))
        return [up, down], scale
