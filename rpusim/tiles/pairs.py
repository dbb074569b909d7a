r"""Pairs of vectors of which an update is made: arrays, or a version of them for every tile.

All that looks into pairs stands here: joining, multiplying out, norms, scaling.

The gradient of the weights is :math:`\sum_b d_b x_b^\mathsf{T}`. In a grid, each tile clips inputs
to its own range and masks errors where its own converters saturated: block (i, j) of the gradient
is made of vectors that only tile (i, j) has seen. Where all tiles agree the pair is two arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "Multiplied",
    "Pair",
    "TileVectors",
    "joined",
    "multiplied",
    "outer_product",
    "pair_of",
    "scaled",
    "squared_norm",
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


class Multiplied:
    """A gradient that was multiplied out and changed, so that no vectors make it any more.

    It stands for both sides of a pair; only tiles that learn in digital can be moved by it.

    Parameters
    ----------
    matrix : ndarray of shape (out, in) or (out, in + 1)
        The gradient, with that of an analog bias as its last column.
    in_size : int
        Inputs without an analog bias.
    """

    def __init__(self, matrix: np.ndarray, in_size: int) -> None:
        self.matrix, self.in_size = matrix, in_size

    def __len__(self) -> int:
        return len(self.matrix)


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
    done = next((d for _, d in pairs if isinstance(d, Multiplied)), None)
    if done is not None:
        column = done.matrix.shape[1] > done.in_size
        total = sum(multiplied(x, d, column) for x, d in pairs)
        whole = Multiplied(np.asarray(total), done.in_size)
        return whole, whole
    apart = next((pair for pair in pairs if isinstance(pair[0], TileVectors)), None)
    if apart is None:
        inputs, errors = zip(*pairs, strict=True)
        return np.concatenate(inputs), np.concatenate(errors)
    x = [_apart(x, apart[0], True) for x, _ in pairs]
    d = [_apart(d, apart[1], False) for _, d in pairs]
    return _one_after_the_other(x), _one_after_the_other(d)


def outer_product(x: Any, d: Any) -> np.ndarray:
    """Return the sum of the outer products of a pair, of shape (out, in)."""
    if isinstance(d, Multiplied):
        return d.matrix[:, : d.in_size]
    if not isinstance(x, TileVectors):
        return d.T @ x
    blocks = [
        np.concatenate([own.T @ part for part, own in zip(*columns, strict=True)])
        for columns in zip(x.parts, d.parts, strict=True)
    ]
    return np.concatenate(blocks, axis=1)


def multiplied(x: Any, d: Any, column: bool) -> np.ndarray:
    """Return the gradient that a pair implies, with the column of an analog bias if there is one.

    Parameters
    ----------
    x, d : ndarray, TileVectors or Multiplied
        The pair.
    column : bool
        Whether the tile holds a bias, whose input is always 1, as its last column.
    """
    if isinstance(d, Multiplied):
        return d.matrix
    gradient = outer_product(x, d)
    if not column:
        return gradient
    first = d.parts[0] if isinstance(d, TileVectors) else [d]
    return np.column_stack([gradient, np.concatenate([own.sum(axis=0) for own in first])])


def squared_norm(x: Any, d: Any, column: bool = False) -> float:
    r"""Return the squared Frobenius norm of the gradient that a pair implies, in double precision.

    .. math::
        \Big\| \sum_b d_b x_b^\mathsf{T} \Big\|^2 = \sum_{ij} (x_i \cdot x_j)\, (d_i \cdot d_j)

    The right side needs no matrix of weights; it is used where it is the cheaper one.

    Parameters
    ----------
    x, d : ndarray, TileVectors or Multiplied
        The pair.
    column : bool
        Whether the column of an analog bias, whose input is always 1, counts too.
    """
    if isinstance(d, Multiplied):
        whole = d.matrix if column else d.matrix[:, : d.in_size]
        return float(np.sum(np.square(whole, dtype=np.float64)))
    if not isinstance(x, TileVectors):
        return _squared(x, d, column)
    return sum(
        _squared(own, error, column and i == 0)
        for i, sides in enumerate(zip(x.parts, d.parts, strict=True))
        for own, error in zip(*sides, strict=True)
    )


def scaled(x: Any, d: Any, factor: float) -> Pair:
    """Return a pair whose gradient is `factor` times that of another; x stays as it is."""
    if isinstance(d, Multiplied):
        whole = Multiplied(d.matrix * np.float32(factor), d.in_size)
        return whole, whole
    if isinstance(d, TileVectors):
        parts = [[own * np.float32(factor) for own in column] for column in d.parts]
        return x, TileVectors(parts)
    return x, d * np.float32(factor)


def _squared(x: np.ndarray, d: np.ndarray, column: bool) -> float:
    x, d = x.astype(np.float64), d.astype(np.float64)
    if len(x) * (x.shape[1] + d.shape[1]) <= x.shape[1] * d.shape[1]:
        return max(float(np.sum((x @ x.T + float(column)) * (d @ d.T))), 0.0)
    total = float(np.sum(np.square(d.T @ x)))
    return total + float(np.sum(np.square(d.sum(axis=0)))) if column else total


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
