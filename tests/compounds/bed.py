"""A bed for training algorithms: many independent scalar least-squares problems, one per device.

The loss of each is (w - 0.5)^2 / 2, its gradient has Gaussian noise of 0.3. One row of devices, so
that an error of 1 and the gradients as inputs give every device a problem of its own.
"""

import numpy as np

import rpusim as rs
from tests.compounds.cells import tile_of

__all__ = ["MEAN_FIELD", "TARGET", "average", "linear", "train"]

TARGET, NOISE = 0.5, 0.3
MEAN_FIELD = rs.UpdateParameters(pulse_type="MEAN_FIELD")


def linear(tau=1.0, symmetry_point=0.0):
    """Return a device with steps 1 - (w - s) / tau up and 1 + (w - s) / tau down, s as given."""
    c = symmetry_point / tau
    return rs.SoftBoundsDevice(
        dw_min=0.001 * (1.0 + c), up_down=2.0 * c / (1.0 + c), w_max=symmetry_point + tau,
        w_min=symmetry_point - tau, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0,
        w_max_dtod=0.0, w_min_dtod=0.0,
    )  # fmt: skip


def train(device, steps, count=400, alpha=0.02, noise=NOISE, start=0.0, update=MEAN_FIELD):
    """Train `count` problems; yield the tile after every step."""
    tile = tile_of(device, (1, count), update)
    tile.set_weights(np.full((1, count), start))
    rng, one = np.random.default_rng(0), np.ones(1)
    for _ in range(steps):
        w = tile.get_weights()[0][0]
        tile.update(w - TARGET + noise * rng.normal(size=count), one, learning_rate=alpha)
        yield tile


def average(tiles, looks, skip, blocks=10):
    """Return the mean of what functions see of a tile after some steps, and its standard error."""
    rows = [
        [float(np.mean(look(tile))) for look in looks] for k, tile in enumerate(tiles) if k >= skip
    ]
    means = np.array([block.mean(axis=0) for block in np.array_split(np.array(rows), blocks)])
    return means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(blocks)
