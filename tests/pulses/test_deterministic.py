"""Deterministic types give the rounded counts of their formulas; naive loops agree with all."""

import numpy as np
import pytest

import rpusim as rs
from tests.naive import update as naive
from tests.naive.tolerance import rounding
from tests.pulses.repeats import STEP, D, X, one_update, plain_device, plain_tile

OFF = dict(update_management=False, update_bl_management=False)
IMPLICIT, MEAN = "DETERMINISTIC_IMPLICIT", "MEAN_COUNT"
PUBLISHED = {
    "implicit": (0.0317, dict(pulse_type=IMPLICIT), [[6, -3, 2], [-2, 1, 0]]),
    "implicit with bins": (
        0.0317,
        dict(pulse_type=IMPLICIT, x_res_implicit=0.2, d_res_implicit=0.1),
        [[7, -3, 1], [-1, 1, 0]],
    ),
    "mean count": (0.0317, dict(pulse_type=MEAN), [[7, -3, 2], [-2, 1, -1]]),
    "mean count, unmanaged": (
        0.5,
        dict(pulse_type=MEAN, **OFF),
        [[25, -25, 25], [-6, 6, -6]],
    ),
}


def downs(x, d, rate, **update):
    """Return down minus up pulses of one update."""
    change, _ = one_update(x, d, rate, device=plain_device(w_max=99.0, w_min=-99.0), **update)
    counts = np.rint(-change)
    assert np.abs(counts + change).max() <= 0.1
    return counts.astype(int).tolist()


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name):
    rate, update, expected = PUBLISHED[name]
    assert downs(X[:3], D, rate, **update) == expected


SETTINGS = [
    {},
    dict(desired_bl=7),
    dict(desired_bl=200),
    dict(desired_bl=1000),
    dict(um_grad_scale=0.5),
    dict(update_bl_management=False),
    OFF,
    dict(desired_bl=300, **OFF),
    dict(fixed_bl=False, **OFF),
]
SHORT = {
    "desired_bl": "longest",
    "update_management": "um",
    "update_bl_management": "ublm",
    "um_grad_scale": "alpha",
}


