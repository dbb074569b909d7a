"""Weights and devices of a grid: whole matrices, mapped, bounded and programmed tile by tile."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError, ShapeError, StateError
from rpusim.tiles import TileGrid
from tests.naive.tolerance import rounding
from tests.tiles.grids import BATCH, IN, OUT, blocks, config, holding, normal

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")


@pytest.mark.parametrize("bias", ["digital", "analog"])
@pytest.mark.parametrize("columnwise", [False, True])
def test_every_tile_scales_its_weights_to_omega(columnwise, bias):
    mapping = {"weight_scaling_omega": 0.6, "weight_scaling_columnwise": columnwise}
    grid = holding(config(digital_bias=bias == "digital", **mapping))
    w, b = 0.3 * normal(OUT, IN, seed=5), normal(OUT, seed=6)
    for tile, _, _ in blocks(grid):
        largest = np.abs(tile.crossbar.weights).max(axis=1 if columnwise else None)
        np.testing.assert_allclose(largest, 0.6, rtol=1e-6)
    assert grid.mapping_scales.shape == (3, OUT)
    np.testing.assert_allclose(grid.get_weights()[0], w, rtol=3e-7)
    np.testing.assert_allclose(grid.get_weights()[1], b, rtol=3e-7)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_scaling_omega": 0.6},
        {"weight_scaling_omega": 0.6, "weight_scaling_columnwise": True},
        {"weight_scaling_omega": 0.6, "weight_scaling_lr_compensation": True},
        {"weight_scaling_omega": 2.0, "limits": {"max_input_size": 0, "max_output_size": 2}},
        {"pre_post": {"input_range": {"enable": True, "init_value": 9.0}}, "digital_bias": False},
    ],
    ids=str,
)
def test_a_step_moves_logical_weights_by_the_gradient_whatever_the_mapping(settings):
    grid = holding(config(**settings))
    w, b = grid.get_weights()
    x, d = normal(BATCH, IN), normal(BATCH, OUT)
    grid.update(x, d, learning_rate=0.1)
    close = {"rtol": 0.0, "atol": rounding(2 * BATCH, 4.0)}
    np.testing.assert_allclose(grid.get_weights()[0], w - 0.1 * d.T @ x, **close)
    moved = settings.get("digital_bias", True) is False
    np.testing.assert_allclose(grid.get_weights()[1], b - 0.1 * moved * d.sum(axis=0), **close)


def test_weights_go_round_with_learned_scales_and_what_devices_hold_too():
    grid = holding(config(learn_out_scaling=True, out_scaling_columnwise=True))
    for number, array in enumerate(grid.digital_parameters().values()):
        array[:] = 0.5 + number
    assert list(grid.digital_parameters())[:3] == ["bias", "out_scaling_0_0", "out_scaling_0_1"]
    w, b = normal(OUT, IN), normal(OUT)
    assert grid.set_weights(w, b) == 0
    np.testing.assert_allclose(grid.get_weights()[0], w, rtol=3e-7)
    grid.set_weights(w, apply_weight_scaling=False)
    np.testing.assert_array_equal(grid.get_weights(apply_weight_scaling=False)[0], w)
    np.testing.assert_array_equal(grid.bias, b)


def test_bounds_limit_weights_tile_by_tile_and_clipping_is_counted():
    device = rs.ConstantStepDevice(w_max=0.4, w_min=-0.4)
    grid = TileGrid(OUT, IN, config(device=device), rng=1)
    low, high = grid.weight_range()
    with pytest.warns(rs.ClippedWeightsWarning, match="TileGrid: 35 of 35 weights") as told:
        assert grid.set_weights(np.full((OUT, IN), 3.0)) == OUT * IN
    np.testing.assert_array_equal(grid.get_weights()[0], high)
    assert (low < high).all()
    assert grid.stats.weights_clipped >= OUT * IN
    assert len(told) == 1


@pytest.mark.parametrize("analog", [False, True])
def test_weights_can_be_read_and_programmed(analog):
    device = rs.ConstantStepDevice(w_max=1.0, w_min=-1.0, w_max_dtod=0.0, w_min_dtod=0.0)
    grid = TileGrid(OUT, IN, config(device=device, digital_bias=not analog), bias=True, rng=1)
    w, b = np.clip(0.3 * normal(OUT, IN), -0.9, 0.9), np.full(OUT, 0.5)
    result = grid.program_weights(w, b)
    assert result.success
    assert result.pulses == grid.stats.pulses
    # the mean error of an output is below 1 % of the largest, which is at most the largest weight
    assert np.abs(grid.get_weights()[0] - w).mean() < 0.02
    read, vectors = grid.read_weights(True), normal(30, IN)
    np.testing.assert_allclose(read.weights, grid.get_weights()[0], rtol=0.0, atol=1e-5)
    assert (read.bias is not None) == analog
    given = grid.get_weights(realistic=True, x_values=vectors)
    np.testing.assert_allclose(given[0], grid.get_weights()[0], rtol=0.0, atol=1e-5)
    np.testing.assert_allclose(given[1], grid.get_weights()[1], rtol=0.0, atol=1e-5)


def test_hidden_parameters_are_whole_matrices_with_an_analog_bias_last():
    device = rs.SoftBoundsDevice(count_pulses=True)
    grid = holding(config(device=device, digital_bias=False))
    hidden = grid.get_hidden_parameters()
    assert {array.shape for array in hidden.values()} == {(OUT, IN + 1)}
    np.testing.assert_array_equal(hidden["persistent_weights"][:, -1], grid.get_weights()[1])
    top = 2.0 + np.arange(OUT * (IN + 1)).reshape(OUT, IN + 1)
    grid.set_hidden_parameters({"max_bound": top})
    np.testing.assert_array_equal(grid.get_hidden_parameters()["max_bound"], top)
    np.testing.assert_array_equal(grid.weight_range()[1], top[:, :-1])
    np.testing.assert_array_equal(grid.tiles[2][1].crossbar.plane("max_bound"), top[2:4, 5:7])
    grid.update(normal(BATCH, IN), normal(BATCH, OUT))
    assert grid.pulse_counts["up"].sum() == grid.stats.pulses_up
    assert grid.device_summary().devices == OUT * (IN + 1)


def test_refused_hidden_parameters_change_nothing_in_any_tile():
    grid = holding(config(device=rs.SoftBoundsDevice()))
    before, hidden = grid.state_dict(), grid.get_hidden_parameters()
    wrong = hidden["max_bound"] + 1.0
    wrong[-1, -1] = hidden["min_bound"][-1, -1] - 1.0  # only the last tile can see it
    for changes, error in [
        ({"max_bound": wrong}, DataError),
        ({"max_bound": np.ones((2, 2))}, ShapeError),
        ({"max_bound": hidden["max_bound"] + 1.0, "max_bond": wrong}, StateError),
    ]:
        with pytest.raises(error):
            grid.set_hidden_parameters(changes)
    after = grid.state_dict()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)


def test_a_column_is_reset_in_all_tiles_that_have_a_part_of_it():
    grid = holding(config(device=rs.ConstantStepDevice(reset_std=0.0, reset_dtod=0.0)))
    before = grid.get_weights()[0]
    grid.reset_columns(2, 2)
    after = grid.get_weights()[0]
    assert (after[:, 2:4] == 0.0).all()
    np.testing.assert_array_equal(np.delete(after, [2, 3], 1), np.delete(before, [2, 3], 1))
