"""DACs and ADCs in float64: a bound, a step, and rounding to it."""

import math

__all__ = ["bounded", "clipped", "rounded", "step_of"]


def bounded(bound):
    """Return whether a converter has this bound."""
    return 0.0 < bound < math.inf


def step_of(bound, res):
    """Return the step of a converter with range -bound..bound; 0: it does not round."""
    if not bounded(bound) or res <= 0.0:
        return 0.0
    return 2.0 * bound * (1.0 / res if res > 1.0 else res)


def rounded(v, step, dither):
    """Return the nearest multiple of the step, halves to even, after a shift by `dither` steps."""
    return step * round(v / step + dither) if step > 0.0 else v


def clipped(v, bound):
    """Return `v` within -bound..bound; no bound if that is not positive."""
    return min(max(v, -bound), bound) if bound > 0.0 else v
