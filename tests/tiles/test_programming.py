"""Programming by pulses: the target is reached, and where it cannot be, the result says so."""

import math

import numpy as np
import pytest
from scipy.linalg import hadamard

import rpusim as rs
from rpusim.errors import ClippedWeightsWarning, ConfigError, DataError, ShapeError, StateError
from tests.naive.tolerance import Z
from tests.periphery.tiles import quiet

WIDE = dict(w_max=2.0, w_min=-2.0, w_max_dtod=0.0, w_min_dtod=0.0)
PERFECT = rs.IOParameters(is_perfect=True)
EXACT = dict(dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0)
RNG = np.random.default_rng(8)
TARGET = RNG.uniform(-0.3, 0.3, (6, 5))
DEVICES = [rs.ConstantStepDevice(), rs.SoftBoundsDevice()]


def pulsed(device=None, forward=PERFECT, shape=(6, 5), bias=False, rng=1, pre_post=None, **mapping):
    device = device or rs.ConstantStepDevice(**WIDE)
    config = rs.RPUConfig(device=device, forward=forward, mapping=mapping, pre_post=pre_post or {})
    return rs.AnalogTile(*shape, config, bias=bias, rng=rng)


def relative_error(found, target):
    return np.abs(found - target).mean() / np.abs(target).max()


# ---------------------------------------------------------------- success


@pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")  # one device is dead
@pytest.mark.parametrize("device", DEVICES, ids=lambda d: type(d).__name__)
def test_exact_reads_bring_the_weights_to_the_target(device):
    tile = pulsed(device)
    low, high = tile.weight_range()
    target = np.clip(TARGET, low, high)
    result = tile.program_weights(target, tolerance=0.01)
    assert result.success
    assert result.error < 0.01
    # one input at a time shows each weight by itself: the error of the reads is that of the weights
    assert relative_error(tile.get_weights()[0], target) == pytest.approx(result.error, rel=1e-4)
    assert math.isnan(result.noise_floor)
    assert result.history[-1] == result.error
    assert result.history.shape == (result.iterations + 1,)


def test_errors_shrink_by_the_learning_rate_in_each_iteration():
    rows, cols, rate, step, iterations = 20, 20, 0.1, 0.001, 10
    target = RNG.choice([-1.0, 1.0], (rows, cols)) * RNG.uniform(0.2, 0.3, (rows, cols))
    device = rs.ConstantStepDevice(dw_min=step, **WIDE, **EXACT)
    tile = pulsed(device, shape=(rows, cols))
    with pytest.warns(UserWarning, match="was not reached in 10 iterations"):
        result = tile.program_weights(target, learning_rate=rate, max_iter=iterations, w_init=0.0)
    expected = np.abs(target).mean() / 0.3 * (1.0 - rate) ** np.arange(iterations + 1)
    # at most |target| / step pulses per device, each with a variance of at most step**2
    std = step * math.sqrt(0.3 / step) / math.sqrt(rows * cols) / 0.3
    scale = np.abs(target).max() / 0.3
    np.testing.assert_allclose(result.history * scale, expected, atol=Z * std)


def test_a_start_at_the_target_needs_no_pulse():
    tile = pulsed()
    result = tile.program_weights(TARGET, w_init=TARGET)
    assert (result.success, result.iterations, result.pulses) == (True, 0, 0)
    start = TARGET + 0.03
    result = pulsed().program_weights(TARGET, w_init=start, tolerance=0.2)
    assert result.history[0] == pytest.approx(0.03 / np.abs(TARGET).max(), rel=1e-5)


def test_weights_without_a_target_are_those_that_the_tile_has():
    tile = pulsed()
    tile.set_weights(TARGET)
    assert tile.program_weights(tolerance=0.02).success
    assert 0.0 < relative_error(tile.get_weights()[0], TARGET) < 0.02


def test_a_second_call_programs_again():
    tile = pulsed()
    for target in (TARGET, -TARGET, TARGET[::-1]):
        assert tile.program_weights(target).success
        assert relative_error(tile.get_weights()[0], target) < 0.01


def test_every_start_is_drawn_anew_within_w_init():
    tile, starts = pulsed(shape=(40, 50)), []
    starts.append(tile.get_weights()[0])  # those of a new tile, within -0.1..0.1
    for _ in range(2):
        tile.program_weights(
            np.zeros((40, 50)),
            tolerance=1.0,  # reached by the first read
            w_init=0.1,
            on_iteration=lambda *_: starts.append(tile.get_weights()[0]),
        )
    for start in starts:
        assert 0.099 < np.abs(start).max() <= 0.1
    r = np.corrcoef([start.ravel() for start in starts])[~np.eye(3, dtype=bool)]
    assert np.abs(r).max() < Z / math.sqrt(2000)


