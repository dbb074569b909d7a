"""Activation functions, each a layer: the function, and its slope in terms of its output.

Float32 in and out, arrays of any shape; `LogSoftmax` works along the last axis.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.nn.checks import as_float32, check_shape
from rpusim.nn.module import Module

__all__ = ["Sigmoid", "Tanh", "ReLU", "LogSoftmax"]

Float = NDArray[np.float32]

#: exp(87) is still a float32, so 1 / (1 + exp(87)) is tiny but exact in all digits.
LARGEST_EXPONENT = 87.0


class _Activation(Module):
    """Layer without parameters whose backward needs its own output only.

    A subclass defines `value`, the function, and `pull`, which turns the gradient with respect
    to the output into the one with respect to the input. Both return new arrays.
    """

    @staticmethod
    def value(x: Float) -> Float:
        """Return y for x."""
        raise NotImplementedError

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return dL/dx for the output y and d = dL/dy."""
        raise NotImplementedError

    def forward(self, x: ArrayLike) -> Float:
        """Return y, of the shape of x."""
        y = self.value(as_float32(x, f"{type(self).__name__}.forward: x"))
        self.keep(y)
        return y

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        y, d = self.recall(), as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, y.shape, self)
        return self.pull(y, d) if input_grad else None


class Sigmoid(_Activation):
    r"""Logistic function :math:`y = 1 / (1 + e^{-x})`, slope :math:`y (1 - y)`.

    Below x = -87, where the exponential leaves float32, y stays at its value there, 1.6e-38.
    """

    @staticmethod
    def value(x: Float) -> Float:
        """Return 1 / (1 + exp(-x))."""
        y = np.negative(x)
        np.minimum(y, LARGEST_EXPONENT, out=y)
        np.exp(y, out=y)
        y += 1.0
        return np.reciprocal(y, out=y)

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return d y (1 - y)."""
        slope = np.subtract(1.0, y)
        slope *= y
        slope *= d
        return slope


class Tanh(_Activation):
    """Hyperbolic tangent, slope 1 - y**2."""

    @staticmethod
    def value(x: Float) -> Float:
        """Return tanh(x)."""
        return np.tanh(x)

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return d (1 - y**2)."""
        slope = np.multiply(y, y)
        np.subtract(1.0, slope, out=slope)
        slope *= d
        return slope


class ReLU(_Activation):
    """Rectifier y = max(x, 0), slope 1 where y > 0 and 0 elsewhere, also at x = 0."""

    @staticmethod
    def value(x: Float) -> Float:
        """Return max(x, 0)."""
        return np.maximum(x, 0.0)

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return d where y > 0, else 0."""
        return np.multiply(d, y > 0.0)


class LogSoftmax(_Activation):
    r"""Log-probabilities :math:`y_i = x_i - \ln \sum_j e^{x_j}` along the last axis.

    .. math::
        \frac{\partial L}{\partial x_i} = d_i - e^{y_i} \sum_j d_j
    """

    @staticmethod
    def value(x: Float) -> Float:
        """Return x - ln(sum(exp(x))), computed relative to the largest x."""
        y = np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True))
        y -= np.log(np.add.reduce(np.exp(y), axis=-1, keepdims=True))
        return y

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return d - exp(y) sum(d)."""
        back = np.exp(y)
        back *= np.add.reduce(d, axis=-1, keepdims=True)
        return np.subtract(d, back, out=back)
