"""Output and all gradients of every layer against a float64 reference and central differences."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import DataError, ShapeError
from tests.naive import layers as naive
from tests.nn.test_gradients import slope


def pooling(kind, f, dims, shape, size, stride=None, padding=0):
    each = [[v] * dims if isinstance(v, int) else v for v in (size, stride or size, padding)]
    return lambda: kind(size, stride, padding), lambda x: f(x, dims, *each), shape


def convolution(
    dims, channels, shape, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True
):
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    strides, dilations = ([v] * dims if isinstance(v, int) else v for v in (stride, dilation))
    sides = [(padding, padding)] * dims if isinstance(padding, int) else padding[1]
    name = padding if isinstance(padding, int) else padding[0]

    def f(x, w, b=None):
        y = naive.conv(
            x.reshape(-1, *x.shape[-dims - 1 :]), w, b, strides, sides, dilations, groups
        )
        return y.reshape(*x.shape[: -dims - 1], *y.shape[1:])

    return lambda: kind(*channels, kernel, stride, name, dilation, groups, bias, rng=3), f, shape


def residual(x, w, b, w2, b2):
    return np.tanh(x @ w.T + b) + x @ w2.T + b2


CASES = {
    "leaky": (lambda: nn.LeakyReLU(0.2), lambda x: naive.leaky_relu(x, 0.2), (2, 3)),
    "softplus": (nn.Softplus, naive.softplus, (2, 3)),
    "gelu": (nn.GELU, naive.gelu, (2, 3)),
    "max 1d": pooling(nn.MaxPool1d, naive.max_pool, 1, (2, 3, 7), 3, 2, 1),
    "max 2d": pooling(nn.MaxPool2d, naive.max_pool, 2, (2, 2, 4, 6), 2),
    "max 2d, overlapping": pooling(nn.MaxPool2d, naive.max_pool, 2, (2, 5, 6), (3, 2), 1, (1, 0)),
    "max 2d, with gaps": pooling(nn.MaxPool2d, naive.max_pool, 2, (1, 2, 7, 8), 2, (3, 4)),
    "max 3d": pooling(nn.MaxPool3d, naive.max_pool, 3, (2, 3, 4, 5), 2, 1, 1),
    "mean 1d": pooling(nn.AvgPool1d, naive.avg_pool, 1, (2, 3, 7), 3, 2, 1),
    "mean 2d": pooling(nn.AvgPool2d, naive.avg_pool, 2, (2, 2, 5, 6), (2, 3), 1, 1),
    "mean 3d": pooling(nn.AvgPool3d, naive.avg_pool, 3, (2, 4, 4, 4), 2),
    "mean of parts, 1d": (
        lambda: nn.AdaptiveAvgPool1d(2),
        lambda x: naive.adaptive_avg_pool(x, 1, [2]),
        (2, 3, 6),
    ),
    "mean of all": (
        lambda: nn.AdaptiveAvgPool2d(1),
        lambda x: naive.adaptive_avg_pool(x, 2, [1, 1]),
        (2, 3, 4, 5),
    ),
    "mean of parts, 3d": (
        lambda: nn.AdaptiveAvgPool3d((1, 2, 3)),
        lambda x: naive.adaptive_avg_pool(x, 3, [1, 2, 3]),
        (2, 2, 4, 3),
    ),
    "batch norm of vectors": (lambda: nn.BatchNorm1d(3), naive.batch_norm, (4, 3)),
    "batch norm of sequences": (lambda: nn.BatchNorm1d(2), naive.batch_norm, (3, 2, 4)),
    "batch norm": (lambda: nn.BatchNorm2d(2), naive.batch_norm, (2, 2, 3, 2)),
    "batch norm without scale": (
        lambda: nn.BatchNorm2d(2, affine=False, eps=0.1),
        lambda x: naive.batch_norm(x, [1, 1], [0, 0], eps=0.1),
        (2, 2, 3, 2),
    ),
    "batch norm, fixed": (
        lambda: nn.BatchNorm2d(2, fixed=True),
        lambda x, w, b: naive.batch_norm(x, w, b, [0, 0], [1, 1]),
        (2, 2, 3, 2),
    ),
    "layer norm": (lambda: nn.LayerNorm(4), naive.layer_norm, (2, 3, 4)),
    "layer norm of matrices": (lambda: nn.LayerNorm((2, 3)), naive.layer_norm, (2, 2, 3)),
    "layer norm without scale": (
        lambda: nn.LayerNorm([4], eps=0.1, affine=False),
        lambda x: naive.layer_norm(x, np.ones(4), np.zeros(4), eps=0.1),
        (3, 4),
    ),
    "convolution 1d": convolution(1, (2, 3), (2, 2, 7), 3, stride=2, padding=1),
    "convolution 2d": convolution(2, (2, 3), (2, 2, 4, 4), (2, 3)),
    "convolution 2d, one image": convolution(2, (2, 1), (2, 5, 4), 2, bias=False),
    "convolution 2d, all options": convolution(
        2, (4, 2), (1, 4, 6, 5), (2, 2), stride=(2, 1), padding=1, dilation=(1, 2), groups=2
    ),
    "convolution 2d, same": convolution(
        2, (1, 2), (2, 1, 3, 4), (2, 3), padding=("same", [(0, 1), (1, 1)])
    ),
    "convolution 2d, channel by channel": convolution(2, (3, 3), (2, 3, 3, 3), 2, groups=3),
    "convolution 3d": convolution(3, (1, 2), (1, 1, 3, 3, 4), 2, stride=(1, 2, 1), padding=1),
    "flatten": (nn.Flatten, lambda x: x.reshape(2, 12), (2, 3, 4)),
    "reshape": (lambda: nn.Reshape(3, -1, 2), lambda x: x.reshape(2, 3, 2, 2), (2, 12)),
    "padded channels": (
        lambda: nn.PadChannels(5, stride=2),
        lambda x: naive.pad_channels(x, 5, 2),
        (2, 2, 5, 4),
    ),
    "residual": (
        lambda: nn.Residual(nn.Linear(3, 3, rng=1), nn.Tanh()),
        lambda x, w, b: np.tanh(x @ w.T + b) + x,
        (2, 3),
    ),
    "residual with a shortcut": (
        lambda: nn.Residual(nn.Linear(3, 2, rng=1), nn.Tanh(), shortcut=nn.Linear(3, 2, rng=2)),
        residual,
        (2, 3),
    ),
    "branches": (
        lambda: nn.Concat(nn.Linear(3, 2, rng=1), nn.Tanh(), nn.Linear(3, 1, rng=2)),
        lambda x, w, b, w2, b2: np.concatenate([x @ w.T + b, np.tanh(x), x @ w2.T + b2], 1),
        (2, 3),
    ),
}
CLOSE = {"rtol": 1e-4, "atol": 2e-5}  # float32, whose sums here have up to 100 terms of size 1


@pytest.mark.parametrize("name", CASES)
def test_a_layer_has_the_output_and_the_gradients_of_its_equation(name):
    build, f, shape = CASES[name]
    rng, layer = np.random.default_rng(7), build()
    for parameter in layer.parameters():
        parameter[...] += rng.normal(size=parameter.shape)  # no ones and zeros
    x = rng.normal(size=shape).astype(np.float32)
    values = [np.array(p, np.float64) for p in layer.parameters()]
    y = layer(x)
    np.testing.assert_allclose(y, f(x.astype(np.float64), *values), **CLOSE)
    assert y.dtype == np.float32
    d = rng.normal(size=y.shape).astype(np.float32)
    dx = layer.backward(d, input_grad=True)
    loss = lambda x, *values: (d * f(x, *values)).sum()  # noqa: E731
    np.testing.assert_allclose(dx, slope(lambda x: loss(x, *values), x), **CLOSE)
    assert dx.dtype == np.float32
    for i, parameter in enumerate(layer.parameters()):
        vary = lambda v, i=i: loss(x, *values[:i], v, *values[i + 1 :])  # noqa: E731
        np.testing.assert_allclose(parameter.grad, slope(vary, values[i]), **CLOSE)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_used_twice_goes_back_in_the_opposite_order(name):
    build, _, shape = CASES[name]
    rng, layer, other = np.random.default_rng(8), build(), build()
    x1, x2 = rng.normal(size=(2, *shape)).astype(np.float32)
    first, second = layer(x1), layer(x2)
    d = rng.normal(size=first.shape).astype(np.float32)
    back = layer.backward(d, input_grad=True), layer.backward(d, input_grad=True)
    expected = []
    for x, y in ((x2, second), (x1, first)):
        np.testing.assert_array_equal(other(x), y)
        expected.append(other.backward(d, input_grad=True))
    np.testing.assert_array_equal(back, expected)
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, two.grad)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_writes_into_no_argument_and_spares_what_is_not_wanted(name):
    build, _, shape = CASES[name]
    layer, x = build(), np.ones(shape, np.float32)
    x.flags.writeable = False
    y = layer(x)
    d = np.ones_like(y)
    d.flags.writeable = False
    assert layer.backward(d, input_grad=False) is None
    gradients = [np.array(p.grad) for p in layer.parameters()]
    layer.freeze()
    layer(x)
    layer.backward(d, input_grad=True)
    for before, parameter in zip(gradients, layer.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, before)
    assert not any(module._kept for _, module in layer.named_modules())


@pytest.mark.parametrize("name", CASES)
def test_evaluation_keeps_nothing_and_a_forward_can_be_forgotten(name):
    build, _, shape = CASES[name]
    layer, x = build(), np.ones(shape, np.float32)
    layer(x)
    layer.forget()
    layer.eval()(x)
    assert not any(module._kept for _, module in layer.named_modules())


@pytest.mark.parametrize("name", CASES)
def test_a_layer_refuses_a_gradient_of_another_shape_and_text(name):
    build, _, shape = CASES[name]
    layer = build()
    y = layer(np.ones(shape))
    with pytest.raises(ShapeError, match="grad must have the shape of the output"):
        layer.backward(np.ones((*y.shape, 1)))
    with pytest.raises(DataError, match=r"forward: x must hold real numbers, got <U1"):
        layer(np.full(shape, "a"))


@pytest.mark.parametrize("name", [name for name in CASES if "batch norm" not in name])
def test_integers_count_as_numbers_and_nan_goes_through(name):
    build, _, shape = CASES[name]
    layer, rng = build().eval(), np.random.default_rng(0)
    x = rng.integers(-3, 4, shape)
    np.testing.assert_array_equal(layer(x), layer(x.astype(np.float32)))
    x = x.astype(np.float32)
    x[(0,) * x.ndim] = np.nan
    assert np.isnan(layer(x)).any()


@pytest.mark.parametrize("name", CASES)
def test_a_batch_of_nothing_has_an_output_of_nothing(name):
    build, _, shape = CASES[name]
    if len(build()(np.ones(shape))) == shape[0]:  # batch first
        layer = build().eval()
        assert layer(np.ones((0, *shape[1:]))).shape[0] == 0
