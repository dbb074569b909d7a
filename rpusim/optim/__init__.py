"""Optimizers (a digital step for digital parameters, pulses for tiles), clipping, schedules."""

from rpusim.optim.adam import AnalogAdam
from rpusim.optim.clipping import clip_grad_norm, clip_grad_value
from rpusim.optim.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    ReduceOnPlateau,
    Schedule,
    StepSchedule,
    WarmUp,
)
from rpusim.optim.sgd import AnalogSGD

__all__ = [
    "AnalogSGD",
    "AnalogAdam",
    "clip_grad_norm",
    "clip_grad_value",
    "Schedule",
    "StepSchedule",
    "ExponentialSchedule",
    "CosineSchedule",
    "WarmUp",
    "ReduceOnPlateau",
]
