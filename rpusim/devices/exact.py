"""A device's law in double precision, for studies: single steps, traces, and their moments.

Weights here are those that pulses act on: for a device with a reference, before it is subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rpusim.errors import ConfigError
from rpusim.kernels.bind import kernel
from rpusim.kernels.law import FIRST, LANES

__all__ = ["ExactLaw"]

FIELDS = 2  # of the law


def advance(w, sign, local, tables, c, active, z0, z1, z2, z3):
    """Stand for the law, see `rpusim.kernels.law`."""
    raise NotImplementedError


def unbounded(w, sign, local, tables, c, z):
    """Stand for the law without bounds."""
    raise NotImplementedError


def prepare(local, model):
    """Stand for copying the law's numbers of the configuration."""
    raise NotImplementedError


def split_tables(model):
    """Stand for the tables of the configuration as a tuple of arrays."""
    raise NotImplementedError


def load(local, planes, i, j, c):
    """Stand for copying the law's fields of a crosspoint."""
    raise NotImplementedError


def step_each(out, w, signs, z, planes, model):
    """Set ``out[n]`` to the weight of device n after one pulse with the normals ``z[:, n]``."""
    local, tables = np.ones((FIRST + FIELDS) * LANES), split_tables(model)
    prepare(local, model)
    for n in range(w.size):
        load(local, planes, 0, n, 0)
        noise = (z[0, n], z[1, n], z[2, n], z[3, n])
        out[n] = advance(w[n], signs[n], local, tables, 0, True, *noise)


def free_steps_each(out, w, planes, model):
    """Set ``out[:, n]`` to the noise-free steps up and down of device n, as without bounds."""
    local, tables = np.ones((FIRST + FIELDS) * LANES), split_tables(model)
    prepare(local, model)
    for n in range(w.size):
        load(local, planes, 0, n, 0)
        out[0, n] = unbounded(w[n], 1.0, local, tables, 0, 0.0) - w[n]
        out[1, n] = unbounded(w[n], -1.0, local, tables, 0, 0.0) - w[n]


def trace_each(out, signs, planes, model):
    """Set ``out[t + 1, n]`` to the weight of device n after noise-free pulse t, from ``out[0]``."""
    local, tables = np.ones((FIRST + FIELDS) * LANES), split_tables(model)
    prepare(local, model)
    for n in range(out.shape[1]):
        load(local, planes, 0, n, 0)
        for t in range(signs.shape[0]):
            w, sign = out[t, n], signs[t, n]
            w = advance(w, sign, local, tables, 0, sign != 0.0, 0.0, 0.0, 0.0, 0.0)
            out[t + 1, n] = w


