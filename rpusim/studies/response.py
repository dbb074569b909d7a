"""Response curves: the weights of many devices after each of a sequence of pulses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, DataError
from rpusim.studies.bench import Bench, bench_of
from rpusim.studies.optional import progress
from rpusim.studies.pictures import draw_response
from rpusim.studies.result import Result

__all__ = ["Response", "response"]

#: The default number of pulses in each direction is that of the device's states, at most this.
MOST_PULSES = 2000
MOST_BYTES = 4e9  # of the traces


@dataclasses.dataclass(frozen=True)
class Response(Result):
    """Weights of many devices after each pulse; the first entry is the state before any.

    Attributes
    ----------
    device : PulsedDevice or CompoundDevice
        The device.
    pulse : ndarray of shape (pulses + 1,)
        Number of the pulse, 0 for the start.
    direction : ndarray of shape (pulses + 1,)
        Its sign: +1 up, -1 down, 0 for the start.
    mean, std : ndarray of shape (pulses + 1,)
        Over the devices, in weight units; float64.
    traces : ndarray of shape (pulses + 1, few)
        Weights of the first few devices.
    devices : int
        How many there are.
    seed : int
        As `rng`, it makes the same response again.
    """

    device: Any
    pulse: NDArray[np.int64]
    direction: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    traces: NDArray[np.float32]
    devices: int
    seed: int

    def _table(self) -> dict[str, Any]:
        columns = {name: getattr(self, name) for name in ("pulse", "direction", "mean", "std")}
        return columns | {f"device_{k}": trace for k, trace in enumerate(self.traces.T)}

    def _draw(self, ax: Any) -> None:
        draw_response(self, ax)


def response(
    device_or_config: Any,
    pulses: int | ArrayLike | None = None,
    devices: int = 1000,
    start: ArrayLike | None = None,
    rng: Any = 0,
    traces: int = 5,
) -> Response:
    """Send the same pulses to many devices and record their weights.

    Each device receives exactly one pulse at a time. Decay, diffusion and drift, which take steps
    or time, do not act. A cell of several devices receives one update at a time that is worth a
    mean step, and does with it what it does in training: it transfers, refreshes, ...

    Parameters
    ----------
    device_or_config : PulsedDevice, CompoundDevice or RPUConfig
        The device or cell, or a configuration that holds it.
    pulses : int or array_like of +1 and -1, optional
        Their directions; a number n means n up, then n down. Default: the device's number of
        states, at most 2000.
    devices : int, default 1000
        How many are fabricated.
    start : float or array_like of shape (devices,), optional
        Weights before the first pulse; default: each device's lower bound.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation and of the noise of the pulses.
    traces : int, default 5
        Of how many devices every weight is kept; at least `devices` for all.

    Returns
    -------
    Response

    Raises
    ------
    ConfigError, DataError
        If the device takes no pulses, or an argument does not fit.

    Examples
    --------
    >>> from rpusim import ConstantStepDevice
    >>> curve = response(ConstantStepDevice(dw_min=0.01), pulses=20, start=0.0)
    >>> curve.pulse[-1], round(float(curve.mean[20]), 2)
    (np.int64(40), 0.2)
    """
    bench = bench_of("response", device_or_config, devices, rng)
    signs = _directions(pulses, bench)
    bench.start(start, bench.low)
    mean, std = np.empty((2, signs.size + 1))
    kept = _room_for_traces(signs.size + 1, min(_whole(traces), bench.low.size))
    with progress(signs.size, "pulses") as bar:
        for n in range(signs.size + 1):
            w = bench.weights[0]
            mean[n], std[n], kept[n] = w.mean(dtype=float), w.std(dtype=float), w[: kept.shape[1]]
            if n < signs.size:
                bench.pulse(signs[n : n + 1])
                bar.update()
    return Response(
        device=bench.device,
        pulse=np.arange(signs.size + 1),
        direction=np.concatenate([[0], signs]),
        mean=mean,
        std=std,
        traces=kept,
        devices=bench.low.size,
        seed=bench.seed,
    )


def _directions(pulses: Any, bench: Bench) -> NDArray[np.int64]:
    """Return the sign of each pulse."""
    if pulses is None:
        pulses = min(max(math.ceil(bench.states), 1), MOST_PULSES)
    array = np.asarray(pulses)
    if array.dtype.kind not in "iuf":
        raise DataError(f"response: pulses must be a number or an array of +-1, got {pulses!r}.")
    if array.ndim == 0:
        if array.dtype.kind == "f" or array < 1:
            raise ConfigError(f"response: pulses must be a positive integer, got {pulses!r}.")
        return np.repeat([1, -1], int(array))
    if array.ndim != 1 or array.size == 0 or not np.isin(array, (-1, 1)).all():
        raise DataError("response: pulses must be a number, or a list of +1 and -1, not empty.")
    return array.astype(np.int64)


def _whole(traces: Any) -> int:
    """Return a number of traces, which may be 0."""
    if isinstance(traces, bool) or not isinstance(traces, int | np.integer) or traces < 0:
        raise ConfigError(f"response: traces must be an integer >= 0, got {traces!r}.")
    return int(traces)


def _room_for_traces(rows: int, cols: int) -> NDArray[np.float32]:
    """Return an empty array for the traces, or say that they are too many."""
    if 4.0 * rows * cols > MOST_BYTES:
        raise DataError(
            f"response: {cols} traces of {rows} weights need {4e-9 * rows * cols:.1f} GB; at most "
            f"{1e-9 * MOST_BYTES:g} are kept. Give fewer traces, devices or pulses."
        )
    return np.empty((rows, cols), np.float32)
