"""Devices without any spread, tiles of cells, and what every cell must keep."""

import copy
import pickle

import numpy as np

import rpusim as rs
from rpusim.kernels import backend as backends
from tests.backends import OTHERS

__all__ = [
    "EXACTLY",
    "check_backends_and_threads",
    "check_continues",
    "check_threads_of_large_tile",
    "ideal",
    "random_steps",
    "same_state",
    "tile_of",
]

#: pulses that are certain, as many as are asked for
EXACTLY = rs.UpdateParameters(pulse_type="DETERMINISTIC_IMPLICIT", desired_bl=1000)
PERFECT = rs.IOParameters(is_perfect=True)


def ideal(step=1e-3, **changes):
    """Return a constant-step device without spread or noise, between -1 and 1."""
    spreads = dict.fromkeys(
        ("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0
    )
    return rs.ConstantStepDevice(
        **{"dw_min": step, "w_max": 1.0, "w_min": -1.0, **spreads, **changes}
    )


def tile_of(device, shape=(2, 3), update=EXACTLY, rng=0, weights=0.0, backend="cpu", **options):
    """Return a tile with perfect products whose visible weights are `weights`."""
    products = {"forward": PERFECT, "backward": PERFECT}
    config = rs.RPUConfig(device=device, update=update, **{**products, **options})
    tile = rs.AnalogTile(*shape, config, rng=rng, backend=backend)
    tile.set_weights(np.full(shape, weights))
    return tile


def random_steps(tile, count, seed=0, batch=3, rate=0.05):
    """Update a tile `count` times with random vectors."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x, d = rng.normal(size=(batch, tile.in_size)), rng.normal(size=(batch, tile.out_size))
        tile.update(x, d, learning_rate=rate)
        tile.post_update_step()


def same_state(one, other, but=()):
    """Check that two tiles hold the same bits, but for the arrays named."""
    mine, theirs = one.state_dict(), other.state_dict()
    for name in but:
        assert mine.pop(name).tobytes() != theirs.pop(name).tobytes()
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def check_backends_and_threads(device, monkeypatch):
    """Check that all backends and any number of threads give the same bits."""

    def trained(**options):
        tile = tile_of(device, update=rs.UpdateParameters(), **options)
        random_steps(tile, 4)
        return tile

    first = trained()
    for other in OTHERS:
        same_state(first, trained(backend=other))
    for threads in (1, 2):
        monkeypatch.setattr(backends, "WORTH_A_THREAD", 1.0)
        monkeypatch.setattr(backends, "_threads", threads)
        same_state(first, trained())


def check_threads_of_large_tile(device, update):
    """Check that a tile that is worth threads has the same bits for any number of them."""
    made, before = [], rs.get_num_threads()
    try:
        for threads in (1, 3):
            rs.set_num_threads(threads)
            tile = tile_of(device, (300, 290), update=update)
            random_steps(tile, 2, batch=20, rate=0.01)
            made.append(tile)
    finally:
        rs.set_num_threads(before)
    same_state(*made)


def check_continues(make, path, steps=20):
    """Check that a tile that was saved, pickled or copied continues with the same bits."""
    tile = make()
    random_steps(tile, steps)
    rs.save(path, tile)
    fresh = make()
    fresh.load_state_dict(tile.state_dict())
    others = [rs.load(path), pickle.loads(pickle.dumps(tile)), copy.deepcopy(tile), fresh]
    random_steps(tile, 5, seed=1)
    for other in others:
        random_steps(other, 5, seed=1)
        same_state(tile, other)
