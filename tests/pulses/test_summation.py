"""Constant steps are summed where no bound is near: the law is that of pulse by pulse, everywhere.

The same law is run as a device whose pulses are summed and as a user's law that is walked.
"""

import numpy as np
import pytest
from scipy.stats import norm

import rpusim as rs
from tests.devices.pulsed import (
    MANY,
    SPREADS,
    WalkedConstantStep,
    flat,
    held,
    pulse_in_turn,
    tile_of,
)
from tests.naive.tolerance import check_law, check_mean, check_same_law, check_std, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

STEP = 0.01
BOTH = [rs.ConstantStepDevice, WalkedConstantStep]
#: name: (half width of the window, start)
PLACES = {
    "far from the bounds": (9.0, 0.0),
    "at the upper bound": (1.0, 1.0),
    "at the lower bound": (1.0, -1.0),
    "a few steps below the bound": (1.0, 0.97),
    "where the sum may just reach the bound": (1.0, 0.8),
    "in a window of a few steps": (0.05, 0.0),
}
PATHS = {
    "one pulse": [1],
    "up": [1] * 40,
    "down": [-1] * 40,
    "up and down": [1] * 12 + [-1] * 30 + [1] * 12,
    "in turn": [1, -1] * 30,
}


def both(start, directions, sigma, window, **settings):
    """Return the weights of 40000 devices after the same pulses, summed and walked."""
    weights = []
    for rng, kind in enumerate(BOTH):
        device = flat(kind, dw_min=STEP, dw_min_std=sigma, w_max=window, w_min=-window, **settings)
        tile = tile_of(device, MANY, start, rng=rng)
        pulse_in_turn(tile, directions)
        weights.append(held(tile))
        low, high = (bound.ravel() for bound in tile.weight_range())
        assert ((weights[-1] >= low) & (weights[-1] <= high)).all()
    return weights


@pytest.mark.parametrize("sigma", [0.3, 3.0])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", PLACES)
def test_summed_pulses_have_the_law_of_single_ones(place, path, sigma):
    window, start = PLACES[place]
    summed, walked = both(start, PATHS[path], sigma, window)
    check_same_law(summed, walked)
    for bound in (-window, window):
        check_same_law(summed == bound, walked == bound)


@pytest.mark.parametrize("place", PLACES)
def test_the_law_agrees_for_unequal_steps_and_a_spread_of_devices(place):
    window, start = PLACES[place]
    spread = dict(up_down=0.5, dw_min_dtod=0.3, up_down_dtod=0.1, w_max_dtod=0.2)
    check_same_law(*both(start, PATHS["up and down"], 1.0, window, **spread))


@pytest.mark.parametrize("place", PLACES)
def test_the_law_agrees_for_random_trains(place):
    window, start = PLACES[place]
    weights = []
    for rng, kind in enumerate(BOTH):
        device = flat(kind, dw_min=STEP, dw_min_std=0.5, w_max=window, w_min=-window)
        unmanaged = rs.UpdateParameters(update_management=False, update_bl_management=False)
        tile = rs.AnalogTile(*MANY, rs.RPUConfig(device=device, update=unmanaged), rng=rng)
        tile.set_weights(np.full(MANY, start))
        # the error's line always fires, each column with probability 1/2: independent counts
        factor = np.sqrt(1.0 / (STEP * 31))
        d = np.array([[-2.0], [2.0], [-2.0], [2.0]]) / factor
        tile.update(np.full((4, MANY[1]), 0.5 / factor), d, learning_rate=1.0)
        weights.append(held(tile))
    check_same_law(*weights)


@pytest.mark.parametrize("kind", BOTH)
def test_a_sum_far_from_the_bounds_is_exactly_normal(kind):
    device = flat(kind, dw_min=STEP, dw_min_std=0.7, w_max=9.0, w_min=-9.0, up_down=0.5)
    tile = tile_of(device, MANY, 0.0, rng=2)
    pulse_in_turn(tile, [1] * 30 + [-1] * 20)
    mean, std = STEP * (30 - 0.5 * 20), 0.7 * STEP * np.sqrt(30 + 0.25 * 20)
    check_mean(held(tile), mean, std)
    check_std(held(tile), std)
    check_law(held(tile), norm(mean, std).cdf)


@pytest.mark.parametrize("place", PLACES)
def test_without_noise_both_ways_end_alike(place):
    window, start = PLACES[place]
    for directions in PATHS.values():
        summed, walked = both(start, directions, 0.0, window)
        assert np.abs(summed - walked).max() <= rounding(len(directions), window)


@pytest.mark.parametrize("pieces", [1, 3, 60])
def test_the_law_does_not_depend_on_how_pulses_are_cut_into_updates(pieces):
    device = flat(rs.ConstantStepDevice, dw_min=STEP, dw_min_std=1.0, w_max=1.0, w_min=-1.0)
    tile = tile_of(device, MANY, 0.9, rng=pieces)
    for part in np.array_split(PATHS["in turn"], pieces):
        pulse_in_turn(tile, part)
    walked = both(0.9, PATHS["in turn"], 1.0, 1.0)[1]
    check_same_law(held(tile), walked)


def test_neighbours_in_a_row_and_in_a_column_get_noise_of_their_own():
    device = rs.ConstantStepDevice(
        dw_min=STEP, dw_min_std=1.0, **{**SPREADS, "w_max": 9.0, "w_min": -9.0}
    )
    tile = tile_of(device, (200, 200), 0.0, rng=2)
    changes = []
    for _ in range(2):
        before = held(tile)
        pulse_in_turn(tile, [1] * 10)
        changes.append((held(tile) - before).reshape(200, 200))
    first, second = changes
    bound = 5.0 / 200.0  # z / sqrt(n)
    for a, b in ((first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= 1.01 * bound
    quarters = np.split(first, 4, axis=1)
    for m in range(4):
        for n in range(m):
            assert abs(np.corrcoef(quarters[m].ravel(), quarters[n].ravel())[0, 1]) <= 2.0 * bound
