"""A model as a table of text: one line per layer: shapes, devices, numbers of parameters.

Where layers have tiles, also how many, and which part of these tiles' devices they use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rpusim.nn.parameter import Parameter
from rpusim.tiles.grid import TileGrid
from rpusim.tiles.grid_layout import utilisation

if TYPE_CHECKING:
    from rpusim.nn.module import Module

__all__ = ["table"]

HEAD = ("name", "layer", "shape", "device", "parameters", "tiles", "used")
TEXTS = 4  # columns to the left, of text; the others are numbers


def table(module: Module) -> str:
    """Return a table of the layers of `module`, and how many parameters are analog and digital."""
    rows: list[tuple[str, ...]] = [HEAD]
    counts = {True: 0, False: 0}
    seen: set[int] = set()
    for name, layer in module.named_modules():
        fresh = [p for p in layer.own_parameters().values() if id(p) not in seen]
        seen.update(map(id, fresh))
        for parameter in fresh:
            counts[not isinstance(parameter, Parameter)] += parameter.size
        if fresh or not layer.children():
            number = str(sum(p.size for p in fresh)) if fresh else ""
            kind = type(layer).__name__
            texts = (name or "-", kind, layer.shapes(), _devices(layer))
            rows.append((*texts, number, *_tiles(layer)))
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-2] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    analog, digital = counts[True], counts[False]
    lines.append(f"{analog + digital} parameters, {analog} analog and {digital} digital")
    return "\n".join(lines)


def _cells(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Pad the cells of a row, text to the left and numbers to the right."""
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    numbers = zip(row[TEXTS:], widths[TEXTS:], strict=True)
    return padded[:TEXTS] + [cell.rjust(width) for cell, width in numbers]


def _devices(layer: Module) -> str:
    """Name the devices of a layer's tiles."""
    names = {_device(tile.rpu_config): None for tile in layer.own_tiles().values()}
    if not names and layer.own_parameters():
        return "digital"
    return ", ".join(names)


def _tiles(layer: Module) -> tuple[str, str]:
    """Return how many tiles a layer has, and the fraction of their devices that it uses."""
    tiles: list[Any] = []
    for tile in layer.own_tiles().values():
        tiles += tile.named_tiles().values() if isinstance(tile, TileGrid) else [tile]
    if not tiles or not all(hasattr(tile, "crossbar") for tile in tiles):
        return "", ""
    return str(len(tiles)), f"{100.0 * utilisation(tiles):.0f} %"


def _device(config: Any) -> str:
    return type(getattr(config, "device", config)).__name__
