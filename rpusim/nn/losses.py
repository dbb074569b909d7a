"""Loss functions: each returns the loss and its gradient with respect to the first argument.

All are means, so that a learning rate does not depend on the batch size.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.arrays import any_array
from rpusim.errors import DataError, ShapeError
from rpusim.kernels.bind import kernel
from rpusim.kernels.softmax import cross_entropy_rows
from rpusim.nn.checks import as_float32, not_finite

__all__ = ["cross_entropy", "nll", "mse", "bce_with_logits"]

#: How far above zero rounding may take a log-probability.
ROUNDING = 1e-3


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[float, NDArray[np.float32]]:
    r"""Return the mean negative log-likelihood of labels under the softmax of raw scores.

    .. math::
        L = -\frac1B \sum_b \ln p_{b, t_b}, \quad p_{bc} = \frac{e^{z_{bc}}}{\sum_k e^{z_{bk}}},
        \qquad \frac{\partial L}{\partial z_{bc}} = \frac{p_{bc} - [c = t_b]}{B}

    Parameters
    ----------
    logits : array_like of shape (..., classes)
        Scores z; an output layer without softmax.
    labels : array_like of int, shape (...)
        Class t of each sample, in 0..classes-1.

    Returns
    -------
    loss : float
    grad : ndarray of shape (..., classes)

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If labels are not integers or out of range, or logits are not finite.

    Examples
    --------
    >>> loss, grad = cross_entropy([[0.0, 0.0]], [1])
    >>> round(loss, 6), grad
    (0.693147, array([[ 0.5, -0.5]], dtype=float32))
    """
    z, t = _rows_and_labels(logits, labels, "cross_entropy: logits", "cross_entropy: labels")
    grad = np.empty_like(z)
    total, good = kernel(cross_entropy_rows)(z, t, grad)
    if not good:
        _hits(z, t, "cross_entropy: labels")
        raise not_finite(z, "cross_entropy: logits")
    return total / len(z), grad.reshape(np.shape(logits))


def nll(log_probs: ArrayLike, labels: ArrayLike) -> tuple[float, NDArray[np.float32]]:
    r"""Return the mean negative log-likelihood of labels, for an output layer `LogSoftmax`.

    .. math::
        L = -\frac1B \sum_b y_{b, t_b}, \qquad
        \frac{\partial L}{\partial y_{bc}} = -\frac{[c = t_b]}{B}

    Parameters
    ----------
    log_probs : array_like of shape (..., classes)
        Log-probabilities y, none above 0.
    labels : array_like of int, shape (...)
        Class t of each sample, in 0..classes-1.

    Returns
    -------
    loss : float
    grad : ndarray of shape (..., classes)

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If labels are not integers or out of range, or `log_probs` are NaN or above 0.
    """
    y, t = _rows_and_labels(log_probs, labels, "nll: log_probs", "nll: labels")
    hit = _hits(y, t, "nll: labels")
    top = float(np.maximum.reduce(y, axis=None))
    if not top <= ROUNDING:
        raise DataError(
            f"nll: log_probs must be <= 0, got {top:.6g}; put LogSoftmax() before it, or use "
            "cross_entropy for raw scores."
        )
    loss = -float(np.add.reduce(y[hit])) / len(y)
    if not math.isfinite(loss):
        raise not_finite(y, "nll: log_probs")
    return loss, np.multiply(hit, np.float32(-1.0 / len(y))).reshape(np.shape(log_probs))


def mse(y: ArrayLike, target: ArrayLike) -> tuple[float, NDArray[np.float32]]:
    r"""Return the mean squared difference over all elements.

    .. math::
        L = \frac1N \sum_i (y_i - t_i)^2, \qquad
        \frac{\partial L}{\partial y_i} = \frac2N (y_i - t_i)

    Parameters
    ----------
    y, target : array_like
        Of one and the same shape, N elements each; there is no broadcasting.

    Returns
    -------
    loss : float
    grad : ndarray of the shape of y

    Raises
    ------
    ShapeError
        If the shapes differ or there are no elements.
    DataError
        If a value is not finite.

    Examples
    --------
    >>> mse([1.0, 2.0], [1.0, 4.0])
    (2.0, array([ 0., -2.], dtype=float32))
    """
    y, t = as_float32(y, "mse: y"), as_float32(target, "mse: target")
    if y.shape != t.shape or not y.size:
        raise ShapeError(f"mse: target must have the shape of y, {y.shape}, got {t.shape}.")
    grad = np.subtract(y, t)
    loss = float(np.vdot(grad, grad)) / y.size
    if not math.isfinite(loss):
        raise not_finite(*((y, "mse: y") if np.isfinite(t).all() else (t, "mse: target")))
    grad *= np.float32(2.0 / y.size)
    return loss, grad


def bce_with_logits(logits: ArrayLike, target: ArrayLike) -> tuple[float, NDArray[np.float32]]:
    r"""Return the mean binary cross entropy of probabilities given as logits.

    .. math::
        L = \frac1N \sum_i \max(z_i, 0) - z_i t_i + \ln(1 + e^{-|z_i|}), \qquad
        \frac{\partial L}{\partial z_i} = \frac{\sigma(z_i) - t_i}{N}

    which is :math:`-t \ln \sigma(z) - (1 - t) \ln(1 - \sigma(z))` without overflow.

    Parameters
    ----------
    logits : array_like
        Scores z; an output layer without sigmoid.
    target : array_like of the shape of logits
        Probabilities t in 0..1, mostly 0 or 1.

    Returns
    -------
    loss : float
    grad : ndarray of the shape of logits

    Raises
    ------
    ShapeError
        If the shapes differ or there are no elements.
    DataError
        If a logit is not finite or a target not in 0..1.

    Examples
    --------
    >>> loss, grad = bce_with_logits([0.0, 0.0], [0, 1])
    >>> round(loss, 6), grad
    (0.693147, array([ 0.25, -0.25], dtype=float32))
    """
    z = as_float32(logits, "bce_with_logits: logits")
    t = as_float32(target, "bce_with_logits: target")
    if z.shape != t.shape or not z.size:
        raise ShapeError(
            f"bce_with_logits: target must have the shape of logits, {z.shape}, got {t.shape}."
        )
    wrong = t[~((t >= 0.0) & (t <= 1.0))]
    if wrong.size:
        raise DataError(f"bce_with_logits: target must be in 0..1, got {wrong[0]}.")
    if not np.isfinite(z).all():
        raise not_finite(z, "bce_with_logits: logits")
    tail = np.exp(-np.abs(z))
    each = np.maximum(z, 0.0) - z * t + np.log1p(tail)
    grad = np.where(z >= 0.0, np.float32(1.0), tail) / (1.0 + tail) - t
    return float(each.mean(dtype=np.float64)), np.divide(grad, np.float32(z.size))


def _rows_and_labels(
    scores: ArrayLike, labels: ArrayLike, scores_name: str, labels_name: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the scores as rows of shape (batch, classes), and the labels as int64."""
    s, t = as_float32(scores, scores_name), any_array(labels, labels_name)
    if s.ndim == 0 or not s.size:
        raise ShapeError(f"{scores_name} must have shape (..., classes), got {s.shape}.")
    if t.shape != s.shape[:-1]:
        raise ShapeError(
            f"{labels_name} must have shape {s.shape[:-1]}, that of the scores {s.shape} without "
            f"the classes, got {t.shape}."
        )
    if t.dtype.kind not in "iu":
        raise DataError(f"{labels_name} must be integers, got {t.dtype}.")
    rows = np.ascontiguousarray(s.reshape(-1, s.shape[-1]))
    return rows, np.ascontiguousarray(t.reshape(-1), np.int64)


def _hits(rows: NDArray[np.float32], labels: NDArray[np.int64], name: str) -> NDArray[np.bool_]:
    """Return [c = t_b] of the shape of `rows`; refuse labels that are no classes."""
    classes = rows.shape[1]
    hit = labels[:, None] == np.arange(classes)
    if np.count_nonzero(hit) != labels.size:
        wrong = labels[(labels < 0) | (labels >= classes)]
        raise DataError(f"{name} must be in 0..{classes - 1}, got {wrong[0]}.")
    return hit
