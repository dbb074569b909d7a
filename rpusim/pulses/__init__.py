"""From activations, errors and a learning rate to pulses, and from pulses to moved weights."""

from rpusim.pulses.settings import CountLRFeedbackPolicy, PulseType, UpdateParameters

__all__ = ["UpdateParameters", "PulseType", "CountLRFeedbackPolicy"]
