"""Mixed precision with counts: levels, whole steps of counts, nothing truncated."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError
from rpusim.tiles.compounds import IntegerMixedPrecisionCompound
from tests.backends import OTHERS
from tests.compounds.cells import (
    check_continues,
    check_threads_of_large_tile,
    ideal,
    random_steps,
    same_state,
    tile_of,
)
from tests.naive import mixed_precision as naive

STOCHASTIC = rs.UpdateParameters()
EXACT = rs.UpdateParameters(pulse_type="NONE")


def counted(step=0.01, **fields):
    return IntegerMixedPrecisionCompound(ideal(step), **fields)


def chi_of(tile):
    return tile.get_hidden_parameters()["hidden_weights_chi"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n_x_bins": 9, "n_d_bins": 6},
        {"momentum_nm": 0.0},
        {"momentum_chi": 0.5},
        {"granularity": 1e-6},
    ],
)
def test_weights_and_chi_follow_the_naive_loops(fields):
    tile = tile_of(counted(0.01, **fields), (4, 5), update=EXACT)
    rng = np.random.default_rng(2)
    batches = [
        (rng.normal(size=(3, 5)).astype("f4"), rng.normal(size=(3, 4)).astype("f4"))
        for _ in range(15)
    ]
    batches[0][0][0] = 0.0  # the averages begin with the first vector of their own that is not 0
    pairs = [[(x.tolist(), d.tolist()) for x, d in zip(*b, strict=True)] for b in batches]
    w, chi = naive.learn_by_counts(
        np.zeros((4, 5)).tolist(),
        pairs,
        0.004,
        fields.get("granularity", 0.01),
        (fields.get("n_x_bins", 5), fields.get("n_d_bins", 3)),
        fields.get("momentum_nm", 0.9),
        fields.get("momentum_chi", 0.0),
    )
    for x, d in batches:
        tile.update(x, d, learning_rate=0.004)
    np.testing.assert_array_equal(chi_of(tile), chi)
    assert np.abs(w).max() > 0.02
    np.testing.assert_allclose(tile.get_weights()[0], w, atol=1e-6)


@pytest.mark.parametrize("rate", [0.001, 0.013, 0.3, 2.0])
def test_what_is_sent_is_what_counts_are_worth_at_any_rate(rate):
    """Levels that fit the values exactly: an update and what chi still holds are ``rate * d x``."""
    tile = tile_of(counted(0.01, n_x_bins=4, n_d_bins=4), (2, 3), update=EXACT)
    x, d = np.array([1.0, 0.5, -0.5]), np.array([0.1, -0.2])
    for _ in range(3):
        tile.update(x, d, learning_rate=rate)
    worth = rate * 0.5 * 0.1
    rest = chi_of(tile) * worth
    expected = -3 * rate * np.outer(d, x)
    np.testing.assert_allclose(tile.get_weights()[0] - rest, np.clip(expected, -1, 1), rtol=1e-5)
    assert (np.abs(rest) < max(0.01, worth)).all()


def test_pulses_bring_a_change_of_many_steps():
    tile = tile_of(counted(0.01), (2, 1), update=STOCHASTIC)
    tile.update([1.0], [0.9, 0.9], learning_rate=0.1)
    np.testing.assert_allclose(tile.get_weights()[0], -0.09, atol=1e-6)
    np.testing.assert_array_equal(chi_of(tile), 0)


def test_a_count_worth_more_than_a_train_is_sent_by_several():
    short = rs.UpdateParameters(desired_bl=4)
    tile = tile_of(counted(0.01, n_x_bins=3), (2, 1), update=short)
    tile.update([1.0], [1.0, 1.0], learning_rate=0.2)
    np.testing.assert_allclose(tile.get_weights()[0], -0.2, atol=1e-6)


def test_stochastic_levels_keep_the_mean():
    samples, values = 4000, np.array([1.0, 0.31, -0.77, 0.05])
    tile = tile_of(counted(n_rows_per_transfer=0, stoc_round_x=True), (1, 4))
    tile.update(np.tile(values, (samples, 1)), np.ones((samples, 1)))
    part = np.abs(values) * 2 % 1.0
    sigma = 0.5 * np.sqrt(part * (1 - part) / samples)
    assert (np.abs(0.5 * chi_of(tile)[0] / samples - values) <= 5 * sigma + 1e-3).all()


def test_inputs_and_errors_round_independently():
    device = counted(n_rows_per_transfer=0, n_d_bins=5, stoc_round_x=True, stoc_round_d=True)
    tile, samples = tile_of(device, (2, 2)), 4000
    values = np.tile([1.0, 0.25], (samples, 1))
    tile.update(values, values)
    # each level is 0 or 1, with equal probability: their product has a variance of 3 / 16
    assert abs(chi_of(tile)[1, 1] / samples - 0.25) < 5 * np.sqrt(3 / 16 / samples)


def test_there_may_be_more_columns_than_16_bits_count():
    tile = tile_of(counted(0.01), (1, 70000), update=EXACT)
    x = np.zeros(70000)
    x[[0, 40000, 69999]] = 1.0
    tile.update(x, [0.5], learning_rate=0.1)
    np.testing.assert_array_equal(np.flatnonzero(tile.get_weights()[0]), [0, 40000, 69999])


def test_a_momentum_sends_the_same_counts_again():
    tile = tile_of(counted(0.001, momentum_chi=0.5), (1, 1), update=EXACT)
    tile.update([1.0], [0.064], learning_rate=1.0)  # 2 counts of 0.032
    sent = [float(tile.get_weights()[0][0, 0])]
    for _ in range(4):
        tile.update([0.0], [0.0], learning_rate=1.0)
        sent.append(float(tile.get_weights()[0][0, 0]))
    np.testing.assert_allclose(sent, [-0.064, -0.096, -0.096, -0.096, -0.096], atol=1e-6)


def test_chi_is_set_in_whole_counts_of_any_size():
    tile = tile_of(counted(n_rows_per_transfer=0))
    chi = np.full((2, 3), 2**40 + 1)
    tile.set_hidden_parameters({"hidden_weights_chi": chi})
    np.testing.assert_array_equal(chi_of(tile), chi)
    for bad in (0.5, np.nan):
        with pytest.raises(DataError, match="hidden_weights_chi must hold integers"):
            tile.set_hidden_parameters({"hidden_weights_chi": np.full((2, 3), bad)})
    np.testing.assert_array_equal(chi_of(tile), chi)


NOISY = IntegerMixedPrecisionCompound(
    rs.SoftBoundsDevice(dw_min=0.01), stoc_round_x=True, momentum_chi=0.3, transfer_lr=0.8
)


def test_a_saved_tile_continues_with_the_same_bits(tmp_path):
    check_continues(lambda: tile_of(NOISY, (4, 3), update=STOCHASTIC), tmp_path / "tile.npz")


@pytest.mark.parametrize("other", OTHERS)
def test_all_backends_give_the_same_bits(other):
    tiles = [tile_of(NOISY, (3, 4), update=STOCHASTIC, backend=b) for b in ("cpu", other)]
    for tile in tiles:
        random_steps(tile, 4)
    assert tiles[0].stats.pulses > 0
    same_state(*tiles)


def test_bits_do_not_depend_on_the_number_of_threads():
    check_threads_of_large_tile(NOISY, STOCHASTIC)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"n_x_bins": 2}, "n_x_bins must be >= 3, got 2"),
        ({"momentum_chi": 1.0}, "momentum_chi must be < 1, got 1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        IntegerMixedPrecisionCompound(**fields)
