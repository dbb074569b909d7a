"""Ranges of grids: of a batch, of all, running, and with the least loss."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from rpusim.errors import ConfigError
from rpusim.periphery.ranges import (
    ActivationQuantConfig,
    AdaptiveQuantiser,
    QuantState,
    RangeEstimators,
    WeightQuantConfig,
)

BATCHES = [np.array(b) for b in ([0.0, 2.0], [-1.0, 1.0], [3.0, 6.0])]
ULP = float(np.finfo(np.float32).eps)


def ranges_after(batches, **settings):
    """Return the range remembered after each batch."""
    q = AdaptiveQuantiser(ActivationQuantConfig(n_bits=8, **settings))
    found = []
    for batch in batches:
        q.follow(batch, training=True)
        found.append((float(q.arrays["low"]), float(q.arrays["high"])))
    return found


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("current_minmax", [(0.0, 2.0), (-1.0, 1.0), (3.0, 6.0)]),
        ("allminmax", [(0.0, 2.0), (-1.0, 2.0), (-1.0, 6.0)]),
        ("running_minmax", [(0.0, 2.0), (-0.1, 1.9), (0.21, 2.31)]),
    ],
)
def test_the_range_after_each_batch_is_that_of_its_definition(estimator, expected):
    found = ranges_after(BATCHES, range_estimator=estimator)
    np.testing.assert_allclose(found, expected, rtol=4 * ULP)


def test_the_running_range_forgets_with_its_momentum():
    batches = [np.array([-1.0, 1.0]), *[np.array([-3.0, 5.0])] * 20]
    low, high = ranges_after(batches, momentum=0.5)[-1]
    left = 0.5**20
    np.testing.assert_allclose([low, high], [-3.0 + 2.0 * left, 5.0 - 4.0 * left], rtol=4 * ULP)


def test_a_percentile_leaves_out_as_much_at_either_end():
    x = np.arange(101.0) - 50.0
    found = ranges_after([x], range_estimator="current_minmax", percentile=5.0)
    assert found == [(-45.0, 45.0)]
    config = WeightQuantConfig(n_bits=8, per_channel=True, percentile=5.0)
    q = AdaptiveQuantiser(config, shape=(2,))
    q.estimate(np.stack([x, 2.0 * x]))
    np.testing.assert_array_equal(q.arrays["low"], [-45.0, -90.0])
    np.testing.assert_array_equal(q.arrays["high"], [45.0, 90.0])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("estimator", ["MSE", "cross_entropy"])
def test_a_search_loses_no_more_than_the_range_of_the_data_does(estimator, symmetric):
    x = 3.0 * np.random.default_rng(0).standard_t(3, size=(50, 10))

    def loss(estimator):
        config = ActivationQuantConfig(n_bits=4, symmetric=symmetric, range_estimator=estimator[0])
        q = AdaptiveQuantiser(config)
        q.estimate(x)
        if estimator[1] == "MSE":
            return np.mean((q(x) - x) ** 2)
        log_q = special.log_softmax(q(x), axis=-1)
        return -np.mean(np.sum(special.softmax(x, axis=-1) * log_q, axis=-1))

    assert loss((estimator, estimator)) < loss(("current_minmax", estimator))


def gaussian_moment(step, power, lowest=-8, highest=7):
    """Return E |x - Q(x)|**power for a standard normal x, cell by cell."""
    total = 0.0
    for k in range(lowest, highest + 1):
        a = -12.0 if k == lowest else (k - 0.5) * step
        b = 12.0 if k == highest else (k + 0.5) * step
        law = lambda x, k=k: abs(x - k * step) ** power * stats.norm.pdf(x)  # noqa: E731
        total += integrate.quad(law, a, b, epsabs=1e-12)[0]
    return total


def test_the_search_finds_the_best_grid_for_a_gaussian():
    n = 100_000
    x = np.random.default_rng(4).normal(size=n)
    q = AdaptiveQuantiser(WeightQuantConfig(n_bits=4, range_estimator="MSE"))
    q.estimate(x)
    step = float(q.arrays["step"])
    steps = 1.5 / 100 * np.arange(10, 101) * np.abs(x).max() / 7
    best = min(steps, key=lambda s: gaussian_moment(s, 2))
    variances = [gaussian_moment(s, 4) - gaussian_moment(s, 2) ** 2 for s in (step, best)]
    # both losses are means over n samples: neither is off by more than 5 standard errors
    allowed = 5.0 * sum(np.sqrt(v / n) for v in variances)
    assert gaussian_moment(step, 2) <= gaussian_moment(best, 2) + allowed
    assert gaussian_moment(np.abs(x).max() / 7, 2) > 2.0 * gaussian_moment(step, 2)


def test_each_channel_searches_for_itself():
    x = np.random.default_rng(5).normal(size=(3, 200)) * np.array([[1.0], [0.1], [4.0]])
    config = WeightQuantConfig(n_bits=3, range_estimator="MSE", num_candidates=30)
    alone = [AdaptiveQuantiser(config) for _ in x]
    for q, row in zip(alone, x, strict=True):
        q.estimate(row)
    q = AdaptiveQuantiser(config.replace(per_channel=True), shape=(3,))
    q.estimate(x)
    np.testing.assert_array_equal(q(x), [a(row) for a, row in zip(alone, x, strict=True)])


def test_losses_of_activations_add_up_over_batches_and_those_of_weights_do_not():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=400), 0.2 * rng.normal(size=400)
    a[0] = 4.0
    estimator = {"n_bits": 3, "range_estimator": "MSE"}
    both, joined = (AdaptiveQuantiser(ActivationQuantConfig(**estimator)) for _ in range(2))
    both.estimate(a)
    both.estimate(b)
    joined.estimate(np.concatenate([a, b]))
    assert both.arrays["step"] == joined.arrays["step"]
    weights, fresh = (AdaptiveQuantiser(WeightQuantConfig(**estimator)) for _ in range(2))
    weights.estimate(a)
    weights.estimate(b)
    fresh.estimate(b)
    assert weights.arrays["step"] == fresh.arrays["step"] != joined.arrays["step"]


def test_when_the_range_follows_depends_on_the_state():
    seen = {}
    for state in QuantState:
        q = AdaptiveQuantiser(ActivationQuantConfig(n_bits=8, range_estimator="allminmax"))
        q.set_state(state)
        tops = []
        for top, training in ((1.0, False), (2.0, False), (3.0, True), (2.0, False)):
            q.follow(np.array([top]), training)
            tops.append(float(q.arrays["high"]))
        seen[state.name] = tops
    assert seen == {
        "ESTIMATE": [1.0, 2.0, 3.0, 3.0],
        "ESTIMATE_TRAIN": [1.0, 1.0, 3.0, 3.0],
        "FIX": [1.0, 1.0, 1.0, 1.0],
    }


def test_batches_without_values_change_nothing():
    q = AdaptiveQuantiser(ActivationQuantConfig(n_bits=8))
    empty = np.zeros((0, 3), np.float32)
    q.follow(empty, training=True)
    assert q(empty).shape == (0, 3)
    assert not q.known


@pytest.mark.parametrize("estimator", [e.name for e in RangeEstimators])
def test_a_restored_quantiser_continues_alike(estimator):
    rng = np.random.default_rng(7)
    config = ActivationQuantConfig(n_bits=4, range_estimator=estimator)
    first, second = AdaptiveQuantiser(config), AdaptiveQuantiser(config)
    first.follow(rng.normal(size=(5, 6)), True)
    second.restore(first.state())
    x = 1.5 * rng.normal(size=(5, 6))
    for q in (first, second):
        q.follow(x, True)
    np.testing.assert_array_equal(first(x), second(x))
    second.restore(first.state() | {"mode": 2.0})
    second.follow(9.0 * x, True)
    np.testing.assert_array_equal(first(x), second(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ActivationQuantConfig(n_bits=1),
            "ActivationQuantConfig.n_bits must be 0 or >= 2 for a symmetric grid, got 1",
        ),
        (
            lambda: ActivationQuantConfig(percentile=1.0),
            r"percentile is read by range_estimator current_minmax only, got .* running_minmax",
        ),
        (
            lambda: WeightQuantConfig(range_margin=0.1),
            "WeightQuantConfig.range_margin is read by range_estimator MSE or cross_entropy only",
        ),
        (
            lambda: WeightQuantConfig(range_estimator="running_minmax"),
            "range_estimator must be current_minmax or MSE: .* got running_minmax",
        ),
        (
            lambda: AdaptiveQuantiser(ActivationQuantConfig()).set_state("learn"),
            "the state must be one of ESTIMATE, ESTIMATE_TRAIN, FIX, got 'learn'",
        ),
    ],
)
def test_settings_that_nothing_reads_or_nobody_knows_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
