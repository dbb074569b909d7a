"""Drift is a power of the time since each device was written, for conductances and for weights."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import FEATURES, flat, held, seen, tile_of
from tests.naive import fabrication as law
from tests.naive.tolerance import check_mean, check_std, rounding

SHAPE = (200, 200)


def drifting(start=0.5, shape=(2, 3), device=None, **drift):
    """Return equal devices with bounds at +-1 that drift."""
    device = flat(rs.ConstantStepDevice, w_max=1.0, w_min=-1.0, **(device or {}), drift=drift)
    return tile_of(device, shape, start, rng=10)


def test_drift_is_a_power_of_the_sum_of_times():
    tile = drifting(nu=0.1)
    for delta, total in ((1.0, 1.0), (1.0, 2.0), (2.0, 4.0), (6.0, 10.0), (990.0, 1000.0)):
        tile.drift_weights(delta)
        assert np.abs(held(tile) - 0.5 * total**-0.1).max() <= rounding(1, 0.5)


@pytest.mark.parametrize("kind", list(dict(FEATURES.values())), ids=lambda kind: kind.__name__)
def test_every_device_drifts(kind):
    device = flat(kind, w_max=1.0, w_min=-1.0, dw_min=0.01, drift=dict(nu=0.1))
    tile = tile_of(device, (2, 3), 0.5, rng=10)
    tile.drift_weights(100.0)
    assert np.abs(seen(tile) - 0.5 * 100.0**-0.1).max() <= rounding(1, 0.5)


def test_drift_starts_after_t_0_and_counts_in_units_of_it():
    tile = drifting(nu=0.1, t_0=20.0)
    tile.drift_weights(15.0)
    assert (held(tile) == 0.5).all()
    tile.drift_weights(45.0)
    assert np.abs(held(tile) - 0.5 * 3.0**-0.1).max() <= rounding(1, 0.5)


def test_negative_weights_shrink_too():
    tile = drifting(start=-0.5, nu=0.1)
    tile.drift_weights(100.0)
    assert np.abs(held(tile) + 0.5 * 100.0**-0.1).max() <= rounding(1, 0.5)


def test_exponents_that_vary_over_devices_give_the_log_normal_law():
    tile = drifting(shape=SHAPE, nu=0.06, nu_dtod=0.3)
    tile.drift_weights(1e6)
    mean, std = law.drifted_law(0.06, 0.3, np.log(1e6))
    shrink = held(tile) / 0.5
    check_mean(shrink, mean, std)
    s = 0.06 * 0.3 * np.log(1e6)
    e = np.exp(s**2)
    check_std(shrink, std, kurtosis=e**4 + 2.0 * e**3 + 3.0 * e**2 - 3.0)


def test_exponents_that_vary_over_calls_are_drawn_anew():
    tile = drifting(shape=SHAPE, nu=0.06, nu_std=0.3)
    logs = []
    for delta in (1e6, 0.0):
        tile.drift_weights(delta)
        logs.append(np.log(held(tile) / 0.5))
        check_mean(logs[-1], -0.06 * np.log(1e6), 0.018 * np.log(1e6))
        check_std(logs[-1], 0.018 * np.log(1e6))
    assert not np.array_equal(*logs)


def test_a_conductance_with_offsets_drifts_not_the_weight():
    ratio, g_offset, w_offset = 0.5, 3.0, 0.1
    tile = drifting(nu=0.1, wg_ratio=ratio, g_offset=g_offset, w_offset=w_offset)
    tile.drift_weights(2.0)
    conductance = ((0.5 - w_offset) / ratio + g_offset) * 2.0**-0.1
    expected = (conductance - g_offset) * ratio + w_offset
    assert np.abs(held(tile) - expected).max() <= rounding(1, 2.0)


def test_the_exponent_may_fall_with_the_conductance():
    offset = dict(g_offset=2.0, nu_k=0.05, log_g0=0.5)
    tile = drifting(nu=0.1, **offset)
    tile.drift_weights(1.5)
    nu = 0.1 - 0.05 * (np.log(0.5 + 2.0) - 0.5)
    expected = (0.5 + 2.0) * 1.5**-nu - 2.0
    assert np.abs(held(tile) - expected).max() <= rounding(2, 2.5)


def test_a_conductance_that_is_not_positive_is_refused():
    tile = drifting(start=-0.5, nu=0.1, nu_k=0.05, g_offset=0.2)
    with pytest.raises(rs.StateError, match="nu_k needs positive conductances"):
        tile.drift_weights(10.0)
    assert (held(tile) == -0.5).all()
    assert tile.crossbar.clock == 0.0


def test_noise_on_top_does_not_add_up():
    tile = drifting(shape=SHAPE, nu=0.1, w_noise_std=0.01)
    for _ in range(4):
        tile.drift_weights(25.0)
    check_mean(held(tile), 0.5 * 100.0**-0.1, 0.01)
    check_std(held(tile), 0.01)


def test_drift_stays_within_bounds():
    tile = drifting(start=0.99, shape=SHAPE, nu=0.1, w_noise_std=0.1)
    tile.drift_weights(1.0)
    assert (held(tile) <= 1.0).all()


def test_a_written_device_starts_again_and_the_others_go_on():
    tile = drifting(nu=0.1, device=dict(dw_min_std=0.0, dw_min=0.125))
    tile.drift_weights(10.0)
    before = held(tile).reshape(2, 3)
    tile.update([[-1.0, 0.0, -1.0]], [[1.0, 1.0]], learning_rate=1.0)
    tile.drift_weights(10.0)
    now = held(tile).reshape(2, 3)
    assert np.abs(now[:, ::2] - (before[:, ::2] + 0.125) * 10.0**-0.1).max() <= rounding(2, 0.6)
    assert np.abs(now[:, 1] - 0.5 * 20.0**-0.1).max() <= rounding(1, 0.5)


def test_setting_weights_starts_all_devices_again():
    tile = drifting(nu=0.1)
    tile.drift_weights(10.0)
    tile.set_weights(np.full((2, 3), 0.5))
    tile.drift_weights(0.5)
    assert (held(tile) == 0.5).all()
    tile.drift_weights(1.5)
    assert np.abs(held(tile) - 0.5 * 2.0**-0.1).max() <= rounding(1, 0.5)


def test_decay_does_not_restart_the_drift():
    tile = drifting(nu=0.1, device=dict(lifetime=10.0))
    tile.drift_weights(10.0)
    tile.post_update_step()
    tile.drift_weights(90.0)
    assert np.abs(held(tile) - 0.5 * 0.9 * 100.0**-0.1).max() <= rounding(3, 0.5)


def test_write_noise_rides_on_what_drifted():
    device = flat(rs.SoftBoundsDevice, dw_min=0.01, write_noise_std=1.0, drift=dict(nu=0.1))
    tile = tile_of(device, SHAPE, 0.5, rng=3)
    tile.drift_weights(100.0)
    assert np.abs(held(tile) - 0.5 * 100.0**-0.1).max() <= rounding(1, 0.5)
    check_std(seen(tile) - held(tile), 0.01)


def test_without_an_exponent_nothing_happens():
    tile = tile_of(rs.ConstantStepDevice(), (2, 3), rng=1)
    before = seen(tile)
    tile.drift_weights(1e6)
    assert np.array_equal(seen(tile), before)


@pytest.mark.parametrize("delta", [-1.0, np.nan, np.inf])
def test_time_runs_forward(delta):
    with pytest.raises(rs.DataError, match="delta_t must be a time >= 0"):
        drifting(nu=0.1).drift_weights(delta)


def test_a_number_drifts_as_a_device_does():
    tile = rs.AnalogTile(2, 3, rs.FloatingPointDevice(drift=dict(nu=0.1, t_0=2.0)), rng=1)
    tile.set_weights(np.full((2, 3), 0.5))
    tile.drift_weights(20.0)
    tile.drift_weights(180.0)
    assert np.abs(tile.get_weights()[0] - 0.5 * 100.0**-0.1).max() <= rounding(1, 0.5)


# ---------------------------------------------------------------- figures of the reference


@pytest.mark.parametrize("kind", ["number", "device"])
def test_the_reference_runs_through_the_same_weights(kind):
    """The reference (aihwkit 1.1.0), to seven decimals: nu 0.1, t_0 2, from 0.1."""
    drift = dict(nu=0.1, t_0=2.0)
    if kind == "number":
        tile = rs.AnalogTile(2, 3, rs.FloatingPointDevice(drift=drift), rng=1)
        tile.set_weights(np.full((2, 3), 0.1))
    else:
        tile = drifting(start=0.1, **drift)
    for delta, weight in ((1, 0.1), (1, 0.1), (2, 0.0933033), (4, 0.0870551)):
        tile.drift_weights(delta)
        assert np.abs(tile.get_weights()[0] - weight).max() <= 0.5e-7 + rounding(1, 0.1)


def test_a_conductance_of_zero_does_not_move():
    """The reference has the sign of w_offset wrong: it takes such a weight from 0.25 to 0.0947."""
    tile = drifting(start=0.25, nu=0.08, w_offset=0.25)
    tile.drift_weights(100.0)
    assert (held(tile) == 0.25).all()
    above = drifting(start=0.5, nu=0.08, w_offset=0.25)
    above.drift_weights(100.0)
    assert np.abs(held(above) - (0.25 + 0.25 * 100.0**-0.08)).max() <= rounding(1, 0.5)


def test_a_weight_without_conductance_does_not_jump_to_its_bound():
    """The reference takes the logarithm of a negative number: -0.3 became +0.6."""
    tile = drifting(start=-0.3, nu=0.1, nu_k=0.1)
    with pytest.raises(rs.StateError, match="choose g_offset and w_offset so that"):
        tile.drift_weights(100.0)
    assert (held(tile) == np.float32(-0.3)).all()
    shifted = drifting(start=-0.3, nu=0.1, nu_k=0.1, g_offset=1.0)
    shifted.drift_weights(1.0)
    shifted.drift_weights(1.0)
    exponent = 0.1 - 0.1 * np.log(0.7)
    expected = 0.7 * 2.0**-exponent - 1.0
    assert np.abs(held(shifted) - expected).max() <= rounding(2, 1.0)


def test_the_logarithm_of_the_conductance_is_natural():
    tile = drifting(start=0.5, nu=0.1, nu_k=1.0, g_offset=np.e - 0.5, log_g0=1.0)
    tile.drift_weights(100.0)  # ln e = 1: the exponent is nu
    assert np.abs(held(tile) - (np.e * 100.0**-0.1 - np.e + 0.5)).max() <= rounding(2, np.e)


def test_exponents_are_hidden_parameters_that_can_be_set():
    tile = drifting(nu=0.1, nu_dtod=0.3, shape=SHAPE)
    nu = tile.get_hidden_parameters()["drift_nu"]
    check_mean(nu.ravel(), 0.1, 0.03)
    check_std(nu.ravel(), 0.03)
    tile.set_hidden_parameters({"drift_nu": np.full(SHAPE, 0.2)})
    tile.drift_weights(10.0)
    assert np.abs(held(tile) - 0.5 * 10.0**-0.2).max() <= rounding(1, 0.5)


def test_a_change_below_reset_tol_is_a_write():
    """The reference guesses writes from changes of weights: a small one is none."""
    tile = drifting(nu=0.1, device=dict(dw_min=1e-6), reset_tol=1e-3)
    tile.drift_weights(10.0)
    before = held(tile).copy()
    tile.update([[-1.0, -1.0, -1.0]], [[1.0, 1.0]], learning_rate=1e-5)
    written = held(tile).copy()
    assert 0.0 < np.abs(written - before).max() < 1e-4
    tile.drift_weights(10.0)
    assert np.abs(held(tile) - written * 10.0**-0.1).max() <= rounding(2, 0.6)


@pytest.mark.parametrize(
    ("compound", "reduce"),
    [
        (rs.VectorUnitCell, lambda parts: parts.mean(axis=0)),
        (rs.ReferenceUnitCell, lambda parts: parts[0] - parts[1]),
    ],
    ids=["mean", "difference"],
)
def test_every_device_of_a_compound_drifts_by_itself(compound, reduce):
    wide = dict(w_max=1.0, w_min=-1.0)
    devices = [flat(rs.ConstantStepDevice, drift=dict(nu=nu), **wide) for nu in (0.1, 0.3)]
    tile = rs.AnalogTile(2, 3, compound(unit_cell_devices=devices), rng=1)
    tile.set_hidden_parameters(
        {"hidden_weights_0": np.full((2, 3), 0.5), "hidden_weights_1": np.full((2, 3), -0.25)}
    )
    start = tile.get_weights()[0].copy()
    tile.drift_weights(100.0)
    found = tile.get_hidden_parameters()
    parts = np.array([found["hidden_weights_0"], found["hidden_weights_1"]])
    expected = np.array([0.5 * 100.0**-0.1, -0.25 * 100.0**-0.3])[:, None, None]
    assert np.abs(parts - expected).max() <= rounding(1, 0.5)
    scale = start[0, 0] / reduce(np.array([0.5, -0.25]))
    assert np.abs(tile.get_weights()[0] - scale * reduce(parts)).max() <= rounding(4, 1.0)


def test_it_does_not_matter_how_a_time_is_split_if_the_exponent_depends_on_the_state():
    found = []
    for calls in (1, 2, 100):
        tile = drifting(start=0.5, nu=0.1, nu_k=0.05, g_offset=1.0)
        for _ in range(calls):
            tile.drift_weights(100.0 / calls)
        found.append(tile.get_weights()[0])
    nu = 0.1 - 0.05 * np.log(1.5)
    np.testing.assert_allclose(found[0], 1.5 * 100.0**-nu - 1.0, rtol=1e-5)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)
