"""Dropout: in training, some values are zero, drawn anew in each forward."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.kernels import random
from rpusim.kernels.streams import Purpose, Streams
from rpusim.nn.checks import as_float32, as_number, check_shape
from rpusim.nn.module import Module

__all__ = ["Dropout"]

Float = NDArray[np.float32]

#: Buffers are float32, which holds integers of this many bits exactly.
BITS = 16


class Dropout(Module):
    r"""Sets values to zero in training, each with probability p, and makes up for it.

    .. math::
        y = \frac{m}{1 - p}\, x, \qquad \frac{\partial L}{\partial x} = \frac{m}{1 - p}\, d, \qquad
        m = 1 \text{ with probability } 1 - p, \text{ else } 0

    In evaluation y = x. Draws are counted: which values are dropped follows from the seed, the
    number of the forward and the place in the batch. Seed and number are part of the state, so a
    restored model goes on with the masks that the first one would have drawn.

    Parameters
    ----------
    p : float, default 0.5
        In 0..1, 1 excluded.
    rng : None, int, SeedSequence or Generator
        Where the seed comes from.

    Attributes
    ----------
    seed : int
        As `rng`, it makes the same layer again.

    Examples
    --------
    >>> layer = Dropout(0.5, rng=1)
    >>> layer(np.ones(8))
    array([2., 0., 0., 0., 0., 2., 2., 0.], dtype=float32)
    >>> layer.eval()(np.ones(3))
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, *, rng: Any = None):
        self.p = as_number(p, "Dropout.p", 1.0, or_less=False)
        streams = Streams(rng)
        self.seed: int = streams.seed
        self._stream = _pieces(*streams.key(Purpose.FORWARD), 0, 0)

    def forward(self, x: ArrayLike) -> Float:
        """Return y, of the shape of x."""
        x = as_float32(x, "Dropout.forward: x")
        if not self.training:
            self.keep(np.ones(x.shape, np.float32))
            return x
        mask = self._draw(x.shape)
        self.keep(mask)
        return x * mask

    def backward(self, grad: ArrayLike, input_grad: bool = True) -> Float | None:
        """Return the gradient with respect to x, of its shape, if wanted."""
        mask, d = self.recall(), as_float32(grad, "Dropout.backward: grad")
        check_shape(d, mask.shape, self)
        return d * mask if input_grad else None

    def _draw(self, shape: tuple[int, ...]) -> Float:
        """Return a new mask m / (1 - p), and count it."""
        k0, k1, low, high = _words(self._stream)
        self._stream[...] = _pieces(k0, k1, *_next(low, high))
        kept = random.uniforms(shape, (k0, k1), low, high) > np.float32(self.p)
        return np.multiply(kept, np.float32(1.0 / (1.0 - self.p)))

    def own_buffers(self) -> dict[str, Float]:
        """Return the key of the draws and how many there were, in pieces of 16 bits."""
        return {"stream": self._stream}

    def __repr__(self) -> str:
        return f"Dropout({self.p:g})"


def _next(low: int, high: int) -> tuple[int, int]:
    """Return the two words of a counter plus 1."""
    count = (low | high << 2 * BITS) + 1
    return count & 0xFFFFFFFF, count >> 2 * BITS


def _pieces(*words: int) -> Float:
    """Return 32-bit words as numbers of 16 bits, lower half first."""
    halves = [(word >> shift) & 0xFFFF for word in words for shift in (0, BITS)]
    return np.array(halves, np.float32)


def _words(pieces: Float) -> list[int]:
    """Return the words that `_pieces` took apart."""
    halves = [int(piece) for piece in pieces]
    return [low | high << BITS for low, high in zip(halves[::2], halves[1::2], strict=True)]
