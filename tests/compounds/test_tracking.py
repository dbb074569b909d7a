"""RIDER and E-RIDER: what choppers find, what they cost, choppers, references, state."""

import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, ModelRangeWarning
from rpusim.tiles import compounds
from rpusim.tiles.compounds import ERiderTransferCompound
from tests.compounds.bed import MEAN_FIELD, average, linear, train
from tests.compounds.cells import (
    check_backends_and_threads,
    check_continues,
    ideal,
    random_steps,
    tile_of,
)
from tests.naive.residual import residual
from tests.naive.tolerance import check_proportion

PERFECT = rs.IOParameters(is_perfect=True)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")
FILTER = dict(buffer="leaky", threshold=0.0, momentum=0.98)
slow = pytest.mark.slow


def w(tile):
    return tile.crossbar.parts[1].weights


def q(tile):
    return tile.crossbar.arrays["Q"]


def cell(*devices, update=EXACT, **changes):
    settings = dict(
        transfer_forward=PERFECT, transfer_update=update, units_in_mbatch=False,
        transfer_columns=False, buffer="none",
    )  # fmt: skip
    devices = devices or (ideal(), ideal())
    return ERiderTransferCompound(devices, **{**settings, **changes})


def bed(slow_device, **changes):
    settings = dict(gamma=0.5, transfer_lr=0.005, track_reference=0.005)
    p = linear(symmetry_point=0.3)
    return cell(p, slow_device, update=MEAN_FIELD, **{**settings, **changes})


# ---------------------------------------------------------------- where it leads


def test_without_a_chopper_the_symmetry_point_is_not_tracked_and_the_weight_is_wrong():
    device = bed(ideal(), chop_prob=0.0, sync="always")
    tiles, steps = [], 6000

    def seen():
        for tile in train(device, steps):
            tiles[:] = [tile]
            yield tile

    with pytest.warns(ModelRangeWarning, match="chop_prob = 0 .RIDER. the symmetry point"):
        found, error = average(seen(), [w, q], 3000)
    assert (np.abs(found - 0.461) < 0.0005 + 5.0 * error).all()  # target 0.5, symmetry point 0.3
    # W - transfer_lr / track_reference * Q is conserved
    np.testing.assert_allclose(w(tiles[0]), q(tiles[0]), atol=steps * np.finfo(np.float32).eps)


