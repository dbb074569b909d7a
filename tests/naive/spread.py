"""Laws of spreads that do not fold: the log-normal, and the normal without its part below 0."""

from math import exp, pi, sqrt

from tests.naive.fabrication import normal_below


def log_normal_kurtosis(sigma):
    """Return the kurtosis of exp(sigma z)."""
    q = exp(sigma**2)
    return q**4 + 2.0 * q**3 + 3.0 * q**2 - 3.0


def truncated_law(sigma):
    """Return (mean, std) of 1 + sigma z without the part below 0."""
    kept = normal_below(1.0 / sigma)
    hazard = exp(-0.5 / sigma**2) / sqrt(2.0 * pi) / kept
    return 1.0 + sigma * hazard, sigma * sqrt(1.0 - hazard / sigma - hazard**2)