def random_pairs(seed, count=4):
    """Yield vectors that float32 holds exactly."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield np.float32(rng.normal(size=5)).tolist(), np.float32(rng.normal(size=3)).tolist()


@pytest.mark.parametrize("rate", [0.003, 0.05, 1.3])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_mean_counts_are_rounded_products_of_rounded_counts(settings, rate):
    options = {SHORT.get(k, k): v for k, v in settings.items()}
    for res in (0.0, 0.1):
        for x, d in random_pairs(1):
            expected = naive.mean_counts(x, d, rate, STEP, res=res, **options)
            assert downs(x, d, rate, pulse_type=MEAN, res=res, **settings) == expected


@pytest.mark.parametrize("rate", [0.003, 0.05, 1.3])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_implicit_counts_are_rounded_products_of_values(settings, rate):
    options = {SHORT.get(k, k): v for k, v in settings.items()}
    for x_res, d_res in ((0.0, 0.0), (0.2, 0.1)):
        for x, d in random_pairs(2):
            expected = naive.implicit_counts(x, d, rate, STEP, x_res, d_res, **options)
            bins = dict(x_res_implicit=x_res, d_res_implicit=d_res)
            assert downs(x, d, rate, pulse_type=IMPLICIT, **bins, **settings) == expected


def test_implicit_bins_can_be_given_by_their_number():
    by_width = dict(x_res_implicit=0.2, d_res_implicit=0.1)
    by_number = dict(x_res_implicit=5, d_res_implicit=10)
    for x, d in random_pairs(3):
        a, b = (downs(x, d, 0.05, pulse_type=IMPLICIT, **bins) for bins in (by_width, by_number))
        assert a == b


def test_a_long_implicit_train_is_exact_to_half_a_step():
    for x, d in random_pairs(4):
        rate = 0.3
        counts = downs(x, d, rate, pulse_type=IMPLICIT, desired_bl=10000)
        assert np.abs(np.array(counts) * STEP - rate * np.outer(d, x)).max() <= 0.5 * STEP * 1.0001


def test_the_order_of_samples_matters_at_a_bound():
    ends = []
    for d in ([-0.05, 0.015], [0.015, -0.05]):  # +0.05 and -0.015, in both orders
        device = plain_device(w_max=0.01, w_min=-0.1)
        tile = plain_tile((1.0,), (1.0,), device, pulse_type=IMPLICIT, desired_bl=100)
        tile.update([[1.0], [1.0]], np.reshape(d, (2, 1)), learning_rate=1.0)
        ends.append(float(tile.get_weights()[0][0, 0]))
    assert ends == pytest.approx([-0.005, 0.01], abs=rounding(100, 0.1))


DEVICES = {
    "constant": (
        plain_device(),
        naive.constant_pulse,
    ),
    "constant with spread": (rs.ConstantStepDevice(), naive.constant_pulse),
    "linear": (rs.LinearStepDevice(gamma_up=0.4, gamma_down=0.6), naive.linear_pulse),
    "linear, additive": (
        rs.LinearStepDevice(gamma_up=0.4, mult_noise=False),
        naive.linear_pulse_additive,
    ),
    "soft bounds": (rs.SoftBoundsDevice(), naive.soft_bounds_pulse),
}
TRAINS = {
    "stochastic": {},
    "stochastic, unmanaged": OFF,
    "stochastic, long": dict(desired_bl=150),
    "mean count": dict(pulse_type=MEAN),
    "implicit": dict(pulse_type=IMPLICIT, desired_bl=150),
}


def directions_of(x, d, rate, rng, step, update):
    """Return the directions of every device's pulses, seen one pair at a time, no bound in reach.

    Draws are keyed by the number of the pair, so a batch on a tile of the same seed sends the same
    pulses; those of one pair on one device have one direction, so their order does not matter.
    """
    wide = plain_device(dw_min=step, w_max=999.0 * step * 64, w_min=-999.0 * step * 64)
    tile = plain_tile(x[0], d[0], wide, rng, **update)
    paths = np.empty((tile.out_size, tile.in_size), object)
    paths[:] = [[[] for _ in range(tile.in_size)] for _ in range(tile.out_size)]
    for a, b in zip(x, d, strict=True):
        tile.set_weights(np.zeros(paths.shape))
        tile.update(a[None], b[None], rate)
        counts = np.rint(tile.get_weights()[0] / step).astype(int)
        for place in np.ndindex(*paths.shape):
            paths[place] += [int(np.sign(counts[place]))] * abs(int(counts[place]))
    return paths


@pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")
@pytest.mark.parametrize("trains", TRAINS)
@pytest.mark.parametrize("name", DEVICES)
def test_a_batch_does_what_the_naive_loop_does_with_its_pulses(name, trains):
    step, rate, rng = 2.0**-6, 0.5, np.random.default_rng(5)
    x, d = np.float32(rng.normal(size=(12, 5))), np.float32(rng.normal(size=(12, 4)))
    paths = directions_of(x, d, rate, 3, step, TRAINS[trains])
    template, pulse = DEVICES[name]
    device = template.replace(dw_min=step, dw_min_std=0.0, w_max=0.25, w_min=-0.25)
    config = rs.RPUConfig(device=device, update=rs.UpdateParameters(**TRAINS[trains]))
    tile = rs.AnalogTile(4, 5, config, rng=3)
    tile.set_weights(np.zeros((4, 5)))
    planes = tile.get_hidden_parameters()
    tile.update(x, d, rate)
    expected = naive.send_all(np.zeros((4, 5)), planes, lambda i, j: paths[i, j], pulse)
    longest = max(len(p) for p in paths.ravel())
    assert longest > 50
    # steps and bounds that are powers of two add without rounding
    allowed = 0.0 if name == "constant" else 2.0 * rounding(longest, 0.5)
    assert np.abs(tile.get_weights()[0] - np.float32(expected)).max() <= allowed
    pulses = sum(len(p) for p in paths.ravel())
    assert tile.stats.pulses == pulses
