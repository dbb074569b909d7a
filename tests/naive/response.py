"""Closed forms for the weight after many pulses, where the step is affine in the weight.

One up pulse: w' = w + (s + a w)(1 + sigma z), or w + s (1 + sigma z) + a w with additive noise; a
down pulse: the same with -s and -a. With the fixed point f = -s / a and y = w - f,

    E y_N = (1 + a)**N E y_0,
    E y_N**2 = ((1 + a)**2 + a**2 sigma**2)**N E y_0**2,
    Var_N = (1 + a)**(2N) Var_0 + sigma**2 s**2 (1 - (1 + a)**(2N)) / (1 - (1 + a)**2)  (additive)

and E w_N = w_0 + N s, Var_N = Var_0 + N sigma**2 s**2 for a = 0: linear difference equations.
"""

from math import erf, exp, pi, sqrt


def after(mean, variance, pulses, step, slope, sigma, additive=False):
    """Return (mean, variance) after `pulses` equal pulses of signed step and slope."""
    if slope == 0.0:
        return mean + pulses * step, variance + pulses * sigma**2 * step**2
    fixed, growth = -step / slope, 1.0 + slope
    y = (mean - fixed) * growth**pulses
    if additive:
        shrunk = growth ** (2 * pulses)
        fresh = sigma**2 * step**2 * (1.0 - shrunk) / (1.0 - growth**2)
        return fixed + y, shrunk * variance + fresh
    square = (variance + (mean - fixed) ** 2) * (growth**2 + slope**2 * sigma**2) ** pulses
    return fixed + y, square - y**2


def up_then_down(start, ups, downs, dev, sigma, additive=False):
    """Return (mean, variance) after `ups` up and then `downs` down pulses from `start`."""
    at = after(start, 0.0, ups, dev["dwmin_up"], dev["slope_up"], sigma, additive)
    return after(*at, downs, -dev["dwmin_down"], -dev["slope_down"], sigma, additive)


def alternating(dev):
    """Return the limits (weight after a down pulse, after an up pulse, contraction of a pair)."""
    up, fall = 1.0 + dev["slope_up"], 1.0 - dev["slope_down"]
    low = (fall * dev["dwmin_up"] - dev["dwmin_down"]) / (1.0 - up * fall)
    return low, up * low + dev["dwmin_up"], up * fall


def symmetry_point(dev):
    """Return the weight at which up and down steps are equal."""
    return (dev["dwmin_up"] - dev["dwmin_down"]) / (dev["slope_down"] - dev["slope_up"])


def random_walk(dev, sigma, additive=False):
    """Return the stationary (mean, variance) under pulses that go up or down with probability 1/2.

    The mean is the symmetry point; there the step is s*. From E y'**2 = E y**2 for y = w - w*.
    """
    up, down = dev["slope_up"], dev["slope_down"]
    point, k = symmetry_point(dev), down - up
    step = up * point + dev["dwmin_up"]
    if additive:
        noise = sigma**2 * (dev["dwmin_up"] ** 2 + dev["dwmin_down"] ** 2) / 2.0
        return point, (step**2 + noise) / (k - (up**2 + down**2) / 2.0)
    factor = 1.0 + sigma**2
    return point, factor * step**2 / (k - factor * (up**2 + down**2) / 2.0)


def density(v):
    """Return the standard normal density."""
    return exp(-0.5 * v * v) / sqrt(2.0 * pi)


def tail(v):
    """Return the probability that a standard normal is below -v."""
    return 0.5 * (1.0 - erf(v / sqrt(2.0)))


def gap_mean(step, sigma, pulses):
    """Return the mean gap to a bound after `pulses` constant steps towards it, started there.

    The gap is Lindley's waiting time, D' = max(0, D - step (1 + sigma z)). Spitzer's identity:
    E D_N = sum_k E S_k+ / k, S_k the sum of k of these steps.
    """
    terms = (
        sigma * density(sqrt(k) / sigma) / sqrt(k) - tail(sqrt(k) / sigma)
        for k in range(1, pulses + 1)
    )
    return step * sum(terms)


def gap_variance(step, sigma, terms=100000):
    """Return the variance of the gap after many pulses: sum_k E (S_k+)**2 / k (Spitzer)."""
    total = 0.0
    for k in range(1, terms + 1):
        if k > 40.0 * sigma**2 + 40.0:  # beyond, the terms are below 1e-9
            break
        v = sqrt(k) / sigma
        total += ((k**2 + k * sigma**2) * tail(v) - k * sqrt(k) * sigma * density(v)) / k
    return step**2 * total


def spread_then_pulses(pulses, dw_min, gain, asymmetry, sigma):
    """Return (mean, variance) of N constant up steps over devices with these spreads.

    The variance is N**2 dw**2 (sg**2 + sq**2) from device to device and
    N sigma**2 dw**2 (1 + sg**2 + sq**2) from cycle to cycle.
    """
    spread = gain**2 + asymmetry**2
    cycles = pulses * sigma**2 * dw_min**2 * (1.0 + spread)
    return pulses * dw_min, pulses**2 * dw_min**2 * spread + cycles
