"""Train length and pulse probabilities of each vector pair: the equations of `UpdateParameters`.

Computed in double precision, so that the train length does not depend on a rounding of k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.errors import DataError, StateError
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import host, is_device_array, namespace
from rpusim.kernels.primitives import bits_float, float_bits
from rpusim.kernels.team import largest, member, members
from rpusim.pulses.settings import UpdateParameters

__all__ = ["Plan", "check_pairs", "plan"]

LONGEST = 65536
ROUNDING = 3e-7  # x and d are float32: a k that would be an integer may come out larger by this
INFINITY_BITS = 0x7F800000


class Plan:
    """Train lengths and factors of a batch of vector pairs.

    Attributes
    ----------
    length : ndarray of shape (batch,)
        BL of each pair, 0 where nothing happens.
    x_factor, d_factor : ndarray of shape (batch,)
        B and A: what turns magnitudes into probabilities.
    strength : ndarray of shape (batch,)
        k: the number of pulses that the strongest crosspoint asks for.
    slots, active, saturated : int
        Sum of the lengths; pairs with any; pairs whose k exceeds `desired_bl`.
    table : ndarray of shape (4, batch), float64
        What holds the four arrays.
    """

    def __init__(self, batch: int) -> None:
        self.table = np.empty((4, batch))
        self.slots = self.active = self.saturated = 0

    length = property(lambda self: self.table[0])
    x_factor = property(lambda self: self.table[1])
    d_factor = property(lambda self: self.table[2])
    strength = property(lambda self: self.table[3])


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
    x, d = with_their_largest(x), with_their_largest(d)
    result = Plan(len(x))
    choose = settings.update_bl_management
    managed = settings.update_management or choose
    options = (settings.desired_bl, settings.fixed_bl, managed, choose, settings.um_grad_scale)
    ratio = rate / granularity
    status, slots, active, saturated = kernel(plan_pairs)(x, d, ratio, *options, result.table)
    _refuse(status, x, d)
    result.slots, result.active, result.saturated = slots, active, saturated
    if not (settings.fixed_bl or choose) and result.length.max(initial=0) > LONGEST:
        raise StateError(
            f"update: learning rate {rate:g} needs trains of {result.length.max():.0f} slots, "
            f"the longest is {LONGEST}. Use a smaller rate, or UpdateParameters(fixed_bl=True)."
        )
    return result


def check_pairs(x: np.ndarray, d: np.ndarray) -> None:
    """Raise `DataError` if `x` or `d` holds NaN or infinity, for updates that need no plan."""
    x, d = with_their_largest(x), with_their_largest(d)
    _refuse(kernel(look_at_pairs)(x, d), x, d)


def _refuse(status: int, x: np.ndarray, d: np.ndarray) -> None:
    if status != 0:
        which, values = ("x", x) if status == 1 else ("d", d)
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"update: {which} must be finite, got NaN or infinity in row {row}.")


def with_their_largest(v: Any) -> np.ndarray:
    """Return vectors as they are, or of vectors on a GPU their largest magnitudes, (batch, 1).

    A vector that is not finite has infinity. A plan asks for no more; it waits for the GPU.
    """
    if not is_device_array(v):
        return v
    out = namespace("cuda").empty((len(v), 1), np.float32)
    kernel(largest_rows, "cuda")(0, len(v), v, out)
    return host(out)


def largest_rows(begin, end, values, out):
    """Fill ``out[b, 0]`` with the largest magnitude of vectors `begin`..`end`."""
    for b in range(begin, end):
        top = 0
        for j in range(member(), values.shape[1], members()):
            top = max(top, float_bits(values[b, j]) & 0x7FFFFFFF)
        v = largest(bits_float(np.int32(min(top, INFINITY_BITS))))
        if member() == 0:
            out[b, 0] = v
    return 0


def largest_bits(v):
    """Return the bits of a vector's largest magnitude; at least `INFINITY_BITS` if not finite."""
    top = 0
    for j in range(v.size):
        top = max(top, float_bits(v[j]) & 0x7FFFFFFF)
    return top


def look_at_pairs(x, d):
    """Return 1 or 2 if `x` or `d` is not finite, else 0."""
    for b in range(x.shape[0]):
        if largest_bits(x[b]) >= INFINITY_BITS:
            return 1
        if largest_bits(d[b]) >= INFINITY_BITS:
            return 2
    return 0


def plan_pairs(x, d, ratio, desired, fixed, managed, choose, alpha, table):
    """Fill the table of a plan; `ratio` is rate over granularity.

    Returns (status, slots, active, saturated); status 1 or 2 means that `x` or `d` is not finite.
    """
    slots, active, saturated = 0, 0, 0
    for b in range(x.shape[0]):
        x_top, d_top = largest_bits(x[b]), largest_bits(d[b])
        if x_top >= INFINITY_BITS:
            return 1, 0, 0, 0
        if d_top >= INFINITY_BITS:
            return 2, 0, 0, 0
        x_max = np.float64(bits_float(np.int32(x_top)))
        d_max = np.float64(bits_float(np.int32(d_top))) * alpha
        k = ratio * x_max * d_max
        table[:, b] = 0.0
        table[3, b] = k
        if k == 0.0:
            continue
        length = desired
        if choose:
            length = min(max(math.ceil(k * (1.0 - ROUNDING)), 1), desired)
        elif not fixed and ratio > desired:
            length = max(math.ceil(ratio), 1)
        a = np.sqrt(ratio / length)
        if not choose and not fixed and ratio > desired:
            a = np.float64(1.0)
        balance = np.float64(1.0)
        if managed:
            if k > desired:
                d_max = d_max * desired / k
            balance = np.sqrt(x_max / d_max)
        table[0, b] = length
        table[1, b] = a / balance
        table[2, b] = a * balance
        slots += length
        active += 1
        saturated += k > desired
    return 0, slots, active, saturated
