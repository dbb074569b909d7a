"""Laws of the spread beyond the established ones: they do not fold, and they keep their means."""

import numpy as np
import pytest
from scipy.stats import norm, truncnorm, uniform

import rpusim as rs
from rpusim.devices.fabrication import Draw
from tests.devices.pulsed import FEATURES, device_named
from tests.naive import fabrication as law
from tests.naive.spread import log_normal_kurtosis, truncated_law
from tests.naive.tolerance import (
    check_correlation,
    check_law,
    check_mean,
    check_proportion,
    check_std,
)

SHAPE = (200, 200)


def draw(device):
    """Return the planes of 40000 devices, flat and in double precision."""
    planes = device.fabricate(SHAPE, Draw((11, 12)))
    return {name: plane.astype(np.float64).ravel() for name, plane in planes.items()}


def bounds(law_name, spread):
    """Return the sizes of both bounds, relative to their means."""
    device = rs.ConstantStepDevice(
        w_max=0.5, w_min=-0.8, w_max_dtod=spread, w_min_dtod=spread, w_dtod_law=law_name
    )
    planes = draw(device)
    return planes["max_bound"] / 0.5, planes["min_bound"] / -0.8


@pytest.mark.parametrize("spread", [0.3, 0.6, 1.0])
def test_log_normal_bounds_have_the_mean_and_the_spread_they_name(spread):
    sigma = np.sqrt(np.log1p(spread**2))
    for bound in bounds("LogNormal", spread):
        check_mean(bound, 1.0, spread)
        check_std(bound, spread, kurtosis=log_normal_kurtosis(sigma))
        check_law(np.log(bound), norm(-0.5 * sigma**2, sigma).cdf)


@pytest.mark.parametrize("spread", [0.3, 0.6, 1.0])
def test_truncated_bounds_are_normal_without_the_part_below_0(spread):
    mean, std = truncated_law(spread)
    for bound in bounds("TruncatedNormal", spread):
        assert (bound >= 0.0).all()
        check_mean(bound, mean, std)
        check_law(bound, truncnorm(-1.0 / spread, np.inf, 1.0, spread).cdf)


@pytest.mark.parametrize("name", ["Normal", "LogNormal", "TruncatedNormal"])
def test_without_spread_every_law_gives_the_mean(name):
    for bound in bounds(name, 0.0):
        assert np.abs(bound - 1.0).max() <= 1e-7


@pytest.mark.parametrize("name", ["Normal", "LogNormal", "TruncatedNormal"])
def test_both_bounds_are_independent(name):
    check_correlation(*(np.log(np.maximum(b, 1e-9)) for b in bounds(name, 0.3)), 0.0)


@pytest.mark.parametrize("name", ["LogNormal", "TruncatedNormal"])
def test_laws_that_do_not_fold_need_no_consistency(name):
    settings = dict(w_max_dtod=1.0, w_min_dtod=1.0, w_dtod_law=name)
    kept, loose = (
        draw(rs.ConstantStepDevice(enforce_consistency=on, **settings)) for on in (True, False)
    )
    assert np.array_equal(kept["max_bound"], loose["max_bound"])
    assert np.array_equal(kept["min_bound"], loose["min_bound"])


@pytest.mark.parametrize("spread", [0.3, 0.7])
def test_a_log_normal_gain_may_keep_its_mean(spread):
    settings = dict(dw_min=0.01, dw_min_dtod=spread, dw_min_dtod_log_normal=True, up_down_dtod=0.0)
    raised = draw(rs.ConstantStepDevice(**settings))["dwmin_up"]
    kept = draw(rs.ConstantStepDevice(dw_min_dtod_mean_preserving=True, **settings))["dwmin_up"]
    mean, std = law.log_normal_law(spread)
    check_mean(kept / 0.01, 1.0, std / mean)
    check_std(kept / 0.01, std / mean, kurtosis=log_normal_kurtosis(spread))
    check_law(np.log(kept / 0.01), norm(-0.5 * spread**2, spread).cdf)
    assert np.allclose(raised / kept, mean, rtol=3e-7, atol=0.0)


def test_a_normal_gain_has_nothing_to_preserve():
    plain = draw(rs.ConstantStepDevice())
    kept = draw(rs.ConstantStepDevice(dw_min_dtod_mean_preserving=True))
    assert np.array_equal(plain["dwmin_up"], kept["dwmin_up"])


