"""Uniform and logarithmic grids, and the scales and the bias of a tile on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.periphery import PeripheryQuantizationParameter
from rpusim.periphery.grids import LogQuantiser, Quantiser
from rpusim.periphery.quantiser import PeripheryQuantiser
from tests.naive import grids as naive

SCALES, BIAS = [1.0, 0.3, 0.07], [0.1, -0.5, 0.33]
GRIDS = [(n, symmetric) for n in (2, 3, 4, 8, 16) for symmetric in (True, False)]
ONE_ULP = float(np.finfo(np.float32).eps)


def values_of(kind, rng, size=60):
    """Draw values of both signs, or of one."""
    x = rng.normal(size=size) + 0.2
    return {"both": x, "positive": np.abs(x), "negative": -np.abs(x)}[kind]


def spanning(values, n_bits, symmetric=True, **options):
    q = Quantiser(n_bits, symmetric, **options)
    q.estimate(values)
    return q


def through(s, b, training=True, **settings):
    q = PeripheryQuantiser(PeripheryQuantizationParameter(**settings))
    return q.scales(s, training), q.bias(b, training)


# --- uniform ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("training", [True, False])
def test_four_bits_give_the_figures_of_the_reference(kind, training):
    s, b = through(np.array(SCALES, kind), np.array(BIAS, kind), training, n_bits=4)
    np.testing.assert_allclose(s, [1.0, 4 / 15, 1 / 15], rtol=ONE_ULP)
    np.testing.assert_allclose(b, [0.5 / 7, -0.5, 2.5 / 7], rtol=ONE_ULP)
    assert s.dtype == b.dtype == kind


@pytest.mark.parametrize("kind", ["both", "positive", "negative"])
@pytest.mark.parametrize(("n_bits", "symmetric"), GRIDS)
def test_a_uniform_grid_agrees_with_integers_in_a_loop(n_bits, symmetric, kind):
    rng = np.random.default_rng(n_bits)
    seen, x = values_of(kind, rng), 1.5 * values_of("both", rng)
    q = spanning(seen, n_bits, symmetric)
    grid = naive.uniform(seen.min(), seen.max(), n_bits, symmetric)
    rounded, inside = naive.quantise(x, grid)
    np.testing.assert_allclose(q(x), rounded, rtol=1e-12)
    np.testing.assert_array_equal(q.inside(x), inside)
    assert not all(inside)


@pytest.mark.parametrize(("n_bits", "symmetric"), GRIDS)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["both", "positive", "negative"]))
def test_within_the_range_the_error_is_at_most_half_a_step(n_bits, symmetric, seed, kind):
    x = values_of(kind, np.random.default_rng(seed))
    q = spanning(x, n_bits, symmetric)
    step, error = float(q.arrays["step"]), np.abs(q(x) - x)
    # the ends of an asymmetric grid are where its code for 0 was rounded to: half a step more
    allowed = 0.5 * step if symmetric else np.where(q.inside(x), 0.5, 1.0) * step
    assert (error <= allowed + ONE_ULP * np.abs(x).max()).all()
    assert len(np.unique(q(x))) <= 2**n_bits
    np.testing.assert_array_equal(q(q(x)), q(x))
    assert q(np.zeros(1)) == 0.0


def test_the_error_of_many_steps_has_the_variance_of_a_uniform_law():
    x = np.random.default_rng(1).uniform(-1.0, 1.0, 100_000)
    q = spanning(x, 8)
    error = q(x) - x
    step = float(q.arrays["step"])
    # e**2 of a uniform e has mean step**2 / 12 and variance step**4 / 180
    allowed = 5.0 * step**2 / np.sqrt(180.0 * x.size)
    assert np.mean(error**2) == pytest.approx(step**2 / 12.0, abs=allowed)


def test_halves_go_to_even_multiples_of_the_step():
    q = spanning([7.0], 3)
    np.testing.assert_array_equal(q([0.5, 1.5, 2.5, 6.5]), [0.0, 2.0, 2.0, 6.0])
    q = spanning([-3.0, 4.0], 3, symmetric=False)
    np.testing.assert_array_equal(q([-2.5, -0.5, 0.5, 3.5]), [-2.0, 0.0, 0.0, 4.0])


def test_only_negative_values_make_a_grid_signed():
    unsigned, signed = spanning([0.0, 1.0], 4), spanning([-1e-9, 1.0], 4)
    assert float(unsigned.arrays["step"]) == pytest.approx(1 / 15, rel=ONE_ULP)
    assert float(signed.arrays["step"]) == pytest.approx(1 / 7, rel=ONE_ULP)
    np.testing.assert_allclose(unsigned([-5.0, 5.0]), [0.0, 1.0], rtol=ONE_ULP)
    np.testing.assert_allclose(signed([-5.0, 5.0]), [-8 / 7, 1.0], rtol=ONE_ULP)


def test_a_grid_per_channel_is_that_of_each_channel_alone():
    x = np.random.default_rng(2).normal(size=(3, 4, 20)) * np.array([1.0, 0.1, 5.0])[:, None, None]
    for symmetric in (True, False):
        q = spanning(x, 5, symmetric, shape=(3,))
        alone = [spanning(row, 5, symmetric)(row) for row in x]
        np.testing.assert_array_equal(q(x), alone)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_tensor_of_zeros_stays_one_and_no_bits_change_nothing(symmetric):
    np.testing.assert_array_equal(spanning(np.zeros(3), 4, symmetric)(np.zeros(3)), np.zeros(3))
    x = np.random.default_rng(3).normal(size=9)
    np.testing.assert_array_equal(Quantiser(0, symmetric)(x), x)
    assert Quantiser(0, symmetric).inside(x).all()


# --- logarithmic -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["both", "positive", "negative"])
@pytest.mark.parametrize("n_bits", [3, 4, 8])
def test_a_logarithmic_grid_takes_the_nearest_of_its_magnitudes(n_bits, kind):
    rng = np.random.default_rng(n_bits)
    x = values_of(kind, rng) * 10.0 ** rng.uniform(-3.0, 0.0, 60)
    x[0] = 0.0
    grid = naive.logarithmic(x, n_bits)
    expected = [naive.nearest(v, grid) for v in x]
    q = LogQuantiser(n_bits)
    q.estimate(x)
    # the float32 step is off by half an ulp, in the exponent of a ratio of up to 2**20
    np.testing.assert_allclose(q(x), expected, rtol=20 * ONE_ULP)
    assert len(grid) <= 2**n_bits


@given(seed=st.integers(0, 10**6), n_bits=st.integers(3, 10), octaves=st.floats(0.0, 20.0))
def test_the_relative_error_of_a_logarithmic_grid_is_that_of_half_a_ratio(seed, n_bits, octaves):
    rng = np.random.default_rng(seed)
    s = 3.0 * 2.0 ** -(octaves * rng.uniform(0.0, 1.0, 50))
    q = LogQuantiser(n_bits)
    q.estimate(s)
    largest, smallest = s.max(), s.min()
    bound = (largest / smallest) ** (0.5 / (2**n_bits - 2)) - 1.0
    rounding = 20 * ONE_ULP
    assert (np.abs(q(s) / s - 1.0) <= bound + rounding).all()
    np.testing.assert_allclose(q([largest, smallest]), [largest, smallest], rtol=rounding)


def test_small_scales_survive_on_a_logarithmic_grid_only():
    s = 2.0 ** -np.linspace(0.0, 10.0, 30)
    uniform, _ = through(s, BIAS, n_bits=6)
    logarithmic, b = through(s, BIAS, n_bits=6, log_scales=True)
    assert (uniform[s < 0.5 / 63] == 0.0).all()
    assert np.abs(logarithmic / s - 1.0).max() <= 2.0 ** (10.0 / 62 / 2) - 1.0 + 1e-6
    np.testing.assert_array_equal(b, through(s, BIAS, n_bits=6)[1])


def test_a_logarithmic_grid_keeps_signs_zeros_and_its_range():
    q = LogQuantiser(4)
    q.estimate([-0.1, 0.0, 1.0])
    np.testing.assert_allclose(q([-9.0, -0.001, 0.0, 9.0]), [-1.0, -0.1, 0.0, 1.0], rtol=1e-6)
    q.estimate([0.1, 1.0])
    np.testing.assert_allclose(q([-9.0, 0.001]), [0.0, 0.1], rtol=1e-6)
    q.estimate([0.3, 0.3])
    np.testing.assert_allclose(q([0.3, 1.0, 0.0]), [0.3, 0.3, 0.0], rtol=1e-6)
    q.estimate(np.zeros(3))
    np.testing.assert_array_equal(q(np.zeros(3)), np.zeros(3))


# --- the periphery of a tile -----------------------------------------------------------------


@pytest.mark.parametrize("log_scales", [False, True])
def test_training_follows_the_tensor_and_evaluation_keeps_the_grid(log_scales):
    settings = PeripheryQuantizationParameter(n_bits=4, log_scales=log_scales)
    q = PeripheryQuantiser(settings)
    q.scales([1.0, 0.5], training=True)
    assert q.scales([8.0], training=False) == pytest.approx(1.0, rel=ONE_ULP)
    assert q.scales([8.0], training=True) == pytest.approx(8.0, rel=ONE_ULP)


def test_learned_grids_are_kept_after_so_many_batches():
    settings = PeripheryQuantizationParameter(
        n_bits=4, learn_quant_params=True, init_learning_after=3
    )
    q = PeripheryQuantiser(settings)
    seen = [float(q.scales([top], training=True)[0]) for top in (1.0, 2.0, 4.0, 8.0)]
    assert seen == pytest.approx([1.0, 2.0, 4.0, 4.0], rel=ONE_ULP)
    assert q.bias([-8.0], training=True) == pytest.approx(-8.0, rel=ONE_ULP)


def test_evaluation_before_any_training_estimates_once_and_keeps_that():
    q = PeripheryQuantiser(PeripheryQuantizationParameter(n_bits=4))
    seen = [float(q.bias([b], training=False)[0]) for b in (1.0, 2.0)]
    assert seen == pytest.approx([1.0, 1.0], rel=ONE_ULP)
    assert q.bias([2.0], training=True) == pytest.approx(2.0, rel=ONE_ULP)


def test_no_bits_leave_scales_and_bias_alone():
    s, b = through(np.float32(SCALES), np.float32(BIAS))
    np.testing.assert_array_equal(s, np.float32(SCALES))
    np.testing.assert_array_equal(b, np.float32(BIAS))


@pytest.mark.parametrize("log_scales", [False, True])
def test_a_restored_periphery_continues_alike(log_scales):
    settings = PeripheryQuantizationParameter(
        n_bits=5, learn_quant_params=True, init_learning_after=2, log_scales=log_scales
    )
    first, second = PeripheryQuantiser(settings), PeripheryQuantiser(settings)
    first.scales(SCALES, True)
    first.bias(BIAS, True)
    second.restore(first.state())
    for s in ([0.9, 0.01], [3.0, 0.2]):
        np.testing.assert_array_equal(first.scales(s, True), second.scales(s, True))
        np.testing.assert_array_equal(first.bias(s, False), second.bias(s, False))
    for name, array in first.state().items():
        np.testing.assert_array_equal(array, second.state()[name])


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("scales.step", np.ones(2), ShapeError, r"step must have shape \(\), got \(2,\)"),
        ("bias.step", -1.0, DataError, "step must be finite and >= 0, got -1"),
        ("bias.zero", np.nan, DataError, "zero must be finite, got nan"),
        ("bias.extra", 1.0, StateError, "PeripheryQuantiser.restore: the names must be"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(name, value, error, message):
    q = PeripheryQuantiser(PeripheryQuantizationParameter(n_bits=4))
    q.scales(SCALES, True)
    before = q.state()
    state = {key: array + 1 for key, array in before.items()} | {name: value}
    with pytest.raises(error, match=message):
        q.restore(state)
    for key, array in before.items():
        np.testing.assert_array_equal(q.state()[key], array)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Quantiser(1), ConfigError, "n_bits must be 0 or >= 2 for a symmetric grid, got 1"),
        (lambda: LogQuantiser(2), ConfigError, "LogQuantiser.n_bits must be 0 or >= 3, got 2"),
        (lambda: Quantiser(4)([1.0]), StateError, r"Quantiser has no grid yet: call estimate"),
        (
            lambda: Quantiser(4).estimate([1.0, np.nan]),
            DataError,
            r"Quantiser.estimate: values must be finite, got nan",
        ),
        (
            lambda: Quantiser(4).restore({"step": 1.0}),
            StateError,
            r"the names must be \['lowest', 'step', 'zero'\], got \['step'\]",
        ),
        (
            lambda: PeripheryQuantizationParameter(n_bits=1),
            ConfigError,
            "PeripheryQuantizationParameter.n_bits must be 0 or >= 2",
        ),
        (
            lambda: PeripheryQuantizationParameter(n_bits=2, log_scales=True),
            ConfigError,
            "log_scales needs n_bits >= 3: .* got n_bits=2",
        ),
    ],
)
def test_what_makes_no_grid_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
