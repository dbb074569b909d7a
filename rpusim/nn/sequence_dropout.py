"""Dropout between recurrent layers, whose draws are counted and saved with the model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.kernels.streams import Streams
from rpusim.nn.module import Module

__all__ = ["SequenceDropout"]

Float = NDArray[np.float32]

#: A buffer is float32, which holds integers of 16 bits: eight for the seed, three for the count.
SEED_WORDS, COUNT_WORDS = 8, 3


class SequenceDropout(Module):
    r"""Sets numbers to 0 with probability p, divides the others by 1 - p; in training only.

    The mask of the n-th call follows from the seed and n, which are part of the state.

    Parameters
    ----------
    p : float
        Probability, 0 <= p < 1.
    rng : None, int, SeedSequence or Generator
        Where the seed comes from.
    """

    def __init__(self, p: float, rng: Any = None):
        self.p = p
        self._state = _words(Streams(rng).seed, SEED_WORDS + COUNT_WORDS)

    def own_buffers(self) -> dict[str, np.ndarray]:
        """Return seed and count."""
        return {"state": self._state}

    def forward(self, x: Float) -> Float:
        """Return x with zeros, or in evaluation mode x."""
        if not self.training:
            return x
        seed = _number(self._state[:SEED_WORDS])
        count = _number(self._state[SEED_WORDS:])
        self._state[SEED_WORDS:] = _words(count + 1, COUNT_WORDS)
        draw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(count,)))
        factors = (draw.random(x.shape, np.float32) >= self.p).astype(np.float32)
        factors /= np.float32(1.0 - self.p)
        self.keep(factors)
        return x * factors

    def backward(self, grad: Float, input_grad: bool = True) -> Float | None:
        """Return the gradient through the same mask."""
        factors = self.recall()
        return grad * factors if input_grad else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p})"


def _words(number: int, count: int) -> Float:
    return np.array([(number >> (16 * k)) & 0xFFFF for k in range(count)], np.float32)


def _number(words: Float) -> int:
    return sum(int(word) << (16 * k) for k, word in enumerate(words))
