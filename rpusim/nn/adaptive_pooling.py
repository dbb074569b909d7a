r"""Average pooling to a number of outputs, whatever the number of inputs.

An axis of n inputs falls into as many equal parts as there are outputs; n must be a multiple.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.nn.checks import as_float32, as_sizes, check_shape
from rpusim.nn.module import Module

__all__ = ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"]

Float = NDArray[np.float32]


class _AdaptiveAvgPool(Module):
    """The mean of each part; arrays are seen as (..., outputs, part, outputs, part)."""

    dims = 0

    def __init__(self, size: Any):
        self.size = as_sizes(size, self.dims, f"{type(self).__name__}.size")

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (..., *size) for x of shape (..., inputs)."""
        x = as_float32(x, f"{type(self).__name__}.forward: x")
        inner = x.shape[-self.dims :]
        if x.ndim < self.dims or any(n % m or not n for n, m in zip(inner, self.size, strict=True)):
            raise ShapeError(
                f"{type(self).__name__}.forward: the last {self.dims} dimensions of x must be "
                f"multiples of the output's {self.size}, got shape {x.shape}."
            )
        self.keep(x.shape)
        y = x.reshape(self._parts(x.shape))
        for axis in range(1, 2 * self.dims, 2):
            y = np.add.reduce(y, axis=-axis, keepdims=True)
        y = y.reshape(*x.shape[: -self.dims], *self.size)
        y *= self._share(inner)
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        shape = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, (*shape[: -self.dims], *self.size), self)
        if not input_grad:
            return None
        parts = self._parts(shape)
        singles = (p if axis % 2 == 0 else 1 for axis, p in enumerate(parts[-2 * self.dims :]))
        d = (d * self._share(shape[-self.dims :])).reshape(*parts[: -2 * self.dims], *singles)
        return np.broadcast_to(d, parts).reshape(shape)

    def _parts(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        inner = zip(shape[-self.dims :], self.size, strict=True)
        return (*shape[: -self.dims], *(size for n, m in inner for size in (m, n // m)))

    def _share(self, inner: tuple[int, ...]) -> np.float32:
        return np.float32(math.prod(self.size) / math.prod(inner))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    r"""Mean of each of `size` equal parts of a plane; with size 1, of all of it.

    .. math::
        y_o = \frac1m \sum_{i \in \mathrm{part}\ o} x_i, \qquad
        \frac{\partial L}{\partial x_i} = \frac{d_o}{m}

    with m, the number of places in a part.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the output; those of the input must be multiples.

    Examples
    --------
    >>> AdaptiveAvgPool2d(1)(np.arange(8.0).reshape(2, 2, 2))
    array([[[1.5]],
           [[5.5]]], dtype=float32)
    """

    dims = 2


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """`AdaptiveAvgPool2d` along one axis: arrays of shape (..., length).

    Parameters
    ----------
    size : int
        Length of the output; that of the input must be a multiple.

    Examples
    --------
    >>> AdaptiveAvgPool1d(2)([1.0, 2.0, 3.0, 4.0])
    array([1.5, 3.5], dtype=float32)
    """

    dims = 1


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """`AdaptiveAvgPool2d` over blocks: arrays of shape (..., depth, height, width).

    Parameters
    ----------
    size : int or (int, int, int)
        Depth, height and width of the output; those of the input must be multiples.

    Examples
    --------
    >>> AdaptiveAvgPool3d(1)(np.arange(8.0).reshape(2, 2, 2))
    array([[[3.5]]], dtype=float32)
    """

    dims = 3
