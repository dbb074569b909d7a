"""Settings of the periphery and of the update, and whole tiles with one device per crosspoint."""

from rpusim.inference import WeightClipParameter, WeightRemapParameter
from rpusim.periphery import InputRangeParameter, IOParameters, PrePostProcessingParameter
from rpusim.presets import devices
from rpusim.presets.preset import Preset
from rpusim.presets.sources import GOKMEN_2016, NANDAKUMAR_2019, RASCH_2023
from rpusim.pulses import UpdateParameters
from rpusim.tiles.settings import (
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    MappingParameter,
    RPUConfig,
)

__all__ = [
    "PresetIOParameters",
    "StandardIOParameters",
    "PresetUpdateParameters",
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
]

PresetIOParameters = Preset(
    "PresetIOParameters",
    IOParameters,
    "7-bit DAC, 9-bit ADC, output bound 20, output noise 0.1, both managements on.",
    out_bound=20.0,
    out_noise=0.1,
)

StandardIOParameters = Preset(
    "StandardIOParameters",
    IOParameters,
    "8-bit DAC and ADC, output bound 10, output noise 0.04, both managements on.",
    (RASCH_2023,),
    inp_res=1 / 254,
    out_bound=10.0,
    out_noise=0.04,
    out_res=1 / 254,
)

PresetUpdateParameters = Preset(
    "PresetUpdateParameters",
    UpdateParameters,
    "Stochastic trains of at most 31 slots with both managements: the library's defaults.",
    (GOKMEN_2016,),
)

FloatingPoint = Preset(
    "FloatingPoint",
    FloatingPointRPUConfig,
    "Exact products and updates: what the others aspire to.",
)

FloatingPointPreset = Preset(
    "FloatingPointPreset",
    InferenceRPUConfig,
    "A tile for inference with exact products, of any size: for weight errors alone.",
    mapping=lambda: MappingParameter(max_input_size=0, max_output_size=0),
    forward=lambda: IOParameters(is_perfect=True),
)


def _single(name: str, device: Preset) -> Preset:
    return Preset(
        name,
        RPUConfig,
        f"Stochastic-pulse SGD, one device per crosspoint. {device.about}",
        device.source,
        device=device,
        forward=PresetIOParameters,
        backward=PresetIOParameters,
        update=PresetUpdateParameters,
    )


ReRamESPreset = _single("ReRamESPreset", devices.ReRamESPresetDevice)
ReRamSBPreset = _single("ReRamSBPreset", devices.ReRamSBPresetDevice)
CapacitorPreset = _single("CapacitorPreset", devices.CapacitorPresetDevice)
EcRamPreset = _single("EcRamPreset", devices.EcRamPresetDevice)
EcRamMOPreset = _single("EcRamMOPreset", devices.EcRamMOPresetDevice)
IdealizedPreset = _single("IdealizedPreset", devices.IdealizedPresetDevice)
GokmenVlasovPreset = _single("GokmenVlasovPreset", devices.GokmenVlasovPresetDevice)

StandardHWATrainingPreset = Preset(
    "StandardHWATrainingPreset",
    InferenceRPUConfig,
    "Hardware-aware training: learned input range and output scales, wires, read noise of PCM.",
    (RASCH_2023, NANDAKUMAR_2019),
    forward=IOParameters(
        inp_res=254.0,
        out_bound=10.0,
        out_noise=0.04,
        out_res=254.0,
        bound_management="NONE",
        noise_management="CONSTANT",
        nm_thres=1.0,
        w_noise=0.0175,
        w_noise_type="PCM_READ",
        ir_drop=1.0,
    ),
    pre_post=PrePostProcessingParameter(input_range=InputRangeParameter(enable=True)),
    mapping=MappingParameter(
        weight_scaling_omega=1.0,
        weight_scaling_columnwise=True,
        learn_out_scaling=True,
        out_scaling_columnwise=True,
        max_output_size=0,
    ),
    clip=WeightClipParameter(type="FIXED_VALUE", fixed_value=1.0),
    remap=WeightRemapParameter(type="CHANNELWISE_SYMMETRIC"),
)
