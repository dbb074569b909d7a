"""A tile as SciPy's linear operator, for its iterative solvers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

__all__ = ["linear_operator"]


def linear_operator(tile: Any) -> LinearOperator:
    """Return a `LinearOperator` whose products are the tile's `forward` and `transposed`.

    It is float64 outside. A bias is not part of a linear operator and is left out.
    """

    def multiply(x: np.ndarray) -> np.ndarray:
        y = tile.forward(np.asarray(x).T.reshape(-1, tile.in_size))
        bias = tile.get_weights()[1]
        if bias is not None:
            y = y - bias
        return y.T.reshape((tile.out_size, *np.shape(x)[1:])).astype(np.float64)

    def multiply_transposed(d: np.ndarray) -> np.ndarray:
        x = tile.transposed(np.asarray(d).T.reshape(-1, tile.out_size))
        return x.T.reshape((tile.in_size, *np.shape(d)[1:])).astype(np.float64)

    return LinearOperator(
        dtype=np.float64,
        shape=(tile.out_size, tile.in_size),
        matvec=multiply,
        rmatvec=multiply_transposed,
        matmat=multiply,
        rmatmat=multiply_transposed,
    )
