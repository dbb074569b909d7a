"""A batch is its samples one after the other: sums, reports, repeats, and what is left alone."""

import numpy as np
import pytest
from scipy.stats import norm

from tests.naive import update as naive
from tests.naive.tolerance import check_correlation, check_law, check_mean, check_variance
from tests.pulses.repeats import (
    STEP,
    D,
    X,
    moved,
    one_update,
    plain_device,
    plain_tile,
    repeated,
)


def batch_moments(x, d, rate, sigma):
    """Return (mean, variance) of a batch in steps: the sums over its samples' binomials."""
    mean = variance = 0.0
    for a, b in zip(x, d, strict=True):
        slots, p_x, p_d = naive.probabilities(a, b, rate, STEP)
        p = np.outer(p_d, p_x)
        mean = mean - np.sign(np.outer(b, a)) * slots * p
        variance = variance + slots * p * (1.0 - p + sigma**2)
    return mean, variance


def test_means_and_variances_add_up_and_a_large_batch_is_gaussian():
    rng, sigma = np.random.default_rng(1), 0.5
    x, d = np.float32(rng.normal(size=(48, 2))), np.float32(rng.normal(size=(48, 2)) * 0.05)
    mean, variance = batch_moments(x.tolist(), d.tolist(), 0.1, sigma)
    device = plain_device(dw_min_std=sigma, w_max=9.0, w_min=-9.0)
    changes = repeated(x, d, rate=0.1, device=device)
    check_mean(changes, mean, np.sqrt(variance), floor=1e-4)
    check_variance(changes, variance)
    for i, j in np.ndindex(2, 2):
        check_law(changes[:, i, j], norm(mean[i, j], np.sqrt(variance[i, j])).cdf)


def test_consecutive_updates_are_independent():
    unmanaged = dict(update_management=False, update_bl_management=False)
    counts = repeated((1.0,), (1.0,), rate=0.004, **unmanaged)[:, 0, 0]
    assert counts.std() > 1.0
    check_correlation(counts[1:], counts[:-1], 0.0)


@pytest.mark.parametrize("kind", ["STOCHASTIC_COMPRESSED", "MEAN_COUNT", "DETERMINISTIC_IMPLICIT"])
def test_a_batch_is_its_samples_in_order(kind):
    rng = np.random.default_rng(2)
    x, d = rng.normal(size=(100, 4)), rng.normal(size=(100, 2))
    device = plain_device(dw_min=2.0**-9, w_max=0.125, w_min=-0.125)
    whole, parts = (plain_tile(x, d, device, pulse_type=kind) for _ in range(2))
    whole.update(x, d, 0.1)
    for cut in (slice(0, 1), slice(1, 40), slice(40, 100)):
        parts.update(x[cut], d[cut], 0.1)
    assert np.array_equal(whole.get_weights()[0], parts.get_weights()[0])
    assert whole.stats.pulses == parts.stats.pulses


def test_any_rank_is_flattened_to_vectors():
    rng = np.random.default_rng(2)
    x, d = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 2))
    tiles = [plain_tile(x, d) for _ in range(3)]
    tiles[0].update(x, d, 0.01)
    tiles[1].update(x.reshape(6, 4), d.reshape(6, 2), 0.01)
    tiles[2].update(np.asfortranarray(x.reshape(6, 4)), d.reshape(6, 2).tolist(), 0.01)
    for tile in tiles[1:]:
        assert np.array_equal(tile.get_weights()[0], tiles[0].get_weights()[0])


def states_equal(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_at_rate_zero_nothing_happens_at_all():
    tile = plain_tile()
    before = tile.state_dict()
    tile.update([X], [D], learning_rate=0.0)
    tile.update(np.empty((0, 4)), np.empty((0, 2)), learning_rate=0.1)
    assert states_equal(tile.state_dict(), before)


@pytest.mark.parametrize(("x", "d"), [(np.zeros(4), D), (X, np.zeros(2))])
@pytest.mark.parametrize("kind", ["STOCHASTIC_COMPRESSED", "MEAN_COUNT", "DETERMINISTIC_IMPLICIT"])
def test_a_vector_of_zeros_moves_nothing_but_counts(x, d, kind):
    change, report = one_update(x, d, pulse_type=kind)
    assert (change == 0.0).all()
    assert (report.vectors, report.silent, report.mean_length) == (1, 1, 0.0)


def test_zero_elements_get_no_pulse():
    tile = plain_tile(device=plain_device(dw_min_std=1.0))
    tile.update([(0.0, 1.0, -0.0, 0.5)] * 20, [(0.0, 0.3)] * 20, 0.01)
    assert (moved(tile)[0] == 0.0).all()
    assert (moved(tile)[1, [0, 2]] == 0.0).all()
    assert (moved(tile)[1, [1, 3]] != 0.0).all()


def test_saturation_is_reported():
    _, calm = one_update(rate=0.1)
    assert (calm.saturated, calm.saturated_fraction) == (0, 0.0)
    _, full = one_update(rate=1.0)
    assert (full.saturated, full.saturated_fraction, full.mean_length) == (1, 1.0, 31.0)
    _, mixed = one_update(np.array([X, X]), np.array([D, np.array(D) / 10]), rate=0.5)
    assert mixed.saturated_fraction == 0.5


@pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")
def test_the_ledger_counts_pulses_that_were_sent():
    tile = plain_tile(device=plain_device(w_max=0.0, w_min=0.0), rng=4)
    reference = plain_tile(rng=4)
    for t in (tile, reference):
        t.update([X] * 3, [D] * 3, 0.05)
    assert (moved(tile) == 0.0).all()
    assert tile.stats.pulses == reference.stats.pulses == np.abs(moved(reference)).round().sum()
    assert tile.stats.vectors_updated == 3


def test_the_same_seed_repeats_and_another_seed_does_not():
    runs = [repeated(repeats=30, rng=rng, device=plain_device(dw_min_std=0.3)) for rng in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_tiles_of_different_seeds_are_independent():
    settings = dict(
        x=(1.0, 0.5), d=(0.2, -0.1), update_management=False, update_bl_management=False
    )
    noisy = plain_device(dw_min_std=0.5)
    first, second = (repeated(rng=rng, rate=0.01, device=noisy, **settings) for rng in (1, 2))
    for place in np.ndindex(2, 2):
        check_correlation(first[(slice(None), *place)], second[(slice(None), *place)], 0.0)


def test_without_pulses_the_update_is_exact_and_bounded():
    rng = np.random.default_rng(3)
    x, d = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    expected = -0.01 * d.T @ x
    for kind in ("NONE", "NONE_WITH_DEVICE"):
        tile = plain_tile(x, d, pulse_type=kind)
        tile.update(x, d, 0.01)
        assert np.allclose(tile.get_weights()[0], expected, rtol=0.0, atol=1e-7)
        assert tile.get_hidden_parameters()["max_bound"].max() == 1.0


def test_exact_updates_are_bounded_after_the_batch_or_after_each_vector():
    ends = {}
    for kind in ("NONE", "NONE_WITH_DEVICE"):
        tile = plain_tile([[1.0]], [[1.0]], pulse_type=kind)
        tile.update([[1.0], [1.0]], [[-1.5], [0.75]], 1.0)
        ends[kind] = float(tile.get_weights()[0][0, 0])
    assert ends == {"NONE": 0.75, "NONE_WITH_DEVICE": 0.25}
