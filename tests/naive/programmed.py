"""Programmed devices in float64, from the equations: exact moments, and a loop-free simulation.

A model is a name: pcm, state (state-independent), hermes1, hermes2, wan, cmo. Conductances are
relative to the largest one for pairs, and in uS for cmo; times in seconds.
"""

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = [
    "CMO",
    "cmo_device",
    "cmo_moments",
    "exponent",
    "folded_moments",
    "kappa",
    "lifetimes",
    "mean_magnitude",
    "moments_of_pair",
    "programming_error",
    "read_noise",
    "read_once",
    "rectified",
    "wan_pair",
]

DAY = 86400.0
Z = np.linspace(-8.0, 8.0, 16001)
P = np.exp(-0.5 * Z * Z) / np.exp(-0.5 * Z * Z).sum()
START = {"pcm": 20.0, "state": 20.0, "hermes1": 200.0, "hermes2": 300.0}
READ = {"pcm": 250e-9, "state": 250e-9, "hermes1": 512e-9, "hermes2": 512e-9}
CMO = {"g_max": 88.199997, "g_min": 9.0}
ACCEPTED = {0.2: (0.00081107, 0.00106879), 2.0: (0.0112185391, 0.01129027418)}


# ---------------------------------------------------------------- laws of one device


def programming_error(model, u):
    """Return the standard deviation of a programmed conductance."""
    if model == "pcm":
        return (0.26348 + 1.9650 * u - 1.1731 * u**2) / 25.0
    if model == "state":
        return 0.2 / 25.0 + 0.0 * u
    if model == "hermes1":
        return (0.15781817 + 2.32443916 * u - 2.16310839 * u**2 + 0.68841818 * u**3) / 10.35
    return (0.16603222 + 4.71806468 * u - 8.48101252 * u**2 + 4.68961419 * u**3) / 20.7


def exponent(model, u):
    """Return mean and deviation of a drift exponent, before it is folded to its magnitude."""
    u = np.asarray(u, float)
    log = np.log(np.maximum(u, 1e-7))
    if model == "pcm":
        return np.clip(-0.0155 * log + 0.0244, 0.049, 0.1), np.clip(
            -0.0125 * log - 0.0059, 0.008, 0.045
        )
    if model == "state":
        return 0.1 + 0.0 * u, 0.05 + 0.0 * u
    mean = np.where(
        u < 0.0945,
        np.clip(-0.0387 * log - 0.0182, 0.0720, 0.13),
        -0.0436 * u**2 - 0.0126 * u + 0.0736,
    )
    if model == "hermes1":
        low = np.clip(-0.0120 * log - 0.0023, 0.0124, 0.04)
        return mean, np.where(u < 0.3039, low, -0.0165 * u**2 + 0.0116 * u + 0.0104)
    low = np.clip(-0.0117 * log - 0.0057, 0.0091, 0.04)
    return mean, np.where(u < 0.3055, low, -0.0118 * u**2 + 0.0093 * u + 0.0073)


def read_noise(model, u):
    """Return the relative noise of a read at one unit of its spectrum."""
    u = np.asarray(u, float)
    if model == "pcm":
        return np.minimum(0.2, 0.0088 / np.maximum(u**0.65, 1e-3))
    if model == "state":
        return 0.04 + 0.0 * u
    log = np.log(np.maximum(u, 1e-300))
    if model == "hermes1":
        low = np.clip(-0.0078 * log + 0.0038, 0.0179, 0.04)
        return np.where(u < 0.1591, low, 0.0664 * u**3 - 0.1352 * u**2 + 0.0768 * u + 0.0088)
    low = np.clip(-0.0117 * log - 0.0069, 0.015, 0.04)
    return np.where(u < 0.16, low, 0.0069 * u**3 - 0.0280 * u**2 + 0.0211 * u + 0.0123)


def kappa(model, t):
    """Return the growth of read noise with the age of a device."""
    t, t_read = t + START[model], READ[model]
    return np.sqrt(np.log((t + t_read) / (2.0 * t_read)))