@pytest.mark.parametrize("p", [0.01, 0.05, pytest.param(0.2, marks=slow)])
def test_choppers_find_the_optimum_and_the_symmetry_point(p):
    steps = 60000 if p > 0.1 else 16000
    found, error = average(train(bed(ideal(), chop_prob=p), steps, 100), [w, q], steps * 2 // 3)
    assert (np.abs(found - [0.5, 0.3]) < 0.0005 + 5.0 * error).all()


@pytest.mark.parametrize(
    ("p", "w_found", "w_filtered"),
    [(0.01, 0.476, 0.485), (0.05, 0.407, 0.473), pytest.param(0.2, 0.264, 0.455, marks=slow)],
)
def test_chopping_an_asymmetric_slow_device_costs_and_the_buffer_saves(p, w_found, w_filtered):
    steps = 60000 if p > 0.1 else 16000
    for changes, expected in ((dict(), w_found), (FILTER, w_filtered)):
        device = bed(linear(), chop_prob=p, **changes)
        (found, point), error = average(train(device, steps, 100), [w, q], steps // 2)
        assert abs(found - expected) < 0.001 + 5.0 * error[0]
        assert abs(point - 0.3) < 0.001 + 5.0 * error[1]
        assert error[0] < 0.01  # sharp enough to tell the two apart


# ---------------------------------------------------------------- the algorithm, literally


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    ("buffer", "sync", "p"),
    [
        ({}, "on_flip", 0.25),
        (dict(buffer="leaky", momentum=0.8, threshold=1.0), "on_flip", 0.5),
        (dict(buffer="leaky", momentum=0.8, threshold=0.0), "always", 0.3),
        ({}, "always", 0.0),
    ],
)
@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_it_follows_the_equations(buffer, sync, p, columns):
    shape, gamma, alpha, rho, eta, step = (2, 3), 0.4, 0.1, 0.3, 0.1, 1e-3
    wide = [ideal(g, w_max=9.0, w_min=-9.0) for g in (1e-3, step)]
    device = cell(
        *wide, gamma=gamma, transfer_lr=rho, transfer_columns=columns, chop_prob=p,
        chop_random=False, track_reference=eta, sync=sync, **buffer,
    )  # fmt: skip
    tile = tile_of(device, shape, EXACT)
    rng = np.random.default_rng(3)
    batches = [
        (np.float32(0.2 * rng.normal(size=(m, 3))), np.float32(rng.normal(size=(m, 2))))
        for m in (20, 7, 33)
    ]
    flipped = False
    for x, d in batches:
        tile.update(x, d, learning_rate=alpha)
        flipped |= bool(tile.crossbar.arrays["chopper"].any())
    kept = (buffer["momentum"], buffer["threshold"] * step, step) if buffer else ()
    tracker, period = (eta, sync == "always"), round(1.0 / p) if p else 0
    expected = residual(batches, shape, gamma, alpha, rho, columns, kept, tracker, period)
    p_and_w = [part.weights for part in tile.crossbar.parts]
    for found, values in zip([*p_and_w, tile.crossbar.weights], expected, strict=True):
        np.testing.assert_allclose(found, values, atol=5e-6)
    assert np.abs(expected[1]).max() > 0.0
    assert flipped == (p > 0.0)


@pytest.mark.parametrize("columns", [True, False])
def test_the_visible_weight_has_the_sign_of_each_chopper(columns):
    tile = tile_of(cell(gamma=0.5, transfer_columns=columns), (2, 3))
    p, r = np.arange(6.0).reshape(2, 3) / 10.0, np.arange(6.0)[::-1].reshape(2, 3) / 20.0
    count = 3 if columns else 2
    tile.crossbar.arrays["chopper"][:] = np.arange(count) % 2
    tile.set_hidden_parameters(
        {
            "past_mean_weight": r,
            "hidden_weights_1": np.full((2, 3), 0.1),
            "hidden_weights_0": p,
        }
    )
    signs = np.array([1.0, -1.0, 1.0]) if columns else np.array([[1.0], [-1.0]])
    np.testing.assert_allclose(
        tile.get_weights()[0], 0.1 + 0.5 * signs * (p - r), rtol=1e-5, atol=1e-7
    )


def test_random_choppers_flip_as_often_as_they_should():
    device = cell(chop_prob=0.2, n_reads_per_transfer=50)
    tile = tile_of(device, (50, 1), EXACT)
    before, flips = tile.crossbar.arrays["chopper"].copy(), []
    for _ in range(100):
        tile.update(np.zeros((1, 1)), np.zeros((1, 50)), 1.0)
        now = tile.crossbar.arrays["chopper"].copy()
        flips.append(now != before)
        before = now
    check_proportion(np.array(flips), 0.2)


@pytest.mark.parametrize("random", [True, False])
def test_one_chopper_of_the_tile_turns_all_slices_and_takes_over_all_references(random):
    device = cell(chop_prob=0.25, chop="tile", chop_random=random, track_reference=0.5)
    tile = tile_of(device, (4, 3), EXACT)
    hidden = {"hidden_weights_0": np.full((4, 3), 0.2)}
    tile.set_hidden_parameters(hidden)
    turns = 0
    for k in range(40):
        before = tile.crossbar.arrays["chopper"].copy()
        tile.update(np.zeros((1, 3)), np.zeros((1, 4)), 1.0)
        choppers = tile.crossbar.arrays["chopper"]
        assert (choppers == choppers[0]).all()
        if choppers[0] != before[0]:
            turns += 1
            now = tile.get_hidden_parameters()
            np.testing.assert_array_equal(now["past_mean_weight"], now["running_mean_weight"])
            assert random or (k + 1) % 4 == 0
    assert turns == 10 or random and 0 < turns < 40


def test_a_reference_that_is_never_synchronised_stays_zero():
    tile = tile_of(cell(sync="never", chop_prob=0.5), (2, 3), EXACT)
    random_steps(tile, 10)
    hidden = tile.get_hidden_parameters()
    assert np.abs(hidden["running_mean_weight"]).max() > 0.0
    np.testing.assert_array_equal(hidden["past_mean_weight"], 0.0)


# ---------------------------------------------------------------- state and bits


def noisy(**changes):
    device = rs.SoftBoundsDevice(lifetime=100.0, diffusion=0.001)
    settings = dict(units_in_mbatch=False, threshold=0.1, chop_prob=0.3)
    return ERiderTransferCompound([device, device], **{**settings, **changes})


KINDS = {
    "line": noisy(),
    "tile": noisy(chop="tile", n_reads_per_transfer=2),
    "regular rows": noisy(chop_random=False, transfer_columns=False, buffer="none"),
    "always": noisy(sync="always", transfer_every=2.0),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(KINDS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("name", KINDS)
def test_plain_python_and_any_threads_give_the_same_bits(name, monkeypatch):
    check_backends_and_threads(KINDS[name], monkeypatch)


@pytest.mark.parametrize("name", KINDS)
def test_visible_weights_stay_within_the_range_that_is_told(name):
    tile = tile_of(KINDS[name], (5, 6), rs.UpdateParameters())
    flipped = False
    for seed in range(15):
        random_steps(tile, 3, seed, rate=1.0)
        flipped |= bool(tile.crossbar.arrays["chopper"].any())
        low, high = tile.weight_range()
        seen = tile.get_weights()[0]
        assert ((low - 1e-6 <= seen) & (seen <= high + 1e-6)).all()
    assert flipped


def test_hidden_parameters_are_all_set_or_none():
    tile = tile_of(KINDS["line"])
    random_steps(tile, 5)
    other = tile_of(KINDS["line"], rng=1)
    other.set_hidden_parameters(dict(reversed(tile.get_hidden_parameters().items())))
    for name, array in other.get_hidden_parameters().items():
        np.testing.assert_array_equal(array, tile.get_hidden_parameters()[name], err_msg=name)
    before = tile.state_dict()
    with pytest.raises(rs.ShapeError, match="past_mean_weight must have shape"):
        tile.set_hidden_parameters(
            {"running_mean_weight": np.ones((2, 3)), "past_mean_weight": np.ones(3)}
        )
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_new_weights_begin_anew():
    tile = tile_of(KINDS["line"], update=rs.UpdateParameters())
    random_steps(tile, 20)
    tile.set_weights(np.full((2, 3), 0.1))
    np.testing.assert_allclose(tile.get_weights()[0], 0.1, rtol=1e-6)
    for name, array in tile.crossbar.arrays.items():
        np.testing.assert_array_equal(array, 0, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(chop="row"), "chop must be one of LINE, TILE"),
        (dict(chop_prob=1.5), "chop_prob must be in 0..1"),
        (dict(track_reference=-0.1), "track_reference must be in 0..1"),
        (dict(sync="often"), "sync must be one of ON_FLIP, ALWAYS, NEVER"),
        (dict(unit_cell_devices=[ideal()] * 3), "must hold 2 devices, got 3"),
    ],
)
def test_what_means_nothing_is_refused(changes, match):
    with pytest.raises(ConfigError, match=match):
        noisy(**changes) if "unit_cell_devices" not in changes else cell(*[ideal()] * 3)


def test_only_a_missing_chopper_is_warned_of():
    def caught(device):
        tile = tile_of(device, update=EXACT)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            random_steps(tile, 3)
        return len([w for w in found if issubclass(w.category, ModelRangeWarning)])

    assert caught(cell(linear(symmetry_point=0.3), ideal())) == 0
    assert caught(cell(chop_prob=0.0)) == 1


def test_a_configuration_survives_storage():
    for device in KINDS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
        assert eval(repr(device), {**vars(rs), **vars(compounds)}) == device
