"""AnalogSGD: exactly NumPy's SGD where nothing is analog; order, single use, refusals."""

import numpy as np
import pytest

from rpusim import nn, optim
from rpusim.errors import ConfigError, StateError


def back(model, rng, batch=4, features=3, out=2):
    """One forward and backward with random vectors; returns them."""
    x, d = (rng.normal(size=(batch, n)).astype(np.float32) for n in (features, out))
    model(x)
    model.backward(d, input_grad=False)
    return x, d


@pytest.mark.parametrize("kind", ["digital", "fake"])
def test_a_step_is_gradient_descent(kind, analog_linear):
    layer = {"digital": nn.Linear, "fake": analog_linear}[kind](3, 2, rng=0)
    optimizer, rng = optim.AnalogSGD(layer.parameters(), lr=0.3), np.random.default_rng(1)
    w, b = layer.get_weights()
    for _ in range(5):
        x, d = back(layer, rng)
        w -= np.float32(0.3) * (d.T @ x)
        b -= np.float32(0.3) * d.sum(axis=0)
        optimizer.step()
    np.testing.assert_array_equal(layer.weight, w)
    np.testing.assert_array_equal(layer.bias, b)


def test_pairs_of_several_backwards_make_one_update_in_their_order(analog_linear):
    layer, seen = analog_linear(3, 2, rng=0), []
    optimizer, rng = optim.AnalogSGD(layer.parameters(), lr=0.1), np.random.default_rng(1)
    layer.tile.update = lambda x, d, learning_rate: seen.append((x, d, learning_rate))
    pairs = [back(layer, rng, batch) for batch in (2, 1, 3)]
    optimizer.step()
    ((x, d, lr),) = seen
    np.testing.assert_array_equal(x, np.concatenate([p[0] for p in pairs]))
    np.testing.assert_array_equal(d, np.concatenate([p[1] for p in pairs]))
    assert lr == 0.1


def test_pairs_of_sequences_are_flattened_in_row_order(analog_linear):
    layer = analog_linear(3, 2, rng=0)
    layer(np.ones((4, 5, 3)))
    layer.backward(np.ones((4, 5, 2)))
    layer(np.ones(3))
    layer.backward(np.ones(2))
    optim.AnalogSGD(layer.parameters()).step()
    assert ("update", 21, 0.1) in layer.tile.log


def test_every_tile_gets_one_update_and_then_one_post_update_step(analog_linear):
    used, idle = analog_linear(3, 2, rng=0), analog_linear(3, 2, rng=1)
    optimizer = optim.AnalogSGD([*used.parameters(), *idle.parameters()], lr=0.1)
    back(used, np.random.default_rng(0))
    optimizer.step()
    assert used.tile.log == [("forward", False), ("update", 4, 0.1), ("post",)]
    assert idle.tile.log == [("post",)]


def test_all_updates_come_before_the_digital_step_and_that_before_any_decay(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), analog_linear(3, 2, rng=1))
    order, optimizer = [], optim.AnalogSGD(model.parameters(), lr=1.0)
    before = model[1].bias.copy()

    def note(i, what):
        order.append((i, what, np.array_equal(before, model[1].bias)))

    for i, tile in enumerate(model.analog_tiles()):
        tile.update = lambda *a, i=i, **k: note(i, "update")
        tile.post_update_step = lambda i=i: note(i, "post")
    back(model, np.random.default_rng(0))
    optimizer.step()
    assert order == [
        (0, "update", True),
        (1, "update", True),
        (0, "post", False),
        (1, "post", False),
    ]


def test_a_rate_of_zero_changes_no_weight_but_time_passes(analog_linear):
    layer = analog_linear(3, 2, rng=0)
    optimizer, before = optim.AnalogSGD(layer.parameters(), lr=0), layer.get_weights()
    back(layer, np.random.default_rng(0))
    optimizer.step()
    assert layer.tile.log == [("forward", False), ("post",)]
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(StateError):
        optimizer.step()


def test_gradients_are_consumed_once(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), nn.Linear(3, 2, rng=1))
    optimizer = optim.AnalogSGD(model.parameters())
    with pytest.raises(StateError, match=r"no gradient was recorded since the last step; call"):
        optimizer.step()
    back(model, np.random.default_rng(0))
    optimizer.step()
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(StateError, match=r"AnalogSGD\.step"):
        optimizer.step()


