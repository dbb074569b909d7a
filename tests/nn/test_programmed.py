"""Models on programmed devices: which tiles, in which mode, and how all is as before."""

import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError, StateError
from rpusim.nn.programmed import programmed
from tests.inference.programmed import DAY, PERFECT, YEAR

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
T = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
INFERENCE = rs.InferenceRPUConfig(forward=PERFECT)
WIDE = {"w_max": 3.0, "w_min": -3.0}
DRIFTING = rs.RPUConfig(device=rs.ConstantStepDevice(drift={"nu": 0.1}, **WIDE), forward=PERFECT)


def network(first=INFERENCE, second=INFERENCE):
    """Return a model of two analog layers, one of them inside two others."""
    return nn.Sequential(
        nn.AnalogLinear(4, 3, rpu_config=first, rng=1),
        nn.Tanh(),
        nn.Sequential(nn.Sequential(nn.AnalogLinear(3, 2, rpu_config=second, rng=2))),
    )


class Shared(nn.Module):
    """One layer, held under two names and in a list."""

    def __init__(self):
        self.layer = nn.AnalogLinear(4, 4, rpu_config=INFERENCE, rng=1)
        self.same = self.layer
        self.layers = [self.layer, nn.Sequential(self.layer)]

    def forward(self, x):
        return self.layer(self.same(x))


def weights(model):
    return [layer.get_weights()[0] for layer in model.analog_layers()]


