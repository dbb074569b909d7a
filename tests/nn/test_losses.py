"""Losses against scipy and central differences; messages for what they cannot take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from rpusim import nn
from rpusim.errors import DataError, ShapeError
from tests.naive import layers as naive
from tests.nn.test_gradients import slope

shapes = st.lists(st.integers(1, 4), min_size=0, max_size=2).map(tuple)


@given(lead=shapes, classes=st.integers(1, 5), seed=st.integers(0, 99))
def test_cross_entropy_is_the_mean_negative_log_softmax_of_the_label(lead, classes, seed):
    rng = np.random.default_rng(seed)
    z, labels = 3 * rng.normal(size=(*lead, classes)), rng.integers(0, classes, lead)

    def loss(z):
        return -np.take_along_axis(special.log_softmax(z, -1), labels[..., None], -1).mean()

    value, grad = nn.cross_entropy(z, labels)
    assert value == pytest.approx(loss(z), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(grad, slope(loss, z), rtol=1e-4, atol=1e-6)
    assert grad.dtype == np.float32
    assert isinstance(value, float)


def test_cross_entropy_is_log_softmax_followed_by_nll():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    value, grad = nn.cross_entropy(z, labels)
    layer = nn.LogSoftmax()
    value_too, d = nn.nll(layer(z), labels)
    assert value == pytest.approx(value_too, rel=1e-6)
    np.testing.assert_allclose(grad, layer.backward(d), atol=1e-7)


def test_cross_entropy_of_huge_scores_is_exact():
    value, grad = nn.cross_entropy([[1e4, 0.0], [-1e4, 1e4]], [1, 1])
    assert value == 5000.0
    np.testing.assert_array_equal(grad, [[0.5, -0.5], [0.0, 0.0]])


def test_a_class_ruled_out_by_minus_infinity_costs_nothing_unless_it_is_the_label():
    value, grad = nn.cross_entropy([[0.0, -np.inf]], [0])
    assert value == 0.0
    np.testing.assert_array_equal(grad, [[0.0, 0.0]])
    with pytest.raises(DataError, match=r"logits must be finite, got -inf \(1 of 2 are not\)"):
        nn.cross_entropy([[0.0, -np.inf]], [1])


@given(shape=st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple), seed=st.integers(0, 9))
def test_mse_is_the_mean_over_all_elements(shape, seed):
    y, t = np.random.default_rng(seed).normal(size=(2, *shape))
    value, grad = nn.mse(y, t)
    assert value == pytest.approx(np.mean((y - t) ** 2), rel=1e-5)
    np.testing.assert_allclose(grad, 2 * (y - t) / y.size, rtol=1e-4, atol=1e-6)
    assert grad.shape == shape


@given(shape=shapes, seed=st.integers(0, 99))
def test_binary_cross_entropy_is_its_definition(shape, seed):
    rng = np.random.default_rng(seed)
    z, t = 3 * rng.normal(size=shape), rng.uniform(size=shape)
    value, grad = nn.bce_with_logits(z, t)
    assert value == pytest.approx(naive.bce(z, t), rel=1e-5)
    np.testing.assert_allclose(grad, slope(lambda z: naive.bce(z, t), z), rtol=1e-4, atol=1e-6)
    assert grad.dtype == np.float32
    assert grad.shape == shape


@pytest.mark.filterwarnings("error")
def test_binary_cross_entropy_of_huge_scores_is_exact():
    value, grad = nn.bce_with_logits([1e4, -1e4, 1e4, -1e4], [0, 1, 1, 0])
    assert value == 5000.0
    np.testing.assert_array_equal(grad, [0.25, -0.25, 0.0, 0.0])


def test_losses_leave_their_arguments_alone():
    y, t = np.full((2, 3), -1.0, np.float32), np.zeros((2, 3), np.float32)
    bce = nn.bce_with_logits
    for loss, target in [(nn.cross_entropy, [0, 1]), (nn.nll, [0, 1]), (nn.mse, t), (bce, t)]:
        loss(y, target)
        assert (y == -1).all()
        assert (t == 0).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.cross_entropy(np.ones((2, 3)), [0]),
            ShapeError,
            r"labels must have shape \(2,\)",
        ),
        (lambda: nn.cross_entropy(np.ones((2, 3)), [0, 3]), DataError, r"in 0\.\.2, got 3"),
        (lambda: nn.cross_entropy(np.ones((2, 3)), [0, -1]), DataError, r"in 0\.\.2, got -1"),
        (lambda: nn.cross_entropy(np.ones((2, 3)), [0.0, 1.0]), DataError, "integers, got float64"),
        (
            lambda: nn.cross_entropy([[np.nan, 0]], [0]),
            DataError,
            r"logits must be finite, got nan",
        ),
        (
            lambda: nn.cross_entropy([[np.inf, 0]], [0]),
            DataError,
            r"logits must be finite, got inf",
        ),
        (lambda: nn.cross_entropy([[1, 2], [3]], [0, 1]), DataError, "logits must be an array"),
        (lambda: nn.cross_entropy([[1, 2]], [[0], [1, 2]]), DataError, "labels must be an array"),
        (lambda: nn.cross_entropy([[1j, 0]], [0]), DataError, "logits must hold real numbers"),
        (
            lambda: nn.cross_entropy(np.ones((0, 3)), []),
            ShapeError,
            r"\(\.\.\., classes\), got \(0, 3\)",
        ),
        (lambda: nn.nll([[0.5, -1.0]], [0]), DataError, r"<= 0, got 0\.5; put LogSoftmax\(\)"),
        (lambda: nn.nll([[np.nan, -1.0]], [0]), DataError, "nll: log_probs must be <= 0, got nan"),
        (lambda: nn.nll([[-np.inf, 0.0]], [0]), DataError, "log_probs must be finite, got -inf"),
        (lambda: nn.mse(np.ones((2, 1)), np.ones(2)), ShapeError, r"\(2, 1\), got \(2,\)"),
        (lambda: nn.mse([np.nan], [0]), DataError, r"mse: y must be finite, got nan \(1 of 1"),
        (lambda: nn.mse([0], [np.inf]), DataError, "mse: target must be finite, got inf"),
        (lambda: nn.bce_with_logits([[1]], [1]), ShapeError, r"\(1, 1\), got \(1,\)"),
        (lambda: nn.bce_with_logits([1], [1.5]), DataError, r"target must be in 0\.\.1, got 1\.5"),
        (
            lambda: nn.bce_with_logits([1], [np.nan]),
            DataError,
            r"target must be in 0\.\.1, got nan",
        ),
        (lambda: nn.bce_with_logits([np.nan], [1]), DataError, "logits must be finite, got nan"),
        (lambda: nn.bce_with_logits([-np.inf], [0]), DataError, "logits must be finite, got -inf"),
        (lambda: nn.mse([1e30], [0]), DataError, "mse: y must be small enough for float32, got 1"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_loss_says_what_is_wrong_with_its_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
