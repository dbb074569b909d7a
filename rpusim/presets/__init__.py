"""Published devices, settings and whole configurations by name, each with its source.

Call one to get a configuration; keywords replace single values:
``EcRamPreset(forward=IOParameters())``.
"""

from rpusim.presets import compounds
from rpusim.presets.configs import (
    CapacitorPreset,
    EcRamMOPreset,
    EcRamPreset,
    FloatingPoint,
    FloatingPointPreset,
    GokmenVlasovPreset,
    IdealizedPreset,
    PresetIOParameters,
    PresetUpdateParameters,
    ReRamESPreset,
    ReRamSBPreset,
    StandardHWATrainingPreset,
    StandardIOParameters,
)
from rpusim.presets.devices import (
    CapacitorPresetDevice,
    EcRamMOPresetDevice,
    EcRamPresetDevice,
    GokmenVlasovPresetDevice,
    IdealizedPresetDevice,
    PCMPresetDevice,
    ReRamArrayHfO2PresetDevice,
    ReRamArrayOMPresetDevice,
    ReRamESPresetDevice,
    ReRamSBPresetDevice,
)
from rpusim.presets.preset import Preset, preset_names

__all__ = [
    "PresetIOParameters",
    "StandardIOParameters",
    "PresetUpdateParameters",
    "ReRamESPresetDevice",
    "ReRamSBPresetDevice",
    "CapacitorPresetDevice",
    "EcRamPresetDevice",
    "EcRamMOPresetDevice",
    "IdealizedPresetDevice",
    "GokmenVlasovPresetDevice",
    "PCMPresetDevice",
    "ReRamArrayOMPresetDevice",
    "ReRamArrayHfO2PresetDevice",
    "FloatingPoint",
    "FloatingPointPreset",
    "ReRamESPreset",
    "ReRamSBPreset",
    "CapacitorPreset",
    "EcRamPreset",
    "EcRamMOPreset",
    "IdealizedPreset",
    "GokmenVlasovPreset",
    "StandardHWATrainingPreset",
    "Preset",
    "preset_names",
]

# the families of compounds are tables: their names are made from them
globals().update({name: getattr(compounds, name) for name in compounds.__all__})
__all__ += compounds.__all__
