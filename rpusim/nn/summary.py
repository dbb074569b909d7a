"""The layers of a model as a table: shapes, devices, tiles, parameters; and products, if it is run.

Where an input is given, a copy of the model multiplies zeros of its shape, in evaluation mode, and
each tile's ledger tells how many vectors it was sent. A digital layer that multiplies, one that
could be converted to analog, computes an output vector per product.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpusim.errors import ShapeError
from rpusim.nn.parameter import Parameter
from rpusim.nn.text_table import aligned
from rpusim.tiles.grid import TileGrid
from rpusim.tiles.grid_layout import utilisation

if TYPE_CHECKING:
    from rpusim.nn.module import Module

__all__ = ["summary_table", "table"]

HEAD = ("name", "layer", "shape", "device", "parameters", "tiles", "used")
RUN = ("output", "products", "MACs")
TEXTS = 4  # columns to the left, of text; the others are numbers


def summary_table(model: Module, input_shape: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return what a summary shows, a dict for each layer.

    Parameters
    ----------
    model : Module
        The model; it is not changed.
    input_shape : sequence of int, optional
        Shape of an input, batch first, with which the model is tried.

    Returns
    -------
    list of dict
        ``name``, ``layer``, ``shape``, ``device``; ``analog_parameters`` and
        ``digital_parameters``, each parameter counted once; ``tiles``, ``tile_shapes`` (outputs,
        inputs), ``utilisation`` (None without tiles). With an input also ``output_shape`` of the
        layer's last call (None if it was not called), and for each sample of the input
        ``products``, the vectors that are multiplied with its weights, and ``macs``, the
        multiply-accumulates of these.

    Examples
    --------
    >>> from rpusim import nn
    >>> layer = nn.AnalogLinear(4, 3, rng=2)
    >>> row = summary_table(layer, (2, 5, 4))[0]
    >>> row["output_shape"], row["products"], row["macs"], row["tile_shapes"]
    ((2, 5, 3), 5, 60, [(3, 4)])
    """
    rows: list[dict[str, Any]] = []
    seen: set[int] = set()
    run = None if input_shape is None else _Run(model, input_shape)
    for name, layer in model.named_modules():
        own = layer.own_parameters().values()
        fresh = [p for p in own if id(p) not in seen]
        seen.update(map(id, fresh))
        tiles = _tiles(layer)
        if not (fresh or tiles or not layer.children()):
            continue
        sizes = {True: 0, False: 0}
        for parameter in fresh:
            sizes[not isinstance(parameter, Parameter)] += parameter.size
        measured = bool(tiles) and all(hasattr(tile, "crossbar") for tile in tiles.values())
        row = {
            "name": name,
            "layer": type(layer).__name__,
            "shape": layer.shapes(),
            "device": _devices(layer),
            "analog_parameters": sizes[True],
            "digital_parameters": sizes[False],
            "tiles": len(tiles),
            "tile_shapes": [(tile.out_size, tile.in_size) for tile in tiles.values()],
            "utilisation": utilisation(tiles.values()) if measured else None,
        }
        rows.append(row if run is None else row | run.of(name, layer, tiles))
    return rows


def table(model: Module, input_shape: Sequence[int] | None = None) -> str:
    """Return a table of the layers of a model, and how many parameters are analog and digital.

    Parameters
    ----------
    model : Module
        The model; it is not changed.
    input_shape : sequence of int, optional
        As for `summary_table`.
    """
    rows = summary_table(model, input_shape)
    head: tuple[str, ...] = HEAD if input_shape is None else HEAD + RUN
    texts = [_texts(row, input_shape is not None) for row in rows]
    if not any(row["utilisation"] is not None for row in rows):
        head, texts = _without_tiles(head), [_without_tiles(cells) for cells in texts]
    lines = aligned([head, *texts], TEXTS)
    analog, digital = (sum(row[f"{k}_parameters"] for row in rows) for k in ("analog", "digital"))
    if input_shape is not None:
        macs = sum(row["macs"] for row in rows)
        tiled = sum(row["macs"] for row in rows if row["tiles"])
        lines.append(f"{macs} MACs for each sample, {tiled} analog and {macs - tiled} digital")
    lines.append(f"{analog + digital} parameters, {analog} analog and {digital} digital")
    return "\n".join(lines)


