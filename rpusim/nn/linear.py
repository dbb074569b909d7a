r"""Fully connected layers, digital and analog: :math:`y = W x + b`.

The two differ in who multiplies: NumPy, or a tile. A tile also updates its weights itself, so the
analog layer's backward only records the vectors of the outer product.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import (
    as_finite,
    as_flag,
    as_float32,
    as_size,
    check_errors,
    check_shape,
)
from rpusim.nn.initial import TILE, child, uniform_fan_in
from rpusim.nn.module import Module
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter, TileParameter
from rpusim.tiles import TileGrid, build_tile

__all__ = ["Linear", "AnalogLinear", "AnalogLinearMapped"]


class Linear(Module):
    r"""Fully connected layer with digital weights.

    .. math::
        y = W x + b, \qquad
        \frac{\partial L}{\partial x} = W^\mathsf{T} d, \quad
        \frac{\partial L}{\partial W} = \sum_n d_n x_n^\mathsf{T}, \quad
        \frac{\partial L}{\partial b} = \sum_n d_n

    with the error signal :math:`d = \partial L / \partial y` and the sum over the batch.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of x and y.
    bias : bool, default True
        Whether there is a b.
    rng : None, int, SeedSequence or Generator
        Where the initial weights come from: uniform within :math:`\pm 1/\sqrt{n_\mathrm{in}}`.

    Attributes
    ----------
    weight : Parameter of shape (out, in)
    bias : Parameter of shape (out,), or None
    seed : int
        As `rng`, it makes the same layer again.

    Examples
    --------
    >>> layer = Linear(3, 2, rng=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Any = None):
        self.in_features = as_size(in_features, "Linear.in_features")
        self.out_features = as_size(out_features, "Linear.out_features")
        bias = as_flag(bias, f"{type(self).__name__}.bias")
        self.seed: int = Streams(rng).seed
        w, b = uniform_fan_in(self.seed, self.out_features, self.in_features, bias)
        self.weight = Parameter(w)
        self.bias = None if b is None else Parameter(b)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return y of shape (..., out) for x of shape (..., in)."""
        x = as_float32(x, "Linear.forward: x")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear.forward: x must have shape (..., {self.in_features}), got {x.shape}."
            )
        self.keep(x)
        y = x @ self.weight.data.T
        if self.bias is not None:
            y += self.bias.data
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        x = self.recall()
        d = as_float32(grad, "Linear.backward: grad")
        check_shape(d, (*x.shape[:-1], self.out_features), self)
        d_rows = d.reshape(-1, self.out_features)
        if self.weight.requires_grad:
            self.weight.accumulate(d_rows.T @ x.reshape(-1, self.in_features))
        if self.bias is not None and self.bias.requires_grad:
            self.bias.accumulate(np.add.reduce(d_rows, axis=0))
        return d @ self.weight.data if input_grad else None

    def get_weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return copies of weight and bias."""
        return self.weight.copy(), None if self.bias is None else self.bias.copy()

    def set_weights(self, weight: ArrayLike, bias: ArrayLike | None = None) -> None:
        """Set the weight, and the bias if one is given."""
        w = as_finite(weight, self.weight.shape, "Linear.set_weights: weight")
        if bias is not None:
            if self.bias is None:
                raise ShapeError("Linear.set_weights: the layer has no bias, got one.")
            self.bias[...] = as_finite(bias, self.bias.shape, "Linear.set_weights: bias")
        self.weight[...] = w

    def shapes(self) -> str:
        """Return ``in -> out``."""
        return f"{self.in_features} -> {self.out_features}"

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"{type(self).__name__}({self.in_features}, {self.out_features}{bias})"


