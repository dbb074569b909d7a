"""Mixed precision: a digital accumulator, and whole steps sent to the devices."""

from math import comb

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, StateError
from rpusim.tiles.compounds import MixedPrecisionCompound, ReferenceUnitCell, VectorUnitCell
from tests.backends import OTHERS
from tests.compounds.cells import (
    EXACTLY,
    check_continues,
    check_threads_of_large_tile,
    ideal,
    random_steps,
    same_state,
    tile_of,
)
from tests.naive import mixed_precision as naive

STOCHASTIC = rs.UpdateParameters()
SPREAD = rs.SoftBoundsDevice(dw_min=0.01)


def mixed(step=0.01, **fields):
    return MixedPrecisionCompound(ideal(step), **fields)


def chi_of(tile):
    return tile.get_hidden_parameters()["hidden_weights_chi"]


def set_chi(tile, values):
    tile.set_hidden_parameters({"hidden_weights_chi": np.broadcast_to(values, tile_shape(tile))})


def tile_shape(tile):
    return tile.out_size, tile.in_size


def transfer(tile):
    """Learn from a pair that adds nothing to chi."""
    tile.update(np.zeros(tile.in_size), np.zeros(tile.out_size), learning_rate=1.0)


def batches_of(sizes, shape, seed=0):
    """Return batches of pairs (x, d) in single precision."""
    rng, (rows, cols) = np.random.default_rng(seed), shape
    return [
        (
            rng.normal(size=(size, cols)).astype(np.float32),
            rng.normal(size=(size, rows)).astype(np.float32),
        )
        for size in sizes
    ]


def learn_both(tile, batches, rate, **options):
    """Let a tile and the naive loops learn; return (w, chi, sum) of the loops."""
    for x, d in batches:
        tile.update(x, d, learning_rate=rate)
    pairs = [[(x.tolist(), d.tolist()) for x, d in zip(*batch, strict=True)] for batch in batches]
    start = np.zeros(tile_shape(tile)).tolist()
    return (np.array(a) for a in naive.learn(start, pairs, rate, **options))


# ---------------------------------------------------------------- oracles


def test_smaller_entries_of_a_row_get_binomial_numbers_of_pulses():
    rows, step = 4000, 0.01
    tile = tile_of(mixed(step), (rows, 3), update=STOCHASTIC)
    set_chi(tile, [0.035, 0.012, -0.028])
    transfer(tile)
    pulses = -tile.get_weights()[0] / step
    np.testing.assert_allclose(pulses[:, 0], 3.0, rtol=1e-5)
    np.testing.assert_allclose(chi_of(tile), np.tile([0.005, 0.002, -0.008], (rows, 1)), atol=1e-8)
    for column, p, sign in ((1, 1 / 3, 1), (2, 2 / 3, -1)):
        counts = np.rint(sign * pulses[:, column])
        assert abs(counts.mean() - 3 * p) < 5 * np.sqrt(3 * p * (1 - p) / rows)
        for k in range(4):
            share = comb(3, k) * p**k * (1 - p) ** (3 - k)
            assert abs((counts == k).mean() - share) < 5 * np.sqrt(share * (1 - share) / rows)


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({}, [4] * 12),
        ({"transfer_every": 3}, [2] * 20),
        ({"transfer_every": 2}, [4, 3, 5, 1, 6, 4, 2, 3] * 3),
        ({"n_rows_per_transfer": 2}, [3] * 15),
        ({"n_rows_per_transfer": 9, "transfer_every": 2}, [1] * 15),
        ({"transfer_lr": 0.5}, [4] * 12),
        ({"granularity": 0.04}, [4] * 12),
        ({"transfer_every": 0}, [4] * 3),
        ({"n_rows_per_transfer": 0}, [4] * 3),
    ],
)
def test_weights_and_chi_follow_the_naive_loops(fields, sizes):
    # pulses that are certain must be whole: half a step is one pulse of half the size
    share = fields.get("transfer_lr", 1.0)
    tile = tile_of(mixed(0.01 * share, **{"granularity": 0.01, **fields}), (5, 4))
    batches = batches_of(sizes, (5, 4))
    w, chi, total = learn_both(
        tile,
        batches,
        0.02,
        epsilon=fields.get("granularity", 0.01),
        every=fields.get("transfer_every", 1),
        rows=fields.get("n_rows_per_transfer", -1),
        share=share,
    )
    np.testing.assert_allclose(chi_of(tile), chi, atol=2e-6)
    np.testing.assert_allclose(tile.get_weights()[0], w, atol=2e-6)
    np.testing.assert_allclose(tile.get_weights()[0] - chi_of(tile), -total, atol=2e-6)


