"""The number of coincidences: moments, covariances and the whole law, for every management."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.naive import update as naive
from tests.naive.tolerance import Z, check_mean, check_same_law, check_variance
from tests.pulses.repeats import STEP, D, N, X, one_update, plain_device, repeated

OFF = dict(update_management=False, update_bl_management=False)
UM = dict(update_management=True, update_bl_management=False)
EXACT = 1e-4  # of a step: float32 sums of up to 100 steps

#: name: (rate, settings, expected mean change in steps, train length)
CASES = {
    "managed": (0.1, {}, [[-20, 10, -6, 0], [5, -2.5, 1.5, 0]], 20),
    "managed, saturated": (1.0, {}, [[-31, 15.5, -9.3, 0], [31, -15.5, 9.3, 0]], 31),
    "unmanaged, saturated": (
        0.5,
        OFF,
        [[-24.8998, 24.8998, -24.8998, 0], [6.22495, -6.22495, 6.22495, 0]],
        31,
    ),
    "balanced": (0.05, UM, [[-10, 5, -3, 0], [2.5, -1.25, 0.75, 0]], 31),
    "alpha below 1": (
        0.3,
        dict(um_grad_scale=0.5),
        [[-30, 15, -9, 0], [15, -7.5, 4.5, 0]],
        30,
    ),
    "alpha above 1": (
        0.07,
        dict(um_grad_scale=2.0),
        [[-14, 7, -4.2, 0], [3.5, -1.75, 1.05, 0]],
        28,
    ),
    "long trains": (
        0.1,
        dict(fixed_bl=False, **OFF),
        [[-20, 10, -6, 0], [5, -2.5, 1.5, 0]],
        100,
    ),
    "short trains of free length": (
        0.01,
        dict(fixed_bl=False, **OFF),
        [[-2, 1, -0.6, 0], [0.5, -0.25, 0.15, 0]],
        31,
    ),
    "bins": (0.05, dict(res=0.25), [[-10, 5, -2.5, 0], [2.5, -1.25, 0.625, 0]], 10),
}
NAMES = {"update_management": "um", "update_bl_management": "ublm", "um_grad_scale": "alpha"}


def theory(x, d, rate, settings):
    """Return (BL, p_x, p_d, sign of the change) of the naive plan."""
    options = {NAMES.get(name, name): value for name, value in settings.items()}
    slots, p_x, p_d = naive.probabilities(x, d, rate, STEP, **options)
    return slots, np.array(p_x), np.array(p_d), -np.sign(np.outer(d, x))


def moments(slots, p, sigma=0.0):
    """Return arrays of mean, variance and kurtosis for an array of probabilities."""
    laws = np.array([naive.count_law(slots, q, sigma) for q in p.ravel()])
    return laws.T.reshape(3, *p.shape)


@pytest.mark.parametrize("kind", ["STOCHASTIC_COMPRESSED", "STOCHASTIC"])
@pytest.mark.parametrize("name", CASES)
def test_counts_have_the_moments_of_a_binomial(name, kind):
    rate, settings, expected, length = CASES[name]
    slots, p_x, p_d, sign = theory(X, D, rate, settings)
    assert slots == length
    mean, variance, kurtosis = moments(slots, np.outer(p_d, p_x))
    assert np.allclose(sign * mean, expected, rtol=1e-5, atol=1e-9)  # the table has six digits
    counts = repeated(rate=rate, pulse_type=kind, **settings)
    check_mean(counts, sign * mean, np.sqrt(variance), floor=EXACT)
    check_variance(counts, variance, kurtosis, floor=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_trains_have_the_planned_length(name):
    rate, settings, _, length = CASES[name]
    _, report = one_update(rate=rate, **settings)
    assert report.mean_length == length


def test_the_strongest_device_gets_exactly_k_pulses():
    assert (np.abs(repeated(rate=0.1, repeats=200)[:, 0, 0] + 20.0) < EXACT).all()


def test_the_largest_change_of_one_sample_is_the_whole_train():
    counts = repeated(rate=1.0, repeats=200)
    assert (np.abs(counts[:, 0, 0] + 31.0) < EXACT).all()
    assert (np.abs(counts[:, 1, 0] - 31.0) < EXACT).all()


@pytest.mark.parametrize("name", ["managed", "balanced", "unmanaged, saturated"])
def test_noise_adds_its_variance_per_pulse(name):
    rate, settings, _, _ = CASES[name]
    slots, p_x, p_d, sign = theory(X, D, rate, settings)
    p = np.outer(p_d, p_x)
    mean, variance, kurtosis = moments(slots, p, 0.3)
    assert np.allclose(variance - moments(slots, p)[1], slots * p * 0.09)
    changes = repeated(rate=rate, device=plain_device(dw_min_std=0.3), **settings)
    check_mean(changes, sign * mean, np.sqrt(variance), floor=EXACT)
    check_variance(changes, variance, kurtosis, floor=EXACT)


def check_covariances(x, d, rate, settings):
    """Compare the covariances of all pairs of devices with those of shared trains."""
    slots, p_x, p_d, _ = theory(x, d, rate, settings)
    counts = np.abs(repeated(x, d, rate, **settings)).reshape(N, -1)
    centred = counts - counts.mean(axis=0)
    places = [(i, j) for i in range(len(d)) for j in range(len(x))]
    for a, (i, j) in enumerate(places):
        for b, (k, m) in enumerate(places[:a]):
            expected = 0.0
            if i == k:
                expected = slots * p_x[j] * p_x[m] * p_d[i] * (1.0 - p_d[i])
            elif j == m:
                expected = slots * p_d[i] * p_d[k] * p_x[j] * (1.0 - p_x[j])
            products = centred[:, a] * centred[:, b]
            allowed = Z * products.std() / np.sqrt(N) + 1.0 / N
            assert abs(products.mean() - expected) <= allowed, (i, j, k, m)


def test_devices_of_a_row_share_the_errors_train_and_of_a_column_the_inputs():
    slots, p_x, p_d, _ = theory((1.0, 0.4), (0.2, 0.1), 0.1, {})
    assert slots == 20
    assert 20 * p_x[0] * p_x[1] * p_d[1] * (1.0 - p_d[1]) == pytest.approx(2.0)
    assert 20 * p_d[0] * p_d[1] * p_x[1] * (1.0 - p_x[1]) == pytest.approx(2.4)
    check_covariances((1.0, 0.4), (0.2, 0.1), 0.1, {})


@pytest.mark.parametrize("name", ["unmanaged, saturated", "balanced", "alpha below 1"])
def test_covariances_hold_without_full_probabilities(name):
    rate, settings, _, _ = CASES[name]
    check_covariances((1.0, 0.55), (0.2, -0.07), rate, settings)


@pytest.mark.parametrize("kind", ["STOCHASTIC_COMPRESSED", "STOCHASTIC"])
@pytest.mark.parametrize(
    ("x", "d", "rate"), [(0.8, 0.5, 0.03), (0.3, 0.9, 0.01), (1.0, 1.0, 0.004)]
)
def test_counts_are_binomial(x, d, rate, kind):
    slots, (p_x,), (p_d,), _ = theory((x,), (d,), rate, OFF)
    counts = np.rint(np.abs(repeated((x,), (d,), rate, pulse_type=kind, **OFF))).astype(int).ravel()
    expected = N * np.array(naive.binomial(slots, p_x * p_d))
    found = np.bincount(counts, minlength=slots + 1)
    likely = expected >= 5.0  # the rest in one bin
    found = np.append(found[likely], found[~likely].sum())
    expected = np.append(expected[likely], expected[~likely].sum())
    assert chisquare(found, expected).pvalue > 1e-6


def test_both_stochastic_types_have_one_law():
    counts = [
        repeated((1.0, 0.4), (0.2, 0.1), 0.05, rng=rng, pulse_type=kind, **OFF)
        for rng, kind in ((1, "STOCHASTIC"), (2, "STOCHASTIC_COMPRESSED"))
    ]
    for i, j in np.ndindex(2, 2):
        check_same_law(counts[0][:, i, j], counts[1][:, i, j])


def test_bins_round_a_probability_and_stochastic_rounding_restores_its_mean():
    rate, steps = 0.05, dict(res=0.25, sto_round=True)
    counts = repeated(rate=rate, **steps)
    # p = 0.3 is 0.25 with probability 0.8 and 0.5 with 0.2: Var n = BL (E P - E P**2) + BL**2 Var P
    mean, variance = 10 * 0.3, 10 * (0.3 - 0.1) + 100 * (0.1 - 0.09)
    check_mean(counts[:, 0, 2], -mean, np.sqrt(variance))
    kurtosis = 5.0  # a mixture of Binomial(10, 0.25) and Binomial(10, 0.5)
    check_variance(counts[:, 0, 2], variance, kurtosis)
    check_mean(counts[:, 0, 0], -10.0, 0.0, floor=EXACT)


@pytest.mark.parametrize("sto_round", [False, True])
def test_bins_can_be_given_by_their_number(sto_round):
    settings = dict(rate=0.05, repeats=20, sto_round=sto_round)
    assert np.array_equal(repeated(res=4, **settings), repeated(res=0.25, **settings))
    assert np.any(repeated(res=4, **settings) != 0.0)


def test_up_pulses_twice_as_large_move_twice_as_far():
    device = plain_device(up_down=0.5)  # up = dw_min, down = dw_min / 2
    for d, rng in ((D, 1), (tuple(-v for v in D), 2)):
        changes = repeated(d=d, rate=0.012, device=device, rng=rng)
        slots, p_x, p_d, sign = theory(X, d, 0.012 / 0.75, {})  # counted in mean steps, 0.75
        mean, variance, _ = moments(slots, np.outer(p_d, p_x))
        step = np.where(sign > 0.0, 1.0, 0.5)
        check_mean(changes, sign * step * mean, step * np.sqrt(variance), floor=EXACT)
