"""Bounds mean bounds: no weight that devices hold ever leaves them; clipping is never silent."""

import warnings

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import WalkedConstantStep

NARROW = dict(w_max=0.1, w_min=-0.1, w_max_dtod=0.0, w_min_dtod=0.0)
DEVICES = {
    "constant": rs.ConstantStepDevice(**NARROW),
    "constant, coarse and noisy": rs.ConstantStepDevice(dw_min=0.03, dw_min_std=3.0, **NARROW),
    "constant, walked": WalkedConstantStep(**NARROW),
    "linear": rs.LinearStepDevice(**NARROW),
    "linear, additive": rs.LinearStepDevice(mult_noise=False, dw_min_std=3.0, **NARROW),
    "linear, increasing": rs.LinearStepDevice(allow_increasing=True, gamma_up=-2.0, **NARROW),
    "linear, write noise": rs.LinearStepDevice(write_noise_std=3.0, **NARROW),
    "soft bounds": rs.SoftBoundsDevice(**NARROW),
    "soft bounds, coarse": rs.SoftBoundsDevice(dw_min=0.15, dw_min_std=2.0, **NARROW),
    "soft bounds, reversed": rs.SoftBoundsDevice(reverse_up=True, dw_min=0.01, **NARROW),
}
KINDS = [kind.name for kind in rs.PulseType]
BOUND = np.float32(0.1)


def held(tile):
    return tile.get_hidden_parameters()["persistent_weights"]


def train(tile, rounds=30):
    rng = np.random.default_rng(0)
    for n in range(rounds):
        d = rng.normal(size=(8, tile.out_size)) + (1 if n < rounds / 2 else -1)
        tile.update(rng.normal(size=(8, tile.in_size)), d, learning_rate=0.3)


def check(tile):
    low, high = tile.weight_range()
    assert (low == -BOUND).all()
    assert (high == BOUND).all()
    assert (np.abs(held(tile)) <= BOUND).all()
    if tile.rpu_config.device.write_noise == 0.0:
        assert np.array_equal(tile.get_weights(apply_weight_scaling=False)[0], held(tile))


@pytest.mark.parametrize("name", DEVICES)
def test_no_weight_ever_leaves_its_bounds(name):
    tile = rs.AnalogTile(20, 15, DEVICES[name], rng=3)
    check(tile)
    with pytest.warns(rs.ClippedWeightsWarning):
        assert tile.set_weights(np.full((20, 15), 0.7)) == 300
    check(tile)
    train(tile)
    check(tile)
    assert (held(tile) == BOUND).any() or "soft" in name
    for _ in range(3):
        tile.reset_columns()
        tile.post_update_step()
    check(tile)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["constant", "soft bounds", "linear, write noise"])
def test_no_kind_of_update_leaves_the_bounds(name, kind):
    config = rs.RPUConfig(device=DEVICES[name], update=rs.UpdateParameters(pulse_type=kind))
    tile = rs.AnalogTile(20, 15, config, rng=3)
    train(tile)
    check(tile)


def test_bounds_hold_for_each_device_when_they_differ():
    tile = rs.AnalogTile(20, 15, rs.ConstantStepDevice(w_max=0.3, w_min=-0.3), rng=3)
    train(tile)
    low, high = tile.weight_range()
    assert np.ptp(high) > 0.1
    assert ((held(tile) >= low) & (held(tile) <= high)).all()
    hidden = tile.get_hidden_parameters()
    assert np.array_equal(low, hidden["min_bound"])
    assert np.array_equal(high, hidden["max_bound"])


def test_bounds_hold_on_devices_when_weights_are_scaled():
    config = rs.RPUConfig(device=DEVICES["constant"], mapping=dict(weight_scaling_omega=0.1))
    tile = rs.AnalogTile(20, 15, config, rng=3)
    assert tile.set_weights(np.random.default_rng(1).normal(size=(20, 15))) == 0
    train(tile)
    check(tile)


def test_clipping_on_set_is_reported():
    tile = rs.AnalogTile(4, 5, DEVICES["constant"], rng=3)
    weights = np.zeros((4, 5))
    weights[1, :3] = 0.2
    message = r"AnalogTile: 3 of 20 weights were clipped to what their devices can hold \(see"
    with pytest.warns(rs.ClippedWeightsWarning, match=message):
        assert tile.set_weights(weights) == 3
    assert tile.stats.weights_clipped == 3


def test_clipping_of_initial_weights_is_reported():
    device = rs.ConstantStepDevice(**{**NARROW, "w_max": 0.0})
    message = r"AnalogTile: \d+ of 400 initial weights in -0\.1\.\.0\.1 were clipped"
    with pytest.warns(rs.ClippedWeightsWarning, match=message):
        tile = rs.AnalogTile(20, 20, device, rng=3)
    assert 100 < tile.stats.weights_clipped < 300


def test_what_fits_is_set_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile = rs.AnalogTile(4, 5, DEVICES["constant"], rng=3)
        assert tile.set_weights(np.full((4, 5), BOUND)) == 0
    assert (held(tile) == BOUND).all()


@pytest.mark.parametrize("kind", [rs.IdealDevice, rs.FloatingPointDevice])
def test_numbers_have_no_bounds(kind):
    tile = rs.AnalogTile(2, 3, kind(), rng=1)
    low, high = tile.weight_range()
    assert (low == -np.inf).all()
    assert (high == np.inf).all()
    assert tile.set_weights(np.full((2, 3), 70.0)) == 0
