"""The stages of an analog product as scalar laws: input scale, DAC, noise, ADC.

`rpusim.periphery.mvm` strings them together; the equations stand there.
"""

import math
from typing import NamedTuple

import numpy as np

from rpusim.kernels.random import philox, uniform
from rpusim.periphery.converters import clip, convert
from rpusim.periphery.settings import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
)

__all__ = [
    "Passage",
    "digitise",
    "dithers",
    "passage",
    "prepare",
    "scale_of",
    "settings_at",
]

# the stages that draw; a counter's last word is stage + STAGES * round
INPUT_NOISE, INPUT_ROUND, WEIGHT_NOISE, OUTPUT_NOISE, OUTPUT_ROUND, STAGES = 0, 1, 2, 3, 4, 8


class Passage(NamedTuple):
    """The settings of a product as scalars, normalised: 0 means off."""

    perfect: float
    manage: float  # 1: ABS_MAX, 2: CONSTANT, 0: NONE
    threshold: float
    inp_bound: float
    inp_step: float
    inp_dither: float
    inp_noise: float
    w_noise: float
    out_bound: float
    out_step: float
    out_dither: float
    out_noise: float
    out_scale: float
    negative: float  # whether -out_bound counts as exceeded


def passage(io: IOParameters) -> Passage:
    """Return the settings of one direction as a `Passage`."""
    manage = {NoiseManagementType.ABS_MAX: 1.0, NoiseManagementType.CONSTANT: 2.0}
    managed = manage.get(io.noise_management, 0.0)
    inp_bound, inp_step = _range(io.inp_bound, io.inp_res)
    out_bound, out_step = _range(io.out_bound, io.out_res)
    return Passage(
        perfect=float(io.is_perfect or io.mv_type is AnalogMVType.IDEAL),
        manage=managed,
        threshold=io.nm_thres if managed else 0.0,
        inp_bound=inp_bound,
        inp_step=inp_step,
        inp_dither=float(io.inp_sto_round and inp_step > 0.0),
        inp_noise=io.inp_noise,
        w_noise=io.w_noise,
        out_bound=out_bound,
        out_step=out_step,
        out_dither=float(io.out_sto_round and out_step > 0.0),
        out_noise=io.out_noise,
        out_scale=io.out_scale,
        negative=float(io.bm_test_negative_bound),
    )


def reductions(io: IOParameters) -> int:
    """Return how often bound management may halve the inputs (0: never)."""
    if io.bound_management is BoundManagementType.NONE:
        return 0
    _, step = _range(io.inp_bound, io.inp_res)
    limit = float(io.max_bm_factor)
    if step > 0.0:
        limit = min(limit, io.max_bm_res / step)
    return math.floor(math.log2(limit)) + 1 if limit >= 1.0 else 0


def _range(bound: float, res: float) -> tuple[float, float]:
    """Return (bound, step) of a converter, 0 for none; without a bound there is no step."""
    if bound <= 0.0 or math.isinf(bound):
        return 0.0, 0.0
    if res > 1.0:
        res = 1.0 / res
    return bound, 2.0 * bound * max(res, 0.0)


def settings_at(values):
    """Return a vector of settings as a `Passage`."""
    return Passage(
        values[0], values[1], values[2], values[3], values[4], values[5], values[6],
        values[7], values[8], values[9], values[10], values[11], values[12], values[13],
    )  # fmt: skip


def scale_of(absmax, s):
    """Return the input scale of a vector; 0 means that its result is zero."""
    if s.manage == 0.0:
        return np.float32(1.0)
    if s.manage == 2.0:
        return s.threshold if s.threshold > 0.0 else np.float32(1.0)
    return min(absmax, s.threshold) if s.threshold > 0.0 else absmax


def prepare(v, s, dither, z):
    """Return one input behind the DAC; `v` is already divided by the scale."""
    if s.inp_step > 0.0:
        v = convert(v, s.inp_step, dither)
    if s.inp_bound > 0.0:
        v = clip(v, s.inp_bound)
    return v + s.inp_noise * z


def digitise(a, s, norm, dither, z, z_weight):
    """Return one output behind the ADC, before clipping; `norm` is the input vector's length."""
    a = a + s.w_noise * norm * z_weight + s.out_noise * z
    if s.out_step > 0.0:
        a = convert(a, s.out_step, dither)
    return a


def dithers(line, sample, stage, k0, k1):
    """Return four dithers in (-1/2, 1/2] for lines 4 * `line`.. of a vector."""
    r0, r1, r2, r3 = philox(line, 0, sample, stage, k0, k1)
    return uniform(r0) - 0.5, uniform(r1) - 0.5, uniform(r2) - 0.5, uniform(r3) - 0.5
