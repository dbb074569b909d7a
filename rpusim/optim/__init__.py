"""Optimizers: a digital step for digital parameters, pulses for tiles."""

from rpusim.optim.sgd import AnalogSGD

__all__ = ["AnalogSGD"]
