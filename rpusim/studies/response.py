"""Response curves: the weights of many devices after each of a sequence of pulses."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.devices import PulsedDevice
from rpusim.errors import ClippedWeightsWarning, ConfigError, DataError, StateError
from rpusim.pulses import UpdateParameters
from rpusim.studies.optional import need
from rpusim.studies.pictures import draw_response
from rpusim.tiles import AnalogTile, FloatingPointRPUConfig
from rpusim.tiles.settings import as_config

__all__ = ["Response", "response"]

#: The default number of pulses in each direction is that of the device's states, at most this.
MOST_PULSES = 2000
TRACES = 5

ONE_PULSE = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)


@dataclasses.dataclass(frozen=True)
class Response:
    """Weights of many devices after each pulse; the first entry is the state before any.

    Attributes
    ----------
    device : PulsedDevice
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

    device: PulsedDevice
    pulse: NDArray[np.int64]
    direction: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    traces: NDArray[np.float32]
    devices: int
    seed: int

    def plot(self, ax: Any = None) -> Any:
        """Draw mean, spread and single devices.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default the axes of a new pyplot figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        if ax is None:
            ax = need("matplotlib.pyplot", "plot", "Response.plot").subplots()[1]
        draw_response(self, ax)
        return ax


def response(
    device_or_config: Any,
    pulses: int | ArrayLike | None = None,
    devices: int = 1000,
    start: ArrayLike | None = None,
    rng: Any = 0,
) -> Response:
    """Send the same pulses to many devices and record their weights.

    Every pulse is one update with a train of one slot in which both lines fire for certain, so
    that each device receives exactly one. Decay, diffusion and drift, which take steps or time, do
    not act.

    Parameters
    ----------
    device_or_config : PulsedDevice or RPUConfig
        The device, or a configuration that holds it.
    pulses : int or array_like of +1 and -1, optional
        Their directions; a number n means n up, then n down. Default: the device's number of
        states, at most 2000.
    devices : int, default 1000
        How many are fabricated.
    start : float or array_like of shape (devices,), optional
        Weights before the first pulse; default: each device's lower bound.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation and of the noise of the pulses.

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
    device = _pulsed(device_or_config)
    if isinstance(devices, bool) or not isinstance(devices, int | np.integer) or devices < 1:
        raise ConfigError(f"response: devices must be a positive integer, got {devices!r}.")
    signs = _directions(pulses, device)
    config = as_config(device, "response").replace(update=ONE_PULSE)
    with warnings.catch_warnings():  # initial weights that do not fit are replaced at once
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        tile = AnalogTile(1, int(devices), config, rng=rng)
    tile.set_weights(_start(start, tile), apply_weight_scaling=False)

    mean, std = np.empty((2, signs.size + 1))
    traces = np.empty((signs.size + 1, min(TRACES, tile.in_size)), np.float32)
    x, d = np.full((1, tile.in_size), -1.0, np.float32), np.ones((1, 1), np.float32)
    rate = 4.0 * tile.weight_granularity  # both lines would fire with probability 2: they do
    for n in range(signs.size + 1):
        w = tile.get_weights(apply_weight_scaling=False)[0][0]
        mean[n], std[n], traces[n] = w.mean(dtype=float), w.std(dtype=float), w[: traces.shape[1]]
        if n < signs.size:
            tile.update(x, d * signs[n], learning_rate=rate)
    if tile.stats.pulses != signs.size * tile.in_size:
        raise StateError(
            f"response: {tile.in_size} devices must receive {signs.size} pulses each, "
            f"but {tile.stats.pulses} arrived in all."
        )
    direction = np.concatenate([[0], signs])
    return Response(
        device, np.arange(direction.size), direction, mean, std, traces, tile.in_size, tile.seed
    )


def _pulsed(given: Any) -> PulsedDevice:
    """Return the pulsed device of a device or configuration."""
    config = as_config(given, "response")
    device = config.device
    if isinstance(config, FloatingPointRPUConfig) or not isinstance(device, PulsedDevice):
        raise ConfigError(f"response: {type(device).__name__} takes no pulses.")
    return device


def _directions(pulses: Any, device: PulsedDevice) -> NDArray[np.int64]:
    """Return the sign of each pulse."""
    if pulses is None:
        pulses = min(max(math.ceil(device.num_states), 1), MOST_PULSES)
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


def _start(start: Any, tile: AnalogTile) -> NDArray[np.float32]:
    """Return the weights to begin with, of the tile's shape."""
    if start is None:
        return tile.weight_range()[0]
    array = np.asarray(start)
    if array.shape not in ((), (tile.in_size,)) or array.dtype.kind not in "fiu":
        raise DataError(f"response: start must be a weight, or {tile.in_size} of them.")
    return np.broadcast_to(array, (1, tile.in_size)).astype(np.float32)
