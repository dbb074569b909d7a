"""Which tiles share their devices, and what an analog bias column is made of."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import FEATURES, ONE_PULSE, device_named
from tests.naive.tolerance import rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

DRAWN = ("max_bound", "min_bound", "dwmin_up", "dwmin_down")


def devices_of(device, rng, shape=(6, 5), **options):
    """Return the drawn planes of a new tile."""
    hidden = rs.AnalogTile(*shape, device, rng=rng, **options).get_hidden_parameters()
    return [hidden[name] for name in DRAWN]


def same(a, b):
    return [np.array_equal(p, q) for p, q in zip(a, b, strict=True)]


@pytest.mark.parametrize("name", FEATURES)
def test_tiles_of_different_seeds_have_different_devices(name):
    device = device_named(name)
    assert not any(same(devices_of(device, 1), devices_of(device, 2)))
    assert all(same(devices_of(device, 1), devices_of(device, 1)))


@pytest.mark.parametrize("name", FEATURES)
def test_a_construction_seed_gives_every_tile_the_same_devices(name):
    device, other = (device_named(name, construction_seed=seed) for seed in (7, 8))
    assert all(same(devices_of(device, 1), devices_of(device, 2)))
    assert not any(same(devices_of(device, 1), devices_of(other, 1)))


def test_soft_bounds_may_be_as_wide_as_their_step_allows():
    tile = rs.AnalogTile(2, 2, rs.SoftBoundsDevice(w_max=4e3, w_min=-4e3, dw_min=2.0), rng=1)
    assert (tile.weight_range()[1] > 1e3).all()


def test_a_construction_seed_fixes_devices_but_not_pulses():
    tiles = [rs.AnalogTile(6, 5, rs.SoftBoundsDevice(construction_seed=7), rng=n) for n in (1, 2)]
    for tile in tiles:
        tile.set_weights(np.zeros((6, 5)))
        tile.update(np.ones((1, 5)), np.ones((1, 6)), learning_rate=0.01)
    assert not np.array_equal(tiles[0].get_weights()[0], tiles[1].get_weights()[0])


def bias_tile(device, digital_bias=False, **options):
    mapping = dict(digital_bias=digital_bias)
    config = rs.RPUConfig(device=device, mapping=mapping, update=ONE_PULSE)
    return rs.AnalogTile(4, 3, config, bias=True, rng=1, **options)


def bias_device(name, **settings):
    """Return a device whose bias column is to be perfect, with steps of 0.01 elsewhere too."""
    steps = {} if "table" in name else dict(dw_min=0.01)
    return device_named(name, perfect_bias=True, dw_min_std=0.0, **steps, **settings)


BIASED = [name for name in FEATURES if "noisy" not in name]


@pytest.mark.parametrize("name", BIASED)
def test_a_perfect_bias_column_is_symmetric_and_unbounded(name):
    tile = bias_tile(bias_device(name))
    hidden = {key: plane[:, -1] for key, plane in tile.get_hidden_parameters().items()}
    step = tile.rpu_config.device.dw_min * (3 if "hidden" in name else 1)
    assert (hidden["dwmin_up"] == np.float32(step)).all()
    assert (hidden["dwmin_down"] == np.float32(step)).all()
    assert (hidden["max_bound"] == np.inf).all()
    assert (hidden["min_bound"] == -np.inf).all()
    for key in ("slope_up", "slope_down"):
        assert (hidden.get(key, np.zeros(1)) == 0.0).all(), key


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", [name for name in BIASED if "hidden" not in name])
def test_a_perfect_bias_takes_the_same_step_everywhere(name, direction):
    # plain Python: an index out of bounds is an error there
    tile = bias_tile(bias_device(name), backend="python")
    start = np.array([-7.0, 0.05, 0.4, 3.0])
    tile.set_weights(np.zeros((4, 3)), start)
    for _ in range(5):
        tile.update(-np.ones((1, 3)), [[-direction] * 4], learning_rate=1.0)
    moved = tile.get_weights()[1] - start
    expected = direction * 5 * tile.rpu_config.device.dw_min
    assert np.abs(moved - expected).max() <= rounding(5, 7.0)


def test_a_perfect_bias_leaves_the_weights_alone():
    with_it = bias_tile(rs.SoftBoundsDevice(perfect_bias=True)).get_hidden_parameters()
    without = bias_tile(rs.SoftBoundsDevice()).get_hidden_parameters()
    for name in DRAWN:
        assert np.array_equal(with_it[name][:, :-1], without[name][:, :-1]), name


@pytest.mark.parametrize("bias", [False, True])
def test_without_an_analog_bias_column_perfect_bias_changes_nothing(bias):
    a = devices_of(rs.SoftBoundsDevice(perfect_bias=True), 1, bias=bias)
    b = devices_of(rs.SoftBoundsDevice(), 1, bias=bias)
    assert all(same(a, b))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(dw_min=-0.1), r"ConstantStepDevice\.dw_min must be > 0, got -0\.1"),
        (dict(dw_min=1e-9), r"dw_min is 1e-09, too small to be added"),
        (dict(lifetime=0.5), r"lifetime must be 0 \(none\) or >= 1 step, got 0\.5"),
        (dict(up_down=1.5), r"up_down must be in -1\.\.1, got 1\.5"),
        (dict(w_min=0.1), r"w_min must be <= 0, got 0\.1"),
        (dict(dw_min_std=-0.3), r"dw_min_std must be >= 0, got -0\.3"),
        (dict(dw_minn=0.1), r"no parameter 'dw_minn'; did you mean 'dw_min'\?"),
        (dict(corrupt_devices_prob=1.1), r"corrupt_devices_prob must be in 0\.\.1, got 1\.1"),
        (dict(up_down_convention="Max."), r"up_down_convention"),
        (dict(w_dtod_law="Lognormal"), r"w_dtod_law"),
    ],
)
def test_impossible_devices_are_refused_by_name(settings, message):
    with pytest.raises(rs.ConfigError, match=message):
        rs.ConstantStepDevice(**settings)


@pytest.mark.parametrize("kind", [rs.LinearStepDevice, rs.SoftBoundsDevice])
def test_reversed_steps_need_multiplicative_noise(kind):
    with pytest.raises(rs.ConfigError, match="reverse_up and reverse_down need mult_noise=True"):
        kind(reverse_up=True, mult_noise=False)
