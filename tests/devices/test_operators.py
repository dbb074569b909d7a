"""Decay, diffusion and reset follow their closed forms; small decays are not lost to rounding."""

import numpy as np
import pytest
from scipy.stats import norm

import rpusim as rs
from tests.devices.pulsed import FEATURES, flat, held, pulse_in_turn, tile_of
from tests.naive.tolerance import (
    FLOAT32,
    check_correlation,
    check_law,
    check_mean,
    check_proportion,
    check_std,
    rounding,
)

SHAPE = (200, 200)
KINDS = list(dict(FEATURES.values()))


def wide(kind=rs.ConstantStepDevice, start=0.0, shape=SHAPE, **settings):
    """Return equal devices with bounds at +-1."""
    return tile_of(flat(kind, w_max=1.0, w_min=-1.0, **settings), shape, start, rng=9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", [1, 2, 50])
def test_decay_is_exponential_towards_the_reset_target(kind, calls):
    tile = wide(kind, 0.5, (2, 3), lifetime=20.0, reset=0.1)
    for _ in range(calls):
        tile.post_update_step()
    expected = 0.1 + (0.5 - 0.1) * (1.0 - 1.0 / 20.0) ** calls
    assert np.abs(held(tile) - expected).max() <= rounding(calls, 0.5)


def test_every_device_decays_with_its_own_lifetime_to_its_own_target():
    spread = dict(lifetime=20.0, lifetime_dtod=0.2, reset=0.05, reset_dtod=0.02)
    tile = wide(start=0.5, **spread)
    hidden = tile.get_hidden_parameters()
    scale, target = hidden["decay_scales"].ravel(), hidden["reset_bias"].ravel().astype(np.float64)
    for _ in range(7):
        tile.post_update_step()
    assert np.abs(held(tile) - (target + (0.5 - target) * scale**7)).max() <= rounding(7, 0.5)


def test_decay_can_be_scaled():
    tile = wide(start=0.5, shape=(2, 3), lifetime=20.0, reset=0.1)
    tile.crossbar.decay(alpha=0.5)
    assert np.abs(held(tile) - 0.49).max() <= rounding(1, 0.5)


@pytest.mark.parametrize("lifetime", [1e6, 1e7, 1e8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_decay_below_single_precision_is_not_lost(kind, lifetime):
    tile = wide(kind, 0.5, (2, 3), lifetime=lifetime)
    for _ in range(2000):
        tile.post_update_step()
    expected = 0.5 * (1.0 - 1.0 / lifetime) ** 2000
    # the rate is rounded once, the weight that is held once
    assert np.abs(held(tile) - expected).max() <= FLOAT32 * (0.5 + 2000 * 0.5 / lifetime)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_pulses_in_between_do_not_lose_a_small_decay(noise):
    step = 2.0**-10  # an up and a down pulse cancel exactly
    settings = dict(dw_min=step, dw_min_std=0.0, write_noise_std=noise)
    tile = wide(rs.LinearStepDevice, 0.375, (2, 3), lifetime=1e8, **settings)
    for _ in range(2000):
        pulse_in_turn(tile, [1, -1])
        tile.post_update_step()
    expected = 0.375 * (1.0 - 1e-8) ** 2000
    assert np.abs(held(tile) - expected).max() <= 2.0 * FLOAT32 * 0.375


@pytest.mark.parametrize("kind", KINDS)
def test_diffusion_is_a_random_walk(kind):
    tile = wide(kind, diffusion=0.01)
    for _ in range(10):
        tile.post_update_step()
    check_mean(held(tile), 0.0, 0.01 * np.sqrt(10.0))
    check_std(held(tile), 0.01 * np.sqrt(10.0))
    check_law(held(tile), norm(0.0, 0.01 * np.sqrt(10.0)).cdf)


def test_steps_of_diffusion_are_independent_in_time_and_space():
    tile = wide(diffusion=0.01)
    states = [held(tile)]
    for _ in range(2):
        tile.post_update_step()
        states.append(held(tile))
    first, second = np.diff(states, axis=0)
    check_correlation(first, second, 0.0)
    square = first.reshape(SHAPE)
    check_correlation(square[1:], square[:-1], 0.0)
    check_correlation(square[:, 1:], square[:, :-1], 0.0)


def test_diffusion_stays_within_bounds():
    tile = wide(start=0.99, diffusion=0.1)
    for _ in range(5):
        tile.post_update_step()
    assert (np.abs(held(tile)) <= 1.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_decay_and_diffusion_balance(kind):
    keep, rate = 0.9, 0.01
    tile = wide(kind, lifetime=1.0 / (1.0 - keep), diffusion=rate, reset=0.1)
    for _ in range(int(20.0 / (1.0 - keep))):
        tile.post_update_step()
    std = rate * keep / np.sqrt(1.0 - keep**2)  # AR(1), seen after the decay
    check_mean(held(tile), 0.1, std)
    check_std(held(tile), std)


@pytest.mark.parametrize("kind", KINDS)
def test_reset_draws_around_the_target(kind):
    tile = wide(kind, 0.5, reset=0.1, reset_dtod=0.05, reset_std=0.02)
    tile.reset_columns()
    target = tile.get_hidden_parameters()["reset_bias"].ravel()
    check_mean(held(tile) - target, 0.0, 0.02)
    check_std(held(tile) - target, 0.02)


def test_reset_stays_within_bounds():
    tile = wide(start=0.5, reset=0.99, reset_std=0.1)
    tile.reset_columns()
    assert (held(tile) <= 1.0).all()


def test_some_devices_are_reset_with_a_probability():
    tile = wide(start=0.5)
    tile.reset_columns(prob=0.3)
    check_proportion(held(tile) != 0.5, 0.3)


def test_reset_columns_wrap_around():
    tile = wide(start=0.5)
    tile.reset_columns(start=198, count=4)
    changed = (tile.get_weights()[0] != 0.5).all(axis=0)
    assert np.flatnonzero(changed).tolist() == [0, 1, 198, 199]
    assert (tile.get_weights()[0][:, ~changed] == 0.5).all()


@pytest.mark.parametrize("prob", [-0.1, 1.1, np.nan])
def test_a_reset_probability_is_a_probability(prob):
    with pytest.raises(rs.DataError, match=r"prob must be in 0\.\.1"):
        wide(shape=(2, 3)).reset_columns(prob=prob)


@pytest.mark.parametrize("kind", [rs.FloatingPointDevice, rs.IdealDevice])
def test_numbers_decay_and_diffuse_too(kind):
    tile = rs.AnalogTile(*SHAPE, kind(lifetime=10.0, diffusion=0.02), rng=1)
    tile.set_weights(np.full(SHAPE, 0.5))
    tile.post_update_step()
    check_mean(held_digital(tile), 0.45, 0.9 * 0.02)
    check_std(held_digital(tile), 0.9 * 0.02)


def held_digital(tile):
    return tile.get_weights()[0].astype(np.float64).ravel()


def test_an_ideal_device_resets_to_noise_and_a_number_not_at_all():
    tile = rs.AnalogTile(*SHAPE, rs.IdealDevice(reset_std=0.05), rng=1)
    tile.reset_columns()
    check_std(held_digital(tile), 0.05)
    with pytest.raises(rs.StateError, match="FloatingPointDevice has no reset"):
        rs.AnalogTile(2, 3, rs.FloatingPointDevice()).reset_columns()