def _texts(row: dict[str, Any], run: bool) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    number = row["analog_parameters"] + row["digital_parameters"]
    cells: tuple[str, ...] = (
        row["name"] or "-",
        row["layer"],
        row["shape"],
        row["device"],
        str(number or ""),
    )
    used = row["utilisation"]
    if used is None:
        cells += ("", "")
    else:
        kinds = Counter(f"{out} x {inp}" for out, inp in row["tile_shapes"]).items()
        cells += (", ".join(f"{n} of {kind}" for kind, n in kinds), f"{100.0 * used:.0f} %")
    if not run:
        return cells
    shape = row["output_shape"]
    output = "" if shape is None else " x ".join(map(str, shape))
    return (*cells, output, str(row["products"] or ""), str(row["macs"] or ""))


def _without_tiles(cells: tuple[str, ...]) -> tuple[str, ...]:
    return cells[: TEXTS + 1] + cells[len(HEAD) :]


def _devices(layer: Module) -> str:
    """Name the devices of a layer's tiles."""
    names = {_device(tile.rpu_config): None for tile in layer.own_tiles().values()}
    if not names and layer.own_parameters():
        return "digital"
    return ", ".join(names)


def _device(config: Any) -> str:
    return type(getattr(config, "device", config)).__name__


def _tiles(layer: Module) -> dict[str, Any]:
    """Return the tiles that a layer holds itself, for a grid those that it consists of."""
    tiles: dict[str, Any] = {}
    for name, tile in layer.own_tiles().items():
        if isinstance(tile, TileGrid):
            tiles |= {f"{name}.{part}": one for part, one in tile.named_tiles().items()}
        else:
            tiles[name] = tile
    return tiles


class _Run:
    """A copy of a model that has multiplied zeros once."""

    def __init__(self, model: Module, input_shape: Sequence[int]) -> None:
        try:
            shape = tuple(int(n) for n in input_shape)
            x = np.zeros(shape, np.float32)
        except (TypeError, ValueError):
            raise ShapeError(
                f"summary: input_shape must be a shape, batch first, got {input_shape!r}."
            ) from None
        if x.size == 0:
            raise ShapeError(f"summary: input_shape must hold at least one sample, got {shape}.")
        self._samples = shape[0] if len(shape) > 1 else 1
        self._outputs: dict[str, list[tuple[int, ...]]] = {}
        twin = copy.deepcopy(model).eval()
        for name, layer in twin.named_modules():
            self._watch(name, layer)
        self._layers = dict(twin.named_modules())
        before = {name: self._reads(layer) for name, layer in self._layers.items()}
        twin(x)
        self._counts = {
            name: {tile: count - before[name][tile] for tile, count in self._reads(layer).items()}
            for name, layer in self._layers.items()
        }

    def _watch(self, name: str, layer: Any) -> None:
        """Let a layer note the shapes that its forward returns."""
        forward, shapes = layer.forward, self._outputs.setdefault(name, [])

        def watched(*args: Any, **options: Any) -> Any:
            y = forward(*args, **options)
            first = y[0] if isinstance(y, tuple) else y
            shapes.append(np.shape(first))
            return y

        layer.forward = watched

    @staticmethod
    def _reads(layer: Module) -> dict[str, int]:
        tiles = _tiles(layer).items()
        return {name: tile.stats.reads_forward for name, tile in tiles if hasattr(tile, "stats")}

    def of(self, name: str, layer: Any, tiles: dict[str, Any]) -> dict[str, Any]:
        """Return what a layer did: its output's shape, products and MACs for each sample."""
        from rpusim.nn.conversion_registry import analog_counterpart

        shapes, counts = self._outputs[name], self._counts[name]
        products = max(counts.values(), default=0)
        macs = sum(n * tiles[t].out_size * tiles[t].in_size for t, n in counts.items())
        if not tiles and any(map(analog_counterpart, type(layer).__mro__)):
            weight = getattr(layer, "weight", None)
            if weight is not None:
                products = sum(int(np.prod(shape)) // weight.shape[0] for shape in shapes)
                macs = products * weight.size
        return {
            "output_shape": shapes[-1] if shapes else None,
            "products": _each(products, self._samples),
            "macs": _each(macs, self._samples),
        }


def _each(total: int, samples: int) -> float:
    """Return a share, an integer where it is one."""
    return total // samples if total % samples == 0 else total / samples
