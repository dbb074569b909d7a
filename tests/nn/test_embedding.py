"""Embedding: a Linear layer of one-hot inputs, looked up."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0,)])
def test_it_is_the_linear_layer_of_one_hot_inputs(shape):
    layer, linear = nn.Embedding(6, 3, rng=4), nn.Linear(6, 3, bias=False, rng=4)
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, 6, shape)
    y, expected = layer(symbols), linear(nn.one_hot(symbols, 6))
    np.testing.assert_array_equal(y, expected)
    d = rng.normal(size=y.shape).astype(np.float32)
    assert layer.backward(d) is None
    linear.backward(d)
    if symbols.size:
        np.testing.assert_allclose(layer.weight.grad, linear.weight.grad.T, atol=1e-6)


def test_gradients_of_equal_symbols_add_up():
    layer = nn.Embedding(3, 2, rng=0)
    layer([[2, 0], [2, 2]])
    layer.backward(np.ones((2, 2, 2)))
    np.testing.assert_array_equal(layer.weight.grad, [[1, 1], [0, 0], [3, 3]])
    layer([1])
    layer.backward(np.ones((1, 2)))
    np.testing.assert_array_equal(layer.weight.grad, [[1, 1], [1, 1], [3, 3]])


def test_it_stands_first_in_a_chain_and_takes_what_batches_give():
    model = nn.Sequential(nn.Embedding(5, 3, rng=0), nn.Flatten(), nn.Linear(6, 2, rng=1))
    X, T = np.array([[0, 1], [2, 3], [4, 0], [1, 1]]), np.array([0, 1, 0, 1])
    for x, t in nn.batches(X, T, size=2, rng=0):
        _, grad = nn.cross_entropy(model(x), t)
        assert model.backward(grad) is None
    assert model[0].weight.grad.any()
    other = nn.Sequential(nn.Embedding(5, 3, rng=8), nn.Flatten(), nn.Linear(6, 2, rng=9))
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(X), model(X))


def test_a_frozen_table_stays():
    layer = nn.Embedding(3, 2, rng=0).freeze()
    layer([1])
    layer.backward(np.ones((1, 2)))
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(0, 2), ConfigError, "Embedding.num must be an integer >= 1, got 0"),
        (lambda: nn.Embedding(2, 0), ConfigError, "Embedding.dim must be an integer >= 1, got 0"),
        (lambda: nn.Embedding(3, 2)([3]), DataError, r"x must be in 0\.\.2, got 3"),
        (lambda: nn.Embedding(3, 2)([-1]), DataError, r"x must be in 0\.\.2, got -1"),
        (lambda: nn.Embedding(3, 2)([0.5]), DataError, r"x must be whole numbers, got 0\.5"),
        (lambda: nn.Embedding(3, 2)([np.nan]), DataError, r"x must be in 0\.\.2, got nan"),
        (lambda: nn.Embedding(3, 2)([True]), DataError, r"x must be whole numbers, got bool"),
        (
            lambda: nn.Embedding(3, 2)([[1, 2], [0]]),
            DataError,
            "forward: x must be an array of nu",
        ),
        (lambda: nn.Embedding(3, 2)(["a"]), DataError, r"x must be whole numbers, got <U1"),
        (
            lambda: nn.Embedding(3, 2).set_weights(np.ones((2, 3))),
            ShapeError,
            r"weight must have shape \(3, 2\), got \(2, 3\)",
        ),
        (
            lambda: nn.Embedding(1, 1).set_weights([[1]], [1]),
            ShapeError,
            "has no bias, got one",
        ),
    ],
)
def test_an_embedding_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
