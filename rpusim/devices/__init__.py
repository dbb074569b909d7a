"""Devices: what stands at a crosspoint, one law per file."""

from rpusim.devices.base import PulsedDevice
from rpusim.devices.constant_step import ConstantStepDevice
from rpusim.devices.drift import DriftParameter, SimpleDriftParameter
from rpusim.devices.exp_step import ExpStepDevice
from rpusim.devices.hidden_step import HiddenStepDevice
from rpusim.devices.ideal import FloatingPointDevice, IdealDevice
from rpusim.devices.linear_step import LinearStepDevice
from rpusim.devices.lookup_table import LookupTableDevice
from rpusim.devices.parameters import Device
from rpusim.devices.piecewise_step import PiecewiseStepDevice
from rpusim.devices.pow_step import PowStepDevice
from rpusim.devices.pow_step_reference import PowStepReferenceDevice
from rpusim.devices.soft_bounds import SoftBoundsDevice
from rpusim.devices.soft_bounds_pmax import SoftBoundsPmaxDevice
from rpusim.devices.soft_bounds_reference import SoftBoundsReferenceDevice
from rpusim.devices.spread import SpreadLaw, UpDownConvention
from rpusim.devices.write_noise import WriteNoiseDevice

__all__ = [
    "Device",
    "PulsedDevice",
    "WriteNoiseDevice",
    "FloatingPointDevice",
    "IdealDevice",
    "ConstantStepDevice",
    "LinearStepDevice",
    "SoftBoundsDevice",
    "SoftBoundsPmaxDevice",
    "SoftBoundsReferenceDevice",
    "ExpStepDevice",
    "PowStepDevice",
    "PowStepReferenceDevice",
    "PiecewiseStepDevice",
    "LookupTableDevice",
    "HiddenStepDevice",
    "DriftParameter",
    "SimpleDriftParameter",
    "SpreadLaw",
    "UpDownConvention",
]
