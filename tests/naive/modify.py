"""Modified copies of weights, clipping and remapping, weight by weight in double precision.

The draws come in as matrices: normals z, uniforms u.
"""

from math import copysign, exp, floor, log, sqrt, tanh

import numpy as np


def each(function, *matrices):
    """Apply a function to the entries of matrices of one shape."""
    out = np.zeros(matrices[0].shape)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = function(*(float(m[i, j]) for m in matrices))
    return out


def largest(w):
    """Return max |w|."""
    return max(abs(float(v)) for v in w.flat)


def rounded(w, step):
    """Round to multiples of `step`, halves to even."""
    return each(lambda v: step * round(v / step), w)


def dithered(w, step, u):
    """Round up where u is at most the fraction."""
    return each(lambda v, n: step * (floor(v / step) + (n <= v / step - floor(v / step))), w, u)


def squeezed(w, limit):
    """Return what DOREFA rounds."""
    top = tanh(largest(w))
    return each(lambda v: tanh(v) * limit / top, w)


def spread(w, coeffs):
    """Return a_max P(|w| / a_max)."""
    top = largest(w)
    return each(lambda v: top * sum(c * (abs(v) / top) ** k for k, c in enumerate(coeffs)), w)


def on_its_side(w, noisy):
    """Give the magnitudes of `noisy` the signs of w, 0 being positive."""
    return each(lambda v, n: -abs(n) if v < 0.0 else abs(n), w, noisy)


def dropped(w, u, prob, rescale):
    """Set to 0 where u is at most `prob`."""
    kept = 1.0 / (1.0 - prob) if rescale else 1.0
    return each(lambda v, n: 0.0 if n <= prob else v * kept, w, u)


def faulty(g, kind, value, heads, g_max, probs):
    """Return a conductance if the uniform `kind` makes its device one of those that are stuck."""
    at_reset, at_gmax, anywhere = probs
    if kind <= at_reset:
        return 0.0
    if kind <= at_reset + at_gmax:
        other = g + g_max if heads else g - g_max
        return max(-g_max, min(g_max, other))
    if kind <= at_reset + at_gmax + anywhere:
        side = copysign(1.0, g) if g != 0.0 else (1.0 if heads else -1.0)
        return side * value * g_max
    return g


def exponent_spread(a):
    """Return the standard deviation of the drift exponent at g = a g_max."""
    return min(0.045, max(0.008, -0.0125 * log(max(a, 1e-6)) - 0.0059))


def read_noise(a, time):
    """Return the standard deviation of a read, relative to the conductance."""
    return min(0.2, 0.0088 / max(a**0.65, 1e-3)) * sqrt(log((time + 250e-9) / 500e-9))


def aged(g, z0, z1, z2, g_max, strength, coeffs, since, t0):
    """Program, drift and read one conductance."""
    if g == 0.0:
        return 0.0
    a = abs(g) / g_max
    programmed = g + strength * sum(c * a**k for k, c in enumerate(coeffs)) * z0
    a = abs(programmed) / g_max
    drifted = programmed * exp(-abs(exponent_spread(a) * z1) * log((since + t0) / t0))
    seen = drifted + strength * abs(drifted) * read_noise(a, since + t0) * z2
    return copysign(abs(seen), g)


def remapped(w, scales, wmax, whole):
    """Return (weights, scales) with the largest weight of each output, or of all, at `wmax`."""
    w, scales = np.array(w, np.float64), np.array(scales, np.float64)
    tops = [largest(row) for row in w]
    for i in range(len(w)):
        factor = (max(tops) if whole else tops[i]) / wmax
        if factor > 0.0:
            w[i], scales[i] = w[i] / factor, scales[i] * factor
    return w, scales
