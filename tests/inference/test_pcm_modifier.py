"""PCM_NOISE: each effect alone against its closed form, all together against a naive loop."""

import numpy as np
import pytest
from scipy.stats import foldnorm, halfnorm, uniform

from tests.inference.modifiers import LEVELS, copy_of, levels, weight_draws, weights
from tests.naive import modify as naive
from tests.naive.tolerance import (
    FLOAT32,
    check_correlation,
    check_law,
    check_mean,
    check_proportion,
    check_std,
)

PCM = (0.26348, 1.9650, -1.1731)  # uS
TOP = 0.5  # largest of LEVELS
UNREAD = dict(pcm_t0=250e-9)  # read at once: ln((t0 + 250 ns) / 500 ns) = 0
EXACT = dict(coeffs=[0.0])  # programmed without error


def pcm(w, **settings):
    """Return a copy in double precision."""
    return copy_of(w, type="PCM_NOISE", **settings).astype(np.float64)


@pytest.mark.parametrize("settings", [dict(), dict(g_max=10.0), dict(std_dev=0.3)])
def test_the_programming_error_has_the_published_spread(settings):
    settings = dict(std_dev=1.0) | settings
    copy, scale = pcm(levels(), **settings, **UNREAD), settings.get("g_max", 25.0) / TOP
    for row, level in list(zip(copy, LEVELS.astype(np.float64), strict=True))[1:]:
        a = abs(level) / TOP
        sigma = settings["std_dev"] * (0.26348 + 1.9650 * a - 1.1731 * a**2) / scale
        assert (row * level >= 0.0).all()
        check_law(np.abs(row), foldnorm(abs(level) / sigma, scale=sigma).cdf)
    check_std(copy[4], settings["std_dev"] * 1.05538 / scale)


@pytest.mark.parametrize(
    ("w", "sigma"), [(0.001, 0.045), (0.1, 0.0228823), (0.2, 0.0142180), (1.0, 0.008)]
)
def test_drift_exponents_are_half_normal_with_a_spread_of_the_state(w, sigma):
    settings = dict(rel_to_actual_wmax=False, pcm_t_inference=1e6)
    copy = pcm(np.full((1, 40_000), w, np.float32), **settings)
    exponents = -np.log(copy.ravel() / np.float32(w)) / np.log((1e6 + 20.0) / 20.0)
    check_mean(exponents, sigma * np.sqrt(2.0 / np.pi), sigma * np.sqrt(1.0 - 2.0 / np.pi))
    check_law(exponents, halfnorm(scale=sigma).cdf)


def test_drift_goes_as_the_ratio_of_the_ages():
    w, late = np.full((50, 50), 0.3, np.float32), dict(pcm_t_inference=99 * 20.0)
    slow = pcm(w, **late)
    fast = pcm(w, pcm_t_inference=99 * 5.0, pcm_t0=5.0)
    assert (slow == fast).all()
    twice = pcm(w, pcm_t_inference=(100**2 - 1) * 20.0)
    # 100 and 100**2 times the age: twice the logarithm
    assert np.abs(np.log(twice / w) - 2.0 * np.log(slow / w)).max() <= 16 * FLOAT32


def test_without_time_and_strength_the_weights_come_back():
    assert np.abs(pcm(weights()) - weights()).max() <= 4 * FLOAT32 * naive.largest(weights())


@pytest.mark.parametrize("time", [0.0, 3600.0])
@pytest.mark.parametrize(("w", "q"), [(1.0, 0.0088), (0.25, 0.0216680), (0.001, 0.2)])
def test_read_noise_has_the_published_spread(time, w, q):
    settings = dict(std_dev=1.0, rel_to_actual_wmax=False, pcm_t0=20.0 + time, **EXACT)
    copy = pcm(np.full((1, 40_000), w, np.float32), **settings)
    sigma = w * q * np.sqrt(np.log((20.0 + time + 250e-9) / 500e-9))
    law = foldnorm(w / sigma, scale=sigma)
    check_mean(copy.ravel(), law.mean(), law.std())
    check_law(copy, law.cdf)


def test_a_device_within_the_threshold_counts_as_reset():
    w = np.array([[25.0, 0.26, -0.26, 0.267, -0.267, 0.13, 0.0]], np.float32)
    quiet = dict(std_dev=1.0, pcm_zero_thres=1.0)
    assert (pcm(w, **quiet) == 0.0).tolist() == [[False, True, True, False, False, True, True]]
    assert (pcm(w, std_dev=1.0) == 0.0).tolist() == [[False] * 6 + [True]]
    half = pcm(w, std_dev=0.5, pcm_zero_thres=1.0) == 0.0
    assert half.tolist() == [[False] * 5 + [True] * 2]


def test_weights_beyond_the_largest_are_clipped():
    w = np.array([[2.0, -3.0, 0.5]], np.float32)
    copy = pcm(w, rel_to_actual_wmax=False, assumed_wmax=1.0)
    assert np.abs(copy - [[1.0, -1.0, 0.5]]).max() <= 2 * FLOAT32


