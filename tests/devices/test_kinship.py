"""Devices that should agree do: the same noise leads them along the same path."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import WalkedConstantStep, held, pulse, tile_of
from tests.naive.tolerance import FLOAT32, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (6, 7)
PULSES = 60
NOISY = dict(dw_min=0.05, dw_min_std=0.7)
FULL = dict(gamma_up=1.0, gamma_down=1.0, gamma_up_dtod=0.0, gamma_down_dtod=0.0)


def path(device, planes=None, start=0.0):
    """Return the weights after each of some noisy pulses."""
    tile = tile_of(device, SHAPE, start, rng=5)
    if planes is not None:
        tile.set_hidden_parameters(planes, recompute_derived=False)
        tile.set_weights(np.broadcast_to(start, SHAPE))
    states = []
    for direction in np.random.default_rng(2).choice([-1, 1], size=PULSES):
        pulse(tile, direction)
        states.append(held(tile))
    return np.array(states)


def planes_of(device):
    """Return what the devices on the path carry."""
    return tile_of(device, SHAPE, rng=5).get_hidden_parameters()


def test_a_linear_step_without_slope_is_a_constant_step():
    linear = rs.LinearStepDevice(gamma_up_dtod=0.0, gamma_down_dtod=0.0, **NOISY)
    assert np.array_equal(path(linear), path(WalkedConstantStep(**NOISY)))


def test_one_node_of_relative_step_1_is_a_constant_step():
    one = rs.PiecewiseStepDevice(piecewise_up=[1], piecewise_down=[1], **NOISY)
    assert np.array_equal(path(one), path(WalkedConstantStep(**NOISY)))


def test_one_hidden_state_is_a_constant_step():
    hidden = rs.HiddenStepDevice(
        hs_hidden_states=1, hs_dw_min_dtod=0.0, hs_up_down_dtod=0.0, **NOISY
    )
    assert np.array_equal(path(hidden), path(WalkedConstantStep(**NOISY)))


@pytest.mark.parametrize("mult_noise", [True, False])
def test_soft_bounds_are_a_linear_step_to_the_own_bounds(mult_noise):
    linear = rs.LinearStepDevice(mean_bound_reference=False, mult_noise=mult_noise, **FULL, **NOISY)
    soft = rs.SoftBoundsDevice(mult_noise=mult_noise, **NOISY)
    assert np.array_equal(path(soft), path(linear))


@pytest.mark.parametrize("mult_noise", [True, False])
def test_soft_bounds_with_reference_0_are_soft_bounds(mult_noise):
    shifted = rs.SoftBoundsReferenceDevice(mult_noise=mult_noise, **NOISY)
    soft = rs.SoftBoundsDevice(mult_noise=mult_noise, **NOISY)
    assert np.array_equal(path(shifted), path(soft))


def test_soft_bounds_from_a_range_are_those_with_the_derived_parameters():
    ranged = rs.SoftBoundsPmaxDevice(p_max=70, alpha=0.03, range_min=-0.5, range_max=0.7)
    derived = {name: getattr(ranged, name) for name in ("w_max", "w_min", "dw_min", "up_down")}
    assert np.array_equal(path(ranged), path(rs.SoftBoundsDevice(**derived)))


def test_soft_bounds_are_two_nodes():
    high, low = 0.8, -0.5
    window = dict(w_max=high, w_min=low, w_max_dtod=0.0, w_min_dtod=0.0, **NOISY)
    nodes = dict(piecewise_up=[(high - low) / high, 0.0], piecewise_down=[0.0, (low - high) / low])
    soft, nodes = rs.SoftBoundsDevice(**window), rs.PiecewiseStepDevice(**nodes, **window)
    assert np.abs(path(soft) - path(nodes)).max() <= rounding(PULSES, high)


def test_a_linear_power_is_soft_bounds_of_another_step():
    soft = rs.SoftBoundsDevice(**NOISY)
    planes = planes_of(soft)
    high, low = planes["max_bound"], planes["min_bound"]
    steps = {
        "dwmin_up": planes["dwmin_up"] * (high - low) / high,
        "dwmin_down": planes["dwmin_down"] * (low - high) / low,
    }
    power = rs.PowStepDevice(pow_gamma_dtod=0.0, **NOISY)
    assert np.abs(path(power, steps) - path(soft)).max() <= rounding(PULSES, high.max())


def test_a_table_over_the_mean_window_is_a_piecewise_step():
    window = dict(w_max=0.8, w_min=-0.5, w_max_dtod=0.0, w_min_dtod=0.0, dw_min_std=0.7)
    up, down = [1.5, 1.0, 0.1, 0.2], [0.2, 0.8, 1.0, 3.2]  # of mean 1
    piecewise = rs.PiecewiseStepDevice(dw_min=0.05, piecewise_up=up, piecewise_down=down, **window)
    table = rs.LookupTableDevice(
        steps_up=[0.05 * v for v in up], steps_down=[0.05 * v for v in down], **window
    )
    assert np.abs(path(table) - path(piecewise)).max() <= rounding(PULSES, 0.8)


def test_equal_rows_make_the_pulse_number_irrelevant():
    up, down = [0.05, 0.02], [0.01, 0.06]
    row = rs.LookupTableDevice(steps_up=up, steps_down=down, dw_min_std=0.7)
    rows = rs.LookupTableDevice(steps_up=[up] * 3, steps_down=[down] * 3, dw_min_std=0.7)
    assert np.abs(path(rows) - path(row)).max() <= rounding(PULSES, 1.0)


@pytest.mark.parametrize("kind", [rs.SoftBoundsReferenceDevice, rs.PowStepReferenceDevice])
def test_a_reference_shifts_what_is_seen_and_nothing_else(kind):
    raw, shifted = kind(**NOISY), kind(reference_mean=0.07, reference_std=0.05, **NOISY)
    tiles = [tile_of(device, SHAPE, 0.0, rng=5) for device in (raw, shifted)]
    reference = planes_of(shifted)["reference"]
    assert np.ptp(reference) > 0.1
    tiles[1].set_hidden_parameters({"persistent_weights": np.zeros(SHAPE)})
    for direction in np.random.default_rng(2).choice([-1, 1], size=PULSES):
        for tile in tiles:
            pulse(tile, direction)
        a, b = (tile.get_hidden_parameters()["persistent_weights"] for tile in tiles)
        assert np.array_equal(a, b)
        assert np.array_equal(tiles[0].get_weights()[0], a)
        assert np.array_equal(tiles[1].get_weights()[0], a - reference)


def test_a_power_with_reference_0_is_a_power():
    assert np.array_equal(path(rs.PowStepReferenceDevice(**NOISY)), path(rs.PowStepDevice(**NOISY)))


@pytest.mark.parametrize("device", [WalkedConstantStep(dw_min=0.05, dw_min_std=1.0)])
def test_a_larger_upper_bound_never_lowers_a_weight(device):
    bound = tile_of(device, SHAPE, rng=5).get_hidden_parameters()["max_bound"]
    narrow = path(device, {"max_bound": bound})
    wide = path(device, {"max_bound": bound + np.float32(0.1)})
    # once apart, two paths round differently: half an ulp per pulse
    assert (wide >= narrow - PULSES * FLOAT32).all()
    assert (wide > narrow + 0.01).any()
