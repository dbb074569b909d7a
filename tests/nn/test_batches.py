"""Mini-batches: each sample once, repeatable order, types, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError


@given(n=st.integers(1, 20), size=st.integers(1, 25), seed=st.integers(0, 99))
def test_every_sample_comes_once_with_its_target(n, size, seed):
    X, T = np.arange(2.0 * n).reshape(n, 2), np.arange(n)
    parts = list(nn.batches(X, T, size=size, rng=seed))
    x, t = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert sorted(t) == list(range(n))
    np.testing.assert_array_equal(x, X[t])
    assert [len(t) for _, t in parts[:-1]] == [size] * (len(parts) - 1)
    assert 1 <= len(parts[-1][1]) <= size


def test_the_order_is_that_of_a_fresh_generator():
    order = np.random.default_rng(3).permutation(10)
    for _ in range(2):
        t = np.concatenate([t for _, t in nn.batches(range(10), range(10), size=4, rng=3)])
        np.testing.assert_array_equal(t, order)


def test_a_generator_goes_on_from_epoch_to_epoch():
    rng = np.random.default_rng(0)
    first, second = (
        np.concatenate([t for _, t in nn.batches(range(50), range(50), size=8, rng=rng)])
        for _ in range(2)
    )
    assert not np.array_equal(first, second)


def test_samples_become_float32_and_targets_keep_their_type():
    x, t = next(nn.batches([[1, 2]], ["cat"], size=1))
    assert (x.dtype, t.dtype) == (np.float32, np.dtype("<U3"))


def test_order_and_a_short_last_batch_can_be_declined():
    sizes = [t.tolist() for _, t in nn.batches(range(5), range(5), size=2, shuffle=False)]
    assert sizes == [[0, 1], [2, 3], [4]]
    sizes = [len(t) for _, t in nn.batches(range(5), range(5), size=2, drop_last=True)]
    assert sizes == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], [1], 1), ShapeError, r"equally many samples.* got shapes \(2,\) and \(1,\)"),
        (([], [], 1), ShapeError, "at least one"),
        (([1], [1], 0), ConfigError, "batches: size must be an integer >= 1, got 0"),
        (([1j], [1], 1), DataError, "batches: X must hold real numbers, got complex128"),
        (([[1], [1, 2]], [1, 2], 1), DataError, "batches: X must be an array of numbers"),
        (([1, 2], [[1], [1, 2]], 1), DataError, "batches: T must be an array of numbers"),
        (([1], [1], 2, 0, True, True), ConfigError, "size must be <= 1, .* got 2"),
    ],
)
def test_wrong_arguments_are_told_at_the_call(arguments, error, message):
    with pytest.raises(error, match=message):
        nn.batches(*arguments)
