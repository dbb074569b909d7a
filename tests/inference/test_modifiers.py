"""Every modifier against its law, against loops with the same draws, and bit for bit."""

import numpy as np
import pytest
from scipy.stats import foldnorm, norm

from rpusim.errors import ConfigError
from rpusim.inference.modify_rows import noisy_rows
from rpusim.inference.settings import WeightModifierParameter, WeightModifierType
from rpusim.kernels.backend import get_num_threads, set_num_threads
from rpusim.kernels.bind import kernel
from tests.inference.modifiers import KEY, LEVELS, copy_of, levels, row_draws, weights
from tests.naive import modify as naive
from tests.naive.tolerance import (
    FLOAT32,
    check_correlation,
    check_law,
    check_mean,
    check_proportion,
    check_std,
)

PCM = (0.26348, 1.9650, -1.1731)  # uS
TOP = 0.5  # largest of LEVELS
A = np.abs(LEVELS.astype(np.float64)) / TOP
STUCK = dict(pcm_prob_at_reset=0.1, pcm_prob_at_gmax=0.1, pcm_prob_at_random=0.1)
KINDS = {
    "copy": dict(type="COPY"),
    "dropped copy": dict(type="COPY", pdrop=0.3),
    "discretize": dict(type="DISCRETIZE", res=1 / 20),
    "discretize, dithered": dict(type="DISCRETIZE", res=1 / 20, sto_round=True),
    "mult": dict(type="MULT_NORMAL", std_dev=0.1),
    "add": dict(type="ADD_NORMAL", std_dev=0.1),
    "discretize and add": dict(type="DISCRETIZE_ADD_NORMAL", res=20, std_dev=0.1, sto_round=True),
    "dorefa": dict(type="DOREFA", res=1 / 20),
    "dorefa, dithered": dict(type="DOREFA", res=1 / 20, sto_round=True),
    "poly": dict(type="POLY", std_dev=2.0),
    "poly of degree 4": dict(type="POLY", std_dev=0.1, coeffs=[0.1, 0.0, 1.0, -0.5, 0.2]),
    "prog": dict(type="PROG_NOISE", std_dev=3.0),
    "drop": dict(type="DROP_CONNECT", pdrop=0.3, rescale_dropped=True),
    "pcm": dict(type="PCM_NOISE", std_dev=1.0, pcm_t_inference=3600.0, pcm_zero_thres=0.5),
    "pcm with faults": dict(type="PCM_NOISE", std_dev=1.0, pdrop=0.2, **STUCK),
}
EACH = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS.keys())


def spreads(settings):
    """Return the closed form of the noise's standard deviation at each of the levels."""
    std, coeffs = settings["std_dev"], settings.get("coeffs")
    if settings["type"] == "MULT_NORMAL":
        return std * np.abs(LEVELS.astype(np.float64))
    if settings["type"] in ("ADD_NORMAL", "DISCRETIZE_ADD_NORMAL"):
        return np.full(LEVELS.shape, std * TOP)
    if settings["type"] == "PROG_NOISE" or coeffs is None:
        coeffs = np.array(coeffs or PCM) / settings.get("g_max", 25.0)
    return std * TOP * np.polynomial.polynomial.polyval(A, coeffs)


@pytest.mark.parametrize(
    "settings",
    [
        dict(type="ADD_NORMAL", std_dev=0.1),
        dict(type="MULT_NORMAL", std_dev=0.3),
        dict(type="POLY", std_dev=1.0),
        dict(type="POLY", std_dev=0.2, coeffs=[1.0, 0.0, -0.5]),
        dict(type="DISCRETIZE_ADD_NORMAL", std_dev=0.1, res=1 / 50),
    ],
)
def test_noise_is_normal_with_the_spread_of_its_type(settings):
    w = levels()
    noise = copy_of(w, **settings).astype(np.float64) - w
    for row, sigma in zip(noise, spreads(settings), strict=True):
        if sigma == 0.0:
            assert (row == 0.0).all()
        else:
            check_mean(row, 0.0, sigma)
            check_std(row, sigma)
            check_law(row, norm(0.0, sigma).cdf)


