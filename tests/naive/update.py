"""The pulsed update, slot by slot, in plain double-precision loops.

Train length and probabilities: Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), eq. 1, with the
managements of Rasch, Gokmen and Haensch, IEEE Design & Test (2019):

    k = lr X alpha D / g,   BL = min(ceil(k), BLmax),   A = B = sqrt(lr / (g BL)),
    then A <- A sqrt(X / (alpha D)), B <- B sqrt(alpha D / X),
    with alpha D <- alpha D BLmax / k if k > BLmax

where X = max|x|, D = max|d|, g is the weight of one pulse, p_x = B|x| and p_d = A|d|.
"""

from math import ceil, comb, sqrt


def plan(x, d, rate, granularity, longest=31, um=True, ublm=True, fixed_bl=True, alpha=1.0):
    """Return (BL, B, A) of one vector pair; BL is 0 if nothing happens."""
    top_x, top_d = max(abs(v) for v in x), alpha * max(abs(v) for v in d)
    k = rate * top_x * top_d / granularity
    if k == 0.0:
        return 0, 0.0, 0.0
    slots, a = longest, None
    if ublm:
        slots = min(ceil(k - 1e-9 * k), longest)
    elif not fixed_bl and granularity * longest < rate:
        slots, a = max(ceil(rate / granularity), 1), 1.0
    if a is None:
        a = sqrt(rate / (granularity * slots))
    b = a
    if um or ublm:
        if k > longest:
            top_d = top_d * longest / k
        a, b = a * sqrt(top_x / top_d), b * sqrt(top_d / top_x)
    return slots, b, a


def half_even(v):
    """Round to the nearest integer, halves to the even one."""
    return float(round(v))


def quantise(p, res):
    """Return a probability rounded to steps of `res` (0: as it is)."""
    return half_even(p / res) * res if res > 0.0 else p


def probabilities(x, d, rate, granularity, res=0.0, **settings):
    """Return (BL, p_x, p_d), quantised and limited to 1."""
    slots, b, a = plan(x, d, rate, granularity, **settings)
    p_x = [min(quantise(abs(v) * b, res), 1.0) for v in x]
    p_d = [min(quantise(abs(v) * a, res), 1.0) for v in d]
    return slots, p_x, p_d


def sign(v):
    """Return -1, 0 or 1."""
    return (v > 0) - (v < 0)


def mean_counts(x, d, rate, granularity, res=0.0, **settings):
    """Return down minus up pulses of MEAN_COUNT: rint(c_d / BL * c_x), c = rint(BL p) sign."""
    slots, p_x, p_d = probabilities(x, d, rate, granularity, res, **settings)
    c_x = [min(half_even(slots * p), slots) * sign(v) for p, v in zip(p_x, x, strict=True)]
    c_d = [min(half_even(slots * p), slots) * sign(v) for p, v in zip(p_d, d, strict=True)]
    return [[int(half_even(e / slots * c)) if slots else 0 for c in c_x] for e in c_d]


def implicit_counts(x, d, rate, granularity, x_res=0.0, d_res=0.0, **settings):
    """Return the same of DETERMINISTIC_IMPLICIT: rint(v_d BL v_x), v = min(q(p), 1) sign."""
    slots, b, a = plan(x, d, rate, granularity, **settings)
    v_x = [min(quantise(abs(v) * b, x_res), 1.0) * sign(v) for v in x]
    v_d = [min(quantise(abs(v) * a, d_res), 1.0) * sign(v) for v in d]
    return [[int(half_even(e * slots * c)) for c in v_x] for e in v_d]


def constant_pulse(w, rises, dev, sigma, z):
    """Return w +- step (1 + sigma z)."""
    noise = 1.0 + sigma * z
    return w + dev["dwmin_up"] * noise if rises else w - dev["dwmin_down"] * noise


def linear_pulse(w, rises, dev, sigma, z):
    """Return w +- (step + slope w)(1 + sigma z)."""
    noise = 1.0 + sigma * z
    if rises:
        return w + (dev["slope_up"] * w + dev["dwmin_up"]) * noise
    return w - (dev["slope_down"] * w + dev["dwmin_down"]) * noise


def linear_pulse_additive(w, rises, dev, sigma, z):
    """Return w +- (step (1 + sigma z) + slope w)."""
    noise = 1.0 + sigma * z
    if rises:
        return w + dev["slope_up"] * w + dev["dwmin_up"] * noise
    return w - (dev["slope_down"] * w + dev["dwmin_down"] * noise)


def soft_bounds_pulse(w, rises, dev, sigma, z):
    """Return w +- step (1 - w / bound)(1 + sigma z)."""
    noise = 1.0 + sigma * z
    if rises:
        return w + dev["dwmin_up"] * (1.0 - w / dev["max_bound"]) * noise
    return w - dev["dwmin_down"] * (1.0 - w / dev["min_bound"]) * noise


def clip(w, dev):
    """Return the weight within the device's bounds."""
    return max(min(w, dev["max_bound"]), dev["min_bound"])


def send(w, directions, dev, pulse, sigma=0.0, normals=None):
    """Return the weight after pulses in these directions (> 0: up), clipped after each of them."""
    for n, direction in enumerate(directions):
        z = normals[n] if normals is not None else 0.0
        w = clip(pulse(w, direction > 0, dev, sigma, z), dev)
    return w


def send_all(w, planes, directions, pulse):
    """Return all weights after noise-free pulses; `directions(i, j)` lists those of (i, j)."""
    rows, cols = len(w), len(w[0])
    new = [[0.0] * cols for _ in range(rows)]
    for i in range(rows):
        for j in range(cols):
            dev = {name: float(plane[i][j]) for name, plane in planes.items()}
            new[i][j] = send(float(w[i][j]), directions(i, j), dev, pulse)
    return new


def coincidences(x, d, fires_x, fires_d):
    """Return the directions of all pulses of one crosspoint: where both lines fire, -sign(x d).

    ``x[b]``, ``d[b]`` are the values of sample b on the two lines, ``fires_x[b][t]`` whether the
    line fires in slot t.
    """
    directions = []
    for b in range(len(x)):
        for t in range(len(fires_x[b])):
            if fires_x[b][t] and fires_d[b][t]:
                directions.append(-sign(x[b]) * sign(d[b]))
    return directions


def binomial(slots, p):
    """Return the probabilities of 0..slots coincidences."""
    return [comb(slots, n) * p**n * (1.0 - p) ** (slots - n) for n in range(slots + 1)]


def count_law(slots, p, sigma=0.0):
    """Return (mean, variance, kurtosis) of n + sigma sqrt(n) z, n ~ Binomial(slots, p).

    Fourth moment: E u**4 + 6 sigma**2 E u**2 n + 3 sigma**4 E n**2 with u = n - mean.
    """
    mean, variance, fourth = slots * p, 0.0, 0.0
    for n, weight in enumerate(binomial(slots, p)):
        u = n - mean
        variance += weight * (u**2 + n * sigma**2)
        fourth += weight * (u**4 + 6.0 * sigma**2 * u**2 * n + 3.0 * sigma**4 * n**2)
    return mean, variance, fourth / variance**2 if variance > 1e-9 else 3.0
