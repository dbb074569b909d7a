"""AGAD: states against plain loops, the dynamic reference, bits, refusals; who learns how well."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError
from rpusim.tiles.compounds import ChoppedTransferCompound, DynamicTransferCompound
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
from tests.compounds.test_chopped_transfer import DENSE, check_follows, constant, noisy
from tests.naive.chopped import ChoppedTikiTaka


def agad(*devices, **settings):
    devices = devices or (ideal(), ideal())
    return DynamicTransferCompound(devices, transfer_forward=PERFECT, **settings)


OPTIONS = {
    "plain": {},
    "kept momentum": {"momentum": 0.31},
    "conserving": {"forget_buffer": False, "momentum": 0.31},
    "capped": {"forget_buffer": False, "momentum": 0.4, "buffer_cap": 0.6},
    "scaled": {"auto_scale": True, "fast_lr": 0.13, "auto_momentum": 0.9},
    "corrected": {"correct_gradient_magnitudes": True, "transfer_lr": 0.7},
    "granular": {"auto_granularity": 7.3, "tail_weightening": 1.7},
    "accumulating": {"experimental_correct_accumulation": True, "transfer_lr": 0.7},
    "every read": {"in_chop_prob": 1.0, "in_chop_random": True},
    "seen": {"gamma_vec": (0.37, 0.9), "tail_weightening": 0.8},
}


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_states_are_those_of_the_algorithm(name, columns):
    base = {"transfer_lr": 0.217, "fast_lr": 0.031, "in_chop_prob": 0.25}
    options = {**base, **OPTIONS[name], "transfer_columns": columns}
    write = EXACTLY.replace(desired_bl=4)
    tile = tile_of(
        agad(ideal(1e-3), ideal(2e-3), transfer_update=write, **options), (3, 4), update=DENSE
    )
    slices = 4 if columns else 3
    tile.crossbar.arrays["in_chopper"][:] = np.arange(slices) % 2
    always = options.pop("in_chop_random", False)
    naive = ChoppedTikiTaka(3, 4, (1e-3, 2e-3), (31, 4), dynamic=True, always=always, **options)
    check_follows(tile, naive, ("H", "M", "R", "switched", "m_x", "m_d"))


# ---------------------------------------------------------------- the reference


@pytest.mark.parametrize("offset", [0.0, 0.3, -0.3])
def test_an_offset_of_a_does_not_change_what_c_learns(offset):
    tile = tile_of(agad(fast_lr=0.1, transfer_lr=0.05), shape=(1, 1), update=rs.UpdateParameters())
    tile.set_hidden_parameters({"hidden_weights_0": [[offset]]})
    for expected in (-0.018, -0.038, -0.058, -0.078):
        constant(tile, 100)
        assert float(tile.get_weights()[0][0, 0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("columns", [True, False])
def test_nothing_is_written_or_stored_until_there_is_a_reference(columns):
    device = agad(fast_lr=0.05, in_chop_prob=0.2, transfer_columns=columns)  # P = 5
    tile = tile_of(device, shape=(3, 4), update=DENSE)
    per_sweep = 4 if columns else 3
    for sweeps in range(1, 7):
        constant(tile, per_sweep)
        assert tile.crossbar.arrays["sweep"] == sweeps
        assert not tile.get_weights()[0].any()
        assert not tile.crossbar.arrays["H"].any()
    assert tile.crossbar.arrays["M"].any()
    constant(tile, per_sweep)
    assert tile.get_weights()[0].all()


def test_with_all_weight_at_the_end_the_reference_is_the_last_read_before_the_flip():
    device = agad(fast_lr=0.1, in_chop_prob=0.2, tail_weightening=5.0)  # beta = 1
    tile = tile_of(device, shape=(1, 1), update=DENSE)
    constant(tile, 5)
    last = float(tile.crossbar["A"].weights[0, 0])
    assert last == pytest.approx(-0.05, abs=1e-6)
    assert tile.crossbar.arrays["switched"][0] == 1
    constant(tile, 1)
    assert float(tile.crossbar.arrays["R"][0, 0]) == last
    assert tile.crossbar.arrays["switched"][0] == 0
    constant(tile, 4)
    assert float(tile.crossbar.arrays["R"][0, 0]) == last


def test_random_flips_come_on_top_of_the_regular_ones():
    p, sweeps, slices = 0.1, 40, 300
    tile = tile_of(agad(in_chop_prob=p, in_chop_random=True), shape=(1, slices))
    flips, x, d = np.zeros(sweeps), np.zeros((slices, slices)), np.zeros((slices, 1))
    for c in range(sweeps):
        tile.update(x, d, learning_rate=0.1)
        flips[c] = tile.crossbar.arrays["switched"].mean()
    regular = np.arange(1, sweeps + 1) % 10 == 0
    np.testing.assert_array_equal(flips[regular], 1.0)
    n = slices * int((~regular).sum())
    assert abs(flips[~regular].mean() - p) < 5.0 * np.sqrt(p * (1.0 - p) / n)


def test_buffer_mean_and_reference_are_hidden_parameters():
    tile = tile_of(agad())
    names = {
        "buffered_FP_weight": "H",
        "running_mean_weight": "M",
        "past_mean_weight": "R",
    }
    assert set(names) < set(tile.get_hidden_parameters())
    values = {name: np.full((2, 3), 0.1 * k) for k, name in enumerate(names, 1)}
    tile.set_hidden_parameters(values)
    for name, array in names.items():
        np.testing.assert_allclose(tile.crossbar.arrays[array], values[name])
    tile.set_weights(np.full((2, 3), 0.2))
    for array in tile.crossbar.arrays.values():
        assert not array.any()


def test_visible_weights_stay_within_the_range_that_is_told():
    device = agad(noisy(w_max=0.3), noisy(w_min=-0.2), gamma=0.5, in_chop_prob=0.4)
    tile = tile_of(device, shape=(5, 6), update=rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


# ---------------------------------------------------------------- state and bits

CELLS = {
    "columns": agad(noisy(), noisy(), in_chop_prob=0.4),
    "rows, seen": DynamicTransferCompound(
        [noisy(write_noise_std=1.0), noisy()],
        transfer_columns=False,
        gamma=0.5,
        in_chop_prob=0.5,
        in_chop_random=True,
        auto_scale=True,
        fast_lr=0.2,
    ),
    "nested": agad(rs.ReferenceUnitCell([noisy()]), rs.ExpStepDevice(), in_chop_prob=0.4),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(CELLS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", CELLS)
def test_all_backends_give_the_same_bits(name, other):
    tiles = []
    for backend in ("cpu", other):
        tile = tile_of(CELLS[name], (3, 2), update=rs.UpdateParameters(), backend=backend)
        random_steps(tile, 5)
        tiles.append(tile)
    same_state(*tiles)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"in_chop_prob": 0.0}, "in_chop_prob must be > 0, got 0"),
        ({"out_chop_prob": 0.1}, "out_chop_prob must be 0.0, got 0.1"),
        ({"no_buffer": True}, "no_buffer must be False, got True"),
        ({"auto_momentum": 1.0}, "auto_momentum must be > 0 and < 1, got 1.0"),
        ({"buffer_cap": 1.0}, "buffer_cap needs forget_buffer=False"),
        ({"n_reads_per_transfer": 2}, "DynamicTransferCompound.n_reads_per_transfer must be 1"),
    ],
)
def test_what_the_algorithm_does_not_have_is_refused_by_name(settings, match):
    with pytest.raises(ConfigError, match=match):
        agad(**settings)


# ---------------------------------------------------------------- who learns how well


def weight_error(device, vectors=4000, batch=10, shape=(10, 8)):
    """Return the rms error of weights learned from noisy gradients, late in training."""
    rng = np.random.default_rng(0)
    target, errors = rng.uniform(-0.4, 0.4, shape), []
    tile = tile_of(device, shape, update=rs.UpdateParameters(), rng=1)
    for k in range(vectors // batch):
        x = rng.normal(size=(batch, shape[1]))
        d = tile.forward(x) - x @ target.T + 0.1 * rng.normal(size=(batch, shape[0]))
        tile.update(x, d, learning_rate=0.1)
        if k * batch >= 3 * vectors // 4:
            errors.append(np.square(tile.get_weights()[0] - target).mean())
    return np.sqrt(np.mean(errors))


@pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")
def test_an_offset_spoils_sgd_and_ttv2_slows_choppers_and_leaves_the_dynamic_reference():
    def device(spread):
        spreads = dict.fromkeys(("w_max_dtod", "w_min_dtod", "dw_min_dtod"), 0.1)
        return rs.SoftBoundsReferenceDevice(
            dw_min=0.01,
            w_max=1.0,
            w_min=-1.0,
            subtract_symmetry_point=True,
            reference_std=spread,
            **spreads,
        )

    settings = {"auto_scale": True, "fast_lr": 0.1, "auto_granularity": 100.0}
    settings |= {"transfer_forward": PERFECT}

    def errors(spread):
        parts = [device(spread), device(0.0)]
        compounds = {
            "sgd": parts[0],
            "ttv2": ChoppedTransferCompound(parts, in_chop_prob=0.0, **settings),
            "c-ttv2": ChoppedTransferCompound(parts, in_chop_prob=0.05, **settings),
            "agad": DynamicTransferCompound(parts, in_chop_prob=0.05, **settings),
        }
        return {name: weight_error(compound) for name, compound in compounds.items()}

    without, offset = errors(0.0), errors(0.6)
    # the target has an rms of 0.23, a step is 0.01
    assert max(without["ttv2"], without["agad"], offset["agad"]) < 0.02
    assert without["c-ttv2"] < 0.04
    assert abs(offset["agad"] / without["agad"] - 1.0) < 0.25
    assert min(offset["sgd"], offset["ttv2"]) > 0.23
    assert 2.0 * without["c-ttv2"] < offset["c-ttv2"] < 0.5 * offset["ttv2"]
