"""Straight through: nothing is learned, and nothing passes, exactly where converters saturated."""

import numpy as np
import pytest

import rpusim as rs
from tests.naive.tolerance import FLOAT32
from tests.periphery.tiles import io

NOISE_MANAGEMENTS = [kind.name for kind in rs.NoiseManagementType]
BOUND_MANAGEMENTS = [kind.name for kind in rs.BoundManagementType]
PASSES = [kind.name for kind in rs.AnalogMVType if kind.name not in ("IDEAL", "SPLIT_MODE")]
MANAGED = [
    (noise, bound)
    for noise in NOISE_MANAGEMENTS
    for bound in BOUND_MANAGEMENTS
    if (noise, bound) != ("NONE", "ITERATIVE_WORST_CASE")
]
W = np.array([[0.3, -0.2, 0.4], [0.8, 0.9, -0.7], [-0.1, 0.2, 0.3]], np.float32)
X = np.float32([[0.9, 0.8, -0.9], [-0.6, -0.9, 0.7], [0.2, -0.1, 0.3], [1.0, 0.9, -1.0]])
LED_BY_THE_FIRST = X[[3, 0, 2, 2]]  # each with its largest element positive, ever smaller
D = np.float32([[0.3, -0.2, 0.5], [1.0, 0.5, -0.1], [-0.7, 0.1, 0.2], [0.2, 0.4, 0.6]])
ROUNDING = 8.0 * FLOAT32 * 8.0


def tile_of(forward, mode="STRAIGHT_THROUGH", w=W, **changes):
    gradient = dict(backward_mode=mode) | changes.pop("gradient", {})
    config = rs.InferenceRPUConfig(forward=forward, gradient=gradient, **changes)
    tile = rs.InferenceTile(*w.shape, config, rng=1)
    tile.set_weights(w)
    return tile


def unmanaged(**changes):
    """Return settings whose vectors are scaled by a constant and read once, without noise."""
    return io(**dict(noise_management="CONSTANT", bound_management="NONE") | changes)


