"""DAC and ADC: rounding, clipping, resolutions, stochastic rounding, error bounds."""

import math

import numpy as np
import pytest

from rpusim.kernels.bind import bind
from rpusim.periphery.converters import rint
from tests.periphery.tiles import io, quiet, same_rows, tile_of

RNG = np.random.default_rng(3)
SIGMAS = 5.0


def test_rint_rounds_halves_to_even_like_numpy():
    v = np.concatenate([np.arange(-8.0, 8.5, 0.25), RNG.normal(0.0, 1e3, 1000), [2.0**22 - 0.5]])
    v = v.astype(np.float32)
    for target in ("python", "cpu"):
        function = bind(rint, target, entry=True, cache=False)
        np.testing.assert_array_equal([function(a) for a in v], np.rint(v))


def test_the_dac_rounds_to_its_grid_halves_to_even():
    codes = np.array([0.5, 1.5, 2.5, 0.6, 62.9, 75.6])
    expected = [0, 2, 2, 1, 63, 63]
    tile = tile_of(np.eye(6), quiet(inp_bound=1.0, inp_res=1 / 126))
    np.testing.assert_allclose(63 * tile.forward(codes / 63), expected, rtol=1e-6)
    np.testing.assert_allclose(63 * tile.forward(-codes / 63), np.negative(expected), rtol=1e-6)


def test_the_adc_rounds_to_its_grid_and_clips_at_its_bound():
    codes = np.array([0.5, 1.5, 2.5, 0.6, 254.6, 300.0, 1e9])
    expected = [0, 2, 2, 1, 255, 255, 255]
    tile = tile_of(np.eye(7), quiet(out_res=1 / 510, out_bound=12.0))
    step = 24.0 / 510.0
    np.testing.assert_allclose(tile.forward(codes * step) / step, expected, rtol=1e-6)
    np.testing.assert_allclose(tile.forward(-codes * step) / step, np.negative(expected), rtol=1e-6)


def test_a_grid_that_does_not_hold_the_bound_is_clipped_at_it():
    tile = tile_of([[1.0]], quiet(out_res=1 / 5, out_bound=1.0))
    np.testing.assert_allclose(tile.forward([[0.78], [0.85], [7.0]]), [[0.8], [0.8], [1.0]])


@pytest.mark.parametrize("name", ["inp_res", "out_res"])
def test_a_resolution_may_be_a_step_or_a_number_of_steps(name):
    w, x = RNG.normal(size=(5, 6)), RNG.normal(size=(40, 6))
    results = [tile_of(w, io(**{name: res})).forward(x) for res in (1 / 62, 62.0, 62)]
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


@pytest.mark.parametrize("name", ["inp_res", "out_res"])
def test_a_resolution_of_0_or_less_is_off(name):
    w, x = RNG.normal(size=(5, 6)), RNG.normal(size=(40, 6))
    off, negative = (tile_of(w, io(**{name: res})).forward(x) for res in (0.0, -1.0))
    np.testing.assert_array_equal(off, negative)
    assert (off != tile_of(w, io(**{name: 1 / 62})).forward(x)).any()


def test_a_resolution_of_1_rounds_everything_to_zero():
    tile = tile_of(np.eye(3), quiet(inp_bound=1.0, inp_res=1.0))
    assert not tile.forward(RNG.uniform(-1.0, 1.0, (50, 3))).any()


@pytest.mark.parametrize("stage", ["inp", "out"])
def test_stochastic_rounding_is_two_valued_and_unbiased(stage):
    count, v, step = 2**17, 0.37, 0.2
    settings = {"inp_bound": 1.0, "inp_sto_round": True, "inp_res": 0.1}
    if stage == "out":
        settings = {"out_sto_round": True, "out_res": 0.1, "out_bound": 1.0}
    y = tile_of([[1.0]], quiet(**settings)).forward(np.full((count, 1), v)).astype(np.float64)
    assert set(np.round(y.ravel() / step, 5)) == {1.0, 2.0}
    p = 0.85
    tolerance = SIGMAS * math.sqrt(p * (1.0 - p) / count)
    assert np.mean(y > 0.3) == pytest.approx(p, abs=tolerance)
    assert y.mean() == pytest.approx(v, abs=step * tolerance)
    assert y.var() == pytest.approx(step**2 * p * (1.0 - p), rel=SIGMAS * math.sqrt(2.0 / count))


