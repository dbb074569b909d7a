"""Digital convolutions: what they start from, how they are set, what they refuse."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError


def test_kernels_start_as_the_weights_of_a_linear_layer_of_patches():
    layer, linear = nn.Conv2d(3, 4, (2, 5), rng=9), nn.Linear(30, 4, rng=9)
    np.testing.assert_array_equal(layer.weight, linear.weight.reshape(4, 3, 2, 5))
    np.testing.assert_array_equal(layer.bias, linear.bias)
    again = nn.Conv2d(3, 4, (2, 5), rng=layer.seed)
    np.testing.assert_array_equal(again.weight, layer.weight)
    assert nn.Conv3d(4, 6, 3, groups=2).weight.shape == (6, 2, 3, 3, 3)


def test_a_kernel_as_large_as_the_image_is_a_linear_layer():
    layer, linear = nn.Conv2d(2, 3, (4, 5), rng=1), nn.Linear(40, 3, rng=1)
    x = np.random.default_rng(0).normal(size=(6, 2, 4, 5)).astype(np.float32)
    y, expected = layer(x), linear(x.reshape(6, 40))
    np.testing.assert_allclose(y.reshape(6, 3), expected, rtol=1e-5, atol=1e-6)
    d = np.ones((6, 3), np.float32)
    dx = layer.backward(d.reshape(y.shape))
    np.testing.assert_allclose(dx.reshape(6, 40), linear.backward(d), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        layer.weight.grad.reshape(3, 40), linear.weight.grad, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(layer.bias.grad, linear.bias.grad)


def test_one_sample_is_a_batch_of_one_without_its_axis():
    layer = nn.Conv2d(2, 3, 3, padding=1, rng=0)
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(layer(x), layer(x[None])[0])


def test_same_keeps_the_size_and_valid_pads_nothing():
    x = np.ones((1, 1, 5, 6))
    for kernel in (1, 2, 3, 4, (3, 6)):
        for dilation in (1, 2):
            layer = nn.Conv2d(1, 1, kernel, padding="same", dilation=dilation, rng=0)
            assert layer(x).shape == x.shape
    assert nn.Conv2d(1, 1, 3, padding="valid", rng=0)(x).shape == (1, 1, 3, 4)
    one = nn.Conv1d(1, 1, 2, padding="same", bias=False)
    one.set_weights([[[1.0, 10.0]]])
    np.testing.assert_array_equal(one([[1.0, 2.0, 3.0]]), [[21.0, 32.0, 3.0]])


def test_weights_and_state_go_round():
    layer, other = nn.Conv1d(2, 3, 4, rng=0), nn.Conv1d(2, 3, 4, rng=1)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.weight, layer.weight)
    w, b = layer.get_weights()
    w[...], b[...] = 2.0, 1.0
    layer.set_weights(w, b)
    np.testing.assert_array_equal(layer(np.ones((2, 4))), np.full((3, 1), 17.0))
    assert "2 -> 3, 4" in layer.summary()
    assert repr(layer) == "Conv1d(2, 3, 4)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Conv2d(0, 1, 3), ConfigError, "Conv2d.in_channels must be an integer >= 1"),
        (lambda: nn.Conv2d(1, 1, (3,)), ConfigError, r"Conv2d.kernel_size .* 2 of them, got \(3,"),
        (
            lambda: nn.Conv1d(1, 1, 3, stride=0),
            ConfigError,
            "Conv1d.stride must be an integer >= 1",
        ),
        (lambda: nn.Conv1d(1, 1, 3, dilation=0), ConfigError, "Conv1d.dilation must be an integer"),
        (
            lambda: nn.Conv1d(1, 1, 3, padding=-1),
            ConfigError,
            "Conv1d.padding must be an integer >=",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, padding="full"),
            ConfigError,
            '"same" or "valid", got \'full\'',
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, stride=(1, 2), padding="same"),
            ConfigError,
            r'padding="same" needs stride 1, got stride \(1, 2\)',
        ),
        (
            lambda: nn.Conv2d(4, 6, 3, groups=4),
            ConfigError,
            "groups must divide in_channels, 4, and",
        ),
        (
            lambda: nn.Conv2d(4, 6, 3, groups=0),
            ConfigError,
            "Conv2d.groups must be an integer >= 1",
        ),
        (
            lambda: nn.Conv2d(3, 1, 3)(np.ones((2, 5, 5))),
            ShapeError,
            r"\(batch, 3, height, width\) or \(3, height, width\), got \(2, 5, 5\)",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, dilation=2)(np.ones((1, 4, 5))),
            ShapeError,
            r"kernel of \(3, 3\) with dilation \(2, 2\) .* does not fit into an image of \(4, 5\)",
        ),
        (
            lambda: nn.Conv1d(1, 1, 2).set_weights([[1, 2]]),
            ShapeError,
            r"Conv1d.set_weights: weight must have shape \(1, 1, 2\)",
        ),
        (
            lambda: nn.Conv1d(1, 1, 1).set_weights([[[np.inf]]]),
            DataError,
            "weight must be finite, got inf",
        ),
        (
            lambda: nn.Conv1d(1, 1, 1, bias=False).set_weights([[[1]]], [1]),
            ShapeError,
            "has no bias, got one",
        ),
    ],
)
def test_a_convolution_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
