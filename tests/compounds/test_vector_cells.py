"""Vector and reference cells: shares, policies, names, bounds, state."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, ShapeError, StateError
from tests.backends import OTHERS
from tests.compounds.cells import check_continues, ideal, random_steps, tile_of

POLICIES = ["ALL", "SINGLE_FIXED", "SINGLE_SEQUENTIAL", "SINGLE_RANDOM"]


def noisy(**changes):
    return rs.SoftBoundsDevice(lifetime=100.0, diffusion=0.001, **changes)


def step(tile, change, times=1):
    """Ask every weight to move by `change`, `times` times."""
    for _ in range(times):
        tile.update(np.ones(tile.in_size), np.full(tile.out_size, -change), learning_rate=1.0)


def parts(tile):
    hidden = tile.get_hidden_parameters()
    return [hidden[f"hidden_weights_{k}"] for k in range(len(tile.crossbar.parts))]


# ---------------------------------------------------------------- sums


def test_the_same_trains_move_each_device_by_its_own_steps():
    tile = tile_of(rs.VectorUnitCell([ideal(1e-3), ideal(3e-3)]))
    step(tile, -0.25)
    np.testing.assert_allclose(parts(tile)[0], -0.125, atol=1e-6)
    np.testing.assert_allclose(parts(tile)[1], -0.375, atol=1e-6)
    np.testing.assert_allclose(tile.get_weights()[0], -0.25, atol=1e-6)


def test_stochastic_trains_are_the_same_for_all_devices():
    tile = tile_of(rs.VectorUnitCell([ideal()] * 3), shape=(20, 30), update=rs.UpdateParameters())
    random_steps(tile, 5)
    a, b, c = parts(tile)
    assert np.abs(a).max() > 0.0
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, c)


def test_devices_have_spreads_and_noise_of_their_own():
    tile = tile_of(rs.VectorUnitCell([noisy(), noisy()]), shape=(20, 30))
    hidden = tile.get_hidden_parameters()
    r = np.corrcoef(hidden["max_bound_0"].ravel(), hidden["max_bound_1"].ravel())[0, 1]
    assert abs(r) < 5.0 / np.sqrt(600)
    step(tile, 0.05)
    moved = [w.ravel() for w in parts(tile)]
    assert abs(np.corrcoef(*moved)[0, 1]) < 0.5


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("ALL", [0.06, 0.06, 0.06]),
        ("SINGLE_FIXED", [0.0, 0.06, 0.0]),
        ("SINGLE_SEQUENTIAL", [0.02, 0.02, 0.02]),
    ],
)
def test_a_policy_says_which_devices_batches_go_to(policy, expected):
    device = rs.VectorUnitCell([ideal()] * 3, update_policy=policy, first_update_idx=1)
    tile = tile_of(device)
    step(tile, 0.01, times=6)
    for weights, change in zip(parts(tile), expected, strict=True):
        np.testing.assert_allclose(weights, change, atol=1e-6)
    np.testing.assert_allclose(tile.get_weights()[0], sum(expected) / 3, atol=1e-6)


def test_a_sequence_begins_with_the_first_index():
    device = rs.VectorUnitCell([ideal()] * 3, update_policy="SINGLE_SEQUENTIAL", first_update_idx=2)
    tile = tile_of(device)
    step(tile, 0.01)
    assert [float(w[0, 0]) > 0.0 for w in parts(tile)] == [False, False, True]


def test_random_devices_are_chosen_equally_often():
    tile = tile_of(
        rs.VectorUnitCell([ideal(1e-4)] * 4, update_policy="SINGLE_RANDOM"), shape=(1, 1)
    )
    count = 400
    step(tile, 1e-4, times=count)
    chosen = np.array([float(w[0, 0]) for w in parts(tile)]) / 1e-4
    assert chosen.sum() == pytest.approx(count, rel=1e-4)
    assert np.abs(chosen - count / 4).max() < 5.0 * np.sqrt(count * 3 / 16)


@pytest.mark.parametrize("gammas", [(1.0, -1.0), (1.0, 1.0), (0.5, 0.25), (2.0, 0.0), ()])
def test_weights_that_are_set_are_those_that_are_seen(gammas):
    tile = tile_of(rs.VectorUnitCell([ideal(), ideal()], gamma_vec=gammas))
    w = np.array([[0.3, -0.2, 0.1], [0.0, 0.45, -0.45]])
    assert tile.set_weights(w) == 0
    np.testing.assert_allclose(tile.get_weights()[0], w, atol=1e-6)


def test_a_weight_beyond_the_bounds_of_its_devices_is_reported():
    tile = tile_of(rs.VectorUnitCell([ideal(w_max=0.2), ideal(w_max=0.4)]))
    with pytest.warns(rs.ClippedWeightsWarning, match="6 of 6 weights"):
        assert tile.set_weights(np.ones((2, 3))) == 6
    np.testing.assert_allclose(tile.get_weights()[0], 0.3, atol=1e-6)
    np.testing.assert_allclose(tile.weight_range()[1], 0.3, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
def test_visible_weights_stay_within_the_range_that_is_told(policy):
    device = rs.VectorUnitCell([noisy(w_max=0.3), noisy(w_min=-0.2)], update_policy=policy)
    tile = tile_of(device, shape=(5, 6), update=rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


# ---------------------------------------------------------------- references


def test_only_the_device_of_a_pair_is_pulsed():
    tile = tile_of(rs.ReferenceUnitCell([ideal(), ideal(5e-3)]))
    one = np.ones((2, 3))
    tile.set_hidden_parameters({"hidden_weights_0": 0.3 * one, "hidden_weights_1": 0.1 * one})
    np.testing.assert_allclose(tile.get_weights()[0], 0.2, atol=1e-6)
    step(tile, 0.01)
    np.testing.assert_allclose(tile.get_weights()[0], 0.21, atol=1e-6)
    np.testing.assert_allclose(parts(tile)[1], 0.1, atol=1e-6)
    assert tile.weight_granularity == pytest.approx(1e-3)


def test_weights_set_on_a_pair_leave_its_reference():
    tile = tile_of(rs.ReferenceUnitCell([ideal()]))
    tile.set_hidden_parameters({"hidden_weights_1": np.full((2, 3), 0.25)})
    assert tile.set_weights(np.full((2, 3), 0.4)) == 0
    np.testing.assert_allclose(tile.get_weights()[0], 0.4, atol=1e-6)
    np.testing.assert_allclose(parts(tile)[1], 0.25, atol=1e-6)


# ---------------------------------------------------------------- names


def nested():
    pair = rs.ReferenceUnitCell([noisy(), noisy()])
    return tile_of(rs.VectorUnitCell([pair, noisy()]))


def test_names_of_nested_cells_end_with_the_outer_number():
    hidden = nested().get_hidden_parameters()
    assert {
        "hidden_weights_0",
        "hidden_weights_1",
        "hidden_weights_0_0",
        "hidden_weights_1_0",
    } < set(hidden)
    assert {"decay_scales_1_0", "max_bound_1", "persistent_weights_0_0"} < set(hidden)


def test_hidden_parameters_are_set_in_part_and_in_any_order():
    tile = nested()
    tile.set_hidden_parameters(
        {"hidden_weights_1": np.full((2, 3), 0.1), "hidden_weights_1_0": np.full((2, 3), 0.2)}
    )
    hidden = tile.get_hidden_parameters()
    np.testing.assert_allclose(hidden["hidden_weights_1_0"], 0.2)
    visible = 0.5 * (hidden["hidden_weights_0_0"] - 0.2) + 0.5 * 0.1
    np.testing.assert_allclose(tile.get_weights()[0], visible, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        (
            {"max_bound_2": np.ones((2, 3))},
            StateError,
            "no hidden parameter is called 'max_bound_2'",
        ),
        ({"max_bound_1": np.ones((3, 2))}, ShapeError, r"must have shape \(2, 3\)"),
        ({"hidden_weights_1": np.ones(3)}, ShapeError, r"hidden_weights_1 must have shape"),
        (
            {"hidden_weights_0": np.full((2, 3), 0.7)},
            StateError,
            "hidden_weights_0 follows from hidden_weights_0_0, hidden_weights_1_0: set these",
        ),
        (
            {"hidden_weights_1": np.full((2, 3), 0.1), "min_bound_1": np.full((2, 3), np.nan)},
            rs.DataError,
            "min_bound",
        ),
    ],
)
def test_what_cannot_be_set_changes_nothing(changes, error, match):
    tile = nested()
    before = tile.state_dict()
    with pytest.raises(error, match=match):
        tile.set_hidden_parameters(changes)
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------- state and bits

CELLS = {
    **{
        p: rs.VectorUnitCell([noisy(), noisy(write_noise_std=1.0)], update_policy=p)
        for p in POLICIES
    },
    "pair": rs.ReferenceUnitCell([noisy()]),
    "nested": rs.VectorUnitCell([rs.ReferenceUnitCell([noisy()]), rs.ExpStepDevice()]),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(CELLS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", CELLS)
def test_all_backends_give_the_same_bits(name, other):
    fast, plain = (
        tile_of(CELLS[name], update=rs.UpdateParameters(), backend=b) for b in ("cpu", other)
    )
    for tile in (fast, plain):
        random_steps(tile, 3)
    np.testing.assert_array_equal(fast.get_weights()[0], plain.get_weights()[0])


def test_a_construction_seed_fixes_the_devices_of_all_parts():
    device = rs.VectorUnitCell([noisy(), noisy()], construction_seed=7)
    one, other = (tile_of(device, rng=seed).get_hidden_parameters() for seed in (1, 2))
    for k in (0, 1):
        np.testing.assert_array_equal(one[f"max_bound_{k}"], other[f"max_bound_{k}"])
    assert (one["max_bound_0"] != one["max_bound_1"]).any()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: rs.VectorUnitCell([1.0]), "must hold pulsed devices or cells, got 1.0"),
        (lambda: rs.VectorUnitCell([rs.IdealDevice()]), "must hold pulsed devices or cells"),
        (lambda: rs.VectorUnitCell([ideal()], gamma_vec=[1.0, 2.0]), "one number for each of 1"),
        (lambda: rs.VectorUnitCell([ideal()], gamma_vec=[0.0]), "must not be zero"),
        (lambda: rs.VectorUnitCell([ideal()], first_update_idx=1), "must be below 1"),
        (lambda: rs.ReferenceUnitCell([ideal()] * 3), "must hold 1 or 2 devices, got 3"),
        (lambda: rs.VectorUnitCell([ideal()], [ideal()]), "takes keywords only"),
        (lambda: rs.AnalogTile(2, 2, rs.VectorUnitCell()), "unit_cell_devices is empty"),
    ],
)
def test_what_is_no_cell_is_refused_by_name(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_a_cell_survives_storage():
    for device in CELLS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(config), dict(vars(rs))) == config


def test_a_cell_is_no_single_device():
    tile = tile_of(rs.VectorUnitCell([ideal(), ideal()]))
    with pytest.raises(StateError, match="VectorUnitCell is several devices: ask each by itself"):
        tile.device_summary()
    assert tile.crossbar["1"] is tile.crossbar.parts[1]
    with pytest.raises(StateError, match="no part is called 'B'"):
        tile.crossbar["B"]
