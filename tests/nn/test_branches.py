"""Residual blocks, branches and shapes: trees, names, refusals."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import ConfigError, DataError, ShapeError


def block(stride=1):
    return nn.Residual(
        nn.Conv2d(2, 4, 3, stride=stride, padding=1, bias=False, rng=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, bias=False, rng=2),
        nn.BatchNorm2d(4),
        shortcut=nn.PadChannels(4, stride=stride),
    )


def test_a_residual_network_learns():
    model = nn.Sequential(block(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(8, 2, 6, 6)), rng.integers(0, 4, 8)
    losses = []
    for _ in range(30):
        loss, grad = nn.cross_entropy(model(x), t)
        assert model.backward(grad) is None
        for parameter in model.parameters():
            parameter[...] -= 0.3 * parameter.grad
            parameter.grad = None
        losses.append(loss)
    assert losses[-1] < 0.5 * losses[0]
    assert not any(layer._kept for _, layer in model.named_modules())


def test_names_of_parts_lead_to_them():
    model = nn.Concat(nn.Linear(3, 2, rng=0), nn.Residual(nn.Linear(3, 3, rng=1)))
    assert list(model.state_dict()) == [
        "branches.0.weight",
        "branches.0.bias",
        "branches.1.path.0.weight",
        "branches.1.path.0.bias",
    ]
    assert "path=Sequential" in repr(model)
    assert "branches.1.path.0" in model.summary()


def test_a_shared_layer_sums_the_gradients_of_both_ways():
    layer = nn.Linear(2, 2, rng=0)
    model, x = nn.Residual(layer, shortcut=layer), np.ones((3, 2))
    np.testing.assert_array_equal(model(x), 2 * layer.eval()(x))
    layer.train()
    model.backward(np.ones((3, 2)))
    np.testing.assert_array_equal(layer.weight.grad, np.full((2, 2), 6.0))
    assert not layer._kept


def test_without_input_gradient_no_layer_before_the_first_trained_works():
    model = nn.Residual(nn.Tanh(), nn.Linear(3, 3, rng=0), shortcut=nn.Tanh())
    model(np.ones((2, 3)))
    assert model.backward(np.ones((2, 3)), input_grad=False) is None
    assert not any(layer._kept for _, layer in model.named_modules())


def test_branches_join_along_any_axis_but_the_batch():
    x = np.ones((2, 3, 4))
    assert nn.Concat(nn.Tanh(), nn.ReLU(), axis=-1)(x).shape == (2, 3, 8)
    assert nn.Concat(nn.Tanh(), nn.ReLU())(x).shape == (2, 6, 4)


def test_channels_are_padded_in_the_middle_places_taken():
    x = np.arange(2 * 1 * 3 * 3, dtype=float).reshape(2, 1, 3, 3)
    y = nn.PadChannels(4, stride=2)(x)
    np.testing.assert_array_equal(y[:, 1], x[:, 0, ::2, ::2])
    assert not y[:, [0, 2, 3]].any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Residual(), ConfigError, "Residual: there must be a layer or more"),
        (lambda: nn.Residual(nn.Tanh(), np.tanh), ConfigError, "layer 1 must be a Module"),
        (lambda: nn.Residual(nn.Tanh(), shortcut=1), ConfigError, "shortcut must be a Module, got"),
        (
            lambda: nn.Residual(nn.Linear(3, 1))(np.ones((2, 3))),
            ShapeError,
            r"layers and shortcut must give one shape, got \(2, 1\) and \(2, 3\)",
        ),
        (lambda: nn.Concat(), ConfigError, r"Concat: there must be branches, all Modules, got"),
        (lambda: nn.Concat(1), ConfigError, r"all Modules, got \(1,\)"),
        (lambda: nn.Concat(nn.Tanh(), axis=0), ConfigError, r"not 0 \(the batch\), got 0"),
        (
            lambda: nn.Concat(nn.Tanh(), nn.Flatten())(np.ones((2, 3, 4))),
            ShapeError,
            r"one shape but for axis 1, got \(2, 3, 4\), \(2, 12\)",
        ),
        (lambda: nn.Reshape(2, 0), ConfigError, r"Reshape.shape must be .*, got \(2, 0\)"),
        (lambda: nn.Reshape(-1, -1), ConfigError, r"at most one of them -1, got \(-1, -1\)"),
        (
            lambda: nn.Reshape(2, 2)(np.ones((3, 5))),
            ShapeError,
            r"samples of x must fit shape \(2, 2\), got shape \(3, 5\), batch first",
        ),
        (lambda: nn.Reshape(2, -1)(np.ones((3, 5))), ShapeError, r"must fit shape \(2, -1\)"),
        (lambda: nn.Flatten()(1.0), ShapeError, r"Flatten.forward: .* got shape \(\)"),
        (lambda: nn.Flatten()(["a"]), DataError, "Flatten.forward: x must hold real numbers"),
        (lambda: nn.PadChannels(4, stride=0), ConfigError, "PadChannels.stride must be an integer"),
        (
            lambda: nn.PadChannels(4)(np.ones((2, 5, 3))),
            ShapeError,
            r"\(batch, up to 4 channels, ...\), got \(2, 5, 3\)",
        ),
    ],
)
def test_a_layer_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
