"""The product against slow references: recorded vectors of the reference, and literal loops."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpusim as rs
from tests.naive.product import product
from tests.periphery.draws import draws_of
from tests.periphery.tiles import both, tile_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "product.json").read_text())
pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ModelRangeWarning")
BACKENDS = ["cpu", "python"]
SEED = 20


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
    bound = pick(0.0, -3.0, np.inf, 0.25, 1.0, 4.0, 16.0)
    return rs.IOParameters(
        is_perfect=pick(False, False, False, True),
        mv_type=pick("ONE_PASS", "POS_NEG_SEPARATE", "POS_NEG_SEPARATE_DIGITAL_SUM"),
        inp_bound=pick(0.5, 1.0, 2.0, 0.0, np.inf) if managed == "NONE" else 1.0,
        inp_res=pick(0.0, -1.0, 1 / 128, 1 / 16, 64.0),
        inp_asymmetry=pick(0.0, 0.0, 0.5, -0.25),
        out_bound=bound,
        out_res=pick(0.0, 1 / 512, 1 / 32, 64),
        out_asymmetry=pick(0.0, 0.0, 0.25, -0.5),
        out_noise=0.0,
        out_scale=pick(1.0, 0.5, -3.0),
        noise_management=managed,
        nm_thres=pick(0.0, 0.5, 2.0),
        bound_management=pick("NONE", "ITERATIVE", "SHIFT" if 0.0 < bound < np.inf else "NONE"),
        max_bm_factor=pick(1, 3, 1000),
        max_bm_res=pick(0.25, 2.0),
        bm_test_negative_bound=pick(True, False),
        zero_input_shortcut=pick(True, False),
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
    tile = tile_of(matrix, *both(io), backend=backend)
    naive, _ = product(matrix, x, io.to_dict(), backward=backward)
    np.testing.assert_array_equal((tile.backward if backward else tile.forward)(x), naive)


# ---------------------------------------------------------------- draw by draw, option by option


class Linear(rs.ReadNoise):
    """Noise that grows with a weight, from a floor."""

    floor: float = rs.param(0.03, low=0.0, doc="std at w = 0")

    @staticmethod
    def sigma(w, model):
        return model.floor + 0.1 * abs(w)


PLAIN = {"out_noise": 0.0, "out_bound": 3.0, "out_res": 1 / 30, "inp_res": 1 / 62}
MODES = [
    {},
    {"mv_type": "POS_NEG_SEPARATE"},
    {"mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM"},
    {"mv_type": "SPLIT_MODE", "split_mode_bit_shift": 2},
    {"mv_type": "BIT_WISE"},
    {"mv_type": "SPLIT_MODE", "slice_adc": "FULL_RANGE"},
    {"mv_type": "BIT_WISE", "slice_adc": "FULL_RANGE"},
]
MANAGEMENTS = [
    {},
    {"noise_management": "MAX"},
    {"noise_management": "MAX", "nm_thres": 0.8, "bound_management": "ITERATIVE_WORST_CASE"},
    {"noise_management": "AVERAGE_ABS_MAX", "nm_decay": 0.1},
    {"noise_management": "AVERAGE_ABS_MAX", "bound_management": "ITERATIVE_WORST_CASE"},
    {"noise_management": "ABS_MAX_NP_SUM"},
    {"noise_management": "ABS_MAX_NP_SUM", "nm_assumed_wmax": 2.0, "max_bm_res": 0.1},
    {"noise_management": "CONSTANT", "nm_thres": 1.5, "bound_management": "NONE"},
    {"noise_management": "NONE", "bound_management": "SHIFT", "inp_bound": 2.0},
    {"bound_management": "ITERATIVE_WORST_CASE"},
    {"bound_management": "ITERATIVE_WORST_CASE", "max_bm_factor": 2},
    {"bound_management": "SHIFT"},
    {"bm_test_negative_bound": False},
    {"zero_input_shortcut": False},
]
EFFECTS = [
    {"inp_noise": 0.1},
    {"inp_sto_round": True},
    {"inp_asymmetry": 0.2},
    {"w_noise": 0.2, "w_noise_type": "ADDITIVE_CONSTANT"},
    {"w_noise": 0.2, "w_noise_type": "PCM_READ"},
    {"read_noise": Linear()},
    {"ir_drop": 1.0, "ir_drop_g_ratio": 30.0},
    {"ir_drop": 0.5, "ir_drop_g_ratio": 20.0, "ir_drop_far_first": True},
    {"v_offset_std": 0.1},
    {"v_offset_std": 0.1, "v_offset_law": "NORMAL", "v_offset_w_min": 0.0},
    {"r_series": 0.1},
    {"r_series": 0.2, "v_offset_std": 0.1, "v_offset_w_min": -0.5, "r_series_max_total": 0.3},
    {"out_nonlinearity": 0.4, "out_nonlinearity_std": 0.3},
    {"out_nonlinearity": 0.4, "slope_calibration": 0.5, "r_series": 0.05},
    {"out_asymmetry": 0.1},
    {"out_asymmetry": -0.1},
    {"out_noise": 0.3},
    {"out_noise": 0.3, "out_noise_std": 0.4},
    {"out_sto_round": True},
    {"w_read_asymmetry_dtod": 0.3},
    {"w_read_asymmetry_dtod": 0.3, "read_noise": Linear(), "ir_drop": 1.0, "ir_drop_g_ratio": 30.0},
    {"w_read_asymmetry_dtod": 0.3, "w_noise": 0.2, "w_noise_type": "PCM_READ"},
]


def batch(seed, rows=5, cols=6, count=20):
    """Return weights and vectors, among them zeros, only negative ones, large and small ones.

    The largest of a vector, and the largest positive one, are powers of two: half of a full input
    lies between two codes of the DAC, where otherwise the last bit of a quotient would decide.
    """
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=(rows, cols)), rng.normal(size=(count, cols))
    x /= np.abs(x).max(axis=1, keepdims=True) / 0.97
    each, place, negative = np.arange(count), rng.integers(0, cols, count), rng.random(count) < 0.3
    x = np.where(negative[:, None] & (x > 0.0), 0.5 * x, x)
    x[each, place - 1] = np.where(negative, 0.5, x[each, place - 1])
    x[each, place] = np.where(negative, -1.0, 1.0)
    x *= 2.0 ** rng.integers(-3, 4, (count, 1))
    x[[3, 11]] = 0.0
    x[5], x[7] = -np.abs(x[5]), np.abs(x[7])
    return w.astype(np.float32), x.astype(np.float32)


def check(io, seed, backend, backward=False, is_test=False):
    """Compare a tile with the naive product of the same draws; return how often rounds went on."""
    w, x = batch(seed)
    matrix = np.ascontiguousarray(w.T) if backward else w
    tile = tile_of(matrix, *both(io), rng=SEED, backend=backend)
    getter = tile.get_backward_parameters if backward else tile.get_forward_parameters
    hidden = {name: np.array(value, np.float64) for name, value in getter().items()}
    for name in {"aux_nm_value", "out_nonlinearity_factor"} & set(hidden):
        hidden[name] = hidden[name].item()
    if "w_asymmetry" in hidden:
        hidden["w_asymmetry"] = hidden["w_asymmetry"].reshape(matrix.shape)
    if io.read_noise is not None:
        hidden["read_sigma"] = lambda v: io.read_noise.floor + 0.1 * abs(float(v))
    draws = draws_of(io, SEED, 1 if backward else 6, (len(x), 6, 5), backward=backward)
    naive, turns = product(matrix, x, io.to_dict(), draws, backward, hidden, is_test)
    y = tile.backward(x) if backward else tile.forward(x, is_test)
    np.testing.assert_allclose(y, naive, rtol=2e-5, atol=2e-5)
    if "aux_nm_value" in hidden:
        state = np.asarray(getter()["aux_nm_value"]).item()
        assert state == pytest.approx(hidden["aux_nm_value"], rel=1e-6)
    return turns


def fitting(effect, mode):
    """Return whether an effect exists in a mode."""
    return "w_read_asymmetry_dtod" not in effect or "POS_NEG" in mode.get("mv_type", "")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("mode", MODES, ids=repr)
@pytest.mark.parametrize("effect", EFFECTS, ids=repr)
def test_every_effect_in_every_mode_is_the_naive_product(effect, mode, backward):
    if fitting(effect, mode):
        check(rs.IOParameters(**{**PLAIN, **mode, **effect}), 31, "cpu", backward)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("mode", MODES, ids=repr)
@pytest.mark.parametrize("management", MANAGEMENTS, ids=repr)
def test_every_management_in_every_mode_is_the_naive_product(management, mode, backward):
    io = rs.IOParameters(**{**PLAIN, "out_noise": 0.1, "inp_noise": 0.05, **mode, **management})
    check(io, 32, "cpu", backward)


@pytest.mark.parametrize("is_test", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", range(40))
def test_effects_together_are_the_naive_product(number, backend, is_test):
    check(mixed(number), 100 + number, backend, is_test=is_test)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", range(40))
def test_effects_together_are_the_naive_product_backward(number, backend):
    check(mixed(number), 200 + number, backend, backward=True)


def mixed(number):
    """Return settings of several effects, chosen at random by a number."""
    rng = np.random.default_rng(number)
    mode, management = (group[rng.integers(len(group))] for group in (MODES, MANAGEMENTS))
    chosen = {**PLAIN, **mode, **management}
    for k in rng.choice(len(EFFECTS), 6, replace=False):
        if fitting(EFFECTS[k], mode):
            chosen |= EFFECTS[k]
    if "w_noise_type" not in chosen:
        chosen["w_noise"] = 0.0
    return rs.IOParameters(**chosen)


def test_bound_management_repeats_some_of_these_vectors_and_not_others():
    assert {0, 1} <= set(check(rs.IOParameters(**PLAIN), 31, "cpu"))
    narrow = {**PLAIN, "out_bound": 0.8, "max_bm_res": 0.5}
    for kind in ("ITERATIVE", "ITERATIVE_WORST_CASE"):
        io = rs.IOParameters(**narrow, bound_management=kind)
        assert {0, 1, 2, 3} <= set(check(io, 31, "cpu"))


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("number", range(40))
def test_machine_code_and_plain_python_give_the_same_bits(backward, number):
    io = mixed(number)
    w, x = batch(number, rows=6)
    tiles = [tile_of(w, *both(io), backend=backend) for backend in BACKENDS]
    np.testing.assert_array_equal(*[(t.backward if backward else t.forward)(x) for t in tiles])


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("number", range(40))
def test_bits_do_not_depend_on_how_a_batch_is_cut(number, backward):
    io = mixed(number)
    w, x = batch(number, rows=6)
    whole, cut = (tile_of(w, *both(io)) for _ in range(2))
    method = "backward" if backward else "forward"
    parts = [getattr(cut, method)(part) for part in np.split(x, [1, 3, 10, 18])]
    np.testing.assert_array_equal(np.concatenate(parts), getattr(whole, method)(x))
