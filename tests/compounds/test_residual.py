"""Residual learning: exact limits, damping, buffers, what it warns of, state."""

import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, ModelRangeWarning
from rpusim.tiles import compounds
from rpusim.tiles.compounds import ResidualTransferCompound, TransferCompound
from tests.compounds.bed import MEAN_FIELD, TARGET, average, linear, train
from tests.compounds.cells import (
    check_backends_and_threads,
    check_continues,
    ideal,
    random_steps,
    same_state,
    tile_of,
)
from tests.naive.residual import residual

PERFECT = rs.IOParameters(is_perfect=True)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")
ALPHA, BETA, SIGMA = 0.02, 0.005, 0.3 * np.sqrt(2.0 / np.pi)  # mean |noise| of the gradients


def visible(tile):
    return tile.crossbar.weights


def part(k):
    return lambda tile: tile.crossbar.parts[k].weights


def cell(*devices, update=EXACT, **changes):
    """Return a compound with exact reads and writes, whose slices are carried every pair."""
    settings = dict(
        transfer_forward=PERFECT, transfer_update=update, units_in_mbatch=False,
        transfer_columns=False,
    )  # fmt: skip
    devices = devices or (ideal(), ideal())
    return ResidualTransferCompound(devices, **{**settings, **changes})


def mean_field(p, w, **changes):
    return cell(p, w, update=MEAN_FIELD, **{"transfer_lr": BETA, **changes})


# ---------------------------------------------------------------- where it leads


@pytest.mark.parametrize(("tau", "mean"), [(1.0, 0.39911), (3.0, 0.46279)])
def test_one_crossbar_alone_is_drawn_to_its_symmetry_point(tau, mean):
    (w,), (error,) = average(train(linear(tau), 5000), [visible], 1500)
    assert abs(w - mean) < 5.0 * error


@pytest.mark.parametrize(
    ("gamma", "w_found", "mixed_found"),
    [(0.0, 0.494, 0.494), (0.1, 0.492, 0.4945), (0.5, 0.489, 0.496)],
)
def test_a_zero_shifted_fast_device_leads_almost_to_the_optimum(gamma, w_found, mixed_found):
    device = mean_field(linear(), linear(), gamma=gamma)
    (w, mixed), error = average(train(device, 6000), [part(1), visible], 2500)
    # what is left comes from W's own asymmetry; figures to three digits
    assert abs(w - w_found) < 0.0005 + 5.0 * error[0]
    assert abs(mixed - mixed_found) < 0.0005 + 5.0 * error[1]


@pytest.mark.parametrize(("symmetry_point", "w_found"), [(0.1, 0.512), (0.3, 0.561)])
def test_without_zero_shift_the_slow_device_is_wrong(symmetry_point, w_found):
    device = mean_field(linear(symmetry_point=symmetry_point), linear(), gamma=0.5)
    with pytest.warns(ModelRangeWarning, match=rf"\|G\| / F is {symmetry_point}"):
        (w,), (error,) = average(train(device, 5000), [part(1)], 2500)
    assert abs(w - w_found) < 0.0005 + 5.0 * error  # as quoted, to three digits


def test_an_ideal_slow_device_is_wrong_too():
    device = mean_field(linear(symmetry_point=0.3), ideal(), gamma=0.5)
    with pytest.warns(ModelRangeWarning):
        (w, mixed), error = average(train(device, 5000), [part(1), visible], 2500)
    # h (Wbar - w*) + A (P - 0.3) = 0 at P = 0, with A = E|g| there
    assert abs(w - 0.574) < 0.0005 + 5.0 * error[0]
    assert abs(mixed - w) < 5.0 * error[0]


def test_a_reference_at_the_symmetry_point_mends_it():
    pair = rs.ReferenceUnitCell([linear(symmetry_point=0.3), ideal()])
    device = mean_field(pair, ideal(), gamma=0.5)

    def shifted():
        for k, tile in enumerate(train(device, 5000)):
            if k == 0:
                tile.set_hidden_parameters(
                    {f"hidden_weights_{n}_0": np.full((1, 400), 0.3) for n in (0, 1)}
                )
            yield tile

    with pytest.warns(ModelRangeWarning, match="symmetry point"):  # of the very first step
        (w,), (error,) = average(shifted(), [part(1)], 2500)
    assert abs(w - TARGET) < 5.0 * error


