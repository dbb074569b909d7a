"""Numbers of states: by granularity, by counting pulses, and as far as noise lets them apart."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.devices.population import granularities, step_noise
from rpusim.errors import ConfigError
from rpusim.studies.bench import Bench
from rpusim.studies.optional import progress
from rpusim.studies.pictures import LEGEND, LINES, tidy
from rpusim.studies.result import Result

__all__ = ["NumberOfStates", "number_of_states"]

NODES = 101  # of the integral over the weight
MOST_PULSES = 1_000_000
AT_ONCE = 4_000_000  # weights of a trace
ROUNDING = 2e-7  # of the way: what single precision may leave of it
APART = math.sqrt(2.0 * math.pi * math.e)  # standard deviations that a state takes, 4.13

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class NumberOfStates(Result):
    """Numbers of states of single devices.

    Attributes
    ----------
    device : PulsedDevice
        The device.
    granular : ndarray of shape (devices,)
        Each device's whole range in units of its own granularity.
    pulses_up, pulses_down : ndarray of shape (devices,)
        Noise-free pulses from one end of the `window` to the other; infinity where they never
        arrive.
    distinguishable : ndarray of shape (devices,)
        States within the window that noise lets apart.
    window : (float, float)
        Fractions of each device's own range.
    seed : int
        As `rng`, it makes the same again.
    """

    device: PulsedDevice
    granular: Floats
    pulses_up: Floats
    pulses_down: Floats
    distinguishable: Floats
    window: tuple[float, float]
    seed: int

    def _table(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name, _ in CURVES}

    def _draw(self, ax: Any) -> None:
        for (name, label), style in zip(CURVES, LINES, strict=True):
            values = np.sort(getattr(self, name))
            share = np.arange(1, values.size + 1) / values.size
            ax.step(values, share, where="post", label=label, **style)
        ax.set_xscale("log")
        part = "{:.0%} to {:.0%}".format(*self.window)
        tidy(ax, f"number of states (pulses and noise: {part} of the range)", "fraction of devices")
        ax.set_ylim(0.0, 1.0)
        ax.legend(**LEGEND)


CURVES = (
    ("granular", "range / granularity"),
    ("pulses_up", "up pulses"),
    ("pulses_down", "down pulses"),
    ("distinguishable", "apart despite noise"),
)


def number_of_states(
    device_or_config: Any,
    devices: int = 1000,
    window: tuple[float, float] = (0.1, 0.9),
    rng: Any = 0,
) -> NumberOfStates:
    r"""Count the states of devices in three ways; nothing is drawn but the devices.

    How many states noise lets apart follows from entropies. Let a weight be written as well as
    pulses can: the steps :math:`\Delta` leave it undecided by :math:`\Delta`, the last pulse and
    the write noise by a normal of variance :math:`s^2 = s_\text{cycle}^2 + \sigma_w^2`, which is as
    undecided as an interval of length :math:`\sqrt{2 \pi e}\, s`. With one state in each of the
    longer of these intervals there are

    .. math:: N = \int \frac{dw}{\max(\Delta(w),\ \sqrt{2 \pi e}\; s(w))}

    of them in the window, with the mean of up and down for :math:`\Delta` and for
    :math:`s_\text{cycle}^2`. Without noise it is about the number of pulses through the window.

    Parameters
    ----------
    device_or_config : PulsedDevice or RPUConfig
        The device, or a configuration that holds it.
    devices : int, default 1000
        How many are fabricated.
    window : (float, float), default (0.1, 0.9)
        Part of each device's own range in which pulses and distinguishable states are counted: many
        devices reach their bounds never.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation.

    Returns
    -------
    NumberOfStates

    Raises
    ------
    ConfigError
        If the device takes no pulses, or an argument does not fit.

    Notes
    -----
    A normal of standard deviation s has the entropy :math:`\ln(\sqrt{2 \pi e}\, s)`, an interval
    that of its length: C. E. Shannon, Bell System Technical Journal 27, 623 (1948), section 20.

    Examples
    --------
    >>> from rpusim import ConstantStepDevice
    >>> same = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
    >>> device = ConstantStepDevice(dw_min=0.01, w_max=1.0, w_min=-1.0, dw_min_std=0.0, **same)
    >>> counted = number_of_states(device, devices=1)
    >>> [round(float(n[0])) for n in (counted.granular, counted.pulses_up, counted.distinguishable)]
    [200, 160, 160]
    """
    try:
        begin, end = (float(part) for part in window)
    except (TypeError, ValueError):
        begin = end = math.nan
    if not 0.0 <= begin < end <= 1.0:
        raise ConfigError(
            f"number_of_states: window must be two fractions, 0 <= a < b <= 1, got {window!r}."
        )
    bench = Bench("number_of_states", device_or_config, devices, rng)
    law = bench.law
    low, span = law.plane("min_bound"), law.plane("max_bound") - law.plane("min_bound")
    a, b, granularity = low + begin * span, low + end * span, granularities(law)
    return NumberOfStates(
        device=bench.device,
        granular=np.divide(span, granularity, out=np.zeros(law.size), where=span > 0.0),
        pulses_up=_pulses_between(law, a, b, +1),
        pulses_down=_pulses_between(law, b, a, -1),
        distinguishable=_told_apart(law, a, b),
        window=(begin, end),
        seed=bench.seed,
    )


def _pulses_between(law: ExactLaw, start: Floats, end: Floats, sign: int) -> Floats:
    """Return how many noise-free pulses lead each device from `start` to `end`, raw weights."""
    count, left = np.full(law.size, np.inf), np.arange(law.size)
    missing = ROUNDING * np.abs(end - start)
    pulses = max(math.ceil(2.0 * law.device.num_states), 1)
    with progress(law.size, f"pulses {'up' if sign > 0 else 'down'}") as bar:
        while left.size:
            pulses, waiting = min(pulses, MOST_PULSES), []
            for k in np.split(left, range(AT_ONCE // pulses + 1, left.size, AT_ONCE // pulses + 1)):
                some = ExactLaw(law.device, {name: law.plane(name)[k] for name in _names(law)})
                gap = sign * (end[k] - some.trace(start[k], np.full(pulses, sign)))
                there = gap <= missing[k]
                count[k] = np.where(there[-1], there.argmax(axis=0), np.inf)
                speed = (gap[pulses // 2] - gap[-1]) / (pulses - pulses // 2)
                waiting.append(k[~there[-1] & (gap[-1] < speed * MOST_PULSES)])
                bar.update(k.size - waiting[-1].size)
            left = np.concatenate(waiting) if pulses < MOST_PULSES else np.empty(0, np.int64)
            pulses *= 8
    return count


def _names(law: ExactLaw) -> tuple[str, ...]:
    return law.device.planes()


def _told_apart(law: ExactLaw, low: Floats, high: Floats) -> Floats:
    """Return how many states between two raw weights noise lets apart."""
    density = []
    for w in np.linspace(low, high, NODES):
        step = sum(np.abs(law.step(w, sign)) for sign in (1.0, -1.0)) / 2.0
        variance = sum(step_noise(law, w, sign) ** 2 for sign in (1.0, -1.0)) / 2.0
        width = np.maximum(step, APART * np.sqrt(variance + law.device.write_noise**2))
        density.append(np.divide(1.0, width, out=np.full(law.size, np.inf), where=width > 0.0))
    count = np.trapezoid(density, dx=1.0 / (NODES - 1), axis=0)
    return np.multiply(count, high - low, out=np.zeros(law.size), where=high > low)
