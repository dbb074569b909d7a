"""Noise of the weights at each read, referred to the output: constant, of PCM, by a law."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError
from tests.periphery.tiles import io, quiet, same_rows, tile_of

SIGMAS = 5.0
RNG = np.random.default_rng(14)
COUNT = 2**14
W = np.array([[0.5, -2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.25], [0.0] * 4, [-1.0, 1.0, -1.0, 1.0]])
X = np.array([4.0, -1.0, 0.5, 2.0])
POS_NEG = ["POS_NEG_SEPARATE", "POS_NEG_SEPARATE_DIGITAL_SUM"]


class Rooted(rs.ReadNoise):
    """Noise that grows with the root of a weight, from an offset."""

    strength: float = rs.param(0.1, low=0.0, doc="std at w = 1, less the floor")
    floor: float = rs.param(0.0, low=0.0, doc="std at w = 0")

    @staticmethod
    def sigma(w, model):
        return model.floor + model.strength * abs(w) ** 0.5


class Huge(rs.ReadNoise):
    """A law whose variance no float32 holds."""

    @staticmethod
    def sigma(w, model):
        return 1e30 + w


def outputs(settings, w=W, x=X, method="forward", count=COUNT):
    tile = tile_of(w, settings, settings)
    return getattr(tile, method)(same_rows(x, count)).astype(np.float64)


def assert_spread(y, expected, mean=None):
    """Check the standard deviation of every output, and its mean."""
    count = len(y)
    np.testing.assert_allclose(
        y.std(axis=0), expected, rtol=SIGMAS / math.sqrt(2 * count), atol=1e-7
    )
    if mean is not None:
        error = np.abs(y.mean(axis=0) - mean)
        assert (error <= SIGMAS * np.asarray(expected) / math.sqrt(count) + 1e-5).all()


@pytest.mark.parametrize("mode", ["ONE_PASS", *POS_NEG])
@pytest.mark.parametrize("managed", ["NONE", "ABS_MAX"])
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_pcm_read_noise_grows_with_the_root_of_the_weight(mode, managed, method):
    alpha = 4.0 if managed == "ABS_MAX" else 1.0
    settings = quiet(noise_management=managed, mv_type=mode, w_noise=0.05, w_noise_type="PCM_READ")
    m = W if method == "forward" else W.T
    expected = alpha * 0.05 * np.sqrt(np.abs(m) @ (X / alpha) ** 2)
    assert_spread(outputs(settings, method=method), expected, m @ X)


@pytest.mark.parametrize("mode", POS_NEG)
def test_additive_noise_of_two_passes_is_that_of_one(mode):
    settings = quiet(mv_type=mode, w_noise=0.05, w_noise_type="ADDITIVE_CONSTANT")
    assert_spread(outputs(settings), 0.05 * np.linalg.norm(X) * np.ones(4), W @ X)


@pytest.mark.parametrize("kind", ["PCM_READ", "ADDITIVE_CONSTANT"])
def test_weight_noise_sees_the_input_behind_the_dac(kind):
    settings = quiet(inp_bound=1.0, inp_res=1 / 4, w_noise=0.05, w_noise_type=kind)
    y = outputs(settings, np.ones((1, 2)), [0.9, 7.0])
    assert_spread(y, [0.05 * math.sqrt(2.0)], [2.0])  # both are 1 behind it


@pytest.mark.parametrize("mode", ["SPLIT_MODE", "BIT_WISE"])
def test_weight_noise_of_slices_adds_by_their_place_values(mode):
    settings = quiet(
        mv_type=mode,
        inp_bound=1.0,
        inp_res=1 / 254,
        w_noise=0.05,
        w_noise_type="ADDITIVE_CONSTANT",
        slice_adc="FULL_RANGE",
    )
    slices = [(0, 5, 3), (3, 8, 4)] if mode == "SPLIT_MODE" else None  # of code 69 = 8 * 8 + 5
    if slices:
        total = sum((2**first * digit) ** 2 for first, digit, _ in slices)
    else:
        total = sum((2**p) ** 2 for p in range(7) if 69 >> p & 1)
    y = outputs(settings, np.ones((1, 1)), [69 / 127])
    assert_spread(y, [0.05 * math.sqrt(total) / 127], [69 / 127])


@pytest.mark.parametrize("mode", ["ONE_PASS", *POS_NEG])
@pytest.mark.parametrize("managed", ["NONE", "ABS_MAX"])
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_law_gives_every_weight_its_noise(mode, managed, method):
    settings = quiet(
        noise_management=managed, mv_type=mode, read_noise=Rooted(strength=0.1, floor=0.02)
    )
    m = W if method == "forward" else W.T
    sigma = 0.02 + 0.1 * np.sqrt(np.abs(m))
    assert_spread(outputs(settings, method=method), np.sqrt(sigma**2 @ X**2), m @ X)


def test_a_law_without_a_floor_leaves_lines_of_zeros_alone():
    y = outputs(quiet(read_noise=Rooted()), count=100)
    assert not y[:, 2].any()
    assert y[:, 3].any()


def test_a_law_of_the_root_is_pcm_read_noise():
    law = outputs(quiet(read_noise=Rooted(strength=0.05)), count=100)
    known = outputs(quiet(w_noise=0.05, w_noise_type="PCM_READ"), count=100)
    np.testing.assert_allclose(law, known, rtol=1e-5, atol=1e-6)  # of the same draws


@pytest.mark.parametrize("kind", ["PCM_READ", "ADDITIVE_CONSTANT"])
def test_a_law_adds_its_variance_to_the_noise_that_is_there(kind):
    settings = quiet(read_noise=Rooted(strength=0.1), w_noise=0.08, w_noise_type=kind)
    other = 0.08**2 * (np.abs(W) if kind == "PCM_READ" else np.ones((4, 4)))
    variance = (0.01 * np.abs(W) + other) @ X**2
    assert_spread(outputs(settings), np.sqrt(variance), W @ X)


def test_noise_follows_the_weights_when_they_are_written_anew():
    tile = tile_of(np.full((1, 1), 0.25), quiet(read_noise=Rooted(strength=0.1)))
    x = same_rows([1.0], COUNT)
    assert_spread(tile.forward(x).astype(np.float64), [0.05], [0.25])
    tile.set_weights([[4.0]])
    assert_spread(tile.forward(x).astype(np.float64), [0.2], [4.0])


@pytest.mark.parametrize("noise", [{"w_noise": 0.1, "w_noise_type": "PCM_READ"}, {}], ids=repr)
def test_weight_noise_stays_when_bound_management_repeats(noise):
    noise = noise or {"read_noise": Rooted(strength=0.1)}
    settings = io(**noise, inp_res=0.0, out_res=0.0)
    y = outputs(settings, np.full((1, 1), 36.0), [1.0])  # 36 > 12: a quarter of the input
    assert_spread(y, [0.6], [36.0])  # 4 * 0.1 * sqrt(36) / 4


def test_noise_of_lines_and_vectors_is_independent():
    y = outputs(quiet(read_noise=Rooted(floor=0.1)), np.zeros((4, 4)))
    assert np.abs(np.corrcoef(y.T)[~np.eye(4, dtype=bool)]).max() < SIGMAS / math.sqrt(len(y))
    assert abs(np.corrcoef(y[1:].ravel(), y[:-1].ravel())[0, 1]) < SIGMAS / math.sqrt(y.size)


def test_a_law_that_gives_no_number_is_named():
    tile = tile_of(np.ones((2, 2)), quiet(read_noise=Huge()))
    with pytest.raises(DataError, match=r"Huge\.sigma must give finite numbers"):
        tile.forward(np.ones(2))


@pytest.mark.parametrize("mode", ["ONE_PASS", "POS_NEG_SEPARATE_DIGITAL_SUM", "BIT_WISE"])
def test_plain_python_draws_the_same_noise(mode):
    x = RNG.normal(size=(20, 4))
    settings = io(read_noise=Rooted(floor=0.01), mv_type=mode, w_noise=0.1, w_noise_type="PCM_READ")
    tiles = [tile_of(W, settings, settings, backend=b) for b in ("cpu", "python")]
    np.testing.assert_allclose(*[tile.forward(x) for tile in tiles], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(*[tile.backward(x) for tile in tiles], rtol=1e-5, atol=1e-5)