@pytest.mark.parametrize("stage", ["inp", "out"])
def test_stochastic_rounding_leaves_grid_points_alone(stage):
    settings = {"inp_bound": 1.0, "inp_sto_round": True, "inp_res": 1 / 8}
    if stage == "out":
        settings = {"out_sto_round": True, "out_res": 1 / 8, "out_bound": 1.0}
    grid = same_rows(np.arange(-4, 5) / 4, 10_000)
    np.testing.assert_array_equal(tile_of(np.eye(9), quiet(**settings)).forward(grid), grid)


def test_stochastic_rounding_draws_for_every_line_and_vector():
    tile = tile_of(np.eye(8), quiet(inp_bound=1.0, inp_sto_round=True, inp_res=1 / 2))
    up = tile.forward(np.full((2**16, 8), 0.5)) > 0.5
    r = np.corrcoef(up.T)[~np.eye(8, dtype=bool)]
    assert np.abs(r).max() < SIGMAS / 2**8
    assert abs(np.corrcoef(up[1:].ravel(), up[:-1].ravel())[0, 1]) < SIGMAS / math.sqrt(8 * 2**16)


def test_the_dac_error_stays_within_half_a_step_per_input():
    w, x = RNG.normal(size=(20, 50)), RNG.normal(size=(300, 50))
    y = tile_of(w, io(out_res=0.0, out_bound=0.0)).forward(x)
    alpha = np.abs(x).max(axis=1, keepdims=True)
    bound = alpha * (1 / 126) * np.abs(w).sum(axis=1)
    assert (np.abs(y - x @ w.T) <= bound * (1.0 + 1e-5)).all()


def test_the_dac_error_of_random_inputs_has_the_variance_of_uniform_rounding():
    n, count, step = 64, 2**14, 2 / 126
    w, x = RNG.normal(size=(1, n)), RNG.uniform(-1.0, 1.0, (count, n))
    error = tile_of(w, quiet(inp_bound=1.0, inp_res=1 / 126)).forward(x) - x @ w.T
    expected = step**2 / 12 * np.sum(w**2)
    assert np.mean(error**2) == pytest.approx(expected, rel=SIGMAS * math.sqrt(2.0 / count))
    assert error.mean() == pytest.approx(0.0, abs=SIGMAS * math.sqrt(expected / count))


def test_the_adc_error_stays_within_half_a_step_where_nothing_clips():
    w, x = RNG.normal(size=(20, 50)) / 10, RNG.normal(size=(300, 50))
    y = tile_of(w, io(inp_res=0.0)).forward(x)
    alpha = np.abs(x).max(axis=1, keepdims=True)
    bound = alpha * (0.5 * 24.0 / 510.0)
    assert (np.abs(x @ w.T) < 12.0 * alpha).all()
    assert (np.abs(y - x @ w.T) <= bound * (1.0 + 1e-4)).all()


def test_the_dac_clips_at_its_bound_before_its_noise():
    x = np.array([[0.2, 0.7, 5.0, -5.0]])
    tile = tile_of(np.eye(4), quiet(inp_bound=0.5))
    np.testing.assert_allclose(tile.forward(x), [[0.2, 0.5, 0.5, -0.5]])
    noisy = tile_of(np.eye(4), quiet(inp_bound=0.5, inp_noise=0.1)).forward(same_rows(x, 1000))
    assert noisy.max() > 0.6
