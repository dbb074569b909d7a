"""Products in several passes: positive and negative inputs apart, or bits of the inputs apart."""

import math

import numpy as np
import pytest

import rpusim as rs
from tests.periphery.tiles import io, quiet, same_rows, tile_of

SIGMAS = 5.0
RNG = np.random.default_rng(11)
POS_NEG = ["POS_NEG_SEPARATE", "POS_NEG_SEPARATE_DIGITAL_SUM"]
SLICED = ["SPLIT_MODE", "BIT_WISE"]


def approx_std(value, count):
    return pytest.approx(value, rel=SIGMAS / math.sqrt(2 * count))


# ---------------------------------------------------------------- negative inputs by themselves


@pytest.mark.parametrize("mode", POS_NEG)
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_without_effects_two_passes_are_the_plain_product(mode, method):
    w, x = RNG.normal(size=(6, 6)), RNG.normal(size=(30, 6))
    settings = quiet(mv_type=mode)
    y = getattr(tile_of(w, settings, settings), method)(x)
    np.testing.assert_allclose(y, x @ (w.T if method == "forward" else w), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("ONE_PASS", [-0.72, 0.6, -0.27]),
        ("POS_NEG_SEPARATE", [-0.72, 0.6, -0.27]),
        ("POS_NEG_SEPARATE_DIGITAL_SUM", [-0.72, 0.64, -0.22]),
    ],
)
def test_asymmetries_act_on_negative_inputs_and_on_negative_outputs_of_a_read(mode, expected):
    settings = quiet(mv_type=mode, inp_asymmetry=0.2, out_asymmetry=0.1)
    y = tile_of([[1.0, 1.0]], settings).forward([[-1.0, 0.0], [1.0, -0.5], [0.5, -1.0]])
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["ONE_PASS", *POS_NEG])
def test_negative_asymmetries_strengthen_what_is_negative(mode):
    settings = quiet(mv_type=mode, inp_asymmetry=-0.5, out_asymmetry=-0.25)
    y = tile_of(np.eye(2), settings).forward([1.0, -1.0])
    np.testing.assert_allclose(y, [1.0, -1.5 * 1.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "expected"), [("POS_NEG_SEPARATE", 0.5), ("POS_NEG_SEPARATE_DIGITAL_SUM", 0.1)]
)
def test_a_digital_sum_is_of_clipped_halves(mode, expected):
    y = tile_of([[1.0, 1.0]], quiet(mv_type=mode, out_bound=0.5)).forward([1.0, -0.4])
    assert y[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("mode", "reads"), [("POS_NEG_SEPARATE", 1), ("POS_NEG_SEPARATE_DIGITAL_SUM", 2)]
)
def test_each_reading_of_the_adc_adds_its_noise(mode, reads):
    count = 2**16
    y = tile_of(np.zeros((1, 2)), quiet(mv_type=mode, out_noise=0.06)).forward(
        same_rows([1.0, -1.0], count)
    )
    assert y.std() == approx_std(0.06 * math.sqrt(reads), count)


@pytest.mark.parametrize(
    ("mode", "reduction"), [("POS_NEG_SEPARATE", 1), ("POS_NEG_SEPARATE_DIGITAL_SUM", 2)]
)
def test_either_half_may_exceed_the_bound(mode, reduction):
    count = 2**14
    settings = quiet(
        mv_type=mode, out_noise=0.06, out_bound=12.0, bound_management="ITERATIVE", inp_bound=1.0
    )
    y = tile_of([[15.0, 15.0]], settings).forward(same_rows([1.0, -1.0], count))
    std = 0.06 * reduction * (math.sqrt(2.0) if mode.endswith("SUM") else 1.0)
    assert y.std() == approx_std(std, count)
    assert y.mean() == pytest.approx(0.0, abs=SIGMAS * std / math.sqrt(count))


