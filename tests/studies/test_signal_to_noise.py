"""Signal to noise of pulses: closed forms for noise in proportion, additive and of writing."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.studies import signal_to_noise
from tests.devices.pulsed import flat

ROUNDED = 4.0 * np.finfo(np.float64).eps / 1e-3  # of a derivative; weights are below 1


@pytest.mark.parametrize("sigma", [0.3, 5.0])
def test_noise_in_proportion_gives_one_over_sigma_everywhere(sigma):
    device = rs.SoftBoundsDevice(dw_min_std=sigma)
    found = signal_to_noise(device, devices=20, nodes=9)
    np.testing.assert_allclose(found.cycle_noise, sigma * found.step, rtol=0.0, atol=ROUNDED)
    np.testing.assert_allclose(found.ratio[:, 4], 1.0 / sigma, rtol=1e-6)
    assert np.isfinite(found.ratio).mean() > 0.5


def test_additive_noise_is_met_by_steps_that_fade():
    settings = dict(dw_min=0.01, w_max=1.0, w_min=-0.5, dw_min_std=2.0)
    device = flat(rs.SoftBoundsReferenceDevice, **settings)
    w = np.array([-0.4, 0.0, 0.7])
    found = signal_to_noise(device, devices=1, nodes=w)
    expected = np.stack([1.0 - w / 1.0, 1.0 + w / 0.5]) / 2.0
    np.testing.assert_allclose(found.ratio[:, :, 0], expected, rtol=1e-6)  # planes are float32


def test_write_noise_counts_twice_in_a_change_that_is_seen():
    device = flat(rs.LinearStepDevice, dw_min=0.01, dw_min_std=0.5, write_noise_std=3.0)
    found = signal_to_noise(device, devices=1, nodes=[0.0])
    np.testing.assert_allclose(found.seen_ratio, 0.01 / np.sqrt(0.005**2 + 2 * 0.03**2), rtol=1e-6)
    np.testing.assert_allclose(found.ratio, 2.0, rtol=1e-6)
    assert found.write_noise == pytest.approx(0.03)


def test_the_symmetry_factor_vanishes_at_the_symmetry_point():
    device = flat(rs.SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-0.5, up_down=0.3)
    w = np.array([-0.2, 0.125, 0.4])
    found = signal_to_noise(device, devices=1, nodes=w)
    up, down = 0.01 * (1.0 - w), 0.007 * (1.0 + 2.0 * w)
    expected = (up - down) / (up + down)
    np.testing.assert_allclose(found.symmetry_factor[:, 0], expected, atol=1e-6)
    assert abs(expected[1]) < 1e-12


def test_nothing_is_said_where_a_device_cannot_be():
    found = signal_to_noise(rs.SoftBoundsDevice(w_max=0.6), devices=40, nodes=[0.0, 0.6, 9.0])
    known = np.isfinite(found.step)
    assert known[:, 0].all()
    assert 0.1 < known[:, 1].mean() < 0.9  # bounds are spread around it
    assert not known[:, 2].any()
    assert np.array_equal(known, np.isfinite(found.cycle_noise))


def test_weights_are_seen_weights():
    settings = dict(dw_min=0.01, w_max=1.0, w_min=-1.0, reference_mean=0.25)
    found = signal_to_noise(flat(rs.SoftBoundsReferenceDevice, **settings), 1, [0.0])
    np.testing.assert_allclose(found.step[:, 0, 0], [0.0075, 0.0125], rtol=1e-6)


def test_a_device_without_noise_has_no_limit():
    found = signal_to_noise(rs.SoftBoundsDevice(dw_min_std=0.0), devices=2, nodes=[0.0])
    assert np.isposinf(found.ratio).all()


@pytest.mark.parametrize("nodes", [1, 2.5, [], [[0.0]], [np.nan], "x", True])
def test_nodes_are_a_number_or_weights(nodes):
    with pytest.raises(rs.DataError, match="signal_to_noise: nodes must be a number >= 2"):
        signal_to_noise(rs.SoftBoundsDevice(), 2, nodes)