@pytest.mark.parametrize("settings", [dict(), dict(coeffs=[2.0, 3.0]), dict(g_max=10.0)])
def test_programming_noise_is_folded_at_zero(settings):
    settings = dict(type="PROG_NOISE", std_dev=2.0, **settings)
    copy = copy_of(levels(), **settings).astype(np.float64)
    assert (copy[LEVELS >= 0.0] >= 0.0).all()
    assert (copy[LEVELS < 0.0] <= 0.0).all()
    for row, level, sigma in zip(np.abs(copy), LEVELS, spreads(settings), strict=True):
        law = foldnorm(abs(float(level)) / sigma, scale=sigma)
        check_mean(row, law.mean(), law.std())
        check_law(row, law.cdf)


def test_without_coefficients_the_noise_is_that_of_phase_change_memory():
    # 1.05538 uS of 25 uS at the largest weight, 0.26348 uS at zero
    copy = copy_of(levels(), type="POLY", std_dev=1.0).astype(np.float64)
    check_std(copy[4], 0.5 * 1.05538 / 25.0)
    check_std(copy[0], 0.5 * 0.26348 / 25.0)
    given = dict(type="PROG_NOISE", std_dev=1.0, coeffs=PCM)
    same = copy_of(levels(100), type="PROG_NOISE", std_dev=1.0)
    assert copy_of(levels(100), **given).tobytes() == same.tobytes()


def test_noise_of_different_places_and_copies_is_independent():
    w = np.full((300, 300), 0.5, np.float32)
    settings = dict(type="ADD_NORMAL", std_dev=0.1)
    here = copy_of(w, **settings) - w
    check_correlation(here[1:], here[:-1], 0.0)
    check_correlation(here[:, 1:], here[:, :-1], 0.0)
    others = [dict(step=1), dict(step=1 << 32), dict(sample=0), dict(sample=1), dict(key=(1, 2))]
    others += [dict(sample=1 << 31), dict(step=1, sample=0)]
    copies = [here] + [copy_of(w, **other, **settings) - w for other in others]
    for n, first in enumerate(copies):
        for second in copies[:n]:
            check_correlation(first, second, 0.0)


def test_weights_are_rounded_to_the_nearest_step_and_halves_to_even():
    w = np.array([[0.125, 0.375, 0.625, 0.875, 0.3, 0.13, 1.0, 0.0]], np.float32)
    w = np.vstack([w, -w])
    expected = [0.0, 0.5, 0.5, 1.0, 0.25, 0.25, 1.0, 0.0]
    for res in (0.25, 4.0):
        copy = copy_of(w, type="DISCRETIZE", res=res)
        assert copy.tolist() == [expected, [-v for v in expected]]
    assert (copy_of(w, type="DISCRETIZE", res=0.0) == w).all()


def test_a_step_is_a_fraction_of_the_largest_weight():
    copy = copy_of(weights(), type="DISCRETIZE", res=1 / 8).astype(np.float64)
    codes = copy / (naive.largest(weights()) / 8)
    assert np.abs(codes - np.rint(codes)).max() <= 8 * FLOAT32
    assert set(np.rint(np.abs(codes)).astype(int).ravel()) <= set(range(9))
    assert np.rint(np.abs(codes)).max() == 8


def test_stochastic_rounding_is_unbiased_between_two_neighbours():
    w = levels()
    w[0] = 0.0  # on the grid of steps 0.05
    copy = copy_of(w, type="DISCRETIZE", res=0.1, sto_round=True).astype(np.float64)
    assert (copy[0] == 0.0).all()
    assert np.abs(copy[[2, 3, 4]] - w[[2, 3, 4]]).max() <= FLOAT32  # so are these
    assert set(copy[1].astype(np.float32)) == {np.float32(0.0), np.float32(0.05)}
    check_proportion(copy[1] > 0.0, 0.02 / 0.05)
    check_mean(copy[1], 0.02, 0.05 * np.sqrt(0.4 * 0.6))


def test_stochastic_rounding_leaves_points_of_the_grid():
    w = np.tile(np.arange(-64.0, 65.0, dtype=np.float32) / 64.0, (400, 1))
    assert (copy_of(w, type="DISCRETIZE", res=1 / 64, sto_round=True) == w).all()


