"""Exponential, logarithm and power in single precision: errors as promised, equal bits."""

import math

import numpy as np
import pytest

from rpusim.kernels.bind import bind, kernel
from rpusim.kernels.elementary import exp, log, power

EXP_ERROR, LOG_ERROR = 2e-7, 3e-7  # relative; relative to 1 + |ln x|
TINY = 1.1754944e-38  # the smallest normal number
BACKENDS = ["cpu", "python"]


def power_error(x, g):
    """Return the promised relative error of x**g."""
    return 2e-7 + 4e-7 * g * (1.0 + np.abs(np.log(x)))


def fill_exp(x, out):
    for i in range(x.size):
        out[i] = exp(x[i])


def fill_log(x, out):
    for i in range(x.size):
        out[i] = log(x[i])


def fill_power(x, g, out):
    for i in range(x.size):
        out[i] = power(x[i], g[i])


def evaluated(fill, *arguments, backend="cpu"):
    """Return a function of float32 arrays."""
    arrays = [np.ravel(np.asarray(a, np.float32)) for a in np.broadcast_arrays(*arguments)]
    out = np.empty(arrays[0].size, np.float32)
    kernel(fill, backend)(*arrays, out)
    return out


def floats_between(low, high, count):
    """Return float32 numbers spread evenly over the bit patterns from `low` to `high`, positive."""
    first, last = (int(np.float32(v).view(np.int32)) for v in (low, high))
    return np.linspace(first, last, count).astype(np.int32).view(np.float32)


DENSE = 2_000_000


def test_exp_is_within_its_error_over_its_whole_range():
    ends = np.float32([-87.0, 88.0, 0.0, -0.0])
    small = floats_between(1e-30, 1.0, 200_000)
    x = np.concatenate([np.linspace(-87.0, 88.0, DENSE, dtype=np.float32), small, -small, ends])
    true = np.exp(x.astype(np.float64))
    assert np.abs(evaluated(fill_exp, x) / true - 1.0).max() <= EXP_ERROR


def test_exp_is_within_its_error_where_it_switches_powers_of_two():
    halves = (np.arange(-125, 126) + 0.5) * math.log(2.0)
    steps = np.arange(-50, 51) * 1.2e-7
    x = (halves[:, None] * (1.0 + steps)).ravel().astype(np.float32)
    true = np.exp(x.astype(np.float64))
    assert np.abs(evaluated(fill_exp, x) / true - 1.0).max() <= EXP_ERROR


def test_exp_is_the_nearer_ends_beyond_its_range():
    low, high = evaluated(fill_exp, [-87.0, 88.0])
    assert (evaluated(fill_exp, [-87.001, -1e3, -1e30, -np.inf]) == low).all()
    assert (evaluated(fill_exp, [88.001, 1e3, 1e30, np.inf]) == high).all()


def test_exp_of_0_is_1_and_it_never_falls():
    assert evaluated(fill_exp, [0.0])[0] == 1.0
    x = np.linspace(-87.0, 88.0, DENSE, dtype=np.float32)
    rise = np.diff(evaluated(fill_exp, x).astype(np.float64))
    # it may step back by its error, not by more
    assert (rise >= -2.0 * EXP_ERROR * np.exp(x[1:].astype(np.float64))).all()


@pytest.fixture(scope="module")
def log_errors():
    """Return ln x and how far `log` is off, for all kinds of normal numbers."""
    x = [floats_between(TINY, np.finfo(np.float32).max, DENSE), floats_between(0.5, 2.0, DENSE)]
    true = np.log(np.concatenate(x).astype(np.float64))
    return true, np.abs(evaluated(fill_log, np.concatenate(x)) - true)


def test_log_is_within_its_error_for_all_normal_numbers(log_errors):
    true, off = log_errors
    off = off / (1.0 + np.abs(true))
    assert off.max() <= LOG_ERROR, f"off by {off.max()} at ln x = {true[np.argmax(off)]}"


def test_log_is_as_exact_as_powers_need(log_errors):
    true, off = log_errors
    assert (off <= 4e-7 * (1.0 + np.abs(true))).all()


