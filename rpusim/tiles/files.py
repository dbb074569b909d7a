"""Files that hold the state of a tile, a model, or several objects.

A file is an ``.npz`` of arrays and a header in JSON: what was saved, and of a tile its sizes and
its configuration. There is no pickle in it; it is written beside its final name and then moved
there, so that an interrupted write leaves the old file as it was.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.arrays import npz_arrays
from rpusim.config import Config
from rpusim.errors import ClippedWeightsWarning, ConfigError, RpusimError, StateError
from rpusim.tiles.state import VERSION

__all__ = ["load", "save"]


def save(path: str | os.PathLike[str], obj: Any) -> None:
    """Save a tile, or anything with a `state_dict`, or several of them, to an ``.npz`` file.

    Equal states make equal files. The file appears, or replaces an old one, when it is complete.

    Parameters
    ----------
    path : path-like
        The file.
    obj : AnalogTile, TileGrid, object with `state_dict`, or dict of str to such objects
        A tile or a grid of them comes back from `load` by itself; anything else through
        ``load(path, into=obj)``: a model, or ``{"model": model, "optimizer": optimizer}``.
    """
    header: dict[str, Any] = {"format": "rpusim", "version": VERSION, "kind": type(obj).__name__}
    if isinstance(obj, Mapping):
        for name, part in _parts(obj, "state_dict", "save: obj").items():
            header.setdefault("parts", {})[name] = type(part).__name__
        states = {f"{name}/": part.state_dict() for name, part in obj.items()}
    else:
        _check_stateful(obj, "state_dict", "save: obj", "; the path comes first: save(path, obj)")
        states = {"": obj.state_dict()}
    if isinstance(getattr(obj, "rpu_config", None), Config) and hasattr(obj, "has_bias"):
        header |= {
            "tile": True,
            "out_size": obj.out_size,
            "in_size": obj.in_size,
            "bias": obj.has_bias,
            "backend": obj.backend,
            "rpu_config": obj.rpu_config.to_dict(),
        }
    if getattr(obj, "in_unit", 1) > 1:
        header["in_unit"] = obj.in_unit
    if hasattr(obj, "changed_configs"):  # those of a grid's tiles
        header["configs"] = {n: config.to_dict() for n, config in obj.changed_configs().items()}
    arrays = {f"state/{of}{name}": a for of, state in states.items() for name, a in state.items()}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    path = os.fspath(path)
    beside = f"{path}.{os.getpid()}.part"
    try:
        with open(beside, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())  # before the name: a crash leaves the old file or the new one
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def load(path: str | os.PathLike[str], into: Any = None) -> Any:
    """Load what `save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    into : object with `load_state_dict`, or dict of str to such objects, optional
        What receives the state; needed unless the file holds a tile. Of a file of several objects
        those are loaded whose names are given.

    Returns
    -------
    object
        The tile, or `into`.

    Raises
    ------
    StateError
        If the file is not one of rpusim's, is damaged, or does not fit; `into` is then unchanged.
    """
    path = os.fspath(path)
    if isinstance(into, Mapping):
        _parts(into, "load_state_dict", "load: into")
    elif into is not None:
        _check_stateful(into, "load_state_dict", "load: into", "")
    header, state = _read(path)
    held = header.get("parts")
    if into is None:
        if not header.get("tile"):
            raise StateError(
                f"{path!r} holds a {header['kind']}; load it with load(path, into=...)."
            )
        into = _make(header, path)
    elif isinstance(into, Mapping) or held:
        _load_parts(path, into, held or {}, state)
        return into
    into.load_state_dict(state)
    return into


def _read(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file."""
    try:
        arrays = npz_arrays(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (ValueError, OSError) as error:
        raise StateError(f"{path!r} is not a complete file of rpusim.save: {error}.") from error
    names = ", ".join(list(arrays)[:5]) or "no arrays"
    try:
        header = json.loads(arrays.pop("header").tobytes())
        kind, version, foreign = header["kind"], header["version"], header["format"] != "rpusim"
        foreign = foreign or not isinstance(version, int) or not isinstance(kind, str)
        foreign = foreign or not isinstance(header.get("parts", {}), dict)
    except Exception as error:  # another file's header can be anything
        raise StateError(
            f"{path!r} is not a complete file of rpusim.save: it is an .npz file of {names}, "
            "without the header that tells what was saved."
        ) from error
    if foreign:
        raise StateError(f"{path!r} is not a complete file of rpusim.save: another format.")
    if version > VERSION:
        raise StateError(f"{path!r} has version {version}, this rpusim reads up to {VERSION}.")
    return header, {name.removeprefix("state/"): value for name, value in arrays.items()}


def _load_parts(
    path: str, into: Any, held: Mapping[str, str], state: Mapping[str, np.ndarray]
) -> None:
    """Load several objects of a file, all of them or, on any error, none."""
    kinds = ", ".join(f"{name} ({kind})" for name, kind in held.items()) or "one object"
    if not isinstance(into, Mapping) or not set(into) <= set(held):
        asked = ", ".join(into) if isinstance(into, Mapping) else type(into).__name__
        raise StateError(f"{path!r} holds {kinds}, not {asked}; load it into objects so named.")
    before: list[tuple[Any, dict[str, np.ndarray]]] = []
    for name, part in into.items():
        own = {n.removeprefix(f"{name}/"): a for n, a in state.items() if n.startswith(f"{name}/")}
        old = part.state_dict()
        try:
            part.load_state_dict(own)
        except BaseException as error:
            for done, earlier in before:
                done.load_state_dict(earlier)
            if isinstance(error, RpusimError):
                raise type(error)(f"{path!r}: {name}: {error} Nothing was loaded.") from error
            raise
        before.append((part, old))


def _parts(objects: Mapping[Any, Any], method: str, where: str) -> dict[str, Any]:
    """Return several objects by name, checked."""
    for name, part in objects.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise StateError(f"{where}: names must be strings without '/', got {name!r}.")
        _check_stateful(part, method, f"{where}: {name}", "")
    if not objects:
        raise StateError(f"{where} must name at least one object, got an empty dict.")
    return dict(objects)


def _check_stateful(obj: Any, method: str, where: str, hint: str) -> None:
    if isinstance(obj, type) or not hasattr(obj, method):
        hint = "; call it to make one" if isinstance(obj, type) else hint
        raise StateError(f"{where} must be a tile or a model, with {method}(), got {obj!r}{hint}.")


def _make(header: Mapping[str, Any], path: str) -> Any:
    """Build an empty tile of the kind that a header describes."""
    import rpusim.tiles as tiles

    try:
        config, kind = Config.from_dict(header["rpu_config"]), getattr(tiles, header["kind"])
        sizes = (header["out_size"], header["in_size"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClippedWeightsWarning)  # of weights replaced at once
            more = {"in_unit": header["in_unit"]} if "in_unit" in header else {}
            made = kind(*sizes, config, header["bias"], rng=0, backend=header["backend"], **more)
            if header.get("configs"):
                made.take_configs({n: Config.from_dict(c) for n, c in header["configs"].items()})
            return made
    except (KeyError, AttributeError, TypeError, ConfigError) as error:
        raise StateError(f"{path!r} describes no tile that this rpusim has: {error}") from error
