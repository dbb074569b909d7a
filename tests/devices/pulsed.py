"""Tiles of many equal devices on which one vector pair is one pulse for everybody.

With one slot and no management every line fires with probability min(sqrt(lr / g) |x|, 1) = 1, so
that an update with x = -1 and d = +1 (-1) sends every device exactly one up (down) pulse.
"""

import numpy as np

import rpusim as rs

ONE_PULSE = rs.UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
SPREADS = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
GAMMA_SPREADS = {"gamma_up_dtod": 0.0, "gamma_down_dtod": 0.0}
MANY = (1, 40000)  # one row: each column can get its own direction


class WalkedConstantStep(rs.PulsedDevice):
    """The constant step as a user's law that always goes pulse by pulse."""

    step_depends_on_weight = True
    pulse = rs.ConstantStepDevice.__dict__["pulse"]


def flat(kind, **settings):
    """Return a device without spread from device to device."""
    gammas = GAMMA_SPREADS if kind is rs.LinearStepDevice else {}
    return kind(**{**SPREADS, **gammas, **settings})


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
