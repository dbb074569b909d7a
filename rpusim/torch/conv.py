"""Convolutions for torch on tiles, or on grids of tiles."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from rpusim import nn
from rpusim.errors import ConfigError, ShapeError
from rpusim.torch.layer import TileLayer
from rpusim.torch.tile_module import torch_seed

__all__ = [
    "AnalogConv1d",
    "AnalogConv1dMapped",
    "AnalogConv2d",
    "AnalogConv2dMapped",
    "AnalogConv3d",
    "AnalogConv3dMapped",
]

CONVOLUTIONS: tuple[Any, ...] = (
    torch.nn.functional.conv1d,
    torch.nn.functional.conv2d,
    torch.nn.functional.conv3d,
)


class _AnalogConv(TileLayer):
    """Base of the convolutions; a subclass says what computes."""

    kind: ClassVar[Any] = None

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
        padding_mode: str = "zeros",
        rpu_config: Any = None,
        *,
        rng: Any = None,
        backend: str = "cpu",
        allow_transfer: bool = False,
        writable: bool = False,
    ) -> None:
        if padding_mode != "zeros":
            raise ConfigError(
                f"{type(self).__name__}.padding_mode must be 'zeros', got {padding_mode!r}; pad "
                "the input before."
            )
        core = self.kind(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            rpu_config,
            rng=torch_seed(rng),
            backend=backend,
        )
        super().__init__(core, allow_transfer, writable)
        self.in_channels, self.out_channels = core.in_channels, core.out_channels
        patches = core.patches
        self.kernel_size, self.stride = patches.kernel, patches.stride
        self.padding, self.dilation = padding, patches.dilation
        self.groups, self.padding_mode = 1, padding_mode

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of y for that of x."""
        axes = self.core.axes
        if len(shape) not in (axes + 1, axes + 2) or shape[-axes - 1] != self.in_channels:
            raise ShapeError(
                f"{type(self).__name__}.forward: x must have shape (batch, {self.in_channels}, "
                f"*size) with {axes} axes of size, got {shape}."
            )
        places = self.core.patches.positions(shape[-axes:])
        return (*shape[: -axes - 1], self.out_channels, *places)

    def _exactly(self, x: torch.Tensor) -> torch.Tensor:
        self.output_shape(tuple(x.shape))
        patches, axes = self.core.patches, self.core.axes
        zeros = [width for pair in reversed(patches.padding) for width in pair]
        x = torch.nn.functional.pad(x, zeros)
        options = {"stride": patches.stride, "dilation": patches.dilation}
        return CONVOLUTIONS[axes - 1](x, *self._exact_parameters(), **options)

    def extra_repr(self) -> str:
        """Return sizes, and what the weights are made of."""
        made = super().extra_repr().split(", ")[-1]
        bias = self._parameters["bias"] is not None
        sizes = f"{self.in_channels}, {self.out_channels}, {self.core.patches}"
        return f"{sizes}, bias={bias}, {made}"


class AnalogConv1d(_AnalogConv):
    """Convolution of torch over sequences (batch, channels, length) on a tile, or on a grid.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of x and of y.
    kernel_size, stride, dilation : int or sequence of int
        Of each axis.
    padding : int, sequence of int or of pairs, "same" or "valid"
        Zeros around x, the same at both ends of an axis or (before, after).
    groups : int
        1.
    bias : bool, default True
        Whether there is a bias.
    padding_mode : {"zeros"}
        What stands around x.
    rpu_config : configuration or device, optional
        What the tile is made of.
    rng, backend, allow_transfer, writable
        As for `AnalogLinear`.

    Attributes
    ----------
    tile : AnalogTile or TileGrid
    weight : torch.nn.Parameter of shape (out_channels, in_channels, *kernel_size)
        A copy of what the tile holds now.
    bias, out_scaling, input_range
        See `AnalogLinear`.

    Examples
    --------
    >>> layer = AnalogConv1d(2, 3, 5, padding="same", rng=0)
    >>> layer(torch.ones(4, 2, 10)).shape
    torch.Size([4, 3, 10])
    """

    kind = nn.AnalogConv1d


class AnalogConv2d(_AnalogConv):
    """Convolution of torch over images (batch, channels, height, width), as `AnalogConv1d`."""

    kind = nn.AnalogConv2d


class AnalogConv3d(_AnalogConv):
    """Convolution of torch over volumes, as `AnalogConv1d`."""

    kind = nn.AnalogConv3d


class AnalogConv1dMapped(_AnalogConv):
    """`AnalogConv1d` on a grid each of whose tiles holds whole channels of the kernel."""

    kind = nn.AnalogConv1dMapped


class AnalogConv2dMapped(_AnalogConv):
    """`AnalogConv2d` on a grid each of whose tiles holds whole channels of the kernel."""

    kind = nn.AnalogConv2dMapped


class AnalogConv3dMapped(_AnalogConv):
    """`AnalogConv3d` on a grid each of whose tiles holds whole channels of the kernel."""

    kind = nn.AnalogConv3dMapped
