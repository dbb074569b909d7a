"""What is drawn once per device follows the published laws; every array has a stream of its own."""

import numpy as np
import pytest
from scipy.stats import norm, uniform

import rpusim as rs
from rpusim.devices.fabrication import Draw
from tests.devices.pulsed import FEATURES, device_named
from tests.naive import fabrication as law
from tests.naive.tolerance import (
    check_correlation,
    check_law,
    check_mean,
    check_proportion,
    check_std,
)

SHAPE = (200, 200)
N = SHAPE[0] * SHAPE[1]


def draw(device, key=(11, 12), bias=False):
    """Return the planes of 40000 devices, flat and in double precision."""
    planes = device.fabricate(SHAPE, Draw(key), bias)
    return {name: plane.astype(np.float64).ravel() for name, plane in planes.items()}


@pytest.mark.parametrize("spread", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", ["max_bound", "min_bound"])
def test_bounds_are_folded_normals(name, spread):
    device = rs.ConstantStepDevice(w_max=0.5, w_min=-0.5, w_max_dtod=spread, w_min_dtod=spread)
    bound = np.abs(draw(device)[name])
    check_mean(bound, law.folded_mean(0.5, 0.5 * spread), 0.5 * spread)
    check_mean(bound**2, *law.square_law(0.5, 0.5 * spread))


@pytest.mark.parametrize("beta", [0.0, 0.3, -0.4])
def test_steps_share_a_gain_and_split_the_asymmetry(beta):
    gain, asymmetry = 0.2, 0.1
    device = rs.ConstantStepDevice(
        dw_min=0.01,
        dw_min_dtod=gain,
        up_down=beta,
        up_down_dtod=asymmetry,
        enforce_consistency=False,
    )
    planes = draw(device)
    up, down = planes["dwmin_up"] / 0.01, planes["dwmin_down"] / 0.01
    expected = law.step_law(beta, gain, asymmetry)
    samples = {"up": up, "down": down, "difference": up - down, "half_sum": 0.5 * (up + down)}
    for name, values in samples.items():
        mean, std = expected[name]
        check_mean(values, mean, std)
        check_std(values, std)
    check_correlation(up, down, expected["correlation"])


def test_log_normal_steps_have_median_dw_min():
    device = rs.ConstantStepDevice(
        dw_min=0.01, dw_min_dtod=0.7, dw_min_dtod_log_normal=True, up_down_dtod=0.0
    )
    log = np.log(draw(device)["dwmin_up"] / 0.01)
    check_mean(log, 0.0, 0.7)
    check_law(log, norm(0.0, 0.7).cdf)


def test_pulses_are_counted_in_the_mean_log_normal_step():
    device = rs.ConstantStepDevice(dw_min=0.01, dw_min_dtod=0.7, dw_min_dtod_log_normal=True)
    mean, _ = law.log_normal_law(0.7)
    assert device.weight_granularity == pytest.approx(0.01 * mean, rel=1e-9)


def test_consistency_makes_steps_positive_and_windows_hold_zero():
    wild = dict(dw_min_dtod=1.0, up_down_dtod=0.5, w_max_dtod=2.0, w_min_dtod=2.0)
    planes = draw(rs.ConstantStepDevice(**wild))
    assert (planes["dwmin_up"] >= 0.0).all()
    assert (planes["dwmin_down"] >= 0.0).all()
    assert (planes["min_bound"] <= 0.0).all()
    assert (planes["max_bound"] >= 0.0).all()


def test_without_consistency_crossed_bounds_meet_in_the_middle():
    wild = dict(w_max_dtod=2.0, w_min_dtod=2.0, enforce_consistency=False)
    planes = draw(rs.ConstantStepDevice(**wild))
    assert (planes["min_bound"] <= planes["max_bound"]).all()
    # high - low ~ N(1.2, 2 * 1.2**2): crossed with probability Phi(-1 / sqrt(2))
    check_proportion(planes["min_bound"] == planes["max_bound"], norm.cdf(-1.0 / np.sqrt(2.0)))


@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, rs.LinearStepDevice])
def test_corrupt_devices_are_stuck_evenly_within_their_range(kind):
    sound, corrupt = kind(), kind(corrupt_devices_prob=0.1, corrupt_devices_range=0.2)
    before, after = draw(sound), draw(corrupt)
    stuck = after["max_bound"] == after["min_bound"]
    check_proportion(stuck, 0.1)
    assert (after["dwmin_up"][stuck] == 0.0).all()
    assert (after["dwmin_down"][stuck] == 0.0).all()
    low = np.maximum(before["min_bound"], -0.2)[stuck]
    high = np.minimum(before["max_bound"], 0.2)[stuck]
    check_law((after["max_bound"][stuck] - low) / (high - low), uniform.cdf)
    for name in before:
        assert np.array_equal(before[name][~stuck], after[name][~stuck]), name