class ExactLaw:
    """The law of a device, vectorised over devices, in double precision.

    Parameters
    ----------
    device : PulsedDevice
        The configuration.
    planes : dict of str to ndarray, optional
        What each device carries, by the names of `PulsedDevice.planes`, all of one shape; default:
        the one mean device.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> law = ExactLaw(SoftBoundsDevice(dw_min=0.01, w_max=0.5, w_min=-0.5))
    >>> law.trace(0.0, [1, 1, -1]).round(4).tolist()
    [[0.0], [0.01], [0.0198], [0.0094]]
    """

    def __init__(self, device: Any, planes: Mapping[str, np.ndarray] | None = None) -> None:
        self.device = device
        if planes is None:
            planes = {name: np.array([v]) for name, v in device.mean_device()._asdict().items()}
        arrays = [np.ravel(np.asarray(planes[name], np.float64)) for name in device.planes()]
        self._planes, self.size = np.stack(arrays)[:, None, :], arrays[0].size
        self._model, self._names = device.model_vector(), device.bound_law(device.draws)._asdict()

    def plane(self, name: str) -> np.ndarray:
        """Return one of the arrays, flat."""
        return self._planes[self.device.planes().index(name), 0]

    def step(self, w: ArrayLike, sign: ArrayLike, z: ArrayLike = 0.0) -> np.ndarray:
        """Return the change of every device's weight by one pulse.

        Parameters
        ----------
        w, sign : float or array_like of shape (devices,)
            Weights before, and directions, +1 or -1.
        z : float or array_like of shape (draws, devices)
            Normals of the law.
        """
        before = np.broadcast_to(np.asarray(w, np.float64), self.size).copy()
        signs = np.broadcast_to(np.asarray(sign, np.float64), self.size).copy()
        noise, out = np.zeros((4, self.size)), np.empty(self.size)
        noise[: self.device.draws] = z
        kernel(step_each, "double", **self._names)(
            out, before, signs, noise, self._planes, self._model
        )
        return out - before

    def free_steps(self, w: ArrayLike) -> np.ndarray:
        """Return the noise-free steps up and down of every device, before a bound limits them.

        Parameters
        ----------
        w : float or array_like of shape (devices,)
            Weights before.

        Returns
        -------
        ndarray of shape (2, devices)
            Signed: up, then down.
        """
        before = np.broadcast_to(np.asarray(w, np.float64), self.size).copy()
        out = np.empty((2, self.size))
        kernel(free_steps_each, "double", **self._names)(out, before, self._planes, self._model)
        return out

    def trace(self, start: ArrayLike, signs: ArrayLike) -> np.ndarray:
        """Return the weights after each of some noise-free pulses.

        Parameters
        ----------
        start : float or array_like of shape (devices,)
            Weights before; limited to the bounds by the first pulse.
        signs : array_like of shape (pulses,) or (pulses, devices)
            +1, -1, or 0 for none.

        Returns
        -------
        ndarray of shape (pulses + 1, devices)
        """
        directions = np.asarray(signs, np.float64)
        if directions.ndim == 1:
            directions = directions[:, None]
        directions = np.ascontiguousarray(np.broadcast_to(directions, (len(directions), self.size)))
        out = np.empty((len(directions) + 1, self.size))
        out[0] = start
        kernel(trace_each, "double", **self._names)(out, directions, self._planes, self._model)
        return out

    def moments(self, start: ArrayLike, signs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        r"""Return mean and variance of the weights after each pulse, over repeats.

        .. math:: \mu' = \mu + f + \tfrac12 f'' V, \qquad
            V' = (1 + f')^2 V + \sum_k (g_k^2 + g_k'^2 V)

        with the mean step f and its change :math:`g_k` by normal k, at :math:`\mu`: exact for
        steps linear in the weight away from the bounds, else to second order in the spread.

        Parameters
        ----------
        start, signs
            As for `trace`.

        Returns
        -------
        mean, variance : ndarray of shape (pulses + 1, devices)

        Raises
        ------
        ConfigError
            If the law has hidden state: its moments are not those of the weight alone.
        """
        if self.device.state:
            name = type(self.device).__name__
            raise ConfigError(f"ExactLaw.moments: {name} has hidden state; use ExactLaw.trace.")
        directions = np.asarray(signs, np.float64)
        mean, variance = np.zeros((2, len(directions) + 1, self.size))
        mean[0] = start
        h = 1e-4 * np.minimum(self.plane("max_bound") - self.plane("min_bound"), 1e6)
        for t, sign in enumerate(directions):
            m, v = mean[t], variance[t]
            f, right, left = (self.step(m + d, sign) for d in (0.0, h, -h))
            slope, bend = (right - left) / (2.0 * h), (right - 2.0 * f + left) / h**2
            mean[t + 1] = m + f + 0.5 * bend * v
            variance[t + 1] = (1.0 + slope) ** 2 * v
            for k in range(self.device.draws):
                z = np.zeros((self.device.draws, self.size))
                z[k] = 1e-3
                gains = [(self.step(m + d, sign, z) - self.step(m + d, sign)) for d in (0, h, -h)]
                g, g_slope = gains[0] / 1e-3, (gains[1] - gains[2]) / (2.0 * h * 1e-3)
                variance[t + 1] += g**2 + g_slope**2 * v
        return mean, variance
