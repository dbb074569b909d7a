"""On average a tile learns W <- W - lr d x^T, whatever scales and columns surround its devices."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from tests.naive.tolerance import rounding

FLAT = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0, dw_min_std=0.0)
DEVICE = rs.ConstantStepDevice(dw_min=1e-3, w_max=1.0, w_min=-1.0, **FLAT)
IMPLICIT = dict(pulse_type="DETERMINISTIC_IMPLICIT", desired_bl=10000)
LOGICAL = np.array([[0.9, -1.8, 0.3], [0.15, 0.3, -0.6]])
X, D = np.array([[1.0, -0.5, 0.3]]), np.array([[0.2, -0.05]])


def scaled_tile(columnwise=False, compensated=False, update=IMPLICIT, device=DEVICE, **mapping):
    """Return a tile that holds `LOGICAL` with its largest weight on devices 0.6."""
    mapping = dict(
        weight_scaling_omega=0.6,
        weight_scaling_columnwise=columnwise,
        weight_scaling_lr_compensation=compensated,
        **mapping,
    )
    tile = rs.AnalogTile(2, 3, rs.RPUConfig(device=device, update=update, mapping=mapping), rng=1)
    tile.set_weights(LOGICAL)
    return tile


def weights(tile, logical=True):
    return tile.get_weights(apply_weight_scaling=logical)[0].astype(np.float64)


@pytest.mark.parametrize("columnwise", [False, True])
def test_the_largest_weight_on_devices_is_omega(columnwise):
    tile = scaled_tile(columnwise)
    expected = [3.0, 1.0] if columnwise else [3.0, 3.0]
    assert np.allclose(tile.mapping_scales, expected, rtol=1e-6)
    assert np.allclose(weights(tile), LOGICAL, rtol=1e-6)
    assert np.allclose(weights(tile, False), LOGICAL / np.array(expected)[:, None], rtol=1e-6)


@pytest.mark.parametrize("compensated", [False, True])
@pytest.mark.parametrize("columnwise", [False, True])
def test_logical_weights_follow_the_gradient(columnwise, compensated):
    tile = scaled_tile(columnwise, compensated)
    scales = tile.mapping_scales[:, None].astype(np.float64)
    before, held = weights(tile), weights(tile, False)
    tile.update(X, D, learning_rate=0.3)
    change = -0.3 * D.T @ X
    half_a_step = 0.5e-3 + rounding(200, 1.0)
    assert np.abs(weights(tile, False) - held - change / scales).max() <= half_a_step
    assert (np.abs(weights(tile) - before - change) <= scales * half_a_step).all()


@pytest.mark.parametrize("columnwise", [False, True])
@pytest.mark.parametrize("update", [{}, IMPLICIT], ids=["stochastic", "implicit"])
def test_compensation_does_not_change_what_pulses_do(update, columnwise):
    plain, compensated = (scaled_tile(columnwise, flag, update) for flag in (False, True))
    for tile in (plain, compensated):
        for _ in range(5):
            tile.update(X, D, learning_rate=0.0237)
    assert np.array_equal(weights(plain), weights(compensated))


def test_setting_again_rescales_and_a_physical_set_does_not():
    tile = scaled_tile()
    tile.set_weights(LOGICAL / 2.0)
    assert np.allclose(tile.mapping_scales, 1.5, rtol=1e-6)
    tile.set_weights(np.full((2, 3), 0.25), apply_weight_scaling=False)
    assert np.allclose(tile.mapping_scales, 1.5, rtol=1e-6)
    assert (weights(tile, False) == 0.25).all()
    tile.set_weights(np.zeros((2, 3)))
    assert np.allclose(tile.mapping_scales, 1.0)


def bias_tile(update=IMPLICIT, device=DEVICE, **mapping):
    config = rs.RPUConfig(device=device, update=update, mapping=dict(digital_bias=False, **mapping))
    tile = rs.AnalogTile(2, 3, config, bias=True, rng=1)
    tile.set_weights(np.zeros((2, 3)), np.zeros(2))
    return tile


def test_an_analog_bias_learns_from_the_sum_of_errors():
    rng = np.random.default_rng(1)
    x, d = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)) * 0.1
    tile = bias_tile()
    tile.update(x, d, learning_rate=0.2)
    w, bias = tile.get_weights()
    allowed = 6 * 0.5e-3 + rounding(500, 1.0)  # half a step per sample
    assert np.abs(bias + 0.2 * d.sum(axis=0)).max() <= allowed
    assert np.abs(w + 0.2 * d.T @ x).max() <= allowed


def test_an_analog_bias_is_a_column_driven_by_one():
    config = rs.RPUConfig(device=DEVICE, update=IMPLICIT)
    with_bias, column = bias_tile(), rs.AnalogTile(2, 4, config, rng=1)
    column.set_weights(np.zeros((2, 4)))
    rng = np.random.default_rng(1)
    x, d = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)) * 0.1
    with_bias.update(x, d, learning_rate=0.2)
    column.update(np.column_stack([x, np.ones(6)]), d, learning_rate=0.2)
    w, bias = with_bias.get_weights()
    assert np.array_equal(np.column_stack([w, bias]), column.get_weights()[0])


def test_a_bias_of_one_sets_the_strongest_input():
    tile = bias_tile(update={})
    tile.update([[0.01, 0.01, 0.01]], [[1.0, 0.5]], learning_rate=0.02)
    assert tile.stats.last_update.mean_length == 20.0  # k = lr * 1 * 1 / dw_min


def test_a_digital_bias_is_not_pulsed():
    tile = rs.AnalogTile(2, 3, rs.RPUConfig(device=DEVICE), bias=True, rng=1)
    tile.set_weights(np.zeros((2, 3)), [0.5, -0.5])
    tile.update(X, D, learning_rate=0.1)
    assert tile.get_weights()[1].tolist() == [0.5, -0.5]


def test_an_analog_bias_is_scaled_with_its_weights():
    tile = bias_tile(weight_scaling_omega=0.6)
    tile.set_weights(LOGICAL, [2.4, 0.0])
    w, bias = tile.get_weights()
    assert np.allclose(tile.mapping_scales, 4.0, rtol=1e-6)
    assert np.allclose(w, LOGICAL, rtol=1e-6)
    assert np.allclose(bias, [2.4, 0.0], rtol=1e-6)
    assert np.allclose(tile.get_weights(apply_weight_scaling=False)[1], [0.6, 0.0], rtol=1e-6)


def aging_layer():
    device = DEVICE.replace(lifetime=100.0, reset=0.3)
    layer = nn.AnalogLinear(3, 2, bias=False, rpu_config=rs.RPUConfig(device=device), rng=1)
    (tile,) = layer.analog_tiles()
    tile.set_weights(np.full((2, 3), 0.5))
    return layer, tile


def test_weights_decay_at_every_optimizer_step_also_at_rate_zero():
    layer, tile = aging_layer()
    optimizer = optim.AnalogSGD(layer.parameters(), lr=0.0)
    for _ in range(2):
        layer(X)
        layer.backward(D)
        optimizer.step()
    expected = (0.5 - 0.3) * 0.99**2 + 0.3
    assert np.abs(tile.get_weights()[0] - expected).max() <= rounding(2, 0.5)
    assert tile.stats.vectors_updated == 0


def test_pulses_come_before_decay_in_a_step():
    layer, tile = aging_layer()
    optimizer = optim.AnalogSGD(layer.parameters(), lr=0.02)
    layer([[1.0, 1.0, 1.0]])
    layer.backward([[1.0, 1.0]])
    optimizer.step()
    moved = 0.5 - 20 * 1e-3  # exactly k = 20 pulses
    assert np.abs(tile.get_weights()[0] - ((moved - 0.3) * 0.99 + 0.3)).max() <= rounding(21, 0.5)


def test_the_average_of_many_updates_follows_the_gradient_under_scales():
    tile = scaled_tile(columnwise=True, compensated=True, update={})
    before, repeats = weights(tile), 400
    tile.update(np.repeat(X, repeats, axis=0), np.repeat(D, repeats, axis=0), 0.5e-3)
    change = weights(tile) - before
    scales = tile.mapping_scales[:, None].astype(np.float64)
    # each sample sends at most one pulse: Var n <= E n, so Var of the sum is below step * |mean|
    mean = -0.5e-3 * repeats * D.T @ X
    allowed = 5.0 * np.sqrt(scales * 1e-3 * np.abs(mean)) + rounding(repeats, 2.0)
    assert (np.abs(change - mean) <= allowed).all()
