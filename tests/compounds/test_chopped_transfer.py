"""c-TTv2: states against plain loops, choppers, rates, visible weights, bits, refusals."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, StateError
from rpusim.kernels.backend import get_num_threads, set_num_threads
from rpusim.tiles.compounds import BufferedTransferCompound, ChoppedTransferCompound
from tests.backends import OTHERS
from tests.compounds.cells import (
    EXACTLY,
    PERFECT,
    check_continues,
    ideal,
    random_steps,
    same_state,
    tile_of,
)
from tests.naive.chopped import ChoppedTikiTaka

DENSE = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")  # moves A by real numbers


def chopped(*devices, **settings):
    devices = devices or (ideal(), ideal())
    return ChoppedTransferCompound(devices, transfer_forward=PERFECT, **settings)


def noisy(**changes):
    return rs.SoftBoundsDevice(lifetime=100.0, diffusion=0.001, **changes)


def constant(tile, count, x=0.2, d=0.5, rate=0.1):
    """Update with the same pair `count` times."""
    xs, ds = np.full((count, tile.in_size), x), np.full((count, tile.out_size), d)
    tile.update(xs, ds, learning_rate=rate)


def check_follows(tile, naive, states, batches=40, batch=3, rate=0.1, seed=5):
    """Check that a tile goes through the same states as plain loops, batch after batch.

    Weights near 1 carry the roundings of 120 updates, at most 6e-8 each; H is f times a weight.
    """
    rng = np.random.default_rng(seed)
    arrays = tile.crossbar.arrays
    naive.a, naive.b = arrays["in_chopper"].tolist(), arrays["out_chopper"].tolist()
    for _ in range(batches):
        x = rng.normal(size=(batch, tile.in_size)).astype(np.float32)
        d = rng.normal(size=(batch, tile.out_size)).astype(np.float32)
        tile.update(x, d, learning_rate=rate)
        naive.learn(x, d, rate)
        for part, array in zip(tile.crossbar.parts, (naive.A, naive.C), strict=True):
            np.testing.assert_allclose(part.weights, array, atol=2e-6)
        for name in states:
            error = 2e-6 * max(naive.gain, 1.0) if name == "H" else 2e-6
            np.testing.assert_allclose(arrays[name], getattr(naive, name), rtol=1e-5, atol=error)
        np.testing.assert_array_equal(arrays["in_chopper"], naive.a)
        np.testing.assert_array_equal(arrays["out_chopper"], naive.b)
        assert (arrays["sweep"], arrays["slice"]) == (naive.sweep, naive.s)
        np.testing.assert_allclose(tile.get_weights()[0], naive.weights(), atol=4e-6)
    assert np.abs(naive.C).max() > 0.0


OPTIONS = {
    "plain": {},
    "kept momentum": {"momentum": 0.31},
    "conserving": {"forget_buffer": False, "momentum": 0.31},
    "no buffer": {"no_buffer": True, "transfer_lr": 0.97},
    "scaled": {"auto_scale": True, "fast_lr": 0.13, "auto_momentum": 0.9},
    "scaled, relative": {"auto_scale": True, "fast_lr": 1.3, "scale_fast_lr": True},
    "corrected": {"correct_gradient_magnitudes": True, "auto_scale": True, "fast_lr": 0.1},
    "granular": {"auto_granularity": 7.3, "transfer_every": 2.0},
    "batches": {"transfer_every": 0.4, "units_in_mbatch": True, "buffer_granularity": 0.53},
    "chosen period": {"transfer_every": -0.0021},
    "tile's rate": {"fast_lr": 0.0, "scale_transfer_lr": False, "transfer_lr": 0.013},
    "no chopper": {"in_chop_prob": 0.0},
    "every read": {"in_chop_prob": 1.0, "in_chop_random": True, "out_chop_prob": 1.0},
    "seen": {"gamma_vec": (0.37, 0.9), "out_chop_prob": 1.0},
}


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_states_are_those_of_the_algorithm(name, columns):
    base = {"transfer_lr": 0.217, "fast_lr": 0.031, "in_chop_prob": 0.25}
    options = {**base, **OPTIONS[name], "transfer_columns": columns}
    device = chopped(
        ideal(1e-3),
        ideal(2e-3),
        transfer_update=EXACTLY.replace(desired_bl=4),
        **{"in_chop_random": False, **options},
    )
    tile = tile_of(device, shape=(3, 4), update=DENSE)
    slices, length = (4, 3) if columns else (3, 4)
    tile.crossbar.arrays["in_chopper"][:] = np.arange(slices) % 2
    tile.crossbar.arrays["out_chopper"][:] = np.arange(length) == 1
    always = options.pop("in_chop_random", False)
    naive = ChoppedTikiTaka(3, 4, (1e-3, 2e-3), (31, 4), always=always, **options)
    check_follows(tile, naive, ("H", "m_x", "m_d"))


@pytest.mark.parametrize("columns", [True, False])
def test_without_choppers_it_is_ttv2_with_a_threshold_in_steps_of_a(columns):
    common = {
        "transfer_columns": columns,
        "momentum": 0.2,
        "units_in_mbatch": False,
        "fast_lr": 0.03,
        "transfer_lr": 0.217,
        "transfer_forward": PERFECT,
    }
    devices = [ideal(1e-3), ideal(4e-3)]
    pair = [
        tile_of(device, shape=(3, 5), update=DENSE)
        for device in (
            ChoppedTransferCompound(devices, in_chop_prob=0.0, buffer_granularity=1.2, **common),
            BufferedTransferCompound(devices, thres_scale=1.2 * 1e-3 / 4e-3, **common),
        )
    ]
    for tile in pair:
        random_steps(tile, 40, rate=0.1)
    c = [tile.get_weights()[0] for tile in pair]
    assert np.abs(c[0]).max() > 0.01
    np.testing.assert_allclose(c[0], c[1], atol=1e-6)


def test_corrected_magnitudes_make_c_independent_of_steps_and_of_the_fast_rate():
    count, x, d, rate = 40, 0.2, 0.5, 0.1
    for g_a, g_c, fast in ((1e-3, 1e-3, 0.1), (1e-3, 4e-4, 0.05), (5e-3, 1e-3, 0.13)):
        device = chopped(
            ideal(g_a),
            ideal(g_c),
            in_chop_prob=0.0,
            fast_lr=fast,
            transfer_lr=0.05,
            correct_gradient_magnitudes=True,
            forget_buffer=False,
            transfer_update=EXACTLY,
        )
        tile = tile_of(device, shape=(1, 1), update=DENSE)
        constant(tile, count, x, d, rate)
        # the sum of all reads of a growing A: rho x d (1 + 2 + ... + T); a step is yet in H
        expected = -rate * 0.05 * x * d * count * (count + 1) / 2
        assert abs(float(tile.get_weights()[0][0, 0]) - expected) <= 1.01 * g_c


# ---------------------------------------------------------------- choppers


def sweep(tile, count):
    """Return the in-choppers after each of `count` sweeps without gradients."""
    slices, seen = tile.crossbar.slices.count, []
    x, d = np.zeros((slices, tile.in_size)), np.zeros((slices, tile.out_size))
    for _ in range(count):
        tile.update(x, d, learning_rate=0.1)
        seen.append(1.0 - 2.0 * tile.crossbar.arrays["in_chopper"])
    return np.array(seen)


def test_random_choppers_forget_by_one_minus_two_p_per_read():
    p, sweeps = 0.15, 48
    signs = sweep(tile_of(chopped(in_chop_prob=p), shape=(1, 300)), sweeps)
    for lag in (1, 2, 3):
        products = signs[lag::lag] * signs[:-lag:lag]  # of reads apart: independent
        expected = (1.0 - 2.0 * p) ** lag
        error = np.sqrt((1.0 - expected**2) / products.size)
        assert abs(products.mean() - expected) < 5.0 * error


def test_regular_choppers_flip_after_the_reads_of_every_pth_sweep():
    device = chopped(in_chop_prob=0.3, in_chop_random=False, transfer_columns=False)
    tile = tile_of(device, shape=(3, 2))
    seen = sweep(tile, 9)  # P = 4
    expected = [1, 1, 1, -1, -1, -1, -1, 1, 1]
    np.testing.assert_array_equal(seen, np.repeat(expected, 3).reshape(9, 3))
    tile.update(np.zeros((8, 2)), np.zeros((8, 3)), learning_rate=0.1)  # 2 of the reads of sweep 12
    assert tile.crossbar.arrays["in_chopper"].tolist() == [1, 1, 0]


def test_random_out_choppers_flip_once_a_sweep():
    tile = tile_of(chopped(in_chop_prob=0.0, out_chop_prob=0.2), shape=(400, 3))
    flips, before = 0, tile.crossbar.arrays["out_chopper"].copy()
    for _ in range(30):
        sweep(tile, 1)
        now = tile.crossbar.arrays["out_chopper"].copy()
        flips, before = flips + int((now != before).sum()), now
    n = 30 * 400
    assert abs(flips / n - 0.2) < 5.0 * np.sqrt(0.2 * 0.8 / n)


# ---------------------------------------------------------------- rates


@pytest.mark.parametrize("magnitude", [1e-6, 1.0, 1e4])
def test_auto_scale_gives_the_strongest_crosspoint_its_share_of_a_train(magnitude):
    device = chopped(ideal(1e-3), ideal(8e-3), auto_scale=True, fast_lr=0.3, in_chop_prob=0.0)
    tile = tile_of(device, shape=(2, 2), update=rs.UpdateParameters(), rng=3)
    count, share = 60, 0.3 * 31
    x, d = np.tile([1.0, 0.3], (count, 1)), np.tile([-0.5, 1.0], (count, 1)) * magnitude
    tile.update(x, d, learning_rate=0.1)
    slots = np.ceil(share)
    error = np.sqrt(count * share * (1.0 - share / slots))  # of independent slots
    pulses = -float(tile.crossbar["A"].weights[1, 0]) / 1e-3
    assert abs(pulses - count * share) < 5.0 * error + 0.5


@pytest.mark.parametrize(
    ("settings", "rate", "moved"),
    [
        ({"fast_lr": 0.1}, 0.5, 0.1),
        ({"fast_lr": 0.1, "scale_fast_lr": True}, 0.5, 0.05),
        ({"fast_lr": 0.0}, 0.5, 0.5),
    ],
)
def test_the_fast_rate_is_absolute_relative_or_the_learning_rate(settings, rate, moved):
    tile = tile_of(chopped(ideal(), ideal(1e-2), transfer_every=0.0, **settings))
    tile.update(np.ones(3), np.full(2, 0.5), learning_rate=rate)
    np.testing.assert_allclose(tile.crossbar["A"].weights, -0.5 * moved, atol=1e-3)
    assert tile.stats.last_update.transfers == 0


@pytest.mark.parametrize(
    ("settings", "batch", "transfers"),
    [
        ({"transfer_every": 3.0}, 4, 2),
        ({"transfer_every": 0.5, "units_in_mbatch": True}, 4, 4),
        ({"transfer_every": 1.5, "units_in_mbatch": True}, 4, 1),
        ({"transfer_every": 0.0}, 4, 0),
        ({"transfer_lr": 0.0}, 4, 0),
        ({"transfer_every": -0.003}, 4, 4),  # 2000 states over 3 columns: every 2 vectors
        ({"transfer_every": -1e-6}, 4, 8),
    ],
)
def test_transfers_come_as_often_as_asked_for(settings, batch, transfers):
    tile = tile_of(chopped(**settings))
    for _ in range(2):
        tile.update(np.ones((batch, 3)), np.zeros((batch, 2)), learning_rate=0.1)
    assert tile.stats.transfers == transfers


def test_the_cut_of_the_vectors_into_batches_does_not_matter():
    device = chopped(transfer_every=2.0, in_chop_prob=0.3, out_chop_prob=0.4, transfer_lr=0.217)
    whole, single = (tile_of(device, shape=(4, 3), update=DENSE) for _ in range(2))
    x, d = np.random.default_rng(1).normal(size=(2, 60, 4))
    whole.update(x[:, :3], d, learning_rate=0.05)
    for k in range(60):
        single.update(x[k, :3], d[k], learning_rate=0.05)
    np.testing.assert_array_equal(whole.get_weights()[0], single.get_weights()[0])
    np.testing.assert_array_equal(whole.crossbar.arrays["H"], single.crossbar.arrays["H"])


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (3, 3)])
def test_a_is_seen_with_the_signs_of_its_choppers(shape, columns):
    device = chopped(gamma=0.5, transfer_columns=columns, fast_lr=0.1)
    tile = tile_of(device, shape=shape, update=DENSE)
    rng = np.random.default_rng(2)
    for name in ("in_chopper", "out_chopper"):
        bits = tile.crossbar.arrays[name]
        bits[:] = rng.integers(0, 2, bits.size)
    random_steps(tile, 5, rate=0.1)
    bits = [tile.crossbar.arrays[name] for name in ("in_chopper", "out_chopper")]
    of_rows, of_cols = bits[::-1] if columns else bits
    a, c = (part.weights for part in tile.crossbar.parts)
    for i in range(shape[0]):
        for j in range(shape[1]):
            sign = 1.0 if of_rows[i] == of_cols[j] else -1.0
            seen = float(tile.get_weights()[0][i, j])
            assert seen == pytest.approx(0.5 * sign * a[i, j] + c[i, j], abs=1e-6)
    assert np.abs(a).min() > 1e-3


def test_weights_that_are_set_are_seen_and_everything_begins_anew():
    tile = tile_of(chopped(gamma=0.5, auto_scale=True, fast_lr=0.1, out_chop_prob=0.5))
    random_steps(tile, 20)
    w = np.array([[0.3, -0.2, 0.1], [0.0, 0.45, -0.45]])
    assert tile.set_weights(w) == 0
    np.testing.assert_allclose(tile.get_weights()[0], w, atol=1e-6)
    for name, array in tile.crossbar.arrays.items():
        assert not array.any(), name


def test_visible_weights_stay_within_the_range_that_is_told():
    device = chopped(noisy(w_max=0.3), noisy(w_min=-0.2), gamma=0.5, out_chop_prob=0.3)
    tile = tile_of(device, shape=(5, 6), update=rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


def test_the_range_of_a_slice_turns_round_with_its_chopper():
    tile = tile_of(chopped(ideal(w_max=0.2, w_min=-0.6), ideal(w_max=0.3), gamma=0.5))
    tile.crossbar.arrays["in_chopper"][1] = 1
    low, high = tile.weight_range()
    np.testing.assert_allclose(low, [[-1.3, -1.1, -1.3]] * 2, atol=1e-6)
    np.testing.assert_allclose(high, [[0.4, 0.6, 0.4]] * 2, atol=1e-6)


def test_a_reset_is_one_of_a_only():
    tile = tile_of(chopped(gamma=1.0))
    one = np.ones((2, 3))
    tile.set_hidden_parameters({"hidden_weights_0": 0.2 * one, "hidden_weights_1": 0.3 * one})
    tile.reset_columns(1, 1)
    hidden = tile.get_hidden_parameters()
    assert np.abs(hidden["hidden_weights_0"][:, 1]).max() < 0.06  # reset_std 0.01
    np.testing.assert_allclose(hidden["hidden_weights_0"][:, [0, 2]], 0.2)
    np.testing.assert_allclose(hidden["hidden_weights_1"], 0.3)


def test_the_buffer_is_a_hidden_parameter_set_with_all_others_or_not_at_all():
    tile = tile_of(chopped())
    one = np.ones((2, 3))
    tile.set_hidden_parameters({"hidden_weights_1": 0.3 * one, "buffered_FP_weight_0": 0.7 * one})
    np.testing.assert_allclose(tile.crossbar.arrays["H"], 0.7)
    np.testing.assert_allclose(tile.get_weights()[0], 0.3)
    before = tile.state_dict()
    with pytest.raises(DataError, match="max_bound"):
        tile.set_hidden_parameters({"buffered_FP_weight_0": one, "max_bound_1": np.nan * one})
    with pytest.raises(StateError, match="no hidden parameter is called 'buffered_FP_weight'"):
        tile.set_hidden_parameters({"buffered_FP_weight": one})
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_parts_may_be_cells():
    pair = rs.ReferenceUnitCell([ideal(), ideal()])
    tile = tile_of(chopped(pair, pair, in_chop_prob=0.0, transfer_lr=0.3), update=DENSE)
    one = np.ones((2, 3))
    tile.set_hidden_parameters({"hidden_weights_1_1": -0.1 * one, "hidden_weights_1_0": 0.2 * one})
    np.testing.assert_allclose(tile.get_weights()[0], 0.1, atol=1e-6)
    assert tile.set_weights(0.2 * one) == 0
    np.testing.assert_allclose(tile.get_weights()[0], 0.2, atol=1e-6)
    np.testing.assert_allclose(tile.crossbar["A"].weights, 0.0, atol=1e-6)
    constant(tile, 60, rate=1.0)
    assert (tile.crossbar["A"].weights < -0.5).all()
    assert (tile.get_weights()[0] < 0.2).all()


# ---------------------------------------------------------------- state and bits

CELLS = {
    "columns": chopped(noisy(), noisy(), in_chop_prob=0.4, out_chop_prob=0.4),
    "rows, seen": ChoppedTransferCompound(
        [noisy(), noisy(write_noise_std=1.0)],
        transfer_columns=False,
        gamma=0.5,
        in_chop_prob=0.4,
        transfer_forward=rs.IOParameters(noise_management="NONE", bound_management="NONE"),
    ),
    "scaled": chopped(noisy(), noisy(), auto_scale=True, fast_lr=0.2, in_chop_random=False),
    "nested": chopped(rs.ReferenceUnitCell([noisy()]), rs.ExpStepDevice(), in_chop_prob=0.4),
    "chosen": chopped(rs.VectorUnitCell([noisy(), noisy()]), noisy(), transfer_every=-0.004),
}


def trained(device, steps=20, backend="cpu", shape=(4, 3)):
    tile = tile_of(device, shape, update=rs.UpdateParameters(), backend=backend)
    random_steps(tile, steps)
    return tile


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(CELLS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", CELLS)
def test_all_backends_give_the_same_bits(name, other):
    same_state(trained(CELLS[name], 3), trained(CELLS[name], 3, backend=other))


def test_the_number_of_threads_does_not_matter():
    before = get_num_threads()
    tiles = []
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            tiles.append(trained(CELLS["columns"], 3, shape=(200, 150)))
    finally:
        set_num_threads(before)
    same_state(*tiles)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("count", "settings", "match"),
    [
        (1, {}, "must hold 2 devices, got 1"),
        (3, {}, "must hold 2 devices, got 3"),
        (2, {"n_reads_per_transfer": 2}, "n_reads_per_transfer must be 1, got 2"),
        (2, {"random_selection": True}, "random_selection must be False, got True"),
        (2, {"with_reset_prob": 0.1}, "with_reset_prob must be 0.0, got 0.1"),
        (2, {"auto_scale": True, "fast_lr": 0.0}, "auto_scale needs fast_lr > 0"),
        (2, {"transfer_every": -1.0, "units_in_mbatch": True}, "needs units_in_mbatch=False"),
        (2, {"in_chop_prob": 1.5}, "in_chop_prob must be"),
        (2, {"gamma_vec": (1.0, 0.0)}, "gamma_vec"),
        (2, {"gamma_vec": (1.0, 0.5, 1.0)}, "one number for each of 2"),
        (
            2,
            {"transfer_forward": rs.IOParameters(inp_bound=0.5, noise_management="NONE")},
            "inp_bound must be 1",
        ),
    ],
)
def test_what_the_algorithm_does_not_have_is_refused_by_name(count, settings, match):
    with pytest.raises(ConfigError, match=match):
        ChoppedTransferCompound([ideal()] * count, **settings)


def test_a_batch_that_is_refused_changes_nothing():
    tile = tile_of(chopped(auto_scale=True, fast_lr=0.1))
    before = tile.state_dict()
    x = np.ones((3, 3))
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="x must be finite"):
        tile.update(x, np.ones((3, 2)), learning_rate=0.1)
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_cell_survives_storage():
    names = {**vars(rs), "ChoppedTransferCompound": ChoppedTransferCompound}
    for device in CELLS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(config), dict(names)) == config
