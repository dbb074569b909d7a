"""Write noise: what is seen is what is held plus noise, redrawn where a device is written."""

import numpy as np
import pytest
from scipy.stats import norm

import rpusim as rs
from tests.backends import ALL
from tests.devices.pulsed import FEATURES, MANY, flat, held, pulse, seen, tile_of
from tests.naive.tolerance import check_correlation, check_law, check_std

NOISE = 1.5 * 0.01  # write_noise_std times dw_min
KINDS = [kind for kind in dict(FEATURES.values()) if issubclass(kind, rs.WriteNoiseDevice)]


def noisy(kind=rs.SoftBoundsDevice, start=0.2, **settings):
    """Return 40000 equal devices with write noise."""
    settings = {"dw_min": 0.01, "write_noise_std": 1.5, "up_down": 0.3, **settings}
    if kind is rs.SoftBoundsPmaxDevice:  # its asymmetry follows from its range
        del settings["up_down"]
    return tile_of(flat(kind, w_max=1.0, w_min=-1.0, **settings), MANY, start, rng=6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pulse_redraws_the_noise_of_what_it_wrote(kind):
    tile = noisy(kind)
    before = seen(tile) - held(tile)
    pulse(tile, 1)
    after = seen(tile) - held(tile)
    check_std(after, NOISE)
    check_law(after, norm(0.0, NOISE).cdf)
    check_correlation(before, after, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_devices_that_got_no_pulse_keep_what_is_seen(kind):
    tile = noisy(kind)
    before, x = seen(tile), np.zeros((1, MANY[1]))
    x[0, ::3] = 1.0
    tile.update(x, [[1.0]], learning_rate=1.0)
    assert np.array_equal(seen(tile)[x[0] == 0.0], before[x[0] == 0.0])
    assert (seen(tile)[::3] != before[::3]).all()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("shape", [(3, 67), (66, 2)])
@pytest.mark.parametrize("line", ["row", "column"])
@pytest.mark.parametrize("kind", [rs.SoftBoundsDevice, rs.SoftBoundsReferenceDevice])
def test_the_noise_of_a_device_does_not_depend_on_how_many_are_written(kind, line, shape, backend):
    config = rs.RPUConfig(device=kind(dw_min=0.01, write_noise_std=1.5))
    one, all_ = (rs.AnalogTile(*shape, config, rng=4, backend=backend) for _ in range(2))
    x, d = np.ones((1, shape[1])), -np.ones((1, shape[0]))
    all_.update(x, d, learning_rate=0.31)
    here = (1, slice(None)) if line == "row" else (slice(None), 1)
    before, only = one.get_weights()[0], (d if line == "row" else x)
    only[0] = np.where(np.arange(only.size) == 1, only[0], 0.0)
    one.update(x, d, learning_rate=0.31)
    assert np.array_equal(one.get_weights()[0][here], all_.get_weights()[0][here])
    assert (one.get_weights()[0][here] != before[here]).all()


@pytest.mark.parametrize("kind", [rs.SoftBoundsReferenceDevice, rs.PowStepReferenceDevice])
def test_the_noise_is_around_what_is_held_less_the_reference(kind):
    tile = noisy(kind, reference_mean=0.1)
    pulse(tile, 1)
    check_std(seen(tile) - (held(tile) - 0.1), NOISE)
    check_law(seen(tile) - (held(tile) - 0.1), norm(0.0, NOISE).cdf)


@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, rs.HiddenStepDevice])
def test_other_devices_have_no_such_noise(kind):
    with pytest.raises(rs.ConfigError, match="no parameter 'write_noise_std'"):
        kind(write_noise_std=1.0)
    tile = tile_of(kind(), (3, 4), rng=1)
    pulse(tile, 1, 5)
    assert np.array_equal(seen(tile), held(tile))


def test_what_is_held_stays_in_bounds_and_what_is_seen_does_not():
    tile = noisy(start=0.99, dw_min_std=1.0)
    pulse(tile, 1, 20)
    assert (held(tile) <= 1.0).all()
    assert (seen(tile) > 1.0).any()


def test_noise_does_not_add_up_over_pulses():
    tile = noisy(mult_noise=False, dw_min_std=0.0)
    for _ in range(5):
        pulse(tile, 1)
    assert np.ptp(held(tile)) == 0.0
    check_std(seen(tile) - held(tile), NOISE)


def test_setting_weights_draws_the_noise_of_all():
    tile = noisy()
    assert (held(tile) == float(np.float32(0.2))).all()
    check_std(seen(tile) - held(tile), NOISE)


def test_setting_weights_may_leave_the_noise_out():
    tile = noisy(apply_write_noise_on_set=False)
    assert np.array_equal(seen(tile), held(tile))
    pulse(tile, 1)
    check_std(seen(tile) - held(tile), NOISE)


def test_an_exact_update_moves_what_is_held():
    device = flat(rs.SoftBoundsDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, write_noise_std=1.5)
    for kind in ("NONE", "NONE_WITH_DEVICE"):
        config = rs.RPUConfig(device=device, update=dict(pulse_type=kind))
        tile = rs.AnalogTile(1, 3, config, rng=1)
        tile.set_weights([[0.1, 0.2, 0.3]])
        tile.update([[1.0, 2.0, -1.0]], [[1.0]], learning_rate=0.05)
        assert np.allclose(held(tile), [0.05, 0.1, 0.35], rtol=0.0, atol=1e-7), kind


QUIET_OPERATIONS = {
    "decay at its target": (dict(lifetime=10.0, reset=0.2), lambda t: t.post_update_step()),
    "decay without lifetime": ({}, lambda t: t.post_update_step()),
    "drift before t_0": (dict(drift=dict(nu=0.1, t_0=2.0)), lambda t: t.drift_weights(1.0)),
    "drift without exponent": ({}, lambda t: t.drift_weights(1.0)),
    "reset with probability 0": ({}, lambda t: t.reset_columns(prob=0.0)),
    "an unchanged parameter": ({}, lambda t: t.set_hidden_parameters({"max_bound": np.ones(MANY)})),
    "an update at rate 0": ({}, lambda t: t.update(np.ones((1, MANY[1])), [[1.0]], 0.0)),
    "a vector of zeros": ({}, lambda t: t.update(np.zeros((1, MANY[1])), [[1.0]], 1.0)),
}


@pytest.mark.parametrize("name", QUIET_OPERATIONS)
def test_what_moves_no_device_redraws_no_noise(name):
    settings, operate = QUIET_OPERATIONS[name]
    tile = noisy(**settings)
    before = seen(tile)
    operate(tile)
    assert np.array_equal(seen(tile), before)


def test_resetting_a_column_redraws_only_that_column():
    tile = noisy()
    before = seen(tile)
    tile.reset_columns(start=7, count=1)
    assert np.flatnonzero(seen(tile) != before).tolist() == [7]


def test_decay_moves_what_is_held_and_redraws_what_is_seen():
    tile = noisy(lifetime=10.0)
    tile.post_update_step()
    assert np.allclose(held(tile), 0.18, rtol=0.0, atol=1e-7)
    check_std(seen(tile) - held(tile), NOISE)
