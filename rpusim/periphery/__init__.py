"""What stands around a crossbar: converters, input scaling, noise, and the product they enclose."""

from rpusim.periphery.settings import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    WeightNoiseType,
)

__all__ = [
    "IOParameters",
    "NoiseManagementType",
    "BoundManagementType",
    "WeightNoiseType",
    "AnalogMVType",
]
