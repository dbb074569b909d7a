"""Configurations in files: JSON and TOML, data only. ``type`` names the class; nothing runs."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rpusim.config import Config
from rpusim.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library reads TOML from Python 3.11 on
    import tomli as tomllib

__all__ = ["load_config", "save_config", "to_toml"]


def load_config(path: str | os.PathLike[str]) -> Any:
    """Read a configuration from a ``.toml`` or ``.json`` file.

    Parameters
    ----------
    path : path-like
        The file. Fields left out keep their defaults.

    Returns
    -------
    Config
        What the file's ``type`` names.

    Raises
    ------
    ConfigError
        If the file is neither TOML nor JSON, is malformed, or describes no valid configuration.
    """
    path = os.fspath(path)
    if not path.endswith((".toml", ".json")):
        raise ConfigError(f"load_config: {path!r} must end in .toml or .json.")
    with open(path, "rb") as file:
        text = file.read()
    try:
        data = tomllib.loads(text.decode()) if path.endswith(".toml") else json.loads(text)
    except ValueError as error:  # both decoders' errors, and bad UTF-8, are ValueErrors
        raise ConfigError(f"load_config: {path!r} cannot be read: {error}") from error
    return Config.from_dict(data)


def save_config(path: str | os.PathLike[str], config: Config) -> None:
    """Write all fields of a configuration to a ``.toml`` or ``.json`` file.

    Parameters
    ----------
    path : path-like
        The file; its ending chooses the format.
    config : Config
        What to write; `load_config` returns an equal object.
    """
    path = os.fspath(path)
    if not path.endswith((".toml", ".json")):
        raise ConfigError(f"save_config: {path!r} must end in .toml or .json.")
    toml = path.endswith(".toml")
    text = to_toml(config) if toml else json.dumps(config.to_dict(), indent=2) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def to_toml(config: Config) -> str:
    """Return a configuration as TOML text; None, which TOML lacks, is written as "none"."""
    lines: list[str] = []
    _table(config.to_dict(), "", lines)
    return "\n".join(lines) + "\n"


def _table(data: dict[str, Any], name: str, lines: list[str]) -> None:
    if name:
        lines += ["", f"[{name}]"]
    nested = {k: v for k, v in data.items() if isinstance(v, dict)}
    lines += [f"{k} = {_toml(v)}" for k, v in data.items() if k not in nested]
    for key, value in nested.items():
        _table(value, f"{name}.{key}" if name else key, lines)


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, dict):
        pairs = (f"{k} = {_toml(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value)  # a JSON string is a TOML basic string
    return repr(value)
