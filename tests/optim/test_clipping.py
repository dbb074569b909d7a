"""Clipping: norms equal those of materialised gradients, and pulses become as many fewer."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError
from rpusim.tiles.pairs import TileVectors

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

PERFECT = {"forward": {"is_perfect": True}, "backward": {"is_perfect": True}}
SMALL = {"max_input_size": 3, "max_output_size": 2}
PULSED = rs.RPUConfig(device=rs.ConstantStepDevice(), **PERFECT)
KINDS = {
    "pulsed": PULSED,
    "analog bias": PULSED.replace(mapping={"digital_bias": False}),
    "floating point": rs.FloatingPointRPUConfig(),
    "grid": PULSED.replace(mapping=SMALL),
    "grid, analog bias": PULSED.replace(mapping={**SMALL, "digital_bias": False}),
}


def layer_of(kind, features=7, out=4):
    if kind == "digital":
        return nn.Linear(features, out, rng=0)
    return nn.AnalogLinear(features, out, rpu_config=KINDS[kind], rng=0)


def back(layer, batch, seed=1):
    out, features = layer.weight.shape
    rng = np.random.default_rng(seed)
    x, d = (rng.normal(size=(batch, n)).astype(np.float32) for n in (features, out))
    layer(x)
    layer.backward(d, input_grad=False)
    return x.astype(np.float64), d.astype(np.float64)


def norm_of(x, d):
    return np.sqrt(np.sum((d.T @ x) ** 2) + np.sum(d.sum(axis=0) ** 2))


@pytest.mark.parametrize("batch", [1, 2, 50])  # by products of vectors, and by the matrix
@pytest.mark.parametrize("kind", ["digital", *KINDS])
def test_the_norm_is_that_of_the_materialised_gradient(kind, batch):
    layer = layer_of(kind)
    x, d = back(layer, batch)
    assert optim.clip_grad_norm(layer.parameters()) == pytest.approx(norm_of(x, d), rel=1e-6)
    again = back(layer, batch, seed=2)
    both = (np.concatenate(pair) for pair in zip((x, d), again, strict=True))
    assert optim.clip_grad_norm(layer.parameters()) == pytest.approx(norm_of(*both), rel=1e-6)


def test_norms_of_a_model_add_up_and_everything_shrinks_alike():
    model = nn.Sequential(layer_of("pulsed", 7, 5), nn.Tanh(), layer_of("digital", 5, 3))
    rng = np.random.default_rng(0)
    model(rng.normal(size=(6, 7)))
    model.backward(rng.normal(size=(6, 3)))
    before = [p.grad.astype(np.float64) for p in model.parameters()]
    norm = np.sqrt(sum(np.sum(g**2) for g in before))
    assert optim.clip_grad_norm(model.parameters(), 0.5) == pytest.approx(norm, rel=1e-6)
    for p, g in zip(model.parameters(), before, strict=True):
        np.testing.assert_allclose(p.grad, g * (0.5 / norm), rtol=1e-4, atol=1e-6)
    assert optim.clip_grad_norm(model.parameters(), 0.5) == pytest.approx(0.5, rel=1e-6)


def test_a_gradient_below_the_limit_keeps_its_bits():
    layer = layer_of("pulsed")
    x, d = back(layer, 3)
    ((x0, d0),) = layer.weight.pairs
    optim.clip_grad_norm(layer.parameters(), 1e6)
    ((x1, d1),) = layer.weight.pairs
    assert (x0 is x1, d0 is d1) == (True, True)


def test_pulsed_updates_shrink_as_the_gradient_does():
    device = rs.ConstantStepDevice(
        dw_min=2e-4, w_max=100.0, w_min=-100.0, w_max_dtod=0.0, w_min_dtod=0.0, dw_min_dtod=0.0,
        dw_min_std=0.0, up_down_dtod=0.0,
    )  # fmt: skip
    moved = []
    for limit in (np.inf, 0.25):
        config = PULSED.replace(device=device, update={"desired_bl": 511})
        layer = nn.AnalogLinear(7, 4, bias=False, rpu_config=config, rng=0)
        before, norms = layer.get_weights()[0], []
        optimizer = optim.AnalogSGD(layer.parameters(), lr=0.01)
        for _ in range(200):
            back(layer, 1, seed=3)
            norms.append(optim.clip_grad_norm(layer.parameters(), limit))
            optimizer.step()
        moved.append(layer.get_weights()[0] - before)
        assert len(set(norms)) == 1
    # Devices make a binomial number of steps of 2e-4: the length, 0.5, has a spread below 0.01.
    assert np.linalg.norm(moved[1]) == pytest.approx(200 * 0.01 * 0.25, abs=0.04)
    assert np.linalg.norm(moved[0]) == pytest.approx(200 * 0.01 * norms[0], rel=0.02)
    one_direction = np.vdot(*moved) / np.prod([np.linalg.norm(m) for m in moved])
    assert one_direction > 0.99


def test_tiles_that_clipped_differently_count_each_with_its_own_vectors():
    ranges = {"input_range": {"enable": True, "init_from_data": 0}}
    config = rs.InferenceRPUConfig(
        forward={"is_perfect": True}, mapping=SMALL, pre_post=ranges, gradient={"mask_inputs": True}
    )
    layer = nn.AnalogLinear(7, 4, rpu_config=config, rng=0)
    layer.tile.tiles[0][0].set_input_range(0.5)
    back(layer, 3)
    assert isinstance(layer.weight.pairs[0][0], TileVectors)
    own = [layer.weight]
    expected = np.linalg.norm(layer.weight.grad.astype(np.float64))
    assert optim.clip_grad_norm(own, 0.1) == pytest.approx(expected, rel=1e-6)
    assert np.linalg.norm(layer.weight.grad) == pytest.approx(0.1, rel=1e-5)
    optim.clip_grad_value(own, 0.01)
    assert np.abs(layer.weight.grad).max() == np.float32(0.01)
    optim.AnalogSGD(layer.parameters()).step()


def test_frozen_parameters_do_not_count():
    layer = layer_of("digital")
    x, d = back(layer, 3)
    layer.bias.requires_grad = False
    expected = np.linalg.norm(d.T @ x)
    assert optim.clip_grad_norm(layer.parameters()) == pytest.approx(expected, rel=1e-6)
    assert optim.clip_grad_norm(layer_of("pulsed").parameters()) == 0.0


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize(
    "kind", ["digital", "floating point", "floating, analog bias", "floating grid"]
)
def test_values_are_limited_where_a_matrix_exists(kind, momentum):
    mapping = {"floating, analog bias": {"digital_bias": False}, "floating grid": SMALL}
    if kind == "digital":
        layer = layer_of(kind)
    else:
        config = rs.FloatingPointRPUConfig(mapping=mapping.get(kind, {}))
        layer = nn.AnalogLinear(7, 4, rpu_config=config, rng=0)
    w, b = (a.astype(np.float64) for a in layer.get_weights())
    x, d = back(layer, 3)
    optim.clip_grad_value(layer.parameters(), 0.4)
    again = back(layer, 2, seed=5)  # after it: added as it is
    optim.AnalogSGD(layer.parameters(), lr=0.1, momentum=momentum).step()
    gradient = np.clip(d.T @ x, -0.4, 0.4) + again[1].T @ again[0]
    column = np.clip(d.sum(axis=0), -0.4, 0.4) + again[1].sum(axis=0)
    weight, bias = layer.get_weights()
    np.testing.assert_allclose(weight, w - 0.1 * gradient, atol=1e-6)
    np.testing.assert_allclose(bias, b - 0.1 * column, atol=1e-6)


def test_norm_after_value_is_that_of_what_is_left():
    config = rs.FloatingPointRPUConfig(mapping={"digital_bias": False})
    layer = nn.AnalogLinear(7, 4, rpu_config=config, rng=0)
    x, d = back(layer, 3)
    optim.clip_grad_value(layer.parameters(), 0.4)
    left = np.clip(np.column_stack([d.T @ x, d.sum(axis=0)]), -0.4, 0.4)
    norm = optim.clip_grad_norm(layer.parameters(), 0.1)
    assert norm == pytest.approx(np.linalg.norm(left), rel=1e-6)
    np.testing.assert_allclose(layer.weight.grad, left[:, :-1] * 0.1 / norm, rtol=1e-5)


def test_mistakes_are_told_and_change_nothing():
    model = nn.Sequential(layer_of("digital", 7, 7), layer_of("pulsed"))
    model(np.ones((2, 7)))
    model.backward(np.ones((2, 4)))
    p, before = model.parameters(), [p.grad for p in model.parameters()]
    with pytest.raises(ConfigError, match="AnalogTile of 7 inputs and 4 outputs has no gradient"):
        optim.clip_grad_value(p, 0.1)
    for call, text in [
        (lambda: optim.clip_grad_norm(p, 0.0), "max_norm must be > 0, got 0.0"),
        (lambda: optim.clip_grad_value(p, np.inf), "value must be > 0 and finite, got inf"),
        (lambda: optim.clip_grad_norm(model), "as from model.parameters.*, got Linear"),
    ]:
        with pytest.raises(ConfigError, match=text):
            call()
    for q, g in zip(p, before, strict=True):
        np.testing.assert_array_equal(q.grad, g)
    p[0].grad = p[0].grad * np.inf
    with pytest.raises(DataError, match="norm of the gradients must be finite"):
        optim.clip_grad_norm(p, 1.0)
