"""Devices that are programmed once: how training prepares for them, and what becomes of them."""

from rpusim.inference.compensation import (
    AffineDriftCompensation,
    BaseDriftCompensation,
    GlobalDriftCompensation,
    GlobalDriftCompensationWithExactReference,
    PerColumnDriftCompensation,
    ProbeType,
)
from rpusim.inference.conductance_moments import conductance_moments
from rpusim.inference.converters import (
    BaseConductanceConverter,
    DualPairConductanceConverter,
    NPairConductanceConverter,
    SinglePairConductanceConverter,
)
from rpusim.inference.custom_pair import CustomPairConductanceConverter
from rpusim.inference.hermes import HermesNoiseModel
from rpusim.inference.noise_models import BaseNoiseModel, ReadNoiseTime
from rpusim.inference.pcm_like import CustomDriftPCMLikeNoiseModel, PCMLikeNoiseModel
from rpusim.inference.programmed import ProgrammedDevices
from rpusim.inference.reram_cmo import ReRamCMONoiseModel
from rpusim.inference.reram_wan import ReRamWan2022NoiseModel
from rpusim.inference.settings import (
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
    WeightRemapParameter,
    WeightRemapType,
)
from rpusim.inference.single_device import (
    FusionConductanceConverter,
    SingleDeviceConductanceConverter,
)
from rpusim.inference.state_independent import StateIndependentNoiseModel

__all__ = [
    "AffineDriftCompensation",
    "BaseConductanceConverter",
    "BaseDriftCompensation",
    "BaseNoiseModel",
    "CustomDriftPCMLikeNoiseModel",
    "CustomPairConductanceConverter",
    "DualPairConductanceConverter",
    "FusionConductanceConverter",
    "GlobalDriftCompensation",
    "GlobalDriftCompensationWithExactReference",
    "HermesNoiseModel",
    "NPairConductanceConverter",
    "PCMLikeNoiseModel",
    "PerColumnDriftCompensation",
    "ProbeType",
    "ProgrammedDevices",
    "ReRamCMONoiseModel",
    "ReRamWan2022NoiseModel",
    "ReadNoiseTime",
    "SingleDeviceConductanceConverter",
    "SinglePairConductanceConverter",
    "StateIndependentNoiseModel",
    "WeightClipParameter",
    "WeightClipType",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightRemapParameter",
    "WeightRemapType",
    "conductance_moments",
]
