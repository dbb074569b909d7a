r"""Exponential, logarithm and power in single precision, for the inner loops of laws.

Short polynomials on a small interval, the rest is exponent bits: no branch and no call, so that
eight devices are worked on at once, where a library's function takes one at a time.

===============  ==========================================  =====================================
function         error                                       range
===============  ==========================================  =====================================
``exp(x)``       2e-7 relative                               -87..88, beyond: as at the nearer end
``log(x)``       3e-7 ``(1 + |ln x|)`` absolute              normal positive x
``power(x, g)``  2e-7 + 4e-7 ``|g| (1 + |ln x|)`` relative   normal positive x; 0 for x <= 0
===============  ==========================================  =====================================

Bound for the targets ``exact`` and ``double`` (see `rpusim.kernels.bind`) they are the functions of
`math`.
"""

import math

import numpy as np

from rpusim.kernels.primitives import bits_float, float_bits, native

__all__ = ["exp", "log", "power"]

LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
LN_2_HIGH, LN_2_LOW = 0.693359375, -2.12194440e-4  # ln 2 in two parts: the first has 10 bits
ROUND = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer, in the low bits
ROUND_BITS = 0x4B400000
LARGEST, SMALLEST = 88.0, -87.0
# minimax fits: e**r = 1 + r + r**2 P(r) for |r| <= ln(2) / 2; ln(1 + t) = t + t**2 Q(t)
EXP_0, EXP_1, EXP_2, EXP_3 = 0.49999252, 0.16667137, 0.041889027, 0.0083112810
LOG_0, LOG_1, LOG_2 = -0.50001484, 0.33315542, -0.24897772
LOG_3, LOG_4, LOG_5 = 0.20492610, -0.18761653, 0.11986148
TINY = 1.1754944e-38  # smallest normal number


def exp(x):
    """Return e**x."""
    x = min(max(x, SMALLEST), LARGEST)
    shifted = x * LOG2_E + ROUND
    n = shifted - ROUND
    r = (x - n * LN_2_HIGH) - n * LN_2_LOW
    p = EXP_0 + r * (EXP_1 + r * (EXP_2 + r * EXP_3))
    exponent = np.int32(float_bits(shifted) - ROUND_BITS + 127)
    return (1.0 + (r + r * r * p)) * bits_float(np.int32(exponent << 23))


def log(x):
    """Return the natural logarithm of a positive number."""
    # ln x = e ln 2 + ln(1 + t), with t between sqrt(1/2) - 1 and sqrt(2) - 1
    bits = float_bits(x)
    e = np.int32((bits - 0x3F3504F3) >> 23)
    t = bits_float(np.int32(bits - (e << 23))) - 1.0
    p = LOG_4 + t * LOG_5
    p = LOG_2 + t * (LOG_3 + t * p)
    p = LOG_0 + t * (LOG_1 + t * p)
    return (t + t * t * p) + np.float32(e) * LN_2


def power(x, g):
    """Return x**g for x >= 0; 0 for all x <= 0, whatever g is."""
    return exp(g * log(max(x, TINY))) if x > 0.0 else x * 0.0


def exact_exp(x):
    """Return e**x in double precision, within the same range."""
    return math.exp(min(max(x, SMALLEST), LARGEST))


def exact_log(x):
    """Return the natural logarithm in double precision."""
    return math.log(x)


def exact_power(x, g):
    """Return x**g in double precision; 0 for x <= 0."""
    return math.exp(g * math.log(x)) if x > 0.0 else 0.0


for target in ("exact", "double"):
    native[target, exp] = exact_exp
    native[target, log] = exact_log
    native[target, power] = exact_power
