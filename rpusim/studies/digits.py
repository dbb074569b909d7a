"""The handwritten digits on which the studies train: real, small, and already on this machine."""

from __future__ import annotations

import numpy as np

from rpusim.nn.tables import Dataset
from rpusim.studies.optional import need

__all__ = ["Dataset", "load_digits"]

TRAINED = 1437  # the first 80 % of 1797, after the permutation


def load_digits() -> Dataset:
    """Return 1437 digits to train on and 360 to test with: 64 pixels in 0..1, labels 0..9.

    Returns
    -------
    Dataset
        ``train_x`` of shape (1437, 64) with ``train_t`` (1437,), ``test_x`` of shape (360, 64)
        with ``test_t`` (360,).

    Raises
    ------
    MissingPackage
        If scikit-learn, which holds the data, is not installed.

    Notes
    -----
    The order is the fixed permutation ``default_rng(0).permutation(1797)``, so that results
    compare. Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI Machine
    Learning Repository (1998); the copy that scikit-learn carries, 8 x 8 pixels.
    """
    package = need("sklearn.datasets", "demo", "load_digits", "scikit-learn")
    pixels, labels = package.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    x, t = (pixels / 16).astype(np.float32)[order], labels[order].astype(np.int64)
    return Dataset(x[:TRAINED], t[:TRAINED], x[TRAINED:], t[TRAINED:])
