"""Whole tiles of several devices: pairs, Tiki-Taka and its family, mixed precision.

Each family is a table over devices, as published with the method; all read through
`PresetIOParameters`, transfers without managements.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from rpusim.presets import devices
from rpusim.presets.configs import PresetIOParameters, PresetUpdateParameters
from rpusim.presets.preset import Preset
from rpusim.presets.sources import (
    GOKMEN_2016,
    GOKMEN_2020,
    GOKMEN_2021,
    GONG_2018,
    KIM_2019,
    LI_2018,
    NANDAKUMAR_2020,
    RASCH_2019,
    RASCH_2024,
    TANG_2018,
)
from rpusim.tiles.compounds import (
    ChoppedTransferCompound,
    CompoundDevice,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from rpusim.tiles.settings import RPUConfig

__all__ = ["PCMPresetUnitCell", "PCMPreset"]  # and those of the families, added below

#: device -> (preset of the device, papers)
DEVICES: dict[str, tuple[Preset, tuple[str, ...]]] = {
    "ReRamES": (devices.ReRamESPresetDevice, (GONG_2018,)),
    "ReRamSB": (devices.ReRamSBPresetDevice, (GONG_2018,)),
    "Capacitor": (devices.CapacitorPresetDevice, (LI_2018,)),
    "EcRam": (devices.EcRamPresetDevice, (TANG_2018,)),
    "EcRamMO": (devices.EcRamMOPresetDevice, (KIM_2019,)),
    "Idealized": (devices.IdealizedPresetDevice, (GOKMEN_2016, RASCH_2019)),
}

#: device -> (fast_lr, auto_granularity, pulses of an update) of TTv2
TTV2 = {
    "ReRamES": (0.5, 1000.0, 31),
    "ReRamSB": (0.5, 1000.0, 31),
    "Capacitor": (0.1, 1000.0, 31),
    "EcRam": (0.1, 500.0, 100),
    "EcRamMO": (0.1, 500.0, 100),
    "Idealized": (0.1, 500.0, 100),
}

#: device -> (fast_lr, auto_granularity, pulses of an update, in_chop_prob) of c-TTv2
CHOPPED = {
    "ReRamES": (0.5, 1000.0, 31, 0.01),
    "ReRamSB": (0.5, 1000.0, 31, 0.01),
    "Capacitor": (0.1, 1000.0, 31, 0.01),
    "EcRam": (1.0, 500.0, 100, 0.01),
    "EcRamMO": (0.1, 500.0, 100, 0.001),
    "Idealized": (0.1, 500.0, 100, 0.001),
}

#: device -> (fast_lr, auto_granularity, pulses of an update, in_chop_prob, tail_weightening): AGAD
AGAD = {
    "ReRamES": (0.5, 1000.0, 31, 0.02, 5.0),
    "ReRamSB": (0.5, 1000.0, 31, 0.02, 5.0),
    "Capacitor": (0.1, 1000.0, 31, 0.01, 20.0),
    "EcRam": (0.1, 750.0, 31, 0.005, 50.0),
    "EcRamMO": (0.1, 500.0, 100, 0.005, 50.0),
    "Idealized": (0.1, 500.0, 100, 0.005, 50.0),
}


def _read() -> Any:
    return PresetIOParameters(bound_management="NONE", noise_management="NONE")


def _one_pulse() -> Any:
    return PresetUpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)


def _made(value: Any) -> Any:
    """Return a value, or what it makes, also of the devices in a tuple."""
    if isinstance(value, tuple):
        return tuple(map(_made, value))
    return value() if callable(value) else value


def _device(kind: type[CompoundDevice], settings: dict[str, Any]) -> CompoundDevice:
    return kind(**{name: _made(value) for name, value in settings.items()})


def _tile(
    name: str,
    about: str,
    source: tuple[str, ...],
    kind: type[CompoundDevice],
    pulses: int = 31,
    **settings: Any,
) -> None:
    """Make the preset of a whole tile, under its name in this module."""
    globals()[name] = Preset(
        name,
        RPUConfig,
        about,
        source,
        device=partial(_device, kind, settings),  # made when it is called
        forward=PresetIOParameters,
        backward=PresetIOParameters,
        update=partial(PresetUpdateParameters, desired_bl=pulses),
    )
    __all__.append(name)


def _symmetric(name: str) -> Any:
    """Return what makes a device of a transfer, its symmetry point at 0 if it can be."""
    device = DEVICES[name][0]
    return partial(device, subtract_symmetry_point=True) if name == "ReRamSB" else device


PCMPresetUnitCell = Preset(
    "PCMPresetUnitCell",
    OneSidedUnitCell,
    "A pair of one-sided PCM devices, refreshed after every batch.",
    (NANDAKUMAR_2020,),
    unit_cell_devices=partial(_made, (devices.PCMPresetDevice,) * 2),
    refresh_every=1,
    refresh_forward=PresetIOParameters,
    refresh_update=PresetUpdateParameters,
)

PCMPreset = Preset(
    "PCMPreset",
    RPUConfig,
    f"Stochastic-pulse SGD on pairs. {PCMPresetUnitCell.about}",
    (NANDAKUMAR_2020,),
    device=PCMPresetUnitCell,
    forward=PresetIOParameters,
    backward=PresetIOParameters,
    update=PresetUpdateParameters,
)

for _count in (2, 4):
    for _name, (_one, _papers) in DEVICES.items():
        _tile(
            f"{_name}{_count}Preset",
            f"{_count} devices per crosspoint, of which a batch goes to a random one.",
            _papers,
            VectorUnitCell,
            unit_cell_devices=(_one,) * _count,
            update_policy="SINGLE_RANDOM",
        )

for _name, (_, _papers) in DEVICES.items():
    _pair: dict[str, Any] = {
        "unit_cell_devices": (_symmetric(_name),) * 2,
        "transfer_forward": _read,
    }
    _buffered = {**_pair, "transfer_update": _one_pulse, "auto_scale": True}
    _tile(
        f"TikiTaka{_name}Preset",
        "Tiki-Taka: gradients on a fast crossbar, of which a column a batch goes to a slow one.",
        (GOKMEN_2020, *_papers),
        TransferCompound,
        transfer_update=PresetUpdateParameters,
        **_pair,
    )
    _rate, _granularity, _pulses = TTV2[_name]
    _tile(
        f"TTv2{_name}Preset",
        "Tiki-Taka with a digital buffer between the crossbars (version 2).",
        (GOKMEN_2021, *_papers),
        ChoppedTransferCompound,
        _pulses,
        fast_lr=_rate,
        auto_granularity=_granularity,
        in_chop_prob=0.0,
        **_buffered,
    )
    _rate, _granularity, _pulses, _chop = CHOPPED[_name]
    _tile(
        f"ChoppedTTv2{_name}Preset",
        "Tiki-Taka with a digital buffer and choppers, which average an offset out.",
        (RASCH_2024, *_papers),
        ChoppedTransferCompound,
        _pulses,
        fast_lr=_rate,
        auto_granularity=_granularity,
        in_chop_prob=_chop,
        **_buffered,
    )
    _rate, _granularity, _pulses, _chop, _tail = AGAD[_name]
    _tile(
        f"AGAD{_name}Preset",
        "Analog gradient accumulation with a dynamic reference, found while training.",
        (RASCH_2024, *_papers),
        DynamicTransferCompound,
        _pulses,
        fast_lr=_rate,
        auto_granularity=_granularity,
        in_chop_prob=_chop,
        tail_weightening=_tail,
        **_buffered,
    )

_MIXED: dict[str, tuple[Preset, tuple[str, ...]]] = {
    **DEVICES,
    "GokmenVlasov": (devices.GokmenVlasovPresetDevice, (GOKMEN_2016,)),
    "PCM": (PCMPresetUnitCell, ()),
}
for _name, (_one, _papers) in _MIXED.items():
    _tile(
        f"MixedPrecision{_name}Preset",
        "Mixed precision: gradients add up in digital, whole steps go to the devices.",
        (NANDAKUMAR_2020, *_papers),
        MixedPrecisionCompound,
        device=_one,
    )
