"""Tiles of many equal devices on which one vector pair is one pulse for everybody.

With one slot and no management every line fires with probability min(sqrt(lr / g) |x|, 1) = 1, so
that an update with x = -1 and d = +1 (-1) sends every device exactly one up (down) pulse.
"""

import dataclasses
import math

import numpy as np

import rpusim as rs
from tests.naive import pulses
from tests.naive import update as naive

ONE_PULSE = rs.UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
SPREADS = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
MANY = (1, 40000)  # one row: each column can get its own direction
HUSH = 1e-30  # noise that rounding removes: what runs is the machine code of noisy devices

NODES = dict(piecewise_up=(1.6, 1.2, 1.0, 0.6, 0.1), piecewise_down=(0.2, 0.8, 1.0, 1.1, 1.5))
#: what makes each kind of device its own, without noise of pulses and without write noise
FEATURES = {
    "constant": (rs.ConstantStepDevice, {}),
    "linear": (rs.LinearStepDevice, dict(gamma_up=0.4, gamma_down=0.2)),
    "soft bounds": (rs.SoftBoundsDevice, {}),
    "soft bounds, pmax": (rs.SoftBoundsPmaxDevice, {}),
    "soft bounds, reference": (
        rs.SoftBoundsReferenceDevice,
        dict(slope_up_dtod=0.1, slope_down_dtod=0.2, reference_mean=0.05, reference_std=0.05,
             subtract_symmetry_point=True),
    ),
    "exponential": (rs.ExpStepDevice, {}),
    "exponential, complex": (
        rs.ExpStepDevice,
        dict(A_up=-1.2, A_down=-0.1, gamma_up=3.0, gamma_down=2.5, a=-0.5, b=-0.5,
             dw_min_std_add=0.02, dw_min_std_slope=0.1),
    ),
    "power": (rs.PowStepDevice, dict(pow_gamma=1.6, pow_up_down=0.2, pow_up_down_dtod=0.05)),
    "power, reference": (
        rs.PowStepReferenceDevice,
        dict(pow_gamma=1.3, reference_mean=-0.05, reference_std=0.05, subtract_symmetry_point=True),
    ),
    "piecewise": (rs.PiecewiseStepDevice, NODES),
    "piecewise, one node": (
        rs.PiecewiseStepDevice, dict(piecewise_up=(1.5,), piecewise_down=(0.5,)),
    ),
    "table": (
        rs.LookupTableDevice,
        dict(steps_up=(0.03, 0.02, 0.005, 0.0), steps_down=(0.0, 0.01, 0.015, 0.04)),
    ),
    "table of numbers": (
        rs.LookupTableDevice,
        dict(steps_up=((0.03, 0.01), (0.02, 0.005), (0.002, 0.001)), pulse_interval=4.0,
             steps_down=((0.01, 0.02), (0.01, 0.01), (0.001, 0.002))),
    ),
    "hidden": (rs.HiddenStepDevice, dict(hs_hidden_states=3)),
    "hidden, noisy": (rs.HiddenStepDevice, dict(hs_hidden_states=3, hs_dw_min_std=0.2)),
}  # fmt: skip

#: their naive laws
LAWS = {
    "constant": naive.constant_pulse,
    "linear": naive.linear_pulse,
    "soft bounds": naive.soft_bounds_pulse,
    "soft bounds, pmax": naive.soft_bounds_pulse,
    "soft bounds, reference": pulses.soft_bounds_reference_pulse,
    "exponential": pulses.exponential_pulse,
    "exponential, complex": pulses.exponential_pulse_complex,
    "power": pulses.power_pulse,
    "power, reference": pulses.power_pulse,
    "piecewise": pulses.piecewise_pulse,
    "piecewise, one node": pulses.piecewise_pulse,
    "table": pulses.table_pulse,
    "table of numbers": pulses.numbered_table_pulse,
    "hidden": pulses.hidden_pulse,
    "hidden, noisy": pulses.hidden_pulse,
}


