"""Layers larger than a tile: a grid computes and learns what one large matrix would."""

import re

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.nn.calibration import calibrate_input_ranges
from rpusim.tiles import TileGrid
from rpusim.tiles.pairs import TileVectors
from tests.naive.tolerance import rounding
from tests.periphery.tiles import quiet

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

LIMITS = {"max_input_size": 3, "max_output_size": 2}
EXACT = rs.FloatingPointRPUConfig(mapping=LIMITS)
PERFECT = rs.IOParameters(is_perfect=True)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inference(forward=PERFECT, mode="EXACT", input_range=None, **mapping):
    return rs.InferenceRPUConfig(
        forward=forward,
        gradient={"backward_mode": mode},
        mapping={**LIMITS, **mapping},
        pre_post={"input_range": input_range or {}},
    )


def loss_of(layer, x, target):
    layer.eval()
    return 0.5 * float(np.sum((layer(x).astype(float) - target) ** 2))


# ---------------------------------------------------------------- end to end


def test_a_layer_of_1030_inputs_and_600_outputs_trains_by_pulses():
    device = rs.SoftBoundsDevice(dw_min=0.002, w_max=1.0, w_min=-1.0)
    model = nn.Sequential(
        nn.AnalogLinear(1030, 600, rpu_config=rs.RPUConfig(device=device), rng=1), nn.Tanh()
    )
    grid, layer = model[0].tile, model[0]
    assert grid.layout.in_sizes == [344, 343, 343]
    assert grid.layout.out_sizes == [300, 300]
    x, t = normal(8, 1030), np.sign(normal(8, 600, seed=1))
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=0.5), []
    for _ in range(8):
        loss, grad = nn.mse(model(x), t)
        model.backward(grad * 300.0)
        optimizer.step()
        losses.append(loss)
    assert losses[-1] < 0.6 * losses[0]
    assert np.isfinite(losses).all()
    assert all(tile.stats.pulses > 0 for tile in model.analog_tiles())
    np.testing.assert_array_equal(layer.weight, grid.get_weights()[0])
    assert layer.weight.shape == (600, 1030)


def test_on_exact_grids_training_is_that_of_the_digital_network():
    analog, digital = (
        nn.Sequential(make(7, 5, rng=1), nn.Tanh(), make(5, 3, rng=2))
        for make in (lambda *a, rng: nn.AnalogLinear(*a, rpu_config=EXACT, rng=rng), nn.Linear)
    )
    assert [len(layer.tile.tiles) for layer in analog.analog_layers()] == [3, 2]
    for model in (analog, digital):
        optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
        for step in range(20):
            _, grad = nn.mse(model(normal(8, 7, seed=step)), np.ones((8, 3)))
            model.backward(grad)
            optimizer.step()
    for ours, theirs in zip(analog.parameters(), digital.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=rounding(20 * 8, 1.0))


def test_a_mapped_layer_is_on_a_grid_whatever_its_size():
    for size in (2, 7):
        mapped = nn.AnalogLinearMapped(size, 2, rpu_config=EXACT, rng=1)
        plain = nn.AnalogLinear(size, 2, rpu_config=EXACT, rng=1)
        assert isinstance(mapped.tile, TileGrid)
        assert isinstance(plain.tile, TileGrid) == (size == 7)
        np.testing.assert_array_equal(mapped.weight, plain.weight)
        x = normal(4, size)
        np.testing.assert_allclose(mapped(x), plain(x), rtol=0.0, atol=rounding(size, 1.0))
    assert repr(mapped).startswith("AnalogLinearMapped(7, 2, rpu_config=Floating")
    with pytest.raises(rs.ConfigError, match="AnalogLinearMapped.in_features must be"):
        nn.AnalogLinearMapped(0, 2)


# ---------------------------------------------------------------- gradients


