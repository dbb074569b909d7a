"""Key figures of many devices: closed forms from what each one carries."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices.exact import ExactLaw
from rpusim.devices.fabrication import Draw
from rpusim.devices.population import (
    granularities,
    references,
    step_noise,
    symmetry_points,
)
from tests.devices.pulsed import FEATURES, device_named
from tests.naive import response
from tests.naive.tolerance import FLOAT32

PLANE = (20, 30)
EXACT = 1e-9  # of a bisection
SMALL = 1e-3  # the normal by which noise is measured
ROUNDED = 4.0 * np.finfo(np.float64).eps / SMALL  # weights are below 1


def built(device, **options):
    """Return the law of some devices, and their planes flat in double precision."""
    planes = device.fabricate(PLANE, Draw((3, 4)), **options)
    return ExactLaw(device, planes), {k: v.astype(float).ravel() for k, v in planes.items()}


@pytest.mark.parametrize(
    "device",
    [
        rs.SoftBoundsDevice(up_down=0.2),
        rs.SoftBoundsReferenceDevice(up_down=-0.3, reference_mean=0.1, reference_std=0.05),
        rs.LinearStepDevice(gamma_up=0.8, gamma_down=0.5, up_down=0.1, mult_noise=False),
    ],
    ids=lambda device: type(device).__name__,
)
def test_affine_steps_of_every_device_are_equal_where_the_formula_says(device):
    law, dev = built(device)
    point = response.symmetry_point(dev)
    inside = (point > dev["min_bound"]) & (point < dev["max_bound"])
    expected = np.where(inside, point - dev.get("reference", 0.0), np.nan)
    np.testing.assert_allclose(symmetry_points(law), expected, atol=EXACT)
    assert 0.5 < inside.mean()


def test_power_steps_of_every_device_are_equal_where_their_powers_are():
    device = rs.PowStepReferenceDevice(pow_gamma=1.7, pow_up_down=0.2, reference_std=0.1)
    law, dev = built(device)
    expected = response.power_symmetry_point(dev) - dev["reference"]
    np.testing.assert_allclose(symmetry_points(law), expected, atol=EXACT)


def test_a_subtracted_symmetry_point_is_at_0_but_for_the_spread_of_the_reference():
    device = rs.SoftBoundsReferenceDevice(subtract_symmetry_point=True, dw_min_dtod=0.5)
    found = symmetry_points(built(device)[0])
    assert np.abs(found).max() < 1e-6  # planes are float32


def test_constant_steps_balance_everywhere_or_nowhere():
    law, _ = built(rs.ConstantStepDevice(up_down_dtod=0.0))
    assert np.all(symmetry_points(law) == 0.0)
    law, _ = built(rs.ConstantStepDevice(up_down_dtod=0.1))
    assert np.isnan(symmetry_points(law)).all()


def test_a_stuck_device_balances_where_it_is():
    law, dev = built(rs.SoftBoundsDevice(corrupt_devices_prob=1.0))
    np.testing.assert_array_equal(symmetry_points(law), dev["max_bound"])
    assert np.all(granularities(law) == 0.0)


def test_devices_without_bounds_balance_at_0():
    law, dev = built(rs.ConstantStepDevice(perfect_bias=True, up_down_dtod=0.1), bias=True)
    assert np.array_equal(symmetry_points(law) == 0.0, np.isinf(dev["max_bound"]))


@pytest.mark.parametrize("name", [n for n in FEATURES if not n.startswith("hidden")])
def test_the_mean_device_has_its_own_figures(name):
    device = device_named(name)
    law = ExactLaw(device)
    point = device.symmetry_point()
    np.testing.assert_allclose(symmetry_points(law)[0], point, atol=EXACT, equal_nan=True)
    np.testing.assert_allclose(granularities(law)[0], device.weight_granularity, rtol=1e-7)
    w = 0.3 * device.w_max
    for k, sign in enumerate((1.0, -1.0)):
        raw = w + references(law)
        step = law.free_steps(raw)[k, 0]
        assert step == pytest.approx(device.mean_step(w, sign), abs=FLOAT32 * w)


def test_hidden_steps_count_by_the_mean_device():
    device = rs.HiddenStepDevice(dw_min=0.01)
    law, _ = built(device)
    assert np.isnan(symmetry_points(law)).all()
    assert np.all(granularities(law) == device.weight_granularity)


NOISES = {
    "in proportion": (
        rs.LinearStepDevice(gamma_up=0.5, gamma_down=0.5),
        lambda dev, w, up: 0.3 * np.abs(up_or_down(dev, w, up)),
    ),
    "additive": (
        rs.SoftBoundsReferenceDevice(dw_min_std=2.0),
        lambda dev, w, up: 2.0 * dev["dwmin_up" if up else "dwmin_down"],
    ),
}


def up_or_down(dev, w, up):
    """Return the affine step."""
    side = "up" if up else "down"
    return dev[f"dwmin_{side}"] + dev[f"slope_{side}"] * w


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("kind", NOISES)
def test_the_noise_of_a_step_is_that_of_the_law(kind, up):
    device, expected = NOISES[kind]
    law, dev = built(device)
    w = 0.4 * dev["max_bound"]
    found = step_noise(law, w, 1.0 if up else -1.0)
    np.testing.assert_allclose(found, expected(dev, w, up), rtol=0.0, atol=ROUNDED)


def test_the_complex_noise_of_exponential_steps_grows_with_the_weight():
    device = device_named("exponential, complex", dw_min_std=0.5)
    law, dev = built(device)
    w = 0.3 * dev["max_bound"]
    expected = 0.5 * (np.abs(law.step(w, 1.0)) + 0.02 + 0.1 * np.abs(w))
    np.testing.assert_allclose(step_noise(law, w, 1.0), expected, rtol=0.0, atol=ROUNDED)


def test_a_bound_ahead_does_not_hide_the_noise():
    law, dev = built(rs.SoftBoundsReferenceDevice(dw_min_std=2.0))
    found = step_noise(law, dev["max_bound"], 1.0)
    rounded = FLOAT32 * dev["dwmin_up"].max() / SMALL  # slopes are float32: steps do not end at 0
    np.testing.assert_allclose(found, 2.0 * dev["dwmin_up"], rtol=0.0, atol=rounded)


class TwoNoises(rs.PulsedDevice):
    """Two independent noises."""

    draws = 2

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by the step, with noise in proportion and without."""
        return w + sign * dev.dwmin_up * (1.0 + model.dw_min_std * z[0]) + 0.004 * z[1]


def test_independent_noises_add_as_squares():
    law, dev = built(TwoNoises(dw_min_std=0.5))
    expected = np.hypot(0.5 * dev["dwmin_up"], 0.004)
    np.testing.assert_allclose(step_noise(law, 0.0, 1.0), expected, rtol=0.0, atol=ROUNDED)