class AnalogLinear(Module):
    r"""Fully connected layer whose weights are the devices of a tile.

    .. math::
        y = \mathrm{tile}(x) \approx W x + b, \qquad
        \frac{\partial L}{\partial x} \approx W^\mathsf{T} d, \qquad
        W \leftarrow W - \eta \sum_n d_n x_n^\mathsf{T} \text{ by pulses}

    Both products run through the tile with its noise and converters. The backward records the pair
    (x, d) on `weight`; an optimizer has the tile apply it. A matrix larger than the configuration's
    ``mapping.max_input_size`` or ``max_output_size`` is on a grid of tiles.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of x and y.
    bias : bool, default True
        Whether there is a b; the configuration's ``mapping.digital_bias`` says whether it is a
        digital vector or a column of devices.
    rpu_config : configuration or device, optional
        What the tile is made of; None means the default configuration of the tile.
    rng : None, int, SeedSequence or Generator
        Where tile and initial weights get their seeds. The weights are drawn as in `Linear`, then
        written to the devices, which clip them to their bounds.
    backend : str, default "cpu"
        Where the tile computes.
    writable : bool, default False
        Whether `weight` and `bias` may be written through, as arrays; each write sets all weights.

    Attributes
    ----------
    tile : AnalogTile or TileGrid
    weight : AnalogParameter of shape (out, in)
        Reads what the tile holds now.
    bias : Parameter or AnalogBias of shape (out,), or None
        Digital: the tile's own vector. Analog: reads what the tile's bias column holds now.
    out_scaling, input_range : Parameter of shape (1,) or (out,), or None
        The tile's learned output scales and input range, if its configuration has them. Those of a
        grid's tiles are called ``out_scaling_0_1``, by input and output block.
    seed : int
        As `rng`, it makes the same layer again.

    Examples
    --------
    >>> layer = AnalogLinear(3, 2, rng=0)
    >>> layer.weight.shape
    (2, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: Any = None,
        *,
        rng: Any = None,
        backend: str = "cpu",
        writable: bool = False,
    ):
        where = type(self).__name__
        self.in_features = as_size(in_features, f"{where}.in_features")
        self.out_features = as_size(out_features, f"{where}.out_features")
        bias = as_flag(bias, f"{where}.bias")
        self.seed: int = Streams(rng).seed
        self.tile = self._build(
            self.out_features,
            self.in_features,
            rpu_config,
            bias,
            rng=child(self.seed, TILE),
            backend=backend,
        )
        self.tile.set_weights(*uniform_fan_in(self.seed, self.out_features, self.in_features, bias))
        self.weight = AnalogParameter(self.tile, writable=writable)
        self.bias: TileParameter | AnalogBias | None = None
        self.out_scaling: TileParameter | None = None
        self.input_range: TileParameter | None = None
        self._digital = tuple(self.tile.digital_parameters())
        for name in self._digital:
            setattr(self, name, TileParameter(self.tile, name))
        if bias and self.bias is None:
            self.bias = AnalogBias(self.tile, writable)

    def _build(self, *args: Any, **options: Any) -> Any:
        """Return the tile, or the grid of tiles."""
        return build_tile(*args, **options)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return y of shape (..., out) for x of shape (..., in).

        Training gives programmed devices up, unless the weight is frozen.
        """
        if self.training and self.tile.is_programmed and self.weight.requires_grad:
            self.tile.restore()
        y = self.tile.forward(x, is_test=not self.training)
        if self.keeps:
            self.keep((y.shape, self.tile.last_forward))
        return y

    def without_inputs(self, kept: Any) -> Any:
        """Return what a forward kept without its inputs, for who stores these himself."""
        shape, context = kept
        return shape, context.without_inputs()

    def with_inputs(self, kept: Any, x: NDArray[np.float32]) -> Any:
        """Return what `without_inputs` returned, with the inputs of that forward."""
        shape, context = kept
        return shape, context.with_inputs(x.reshape(-1, self.in_features))

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Record (x, d) and gradients of digital parameters; return that of x, if wanted."""
        shape, context = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_errors(d, shape, self, self.weight.requires_grad)
        gradients = self.tile.gradients(d, context, input_grad)
        if self.weight.requires_grad:
            self.weight.record(*gradients.pair)
        self._accumulate(gradients)
        return gradients.input

    def _accumulate(self, gradients: Any) -> None:
        """Add the gradients of digital parameters to theirs."""
        for name in self._digital:
            parameter, values = getattr(self, name), gradients.digital.get(name)
            if parameter.requires_grad and values is not None:
                parameter.accumulate(values)

    def get_weights(self, **options: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return copies of weight and bias; options are those of the tile's `get_weights`."""
        return self.tile.get_weights(**options)

    def set_weights(self, weight: ArrayLike, bias: ArrayLike | None = None, **options: Any) -> Any:
        """Write weight and bias to the tile; options and result are those of its `set_weights`."""
        return self.tile.set_weights(weight, bias, **options)

    def own_tiles(self) -> dict[str, Any]:
        """Return the one tile or grid, named ``tile``."""
        return {"tile": self.tile}

    def shapes(self) -> str:
        """Return ``in -> out``."""
        return f"{self.in_features} -> {self.out_features}"

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return (
            f"{type(self).__name__}({self.in_features}, {self.out_features}{bias}, "
            f"rpu_config={self.tile.rpu_config!r})"
        )


class AnalogLinearMapped(AnalogLinear):
    """`AnalogLinear` whose weights are always on a `TileGrid`, also where one tile would do.

    Parameters are those of `AnalogLinear`.
    """

    def _build(self, *args: Any, **options: Any) -> TileGrid:
        return TileGrid(*args, **options)
