"""The product by teams, on a simulated GPU: the bits of the CPU; and its kernels as PTX."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices.fabrication import Draw
from rpusim.errors import DataError
from rpusim.kernels import cuda
from rpusim.kernels.device_arrays import host, is_device_array, place
from rpusim.kernels.streams import Purpose, Streams
from rpusim.periphery import by_vector
from rpusim.periphery.ladder import LadderPeriphery
from rpusim.periphery.lines import draw_parameters
from rpusim.periphery.mvm import Periphery
from rpusim.periphery.read_noise import ReadNoise
from tests.periphery.ladders import ladder_io

pytestmark = [
    pytest.mark.skipif(not cuda.simulated(), reason="compares bits, which a GPU rounds otherwise"),
    pytest.mark.filterwarnings("ignore::rpusim.ModelRangeWarning"),
]
KEY, FIRST = (0x12345678, 0x9ABCDEF0), 2**33 + 5
RNG = np.random.default_rng(4)
W = RNG.normal(0.0, 0.7, size=(5, 6)).astype(np.float32)
X = RNG.normal(size=(3, 6)).astype(np.float32)
X[1] *= 3.0


class Linear(ReadNoise):
    """Noise that grows with the weight."""

    floor: float = rs.param(0.02, low=0.0)
    slope: float = rs.param(0.1, low=0.0)

    @staticmethod
    def sigma(w, model):
        return model.floor + model.slope * abs(w)


NOISY = {"inp_noise": 0.05, "out_noise": 0.1, "out_bound": 1.7}
LINES = {
    "v_offset_std": 0.05,
    "v_offset_w_min": -0.3,
    "r_series": 0.05,
    "out_nonlinearity": 0.1,
    "out_nonlinearity_std": 0.2,
    "out_noise_std": 0.3,
}
WIRES = {"ir_drop": 1.0, "ir_drop_g_ratio": 50.0}
ASYMMETRY = {"inp_asymmetry": 0.1, "out_asymmetry": -0.2}
SETTINGS = {
    "perfect": {"is_perfect": True, "out_scale": 2.0},
    "default": {},
    "without converters": {"inp_res": 0.0, "out_res": 0.0, **NOISY},
    "stochastic rounding": {"inp_sto_round": True, "out_sto_round": True, "out_bound": 0.7},
    "asymmetries": {**NOISY, **ASYMMETRY},
    "unscaled": {"noise_management": "NONE", "inp_bound": 0.8},
    "constant scale": {"noise_management": "CONSTANT", "nm_thres": 1.3, **NOISY},
    "largest element": {"noise_management": "MAX", "nm_thres": 0.8, **NOISY},
    "sums of inputs": {"noise_management": "ABS_MAX_NP_SUM", **NOISY},
    "running mean": {"noise_management": "AVERAGE_ABS_MAX", **NOISY},
    "worst case": {"bound_management": "ITERATIVE_WORST_CASE", **NOISY},
    "shift": {"bound_management": "SHIFT", **NOISY, "out_noise_std": 0.2},
    "negative bound": {"bm_test_negative_bound": False, **NOISY},
    "without repetitions": {"bound_management": "NONE", **NOISY, "out_bound": 0.4},
    "lines": {**NOISY, **LINES},
    "wires": {**NOISY, **WIRES, "ir_drop_far_first": True},
    "additive noise": {**NOISY, "w_noise": 0.1, "w_noise_type": "ADDITIVE_CONSTANT"},
    "pcm noise": {**NOISY, "w_noise": 0.1, "w_noise_type": "PCM_READ"},
    "a law of noise": {**NOISY, "read_noise": Linear()},
    "signs apart": {"mv_type": "POS_NEG_SEPARATE", **NOISY, "w_read_asymmetry_dtod": 0.2},
    "signs apart, all": {
        "mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM",
        **{**NOISY, **WIRES, **LINES, **ASYMMETRY},
        "read_noise": Linear(),
        "w_read_asymmetry_dtod": 0.2,
        "inp_sto_round": True,
    },
    "two slices": {"mv_type": "SPLIT_MODE", "inp_res": 1 / 62, **NOISY, **ASYMMETRY, **WIRES},
    "bits": {"mv_type": "BIT_WISE", "inp_res": 1 / 30, "slice_adc": "FULL_RANGE", **NOISY, **LINES},
}
ONE_PRODUCT = [
    "perfect",
    "default",
    "without converters",
    "asymmetries",
    "sums of inputs",
    "shift",
    "lines",
    "additive noise",
]
FAR = {"perfect", "stochastic rounding", "running mean", "worst case", "signs apart, all", "bits"}


@pytest.fixture(params=[2], ids="{} members".format)
def team(request, monkeypatch):
    """Let a simulated team have so many members."""
    monkeypatch.setattr(cuda, "SIMULATED_TEAM", request.param)
    return request.param


@pytest.fixture
def launches(monkeypatch):
    """Count launches."""
    found, launch = [], cuda.Launch.__call__
    monkeypatch.setattr(
        cuda.Launch, "__call__", lambda self, *args: found.append(self) or launch(self, *args)
    )
    return found


def periphery(io, backend, transposed=False, shape=W.shape):
    """Return one direction with its parameters drawn."""
    draw = Draw(Streams(3).key(Purpose.FABRICATE))
    return Periphery(io, transposed, backend, draw_parameters(io, shape, transposed, draw))


def product(io, backend, x=X, w=W, transposed=False, **options):
    """Return results, report and masks as arrays of this machine."""
    made = periphery(io, backend, transposed, w.shape)
    return call(made, x, w, **options)


def call(made, x=X, w=W, **options):
    digital = np.empty((2, w.shape[1 if made.transposed else 0]), np.float32)
    digital[0], digital[1] = 1.5, np.arange(digital.shape[1])
    w = place(w, made.backend)
    found = made(x, w, digital, FIRST, KEY, masked=True, **options)
    assert all(is_device_array(array) == is_device_array(x) for array in found)
    return [host(array) for array in found]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- the bits of the CPU


@pytest.mark.parametrize("name", SETTINGS)
def test_a_team_gives_the_bits_of_the_cpu(name, team):
    io = rs.IOParameters(**SETTINGS[name])
    x = place(X, "cuda") if name in FAR else X
    assert_same(product(io, "cuda", x), product(io, "cpu"))


@pytest.mark.parametrize("team", [1, 3, 8], indirect=True)
@pytest.mark.parametrize("name", ["lines", "signs apart, all"])
def test_the_size_of_a_team_changes_no_bit(name, team):
    io = rs.IOParameters(**SETTINGS[name])
    assert_same(product(io, "cuda"), product(io, "cpu"))


@pytest.mark.parametrize(
    "name", ["perfect", "default", "lines", "wires", "a law of noise", "signs apart, all", "bits"]
)
def test_the_transpose_gives_the_bits_of_the_cpu(name):
    io = rs.IOParameters(**SETTINGS[name], bound_management="NONE")
    x = X[:, :5].copy()
    there = product(io, "cuda", x, transposed=True)
    assert_same(there, product(io, "cpu", x, transposed=True))


def test_the_data_of_these_tests_repeat_some_vectors_and_clip_some_lines():
    _, report, masks = product(rs.IOParameters(**SETTINGS["worst case"]), "cpu")
    assert len(set(report[:, 6])) > 1
    _, report, masks = product(rs.IOParameters(**SETTINGS["unscaled"]), "cpu")
    assert 0 < masks[:, :6].sum() < 18
    _, report, masks = product(rs.IOParameters(**SETTINGS["without repetitions"]), "cpu")
    assert 0 < masks[:, 6:].sum() < 15


def test_everything_is_one_launch_and_no_vector_is_none(launches):
    io = rs.IOParameters(**SETTINGS["worst case"])
    assert_same(product(io, "cuda"), product(io, "cpu"))
    assert len(launches) == 1
    assert [len(a) for a in product(io, "cuda", X[:0])] == [0, 0, 0]


# ---------------------------------------------------------------- a library's product between


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ONE_PRODUCT)
def test_a_library_may_multiply_between_two_launches(name, transposed, monkeypatch, launches):
    monkeypatch.setattr(by_vector, "WIDE", 0)
    # without rounding by the ADC: it could make a step of the last bit, by which sums differ
    changes = {**SETTINGS[name], "out_res": 0.0}
    io = rs.IOParameters(**({**changes, "bound_management": "NONE"} if transposed else changes))
    x = X[:, :5].copy() if transposed else X
    found, expected = (product(io, b, x, transposed=transposed) for b in ("cuda", "cpu"))
    assert len(launches) == 2 + (periphery(io, "cpu", transposed).rounds > 0)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[2], expected[2])


@pytest.mark.parametrize("name", ["wires", "pcm noise", "signs apart", "two slices"])
def test_what_needs_several_products_stays_one_launch(name, monkeypatch, launches):
    monkeypatch.setattr(by_vector, "WIDE", 0)
    io = rs.IOParameters(**SETTINGS[name])
    assert_same(product(io, "cuda"), product(io, "cpu"))
    assert len(launches) == 1


# ---------------------------------------------------------------- inputs that are not finite


def spoilt(*values):
    x = X.copy()
    x[1, : len(values)] = values
    return x


@pytest.mark.parametrize("wide", [2**60, 0])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_or_gives_nan(value, wide, monkeypatch):
    monkeypatch.setattr(by_vector, "WIDE", wide)
    io, x = rs.IOParameters(out_noise=0.0), spoilt(value)
    made, good = periphery(io, "cuda"), product(io, "cpu")[0]
    with pytest.raises(DataError, match=r"product: the input must be finite.* in row 1"):
        call(made, x)
    y, report, _ = call(made, place(x, "cuda"))
    assert np.isnan(y[1]).all()
    np.testing.assert_allclose(y[[0, 2]], good[[0, 2]], atol=1e-6)
    with pytest.raises(DataError, match=r"here: the input must be finite.* in row 1"):
        made.check(place(report, "cuda"), "here")


@pytest.mark.parametrize("far", [False, True])
def test_what_is_not_finite_may_propagate(far):
    io, x = rs.IOParameters(on_nonfinite="PROPAGATE"), spoilt(np.nan, np.inf)
    assert_same(product(io, "cuda", place(x, "cuda") if far else x), product(io, "cpu", x))


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("management", ["NONE", "MAX", "AVERAGE_ABS_MAX"])
def test_infinity_may_saturate(management, far):
    io = rs.IOParameters(on_nonfinite="SATURATE", noise_management=management)
    x = spoilt(0.5, np.inf, -np.inf)
    assert_same(product(io, "cuda", place(x, "cuda") if far else x), product(io, "cpu", x))


def test_what_cannot_saturate_gives_nan():
    io = rs.IOParameters(on_nonfinite="SATURATE")
    y, _, _ = product(io, "cuda", place(spoilt(np.nan, np.inf), "cuda"))
    assert np.isnan(y).any(axis=1).tolist() == [False, True, False]
    unbounded = rs.IOParameters(on_nonfinite="SATURATE", inp_bound=0.0, noise_management="NONE")
    y, _, _ = product(unbounded, "cuda", place(spoilt(np.inf), "cuda"))
    assert np.isnan(y).any(axis=1).tolist() == [False, True, False]


# ---------------------------------------------------------------- what is kept between calls


@pytest.mark.parametrize("far", [False, True])
def test_the_running_mean_goes_on(far):
    io = rs.IOParameters(**SETTINGS["running mean"])
    here, there = periphery(io, "cpu"), periphery(io, "cuda")
    for training in (True, True, False):
        x = place(X, "cuda") if far else X
        assert_same(call(there, x, training=training), call(here, training=training))
    assert there.parameters["aux_nm_value"] == here.parameters["aux_nm_value"] > 0.0


def test_what_follows_from_weights_and_parameters_is_found_once_and_again(launches):
    io = rs.IOParameters(**SETTINGS["signs apart, all"])
    here, there = periphery(io, "cpu"), periphery(io, "cuda")
    assert_same(call(there, version=1), call(here, version=1))
    assert len(launches) == 3  # a law of noise twice, for either sign of the inputs
    assert_same(call(there, version=1), call(here, version=1))
    assert len(launches) == 4
    assert_same(call(there, w=2.0 * W, version=2), call(here, w=2.0 * W, version=2))
    assert len(launches) == 7
    changes = {"w_asymmetry": np.full(W.shape, 0.9), "v_offset": np.full(5, 0.2)}
    for made in (here, there):
        made.set_parameters(changes, "test")
    assert_same(call(there, version=2), call(here, version=2))


def test_currents_beyond_the_model_are_warned_of():
    io = rs.IOParameters(out_noise=0.0, ir_drop=1.0, ir_drop_g_ratio=5.0)
    with pytest.warns(rs.ModelRangeWarning, match="times the current"):
        product(io, "cuda")
    made = periphery(io, "cuda")
    _, report, _ = call(made, place(X, "cuda"))
    with pytest.warns(rs.ModelRangeWarning, match=r"later: .* times the current"):
        made.check(report, "later")


# ---------------------------------------------------------------- wires solved in time

LADDERS = {
    "one pass": {"ir_drop_integration": "SAMPLED"},
    "slices": {"mv_type": "SPLIT_MODE", "adc_quantization": False},
    "bits": {"mv_type": "BIT_WISE", "ir_drop_in_training": True, "read_noise": Linear()},
    "pcm": {"apply_xdep_pcm_read_noise": True, "bound_management": "ITERATIVE"},
}


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("name", LADDERS)
def test_wires_solved_in_time_give_the_bits_of_the_cpu(name, far):
    common = {"inp_res": 1 / 30, "out_bound": 1.0, "noise_management": "ABS_MAX"}
    io = ladder_io(**{**common, "inp_noise": 0.02, "out_noise": 0.02, **LADDERS[name]})
    here, there = (LadderPeriphery(io, backend=backend) for backend in ("cpu", "cuda"))
    x = place(X, "cuda") if far else X
    for training in (False, True):
        assert_same(
            call(there, x, training=training, version=1),
            call(here, training=training, version=1),
        )


# ---------------------------------------------------------------- machine code

COMPILE = """
    import numpy as np
    from rpusim.kernels.bind import kernel
    from rpusim.kernels.cuda import ptx_of_launch
    from rpusim.kernels.law import with_parameters
    from rpusim.periphery.one_vector import receive_vectors, run_vectors, send_vectors
    from rpusim.periphery.one_vector_ladder import pass_ladder_vector
    from rpusim.periphery.passage import Passage
    from rpusim.periphery.read_noise import fill_variance

    def law(w, model):
        return model.strength * abs(w) ** 0.5

    def scale(begin, end, v):
        for i in range(begin, end):
            v[i] = 2.0 * v[i]

    v, w, masks = np.zeros(2, "f4"), np.zeros((2, 2), "f4"), np.zeros((2, 2), "u1")
    kinds, settings = np.zeros(2, "i8"), np.zeros(len(Passage._fields), "f4")
    try:
        ptx_of_launch(kernel(scale, "cuda"), v)
    except Exception as error:
        print("no compiler:", type(error).__name__)
        raise SystemExit(0)
    wires = (w, w, v, w, kinds, w)
    for number, (names, *args) in enumerate((
        ({}, 0, 3, w, w, (w,) * 5, False, settings, w, w, 0, 1, 2, w, w, masks, (w,) * 6),
        ({"pass_vector": pass_ladder_vector},
         0, 3, w, w, wires, False, settings, w, w, 0, 1, 2, w, w, masks, (w,) * 5),
    )):
        assert ".f64" not in ptx_of_launch(kernel(run_vectors, "cuda", **names), *args), number
    args = (w, settings, 0, 1, 2, w, w, masks)
    assert ".f64" not in ptx_of_launch(kernel(send_vectors, "cuda"), *args)
    args = (w, settings, w, w, 0, 1, 2, w, w, w, masks)
    assert ".f64" not in ptx_of_launch(kernel(receive_vectors, "cuda"), *args)
    spread = with_parameters(law, ("strength",))
    assert ".f64" not in ptx_of_launch(kernel(fill_variance, "cuda", spread=spread), w, w, v)
    print("compiled")
"""


def test_the_kernels_compile_to_ptx_without_double_precision():
    pytest.importorskip("numba_cuda", reason="PTX needs the package numba-cuda[cu13]")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPILE)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout.strip()
    if said.startswith("no compiler"):
        pytest.skip(f"no compiler for PTX is installed (numba-cuda[cu13]): {said}")
    assert said == "compiled", done.stderr
