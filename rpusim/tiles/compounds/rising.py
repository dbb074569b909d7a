"""Crossbars of devices that are only ever stepped up: their pulser, and how far pulses lead."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.pulses.plan import check_pairs
from rpusim.pulses.rising import rising_pairs
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.crosspoint_pulsing import pulser
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.pulsing import EXACT

__all__ = ["RisingPulser", "climb", "pulses_to", "up_step"]

FULL, LONGEST = 1e-3, 100_000  # a device is full if its steps are this small, or were this many


class RisingPulser:
    """A `Pulser` that only steps up: pulses that should step down are not sent.

    Parameters
    ----------
    device : PulsedDevice
        Whose law it is.
    backend : {"cpu", "cuda", "python"}
        Where it runs.
    """

    def __init__(self, device: PulsedDevice, backend: str) -> None:
        self._pulser = pulser(device, backend, rises_only=True)
        self.pulse = self._pulser.pulse

    def update(
        self,
        crossbar: Any,
        x: np.ndarray,
        d: np.ndarray,
        rate: float,
        settings: UpdateParameters,
        hits: np.ndarray,
        counts: np.ndarray,
    ) -> UpdateReport:
        """Raise the weights where ``-rate * d x^T`` is positive; see `Pulser.update`."""
        if settings.pulse_type in EXACT:
            check_pairs(x, d)
            pairs = rising_pairs(x, d)
            self._pulser.update(crossbar, pairs[0], pairs[1], rate, settings, hits, counts)
            return UpdateReport(vectors=len(x))
        seen = np.zeros_like(counts)
        report = self._pulser.update(crossbar, x, d, rate, settings, hits, seen)
        counts[0] += seen[0]
        return report


def up_step(device: PulsedDevice) -> float:
    """Return the mean up step at w = 0, by which pulses of a one-sided device are counted."""
    if device.reference_granularity:
        return device.weight_granularity
    law = ExactLaw(device)
    zero = law.plane("reference") if device.subtracts_reference else 0.0
    return float(law.free_steps(zero)[0, 0]) or device.weight_granularity


@functools.lru_cache(64)
def climb(device: PulsedDevice) -> np.ndarray:
    """Return what 0, 1, 2, ... up pulses raise the mean device by, from where reset leads.

    One with hidden state, which a pulse by itself may not move: by equal steps.
    """
    weights = [device.reset]
    while len(weights) <= LONGEST:
        step = 0.0 if device.state else device.mean_step(weights[-1], 1.0)
        if step <= FULL * (weights[1] - weights[0] if len(weights) > 1 else 0.0):
            break
        weights.append(weights[-1] + step)
    if len(weights) == 1:
        return np.arange(device.num_states + 2.0) * up_step(device)
    return np.array(weights) - weights[0]


def pulses_to(device: PulsedDevice, rises: np.ndarray) -> np.ndarray:
    """Return the numbers of pulses, whole or not, that raise the mean device by `rises`."""
    curve = climb(device)
    return np.interp(rises, curve, np.arange(curve.size)).astype(np.float32)