def test_two_passes_read_once_what_one_pass_reads():
    w, x = RNG.normal(size=(5, 9)), RNG.normal(size=(40, 9))
    settings = {"inp_noise": 0.2, "out_noise": 0.3, "inp_sto_round": True, "inp_res": 1 / 14}
    settings |= {"inp_bound": 1.0}
    one = tile_of(w, quiet(**settings)).forward(x)
    two = tile_of(w, quiet(**settings, mv_type="POS_NEG_SEPARATE")).forward(x)
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", POS_NEG)
def test_devices_differ_in_how_they_read_negative_inputs(mode):
    w = RNG.normal(size=(4, 5))
    settings = quiet(mv_type=mode, w_read_asymmetry_dtod=0.2)
    tile = tile_of(w, settings, settings)
    f = np.reshape(tile.get_forward_parameters()["w_asymmetry"], w.shape)
    np.testing.assert_allclose(tile.forward(-np.eye(5)), -(w * f).T, rtol=1e-5)
    np.testing.assert_allclose(tile.forward(np.eye(5)), w.T, rtol=1e-5)
    np.testing.assert_allclose(tile.backward(-np.eye(4)), -(w * f), rtol=1e-5)
    np.testing.assert_allclose(tile.backward(np.eye(4)), w, rtol=1e-5)


def test_these_differences_have_the_spread_asked_for():
    settings = quiet(mv_type="POS_NEG_SEPARATE", w_read_asymmetry_dtod=0.2)
    f = tile_of(np.zeros((100, 200)), settings).get_forward_parameters()["w_asymmetry"]
    f = np.asarray(f, np.float64)
    assert f.size == 20_000
    assert f.mean() == pytest.approx(1.0, abs=SIGMAS * 0.2 / math.sqrt(f.size))
    assert f.std() == approx_std(0.2, f.size)


# ---------------------------------------------------------------- bits by themselves


@pytest.mark.parametrize("adc", ["SCALED", "FULL_RANGE"])
@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("mode", SLICED)
def test_slices_put_every_code_together_again(mode, bits, adc):
    most = 2 ** (bits - 1) - 1
    for shift in range(1, bits - 1) if mode == "SPLIT_MODE" else [1]:
        settings = quiet(
            mv_type=mode,
            inp_bound=1.0,
            inp_res=1 / (2 * most),
            split_mode_bit_shift=shift,
            slice_adc=adc,
        )
        codes = np.arange(-most, most + 1)[:, None] / most
        y = tile_of([[1.0]], settings, settings).forward(codes)
        np.testing.assert_allclose(y, codes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mode", SLICED)
def test_slices_round_and_clip_the_inputs_once_as_one_pass_does(mode):
    w, x = RNG.normal(size=(5, 9)), RNG.normal(size=(40, 9))
    common = {"inp_bound": 1.0, "inp_res": 1 / 126, "inp_sto_round": True}
    one = tile_of(w, quiet(**common)).forward(x)
    np.testing.assert_allclose(tile_of(w, quiet(**common, mv_type=mode)).forward(x), one, atol=2e-5)
    managed = {"inp_res": 1 / 126, "out_res": 0.0}
    one = tile_of(w, io(**managed), io(**managed))
    many = tile_of(w, io(**managed, mv_type=mode), io(**managed, mv_type=mode))
    np.testing.assert_allclose(many.forward(x), one.forward(x), atol=1e-4)
    np.testing.assert_allclose(many.backward(x[:, :5]), one.backward(x[:, :5]), atol=1e-4)


def place_values(mode, bits, shift, adc):
    """Return by what the reading of each slice is multiplied."""
    most = 2 ** (bits - 1) - 1
    slices = [(0, shift), (shift, bits - 1 - shift)]
    if mode == "BIT_WISE":
        slices = [(p, 1) for p in range(bits - 1)]
    if adc == "FULL_RANGE":
        return np.array([2.0**first for first, _ in slices])
    return np.array([2.0**first * (2**width - 1) / most for first, width in slices])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("SPLIT_MODE", math.sqrt(1 + 4**3)), ("BIT_WISE", math.sqrt((4**7 - 1) / 3))],
)
def test_an_adc_of_full_range_multiplies_the_noise_of_high_slices(mode, expected):
    count = 2**15
    settings = quiet(
        mv_type=mode, inp_bound=1.0, inp_res=1 / 254, out_noise=0.06, slice_adc="FULL_RANGE"
    )
    y = tile_of([[0.5]], settings).forward(same_rows([0.3], count))
    assert y.std() == approx_std(0.06 * expected, count)
    assert np.linalg.norm(place_values(mode, 8, 3, "FULL_RANGE")) == pytest.approx(expected)


