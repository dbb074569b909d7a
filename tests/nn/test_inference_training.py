"""Training for inference: exact gradients by default, of every parameter, beside a NumPy model."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from tests.naive.tolerance import FLOAT32

PERFECT = rs.IOParameters(is_perfect=True)
SCALES = dict(learn_out_scaling=True, out_scaling_columnwise=True)
RANGE = dict(
    input_range=dict(
        enable=True,
        init_value=0.7,
        init_from_data=0,
        exact_gradient=True,
        gradient_relative=False,
        decay=0.0,
    )
)
DATA = np.random.default_rng(0)
X = DATA.normal(size=(16, 4)).astype(np.float32)
T = np.sin(DATA.normal(size=(16, 2))).astype(np.float32)
#: Sums of some ten float32 terms of order 1, over a batch of 16 and two layers.
CLOSE = dict(rtol=1e-4, atol=2e-5)


# ---------------------------------------------------------------- story 3, as written

NOISY = rs.IOParameters(
    out_res=-1.0, w_noise_type=rs.WeightNoiseType.ADDITIVE_CONSTANT, w_noise=0.02
)


def run(epochs=15, **changes):
    """Train a small network; return its losses and weights."""
    config = rs.InferenceRPUConfig(
        forward=NOISY,
        noise_model=rs.PCMLikeNoiseModel(g_max=25.0),
        drift_compensation=rs.GlobalDriftCompensation(),
        **changes,
    )
    model = nn.Sequential(
        nn.AnalogLinear(6, 32, rpu_config=config, rng=1),
        nn.Tanh(),
        nn.AnalogLinear(32, 3, rpu_config=config, rng=2),
    )
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.05)
    x = np.random.default_rng(0).normal(size=(256, 6))
    losses = []
    for epoch in range(epochs):
        for inputs, targets in nn.batches(x, np.sin(x[:, :3]), size=32, rng=epoch):
            loss, grad = nn.mse(model(inputs), targets)
            model.backward(grad)
            optimizer.step()
            losses.append(loss)
    return np.array(losses), [np.array(layer.weight) for layer in model.analog_layers()]


def test_writing_the_default_backward_changes_not_one_bit_and_a_seed_gives_the_same_run():
    losses, weights = run()
    for changes in ({}, dict(backward=rs.IOParameters(is_perfect=True))):
        again, same = run(**changes)
        assert np.array_equal(losses, again)
        for one, other in zip(weights, same, strict=True):
            assert np.array_equal(one, other)
    assert losses[-8:].mean() < 0.5 * losses[:8].mean()


def test_the_backward_is_exact_by_default():
    layer = nn.AnalogLinear(6, 4, rpu_config=rs.InferenceRPUConfig(forward=NOISY), rng=1)
    x, d = DATA.normal(size=(9, 6)), DATA.normal(size=(9, 4))
    y = layer(x)
    w, b = layer.get_weights()
    assert np.abs(y - x @ w.T - b).max() > 0.01  # a noisy forward
    bound = 8.0 * FLOAT32 * 6.0 * 4.0
    assert np.abs(layer.backward(d) - d @ w).max() <= bound
    assert np.abs(layer.weight.grad - d.T @ x).max() <= bound * 9.0


# ---------------------------------------------------------------- beside a NumPy model


class Reference:
    """Two layers y = o (clip(x, r) W^T) + b with a tanh between them, in float64."""

    def __init__(self, model):
        self.values = {}
        for k, layer in enumerate((model[0], model[2])):
            o = np.ones(layer.out_features) if layer.out_scaling is None else layer.out_scaling
            r = [np.inf] if layer.tile.input_range is None else [layer.tile.input_range]
            w = np.asarray(layer.weight, float) / np.asarray(o, float)[:, None]
            for name, value in (("w", w), ("b", layer.bias), ("o", o), ("r", r)):
                self.values[name, k] = np.array(value, float)

    def layer(self, x, k):
        v = self.values
        r = v["r", k][0]
        return v["o", k] * (np.clip(x, -r, r) @ v["w", k].T) + v["b", k]

    def loss(self, x=X, t=T):
        y = self.layer(np.tanh(self.layer(x.astype(float), 0)), 1)
        return float(((y - t) ** 2).mean())

    def gradient(self, key, h=1e-6):
        """Return central differences of the loss by one of the arrays."""
        array, slopes = self.values[key], np.zeros(self.values[key].shape)
        for place in np.ndindex(array.shape):
            kept, losses = array[place], []
            for side in (h, -h):
                array[place] = kept + side
                losses.append(self.loss())
            array[place] = kept
            slopes[place] = (losses[0] - losses[1]) / (2.0 * h)
        return slopes

    def step(self, lr, frozen=()):
        """Take one step of gradient descent, all parameters at once."""
        keys = [key for key in self.values if key[0] not in frozen]
        for key, slope in [(key, self.gradient(key)) for key in keys]:
            self.values[key] -= lr * slope


def network(scales=True, ranges=True, forward=PERFECT, **changes):
    config = rs.InferenceRPUConfig(
        forward=forward,
        mapping=(SCALES if scales else {}) | changes.pop("mapping", {}),
        pre_post=RANGE if ranges else {},
        **changes,
    )
    model = nn.Sequential(
        nn.AnalogLinear(4, 6, rpu_config=config, rng=1),
        nn.Tanh(),
        nn.AnalogLinear(6, 2, rpu_config=config, rng=2),
    )
    if scales:
        for layer in (model[0], model[2]):
            layer.out_scaling[...] = np.linspace(0.5, 2.0, layer.out_features)
    return model


def backward(model, x=X, t=T):
    loss, grad = nn.mse(model(x), t)
    model.backward(grad)
    return loss


MAPPINGS = {
    "bare": {},
    "omega": dict(weight_scaling_omega=0.6),
    "columnwise": dict(weight_scaling_omega=0.6, weight_scaling_columnwise=True),
}


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("ranges", [False, True])
@pytest.mark.parametrize("scales", [False, True])
def test_gradients_of_all_parameters_are_finite_differences_of_the_loss(scales, ranges, name):
    model = network(scales, ranges, mapping=MAPPINGS[name])
    reference = Reference(model)
    assert backward(model) == pytest.approx(reference.loss(), rel=1e-5)
    for k, layer in enumerate((model[0], model[2])):
        o = reference.values["o", k][:, None]
        # `grad` is by logical weights o W; the reference differentiates by W
        assert np.allclose(o * layer.weight.grad, reference.gradient(("w", k)), **CLOSE)
        assert np.allclose(layer.bias.grad, reference.gradient(("b", k)), **CLOSE)
        if scales:
            assert np.allclose(layer.out_scaling.grad, reference.gradient(("o", k)), **CLOSE)
        if ranges:
            beyond = layer.tile.last_forward.inputs_clipped
            assert 0.0 < beyond < 1.0
            assert np.allclose(layer.input_range.grad, reference.gradient(("r", k)), **CLOSE)


@pytest.mark.parametrize(("scales", "ranges"), [(False, False), (True, False), (False, True)])
def test_steps_are_those_of_gradient_descent_on_all_parameters_at_once(scales, ranges):
    model = network(scales, ranges, mapping=MAPPINGS["columnwise"])
    reference, optimizer = Reference(model), optim.AnalogSGD(model.parameters(), lr=0.2)
    frozen = [name for name, learned in (("o", scales), ("r", ranges)) if not learned]
    for _ in range(5):
        backward(model)
        optimizer.step()
        reference.step(0.2, frozen)
    found = Reference(model)
    for key, value in reference.values.items():
        assert np.allclose(found.values[key], value, rtol=1e-4, atol=1e-4), key


@pytest.mark.parametrize("lr", [1e-4, 0.5])
def test_steps_with_fixed_scales_and_ranges_follow_the_reference_at_any_rate(lr):
    model = network(mapping=MAPPINGS["columnwise"])
    for layer in (model[0], model[2]):
        layer.out_scaling.requires_grad = layer.input_range.requires_grad = False
    reference, optimizer = Reference(model), optim.AnalogSGD(model.parameters(), lr=lr)
    before = Reference(model)
    for _ in range(5):
        backward(model)
        optimizer.step()
        reference.step(lr, frozen=("o", "r"))
    found = Reference(model)
    for key, value in reference.values.items():
        moved, expected = found.values[key] - before.values[key], value - before.values[key]
        assert np.allclose(moved, expected, rtol=1e-3, atol=max(1e-4 * lr, 4.0 * FLOAT32)), key


def test_frozen_parameters_stay_and_errors_pass_through_them():
    model = network()
    model[2].freeze()
    reference = Reference(model)
    expected = [reference.gradient((name, 0)) for name in ("b", "o", "r")]
    backward(model)
    first = model[0]
    found = (first.bias.grad, first.out_scaling.grad, first.input_range.grad)
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, **CLOSE)
    assert all(p.grad is None for p in model[2].parameters())
    before = [np.array(p) for p in model.parameters()]
    optim.AnalogSGD(model.parameters(), lr=0.2).step()
    moved = [not np.array_equal(p, q) for p, q in zip(model.parameters(), before, strict=True)]
    assert moved == [True] * 4 + [False] * 4


# ---------------------------------------------------------------- one layer, used twice


class Twice(nn.Module):
    """y = L(tanh(L(x)))."""

    def __init__(self, layer):
        self.layer, self.tanh = layer, nn.Tanh()

    def forward(self, x):
        return self.layer(self.tanh(self.layer(x)))

    def backward(self, grad, input_grad=True):
        grad = self.tanh.backward(self.layer.backward(grad))
        return self.layer.backward(grad, input_grad)


def twice(ranges=(np.inf, np.inf), **settings):
    """Return a model, and its loss in float64 as a function of its weights and of two ranges."""
    config = rs.InferenceRPUConfig(**dict(forward=PERFECT) | settings)
    model = Twice(nn.AnalogLinear(4, 4, bias=False, rpu_config=config, rng=1))
    x, t = 3.0 * X, np.column_stack([T, T])

    def loss(w, ranges=ranges):
        y = x.astype(float)
        for k, r in enumerate(ranges):
            y = (np.tanh(y) if k else y).clip(-r, r) @ w.T
        return float(((y - t) ** 2).mean())

    return model, x, t, loss


def differences(function, w, h=1e-6):
    slopes = np.zeros(w.shape)
    for place in np.ndindex(w.shape):
        step = np.zeros(w.shape)
        step[place] = h
        slopes[place] = (function(w + step) - function(w - step)) / (2.0 * h)
    return slopes


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH"])
def test_a_layer_used_twice_has_the_gradient_of_both_uses(mode):
    model, x, t, loss = twice(gradient=dict(backward_mode=mode))
    value, grad = nn.mse(model(x), t)
    model.backward(grad)
    w = np.asarray(model.layer.weight, float)
    assert value == pytest.approx(loss(w), rel=1e-5)
    assert np.allclose(model.layer.weight.grad, differences(loss, w), **CLOSE)


def test_each_use_has_the_range_that_it_had_though_data_moved_it_in_between():
    ranges = RANGE["input_range"] | dict(init_from_data=10, init_std_alpha=1.0)
    model, x, t, loss = twice(pre_post=dict(input_range=ranges))
    used = []
    model.layer.tile.on_input = lambda _: used.append(model.layer.tile.input_range)
    value, grad = nn.mse(model(x), t)
    used = (used[1], model.layer.tile.input_range)  # of the first use, of the second
    assert abs(used[0] - used[1]) > 0.5
    model.backward(grad)
    w = np.asarray(model.layer.weight, float)
    assert value == pytest.approx(loss(w, used), rel=1e-5)
    expected = differences(lambda w: loss(w, used), w)
    assert np.allclose(model.layer.weight.grad, expected, **CLOSE)


def test_a_layer_used_twice_multiplies_with_one_copy():
    modifier = dict(type="ADD_NORMAL", std_dev=0.3)
    model, x, t, loss = twice(modifier=modifier)
    value, grad = nn.mse(model(x), t)
    model.backward(grad)
    copy = model.layer.tile.last_forward.weights.astype(float)
    assert value == pytest.approx(loss(copy), rel=1e-5)
    assert np.allclose(model.layer.weight.grad, differences(loss, copy), **CLOSE)


# ---------------------------------------------------------------- a whole training


HARDWARE_AWARE = dict(
    forward=rs.IOParameters(out_noise=0.02, noise_management="CONSTANT", nm_thres=1.0),
    modifier=dict(type="ADD_NORMAL", std_dev=0.02),
    clip=dict(type="FIXED_VALUE", fixed_value=1.0),
    remap=dict(type="CHANNELWISE_SYMMETRIC"),
    mapping=dict(weight_scaling_omega=1.0, weight_scaling_columnwise=True),
)


def aware(seed=1):
    """Return a network with all that training for inference offers."""
    ranges = dict(input_range=dict(enable=True, init_from_data=5))
    mapping = HARDWARE_AWARE["mapping"] | SCALES
    config = rs.InferenceRPUConfig(**HARDWARE_AWARE | dict(mapping=mapping, pre_post=ranges))
    return nn.Sequential(
        nn.AnalogLinear(4, 24, rpu_config=config, rng=seed),
        nn.Tanh(),
        nn.AnalogLinear(24, 2, rpu_config=config, rng=seed + 1),
    )


def train(model, steps, seed=0, lr=0.1):
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=lr), []
    data = np.random.default_rng(seed)
    for _ in range(steps):
        x = data.uniform(-1.0, 1.0, (16, 4)).astype(np.float32)
        losses.append(backward(model, x, np.sin(2.0 * x[:, :2])))
        optimizer.step()
    return np.array(losses)


def test_hardware_aware_training_learns_and_keeps_its_ranges_positive():
    model = aware()
    losses = train(model, 400)
    assert losses[-40:].mean() < 0.3 * losses[:10].mean()
    for tile in model.analog_tiles():
        assert tile.input_range > 0.0
        held = tile.get_weights(apply_weight_scaling=False)[0]
        assert np.abs(held).max() <= 1.0 + 4.0 * FLOAT32


def test_a_restored_training_continues_bit_for_bit():
    model, other = aware(), aware(seed=7)
    train(model, 7)
    other.load_state_dict(model.state_dict())
    assert np.array_equal(train(model, 7, seed=1), train(other, 7, seed=1))
    for name, array in model.state_dict().items():
        assert np.array_equal(other.state_dict()[name], array), name


def test_evaluation_learns_nothing():
    model = aware().eval()
    before = model.state_dict()
    model(3.0 * X)
    for name, array in model.state_dict().items():
        if "rng_steps" not in name and "ledger" not in name:  # noise was drawn, reads were counted
            assert np.array_equal(array, before[name]), name
    with pytest.raises(rs.StateError, match="backward must follow a forward in training mode"):
        model.backward(T)


def test_going_back_after_a_step_is_refused():
    model = aware()
    for _ in range(2):
        _, grad = nn.mse(model(X), T)
    model.backward(grad)
    optim.AnalogSGD(model.parameters(), lr=0.1).step()
    with pytest.raises(rs.StateError, match="the weights have changed since that forward"):
        model.backward(grad)
