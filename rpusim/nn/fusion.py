"""Files of conductances for hardware with one device per weight, and back: the fusion chip.

A file is comma-separated text, a line each:

1. ``rpusim-fusion`` and the version of the format;
2. numbers of the analog layers among all layers, from 1;
3. classes of the layers; 4. numbers of weights; 5. outputs; 6. inputs; 7. names;
8. for each layer its conductances, in uS: tile after tile, device after device, row after row;
9. for each layer the signs of its weights, in the same order;
10. for each layer the uS of a weight of 1, an output of a tile after another.

Lines 2 to 8 are those of the established format, whose files can be read too, with `params`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.inference import BaseConductanceConverter, FusionConductanceConverter
from rpusim.nn.containers import Sequential
from rpusim.nn.module import Module

__all__ = ["FusionExport", "fusion_export", "fusion_import"]

MARK, VERSION = "rpusim-fusion", "1"
HEADS = ("ids", "classes", "numbers of weights", "outputs", "inputs", "names")


class FusionExport(NamedTuple):
    """What `fusion_export` returns.

    Attributes
    ----------
    conductances : list of ndarray
        Of each analog layer, flat, in uS.
    params : list of list of dict
        Of each layer, for each of its tiles: what the converter needs to return to weights, with
        ``weights``, the weights themselves.
    state : dict of str to ndarray
        The model's `state_dict`.
    """

    conductances: list[np.ndarray]
    params: list[list[dict[str, Any]]]
    state: dict[str, np.ndarray]


def fusion_export(
    model: Module,
    g_converter: BaseConductanceConverter | None = None,
    file_name: str | os.PathLike[str] | None = None,
) -> FusionExport:
    """Convert the weights of all analog layers to conductances, and write them to a file.

    The weights are those to be programmed, as devices hold them: without digital scales and bias.

    Parameters
    ----------
    model : Module
        With analog layers.
    g_converter : BaseConductanceConverter, optional
        Default: `FusionConductanceConverter`, one device for the magnitude of a weight.
    file_name : path-like, optional
        Where to write, if it can be read back: a file holds one device per weight.

    Returns
    -------
    FusionExport

    Raises
    ------
    StateError
        If the model has no analog layers.
    """
    converter = _converter(g_converter, "fusion_export")
    layers = _layers(model, "fusion_export")
    if file_name is not None and not isinstance(converter, FusionConductanceConverter):
        raise ConfigError(
            "fusion_export: a file holds one device for the magnitude of a weight; use a "
            f"FusionConductanceConverter, got {converter!r}."
        )
    conductances, params = [], []
    for _, layer, _ in layers:
        flat, own = [], []
        for tile in _tiles(layer):
            w = _held(tile)
            g, back = converter.convert_to_conductances(w)
            flat.append(np.ravel(g))
            own.append({**back, "weights": w})
        conductances.append(np.concatenate(flat))
        params.append(own)
    if file_name is not None:
        _write(Path(file_name), model, conductances, params)
    return FusionExport(conductances, params, model.state_dict())


def fusion_import(
    data: Any,
    model: Module,
    params: list[list[dict[str, Any]]] | None = None,
    state_dict: dict[str, np.ndarray] | None = None,
    g_converter: BaseConductanceConverter | None = None,
) -> Module:
    r"""Set the weights of a model from conductances, those that a chip really holds for example.

    With the weights that they were made from (in `params`), each output is scaled by the factor b
    that brings its signed conductances closest to its weights, :math:`\min_b \sum_j (w_j - b\,
    g_j)^2`, so a common factor of the chip is taken out; without, by the scale in the file.

    Parameters
    ----------
    data : path-like, FusionExport or list of array_like
        A file, or conductances of each layer.
    model : Module
        Built like the exported one; it gets the weights, and enters evaluation mode.
    params : list of list of dict, optional
        Those of the export; needed unless `data` is a file of this version or a `FusionExport`.
    state_dict : dict of str to ndarray, optional
        Loaded first, for digital parameters.
    g_converter : BaseConductanceConverter, optional
        That of the export.

    Returns
    -------
    Module
        `model`.

    Raises
    ------
    DataError, ShapeError
        If a file is not one of such, or does not fit the model; then nothing is changed.
    """
    converter = _converter(g_converter, "fusion_import")
    if isinstance(data, FusionExport):
        data, params = data.conductances, data.params if params is None else params
    layers = _layers(model, "fusion_import")
    if isinstance(data, str | os.PathLike):
        data, filed = _read(Path(data), model)
        params = filed if params is None else params
    if params is None:
        raise DataError("fusion_import: params is needed: these conductances have no signs.")
    if len(data) != len(layers) or len(params) != len(layers):
        raise ShapeError(
            f"fusion_import: data and params must be of {len(layers)} analog layers, got "
            f"{len(data)} and {len(params)}."
        )
    new = []  # before anything changes
    for (name, layer, _), g, own in zip(layers, data, params, strict=True):
        new += _matrices(name, layer, np.ravel(np.asarray(g, np.float64)), own, converter)
    if state_dict is not None:
        model.load_state_dict(state_dict)
    for tile, w in new:
        tile.set_weights(w, apply_weight_scaling=False)
    return model.eval()


def _matrices(
    name: str, layer: Any, flat: np.ndarray, params: list[dict[str, Any]], converter: Any
) -> list[tuple[Any, np.ndarray]]:
    """Return the tiles of a layer, each with its weights."""
    tiles, found, place = _tiles(layer), [], 0
    sizes = [converter.devices * tile.out_size * tile.in_size for tile in tiles]
    if flat.size != sum(sizes) or len(params) != len(tiles):
        raise ShapeError(
            f"fusion_import: layer {name!r} must have {sum(sizes)} conductances and params of "
            f"{len(tiles)} tiles, got {flat.size} and {len(params)}."
        )
    if not (np.isfinite(flat) & (flat >= 0.0)).all():
        raise DataError(f"fusion_import: conductances of layer {name!r} must be numbers >= 0.")
    for tile, size, own in zip(tiles, sizes, params, strict=True):
        g = flat[place : place + size].reshape(converter.devices, tile.out_size, tile.in_size)
        w = converter.convert_back_to_weights(g, own)
        if "weights" in own:
            w *= _best_factor(np.asarray(own["weights"], np.float64), w)
        found.append((tile, w))
        place += size
    return found


def _best_factor(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return, for each output, the factor that brings what was found closest to the wanted."""
    power = np.square(found).sum(axis=1, keepdims=True)
    return (wanted * found).sum(axis=1, keepdims=True) / np.where(power > 0.0, power, 1.0)