@pytest.mark.parametrize("name", FEATURES)
def test_a_stuck_device_stays_where_it_is(name):
    device = device_named(name, corrupt_devices_prob=1.0, reset_std=0.3)
    with pytest.warns(rs.ClippedWeightsWarning):
        tile = rs.AnalogTile(20, 20, device, rng=1)
    before = tile.get_weights()[0]
    assert (np.abs(tile.get_hidden_parameters()["persistent_weights"]) <= 0.1).all()
    rng = np.random.default_rng(1)
    tile.update(rng.normal(size=(5, 20)), rng.normal(size=(5, 20)), learning_rate=1.0)
    tile.reset_columns()
    assert np.array_equal(tile.get_weights()[0], before)


def test_lifetimes_are_normal():
    planes = draw(rs.ConstantStepDevice(lifetime=500.0, lifetime_dtod=0.2))
    lifetime = 1.0 / planes["decay_rates"]
    check_law(lifetime, norm(500.0, 100.0).cdf)


def test_a_drawn_lifetime_below_one_step_is_full_decay():
    rates = draw(rs.ConstantStepDevice(lifetime=2.0, lifetime_dtod=1.0))["decay_rates"]
    assert ((rates > 0.0) & (rates <= 1.0)).all()
    check_proportion(rates == 1.0, norm.cdf(1.0, loc=2.0, scale=2.0))


def test_diffusion_is_a_folded_normal_and_the_reset_target_a_normal():
    device = rs.ConstantStepDevice(diffusion=0.02, diffusion_dtod=0.5, reset=0.1, reset_dtod=0.05)
    planes = draw(device)
    normal = norm(0.02, 0.01)
    check_law(planes["diffusion_rates"], lambda v: normal.cdf(v) - normal.cdf(-v))
    check_law(planes["reset_bias"], norm(0.1, 0.05).cdf)  # the spread is absolute


def test_drift_exponents_are_normal():
    device = rs.ConstantStepDevice(drift=dict(nu=0.06, nu_dtod=0.3))
    check_law(draw(device)["drift_nu"], norm(0.06, 0.018).cdf)


def test_gammas_are_folded_normals_with_an_absolute_spread():
    device = rs.LinearStepDevice(gamma_up=0.0, gamma_up_dtod=0.05, w_max=0.5)
    planes = draw(device)
    gamma = -planes["slope_up"] * 0.5 / planes["dwmin_up"]
    check_mean(gamma, law.folded_mean(0.0, 0.05), 0.05)
    assert (gamma >= 0.0).all()


def test_increasing_steps_may_be_allowed():
    device = rs.LinearStepDevice(gamma_down=0.0, gamma_down_dtod=0.05, allow_increasing=True)
    planes = draw(device)
    gamma = planes["slope_down"] * 0.6 / planes["dwmin_down"]
    check_mean(gamma, 0.0, 0.05)
    check_std(gamma, 0.05)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_slopes_vanish_at_the_reference_bounds(own, reverse):
    device = rs.LinearStepDevice(
        gamma_up=0.7, gamma_down=0.4, gamma_up_dtod=0.0, gamma_down_dtod=0.0,
        mean_bound_reference=not own, reverse_up=reverse, reverse_down=reverse, reverse_offset=0.02,
    )  # fmt: skip
    planes = draw(device)
    high = planes["max_bound"] if own else np.full(N, 0.6)
    low = planes["min_bound"] if own else np.full(N, -0.6)
    up, down = (low - 0.02, high + 0.02) if reverse else (high, low)
    slope_up, slope_down = -0.7 * planes["dwmin_up"] / up, -0.4 * planes["dwmin_down"] / down
    # float32 planes: each of step, bound and slope is rounded once
    assert np.allclose(planes["slope_up"], slope_up, rtol=4e-7, atol=0.0)
    assert np.allclose(planes["slope_down"], slope_down, rtol=4e-7, atol=0.0)


def test_a_window_that_ends_at_zero_has_constant_steps_towards_it():
    planes = draw(rs.SoftBoundsDevice(w_max=0.0, w_min_dtod=0.0))
    assert (planes["slope_up"] == 0.0).all()


@pytest.mark.parametrize("name", FEATURES)
def test_the_same_key_gives_the_same_devices_and_another_key_others(name):
    spread = dict(lifetime=100.0, lifetime_dtod=0.1, diffusion=0.1, diffusion_dtod=0.1)
    device = device_named(name, **spread)
    first, again, other = draw(device), draw(device), draw(device, (11, 13))
    for name, plane in first.items():
        assert np.array_equal(plane, again[name])
    assert not np.array_equal(first["max_bound"], other["max_bound"])


def test_arrays_are_independent_of_each_other_and_of_other_features():
    plain = draw(rs.ConstantStepDevice())
    rich = draw(
        rs.ConstantStepDevice(
            lifetime=100.0, lifetime_dtod=0.1, diffusion=0.1, diffusion_dtod=0.1, reset_dtod=0.1
        )
    )
    for name in ("max_bound", "min_bound", "dwmin_up", "dwmin_down"):
        assert np.array_equal(plain[name], rich[name]), name
    names = ("max_bound", "min_bound", "dwmin_up", "decay_rates", "diffusion_rates", "reset_bias")
    for n, a in enumerate(names):
        for b in names[:n]:
            check_correlation(rich[a], rich[b], 0.0)
