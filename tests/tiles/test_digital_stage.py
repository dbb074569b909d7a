"""Scales, bias and input range around a tile: they cancel where they should, and nowhere else."""

import itertools

import numpy as np
import pytest

import rpusim as rs
from tests.naive.tolerance import FLOAT32
from tests.periphery.tiles import io, quiet

PERFECT = rs.IOParameters(is_perfect=True)
MODES = ["EXACT", "STRAIGHT_THROUGH", "ANALOG"]
W = np.float32([[0.5, -0.25, 0.8], [-2.4, 3.6, 0.4]])
B = np.float32([0.3, -1.7])
X = np.float32([[0.7, -0.4, 0.23], [-3.5, 0.02, 0.07], [0.9, 2.5, -0.8], [0.1, -1.0, 6.0]])
D = np.float32([[0.3, -0.2], [1.0, 0.5], [-0.7, 0.1], [0.2, 0.4]])
MAPPINGS = {
    "bare": {},
    "omega": dict(weight_scaling_omega=0.6),
    "full range": dict(weight_scaling_omega=1.0, weight_scaling_columnwise=True),
    "columnwise": dict(weight_scaling_omega=0.6, weight_scaling_columnwise=True),
    "compensated": dict(
        weight_scaling_omega=0.6,
        weight_scaling_columnwise=True,
        weight_scaling_lr_compensation=True,
    ),
}
LEARNED = dict(learn_out_scaling=True, out_scaling_columnwise=True)
#: A dozen roundings of sums of at most four products of at most 4 x 6.
ROUNDING = 12.0 * FLOAT32 * 4.0 * 24.0


def ranged(r, **changes):
    """Return digital settings with a fixed input range r, or without one."""
    if r is None:
        return {}
    return dict(input_range=dict(enable=True, init_value=r, init_from_data=0) | changes)


def tile_of(mapping=None, r=None, bias=False, mode="EXACT", rng=1, forward=PERFECT, **changes):
    settings = dict(pre_post=ranged(r), backward=PERFECT) | changes
    config = rs.RPUConfig(
        device=rs.IdealDevice(),
        forward=forward,
        mapping=mapping or {},
        gradient=dict(backward_mode=mode),
        **settings,
    )
    tile = rs.AnalogTile(2, 3, config, bias, rng=rng)
    tile.set_weights(W, B if bias else None)
    return tile


def logical(tile):
    """Return logical weights, with the bias as a last column if there is one, in float64."""
    w, b = tile.get_weights()
    return w.astype(float) if b is None else np.column_stack([w, b]).astype(float)


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("r", [None, 0.5, 1.0, 2.0, 4.0])
def test_a_tile_computes_what_its_equation_says(name, analog, learned, r):
    mapping = MAPPINGS[name] | (LEARNED if learned else {}) | dict(digital_bias=not analog)
    tile = tile_of(mapping, r, bias=True)
    o = np.ones(2)
    if learned:
        tile.out_scaling[:] = o = np.array([2.0, -0.5])
    w = logical(tile)  # of which o is a part
    held, column = tile.get_weights(apply_weight_scaling=False)
    assert np.allclose(w[:, :3], held * (tile.mapping_scales * o)[:, None], rtol=4 * FLOAT32)
    if analog:
        assert np.allclose(w[:, 3], column * tile.mapping_scales * o, rtol=4 * FLOAT32)
    x = X if r is None else np.clip(X, -r, r)
    expected = x.astype(float) @ w[:, :3].T + w[:, 3]
    assert np.abs(tile.forward(X) - expected).max() <= ROUNDING