def test_dorefa_squeezes_the_weights_into_its_range():
    w = weights((50, 40), std=1.0).astype(np.float64)
    exact = 0.6 * np.tanh(w) / np.tanh(np.abs(w).max())
    copy = copy_of(w, type="DOREFA", res=0.0).astype(np.float64)
    assert np.abs(copy - exact).max() <= FLOAT32
    assert np.abs(copy).max() == np.float32(0.6)
    coarse = copy_of(w, type="DOREFA", res=0.1).astype(np.float64)
    assert np.abs(coarse - exact).max() <= 0.05 + FLOAT32
    assert np.abs(coarse / 0.1 - np.rint(coarse / 0.1)).max() <= 8 * FLOAT32


@pytest.mark.parametrize("kind", ["DROP_CONNECT", "COPY"])
def test_weights_are_dropped_with_their_probability_and_the_rest_is_exact(kind):
    w = np.full((200, 200), 0.3, np.float32)
    copy = copy_of(w, type=kind, pdrop=0.2)
    check_proportion(copy == 0.0, 0.2)
    assert (copy[copy != 0.0] == np.float32(0.3)).all()
    check_correlation(copy[1:], copy[:-1], 0.0)


def test_rescaled_weights_keep_their_mean():
    w = np.full((200, 200), 0.3, np.float32)
    copy = copy_of(w, type="DROP_CONNECT", pdrop=0.2, rescale_dropped=True).astype(np.float64)
    check_mean(copy.ravel(), 0.3, 0.3 * np.sqrt(0.2 / 0.8), floor=FLOAT32)


def test_every_weight_is_dropped_with_certainty():
    assert (copy_of(weights(), type="DROP_CONNECT", pdrop=1.0) == 0.0).all()


def test_dropping_comes_last_and_does_not_change_the_noise():
    settings = dict(type="ADD_NORMAL", std_dev=0.1)
    whole, part = copy_of(weights(), **settings), copy_of(weights(), pdrop=0.4, **settings)
    gone = copy_of(weights(), type="COPY", pdrop=0.4) == 0.0
    assert 0 < gone.sum() < gone.size
    assert (part == np.where(gone, 0.0, whole)).all()


@EACH
def test_a_matrix_of_zeros_stays_one(settings):
    w = np.zeros((3, 5), np.float32)
    assert (copy_of(w, **settings) == 0.0).all()
    w[:, -1] = 0.7  # and beside a bias that takes no part
    assert (copy_of(w, copy_last_column=True, **settings) == w).all()


@EACH
def test_a_last_column_can_stay_exact(settings):
    w = weights()
    w[:, -1] *= 10.0  # and does not count as the largest weight
    copy = copy_of(w, copy_last_column=True, **settings)
    other = w.copy()
    other[:, -1] *= 3.0
    assert (copy[:, -1] == w[:, -1]).all()
    assert (copy[:, :-1] == copy_of(other, copy_last_column=True, **settings)[:, :-1]).all()
    assert copy.tobytes() == copy_of(w, bias_column=True, **settings).tobytes()


def test_a_single_column_can_stay_exact():
    w = weights((4, 1))
    assert (copy_of(w, type="ADD_NORMAL", std_dev=0.1, copy_last_column=True) == w).all()


def test_the_largest_weight_can_be_assumed():
    assumed = dict(rel_to_actual_wmax=False, assumed_wmax=2.0)
    w = levels()
    check_std(copy_of(w, type="ADD_NORMAL", std_dev=0.1, **assumed)[3].astype(np.float64), 0.2)
    grid = copy_of(w, type="DISCRETIZE", res=0.1, **assumed)
    assert set(np.abs(grid).ravel()) == {np.float32(0.0), np.float32(0.2), np.float32(0.4)}
    relative = dict(type="MULT_NORMAL", std_dev=0.1)
    check_std(copy_of(w, **relative, **assumed)[3].astype(np.float64), 0.025)


@EACH
def test_the_copy_is_new_and_the_weights_stay(settings):
    w = weights()
    before = w.copy()
    copy = copy_of(w, **settings)
    assert copy.dtype == np.float32
    assert copy.shape == w.shape
    assert not np.shares_memory(copy, w)
    assert (w == before).all()


