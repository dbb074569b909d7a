"""Devices: what stands at a crosspoint, one law per file."""

from rpusim.devices.base import Device, PulsedDevice
from rpusim.devices.constant_step import ConstantStepDevice
from rpusim.devices.drift import DriftParameter, SimpleDriftParameter
from rpusim.devices.ideal import FloatingPointDevice, IdealDevice
from rpusim.devices.linear_step import LinearStepDevice
from rpusim.devices.soft_bounds import SoftBoundsDevice

__all__ = [
    "Device",
    "PulsedDevice",
    "FloatingPointDevice",
    "IdealDevice",
    "ConstantStepDevice",
    "LinearStepDevice",
    "SoftBoundsDevice",
    "DriftParameter",
    "SimpleDriftParameter",
]
