"""Pooling: ties, NaN, threads and backends, and windows that cannot be."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn
from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels import pooling
from rpusim.kernels.bind import kernel


def test_the_first_of_equal_values_gets_the_gradient():
    layer = nn.MaxPool2d(2)
    layer(np.ones((1, 1, 2, 4)))
    np.testing.assert_array_equal(layer.backward([[[[1.0, 2.0]]]]), [[[[1, 0, 2, 0], [0] * 4]]])


def test_a_value_in_several_windows_gets_all_their_gradients():
    layer = nn.MaxPool1d(3, stride=1, padding=1)
    np.testing.assert_array_equal(layer([[0.0, 5.0, 1.0, 5.0]]), [[5.0, 5.0, 5.0, 5.0]])
    np.testing.assert_array_equal(layer.backward([[1.0, 2.0, 4.0, 8.0]]), [[0.0, 7.0, 0.0, 8.0]])


def test_what_is_padded_is_never_the_largest_and_counts_in_a_mean():
    x = -np.ones((1, 2, 2))
    np.testing.assert_array_equal(nn.MaxPool2d(2, padding=1)(x), -np.ones((1, 2, 2)))
    np.testing.assert_array_equal(nn.AvgPool2d(2, padding=1)(x), -np.ones((1, 2, 2)) / 4)


def test_minus_infinity_and_nan_have_a_place_too():
    layer = nn.MaxPool1d(2)
    x = [-np.inf, -np.inf, np.nan, 1.0, 1.0, np.nan]
    np.testing.assert_array_equal(layer(x), [-np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(layer.backward([1.0, 2.0, 3.0]), [1, 0, 2, 0, 0, 3])


@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7), (2, 3, 6, 7), (2, 1, 3, 6, 7)])
def test_leading_dimensions_are_free(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d((3, 1))):
        y = layer(x)
        planes = layer(x.reshape(-1, 6, 7))
        np.testing.assert_array_equal(y.reshape(planes.shape), planes)


def test_arrays_in_any_order_of_memory_give_the_same():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8)).astype(np.float32)
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2)):
        y = layer(x)
        np.testing.assert_array_equal(layer(np.asfortranarray(x)), y)
        back = layer.backward(y)
        np.testing.assert_array_equal(layer.backward(np.asfortranarray(y)), back)


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_results_do_not_depend_on_the_number_of_threads(kind):
    x = np.random.default_rng(0).normal(size=(40, 8, 48, 48)).astype(np.float32)
    threads, results = rs.get_num_threads(), []
    try:
        for count in (1, 3):
            rs.set_num_threads(count)
            layer = kind(3, stride=2, padding=1)
            y = layer(x)
            results.append((y, layer.backward(y)))
    finally:
        rs.set_num_threads(threads)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_plain_python_and_machine_code_give_the_same_bits():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, (2, 3, 4, 5)).astype(np.float32) + 0.1
    sizes = (2, 3, 2), (1, 2, 1), (1, 1, 0)
    results = []
    for target in ("cpu", "python"):
        y, mean = np.empty((2, 2, 4, 2, 4), np.float32)
        place, dx, dm = np.empty(y.shape, np.int32), np.empty_like(x), np.empty_like(x)
        kernel(pooling.largest, target)(0, 2, x, y, place, *sizes)
        kernel(pooling.largest_back, target)(0, 2, y, place, dx)
        kernel(pooling.mean, target)(0, 2, x, mean, *sizes)
        kernel(pooling.mean_back, target)(0, 2, mean, dm, *sizes)
        results.append((y, place, dx, mean, dm))
    for compiled, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, plain)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.MaxPool2d(0), ConfigError, r"MaxPool2d.size must be an integer >= 1 or 2 of"),
        (lambda: nn.MaxPool2d((2, 2, 2)), ConfigError, r"2 of them, got \(2, 2, 2\)"),
        (lambda: nn.AvgPool1d(2.0), ConfigError, r"AvgPool1d.size must be an integer >= 1, got"),
        (lambda: nn.AvgPool2d(2, stride=[1, 0]), ConfigError, r"AvgPool2d.stride .* \[1, 0\]"),
        (lambda: nn.MaxPool2d(2, padding=-1), ConfigError, r"padding must be an integer >= 0"),
        (lambda: nn.MaxPool2d(3, padding=2), ConfigError, r"most half of size, \(3, 3\), .*\(2, 2"),
        (lambda: nn.AdaptiveAvgPool2d("1"), ConfigError, r"AdaptiveAvgPool2d.size must be an int"),
        (
            lambda: nn.MaxPool2d(2)(np.ones(3)),
            ShapeError,
            r"MaxPool2d.forward: x must have shape \(..., height, width\), got \(3,\)",
        ),
        (
            lambda: nn.MaxPool2d(3)(np.ones((1, 2, 5))),
            ShapeError,
            r"must be as large as a window, \(3, 3\).* got \(2, 5\) in shape \(1, 2, 5\)",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(2)(np.ones((1, 4, 5))),
            ShapeError,
            r"last 2 dimensions of x must be multiples of the output's \(2, 2\), got shape \(1, 4",
        ),
        (lambda: nn.AdaptiveAvgPool2d(1)(np.ones(4)), ShapeError, r"multiples .* got shape \(4,\)"),
    ],
)
def test_a_pooling_layer_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_reprs_make_the_layer_again():
    for layer in (nn.MaxPool2d(2), nn.AvgPool1d(3, 2, 1), nn.AdaptiveAvgPool3d(1)):
        assert repr(eval(f"nn.{layer!r}")) == repr(layer)
    assert repr(nn.MaxPool2d(3, 2, 1)) == "MaxPool2d((3, 3), stride=(2, 2), padding=(1, 1))"
