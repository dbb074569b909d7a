"""Noise-free pulses follow each device's rule, pulse by pulse."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import (
    FEATURES,
    HUSH,
    LAWS,
    SPREADS,
    WalkedConstantStep,
    device_named,
    flat,
    held,
    numbers_of,
    one_device,
    pulse,
    pulse_in_turn,
    seen,
    tile_of,
)
from tests.naive import pulses, response
from tests.naive import update as naive
from tests.naive.tolerance import FLOAT32, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (6, 7)
QUIET = dict(dw_min=0.02, dw_min_std=0.0)
SLOPED = dict(gamma_up=0.6, gamma_down=0.3, **QUIET)
STATE = ("pulse_number", "hidden_weights")
VARIANTS = {
    "constant, walked": (WalkedConstantStep(**QUIET), naive.constant_pulse),
    "constant, quiet": (rs.ConstantStepDevice(**QUIET), naive.constant_pulse),
    "soft bounds, quiet": (rs.SoftBoundsDevice(**QUIET), naive.soft_bounds_pulse),
    "constant, up > down": (rs.ConstantStepDevice(up_down=0.4, **QUIET), naive.constant_pulse),
    "linear, additive": (
        rs.LinearStepDevice(mult_noise=False, **SLOPED),
        naive.linear_pulse_additive,
    ),
    "linear, own bounds": (
        rs.LinearStepDevice(mean_bound_reference=False, **SLOPED),
        naive.linear_pulse,
    ),
    "linear, reversed": (
        rs.LinearStepDevice(reverse_up=True, reverse_down=True, **SLOPED),
        naive.linear_pulse,
    ),
    "linear, increasing": (
        rs.LinearStepDevice(allow_increasing=True, **{**SLOPED, "gamma_up": -0.5}),
        naive.linear_pulse,
    ),
    "soft bounds, additive": (
        rs.SoftBoundsDevice(mult_noise=False, **QUIET),
        naive.soft_bounds_pulse,
    ),
    "soft bounds, reversed": (
        rs.SoftBoundsDevice(reverse_down=True, **QUIET),
        naive.linear_pulse,
    ),
    "soft bounds, reference, multiplicative": (
        rs.SoftBoundsReferenceDevice(
            mult_noise=True, reference_std=0.1, up_down=-0.3, dw_min=0.02, dw_min_std=HUSH
        ),
        pulses.soft_bounds_reference_pulse,
    ),
    "table of all numbers": (
        device_named("table of numbers", count_restarts=False, dw_min_std=HUSH),
        pulses.numbered_table_pulse,
    ),
    "hidden, without carry": (
        device_named("hidden", carry_over=False, **QUIET),
        pulses.hidden_pulse,
    ),
}


def quiet(name):
    """Return the device of `FEATURES` without noise."""
    step = {} if "table" in name else dict(dw_min=0.02)
    return device_named(name, dw_min_std=HUSH, **step)


RULES = {name: (quiet(name), law) for name, law in LAWS.items() if "noisy" not in name} | VARIANTS


@pytest.fixture(params=list(RULES))
def rule(request):
    """Return a tile over the whole range of its devices, and the naive pulse."""
    device, law = RULES[request.param]
    tile = tile_of(device, SHAPE, rng=3)
    low, high = tile.weight_range()
    part = np.linspace(0.0, 1.0, low.size).reshape(low.shape)
    tile.set_weights(low + part * (high - low))
    return tile, law


def expect(tile, law, directions):
    """Compare what the tile does with the naive loops."""
    planes = tile.get_hidden_parameters()
    before = planes.pop("persistent_weights")
    pulse_in_turn(tile, directions)
    numbers = numbers_of(tile.rpu_config.device)
    expected, devices = pulses.send_all(before, planes, numbers, directions, law)
    # the slopes themselves are rounded to float32, hence the 2
    allowed = 2.0 * rounding(len(directions), np.abs(before).max())
    assert np.abs(held(tile) - np.ravel(expected)).max() <= allowed
    after = tile.get_hidden_parameters()
    zero = after.get("reference", np.zeros(SHAPE)).ravel()
    assert np.abs(seen(tile) - (held(tile) - zero)).max() <= FLOAT32
    for name in STATE:
        if name in planes:
            state = np.array([dev[name] for row in devices for dev in row])
            assert np.abs(after[name].ravel() - state).max() <= rounding(len(directions), 1.0)


@pytest.mark.parametrize("direction", [1, -1])
def test_one_pulse_follows_the_rule(rule, direction):
    expect(*rule, [direction])


def test_up_pulses_then_down_pulses_follow_the_rule(rule):
    expect(*rule, [1] * 30 + [-1] * 45)


def test_pulses_in_mixed_order_follow_the_rule(rule):
    expect(*rule, np.random.default_rng(1).choice([-1, 1], size=70).tolist())


def test_every_device_of_the_library_has_a_rule():
    public = {
        kind
        for kind in vars(rs).values()
        if isinstance(kind, type) and issubclass(kind, rs.PulsedDevice) and hasattr(kind, "pulse")
    }
    assert public == {kind for kind, _ in FEATURES.values()}
    assert public <= {type(device) for device, _ in RULES.values()}


def test_many_up_pulses_end_at_the_constant_steps_bound():
    tile = tile_of(rs.ConstantStepDevice(**QUIET), SHAPE, 0.0)
    hidden = tile.get_hidden_parameters()
    for count in (1, 5, 20, 200):
        tile.set_weights(np.zeros(SHAPE))
        pulse(tile, 1, count)
        expected = np.minimum(hidden["max_bound"], count * hidden["dwmin_up"].astype(np.float64))
        assert np.abs(tile.get_weights()[0] - expected).max() <= rounding(count, 1.0)


AFFINE = {
    rs.LinearStepDevice: dict(gamma_up=0.8, gamma_down=0.5),
    rs.SoftBoundsDevice: {},
    rs.SoftBoundsReferenceDevice: {},
}


@pytest.mark.parametrize("kind", AFFINE)
def test_affine_steps_approach_their_fixed_point_exponentially(kind):
    tile = tile_of(flat(kind, w_max=1.0, w_min=-0.8, **AFFINE[kind], **QUIET), (1, 1), -0.3)
    start, dev = held(tile)[0], one_device(tile)
    pulse(tile, 1, 40)
    pulse(tile, -1, 40)
    mean, _ = response.up_then_down(start, 40, 40, dev, 0.0)
    assert abs(held(tile)[0] - mean) <= rounding(80, 1.0)


@pytest.mark.parametrize("device", [rs.ConstantStepDevice, WalkedConstantStep])
def test_pulses_are_counted_where_asked_for(device):
    tile = tile_of(
        device(count_pulses=True, **{**SPREADS, **QUIET}, w_max=9.0, w_min=-9.0), SHAPE, 0.0
    )
    rng = np.random.default_rng(3)
    x, d = rng.choice([-1, 0, 1], size=(40, 7)), rng.choice([-1, 0, 1], size=(40, 6))
    tile.update(x, d, learning_rate=1.0)
    ups, downs = tile.pulse_counts["up"], tile.pulse_counts["down"]
    signs = -d[:, :, None] * x[:, None, :]
    assert np.array_equal(ups, (signs > 0).sum(axis=0))
    assert np.array_equal(downs, (signs < 0).sum(axis=0))
    assert (tile.stats.pulses_up, tile.stats.pulses_down) == (ups.sum(), downs.sum())


@pytest.mark.parametrize("kind", [rs.FloatingPointDevice, rs.IdealDevice])
def test_devices_without_pulses_hold_and_learn_anything(kind):
    tile = rs.AnalogTile(2, 3, kind(), rng=1)
    assert tile.set_weights(np.full((2, 3), 7.0)) == 0
    tile.update([[1.0, -2.0, 0.5]], [[3.0, -1.0]], learning_rate=0.5)
    expected = 7.0 - 0.5 * np.outer([3.0, -1.0], [1.0, -2.0, 0.5])
    assert np.abs(tile.get_weights()[0] - expected).max() <= rounding(1, 10.0)
    assert tile.get_hidden_parameters() == {}
