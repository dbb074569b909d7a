r"""Pooling: each channel's line, plane or block in windows, of each of which one number is kept.

Along each axis, output o sees the inputs :math:`o s - p, \dots, o s - p + m - 1` with stride s,
padding p and window size m, and there are :math:`\lfloor (n + 2 p - m) / s \rfloor + 1` outputs for
n inputs. Arrays may have any leading dimensions, such as batch and channels.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels import pooling
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.nn.checks import as_float32, as_sizes, check_shape
from rpusim.nn.module import Module

__all__ = ["MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d"]

Float = NDArray[np.float32]

AXES = ("depth", "height", "width")
#: Nanoseconds on one core for each value of a window.
WORK = 2.0


class _Pool(Module):
    """What both kinds share: sizes, and arrays as the kernels want them.

    Kernels see planes: all leading dimensions as one, then always three.
    """

    dims = 0

    def __init__(self, size: Any, stride: Any = None, padding: Any = 0):
        where, dims = type(self).__name__, self.dims
        self.size = as_sizes(size, dims, f"{where}.size")
        self.stride = self.size if stride is None else as_sizes(stride, dims, f"{where}.stride")
        self.padding = as_sizes(padding, dims, f"{where}.padding", least=0)
        if any(2 * p > m for p, m in zip(self.padding, self.size, strict=True)):
            raise ConfigError(
                f"{where}.padding must be at most half of size, {self.size}, so that each window "
                f"meets an input; got {self.padding}."
            )
        flat = (1,) * (3 - dims)
        self._windows = (flat + self.size, flat + self.stride, (0,) * (3 - dims) + self.padding)

    def _outputs(self, x: Float) -> tuple[int, ...]:
        """Return the shape of the output."""
        where, dims = f"{type(self).__name__}.forward: x", self.dims
        if x.ndim < dims:
            names = ", ".join(AXES[-dims:])
            raise ShapeError(f"{where} must have shape (..., {names}), got {x.shape}.")
        inner = x.shape[x.ndim - dims :]
        each = zip(inner, self.size, self.stride, self.padding, strict=True)
        outer = tuple((n + 2 * p - m) // s + 1 for n, m, s, p in each)
        if min(outer) < 1:
            raise ShapeError(
                f"{where} must be as large as a window, {self.size} less twice the padding of "
                f"{self.padding}, got {inner} in shape {x.shape}."
            )
        return (*x.shape[: x.ndim - dims], *outer)

    def _planes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape (planes, depth, height, width) of an array of this shape."""
        lead = len(shape) - self.dims
        return (math.prod(shape[:lead]), *(1,) * (3 - self.dims), *shape[lead:])

    def _over_planes(self, function: Any, outputs: int, *args: Any) -> None:
        """Call a kernel over all planes, on several threads if there are many outputs."""
        split(kernel(function), len(args[0]), WORK * outputs * math.prod(self.size), *args)

    def __repr__(self) -> str:
        padding = f", padding={self.padding}" if any(self.padding) else ""
        return f"{type(self).__name__}({self.size}, stride={self.stride}{padding})"


class _MaxPool(_Pool):
    """The largest value of each window."""

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (..., outputs) for x of shape (..., inputs); NaN counts as largest."""
        x = as_float32(x, f"{type(self).__name__}.forward: x")
        shape = self._outputs(x)
        y = np.empty(self._planes(shape), np.float32)
        place = np.empty(y.shape, np.int32)
        planes = np.ascontiguousarray(x).reshape(self._planes(x.shape))
        self._over_planes(pooling.largest, y.size, planes, y, place, *self._windows)
        self.keep((place, x.shape, shape))
        return y.reshape(shape)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        place, before, after = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, after, self)
        if not input_grad:
            return None
        dx = np.empty(self._planes(before), np.float32)
        planes = np.ascontiguousarray(d).reshape(place.shape)
        self._over_planes(pooling.largest_back, d.size, planes, place, dx)
        return dx.reshape(before)


class _AvgPool(_Pool):
    """The mean of each window."""

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (..., outputs) for x of shape (..., inputs)."""
        x = as_float32(x, f"{type(self).__name__}.forward: x")
        shape = self._outputs(x)
        y = np.empty(self._planes(shape), np.float32)
        planes = np.ascontiguousarray(x).reshape(self._planes(x.shape))
        self._over_planes(pooling.mean, y.size, planes, y, *self._windows)
        self.keep((x.shape, shape))
        return y.reshape(shape)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        before, after = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, after, self)
        if not input_grad:
            return None
        dx = np.empty(self._planes(before), np.float32)
        planes = np.ascontiguousarray(d).reshape(self._planes(after))
        self._over_planes(pooling.mean_back, d.size, planes, dx, *self._windows)
        return dx.reshape(before)


