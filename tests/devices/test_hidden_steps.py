"""Hidden states: pulses fill an accumulator, and every full one is a visible step."""

import numpy as np
import pytest
from scipy.stats import norm

import rpusim as rs
from tests.devices.pulsed import MANY, flat, held, pulse, pulse_in_turn, tile_of
from tests.naive.tolerance import check_law, check_mean, check_proportion, check_std, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

STEP = 2.0**-10  # sums of steps are exact
WIDE = dict(w_max=2.0, w_min=-2.0, dw_min=STEP)


def hidden(states, shape=(1, 1), **settings):
    """Return a tile of equal devices at 0, with this many hidden states."""
    settings = {"dw_min_std": 0.0, **settings}
    device = flat(rs.HiddenStepDevice, hs_hidden_states=states, **WIDE, **settings)
    return tile_of(device, shape, 0.0, rng=4)


def accumulated(tile):
    return tile.get_hidden_parameters()["hidden_weights"].astype(np.float64).ravel()


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("states", [1, 2, 5])
def test_every_so_many_pulses_make_a_step(states, direction):
    tile = hidden(states)
    for done in range(1, 24):
        pulse(tile, direction)
        assert held(tile)[0] == direction * states * STEP * (done // states)
        assert accumulated(tile)[0] == direction * (done % states)


@pytest.mark.parametrize("scale", [0.25, 0.75, 1.5])
def test_what_is_left_over_counts_for_the_next_step(scale):
    tile = hidden(3)
    tile.set_hidden_parameters({"hs_scale_up": [[scale]]})
    for done in range(1, 40):
        pulse(tile, 1)
        assert held(tile)[0] == 3 * STEP * (scale * done // 3)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("states", [1, 2, 5])
def test_without_carry_a_step_takes_one_pulse_more(states, direction):
    tile = hidden(states, carry_over=False)
    for done in range(1, 24):
        pulse(tile, direction)
        assert held(tile)[0] == direction * states * STEP * (done // (states + 1))
        assert accumulated(tile)[0] == direction * (done % (states + 1))


def test_without_carry_the_remainder_is_lost():
    tile = hidden(3, carry_over=False)
    tile.set_hidden_parameters({"hs_scale_up": [[0.75]]})
    pulse_in_turn(tile, [1] * 5)  # 3.75 exceeds 3
    assert held(tile)[0] == 3 * STEP
    assert accumulated(tile)[0] == 0.0


def test_opposite_pulses_empty_the_accumulator():
    tile = hidden(4)
    pulse_in_turn(tile, [1, 1, 1, -1] * 3)
    assert held(tile)[0] == 4 * STEP  # 6 pulses up in all
    pulse_in_turn(tile, [-1] * 2)
    assert accumulated(tile)[0] == 0.0
    assert held(tile)[0] == 4 * STEP
    pulse_in_turn(tile, [-1] * 4)
    assert held(tile)[0] == 0.0


@pytest.mark.parametrize("direction", [1, -1])
def test_on_average_a_pulse_is_the_granularity(direction):
    tile = hidden(6, hs_up_down=0.25, up_down=0.5)
    pulse(tile, direction, 480)
    share = 1.0 if direction > 0 else 0.75 * 0.5
    assert held(tile)[0] == direction * 480 * STEP * share
    other = 0.75 * 0.5 if direction > 0 else 1.0
    assert tile.weight_granularity == pytest.approx(0.5 * STEP * (share + other))


def test_steps_that_cross_a_bound_end_there():
    tile = hidden(4)
    tile.set_weights([[1.999]])
    pulse(tile, 1, 8)
    assert held(tile)[0] == 2.0


def test_the_accumulator_outlives_what_happens_to_the_weight():
    tile = hidden(5, lifetime=2.0, diffusion=0.01)
    pulse(tile, 1, 3)
    tile.set_weights([[0.25]])
    tile.post_update_step()
    tile.reset_columns()
    assert accumulated(tile)[0] == 3.0
    tile.set_hidden_parameters({"hidden_weights": [[4.5]]})
    before = held(tile)[0]
    pulse(tile, 1)
    assert held(tile)[0] - before == pytest.approx(5 * STEP, abs=rounding(1, 1.0))
    assert accumulated(tile)[0] == 0.5


def test_the_noise_of_a_step_is_that_of_a_step():
    tile = hidden(4, MANY, dw_min_std=0.5)
    pulse(tile, 1, 3)
    assert not held(tile).any()
    pulse(tile, 1)
    check_mean(held(tile), 4 * STEP, 2 * STEP)
    check_law(held(tile), norm(4 * STEP, 2 * STEP).cdf)


@pytest.mark.parametrize("direction", [1, -1])
def test_the_accumulator_has_noise_of_its_own(direction):
    tile = hidden(12, MANY, dw_min_std=0.5, hs_dw_min_std=0.3)
    pulse(tile, direction, 5)
    check_mean(accumulated(tile), 5.0 * direction, 0.3 * np.sqrt(5.0))
    check_law(accumulated(tile), norm(5.0 * direction, 0.3 * np.sqrt(5.0)).cdf)
    assert not held(tile).any()


def test_both_noises_are_independent():
    tile = hidden(1, MANY, dw_min_std=0.5, hs_dw_min_std=0.3)
    pulse(tile, 1)
    stepped = held(tile) != 0.0
    check_proportion(stepped, 0.5)  # the accumulator exceeds 1 or does not
    check_mean(held(tile)[stepped], STEP, 0.5 * STEP)
    check_std(held(tile)[stepped], 0.5 * STEP)


@pytest.mark.parametrize(("states", "beta"), [(2, 0.0), (5, 0.3), (5, -0.3)])
def test_what_a_pulse_adds_is_spread_like_a_step(states, beta):
    device = rs.HiddenStepDevice(
        hs_hidden_states=states, hs_dw_min_dtod=0.1, hs_up_down=beta, hs_up_down_dtod=0.05
    )
    planes = tile_of(device, (200, 200)).get_hidden_parameters()
    up, down = (planes[f"hs_scale_{way}"].astype(np.float64).ravel() for way in ("up", "down"))
    spread = np.hypot(0.1, 0.05)
    check_mean(up, 1.0 + min(beta, 0.0), spread)
    check_mean(down, 1.0 - max(beta, 0.0), spread)
    check_std(up, spread)
    check_std(up - down, 0.1)
    plain = tile_of(rs.ConstantStepDevice(), (200, 200)).get_hidden_parameters()
    assert np.allclose(planes["dwmin_up"], states * plain["dwmin_up"], rtol=2e-7, atol=0.0)
    assert not planes["hidden_weights"].any()
