"""A tile as SciPy's linear operator, for its iterative solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

__all__ = ["TileOperator", "linear_operator"]


class TileOperator(LinearOperator):
    """The products of a tile, there and back, as a `scipy.sparse.linalg.LinearOperator`.

    It is float64 outside; the tile computes in float32. The real and the imaginary part of complex
    vectors are multiplied one after the other. A bias is not part of a linear operator and is left
    out.

    Parameters
    ----------
    tile : AnalogTile or TileGrid
        What multiplies.
    is_test : bool
        Whether its products are those of evaluation.
    """

    def __init__(self, tile: Any, is_test: bool = False):
        self.tile, self._is_test = tile, is_test
        super().__init__(np.dtype(np.float64), (tile.out_size, tile.in_size))

    def _forward(self, x: np.ndarray) -> np.ndarray:
        """Return ``W x`` for the rows of `x`."""
        y = self.tile.forward(x, is_test=self._is_test)
        bias = self.tile.get_weights()[1] if self.tile.has_bias else None
        return y if bias is None else y - bias

    def _back(self, d: np.ndarray) -> np.ndarray:
        """Return ``W^T d`` for the rows of `d`."""
        return self.tile.transposed(d, is_test=self._is_test)

    def _matmat(self, x: Any) -> np.ndarray:
        return columnwise(self._forward, x)

    def _rmatmat(self, x: Any) -> np.ndarray:
        return columnwise(self._back, x)

    def _matvec(self, x: Any) -> np.ndarray:
        return columnwise(self._forward, x)

    def _rmatvec(self, x: Any) -> np.ndarray:
        return columnwise(self._back, x)


def columnwise(multiply: Callable[[np.ndarray], np.ndarray], x: Any) -> np.ndarray:
    """Return what a product of rows makes of a vector, or of the columns of a matrix."""
    x = np.asarray(x)
    if np.iscomplexobj(x):
        return columnwise(multiply, x.real) + 1j * columnwise(multiply, x.imag)
    y = multiply(x.T.reshape(-1, x.shape[0]))
    return y.T.reshape((y.shape[1], *x.shape[1:])).astype(np.float64)


def linear_operator(tile: Any) -> TileOperator:
    """Return a `LinearOperator` whose products are the tile's `forward` and `transposed`."""
    return TileOperator(tile)
