"""What is done to samples before training: one-hot codes, normalisation, a part kept back."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import any_array
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.nn.checks import as_float32, as_number, as_size

__all__ = ["one_hot", "normalise", "split"]

Float = NDArray[np.float32]

#: Relative deviation of float64 means of equal float32 numbers, at most.
ROUNDING = 1e-9


def one_hot(labels: ArrayLike, classes: int) -> Float:
    """Return vectors that are 1 at the label and 0 elsewhere.

    Parameters
    ----------
    labels : array_like of int, shape (...)
        In 0..classes-1.
    classes : int
        Length of a vector.

    Returns
    -------
    ndarray of shape (..., classes)

    Raises
    ------
    DataError
        If labels are not integers or out of range.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    classes = as_size(classes, "one_hot: classes")
    t = any_array(labels, "one_hot: labels")
    if t.dtype.kind not in "iu":
        raise DataError(f"one_hot: labels must be integers, got {t.dtype}.")
    wrong = t[(t < 0) | (t >= classes)]
    if wrong.size:
        raise DataError(f"one_hot: labels must be in 0..{classes - 1}, got {wrong[0]}.")
    return np.equal(t[..., None], np.arange(classes)).astype(np.float32)


def normalise(
    X: ArrayLike, mean: ArrayLike | None = None, std: ArrayLike | None = None
) -> tuple[Float, Float, Float]:
    r"""Give each channel mean 0 and standard deviation 1.

    .. math:: Z_{n c \dots} = (X_{n c \dots} - \mu_c) / \sigma_c

    Parameters
    ----------
    X : array_like of shape (n, channels, ...) or (n,)
        Samples; those of shape (n,) are of one channel.
    mean, std : array_like of shape (channels,), optional
        By default those of X, over samples and places, in float64. Give those of the training
        samples for the test samples.

    Returns
    -------
    Z : ndarray of the shape of X, float32
    mean, std : ndarray of shape (channels,), float32
        A channel that does not vary has `std` 1, so that it becomes 0.

    Raises
    ------
    ShapeError
        If there are no samples, or the shapes do not belong together.
    DataError
        If a standard deviation given is not positive.

    Examples
    --------
    >>> Z, mean, std = normalise([[0.0, 7.0], [4.0, 7.0]])
    >>> Z
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    >>> mean, std
    (array([2., 7.], dtype=float32), array([2., 1.], dtype=float32))
    """
    x = as_float32(X, "normalise: X")
    if x.ndim == 0 or not x.size:
        raise ShapeError(f"normalise: X must have shape (n, channels, ...), n > 0, got {x.shape}.")
    rows = x.reshape(len(x), x.shape[1] if x.ndim > 1 else 1, -1)
    channels = rows.shape[1]
    if mean is None:
        mean = rows.mean(axis=(0, 2), dtype=np.float64)
    if std is None:
        found = rows.std(axis=(0, 2), dtype=np.float64)
        varies = found > ROUNDING * np.abs(rows).max(axis=(0, 2))
        std = np.where(varies, found, 1.0)
    m, s = as_float32(mean, "normalise: mean"), as_float32(std, "normalise: std")
    for name, values in (("mean", m), ("std", s)):
        if values.shape != (channels,):
            raise ShapeError(
                f"normalise: {name} must have shape ({channels},), got {values.shape}."
            )
    if not (s > 0.0).all():
        raise DataError(f"normalise: std must be > 0, got {s[~(s > 0.0)][0]}.")
    return ((rows - m[:, None]) / s[:, None]).reshape(x.shape), m, s


def split(
    X: ArrayLike, T: ArrayLike, fraction: float = 0.2, rng: Any = None
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Keep samples back for validation, drawn at random.

    Parameters
    ----------
    X, T : array_like of shape (n, ...)
        Samples and targets, of any type.
    fraction : float, default 0.2
        of samples that are kept back, rounded to whole ones.
    rng : None, int, SeedSequence or Generator
        Where the order comes from: a permutation by ``numpy.random.default_rng(rng)``.

    Returns
    -------
    training, validation : (ndarray, ndarray)
        Samples and targets.

    Raises
    ------
    ShapeError
        If X and T have not the same length.
    ConfigError
        If `fraction` leaves one side without samples.

    Examples
    --------
    >>> (x, t), (x_val, t_val) = split(np.arange(10), np.arange(10), fraction=0.3, rng=0)
    >>> len(x), t_val
    (7, array([4, 6, 2]))
    """
    x, t = any_array(X, "split: X"), any_array(T, "split: T")
    if x.ndim == 0 or t.ndim == 0 or len(x) != len(t):
        raise ShapeError(
            f"split: X and T must hold equally many samples, got shapes {x.shape} and {t.shape}."
        )
    back = round(as_number(fraction, "split: fraction", 1.0) * len(x))
    if not 0 < back < len(x):
        raise ConfigError(
            f"split: fraction must leave samples on both sides of {len(x)}, got {fraction!r}."
        )
    order = np.random.default_rng(rng).permutation(len(x))
    held, rest = order[:back], order[back:]
    return (x[rest], t[rest]), (x[held], t[held])
