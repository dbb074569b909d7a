"""Symmetry points, computed and measured."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.studies import symmetry_point
from tests.devices.pulsed import flat
from tests.naive import response as naive
from tests.naive.tolerance import Z, rounding

BENT = dict(dw_min=0.02, w_max=1.0, w_min=-0.5, up_down=0.3)
FIELDS = ("dwmin_up", "dwmin_down", "slope_up", "slope_down")


def test_noise_free_alternating_pulses_end_midway_between_their_two_limits():
    device = flat(rs.SoftBoundsDevice, **BENT, dw_min_std=0.0)
    found = symmetry_point(device, devices=2, copies=2, start=0.6)
    dev = {name: float(getattr(device.mean_device(), name)) for name in FIELDS}
    low, high, _ = naive.alternating(dev)
    left = 0.6 * np.exp(-6.0)  # of the way, at most, after half of the pulses
    np.testing.assert_allclose(found.measured, 0.5 * (low + high), atol=left)
    assert np.all(found.error == 0.0)
    again = symmetry_point(device, devices=2, copies=2, start=0.6, pulses=4000)
    allowed = rounding(1 / (dev["slope_down"] - dev["slope_up"]), 0.6)  # errors fade like w
    np.testing.assert_allclose(again.measured, 0.5 * (low + high), atol=allowed)


def test_random_pulses_lead_to_the_computed_point_within_the_stated_error():
    device = rs.SoftBoundsReferenceDevice(
        **BENT, dw_min_std=1.0, write_noise_std=5.0, reference_std=0.1
    )
    found = symmetry_point(device, devices=60, protocol="random", pulses=3000, rng=5)
    off = found.measured - found.exact
    assert abs(off.mean()) < Z * np.sqrt((found.error**2).sum()) / 60
    ratio = (off / found.error) ** 2  # Student's t of 15: mean 15/13, variance 3.4
    assert abs(ratio.mean() - 15 / 13) < Z * np.sqrt(3.4 / 60)


def test_measured_points_follow_the_devices():
    found = symmetry_point(rs.SoftBoundsDevice(**BENT, up_down_dtod=0.1), devices=50, rng=1)
    assert np.corrcoef(found.exact, found.measured)[0, 1] > 0.99
    assert np.std(found.exact) > 10 * np.mean(found.error)


def test_constant_steps_have_no_point_and_end_at_a_bound():
    device = rs.ConstantStepDevice(dw_min=0.02, up_down=0.5)
    found = symmetry_point(device, devices=10, pulses=2000)
    assert np.isnan(found.exact).all()
    assert np.all(found.measured > 0.2)


def test_the_same_seed_gives_the_same_measurement():
    device = rs.SoftBoundsDevice(**BENT)
    a, b, c = (symmetry_point(device, 5, 100, "random", 3, rng=seed) for seed in (4, 4, 5))
    assert np.array_equal(a.measured, b.measured)
    assert not np.array_equal(a.measured, c.measured)
    again = symmetry_point(device, 5, 100, "random", 3, rng=a.seed)
    assert np.array_equal(a.measured, again.measured)
    assert a.pulses >= 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(protocol="up"), "protocol must be one of .*, got 'up'"),
        (dict(copies=1), "copies must be >= 2"),
        (dict(pulses=0), "symmetry_point: pulses must be a positive integer, got 0"),
        (dict(devices=2.5), "symmetry_point: devices must be a positive integer, got 2.5"),
        (dict(start=[0.0, 0.1]), "symmetry_point: start must be a weight, or 3 of them"),
    ],
)
def test_what_does_not_fit_is_refused_with_reasons(changes, message):
    with pytest.raises(rs.RpusimError, match=message):
        symmetry_point(rs.SoftBoundsDevice(), **{"devices": 3, **changes})


def test_what_takes_no_pulses_has_no_symmetry_point():
    with pytest.raises(rs.ConfigError, match="symmetry_point: IdealDevice takes no pulses"):
        symmetry_point(rs.IdealDevice())
