"""Numbers of states: closed forms for constant steps and soft bounds."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.studies import number_of_states
from tests.devices.pulsed import flat

WIDE = dict(dw_min=0.01, w_max=1.0, w_min=-1.0)
TAKES = math.sqrt(2.0 * math.pi * math.e)  # standard deviations of a state
NODES_ERROR = 1e-4  # of the trapezoidal rule with 100 intervals, for what is tested here


def counted(kind, **settings):
    """Return the counts of one device without spread."""
    return number_of_states(flat(kind, **settings), devices=1)


def test_constant_steps_are_counted_by_division():
    found = counted(rs.ConstantStepDevice, **{**WIDE, "dw_min": 0.03}, dw_min_std=0.0)
    assert found.granular[0] == pytest.approx(2.0 / 0.03)
    assert found.pulses_up[0] == found.pulses_down[0] == math.ceil(1.6 / 0.03)
    assert found.distinguishable[0] == pytest.approx(1.6 / 0.03)


def test_pulses_approach_a_soft_bound_exponentially():
    found = counted(rs.SoftBoundsDevice, **{**WIDE, "w_max": 0.5}, up_down=0.2)
    # from 0.1 to 0.9 of the way to the bound a ninth of the gap is left
    assert found.pulses_up[0] == math.ceil(math.log(9.0) / -math.log1p(-0.01 / 0.5))
    assert found.pulses_down[0] == math.ceil(math.log(9.0) / -math.log1p(-0.008 / 1.0))


def test_every_device_is_counted_by_its_own_steps():
    device = rs.ConstantStepDevice(**WIDE, up_down_dtod=0.0)
    found = number_of_states(device, devices=50, rng=2)
    assert np.std(found.granular) > 10.0
    assert np.all(np.abs(found.pulses_up - np.ceil(0.8 * found.granular)) <= 1)


def test_without_noise_states_are_the_pulses_between_the_ends():
    found = counted(rs.SoftBoundsDevice, **WIDE, dw_min_std=0.0)
    # up and down steps add up to 2 dw_min everywhere
    assert found.distinguishable[0] == pytest.approx(1.6 / 0.01)


@pytest.mark.parametrize("std", [0.1, 0.5, 3.0])
def test_noise_of_pulses_widens_states_once_it_exceeds_the_step(std):
    found = counted(rs.ConstantStepDevice, **WIDE, dw_min_std=std)
    assert found.distinguishable[0] == pytest.approx(160.0 / max(1.0, TAKES * std))


def test_write_noise_adds_to_that_of_pulses():
    settings = dict(**WIDE, gamma_up=0.0, gamma_down=0.0, dw_min_std=1.0, write_noise_std=2.0)
    found = counted(rs.LinearStepDevice, **settings)
    width = TAKES * math.hypot(0.01, 0.02)
    assert found.distinguishable[0] == pytest.approx(1.6 / width)


def test_noise_in_proportion_to_one_sided_steps_is_integrated():
    found = counted(rs.SoftBoundsDevice, **WIDE, dw_min_std=1.0)
    # mean variance of up and down: 0.01^2 (1 + w^2); the integral of its root is asinh
    expected = 2.0 * math.asinh(0.8) / (TAKES * 0.01)
    assert found.distinguishable[0] == pytest.approx(expected, rel=NODES_ERROR)


def test_a_state_takes_as_much_as_an_interval_of_the_same_entropy():
    z = np.linspace(-12.0, 12.0, 200001)
    p = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    entropy = -np.trapezoid(p * np.log(np.maximum(p, 1e-300)), z)
    assert math.exp(entropy) == pytest.approx(TAKES)


def test_where_pulses_never_arrive_there_is_no_number():
    found = counted(rs.LinearStepDevice, **WIDE, gamma_up=1.5, gamma_down=0.5)
    assert math.isinf(found.pulses_up[0])  # steps vanish at 2/3
    assert math.isfinite(found.pulses_down[0])


def test_a_stuck_device_has_no_states():
    found = number_of_states(rs.SoftBoundsDevice(corrupt_devices_prob=1.0), devices=5)
    for name in ("granular", "pulses_up", "pulses_down", "distinguishable"):
        assert np.all(getattr(found, name) == 0.0)


def test_hidden_steps_take_their_pulses():
    found = counted(rs.HiddenStepDevice, **WIDE, hs_hidden_states=4)
    assert found.pulses_up[0] == 4 * math.ceil(1.6 / 0.04)


def test_raw_windows_are_taken_for_devices_with_a_reference():
    plain = counted(rs.SoftBoundsReferenceDevice, **WIDE)
    shifted = counted(rs.SoftBoundsReferenceDevice, **WIDE, reference_mean=0.3)
    for name in ("granular", "pulses_up", "pulses_down", "distinguishable"):
        assert getattr(plain, name)[0] == pytest.approx(getattr(shifted, name)[0], rel=1e-6)


@pytest.mark.parametrize("window", [(0.5, 0.5), (-0.1, 0.9), (0.1, 1.1), 0.5, ("a", "b")])
def test_a_window_is_part_of_the_range(window):
    with pytest.raises(rs.ConfigError, match="window must be two fractions"):
        number_of_states(rs.SoftBoundsDevice(), 2, window)
