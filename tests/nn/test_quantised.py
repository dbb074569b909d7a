"""Layers of few bits: forward against loops, backward against the slopes of what is not rounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.optim import AnalogSGD
from rpusim.periphery.ranges import ActivationQuantConfig, WeightQuantConfig
from tests.naive import grids as naive
from tests.nn.test_gradients import slope

ULP = float(np.finfo(np.float32).eps)
CURRENT = "current_minmax"


def quantised(values, n_bits, symmetric=True, span=None):
    """Round an array to the grid that spans `span`, in loops; also say where it was not clipped."""
    values = np.asarray(values, np.float64)
    span = values if span is None else span
    grid = naive.uniform(np.min(span), np.max(span), n_bits, symmetric)
    rounded, inside = naive.quantise(values.ravel().tolist(), grid)
    return np.reshape(rounded, values.shape), np.reshape(inside, values.shape)


def surrogate(values, grid):
    """Return the grid without rounding: what is straight where codes are not clipped."""
    step, zero, lowest, highest = grid
    return np.clip(values, (lowest - zero - 0.5) * step, (highest - zero + 0.5) * step)


def narrow(q, low, high):
    """Fix a quantiser to a range that its values leave."""
    q.span(low, high)
    q.set_state("fix")
    return naive.uniform(low, high, q.n_bits, q.symmetric)


@pytest.mark.parametrize("symmetric", [True, False])
@given(n_bits=st.integers(2, 8), lead=st.sampled_from([(), (3,), (2, 3)]), seed=st.integers(0, 999))
def test_a_quantised_layer_rounds_its_weights_and_then_its_outputs(symmetric, n_bits, lead, seed):
    rng = np.random.default_rng(seed)
    grids = {"n_bits": n_bits, "symmetric": symmetric}
    layer = nn.QuantLinear(4, 3, weight_quant=WeightQuantConfig(**grids), rng=seed)
    rounding = nn.QuantActivation(ActivationQuantConfig(**grids, range_estimator=CURRENT))
    x = rng.normal(size=(*lead, 4)).astype(np.float32)
    w = quantised(layer.weight.data, n_bits, symmetric)[0]
    y = layer(x)
    expected = x @ w.T + layer.bias.data
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rounding(y), quantised(y, n_bits, symmetric)[0], rtol=ULP)
    assert y.dtype == np.float32
    both = nn.QuantLinear(
        4,
        3,
        weight_quant=WeightQuantConfig(**grids),
        activation_quant=ActivationQuantConfig(**grids, range_estimator=CURRENT),
        rng=seed,
    )
    np.testing.assert_array_equal(both(x), rounding(y))


def test_without_bits_a_quantised_layer_is_a_linear_one_to_the_last_bit():
    rng = np.random.default_rng(1)
    x, d = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    plain, layer = nn.Linear(4, 3, rng=2), nn.QuantLinear(4, 3, rng=2)
    np.testing.assert_array_equal(layer(x), plain(x))
    np.testing.assert_array_equal(layer.backward(d), plain.backward(d))
    for name in ("weight", "bias"):
        np.testing.assert_array_equal(getattr(layer, name).grad, getattr(plain, name).grad)
    assert set(layer.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("symmetric", [True, False])
def test_an_activation_goes_back_through_the_slope_of_what_is_not_rounded(symmetric):
    rng = np.random.default_rng(3)
    x, d = rng.normal(size=(2, 20, 5))
    layer = nn.QuantActivation(ActivationQuantConfig(n_bits=4, symmetric=symmetric))
    grid = narrow(layer.quantiser, -0.7, 0.9)
    y = layer(x)
    np.testing.assert_allclose(y, naive_on(grid, x), rtol=ULP, atol=1e-7)
    expected = slope(lambda x: (d * surrogate(x, grid)).sum(), x)
    np.testing.assert_allclose(layer.backward(d), expected, rtol=1e-6, atol=1e-7)
    assert (expected == 0.0).any()
    layer(x)
    assert layer.backward(d, input_grad=False) is None


def naive_on(grid, x):
    return np.reshape(naive.quantise(np.ravel(x).tolist(), grid)[0], np.shape(x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantised_layer_has_the_gradients_of_what_is_not_rounded(per_channel, bias):
    rng = np.random.default_rng(4)
    layer = nn.QuantLinear(
        4,
        3,
        bias,
        WeightQuantConfig(n_bits=4, per_channel=per_channel),
        ActivationQuantConfig(n_bits=6, symmetric=False),
        rng=5,
    )
    ends = np.array([0.3, 0.2, 0.4]) if per_channel else 0.3
    layer.quantiser.span(-ends, ends)
    layer.quantiser.set_state("fix")
    a_grid = narrow(layer.output.quantiser, -0.8, 0.6)
    x, d = rng.normal(size=(7, 4)), rng.normal(size=(7, 3))
    layer(x)
    dx = layer.backward(d)

    w = layer.weight.data.astype(np.float64)
    w_grids = [naive.uniform(-e, e, 4, True) for e in np.broadcast_to(ends, 3)]
    w_q = np.array([naive_on(grid, row) for grid, row in zip(w_grids, w, strict=True)])
    b = layer.bias.data.astype(np.float64) if bias else np.zeros(3)

    def loss(x, w, b):
        return (d * surrogate(x @ w.T + b, a_grid)).sum()

    def with_change_of(w_new):  # rounded weights, moved by as much as the unrounded ones move
        rows = zip(w_grids, w, w_new, strict=True)
        moved = [surrogate(new, grid) - surrogate(old, grid) for grid, old, new in rows]
        return loss(x, w_q + moved, b)

    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(dx, slope(lambda x: loss(x, w_q, b), x), **close)
    expected = slope(with_change_of, w)
    np.testing.assert_allclose(layer.weight.grad, expected, **close)
    assert (expected == 0.0).any()
    assert (expected != 0.0).any()
    if bias:
        np.testing.assert_allclose(layer.bias.grad, slope(lambda b: loss(x, w_q, b), b), **close)


def test_the_running_range_of_outputs_is_followed_in_training_and_kept_in_evaluation():
    layer = nn.QuantActivation(ActivationQuantConfig(n_bits=8))
    layer(np.array([-1.0, 2.0]))
    layer(np.array([-3.0, 1.0]))
    layer.eval()
    layer(np.array([-99.0, 99.0]))
    state = layer.state_dict()
    assert state["quantiser.low"] == pytest.approx(0.9 * -1.0 + 0.1 * -3.0, rel=4 * ULP)
    assert state["quantiser.high"] == pytest.approx(0.9 * 2.0 + 0.1 * 1.0, rel=4 * ULP)
    assert state["quantiser.step"] == pytest.approx(1.9 / 127, rel=4 * ULP)


def test_a_model_is_calibrated_by_estimating_and_then_fixing():
    model = nn.Sequential(
        nn.QuantActivation(ActivationQuantConfig(n_bits=8, range_estimator="allminmax")),
        nn.QuantLinear(2, 2, weight_quant=WeightQuantConfig(n_bits=4), rng=0),
    ).eval()
    nn.set_quant_state(model, "estimate")
    for top in (1.0, 5.0, 2.0):
        model(np.full((3, 2), top))
    nn.set_quant_state(model, "fix")
    step = model[1].state_dict()["quantiser.step"]
    model.train()
    model[1].set_weights(10.0 * np.ones((2, 2)))
    model(np.full((3, 2), 50.0))
    assert model[0].quantiser.arrays["high"] == 5.0
    assert model[1].state_dict()["quantiser.step"] == step


def test_weights_that_are_set_are_rounded_to_a_grid_of_their_own_also_in_evaluation():
    layer = nn.QuantLinear(2, 1, False, WeightQuantConfig(n_bits=3), rng=0).eval()
    layer(np.ones((1, 2)))
    layer.set_weights([[30.0, -9.0]])
    np.testing.assert_allclose(layer(np.eye(2)), [[30.0], [-10.0]], rtol=ULP)
    np.testing.assert_array_equal(layer.get_weights()[0], [[30.0, -9.0]])


def test_training_straight_through_finds_a_teacher_whose_weights_are_on_the_grid():
    rng = np.random.default_rng(8)
    teacher = 0.25 * rng.integers(-3, 4, (3, 6)).astype(np.float32)
    teacher[0, 0] = 0.75
    student = nn.QuantLinear(6, 3, False, WeightQuantConfig(n_bits=3), rng=9)
    student.quantiser.span(-0.75, 0.75)
    nn.set_quant_state(student, "fix")
    optimizer = AnalogSGD(student.parameters(), lr=0.2)
    for _ in range(300):
        x = rng.normal(size=(32, 6)).astype(np.float32)
        _, grad = nn.mse(student(x), x @ teacher.T)
        student.backward(grad)
        optimizer.step()
    np.testing.assert_array_equal(student.quantiser(student.weight.data), teacher)
    assert not np.array_equal(student.weight.data, teacher)


def build(seed):
    return nn.Sequential(
        nn.QuantActivation(ActivationQuantConfig(n_bits=6)),
        nn.QuantLinear(
            4,
            3,
            weight_quant=WeightQuantConfig(n_bits=4, per_channel=True),
            activation_quant=ActivationQuantConfig(n_bits=5, range_estimator="MSE"),
            rng=seed,
        ),
    )


def test_grids_and_ranges_go_round_with_the_state():
    rng = np.random.default_rng(10)
    model, other = build(1), build(2)
    model(rng.normal(size=(8, 4)))
    nn.set_quant_state(model[0], "fix")
    other.load_state_dict(model.state_dict())
    x = 3.0 * rng.normal(size=(8, 4))
    np.testing.assert_array_equal(model.eval()(x), other.eval()(x))
    np.testing.assert_array_equal(model.train()(x), other.train()(x))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("1.quantiser.step", np.ones(2), ShapeError, r"step must have shape \(3,\), got \(2,\)"),
        ("0.quantiser.high", np.array(np.inf), DataError, r"high must be finite, got inf"),
        ("0.quantiser.hihg", np.array(1.0), StateError, r"did you mean '0\.quantiser\.high'"),
    ],
)
def test_a_state_whose_buffers_do_not_fit_changes_nothing(name, value, error, message):
    model = build(1)
    model(np.ones((2, 4)))
    before = model.state_dict()
    state = {key: array + 1 for key, array in before.items()} | {name: value}
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    for key, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], array)


def test_a_shared_layer_has_its_buffers_once():
    layer = nn.QuantActivation(ActivationQuantConfig(n_bits=4))
    names = [name for name, _ in nn.Sequential(layer, nn.Tanh(), layer).named_buffers()]
    assert len(names) == len(layer.own_buffers())
    assert all(name.startswith("0.quantiser.") for name in names)


def test_a_forward_that_fails_leaves_nothing_to_go_back_through():
    layer = nn.QuantLinear(2, 2, activation_quant=ActivationQuantConfig(n_bits=4), rng=0)
    with pytest.raises(DataError, match="values must be finite, got nan"):
        layer(np.array([[np.nan, 1.0]]))
    with pytest.raises(StateError, match=r"QuantLinear\.backward must follow a forward"):
        layer.backward(np.ones((1, 2)))
    assert layer(np.zeros((0, 2))).shape == (0, 2)


def test_representations_and_the_summary_tell_the_bits():
    layer = nn.QuantLinear(2, 3, False, WeightQuantConfig(n_bits=4), rng=0)
    assert repr(layer) == (
        "QuantLinear(2, 3, bias=False, weight_quant=WeightQuantConfig(n_bits=4), "
        "activation_quant=ActivationQuantConfig())"
    )
    assert (
        nn.QuantActivation(ActivationQuantConfig(n_bits=7))
        .summary()
        .splitlines()[1]
        .endswith("QuantActivation  7 bits")
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.QuantActivation(8),
            ConfigError,
            r"QuantActivation\.config must be a ActivationQuantConfig, got 8",
        ),
        (
            lambda: nn.QuantLinear(2, 2, weight_quant=ActivationQuantConfig()),
            ConfigError,
            r"QuantLinear\.weight_quant must be a WeightQuantConfig, got Activation",
        ),
        (
            lambda: nn.QuantLinear(3, 2)(np.ones(2)),
            ShapeError,
            r"QuantLinear\.forward: x must have shape \(\.\.\., 3\), got \(2,\)",
        ),
        (
            lambda: nn.set_quant_state(nn.QuantLinear(3, 2), "learn"),
            ConfigError,
            "the state must be one of ESTIMATE, ESTIMATE_TRAIN, FIX, got 'learn'",
        ),
    ],
)
def test_a_quantised_layer_says_what_is_wrong_with_its_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