def test_scales_and_ranges_of_every_tile_follow_the_gradient_of_the_loss():
    exact = {"decay": 0.0, "gradient_relative": False, "exact_gradient": True}
    ranges = {"enable": True, "init_value": 0.9, "init_from_data": 0, **exact}
    config = inference(learn_out_scaling=True, out_scaling_columnwise=True, input_range=ranges)
    layer = nn.AnalogLinear(7, 5, rpu_config=config, rng=1)
    x, t = normal(6, 7), normal(6, 5, seed=1)
    layer.backward(layer(x) - t)
    named = dict(layer.named_parameters())
    assert {f"out_scaling_{i}_{j}" for i in range(3) for j in range(3)} < set(named)
    for name, parameter in named.items():
        if name == "weight":
            continue
        for k in range(parameter.size):
            here, step, found = float(parameter[k]), 1e-3, []
            for value in (here + step, here - step):
                parameter[k] = value
                found.append(loss_of(layer, x, t))
            parameter[k] = here
            slope = (found[0] - found[1]) / (2.0 * step)
            # the loss is quadratic in each: only the rounding of its 30 outputs is left
            allowed = 30 * rounding(7, 1.0) / step
            assert parameter.grad[k] == pytest.approx(slope, rel=0.0, abs=allowed), name


def test_scales_and_ranges_of_every_tile_train():
    ranges = {"enable": True, "init_from_data": 0}
    config = inference(learn_out_scaling=True, input_range=ranges)
    layer, x, t = nn.AnalogLinear(7, 5, rpu_config=config, rng=1), normal(64, 7), normal(64, 5)
    optimizer = optim.AnalogSGD(layer.parameters(), lr=0.05)
    names = list(layer.tile.digital_parameters())
    before = {name: np.array(getattr(layer, name)) for name in names}
    first = loss_of(layer, x, t)
    layer.train()
    for _ in range(30):
        layer.backward((layer(x) - t) / 64)
        optimizer.step()
    assert loss_of(layer, x, t) < first
    for name in names:
        assert (getattr(layer, name).data != before[name]).all(), name
    assert (layer.tile.input_range > 0.0).all()
    for name in names[1:3]:  # a step that would make a range negative
        layer.train()
        layer(x)
        getattr(layer, name).grad = np.array([100.0], np.float32)
        optimizer.step()
    assert (layer.tile.input_range > 0.0).all()


def test_several_backwards_make_one_step_also_where_only_some_were_clipped():
    config = inference(quiet(out_bound=1.0), "STRAIGHT_THROUGH")
    layer = nn.AnalogLinear(7, 5, rpu_config=config, rng=1)
    gradient = np.zeros((5, 7), np.float32)
    for size, scale in [(3, 0.1), (4, 5.0), (2, 0.1), (1, 9.0)]:
        layer(scale * normal(size, 7, seed=size))
        layer.backward(normal(size, 5, seed=9))
        x, d = layer.weight.pairs[-1]
        assert isinstance(x, TileVectors) == (scale > 1.0)
        for i, cols in enumerate(layer.tile.layout.cols):
            for j, rows in enumerate(layer.tile.layout.rows):
                if scale > 1.0:
                    gradient[rows, cols] += d.parts[i][j].T @ x.parts[i][j]
                else:
                    gradient[rows, cols] += d[:, rows].T @ x[:, cols]
    close = {"rtol": 0.0, "atol": rounding(40, 1.0)}
    np.testing.assert_allclose(layer.weight.grad, gradient, **close)
    before = np.array(layer.weight)
    optim.AnalogSGD(layer.parameters(), lr=0.1).step()
    np.testing.assert_allclose(layer.weight, before - 0.1 * gradient, **close)


def test_a_frozen_layer_stays_and_its_inputs_get_their_gradient():
    layer = nn.AnalogLinear(7, 5, rpu_config=EXACT, rng=1)
    layer.freeze()
    w, x, d = np.array(layer.weight), normal(2, 3, 7), normal(2, 3, 5)
    assert layer(x).shape == (2, 3, 5)
    np.testing.assert_allclose(layer.backward(d), d @ w, rtol=0.0, atol=rounding(5, 2.0))
    assert layer.weight.grad is None
    assert layer.bias.grad is None


