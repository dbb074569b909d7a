"""One-hot codes, normalisation, validation samples, metrics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError


@given(shape=st.lists(st.integers(0, 3), max_size=2), classes=st.integers(1, 4))
def test_one_hot_codes_are_rows_of_the_identity(shape, classes):
    labels = np.random.default_rng(0).integers(0, classes, shape)
    codes = nn.one_hot(labels, classes)
    np.testing.assert_array_equal(codes, np.eye(classes)[labels])
    assert codes.dtype == np.float32


@pytest.mark.parametrize("shape", [(20,), (20, 3), (20, 3, 4), (20, 3, 4, 5)])
def test_normalised_channels_have_mean_0_and_deviation_1(shape):
    X = 5.0 + 3.0 * np.random.default_rng(0).normal(size=shape)
    Z, mean, std = nn.normalise(X)
    axes = tuple(i for i in range(len(shape)) if i != 1)
    np.testing.assert_allclose(Z.mean(axis=axes), 0.0, atol=1e-5)
    np.testing.assert_allclose(Z.std(axis=axes), 1.0, rtol=1e-5)
    again, _, _ = nn.normalise(X, mean, std)
    np.testing.assert_array_equal(again, Z)
    assert Z.dtype == mean.dtype == std.dtype == np.float32
    assert Z.shape == shape


def test_figures_of_the_training_samples_serve_the_test_samples():
    _, mean, std = nn.normalise([[0.0], [2.0]])
    np.testing.assert_array_equal(nn.normalise([[3.0]], mean, std)[0], [[2.0]])


def test_a_channel_that_does_not_vary_becomes_zero():
    for value in (0.0, 0.1, -3e7, 1e-30):
        Z, mean, std = nn.normalise(np.full((1000, 2), value))
        np.testing.assert_array_equal(Z, 0.0)
        np.testing.assert_array_equal(std, 1.0)
        np.testing.assert_array_equal(mean, np.float32(value))


@given(n=st.integers(2, 40), seed=st.integers(0, 9))
def test_every_sample_is_on_one_side_of_a_split(n, seed):
    X = np.arange(n)
    (x, t), (x_val, t_val) = nn.split(X, 10 * X, fraction=0.5, rng=seed)
    assert len(x_val) == round(0.5 * n)
    assert sorted([*x, *x_val]) == list(range(n))
    np.testing.assert_array_equal(t, 10 * x)
    np.testing.assert_array_equal(t_val, 10 * x_val)
    again = nn.split(X, X, fraction=0.5, rng=seed)
    np.testing.assert_array_equal(again[0][0], x)


def test_accuracy_error_and_perplexity():
    logits = [[[0.0, 2.0], [1.0, 1.0]], [[-np.inf, 0.0], [3.0, 1.0]]]
    labels = [[1, 0], [0, 1]]
    assert nn.accuracy(logits, labels) == 0.5
    assert nn.error(logits, labels) == 0.5
    loss, _ = nn.cross_entropy(np.zeros((3, 7)), [0, 1, 2])
    assert nn.perplexity(loss) == pytest.approx(7.0, rel=1e-6)
    assert nn.perplexity(1e6) == math.inf


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.one_hot([3], 3), DataError, r"one_hot: labels must be in 0\.\.2, got 3"),
        (lambda: nn.one_hot([-1], 3), DataError, r"in 0\.\.2, got -1"),
        (lambda: nn.one_hot([1.0], 3), DataError, "labels must be integers, got float64"),
        (lambda: nn.one_hot([[1], [1, 2]], 3), DataError, "one_hot: labels must be an array"),
        (lambda: nn.one_hot([1], 0), ConfigError, "one_hot: classes must be an integer >= 1"),
        (lambda: nn.normalise(np.ones((0, 2))), ShapeError, r"n > 0, got \(0, 2\)"),
        (lambda: nn.normalise(1.0), ShapeError, r"normalise: X must have shape"),
        (
            lambda: nn.normalise(np.ones((2, 3)), mean=[0, 0]),
            ShapeError,
            r"normalise: mean must have shape \(3,\), got \(2,\)",
        ),
        (lambda: nn.normalise([[1.0]], std=[0]), DataError, r"normalise: std must be > 0, got 0"),
        (lambda: nn.split([1, 2], [1]), ShapeError, r"equally many samples, got shapes \(2,\) and"),
        (lambda: nn.split([[1], [1, 2]], [1, 2]), DataError, "split: X must be an array"),
        (lambda: nn.split([1, 2], [[1], [1, 2]]), DataError, "split: T must be an array"),
        (lambda: nn.split([1, 2], [1, 2], 0.1), ConfigError, r"on both sides of 2, got 0\.1"),
        (lambda: nn.split([1, 2], [1, 2], 1.5), ConfigError, r"fraction .* in 0\.\.1, got 1\.5"),
        (
            lambda: nn.accuracy(np.ones((2, 3)), [1]),
            ShapeError,
            r"labels \(...\), got \(2, 3\) and \(1,\)",
        ),
        (lambda: nn.accuracy(np.ones((0, 3)), []), ShapeError, r"got \(0, 3\) and \(0,\)"),
        (lambda: nn.accuracy([[1, 2]], [1.0]), DataError, "labels must be integers, got float64"),
        (lambda: nn.accuracy([[1, 2]], [[1], [1, 2]]), DataError, "labels must be an array"),
        (lambda: nn.error([[np.nan, 2]], [1]), DataError, "logits must be finite, got nan"),
        (lambda: nn.perplexity(math.nan), DataError, "perplexity: loss must be a number, got nan"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
