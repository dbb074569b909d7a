"""Pairs that are computed when they are needed, and what is done with all pairs of a step.

A convolution over a large batch has more patches than are worth keeping: its pairs are made again,
one after the other, when an update or a norm asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import host
from rpusim.tiles.pairs import Pair, joined, multiplied, outer_product, scaled, squared_norm

__all__ = ["LazyPair", "gradient", "norm_squared", "rescaled", "updates"]


class LazyPair:
    """A pair that is computed when it is needed.

    Parameters
    ----------
    compute : callable
        Returns the pair.
    scale : float
        Factor of its errors.
    """

    def __init__(self, compute: Callable[[], Pair], scale: float = 1.0) -> None:
        self._compute, self.scale = compute, scale

    def __call__(self) -> Pair:
        """Return the pair."""
        x, d = self._compute()
        return (x, d) if self.scale == 1.0 else scaled(x, d, self.scale)


def updates(pairs: Sequence[Any], whole: bool) -> Iterator[Pair]:
    """Yield what to update with: all pairs as one, but lazy ones each by itself.

    Parameters
    ----------
    pairs : sequence of pairs or LazyPair
        In their order.
    whole : bool
        Whether lazy ones are joined, too: for tiles to which it matters what a batch is.
    """
    run: list[Pair] = []
    for pair in pairs:
        if isinstance(pair, LazyPair) and not whole:
            if run:
                yield joined(run)
            run = []
            yield pair()
        else:
            run.append(_computed(pair))
    if run:
        yield joined(run)


def gradient(pairs: Sequence[Any], column: bool | None = None) -> np.ndarray:
    """Return the gradient that pairs imply together.

    Parameters
    ----------
    pairs : sequence of pairs or LazyPair
        At least one.
    column : bool, optional
        Whether the tile holds a bias as its last column, see `rpusim.tiles.pairs.multiplied`;
        default: that of the weights alone.
    """
    if column is None:
        return np.asarray(host(sum(outer_product(*_computed(pair)) for pair in pairs)))
    if not any(isinstance(pair, LazyPair) for pair in pairs):
        return np.asarray(host(multiplied(*joined(pairs), column)))
    return np.asarray(host(sum(multiplied(*_computed(pair), column) for pair in pairs)))


def norm_squared(pairs: Sequence[Any], column: bool = False) -> float:
    """Return the squared Frobenius norm of that gradient, in double precision.

    Parameters
    ----------
    pairs : sequence of pairs or LazyPair
        At least one.
    column : bool
        Whether the column of an analog bias counts too.
    """
    if not any(isinstance(pair, LazyPair) for pair in pairs):
        return squared_norm(*joined(pairs), column)
    return float(np.sum(np.square(gradient(pairs, column), dtype=np.float64)))


def rescaled(pair: Any, factor: float) -> Any:
    """Return a pair whose gradient is `factor` times that of another.

    Parameters
    ----------
    pair : pair or LazyPair
        The other.
    factor : float
        The factor.
    """
    if isinstance(pair, LazyPair):
        return LazyPair(pair._compute, pair.scale * factor)
    x, d = pair
    return scaled(x, d, factor)


def _computed(pair: Any) -> Pair:
    return pair() if isinstance(pair, LazyPair) else pair
