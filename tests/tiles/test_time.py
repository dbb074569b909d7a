"""Clocks of tiles whose devices learn and drift: one direction only, and part of the state."""

import copy

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError
from rpusim.tiles import TileGrid
from tests.naive.tolerance import FLOAT32

DRIFT = {"nu": 0.1, "t_0": 2.0}
WIDE = {"w_max": 2.0, "w_min": -2.0}
W = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 4)).astype(np.float32)
SPLIT = {"max_input_size": 2, "max_output_size": 2}
CONFIGS = {
    "device": rs.RPUConfig(device=rs.ConstantStepDevice(drift=DRIFT, **WIDE)),
    "number": rs.RPUConfig(device=rs.FloatingPointDevice(drift=DRIFT)),
    "compound": rs.RPUConfig(
        device=rs.VectorUnitCell(unit_cell_devices=[rs.ConstantStepDevice(drift=DRIFT, **WIDE)] * 2)
    ),
    "grid": rs.RPUConfig(device=rs.ConstantStepDevice(drift=DRIFT, **WIDE), mapping=SPLIT),
    "digital": rs.FloatingPointRPUConfig(device=rs.FloatingPointDevice(drift=DRIFT)),
}
pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

KINDS = {"grid": TileGrid, "digital": rs.FloatingPointTile}


def made(case, rng=1):
    tile = KINDS.get(case, rs.AnalogTile)(3, 4, CONFIGS[case], rng=rng)
    tile.set_weights(W)
    return tile


@pytest.mark.parametrize("case", CONFIGS)
def test_a_clock_runs_and_weights_follow_it(case):
    tile, start = made(case), made(case).get_weights()[0]
    assert tile.drifts
    assert tile.time == 0.0
    assert not tile.is_programmed
    for act, now in (
        (lambda t: t.drift_weights(), 1.0),
        (lambda t: t.age(3.0), 4.0),
        (lambda t: t.drift_to(50.0), 50.0),
        (lambda t: t.drift_to(50), 50.0),
        (lambda t: t.age(np.float32(150.0)), 200.0),
        (lambda t: t.drift_weights(0.0), 200.0),
    ):
        act(tile)
        assert tile.time == now
        expected = start * max(now / 2.0, 1.0) ** -0.1
        np.testing.assert_allclose(tile.get_weights()[0], expected, rtol=8 * FLOAT32)


@pytest.mark.parametrize("case", CONFIGS)
def test_there_is_no_way_back(case):
    tile = made(case)
    tile.drift_to(50.0)
    before = tile.state_dict()
    with pytest.raises(DataError, match=r"t must be at least 50, the present time, got 49\.5"):
        tile.drift_to(49.5)
    for wrong in (-1.0, np.nan, np.inf, None, "1 h", [1.0], True):
        with pytest.raises(DataError, match="t must be a time >= 0, got"):
            tile.drift_to(wrong)
        with pytest.raises(DataError, match="delta_t must be a time >= 0, got"):
            tile.age(wrong)
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("case", CONFIGS)
def test_a_clock_is_part_of_the_state(case, tmp_path):
    tile, other = made(case), made(case, rng=2)
    tile.drift_to(50.0)
    tile.update(np.ones((2, 4)), np.ones((2, 3)), 0.1)
    tile.age(10.0)
    other.load_state_dict(tile.state_dict())
    rs.save(tmp_path / "tile.npz", tile)
    for again in (other, rs.load(tmp_path / "tile.npz"), copy.deepcopy(tile)):
        assert again.time == 60.0
        twin = copy.deepcopy(tile)
        for each in (again, twin):
            each.drift_to(500.0)
        np.testing.assert_array_equal(again.get_weights()[0], twin.get_weights()[0])
        assert again.time == 500.0


def test_writing_weights_does_not_turn_the_clock_back():
    tile = made("device")
    tile.drift_to(50.0)
    tile.set_weights(W)
    assert tile.time == 50.0
    tile.age(2.0)
    np.testing.assert_array_equal(tile.get_weights()[0], W)
    tile.age(18.0)
    np.testing.assert_allclose(tile.get_weights()[0], W * 10.0**-0.1, rtol=8 * FLOAT32)


@pytest.mark.parametrize("device", [rs.ConstantStepDevice(**WIDE), rs.IdealDevice()])
def test_a_clock_runs_for_devices_that_do_not_drift_too(device):
    tile = rs.AnalogTile(3, 4, device, rng=1)
    before = tile.get_weights()[0]
    assert not tile.drifts
    tile.age(5.0)
    assert tile.time == 5.0
    np.testing.assert_array_equal(tile.get_weights()[0], before)