@pytest.mark.parametrize(
    ("gamma", "eigenvalues"),
    [
        (0.0, [-0.0024 - 0.0097j, -0.0024 + 0.0097j]),
        (0.5, [-0.0074 - 0.0067j, -0.0074 + 0.0067j]),
        (1.0, [-0.0197, -0.0051]),
    ],
)
def test_gamma_is_the_damping(gamma, eigenvalues):
    b = ALPHA * (gamma + 0.24)
    found = np.sort_complex(np.roots([1.0, b, ALPHA * BETA]))
    np.testing.assert_allclose(found, np.sort_complex(eigenvalues), atol=5e-5)
    steps, start, count = 400, 0.1, 2000
    device = mean_field(linear(), ideal(), gamma=gamma)
    drift = np.array([[-ALPHA * (gamma + SIGMA), -ALPHA], [0.0, 0.0]])
    state = np.array([0.0, start])  # P, W - w*
    for tile in train(device, steps, count, start=TARGET + start):
        state = state + drift @ state
        state[1] += BETA * state[0]
        w = part(1)(tile)
        error = w.std() / np.sqrt(count)
        # |g| of a device off the optimum by m is larger by (m / noise)^2 / 2 of itself
        allowed = 5.0 * error + 0.5 * (start / 0.3) ** 2 * SIGMA * start
        assert abs(w.mean() - TARGET - state[1]) < allowed


# ---------------------------------------------------------------- the algorithm, literally


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    ("momentum", "threshold", "rho"), [(None, 1.0, 0.3), (0.9, 1.0, 1.0), (0.8, 0.0, 0.5)]
)
def test_it_follows_the_equations(momentum, threshold, rho, columns):
    shape, gamma, alpha, step = (2, 3), 0.4, 0.1, 1e-3
    buffer = dict(buffer="leaky", momentum=momentum, threshold=threshold) if momentum else {}
    wide = [ideal(g, w_max=9.0, w_min=-9.0) for g in (1e-3, step)]
    device = cell(*wide, gamma=gamma, transfer_lr=rho, transfer_columns=columns, **buffer)
    tile = tile_of(device, shape, EXACT)
    rng = np.random.default_rng(3)
    batches = [
        (np.float32(0.2 * rng.normal(size=(m, 3))), np.float32(rng.normal(size=(m, 2))))
        for m in (20, 7, 33)
    ]
    for x, d in batches:
        tile.update(x, d, learning_rate=alpha)
    kept = (momentum, threshold * step, step) if momentum else ()
    p, w, mixed = residual(batches, shape, gamma, alpha, rho, columns, kept)
    for found, expected in ((part(0), p), (part(1), w), (visible, mixed)):
        np.testing.assert_allclose(found(tile), expected, atol=5e-6)
    assert np.abs(w).max() > 0.0


