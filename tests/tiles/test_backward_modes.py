"""Errors go back as the configuration says, through the very weights that their forward used."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.kernels.device_arrays import host
from tests.naive.tolerance import FLOAT32, check_mean, check_std
from tests.periphery.tiles import QUIET, io, quiet

EXACT_MODES = ["EXACT", "STRAIGHT_THROUGH"]
MODES = [*EXACT_MODES, "ANALOG"]
PERFECT = rs.IOParameters(is_perfect=True)
W = np.array([[0.5, -0.25, 0.8], [-0.6, 0.9, 0.1]], np.float32)
X = np.float32([[0.7, -0.4, 0.23], [-0.05, 0.02, 0.07], [0.9, 0.3, -0.8], [0.1, -1.0, 0.4]])
D = np.array([[0.3, -0.2], [1.0, 0.5], [-0.7, 0.1], [0.2, 0.4]], np.float32)
SURROUNDINGS = {
    "bare": {},
    "output scale": dict(forward=quiet(out_scale=1.5)),
    "scaled": dict(mapping=dict(weight_scaling_omega=0.6, weight_scaling_columnwise=True)),
    "compensated": dict(
        mapping=dict(weight_scaling_omega=0.6, weight_scaling_lr_compensation=True)
    ),
    "range": dict(pre_post=dict(input_range=dict(enable=True, init_value=2.5, init_from_data=0))),
    "learned scales": dict(mapping=dict(learn_out_scaling=True, out_scaling_columnwise=True)),
}


def tile_of(mode="EXACT", w=W, inference=False, rng=1, **changes):
    """Return a tile of devices that hold any weight; all else is off but `changes`."""
    family = rs.InferenceRPUConfig if inference else rs.RPUConfig
    settings = dict(forward=quiet(), backward=PERFECT) | changes
    config = family(device=rs.IdealDevice(), gradient=dict(backward_mode=mode), **settings)
    tile = (rs.InferenceTile if inference else rs.AnalogTile)(*w.shape, config, rng=rng)
    if tile.out_scaling is not None:
        tile.out_scaling[:] = np.array([2.0, 0.5])[: tile.out_scaling.size]
    tile.set_weights(w)
    return tile


def weight_gradient(tile, d, context=None):
    """Return what `update` subtracts from the logical weights, per learning rate."""
    x, errors = tile.gradients(d, context).pair
    return errors.astype(float).T @ x.astype(float)


def loss(tile, x, d=D):
    """Return sum(d * y) in float64."""
    return float((d * tile.forward(x, is_test=True).astype(float)).sum())


def differences(tile, x, d=D, h=1.0):
    """Return central differences of `loss` by inputs and by logical weights."""
    w, by_x, by_w = tile.get_weights()[0], np.zeros(x.shape), np.zeros(W.shape)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = h
        by_x[place] = (loss(tile, x + step, d) - loss(tile, x - step, d)) / (2.0 * h)
    for place in np.ndindex(W.shape):
        values = []
        for side in (h, -h):
            moved = w.copy()
            moved[place] += side
            tile.set_weights(moved)
            values.append(loss(tile, x, d))
        by_w[place] = (values[0] - values[1]) / (2.0 * h)
    tile.set_weights(w)
    return by_x, by_w


def allowed(x, w=W, d=D, h=1.0, scale=4.0):
    """Return how much rounding a central difference shows: a dozen roundings of its terms."""
    terms = np.abs(d).sum() * (np.abs(w).max() + h) * (np.abs(x).max() + h) * w.shape[1]
    return 12.0 * FLOAT32 * scale * terms / h


@pytest.mark.parametrize("inference", [False, True], ids=["analog", "inference"])
@pytest.mark.parametrize("name", SURROUNDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_finite_differences_where_products_are_exact(mode, name, inference):
    settings = dict(SURROUNDINGS[name])
    if mode == "ANALOG":  # on a chip the backward has an output scale of its own
        settings |= dict(backward=rs.IOParameters(is_perfect=True, out_scale=1.0))
        settings |= dict(forward=quiet())
    tile = tile_of(mode, inference=inference, **settings)
    by_x, by_w = differences(tile, X)
    tile.forward(X)
    assert np.abs(tile.backward(D) - by_x).max() <= allowed(X)
    o = 1.0 if tile.out_scaling is None else tile.out_scaling[:, None]  # a parameter of its own
    assert np.abs(weight_gradient(tile, D) - by_w).max() <= allowed(X)
    before = tile.get_weights()[0].astype(float)
    tile.update(*tile.gradients(D).pair, learning_rate=0.25)
    step = before - tile.get_weights()[0]
    assert np.abs(step - 0.25 * o * o * by_w).max() <= allowed(X)


@pytest.mark.parametrize("management", ["NONE", "CONSTANT"])
def test_straight_through_is_the_gradient_of_a_product_that_only_clips(management):
    converters = dict(QUIET, noise_management=management, out_bound=0.6, inp_bound=1.0)
    x = X * np.float32(1.7)  # inputs 1.53, -1.36, -1.7 and 1.19 are clipped, some outputs too
    tile = tile_of("STRAIGHT_THROUGH", forward=rs.IOParameters(**converters))
    tile.forward(x)
    context, h = tile.last_forward, 2.0**-7
    inputs, outputs = context.clipped_inputs(), context.clipped_outputs()
    assert 0 < inputs.sum() < inputs.size
    assert 0 < outputs.sum() < outputs.size
    exact = np.clip(x, -1, 1).astype(float) @ W.T
    assert np.abs(np.abs(x) - 1.0).min() > h  # no kink is near
    assert np.abs(np.abs(exact) - 0.6).min() > 2.0 * h
    by_x, by_w = differences(tile, x, h=h)
    tile.forward(x)
    assert np.abs(tile.backward(D) - by_x).max() <= allowed(x, h=h)
    assert np.abs(weight_gradient(tile, D) - by_w).max() <= allowed(x, h=h)


@pytest.mark.parametrize("mode", EXACT_MODES)
def test_exact_modes_neither_add_noise_nor_draw(mode):
    tile = tile_of(mode, forward=rs.IOParameters(), backward=rs.IOParameters())
    tile.forward(X)
    first = tile.backward(D)
    assert np.abs(first - D @ W).max() <= 8.0 * FLOAT32 * np.abs(D).max() * 3.0
    assert np.array_equal(first, tile.backward(D))


@pytest.mark.parametrize("mode", MODES)
def test_going_back_changes_no_forward(mode):
    tiles = [tile_of(mode, forward=rs.IOParameters(), backward=rs.IOParameters()) for _ in range(2)]
    for _ in range(3):
        results = [tile.forward(X) for tile in tiles]
        tiles[0].backward(D)
        tiles[0].gradients(D)
        assert np.array_equal(*results)


def test_analog_errors_pass_noise_and_converters_of_their_own():
    n, noise = 4000, 0.1
    backward = rs.IOParameters(out_noise=noise, inp_res=0.0, out_res=0.0, bound_management="NONE")
    tile = tile_of("ANALOG", backward=backward)
    d = np.tile(np.array([0.5, -0.25], np.float32), (n, 1))
    tile.forward(np.zeros((n, 3)))
    g, alpha = tile.backward(d), 0.5
    check_mean(g, d[0] @ W, alpha * noise)
    check_std(g, alpha * noise)
    assert not np.array_equal(g, tile.backward(d))


def test_analog_errors_saturate_without_bound_management():
    backward = io(out_bound=0.5, inp_res=0.0, out_res=0.0)
    tile = tile_of("ANALOG", backward=backward)
    g = tile.backward([[1.0, -1.0], [0.1, 0.0]])
    assert np.allclose(g, [[0.5, -0.5, 0.5], [0.05, -0.025, 0.05]], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_forward_records_its_mode(mode):
    tile = tile_of(mode)
    assert tile.last_forward is None
    tile.forward(X)
    assert tile.last_forward.mode is rs.BackwardMode[mode]
    assert np.array_equal(tile.last_forward.x, X)


def test_training_on_a_chip_is_analog_and_inference_straight_through_by_default():
    assert rs.RPUConfig().gradient.backward_mode is rs.BackwardMode.ANALOG
    assert rs.InferenceRPUConfig().gradient.backward_mode is rs.BackwardMode.STRAIGHT_THROUGH


SATURATING = dict(forward=io(noise_management="CONSTANT", out_bound=0.5, bound_management="NONE"))
FROM_DATA = dict(pre_post=dict(input_range=dict(enable=True, init_from_data=50)))


@pytest.mark.parametrize("settings", [SATURATING, FROM_DATA], ids=["saturating", "range from data"])
@pytest.mark.parametrize("mode", MODES)
def test_a_forward_in_between_leaves_the_backward_of_the_first_alone(mode, settings):
    alone, between = (tile_of(mode, inference=True, **settings) for _ in range(2))
    x = X.copy()
    x[0, 0] = 20.0  # outside the range that this batch sets: 3 standard deviations are about 17
    for tile in (alone, between):
        tile.forward(x)
    context = between.last_forward
    between.forward(-3.0 * x)
    between.forward(0.01 * x[:2])
    expected, found = alone.gradients(D), between.gradients(D, context)
    assert np.array_equal(between.backward(D, context), alone.backward(D))
    for one, other in zip(expected.pair, found.pair, strict=True):
        assert np.array_equal(one, other)
    for name in ("input", "input_range"):
        assert np.array_equal(getattr(expected, name), getattr(found, name)), name


def test_output_scales_that_moved_since_do_not_reach_back():
    tile = tile_of(mapping=dict(learn_out_scaling=True))
    tile.forward(X)
    expected = tile.backward(D)
    tile.out_scaling[:] = 7.0
    assert np.array_equal(tile.backward(D), expected)


LASTING = dict(device=rs.ConstantStepDevice(lifetime=10.0, drift=dict(nu=0.1)))
WRITES = {
    "set_weights": lambda tile: tile.set_weights(W),
    "update": lambda tile: tile.update(X, D, learning_rate=0.1),
    "decay": lambda tile: tile.post_update_step(),
    "drift": lambda tile: tile.drift_weights(100.0),
    "reset": lambda tile: tile.reset_columns(),
    "load": lambda tile: tile.load_state_dict(tile.state_dict()),
    "hidden": lambda tile: tile.set_hidden_parameters({"max_bound": np.full(W.shape, 0.01)}),
    "program": lambda tile: tile.set_weights(W, realistic=True, max_iter=2, tolerance=1e9),
}


@pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("mode", MODES)
def test_a_backward_after_the_weights_changed_is_refused_unless_analog(mode, name):
    config = rs.RPUConfig(gradient=dict(backward_mode=mode), **LASTING)
    tile = rs.AnalogTile(2, 3, config, rng=1)
    tile.forward(X)
    context = tile.last_forward
    WRITES[name](tile)
    if mode == "ANALOG":
        tile.backward(D, context)
        return
    for call in (tile.backward, tile.gradients):
        with pytest.raises(rs.StateError, match="the weights have changed since that forward; go"):
            call(D, context)


@pytest.mark.parametrize("mode", EXACT_MODES)
def test_errors_of_another_number_of_vectors_are_refused(mode):
    tile = tile_of(mode)
    tile.forward(X)
    with pytest.raises(rs.StateError, match="2 errors for a forward of 4 vectors; give"):
        tile.backward(D[:2])
    with pytest.raises(rs.ShapeError, match=r"gradients: d must have as many vectors"):
        tile.gradients(D[:2])
    with pytest.raises(rs.StateError, match="context must be a ForwardContext"):
        tile.backward(D, context="last")


@pytest.mark.parametrize("mode", MODES)
def test_a_backward_needs_no_forward(mode):
    assert np.allclose(tile_of(mode).backward(D), D @ W, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_evaluation_goes_back_through_what_it_went_forward_through(mode):
    modifier = dict(type="ADD_NORMAL", std_dev=0.3)
    tile = tile_of(mode, inference=True, forward=PERFECT, modifier=modifier)
    for is_test in (False, True, False):
        y = tile.forward(np.eye(3), is_test=is_test)
        assert np.array_equal(y.T, W if is_test else host(tile.last_forward.weights))
        assert np.array_equal(tile.backward([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])[:2], y.T)


@pytest.mark.parametrize("rate", [0.0, 1e-3, 10.0])
@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_the_weights_depends_on_no_learning_rate(mode, rate):
    tile = tile_of(mode, inference=True, mapping=dict(weight_scaling_omega=0.3))
    tile.forward(X)
    expected = D.astype(float).T @ X.astype(float)
    assert np.abs(weight_gradient(tile, D) - expected).max() <= 8.0 * FLOAT32 * 4.0
    before = tile.get_weights()[0].astype(float)
    tile.update(X, D, learning_rate=rate)
    step = before - tile.get_weights()[0]
    assert np.abs(step - rate * expected).max() <= 8.0 * FLOAT32 * (1.0 + rate * 4.0)


def test_a_linear_operators_transpose_owes_nothing_to_the_last_forward():
    tile = tile_of("STRAIGHT_THROUGH", **SATURATING)
    operator = tile.as_linear_operator()
    operator.matvec([1.0, -1.0, 1.0])  # saturates
    assert np.allclose(operator.rmatvec([1.0, 0.0]), W[0], atol=1e-6)
    assert np.allclose(operator.rmatmat(np.eye(2)), W.T, atol=1e-6)
