r"""Pairs of vectors of which an update is made: arrays, or a version of them for every tile.

The gradient of the weights is :math:`\sum_b d_b x_b^\mathsf{T}`. In a grid, each tile clips inputs
to its own range and masks errors where its own converters saturated: block (i, j) of the gradient
is made of vectors that only tile (i, j) has seen. Where all tiles agree the pair is two arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

__all__ = [
    "LazyPair",
    "Pair",
    "TileVectors",
    "computed",
    "joined",
    "outer_product",
    "pair_of",
    "updates",
]

Parts = Sequence[Sequence[np.ndarray]]
Pair = tuple[Any, Any]


class TileVectors:
    """Vectors of which each tile of a grid has a version of its own part.

    Parameters
    ----------
    parts : sequence of sequences of ndarray
        By input and output block, each of shape (batch, size of the block).
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = tuple(tuple(column) for column in parts)

    def __len__(self) -> int:
        return len(self.parts[0][0])

    def __repr__(self) -> str:
        blocks = f"{len(self.parts)} x {len(self.parts[0])}"
        return f"TileVectors({len(self)} vectors, in a version for each of {blocks} tiles)"


class LazyPair:
    """A pair that is computed when it is needed: of more vectors than are worth keeping.

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
        if self.scale == 1.0:
            return x, d
        if isinstance(d, TileVectors):
            factor = np.float32(self.scale)
            return x, TileVectors([[own * factor for own in column] for column in d.parts])
        return x, d * np.float32(self.scale)

    def scaled(self, factor: float) -> LazyPair:
        """Return the same pair with its errors multiplied by a factor."""
        return LazyPair(self._compute, self.scale * factor)


def computed(pair: Any) -> Pair:
    """Return a pair, computed if it is lazy.

    Parameters
    ----------
    pair : pair or LazyPair
        What is wanted.
    """
    return pair() if isinstance(pair, LazyPair) else pair


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
            run.append(computed(pair))
    if run:
        yield joined(run)


def pair_of(inputs: Parts, errors: Parts) -> Pair:
    """Return the pair of a grid, from those of its tiles by input and output block.

    Parameters
    ----------
    inputs, errors : sequence of sequences of ndarray
        Each tile's own.

    Returns
    -------
    (ndarray, ndarray) or (TileVectors, TileVectors)
        Arrays of shape (batch, in) and (batch, out) if tiles of the same inputs or outputs agree.
    """
    agree = all(_same(own, column[0]) for column in inputs for own in column)
    agree = agree and all(_same(*pair) for column in errors for pair in zip(column, errors[0]))  # noqa: B905
    if not agree:
        return TileVectors(inputs), TileVectors(errors)
    x, d = [column[0] for column in inputs], list(errors[0])
    return _side_by_side(x), _side_by_side(d)


def joined(pairs: Sequence[Pair]) -> Pair:
    """Return several pairs as one, in their order."""
    if len(pairs) == 1:
        return pairs[0]
    apart = next((pair for pair in pairs if isinstance(pair[0], TileVectors)), None)
    if apart is None:
        inputs, errors = zip(*pairs, strict=True)
        return np.concatenate(inputs), np.concatenate(errors)
    x = [_apart(x, apart[0], True) for x, _ in pairs]
    d = [_apart(d, apart[1], False) for _, d in pairs]
    return _one_after_the_other(x), _one_after_the_other(d)


def outer_product(x: Any, d: Any) -> np.ndarray:
    """Return the sum of the outer products of a pair, of shape (out, in)."""
    if not isinstance(x, TileVectors):
        return d.T @ x
    blocks = [
        np.concatenate([own.T @ part for part, own in zip(*columns, strict=True)])
        for columns in zip(x.parts, d.parts, strict=True)
    ]
    return np.concatenate(blocks, axis=1)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a is b or np.array_equal(a, b)


def _side_by_side(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _apart(vectors: Any, like: TileVectors, inputs: bool) -> TileVectors:
    """Return vectors in versions for each tile, cut as others are."""
    if isinstance(vectors, TileVectors):
        return vectors
    blocks = [column[0] for column in like.parts] if inputs else like.parts[0]
    ends = np.cumsum([block.shape[1] for block in blocks])
    parts = np.split(vectors, ends[:-1], axis=1)
    places = [[(i, j) for j in range(len(column))] for i, column in enumerate(like.parts)]
    return TileVectors([[parts[i if inputs else j] for i, j in column] for column in places])


def _one_after_the_other(several: list[TileVectors]) -> TileVectors:
    columns = zip(*(vectors.parts for vectors in several), strict=True)
    return TileVectors(
        [[np.concatenate(own) for own in zip(*column, strict=True)] for column in columns]
    )