class WalkedConstantStep(rs.PulsedDevice):
    """The constant step as a user's law that always goes pulse by pulse."""

    step_depends_on_weight = True
    pulse = rs.ConstantStepDevice.__dict__["pulse"]


def device_named(name, **settings):
    """Return the device of `FEATURES`, with further settings in its own terms."""
    kind, features = FEATURES[name]
    return kind(**{**features, **in_terms_of(kind, settings)})


def in_terms_of(kind, settings):
    """Return settings as a kind takes them that derives its steps, or its bounds, from others."""
    own = dict(settings)
    if kind is rs.LookupTableDevice and "dw_min" in own:
        step = own.pop("dw_min")
        own |= dict(steps_up=(step,), steps_down=(step,))
    if kind is rs.SoftBoundsPmaxDevice and "dw_min" in own:
        own.setdefault("w_max", 1.0)
        own["alpha"] = -math.log1p(-own.pop("dw_min") / own["w_max"])
        own["p_max"] = math.ceil(40.0 / own["alpha"])  # bounds are the range's ends to e**-40
    if kind is rs.SoftBoundsPmaxDevice and "w_max" in own:
        own["range_max"] = own.pop("w_max")
        own["range_min"] = own.pop("w_min", -own["range_max"])
    return own


def flat(kind, **settings):
    """Return a device without spread from device to device."""
    spreads = [f.name for f in dataclasses.fields(kind) if f.name.endswith("_dtod")]
    return kind(**{**dict.fromkeys(spreads, 0.0), **in_terms_of(kind, settings)})


def flat_named(name, **settings):
    """Return the device of `FEATURES` without spread from device to device, reference included."""
    kind, features = FEATURES[name]
    equal = {k: v for k, v in features.items() if not k.endswith(("_dtod", "reference_std"))}
    return flat(kind, **{**equal, **settings})


def tile_of(device, shape=MANY, start=None, rng=0, **options):
    """Return a tile that moves by one pulse per vector pair, its weights at `start`."""
    tile = rs.AnalogTile(*shape, rs.RPUConfig(device=device, update=ONE_PULSE), rng=rng, **options)
    if start is not None:
        tile.set_weights(np.broadcast_to(np.asarray(start, np.float32), shape))
    return tile


def pulse(tile, direction, count=1):
    """Send every device `count` pulses, up if `direction` is +1, down if -1."""
    x = np.full((count, tile.in_size), -1.0, np.float32)
    tile.update(x, np.full((count, tile.out_size), direction, np.float32), learning_rate=1.0)


def pulse_in_turn(tile, directions):
    """Send every device one pulse for each of `directions`."""
    directions = np.asarray(directions, np.float32)
    x = np.full((directions.size, tile.in_size), -1.0, np.float32)
    d = np.repeat(directions[:, None], tile.out_size, axis=1)
    tile.update(x, d, learning_rate=1.0)


def pulse_each(tile, directions):
    """Send every column of a tile of one row its own pulses: directions of shape (pulses, cols)."""
    tile.update(directions, -np.ones((len(directions), 1), np.float32), learning_rate=1.0)


def seen(tile):
    """Return the weights that a product sees, in double precision, one per device."""
    return tile.get_weights()[0].astype(np.float64).ravel()


def held(tile):
    """Return the weights that pulses act on, in double precision, one per device."""
    return tile.get_hidden_parameters()["persistent_weights"].astype(np.float64).ravel()


def one_device(tile):
    """Return the hidden parameters of the first device as numbers; absent slopes are 0."""
    hidden = {name: float(plane.flat[0]) for name, plane in tile.get_hidden_parameters().items()}
    return {"slope_up": 0.0, "slope_down": 0.0, **hidden}


def numbers_of(device):
    """Return all fields of a configuration that a law may read, by name."""
    return {f.name: getattr(device, f.name) for f in dataclasses.fields(device)}
