"""`AnalogLinear` for torch, on a tile or on a grid of tiles."""

from __future__ import annotations

from typing import Any

import torch

from rpusim import nn
from rpusim.errors import ShapeError
from rpusim.torch.layer import TileLayer
from rpusim.torch.tile_module import torch_seed

__all__ = ["AnalogLinear", "AnalogLinearMapped"]


class AnalogLinear(TileLayer):
    r"""Fully connected layer of torch whose weights are the devices of a tile.

    .. math::
        y = \mathrm{tile}(x) \approx W x + b

    The products there and back are those of `rpusim.nn.AnalogLinear`, and so are the weights that
    it begins with. Pulsed tiles learn in the step of an `AnalogOptimizer`; tiles that learn in
    digital, as for hardware-aware training, have gradients like any other layer.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of x and y.
    bias : bool, default True
        Whether there is a b.
    rpu_config : configuration or device, optional
        What the tile is made of; None means the default configuration of the tile.
    rng : None, int, SeedSequence or Generator
        Where tile and initial weights get their seeds; None takes one from torch's generator, so
        that `torch.manual_seed` rules.
    backend : str, default "cpu"
        Where the tile computes. On "cuda" inputs may be there, too: nothing is copied. The
        parameters, copies of what the tile holds, stay on the CPU, also if the model is moved.
    allow_transfer : bool, default False
        Whether tensors that are elsewhere are copied to the CPU and back at every call.
    writable : bool, default False
        Whether writes into `weight` set all weights of devices that pulses train.

    Attributes
    ----------
    tile : AnalogTile or TileGrid
    weight : torch.nn.Parameter of shape (out, in)
        A copy of what the tile holds now.
    bias : torch.nn.Parameter of shape (out,), or None
    out_scaling, input_range : torch.nn.Parameter
        Learned output scales and input range, if the configuration has them.
    core : rpusim.nn.AnalogLinear
        What computes.

    Examples
    --------
    >>> layer = AnalogLinear(3, 2, rng=0)
    >>> layer(torch.ones(5, 3)).shape, layer.weight.shape
    (torch.Size([5, 2]), torch.Size([2, 3]))
    """

    kind: Any = nn.AnalogLinear
    takes_gpu = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: Any = None,
        *,
        rng: Any = None,
        backend: str = "cpu",
        allow_transfer: bool = False,
        writable: bool = False,
    ) -> None:
        seed = torch_seed(rng)
        core = self.kind(in_features, out_features, bias, rpu_config, rng=seed, backend=backend)
        super().__init__(core, allow_transfer, writable)

    @property
    def in_features(self) -> int:
        """Length of x."""
        return self.core.in_features

    @property
    def out_features(self) -> int:
        """Length of y."""
        return self.core.out_features

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of y for that of x."""
        if not shape or shape[-1] != self.in_features:
            raise ShapeError(
                f"{type(self).__name__}.forward: x must have shape (..., {self.in_features}), got "
                f"{shape}."
            )
        return (*shape[:-1], self.out_features)

    def _exactly(self, x: torch.Tensor) -> torch.Tensor:
        self.output_shape(tuple(x.shape))
        return torch.nn.functional.linear(x, *self._exact_parameters())


class AnalogLinearMapped(AnalogLinear):
    """`AnalogLinear` whose weights are always on a grid of tiles.

    Parameters are those of `AnalogLinear`.
    """

    kind = nn.AnalogLinearMapped