def _converter(converter: Any, where: str) -> Any:
    converter = FusionConductanceConverter() if converter is None else converter
    if not isinstance(converter, BaseConductanceConverter):
        raise ConfigError(f"{where}: g_converter must be a converter, got {converter!r}.")
    return converter


def _layers(model: Any, where: str) -> list[tuple[str, Any, int]]:
    """Return name, layer and number among all layers of those that are analog."""
    if not isinstance(model, Module):
        raise ConfigError(f"{where}: model must be a Module, got {model!r}.")
    every = [(n, m) for n, m in model.named_modules() if not isinstance(m, Sequential)]
    found = [(n, m, k + 1) for k, (n, m) in enumerate(every) if m.own_tiles()]
    if not found:
        raise StateError(f"{where}: the model has no analog layers.")
    return found


def _tiles(layer: Any) -> list[Any]:
    """Return the tiles of a layer, those of a grid by input and output block."""
    (tile,) = layer.own_tiles().values()
    return list(tile.named_tiles().values()) if hasattr(tile, "named_tiles") else [tile]


def _held(tile: Any) -> np.ndarray:
    """Return what the devices of a tile are to hold, without an analog bias."""
    get = getattr(tile, "get_target_weights", tile.get_weights)
    return get(apply_weight_scaling=False)[0]


def _heads(model: Module) -> list[list[str]]:
    """Return the lines that describe the layers."""
    layers = _layers(model, "fusion_export")
    sizes = [(sum(t.out_size * t.in_size for t in _tiles(m)), m) for _, m, _ in layers]
    return [
        [str(number) for _, _, number in layers],
        [type(layer).__name__ for _, layer, _ in layers],
        [str(count) for count, _ in sizes],
        [str(layer.tile.out_size) for _, layer in sizes],
        [str(layer.tile.in_size) for _, layer in sizes],
        [name for name, _, _ in layers],
    ]


def _write(
    path: Path, model: Module, conductances: list[np.ndarray], params: list[list[dict[str, Any]]]
) -> None:
    lines = [[MARK, VERSION], *_heads(model)]
    lines += [[str(float(g)) for g in own] for own in conductances]
    for key in ("sign", "scale_ratio"):
        for own in params:
            values = np.concatenate([np.ravel(p[key]) for p in own])
            lines.append([str(int(v)) if key == "sign" else str(float(v)) for v in values])
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_text("".join(",".join(line) + "\n" for line in lines))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path, model: Module) -> tuple[list[np.ndarray], Any]:
    """Return conductances, and params of each tile (None if the file has no signs)."""
    try:
        lines = [line.split(",") for line in path.read_text().splitlines() if line]
    except UnicodeDecodeError:
        raise DataError(f"fusion_import: {str(path)!r} is no text file.") from None
    marked = bool(lines) and lines[0][0] == MARK
    if marked and lines[0][1:] != [VERSION]:
        raise DataError(
            f"fusion_import: {str(path)!r} has version {lines[0][1:]}, this rpusim reads {VERSION}."
        )
    lines, heads = lines[marked:], _heads(model)
    for k, (what, wanted) in enumerate(zip(HEADS, heads, strict=True)):
        found = lines[k] if k < len(lines) else []
        if found != wanted:
            raise DataError(
                f"fusion_import: {str(path)!r} is no file of this model: {what} must be "
                f"{', '.join(wanted)}, got {', '.join(found) or 'nothing'}."
            )
    layers, rows = _layers(model, "fusion_import"), lines[len(heads) :]
    if len(rows) != len(layers) * (3 if marked else 1):
        raise DataError(f"fusion_import: {str(path)!r} is not complete.")
    try:
        numbers = [np.loadtxt(io.StringIO(",".join(row)), delimiter=",", ndmin=1) for row in rows]
    except ValueError as error:
        raise DataError(f"fusion_import: {str(path)!r} holds what is no number: {error}") from None
    if not marked:
        return numbers, None
    n = len(layers)
    groups = zip(layers, numbers[n : 2 * n], numbers[2 * n :], strict=True)
    return numbers[:n], [_filed(str(path), layer, *values) for (_, layer, _), *values in groups]


def _filed(path: str, layer: Any, signs: np.ndarray, scales: np.ndarray) -> list[dict[str, Any]]:
    """Return the params of a layer's tiles from the lines of a file."""
    found, w, row = [], 0, 0
    for tile in _tiles(layer):
        size = tile.out_size * tile.in_size
        sign, scale = signs[w : w + size], scales[row : row + tile.out_size]
        if sign.size != size or scale.size != tile.out_size or (scale <= 0.0).any():
            raise DataError(f"fusion_import: {path!r}: signs or scales do not fit the model.")
        shape = tile.out_size, tile.in_size
        found.append({"sign": sign.reshape(shape), "scale_ratio": scale[:, None]})
        w, row = w + size, row + tile.out_size
    return found