# ---------------------------------------------------------------- the model around it


def model_of(seed=1):
    config = rs.RPUConfig(device=rs.SoftBoundsDevice(lifetime=100.0), mapping=LIMITS)
    return nn.Sequential(
        nn.AnalogLinear(7, 4, rpu_config=config, rng=seed),
        nn.Tanh(),
        nn.AnalogLinear(3, 2, rpu_config=config, rng=seed + 1),
    )


def step(layer, seed):
    layer.train()
    layer(normal(6, 7, seed=seed))
    layer.backward(0.1 * normal(6, 4, seed=seed + 1))
    optim.AnalogSGD(layer.parameters(), lr=0.1).step()


def test_a_model_names_its_single_tiles_and_its_layers_whole_ones():
    model = model_of()
    assert [name for name, _ in model.named_tiles()] == ["0.tile", "2.tile"]
    names = [f"0.tile.tiles.{i}.{j}" for i in range(3) for j in range(2)] + ["2.tile"]
    assert [name for name, _ in model.named_analog_tiles()] == names
    assert model.analog_tiles()[3] is model[0].tile.tiles[1][1]
    assert len(model.analog_tiles()) == 7


def test_a_model_with_a_grid_continues_from_its_state():
    model, other = model_of(), model_of(seed=50)
    step(model[0], 1)
    state = model.state_dict()
    assert "0.tile.tiles.2.1.persistent_weights" in state
    other.load_state_dict(state)
    for one in (model, other):
        step(one[0], 2)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array, err_msg=name)
    state["0.tile.tiles.2.1.persistent_weights"] = np.zeros((9, 9), np.float32)
    before = model.state_dict()
    with pytest.raises(rs.ShapeError, match=r"0\.tile: TileGrid.*Nothing was loaded"):
        model.load_state_dict(state)
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array, err_msg=name)


def test_ranges_are_calibrated_for_the_inputs_of_each_tile():
    layer = nn.AnalogLinear(7, 4, rpu_config=rs.RPUConfig(mapping=LIMITS), rng=1)
    x = normal(40, 7) * np.array([1, 1, 1, 10, 10, 100, 100], np.float32)
    found = calibrate_input_ranges(layer, [x], "MAX")
    largest = [np.abs(x[:, cols]).max() for cols in layer.tile.layout.cols]
    assert found["tile.tiles.1.0"] == found["tile.tiles.1.1"] == largest[1]
    np.testing.assert_array_equal(layer.tile.input_range, np.repeat([largest], 2, axis=0).T)
    assert layer.tile.tiles[2][0].rpu_config.pre_post.input_range.calibration_info == "MAX"


def test_the_summary_tells_tiles_and_how_much_of_them_is_used():
    lines = model_of().summary().splitlines()
    cells = [re.split("  +", line) for line in lines]
    assert cells[0][-3:] == ["parameters", "tiles", "used"]
    assert cells[1][-4:] == ["SoftBoundsDevice", "32", "2 of 2 x 3, 4 of 2 x 2", "78 %"]
    assert lines[2] == "1     Tanh"
    assert cells[3][-4:] == ["SoftBoundsDevice", "8", "1 of 2 x 3", "100 %"]
    assert lines[4] == "40 parameters, 34 analog and 6 digital"


def test_an_analog_bias_of_a_large_layer_is_pulsed_with_its_weights():
    config = rs.RPUConfig(device=rs.IdealDevice(), mapping={**LIMITS, "digital_bias": False})
    layer = nn.AnalogLinear(7, 5, rpu_config=config, rng=1)
    assert isinstance(layer.bias, nn.AnalogBias)
    before, x, d = np.array(layer.bias), normal(6, 7), normal(6, 5)
    layer(x)
    layer.backward(d)
    optim.AnalogSGD(layer.parameters(), lr=0.1).step()
    expected = before - 0.1 * d.sum(axis=0)
    np.testing.assert_allclose(layer.bias, expected, rtol=0.0, atol=rounding(6, 2.0))
