"""How far an estimate from n independent samples may be from the truth: z standard errors, no more.

The standard errors are the textbook ones: sd / sqrt(n) for a mean, var * sqrt((kurtosis - 1) / n)
for a variance, sqrt(p (1 - p) / n) for a proportion. A Kolmogorov distance of 2.2 / sqrt(n) has
probability 1e-4.
"""

import numpy as np
from scipy.stats import ks_1samp, ks_2samp

Z = 5.0
GAUSSIAN = 3.0
FLOAT32 = float(np.finfo(np.float32).eps)


def rounding(pulses, largest):
    """Return how far `pulses` additions in float32 may lead away: 4 eps N max|w|."""
    return 4.0 * FLOAT32 * max(pulses, 1) * largest


def check_mean(samples, mean, std, z=Z, floor=0.0):
    """Compare the means over axis 0 with a law of this mean and standard deviation."""
    n = np.shape(samples)[0]
    off = np.abs(np.mean(samples, axis=0, dtype=np.float64) - mean)
    allowed = z * np.asarray(std) / np.sqrt(n) + floor
    assert np.all(off <= allowed), f"mean off by {off}, allowed {allowed}"


def check_variance(samples, variance, kurtosis=GAUSSIAN, z=Z, floor=0.0):
    """Compare the variances over axis 0 with a law of this variance and kurtosis."""
    n = np.shape(samples)[0]
    found = np.var(np.asarray(samples, np.float64), axis=0)
    allowed = variance * (z * np.sqrt((np.asarray(kurtosis) - 1.0) / n) + 1.0 / n) + floor
    off = np.abs(found - variance)
    assert np.all(off <= allowed), f"variance {found}, expected {variance} +- {allowed}"


def check_std(samples, std, kurtosis=GAUSSIAN, z=Z):
    """Compare standard deviations: the variance, seen through its square root."""
    check_variance(samples, np.asarray(std) ** 2, kurtosis, z)


def check_correlation(a, b, rho, z=Z):
    """Compare the correlation of two Gaussian samples: standard error (1 - rho**2) / sqrt(n)."""
    found = np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]
    assert abs(found - rho) <= z * (1.0 - rho**2) / np.sqrt(np.size(a)), found


def check_proportion(hits, p, z=Z):
    """Compare how many of `hits` are true with a probability."""
    n = np.size(hits)
    assert n * min(p, 1.0 - p) >= 25.0, "too few samples for the normal law of a proportion"
    off = abs(np.mean(hits) - p)
    assert off <= z * np.sqrt(p * (1.0 - p) / n), f"proportion {np.mean(hits)}, expected {p}"


def check_law(samples, cdf):
    """Compare the distribution of the samples with a cumulative distribution function."""
    samples = np.ravel(samples)
    distance = ks_1samp(samples, cdf).statistic
    assert distance <= 2.2 / np.sqrt(samples.size), f"Kolmogorov distance {distance}"


def check_same_law(a, b):
    """Compare the distributions of two independent samples."""
    distance = ks_2samp(np.ravel(a), np.ravel(b), method="asymp").statistic
    allowed = 2.2 * np.sqrt(1.0 / np.size(a) + 1.0 / np.size(b))
    assert distance <= allowed, f"Kolmogorov distance {distance}, allowed {allowed}"
