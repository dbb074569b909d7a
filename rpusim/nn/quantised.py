r"""Layers whose weights and outputs have few bits: forward rounded, backward straight through.

.. math::
    \frac{\partial L}{\partial v} = \frac{\partial L}{\partial Q(v)}
    \text{ where the code of } v \text{ is not clipped, else } 0

Rounding counts as the identity, the grid of `rpusim.periphery.ranges` as a constant. A layer rounds
what it gives out; put a `QuantActivation` before the first one to round its input too.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.checks import as_float32, check_shape
from rpusim.nn.linear import Linear
from rpusim.nn.module import Module
from rpusim.periphery.ranges import (
    ActivationQuantConfig,
    AdaptiveQuantiser,
    QuantState,
    WeightQuantConfig,
)

__all__ = ["QuantActivation", "QuantLinear", "set_quant_state"]


class QuantActivation(Module):
    """Rounds what passes to a grid of few bits, whose range follows the batches.

    By default the range is a running one, followed in training and kept in evaluation, where a
    first batch makes one if there is none; `set_quant_state` says otherwise. The arrays of its
    `quantiser` are part of the state.

    Parameters
    ----------
    config : ActivationQuantConfig, optional
        Bits, kind of grid, estimator of the range; the default, 0 bits, changes nothing.

    Examples
    --------
    >>> layer = QuantActivation(ActivationQuantConfig(n_bits=2))
    >>> layer([[-0.2, 0.4, 1.0]])
    array([[0., 0., 1.]], dtype=float32)
    """

    def __init__(self, config: ActivationQuantConfig | None = None):
        self.config = _checked(config, ActivationQuantConfig, "QuantActivation.config")
        self.quantiser = AdaptiveQuantiser(self.config)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return Q(x), of the shape of x."""
        x = as_float32(x, "QuantActivation.forward: x")
        self.quantiser.follow(x, self.training)
        if self.training:
            self.keep(self.quantiser.inside(x))
        return self.quantiser(x)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Return the gradient with respect to x where nothing was clipped, else 0, if wanted."""
        inside, d = self.recall(), as_float32(grad, "QuantActivation.backward: grad")
        check_shape(d, inside.shape, self)
        return d * inside if input_grad else None

    def own_buffers(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays of the quantiser."""
        return _buffers(self.quantiser)

    def shapes(self) -> str:
        """Return the number of bits."""
        return f"{self.config.n_bits} bits"

    def __repr__(self) -> str:
        return f"QuantActivation({self.config!r})"


class QuantLinear(Linear):
    r"""Fully connected layer with weights and outputs of few bits; the bias is exact.

    .. math::
        y = Q_a(Q_w(W)\, x + b), \qquad
        \frac{\partial L}{\partial x} = Q_w(W)^\mathsf{T} d', \quad
        \frac{\partial L}{\partial W} = \mathbf{1}_w \circ \sum_n d'_n x_n^\mathsf{T}, \quad
        d' = \mathbf{1}_a \circ d

    where the masks are 0 at what was clipped and 1 elsewhere. The weights themselves stay exact:
    they are what is trained. Each forward rounds them anew, to the grid that fits them then.

    Parameters
    ----------
    in_features, out_features, bias, rng
        As for `Linear`.
    weight_quant : WeightQuantConfig, optional
        Grid of the weights; the default, 0 bits, is none.
    activation_quant : ActivationQuantConfig, optional
        Grid of the outputs; the default, 0 bits, is none.

    Attributes
    ----------
    weight, bias : Parameter
        Exact; ``quantiser(layer.weight.data)`` is what multiplies.
    quantiser : AdaptiveQuantiser
        The grid of the weights.
    output : QuantActivation
        The grid of the outputs.

    Examples
    --------
    >>> layer = QuantLinear(3, 2, weight_quant=WeightQuantConfig(n_bits=4), rng=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        weight_quant: WeightQuantConfig | None = None,
        activation_quant: ActivationQuantConfig | None = None,
        *,
        rng: Any = None,
    ):
        super().__init__(in_features, out_features, bias, rng=rng)
        config = _checked(weight_quant, WeightQuantConfig, "QuantLinear.weight_quant")
        self.quantiser = AdaptiveQuantiser(config, (out_features,) if config.per_channel else ())
        self.output = QuantActivation(activation_quant)

    def forward(self, x: ArrayLike) -> NDArray[np.float32]:
        """Return y of shape (..., out) for x of shape (..., in)."""
        x = as_float32(x, "QuantLinear.forward: x")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"QuantLinear.forward: x must have shape (..., {self.in_features}), got {x.shape}."
            )
        self.quantiser.follow(self.weight.data, self.training)
        w = self.quantiser(self.weight.data)
        y = x @ w.T
        if self.bias is not None:
            y += self.bias.data
        y = self.output(y)
        if self.training:
            self.keep((x, w, self.quantiser.inside(self.weight.data)))
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> NDArray[np.float32] | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        x, w, inside = self.recall()
        d: Any = as_float32(grad, "QuantLinear.backward: grad")
        check_shape(d, (*x.shape[:-1], self.out_features), self)
        d = self.output.backward(d)
        d_rows = d.reshape(-1, self.out_features)
        if self.weight.requires_grad:
            self.weight.accumulate(d_rows.T @ x.reshape(-1, self.in_features) * inside)
        if self.bias is not None and self.bias.requires_grad:
            self.bias.accumulate(np.add.reduce(d_rows, axis=0))
        return d @ w if input_grad else None

    def own_buffers(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays of the weights' quantiser."""
        return _buffers(self.quantiser)

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return (
            f"QuantLinear({self.in_features}, {self.out_features}{bias}, "
            f"weight_quant={self.quantiser.config!r}, activation_quant={self.output.config!r})"
        )


def set_quant_state(model: Module, state: QuantState | str) -> None:
    """Say when the quantisers of a model estimate their ranges, from now on.

    To calibrate: ``"estimate"``, some batches in evaluation mode, ``"fix"``.

    Parameters
    ----------
    model : Module
        The model; weights and outputs of all its quantised layers are meant.
    state : QuantState or str
        ``"estimate"``: in each forward, ``"estimate_train"``: in training, ``"fix"``: no more.
    """
    for _, layer in model.named_modules():
        if isinstance(layer, QuantActivation | QuantLinear):
            layer.quantiser.set_state(state)


def _checked(config: Any, kind: type, where: str) -> Any:
    """Return the configuration, the default for None; refuse one of another class."""
    if config is None:
        return kind()
    if not isinstance(config, kind):
        raise ConfigError(f"{where} must be a {kind.__name__}, got {config!r}.")
    return config


def _buffers(quantiser: AdaptiveQuantiser) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a quantiser as a layer's buffers; none if it does nothing."""
    arrays = quantiser.arrays if quantiser.n_bits else {}
    return {f"quantiser.{name}": array for name, array in arrays.items()}
