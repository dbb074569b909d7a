"""The loss of a converter by programming weights onto tiles, to confirm what was computed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rpusim.periphery import IOParameters
from rpusim.tiles import InferenceRPUConfig, InferenceTile

__all__ = ["MonteCarlo", "resampled", "sampled_loss"]

OUTPUTS, INPUTS = 20, 512  # of the tile that stands for all weights


class MonteCarlo(NamedTuple):
    """Losses by repeated programming.

    Attributes
    ----------
    loss, loss_baseline : float
        Means over the repeats, of the result of the search and of the baseline.
    loss_stderr, loss_baseline_stderr : float
        Their standard errors.
    """

    loss: float
    loss_stderr: float
    loss_baseline: float
    loss_baseline_stderr: float


def resampled(weights: Any) -> np.ndarray:
    """Return a matrix for a tile, of weights of the same distribution.

    Parameters
    ----------
    weights : array_like
        Of any shape.

    Returns
    -------
    ndarray of shape (20, 512)
        Values of `weights` only, the least and the largest included; a sample of all of them in
        every row.
    """
    values = np.sort(np.asarray(weights, np.float64).ravel())
    count = OUTPUTS * INPUTS
    ranks = (2 * np.arange(count) + 1) * values.size // (2 * count)  # in the middle of each share
    ranks[[0, -1]] = 0, values.size - 1
    return np.ascontiguousarray(values[ranks].reshape(INPUTS, OUTPUTS).T)


def sampled_loss(
    config: Any, converter: Any, weights: np.ndarray, t_steps: Any, repeats: int, rng: Any
) -> tuple[float, float]:
    """Return the loss of a converter by repeated programming, and its standard error.

    Parameters
    ----------
    config : InferenceRPUConfig
        Noise model and compensation.
    converter : BaseConductanceConverter
        From weights to conductances.
    weights : ndarray of shape (rows, cols)
        What is programmed.
    t_steps : sequence of float
        Times after programming, in seconds.
    repeats : int
        How often it is programmed.
    rng : SeedSequence
        Source of all draws.
    """
    w_max = np.abs(weights).max()
    if converter.w_max is not None:
        converter = converter.replace(w_max=converter.w_max / w_max)
    weights = weights / w_max  # the read-outs of compensations have a smallest value
    config = InferenceRPUConfig(
        noise_model=config.noise_model.replace(g_converter=converter),
        drift_compensation=config.drift_compensation,
        forward=IOParameters(is_perfect=True),
    )
    losses = [
        np.mean([np.mean(np.square(w - weights)) for w in _reads(config, weights, t_steps, own)])
        for own in rng.spawn(repeats)
    ]
    scaled = 100.0 * np.array(losses)
    return float(scaled.mean()), float(scaled.std(ddof=1) / np.sqrt(repeats))


def _reads(config: Any, weights: np.ndarray, t_steps: Any, rng: Any) -> Any:
    """Yield what one programming of the weights has become at each time, compensated."""
    tile = InferenceTile(weights.shape[0], weights.shape[1], config, rng=rng)
    tile.set_weights(weights.astype(np.float32))
    tile.program_weights()
    for t in t_steps:
        tile.drift_weights(t)
        seen = tile.get_weights(apply_weight_scaling=False)[0].astype(np.float64)
        yield tile.alpha[:, None] * seen
