r"""Grouped convolutions on tiles: channels in groups, each with a tile of its own.

.. math:: y_g = \mathrm{conv}_g(x_g), \qquad g = 1 \dots G

for the g-th part of the channels of x and of y. With as many groups as channels it is a depthwise
convolution, whose tiles are small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import real_array
from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.analog_conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from rpusim.nn.checks import as_float32, as_size
from rpusim.nn.module import Module

__all__ = ["GroupedAnalogConv"]

KINDS = {1: AnalogConv1d, 2: AnalogConv2d, 3: AnalogConv3d}


class GroupedAnalogConv(Module):
    """A convolution whose channels form groups that do not see each other.

    Parameters
    ----------
    axes : int
        Axes of an image: 1, 2 or 3.
    in_channels, out_channels : int
        Both divisible by `groups`.
    kernel_size : int or sequence of int
        Of each axis.
    groups : int
        How many groups.
    rng : None, int, SeedSequence or Generator
        Where the groups' layers get their seeds.
    **options : object
        Stride, padding, dilation, bias, rpu_config, backend: those of `AnalogConv1d`.

    Attributes
    ----------
    groups : list of AnalogConv1d, AnalogConv2d or AnalogConv3d
        A layer for each group.

    Examples
    --------
    >>> layer = GroupedAnalogConv(2, 4, 8, 3, groups=4, rng=0)
    >>> layer(np.ones((5, 4, 6, 6))).shape, layer.get_weights()[0].shape
    ((5, 8, 4, 4), (8, 1, 3, 3))
    """

    def __init__(
        self,
        axes: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        groups: int,
        *,
        rng: Any = None,
        **options: Any,
    ):
        where = type(self).__name__
        if axes not in KINDS:
            raise ConfigError(f"{where}.axes must be 1, 2 or 3, got {axes!r}.")
        count = as_size(groups, f"{where}.groups")
        named = {"in_channels": in_channels, "out_channels": out_channels}
        sizes = [as_size(value, f"{where}.{name}") for name, value in named.items()]
        if any(size % count for size in sizes):
            raise ConfigError(
                f"{where}.groups must divide in_channels and out_channels, {sizes[0]} and "
                f"{sizes[1]}, got {groups!r}."
            )
        self.seed: int = Streams(rng).seed
        seeds = np.random.SeedSequence(self.seed).spawn(count)
        each = sizes[0] // count, sizes[1] // count
        self.groups = [KINDS[axes](*each, kernel_size, rng=seed, **options) for seed in seeds]

    @property
    def in_channels(self) -> int:
        """Channels of x."""
        return sum(group.in_channels for group in self.groups)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return y, the groups' outputs side by side; see `AnalogConv1d`."""
        images = as_float32(x, f"{type(self).__name__}.forward: x")
        axis, channels = images.ndim - self.groups[0].axes - 1, self.in_channels
        if axis not in (0, 1) or images.shape[axis] != channels:
            raise ShapeError(
                f"{type(self).__name__}.forward: x must have shape (batch, {channels}, *size) or "
                f"({channels}, *size) with {self.groups[0].axes} axes of size, got {images.shape}."
            )
        parts = np.split(images, len(self.groups), axis=axis)
        self.keep(axis)
        return np.concatenate([g(part) for g, part in zip(self.groups, parts, strict=True)], axis)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Go back through every group; return the gradient of x, if wanted."""
        axis = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        parts = np.split(d, len(self.groups), axis=axis)
        pairs = zip(self.groups[::-1], parts[::-1], strict=True)
        back: list[Any] = [group.backward(part, input_grad) for group, part in pairs]
        return np.concatenate(back[::-1], axis) if input_grad else None

    def get_weights(self, **options: Any) -> tuple[Any, Any]:
        """Return copies of weight, (out, in / groups, *kernel), and bias of all groups."""
        found = [group.get_weights(**options) for group in self.groups]
        bias = None if found[0][1] is None else np.concatenate([b for _, b in found])
        return np.concatenate([w for w, _ in found]), bias

    def set_weights(self, weight: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Any:
        """Write weight and bias of all groups; see `AnalogConv1d`."""
        where, count = f"{type(self).__name__}.set_weights", len(self.groups)
        weights = np.split(real_array(weight, f"{where}: weight"), count)
        biases: list[Any] = [None] * count
        if bias is not None:
            biases = np.split(real_array(bias, f"{where}: bias"), count)
        groups = zip(self.groups, weights, biases, strict=True)
        return sum(group.set_weights(w, b, **options) for group, w, b in groups)

    def shapes(self) -> str:
        """Return the shapes of a group, and how many there are."""
        return f"{len(self.groups)} x ({self.groups[0].shapes()})"
