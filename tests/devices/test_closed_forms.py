"""Many pulses follow the closed forms of exponential, power and soft-bounds steps."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices.exact import ExactLaw
from tests.devices.pulsed import FEATURES, HUSH, flat, flat_named, held, pulse, tile_of
from tests.naive import response
from tests.naive.tolerance import Z, check_mean, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

WINDOW = dict(w_max=1.0, w_min=-0.8)
EXPONENTIAL = {
    "fading": {},
    "growing": dict(A_up=-1.2, A_down=-0.1, gamma_up=3.0, gamma_down=2.5, a=-0.5, b=-0.5),
}
POWERS = [0.5, 1.0, 2.3]


def exponential(kind, dw_min, sigma=HUSH):
    """Return equal exponential devices."""
    return flat(rs.ExpStepDevice, dw_min=dw_min, dw_min_std=sigma, **WINDOW, **EXPONENTIAL[kind])


def power(gamma, dw_min, sigma=HUSH):
    """Return equal power devices."""
    return flat(rs.PowStepDevice, dw_min=dw_min, dw_min_std=sigma, pow_gamma=gamma, **WINDOW)


def exponential_curve(device, start, pulses, direction):
    """Return the weight after so many pulses, in the limit of small ones."""
    way = "up" if direction > 0 else "down"
    formula = response.exponential_rise if direction > 0 else response.exponential_fall
    factor, exponent = getattr(device, f"A_{way}"), getattr(device, f"gamma_{way}")
    slope = 2.0 * device.a / (device.w_max - device.w_min)
    return formula(start, pulses, device.dw_min, factor, exponent, slope, device.b)


def power_curve(device, start, pulses, direction):
    """Return the same of a power device: what is left of the window shrinks."""
    span = device.w_max - device.w_min
    ahead = device.w_max if direction > 0 else device.w_min
    room = direction * (ahead - start) / span
    left = response.power_room(room, pulses, device.dw_min / span, device.pow_gamma)
    return ahead - direction * left * span


CURVES = {
    **{f"exponential, {k}": (lambda dw, k=k: exponential(k, dw), exponential_curve)
       for k in EXPONENTIAL},
    **{f"power {g}": (lambda dw, g=g: power(g, dw), power_curve) for g in POWERS},
}  # fmt: skip


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("name", CURVES)
def test_equal_pulses_follow_the_curve_to_within_a_step(name, direction):
    make, curve = CURVES[name]
    device, start = make(0.002), -0.6 * direction
    tile = tile_of(device, (1, 1), start)
    for done in range(100, 701, 100):
        pulse(tile, direction, 100)
        expected = np.clip(curve(device, start, done, direction), device.w_min, device.w_max)
        off = abs(held(tile)[0] - expected)
        assert off <= max(abs(device.mean_step(w, direction)) for w in (start, held(tile)[0]))


@pytest.mark.parametrize("name", [name for name in CURVES if name != "power 1.0"])
def test_half_the_step_halves_the_distance_to_the_curve(name):
    make, curve = CURVES[name]
    distances = []
    for halves in (1, 2):
        device = make(0.004 / halves)
        trace = ExactLaw(device).trace(-0.6, np.ones(250 * halves))[:, 0]
        expected = [curve(device, -0.6, n, 1) for n in range(250 * halves + 1)]
        distances.append(np.abs(trace - expected).max())
    assert distances[0] / distances[1] == pytest.approx(2.0, rel=0.1)


def test_a_linear_power_follows_its_recursion_exactly():
    device = power(1.0, 0.01)
    tile = tile_of(device, (1, 1), -0.5)
    for done in range(50, 301, 50):
        pulse(tile, 1, 50)
        assert abs(held(tile)[0] - power_curve(device, -0.5, done, 1)) <= rounding(done, 1.0)


def exponential_derivatives(device):
    """Return w -> (f, f', f'') of the up step."""
    k = 2.0 * device.gamma_up * device.a / (device.w_max - device.w_min)
    s, factor = device.dw_min, device.A_up * math.exp(device.gamma_up * device.b)

    def derivatives(w):
        grown = s * factor * math.exp(k * w)
        return s - grown, -k * grown, -(k**2) * grown

    return derivatives


def power_derivatives(device):
    """Return the same of a power device."""
    g, span = device.pow_gamma, device.w_max - device.w_min

    def derivatives(w):
        om = (device.w_max - w) / span
        f = device.dw_min * om**g
        return f, -f * g / (om * span), f * g * (g - 1.0) / (om * span) ** 2

    return derivatives


MOMENTS = {
    "exponential, fading": (exponential("fading", 0.01, 1.0), exponential_derivatives, 0.65),
    "exponential, growing": (exponential("growing", 0.004, 1.0), exponential_derivatives, -0.4),
    "power 0.5": (power(0.5, 0.01, 1.0), power_derivatives, -0.4),
    "power 2.3": (power(2.3, 0.02, 1.0), power_derivatives, -0.4),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_noisy_pulses_have_the_moments_of_the_recursion(name):
    device, derivatives, start = MOMENTS[name]
    tile = tile_of(device, start=start, rng=8)
    begun = held(tile)[0]
    pulse(tile, 1, 30)
    mean, variance = response.smooth_moments(begun, 30, derivatives(device), 1.0)
    # the recursion is of second order in the spread
    check_mean(held(tile), mean, np.sqrt(variance), floor=0.05 * np.sqrt(variance))
    assert abs(held(tile).var() / variance - 1.0) <= 0.05 + Z * np.sqrt(2.0 / held(tile).size)


@pytest.mark.parametrize("name", MOMENTS)
def test_the_exact_law_gives_the_same_moments(name):
    device, derivatives, start = MOMENTS[name]
    means, variances = ExactLaw(device).moments(start, np.ones(30))
    mean, variance = response.smooth_moments(start, 30, derivatives(device), 1.0)
    # its derivatives are differences over 1e-4 of the window
    assert means[-1, 0] == pytest.approx(mean, rel=1e-5)
    assert variances[-1, 0] == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("mult_noise", [True, False])
def test_the_exact_law_gives_the_moments_of_affine_steps(mult_noise):
    device = flat(rs.SoftBoundsDevice, dw_min=0.02, dw_min_std=0.5, mult_noise=mult_noise, **WINDOW)
    means, variances = ExactLaw(device).moments(-0.3, [1] * 40 + [-1] * 40)
    dev = device.mean_device()._asdict()
    mean, variance = response.up_then_down(-0.3, 40, 40, dev, 0.5, not mult_noise)
    assert means[-1, 0] == pytest.approx(mean, rel=1e-6)
    assert variances[-1, 0] == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_the_exact_law_leads_where_pulses_do(name):
    steps = {} if "table" in name else dict(dw_min=0.02)
    device = flat_named(name, dw_min_std=HUSH, **steps)
    if "noisy" in name:
        device = device.replace(hs_dw_min_std=0.0)
    tile, trace = tile_of(device, (1, 1), 0.05), []
    directions = np.random.default_rng(6).choice([-1, 1], size=60, p=[0.4, 0.6])
    start = held(tile)[0]
    for direction in directions:
        pulse(tile, direction)
        trace.append(held(tile)[0])
    expected = ExactLaw(device).trace(start, directions)[1:, 0]
    assert np.abs(expected - trace).max() <= rounding(60, 1.0)


RANGES = [
    dict(p_max=1000, alpha=0.0005, range_min=-1.0, range_max=1.0),
    dict(p_max=100, alpha=0.03, range_min=-0.3, range_max=0.8),
    dict(p_max=300, alpha=0.004, range_min=-1.2, range_max=0.4),
]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("settings", RANGES)
def test_soft_bounds_by_range_cross_it_in_p_max_pulses(settings, direction):
    device = flat(rs.SoftBoundsPmaxDevice, dw_min_std=HUSH, **settings)
    first, last = settings["range_min"], settings["range_max"]
    if direction < 0:
        first, last = last, first
    reach = (last - first) / (1.0 - math.exp(-device.p_max * device.alpha))
    tile = tile_of(device, (1, 1), first)
    for done in range(1, 5):
        pulse(tile, direction, device.p_max // 4)
        gone = 1.0 - math.exp(-device.alpha * done * (device.p_max // 4))
        assert abs(held(tile)[0] - (first + reach * gone)) <= 1e-6
    assert abs(held(tile)[0] - last) <= 1e-6


@pytest.mark.parametrize("convention", ["Max", "Mean"])
@pytest.mark.parametrize("settings", RANGES)
def test_a_range_does_not_depend_on_how_asymmetry_is_written(settings, convention):
    dev = rs.SoftBoundsPmaxDevice(up_down_convention=convention, **settings).mean_device()
    share = 1.0 - math.exp(-settings["alpha"])
    assert dev.dwmin_up == pytest.approx(share * dev.max_bound, rel=1e-9)
    assert dev.dwmin_down == pytest.approx(-share * dev.min_bound, rel=1e-9)


def test_the_references_range_is_crossed_too_fast():
    device = flat(rs.SoftBoundsPmaxDevice, dw_min_std=HUSH, reference_pmax=True)
    for start, direction, end in ((-1.0, 1, 1.356), (1.0, -1, -0.265)):
        tile = tile_of(device, (1, 1), start)
        pulse(tile, direction, 1000)
        assert abs(held(tile)[0] - end) <= 5e-4  # as recorded, in three digits


@pytest.mark.parametrize(("settings", "message"), [
    (dict(range_min=0.5, range_max=0.2), r"range_max must be > range_min, got 0\.2 and 0\.5"),
    (dict(range_min=0.5, range_max=0.8, alpha=0.1), "0 must lie between the asymptotes"),
    (dict(alpha=1e-12, p_max=1), r"p_max \* alpha is too small"),
    (dict(w_max=1.0), "w_max"),
    (dict(dw_min=0.1), "dw_min"),
])  # fmt: skip
def test_impossible_ranges_are_refused(settings, message):
    with pytest.raises(rs.ConfigError, match=message):
        rs.SoftBoundsPmaxDevice(**settings)
