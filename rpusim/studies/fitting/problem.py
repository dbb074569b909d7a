"""A device, data, and what of the device is unknown: predictions, and how they depend on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.errors import ConfigError
from rpusim.studies.fitting.data import PulseData
from rpusim.studies.fitting.filter import Filtered, run_filter
from rpusim.studies.fitting.parameters import (
    WRITE_NOISE,
    Limits,
    base_of,
    number,
    planes_of,
    replaced,
    unit_of,
)

__all__ = ["Point", "Problem"]

FAR = 3.0  # standard deviations of write noise, by which weights may pass bounds
SOFT = 0.01  # of a mean increment: by how much weights may pass bounds anyway
WARY = 10.0  # residuals near bounds are not normal: their variance is taken for larger
STEP = 1e-6  # of finite differences, relative to a parameter's scale


@dataclasses.dataclass(frozen=True)
class Point:
    """A guess at what is unknown.

    Attributes
    ----------
    values : dict of str to float
        Of the fitted parameters: mean law, noise, spreads. Write noise and relative spreads are
        absolute here, so that they stay what they are while the mean law moves.
    z : ndarray of shape (devices, latents)
        Deviations of each device, in units of its spread.
    """

    values: dict[str, float]
    z: NDArray[np.float64]

    def change(self, values: Mapping[str, float], z: NDArray | None = None) -> Point:
        """Return another point."""
        return Point({**self.values, **values}, self.z if z is None else z)


class Problem:
    """What is to be fitted to what; the methods take a `Point`.

    Parameters
    ----------
    device : PulsedDevice
        Everything that is not fitted.
    data : PulseData
        The measurement.
    mean : dict of str to Limits
        Parameters of the mean law that are fitted.
    noise : sequence of str
        Parameters of the noise that are.
    latents : dict of str to str
        Spreads by which these devices differ, and the names of the draws that they multiply.
    resolution : float
        Standard deviation of the measurement itself, in weight units.
    """

    def __init__(
        self,
        device: Any,
        data: PulseData,
        mean: Mapping[str, Limits],
        noise: Sequence[str],
        latents: Mapping[str, str],
        resolution: float,
    ) -> None:
        self.device, self.mean = device, dict(mean)
        self.noise = dict.fromkeys(noise, 0.0)  # where each starts, see `fitting.start`
        self.latents, self.resolution, self.evaluations = dict(latents), resolution, 0
        self.devices, self.repeats = data.weights.shape[1:]
        traces = self.devices * self.repeats
        self.weights = np.ascontiguousarray(data.weights.reshape(-1, traces).T)
        self.signs = np.ascontiguousarray(data.pulses.reshape(-1, traces).T)
        self.owner = np.arange(traces) // self.repeats
        known = np.isfinite(self.weights)
        begun = np.logical_or.accumulate(known, axis=1)[:, :-1]
        self.used = begun & known[:, 1:] & (self.signs != 0.0)
        measured = np.broadcast_to(self.owner[:, None], self.used.shape)[self.used]
        self.row_owner = np.concatenate([measured, np.tile(np.arange(self.devices), 2)])
        change = np.diff(self.weights, axis=1)[self.used]
        self.increment = float(np.sqrt(np.nanmean(change**2)))
        by_device = self.weights.reshape(self.devices, -1)
        self.extremes = np.nanmax(by_device, axis=1), np.nanmin(by_device, axis=1)

    def device_at(self, point: Point) -> Any:
        """Return the configuration."""
        values = point.values
        own = {n: v for n, v in values.items() if n != WRITE_NOISE and n not in self.latents}
        device = replaced(self.device, own)
        units = {n: unit_of(device, n) for n in values if n not in own}
        return device.replace(**{n: values[n] / unit for n, unit in units.items()})

    def seen(self, point: Point) -> float:
        """Return the variance of what is measured around what pulses act on."""
        write_noise = point.values.get(WRITE_NOISE, self.device.write_noise)
        return write_noise**2 + self.resolution**2

    def planes(self, point: Point) -> NDArray[np.float64]:
        """Return what the devices carry, of shape (planes, devices)."""
        return self._planes(self.device_at(point), point)

    def _planes(self, device: Any, point: Point) -> NDArray[np.float64]:
        given = dict(zip(self.latents.values(), point.z.T, strict=True))
        return planes_of(device, given, self.devices)

    def fix(self, point: Point, name: str, value: float) -> Point:
        """Fit one parameter of the mean law less; return the point without it."""
        del self.mean[name]
        self.device = replaced(self.device, {name: value})
        return Point({n: v for n, v in point.values.items() if n != name}, point.z)

    def forget(self, point: Point, spread: str) -> Point:
        """Let devices differ in one thing less; return the point without it."""
        if spread not in self.latents:
            return point
        others = [name != spread for name in self.latents]
        del self.latents[spread]
        values = {n: v for n, v in point.values.items() if n != spread}
        return Point(values, point.z[:, others])

    def filter(self, point: Point, extra: float = 0.0) -> Filtered:
        """Predict all weights; see `run_filter`."""
        return self._filter(point, extra)[0]

    def _filter(self, point: Point, extra: float) -> tuple[Filtered, NDArray]:
        self.evaluations += 1
        device = self.device_at(point)
        planes = self._planes(device, point)
        state = planes[:, self.owner]
        seen = self.seen(point)
        return run_filter(device, state, self.weights, self.signs, seen, extra), planes

    def residuals(self, point: Point, extra: float = 0.0) -> NDArray[np.float64]:
        """Return what does not fit, of shape (rows,).

        For every measured step what was not predicted; then for every device, twice, by how much
        its weights pass its bounds beyond what write noise explains.
        """
        found, planes = self._filter(point, extra)
        reference = 0.0
        if self.device.subtracts_reference:
            reference = planes[self.device.planes().index("reference")]
        margin = FAR * np.sqrt(self.seen(point) + extra)
        above = self.extremes[0] + reference - planes[0] - margin
        below = planes[1] - self.extremes[1] - reference - margin
        beyond = np.maximum(np.concatenate([above, below]), 0.0)
        return np.concatenate([found.innovations[self.used], beyond])

    def deviation(self, point: Point, extra: float = 0.0) -> NDArray[np.float64]:
        """Return the standard deviations of the residuals, to weigh them with."""
        found = self.filter(point, extra)
        variances = (found.variances + WARY * found.lost)[self.used]
        soft = (SOFT * self.increment) ** 2
        limits = np.full(2 * self.devices, self.seen(point) + extra + soft)
        return np.sqrt(np.concatenate([variances, limits]))

    def sensitivities(self, point: Point, extra: float = 0.0) -> tuple[NDArray, NDArray]:
        """Return how residuals depend on the mean law and on their device's deviations.

        Returns
        -------
        ndarray of shape (rows, parameters), ndarray of shape (rows, latents)
        """
        here = self.residuals(point, extra)
        by_value = np.empty((here.size, len(self.mean)))
        for k, name in enumerate(self.mean):
            by_value[:, k] = self._slope(point, here, self._step(point, name), extra, name=name)
        by_z = np.empty((here.size, len(self.latents)))
        for k, name in enumerate(self.latents):
            h, base, spread = STEP, base_of(self.device, name), point.values[name]
            if base in self.mean and spread > 0.0:
                # the same change as the mean's own step: at a bound slopes depend on it, and what a
                # device tells of its own bound would else count as knowledge of the mean one
                h = min(self._step(point, base) / spread, 1.0) * np.sign(point.values[base])
            by_z[:, k] = self._slope(point, here, h, extra, latent=k)
        return by_value, by_z

    def _step(self, point: Point, name: str) -> float:
        """Return the step for slopes along a parameter of the mean law."""
        return STEP * max(abs(point.values[name]), abs(number(self.device, name)), 1e-2)

    def _slope(
        self, point: Point, here: NDArray, h: float, extra: float, name: str = "", latent: int = -1
    ) -> NDArray:
        """Return the change of the residuals by one unknown, over its change."""
        for step in (h, -h):
            z = point.z.copy()
            if latent >= 0:
                z[:, latent] += step
            moved = point.change({name: point.values[name] + step} if name else {}, z)
            try:
                return (self.residuals(moved, extra) - here) / step
            except ConfigError:
                continue
        return np.zeros_like(here)
