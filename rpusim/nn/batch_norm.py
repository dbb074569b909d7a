r"""Batch normalisation: channels with mean 0 and variance 1 over a batch, then scaled and shifted.

.. math::
    y = w\, \hat x + b, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}

with a mean, a variance, a w and a b for each channel. Arrays are seen as (batch, channels, places).
In evaluation running figures, which are part of the state, take the place of those of the batch.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.nn.checks import as_float32, as_number, as_size, check_shape
from rpusim.nn.module import Module
from rpusim.nn.parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d"]

Float = NDArray[np.float32]


class _BatchNorm(Module):
    """Normalisation over all axes but the second."""

    layouts: tuple[str, ...] = ()

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        fixed: bool = False,
    ):
        where = type(self).__name__
        self.channels = as_size(channels, f"{where}.channels")
        self.eps = as_number(eps, f"{where}.eps")
        self.momentum = as_number(momentum, f"{where}.momentum", highest=1.0)
        self.fixed = fixed
        self.weight = Parameter(np.ones(self.channels)) if affine else None
        self.bias = Parameter(np.zeros(self.channels)) if affine else None
        self.running_mean: Float = np.zeros(self.channels, np.float32)
        self.running_var: Float = np.ones(self.channels, np.float32)

    def forward(self, x: ArrayLike) -> Float:
        """Return y, of the shape of x."""
        x = self._checked(x)
        rows = x.reshape(len(x), self.channels, x[0, 0].size if x.size else 0)
        of_batch = self.training and not self.fixed
        if of_batch:
            self._check_count(x)
            n = x.size // self.channels
            mean = _over_batch(np.add.reduce(rows, axis=2)) / np.float32(n)
            centred = rows - mean[:, None]
            var = _over_batch(np.vecdot(centred, centred)) / np.float32(n)
            self._follow(mean, var * np.float32(n / (n - 1)))
        else:
            centred, var = rows - self.running_mean[:, None], self.running_var
        inverse = 1.0 / np.sqrt(var + np.float32(self.eps))
        normal = np.multiply(centred, inverse[:, None], out=centred)
        self.keep((normal, inverse, of_batch, x.shape))
        if self.weight is None or self.bias is None:
            return normal.reshape(x.shape)
        y = normal * self.weight.data[:, None]
        y += self.bias.data[:, None]
        return y.reshape(x.shape)

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Add to the gradients of weight and bias; return that of x, of its shape, if wanted."""
        normal, inverse, of_batch, shape = self.recall()
        d = as_float32(grad, f"{type(self).__name__}.backward: grad")
        check_shape(d, shape, self)
        d = d.reshape(normal.shape)
        d_weight = _over_batch(np.vecdot(d, normal))
        d_bias = _over_batch(np.add.reduce(d, axis=2))
        slope = inverse
        if self.weight is not None and self.bias is not None:
            if self.weight.requires_grad:
                self.weight.accumulate(d_weight)
            if self.bias.requires_grad:
                self.bias.accumulate(d_bias)
            slope = inverse * self.weight.data
        if not input_grad:
            return None
        if of_batch:
            n = np.float32(d.size // self.channels)
            back = normal * (-d_weight / n)[:, None]
            back += d
            back -= (d_bias / n)[:, None]
            back *= slope[:, None]
        else:
            back = d * slope[:, None]
        return back.reshape(shape)

    def _follow(self, mean: Float, var: Float) -> None:
        """Move the running figures towards those of a batch."""
        self.running_mean += np.float32(self.momentum) * (mean - self.running_mean)
        self.running_var += np.float32(self.momentum) * (var - self.running_var)

    def _checked(self, x: ArrayLike) -> Float:
        where = f"{type(self).__name__}.forward: x"
        x = as_float32(x, where)
        layouts = [layout.format(self.channels) for layout in self.layouts]
        if x.ndim not in [1 + layout.count(",") for layout in layouts] or (
            x.shape[1] != self.channels
        ):
            raise ShapeError(f"{where} must have shape {' or '.join(layouts)}, got {x.shape}.")
        return x

    def _check_count(self, x: Float) -> None:
        if x.size < 2 * self.channels:
            raise ShapeError(
                f"{type(self).__name__}.forward: x must hold two values or more of each channel in "
                f"training mode, for a variance, got shape {x.shape}; call eval() to use the "
                "running one."
            )

    def own_buffers(self) -> dict[str, Float]:
        """Return the running mean and variance."""
        return {"running_mean": self.running_mean, "running_var": self.running_var}

    def shapes(self) -> str:
        """Return the number of channels."""
        return f"{self.channels}"

    def __repr__(self) -> str:
        texts = [f"{self.channels}", "" if self.weight is not None else "affine=False"]
        texts += ["fixed=True"] if self.fixed else []
        return f"{type(self).__name__}({', '.join(filter(None, texts))})"


class BatchNorm2d(_BatchNorm):
    r"""Normalises each channel of images over batch and plane.

    .. math::
        y = w\, \hat x + b, \qquad \hat x = \frac{x - \mu}{s}, \quad s = \sqrt{\sigma^2 + \epsilon}

    .. math::
        \frac{\partial L}{\partial w} = \sum d\, \hat x, \quad
        \frac{\partial L}{\partial b} = \sum d, \quad
        \frac{\partial L}{\partial x} = \frac{w}{s} \Big(d - \frac1n \sum d
        - \frac{\hat x}{n} \sum d\, \hat x \Big)

    with sums over the n values of a channel. In training, :math:`\mu` and :math:`\sigma^2` are mean
    and variance of the batch (the mean square, :math:`1/n`), and running ones follow them by

    .. math::
        \bar\mu \leftarrow \bar\mu + m (\mu - \bar\mu), \qquad
        \bar\sigma^2 \leftarrow \bar\sigma^2 + m \Big(\frac{n}{n - 1} \sigma^2 - \bar\sigma^2 \Big)

    In evaluation the running ones normalise. They do so always in a `fixed` layer; being constants,
    they leave of the gradient with respect to x its first term.

    Parameters
    ----------
    channels : int
        Length of the second axis.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float, default 0.1
        m, in 0..1.
    affine : bool, default True
        Whether there are w and b.
    fixed : bool, default False
        Whether the running mean and variance stay, and are used in training too: for training on
        from a pretrained model. The attribute `fixed` may be changed at any time.

    Attributes
    ----------
    weight, bias : Parameter of shape (channels,), or None
    running_mean, running_var : ndarray of shape (channels,)

    Examples
    --------
    >>> layer = BatchNorm2d(1)
    >>> layer([[[[1.0, 3.0]]], [[[3.0, 1.0]]]]).ravel().round(3)
    array([-1.,  1.,  1., -1.], dtype=float32)
    >>> layer.running_mean, layer.running_var.round(3)
    (array([0.2], dtype=float32), array([1.033], dtype=float32))
    """

    layouts = ("(batch, {}, height, width)",)


class BatchNorm1d(_BatchNorm):
    """`BatchNorm2d` for vectors, shape (batch, channels), or sequences, (batch, channels, length).

    Parameters
    ----------
    channels : int
        Length of the second axis.
    eps, momentum, affine, fixed
        As for `BatchNorm2d`.

    Attributes
    ----------
    weight, bias : Parameter of shape (channels,), or None
    running_mean, running_var : ndarray of shape (channels,)

    Examples
    --------
    >>> layer = BatchNorm1d(2, affine=False)
    >>> layer([[1.0, 5.0], [3.0, 5.0]]).round(3)
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """

    layouts = ("(batch, {})", "(batch, {}, length)")


def _over_batch(sums: Float) -> Float:
    """Return the sum over the batch of sums over places, (batch, channels), by float64."""
    return np.add.reduce(sums, axis=0, dtype=np.float64).astype(np.float32)