def folded_moments(model, u):
    """Return mean and deviation of a drift exponent."""
    mean, std = exponent(model, u)
    nu = np.abs(mean + std * Z)
    first = (P * nu).sum()
    return first, np.sqrt((P * nu**2).sum() - first**2)


# ---------------------------------------------------------------- exact moments


def rectified(mean, std):
    """Return E max(0, mean + std z)^k for k = 1..4."""
    x = mean / std
    m0 = ndtr(x)
    m1 = mean * m0 + std * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    m2 = mean * m1 + std**2 * m0
    m3 = mean * m2 + 2.0 * std**2 * m1
    return np.array([m1, m2, m3, mean * m3 + 3.0 * std**2 * m2])


def device_moments(model, u, t):
    """Return E g^k, k = 1..4, of a device with target `u`; t None: as programmed, not read."""
    g = np.maximum(0.0, u + programming_error(model, u) * Z)
    powers = np.array([g, g**2, g**3, g**4])
    if t is None:
        return powers @ P
    reads = rectified(1.0, read_noise(model, g) * kappa(model, t))
    mean, std = exponent(model, u)
    log_age = np.log((t + START[model]) / START[model])
    nu = np.abs(mean + std * Z)
    fallen = np.array([(P * np.exp(-k * nu * log_age)).sum() for k in (1, 2, 3, 4)])
    return (powers * reads) @ P * fallen


def central(raw):
    """Return mean, variance and the third and fourth central moments."""
    m1, m2, m3, m4 = raw
    third = m3 - 3.0 * m1 * m2 + 2.0 * m1**3
    return m1, m2 - m1**2, third, m4 - 4.0 * m1 * m3 + 6.0 * m1**2 * m2 - 3.0 * m1**4


def difference(a, b):
    """Return mean, deviation and kurtosis of the difference of two independent devices."""
    (m, v, _, f), (n, w, _, g) = central(a), central(b)
    fourth = f + g + 6.0 * v * w
    return m - n, np.sqrt(v + w), fourth / (v + w) ** 2


def moments_of_pair(model, w, t):
    """Return mean, deviation and kurtosis of a weight on a pair of devices."""
    sign = -1.0 if w < 0.0 else 1.0
    mean, std, kurtosis = difference(
        device_moments(model, abs(w), t), device_moments(model, 0.0, t)
    )
    return sign * mean, std, kurtosis


def distribution(model, u, t, x):
    """Return P(g <= x) for a device with target `u`."""
    error = programming_error(model, u)
    if t is None:
        return ndtr((x - u) / error)
    z = ndtri((np.arange(301) + 0.5) / 301)[:, None]
    g = np.maximum(u + error * z, 1e-9)
    mean, std = exponent(model, u)
    nu = np.abs(mean + std * ndtri((np.arange(31) + 0.5) / 31))
    fallen = g * np.exp(-nu * np.log((t + START[model]) / START[model]))
    spread = fallen * (read_noise(model, g) * kappa(model, t))
    return np.array([ndtr((y - fallen) / spread).mean() for y in x])


def mean_magnitude(model, w, t):
    """Return E|weight| on a pair: the integral of F_a (1 - F_b) + F_b (1 - F_a)."""
    top = abs(w) + 8.0 * programming_error(model, abs(w)) + 0.05
    x = (np.arange(400) + 0.5) * top / 400
    a, b = distribution(model, abs(w), t, x), distribution(model, 0.0, t, x)
    return (a * (1.0 - b) + b * (1.0 - a)).sum() * top / 400


WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY: (0.701, 22.086, -50.773, 47.095, -16.458),
    2.0 * DAY: (0.782, 20.274, -43.507, 37.062, -11.934),
}


def wan_pair(w, t, reference=40.0):
    """Return mean, deviation and kurtosis of a weight on resistive devices that relaxed."""

    def device(u):
        std = sum(c * u**k for k, c in enumerate(WAN[t])) / reference
        return rectified(u, std)

    return difference(device(abs(w)), device(0.0))


