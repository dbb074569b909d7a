"""Every backward against central differences of an independent float64 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from rpusim import nn

REFERENCE = {
    nn.Sigmoid: special.expit,
    nn.Tanh: np.tanh,
    nn.ReLU: lambda x: np.where(x > 0, x, 0),
    nn.LogSoftmax: lambda x: special.log_softmax(x, axis=-1),
}


def slope(f, x, eps=1e-6):
    """Gradient of the scalar f at x by central differences, in float64."""
    x = np.array(x, np.float64)
    grad = np.empty_like(x)
    for i in np.ndindex(x.shape):
        here = x[i]
        x[i] = here + eps
        above = f(x)
        x[i] = here - eps
        grad[i] = (above - f(x)) / (2 * eps)
        x[i] = here
    return grad


@pytest.mark.parametrize("kind", REFERENCE)
@given(batch=st.integers(1, 4), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_an_activation_goes_back_through_its_slope(kind, batch, width, seed):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(2, batch, width))
    layer, f = kind(), REFERENCE[kind]
    y = layer(x)
    np.testing.assert_allclose(y, f(x), rtol=1e-5, atol=1e-6)
    expected = slope(lambda x: (d * f(x)).sum(), x)
    np.testing.assert_allclose(layer.backward(d), expected, rtol=1e-4, atol=1e-5)
    assert y.dtype == np.float32


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["digital", "analog"])
def test_a_linear_layer_has_the_gradients_of_its_equation(kind, bias, lead, analog_linear):
    rng = np.random.default_rng(1)
    layer = (analog_linear if kind == "analog" else nn.Linear)(4, 3, bias=bias, rng=2)
    x, d = rng.normal(size=(*lead, 4)), rng.normal(size=(*lead, 3))
    w, b = (None if a is None else a.astype(np.float64) for a in layer.get_weights())
    f = lambda x, w, b: (d * (x @ w.T + (0 if b is None else b))).sum()  # noqa: E731
    layer(x)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(layer.backward(d), slope(lambda x: f(x, w, b), x), **close)
    np.testing.assert_allclose(layer.weight.grad, slope(lambda w: f(x, w, b), w), **close)
    if bias:
        np.testing.assert_allclose(layer.bias.grad, slope(lambda b: f(x, w, b), b), **close)


def test_a_network_has_the_gradient_of_the_composed_function(analog_linear):
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(6, 5)), rng.integers(0, 3, 6)
    model = nn.Sequential(analog_linear(5, 4, rng=1), nn.Tanh(), nn.Linear(4, 3, rng=2))

    def loss(x, w):
        hidden = np.tanh(x @ w.T + model[0].bias.data)
        z = hidden @ model[2].weight.data.T + model[2].bias.data
        return -special.log_softmax(z, axis=1)[np.arange(6), labels].mean()

    w = model[0].get_weights()[0].astype(np.float64)
    value, grad = nn.cross_entropy(model(x), labels)
    dx = model.backward(grad, input_grad=True)
    assert value == pytest.approx(loss(x, w), rel=1e-5)
    np.testing.assert_allclose(dx, slope(lambda x: loss(x, w), x), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        model[0].weight.grad, slope(lambda w: loss(x, w), w), rtol=1e-3, atol=1e-6
    )


def test_gradients_of_several_backward_passes_add_up(analog_linear):
    layer, x = analog_linear(2, 1, rng=0), np.array([[1.0, 2.0]])
    for _ in range(3):
        layer(x)
        layer.backward([[1.0]])
    np.testing.assert_array_equal(layer.weight.grad, [[3.0, 6.0]])
    np.testing.assert_array_equal(layer.bias.grad, [3.0])


def test_far_from_zero_activations_neither_overflow_nor_warn():
    x = np.array([-1e30, -200.0, -87.0, 0.0, 200.0, 1e30], np.float32)
    with np.errstate(all="raise", under="ignore"):
        y = nn.Sigmoid()(x)
        rows = nn.LogSoftmax()(np.array([[1e30, 0.0], [-500.0, -500.0]]))
    np.testing.assert_allclose(y[2:], [special.expit(-87.0), 0.5, 1.0, 1.0], rtol=1e-6)
    assert (y[:2] < 1e-37).all()
    np.testing.assert_allclose(rows, [[0.0, -1e30], [-np.log(2), -np.log(2)]], rtol=1e-6)


def test_the_sigmoid_is_accurate_in_all_digits_of_its_tail():
    x = np.linspace(-86, 20, 500, dtype=np.float32)
    np.testing.assert_allclose(nn.Sigmoid()(x), special.expit(x.astype(float)), rtol=1e-6)
