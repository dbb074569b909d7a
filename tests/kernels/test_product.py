"""The product of a matrix with a panel: right to rounding, and the same bits in any company."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpusim as rs
from rpusim.kernels import backend
from rpusim.kernels.bind import kernel
from rpusim.kernels.product import LANES, fma, multiply_panel
from rpusim.periphery import IOParameters
from rpusim.periphery.mvm import Periphery
from tests.naive.product import multiply

UNIT = 2.0**-24  # relative error of one float32 rounding
PERFECT = IOParameters(is_perfect=True)


def run_panel(panel, lanes, matrix, transposed, out, scratch):
    multiply_panel(panel, lanes, matrix, transposed, out, scratch)


def panel_product(matrix, vectors, transposed):
    """Return what `multiply_panel` makes of (lanes, n) vectors."""
    lanes, m = len(vectors), matrix.shape[1 if transposed else 0]
    out = np.full(m * lanes, np.nan, np.float32)
    scratch = np.full((m + LANES) * lanes, np.nan, np.float32)
    panel = np.ascontiguousarray(vectors.T).ravel()
    kernel(run_panel)(panel, lanes, matrix, transposed, out, scratch)
    return out.reshape(m, lanes).T


def numbers(seed, *shape):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 2.0 ** rng.integers(-8, 8, shape)).astype(np.float32)


def through_periphery(matrix, x, transposed, io=PERFECT):
    m = matrix.shape[1 if transposed else 0]
    digital = np.stack([np.ones(m, np.float32), np.zeros(m, np.float32)])
    return Periphery(io, transposed)(x, matrix, digital, 0, (1, 2))[0]


shapes = st.tuples(st.integers(1, 40), st.integers(1, 70))


@given(shapes, st.sampled_from([8, 16]), st.booleans(), st.integers(0, 2**32))
def test_a_panel_product_is_within_rounding_of_float64(shape, lanes, transposed, seed):
    matrix = numbers(seed, *shape)
    vectors = numbers(seed + 1, lanes, shape[0 if transposed else 1])
    result = panel_product(matrix, vectors, transposed)
    w = matrix.T if transposed else matrix
    exact = np.array([multiply(w, v) for v in vectors[:2]])
    size = np.abs(vectors[:2].astype(np.float64)) @ np.abs(w.T.astype(np.float64))
    n = w.shape[1]
    assert (np.abs(result[:2] - exact) <= 1.01 * n * UNIT * size).all()


@given(shapes, st.sampled_from([8, 16]), st.booleans(), st.integers(0, 2**32))
def test_a_panel_product_sums_in_order_with_one_rounding_per_term(shape, lanes, transposed, seed):
    matrix = numbers(seed, *shape)
    vectors = numbers(seed + 1, lanes, shape[0 if transposed else 1])
    result = panel_product(matrix, vectors, transposed)
    w = matrix.T if transposed else matrix
    for lane in (0, lanes - 1):
        for i in (0, len(w) - 1):
            total = np.float32(0.0)
            for wij, xj in zip(w[i], vectors[lane], strict=True):
                total = fma(wij, xj, total)
            assert result[lane, i] == total


@pytest.mark.parametrize("driven", [0, 1, 5, 10, 11, 80])
@pytest.mark.parametrize("lanes", [8, 16])
def test_lines_that_are_not_driven_may_be_left_out(lanes, driven):
    matrix, vectors = numbers(7, 33, 80), np.zeros((lanes, 80), np.float32)
    chosen = np.random.default_rng(driven).permutation(80)[:driven]
    for k, line in enumerate(chosen):  # a line is driven if any vector does
        vectors[k % lanes, line] = numbers(8, driven, 1)[k, 0]
    result = panel_product(matrix, vectors, False)
    for lane in range(lanes):
        for i in (0, 32):
            total = np.float32(0.0)
            for wij, xj in zip(matrix[i], vectors[lane], strict=True):
                total = fma(wij, xj, total)
            assert result[lane, i] == total


def test_a_fused_multiply_add_rounds_once():
    a = np.float32(1.0 + 2.0**-12)
    assert fma(a, a, np.float32(-1.0)) == np.float32(2.0**-11 + 2.0**-24)
    assert np.float32(a * a) - np.float32(1.0) == np.float32(2.0**-11)


@given(shapes, st.integers(1, 40), st.booleans(), st.integers(0, 2**32))
def test_an_output_depends_on_its_own_vector_alone(shape, batch, transposed, seed):
    matrix = numbers(seed, *shape)
    x = numbers(seed + 1, batch, shape[0 if transposed else 1])
    together = through_periphery(matrix, x, transposed)
    alone = np.concatenate([through_periphery(matrix, row[None], transposed) for row in x])
    assert together.tobytes() == alone.tobytes()


@given(shapes, st.booleans(), st.integers(0, 2**32))
def test_an_output_depends_on_its_own_line_of_the_matrix_alone(shape, transposed, seed):
    matrix = numbers(seed, *shape)
    x = numbers(seed + 1, 9, shape[0 if transposed else 1])
    whole = through_periphery(matrix, x, transposed)
    half = matrix[:, : shape[1] // 2 + 1] if transposed else matrix[: shape[0] // 2 + 1]
    part = through_periphery(np.ascontiguousarray(half), x, transposed)
    np.testing.assert_array_equal(part, whole[:, : part.shape[1]])


NOISES = [
    {"inp_noise": 0.1},
    {"inp_sto_round": True},
    {"w_noise": 0.1, "w_noise_type": "ADDITIVE_CONSTANT"},
    {"out_noise": 0.1},
    {"out_sto_round": True},
]


def noisy(number):
    """Return settings with the noises that the bits of a number choose."""
    chosen = {"out_noise": 0.0, "out_bound": 3.0}
    for bit, noise in enumerate(NOISES):
        chosen |= noise if number >> bit & 1 else {}
    return IOParameters(**chosen)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("io", [PERFECT, *map(noisy, range(32))], ids=repr)
def test_bits_do_not_depend_on_the_number_of_threads(io, transposed, monkeypatch):
    monkeypatch.setattr(backend, "WORTH_A_THREAD", 1)
    matrix, x = numbers(1, 33, 33), numbers(2, 100, 33)
    before, results = rs.get_num_threads(), set()
    for threads in (1, 2, 3):
        rs.set_num_threads(threads)
        results.add(through_periphery(matrix, x, transposed, io).tobytes())
    rs.set_num_threads(before)
    assert len(results) == 1


def test_an_empty_batch_gives_an_empty_batch():
    matrix = numbers(1, 3, 4)
    assert through_periphery(matrix, np.empty((0, 4), np.float32), False).shape == (0, 3)
    assert through_periphery(matrix, np.empty((0, 3), np.float32), True).shape == (0, 4)
