"""Numbers by counting: known answers, equal bits, exact laws, independence, seeds.

Tolerances are five standard deviations of the estimate.
"""

import math

import numpy as np
import pytest
from scipy import stats

import rpusim as rs
from rpusim.errors import ConfigError, StateError
from rpusim.kernels import random
from rpusim.kernels.bind import kernel
from rpusim.kernels.random import normal_pair
from rpusim.kernels.streams import Purpose, Streams

N = 2**22
PART = 2**18  # draws of each stream whose independence is tested
EPS = 2.0**-24  # relative error of one float32 rounding
ONES = 0xFFFFFFFF
PURPOSES = [number for name, number in vars(Purpose).items() if name.isupper()]
KEY = Streams(20240917).key(Purpose.FORWARD)


@pytest.fixture(scope="module")
def z():
    return random.normal(N, KEY).astype(np.float64)


@pytest.fixture(scope="module")
def u():
    return random.uniforms(N, KEY).astype(np.float64)


def fill_pairs(radius, angle, out):
    for i in range(radius.size):
        out[0, i], out[1, i] = normal_pair(radius[i], angle[i])


def pairs(radius, angle, backend="cpu"):
    radius, angle = np.broadcast_arrays(np.asarray(radius, np.int64), np.asarray(angle, np.int64))
    out = np.empty((2, radius.size), np.float32)
    kernel(fill_pairs, backend)(radius.ravel(), angle.ravel(), out)
    return out


def grid_of_words(count):
    words = np.linspace(0, ONES, count, dtype=np.int64)
    small = np.array([0, 1, 2, 3, 7, 1 << 20, 1 << 31])
    return np.concatenate([words, small, ONES - small])


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
@pytest.mark.parametrize("backend", ["cpu", "python"])
def test_philox_gives_the_published_answers(counter, key, answer, backend):
    c, k, a = ([int(word, 16) for word in text.split()] for text in (counter, key, answer))
    block = np.zeros(4, np.int64)
    kernel(one_block, backend)(*c, *k, block)
    assert block.tolist() == a


def one_block(c0, c1, c2, c3, k0, k1, out):
    out[0], out[1], out[2], out[3] = random_philox(c0, c1, c2, c3, k0, k1)


random_philox = random.philox


@pytest.mark.parametrize(
    ("fill", "dtype"),
    [("fill_words", np.int64), ("fill_uniforms", np.float32), ("fill_normals", np.float32)],
)
def test_plain_python_and_machine_code_draw_the_same_bits(fill, dtype):
    drawn = []
    for backend in ("cpu", "python"):
        out = np.empty((4, 500), dtype)
        kernel(getattr(random, fill), backend)(out, 3, ONES, 7, *KEY)
        drawn.append(out.tobytes())
    assert drawn[0] == drawn[1]


def test_plain_python_and_machine_code_agree_at_extreme_words():
    radius, angle = np.meshgrid(grid_of_words(9), grid_of_words(9))
    assert pairs(radius, angle).tobytes() == pairs(radius, angle, "python").tobytes()


def test_arrays_of_any_shape_start_alike():
    whole = random.normal((5, 7), KEY, index=2, step=3)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole.ravel(), random.normal(35, KEY, index=2, step=3))
    assert random.uniforms((0, 3), KEY).shape == (0, 3)


# ---------------------------------------------------------------- the Box-Muller polynomials


def test_the_logarithm_is_as_good_as_its_docstring_says():
    word = grid_of_words(200_001)
    no_turn = 0x80000000  # angle 0
    r, sine = pairs(word, no_turn).astype(np.float64)
    assert not sine.any()
    exact = -np.log(random.uniform(word).astype(np.float64))
    error = np.abs(0.5 * r * r - exact)
    # the polynomial, then the roundings of the sum, of ln 2, and of the square root
    assert (error <= 3e-7 + 4.0 * EPS * exact).all(), error.max()


def test_sine_and_cosine_are_as_good_as_their_docstring_says():
    angle = grid_of_words(200_001)
    z0, z1 = pairs(0, angle).astype(np.float64)
    a = ((angle >> 8) - 0x800000) * (math.pi / 2 * 2.0**-24)
    a = np.where(angle & 2, math.pi / 2 - a, a)
    sign = np.where(angle & 1, -1.0, 1.0)
    r = float(pairs(0, 0x80000000)[0, 0])  # the word 0 gives the largest radius
    assert r == pytest.approx(math.sqrt(64.0 * math.log(2.0)), rel=1e-6)
    assert np.abs(z0 / r - sign * np.cos(a)).max() <= 2e-6 + 4.0 * EPS
    assert np.abs(z1 / r - sign * np.sin(a)).max() <= 2e-6 + 4.0 * EPS


def test_uniforms_lie_above_0_and_up_to_1():
    u = random.uniform(grid_of_words(1001))
    assert u.min() == 2.0**-32
    assert u.max() == 1.0
    assert u.dtype == np.float32


# ---------------------------------------------------------------- distributions


@pytest.mark.parametrize(
    ("power", "mean", "variance"), [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]
)
def test_normals_have_the_moments_of_the_normal_law(z, power, mean, variance):
    assert np.mean(z**power) == pytest.approx(mean, abs=5.0 * math.sqrt(variance / N))


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_uniforms_have_the_moments_of_the_uniform_law(u, power):
    mean = 1 / (power + 1)
    variance = 1 / (2 * power + 1) - mean**2
    assert np.mean(u**power) == pytest.approx(mean, abs=5.0 * math.sqrt(variance / N))


