"""`fit`: the training loop, written once: epochs, evaluation, schedules, checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_flag
from rpusim.optional import progress as progress_bar
from rpusim.tiles import load, save
from rpusim.tiles.arguments import as_rate, as_size
from rpusim.training.arguments import (
    as_data,
    as_loss,
    as_max_norm,
    as_measure,
    as_pair,
    as_path,
    check_calls,
    check_objects,
    kind_of,
    pairs,
)
from rpusim.training.history import History, Position

__all__ = ["fit"]

EPOCH, STEP = "epoch", "step"


def fit(
    model: nn.Module,
    optimizer: Any,
    loss: Callable[[Any, Any], tuple[float, Any]],
    data: Any,
    epochs: int,
    *,
    batch_size: int = 32,
    shuffle: bool = True,
    validation: Any = None,
    metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
    schedule: Any = None,
    schedule_every: str = EPOCH,
    max_norm: float | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    callbacks: Sequence[Callable[[int, dict[str, float]], Any]] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    rng: Any = None,
    progress: bool = True,
) -> History:
    """Train a model for some epochs.

    A step is: forward, loss, backward, clipping, the optimizer's step. After each epoch come the
    evaluation (in evaluation mode), the schedule, the callbacks and the checkpoint, in this order.
    Interrupted at any moment and resumed from its last checkpoint, a run ends in the same bits as
    without: the checkpoint holds model, optimizer, schedule, random streams and history, and the
    order of the samples follows from seed and epoch.

    Parameters
    ----------
    model : Module
        Is left in the mode, training or evaluation, in which it was.
    optimizer : AnalogSGD, AnalogAdam
        Of the model's parameters.
    loss : callable
        From outputs and targets to the loss, a mean over samples, and its gradient: `nn.mse`, ...
    data : (X, T), or callable
        Samples and targets; or what returns an iterable of batches (x, t) for an epoch, given a
        `numpy.random.SeedSequence` of its own.
    epochs : int
        How many, those before a resumed checkpoint included.
    batch_size : int, default 32
        Samples per step.
    shuffle : bool, default True
        Whether samples come in another order in each epoch.
    validation : (X, T), optional
        What the model is evaluated on.
    metrics : dict of str to callable, optional
        More to be evaluated: from outputs and targets of a batch to a mean over its samples.
    schedule : Schedule, optional
        Of the optimizer.
    schedule_every : {"epoch", "step"}
        When it goes on. `ReduceOnPlateau` then sees what is monitored, or the loss of the step.
    max_norm : float, optional
        Largest norm of the gradients, see `optim.clip_grad_norm`.
    monitor : str, optional
        The column that should fall; default ``validation_loss``, ``loss`` without validation.
    patience : int, optional
        Stop after so many epochs without a new lowest value. The model stays as it then is: devices
        have no way back.
    min_delta : float, default 0
        By what a value must be below the lowest to count.
    callbacks : sequence of callable
        Called with the epoch, from 1, and its numbers by name; one that returns True ends the run.
    checkpoint : path-like, optional
        File written before the first epoch and after each, replaced at once; ``{epoch}`` in the
        name makes it a file for each epoch.
    resume : path-like, optional
        Checkpoint to go on from; model, optimizer and schedule are to be made as for it.
    rng : None, int, SeedSequence or Generator
        Source of the order of the samples; a resumed run has that of the file.
    progress : bool, default True
        Whether there is a progress bar, if tqdm is installed and somebody watches.

    Returns
    -------
    History

    Raises
    ------
    ConfigError, ShapeError, DataError
        If an argument does not fit, or training diverges.
    StateError
        If the checkpoint is damaged, or is that of another run; then nothing is changed.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> T = X @ [[1.0], [-1.0], [0.5], [0.0]]
    >>> model = nn.Sequential(nn.Linear(4, 1, rng=0))
    >>> optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    >>> history = fit(model, optimizer, nn.mse, (X, T), epochs=20, rng=0)
    >>> bool(history["loss"][-1] < 1e-3 * history["loss"][0])
    True
    """
    metrics = {} if metrics is None else metrics
    check_objects(model, optimizer, schedule)
    check_calls(loss, metrics, callbacks)
    if schedule_every not in (EPOCH, STEP):
        raise ConfigError(f"fit: schedule_every must be 'epoch' or 'step', got {schedule_every!r}.")
    if metrics and validation is None:
        raise ConfigError("fit: metrics are evaluated on validation=(X, T), which is missing.")
    data = as_data(data)
    validation = None if validation is None else as_pair(validation, "fit: validation")
    shuffle, max_norm = as_flag(shuffle, "fit: shuffle"), as_max_norm(max_norm)
    progress = as_flag(progress, "fit: progress")
    checkpoint, resume = as_path(checkpoint, "fit: checkpoint"), as_path(resume, "fit: resume")
    epochs, batch = as_size(epochs, "fit: epochs"), as_size(batch_size, "fit: batch_size")
    patience = None if patience is None else as_size(patience, "fit: patience")
    min_delta = as_rate(min_delta, "fit: min_delta")
    if monitor is None:
        monitor = "loss" if validation is None else "validation_loss"
    columns = ["loss", *(["validation_loss", *metrics] if validation is not None else [])]
    if monitor not in columns:
        raise ConfigError(f"fit: monitor must be one of {', '.join(columns)}, got {monitor!r}.")

    run = Position(
        Streams(rng).seed if rng is not None or resume is None else None,
        {
            "batch_size": batch,
            "samples": -1 if callable(data) else len(data[0]),
            "shuffled": int(shuffle),
            "scheduled": 0 if schedule is None else 1 + (schedule_every == STEP),
            "schedule": kind_of(schedule),
            "max_norm": repr(max_norm),
        },
    )
    history = History(["epoch", "lr", *columns])
    parts: dict[str, Any] = {"fit": run, "history": history, "model": model, "optimizer": optimizer}
    if schedule is not None:
        parts["schedule"] = schedule
    if resume is not None:
        load(resume, into=parts)
    elif checkpoint is not None:
        _write(checkpoint, 0, parts)
    stepped = schedule if schedule_every == STEP else None
    each_step = _Step(model, optimizer, loss, max_norm, stepped)
    optimizer.zero_grad()
    with _mode_kept(model), _bar(progress, epochs - run.epoch) as bar:
        while run.epoch < epochs and not run.stopped:
            if patience is not None and history.waited(monitor, min_delta) >= patience:
                break
            source = np.random.SeedSequence(run.seed, spawn_key=(run.epoch,))
            values = {"epoch": run.epoch + 1, "lr": optimizer.lr}
            values["loss"] = each_step.epoch(_batches(data, batch, shuffle, source), run.epoch + 1)
            if validation is not None:
                where = f"fit: validation of epoch {run.epoch + 1}"
                values |= _evaluate(model, loss, metrics, validation, batch, where)
            history.append(values)
            run.epoch += 1
            if schedule is not None and schedule_every == EPOCH:
                schedule.step(values[monitor])
            for callback in callbacks:
                run.stopped |= callback(run.epoch, history.last) is True
            if checkpoint is not None:
                _write(checkpoint, run.epoch, parts)
            bar.update(1)
    return history


@dataclasses.dataclass
class _Step:
    """What happens with each batch."""

    model: nn.Module
    optimizer: Any
    loss: Callable[[Any, Any], tuple[float, Any]]
    max_norm: float | None
    schedule: Any

    def epoch(self, batches: Iterable[tuple[Any, Any]], number: int) -> float:
        """Train on all batches of an epoch; return the mean loss of the samples."""
        self.model.train()
        total, samples = 0.0, 0
        for step, (x, t) in enumerate(batches, 1):
            y = self.model(x)
            value, grad = _loss(self.loss, y, t, f"fit: epoch {number}, step {step}")
            self.model.backward(grad, input_grad=False)
            if self.max_norm is not None:
                optim.clip_grad_norm(self.optimizer.parameters, self.max_norm)
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step(value)
            total, samples = total + value * len(x), samples + len(x)
        if not samples:
            raise DataError("fit: data gave no batch.")
        return total / samples


def _loss(loss: Callable[[Any, Any], Any], y: Any, t: Any, where: str) -> tuple[float, Any]:
    """Return loss and gradient, checked; errors about values say at which step they came."""
    try:
        result = loss(y, t)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    return as_loss(result, where)


def _batches(data: Any, size: int, shuffle: bool, source: np.random.SeedSequence) -> Any:
    if callable(data):
        return pairs(data(source))
    samples, targets = data
    return nn.batches(samples, targets, size, source, shuffle)


def _evaluate(
    model: nn.Module,
    loss: Callable[[Any, Any], tuple[float, Any]],
    metrics: Mapping[str, Callable[[Any, Any], float]],
    validation: Any,
    size: int,
    where: str,
) -> dict[str, float]:
    """Return the means over samples of loss and metrics, in evaluation mode."""
    model.eval()
    samples, targets = validation
    totals = dict.fromkeys(["validation_loss", *metrics], 0.0)
    for x, t in nn.batches(samples, targets, size, shuffle=False):
        y = model(x)
        totals["validation_loss"] += _loss(loss, y, t, where)[0] * len(x)
        for name, metric in metrics.items():
            totals[name] += as_measure(metric(y, t), f"{where}: metric {name}") * len(x)
    return {name: total / len(samples) for name, total in totals.items()}


def _write(checkpoint: str | os.PathLike[str], epoch: int, parts: dict[str, Any]) -> None:
    save(os.fspath(checkpoint).replace("{epoch}", str(epoch)), parts)


@contextlib.contextmanager
def _mode_kept(model: nn.Module) -> Any:
    """Bring each module back to the mode it was in."""
    before = [(module, module.training) for _, module in model.named_modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _bar(wanted: bool, total: int) -> Any:
    if wanted and total > 0:
        return progress_bar(total, "epochs")
    return contextlib.nullcontext(SimpleNamespace(update=lambda n: None))
