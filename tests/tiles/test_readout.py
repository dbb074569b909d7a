"""Weights as the tile's own products show them: unbiased, with errors that are what they say."""

import math
import warnings

import numpy as np
import pytest
from scipy.special import erf
from scipy.stats import t as student

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError
from tests.naive.tolerance import Z, check_law, check_mean
from tests.periphery.tiles import quiet, tile_of

KINDS = ["normal", "one_hot", "hadamard"]
RNG = np.random.default_rng(3)
W = RNG.uniform(-0.6, 0.6, (4, 7))


def tile_with(forward, weights=W, bias=None, rng=1, **mapping):
    config = rs.RPUConfig(device=rs.IdealDevice(), forward=forward, mapping=mapping)
    weights = np.asarray(weights)
    tile = rs.AnalogTile(*weights.shape, config, bias=bias is not None, rng=rng)
    tile.set_weights(weights, bias)
    return tile


# ---------------------------------------------------------------- the estimate


@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("digital", [True, False])
@pytest.mark.parametrize("omega", [0.0, 0.3])
def test_without_noise_the_weights_are_read_exactly(inputs, digital, omega):
    bias = np.array([0.5, -0.25, 0.0, 0.125])
    mapping = {"digital_bias": digital, "weight_scaling_omega": omega}
    tile = tile_with(quiet(), bias=bias, **mapping)
    for scaled in (True, False):
        w, b = tile.get_weights(scaled)
        read = tile.read_weights(scaled, inputs=inputs)
        np.testing.assert_allclose(read.weights, w, atol=2e-6)
        assert read.standard_error.max() < 2e-6
        if digital:
            assert read.bias is read.bias_standard_error is None
        else:
            np.testing.assert_allclose(read.bias, b, atol=2e-6)
            assert read.bias_standard_error.max() < 2e-6
        again, bias_again = tile.get_weights(scaled, realistic=True, inputs=inputs)
        np.testing.assert_allclose(again, w, atol=2e-6)
        np.testing.assert_allclose(bias_again, b, atol=2e-6)
        assert again.dtype == bias_again.dtype == np.float32


@pytest.mark.parametrize("inputs", KINDS)
def test_with_all_defaults_reads_are_unbiased(inputs):
    repeats, bias = 60, np.full(4, 0.3)
    tile = tile_with(rs.IOParameters(), bias=bias, digital_bias=False)
    reads = [tile.read_weights(inputs=inputs) for _ in range(repeats)]
    z = [(r.weights - tile.get_weights()[0]) / r.standard_error for r in reads]
    freedom = reads[0].vectors - 8
    check_mean(np.array(z), 0.0, math.sqrt(freedom / (freedom - 2)))  # of Student's t
    z = [(r.bias - bias) / r.bias_standard_error for r in reads]
    check_mean(np.array(z), 0.0, math.sqrt(freedom / (freedom - 2)))


def test_normal_reads_have_the_variance_of_least_squares():
    # sigma = .06 s, n = 20, N = 200: standard deviation sigma / sqrt(N - n - 1) = .00530
    n, count, rows, repeats, scale = 20, 200, 100, 60, 1.1818
    w = RNG.uniform(-1.0, 1.0, (rows, n))
    w[0, 0] = scale * 0.5
    w = np.clip(w, -scale * 0.5, scale * 0.5)
    tile = tile_with(quiet(out_noise=0.06), w, weight_scaling_omega=0.5)
    assert tile.mapping_scales == pytest.approx(scale)
    errors = []
    for _ in range(repeats):
        x = RNG.standard_normal((count, n))
        errors.append(tile.read_weights(True, x_values=x).weights - w)
    expected = 0.06 * scale / math.sqrt(count - n - 1)
    assert expected == pytest.approx(0.00530, abs=5e-6)
    found = np.mean(np.square(errors))
    # relative variance: of the inverse Wishart's diagonal, over draws of x, and of the noise
    free = count - n - 3
    spread = 2.0 / free * (1.0 + n / free) / (n * repeats) + 2.0 / (rows * n * repeats)
    assert found == pytest.approx(expected**2, rel=Z * math.sqrt(spread))


@pytest.mark.parametrize(("inputs", "n", "factor"), [("one_hot", 8, 1.0), ("hadamard", 8, 1 / 8)])
@pytest.mark.parametrize("management", ["NONE", "ABS_MAX", "CONSTANT", "MAX"])
def test_full_scale_probes_have_the_variance_of_their_design(inputs, n, factor, management):
    times, rows, sigma = 10, 4000, 0.06
    settings = quiet(out_noise=sigma, noise_management=management)
    read = tile_with(settings, np.zeros((rows, n))).read_weights(inputs=inputs)
    assert read.vectors == times * n
    variance = sigma**2 / times * factor
    tolerance = Z * math.sqrt(2.0 / (rows * n))
    assert np.mean(np.square(read.weights)) == pytest.approx(variance, rel=tolerance)