@pytest.mark.parametrize("mode", SLICED)
def test_a_scaled_adc_keeps_the_noise_below_that_of_one_pass(mode):
    count = 2**15
    settings = quiet(mv_type=mode, inp_bound=1.0, inp_res=1 / 254, out_noise=0.06)
    y = tile_of([[0.5]], settings).forward(same_rows([0.3], count))
    expected = np.linalg.norm(place_values(mode, 8, 3, "SCALED"))
    assert expected < 1.0
    assert y.std() == approx_std(0.06 * expected, count)


@pytest.mark.parametrize("adc", ["SCALED", "FULL_RANGE"])
@pytest.mark.parametrize("mode", SLICED)
def test_every_slice_has_its_own_input_noise(mode, adc):
    count, w = 2**15, np.array([[0.5, -2.0]])
    settings = quiet(mv_type=mode, inp_bound=1.0, inp_res=1 / 62, inp_noise=0.1, slice_adc=adc)
    y = tile_of(w, settings).forward(same_rows([0.5, -1.0], count))
    expected = 0.1 * np.linalg.norm(w) * np.linalg.norm(place_values(mode, 6, 3, adc))
    assert y.std() == approx_std(expected, count)


def test_the_digital_sum_of_slices_is_not_clipped():
    settings = quiet(
        mv_type="BIT_WISE",
        inp_bound=1.0,
        inp_res=1 / 254,
        slice_adc="FULL_RANGE",
        out_bound=0.01,  # a slice of weight 1 is 1/127
    )
    tile = tile_of([[1.0], [-1.0], [3.0]], settings)
    expected = [1.0, -1.0, 127 * 0.01]
    np.testing.assert_allclose(tile.forward([1.0]), expected, rtol=1e-6)


@pytest.mark.parametrize("adc", ["SCALED", "FULL_RANGE"])
@pytest.mark.parametrize("mode", SLICED)
def test_every_slice_is_rounded_by_the_adc(mode, adc):
    w, x = RNG.uniform(-1.0, 1.0, size=(5, 9)), RNG.uniform(-1.0, 1.0, size=(200, 9))
    common = {"mv_type": mode, "inp_bound": 1.0, "inp_res": 1 / 254, "slice_adc": adc}
    step = 0.02
    fine = tile_of(w, quiet(**common)).forward(x)
    coarse = tile_of(w, quiet(**common, out_bound=20.0, out_res=step / 40)).forward(x)
    error = np.abs(coarse - fine).max()
    limit = 0.5 * step * place_values(mode, 8, 3, adc).sum()
    assert 0.3 * limit < error <= limit * (1.0 + 1e-5)


def test_a_slice_that_exceeds_the_bound_repeats_the_vector():
    settings = io(mv_type="SPLIT_MODE", inp_res=1 / 254, out_res=0.0, noise_management="NONE")
    y = tile_of([[15.0]], settings).forward([0.95])
    # code 121 is 15 and 1: 15 * 15/15 > 12; halved, 60 is 7 and 4: 15 * 7/15 and 15 * 4/7 fit
    assert y[0] == pytest.approx(15.0 * 2.0 * 60.0 / 127.0, rel=1e-5)


# ---------------------------------------------------------------- plain Python


@pytest.mark.parametrize("mode", [*POS_NEG, *SLICED])
def test_plain_python_gives_the_same_bits(mode):
    w, x = RNG.normal(size=(6, 8)), RNG.normal(size=(20, 8))
    settings = rs.IOParameters(
        mv_type=mode, inp_noise=0.1, inp_asymmetry=0.1, out_bound=3.0, inp_sto_round=True
    )
    tiles = [tile_of(w, settings, settings, backend=b) for b in ("cpu", "python")]
    np.testing.assert_array_equal(*[tile.forward(x) for tile in tiles])
    np.testing.assert_array_equal(*[tile.backward(x[:, :6]) for tile in tiles])
