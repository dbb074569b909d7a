"""Which parameters of a device its traces depend on: found by trying each."""

from __future__ import annotations

import itertools
from collections import namedtuple
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rpusim.errors import ConfigError
from rpusim.kernels.bind import bind
from rpusim.studies.fitting.parameters import (
    SHIFT,
    STEPS,
    WINDOW,
    WRITE_NOISE,
    latent_of,
    number,
    numbers,
    planes_of,
    replaced,
    spread_names,
    without_spread,
)

__all__ = ["Kinds", "kinds"]

PROBED = 11  # starting weights of the probe, from bound to bound
PROBE = (-1.0,) * 8 + (1.0,) * 16 + (-1.0,) * 8  # the pulses that each gets, or their opposites
SAME = 1.0 - 1e-4  # cosine above which two spreads do the same


class Kinds(NamedTuple):
    """Parameters of a device that traces depend on.

    Attributes
    ----------
    mean : list of str
        Of the mean law, in the order in which they are kept if the data cannot tell them apart:
        tables, the steps, what the device adds, its window, its reference.
    noise : list of str
        Of the noise.
    spreads : list of str
        By which devices differ, each of which does something else.
    """

    mean: list[str]
    noise: list[str]
    spreads: list[str]


def kinds(device: Any) -> Kinds:
    """Return the parameters that matter, by trying each."""
    flat = without_spread(device)
    starts = np.linspace(flat.w_min, flat.w_max, PROBED)
    quiet, noisy = (_probe(flat, flat, starts, z) for z in (0.0, 1.0))
    mean, noise = [], []
    for name in numbers(flat):
        if name in spread_names(device) or name == WRITE_NOISE:
            continue
        for other in _varied(flat, name):
            if not np.array_equal(_probe(other, other, starts), quiet):
                mean.append(name)
            elif not np.array_equal(_probe(other, other, starts, 1.0), noisy):
                noise.append(name)
    if hasattr(device, WRITE_NOISE):
        noise.append(WRITE_NOISE)
    return Kinds(sorted(mean, key=_rank), noise, _telling_spreads(flat, starts))


def _rank(name: str) -> int:
    if "[" in name:
        return 0
    return 1 if name in STEPS else 3 if name in WINDOW else 4 if name in SHIFT else 2


def _varied(device: Any, name: str) -> Iterator[Any]:
    """Yield the device with one parameter changed a little, if that is possible."""
    value = number(device, name)
    for change in (1e-3 * (abs(value) or 1.0), -1e-3 * (abs(value) or 1.0)):
        try:
            yield replaced(device, {name: value + change})
            return
        except ConfigError:
            continue


def _telling_spreads(flat: Any, starts: np.ndarray) -> list[str]:
    """Return the spreads that traces depend on, without those that do what others do."""
    found: list[str] = []
    changes: list[tuple[np.ndarray, np.ndarray]] = []
    planes, traces = planes_of(flat, {}, 1), _probe(flat, flat, starts)
    for name in spread_names(flat):
        latent = latent_of(flat, name)
        if latent is not None:
            wide = flat.replace(**{name: 1e-3})
            change = (
                _direction(planes_of(wide, {latent: 1.0}, 1) - planes),
                _direction(_probe(flat, wide, starts, latent=latent) - traces),
            )
            alike = (
                abs(a @ b) > SAME for other in changes for a, b in zip(change, other, strict=True)
            )
            if change[1].any() and not any(alike):
                found.append(name)
                changes.append(change)
    return found


def _direction(change: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(change)
    return change.ravel() / (size or 1.0)


def _probe(
    device: Any, drawn: Any, starts: np.ndarray, z: float = 0.0, latent: str = ""
) -> np.ndarray:
    """Return the weights seen after each of some pulses, all normals being `z`."""
    values = planes_of(drawn, {latent: 1.0}, 1)[:, 0].tolist()
    start: Any = namedtuple("Device", drawn.planes())(*values)  # type: ignore[misc]
    reference = start.reference if device.subtracts_reference else 0.0
    law, model = bind(device.law(), "exact"), device.model()
    noise: Any = z if device.draws == 1 else (z,) * device.draws
    out = np.empty((starts.size, 2, len(PROBE)))
    for i, direction in itertools.product(range(starts.size), (0, 1)):
        dev, w = start, float(starts[i]) + reference
        for t, sign in enumerate(PROBE):
            new = law(w, -sign if direction else sign, dev, model, noise)
            if device.state:
                new, dev = new[0], dev._replace(**dict(zip(device.state, new[1:], strict=True)))
            w = min(max(float(new), dev.min_bound), dev.max_bound)
            out[i, direction, t] = w - reference
    return out
