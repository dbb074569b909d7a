r"""From the inputs of a tile, batch by batch, to its range: running figures, samples, histograms.

What is kept of the magnitudes :math:`a = |x|` is given out as sorted values and how often each
occurs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Estimate",
    "FromKept",
    "Histogram",
    "Largest",
    "RunningMean",
    "Sample",
    "least_error_range",
    "quantile_of",
]

#: Bits of a float32 that a histogram drops: of 23 that make up the fraction, 9 stay.
DROPPED = 14
BINS = 0x7F800000 >> DROPPED


class Estimate:
    """What sees batches of inputs and says the range."""

    #: Largest magnitude so far.
    largest = 0.0

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors, shape (n, in), n > 0, finite, none of them all zeros."""
        raise NotImplementedError

    def range(self) -> float:
        """Return the range, 0 if nothing was seen."""
        raise NotImplementedError


class Largest(Estimate):
    """The largest magnitude."""

    def __init__(self) -> None:
        self._value = 0.0

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors."""
        self._value = max(self._value, float(np.abs(x).max()))

    def range(self) -> float:
        """Return the largest magnitude."""
        return self._value


class RunningMean(Estimate):
    """Mean over batches of a figure of each, without those where it is not positive.

    Parameters
    ----------
    figure : callable
        From vectors to a number.
    most : int, optional
        Batches that are used.
    """

    def __init__(self, figure: Callable[[np.ndarray], float], most: int | None = None) -> None:
        self._figure, self._most = figure, most
        self._mean, self._count = 0.0, 0

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors."""
        if self._most is None or self._count < self._most:
            value = self._figure(x)
            if value > 0.0:
                self._mean = (self._mean * self._count + value) / (self._count + 1)
                self._count += 1

    def range(self) -> float:
        """Return the mean."""
        return self._mean


class Sample:
    """Some of the vectors, each set of `size` equally likely.

    Every vector gets a random number, and those with the smallest numbers stay; so it does not
    matter how vectors are cut into batches.

    Parameters
    ----------
    size : int
        Vectors kept.
    rng : Generator
        Draws one number for each vector seen.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self._numbers: NDArray[np.float64] = np.empty(0)
        self._kept: NDArray[np.float32] | None = None

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors."""
        old = x[:0] if self._kept is None else self._kept
        numbers = np.concatenate([self._numbers, self._rng.random(len(x))])
        stay = np.argsort(numbers)[: self._size]
        rows = np.concatenate([old, np.abs(x)])
        self._numbers, self._kept = numbers[stay], rows[stay]

    def distribution(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the magnitudes in the sample, sorted, and ones."""
        kept = np.empty(0) if self._kept is None else self._kept.ravel()
        values = np.sort(kept).astype(np.float64)
        return values, np.ones(len(values), np.int64)


class Histogram:
    """How many magnitudes there are in bins of equal relative width, :math:`2^{-9}`.

    The leading bits of a positive float32, read as an integer, number these bins.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(BINS, np.int64)

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors."""
        bins = np.abs(x, dtype=np.float32).ravel().view(np.uint32) >> DROPPED
        self._counts += np.bincount(bins, minlength=BINS)

    def distribution(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the middles of the bins that hold any, and how many these hold."""
        used = np.flatnonzero(self._counts)
        middles = (used.astype(np.uint32) << DROPPED) + (1 << (DROPPED - 1))
        return middles.astype(np.uint32).view(np.float32).astype(np.float64), self._counts[used]


class FromKept(Estimate):
    """A law of the whole distribution.

    Parameters
    ----------
    kept : Sample or Histogram
        What remembers it.
    law : callable
        From sorted values and counts to the range.
    """

    def __init__(
        self, kept: Sample | Histogram, law: Callable[[np.ndarray, np.ndarray], float]
    ) -> None:
        self._kept, self._law = kept, law

    def see(self, x: NDArray[np.float32]) -> None:
        """Take in vectors."""
        self._kept.see(x)

    def range(self) -> float:
        """Return what the law says."""
        values, counts = self._kept.distribution()
        return self._law(values, counts) if len(values) else 0.0


def quantile_of(values: np.ndarray, counts: np.ndarray, quantile: float) -> float:
    """Return the quantile of values that occur `counts` times, linear between neighbours.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Sorted.
    counts : ndarray of shape (n,)
        How often each occurs, integers > 0.
    quantile : float
        In 0..1.
    """
    upto = np.cumsum(counts)
    place = quantile * (upto[-1] - 1)
    below = int(place)
    low, high = np.searchsorted(upto, [below, min(below + 1, upto[-1] - 1)], side="right")
    return float(values[low] + (place - below) * (values[high] - values[low]))


def least_error_range(values: np.ndarray, counts: np.ndarray, variance: float) -> float:
    r"""Return the range r with the least error of clipping to it plus noise in proportion to it.

    With magnitudes a and the variance v,

    .. math:: J(r) = \langle (a - r)_+^2 \rangle + r^2 v

    is convex; its minimum, :math:`\langle (a - r)_+ \rangle = r\, v`, is the largest magnitude if
    v = 0.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Magnitudes, sorted.
    counts : ndarray of shape (n,)
        How often each occurs.
    variance : float
        v, of a range of 1.
    """
    above = np.cumsum(counts[::-1])[::-1]  # numbers that are no smaller, and their sum
    total = np.cumsum((counts * values)[::-1])[::-1]
    noise = above[0] * variance
    slope = noise * values - (total - above * values)
    slope[-1] = max(slope[-1], 0.0)  # of the largest, whose sum may be rounded
    first = int(np.argmax(slope >= 0.0))
    return float(total[first] / (above[first] + noise))
