"""Tiles: things with state, made of devices, pulses and periphery."""

from __future__ import annotations

from typing import Any

from rpusim.tiles.analog import AnalogTile
from rpusim.tiles.floating_point import FloatingPointTile
from rpusim.tiles.ledger import Ledger, UpdateReport
from rpusim.tiles.settings import (
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    MappingParameter,
    RPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
)
from rpusim.tiles.state import load, save

__all__ = [
    "AnalogTile",
    "DigitalRankUpdateRPUConfig",
    "FloatingPointRPUConfig",
    "FloatingPointTile",
    "Ledger",
    "MappingParameter",
    "RPUConfig",
    "SingleRPUConfig",
    "UnitCellRPUConfig",
    "UpdateReport",
    "build_tile",
    "load",
    "save",
]


def build_tile(
    out_size: int,
    in_size: int,
    rpu_config: Any = None,
    bias: bool = False,
    *,
    rng: Any = None,
    backend: str = "cpu",
) -> AnalogTile:
    """Return the tile that a configuration asks for; parameters as for `AnalogTile`."""
    kind = FloatingPointTile if isinstance(rpu_config, FloatingPointRPUConfig) else AnalogTile
    return kind(out_size, in_size, rpu_config, bias, rng=rng, backend=backend)
