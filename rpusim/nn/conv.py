r"""Digital convolutions, as products of the kernels with columns of patches.

Patch p of an input is a column :math:`u_p` of all values that output p sees: channel by channel,
and in each the places of the kernel in reading order.
"""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_finite, as_float32, as_size, as_sizes, check_shape
from rpusim.nn.initial import uniform_fan_in
from rpusim.nn.module import Module
from rpusim.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d"]

Float = NDArray[np.float32]

AXES = ("depth", "height", "width")


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
        where, dims = type(self).__name__, self.dims
        self.in_channels = as_size(in_channels, f"{where}.in_channels")
        self.out_channels = as_size(out_channels, f"{where}.out_channels")
        self.kernel_size = as_sizes(kernel_size, dims, f"{where}.kernel_size")
        self.stride = as_sizes(stride, dims, f"{where}.stride")
        self.dilation = as_sizes(dilation, dims, f"{where}.dilation")
        self.groups = as_size(groups, f"{where}.groups")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ConfigError(
                f"{where}.groups must divide in_channels, {in_channels}, and out_channels, "
                f"{out_channels}; got {groups}."
            )
        self.padding = self._sides(padding)
        self.seed: int = Streams(rng).seed
        fan_in = self.in_channels // self.groups * math.prod(self.kernel_size)
        w, b = uniform_fan_in(self.seed, self.out_channels, fan_in, bias)
        self.weight = Parameter(w.reshape(self.out_channels, -1, *self.kernel_size))
        self.bias = None if b is None else Parameter(b)

    def _sides(self, padding: Any) -> tuple[tuple[int, int], ...]:
        """Return the zeros before and behind along each axis."""
        where = f"{type(self).__name__}.padding"
        if not isinstance(padding, str):
            return tuple((p, p) for p in as_sizes(padding, self.dims, where, least=0))
        if padding == "valid":
            return ((0, 0),) * self.dims
        if padding != "same":
            raise ConfigError(f'{where} must be integers, "same" or "valid", got {padding!r}.')
        if max(self.stride) > 1:
            raise ConfigError(f'{where}="same" needs stride 1, got stride {self.stride}.')
        totals = (d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True))
        return tuple((total // 2, total - total // 2) for total in totals)

    def forward(self, x: ArrayLike) -> Float:
        """Return y of shape (batch, out, ...) for x of shape (batch, in, ...), or of one sample."""
        x = self._checked(x)
        samples = x if x.ndim == self.dims + 2 else x[None]
        columns, outputs = self._columns(samples)
        self.keep((x, outputs))
        y = self._matrices() @ columns
        y = y.reshape(len(samples), self.out_channels, math.prod(outputs))
        if self.bias is not None:
            y += self.bias.data[:, None]
        return y.reshape(*x.shape[: -self.dims - 1], self.out_channels, *outputs)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        x, outputs = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, (*x.shape[: -self.dims - 1], self.out_channels, *outputs), self)
        samples = x if x.ndim == self.dims + 2 else x[None]
        out = self.out_channels // self.groups
        d = d.reshape(len(samples), self.groups, out, math.prod(outputs))
        if self.weight.requires_grad:
            columns, _ = self._columns(samples)
            total = np.add.reduce(d @ columns.swapaxes(2, 3), axis=0)
            self.weight.accumulate(total.reshape(self.weight.shape))
        if self.bias is not None and self.bias.requires_grad:
            self.bias.accumulate(np.add.reduce(d, axis=(0, 3)).ravel())
        if not input_grad:
            return None
        return self._fold(self._matrices().swapaxes(1, 2) @ d, samples, outputs).reshape(x.shape)

    def _matrices(self) -> Float:
        """Return the kernels as matrices, shape (groups, out, patch)."""
        return self.weight.data.reshape(self.groups, self.out_channels // self.groups, -1)

    def _columns(self, x: Float) -> tuple[Float, tuple[int, ...]]:
        """Return all patches, shape (batch, groups, patch, outputs), and the outputs by axis."""
        axes = tuple(range(2, 2 + self.dims))
        padded = np.pad(x, ((0, 0), (0, 0), *self.padding)) if np.any(self.padding) else x
        views = sliding_window_view(padded, self._spans(), axis=axes)
        steps = [slice(None, None, s) for s in (*self.stride, *self.dilation)]
        views = views[(slice(None), slice(None), *steps)]
        outputs = views.shape[2 : 2 + self.dims]
        # batch, channels, places of the kernel, outputs
        order = (0, 1, *range(2 + self.dims, 2 + 2 * self.dims), *axes)
        patch = self.in_channels // self.groups * math.prod(self.kernel_size)
        shape = (len(x), self.groups, patch, math.prod(outputs))
        return views.transpose(order).reshape(shape), outputs

    def _fold(self, columns: Float, x: Float, outputs: tuple[int, ...]) -> Float:
        """Add patches up where they came from: the transposed of `_columns`."""
        inner = list(zip(x.shape[2:], self.padding, strict=True))
        sizes = [n + before + behind for n, (before, behind) in inner]
        columns = columns.reshape(len(x), self.in_channels, *self.kernel_size, *outputs)
        padded = np.zeros((len(x), self.in_channels, *sizes), np.float32)
        steps = list(zip(self.dilation, self.stride, outputs, strict=True))
        for place in np.ndindex(self.kernel_size):
            seen: tuple[Any, ...] = tuple(
                slice(i * d, i * d + s * (n - 1) + 1, s)
                for i, (d, s, n) in zip(place, steps, strict=True)
            )
            padded[(..., *seen)] += columns[(slice(None), slice(None), *place)]
        own: tuple[Any, ...] = tuple(slice(before, before + n) for n, (before, _) in inner)
        return padded[(..., *own)]

    def _spans(self) -> tuple[int, ...]:
        """Return from how many places of each axis an output comes."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    def _checked(self, x: ArrayLike) -> Float:
        where = f"{type(self).__name__}.forward: x"
        x = as_float32(x, where)
        if x.ndim not in (self.dims + 1, self.dims + 2) or (
            x.shape[-self.dims - 1] != self.in_channels
        ):
            one = f"{self.in_channels}, {', '.join(AXES[-self.dims :])}"
            raise ShapeError(f"{where} must have shape (batch, {one}) or ({one}), got {x.shape}.")
        inner = x.shape[-self.dims :]
        sizes = (n + sum(p) for n, p in zip(inner, self.padding, strict=True))
        if any(n < span for n, span in zip(sizes, self._spans(), strict=True)):
            raise ShapeError(
                f"{where} must be as large as a patch, {self._spans()}, with padding "
                f"{self.padding}; got {inner} in shape {x.shape}."
            )
        return x

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
        return (
            f"{self.in_channels} -> {self.out_channels}, {' x '.join(map(str, self.kernel_size))}"
        )

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        ends = f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"
        return f"{type(self).__name__}({ends}, stride={self.stride}{bias})"


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
    padding : int, (int, int), "same" or "valid", default 0
        p on both sides; "same": as many as keep height and width, with stride 1 only, where an odd
        one goes behind; "valid": 0.
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
