"""Symmetry points: where up and down pulses of a device cancel, computed and measured."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.devices.population import references, symmetry_points
from rpusim.errors import ConfigError
from rpusim.studies.bench import Bench, as_count
from rpusim.studies.optional import progress
from rpusim.studies.pictures import DARK, LEGEND, MARKS, tidy
from rpusim.studies.result import Result

__all__ = ["SymmetryPoints", "symmetry_point"]

PROTOCOLS = ("alternating", "random")
SETTLED = 6.0  # of the distance to the symmetry point, exp(-6) = 0.25 % is left
SLOW = 0.02  # but for this fraction of the devices
FEWEST, MOST = 400, 100000  # pulses of the default
SNAPSHOTS = 100  # while measuring; even, so that half of them follow an up pulse

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SymmetryPoints(Result):
    """Symmetry points of single devices, in weights that are seen.

    Attributes
    ----------
    device : PulsedDevice
        The device.
    exact : ndarray of shape (devices,)
        Where the noise-free steps of the law are equal; NaN where there is no such weight, 0 where
        all weights are.
    measured, error : ndarray of shape (devices,)
        To where pulses led, and its standard error.
    protocol : str
        ``"alternating"`` or ``"random"``.
    pulses : int
        How many each device received; about the second half of them was measured.
    seed : int
        As `rng`, it makes the same again.
    """

    device: PulsedDevice
    exact: Floats
    measured: Floats
    error: Floats
    protocol: str
    pulses: int
    seed: int

    def _table(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("exact", "measured", "error")}

    def _draw(self, ax: Any) -> None:
        both = np.concatenate([self.exact, self.measured])
        ends = [np.nanmin(both), np.nanmax(both)]
        ax.plot(ends, ends, color=DARK, lw=0.9, ls="--", label="measured = computed")
        label = f"{self.protocol} pulses, ± standard error"
        ax.errorbar(self.exact, self.measured, self.error, label=label, **MARKS)
        tidy(ax, "symmetry point, from the law (weight)", "symmetry point, measured (weight)")
        ax.legend(**LEGEND)


def symmetry_point(
    device_or_config: Any,
    devices: int = 100,
    pulses: int | None = None,
    protocol: str = "alternating",
    copies: int = 16,
    start: ArrayLike | None = None,
    rng: Any = 0,
) -> SymmetryPoints:
    r"""Compute the symmetry point of each device from its law, and measure it by pulses.

    Equally many up and down pulses lead every device to the weight where both steps are equal. The
    weight then stays near, so the second half of the pulses is averaged, over `copies` of the
    device that differ in the noise of their pulses; their spread gives the standard error.

    Parameters
    ----------
    device_or_config : PulsedDevice or RPUConfig
        The device, or a configuration that holds it.
    devices : int, default 100
        How many are fabricated.
    pulses : int, optional
        How many each receives, at least; default: so many that half of them bring 98 % of the
        devices to their symmetry points but for 0.25 % of the way, and from 400 to 100000.
    protocol : {"alternating", "random"}
        One up, one down; or each direction with probability 1/2, independently.
    copies : int, default 16
        Copies of each device, at least 2.
    start : float or array_like of shape (devices,), optional
        Weights before the first pulse; default: the middle of each device's range.
    rng : None, int, SeedSequence or Generator
        Source of the devices' variation, of the noise and of random pulses.

    Returns
    -------
    SymmetryPoints

    Raises
    ------
    ConfigError, DataError
        If the device takes no pulses, or an argument does not fit.

    Notes
    -----
    Alternating pulses swing around the symmetry point by half a step each way; their mean differs
    from it by a fraction of the step. Random pulses have no such bias where steps are linear in the
    weight, but more noise. Where steps bend with the weight, or a bound is near, noise shifts both.

    Examples
    --------
    >>> from rpusim import SoftBoundsDevice
    >>> device = SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=-0.5, up_down=0.3)
    >>> found = symmetry_point(device, devices=5)
    >>> bool(abs(found.measured - found.exact).max() < 0.02)
    True
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"symmetry_point: protocol must be one of {PROTOCOLS}, got {protocol!r}.")
    if as_count(copies, "symmetry_point: copies") < 2:
        raise ConfigError("symmetry_point: copies must be >= 2, to give an error.")
    bench = Bench("symmetry_point", device_or_config, devices, rng, copies)
    wanted = _enough(bench.law) if pulses is None else as_count(pulses, "symmetry_point: pulses")
    half = math.ceil(wanted / 2)
    between = math.ceil(half / SNAPSHOTS) // 2 * 2 + 1  # odd
    bench.start(start, 0.5 * (bench.low + bench.high))
    send = _Sender(bench, protocol, copies)
    total = np.zeros((copies, bench.law.size))
    with progress(half + SNAPSHOTS * between, "symmetry point") as bar:
        for done in range(0, half, between):
            send(min(between, half - done), bar)
        for _ in range(SNAPSHOTS):
            send(between, bar)
            total += bench.weights
    means = total / SNAPSHOTS
    return SymmetryPoints(
        device=bench.device,
        exact=symmetry_points(bench.law),
        measured=means.mean(axis=0),
        error=means.std(axis=0, ddof=1) / math.sqrt(copies),
        protocol=protocol,
        pulses=half + SNAPSHOTS * between,
        seed=bench.seed,
    )


class _Sender:
    """Sends the pulses of a protocol, some at a time."""

    def __init__(self, bench: Bench, protocol: str, copies: int) -> None:
        self._bench, self._copies, self._sent = bench, copies, 0
        # a stream of its own: the first word tells it from those of the tile
        self._rng = np.random.default_rng([0x5EED, bench.seed]) if protocol == "random" else None

    def __call__(self, count: int, bar: Any) -> None:
        if self._rng is None:
            self._bench.pulse(1.0 - 2.0 * (np.arange(self._sent, self._sent + count) % 2))
        else:  # products of two signs: any two devices go independent ways
            rows = self._rng.choice([-1.0, 1.0], (count, self._copies))
            self._bench.pulse(rows, self._rng.choice([-1.0, 1.0], (count, self._bench.law.size)))
        self._sent += count
        bar.update(count)


def _enough(law: ExactLaw) -> int:
    """Return a number of pulses half of which bring most devices to their symmetry points."""
    point, raw = symmetry_points(law), references(law)
    known = np.isfinite(point)
    if not known.any():
        return FEWEST
    point = np.where(known, point, 0.0) + raw
    h = 1e-4 * np.maximum(law.plane("max_bound") - law.plane("min_bound"), 1e-6)
    sides = [law.free_steps(point + d).sum(axis=0) for d in (h, -h)]
    pull = (sides[1] - sides[0]) / (2.0 * h)  # by a pair of pulses, per distance
    slow = max(float(np.quantile(pull[known], SLOW)), 4.0 * SETTLED / MOST)
    return max(math.ceil(4.0 * SETTLED / slow), FEWEST)
