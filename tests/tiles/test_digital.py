"""Numbers without devices: what single precision cannot hold of a slow decay is not lost."""

import numpy as np
import pytest

import rpusim as rs


@pytest.mark.parametrize("kind", [rs.IdealDevice, rs.FloatingPointDevice])
def test_a_decay_below_the_last_bit_adds_up(kind):
    lifetime, steps = 1e9, 3000
    tile = rs.AnalogTile(2, 3, kind(lifetime=lifetime), rng=0)
    tile.set_weights(np.full((2, 3), 0.75))
    for _ in range(steps):
        tile.post_update_step()
    expected = 0.75 * (1.0 - 1.0 / lifetime) ** steps  # a step is 7.5e-10, half an ulp 3e-8
    assert np.abs(tile.get_weights()[0] - expected).max() <= 0.5 * np.spacing(np.float32(0.75))
    assert expected < 0.75 - 30 * np.spacing(np.float32(0.75))


def test_a_slow_decay_continues_after_loading():
    tile = rs.AnalogTile(2, 3, rs.IdealDevice(lifetime=1e9), rng=0)
    again = rs.AnalogTile(2, 3, rs.IdealDevice(lifetime=1e9), rng=1)
    for _ in range(30):
        tile.post_update_step()
    again.load_state_dict(tile.state_dict())
    for t in (tile, again):
        for _ in range(30):
            t.post_update_step()
    assert np.array_equal(tile.state_dict()["decay_carry"], again.state_dict()["decay_carry"])
    assert tile.state_dict()["decay_carry"].any()