def test_without_gamma_and_buffer_it_is_tiki_taka():
    settings = dict(transfer_lr=0.2, fast_lr=0.1, scale_transfer_lr=True)
    devices = [rs.SoftBoundsDevice(), rs.SoftBoundsDevice(dw_min=0.01)]
    one = tile_of(ResidualTransferCompound(devices, gamma=0.0, **settings), rng=3)
    other = tile_of(TransferCompound(devices, **settings), rng=3)
    for tile in (one, other):
        random_steps(tile, 10)
    same_state(one, other, but=["device"])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_read_below_the_threshold_never_leaves_the_leaky_buffer(sign):
    device = cell(buffer="leaky", momentum=0.9, gamma=0.0)
    pulses = []
    for read in (0.00099, 0.0011):
        tile = tile_of(device, (1, 1), EXACT)
        tile.set_hidden_parameters({"hidden_weights_0": np.full((1, 1), sign * read)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelRangeWarning)
            tile.update(np.zeros((200, 1)), np.zeros((200, 1)), 1.0)
        pulses.append(part(1)(tile)[0, 0] * sign)
        h = tile.get_hidden_parameters()["buffered_FP_weight_0"]
        assert np.abs(h).max() < 1e-3
    assert pulses[0] == 0.0
    # an empty buffer fills as 0.0011 (1 - 0.9^n): to one step at n = 23, again and again
    assert pulses[1] == pytest.approx(1e-3 * (200 // 23), rel=1e-5)


# ---------------------------------------------------------------- warnings and refusals


def doubts(device, shape=(3, 8)):
    tile = tile_of(device, shape, EXACT)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        random_steps(tile, 2)
    return [str(w.message) for w in caught if issubclass(w.category, ModelRangeWarning)]


def test_what_is_well_chosen_is_not_warned_of():
    assert doubts(cell()) == []
    shifted = rs.SoftBoundsReferenceDevice(
        w_min=-0.3, up_down=0.2, subtract_symmetry_point=True, w_max_dtod=0.3
    )
    assert doubts(cell(shifted, ideal())) == []


def test_what_will_not_work_is_said_once():
    (asymmetric,) = doubts(cell(linear(symmetry_point=0.3), ideal()))
    assert "zero_shift" in asymmetric
    assert "must be 0" in asymmetric
    (coarse,) = doubts(cell(ideal(), ideal(0.5), gamma=0.1))
    assert "less than one step of W" in coarse
    assert "gamma 0.1" in coarse
    (fast,) = doubts(cell(ideal(), ideal(), ideal(), transfer_every_vec=[2.0, 6.0, 0.0]))
    assert "W1 is carried on every 6, P every 2" in fast
    assert "4 or more" in fast


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(buffer="ttv2"), "buffer must be one of NONE, LEAKY"),
        (dict(momentum=1.0), "momentum must be < 1"),
        (dict(threshold=-1.0), "threshold must be >= 0"),
        (dict(with_reset_prob=0.5, transfer_columns=True), "with_reset_prob must be 0"),
    ],
)
def test_what_means_nothing_is_refused(changes, match):
    with pytest.raises(ConfigError, match="ResidualTransferCompound." + match):
        cell(**changes)


# ---------------------------------------------------------------- state and bits


def noisy(**changes):
    device = rs.SoftBoundsDevice(lifetime=100.0, diffusion=0.001)
    return ResidualTransferCompound(
        [device, device], **{"units_in_mbatch": False, "transfer_every": 2.0, **changes}
    )


KINDS = {
    "version 1": noisy(),
    "version 2": noisy(buffer="leaky", threshold=0.1),
    "filter": noisy(buffer="leaky", threshold=0.0),
    "chain": ResidualTransferCompound([rs.SoftBoundsDevice()] * 3, buffer="leaky", threshold=0.1),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_a_saved_cell_continues_bit_for_bit(name, tmp_path):
    check_continues(
        lambda: tile_of(KINDS[name], update=rs.UpdateParameters()), tmp_path / "tile.npz"
    )


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_plain_python_and_one_thread_give_the_same_bits(name, monkeypatch):
    check_backends_and_threads(KINDS[name], monkeypatch)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::rpusim.errors.ModelRangeWarning")
def test_visible_weights_stay_within_the_range_that_is_told(name):
    tile = tile_of(KINDS[name], (5, 6), rs.UpdateParameters())
    random_steps(tile, 40, rate=1.0)
    low, high = tile.weight_range()
    w = tile.get_weights()[0]
    assert ((low - 1e-6 <= w) & (w <= high + 1e-6)).all()


def test_new_weights_empty_the_buffer_and_are_seen():
    tile = tile_of(KINDS["version 2"], update=rs.UpdateParameters())
    random_steps(tile, 10)
    assert np.abs(tile.get_hidden_parameters()["buffered_FP_weight_0"]).max() > 0.0
    tile.set_weights(np.full((2, 3), 0.1))
    np.testing.assert_allclose(tile.get_weights()[0], 0.1, rtol=1e-6)
    np.testing.assert_array_equal(tile.get_hidden_parameters()["buffered_FP_weight_0"], 0.0)
    np.testing.assert_array_equal(part(0)(tile), 0.0)


def test_the_parts_have_the_names_of_the_paper():
    tile = tile_of(cell())
    assert tile.crossbar["P"] is tile.crossbar.parts[0]
    assert tile.crossbar["W"] is tile.crossbar.parts[1]


def test_a_configuration_survives_storage():
    for device in KINDS.values():
        config = rs.RPUConfig(device=device)
        assert rs.RPUConfig.from_dict(config.to_dict()) == config
    names = {**vars(rs), **vars(compounds)}
    assert eval(repr(KINDS["version 2"]), names) == KINDS["version 2"]
