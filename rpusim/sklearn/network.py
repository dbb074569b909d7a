"""What the estimators share: a network of analog layers, its training, its outputs."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from rpusim import nn, optim
from rpusim.errors import ClippedWeightsWarning, ConfigError
from rpusim.kernels.streams import Streams
from rpusim.tiles.arguments import as_size
from rpusim.training import History, fit

__all__ = ["AnalogMLP"]

ACTIVATIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}
#: What the seed of an estimator is split for, beside its layers.
ORDER, HELD_OUT, PREDICTION = 1_000_000, 1_000_001, 1_000_002


class AnalogMLP(BaseEstimator):
    """Base of the estimators.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (32,)
        Widths between inputs and outputs; may be empty.
    rpu_config : configuration or device, optional
        What the tiles are made of; default `RPUConfig()`.
    activation : {"tanh", "sigmoid", "relu"}
        Between layers.
    lr : float, default 0.1
        Learning rate of `AnalogSGD`.
    batch_size : int, default 10
        Samples per step.
    epochs : int, default 20
        Passes over the samples.
    standardize : bool, default False
        Whether inputs are brought to mean 0 and spread 1 of the samples of `fit` (of the first
        `partial_fit`). Nothing is scaled otherwise: analog inputs should be of the order of 1.
    early_stopping : bool, default False
        Whether to stop when the loss of samples held out does not fall any more.
    validation_fraction : float, default 0.1
        Which part of the samples is held out.
    n_iter_no_change : int, default 5
        For how many epochs it may not fall.
    tol : float, default 1e-4
        By how much it has to.
    random_state : None, int, SeedSequence, Generator or RandomState
        Source of devices, weights, noise and order; with an int, fits repeat bit for bit.
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (32,),
        rpu_config: Any = None,
        *,
        activation: str = "tanh",
        lr: float = 0.1,
        batch_size: int = 10,
        epochs: int = 20,
        standardize: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.rpu_config = rpu_config
        self.activation = activation
        self.lr = lr
        self.batch_size = batch_size
        self.epochs = epochs
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state

    def _fit(self, X: Any, T: np.ndarray, outputs: int, loss: Any) -> None:
        """Make a new network and train it."""
        self._build(X, outputs)
        X, held = self._prepared(X), None
        if self.early_stopping:
            order = np.random.default_rng(self._source(HELD_OUT)).permutation(len(X))
            count = max(int(self.validation_fraction * len(X)), 1)
            if not 0.0 < self.validation_fraction < 1.0 or count >= len(X):
                raise ConfigError(
                    f"{type(self).__name__}: validation_fraction must be in 0 < value < 1 and "
                    f"leave something to train on, got {self.validation_fraction!r} of "
                    f"{len(X)} samples."
                )
            held = X[order[:count]], T[order[:count]]
            X, T = X[order[count:]], T[order[count:]]
        self.history_: History = fit(
            self.model_,
            self.optimizer_,
            loss,
            (X, T),
            self.epochs,
            batch_size=self.batch_size,
            validation=held,
            patience=self.n_iter_no_change if self.early_stopping else None,
            min_delta=self.tol,
            rng=self._source(ORDER),
            progress=False,
        )
        self.n_iter_, self.passes_ = len(self.history_), len(self.history_)

    def _pass(self, X: Any, T: np.ndarray, loss: Any) -> None:
        """Train the network once more with some samples."""
        source = np.random.SeedSequence(self.seed_, spawn_key=(ORDER, self.passes_))
        self.history_ = fit(
            self.model_,
            self.optimizer_,
            loss,
            (self._prepared(X), T),
            epochs=1,
            batch_size=self.batch_size,
            rng=source,
            progress=False,
        )
        self.passes_ += 1

    def _build(self, X: np.ndarray, outputs: int) -> None:
        """Make network and optimizer from the parameters."""
        where = type(self).__name__
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(
                f"{where}.activation must be one of {known}, got {self.activation!r}."
            )
        sizes = self.hidden_layer_sizes
        hidden = sizes if isinstance(sizes, Sequence | np.ndarray) else [sizes]
        hidden = [as_size(n, f"{where}.hidden_layer_sizes") for n in hidden]
        draw = getattr(self.random_state, "randint", None)  # of NumPy's older generators
        self.seed_ = Streams(self.random_state if draw is None else int(draw(2**31))).seed
        self.mean_ = self.scale_ = None
        if self.standardize:
            self.mean_, spread = X.mean(axis=0), X.std(axis=0)
            self.scale_ = np.where(spread > 0.0, spread, 1.0)
        layers: list[nn.Module] = []
        with warnings.catch_warnings():  # of initial weights, which nobody chose
            warnings.simplefilter("ignore", ClippedWeightsWarning)
            pairs = itertools.pairwise([X.shape[1], *hidden, outputs])
            for i, (n_in, n_out) in enumerate(pairs):
                rng, config = self._source(i), self.rpu_config
                layers.append(nn.AnalogLinear(n_in, n_out, rpu_config=config, rng=rng))
                layers.append(ACTIVATIONS[self.activation]())
        self.model_ = nn.Sequential(*layers[:-1])
        self.optimizer_ = optim.AnalogSGD(self.model_.parameters(), lr=self.lr)
        self.passes_ = 0

    def _source(self, purpose: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed_, spawn_key=(purpose,))

    def _prepared(self, X: np.ndarray) -> np.ndarray:
        return X if self.mean_ is None else (X - self.mean_) / self.scale_

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the network makes of samples, with noise that repeats."""
        check_is_fitted(self, "model_")
        X = self._prepared(validate_data(self, X, reset=False))
        self.model_.eval()
        with _repeatable(self.model_, self.seed_):
            return self.model_(X)


@contextlib.contextmanager
def _repeatable(model: nn.Module, seed: int) -> Iterator[None]:
    """Let all tiles draw from a seed, and go on afterwards as if nothing had been drawn."""
    with contextlib.ExitStack() as stack:
        for number, tile in enumerate(model.analog_tiles()):
            source = np.random.SeedSequence(seed, spawn_key=(PREDICTION, number))
            stack.enter_context(tile.seeded(source))
        yield
