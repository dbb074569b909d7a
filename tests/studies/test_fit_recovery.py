"""A fit finds what made the data: exactly without noise, within its errors with it."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices.exact import ExactLaw
from rpusim.studies import fit
from rpusim.studies.fitting.spread import blocks, solve_spreads, spread_cost
from rpusim.studies.response import response

UP_DOWN = np.concatenate([np.ones(60), -np.ones(60), np.tile([1, 1, -1], 20)])
QUIET = dict(dw_min_std=0.0)
STEPS = dict(dw_min=0.02, w_max=0.6, w_min=-0.6)


class CubicStep(rs.PulsedDevice):
    """A user's law."""

    strength: float = rs.per_device(1.0, dtod=0.1)

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a step that fades with the cube of the distance to the bound."""
        gap = 1.0 - sign * w / (dev.max_bound if sign > 0.0 else -dev.min_bound)
        step = dev.strength * (dev.dwmin_up if sign > 0.0 else dev.dwmin_down)
        return w + sign * step * gap * gap * gap * (1.0 + model.dw_min_std * z)


def entries(name, count):
    """Return the names of the entries of tables for both directions."""
    return [f"{name}_{way}[{k}]" for way in ("up", "down") for k in range(count)]


#: kind, values, those of them that are known beforehand, and what else the fit is told
CASES = {
    "constant": (rs.ConstantStepDevice, dict(dw_min=0.013, up_down=0.2, w_max=0.5), (), None),
    "linear": (
        rs.LinearStepDevice,
        dict(dw_min=0.013, gamma_up=0.5, gamma_down=0.3, w_max=0.55, w_min=-0.5),
        ("w_max", "w_min"),
        ["dw_min", "gamma_up", "gamma_down"],
    ),
    "soft bounds": (
        rs.SoftBoundsDevice, dict(dw_min=0.03, up_down=0.2, w_max=0.8, w_min=-0.5), (), None,
    ),
    "pmax": (
        rs.SoftBoundsPmaxDevice,
        dict(p_max=80, alpha=0.02, range_min=-0.6, range_max=0.8),
        ("p_max",),
        dict(alpha=(0.01, 1e-3, 0.1), range_min=(-0.5, -1, -0.1), range_max=(0.5, 0.1, 1)),
    ),
    "reference": (
        rs.SoftBoundsReferenceDevice,
        dict(dw_min=0.03, w_max=0.8, w_min=-0.5, reference_mean=0.1),
        (),
        ["dw_min", "w_max", "w_min", "reference_mean"],
    ),
    "exponential": (
        rs.ExpStepDevice,
        dict(dw_min=0.02, A_up=0.01, A_down=0.2, gamma_up=6.0, gamma_down=5.0),
        ("A_up",),
        ["dw_min", "A_down", "gamma_up", "gamma_down"],
    ),
    "power": (
        rs.PowStepDevice,
        dict(dw_min=0.03, pow_gamma=1.7, up_down=0.1, w_max=0.7, w_min=-0.5),
        (),
        ["dw_min", "pow_gamma", "up_down", "w_max", "w_min"],
    ),
    "power, reference": (
        rs.PowStepReferenceDevice,
        dict(dw_min=0.03, pow_gamma=1.7, reference_mean=0.1),
        (),
        ["dw_min", "pow_gamma", "reference_mean"],
    ),
    "piecewise": (
        rs.PiecewiseStepDevice,
        dict(dw_min=0.02, piecewise_up=(1.5, 1.0, 0.4), piecewise_down=(0.3, 1.0, 1.6)),
        ("dw_min",),
        entries("piecewise", 3),
    ),
    "table": (
        rs.LookupTableDevice,
        dict(steps_up=(0.03, 0.02, 0.01), steps_down=(0.01, 0.02, 0.04)),
        (),
        entries("steps", 3),
    ),
    "a user's": (
        CubicStep, dict(strength=0.7, dw_min=0.05, w_max=0.7, w_min=-0.5), ("dw_min",),
        ["strength", "w_max", "w_min"],
    ),
}  # fmt: skip
FLAT = {  # where a table starts
    rs.PiecewiseStepDevice: dict(piecewise_up=(1.0,) * 3, piecewise_down=(1.0,) * 3),
    rs.LookupTableDevice: dict(steps_up=(0.02,) * 3, steps_down=(0.02,) * 3),
}


def value_of(device, name):
    """Return a parameter, or an entry of a table."""
    field, _, place = name.partition("[")
    value = getattr(device, field)
    return value[int(place[:-1])] if place else value


@pytest.mark.parametrize("name", CASES)
def test_parameters_come_back_from_a_trace_without_noise(name):
    kind, values, known, asked = CASES[name]
    truth = kind(**values, **QUIET)
    guess = kind(**{k: values[k] for k in known}, **FLAT.get(kind, {}), **QUIET)
    law = ExactLaw(truth)
    reference = law.plane("reference")[0] if truth.subtracts_reference else 0.0
    weights = law.trace(reference, UP_DOWN)[:, 0] - reference
    found = fit(guess, UP_DOWN, weights, asked, noise=[], bootstrap=20)
    assert found.success
    assert set(found.parameters) >= set(values) - set(known) - {"steps_up", "steps_down"} - set(
        FLAT.get(kind, {})
    )
    for parameter, value in found.parameters.items():
        assert value == pytest.approx(value_of(truth, parameter), rel=1e-3), parameter
    assert np.abs(found.trace[:, 0, 0] - weights).max() < 1e-6


def scores(truth, guess, parameters, repeats, devices=1, **options):
    """Return (estimate - truth) / standard error, of shape (repeats, parameters)."""
    out = []
    for seed in range(repeats):
        curve = response(truth, 100, devices, start=0.0, rng=seed, traces=devices)
        found = fit(guess, curve.direction[1:], curve.traces, parameters, bootstrap=20, **options)
        names = [*(parameters or found.parameters)]
        errors = [(found.parameters[n] - value_of(truth, n)) / found.standard_errors[n]
                  for n in names]  # fmt: skip
        out.append(errors)
    return np.array(out)


FLAT_DEVICES = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
NOISY = [
    (
        rs.SoftBoundsDevice(**STEPS, dw_min_std=0.5, **FLAT_DEVICES),
        ["dw_min", "w_max", "w_min"],
    ),
    (
        rs.SoftBoundsReferenceDevice(**STEPS, dw_min_std=0.8, write_noise_std=1.5, **FLAT_DEVICES),
        ["dw_min", "w_max", "w_min"],
    ),
]


def check_scores(z):
    """Check that errors are as large as they are said to be: 95 % within 2, none beyond 6.

    At least so many that fewer happen by chance in less than 1 in 2000.
    """
    from scipy.stats import binom

    least = binom.ppf(5e-4, len(z), 0.9545)
    assert ((np.abs(z) <= 2.0).sum(axis=0) >= least).all(), z.round(1)
    assert np.abs(z).max() < 6.0, z.round(1)


@pytest.mark.parametrize(("truth", "parameters"), NOISY)
def test_errors_are_as_large_as_they_are_said_to_be(truth, parameters):
    guess = type(truth)(write_noise_std=0.5 if truth.write_noise else 0.0, **FLAT_DEVICES)
    check_scores(scores(truth, guess, parameters, 6))


def test_spreads_and_noise_lie_in_their_intervals():
    truth = rs.SoftBoundsDevice(dw_min=0.03, up_down=0.2, w_max=0.8, w_min=-0.5, dw_min_std=0.4)
    curve = response(truth, 60, 40, start=0.0, rng=1, traces=40)
    found = fit(rs.SoftBoundsDevice(), curve.direction[1:], curve.traces, level=0.999)
    spreads = ("dw_min_dtod", "w_max_dtod", "w_min_dtod")
    for name in ("dw_min", "up_down", "w_max", "w_min", "dw_min_std", *spreads):
        low, high = found.intervals[name]
        assert low <= value_of(truth, name) <= high, (name, low, high)
        scale = found.parameters[name] if name in spreads else abs(value_of(truth, name))
        assert high - low < 0.9 * scale, name
    for name in spreads:
        # 40 devices tell a spread no better; the means that spreads are relative to add 9 %
        value, error = found.parameters[name], found.standard_errors[name]
        assert 1.0 < error / (value / np.sqrt(2.0 * 40)) < 1.2, name
        assert abs(value - value_of(truth, name)) < 3.0 * error, name
    assert found.device.reset_std == truth.reset_std
    assert 0.9 < found.reduced_chi2 < 1.1
    again = fit(rs.SoftBoundsDevice(), curve.direction[1:], curve.traces, level=0.999)
    assert again.parameters == found.parameters
    assert again.intervals == found.intervals


def test_the_likelihood_of_spreads_keeps_its_digits_beside_devices_at_bounds():
    """One row s (mu + rho z) per device: y = w / s is normal, of variance v = rho^2 + 1 / s^2."""
    rng = np.random.default_rng(0)
    s = np.concatenate([10.0 ** rng.uniform(1.0, 2.0, 30), [1e7, 3e7]])
    y = 0.7 + 1.3 * rng.standard_normal(s.size)
    made = blocks(s[:, None], s[:, None], s * y, np.arange(s.size), s.size)

    def closed(rho):
        v = rho**2 + s**-2.0
        mean = np.sum(y / v) / np.sum(1.0 / v)
        chi2 = np.sum((y - mean) ** 2 / v)
        return 0.5 * (np.sum(np.log1p((s * rho) ** 2)) + np.log(np.sum(1.0 / v)) + chi2)

    for rho in (0.1, 1.0, 1.3, 4.0):
        assert spread_cost(made, np.array([rho])) == pytest.approx(closed(rho), abs=1e-7)
    rho, error = solve_spreads(made, np.array([True]))
    # rows of small noise: nearly the sample's own standard deviation, known to 1 / sqrt(2 (n - 1))
    assert rho[0] == pytest.approx(np.std(y, ddof=1), rel=5e-3)
    assert error[0] == pytest.approx(1.0 / np.sqrt(2.0 * (s.size - 1)), rel=1e-2)
