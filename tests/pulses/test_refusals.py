"""What no pulse can do is refused, with the place, what was wrong, and nothing changed."""

import numpy as np
import pytest

import rpusim as rs
from tests.pulses.repeats import D, X, moved, plain_tile

KINDS = [
    "STOCHASTIC_COMPRESSED",
    "MEAN_COUNT",
    "DETERMINISTIC_IMPLICIT",
    "NONE",
    "NONE_WITH_DEVICE",
]
UNMANAGED = dict(update_management=False, update_bl_management=False)


def refuse(tile, error, message, *args, **kwargs):
    """Check that an update raises and leaves the tile as it was."""
    before = tile.state_dict()
    with pytest.raises(error, match=message):
        tile.update(*args, **kwargs)
    after = tile.state_dict()
    for name in before:
        assert np.array_equal(before[name], after[name]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_must_be_finite(kind, value):
    x, d = np.tile(X, (5, 1)), np.tile(D, (5, 1))
    tile = plain_tile(pulse_type=kind)
    bad_x, bad_d = x.copy(), d.copy()
    bad_x[3, 1] = bad_d[2, 0] = value
    refuse(tile, rs.DataError, "x must be finite, got NaN or infinity in row 3", bad_x, d, 0.1)
    refuse(tile, rs.DataError, "d must be finite, got NaN or infinity in row 2", x, bad_d, 0.1)


@pytest.mark.parametrize("kind", [rs.IdealDevice, rs.FloatingPointDevice])
def test_vectors_for_numbers_must_be_finite_too(kind):
    tile = rs.AnalogTile(2, 4, kind(), rng=1)
    refuse(tile, rs.DataError, "x must be finite", [np.full(4, np.nan)], [D], 0.1)
    refuse(tile, rs.DataError, "d must be finite", [X], [np.full(2, np.inf)], 0.1)


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, True, "0.1", None, [0.1]])
def test_a_learning_rate_is_a_number_from_zero_on(rate):
    refuse(plain_tile(), rs.DataError, "learning_rate must be a number >= 0", [X], [D], rate)


def test_a_train_cannot_be_endless():
    tile = plain_tile(fixed_bl=False, **UNMANAGED)
    message = r"learning rate 1000 needs trains of 1000000 slots, the longest is 65536"
    refuse(tile, rs.StateError, message, [X], [D], 1000.0)
    tile.update([X], [D], 1.0)
    assert tile.stats.last_update.mean_length == 1000.0


def test_a_fixed_train_saturates_instead():
    tile = plain_tile(**UNMANAGED)
    tile.update([X], [D], 1000.0)
    assert np.allclose(np.abs(moved(tile)), [[31, 31, 31, 0]] * 2, rtol=0.0, atol=1e-3)
    report = tile.stats.last_update
    assert (report.mean_length, report.saturated_fraction) == (31.0, 1.0)


def test_as_many_errors_as_inputs():
    message = "x and d must hold as many vectors, got 2 and 3"
    refuse(plain_tile(), rs.ShapeError, message, np.ones((2, 4)), np.ones((3, 2)), 0.1)


@pytest.mark.parametrize(
    ("x", "d", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 2)), r"x must have shape \(\.\.\., 4\), got \(2, 3\)"),
        (np.ones((2, 4)), np.ones((2, 4)), r"d must have shape \(\.\.\., 2\), got \(2, 4\)"),
        (1.0, np.ones((1, 2)), r"x must have shape \(\.\.\., 4\), got \(\)"),
    ],
)
def test_vectors_must_fit_the_tile(x, d, message):
    refuse(plain_tile(), rs.ShapeError, message, x, d, 0.1)


@pytest.mark.parametrize("x", [np.ones((1, 4)) * 1j, [["a", "b", "c", "d"]], [[None] * 4]])
def test_vectors_are_real_numbers(x):
    refuse(plain_tile(), rs.DataError, "x must hold real numbers", x, [D], 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(desired_bl=0), r"desired_bl must be in 1\.\.65536, got 0"),
        (dict(res=-0.1), r"res must be >= 0"),
        (dict(um_grad_scale=0.0), r"um_grad_scale must be > 0, got 0\.0"),
        (dict(x_res_implicit=0.1), "x_res_implicit is used by pulse_type DETERMINISTIC_IMPLICIT"),
        (dict(pulse_type="DETERMINISTIC_IMPLICIT", res=0.1), "use x_res_implicit and d_res_imp"),
        (dict(pulse_type="STOCHASTIK"), "pulse_type must be one of .* did you mean 'STOCHASTIC'"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(rs.ConfigError, match=message):
        rs.UpdateParameters(**settings)
