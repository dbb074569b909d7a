"""Layers on real tiles: exact where the configuration is exact, in sync where it is not."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.kernels.device_arrays import host, place

EXACT = rs.FloatingPointRPUConfig()
WIDE = {"w_max": 1.0, "w_min": -1.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice(dw_min=0.01, **WIDE))
COLUMN = rs.RPUConfig(
    device=rs.ConstantStepDevice(**WIDE), mapping=rs.MappingParameter(digital_bias=False)
)


def train(model, steps, rng, lr=0.1):
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=lr), []
    for _ in range(steps):
        x = rng.normal(size=(8, 4)).astype(np.float32)
        loss, grad = nn.cross_entropy(model(x), (x[:, 0] > x[:, 1]).astype(int))
        model.backward(grad)
        optimizer.step()
        losses.append(loss)
    return losses


def network(config, seed=1):
    return nn.Sequential(
        nn.AnalogLinear(4, 8, rpu_config=config, rng=seed),
        nn.Tanh(),
        nn.AnalogLinear(8, 2, rpu_config=config, rng=seed + 1),
    )


def test_on_exact_tiles_training_is_that_of_the_digital_network():
    analog = network(EXACT)
    digital = nn.Sequential(nn.Linear(4, 8, rng=1), nn.Tanh(), nn.Linear(8, 2, rng=2))
    losses = [train(model, 30, np.random.default_rng(0)) for model in (analog, digital)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for ours, theirs in zip(analog, digital, strict=True):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_one_step_on_an_exact_tile_is_numpys_sgd():
    layer, rng = nn.AnalogLinear(5, 3, rpu_config=EXACT, rng=0), np.random.default_rng(1)
    x, d = rng.normal(size=(7, 5)).astype("f4"), rng.normal(size=(7, 3)).astype("f4")
    w, b = layer.get_weights()
    np.testing.assert_allclose(layer(x), x @ w.T + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.backward(d), d @ w, rtol=1e-5, atol=1e-6)
    optim.AnalogSGD(layer.parameters(), lr=0.1).step()
    np.testing.assert_allclose(layer.weight, w - 0.1 * d.T @ x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.bias, b - 0.1 * d.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_a_parameter_shows_what_pulses_have_made_of_it():
    layer = nn.AnalogLinear(6, 4, bias=False, rpu_config=rs.ConstantStepDevice(), rng=0)
    before, w = np.array(layer.weight), layer.weight
    _, grad = nn.mse(layer(np.ones((8, 6))), np.ones((8, 4)))
    layer.backward(grad)
    optim.AnalogSGD(layer.parameters(), lr=0.5).step()
    assert not np.array_equal(before, w)
    np.testing.assert_array_equal(w, layer.get_weights()[0])
    layer.tile.set_weights(before)
    np.testing.assert_array_equal(w, before)


def test_a_digital_bias_stays_the_tiles_own_through_set_and_load():
    layer = nn.AnalogLinear(3, 2, rpu_config=PULSED, rng=0)
    state = layer.state_dict()
    layer.set_weights(np.zeros((2, 3)), np.ones(2))
    np.testing.assert_array_equal(layer.bias, np.ones(2))
    layer.load_state_dict(state)
    assert not np.array_equal(layer.bias, np.ones(2))
    layer.bias[...] = 5.0
    np.testing.assert_array_equal(layer.get_weights()[1], np.full(2, 5.0))


def test_an_analog_bias_is_a_column_that_pulses_move():
    layer = nn.AnalogLinear(3, 2, rpu_config=COLUMN, rng=0)
    assert isinstance(layer.bias, nn.AnalogBias)
    before = np.array(layer.bias)
    for _ in range(5):
        layer(np.ones((4, 3)))
        layer.backward(np.ones((4, 2)))
        optim.AnalogSGD(layer.parameters(), lr=0.1).step()
    assert (np.asarray(layer.bias) < before).all()


def test_a_layer_with_a_column_for_its_bias_can_be_frozen():
    layer = nn.AnalogLinear(3, 2, rpu_config=COLUMN, rng=0).freeze()
    before = layer.state_dict()
    layer(np.ones((4, 3)))
    layer.backward(np.ones((4, 2)))
    assert layer.weight.pairs == []
    np.testing.assert_array_equal(layer.bias, before["tile.persistent_weights"][:, -1])
    assert layer.freeze(False).weight.requires_grad


@pytest.mark.parametrize("config", [EXACT, PULSED, COLUMN], ids=["exact", "pulsed", "column"])
def test_a_seed_repeats_the_run_and_a_restored_model_continues_it(config):
    first, again = network(config), network(config)
    train(first, 5, np.random.default_rng(0))
    train(again, 5, np.random.default_rng(0))
    other = network(config, seed=50)
    other.load_state_dict(first.state_dict())
    for model in (first, again, other):
        train(model, 5, np.random.default_rng(1))
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array, err_msg=name)
        np.testing.assert_array_equal(other.state_dict()[name], array, err_msg=name)


def test_a_state_of_another_size_changes_nothing():
    model, other = network(PULSED), nn.Sequential(*network(PULSED))
    state = model.state_dict()
    wrong = nn.AnalogLinear(8, 3, rpu_config=PULSED, rng=0).state_dict()
    bad = {n: a for n, a in other.state_dict().items() if not n.startswith("2.")}
    bad |= {f"2.{name}": array for name, array in wrong.items()}
    bad |= {n: a + 1 for n, a in bad.items() if n.endswith(".bias")}
    with pytest.raises(rs.RpusimError, match=r"2\.tile: .* Nothing was loaded"):
        model.load_state_dict(bad)
    for name, array in state.items():
        np.testing.assert_array_equal(model.state_dict()[name], array, err_msg=name)


@pytest.mark.parametrize("config", [PULSED, COLUMN], ids=["pulsed", "column"])
def test_pulsed_training_lowers_the_loss(config):
    losses = train(network(config), 600, np.random.default_rng(0))
    assert np.mean(losses[-50:]) < 0.7 * np.mean(losses[:20])


def test_the_summary_names_the_devices():
    text = network(PULSED).summary()
    assert "0     AnalogLinear  4 -> 8  SoftBoundsDevice          40" in text
    assert text.endswith("58 parameters, 48 analog and 10 digital")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("config", [EXACT, PULSED], ids=["exact", "pulsed"])
def test_a_gradient_that_is_not_finite_is_refused_before_any_tile_learns(config, wrong):
    one, two = (nn.AnalogLinear(4, 2, rpu_config=config, rng=seed) for seed in (1, 2))
    model = nn.Sequential(nn.Concat(one, two))
    before = [np.array(p) for p in model.parameters()]
    d = np.ones_like(model(np.ones((3, 4))))
    d[0, 3] = wrong  # an error signal of the second
    with pytest.raises(rs.DataError, match=r"AnalogLinear\.backward: grad must be finite, got"):
        model.backward(d)
    assert all(map(np.array_equal, model.parameters(), before))
    two.freeze()  # what does not learn passes it on, as digital layers do
    model(np.ones((3, 4)))
    model.backward(d)


def test_a_gradient_of_kernels_that_is_not_finite_is_refused():
    layer = nn.AnalogConv1d(1, 2, 3, rpu_config=PULSED, rng=1)
    d = np.ones_like(layer(np.ones((2, 1, 5))))
    d[1, 0, 2] = np.nan
    with pytest.raises(rs.DataError, match=r"AnalogConv1d\.backward: grad must be finite"):
        layer.backward(d, input_grad=False)
    assert not layer.weight.pairs


def test_a_layer_learns_from_vectors_that_live_on_a_gpu():
    rng = np.random.default_rng(4)
    x, d = (rng.normal(size=(3, n)).astype(np.float32) for n in (6, 5))
    ends = []
    for move in (lambda v: v, lambda v: place(v, "cuda")):
        config = rs.RPUConfig(device=rs.SoftBoundsDevice())
        layer = nn.AnalogLinear(6, 5, rpu_config=config, rng=1, backend="cuda")
        opt = optim.AnalogSGD(layer.parameters(), lr=0.1)
        for _ in range(2):
            y = layer(move(x))
            g = layer.backward(move(d))
            opt.step()
        ends.append([host(y), host(g), *layer.get_weights()])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)
