"""Closed forms for the weight after many pulses.

First for steps that are affine in the weight, then for exponential, power and piecewise ones.

One up pulse: w' = w + (s + a w)(1 + sigma z), or w + s (1 + sigma z) + a w with additive noise; a
down pulse: the same with -s and -a. With the fixed point f = -s / a and y = w - f,

    E y_N = (1 + a)**N E y_0,
    E y_N**2 = ((1 + a)**2 + a**2 sigma**2)**N E y_0**2,
    Var_N = (1 + a)**(2N) Var_0 + sigma**2 s**2 (1 - (1 + a)**(2N)) / (1 - (1 + a)**2)  (additive)

and E w_N = w_0 + N s, Var_N = Var_0 + N sigma**2 s**2 for a = 0: linear difference equations.
"""

from math import erf, exp, log, pi, sqrt


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


def exponential_symmetry_point(dev):
    """Return the same for exponential steps with equal exponents g.

    With X = exp(g x), x = 2 a w / R + b: s_u A_u X**2 - (s_u - s_d) X - s_d A_d = 0.
    """
    up, down = dev["dwmin_up"], dev["dwmin_down"]
    p, q, r = up * dev["A_up"], down - up, -down * dev["A_down"]
    root = sqrt(q**2 - 4.0 * p * r)
    (big,) = (v for v in ((-q + root) / (2.0 * p), (-q - root) / (2.0 * p)) if v > 0.0)
    window = dev["max_bound"] - dev["min_bound"]
    return window * (log(big) / dev["gamma_up"] - dev["b"]) / (2.0 * dev["a"])


def power_symmetry_point(dev, halvings=60):
    """Return where s_u om**g_u = s_d (1 - om)**g_d, om = (M - w) / (M - m); arrays welcome.

    The left side rises with om, the right side falls: bisection.
    """
    low, high = 0.0 * dev["max_bound"], 0.0 * dev["max_bound"] + 1.0
    for _ in range(halvings):
        om = 0.5 * (low + high)
        up = dev["dwmin_up"] * om ** dev["gamma_up"]
        above = up > dev["dwmin_down"] * (1.0 - om) ** dev["gamma_down"]
        low, high = low + (om - low) * (1 - above), high + (om - high) * above
    return dev["max_bound"] - 0.5 * (low + high) * (dev["max_bound"] - dev["min_bound"])


def piecewise_symmetry_points(low, high, ups, downs):
    """Return where piecewise steps with these values at equally spaced nodes are equal.

    In a segment both are linear: t = D_k / (D_k - D_{k+1}), D = up - down. Only points where D
    falls, to which pulses lead.
    """
    d = [u - v for u, v in zip(ups, downs, strict=True)]
    width = (high - low) / (len(d) - 1)
    found = []
    for k in range(len(d) - 1):
        if d[k] > 0.0 >= d[k + 1]:
            found.append(low + width * (k + d[k] / (d[k] - d[k + 1])))
    return found


def exponential_rise(start, pulses, step, factor, exponent, slope, offset):
    """Return the weight after up pulses of dw/dn = s (1 - A exp(g (k w + b))), n continuous."""
    g = exponent * slope
    c = factor * exp(exponent * offset)
    return -log(c + (exp(-g * start) - c) * exp(-g * step * pulses)) / g


def exponential_fall(start, pulses, step, factor, exponent, slope, offset):
    """Return the weight after down pulses of dw/dn = -s (1 - A exp(-g (k w + b)))."""
    return -exponential_rise(-start, pulses, step, factor, exponent, slope, -offset)


def power_room(start, pulses, step, exponent):
    """Return what is left of the window, om, after pulses of d om/dn = -step om**g.

    For g = 1 it is the discrete recursion itself.
    """
    if exponent == 1.0:
        return start * (1.0 - step) ** pulses
    left = start ** (1.0 - exponent) + (exponent - 1.0) * step * pulses
    return max(left, 0.0) ** (1.0 / (1.0 - exponent))


def smooth_moments(start, pulses, derivatives, sigma):
    """Return (mean, variance) after pulses of a smooth signed step with proportional noise.

    ``derivatives(w)`` gives f, f', f''. mu' = mu + f + f'' V / 2,
    V' = (1 + f')**2 V + sigma**2 (f**2 + f'**2 V).
    """
    mean, variance = start, 0.0
    for _ in range(pulses):
        f, slope, bend = derivatives(mean)
        fresh = sigma**2 * (f**2 + slope**2 * variance)
        mean, variance = mean + f + 0.5 * bend * variance, (1.0 + slope) ** 2 * variance + fresh
    return mean, variance