def test_what_leaves_chi_is_what_the_weights_are_sent_on_average():
    shape, step = (60, 50), 0.002
    tile = tile_of(mixed(step), shape, update=STOCHASTIC)
    batches = batches_of([5] * 10, shape)
    for x, d in batches:
        tile.update(x, d, learning_rate=5e-4)
        assert (np.abs(chi_of(tile)) < step).all()
    total = 5e-4 * sum(d.T.astype(float) @ x for x, d in batches)
    error = tile.get_weights()[0] + total - chi_of(tile)
    assert tile.stats.pulses > 1000
    # binomials of n pulses in all have at most the variance of n pulses of a step
    assert abs((error * np.sign(total)).sum()) < 5 * step * np.sqrt(tile.stats.pulses)
    assert error.std() > 0.1 * step


@pytest.mark.parametrize("bins", [(0, 0), (7, 0), (0, 6), (7, 6)])
def test_either_side_is_quantised_by_itself(bins):
    fields = dict(n_x_bins=bins[0], n_d_bins=bins[1], stoc_round_x=False, stoc_round_d=False)
    tile = tile_of(mixed(**fields, n_rows_per_transfer=0), (3, 5))
    _, chi, _ = learn_both(tile, batches_of([4, 3], (3, 5)), 0.1, epsilon=0.01, rows=0, bins=bins)
    assert np.abs(chi).min() > 0.0 or bins != (0, 0)
    np.testing.assert_allclose(chi_of(tile), chi, atol=1e-6)


@pytest.mark.parametrize("side", ["x", "d"])
def test_stochastic_rounding_keeps_the_mean(side):
    fields = {f"n_{side}_bins": 5}
    tile = tile_of(mixed(n_rows_per_transfer=0, **fields), (4, 4))
    values, samples = np.array([1.0, 0.31, -0.77, 0.05]), 4000
    one = np.zeros((samples, 4))
    one[:, 1] = 1.0
    pair = (np.tile(values, (samples, 1)), one)
    tile.update(*(pair if side == "x" else pair[::-1]), learning_rate=1.0 / samples)
    chi = chi_of(tile)[1] if side == "x" else chi_of(tile)[:, 1]
    width = 0.5
    part = np.abs(values) / width % 1.0
    sigma = width * np.sqrt(part * (1 - part) / samples)
    assert (np.abs(chi - values) <= 5 * sigma + 1e-4).all()
    assert len(np.unique(np.rint(chi / width * samples))) == 4


def test_inputs_and_errors_round_independently():
    """Else the mean of the product of two equal values would hold the variance of the rounding."""
    tile = tile_of(mixed(n_rows_per_transfer=0, n_x_bins=4, n_d_bins=4), (2, 2))
    samples = 4000
    values = np.tile([1.0, 0.25], (samples, 1))
    tile.update(values, values, learning_rate=1.0 / samples)
    # each factor is 0 or 0.5, with equal probability: their product has a variance of 3 / 256
    assert abs(chi_of(tile)[1, 1] - 0.0625) < 5 * np.sqrt(3 / 256 / samples)


# ---------------------------------------------------------------- schedule


def test_the_transfer_comes_after_the_last_sample_of_a_batch():
    tile = tile_of(mixed(0.01))
    tile.update(np.ones(3), np.full(2, 0.02), learning_rate=1.0)
    np.testing.assert_allclose(tile.get_weights()[0], -0.02, atol=1e-7)
    tile = tile_of(mixed(0.01, transfer_every=2))
    for expected in (0.0, -0.03, -0.03, -0.06):
        tile.update(np.ones((5, 3)), np.full((5, 2), 0.0031), learning_rate=1.0)
        np.testing.assert_allclose(tile.get_weights()[0], expected, atol=1e-7)


def test_a_batch_of_another_size_may_be_cut_by_a_transfer():
    tile = tile_of(mixed(0.01))
    tile.update(np.ones(3), np.full(2, 0.02), learning_rate=1.0)
    tile.update(np.ones((5, 3)), np.full((5, 2), 0.004), learning_rate=1.0)  # after 4 of these
    np.testing.assert_allclose(tile.get_weights()[0], -0.03, atol=1e-7)
    np.testing.assert_allclose(chi_of(tile), 0.01, atol=1e-7)


