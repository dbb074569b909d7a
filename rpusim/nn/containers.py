"""Layers in a row."""

from collections.abc import Iterator
from textwrap import indent
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from rpusim.errors import ConfigError
from rpusim.nn.module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    r"""Chain of layers, each fed with the output of the one before.

    .. math::
        y = f_n(\dots f_2(f_1(x))), \qquad
        \frac{\partial L}{\partial x_{k}} = f_k'^{\,\mathsf T} \frac{\partial L}{\partial x_{k+1}}

    Parameters
    ----------
    *layers : Module
        In the order of the forward. ``model[i]``, ``model[i:j]``, ``len(model)`` and iteration give
        them back; the names of parameters and state begin with the layer's index.

    Examples
    --------
    >>> from rpusim.nn import Linear, ReLU
    >>> model = Sequential(Linear(4, 3, rng=0), ReLU(), Linear(3, 2, rng=1))
    >>> model(np.ones((5, 4))).shape, len(model), model[1]
    ((5, 2), 3, ReLU())
    """

    def __init__(self, *layers: Module):
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise ConfigError(
                    f"Sequential: layer {i} must be a Module, got {type(layer).__name__} {layer!r}."
                )
        self.layers = layers
        trained = (i for i, layer in enumerate(layers) if layer.parameters())
        self._first_trained = next(trained, len(layers))

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return the last layer's output."""
        y: Any = x
        for layer in self.layers:
            y = layer(y)
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = False) -> np.ndarray | None:
        """Run the layers' backward methods from last to first.

        Parameters
        ----------
        grad : array_like
            Gradient of the loss with respect to the output, as a loss function returns it.
        input_grad : bool, default False
            Whether the gradient with respect to the model's input is wanted too. Without it the
            first layer saves its product, and layers before the first with parameters all work.

        Returns
        -------
        ndarray or None
            Gradient with respect to the input, if wanted.
        """
        d: Any = grad
        for i in range(len(self.layers) - 1, -1, -1):
            if input_grad or i >= self._first_trained:
                d = self.layers[i].backward(d, input_grad=input_grad or i > self._first_trained)
            else:
                self.layers[i].forget()
        return d if input_grad else None

    def named_children(self) -> dict[str, Module]:
        """Return the layers by index, written as a string."""
        return {str(i): layer for i, layer in enumerate(self.layers)}

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def __repr__(self) -> str:
        inside = indent("".join(f"{layer!r},\n" for layer in self.layers), "  ")
        return f"Sequential(\n{inside})" if inside else "Sequential()"
