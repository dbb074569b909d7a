r"""Numbers of few bits: a uniform grid and a logarithmic one.

.. math::
    Q(v) = \Delta\,\big(\mathrm{clip}(\mathrm{rint}(v/\Delta) + z,\; l,\; l + 2^n - 1) - z\big)

with n bits, step :math:`\Delta`, code z of the value 0 and lowest code l; halves are rounded to
even multiples. The step is a float32, so that it survives being stored; the rest is float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, DataError, ShapeError, StateError

__all__ = ["Grid", "LogQuantiser", "Quantiser", "extremes"]

#: No step is smaller, so that tensors of zeros have a grid.
SMALLEST_STEP = 1e-8


def extremes(values: NDArray, shape: tuple[int, ...] = ()) -> tuple[NDArray, NDArray]:
    """Return smallest and largest of `values`, or of each entry of the first axis, in float64."""
    rows = values.reshape(shape[0] if shape else 1, -1)
    low, high = np.min(rows, axis=1).astype(float), np.max(rows, axis=1).astype(float)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bad = values[~np.isfinite(values)][0]
        raise DataError(f"Quantiser.estimate: values must be finite, got {bad}.")
    return low.reshape(shape), high.reshape(shape)


class Grid:
    """Base of grids: what they are is a few float32 arrays, changed in place.

    A step of 0 means that there is no grid yet. With 0 bits every value is on it.

    Parameters
    ----------
    n_bits : int
        Bits of a code, 0 for none.
    shape : tuple of int, default ()
        Of the arrays: (channels,) for one grid per entry of the first axis of what is quantised.
    """

    names: ClassVar[tuple[str, ...]] = ("step", "lowest")

    def __init__(self, n_bits: int, shape: tuple[int, ...] = ()):
        self.n_bits, self.shape = n_bits, shape
        self.arrays = {name: np.zeros(shape, np.float32) for name in self.names}

    @property
    def known(self) -> bool:
        """Whether there is a grid: set, estimated, or not needed."""
        return not self.n_bits or bool(self.arrays["step"].all())

    def estimate(self, values: ArrayLike) -> None:
        """Make the grid that spans `values`."""
        raise NotImplementedError

    def rounded(self, values: NDArray) -> NDArray:
        """Return Q(v) in float64."""
        raise NotImplementedError

    def __call__(self, values: ArrayLike) -> NDArray:
        """Return Q(v): float32 for float32, else float64."""
        values = np.asarray(values)
        if not self.n_bits or not values.size:
            return values
        if not self.known:
            raise StateError(f"{type(self).__name__} has no grid yet: call estimate(values) first.")
        return self.rounded(values).astype(np.float32 if values.dtype == np.float32 else float)

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of the arrays."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def restore(self, state: Mapping[str, ArrayLike]) -> None:
        """Continue from what `state` returned; raise before anything changes if it does not fit."""
        where = f"{type(self).__name__}.restore"
        if set(state) != set(self.arrays):
            raise StateError(
                f"{where}: the names must be {sorted(self.arrays)}, got {sorted(state)}."
            )
        given = {name: np.asarray(state[name], np.float32) for name in self.arrays}
        for name, array in given.items():
            if array.shape != self.arrays[name].shape:
                shape = self.arrays[name].shape
                raise ShapeError(f"{where}: {name} must have shape {shape}, got {array.shape}.")
            if not np.isfinite(array).all() or (name == "step" and (array < 0.0).any()):
                least = " and >= 0" if name == "step" else ""
                raise DataError(f"{where}: {name} must be finite{least}, got {array}.")
        for name, array in given.items():
            self.arrays[name][...] = array

    def _broadcast(self, name: str, values: NDArray) -> NDArray:
        """Return an array of the grid in float64, its channels along the first axis of `values`."""
        array = self.arrays[name].astype(float)
        return array.reshape(array.shape + (1,) * (values.ndim - array.ndim))


class Quantiser(Grid):
    r"""Uniform grid of n bits.

    Symmetric: with s = 1 if any value is negative, else 0,

    .. math:: \Delta = \max|v| / (2^{n-s} - 1), \quad z = 0, \quad l = -s\,2^{n-1}

    Asymmetric, with the range of the values widened to include 0:

    .. math:: \Delta = (\max v - \min v) / (2^n - 1), \quad z = \mathrm{rint}(-\min v/\Delta),
              \quad l = 0

    Parameters
    ----------
    n_bits : int
        Bits of a code; 0: every value stays. A symmetric grid with negative values needs 2.
    symmetric : bool, default True
        Whether 0 is in the middle.
    shape : tuple of int, default ()
        (channels,) for one step per entry of the first axis.

    Examples
    --------
    >>> q = Quantiser(4)
    >>> q.estimate([1.0, 0.3, 0.07])
    >>> q([1.0, 0.3, 0.07]).round(4)
    array([1.    , 0.2667, 0.0667])
    """

    names = ("step", "zero", "lowest")

    def __init__(self, n_bits: int, symmetric: bool = True, shape: tuple[int, ...] = ()):
        if symmetric and n_bits == 1:
            raise ConfigError("Quantiser.n_bits must be 0 or >= 2 for a symmetric grid, got 1.")
        super().__init__(n_bits, shape)
        self.symmetric = symmetric

    def estimate(self, values: ArrayLike) -> None:
        """Make the grid that spans `values`."""
        values = np.asarray(values)
        if self.n_bits and values.size:
            self.span(*extremes(values, self.shape))

    def span(self, low: Any, high: Any) -> None:
        """Make the grid for values from `low` to `high`, arrays of the grid's shape."""
        low = np.minimum(np.asarray(low, float), 0.0)
        high = np.maximum(np.asarray(high, float), 0.0)
        signed = self.symmetric and bool(np.any(low < 0.0))
        width = np.maximum(-low, high) if self.symmetric else high - low
        step = self.arrays["step"]
        step[...] = np.maximum(width / (2.0 ** (self.n_bits - signed) - 1.0), SMALLEST_STEP)
        zero = 0.0 if self.symmetric else np.rint(-low / step)
        self.arrays["zero"][...] = np.minimum(zero, 2.0**self.n_bits - 1.0)
        self.arrays["lowest"][...] = -(2.0 ** (self.n_bits - 1)) if signed else 0.0

    def rounded(self, values: NDArray) -> NDArray:
        """Return Q(v) in float64."""
        _, kept = self._codes(values)
        return self._broadcast("step", values) * (kept - self._broadcast("zero", values))

    def inside(self, values: NDArray) -> NDArray:
        """Return where the code of v is not clipped: the slope of Q if rounding has slope 1."""
        if not self.n_bits or not values.size:
            return np.ones(values.shape, bool)
        code, kept = self._codes(values)
        return code == kept

    def _codes(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Return the codes before and after clipping."""
        step, zero, lowest = (self._broadcast(name, values) for name in self.names)
        code = np.rint(values / step) + zero
        return code, np.clip(code, lowest, lowest + (2.0**self.n_bits - 1.0))


class LogQuantiser(Grid):
    r"""Logarithmic grid of n bits: one code for 0, the others for magnitudes at equal ratios.

    .. math::
        Q(v) = \mathrm{sign}(v)\, m\, 2^{-k\Delta}, \quad
        k = \mathrm{clip}(\mathrm{rint}(\log_2(m/|v|)/\Delta),\, 0,\, K - 1), \quad
        \Delta = \log_2(m/m_0) / (K - 1)

    from the largest magnitude m to the smallest one that is not 0, :math:`m_0`. Of the codes
    :math:`K = 2^n - 1` are magnitudes, or :math:`2^{n-1} - 1` of either sign if there are negative
    values. In this range :math:`|Q(v)/v - 1| \le 2^{\Delta/2} - 1`, for small values as for large.

    Parameters
    ----------
    n_bits : int
        Bits of a code, at least 3; 0: every value stays.

    Examples
    --------
    >>> q = LogQuantiser(4)
    >>> q.estimate([1.0, 0.3, 0.07])
    >>> q([1.0, 0.3, 0.07]).round(4)
    array([1.    , 0.3199, 0.07  ])
    """

    names = ("step", "top", "lowest")

    def __init__(self, n_bits: int):
        if n_bits in (1, 2):
            raise ConfigError(f"LogQuantiser.n_bits must be 0 or >= 3, got {n_bits}.")
        super().__init__(n_bits)

    def estimate(self, values: ArrayLike) -> None:
        """Make the grid that spans the magnitudes of `values`."""
        values = np.asarray(values)
        if not (self.n_bits and values.size):
            return
        low, high = extremes(values)
        largest = np.maximum(np.maximum(-low, high), SMALLEST_STEP)
        magnitudes = np.abs(values[values != 0.0])
        smallest = np.min(magnitudes) if magnitudes.size else largest
        count = 2.0 ** (self.n_bits - bool(low < 0.0)) - 1.0
        octaves = np.log2(largest / np.float64(smallest))
        self.arrays["step"][...] = np.maximum(octaves / (count - 1.0), SMALLEST_STEP)
        self.arrays["top"][...] = largest
        self.arrays["lowest"][...] = -count if low < 0.0 else 0.0

    def rounded(self, values: NDArray) -> NDArray:
        """Return Q(v) in float64; without codes for them, negative values become 0."""
        step, top, lowest = (float(self.arrays[name]) for name in self.names)
        count = -lowest if lowest else 2.0**self.n_bits - 1.0
        coded = (values > 0.0) | ((values < 0.0) & (lowest < 0.0))
        magnitude = np.abs(np.where(coded, values, top).astype(float))
        k = np.clip(np.rint(np.log2(top / magnitude) / step), 0.0, count - 1.0)
        return np.where(coded, np.sign(values) * top * np.exp2(-k * step), 0.0)
