"""Embedding: a vector for each symbol."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import any_array
from rpusim.errors import DataError, ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_finite, as_float32, as_size, check_shape
from rpusim.nn.initial import uniform_fan_in
from rpusim.nn.module import Module
from rpusim.nn.parameter import Parameter

__all__ = ["Embedding"]

Float = NDArray[np.float32]


class Embedding(Module):
    r"""Looks up the vector of each symbol, a row of the weights.

    .. math::
        y_n = W_{t_n}, \qquad \frac{\partial L}{\partial W_t} = \sum_{n:\ t_n = t} d_n

    It is a `Linear` layer without bias whose inputs are one-hot, and starts from the same weights,
    transposed; with `one_hot` and `AnalogLinear` the table is on devices.

    Parameters
    ----------
    num : int
        Symbols, 0..num-1.
    dim : int
        Length of a vector.
    rng : None, int, SeedSequence or Generator
        Where the initial weights come from: uniform within :math:`\pm 1/\sqrt{\mathrm{num}}`.

    Attributes
    ----------
    weight : Parameter of shape (num, dim)
    seed : int
        As `rng`, it makes the same layer again.

    Examples
    --------
    >>> layer = Embedding(10, 4, rng=0)
    >>> layer([[1, 2, 3], [1, 1, 1]]).shape
    (2, 3, 4)
    """

    def __init__(self, num: int, dim: int, *, rng: Any = None):
        self.num, self.dim = as_size(num, "Embedding.num"), as_size(dim, "Embedding.dim")
        self.seed: int = Streams(rng).seed
        self.weight = Parameter(uniform_fan_in(self.seed, self.dim, self.num, False)[0].T)

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (..., dim) for whole numbers of shape (...); `batches` has floats."""
        symbols = self._checked(x)
        self.keep(symbols)
        return self.weight.data[symbols]

    def backward(self, grad: ArrayLike, input_grad: bool = False) -> None:
        """Add to the gradient of the weight; symbols have none, so that None is returned."""
        symbols, d = self.recall(), as_float32(grad, "Embedding.backward: grad")
        check_shape(d, (*symbols.shape, self.dim), self)
        if self.weight.requires_grad and symbols.size:
            order = np.argsort(symbols, axis=None, kind="stable")
            found, first = np.unique(symbols.ravel()[order], return_index=True)
            total = np.zeros(self.weight.shape, np.float32)
            total[found] = np.add.reduceat(d.reshape(-1, self.dim)[order], first, axis=0)
            self.weight.accumulate(total)

    def _checked(self, x: ArrayLike) -> NDArray[np.int64]:
        given = any_array(x, "Embedding.forward: x")
        if given.dtype.kind not in "iuf":
            raise DataError(f"Embedding.forward: x must be whole numbers, got {given.dtype}.")
        if given.size and not 0 <= given.min() <= given.max() <= self.num - 1:
            worst = given.min() if not given.min() >= 0 else given.max()
            raise DataError(f"Embedding.forward: x must be in 0..{self.num - 1}, got {worst}.")
        symbols = given.astype(np.int64)
        if given.dtype.kind == "f" and not np.array_equal(symbols, given):
            wrong = given[symbols != given][0]
            raise DataError(f"Embedding.forward: x must be whole numbers, got {wrong}.")
        return symbols

    def get_weights(self) -> tuple[Float, None]:
        """Return a copy of the weight, and None for the bias."""
        return self.weight.copy(), None

    def set_weights(self, weight: ArrayLike, bias: None = None) -> None:
        """Set the weight."""
        if bias is not None:
            raise ShapeError("Embedding.set_weights: the layer has no bias, got one.")
        self.weight[...] = as_finite(weight, self.weight.shape, "Embedding.set_weights: weight")

    def shapes(self) -> str:
        """Return ``num -> dim``."""
        return f"{self.num} -> {self.dim}"

    def __repr__(self) -> str:
        return f"Embedding({self.num}, {self.dim})"
