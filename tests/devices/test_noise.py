"""Cycle-to-cycle noise: one, many, random pulses and pulses at a bound have theory's moments."""

import numpy as np
import pytest
from scipy.stats import norm

import rpusim as rs
from tests.devices.pulsed import (
    FEATURES,
    LAWS,
    MANY,
    WalkedConstantStep,
    flat,
    flat_named,
    held,
    numbers_of,
    one_device,
    pulse,
    pulse_each,
    tile_of,
)
from tests.naive import response
from tests.naive.tolerance import Z, check_law, check_mean, check_std, check_variance

N = MANY[0] * MANY[1]
WINDOW = dict(w_max=1.0, w_min=-0.8)
AFFINE = {
    "linear": (rs.LinearStepDevice, dict(gamma_up=0.8, gamma_down=0.5), False),
    "linear, additive": (
        rs.LinearStepDevice,
        dict(gamma_up=0.8, gamma_down=0.5, mult_noise=False),
        True,
    ),
    "soft bounds": (rs.SoftBoundsDevice, {}, False),
    "soft bounds, additive": (rs.SoftBoundsDevice, dict(mult_noise=False), True),
    "soft bounds, reference": (rs.SoftBoundsReferenceDevice, dict(mult_noise=True), False),
    "soft bounds, reference, additive": (rs.SoftBoundsReferenceDevice, {}, True),
}
CONSTANT = {
    "constant": (rs.ConstantStepDevice, {}, True),
    "constant, walked": (WalkedConstantStep, {}, True),
}


def noisy_tile(name, start, **settings):
    """Return (tile of equal devices, its parameters, whether noise is additive)."""
    kind, own, additive = {**AFFINE, **CONSTANT}[name]
    tile = tile_of(flat(kind, **WINDOW, **own, **settings), MANY, start, rng=8)
    return tile, one_device(tile), additive


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", [*CONSTANT, *AFFINE])
def test_one_pulse_is_normal_around_the_step(name, direction):
    tile, dev, additive = noisy_tile(name, 0.3, dw_min=0.02, dw_min_std=0.8, up_down=0.2)
    which = "up" if direction > 0 else "down"
    base = dev[f"dwmin_{which}"]
    step = base + dev[f"slope_{which}"] * float(np.float32(0.3))
    std = 0.8 * (base if additive else step)
    start = held(tile)
    pulse(tile, direction)
    change = held(tile) - start
    check_mean(change, direction * step, std)
    check_std(change, std)
    check_law(change, norm(direction * step, std).cdf)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", [name for name in FEATURES if "noisy" not in name])
def test_one_pulse_of_any_device_is_normal_around_its_rule(name, direction):
    settings = dict(w_max=1.0, w_min=-1.0, dw_min_std=0.8)
    if "table" not in name:
        settings["dw_min"] = 0.02
    if "hidden" in name:
        settings["hs_hidden_states"] = 1
    tile = tile_of(flat_named(name, **settings), MANY, 0.3, rng=8)
    dev = numbers_of(tile.rpu_config.device) | one_device(tile)
    start = held(tile)
    pulse(tile, direction)
    quiet, one = (LAWS[name](start[0], direction > 0, dict(dev), 0.8, z) for z in (0.0, 1.0))
    check_mean(held(tile), quiet, abs(one - quiet), floor=1e-7)
    check_std(held(tile), abs(one - quiet))
    check_law(held(tile), norm(quiet, abs(one - quiet)).cdf)


@pytest.mark.parametrize("counts", [(1, 0), (40, 0), (40, 40), (7, 40)])
@pytest.mark.parametrize("name", [*CONSTANT, *AFFINE])
def test_many_pulses_have_the_moments_of_the_recursion(name, counts):
    ups, downs = counts
    tile, dev, additive = noisy_tile(name, -0.2, dw_min=0.01, dw_min_std=0.5)
    start = held(tile)[0]
    pulse(tile, 1, ups)
    pulse(tile, -1, downs) if downs else None
    mean, variance = response.up_then_down(start, ups, downs, dev, 0.5, additive)
    check_mean(held(tile), mean, np.sqrt(variance), floor=1e-7 * (ups + downs))
    check_variance(held(tile), variance)


def test_device_spread_and_noise_add_up():
    device = flat(rs.ConstantStepDevice, dw_min=0.002, dw_min_std=0.8, w_max=9.0, w_min=-9.0)
    device = device.replace(dw_min_dtod=0.2, up_down_dtod=0.1)
    tile = tile_of(device, MANY, 0.0, rng=8)
    pulse(tile, 1, 50)
    mean, variance = response.spread_then_pulses(50, 0.002, 0.2, 0.1, 0.8)
    check_mean(held(tile), mean, np.sqrt(variance))
    check_variance(held(tile), variance, kurtosis=4.0)  # a normal of random variance: above 3


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("pulses", [1, 5, 100])
@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, WalkedConstantStep])
def test_noise_holds_a_constant_step_off_its_bound(kind, pulses, direction):
    step, sigma = 0.005, 1.5
    device = flat(kind, dw_min=step, dw_min_std=sigma, w_max=1.0, w_min=-1.0)
    tile = tile_of(device, MANY, float(direction), rng=8)
    pulse(tile, direction, pulses)
    gap = 1.0 - direction * held(tile)
    assert (gap >= 0.0).all()
    limit = np.sqrt(response.gap_variance(step, sigma))
    check_mean(gap, response.gap_mean(step, sigma, pulses), limit, floor=1e-7)


@pytest.mark.parametrize("sigma", [1.5, 3.0])
@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, WalkedConstantStep])
def test_the_gap_to_a_bound_becomes_stationary(kind, sigma):
    device = flat(kind, dw_min=0.002, dw_min_std=sigma, w_max=1.0, w_min=-1.0)
    tile = tile_of(device, MANY, 1.0, rng=8)
    pulse(tile, 1, int(20 * sigma**2 + 50))
    variance = response.gap_variance(0.002, sigma)
    # kurtosis of the gap is 14 at sigma = 1.5 and 10 at sigma = 3: hence 4 z / sqrt(n)
    assert abs(held(tile).var() / variance - 1.0) <= 4.0 * Z / np.sqrt(N)


@pytest.mark.parametrize("name", AFFINE)
def test_random_pulses_scatter_around_the_symmetry_point(name):
    tile, dev, additive = noisy_tile(name, 0.0, dw_min=0.02, dw_min_std=0.5, up_down=0.2)
    mean, variance = response.random_walk(dev, 0.5, additive)
    tile.set_weights(np.full(MANY, mean))
    pulses = int(10.0 / (dev["slope_down"] - dev["slope_up"]))
    pulse_each(tile, np.random.default_rng(4).choice(np.float32([-1.0, 1.0]), (pulses, MANY[1])))
    check_mean(held(tile), mean, np.sqrt(variance))
    check_variance(held(tile), variance)


def test_a_pulse_may_go_backwards_when_noise_exceeds_the_step():
    tile, _, _ = noisy_tile("soft bounds", 0.0, dw_min=0.001, dw_min_std=2.0)
    pulse(tile, 1)
    backwards = held(tile) < 0.0
    p = norm.cdf(-0.5)
    assert abs(backwards.mean() - p) <= Z * np.sqrt(p * (1.0 - p) / N)
