"""Noise of products through wires: slices, read noise by duration, through the wires."""

import math

import numpy as np
import pytest

from rpusim.periphery.ladder_circuit import transfer
from tests.naive.ladder import current
from tests.periphery.ladders import ladder_io, run, steps

COUNT = 2**15
SIGMAS = 5.0
RNG = np.random.default_rng(5)


def approx_std(value, count):
    return pytest.approx(value, rel=SIGMAS / math.sqrt(2 * count))


def slope(z):
    return 2.1926e-4 * z**4 - 1.87352e-3 * z**3 + 6.55714e-3 * z**2 - 1.46159e-2 * z + 2.578764e-2


def offset(z):  # in uS
    return (
        1.11906167e-3 * z**4
        - 9.08576764e-3 * z**3
        + 3.07015063e-2 * z**2
        - 6.77079241e-2 * z
        + 1.17763144e-1
    )


def sigma(g, duration):
    """Return the read noise of a conductance, in uS, for inputs of a mean duration in steps."""
    z = math.log10(duration)
    return slope(z) * g + offset(z)


@pytest.mark.parametrize(
    ("mode", "places"),
    [
        ("ONE_PASS", [(1, 127)]),
        ("SPLIT_MODE", [(1, 7), (8, 15)]),
        ("BIT_WISE", [(2**p, 1) for p in range(7)]),
    ],
)
def test_the_noise_of_slices_adds_with_their_place_values(mode, places):
    x = np.zeros((COUNT, 2), np.float32)
    io = ladder_io(mv_type=mode, out_noise=0.06, slice_adc="FULL_RANGE")
    full = 0.06 * math.sqrt(sum(place**2 for place, _ in places))
    assert run(io, x, np.ones((2, 2))).std() == approx_std(full, 2 * COUNT)
    scaled = 0.06 * math.sqrt(sum((place * most / 127) ** 2 for place, most in places))
    io = io.replace(slice_adc="SCALED")
    assert run(io, x, np.ones((2, 2))).std() == approx_std(scaled, 2 * COUNT)


def test_full_strength_noise_in_each_slice_has_the_closed_form():
    places = [2.0**p for p in range(7)]
    assert math.sqrt(1.0 + 4.0**3) == pytest.approx(8.06, abs=0.01)
    assert math.sqrt(sum(p**2 for p in places)) == pytest.approx(math.sqrt((4**7 - 1) / 3))


@pytest.mark.parametrize("code", [1, 10, 127])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_read_noise_has_the_strength_for_the_duration_of_the_inputs(code, scale):
    io = ladder_io(
        adc_quantization=False,
        apply_xdep_pcm_read_noise=True,
        xdep_pcm_read_noise_scale=scale,
        ir_drop=1e-9,
    )
    w = np.array([[1.0], [0.5], [-0.5], [0.0]])
    y = run(io, np.repeat(steps(code), COUNT, axis=0), w)
    for line, weight in enumerate(w[:, 0]):
        g = 25.0 * abs(weight)
        expected = scale * sigma(g, code) / 25.0 * code / 127.0 if g else 0.0
        assert y[:, line].std() == approx_std(expected, COUNT)
        tolerance = SIGMAS * expected / math.sqrt(COUNT)
        assert y[:, line].mean() == pytest.approx(weight * code / 127.0, abs=tolerance + 1e-7)


@pytest.mark.parametrize(
    ("mode", "parts"),
    [("SPLIT_MODE", [(1, 4), (8, 12)]), ("BIT_WISE", [(4, 1), (32, 1), (64, 1)])],
)
def test_each_slice_draws_read_noise_for_its_own_duration(mode, parts):
    # code 100 = 4 + 8 * 12 = 4 + 32 + 64
    io = ladder_io(
        mv_type=mode, adc_quantization=False, apply_xdep_pcm_read_noise=True, ir_drop=1e-9
    )
    y = run(io, np.repeat(steps(100), COUNT, axis=0), [[1.0], [0.5]])
    variance = sum((place * code / 127 * sigma(12.5, code) / 25) ** 2 for place, code in parts)
    assert y[:, 1].std() == approx_std(math.sqrt(variance), COUNT)


