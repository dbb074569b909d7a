"""Tiki-Taka: what A gathers, when and how it is carried to the slow crossbars, rates, resets."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError
from rpusim.tiles.compounds import BufferedTransferCompound, TransferCompound
from tests.compounds.cells import ideal, tile_of
from tests.naive.tolerance import check_mean, check_proportion
from tests.naive.transfer import tiki_taka

PERFECT = rs.IOParameters(is_perfect=True)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")


def cell(*devices, **changes):
    """Return a compound with exact reads and writes at absolute rates, periods in vector pairs."""
    settings = dict(
        transfer_forward=PERFECT, transfer_update=EXACT, scale_transfer_lr=False,
        units_in_mbatch=False, fast_lr=0.1, transfer_lr=0.1,
    )  # fmt: skip
    return TransferCompound(devices or (ideal(), ideal()), **{**settings, **changes})


def made(device=None, shape=(2, 3), update=EXACT, **options):
    return tile_of(device or cell(), shape, update, **options)


def part(tile, k):
    return tile.get_hidden_parameters()[f"hidden_weights_{k}"]


def put(tile, k, values):
    tile.set_hidden_parameters(
        {f"hidden_weights_{k}": np.broadcast_to(values, part(tile, k).shape)}
    )


def idle(tile, batch=1, times=1):
    """Let pairs pass that change nothing."""
    for _ in range(times):
        tile.update(np.zeros((batch, tile.in_size)), np.zeros((batch, tile.out_size)), 1.0)


def constant(tile, gradient, times):
    for _ in range(times):
        tile.update(np.ones(tile.in_size), np.full(tile.out_size, gradient), 1.0)


# ---------------------------------------------------------------- the algorithm


def test_c_sums_up_what_a_has_summed_up():
    tile = made(shape=(1, 1))
    constant(tile, 0.01, 20)
    np.testing.assert_allclose(part(tile, 0), -0.1 * 0.01 * 20, rtol=1e-5)
    np.testing.assert_allclose(part(tile, 1), -0.1 * 0.1 * 0.01 * 20 * 21 / 2, rtol=1e-5)


def test_c_sums_up_gradients_where_a_is_reset_after_each_read():
    tile = made(cell(ideal(reset_std=0.0), ideal(), with_reset_prob=1.0), shape=(1, 1))
    constant(tile, 0.01, 20)
    np.testing.assert_array_equal(part(tile, 0), 0.0)
    np.testing.assert_allclose(part(tile, 1), -0.1 * 0.1 * 0.01 * 20, rtol=1e-5)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    ("count", "every", "in_batches", "reads"),
    [(2, 1.0, False, 1), (2, 3.0, False, 2), (2, 0.5, True, 1), (3, 1.0, False, 1),
     (3, 2.0, False, 3), (4, 0.3, True, 9)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 3)])
def test_exact_reads_and_writes_follow_the_algorithm(
    shape, count, every, in_batches, reads, columns
):
    tile = made(
        cell(*[ideal()] * count, transfer_every=every, units_in_mbatch=in_batches,
             n_reads_per_transfer=reads, transfer_columns=columns, gamma=0.5),
        shape,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    sizes = (4, 1, 7, 4, 10)
    batches = [
        (np.float32(rng.normal(size=(m, shape[1]))), np.float32(rng.normal(size=(m, shape[0]))))
        for m in sizes
    ]
    for x, d in batches:
        tile.update(0.2 * x, d, 1.0)
    arrays = [np.zeros(shape).tolist() for _ in range(count)]
    args = (0.1 * 0.2, 0.1, every, in_batches, reads, columns)
    _, carried = tiki_taka(arrays, batches, *args)
    for k in range(count):
        np.testing.assert_allclose(part(tile, k), arrays[k], atol=2e-6)
    visible = sum(0.5 ** (count - 1 - k) * np.array(arrays[k]) for k in range(count))
    np.testing.assert_allclose(tile.get_weights()[0], visible, atol=2e-6)
    assert tile.stats.transfers == carried > 0
    assert tile.stats.vectors_updated == sum(sizes)


def test_a_cell_with_a_reference_is_read_as_the_difference():
    pair = rs.ReferenceUnitCell([ideal()])
    tile = made(cell(pair, pair), shape=(1, 1))
    one = np.ones((1, 1))
    tile.set_hidden_parameters(
        {
            "hidden_weights_0_0": 0.5 * one,
            "hidden_weights_1_0": 0.2 * one,
            "hidden_weights_1_1": one,
        }
    )
    before = tile.get_weights()[0]
    idle(tile)
    np.testing.assert_allclose(tile.get_weights()[0] - before, 0.1 * 0.3, atol=1e-6)
    np.testing.assert_array_equal(tile.get_hidden_parameters()["hidden_weights_1_1"], one)


def test_pulses_carry_what_was_read_on_average():
    n = 400
    device = cell(transfer_update=rs.UpdateParameters(), n_reads_per_transfer=n)
    tile = made(device, shape=(2, n))
    put(tile, 0, [[0.2], [0.1]])
    idle(tile)  # asks for 20 and 10 pulses in 20 slots
    pulses = part(tile, 1) / 1e-3
    np.testing.assert_allclose(pulses[0], 20.0, atol=1e-3)
    check_mean(pulses[1], 10.0, np.sqrt(20 * 0.5 * 0.5))
    assert len(np.unique(np.rint(pulses[1]))) > 3


def test_reads_have_the_noise_of_the_periphery():
    n = 400
    io = rs.IOParameters(out_noise=0.05, out_res=0.0, inp_res=0.0)
    tile = made(cell(transfer_forward=io, n_reads_per_transfer=n), shape=(2, n))
    put(tile, 0, 0.3)
    idle(tile)
    read = (part(tile, 1) / 0.1).ravel()
    check_mean(read, 0.3, 0.05)
    assert np.std(read) == pytest.approx(0.05, rel=5.0 / np.sqrt(2 * read.size))


def test_a_leaks_to_its_symmetry_point_under_random_pulses():
    n = 2000
    device = rs.SoftBoundsDevice(
        dw_min=0.01, dw_min_std=0.0, dw_min_dtod=0.0, up_down_dtod=0.0, w_max=1.0, w_min=-1.0,
        w_max_dtod=0.0, w_min_dtod=0.0,
    )  # fmt: skip
    tile = made(
        cell(device, device, transfer_every=0.0, fast_lr=1.0), (n, 1), rs.UpdateParameters()
    )
    put(tile, 0, 0.5)
    signs = np.random.default_rng(3).choice([-0.01, 0.01], size=(100, n))
    tile.update(np.ones((100, 1)), signs, 1.0)
    std = 0.01 * np.sqrt((1.0 - 0.99**200) / (1.0 - 0.99**2))
    check_mean(part(tile, 0).ravel(), 0.5 * 0.99**100, std)


# ---------------------------------------------------------------- granularity and rates


@pytest.mark.parametrize("steps", [(1e-3, 1e-2), (1e-2, 1e-3), (1e-3, 1e-3)])
def test_pulses_onto_a_count_in_its_own_steps(steps):
    tile = tile_of(cell(*map(ideal, steps), fast_lr=0.0, transfer_every=0.0))
    tile.update(np.ones(3), np.full(2, 0.25), 1.0)
    np.testing.assert_allclose(part(tile, 0), -0.25, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (dict(fast_lr=0.0), 0.2),
        (dict(fast_lr=0.5), 0.5),
        (dict(fast_lr=0.5, scale_fast_lr=True), 0.1),
        (dict(fast_lr=0.0, scale_fast_lr=True), 0.2),
    ],
)
def test_the_rate_of_a_is_absolute_relative_or_the_learning_rate(changes, expected):
    tile = made(cell(transfer_every=0.0, **changes))
    tile.update(np.ones(3), np.full(2, 0.1), 0.2)
    np.testing.assert_allclose(part(tile, 0), -0.1 * expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (dict(transfer_lr=0.5), 0.5),
        (dict(transfer_lr=0.5, scale_transfer_lr=True), 0.1),
        (dict(transfer_lr_vec=[0.3, 7.0]), 0.3),
        (dict(transfer_lr_vec=[0.3, 7.0], scale_transfer_lr=True), 0.06),
    ],
)
def test_the_rate_of_transfers_is_absolute_or_relative(changes, expected):
    tile = made(cell(**changes), shape=(1, 1))
    put(tile, 0, 0.4)
    tile.update(np.zeros(1), np.zeros(1), 0.2)
    np.testing.assert_allclose(part(tile, 1), 0.4 * expected, rtol=1e-6)


def test_without_a_rate_nothing_is_read():
    tile = made(cell(transfer_lr=0.0, with_reset_prob=1.0))
    put(tile, 0, 0.4)
    idle(tile, batch=5)
    assert tile.stats.transfers == 0
    np.testing.assert_allclose(part(tile, 0), 0.4)


# ---------------------------------------------------------------- when, and which slices


def test_columns_are_carried_in_turn_every_other_batch():
    tile = made(cell(transfer_every=2.0, units_in_mbatch=True))
    put(tile, 0, 0.5)
    for batch in range(1, 9):
        idle(tile, batch=2)
        events = batch // 2
        expected = np.bincount(np.arange(events) % 3, minlength=3) * 0.1 * 0.5
        np.testing.assert_allclose(part(tile, 1), np.stack([expected] * 2), atol=1e-6)


def test_groups_of_columns_wrap_around_and_reach_each_as_often():
    tile = made(cell(n_reads_per_transfer=3), shape=(2, 5))
    put(tile, 0, 0.5)
    idle(tile)
    np.testing.assert_allclose(part(tile, 1)[0], [0.05, 0.05, 0.05, 0.0, 0.0], atol=1e-6)
    idle(tile)
    np.testing.assert_allclose(part(tile, 1)[0], [0.1, 0.05, 0.05, 0.05, 0.05], atol=1e-6)
    idle(tile, times=3)
    np.testing.assert_allclose(part(tile, 1), 3 * 0.05, atol=1e-6)


@pytest.mark.parametrize(("every", "batch", "expected"), [(0.5, 4, 8), (0.1, 4, 16), (1.5, 3, 2)])
def test_periods_of_batches_are_rounded_up_to_vector_pairs(every, batch, expected):
    tile = made(cell(transfer_every=every, units_in_mbatch=True))
    idle(tile, batch, times=4)
    assert tile.stats.transfers == expected


@pytest.mark.parametrize(
    ("every", "batch", "period"), [(0.07, 100, 7), (1.1, 10, 11), (0.7, 10, 7)]
)
def test_a_period_that_is_an_integer_is_that_integer(every, batch, period):
    tile = made(cell(transfer_every=every, units_in_mbatch=True))
    idle(tile, batch, times=8)
    assert tile.stats.transfers == 8 * batch // period


@pytest.mark.parametrize(("every", "expected"), [(0.4, 12), (2.4, 6), (2.5, 4), (0.0, 0)])
def test_periods_of_vector_pairs_are_rounded_to_at_least_one(every, expected):
    tile = made(cell(transfer_every=every))
    idle(tile, batch=4, times=3)
    assert tile.stats.transfers == expected


@pytest.mark.parametrize(("columns", "period"), [(True, 10.0), (False, 4.0)])
def test_the_next_crossbar_is_carried_once_in_a_full_sweep(columns, period):
    device = cell(*[ideal()] * 3, transfer_every=2.0, transfer_columns=columns)
    tile = made(device, shape=(2, 5))
    put(tile, 0, 0.5)
    put(tile, 1, 0.5)
    assert tile.crossbar.every == (2.0, period)
    idle(tile, batch=int(period))
    assert tile.stats.transfers == period / 2.0 + 1


def test_periods_may_be_given_one_by_one():
    tile = made(cell(*[ideal()] * 3, transfer_every_vec=[0.0, 3.0, 1.0]))
    put(tile, 1, 0.5)
    idle(tile, batch=6)
    assert tile.stats.transfers == 2
    np.testing.assert_allclose(part(tile, 2)[0], [0.05, 0.05, 0.0], atol=1e-6)


def test_pairs_behind_the_last_transfer_of_a_batch_count_and_are_learnt():
    tile = made(cell(transfer_every=3.0, transfer_lr=1e-3))
    tile.update(np.ones((10, 3)), np.full((10, 2), 0.01), 1.0)
    np.testing.assert_allclose(part(tile, 0), -0.1 * 0.01 * 10, rtol=1e-5)
    assert tile.stats.transfers == 3
    idle(tile, batch=2)
    assert tile.stats.transfers == 4


def test_slices_that_are_drawn_are_equally_often_first():
    count = 400
    tile = made(cell(random_selection=True, transfer_lr=0.01), shape=(1, 4))
    put(tile, 0, 0.1)
    idle(tile, batch=count)
    times = part(tile, 1)[0] / (0.01 * 0.1)
    assert times.sum() == pytest.approx(count, rel=1e-3)
    assert np.abs(times - count / 4).max() < 5.0 * np.sqrt(count * 3 / 16)
    assert not np.allclose(times, count / 4)


# ---------------------------------------------------------------- resets


def test_all_columns_of_a_group_are_read_before_they_are_reset():
    device = cell(ideal(reset_std=0.0), ideal(), n_reads_per_transfer=3, with_reset_prob=1.0)
    tile = made(device, shape=(2, 5))
    put(tile, 0, 0.5)
    idle(tile)
    np.testing.assert_allclose(part(tile, 1), [[0.05] * 3 + [0.0] * 2] * 2, atol=1e-6)
    np.testing.assert_allclose(part(tile, 0), [[0.0] * 3 + [0.5] * 2] * 2, atol=1e-6)


def test_columns_are_reset_as_a_whole_with_their_probability():
    n = 1000
    device = cell(ideal(reset_std=0.0), ideal(), n_reads_per_transfer=n, with_reset_prob=0.3)
    tile = made(device, shape=(2, n))
    put(tile, 0, 0.5)
    idle(tile)
    gone = part(tile, 0) == 0.0
    np.testing.assert_array_equal(gone[0], gone[1])
    check_proportion(gone[0], 0.3)


def test_columns_that_a_user_resets_are_those_of_a():
    tile = made(cell(*[ideal(reset_std=0.0)] * 2, gamma=1.0))
    put(tile, 0, 0.25)
    put(tile, 1, 0.5)
    tile.reset_columns(1, 1)
    np.testing.assert_array_equal(part(tile, 1), 0.5)
    np.testing.assert_allclose(tile.get_weights()[0], [[0.75, 0.5, 0.75]] * 2)


# ---------------------------------------------------------------- visible weights


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (dict(), (0.0, 0.0, 1.0)),
        (dict(gamma=0.1), (0.01, 0.1, 1.0)),
        (dict(gamma_vec=[1.0, -1.0, 1.0]), (1.0, -1.0, 1.0)),
        (dict(gamma_vec=[0.0, 0.5, -2.0], gamma=3.0), (0.0, 0.5, -2.0)),
    ],
)
def test_every_crossbar_is_seen_with_its_own_weight(changes, expected):
    tile = made(cell(*[ideal()] * 3, **changes))
    for k, value in enumerate((0.3, 0.2, 0.1)):
        put(tile, k, value)
    assert tile.get_weights()[0] == pytest.approx(np.dot(expected, (0.3, 0.2, 0.1)), abs=1e-6)
    w = np.array([[0.3, -0.2, 0.1], [0.0, 0.45, -0.45]])
    assert tile.set_weights(w) == 0
    np.testing.assert_allclose(tile.get_weights()[0], w, atol=1e-6)
    np.testing.assert_array_equal(part(tile, 0), 0.0)


def test_setting_weights_begins_anew():
    tile = made(cell(transfer_every=2.0))
    idle(tile, batch=3)
    tile.set_weights(np.zeros((2, 3)))
    put(tile, 0, 0.5)
    idle(tile)
    assert tile.stats.transfers == 1  # the one before
    idle(tile)
    np.testing.assert_allclose(part(tile, 1)[0], [0.05, 0.0, 0.0], atol=1e-6)


def test_devices_with_write_noise_are_not_reported_as_clipped():
    device = rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0, write_noise_std=5.0)
    tile = made(cell(device, device, gamma=0.5))
    w = np.full((2, 3), 0.25)
    assert tile.set_weights(w) == 0
    assert not np.allclose(tile.get_weights()[0], w, atol=1e-4)


def test_parts_bear_the_names_of_the_paper():
    assert made().crossbar.names == ("A", "C")
    tile = made(cell(*[ideal()] * 3))
    assert tile.crossbar.names == ("A", "C1", "C2")
    assert tile.crossbar["C1"] is tile.crossbar.parts[1]


def test_the_report_covers_the_whole_batch():
    tile = tile_of(cell(transfer_every=2.0), update=rs.UpdateParameters())
    x = np.array([[1.0], [1.0], [0.0], [1.0], [1.0]]) * np.ones(3)
    tile.update(x, np.array([[0.02], [0.04], [0.02], [0.04], [9.0]]) * np.ones(2), 1.0)
    report = tile.stats.last_update
    assert (report.vectors, report.silent, report.saturated, report.transfers) == (5, 1, 1, 2)
    assert report.mean_length == pytest.approx((2 + 4 + 4 + 31) / 4)
    assert report.pulses_down == 6 * (2 + 4 + 4 + 31)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cell(ideal()), "TransferCompound.unit_cell_devices must hold 2 or more devices"),
        (lambda: cell(gamma_vec=[1.0]), "gamma_vec must have one number for each of 2 devices"),
        (lambda: cell(gamma_vec=[1.0, 0.0]), "gamma_vec must not end with 0"),
        (lambda: cell(transfer_every_vec=[1.0] * 3), "one number for each of 2 devices, got 3"),
        (lambda: cell(transfer_lr_vec=[-1.0, 0.0]), "transfer_lr_vec must hold numbers >= 0"),
        (lambda: cell(transfer_every=-1.0), "transfer_every must be >= 0, got -1"),
        (lambda: cell(with_reset_prob=0.1, transfer_columns=False), "needs transfer_columns=True"),
        (
            lambda: cell(
                transfer_forward=rs.IOParameters(inp_bound=2.0, noise_management="NONE")
            ),
            "TransferCompound.transfer_forward.inp_bound must be 1, got 2.0",
        ),
        (
            lambda: cell(transfer_forward=rs.IOParameters(v_offset_std=0.1)),
            "transfer_forward.v_offset_std must be 0, got 0.1",
        ),
        (
            lambda: cell(transfer_forward=rs.IOParametersIRDropT()),
            "transfer_forward must be an IOParameters",
        ),
        (
            lambda: BufferedTransferCompound([ideal(), ideal()], with_reset_prob=0.1),
            "BufferedTransferCompound.with_reset_prob must be 0, got 0.1",
        ),
        (lambda: rs.AnalogTile(2, 2, TransferCompound()), "unit_cell_devices is empty"),
    ],
)  # fmt: skip
def test_what_is_no_compound_is_refused_by_name(make, match):
    with pytest.raises(ConfigError, match=match):
        make()
