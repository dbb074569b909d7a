"""A model as a table of text: one line per layer: shapes, devices, numbers of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rpusim.nn.parameter import Parameter

if TYPE_CHECKING:
    from rpusim.nn.module import Module

__all__ = ["table"]

HEAD = ("name", "layer", "shape", "device", "parameters")


def table(module: Module) -> str:
    """Return a table of the layers of `module`, and how many parameters are analog and digital."""
    rows, counts = [HEAD], {True: 0, False: 0}
    seen: set[int] = set()
    for name, layer in module.named_modules():
        fresh = [p for p in layer.own_parameters().values() if id(p) not in seen]
        seen.update(map(id, fresh))
        for parameter in fresh:
            counts[not isinstance(parameter, Parameter)] += parameter.size
        if fresh or not layer.children():
            number = str(sum(p.size for p in fresh)) if fresh else ""
            kind = type(layer).__name__
            rows.append((name or "-", kind, layer.shapes(), _devices(layer), number))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    analog, digital = counts[True], counts[False]
    lines.append(f"{analog + digital} parameters, {analog} analog and {digital} digital")
    return "\n".join(lines)


def _cells(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Pad the cells of a row, text to the left and the number to the right."""
    *texts, number = row
    *left, right = widths
    return [t.ljust(w) for t, w in zip(texts, left, strict=True)] + [number.rjust(right)]


def _devices(layer: Module) -> str:
    """Name the devices of a layer's tiles."""
    names = {_device(tile.rpu_config): None for tile in layer.own_tiles().values()}
    if not names and layer.own_parameters():
        return "digital"
    return ", ".join(names)


def _device(config: Any) -> str:
    return type(getattr(config, "device", config)).__name__
