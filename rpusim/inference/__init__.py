"""Devices that are programmed once: how training prepares for them, and what becomes of them."""

from rpusim.inference.compensation import BaseDriftCompensation, GlobalDriftCompensation
from rpusim.inference.converters import BaseConductanceConverter, SinglePairConductanceConverter
from rpusim.inference.noise_models import BaseNoiseModel, PCMLikeNoiseModel
from rpusim.inference.settings import (
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
    WeightRemapParameter,
    WeightRemapType,
)

__all__ = [
    "BaseConductanceConverter",
    "BaseDriftCompensation",
    "BaseNoiseModel",
    "GlobalDriftCompensation",
    "PCMLikeNoiseModel",
    "SinglePairConductanceConverter",
    "WeightClipParameter",
    "WeightClipType",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightRemapParameter",
    "WeightRemapType",
]