# ---------------------------------------------------------------- its standard error


def test_the_standard_error_follows_from_the_residuals():
    n, rows, sigma = 6, 3000, 0.2
    x = RNG.standard_normal((40, n))
    read = tile_with(quiet(out_noise=sigma), np.zeros((rows, n))).read_weights(x_values=x)
    expected = sigma**2 * np.diag(np.linalg.inv(x.T @ x))
    tolerance = Z * math.sqrt(2.0 / (rows * (len(x) - n)))
    np.testing.assert_allclose(np.mean(read.standard_error**2, axis=0), expected, rtol=tolerance)


@pytest.mark.parametrize("inputs", KINDS)
def test_errors_over_their_standard_errors_have_students_distribution(inputs):
    rows, n = 3000, 5
    w = np.zeros((rows, n))  # one weight of each row: those of one row share their residuals
    settings = quiet(out_noise=0.1, noise_management="ABS_MAX")
    read = tile_with(settings, w).read_weights(inputs=inputs, over_sampling=3)
    free = read.vectors - n
    z = (read.weights / read.standard_error)[:, 2]
    check_law(z, student(free).cdf)


def test_as_many_vectors_as_unknowns_have_no_known_error():
    read = tile_of(W, quiet()).read_weights(inputs="one_hot", over_sampling=1)
    np.testing.assert_allclose(read.weights, W, atol=1e-6)
    assert np.isnan(read.standard_error).all()


def test_errors_are_those_of_the_weights_asked_for():
    noisy = quiet(out_noise=0.1)
    x = RNG.standard_normal((60, 7))
    scaled, held = (
        tile_with(noisy, weight_scaling_omega=0.2).read_weights(s, x_values=x)
        for s in (True, False)
    )
    factor = np.abs(W).max() / 0.2
    np.testing.assert_allclose(scaled.weights, held.weights * factor, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scaled.standard_error, held.standard_error * factor, rtol=1e-5)


# ---------------------------------------------------------------- the linear range


@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        dict(inp_bound=0.25),
        dict(noise_management="CONSTANT", nm_thres=0.3),
        dict(noise_management="ABS_MAX", nm_thres=0.3),
        dict(noise_management="ABS_MAX_NP_SUM"),
        dict(noise_management="MAX"),
        dict(noise_management="AVERAGE_ABS_MAX"),
    ],
)
def test_no_input_is_clipped(inputs, settings):
    tile = tile_of(W, quiet(**settings))
    tile.forward(np.full((5, 7), 0.1))  # what AVERAGE_ABS_MAX is used to
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = tile.read_weights(inputs=inputs)
    np.testing.assert_allclose(read.weights, W, atol=2e-6)


@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("digital", [True, False])
def test_probes_fill_the_input_range_and_no_more(inputs, digital):
    ranges = rs.InputRangeParameter(enable=True, init_value=0.4, init_from_data=0)
    config = rs.RPUConfig(
        device=rs.IdealDevice(),
        forward=quiet(inp_bound=1.0),
        mapping=dict(digital_bias=digital),
        pre_post=dict(input_range=ranges),
    )
    tile = rs.AnalogTile(4, 7, config, bias=True, rng=1)
    tile.set_weights(W, np.zeros(4))
    largest = []
    tile.on_input = lambda x: largest.append(np.abs(x).max())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if digital else "ignore")  # its line is driven by 1/r > 1
        read = tile.read_weights(inputs=inputs)
    np.testing.assert_allclose(read.weights, W, atol=3e-6)
    assert largest == [np.float32(0.4)]


def test_vectors_of_ones_own_that_are_clipped_bias_the_weights_and_warn():
    count = 20000
    tile = tile_of(0.5 * np.eye(2), quiet(inp_bound=1.0))
    with pytest.warns(UserWarning, match=r"0\.3\d of the inputs and 0 of the outputs were clipped"):
        read = tile.read_weights(x_values=RNG.standard_normal((count, 2)))
    gain = erf(1.0 / math.sqrt(2.0))  # of clipping a standard normal at 1: 0.683
    assert read.weights[0, 0] == pytest.approx(0.5 * gain, abs=Z * 0.5 / math.sqrt(count))


