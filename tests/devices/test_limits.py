"""Bounds hold for what pulses act on, device by device, whatever happens to it."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import FEATURES, HUSH, device_named, held, pulse_in_turn, tile_of
from tests.naive.tolerance import FLOAT32

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (8, 9)


def noisy(name):
    """Return a device that noise can carry far in one pulse."""
    settings = dict(dw_min_std=3.0, lifetime=20.0, reset_std=0.5, diffusion=0.2)
    if "table" not in name:
        settings |= dict(dw_min=0.05, w_max=0.6)
    if issubclass(FEATURES[name][0], rs.WriteNoiseDevice):
        settings["write_noise_std"] = 5.0
    return device_named(name, **settings)


def assert_held_in_bounds(tile):
    """Compare what is held with the bounds; return which of them some device has reached."""
    hidden = tile.get_hidden_parameters()
    held_now = hidden["persistent_weights"]
    assert (held_now >= hidden["min_bound"]).all()
    assert (held_now <= hidden["max_bound"]).all()
    return {name for name in ("max_bound", "min_bound") if (held_now == hidden[name]).any()}


@pytest.mark.parametrize("name", FEATURES)
def test_what_is_held_never_leaves_the_bounds(name):
    tile = tile_of(noisy(name), SHAPE, rng=3)
    assert_held_in_bounds(tile)
    rng, reached = np.random.default_rng(4), set()
    for _ in range(10):
        pulse_in_turn(tile, rng.choice([-1, 1], size=15))
        reached |= assert_held_in_bounds(tile)
        tile.post_update_step()
        assert_held_in_bounds(tile)
    assert reached == {"max_bound", "min_bound"}
    tile.reset_columns(prob=0.5)
    assert_held_in_bounds(tile)


@pytest.mark.parametrize("name", FEATURES)
def test_write_noise_alone_leads_beyond_the_bounds(name):
    device = noisy(name)
    tile = tile_of(device, SHAPE, 9.0, rng=3)
    low, high = tile.weight_range()
    beyond = tile.get_weights()[0] > high + FLOAT32
    assert beyond.any() == (device.write_noise > 0.0)


@pytest.mark.parametrize("name", FEATURES)
def test_setting_weights_limits_them_to_each_devices_range(name):
    tile = tile_of(device_named(name), SHAPE)
    wanted = np.linspace(-2.0, 2.0, 72).reshape(SHAPE).astype(np.float32)
    clipped = tile.set_weights(wanted)
    low, high = tile.weight_range()
    # with a reference, adding and subtracting it rounds twice
    shifted = "reference" in name
    allowed = 4.0 * FLOAT32 if shifted else 0.0
    assert np.abs(tile.get_weights()[0] - np.clip(wanted, low, high)).max() <= allowed
    outside = ((wanted < low) | (wanted > high)).sum()
    assert clipped == outside
    assert (held(tile) == tile.get_hidden_parameters()["max_bound"].ravel()).any()


@pytest.mark.parametrize("name", FEATURES)
def test_new_bounds_hold_at_once(name):
    tile = tile_of(device_named(name, dw_min_std=HUSH), SHAPE, 0.5)
    tile.set_hidden_parameters({"max_bound": np.full(SHAPE, 0.03), "min_bound": np.zeros(SHAPE)})
    assert_held_in_bounds(tile)
    pulse_in_turn(tile, [1, -1, 1])
    assert_held_in_bounds(tile)
    assert np.isfinite(tile.get_weights()[0]).all()


@pytest.mark.parametrize("name", FEATURES)
def test_bounds_that_meet_hold_a_device(name):
    tile = tile_of(device_named(name), SHAPE, 0.0)
    place = {"max_bound": np.full(SHAPE, 0.25), "min_bound": np.full(SHAPE, 0.25)}
    tile.set_hidden_parameters(place)
    for _ in range(4):
        pulse_in_turn(tile, [1, -1, -1, 1, 1])
        assert (tile.get_hidden_parameters()["persistent_weights"] == 0.25).all()
