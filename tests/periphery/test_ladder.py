"""The product through wires: reference figures, node equations solved in time, closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim.errors import ConfigError, DataError
from rpusim.inference import (
    DualPairConductanceConverter,
    SingleDeviceConductanceConverter,
    SinglePairConductanceConverter,
)
from rpusim.kernels import backend
from rpusim.periphery.ladder import LadderPeriphery
from tests.naive.ladder import ladder_product
from tests.periphery.ladders import KEY, ladder_io, run, steps

# eight inputs, two lines, as in the specification's golden vectors
W = np.array(
    [[0.5, -0.25, 0.8, 0.1, -0.3, 0.2, 0.6, -1.0], [-0.6, 0.9, 0.1, 0.4, 0.7, -0.2, -0.5, 0.3]]
)
X = np.array([1.0, -0.5, 0.25, 0.0, 0.125, -0.75, 0.6, 0.9])
MODES = ["ONE_PASS", "SPLIT_MODE", "BIT_WISE"]
SAMPLED = {"ir_drop_integration": "SAMPLED"}
SUM = {**SAMPLED, "ir_drop_integration_sum": True}
THEIRS = {**SAMPLED, "ir_drop_v_read": 0.4005, "slice_adc": "FULL_RANGE"}
RNG = np.random.default_rng(9)

# what aihwkit 1.1.0 says at 1000 times the wire, inp_res 1/254, out_res, out_bound, out_noise off,
# noise and bound management NONE, max_input_size 8 (measured on the CPU)
REFERENCE = [
    ({"adc_quantization": False}, (0.068403, -0.817787)),
    ({"adc_quantization": False, "ir_drop_segments": 2}, (0.079378, -0.803596)),
    (SUM | {"adc_quantization": False}, (0.068403, -0.817787)),
    (THEIRS, (0.050474, -0.807591)),
    ({"adc_quantization": False, "mv_type": "SPLIT_MODE"}, (0.068403, -0.817787)),
    ({"adc_quantization": False, "mv_type": "BIT_WISE"}, (0.068403, -0.817787)),
    (SUM | {"mv_type": "SPLIT_MODE", "slice_adc": "FULL_RANGE"}, (0.0, -0.630931)),
    (THEIRS | {"mv_type": "SPLIT_MODE"}, (0.0, -0.832829)),
    (THEIRS | {"mv_type": "BIT_WISE"}, (0.0, 0.0)),
]


@pytest.mark.parametrize("where", ["cpu", "python"])
@pytest.mark.parametrize(("settings", "results"), REFERENCE)
def test_the_reference_simulators_results_come_out(settings, results, where):
    y = run(ladder_io(ir_drop=1000.0, **settings), X, W, n_physical=8, backend=where)
    np.testing.assert_allclose(y[0], results, atol=2e-6)


@pytest.mark.parametrize(("settings", "results"), REFERENCE)
def test_the_naive_ladder_gives_the_reference_simulators_results(settings, results):
    y = ladder_product(W, [X], ladder_io(ir_drop=1000.0, **settings).to_dict())
    np.testing.assert_allclose(y[0], results, atol=2e-6)


@pytest.mark.parametrize(("ir_drop", "result"), [(100.0, 15.50310), (1000.0, 12.26876)])
def test_a_uniform_line_gives_the_figures_of_the_closed_form(ir_drop, result):
    io = ladder_io(ir_drop=ir_drop, adc_quantization=False)  # 8 segments
    assert run(io, np.ones(16), np.ones((2, 16))) == pytest.approx(result, abs=2e-5)


# ---------------------------------------------------------------- in time


@st.composite
def cases(draw):
    """Draw settings, weights, few-bit vectors and the size of the crossbar."""
    pick = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    mode, bits, sampled = pick(*MODES), pick(3, 4, 5), pick(False, True)
    settings = {
        "mv_type": mode,
        "inp_res": 1.0 / (2**bits - 2),
        "inp_bound": pick(1.0, 2.0),
        "slice_adc": pick("SCALED", "FULL_RANGE"),
        "split_mode_bit_shift": pick(1, bits - 2),
        "ir_drop": pick(1.0, 300.0, 1e4),
        "ir_drop_segments": pick(1, 2, 3, 8, 100),
        "ir_drop_v_bias": pick(0.4, 0.1),
        "ir_drop_v_pulse": pick(0.2, 0.1),
        "adc_quantization": False,
    }
    if sampled:
        settings |= pick(SAMPLED, SUM)
        settings["ir_drop_time_step_resolution_scale"] = pick(1.0, 0.5, 2.0, 3.3)
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    m, n, extra = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(st.integers(0, 4))
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) + 1, (3, n))  # some beyond the bound
    x = settings["inp_bound"] * codes / (2 ** (bits - 1) - 1)
    return ladder_io(**settings), rng.uniform(-1.0, 1.0, (m, n)), x, n + extra


@given(case=cases())
def test_it_is_the_circuit_solved_at_every_moment(case):
    io, w, x, size = case
    naive = ladder_product(w, x, io.to_dict(), n_physical=size)
    scale = np.abs(naive).max() + np.abs(w).sum(axis=1).max()
    np.testing.assert_allclose(run(io, x, w, n_physical=size), naive, rtol=1e-5, atol=3e-6 * scale)


@pytest.mark.parametrize("adc", ["SCALED", "FULL_RANGE"])
@pytest.mark.parametrize("mode", MODES)
def test_counts_are_those_of_the_naive_circuit(mode, adc):
    io = ladder_io(mv_type=mode, slice_adc=adc, ir_drop=30.0, ir_drop_v_read=0.39)
    w, x = RNG.uniform(-1.0, 1.0, (5, 40)), RNG.uniform(-1.0, 1.0, (4, 40))
    naive = ladder_product(w, x, io.to_dict())
    mine = run(io, x, w)
    np.testing.assert_allclose(mine, naive, rtol=1e-5)
    uncounted = run(io.replace(adc_quantization=False), x, w)
    assert np.abs(uncounted - mine).max() > 0.01  # a count is 3 steps of the DAC, or more


def test_sizes_may_be_odd_and_the_crossbar_larger_than_the_tile():
    w, x = RNG.uniform(-1.0, 1.0, (5, 15)), RNG.uniform(-1.0, 1.0, (3, 15))
    for size in (15, 16, 23):
        io = ladder_io(ir_drop=1000.0, adc_quantization=False)
        naive = ladder_product(w, x, io.to_dict(), n_physical=size)
        np.testing.assert_allclose(run(io, x, w, n_physical=size), naive, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="inputs of the tile, 15, got 14"):
        run(ladder_io(), x, w, n_physical=14)


# ---------------------------------------------------------------- limits and closed forms


@pytest.mark.parametrize("adc", ["SCALED", "FULL_RANGE"])
@pytest.mark.parametrize("mode", MODES)
def test_with_ideal_wires_all_codes_give_the_product(mode, adc):
    x = steps(*range(-127, 128)) * np.ones(5, np.float32)
    x *= RNG.choice([-1.0, 1.0], 5)
    w = RNG.uniform(-1.0, 1.0, (3, 5))
    io = ladder_io(mv_type=mode, slice_adc=adc, ir_drop=1e-9, adc_quantization=False)
    np.testing.assert_allclose(run(io, x, w), x @ w.T, atol=2e-6)
    np.testing.assert_allclose(run(io.replace(ir_drop=0.0), x, w), x @ w.T, atol=2e-6)


@pytest.mark.parametrize(
    ("mode", "codes", "seen"),
    [
        ("ONE_PASS", (0, 1, 2, 10, -10, 127), (0, 1.5, 2.5, 10.5, -10.5, 127.5)),
        ("SPLIT_MODE", (10, 126), (14.5, 130.5)),
        ("BIT_WISE", (1, 5, 85, -127), (1.5, 7.5, 127.5, -190.5)),
    ],
)
def test_the_trapezoid_overrates_every_pulse_by_half_a_step(mode, codes, seen):
    io = ladder_io(mv_type=mode, ir_drop=1e-9, adc_quantization=False, **SAMPLED)
    y = run(io, steps(*codes), [[1.0]])
    np.testing.assert_allclose(127.0 * y[:, 0], seen, atol=1e-4)
    exact = run(io.replace(ir_drop_integration_sum=True), steps(*codes), [[1.0]])
    np.testing.assert_allclose(127.0 * exact[:, 0], codes, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 7.3])
def test_the_number_of_samples_does_not_change_the_gain(scale, mode):
    io = ladder_io(
        mv_type=mode,
        ir_drop=1e-9,
        adc_quantization=False,
        ir_drop_time_step_resolution_scale=scale,
        **SUM,
    )
    assert run(io, steps(127), [[0.7]])[0, 0] == pytest.approx(0.7, rel=1e-6)


def test_many_samples_approach_the_exact_integral():
    codes = steps(1, 5, 77, -126)
    exact = run(ladder_io(ir_drop=1000.0, adc_quantization=False), codes, [[0.7]])
    for scale in (4.0, 16.0, 64.0):
        io = ladder_io(
            adc_quantization=False,
            ir_drop=1000.0,
            ir_drop_time_step_resolution_scale=scale,
            **SAMPLED,
        )
        error = np.abs(run(io, codes, [[0.7]]) - exact).max()
        assert error < 0.7 * 2.0 / (127.0 * scale)  # less than two samples


@pytest.mark.parametrize(("mode", "windows"), [("ONE_PASS", 128), ("SPLIT_MODE", 8 + 8 * 16)])
def test_another_read_voltage_draws_a_current_for_the_whole_slice(mode, windows):
    io = ladder_io(mv_type=mode, ir_drop=1e-9, ir_drop_v_read=0.4005, adc_quantization=False)
    w = RNG.uniform(-1.0, 1.0, (3, 64))
    expected = -(0.0005 / 0.2) * windows / 127.0 * np.abs(w).sum(axis=1)
    np.testing.assert_allclose(run(io, np.zeros((1, 64)), w)[0], expected, rtol=1e-5)


def test_pairs_of_a_weight_are_counted_apart_and_summed_with_their_factors():
    two_pairs = DualPairConductanceConverter(f_lst=(1.0, 3.0), g_max=25.1, g_min=0.1)
    w, x = RNG.uniform(-1.0, 1.0, (4, 20)), RNG.uniform(-1.0, 1.0, (3, 20))
    scale = 100.0 / np.abs(w).max()
    low, high = np.clip(scale * w, -25.0, 25.0), scale * w
    high = (high - low) / 3.0
    g = [np.maximum(v, 0.0) + 0.1 for v in (low, -low, high, -high)]
    pairs = [(g[0], g[1], 1.0), (g[2], g[3], 3.0)], scale
    for counted in (False, True):
        for mode in MODES:
            io = ladder_io(ir_drop=100.0, adc_quantization=counted, mv_type=mode)
            naive = ladder_product(w, x, io.to_dict(), pairs)
            mine = run(io, x, w, converter=two_pairs)
            np.testing.assert_allclose(mine, naive, rtol=1e-5, atol=1e-6)


def test_a_converter_without_pairs_is_refused():
    with pytest.raises(ConfigError, match="SingleDevice.* must give pairs of conductances"):
        run(ladder_io(), X, W, converter=SingleDeviceConductanceConverter())


def test_lines_of_different_scales_are_refused():
    with pytest.raises(ConfigError, match="columnwise must be False"):
        run(ladder_io(), X, W, converter=SinglePairConductanceConverter(columnwise=True))


# ---------------------------------------------------------------- training, versions, vectors


def test_wires_act_in_training_only_if_asked():
    io = ladder_io(ir_drop=1000.0, ir_drop_v_read=0.39)
    np.testing.assert_allclose(
        run(io, X, W, training=True), np.round(X * 127.0)[None] / 127.0 @ W.T, atol=1e-6
    )
    asked = io.replace(ir_drop_in_training=True)
    np.testing.assert_array_equal(run(asked, X, W, training=True), run(io, X, W))


def test_effective_weights_follow_the_version_and_the_wires():
    ladder = LadderPeriphery(ladder_io(ir_drop=1000.0, adc_quantization=False))
    digital = np.array([[1.0, 1.0], [0.0, 0.0]], np.float32)
    x, w = X[None].astype(np.float32), W.astype(np.float32)

    def product(w, version, training=False):
        return ladder(x, w, digital, 0, KEY, version=version, training=training)[0]

    first = product(w, 1)
    np.testing.assert_array_equal(product(2.0 * w, 1), first)  # kept
    np.testing.assert_allclose(product(2.0 * w, 2), 2.0 * first, rtol=1e-6)
    assert np.abs(product(w, 3, training=True) - first).max() > 0.01
    np.testing.assert_array_equal(product(w, 3), first)
    np.testing.assert_array_equal(product(2.0 * w, None), 2.0 * first)


NOISY = {
    "inp_noise": 0.02,
    "inp_sto_round": True,
    "inp_asymmetry": 0.1,
    "out_noise": 0.1,
    "out_bound": 3.0,
    "out_res": 1 / 254,
    "out_sto_round": True,
    "w_noise": 0.02,
    "w_noise_type": "PCM_READ",
    "noise_management": "ABS_MAX",
    "bound_management": "ITERATIVE",
    "apply_xdep_pcm_read_noise": True,
    "ir_drop": 100.0,
}


@pytest.mark.parametrize("mode", MODES)
def test_vectors_depend_neither_on_each_other_nor_on_threads(mode):
    io = ladder_io(mv_type=mode, **NOISY)
    w, x = RNG.normal(0.0, 0.4, (30, 60)), RNG.normal(size=(50, 60)) * 3.0
    whole = run(io, x, w)
    parts = [run(io, x[a:b], w, first=a) for a, b in ((0, 7), (7, 8), (8, 50))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    threads, worth = backend.get_num_threads(), backend.WORTH_A_THREAD
    try:
        backend.set_num_threads(3)
        backend.WORTH_A_THREAD = 1
        np.testing.assert_array_equal(run(io, x, w), whole)
    finally:
        backend.set_num_threads(threads)
        backend.WORTH_A_THREAD = worth


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", [{}, SAMPLED])
def test_machine_code_and_plain_python_give_the_same_bits(mode, changes):
    io = ladder_io(**{**NOISY, "mv_type": mode, "inp_res": 1 / 62, **changes})
    w, x = RNG.normal(0.0, 0.4, (6, 9)), RNG.normal(size=(18, 9))
    np.testing.assert_array_equal(run(io, x, w), run(io, x, w, backend="python"))


def test_bound_management_repeats_only_what_exceeded_the_bound():
    io = ladder_io(
        adc_quantization=False,
        ir_drop=1e-9,
        out_bound=2.0,
        noise_management="ABS_MAX",
        bound_management="ITERATIVE",
    )
    x = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    ladder, w = LadderPeriphery(io), np.ones((1, 4), np.float32)
    digital = np.array([[1.0], [0.0]], np.float32)
    y, report, _ = ladder(x.astype(np.float32), w, digital, 0, KEY, training=False)
    np.testing.assert_allclose(report[:, 1], [4.0, 1.0, 1.0])  # 4, 2.016, 1.008
    assert y[0, 0] == pytest.approx(4 * 4 * 32 / 127, rel=1e-6)
    assert y[1, 0] == pytest.approx(64 / 127, rel=1e-6)
    assert y[2, 0] == 0.0


@pytest.mark.parametrize("target", ["cpu", "python"])
@pytest.mark.parametrize("management", ["NONE", "ABS_MAX", "MAX"])
def test_infinity_saturates_the_dac_at_the_scale_of_the_other_inputs(management, target):
    io = ladder_io(noise_management=management, on_nonfinite="SATURATE")
    top = 1.0 if management == "NONE" else 0.5
    w = RNG.normal(0.0, 0.4, (3, 4))
    x = np.array([[np.inf, 0.5, -0.25, 0.0], [0.5, -np.inf, 0.25, 0.0], [np.inf, 0.0, 0.0, 0.0]])
    same = np.array([[top, 0.5, -0.25, 0.0], [0.5, -top, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(run(io, x, w, backend=target), run(io, same, w, backend=target))
    with pytest.raises(DataError, match="NaN cannot saturate, got one in row 0"):
        run(io, [np.nan, 0.5, -0.25, 0.0], w, backend=target)
