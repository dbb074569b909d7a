"""Grids of small tiles, with devices that hold any weights unless others are given."""

import numpy as np

import rpusim as rs
from rpusim.tiles import TileGrid

__all__ = ["BATCH", "IN", "LIMITS", "OUT", "PERFECT", "blocks", "config", "holding", "normal"]

OUT, IN, BATCH = 5, 7, 6
LIMITS = {
    "max_input_size": 3,
    "max_output_size": 2,
}  # inputs 3 + 2 + 2, outputs 2 + 2 + 1
PERFECT = rs.IOParameters(is_perfect=True)


def config(forward=PERFECT, mode="EXACT", device=None, pre_post=None, limits=LIMITS, **mapping):
    """Return the configuration of devices that hold any weights, unless others are given."""
    return rs.RPUConfig(
        device=device or rs.IdealDevice(),
        forward=forward,
        backward=PERFECT,
        gradient={"backward_mode": mode},
        mapping={**limits, **mapping},
        pre_post=pre_post or {},
    )


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def holding(settings, bias=True, kind=TileGrid, rng=1):
    """Return a grid or a tile of these settings, with the same weights for both."""
    tile = kind(OUT, IN, settings, bias, rng=rng)
    tile.set_weights(0.3 * normal(OUT, IN, seed=5), normal(OUT, seed=6) if bias else None)
    return tile


def blocks(grid):
    """Yield (tile, columns, rows) of a grid."""
    for i, j in grid.layout.places:
        yield grid.tiles[i][j], grid.layout.cols[i], grid.layout.rows[j]
