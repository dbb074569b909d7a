"""Batch and layer normalisation: modes, running figures, state, refusals."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ConfigError, ShapeError, StateError


def images(seed=0, n=6):
    return 3.0 + 2.0 * np.random.default_rng(seed).normal(size=(n, 2, 3, 4)).astype(np.float32)


def test_a_batch_is_normalised_by_its_own_figures_in_training():
    y = nn.BatchNorm2d(2)(images())
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1.0, rtol=1e-4)


def test_running_figures_follow_the_mean_and_the_unbiased_variance():
    layer, mean, var = nn.BatchNorm2d(2, momentum=0.3), np.zeros(2), np.ones(2)
    for seed in range(4):
        x = images(seed)
        layer(x)
        mean += 0.3 * (x.mean(axis=(0, 2, 3), dtype=float) - mean)
        var += 0.3 * (x.astype(float).var(axis=(0, 2, 3), ddof=1) - var)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-5)
    layer.eval()(images(9))
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-5)


def test_evaluation_uses_the_running_figures_sample_by_sample():
    layer = nn.BatchNorm2d(2)
    layer.weight[...], layer.bias[...] = [2.0, 3.0], [0.5, -0.5]
    layer(images())
    x = images(1)
    y = layer.eval()(x)
    m, v = layer.running_mean[:, None, None], layer.running_var[:, None, None]
    w, b = layer.weight.data[:, None, None], layer.bias.data[:, None, None]
    np.testing.assert_allclose(y, (x - m) / np.sqrt(v + 1e-5) * w + b, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([layer(x[:1]), layer(x[1:])]), y)


def test_a_fixed_layer_is_the_same_in_training_and_evaluation():
    layer = nn.BatchNorm2d(2)
    layer(images())
    layer.forget()
    layer.fixed = True
    before, y = layer.running_mean.copy(), layer(images(1))
    np.testing.assert_array_equal(layer.running_mean, before)
    np.testing.assert_array_equal(layer.eval()(images(1)), y)
    slope = 1.0 / np.sqrt(layer.running_var[:, None, None] + np.float32(1e-5))
    np.testing.assert_allclose(layer.backward(np.ones_like(y)), slope + 0 * y, rtol=1e-6)


def test_a_large_mean_does_not_spoil_the_variance():
    x = 1e4 + np.random.default_rng(0).normal(size=(2000, 1))
    y = nn.BatchNorm1d(1)(x)
    x = x.astype(np.float32).astype(float)
    np.testing.assert_allclose(y, (x - x.mean()) / x.std(), atol=2e-3)  # the mean's own rounding
    assert y.std() == pytest.approx(1.0, rel=1e-4)


def test_state_goes_round_with_the_running_figures():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.BatchNorm1d(24, affine=False))
    other = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.BatchNorm1d(24, affine=False))
    model(images())
    state = model.state_dict()
    assert list(state) == [
        "0.weight",
        "0.bias",
        "0.running_mean",
        "0.running_var",
        "2.running_mean",
        "2.running_var",
    ]
    other.load_state_dict(state)
    model(images(1))
    other(images(1))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    np.testing.assert_array_equal(model.eval()(images(2)), other.eval()(images(2)))
    with pytest.raises(StateError, match=r"missing: '0\.running_var'"):
        other.load_state_dict({n: a for n, a in state.items() if n != "0.running_var"})


def test_rows_of_a_layer_norm_do_not_see_each_other():
    layer, x = nn.LayerNorm((3, 4)), images()
    np.testing.assert_array_equal(layer(x)[2, 1], layer(x[2, 1]))
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.BatchNorm2d(0), ConfigError, r"BatchNorm2d.channels must be an integer >= 1"),
        (lambda: nn.BatchNorm1d(2, eps=-1), ConfigError, r"BatchNorm1d.eps must be a number >= 0"),
        (lambda: nn.BatchNorm1d(2, eps=np.nan), ConfigError, r"eps must be .*, got nan"),
        (lambda: nn.BatchNorm1d(2, momentum=1.5), ConfigError, r"momentum .* in 0..1, got 1.5"),
        (lambda: nn.LayerNorm(()), ConfigError, r"LayerNorm.shape must be an integer >= 1, got"),
        (lambda: nn.LayerNorm((2, 0)), ConfigError, r"LayerNorm.shape must be .* \(2, 0\)"),
        (
            lambda: nn.BatchNorm1d(2)(np.ones((3, 2, 4, 4))),
            ShapeError,
            r"BatchNorm1d.forward: x must have shape \(batch, 2\) or \(batch, 2, length\), got",
        ),
        (
            lambda: nn.BatchNorm2d(3)(np.ones((3, 2, 4, 4))),
            ShapeError,
            r"x must have shape \(batch, 3, height, width\), got \(3, 2, 4, 4\)",
        ),
        (
            lambda: nn.BatchNorm1d(2)(np.ones((1, 2))),
            ShapeError,
            r"two values or more of each channel .* got shape \(1, 2\); call eval\(\)",
        ),
        (
            lambda: nn.LayerNorm((3, 4))(np.ones((4,))),
            ShapeError,
            r"last dimensions of x must be \(3, 4\), got shape \(4,\)",
        ),
    ],
)
def test_a_normalisation_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