def test_an_analog_bias_does_not_grow_with_the_input_range():
    tile = tile_of(dict(digital_bias=False), 4.0, bias=True)
    tile.set_weights(np.full((2, 3), 2.0), [10.0, 10.0])
    assert np.allclose(tile.forward([[1.0, 0.0, 0.0]]), 12.0, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("r", [None, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("way", ["update", "gradients"])
def test_a_logical_step_owes_nothing_to_scales_and_range(mode, name, r, way):
    tile = tile_of(MAPPINGS[name], r, mode=mode)
    tile.forward(X)
    if mode == "STRAIGHT_THROUGH":
        assert tile.last_forward.clipped_outputs() is None
    before = logical(tile)
    pair = (X, D) if way == "update" else tile.gradients(D).pair
    tile.update(*pair, learning_rate=0.1)
    x = X if r is None else np.clip(X, -r, r)
    change = -0.1 * D.T.astype(float) @ x
    assert np.abs(logical(tile) - before - change).max() <= ROUNDING


@pytest.mark.parametrize("r", [None, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", MAPPINGS)
def test_a_logical_step_of_an_analog_bias_is_the_sum_of_errors(name, r):
    tile = tile_of(MAPPINGS[name] | dict(digital_bias=False), r, bias=True)
    tile.forward(X)
    before = logical(tile)
    tile.update(X, D, learning_rate=0.1)
    change = logical(tile) - before
    assert np.abs(change[:, 3] + 0.1 * D.sum(axis=0)).max() <= ROUNDING


def test_learned_scales_act_twice_on_a_logical_step():
    tile = tile_of(LEARNED | MAPPINGS["columnwise"])
    tile.out_scaling[:] = [2.0, -0.5]
    before = logical(tile)
    tile.update(X, D, learning_rate=0.1)
    change = -0.1 * D.T.astype(float) @ X * np.array([[4.0], [0.25]])
    assert np.abs(logical(tile) - before - change).max() <= 4.0 * ROUNDING


def test_pulsed_devices_see_the_same_step_at_any_range():
    flat = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0, dw_min_std=0.0)
    device = rs.ConstantStepDevice(dw_min=1e-3, w_max=1.0, w_min=-1.0, **flat)
    update = dict(pulse_type="DETERMINISTIC_IMPLICIT", desired_bl=10000)
    x, d = np.float32([[1.0, -0.5, 0.3]]), np.float32([[0.2, -0.05]])
    for r in (None, 1.0, 4.0, 32.0):
        config = rs.RPUConfig(device=device, update=update, pre_post=ranged(r))
        tile = rs.AnalogTile(2, 3, config, rng=1)
        tile.set_weights(np.zeros((2, 3)))
        tile.update(x, d, learning_rate=0.3)
        change = -0.3 * d.T.astype(float) @ x
        assert np.abs(logical(tile) - change).max() <= 0.5e-3 + ROUNDING  # half a step


# ---------------------------------------------------------------- setting and getting

WEIGHTS = {
    "usual": W,
    "a row of zeros": np.float32([[0.0, 0.0, 0.0], [1.5, -3.0, 0.1]]),
    "zeros": np.zeros((2, 3), np.float32),
    "large": np.float32(1e6) * W,
    "small": np.float32(1e-6) * W,
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("scaling", [None, [2.0, 0.5], [-3.0, 0.0]], ids=str)
def test_logical_weights_come_back_as_they_were_set(kind, name, analog, scaling):
    learned = {} if scaling is None else LEARNED
    tile = tile_of(MAPPINGS[name] | learned | dict(digital_bias=not analog), 2.0, bias=True)
    if scaling is not None:
        tile.out_scaling[:] = scaling
    tile.set_weights(WEIGHTS[kind], B)
    w, b = tile.get_weights()
    assert np.allclose(w, WEIGHTS[kind], rtol=4.0 * FLOAT32, atol=0.0)
    assert np.allclose(b, B, rtol=4.0 * FLOAT32, atol=0.0)
    y = tile.forward(np.float32([[1.0, -1.0, 0.5]]))
    expected = WEIGHTS[kind].astype(float) @ [1.0, -1.0, 0.5] + B
    bound = 12.0 * FLOAT32 * (2.5 * np.abs(WEIGHTS[kind]).max() + np.abs(B).max())
    assert np.abs(y - expected).max() <= bound


def test_setting_what_devices_hold_leaves_the_scales_and_setting_again_is_exact():
    tile = tile_of(MAPPINGS["columnwise"] | LEARNED)
    scales = tile.mapping_scales
    tile.out_scaling[:] = [2.0, 0.5]
    held = np.full((2, 3), 0.25, np.float32)
    tile.set_weights(held, apply_weight_scaling=False)
    assert np.array_equal(tile.get_weights(apply_weight_scaling=False)[0], held)
    assert np.array_equal(tile.mapping_scales, scales)
    assert np.allclose(tile.get_weights()[0], held * (scales * [2.0, 0.5])[:, None])
    tile.set_weights(W)
    assert np.allclose(tile.get_weights()[0], W, rtol=4.0 * FLOAT32, atol=0.0)


def test_the_largest_weight_on_devices_is_omega_with_an_analog_bias_in_it():
    tile = tile_of(MAPPINGS["columnwise"] | dict(digital_bias=False), bias=True)
    tile.set_weights(W, [8.0, 0.0])
    held, column = tile.get_weights(apply_weight_scaling=False)
    assert np.allclose(np.abs(np.column_stack([held, column])).max(axis=1), 0.6, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "bias", "error", "match"),
    [
        (W, [1.0, np.nan], rs.DataError, "bias must be finite"),
        (W * np.nan, [1.0, 1.0], rs.DataError, "weights must be finite"),
        (W[:, :2], [1.0, 1.0], rs.ShapeError, r"weights must have shape \(2, 3\)"),
        (W, [1.0], rs.ShapeError, r"bias must have shape \(2,\)"),
    ],
)
def test_weights_that_are_refused_change_nothing(weights, bias, error, match):
    tile = tile_of(MAPPINGS["columnwise"] | LEARNED, bias=True)
    before = tile.state_dict()
    with pytest.raises(error, match=match):
        tile.set_weights(weights, bias)
    for name, array in tile.state_dict().items():
        assert np.array_equal(array, before[name]), name


# ---------------------------------------------------------------- the input range


def test_the_first_batches_of_training_set_the_range_by_a_running_mean():
    tile = tile_of(pre_post=ranged(7.0, init_from_data=3, init_std_alpha=2.0))
    batches = [np.random.default_rng(k).normal(size=(6, 3)) * (k + 1) for k in range(5)]
    r = 7.0
    for c, x in enumerate(batches):
        tile.forward(100.0 * x, is_test=True)
        tile.forward(np.zeros((6, 3)))  # no spread, no estimate
        assert tile.input_range == pytest.approx(r, rel=1e-6)
        tile.forward(x)
        if c < 3:
            r = (r * c + 2.0 * np.std(x, ddof=1)) / (c + 1)
        assert tile.input_range == pytest.approx(r, rel=1e-6)


def test_an_estimated_range_acts_on_its_own_batch():
    tile = tile_of(pre_post=ranged(7.0, init_from_data=1, init_std_alpha=1.0))
    y = tile.forward(X)
    r = np.std(X, ddof=1, dtype=float)
    assert np.abs(X).max() > r
    assert np.abs(y - np.clip(X, -r, r) @ W.T.astype(float)).max() <= ROUNDING


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("learned", [False, True])
def test_the_exact_gradient_of_the_range_is_a_finite_difference(name, learned):
    plain = dict(exact_gradient=True, gradient_relative=False, decay=0.0)
    mapping = MAPPINGS[name] | (LEARNED if learned else {})
    losses = []
    for r in (1.5 - 2.0**-6, 1.5 + 2.0**-6, 1.5):  # no |x| in between
        tile = tile_of(mapping, pre_post=ranged(r, **plain))
        if learned:
            tile.out_scaling[:] = [2.0, -0.5]
        losses.append(float((D * tile.forward(X).astype(float)).sum()))
    slope = (losses[1] - losses[0]) / 2.0**-5
    assert abs(slope) > 1.0
    assert abs(float(tile.gradients(D).input_range[0]) - slope) <= 64.0 * ROUNDING


def test_the_usual_gradient_of_the_range_only_asks_for_more():
    tile, x = tile_of(r=1.5), X * np.float32([-1.0, -1.0, 1.0])
    tile.forward(x)
    found = tile.gradients(D).input_range[0]
    outward = np.where(np.abs(x) > 1.5, np.sign(x) * (D.astype(float) @ W), 0.0)
    assert outward.min() < 0.0 < outward.max()
    assert found == pytest.approx(1.5 * np.minimum(outward, 0.0).sum(), rel=1e-5)


def test_a_range_decays_where_little_is_clipped():
    tile = tile_of(pre_post=ranged(10.0, decay=0.01))
    tile.forward(X)
    assert tile.gradients(D).input_range[0] == pytest.approx(0.1, rel=1e-6)


def test_saturated_outputs_widen_the_range_by_their_share_of_the_outputs():
    forward = io(noise_management="NONE", bound_management="NONE", out_bound=0.1, out_noise=0.0)
    tile = tile_of(
        forward=forward, pre_post=ranged(2.0, manage_output_clipping=True, decay=0.0)
    )  # 3 inputs and 2 outputs: the reference counts the wrong ones
    tile.forward(np.full((3, 3), 2.0))
    assert tile.last_forward.outputs_clipped == 1.0
    assert tile.gradients(np.ones((3, 2))).input_range[0] <= -2.0
    away = tile.gradients(np.zeros((3, 2))).input_range[0]
    assert away == pytest.approx(-2.0)


# ---------------------------------------------------------------- scales of few bits


def test_scales_and_bias_of_few_bits_are_those_of_their_grids():
    scales = np.float32([1.0, 0.3, 0.07])
    quant = rs.PrePostProcessingParameterQuant(periph_quant=dict(n_bits=4))
    config = rs.InferenceRPUConfig(forward=PERFECT, mapping=MAPPINGS["columnwise"], pre_post=quant)
    tile = rs.InferenceTile(3, 3, config, bias=True, rng=1)
    tile.set_weights(0.6 * np.diag(scales), [0.1, -0.5, 0.33])
    y = tile.forward(np.eye(3))
    bias = np.float32([0.0714, -0.5, 0.3571])  # of symmetric grids, signed where they have to be
    assert np.allclose(np.diag(y - bias), 0.6 * np.array([1.0, 0.2667, 0.0667]), atol=1e-4)
    assert np.allclose(y[0, 1:], bias[1:], atol=1e-4)
    assert np.allclose(tile.get_weights()[0], 0.6 * np.diag(scales), rtol=1e-6)


# ---------------------------------------------------------------- what goes in


@pytest.mark.parametrize(
    "x", [X.tolist(), X.astype(float), np.asfortranarray(X), X.astype(np.float16)], ids=repr
)
def test_inputs_can_be_lists_and_arrays_of_any_layout(x):
    expected = tile_of(r=2.0).forward(np.asarray(x, np.float32))
    assert np.array_equal(tile_of(r=2.0).forward(x), expected)


def test_integers_and_booleans_are_numbers():
    one, other = tile_of(), tile_of()
    assert np.array_equal(one.forward([[1, 0, -2]]), other.forward([[1.0, 0.0, -2.0]]))
    assert np.array_equal(one.forward([[True, False, True]]), other.forward([[1.0, 0.0, 1.0]]))


@pytest.mark.parametrize("lead", [(), (1,), (2, 3), (0,), (2, 0)])
def test_leading_axes_are_kept(lead):
    tile = tile_of(r=2.0, forward=rs.IOParameters(), mode="STRAIGHT_THROUGH")
    x = np.ones((*lead, 3), np.float32)
    assert tile.forward(x).shape == (*lead, 2)
    assert tile.backward(np.ones((*lead, 2))).shape == (*lead, 3)
    assert tile.gradients(np.ones((*lead, 2))).input.shape == (*lead, 3)


BAD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "too large for float32": 1e300}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("call", ["forward", "backward", "gradients", "update x", "update d"])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_finite_is_refused_and_changes_nothing(mode, call, bad):
    tile = tile_of(
        MAPPINGS["columnwise"] | LEARNED,
        mode=mode,
        bias=True,
        forward=rs.IOParameters(noise_management="AVERAGE_ABS_MAX"),
        pre_post=ranged(2.0, init_from_data=10),
    )
    tile.forward(X)
    before, context = tile.state_dict(), tile.last_forward
    x, d = X.astype(float), D.astype(float)
    (x if call in ("forward", "update x") else d)[2, 1] = BAD[bad]
    calls = {
        "forward": lambda: tile.forward(x),
        "backward": lambda: tile.backward(d),
        "gradients": lambda: tile.gradients(d),
    }
    with pytest.raises(rs.DataError, match=r"finite"):
        calls.get(call, lambda: tile.update(x, d, 0.1))()
    assert tile.last_forward is context
    for name, array in tile.state_dict().items():
        assert np.array_equal(array, before[name]), name


def test_a_tiles_state_continues_it_bit_for_bit():
    for learned, r, analog in itertools.product((False, True), (None, 2.0), (False, True)):
        mapping = MAPPINGS["columnwise"] | (LEARNED if learned else {})
        settings = dict(
            mapping=mapping | dict(digital_bias=not analog),
            bias=True,
            forward=rs.IOParameters(),
            mode="STRAIGHT_THROUGH",
            pre_post=ranged(r, init_from_data=3) if r else {},
        )
        tile, other = tile_of(**settings), tile_of(rng=5, **settings)
        work(tile)
        other.load_state_dict(tile.state_dict())
        for one, same in zip(work(tile), work(other), strict=True):
            assert np.array_equal(one, same)


def work(tile):
    """Let a tile take two steps; return what it said."""
    said = []
    for _ in range(2):
        said.append(tile.forward(X))
        gradients = tile.gradients(D)
        said += [array for array in gradients[2:] if array is not None]
        for array in tile.digital_parameters().values():
            array += np.float32(0.01)
        tile.update(*gradients.pair, learning_rate=0.1)
        said.append(tile.get_weights()[0])
    return said


def test_an_unmanaged_quiet_tile_with_all_around_it_is_linear():
    tile = tile_of(MAPPINGS["columnwise"] | LEARNED, 8.0, bias=True, forward=quiet())
    zero = tile.forward(np.zeros((1, 3)))
    assert np.allclose(zero, B)
    both = tile.forward(X) + tile.forward(-X)
    assert np.abs(both - 2.0 * B).max() <= ROUNDING
