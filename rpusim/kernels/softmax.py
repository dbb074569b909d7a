"""Softmax and cross entropy of a batch in one pass.

Small networks spend more time in ufunc calls than in them.
"""

import math

import numpy as np

__all__ = ["cross_entropy_rows"]


def cross_entropy_rows(z, labels, grad):
    """Return (sum of the losses, whether all is finite and every label is a class).

    Parameters
    ----------
    z : ndarray of shape (batch, classes)
        Scores, float32.
    labels : ndarray of int64, shape (batch,)
        Classes.
    grad : ndarray of shape (batch, classes)
        Receives the gradient of the mean loss.
    """
    batch, classes = z.shape
    scale = np.float32(1.0 / batch) if batch > 0 else np.float32(0.0)
    loss = np.float64(0.0)
    for b in range(batch):
        t = labels[b]
        if t < 0 or t >= classes:
            return loss, False
        top = z[b, 0]
        for c in range(classes):
            top = max(top, z[b, c])
        total = np.float32(0.0)
        for c in range(classes):
            p = np.float32(math.exp(z[b, c] - top))
            grad[b, c] = p
            total += p
        loss += math.log(total) - (z[b, t] - top)
        for c in range(classes):
            grad[b, c] = grad[b, c] / total * scale
        grad[b, t] -= scale
    return loss, math.isfinite(loss)
