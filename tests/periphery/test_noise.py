"""Noise: its strength at the digital output, its distribution, its independence, its repetition."""

import math

import numpy as np
import pytest
from scipy import stats

import rpusim as rs
from tests.periphery.tiles import io, quiet, same_rows, tile_of

SIGMAS = 5.0
RNG = np.random.default_rng(4)


def approx_std(value, count):
    return pytest.approx(value, rel=SIGMAS / math.sqrt(2 * count))


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("out_scale", [1.0, 2.5])
def test_output_noise_is_multiplied_back_with_the_scale(out_scale, backward):
    count = 2**16
    settings = quiet(noise_management="ABS_MAX", out_noise=0.06, out_scale=out_scale)
    tile = tile_of(np.full((2, 2), 0.25), settings, settings)
    y = (tile.backward if backward else tile.forward)(same_rows([10.0, 3.0], count))
    assert y.std() == approx_std(0.6 * out_scale, 2 * count)
    tolerance = SIGMAS * 0.6 * out_scale / math.sqrt(2 * count)
    assert y.mean() == pytest.approx(13.0 / 4.0 * out_scale, abs=tolerance)


def test_output_noise_is_doubled_where_bound_management_halves_the_inputs():
    count = 2**16
    settings = io(out_noise=0.06, out_bound=12.0, inp_res=0.0, out_res=0.0)
    y = tile_of([[15.0]], settings).forward(same_rows([1.0], count))  # 15 > 12, 7.5 < 12
    assert y.std() == approx_std(0.12, count)
    assert y.mean() == pytest.approx(15.0, abs=SIGMAS * 0.12 / math.sqrt(count))


def test_noise_and_adc_rounding_add_their_variances():
    count, step = 2**18, 24.0 / 510.0
    settings = quiet(out_noise=0.06, out_res=1 / 510, out_bound=12.0)
    y = tile_of([[1.0]], settings).forward(same_rows([0.3137], count))
    assert y.std() == approx_std(math.hypot(0.06, step / math.sqrt(12.0)), count)


def test_with_all_defaults_the_error_has_the_predicted_size():
    w, x = RNG.normal(0.0, 0.1, (100, 200)), RNG.normal(size=(2000, 200))
    y = tile_of(w, rs.IOParameters()).forward(x)
    error = (y - x @ w.T) / np.abs(x).max(axis=1, keepdims=True)
    dac, adc = 2 / 126, 24 / 510
    variance = 0.06**2 + adc**2 / 12 + dac**2 / 12 * np.mean(np.sum(w**2, axis=1))
    # one input of each vector, the largest, is on the grid: 1/200 of the 1.1 % that the DAC adds
    assert error.std() == pytest.approx(math.sqrt(variance), rel=SIGMAS / math.sqrt(2 * error.size))
    assert error.std() == pytest.approx(0.0619, abs=5e-4)


def test_input_noise_reaches_the_output_through_the_weights():
    count, w = 2**16, np.array([[1.0, 0.0, 0.0], [0.5, -2.0, 1.0], [0.0, 0.0, 0.0]])
    settings = quiet(noise_management="ABS_MAX", inp_noise=0.1)
    y = tile_of(w, settings).forward(same_rows([5.0, 0.0, -1.0], count)).astype(np.float64)
    expected = 5.0 * 0.1 * np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(y.std(axis=0), expected, rtol=SIGMAS / math.sqrt(2 * count))
    covariance = np.cov(y.T)[0, 1]  # the same inputs feed both lines
    tolerance = SIGMAS * math.sqrt((expected[0] * expected[1]) ** 2 * 2.0 / count)
    assert covariance == pytest.approx(0.25 * w[0] @ w[1], abs=tolerance)


@pytest.mark.parametrize("backward", [False, True])
def test_additive_weight_noise_grows_with_the_length_of_the_input(backward):
    count, x = 2**16, np.array([4.0, -1.0, 0.5, 0.0])
    settings = quiet(noise_management="ABS_MAX", w_noise=0.05, w_noise_type="ADDITIVE_CONSTANT")
    tile = tile_of(np.zeros((4, 4)), settings, settings)
    y = (tile.backward if backward else tile.forward)(same_rows(x, count))
    assert y.std() == approx_std(0.05 * np.linalg.norm(x), 4 * count)


