"""Scatter of pulses: against literal sums, and against what devices are made of."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.studies import scatter, scatter_of
from tests.devices.pulsed import flat
from tests.naive.tolerance import GAUSSIAN, Z

WIDE = dict(dw_min=0.01, w_max=1.0, w_min=-1.0)


def literally(weights, directions, centre, bandwidth, sign):
    """Return (sum of weights, mean, std) of one device's changes, in a loop."""
    total = squared = first = 0.0
    terms = []
    for t, direction in enumerate(directions):
        if direction == sign and (t == 0 or directions[t - 1] == direction):
            k = math.exp(-((weights[t] - centre) ** 2) / (2.0 * bandwidth**2))
            change = sign * (weights[t + 1] - weights[t])
            total, squared, first = total + k, squared + k * k, first + k * change
            terms.append((k, change))
    mean = first / total
    variance = sum(k * (c - mean) ** 2 for k, c in terms) / (total - squared / total)
    return total, mean, math.sqrt(variance)


def test_every_node_is_a_weighted_mean_and_deviation():
    rng = np.random.default_rng(1)
    directions = np.repeat([1, -1, 1], [9, 7, 5])
    weights = np.cumsum(rng.normal(0.1, 0.1, (22, 3)) * np.r_[1, directions][:, None], axis=0)
    found = scatter_of(weights, directions, nodes=4, smoothness=1.5)
    spacing = (weights.max() - weights.min()) / 3
    assert found.bandwidth == pytest.approx(0.75 * spacing)
    assert np.isfinite(found.device_std).sum() > 12
    for k, n, device in np.argwhere(np.isfinite(found.device_std)):
        centre, sign = found.weight[n], (1, -1)[k]
        expected = literally(weights[:, device], directions, centre, found.bandwidth, sign)
        names = (found.total, found.device_mean, found.device_std)
        assert [each[k, n, device] for each in names] == pytest.approx(expected)


def test_constant_steps_scatter_by_their_noise():
    device = flat(rs.ConstantStepDevice, **WIDE, dw_min_std=0.4)
    found = scatter(device, pulses=150, devices=200, nodes=[-0.5, 0.0], rng=3)
    pulses = found.total.sum(axis=2) / math.sqrt(2.0)  # as many of equal weight say as much
    assert np.all(np.abs(found.mean - 0.01) < Z * 0.004 / np.sqrt(pulses))
    allowed = Z * 0.004 * np.sqrt((GAUSSIAN - 1.0) / (4.0 * pulses))
    assert np.all(np.abs(found.std - 0.004) < allowed)


def test_differences_between_devices_are_not_scatter_of_pulses():
    settings = {**WIDE, "dw_min_std": 0.0, "dw_min_dtod": 0.3}
    device = flat(rs.ConstantStepDevice, **settings)
    found = scatter(device, pulses=50, devices=40, nodes=[-0.9, -0.85])
    assert np.all(found.std < 1e-6)
    assert abs(np.std(found.device_mean[0, 0]) - 0.003) < Z * 0.003 / math.sqrt(2 * 40)


def test_write_noise_counts_twice_in_the_variance():
    device = flat(rs.LinearStepDevice, **WIDE, dw_min_std=0.5, write_noise_std=2.0)
    found = scatter(device, pulses=150, devices=300, nodes=[-0.4, -0.1], rng=1)
    variance = 0.005**2 + 2.0 * 0.02**2
    pulses = found.total[0].sum(axis=1) / math.sqrt(2.0)
    correlation = 0.02**2 / variance  # of neighbours, from the noise they have in common
    relative = Z * np.sqrt((2.0 + 4.0 * correlation**2) / pulses)
    assert np.all(np.abs(found.std[0] ** 2 / variance - 1.0) < relative)


def test_pulses_after_a_change_of_direction_are_left_out():
    weights = np.array([[0.0], [0.1], [0.2], [0.9], [0.8]])
    found = scatter_of(weights, [1, 1, -1, -1], nodes=[0.0, 1.0])
    assert found.total.sum() == pytest.approx(sum(math.exp(-2.0 * d**2) for d in (
        0.0, 0.1, 0.9, 1.0, 0.9, 0.1)))  # fmt: skip
    assert found.mean[1, 1] == pytest.approx(0.1)


def test_nothing_is_said_of_nodes_without_pulses():
    ramp = np.linspace(0.0, 1.0, 40)[:, None]
    found = scatter_of(ramp, np.ones(39), nodes=[0.5, 20.0], smoothness=0.01)
    assert np.isfinite(found.mean[0, 0])
    assert np.isnan(found.mean[0, 1])
    assert np.isnan(found.std[1]).all()


def test_single_pulses_have_a_mean_but_no_deviation():
    found = scatter_of([[0.0], [0.1]], [1], nodes=[0.0, 1.0])
    assert found.mean[0, 0] == pytest.approx(0.1)
    assert np.isnan(found.std[0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.0], [1]), "weights must be finite and have shape"),
        (([[0.0], [np.nan]], [1]), "weights must be finite"),
        (([[0.0], [1.0]], [1, 1]), r"got \(2, 1\) and \(2,\)"),
        (([[0.0], [1.0]], [1], 1), "nodes must be a number >= 2"),
        (([[0.0], [1.0]], [1], [0.5, 0.5]), "a list of different weights"),
        (([[0.0], [1.0]], [1], 3, 0.0), "smoothness must be > 0, got 0.0"),
    ],
)
def test_what_does_not_fit_is_refused_with_reasons(arguments, message):
    with pytest.raises(rs.RpusimError, match=message):
        scatter_of(*arguments)


def test_what_takes_no_pulses_has_no_scatter():
    with pytest.raises(rs.ConfigError, match="scatter: IdealDevice takes no pulses"):
        scatter(rs.IdealDevice())
