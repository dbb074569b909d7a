r"""Choppers: bits on the lines of a crossbar that reverse the signs of what it learns.

A slice s (a column, or a row) has the in-chopper :math:`a_s`, its element l the out-chopper
:math:`b_l`; together they give :math:`\sigma_{sl} = 1` if :math:`a_s = b_l`, else -1.
"""

from __future__ import annotations

import numpy as np

from rpusim.kernels.random import uniforms
from rpusim.kernels.streams import Purpose, Streams

__all__ = ["Choppers"]

SIGN = np.array([1.0, -1.0], np.float32)


class Choppers:
    """The choppers of a crossbar, all off at first.

    Parameters
    ----------
    count, length : int
        Number of slices, and elements of one.
    columns : bool
        Whether slices are columns, not rows.
    streams : Streams
        Where random flips come from.

    Attributes
    ----------
    a, b : ndarray of uint8
        In-choppers of the slices, out-choppers of their elements; changed in place.
    """

    def __init__(self, count: int, length: int, columns: bool, streams: Streams) -> None:
        self.a, self.b = np.zeros(count, np.uint8), np.zeros(length, np.uint8)
        self._columns, self._streams = columns, streams

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the signs of the rows, and those of the columns."""
        a, b = SIGN[self.a], SIGN[self.b]
        return (b, a) if self._columns else (a, b)

    def signs(self) -> np.ndarray:
        """Return the sign of each crosspoint, shape (rows, cols)."""
        return np.multiply.outer(*self.lines())

    def of_slice(self, s: int) -> np.ndarray:
        """Return the signs of the elements of a slice."""
        return SIGN[self.b ^ self.a[s]]

    def happens(self, prob: float, count: int = 1) -> np.ndarray:
        """Draw whether each of some events of a probability happens."""
        step, k0, k1 = self._streams.draw(Purpose.TRANSFER)
        return uniforms(count, (k0, k1), step=step) <= prob