def test_normals_and_uniforms_follow_their_distribution_functions(z, u):
    limit = math.sqrt(-0.5 * math.log(5.7e-7 / 2)) / math.sqrt(N)  # Kolmogorov's law at 5 sigma
    assert stats.kstest(z, "norm").statistic < limit
    assert stats.kstest(u, "uniform").statistic < limit


def test_each_of_the_four_normals_of_a_block_is_normal(z):
    limit = math.sqrt(-0.5 * math.log(5.7e-7 / 2)) / math.sqrt(N / 4)
    for slot in z.reshape(4, -1):
        assert stats.kstest(slot, "norm").statistic < limit


@pytest.mark.parametrize("beyond", [3.0, 4.0, 4.5])
def test_normals_have_the_tails_of_the_normal_law(z, beyond):
    for sign in (1.0, -1.0):
        expected = N * stats.norm.sf(beyond)
        assert np.sum(sign * z > beyond) == pytest.approx(expected, abs=5.0 * math.sqrt(expected))


def test_no_normal_exceeds_the_stated_largest(z):
    assert np.abs(z).max() <= 6.7
    assert np.abs(pairs(grid_of_words(101)[:, None], grid_of_words(101))).max() <= 6.7
    assert np.unique(z).size > 0.9 * N  # no table of a few thousand values


# ---------------------------------------------------------------- independence


def by_purpose():
    return [random.normal(PART, Streams(5).key(p)) for p in PURPOSES]


def by_seed():
    return [
        random.normal(PART, Streams(s).key(Purpose.FORWARD)) for s in (0, 1, 2, 3, 2**64, 2**127)
    ]


def by_path():
    paths = [(), (0,), (1,), (2,), (0, 0), (0, 1)]
    return [random.normal(PART, Streams(5, path).key(Purpose.FORWARD)) for path in paths]


def by_row():
    return [random.normal(PART, KEY, index=i) for i in (0, 1, 2, 3, 4, 2**16, ONES)]


def by_step():
    streams = Streams(5)
    streams.steps[:] = 2**32 - 3
    draws = [streams.draw(Purpose.UPDATE_PULSE) for _ in range(6)]  # across 2**32
    return [random.normal(PART, (k0, k1), step=step) for step, k0, k1 in draws]


def by_column():
    z = random.normal(4 * (PART + 8), KEY).reshape(4, -1)
    return [z[0, lag : lag + PART] for lag in range(5)] + [slot[:PART] for slot in z[1:]]


@pytest.mark.parametrize("family", [by_purpose, by_seed, by_path, by_row, by_step, by_column])
@pytest.mark.parametrize("square", [False, True])
def test_streams_are_not_correlated(family, square):
    z = np.stack(family()).astype(np.float64)
    r = np.corrcoef(z**2 if square else z)
    apart = np.abs(r[~np.eye(len(z), dtype=bool)])
    assert apart.max() < 5.0 / math.sqrt(PART)


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("rng", [None, 7, np.int64(7), np.random.SeedSequence(7), "generator"])
def test_the_seed_repeats_a_stream_however_it_was_made(rng):
    streams = Streams(np.random.default_rng(7) if rng == "generator" else rng)
    again = Streams(streams.seed)
    assert 0 <= streams.seed < 2**128
    assert all(streams.key(p) == again.key(p) for p in PURPOSES)
    assert len({streams.key(p) for p in PURPOSES}) == len(PURPOSES)


def test_no_seed_is_a_new_seed_and_a_generator_moves_on():
    assert Streams().seed != Streams().seed
    rng = np.random.default_rng(1)
    assert Streams(rng).seed != Streams(rng).seed
    assert Streams(np.random.default_rng(1)).seed == Streams(np.random.default_rng(1)).seed


def test_restored_streams_continue_where_they_were():
    streams, other = Streams(2**127 + 3), Streams(1)
    streams.take(Purpose.WRITE, 5)
    streams.draw(Purpose.UPDATE_BATCH)
    other.key(Purpose.WRITE)
    other.restore(streams.state())
    assert other.seed == streams.seed
    assert all(other.draw(p) == streams.draw(p) for p in PURPOSES)
    with pytest.raises(StateError, match=r"rng_steps must have shape \(16,\), got \(3,\)"):
        other.restore({**streams.state(), "rng_steps": np.zeros(3)})


def test_steps_continue_beyond_2_to_the_32():
    streams = Streams(3)
    first = streams.draw(Purpose.FORWARD)
    streams.steps[Purpose.FORWARD] = 2**32
    beyond = streams.draw(Purpose.FORWARD)
    assert streams.steps[Purpose.FORWARD] == 2**32 + 1
    assert (first[0], beyond[0]) == (0, 0)
    assert first != beyond


@pytest.mark.parametrize("rng", [-1, 2**128, True, 1.5, "7", [1, 2], np.float64(3)])
def test_what_cannot_seed_is_refused(rng):
    with pytest.raises(
        ConfigError, match=r"rng must be None, an integer in 0\.\.2\*\*128-1, a Seed"
    ):
        Streams(rng)


def test_numpys_global_generator_is_never_touched():
    before = np.random.get_state()  # noqa: NPY002 (only looks)
    tile = rs.AnalogTile(3, 4, rs.ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0))
    tile.update(tile.backward(tile.forward(np.ones(4))), np.ones(3))
    tile.post_update_step()
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