def back(tile, x=X, d=D):
    """Return the gradients of inputs and weights, and the context, of a forward."""
    tile.forward(x)
    gradients = tile.gradients(d)
    inputs, errors = gradients.pair
    return gradients.input, errors.T @ inputs, tile.last_forward


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(("noise", "bound"), MANAGED)
def test_without_saturation_no_bit_of_a_gradient_is_masked(noise, bound, passes):
    res = 1 / 126  # codes of seven bits, which BIT_WISE wants
    forward = rs.IOParameters(
        noise_management=noise, bound_management=bound, mv_type=passes, inp_res=res
    )
    x = LED_BY_THE_FIRST  # MAX and AVERAGE_ABS_MAX clip none of them
    straight, exact = (tile_of(forward, mode) for mode in ("STRAIGHT_THROUGH", "EXACT"))
    for one, other in zip(back(straight, x)[:2], back(exact, x)[:2], strict=True):
        assert np.array_equal(one, other)
    assert straight.last_forward.outputs_clipped == straight.last_forward.inputs_clipped == 0.0
    assert straight.last_forward.clipped_outputs() is None


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("noise", NOISE_MANAGEMENTS)
def test_both_gradients_of_a_saturated_output_are_zero(noise, passes):
    forward = io(noise_management=noise, bound_management="NONE", mv_type=passes, out_bound=3.0)
    w = W.copy()
    w[1] = [90.0, 90.0, -90.0]  # every phase, and every slice, of every vector saturates
    straight, exact = (tile_of(forward, mode, w) for mode in ("STRAIGHT_THROUGH", "EXACT"))
    x = np.float32([[1.0, 0.8, -0.9], [-0.6, -0.9, 1.0], [1.0, 0.9, -1.0], [-1.0, -1.0, 1.0]])
    by_x, by_w, context = back(straight, x)
    assert (context.clipped_outputs() == [False, True, False]).all()
    assert (by_w[1] == 0.0).all()
    survivors = D * np.float32([1.0, 0.0, 1.0])
    for one, other in zip((by_x, by_w), back(exact, x, survivors)[:2], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("bound", ["ITERATIVE", "ITERATIVE_WORST_CASE"])
def test_only_the_round_that_counts_can_mask(bound):
    limits = dict(out_bound=0.5, inp_res=0.0, out_res=0.0, nm_assumed_wmax=0.1)
    settled, stopped = (
        tile_of(io(bound_management=bound, max_bm_factor=factor, **limits)) for factor in (1000, 1)
    )
    once = io(bound_management="NONE", **limits)
    assert back(tile_of(once))[2].clipped_outputs()[0].tolist() == [False, True, False]
    by_x, by_w, context = back(settled)
    assert (context.reduction[[0, 1, 3]] > 1.0).all()
    assert context.clipped_outputs() is None
    assert np.abs(by_x - D @ W).max() <= ROUNDING
    assert np.abs(by_w - D.T @ X).max() <= ROUNDING
    w = np.float32([[0.3, -0.2, 0.4], [8.0, 9.0, -7.0], [-0.1, 0.2, 0.3]])
    stopped.set_weights(w)
    assert back(stopped)[2].clipped_outputs()[:, 1].all()
    assert (back(stopped)[1][1] == 0.0).all()


def test_outputs_beyond_the_bound_by_their_scale_alone_are_not_masked():
    x = 100.0 * X
    straight, exact = (tile_of(rs.IOParameters(), mode) for mode in ("STRAIGHT_THROUGH", "EXACT"))
    assert np.abs(straight.forward(x)).max() > 12.0
    for one, other in zip(back(straight, x)[:2], back(exact, x)[:2], strict=True):
        assert np.array_equal(one, other)


def test_outputs_within_the_bound_by_their_scale_alone_are_masked():
    tile = tile_of(unmanaged(nm_thres=0.1, out_bound=1.0), w=np.float32([[0.9, 0.9, 0.9]]))
    y = tile.forward([[0.1, 0.1, 0.1]])  # 2.7 at the ADC, 0.1 behind it
    assert np.isclose(y[0, 0], 0.1)
    assert tile.last_forward.clipped_outputs().all()
    assert (tile.backward([[1.0]]) == 0.0).all()


def test_a_perfect_product_is_never_masked():
    tile = tile_of(rs.IOParameters(is_perfect=True, inp_bound=0.1, out_bound=0.1))
    by_x, by_w, context = back(tile)
    assert np.abs(by_x - D @ W).max() <= ROUNDING
    assert np.abs(by_w - D.T @ X).max() <= ROUNDING
    assert context.outputs_clipped == context.inputs_clipped == 0.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_saturation_that_bound_management_overlooks_is_masked(sign):
    tile = tile_of(io(out_bound=0.5, bm_test_negative_bound=False, max_bm_factor=1))
    tile.forward(sign * X[:1])  # output 1 is 2.1 or -2.1
    assert tile.last_forward.reduction[0] == (2.0 if sign > 0.0 else 1.0)
    assert tile.last_forward.clipped_outputs()[0].tolist() == [False, True, False]


def test_masks_are_where_a_float64_model_clips():
    forward = unmanaged(nm_thres=0.6, inp_res=1 / 30, out_bound=0.75, out_res=1 / 62)
    x = np.random.default_rng(0).uniform(-1.0, 1.0, (200, 3)).astype(np.float32)
    tile = tile_of(forward)
    tile.forward(x)
    v = np.rint(x.astype(float) / 0.6 * 15.0) / 15.0
    analog = np.clip(v, -1.0, 1.0) @ W.astype(float).T
    code = analog / (2.0 * 0.75 / 62)
    tie = np.abs(np.abs(code) % 1.0 - 0.5) < 1e-3  # float32 may round these the other way
    found, expected = tile.last_forward.clipped_outputs(), np.abs(np.rint(code)) > 31.0
    assert 0 < expected.sum() < expected.size
    assert (found == expected)[~tie].all()
    assert np.array_equal(tile.last_forward.clipped_inputs(), np.abs(v) > 1.0)


def test_shifting_outputs_saturates_only_those_at_the_lower_bound():
    tile = tile_of(io(bound_management="SHIFT", out_bound=1.0, out_res=0.0, inp_res=0.0))
    tile.set_weights([[0.9, 0.9, 0.0], [0.3, 0.3, 0.0], [-0.7, -0.6, 0.0]])
    y = tile.forward([[1.0, 1.0, 0.0]])  # 1.8, 0.6, -1.3, lowered by 0.8
    assert np.allclose(y, [[1.0, -0.2, -1.0]])
    assert tile.last_forward.clipped_outputs().tolist() == [[False, False, True]]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("cause", ["dac", "range"])
def test_clipped_inputs_pass_no_error_unless_asked_and_count_as_the_limit(cause, masked):
    ranges = dict(enable=True, init_value=0.75, init_from_data=0)
    settings = dict(pre_post=dict(input_range=ranges)) if cause == "range" else {}
    forward = unmanaged(nm_thres=1.0 if cause == "range" else 0.75, inp_res=0.0)
    tile = tile_of(forward, gradient=dict(mask_inputs=masked), **settings)
    by_x, by_w, context = back(tile)
    beyond = np.abs(X) > 0.75
    assert 0 < beyond.sum() < beyond.size
    assert context.inputs_clipped == pytest.approx(beyond.mean())
    expected = np.where(beyond & masked, 0.0, D @ W)
    assert np.abs(by_x - expected).max() <= ROUNDING
    assert np.abs(by_w - D.T @ np.clip(X, -0.75, 0.75)).max() <= ROUNDING


def test_masks_of_inputs_and_outputs_act_together():
    w = W * np.float32([[1.0], [20.0], [1.0]])
    tile = tile_of(unmanaged(nm_thres=0.75, inp_res=0.0), w=w)
    by_x, by_w, _ = back(tile, X[[0, 3]], D[[0, 3]])
    errors, beyond = D[[0, 3]] * [1.0, 0.0, 1.0], np.abs(X[[0, 3]]) > 0.75
    assert beyond.all()
    assert (by_x == 0.0).all()
    assert np.abs(by_w - errors.T @ np.clip(X[[0, 3]], -0.75, 0.75)).max() <= ROUNDING


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH"])
@pytest.mark.parametrize("range_", [None, 2.0])
def test_quantised_inputs_are_those_behind_the_dac(mode, range_):
    ranges = dict(enable=range_ is not None, init_value=range_ or 1.0, init_from_data=0)
    gradient, pre_post = dict(quantised_inputs=True), dict(input_range=ranges)
    forward = io(inp_res=1 / 6, nm_thres=0.5)  # codes -3..3 of max|x|, at most of 0.5
    tile = tile_of(forward, mode, gradient=gradient, pre_post=pre_post)
    tile.forward(X)
    r = range_ or 1.0
    u = np.clip(X / r, -1.0, 1.0).astype(float)
    alpha = np.minimum(np.abs(u).max(axis=1, keepdims=True), 0.5)
    codes = np.clip(np.rint(u / alpha * 3.0), -3.0, 3.0)
    x, _ = tile.gradients(D).pair
    assert np.abs(x - codes / 3.0 * alpha * r).max() <= 4.0 * FLOAT32


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH", "ANALOG"])
def test_a_row_that_saturates_changes_no_bit_of_another(mode):
    forward = unmanaged(nm_thres=0.6)
    x, d = np.random.default_rng(0).uniform(-0.6, 0.6, (2, 40, 3)).astype(np.float32)
    settings = dict(backward=forward) if mode == "ANALOG" else {}
    tiles = [tile_of(forward, mode, **settings) for _ in range(2)]
    calm, wild = x.copy(), x.copy()
    wild[7] = [50.0, 50.0, -50.0]
    results = []
    for tile, rows in zip(tiles, (calm, wild), strict=True):
        y = tile.forward(rows)
        gradients = tile.gradients(d)
        results.append((y, gradients.input, *gradients.pair))
    others = np.arange(40) != 7
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one[others], other[others])


