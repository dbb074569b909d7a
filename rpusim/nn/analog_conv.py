r"""Convolutions on tiles: every patch of the input is a vector, every kernel a line of devices.

.. math::
    y_{b, k, o} = \sum_{c, u} W_{k, c u}\, P_{b o, c u} + b_k, \qquad
    \frac{\partial L}{\partial x} = \mathrm{fold}(d\,W), \qquad
    \frac{\partial L}{\partial W} = \sum_{b, o} d_{b o}\, P_{b o}^\mathsf{T}

with the patches P of `rpusim.nn.patches`. Vectors come sample after sample, position after
position; each is one vector pair of the update. Patches of large batches are made in parts that fit
into a buffer, and again when the way back and the update need them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import real_array
from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.checks import as_float32, as_size, check_errors
from rpusim.nn.linear import AnalogLinear
from rpusim.nn.parameter import AnalogParameter
from rpusim.nn.patches import Patches, as_images, as_maps, as_rows
from rpusim.tiles import TileGrid
from rpusim.tiles.lazy_pairs import LazyPair

__all__ = [
    "AnalogConv1d",
    "AnalogConv1dMapped",
    "AnalogConv2d",
    "AnalogConv2dMapped",
    "AnalogConv3d",
    "AnalogConv3dMapped",
]


class _AnalogConv(AnalogLinear):
    """Base of the convolutions on tiles; a subclass says how many axes an image has."""

    axes = 0

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
        rpu_config: Any = None,
        *,
        rng: Any = None,
        backend: str = "cpu",
    ):
        where = type(self).__name__
        if groups != 1:
            raise ConfigError(
                f"{where}.groups must be 1, got {groups!r}: channels in groups have a tile each, "
                f"use GroupedAnalogConv({self.axes}, ..., groups={groups!r})."
            )
        self.in_channels = as_size(in_channels, f"{where}.in_channels")
        self.out_channels = as_size(out_channels, f"{where}.out_channels")
        self.patches = Patches(where, self.axes, kernel_size, stride, padding, dilation)
        inputs = self.in_channels * self.patches.per_channel
        super().__init__(inputs, self.out_channels, bias, rpu_config, rng=rng, backend=backend)
        self.weight = AnalogParameter(self.tile, self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels, *self.patches.kernel)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return y of shape (batch, out_channels, *positions).

        For x of shape (batch, in_channels, *size); an image without a batch gives one without.
        Training gives programmed devices up, unless the weight is frozen.
        """
        where = f"{type(self).__name__}.forward: x"
        images, batched = as_images(x, self.in_channels, self.axes, where)
        if self.training and self.tile.is_programmed and self.weight.requires_grad:
            self.tile.restore()
        places = self.patches.positions(images.shape[2:])
        found, kept = [], []
        for part in self.patches.parts(images):
            rows = self.tile.forward(self.patches.unfold(images[part]), not self.training)
            found.append(as_maps(rows, (part.stop - part.start, self.out_channels, *places)))
            kept.append([part, self.tile.last_forward])
        y = found[0] if len(found) == 1 else np.concatenate(found)
        if self.keeps:
            if len(kept) > 1:  # patches take more than is worth keeping
                for entry in kept:
                    entry[1] = entry[1].without_inputs()
            self.keep((images, batched, y.shape, kept))
        return y if batched else y[0]

    def without_inputs(self, kept: Any) -> Any:
        """Return what a forward kept without images and patches, which are made again."""
        _, batched, shape, parts = kept
        return None, batched, shape, [[part, context.without_inputs()] for part, context in parts]

    def with_inputs(self, kept: Any, x: NDArray[np.float32]) -> Any:
        """Return what `without_inputs` returned, with the images of that forward."""
        _, batched, shape, parts = kept
        images = x if batched else x[None]
        if len(parts) == 1:
            parts = [[part, self._refilled(images[part], context)] for part, context in parts]
        return images, batched, shape, parts

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Record patches with d, and gradients of digital parameters; return that of x."""
        images, batched, shape, kept = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_errors(d, shape if batched else shape[1:], self, self.weight.requires_grad)
        d = d.reshape(shape)
        g = np.empty(images.shape, np.float32) if input_grad else None
        in_parts = len(kept) > 1
        for part, context in kept:
            errors = as_rows(d[part])
            whole = self._refilled(images[part], context) if in_parts else context
            gradients = self.tile.gradients(errors, whole, input_grad)
            if self.weight.requires_grad and in_parts:
                later = partial(self._pair, images[part], context, errors)
                self.weight.record_later(LazyPair(later))
            elif self.weight.requires_grad:
                self.weight.record(*gradients.pair)
            self._accumulate(gradients)
            if g is not None:
                g[part] = self.patches.fold(gradients.input, images[part].shape)
        return g if g is None or batched else g[0]

    def get_weights(self, as_matrix: bool = False, **options: Any) -> tuple[Any, Any]:
        """Return copies of the weight, of the kernel's shape or as the tile's matrix, and bias."""
        w, b = self.tile.get_weights(**options)
        return (w if as_matrix else w.reshape(self._shape)), b

    def set_weights(self, weight: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Any:
        """Write the weight, of the kernel's shape or as a matrix, and bias to the tile."""
        w = real_array(weight, f"{type(self).__name__}.set_weights: weight")
        matrix = (self.out_features, self.in_features)
        if w.shape not in (self._shape, matrix):
            raise ShapeError(
                f"{type(self).__name__}.set_weights: weight must have shape {self._shape}, or "
                f"{matrix}, got {w.shape}."
            )
        return self.tile.set_weights(w.reshape(matrix), bias, **options)

    def shapes(self) -> str:
        """Return ``in -> out, kernel``."""
        size = " x ".join(map(str, self.patches.kernel))
        return f"{self.in_channels} -> {self.out_channels}, {size}"

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        sizes = f"{self.in_channels}, {self.out_channels}, {self.patches}"
        return f"{type(self).__name__}({sizes}{bias}, rpu_config={self.tile.rpu_config!r})"

    # ---------------------------------------------------------------- inside

    def _refilled(self, images: NDArray[np.float32], context: Any) -> Any:
        """Return a context with the patches of its images."""
        return context.with_inputs(self.patches.unfold(images))

    def _pair(self, images: NDArray[np.float32], context: Any, errors: NDArray[np.float32]) -> Any:
        """Return the patches and errors of a part, for the update."""
        return self.tile.learning_pair(errors, self._refilled(images, context))


