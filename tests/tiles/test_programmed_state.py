"""States of programmed tiles and grids: they continue bit for bit; what does not fit is refused."""

import copy
import pickle

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError, RpusimError, ShapeError
from rpusim.tiles import TileGrid
from tests.inference.programmed import DAY, YEAR

OUT, IN = 5, 7
W = np.random.default_rng(0).uniform(-0.4, 0.4, (OUT, IN))
X = np.random.default_rng(1).normal(size=(3, IN))
SIGNS = {"probe": "RANDOM_SIGNS"}
NOISY = {"out_noise": 0.05}
CASES = {
    "pcm": {},
    "no compensation": {"drift_compensation": None},
    "exact reference": {"drift_compensation": rs.GlobalDriftCompensationWithExactReference()},
    "per column, learned scales": {
        "drift_compensation": rs.PerColumnDriftCompensation(**SIGNS),
        "mapping": {"learn_out_scaling": True, "weight_scaling_omega": 1.0},
    },
    "affine, analog bias": {
        "drift_compensation": rs.AffineDriftCompensation(),
        "mapping": {"digital_bias": False},
    },
    "per call": {"noise_model": rs.PCMLikeNoiseModel(read_noise="PER_CALL")},
    "per call, wires": {
        "noise_model": rs.PCMLikeNoiseModel(read_noise="PER_CALL"),
        "forward": rs.IOParametersIRDropT(),
        "mapping": {"max_input_size": IN},
    },
    "two pairs": {
        "noise_model": rs.PCMLikeNoiseModel(
            g_converter=rs.DualPairConductanceConverter(f_lst=[1, 3])
        )
    },
    "wan": {"noise_model": rs.ReRamWan2022NoiseModel(interpolate=True)},
    "cmo, fresh": {"noise_model": rs.ReRamCMONoiseModel(fresh_relaxation=True)},
    "fusion": {"noise_model": rs.PCMLikeNoiseModel(g_converter=rs.FusionConductanceConverter())},
    "modifier": {"modifier": {"type": "ADD_NORMAL", "std_dev": 0.1}},
    "grid": {"mapping": {"max_input_size": 3, "max_output_size": 2}},
    "grid, affine, per call": {
        "mapping": {"max_input_size": 3, "max_output_size": 2, "digital_bias": False},
        "noise_model": rs.PCMLikeNoiseModel(read_noise="PER_CALL"),
        "drift_compensation": rs.AffineDriftCompensation(),
    },
}


def made(case, rng=1):
    options = {"forward": NOISY, **CASES[case]}
    kind = TileGrid if case.startswith("grid") else rs.InferenceTile
    tile = kind(OUT, IN, rs.InferenceRPUConfig(**options), True, rng=rng)
    tile.set_weights(W, np.linspace(-1.0, 1.0, OUT))
    return tile


LIFE = [
    lambda t: t.forward(X),
    lambda t: t.program_weights(),
    lambda t: t.forward(X, is_test=True),
    lambda t: t.drift_weights(DAY),
    lambda t: t.forward(X, is_test=True),
    lambda t: t.transposed(np.ones((3, OUT))),  # backward needs the forward, which no state holds
    lambda t: t.get_weights()[0],
    lambda t: t.drift_weights(1.0),
    lambda t: t.forward(X),
    lambda t: t.program_weights(from_reference=False),
    lambda t: t.drift_weights(YEAR),
    lambda t: t.get_weights()[0],
    lambda t: t.update(0.5 * X, np.ones((3, OUT)), 0.01),
    lambda t: t.drift_weights(2.0),
    lambda t: t.forward(X, is_test=True),
    lambda t: t.restore(),
    lambda t: t.forward(X),
]


def live(tile, begin=0, end=None):
    return [result for act in LIFE[begin:end] if (result := act(tile)) is not None]


def parts(tile):
    return list(tile.named_tiles().values()) if isinstance(tile, TileGrid) else [tile]


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_alike(one, other):
    """Compare all that a tile shows of itself."""
    assert_same(one.state_dict(), other.state_dict())
    assert one.is_programmed == other.is_programmed
    assert one.time == other.time
    for a, b in zip(parts(one), parts(other), strict=True):
        np.testing.assert_array_equal(a.alpha, b.alpha)
        assert a.offset == b.offset
        assert_same(a.get_hidden_parameters(), b.get_hidden_parameters())
        if a.is_programmed:
            np.testing.assert_array_equal(a.get_conductances(), b.get_conductances())
    for mine, theirs in (
        (one.get_weights(), other.get_weights()),
        (one.get_target_weights(), other.get_target_weights()),
    ):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])


@pytest.mark.parametrize("case", CASES)
def test_a_restored_tile_continues_bit_for_bit_at_any_moment(case):
    """Whatever the other one had been doing: fresh, programmed, drifted, learning."""
    for moment in range(len(LIFE) + 1):
        tile, other = made(case), made(case, rng=99)
        live(tile, 0, moment)
        live(other, 0, (moment * 7) % len(LIFE))
        other.load_state_dict(tile.state_dict())
        assert_alike(other, tile)
        for mine, theirs in zip(live(tile, moment), live(other, moment), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert_alike(other, tile)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["file", "pickle", "deepcopy"])
