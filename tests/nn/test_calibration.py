"""Calibration: ranges against order statistics and known optima, and everything restored."""

import math
from statistics import NormalDist

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn
from rpusim.nn.calibration import InputRangeCalibrationType, calibrate_input_ranges
from rpusim.nn.range_estimates import Histogram, Sample, least_error_range, quantile_of

PERFECT = rs.InferenceRPUConfig(forward=rs.IOParameters(is_perfect=True))
ENABLED = PERFECT.replace(pre_post={"input_range": {"enable": True, "init_value": 0.1}})
KINDS = [kind for kind in InputRangeCalibrationType if kind.name != "NONE"]
NORMAL = NormalDist()


def layer(config=PERFECT, inputs=20, seed=1):
    return nn.AnalogLinear(inputs, 4, rpu_config=config, rng=seed)


def gaussian(count=10, rows=500, inputs=200, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rows, inputs)).astype(np.float32) for _ in range(count)]


def one_range(batches, kind, **options):
    model = layer(inputs=batches[0].shape[1])
    ranges = calibrate_input_ranges(model, batches, kind, rng=0, **options)
    assert ranges == {"tile": model.tile.input_range}
    return ranges["tile"]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("kind", ["MOVING_QUANTILE", "CACHE_QUANTILE"])
def test_quantiles_are_those_of_the_magnitude_of_a_normal(kind):
    found = one_range(gaussian(), kind, quantile=0.99, max_samples=5000)
    z, n = NORMAL.inv_cdf(0.995), 1_000_000
    error = math.sqrt(0.99 * 0.01 / n) / (2.0 * NORMAL.pdf(z))  # of an order statistic
    assert found == pytest.approx(z, abs=5.0 * error)


def test_a_moving_quantile_is_the_mean_of_those_of_the_batches():
    batches = gaussian(10, 50, 20)
    mean = np.mean([np.quantile(np.abs(x.astype(float)), 0.99) for x in batches])
    assert one_range(batches, "MOVING_QUANTILE", quantile=0.99) == pytest.approx(mean, rel=1e-6)


def test_a_cached_quantile_is_that_of_all_inputs_if_they_fit():
    batches = gaussian(10, 50, 20)
    whole = np.quantile(np.abs(np.concatenate(batches).astype(float)), 0.99)
    found = one_range(batches, "CACHE_QUANTILE", quantile=0.99, max_samples=500)
    assert found == pytest.approx(whole, rel=1e-6)


def test_a_cached_quantile_of_a_sample_is_unbiased_within_its_error():
    found = one_range(gaussian(), "CACHE_QUANTILE", quantile=0.99, max_samples=300)
    z, n = NORMAL.inv_cdf(0.995), 300 * 200
    error = math.sqrt(0.99 * 0.01 / n) / (2.0 * NORMAL.pdf(z))
    assert found == pytest.approx(z, abs=5.0 * error)


def test_moving_deviations_are_multiples_of_the_deviation():
    n = 1_000_000
    error = 1.0 / math.sqrt(2.0 * n)
    assert one_range(gaussian(), "MOVING_STD") == pytest.approx(3.0, abs=15.0 * error)
    found = one_range(gaussian(), "MOVING_STD", std_alpha=2.0)
    assert found == pytest.approx(2.0, abs=10.0 * error)


def test_moving_deviations_stop_after_max_samples_batches():
    batches = gaussian(3, 50, 20)
    first = 3.0 * np.mean([x.std(ddof=1, dtype=float) for x in batches[:2]])
    assert one_range(batches, "MOVING_STD", max_samples=2) == pytest.approx(first, rel=1e-6)


def test_the_largest_input_is_the_range_of_max_and_of_quantile_one():
    batches = gaussian(10, 50, 20)
    largest = max(float(np.abs(x).max()) for x in batches)
    assert one_range(batches, "MAX") == largest
    assert one_range(batches, "CACHE_QUANTILE", quantile=1.0) == largest


