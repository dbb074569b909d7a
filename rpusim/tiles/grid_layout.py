"""How a matrix is cut over tiles of limited size: in balanced pieces, both ways.

A piece is as large as its neighbours or one larger, so that no tile is nearly empty: 1025 inputs
on tiles of 512 are 342 + 342 + 341. A line that drives an analog bias is a line like any other, the
first of the first input block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.kernels.device_arrays import contiguous
from rpusim.tiles.settings import MappingParameter

__all__ = ["GridLayout", "exceeds", "split_sizes", "utilisation"]

Parts = Sequence[Sequence[np.ndarray]]


def split_sizes(size: int, cap: int) -> list[int]:
    """Return the sizes of the fewest pieces of at most `cap`, balanced, larger ones first.

    Parameters
    ----------
    size : int
        What is cut, > 0.
    cap : int
        Largest piece; 0: no limit.

    Examples
    --------
    >>> split_sizes(1025, 512), split_sizes(7, 3), split_sizes(7, 0)
    ([342, 342, 341], [3, 2, 2], [7])
    """
    count = -(-size // cap) if cap > 0 else 1
    small, larger = divmod(size, count)
    return [small + 1] * larger + [small] * (count - larger)


def exceeds(out_size: int, in_size: int, bias: bool, mapping: MappingParameter) -> bool:
    """Return whether a matrix, with its analog bias if it has one, is too large for one tile."""
    lines = in_size + (bias and not mapping.digital_bias)
    too_many = lines > mapping.max_input_size > 0
    return too_many or out_size > mapping.max_output_size > 0


def utilisation(tiles: Iterable[Any]) -> float:
    """Return the fraction of the devices of tiles of the largest size that are used.

    Where a size is unlimited, a tile is as large as it has to be.
    """
    used = there = 0
    for tile in tiles:
        (rows, cols), limits = tile.crossbar.shape, tile.rpu_config.mapping
        used += rows * cols
        there += max(rows, limits.max_output_size) * max(cols, limits.max_input_size)
    return used / there


class GridLayout:
    """Where the blocks of a matrix are.

    Parameters
    ----------
    out_size, in_size : int
        Of the matrix.
    bias : bool
        Whether there is a bias.
    mapping : MappingParameter
        Largest sizes of a tile, and where the bias goes.
    unit : int
        Inputs that stay together: those of one channel of a convolution.

    Attributes
    ----------
    in_sizes, out_sizes : list of int
        Of the blocks of inputs and of outputs.
    cols, rows : list of slice
        Where they are in the matrix.
    line : bool
        Whether the first input block has the line of an analog bias.
    """

    def __init__(
        self, out_size: int, in_size: int, bias: bool, mapping: MappingParameter, unit: int = 1
    ) -> None:
        self.line = bias and not mapping.digital_bias
        if unit > 1:
            self.in_sizes = self._in_units(in_size, unit, mapping.max_input_size)
        else:
            self.in_sizes = split_sizes(in_size + self.line, mapping.max_input_size)
            self.in_sizes[0] -= self.line
        if self.in_sizes[0] == 0:
            raise ConfigError(
                "MappingParameter.max_input_size must be >= 2 for an analog bias, whose line needs "
                f"inputs beside it, got {mapping.max_input_size}."
            )
        self.out_sizes = split_sizes(out_size, mapping.max_output_size)
        self.cols, self.rows = _slices(self.in_sizes), _slices(self.out_sizes)

    def _in_units(self, in_size: int, unit: int, cap: int) -> list[int]:
        """Return the sizes of input blocks that are whole units, a line for the bias beside one."""
        limit = (cap - self.line) // unit if cap > 0 else 0
        if cap > 0 and limit == 0:
            raise ConfigError(
                f"MappingParameter.max_input_size must be at least {unit + self.line}, the inputs "
                f"of a channel, got {cap}."
            )
        return [unit * count for count in split_sizes(in_size // unit, limit)]

    @property
    def places(self) -> list[tuple[int, int]]:
        """Input and output block of every tile, in order."""
        return [(i, j) for i in range(len(self.cols)) for j in range(len(self.rows))]

    def has_line(self, i: int) -> bool:
        """Return whether the tiles of input block `i` hold the analog bias."""
        return self.line and i == 0

    def inputs(self, x: np.ndarray) -> list[np.ndarray]:
        """Return the blocks of input vectors."""
        return [contiguous(x[:, cols]) for cols in self.cols]

    def outputs(self, d: np.ndarray) -> list[np.ndarray]:
        """Return the blocks of vectors of outputs."""
        return [contiguous(d[:, rows]) for rows in self.rows]

    def block(self, matrix: np.ndarray, i: int, j: int) -> np.ndarray:
        """Return the part of a matrix of shape (out, in) that one tile holds."""
        return matrix[self.rows[j], self.cols[i]]

    def matrix(self, parts: Parts) -> np.ndarray:
        """Return the matrix of shape (out, in) of its parts, by input and output block."""
        return np.concatenate([np.concatenate(column) for column in parts], axis=1)

    def device_block(self, matrix: np.ndarray, i: int, j: int) -> np.ndarray:
        """Return a tile's part of a matrix of devices, whose last column is an analog bias."""
        part = self.block(matrix, i, j)
        if not self.has_line(i):
            return part
        return np.column_stack([part, matrix[self.rows[j], -1]])

    def devices(self, parts: Parts) -> np.ndarray:
        """Return the matrix of devices of its parts: an analog bias becomes the last column."""
        columns = [np.concatenate(column) for column in parts]
        if self.line:
            columns.append(columns[0][:, -1:])
            columns[0] = columns[0][:, :-1]
        return np.concatenate(columns, axis=1)

    @property
    def device_shape(self) -> tuple[int, int]:
        """Rows and columns of all devices."""
        return sum(self.out_sizes), sum(self.in_sizes) + self.line


def _slices(sizes: list[int]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
