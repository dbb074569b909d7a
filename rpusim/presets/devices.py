"""Measured and idealised devices."""

from rpusim.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    SoftBoundsReferenceDevice,
)
from rpusim.presets.preset import Preset
from rpusim.presets.sources import (
    GOKMEN_2016,
    GONG_2018,
    GONG_2022,
    KIM_2019,
    LI_2018,
    NANDAKUMAR_2020,
    RASCH_2019,
    TANG_2018,
)

__all__ = [
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
]

ReRamESPresetDevice = Preset(
    "ReRamESPresetDevice",
    ExpStepDevice,
    "Filamentary ReRAM, exponential steps: strong noise of pulses and of writes.",
    (GONG_2018,),
    dw_min=0.00135,
    dw_min_dtod=0.2,
    dw_min_std=5.0,
    up_down=0.259359,
    up_down_dtod=0.05,
    w_max=1.0,
    w_min=-1.0,
    A_up=-1.18445,
    A_down=-0.081404,
    gamma_up=5.0,
    gamma_down=5.0,
    a=-0.5,
    b=-0.5,
    write_noise_std=75.0,
)

ReRamSBPresetDevice = Preset(
    "ReRamSBPresetDevice",
    SoftBoundsReferenceDevice,
    "The same ReRAM data as soft bounds, shifted so that the symmetry point is 0.",
    (GONG_2018,),
    dw_min=0.002,
    dw_min_std=3.75,
    w_max=1.25,
    w_max_dtod=0.3 / 1.25,
    w_min=-0.75,
    w_min_dtod=0.3 / 0.75,
    write_noise_std=56,
)

CapacitorPresetDevice = Preset(
    "CapacitorPresetDevice",
    LinearStepDevice,
    "Capacitor cell: nearly linear steps, slow leakage by decay at every optimizer step.",
    (LI_2018,),
    dw_min=0.005,
    dw_min_dtod=0.1,
    up_down_dtod=0.06,
    w_max=1.0,
    w_min=-1.0,
    w_max_dtod=0.07,
    w_min_dtod=0.07,
    gamma_up=0.05,
    gamma_down=0.05,
    gamma_up_dtod=0.01,
    gamma_down_dtod=0.01,
    mult_noise=False,
    lifetime=1e6,
    lifetime_dtod=0.3,
)

EcRamPresetDevice = Preset(
    "EcRamPresetDevice",
    LinearStepDevice,
    "Lithium electrochemical cell: linear steps, range shifted so that the symmetry point is 0.",
    (TANG_2018,),
    dw_min=0.002,
    dw_min_dtod=0.1,
    w_max=1.1724,
    w_min=-0.8276,
    w_max_dtod=0.05,
    w_min_dtod=0.05,
    gamma_up=0.1153,
    gamma_down=0.5085,
)

EcRamMOPresetDevice = Preset(
    "EcRamMOPresetDevice",
    LinearStepDevice,
    "Metal-oxide electrochemical cell: about 7000 small, noisy steps.",
    (KIM_2019,),
    dw_min=0.00028214,
    dw_min_dtod=0.1,
    dw_min_std=2.0,
    w_max=1.1714,
    w_min=-0.8286,
    w_max_dtod=0.05,
    w_min_dtod=0.05,
    gamma_up=0.4152,
    gamma_down=0.7342,
)

IdealizedPresetDevice = Preset(
    "IdealizedPresetDevice",
    ConstantStepDevice,
    "Constant steps, 10000 states, no spread of the up/down asymmetry.",
    (GOKMEN_2016, RASCH_2019),
    dw_min=0.0002,
    up_down_dtod=0.0,
    w_max=1.0,
    w_min=-1.0,
)

GokmenVlasovPresetDevice = Preset(
    "GokmenVlasovPresetDevice",
    ConstantStepDevice,
    "Constant steps with the published spreads, scaled to weights in -1..1.",
    (GOKMEN_2016,),
    dw_min=0.0016,
    w_max=1.0,
    w_min=-1.0,
)

PCMPresetDevice = Preset(
    "PCMPresetDevice",
    ExpStepDevice,
    "Phase-change memory, one direction only, noise that grows with the weight; for pairs.",
    (NANDAKUMAR_2020,),
    dw_min=0.01,
    dw_min_dtod=0.2,
    dw_min_std=0.6,
    dw_min_std_add=0.042,
    dw_min_std_slope=0.108,
    up_down_dtod=0.05,
    w_max=2.0,
    w_max_dtod=0.1,
    w_min=0.0,
    w_min_dtod=0.0,
    A_up=-27.235,
    A_down=-2.235,
    gamma_up=2.5,
    gamma_down=2.5,
    a=-1.0,
    b=0.0,
    reset=0.01,
    reset_dtod=0.02,
)

ReRamArrayOMPresetDevice = Preset(
    "ReRamArrayOMPresetDevice",
    SoftBoundsReferenceDevice,
    "Array of 14 nm ReRAM, optimised material, symmetry point subtracted: about 20 states.",
    (GONG_2022,),
    dw_min=0.0949,
    dw_min_dtod=0.7829,
    dw_min_dtod_log_normal=True,
    dw_min_std=0.4158,
    w_max=1.0,
    w_max_dtod=0.3499,
    w_min=-1.0,
    w_min_dtod=0.5695,
    write_noise_std=1.4113,
    corrupt_devices_range=0.01,
    reference_std=0.05,
    subtract_symmetry_point=True,
)

ReRamArrayHfO2PresetDevice = Preset(
    "ReRamArrayHfO2PresetDevice",
    SoftBoundsReferenceDevice,
    "Array of 14 nm ReRAM, hafnium oxide, symmetry point subtracted: about 4 states.",
    (GONG_2022,),
    dw_min=0.4622,
    dw_min_dtod=0.7125,
    dw_min_dtod_log_normal=True,
    dw_min_std=0.2174,
    w_max=1.0,
    w_max_dtod=0.4295,
    w_min=-1.0,
    w_min_dtod=0.5990,
    write_noise_std=0.5841,
    corrupt_devices_range=0.01,
    reference_std=0.05,
    subtract_symmetry_point=True,
)
