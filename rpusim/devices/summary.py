"""A device in numbers: what its parameters come to, for the mean device and for built ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices.base import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.devices.population import granularities, references, step_noise, symmetry_points
from rpusim.errors import ConfigError, DataError

__all__ = ["DeviceSummary", "LEVELS", "summary"]

#: Levels of the quantiles over devices.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

LINES = (
    ("weight_granularity", "weight_granularity", "weight per pulse"),
    ("num_states", "num_states", "steps between the bounds"),
    ("symmetry_point", "symmetry_point", "weight where both steps are equal"),
    ("step_at_symmetry_point", "", "weight per pulse, there"),
    ("step_up", "step_up", "weight per pulse, at w = 0"),
    ("step_down", "step_down", "weight per pulse, at w = 0"),
    ("asymmetry", "asymmetry", "(up - down) / (up + down), at w = 0"),
    ("lowest", "lowest", "smallest weight"),
    ("highest", "highest", "largest weight"),
    ("cycle_noise_up", "", "weight, std of one up pulse at w = 0"),
    ("cycle_noise_down", "", "weight, std of one down pulse at w = 0"),
    ("write_noise", "", "weight, std of what is seen"),
)


@dataclasses.dataclass(frozen=True)
class DeviceSummary:
    """What a device's parameters come to; print it for a table.

    Weights are those that are seen: with the reference, if there is one, subtracted. Steps are
    magnitudes.

    Attributes
    ----------
    device : PulsedDevice
        The configuration.
    weight_granularity, num_states : float
        Mean step by which pulses are counted, and how many span the mean range.
    symmetry_point, step_at_symmetry_point : float
        Where both steps are equal, and their size there; NaN if they nowhere are.
    step_up, step_down : float
        Noise-free steps at w = 0, in weight units.
    asymmetry : float
        (up - down) / (up + down) of these; NaN if both are 0.
    lowest, highest : float
        Mean bounds.
    cycle_noise_up, cycle_noise_down : float
        Standard deviation of one pulse at w = 0, in weight units.
    write_noise : float
        Standard deviation of the write noise, in weight units.
    devices, stuck, without_symmetry_point : int
        How many built devices were looked at; how many of them no pulse can move; how many of the
        others have no symmetry point between their bounds.
    quantiles : dict of str to ndarray of shape (5,)
        Quantiles at `LEVELS` over those that move, by the names above; empty without devices.
    """

    device: PulsedDevice
    weight_granularity: float
    num_states: float
    symmetry_point: float
    step_at_symmetry_point: float
    step_up: float
    step_down: float
    asymmetry: float
    lowest: float
    highest: float
    cycle_noise_up: float
    cycle_noise_down: float
    write_noise: float
    devices: int = 0
    stuck: int = 0
    without_symmetry_point: int = 0
    quantiles: dict[str, NDArray[np.float64]] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """Return a table: the mean device and, if there are any, quantiles over built ones."""
        head = f"{type(self.device).__name__}, mean device"
        levels = "".join(f"{f'{100 * level:g} %':>11}" for level in LEVELS)
        if self.devices:
            head += f", and quantiles over {self.devices} devices"
            head += f", {self.stuck} stuck" if self.stuck else ""
            without = self.without_symmetry_point
            head += f", {without} without symmetry point" if without else ""
        rows = [head, f"  {'':<22}{'mean':>11}{levels if self.devices else ''}"]
        for name, quantity, meaning in LINES:
            cells = [getattr(self, name)]
            if self.devices:
                cells += list(self.quantiles.get(quantity, [None] * len(LEVELS)))
            shown = "".join(f"{_number(cell):>11}" for cell in cells)
            rows.append(f"  {name:<22}{shown}  {meaning}")
        return "\n".join(rows)


def summary(device: PulsedDevice, planes: Mapping[str, np.ndarray] | None = None) -> DeviceSummary:
    """Return what the parameters of a pulsed device come to.

    Parameters
    ----------
    device : PulsedDevice
        The configuration.
    planes : dict of str to ndarray, optional
        What built devices carry, by the names of `PulsedDevice.planes`, all of one shape, as
        `PulsedDevice.fabricate` returns it: then quantiles over these devices are added.

    Raises
    ------
    ConfigError, DataError
        If the device takes no pulses, or planes are missing.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> made = summary(SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=-0.5, up_down=0.3))
    >>> round(made.symmetry_point, 4), round(made.asymmetry, 4), made.write_noise
    (0.125, 0.1765, 0.0)
    """
    if not isinstance(device, PulsedDevice):
        raise ConfigError(f"summary: {type(device).__name__} takes no pulses.")
    law = ExactLaw(device)
    mean: dict[str, Any] = {name: float(value[0]) for name, value in _figures(law).items()}
    step = math.nan  # a law is not to be asked for its step at NaN
    if not math.isnan(mean["symmetry_point"]):
        step = float(law.step(mean["symmetry_point"] + references(law), 1.0)[0])
    cycle = [float(step_noise(law, references(law), sign)[0]) for sign in (1.0, -1.0)]
    mean |= {
        "weight_granularity": device.weight_granularity,
        "num_states": device.num_states,
        "step_at_symmetry_point": step,
        "cycle_noise_up": cycle[0],
        "cycle_noise_down": cycle[1],
        "write_noise": device.write_noise,
    }
    if planes is None:
        return DeviceSummary(device, **mean)
    missing = [name for name in device.planes() if name not in planes]
    if missing:
        raise DataError(f"summary: planes of the devices are missing: {', '.join(missing)}.")
    law = ExactLaw(device, planes)
    stuck = law.plane("max_bound") <= law.plane("min_bound")
    each = {name: value[~stuck] for name, value in _figures(law).items()}
    return DeviceSummary(
        device,
        **mean,
        devices=law.size,
        stuck=int(stuck.sum()),
        without_symmetry_point=int(np.isnan(each["symmetry_point"]).sum()),
        quantiles={name: _quantiles(values) for name, values in each.items()},
    )


def _figures(law: ExactLaw) -> dict[str, NDArray[np.float64]]:
    """Return those figures that each device has of its own."""
    reference, granularity = references(law), granularities(law)
    low, high = law.plane("min_bound") - reference, law.plane("max_bound") - reference
    up, down = np.abs(law.step(reference, 1.0)), np.abs(law.step(reference, -1.0))
    with np.errstate(divide="ignore", invalid="ignore"):  # of stuck devices
        return {
            "weight_granularity": granularity,
            "num_states": (high - low) / granularity,
            "symmetry_point": symmetry_points(law),
            "step_up": up,
            "step_down": down,
            "asymmetry": (up - down) / (up + down),
            "lowest": low,
            "highest": high,
        }


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantiles of those values that exist, each one of them; NaN if none does."""
    known = values[~np.isnan(values)]
    if known.size == 0:
        return np.full(len(LEVELS), np.nan)
    return np.quantile(known, LEVELS, method="inverted_cdf")


def _number(value: Any) -> str:
    """Return a number in few digits, NaN as a dash."""
    if value is None:
        return ""
    return "-" if np.isnan(value) else f"{value + 0.0:.4g}" if abs(value) > 1e-12 else "0"
