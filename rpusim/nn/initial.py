"""What a layer draws when it is made: from one seed, a stream for its tile and one for its weights.

A digital and an analog layer of the same seed start from the same weights.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["TILE", "WEIGHTS", "child", "uniform_fan_in", "uniform_within"]

TILE, WEIGHTS = 0, 1


def child(seed: int, purpose: int) -> np.random.SeedSequence:
    """Return the seed of one part of a layer: its tile (0) or its initial weights (1)."""
    return np.random.SeedSequence(seed, spawn_key=(purpose,))


def uniform_fan_in(
    seed: int, out_features: int, in_features: int, bias: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    r"""Draw initial weights, then the bias, uniformly from :math:`\pm 1/\sqrt{n_\mathrm{in}}`.

    Returns
    -------
    weight : ndarray of shape (out, in)
    bias : ndarray of shape (out,), or None
    """
    bound = 1.0 / math.sqrt(in_features)
    return uniform_within(seed, out_features, in_features, bias, bound, bound)


def uniform_within(
    seed: int,
    out_features: int,
    in_features: int,
    bias: bool,
    weight_bound: float,
    bias_bound: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Draw initial weights, then the bias, uniformly from given intervals around 0.

    Returns
    -------
    weight : ndarray of shape (out, in)
    bias : ndarray of shape (out,), or None
    """
    rng = np.random.default_rng(child(seed, WEIGHTS))
    shape = (out_features, in_features)
    weight = rng.uniform(-weight_bound, weight_bound, shape).astype(np.float32)
    if not bias:
        return weight, None
    return weight, rng.uniform(-bias_bound, bias_bound, out_features).astype(np.float32)
