"""What differs from line to line and along a line: wires, offsets, S-shapes, asymmetries, noise."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

import rpusim as rs
from rpusim.errors import RpusimError
from tests.periphery.tiles import both, io, quiet, same_rows, tile_of

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ModelRangeWarning")
SIGMAS = 5.0
RNG = np.random.default_rng(13)


def approx_std(value, count):
    return pytest.approx(value, rel=SIGMAS / math.sqrt(2 * count))


def parameter(tile, name, direction="forward"):
    """Return what was drawn for the lines or devices of a direction, as a flat float64 array."""
    found = getattr(tile, f"get_{direction}_parameters")()
    return np.asarray(found[name], np.float64).reshape(-1)


# ---------------------------------------------------------------- voltage drop along the wires


def uniform_line(n, w, x, ratio, ir_drop):
    """Return the output of a line of equal devices and inputs."""
    a = n**2 * w * x / ratio
    c = 0.5 * a - 0.2 * a**2 + 0.05 * a**3
    return n * w * x * (1.0 - ir_drop * c * (1.0 - (n + 1) * (2 * n + 1) / (6 * n**2)))


@pytest.mark.parametrize(
    ("n", "w", "x", "ratio", "ir_drop"),
    [
        (40, 0.5, 0.8, 2000.0, 1.0),
        (40, 0.5, 0.8, 2000.0, 0.25),
        (1, 0.7, 0.9, 3.0, 1.0),
        (300, 0.1, 0.2, 5000.0, 2.0),
        (17, 1.0, 1.0, 100.0, 1.0),
    ],
)
def test_a_uniform_line_loses_what_the_closed_form_says(n, w, x, ratio, ir_drop):
    settings = quiet(ir_drop=ir_drop, ir_drop_g_ratio=ratio)
    tile = tile_of(np.full((2, n), w), settings, settings)
    expected = uniform_line(n, w, x, ratio, ir_drop)
    np.testing.assert_allclose(tile.forward(np.full(n, x)), expected, rtol=2e-6)
    turned = tile_of(np.full((n, 2), w), settings, settings)
    np.testing.assert_allclose(turned.backward(np.full(n, x)), expected, rtol=2e-6)


def test_the_uniform_line_of_the_specification_gives_14_522777():
    assert uniform_line(40, 0.5, 0.8, 2000.0, 1.0) == pytest.approx(14.522777, abs=5e-7)
    settings = quiet(ir_drop=1.0, ir_drop_g_ratio=2000.0)
    y = tile_of(np.full((1, 40), 0.5), settings).forward(np.full(40, 0.8))
    assert y[0] == pytest.approx(14.522777, abs=2e-5)


def test_a_long_line_of_weak_devices_loses_a_third_of_its_relative_current():
    n, a = 2000, 0.01
    settings = quiet(ir_drop=1.0, ir_drop_g_ratio=n**2 * 0.5 / a)
    y = tile_of(np.full((1, n), 0.5), settings).forward(np.ones(n)).astype(np.float64)
    # next orders: 0.4 a and 1.5 / n, relative; the drop is what is left of rounded numbers
    allowed = a / 3 * (0.4 * a + 1.5 / n) + n**0.5 * 2.0**-24
    assert 1.0 - y[0] / (0.5 * n) == pytest.approx(a / 3, abs=allowed)


def test_the_drop_is_the_same_for_weights_and_inputs_of_opposite_sign():
    w, x = RNG.normal(size=(4, 30)), RNG.normal(size=(50, 30))
    settings = quiet(ir_drop=1.0, ir_drop_g_ratio=900.0)
    np.testing.assert_allclose(
        tile_of(-w, settings).forward(-x), tile_of(w, settings).forward(x), rtol=1e-6
    )


@pytest.mark.parametrize("far_first", [False, True])
def test_the_drop_grows_with_the_distance_from_the_adc(far_first):
    settings = quiet(ir_drop=1.0, ir_drop_g_ratio=10.0, ir_drop_far_first=far_first)
    y = tile_of(np.ones((1, 20)), settings).forward(np.eye(20))[:, 0]
    near_first = y[::-1] if far_first else y
    assert near_first[0] == 1.0
    assert (np.diff(near_first) < 0.0).all()
    c = 0.5 * 2.0 - 0.2 * 2.0**2 + 0.05 * 2.0**3
    position = 1.0 - (1.0 - np.arange(20) / 20) ** 2
    np.testing.assert_allclose(near_first, 1.0 - c * position, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("current", "warned"), [(0.95, False), (1.05, True)])
def test_currents_beyond_the_model_of_the_wires_are_warned_of(current, warned):
    settings = quiet(ir_drop=0.5, ir_drop_g_ratio=20 * 10.0 / current)
    tile = tile_of(np.vstack([np.full(20, 0.5), np.zeros(20)]), settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tile.forward([np.zeros(20), np.ones(20)])
    assert [w.category for w in caught] == [rs.ModelRangeWarning] * warned


def test_a_line_that_carries_no_net_current_may_still_lose_some():
    settings = quiet(ir_drop=1.0, ir_drop_g_ratio=10.0)
    y = tile_of([[1.0, -1.0]], settings).forward([1.0, 1.0])
    a = 2.0 * 2.0 / 10.0
    c = 0.5 * a - 0.2 * a**2 + 0.05 * a**3
    assert y[0] == pytest.approx(c * 0.75, rel=1e-5)  # the far one loses and it is negative


# ---------------------------------------------------------------- offsets and series resistance


def with_offsets(y, v, total, w_min, rho, most=math.inf):
    """Return outputs behind offsets `v` and resistances, by the four closed forms."""
    g = -w_min * total

    def divisor(z):
        return 1.0 + np.minimum(rho * np.abs(z), most)

    if w_min == 0.0:
        return (1.0 - v) * y / divisor(y)
    return (1.0 - v) * (y + g) / divisor(y + g) - (1.0 + v) * g / divisor(g)


@pytest.mark.parametrize("most", [math.inf, 0.05])
@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("w_min", [0.0, -1.0, 0.3])
@pytest.mark.parametrize("std", [0.0, 0.05])
def test_offsets_and_series_resistance_follow_their_closed_forms(std, w_min, rho, method, most):
    w, x = RNG.normal(size=(6, 6)), RNG.normal(size=(30, 6))
    settings = quiet(v_offset_std=std, v_offset_w_min=w_min, r_series=rho, r_series_max_total=most)
    tile = tile_of(w, settings, settings)
    v = parameter(tile, "v_offset", method) if std > 0.0 else np.zeros(6)
    assert v.any() == (std > 0.0)
    exact = x @ (w.T if method == "forward" else w)
    expected = with_offsets(exact, v, x.sum(axis=1, keepdims=True), w_min, rho, most)
    np.testing.assert_allclose(getattr(tile, method)(x), expected, rtol=1e-5, atol=1e-5)


def test_a_reference_unit_without_resistance_adds_twice_its_offset():
    settings = quiet(v_offset_std=0.1, v_offset_w_min=-0.5)
    tile = tile_of([[2.0], [0.0]], settings)
    v = parameter(tile, "v_offset")
    np.testing.assert_allclose(
        tile.forward([3.0]), (1.0 - v) * [6.0, 0.0] - 2.0 * v * 1.5, rtol=1e-5
    )


@pytest.mark.parametrize("law", ["HALF_NORMAL", "NORMAL"])
def test_offsets_are_drawn_by_their_law(law):
    settings = quiet(v_offset_std=0.2, v_offset_law=law)
    tile = tile_of(np.zeros((4000, 3)), settings, settings)
    v = parameter(tile, "v_offset") / 0.2
    assert v.size == 4000
    assert stats.kstest(v, "halfnorm" if law == "HALF_NORMAL" else "norm").pvalue > 1e-3
    assert parameter(tile, "v_offset", "backward").size == 3


# ---------------------------------------------------------------- the S-shape


def bent(y, n, factor):
    return factor * y / (1.0 + n * np.abs(y))


@pytest.mark.parametrize("bound", [4.0, 0.0, np.inf])
def test_the_s_shape_loses_its_share_at_the_bound_times_the_calibration(bound):
    b = bound if 0.0 < bound < np.inf else 1.0
    settings = quiet(out_nonlinearity=0.5, slope_calibration=0.5, out_bound=bound)
    tile = tile_of([[1.0], [-1.0]], settings)
    factor = (1.0 + 0.5 * 0.5) ** 2
    np.testing.assert_allclose(parameter(tile, "out_nonlinearity_factor"), factor, rtol=1e-6)
    np.testing.assert_allclose(parameter(tile, "out_nonlinearity"), 0.5 / b, rtol=1e-6)
    y = tile.forward([[b], [0.5 * b], [0.01 * b]])
    expected = bent(np.array([1.0, 0.5, 0.01]) * b, 0.5 / b, factor)
    expected = np.minimum(expected, bound if bound > 0.0 else np.inf)
    np.testing.assert_allclose(y, np.stack([expected, -expected], axis=1), rtol=1e-5)


def test_the_calibrated_s_shape_has_slope_1_at_its_level():
    b, level, h = 12.0, 0.3, 0.25
    settings = quiet(out_nonlinearity=0.8, slope_calibration=level, out_bound=b)
    y = tile_of([[1.0]], settings).forward([[level * b - h], [level * b + h]]).astype(np.float64)
    # the third derivative, 6 n**2 / (1 + n y)**2, bends the chord by h**2 / 6 of it
    allowed = h**2 * (0.8 / b) ** 2 + 12.0 * 2.0**-23 / h
    assert (y[1, 0] - y[0, 0]) / (2.0 * h) == pytest.approx(1.0, abs=allowed)


def test_without_calibration_the_s_shape_only_loses():
    tile = tile_of([[1.0]], quiet(out_nonlinearity=0.5, out_bound=12.0))
    assert tile.forward([12.0])[0] == pytest.approx(12.0 / 1.5, rel=1e-6)
    assert tile.forward([0.12])[0] == pytest.approx(0.12 / 1.005, rel=1e-6)


def test_lines_bend_differently_and_are_calibrated_on_average():
    rows, b = 4000, 10.0
    settings = quiet(
        out_nonlinearity=0.5,
        out_nonlinearity_std=0.2,
        slope_calibration=0.5,
        r_series=0.01,
        v_offset_w_min=0.0,
        out_bound=b,
    )
    tile = tile_of(np.ones((rows, 1)), settings)
    n, factor = parameter(tile, "out_nonlinearity"), parameter(tile, "out_nonlinearity_factor")[0]
    assert n.size == rows
    assert (n >= 0.0).all()
    assert n.mean() * b == pytest.approx(0.5, abs=SIGMAS * 0.1 / math.sqrt(rows))
    assert n.std() * b == approx_std(0.1, rows)
    assert factor == pytest.approx((1.0 + (n.mean() + 0.01) * 0.5 * b) ** 2, rel=1e-5)
    y = 3.0 / (1.0 + 0.01 * 3.0)
    np.testing.assert_allclose(tile.forward([3.0]), bent(y, n, factor), rtol=1e-5)


def test_a_series_resistance_alone_is_calibrated_too():
    settings = quiet(r_series=0.1, slope_calibration=0.5, out_bound=4.0, v_offset_w_min=0.0)
    y = tile_of([[1.0]], settings).forward([2.0])
    assert y[0] == pytest.approx((1.0 + 0.1 * 0.5 * 4.0) ** 2 * 2.0 / 1.2, rel=1e-6)


def test_the_s_shape_comes_before_the_asymmetry_and_the_noise():
    count = 2**14
    settings = quiet(out_nonlinearity=0.5, out_asymmetry=0.1, out_noise=0.2, out_bound=12.0)
    y = tile_of([[-6.0]], settings).forward(same_rows([1.0], count))
    assert y.std() == approx_std(0.2, count)
    expected = -0.9 * 6.0 / (1.0 + 0.5 / 12.0 * 6.0)
    assert y.mean() == pytest.approx(expected, abs=SIGMAS * 0.2 / math.sqrt(count))


# ---------------------------------------------------------------- asymmetries


@pytest.mark.parametrize("loss", [0.1, -0.1])
def test_asymmetries_of_either_sign_act_on_what_is_negative(loss):
    x = np.array([0.5, -0.25])
    y = tile_of(np.eye(2), quiet(out_asymmetry=loss)).forward(x)
    np.testing.assert_allclose(y, [0.5, -0.25 * (1.0 - loss)], rtol=1e-6)
    y = tile_of(-np.eye(2), quiet(inp_asymmetry=loss)).forward(x)
    np.testing.assert_allclose(y, [-0.5, 0.25 * (1.0 - loss)], rtol=1e-6)


def test_the_input_asymmetry_follows_the_noise_of_the_input():
    count = 2**14
    settings = quiet(inp_asymmetry=1.0, inp_noise=0.3)  # nothing negative passes
    y = tile_of([[1.0]], settings).forward(np.zeros((count, 1)))
    assert (y >= 0.0).all()
    p = np.mean(y > 0.0)
    assert p == pytest.approx(0.5, abs=SIGMAS * 0.5 / math.sqrt(count))
    assert y.max() > 0.9


# ---------------------------------------------------------------- noise per line


@pytest.mark.parametrize("law", ["NORMAL", "LOG_NORMAL", "TRUNCATED_NORMAL"])
def test_the_noise_of_lines_is_spread_by_its_law(law):
    rows, spread = 4000, 0.2
    settings = quiet(out_noise=0.06, out_noise_std=spread, out_noise_law=law)
    sigma = parameter(tile_of(np.zeros((rows, 1)), settings), "out_noise_values") / 0.06
    assert sigma.size == rows
    assert (sigma >= 0.0).all()
    assert sigma.mean() == pytest.approx(1.0, abs=SIGMAS * spread / math.sqrt(rows))
    # the spread of a spread: 2 / n for a normal law, more for a log-normal one by its kurtosis
    excess = stats.lognorm(math.sqrt(math.log1p(spread**2))).stats("k") if "LOG" in law else 0.0
    allowed = SIGMAS * math.sqrt((2.0 + float(excess)) / (4.0 * rows))
    assert sigma.std() == pytest.approx(spread, rel=allowed)


def test_a_wide_normal_spread_is_folded():
    settings = quiet(out_noise=0.1, out_noise_std=2.0)
    sigma = parameter(tile_of(np.zeros((4000, 1)), settings), "out_noise_values") / 0.1
    assert stats.kstest(sigma, stats.foldnorm(0.5, scale=2.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_every_line_has_the_noise_drawn_for_it(method):
    count = 2**13
    settings = quiet(out_noise=0.06, out_noise_std=0.5)
    tile = tile_of(np.zeros((8, 8)), settings, settings)
    y = getattr(tile, method)(np.ones((count, 8))).astype(np.float64)
    sigma = parameter(tile, "out_noise_values", method)
    assert np.ptp(sigma) > 0.05
    np.testing.assert_allclose(y.std(axis=0), sigma, rtol=SIGMAS / math.sqrt(2 * count))


# ---------------------------------------------------------------- what was drawn once

ALL = {
    "v_offset_std": 0.1,
    "out_nonlinearity": 0.2,
    "out_nonlinearity_std": 0.3,
    "out_noise_std": 0.2,
    "mv_type": "POS_NEG_SEPARATE",
    "w_read_asymmetry_dtod": 0.1,
}
NAMES = {"v_offset", "out_nonlinearity", "out_nonlinearity_factor", "w_asymmetry"}


def full_tile(rng=1):
    settings = io(**ALL, out_noise=0.06)
    return tile_of(np.random.default_rng(2).normal(size=(4, 5)), settings, settings, rng=rng)


def test_only_what_is_on_is_there():
    assert set(full_tile().get_forward_parameters()) >= NAMES | {"out_noise_values"}
    assert not set(tile_of(np.eye(2), io()).get_forward_parameters()) & NAMES
    one_way = tile_of(np.eye(2), io(v_offset_std=0.1), io())
    assert "v_offset" in one_way.get_forward_parameters()
    assert "v_offset" not in one_way.get_backward_parameters()


def test_the_same_seed_fabricates_the_same_periphery_and_another_seed_another():
    for name in NAMES - {"out_nonlinearity_factor"} | {"out_noise_values"}:
        drawn = parameter(full_tile(), name)
        np.testing.assert_array_equal(parameter(full_tile(), name), drawn)
        assert (parameter(full_tile(rng=2), name) != drawn).any()


def test_lines_of_the_two_directions_are_other_lines():
    settings = io(v_offset_std=0.1)
    tile = tile_of(np.eye(9), settings, settings)
    forth, back = (parameter(tile, "v_offset", d) for d in ("forward", "backward"))
    assert (forth != back).all()


def test_devices_are_the_same_in_both_directions():
    weak, strong = (io(**{**ALL, "w_read_asymmetry_dtod": s}, out_noise=0.06) for s in (0.1, 0.3))
    tile = tile_of(np.zeros((4, 5)), *both(weak))
    forth, back = (parameter(tile, "w_asymmetry", d) for d in ("forward", "backward"))
    np.testing.assert_array_equal(forth, back)
    tile = tile_of(np.zeros((4, 5)), weak, strong)
    other = parameter(tile, "w_asymmetry", "backward")
    np.testing.assert_array_equal(parameter(tile, "w_asymmetry"), forth)
    np.testing.assert_allclose(other - 1.0, 3.0 * (forth - 1.0), atol=1e-6)  # only its size differs


def test_what_was_drawn_can_be_set():
    settings = quiet(v_offset_std=0.1, v_offset_w_min=0.0, out_noise=0.1, out_noise_std=0.1)
    tile = tile_of([[1.0], [2.0]], settings, settings)
    tile.set_forward_parameters({"v_offset": [0.5, -0.5], "out_noise_values": [0.0, 0.0]})
    np.testing.assert_allclose(parameter(tile, "v_offset"), [0.5, -0.5])
    np.testing.assert_allclose(tile.forward([1.0]), [0.5, 3.0], rtol=1e-6)
    tile.set_backward_parameters({"v_offset": [1.0], "out_noise_values": [0.0]})
    np.testing.assert_allclose(tile.backward([1.0, 1.0]), [0.0], atol=1e-7)
    np.testing.assert_allclose(parameter(tile, "v_offset"), [0.5, -0.5])


def test_what_is_read_is_a_copy():
    tile = full_tile()
    tile.get_forward_parameters()["v_offset"][:] = 7.0
    assert parameter(tile, "v_offset").max() < 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"v_ofset": [0.0] * 4},
        {"v_offset": [0.0] * 3},
        {"v_offset": [np.nan] * 4},
        {"out_noise_values": [0.1, 0.1, 0.1, -0.1]},
    ],
    ids=["name", "length", "nan", "negative"],
)
def test_what_cannot_be_set_is_refused_by_name_and_changes_nothing(changes):
    tile = full_tile()
    before = tile.get_forward_parameters()
    with pytest.raises(RpusimError, match=next(iter(changes))):
        tile.set_forward_parameters({"out_nonlinearity": [0.5] * 4, **changes})
    for name, value in tile.get_forward_parameters().items():
        np.testing.assert_array_equal(value, before[name])


def test_what_was_drawn_is_part_of_the_state():
    tile, other = full_tile(), full_tile(rng=2)
    tile.set_forward_parameters({"v_offset": [0.5] * 4})
    other.load_state_dict(tile.state_dict())
    x = RNG.normal(size=(10, 5))
    np.testing.assert_array_equal(other.forward(x), tile.forward(x))
    np.testing.assert_array_equal(other.backward(x[:, :4]), tile.backward(x[:, :4]))


def test_lines_of_a_perfect_product_are_perfect():
    settings = rs.IOParameters(is_perfect=True, **ALL, ir_drop=1.0, ir_drop_g_ratio=1.0)
    w, x = RNG.normal(size=(4, 5)), RNG.normal(size=(10, 5))
    tile = tile_of(w, settings, settings)
    np.testing.assert_allclose(tile.forward(x), x @ w.T, rtol=1e-4, atol=1e-5)
