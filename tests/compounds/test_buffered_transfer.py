"""Tiki-Taka with a buffer: thresholds, what is written and what is kept."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError
from rpusim.tiles.compounds import BufferedTransferCompound
from tests.compounds.cells import ideal, tile_of
from tests.naive.tolerance import check_mean, check_variance
from tests.naive.transfer import tiki_taka

PERFECT = rs.IOParameters(is_perfect=True)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")


def cell(*devices, **changes):
    """Return a compound with exact reads, absolute rates, a transfer after every vector pair."""
    settings = dict(
        transfer_forward=PERFECT, scale_transfer_lr=False, units_in_mbatch=False, fast_lr=0.1
    )
    devices = devices or (ideal(5e-3), ideal())
    return BufferedTransferCompound(devices, **{**settings, **changes})


def made(shape=(1, 1), a=0.0, device=None, **changes):
    tile = tile_of(device or cell(**changes), shape, EXACT)
    tile.set_hidden_parameters({"hidden_weights_0": np.full(shape, a)})
    return tile


def part(tile, k):
    return tile.get_hidden_parameters()[f"hidden_weights_{k}"]


def buffer(tile, k=0):
    return tile.get_hidden_parameters()[f"buffered_FP_weight_{k}"]


def idle(tile, times=1):
    """Let pairs pass that change nothing."""
    tile.update(np.zeros((times, tile.in_size)), np.zeros((times, tile.out_size)), 1.0)


@pytest.mark.parametrize(("forget", "kept"), [(True, 0.00065), (False, 0.0047)])
def test_a_write_leaves_a_share_of_the_buffer(forget, kept):
    device = cell(ideal(), ideal(0.002), transfer_lr=0.05, forget_buffer=forget)
    tile = made(a=0.13, device=device)
    idle(tile)
    np.testing.assert_allclose(part(tile, 1), 0.002, rtol=1e-5)
    np.testing.assert_allclose(buffer(tile), kept, rtol=1e-4)


@pytest.mark.parametrize(("scale", "first"), [(1.0, 4), (2.0, 7), (0.25, 1)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_first_pulse_comes_when_the_threshold_in_steps_of_the_target_is_reached(
    scale, first, sign
):
    tile = made(a=0.03 * sign, transfer_lr=0.01, thres_scale=scale)
    idle(tile, first - 1)
    np.testing.assert_array_equal(part(tile, 1), 0.0)
    np.testing.assert_allclose(buffer(tile), sign * 0.0003 * (first - 1), rtol=1e-5, atol=1e-9)
    assert tile.stats.pulses == 0
    idle(tile)
    np.testing.assert_allclose(part(tile, 1), sign * 1e-3, rtol=1e-5)
    assert tile.stats.pulses == 1


def test_what_is_subtracted_was_written():
    tile = made(a=0.03, transfer_lr=0.01, forget_buffer=False, momentum=0.0)
    for reads in range(1, 101):
        idle(tile)
        assert part(tile, 1) + buffer(tile) == pytest.approx(0.03 * 0.01 * reads, abs=1e-6)
        assert 0.0 <= buffer(tile) < 1e-3 + 1e-6


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("forget", [True, False])
@pytest.mark.parametrize(
    ("count", "every", "reads", "most", "step", "scale"),
    [(2, 1.0, 1, 1, 1.0, 1.0), (2, 2.0, 2, 3, 0.5, 0.4), (3, 1.0, 2, 2, 2.0, 0.3)],
)
@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 3)])
def test_exact_reads_and_writes_follow_the_algorithm(
    shape, count, every, reads, most, step, scale, forget, columns
):
    steps, rho, momentum = (2e-3, 3e-3, 1e-3)[:count], 0.05, 0.2
    tile = made(
        shape,
        device=cell(*map(ideal, steps), transfer_every=every, n_reads_per_transfer=reads,
             transfer_columns=columns, transfer_update=EXACT.replace(desired_bl=most), step=step,
             thres_scale=scale, forget_buffer=forget, momentum=momentum, transfer_lr=rho),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    batches = [
        (np.float32(rng.normal(size=(m, shape[1]))), np.float32(rng.normal(size=(m, shape[0]))))
        for m in (20, 7, 33)
    ]
    for x, d in batches:
        tile.update(0.2 * x, d, 1.0)
    arrays = [np.zeros(shape).tolist() for _ in range(count)]
    q, p = [scale * g for g in steps], [step * g for g in steps]
    stored, carried = tiki_taka(
        arrays, batches, 0.02, rho, every, False, reads, columns, (q, most, momentum, forget, p)
    )
    for k in range(count):
        np.testing.assert_allclose(part(tile, k), arrays[k], atol=1e-5)
    for k in range(count - 1):
        np.testing.assert_allclose(buffer(tile, k), stored[k], atol=1e-5)
        assert np.abs(arrays[k + 1]).max() > 0.0
    assert tile.stats.transfers == carried


@pytest.mark.parametrize(
    ("update", "step", "mean", "variance"),
    [
        (dict(desired_bl=5), 1.0, np.sqrt(5.0), np.sqrt(5.0) * (1.0 - 1.0 / np.sqrt(5.0))),
        (dict(desired_bl=5, update_management=True), 1.0, 3.0, 5 * 0.6 * 0.4),
        (dict(desired_bl=5, update_bl_management=True), 1.0, 3.0, 0.0),
        (dict(desired_bl=1), 0.5, 0.5, 0.25),
        (dict(desired_bl=1), 3.0, 1.0, 0.0),
    ],
)
def test_how_many_pulses_write_three_steps(update, step, mean, variance):
    n = 1000  # columns with trains of their own
    tile = made(
        (1, n), a=0.35, transfer_lr=0.01, n_reads_per_transfer=n, transfer_update=update, step=step
    )
    idle(tile)
    pulses = part(tile, 1)[0] / 1e-3
    np.testing.assert_allclose(pulses, np.rint(pulses), atol=1e-4)
    check_mean(pulses, mean, np.sqrt(variance), floor=1e-4)
    check_variance(pulses, variance, floor=1e-6)
    kept = 0.1 * 0.0035
    np.testing.assert_allclose(buffer(tile), kept, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "factor"),
    [(dict(gamma=0.5), 0.5), (dict(gamma=0.0), 1.0), (dict(gamma_vec=[-0.5, 2.0]), 1.0),
     (dict(gamma_vec=[0.5, 2.0]), 0.25)],
)  # fmt: skip
def test_what_is_carried_counts_as_it_is_seen(changes, factor):
    tile = made(a=0.03, transfer_lr=0.01, **changes)
    idle(tile)
    np.testing.assert_allclose(buffer(tile), 0.0003 * factor, rtol=1e-5)


def test_a_buffer_is_set_by_name_and_emptied_by_new_weights():
    tile = made((2, 3), transfer_lr=0.01)
    full = np.array([[0.0, -0.0011, 0.0], [0.0011, 0.0, 0.0005]])
    tile.set_hidden_parameters({"buffered_FP_weight_0": full})
    np.testing.assert_allclose(buffer(tile), full, rtol=1e-6)
    np.testing.assert_array_equal(tile.get_weights()[0], 0.0)
    idle(tile, 3)
    np.testing.assert_allclose(part(tile, 1), [[0, -1e-3, 0], [1e-3, 0, 0]], rtol=1e-5)
    tile.set_weights(np.zeros((2, 3)))
    np.testing.assert_array_equal(buffer(tile), 0.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(thres_scale=0.0), "thres_scale must be > 0"),
        (dict(step=0.0), "step must be > 0"),
        (dict(momentum=1.5), "momentum must be in 0..1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(change, match):
    with pytest.raises(ConfigError, match="BufferedTransferCompound." + match):
        cell(**change)
