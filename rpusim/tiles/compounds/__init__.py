"""Several crossbars that act as one: pairs, Tiki-Taka and its family, mixed precision."""

from rpusim.tiles.compounds.buffered_transfer import BufferedTransferCompound
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.chopped_transfer import ChoppedTransferCompound
from rpusim.tiles.compounds.dynamic_transfer import DynamicTransferCompound
from rpusim.tiles.compounds.integer_mixed_precision import IntegerMixedPrecisionCompound
from rpusim.tiles.compounds.mixed_precision import DigitalRankUpdateCell, MixedPrecisionCompound
from rpusim.tiles.compounds.multi_tile import MultiTileResidualCompound
from rpusim.tiles.compounds.one_sided import DifferenceUnitCell, OneSidedUnitCell
from rpusim.tiles.compounds.residual import ResidualBuffer, ResidualTransferCompound
from rpusim.tiles.compounds.residual_tracking import (
    ChopperScope,
    ERiderTransferCompound,
    ReferenceSync,
)
from rpusim.tiles.compounds.transfer import TransferCompound
from rpusim.tiles.compounds.unit_cell import CompoundDevice, UnitCell, build_box
from rpusim.tiles.compounds.vector import (
    ReferenceUnitCell,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)

__all__ = [
    "BufferedTransferCompound",
    "Cell",
    "ChoppedTransferCompound",
    "ChopperScope",
    "CompoundDevice",
    "DifferenceUnitCell",
    "DigitalRankUpdateCell",
    "DynamicTransferCompound",
    "ERiderTransferCompound",
    "IntegerMixedPrecisionCompound",
    "MixedPrecisionCompound",
    "MultiTileResidualCompound",
    "OneSidedUnitCell",
    "ReferenceSync",
    "ReferenceUnitCell",
    "ResidualBuffer",
    "ResidualTransferCompound",
    "TransferCompound",
    "UnitCell",
    "VectorUnitCell",
    "VectorUnitCellUpdatePolicy",
    "build_box",
]
