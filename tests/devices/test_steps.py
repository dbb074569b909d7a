"""Noise-free pulses follow each device's rule, and devices that should agree do."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import (
    SPREADS,
    WalkedConstantStep,
    flat,
    held,
    one_device,
    pulse,
    pulse_in_turn,
    tile_of,
)
from tests.naive import response
from tests.naive import update as naive
from tests.naive.tolerance import FLOAT32, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (6, 7)
QUIET = dict(dw_min=0.02, dw_min_std=0.0)
SLOPED = dict(gamma_up=0.6, gamma_down=0.3, **QUIET)
RULES = {
    "constant": (rs.ConstantStepDevice(**QUIET), naive.constant_pulse),
    "constant, walked": (WalkedConstantStep(**QUIET), naive.constant_pulse),
    "constant, up > down": (rs.ConstantStepDevice(up_down=0.4, **QUIET), naive.constant_pulse),
    "linear": (rs.LinearStepDevice(**SLOPED), naive.linear_pulse),
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
    "soft bounds": (rs.SoftBoundsDevice(**QUIET), naive.soft_bounds_pulse),
    "soft bounds, additive": (
        rs.SoftBoundsDevice(mult_noise=False, **QUIET),
        naive.soft_bounds_pulse,
    ),
    "soft bounds, reversed": (
        rs.SoftBoundsDevice(reverse_down=True, **QUIET),
        naive.linear_pulse,
    ),
}


@pytest.fixture(params=list(RULES))
def rule(request):
    """Return a tile over the whole range of its devices, and the naive pulse."""
    device, law = RULES[request.param]
    tile = tile_of(device, SHAPE, rng=3)
    low, high = tile.weight_range()
    part = np.linspace(0.0, 1.0, low.size).reshape(low.shape)
    tile.set_weights(low + part * (high - low))
    return tile, law


def expect(tile, law, directions, pulses):
    """Compare what the tile does with the naive loops."""
    before = tile.get_weights()[0]
    planes = tile.get_hidden_parameters()
    pulse_in_turn(tile, directions)
    expected = naive.send_all(before, planes, lambda i, j: directions, law)
    # the slopes themselves are rounded to float32, hence the 2
    allowed = 2.0 * rounding(pulses, np.abs(before).max())
    assert np.abs(tile.get_weights()[0] - expected).max() <= allowed


@pytest.mark.parametrize("direction", [1, -1])
def test_one_pulse_follows_the_rule(rule, direction):
    expect(*rule, [direction], 1)


def test_up_pulses_then_down_pulses_follow_the_rule(rule):
    expect(*rule, [1] * 30 + [-1] * 45, 75)


def test_pulses_in_mixed_order_follow_the_rule(rule):
    directions = np.random.default_rng(1).choice([-1, 1], size=70)
    expect(*rule, directions.tolist(), 70)


def test_many_up_pulses_end_at_the_constant_steps_bound():
    tile = tile_of(rs.ConstantStepDevice(**QUIET), SHAPE, 0.0)
    hidden = tile.get_hidden_parameters()
    for pulses in (1, 5, 20, 200):
        tile.set_weights(np.zeros(SHAPE))
        pulse(tile, 1, pulses)
        expected = np.minimum(hidden["max_bound"], pulses * hidden["dwmin_up"].astype(np.float64))
        assert np.abs(tile.get_weights()[0] - expected).max() <= rounding(pulses, 1.0)


@pytest.mark.parametrize("kind", [rs.LinearStepDevice, rs.SoftBoundsDevice])
def test_affine_steps_approach_their_fixed_point_exponentially(kind):
    gammas = dict(gamma_up=0.8, gamma_down=0.5) if kind is rs.LinearStepDevice else {}
    tile = tile_of(flat(kind, w_max=1.0, w_min=-0.8, **gammas, **QUIET), (1, 1), -0.3)
    start, dev = held(tile)[0], one_device(tile)
    pulse(tile, 1, 40)
    pulse(tile, -1, 40)
    mean, _ = response.up_then_down(start, 40, 40, dev, 0.0)
    assert abs(held(tile)[0] - mean) <= rounding(80, 1.0)


@pytest.mark.parametrize("up_down", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("kind", [rs.LinearStepDevice, rs.SoftBoundsDevice])
def test_alternating_pulses_settle_at_the_symmetry_point(kind, up_down):
    gammas = dict(gamma_up=0.9, gamma_down=0.7) if kind is rs.LinearStepDevice else {}
    tile = tile_of(
        flat(kind, w_max=1.0, w_min=-0.8, up_down=up_down, **gammas, **QUIET), (1, 1), 0.4
    )
    dev = one_device(tile)
    low, high, contraction = response.alternating(dev)
    pairs = int(np.ceil(30.0 / (1.0 - contraction)))
    pulse_in_turn(tile, [1, -1] * pairs)
    assert abs(held(tile)[0] - low) <= 1e-6
    pulse(tile, 1)
    assert abs(held(tile)[0] - high) <= 1e-6
    assert low <= response.symmetry_point(dev) <= high


def trace(device, planes=None, start=0.0, flip=1):
    """Return the weights after each of some noisy pulses; `flip` exchanges up and down."""
    tile = tile_of(device, SHAPE, start, rng=5)
    if planes is not None:
        tile.set_hidden_parameters(planes, recompute_derived=False)
        tile.set_weights(np.broadcast_to(start, SHAPE))
    states = []
    for direction in np.random.default_rng(2).choice([-1, 1], size=60):
        pulse(tile, flip * direction)
        states.append(held(tile))
    return np.array(states)


def test_a_linear_step_without_slope_is_a_constant_step():
    noisy = dict(dw_min=0.05, dw_min_std=0.7)
    linear = rs.LinearStepDevice(gamma_up_dtod=0.0, gamma_down_dtod=0.0, **noisy)
    assert np.array_equal(trace(linear), trace(WalkedConstantStep(**noisy)))


@pytest.mark.parametrize("mult_noise", [True, False])
def test_soft_bounds_are_a_linear_step_to_the_own_bounds(mult_noise):
    noisy = dict(dw_min=0.05, dw_min_std=0.7, mult_noise=mult_noise)
    full = dict(gamma_up=1.0, gamma_down=1.0, gamma_up_dtod=0.0, gamma_down_dtod=0.0)
    linear = rs.LinearStepDevice(mean_bound_reference=False, **full, **noisy)
    assert np.array_equal(trace(rs.SoftBoundsDevice(**noisy)), trace(linear))


def mirrored(planes):
    """Return the devices seen upside down: bounds, steps and slopes exchanged."""
    pairs = [("max_bound", "min_bound", -1), ("dwmin_up", "dwmin_down", 1)]
    if "slope_up" in planes:
        pairs.append(("slope_up", "slope_down", -1))
    mirror = {}
    for a, b, factor in pairs:
        mirror[a], mirror[b] = factor * planes[b], factor * planes[a]
    return mirror


@pytest.mark.parametrize(
    "device",
    [
        rs.ConstantStepDevice(dw_min=0.05, dw_min_std=0.0),
        WalkedConstantStep(dw_min=0.05),
        rs.LinearStepDevice(dw_min=0.05, gamma_up=0.5),
        rs.LinearStepDevice(dw_min=0.05, gamma_up=0.5, mult_noise=False),
        rs.SoftBoundsDevice(dw_min=0.05),
    ],
    ids=lambda device: type(device).__name__,
)
def test_a_mirrored_device_takes_the_mirrored_path(device):
    planes = tile_of(device, SHAPE, rng=5).get_hidden_parameters()
    path = trace(device, start=0.1)
    mirror = trace(device, mirrored(planes), start=-0.1, flip=-1)
    assert np.array_equal(mirror, -path)


@pytest.mark.parametrize("device", [WalkedConstantStep(dw_min=0.05, dw_min_std=1.0)])
def test_a_larger_upper_bound_never_lowers_a_weight(device):
    bound = tile_of(device, SHAPE, rng=5).get_hidden_parameters()["max_bound"]
    narrow = trace(device, {"max_bound": bound})
    wide = trace(device, {"max_bound": bound + np.float32(0.1)})
    # once apart, two paths round differently: half an ulp per pulse
    assert (wide >= narrow - 60 * FLOAT32).all()
    assert (wide > narrow + 0.01).any()


@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, rs.LinearStepDevice, rs.SoftBoundsDevice])
def test_setting_weights_limits_them_to_each_devices_bounds(kind):
    tile = tile_of(kind(), SHAPE)
    wanted = np.linspace(-2.0, 2.0, 42).reshape(SHAPE).astype(np.float32)
    clipped = tile.set_weights(wanted)
    low, high = tile.weight_range()
    assert np.array_equal(tile.get_weights()[0], np.clip(wanted, low, high))
    assert clipped == ((wanted < low) | (wanted > high)).sum()


@pytest.mark.parametrize("kind", [rs.FloatingPointDevice, rs.IdealDevice])
def test_devices_without_pulses_hold_and_learn_anything(kind):
    tile = rs.AnalogTile(2, 3, kind(), rng=1)
    assert tile.set_weights(np.full((2, 3), 7.0)) == 0
    tile.update([[1.0, -2.0, 0.5]], [[3.0, -1.0]], learning_rate=0.5)
    expected = 7.0 - 0.5 * np.outer([3.0, -1.0], [1.0, -2.0, 0.5])
    assert np.abs(tile.get_weights()[0] - expected).max() <= rounding(1, 10.0)
    assert tile.get_hidden_parameters() == {}


@pytest.mark.parametrize("device", [rs.ConstantStepDevice, WalkedConstantStep])
def test_pulses_are_counted_where_asked_for(device):
    tile = tile_of(
        device(count_pulses=True, **{**SPREADS, **QUIET}, w_max=9.0, w_min=-9.0), SHAPE, 0.0
    )
    rng = np.random.default_rng(3)
    x, d = rng.choice([-1, 0, 1], size=(40, 7)), rng.choice([-1, 0, 1], size=(40, 6))
    tile.update(x, d, learning_rate=1.0)
    ups, downs = tile.crossbar._counts
    signs = -d[:, :, None] * x[:, None, :]
    assert np.array_equal(ups, (signs > 0).sum(axis=0))
    assert np.array_equal(downs, (signs < 0).sum(axis=0))
    assert (tile.stats.pulses_up, tile.stats.pulses_down) == (ups.sum(), downs.sum())
