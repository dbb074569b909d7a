"""Linear layers: what they start from, what they keep, what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rpusim import FloatingPointRPUConfig, nn
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.nn.module import MOST_KEPT


def test_initial_weights_are_uniform_within_the_inverse_root_of_the_inputs():
    layer = nn.Linear(400, 50, rng=1)
    bound = 1 / np.sqrt(400)
    law, five_sigma = stats.uniform(-bound, 2 * bound), 2 * stats.norm.sf(5)
    assert stats.kstest(np.ravel(layer.weight), law.cdf).pvalue > five_sigma
    assert stats.kstest(np.ravel(layer.bias), law.cdf).pvalue > five_sigma


def test_a_seed_makes_the_same_layer_again_digital_or_analog(analog_linear):
    first = analog_linear(6, 4, rng=np.random.default_rng(5))
    again, digital = analog_linear(6, 4, rng=first.seed), nn.Linear(6, 4, rng=first.seed)
    other = analog_linear(6, 4, rng=None)
    for layer in (again, digital):
        np.testing.assert_array_equal(layer.weight, first.weight)
        np.testing.assert_array_equal(layer.bias, first.bias)
    assert not np.array_equal(other.weight, first.weight)
    a, b = (layer.tile.seed.generate_state(4) for layer in (first, again))
    np.testing.assert_array_equal(a, b)


def test_tile_and_weights_draw_from_different_streams(analog_linear):
    layer = analog_linear(6, 4, rng=7)
    tile = np.random.default_rng(layer.tile.seed).uniform(-1, 1, (4, 6)) / np.sqrt(6)
    assert not np.isclose(layer.weight, tile, atol=1e-3).any()


@given(batch=st.integers(0, 3), n=st.integers(1, 4), m=st.integers(1, 4))
def test_a_linear_layer_keeps_the_leading_dimensions(batch, n, m):
    layer = nn.Linear(n, m, rng=0)
    for lead in [(), (batch,), (2, batch)]:
        y = layer(np.ones((*lead, n)))
        assert y.shape == (*lead, m)
        assert layer.backward(y).shape == (*lead, n)


def test_without_input_gradient_the_tile_is_spared_a_product(analog_linear):
    layer = analog_linear(3, 2, rng=0)
    layer(np.ones((5, 3)))
    assert layer.backward(np.ones((5, 2)), input_grad=False) is None
    assert layer.tile.log == [("forward", False)]
    assert len(layer.weight.pairs) == 1


def test_evaluation_keeps_nothing_and_reads_the_tile_as_a_test(analog_linear):
    model = nn.Sequential(analog_linear(3, 2, rng=0), nn.Tanh(), nn.Linear(2, 2, rng=0)).eval()
    model(np.ones((5, 3)))
    assert model[0].tile.log == [("forward", True)]
    assert not any(layer._kept for layer in model)
    with pytest.raises(StateError, match=r"Linear.backward .* evaluation mode none is kept"):
        model.backward(np.ones((5, 2)))


@pytest.mark.parametrize("build", [lambda: nn.Linear(3, 3, rng=0), nn.ReLU, nn.LogSoftmax])
def test_going_back_twice_through_one_forward_raises(build):
    layer = build()
    with pytest.raises(StateError, match=r"backward must follow a forward in training mode, once"):
        layer.backward(np.ones((2, 3)))
    layer.backward(layer(np.ones((2, 3))))
    with pytest.raises(StateError, match=r"there is none left to go back through\.$"):
        layer.backward(np.ones((2, 3)))


def test_a_layer_used_several_times_goes_back_in_the_opposite_order(analog_linear):
    layer = analog_linear(2, 2, rng=0)
    x = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    layer(x[0])
    layer(x[1])
    layer.backward([[1.0, 0.0]])
    layer.backward([[0.0, 1.0]])
    for (seen, _), expected in zip(layer.weight.pairs, x[::-1], strict=True):
        np.testing.assert_array_equal(seen, expected)


def test_a_frozen_layer_records_nothing_but_passes_gradients_on(analog_linear):
    layer = analog_linear(3, 2, rng=0).freeze()
    layer(np.ones((5, 3)))
    assert layer.backward(np.ones((5, 2))).shape == (5, 3)
    assert layer.weight.pairs == []
    assert layer.bias.grad is None
    layer.freeze(False)
    assert layer.weight.requires_grad


def test_training_forwards_that_never_go_back_are_noticed():
    layer = nn.ReLU()
    for _ in range(MOST_KEPT):
        layer(np.zeros(1))
    with pytest.raises(StateError, match=r"ReLU.forward: .* Call eval\(\)"):
        layer(np.zeros(1))


def test_weights_are_set_and_got_as_copies(analog_linear):
    for layer in (nn.Linear(3, 2, rng=0), analog_linear(3, 2, rng=0)):
        w, b = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0])
        layer.set_weights(w, b)
        got_w, got_b = layer.get_weights()
        np.testing.assert_array_equal(got_w, w)
        np.testing.assert_array_equal(got_b, b)
        got_w[...] = got_b[...] = 0
        np.testing.assert_array_equal(layer.weight, w)
        np.testing.assert_array_equal(layer.bias, b)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Linear(0, 2),
            ConfigError,
            r"Linear.in_features must be an integer >= 1, got 0",
        ),
        (lambda: nn.Linear(2, 1.5), ConfigError, r"out_features must be an integer >= 1, got 1.5"),
        (
            lambda: nn.AnalogLinear(2, True),
            ConfigError,
            "AnalogLinear.out_features must .* got True",
        ),
        (lambda: nn.Linear(2, 2, rng=-1), ConfigError, "rng must be"),
        (
            lambda: nn.Linear(3, 2)(np.ones(2)),
            ShapeError,
            r"x must have shape \(..., 3\), got \(2,\)",
        ),
        (lambda: nn.Linear(3, 2)(["a", "b", "c"]), DataError, "x must hold real numbers, got <U1"),
        (
            lambda: nn.Linear(1, 2).set_weights([1, 2]),
            ShapeError,
            r"weight must have shape \(2, 1\)",
        ),
        (
            lambda: nn.Linear(1, 1).set_weights([[np.nan]]),
            DataError,
            "weight must be finite, got nan",
        ),
        (
            lambda: nn.Linear(1, 1, False).set_weights([[1]], [1]),
            ShapeError,
            "has no bias, got one",
        ),
        (
            lambda: nn.Sequential(nn.Tanh(), np.tanh),
            ConfigError,
            "layer 1 must be a Module, got ufunc",
        ),
    ],
)
def test_a_layer_says_what_is_wrong_with_its_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


RAGGED = [[1.0, 2.0], [3.0]]
EXACT = FloatingPointRPUConfig()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(2, 2, rng=1),
        nn.AnalogLinear(2, 2, rpu_config=EXACT),
        nn.QuantLinear(2, 2, rng=1),
        nn.Conv1d(2, 2, 1, rng=1),
        nn.AnalogConv1d(2, 2, 1, rpu_config=EXACT),
        nn.GroupedAnalogConv(1, 2, 2, 1, groups=2, rpu_config=EXACT),
        nn.RNN(nn.GRUCell, 2, 2, rng=1),
        nn.GRUCell(2, 2, rng=1),
        nn.Concat(nn.Tanh(), nn.ReLU()),
        nn.Residual(nn.Tanh()),
        nn.BatchNorm1d(2),
        nn.LayerNorm(2),
        nn.Dropout(0.5, rng=1),
        nn.Tanh(),
        nn.GELU(),
        nn.Flatten(),
        nn.AvgPool1d(1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_rows_of_different_lengths_are_no_array(layer):
    with pytest.raises(DataError, match="must be an array of numbers"):
        layer(RAGGED)
    if hasattr(layer, "set_weights"):
        with pytest.raises(DataError, match="must be an array of numbers"):
            layer.set_weights(RAGGED)


@pytest.mark.parametrize("value", [None, "no", 2, 1.0, np.ones(2)], ids=str)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda v: nn.Linear(2, 2, v), "Linear.bias"),
        (lambda v: nn.QuantLinear(2, 2, v), "QuantLinear.bias"),
        (lambda v: nn.AnalogLinear(2, 2, v, EXACT), "AnalogLinear.bias"),
        (lambda v: nn.AnalogLinearMapped(2, 2, v, EXACT), "AnalogLinearMapped.bias"),
        (lambda v: nn.Conv2d(1, 1, 3, bias=v), "Conv2d.bias"),
        (lambda v: nn.AnalogConv2d(1, 1, 3, bias=v, rpu_config=EXACT), "AnalogConv2d.bias"),
        (
            lambda v: nn.GroupedAnalogConv(1, 2, 2, 1, 2, bias=v, rpu_config=EXACT),
            "AnalogConv1d.bias",
        ),
    ],
)
def test_a_layer_has_a_bias_or_none(make, name, value):
    with pytest.raises(ConfigError, match=rf"^{name} must be True or False, got "):
        make(value)
    assert make(np.False_).get_weights()[1] is None


@pytest.mark.parametrize("shape", [(5, 3), (2,), (4, 2)])
def test_a_gradient_must_have_the_shape_of_the_output(shape, analog_linear):
    for layer in (nn.Linear(3, 2, rng=0), analog_linear(3, 2, rng=0), nn.Sequential(nn.Tanh())):
        layer(np.ones((5, 3)))
        out = r"\(5, 3\)" if len(layer.parameters()) == 0 else r"\(5, 2\)"
        if out == r"\(5, 3\)" and shape == (5, 3):
            continue
        with pytest.raises(
            ShapeError, match=rf"grad must have the shape of the output, {out}, got"
        ):
            layer.backward(np.ones(shape), input_grad=True)
