"""Pairs that are only stepped up: directions, granularity, refresh, mirror images, state, bits."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, ModelRangeWarning
from rpusim.kernels.streams import Streams
from rpusim.tiles.compounds import DifferenceUnitCell, OneSidedUnitCell, VectorUnitCell
from rpusim.tiles.compounds.rising import climb, up_step
from rpusim.tiles.compounds.slices import Slices
from tests.backends import OTHERS
from tests.compounds.cells import EXACTLY, PERFECT, check_continues, ideal, random_steps, tile_of
from tests.naive.one_sided import one_sided

W = np.array([[0.3, -0.2, 0.1], [0.0, 0.45, -0.45]])
STOCHASTIC = rs.UpdateParameters()
ROUNDING = 2.0**-25  # of one addition to a weight between 0.5 and 1 in single precision


def pcm(**changes):
    """Return a device whose first up step is 28 times what its steps come down to."""
    shape = dict(A_up=-27.235, A_down=-2.235, gamma_up=2.5, gamma_down=2.5, a=-1.0, b=0.0)
    spreads = dict.fromkeys(
        ("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod", "reset_std"), 0.0
    )
    bounds = dict(dw_min=0.01, w_max=2.0, w_min=0.0)
    return rs.ExpStepDevice(**{**shape, **spreads, **bounds, **changes})


def soft(**changes):
    return rs.SoftBoundsDevice(**{"w_max": 1.0, "w_min": 0.0, **changes})


def ask(tile, change):
    """Ask every weight to move by `change`."""
    tile.update(np.ones(tile.in_size), np.full(tile.out_size, -change), learning_rate=1.0)


def pair(tile):
    """Return g- and g+."""
    hidden = tile.get_hidden_parameters()
    return hidden["hidden_weights_0"], hidden["hidden_weights_1"]


def set_pair(tile, minus, plus):
    shape = tile.out_size, tile.in_size
    tile.set_hidden_parameters(
        {
            "hidden_weights_0": np.broadcast_to(minus, shape),
            "hidden_weights_1": np.broadcast_to(plus, shape),
        }
    )


def refreshed(device, update=STOCHASTIC, **changes):
    """Return a cell that is refreshed after every batch, with perfect reads."""
    settings = dict(refresh_every=1, refresh_forward=PERFECT, refresh_update=update)
    return OneSidedUnitCell([device], **{**settings, **changes})


# ---------------------------------------------------------------- directions


@pytest.mark.parametrize(("change", "grown", "kept"), [(-0.01, 0, 1), (0.01, 1, 0)])
def test_a_change_raises_one_device_of_each_pair_and_leaves_the_other(change, grown, kept):
    tile = tile_of(OneSidedUnitCell([ideal()]))
    tile.set_weights(W)
    before = pair(tile)
    ask(tile, change)
    after = pair(tile)
    np.testing.assert_allclose(after[grown] - before[grown], 0.01, atol=1e-6)
    np.testing.assert_array_equal(after[kept], before[kept])
    np.testing.assert_allclose(tile.get_weights()[0], W + change, atol=1e-6)


def test_both_devices_share_the_trains_of_a_single_one():
    shape, options = (20, 30), dict(update=STOCHASTIC)
    cell = tile_of(OneSidedUnitCell([ideal()]), shape, **options)
    plain = tile_of(ideal(), shape, **options)
    for tile in (cell, plain):
        random_steps(tile, 5)
    assert plain.stats.pulses_down > 1000
    assert (cell.stats.pulses_up, cell.stats.pulses_down) == (
        plain.stats.pulses_up,
        plain.stats.pulses_down,
    )
    np.testing.assert_allclose(cell.get_weights()[0], plain.get_weights()[0], atol=1e-5)


def test_trains_stay_those_of_a_single_device_after_a_refresh():
    plain = tile_of(ideal(), (4, 5), STOCHASTIC)
    cell = tile_of(refreshed(ideal(reset_std=0.0)), (4, 5), STOCHASTIC)
    set_pair(cell, 0.3, 0.8)
    for tile in (cell, plain):
        ask(tile, 0.001)
    assert pair(cell)[0].max() == 0.0
    before = [tile.get_weights()[0] for tile in (cell, plain)]
    for tile in (cell, plain):
        random_steps(tile, 1)
    moved, expected = (
        tile.get_weights()[0] - w for tile, w in zip((cell, plain), before, strict=True)
    )
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_down_steps_do_not_matter():
    weights = []
    for up_down in (0.0, 0.7):
        tile = tile_of(OneSidedUnitCell([soft(up_down=up_down)]), (6, 7), STOCHASTIC)
        random_steps(tile, 5)
        weights.append(tile.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_devices_have_spreads_of_their_own():
    hidden = tile_of(OneSidedUnitCell([soft()]), (20, 30)).get_hidden_parameters()
    r = np.corrcoef(hidden["max_bound_0"].ravel(), hidden["max_bound_1"].ravel())[0, 1]
    assert abs(r) < 5.0 / np.sqrt(600)


def test_each_device_is_pulsed_by_its_own_up_step():
    tile = tile_of(OneSidedUnitCell([ideal(1e-3), soft(dw_min=3e-3, dw_min_std=0.0)]))
    granularities = [part.granularity for part in tile.crossbar.parts]
    np.testing.assert_allclose(granularities, [1e-3, 3e-3], rtol=1e-6)
    tile = tile_of(OneSidedUnitCell([ideal(1e-3), ideal(3e-3)]))
    for change in (0.12, -0.24):
        ask(tile, change)
    np.testing.assert_allclose(pair(tile)[0], 0.24, atol=1e-5)
    np.testing.assert_allclose(pair(tile)[1], 0.12, atol=1e-5)


@pytest.mark.parametrize("change", [0.05, 0.2, -0.2])
def test_a_small_request_is_met_on_average_by_steps_that_are_large_at_first(change):
    step = up_step(pcm())
    assert step == pytest.approx(0.28235, rel=1e-4)
    tile = tile_of(OneSidedUnitCell([pcm()]), (40, 50), STOCHASTIC)
    ask(tile, change)
    p = abs(change) / step
    tolerance = 5.0 * step * np.sqrt(p * (1.0 - p) / 90)  # at least 90 independent lines
    assert tile.get_weights()[0].mean() == pytest.approx(change, abs=tolerance)
    assert tolerance < step


def test_a_request_of_several_fading_steps_is_met_within_one():
    tile = tile_of(OneSidedUnitCell([pcm()]), (40, 50))
    ask(tile, 0.6)
    w = tile.get_weights()[0]
    assert np.abs(w - 0.6).max() < up_step(pcm())


@pytest.mark.parametrize("kind", ["NONE", "NONE_WITH_DEVICE", "MEAN_FIELD"])
def test_without_pulses_each_device_collects_the_products_of_one_sign(kind):
    tile = tile_of(OneSidedUnitCell([ideal()]), update=rs.UpdateParameters(pulse_type=kind))
    rng = np.random.default_rng(3)
    x, d = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    report = tile.update(x, d, learning_rate=0.05)
    products = 0.05 * d[:, :, None] * x[:, None, :]
    np.testing.assert_allclose(pair(tile)[0], np.maximum(products, 0.0).sum(0), atol=1e-6)
    np.testing.assert_allclose(pair(tile)[1], np.maximum(-products, 0.0).sum(0), atol=1e-6)
    assert report is None or report.vectors == 4
    with pytest.raises(rs.DataError, match="x must be finite, got NaN or infinity in row 1"):
        tile.update(np.array([[0.0] * 3, [np.nan] * 3]), np.ones((2, 2)), learning_rate=0.1)


def test_pulse_counts_hold_up_pulses_only():
    tile = tile_of(OneSidedUnitCell([ideal(count_pulses=True)]), (6, 7), STOCHASTIC)
    random_steps(tile, 4)
    counts = tile.pulse_counts
    assert counts["down_0"].sum() == counts["down_1"].sum() == 0
    assert counts["up_0"].sum() == tile.stats.pulses_down
    assert counts["up_1"].sum() == tile.stats.pulses_up
    np.testing.assert_allclose(pair(tile)[1], 1e-3 * counts["up_1"], atol=1e-5)


def test_write_noise_is_drawn_only_where_a_device_was_pulsed():
    tile = tile_of(OneSidedUnitCell([soft(write_noise_std=5.0)]), update=STOCHASTIC)
    before = pair(tile)
    ask(tile, -0.01)
    after = pair(tile)
    np.testing.assert_array_equal(after[1], before[1])
    assert (after[0] != before[0]).all()


# ---------------------------------------------------------------- refresh


@pytest.mark.parametrize("kind", [k.name for k in rs.PulseType])
def test_a_refresh_keeps_the_weight_and_empties_the_smaller_device(kind):
    update = rs.UpdateParameters(pulse_type=kind)  # 31 pulses at a time, of 600
    tile = tile_of(refreshed(ideal(reset_std=0.0), update), shape=(2, 3))
    plus = np.array([[0.9, 0.3, 0.9], [0.7, 0.3, 0.8]])
    minus = np.array([[0.3, 0.9, 0.2], [0.3, 0.1, 0.26]])
    set_pair(tile, minus, plus)
    ask(tile, 0.0)
    full = np.array([[True, True, False], [False, False, True]])
    new_minus, new_plus = pair(tile)
    np.testing.assert_allclose(new_plus - new_minus, plus - minus, atol=1e-3 + 600 * ROUNDING)
    np.testing.assert_allclose(np.minimum(new_minus, new_plus)[full], 0.0, atol=1e-7)
    np.testing.assert_allclose(new_minus[~full], minus[~full], rtol=1e-6)
    residual = tile.crossbar.arrays["residual"]
    np.testing.assert_allclose(residual, plus - minus - (new_plus - new_minus), atol=1e-6)


@pytest.mark.parametrize("managed", [True, False])
def test_managements_of_refresh_update_do_not_shorten_a_write(managed):
    update = rs.UpdateParameters(
        update_management=managed, update_bl_management=managed, um_grad_scale=0.5
    )
    tile = tile_of(refreshed(ideal(reset_std=0.0), update))
    set_pair(tile, 0.3, 0.9)
    ask(tile, 0.0)
    np.testing.assert_allclose(tile.get_weights()[0], 0.6, atol=1e-3 + 600 * ROUNDING)


@pytest.mark.parametrize("device", [soft(dw_min_dtod=0.0, dw_min_std=0.0), pcm()])
def test_a_refresh_sends_as_many_pulses_as_fading_steps_need(device):
    device = device.replace(w_max_dtod=0.0, reset_std=0.0, up_down_dtod=0.0)
    tile = tile_of(refreshed(device, EXACTLY), weights=0.0)
    top = device.w_max
    set_pair(tile, 0.3 * top, 0.8 * top)
    ask(tile, 0.0)
    steps = np.diff(climb(device))
    reached = np.searchsorted(climb(device), 0.5 * top)
    step = steps[reached - 1]  # the last one on the way
    np.testing.assert_allclose(tile.get_weights()[0], 0.5 * top, atol=step)
    assert device.dw_min <= 0.01
    assert 0.5 * top > 1.2 * step


def test_the_climb_of_a_soft_bound_is_exponential():
    n = np.arange(100)
    np.testing.assert_allclose(climb(soft())[:100], 1.0 - (1.0 - 1e-3) ** n, atol=1e-9)
    hidden = rs.HiddenStepDevice()
    np.testing.assert_allclose(np.diff(climb(hidden)), up_step(hidden))


def test_each_read_of_a_refresh_has_noise_of_its_own():
    noise, shape = 0.02, (40, 50)
    io = rs.IOParameters(inp_res=-1.0, out_res=-1.0, out_noise=noise)
    device = refreshed(ideal(1e-4, reset_std=0.0), EXACTLY, refresh_forward=io)
    tile = tile_of(device, shape)
    set_pair(tile, 0.35, 0.95)
    ask(tile, 0.0)
    error = tile.get_weights()[0] - 0.6
    sigma, count = np.sqrt(2.0) * noise, error.size
    assert abs(error.mean()) < 5.0 * sigma / np.sqrt(count)
    assert error.std() == pytest.approx(sigma, rel=5.0 / np.sqrt(2.0 * count))


def test_a_reset_of_a_refresh_has_noise_of_its_own_for_each_device():
    tile = tile_of(refreshed(ideal(1e-4, reset=0.05, reset_std=0.01), EXACTLY), (40, 50))
    set_pair(tile, 0.35, 0.95)
    ask(tile, 0.0)
    minus, plus = pair(tile)
    for values, mean in ((minus, 0.05), (plus, 0.65)):
        assert values.mean() == pytest.approx(mean, abs=5.0 * 0.01 / np.sqrt(2000) + 1e-4)
        assert values.std() == pytest.approx(0.01, rel=5.0 / np.sqrt(4000))
    assert abs(np.corrcoef(minus.ravel(), plus.ravel())[0, 1]) < 5.0 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("every", "in_batches", "expected"),
    [(2, True, [8, 16]), (3, False, [3, 6, 9, 12, 15, 18]), (5, True, [20]), (0, True, [])],
)
def test_refreshes_come_after_batches_or_vector_pairs(every, in_batches, expected):
    device = OneSidedUnitCell([ideal()], refresh_every=every, units_in_mbatch=in_batches)
    tile, seen = tile_of(device), []
    cell = tile.crossbar
    cell._renew = lambda report: seen.append(int(cell.arrays["count"]))
    for _ in range(5):
        tile.update(np.zeros((4, 3)), np.zeros((4, 2)), learning_rate=1.0)
    assert seen == expected


def test_a_refresh_that_takes_too_many_updates_warns_and_records_what_is_missing():
    update = rs.UpdateParameters(desired_bl=1, pulse_type="DETERMINISTIC_IMPLICIT")
    tile = tile_of(refreshed(ideal(5e-4, reset_std=0.0), update), (1, 1))
    set_pair(tile, 0.3, 0.9)
    with pytest.warns(ModelRangeWarning, match="needs 1200 updates .* stops after 1000"):
        ask(tile, 0.0)
    np.testing.assert_allclose(tile.get_weights()[0], 0.5, atol=1e-4)
    np.testing.assert_allclose(tile.crossbar.arrays["residual"], 0.1, atol=1e-4)


def test_pulses_of_a_refresh_are_counted():
    tile = tile_of(refreshed(ideal(1e-2, reset_std=0.0), EXACTLY), (1, 2))
    set_pair(tile, [[0.3, 0.9]], [[0.9, 0.4]])
    ask(tile, 0.0)
    assert (tile.stats.pulses_up, tile.stats.pulses_down) == (60, 50)


@pytest.mark.parametrize(("every", "in_batches"), [(1, True), (2, True), (5, False)])
def test_training_with_refreshes_follows_plain_loops(every, in_batches):
    g, thresholds = 1e-3, (0.4, 0.1)
    device = refreshed(
        ideal(g, reset_std=0.0),
        EXACTLY.replace(desired_bl=31),
        refresh_every=every,
        units_in_mbatch=in_batches,
        refresh_upper_thres=thresholds[0],
        refresh_lower_thres=thresholds[1],
    )
    tile, rng = tile_of(device, (3, 4)), np.random.default_rng(5)
    batches = [
        (rng.normal(size=(4, 4)).astype("f4"), rng.normal(size=(4, 3)).astype("f4"))
        for _ in range(12)
    ]
    minus, plus = np.zeros((2, 3, 4)).tolist()
    args = (0.05, g, 1.0, every, in_batches, *thresholds)
    assert one_sided(minus, plus, batches, *args) > 5
    for x, d in batches:
        tile.update(x, d, learning_rate=0.05)
    np.testing.assert_allclose(pair(tile)[0], minus, atol=2e-5)
    np.testing.assert_allclose(pair(tile)[1], plus, atol=2e-5)


@pytest.mark.parametrize("columns", [True, False])
def test_slices_read_together_are_those_read_one_by_one(columns):
    io = rs.IOParameters(out_noise=0.05, w_noise=0.02, w_noise_type="ADDITIVE_CONSTANT")
    weights = np.random.default_rng(1).normal(size=(20, 40)).astype("f4")
    together, alone = (
        Slices((20, 40), columns, io, STOCHASTIC, Streams(3), "cpu") for _ in range(2)
    )
    chosen = np.arange(together.count)[::-1][:19]
    expected = [alone.read(weights, chosen[k : k + 1])[0] for k in range(19)]
    np.testing.assert_array_equal(together.read(weights, chosen), expected)


# ---------------------------------------------------------------- mirror images


def test_an_inverted_copy_is_the_mirror_image_of_the_drawn_first_device():
    device = OneSidedUnitCell([soft(w_min=-0.5, w_min_dtod=0.1, up_down=0.3)], copy_inverted=True)
    hidden = tile_of(device, (5, 6)).get_hidden_parameters()
    for first, second, sign in (
        ("dwmin_down_0", "dwmin_up_1", 1.0),
        ("dwmin_up_0", "dwmin_down_1", 1.0),
        ("min_bound_0", "max_bound_1", -1.0),
        ("max_bound_0", "min_bound_1", -1.0),
    ):
        np.testing.assert_array_equal(hidden[second], sign * hidden[first])
    assert np.unique(hidden["dwmin_up_1"]).size == 30


def test_an_inverted_copy_goes_up_by_the_down_steps_of_the_first():
    device = ideal(up_down=0.5, dw_min_dtod=0.3)
    tile = tile_of(OneSidedUnitCell([device], copy_inverted=True), (5, 6))
    assert [round(part.granularity, 7) for part in tile.crossbar.parts] == [1e-3, 5e-4]
    ask(tile, 0.1)
    ask(tile, -0.1)
    minus, plus = pair(tile)
    hidden = tile.get_hidden_parameters()
    np.testing.assert_allclose(minus, 100 * hidden["dwmin_up_0"], rtol=1e-4)
    np.testing.assert_allclose(plus, 200 * hidden["dwmin_down_0"], rtol=1e-4)


# ---------------------------------------------------------------- weights


def test_weights_that_are_set_stand_on_one_device_of_each_pair():
    tile = tile_of(OneSidedUnitCell([ideal()]))
    random_steps(tile, 3)
    assert tile.set_weights(W) == 0
    np.testing.assert_allclose(pair(tile)[0], np.maximum(-W, 0.0), atol=1e-7)
    np.testing.assert_allclose(pair(tile)[1], np.maximum(W, 0.0), atol=1e-7)
    assert int(tile.crossbar.arrays["count"]) == 0


def test_what_one_device_cannot_hold_the_other_takes():
    tile = tile_of(OneSidedUnitCell([ideal(w_max=0.4, w_min=-0.1)]))
    assert tile.set_weights(W) == 0
    np.testing.assert_allclose(tile.get_weights()[0], W, atol=1e-6)
    with pytest.warns(rs.ClippedWeightsWarning, match="3 of 6"):
        tile.set_weights(np.array([[0.6, -0.6, 0.1], [0.0, 0.45, -0.7]]))
    low, high = tile.weight_range()
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [-0.5, 0.5], rtol=1e-6)


def test_reset_empties_both_devices_of_the_columns():
    tile = tile_of(OneSidedUnitCell([ideal(reset_std=0.0)]))
    set_pair(tile, 0.3, 0.9)
    tile.crossbar.reset(np.array([1, 0, 1], np.uint8))
    for array in pair(tile):
        np.testing.assert_array_equal(array == 0.0, [[True, False, True]] * 2)


def test_devices_only_grow_and_stay_within_bounds():
    tile = tile_of(OneSidedUnitCell([soft(dw_min=0.02, dw_min_std=0.0)]), (5, 6), STOCHASTIC)
    before = pair(tile)
    for seed in range(20):
        random_steps(tile, 1, seed=seed, rate=1.0)
        after = pair(tile)
        assert all((new >= old).all() for new, old in zip(after, before, strict=True))
        before = after
    hidden, (low, high) = tile.get_hidden_parameters(), tile.weight_range()
    assert all((before[k] <= hidden[f"max_bound_{k}"]).all() for k in (0, 1))
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


# ---------------------------------------------------------------- state and bits

NOISY = rs.IOParameters(out_noise=0.05)
CELLS = {
    "soft": OneSidedUnitCell([soft(dw_min=0.05)], refresh_every=1, refresh_forward=NOISY),
    "constant": OneSidedUnitCell([ideal(0.02, dw_min_std=0.3)], refresh_every=3),
    "pcm": OneSidedUnitCell(
        [pcm(dw_min_std=0.6, dw_min_std_add=0.04), pcm()],
        refresh_every=2,
        units_in_mbatch=False,
        refresh_upper_thres=0.3,
        refresh_lower_thres=0.1,
        refresh_forward=NOISY.replace(inp_noise=0.01),
    ),
    "written": OneSidedUnitCell(
        [soft(dw_min=0.05, write_noise_std=1.0), rs.HiddenStepDevice()], refresh_every=1
    ),
    "mirrored": OneSidedUnitCell(
        [rs.SoftBoundsReferenceDevice(dw_min=0.05, reference_std=0.05)],
        refresh_every=1,
        copy_inverted=True,
    ),
    "nested": VectorUnitCell(
        [OneSidedUnitCell([soft(lifetime=100.0)], refresh_every=1), soft(w_min=-1.0)]
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_pair_continues_bit_for_bit(name, tmp_path):
    check_continues(lambda: tile_of(CELLS[name], update=STOCHASTIC), tmp_path / "tile.npz")


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", ["STOCHASTIC_COMPRESSED", "MEAN_COUNT", "MEAN_FIELD"])
@pytest.mark.parametrize("name", ["soft", "constant", "pcm"])
def test_all_backends_give_the_same_bits(name, kind, other):
    update = rs.UpdateParameters(pulse_type=kind)
    fast, plain = (tile_of(CELLS[name], update=update, backend=b) for b in ("cpu", other))
    for tile in (fast, plain):
        random_steps(tile, 4, rate=0.3)
    for one, other in zip(pair(fast), pair(plain), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_number_of_threads_changes_nothing():
    results, before = [], rs.get_num_threads()
    try:
        for threads in (1, 2):
            rs.set_num_threads(threads)
            tile = tile_of(CELLS["pcm"], (120, 130), STOCHASTIC)
            random_steps(tile, 5, batch=20, rate=0.3)
            results.append(pair(tile))
    finally:
        rs.set_num_threads(before)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", ["soft", "pcm", "written", "mirrored"])
def test_random_training_does_refresh(name):
    tile = tile_of(CELLS[name], update=STOCHASTIC)
    random_steps(tile, 20, rate=0.3)
    assert tile.crossbar.arrays["residual"].any()


def test_a_refused_change_leaves_a_pair_as_it_was():
    tile = tile_of(CELLS["soft"], update=STOCHASTIC)
    random_steps(tile, 3)
    before = tile.state_dict()
    changes = {"hidden_weights_1": np.full((2, 3), 0.1), "max_bound_0": np.full((2, 3), np.nan)}
    with pytest.raises(rs.DataError, match="max_bound"):
        tile.set_hidden_parameters(changes)
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: OneSidedUnitCell([ideal()] * 3), "must hold 1 or 2 devices, got 3"),
        (
            lambda: OneSidedUnitCell([rs.ReferenceUnitCell([ideal()])]),
            "must hold single devices, got ReferenceUnitCell.*: each is only stepped up",
        ),
        (lambda: OneSidedUnitCell([rs.IdealDevice()]), "must hold pulsed devices"),
        (
            lambda: OneSidedUnitCell([ideal(), ideal(2e-3)], copy_inverted=True),
            "copy_inverted makes the second device from the first: give one device",
        ),
        (
            lambda: OneSidedUnitCell([soft()], copy_inverted=True),
            "copy_inverted needs a device with w_min < 0",
        ),
        (
            lambda: OneSidedUnitCell([ideal(w_max=0.0)], refresh_every=1),
            "refresh_every needs devices with w_max > 0",
        ),
        (
            lambda: OneSidedUnitCell([ideal()], refresh_forward=rs.IOParameters(r_series=0.1)),
            "OneSidedUnitCell.refresh_forward.r_series must be 0",
        ),
        (lambda: OneSidedUnitCell([ideal()], refresh_lower_thres=-0.1), "refresh_lower_thres must"),
        (lambda: rs.AnalogTile(2, 2, OneSidedUnitCell()), "unit_cell_devices is empty"),
    ],
)
def test_what_is_no_pair_is_refused_by_name(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_a_pair_survives_storage():
    assert DifferenceUnitCell is OneSidedUnitCell
    names = {**vars(rs), "OneSidedUnitCell": OneSidedUnitCell}
    for device in CELLS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(config), names) == config