@pytest.mark.parametrize("inputs", KINDS)
def test_probes_are_halved_until_the_adc_does_not_clip(inputs):
    tile = tile_of(np.full((3, 7), 0.6), quiet(out_bound=0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = tile.read_weights(inputs=inputs)
    np.testing.assert_allclose(read.weights, 0.6, atol=1e-5)
    assert tile.stats.reads_forward > read.vectors  # those that were clipped count too


def test_no_hadamard_probe_drives_all_inputs_alike():
    tile, sums = tile_of(np.full((1, 64), 0.6), quiet()), []
    tile.on_input = lambda x: sums.append(x.sum(axis=1))
    tile.read_weights(inputs="hadamard")
    # a sum of 64 random signs has a standard deviation of 8; among 640 of them none is 64
    assert np.abs(sums).max() < Z * 8.0


def test_an_adc_that_clips_whatever_is_done_is_said():
    tile = tile_of(np.full((3, 7), 0.6), quiet(noise_management="ABS_MAX", out_bound=0.7))
    with pytest.warns(UserWarning, match='the outputs were clipped.*inputs="one_hot"'):
        tile.read_weights(inputs="hadamard")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = tile.read_weights(inputs="one_hot")
    np.testing.assert_allclose(read.weights, 0.6, atol=1e-5)


# ---------------------------------------------------------------- draws, reads, errors


@pytest.mark.parametrize("inputs", ["normal", "hadamard"])
def test_a_restored_tile_reads_on_with_the_same_probes(inputs):
    first, again = (tile_with(rs.IOParameters(), rng=seed) for seed in (5, 6))
    one = first.read_weights(inputs=inputs)
    again.load_state_dict(first.state_dict())
    two, same = (t.read_weights(inputs=inputs) for t in (first, again))
    np.testing.assert_array_equal(two.weights, same.weights)
    np.testing.assert_array_equal(two.standard_error, same.standard_error)
    assert (one.weights != two.weights).any()
    repeat = tile_with(rs.IOParameters(), rng=5).read_weights(inputs=inputs)
    np.testing.assert_array_equal(repeat.weights, one.weights)


def test_reading_counts_its_vectors_and_changes_no_weight():
    tile = tile_with(rs.IOParameters())
    vectors = [tile.read_weights(inputs=kind, over_sampling=4).vectors for kind in KINDS]
    assert vectors == [28, 28, 32]  # Hadamard matrices have 8 rows
    assert tile.stats.reads_forward == sum(vectors)
    np.testing.assert_array_equal(tile.get_weights()[0], W.astype(np.float32))


def test_a_backward_after_reading_belongs_to_the_forward_before():
    tile = tile_of(W)
    tile.forward(np.ones((3, 7)))
    forward = tile.last_forward
    tile.read_weights()
    assert tile.last_forward is forward


def test_any_number_of_vectors_reads_an_analog_bias():
    tile = tile_with(quiet(), bias=np.arange(4.0), digital_bias=False)
    for shape in [(8, 7), (3, 5, 7)]:
        read = tile.read_weights(x_values=RNG.uniform(-1.0, 1.0, shape))
        assert read.vectors == math.prod(shape[:-1])
        np.testing.assert_allclose(read.weights, W, atol=2e-5)
        np.testing.assert_allclose(read.bias, np.arange(4.0), atol=2e-5)


def test_a_tile_without_converters_is_read_too():
    tile = rs.FloatingPointTile(4, 7, rng=1)
    tile.set_weights(W)
    np.testing.assert_allclose(tile.read_weights().weights, W, atol=2e-6)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (dict(inputs="unit"), DataError, "inputs must be one of normal, one_hot, hadamard, got 'u"),
        (dict(over_sampling=0), ConfigError, "over_sampling must be a positive integer, got 0"),
        (dict(x_values=np.eye(7)[:6]), DataError, "determine 7 unknowns .* 6 vectors of rank 6"),
        (dict(x_values=np.ones((9, 7))), DataError, "determine 7 unknowns .* of rank 1"),
        (dict(x_values=np.eye(6)), ShapeError, r"x_values must have shape \(\.\.\., 7\), got"),
        (dict(x_values=np.eye(7) * np.nan), DataError, "x_values must be finite, got NaN"),
    ],
)
def test_vectors_that_cannot_show_the_weights_are_refused(options, error, text):
    with pytest.raises(error, match=rf"^AnalogTile\.read_weights: .*{text}"):
        tile_of(W).read_weights(**options)


def test_options_of_reading_need_reading():
    with pytest.raises(ConfigError, match=r"AnalogTile\.get_weights: inputs needs realistic=True"):
        tile_of(W).get_weights(inputs="one_hot")
