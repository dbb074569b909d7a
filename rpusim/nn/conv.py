r"""Digital convolutions, as products of the kernels with the patches of their input.

The patches are those of `rpusim.nn.patches`, the same that a convolution on a tile reads.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_finite, as_flag, as_float32, as_size, check_shape
from rpusim.nn.initial import uniform_fan_in
from rpusim.nn.module import Module
from rpusim.nn.parameter import Parameter
from rpusim.nn.patches import Patches, as_images, as_maps, as_rows

__all__ = ["Conv1d", "Conv2d", "Conv3d"]

Float = NDArray[np.float32]


class _Conv(Module):
    """Convolution over `dims` axes."""

    dims = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Any = None,
    ):
        where = type(self).__name__
        self.in_channels = as_size(in_channels, f"{where}.in_channels")
        self.out_channels = as_size(out_channels, f"{where}.out_channels")
        self.patches = Patches(where, self.dims, kernel_size, stride, padding, dilation)
        self.groups = as_size(groups, f"{where}.groups")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ConfigError(
                f"{where}.groups must divide in_channels, {in_channels}, and out_channels, "
                f"{out_channels}; got {groups}."
            )
        bias = as_flag(bias, f"{where}.bias")
        self.seed: int = Streams(rng).seed
        fan_in = self.in_channels // self.groups * self.patches.per_channel
        w, b = uniform_fan_in(self.seed, self.out_channels, fan_in, bias)
        self.weight = Parameter(w.reshape(self.out_channels, -1, *self.patches.kernel))
        self.bias = None if b is None else Parameter(b)

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (batch, out, ...) for x of shape (batch, in, ...), or of one sample."""
        where = f"{type(self).__name__}.forward: x"
        images, batched = as_images(x, self.in_channels, self.dims, where)
        places = self.patches.positions(images.shape[2:])
        rows = self._rows(images)
        self.keep((images, batched, places))
        y = np.concatenate([u @ w.T for u, w in zip(rows, self._matrices(), strict=True)], axis=-1)
        if self.bias is not None:
            y += self.bias.data
        y = as_maps(y, (len(images), self.out_channels, *places))
        return y if batched else y[0]

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        images, batched, places = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        shape = (len(images), self.out_channels, *places)
        check_shape(d, shape if batched else shape[1:], self)
        d = as_rows(d.reshape(shape))
        parts = np.split(d, self.groups, axis=1)
        if self.weight.requires_grad:
            rows = zip(parts, self._rows(images), strict=True)
            total = np.concatenate([own.T @ u for own, u in rows])
            self.weight.accumulate(total.reshape(self.weight.shape))
        if self.bias is not None and self.bias.requires_grad:
            self.bias.accumulate(np.add.reduce(d, axis=0))
        if not input_grad:
            return None
        size = (len(images), self.in_channels // self.groups, *images.shape[2:])
        own = zip(parts, self._matrices(), strict=True)
        g = np.concatenate([self.patches.fold(part @ w, size) for part, w in own], axis=1)
        return g if batched else g[0]

    def _matrices(self) -> Float:
        """Return the kernels as matrices, shape (groups, out, patch)."""
        return self.weight.data.reshape(self.groups, self.out_channels // self.groups, -1)

    def _rows(self, images: Float) -> list[Float]:
        """Return the patches of each group of channels, a row each."""
        parts = np.split(images, self.groups, axis=1)
        return [self.patches.unfold(np.ascontiguousarray(part)) for part in parts]

    def get_weights(self) -> tuple[Float, Float | None]:
        """Return copies of weight and bias."""
        return self.weight.copy(), None if self.bias is None else self.bias.copy()

    def set_weights(self, weight: ArrayLike, bias: ArrayLike | None = None) -> None:
        """Set the weight, and the bias if one is given."""
        where = f"{type(self).__name__}.set_weights"
        w = as_finite(weight, self.weight.shape, f"{where}: weight")
        if bias is not None:
            if self.bias is None:
                raise ShapeError(f"{where}: the layer has no bias, got one.")
            self.bias[...] = as_finite(bias, self.bias.shape, f"{where}: bias")
        self.weight[...] = w

    def shapes(self) -> str:
        """Return ``in -> out, kernel``."""
        size = " x ".join(map(str, self.patches.kernel))
        return f"{self.in_channels} -> {self.out_channels}, {size}"

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        sizes = f"{self.in_channels}, {self.out_channels}, {self.patches}"
        groups = "" if self.groups == 1 else f", groups={self.groups}"
        return f"{type(self).__name__}({sizes}{groups}{bias})"


class Conv2d(_Conv):
    r"""Convolution of images with digital kernels.

    .. math::
        y_{b, o, i, j} = \beta_o + \sum_{c, k, l} w_{o, c, k, l}\,
        x_{b, c,\; s i + \delta k - p,\; s j + \delta l - p}

    with stride s, dilation :math:`\delta` and zeros beyond the edges, up to p of them. With the
    columns :math:`u_p` of patches, and the kernels as a matrix W of shape (out, patch),

    .. math::
        y_p = W u_p + \beta, \qquad
        \frac{\partial L}{\partial W} = \sum_p d_p u_p^\mathsf{T}, \quad
        \frac{\partial L}{\partial \beta} = \sum_p d_p, \quad
        \frac{\partial L}{\partial u_p} = W^\mathsf{T} d_p

    and each input gets the sum of the gradients of all places in patches to which it went.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of x and y.
    kernel_size : int or (int, int)
        Height and width of the kernels.
    stride : int or (int, int), default 1
        s.
    padding : int, sequence of int or of pairs, "same" or "valid", default 0
        p on both sides, or (before, after) for each axis. "same": as many as keep height and width,
        with stride 1 only, where an odd one goes behind; "valid": 0.
    dilation : int or (int, int), default 1
        From one place of the kernel to the next.
    groups : int, default 1
        Into how many parts channels fall; outputs of one see inputs of the same only.
    bias : bool, default True
        Whether there is a bias for each output channel.
    rng : None, int, SeedSequence or Generator
        Where the initial weights come from: uniform within the inverse root of the patch's length.

    Attributes
    ----------
    weight : Parameter of shape (out, in / groups, *kernel_size)
    bias : Parameter of shape (out,), or None
    seed : int
        As `rng`, it makes the same layer again.

    Examples
    --------
    >>> layer = Conv2d(1, 16, 5, padding="same", rng=0)
    >>> layer(np.zeros((10, 1, 28, 28))).shape, layer.weight.shape
    ((10, 16, 28, 28), (16, 1, 5, 5))
    """

    dims = 2


class Conv1d(_Conv):
    """`Conv2d` along one axis: x of shape (batch, in, width).

    Parameters are those of `Conv2d`, with one number for each axis.

    Examples
    --------
    >>> Conv1d(2, 3, 5, stride=2, rng=0)(np.zeros((10, 2, 25))).shape
    (10, 3, 11)
    """

    dims = 1


class Conv3d(_Conv):
    """`Conv2d` over blocks: x of shape (batch, in, depth, height, width).

    Parameters are those of `Conv2d`, with three numbers for three axes.

    Examples
    --------
    >>> Conv3d(2, 3, 3, padding=1, rng=0)(np.zeros((2, 4, 5, 6))).shape
    (3, 4, 5, 6)
    """

    dims = 3
