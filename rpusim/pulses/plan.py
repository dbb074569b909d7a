"""Train length and pulse probabilities of each vector pair: the equations of `UpdateParameters`.

Computed in double precision, so that the train length does not depend on a rounding of k.
"""

import math

import numpy as np

from rpusim.errors import DataError, StateError
from rpusim.kernels.bind import kernel
from rpusim.kernels.primitives import bits_float, float_bits
from rpusim.pulses.settings import UpdateParameters

__all__ = ["Plan", "plan"]

LONGEST = 65536
INFINITY_BITS = 0x7F800000


class Plan:
    """Train lengths and factors of a batch of vector pairs.

    Attributes
    ----------
    length : ndarray of int64, shape (batch,)
        BL of each pair, 0 where nothing happens.
    x_factor, d_factor : ndarray of float64, shape (batch,)
        B and A: what turns magnitudes into probabilities.
    strength : ndarray of float64, shape (batch,)
        k: the number of pulses that the strongest crosspoint asks for.
    """

    def __init__(self, batch: int) -> None:
        self.length = np.empty(batch, np.int64)
        self.x_factor, self.d_factor, self.strength = np.empty((3, batch))


def plan(
    x: np.ndarray, d: np.ndarray, rate: float, granularity: float, settings: UpdateParameters
) -> Plan:
    """Return the `Plan` for inputs `x`, (batch, in), and errors `d`, (batch, out).

    Parameters
    ----------
    x, d : ndarray of float32
        The batch.
    rate : float
        Learning rate as the devices see it, > 0.
    granularity : float
        Weight change of one pulse by which pulses are counted.
    settings : UpdateParameters
        Managements and train length.

    Raises
    ------
    DataError
        If `x` or `d` holds NaN or infinity.
    StateError
        If a train would be longer than 65536 slots.
    """
    result = Plan(len(x))
    managed = settings.update_management or settings.update_bl_management
    status = kernel(plan_pairs)(
        x,
        d,
        rate / granularity,
        settings.desired_bl,
        settings.fixed_bl,
        managed,
        settings.update_bl_management,
        settings.um_grad_scale,
        result.length,
        result.x_factor,
        result.d_factor,
        result.strength,
    )
    if status != 0:
        which = "x" if status == 1 else "d"
        values = x if status == 1 else d
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"update: {which} must be finite, got NaN or infinity in row {row}.")
    if not settings.fixed_bl and result.length.max(initial=0) > LONGEST:
        raise StateError(
            f"update: learning rate {rate:g} needs trains of {result.length.max()} slots, the longest is "
            f"{LONGEST}. Use a smaller rate, or UpdateParameters(fixed_bl=True)."
        )
    return result


def plan_pairs(
    x, d, ratio, desired, fixed, managed, choose, alpha, length, x_factor, d_factor, strength
):
    """Fill the plan; return 1 or 2 if `x` or `d` is not finite. `ratio` is rate over granularity."""
    for b in range(x.shape[0]):
        x_top, d_top = 0, 0
        for j in range(x.shape[1]):
            x_top = max(x_top, float_bits(x[b, j]) & 0x7FFFFFFF)
        for i in range(d.shape[1]):
            d_top = max(d_top, float_bits(d[b, i]) & 0x7FFFFFFF)
        if x_top >= INFINITY_BITS:
            return 1
        if d_top >= INFINITY_BITS:
            return 2
        x_max = np.float64(bits_float(np.int32(x_top)))
        d_max = np.float64(bits_float(np.int32(d_top))) * alpha
        k = ratio * x_max * d_max
        strength[b] = k
        length[b], x_factor[b], d_factor[b] = 0, 0.0, 0.0
        if k == 0.0:
            continue
        slots = desired
        if choose:
            slots = min(max(math.ceil(k - 1e-9 * k), 1), desired)
        elif not fixed and ratio > desired:
            slots = max(math.ceil(ratio), 1)
        a = math.sqrt(ratio / slots)
        if not choose and not fixed and ratio > desired:
            a = np.float64(1.0)
        balance = np.float64(1.0)
        if managed:
            if k > desired:
                d_max = d_max * desired / k
            balance = math.sqrt(x_max / d_max)
        length[b] = slots
        d_factor[b] = a * balance
        x_factor[b] = a / balance
    return 0
