"""Zero shifting: how pulses lead to the symmetry point, and what becomes of it."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, StateError
from rpusim.studies.zero_shift import zero_shift
from rpusim.tiles.compounds import TransferCompound

UP, DOWN, HIGH, LOW, START = 0.01, 0.008, 1.0, -0.8, -0.5
POINT = (UP - DOWN) / (UP / HIGH - DOWN / LOW)
FLAT = dict.fromkeys(("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0)
SOFT = rs.SoftBoundsDevice(dw_min=UP, up_down=1 - DOWN / UP, w_max=HIGH, w_min=LOW, **FLAT)


def started(device=SOFT, shape=(60, 70), start=START):
    tile = rs.AnalogTile(*shape, rs.RPUConfig(device=device), rng=0)
    tile.set_weights(np.full(shape, start))
    return tile


def test_random_pulses_close_in_by_the_mean_of_both_slopes():
    tile = started()
    found = zero_shift(tile, 100, alternating=False, rng=1)
    expected = (1.0 - (UP / HIGH - DOWN / LOW) / 2.0) ** 100 * (START - POINT)
    assert POINT + expected == pytest.approx(-0.11962, abs=1e-5)
    w = found.estimate
    np.testing.assert_array_equal(w.astype(np.float32), tile.get_weights()[0])
    # signs are products of 60 + 70 signs a pulse: rows and columns as blocks give the error
    error = np.hypot(w.mean(axis=0).std() / np.sqrt(70), w.mean(axis=1).std() / np.sqrt(60))
    assert abs(w.mean() - (POINT + expected)) < 5.0 * error
    assert found.pulses == 100
    assert not found.stored


@pytest.mark.parametrize("pairs", [1, 50, 1500])
def test_a_pair_of_alternating_pulses_contracts_exactly(pairs):
    found = zero_shift(started(shape=(2, 3)), 2 * pairs)
    factor = (1.0 - UP / HIGH) * (1.0 + DOWN / LOW)
    # w -> a w + UP, then b w - DOWN
    fixed = ((1.0 + DOWN / LOW) * UP - DOWN) / (1.0 - factor)
    expected = fixed + factor**pairs * (START - fixed)
    np.testing.assert_allclose(found.estimate, expected, atol=2e-6)
    assert abs(fixed - POINT) < UP


def test_the_error_that_is_left_is_of_the_order_of_the_step():
    rest = []
    for scale in (1.0, 0.25):
        device = SOFT.replace(dw_min=UP * scale)
        w = zero_shift(started(device), int(1000 / scale), alternating=False, rng=2).estimate
        rest.append(np.mean((w - POINT) ** 2))
    # stationary variance: step^2 / (2 slope - slope^2) to first order, so proportional to the step
    step = np.mean([UP * (1 - POINT / HIGH), DOWN * (1 - POINT / LOW)])
    variance = step**2 / (UP / HIGH - DOWN / LOW)
    assert rest[0] == pytest.approx(variance, rel=0.2)
    assert rest[0] / rest[1] == pytest.approx(4.0, rel=0.2)


def test_a_device_that_subtracts_its_reference_shows_zero_afterwards():
    device = rs.SoftBoundsReferenceDevice(dw_min=0.005, up_down=0.3)
    tile = started(device, start=0.0)
    found = zero_shift(tile, 4000)
    assert found.stored
    np.testing.assert_allclose(tile.get_weights()[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(tile.get_hidden_parameters()["reference"], found.estimate, atol=1e-6)


def test_the_pair_in_a_compound_shows_zero_and_the_rest_is_left_alone():
    pair = rs.ReferenceUnitCell([SOFT, SOFT])
    tile = started(TransferCompound([pair, SOFT], gamma=0.5), shape=(3, 4), start=0.2)
    found = zero_shift(tile, 3000)
    hidden = tile.get_hidden_parameters()
    np.testing.assert_allclose(hidden["hidden_weights_1_0"], found.estimate, atol=1e-6)
    np.testing.assert_allclose(hidden["hidden_weights_0"], 0.0, atol=1e-6)
    np.testing.assert_allclose(hidden["hidden_weights_1"], 0.2, atol=1e-6)
    np.testing.assert_allclose(tile.get_weights()[0], 0.2, atol=1e-6)


def test_the_same_seed_gives_the_same_estimate():
    one, other = (zero_shift(started(), 50, False, rng=5).estimate for _ in range(2))
    np.testing.assert_array_equal(one, other)
    third = zero_shift(started(), 50, False, rng=6).estimate
    assert (one != third).any()


def test_a_table_is_made_of_it():
    pytest.importorskip("pandas")
    assert list(zero_shift(started(), 2).to_pandas()) == ["estimate"]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda t: zero_shift(t, 0), ConfigError, "n_pulses"),
        (lambda t: zero_shift(t, 5, part=1), ConfigError, "part must be 0 here, got 1"),
        (lambda t: zero_shift(t, 5, store=True), StateError, "SoftBoundsDevice has no reference"),
        (lambda t: zero_shift(None, 5), StateError, "must be one with pulsed devices"),
    ],
)
def test_what_cannot_be_shifted_is_refused(call, error, match):
    tile = started(shape=(2, 2))
    with pytest.raises(error, match=match):
        call(tile)
    np.testing.assert_allclose(tile.get_weights()[0], START)
