"""Dropout: how much, which, and how a restored run goes on."""

import copy

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ConfigError
from tests.naive.tolerance import check_proportion


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_fraction_p_is_dropped_and_the_rest_made_larger(p):
    y = nn.Dropout(p, rng=1)(np.ones((100, 400)))
    check_proportion(y == 0, p)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)


def test_forwards_places_and_seeds_drop_independently():
    layer, other = nn.Dropout(rng=1), nn.Dropout(rng=2)
    masks = [f(np.ones(40000)) != 0 for f in (layer, layer, other)]
    pairs = [(masks[0], masks[1]), (masks[0], masks[2]), (masks[0][1:], masks[0][:-1])]
    for one, two in pairs:
        check_proportion(one == two, 0.5)


def test_the_gradient_passes_where_the_value_passed():
    layer, rng = nn.Dropout(0.3, rng=0), np.random.default_rng(0)
    x, d = rng.normal(size=(2, 5, 6)).astype(np.float32)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(layer.backward(d) * x, second * d, rtol=1e-6)
    np.testing.assert_allclose(layer.backward(d) * x, first * d, rtol=1e-6)


def test_evaluation_changes_nothing_and_counts_nothing():
    layer, x = nn.Dropout(0.5, rng=3), np.ones((2, 3), np.float32)
    before = layer.state_dict()["stream"]
    np.testing.assert_array_equal(layer.eval()(x), x)
    np.testing.assert_array_equal(layer.state_dict()["stream"], before)


def test_nothing_is_dropped_with_p_zero():
    x = np.ones(1000)
    np.testing.assert_array_equal(nn.Dropout(0, rng=0)(x), x)


def test_a_seed_repeats_the_run_and_a_restored_layer_continues_it():
    x = np.ones((4, 9))
    first, again = nn.Dropout(rng=5), nn.Dropout(rng=5)
    for _ in range(3):
        np.testing.assert_array_equal(first(x), again(x))
    restored = nn.Sequential(nn.Dropout(rng=77))
    restored.load_state_dict({f"0.{name}": a for name, a in first.state_dict().items()})
    for other in (restored, copy.deepcopy(first)):
        np.testing.assert_array_equal(other(x), again(x))
        again.load_state_dict(first.state_dict())


def test_the_count_survives_beyond_what_float32_holds():
    layer = nn.Dropout(rng=5)
    state = layer.state_dict()
    state["stream"][4:] = [65535, 65535, 7, 0]  # low word full
    layer.load_state_dict(state)
    layer(np.ones(1))
    np.testing.assert_array_equal(layer.state_dict()["stream"][4:], [0, 0, 8, 0])


def test_any_shape_will_do():
    for shape in ((), (0,), (3,), (2, 3, 4)):
        assert nn.Dropout(rng=0)(np.ones(shape)).shape == shape


@pytest.mark.parametrize("p", [1, 1.0, -0.1, "0.5", None, True, np.nan])
def test_a_probability_must_be_one(p):
    with pytest.raises(ConfigError, match=r"Dropout.p must be a number in 0..1, 1 excluded, got"):
        nn.Dropout(p)
