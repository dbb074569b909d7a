"""What a forward of a grid leaves for its backward, and what a backward gives: tile by tile."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rpusim.errors import StateError
from rpusim.kernels.device_arrays import contiguous
from rpusim.tiles.context import ForwardContext

__all__ = ["GridContext", "GridGradients"]


class GridGradients(NamedTuple):
    """What goes back through a grid.

    Attributes
    ----------
    input : ndarray of shape (batch, in_size), or None
        Gradient with respect to the inputs, if wanted.
    pair : tuple
        Inputs and errors for `update`, see `rpusim.tiles.pairs`.
    digital : dict of str to ndarray
        Gradients of the digital parameters, by their names.
    """

    input: np.ndarray | None
    pair: tuple[Any, Any]
    digital: dict[str, np.ndarray]

    @property
    def bias(self) -> np.ndarray | None:
        """Gradient of the digital bias, None without."""
        return self.digital.get("bias")


@dataclasses.dataclass(slots=True, eq=False)
class GridContext:
    """One forward of a grid.

    Attributes
    ----------
    x : ndarray of shape (batch, in_size)
        Inputs as given.
    tiles : list of list of ForwardContext
        What each tile's forward left, by input and output block.
    """

    x: np.ndarray
    tiles: list[list[ForwardContext]]

    def without_inputs(self) -> GridContext:
        """Return a copy without the inputs, as `ForwardContext.without_inputs`."""
        tiles = [[c.without_inputs() for c in column] for column in self.tiles]
        return GridContext(self.x[:0].copy(), tiles)

    def with_inputs(self, x: np.ndarray) -> GridContext:
        """Return a copy with these inputs, those of the forward."""
        ends = np.cumsum([column[0].x.shape[1] for column in self.tiles])
        parts = np.split(x, ends[:-1], axis=1)
        whole = [contiguous(part) for part in parts]
        pairs = zip(self.tiles, whole, strict=True)
        return GridContext(x, [[c.with_inputs(part) for c in column] for column, part in pairs])

    @property
    def training(self) -> bool:
        """Whether it was a forward of training."""
        return self.tiles[0][0].training

    @property
    def alpha(self) -> np.ndarray:
        """Input scales, shape (batch, input blocks, output blocks)."""
        return self._stacked("alpha")

    @property
    def reduction(self) -> np.ndarray:
        """By how much bound management reduced each vector, of the same shape."""
        return self._stacked("reduction")

    @property
    def rounds(self) -> np.ndarray:
        """How often each tile read each vector, of the same shape."""
        return self._stacked("rounds")

    @property
    def inputs_clipped(self) -> float:
        """Fraction of all tiles' input lines that were clipped."""
        return self._mean("inputs_clipped", [[c.x.shape[1] for c in row] for row in self.tiles])

    @property
    def outputs_clipped(self) -> float:
        """Fraction of all ADCs' readings, of the rounds that count, that were clipped."""
        sizes = [[c.weights.shape[0] for c in row] for row in self.tiles]
        return self._mean("outputs_clipped", sizes)

    @property
    def wire_current(self) -> float:
        """Largest current of a line, relative to what its wire is modelled for."""
        return max(c.wire_current for row in self.tiles for c in row)

    def _stacked(self, name: str) -> np.ndarray:
        return np.stack([np.stack([getattr(c, name) for c in row], -1) for row in self.tiles], 1)

    def _mean(self, name: str, sizes: list[list[int]]) -> float:
        values = [[getattr(c, name) for c in row] for row in self.tiles]
        return float(np.average(values, weights=sizes))

    @classmethod
    def of(cls, given: Any, last: GridContext | None) -> GridContext | None:
        """Return the context that a backward belongs to."""
        if given is None or isinstance(given, cls):
            return given or last
        raise StateError(f"context must be a GridContext (grid.last_forward), got {given!r}.")
