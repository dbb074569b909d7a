"""What joins recurrent layers to others in a chain: they take the output, and leave the states."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.nn.checks import as_flag, as_float32, check_shape
from rpusim.nn.module import Module

__all__ = ["AllSteps", "LastStep"]

Float = NDArray[np.float32]


class AllSteps(Module):
    """Output of a recurrent layer at all time steps.

    Examples
    --------
    >>> from rpusim import nn
    >>> model = nn.Sequential(nn.RNN(nn.GRUCell, 3, 4, rng=0), AllSteps(), nn.Linear(4, 2, rng=1))
    >>> model(np.ones((7, 5, 3))).shape
    (7, 5, 2)
    """

    def _output(self, x: Any) -> Float:
        if not (isinstance(x, tuple) and len(x) == 2 and getattr(x[0], "ndim", 0) in (2, 3)):
            raise ShapeError(
                f"{type(self).__name__}.forward: x must be what a recurrent layer returns, "
                f"(output, states), got {type(x).__name__}; put it behind an RNN or AnalogRNN."
            )
        return x[0]

    def forward(self, x: Any) -> Float:
        """Return the output of (output, states)."""
        y = self._output(x)
        self.keep(y.shape)
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to the output."""
        shape, d = self.recall(), as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, shape, self)
        return d if input_grad else None


class LastStep(AllSteps):
    """Output of a recurrent layer at the last time step.

    The reverse direction of a layer that goes both ways has made one step there.

    Parameters
    ----------
    batch_first : bool, default False
        As of the recurrent layer.

    Examples
    --------
    >>> from rpusim import nn
    >>> model = nn.Sequential(nn.RNN(nn.GRUCell, 3, 4, rng=0), LastStep(), nn.Linear(4, 2, rng=1))
    >>> model(np.ones((7, 5, 3))).shape
    (5, 2)
    """

    def __init__(self, batch_first: bool = False):
        self.batch_first = as_flag(batch_first, f"{type(self).__name__}.batch_first")

    def _last(self, ndim: int) -> Any:
        """Return the index of the last step."""
        return (slice(None), -1) if self.batch_first and ndim == 3 else -1

    def forward(self, x: Any) -> Float:
        """Return the output of the last step of (output, states)."""
        y = self._output(x)
        last = y[self._last(y.ndim)]
        self.keep((y.shape, last.shape))
        return last

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to the output: zeros but for the last step."""
        shape, last = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, last, self)
        if not input_grad:
            return None
        back = np.zeros(shape, np.float32)
        back[self._last(len(shape))] = d
        return back

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'batch_first=True' if self.batch_first else ''})"
