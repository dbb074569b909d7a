"""What users rely on from end to end: copies, frozen layers, chips that are trained and age."""

import copy

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import StateError
from tests.inference.programmed import DAY, PERFECT, YEAR
from tests.naive import conv as naive

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

EXACT = rs.FloatingPointRPUConfig()
PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0, dw_min=0.01))
CHIP = rs.InferenceRPUConfig(forward=PERFECT)
RNG = np.random.default_rng(3)
X = RNG.normal(size=(6, 4)).astype(np.float32)
T = RNG.normal(size=(6, 2)).astype(np.float32)


def network(config, seed=1):
    """Return a model of three analog layers."""
    sizes = enumerate([(4, 5), (5, 3), (3, 2)])
    return nn.Sequential(*(nn.AnalogLinear(*s, rpu_config=config, rng=seed + k) for k, s in sizes))


def learn(model, steps=2, lr=0.1):
    """Train a model; return its last outputs."""
    optimizer = optim.AnalogSGD(model.parameters(), lr=lr)
    for _ in range(steps):
        y = model(X)
        model.backward(y - T)
        optimizer.step()
    return y


def weights(model):
    return [layer.get_weights()[0] for layer in model.analog_layers()]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def hidden(model):
    tiles = enumerate(model.analog_tiles())
    return {f"{k}/{n}": a for k, tile in tiles for n, a in tile.get_hidden_parameters().items()}


# ---------------------------------------------------------------- convolutions, single vectors


def test_a_vector_without_a_batch_has_the_output_and_gradients_of_one_with():
    layer = nn.AnalogLinear(4, 3, rpu_config=EXACT, rng=1)
    w, b = layer.get_weights()
    x, d = X[0], np.float32([0.5, -1.0, 2.0])
    np.testing.assert_allclose(layer(x), w @ x.astype(float) + b, atol=1e-6)
    np.testing.assert_allclose(layer.backward(d), d.astype(float) @ w, atol=1e-6)
    np.testing.assert_allclose(layer.weight.grad, np.outer(d, x), atol=1e-6)
    np.testing.assert_allclose(layer.bias.grad, d)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batched", [True, False])
def test_strides_padding_and_dilation_act_on_every_axis_of_every_group(axes, groups, batched):
    layer = nn.GroupedAnalogConv(
        axes, 4, 6, 2, groups, stride=2, padding=1, dilation=3, rpu_config=EXACT, rng=1
    )
    x = RNG.normal(size=(2 if batched else 1, 4, *(6, 7, 5)[:axes])).astype(np.float32)
    w, b = layer.get_weights()
    how = (2,) * axes, ((1, 1),) * axes, (3,) * axes
    y = layer(x if batched else x[0])
    d = RNG.normal(size=y.shape).astype(np.float32)
    dx, d = layer.backward(d), d if batched else d[None]
    for g, part in enumerate(layer.analog_layers()):
        own, out = slice(g * 4 // groups, (g + 1) * 4 // groups), slice(g * 6 // groups, None)
        out = slice(out.start, out.start + 6 // groups)
        wanted = naive.convolve(x[:, own], w[out].astype(float), b[out], *how)
        gx, gw = naive.gradients(x[:, own], w[out].astype(float), d[:, out].astype(float), *how)
        mine, back = (y, dx) if batched else (y[None], dx[None])
        np.testing.assert_allclose(mine[:, out], wanted, atol=1e-5)
        np.testing.assert_allclose(back[:, own], gx, atol=1e-5)
        np.testing.assert_allclose(part.weight.grad, gw, atol=1e-4)


# ---------------------------------------------------------------- seeds and copies


def test_a_copy_has_the_same_devices_noise_and_updates_until_another_seed_is_asked_for():
    model = network(PULSED)
    learn(model)
    twin, other = copy.deepcopy(model), network(PULSED, seed=50)
    assert_same(hidden(twin), hidden(model))
    np.testing.assert_array_equal(learn(twin), learn(model))
    assert_same(twin.state_dict(), model.state_dict())
    for name in ("max_bound", "min_bound", "dwmin_up", "dwmin_down"):
        assert (hidden(model)[f"1/{name}"] != hidden(other)[f"1/{name}"]).all(), name
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    first, again = (m.analog_tiles()[0] for m in (model, twin))
    with again.seeded(7):
        assert (again.forward(x) != first.forward(x)).any()
    assert_same(hidden(twin), hidden(model))


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("config", [EXACT, PULSED, CHIP], ids=["exact", "pulsed", "inference"])
def test_a_frozen_layer_between_two_others_stays_while_they_train(config):
    model = network(config)
    model[1].freeze()
    before = weights(model)
    learn(model)
    moved = [(a != b).any() for a, b in zip(before, weights(model), strict=True)]
    assert moved == [True, False, True]


def test_a_dropped_gradient_moves_no_device_and_one_step_is_all_a_gradient_gives():
    model = network(PULSED)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    before = weights(model)
    model.backward(model(X) - T)
    optimizer.zero_grad()
    with pytest.raises(StateError, match="no gradient was recorded"):
        optimizer.step()
    for a, b in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(a, b)
    model.backward(model(X) - T)
    optimizer.step()
    before = weights(model)
    with pytest.raises(StateError, match="no gradient was recorded"):
        optimizer.step()
    for a, b in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loop_that_never_steps_is_stopped(monkeypatch):
    monkeypatch.setattr("rpusim.nn.parameter.MOST_PAIRS", 20)
    model = network(PULSED)
    for _ in range(20):
        model.backward(model(X) - T)
    y = model(X)
    with pytest.raises(StateError, match=r"pairs wait for a step\. Call step\(\) or zero_grad\(\)"):
        model.backward(y - T)


# ---------------------------------------------------------------- trained, programmed, trained


@pytest.mark.parametrize("limits", [{}, {"max_input_size": 3}], ids=["tile", "grid"])
def test_devices_that_are_trained_on_drift_from_their_new_weights(limits):
    config = CHIP.replace(mapping=limits)
    model, twin = network(config), network(config)
    learn(model)
    learn(twin)
    model.eval().program_analog_weights()
    model.drift_analog_weights(DAY)
    model.train()
    learn(model, 3)
    learn(twin, 3)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # targets came back before they were trained
    trained = weights(model)
    model.eval().drift_analog_weights(YEAR)
    for layer, w in zip(model.analog_layers(), trained, strict=True):
        np.testing.assert_array_equal(layer.tile.get_target_weights()[0], w)
        assert 0.0 < np.abs(layer.get_weights()[0] - w).max() < 0.5 * np.abs(w).max()


def test_two_drifts_to_one_time_differ_in_their_reads_and_not_in_their_programming():
    model = network(CHIP).eval()
    model.program_analog_weights()
    devices, seen = hidden(model), []
    for _ in range(2):
        model.drift_analog_weights(DAY)
        seen.append(weights(model))
        assert_same(hidden(model), devices)
    assert all((a != b).any() for a, b in zip(*seen, strict=True))