def test_the_duration_is_that_of_each_vector_by_itself():
    io = ladder_io(adc_quantization=False, apply_xdep_pcm_read_noise=True, ir_drop=0.0)
    x = np.zeros((2 * COUNT, 4), np.float32)
    x[:COUNT, 0], x[COUNT:] = 40 / 127, 100 / 127
    y = run(io, x, np.full((1, 4), 0.5))[:, 0]
    alone = 40 / 127 * sigma(25.0, 10.0) / 25.0 * 0.5
    assert y[:COUNT].std() == approx_std(alone, COUNT)
    assert y[COUNT:].std() == approx_std(100 / 127 * sigma(25.0, 100.0) / 25.0, COUNT)


def test_without_inputs_there_is_no_read_noise():
    io = ladder_io(adc_quantization=False, apply_xdep_pcm_read_noise=True)
    for mode in ("ONE_PASS", "SPLIT_MODE", "BIT_WISE"):
        assert (run(io.replace(mv_type=mode), np.zeros((9, 3)), np.ones((2, 3))) == 0.0).all()


@pytest.mark.parametrize("kind", ["xdep", "ADDITIVE_CONSTANT", "PCM_READ"])
def test_the_noise_of_weights_passes_the_wires(kind):
    settings = {"ir_drop": 1e5, "ir_drop_segments": 4, "adc_quantization": False}
    w, x = RNG.uniform(-1.0, 1.0, (2, 6)), RNG.integers(-127, 128, 6) / 127.0
    w[0, 2] = 1.0
    g = 25.0 * np.abs(w)
    if kind == "xdep":
        settings["apply_xdep_pcm_read_noise"] = True
        spread = sigma(g, 127.0 * np.abs(x).mean()) / 25.0
    else:
        settings |= {"w_noise": 0.1, "w_noise_type": kind}
        spread = 0.1 * (np.sqrt(np.abs(w)) if kind == "PCM_READ" else 1.0)
    io = ladder_io(**settings)
    share, _ = transfer(g, io)
    assert share.min() < 0.9
    y = run(io, np.tile(x, (COUNT, 1)), w)
    expected = np.sqrt(((share * spread * x) ** 2).sum(axis=1))
    for line in range(2):
        assert y[:, line].std() == approx_std(expected[line], COUNT)
        mean = (share * w)[line] @ x
        tolerance = SIGMAS * expected[line] / math.sqrt(COUNT)
        assert y[:, line].mean() == pytest.approx(mean, abs=tolerance + 1e-6)


def test_noise_of_weights_is_that_of_the_circuit_up_to_the_voltage_of_the_line():
    # noise on the devices, the circuit solved for each draw; all pulses last equally long
    io = ladder_io(ir_drop=1e4, adc_quantization=False)
    w = np.array([1.0, -0.8, 0.9, 0.7, -0.9, -0.6, 0.8, -1.0])
    x = np.array([1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
    g = 25.0 * w
    draws = 4000
    noisy = g * (1.0 + 0.02 * RNG.normal(size=(draws, 8)))
    share = transfer(np.abs(np.repeat(noisy, 2, axis=0)), io)[0][::2]  # all read at one end
    solved = (share * noisy) @ x / 25.0
    _, along = current(np.maximum(g, 0.0), np.maximum(-g, 0.0), x, io.to_dict(), True)
    nominal = transfer(np.abs(g)[None], io)[0][0]
    expected = math.sqrt(((nominal * 0.02 * w * x) ** 2).sum())
    tolerance = SIGMAS / math.sqrt(2 * draws) + np.abs(along).max() / 0.2
    assert solved.std() == pytest.approx(expected, rel=tolerance)
    plain = math.sqrt(((0.02 * w * x) ** 2).sum())
    assert abs(plain / expected - 1.0) > tolerance  # the wires matter here


def test_input_noise_is_jitter_of_the_pulses():
    io = ladder_io(adc_quantization=False, ir_drop=1e-9, inp_noise=0.05)
    y = run(io, np.repeat(steps(64), COUNT, axis=0), [[0.8]])
    assert y.std() == approx_std(0.8 * 0.05, COUNT)
    assert y.mean() == pytest.approx(0.8 * 64 / 127, abs=SIGMAS * 0.04 / math.sqrt(COUNT))
