"""Multi-tile residual learning: clocks, rates, how the error falls, the warm start, state."""

import random
import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ModelRangeWarning
from rpusim.tiles import compounds
from rpusim.tiles.compounds import MultiTileResidualCompound
from tests.compounds.bed import TARGET
from tests.compounds.cells import (
    check_backends_and_threads,
    check_continues,
    ideal,
    random_steps,
    tile_of,
)
from tests.naive.residual import chain

PERFECT = rs.IOParameters(is_perfect=True)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")
FLAT = dict.fromkeys(("dw_min_dtod", "dw_min_std", "up_down_dtod", "w_max_dtod", "w_min_dtod"), 0.0)
FOUR_STATES = rs.SoftBoundsDevice(dw_min=0.5, w_max=1.0, w_min=-1.0, **FLAT)
ALPHA, NOISE, RATE, RATIO = 0.2, 0.1, 0.02, 5.0


def rms_error(count, ratio=RATIO, rate=RATE, problems=200, steps=6000):
    """Return the rms error of so many weights of `count` tiles each, and its standard error."""
    device = FOUR_STATES
    if count > 1:
        device = MultiTileResidualCompound(
            [FOUR_STATES] * count, transfer_every=1.0, clock_ratio=ratio, rate_growth=1.0,
            transfer_lr=rate, transfer_columns=False, transfer_forward=PERFECT,
        )  # fmt: skip
    tile = tile_of(device, (1, problems), rs.UpdateParameters())
    rng, squares = np.random.default_rng(0), np.zeros(problems)
    for k in range(steps):
        w = tile.get_weights()[0][0]
        squares += (w - TARGET) ** 2 * (k > steps // 2)
        tile.update(w - TARGET + NOISE * rng.normal(size=problems), np.ones(1), ALPHA)
    squares /= steps - 1 - steps // 2
    rms = np.sqrt(squares.mean())
    # the problems share the train of the error: up to fully correlated pulses, so twice the error
    return rms, squares.std() / np.sqrt(problems) / rms


# ---------------------------------------------------------------- how the error falls


@pytest.mark.parametrize(("count", "ratio", "rate"), [(1, 5, 0.02), (2, 5, 0.02), (3, 5, 0.1)])
def test_the_error_is_that_of_literal_loops(count, ratio, rate):
    rng = random.Random(1)
    rows = [chain(count, ratio, rate, ALPHA, TARGET, NOISE, 4000, rng) ** 2 for _ in range(40)]
    mean = np.mean(rows)
    expected, its_error = np.sqrt(mean), np.std(rows) / np.sqrt(40) / (2.0 * np.sqrt(mean))
    found, error = rms_error(count, ratio, rate, steps=4000)
    assert abs(found - expected) < 5.0 * np.hypot(error, its_error)
    assert its_error < 0.05 * expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_more_tiles_are_better_if_their_clocks_are_well_apart():
    counts = range(1, 6)
    found, errors = np.array([rms_error(n, steps=40000) for n in counts]).T
    # figures of another run of the same problem, of unknown target and noise
    np.testing.assert_allclose(found, [0.240, 0.235, 0.232, 0.204, 0.179], atol=0.02)
    assert found[4] + 5.0 * np.hypot(errors[4], errors[0]) < found[0]


@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_a_fast_transfer_or_close_clocks_make_more_tiles_worse():
    single, error = rms_error(1)
    for count, changes in ((2, dict(rate=0.1)), (4, dict(ratio=2.0))):
        found, its_error = rms_error(count, **changes)
        assert found > 1.3 * single + 5.0 * np.hypot(error, its_error)


def test_what_cannot_separate_is_warned_of():
    def doubts(**changes):
        tile = tile_of(MultiTileResidualCompound([FOUR_STATES] * 3, **changes))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            random_steps(tile, 2)
        return [str(w.message) for w in caught if issubclass(w.category, ModelRangeWarning)]

    assert doubts() == []
    (clocks,) = doubts(clock_ratio=2.0)
    assert "W1 is carried on every 4, P every 2 periods" in clocks
    coarse = doubts(gamma=0.2)
    assert len(coarse) == 2
    assert "range of W1, as it is seen, is less than one step of W2: gamma 0.2" in coarse[1]


# ---------------------------------------------------------------- clocks and rates


def cell(count=3, **changes):
    settings = dict(
        transfer_forward=PERFECT, transfer_update=EXACT, transfer_columns=False,
        transfer_every=1.0, clock_ratio=4.0, rate_growth=2.0,
    )  # fmt: skip
    return MultiTileResidualCompound([ideal()] * count, **{**settings, **changes})


def tiles(tile):
    return [float(part.weights[0, 0]) for part in tile.crossbar.parts]


def idle(tile, times=1):
    for _ in range(times):
        tile.update(np.zeros((1, 1)), np.zeros((1, 1)), 1.0)


def started(**changes):
    tile = tile_of(cell(**changes), (1, 1), EXACT)
    tile.set_hidden_parameters({"hidden_weights_0": np.full((1, 1), 0.01)})
    return tile


def test_each_tile_has_a_slower_clock_and_a_lower_rate_than_the_one_before():
    tile = started()
    for k in range(1, 9):
        idle(tile)
        # rates 0.4, 0.2; W1 gains 0.004 each time, W2 a fifth of it at 4 and 8
        one = 0.004 * k
        two = 0.2 * 0.004 * (4 * (k >= 4) + 8 * (k >= 8))
        np.testing.assert_allclose(tiles(tile), [0.01, one, two], rtol=1e-5, atol=1e-9)


def test_explicit_periods_and_rates_come_first():
    device = cell(transfer_every_vec=[2.0, 9.0, 0.0], transfer_lr_vec=[0.3, 0.1, 0.0])
    assert device.periods(1.0) == (2.0, 9.0)
    assert device.rates() == (0.3, 0.1, 0.0)


# ---------------------------------------------------------------- warm start


def test_a_warm_start_fills_the_most_significant_tile_first_and_then_the_others():
    tile = started(warm_start=True)
    idle(tile, 4)
    np.testing.assert_allclose(tiles(tile), [0.01, 0.0, 0.016], rtol=1e-5)
    assert not tile.crossbar.end_epoch(1.0)
    assert not tile.crossbar.end_epoch(1.00009)
    assert tile.crossbar.end_epoch(1.0002)
    idle(tile, 4)
    np.testing.assert_allclose(tiles(tile), [0.01, 0.016, 0.016], rtol=1e-5)
    assert not tile.crossbar.end_epoch(2.0)  # the history was cleared
    assert tile.crossbar.end_epoch(3.0)
    idle(tile, 4)  # now the chain: transfers of W1 at multiples of 4
    np.testing.assert_allclose(tiles(tile), [0.01, 0.032, 0.016 + 0.2 * 0.032], rtol=1e-5)
    assert not tile.crossbar.end_epoch(4.0)
    assert not tile.crossbar.end_epoch(5.0)


def test_after_four_switches_two_flat_changes_of_five_are_needed():
    tile = started(count=7, warm_start=True)
    for _ in range(4):
        assert not tile.crossbar.end_epoch(1.0)
        assert tile.crossbar.end_epoch(1.1)
    assert int(tile.crossbar.arrays["target"]) == 2
    falls = [9.0, 8.0, 7.999, 7.0, 6.0, 5.0, 4.0, 3.0, 2.995]  # the first flat one is forgotten
    assert not any(tile.crossbar.end_epoch(loss) for loss in falls)
    assert not tile.crossbar.end_epoch(2.9)
    assert tile.crossbar.end_epoch(2.9)
    assert int(tile.crossbar.arrays["target"]) == 1


def test_new_weights_begin_the_warm_start_anew():
    tile = started(warm_start=True)
    tile.crossbar.end_epoch(1.0)
    tile.crossbar.end_epoch(2.0)
    assert int(tile.crossbar.arrays["target"]) == 1
    tile.set_weights(np.full((1, 1), 0.2))
    assert int(tile.crossbar.arrays["target"]) == 2
    assert int(tile.crossbar.arrays["loss_count"]) == 0
    np.testing.assert_allclose(tile.get_weights()[0], 0.2, rtol=1e-6)


# ---------------------------------------------------------------- state and bits

KINDS = {
    "chain": MultiTileResidualCompound([rs.SoftBoundsDevice()] * 3, transfer_every=1.0),
    "warm start": MultiTileResidualCompound([rs.SoftBoundsDevice()] * 3, warm_start=True),
    "buffer": MultiTileResidualCompound(
        [rs.SoftBoundsDevice()] * 3, transfer_every=1.0, buffer="leaky", threshold=0.1
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    def make():
        tile = tile_of(KINDS[name], update=rs.UpdateParameters())
        random_steps(tile, 3, seed=9)
        for loss in (1.0, 2.0, 1.5):
            tile.crossbar.end_epoch(loss)
        return tile

    check_continues(make, tmp_path / "tile.npz")


@pytest.mark.parametrize("name", KINDS)
def test_plain_python_and_any_threads_give_the_same_bits(name, monkeypatch):
    check_backends_and_threads(KINDS[name], monkeypatch)


@pytest.mark.parametrize("name", KINDS)
def test_visible_weights_stay_within_the_range_that_is_told(name):
    tile = tile_of(KINDS[name], (5, 6), rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(clock_ratio=0.5), "clock_ratio must be >= 1"),
        (dict(rate_growth=0.0), "rate_growth must be > 0"),
        (dict(warm_start=True, buffer="leaky"), "warm_start needs buffer NONE, got LEAKY"),
    ],
)
def test_what_means_nothing_is_refused(changes, match):
    with pytest.raises(ConfigError, match="MultiTileResidualCompound." + match):
        cell(**changes)


def test_a_loss_must_be_a_number():
    with pytest.raises(DataError, match="end_epoch: loss must be finite, got nan"):
        started(warm_start=True).crossbar.end_epoch(float("nan"))


def test_a_configuration_survives_storage():
    for device in KINDS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(device), {**vars(rs), **vars(compounds)}) == device