def cmo_device(t):
    """Return shift and spread of the relaxation, and the factor of log10 g in reads, in uS."""
    if t == 0.0:
        return 0.0, 0.0, 0.0
    noise = 0.0277316483 * np.sqrt(np.log((t + 1e-6) / 2e-6))
    return -0.08900206 * np.log(t), 0.04201137 * np.log(t) + 0.41183342, noise


def cmo_moments(w, t, accepted):
    """Return mean, deviation and kurtosis of a weight in -1..1 on one device."""
    z = np.linspace(-7.0, 7.0, 1401)
    p = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    scale = (CMO["g_max"] - CMO["g_min"]) / 2.0
    target = CMO["g_min"] + scale * (w + 1.0)
    c0, c1 = ACCEPTED[accepted]
    shift, spread, noise = cmo_device(t)
    g = (target + shift + np.hypot(c0 + c1 * target, spread) * z)[:, None]
    g = g + noise * np.log10(np.maximum(g, 1e-3)) * z
    if t > 0.0:
        g = np.clip(g, CMO["g_min"], CMO["g_max"])
    off = (g - CMO["g_min"]) / scale - 1.0
    weight = p[:, None] * p
    mean = (weight * off).sum()
    variance, fourth = ((weight * (off - mean) ** k).sum() for k in (2, 4))
    return mean, np.sqrt(variance), fourth / variance**2


# ---------------------------------------------------------------- simulation


def read_once(model, programmed, nu, t, rng):
    """Return what a read sees of devices, relative to the largest conductance."""
    fallen = programmed * np.exp(-nu * np.log((t + START[model]) / START[model]))
    noise = fallen * read_noise(model, programmed) * kappa(model, t)
    return np.maximum(0.0, fallen + noise * rng.normal(size=programmed.shape))


def lifetimes(model, w, times, rng, reconvert):
    """Return weights as programmed, and at each time, of one tile that holds `w`.

    With `reconvert` the programmed weights are put on pairs once more before they drift, with the
    exponents that were drawn for the targets; without it the programmed conductances drift.
    """
    if model == "cmo":
        return cmo_lifetimes(w, times, rng, reconvert)
    scale = np.abs(w).max()
    targets = np.maximum(np.stack([w, -w]), 0.0) / scale
    error = programming_error(model, targets)
    programmed = np.maximum(0.0, targets + error * rng.normal(size=targets.shape))
    mean, std = exponent(model, targets)
    nu = np.abs(mean + std * rng.normal(size=targets.shape))
    first = scale * (programmed[0] - programmed[1])
    if reconvert:
        scale = np.abs(first).max()
        programmed = np.maximum(np.stack([first, -first]), 0.0) / scale
    seen = []
    for t in times:
        g = read_once(model, programmed, nu, t, rng)
        seen.append(scale * (g[0] - g[1]))
    return first, seen


def cmo_lifetimes(w, times, rng, reconvert, accepted=None):
    """Return the same for one device of a weight."""
    c0, c1 = ACCEPTED[0.2 if accepted is None else accepted]
    span = CMO["g_max"] - CMO["g_min"]
    low, scale = w.min(), span / (w.max() - w.min())
    g = (w - low) * scale + CMO["g_min"]
    g = g + (c0 + c1 * g) * rng.normal(size=g.shape)
    first = (g - CMO["g_min"]) / scale + low
    if reconvert:
        low, scale = first.min(), span / (first.max() - first.min())
        g = (first - low) * scale + CMO["g_min"]
    seen = []
    for t in times:
        shift, spread, noise = cmo_device(t)
        now = g + shift + spread * rng.normal(size=g.shape)
        now = now + noise * np.log10(np.maximum(now, 1e-3)) * rng.normal(size=g.shape)
        if t > 0.0:
            now = np.clip(now, CMO["g_min"], CMO["g_max"])
        seen.append((now - CMO["g_min"]) / scale + low)
    return first, seen