def test_update_masks_by_itself_as_a_layer_does():
    tiles = [tile_of(unmanaged(nm_thres=0.75, out_bound=1.2)) for _ in range(3)]
    for tile in tiles:
        tile.forward(X)
    context = tiles[1].last_forward
    assert context.clipped_outputs().any()
    assert context.clipped_inputs().any()
    tiles[0].update(X, D, 0.1)
    tiles[1].forward(np.zeros((2, 3)))
    tiles[1].update(X, D, 0.1, context=context)
    tiles[2].update(*tiles[2].gradients(D).pair, 0.1)
    weights = [tile.get_weights()[0] for tile in tiles]
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


def test_update_refuses_inputs_that_are_not_those_of_the_context():
    tile = tile_of(unmanaged())
    tile.forward(X)
    before = tile.state_dict()
    with pytest.raises(rs.StateError, match="x must be the inputs of the forward in `context`"):
        tile.update(2.0 * X, D, 0.1, context=tile.last_forward)
    for name, array in tile.state_dict().items():
        assert np.array_equal(array, before[name]), name


def test_a_look_in_evaluation_does_not_change_what_is_learned():
    forward = rs.IOParameters(
        noise_management="NONE", bound_management="NONE", out_bound=1.0, out_noise=1.0
    )
    weights = []
    for looks in (0, 1):
        tile = tile_of(forward)
        tile.forward(X)
        pair = tile.gradients(D).pair
        for _ in range(looks):
            before = tile.last_forward.clipped_outputs()
            tile.forward(X, is_test=True)  # with other noise
            assert not np.array_equal(before, tile.last_forward.clipped_outputs())
        tile.update(*pair, 0.1)
        weights.append(tile.get_weights()[0])
    assert np.array_equal(*weights)


