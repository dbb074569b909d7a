"""Mean and variance of programmed devices: closed forms, known figures, draws of the devices."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import rpusim as rs
from rpusim.errors import DataError
from rpusim.inference.conductance_moments import conductance_moments, moment_rows
from rpusim.kernels.bind import kernel
from tests.inference.programmed import Leaky
from tests.naive.tolerance import check_mean

DAY, YEAR = 86400.0, 31536000.0
W = np.array([0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0])
#: mean and standard deviation of weights on pairs of PCM devices, by other quadratures, 4 decimals
FIGURES = {
    None: (
        (0, 0.0070, 0.0160, 0.0458, 0.0958, 0.2458, 0.4958, 0.7458, 0.9958),
        (0.0087, 0.0113, 0.0131, 0.0156, 0.0190, 0.0279, 0.0386, 0.0435, 0.0427),
    ),
    0.0: (
        (0, 0.0070, 0.0160, 0.0457, 0.0957, 0.2457, 0.4957, 0.7457, 0.9957),
        (0.0105, 0.0139, 0.0164, 0.0206, 0.0254, 0.0362, 0.0484, 0.0550, 0.0565),
    ),
    1.0: (
        (0, 0.0070, 0.0160, 0.0456, 0.0954, 0.2451, 0.4945, 0.7439, 0.9933),
        (0.0105, 0.0138, 0.0163, 0.0206, 0.0254, 0.0361, 0.0483, 0.0549, 0.0564),
    ),
    20.0: (
        (0, 0.0066, 0.0152, 0.0436, 0.0919, 0.2376, 0.4793, 0.7209, 0.9626),
        (0.0099, 0.0131, 0.0155, 0.0198, 0.0246, 0.0353, 0.0472, 0.0536, 0.0553),
    ),
    3600.0: (
        (0, 0.0044, 0.0107, 0.0324, 0.0710, 0.1915, 0.3852, 0.5792, 0.7731),
        (0.0069, 0.0093, 0.0117, 0.0163, 0.0217, 0.0318, 0.0426, 0.0510, 0.0566),
    ),
    DAY: (
        (0, 0.0034, 0.0086, 0.0265, 0.0595, 0.1646, 0.3305, 0.4967, 0.6630),
        (0.0056, 0.0077, 0.0101, 0.0150, 0.0209, 0.0307, 0.0413, 0.0518, 0.0607),
    ),
    YEAR: (
        (0, 0.0022, 0.0059, 0.0187, 0.0434, 0.1246, 0.2488, 0.3739, 0.4989),
        (0.0042, 0.0060, 0.0083, 0.0135, 0.0201, 0.0295, 0.0398, 0.0533, 0.0661),
    ),
}
KINK = 3.3e-5  # h**2 / 12 / sqrt(2 pi): what a kink of programming leaves of a change of slope


class Remembering(rs.BaseNoiseModel):
    """Takes off at drift what programming added."""

    @staticmethod
    def program(g, model, z):
        return g + z

    @staticmethod
    def coefficient(g, model, z, z_program):
        return z_program

    @staticmethod
    def drift(g, target, c, model):
        return g - c


class Forgetting(Remembering):
    """Takes off what another programming would have added."""

    redraws = True


class Jumping(rs.BaseNoiseModel):
    """A read that is stuck with a probability."""

    @staticmethod
    def read(g, programmed, target, model, z):
        return 0.0 if z > 1.0 else g


@pytest.mark.parametrize("t", FIGURES)
def test_phase_change_memory_is_as_computed_elsewhere(t):
    mean, variance = conductance_moments(rs.PCMLikeNoiseModel(), 25.0 * W, t)
    idle_mean, idle_variance = conductance_moments(rs.PCMLikeNoiseModel(), 0.0, t)
    half = 0.5e-4 + 2.0 * KINK * 0.066  # of the last digit, and the largest standard deviation's
    assert np.abs((mean - idle_mean) / 25.0 - FIGURES[t][0]).max() <= half
    assert np.abs(np.sqrt(variance + idle_variance) / 25.0 - FIGURES[t][1]).max() <= half


def pcm_by_hand(g, t):
    """Return mean and variance by one-dimensional integrals: the other two are closed forms."""
    u = g / 25.0
    log_u = math.log(max(u, 1e-7))
    mu = min(max(-0.0155 * log_u + 0.0244, 0.049), 0.1)
    sd = min(max(-0.0125 * log_u - 0.0059, 0.008), 0.045)
    age, t_read = t + 20.0, 250e-9
    a, kappa = math.log(age / 20.0), math.sqrt(math.log((age + t_read) / (2.0 * t_read)))
    sigma = 0.26348 + 1.9650 * u - 1.1731 * u * u

    def decay(k):
        """Return the mean of exp(-k a |nu|) over the exponents."""
        b = k * a
        right = math.exp(-b * mu + 0.5 * (b * sd) ** 2) * norm.cdf(mu / sd - b * sd)
        left = math.exp(b * mu + 0.5 * (b * sd) ** 2) * norm.cdf(-mu / sd - b * sd)
        return right + left

    def seen(z, k):
        """Return the mean k-th power of a clipped read, over its noise."""
        p = g + sigma * z
        s = min(0.2, 0.0088 / max((p / 25.0) ** 0.65, 1e-3)) * kappa
        if k == 1:
            factor = norm.cdf(1.0 / s) + s * norm.pdf(1.0 / s)
        else:
            factor = (1.0 + s * s) * norm.cdf(1.0 / s) + s * norm.pdf(1.0 / s)
        return p**k * factor * norm.pdf(z)

    start = -g / sigma
    bend = (25.0 * (0.0088 / 0.2) ** (1.0 / 0.65) - g) / sigma  # from here on q falls
    points = sorted(b for b in (bend, 0.0) if start < b < 9.0)
    parts = list(zip([start, *points], [*points, 9.0], strict=True))
    first, second = (
        sum(quad(seen, *ends, args=(k,), epsabs=1e-12)[0] for ends in parts) for k in (1, 2)
    )
    mean = decay(1) * first
    return mean, decay(2) * second - mean**2


@pytest.mark.parametrize("g", [0.0, 0.1, 1.0, 6.0, 25.0])
@pytest.mark.parametrize("t", [1.0, DAY, YEAR])
def test_phase_change_memory_is_an_integral_over_programming_of_closed_forms(g, t):
    mean, variance = conductance_moments(rs.PCMLikeNoiseModel(), g, t)
    expected = pcm_by_hand(g, t)
    sigma = 0.26348 + 1.9650 * g / 25.0 - 1.1731 * (g / 25.0) ** 2  # the slope that changes at 0
    allowed = 2.0 * KINK * sigma  # where errors are clipped, and where reads are
    assert abs(mean - expected[0]) <= allowed
    assert abs(variance - expected[1]) <= 2.0 * allowed * max(sigma, math.sqrt(expected[1]))


def test_a_model_of_ones_own_with_clipped_errors_has_the_textbook_moments():
    g, t = np.array([0.0, 0.2, 1.0, 20.0]), 10000.0
    a = g / 0.5
    mean = g * norm.cdf(a) + 0.5 * norm.pdf(a)
    square = (g * g + 0.25) * norm.cdf(a) + 0.5 * g * norm.pdf(a)
    for time, factor in ((None, 1.0), (0.0, 1.0), (t, 1.0 / 1.1)):
        found = conductance_moments(Leaky(), g, time)
        assert np.abs(found[0] - factor * mean).max() <= KINK * 0.5
        assert np.abs(found[1] - factor**2 * (square - mean**2)).max() <= 2.0 * KINK * 0.25


def test_the_normal_of_programming_comes_back_in_the_coefficient_unless_it_is_drawn_anew():
    mean, variance = conductance_moments(Remembering(), 3.0, 1.0)
    assert mean == pytest.approx(3.0, abs=1e-12)
    assert variance == pytest.approx(0.0, abs=1e-12)
    mean, variance = conductance_moments(Forgetting(), 3.0, 1.0)
    assert mean == pytest.approx(3.0, abs=1e-7)
    assert variance == pytest.approx(2.0, abs=1e-7)  # cut at 6.5 standard deviations


def test_laws_left_out_change_nothing():
    mean, variance = conductance_moments(rs.BaseNoiseModel(), [[1.0, 2.0]], 5.0)
    assert mean.tolist() == [[1.0, 2.0]]
    assert variance.tolist() == [[0.0, 0.0]]


def test_a_jump_is_seen_to_half_a_step():
    p = norm.sf(1.0)
    mean, _ = conductance_moments(Jumping(), 2.0, 5.0)
    assert abs(mean - 2.0 * (1.0 - p)) <= 2.0 * 0.5 * 0.75 * norm.pdf(1.0)


MODELS = {
    "PCM": (rs.PCMLikeNoiseModel(), (None, 0.0, DAY)),
    "PCM, from target": (rs.PCMLikeNoiseModel(read_noise_from_target=True), (DAY,)),
    "PCM, own exponents": (
        rs.CustomDriftPCMLikeNoiseModel(
            custom_drift_model={
                "g_lst": [0.0, 10.0, 25.0],
                "nu_mean_lst": [0.1, 0.05, 0.04],
                "nu_std_lst": [0.04, 0.01, 0.01],
            }
        ),
        (YEAR,),
    ),
    "Hermes 1": (rs.HermesNoiseModel(num_devices=1), (None, DAY)),
    "Hermes 2": (rs.HermesNoiseModel(), (20.0, YEAR)),
    "state-independent": (rs.StateIndependentNoiseModel(), (20.0, YEAR)),
    "Wan": (rs.ReRamWan2022NoiseModel(), (None, 1.0, DAY)),
    "Wan, fresh": (rs.ReRamWan2022NoiseModel(fresh_relaxation=True), (DAY,)),
    "CMO": (rs.ReRamCMONoiseModel(), (None, 0.0, 1.0, DAY)),
    "CMO, fresh": (rs.ReRamCMONoiseModel(fresh_relaxation=True), (DAY,)),
    "one's own": (Leaky(), (None, 3600.0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_devices_that_are_drawn_scatter_as_computed(name):
    model, times = MODELS[name]
    values, n = np.array([-1.0, -0.3, 0.0, 0.02, 0.1, 0.5, 1.0]), 20_000
    devices = rs.ProgrammedDevices(model, np.tile(values, (n, 1)), rng=7)
    target = devices.target[0, 0].astype(np.float64)
    for t in times:
        seen = devices.conductances(t)[0].astype(np.float64)
        mean, variance = conductance_moments(model, target, t)
        std = np.sqrt(variance)
        # laws run in float32 with short polynomials for logarithms and exponentials
        floor = 1e-6 * np.maximum(target, 1.0) + KINK * std
        check_mean(seen, mean, std, floor=floor)
        spread = np.square(seen - mean)  # its mean is the variance, its own scatter is measured
        check_mean(spread, variance, spread.std(axis=0), floor=4.0 * floor * (std + floor))


def test_plain_python_and_machine_code_agree():
    model, g = rs.PCMLikeNoiseModel(), np.array([0.0, 2.0, 25.0])
    fields, numbers = model.packed(DAY)
    steps = np.array([-4.0, 0.8]), np.array([-4.0, 0.8])
    counts, found = np.array([11, 10, 1, 10]), []
    for target in ("exact", "double"):
        out = np.empty((3, 2))
        run = kernel(moment_rows, target, **model.bound(fields))
        run(0, 3, g, numbers, *steps, counts, True, out)
        found.append(out)
    assert np.allclose(*found, rtol=1e-12, atol=0.0)


def test_threads_change_no_bit():
    before = rs.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            rs.set_num_threads(threads)
            found.append(conductance_moments(rs.PCMLikeNoiseModel(), 25.0 * W, DAY))
    finally:
        rs.set_num_threads(before)
    assert np.array_equal(*found)


def test_what_fits_no_device_is_refused():
    with pytest.raises(DataError, match="model must be a noise model, got 3"):
        conductance_moments(3, 1.0)
    with pytest.raises(DataError, match="g must be finite"):
        conductance_moments(rs.PCMLikeNoiseModel(), [1.0, np.nan])
    for t in (-1.0, np.inf, True, "1"):
        with pytest.raises(DataError, match="t must be a time >= 0, in seconds"):
            conductance_moments(rs.PCMLikeNoiseModel(), 1.0, t)
    with pytest.raises(DataError, match="knows the times"):
        conductance_moments(rs.ReRamWan2022NoiseModel(), 1.0, 5.0)
