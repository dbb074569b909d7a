"""Scales of inputs, bound managements beside ITERATIVE, vectors of zeros, NaN and infinity."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError
from tests.periphery.tiles import io, quiet, same_rows, tile_of

SIGMAS = 5.0
RNG = np.random.default_rng(12)
METHODS = ["forward", "backward"]
NOISE = {"out_noise": 1e-3, "out_bound": 1e3}


def approx_std(value, count):
    return pytest.approx(value, rel=SIGMAS / math.sqrt(2 * count))


def scales(x, method="forward", **settings):
    """Return by what noise of the ADC, alone in the outputs of a batch, was multiplied."""
    x = np.atleast_2d(x)
    managed, plain = quiet(**{**NOISE, **settings}), quiet(**NOISE)
    tile, other = (tile_of(np.zeros((x.shape[1],) * 2), s, s) for s in (managed, plain))
    ratio = getattr(tile, method)(x) / getattr(other, method)(x)
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(x.shape[1]), rtol=1e-5)
    return ratio[:, 0].astype(np.float64)


# ---------------------------------------------------------------- MAX


@pytest.mark.parametrize(
    ("x", "limit", "expected"),
    [
        ([0.5, -2.0], 0.0, 0.5),
        ([5.0, 1.0], 2.0, 2.0),
        ([5.0, -7.0], 9.0, 5.0),
        ([-0.3, -2.0], 0.0, 1.0),
        ([-0.3, 0.0], 0.0, 1.0),
        ([-0.3, -0.2], 0.1, 1.0),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_max_scales_by_the_largest_input_if_one_is_positive(method, x, limit, expected):
    settings = {"noise_management": "MAX", "nm_thres": limit}
    assert scales(x, method, **settings) == pytest.approx(expected, rel=1e-5)
    settings = quiet(**settings)
    y = getattr(tile_of(np.eye(2), settings, settings), method)(x)
    np.testing.assert_allclose(y, np.clip(x, -expected, expected), rtol=1e-6)


# ---------------------------------------------------------------- AVERAGE_ABS_MAX


def recursion(x, mu=-1.0, decay=1e-3):
    means = []
    for top in np.abs(x).max(axis=1):
        mu = top if mu < 0.0 else (1.0 - decay) * mu + decay * top
        means.append(mu)
    return np.array(means)


@pytest.mark.parametrize("decay", [1e-3, 0.2, 1.0])
def test_the_average_follows_the_largest_inputs_vector_by_vector(decay):
    x = RNG.normal(size=(50, 4)) * RNG.uniform(0.1, 10.0, (50, 1))
    settings = {"noise_management": "AVERAGE_ABS_MAX", "nm_decay": decay}
    expected = recursion(x, decay=decay)
    np.testing.assert_allclose(scales(x, **settings), expected, rtol=1e-4)
    tile = tile_of(np.eye(4), quiet(**settings))
    for part in np.split(x, [3, 4, 30]):
        tile.forward(part)
    assert average_of(tile) == pytest.approx(expected[-1], rel=1e-5)


def average_of(tile, direction="forward"):
    """Return the running average of one direction."""
    parameters = getattr(tile, f"get_{direction}_parameters")()
    return np.asarray(parameters["aux_nm_value"]).item()


def averaging(**changes):
    settings = quiet(noise_management="AVERAGE_ABS_MAX", **changes)
    return tile_of(np.eye(2), settings, settings)


def test_evaluation_leaves_the_average_alone_and_uses_it():
    tile, x = averaging(), [[5.0, -1.0]]
    np.testing.assert_allclose(tile.forward(x, is_test=True), x, rtol=1e-6)  # its own: 5
    assert average_of(tile) == -1.0
    tile.forward([2.0, 0.0])
    np.testing.assert_allclose(tile.forward(x, is_test=True), [[2.0, -1.0]], rtol=1e-6)
    assert average_of(tile) == 2.0


def test_each_direction_has_its_own_average():
    tile = averaging()
    tile.forward([1.0, 0.0])
    tile.backward([100.0, 0.0])
    assert average_of(tile) == 1.0
    assert average_of(tile, "backward") == 100.0


def test_the_average_has_no_threshold():
    tile = averaging(nm_thres=0.5)
    np.testing.assert_allclose(tile.forward([4.0, -3.0]), [4.0, -3.0], rtol=1e-6)
    assert average_of(tile) == 4.0


def test_a_vector_of_zeros_counts_for_the_average():
    tile = averaging(nm_decay=0.25)
    tile.forward([[4.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    assert average_of(tile) == pytest.approx(0.75 * 0.75 * 4.0 + 0.25)
    tile = averaging(nm_decay=0.25)
    assert not tile.forward([0.0, 0.0]).any()
    assert average_of(tile) == 0.0


def test_a_refused_batch_leaves_the_average_alone():
    tile = averaging()
    tile.forward([2.0, 0.0])
    with pytest.raises(DataError):
        tile.forward([[7.0, 0.0], [np.nan, 0.0]])
    assert average_of(tile) == 2.0


def test_the_average_is_part_of_the_state_and_can_be_set():
    tile, other = averaging(), averaging()
    tile.forward([3.0, 0.0])
    tile.backward([5.0, 0.0])
    other.load_state_dict(tile.state_dict())
    assert (average_of(other), average_of(other, "backward")) == (3.0, 5.0)
    other.set_forward_parameters({"aux_nm_value": [0.5]})
    np.testing.assert_allclose(other.forward([9.0, -9.0], is_test=True), [0.5, -0.5])


# ---------------------------------------------------------------- ABS_MAX_NP_SUM


def np_sum(x, bound, step=0.0, limit=0.0, wmax=0.6, max_bm_res=0.25):
    """Return the scale that keeps the currents of lines full of the largest weight in range."""
    top = np.abs(x).max(axis=1)
    top = np.minimum(top, limit) if limit > 0.0 else top
    q = np.maximum(np.maximum(x, 0.0).sum(axis=1), np.maximum(-x, 0.0).sum(axis=1)) * wmax / bound
    return np.maximum(top, np.minimum(q, top * max_bm_res / step) if step > 0.0 else q)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nm_assumed_wmax": 2.0},
        {"nm_thres": 0.8},
        {"inp_res": 1 / 14},  # caps it at 1.75
        {"inp_res": 1 / 126, "max_bm_res": 0.05},  # caps it at 3.15
        {"out_bound": 2.0},
    ],
)
def test_np_sum_scales_by_the_worst_current(method, changes):
    x = RNG.normal(size=(40, 30)) + RNG.normal(size=(40, 1)) * 2.0
    settings = {"noise_management": "ABS_MAX_NP_SUM", "out_bound": 5.0, **changes}
    expected = np_sum(
        x,
        settings["out_bound"],
        2.0 * changes.get("inp_res", 0.0),
        changes.get("nm_thres", 0.0),
        changes.get("nm_assumed_wmax", 0.6),
        changes.get("max_bm_res", 0.25),
    )
    top = np.minimum(np.abs(x).max(axis=1), changes.get("nm_thres", np.inf))
    assert (expected > 1.2 * top).any()
    np.testing.assert_allclose(scales(x, method, **settings), expected, rtol=1e-4)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.inf])
def test_np_sum_assumes_a_bound_of_1_where_the_adc_has_none(bound):
    x = RNG.uniform(size=(20, 10))
    found = scales(x, noise_management="ABS_MAX_NP_SUM", out_bound=bound)
    np.testing.assert_allclose(found, np_sum(x, 1.0), rtol=1e-4)


def test_np_sum_spaces_the_grid_of_the_dac():
    x, step = RNG.uniform(size=(30, 25)), 2 / 126
    alpha = np_sum(x, 3.0, step)[:, None]
    settings = quiet(noise_management="ABS_MAX_NP_SUM", out_bound=3.0, inp_res=1 / 126)
    y = tile_of(np.eye(25), settings).forward(x)
    np.testing.assert_allclose(y, alpha * step * np.rint(x / alpha / step), rtol=1e-5)


# ---------------------------------------------------------------- ITERATIVE_WORST_CASE

ONES = np.ones(100)  # with weights of 0.6 and a bound of 12 the worst case is 5 times ABS_MAX


def spread_of(weight, count=2**12, **changes):
    settings = io(out_noise=0.06, out_res=0.0, bound_management="ITERATIVE_WORST_CASE", **changes)
    y = tile_of(np.full((2, 100), weight), settings).forward(same_rows(ONES, count))
    return y.std(axis=0), y.mean(axis=0)


@pytest.mark.parametrize(
    ("weight", "factor"), [(0.11, 1), (-0.11, 1), (0.13, 5), (0.5, 5), (-1.1, 10), (2.0, 20)]
)
def test_the_second_round_takes_the_worst_case_and_later_ones_halve(weight, factor):
    count = 2**12
    std, mean = spread_of(weight, count)
    np.testing.assert_allclose(std, 0.06 * factor, rtol=SIGMAS / math.sqrt(2 * count))
    np.testing.assert_allclose(  # and half a step of the DAC at every input
        mean, 100 * weight, atol=factor * (SIGMAS * 0.06 / math.sqrt(count) + 50 * abs(weight) / 63)
    )


def test_the_worst_case_needs_no_third_round_for_weights_that_keep_to_it():
    w = RNG.uniform(-0.6, 0.6, (10, 100))
    x = RNG.normal(size=(200, 100)) * 3.0 + 1.0
    settings = {"out_res": 0.0, "inp_res": 0.0, "out_bound": 4.0}
    y = tile_of(w, io(**settings, bound_management="ITERATIVE_WORST_CASE")).forward(x)
    alone = tile_of(w, io(**settings, noise_management="ABS_MAX_NP_SUM", bound_management="NONE"))
    np.testing.assert_allclose(y, x @ w.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(y, alone.forward(x), rtol=1e-4, atol=1e-3)


def test_the_limits_of_the_worst_case_are_those_of_the_rounds_that_halve():
    settings = io(bound_management="ITERATIVE_WORST_CASE")
    y = tile_of(np.full((1, 100), 1e7), settings).forward(ONES)
    assert y[0] == pytest.approx(12 * 5 * 16, rel=1e-5)
    for factor, expected in ((1, 2), (3, 4), (4, 8)):
        y = tile_of(np.full((1, 100), 1e7), settings.replace(max_bm_factor=factor)).forward(ONES)
        assert y[0] == pytest.approx(12 * 5 * expected, rel=1e-5)


def test_from_the_worst_case_on_it_is_plain_halving():
    w, x = RNG.normal(size=(5, 20)) * 5.0, RNG.normal(size=(50, 20))
    settings = io(noise_management="ABS_MAX_NP_SUM", out_noise=0.06, out_bound=4.0)
    plain = tile_of(w, settings).forward(x)
    worst = tile_of(w, settings.replace(bound_management="ITERATIVE_WORST_CASE")).forward(x)
    np.testing.assert_array_equal(worst, plain)


# ---------------------------------------------------------------- SHIFT


@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        ([20.0, 5.0, -3.0], [12.0, -3.0, -11.0]),
        ([11.0, 5.0, -3.0], [11.0, 5.0, -3.0]),
        ([-20.0, 3.0, 0.0], [-12.0, 3.0, 0.0]),
        ([30.0, 20.0, -3.0], [12.0, 2.0, -12.0]),
    ],
)
def test_shift_lowers_all_outputs_until_the_largest_fits(exact, expected):
    settings = quiet(bound_management="SHIFT", out_bound=12.0)
    y = tile_of(np.reshape(exact, (3, 1)), settings).forward([1.0])
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_shift_is_in_units_of_the_adc():
    settings = quiet(bound_management="SHIFT", out_bound=12.0, noise_management="ABS_MAX")
    y = tile_of([[20.0], [5.0]], settings).forward([[2.0], [0.5]])
    np.testing.assert_allclose(y, [[24.0, -6.0], [6.0, -1.5]], rtol=1e-6)


def test_shift_comes_after_the_noise_and_before_the_rounding():
    settings = quiet(bound_management="SHIFT", out_bound=12.0, out_noise=0.5)
    x = same_rows([1.0], 2**12)
    y = tile_of([[20.0], [19.5]], settings).forward(x)
    np.testing.assert_allclose(y.max(axis=1), 12.0, rtol=1e-6)
    difference = y[:, 0] - y[:, 1]
    assert difference.std() == approx_std(0.5 * math.sqrt(2.0), len(x))
    step = 24.0 / 62.0
    y = tile_of([[20.0], [19.5]], settings.replace(out_res=1 / 62)).forward(x)
    np.testing.assert_allclose(y / step, np.rint(y / step), atol=1e-4)


def test_shift_leaves_the_halves_of_a_digital_sum_to_themselves():
    settings = quiet(
        bound_management="SHIFT", out_bound=12.0, mv_type="POS_NEG_SEPARATE_DIGITAL_SUM"
    )
    w = np.array([[15.0, -1.0], [2.0, -20.0]])  # halves of (1, -1): (15, 2) and (1, 20)
    y = tile_of(w, settings).forward([1.0, -1.0])
    np.testing.assert_allclose(y, [12.0 - 7.0, -1.0 + 12.0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["SHIFT", "ITERATIVE_WORST_CASE"])
def test_backward_refuses_a_bound_management_that_it_would_not_have(kind):
    with pytest.raises(ConfigError, match=rf"backward\.bound_management must be .*, got {kind}"):
        rs.RPUConfig(backward=io(bound_management=kind))


# ---------------------------------------------------------------- vectors of zeros


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("managed", ["ABS_MAX", "MAX", "ABS_MAX_NP_SUM"])
def test_a_vector_of_zeros_is_exact_or_read_as_it_is(managed, method):
    count = 2**12
    for shortcut in (True, False):
        settings = io(
            noise_management=managed, out_noise=0.06, out_res=0.0, zero_input_shortcut=shortcut
        )
        tile = tile_of(np.full((4, 4), 0.5), settings, settings)
        y = getattr(tile, method)(np.zeros((count, 4)))
        if shortcut:
            assert not y.any()
        else:
            assert y.std() == approx_std(0.06, 4 * count)


def test_input_noise_of_a_vector_of_zeros_is_read_without_the_shortcut():
    count = 2**14
    settings = quiet(noise_management="ABS_MAX", inp_noise=0.1, zero_input_shortcut=False)
    y = tile_of([[3.0, 4.0]], settings).forward(np.zeros((count, 2)))
    assert y.std() == approx_std(0.5, count)


# ---------------------------------------------------------------- NaN and infinity

ALL_SCALES = ["NONE", "ABS_MAX", "MAX", "CONSTANT", "ABS_MAX_NP_SUM", "AVERAGE_ABS_MAX"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("managed", ALL_SCALES)
def test_what_is_not_finite_may_spoil_its_vector_and_no_other(managed, bad, method):
    settings = rs.IOParameters(noise_management=managed, on_nonfinite="propagate")
    tile, other = (tile_of(np.eye(4) * 20.0, settings, settings) for _ in range(2))
    x = RNG.normal(size=(40, 4))
    if managed == "AVERAGE_ABS_MAX":
        x[:, 0] = 4.0  # the average stays, whether or not a vector counts
    spoilt = x.copy()
    spoilt[[0, 21], 2] = bad
    y, z = getattr(tile, method)(spoilt), getattr(other, method)(x)
    assert np.isnan(y[[0, 21]]).all()
    good = np.setdiff1d(np.arange(40), [0, 21])
    rounding = 1e-4 if managed == "AVERAGE_ABS_MAX" else 0.0
    np.testing.assert_allclose(y[good], z[good], rtol=rounding)


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_product_propagates_too(method):
    settings = rs.IOParameters(is_perfect=True, on_nonfinite="propagate")
    tile = tile_of(np.zeros((3, 3)), settings, settings)
    y = getattr(tile, method)([[1.0, np.nan, 0.0], [1.0, 2.0, 0.0], [np.inf, 0.0, 0.0]])
    np.testing.assert_array_equal(np.isnan(y), [[True] * 3, [False] * 3, [True] * 3])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"noise_management": "ABS_MAX"}, 0.5),
        ({"noise_management": "ABS_MAX", "nm_thres": 0.25}, 0.25),
        ({"noise_management": "CONSTANT", "nm_thres": 2.0}, 2.0),
        ({"noise_management": "NONE", "inp_bound": 0.7}, 0.7),
        ({"noise_management": "MAX"}, 0.125),
        ({"noise_management": "ABS_MAX_NP_SUM", "nm_assumed_wmax": 2.0}, 1.0),
        ({"noise_management": "AVERAGE_ABS_MAX"}, 0.5),
    ],
)
def test_infinity_may_become_the_largest_input_that_passes(settings, expected, sign):
    settings = quiet(**settings, on_nonfinite="saturate")
    y = tile_of(np.eye(3), settings, settings).forward([sign * np.inf, 0.125, -0.5])
    np.testing.assert_allclose(
        y, [sign * expected, 0.125, -min(0.5, expected)], rtol=1e-6, atol=1e-7
    )


def test_infinity_becomes_full_scale_of_an_average():
    tile = averaging(on_nonfinite="saturate")
    tile.forward([4.0, 0.0])
    y = tile.forward([[np.inf, 1.0], [-np.inf, -8.0]], is_test=True)
    np.testing.assert_allclose(y, [[4.0, 1.0], [-4.0, -4.0]], rtol=1e-6)


def test_spoilt_vectors_do_not_count_for_the_average():
    tile = averaging(on_nonfinite="propagate", nm_decay=0.5)
    tile.forward([[np.nan, 1.0], [4.0, 0.0], [np.inf, 0.0]])
    assert average_of(tile) == 4.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("managed", ALL_SCALES)
def test_nan_is_refused_where_infinity_saturates(managed, method):
    settings = rs.IOParameters(noise_management=managed, on_nonfinite="saturate")
    tile = tile_of(np.eye(3), settings, settings)
    with pytest.raises(DataError, match=rf"{method}: .*row 1"):
        getattr(tile, method)([[np.inf, 1.0, 0.0], [np.nan, 1.0, 0.0]])
