"""What `fit` accepts, checked before anything is trained, and what it is given back by calls."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rpusim import nn, optim
from rpusim.arrays import any_array, real_array
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.nn.checks import as_float32
from rpusim.optim.optimizer import Optimizer
from rpusim.training.history import RESERVED

__all__ = [
    "as_data",
    "as_loss",
    "as_max_norm",
    "as_measure",
    "as_pair",
    "as_path",
    "check_calls",
    "check_objects",
    "kind_of",
    "pairs",
]


def check_objects(model: Any, optimizer: Any, schedule: Any) -> None:
    """Raise unless there are a model, an optimizer of it and, if any, a schedule of that."""
    if not isinstance(model, nn.Module) or not isinstance(optimizer, Optimizer):
        raise ConfigError(f"fit needs a model and its optimizer, got {model!r} and {optimizer!r}.")
    own = {id(thing) for p in model.parameters() for thing in (p, p.tile) if thing is not None}
    if not any(id(p) in own or id(p.tile) in own for p in optimizer.parameters):
        raise ConfigError(
            "fit: optimizer must be made with parameters of the model, got an "
            f"{type(optimizer).__name__} of {len(optimizer.parameters)} parameters of another one."
        )
    if schedule is None:
        return
    if not isinstance(schedule, optim.Schedule):
        raise ConfigError(f"fit: schedule must be a schedule of rpusim.optim, got {schedule!r}.")
    if schedule.optimizer is not optimizer:
        raise ConfigError(
            "fit: schedule must be made for the optimizer that is given, got a "
            f"{type(schedule).__name__} of another one."
        )


def check_calls(loss: Any, metrics: Any, callbacks: Any) -> None:
    """Raise unless all that `fit` calls can be called, and metrics have names of their own."""
    if not callable(loss):
        raise ConfigError(f"fit: loss must be callable, as nn.mse, got {loss!r}.")
    if not isinstance(metrics, Mapping):
        raise ConfigError(f"fit: metrics must be a dict of str to callable, got {_brief(metrics)}.")
    for name, metric in metrics.items():
        if not isinstance(name, str) or not name or name in RESERVED:
            raise ConfigError(
                "fit: names of metrics must be strings, and not one of the columns "
                f"{', '.join(RESERVED)}, got {name!r}."
            )
        if not callable(metric):
            raise ConfigError(f"fit: metrics: {name} must be callable, got {metric!r}.")
    if callable(callbacks):
        raise ConfigError(f"fit: callbacks must be a list, as [{_name(callbacks)}], got no list.")
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str):
        raise ConfigError(f"fit: callbacks must be a list of callables, got {_brief(callbacks)}.")
    for i, callback in enumerate(callbacks):
        if not callable(callback):
            raise ConfigError(f"fit: callbacks: number {i} must be callable, got {callback!r}.")


def as_data(data: Any) -> Any:
    """Return training data: a function, or a pair of arrays."""
    return data if callable(data) else as_pair(data, "fit: data", "a pair (X, T), or callable")


def as_pair(data: Any, where: str, must: str = "a pair (X, T)") -> tuple[np.ndarray, np.ndarray]:
    """Return samples and targets as arrays of one length, at least 1."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ConfigError(f"{where} must be {must}, got {_brief(data)}.")
    samples = as_float32(data[0], f"{where}: X")  # once, and not in every epoch
    targets = any_array(data[1], f"{where}: T")
    lengths = [a.shape[0] if a.ndim else 0 for a in (samples, targets)]
    if lengths[0] != lengths[1] or not lengths[0]:
        raise ShapeError(
            f"{where}: X and T must hold equally many samples, at least one, got shapes "
            f"{samples.shape} and {targets.shape}."
        )
    return samples, targets


def pairs(batches: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of a data function, checked to be pairs."""
    if not isinstance(batches, Iterable):
        raise DataError(f"fit: data must return an iterable of batches, got {_brief(batches)}.")
    for i, batch in enumerate(batches, 1):
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise DataError(f"fit: batch {i} of data must be a pair (x, t), got {_brief(batch)}.")
        yield batch[0], batch[1]


def as_max_norm(value: Any) -> float | None:
    """Return the largest norm, None without clipping."""
    if value is None:
        return None
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and value > 0.0):
        raise ConfigError(f"fit: max_norm must be None or a number > 0, got {value!r}.")
    return float(value)


def as_path(path: Any, where: str) -> str | None:
    """Return a path whose folder exists, ``{epoch}`` in its name as it is; or None."""
    if path is None:
        return None
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where} must be a path to a file, got {path!r}.")
    first = name.replace("{epoch}", "0")
    folder = os.path.dirname(first) or os.curdir
    if not os.path.isdir(folder):
        raise ConfigError(f"{where} must be in a folder that exists, got {name!r}.")
    if os.path.isdir(first):
        raise ConfigError(f"{where} must be a file, got the folder {name!r}.")
    return name


def as_loss(result: Any, where: str) -> tuple[float, Any]:
    """Return what a loss function gave back: a finite number and the gradient."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise DataError(f"{where}: loss must return (number, gradient), got {_brief(result)}.")
    value = as_measure(result[0], f"{where}: loss")
    if not math.isfinite(value):
        raise DataError(f"{where}: loss must be finite, got {value}.")
    if result[1] is None:
        raise DataError(f"{where}: loss must return (number, gradient), got no gradient.")
    return value, result[1]


def as_measure(value: Any, where: str) -> float:
    """Return a real number that a function of the user gave back."""
    try:
        array = real_array(value, where)
    except (DataError, TypeError):
        array = None
    if array is None or array.ndim:
        raise DataError(f"{where} must return a real number, got {_brief(value)}.")
    return float(array)


def kind_of(schedule: Any) -> str:
    """Return class and constants of a schedule as a text, equal for equal ones; None's too."""
    if schedule is None:
        return "None"
    constants = (f"{name}={_text(value)}" for name, value in schedule.constants().items())
    return f"{type(schedule).__name__}({', '.join(constants)})"


def _text(value: Any) -> str:
    """Return a value as a text that is the same in another process."""
    if isinstance(value, optim.Schedule):
        return kind_of(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return f"[{', '.join(_text(part) for part in value)}]"
    plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if plain else _name(value)


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", type(value).__qualname__)


def _brief(value: Any) -> str:
    """Return what something is, in a few words however large it is."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"{kind} of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"{kind} of length {len(value)}"
    return f"{kind} {value!r}" if isinstance(value, str | int | float | complex) else kind
