"""How good a classifier is: accuracy, error, perplexity."""

import math
import numbers

import numpy as np
from numpy.typing import ArrayLike

from rpusim.arrays import any_array
from rpusim.errors import DataError, ShapeError
from rpusim.nn.checks import as_float32, not_finite

__all__ = ["accuracy", "error", "perplexity"]


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the fraction of samples whose largest score is that of their label.

    Parameters
    ----------
    logits : array_like of shape (..., classes)
        Scores, or probabilities; of equal ones the first counts.
    labels : array_like of int, shape (...)
        Classes.

    Returns
    -------
    float
        In 0..1.

    Raises
    ------
    ShapeError
        If the shapes do not belong together or there are no samples.
    DataError
        If scores are NaN, or labels not integers.

    Examples
    --------
    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    z, t = as_float32(logits, "accuracy: logits"), any_array(labels, "accuracy: labels")
    if z.ndim == 0 or not z.size or t.shape != z.shape[:-1]:
        raise ShapeError(
            "accuracy: logits must have shape (..., classes), and labels (...), got "
            f"{z.shape} and {t.shape}."
        )
    if t.dtype.kind not in "iu":
        raise DataError(f"accuracy: labels must be integers, got {t.dtype}.")
    if np.isnan(z).any():
        raise not_finite(z, "accuracy: logits")
    return float(np.mean(z.argmax(axis=-1) == t))


def error(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return 1 - `accuracy`, the fraction of samples that are classified wrongly.

    Parameters
    ----------
    logits, labels : array_like
        As for `accuracy`.

    Returns
    -------
    float
        In 0..1.

    Examples
    --------
    >>> error([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [1, 1, 0, 0])
    0.25
    """
    return 1.0 - accuracy(logits, labels)


def perplexity(loss: float) -> float:
    r"""Return :math:`e^L` of a mean negative log-likelihood: among how many the model guesses.

    Parameters
    ----------
    loss : float
        L in nats per symbol, as `cross_entropy` returns it.

    Returns
    -------
    float
        Infinity if it leaves float64.

    Examples
    --------
    >>> round(perplexity(math.log(50)), 6)
    50.0
    """
    if not isinstance(loss, numbers.Real) or math.isnan(loss):
        raise DataError(f"perplexity: loss must be a number, got {loss!r}.")
    return math.exp(loss) if loss < 709.0 else math.inf
