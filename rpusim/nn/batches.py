"""Mini-batches of arrays held in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import any_array
from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.checks import as_float32, as_size

__all__ = ["batches"]


def batches(
    X: ArrayLike,
    T: ArrayLike,
    size: int,
    rng: Any = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[tuple[NDArray[np.float32], np.ndarray]]:
    """Iterate once over samples and targets, `size` of them at a time, in a fresh random order.

    Parameters
    ----------
    X : array_like of shape (n, ...)
        Samples, converted to float32.
    T : array_like of shape (n, ...)
        Labels or targets, given out in their own type.
    size : int
        Samples per batch; the last batch holds what is left.
    rng : None, int, SeedSequence or Generator
        Where the order comes from: a permutation by ``numpy.random.default_rng(rng)``. A new number
        for each epoch repeats the run; a Generator goes on from where it is.
    shuffle : bool, default True
        Whether to permute; False keeps the given order.
    drop_last : bool, default False
        Whether to leave out a last batch of fewer than `size` samples.

    Yields
    ------
    x : ndarray of shape (size, ...), float32
    t : ndarray of shape (size, ...)

    Raises
    ------
    ShapeError
        If X and T have not the same length, or none.
    ConfigError
        If `size` is not positive, or `drop_last` would leave nothing.

    Examples
    --------
    >>> for x, t in batches([[1], [2], [3]], [10, 20, 30], size=2, shuffle=False):
    ...     t
    array([10, 20])
    array([30])
    """
    samples, targets = as_float32(X, "batches: X"), any_array(T, "batches: T")
    if samples.ndim == 0 or targets.ndim == 0 or len(samples) != len(targets) or not len(samples):
        raise ShapeError(
            "batches: X and T must hold equally many samples, at least one, got shapes "
            f"{samples.shape} and {targets.shape}."
        )
    size = as_size(size, "batches: size")
    end = len(samples) - len(samples) % size if drop_last else len(samples)
    if not end:
        raise ConfigError(
            f"batches: size must be <= {len(samples)}, the number of samples, if drop_last=True; "
            f"got {size}."
        )
    order = np.random.default_rng(rng).permutation(len(samples)) if shuffle else None
    return _cut(samples, targets, order, size, end)


def _cut(
    samples: NDArray[np.float32],
    targets: np.ndarray,
    order: NDArray[np.integer] | None,
    size: int,
    end: int,
) -> Iterator[tuple[NDArray[np.float32], np.ndarray]]:
    for start in range(0, end, size):
        part = slice(start, start + size)
        if order is None:
            yield samples[part], targets[part]
        else:
            chosen = order[part]
            yield samples.take(chosen, axis=0), targets.take(chosen, axis=0)
