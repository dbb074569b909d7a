"""What stands around a crossbar: converters, input scaling, noise, and the product they enclose."""

from rpusim.periphery.ladder_settings import IOParametersIRDropT, LadderIntegration
from rpusim.periphery.moments import Moments
from rpusim.periphery.pre_post import (
    InputRangeParameter,
    PeripheryQuantizationParameter,
    PrePostProcessingParameter,
    PrePostProcessingParameterQuant,
)
from rpusim.periphery.ranges import (
    ActivationQuantConfig,
    QuantState,
    RangeEstimators,
    WeightQuantConfig,
)
from rpusim.periphery.read_noise import ReadNoise
from rpusim.periphery.settings import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    NonFinite,
    OffsetLaw,
    SliceADC,
    WeightNoiseType,
)

__all__ = [
    "ActivationQuantConfig",
    "AnalogMVType",
    "BoundManagementType",
    "IOParameters",
    "IOParametersIRDropT",
    "InputRangeParameter",
    "LadderIntegration",
    "Moments",
    "NoiseManagementType",
    "NonFinite",
    "OffsetLaw",
    "PeripheryQuantizationParameter",
    "PrePostProcessingParameter",
    "PrePostProcessingParameterQuant",
    "QuantState",
    "RangeEstimators",
    "ReadNoise",
    "SliceADC",
    "WeightNoiseType",
    "WeightQuantConfig",
]
