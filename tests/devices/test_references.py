"""Devices with a reference: bounds are raw, all else is meant for the weight that is seen."""

import numpy as np
import pytest
from scipy.stats import foldnorm, norm

import rpusim as rs
from tests.devices.pulsed import HUSH, flat, held, pulse, pulse_in_turn, seen, tile_of
from tests.naive import pulses, response
from tests.naive.tolerance import (
    FLOAT32,
    check_correlation,
    check_law,
    check_mean,
    check_std,
    rounding,
)

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (200, 200)
KINDS = [rs.SoftBoundsReferenceDevice, rs.PowStepReferenceDevice]
SHIFT = dict(reference_mean=0.2, reference_std=0.1)
#: a window that no symmetry point, nor a target near 0, can leave
WIDE = dict(w_max=2.0, w_min=-1.8, w_max_dtod=0.0, w_min_dtod=0.0, up_down=0.3, dw_min_dtod=0.1)


def shifted(kind, shape=SHAPE, start=None, **settings):
    """Return devices with references of their own."""
    return tile_of(kind(**{**SHIFT, **settings}), shape, start, rng=7)


def planes(tile):
    """Return what the devices carry, flat and in double precision."""
    hidden = tile.get_hidden_parameters()
    return {name: plane.astype(np.float64).ravel() for name, plane in hidden.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_setting_limits_the_raw_weight(kind):
    tile = shifted(kind)
    wanted = np.linspace(-1.5, 1.5, 40000).reshape(SHAPE).astype(np.float32)
    clipped = tile.set_weights(wanted)
    dev, w = planes(tile), wanted.astype(np.float64).ravel()
    raw = np.clip(w + dev["reference"], dev["min_bound"], dev["max_bound"])
    assert np.abs(held(tile) - raw).max() <= FLOAT32
    assert np.abs(seen(tile) - (raw - dev["reference"])).max() <= 2.0 * FLOAT32
    inside = raw == w + dev["reference"]
    assert abs(clipped - (~inside).sum()) <= 2  # a sum that rounds onto the bound
    assert 1000 < clipped < 39000


@pytest.mark.parametrize("kind", KINDS)
def test_the_visible_range_is_shifted_too(kind):
    tile = shifted(kind)
    dev, (low, high) = planes(tile), tile.weight_range()
    assert np.abs(low.ravel() - (dev["min_bound"] - dev["reference"])).max() <= FLOAT32
    assert np.abs(high.ravel() - (dev["max_bound"] - dev["reference"])).max() <= FLOAT32
    tile.set_weights(np.full(SHAPE, -9.0))
    assert np.array_equal(tile.get_weights()[0], low)
    tile.set_weights(np.full(SHAPE, 9.0))
    assert np.array_equal(tile.get_weights()[0], high)


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_reset_leads_to_the_visible_target(kind, subtract):
    target = dict(reset=0.1, reset_dtod=0.03, reset_std=0.02)
    tile = shifted(kind, start=0.3, subtract_symmetry_point=subtract, **target, **WIDE)
    tile.reset_columns()
    dev = planes(tile)
    check_mean(dev["reset_bias"], 0.1, 0.03)
    check_mean(seen(tile) - dev["reset_bias"], 0.0, 0.02)
    check_std(seen(tile) - dev["reset_bias"], 0.02)


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_decay_leads_to_the_visible_target(kind, subtract):
    target = dict(lifetime=10.0, reset=0.1)
    tile = shifted(kind, (20, 20), 0.3, subtract_symmetry_point=subtract, **target, **WIDE)
    for n in range(1, 6):
        tile.post_update_step()
        assert np.abs(seen(tile) - (0.1 + 0.2 * 0.9**n)).max() <= rounding(n, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_out_of_reach_ends_at_the_raw_bound(kind):
    tile = shifted(kind, (20, 20), 0.0, reset=5.0, reset_std=0.0, lifetime=1.0)
    for operate in (tile.post_update_step, tile.reset_columns):
        tile.set_weights(np.zeros((20, 20)))
        operate()
        assert np.array_equal(tile.get_weights()[0], tile.weight_range()[1])


@pytest.mark.parametrize("kind", KINDS)
def test_drift_and_clipping_are_those_of_the_visible_weight(kind):
    tile = shifted(kind, (20, 20), 0.5, drift=dict(nu=0.1), **WIDE)
    tile.drift_weights(100.0)
    assert np.abs(seen(tile) - 0.5 * 100.0**-0.1).max() <= rounding(1, 1.0)
    tile.crossbar.clip(0.25)
    assert np.abs(seen(tile) - 0.25).max() <= rounding(1, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_diffusion_moves_what_is_seen_within_the_raw_bounds(kind):
    tile = shifted(kind, start=0.0, diffusion=0.01, **WIDE)
    before = seen(tile)
    tile.post_update_step()
    check_std(seen(tile) - before, 0.01)
    for _ in range(3):
        tile.crossbar.plane("diffusion_rates")[:] = 1.0
        tile.post_update_step()
    dev = planes(tile)
    assert ((held(tile) >= dev["min_bound"]) & (held(tile) <= dev["max_bound"])).all()
    assert (held(tile) == dev["max_bound"]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pulse_at_the_edge_of_the_visible_range_does_not_jump(kind):
    # raw 1.3 beyond the bound 1 once gave a negative base of a power, and so the lowest weight
    device = flat(kind, w_max=1.0, w_min=-1.0, dw_min_std=HUSH, reference_mean=0.4)
    device = device.replace(**({"pow_gamma": 1.5} if kind is rs.PowStepReferenceDevice else {}))
    tile = tile_of(device, (1, 1), 0.9)
    assert seen(tile)[0] == pytest.approx(0.6)
    pulse(tile, 1)
    assert seen(tile)[0] == pytest.approx(0.6)
    tile.set_weights([[-1.5]])
    pulse(tile, -1)
    assert seen(tile)[0] == pytest.approx(-1.4)


@pytest.mark.parametrize("gamma", [0.3, 1.5])
@pytest.mark.parametrize("kind", [rs.PowStepDevice, rs.PowStepReferenceDevice])
def test_powers_stay_finite_whatever_the_noise(kind, gamma):
    device = kind(pow_gamma=gamma, dw_min=0.2, dw_min_std=5.0, write_noise_std=1.0)
    tile = tile_of(device, (50, 50), 0.0, rng=2)
    for _ in range(10):
        pulse_in_turn(tile, [1, 1, 1, -1, -1, -1])
        assert np.isfinite(seen(tile)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_references_are_normal_and_independent(kind):
    dev = planes(shifted(kind))
    check_law(dev["reference"], norm(0.2, 0.1).cdf)
    for other in ("max_bound", "min_bound", "dwmin_up"):
        check_correlation(dev["reference"], dev[other], 0.0)


def test_soft_bounds_subtract_each_devices_own_symmetry_point():
    own = dict(up_down=0.3, up_down_dtod=0.1, slope_up_dtod=0.1, slope_down_dtod=0.2)
    plain = planes(shifted(rs.SoftBoundsReferenceDevice, **own))
    tile = shifted(rs.SoftBoundsReferenceDevice, subtract_symmetry_point=True, **own)
    dev = planes(tile)
    found = dev["reference"] - plain["reference"]
    # the planes are rounded, and the steps' difference is divided by the slopes
    allowed = 4.0 * FLOAT32 * (1.0 + dev["max_bound"] - dev["min_bound"])
    assert (np.abs(found - response.symmetry_point(dev)) <= allowed).all()


def test_powers_subtract_each_devices_own_symmetry_point():
    own = dict(up_down=0.3, pow_gamma=1.5, pow_up_down=0.2, pow_up_down_dtod=0.05)
    plain = planes(shifted(rs.PowStepReferenceDevice, (20, 20), **own))
    dev = planes(shifted(rs.PowStepReferenceDevice, (20, 20), subtract_symmetry_point=True, **own))
    point = response.power_symmetry_point(dev)
    assert np.abs(dev["reference"] - plain["reference"] - point).max() <= rounding(1, 1.0)


@pytest.mark.parametrize("count", [1, 10, 300])
def test_a_few_pairs_of_pulses_estimate_part_of_it(count):
    own = dict(w_max=1.0, w_min=-0.5, up_down=0.3, pow_gamma=1.5, n_estimation_steps=count)
    plain = planes(shifted(rs.PowStepReferenceDevice, (6, 7), **own))
    tile = shifted(rs.PowStepReferenceDevice, (6, 7), subtract_symmetry_point=True, **own)
    dev = planes(tile)
    found = dev["reference"] - plain["reference"]
    for n in range(found.size):
        one, v = {name: plane[n] for name, plane in dev.items()}, 0.0
        for _ in range(count):
            up, down = (pulses.power_pulse(v, rises, one, 0.0, 0.0) - v for rises in (True, False))
            v = v + up + down
        assert abs(found[n] - v) <= rounding(1, 1.0)


def test_many_pairs_of_pulses_estimate_all_of_it():
    own = dict(pow_gamma=1.5, dw_min=0.01, subtract_symmetry_point=True, **WIDE)
    exact = planes(shifted(rs.PowStepReferenceDevice, (6, 7), **own))["reference"]
    long = planes(shifted(rs.PowStepReferenceDevice, (6, 7), n_estimation_steps=20000, **own))
    assert np.abs(long["reference"] - exact).max() <= rounding(1, 1.0)


def test_the_spread_of_a_slope_divides_its_bound():
    settings = dict(w_max_dtod=0.1, w_min_dtod=0.1, dw_min=0.01)
    plain = planes(shifted(rs.SoftBoundsReferenceDevice, **settings))
    spread = dict(slope_up_dtod=0.2, slope_down_dtod=0.1)
    dev = planes(shifted(rs.SoftBoundsReferenceDevice, **spread, **settings))
    for bound, std in (("max_bound", 0.2), ("min_bound", 0.1)):
        check_law(plain[bound] / dev[bound], foldnorm(1.0 / std, scale=std).cdf)
    for way, bound in (("up", "max_bound"), ("down", "min_bound")):
        slope = -dev[f"dwmin_{way}"] / dev[bound]
        assert np.allclose(dev[f"slope_{way}"], slope, rtol=4e-7, atol=0.0)


def test_changed_bounds_change_the_slopes():
    tile = shifted(rs.SoftBoundsReferenceDevice, (3, 4))
    tile.set_hidden_parameters({"max_bound": np.full((3, 4), 0.5)})
    dev = planes(tile)
    assert np.allclose(dev["slope_up"], -dev["dwmin_up"] / 0.5, rtol=1e-6, atol=0.0)
    pulse(tile, 1, 20000)
    assert np.abs(held(tile) - 0.5).max() <= 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_reference_changes_what_is_seen_not_what_is_held(kind):
    tile = shifted(kind, (3, 4), 0.1)
    before = held(tile)
    tile.set_hidden_parameters({"reference": np.full((3, 4), 0.25)})
    assert np.array_equal(held(tile), before)
    assert np.abs(seen(tile) - (before - 0.25)).max() <= FLOAT32