def test_additive_weight_noise_sees_the_input_behind_the_dac():
    count = 2**16
    settings = quiet(inp_bound=1.0, inp_res=1 / 4, w_noise=0.05, w_noise_type="ADDITIVE_CONSTANT")
    y = tile_of(np.zeros((1, 2)), settings).forward(same_rows([0.9, 7.0], count))
    assert y.std() == approx_std(0.05 * math.sqrt(2.0), count)  # both are 1 behind it


def test_noise_does_not_depend_on_the_weights():
    settings = quiet(out_noise=0.5)
    x, w = RNG.normal(size=(50, 8)), RNG.normal(size=(8, 8)).round(2)
    noise = tile_of(np.zeros((8, 8)), settings).forward(x)
    np.testing.assert_allclose(tile_of(w, settings).forward(x) - x @ w.T, noise, atol=1e-5)


def test_a_million_draws_of_output_noise_are_normal_and_distinct():
    y = tile_of(np.zeros((1000, 1)), quiet(out_noise=1.0)).forward(np.ones((1000, 1))).ravel()
    assert np.unique(y).size > 9e5
    assert np.abs(y).max() > 4.2
    assert y.mean() == pytest.approx(0.0, abs=5e-3)
    assert stats.kstest(y, "norm").pvalue > 1e-3


def test_noise_of_lines_vectors_calls_and_directions_is_independent():
    settings = quiet(out_noise=1.0)
    tile = tile_of(np.zeros((8, 8)), settings, settings)
    x = np.ones((2**16, 8))
    y = np.concatenate([tile.forward(x), tile.forward(x), tile.backward(x)], axis=1)
    r = np.corrcoef(y.T.astype(np.float64))[~np.eye(24, dtype=bool)]
    assert np.abs(r).max() < SIGMAS / 2**8
    one, next_one = y[:-1, :8].ravel(), y[1:, :8].ravel()
    assert abs(np.corrcoef(one, next_one)[0, 1]) < SIGMAS / math.sqrt(one.size)


# ---------------------------------------------------------------- the same again

NOISY = {
    "inp_noise": 0.1,
    "inp_sto_round": True,
    "out_sto_round": True,
    "w_noise": 0.1,
    "w_noise_type": "ADDITIVE_CONSTANT",
    "out_bound": 2.0,
}


def noisy_tile(rng=5):
    w = np.random.default_rng(1).normal(size=(6, 7))
    return tile_of(w, rs.IOParameters(**NOISY), rs.IOParameters(**NOISY), rng=rng)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    x = RNG.normal(size=(30, 7))
    np.testing.assert_array_equal(noisy_tile().forward(x), noisy_tile().forward(x))
    assert (noisy_tile().forward(x) != noisy_tile(rng=6).forward(x)).any()
    tile = tile_of([[1.0]], quiet(out_noise=1.0), rng=None)
    again = tile_of([[1.0]], quiet(out_noise=1.0), rng=tile.seed)
    np.testing.assert_array_equal(tile.forward(np.ones((9, 1))), again.forward(np.ones((9, 1))))


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_bits_do_not_depend_on_how_a_batch_is_cut(method):
    x = RNG.normal(size=(45, 7 if method == "forward" else 6))
    whole = getattr(noisy_tile(), method)(x)
    for cuts in ([1, 2, 10], [8], [16, 32], range(1, 45)):
        tile = noisy_tile()
        parts = [getattr(tile, method)(part) for part in np.split(x, list(cuts))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_without_noise_reordered_vectors_give_reordered_results():
    x, order = RNG.normal(size=(45, 7)), RNG.permutation(45)
    tile = tile_of(RNG.normal(size=(6, 7)), io(out_bound=1.0))
    np.testing.assert_array_equal(tile.forward(x[order]), tile.forward(x)[order])


def test_a_second_call_draws_anew():
    tile, x = noisy_tile(), RNG.normal(size=(5, 7))
    assert (tile.forward(x) != tile.forward(x)).any()