class MaxPool2d(_MaxPool):
    r"""Largest value of each window of a plane.

    .. math::
        y_o = \max_{i \in \mathrm{window}\ o} x_i, \qquad
        \frac{\partial L}{\partial x_i} = \sum_{o:\ i = i_o} d_o

    where :math:`i_o` is the place of the largest value of window o, the first in reading order if
    several are equal. What is padded is never the largest.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int), optional
        From one window to the next; by default `size`.
    padding : int or (int, int), default 0
        Places added on each side, at most half of `size`.

    Examples
    --------
    >>> MaxPool2d(2)([[[1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 5.0]]])
    array([[[4., 5.]]], dtype=float32)
    """

    dims = 2


class MaxPool1d(_MaxPool):
    """`MaxPool2d` along one axis: arrays of shape (..., length).

    Parameters
    ----------
    size : int
        Length of a window.
    stride : int, optional
        From one window to the next; by default `size`.
    padding : int, default 0
        Places added on both sides, at most half of `size`.

    Examples
    --------
    >>> MaxPool1d(3, stride=1, padding=1)([1.0, 2.0, 0.0])
    array([2., 2., 2.], dtype=float32)
    """

    dims = 1


class MaxPool3d(_MaxPool):
    """`MaxPool2d` over blocks: arrays of shape (..., depth, height, width).

    Parameters
    ----------
    size : int or (int, int, int)
        Depth, height and width of a window.
    stride : int or (int, int, int), optional
        From one window to the next; by default `size`.
    padding : int or (int, int, int), default 0
        Places added on each side, at most half of `size`.

    Examples
    --------
    >>> MaxPool3d(2)(np.arange(8.0).reshape(2, 2, 2))
    array([[[7.]]], dtype=float32)
    """

    dims = 3


class AvgPool2d(_AvgPool):
    r"""Mean of each window of a plane, zeros that are padded included.

    .. math::
        y_o = \frac1m \sum_{i \in \mathrm{window}\ o} x_i, \qquad
        \frac{\partial L}{\partial x_i} = \frac1m \sum_{o:\ i \in \mathrm{window}\ o} d_o

    with m, the number of places in a window.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int), optional
        From one window to the next; by default `size`.
    padding : int or (int, int), default 0
        Zeros added on each side, at most half of `size`.

    Examples
    --------
    >>> AvgPool2d(2)([[[1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 5.0]]])
    array([[[2.5 , 1.25]]], dtype=float32)
    """

    dims = 2


class AvgPool1d(_AvgPool):
    """`AvgPool2d` along one axis: arrays of shape (..., length).

    Parameters
    ----------
    size : int
        Length of a window.
    stride : int, optional
        From one window to the next; by default `size`.
    padding : int, default 0
        Zeros added on both sides, at most half of `size`.

    Examples
    --------
    >>> AvgPool1d(2, stride=1)([1.0, 2.0, 0.0])
    array([1.5, 1. ], dtype=float32)
    """

    dims = 1


class AvgPool3d(_AvgPool):
    """`AvgPool2d` over blocks: arrays of shape (..., depth, height, width).

    Parameters
    ----------
    size : int or (int, int, int)
        Depth, height and width of a window.
    stride : int or (int, int, int), optional
        From one window to the next; by default `size`.
    padding : int or (int, int, int), default 0
        Zeros added on each side, at most half of `size`.

    Examples
    --------
    >>> AvgPool3d(2)(np.arange(8.0).reshape(2, 2, 2))
    array([[[3.5]]], dtype=float32)
    """

    dims = 3
