"""Layer normalisation: every sample by itself, over its last dimensions."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.nn.checks import as_float32, as_number, as_sizes, check_shape
from rpusim.nn.module import Module
from rpusim.nn.parameter import Parameter

__all__ = ["LayerNorm"]

Float = NDArray[np.float32]


class LayerNorm(Module):
    r"""Normalises what is in the last dimensions, then scales and shifts each place.

    .. math::
        y = w\, \hat x + b, \qquad \hat x = \frac{x - \mu}{s}, \quad s = \sqrt{\sigma^2 + \epsilon}

    .. math::
        \frac{\partial L}{\partial w} = \sum_\mathrm{rows} d\, \hat x, \quad
        \frac{\partial L}{\partial b} = \sum_\mathrm{rows} d, \quad
        \frac{\partial L}{\partial x} = \frac1s \Big(d w - \langle d w \rangle
        - \hat x\, \langle d w\, \hat x \rangle \Big)

    with the mean :math:`\mu = \langle x \rangle` and mean square deviation :math:`\sigma^2` of each
    row, that is, over `shape`.

    Parameters
    ----------
    shape : int or tuple of int
        The last dimensions of x.
    eps : float, default 1e-5
        Added to the variance.
    affine : bool, default True
        Whether there are w and b.

    Attributes
    ----------
    weight, bias : Parameter of that shape, or None

    Examples
    --------
    >>> LayerNorm(4)([[1.0, 1.0, 3.0, 3.0]]).round(3)
    array([[-1., -1.,  1.,  1.]], dtype=float32)
    """

    def __init__(self, shape: Any, eps: float = 1e-5, affine: bool = True):
        count = len(shape) if isinstance(shape, list | tuple) and shape else 1
        self.shape = as_sizes(shape, count, "LayerNorm.shape")
        self.eps = as_number(eps, "LayerNorm.eps")
        self.weight = Parameter(np.ones(self.shape)) if affine else None
        self.bias = Parameter(np.zeros(self.shape)) if affine else None

    def forward(self, x: ArrayLike) -> Float:
        """Return y, of the shape of x, (..., *shape)."""
        x = as_float32(x, "LayerNorm.forward: x")
        if x.shape[max(x.ndim - len(self.shape), 0) :] != self.shape:
            raise ShapeError(
                f"LayerNorm.forward: the last dimensions of x must be {self.shape}, got shape "
                f"{x.shape}."
            )
        axes = tuple(range(-len(self.shape), 0))
        normal = x - x.mean(axes, keepdims=True)
        inverse = 1.0 / np.sqrt(np.square(normal).mean(axes, keepdims=True) + np.float32(self.eps))
        normal *= inverse
        self.keep((normal, inverse))
        if self.weight is None or self.bias is None:
            return normal
        return normal * self.weight.data + self.bias.data

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        normal, inverse = self.recall()
        d = as_float32(grad, "LayerNorm.backward: grad")
        check_shape(d, normal.shape, self)
        axes = tuple(range(-len(self.shape), 0))
        if self.weight is not None and self.bias is not None:
            rows = tuple(range(d.ndim - len(self.shape)))
            if self.weight.requires_grad:
                self.weight.accumulate(np.add.reduce(d * normal, axis=rows))
            if self.bias.requires_grad:
                self.bias.accumulate(np.add.reduce(d, axis=rows))
            d = d * self.weight.data
        if not input_grad:
            return None
        back = d - d.mean(axes, keepdims=True)
        back -= normal * (d * normal).mean(axes, keepdims=True)
        back *= inverse
        return back

    def shapes(self) -> str:
        """Return the dimensions it normalises over."""
        return " x ".join(map(str, self.shape))

    def __repr__(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"LayerNorm({self.shape}{affine})"
