"""Trees of modules, looked at and rebuilt from outside: all names, patterns, replaced parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from rpusim.config import nearest
from rpusim.errors import ConfigError
from rpusim.nn.module import Module

__all__ = ["Names", "all_names", "matcher", "with_parts_replaced"]

#: Modules, in order, with every dotted name that leads to them.
Names = dict[Module, list[str]]


def all_names(root: Module) -> Names:
    """Return every module of a tree with all its dotted names; the first is `named_modules`'s."""
    found: Names = {module: [] for _, module in root.named_modules()}
    for name, module in _paths(root, "", ()):
        found[module].append(name)
    return found


def _paths(module: Module, path: str, above: tuple[Module, ...]) -> Iterator[tuple[str, Module]]:
    yield path, module
    for name, child in module.named_children().items():
        if child not in above:
            yield from _paths(child, f"{path}.{name}" if path else name, (*above, module))


def matcher(wanted: Any, names: Names, where: str) -> Callable[[Module], bool]:
    """Return a function that tells whether a module, or one above it, is meant.

    Parameters
    ----------
    wanted : str, sequence of str, or callable
        Glob patterns of dotted names, where ``*`` also stands for dots, or a function of name and
        module. A module that has several names is meant if any of them is.
    names : dict of Module to list of str
        The modules, as `all_names` returns them.
    where : str
        Named in errors, as for a pattern that fits no module.
    """
    if callable(wanted):
        own = {module for module, known in names.items() for n in known if wanted(n, module)}
        meant = {name for module in own for name in names[module]}
    else:
        meant = _matched(_patterns(wanted, where), names, where)
    return lambda module: any(not meant.isdisjoint(_upwards(name)) for name in names[module])


def _patterns(wanted: Any, where: str) -> list[str]:
    patterns = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(patterns, Iterable) or not all(isinstance(p, str) for p in patterns):
        raise ConfigError(
            f"{where} must be a pattern, patterns, or a function of name and layer, got {wanted!r}."
        )
    return list(patterns)


def _matched(patterns: list[str], names: Names, where: str) -> set[str]:
    known = [name for each in names.values() for name in each]
    meant = set()
    for pattern in patterns:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            hint = nearest(pattern, known) or f"; there are {', '.join(filter(None, known))}."
            raise ConfigError(f"{where}: no part of the model is called {pattern!r}{hint}")
        meant.update(found)
    return meant


def _upwards(name: str) -> Iterator[str]:
    """Yield a dotted name and those of all modules above, up to the root."""
    yield ""
    parts = name.split(".") if name else []
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def with_parts_replaced(root: Module, new: Mapping[Module, Module]) -> Module:
    """Put modules in the place of others wherever a tree holds them; return the root.

    The tree changes in place, unless its root is replaced itself. Modules are found where
    `Module.named_children` finds them: attributes, and lists, tuples and dicts that are attributes.

    Parameters
    ----------
    root : Module
        The tree.
    new : mapping of Module to Module
        What comes in the place of what.
    """
    for _, module in list(root.named_modules()):
        for name, value in list(vars(module).items()):
            replaced = _replaced(value, new)
            if replaced is not value:
                setattr(module, name, replaced)
    return new.get(root, root)


def _replaced(value: Any, new: Mapping[Module, Module]) -> Any:
    """Return a value, or a list, tuple or dict, with its modules replaced; itself if none is."""
    if isinstance(value, Module):
        return new.get(value, value)
    if isinstance(value, dict):
        if any(isinstance(item, Module) and item in new for item in value.values()):
            value.update({key: _replaced(item, new) for key, item in value.items()})
    elif isinstance(value, list | tuple):
        items: list[Any] = [
            new.get(item, item) if isinstance(item, Module) else item for item in value
        ]
        if any(ours is not theirs for ours, theirs in zip(items, value, strict=True)):
            if isinstance(value, list):
                value[:] = items
                return value
            # A named tuple takes its items one by one.
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
