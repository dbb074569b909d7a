"""Activation functions, each a layer: the function, and its slope, mostly in terms of its output.

Float32 in and out, arrays of any shape; `LogSoftmax` works along the last axis.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.nn.checks import as_float32, as_number, check_shape
from rpusim.nn.module import Module

__all__ = ["Sigmoid", "Tanh", "ReLU", "LeakyReLU", "Softplus", "GELU", "LogSoftmax"]

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


class LeakyReLU(_Activation):
    r"""Rectifier that lets a part of what is negative through: x if x > 0, else slope times x.

    Its slope is 1 where y > 0 and `slope` elsewhere, also at x = 0.

    Parameters
    ----------
    slope : float, default 0.01
        In 0..1, 1 excluded.

    Examples
    --------
    >>> LeakyReLU(0.2)([-1.0, 2.0])
    array([-0.2,  2. ], dtype=float32)
    """

    def __init__(self, slope: float = 0.01):
        self.slope = as_number(slope, "LeakyReLU.slope", 1.0, or_less=False)

    def value(self, x: Float) -> Float:  # type: ignore[override]
        """Return max(x, slope x)."""
        return np.maximum(x, np.float32(self.slope) * x)

    def pull(self, y: Float, d: Float) -> Float:  # type: ignore[override]
        """Return d where y > 0, else slope d."""
        return np.multiply(d, np.maximum(y > 0.0, np.float32(self.slope)))

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope:g})"


class Softplus(_Activation):
    r"""Smooth rectifier :math:`y = \ln(1 + e^x)`, slope :math:`1 - e^{-y}`.

    Examples
    --------
    >>> Softplus()([-200.0, 0.0, 200.0])
    array([  0.       ,   0.6931472, 200.       ], dtype=float32)
    """

    @staticmethod
    def value(x: Float) -> Float:
        """Return max(x, 0) + ln(1 + exp(-|x|)), which does not overflow."""
        y = np.log1p(np.exp(-np.abs(x)))
        y += np.maximum(x, 0.0)
        return y

    @staticmethod
    def pull(y: Float, d: Float) -> Float:
        """Return d (1 - exp(-y))."""
        return np.multiply(d, -np.expm1(-y))


class GELU(Module):
    r"""Input times the normal probability :math:`\Phi` below it, as transformers use it.

    .. math::
        y = x\, \Phi(x), \qquad
        \frac{\partial L}{\partial x} = d\, \Big(\Phi(x) + \frac{x}{\sqrt{2\pi}} e^{-x^2/2}\Big)

    Examples
    --------
    >>> GELU()([-1.0, 0.0, 10.0]).round(3)
    array([-0.159,  0.   , 10.   ], dtype=float32)
    """

    def forward(self, x: ArrayLike) -> Float:
        """Return y, of the shape of x."""
        x = as_float32(x, "GELU.forward: x")
        self.keep(x)
        return x * _normal_probability(x)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        x, d = self.recall(), as_float32(grad, "GELU.backward: grad")
        check_shape(d, x.shape, self)
        if not input_grad:
            return None
        density = np.exp(-0.5 * np.square(x)) * np.float32(1.0 / math.sqrt(2.0 * math.pi))
        return d * (_normal_probability(x) + x * density)


def _normal_probability(x: Float) -> Float:
    from scipy.special import ndtr  # slow to import

    return ndtr(x)


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