@pytest.mark.parametrize("kind", KINDS)
def test_negative_inputs_count_as_positive_ones(kind):
    batches = [x - 5.0 for x in gaussian(3, 50, 20)]
    assert one_range(batches, kind) == one_range([-x for x in batches], kind) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_of_zeros_do_not_count(kind):
    batches = gaussian(3, 50, 20)
    padded = [np.vstack([np.zeros((200, 20), np.float32), x]) for x in batches]
    assert one_range([*padded, padded[0] * 0.0], kind) == one_range(batches, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_an_earlier_calibration_nor_training_weighs(kind):
    config = rs.InferenceRPUConfig().replace(pre_post={"input_range": {"enable": True}})
    model, batches = layer(config), gaussian(3, 50, 20)
    for x in gaussian(100, 4, 20, seed=5):
        model.tile.forward(100.0 * x)
    fresh = calibrate_input_ranges(layer(config), batches, kind, rng=0)
    calibrate_input_ranges(model, [30.0 * x for x in batches], kind, rng=0)
    assert calibrate_input_ranges(model, batches, kind, rng=0) == fresh


# ---------------------------------------------------------------- least error


def magnitudes(quantile_function, n=200_000):
    """Return n magnitudes, each standing for the same share of a distribution."""
    return np.array([quantile_function((i + 0.5) / n) for i in range(n)]), np.ones(n, np.int64)


@pytest.mark.parametrize(("bits", "published"), [(2, 1.71), (3, 2.15), (4, 2.55)])
def test_the_least_error_range_of_a_normal_is_the_published_one(bits, published):
    values, counts = magnitudes(lambda q: NORMAL.inv_cdf(0.5 + 0.5 * q))
    found = least_error_range(values, counts, (2.0 / 2**bits) ** 2 / 12.0)
    assert found == pytest.approx(published, abs=0.012)  # they give two decimals
    tail = 2.0 * (NORMAL.pdf(found) - found * (1.0 - NORMAL.cdf(found)))
    assert tail == pytest.approx(found / (3.0 * 4**bits), rel=1e-3)


@pytest.mark.parametrize(("bits", "published"), [(2, 2.83), (3, 3.89), (4, 5.03)])
def test_the_least_error_range_of_a_laplacian_is_the_published_one(bits, published):
    values, counts = magnitudes(lambda q: -math.log1p(-q))
    found = least_error_range(values, counts, (2.0 / 2**bits) ** 2 / 12.0)
    assert found == pytest.approx(published, abs=0.01)
    assert math.exp(-found) == pytest.approx(found / (3.0 * 4**bits), rel=1e-3)


@pytest.mark.parametrize("variance", [1e-6, 1e-3, 0.1, 3.0])
def test_no_other_range_has_less_error(variance):
    rng = np.random.default_rng(1)
    values = np.sort(rng.gamma(1.0, size=50))
    counts = rng.integers(1, 9, 50)

    def error(r):
        clipped = np.sum(counts * np.maximum(values - r, 0.0) ** 2) / counts.sum()
        return clipped + r**2 * variance

    found = least_error_range(values, counts, variance)
    grid = np.linspace(1e-3, 1.5 * values[-1], 20_001)
    assert error(found) <= min(map(error, grid)) * (1.0 + 1e-12)


def test_without_rounding_and_noise_the_least_error_range_is_the_largest_input():
    batches = gaussian(3, 50, 20)
    assert one_range(batches, "MSE") == one_range(batches, "MAX")


def test_a_tile_makes_least_error_at_the_range_of_mse():
    io = rs.IOParameters(
        inp_res=1 / 16,
        out_res=0.0,
        out_noise=0.0,
        out_bound=0.0,
        noise_management="NONE",
        bound_management="NONE",
    )
    tile = nn.AnalogLinear(8, 8, False, rs.InferenceRPUConfig(forward=io), rng=0)
    tile.set_weights(np.eye(8))
    x = gaussian(2, 5000, 8)
    best = calibrate_input_ranges(tile.eval(), x[:1], "MSE", max_samples=5000)["tile"]
    error = {}
    for factor in (0.8, 1.0, 1.25):
        tile.tile.set_input_range(best * factor)
        error[factor] = np.mean((tile(x[1]) - x[1]) ** 2)
    # The tail <(a - r)_+> = 0.0033 has a deviation of 0.047 / sqrt(40000), and a slope of -0.0108.
    assert best == pytest.approx(2.55, abs=5.0 * 0.047 / 200.0 / (0.0108 + 1.0 / 768.0))
    assert error[1.0] < min(error[0.8], error[1.25])


# ---------------------------------------------------------------- what is kept


def test_every_vector_is_equally_likely_to_be_in_the_sample():
    repeats, rows, size = 2000, 60, 6
    x = np.arange(1.0, rows + 1.0, dtype=np.float32)[:, None]
    rng, hits = np.random.default_rng(3), np.zeros(rows)
    for _ in range(repeats):
        sample = Sample(size, rng)
        for start in range(0, rows, 7):
            sample.see(x[start : start + 7])
        kept = sample.distribution()[0].astype(int) - 1
        assert len(set(kept)) == size
        hits[kept] += 1
    p = size / rows
    assert np.abs(hits / repeats - p).max() < 5.0 * math.sqrt(p * (1 - p) / repeats)


def test_the_sample_does_not_depend_on_how_vectors_are_cut_into_batches():
    x = gaussian(1, 300, 4)[0]
    whole, cut = (Sample(20, np.random.default_rng(0)) for _ in range(2))
    whole.see(x)
    for part in np.split(x, [1, 50, 51, 200]):
        cut.see(part)
    np.testing.assert_array_equal(whole.distribution(), cut.distribution())


def test_a_histogram_finds_any_magnitude_to_a_thousandth():
    values = np.float32(10.0) ** np.linspace(-30, 30, 1000, dtype=np.float32)
    for value in values:
        histogram = Histogram()
        histogram.see(np.array([[-value]], np.float32))
        middle, count = histogram.distribution()
        assert count == [1]
        assert middle[0] == pytest.approx(float(value), rel=2.0**-10)


def test_a_histogram_sees_all_inputs_at_the_width_of_its_bins():
    batches = gaussian()
    whole = np.quantile(np.abs(np.concatenate(batches)), 0.99)
    found = one_range(batches, "CACHE_QUANTILE", quantile=0.99, max_samples=None)
    assert found == pytest.approx(whole, rel=2.0**-9)


@pytest.mark.parametrize("quantile", [0.01, 0.3, 0.5, 0.99, 1.0])
def test_quantiles_of_counted_values_are_those_of_the_values(quantile):
    rng = np.random.default_rng(0)
    values, counts = np.sort(rng.normal(size=30)), rng.integers(1, 5, 30)
    whole = np.quantile(np.repeat(values, counts), quantile)
    assert quantile_of(values, counts, quantile) == pytest.approx(whole, abs=1e-12)


def test_a_seed_repeats_a_sampled_calibration():
    found = [
        calibrate_input_ranges(layer(), gaussian(3, 50, 20), "CACHE_QUANTILE", 0.9, 20, rng=seed)
        for seed in (7, 7, 8)
    ]
    assert found[0] == found[1] != found[2]


# ---------------------------------------------------------------- models


def network(first=PERFECT, second=PERFECT):
    return nn.Sequential(layer(first), nn.Tanh(), layer(second, inputs=4, seed=2))


def test_layers_are_calibrated_on_inputs_that_no_old_range_has_clipped():
    batches = gaussian(4, 50, 20)
    free = calibrate_input_ranges(network(), batches, "MAX")
    model = network(ENABLED, ENABLED)
    found = calibrate_input_ranges(model, batches, "MAX")
    assert found == pytest.approx(free, rel=1e-5)
    assert found["0.tile"] > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_tile_records_its_range_and_where_it_came_from(kind):
    model = network(second=ENABLED)
    ranges = calibrate_input_ranges(model, gaussian(3, 50, 20), kind, rng=0)
    assert list(ranges) == ["0.tile", "2.tile"]
    for (name, tile), learnt in zip(model.named_tiles(), (False, True), strict=True):
        settings = tile.rpu_config.pre_post.input_range
        assert settings.init_value == pytest.approx(ranges[name], rel=1e-6)
        assert settings.calibration_info == kind.name
        assert settings.enable
        assert settings.learn_input_range is learnt


def test_training_after_a_calibration_does_not_estimate_ranges_again():
    model = network(ENABLED, ENABLED)
    ranges = calibrate_input_ranges(model, gaussian(3, 50, 20), "MAX")
    for x in gaussian(3, 50, 20, seed=4):
        model(10.0 * x)
    assert {name: tile.input_range for name, tile in model.named_tiles()} == ranges


def test_only_tiles_whose_range_is_on_are_touched_without_force():
    model = network(second=ENABLED)
    config = model[0].tile.rpu_config
    ranges = calibrate_input_ranges(model, gaussian(3, 50, 20), "MAX", force_all_layers=False)
    assert list(ranges) == ["2.tile"]
    assert model[0].tile.input_range is None
    assert model[0].tile.rpu_config is config


def test_a_model_without_such_a_tile_is_refused():
    with pytest.raises(rs.ConfigError, match="no tile of the model can have an input range"):
        calibrate_input_ranges(nn.Linear(20, 4), gaussian(1, 5, 20))
    with pytest.raises(rs.ConfigError, match=r"has its input range on; with force_all_layers"):
        calibrate_input_ranges(layer(), gaussian(1, 5, 20), force_all_layers=False)


def test_a_tile_without_converters_has_no_error_within_its_range():
    batches = gaussian(2, 50, 20)
    found = calibrate_input_ranges(layer(rs.FloatingPointRPUConfig()), batches, "MSE")
    assert found == {"tile": one_range(batches, "MAX")}


def test_a_tile_that_only_zeros_reach_stays_as_it_was():
    model = network(ENABLED, ENABLED)
    model[0].set_weights(np.zeros((4, 20)), np.zeros(4))
    config = model[2].tile.rpu_config
    assert list(calibrate_input_ranges(model, gaussian(1, 5, 20), "MAX")) == ["0.tile"]
    assert model[2].tile.rpu_config is config
    assert model[2].tile.input_range == np.float32(0.1)


def test_targets_that_come_with_batches_are_ignored():
    x, t = gaussian(1, 60, 20)[0], np.arange(60)
    pairs = nn.batches(x, t, size=20, shuffle=False)
    found = calibrate_input_ranges(layer(), pairs, "MAX")
    assert found == {"tile": float(np.abs(x).max())}


def test_nothing_happens_without_a_type():
    model = layer()
    assert calibrate_input_ranges(model, iter([]), "NONE") == {}
    assert model.tile.input_range is None


# ---------------------------------------------------------------- restored


def test_modes_and_listeners_are_restored():
    model, heard = network(), []
    model[0].eval()
    model[2].tile.on_input = heard.append
    calibrate_input_ranges(model, gaussian(2, 5, 20), "MAX")
    assert [module.training for _, module in model.named_modules()] == [True, False, True, True]
    assert model[0].tile.on_input is None
    assert model[2].tile.on_input == heard.append
    assert heard == []


def test_the_model_runs_in_evaluation_mode():
    model, seen = network(), []
    original = model[0].tile.forward
    model[0].tile.forward = lambda x, is_test: (seen.append(is_test), original(x, is_test))[1]
    calibrate_input_ranges(model, gaussian(2, 5, 20), "MAX")
    assert seen == [True, True]


@pytest.mark.parametrize("bad", [np.full((5, 20), np.nan), np.zeros((5, 19))], ids=["nan", "shape"])
def test_an_error_in_a_batch_leaves_everything_as_it_was(bad):
    model = network(ENABLED, PERFECT)
    model(gaussian(1, 5, 20)[0])  # one batch of those that estimate the range
    model[0].forget()
    tiles, before = model.analog_tiles(), model.state_dict()
    configs = [tile.rpu_config for tile in tiles]
    with pytest.raises(rs.RpusimError):
        calibrate_input_ranges(model, [*gaussian(2, 5, 20, seed=3), bad])
    after = model.state_dict()
    for name in (n for n in before if "input_range" in n):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert after.keys() == before.keys()
    assert before["0.tile.input_range_batches"] == 1
    assert [tile.rpu_config for tile in tiles] == configs
    assert [tile.on_input for tile in tiles] == [None, None]
    assert model.training


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_is_an_error(kind):
    with pytest.raises(rs.DataError, match="batches must hold at least one batch, got none"):
        calibrate_input_ranges(layer(), iter([]), kind)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration_type": "MEDIAN"}, "calibration_type must be one of NONE, MOVING_STD, .*MSE"),
        ({"quantile": 0.0}, "quantile must be > 0 and <= 1, got 0.0"),
        ({"quantile": 1.5}, "quantile must be > 0 and <= 1, got 1.5"),
        ({"max_samples": 0}, "max_samples must be an integer >= 1, got 0"),
        ({"std_alpha": -1.0}, "std_alpha must be > 0 and finite, got -1.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(rs.ConfigError, match=message):
        calibrate_input_ranges(layer(), gaussian(1, 5, 20), **options)
    with pytest.raises(rs.ConfigError, match="model must be a Module, got list"):
        calibrate_input_ranges([layer()], gaussian(1, 5, 20))
