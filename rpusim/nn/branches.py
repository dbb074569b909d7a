"""Layers side by side: their outputs added, as in residual networks, or joined."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import any_array
from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.checks import as_float32, check_shape
from rpusim.nn.containers import Sequential
from rpusim.nn.module import Module

__all__ = ["Residual", "Concat"]

Float = NDArray[np.float32]


class Residual(Module):
    r"""A chain of layers with a way around it.

    .. math::
        y = f(x) + g(x), \qquad
        \frac{\partial L}{\partial x} = f'^{\,\mathsf T} d + g'^{\,\mathsf T} d

    Parameters
    ----------
    *layers : Module
        f, as a chain.
    shortcut : Module, optional
        g; by default the identity.

    Examples
    --------
    >>> from rpusim.nn import Linear, Tanh
    >>> Residual(Linear(3, 3, rng=0), Tanh())(np.zeros((5, 3))).shape
    (5, 3)
    """

    def __init__(self, *layers: Module, shortcut: Module | None = None):
        if not layers:
            raise ConfigError("Residual: there must be a layer or more, got none.")
        if shortcut is not None and not isinstance(shortcut, Module):
            raise ConfigError(f"Residual.shortcut must be a Module, got {shortcut!r}.")
        self.path = Sequential(*layers)
        self.shortcut = shortcut

    def forward(self, x: ArrayLike) -> Float:
        """Return y; both ways must end in the same shape."""
        x = as_float32(x, "Residual.forward: x")
        f, g = self.path(x), x if self.shortcut is None else self.shortcut(x)
        if f.shape != g.shape:
            raise ShapeError(
                f"Residual.forward: layers and shortcut must give one shape, got {f.shape} and "
                f"{g.shape}; a shortcut such as PadChannels or a layer changes the second."
            )
        self.keep(f.shape)
        return f + g

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Go back both ways; return the gradient with respect to x, of its shape, if wanted."""
        d = as_float32(grad, "Residual.backward: grad")
        check_shape(d, self.recall(), self)
        back = self.path.backward(d, input_grad)
        around: Any = d if self.shortcut is None else self.shortcut.backward(d, input_grad)
        return back + around if input_grad else None


class Concat(Module):
    r"""Branches that see the same input and whose outputs are joined, by default as channels.

    .. math::
        y = (f_1(x), f_2(x), \dots), \qquad
        \frac{\partial L}{\partial x} = \sum_i f_i'^{\,\mathsf T} d_i

    with :math:`d_i`, the part of :math:`d` that belongs to branch i.

    Parameters
    ----------
    *branches : Module
        What is joined, in this order.
    axis : int, default 1
        Along which; in all others the outputs must be equally long.

    Examples
    --------
    >>> from rpusim.nn import Linear, Tanh
    >>> Concat(Linear(3, 2, rng=0), Tanh())(np.zeros((5, 3))).shape
    (5, 5)
    """

    def __init__(self, *branches: Module, axis: int = 1):
        if not branches or not all(isinstance(branch, Module) for branch in branches):
            raise ConfigError(f"Concat: there must be branches, all Modules, got {branches!r}.")
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ConfigError(f"Concat.axis must be an integer, not 0 (the batch), got {axis!r}.")
        self.branches = branches
        self.axis = axis

    def forward(self, x: ArrayLike) -> Float:
        """Return y."""
        given = any_array(x, "Concat.forward: x")
        parts = [branch(given) for branch in self.branches]
        try:
            y = np.concatenate(parts, axis=self.axis)
        except ValueError:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ShapeError(
                f"Concat.forward: outputs must have one shape but for axis {self.axis}, got "
                f"{shapes}."
            ) from None
        self.keep((y.shape, np.cumsum([part.shape[self.axis] for part in parts[:-1]])))
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Go back through all; return the gradient with respect to x, of its shape, if wanted."""
        shape, cuts = self.recall()
        d = as_float32(grad, "Concat.backward: grad")
        check_shape(d, shape, self)
        parts = np.split(d, cuts, axis=self.axis)
        total: Any = None
        for branch, part in reversed(list(zip(self.branches, parts, strict=True))):
            back = branch.backward(part, input_grad)
            total = back if total is None else total + back
        return total if input_grad else None