def test_a_step_that_fails_leaves_no_pairs_behind(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), analog_linear(3, 2, rng=1))

    def broken(*_, **__):
        raise MemoryError

    model[0].tile.update = broken
    back(model, np.random.default_rng(0))
    with pytest.raises(MemoryError):
        optim.AnalogSGD(model.parameters()).step()
    assert all(p.grad is None for p in model.parameters())


def test_zero_grad_drops_what_was_recorded(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), nn.Linear(3, 2, rng=1))
    optimizer, before = optim.AnalogSGD(model.parameters()), model.state_dict()
    back(model, np.random.default_rng(0))
    optimizer.zero_grad()
    assert all(np.array_equal(before[n], a) for n, a in model.state_dict().items())
    with pytest.raises(StateError):
        optimizer.step()


def test_frozen_means_frozen_while_earlier_layers_train(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), analog_linear(3, 2, rng=1))
    model[1].freeze()
    optimizer = optim.AnalogSGD(model.parameters())
    w0, w1 = (layer.get_weights()[0] for layer in model)
    back(model, np.random.default_rng(0))
    optimizer.step()
    np.testing.assert_array_equal(model[1].weight, w1)
    assert ("post",) not in model[1].tile.log
    assert not np.array_equal(model[0].weight, w0)


def test_a_bias_column_is_pulsed_with_its_weights(analog_linear):
    layer = analog_linear(3, 2, bias="analog", rng=0)
    assert isinstance(layer.bias, nn.AnalogBias)
    before, rng = layer.get_weights()[1], np.random.default_rng(0)
    _, d = back(layer, rng)
    optim.AnalogSGD(layer.parameters(), lr=0.5).step()
    np.testing.assert_array_equal(layer.bias, before - np.float32(0.5) * d.sum(axis=0))
    assert layer.tile.log.count(("post",)) == 1


def test_the_rate_can_follow_a_schedule(analog_linear):
    layer = analog_linear(3, 2, rng=0)
    optimizer, rng = optim.AnalogSGD(layer.parameters(), lr=1.0), np.random.default_rng(0)
    for _ in range(3):
        back(layer, rng)
        optimizer.step()
        optimizer.lr /= 2
    assert [e[2] for e in layer.tile.log if e[0] == "update"] == [1.0, 0.5, 0.25]


def test_training_lowers_the_loss(analog_linear):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    T = (X[:, 0] * X[:, 1] > 0).astype(int)
    model = nn.Sequential(analog_linear(4, 16, rng=1), nn.Tanh(), nn.Linear(16, 2, rng=2))
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=0.5), []
    for epoch in range(60):
        for x, t in nn.batches(X, T, size=10, rng=epoch):
            loss, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            optimizer.step()
            losses.append(loss)
    assert np.mean(losses[:6]) > 0.65
    assert np.mean(losses[-6:]) < 0.2


@pytest.mark.parametrize("lr", [-0.1, np.nan, np.inf, "0.1", None, True])
def test_a_rate_must_be_finite_and_not_negative(lr):
    with pytest.raises(ConfigError, match=rf"AnalogSGD.lr must be finite and >= 0, got {lr!r}\."):
        optim.AnalogSGD(nn.Linear(1, 1).parameters(), lr=lr)


def test_other_mistakes_are_told(analog_linear):
    layer = analog_linear(2, 2, bias="analog", rng=0)
    good = layer.parameters()
    for call, message in [
        (lambda: optim.AnalogSGD(good, lrr=1), r"no option 'lrr'; did you mean 'lr'\?"),
        (lambda: optim.AnalogSGD(layer), r"model\.parameters\(\), got AnalogLinear"),
        (lambda: optim.AnalogSGD([]), "must be parameters, .* got none"),
        (lambda: optim.AnalogSGD(np.ones(2)), "must be parameters, .* got float64"),
        (lambda: optim.AnalogSGD(good + good), "each parameter and each tile once"),
        (lambda: optim.AnalogSGD([layer.bias]), "AnalogBias of a tile without its weight"),
    ]:
        with pytest.raises(ConfigError, match=message):
            call()


def test_it_tells_what_it_trains(analog_linear):
    model = nn.Sequential(analog_linear(3, 3, rng=0), nn.Linear(3, 2, rng=1))
    optimizer = optim.AnalogSGD(iter(model.parameters()), lr=0.1)
    assert repr(optimizer) == "AnalogSGD(lr=0.1, 1 analog and 3 digital parameters)"
    assert len(optimizer.parameters) == 4
