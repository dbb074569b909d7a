"""Configurations: frozen, keyword-only, validated dataclasses that print, compare and store.

A field is declared by `param` (or `per_device`, which also declares the spread over the crossbar)
and is checked when the object is made, so that a configuration that exists is one that works.
The kind of a field (float, int, bool, text, enum, configuration, tuple) is that of its default.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rpusim.config_fields import (
    Choice,
    check_coefficients,
    check_number,
    derived,
    nearest,
    param,
    per_device,
)
from rpusim.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Config", "Choice", "check_coefficients", "derived", "param", "per_device", "nearest"]


class Config:
    """Base of all configurations: subclass it and declare fields with `param` and `per_device`."""

    registry: ClassVar[dict[str, type[Config]]] = {}
    #: the one field that may be given without its name, if there is one
    positional: ClassVar[str] = ""

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        annotations: dict[str, Any] = {}
        for name, kind in cls.__dict__.get("__annotations__", {}).items():
            annotations[name] = kind
            field = cls.__dict__.get(name)
            if isinstance(field, dataclasses.Field) and "companion" in field.metadata:
                annotations[f"{name}_dtod"] = float
                setattr(cls, f"{name}_dtod", field.metadata["companion"])
        base = cls.__mro__[1]
        inherited = dataclasses.fields(base) if dataclasses.is_dataclass(base) else ()
        for old in inherited:  # a new default, without annotation, for one of these
            if old.name in cls.__dict__ and old.name not in annotations:
                annotations[old.name] = old.type
                value = cls.__dict__[old.name]
                if not isinstance(value, dataclasses.Field):
                    new = dataclasses.field(default=value, metadata=old.metadata)
                    setattr(cls, old.name, new)
        cls.__annotations__ = annotations
        dataclasses.dataclass(frozen=True, kw_only=True, repr=False)(cls)
        cls.__init__ = _explain_unknown(cls.__init__)  # type: ignore[method-assign]
        cls.__hash__ = Config.__hash__  # type: ignore[method-assign]
        cls.__setattr__ = Config.__setattr__  # type: ignore[method-assign]
        cls.__delattr__ = Config.__delattr__  # type: ignore[method-assign]
        Config.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if f.init:
                value = _coerce(type(self), f, getattr(self, f.name))
                object.__setattr__(self, f.name, value)
        self.check()

    def check(self) -> None:
        """Check what one field alone cannot tell; raise `ConfigError`. Extend with ``super()``."""

    def settle(self, **values: Any) -> None:
        """Set `derived` fields; for use in `check`."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        where = type(self).__name__
        raise ConfigError(f"{where} is frozen: use new = config.replace({name}=...) instead.")

    def __delattr__(self, name: str) -> None:
        raise ConfigError(f"{type(self).__name__} is frozen: its fields cannot be deleted.")

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self._values().values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={_repr(v)}" for k, v in self._values(changed=True).items())
        return f"{type(self).__name__}({shown})"

    def _values(self, changed: bool = False) -> dict[str, Any]:
        """Return the fields by name, or only those that differ from the default."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if f.init and (not changed or getattr(self, f.name) != f.default)
        }

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        A dict changes fields of a nested configuration:
        ``cfg.replace(forward=dict(out_noise=0.0))``.
        """
        values = self._values()
        for name, value in changes.items():
            inner = values.get(name)
            if isinstance(inner, Config) and isinstance(value, Mapping):
                if not _names_class(value, inner):
                    changes[name] = inner.replace(**value)
        return type(self)(**{**values, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data (numbers, text, lists, dicts).

        ``type`` is the name of the class, ``class`` if the class has a field called type.
        """
        values = {k: _plain(v) for k, v in self._values().items()}
        return {"class" if "type" in values else "type": type(self).__name__, **values}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Any:
        """Build the configuration that `to_dict` described.

        Raises
        ------
        ConfigError
            If ``type`` is missing or unknown, is no kind of this class, or a field does not fit.
        """
        key = "class" if isinstance(data, Mapping) and "class" in data else "type"
        if not isinstance(data, Mapping) or not isinstance(data.get(key), str):
            raise ConfigError(f"{cls.__name__}.from_dict needs a dict with a 'type', got {data!r}.")
        kind = Config.registry.get(data[key])
        if kind is None:
            hint = nearest(data[key], Config.registry)
            raise ConfigError(f"from_dict: no configuration is called {data[key]!r}{hint}.")
        if not issubclass(kind, cls):
            raise ConfigError(f"{cls.__name__}.from_dict got a {kind.__name__}.")
        return kind(**{k: v for k, v in data.items() if k != key})

    def diff(self, other: Config) -> dict[str, tuple[Any, Any]]:
        """Return the fields that differ, as ``{"forward.out_noise": (mine, theirs)}``."""
        mine, theirs = _flat(self), _flat(other)
        names = [*mine, *(n for n in theirs if n not in mine)]
        pairs = {n: (mine.get(n), theirs.get(n)) for n in names}
        return {n: p for n, p in pairs.items() if p[0] != p[1]}

    def describe(self) -> str:
        """Return a table of all fields: value, unit, meaning; ``*`` marks a changed value."""
        rows = list(_rows(self, ""))
        widths = [max(len(row[c]) for row in rows) for c in range(3)]
        lines = [type(self).__name__]
        for name, value, unit, doc in rows:
            lines.append(
                f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {unit:<{widths[2]}}  {doc}".rstrip()
            )
        return "\n".join(lines)


def _explain_unknown(init: Any) -> Any:
    """Wrap a dataclass ``__init__`` so that unknown keywords name the nearest field."""

    @functools.wraps(init)
    def __init__(self: Config, *args: Any, **kwargs: Any) -> None:
        where = type(self).__name__
        if len(args) == 1 and self.positional and self.positional not in kwargs:
            kwargs, args = {self.positional: args[0], **kwargs}, ()
        if args:
            raise ConfigError(f"{where} takes keywords only: {where}(field=value).")
        fields = {f.name: f.init for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        names = [name for name, given in fields.items() if given]
        for name in kwargs:
            if name in fields and name not in names:
                raise ConfigError(f"{where}.{name} follows from other fields: it cannot be set.")
            if name not in names:
                raise ConfigError(f"{where} has no parameter {name!r}{nearest(name, names)}")
        init(self, **kwargs)

    return __init__


def _coerce(cls: type, field: Any, value: Any) -> Any:
    """Return `value` as the kind of the field's default, or raise `ConfigError`."""
    where, default = f"{cls.__name__}.{field.name}", field.metadata.get("like", field.default)
    if field.metadata.get("optional") and (value is None or isinstance(value, str)):
        if value in (None, "none"):
            return None
    if isinstance(default, Choice):
        member = type(default).find(value)
        if member is None:
            names = [m.name for m in type(default)]
            hint = nearest(value, names)
            raise ConfigError(f"{where} must be one of {', '.join(names)}, got {value!r}{hint}")
        return member
    if isinstance(default, Config):
        if isinstance(value, Mapping):
            named = _names_class(value, default)
            value = Config.from_dict(value) if named else default.replace(**value)
        family = field.metadata.get("family", type(default))
        if not isinstance(value, family):
            article = "an" if family.__name__[0] in "AEIOU" else "a"
            hint = "; call it to make one" if isinstance(value, type) else ""
            raise ConfigError(f"{where} must be {article} {family.__name__}, got {value!r}{hint}.")
        return value
    if isinstance(default, bool):
        if isinstance(value, bool) or type(value).__name__ == "bool":  # NumPy's bool too
            return bool(value)
        raise ConfigError(f"{where} must be True or False, got {value!r}.")
    if isinstance(default, int | float):
        return check_number(where, field, value)
    if isinstance(default, tuple):
        keyed = bool(field.metadata.get("keyed"))
        if isinstance(value, Mapping) and keyed:
            value = value.items()
        if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
            kinds = "a dict, or a sequence of pairs" if keyed else "a sequence"
            raise ConfigError(f"{where} must be {kinds}, got {value!r}.")
        return _items(where, value)
    if isinstance(default, str) and not isinstance(value, str):
        raise ConfigError(f"{where} must be text, got {value!r}.")
    return value


def _names_class(data: Mapping[str, Any], like: Config) -> bool:
    """Return whether a dict says of which class it is, or only changes fields of one `like` it."""
    return "class" in data or ("type" in data and not hasattr(like, "type"))


def _items(where: str, value: Any) -> tuple[Any, ...]:
    """Return a sequence of configurations, of numbers, or of rows of numbers as a tuple."""
    items: list[Any] = []
    for item in value:
        if isinstance(item, Mapping):
            items.append(Config.from_dict(item))
        elif hasattr(item, "__iter__") and not isinstance(item, str):
            items.append(_items(where, item))
        elif isinstance(item, numbers.Real) and not math.isfinite(item):
            raise ConfigError(f"{where} must hold finite numbers, got {item!r}.")
        else:
            items.append(float(item) if isinstance(item, numbers.Real) else item)
    return tuple(items)


def _repr(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_repr, value)) + "]"
    return repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, Choice):
        return value.name
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _flat(config: Config, prefix: str = "") -> dict[str, Any]:
    """Return all fields of the tree by dotted name; nested configurations also as class names."""
    out: dict[str, Any] = {prefix + "type" if prefix else "type": type(config).__name__}
    for name, value in config._values().items():
        if isinstance(value, Config):
            out.update(_flat(value, f"{prefix}{name}."))
        else:
            out[prefix + name] = value
    return out


def _rows(config: Config, prefix: str) -> Any:
    """Yield (name, value, unit, meaning) of every field of the tree, for `describe`."""
    for f in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        nested = isinstance(value, Config)
        mark = "" if value == f.default else " *" if f.init else " (derived)"
        shown = type(value).__name__ if nested else _repr(value)
        yield (
            f"{prefix}{f.name}",
            shown + mark,
            f.metadata.get("unit", ""),
            f.metadata.get("doc", ""),
        )
        if nested:
            yield from _rows(value, f"{prefix}{f.name}.")