def test_what_is_digital_learns_behind_a_saturated_adc():
    mapping = dict(learn_out_scaling=True, out_scaling_columnwise=True)
    config = rs.InferenceRPUConfig(forward=unmanaged(out_bound=1.0), mapping=mapping)
    tile = rs.InferenceTile(3, 3, config, bias=True, rng=1)
    tile.set_weights(W, np.zeros(3))
    y = tile.forward(X)
    assert tile.last_forward.clipped_outputs()[:, 1].sum() == 3
    gradients = tile.gradients(D)
    assert np.abs(gradients.bias - D.sum(axis=0)).max() <= ROUNDING
    assert np.abs(gradients.out_scaling - (D * y).sum(axis=0)).max() <= ROUNDING


# ---------------------------------------------------------------- what a forward tells about itself


def test_a_forward_tells_scale_and_reduction_of_every_vector():
    tile = tile_of(io(out_bound=0.5, inp_res=0.0, out_res=0.0))
    x = np.float32([[1.0, 1.0, -1.0], [0.01, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, -2.0, 0.0]])
    tile.forward(x)  # largest of W x / max|x|: 2.4, 0.8, 0, 0.5
    context = tile.last_forward
    assert context.alpha.tolist() == [1.0, np.float32(0.01), 0.0, 2.0]
    assert context.reduction.tolist() == [8.0, 2.0, 1.0, 1.0]
    assert context.rounds.tolist() == [4, 2, 1, 1]
    assert context.outputs_clipped == 0.0


def test_a_forward_tells_rounds_of_the_worst_cases_scale_too():
    limits = dict(out_bound=0.5, inp_res=0.0, out_res=0.0, nm_assumed_wmax=1.0)
    tile = tile_of(io(bound_management="ITERATIVE_WORST_CASE", **limits))
    tile.forward([[0.9, 0.8, 0.9]])  # 0.9 at the ADC with scale 0.9; a sum of 2.6 asks for 5.2
    assert tile.last_forward.alpha[0] == pytest.approx(5.2)
    assert tile.last_forward.reduction[0] == 1.0
    assert tile.last_forward.rounds.tolist() == [2]


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH", "ANALOG"])
def test_a_forward_tells_which_fractions_were_clipped(mode):
    tile = tile_of(unmanaged(nm_thres=0.5, inp_res=0.0, out_res=0.0, out_bound=0.5), mode)
    x = np.float32([[0.6, 0.1, 0.1], [0.1, 0.1, 0.1], [0.0, -0.9, 0.0], [0.5, 0.0, 0.0]])
    y = tile.forward(x)  # at the ADC, of output 1: 1.2 - 0.02 + ..., 0.2, -0.9, 0.8
    analog = np.clip(x / 0.5, -1.0, 1.0).astype(float) @ W.T
    assert tile.last_forward.inputs_clipped == pytest.approx(2 / 12)
    assert tile.last_forward.outputs_clipped == pytest.approx((np.abs(analog) > 0.5).mean())
    assert np.allclose(y, np.clip(analog, -0.5, 0.5) * 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("passes", "readings"),
    [
        ("ONE_PASS", 1),
        ("POS_NEG_SEPARATE", 1),
        ("POS_NEG_SEPARATE_DIGITAL_SUM", 2),
        ("BIT_WISE", 6),
    ],
)
def test_fractions_count_every_reading_of_an_adc(passes, readings):
    tile = tile_of(unmanaged(mv_type=passes, out_bound=0.5), w=np.float32([[5.0]]))
    tile.forward([[1.0]])
    assert tile.last_forward.outputs_clipped == (0.5 if "DIGITAL" in passes else 1.0)
    assert tile.last_forward.readings == readings
    assert tile.last_forward.clipped_outputs().all()


def test_an_empty_batch_has_clipped_nothing():
    tile = tile_of(unmanaged())
    tile.forward(np.zeros((0, 3)))
    context = tile.last_forward
    assert (context.outputs_clipped, context.inputs_clipped, context.wire_current) == (0, 0, 0)
    assert context.alpha.shape == context.rounds.shape == (0,)
    assert tile.backward(np.zeros((0, 3))).shape == (0, 3)