class AnalogConv1d(_AnalogConv):
    """Convolution over sequences (batch, channels, length) on a tile, or on a grid of tiles.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of x and of y.
    kernel_size, stride, dilation : int or sequence of int
        Of each axis.
    padding : int, sequence of int or of pairs, "same" or "valid"
        Zeros around x, the same at both ends of an axis or (before, after).
    groups : int
        1; for more see `GroupedAnalogConv`.
    bias : bool, default True
        Whether there is a b, see `AnalogLinear`.
    rpu_config : configuration or device, optional
        What the tile is made of.
    rng : None, int, SeedSequence or Generator
        Where tile and initial weights get their seeds.
    backend : str, default "cpu"
        Where the tile computes.

    Attributes
    ----------
    tile : AnalogTile or TileGrid
        Of out_channels x (in_channels * elements of the kernel).
    weight : AnalogParameter of shape (out_channels, in_channels, *kernel_size)
        Reads what the tile holds now.
    bias, out_scaling, input_range
        See `AnalogLinear`.

    Examples
    --------
    >>> layer = AnalogConv1d(2, 3, 5, padding="same", rng=0)
    >>> layer(np.ones((4, 2, 10))).shape, layer.weight.shape
    ((4, 3, 10), (3, 2, 5))
    """

    axes = 1


class AnalogConv2d(_AnalogConv):
    """Convolution over images (batch, channels, height, width) on a tile, or on a grid of tiles.

    Parameters and attributes are those of `AnalogConv1d`.

    Examples
    --------
    >>> layer = AnalogConv2d(1, 4, 3, stride=2, padding=1, rng=0)
    >>> layer(np.ones((8, 1, 28, 28))).shape
    (8, 4, 14, 14)
    """

    axes = 2


class AnalogConv3d(_AnalogConv):
    """Convolution over volumes (batch, channels, depth, height, width), as `AnalogConv1d`."""

    axes = 3


class _Mapped(_AnalogConv):
    """A convolution that is always on a grid, whose tiles hold whole channels."""

    def _build(self, *args: Any, **options: Any) -> TileGrid:
        return TileGrid(*args, **options, in_unit=self.patches.per_channel)


class AnalogConv1dMapped(_Mapped):
    """`AnalogConv1d` on a `TileGrid` each of whose tiles holds whole channels of the kernel."""

    axes = 1


class AnalogConv2dMapped(_Mapped):
    """`AnalogConv2d` on a `TileGrid` each of whose tiles holds whole channels of the kernel."""

    axes = 2


class AnalogConv3dMapped(_Mapped):
    """`AnalogConv3d` on a `TileGrid` each of whose tiles holds whole channels of the kernel."""

    axes = 3
