"""Checks that a user can run on a law of their own; the built-in devices pass the same ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rpusim.config import Config, nearest
from rpusim.devices import PulsedDevice
from rpusim.devices.fabrication import Draw
from rpusim.errors import RpusimError
from rpusim.tiles import AnalogTile, load, save

__all__ = ["CheckFailed", "check_device"]

ROWS, COLS = 4, 5


class CheckFailed(RpusimError, AssertionError):
    """A device breaks what the library relies on; the message says what, in words."""


def check_device(device: PulsedDevice) -> list[str]:
    """Check that a device does what the library relies on.

    Parameters
    ----------
    device : PulsedDevice
        A configuration of the device, built-in or your own.

    Returns
    -------
    list of str
        What was checked, one sentence each.

    Raises
    ------
    CheckFailed
        Naming everything that was found wrong.

    Examples
    --------
    >>> import rpusim as rs
    >>> len(rs.testing.check_device(rs.SoftBoundsDevice()))
    9
    """
    if not isinstance(device, PulsedDevice):
        raise CheckFailed(
            f"check_device needs a PulsedDevice, got {device!r}"
            + ("; call the class to make one." if isinstance(device, type) else ".")
        )
    failures: dict[str, list[str]] = {}  # what was found -> the claims that it contradicts
    for claim, check in CHECKS:
        try:
            found = check(device)
        except RpusimError as error:
            found = str(error)
        except Exception as error:  # a law may fail in any way
            found = f"it raised {type(error).__name__}: {str(error).strip().splitlines()[0]}"
            if isinstance(error, AttributeError):
                found += nearest(str(error.name), [*device.planes(), *device.model()._fields])
        if found:
            failures.setdefault(found, []).append(claim)
    if failures:
        lines = [f"{type(device).__name__} breaks a law's contract."]
        for found, claims in failures.items():
            lines += [f"- {claim}" for claim in claims[:-1]] + [f"- {claims[-1]} But {found}"]
        raise CheckFailed("\n".join(lines))
    return [claim for claim, _ in CHECKS]


def _grid(device: PulsedDevice) -> Any:
    """Yield (dev, w) over some devices and over weights from bound to bound, float32."""
    arrays = device.fabricate((3, 3), Draw((1, 2)))
    for i in range(3):
        for j in range(3):
            point = {name: a[i, j] for name, a in arrays.items()}
            dev = type("dev", (), point)
            for part in np.linspace(0.0, 1.0, 9, dtype=np.float32):
                yield dev, point["min_bound"] + part * (point["max_bound"] - point["min_bound"])


def _call(device: PulsedDevice, w: Any, sign: float, dev: Any, z: float) -> Any:
    values = device.model()._asdict()
    model = type("model", (), {k: np.float32(v) for k, v in values.items()})
    noise = np.float32(z) if device.draws == 1 else (np.float32(z),) * device.draws
    law: Callable[..., Any] = device.law()
    with np.errstate(all="ignore"):
        result = law(w, np.float32(sign), dev, model, noise)
    return result[0] if isinstance(result, tuple) else result


def _survives_storage(device: PulsedDevice) -> str:
    """Compare the configuration with what a dict and JSON give back."""
    again = Config.from_dict(json.loads(json.dumps(device.to_dict())))
    return "" if again == device else f"{device!r} came back as {again!r}."


def _law_is_finite_and_single_precision(device: PulsedDevice) -> str:
    """Call the law between the bounds and look at the numbers' values and types."""
    for dev, w in _grid(device):
        for sign in (1.0, -1.0):
            for z in (0.0, 1.0, -2.0):
                new = _call(device, w, sign, dev, z)
                if not np.isfinite(new):
                    return f"pulse(w={w:.4g}, sign={sign:+.0f}, z={z:.0f}) gave {new}."
                if np.asarray(new).dtype == np.float64 and not isinstance(new, float):
                    return (
                        "it computes in double precision: "
                        "use math functions and plain float constants."
                    )
    return ""


def _up_is_up_and_down_is_down(device: PulsedDevice) -> str:
    """Apply one pulse of each sign without noise to the mean device; look where it went."""
    mean = device.mean_device()._asdict()
    dev = type("dev", (), {name: np.float32(value) for name, value in mean.items()})
    for w in np.linspace(dev.min_bound, dev.max_bound, 9, dtype=np.float32):  # type: ignore[attr-defined]
        for sign in (1.0, -1.0):
            new = min(max(_call(device, w, sign, dev, 0.0), dev.min_bound), dev.max_bound)  # type: ignore[attr-defined]
            if sign * (new - w) < -1e-6:
                return f"pulse(w={w:.4g}, sign={sign:+.0f}, z=0) moved the weight to {new:.4g}."
    return ""


def _noise_moves_it(device: PulsedDevice) -> str:
    """Look for an effect of z where noise_parameters say that there is none."""
    quiet = device.noise_parameters is not None and not any(
        getattr(device, name) for name in device.noise_parameters
    )
    moves = any(
        _call(device, w, s, dev, 0.0) != _call(device, w, s, dev, 1.0)
        for dev, w in _grid(device)
        for s in (1.0, -1.0)
    )
    if quiet and moves:
        return "z moves the weight although all of noise_parameters are 0: then it is never drawn."
    return ""


