r"""Converters as scalar laws: rounding, DAC, ADC.

.. math:: Q_\Delta(v) = \Delta\,\mathrm{rint}(v / \Delta), \qquad
          Q_\Delta^\text{stochastic}(v) = \Delta\,\mathrm{rint}(v / \Delta + u - 1/2)

Rounding halves goes to the even neighbour; u is uniform in (0, 1]; clipping follows rounding.
"""

__all__ = ["clip", "convert", "exceeds", "lose", "rint"]

HALF_EVEN = 12582912.0  # 1.5 * 2**23: adding it leaves no fractional bits in a float32


def rint(v):
    """Round to the nearest integer, halves to even; exact for ``abs(v) < 2**22``."""
    return (v + HALF_EVEN) - HALF_EVEN


def convert(v, step, dither):
    """Round `v` to a multiple of `step`, shifted by `dither` steps (u - 1/2, or 0)."""
    return step * rint(v / step + dither)


def clip(v, bound):
    """Limit `v` to ``-bound..bound``."""
    return min(max(v, -bound), bound)


def exceeds(low, high, bound, negative):
    """Return whether results from `low` to `high` exceed a bound; -`bound` if `negative` > 0."""
    return high > bound or (negative > 0.0 and -low > bound)


def lose(v, loss):
    """Return a value, less by its share `loss` if it is negative."""
    return v * (1.0 - loss) if v < 0.0 else v
