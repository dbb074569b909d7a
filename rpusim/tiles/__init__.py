"""Tiles: things with state, made of devices, pulses and periphery."""

from __future__ import annotations

from typing import Any

from rpusim.tiles.analog import AnalogTile
from rpusim.tiles.arguments import as_size
from rpusim.tiles.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    ChopperScope,
    CompoundDevice,
    DifferenceUnitCell,
    DigitalRankUpdateCell,
    DynamicTransferCompound,
    ERiderTransferCompound,
    IntegerMixedPrecisionCompound,
    MixedPrecisionCompound,
    MultiTileResidualCompound,
    OneSidedUnitCell,
    ReferenceSync,
    ReferenceUnitCell,
    ResidualBuffer,
    ResidualTransferCompound,
    TransferCompound,
    UnitCell,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from rpusim.tiles.context import ForwardContext, Gradients
from rpusim.tiles.files import load, save
from rpusim.tiles.floating_point import FloatingPointTile
from rpusim.tiles.grid import TileGrid
from rpusim.tiles.grid_base import tile_kind
from rpusim.tiles.grid_context import GridContext, GridGradients
from rpusim.tiles.grid_layout import exceeds
from rpusim.tiles.inference import InferenceTile
from rpusim.tiles.ledger import Ledger, UpdateReport
from rpusim.tiles.programming_job import ProgrammingResult
from rpusim.tiles.readout import Readout
from rpusim.tiles.settings import (
    BackwardMode,
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    GradientParameter,
    InferenceRPUConfig,
    MappingParameter,
    RPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
    as_config,
)

__all__ = [
    "AnalogTile",
    "BackwardMode",
    "BufferedTransferCompound",
    "ChoppedTransferCompound",
    "ChopperScope",
    "CompoundDevice",
    "DifferenceUnitCell",
    "DigitalRankUpdateCell",
    "DigitalRankUpdateRPUConfig",
    "DynamicTransferCompound",
    "ERiderTransferCompound",
    "FloatingPointRPUConfig",
    "FloatingPointTile",
    "ForwardContext",
    "GradientParameter",
    "Gradients",
    "GridContext",
    "GridGradients",
    "InferenceRPUConfig",
    "InferenceTile",
    "IntegerMixedPrecisionCompound",
    "Ledger",
    "MappingParameter",
    "MixedPrecisionCompound",
    "MultiTileResidualCompound",
    "OneSidedUnitCell",
    "ProgrammingResult",
    "RPUConfig",
    "Readout",
    "ReferenceSync",
    "ReferenceUnitCell",
    "ResidualBuffer",
    "ResidualTransferCompound",
    "SingleRPUConfig",
    "TileGrid",
    "TransferCompound",
    "UnitCell",
    "UnitCellRPUConfig",
    "UpdateReport",
    "VectorUnitCell",
    "VectorUnitCellUpdatePolicy",
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
) -> AnalogTile | TileGrid:
    """Return what a configuration asks for: a tile, or a grid if one tile would be too large.

    The limits are `mapping.max_input_size` and `max_output_size`; 0: none. Parameters are those of
    `AnalogTile`.
    """
    config = as_config(rpu_config, "build_tile")
    sizes = as_size(out_size, "build_tile: out_size"), as_size(in_size, "build_tile: in_size")
    large = exceeds(*sizes, bias, config.mapping)
    kind = TileGrid if large else tile_kind(config)
    return kind(*sizes, config, bias, rng=rng, backend=backend)
