"""Measured and idealised devices."""

from rpusim.devices import ConstantStepDevice, LinearStepDevice
from rpusim.presets.preset import Preset
from rpusim.presets.sources import GOKMEN_2016, KIM_2019, LI_2018, RASCH_2019, TANG_2018

__all__ = [
    "CapacitorPresetDevice",
    "EcRamPresetDevice",
    "EcRamMOPresetDevice",
    "IdealizedPresetDevice",
    "GokmenVlasovPresetDevice",
]

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
