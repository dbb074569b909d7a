"""rpusim simulates analog in-memory computing: resistive crossbars that multiply and learn.

The public names, by floor: configurations and errors, devices, pulses, periphery, tiles, layers,
studies.
"""

from rpusim import nn, optim, presets, testing
from rpusim.config import Choice, Config, param, per_device
from rpusim.config_files import load_config, save_config
from rpusim.devices import (
    ConstantStepDevice,
    Device,
    DriftParameter,
    ExpStepDevice,
    FloatingPointDevice,
    HiddenStepDevice,
    IdealDevice,
    LinearStepDevice,
    LookupTableDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SimpleDriftParameter,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    SpreadLaw,
    UpDownConvention,
    WriteNoiseDevice,
)
from rpusim.errors import (
    BackendError,
    ClippedWeightsWarning,
    ConfigError,
    DataError,
    RpusimError,
    ShapeError,
    StateError,
)
from rpusim.kernels.backend import get_num_threads, set_num_threads
from rpusim.periphery import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    WeightNoiseType,
)
from rpusim.pulses import PulseType, UpdateParameters
from rpusim.tiles import (
    AnalogTile,
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    FloatingPointTile,
    MappingParameter,
    RPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
    load,
    save,
)

__version__ = "0.1.0"

__all__ = [
    # errors and configurations
    "RpusimError",
    "ConfigError",
    "ShapeError",
    "DataError",
    "StateError",
    "BackendError",
    "ClippedWeightsWarning",
    "Config",
    "Choice",
    "param",
    "per_device",
    "load_config",
    "save_config",
    "get_num_threads",
    "set_num_threads",
    # devices
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
    # pulses
    "UpdateParameters",
    "PulseType",
    # periphery
    "IOParameters",
    "NoiseManagementType",
    "BoundManagementType",
    "WeightNoiseType",
    "AnalogMVType",
    # tiles
    "RPUConfig",
    "SingleRPUConfig",
    "UnitCellRPUConfig",
    "DigitalRankUpdateRPUConfig",
    "FloatingPointRPUConfig",
    "MappingParameter",
    "AnalogTile",
    "FloatingPointTile",
    "save",
    "load",
    # layers and studies
    "nn",
    "optim",
    "presets",
    "testing",
]
