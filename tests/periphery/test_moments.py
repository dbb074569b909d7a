"""Moments of a product: each law against its integral, the whole against golden figures and reads.

A sample mean of n reads may be off by 5 sigma / sqrt(n), a sample variance by 5 times the root of
(m4 - sigma**4) / n, m4 the fourth central moment of the reads (at least that of 25 of them).
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

import rpusim as rs
from rpusim.periphery.moment_inputs import Feed
from rpusim.periphery.moment_laws import (
    clip_probability,
    clipped_normal,
    converted_normal,
    rectified_normal,
    rounded_normal,
    stochastic_rounding,
)
from rpusim.periphery.moment_lines import line, line_parameters, read, weights_of
from rpusim.periphery.moments import product_moments
from tests.periphery.tiles import io, quiet, same_rows, tile_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "product.json").read_text())
SIGMAS = 5.0
RNG = np.random.default_rng(7)
W = RNG.normal(0.0, 0.4, (5, 12))
X, D = RNG.normal(size=(3, 12)), RNG.normal(size=(3, 5))


# ---------------------------------------------------------------- laws


def by_integral(f, mean, std, kinks=()):
    """Return the mean of f(v), v normal, by adaptive quadrature between kinks."""
    cuts = np.unique(np.clip([-12.0, *((np.asarray(kinks) - mean) / std), 12.0], -12.0, 12.0))

    def density(z):
        return f(mean + std * z) * stats.norm.pdf(z)

    pieces = zip(cuts[:-1], cuts[1:], strict=True)
    return sum(integrate.quad(density, a, b, epsabs=1e-12)[0] for a, b in pieces)


def moments_by_integral(f, mean, std, kinks=()):
    first = by_integral(f, mean, std, kinks)
    return first, by_integral(lambda v: f(v) ** 2, mean, std, kinks) - first**2


@pytest.mark.parametrize(
    ("mean", "std", "low", "high"), [(0.3, 0.8, -1, 1), (-2.0, 0.5, -1, 3), (9.0, 1.0, -1, 1)]
)
def test_a_clipped_normal_has_the_moments_of_its_integral(mean, std, low, high):
    expected = moments_by_integral(lambda v: min(max(v, low), high), mean, std, (low, high))
    assert clipped_normal(mean, std, low, high) == pytest.approx(expected, abs=1e-10)


def test_laws_give_the_published_figures():
    assert clipped_normal(0.3, 0.8, -1.0, 1.0) == pytest.approx((0.23343, 0.39849), abs=5e-6)
    assert rounded_normal(0.3, 0.1, 1.0) == pytest.approx((0.02275, 0.02223), abs=5e-6)
    assert clip_probability(0.0, 1.0, 1.959964) == pytest.approx(0.05, abs=1e-7)


@pytest.mark.parametrize("mean", [-0.4, 0.0, 1.3])
def test_the_positive_part_of_a_normal_has_the_moments_of_its_integral(mean):
    first, square = rectified_normal(mean, 0.7)
    expected = moments_by_integral(lambda v: max(v, 0.0), mean, 0.7, (0.0,))
    assert (first, square - first**2) == pytest.approx(expected, abs=1e-10)
    assert rectified_normal(mean, 0.0) == (max(mean, 0.0), max(mean, 0.0) ** 2)


@pytest.mark.parametrize("std", [0.03, 0.19, 0.21, 0.5, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.31, -1.75, 100.5])
def test_series_and_levels_of_a_rounded_normal_agree(mean, std):
    step = 0.7
    k = np.arange(-200, 201)
    p = stats.norm.cdf((k + 0.5) * step, mean, std) - stats.norm.cdf((k - 0.5) * step, mean, std)
    first = p @ (k * step)
    expected = (first, p @ (k * step) ** 2 - first**2)
    assert rounded_normal(mean, std, step) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("steps", [10, 11])  # the bound is a level; it is between two
@pytest.mark.parametrize("negative", [True, False])
@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.5), (1.1, 0.01), (-1.6, 0.4), (0.05, 3.0)])
def test_a_converted_normal_is_the_sum_over_its_levels(mean, std, negative, steps):
    bound, step = 1.0, 2.0 / steps
    k = np.arange(-200, 201)
    p = stats.norm.cdf((k + 0.5) * step, mean, std) - stats.norm.cdf((k - 0.5) * step, mean, std)
    over, under = k * step > bound + 1e-9, k * step < -bound - 1e-9
    level = np.clip(k * step, -bound, bound)
    ok = ~over & ~(under & negative)
    found = converted_normal(mean, std, bound, step, negative=negative)
    assert found.mean == pytest.approx(p @ level, abs=1e-12)
    assert found.square == pytest.approx(p @ level**2, abs=1e-12)
    assert found.inside == pytest.approx(p @ (~over & ~under), abs=1e-12)
    expected = (p @ ok, p @ (ok * level), p @ (ok * level**2))
    assert (found.ok, found.ok_mean, found.ok_square) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.5), (0.37, 0.0), (1.05, 0.02), (-1.6, 0.4)])
def test_a_stochastic_converter_has_the_moments_of_its_integral(mean, std):
    step, bound = 0.2, 1.0

    def level(v, power):
        low = math.floor(v / step)
        up = v / step - low
        ends = (min(max(step * k, -bound), bound) ** power for k in (low, low + 1))
        return next(ends) * (1.0 - up) + next(ends) * up

    found = converted_normal(mean, std, bound, step, stochastic=True)
    kinks = step * np.arange(-30, 31)
    for power, moment in ((1, found.mean), (2, found.square)):
        expected = level(mean, power)
        if std > 0.0:
            expected = by_integral(lambda v, p=power: level(v, p), mean, std, kinks)
        assert moment == pytest.approx(expected, abs=1e-9)


def test_stochastic_rounding_has_the_variance_of_two_points():
    mean, variance = stochastic_rounding(0.37, 0.2)
    assert (mean, variance) == (0.37, pytest.approx(0.2**2 * 0.85 * 0.15))


def test_a_normal_without_spread_is_converted_like_a_number():
    v = np.array([0.25, 0.75, 0.8, 1.24, 1.26, -9.0])  # halves go to the even level
    found = converted_normal(v, 0.0, 1.0, 0.5)
    np.testing.assert_array_equal(found.mean, [0.0, 1.0, 1.0, 1.0, 1.0, -1.0])
    np.testing.assert_array_equal(found.ok, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(converted_normal([1.0, 1.1], 0.0, 1.0, 0.0).ok, [1.0, 0.0])


def off_a_twelfth(excess):
    return np.abs(12.0 * excess - 1.0).max()


def test_a_twelfth_of_the_squared_step_is_right_from_half_a_step_of_noise_on():
    mean, h = np.linspace(0.0, 1.0, 101), 1e-5

    def square_error(std):  # E Q^2 - 2 E Q v + E v^2, where E Q v = mean E Q + std^2 d(E Q)/d(mean)
        (below, _), (rounded, variance), (above, _) = (
            rounded_normal(mean + shift, std, 1.0) for shift in (-h, 0.0, h)
        )
        product = mean * rounded + std**2 * (above - below) / (2.0 * h)
        return variance + rounded**2 - 2.0 * product + std**2 + mean**2

    # 12 / pi^2 exp(-2 pi^2 std^2) is 1 % at std = 0.4931
    assert off_a_twelfth(square_error(0.494)) < 0.01 < off_a_twelfth(square_error(0.492))
    added = [rounded_normal(mean, std, 1.0)[1] - std**2 for std in (0.625, 0.615)]
    assert off_a_twelfth(added[0]) < 0.01 < off_a_twelfth(added[1])


@pytest.mark.parametrize("out_noise", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("asymmetry", [0.0, 0.3])
def test_a_bent_normal_has_the_moments_of_a_fine_sum(out_noise, asymmetry):
    settings = rs.IOParameters(
        out_nonlinearity=0.8, out_asymmetry=asymmetry, out_bound=2.0, out_res=1 / 30,
        out_noise=out_noise, slope_calibration=0.3,
    )  # fmt: skip
    lines = line_parameters(settings, None, 1)
    mean, std = np.array([[0.1], [-1.0], [1.7]]), 0.35
    found = read(settings, mean, np.full(mean.shape, std**2), lines, True)
    z = np.linspace(-8.0, 8.0, 40001)
    v = mean + std * z
    bent = lines.factor * v / (1.0 + 0.4 * np.abs(v))
    bent = np.where(bent < 0.0, (1.0 - asymmetry) * bent, bent)
    fine = converted_normal(bent, out_noise, *settings.adc)
    weight = stats.norm.pdf(z) * (z[1] - z[0])
    # a third of what 1e5 reads resolve
    np.testing.assert_allclose(found.mean[:, 0], fine.mean @ weight, atol=1e-3 * std)
    np.testing.assert_allclose(found.square[:, 0], fine.square @ weight, atol=2e-3 * std**2)
    np.testing.assert_allclose(found.ok[:, 0], fine.ok @ weight, atol=1e-3)


# ---------------------------------------------------------------- products


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_without_noise_the_mean_is_the_golden_product_and_nothing_varies(name):
    case = GOLDEN["cases"][name]
    settings = io(**case["settings"])
    moments = product_moments(settings, GOLDEN["inputs"], GOLDEN["weights"])
    np.testing.assert_allclose(moments.mean, case["outputs"], atol=2e-6)
    np.testing.assert_allclose(moments.variance, 0.0, atol=1e-12)


def check_reads(settings, x, w, backward=False, count=100_000):
    """Compare moments with many reads of each vector."""
    used = {"backward" if backward else "forward": settings}
    tile = tile_of(w, rng=3, **used)
    lines = tile.get_backward_parameters() if backward else tile.get_forward_parameters()
    moments = product_moments(settings, x, w, lines, backward)
    rows = np.repeat(np.asarray(x, np.float32), count, axis=0)
    y = tile.backward(rows) if backward else tile.forward(rows, is_test=True)
    y = y.reshape(len(x), count, -1).astype(np.float64)
    mean, variance = y.mean(axis=1), y.var(axis=1)
    off = np.abs(y - mean[:, None])
    # of a rare step, such as that of an output almost always clipped, the reads may show none
    rare = 25.0 / count * off.max(axis=(1, 2))[:, None] ** 4
    fourth = np.maximum((off**4).mean(axis=1), rare)
    float32 = 1e-6 * np.abs(mean) + 1e-9
    allowed = SIGMAS * np.sqrt(moments.variance / count) + float32
    off = np.abs(mean - moments.mean)
    assert np.all(off <= allowed), f"mean off by {off}, allowed {allowed}"
    allowed = SIGMAS * np.sqrt(np.maximum(fourth - variance**2, 0.0) / count) + float32**2
    off = np.abs(variance - moments.variance)
    assert np.all(off <= allowed + 1e-6 * variance), f"variance off by {off}, allowed {allowed}"


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("preset", ["IOParameters", "PresetIOParameters", "StandardIOParameters"])
def test_moments_of_every_preset_agree_with_a_hundred_thousand_reads(preset, backward):
    settings = getattr(rs, preset, None) or getattr(rs.presets, preset)
    check_reads(settings(), D if backward else X, W, backward)


READS = {
    "stochastic ADC": {"out_sto_round": True, "out_res": 1 / 30},
    "coarse ADC": {"out_res": 1 / 14, "out_noise": 0.5},
    "coarse ADC without its bound": {"out_res": 1 / 15, "out_bound": 1.0, "out_noise": 0.2},
    "clipping": {"out_bound": 1.0, "bound_management": "NONE", "out_noise": 0.3},
    "clipping only": {"out_bound": 1.0, "bound_management": "NONE", "out_res": 0, "out_noise": 0.3},
    "rounds": {"out_bound": 1.3, "out_noise": 0.3},
    "rounds, one side": {"out_bound": 1.3, "out_noise": 0.3, "bm_test_negative_bound": False},
    "rounds, no converter": {"out_bound": 1.3, "out_noise": 0.3, "out_res": 0, "inp_res": 0},
    "rounds, worst case": {
        "out_bound": 1.0,
        "out_noise": 0.3,
        "bound_management": "ITERATIVE_WORST_CASE",
    },
    "NP_SUM": {"out_bound": 1.0, "out_noise": 0.3, "noise_management": "ABS_MAX_NP_SUM"},
    "MAX": {"noise_management": "MAX"},
    "CONSTANT": {"noise_management": "CONSTANT", "nm_thres": 0.7},
    "unscaled": {"noise_management": "NONE", "out_scale": 2.0},
    "average": {"noise_management": "AVERAGE_ABS_MAX"},
    "additive": {"w_noise": 0.1, "w_noise_type": "ADDITIVE_CONSTANT"},
    "PCM": {"w_noise": 0.2, "w_noise_type": "PCM_READ", "out_bound": 1.0},
    "input noise": {"inp_noise": 0.1},
    "input noise, clipped": {"inp_noise": 0.1, "out_bound": 1.0, "bound_management": "NONE"},
    "input noise, loss": {"inp_noise": 0.1, "inp_asymmetry": 0.3},
    "stochastic DAC": {"inp_sto_round": True, "inp_res": 1 / 14},
    "wires": {"ir_drop": 1.0, "ir_drop_g_ratio": 200.0, "inp_noise": 0.05},
    "wires, far first": {"ir_drop": 1.0, "ir_drop_g_ratio": 200.0, "ir_drop_far_first": True},
    "offsets": {"v_offset_std": 0.1, "inp_noise": 0.05},
    "series": {"v_offset_std": 0.1, "r_series": 0.05, "v_offset_w_min": -0.3, "inp_noise": 0.05},
    "S-shape": {
        "out_nonlinearity": 0.5,
        "out_nonlinearity_std": 0.2,
        "slope_calibration": 0.5,
        "out_bound": 4.0,
        "w_noise": 0.15,
        "w_noise_type": "ADDITIVE_CONSTANT",
    },
    "output loss": {
        "out_asymmetry": 0.3,
        "out_bound": 4.0,
        "w_noise": 0.3,
        "w_noise_type": "ADDITIVE_CONSTANT",
    },
    "spread of ADCs": {"out_noise_std": 0.3},
    "both signs": {
        "mv_type": "POS_NEG_SEPARATE",
        "w_read_asymmetry_dtod": 0.2,
        "w_noise": 0.1,
        "w_noise_type": "PCM_READ",
        "inp_noise": 0.05,
    },
    "both signs, digital": {
        "mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM",
        "w_read_asymmetry_dtod": 0.2,
        "out_bound": 1.0,
        "out_noise": 0.2,
    },
    "both signs, digital, input noise": {
        "mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM",
        "inp_noise": 0.1,
    },
    "split": {"mv_type": "SPLIT_MODE", "inp_noise": 0.05, "inp_asymmetry": 0.2},
    "split, full range": {"mv_type": "SPLIT_MODE", "slice_adc": "FULL_RANGE"},
    "split, stochastic DAC": {
        "mv_type": "SPLIT_MODE",
        "split_mode_bit_shift": 1,
        "inp_sto_round": True,
        "inp_res": 1 / 14,
        "out_res": 1 / 1022,
    },
    "bits": {"mv_type": "BIT_WISE", "out_bound": 1.5},
    "bits, full range": {"mv_type": "BIT_WISE", "slice_adc": "FULL_RANGE"},
}


@pytest.mark.parametrize("name", READS)
def test_moments_agree_with_a_hundred_thousand_reads(name):
    check_reads(rs.IOParameters(**READS[name]), X, W)


@pytest.mark.parametrize("name", ["series", "both signs", "wires", "PCM", "split"])
def test_moments_of_the_transpose_agree_with_a_hundred_thousand_reads(name):
    check_reads(rs.IOParameters(**READS[name]), D, W, backward=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"ir_drop": 1.0, "ir_drop_g_ratio": 50.0},
        {"ir_drop": 1.0, "ir_drop_g_ratio": 50.0, "r_series": 0.2, "v_offset_w_min": -0.3},
        {"r_series": 0.2, "r_series_max_total": 0.3, "v_offset_w_min": 0.0},
    ],
)
def test_variances_of_inputs_pass_by_the_slopes_of_a_line(changes):
    settings, h = quiet(**changes), 1e-6
    weights = weights_of(settings, W, None, False)[0]
    lines = line_parameters(settings, None, 5)

    def result(mean, noise=0.0):
        none = np.zeros(mean.shape)
        feed = Feed(1.0, False, mean, np.abs(mean), none + noise, none, none)
        return line(settings, feed, weights, lines)

    shifted = X[:1] + h * np.eye(12), X[:1] - h * np.eye(12)
    slopes = (result(shifted[0]).mean - result(shifted[1]).mean) / (2.0 * h)
    found = result(X[:1], noise=0.01).noise[0]
    np.testing.assert_allclose(found, 0.01 * np.sum(slopes**2, axis=0), rtol=1e-6)


def test_noise_on_silent_inputs_loads_the_wires():
    x = np.zeros((1, 64))
    x[0, -1] = 1.0  # far from the ADC
    settings = quiet(inp_noise=0.3, ir_drop=1.0, ir_drop_g_ratio=1500.0)
    silent = product_moments(quiet(ir_drop=1.0, ir_drop_g_ratio=1500.0), x, np.full((1, 64), 0.5))
    loaded = product_moments(settings, x, np.full((1, 64), 0.5))
    assert silent.mean[0, 0] - loaded.mean[0, 0] > 10.0 * np.sqrt(loaded.variance[0, 0] / 100_000)
    check_reads(settings, x, np.full((1, 64), 0.5))


def test_a_law_of_read_noise_adds_its_variance():
    class Fixed(rs.ReadNoise):
        strength: float = rs.param(0.1, low=0.0, doc="std at w = 1")

        @staticmethod
        def sigma(w, model):
            return model.strength * abs(w)

    settings = quiet(read_noise=Fixed(strength=0.2))
    found = product_moments(settings, X, W)
    expected = 0.2**2 * X.astype(np.float32) ** 2 @ (W**2).T
    np.testing.assert_allclose(found.variance, expected, rtol=1e-5)
    check_reads(settings, X, W)
    check_reads(settings, D, W, backward=True)
    polar = {"mv_type": "POS_NEG_SEPARATE", "w_read_asymmetry_dtod": 0.5}
    check_reads(quiet(read_noise=Fixed(strength=0.2), **polar), X, W)


def test_the_chance_of_clipping_is_that_of_the_reads():
    settings = rs.IOParameters(
        out_bound=1.0, out_res=0.0, bound_management="NONE", out_noise=0.3, inp_noise=0.1
    )
    count, x = 100_000, X[:1]
    p = product_moments(settings, x, W).clip_probability[0]
    y = np.abs(tile_of(W, settings).forward(same_rows(x, count)))
    clipped = (y > np.abs(x).max() * (1.0 - 1e-6)).mean(axis=0)
    assert np.all(np.abs(clipped - p) <= SIGMAS * np.sqrt(p * (1.0 - p) / count))


def test_bound_management_repeats_as_often_as_outputs_exceed_the_bound():
    settings = io(out_noise=0.5, inp_res=0.0, out_res=0.0)
    found = product_moments(settings, [[1.0]], [[12.0]])  # exceeds with chance 1/2; halved, never
    assert found.rounds == pytest.approx([1.5])
    low = 12.0 - 0.5 * math.sqrt(2.0 / math.pi)  # of what stays below; std 1 around 12 else
    mean = 0.5 * low + 0.5 * 12.0
    square = 0.5 * (12.0**2 - 2.0 * 12.0 * (12.0 - low) + 0.25) + 0.5 * (12.0**2 + 1.0)
    assert found.mean[0, 0] == pytest.approx(mean)
    assert found.variance[0, 0] == pytest.approx(square - mean**2)
    assert found.clip_probability[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_a_result_counts_as_clipped_if_any_pass_of_its_last_round_is():
    phases = {"mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM", "bound_management": "NONE"}
    settings = io(out_noise=0.5, out_res=0.0, **phases)
    found = product_moments(settings, [[1.0, -1.0]], [[12.0, 12.0]])  # each with chance 1/2
    assert found.clip_probability[0, 0] == pytest.approx(0.75)
    settings = io(out_noise=0.5, out_res=0.0, bm_test_negative_bound=False)
    found = product_moments(settings, [[1.0]], [[-12.0]])  # clipped, but not repeated
    assert found.rounds[0] == pytest.approx(1.0)
    assert found.clip_probability[0, 0] == pytest.approx(0.5)


def test_bound_management_saturates_where_its_rounds_end():
    for res, reduction in ((1 / 126, 16), (0.0, 1024)):
        found = product_moments(io(inp_res=res), [[2.0]], [[1e6]])
        assert found.mean[0, 0] == pytest.approx(2.0 * 12.0 * reduction)
        assert found.rounds[0] == 1 + math.log2(reduction)
        assert found.clip_probability[0, 0] == 1.0
    found = product_moments(io(bound_management="NONE"), [[2.0]], [[1e6]])
    assert (found.mean[0, 0], found.rounds[0]) == (24.0, 1.0)


def test_noise_of_two_digital_phases_adds():
    settings = quiet(out_noise=0.06, mv_type="POS_NEG_SEPARATE_DIGITAL_SUM")
    variance = product_moments(settings, X, W).variance
    np.testing.assert_allclose(variance, 2.0 * 0.06**2)


def test_vectors_of_zeros_are_not_read_unless_asked_for():
    x = np.zeros((1, 12))
    found = product_moments(rs.IOParameters(inp_noise=0.1), x, W)
    assert (found.mean == 0.0).all()
    assert (found.variance == 0.0).all()
    assert found.rounds[0] == 0.0
    found = product_moments(quiet(out_noise=0.06), x, W)
    np.testing.assert_allclose(found.variance, 0.06**2)
    always = quiet(noise_management="ABS_MAX", out_noise=0.06, zero_input_shortcut=False)
    np.testing.assert_allclose(product_moments(always, x, W).variance, 0.06**2)


def test_a_perfect_product_does_not_vary():
    found = product_moments(rs.IOParameters(is_perfect=True, out_scale=2.0), X, W)
    np.testing.assert_allclose(found.mean, 2.0 * X.astype(np.float32) @ W.T, rtol=1e-6)
    assert (found.variance == 0.0).all()


def test_gain_and_offset_pass_through():
    found = product_moments(rs.IOParameters(), X, W)
    gain, offset = np.arange(1.0, 6.0), np.arange(5.0)
    behind = found.behind(gain, offset)
    np.testing.assert_allclose(behind.mean, found.mean * gain + offset)
    np.testing.assert_allclose(behind.variance, found.variance * gain**2)
    np.testing.assert_allclose(behind.sources["w_noise"], found.sources["w_noise"] * gain**2)


# ---------------------------------------------------------------- sources


def test_sources_add_up_to_the_variance_where_nothing_rounds_or_clips():
    settings = quiet(
        noise_management="ABS_MAX",
        inp_noise=0.1,
        out_noise=0.06,
        w_noise=0.05,
        w_noise_type="ADDITIVE_CONSTANT",
    )
    found = product_moments(settings, X, W)
    np.testing.assert_allclose(sum(found.sources.values()), found.variance)
    alpha = np.abs(X).max(axis=1, keepdims=True)
    norm = np.linalg.norm(W, axis=1)
    np.testing.assert_allclose(found.sources["inp_noise"], (0.1 * alpha * norm) ** 2, rtol=1e-6)
    length = np.sum(X**2 / alpha**2 + 0.1**2, axis=1, keepdims=True)
    expected = (0.05 * alpha) ** 2 * length
    np.testing.assert_allclose(found.sources["w_noise"], expected * np.ones(5), rtol=1e-6)
    assert (found.sources["inp_round"] == 0.0).all()
    assert (found.sources["out_round"] == 0.0).all()


def test_sources_predict_the_mean_square_error_of_random_vectors():
    rng = np.random.default_rng(5)
    w, x = rng.normal(0.0, 0.1, (100, 200)), rng.normal(size=(2000, 200)).astype(np.float32)
    error = tile_of(w, rs.IOParameters()).forward(x) - x @ w.T
    predicted = sum(product_moments(rs.IOParameters(), x, w).sources.values())
    alpha = np.abs(x).max(axis=1, keepdims=True)
    ratio = np.mean((error / alpha) ** 2) / np.mean(predicted / alpha**2)
    assert ratio == pytest.approx(1.0, abs=SIGMAS * math.sqrt(2.0 / error.size))


def test_switching_a_source_off_takes_its_share_alone():
    on = product_moments(rs.IOParameters(inp_noise=0.05), X, W).sources
    off = product_moments(rs.IOParameters(), X, W).sources
    assert (off["inp_noise"] == 0.0).all()
    assert (on["inp_noise"] > 0.0).all()
    for name in set(on) - {"inp_noise"}:
        np.testing.assert_allclose(on[name], off[name])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"bound_management": "SHIFT"}, "SHIFT has no closed form"),
        ({"noise_management": "AVERAGE_ABS_MAX"}, "give alpha"),
        ({"v_offset_std": 0.1}, r"lines\['v_offset'\] must hold 5 numbers, got none"),
        ({"out_noise_std": 0.1}, r"lines\['out_noise_values'\] must hold 5"),
        ({"out_asymmetry": 1.5}, "out_asymmetry must be <= 1"),
        (
            {"mv_type": "POS_NEG_SEPARATE", "w_read_asymmetry_dtod": 0.1},
            r"lines\['w_asymmetry'\] must hold 60",
        ),
    ],
)
def test_what_is_not_covered_is_refused(settings, match):
    with pytest.raises(rs.ConfigError, match=match):
        product_moments(rs.IOParameters(**settings), X, W)


def test_wrong_shapes_and_numbers_are_refused():
    with pytest.raises(rs.ShapeError, match=r"x must have shape \(batch, 12\)"):
        product_moments(rs.IOParameters(), D, W)
    with pytest.raises(rs.DataError, match="must be finite"):
        product_moments(rs.IOParameters(), np.full((1, 12), np.nan), W)


def test_an_average_can_be_given():
    settings = rs.IOParameters(noise_management="AVERAGE_ABS_MAX")
    given = product_moments(settings, X, W, alpha=4.0)
    fixed = rs.IOParameters(noise_management="CONSTANT", nm_thres=4.0)
    np.testing.assert_allclose(given.mean, product_moments(fixed, X, W).mean)
    stored = product_moments(settings, X, W, {"aux_nm_value": np.array([4.0])})
    np.testing.assert_allclose(stored.variance, given.variance)