def test_a_copy_continues_bit_for_bit(case, way, tmp_path):
    for moment in (3, 5, 9, 12):
        tile = made(case)
        live(tile, 0, moment)
        if way == "file":
            rs.save(tmp_path / "tile.npz", tile)
            again = rs.load(tmp_path / "tile.npz")
        else:
            again = pickle.loads(pickle.dumps(tile)) if way == "pickle" else copy.deepcopy(tile)
        assert_alike(again, tile)
        for mine, theirs in zip(live(tile, moment), live(again, moment), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert_alike(again, tile)


@pytest.mark.parametrize("case", ["pcm", "grid"])
@pytest.mark.parametrize("way", ["file", "pickle", "deepcopy"])
def test_another_noise_model_travels_with_the_tile(case, way, tmp_path):
    tile, model = made(case), rs.ReRamCMONoiseModel(acceptance_range=2.0)
    tile.program_weights(noise_model=model)
    tile.drift_weights(DAY)
    if way == "file":
        rs.save(tmp_path / "tile.npz", tile)
        again = rs.load(tmp_path / "tile.npz")
    else:
        again = pickle.loads(pickle.dumps(tile)) if way == "pickle" else copy.deepcopy(tile)
    assert all(part.rpu_config.noise_model == model for part in parts(again))
    assert_alike(again, tile)
    for each in (tile, again):
        each.drift_weights(YEAR)
    assert_alike(again, tile)


def test_a_state_is_a_copy():
    tile = made("pcm")
    tile.drift_weights(DAY)
    weights, state = tile.get_weights()[0], tile.state_dict()
    before = copy.deepcopy(state)
    live(tile, 7)
    assert_same(state, before)
    tile.load_state_dict(before)
    for value in before.values():
        value[...] = 0
    np.testing.assert_array_equal(tile.get_weights()[0], weights)


G = (2, OUT, IN)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"programmed_conductances": np.ones((1, OUT, IN))},
            ShapeError,
            r"shape \(2, 5, 7\) for P",
        ),
        ({"programmed_conductances": np.ones((4, OUT, IN))}, ShapeError, r"got \(4, 5, 7\)"),
        ({"programmed_conductances": np.ones((2, IN, OUT))}, ShapeError, r"got \(2, 7, 5\)"),
        ({"programmed_conductances": np.ones((OUT, IN))}, ShapeError, r"got \(5, 7\)"),
        ({"drift_coefficients": np.ones((0, OUT, IN))}, ShapeError, "coefficients must have shape"),
        ({"drift_coefficients": np.ones((1, OUT, IN))}, ShapeError, "coefficients must have shape"),
        ({"programmed_conductances": np.full(G, np.nan)}, DataError, "must not hold NaN"),
        ({"programmed_conductances": np.full(G, np.inf)}, DataError, "must be finite"),
        ({"drift_coefficients": np.full(G, -np.inf)}, DataError, "must be finite"),
        ({"programmed_conductances": np.ones(G, int)}, DataError, "must be float32, got int"),
        ({"drift_alpha": np.full(OUT, np.inf)}, DataError, "drift_alpha must be finite"),
        ({"drift_alpha": np.full(OUT, np.nan)}, DataError, "drift_alpha must not hold NaN"),
        ({"drift_alpha": np.ones(2)}, ShapeError, "drift_alpha must have shape"),
        ({"drift_offset": np.array(np.inf)}, DataError, "drift_offset must be finite"),
        ({"drift_baseline": np.array([np.inf])}, DataError, "drift_baseline must be finite"),
        ({"drift_baseline": np.ones((1, 1))}, ShapeError, "drift_baseline must have shape"),
        (
            {"inference_time": np.array(-5.0)},
            DataError,
            "inference_time and last_read must be >= 0",
        ),
        ({"inference_time": np.array(np.inf)}, DataError, "inference_time and last_read must be"),
        ({"inference_time": np.array(np.nan)}, DataError, "inference_time must not hold NaN"),
        ({"last_read": np.array(-3)}, DataError, "inference_time and last_read must be >= 0"),
        ({"last_read": None}, RpusimError, "missing: last_read"),
        ({"drift_times_2": np.ones(2)}, RpusimError, "unknown: drift_times_2"),
    ],
    ids=lambda v: str(v)[:40] if isinstance(v, dict) else "",
)
@pytest.mark.parametrize("stage", [0, 2, 5])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(changes, error, text, stage):
    tile, source = made("pcm"), made("pcm", rng=3)
    live(tile, 0, stage)
    source.drift_weights(DAY)
    before, weights = tile.state_dict(), tile.get_weights()[0]
    state = {**source.state_dict(), **changes}
    with pytest.raises(error, match=text):
        tile.load_state_dict({k: v for k, v in state.items() if v is not None})
    assert_same(tile.state_dict(), before)
    np.testing.assert_array_equal(tile.get_weights()[0], weights)


def test_the_state_of_devices_of_another_model_is_refused():
    tile, other = made("pcm"), made("cmo, fresh")
    live(tile, 0, 5)
    other.drift_weights(DAY)
    before = tile.state_dict()
    with pytest.raises(ShapeError, match=r"shape \(2, 5, 7\) for PCMLikeNoiseModel, got \(1, 5, 7"):
        tile.load_state_dict(other.state_dict())
    assert_same(tile.state_dict(), before)
    wan, source = made("wan"), made("wan")
    strict = rs.ReRamWan2022NoiseModel()
    source.drift_weights(5.0)
    wan.program_weights(noise_model=strict)
    before = wan.state_dict()
    with pytest.raises(DataError, match="knows the times 1, 86400, 172800 s, got 5"):
        wan.load_state_dict(source.state_dict())
    assert_same(wan.state_dict(), before)


def test_a_grid_takes_a_state_whole_or_not_at_all():
    grid, source = made("grid"), made("grid", rng=3)
    live(grid, 0, 5)
    source.drift_weights(YEAR)
    before = grid.state_dict()
    state = source.state_dict()
    state["tiles.2.2.drift_coefficients"] = np.ones(
        (1, *state["tiles.2.2.drift_coefficients"].shape[1:])
    )
    with pytest.raises(ShapeError, match="coefficients must have shape"):
        grid.load_state_dict(state)
    assert_same(grid.state_dict(), before)
