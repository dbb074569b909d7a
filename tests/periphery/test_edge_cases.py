"""Exact products and borderline inputs: zeros, NaN, infinity, no bounds, magnitudes, shapes."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError, ShapeError
from tests.periphery.tiles import io, quiet, same_rows, tile_of

RNG = np.random.default_rng(7)
UNIT = 2.0**-24
METHODS = ["forward", "backward"]


def perfect(**changes):
    return rs.IOParameters(is_perfect=True, **changes)


# ---------------------------------------------------------------- exact products


@pytest.mark.parametrize("managed", ["NONE", "ABS_MAX", "CONSTANT"])
@pytest.mark.parametrize("out_scale", [1.0, -2.5])
def test_with_all_effects_off_it_is_the_plain_product(managed, out_scale):
    w = RNG.normal(size=(20, 50)).astype(np.float32)
    x = (RNG.normal(size=(40, 50)) / 5).astype(np.float32)
    settings = quiet(noise_management=managed, out_scale=out_scale, bound_management="ITERATIVE")
    y = tile_of(w, settings).forward(x)
    exact = out_scale * (x.astype(np.float64) @ w.T.astype(np.float64))
    size = abs(out_scale) * (np.abs(x) @ np.abs(w.T))
    assert (np.abs(y - exact) <= 60 * UNIT * size).all()


@pytest.mark.parametrize(
    "settings", [perfect(), perfect(out_scale=3.0), rs.IOParameters(mv_type="IDEAL")]
)
def test_a_perfect_product_ignores_everything_but_its_factor(settings):
    w = RNG.normal(size=(20, 50)).astype(np.float32)
    x, d = (RNG.normal(size=(40, n)).astype(np.float32) for n in (50, 20))
    tile = tile_of(w, settings, settings)
    w64 = settings.out_scale * w.astype(np.float64)
    np.testing.assert_allclose(tile.forward(x), x @ w64.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tile.backward(d), d @ w64, rtol=1e-4, atol=1e-5)


def test_a_perfect_backward_is_the_gradient_of_a_perfect_forward():
    w, x, d = RNG.normal(size=(4, 6)), RNG.normal(size=6), RNG.normal(size=4)
    tile = tile_of(w, perfect(), perfect())
    np.testing.assert_allclose(tile.backward(d), d @ w, atol=1e-6, rtol=1e-6)
    assert not tile.backward(np.zeros(4)).any()
    for j in range(6):
        step = np.zeros(6)
        step[j] = 0.5
        slope = (tile.forward(x + step) - tile.forward(x - step)) @ d
        assert slope == pytest.approx(float(tile.backward(d)[j]), abs=1e-5)


def test_no_backward_noise_means_backward_as_configured():
    w, d = RNG.normal(size=(4, 6)), RNG.normal(size=(9, 4))
    noisy = tile_of(w, perfect(), rs.IOParameters()).backward(d)
    assert np.abs(noisy - d @ w).max() > 0.05


@pytest.mark.parametrize("power", [-100, -30, -1, 1, 30, 100])
def test_scaling_the_input_by_a_power_of_two_scales_the_output_exactly(power):
    w, x = RNG.normal(size=(5, 6)), RNG.normal(size=(20, 6)).astype(np.float32)
    tile = tile_of(w, io(out_bound=1.0), io(out_bound=1.0))
    c = np.float32(2.0**power)
    np.testing.assert_array_equal(tile.forward(c * x), c * tile.forward(x))
    np.testing.assert_array_equal(tile.backward(c * x[:, :5]), c * tile.backward(x[:, :5]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("magnitude", [1e-45, 1e-40, 2e-39, 1e-38, 1e-30, 1e30, 1e37])
def test_vectors_of_any_magnitude_have_finite_results(method, magnitude):
    settings = rs.IOParameters()
    tile = tile_of([[0.5, -0.25], [0.0, 0.8]], settings, settings)
    y = getattr(tile, method)([magnitude, 0.0])
    assert np.isfinite(y).all()
    assert (np.abs(y) <= 2.0 * magnitude).all()


# ---------------------------------------------------------------- zeros


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [{}, {"inp_noise": 0.1}])
def test_a_vector_of_zeros_gives_exact_zeros_among_others(method, noise):
    settings = rs.IOParameters(**noise)
    tile, again = (tile_of(np.full((5, 5), 0.5), settings, settings) for _ in range(2))
    x = RNG.normal(size=(40, 5))
    y = getattr(tile, method)(x)
    x[[0, 7, 16, 39]] = 0.0
    z = getattr(again, method)(x)
    assert not z[[0, 7, 16, 39]].any()
    others = np.setdiff1d(np.arange(40), [0, 7, 16, 39])
    assert z[others].any(axis=1).all()
    np.testing.assert_array_equal(z[others], y[others])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("managed", ["NONE", "CONSTANT"])
def test_a_vector_of_zeros_with_a_fixed_scale_is_read_with_noise(method, managed):
    settings = rs.IOParameters(noise_management=managed, out_res=0.0)
    tile = tile_of(np.eye(3), settings, settings)
    assert getattr(tile, method)(np.zeros((50, 3))).std() == pytest.approx(0.06, rel=0.3)


def test_a_digital_bias_is_added_to_a_vector_of_zeros():
    tile = rs.AnalogTile(2, 3, rs.RPUConfig(device=rs.IdealDevice()), bias=True, rng=1)
    tile.set_weights(np.ones((2, 3)), [0.25, -4.0])
    np.testing.assert_array_equal(tile.forward(np.zeros(3)), [0.25, -4.0])


# ---------------------------------------------------------------- NaN and infinity


@pytest.mark.parametrize("backend", ["cpu", "python"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "settings",
    [perfect(), io(), io(noise_management="NONE"), io(noise_management="CONSTANT")],
    ids=repr,
)
def test_what_is_not_finite_is_refused_by_method_and_row(settings, bad, method, backend):
    tile = tile_of(np.zeros((3, 3)), settings, settings, backend=backend)
    x = np.ones((40, 3))
    x[[21, 30], 2] = bad
    text = rf"AnalogTile\.{method}: the input must be finite, got NaN or infinity in row 21\."
    with pytest.raises(DataError, match=text):
        getattr(tile, method)(x)


@pytest.mark.parametrize("method", METHODS)
def test_a_refused_input_leaves_the_tile_as_it_was(method):
    tile, other = (tile_of(np.eye(3), rs.IOParameters(), rs.IOParameters()) for _ in range(2))
    with pytest.raises(DataError):
        getattr(tile, method)([[1.0, np.nan, 0.0]])
    assert tile.stats == other.stats
    np.testing.assert_array_equal(
        getattr(tile, method)(np.ones(3)), getattr(other, method)(np.ones(3))
    )


# ---------------------------------------------------------------- no bounds


@pytest.mark.parametrize("bound", [0.0, -1.0, np.inf])
def test_an_adc_without_bound_neither_clips_nor_rounds(bound):
    w = RNG.normal(size=(5, 6)) * 1e3
    x = RNG.normal(size=(20, 6)).astype(np.float32)
    y = tile_of(w, io(out_bound=bound, inp_res=0.0)).forward(x)
    np.testing.assert_allclose(y, x @ w.T.astype(np.float32), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.inf])
def test_a_dac_without_bound_neither_clips_nor_rounds(bound):
    x = np.float32([[0.123456, -7.7, 1e5]])
    y = tile_of(np.eye(3), quiet(inp_bound=bound, inp_res=1 / 126)).forward(x)
    np.testing.assert_array_equal(y, x)


# ---------------------------------------------------------------- scales


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"noise_management": "CONSTANT"}, 1.0),
        ({"noise_management": "CONSTANT", "nm_thres": 2.0}, 2.0),
        ({"noise_management": "ABS_MAX"}, 5.0),
        ({"noise_management": "ABS_MAX", "nm_thres": 2.0}, 2.0),
        ({"noise_management": "ABS_MAX", "nm_thres": 9.0}, 5.0),
        ({"noise_management": "NONE", "nm_thres": 9.0, "inp_bound": 1.0}, 1.0),
    ],
)
def test_inputs_beyond_the_scale_saturate(settings, expected):
    y = tile_of(np.eye(2), quiet(**settings)).forward([-5.0, 0.5])
    np.testing.assert_allclose(y, [-expected, 0.5], rtol=1e-6)


# ---------------------------------------------------------------- shapes


def test_leading_axes_are_vectors_in_order():
    settings = rs.IOParameters()
    x = RNG.normal(size=(4, 5, 3))
    w = RNG.normal(size=(2, 3))
    flat = tile_of(w, settings).forward(x.reshape(-1, 3))
    np.testing.assert_array_equal(tile_of(w, settings).forward(x), flat.reshape(4, 5, 2))
    np.testing.assert_array_equal(tile_of(w, settings).forward(x[0, 0]), flat[0])


def test_the_largest_of_a_vector_is_its_own():
    tile = tile_of([[1.0]], io(noise_management="ABS_MAX", inp_res=1 / 4, out_res=0.0))
    x = np.float32([[0.3], [1.0], [-70.0], [1e-3]])
    np.testing.assert_allclose(tile.forward(x), x, rtol=1e-6)


def test_an_input_of_another_width_is_refused():
    tile = tile_of(np.eye(3))
    with pytest.raises(ShapeError, match=r"forward: x must have shape \(\.\.\., 3\), got \(2, 4\)"):
        tile.forward(same_rows(np.ones(4), 2))
