"""Measured pulse responses: arrays or a file, checked, in the one form in which they are fitted."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, DataError, ShapeError

__all__ = ["PulseData", "checked_data", "read_pulse_csv"]

COLUMNS = ("pulse", "direction", "weight")
LABELS = ("device", "repeat")
FEWEST = 3  # steps that are needed to fit anything


class PulseData(NamedTuple):
    """Pulses, and the weights before and after them.

    Attributes
    ----------
    pulses : ndarray of shape (pulses, devices, repeats)
        +1 up, -1 down, 0 none.
    weights : ndarray of shape (pulses + 1, devices, repeats)
        ``weights[t]`` was measured before pulse t; NaN where nothing was.
    """

    pulses: NDArray[np.float64]
    weights: NDArray[np.float64]


def checked_data(pulses: ArrayLike, weights: ArrayLike) -> PulseData:
    """Return measured data with all three axes.

    Parameters
    ----------
    pulses : array_like of shape (T,), (T, devices) or (T, devices, repeats)
        +1, -1 or 0; missing axes: the same for all.
    weights : array_like of shape (T + 1,), (T + 1, devices) or (T + 1, devices, repeats)
        Weights before the first pulse and after each; NaN: not measured.

    Raises
    ------
    ShapeError, DataError
        If the shapes do not fit each other, or the values are no pulses or weights.
    """
    signs, w = _numbers(pulses, "pulses"), _numbers(weights, "weights")
    if not 1 <= w.ndim <= 3 or not 1 <= signs.ndim <= w.ndim:
        raise ShapeError(
            "fit: weights must have shape (T + 1,), (T + 1, devices) or (T + 1, devices, repeats), "
            f"and pulses as many axes or fewer, got shapes {w.shape} and {signs.shape}."
        )
    w = w.reshape(w.shape + (1,) * (3 - w.ndim))
    signs = signs.reshape(signs.shape + (1,) * (3 - signs.ndim))
    if len(w) != len(signs) + 1:
        raise ShapeError(
            f"fit: {len(signs)} pulses need {len(signs) + 1} weights, the first one measured "
            f"before any pulse, got {len(w)}."
        )
    if any(signs.shape[axis] not in (1, w.shape[axis]) for axis in (1, 2)):
        raise ShapeError(
            f"fit: pulses of shape {np.shape(pulses)} do not fit weights of shape "
            f"{np.shape(weights)}: devices and repeats must agree."
        )
    if not np.isin(signs, (-1.0, 0.0, 1.0)).all():
        raise DataError("fit: pulses must be +1, -1, or 0 for none.")
    if np.isinf(w).any():
        raise DataError("fit: weights must be finite, or NaN where nothing was measured.")
    signs = np.broadcast_to(signs, (len(signs), *w.shape[1:]))
    steps = np.isfinite(w[1:]) & np.isfinite(w[:-1]) & (signs != 0.0)
    if steps.sum() < FEWEST:
        raise DataError(
            f"fit: weights before and after at least {FEWEST} pulses are needed, "
            f"got {int(steps.sum())}."
        )
    if np.ptp(w[np.isfinite(w)]) == 0.0:
        raise DataError("fit: all weights are equal: nothing moved.")
    return PulseData(signs, w)


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise DataError(f"fit: {name} must be an array of numbers, got {array.dtype} values.")
    return array.astype(np.float64)


def from_units(weights: NDArray, units: Any, device: Any) -> NDArray:
    """Return conductances as weights: `units`, (low, high), become the device's mean bounds."""
    try:
        low, high = (float(v) for v in units)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and low < high < math.inf):
        raise ConfigError(f"fit: units must be (low, high) with low < high, got {units!r}.")
    return device.w_min + (weights - low) * (device.w_max - device.w_min) / (high - low)


def read_pulse_csv(path: str | Path) -> PulseData:
    """Read measured pulse responses from a text file with a row for every weight.

    Parameters
    ----------
    path : str or Path
        A comma-separated file whose first line names the columns. `pulse` counts from 0, the state
        before any; `direction` is that of this pulse, +1, -1 or 0 (0 or empty at pulse 0);
        `weight` is what was measured after it, empty if nothing was. `device` and `repeat` may be
        missing: then there is one. Other columns and the order of rows do not matter.

    Returns
    -------
    PulseData
        For ``fit(device, *read_pulse_csv(path))``; devices and repeats in the order in which they
        first appear. What is not in the file is NaN, or no pulse.

    Raises
    ------
    DataError
        If the file does not hold this; the message names the line.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: the first line must name the columns {', '.join(COLUMNS)} (and may name "
                f"{', '.join(LABELS)}), got no {', '.join(missing)}."
            )
        rows: dict[Any, tuple[float, float]] = {}
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            key = (*((row.get(name) or "").strip() for name in LABELS), _count(row, where))
            if key in rows:
                raise DataError(f"{where}: pulse {key[-1]} of this device and repeat came before.")
            rows[key] = (_direction(row, where), _weight(row, where))
    if not rows:
        raise DataError(f"{path} holds no rows after the first line.")
    devices = list(dict.fromkeys(key[0] for key in rows))
    repeats = list(dict.fromkeys(key[1] for key in rows))
    last = max(key[2] for key in rows)
    directions = np.zeros((last + 1, len(devices), len(repeats)))
    weights = np.full(directions.shape, np.nan)
    for (name, repeat, pulse), (direction, weight) in rows.items():
        place = pulse, devices.index(name), repeats.index(repeat)
        directions[place], weights[place] = direction, weight
    return PulseData(directions[1:], weights)


def _count(row: dict[str, str], where: str) -> int:
    text = row["pulse"] or ""
    if not text.strip().isdecimal():
        raise DataError(f"{where}: pulse must be 0, 1, 2, ..., got {text!r}.")
    return int(text)


def _direction(row: dict[str, str], where: str) -> float:
    text = (row["direction"] or "").strip()
    if int(row["pulse"]) == 0 and text in ("", "0"):
        return 0.0
    if text not in ("1", "+1", "-1", "0"):
        raise DataError(f"{where}: direction must be +1, -1 or 0, got {text!r}.")
    return float(text)


def _weight(row: dict[str, str], where: str) -> float:
    text = (row["weight"] or "").strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise DataError(f"{where}: weight must be a number, or empty, got {text!r}.")
    return value