def _constant_step_is_constant(device: PulsedDevice) -> str:
    """Compare the steps at several weights and noises, if they are promised to be constant."""
    if device.step_depends_on_weight:
        return ""
    if device.state or device.draws != 1:
        return "such a law can have neither state nor several draws per pulse."
    for dev, w in _grid(device):
        for sign in (1.0, -1.0):
            at_0 = [float(_call(device, np.float32(0.0), sign, dev, z)) for z in (0.0, 1.0, 3.0)]
            here = float(_call(device, w, sign, dev, 0.0)) - float(w)
            size = max(abs(at_0[0]), abs(at_0[1])) + abs(float(w))
            if abs(here - at_0[0]) > 1e-5 * size:
                return f"at w = {w:.4g} it is {here:.4g}, at w = 0 it is {at_0[0]:.4g}."
            if abs(at_0[2] - at_0[0] - 3.0 * (at_0[1] - at_0[0])) > 1e-5 * size:
                return "it is not linear in z."
    return ""


def _state_is_declared(device: PulsedDevice) -> str:
    """Count what the law returns, and look for the names in `state` among the planes."""
    unknown = [name for name in device.state if name not in device.planes()]
    if unknown:
        return f"state names {unknown}, which are no per-device fields."
    dev, w = next(iter(_grid(device)))
    values = {k: np.float32(v) for k, v in device.model()._asdict().items()}
    noise = np.float32(0.0) if device.draws == 1 else (np.float32(0.0),) * device.draws
    result = device.law()(w, np.float32(1.0), dev, type("model", (), values), noise)
    count = len(result) if isinstance(result, tuple) else 1
    wanted = 1 + len(device.state)
    return "" if count == wanted else f"it returned {count} values instead of {wanted}."


def _train(tile: AnalogTile, steps: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        tile.update(rng.normal(size=(3, COLS)), rng.normal(size=(3, ROWS)), learning_rate=0.05)
        tile.post_update_step()


def _tile(device: PulsedDevice, backend: str = "cpu") -> AnalogTile:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AnalogTile(ROWS, COLS, device, rng=7, backend=backend)


def _machine_code_agrees_with_python(device: PulsedDevice) -> str:
    """Train a tile by machine code and one by plain Python, and compare."""
    tiles = [_tile(device, backend) for backend in ("cpu", "python")]
    for tile in tiles:
        _train(tile, 2)
    fast, plain = (tile.get_weights()[0] for tile in tiles)
    worst = float(np.abs(fast - plain).max())
    return "" if worst <= 1e-5 else f"they differ by up to {worst:.3g} after two updates."


def _bounds_hold_and_zeros_do_nothing(device: PulsedDevice) -> str:
    """Train a tile, compare its weights with the bounds, then update with zeros."""
    tile = _tile(device)
    _train(tile, 20)
    hidden = tile.get_hidden_parameters()
    held = hidden["persistent_weights"]
    if not ((held >= hidden["min_bound"]) & (held <= hidden["max_bound"])).all():
        return f"weights reached {held.min():.4g}..{held.max():.4g}."
    before = tile.get_weights()[0]
    tile.update(np.zeros((2, COLS)), np.ones((2, ROWS)), learning_rate=0.1)
    tile.update(np.ones((2, COLS)), np.zeros((2, ROWS)), learning_rate=0.1)
    return "" if np.array_equal(before, tile.get_weights()[0]) else "zeros moved weights."


def _restored_tile_continues(device: PulsedDevice) -> str:
    """Save and restore a tile, train both on and compare."""
    tile = _tile(device)
    _train(tile, 2)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder, "tile.npz"), tile)
        again = load(Path(folder, "tile.npz"))
    for t in (tile, again):
        _train(t, 2, seed=1)
    same = np.array_equal(tile.get_weights()[0], again.get_weights()[0])
    return "" if same else "the restored one went another way."


CHECKS: tuple[tuple[str, Callable[[PulsedDevice], str]], ...] = (
    ("The configuration survives a dict and JSON.", _survives_storage),
    (
        "The law gives a finite number in single precision everywhere between the bounds.",
        _law_is_finite_and_single_precision,
    ),
    (
        "Without noise an up pulse never lowers the weight, and a down pulse never raises it.",
        _up_is_up_and_down_is_down,
    ),
    (
        "The law uses its noise z, or declares in noise_parameters when it does not.",
        _noise_moves_it,
    ),
    (
        "With step_depends_on_weight=False the step is the same at every weight and linear in z.",
        _constant_step_is_constant,
    ),
    (
        "The law returns the weight alone, or the weight and every name in `state`.",
        _state_is_declared,
    ),
    ("Machine code and plain Python give the same weights.", _machine_code_agrees_with_python),
    (
        "Weights stay within the bounds, and vectors of zeros change nothing.",
        _bounds_hold_and_zeros_do_nothing,
    ),
    ("A saved and restored tile continues bit for bit.", _restored_tile_continues),
)
"""What `check_device` claims, and the check that says what contradicts it."""
