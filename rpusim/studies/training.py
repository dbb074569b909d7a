"""Training runs: one network, one configuration of its tiles, and what is worth knowing after."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim import nn
from rpusim.config import Config
from rpusim.errors import ClippedWeightsWarning, ConfigError, ShapeError
from rpusim.kernels.streams import Streams
from rpusim.optim import AnalogSGD
from rpusim.studies.digits import Dataset
from rpusim.tiles.settings import as_config

__all__ = ["TrainingRun", "train_classifier"]

#: How many last epochs `TrainingRun.final_accuracy` averages over.
LAST = 5


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """What a training run did.

    Attributes
    ----------
    config : Config
        Configuration of the tiles.
    sizes : tuple of int
        Widths of the network, inputs first.
    lr, batch : float, int
        Learning rate and samples per step.
    accuracy : ndarray of shape (epochs,)
        Fraction of the test samples that were right, after each epoch.
    loss : ndarray of shape (epochs,)
        Mean loss of the training samples, while the epoch trained them; in nat.
    seconds : float
        Time of training and testing, without compilation.
    seconds_compiling : float
        Time before that: compiling, or loading machine code from the disk.
    pulses : int
        Pulses that devices received, all layers together.
    weights_before, weights_after : list of ndarray
        Logical weights of each layer, (out, in), without biases.
    seed : int
        As `rng`, it makes the same run again.
    """

    config: Config
    sizes: tuple[int, ...]
    lr: float
    batch: int
    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    seconds: float
    seconds_compiling: float
    pulses: int
    weights_before: list[NDArray[np.float32]]
    weights_after: list[NDArray[np.float32]]
    seed: int

    @property
    def final_accuracy(self) -> float:
        """Mean accuracy of the last five epochs: a single one carries the noise of its pulses."""
        return float(self.accuracy[-LAST:].mean())


def train_classifier(
    rpu_config: Any,
    data: Dataset,
    hidden: Sequence[int] = (32,),
    lr: float = 0.1,
    batch: int = 10,
    epochs: int = 20,
    rng: Any = 0,
    progress: Any = None,
) -> TrainingRun:
    """Train fully connected layers with sigmoids between them to classify; test after every epoch.

    Plain gradient descent on the cross entropy; all layers are analog and have a bias. Runs with
    the same seed start from the same weights and see the samples in the same order, whatever their
    devices.

    Parameters
    ----------
    rpu_config : configuration, device or None
        What the tiles are made of.
    data : Dataset
        ``train_x, train_t, test_x, test_t``; labels count from 0.
    hidden : sequence of int
        Widths between input and output; may be empty.
    lr : float, default 0.1
        Learning rate.
    batch : int, default 10
        Samples per step.
    epochs : int, default 20
        Passes over the training samples.
    rng : None, int, SeedSequence or Generator
        Source of weights, devices, noise and the order of the samples.
    progress : callable or progress bar, optional
        After every epoch called with (epoch, accuracy, loss), epochs counted from 1; if it has a
        method ``update``, as a tqdm bar has, that is called with 1 instead.

    Returns
    -------
    TrainingRun

    Raises
    ------
    ConfigError, ShapeError
        If an argument does not fit.
    """
    epochs = _positive(epochs, "epochs")
    batch = _positive(batch, "batch")
    data = _checked(data)
    labels = int(max(data.train_t.max(), data.test_t.max())) + 1
    sizes = (data.train_x.shape[1], *(_positive(n, "hidden") for n in hidden), labels)
    config, seed = as_config(rpu_config, "train_classifier"), Streams(rng).seed
    tick = _ticker(progress)

    started = time.perf_counter()
    with warnings.catch_warnings():  # the same come again below, and then they count
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        warm_up = _network(config, sizes, seed)[0]
    _train(warm_up, data.train_x[:batch], data.train_t[:batch], lr, batch, 0)
    compiled = time.perf_counter()

    model, order = _network(config, sizes, seed)
    before = [tile.get_weights()[0] for _, tile in model.named_tiles()]
    accuracy, loss = np.empty((2, epochs))
    for epoch in range(epochs):
        loss[epoch] = _train(model, data.train_x, data.train_t, lr, batch, order)
        accuracy[epoch] = _test(model, data.test_x, data.test_t)
        tick(epoch + 1, float(accuracy[epoch]), float(loss[epoch]))
    return TrainingRun(
        config=config,
        sizes=sizes,
        lr=float(lr),
        batch=batch,
        accuracy=accuracy,
        loss=loss,
        seconds=time.perf_counter() - compiled,
        seconds_compiling=compiled - started,
        pulses=sum(tile.stats.pulses for tile in model.analog_tiles()),
        weights_before=before,
        weights_after=[tile.get_weights()[0] for _, tile in model.named_tiles()],
        seed=seed,
    )


def _network(config: Any, sizes: Sequence[int], seed: int) -> tuple[nn.Sequential, Any]:
    """Return the network, and the generator of the order of its samples."""
    *tiles, shuffle = np.random.SeedSequence(seed).spawn(len(sizes))
    layers: list[nn.Module] = []
    for n_in, n_out, rng in zip(sizes[:-1], sizes[1:], tiles, strict=True):
        layers += [nn.AnalogLinear(n_in, n_out, rpu_config=config, rng=rng), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1]), np.random.default_rng(shuffle)


def _train(model: nn.Sequential, x: Any, t: Any, lr: float, batch: int, order: Any) -> float:
    """Train for one epoch; return the mean loss."""
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    model.train()
    total = 0.0
    for x_batch, t_batch in nn.batches(x, t, size=batch, rng=order):
        loss, grad = nn.cross_entropy(model(x_batch), t_batch)
        model.backward(grad)
        optimizer.step()
        total += loss * len(t_batch)
    return total / len(t)


def _test(model: nn.Sequential, x: Any, t: Any) -> float:
    """Return the fraction of samples that the model gets right."""
    model.eval()
    return float((model(x).argmax(axis=1) == t).mean())


def _ticker(progress: Any) -> Callable[[int, float, float], Any]:
    if progress is None:
        return lambda *_: None
    if hasattr(progress, "update"):
        return lambda *_: progress.update(1)
    if callable(progress):
        return progress
    raise ConfigError(
        f"train_classifier: progress must be callable or have a method update, got {progress!r}."
    )


def _positive(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"train_classifier: {name} must be a positive integer, got {value!r}.")
    return int(value)


def _checked(data: Any) -> Dataset:
    """Return the data as arrays if samples and labels fit together."""
    try:
        arrays = Dataset(*map(np.asarray, data))
    except TypeError:
        raise ShapeError(
            "train_classifier: data must be (train_x, train_t, test_x, test_t)."
        ) from None
    for part in ("train", "test"):
        x, t = getattr(arrays, f"{part}_x"), getattr(arrays, f"{part}_t")
        if x.ndim != 2 or t.shape != x.shape[:1] or not t.size or t.dtype.kind not in "iu":
            raise ShapeError(
                f"train_classifier: {part}_x must have shape (n, inputs) and {part}_t hold n >= 1 "
                f"integer labels, got shapes {x.shape} and {t.shape}."
            )
    if arrays.train_x.shape[1] != arrays.test_x.shape[1] or arrays.train_t.min() < 0:
        raise ShapeError(
            "train_classifier: train_x and test_x must have as many columns each, "
            "and labels count from 0."
        )
    return arrays
