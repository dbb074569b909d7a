"""Grids of few bits, number by number: Python integers for codes, float64 for values.

The step is the float32 next to the one of the formula, as a device would store it.
"""

import math
import struct


def as_float32(value):
    """Return the float32 next to `value`."""
    return struct.unpack("f", struct.pack("f", value))[0]


def uniform(low, high, n_bits, symmetric):
    """Return step, code of 0, lowest and highest code of the grid from `low` to `high`."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        sign = 1 if low < 0.0 else 0
        top = 2 ** (n_bits - sign) - 1
        step = as_float32(max(max(-low, high) / top, 1e-8))
        return step, 0, -sign * 2 ** (n_bits - 1), top
    top = 2**n_bits - 1
    step = as_float32(max((high - low) / top, 1e-8))
    return step, min(round(-low / step), top), 0, top


def quantise(values, grid):
    """Return every value on the grid, and whether its code was not clipped."""
    step, zero, lowest, highest = grid
    rounded, inside = [], []
    for value in values:
        code = round(value / step) + zero  # Python rounds halves to even
        kept = min(max(code, lowest), highest)
        rounded.append(step * (kept - zero))
        inside.append(kept == code)
    return rounded, inside


def logarithmic(values, n_bits):
    """Return all numbers of the logarithmic grid that spans `values`."""
    sizes = [abs(v) for v in values if v != 0.0]
    signed = any(v < 0.0 for v in values)
    count = 2 ** (n_bits - signed) - 1
    ratio = (min(sizes) / max(sizes)) ** (1.0 / (count - 1))
    magnitudes = [max(sizes) * ratio**k for k in range(count)]
    return [0.0, *magnitudes, *([-m for m in magnitudes] if signed else [])]


def nearest(value, grid):
    """Return the number of the grid that is nearest in logarithm, of the sign of `value`."""
    if value == 0.0:
        return 0.0
    same = [g for g in grid if g * value > 0.0]
    return min(same, key=lambda g: abs(math.log(g / value)))