def test_log_of_1_is_0():
    assert evaluated(fill_log, [1.0])[0] == 0.0


@pytest.mark.parametrize("g", [0.0, 0.1, 0.5, 1.0, 1.7, 3.0, 10.0])
def test_power_is_within_its_error(g):
    x = floats_between(1e-30, 1e6, DENSE // 4)
    g = float(np.float32(g))
    exact = x.astype(np.float64) ** g
    inside = (exact > 2e-38) & (exact < 1e38)
    off = np.abs(evaluated(fill_power, x, g) / np.where(inside, exact, 1.0) - 1.0)[inside]
    assert (off <= power_error(x[inside].astype(np.float64), g)).all()


def test_power_is_within_its_error_on_the_window_of_a_device():
    rng = np.random.default_rng(3)
    x = rng.uniform(0.0, 1.0, DENSE).astype(np.float32)
    g = rng.uniform(0.0, 5.0, DENSE).astype(np.float32)
    x = np.maximum(x, np.float32(1e-6))
    exact = x.astype(np.float64) ** g.astype(np.float64)
    off = np.abs(evaluated(fill_power, x, g) / exact - 1.0)
    assert (off <= power_error(x.astype(np.float64), g)).all()


@pytest.mark.parametrize("g", [0.0, 0.5, 1.0, 2.5, -1.0])
def test_power_of_what_is_not_positive_is_0(g):
    assert (evaluated(fill_power, [0.0, -0.0, -1e-30, -0.3, -1e6], g) == 0.0).all()


def test_power_of_denormal_numbers_is_that_of_the_smallest_normal_one():
    small = np.float32([1e-45, 1e-40, 1.1e-38])
    assert np.array_equal(
        evaluated(fill_power, small, 0.25), evaluated(fill_power, np.float32([TINY] * 3), 0.25)
    )


GRIDS = {
    "exp": (fill_exp, (np.linspace(-100.0, 100.0, 3001),)),
    "log": (fill_log, (floats_between(TINY, 3e38, 3001),)),
    "power": (
        fill_power,
        (floats_between(1e-12, 4.0, 3001), np.random.default_rng(1).uniform(0.0, 4.0, 3001)),
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_machine_code_and_plain_python_give_the_same_bits(name):
    fill, arguments = GRIDS[name]
    fast, plain = (evaluated(fill, *arguments, backend=backend) for backend in BACKENDS)
    assert np.array_equal(fast.view(np.int32), plain.view(np.int32))


def call_exp(x):
    return exp(x)


def call_log(x):
    return log(x)


def call_power(x, g):
    return power(x, g)


@pytest.mark.parametrize("x", [-90.0, -87.0, -1.5, 0.0, 0.3, 50.0, 88.0, 1000.0])
def test_the_exact_exponential_is_that_of_math(x):
    assert bind(call_exp, "exact")(x) == math.exp(min(max(x, -87.0), 88.0))


@pytest.mark.parametrize("x", [1e-300, 1e-3, 1.0, 2.5, 1e200])
def test_the_exact_logarithm_is_that_of_math(x):
    assert bind(call_log, "exact")(x) == math.log(x)


@pytest.mark.parametrize("g", [0.0, 0.5, 1.0, 2.3])
@pytest.mark.parametrize("x", [1e-200, 1e-3, 0.4, 1.0, 7.0])
def test_the_exact_power_is_that_of_math(x, g):
    exact = bind(call_power, "exact")
    assert exact(x, g) == pytest.approx(x**g, rel=1e-12)
    assert exact(-x, g) == exact(0.0, g) == 0.0


@pytest.mark.parametrize("name", GRIDS)
def test_double_precision_is_that_of_math_in_machine_code_too(name):
    fill, arguments = GRIDS[name]
    arrays = [np.asarray(a, np.float64) for a in arguments]
    found = np.empty(arrays[0].size)
    kernel(fill, "double")(*arrays, found)
    functions = {"exp": lambda x: np.exp(np.clip(x, -87.0, 88.0)), "log": np.log, "power": np.power}
    assert np.allclose(found, functions[name](*arrays), rtol=1e-13, atol=1e-13)