@pytest.mark.parametrize("count", [5, 12, 60])
def test_any_inputs_that_span_the_weights_do(count):
    x = np.linalg.qr(RNG.standard_normal((count, 5)))[0] * [1.0, 2.0, 3.0, 4.0, 5.0]
    tile = pulsed()
    result = tile.program_weights(TARGET, x_values=x, learning_rate=0.5)
    assert result.success
    w = tile.get_weights()[0]
    assert relative_error(x @ w.T, x @ TARGET.T) == pytest.approx(result.error, rel=1e-3)


@pytest.mark.parametrize("omega", [0.0, 0.8])
def test_an_analog_bias_is_programmed_with_the_weights(omega):
    bias = np.linspace(-0.2, 0.2, 6)
    tile = pulsed(bias=True, digital_bias=False, weight_scaling_omega=omega)
    result = tile.program_weights(TARGET, bias)
    assert result.success
    found, wanted = np.column_stack(tile.get_weights()), np.column_stack([TARGET, bias])
    x = hadamard(8)[:, [1, 2, 3, 4, 5, 0]]  # the bias has the column of ones
    y, t = x @ found.T, x @ wanted.T
    assert relative_error(y, t) == pytest.approx(result.error, rel=1e-3)
    # each weight's error is a mean of the outputs' errors with signs: never above that without
    assert np.abs(found - wanted).mean() < 0.01 * np.abs(t).max()


def test_a_digital_bias_is_set_and_not_programmed():
    tile = pulsed(bias=True)
    result = tile.program_weights(TARGET, np.full(6, 5.0))
    np.testing.assert_array_equal(tile.bias, 5.0)
    assert relative_error(tile.get_weights()[0], TARGET) == pytest.approx(result.error, rel=1e-3)


@pytest.mark.parametrize("columnwise", [True, False])
def test_scaled_weights_are_programmed_as_logical_ones(columnwise):
    target = TARGET * np.array([1, 2, 3, 4, 5, 20.0])[:, None]
    tile = pulsed(weight_scaling_omega=0.9, weight_scaling_columnwise=columnwise)
    assert tile.program_weights(target).success
    assert relative_error(tile.get_weights()[0], target) < 0.01
    largest = np.abs(target).max(axis=1 if columnwise else None)
    np.testing.assert_allclose(tile.mapping_scales, np.broadcast_to(largest / 0.9, 6), rtol=1e-6)


def test_inputs_stay_within_the_input_range():
    ranges = rs.InputRangeParameter(enable=True, init_value=0.4, init_from_data=0)
    tile = pulsed(forward=quiet(inp_bound=1.0), pre_post=dict(input_range=ranges))
    result = tile.program_weights(TARGET, learning_rate=0.5)
    assert result.success
    assert result.iterations < 20  # as many as without a range
    assert relative_error(tile.get_weights()[0], TARGET) == pytest.approx(result.error, rel=1e-3)


def test_learned_output_scales_do_not_change_the_rate():
    tile = pulsed(learn_out_scaling=True)
    tile._mapping.out_scaling[:] = 3.0
    result = tile.program_weights(3.0 * TARGET, learning_rate=0.5)
    assert result.success
    assert result.iterations < 30
    assert relative_error(tile.get_weights()[0], 3.0 * TARGET) < 0.01


def test_a_target_of_zeros_is_reached_absolutely():
    tile = pulsed()
    assert tile.program_weights(np.zeros((6, 5)), w_init=0.1, tolerance=0.005).success
    assert np.abs(tile.get_weights()[0]).mean() < 0.005


# ---------------------------------------------------------------- failure


def test_noise_forbids_what_it_forbids_and_the_result_says_so():
    noise = rs.IOParameters(out_noise=0.06, out_res=0.0, inp_res=0.0)
    tile = pulsed(forward=noise, shape=(40, 50))
    target = RNG.uniform(-0.5, 0.5, (40, 50))
    target[0, 0] = 0.5
    text = "tolerance 0.01 was not reached in .*; the noise of the reads alone makes"
    with pytest.warns(UserWarning, match=text):
        result = tile.program_weights(target)
    assert not result.success
    floor = 0.06 * math.sqrt(2.0 / math.pi) / 0.5  # 0.048, relative to the largest output
    spread = 0.06 * math.sqrt(1.0 - 2.0 / math.pi) / 0.5 / math.sqrt(target.size)
    assert result.noise_floor == pytest.approx(floor, abs=Z * spread)
    assert result.error > floor - Z * spread
    assert result.iterations < 1000  # of 10000: it gave up


def test_steps_that_are_too_coarse_are_told_from_noise():
    device = rs.ConstantStepDevice(dw_min=0.05, **WIDE, **EXACT)
    tile = pulsed(device)
    with pytest.warns(UserWarning, match="finer steps .* reads alone makes 0"):
        result = tile.program_weights(TARGET, tolerance=1e-4)
    assert not result.success
    assert result.noise_floor == 0.0
    assert result.error > 1e-4


