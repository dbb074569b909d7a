"""Products through wires alone: neither converters' limits nor noise, unless asked for."""

import numpy as np

from rpusim.periphery.ladder import LadderPeriphery
from rpusim.periphery.ladder_settings import IOParametersIRDropT

__all__ = ["KEY", "ladder_io", "run", "steps"]

KEY = (0x12345678, 0x9ABCDEF0)
QUIET = {
    "noise_management": "NONE",
    "bound_management": "NONE",
    "inp_res": 1 / 254,
    "out_res": 0.0,
    "out_bound": 0.0,
    "out_noise": 0.0,
}


def ladder_io(**changes):
    """Return settings of eight bits without an ADC but for its counts."""
    return IOParametersIRDropT(**{**QUIET, **changes})


def run(io, x, w, first=0, training=False, **options):
    """Return what the ADCs say; `options` go to the periphery."""
    digital = np.zeros((2, len(w)), np.float32)
    digital[0] = 1.0
    ladder = LadderPeriphery(io, **options)
    x, w = (np.ascontiguousarray(np.atleast_2d(a), np.float32) for a in (x, w))
    return ladder(x, w, digital, first, KEY, training=training)[0]


def steps(*codes):
    """Return inputs of eight bits by their codes, one vector for each."""
    return np.array(codes, np.float32)[:, None] / np.float32(127.0)