def test_no_modifier_is_a_copy():
    copy = copy_of(weights(), type="NONE")
    assert (copy == weights()).all()
    assert not np.shares_memory(copy, copy_of(weights(), type="NONE"))


@EACH
def test_python_and_machine_code_give_the_same_bits(settings):
    for shape in ((5, 7), (1, 1), (2, 16)):
        w = weights(shape)
        draw = dict(step=(1 << 33) + 5, sample=7)
        fast = copy_of(w, **draw, **settings)
        plain = copy_of(w, backend="python", **draw, **settings)
        assert fast.tobytes() == plain.tobytes()


@EACH
def test_the_copy_does_not_depend_on_the_number_of_threads(settings):
    w, before, copies = weights((600, 601)), get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            copies.append(copy_of(w, **settings).tobytes())
    finally:
        set_num_threads(before)
    assert copies[0] == copies[1] == copies[2]


def test_rows_can_be_cut_anywhere():
    w, numbers = weights((9, 11)), np.array([1.0, 0.05, 1.0, 0.0], np.float32)
    whole, parts = np.empty_like(w), np.empty_like(w)
    rows, spread = kernel(noisy_rows), np.array([0.1], np.float32)
    rows(0, 9, whole, w, spread, numbers, 3, 0, *KEY)
    for begin, end in ((4, 9), (0, 1), (1, 4)):
        rows(begin, end, parts, w, spread, numbers, 3, 0, *KEY)
    assert whole.tobytes() == parts.tobytes()


def naive_copy(w, settings, step):
    """Return the copy in double precision, with the same draws."""
    s = WeightModifierParameter(**settings)
    kind, top = s.type.name, naive.largest(w)
    z = row_draws(w.shape, step, 0, normal=True)
    step_size = (1.0 / s.res if s.res > 1.0 else s.res) * (1.0 if kind == "DOREFA" else top)
    coeffs = {"ADD_NORMAL": [1.0], "DISCRETIZE_ADD_NORMAL": [1.0], "MULT_NORMAL": [0.0, 1.0]}
    coeffs["POLY"] = s.coeffs or [c / 25.0 for c in PCM]
    coeffs["PROG_NOISE"] = [c / 25.0 for c in s.coeffs or PCM]
    out = naive.squeezed(w, s.dorefa_clip) if kind == "DOREFA" else w.astype(np.float64)
    if step_size > 0.0 and s.sto_round:
        out = naive.dithered(out, step_size, row_draws(w.shape, step, 1, normal=False))
    elif step_size > 0.0:
        out = naive.rounded(out, step_size)
    if kind in coeffs:
        out = out + s.std_dev * naive.spread(w, coeffs[kind]) * z
    if kind == "PROG_NOISE":
        out = naive.on_its_side(w, out)
    if s.pdrop > 0.0:
        u = row_draws(w.shape, step, 2, normal=False)
        out = naive.dropped(out, u, s.pdrop, s.rescale_dropped)
    return out


@pytest.mark.parametrize("name", [name for name in KINDS if "pcm" not in name])
@pytest.mark.parametrize("shape", [(7, 13), (3, 4)])
def test_the_copy_follows_a_naive_loop(name, shape):
    w, settings = weights(shape), KINDS[name]
    copy = copy_of(w, step=11, **settings)
    expected = naive_copy(w, settings, 11)
    # a handful of roundings, of numbers of the size of the largest
    assert np.abs(copy - expected).max() <= 8 * FLOAT32 * np.abs(expected).max()


def test_every_type_is_tested():
    tested = {settings["type"] for settings in KINDS.values()} | {"NONE", "NOISE_MODEL"}
    assert tested == {kind.name for kind in WeightModifierType}


@pytest.mark.parametrize("coeffs", [[], [[1.0, 2.0]], ["a"]])
def test_coefficients_are_numbers(coeffs):
    with pytest.raises(ConfigError, match=r"coeffs must be one or more numbers, got"):
        WeightModifierParameter(type="POLY", coeffs=coeffs)