def test_devices_are_stuck_with_their_probabilities():
    probs = dict(pcm_prob_at_reset=0.1, pcm_prob_at_gmax=0.2, pcm_prob_at_random=0.3)
    copy = pcm(levels(), **probs)
    row = np.round(copy[3], 6)  # of weights 0.25, half of the largest
    check_proportion(row == 0.0, 0.1)
    check_proportion(row == 0.5, 0.1)  # the device that carries the weight is stuck at g_max
    check_proportion(row == -0.25, 0.1)  # the other one of the pair is
    check_proportion(row == 0.25, 0.4)
    stuck = row[~np.isin(row, [0.0, 0.5, -0.25, 0.25])]
    assert abs(stuck.size / row.size - 0.3) <= 5.0 * np.sqrt(0.3 * 0.7 / row.size)
    check_law(stuck, uniform(0.0, 0.5).cdf)


def test_stuck_devices_of_a_pair_at_reset_conduct_either_way():
    zeros = pcm(levels(), pcm_prob_at_gmax=0.4)[0]
    check_proportion(zeros == 0.5, 0.2)
    check_proportion(zeros == -0.5, 0.2)
    assert (zeros == 0.0).mean() == 1.0 - (np.abs(zeros) == 0.5).mean()
    anywhere = pcm(levels(), pcm_prob_at_random=1.0)[0]
    check_law(anywhere, uniform(-0.5, 1.0).cdf)


def test_a_device_stuck_on_the_other_side_keeps_that_sign_under_noise():
    settings = dict(std_dev=0.1, pcm_prob_at_gmax=1.0)
    row = pcm(levels(), **settings, **UNREAD)[2]  # -0.1: g = -5 uS, so 20 or -25 uS
    check_proportion(row > 0.0, 0.5)
    check_mean(row[row > 0.0], 0.4, 0.1 * (0.26348 + 1.9650 * 0.8 - 1.1731 * 0.64) * TOP / 25.0)
    check_mean(row[row < 0.0], -0.5, 0.1 * 1.05538 * TOP / 25.0)


def test_faults_leave_the_noise_of_the_other_devices():
    settings = dict(std_dev=1.0, pcm_t_inference=100.0)
    w = weights((40, 30))
    clean, faulty = pcm(w, **settings), pcm(w, pcm_prob_at_reset=0.3, **settings)
    check_proportion(faulty == 0.0, 0.3)
    assert (faulty[faulty != 0.0] == clean[faulty != 0.0]).all()


def test_effects_of_one_device_and_of_neighbours_are_independent():
    w = np.full((300, 300), 0.3, np.float32)
    error, drift = pcm(w, std_dev=1.0, **UNREAD), pcm(w, pcm_t_inference=1e6)
    read = pcm(w, std_dev=1.0, **EXACT)
    for a, b in ((error, drift), (error, read), (drift, read)):
        check_correlation(a, b, 0.0)
    for effect in (error, drift, read):
        check_correlation(effect[1:], effect[:-1], 0.0)
        check_correlation(effect[:, 1:], effect[:, :-1], 0.0)
        check_correlation(effect[:, 4:], effect[:, :-4], 0.0)


@pytest.mark.parametrize("coeffs", [None, [0.5, 1.0]])
@pytest.mark.parametrize("time", [0.0, 86400.0])
def test_the_copy_follows_a_naive_loop(coeffs, time):
    w, step, probs = weights((6, 9)), 4, (0.1, 0.2, 0.3)
    w[0, 0], top, g_max = 0.0, naive.largest(weights((6, 9))), 20.0
    settings = dict(zip(("reset", "gmax", "random"), probs, strict=True))
    settings = {f"pcm_prob_at_{k}": v for k, v in settings.items()}
    settings |= dict(std_dev=0.7, g_max=g_max, pcm_t_inference=time, pcm_t0=30.0, coeffs=coeffs)
    copy = pcm(w, step=step, **settings)
    z = weight_draws(w.shape, step, 0, normal=True)
    words = weight_draws(w.shape, step, 4, normal=False).astype(np.int64)
    kind, value = ((words[:2] >> 1) + 0.5) / 2**31
    g = naive.each(
        lambda v, k, u, c: naive.faulty(v / top * g_max, k, u, c % 2 == 1, g_max, probs),
        w, kind, value, words[2],
    )  # fmt: skip
    expected = naive.each(
        lambda v, *n: naive.aged(v, *n, g_max, 0.7, coeffs or PCM, time, 30.0), g, *z[:3]
    )
    assert (g != w.astype(np.float64) / top * g_max).sum() >= 20
    # exponential and power of the kernel are good to 4e-7 (1 + |ln a|), the rest is rounding
    assert np.abs(copy - expected * top / g_max).max() <= 32 * FLOAT32 * top
