"""From activations, errors and a learning rate to pulses, and from pulses to moved weights."""

from rpusim.pulses.settings import PulseType, UpdateParameters

__all__ = ["UpdateParameters", "PulseType"]
