"""What a product needs besides vectors and weights: what follows from these, before it starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import host
from rpusim.periphery.passage import Passage
from rpusim.periphery.read_noise import read_variance
from rpusim.periphery.settings import IOParameters, NonFinite, WeightNoiseType

__all__ = ["magnitudes_and_variances", "running_means"]


def magnitudes_and_variances(
    w: Any, io: IOParameters, passage: Passage, backend: str, nothing: Any
) -> tuple[Any, Any]:
    """Return magnitudes and variances of weights, where the weights are.

    Parameters
    ----------
    w : ndarray of shape (rows, cols)
        Weights, where `backend` works.
    io, passage : IOParameters, Passage
        Settings.
    backend : {"cpu", "cuda", "python"}
        Where laws of read noise run.
    nothing : ndarray
        Stands for what is not needed.
    """
    absolute = np.abs(w) if passage.wire > 0.0 else nothing
    variance = nothing
    if passage.variance > 0.0:
        variance = np.zeros_like(w)
        if io.w_noise_type is WeightNoiseType.PCM_READ:
            variance += np.float32(io.w_noise) ** 2 * np.abs(w)
        if io.read_noise is not None:
            variance += read_variance(io.read_noise, w, backend)
    return absolute, variance


def running_means(
    x: Any, state: np.ndarray, io: IOParameters, training: bool, lost: Any
) -> np.ndarray:
    """Return the running mean of max|x| at each vector, and keep it in `state` if training.

    It is found on this machine, one vector after the other: vectors of a GPU are waited for.

    Parameters
    ----------
    x : ndarray of shape (batch, n)
        Vectors.
    state : ndarray of shape (1,)
        The mean so far; negative before the first vector.
    io : IOParameters
        Settings.
    training : bool
        Whether the mean learns from these vectors.
    lost : ndarray of bool, or None
        Vectors that do not count.
    """
    finite, lost = np.isfinite(x), host(lost)
    top = host(np.abs(np.where(finite, x, np.float32(0.0))).max(axis=1))
    if not training:
        return np.full_like(top, state[0]) if state[0] >= 0.0 else top
    mean, means = state[0], np.empty_like(top)
    for row, value in enumerate(top):
        if lost is None or not lost[row]:
            moved = mean + np.float32(io.nm_decay) * (value - mean)
            mean = value if mean < 0.0 else moved
        means[row] = max(mean, np.float32(0.0))
    if io.on_nonfinite is not NonFinite.RAISE or finite.all():  # else it is refused
        state[0] = mean
    return means