def test_rows_take_turns():
    tile = tile_of(mixed(0.01, n_rows_per_transfer=2), (5, 3))
    set_chi(tile, 0.01)
    seen = []
    for _ in range(3):
        before = chi_of(tile)
        transfer(tile)
        seen.append(np.flatnonzero((chi_of(tile) != before).any(axis=1)).tolist())
    assert seen == [[0, 1], [2, 3], [4]]
    assert tile.stats.transfers == 5


def test_a_random_start_is_uniform_over_the_rows():
    tile = tile_of(mixed(0.01, n_rows_per_transfer=1, random_row=True), (5, 1))
    starts = np.zeros(5)
    for _ in range(500):
        set_chi(tile, 0.01)
        transfer(tile)
        starts += (np.abs(chi_of(tile)) < 0.005)[:, 0]
    assert starts.sum() == 500
    assert (np.abs(starts - 100) < 5 * np.sqrt(500 * 0.2 * 0.8)).all()


# ---------------------------------------------------------------- nothing is lost


def test_what_a_train_cannot_bring_waits_in_chi():
    tile = tile_of(mixed(0.01), update=STOCHASTIC)
    set_chi(tile, [0.505, 0.1, -0.505])
    transfer(tile)
    w = tile.get_weights()[0]
    np.testing.assert_allclose(w[:, [0, 2]], [[-0.31, 0.31]] * 2, atol=1e-6)
    np.testing.assert_allclose(chi_of(tile), [[0.195, 0.0, -0.195]] * 2, atol=1e-6)
    transfer(tile)
    np.testing.assert_allclose(tile.get_weights()[0][:, 0], -0.5, atol=1e-6)
    np.testing.assert_allclose(chi_of(tile)[:, 0], 0.005, atol=1e-6)


@pytest.mark.parametrize("update", [EXACTLY.replace(desired_bl=5), STOCHASTIC])
def test_a_step_longer_than_a_train_is_sent_by_several(update):
    tile = tile_of(mixed(0.01, granularity=0.5), update=update)
    set_chi(tile, [0.6, -0.7, 0.3])
    transfer(tile)
    np.testing.assert_allclose(tile.get_weights()[0], [[-0.5, 0.5, 0.0]] * 2, atol=1e-6)
    np.testing.assert_allclose(chi_of(tile), [[0.1, -0.2, 0.3]] * 2, atol=1e-6)


def test_managements_of_the_tile_do_not_change_the_transfer():
    plain = rs.UpdateParameters(
        update_management=False, update_bl_management=False, um_grad_scale=0.1, desired_bl=20
    )
    tile = tile_of(mixed(0.01), update=plain)
    set_chi(tile, 0.012)
    transfer(tile)
    np.testing.assert_allclose(tile.get_weights()[0], -0.01, atol=1e-7)
    assert tile.stats.pulses == 6


@pytest.mark.parametrize("kind", ["NONE", "NONE_WITH_DEVICE", "MEAN_FIELD"])
def test_without_pulses_any_number_of_steps_is_sent(kind):
    tile = tile_of(mixed(0.01), update=rs.UpdateParameters(pulse_type=kind, desired_bl=1))
    set_chi(tile, 0.555)
    transfer(tile)
    np.testing.assert_allclose(tile.get_weights()[0], -0.55, atol=1e-6)
    np.testing.assert_allclose(chi_of(tile), 0.005, atol=1e-6)


def test_half_a_transfer_takes_half_out_of_chi():
    tile = tile_of(mixed(0.01, transfer_lr=0.5), update=EXACTLY)
    set_chi(tile, 0.087)
    transfer(tile)
    np.testing.assert_allclose(tile.get_weights()[0], -0.04, atol=1e-6)
    np.testing.assert_allclose(chi_of(tile), 0.047, atol=1e-6)


# ---------------------------------------------------------------- weights, state, bits


def test_chi_does_not_decay_and_is_forgotten_when_weights_are_set():
    tile = tile_of(MixedPrecisionCompound(ideal(0.01, lifetime=10.0, reset_std=0.0)), weights=0.5)
    set_chi(tile, 0.003)
    tile.post_update_step()
    np.testing.assert_allclose(tile.get_weights()[0], 0.45, atol=1e-6)
    tile.reset_columns(0, 1)
    np.testing.assert_allclose(chi_of(tile), 0.003)
    np.testing.assert_array_equal(tile.get_weights()[0][:, 0], 0.0)
    assert tile.set_weights(np.full((2, 3), 0.2)) == 0
    np.testing.assert_array_equal(chi_of(tile), 0.0)


