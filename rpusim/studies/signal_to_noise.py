"""Signal-to-noise ratio of single pulses, and the symmetry factor, as functions of the weight."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.devices.population import references, step_noise
from rpusim.errors import DataError
from rpusim.studies.bench import Bench
from rpusim.studies.optional import progress
from rpusim.studies.pictures import BAND, DIRECTIONS, LEGEND, tidy
from rpusim.studies.result import Result

__all__ = ["SignalToNoise", "signal_to_noise"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SignalToNoise(Result):
    """Mean and noise of single pulses at some weights, and their ratios.

    Where a device cannot hold a weight, its values are NaN.

    Attributes
    ----------
    device : PulsedDevice
        The device.
    weight : ndarray of shape (nodes,)
        Weights that are seen.
    step : ndarray of shape (2, nodes, devices)
        Mean change by an up (first) and by a down pulse, in weight units; both count as positive.
    cycle_noise : ndarray of shape (2, nodes, devices)
        Standard deviation of one such change from cycle to cycle.
    write_noise : float
        Standard deviation of what is seen around what pulses act on.
    seed : int
        As `rng`, it makes the same again.
    """

    device: PulsedDevice
    weight: Floats
    step: Floats
    cycle_noise: Floats
    write_noise: float
    seed: int

    @property
    def ratio(self) -> Floats:
        r"""Signal to noise of a pulse, :math:`\Delta / s_\text{cycle}`, as `step`."""
        return _ratio(self.step, self.cycle_noise)

    @property
    def seen_ratio(self) -> Floats:
        r"""The same with write noise, :math:`\Delta / \sqrt{s_\text{cycle}^2 + 2 \sigma_w^2}`.

        A change that is seen is the difference of two weights with write noise.
        """
        return _ratio(self.step, np.hypot(self.cycle_noise, np.sqrt(2.0) * self.write_noise))

    @property
    def symmetry_factor(self) -> Floats:
        """Asymmetry (up - down) / (up + down) of the steps, of shape (nodes, devices)."""
        return _ratio(self.step[0] - self.step[1], self.step[0] + self.step[1])

    def _table(self) -> dict[str, Any]:
        shape = self.step.shape
        directions, weight = np.array([1, -1])[:, None, None], self.weight[:, None]
        values = {"step": self.step, "cycle_noise": self.cycle_noise}
        values |= {"ratio": self.ratio, "seen_ratio": self.seen_ratio}
        first = {"device": np.arange(shape[2]), "direction": directions, "weight": weight}
        return {k: np.broadcast_to(v, shape).ravel() for k, v in (first | values).items()}

    def _draw(self, ax: Any) -> None:
        for k, style in enumerate(DIRECTIONS):
            low, middle, high = quantiles_over_devices(self.ratio[k])
            ax.plot(self.weight, middle, **style)
            ax.fill_between(self.weight, low, high, color=style["color"], **BAND)
            if self.write_noise > 0.0:
                thin = {**style, "lw": 0.8, "label": f"{style['label']}, with write noise"}
                ax.plot(self.weight, quantiles_over_devices(self.seen_ratio[k])[1], **thin)
        if self.write_noise > 0.0:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0.0)
        tidy(ax, "weight", "signal-to-noise ratio of a pulse")
        ax.legend(**LEGEND, title="median device; band 16-84 %")


def signal_to_noise(
    device_or_config: Any, devices: int = 200, nodes: int | ArrayLike = 33, rng: Any = 0
) -> SignalToNoise:
    r"""Compute the mean step of a pulse over its noise, from the law of each device.

    .. math:: \text{SNR}_\pm(w) = |\Delta w_\pm| \,/\, s_\pm(w)

    with the noise-free step and the standard deviation :math:`s` of one pulse from cycle to cycle.

    Parameters
    ----------
    device_or_config : PulsedDevice or RPUConfig
        The device, or a configuration that holds it.
    devices : int, default 200
        How many are fabricated.
    nodes : int or array_like, default 33
        How many weights between the mean bounds, or the weights.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation.

    Returns
    -------
    SignalToNoise

    Raises
    ------
    ConfigError, DataError
        If the device takes no pulses, or an argument does not fit.

    Notes
    -----
    Gong et al., Nature Communications 9, 2102 (2018), characterise analog memories by this ratio
    and by the symmetry factor, both as functions of the conductance. Exact for laws linear in their
    noise, which the built-in ones are. Laws with hidden state are taken as they were fabricated.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> made = signal_to_noise(SoftBoundsDevice(dw_min_std=0.5), devices=3, nodes=[-0.1, 0.1])
    >>> bool(abs(made.ratio - 2.0).max() < 1e-6)
    True
    """
    bench = Bench("signal_to_noise", device_or_config, devices, rng)
    weights, law = node_weights(nodes, bench.device, "signal_to_noise"), bench.law
    step, noise = np.full((2, 2, weights.size, law.size), np.nan)
    reference = references(law)
    with progress(weights.size, "signal to noise") as bar:
        for n, w in enumerate(weights):
            raw = w + reference
            holds = (raw >= law.plane("min_bound")) & (raw <= law.plane("max_bound"))
            for k, sign in enumerate((1.0, -1.0)):
                step[k, n] = np.where(holds, sign * law.step(raw, sign), np.nan)
                noise[k, n] = np.where(holds, step_noise(law, raw, sign), np.nan)
            bar.update()
    return SignalToNoise(bench.device, weights, step, noise, bench.device.write_noise, bench.seed)


def node_weights(nodes: Any, device: PulsedDevice, study: str) -> Floats:
    """Return the weights of a study: so many between the mean bounds, or those that are given."""
    array = np.asarray(nodes)
    if array.dtype.kind in "iu" and array.ndim == 0 and array >= 2:
        law = ExactLaw(device)
        low, high = (law.plane(name) - references(law) for name in ("min_bound", "max_bound"))
        return np.linspace(low[0], high[0], int(array))
    if array.dtype.kind in "iuf" and array.ndim == 1 and array.size and np.isfinite(array).all():
        return array.astype(np.float64)
    raise DataError(f"{study}: nodes must be a number >= 2, or a list of weights, got {nodes!r}.")


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return top / bottom


def quantiles_over_devices(values: Floats) -> Floats:
    """Return the 16, 50 and 84 % quantiles of (nodes, devices); NaN where most have no value."""
    values = np.where(np.isfinite(values), values, np.nan)
    known = np.isfinite(values).mean(axis=1) >= 0.5
    shown = np.full((3, len(values)), np.nan)
    if known.any():
        shown[:, known] = np.nanquantile(values[known], (0.16, 0.5, 0.84), axis=1)
    return shown
