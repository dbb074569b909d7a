"""Everything a tile carries survives copying, saving and loading, bit by bit."""

import copy
import pickle

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import FEATURES, device_named

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (5, 6)
RICH = dict(
    lifetime=50.0, lifetime_dtod=0.2, diffusion=0.01, reset_dtod=0.1, count_pulses=True,
    drift=dict(nu=0.1, nu_dtod=0.3, w_noise_std=0.01), stuck_at_max_prob=0.1,
)  # fmt: skip


def rich(name):
    """Return a device that carries all that can be carried."""
    settings = dict(RICH) if "table" in name else dict(RICH, dw_min=0.01)
    if issubclass(FEATURES[name][0], rs.WriteNoiseDevice):
        settings["write_noise_std"] = 1.0
    return device_named(name, **settings)


DEVICES = {name: rich(name) for name in FEATURES} | {
    "ideal": rs.IdealDevice(lifetime=50.0, diffusion=0.01),
    "floating point": rs.FloatingPointDevice(lifetime=50.0, diffusion=0.01, drift=dict(nu=0.1)),
}


def live(tile, seed):
    """Let a tile read, learn, age, drift and reset."""
    rng = np.random.default_rng(seed)
    for _ in range(3):
        tile.forward(rng.normal(size=(2, 6)))
        tile.backward(rng.normal(size=(2, 5)))
        tile.update(rng.normal(size=(4, 6)), rng.normal(size=(4, 5)), learning_rate=0.05)
        tile.post_update_step()
    tile.drift_weights(10.0)
    if not isinstance(tile.rpu_config.device, rs.FloatingPointDevice):
        tile.reset_columns(start=2, count=1, prob=0.5)


def by_state(tile, tmp_path):
    other = rs.AnalogTile(*SHAPE, tile.rpu_config, bias=True, rng=99)
    other.load_state_dict(tile.state_dict())
    return other


def by_file(tile, tmp_path):
    rs.save(tmp_path / "tile.npz", tile)
    return rs.load(tmp_path / "tile.npz")


def by_copy(tile, tmp_path):
    return copy.deepcopy(tile)


def by_pickle(tile, tmp_path):
    return pickle.loads(pickle.dumps(tile))


def assert_same(a, b):
    """Compare two states bit by bit."""
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


@pytest.mark.parametrize("way", [by_state, by_file, by_copy, by_pickle])
@pytest.mark.parametrize("name", DEVICES)
def test_a_restored_tile_is_the_same_and_continues_alike(name, way, tmp_path):
    tile = rs.AnalogTile(*SHAPE, DEVICES[name], bias=True, rng=1)
    live(tile, 1)
    other = way(tile, tmp_path)
    assert_same(tile.state_dict(), other.state_dict())
    assert_same(tile.get_hidden_parameters(), other.get_hidden_parameters())
    assert tile.seed == other.seed
    for t in (tile, other):
        live(t, 2)
    assert_same(tile.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", DEVICES)
def test_a_copy_lives_its_own_life(name):
    tile = rs.AnalogTile(*SHAPE, DEVICES[name], rng=1)
    before = tile.state_dict()
    live(copy.deepcopy(tile), 1)
    assert_same(tile.state_dict(), before)


def test_the_names_in_a_state_do_not_depend_on_the_noise():
    plain = rs.AnalogTile(*SHAPE, rs.SoftBoundsDevice(), rng=1)
    noisy = rs.AnalogTile(*SHAPE, rs.SoftBoundsDevice(write_noise_std=1.0), rng=1)
    assert plain.state_dict().keys() == noisy.state_dict().keys()


def test_a_state_that_does_not_fit_changes_nothing():
    tile = rs.AnalogTile(*SHAPE, rs.SoftBoundsDevice(), rng=1)
    before = tile.state_dict()
    with pytest.raises(rs.StateError, match="missing: plane_slope_down, plane_slope_up"):
        tile.load_state_dict(rs.AnalogTile(*SHAPE, rs.ConstantStepDevice()).state_dict())
    with pytest.raises(rs.ShapeError, match=r"must have shape \(5, 6\), got \(6, 5\)"):
        tile.load_state_dict(rs.AnalogTile(6, 5, rs.SoftBoundsDevice()).state_dict())
    assert_same(tile.state_dict(), before)