def test_write_noise_does_not_count_as_clipped():
    tile = tile_of(MixedPrecisionCompound(rs.SoftBoundsReferenceDevice(write_noise_std=10.0)))
    assert tile.set_weights(np.full((2, 3), 0.1)) == 0
    assert not np.array_equal(tile.get_weights()[0], np.full((2, 3), np.float32(0.1)))


def test_hidden_parameters_bear_the_names_of_the_device():
    tile = tile_of(MixedPrecisionCompound(SPREAD))
    plain = rs.AnalogTile(2, 3, SPREAD)
    names = [*plain.get_hidden_parameters(), "hidden_weights_chi"]
    assert list(tile.get_hidden_parameters()) == names
    before = tile.get_hidden_parameters()
    chi, steps = np.full((2, 3), 0.004), np.full((2, 3), 0.02)
    tile.set_hidden_parameters({"hidden_weights_chi": chi, "dwmin_up": steps})
    hidden = tile.get_hidden_parameters()
    np.testing.assert_array_equal(hidden["hidden_weights_chi"], chi.astype(np.float32))
    np.testing.assert_array_equal(hidden["dwmin_up"], steps.astype(np.float32))
    tile.set_hidden_parameters(before)
    for bad in ({"max_bound": np.full((2, 3), -9.0)}, {"hidden_weights_chj": chi}):
        with pytest.raises((DataError, StateError)):
            tile.set_hidden_parameters({"hidden_weights_chi": chi, **bad})
        for name, array in tile.get_hidden_parameters().items():
            np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_an_update_that_is_refused_changes_nothing():
    tile = tile_of(mixed())
    random_steps(tile, 3)
    before = tile.state_dict()
    with pytest.raises(DataError, match="must be finite"):
        tile.update(np.ones(3), np.array([1.0, np.nan]))
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


VARIANTS = [
    MixedPrecisionCompound(SPREAD),
    MixedPrecisionCompound(SPREAD, n_x_bins=7, n_d_bins=5, n_rows_per_transfer=1, random_row=True),
    MixedPrecisionCompound(ReferenceUnitCell([SPREAD]), transfer_every=2, construction_seed=5),
    MixedPrecisionCompound(VectorUnitCell([SPREAD, SPREAD], update_policy="SINGLE_SEQUENTIAL")),
    VectorUnitCell([MixedPrecisionCompound(SPREAD), SPREAD]),
]


@pytest.mark.parametrize("device", VARIANTS)
def test_a_saved_tile_continues_with_the_same_bits(device, tmp_path):
    check_continues(
        lambda: tile_of(device, (4, 3), update=STOCHASTIC), tmp_path / "tile.npz", steps=20
    )


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("device", VARIANTS[:3])
def test_all_backends_give_the_same_bits(device, other):
    tiles = [tile_of(device, (3, 4), update=STOCHASTIC, backend=b) for b in ("cpu", other)]
    for tile in tiles:
        random_steps(tile, 4)
    assert tiles[0].stats.pulses > 0
    same_state(*tiles)


def test_bits_do_not_depend_on_the_number_of_threads():
    device = MixedPrecisionCompound(SPREAD, n_x_bins=15, n_d_bins=15)
    check_threads_of_large_tile(device, STOCHASTIC)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"device": rs.IdealDevice()}, "device must be a pulsed device or a cell, got IdealDevice"),
        ({"n_x_bins": 1}, "n_x_bins must be 0 .off. or >= 2, got 1"),
        ({"transfer_lr": 2.5}, "transfer_lr must be in 0..2, got 2.5"),
        ({"n_rows_per_transfer": -2}, "n_rows_per_transfer must be >= -1, got -2"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        MixedPrecisionCompound(**fields)


def test_it_learns_on_devices_on_which_plain_updates_fail():
    """Asymmetric, noisy devices with 40 states: a regression with 8 inputs and outputs."""
    device = rs.SoftBoundsDevice(dw_min=0.05, up_down=0.3, w_max=1.0, w_min=-1.0)
    rng = np.random.default_rng(3)
    target, errors = rng.uniform(-0.4, 0.4, (8, 8)), []
    for kind in (device, MixedPrecisionCompound(device)):
        tile, late = tile_of(kind, (8, 8), update=STOCHASTIC, rng=3), []
        samples = np.random.default_rng(4)
        for step in range(3000):
            x = samples.normal(size=(1, 8))
            tile.update(x, tile.forward(x) - x @ target.T, learning_rate=0.02)
            if step >= 2000:
                late.append(np.square(tile.get_weights()[0] - target).mean())
        errors.append(np.mean(late))
    assert errors[1] < 0.25 * errors[0]