def assert_equal(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- programming and drift


def test_a_model_is_programmed_drifts_and_goes_back():
    model = network()
    before, y = weights(model), model.eval()(X)
    model.program_analog_weights()
    programmed_weights = weights(model)
    assert all(tile.is_programmed for tile in model.analog_tiles())
    assert all((a != b).any() for a, b in zip(before, programmed_weights, strict=True))
    for t in (DAY, YEAR, 1.0):
        model.drift_analog_weights(t)
        assert {tile.time for tile in model.analog_tiles()} == {t}
    first, second = model.analog_layers()
    (w, b), (v, c) = first.get_weights(), second.get_weights()
    np.testing.assert_allclose(model(X), np.tanh(X @ w.T + b) @ v.T + c, rtol=0, atol=1e-6)
    model.restore_analog_weights()
    assert_equal(weights(model), before)
    np.testing.assert_array_equal(model(X), y)
    model.restore_analog_weights()  # nothing to give up any more


def test_drift_programs_what_is_not_programmed():
    model, twin = network().eval(), network().eval()
    model.drift_analog_weights()
    twin.program_analog_weights()
    twin.drift_analog_weights(0.0)
    assert_equal(weights(model), weights(twin))


@pytest.mark.parametrize("build", [network, Shared])
def test_each_tile_is_programmed_once_however_it_is_held(build):
    """The reference programs a tile once for each container around it."""
    model = build().eval()
    writes = [tile.stats.writes for tile in model.analog_tiles()]
    model.program_analog_weights()
    assert [tile.stats.writes for tile in model.analog_tiles()] == [n + 1 for n in writes]


def test_each_tile_of_a_grid_is_programmed_once():
    config = INFERENCE.replace(mapping={"max_input_size": 2, "max_output_size": 2})
    model = nn.Sequential(nn.AnalogLinear(4, 3, rpu_config=config, rng=1)).eval()
    assert len(model.analog_tiles()) == 4
    writes = [tile.stats.writes for tile in model.analog_tiles()]
    model.program_analog_weights()
    model.drift_analog_weights(DAY)
    assert [tile.stats.writes for tile in model.analog_tiles()] == [n + 1 for n in writes]
    tiles = model.analog_layers()[0].tile
    assert tiles.is_programmed
    assert tiles.alpha.shape == (2, 3)
    w, b = model.analog_layers()[0].get_weights()
    np.testing.assert_allclose(model(X), X @ w.T + b, rtol=0, atol=1e-6)


def test_another_noise_model_is_for_all_tiles_and_stays():
    model, other = network().eval(), rs.PCMLikeNoiseModel(prog_noise_scale=0.0)
    before = weights(model)
    model.program_analog_weights(other)
    assert all(tile.rpu_config.noise_model == other for tile in model.analog_tiles())
    for a, b in zip(before, weights(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_layer_has_the_same_methods():
    layer = nn.AnalogLinear(4, 3, rpu_config=INFERENCE, rng=1)
    with pytest.raises(
        StateError, match=r"AnalogLinear\.program_analog_weights: the model is in t"
    ):
        layer.program_analog_weights()
    layer.eval()
    layer.program_analog_weights()
    layer.drift_analog_weights(DAY)
    np.testing.assert_array_equal(np.asarray(layer.weight), layer.tile.get_weights()[0])
    layer.restore_analog_weights()
    assert not layer.tile.is_programmed


def test_devices_that_learn_age_with_those_that_are_programmed():
    model = network(INFERENCE, DRIFTING).eval()
    model.drift_analog_weights(10.0)
    assert [tile.time for tile in model.analog_tiles()] == [10.0, 10.0]
    model.drift_analog_weights(30.0)
    learning = model.analog_tiles()[1]
    assert learning.time == 30.0
    before = model.state_dict()
    with pytest.raises(DataError, match="must be at least 30, the present time, got 20"):
        model.drift_analog_weights(20.0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


# ---------------------------------------------------------------- modes, refusals


@pytest.mark.parametrize("method", ["program_analog_weights", "drift_analog_weights"])
def test_a_model_in_training_is_refused(method):
    model = network()
    with pytest.raises(StateError, match=rf"Sequential\.{method}: the model is in training mode"):
        getattr(model, method)()
    assert not any(tile.is_programmed for tile in model.analog_tiles())


@pytest.mark.parametrize("config", [rs.RPUConfig(device=rs.IdealDevice()), DRIFTING, None])
def test_a_model_without_devices_for_inference_cannot_be_programmed(config):
    digital = nn.Sequential(nn.Linear(4, 2, rng=1))
    model = (digital if config is None else network(config, config)).eval()
    with pytest.raises(StateError, match="no tile of the model can be programmed; an InferenceRPU"):
        model.program_analog_weights()


def test_a_drift_that_changes_nothing_is_warned_of():
    for model in (network(rs.IdealDevice(), rs.IdealDevice()), nn.Sequential(nn.Linear(4, 2))):
        with pytest.warns(
            UserWarning, match="no tile of the model drifts; an InferenceRPUConfig, or"
        ):
            model.eval().drift_analog_weights(DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(INFERENCE, rs.IdealDevice()).eval().drift_analog_weights(DAY)
        network(DRIFTING, DRIFTING).eval().drift_analog_weights(DAY)


@pytest.mark.parametrize("t", [-1.0, np.nan, np.inf, None, "1 h", [1.0], True])
def test_what_is_no_time_is_refused_and_changes_nothing(t):
    model = network().eval()
    model.program_analog_weights()
    before = model.state_dict()
    with pytest.raises(DataError, match="t_inference must be a time >= 0, in seconds, got"):
        model.drift_analog_weights(t)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_a_time_that_one_of_the_models_does_not_know_is_refused_for_all():
    model = network(INFERENCE, INFERENCE.replace(noise_model=rs.ReRamWan2022NoiseModel())).eval()
    with pytest.raises(DataError, match="knows the times 1, 86400, 172800 s, got 5"):
        model.drift_analog_weights(5.0)
    assert not any(tile.is_programmed for tile in model.analog_tiles())


@pytest.mark.parametrize("wrong", ["PCM", 3, {}, rs.PCMLikeNoiseModel, rs.IOParameters()])
def test_what_is_no_noise_model_is_refused_and_changes_nothing(wrong):
    model = network().eval()
    with pytest.raises(ConfigError, match="noise_model must be one, got"):
        model.program_analog_weights(wrong)
    assert not any(tile.is_programmed for tile in model.analog_tiles())


# ---------------------------------------------------------------- the context


def test_the_context_evaluates_and_restores_modes_and_weights():
    model = network()
    model.analog_layers()[1].eval()  # a mixture
    modes = [module.training for _, module in model.named_modules()]
    before = weights(model)
    with programmed(model):
        assert not any(module.training for _, module in model.named_modules())
        assert all(tile.is_programmed for tile in model.analog_tiles())
        model.drift_analog_weights(DAY)
        assert any((a != b).any() for a, b in zip(before, weights(model), strict=True))
    assert [module.training for _, module in model.named_modules()] == modes
    assert not any(tile.is_programmed for tile in model.analog_tiles())
    assert_equal(weights(model), before)


def test_the_context_restores_after_an_error_inside_and_at_its_begin():
    model = network()
    before = weights(model)
    with pytest.raises(ZeroDivisionError), programmed(model, rs.StateIndependentNoiseModel()):
        raise ZeroDivisionError
    with pytest.raises(ConfigError, match="noise_model must be one"):
        programmed(model, "PCM").__enter__()
    assert all(module.training for _, module in model.named_modules())
    assert not any(tile.is_programmed for tile in model.analog_tiles())
    assert_equal(weights(model), before)
    kind = rs.StateIndependentNoiseModel
    assert all(isinstance(t.rpu_config.noise_model, kind) for t in model.analog_tiles())


# ---------------------------------------------------------------- training


def step(model, optimizer):
    loss, grad = nn.mse(model(X), T)
    model.backward(grad)
    optimizer.step()
    return loss


def test_training_goes_on_from_the_targets():
    model, twin = network(), network()
    for each in (model, twin):
        optimizer = optim.AnalogSGD(each.parameters(), lr=0.1)
        step(each, optimizer)
        if each is model:
            each.eval()
            each.drift_analog_weights(YEAR)
            each.train()
        step(each, optimizer)
        assert not any(tile.is_programmed for tile in each.analog_tiles())
    assert_equal(weights(model), weights(twin))


def test_a_frozen_layer_stays_programmed_in_training_and_errors_go_through_it():
    model = network()
    first, second = model.analog_layers()
    model.eval().drift_analog_weights(YEAR)
    model.train()
    first.freeze()
    held = first.get_weights()[0]
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    losses = [step(model, optimizer) for _ in range(30)]
    assert first.tile.is_programmed
    assert not second.tile.is_programmed
    assert losses[-1] < losses[0]  # the second layer learned around the drift of the first
    np.testing.assert_array_equal(first.get_weights()[0], held)
    second.freeze()
    model.eval().drift_analog_weights(YEAR)
    model.train()
    y = model(X)
    d = np.ones_like(y)
    w, v = first.get_weights()[0], second.get_weights()[0]
    hidden = np.tanh(X @ w.T + first.get_weights()[1])
    expected = ((d @ v) * (1.0 - hidden**2)) @ w
    np.testing.assert_allclose(model.backward(d, input_grad=True), expected, rtol=0, atol=2e-6)
    first.freeze(False)
    model(X)
    assert not first.tile.is_programmed
    assert second.tile.is_programmed


def test_evaluation_leaves_devices_alone():
    model = network().eval()
    model.drift_analog_weights(DAY)
    before = weights(model)
    model(X)
    model(X)
    assert_equal(weights(model), before)


def test_the_state_of_a_programmed_model_continues_bit_for_bit(tmp_path):
    model, other = network().eval(), network().eval()
    model.drift_analog_weights(DAY)
    other.load_state_dict(model.state_dict())
    assert_equal(weights(other), weights(model))
    rs.save(tmp_path / "model.npz", model)
    third = rs.load(tmp_path / "model.npz", into=network().eval())
    for each in (model, other, third):
        each.drift_analog_weights(YEAR)
    for each in (other, third):
        assert_equal(weights(each), weights(model))
        np.testing.assert_array_equal(each(X), model(X))
    fresh = network().eval()
    y = fresh(X)
    model.load_state_dict(fresh.state_dict())
    np.testing.assert_array_equal(model(X), y)
