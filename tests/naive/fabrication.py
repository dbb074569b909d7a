"""Laws of what is drawn once per device, as the established toolkit samples it.

After Gokmen and Vlasov (2016). A quantity is mu (1 + sigma z); where it must be positive, it is
folded to its magnitude. With G = 1 + sg z or exp(sg z) and q = sq z the steps are

    up = dw (G + min(beta, 0) + q),   down = dw (G - max(beta, 0) - q)
"""

from math import erf, exp, pi, sqrt


def normal_below(v):
    """Return the probability that a standard normal is below v."""
    return 0.5 * (1.0 + erf(v / sqrt(2.0)))


def folded_mean(mu, sigma):
    """Return the mean of |N(mu, sigma**2)|."""
    if sigma == 0.0:
        return abs(mu)
    inside = mu * (1.0 - 2.0 * normal_below(-mu / sigma))
    return sigma * sqrt(2.0 / pi) * exp(-0.5 * (mu / sigma) ** 2) + inside


def square_law(mu, sigma):
    """Return (mean, standard deviation) of the square of N(mu, sigma**2)."""
    return mu**2 + sigma**2, sqrt(4.0 * mu**2 * sigma**2 + 2.0 * sigma**4)


def step_law(beta, gain, asymmetry):
    """Return {what: (mean, std)} of both steps in units of dw_min, and their correlation."""
    spread = sqrt(gain**2 + asymmetry**2)
    return {
        "up": (1.0 + min(beta, 0.0), spread),
        "down": (1.0 - max(beta, 0.0), spread),
        "difference": (beta, 2.0 * asymmetry),
        "half_sum": (1.0 - abs(beta) / 2.0, gain),
        "correlation": (gain**2 - asymmetry**2) / spread**2,
    }


def log_normal_law(sigma):
    """Return (mean, std) of exp(sigma z)."""
    mean = exp(0.5 * sigma**2)
    return mean, mean * sqrt(exp(sigma**2) - 1.0)


def drifted_law(nu, spread, log_time):
    """Return (mean, std) of t**-nu for exponents nu (1 + spread z), at log_time = ln t."""
    s = nu * spread * log_time
    mean = exp(-nu * log_time + 0.5 * s**2)
    return mean, mean * sqrt(exp(s**2) - 1.0)