@pytest.mark.parametrize("beta", [0.0, 0.3, -0.4])
def test_the_mean_convention_raises_one_step_and_lowers_the_other(beta):
    gain, asymmetry = 0.2, 0.1
    device = rs.ConstantStepDevice(
        dw_min=0.01, dw_min_dtod=gain, up_down=beta, up_down_dtod=asymmetry,
        up_down_convention="Mean", enforce_consistency=False,
    )  # fmt: skip
    planes = draw(device)
    up, down = planes["dwmin_up"] / 0.01, planes["dwmin_down"] / 0.01
    check_mean(up, 1.0 + beta, np.hypot(gain, asymmetry))
    check_mean(down, 1.0 - beta, np.hypot(gain, asymmetry))
    check_mean(0.5 * (up + down), 1.0, gain)
    check_std(0.5 * (up + down), gain)
    check_mean(up - down, 2.0 * beta, 2.0 * asymmetry)
    check_std(up - down, 2.0 * asymmetry)
    assert device.mean_step(0.0, 1) == pytest.approx(0.01 * (1.0 + beta))
    assert device.mean_step(0.0, -1) == pytest.approx(-0.01 * (1.0 - beta))


STUCK = dict(
    corrupt_devices_prob=0.1, corrupt_devices_range=0.2, stuck_at_max_prob=0.2,
    stuck_at_min_prob=0.15,
)  # fmt: skip


@pytest.mark.parametrize("name", FEATURES)
def test_devices_are_stuck_at_either_bound_or_near_0(name):
    if name == "soft bounds, reference":  # a stuck device has no slope whose spread moved its bound
        sound, mixed = (
            device_named(name, slope_up_dtod=0.0, slope_down_dtod=0.0, **s) for s in ({}, STUCK)
        )
    else:
        sound, mixed = device_named(name), device_named(name, **STUCK)
    before, after = draw(sound), draw(mixed)
    stuck = after["max_bound"] == after["min_bound"]
    check_proportion(stuck, 0.45)
    value, high, low = after["max_bound"], before["max_bound"], before["min_bound"]
    at_max, at_min = stuck & (value == high), stuck & (value == low)
    check_proportion(at_max, 0.2)
    check_proportion(at_min, 0.15)
    rest = stuck & ~at_max & ~at_min
    bottom, top = np.maximum(low, -0.2)[rest], np.minimum(high, 0.2)[rest]
    check_law((value[rest] - bottom) / (top - bottom), uniform.cdf)
    assert not after["dwmin_up"][stuck].any()
    assert not after["dwmin_down"][stuck].any()
    for plane in before:
        assert np.array_equal(before[plane][~stuck], after[plane][~stuck]), plane


@pytest.mark.parametrize("prob", ["stuck_at_max_prob", "stuck_at_min_prob"])
def test_all_may_be_stuck_at_one_bound(prob):
    before, after = draw(rs.SoftBoundsDevice()), draw(rs.SoftBoundsDevice(**{prob: 1.0}))
    bound = "max_bound" if "max" in prob else "min_bound"
    assert np.array_equal(after["max_bound"], before[bound])
    assert np.array_equal(after["min_bound"], before[bound])


def test_more_cannot_be_stuck_than_there_are():
    with pytest.raises(rs.ConfigError, match="must sum to at most 1"):
        rs.ConstantStepDevice(corrupt_devices_prob=0.5, stuck_at_max_prob=0.6)


def test_stuck_devices_do_not_change_the_mean_device():
    for name in FEATURES:
        sound, mixed = device_named(name), device_named(name, **STUCK)
        assert sound.mean_device() == mixed.mean_device(), name


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("beta", [0.0, 0.3, -0.3])
def test_exponents_share_a_gain_and_split_the_asymmetry(beta, spread):
    device = rs.PowStepDevice(
        pow_gamma=1.5, pow_gamma_dtod=0.2, pow_up_down=beta, pow_up_down_dtod=0.5 * spread,
        enforce_consistency=False,
    )  # fmt: skip
    planes = draw(device)
    up, down = planes["gamma_up"] / 1.5, planes["gamma_down"] / 1.5
    expected = law.step_law(beta, 0.2, 0.5 * spread)
    for name, values in {"up": up, "down": down, "half_sum": 0.5 * (up + down)}.items():
        check_mean(values, *expected[name])
        check_std(values, expected[name][1])
    check_mean(up - down, beta, spread, floor=1e-7)


def test_consistency_folds_exponents():
    planes = draw(rs.PowStepDevice(pow_gamma_dtod=1.0))
    assert (planes["gamma_up"] >= 0.0).all()
    check_mean(planes["gamma_up"], law.folded_mean(1.0, 1.0), 1.0)
