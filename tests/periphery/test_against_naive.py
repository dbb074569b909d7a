"""The product against slow references: recorded vectors of the reference, and literal loops."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpusim as rs
from rpusim.kernels.bind import bind
from rpusim.kernels.random import normals4
from rpusim.periphery import passage
from rpusim.periphery.mvm import Periphery
from tests.naive.product import product
from tests.periphery.tiles import tile_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "product.json").read_text())
KEY = (0x12345678, 0x9ABCDEF0)
BACKENDS = ["cpu", "python"]


def run(io, x, matrix, transposed=False, backend="cpu", first=0):
    m = matrix.shape[1 if transposed else 0]
    gain, offset = np.ones(m, np.float32), np.zeros(m, np.float32)
    return Periphery(io, transposed, backend)(x, matrix, gain, offset, first, KEY)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_the_reference_simulators_vectors_come_out(case, backend):
    record = GOLDEN["cases"][case]
    forward = rs.IOParameters(out_noise=0.0, **record["settings"])
    tile = tile_of(GOLDEN["weights"], forward, backend=backend)
    np.testing.assert_allclose(tile.forward(GOLDEN["inputs"]), record["outputs"], atol=1e-6)


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_the_naive_product_gives_the_reference_simulators_vectors(case):
    record = GOLDEN["cases"][case]
    settings = rs.IOParameters(out_noise=0.0, **record["settings"]).to_dict()
    y, _ = product(GOLDEN["weights"], GOLDEN["inputs"], settings)
    np.testing.assert_allclose(y, record["outputs"], atol=1e-6)


# ---------------------------------------------------------------- exactly, on dyadic numbers


@st.composite
def settings(draw):
    """Draw settings whose arithmetic is exact in float32 for inputs and weights of few bits."""
    pick = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    managed = pick("NONE", "ABS_MAX", "CONSTANT")
    return rs.IOParameters(
        is_perfect=pick(False, False, False, True),
        inp_bound=pick(0.5, 1.0, 2.0, 0.0, np.inf) if managed == "NONE" else 1.0,
        inp_res=pick(0.0, -1.0, 1 / 128, 1 / 16, 64.0),
        out_bound=pick(0.0, -3.0, np.inf, 0.25, 1.0, 4.0, 16.0),
        out_res=pick(0.0, 1 / 512, 1 / 32, 64),
        out_noise=0.0,
        out_scale=pick(1.0, 0.5, -3.0),
        noise_management=managed,
        nm_thres=pick(0.0, 0.5, 2.0),
        bound_management=pick("NONE", "ITERATIVE"),
        max_bm_factor=pick(1, 3, 1000),
        max_bm_res=pick(0.25, 2.0),
        bm_test_negative_bound=pick(True, False),
    )


def dyadic(seed, rows, cols, batch):
    """Return weights and vectors of few bits; the largest of a vector is a power of two, or 0."""
    rng = np.random.default_rng(seed)
    w = rng.integers(-32, 33, (rows, cols)) / 16
    x = rng.integers(-32, 33, (batch, cols)) / 32
    x[np.arange(batch), rng.integers(0, cols, batch)] = rng.choice([-1.0, 1.0], batch)
    x *= 2.0 ** rng.integers(-2, 3, (batch, 1)) * rng.choice([0.0, 1.0, 1.0], (batch, 1))
    return w.astype(np.float32), x.astype(np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("backward", [False, True])
@given(
    io=settings(), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 2**32)
)
def test_without_noise_it_is_the_naive_product(backend, backward, io, shape, seed):
    w, x = dyadic(seed, *shape, batch=19)
    matrix = np.ascontiguousarray(w.T) if backward else w
    naive, _ = product(matrix, x, io.to_dict(), backward=backward)
    np.testing.assert_array_equal(run(io, x, matrix, backward, backend), naive)


# ---------------------------------------------------------------- with noise, draw by draw

NOISES = [
    {"inp_noise": 0.1},
    {"inp_sto_round": True},
    {"w_noise": 0.2, "w_noise_type": "ADDITIVE_CONSTANT"},
    {"out_noise": 0.3},
    {"out_sto_round": True},
]


def drawn(io, rounds, batch, n, m, first):
    """Return the draws that the documented keys stand for, as the naive product takes them."""

    def array(stage, lines, which):
        out = np.empty((rounds, batch, lines))
        for turn, b, line in np.ndindex(rounds, batch, lines):
            c = (line // 4, 0, first + b, stage + passage.STAGES * turn)
            out[turn, b, line] = which(*c)[line % 4]
        return out

    def normals(c0, c1, c2, c3):
        return bind(normals4, "python")(c0, c1, c2, c3, *KEY)

    def dithers(c0, c1, c2, c3):
        return bind(passage.dithers, "python")(c0, c2, c3, *KEY)

    draws = {
        "inp_noise": array(passage.INPUT_NOISE, n, normals),
        "w_noise": array(passage.WEIGHT_NOISE, m, normals),
        "out_noise": array(passage.OUTPUT_NOISE, m, normals),
    }
    if io.inp_sto_round:
        draws["inp_round"] = array(passage.INPUT_ROUND, n, dithers)
    if io.out_sto_round:
        draws["out_round"] = array(passage.OUTPUT_ROUND, m, dithers)
    return draws


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 8, 16, 17, 18, 24, 31])
def test_with_noise_it_is_the_naive_product_with_the_same_draws(backend, backward, number):
    io = rs.IOParameters(
        out_noise=0.0, out_bound=3.0, out_res=1 / 30, inp_res=1 / 16, max_bm_res=0.5
    )
    for bit, noise in enumerate(NOISES):
        io = io.replace(**noise) if number >> bit & 1 else io
    rng = np.random.default_rng(number)
    w, x = (rng.normal(size=s).astype(np.float32) for s in ((5, 6), (20, 6)))
    draws = drawn(io, 1 if backward else 4, 20, 6, 5, first=7)
    matrix = np.ascontiguousarray(w.T) if backward else w
    naive, turns = product(matrix, x, io.to_dict(), draws, backward)
    result = run(io, x, matrix, backward, backend, first=7)
    assert backward or {0, 1} <= set(turns)  # some vectors took another round, some did not
    np.testing.assert_allclose(result, naive, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("number", range(32))
def test_machine_code_and_plain_python_give_the_same_bits(transposed, number):
    io = rs.IOParameters(out_noise=0.0, out_bound=3.0)
    for bit, noise in enumerate(NOISES):
        io = io.replace(**noise) if number >> bit & 1 else io
    rng = np.random.default_rng(number)
    w, x = (rng.normal(size=s).astype(np.float32) for s in ((6, 6), (20, 6)))
    fast, plain = (run(io, x, w, transposed, backend) for backend in BACKENDS)
    np.testing.assert_array_equal(fast, plain)
