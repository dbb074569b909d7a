"""Tiles whose devices hold any weights exactly, so that the periphery alone is seen."""

import numpy as np

import rpusim as rs

__all__ = ["both", "io", "quiet", "same_rows", "tile_of"]

#: neither converters nor noise nor managements
QUIET = {
    "inp_res": 0.0,
    "out_res": 0.0,
    "out_bound": 0.0,
    "out_noise": 0.0,
    "bound_management": "NONE",
    "noise_management": "NONE",
}


def quiet(**changes):
    """Return settings with all off but `changes`; inputs are bounded where they are scaled."""
    unscaled = changes.get("noise_management", "NONE") == "NONE"
    return rs.IOParameters(**{**QUIET, "inp_bound": 0.0 if unscaled else 1.0, **changes})


def io(**changes):
    """Return the default settings without output noise, with `changes`."""
    return rs.IOParameters(**{"out_noise": 0.0, **changes})


def both(settings):
    """Return settings for forward and backward, which has no bound management."""
    return settings, settings.replace(bound_management="NONE")


def tile_of(weights, forward=None, backward=None, rng=1, backend="cpu"):
    """Return a tile with these weights."""
    weights = np.atleast_2d(weights)
    settings = {"forward": forward or quiet(), "backward": backward or quiet()}
    config = rs.RPUConfig(device=rs.IdealDevice(), **settings)
    tile = rs.AnalogTile(*weights.shape, config, rng=rng, backend=backend)
    tile.set_weights(weights)
    return tile


def same_rows(x, count):
    """Return a batch of `count` times the same vector."""
    return np.tile(np.asarray(x, np.float32), (count, 1))
