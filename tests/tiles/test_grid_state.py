"""States of grids: they continue bit for bit, and what does not fit changes nothing."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError, RpusimError, ShapeError, StateError
from rpusim.tiles import TileGrid
from tests.tiles.grids import BATCH, IN, LIMITS, OUT, normal

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

ALIVE = {"lifetime": 50.0, "diffusion": 0.01, "dw_min": 0.01, "drift": {"nu": 0.1}}
RANGE = {"input_range": {"enable": True, "init_from_data": 2}}
CASES = {
    "pulsed": (rs.RPUConfig(device=rs.SoftBoundsDevice(**ALIVE), mapping=LIMITS), False),
    "analog bias, scales": (
        rs.RPUConfig(
            device=rs.LinearStepDevice(construction_seed=3, **ALIVE),
            mapping={**LIMITS, "digital_bias": False, "weight_scaling_omega": 0.5},
        ),
        True,
    ),
    "inference": (
        rs.InferenceRPUConfig(
            mapping={**LIMITS, "learn_out_scaling": True},
            modifier={"type": "ADD_NORMAL", "std_dev": 0.1},
            pre_post=RANGE,
        ),
        True,
    ),
    "few bits": (
        rs.RPUConfig(
            mapping={**LIMITS, "weight_scaling_omega": 0.5},
            pre_post=rs.PrePostProcessingParameterQuant(
                periph_quant=rs.PeripheryQuantizationParameter(n_bits=4)
            ),
        ),
        True,
    ),
}


def made(case, rng=1):
    config, bias = CASES[case]
    return TileGrid(OUT, IN, config, bias, rng=rng)


LIFE = [
    lambda g: g.set_weights(0.3 * normal(OUT, IN), normal(OUT) if g.has_bias else None),
    lambda g: g.forward(normal(BATCH, IN, seed=1)),
    lambda g: g.gradients(normal(BATCH, OUT, seed=2)).input,
    lambda g: g.update(normal(BATCH, IN, seed=1), normal(BATCH, OUT, seed=2), 0.1),
    lambda g: g.post_update_step(),
    lambda g: g.drift_weights(7.0),
    lambda g: g.forward(normal(BATCH, IN, seed=3), is_test=True),
    lambda g: g.update(normal(BATCH, IN, seed=4), normal(BATCH, OUT, seed=5), 0.1),
    lambda g: g.post_update_step(),
    lambda g: g.forward(normal(BATCH, IN, seed=6)),
]


def live(grid, begin=0, end=None):
    return [result for act in LIFE[begin:end] if (result := act(grid)) is not None]


def assert_equal_states(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_same_future(grid, other, begin):
    assert_equal_states(other.state_dict(), grid.state_dict())
    for mine, theirs in zip(live(grid, begin), live(other, begin), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert_equal_states(other.state_dict(), grid.state_dict())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("moment", [0, 1, 3, 5, 8])  # a gradient needs its forward, made since
def test_a_restored_grid_continues_bit_for_bit(case, moment):
    grid, other = made(case), made(case, rng=99)
    live(grid, 0, moment)
    live(other, 0, 4)
    other.load_state_dict(grid.state_dict())
    assert_same_future(grid, other, moment)
    assert other.seed == grid.seed == 1


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["file", "pickle", "copy"])
def test_a_grid_travels_with_what_its_tiles_were_given(case, way, tmp_path):
    grid = made(case)
    live(grid, 0, 5)
    grid.tiles[1][2].set_input_range(0.7, info="by hand")  # a configuration of its own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if way == "file":
            rs.save(tmp_path / "grid.npz", grid)
            other = rs.load(tmp_path / "grid.npz")
        else:
            other = copy.deepcopy(grid) if way == "copy" else pickle.loads(pickle.dumps(grid))
    assert repr(other) == repr(grid)
    assert other.stats.state().tolist() == grid.stats.state().tolist()
    assert other.tiles[1][2].rpu_config == grid.tiles[1][2].rpu_config
    assert_same_future(grid, other, 5)


def test_names_say_which_tile_an_array_belongs_to():
    grid = made("pulsed")
    state = grid.state_dict()
    np.testing.assert_array_equal(
        state["tiles.2.1.persistent_weights"], grid.tiles[2][1].get_weights()[0]
    )
    assert len([name for name in state if name.endswith(".persistent_weights")]) == 9
    assert "bias" in made("inference").state_dict()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"tiles.2.2.ledger": None}, StateError, "another kind of tile; missing: tiles.2.2.ledger"),
        ({"tiles.3.0.ledger": 1}, StateError, "another kind of tile; unknown: tiles.3.0.ledger"),
        ({"bias": np.zeros(4, "f4")}, ShapeError, r"bias must have shape \(5,\), got \(4,\)"),
        ({"bias": np.full(5, np.nan, "f4")}, DataError, "bias must not hold NaN"),
        ({"tiles.2.2.drift_times": np.zeros(2, int)}, DataError, "drift_times must be float64"),
        ({"tiles.2.2.input_range": np.array([-1.0], "f4")}, DataError, "must be > 0"),
        ({"version": np.array(2)}, StateError, "has version 2"),
        ({"tiles.1.1.version": np.array(2)}, StateError, "has version 2"),
    ],
    ids=lambda v: str(list(v)[0]) if isinstance(v, dict) else "",
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(changes, error, text):
    grid = made("inference")
    live(grid)
    before = grid.state_dict()
    state = {**made("inference", rng=5).state_dict(), **changes}
    with pytest.raises(error, match=text):
        grid.load_state_dict({k: v for k, v in state.items() if v is not None})
    assert_equal_states(grid.state_dict(), before)


def test_a_file_with_configurations_for_tiles_that_are_not_there_is_refused(tmp_path):
    path = tmp_path / "grid.npz"
    grid = made("pulsed")
    grid.set_input_range(1.0)
    rs.save(path, grid)
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    header = json.loads(content.pop("header").tobytes())
    known = header["configs"]
    for configs in [
        {"tiles.0.0": {"type": "Nothing"}},
        {"tiles.0.0": 3},
        {"tiles.9.0": known["tiles.0.0"]},
        [1],
        {},
    ]:
        changed = json.dumps({**header, "configs": configs}).encode()
        np.savez(path, header=np.frombuffer(changed, np.uint8), **content)
        with pytest.raises(RpusimError):
            rs.load(path)
