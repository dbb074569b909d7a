"""Scatter of pulses: mean and spread of the changes by single pulses against the weight."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, DataError
from rpusim.studies.bench import pulsed_device
from rpusim.studies.optional import progress
from rpusim.studies.pictures import DIRECTIONS, LEGEND, tidy
from rpusim.studies.response import response
from rpusim.studies.result import Result

__all__ = ["Scatter", "scatter", "scatter_of"]

LEAST = 0.1  # total weight of a kernel, or freedom in it, below which nothing is said of its node
MOST_PULSES = 20000  # of the default, in each direction

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scatter(Result):
    """Changes by single pulses around some weights; up first, then down, both as positive steps.

    NaN where too few pulses began near a node.

    Attributes
    ----------
    weight : ndarray of shape (nodes,)
        The nodes.
    bandwidth : float
        Standard deviation of the Gaussian kernel around each.
    mean, std : ndarray of shape (2, nodes)
        Over pulses of all devices: mean change, and scatter around each device's own mean.
    total : ndarray of shape (2, nodes, devices)
        Sum of the kernel over each device's pulses: how many there were, about.
    device_mean, device_std : ndarray of shape (2, nodes, devices)
        Of the pulses of each device.
    """

    weight: Floats
    bandwidth: float
    mean: Floats
    std: Floats
    total: Floats
    device_mean: Floats
    device_std: Floats

    def _table(self) -> dict[str, Any]:
        shape = self.mean.shape
        directions = np.broadcast_to(np.array([[1], [-1]]), shape)
        columns = {"direction": directions, "weight": np.broadcast_to(self.weight, shape)}
        columns |= {"mean": self.mean, "std": self.std, "total": self.total.sum(axis=2)}
        return {name: values.ravel() for name, values in columns.items()}

    def _draw(self, ax: Any) -> None:
        for k, style in enumerate(DIRECTIONS):
            mean, std = self.mean[k], self.std[k]
            ax.plot(self.weight, mean, **style)
            for edge in (mean - std, mean + std):
                ax.plot(self.weight, edge, color=style["color"], ls=style["ls"], lw=0.7)
            ax.fill_between(self.weight, mean - std, mean + std, color=style["color"], alpha=0.12)
        tidy(ax, "weight before the pulse", "change by a pulse, ± one standard deviation")
        ax.legend(**LEGEND)


def scatter(
    device_or_config: Any,
    pulses: int | ArrayLike | None = None,
    devices: int = 100,
    nodes: int | ArrayLike = 21,
    smoothness: float = 1.0,
    rng: Any = 0,
) -> Scatter:
    r"""Measure the changes by single pulses on devices that are pulsed up and down.

    Parameters
    ----------
    device_or_config : PulsedDevice or RPUConfig
        The device, or a configuration that holds it.
    pulses : int or array_like of +1 and -1, optional
        As for `rpusim.studies.response`; default: the device's number of states, at most 20000.
    devices, rng
        As there.
    nodes, smoothness
        As for `scatter_of`.

    Returns
    -------
    Scatter

    Raises
    ------
    ConfigError, DataError
        If the device takes no pulses, or an argument does not fit.

    Notes
    -----
    What is seen of a change by :math:`\Delta` is :math:`\Delta` plus the difference of two write
    noises. A weight that happens to be seen too high is seen lower next time, so that where the
    write noise exceeds the step the means bend down towards the highest weights, and up towards the
    lowest. For the steps alone use ``device.replace(write_noise_std=0.0)``.

    Examples
    --------
    >>> from rpusim import ConstantStepDevice
    >>> made = scatter(ConstantStepDevice(dw_min=0.01, dw_min_dtod=0.0), devices=20)
    >>> bool(abs(made.mean[0, 10] - 0.01) < 0.0005), bool(abs(made.std[0, 10] - 0.003) < 0.0005)
    (True, True)
    """
    if pulses is None:
        states = pulsed_device(device_or_config, "scatter").num_states
        pulses = min(max(math.ceil(states), 1), MOST_PULSES)
    curve = response(device_or_config, pulses, devices, rng=rng, traces=devices)
    return scatter_of(curve.traces, curve.direction[1:], nodes, smoothness)


def scatter_of(
    weights: ArrayLike,
    directions: ArrayLike,
    nodes: int | ArrayLike = 21,
    smoothness: float = 1.0,
) -> Scatter:
    r"""Return the scatter of pulses in weights that were measured, or simulated.

    Around a node :math:`w_0`, a change :math:`\delta_t` from the weight :math:`w_t` counts by
    :math:`k_t = e^{-(w_t - w_0)^2 / 2 h^2}`, h being half the distance of nodes times `smoothness`:

    .. math::
        \mu = \frac{\sum_t k_t \delta_t}{\sum_t k_t}, \qquad
        s^2 = \frac{\sum_t k_t (\delta_t - \mu)^2}{\sum_t k_t - \sum_t k_t^2 / \sum_t k_t}

    for each device; over devices, numerators and denominators are summed. The variance is without
    bias for independent pulses of equal step.

    Parameters
    ----------
    weights : array_like of shape (pulses + 1, devices)
        Of each device before the first pulse and after each.
    directions : array_like of shape (pulses,)
        +1 up, -1 down. A pulse that follows one of the other direction is left out.
    nodes : int or array_like, default 21
        How many, from the smallest weight to the largest; or their weights, at least two.
    smoothness : float, default 1.0
        > 0; larger averages over more pulses.

    Returns
    -------
    Scatter
    """
    w, signs = np.asarray(weights, np.float64), np.asarray(directions)
    if w.ndim != 2 or not np.isfinite(w).all() or signs.shape != (len(w) - 1,) or not signs.size:
        raise DataError(
            "scatter_of: weights must be finite and have shape (pulses + 1, devices), directions "
            f"(pulses,); got {w.shape} and {signs.shape}."
        )
    if not smoothness > 0.0:
        raise ConfigError(f"scatter_of: smoothness must be > 0, got {smoothness!r}.")
    centres = _centres(nodes, w)
    bandwidth = 0.5 * smoothness * np.ptp(centres) / (centres.size - 1)
    goes_on = np.concatenate([[True], signs[1:] == signs[:-1]])
    total, freedom, mean, squares = np.zeros((4, 2, centres.size, w.shape[1]))
    with progress(2 * centres.size, "scatter") as bar:
        for k, sign in enumerate((1, -1)):
            chosen = np.flatnonzero(goes_on & (signs == sign))
            at, change = w[chosen], sign * (w[chosen + 1] - w[chosen])
            for n, centre in enumerate(centres):
                kernel = np.exp(-0.5 * ((at - centre) / bandwidth) ** 2)
                total[k, n], mean[k, n], squares[k, n], freedom[k, n] = moments(kernel, change)
                bar.update()
    everywhere = total.sum(axis=2) >= LEAST
    pooled = _ratio(np.nansum(total * mean, axis=2), total.sum(axis=2))
    return Scatter(
        weight=centres,
        bandwidth=float(bandwidth),
        mean=np.where(everywhere, pooled, np.nan),
        std=deviation(np.nansum(squares, axis=2), np.nansum(freedom, axis=2)),
        total=total,
        device_mean=np.where(total >= LEAST, mean, np.nan),
        device_std=deviation(squares, freedom),
    )


def _centres(nodes: Any, w: Floats) -> Floats:
    """Return the weights of the nodes."""
    array = np.asarray(nodes)
    if array.dtype.kind in "iu" and array.ndim == 0 and array >= 2:
        return np.linspace(w.min(), w.max(), int(array))
    if array.dtype.kind in "iuf" and array.ndim == 1 and array.size >= 2 and np.ptp(array) > 0.0:
        return array.astype(np.float64)
    raise DataError(
        f"scatter_of: nodes must be a number >= 2, or a list of different weights, got {nodes!r}."
    )


def moments(kernel: Floats, change: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sum of the weights, mean, sum of squares and freedom of changes, along axis 0."""
    total = kernel.sum(axis=0)
    mean = _ratio((kernel * change).sum(axis=0), total)
    squares = (kernel * (change - mean) ** 2).sum(axis=0)
    return total, mean, squares, total - _ratio((kernel**2).sum(axis=0), total)


def deviation(squares: Floats, freedom: Floats) -> Floats:
    """Return standard deviations, NaN where too little is known of them."""
    return np.sqrt(_ratio(squares, np.where(freedom >= LEAST, freedom, np.nan)))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return top / bottom
