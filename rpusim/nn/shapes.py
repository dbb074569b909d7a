"""Layers that move numbers and change none: flattening, other shapes, channels of zeros."""

import math
import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.checks import as_float32, as_size, check_shape
from rpusim.nn.module import Module

__all__ = ["Flatten", "Reshape", "PadChannels"]

Float = NDArray[np.float32]


class Reshape(Module):
    """Gives each sample another shape; the batch stays.

    Parameters
    ----------
    *shape : int
        Of a sample; one of them may be -1, for what is left.

    Examples
    --------
    >>> Reshape(1, 28, 28)(np.zeros((5, 784))).shape
    (5, 1, 28, 28)
    """

    def __init__(self, *shape: int):
        for size in shape:
            whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
            if not whole or not (size >= 1 or size == -1) or shape.count(-1) > 1:
                raise ConfigError(
                    f"{type(self).__name__}.shape must be integers >= 1, at most one of them -1, "
                    f"got {shape}."
                )
        self.shape = tuple(int(size) for size in shape)

    def forward(self, x: ArrayLike) -> Float:
        """Return x with shape (batch, *shape)."""
        x = as_float32(x, f"{type(self).__name__}.forward: x")
        known = math.prod(size for size in self.shape if size != -1)
        sample = math.prod(x.shape[1:])
        if x.ndim == 0 or (sample % known if -1 in self.shape else sample != known):
            raise ShapeError(
                f"{type(self).__name__}.forward: samples of x must fit shape {self.shape}, got "
                f"shape {x.shape}, batch first."
            )
        self.keep((x.shape, new := tuple(s if s != -1 else sample // known for s in self.shape)))
        return x.reshape(len(x), *new)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with its shape before, if wanted."""
        before, sample = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, (before[0], *sample), self)
        return d.reshape(before) if input_grad else None

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(str, self.shape))})"


class Flatten(Reshape):
    """Makes a vector of each sample: from (batch, ...) to (batch, numbers of a sample).

    Examples
    --------
    >>> Flatten()(np.zeros((5, 3, 2, 2))).shape
    (5, 12)
    """

    def __init__(self) -> None:
        super().__init__(-1)

    def __repr__(self) -> str:
        return "Flatten()"


class PadChannels(Module):
    r"""Takes every `stride`-th place and adds channels of zeros: a shortcut without parameters.

    .. math:: y_{b, c + a, i, j} = x_{b, c, s i, s j}, \qquad y = 0 \text{ in all other channels}

    The a channels before are as many as those behind, or one less. The way back is the transposed:
    :math:`\partial L / \partial x` is zero at places that were not taken.

    Parameters
    ----------
    channels : int
        Of y, at least those of x.
    stride : int, default 1
        s, along each axis behind the channels.

    Examples
    --------
    >>> PadChannels(16, stride=2)(np.ones((5, 8, 9, 9))).shape
    (5, 16, 5, 5)
    """

    def __init__(self, channels: int, stride: int = 1):
        self.channels = as_size(channels, "PadChannels.channels")
        self.stride = as_size(stride, "PadChannels.stride")

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (batch, channels, ...) for x of shape (batch, fewer channels, ...)."""
        x = as_float32(x, "PadChannels.forward: x")
        if x.ndim < 2 or x.shape[1] > self.channels:
            raise ShapeError(
                f"PadChannels.forward: x must have shape (batch, up to {self.channels} channels, "
                f"...), got {x.shape}."
            )
        taken = x[self._taken(x.ndim)]
        y = np.zeros((len(x), self.channels, *taken.shape[2:]), np.float32)
        y[:, self._own(x.shape[1])] = taken
        self.keep((x.shape, y.shape))
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        before, after = self.recall()
        d = as_float32(grad, "PadChannels.backward: grad")
        check_shape(d, after, self)
        if not input_grad:
            return None
        dx = np.zeros(before, np.float32)
        dx[self._taken(len(before))] = d[:, self._own(before[1])]
        return dx

    def _taken(self, dims: int) -> tuple[slice, ...]:
        return (slice(None), slice(None), *[slice(None, None, self.stride)] * (dims - 2))

    def _own(self, channels: int) -> slice:
        start = (self.channels - channels) // 2
        return slice(start, start + channels)

    def __repr__(self) -> str:
        return f"PadChannels({self.channels}, stride={self.stride})"
