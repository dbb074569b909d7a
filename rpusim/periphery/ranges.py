r"""Which range a grid spans: of the values at hand, of all so far, or the one with the least loss.

A running range follows the extremes :math:`e` of the batches: the first as it is, then
:math:`e \leftarrow \mu e + (1 - \mu) e_\text{batch}`. A search tries fractions of the first
batch's range, both ends by the same factor, adds up the losses of each over the batches, and takes
the fraction with the least.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.config import Choice, Config, param
from rpusim.errors import ConfigError
from rpusim.periphery.grids import Quantiser, extremes

__all__ = [
    "ActivationQuantConfig",
    "AdaptiveQuantiser",
    "QuantState",
    "RangeEstimators",
    "WeightQuantConfig",
]


class RangeEstimators(Choice):
    """How a quantiser finds its range."""

    current_minmax = 0
    allminmax = 1
    running_minmax = 2
    MSE = 3
    cross_entropy = 4


class QuantState(Choice):
    """When a quantiser looks at its values: always, in training only, or no more."""

    ESTIMATE = "estimate"
    ESTIMATE_TRAIN = "estimate_train"
    FIX = "fix"


SEARCHES = (RangeEstimators.MSE, RangeEstimators.cross_entropy)

#: Which estimators read a field.
READERS = {
    "percentile": (RangeEstimators.current_minmax,),
    "momentum": (RangeEstimators.running_minmax,),
    "num_candidates": SEARCHES,
    "range_margin": SEARCHES,
}


class _QuantConfig(Config):
    """What quantisers of activations and of weights have in common."""

    n_bits: int = param(0, low=0, high=24, unit="bits", doc="of a value; 0: exact")
    symmetric: bool = param(True, doc="grid around 0, else from smallest to largest")
    range_estimator: RangeEstimators = param(
        RangeEstimators.current_minmax, doc="how the range of the grid is found"
    )
    percentile: float | None = param(
        None, like=0.0, above=0.0, high=50.0, unit="percent", doc="left out at either end"
    )
    num_candidates: int = param(100, low=1, doc="ranges that a search tries")
    range_margin: float = param(0.5, low=0.0, unit="relative", doc="how far beyond the data")

    def check(self) -> None:
        """Refuse grids of one code, and numbers that nobody reads."""
        super().check()
        name, changed = type(self).__name__, self._values(changed=True)
        if self.symmetric and self.n_bits == 1:
            raise ConfigError(f"{name}.n_bits must be 0 or >= 2 for a symmetric grid, got 1.")
        for field, readers in READERS.items():
            if field in changed and self.range_estimator not in readers:
                known = " or ".join(reader.name for reader in readers)
                raise ConfigError(
                    f"{name}.{field} is read by range_estimator {known} only, "
                    f"got range_estimator {self.range_estimator.name}."
                )


class ActivationQuantConfig(_QuantConfig):
    """Quantisation of what a layer gives out.

    Examples
    --------
    >>> ActivationQuantConfig(n_bits=8, symmetric=False, momentum=0.95)
    ActivationQuantConfig(n_bits=8, symmetric=False, momentum=0.95)
    """

    range_estimator = RangeEstimators.running_minmax
    momentum: float = param(0.9, low=0.0, high=1.0, doc="share of the old range kept each batch")


class WeightQuantConfig(_QuantConfig):
    """Quantisation of a layer's weights, all of which are at hand: no estimator with memory.

    A search costs `num_candidates` roundings of the weights in each forward; ``"fix"`` ends it.

    Examples
    --------
    >>> WeightQuantConfig(n_bits=4, per_channel=True)
    WeightQuantConfig(n_bits=4, per_channel=True)
    """

    per_channel: bool = param(False, doc="a grid for every output")

    def check(self) -> None:
        """Refuse estimators that are about batches."""
        super().check()
        if self.range_estimator not in (RangeEstimators.current_minmax, RangeEstimators.MSE):
            raise ConfigError(
                "WeightQuantConfig.range_estimator must be current_minmax or MSE: the weights need "
                f"no memory of earlier batches; got {self.range_estimator.name}."
            )


class AdaptiveQuantiser(Quantiser):
    """Uniform grid whose range follows the values that pass, as its configuration says.

    Its arrays are those of the grid, the range `low`, `high` that it remembers, the `mode` it is
    in, and the `losses` of a search.

    Parameters
    ----------
    config : ActivationQuantConfig or WeightQuantConfig
        Bits, kind of grid, estimator. A quantiser of activations starts in the state
        ``ESTIMATE_TRAIN`` and remembers batches; one of weights starts in ``ESTIMATE`` and looks
        only at the weights it is given.
    shape : tuple of int, default ()
        (channels,) for one grid per entry of the first axis.
    """

    def __init__(
        self, config: ActivationQuantConfig | WeightQuantConfig, shape: tuple[int, ...] = ()
    ):
        super().__init__(config.n_bits, config.symmetric, shape)
        self.config = config
        self.remembers = isinstance(config, ActivationQuantConfig)
        self.momentum = config.momentum if isinstance(config, ActivationQuantConfig) else 0.0
        self.arrays |= {name: np.zeros(shape, np.float32) for name in ("low", "high")}
        self.arrays["mode"] = np.zeros((), np.float32)
        self.set_state(QuantState.ESTIMATE_TRAIN if self.remembers else QuantState.ESTIMATE)
        if config.range_estimator in SEARCHES:
            self.factors = _factors(config)
            self.arrays["losses"] = np.zeros((self.factors.size, *shape), np.float32)

    def set_state(self, state: QuantState | str) -> None:
        """Say when the range follows the values from now on."""
        member = QuantState.find(state)
        if member is None:
            names = ", ".join(m.name for m in QuantState)
            raise ConfigError(f"set_state: the state must be one of {names}, got {state!r}.")
        self.arrays["mode"][...] = [*QuantState].index(QuantState[member.name])

    def follow(self, values: NDArray, training: bool) -> None:
        """Estimate the range if the state says so, or if there is none; nothing if fixed."""
        estimate, in_training, _ = range(len(QuantState))
        mode = self.arrays["mode"]
        if mode == estimate or (mode == in_training and training) or not self.known:
            self.estimate(values)

    def estimate(self, values: ArrayLike) -> None:
        """Take `values` into account."""
        values = np.asarray(values)
        if not (self.n_bits and values.size):
            return
        kind, low, high = self.config.range_estimator, *self._extremes(values)
        old_low, old_high = (self.arrays[name].astype(float) for name in ("low", "high"))
        first = not (self.remembers and (old_low.any() or old_high.any()))
        if kind in SEARCHES:
            low, high = (low, high) if first else (old_low, old_high)
            self._search(values, low, high, first)
            return
        if not first and kind is RangeEstimators.allminmax:
            low, high = np.minimum(low, old_low), np.maximum(high, old_high)
        elif not first and kind is RangeEstimators.running_minmax:
            mu = self.momentum
            low, high = mu * old_low + (1.0 - mu) * low, mu * old_high + (1.0 - mu) * high
        self.arrays["low"][...], self.arrays["high"][...] = low, high
        self.span(low, high)

    def _extremes(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Return the ends of the range of `values`, or the percentiles that stand for them."""
        low, high = extremes(values, self.shape)
        p = self.config.percentile
        if p is not None:
            rows = values.reshape(self.shape[0] if self.shape else 1, -1)
            ends = np.percentile(rows, (p, 100.0 - p), axis=1)
            low, high = (end.reshape(self.shape) for end in ends)
        return low, high

    def _search(self, values: NDArray, low: NDArray, high: NDArray, first: bool) -> None:
        """Add the losses of all fractions of this range; span the one with the least."""
        losses = self.arrays["losses"]
        if first:
            self.arrays["low"][...], self.arrays["high"][...] = low, high
            losses[...] = 0.0
        mse = self.config.range_estimator is RangeEstimators.MSE
        loss = _squared_error if mse else _cross_entropy
        trial = Quantiser(self.n_bits, self.symmetric, self.shape)
        for k, factor in enumerate(self.factors):
            trial.span(factor * low, factor * high)
            losses[k] += loss(values, trial.rounded(values), len(self.shape))
        best = self.factors[np.argmin(losses, axis=0)]
        self.span(best * low, best * high)


def _factors(config: Any) -> NDArray:
    """Return the fractions of the data's range that a search tries, last the range itself."""
    count = config.num_candidates
    return np.append((1.0 + config.range_margin) / count * np.arange(1.0, count + 1.0), 1.0)


def _squared_error(values: NDArray, rounded: NDArray, channels: int) -> NDArray:
    """Return the mean squared error, of each channel if there is an axis of them."""
    return np.mean((rounded - values) ** 2, axis=tuple(range(channels, values.ndim)))


def _cross_entropy(values: NDArray, rounded: NDArray, channels: int) -> NDArray:
    """Return the mean cross entropy between the softmax of values along the last axis."""
    from scipy.special import log_softmax, softmax  # slow to import, rarely needed

    p = softmax(values.astype(float), axis=-1)
    return np.mean(-np.sum(p * log_softmax(rounded, axis=-1), axis=-1))
