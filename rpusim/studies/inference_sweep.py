"""How well a trained model does on programmed devices, over time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim import nn
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.streams import Streams
from rpusim.studies.bench import as_count
from rpusim.studies.optional import progress
from rpusim.studies.pictures import COLOURS, tidy
from rpusim.studies.result import Result

__all__ = ["InferenceSweep", "accuracy", "inference_sweep"]

TIMES = (1.0, 3600.0, 86400.0, 31536000.0)  # a second, an hour, a day, a year
NAMES = {1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86400.0: "1 d", 2592000.0: "1 month"}
NAMES |= {31536000.0: "1 y", 315360000.0: "10 y"}


@dataclasses.dataclass(frozen=True)
class InferenceSweep(Result):
    """What a model was worth at some times after programming, on several chips.

    Attributes
    ----------
    times : ndarray of shape (times,)
        Seconds since programming.
    values : ndarray of shape (repeats, times)
        What was evaluated; each row is a chip of its own, programmed once.
    seed : int
        As `rng`, it makes the same again.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    seed: int

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the chips, shape (times,)."""
        return self.values.mean(axis=0)

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation over the chips, shape (times,); NaN for a single one."""
        if len(self.values) < 2:
            return np.full(self.times.shape, np.nan)
        return self.values.std(axis=0, ddof=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the values."""
        return np.array(self.values, dtype=dtype)

    def __str__(self) -> str:
        lines = [f"{'time':>12}  {'mean':>9}  {'std':>9}"]
        for t, mean, std in zip(self.times, self.mean, self.std, strict=True):
            lines.append(f"{NAMES.get(t, f'{t:g} s'):>12}  {mean:9.4g}  {std:9.2g}")
        return "\n".join(lines)

    def _table(self) -> dict[str, Any]:
        repeats, times = np.indices(self.values.shape).reshape(2, -1)
        values = self.values.ravel()
        return {"repeat": repeats, "time": self.times[times], "value": values}

    def _draw(self, ax: Any) -> None:
        """Draw the mean over time, and a band of one standard deviation."""
        colour = COLOURS[len(ax.lines) % len(COLOURS)]
        t = np.maximum(self.times, 0.1)  # a logarithm has no 0
        ax.plot(t, self.mean, "o-", color=colour, ms=4.0)
        if len(self.values) > 1:
            band = self.mean - self.std, self.mean + self.std
            ax.fill_between(t, *band, color=colour, alpha=0.2, lw=0.0)
        ax.set_xscale("log")
        tidy(ax, "time since programming (s)", "value")


def accuracy(x: Any, labels: Any) -> Callable[[Any], float]:
    """Return a function that evaluates a classifier: the fraction of samples that are right.

    Parameters
    ----------
    x : array_like
        Samples, batch first.
    labels : array_like of int, shape (batch,)
        The right classes.
    """
    samples, right = np.asarray(x), np.asarray(labels)
    if right.shape != samples.shape[:1] or not right.size:
        raise DataError(
            f"accuracy: x and labels must hold as many samples, got {samples.shape} and "
            f"{right.shape}."
        )

    def evaluate(model: Any) -> float:
        return float((np.asarray(model(samples)).argmax(axis=-1) == right).mean())

    return evaluate


def inference_sweep(
    model: Any,
    evaluate: Callable[[Any], float],
    times: Sequence[float] = TIMES,
    repeats: int = 25,
    rng: Any = None,
    noise_model: Any = None,
) -> InferenceSweep:
    """Program a model onto chips, and evaluate it while they drift.

    For each chip all tiles are programmed once, then drift from time to time: their errors and
    exponents stay, reads are noisy anew. Afterwards weights, modes and random streams of the model
    are what they were, but for devices that were programmed before, which are given up.

    Parameters
    ----------
    model : Module
        With tiles for inference.
    evaluate : callable
        From the model, in evaluation mode, to a number; see `accuracy`.
    times : sequence of float
        Seconds since programming, >= 0.
    repeats : int, default 25
        How many chips.
    rng : None, int, SeedSequence or Generator
        Source of the chips and all noise.
    noise_model : BaseNoiseModel, optional
        Instead of those of the tiles' configurations, for good.

    Returns
    -------
    InferenceSweep

    Raises
    ------
    StateError
        If no tile of the model can be programmed.
    DataError, ConfigError
        If an argument does not fit, or the model of a tile does not know one of the times.

    Examples
    --------
    >>> import rpusim as rs
    >>> layer = rs.nn.AnalogLinear(8, 4, rpu_config=rs.InferenceRPUConfig(), rng=1)
    >>> def off(layer):
    ...     return float(abs(layer.weight - exact).max())
    >>> exact = layer.weight.copy()
    >>> inference_sweep(layer, off, times=[1.0, 3600.0], repeats=3, rng=0).values.shape
    (3, 2)
    """
    where = "inference_sweep"
    if not isinstance(model, nn.Module) or not callable(evaluate):
        raise ConfigError(
            f"{where} needs a model of rpusim.nn and a function of it, got {model!r} and "
            f"{evaluate!r}."
        )
    when = np.asarray(times, np.float64)
    if when.ndim != 1 or not when.size or not (np.isfinite(when) & (when >= 0.0)).all():
        raise DataError(f"{where}: times must be a list of numbers >= 0, got {times!r}.")
    count, seed = as_count(repeats, f"{where}: repeats"), Streams(rng).seed
    tiles = [tile for tile in model.analog_tiles() if hasattr(tile, "check_time")]
    for known in {noise_model} if noise_model else {t.rpu_config.noise_model for t in tiles}:
        for t in when:
            known.packed(t)
    values = np.empty((count, when.size))
    with contextlib.ExitStack() as stack, progress(values.size, "evaluations") as bar:
        for number, tile in enumerate(tiles):
            source = np.random.SeedSequence(seed, spawn_key=(number,))
            stack.enter_context(tile.seeded(source))
        for chip in range(count):
            with nn.programmed(model, noise_model):
                for k, t in enumerate(when):
                    model.drift_analog_weights(float(t))
                    values[chip, k] = evaluate(model)
                    bar.update()
    return InferenceSweep(when, values, seed)
