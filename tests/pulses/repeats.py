"""Thousands of independent updates of one small tile, each from weight 0, as counts of pulses."""

import numpy as np

import rpusim as rs

STEP = 1e-3  # one pulse, either way
N = 4000
X = (1.0, -0.5, 0.3, 0.0)
D = (0.2, -0.05)


def plain_device(**settings):
    """Return the constant-step device without spread, noise and asymmetry, bounds at +-1."""
    spreads = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
    window = dict(w_max=1.0, w_min=-1.0)
    return rs.ConstantStepDevice(
        **{"dw_min": STEP, "dw_min_std": 0.0, **spreads, **window, **settings}
    )


def plain_tile(x=X, d=D, device=None, rng=1, **update):
    """Return a tile of plain devices for vectors of these sizes, at weight 0."""
    config = rs.RPUConfig(device=device or plain_device(), update=rs.UpdateParameters(**update))
    tile = rs.AnalogTile(np.shape(d)[-1], np.shape(x)[-1], config, rng=rng)
    tile.set_weights(np.zeros((tile.out_size, tile.in_size)))
    return tile


def moved(tile):
    """Return the weights in steps: up minus down pulses, if there is no noise."""
    return tile.get_weights()[0].astype(np.float64) / STEP


def repeated(x=X, d=D, rate=0.1, repeats=N, rng=1, device=None, **update):
    """Return the changes of `repeats` updates from weight 0, in steps, shape (repeats, out, in)."""
    tile = plain_tile(x, d, device, rng, **update)
    x, d = np.atleast_2d(np.float32(x)), np.atleast_2d(np.float32(d))
    zeros = np.zeros((tile.out_size, tile.in_size), np.float32)
    changes = np.empty((repeats, *zeros.shape))
    for n in range(repeats):
        tile.set_weights(zeros)
        tile.update(x, d, rate)
        changes[n] = moved(tile)
    return changes


def one_update(x=X, d=D, rate=0.1, **options):
    """Return (change in steps, report) of one update."""
    tile = plain_tile(x, d, **options)
    tile.update(np.atleast_2d(x), np.atleast_2d(d), rate)
    return moved(tile), tile.stats.last_update