def test_the_last_iteration_counts():
    tile = pulsed()
    with pytest.warns(UserWarning, match="was not reached in 3 iterations"):
        result = tile.program_weights(TARGET, max_iter=3)
    assert (result.success, result.iterations, len(result.history)) == (False, 3, 4)
    assert relative_error(tile.get_weights()[0], TARGET) == pytest.approx(result.error, rel=1e-4)


def test_what_no_device_can_hold_is_counted_and_aimed_at_as_near_as_it_goes():
    device = rs.ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0)
    tile, target = pulsed(device), TARGET.copy()
    target[0] = 0.9
    with pytest.warns(ClippedWeightsWarning, match="5 of 30 weights were clipped"):
        assert tile.set_weights(target, realistic=True, tolerance=0.01) == 5
    assert tile.stats.weights_clipped == 5
    assert relative_error(tile.get_weights()[0], np.clip(target, -0.6, 0.6)) < 0.01


# ---------------------------------------------------------------- the same again


def test_the_same_seed_gives_the_same_bits():
    noise = rs.IOParameters(out_noise=0.01)
    results = []
    for _ in range(2):
        tile = pulsed(forward=noise, rng=5)
        results.append((tile.program_weights(TARGET, tolerance=0.1), tile.get_weights()[0]))
    (one, w), (two, v) = results
    np.testing.assert_array_equal(one.history, two.history)
    np.testing.assert_array_equal(w, v)


def test_a_restored_tile_programs_as_the_other_would_have():
    first, again = pulsed(rng=5), pulsed(rng=6)
    first.program_weights(TARGET)
    again.load_state_dict(first.state_dict())
    one, two = (t.program_weights(TARGET) for t in (first, again))
    np.testing.assert_array_equal(one.history, two.history)
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])


def test_pulses_are_those_that_the_devices_count():
    tile = pulsed(rs.ConstantStepDevice(count_pulses=True, **WIDE))
    calls = []
    result = tile.program_weights(TARGET, on_iteration=lambda *call: calls.append(call))
    counts = tile.pulse_counts
    assert result.pulses == counts["up"].sum() + counts["down"].sum() > 0
    assert calls == list(enumerate(result.history))
    assert tile.stats.reads_forward == 5 * (result.iterations + 1)


# ---------------------------------------------------------------- what does not fit


def test_devices_that_take_no_pulses_cannot_be_programmed_by_them():
    tile = rs.AnalogTile(6, 5, rs.IdealDevice(), rng=1)
    for call in (tile.program_weights, lambda w: tile.set_weights(w, realistic=True)):
        with pytest.raises(StateError, match="IdealDevice takes no pulses"):
            call(TARGET)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (dict(learning_rate=0.0), DataError, "learning_rate must be a number > 0, got 0.0"),
        (dict(learning_rate=None), DataError, "learning_rate must be a number > 0, got None"),
        (dict(tolerance=-1.0), DataError, "tolerance must be a number >= 0, got -1.0"),
        (dict(max_iter=1.5), ConfigError, "max_iter must be a positive integer, got 1.5"),
        (dict(w_init=-0.1), DataError, "w_init must be a number >= 0, got -0.1"),
        (dict(w_init=np.zeros((5, 6))), ShapeError, r"w_init must have shape \(6, 5\), got \(5, 6"),
        (dict(x_values=np.zeros((3, 5))), DataError, "x_values must be finite and not all 0"),
        (dict(x_values=np.full(5, np.nan)), DataError, "x_values must be finite and not all 0"),
        (dict(x_values=np.eye(6)), ShapeError, r"x_values must have shape \(\.\.\., 5\), got"),
        (dict(steps=3), TypeError, "steps"),
    ],
)
def test_an_argument_that_does_not_fit_changes_nothing(options, error, text):
    tile = pulsed(bias=True, weight_scaling_omega=0.5)
    tile.set_weights(TARGET, np.ones(6))
    before = tile.state_dict()
    with pytest.raises(error, match=text):
        tile.program_weights(2.0 * TARGET, np.zeros(6), **options)
    with pytest.raises(error, match=text):
        tile.set_weights(2.0 * TARGET, np.zeros(6), realistic=True, **options)
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_targets_that_do_not_fit_are_refused_in_the_callers_words():
    with pytest.raises(ShapeError, match=r"program_weights: weights must have shape \(6, 5\), got"):
        pulsed().program_weights(TARGET.T)
    with pytest.raises(DataError, match="set_weights: weights must be finite"):
        pulsed().set_weights(TARGET * np.nan, realistic=True)
    with pytest.raises(ConfigError, match=r"set_weights: tolerance needs realistic=True"):
        pulsed().set_weights(TARGET, tolerance=0.1)
